/*
 * promql/exec/select_int.h - what a selector asks the store for, shared by the select operator and by
 * instant queries whose result is a matrix.
 */
#ifndef PROMQL_EXEC_SELECT_INT_H
#define PROMQL_EXEC_SELECT_INT_H

#include "promql/exec/exec_int.h"

struct select_spec {
	const struct expr *sel, *call;
	int64_t mint_ms, maxt_ms; /* inclusive: what any step looks at */
	enum sample_aggr want;
	struct store_series_req req;
};
/* Also fills the window of a range_call: range_ms is the look-back for instant selectors. */
void select_spec_init(struct exec *x, const struct expr *sel, const struct expr *call,
		      struct grid g, struct select_spec *out, struct range_call *window);
int select_open(struct exec *x, const struct select_spec *spec, struct series_set **out,
		struct err *e);
size_t select_drop_stale(struct sample_cols *c);

/* Instant query of a range selector or subquery: raw samples into the result. matrix.c */
int matrix_exec(struct exec *x, const struct expr *ex, struct promql_result *out,
		struct err *e);

#endif
