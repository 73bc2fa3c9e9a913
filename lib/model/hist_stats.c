/*
 * model/hist_stats.c - quantiles, fractions and variance of native histograms.
 *
 * Inside a bucket, observations are taken to be spread evenly over its logarithm; in the zero bucket and in custom buckets over the
 * value itself. A histogram of one sign has nothing on the other side of zero.
 * Source  prometheus.md §2.6
 */
#include "model/hist_math.h"

#include <math.h>

#include "model/hist_walk.h"
#include "model/log2.h"

/* ---- quantile ---- */

/* All buckets in the order of values: the negative ones, the zero bucket if it holds anything, the positive ones. */
static uint32_t n_places(const struct hist *h)
{
	return h->n_neg + (h->zero_count > 0) + h->n_pos;
}

static double count_at(const struct hist *h, uint32_t k)
{
	if (k < h->n_neg)
		return h->neg[h->n_neg - 1 - k];
	k -= h->n_neg;
	if (h->zero_count > 0 && k-- == 0)
		return h->zero_count;
	return h->pos[k];
}

/* Adds up counts from one end until they reach `rank`; *at is the bucket where that is, else the last. */
static void seek_rank(const struct hist *h, bool forward, double rank, double *sum,
		      uint32_t *at)
{
	uint32_t n = n_places(h);
	for (uint32_t j = 0; j < n; j++) {
		*at = forward ? j : n - 1 - j;
		double v = count_at(h, *at);
		if (v == 0)
			continue;
		*sum += v;
		if (*sum >= rank)
			return;
	}
}

static int32_t index_of(const struct hist_span *s, uint32_t n, uint32_t i)
{
	int32_t index = 0;
	for (uint32_t k = 0; k < n; k++) {
		index += s[k].offset;
		if (i < s[k].length)
			return index + (int32_t)i;
		i -= s[k].length;
		index += (int32_t)s[k].length;
	}
	return index;
}

/* The bucket with its limits, cut at the zero bucket; nothing if there are no buckets. */
static struct hist_bucket bucket_at(const struct hist *h, uint32_t k)
{
	struct hist_bucket b = { 0 };
	uint32_t zero = h->zero_count > 0;
	if (k >= n_places(h))
		return b;
	if (k == h->n_neg && zero) {
		b.lower = -h->zero_threshold;
		b.upper = h->zero_threshold;
	} else if (k < h->n_neg) {
		hist_limits(h, false,
			    index_of(h->neg_spans, h->n_neg_spans, h->n_neg - 1 - k), &b);
		if (b.upper < 0 && b.upper > -h->zero_threshold)
			b.upper = -h->zero_threshold;
	} else {
		hist_limits(h, true,
			    index_of(h->pos_spans, h->n_pos_spans, k - h->n_neg - zero),
			    &b);
		if (b.lower > 0 && b.lower < h->zero_threshold)
			b.lower = h->zero_threshold;
	}
	b.count = count_at(h, k);
	return b;
}

double bucket_share_below(const struct hist_bucket *b, double v, bool linear)
{
	if (linear)
		return (v - b->lower) / (b->upper - b->lower);
	double lower = fd_log2(fabs(b->lower)), upper = fd_log2(fabs(b->upper)),
	       at = fd_log2(fabs(v));
	if (v > 0)
		return (at - lower) / (upper - lower);
	return 1 - ((at - upper) / (lower - upper));
}

static double interpolate(double lower, double upper, double fraction, bool linear)
{
	if (linear || (lower <= 0 && upper >= 0))
		return lower + (upper - lower) * fraction;
	double log_lower = fd_log2(fabs(lower)), log_upper = fd_log2(fabs(upper));
	if (lower > 0)
		return fd_exp2(log_lower + (log_upper - log_lower) * fraction);
	return -fd_exp2(log_upper + (log_lower - log_upper) * (1 - fraction));
}

double hist_quantile(const struct hist *h, double q, unsigned *notes)
{
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	if (h->count == 0 || isnan(q))
		return NAN;
	bool custom = h->schema == HIST_CUSTOM, nans = isnan(h->sum),
	     forward = nans || q < 0.5;
	double rank = (forward ? q : 1 - q) * h->count, count = 0;
	uint32_t at = 0, n = n_places(h);
	seek_rank(h, forward, rank, &count, &at);
	struct hist_bucket b = bucket_at(h, at);
	if (!custom && b.lower < 0 && b.upper > 0) {
		if (h->n_neg == 0 && h->n_pos > 0)
			b.lower = 0;
		else if (h->n_pos == 0 && h->n_neg > 0)
			b.upper = 0;
	} else if (custom) {
		if (isinf(b.lower) && b.lower < 0) {
			if (b.upper <= 0)
				return b.upper;
			b.lower = 0;
		} else if (isinf(b.upper) && b.upper > 0) {
			return b.lower;
		}
	}
	if (count > h->count) /* rounding */
		count = h->count;
	if (count < rank) {
		if (!nans)
			return b.upper;
		*notes |= HIST_NAN_RESULT;
		return NAN;
	}
	rank = forward ? rank - (count - b.count) : count - rank;
	if (nans) {
		/* Prometheus looks at all buckets to see whether some observations are in none, and then interpolates in
		 * the last. */
		while (++at < n) {
			b = bucket_at(h, at);
			count += b.count;
		}
		if (count < h->count)
			*notes |= HIST_NAN_SKEW;
	}
	return interpolate(b.lower, b.upper, rank / b.count, custom);
}

/* ---- fraction ---- */

struct cut { /* one of the two values */
	double at, rank;
	bool set;
};

static void seek_cut(struct cut *c, const struct hist_bucket *b, double rank, bool linear)
{
	if (c->set)
		return;
	if (b->lower >= c->at) {
		c->rank = rank;
		c->set = true;
	} else if (b->lower < c->at && b->upper > c->at) {
		c->set = true;
		if (linear && isinf(b->lower) && b->lower < 0) {
			c->rank = b->count; /* nothing is known of an endless bucket */
			return;
		}
		c->rank = rank + b->count * bucket_share_below(b, c->at, linear);
	}
}

double hist_fraction(const struct hist *h, double lower, double upper, unsigned *notes)
{
	if (h->count == 0 || isnan(lower) || isnan(upper))
		return NAN;
	if (lower >= upper)
		return 0;
	struct cut lo = { .at = lower }, hi = { .at = upper };
	struct hist_iter it;
	struct hist_bucket b;
	double rank = 0, count = 0;
	bool custom = h->schema == HIST_CUSTOM;
	hist_iter_init(&it, h);
	while (!(lo.set && hi.set) && hist_iter_next(&it, &b)) {
		bool zero = b.lower <= 0 && b.upper >= 0;
		count += b.count;
		if (zero && h->n_neg == 0 && h->n_pos > 0)
			b.lower = 0;
		else if (zero && h->n_pos == 0 && h->n_neg > 0)
			b.upper = 0;
		seek_cut(&lo, &b, rank, custom || zero);
		seek_cut(&hi, &b, rank, custom || zero);
		rank += b.count;
	}
	if (isnan(h->sum)) {
		while (hist_iter_next(&it, &b))
			count += b.count;
		if (count < h->count)
			*notes |= HIST_NAN_EXCLUDED;
	} else {
		count = h->count;
	}
	if (!lo.set || lo.rank > count)
		lo.rank = count;
	if (!hi.set || hi.rank > count)
		hi.rank = count;
	return (hi.rank - lo.rank) / h->count;
}

/* ---- variance ---- */

double hist_stdvar(const struct hist *h)
{
	struct hist_iter it;
	struct hist_bucket b;
	double mean = h->sum / h->count, sum = 0, c = 0;
	hist_iter_init(&it, h);
	while (hist_iter_next(&it, &b)) {
		double v;
		if (b.count == 0)
			continue;
		if (h->schema == HIST_CUSTOM) {
			v = (b.upper + b.lower) / 2;
		} else if (b.lower <= 0 && b.upper >= 0) {
			v = 0;
		} else {
			v = sqrt(b.upper * b.lower);
			if (b.upper < 0)
				v = -v;
		}
		double delta = v - mean;
		kahan(b.count * delta * delta, &sum, &c);
	}
	sum += c;
	return sum / h->count;
}
