/*
 * Functions over the floats of a window against plain ones that look at each window anew.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "series.h"
#include "support/tst.h"

typedef double plain_fn(const double *v, const int64_t *t, size_t n, double param,
			int64_t ref);

static int by_value(const void *pa, const void *pb)
{
	double a = *(const double *)pa, b = *(const double *)pb;
	if (isnan(a) || isnan(b))
		return isnan(b) - isnan(a);
	return (a > b) - (a < b);
}

static double plain_quantile(const double *v, const int64_t *t, size_t n, double q,
			     int64_t ref)
{
	double s[SERIES_MAX];
	if (isnan(q))
		return NAN;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	memcpy(s, v, n * sizeof *s);
	qsort(s, n, sizeof *s, by_value);
	double rank = q * ((double)n - 1), below = floor(rank),
	       above = below + 1 < (double)n ? below + 1 : (double)n - 1;
	return s[(size_t)below] * (1 - (rank - below)) +
	       s[(size_t)above] * (rank - below);
}

static double plain_mad(const double *v, const int64_t *t, size_t n, double param,
			int64_t ref)
{
	double d[SERIES_MAX];
	for (size_t k = 0; k < n; k++)
		if (isnan(v[k]))
			return NAN;
	double m = plain_quantile(v, t, n, 0.5, ref);
	for (size_t k = 0; k < n; k++)
		d[k] = fabs(v[k] - m);
	return plain_quantile(d, t, n, 0.5, ref);
}

static size_t plain_extreme(const double *v, size_t n, bool max, bool last)
{
	size_t at = 0;
	for (size_t k = 0; k < n; k++) {
		bool better = max ? v[k] > v[at] : v[k] < v[at];
		if (better || isnan(v[at]) || (last && v[k] == v[at]))
			at = k;
	}
	return at;
}
static double plain_min(const double *v, const int64_t *t, size_t n, double param,
			int64_t ref)
{
	return v[plain_extreme(v, n, false, false)];
}
static double plain_max(const double *v, const int64_t *t, size_t n, double param,
			int64_t ref)
{
	return v[plain_extreme(v, n, true, false)];
}
static double plain_ts_min(const double *v, const int64_t *t, size_t n, double param,
			   int64_t ref)
{
	return (double)t[plain_extreme(v, n, false, true)] / 1000;
}
static double plain_ts_max(const double *v, const int64_t *t, size_t n, double param,
			   int64_t ref)
{
	return (double)t[plain_extreme(v, n, true, true)] / 1000;
}

static double plain_stdvar(const double *v, const int64_t *t, size_t n, double param,
			   int64_t ref)
{
	double count = 0, mean = 0, cm = 0, aux = 0, ca = 0;
	for (size_t k = 0; k < n; k++) {
		count++;
		double delta = v[k] - (mean + cm);
		kahan_add(delta / count, &mean, &cm);
		kahan_add(delta * (v[k] - (mean + cm)), &aux, &ca);
	}
	return (aux + ca) / count;
}
static double plain_stddev(const double *v, const int64_t *t, size_t n, double param,
			   int64_t ref)
{
	return sqrt(plain_stdvar(v, t, n, param, ref));
}

/* Slope, or (at != 0) the value that many seconds behind the origin. */
static double plain_line(const double *v, const int64_t *t, size_t n, int64_t origin,
			 bool slope, double at)
{
	double s[4] = { 0 }, c[4] = { 0 };
	bool level = true;
	for (size_t k = 0; k < n; k++) {
		double x = (double)(t[k] - origin) / 1e3;
		level &= v[k] == v[0];
		kahan_add(x, &s[0], &c[0]);
		kahan_add(v[k], &s[1], &c[1]);
		kahan_add(x * v[k], &s[2], &c[2]);
		kahan_add(x * x, &s[3], &c[3]);
	}
	if (level && isinf(v[0]))
		return NAN;
	if (level)
		return slope ? 0 : 0 * at + v[0];
	for (int i = 0; i < 4; i++)
		s[i] += c[i];
	double a = (s[2] - s[0] * s[1] / (double)n) / (s[3] - s[0] * s[0] / (double)n);
	return slope ? a : a * at + (s[1] / (double)n - a * s[0] / (double)n);
}
static double plain_deriv(const double *v, const int64_t *t, size_t n, double param,
			  int64_t ref)
{
	return n < 2 ? -1e300 : plain_line(v, t, n, t[0], true, 0);
}
static double plain_predict(const double *v, const int64_t *t, size_t n, double param,
			    int64_t ref)
{
	return n < 2 ? -1e300 : plain_line(v, t, n, ref, false, param);
}

static double plain_smoothing(const double *v, const int64_t *t, size_t n, double sf,
			      int64_t ref)
{
	if (n < 2)
		return -1e300;
	double s[SERIES_MAX], b[SERIES_MAX], tf = 0.3; /* textbook: level and trend */
	s[0] = v[0];
	b[0] = v[1] - v[0];
	for (size_t k = 1; k < n; k++) {
		double trend =
			k == 1 ? b[0] : tf * (s[k - 1] - s[k - 2]) + (1 - tf) * b[k - 1];
		s[k] = sf * v[k] + (1 - sf) * (s[k - 1] + trend);
		b[k] = trend;
	}
	return s[n - 1];
}

/* Which of 0 and -0 is a quantile is up to the sort. */
#define ZEROS_EQUAL 2
static const struct {
	enum fn_id fn;
	plain_fn *plain;
} all[] = {
	{ FN_ID_quantile_over_time, plain_quantile },
	{ FN_ID_mad_over_time, plain_mad },
	{ FN_ID_min_over_time, plain_min },
	{ FN_ID_max_over_time, plain_max },
	{ FN_ID_ts_of_min_over_time, plain_ts_min },
	{ FN_ID_ts_of_max_over_time, plain_ts_max },
	{ FN_ID_stdvar_over_time, plain_stdvar },
	{ FN_ID_stddev_over_time, plain_stddev },
	{ FN_ID_deriv, plain_deriv },
	{ FN_ID_predict_linear, plain_predict },
	{ FN_ID_double_exponential_smoothing, plain_smoothing },
};

static void check(size_t which, unsigned like)
{
	static struct rand_series s;
	static struct answer a;
	static double param[STEPS_MAX], tf[STEPS_MAX];
	double v[SERIES_MAX];
	int64_t t[SERIES_MAX];
	bool mixed = false;
	uint64_t looked_at = 0;
	series_make(&s, like);
	struct range_call c = call_make();
	c.param[0] = param;
	c.param[1] = tf;
	for (size_t i = 0; i < c.grid.n; i++) {
		param[i] = (double)(1 + series_random(99)) / 100;
		tf[i] = 0.3;
	}
	cr_assert_eq(answer_of(&a, &c, &s.cols, all[which].fn, NULL), 0, "%s",
		     err_text(&a.err));
	for (uint32_t i = 0; i < c.grid.n; i++) {
		int64_t ref = range_ref(&c, i);
		size_t hists,
			n = plain_window(&s.cols, ref - c.range_ms, ref, v, t, &hists);
		mixed |= n > 0 && hists > 0;
		looked_at += n + hists * hist_samples(&(struct hist){ 0 });
		double want = n ? all[which].plain(v, t, n, param[i], grid_at(c.grid, i))
				: -1e300;
		cr_assert_eq(bit_get(a.bits, i), want != -1e300, "%zu: step %u", which,
			     i);
		if (bit_get(a.bits, i))
			cr_assert(same_bits(a.v[i], want) ||
					  (all[which].plain == plain_stdvar &&
					   fabs(a.v[i] - want) <= 1e-13 * want) ||
					  (all[which].plain == plain_stddev &&
					   fabs(a.v[i] - want) <= 1e-13 * want) ||
					  (which < ZEROS_EQUAL && a.v[i] == want),
				  "%zu: step %u: %a, not %a", which, i, a.v[i], want);
	}
	cr_assert_eq(a.n_infos, mixed, "%zu", which);
	if (!(like & SERIES_HISTS))
		cr_assert_eq(a.samples, looked_at);
	if (mixed)
		cr_assert(str_eq(a.info, STR("PromQL info: ignored histograms in a range "
					     "containing both floats and histograms for "
					     "metric name \"metric\" (1:4)")));
	answer_free(&a);
}

Test(stats, sliding_windows_equal_windows_looked_at_anew)
{
	series_seed(1);
	for (size_t which = 0; which < ARRAY_LEN(all); which++)
		for (unsigned round = 0; round < 120; round++)
			check(which, round % 32);
}

Test(stats, lines_through_values_whose_sums_overflow)
{
	series_seed(4);
	for (size_t which = 0; which < ARRAY_LEN(all); which++)
		for (unsigned round = 0; round < 60; round++)
			if (all[which].fn == FN_ID_deriv ||
			    all[which].fn == FN_ID_predict_linear ||
			    all[which].fn == FN_ID_double_exponential_smoothing)
				check(which, SERIES_HUGE | round % 4);
}

Test(stats, quantile_warns_of_each_number_that_is_none)
{
	static struct rand_series s;
	static struct answer a;
	double q[3] = { 1.5, NAN, -1 };
	series_seed(2);
	series_make(&s, 0);
	s.cols.n = 1;
	s.t[0] = 1000;
	struct range_call c = { .grid = { 1000, 1000, 3 }, .range_ms = 60000 };
	c.param[0] = q;
	cr_assert_eq(answer_of(&a, &c, &s.cols, FN_ID_quantile_over_time, NULL), 0);
	cr_assert_eq(a.n_warnings, 3);
	cr_assert(
		str_eq(a.warning, STR("PromQL warning: quantile value should be between "
				      "0 and 1, got 1.5 (1:4)")));
	cr_assert(a.v[0] == INFINITY && isnan(a.v[1]) && a.v[2] == -INFINITY);
	answer_free(&a);
}

Test(stats, smoothing_refuses_factors_out_of_range)
{
	static const struct {
		double sf, tf;
		const char *text;
	} bad[] = {
		{ 0, 0.5,
		  "invalid smoothing factor. Expected: 0 < sf < 1, got: 0.000000" },
		{ 0.5, 1.25,
		  "invalid trend factor. Expected: 0 < tf < 1, got: 1.250000" },
		{ INFINITY, 1,
		  "invalid smoothing factor. Expected: 0 < sf < 1, got: +Inf" },
	};
	static struct rand_series s;
	static struct answer a;
	series_seed(3);
	series_make(&s, 0);
	s.cols.n = 1;
	s.t[0] = 1000;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct range_call c = { .grid = { 1000, 1000, 1 }, .range_ms = 60000 };
		c.param[0] = &bad[i].sf;
		c.param[1] = &bad[i].tf;
		cr_assert_eq(answer_of(&a, &c, &s.cols,
				       FN_ID_double_exponential_smoothing, NULL),
			     -1);
		cr_assert_str_eq(err_text(&a.err), bad[i].text);
		answer_free(&a);
		c.grid.start_ms = 999; /* nothing inside: nobody asks */
		cr_assert_eq(answer_of(&a, &c, &s.cols,
				       FN_ID_double_exponential_smoothing, NULL),
			     0);
		answer_free(&a);
	}
}

/* ---- sums ---- */

static double anew_sum(const double *v, size_t n)
{
	double sum = 0, c = 0;
	for (size_t k = 0; k < n; k++)
		kahan_add(v[k], &sum, &c);
	return isinf(sum) ? sum : sum + c;
}

static void sum_values(struct rand_series *s, unsigned kind)
{
	for (size_t k = 0; k < s->cols.n; k++)
		switch (kind) {
		case 0: s->v[k] = (double)series_random(1000); break; /* whole */
		case 1: s->v[k] = (double)series_random(1u << 30) / 1e6; break;
		case 2: s->v[k] = (double)series_random(1000) / 10 - 50; break;
		case 3: /* one that drowns the others, and goes again */
			s->v[k] = series_random(20) ? 0.1
						    : (series_random(2) ? 1e25 : -1e25);
			break;
		case 4: s->v[k] = series_random(5) ? 1e-300 : 3; break;
		default: break; /* what series_make gave: NaN, infinities */
		}
}

static bool near(double a, double b)
{
	return same_bits(a, b) || fabs(a - b) <= 1e-13 * fabs(b);
}

Test(stats, variances_of_sliding_windows_are_those_taken_anew)
{
	static struct rand_series s;
	static struct answer var, dev;
	double v[SERIES_MAX];
	int64_t t[SERIES_MAX];
	size_t hists, total = 0, slid = 0;
	series_seed(5);
	for (unsigned round = 0; round < 700; round++) {
		series_make(&s, SERIES_NAN);
		sum_values(&s, round % 7);
		for (size_t k = 0; k < s.cols.n && round % 7 == 6; k++)
			s.v[k] =
				1e6 + (double)series_random(100) / 7; /* a small spread */
		struct range_call c = call_make();
		c.grid.step_ms = 15000;
		c.range_ms = 1500000;
		cr_assert_eq(answer_of(&var, &c, &s.cols, FN_ID_stdvar_over_time, NULL),
			     0);
		cr_assert_eq(answer_of(&dev, &c, &s.cols, FN_ID_stddev_over_time, NULL),
			     0);
		for (uint32_t i = 0; i < c.grid.n; i++) {
			int64_t ref = range_ref(&c, i);
			size_t n = plain_window(&s.cols, ref - c.range_ms, ref, v, t,
						&hists);
			cr_assert_eq(bit_get(var.bits, i), n > 0);
			if (n == 0)
				continue;
			double want = plain_stdvar(v, t, n, 0, 0);
			total++;
			slid += !same_bits(var.v[i], want);
			cr_assert(near(var.v[i], want), "kind %u, step %u: %a, not %a",
				  round % 7, i, var.v[i], want);
			cr_assert(near(dev.v[i], sqrt(want)), "kind %u, step %u",
				  round % 7, i);
		}
		answer_free(&var);
		answer_free(&dev);
	}
	cr_assert_gt(slid, total / 20, "%zu of %zu", slid, total); /* it does slide */
}

/* The same to 1e-13, and mostly to the bit. */
Test(stats, sums_of_sliding_windows_are_those_added_up_anew)
{
	static struct rand_series s;
	static struct answer sum, avg;
	double v[SERIES_MAX];
	int64_t t[SERIES_MAX];
	size_t all_sums = 0, same_sums = 0, hists;
	series_seed(4);
	for (unsigned round = 0; round < 600; round++) {
		series_make(&s, SERIES_NAN);
		sum_values(&s, round % 6);
		struct range_call c = call_make();
		c.grid.step_ms = 15000;
		c.range_ms = 1500000;
		cr_assert_eq(answer_of(&sum, &c, &s.cols, FN_ID_sum_over_time, NULL), 0);
		cr_assert_eq(answer_of(&avg, &c, &s.cols, FN_ID_avg_over_time, NULL), 0);
		for (uint32_t i = 0; i < c.grid.n; i++) {
			int64_t ref = range_ref(&c, i);
			size_t n = plain_window(&s.cols, ref - c.range_ms, ref, v, t,
						&hists);
			cr_assert_eq(bit_get(sum.bits, i), n > 0);
			if (n == 0)
				continue;
			double want = anew_sum(v, n), mean = want / (double)n;
			all_sums++;
			same_sums += same_bits(sum.v[i], want);
			cr_assert(same_bits(sum.v[i], want) ||
					  fabs(sum.v[i] - want) <= 1e-13 * fabs(want),
				  "kind %u, step %u: %a, not %a", round % 6, i, sum.v[i],
				  want);
			if (round % 6 < 3)
				cr_assert(fabs(avg.v[i] - mean) <= 1e-13 * fabs(mean) ||
						  fabs(mean) < 1e-9,
					  "kind %u, step %u: %a, not %a", round % 6, i,
					  avg.v[i], mean);
		}
		answer_free(&sum);
		answer_free(&avg);
	}
	cr_assert_gt(same_sums, all_sums - all_sums / 1000, "%zu of %zu", same_sums,
		     all_sums);
}
