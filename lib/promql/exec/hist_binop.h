/*
 * promql/exec/hist_binop.h - operators with a native histogram on at least one side, and what is said of them.
 *
 * Prometheus tells of each step only what it met last, in the order of series; so do we, at the end of the stream.
 */
#ifndef PROMQL_EXEC_HIST_BINOP_H
#define PROMQL_EXEC_HIST_BINOP_H

#include "model/hist_math.h"
#include "promql/exec/exec_int.h"

struct hist_binop {
	struct exec *x;
	const struct expr *e;
	uint32_t n;
	uint8_t *last; /* by step: enum in hist_binop.c; NULL: nothing was met yet */
	struct hist_work work;
	struct hist_acc acc;
};
struct operand {
	double v;
	const struct hist *h; /* NULL: a float */
};
struct binop_result {
	bool dropped; /* the operator is not defined for these, or they do not go together */
	bool keep;    /* of a comparison */
	struct operand is;
};

void hist_binop_init(struct hist_binop *b, struct exec *x, const struct expr *e,
		     uint32_t n);
/* A new batch: results lie in `a` from now on. */
void hist_binop_batch(struct hist_binop *b, struct arena *a);
static inline bool hist_binop_wants(enum bin_op op, const struct hist *l,
				    const struct hist *r)
{
	return l || r || op == OP_TRIM_UPPER || op == OP_TRIM_LOWER;
}
struct binop_result hist_binop_eval(struct hist_binop *b, uint32_t step, struct operand l,
				    struct operand r);
void hist_binop_say(struct hist_binop *b); /* once, at the end */

#endif
