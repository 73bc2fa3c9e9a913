/*
 * promql/parse/parse_call.c - aggregations and function calls: argument lists,
 * the number of arguments of aggregations (that of functions is checked with
 * the types).
 */
#include "promql/parse/parse_expr.h"

struct args {
	struct expr **v;
	size_t n, cap;
};

static int parse_args(struct parser *p, struct args *out)
{
	if (parse_want(p, "(") < 0)
		return -1;
	if (tok_take(p, ")"))
		return 0;
	for (;;) {
		out->v = parse_grow(p, out->v, out->n, &out->cap, sizeof(*out->v));
		if (!out->v || parse_expr(p, 0, &out->v[out->n]) < 0)
			return -1;
		out->n++;
		if (!tok_is(p, ","))
			return parse_want(p, ")");
		struct tok comma = parse_take(p);
		if (!parse_begins_expr(p))
			return parse_fail(
				p, comma.pos,
				"trailing commas not allowed in function call args");
	}
}

/* ---- aggregations ---- */

static enum aggr_op aggr_by_name(struct str name)
{
	int i = 0;
	while (!str_eq_nocase(name, str_of(aggr_op_text((enum aggr_op)i))))
		i++;
	return (enum aggr_op)i;
}

static int parse_grouping(struct parser *p, struct expr *x)
{
	bool without = tok_word(p, "without");
	if (!without && !tok_word(p, "by"))
		return 0;
	parse_take(p);
	x->aggr.given = true;
	x->aggr.without = without;
	if (parse_name_list(p, &x->aggr.written, &x->aggr.n_written) < 0)
		return -1;
	return parse_sort_names(p, x->aggr.written, x->aggr.n_written, &x->aggr.labels,
				&x->aggr.n_labels);
}

static int set_aggr_args(struct parser *p, const struct tok *name, struct expr *x,
			 const struct args *a)
{
	if (a->n == 0)
		return parse_fail(p, x->pos,
				  "no arguments for aggregate expression provided");
	x->aggr.op = aggr_by_name(name->text);
	if (x->aggr.op >= AGG_LIMITK && !(p->features & PROMQL_EXPERIMENTAL_FUNCTIONS))
		return parse_fail(p, x->pos,
				  "%s() is experimental and must be enabled with "
				  "--enable-feature=promql-experimental-functions",
				  aggr_op_text(x->aggr.op));
	size_t want = x->aggr.op >= AGG_TOPK ? 2 : 1;
	if (a->n != want)
		return parse_fail(
			p, x->pos,
			"wrong number of arguments for aggregate expression provided, "
			"expected %zu, got %zu",
			want, a->n);
	x->aggr.e = a->v[want - 1];
	if (want == 2) {
		x->aggr.param = a->v[0];
		if (parse_deepen(p, x, x->aggr.param) < 0)
			return -1;
	}
	return parse_deepen(p, x, x->aggr.e);
}

int parse_aggr(struct parser *p, const struct tok *name, struct expr **out)
{
	struct expr *x = parse_node(p, EXPR_AGGR, name->pos);
	struct args a = { 0 };
	if (!x)
		return -1;
	p->aggregations++;
	if (parse_grouping(p, x) < 0 || parse_args(p, &a) < 0)
		return -1;
	if (!x->aggr.given && parse_grouping(p, x) < 0)
		return -1;
	p->aggregations--;
	x->type = TYPE_VECTOR;
	x->end = p->last_end;
	*out = x;
	return set_aggr_args(p, name, x, &a);
}

/* ---- functions ---- */

static bool exists(const struct parser *p, int fn)
{
	return !(fn_sigs[fn].traits & FN_X) || (p->features & PROMQL_X_FUNCTIONS);
}

int parse_call(struct parser *p, const struct tok *name, struct expr **out)
{
	struct expr *x = parse_node(p, EXPR_CALL, name->pos);
	struct args a = { 0 };
	int fn = 0;
	if (!x || parse_args(p, &a) < 0)
		return -1;
	while (fn < FN_ID_COUNT &&
	       !(str_eqz(name->text, fn_sigs[fn].name) && exists(p, fn)))
		fn++;
	if (fn == FN_ID_COUNT)
		return parse_fail(p, name->pos, "unknown function with name \"%.*s\"",
				  STR_FMT(name->text));
	if ((fn_sigs[fn].traits & FN_EXPERIMENTAL) &&
	    !(p->features & PROMQL_EXPERIMENTAL_FUNCTIONS))
		return parse_fail(p, name->pos, "function \"%.*s\" is not enabled",
				  STR_FMT(name->text));
	x->call.fn = (enum fn_id)fn;
	x->call.arg = a.v;
	x->call.n = a.n;
	x->type = fn_sigs[fn].result;
	x->end = p->last_end;
	for (size_t i = 0; i < a.n; i++)
		if (parse_deepen(p, x, a.v[i]) < 0)
			return -1;
	if (fn == FN_ID_info && a.n > 1 && a.v[1]->kind == EXPR_VECTOR)
		a.v[1]->s.sel.of_info = true;
	*out = x;
	return 0;
}
