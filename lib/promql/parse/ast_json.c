/*
 * promql/parse/ast_json.c - the tree as JSON, as /api/v1/parse_query gives it: keys in order of the
 * alphabet, absent things null, lists never null, times in whole ms.
 * Source  prometheus.md §2.12
 */
#include "promql/parse/print_int.h"
#include "wire/json.h"
#include "wire/num.h"

static void put(struct jw *w, const struct expr *x);

static void key(struct jw *w, const char *name)
{
	jw_key(w, str_of(name));
}

static void field(struct jw *w, const char *name, const char *value)
{
	key(w, name);
	jw_str(w, str_of(value));
}

static void flag(struct jw *w, const char *name, bool value)
{
	key(w, name);
	jw_bool(w, value);
}

static void millis(struct jw *w, const char *name, int64_t ms)
{
	key(w, name);
	jw_i64(w, ms);
}

/* x may be NULL. */
static void child(struct jw *w, const char *name, const struct expr *x)
{
	key(w, name);
	if (x)
		put(w, x);
	else
		jw_null(w);
}

static void put_names(struct jw *w, const char *name, const struct str *v, size_t n)
{
	key(w, name);
	jw_arr(w);
	for (size_t i = 0; i < n; i++)
		jw_str(w, v[i]);
	jw_arr_end(w);
}

static void put_number(struct jw *w, double v)
{
	char text[NUM_MAX];
	size_t n = num_f64_plain(text, v);
	key(w, "val");
	jw_str(w, str_n(text, n));
}

/* ---- durations ---- */

static void duration(struct jw *w, const char *name, const struct expr *x)
{
	key(w, name);
	if (!x) {
		jw_null(w);
		return;
	}
	jw_obj(w);
	if (x->kind == EXPR_NUMBER) {
		flag(w, "duration", x->unit);
		field(w, "type", "numberLiteral");
		put_number(w, x->num);
	} else {
		duration(w, "lhs", x->dur.l);
		field(w, "op", dur_op_text(x->dur.op));
		duration(w, "rhs", x->dur.r);
		field(w, "type", "durationExpr");
		flag(w, "wrapped", x->dur.wrapped);
	}
	jw_obj_end(w);
}

/* ---- selectors ---- */

static void put_matchers(struct jw *w, const struct select_node *s)
{
	static const char *const types[] = { "=", "!=", "=~", "!~" };
	key(w, "matchers");
	jw_arr(w);
	for (size_t i = 0; i < s->n_matchers; i++) {
		const struct matcher *m = &s->matchers[i];
		jw_obj(w);
		key(w, "name");
		jw_str(w, m->name);
		field(w, "type", types[m->type]);
		key(w, "value");
		jw_str(w, m->value);
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

static void put_start_or_end(struct jw *w, enum at_kind at)
{
	key(w, "startOrEnd");
	if (at == AT_START || at == AT_END)
		jw_str(w, str_of(at == AT_START ? "start" : "end"));
	else
		jw_null(w);
}

static void put_timestamp(struct jw *w, enum at_kind at, int64_t ms)
{
	key(w, "timestamp");
	if (at == AT_TIME)
		jw_i64(w, ms);
	else
		jw_null(w);
}

static void put_selector(struct jw *w, const struct expr *x)
{
	const struct select_node *s = &x->s.sel;
	bool matrix = x->kind == EXPR_MATRIX;
	flag(w, "anchored", s->anchored);
	put_matchers(w, s);
	key(w, "name");
	jw_str(w, s->name);
	millis(w, "offset", s->offset_ms);
	duration(w, "offsetExpr", s->offset_expr);
	if (matrix) {
		millis(w, "range", x->s.range_ms);
		duration(w, "rangeExpr", x->s.range_expr);
	}
	flag(w, "smoothed", s->smoothed);
	put_start_or_end(w, s->at);
	put_timestamp(w, s->at, s->at_ms);
	field(w, "type", matrix ? "matrixSelector" : "vectorSelector");
}

static void put_subquery(struct jw *w, const struct expr *x)
{
	child(w, "expr", x->sub.e);
	millis(w, "offset", x->sub.offset_ms);
	duration(w, "offsetExpr", x->sub.offset_expr);
	millis(w, "range", x->sub.range_ms);
	duration(w, "rangeExpr", x->sub.range_expr);
	put_start_or_end(w, x->sub.at);
	millis(w, "step", x->sub.step_ms);
	duration(w, "stepExpr", x->sub.step_expr);
	put_timestamp(w, x->sub.at, x->sub.at_ms);
	field(w, "type", "subquery");
}

/* ---- calls, operators ---- */

static void put_aggr(struct jw *w, const struct expr *x)
{
	child(w, "expr", x->aggr.e);
	put_names(w, "grouping", x->aggr.written, x->aggr.n_written);
	field(w, "op", aggr_op_text(x->aggr.op));
	child(w, "param", x->aggr.param);
	field(w, "type", "aggregation");
	flag(w, "without", x->aggr.without);
}

static void put_fill(struct jw *w, const char *name, bool given, double v)
{
	key(w, name);
	if (given)
		jw_f64(w, v);
	else
		jw_null(w);
}

static void put_matching(struct jw *w, const struct expr *x)
{
	static const char *const cards[] = { [CARD_ONE_TO_ONE] = "one-to-one",
					     [CARD_MANY_TO_ONE] = "many-to-one",
					     [CARD_ONE_TO_MANY] = "one-to-many",
					     [CARD_MANY_TO_MANY] = "many-to-many" };
	const struct match_node *m = &x->bin.match;
	key(w, "matching");
	if (!expr_matches_vectors(x)) {
		jw_null(w);
		return;
	}
	jw_obj(w);
	field(w, "card", cards[m->card]);
	key(w, "fillValues");
	jw_obj(w);
	put_fill(w, "lhs", m->fill_left, m->left);
	put_fill(w, "rhs", m->fill_right, m->right);
	jw_obj_end(w);
	put_names(w, "include", m->include, m->n_include);
	put_names(w, "labels", m->written, m->n_written);
	flag(w, "on", m->on);
	jw_obj_end(w);
}

static void put_binary(struct jw *w, const struct expr *x)
{
	flag(w, "bool", x->bin.ret_bool);
	child(w, "lhs", x->bin.l);
	put_matching(w, x);
	field(w, "op", op_text(x->bin.op));
	child(w, "rhs", x->bin.r);
	field(w, "type", "binaryExpr");
}

static void put_call(struct jw *w, const struct expr *x)
{
	static const char *const types[] = { [TYPE_SCALAR] = "scalar",
					     [TYPE_VECTOR] = "vector",
					     [TYPE_MATRIX] = "matrix",
					     [TYPE_STRING] = "string" };
	const struct fn_sig *f = &fn_sigs[x->call.fn];
	key(w, "args");
	jw_arr(w);
	for (size_t i = 0; i < x->call.n; i++)
		put(w, x->call.arg[i]);
	jw_arr_end(w);
	key(w, "func");
	jw_obj(w);
	key(w, "argTypes");
	jw_arr(w);
	for (size_t i = 0; i < fn_n_types(f); i++)
		jw_str(w, str_of(types[fn_arg_type(f, i)]));
	jw_arr_end(w);
	field(w, "name", f->name);
	field(w, "returnType", types[f->result]);
	key(w, "variadic");
	jw_i64(w, f->max_args < 0 ? -1 : f->max_args - f->min_args);
	jw_obj_end(w);
	field(w, "type", "call");
}

static void put(struct jw *w, const struct expr *x)
{
	jw_obj(w);
	switch (x->kind) {
	case EXPR_NUMBER:
		field(w, "type", "numberLiteral");
		put_number(w, x->num);
		break;
	case EXPR_STRING:
		field(w, "type", "stringLiteral");
		key(w, "val");
		jw_str(w, x->str);
		break;
	case EXPR_VECTOR:
	case EXPR_MATRIX: put_selector(w, x); break;
	case EXPR_SUBQUERY: put_subquery(w, x); break;
	case EXPR_CALL: put_call(w, x); break;
	case EXPR_AGGR: put_aggr(w, x); break;
	case EXPR_BINARY: put_binary(w, x); break;
	case EXPR_UNARY:
		child(w, "expr", x->un.e);
		field(w, "op", x->un.neg ? "-" : "+");
		field(w, "type", "unaryExpr");
		break;
	case EXPR_PAREN:
		child(w, "expr", x->inner);
		field(w, "type", "parenExpr");
		break;
	case EXPR_DURATION: break; /* never stands alone */
	}
	jw_obj_end(w);
}

void promql_ast_json(const struct expr *x, struct buf *b)
{
	struct jw w;
	jw_init(&w, b);
	put(&w, x);
}
