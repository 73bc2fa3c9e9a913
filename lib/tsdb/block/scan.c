/*
 * tsdb/block/scan.c - the entries of an index (tsdb/index/scan.c), each with its chunks.
 *
 * Series and chunks lie in the same order, so chunks come through one window over the segments that only moves
 * forward. While a series is shown, the views that the window left behind stay pinned. A reference behind the window,
 * to an earlier segment, or far ahead of the series' chunk before is read apart: such blocks are odd but legal, and must
 * not pin a window for each chunk.
 */
#include "tsdb/block/scan.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/vec.h"
#include "fs/range_window.h"
#include "tsdb/index/scan.h"
#include "wire/rd.h"

#define READ_AHEAD   (1u << 20)
#define GAP_BYTES    (64u << 10) /* between chunks of a series that the window goes over */
#define APART_BYTES  16000	 /* what is read of a chunk whose length is not known */
#define LEN_MAX	     10		 /* of a uvarint */
#define ENTRY_EXTRA  (1 + 4)	 /* encoding byte, CRC */
#define CHUNKS_BEGIN 8		 /* behind the header of a segment */

struct block_scan {
	const struct block_source *src;
	char id[27];
	struct idx_scan *index;
	struct range_window win; /* of segment `seg` */
	size_t seg;
	uint64_t next; /* behind the chunk read last through the window */
	size_t ahead;
	struct view *
		pin; /* what chunks of the series shown lie in, but for the window itself */
	size_t n_pins, cap_pins;
	bool later; /* sums of raw chunks are not compared */
	struct chunk_view *shown;
	struct arena a; /* of the series shown */
	struct idx_scan_series cur;
};

static int check_segments(struct ctx *ctx, const struct block_source *src, struct err *e)
{
	struct segments *s = NULL;

	for (size_t i = 0; i < src->n_segments; i++)
		range_source_ref(src->segment[i]);
	int rc = segments_open(ctx, src->segment, src->n_segments, &s, e);
	segments_close(s);
	return rc;
}

int block_scan_open(struct ctx *ctx, const struct block_source *src, size_t read_ahead,
		    struct block_scan **out, struct err *e)
{
	struct block_scan *s = xcalloc(1, sizeof(*s));

	s->src = src;
	s->ahead = read_ahead ? read_ahead : READ_AHEAD;
	s->seg = SIZE_MAX;
	ulid_format(&src->meta->ulid, s->id);
	arena_init(&s->a, ctx->budget);
	if (idx_scan_open(ctx, src->index, s->ahead, &s->index, e) < 0) {
		err_wrap(ctx, e, "block %s: index", s->id);
		goto fail;
	}
	if (check_segments(ctx, src, e) < 0) {
		err_wrap(ctx, e, "block %s: chunks", s->id);
		goto fail;
	}
	*out = s;
	return 0;
fail:
	block_scan_close(s);
	return -1;
}

static void drop_pins(struct block_scan *s)
{
	while (s->n_pins > 0)
		view_put(&s->pin[--s->n_pins]);
}

void block_scan_close(struct block_scan *s)
{
	if (!s)
		return;
	drop_pins(s);
	free(s->pin);
	range_window_put(&s->win);
	idx_scan_close(s->index);
	arena_deinit(&s->a);
	free(s);
}

/* ---- symbols ---- */

int block_scan_symbol(struct block_scan *s, struct ctx *ctx, struct str *out,
		      struct err *e)
{
	int rc = idx_scan_symbol(s->index, ctx, out, e);
	return rc < 0 ? err_wrap(ctx, e, "block %s: index", s->id) : rc;
}

uint32_t block_scan_symbol_count(const struct block_scan *s)
{
	return idx_scan_symbol_count(s->index);
}

void block_scan_rewind_symbols(struct block_scan *s)
{
	idx_scan_rewind_symbols(s->index);
}

struct str block_scan_text_of(struct block_scan *s, struct ctx *ctx, struct arena *a,
			      const uint32_t *label, uint32_t n_labels)
{
	struct label *l = ARENA_ARRAY(a, struct label, n_labels + 1);
	struct err ignored = ERR_INIT;
	struct str v;

	for (uint32_t i = 0; i < n_labels; i++)
		l[i] = (struct label){ STR("?"), STR("?") };
	idx_scan_rewind_symbols(s->index);
	for (uint32_t k = 0; idx_scan_symbol(s->index, ctx, &v, &ignored) > 0; k++)
		for (uint32_t i = 0; i < n_labels; i++) {
			if (label[i * 2] == k)
				l[i].name = str_dup(a, v);
			if (label[i * 2 + 1] == k)
				l[i].value = str_dup(a, v);
		}
	idx_scan_rewind_symbols(s->index);
	return labels_str(a, (struct labels){ l, n_labels, 0 });
}

struct str block_scan_labels_text(struct block_scan *s, struct ctx *ctx, struct arena *a)
{
	return block_scan_text_of(s, ctx, a, s->cur.label, s->cur.n_labels);
}

/* ---- chunks ---- */

static void keep_pin(struct block_scan *s, struct view *v)
{
	if (!v->pin)
		return;
	if (s->n_pins == s->cap_pins)
		s->pin = vec_grow(s->pin, &s->cap_pins, s->n_pins + 1, sizeof(*s->pin));
	s->pin[s->n_pins++] = *v;
	*v = (struct view){ 0 };
}

/* The entry at `off` through a window: what is left behind is pinned. */
static int read_entry(struct block_scan *s, struct ctx *ctx, struct range_window *w,
		      uint64_t off, struct chunk_part *out, uint32_t *crc, struct err *e)
{
	uint64_t left = w->end - off;
	struct view old = { 0 };
	const uint8_t *p;
	size_t n;

	if (range_window_at(w, ctx, off, LEN_MAX, &p, &n, &old, e) < 0)
		return -1;
	keep_pin(s, &old);
	struct rd r = rd_n(p, n);
	uint64_t len = rd_uvarint_short(&r);
	if (r.bad)
		return err_set(ctx, e, E_CORRUPT, "bad length");
	if (len > LIMIT_CHUNK_BYTES)
		return err_set(ctx, e, E_CORRUPT, "length out of range");
	size_t head = (size_t)(r.p - p);
	if (head + len + ENTRY_EXTRA > left)
		return err_set(ctx, e, E_CORRUPT, "cut short by the end of the segment");
	if (range_window_at(w, ctx, off, head + len + ENTRY_EXTRA, &p, &n, &old, e) < 0)
		return -1;
	keep_pin(s, &old);
	r = rd_n(p + head, len + ENTRY_EXTRA);
	const uint8_t *body = rd_take(&r, len + 1);
	*crc = rd_be32(&r);
	if ((!s->later || body[0] == CHUNK_AGGR) && crc32c(0, body, len + 1) != *crc)
		return err_set(ctx, e, E_CORRUPT, "checksum mismatch");
	*out = (struct chunk_part){ body + 1, (uint32_t)len, body[0] };
	if (w == &s->win)
		s->next = off + head + len + ENTRY_EXTRA;
	return 0;
}

static int read_apart(struct block_scan *s, struct ctx *ctx, struct range_source *from,
		      uint64_t off, struct chunk_part *out, uint32_t *crc, struct err *e)
{
	struct range_window w = { .src = from, .end = from->size, .ahead = APART_BYTES };
	int rc = read_entry(s, ctx, &w, off, out, crc, e);

	keep_pin(s, &w.pin);
	return rc;
}

static int read_chunk(struct block_scan *s, struct ctx *ctx, uint64_t ref, bool first,
		      struct chunk_part *out, uint32_t *crc, struct err *e)
{
	uint64_t seg = ref >> 32, off = (uint32_t)ref;

	if (seg >= s->src->n_segments)
		return err_set(ctx, e, E_CORRUPT, "no such segment");
	struct range_source *from = s->src->segment[seg];
	if (off < CHUNKS_BEGIN || off >= from->size)
		return err_set(ctx, e, E_CORRUPT, "reference past the end");
	if (s->seg == SIZE_MAX || seg > s->seg) {
		keep_pin(s, &s->win.pin);
		s->win = (struct range_window){ .src = from,
						.end = from->size,
						.ahead = s->ahead };
		s->seg = seg;
		s->next = CHUNKS_BEGIN;
	}
	bool far = !first && off > s->next + GAP_BYTES && !range_window_has(&s->win, off);
	if (seg < s->seg || off < s->win.off || far)
		return read_apart(s, ctx, from, off, out, crc, e);
	return read_entry(s, ctx, &s->win, off, out, crc, e);
}

static int bad_chunk(const struct block_scan *s, struct ctx *ctx,
		     const struct idx_chunk *c, struct err *e)
{
	return err_wrap(ctx, e,
			"block %s: chunks/%06" PRIu64 ": series %" PRIu32
			": chunk at %" PRIu32,
			s->id, (c->ref >> 32) + 1, s->cur.ref, (uint32_t)c->ref);
}

static int show_chunk(struct block_scan *s, struct ctx *ctx, const struct idx_chunk *c,
		      bool first, struct chunk_view *v, struct err *e)
{
	struct chunk_part part = { 0 };
	uint32_t crc = 0;

	*v = (struct chunk_view){ .mint_ms = c->mint_ms, .maxt_ms = c->maxt_ms };
	int rc = read_chunk(s, ctx, c->ref, first, &part, &crc, e);
	v->hash = (uint64_t)1 << 32 | crc;
	if (rc == 0 && part.enc == CHUNK_AGGR)
		rc = chunk_aggr_split(part.p, part.n, v, e);
	else
		v->part[AGGR_RAW] = part;
	return rc < 0 ? bad_chunk(s, ctx, c, e) : 0;
}

void block_scan_sums_later(struct block_scan *s)
{
	s->later = true;
}

int block_scan_verify(struct block_scan *s, struct ctx *ctx, struct err *e)
{
	for (uint32_t i = 0; s->later && i < s->cur.n_chunks; i++) {
		const struct chunk_part *p = &s->shown[i].part[AGGR_RAW];
		/* the encoding stands before the data */
		if (!p->p || crc32c(0, p->p - 1, p->n + 1) == (uint32_t)s->shown[i].hash)
			continue;
		err_set(ctx, e, E_CORRUPT, "checksum mismatch");
		return bad_chunk(s, ctx, &s->cur.chunk[i], e);
	}
	return 0;
}

int block_scan_series(struct block_scan *s, struct ctx *ctx, struct scan_series *out,
		      struct err *e)
{
	struct idx_scan_series *c = &s->cur;

	drop_pins(s);
	arena_reset(&s->a);
	int rc = idx_scan_series(s->index, ctx, c, e);
	if (rc == 0)
		range_window_put(&s->win);
	if (rc <= 0)
		return rc < 0 ? err_wrap(ctx, e, "block %s: index", s->id) : 0;
	struct chunk_view *v = arena_try(&s->a, ctx, (c->n_chunks + 1) * sizeof(*v), e);
	if (!v)
		return err_wrap(ctx, e, "block %s: index: series %" PRIu32, s->id,
				c->ref);
	s->shown = v;
	for (uint32_t i = 0; i < c->n_chunks; i++)
		if (show_chunk(s, ctx, &c->chunk[i], i == 0, &v[i], e) < 0)
			return -1;
	*out = (struct scan_series){ .label = c->label,
				     .n_labels = c->n_labels,
				     .unsorted = c->unsorted,
				     .chunk = v,
				     .n_chunks = c->n_chunks,
				     .ref = c->ref };
	return 1;
}
