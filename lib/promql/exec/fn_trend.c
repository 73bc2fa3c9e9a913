/*
 * promql/exec/fn_trend.c - lines through the floats of a window, and smoothing along them.
 *
 * All sums are compensated and added up anew in each window: times count from the window's own origin, on which
 * bits depend.
 * Source  prometheus.md §2.7
 */
#include <math.h>
#include <stdio.h>

#include "promql/exec/floats.h"

struct line {
	double slope, at_origin;
};

/* Least squares. Equal values make a level line exactly. */
static struct line fit(const struct floats *f, size_t lo, size_t hi, int64_t origin_ms)
{
	double n = 0, x = 0, cx = 0, y = 0, cy = 0, xy = 0, cxy = 0, xx = 0, cxx = 0;
	bool level = true;
	for (size_t k = lo; k < hi; k++) {
		double v = f->v[k];
		level &= k == lo || v == f->v[lo];
		n += 1;
		double t = (double)(f->t_ms[k] - origin_ms) / 1e3;
		kahan_add(t, &x, &cx);
		kahan_add(v, &y, &cy);
		kahan_add(t * v, &xy, &cxy);
		kahan_add(t * t, &xx, &cxx);
	}
	if (level)
		return isinf(f->v[lo]) ? (struct line){ NAN, NAN }
				       : (struct line){ 0, f->v[lo] };
	x += cx;
	y += cy;
	xy += cxy;
	xx += cxx;
	double cov = xy - x * y / n, var = xx - x * x / n;
	struct line l = { .slope = cov / var };
	l.at_origin = y / n - l.slope * x / n;
	return l;
}

int fn_deriv(const struct range_call *c, const struct series_cols *s,
	     struct range_env *env, struct row *out)
{
	struct floats f;
	struct float_window w = { 0 };
	if (floats_of(s, env, &f) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++)
		if (floats_slide(c, s, &f, i, 2, env, &w))
			put(out, i, fit(&f, w.lo, w.hi, f.t_ms[w.lo]).slope);
	return 0;
}

/* From the evaluation time on, whatever offset or @ say about the samples. */
int fn_predict_linear(const struct range_call *c, const struct series_cols *s,
		      struct range_env *env, struct row *out)
{
	struct floats f;
	struct float_window w = { 0 };
	if (floats_of(s, env, &f) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!floats_slide(c, s, &f, i, 2, env, &w))
			continue;
		struct line l = fit(&f, w.lo, w.hi, grid_at(c->grid, i));
		put(out, i, l.slope * c->param[0][i] + l.at_origin);
	}
	return 0;
}

/* ---- double exponential smoothing ---- */

static int check_factor(const struct range_env *env, const char *which, const char *sign,
			double f)
{
	if (!(f <= 0 || f >= 1))
		return 0;
	char num[400]; /* %f of the largest double has 309 digits */
	if (isinf(f))
		snprintf(num, sizeof(num), "%s", f < 0 ? "-Inf" : "+Inf");
	else
		snprintf(num, sizeof(num), "%f", f);
	return err_set(env->x->ctx, env->e, E_EXEC,
		       "invalid %s factor. Expected: 0 < %s < 1, got: %s", which, sign,
		       num);
}

/* Holt: the level follows the samples by sf, the trend follows the level by tf. */
static double smooth(const double *v, size_t n, double sf, double tf)
{
	double before = 0, level = v[0], trend = v[1] - v[0];
	for (size_t k = 1; k < n; k++) {
		double x = sf * v[k];
		if (k > 1) {
			double change = tf * (level - before), old = (1 - tf) * trend;
			trend = change + old;
		}
		double y = (1 - sf) * (level + trend);
		before = level;
		level = x + y;
	}
	return level;
}

int fn_double_exponential_smoothing(const struct range_call *c,
				    const struct series_cols *s, struct range_env *env,
				    struct row *out)
{
	struct floats f;
	struct float_window w = { 0 };
	if (floats_of(s, env, &f) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		double sf = c->param[0][i], tf = c->param[1][i];
		bool enough = floats_slide(c, s, &f, i, 2, env, &w);
		if (w.w.hi > w.w.lo && (check_factor(env, "smoothing", "sf", sf) < 0 ||
					check_factor(env, "trend", "tf", tf) < 0))
			return -1;
		if (enough)
			put(out, i, smooth(f.v + w.lo, w.hi - w.lo, sf, tf));
	}
	return 0;
}
