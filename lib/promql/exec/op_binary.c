/*
 * promql/exec/op_binary.c - unary minus, and binary operators with a scalar on at least one side. Two
 * vectors are joined in op_join.c.
 */
#include "promql/exec/hist_binop.h"

#include <math.h>

/* The value; comparisons give l and say in *keep whether they hold. */
double binop_value(enum bin_op op, double l, double r, bool *keep)
{
	*keep = true;
	switch (op) {
	case OP_ADD: return l + r;
	case OP_SUB: return l - r;
	case OP_MUL: return l * r;
	case OP_DIV: return l / r;
	case OP_MOD: return fmod(l, r);
	case OP_POW: return pow(l, r);
	case OP_ATAN2: return atan2(l, r);
	case OP_EQ: *keep = l == r; return l;
	case OP_NE: *keep = l != r; return l;
	case OP_LT: *keep = l < r; return l;
	case OP_GT: *keep = l > r; return l;
	case OP_LE: *keep = l <= r; return l;
	case OP_GE: *keep = l >= r; return l;
	case OP_AND:
	case OP_OR:
	case OP_UNLESS:
	case OP_TRIM_UPPER:
	case OP_TRIM_LOWER:
	case OP_COUNT: break;
	}
	BUG_ON(true);
}

bool op_drops_name(const struct expr *bin)
{
	return bin->bin.ret_bool || bin->bin.op <= OP_ATAN2; /* trims keep it */
}

/* ---- unary ---- */

struct op_neg {
	struct op op;
	struct arena arena; /* histograms of the current batch */
};

static const struct hist *negated(struct hist_work *w, const struct hist *h)
{
	struct hist_acc acc;
	hist_acc_init(&acc, w);
	hist_acc_set(&acc, h);
	hist_acc_mul(&acc, -1);
	return hist_acc_take(&acc, false);
}

static int neg_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_neg *g = (struct op_neg *)op;
	struct hist_work work;
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	arena_reset(&g->arena);
	hist_work_init(&work, &g->arena);
	for (size_t k = 0; k < (*out)->n; k++) {
		struct row *r = &(*out)->row[k];
		if (op->type == TYPE_VECTOR)
			row_drop_name(x, r);
		EACH_BIT(i, r->bits, op->grid.n)
		{
			if (r->h && r->h[i])
				r->h[i] = negated(&work, r->h[i]);
			else
				r->v[i] = -r->v[i];
		}
	}
	return 1;
}

static void neg_close(struct op *op)
{
	arena_deinit(&((struct op_neg *)op)->arena);
}

static const struct op_ops neg_ops = { "neg", NULL, neg_next, neg_close };

int op_unary_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err)
{
	if (!e->un.neg)
		return plan_expr(x, e->un.e, g, out, err);
	struct op_neg *neg = op_alloc(x, sizeof(*neg), &neg_ops, g, e->type, e);
	struct op *op = &neg->op;
	arena_init(&neg->arena, x->ctx->budget);
	if (plan_expr(x, e->un.e, g, &op->in[0], err) < 0)
		return -1;
	if (e->type == TYPE_VECTOR)
		return op_unique_new(x, op, out);
	op->unique = op->nameless = true;
	*out = op;
	return 0;
}

/* ---- a scalar on one or both sides ---- */

struct op_with_scalar {
	struct op op;
	bool scalar_left;
	struct row scalar;
	bool ready;
	struct arena arena; /* histograms of the current batch */
	struct hist_binop hists;
};

static void scalar_hist(struct op_with_scalar *w, struct row *r, uint32_t i)
{
	struct operand vec = { r->v[i], r->h ? r->h[i] : NULL },
		       s = { w->scalar.v[i], NULL };
	struct binop_result res = hist_binop_eval(&w->hists, i, w->scalar_left ? s : vec,
						  w->scalar_left ? vec : s);
	if (r->h)
		r->h[i] = res.dropped ? NULL : res.is.h;
	if (res.dropped)
		bit_clear(r->bits, i);
}

static void scalar_row(struct op_with_scalar *w, struct row *r)
{
	const struct expr *b = w->op.expr;
	EACH_BIT(i, r->bits, w->op.grid.n)
	{
		if (hist_binop_wants(b->bin.op, r->h ? r->h[i] : NULL, NULL)) {
			scalar_hist(w, r, i);
			continue;
		}
		bool keep;
		double v = r->v[i], s = w->scalar.v[i];
		double got = w->scalar_left ? binop_value(b->bin.op, s, v, &keep)
					    : binop_value(b->bin.op, v, s, &keep);
		if (b->bin.ret_bool)
			r->v[i] = keep;
		else if (!keep)
			bit_clear(r->bits, i);
		else if (!op_is_cmp(
				 b->bin.op)) /* a filter keeps the vector's own value */
			r->v[i] = got;
	}
}

static int with_scalar_next(struct op *op, struct exec *x, struct batch **out,
			    struct err *e)
{
	struct op_with_scalar *w = (struct op_with_scalar *)op;
	if (!w->ready && op_scalar(op->in[w->scalar_left ? 0 : 1], x, &w->scalar, e) < 0)
		return w->scalar_left ? -1 : op_fails_before(op->in[0], x, e);
	w->ready = true;
	int rc = op_next(op->in[w->scalar_left ? 1 : 0], x, out, e);
	if (rc == 0)
		hist_binop_say(&w->hists);
	if (rc <= 0)
		return rc;
	arena_reset(&w->arena);
	hist_binop_batch(&w->hists, &w->arena);
	struct batch *b = *out;
	size_t k = 0;
	bool drop = op->type == TYPE_VECTOR && op_drops_name(op->expr);
	for (size_t i = 0; i < b->n; i++) {
		struct row r = b->row[i];
		scalar_row(w, &r);
		if (drop)
			row_drop_name(x, &r);
		if (op->type == TYPE_SCALAR || bits_any(r.bits, op->grid.n))
			b->row[k++] = r;
	}
	b->n = k;
	return 1;
}

static void with_scalar_close(struct op *op)
{
	arena_deinit(&((struct op_with_scalar *)op)->arena);
}

static const struct op_ops with_scalar_ops = { "scalar-op", NULL, with_scalar_next,
					       with_scalar_close };

int op_binary_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		  struct err *err)
{
	struct op *l, *r;
	bool trim = e->bin.op == OP_TRIM_UPPER || e->bin.op == OP_TRIM_LOWER;
	x->in_buckets += trim;
	const struct pushed *around = x->pushed, *to_l, *to_r;
	push_matchers(x, e, &to_l, &to_r);
	x->pushed = to_l;
	if (plan_expr(x, e->bin.l, g, &l, err) < 0)
		return -1;
	x->pushed = to_r;
	if (plan_expr(x, e->bin.r, g, &r, err) < 0)
		return -1;
	x->pushed = around;
	x->in_buckets -= trim;
	if (l->type == TYPE_VECTOR && r->type == TYPE_VECTOR)
		return op_is_set(e->bin.op) ? op_set_new(x, e, l, r, out, err)
					    : op_join_new(x, e, l, r, out, err);
	struct op_with_scalar *w =
		op_alloc(x, sizeof(*w), &with_scalar_ops, g, e->type, e);
	arena_init(&w->arena, x->ctx->budget);
	hist_binop_init(&w->hists, x, e, g.n);
	w->op.in[0] = l;
	w->op.in[1] = r;
	w->scalar_left = l->type == TYPE_SCALAR && r->type == TYPE_VECTOR;
	struct op *vec = w->op.in[w->scalar_left ? 1 : 0];
	*out = &w->op;
	if (e->type == TYPE_SCALAR) {
		w->op.unique = w->op.nameless = true;
		return 0;
	}
	if (!op_drops_name(e)) {
		w->op.unique = vec->unique;
		w->op.nameless = vec->nameless;
		return 0;
	}
	return op_unique_of(x, &w->op, vec, out);
}
