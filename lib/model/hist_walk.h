/*
 * model/hist_walk.h - buckets of one side in the order of their index, from spans or from an accumulator; private to model.
 */
#ifndef MODEL_HIST_WALK_H
#define MODEL_HIST_WALK_H

#include "model/hist_math.h"

struct walk {
	const struct hist_span *span; /* NULL: indices */
	const int32_t *at;
	const double *v, *c; /* c NULL: none */
	uint32_t n, n_spans;
	uint32_t i, in_span; /* buckets shown; of the current span */
	int32_t index;	     /* of the bucket shown last */
};

static inline struct walk walk_hist(const struct hist *h, bool positive)
{
	if (positive)
		return (struct walk){ .span = h->pos_spans,
				      .n_spans = h->n_pos_spans,
				      .v = h->pos,
				      .n = h->n_pos,
				      .index = -1 };
	return (struct walk){ .span = h->neg_spans,
			      .n_spans = h->n_neg_spans,
			      .v = h->neg,
			      .n = h->n_neg,
			      .index = -1 };
}

static inline struct walk walk_side(const struct hist_side *s)
{
	return (struct walk){ .at = s->index, .v = s->v, .c = s->c, .n = s->n };
}

/* Bucket w->i - 1 is shown afterwards: w->index, w->v[w->i - 1]. */
static inline bool walk_next(struct walk *w)
{
	if (w->i == w->n)
		return false;
	if (w->at) {
		w->index = w->at[w->i++];
		return true;
	}
	w->index++;
	if (w->i == 0 && w->n_spans)
		w->index = w->span->offset;
	while (w->n_spans && w->in_span == w->span->length) {
		w->span++;
		w->in_span = 0;
		if (--w->n_spans)
			w->index += w->span->offset;
	}
	if (w->n_spans == 0)
		return false;
	w->in_span++;
	w->i++;
	return true;
}

static inline double walk_count(const struct walk *w)
{
	return w->v[w->i - 1];
}

/* Go's ((i - 1) >> d) + 1: the bucket of a schema lower by d that holds bucket i. */
static inline int32_t coarser(int32_t i, int d)
{
	return ((i - 1) >> d) + 1;
}

/* Neumaier's compensated addition as Prometheus has it. */
static inline void kahan(double inc, double *sum, double *c)
{
	double t = *sum + inc;
	if (__builtin_isinf(t))
		*c = 0;
	else if (__builtin_fabs(*sum) >= __builtin_fabs(inc))
		*c += (*sum - t) + inc;
	else
		*c += (inc - t) + *sum;
	*sum = t;
}

/*
 * The count of the zero bucket if it reached up to *threshold, which rises to the limit of a bucket that it would cut and that
 * holds anything. `*c` is the compensation so far; that of the buckets is added where the walks have one.
 */
double zero_count_for(int32_t schema, double zero_count, struct walk pos, struct walk neg,
		      double *threshold, double *c);

void side_drop_empty(struct hist_side *s);
void side_reserve(struct hist_side *s, struct arena *a, uint32_t n);

/* What a sum of two says of resets; true: they contradict each other. */
static inline bool hint_join(uint8_t *hint, uint8_t other)
{
	if (other == *hint || *hint == HIST_GAUGE)
		return false;
	if (other == HIST_GAUGE) {
		*hint = HIST_GAUGE;
		return false;
	}
	bool collide = *hint != HIST_UNKNOWN && other != HIST_UNKNOWN;
	*hint = HIST_UNKNOWN;
	return collide;
}

/* So far below the greatest number that a billion of them could be added. */
static inline bool small(double v)
{
	return __builtin_fabs(v) < 1e299;
}

static inline bool all_small(const double *v, size_t n)
{
	bool ok = true;
	for (size_t i = 0; i < n; i++)
		ok &= small(v[i]);
	return ok;
}

/* The share of a bucket with finite limits that lies at or below v, which is inside. */
double bucket_share_below(const struct hist_bucket *b, double v, bool linear);

static inline bool same_bounds(const double *a, uint32_t na, const double *b, uint32_t nb)
{
	if (na != nb)
		return false;
	for (uint32_t i = 0; a != b && i < na; i++)
		if (a[i] != b[i])
			return false;
	return true;
}

#endif
