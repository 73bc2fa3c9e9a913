/*
 * promql/parse/parse.c - precedence climbing over the tokens.
 *
 * Low to high: or; and unless; comparisons; + -; * / % atan2; ^ (to the right). Unary minus binds as *, so
 * -1 ^ 2 is -(1 ^ 2). Types are checked afterwards (check.c), when the syntax is known to be clean.
 */
#include <math.h>

#include "base/limits.h"
#include "promql/parse/parse_int.h"

static int parse_expr(struct parser *p, int min, struct expr **out);

int parse_fail(struct parser *p, uint32_t pos, const char *fmt, ...)
{
	if (p->failed) /* the first is what Prometheus shows */
		return -1;
	p->failed = true;
	uint32_t line, col;
	va_list ap;
	va_start(ap, fmt);
	err_setv(p->ctx, p->e, E_PARSE, fmt, ap);
	va_end(ap);
	promql_position(p->lex.in, pos, &line, &col);
	return err_wrap(p->ctx, p->e, "%u:%u: parse error", line, col);
}

static const char *const op_words[] = { "and", "or", "unless", "atan2" };
static const char *const key_words[] = {
	"by", "without", "bool", "on", "ignoring", "group_left", "group_right", "offset"
};

static struct str item_text(struct parser *p, const struct tok *t)
{
	enum aggr_op op;
	if (t->kind == TOK_EOF)
		return STR("end of input");
	if (t->kind == TOK_STRING || t->kind == TOK_NUMBER || t->kind == TOK_DURATION) {
		const char *what = t->kind == TOK_STRING   ? "string"
				   : t->kind == TOK_NUMBER ? "number"
							   : "duration";
		struct buf b;
		buf_init(&b, 1 << 16);
		label_quote(str_n(t->text.p, MIN(t->text.n, (size_t)10)), &b);
		struct str s = str_fmt(p->a, "%s %.*s%s", what, STR_FMT(buf_view(&b)),
				       t->text.n > 10 ? "..." : "");
		buf_deinit(&b);
		return s;
	}
	if (t->kind == TOK_SYMBOL) {
		bool is_op =
			strchr("+-*/%^=!<>", t->text.p[0]) && !str_eq(t->text, STR("="));
		return is_op ? str_fmt(p->a, "<op:%.*s>", STR_FMT(t->text))
			     : str_fmt(p->a, "\"%.*s\"", STR_FMT(t->text));
	}
	for (size_t i = 0; i < ARRAY_LEN(op_words); i++)
		if (str_eq_nocase(t->text, str_of(op_words[i])))
			return str_fmt(p->a, "<op:%s>", op_words[i]);
	for (size_t i = 0; i < ARRAY_LEN(key_words); i++)
		if (str_eq_nocase(t->text, str_of(key_words[i])))
			return str_fmt(p->a, "<%s>", key_words[i]);
	if (parse_aggr_name(t->text, &op))
		return str_fmt(p->a, "<aggr:%s>", aggr_op_text(op));
	return str_fmt(p->a, "%s \"%.*s\"",
		       str_find_char(t->text, ':') >= 0 ? "metric identifier"
							: "identifier",
		       STR_FMT(t->text));
}

int parse_unexpected(struct parser *p, const char *context, const char *expected)
{
	struct str item = item_text(p, &p->tok);
	return parse_fail(p, p->tok.pos, "unexpected %.*s%s%s%s%s", STR_FMT(item),
			  context ? " in " : "", context ? context : "",
			  expected ? ", expected " : "", expected ? expected : "");
}

int parse_want(struct parser *p, const char *symbol, const char *context)
{
	char quoted[8] = { '"', symbol[0], '"', 0 };
	if (!tok_is(p, symbol))
		return parse_unexpected(p, context, quoted);
	return parse_next(p);
}

bool parse_aggr_name(struct str name, enum aggr_op *op)
{
	for (int i = 0; i < AGG_OP_COUNT; i++)
		if (str_eq_nocase(name, str_of(aggr_op_text((enum aggr_op)i)))) {
			*op = (enum aggr_op)i;
			return true;
		}
	return false;
}

static struct expr *node(struct parser *p, enum expr_kind kind, uint32_t pos)
{
	struct expr *x = ARENA_NEW(p->a, struct expr);
	x->kind = kind;
	x->pos = pos;
	return x;
}

/* ---- aggregations and calls ---- */

static int parse_grouping(struct parser *p, struct expr *x)
{
	if (!tok_word(p, "by") && !tok_word(p, "without"))
		return 0;
	x->aggr.given = true;
	x->aggr.without = tok_word(p, "without");
	if (parse_next(p) < 0)
		return -1;
	return parse_name_list(p, &x->aggr.labels, &x->aggr.n_labels, "grouping opts",
			       true);
}

#define MAX_ARGS 256

static int parse_args(struct parser *p, struct expr ***out, size_t *n)
{
	struct expr *v[MAX_ARGS];
	size_t k = 0;
	if (parse_want(p, "(", "function call") < 0)
		return -1;
	while (!tok_is(p, ")")) {
		if (k == MAX_ARGS)
			return parse_fail(p, p->tok.pos, "too many arguments");
		if (parse_expr(p, 0, &v[k++]) < 0)
			return -1;
		if (!tok_is(p, ","))
			break;
		if (parse_next(p) < 0)
			return -1;
		if (tok_is(p, ")"))
			return parse_fail(
				p, p->tok.pos,
				"trailing commas not allowed in function call args");
	}
	if (parse_want(p, ")", NULL) < 0)
		return -1;
	*out = ARENA_ARRAY(p->a, struct expr *, k + 1);
	if (k)
		memcpy(*out, v, k * sizeof(*v));
	*n = k;
	return 0;
}

static int parse_aggr(struct parser *p, enum aggr_op op, struct expr **out)
{
	struct expr *x = node(p, EXPR_AGGR, p->tok.pos), **arg;
	size_t n;
	x->aggr.op = op;
	x->type = TYPE_VECTOR;
	if (parse_next(p) < 0 || parse_grouping(p, x) < 0 || parse_args(p, &arg, &n) < 0)
		return -1;
	x->end = p->last_end;
	if (!x->aggr.given && parse_grouping(p, x) < 0)
		return -1;
	if (x->aggr.given)
		x->end = MAX(x->end, p->last_end);
	size_t want = op >= AGG_TOPK ? 2 : 1;
	if (n == 0)
		return parse_fail(p, x->pos,
				  "no arguments for aggregate expression provided");
	if (n != want)
		return parse_fail(
			p, x->pos,
			"wrong number of arguments for aggregate expression provided, "
			"expected %zu, got %zu",
			want, n);
	x->aggr.e = arg[n - 1];
	x->aggr.param = want == 2 ? arg[0] : NULL;
	*out = x;
	return 0;
}

static int parse_call(struct parser *p, struct expr **out)
{
	struct tok name = p->tok;
	int fn = 0;
	while (fn < FN_ID_COUNT && !str_eqz(name.text, fn_sigs[fn].name))
		fn++;
	if (fn == FN_ID_COUNT)
		return parse_fail(p, name.pos, "unknown function with name \"%.*s\"",
				  STR_FMT(name.text));
	if (fn_sigs[fn].traits & FN_EXPERIMENTAL)
		return parse_fail(p, name.pos, "function \"%.*s\" is not enabled",
				  STR_FMT(name.text));
	struct expr *x = node(p, EXPR_CALL, name.pos);
	x->call.fn = (enum fn_id)fn;
	x->type = fn_sigs[fn].result;
	if (parse_next(p) < 0 || parse_args(p, &x->call.arg, &x->call.n) < 0)
		return -1;
	x->end = p->last_end;
	*out = x;
	return 0;
}

/* ---- primaries and what may stand behind them ---- */

static int parse_selector(struct parser *p, struct expr **out)
{
	struct expr *x = node(p, EXPR_VECTOR, p->tok.pos);
	struct str name = STR_NULL;
	x->type = TYPE_VECTOR;
	if (p->tok.kind == TOK_IDENT) {
		name = str_dup(p->a, p->tok.text);
		if (parse_next(p) < 0)
			return -1;
	}
	if (parse_braces(p, &x->s.sel, name, x->pos) < 0)
		return -1;
	x->end = p->last_end;
	*out = x;
	return 0;
}

static int parse_word(struct parser *p, struct expr **out)
{
	static const char *const never[] = { "bool",	   "on",	  "ignoring",
					     "group_left", "group_right", "atan2" };
	struct tok *t = &p->tok;
	enum aggr_op op;
	char next = parse_peek_char(p);
	if (tok_word(p, "inf") || tok_word(p, "nan")) {
		struct expr *x = node(p, EXPR_NUMBER, t->pos);
		x->type = TYPE_SCALAR;
		x->num = tok_word(p, "inf") ? INFINITY : NAN;
		*out = x;
		if (parse_next(p) < 0)
			return -1;
		x->end = p->last_end;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (tok_word(p, never[i]))
			return parse_unexpected(p, NULL, NULL);
	if (parse_aggr_name(t->text, &op)) {
		struct parser look = *p;
		if (next == '(')
			return parse_aggr(p, op, out);
		if (parse_next(&look) == 0 &&
		    (tok_word(&look, "by") || tok_word(&look, "without")) &&
		    parse_peek_char(&look) == '(')
			return parse_aggr(p, op, out);
	}
	if (next == '(' && (tok_word(p, "limitk") || tok_word(p, "limit_ratio")))
		return parse_fail(p, t->pos,
				  "%.*s() is experimental and must be enabled with "
				  "--enable-feature=promql-experimental-functions",
				  STR_FMT(t->text));
	if (next == '(')
		return parse_call(p, out);
	return parse_selector(p, out);
}

static int parse_primary(struct parser *p, struct expr **out)
{
	struct tok t = p->tok;
	struct expr *x;
	switch (t.kind) {
	case TOK_IDENT: return parse_word(p, out);
	case TOK_NUMBER:
	case TOK_DURATION:
		x = node(p, EXPR_NUMBER, t.pos);
		x->type = TYPE_SCALAR;
		x->num = t.num;
		break;
	case TOK_STRING:
		x = node(p, EXPR_STRING, t.pos);
		x->type = TYPE_STRING;
		x->str = t.value;
		break;
	default:
		if (tok_is(p, "{"))
			return parse_selector(p, out);
		if (!tok_is(p, "("))
			return parse_unexpected(p, NULL, NULL);
		x = node(p, EXPR_PAREN, t.pos);
		if (parse_next(p) < 0 || parse_expr(p, 0, &x->inner) < 0 ||
		    parse_want(p, ")", NULL) < 0)
			return -1;
		x->type = x->inner->type;
		x->end = p->last_end;
		*out = x;
		return 0;
	}
	*out = x;
	if (parse_next(p) < 0)
		return -1;
	x->end = p->last_end;
	return 0;
}

static int parse_brackets(struct parser *p, struct expr **x)
{
	uint32_t open = p->tok.pos;
	int64_t range, step = 0;
	struct expr *e = *x;
	if (parse_next(p) < 0 || parse_duration(p, true, &range) < 0)
		return -1;
	if (tok_is(p, "]")) {
		if (e->kind != EXPR_VECTOR)
			return parse_fail(p, open,
					  "ranges only allowed for vector selectors");
		if (e->s.sel.offset_ms)
			return parse_fail(p, open,
					  "no offset modifiers allowed before range");
		if (e->s.sel.at != AT_NONE)
			return parse_fail(p, open, "no @ modifiers allowed before range");
		e->kind = EXPR_MATRIX;
		e->type = TYPE_MATRIX;
		e->s.range_ms = range;
		if (parse_next(p) < 0)
			return -1;
		e->end = p->last_end;
		return 0;
	}
	if (!tok_is(p, ":"))
		return parse_unexpected(p, "subquery or range selector", "\"]\"");
	if (parse_next(p) < 0)
		return -1;
	if (!tok_is(p, "]") && parse_duration(p, true, &step) < 0)
		return -1;
	if (parse_want(p, "]", "subquery selector") < 0)
		return -1;
	struct expr *s = node(p, EXPR_SUBQUERY, e->pos);
	s->type = TYPE_MATRIX;
	s->sub.e = e;
	s->sub.range_ms = range;
	s->sub.step_ms = step;
	s->end = p->last_end;
	*x = s;
	return 0;
}

struct modifiers {
	bool offset;
};

static int parse_offset(struct parser *p, struct expr *x, struct modifiers *m)
{
	int64_t ms, *to = NULL;
	uint32_t pos = p->tok.pos;
	if (x->kind == EXPR_VECTOR || x->kind == EXPR_MATRIX)
		to = &x->s.sel.offset_ms;
	else if (x->kind == EXPR_SUBQUERY)
		to = &x->sub.offset_ms;
	if (parse_next(p) < 0 || parse_duration(p, false, &ms) < 0)
		return -1;
	if (!to)
		return parse_fail(
			p, x->pos,
			"offset modifier must be preceded by an instant vector selector "
			"or range vector selector or a subquery");
	if (m->offset)
		return parse_fail(p, pos, "offset may not be set multiple times");
	m->offset = true;
	*to = ms;
	x->end = p->last_end;
	return 0;
}

static int parse_at_modifier(struct parser *p, struct expr *x)
{
	enum at_kind kind, *to = NULL;
	int64_t ms = 0, *to_ms = NULL;
	uint32_t pos = p->tok.pos;
	if (x->kind == EXPR_VECTOR || x->kind == EXPR_MATRIX) {
		to = &x->s.sel.at;
		to_ms = &x->s.sel.at_ms;
	} else if (x->kind == EXPR_SUBQUERY) {
		to = &x->sub.at;
		to_ms = &x->sub.at_ms;
	}
	if (parse_next(p) < 0 || parse_at(p, &kind, &ms) < 0)
		return -1;
	if (!to)
		return parse_fail(
			p, x->pos,
			"@ modifier must be preceded by an instant vector selector or "
			"range vector selector or a subquery");
	if (*to != AT_NONE)
		return parse_fail(p, pos, "@ <timestamp> may not be set multiple times");
	*to = kind;
	*to_ms = ms;
	x->end = p->last_end;
	return 0;
}

static int parse_postfix(struct parser *p, struct expr **out)
{
	struct modifiers m = { false };
	if (parse_primary(p, out) < 0)
		return -1;
	for (;;) {
		int rc = 0;
		if (tok_is(p, "[")) {
			enum expr_kind was = (*out)->kind;
			rc = parse_brackets(p, out);
			if ((*out)->kind == EXPR_SUBQUERY && was != EXPR_SUBQUERY)
				m.offset = false;
		} else if (tok_word(p, "offset")) {
			rc = parse_offset(p, *out, &m);
		} else if (tok_is(p, "@")) {
			rc = parse_at_modifier(p, *out);
		} else if (tok_word(p, "smoothed") || tok_word(p, "anchored")) {
			return parse_fail(p, p->tok.pos,
					  "%.*s modifier is not supported yet",
					  STR_FMT(p->tok.text));
		} else {
			return 0;
		}
		if (rc < 0)
			return -1;
	}
}

/* ---- operators ---- */

static bool binary_op(const struct parser *p, enum bin_op *op, int *prec)
{
	static const struct {
		const char *text;
		enum bin_op op;
		int prec;
	} rows[] = { { "or", OP_OR, 1 }, { "and", OP_AND, 2 }, { "unless", OP_UNLESS, 2 },
		     { "==", OP_EQ, 3 }, { "!=", OP_NE, 3 },   { "<", OP_LT, 3 },
		     { ">", OP_GT, 3 },	 { "<=", OP_LE, 3 },   { ">=", OP_GE, 3 },
		     { "+", OP_ADD, 4 }, { "-", OP_SUB, 4 },   { "*", OP_MUL, 5 },
		     { "/", OP_DIV, 5 }, { "%", OP_MOD, 5 },   { "atan2", OP_ATAN2, 5 },
		     { "^", OP_POW, 6 } };
	if (p->tok.kind != TOK_SYMBOL && p->tok.kind != TOK_IDENT)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq_nocase(p->tok.text, str_of(rows[i].text))) {
			*op = rows[i].op;
			*prec = rows[i].prec;
			return true;
		}
	return false;
}

static int parse_matching(struct parser *p, struct expr *x)
{
	struct match_node *m = &x->bin.match;
	m->card = op_is_set(x->bin.op) ? CARD_MANY_TO_MANY : CARD_ONE_TO_ONE;
	if (tok_word(p, "bool")) {
		x->bin.ret_bool = true;
		if (parse_next(p) < 0)
			return -1;
	}
	if (tok_word(p, "on") || tok_word(p, "ignoring")) {
		m->given = true;
		m->on = tok_word(p, "on");
		if (parse_next(p) < 0 || parse_name_list(p, &m->labels, &m->n_labels,
							 "grouping opts", true) < 0)
			return -1;
		if (tok_word(p, "group_left") || tok_word(p, "group_right")) {
			m->card = tok_word(p, "group_left") ? CARD_MANY_TO_ONE
							    : CARD_ONE_TO_MANY;
			if (parse_next(p) < 0)
				return -1;
			if (tok_is(p, "(") &&
			    parse_name_list(p, &m->include, &m->n_include,
					    "grouping opts", false) < 0)
				return -1;
		}
	}
	if ((tok_word(p, "fill") || tok_word(p, "fill_left") ||
	     tok_word(p, "fill_right")) &&
	    parse_peek_char(p) == '(')
		return parse_fail(p, p->tok.pos, "%.*s modifier is not supported yet",
				  STR_FMT(p->tok.text));
	return 0;
}

static int parse_unary(struct parser *p, struct expr **out)
{
	if (!tok_is(p, "-") && !tok_is(p, "+"))
		return parse_postfix(p, out);
	struct expr *x = node(p, EXPR_UNARY, p->tok.pos), *e;
	x->un.neg = tok_is(p, "-");
	if (parse_next(p) < 0 || parse_expr(p, 6, &e) < 0)
		return -1;
	x->end = e->end;
	if (e->kind == EXPR_NUMBER) { /* a sign folds into its literal */
		if (x->un.neg)
			e->num = -e->num;
		e->pos = x->pos;
		*out = e;
		return 0;
	}
	x->un.e = e;
	x->type = e->type;
	*out = x;
	return 0;
}

static int parse_binary(struct parser *p, int min, struct expr **out)
{
	enum bin_op op;
	int prec;
	if (parse_unary(p, out) < 0)
		return -1;
	while (binary_op(p, &op, &prec) && prec >= min) {
		struct expr *x = node(p, EXPR_BINARY, (*out)->pos);
		x->bin.op = op;
		x->bin.op_pos = p->tok.pos;
		x->bin.l = *out;
		if (parse_next(p) < 0)
			return -1;
		if (tok_is(p, "/") && (op == OP_LT))
			return parse_fail(p, x->bin.op_pos, "</ is not supported yet");
		if (parse_matching(p, x) < 0 ||
		    parse_expr(p, op == OP_POW ? prec : prec + 1, &x->bin.r) < 0)
			return -1;
		x->end = x->bin.r->end;
		bool scalar =
			x->bin.l->type == TYPE_SCALAR && x->bin.r->type == TYPE_SCALAR;
		x->type = scalar ? TYPE_SCALAR : TYPE_VECTOR;
		*out = x;
	}
	if (p->tok.kind == TOK_SYMBOL &&
	    (str_eq(p->tok.text, STR("</")) || str_eq(p->tok.text, STR(">/"))))
		return parse_fail(p, p->tok.pos, "operator %.*s is not supported yet",
				  STR_FMT(p->tok.text));
	return 0;
}

static int parse_expr(struct parser *p, int min, struct expr **out)
{
	if (++p->depth > LIMIT_PROMQL_DEPTH)
		return parse_fail(p, p->tok.pos,
				  "expression is nested deeper than %d levels",
				  LIMIT_PROMQL_DEPTH);
	int rc = parse_binary(p, min, out);
	p->depth--;
	return rc;
}

int promql_parse(struct ctx *ctx, struct arena *a, struct str query, struct expr **out,
		 struct err *e)
{
	struct parser p = { .ctx = ctx, .a = a, .lex = { .in = query }, .e = e };
	struct expr *x;
	if (query.n > LIMIT_CONFIG_BYTES)
		return err_set(ctx, e, E_LIMIT, "query is longer than %u bytes",
			       LIMIT_CONFIG_BYTES);
	if (parse_next(&p) < 0)
		return -1;
	if (p.tok.kind == TOK_EOF)
		return err_set(
			ctx, e, E_PARSE,
			"unknown position: parse error: no expression found in input");
	if (parse_expr(&p, 0, &x) < 0)
		return -1;
	if (p.tok.kind != TOK_EOF)
		return parse_unexpected(&p, NULL, NULL);
	if (check_expr(&p, x) < 0)
		return -1;
	*out = x;
	return 0;
}

int promql_parse_selector(struct ctx *ctx, struct arena *a, struct str text,
			  struct matcher **out, size_t *n, struct err *e)
{
	struct expr *x;
	if (promql_parse(ctx, a, text, &x, e) < 0)
		return -1;
	if (x->kind != EXPR_VECTOR || x->s.sel.offset_ms || x->s.sel.at != AT_NONE)
		return err_set(ctx, e, E_PARSE,
			       "1:1: parse error: expected a metric selector");
	*out = x->s.sel.matchers;
	*n = x->s.sel.n_matchers;
	return 0;
}
