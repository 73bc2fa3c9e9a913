/*
 * promql/parse/check.c - types and the rules that a clean syntax may still break; texts as Prometheus'.
 */
#include "promql/parse/parse_int.h"

static int expect(struct parser *p, struct expr *e, enum value_type want,
		  const char *context)
{
	if (check_expr(p, e) < 0)
		return -1;
	if (e->type != want)
		return parse_fail(p, e->pos, "expected type %s in %s, got %s",
				  value_type_text(want), context,
				  value_type_text(e->type));
	return 0;
}

static int check_call(struct parser *p, struct expr *e)
{
	const struct fn_sig *f = &fn_sigs[e->call.fn];
	size_t n = e->call.n;
	if (f->min_args == f->max_args && n != f->min_args)
		return parse_fail(p, e->pos,
				  "expected %u argument(s) in call to \"%s\", got %zu",
				  f->min_args, f->name, n);
	if (n < f->min_args)
		return parse_fail(
			p, e->pos,
			"expected at least %u argument(s) in call to \"%s\", got %zu",
			f->min_args, f->name, n);
	if (f->max_args >= 0 && n > (size_t)f->max_args)
		return parse_fail(
			p, e->pos,
			"expected at most %d argument(s) in call to \"%s\", got %zu",
			f->max_args, f->name, n);
	struct str context = str_fmt(p->a, "call to function \"%s\"", f->name);
	size_t last = f->max_args < 0 ? f->min_args : (size_t)f->max_args;
	for (size_t i = 0; i < n; i++) {
		size_t k = MIN(i, last ? last - 1 : 0);
		if (expect(p, e->call.arg[i], f->arg[MIN(k, ARRAY_LEN(f->arg) - 1)],
			   context.p) < 0)
			return -1;
	}
	return 0;
}

static int check_aggr(struct parser *p, struct expr *e)
{
	if (expect(p, e->aggr.e, TYPE_VECTOR, "aggregation expression") < 0)
		return -1;
	if (!e->aggr.param)
		return 0;
	return expect(p, e->aggr.param,
		      e->aggr.op == AGG_COUNT_VALUES ? TYPE_STRING : TYPE_SCALAR,
		      "aggregation parameter");
}

static bool is_operand(enum value_type t)
{
	return t == TYPE_SCALAR || t == TYPE_VECTOR;
}

static int check_matching(struct parser *p, struct expr *e)
{
	struct match_node *m = &e->bin.match;
	for (size_t i = 0; m->on && i < m->n_labels; i++)
		for (size_t k = 0; k < m->n_include; k++)
			if (str_eq(m->labels[i], m->include[k]))
				return parse_fail(
					p, e->bin.op_pos,
					"label \"%.*s\" must not occur in ON and GROUP "
					"clause at once",
					STR_FMT(m->labels[i]));
	return 0;
}

static int check_binary(struct parser *p, struct expr *e)
{
	struct expr *l = e->bin.l, *r = e->bin.r;
	enum bin_op op = e->bin.op;
	struct match_node *m = &e->bin.match;
	if (check_expr(p, l) < 0 || check_expr(p, r) < 0)
		return -1;
	if (e->bin.ret_bool && !op_is_cmp(op))
		return parse_fail(
			p, e->bin.op_pos,
			"bool modifier can only be used on comparison operators");
	if (op_is_cmp(op) && !e->bin.ret_bool && l->type == TYPE_SCALAR &&
	    r->type == TYPE_SCALAR)
		return parse_fail(p, e->bin.op_pos,
				  "comparisons between scalars must use BOOL modifier");
	if (op_is_set(op) && (m->card == CARD_ONE_TO_MANY || m->card == CARD_MANY_TO_ONE))
		return parse_fail(p, e->bin.op_pos,
				  "no grouping allowed for \"%s\" operation",
				  op_text(op));
	if (check_matching(p, e) < 0)
		return -1;
	if (!is_operand(l->type) || !is_operand(r->type))
		return parse_fail(
			p, is_operand(l->type) ? r->pos : l->pos,
			"binary expression must contain only scalar and instant vector "
			"types");
	if (l->type == TYPE_VECTOR && r->type == TYPE_VECTOR)
		return 0;
	if (m->given && m->n_labels)
		return parse_fail(p, e->bin.op_pos,
				  "vector matching only allowed between instant vectors");
	if (op_is_set(op))
		return parse_fail(
			p, e->pos,
			"set operator \"%s\" not allowed in binary scalar expression",
			op_text(op));
	return 0;
}

int check_expr(struct parser *p, struct expr *e)
{
	switch (e->kind) {
	case EXPR_CALL: return check_call(p, e);
	case EXPR_AGGR: return check_aggr(p, e);
	case EXPR_BINARY: return check_binary(p, e);
	case EXPR_PAREN: return check_expr(p, e->inner);
	case EXPR_UNARY:
		if (check_expr(p, e->un.e) < 0)
			return -1;
		if (!is_operand(e->un.e->type))
			return parse_fail(
				p, e->pos,
				"unary expression only allowed on expressions of type "
				"scalar or instant vector, got \"%s\"",
				value_type_text(e->un.e->type));
		return 0;
	case EXPR_SUBQUERY:
		if (check_expr(p, e->sub.e) < 0)
			return -1;
		if (e->sub.e->type != TYPE_VECTOR) {
			static const char *const raw[] = { "scalar", "vector", "matrix",
							   "string" };
			return parse_fail(
				p, e->pos,
				"subquery is only allowed on instant vector, got %s "
				"instead",
				raw[e->sub.e->type]);
		}
		return 0;
	default: return 0;
	}
}
