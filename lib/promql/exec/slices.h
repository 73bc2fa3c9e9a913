/*
 * promql/exec/slices.h - an aggregation read some steps at a time, for an operator that looks at each step by itself and gives
 * few rows.
 *
 * topk(5, sum by (pod) (rate(x[5m]))) looks at the sums of all pods at a step, and then at few of them: but of all steps they are
 * all held until the last series has come. So if the groups outgrow a limit, they are forgotten and the selector is read
 * again for a quarter of the steps, then for the next ones: a slice. What it costs is what was read in vain, labels as often as there
 * are slices, and the chunks at the seams twice: a third of a query that was read for four slices.
 *
 * An input can be sliced that is an aggregation of a selector, both by themselves. Any other is read whole.
 */
#ifndef PROMQL_EXEC_SLICES_H
#define PROMQL_EXEC_SLICES_H

#include "promql/exec/exec_int.h"

/* Groups that take more are divided (less, if the query's memory ends before), but not fewer steps than these. */
#define SLICE_BYTES ((size_t)64 << 20)
#define SLICE_STEPS 64u

struct slices {
	struct op *in;
	struct grid grid; /* all steps */
	uint32_t from, n; /* the slice that is read: rows of `in` are of these steps */
	bool begun, can;
};
void slices_init(struct slices *s, struct op *in);
/*
 * 1: the rows of `in` are to be read to their end, for n steps from `from` on; 0: there are no more steps; -1. Ask slices_outgrown
 * behind the rows: if so, what was read is to be forgotten, and the next slice begins where this one did.
 */
MUST_CHECK int slices_next(struct slices *s, struct exec *x, struct err *e);
bool slices_outgrown(const struct slices *s);

/* ---- what is read so ---- */

/* op_select.c: read by itself, and nothing of it depends on which steps are read at a time. */
bool op_select_can_slice(const struct op *op);
/* Begin again, for the steps of g, before which there are `from` others. */
void op_select_slice(struct op *op, struct grid g, uint32_t from);
/* What is counted from now on can be taken back. */
struct select_mark;
MUST_CHECK int op_select_mark(struct op *op, struct select_mark **out, struct err *e);
void op_select_back(struct op *op, const struct select_mark *mark);

/* op_reduce.c: groups may take slices_most() bytes, or (whole) any. If they outgrow that there are no rows. */
size_t slices_most(const struct exec *x);
bool op_reduce_can_slice(const struct op *op);
MUST_CHECK int op_reduce_slice(struct op *op, struct exec *x, struct grid g,
			       uint32_t from, bool whole, struct err *e);
bool op_reduce_outgrown(const struct op *op);

#endif
