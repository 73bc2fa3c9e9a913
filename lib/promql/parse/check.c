/*
 * promql/parse/check.c - types, and the rules that a clean syntax may still
 * break.
 *
 * Run once over the whole tree, children before the rule that looks at their
 * types; the first failure in this order is the one reported, as in Prometheus
 * (whose wording the messages have).
 */
#include "promql/parse/parse_int.h"

static int want_type(struct parser *p, const struct expr *x, enum value_type want,
		     const char *context)
{
	if (check_expr(p, x) < 0)
		return -1;
	if (x->type != want)
		return parse_fail(p, x->pos, "expected type %s in %s, got %s",
				  value_type_text(want), context,
				  value_type_text(x->type));
	return 0;
}

static int check_arg_count(struct parser *p, const struct expr *x)
{
	const struct fn_sig *f = &fn_sigs[x->call.fn];
	const char *bound = "";
	int want = f->min_args;
	if (f->min_args == f->max_args) {
		if (x->call.n == f->min_args)
			return 0;
	} else if (x->call.n < f->min_args) {
		bound = "at least ";
	} else if (f->max_args >= 0 && x->call.n > (size_t)f->max_args) {
		bound = "at most ";
		want = f->max_args;
	} else {
		return 0;
	}
	return parse_fail(p, x->pos,
			  "expected %s%d argument(s) in call to \"%s\", got %zu", bound,
			  want, f->name, x->call.n);
}

/* The second argument of info chooses labels: {...} alone, which may match everything. */
static int check_info(struct parser *p, const struct expr *x)
{
	const struct expr *labels = x->call.arg[1];
	if (labels->type != TYPE_VECTOR)
		return parse_fail(
			p, x->pos,
			"expected type instant vector in call to function \"info\", got %s",
			value_type_text(labels->type));
	if (labels->kind != EXPR_VECTOR)
		return parse_fail(p, labels->pos, "expected label selectors only");
	if (labels->s.sel.name.n)
		return parse_fail(
			p, labels->pos,
			"expected label selectors only, got vector selector instead");
	return 0;
}

static int check_call(struct parser *p, const struct expr *x)
{
	const struct fn_sig *f = &fn_sigs[x->call.fn];
	bool info = x->call.fn == FN_ID_info && x->call.n > 1;
	if (check_arg_count(p, x) < 0 || (info && check_info(p, x) < 0))
		return -1;
	struct str context = str_fmt(p->a, "call to function \"%s\"", f->name);
	for (size_t i = 0; i < x->call.n - info; i++)
		if (want_type(p, x->call.arg[i], fn_arg_type(f, i), context.p) < 0)
			return -1;
	return 0;
}

static int check_aggr(struct parser *p, const struct expr *x)
{
	if (want_type(p, x->aggr.e, TYPE_VECTOR, "aggregation expression") < 0)
		return -1;
	if (!x->aggr.param)
		return 0;
	return want_type(p, x->aggr.param,
			 x->aggr.op == AGG_COUNT_VALUES ? TYPE_STRING : TYPE_SCALAR,
			 "aggregation parameter");
}

static bool is_operand(enum value_type t)
{
	return t == TYPE_SCALAR || t == TYPE_VECTOR;
}

/* What concerns the operator and its modifiers alone. */
static int check_operator(struct parser *p, const struct expr *x)
{
	const struct match_node *m = &x->bin.match;
	enum bin_op op = x->bin.op;
	bool scalars = x->bin.l->type == TYPE_SCALAR && x->bin.r->type == TYPE_SCALAR;
	if (x->bin.ret_bool && !op_is_cmp(op))
		return parse_fail(
			p, x->bin.op_pos,
			"bool modifier can only be used on comparison operators");
	if (op_is_cmp(op) && !x->bin.ret_bool && scalars)
		return parse_fail(p, x->bin.op_pos,
				  "comparisons between scalars must use BOOL modifier");
	for (size_t i = 0; m->on && i < m->n_labels; i++)
		for (size_t k = 0; k < m->n_include; k++)
			if (str_eq(m->labels[i], m->include[k])) {
				struct str q = lex_quote_str(p->a, m->labels[i]);
				return parse_fail(
					p, x->bin.op_pos,
					"label %.*s must not occur in ON and GROUP "
					"clause at once",
					STR_FMT(q));
			}
	return 0;
}

static int check_binary(struct parser *p, const struct expr *x)
{
	const struct expr *l = x->bin.l, *r = x->bin.r;
	const struct match_node *m = &x->bin.match;
	enum bin_op op = x->bin.op;
	if (check_expr(p, l) < 0 || check_expr(p, r) < 0 || check_operator(p, x) < 0)
		return -1;
	if (!is_operand(l->type) || !is_operand(r->type))
		return parse_fail(
			p, is_operand(l->type) ? r->pos : l->pos,
			"binary expression must contain only scalar and instant vector "
			"types");
	bool fills = m->fill_left || m->fill_right;
	bool vectors = l->type == TYPE_VECTOR && r->type == TYPE_VECTOR;
	if (!vectors && m->n_labels)
		return parse_fail(p, x->pos,
				  "vector matching only allowed between instant vectors");
	if (!vectors && fills)
		return parse_fail(
			p, x->pos,
			"filling in missing series only allowed between instant "
			"vectors");
	if (vectors && op_is_set(op) && m->card != CARD_MANY_TO_MANY)
		return parse_fail(p, x->pos, "no grouping allowed for \"%s\" operation",
				  op_text(op));
	if (vectors && op_is_set(op) && fills)
		return parse_fail(
			p, x->pos,
			"filling in missing series not allowed for set operators");
	if (!vectors && op_is_set(op))
		return parse_fail(
			p, x->pos,
			"set operator \"%s\" not allowed in binary scalar expression",
			op_text(op));
	return 0;
}

static int check_selector(struct parser *p, const struct expr *x)
{
	const struct select_node *s = &x->s.sel;
	bool some = false;
	for (size_t i = 0; i + 1 < s->n_matchers && s->name.n; i++) {
		const struct matcher *m = &s->matchers[i];
		if (!str_eq(m->name, LABEL_NAME))
			continue;
		struct str a = lex_quote_str(p->a, s->name);
		struct str b = lex_quote_str(p->a, m->value);
		return parse_fail(p, x->pos,
				  "metric name must not be set twice: %.*s or %.*s",
				  STR_FMT(a), STR_FMT(b));
	}
	for (size_t i = 0; i < s->n_matchers && !some; i++)
		some = !matcher_matches_empty(&s->matchers[i]);
	if (!some)
		return parse_fail(
			p, x->pos,
			"vector selector must contain at least one non-empty matcher");
	return 0;
}

static int check_subquery(struct parser *p, const struct expr *x)
{
	static const char *const names[] = { [TYPE_SCALAR] = "scalar",
					     [TYPE_VECTOR] = "vector",
					     [TYPE_MATRIX] = "matrix",
					     [TYPE_STRING] = "string" };
	if (check_expr(p, x->sub.e) < 0)
		return -1;
	if (x->sub.e->type != TYPE_VECTOR)
		return parse_fail(
			p, x->pos,
			"subquery is only allowed on instant vector, got %s instead",
			names[x->sub.e->type]);
	return 0;
}

int check_expr(struct parser *p, const struct expr *x)
{
	switch (x->kind) {
	case EXPR_NUMBER:
	case EXPR_STRING:
	case EXPR_DURATION: return 0;
	case EXPR_VECTOR:
	case EXPR_MATRIX: return check_selector(p, x);
	case EXPR_SUBQUERY: return check_subquery(p, x);
	case EXPR_CALL: return check_call(p, x);
	case EXPR_AGGR: return check_aggr(p, x);
	case EXPR_BINARY: return check_binary(p, x);
	case EXPR_PAREN: return check_expr(p, x->inner);
	case EXPR_UNARY: break;
	}
	if (check_expr(p, x->un.e) < 0)
		return -1;
	if (!is_operand(x->type))
		return parse_fail(
			p, x->pos,
			"unary expression only allowed on expressions of type scalar "
			"or instant vector, got \"%s\"",
			value_type_text(x->type));
	return 0;
}
