/*
 * promql/exec/op_absent.c - absent() and absent_over_time(): 1 at the steps where the argument has no row. Class reduce: one bitmap.
 *
 * Its labels are those that a selector's equality matchers fix: see absent_labels.
 */
#include "promql/exec/exec_int.h"

struct op_absent {
	struct op op;
	struct row row;
	struct batch out;
	bool done;
};

static void set_label(struct label *l, uint32_t *n, struct str name, struct str value)
{
	uint32_t at = 0, k = 0;
	for (uint32_t i = 0; i < *n; i++)
		if (!str_eq(l[i].name, name))
			l[k++] = l[i];
	*n = k;
	if (!value.n)
		return;
	while (at < k && str_cmp(l[at].name, name) < 0)
		at++;
	memmove(l + at + 1, l + at, (k - at) * sizeof(*l));
	l[at] = (struct label){ name, value };
	++*n;
}

struct labels absent_labels(struct exec *x, const struct expr *arg)
{
	struct labels none = { NULL, 0, 0 };
	if (arg->kind != EXPR_VECTOR && arg->kind != EXPR_MATRIX)
		return none;
	const struct select_node *s = &arg->s.sel;
	struct label *l = ARENA_ARRAY(x->arena, struct label, s->n_matchers + 1);
	uint32_t n = 0;
	for (size_t i = 0; i < s->n_matchers; i++) {
		const struct matcher *m = &s->matchers[i];
		bool again = false;
		if (str_eq(m->name, LABEL_NAME))
			continue;
		for (size_t k = 0; k < i; k++)
			again |= s->matchers[k].type == MATCH_EQ &&
				 str_eq(s->matchers[k].name, m->name);
		bool fixed = m->type == MATCH_EQ && !again;
		set_label(l, &n, m->name, fixed ? m->value : STR_NULL);
	}
	return (struct labels){ l, n, 0 };
}

static int absent_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_absent *a = (struct op_absent *)op;
	uint32_t n = op->grid.n;
	struct batch *b;
	int rc;
	if (a->done)
		return 0;
	a->done = true;
	if (row_new(x, x->arena, n, false, &a->row, e) < 0)
		return -1;
	bits_fill(a->row.bits, n);
	while ((rc = op_next(op->in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			for (size_t w = 0; w < BITS_WORDS(n); w++)
				a->row.bits[w] &= ~b->row[k].bits[w];
	if (rc < 0)
		return -1;
	EACH_BIT(i, a->row.bits, n)
	a->row.v[i] = 1;
	a->row.labels = absent_labels(x, expr_strip(op->expr->call.arg[0]));
	a->out = (struct batch){ &a->row, 1 };
	*out = &a->out;
	return bits_any(a->row.bits, n);
}

static const struct op_ops absent_ops = { "absent", NULL, absent_next, NULL };

int op_absent_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		  struct err *err)
{
	struct op_absent *a = op_alloc(x, sizeof(*a), &absent_ops, g, TYPE_VECTOR, e);
	const struct expr *arg = expr_strip(e->call.arg[0]);
	a->op.unique = a->op.nameless = true;
	*out = &a->op;
	if (arg->kind == EXPR_MATRIX)
		return op_select_new(x, arg, e, g, &a->op.in[0], err);
	if (arg->kind == EXPR_SUBQUERY)
		return op_subquery_new(x, arg, e, g, &a->op.in[0], err);
	return plan_expr(x, arg, g, &a->op.in[0], err);
}

/* ---- nothing ---- */

static int empty_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	int rc = 0;
	while (op->in[0] && (rc = op_next(op->in[0], x, out, e)) > 0)
		;
	return rc;
}

static const struct op_ops empty_ops = { "empty", NULL, empty_next, NULL };

struct op *op_empty_new(struct exec *x, const struct expr *e, struct grid g,
			struct op *in)
{
	struct op *op = op_alloc(x, sizeof(*op), &empty_ops, g, TYPE_VECTOR, e);
	op->in[0] = in;
	op->unique = op->nameless = true;
	return op;
}
