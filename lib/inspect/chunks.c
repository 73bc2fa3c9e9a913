/*
 * inspect/chunks.c - chunks as series use them: checksum, encoding, every sample against what the index says.
 *
 *   | magic 85BD40DD | version 1 | 0 0 0 |  { uvarint length, encoding, data, u32 CRC of encoding and data } ...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "inspect/inspect_int.h"
#include "tsdb/chunk/chunk.h"
#include "wire/rd.h"

#define MAGIC	   0x85bd40ddu
#define HEAD_BYTES 8

typedef unsigned long long ull;

struct span { /* bytes [from, to) of a segment that some chunk holds */
	uint64_t from, to;
};
struct segment {
	struct inspect_win win;
	char name[24];
	bool good;
	struct span *span;
	size_t n, cap;
};
/* Chunks lie in the order of series, or nearly so: this many segments have a window at a time. */
#define WINDOWS 4
struct inspect_chunks {
	struct segment *seg;
	size_t n;
	struct segment *open[WINDOWS]; /* that may have a window, the last used first */
	struct inspect_report *r;
	struct arena arena; /* of histograms */
	struct chunk_decoder *decoder;
	bool aggregates; /* the block is downsampled */
};

/* ---- segment files ---- */

static int open_segment(struct ctx *ctx, const struct inspect_place *p,
			struct inspect_chunks *c, struct segment *s, struct err *e)
{
	struct err why = ERR_INIT;
	struct view head;
	if (inspect_open(ctx, p, s->name, &s->win.src, &why) < 0)
		return inspect_blame(c->r, INSPECT_FRAME, s->name, &why, e);
	if (s->win.src->size < HEAD_BYTES) {
		inspect_found(c->r, INSPECT_FRAME, s->name, "a file of only %llu bytes",
			      (ull)s->win.src->size);
		return 0;
	}
	if (range_source_read1(s->win.src, ctx, 0, HEAD_BYTES, &head, e) < 0)
		return -1;
	struct rd r = rd_n(head.p, HEAD_BYTES);
	uint32_t magic = rd_be32(&r);
	unsigned version = rd_u8(&r);
	bool padded = (rd_u8(&r) | rd_u8(&r) | rd_u8(&r)) == 0;
	view_put(&head);
	if (magic != MAGIC)
		inspect_found(c->r, INSPECT_FRAME, s->name, "invalid magic number %08x",
			      magic);
	else if (version != 1)
		inspect_found(c->r, INSPECT_FRAME, s->name,
			      "format version %u is unknown", version);
	else
		s->good = true;
	if (s->good && !padded)
		inspect_found(c->r, INSPECT_FRAME, s->name, "padding at 5 is not zero");
	return 0;
}

/* 0: not the name of a segment. */
static uint64_t segment_number(struct str name)
{
	uint64_t v;
	if (!str_has_prefix(name, STR("chunks/")) || name.n != 13)
		return 0;
	return str_to_u64(str_from(name, 7), &v) ? v : 0;
}

int inspect_chunks_open(struct ctx *ctx, const struct inspect_place *p,
			const struct inspect_files *files, const struct block_meta *meta,
			struct inspect_report *r, struct inspect_chunks **out,
			struct err *e)
{
	struct inspect_chunks *c = xcalloc(1, sizeof(*c));
	c->r = r;
	c->aggregates = meta && meta->thanos.resolution_ms > 0;
	arena_init(&c->arena, NULL);
	c->decoder = chunk_decoder_new(&c->arena);
	for (size_t i = 0; i < files->n; i++)
		c->n = MAX(c->n, segment_number(files->v[i].name) < 1000000
					 ? segment_number(files->v[i].name)
					 : 0);
	c->seg = xcalloc(c->n + 1, sizeof(*c->seg));
	for (size_t i = 0; i < c->n; i++) {
		snprintf(c->seg[i].name, sizeof(c->seg[i].name), "chunks/%06u",
			 (unsigned)(i + 1) % 1000000);
		if (open_segment(ctx, p, c, &c->seg[i], e) < 0) {
			inspect_chunks_close(c);
			return -1;
		}
	}
	*out = c;
	return 0;
}

void inspect_chunks_close(struct inspect_chunks *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++) {
		if (c->seg[i].win.src)
			inspect_win_close(&c->seg[i].win);
		free(c->seg[i].span);
	}
	free(c->seg);
	arena_deinit(&c->arena);
	free(c);
}

uint64_t inspect_chunks_bytes(const struct inspect_chunks *c, uint64_t *segments)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < c->n; i++)
		bytes += c->seg[i].win.src ? c->seg[i].win.src->size : 0;
	*segments = c->n;
	return bytes;
}

/* ---- bytes that chunks hold ---- */

static void cover(struct segment *s, uint64_t from, uint64_t to)
{
	if (s->n && s->span[s->n - 1].to == from) {
		s->span[s->n - 1].to = to;
		return;
	}
	if (s->n == s->cap)
		s->span = vec_grow(s->span, &s->cap, s->n + 1, sizeof(*s->span));
	s->span[s->n++] = (struct span){ from, to };
}

static int cmp_span(const void *x, const void *y, void *arg)
{
	const struct span *a = x, *b = y;
	(void)arg;
	return (a->from > b->from) - (a->from < b->from);
}

void inspect_chunks_coverage(struct inspect_chunks *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct segment *s = &c->seg[i];
		uint64_t at = HEAD_BYTES, unused = 0, first = 0;
		if (!s->good)
			continue;
		if (s->n)
			vec_sort(s->span, s->n, sizeof(*s->span), cmp_span, NULL);
		for (size_t k = 0; k <= s->n; k++) {
			uint64_t from = k < s->n ? s->span[k].from : s->win.src->size;
			if (from < at)
				inspect_found(
					c->r, INSPECT_OVERLAP, s->name,
					"chunks that share bytes, from %llu to %llu",
					(ull)from, (ull)at);
			if (from > at) {
				first = unused ? first : at;
				unused += from - at;
			}
			at = MAX(at, k < s->n ? s->span[k].to : at);
		}
		if (unused)
			inspect_found(
				c->r, INSPECT_UNUSED, s->name,
				"%llu bytes belong to no sound chunk of a series, the first at %llu",
				(ull)unused, (ull)first);
	}
}

/* ---- one chunk ---- */

struct look { /* at one chunk */
	struct inspect_chunks *c;
	struct ctx *ctx;
	const struct inspect_walk *w;
	const struct inspect_series *s;
	const struct idx_chunk *k;
	struct segment *seg;
	uint64_t off;
	struct inspect_chunk_facts *f;
};

static int blame(struct look *l, enum inspect_kind kind, const char *what)
{
	char name[200];
	inspect_series_name(l->w, l->s, name);
	inspect_found(l->c->r, kind, l->seg ? l->seg->name : "chunks",
		      "chunk at %llu of series %llu %s: %s", (ull)l->off,
		      (ull)l->s->number, name, what);
	return 0;
}

/* The segment used longest ago gives up its window. */
static void use_segment(struct inspect_chunks *c, struct segment *s)
{
	size_t i = 0;
	while (i < WINDOWS - 1 && c->open[i] != s)
		i++;
	if (c->open[i] && c->open[i] != s)
		view_put(&c->open[i]->win.v);
	memmove(c->open + 1, c->open, i * sizeof(*c->open));
	c->open[0] = s;
}

/* 1: *data is what lies behind the encoding byte. */
static int read_bytes(struct look *l, struct str *data, struct err *e)
{
	uint64_t size = l->seg->win.src->size;
	struct str head;
	const uint8_t *p;
	if (l->off < HEAD_BYTES || l->off >= size)
		return blame(l, INSPECT_CHUNK, "lies outside the file");
	if (inspect_win_some(&l->seg->win, l->ctx, l->off, 5, &head, e) < 0)
		return -1;
	struct rd r = rd_of(head);
	uint64_t len = rd_uvarint(&r), used = head.n - rd_left(&r);
	if (r.bad)
		return blame(l, INSPECT_CHUNK, "its length is no number");
	if (len > size - l->off - used || size - l->off - used - len < 5)
		return blame(l, INSPECT_CHUNK, "is longer than the file");
	if (len > LIMIT_CHUNK_BYTES)
		return blame(l, INSPECT_CHUNK, "is too large");
	if (inspect_win_get(&l->seg->win, l->ctx, l->off + used, len + 5, &p, e) < 0)
		return -1;
	r = rd_n(p + 1 + len, 4);
	if (crc32c(0, p, (size_t)len + 1) != rd_be32(&r))
		return blame(l, INSPECT_CHECKSUM, "checksum mismatch");
	cover(l->seg, l->off, l->off + used + len + 5);
	l->f->enc = p[0];
	l->f->bytes = (uint32_t)len;
	*data = str_n(p + 1, (size_t)len);
	return 1;
}

struct part_facts {
	uint64_t samples, hists, buckets;
	int64_t first, last;
};

static int check_hists(struct look *l, const struct columns *col, struct part_facts *f)
{
	struct err why = ERR_INIT;
	for (size_t i = 0; i < col->n; i++) {
		if (!hist_is_stale(col->h[i]) && hist_validate(col->h[i], &why) < 0)
			return blame(l, INSPECT_SAMPLES, err_text(&why));
		f->buckets += col->h[i]->n_pos + col->h[i]->n_neg;
	}
	f->hists += col->n;
	return 1;
}

/* All samples of one encoded run: 1 sound. */
static int decode(struct look *l, struct chunk_part part, struct part_facts *f)
{
	struct err why = ERR_INIT;
	struct columns col;
	int rc;
	if (chunk_decoder_reset(l->c->decoder, part, &why) < 0)
		return blame(l, INSPECT_CHUNK, err_text(&why));
	while ((rc = chunk_decoder_next(l->c->decoder, &col, &why)) > 0) {
		if (f->samples == 0)
			f->first = col.t_ms[0];
		f->last = col.t_ms[col.n - 1];
		f->samples += col.n;
		if (col.h && check_hists(l, &col, f) == 0)
			return 0;
	}
	if (rc < 0)
		return blame(l, INSPECT_SAMPLES, err_text(&why));
	if (f->samples == 0)
		return blame(l, INSPECT_SAMPLES, "holds no samples");
	return 1;
}

static int check_times(struct look *l, const struct part_facts *f)
{
	char text[200];
	if (f->first == l->k->mint_ms && f->last == l->k->maxt_ms)
		return 1;
	snprintf(text, sizeof(text),
		 "samples from %lld to %lld, where the index says %lld to %lld",
		 (long long)f->first, (long long)f->last, (long long)l->k->mint_ms,
		 (long long)l->k->maxt_ms);
	return blame(l, INSPECT_RANGE, text);
}

static int check_aggregates(struct look *l, struct str data)
{
	struct err why = ERR_INIT;
	struct chunk_view v = { 0 };
	if (chunk_aggr_split((const uint8_t *)data.p, data.n, &v, &why) < 0)
		return blame(l, INSPECT_CHUNK, err_text(&why));
	for (int a = AGGR_COUNT; a < AGGR_N; a++) {
		struct part_facts f = { 0 };
		if (!v.part[a].p)
			continue;
		if (decode(l, v.part[a], &f) == 0)
			return 0;
		/* a counter begins with the first raw sample, which may lie before the first window's end */
		int64_t from = a == AGGR_COUNTER && l->w->meta ? l->w->meta->mint_ms
							       : l->k->mint_ms;
		if (f.first < from || f.last > l->k->maxt_ms)
			return check_times(l, &f);
		if (a == AGGR_COUNT) {
			l->f->samples = f.samples;
			if (check_times(l, &f) == 0)
				return 0;
		}
	}
	return v.part[AGGR_COUNT].p ? 1 : blame(l, INSPECT_CHUNK, "has no counts");
}

static int check_raw(struct look *l, struct str data)
{
	struct part_facts f = { 0 };
	struct chunk_part part = { (const uint8_t *)data.p, (uint32_t)data.n, l->f->enc };
	if (decode(l, part, &f) == 0 || check_times(l, &f) == 0)
		return 0;
	l->f->samples = f.samples;
	l->f->hists = f.hists;
	l->f->floats = f.samples - f.hists;
	l->f->buckets = f.buckets;
	return 1;
}

int inspect_chunks_check(struct inspect_chunks *c, struct ctx *ctx,
			 const struct inspect_walk *w, const struct inspect_series *s,
			 const struct idx_chunk *k, struct inspect_chunk_facts *out,
			 struct err *e)
{
	struct look l = { c, ctx, w, s, k, NULL, k->ref & UINT32_MAX, out };
	uint64_t number = k->ref >> 32;
	struct str data = STR_NULL;
	*out = (struct inspect_chunk_facts){ 0 };
	if (number >= c->n) {
		char text[64];
		snprintf(text, sizeof(text), "there is no segment %llu", (ull)number + 1);
		return blame(&l, INSPECT_CHUNK, text);
	}
	l.seg = &c->seg[number];
	if (!l.seg->good) /* said once, of the whole file */
		return 0;
	use_segment(c, l.seg);
	int rc = read_bytes(&l, &data, e);
	if (rc <= 0)
		return rc;
	arena_reset(&c->arena);
	c->decoder = chunk_decoder_new(&c->arena);
	return out->enc == CHUNK_AGGR ? check_aggregates(&l, data) : check_raw(&l, data);
}
