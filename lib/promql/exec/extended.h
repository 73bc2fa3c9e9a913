/*
 * promql/exec/extended.h - anchored and smoothed selectors; private to selectors.
 */
#ifndef PROMQL_EXEC_EXTENDED_H
#define PROMQL_EXEC_EXTENDED_H

#include "promql/exec/fn_hist.h"

/*
 * One window: samples [lo, hi) with the look-back, of which first to last count. From `first`, the newest one at or
 * before the start if there is one, the value at the start comes, from `last` the one at the end.
 */
struct extended_window {
	int64_t from, to;
	size_t lo, first, last;
};
/* fn_extended_hist.c: windows of histograms alone */
int extended_hist_step(struct hist_range *r, const struct extended_window *w, uint32_t i,
		       struct row *out, bool counter, bool per_second);
int smooth_hist_step(struct hist_range *r, size_t lo, size_t hi, size_t k, int64_t t,
		     uint32_t i, struct row *out);

/* The function for a selector that is anchored or smoothed; NULL with e: it cannot be used there. */
const struct range_fn *range_fn_extended(struct exec *x, enum fn_id fn,
					 const struct select_node *s, struct err *e);
/* Row of a smoothed instant selector. */
int smooth_row(const struct range_call *c, const struct series_cols *s,
	       struct range_env *env, struct row *out);
/* Samples of a range selector that is the whole query, in place; there is room for two more. Returns how many. */
size_t extended_samples(const struct range_call *c, struct sample_cols *s);

#endif
