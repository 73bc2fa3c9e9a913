/*
 * promql/exec/fn_range.c - functions of range vectors: one pass over a series' columns with a window
 * that slides from step to step.
 *
 * The window of step i is (ref - range, ref]: left-open since Prometheus 3. Both ends only move
 * forward (window.h), so finding them costs O(samples + steps). Rates are in fn_rate.c, sums in run_sums.c.
 * Source  prometheus.md §2.4, §2.5, §2.7
 */
#include <math.h>

#include "promql/exec/fn_hist.h"
#include "promql/exec/run_sums.h"
#include "promql/exec/start_time.h"

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
		struct window two = { .lo = w.hi - 2, .hi = w.hi };
		if (hist_range_kind(&hists, &two) != WINDOW_FLOATS) {
			if (hist_last_two_step(&hists, &two, i, out, rate) < 0)
				return -1;
			continue;
		}
		double a = s->v[two.lo], b = s->v[two.lo + 1];
		bool reset = rate && (b < a || starts_anew(s, two.lo + 1));
		double v = reset ? b : b - a;
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

/* ---- sums ---- */

typedef double sums_fn(const struct run_sums *r, size_t lo, size_t hi);

/* A window that holds both kinds gives nothing and a warning. */
static int eval_sums(const struct range_call *c, const struct series_cols *s,
		     struct range_env *env, struct row *out, sums_fn *of,
		     hist_step_fn *hist_step)
{
	struct window w = { 0 };
	struct hist_range hists;
	struct run_sums sums = { .v = s->v };
	if (hist_range_open(&hists, c, s, env) < 0 ||
	    (!s->h && run_sums_open(&sums, c, s->v, s->n, env) < 0))
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!slide(c, s, i, &w))
			continue;
		switch (hist_range_kind(&hists, &w)) {
		case WINDOW_FLOATS: put(out, i, of(&sums, w.lo, w.hi)); break;
		case WINDOW_MIXED: hist_range_say(&hists, SAID_MIXED_KINDS); break;
		case WINDOW_HISTS:
			if (hist_step(&hists, &w, i, out) < 0)
				return -1;
		}
	}
	return 0;
}

static int fn_sum_over_time(const struct range_call *c, const struct series_cols *s,
			    struct range_env *env, struct row *out)
{
	return eval_sums(c, s, env, out, run_sums_sum, hist_sum_step);
}

static int fn_avg_over_time(const struct range_call *c, const struct series_cols *s,
			    struct range_env *env, struct row *out)
{
	return eval_sums(c, s, env, out, run_sums_avg, hist_avg_step);
}

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

static const struct range_fn rows[] = {
	{ FN_ID_rate, fn_rate },
	{ FN_ID_increase, fn_increase },
	{ FN_ID_delta, fn_delta },
	{ FN_ID_irate, fn_irate },
	{ FN_ID_idelta, fn_idelta },
	{ FN_ID_sum_over_time, fn_sum_over_time },
	{ FN_ID_avg_over_time, fn_avg_over_time },
	{ FN_ID_count_over_time, fn_count_over_time },
	{ FN_ID_present_over_time, fn_present_over_time },
	{ FN_ID_absent_over_time,
	  fn_present_over_time }, /* turned round by its operator */
	{ FN_ID_last_over_time, fn_last_over_time },
	{ FN_ID_first_over_time, fn_first_over_time },
};

const struct range_fn *range_fn_of(enum fn_id fn)
{
	const struct range_fn *f = range_fn_stats(fn);
	if (f)
		return f;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].fn == fn)
			return &rows[i];
	return NULL;
}
