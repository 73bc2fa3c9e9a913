/*
 * promql/exec/fn_hist_slide.c - the sum of the histograms of a window that slides: what comes in is added, what goes out is taken
 * away again.
 *
 * That is exact while all counts are whole numbers below 2^53, and then a compensated sum has nothing to compensate: the bits are
 * the same. So it is done for integer histograms of one layout; sums of observations, which are no whole numbers, are added up
 * anew in each window.
 */
#include "promql/exec/fn_hist.h"

#include <string.h>

#include "promql/exec/hist_mean.h"

#define EXACT 0x1p53

static bool same_layout(const struct hist *a, const struct hist *b)
{
#define SAME(list, n) ((n) == 0 || memcmp(a->list, b->list, (n) * sizeof(*a->list)) == 0)
	return a->is_int && b->is_int && a->schema == b->schema &&
	       a->zero_threshold == b->zero_threshold &&
	       a->n_pos_spans == b->n_pos_spans && a->n_neg_spans == b->n_neg_spans &&
	       a->n_bounds == b->n_bounds && SAME(pos_spans, a->n_pos_spans) &&
	       SAME(neg_spans, a->n_neg_spans) && SAME(bounds, a->n_bounds);
#undef SAME
}

/* Buckets inside the zero bucket, which only the first histogram of a sum keeps. */
static bool reaches_zero(const struct hist *h)
{
	double z = h->zero_threshold;
	if (z == 0 || h->schema == HIST_CUSTOM)
		return false;
	return (h->n_pos && hist_bound(h->pos_spans[0].offset, h->schema) <= z) ||
	       (h->n_neg && hist_bound(h->neg_spans[0].offset, h->schema) <= z);
}

/* For each sample the first of those up to it that have its layout. */
static int find_runs(struct hist_range *r)
{
	const struct series_cols *s = r->s;
	uint32_t *run = hist_range_scratch(r->env, s->n * sizeof(*run));
	if (!run)
		return -1;
	for (size_t k = 0; k < s->n; k++) {
		bool on = k && s->h[k] && s->h[k - 1] &&
			  same_layout(s->h[k - 1], s->h[k]) && !reaches_zero(s->h[k]);
		run[k] = on ? run[k - 1] : (uint32_t)k;
	}
	r->slide.run = run;
	return 0;
}

static void start(struct hist_range *r, size_t lo)
{
	struct hist_slide *sl = &r->slide;
	sl->lo = lo;
	sl->hi = lo + 1;
	memset(sl->hints, 0, sizeof(sl->hints));
	sl->hints[r->s->h[lo]->hint]++;
	hist_acc_set(&r->acc, r->s->h[lo]);
	sl->on = true;
}

static bool whole(const struct hist_side *s)
{
	bool ok = true;
	for (uint32_t i = 0; i < s->n; i++)
		ok &= s->v[i] < EXACT;
	return ok;
}

static uint8_t hint_of(const struct hist_slide *sl)
{
	if (sl->hints[HIST_GAUGE])
		return HIST_GAUGE;
	for (uint8_t k = 0; k < HIST_GAUGE; k++)
		if (sl->hints[k] == sl->hi - sl->lo)
			return k;
	return HIST_UNKNOWN;
}

int hist_slide_to(struct hist_range *r, const struct window *w)
{
	struct hist_slide *sl = &r->slide;
	const struct hist *const *h = r->s->h;
	if (!sl->run && find_runs(r) < 0)
		return -1;
	if (sl->run[w->hi - 1] > w->lo || !h[w->lo]->is_int) {
		sl->on = false;
		return 0;
	}
	size_t out = w->lo - sl->lo;
	if (!sl->on || w->lo >= sl->hi || sl->run[sl->hi - 1] != sl->run[w->lo] ||
	    out > (w->hi - w->lo)) /* dearer than to begin anew */
		start(r, w->lo);
	for (; sl->lo < w->lo;
	     sl->lo++) { /* first, so that no sum on the way is greater */
		hist_acc_sub(&r->acc, h[sl->lo]);
		sl->hints[h[sl->lo]->hint]--;
	}
	for (; sl->hi < w->hi; sl->hi++) {
		hist_acc_add(&r->acc, h[sl->hi]);
		sl->hints[h[sl->hi]->hint]++;
	}
	if (!(r->acc.count < EXACT && r->acc.zero_count < EXACT && whole(&r->acc.pos) &&
	      whole(&r->acc.neg))) {
		sl->on = false;
		return 0;
	}
	r->acc.hint = hint_of(sl);
	r->acc.sum = h[w->lo]->sum;
	r->acc.sum_c = 0;
	for (size_t k = w->lo + 1; k < w->hi; k++)
		kahan_add(h[k]->sum, &r->acc.sum, &r->acc.sum_c);
	return 1;
}
