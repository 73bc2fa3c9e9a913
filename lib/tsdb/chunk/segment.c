/*
 * tsdb/chunk/segment.c - chunks out of the segment files of a block.
 *
 *   header  u32 BE magic 0x85bd40dd | version 1 | 3 bytes of padding
 *   entry   uvarint length of data | encoding byte | data | u32 BE CRC-32C over encoding and data
 * A chunk reference is (segment << 32) | offset of the entry; segments count from 0.
 *
 * A reference does not say how long the chunk is. The first round reads each entry as far as its hint
 * (the next entry's place, or 16000 bytes); those that turn out longer are read again, whole. A round
 * is one range_source_read a segment; entries that lie one behind another are one range of it, whose pin the first
 * of them that was understood keeps. What is wrong with one chunk stays with that chunk. Source  prometheus.md §1.3
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "wire/rd.h"

#include "tsdb/chunk/chunk.h"

#define SEGMENT_MAGIC	 0x85bd40ddu
#define SEGMENT_HEADER	 8
#define HINT_UNKNOWN	 16000
#define ENTRY_EXTRA	 (1 + 4) /* encoding byte, CRC */
#define LENGTH_BYTES_MAX 10
#define RUN_BYTES                                                                        \
	(1u << 20) /* of entries read as one range, unless a single one is longer */

struct segments {
	size_t n;
	struct range_source *source[];
};

static int check_header(struct ctx *ctx, struct range_source *s, struct err *e)
{
	struct view v;
	if (s->size < SEGMENT_HEADER)
		return err_set(ctx, e, E_CORRUPT, "%s: segment of %llu bytes", s->name,
			       (unsigned long long)s->size);
	if (range_source_read1(s, ctx, 0, SEGMENT_HEADER, &v, e) < 0)
		return -1;
	struct rd r = rd_n(v.p, v.n);
	uint32_t magic = rd_be32(&r);
	uint8_t version = rd_u8(&r);
	bool bad = r.bad;
	view_put(&v);
	if (bad || magic != SEGMENT_MAGIC)
		return err_set(ctx, e, E_CORRUPT, "%s: segment magic %08x", s->name,
			       magic);
	if (version != 1)
		return err_set(ctx, e, E_UNSUPPORTED, "%s: segment version %u", s->name,
			       version);
	return 0;
}

int segments_open(struct ctx *ctx, struct range_source *const *sources, size_t n,
		  struct segments **out, struct err *e)
{
	struct segments *s = xcalloc(1, sizeof *s + n * sizeof s->source[0]);
	int rc = 0;
	s->n = n;
	for (size_t i = 0; i < n; i++) {
		s->source[i] = sources[i];
		if (rc == 0)
			rc = check_header(ctx, sources[i], e);
	}
	if (rc < 0)
		segments_close(s);
	else
		*out = s;
	return rc;
}

void segments_close(struct segments *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		range_source_unref(s->source[i]);
	free(s);
}

struct wanted {
	size_t i;     /* index into need[] */
	uint64_t len; /* bytes to read */
	size_t run;   /* range that it lies in */
};
/* One call of segments_read. */
struct job {
	struct segments *s;
	struct ctx *ctx;
	struct segment_need *need;
	void (*on_bad)(void *arg, size_t i, const struct err *why);
	void *arg;
	struct wanted *todo; /* by reference */
	size_t n;
	struct range *range; /* scratch of a round */
	struct view *view;
};

static void refuse(struct job *j, size_t i, const char *what)
{
	struct segment_need *need = &j->need[i];
	struct err why = ERR_INIT;
	uint64_t seg = need->ref >> 32;
	const char *name = seg < j->s->n ? j->s->source[seg]->name : "segment";
	need->bad = true;
	err_set(j->ctx, &why, E_CORRUPT, "%s: chunk at %u of segment %llu: %s", name,
		(unsigned)need->ref, (unsigned long long)seg + 1, what);
	if (j->on_bad)
		j->on_bad(j->arg, i, &why);
}

/*
 * Look at an entry, of which the bytes from p to end are there, and which has no more than `left`: 0 done (good or
 * refused), else how many it needs.
 */
static uint64_t parse(struct job *j, size_t i, uint64_t left, const uint8_t *p,
		      const uint8_t *end)
{
	struct segment_need *need = &j->need[i];
	struct rd r = { p, end, false };
	uint64_t len = rd_uvarint_short(&r);
	if (UNLIKELY(r.bad)) {
		if ((size_t)(end - p) < MIN(left, LENGTH_BYTES_MAX))
			return MIN(left, HINT_UNKNOWN);
		refuse(j, i, "bad length");
		return 0;
	}
	if (UNLIKELY(len > LIMIT_CHUNK_BYTES)) {
		refuse(j, i, "length out of range");
		return 0;
	}
	uint64_t whole = (uint64_t)(r.p - p) + ENTRY_EXTRA + len;
	if (UNLIKELY(whole > left)) {
		refuse(j, i, "cut short by the end of the segment");
		return 0;
	}
	if (UNLIKELY(whole > (size_t)(end - p)))
		return whole;
	const uint8_t *body = rd_take(&r, len + 1);
	uint32_t crc = rd_be32(&r);
	if (!body || crc != crc32c(0, body, len + 1)) {
		refuse(j, i, "checksum mismatch");
		return 0;
	}
	need->part = (struct chunk_part){ body + 1, (uint32_t)len, body[0] };
	return 0;
}

static int cmp_wanted(const void *a, const void *b, void *arg)
{
	const struct segment_need *need = arg;
	uint64_t x = need[((const struct wanted *)a)->i].ref;
	uint64_t y = need[((const struct wanted *)b)->i].ref;
	return (x > y) - (x < y);
}

/* The ranges of todo[from..to), all of one segment. */
static size_t plan_ranges(struct job *j, size_t from, size_t to, uint64_t size)
{
	size_t n = 0;
	for (size_t k = from; k < to; k++) {
		struct wanted *w = &j->todo[k];
		uint64_t off = (uint32_t)j->need[w->i].ref;
		uint64_t end = off + MIN(w->len, size - off);
		if (n > 0) {
			struct range *last = &j->range[n - 1];
			uint64_t last_end = last->off + last->len;
			uint64_t len = MAX(end, last_end) - last->off;
			if (off <= last_end && (len <= RUN_BYTES || end <= last_end)) {
				last->len = len;
				w->run = n - 1;
				continue;
			}
		}
		w->run = n;
		j->range[n++] = (struct range){ off, end - off };
	}
	return n;
}

/* Read and look at todo[from..to), all of one segment; what must be read again goes to todo[*left] on. */
static int read_group(struct job *j, size_t from, size_t to, size_t *left, struct err *e)
{
	struct range_source *src = j->s->source[j->need[j->todo[from].i].ref >> 32];
	size_t n = plan_ranges(j, from, to, src->size);
	if (range_source_read(src, j->ctx, j->range, n, j->view, e) < 0)
		return -1;
	for (size_t k = from; k < to; k++) {
		struct wanted w = j->todo[k];
		struct segment_need *need = &j->need[w.i];
		struct view *v = &j->view[w.run];
		uint64_t off = (uint32_t)need->ref;
		const uint8_t *p = v->p + (off - j->range[w.run].off);
		w.len = parse(j, w.i, src->size - off, p, v->p + v->n);
		if (w.len > 0) {
			j->todo[(*left)++] = w;
		} else if (v->pin && !need->bad) {
			need->pin = *v;
			v->pin = NULL;
		}
	}
	for (size_t k = 0; k < n; k++)
		view_put(&j->view[k]);
	return 0;
}

/* Read and look at todo[]; what must be read again stays in it. */
static int round_of(struct job *j, struct err *e)
{
	size_t left = 0;
	for (size_t from = 0, to; from < j->n; from = to) {
		uint64_t seg = j->need[j->todo[from].i].ref >> 32;
		to = from + 1;
		while (to < j->n && j->need[j->todo[to].i].ref >> 32 == seg)
			to++;
		if (read_group(j, from, to, &left, e) < 0)
			return -1;
	}
	j->n = left;
	return 0;
}

/* All needs whose reference is inside its segment, by reference. */
static void plan(struct job *j, size_t n)
{
	bool ascend = true; /* as chunks of ascending series do */
	uint64_t before = 0;
	for (size_t i = 0; i < n; i++) {
		struct segment_need *need = &j->need[i];
		uint64_t seg = need->ref >> 32, off = (uint32_t)need->ref;
		need->bad = false;
		need->part = (struct chunk_part){ 0 };
		need->pin = (struct view){ 0 };
		if (seg >= j->s->n) {
			refuse(j, i, "no such segment");
		} else if (off < SEGMENT_HEADER || off >= j->s->source[seg]->size) {
			refuse(j, i, "reference past the end");
		} else {
			uint64_t len = need->len_hint ? need->len_hint : HINT_UNKNOWN;
			j->todo[j->n++] = (struct wanted){ i, len, 0 };
			ascend &= before <= need->ref;
			before = need->ref;
		}
	}
	if (!ascend)
		qsort_r(j->todo, j->n, sizeof *j->todo, cmp_wanted, j->need);
}

int segments_read(struct segments *s, struct ctx *ctx, struct segment_need *need,
		  size_t n, void (*on_bad)(void *arg, size_t i, const struct err *why),
		  void *arg, struct err *e)
{
	struct job j = { .s = s, .ctx = ctx, .need = need, .on_bad = on_bad, .arg = arg };
	int rc = 0;
	j.todo = xreallocarray(NULL, n + 1, sizeof *j.todo);
	j.range = xreallocarray(NULL, n + 1, sizeof *j.range);
	j.view = xreallocarray(NULL, n + 1, sizeof *j.view);
	plan(&j, n);
	while (j.n > 0 && rc == 0)
		rc = round_of(&j, e);
	for (size_t i = 0; rc < 0 && i < n; i++)
		view_put(&need[i].pin);
	free(j.todo);
	free(j.range);
	free(j.view);
	return rc;
}
