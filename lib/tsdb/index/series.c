/*
 * tsdb/index/series.c - series entries: labels and where the chunks are.
 *
 *   entry at 16 x ref: | uvarint length | body | u32 CRC of body |
 *   body:  uvarint labels, each { uvarint name symbol, uvarint value symbol }
 *          uvarint chunks, the first { varint mint, uvarint maxt - mint, uvarint ref },
 *          the others { uvarint mint - previous maxt, uvarint maxt - mint, varint ref delta }
 *
 * An entry's length is known only when it is read. It ends before the next asked one begins, and most
 * are short, so the smaller of that distance and 512 bytes is read at first; what was cut is read
 * again at its full length, all of it in one call. A damaged entry is reported and passed over: the
 * others do not depend on it. Times and references are added as unsigned numbers: hostile deltas may
 * overflow, and a chunk that begins before the one in front of it ended is written as a huge gap.
 * Such chunks are shown in the order of their times; one that would end before it begins makes the entry damaged.
 */
#include "tsdb/index/index_int.h"

#include <inttypes.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/vec.h"

#define FIRST_GUESS 512
#define LEN_MAX	    10 /* of a uvarint */

struct reading {
	struct idx_reader *r;
	struct ctx *ctx;
	struct arena *a;
	const struct idx_series_req *req;
};

static void bad_entry(struct reading *g, uint32_t ref, struct idx_series *out,
		      const char *what)
{
	struct err why = ERR_INIT;

	*out = (struct idx_series){ .bad = true };
	err_set(NULL, &why, E_CORRUPT, "series entry %" PRIu32 ": %s", ref, what);
	if (g->req->on_bad)
		g->req->on_bad(g->req->arg, ref, &why);
}

/* ---- body ---- */

/* NULL: fine; "" : allocation failed, *e is set; else what is wrong. */
static const char *read_labels(struct reading *g, struct rd *r, struct idx_series *out,
			       struct err *e)
{
	const struct idx_symbols *s = &g->r->symbols;
	uint64_t n = rd_uvarint(r);
	uint32_t kept = 0;

	if (r->bad || n > rd_left(r) / 2)
		return "label count beyond the entry";
	if (n > LIMIT_LABELS_PER_SERIES)
		return "too many labels";
	uint32_t *label = arena_try(g->a, g->ctx, (n * 2 + 1) * sizeof(*label), e);
	if (!label)
		return "";
	for (uint64_t i = 0; i < n; i++) {
		uint64_t name = rd_uvarint(r), value = rd_uvarint(r);
		if (r->bad)
			return "labels cut short";
		if (name >= s->count || value >= s->count)
			return "label symbol beyond the symbol table";
		if ((s->has_empty && name == 0) ||
		    (kept > 0 && name <= label[kept * 2 - 2]))
			return "labels are out of order";
		if (s->has_empty && value == 0) /* the same as no label */
			continue;
		label[kept * 2] = (uint32_t)name;
		label[kept * 2 + 1] = (uint32_t)value;
		kept++;
	}
	out->label = label;
	out->n_labels = kept;
	return NULL;
}

struct chunk_walk {
	struct rd r;
	uint64_t i;
	int64_t maxt; /* of the one before */
	uint64_t ref;
};

static const char *walk_chunk(struct chunk_walk *w, struct idx_chunk *c)
{
	uint64_t mint = w->i == 0 ? (uint64_t)rd_varint(&w->r)
				  : (uint64_t)w->maxt + rd_uvarint(&w->r);
	uint64_t span = rd_uvarint(&w->r);
	c->mint_ms = (int64_t)mint;
	c->maxt_ms = (int64_t)(mint + span);
	w->ref = w->i == 0 ? rd_uvarint(&w->r) : w->ref + (uint64_t)rd_varint(&w->r);
	c->ref = w->ref;
	if (w->r.bad)
		return "chunks cut short";
	if (span > (uint64_t)INT64_MAX - mint)
		return "chunk times overflow";
	w->maxt = c->maxt_ms;
	w->i++;
	return NULL;
}

static int cmp_chunk(const void *a, const void *b, void *arg)
{
	const struct idx_chunk *x = a, *y = b;
	(void)arg;

	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	return (x->maxt_ms > y->maxt_ms) - (x->maxt_ms < y->maxt_ms);
}

/* Count those in range first, then decode again from the first of them: most may be out of range. */
static const char *read_chunks(struct reading *g, struct rd *r, struct idx_series *out,
			       struct err *e)
{
	const struct idx_series_req *q = g->req;
	uint64_t n = rd_uvarint(r);
	struct chunk_walk w = { .r = *r }, from = w, before;
	struct idx_chunk c;
	uint32_t hits = 0;
	const char *what;

	if (r->bad || n > rd_left(r) / 3)
		return "chunk count beyond the entry";
	while (w.i < n) {
		before = w;
		what = walk_chunk(&w, &c);
		if (what)
			return what;
		if (c.maxt_ms < q->mint_ms || c.mint_ms > q->maxt_ms)
			continue;
		if (hits++ == 0)
			from = before;
	}
	out->n_chunks = hits;
	if (q->skip_chunks || hits == 0)
		return NULL;
	struct idx_chunk *chunk =
		arena_try(g->a, g->ctx, (size_t)hits * sizeof(*chunk), e);
	if (!chunk)
		return "";
	out->chunk = chunk;
	bool ascend = true;
	for (uint32_t k = 0; k < hits;) {
		what = walk_chunk(&from, &chunk[k]);
		if (what)
			return what;
		if (chunk[k].maxt_ms < q->mint_ms || chunk[k].mint_ms > q->maxt_ms)
			continue;
		ascend &= k == 0 || chunk[k - 1].mint_ms <= chunk[k].mint_ms;
		k++;
	}
	if (!ascend)
		vec_sort(chunk, hits, sizeof(*chunk), cmp_chunk, NULL);
	return NULL;
}

/* -1 only if memory ran out; a damaged entry is reported. */
static int read_body(struct reading *g, uint32_t ref, struct str body,
		     struct idx_series *out, struct err *e)
{
	struct rd r = rd_of(body);
	const char *what;

	*out = (struct idx_series){ 0 };
	what = read_labels(g, &r, out, e);
	if (!what)
		what = read_chunks(g, &r, out, e);
	if (what && *what == 0)
		return -1;
	if (what)
		bad_entry(g, ref, out, what);
	return 0;
}

/* ---- entries ---- */

/*
 * Read the entry in the view. 1: the view is too short, *need is what it takes; 0: done, well or
 * damaged; -1: out of memory. `rest` is how far the file goes from the entry's start.
 */
static int read_entry(struct reading *g, uint32_t ref, const struct view *v,
		      uint64_t rest, uint64_t *need, struct idx_series *out,
		      struct err *e)
{
	struct rd r = rd_n(v->p, v->n);
	uint64_t len = rd_uvarint(&r);

	if (r.bad && v->n < LEN_MAX && v->n < rest) {
		*need = MIN(rest, LEN_MAX);
		return 1;
	}
	if (r.bad) {
		bad_entry(g, ref, out, "length is no number");
		return 0;
	}
	uint64_t head = v->n - rd_left(&r);
	if (len > LIMIT_SERIES_ENTRY_BYTES || head + len + 4 > rest) {
		bad_entry(g, ref, out, "length beyond the file");
		return 0;
	}
	if (head + len + 4 > v->n) {
		*need = head + len + 4;
		return 1;
	}
	struct str body = rd_bytes(&r, len);
	if (crc32c(0, body.p, body.n) != rd_be32(&r)) {
		bad_entry(g, ref, out, "checksum mismatch");
		return 0;
	}
	return read_body(g, ref, body, out, e);
}

/* One round of reads: todo[] holds places in refs. What was cut stays, with its length in need[]. */
static int read_round(struct reading *g, const uint32_t *refs, uint32_t *todo,
		      uint64_t *need, size_t *n_todo, struct range *range,
		      struct view *view, struct idx_series *out, struct err *e)
{
	size_t n = *n_todo, left = 0;
	uint64_t end = g->r->series_end;
	int rc = 0;

	for (size_t k = 0; k < n; k++) {
		range[k].off = (uint64_t)refs[todo[k]] * 16;
		range[k].len = need[k];
		view[k] = (struct view){ 0 };
	}
	if (range_source_read(g->r->index, g->ctx, range, n, view, e) < 0)
		return err_wrap(g->ctx, e, "series");
	for (size_t k = 0; k < n; k++) {
		uint32_t i = todo[k];
		int got = rc < 0 ? -1
				 : read_entry(g, refs[i], &view[k], end - range[k].off,
					      &need[left], &out[i], e);
		if (got > 0)
			todo[left++] = i;
		rc = got < 0 ? -1 : rc;
		view_put(&view[k]);
	}
	*n_todo = left;
	return rc;
}

int idx_series_read(struct idx_reader *r, struct ctx *ctx, struct arena *a,
		    const uint32_t *refs, size_t n, const struct idx_series_req *req,
		    struct idx_series *out, struct err *e)
{
	struct reading g = { .r = r, .ctx = ctx, .a = a, .req = req };
	struct arena tmp;
	size_t todo_n = 0;
	int rc = -1;

	if (n == 0)
		return 0;
	arena_init(&tmp, ctx->budget);
	uint32_t *todo = arena_try(&tmp, ctx, n * sizeof(*todo), e);
	uint64_t *need = todo ? arena_try(&tmp, ctx, n * sizeof(*need), e) : NULL;
	struct range *range = need ? arena_try(&tmp, ctx, n * sizeof(*range), e) : NULL;
	struct view *view = range ? arena_try(&tmp, ctx, n * sizeof(*view), e) : NULL;
	if (!view)
		goto out;
	for (size_t i = 0; i < n; i++) {
		uint64_t off = (uint64_t)refs[i] * 16;
		if (off < r->series_off || off >= r->series_end) {
			bad_entry(&g, refs[i], &out[i], "outside the series section");
			continue;
		}
		uint64_t guess = FIRST_GUESS;
		if (i + 1 < n && refs[i + 1] > refs[i])
			guess = MIN(guess, ((uint64_t)refs[i + 1] - refs[i]) * 16);
		need[todo_n] = MIN(guess, r->series_end - off);
		todo[todo_n++] = (uint32_t)i;
	}
	/* A length cut in two costs a round, its body one more; then all is known. */
	rc = 0;
	while (rc == 0 && todo_n > 0)
		rc = read_round(&g, refs, todo, need, &todo_n, range, view, out, e);
out:
	arena_deinit(&tmp);
	return rc;
}

bool idx_series_labels(const struct idx_reader *r, const struct idx_series *s,
		       struct label *out)
{
	for (uint32_t i = 0; i < s->n_labels; i++) {
		bool bad = false;
		out[i].name = idx_symbol(r, s->label[i * 2], &bad);
		out[i].value = idx_symbol(r, s->label[i * 2 + 1], &bad);
		if (bad)
			return false;
	}
	return true;
}
