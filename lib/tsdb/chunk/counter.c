/*
 * tsdb/chunk/counter.c - adding up the increases of a downsampled counter; what a chunk holds stands in
 * series_samples.c.
 */
#include "tsdb/chunk/counter.h"

void counter_reset(struct counter *c)
{
	c->begun = false;
}

bool counter_float(struct counter *c, int64_t t, double v, double *out)
{
	if (!c->begun) {
		c->begun = true;
		c->total_v = v;
	} else if (t <= c->last_t) {
		c->last_v = v;
		return false;
	} else {
		c->total_v += v >= c->last_v ? v - c->last_v : v;
	}
	c->last_t = t;
	c->last_v = v;
	*out = c->total_v;
	return true;
}

const struct hist *counter_hist_divide(struct arena *a, const struct hist *h, double n)
{
	struct hist *x = arena_alloc(a, sizeof *x);
	double *v = arena_alloc(a, ((size_t)h->n_pos + h->n_neg + 1) * sizeof *v);
	*x = *h;
	x->count /= n;
	x->sum /= n;
	x->zero_count /= n;
	for (uint32_t i = 0; i < h->n_pos; i++)
		v[i] = h->pos[i] / n;
	for (uint32_t i = 0; i < h->n_neg; i++)
		v[h->n_pos + i] = h->neg[i] / n;
	x->pos = v;
	x->neg = v + h->n_pos;
	return x;
}
