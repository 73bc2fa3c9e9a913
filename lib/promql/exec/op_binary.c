/*
 * promql/exec/op_binary.c - unary minus, and binary operators with a scalar on at least one side. Two
 * vectors are joined in op_join.c.
 */
#include "promql/exec/exec_int.h"

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
	return bin->bin.ret_bool || !op_is_cmp(bin->bin.op);
}

/* ---- unary ---- */

static int neg_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	for (size_t k = 0; k < (*out)->n; k++) {
		struct row *r = &(*out)->row[k];
		if (op->type == TYPE_VECTOR)
			row_drop_name(x, r);
		EACH_BIT(i, r->bits, op->grid.n)
		{
			if (r->h && r->h[i])
				return err_set(
					x->ctx, e, E_UNSUPPORTED,
					"unary minus over native histograms is not "
					"supported yet");
			r->v[i] = -r->v[i];
		}
	}
	return 1;
}
static const struct op_ops neg_ops = { "neg", NULL, neg_next, NULL };

int op_unary_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err)
{
	if (!e->un.neg)
		return plan_expr(x, e->un.e, g, out, err);
	struct op *op = op_alloc(x, sizeof(*op), &neg_ops, g, e->type, e);
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
};

static void histogram_dropped(struct exec *x, const struct op *op, bool scalar_left)
{
	const char *text = op_text(op->expr->bin.op);
	anno_info(
		x, op->expr,
		"incompatible sample types encountered for binary operator \"%s\": %s %s %s",
		text, scalar_left ? "float" : "histogram", text,
		scalar_left ? "histogram" : "float");
}

static void scalar_row(struct op_with_scalar *w, struct exec *x, struct row *r,
		       bool *unsup)
{
	const struct expr *b = w->op.expr;
	EACH_BIT(i, r->bits, w->op.grid.n)
	{
		if (r->h && r->h[i]) {
			if (b->bin.op == OP_MUL ||
			    (b->bin.op == OP_DIV && !w->scalar_left)) {
				*unsup = true;
				return;
			}
			histogram_dropped(x, &w->op, w->scalar_left);
			bit_clear(r->bits, i);
			r->h[i] = NULL;
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
		return -1;
	w->ready = true;
	int rc = op_next(op->in[w->scalar_left ? 1 : 0], x, out, e);
	if (rc <= 0)
		return rc;
	struct batch *b = *out;
	size_t k = 0;
	bool drop = op->type == TYPE_VECTOR && op_drops_name(op->expr), unsup = false;
	for (size_t i = 0; i < b->n; i++) {
		struct row r = b->row[i];
		scalar_row(w, x, &r, &unsup);
		if (unsup)
			return err_set(x->ctx, e, E_UNSUPPORTED,
				       "binary operator %s over native histograms is not "
				       "supported yet",
				       op_text(op->expr->bin.op));
		if (drop)
			row_drop_name(x, &r);
		if (op->type == TYPE_SCALAR || bits_any(r.bits, op->grid.n))
			b->row[k++] = r;
	}
	b->n = k;
	return 1;
}
static const struct op_ops with_scalar_ops = { "scalar-op", NULL, with_scalar_next,
					       NULL };

int op_binary_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		  struct err *err)
{
	struct op *l, *r;
	if (plan_expr(x, e->bin.l, g, &l, err) < 0 ||
	    plan_expr(x, e->bin.r, g, &r, err) < 0)
		return -1;
	if (l->type == TYPE_VECTOR && r->type == TYPE_VECTOR)
		return op_join_new(x, e, l, r, out, err);
	struct op_with_scalar *w =
		op_alloc(x, sizeof(*w), &with_scalar_ops, g, e->type, e);
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
