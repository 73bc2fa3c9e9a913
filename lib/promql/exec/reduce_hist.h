/*
 * promql/exec/reduce_hist.h - sum and avg of native histograms by step; private to op_reduce.c.
 */
#ifndef PROMQL_EXEC_REDUCE_HIST_H
#define PROMQL_EXEC_REDUCE_HIST_H

#include "promql/exec/exec_int.h"
#include "promql/exec/hist_mean.h"

struct hist_cell { /* of one group at one step: there may be many, so the result lies where the sum was */
	union {
		struct hist_acc acc;
		struct hist result;
	};
	struct hist_mean mean;
	bool mixed; /* exponential and custom buckets: no result, whatever comes */
	bool reset, not_reset;
};
struct hist_reduce {
	struct exec *x;
	const struct expr *at; /* what is aggregated */
	bool avg;
	uint32_t n;
	struct hist_work work;
	bool said_mixed, said_reconciled, said_collision;
};

void hist_reduce_init(struct hist_reduce *r, struct exec *x, const struct expr *aggr,
		      uint32_t n);
/* Add h to the cell of its step; *cells is made when the first one comes. A cell whose step had floats before has no result. */
int hist_reduce_add(struct hist_reduce *r, struct hist_cell ***cells, uint32_t step,
		    const struct hist *h, struct labels ls, bool floats_first,
		    struct err *e);
/* Results of a group go into `row`, in which floats are already: a step that has both has no result. */
int hist_reduce_finish(struct hist_reduce *r, struct hist_cell **cells, struct row *row,
		       struct err *e);

#endif
