/*
 * tsdb/block/series.c - a block as a series_set: from matchers to items in order.
 *
 *   postings -> entries (batch) -> items: labels shown, chunk references -> hold-back -> ready
 *                                                    ready -> chunks (batch) -> series shown
 *
 * Order. Entries come in the order of the series' own labels. Adding constant labels moves a series
 * only behind those that extend it: {a=1} with z=9 added stands behind {a=1,b=2}. So each item is held
 * back until one arrives that is greater. What is held forms a stack: an arriving item is either
 * greater than the top, which is then shown, or less, and goes on top; all that is held extends one
 * another, so the stack is as deep as label sets nest. Where labels are left out, or an external
 * label takes the place of a series' own, entries are sorted first (sort.c), and series that became
 * equal meet here and are joined.
 *
 * Memory. One batch of entries and one batch of chunks at a time, each bounded by the bytes a read
 * may fetch. Held items are moved to the next batch's arena when it turns.
 */
#include "tsdb/block/set_int.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "base/vec.h"

#define FIRST_BATCH	32    /* entries are read no more at once unless reads are slow */
#define MANY_CHUNKS	32768 /* chunk references in a batch: the next is smaller */
#define SAMPLES_A_CHUNK 120

/* ---- items ---- */

static struct str symbol(struct block_set *s, uint32_t ordinal)
{
	struct set_memo *m = &s->memo[ordinal % SET_MEMO];
	bool bad = false;

	if (m->ordinal != ordinal || !m->s.p) {
		m->s = idx_symbol(s->b->index, ordinal, &bad);
		m->ordinal = ordinal;
	}
	return m->s;
}

/* Own labels with the external ones between them, which win: ordinals compare like the strings. */
static int item_labels(struct block_set *s, struct ctx *ctx, const struct idx_series *in,
		       struct labels *out, struct err *e)
{
	size_t room = (size_t)in->n_labels + s->ext.n + 1;
	struct label *l = arena_try(&s->batch[s->cur], ctx, room * sizeof(*l), e);
	uint32_t n = 0, k = 0;

	if (!l)
		return -1;
	for (uint32_t i = 0; i < in->n_labels; i++) {
		uint32_t name = in->label[i * 2];
		if (s->n_drop && block_is_dropped(s->drop, s->n_drop, name))
			continue;
		while (k < s->ext.n && s->ext_at[k] <= name)
			l[n++] = s->ext.l[k++];
		if (k && s->ext_at[k - 1] == name &&
		    str_eq(symbol(s, name), s->ext.l[k - 1].name))
			continue; /* a name that is missing among the index's names */
		l[n].name = symbol(s, name);
		l[n++].value = symbol(s, in->label[i * 2 + 1]);
	}
	while (k < s->ext.n)
		l[n++] = s->ext.l[k++];
	*out = (struct labels){ .l = l, .n = n };
	return 0;
}

static bool in_shard(const struct block_set *s, struct labels ls)
{
	const struct shard_info_in *sh = &s->req->shard;

	if (sh->total <= 0)
		return true;
	uint64_t h = labels_hash_subset(ls, sh->labels, sh->n, sh->by);
	return h % (uint64_t)sh->total == (uint64_t)sh->index;
}

/* Chunk references of an entry, without those wholly under a tombstone. */
static int item_chunks(struct block_set *s, struct ctx *ctx, uint32_t ref,
		       const struct idx_series *in, struct block_item *it, struct err *e)
{
	size_t n_stones;
	const struct tombstone_range *r = tombstones_of(s->b->tombstones, ref, &n_stones);

	it->ref = ref;
	it->n = in->n_chunks;
	it->chunk = in->chunk;
	if (!in->chunk || n_stones == 0)
		return 0;
	struct idx_chunk *kept = arena_try(&s->batch[s->cur], ctx,
					   (size_t)in->n_chunks * sizeof(*kept), e);
	if (!kept)
		return -1;
	it->n = 0;
	it->chunk = kept;
	for (uint32_t i = 0; i < in->n_chunks; i++) {
		const struct idx_chunk *c = &in->chunk[i];
		if (block_cut_kind(r, n_stones, c->mint_ms, c->maxt_ms) != CUT_ALL)
			kept[it->n++] = *c;
	}
	return 0;
}

/* A copy of the chunks of x and, where there is one, of y behind them. */
static int join_chunks(struct ctx *ctx, struct arena *a, const struct block_item *x,
		       const struct block_item *y, struct block_item *out, struct err *e)
{
	const struct block_item *from[2] = { x, y };
	size_t n = (size_t)x->n + (y ? y->n : 0), at = 0;
	bool many = y || x->series;
	struct idx_chunk *c = arena_try(a, ctx, n * sizeof(*c), e);
	uint32_t *series = c && many ? arena_try(a, ctx, n * sizeof(*series), e) : NULL;

	if (!c || (many && !series))
		return -1;
	for (int k = 0; k < 2 && from[k]; k++) {
		memcpy(c + at, from[k]->chunk, from[k]->n * sizeof(*c));
		for (uint32_t i = 0; many && i < from[k]->n; i++)
			series[at + i] =
				from[k]->series ? from[k]->series[i] : from[k]->ref;
		at += from[k]->n;
	}
	out->chunk = c;
	out->series = series;
	return 0;
}

static struct block_item *item_copy(struct ctx *ctx, struct arena *a,
				    const struct block_item *from, struct err *e)
{
	size_t lb = from->labels.n * sizeof(struct label);
	struct block_item *it = arena_try(a, ctx, sizeof(*it), e);
	struct label *l = it ? arena_try(a, ctx, lb, e) : NULL;

	if (!l)
		return NULL;
	*it = *from;
	if (lb)
		memcpy(l, from->labels.l, lb);
	it->labels.l = l;
	if (from->chunk && join_chunks(ctx, a, from, NULL, it, e) < 0)
		return NULL;
	return it;
}

/* `to` is shown with the chunks of `more`, too. */
static int item_join(struct block_set *s, struct ctx *ctx, struct block_item *to,
		     const struct block_item *more, struct err *e)
{
	size_t n = (size_t)to->n + more->n;

	if (n > UINT32_MAX)
		return err_set(ctx, e, E_LIMIT, "too many chunks in a series");
	if (to->chunk && more->chunk &&
	    join_chunks(ctx, &s->batch[s->cur], to, more, to, e) < 0)
		return -1;
	to->n = (uint32_t)n;
	to->joined = true;
	return 0;
}

/* ---- hold-back ---- */

static int push_ready(struct block_set *s, struct ctx *ctx, struct block_item *it,
		      struct err *e)
{
	const struct block_series_req *q = s->req;

	s->n_series++;
	s->n_chunks += it->n;
	if (q->series_limit && s->n_series > q->series_limit)
		return err_set(ctx, e, E_LIMIT,
			       "block %s: more than the limit of %" PRIu64 " series",
			       s->b->id, q->series_limit);
	if (q->samples_limit && s->n_chunks > q->samples_limit / SAMPLES_A_CHUNK)
		return err_set(ctx, e, E_LIMIT,
			       "block %s: more than the limit of %" PRIu64 " samples",
			       s->b->id, q->samples_limit);
	if (s->n_ready == s->cap_ready)
		s->ready = vec_grow(s->ready, &s->cap_ready, s->n_ready + 1,
				    sizeof(*s->ready));
	s->ready[s->n_ready++] = it;
	return 0;
}

static int push_item(struct block_set *s, struct ctx *ctx, struct block_item *it,
		     struct err *e)
{
	if (!s->hold)
		return push_ready(s, ctx, it, e);
	while (s->n_held > 0) {
		struct block_item *top = s->held[s->n_held - 1];
		int c = labels_cmp(top->labels, it->labels);
		if (c == 0)
			return item_join(s, ctx, top, it, e);
		if (c > 0)
			break;
		s->n_held--;
		if (push_ready(s, ctx, top, e) < 0)
			return -1;
	}
	if (s->n_held == s->cap_held)
		s->held =
			vec_grow(s->held, &s->cap_held, s->n_held + 1, sizeof(*s->held));
	s->held[s->n_held++] = it;
	return 0;
}

/* Begin a new batch: what is held moves over, the rest of the old one is freed. */
static int turn_batch(struct block_set *s, struct ctx *ctx, struct err *e)
{
	struct arena *next = &s->batch[1 - s->cur];

	for (size_t i = 0; i < s->n_held; i++) {
		s->held[i] = item_copy(ctx, next, s->held[i], e);
		if (!s->held[i])
			return -1;
	}
	arena_reset(&s->batch[s->cur]);
	s->cur = 1 - s->cur;
	s->n_ready = s->at_ready = 0;
	return 0;
}

/* ---- entries ---- */

static int take_entry(struct block_set *s, struct ctx *ctx, uint32_t ref,
		      const struct idx_series *in, struct err *e)
{
	if (!idx_series_in_range(in))
		return 0;
	struct block_item *it = arena_try(&s->batch[s->cur], ctx, sizeof(*it), e);
	if (!it)
		return -1;
	*it = (struct block_item){ 0 };
	if (item_labels(s, ctx, in, &it->labels, e) < 0)
		return -1;
	if (!in_shard(s, it->labels))
		return 0;
	if (item_chunks(s, ctx, ref, in, it, e) < 0)
		return -1;
	return it->n ? push_item(s, ctx, it, e) : 0;
}

static size_t place_of(const uint32_t *sorted, size_t n, uint32_t ref)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (sorted[mid] < ref)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* How many entries are read next, after a batch with so many chunks. */
static void pace(struct block_set *s, size_t chunks, bool slow)
{
	size_t most = s->req->batch ? MIN(s->req->batch, BLOCK_BATCH_SERIES)
				    : BLOCK_BATCH_SERIES;

	if (chunks > MANY_CHUNKS)
		s->batch_max = MAX(s->batch_max / 2, 1);
	else if (slow || s->req->skip_chunks)
		s->batch_max = MIN(s->batch_max * 4, most);
	else if (s->batch_max > FIRST_BATCH)
		s->batch_max = MAX(s->batch_max / 4, FIRST_BATCH);
}

static int load_batch(struct block_set *s, struct ctx *ctx, struct err *e)
{
	uint32_t want[BLOCK_BATCH_SERIES], sorted[BLOCK_BATCH_SERIES];
	size_t n = MIN(s->total - s->at, s->batch_max), chunks = 0;
	bool skip = s->req->skip_chunks && !s->b->tombstones;

	if (turn_batch(s, ctx, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		want[i] = s->sorted ? s->sorted[s->at + i].ref : s->p.ref[s->at + i];
	n = block_entries_batch(want, n, n, sorted);
	struct arena *a = &s->batch[s->cur];
	struct idx_series *in = arena_try(a, ctx, n * sizeof(*in), e);
	uint64_t begin = time_mono_ns();
	if (!in || block_entries_read(s->b, ctx, a, sorted, n, s->req->mint_ms,
				      s->req->maxt_ms, skip, in, e) < 0)
		return -1;
	bool slow = time_mono_ns() - begin >= SET_SLOW_NS;
	for (size_t i = 0; i < n; i++) {
		size_t k = s->sorted ? place_of(sorted, n, want[i]) : i;
		if (take_entry(s, ctx, want[i], &in[k], e) < 0)
			return -1;
		chunks += in[k].n_chunks;
	}
	s->at += n;
	pace(s, chunks, slow);
	while (s->at == s->total && s->n_held > 0)
		if (push_ready(s, ctx, s->held[--s->n_held], e) < 0)
			return -1;
	return 0;
}

/* ---- the set ---- */

static int set_next(struct series_set *base, struct ctx *ctx,
		    const struct series_in **out, struct err *e)
{
	struct block_set *s = CONTAINER_OF(base, struct block_set, base);

	for (;;) {
		while (s->at_shown < s->n_shown) {
			const struct series_in *in = &s->shown[s->at_shown++];
			if (in->n == 0 && !s->req->skip_chunks)
				continue;
			*out = in;
			return 1;
		}
		int rc;
		if (s->at_ready < s->n_ready)
			rc = block_set_show(s, ctx, e);
		else if (s->at < s->total)
			rc = load_batch(s, ctx, e);
		else
			return 0;
		if (rc < 0)
			return -1;
	}
}

static void set_close(struct series_set *base)
{
	struct block_set *s = CONTAINER_OF(base, struct block_set, base);

	block_set_release(s);
	arena_deinit(&s->chunks);
	arena_deinit(&s->batch[0]);
	arena_deinit(&s->batch[1]);
	arena_deinit(&s->perm);
	free(s->held);
	free(s->ready);
	block_unref(s->b);
	free(s);
}

static const struct series_set_ops set_ops = { .next = set_next, .close = set_close };

/* The external labels that are shown, and the names left out of the series' own. */
static int plan_labels(struct block_set *s, struct ctx *ctx, struct err *e)
{
	const struct block_series_req *q = s->req;
	size_t names = q->n_without + q->external.n;
	struct label *l = arena_try(&s->perm, ctx, (q->external.n + 1) * sizeof(*l), e);

	s->drop = l ? arena_try(&s->perm, ctx, (names + 1) * sizeof(*s->drop), e) : NULL;
	if (!s->drop)
		return -1;
	s->ext = labels_drop(l, q->external, q->without, q->n_without);
	s->ext_at = arena_try(&s->perm, ctx, (s->ext.n + 1) * sizeof(*s->ext_at), e);
	if (!s->ext_at)
		return -1;
	for (uint32_t i = 0; i < s->ext.n; i++)
		s->ext_at[i] = idx_symbol_bound(s->b->index, s->ext.l[i].name);
	for (size_t i = 0; i < names; i++) {
		struct str name = i < q->n_without ? q->without[i]
						   : q->external.l[i - q->n_without].name;
		if (idx_find_name(s->b->index, name, &s->drop[s->n_drop]))
			s->n_drop++;
	}
	s->hold = s->ext.n > 0 || s->n_drop > 0;
	return 0;
}

static int plan_series(struct block_set *s, struct ctx *ctx, struct err *e)
{
	const struct block_series_req *q = s->req;

	if (idx_postings(s->b->index, ctx, &s->perm, q->matchers, q->n_matchers, &s->p,
			 e) < 0)
		return err_wrap(ctx, e, "block %s: index", s->b->id);
	s->total = s->p.n;
	if (s->n_drop == 0)
		return 0;
	return block_sort(s->b, ctx, &s->perm, s->p, s->drop, s->n_drop, q->mint_ms,
			  q->maxt_ms, &s->sorted, &s->total, e);
}

int block_series(struct block *b, struct ctx *ctx, const struct block_series_req *req,
		 struct series_set **out, struct err *e)
{
	struct block_set *s = xcalloc(1, sizeof(*s));

	s->base.ops = &set_ops;
	s->b = block_ref(b);
	s->req = req;
	s->batch_max = req->batch ? MIN(req->batch, FIRST_BATCH) : FIRST_BATCH;
	s->show_bytes = SET_SHOW_LEAST;
	arena_init(&s->perm, ctx->budget);
	arena_init(&s->batch[0], ctx->budget);
	arena_init(&s->batch[1], ctx->budget);
	arena_init(&s->chunks, ctx->budget);
	if (plan_labels(s, ctx, e) < 0 || plan_series(s, ctx, e) < 0) {
		set_close(&s->base);
		return -1;
	}
	*out = &s->base;
	return 0;
}
