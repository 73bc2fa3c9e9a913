/*
 * promql/exec/held.h - how many samples Prometheus would hold for a query: what max_samples limits, and its peak.
 *
 * Prometheus keeps the whole result of each part of an expression until the part around it is done; this engine folds rows
 * as they come. What people know, and set limits by, is the former: so it is computed here from what passes between
 * the operators. The tree follows the expression, not the plan. See held.c for the rules.
 */
#ifndef PROMQL_EXEC_HELD_H
#define PROMQL_EXEC_HELD_H

#include "promql/exec/exec_int.h"

struct held;
/* The tree of a query; operators planned afterwards may be watched. */
int held_plan(struct exec *x, struct grid g, struct err *e);
/* Rows that `op` gives out are the result of `e`. */
void held_watch(struct exec *x, struct op *op, const struct expr *e);
/* Of what is read: NULL if nobody counts it. */
struct held *held_of(struct exec *x, const struct expr *e);
/* `e` is not evaluated by itself: it is the same as `as`. */
void held_alias(struct exec *x, const struct expr *e, const struct expr *as);
/* A batch of the operator's rows; E_LIMIT with Prometheus' text once the query cannot stay below max_samples. */
int held_rows(struct exec *x, struct op *op, const struct batch *b, struct err *e);
/* Those rows of the batch that have this bit in `among`, for whom a filter lets pass what another selector reads. */
int held_rows_among(struct exec *x, struct held *h, const struct batch *b, uint32_t bit,
		    struct err *e);
/* Whether rows of an operator on this grid are the result of `e`, and whose then; NULL: nobody counts them. */
struct held *held_watching(struct exec *x, struct grid g, const struct expr *e);
/* So many samples more of a selector that no operator gives out. */
int held_read(struct exec *x, struct held *h, uint64_t n, struct err *e);
/* The steps at which info() has an info series. */
int held_info(struct exec *x, struct held *h, const uint64_t *bits, struct err *e);
/*
 * What is counted from now on can be taken back (of NULL: nothing), unless points are counted by step, which the arguments of
 * operators and functions are.
 */
struct held *held_mark(struct exec *x, const struct held *h);
void held_back(struct held *h, const struct held *mark);
bool held_by_step(const struct held *h);
/* At the end of the query. */
int held_check(struct exec *x, struct err *e);
uint64_t held_peak(struct exec *x);

/* Windows over series, one after another: of each the largest, and what is left for the next. */
struct held_windows {
	uint64_t made; /* results so far */
	uint64_t peak;
};
/* A series was passed over; `out`: what came of it. */
void held_series(struct held_windows *w, const struct sample_tally *t, uint32_t steps,
		 const struct row *out);
int held_add_windows(struct exec *x, struct held *h, const struct held_windows *w,
		     struct err *e);

#endif
