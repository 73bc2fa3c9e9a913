/*
 * model/hist_reset.c - was a histogram's counter reset since the one before?
 *
 * What can only grow has become less: the count, a bucket, the zero bucket, the zero threshold, or there are finer buckets than
 * before. The older one is seen through the younger one's zero bucket and schema. Samples of one chunk share their layout, so
 * that mostly two columns are compared.
 */
#include "model/hist_math.h"

#include <math.h>
#include <string.h>

#include "model/hist_walk.h"

/* A walk over buckets as a coarser schema has them, from the first that reaches above `from` on. */
struct merged {
	struct walk w;
	int32_t schema; /* HIST_CUSTOM: nothing is passed over */
	int d;
	double from;
	bool more, begun;
	int32_t index;
	double count;
};

static struct merged merged_walk(const struct hist *h, bool positive, double from,
				 int32_t schema)
{
	struct merged m = { .w = walk_hist(h, positive),
			    .schema = schema,
			    .from = from,
			    .begun = from == 0 || schema == HIST_CUSTOM };
	m.d = schema == HIST_CUSTOM ? 0 : h->schema - schema;
	m.more = walk_next(&m.w);
	return m;
}

static int32_t merged_index(const struct merged *m)
{
	return m->d ? coarser(m->w.index, m->d) : m->w.index;
}

static bool merged_next(struct merged *m)
{
	do {
		if (!m->more)
			return false;
		m->index = merged_index(m);
		m->count = 0;
		do {
			m->count += walk_count(&m->w);
			m->more = walk_next(&m->w);
		} while (m->more && m->d && merged_index(m) == m->index);
	} while (!m->begun && hist_bound(m->index, m->schema) <= m->from);
	m->begun = true;
	return true;
}

static bool side_reset(const struct hist *h, const struct hist *prev, bool positive)
{
	struct merged old = merged_walk(prev, positive, h->zero_threshold, h->schema),
		      now = merged_walk(h, positive, h->zero_threshold, h->schema);
	bool have = merged_next(&now);
	while (merged_next(&old)) {
		while (have && now.index < old.index)
			have = merged_next(&now);
		if (have && now.index == old.index ? now.count < old.count
						   : old.count != 0)
			return true;
	}
	return false;
}

static bool same_layout(const struct hist_span *a, uint32_t na, const struct hist_span *b,
			uint32_t nb)
{
	return na == nb && (na == 0 || a == b || memcmp(a, b, na * sizeof(*a)) == 0);
}

/* Does the side begin outside of the zero bucket? Else its first buckets do not count. */
static bool clear_of_zero(const struct hist_span *s, uint32_t n, const struct hist *h)
{
	return n == 0 || h->zero_threshold == 0 || h->schema == HIST_CUSTOM ||
	       hist_bound(s->offset, h->schema) > h->zero_threshold;
}

static bool any_less(const double *a, const double *b, uint32_t n)
{
	bool less = false;
	for (uint32_t i = 0; i < n; i++)
		less |= a[i] < b[i];
	return less;
}

/* Buckets up to and with `bound` that were not counted yet; *more: the walk stands on a bucket. */
static double roll_up(struct walk *w, bool *more, const struct hist *h, double bound)
{
	double sum = 0;
	while (*more) {
		double upper =
			(uint32_t)w->index < h->n_bounds ? h->bounds[w->index] : INFINITY;
		if (!(upper <= bound))
			break;
		sum += walk_count(w);
		*more = walk_next(w);
	}
	return sum;
}

/* Custom bounds that differ: compared between those that both have. */
static bool custom_reset(const struct hist *h, const struct hist *prev)
{
	struct walk now = walk_hist(h, true), old = walk_hist(prev, true);
	bool now_more = walk_next(&now), old_more = walk_next(&old);
	for (uint32_t i = 0, j = 0; i <= h->n_bounds && j <= prev->n_bounds;) {
		double a = i < h->n_bounds ? h->bounds[i] : INFINITY,
		       b = j < prev->n_bounds ? prev->bounds[j] : INFINITY;
		if (a == b) {
			double x = roll_up(&now, &now_more, h, a),
			       y = roll_up(&old, &old_more, prev, a);
			if (x < y)
				return true;
			i++;
			j++;
		} else if (a < b) {
			i++;
		} else {
			j++;
		}
	}
	return false;
}

bool hist_detect_reset(const struct hist *h, const struct hist *prev)
{
	if (h->hint == HIST_RESET || h->hint == HIST_NOT_RESET)
		return h->hint == HIST_RESET;
	if (h->count < prev->count)
		return true;
	if (h->schema == HIST_CUSTOM) {
		if (prev->schema != HIST_CUSTOM)
			return true;
		if (!same_bounds(h->bounds, h->n_bounds, prev->bounds, prev->n_bounds))
			return custom_reset(h, prev);
	}
	if (h->schema > prev->schema || h->zero_threshold < prev->zero_threshold)
		return true;
	double zero = prev->zero_count, threshold = h->zero_threshold;
	if (threshold > prev->zero_threshold) {
		double c = 0;
		zero = zero_count_for(prev->schema, zero, walk_hist(prev, true),
				      walk_hist(prev, false), &threshold, &c);
		if (threshold != h->zero_threshold)
			return true;
	}
	if (h->zero_count < zero)
		return true;
	if (h->schema == prev->schema && clear_of_zero(h->pos_spans, h->n_pos_spans, h) &&
	    clear_of_zero(h->neg_spans, h->n_neg_spans, h) &&
	    same_layout(h->pos_spans, h->n_pos_spans, prev->pos_spans,
			prev->n_pos_spans) &&
	    same_layout(h->neg_spans, h->n_neg_spans, prev->neg_spans, prev->n_neg_spans))
		return any_less(h->pos, prev->pos, h->n_pos) ||
		       any_less(h->neg, prev->neg, h->n_neg);
	return side_reset(h, prev, true) || side_reset(h, prev, false);
}
