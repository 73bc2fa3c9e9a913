/*
 * promql/exec/fn_range.c - functions of range vectors: one pass over a series' columns with a window
 * that slides from step to step.
 *
 * The window of step i is (ref - range, ref]: left-open since Prometheus 3. Both ends only move
 * forward (window.h), so finding them costs O(samples + steps). Rates are in fn_rate.c. Sums are added up
 * anew in each window, compensated, so that their bits are Prometheus'.
 * Source  prometheus.md §2.4, §2.5, §2.7
 */
#include <math.h>

#include "promql/exec/fn_hist.h"

/* irate and idelta look at the last two samples only. */
static int eval_last_two(const struct range_call *c, const struct series_cols *s,
			 struct range_env *env, struct row *out, bool rate)
{
	struct window w = { 0 };
	struct hist_range hists;
	if (hist_range_open(&hists, c, s, env) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!slide(c, s, i, &w) || w.hi - w.lo < 2)
			continue;
		struct window two = { w.hi - 2, w.hi, 0, 0 };
		if (hist_range_kind(&hists, &two) != WINDOW_FLOATS) {
			if (hist_last_two_step(&hists, &two, i, out, rate) < 0)
				return -1;
			continue;
		}
		double a = s->v[two.lo], b = s->v[two.lo + 1];
		double v = rate && b < a ? b : b - a;
		if (rate)
			v /= (double)(s->t_ms[two.lo + 1] - s->t_ms[two.lo]) / 1000;
		put(out, i, v);
	}
	return 0;
}

static int fn_irate(const struct range_call *c, const struct series_cols *s,
		    struct range_env *env, struct row *out)
{
	return eval_last_two(c, s, env, out, true);
}
static int fn_idelta(const struct range_call *c, const struct series_cols *s,
		     struct range_env *env, struct row *out)
{
	return eval_last_two(c, s, env, out, false);
}

/* ---- folds over the floats of a window ---- */

typedef double fold_fn(const double *v, size_t n);

static double fold_sum(const double *v, size_t n)
{
	double sum = 0, c = 0;
	for (size_t k = 0; k < n; k++)
		kahan_add(v[k], &sum, &c);
	return isinf(sum) ? sum : sum + c;
}

static double fold_avg(const double *v, size_t n)
{
	double sum = v[0], c = 0, mean = 0;
	bool incremental = false;
	for (size_t k = 1; k < n; k++) {
		double count = (double)(k + 1);
		if (!incremental) {
			double s2 = sum, c2 = c;
			kahan_add(v[k], &s2, &c2);
			if (!isinf(s2)) {
				sum = s2;
				c = c2;
				continue;
			}
			incremental =
				true; /* the sum overflows: go on with the mean itself */
			mean = sum / (count - 1);
			c /= count - 1;
		}
		double q = (count - 1) / count;
		mean = q * mean;
		c = q * c;
		kahan_add(v[k] / count, &mean, &c);
	}
	return incremental ? mean + c : sum / (double)n + c / (double)n;
}

static double fold_min(const double *v, size_t n)
{
	double m = v[0];
	for (size_t k = 1; k < n; k++)
		if (v[k] < m || isnan(m))
			m = v[k];
	return m;
}

static double fold_max(const double *v, size_t n)
{
	double m = v[0];
	for (size_t k = 1; k < n; k++)
		if (v[k] > m || isnan(m))
			m = v[k];
	return m;
}

static double fold_stdvar(const double *v, size_t n)
{
	double count = 0, mean = 0, c_mean = 0, aux = 0, c_aux = 0;
	for (size_t k = 0; k < n; k++) {
		count++;
		double delta = v[k] - (mean + c_mean);
		kahan_add(delta / count, &mean, &c_mean);
		kahan_add(delta * (v[k] - (mean + c_mean)), &aux, &c_aux);
	}
	return (aux + c_aux) / count;
}

static double fold_stddev(const double *v, size_t n)
{
	return sqrt(fold_stdvar(v, n));
}

/* Windows of floats; one that holds both kinds gives nothing and a warning; histograms alone: `hist_step`. */
static int eval_fold(const struct range_call *c, const struct series_cols *s,
		     struct range_env *env, struct row *out, fold_fn *fold,
		     hist_step_fn *hist_step)
{
	struct window w = { 0 };
	struct hist_range hists;
	if (hist_range_open(&hists, c, s, env) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!slide(c, s, i, &w))
			continue;
		switch (hist_range_kind(&hists, &w)) {
		case WINDOW_FLOATS: put(out, i, fold(s->v + w.lo, w.hi - w.lo)); break;
		case WINDOW_MIXED: hist_range_say(&hists, SAID_MIXED_KINDS); break;
		case WINDOW_HISTS:
			if (!hist_step)
				return no_hists(c, env);
			if (hist_step(&hists, &w, i, out) < 0)
				return -1;
		}
	}
	return 0;
}

#define FOLD(name, fold, hist_step)                                                      \
	static int fn_##name(const struct range_call *c, const struct series_cols *s,    \
			     struct range_env *env, struct row *out)                     \
	{                                                                                \
		return eval_fold(c, s, env, out, fold, hist_step);                       \
	}
FOLD(sum_over_time, fold_sum, hist_sum_step)
FOLD(avg_over_time, fold_avg, hist_avg_step)
FOLD(min_over_time, fold_min, NULL)
FOLD(max_over_time, fold_max, NULL)
FOLD(stdvar_over_time, fold_stdvar, NULL)
FOLD(stddev_over_time, fold_stddev, NULL)

/* ---- functions that take floats and histograms alike ---- */

static int fn_count_over_time(const struct range_call *c, const struct series_cols *s,
			      struct range_env *env, struct row *out)
{
	(void)env;
	struct window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++)
		if (slide(c, s, i, &w))
			put(out, i, (double)(w.hi - w.lo));
	return 0;
}

static int fn_present_over_time(const struct range_call *c, const struct series_cols *s,
				struct range_env *env, struct row *out)
{
	(void)env;
	struct window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++)
		if (slide(c, s, i, &w))
			put(out, i, 1);
	return 0;
}

static void put_sample(struct row *out, uint32_t i, const struct series_cols *s, size_t k)
{
	put(out, i, s->v[k]);
	if (s->h)
		out->h[i] = s->h[k];
}

static int fn_last_over_time(const struct range_call *c, const struct series_cols *s,
			     struct range_env *env, struct row *out)
{
	(void)env;
	struct window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++)
		if (slide(c, s, i, &w))
			put_sample(out, i, s, w.hi - 1);
	return 0;
}

static int fn_first_over_time(const struct range_call *c, const struct series_cols *s,
			      struct range_env *env, struct row *out)
{
	(void)env;
	struct window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++)
		if (slide(c, s, i, &w))
			put_sample(out, i, s, w.lo);
	return 0;
}

/* changes: a float beside a histogram is a change; NaN after NaN is none. */
static bool changed(const struct series_cols *s, size_t k)
{
	const struct hist *a = s->h ? s->h[k - 1] : NULL, *b = s->h ? s->h[k] : NULL;
	if (a && b)
		return !hist_eq(a, b);
	if (a || b)
		return true;
	return s->v[k] != s->v[k - 1] && !(isnan(s->v[k]) && isnan(s->v[k - 1]));
}

/* How many neighbours of each window are marked. */
static int count_marks(const struct range_call *c, const struct series_cols *s,
		       const uint64_t *marks, struct row *out)
{
	struct window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!slide(c, s, i, &w))
			continue;
		uint32_t hi = (uint32_t)w.hi,
			 k = bits_next(marks, (uint32_t)w.lo + 1, hi);
		size_t n = 0;
		for (; k < hi; k = bits_next(marks, k + 1, hi))
			n++;
		put(out, i, (double)n);
	}
	return 0;
}

/* Histograms are dear to compare: each pair once, not once a window. */
static int changes_of_hists(const struct range_call *c, const struct series_cols *s,
			    struct range_env *env, struct row *out)
{
	uint64_t *marks = hist_range_marks(s->n, env);
	if (!marks)
		return -1;
	for (size_t k = 1; k < s->n; k++)
		if (changed(s, k))
			bit_set(marks, (uint32_t)k);
	return count_marks(c, s, marks, out);
}

static int fn_changes(const struct range_call *c, const struct series_cols *s,
		      struct range_env *env, struct row *out)
{
	struct window w = { 0 };
	if (s->h)
		return changes_of_hists(c, s, env, out);
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!slide(c, s, i, &w))
			continue;
		size_t n = 0;
		for (size_t k = w.lo + 1; k < w.hi; k++)
			n += changed(s, k);
		put(out, i, (double)n);
	}
	return 0;
}

static int fn_resets(const struct range_call *c, const struct series_cols *s,
		     struct range_env *env, struct row *out)
{
	struct window w = { 0 };
	if (s->h) {
		struct hist_range hists;
		if (hist_range_open(&hists, c, s, env) < 0 ||
		    hist_range_resets(&hists) < 0)
			return -1;
		return count_marks(c, s, hists.reset, out);
	}
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!slide(c, s, i, &w))
			continue;
		size_t n = 0;
		for (size_t k = w.lo + 1; k < w.hi; k++)
			n += s->v[k] < s->v[k - 1];
		put(out, i, (double)n);
	}
	return 0;
}

static const struct range_fn rows[] = {
	{ FN_ID_rate, fn_rate },
	{ FN_ID_increase, fn_increase },
	{ FN_ID_delta, fn_delta },
	{ FN_ID_irate, fn_irate },
	{ FN_ID_idelta, fn_idelta },
	{ FN_ID_sum_over_time, fn_sum_over_time },
	{ FN_ID_avg_over_time, fn_avg_over_time },
	{ FN_ID_min_over_time, fn_min_over_time },
	{ FN_ID_max_over_time, fn_max_over_time },
	{ FN_ID_stddev_over_time, fn_stddev_over_time },
	{ FN_ID_stdvar_over_time, fn_stdvar_over_time },
	{ FN_ID_count_over_time, fn_count_over_time },
	{ FN_ID_present_over_time, fn_present_over_time },
	{ FN_ID_last_over_time, fn_last_over_time },
	{ FN_ID_first_over_time, fn_first_over_time },
	{ FN_ID_changes, fn_changes },
	{ FN_ID_resets, fn_resets },
};

const struct range_fn *range_fn_of(enum fn_id fn)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].fn == fn)
			return &rows[i];
	return NULL;
}
