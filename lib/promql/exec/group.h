/*
 * promql/exec/group.h - the groups of an aggregation: label sets by `by` or `without`, numbered in the order in which
 * they appear. Shared by the aggregations that hold more than a running value.
 *
 * Thread  one.  Memory  keys on the request arena
 */
#ifndef PROMQL_EXEC_GROUP_H
#define PROMQL_EXEC_GROUP_H

#include "promql/exec/exec_int.h"

/* COMPAT: in Prometheus 3.14 a group loses its metric name if any of its rows does at the last step where there are any. */
struct drop_mark {
	uint32_t end; /* that step + 1 */
	bool drop;
};
void drop_mark_row(struct drop_mark *m, const struct row *r, uint32_t n);

struct group_key {
	struct labels labels;
	uint32_t next; /* equal hash: ordinal + 1 */
};
struct groups {
	const struct str *
		names; /* by: the labels kept; without: those dropped, __name__ added; sorted */
	size_t n_names;
	bool without;
	/* Of the keys; the request's unless somebody says otherwise. */
	struct arena *arena;
	struct map64 index; /* hash -> ordinal + 1 */
	struct group_key *key;
	size_t n, cap;
};
/* By the modifiers of aggregation `e`. */
void groups_init(struct groups *g, struct exec *x, const struct expr *e);
/* The same, where label `apart` decides nothing: count_values sets it itself. */
void groups_init_apart(struct groups *g, struct exec *x, const struct expr *e,
		       struct str apart);
void groups_deinit(struct groups *g);
/* None has appeared yet; the keys' memory is the caller's. */
void groups_clear(struct groups *g);
/* The ordinal of the group that `ls` belongs to; made if it is new. */
MUST_CHECK int groups_of(struct groups *g, struct exec *x, struct labels ls,
			 uint32_t *ordinal, struct err *e);
/* No label of a metric's name can be among those of a group. */
bool groups_nameless(const struct groups *g);

/* The parameter of an aggregation, a scalar by step; with the extremes over the query as Prometheus takes them. */
struct aggr_param {
	struct op *op;
	const double *v; /* by step */
	double min, max;
	bool nan; /* any */
};
int aggr_param_plan(struct exec *x, const struct expr *e, struct grid g,
		    struct aggr_param *p, struct err *err);
int aggr_param_read(struct exec *x, const struct expr *e, struct grid g,
		    struct aggr_param *p, struct err *err);
/*
 * k of topk, bottomk and limitk by step, on the request arena; *none: nothing is asked for anywhere. Then, and before a
 * parameter is refused, `in` was read to its end: its own errors come first.
 */
int aggr_param_counts(struct exec *x, const struct aggr_param *p, struct op *in,
		      int64_t **out, bool *none, struct err *err);
/* What is aggregated: a selector is told by whom, for its hints to the stores. */
int aggr_input_plan(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		    struct err *err);

#endif
