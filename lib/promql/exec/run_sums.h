/*
 * promql/exec/run_sums.h - sums of the floats of any window of a series at the cost of two looks; private to the range
 * functions.
 *
 * A float is a whole number of some power of two, and those of one series mostly lie so close to each other that all of
 * them fit 128 bits with room to add them up. Then sums from the start on are exact, and so are their differences.
 * Prometheus' compensated sum is the exact one but for what compensation itself loses: n x 2^-106 of the sum of
 * the magnitudes. Where a window's sum is not small against them (RUN_SUMS_LOST), both round to the same or to
 * neighbours; where it is, where values are too far apart or no numbers, and where windows overlap so little that it does
 * not pay, windows are added up anew as Prometheus does it.
 */
#ifndef PROMQL_EXEC_RUN_SUMS_H
#define PROMQL_EXEC_RUN_SUMS_H

#include "promql/exec/floats.h"

#define RUN_SUMS_OVERLAP 8  /* steps that look at the same sample, at least */
#define RUN_SUMS_SPREAD	 16 /* the same for variances, whose bits are seldom the same */
#define RUN_SUMS_LOST	 1e-12 /* of a window's greatest magnitude a sample */

struct wide { /* 192 bits, the lowest first */
	uint64_t w[3];
};
struct run_sums {
	const double *v;
	const __int128 *upto;	    /* of the samples before each; NULL: add up anew */
	double unit;		    /* what 1 stands for */
	double least;		    /* a sum is trusted from this much a sample on */
	const struct wide *squares; /* as upto; NULL: variances are taken anew */
	double least_var;	    /* in units: below, too much was cut off */
};
int run_sums_open(struct run_sums *r, const struct range_call *c, const double *v,
		  size_t n, struct range_env *env);
/* For run_sums_var too. */
int run_sums_open_squares(struct run_sums *r, const struct range_call *c, const double *v,
			  size_t n, struct range_env *env);
/* Of the samples [lo, hi), at least one. */
double run_sums_sum(const struct run_sums *r, size_t lo, size_t hi);
double run_sums_avg(const struct run_sums *r, size_t lo, size_t hi);
/*
 * The variance of the whole window. Welford's, which Prometheus has, loses the more the smaller the spread is against the
 * mean: from 1 to 100 on it is taken anew.
 */
double run_sums_var(const struct run_sums *r, size_t lo, size_t hi);

#endif
