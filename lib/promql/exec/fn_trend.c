/*
 * promql/exec/fn_trend.c - lines through the floats of a window, and smoothing along them.
 *
 * All sums are compensated and added up anew in each window, since times count from the window's own origin: even exact sums,
 * rounded once, leave slopes that differ from Prometheus' by 2e-9 where a counter stands at 1e9 (its own rounding is as large), and
 * 1e-13 is what may be. So the sums of a window, or several windows, go side by side instead.
 * Source  prometheus.md §2.7
 */
#include <math.h>
#include <stdio.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "promql/exec/floats.h"
#include "promql/exec/lanes.h"

struct line {
	double slope, at_origin;
};

/* Sums of t, v, t * v and t * t of a window, t in seconds from its origin. */
struct sums {
	double x, y, xy, xx;
};

static struct sums sums_one_by_one(const struct floats *f, size_t lo, size_t hi,
				   int64_t origin_ms)
{
	double x = 0, cx = 0, y = 0, cy = 0, xy = 0, cxy = 0, xx = 0, cxx = 0;
	for (size_t k = lo; k < hi; k++) {
		double t = (double)(f->t_ms[k] - origin_ms) / 1e3, v = f->v[k];
		kahan_add(t, &x, &cx);
		kahan_add(v, &y, &cy);
		kahan_add(t * v, &xy, &cxy);
		kahan_add(t * t, &xx, &cxx);
	}
	return (struct sums){ x + cx, y + cy, xy + cxy, xx + cxx };
}

#if defined(__x86_64__)
/*
 * The four sums side by side, each doing what kahan_add does. Where one becomes infinite kahan_add does more, and all is
 * added up again one by one.
 */
typedef double quad __attribute__((vector_size(32)));

__attribute__((target("avx2"))) static struct sums
sums_together(const struct floats *f, size_t lo, size_t hi, int64_t origin_ms)
{
	const quad sign = (quad){ -0.0, -0.0, -0.0, -0.0 };
	quad sum = { 0 }, comp = { 0 };
	for (size_t k = lo; k < hi; k++) {
		double t = (double)(f->t_ms[k] - origin_ms) / 1e3, v = f->v[k];
		quad inc = { t, v, t * v, t * t }, to = sum + inc;
		quad less = _mm256_cmp_pd(_mm256_andnot_pd(sign, sum),
					  _mm256_andnot_pd(sign, inc), _CMP_NGE_UQ);
		quad large = _mm256_blendv_pd(sum, inc, less),
		     small = _mm256_blendv_pd(inc, sum, less);
		comp += (large - to) + small;
		sum = to;
	}
	quad none = sum - sum; /* NaN unless finite */
	if (none[0] + none[1] + none[2] + none[3] != 0)
		return sums_one_by_one(f, lo, hi, origin_ms);
	sum += comp;
	return (struct sums){ sum[0], sum[1], sum[2], sum[3] };
}
#endif

static struct sums sums_of(const struct floats *f, size_t lo, size_t hi,
			   int64_t origin_ms)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return sums_together(f, lo, hi, origin_ms);
#endif
	return sums_one_by_one(f, lo, hi, origin_ms);
}

static bool all_equal(const double *v, size_t n)
{
	size_t k = 1;
	while (k < n && v[k] == v[0])
		k++;
	return k == n;
}

/* Least squares. Equal values make a level line exactly. */
static struct line fit(const struct floats *f, size_t lo, size_t hi, int64_t origin_ms)
{
	const double n = (double)(hi - lo);
	if (all_equal(f->v + lo, hi - lo))
		return isinf(f->v[lo]) ? (struct line){ NAN, NAN }
				       : (struct line){ 0, f->v[lo] };
	struct sums s = sums_of(f, lo, hi, origin_ms);
	double cov = s.xy - s.x * s.y / n, var = s.xx - s.x * s.x / n;
	struct line l = { .slope = cov / var };
	l.at_origin = s.y / n - l.slope * s.x / n;
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

/*
 * Holt: the level follows the samples by sf, the trend follows the level by tf. Each value waits for the one before, so
 * several windows are gone through side by side.
 */
#define WAYS 8
struct windows {
	uint32_t n, step[WAYS];
	const double *v[WAYS];
	size_t len[WAYS];
	double sf[WAYS], tf[WAYS], before[WAYS], level[WAYS], trend[WAYS];
};

/* Samples [1, n) of all; what is not used goes along. */
static void smooth_together(struct windows *w, size_t n)
{
	lanes sf[WAYS / LANES], tf[WAYS / LANES], before[WAYS / LANES],
		level[WAYS / LANES], trend[WAYS / LANES];
	for (size_t l = 0; l < WAYS / LANES; l++) {
		sf[l] = lanes_load(w->sf + LANES * l);
		tf[l] = lanes_load(w->tf + LANES * l);
		before[l] = (lanes){ 0 };
		level[l] = lanes_load(w->level + LANES * l);
		trend[l] = lanes_load(w->trend + LANES * l);
	}
	for (size_t k = 1; k < n; k++)
		for (size_t l = 0; l < WAYS / LANES; l++) {
			lanes x = sf[l] *
				  (lanes){ w->v[LANES * l][k], w->v[LANES * l + 1][k] };
			if (k > 1)
				trend[l] = tf[l] * (level[l] - before[l]) +
					   (1 - tf[l]) * trend[l];
			lanes y = (1 - sf[l]) * (level[l] + trend[l]);
			before[l] = level[l];
			level[l] = x + y;
		}
	for (size_t l = 0; l < WAYS / LANES; l++) {
		lanes_store(w->before + LANES * l, before[l]);
		lanes_store(w->level + LANES * l, level[l]);
		lanes_store(w->trend + LANES * l, trend[l]);
	}
}

/* The samples from `k` (at least 2) on of one. */
static double smooth_rest(const struct windows *w, size_t l, size_t k)
{
	double sf = w->sf[l], tf = w->tf[l], before = w->before[l], level = w->level[l],
	       trend = w->trend[l];
	for (; k < w->len[l]; k++) {
		double x = sf * w->v[l][k];
		trend = tf * (level - before) + (1 - tf) * trend;
		double y = (1 - sf) * (level + trend);
		before = level;
		level = x + y;
	}
	return level;
}

static void smooth_windows(struct windows *w, struct row *out)
{
	size_t least = SIZE_MAX;
	for (size_t l = 0; l < w->n; l++) {
		w->level[l] = w->v[l][0];
		w->trend[l] = w->v[l][1] - w->v[l][0];
		least = MIN(least, w->len[l]);
	}
	for (size_t l = w->n; l < WAYS && w->n; l++) {
		w->v[l] = w->v[0];
		w->sf[l] = w->tf[l] = w->level[l] = w->trend[l] = 0;
	}
	if (w->n)
		smooth_together(w, least);
	for (size_t l = 0; l < w->n; l++)
		put(out, w->step[l], smooth_rest(w, l, least));
	w->n = 0;
}

int fn_double_exponential_smoothing(const struct range_call *c,
				    const struct series_cols *s, struct range_env *env,
				    struct row *out)
{
	struct floats f;
	struct float_window w = { 0 };
	struct windows together = { 0 };
	if (floats_of(s, env, &f) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		double sf = c->param[0][i], tf = c->param[1][i];
		bool enough = floats_slide(c, s, &f, i, 2, env, &w);
		if (w.w.hi > w.w.lo && (check_factor(env, "smoothing", "sf", sf) < 0 ||
					check_factor(env, "trend", "tf", tf) < 0))
			return -1;
		if (!enough)
			continue;
		uint32_t l = together.n++;
		together.step[l] = i;
		together.v[l] = f.v + w.lo;
		together.len[l] = w.hi - w.lo;
		together.sf[l] = sf;
		together.tf[l] = tf;
		if (together.n == WAYS)
			smooth_windows(&together, out);
	}
	smooth_windows(&together, out);
	return 0;
}
