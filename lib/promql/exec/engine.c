/*
 * promql/exec/engine.c - one query from plan to answer: build the operators, start the selectors, pull the
 * root, collect its rows by labels, turn them into series, sort.
 */
#include "promql/exec/select_int.h"

#include <stdlib.h>

#include "base/vec.h"

static void close_all(struct exec *x)
{
	while (x->n_ops) {
		struct op *op = x->ops[--x->n_ops];
		if (op->ops->close)
			op->ops->close(op);
	}
	free(x->ops);
}

/* Send all requests before the first answer is waited for; the rest open when they are read. */
static int prepare_all(struct exec *x, struct err *e)
{
	for (size_t i = 0; i < x->n_ops; i++)
		if (x->ops[i]->ops->prepare &&
		    x->ops[i]->ops->prepare(x->ops[i], x, e) < 0)
			return -1;
	return 0;
}

static int row_to_series(struct exec *x, struct grid g, struct row *r,
			 struct promql_series *s, struct err *e)
{
	uint32_t n = 0;
	EACH_BIT(i, r->bits, g.n)
	n++;
	int64_t *t = arena_try(x->arena, x->ctx, n * sizeof(*t), e);
	if (!t)
		return -1;
	bool hists = false;
	uint32_t k = 0;
	EACH_BIT(i, r->bits, g.n)
	{ /* compacted in place: k never passes i */
		t[k] = grid_at(g, i);
		r->v[k] = r->v[i];
		if (r->h) {
			r->h[k] = r->h[i];
			hists |= r->h[k] != NULL;
		}
		k++;
	}
	*s = (struct promql_series){ r->labels, n, t, r->v, hists ? r->h : NULL };
	return 0;
}

static int by_labels(const void *a, const void *b, void *arg)
{
	(void)arg;
	return labels_cmp(((const struct promql_series *)a)->labels,
			  ((const struct promql_series *)b)->labels);
}

static int collect(struct exec *x, struct op *root, struct promql_result *out,
		   struct err *e)
{
	struct row_set set;
	struct batch *b;
	int rc;
	row_set_init(&set, root->grid.n);
	while ((rc = op_next(root, x, &b, e)) > 0) {
		for (size_t k = 0; k < b->n && rc > 0; k++)
			if (row_set_add(x, &set, &b->row[k], DUP_LABELSET, e) < 0)
				rc = -1;
		if (rc > 0)
			rc = ctx_check(x->ctx, e) < 0 ? -1 : 1;
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = row_set_cut_names(x, &set, DUP_LABELSET, e);
	if (rc == 0) {
		out->series =
			arena_try(x->arena, x->ctx, set.n * sizeof(*out->series) + 1, e);
		rc = out->series ? 0 : -1;
	}
	for (size_t k = 0; k < set.n && rc == 0; k++)
		if (bits_any(set.row[k].bits, root->grid.n))
			rc = row_to_series(x, root->grid, &set.row[k],
					   &out->series[out->n++], e);
	row_set_deinit(&set);
	if (rc == 0 && x->q->step_ms != 0)
		vec_sort(out->series, out->n, sizeof(*out->series), by_labels, NULL);
	return rc;
}

static int run(struct exec *x, struct promql_result *out, struct err *e)
{
	const struct promql_query *q = x->q;
	const struct expr *root_expr = q->expr;
	while (root_expr->kind == EXPR_PAREN)
		root_expr = root_expr->inner;
	out->t_ms = q->start_ms;
	if (root_expr->type == TYPE_STRING) {
		out->type = TYPE_STRING;
		out->string = root_expr->str;
		return 0;
	}
	if (root_expr->type == TYPE_MATRIX)
		return matrix_exec(x, root_expr, out, e);
	struct grid g = { q->start_ms, q->step_ms, 1 };
	if (q->step_ms > 0)
		g.n = (uint32_t)((q->end_ms - q->start_ms) / q->step_ms) + 1;
	struct op *root;
	if (plan_expr(x, q->expr, g, &root, e) < 0 || prepare_all(x, e) < 0)
		return -1;
	out->type = q->step_ms > 0 ? TYPE_MATRIX : root->type;
	return collect(x, root, out, e);
}

int promql_exec(struct ctx *ctx, struct arena *a, const struct promql_query *q,
		struct promql_result *out, struct err *e)
{
	struct exec x = { .ctx = ctx, .q = q, .arena = a };
	struct promql_result result = { 0 };
	int rc = run(&x, &result, e);
	close_all(&x);
	result.samples_total = atomic_load(&x.samples);
	notes_samples(ctx->notes, result.samples_total);
	if (rc == 0)
		*out = result;
	return rc;
}
