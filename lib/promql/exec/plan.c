/*
 * promql/exec/plan.c - from the syntax tree to operators.
 *
 * A subtree that does not depend on the step (everything it selects is pinned by @, and no function of
 * it looks at the evaluation time) is planned on a grid of one step and expanded.
 */
#include "promql/exec/exec_int.h"
#include "promql/exec/held.h"

#include "base/time.h"
#include "base/vec.h"

int unsupported(struct exec *x, struct err *e, const char *what, const char *name)
{
	return err_set(x->ctx, e, E_UNSUPPORTED, "%s %s has no evaluator", what, name);
}

void *op_alloc(struct exec *x, size_t size, const struct op_ops *ops, struct grid g,
	       enum value_type type, const struct expr *e)
{
	struct op *op = arena_zalloc(x->arena, size);
	op->ops = ops;
	op->grid = g;
	op->type = type;
	op->expr = e;
	if (x->n_ops == x->cap_ops)
		x->ops = vec_grow(x->ops, &x->cap_ops, x->n_ops + 1, sizeof(struct op *));
	x->ops[x->n_ops++] = op;
	return op;
}

/*
 * Does the function look at the evaluation time, whatever its arguments are?
 * COMPAT: Prometheus 3.14 takes the functions of dates for such even with an argument, and so warns of sorts of them.
 */
static bool uses_time(const struct expr *e)
{
	switch (e->call.fn) {
	case FN_ID_time:
	case FN_ID_predict_linear: return true;
	case FN_ID_start:
	case FN_ID_end:
	case FN_ID_step:
	case FN_ID_range: return false; /* of the query: constants */
	case FN_ID_timestamp: return expr_strip(e->call.arg[0])->kind != EXPR_VECTOR;
	default: return fn_sigs[e->call.fn].traits & FN_NO_ARG_TIME;
	}
}

static bool fn_sorts(enum fn_id fn)
{
	return fn == FN_ID_sort || fn == FN_ID_sort_desc || fn == FN_ID_sort_by_label ||
	       fn == FN_ID_sort_by_label_desc;
}

/* *pinned is set where an @ was found: constants alone gain nothing from being expanded. */
static bool step_invariant(const struct expr *e, bool *pinned)
{
	switch (e->kind) {
	case EXPR_NUMBER:
	case EXPR_STRING:
	case EXPR_DURATION: return true;
	case EXPR_VECTOR:
	case EXPR_MATRIX:
		*pinned |= e->s.sel.at != AT_NONE;
		return e->s.sel.at != AT_NONE;
	case EXPR_SUBQUERY: *pinned |= e->sub.at != AT_NONE; return e->sub.at != AT_NONE;
	case EXPR_PAREN: return step_invariant(e->inner, pinned);
	case EXPR_UNARY: return step_invariant(e->un.e, pinned);
	case EXPR_BINARY:
		return step_invariant(e->bin.l, pinned) &&
		       step_invariant(e->bin.r, pinned);
	case EXPR_AGGR:
		/* COMPAT: Prometheus 3.14 does not ask the parameter; where it varies, its first value counts */
		if (!step_invariant(e->aggr.e, pinned))
			return false;
		*pinned |= e->aggr.param && e->aggr.param->type == TYPE_SCALAR;
		return true;
	case EXPR_CALL:
		if (uses_time(e))
			return false;
		for (size_t i = 0; i < e->call.n; i++)
			if (!step_invariant(e->call.arg[i], pinned))
				return false;
		*pinned |= fn_sorts(e->call.fn); /* then there is an order */
		return true;
	}
	return false;
}

static int aggr_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		    struct err *err)
{
	switch (e->aggr.op) {
	case AGG_TOPK:
	case AGG_BOTTOMK: return op_topk_new(x, e, g, out, err);
	case AGG_LIMITK:
	case AGG_LIMIT_RATIO: return op_limit_new(x, e, g, out, err);
	case AGG_QUANTILE: return op_quantile_new(x, e, g, out, err);
	case AGG_COUNT_VALUES: return op_count_values_new(x, e, g, out, err);
	default: return op_reduce_new(x, e, g, out, err);
	}
}

static int plan_node(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		     struct err *err)
{
	switch (e->kind) {
	case EXPR_NUMBER: return op_const_new(x, e, g, out, err);
	case EXPR_PAREN: return plan_expr(x, e->inner, g, out, err);
	case EXPR_VECTOR: return op_select_new(x, e, NULL, g, out, err);
	case EXPR_UNARY: return op_unary_new(x, e, g, out, err);
	case EXPR_BINARY: return op_binary_new(x, e, g, out, err);
	case EXPR_AGGR: return aggr_new(x, e, g, out, err);
	case EXPR_CALL: return op_call_new(x, e, g, out, err);
	case EXPR_STRING:
	case EXPR_MATRIX:
	case EXPR_SUBQUERY:
	case EXPR_DURATION: break;
	}
	return err_set(x->ctx, err, E_EXEC, "%s cannot be evaluated here",
		       value_type_text(e->type));
}

/* The operators made since `from` are inputs of what plan_expr answers: those of nested ones, and helpers. */
static void adopt(struct exec *x, size_t from, struct op *root)
{
	struct op *to = root;
	while (to->wrapper && !to->in[0]->planned) {
		to->in[0]->up = to;
		to = to->in[0];
	}
	for (size_t i = from; i < x->n_ops; i++)
		if (!x->ops[i]->up && x->ops[i] != root)
			x->ops[i]->up = to;
	root->planned = true;
}

int plan_expr(struct exec *x, const struct expr *e, struct grid g, struct op **out,
	      struct err *err)
{
	bool pinned = false;
	size_t from = x->n_ops;
	if (g.n > 1 && step_invariant(e, &pinned) && pinned) {
		struct op *once;
		struct grid one = { g.start_ms, g.step_ms, 1 };
		x->expanded++;
		if (samples_enter(x, true, 1, err) < 0 ||
		    plan_node(x, e, one, &once, err) < 0)
			return -1;
		x->expanded--;
		samples_leave(x);
		held_watch(x, once, e);
		if (op_expand_new(x, once, g, out, err) < 0)
			return -1;
		if (!once->held) /* in a parameter, which Prometheus evaluates at each step */
			held_watch(x, *out, e);
	} else if (plan_node(x, e, g, out, err) < 0) {
		return -1;
	} else {
		held_watch(x, *out, e);
	}
	adopt(x, from, *out);
	return 0;
}

int op_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	if (ctx_check(x->ctx, e) < 0)
		return -1;
	uint64_t start = x->q->analyze ? time_mono_ns() : 0;
	int rc = op->ops->next(op, x, out, e);
	if (rc > 0 && op->held && held_rows(x, op, *out, e) < 0)
		rc = -1;
	if (rc < 0 && !x->failed)
		x->failed = op;
	if (start) {
		op->took_ns += time_mono_ns() - start;
		op->rows += rc > 0 ? (*out)->n : 0;
	}
	return rc;
}
