/*
 * promql/exec/classic.c - quantiles and fractions of classic histograms: cumulative buckets, straight lines between their limits.
 * Source  prometheus.md §2.6; tolerance as Prometheus'
 */
#include "promql/exec/hist_fn.h"

#include <math.h>

#define SMALL_DELTA 1e-12

/* Prometheus' relative comparison, see prometheus.md §2.11. */
static bool almost_equal(double a, double b, double eps)
{
	if (a == b || (isnan(a) && isnan(b)))
		return true;
	double sum = fabs(a) + fabs(b), diff = fabs(a - b);
	if (a == 0 || b == 0 || sum < 0x1p-1022)
		return diff < eps * 0x1p-1022;
	return diff / fmin(sum, 0x1.fffffffffffffp1023) < eps;
}

/* Buckets of equal limits are one. */
static size_t coalesce(struct bkt *b, size_t n)
{
	size_t k = 0;
	for (size_t i = 1; i < n; i++) {
		if (b[i].upper == b[k].upper)
			b[k].count += b[i].count;
		else
			b[++k] = b[i];
	}
	return k + 1;
}

/* Counts must not fall from bucket to bucket; tiny deltas are rounding and not worth a word. */
static void make_monotonic(struct bkt *b, size_t n, struct forced *f)
{
	double prev = b[0].count;
	*f = (struct forced){ false, INFINITY, -INFINITY, 0 };
	for (size_t i = 1; i < n; i++) {
		double cur = b[i].count;
		if (cur == prev)
			continue;
		if (almost_equal(prev, cur, SMALL_DELTA)) {
			b[i].count = prev;
		} else if (cur < prev) {
			b[i].count = prev;
			f->any = true;
			f->min_bucket = MIN(f->min_bucket, b[i].upper);
			f->max_bucket = MAX(f->max_bucket, b[i].upper);
			f->max_diff = MAX(f->max_diff, prev - cur);
		} else {
			prev = cur;
		}
	}
}

static bool has_inf(const struct bkt *b, size_t n)
{
	return isinf(b[n - 1].upper) && b[n - 1].upper > 0;
}

/* The first of n buckets that reaches the rank, by bisection as Prometheus does it: counts may be no numbers. */
static size_t find_rank(const struct bkt *b, size_t n, double rank)
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (b[mid].count >= rank)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

double classic_quantile(double q, struct bkt *b, size_t n, struct forced *f)
{
	f->any = false;
	if (isnan(q))
		return NAN;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	if (!has_inf(b, n))
		return NAN;
	n = coalesce(b, n);
	make_monotonic(b, n, f);
	if (n < 2 || b[n - 1].count == 0)
		return NAN;
	double rank = q * b[n - 1].count;
	size_t k = find_rank(b, n - 1, rank);
	if (k == n - 1)
		return b[n - 2].upper;
	if (k == 0 && b[0].upper <= 0)
		return b[0].upper;
	double start = 0, end = b[k].upper, count = b[k].count;
	if (k > 0) {
		start = b[k - 1].upper;
		count -= b[k - 1].count;
		rank -= b[k - 1].count;
	}
	return start + (end - start) * (rank / count);
}

/* ---- fraction ---- */

struct cut { /* one of the two values */
	double at, rank;
	bool set;
};

static void seek_cut(struct cut *c, double lower, const struct bkt *b, double rank)
{
	if (c->set)
		return;
	if (lower >= c->at) {
		c->rank = rank;
		c->set = true;
	} else if (lower < c->at && b->upper > c->at) {
		/* nothing is known of a bucket without a lower limit */
		c->rank = isinf(lower) && lower < 0
				  ? b->count
				  : rank + (b->count - rank) * (c->at - lower) /
						    (b->upper - lower);
		c->set = true;
	}
}

double classic_fraction(double lower, double upper, struct bkt *b, size_t n)
{
	if (!has_inf(b, n))
		return NAN;
	n = coalesce(b, n);
	double count = b[n - 1].count, rank = 0;
	if (count == 0 || isnan(lower) || isnan(upper))
		return NAN;
	if (lower >= upper)
		return 0;
	struct cut lo = { .at = lower }, hi = { .at = upper };
	double from = b[0].upper <= 0 ? -INFINITY : 0;
	for (size_t i = 0; i < n && !(lo.set && hi.set); i++) {
		if (i > 0)
			from = b[i - 1].upper;
		seek_cut(&lo, from, &b[i], rank);
		seek_cut(&hi, from, &b[i], rank);
		rank = b[i].count;
	}
	if (!lo.set || lo.rank > count)
		lo.rank = count;
	if (!hi.set || hi.rank > count)
		hi.rank = count;
	return (hi.rank - lo.rank) / count;
}
