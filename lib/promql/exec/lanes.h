/*
 * promql/exec/lanes.h - columns of floats two lanes at a time, as every x86-64 can, or eight (AVX-512); and
 * searches for what is rare in them. Each lane does what the scalar operation does, so bits do not change.
 *
 * Thread  CPU
 */
#ifndef PROMQL_EXEC_LANES_H
#define PROMQL_EXEC_LANES_H

#include <string.h>

#include "base/base.h"

#define LANES 2
typedef double lanes __attribute__((vector_size(8 * LANES)));
typedef long long lanes_mask __attribute__((vector_size(8 * LANES))); /* 0 or -1 */

static inline lanes lanes_load(const double *p)
{
	lanes v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void lanes_store(double *p, lanes v)
{
	memcpy(p, &v, sizeof(v));
}

static inline lanes lanes_select(lanes_mask m, lanes yes, lanes no)
{
	return (lanes)(((lanes_mask)yes & m) | ((lanes_mask)no & ~m));
}

/* The first i from `i` (at least 1) on with v[i] < v[i - 1]; n: none. */
size_t lanes_find_fall(const double *v, size_t i, size_t n);
/* The first i from `i` on that is not a number; n: none. */
size_t lanes_find_nan(const double *v, size_t i, size_t n);
/* kahan_add of v[i] to sum[i] and comp[i], n of them, a multiple of 8. */
void lanes_kahan_add(const double *v, double *sum, double *comp, size_t n);
/* best[i] becomes v[i] where that is greater (max; else less), or best[i] is not a number; n is a multiple of 8. */
void lanes_extremes(const double *v, double *best, size_t n, bool max);
/* Bit i of 64: v[i] > than[i] (over; else <), or than[i] is not a number. */
uint64_t lanes_beyond(const double *v, const double *than, bool over);

#endif
