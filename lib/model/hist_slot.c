/*
 * model/hist_slot.c - histograms at rest.
 *
 * Most sums of a query get histograms of the layout they have already, or of a part of it: rates leave out buckets in which nothing
 * came. Compensations are widened to doubles in a buffer of the shelf, added to there, and put back as floats if all of them still
 * fit; else this slot's are doubles from then on.
 */
#include "model/hist_slot.h"

#include <math.h>
#include <string.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "model/hist_walk.h"

#define HEAD	      3 /* zero count, count, sum */
#define SCRATCH_BYTES ((size_t)256 << 10)
#define LANES	      2
typedef double lanes __attribute__((vector_size(8 * LANES)));
typedef long long lanes_mask __attribute__((vector_size(8 * LANES)));
typedef float lanes_half __attribute__((vector_size(4 * LANES)));

struct slot_layout {
	struct slot_layout *next; /* of equal hash */
	int32_t schema;
	double zero_threshold;
	uint32_t n_pos, n_neg, n_pos_spans, n_neg_spans;
	const int32_t *pos, *neg; /* indices */
	const struct hist_span *pos_spans, *neg_spans;
	const double *bounds;
	uint32_t n_bounds;
	bool clear; /* no bucket begins inside the zero bucket */
};

void hist_shelf_init(struct hist_shelf *s, struct ctx *ctx)
{
	*s = (struct hist_shelf){ .ctx = ctx };
	arena_init(&s->arena, ctx->budget);
	arena_init(&s->scratch, ctx->budget);
	hist_work_init(&s->work, &s->scratch);
	hist_acc_init(&s->acc, &s->work);
	map64_init(&s->layouts);
}

void hist_shelf_deinit(struct hist_shelf *s)
{
	arena_deinit(&s->arena);
	arena_deinit(&s->scratch);
	map64_deinit(&s->layouts);
}

/* What accumulators outgrew lies in the scratch memory; nothing there is needed between two histograms. */
static void tidy(struct hist_shelf *s)
{
	if (LIKELY(s->scratch.total <= SCRATCH_BYTES + s->cap * sizeof(*s->lost)))
		return;
	arena_reset(&s->scratch);
	hist_work_init(&s->work, &s->scratch);
	hist_acc_init(&s->acc, &s->work);
	s->lost = NULL;
	s->cap = 0;
}

/* Room for as many compensations. */
static int reserve(struct hist_shelf *s, size_t n, struct err *e)
{
	if (LIKELY(n <= s->cap))
		return 0;
	s->lost = arena_try(&s->scratch, s->ctx, n * sizeof(*s->lost), e);
	s->cap = s->lost ? n : 0;
	return s->lost ? 0 : -1;
}

/* ---- blocks ---- */

static void *block_take(struct hist_shelf *s, size_t words, struct err *e)
{
	void *p = words <= SLOT_WORDS_MAX ? s->unused[words] : NULL;
	if (!p)
		return arena_try(&s->arena, s->ctx, words * 8, e);
	s->unused[words] = *(void **)p;
	return p;
}

static void block_give(struct hist_shelf *s, void *p, size_t words)
{
	if (!p || words > SLOT_WORDS_MAX)
		return;
	*(void **)p = s->unused[words];
	s->unused[words] = p;
}

static size_t numbers_of(const struct slot_layout *l)
{
	return HEAD + (size_t)l->n_pos + l->n_neg;
}

static size_t lost_words(const struct hist_slot *x)
{
	size_t n = numbers_of(x->layout);
	return x->wide ? n : (n + 1) / 2;
}

static void drop_lost(struct hist_shelf *s, struct hist_slot *x)
{
	if (x->lost)
		block_give(s, x->lost, lost_words(x));
	x->lost = NULL;
	x->wide = false;
}

/* ---- what was lost ---- */

static void lost_load(const struct hist_slot *x, size_t n, double *to)
{
	const float *f = x->lost;
	if (!x->lost)
		memset(to, 0, n * sizeof(*to));
	else if (x->wide)
		memcpy(to, x->lost, n * sizeof(*to));
	else
		for (size_t i = 0; i < n; i++)
			to[i] = (double)f[i];
}

/* Floats, if they hold all of it. */
static bool narrow(const double *v, size_t n, float *to)
{
	bool same = true;
	size_t i = 0;
	for (; i + LANES <= n; i += LANES) {
		lanes x;
		memcpy(&x, v + i, sizeof(x));
		lanes_half f = __builtin_convertvector(x, lanes_half);
		lanes_mask m = __builtin_convertvector(f, lanes) == x;
		memcpy(to + i, &f, sizeof(f));
		same &= (m[0] & m[1]) != 0;
	}
	for (; i < n; i++) {
		to[i] = (float)v[i];
		same &= (double)to[i] == v[i];
	}
	return same;
}

static bool any_lost(const double *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i] != 0)
			return true;
	return false;
}

static int lost_save(struct hist_shelf *s, struct hist_slot *x, const double *v, size_t n,
		     struct err *e)
{
	if (!x->lost && !any_lost(v, n))
		return 0;
	if (!x->lost && !(x->lost = block_take(s, lost_words(x), e)))
		return -1;
	if (!x->wide && narrow(v, n, x->lost))
		return 0;
	if (!x->wide) {
		drop_lost(s, x);
		x->wide = true;
		if (!(x->lost = block_take(s, lost_words(x), e)))
			return -1;
	}
	memcpy(x->lost, v, n * sizeof(*v));
	return 0;
}

/* ---- layouts ---- */

static bool same_indices(const int32_t *index, uint32_t n, const struct hist_side *s)
{
	return n == s->n && (n == 0 || memcmp(index, s->index, n * sizeof(*index)) == 0);
}

static bool is_layout_of(const struct slot_layout *l, const struct hist_acc *x)
{
	return l && l->schema == x->schema &&
	       memcmp(&l->zero_threshold, &x->zero_threshold, sizeof(double)) == 0 &&
	       same_indices(l->pos, l->n_pos, &x->pos) &&
	       same_indices(l->neg, l->n_neg, &x->neg) &&
	       (l->schema != HIST_CUSTOM ||
		same_bounds(l->bounds, l->n_bounds, x->bounds, x->n_bounds));
}

static uint64_t hash_of(const struct hist_acc *x)
{
	struct {
		double zero_threshold;
		int64_t schema;
		uint32_t n_pos, n_neg;
	} head = { x->zero_threshold, x->schema, x->pos.n, x->neg.n };
	uint64_t h = hash_xx64(&head, sizeof(head), 0);
	h = hash_xx64(x->pos.index, x->pos.n * sizeof(*x->pos.index), h);
	h = hash_xx64(x->neg.index, x->neg.n * sizeof(*x->neg.index), h);
	if (x->schema == HIST_CUSTOM)
		h = hash_xx64(x->bounds, x->n_bounds * sizeof(*x->bounds), h);
	return h;
}

/* Runs of indices; NULL: they are only counted. */
static uint32_t runs_of(const int32_t *index, uint32_t n, struct hist_span *to)
{
	uint32_t runs = 0;
	int32_t end = 0; /* behind the last one */
	for (uint32_t i = 0; i < n; i++) {
		if (i == 0 || index[i] != end) {
			if (to)
				to[runs] = (struct hist_span){ index[i] - end, 0 };
			runs++;
		}
		if (to)
			to[runs - 1].length++;
		end = index[i] + 1;
	}
	return runs;
}

static bool is_clear(const struct hist_acc *x, const struct hist_side *s)
{
	return s->n == 0 || x->schema == HIST_CUSTOM || x->zero_threshold == 0 ||
	       hist_bound(s->index[0], x->schema) > x->zero_threshold;
}

static struct slot_layout *layout_new(struct hist_shelf *s, const struct hist_acc *x,
				      struct err *e)
{
	uint32_t n_pos = x->pos.n, n_neg = x->neg.n,
		 pos_runs = runs_of(x->pos.index, n_pos, NULL),
		 neg_runs = runs_of(x->neg.index, n_neg, NULL),
		 n_bounds = x->schema == HIST_CUSTOM ? x->n_bounds : 0;
	struct slot_layout *l =
		arena_try(&s->arena, s->ctx,
			  sizeof(*l) + (size_t)n_bounds * sizeof(double) +
				  ((size_t)pos_runs + neg_runs) *
					  sizeof(struct hist_span) +
				  ((size_t)n_pos + n_neg) * sizeof(int32_t),
			  e);
	if (!l)
		return NULL;
	double *bounds = (double *)(l + 1);
	struct hist_span *spans = (struct hist_span *)(bounds + n_bounds);
	int32_t *index = (int32_t *)(spans + pos_runs + neg_runs);
	if (n_bounds)
		memcpy(bounds, x->bounds, n_bounds * sizeof(*bounds));
	if (n_pos)
		memcpy(index, x->pos.index, n_pos * sizeof(*index));
	if (n_neg)
		memcpy(index + n_pos, x->neg.index, n_neg * sizeof(*index));
	runs_of(index, n_pos, spans);
	runs_of(index + n_pos, n_neg, spans + pos_runs);
	*l = (struct slot_layout){ .schema = x->schema,
				   .zero_threshold = x->zero_threshold,
				   .n_pos = n_pos,
				   .n_neg = n_neg,
				   .n_pos_spans = pos_runs,
				   .n_neg_spans = neg_runs,
				   .pos = index,
				   .neg = index + n_pos,
				   .pos_spans = spans,
				   .neg_spans = spans + pos_runs,
				   .bounds = bounds,
				   .n_bounds = n_bounds,
				   .clear =
					   is_clear(x, &x->pos) && is_clear(x, &x->neg) };
	return l;
}

static const struct slot_layout *layout_of(struct hist_shelf *s, const struct hist_acc *x,
					   struct err *e)
{
	if (is_layout_of(s->last, x))
		return s->last;
	uint64_t hash = hash_of(x);
	uintptr_t at = 0;
	(void)map64_get(&s->layouts, hash, &at);
	struct slot_layout *l = (struct slot_layout *)at;
	while (l && !is_layout_of(l, x))
		l = l->next;
	if (!l) {
		l = layout_new(s, x, e);
		if (!l)
			return NULL;
		l->next = (struct slot_layout *)at;
		map64_set(&s->layouts, hash, (uintptr_t)l);
	}
	return s->last = l;
}

/* ---- slots and the accumulator ---- */

static void side_load(struct hist_side *to, struct arena *a, const int32_t *index,
		      const double *v, const double *c, uint32_t n)
{
	side_reserve(to, a, n);
	to->n = n;
	if (n == 0)
		return;
	memcpy(to->index, index, n * sizeof(*index));
	memcpy(to->v, v, n * sizeof(*v));
	memcpy(to->c, c, n * sizeof(*c));
}

int hist_slot_load(struct hist_shelf *s, const struct hist_slot *x, struct err *e)
{
	const struct slot_layout *l = x->layout;
	struct hist_acc *a = &s->acc;
	size_t n = numbers_of(l);
	tidy(s);
	if (reserve(s, n, e) < 0)
		return -1;
	lost_load(x, n, s->lost);
	a->schema = l->schema;
	a->hint = x->hint;
	a->compensated = x->compensated;
	a->zero_threshold = l->zero_threshold;
	a->zero_count = x->v[0];
	a->count = x->v[1];
	a->sum = x->v[2];
	a->zero_c = s->lost[0];
	a->count_c = s->lost[1];
	a->sum_c = s->lost[2];
	a->bounds = l->bounds;
	a->n_bounds = l->n_bounds;
	side_load(&a->pos, &s->scratch, l->pos, x->v + HEAD, s->lost + HEAD, l->n_pos);
	side_load(&a->neg, &s->scratch, l->neg, x->v + HEAD + l->n_pos,
		  s->lost + HEAD + l->n_pos, l->n_neg);
	return 0;
}

/* The slot has room for the layout, and lost nothing. */
static int place(struct hist_shelf *s, struct hist_slot *x, const struct slot_layout *l,
		 struct err *e)
{
	if (x->layout == l)
		return 0;
	size_t had = x->v ? numbers_of(x->layout) : 0, n = numbers_of(l);
	drop_lost(s, x);
	if (had != n) {
		block_give(s, x->v, had);
		if (!(x->v = block_take(s, n, e)))
			return -1;
	}
	x->layout = l;
	return 0;
}

int hist_slot_save(struct hist_shelf *s, struct hist_slot *x, struct err *e)
{
	const struct hist_acc *a = &s->acc;
	const struct slot_layout *l = x->layout;
	if (!is_layout_of(l, a) && !(l = layout_of(s, a, e)))
		return -1;
	size_t n = numbers_of(l);
	if (place(s, x, l, e) < 0 || reserve(s, n, e) < 0)
		return -1;
	x->hint = a->hint;
	x->compensated = a->compensated;
	x->v[0] = a->zero_count;
	x->v[1] = a->count;
	x->v[2] = a->sum;
	s->lost[0] = a->zero_c;
	s->lost[1] = a->count_c;
	s->lost[2] = a->sum_c;
	if (l->n_pos) {
		memcpy(x->v + HEAD, a->pos.v, l->n_pos * sizeof(double));
		memcpy(s->lost + HEAD, a->pos.c, l->n_pos * sizeof(double));
	}
	if (l->n_neg) {
		memcpy(x->v + HEAD + l->n_pos, a->neg.v, l->n_neg * sizeof(double));
		memcpy(s->lost + HEAD + l->n_pos, a->neg.c, l->n_neg * sizeof(double));
	}
	return lost_save(s, x, s->lost, n, e);
}

static bool same_spans(const struct hist_span *a, uint32_t na, const struct hist_span *b,
		       uint32_t nb)
{
	return na == nb && (na == 0 || memcmp(a, b, na * sizeof(*a)) == 0);
}

/* No zero bucket, schema or bounds to reconcile. */
static bool is_alike(const struct slot_layout *l, const struct hist *h)
{
	if (!l || h->schema != l->schema)
		return false;
	if (l->schema == HIST_CUSTOM)
		return same_bounds(l->bounds, l->n_bounds, h->bounds, h->n_bounds);
	return l->zero_threshold == h->zero_threshold;
}

static bool is_same(const struct slot_layout *l, const struct hist *h)
{
	return l->n_pos == h->n_pos && l->n_neg == h->n_neg &&
	       same_spans(l->pos_spans, l->n_pos_spans, h->pos_spans, h->n_pos_spans) &&
	       same_spans(l->neg_spans, l->n_neg_spans, h->neg_spans, h->n_neg_spans);
}

int hist_slot_set(struct hist_shelf *s, struct hist_slot *x, const struct hist *h,
		  struct err *e)
{
	const struct slot_layout *l = s->last;
	if (!is_alike(l, h) || !is_same(l, h)) {
		tidy(s);
		hist_acc_set(&s->acc, h);
		return hist_slot_save(s, x, e);
	}
	if (place(s, x, l, e) < 0)
		return -1;
	x->hint = h->hint;
	x->compensated = false;
	x->v[0] = l->schema == HIST_CUSTOM ? 0 : h->zero_count;
	x->v[1] = h->count;
	x->v[2] = h->sum;
	if (l->n_pos)
		memcpy(x->v + HEAD, h->pos, l->n_pos * sizeof(double));
	if (l->n_neg)
		memcpy(x->v + HEAD + l->n_pos, h->neg, l->n_neg * sizeof(double));
	return 0;
}

/* ---- additions in place ---- */

static void add_run(const double *v, size_t n, double *sum, double *lost)
{
	const lanes_mask sign = (lanes_mask){ 0 } + INT64_MIN;
	const lanes inf = (lanes){ 0 } + (double)INFINITY;
	size_t i = 0;
	for (; i + LANES <= n; i += LANES) { /* kahan, without a branch */
		lanes x, s, c;
		memcpy(&x, v + i, sizeof(x));
		memcpy(&s, sum + i, sizeof(s));
		memcpy(&c, lost + i, sizeof(c));
		lanes t = s + x, abs_s = (lanes)((lanes_mask)s & ~sign),
		      abs_x = (lanes)((lanes_mask)x & ~sign),
		      abs_t = (lanes)((lanes_mask)t & ~sign);
		lanes_mask more = abs_s >= abs_x;
		lanes big = (lanes)(((lanes_mask)s & more) | ((lanes_mask)x & ~more)),
		      less = (lanes)(((lanes_mask)x & more) | ((lanes_mask)s & ~more));
		c += (big - t) + less;
		c = (lanes)((lanes_mask)c & ~(abs_t == inf));
		memcpy(sum + i, &t, sizeof(t));
		memcpy(lost + i, &c, sizeof(c));
	}
	for (; i < n; i++)
		kahan(v[i], &sum[i], &lost[i]);
}

/* Adds the buckets of a side; add NULL: are they all there? */
static bool side_runs(const int32_t *index, uint32_t n, const struct hist_span *spans,
		      uint32_t n_spans, const double *v, double *sum, double *lost)
{
	int32_t to = 0;
	uint32_t at = 0;
	for (uint32_t i = 0; i < n_spans; i++) {
		uint32_t len = spans[i].length;
		to += spans[i].offset;
		if (len == 0)
			continue;
		while (at < n && index[at] < to)
			at++;
		if (len > n - at || index[at] != to ||
		    index[at + len - 1] != to + (int32_t)len - 1)
			return false;
		if (sum) {
			add_run(v, len, sum + at, lost + at);
			v += len;
		}
		at += len;
		to += (int32_t)len;
	}
	return true;
}

static bool has_all(const struct slot_layout *l, const struct hist *h)
{
	return is_same(l, h) || (side_runs(l->pos, l->n_pos, h->pos_spans, h->n_pos_spans,
					   NULL, NULL, NULL) &&
				 side_runs(l->neg, l->n_neg, h->neg_spans, h->n_neg_spans,
					   NULL, NULL, NULL));
}

int hist_slot_add(struct hist_shelf *s, struct hist_slot *x, const struct hist *h,
		  unsigned *met, struct err *e)
{
	const struct slot_layout *l = x->layout;
	if (!l->clear || !is_alike(l, h) || !has_all(l, h)) {
		if (hist_slot_load(s, x, e) < 0)
			return -1;
		*met = hist_acc_add_compensated(&s->acc, h);
		return *met & HIST_INCOMPATIBLE ? 0 : hist_slot_save(s, x, e);
	}
	size_t n = numbers_of(l);
	double *v = x->v, head[HEAD] = { l->schema == HIST_CUSTOM ? 0 : h->zero_count,
					 h->count, h->sum };
	if (reserve(s, n, e) < 0)
		return -1;
	lost_load(x, n, s->lost);
	*met = hint_join(&x->hint, h->hint) ? HIST_COLLISION : 0;
	x->compensated = true;
	add_run(head, HEAD, v, s->lost);
	(void)side_runs(l->pos, l->n_pos, h->pos_spans, h->n_pos_spans, h->pos, v + HEAD,
			s->lost + HEAD);
	(void)side_runs(l->neg, l->n_neg, h->neg_spans, h->n_neg_spans, h->neg,
			v + HEAD + l->n_pos, s->lost + HEAD + l->n_pos);
	return lost_save(s, x, s->lost, n, e);
}

bool hist_slot_is_small(const struct hist_slot *x)
{
	return all_small(x->v, numbers_of(x->layout));
}

/* ---- results ---- */

/* Buckets that hold something move to the front; the spans of what is left lie in the arena of the shelf. */
static int show_side(struct hist_shelf *s, const int32_t *index, uint32_t n, double *v,
		     const struct hist_span **spans, uint32_t *n_spans, uint32_t *n_left,
		     struct err *e)
{
	uint32_t left = 0, runs = 0;
	int32_t end = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (v[i] == 0)
			continue;
		runs += left++ == 0 || index[i] != end;
		end = index[i] + 1;
	}
	*n_left = left;
	if (left == n)
		return 0;
	struct hist_span *to = arena_try(&s->arena, s->ctx, runs * sizeof(*to) + 1, e);
	if (!to)
		return -1;
	*spans = to;
	*n_spans = runs;
	end = 0;
	for (uint32_t i = 0, k = 0; i < n; i++) {
		if (v[i] == 0)
			continue;
		if (k == 0 || index[i] != end)
			*to++ = (struct hist_span){ index[i] - end, 0 };
		to[-1].length++;
		end = index[i] + 1;
		v[k++] = v[i];
	}
	return 0;
}

static int fold(struct hist_shelf *s, struct hist_slot *x, struct err *e)
{
	size_t n = numbers_of(x->layout);
	if (!x->compensated)
		return 0;
	if (!x->layout->clear) { /* not all of it counts */
		if (hist_slot_load(s, x, e) < 0)
			return -1;
		hist_acc_fold(&s->acc);
		return hist_slot_save(s, x, e);
	}
	if (reserve(s, n, e) < 0)
		return -1;
	lost_load(x, n, s->lost);
	for (size_t i = 0; i < n; i++)
		x->v[i] += s->lost[i];
	x->compensated = false;
	return 0;
}

int hist_slot_end(struct hist_shelf *s, struct hist_slot *x, struct hist *out,
		  struct err *e)
{
	if (fold(s, x, e) < 0)
		return -1;
	const struct slot_layout *l = x->layout;
	*out = (struct hist){ .schema = l->schema,
			      .hint = x->hint,
			      .zero_threshold = l->zero_threshold,
			      .zero_count = x->v[0],
			      .count = x->v[1],
			      .sum = x->v[2],
			      .pos = x->v + HEAD,
			      .neg = x->v + HEAD + l->n_pos,
			      .pos_spans = l->pos_spans,
			      .neg_spans = l->neg_spans,
			      .n_pos_spans = l->n_pos_spans,
			      .n_neg_spans = l->n_neg_spans,
			      .bounds = l->n_bounds ? l->bounds : NULL,
			      .n_bounds = l->n_bounds };
	if (show_side(s, l->pos, l->n_pos, x->v + HEAD, &out->pos_spans,
		      &out->n_pos_spans, &out->n_pos, e) < 0)
		return -1;
	return show_side(s, l->neg, l->n_neg, x->v + HEAD + l->n_pos, &out->neg_spans,
			 &out->n_neg_spans, &out->n_neg, e);
}
