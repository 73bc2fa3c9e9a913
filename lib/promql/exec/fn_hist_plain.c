/*
 * promql/exec/fn_hist_plain.c - rates of histograms whose counter was not reset and whose buckets stayed the same: most windows.
 *
 * What an accumulator would do bucket by bucket is done in one pass into the result; spans are shared by the results that have them.
 */
#include "promql/exec/fn_hist.h"

#include "promql/exec/lanes.h"

static bool same_list(const void *a, const void *b, uint32_t n, size_t elem)
{
	return a == b || n == 0 || memcmp(a, b, n * elem) == 0;
}

static bool same_layout(const struct hist *a, const struct hist *b)
{
	if (a->schema != b->schema || a->n_pos != b->n_pos || a->n_neg != b->n_neg ||
	    a->n_pos_spans != b->n_pos_spans || a->n_neg_spans != b->n_neg_spans)
		return false;
	if (a->schema == HIST_CUSTOM ? a->n_bounds != b->n_bounds ||
					       !same_list(a->bounds, b->bounds,
							  a->n_bounds, sizeof(double))
				     : !(a->zero_threshold == b->zero_threshold))
		return false;
	return same_list(a->pos_spans, b->pos_spans, a->n_pos_spans,
			 sizeof(*a->pos_spans)) &&
	       same_list(a->neg_spans, b->neg_spans, a->n_neg_spans,
			 sizeof(*a->neg_spans));
}

static bool side_is_clear(const struct hist *h, const struct hist_span *spans, uint32_t n)
{
	return n == 0 || h->schema == HIST_CUSTOM || h->zero_threshold == 0 ||
	       hist_bound(spans[0].offset, h->schema) > h->zero_threshold;
}

/* Runs of buckets that are kept (all of them if v is NULL), as spans. */
static uint32_t runs(const struct hist_span *spans, uint32_t n, const double *v,
		     struct hist_span *to)
{
	uint32_t made = 0, k = 0;
	int32_t index = 0, end = 0; /* behind the last one kept */
	for (uint32_t i = 0; i < n; i++) {
		index += spans[i].offset;
		for (uint32_t j = 0; j < spans[i].length; j++, index++, k++) {
			if (v && v[k] == 0)
				continue;
			if (made == 0 || index != end) {
				if (to)
					to[made] = (struct hist_span){ index - end, 0 };
				made++;
			}
			if (to)
				to[made - 1].length++;
			end = index + 1;
		}
	}
	return made;
}

static int put_runs(struct hist_range *r, const struct hist_span *spans, uint32_t n,
		    const double *v, const struct hist_span **out, uint32_t *n_out)
{
	*n_out = runs(spans, n, v, NULL);
	struct hist_span *to = arena_try(r->env->arena, r->env->x->ctx,
					 *n_out * sizeof(*to) + 1, r->env->e);
	if (!to)
		return -1;
	runs(spans, n, v, to);
	*out = to;
	return 0;
}

/* What results of this layout share. */
static int know_layout(struct hist_range *r, const struct hist *h)
{
	struct hist_plain *p = &r->plain;
	if (p->of && same_layout(p->of, h)) {
		p->of = h;
		return 0;
	}
	p->of = h;
	p->clear = side_is_clear(h, h->pos_spans, h->n_pos_spans) &&
		   side_is_clear(h, h->neg_spans, h->n_neg_spans);
	if (h->schema == HIST_CUSTOM) {
		size_t bytes = h->n_bounds * sizeof(*h->bounds);
		double *own =
			arena_try(r->env->arena, r->env->x->ctx, bytes + 1, r->env->e);
		if (!own)
			return -1;
		if (bytes)
			memcpy(own, h->bounds, bytes);
		p->bounds = own;
	}
	if (put_runs(r, h->pos_spans, h->n_pos_spans, NULL, &p->spans[0],
		     &p->n_spans[0]) < 0)
		return -1;
	return put_runs(r, h->neg_spans, h->n_neg_spans, NULL, &p->spans[1],
			&p->n_spans[1]);
}

int hist_range_is_plain(struct hist_range *r, const struct window *w)
{
	const struct hist *first = r->s->h[w->lo], *last = r->s->h[w->hi - 1];
	if (!r->uniform || !same_layout(first, last))
		return 0;
	if (hist_range_resets(r) < 0)
		return -1;
	if (bits_next(r->reset, (uint32_t)w->lo + 1, (uint32_t)w->hi) < w->hi)
		return 0;
	return know_layout(r, last) < 0 ? -1 : r->plain.clear;
}

/* (b - a) * f; is any of them 0? */
static bool scaled_difference(const double *b, const double *a, double f, uint32_t n,
			      double *out)
{
	const lanes by = (lanes){ 0 } + f, zero = { 0 };
	lanes_mask any = { 0 };
	uint32_t i = 0;
	for (; i + LANES <= n; i += LANES) {
		lanes v = (lanes_load(b + i) - lanes_load(a + i)) * by;
		any |= v == zero;
		lanes_store(out + i, v);
	}
	bool last = false;
	for (; i < n; i++) {
		out[i] = (b[i] - a[i]) * f;
		last |= out[i] == 0;
	}
	return last || any[0] || any[1];
}

static uint32_t drop_zeros(double *v, uint32_t n)
{
	uint32_t k = 0;
	for (uint32_t i = 0; i < n; i++)
		if (v[i] != 0)
			v[k++] = v[i];
	return k;
}

static int put_side(struct hist_range *r, const struct hist_span *all, uint32_t n_all,
		    int side, double *v, bool zeros, const struct hist_span **spans,
		    uint32_t *n_spans, uint32_t *n)
{
	*spans = r->plain.spans[side];
	*n_spans = r->plain.n_spans[side];
	if (!zeros)
		return 0;
	if (put_runs(r, all, n_all, v, spans, n_spans) < 0)
		return -1;
	*n = drop_zeros(v, *n);
	return 0;
}

const struct hist *hist_range_plain(struct hist_range *r, const struct window *w,
				    double factor)
{
	const struct hist *a = r->s->h[w->lo], *b = r->s->h[w->hi - 1];
	size_t n = (size_t)b->n_pos + b->n_neg;
	struct hist *h = arena_try(r->env->arena, r->env->x->ctx,
				   sizeof(*h) + n * sizeof(double), r->env->e);
	if (!h)
		return NULL;
	double *v = (double *)(h + 1);
	*h = (struct hist){ .schema = b->schema,
			    .hint = HIST_GAUGE,
			    .count = (b->count - a->count) * factor,
			    .sum = (b->sum - a->sum) * factor,
			    .pos = v,
			    .neg = v + b->n_pos,
			    .n_pos = b->n_pos,
			    .n_neg = b->n_neg };
	if (b->schema == HIST_CUSTOM) {
		h->bounds = r->plain.bounds;
		h->n_bounds = b->n_bounds;
	} else {
		h->zero_threshold = b->zero_threshold;
		h->zero_count = (b->zero_count - a->zero_count) * factor;
	}
	bool pos = scaled_difference(b->pos, a->pos, factor, b->n_pos, v),
	     neg = scaled_difference(b->neg, a->neg, factor, b->n_neg, v + b->n_pos);
	if (put_side(r, b->pos_spans, b->n_pos_spans, 0, v, pos, &h->pos_spans,
		     &h->n_pos_spans, &h->n_pos) < 0 ||
	    put_side(r, b->neg_spans, b->n_neg_spans, 1, v + b->n_pos, neg, &h->neg_spans,
		     &h->n_neg_spans, &h->n_neg) < 0)
		return NULL;
	return h;
}
