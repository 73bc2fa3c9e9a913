/*
 * promql/exec/rate_wide.h - eight steps of a rate at once, where the processor has AVX-512; private to fn_rate.c.
 *
 * Thread  CPU
 */
#ifndef PROMQL_EXEC_RATE_WIDE_H
#define PROMQL_EXEC_RATE_WIDE_H

#include "promql/exec/window.h"

#define RATE_WIDE 8

struct divisor {
	double value, inverse; /* 1 / value, rounded */
	bool twice;	       /* that is off by more than 2^-54 */
};
struct rate_wide {
	const struct range_call *c;
	const struct series_cols *s; /* floats only */
	bool counter;
	struct divisor seconds, gaps; /* gaps: of the windows last seen */
	size_t reset; /* the least index behind the window's start with v[reset] < v[reset - 1] */
};

bool rate_wide_usable(void);
/* False: these steps (of such a range) are not for it. */
bool rate_wide_open(struct rate_wide *r, const struct range_call *c,
		    const struct series_cols *s, bool counter, double seconds);
/*
 * Steps from i on, RATE_WIDE at once as often as the window moves on as it did last and nothing in it is rare: it is moved behind
 * them, the values are set, and they are those that one step after the other gives. How many steps; 0: nothing was done.
 */
uint32_t rate_wide_steps(struct rate_wide *r, struct window *w, uint32_t i,
			 struct row *out);

#endif
