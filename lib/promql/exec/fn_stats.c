/*
 * promql/exec/fn_stats.c - what the floats of a sliding window are like: extremes, quantiles, spread.
 *
 * Extremes are kept on both sides of a cut through the window (their times in a monotonic queue), quantiles from ranks (order_stat.h), so that a step costs what has come
 * and gone since the last one and not what is inside. Variances are in run_sums.c.
 * Source  prometheus.md §2.7
 */
#include <math.h>

#include "model/chunk.h"
#include "promql/exec/order_stat.h"
#include "promql/exec/run_sums.h"
#include "wire/num.h"

/* ---- min, max, and when ---- */

/* Of equal ones the first counts, but for times, where the last does. NaN only counts where all are. */

static inline double better(bool max, double first, double later)
{
	return (max ? later > first : later < first) ? later : first;
}
static inline double better_first(bool max, double first, double later)
{
	return (max ? first >= later : first <= later) ? first : later;
}

/* No float but NaN is inside if the best is the worst there is; it may be there, too. */
static double worst_or_nan(const struct floats *f, const struct float_window *w,
			   double worst)
{
	for (size_t k = w->lo; k < w->hi; k++)
		if (f->v[k] == worst)
			return worst;
	return f->v[w->hi - 1];
}

/*
 * The window is cut at `mid`: of what lies behind it the best so far is known, of what lies before it the best from each sample
 * on. Once the window's start has passed the cut, the cut moves to its end and the bests are made anew, so that each
 * sample is compared twice, without a branch that depends on the values.
 */
static inline __attribute__((always_inline)) int eval_extreme(const struct range_call *c,
							      const struct series_cols *s,
							      struct range_env *env,
							      struct row *out, bool max)
{
	const double worst = max ? -INFINITY : INFINITY;
	struct floats f;
	if (floats_of(s, env, &f) < 0)
		return -1;
	double *from = range_scratch(env, f.n * sizeof(*from)), behind = worst;
	if (!from)
		return -1;
	size_t mid = 0, seen = 0;
	struct float_window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++) {
		bool any = floats_slide(c, s, &f, i, 1, env, &w);
		if (w.lo >= mid) {
			double best = worst;
			for (size_t k = mid = seen = w.hi; k-- > w.lo;)
				from[k] = best = better_first(max, f.v[k], best);
			behind = worst;
		}
		for (; seen < w.hi; seen++)
			behind = better(max, behind, f.v[seen]);
		if (!any)
			continue;
		double best = w.lo < mid ? better(max, from[w.lo], behind) : behind;
		put(out, i, best == worst ? worst_or_nan(&f, &w, worst) : best);
	}
	return 0;
}

/*
 * The queue holds the samples that may still become the extreme: each is beaten by none behind it, so the front is
 * the extreme.
 */
static inline __attribute__((always_inline)) int eval_when(const struct range_call *c,
							   const struct series_cols *s,
							   struct range_env *env,
							   struct row *out, bool max)
{
	struct floats f;
	if (floats_of(s, env, &f) < 0)
		return -1;
	uint32_t *queue = range_scratch(env, f.n * sizeof(*queue));
	if (!queue)
		return -1;
	size_t front = 0, back = 0, seen = 0;
	struct float_window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++) {
		bool any = floats_slide(c, s, &f, i, 1, env, &w);
		for (seen = MAX(seen, w.lo); seen < w.hi; seen++) {
			double v = f.v[seen];
			if (v != v)
				continue;
			while (back > front && (max ? v >= f.v[queue[back - 1]]
						    : v <= f.v[queue[back - 1]]))
				back--;
			queue[back++] = (uint32_t)seen;
		}
		while (front < back && queue[front] < w.lo)
			front++;
		if (!any)
			continue;
		size_t at = front < back ? queue[front] : w.hi - 1;
		put(out, i, (double)f.t_ms[at] / 1000);
	}
	return 0;
}

#define EXTREME(name, eval, is_max)                                                      \
	static int fn_##name(const struct range_call *c, const struct series_cols *s,    \
			     struct range_env *env, struct row *out)                     \
	{                                                                                \
		return eval(c, s, env, out, is_max);                                     \
	}
EXTREME(min_over_time, eval_extreme, false)
EXTREME(max_over_time, eval_extreme, true)
EXTREME(ts_of_min_over_time, eval_when, false)
EXTREME(ts_of_max_over_time, eval_when, true)

static int eval_edge(const struct range_call *c, const struct series_cols *s,
		     struct row *out, bool last)
{
	struct window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++)
		if (slide(c, s, i, &w))
			put(out, i, (double)s->t_ms[last ? w.hi - 1 : w.lo] / 1000);
	return 0;
}

static int fn_ts_of_first_over_time(const struct range_call *c,
				    const struct series_cols *s, struct range_env *env,
				    struct row *out)
{
	(void)env;
	return eval_edge(c, s, out, false);
}

static int fn_ts_of_last_over_time(const struct range_call *c,
				   const struct series_cols *s, struct range_env *env,
				   struct row *out)
{
	(void)env;
	return eval_edge(c, s, out, true);
}

/* ---- quantiles ---- */

/* The set follows the window from [lo, hi). */
static void follow(struct order_stat *o, size_t *lo, size_t *hi,
		   const struct float_window *w)
{
	for (; *lo < MIN(w->lo, *hi); (*lo)++)
		order_remove(o, *lo);
	*lo = w->lo;
	for (*hi = MAX(*hi, *lo); *hi < w->hi; (*hi)++)
		order_add(o, *hi);
}

/* Weighted mean of the two samples beside rank q x (n - 1). at(arg, i) is the i-th smallest of n. */
static double quantile(double q, size_t n, double (*at)(const void *arg, size_t i),
		       const void *arg)
{
	if (isnan(q))
		return NAN;
	if (q < 0 || q > 1)
		return q < 0 ? -INFINITY : INFINITY;
	double rank = q * ((double)n - 1), lower = fmax(0, floor(rank)),
	       upper = fmin((double)n - 1, lower + 1), weight = rank - floor(rank);
	return at(arg, (size_t)lower) * (1 - weight) + at(arg, (size_t)upper) * weight;
}

static double at_order(const void *arg, size_t i)
{
	return order_at(arg, i);
}

/* A warning for each number that is none; the same number again says nothing new. */
static void warn_quantile(const struct range_call *c, struct range_env *env, double q,
			  double *said)
{
	if (q >= 0 && q <= 1)
		return;
	if ((env->said & SAID_QUANTILE) && f64_bits(*said) == f64_bits(q))
		return;
	env->said |= SAID_QUANTILE;
	*said = q;
	char num[NUM_MAX];
	size_t len = num_f64_g(num, q);
	anno_warn_by(env->x, c->call, c->at,
		     "quantile value should be between 0 and 1, got %.*s", (int)len, num);
}

static int fn_quantile_over_time(const struct range_call *c, const struct series_cols *s,
				 struct range_env *env, struct row *out)
{
	struct floats f;
	struct order_stat o;
	if (floats_of(s, env, &f) < 0 || order_init(&o, f.v, f.n, env) < 0)
		return -1;
	struct float_window w = { 0 };
	size_t lo = 0, hi = 0;
	double said = 0;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		double q = c->param[0][i];
		if (!floats_slide(c, s, &f, i, 1, env, &w))
			continue;
		warn_quantile(c, env, q, &said);
		follow(&o, &lo, &hi, &w);
		put(out, i, quantile(q, o.size, at_order, &o));
	}
	return 0;
}

/* Distances from m of the set: those below it and those above are sorted already, from m outwards. */
struct distances {
	const struct order_stat *o;
	double m;
	size_t below; /* samples less than m */
};

static double distance_below(const struct distances *d, size_t k)
{
	return fabs(order_at(d->o, d->below - 1 - k) - d->m);
}

static double distance_above(const struct distances *d, size_t k)
{
	return fabs(order_at(d->o, d->below + k) - d->m);
}

/* The i-th smallest of two sorted lists: take k from below and i - k from above, such that both fit. */
static double at_distance(const void *arg, size_t i)
{
	const struct distances *d = arg;
	size_t above = d->o->size - d->below;
	size_t min = i > above ? i - above : 0, max = MIN(i, d->below);
	while (min < max) {
		size_t k = (min + max) / 2; /* is the k-th below among the first i? */
		if (distance_below(d, k) < distance_above(d, i - k - 1))
			min = k + 1;
		else
			max = k;
	}
	if (min == d->below)
		return distance_above(d, i - min);
	if (i - min == above)
		return distance_below(d, min);
	double below = distance_below(d, min), over = distance_above(d, i - min);
	return below < over ? below : over; /* NaN, of infinities, sorts first */
}

static size_t count_below(const struct order_stat *o, double m)
{
	size_t lo = 0, hi = o->size;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (order_at(o, mid) < m)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The median of the distances from the median. */
static double deviation(const struct order_stat *o)
{
	if (isnan(order_at(o, 0)))
		return NAN;
	struct distances d = { o, quantile(0.5, o->size, at_order, o), 0 };
	d.below = count_below(o, d.m);
	return quantile(0.5, o->size, at_distance, &d);
}

static int fn_mad_over_time(const struct range_call *c, const struct series_cols *s,
			    struct range_env *env, struct row *out)
{
	struct floats f;
	struct order_stat o;
	if (floats_of(s, env, &f) < 0 || order_init(&o, f.v, f.n, env) < 0)
		return -1;
	struct float_window w = { 0 };
	size_t lo = 0, hi = 0;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!floats_slide(c, s, &f, i, 1, env, &w))
			continue;
		follow(&o, &lo, &hi, &w);
		put(out, i, deviation(&o));
	}
	return 0;
}

/* ---- spread ---- */

static int eval_variance(const struct range_call *c, const struct series_cols *s,
			 struct range_env *env, struct row *out, bool root)
{
	struct floats f;
	struct run_sums sums;
	if (floats_of(s, env, &f) < 0 ||
	    run_sums_open_squares(&sums, c, f.v, f.n, env) < 0)
		return -1;
	struct float_window w = { 0 };
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!floats_slide(c, s, &f, i, 1, env, &w))
			continue;
		double var = run_sums_var(&sums, w.lo, w.hi);
		put(out, i, root ? sqrt(var) : var);
	}
	return 0;
}

static int fn_stdvar_over_time(const struct range_call *c, const struct series_cols *s,
			       struct range_env *env, struct row *out)
{
	return eval_variance(c, s, env, out, false);
}

static int fn_stddev_over_time(const struct range_call *c, const struct series_cols *s,
			       struct range_env *env, struct row *out)
{
	return eval_variance(c, s, env, out, true);
}

static const struct range_fn rows[] = {
	{ FN_ID_min_over_time, fn_min_over_time },
	{ FN_ID_max_over_time, fn_max_over_time },
	{ FN_ID_ts_of_min_over_time, fn_ts_of_min_over_time },
	{ FN_ID_ts_of_max_over_time, fn_ts_of_max_over_time },
	{ FN_ID_ts_of_first_over_time, fn_ts_of_first_over_time },
	{ FN_ID_ts_of_last_over_time, fn_ts_of_last_over_time },
	{ FN_ID_quantile_over_time, fn_quantile_over_time },
	{ FN_ID_mad_over_time, fn_mad_over_time },
	{ FN_ID_stdvar_over_time, fn_stdvar_over_time },
	{ FN_ID_stddev_over_time, fn_stddev_over_time },
	{ FN_ID_deriv, fn_deriv },
	{ FN_ID_predict_linear, fn_predict_linear },
	{ FN_ID_double_exponential_smoothing, fn_double_exponential_smoothing },
	{ FN_ID_changes, fn_changes },
	{ FN_ID_resets, fn_resets },
	{ FN_ID_xrate, fn_xrate },
	{ FN_ID_xincrease, fn_xincrease },
	{ FN_ID_xdelta, fn_xdelta },
};

const struct range_fn *range_fn_stats(enum fn_id fn)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].fn == fn)
			return &rows[i];
	return NULL;
}
