/*
 * tsdb/chunk/counter.h - counters of downsampled chunks as one rising run; private to this module.
 */
#ifndef TSDB_CHUNK_COUNTER_H
#define TSDB_CHUNK_COUNTER_H

#include "model/hist.h"

struct counter {
	bool begun;
	int64_t last_t;
	double last_v, total_v;
};
void counter_reset(struct counter *c);
/* Take the next sample of the chunks; false: it only told where the chunk before really ended. */
bool counter_float(struct counter *c, int64_t t, double v, double *out);
/* All counts and the sum divided by n, in `a`. */
const struct hist *counter_hist_divide(struct arena *a, const struct hist *h, double n);

#endif
