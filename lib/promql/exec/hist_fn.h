/*
 * promql/exec/hist_fn.h - functions of histograms, native and classic; private to their operators.
 */
#ifndef PROMQL_EXEC_HIST_FN_H
#define PROMQL_EXEC_HIST_FN_H

#include "model/hist_math.h"
#include "promql/exec/exec_int.h"

/* A bucket of a classic histogram: so many observations are at most `upper`. */
struct bkt {
	double upper, count;
};
/* What had to be done to make counts rise. */
struct forced {
	bool any;
	double min_bucket, max_bucket, max_diff;
};
/* Buckets ascend by `upper`, n > 0; they are changed. */
double classic_quantile(double q, struct bkt *b, size_t n, struct forced *f);
double classic_fraction(double lower, double upper, struct bkt *b, size_t n);

#endif
