/*
 * promql/exec/falls.h - the places where a counter fell, for rates of windows that hold many of them; private to the range
 * functions.
 *
 * Prometheus adds what was lost at each fall to the difference of a window's ends, one after another. Where none of these
 * additions can round (values are multiples of 2^-10 and all sums stay below 2^53 of them, as counts of events do) any
 * order has the same bits, and a window costs a subtraction. Else its falls are added one by one.
 */
#ifndef PROMQL_EXEC_FALLS_H
#define PROMQL_EXEC_FALLS_H

#include "promql/exec/floats.h"

struct falls {
	const uint32_t
		*at; /* samples that are below the one before; NULL: not looked for */
	const double *lost; /* at the falls before each; NULL: additions round */
	size_t n, lo, hi;   /* those of the window: [lo, hi) */
	size_t work;	    /* samples that were looked at for want of this */
};
/* Find them all. 0, or -1 with env->e. */
int falls_find(struct falls *f, const struct series_cols *s, struct range_env *env);
/* diff and what was lost in the window. Windows only move forward. */
double falls_add(struct falls *f, const struct window *w, const double *v, double diff);

#endif
