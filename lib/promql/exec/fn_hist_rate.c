/*
 * promql/exec/fn_hist_rate.c - rate, increase, delta of native histograms: the last one less the first one and plus what stood
 * before each reset, extrapolated to the ends of the window by time alone.
 *
 * Resets are found once a series, so that a step costs its two ends and the resets between them.
 * Source  prometheus.md §2.5, §2.6
 */
#include <math.h>

#include "promql/exec/fn_hist.h"
#include "promql/exec/start_time.h"

int hist_range_resets(struct hist_range *r)
{
	const struct series_cols *s = r->s;
	if (r->reset)
		return 0;
	r->reset = hist_range_marks(s->n, r->env);
	if (!r->reset)
		return -1;
	for (size_t k = 1; k < s->n; k++) {
		const struct hist *a = s->h[k - 1], *b = s->h[k];
		bool reset;
		if (!a != !b)
			reset = true;
		else if (b)
			reset = starts_anew(s, k) || hist_detect_reset(b, a);
		else
			reset = s->v[k] < s->v[k - 1] || starts_anew(s, k);
		if (reset)
			bit_set(r->reset, (uint32_t)k);
	}
	return 0;
}

static bool is_custom(const struct hist *h)
{
	return h->schema == HIST_CUSTOM;
}

/* The samples between the ends: the lowest schema; false if exponential and custom buckets are mixed. */
static bool survey(struct hist_range *r, const struct window *w, bool custom,
		   int32_t *schema, bool *gauge)
{
	if (r->uniform) /* nothing to find, and a mix would have other schemas */
		return true;
	for (size_t k = w->lo + 1; k + 1 < w->hi; k++) {
		const struct hist *h = r->s->h[k];
		*gauge |= h->hint == HIST_GAUGE;
		*schema = MIN(*schema, h->schema);
		if (is_custom(h) != custom)
			return false;
	}
	return true;
}

bool hist_range_accept(struct hist_range *r, unsigned met, enum hist_said reconciled)
{
	if (met & HIST_INCOMPATIBLE) {
		hist_range_say(r, SAID_MIXED_BUCKETS);
		return false;
	}
	if (met & HIST_RECONCILED)
		hist_range_say(r, reconciled);
	return true;
}

/* What stood before each reset is added; `first` is what counts as the first sample. */
static bool add_resets(struct hist_range *r, const struct window *w,
		       const struct hist *first)
{
	const struct hist *const *h = r->s->h;
	uint32_t hi = (uint32_t)w->hi, k = (uint32_t)w->lo + 1;
	if (first != h[w->lo]) {
		/* nothing is in it, but its bounds may differ */
		if ((starts_anew(r->s, k) || hist_detect_reset(h[k], first)) &&
		    !hist_range_accept(r, hist_acc_add(&r->acc, first),
				       SAID_RECONCILED_ADD))
			return false;
		k++;
	}
	for (k = bits_next(r->reset, k, hi); k < hi; k = bits_next(r->reset, k + 1, hi))
		if (!hist_range_accept(r, hist_acc_add(&r->acc, h[k - 1]),
				       SAID_RECONCILED_ADD))
			return false;
	return true;
}

/* last - first into r->acc; 1, or 0: there is no such, or -1. */
static int difference(struct hist_range *r, const struct window *w, bool counter)
{
	const struct hist *const *h = r->s->h;
	const struct hist *first = h[w->lo], *last = h[w->hi - 1];
	bool gauge = first->hint == HIST_GAUGE || last->hint == HIST_GAUGE;
	struct hist none;
	if (counter && hist_range_resets(r) < 0)
		return -1;
	if (counter && bit_get(r->reset, (uint32_t)w->lo + 1)) {
		/* The first sample is of another life: only its time counts, not even its schema. */
		const struct hist *second = h[w->lo + 1];
		none = (struct hist){ .schema = second->schema,
				      .bounds = second->bounds,
				      .n_bounds = second->n_bounds };
		first = &none;
	}
	int32_t schema = MIN(last->schema, first->schema);
	bool mixed_ends = is_custom(last) != is_custom(first);
	if (mixed_ends) {
		if (counter && gauge)
			hist_range_say(r, SAID_NOT_COUNTER);
		hist_range_say(r, SAID_MIXED_BUCKETS);
		return 0;
	}
	if (counter && !survey(r, w, is_custom(first), &schema, &gauge)) {
		hist_range_say(r, SAID_MIXED_BUCKETS);
		return 0;
	}
	hist_acc_set(&r->acc, last);
	hist_acc_reduce(&r->acc, schema);
	if (!hist_range_accept(r, hist_acc_sub(&r->acc, first), SAID_RECONCILED_SUB))
		return 0;
	if (counter && !add_resets(r, w, first))
		return 0;
	if (counter && gauge)
		hist_range_say(r, SAID_NOT_COUNTER);
	if (!counter && !(h[w->lo]->hint == HIST_GAUGE && last->hint == HIST_GAUGE))
		hist_range_say(r, SAID_NOT_GAUGE);
	r->acc.hint = HIST_GAUGE;
	return 1;
}

/* Seconds from the ends of the window to its samples, shortened where a sample should have been. */
struct ends {
	double to_start, to_end, sampled;
};

static void extrapolate(struct hist_range *r, const struct window *w, bool counter,
			struct ends *e)
{
	double gaps = (double)(w->hi - w->lo - 1), mean = e->sampled / gaps,
	       first = r->s->h[w->lo]->count;
	if (e->to_start >= mean * 1.1)
		e->to_start = mean / 2;
	if (counter && r->acc.count > 0 && first >= 0) {
		double to_zero = e->sampled * (first / r->acc.count);
		if (to_zero < e->to_start)
			e->to_start = to_zero;
	}
}

/* A counter that began inside the window was zero then. 1, or 0: no result. */
static int from_start(struct hist_range *r, const struct window *w, int64_t st,
		      struct ends *e)
{
	const struct hist *first = r->s->h[w->lo];
	e->to_start = 0;
	e->sampled = (double)(r->s->t_ms[w->hi - 1] - st) / 1000;
	if (w->hi - w->lo == 1) {
		hist_acc_set(&r->acc, first);
		return 1;
	}
	return hist_range_accept(r, hist_acc_add(&r->acc, first), SAID_RECONCILED_ADD);
}

int hist_rate_step(struct hist_range *r, const struct window *w, uint32_t i,
		   struct row *out, bool counter, bool per_second)
{
	const struct series_cols *s = r->s;
	int64_t ref = range_ref(r->c, i), from = ref - r->c->range_ms,
		t0 = s->t_ms[w->lo], t1 = s->t_ms[w->hi - 1];
	size_t n = w->hi - w->lo;
	if (hist_range_kind(r, w) == WINDOW_MIXED) {
		hist_range_say(r, SAID_MIXED_KINDS);
		return 0;
	}
	int64_t st = counter && s->st_ms ? s->st_ms[w->lo] : 0;
	bool began = st != 0 && st > from && st < t0;
	int plain = counter && n > 1 && !began ? hist_range_is_plain(r, w) : 0;
	if (plain < 0)
		return -1;
	int rc = plain ? 1 : n > 1 ? difference(r, w, counter) : began;
	if (rc <= 0)
		return rc;
	if (plain)
		r->acc.count = s->h[w->hi - 1]->count - s->h[w->lo]->count;
	struct ends e = { (double)(t0 - from) / 1000, (double)(ref - t1) / 1000,
			  (double)(t1 - t0) / 1000 };
	double mean = n > 1 ? e.sampled / (double)(n - 1) : 0;
	if (began && from_start(r, w, st, &e) == 0)
		return 0;
	if (!began)
		extrapolate(r, w, counter, &e);
	if (e.to_end >= mean * 1.1)
		e.to_end = mean / 2;
	double factor = 1;
	if (e.sampled != 0)
		factor = (e.sampled + e.to_start + e.to_end) / e.sampled;
	if (per_second)
		factor /= (double)r->c->range_ms / 1000;
	if (!plain)
		hist_acc_mul(&r->acc, factor);
	const struct hist *h =
		plain ? hist_range_plain(r, w, factor) : hist_acc_take(&r->acc, n > 1);
	if (!h)
		return -1;
	put_hist(out, i, h);
	return 0;
}
