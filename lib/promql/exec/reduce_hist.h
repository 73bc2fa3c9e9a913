/*
 * promql/exec/reduce_hist.h - sum and avg of native histograms by step; private to op_reduce.c.
 */
#ifndef PROMQL_EXEC_REDUCE_HIST_H
#define PROMQL_EXEC_REDUCE_HIST_H

#include "model/hist_slot.h"
#include "promql/exec/exec_int.h"

/* own_bits of the slots of a group, one by step; own_n: how many histograms of an avg came. */
#define CELL_PRESENT 1u
#define CELL_MIXED                                                                       \
	2u /* with floats, or exponential and custom buckets: no result, whatever comes */
#define CELL_RESET     4u
#define CELL_NOT_RESET 8u
#define CELL_CARRIED   16u /* avg: the slot is the mean */
struct hist_reduce {
	struct exec *x;
	const struct expr *at; /* what is aggregated */
	bool avg;
	uint32_t n;
	struct hist_shelf shelf;
	bool said_mixed, said_reconciled, said_collision;
};

void hist_reduce_init(struct hist_reduce *r, struct exec *x, const struct expr *aggr,
		      uint32_t n);
void hist_reduce_deinit(struct hist_reduce *r);
/* Begin again, for n steps: cells are gone, what was said is not said again. */
void hist_reduce_again(struct hist_reduce *r, uint32_t n);
/* Add h to the cell of its step; *cells is made when the first one comes. A cell whose step had floats before has no result. */
int hist_reduce_add(struct hist_reduce *r, struct hist_slot **cells, uint32_t step,
		    const struct hist *h, struct labels ls, bool floats_first,
		    struct err *e);
static inline bool hist_reduce_is_mixed(const struct hist_slot *cells, uint32_t step)
{
	return cells && cells[step].own_bits & CELL_MIXED;
}
/* All have come: bits of steps that have a result are set beside those of floats, and those that have both are cleared. */
void hist_reduce_settle(struct hist_reduce *r, const struct hist_slot *cells,
			uint64_t *bits);
/* Then, once: the results, in memory of `a` and of the cells. */
int hist_reduce_show(struct hist_reduce *r, struct hist_slot *cells, struct arena *a,
		     struct row *row, struct err *e);

#endif
