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
 * again at its full length, all of it in one call. Entries that lie one behind another are one range. A damaged entry is reported and passed over: the
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
#define FEW_CHUNKS  32 /* so many are kept from counting them */

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
		uint64_t name = rd_uvarint_short(r), value = rd_uvarint_short(r);
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

static inline const char *walk_chunk(struct chunk_walk *w, struct idx_chunk *c)
{
	uint64_t u[3]; /* since the end of the one before, length, bytes since it */
	rd_uvarint3(&w->r, u);
	uint64_t span = u[1], ref = u[2], mint = (uint64_t)w->maxt + u[0];

	if (w->i == 0)
		mint = (uint64_t)rd_unzigzag(u[0]);
	else
		ref = w->ref + (uint64_t)rd_unzigzag(ref);
	*c = (struct idx_chunk){ (int64_t)mint, (int64_t)(mint + span), ref };
	if (UNLIKELY(w->r.bad))
		return "chunks cut short";
	if (UNLIKELY(span > (uint64_t)INT64_MAX - mint))
		return "chunk times overflow";
	w->ref = ref;
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

static inline bool in_range(const struct idx_series_req *q, const struct idx_chunk *c)
{
	return c->maxt_ms >= q->mint_ms && c->mint_ms <= q->maxt_ms;
}

/* The chunks in range from where `w` stands on; the entry was walked to its end before. */
static void decode_again(const struct idx_series_req *q, struct chunk_walk w,
			 struct idx_chunk *out, uint32_t n)
{
	for (uint32_t k = 0; k < n;)
		if (!walk_chunk(&w, &out[k]) && in_range(q, &out[k]))
			k++;
}

/*
 * Those in range are counted first: most may be out of it. Few are kept meanwhile; more are decoded again, from the
 * first of them.
 */
static const char *read_chunks(struct reading *g, struct rd *r, struct idx_series *out,
			       struct err *e)
{
	const struct idx_series_req *q = g->req;
	uint64_t n = rd_uvarint(r);
	struct chunk_walk w = { .r = *r }, from = w;
	struct idx_chunk few[FEW_CHUNKS + 1], *c = few;
	uint32_t hits = 0;
	bool ascend = true;
	int64_t before = INT64_MIN;

	if (r->bad || n > rd_left(r) / 3)
		return "chunk count beyond the entry";
	while (w.i < n) {
		if (hits == 0)
			from = w;
		const char *what = walk_chunk(&w, c);
		if (UNLIKELY(what))
			return what;
		if (!in_range(q, c))
			continue;
		ascend &= before <= c->mint_ms;
		before = c->mint_ms;
		c += ++hits <= FEW_CHUNKS; /* the last takes all that is not kept */
	}
	out->n_chunks = hits;
	if (q->skip_chunks || hits == 0)
		return NULL;
	struct idx_chunk *chunk =
		arena_try(g->a, g->ctx, (size_t)hits * sizeof(*chunk), e);
	if (!chunk)
		return "";
	out->chunk = chunk;
	if (hits <= FEW_CHUNKS)
		memcpy(chunk, few, hits * sizeof(*chunk));
	else
		decode_again(q, from, chunk, hits);
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
 * Read the entry at p, of which n bytes are there. 1: they are too few, *need is what it takes; 0: done, well or
 * damaged; -1: out of memory. `rest` is how far the file goes from the entry's start.
 */
static int read_entry(struct reading *g, uint32_t ref, const uint8_t *p, uint64_t n,
		      uint64_t rest, uint64_t *need, struct idx_series *out,
		      struct err *e)
{
	struct rd r = { p, p + n, false };
	uint64_t len = rd_uvarint_short(&r);

	if (r.bad && n < LEN_MAX && n < rest) {
		*need = MIN(rest, LEN_MAX);
		return 1;
	}
	if (r.bad) {
		bad_entry(g, ref, out, "length is no number");
		return 0;
	}
	uint64_t head = n - rd_left(&r);
	if (len > LIMIT_SERIES_ENTRY_BYTES || head + len + 4 > rest) {
		bad_entry(g, ref, out, "length beyond the file");
		return 0;
	}
	if (head + len + 4 > n) {
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

struct wanted {
	uint32_t i;   /* place in refs */
	uint32_t run; /* range that it lies in */
	uint64_t len; /* bytes to read */
};

/* The ranges of todo[0..n). */
static size_t plan_ranges(const uint32_t *refs, struct wanted *todo, size_t n,
			  struct range *range)
{
	size_t runs = 0;

	for (size_t k = 0; k < n; k++) {
		uint64_t off = (uint64_t)refs[todo[k].i] * 16, end = off + todo[k].len;
		struct range *last = &range[runs ? runs - 1 : 0];
		if (runs && off >= last->off && off <= last->off + last->len) {
			last->len = MAX(last->len, end - last->off);
		} else {
			range[runs++] = (struct range){ off, todo[k].len };
		}
		todo[k].run = (uint32_t)(runs - 1);
	}
	return runs;
}

/* One round of reads. What was cut stays in todo[], with its length. */
static int read_round(struct reading *g, const uint32_t *refs, struct wanted *todo,
		      size_t *n_todo, struct range *range, struct view *view,
		      struct idx_series *out, struct err *e)
{
	size_t n = *n_todo, left = 0, runs = plan_ranges(refs, todo, n, range);
	uint64_t end = g->r->series_end;
	int rc = 0;

	if (range_source_read(g->r->index, g->ctx, range, runs, view, e) < 0)
		return err_wrap(g->ctx, e, "series");
	for (size_t k = 0; rc >= 0 && k < n; k++) {
		struct wanted w = todo[k];
		const struct view *v = &view[w.run];
		uint64_t off = (uint64_t)refs[w.i] * 16, at = off - range[w.run].off;
		rc = read_entry(g, refs[w.i], v->p + at, v->n - at, end - off, &w.len,
				&out[w.i], e);
		if (rc > 0)
			todo[left++] = w;
	}
	for (size_t k = 0; k < runs; k++)
		view_put(&view[k]);
	*n_todo = left;
	return rc < 0 ? -1 : 0;
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
	tmp.first =
		n * (sizeof(struct wanted) + sizeof(struct range) + sizeof(struct view)) +
		256;
	struct wanted *todo = arena_try(&tmp, ctx, n * sizeof(*todo), e);
	struct range *range = todo ? arena_try(&tmp, ctx, n * sizeof(*range), e) : NULL;
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
		todo[todo_n++] = (struct wanted){ (uint32_t)i, 0,
						  MIN(guess, r->series_end - off) };
	}
	/* A length cut in two costs a round, its body one more; then all is known. */
	rc = 0;
	while (rc == 0 && todo_n > 0)
		rc = read_round(&g, refs, todo, &todo_n, range, view, out, e);
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
