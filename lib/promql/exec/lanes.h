/*
 * promql/exec/lanes.h - columns of floats two lanes at a time, as every x86-64 can; and searches for what is
 * rare in them. Each lane does what the scalar operation does, so bits do not change.
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
static inline size_t lanes_find_fall(const double *v, size_t i, size_t n)
{
	for (; i + 8 <= n; i += 8) {
		lanes_mask any = { 0, 0 };
		for (size_t k = 0; k < 8; k += LANES)
			any |= lanes_load(v + i + k) < lanes_load(v + i + k - 1);
		if (any[0] | any[1])
			break;
	}
	while (i < n && !(v[i] < v[i - 1]))
		i++;
	return i;
}

/* The first i from `i` on that is not a number; n: none. */
static inline size_t lanes_find_nan(const double *v, size_t i, size_t n)
{
	for (; i + 8 <= n; i += 8) {
		lanes_mask any = { 0, 0 };
		for (size_t k = 0; k < 8; k += LANES)
			any |= lanes_load(v + i + k) != lanes_load(v + i + k);
		if (any[0] | any[1])
			break;
	}
	while (i < n && v[i] == v[i])
		i++;
	return i;
}

/* kahan_add of v[i] to sum[i] and comp[i], n of them, a multiple of LANES. */
static inline void lanes_kahan_add(const double *v, double *sum, double *comp, size_t n)
{
	const lanes_mask sign = (lanes_mask){ 0 } + INT64_MIN;
	const lanes inf = (lanes){ 0 } + __builtin_inf();
	for (size_t i = 0; i < n; i += LANES) {
		lanes x = lanes_load(v + i), s = lanes_load(sum + i), t = s + x;
		lanes abs_s = (lanes)((lanes_mask)s & ~sign),
		      abs_x = (lanes)((lanes_mask)x & ~sign),
		      abs_t = (lanes)((lanes_mask)t & ~sign);
		lanes_mask s_big = abs_s >= abs_x;
		lanes big = lanes_select(s_big, s, x), small = lanes_select(s_big, x, s);
		lanes c = lanes_load(comp + i) + ((big - t) + small);
		lanes_store(comp + i, (lanes)((lanes_mask)c & ~(abs_t == inf)));
		lanes_store(sum + i, t);
	}
}

#endif
