/*
 * model/hist_trim.c - what lies above or below a value is cut off a histogram.
 *
 * The bucket that holds the value keeps a share of its count: by the logarithm in exponential buckets, linearly in custom ones and
 * in the zero bucket. Where a limit is infinite nothing is known of the inside, so it is kept or dropped as a whole. Once anything
 * was cut, count and sum are made anew from the buckets, each observation taken to lie in the middle of what is left of its own.
 * Source  prometheus.md §2.6
 */
#include "model/hist_math.h"

#include <math.h>

#include "model/hist_walk.h"

struct trim {
	double at;
	bool upper; /* keep below */
	bool linear, positive;
	bool cut;	       /* anything */
	double count, sum;     /* of what is left */
	bool any_pos, any_neg; /* populated before */
};

/* Where the observations of an interval are taken to lie. */
static double middle(const struct trim *t, double lower, double upper)
{
	if (isinf(lower)) {
		if (isinf(upper))
			return 0;
		return upper > 0 ? upper / 2 : upper;
	}
	if (isinf(upper))
		return lower;
	if (t->linear)
		return (lower + upper) / 2;
	double mean = sqrt(fabs(lower * upper));
	return t->positive ? mean : -mean;
}

static double finite_or_0(double v)
{
	return isinf(v) ? 0 : v;
}

/* The bucket reaches down without end. With custom bounds above zero, zero stands for its start. */
static double keep_lowest(const struct trim *t, const struct hist_bucket *b, double *at)
{
	bool from_0 = b->upper > 0 && !isinf(b->upper);
	if (t->upper) {
		*at = 0;
		if (t->at >= b->upper)
			return b->count;
		if (t->at > 0 && from_0) {
			*at = t->at / 2;
			return b->count * t->at / b->upper;
		}
		*at = b->upper <= 0 ? t->at : finite_or_0(b->upper);
		return b->upper <= 0 ? b->count : 0;
	}
	*at = 0;
	if (t->at <= b->lower)
		return b->count;
	if (t->at >= 0 && from_0 && b->upper > t->at) {
		*at = (t->at + b->upper) / 2;
		return b->count * (1 - t->at / b->upper);
	}
	*at = finite_or_0(b->upper);
	return 0;
}

/* How much of a bucket that holds the value stays; *at is where that lies. */
static double keep_part(const struct trim *t, const struct hist_bucket *b, double *at)
{
	if (isinf(b->lower) && b->lower < 0)
		return keep_lowest(t, b, at);
	if (isinf(b->upper) && b->upper > 0) {
		bool all = !t->upper && t->at >= b->lower;
		*at = all ? t->at : finite_or_0(b->lower);
		return all ? b->count : 0;
	}
	double below = t->at <= b->lower ? 0
		       : t->at >= b->upper
			       ? b->count
			       : b->count * bucket_share_below(b, t->at, t->linear);
	*at = t->upper ? middle(t, b->lower, t->at) : middle(t, t->at, b->upper);
	return t->upper ? below : b->count - below;
}

static void trim_side(struct trim *t, struct hist_side *s, const struct hist *limits)
{
	for (uint32_t i = 0; i < s->n; i++) {
		struct hist_bucket b = { .count = s->v[i] };
		double keep = 0, at = 0;
		if (b.count == 0)
			continue;
		*(t->positive ? &t->any_pos : &t->any_neg) = true;
		hist_limits(limits, t->positive, s->index[i], &b);
		if (t->upper ? b.upper <= t->at : b.lower >= t->at) {
			keep = b.count;
			at = middle(t, b.lower, b.upper);
		} else if (t->upper ? b.lower < t->at : b.upper > t->at) {
			keep = keep_part(t, &b, &at);
		} else {
			s->v[i] = 0;
			t->cut = true;
			continue;
		}
		t->count += keep;
		t->sum += at * keep;
		if (s->v[i] != keep) {
			s->v[i] = keep;
			t->cut = true;
		}
	}
}

/* A histogram of one sign has nothing on the other side of zero. */
static double keep_zero(const struct trim *t, double count, double threshold, double *at)
{
	double lower = t->any_pos && !t->any_neg ? 0 : -threshold,
	       upper = t->any_neg && !t->any_pos ? 0 : threshold;
	*at = 0;
	if (t->upper ? t->at >= upper && !(t->at <= lower) : t->at <= lower) {
		*at = (lower + upper) / 2;
		return count;
	}
	if (t->upper ? t->at <= lower : t->at >= upper)
		return 0;
	*at = t->upper ? (lower + t->at) / 2 : (t->at + upper) / 2;
	double part = t->upper ? t->at - lower : upper - t->at;
	return count * (part / (upper - lower));
}

void hist_acc_trim(struct hist_acc *x, double at, bool upper)
{
	struct hist limits = { .schema = x->schema,
			       .bounds = x->bounds,
			       .n_bounds = x->n_bounds };
	struct trim t = { .at = at,
			  .upper = upper,
			  .linear = x->schema == HIST_CUSTOM,
			  .positive = true };
	trim_side(&t, &x->pos, &limits);
	t.positive = false;
	trim_side(&t, &x->neg, &limits);
	if (x->zero_count > 0) {
		double where,
			keep = keep_zero(&t, x->zero_count, x->zero_threshold, &where);
		if (x->zero_count != keep) {
			x->zero_count = keep;
			t.cut = true;
		}
		t.sum += where * keep;
		t.count += keep;
	}
	if (!t.cut)
		return;
	x->count = t.count;
	x->sum = t.sum;
	side_drop_empty(&x->pos);
	side_drop_empty(&x->neg);
}
