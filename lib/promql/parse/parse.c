/*
 * promql/parse/parse.c - expressions: precedence climbing over the tokens.
 *
 * Low to high: or; and unless; comparisons; + -; * / % atan2; ^ (to the right). What stands behind an
 * expression (ranges, offset, @) binds tighter than all of them; a sign binds as *, so -1 ^ 2 is
 * -(1 ^ 2), and folds into a number that is nothing but a literal.
 * Types are checked when the syntax is known to be clean (check.c).
 * Source  prometheus.md §2.2, §2.12
 */
#include "base/limits.h"
#include "promql/parse/parse_expr.h"

#define PREC_CMP 3
#define PREC_POW 6

/* ---- what may stand behind an expression ---- */

static int to_matrix(struct parser *p, struct expr *x, uint32_t open,
		     const struct duration *range)
{
	if (x->kind != EXPR_VECTOR)
		return parse_fail(p, open, "ranges only allowed for vector selectors");
	if (x->s.sel.offset_ms || x->s.sel.offset_expr)
		return parse_fail(p, open, "no offset modifiers allowed before range");
	if (x->s.sel.at != AT_NONE)
		return parse_fail(p, open, "no @ modifiers allowed before range");
	x->kind = EXPR_MATRIX;
	x->type = TYPE_MATRIX;
	x->s.range_ms = range->ms;
	x->s.range_expr = range->e;
	x->end = p->last_end;
	return range->e ? parse_deepen(p, x, range->e) : 0;
}

/* x[5m], or x[1h:5m], x[1h:] */
static int parse_brackets(struct parser *p, struct expr **x)
{
	uint32_t open = parse_take(p).pos;
	struct duration range, step = { 0 };
	if (parse_range(p, false, &range) < 0)
		return -1;
	if (tok_take(p, "]"))
		return to_matrix(p, *x, open, &range);
	if (!tok_take(p, ":"))
		return parse_unexpected(p, "subquery or range", "\":\" or \"]\"");
	if (!tok_is(p, "]") && parse_range(p, true, &step) < 0)
		return -1;
	if (!tok_take(p, "]"))
		return parse_unexpected(p, "subquery selector", "\"]\"");
	struct expr *s = parse_node(p, EXPR_SUBQUERY, (*x)->pos);
	if (!s || parse_deepen(p, s, *x) < 0 ||
	    (range.e && parse_deepen(p, s, range.e) < 0) ||
	    (step.e && parse_deepen(p, s, step.e) < 0))
		return -1;
	s->type = TYPE_MATRIX;
	s->sub.e = *x;
	s->sub.range_ms = range.ms;
	s->sub.range_expr = range.e;
	s->sub.step_ms = step.ms;
	s->sub.step_expr = step.e;
	s->end = p->last_end;
	*x = s;
	return 0;
}

static bool is_selector(const struct expr *x)
{
	return x->kind == EXPR_VECTOR || x->kind == EXPR_MATRIX;
}

static int parse_offset_modifier(struct parser *p, struct expr *x)
{
	struct duration d;
	parse_take(p);
	if (parse_offset(p, &d) < 0)
		return -1;
	if (!is_selector(x) && x->kind != EXPR_SUBQUERY)
		return parse_fail(
			p, x->pos,
			"offset modifier must be preceded by an instant vector selector "
			"or range vector selector or a subquery");
	int64_t *to = is_selector(x) ? &x->s.sel.offset_ms : &x->sub.offset_ms;
	struct expr **expr = is_selector(x) ? &x->s.sel.offset_expr : &x->sub.offset_expr;
	if (*to || *expr)
		return parse_fail(p, x->pos, "offset may not be set multiple times");
	*to = d.ms;
	*expr = d.e;
	x->end = p->last_end;
	return d.e ? parse_deepen(p, x, d.e) : 0;
}

static int parse_at_modifier(struct parser *p, struct expr *x)
{
	enum at_kind kind;
	int64_t ms = 0;
	parse_take(p);
	if (parse_at(p, x->pos, &kind, &ms) < 0)
		return -1;
	if (!is_selector(x) && x->kind != EXPR_SUBQUERY)
		return parse_fail(
			p, x->pos,
			"@ modifier must be preceded by an instant vector selector or "
			"range vector selector or a subquery");
	enum at_kind *to = is_selector(x) ? &x->s.sel.at : &x->sub.at;
	if (*to != AT_NONE)
		return parse_fail(p, x->pos,
				  "@ <timestamp> may not be set multiple times");
	*to = kind;
	*(is_selector(x) ? &x->s.sel.at_ms : &x->sub.at_ms) = ms;
	x->end = p->last_end;
	return 0;
}

/* anchored, smoothed */
static int parse_extended(struct parser *p, struct expr *x)
{
	bool anchored = tok_word(p, "anchored");
	const char *word = anchored ? "anchored" : "smoothed";
	parse_take(p);
	if (!(p->features & PROMQL_EXTENDED_RANGE))
		return parse_fail(p, x->pos,
				  "%s modifier is experimental and not enabled", word);
	if (x->kind == EXPR_SUBQUERY)
		return parse_fail(p, x->pos,
				  "%s modifier is not supported for subqueries", word);
	if (!is_selector(x))
		return parse_fail(p, x->pos, "%s modifier not implemented", word);
	*(anchored ? &x->s.sel.anchored : &x->s.sel.smoothed) = true;
	if (x->s.sel.anchored && x->s.sel.smoothed)
		return parse_fail(
			p, x->pos,
			"anchored and smoothed modifiers cannot be used together");
	return 0;
}

/* ---- primaries ---- */

/* A word: aggregation, call, or metric (inf and nan are numbers to the lexer). */
static int parse_word(struct parser *p, struct expr **out)
{
	if (!parse_may_be_metric(parse_peek(p)))
		return parse_unexpected(p, NULL, NULL);
	struct tok t = parse_take(p);
	bool called = tok_is(p, "(");
	if (t.kind == TOK_KEY && t.key == KEY_AGGR &&
	    (called || tok_word(p, "by") || tok_word(p, "without")))
		return parse_aggr(p, &t, out);
	if (called && (t.kind == TOK_IDENT || (t.kind == TOK_KEY && t.key == KEY_CALL)))
		return parse_call(p, &t, out);
	return parse_selector(p, &t, out);
}

static int parse_paren(struct parser *p, struct expr **out)
{
	struct expr *x = parse_node(p, EXPR_PAREN, parse_take(p).pos);
	if (!x || parse_expr(p, 0, &x->inner) < 0 || parse_want(p, ")") < 0 ||
	    parse_deepen(p, x, x->inner) < 0)
		return -1;
	x->type = x->inner->type;
	x->end = p->last_end;
	*out = x;
	return 0;
}

static int parse_terminal(struct parser *p, struct expr **out)
{
	struct tok t = parse_take(p);
	bool string = t.kind == TOK_STRING;
	struct expr *x = parse_node(p, string ? EXPR_STRING : EXPR_NUMBER, t.pos);
	if (!x)
		return -1;
	x->type = string ? TYPE_STRING : TYPE_SCALAR;
	x->end = p->last_end;
	*out = x;
	x->unit = t.kind == TOK_DURATION;
	if (!string)
		return parse_literal(p, &t, &x->num);
	x->str = lex_unquote(p->a, t.text);
	return 0;
}

static int parse_primary(struct parser *p, struct expr **out)
{
	switch (parse_peek(p)->kind) {
	case TOK_IDENT:
	case TOK_METRIC:
	case TOK_KEY: return parse_word(p, out);
	case TOK_NUMBER:
	case TOK_DURATION:
	case TOK_STRING: return parse_terminal(p, out);
	default: break;
	}
	if (tok_is(p, "{"))
		return parse_selector(p, NULL, out);
	if (tok_is(p, "("))
		return parse_paren(p, out);
	return parse_unexpected(p, NULL, NULL);
}

bool parse_begins_expr(struct parser *p)
{
	const struct tok *t = parse_peek(p);
	return parse_may_be_metric(t) || t->kind == TOK_NUMBER ||
	       t->kind == TOK_DURATION || t->kind == TOK_STRING || tok_is(p, "(") ||
	       tok_is(p, "{") || tok_is(p, "+") || tok_is(p, "-");
}

static int parse_postfix(struct parser *p, struct expr **out)
{
	int rc = parse_primary(p, out);
	while (rc == 0) {
		if (tok_is(p, "[")) {
			rc = parse_brackets(p, out);
		} else if (tok_word(p, "offset")) {
			rc = parse_offset_modifier(p, *out);
		} else if (tok_is(p, "@")) {
			rc = parse_at_modifier(p, *out);
		} else if (tok_word(p, "smoothed") || tok_word(p, "anchored")) {
			rc = parse_extended(p, *out);
		} else {
			break;
		}
	}
	return rc;
}

/* ---- operators ---- */

static bool binary_op(struct parser *p, enum bin_op *op, int *prec)
{
	static const struct {
		const char *text;
		enum bin_op op;
		int prec;
	} rows[] = { { "or", OP_OR, 1 },
		     { "and", OP_AND, 2 },
		     { "unless", OP_UNLESS, 2 },
		     { "==", OP_EQ, PREC_CMP },
		     { "!=", OP_NE, PREC_CMP },
		     { "<", OP_LT, PREC_CMP },
		     { ">", OP_GT, PREC_CMP },
		     { "<=", OP_LE, PREC_CMP },
		     { ">=", OP_GE, PREC_CMP },
		     { "</", OP_TRIM_UPPER, PREC_CMP },
		     { ">/", OP_TRIM_LOWER, PREC_CMP },
		     { "+", OP_ADD, 4 },
		     { "-", OP_SUB, 4 },
		     { "*", OP_MUL, 5 },
		     { "/", OP_DIV, 5 },
		     { "%", OP_MOD, 5 },
		     { "atan2", OP_ATAN2, 5 },
		     { "^", OP_POW, PREC_POW } };
	const struct tok *t = parse_peek(p);
	if (t->kind != TOK_SYMBOL && t->kind != TOK_KEY)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (str_eq_nocase(t->text, str_of(rows[i].text))) {
			*op = rows[i].op;
			*prec = rows[i].prec;
			return true;
		}
	return false;
}

static int parse_matching(struct parser *p, struct match_node *m)
{
	if (!tok_word(p, "on") && !tok_word(p, "ignoring"))
		return 0;
	m->given = true;
	m->on = tok_word(p, "on");
	parse_take(p);
	if (parse_name_list(p, &m->written, &m->n_written) < 0 ||
	    parse_sort_names(p, m->written, m->n_written, &m->labels, &m->n_labels) < 0)
		return -1;
	if (!tok_word(p, "group_left") && !tok_word(p, "group_right"))
		return 0;
	m->card = tok_word(p, "group_left") ? CARD_MANY_TO_ONE : CARD_ONE_TO_MANY;
	parse_take(p);
	if (!tok_is(p, "(") && parse_begins_expr(p))
		return 0;
	return parse_name_list(p, &m->include, &m->n_include);
}

/* Behind fill, fill_left, fill_right: "(" [sign] number ")" */
static int parse_fill_value(struct parser *p, double *v)
{
	parse_take(p);
	if (parse_want(p, "(") < 0)
		return -1;
	bool neg = tok_take(p, "-");
	if (!neg)
		(void)tok_take(p, "+");
	if (parse_peek(p)->kind != TOK_NUMBER && parse_peek(p)->kind != TOK_DURATION)
		return parse_unexpected(p, NULL, NULL);
	struct tok t = parse_take(p);
	if (parse_literal(p, &t, v) < 0)
		return -1;
	*v = neg ? -*v : *v;
	return parse_want(p, ")");
}

/* fill alone, or fill_left and fill_right, each once, in any order */
static int parse_fill(struct parser *p, struct match_node *m)
{
	if (tok_word(p, "fill")) {
		m->fill_left = m->fill_right = true;
		if (parse_fill_value(p, &m->left) < 0)
			return -1;
		m->right = m->left;
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		if (tok_word(p, "fill_left") && !m->fill_left) {
			m->fill_left = true;
			if (parse_fill_value(p, &m->left) < 0)
				return -1;
		} else if (tok_word(p, "fill_right") && !m->fill_right) {
			m->fill_right = true;
			if (parse_fill_value(p, &m->right) < 0)
				return -1;
		}
	}
	return 0;
}

static int parse_modifiers(struct parser *p, struct expr *x)
{
	struct match_node *m = &x->bin.match;
	m->card = op_is_set(x->bin.op) ? CARD_MANY_TO_MANY : CARD_ONE_TO_ONE;
	x->bin.ret_bool = tok_word(p, "bool");
	if (x->bin.ret_bool)
		parse_take(p);
	return parse_matching(p, m) < 0 || parse_fill(p, m) < 0 ? -1 : 0;
}

/* The operator is the look-ahead, *out its left side. */
static int parse_right_side(struct parser *p, enum bin_op op, int prec, struct expr **out)
{
	struct expr *x = parse_node(p, EXPR_BINARY, (*out)->pos), *l = *out;
	struct tok t = parse_take(p);
	if (!x)
		return -1;
	x->bin.op = op;
	x->bin.op_pos = t.pos;
	x->bin.l = l;
	if (parse_modifiers(p, x) < 0 ||
	    parse_expr(p, op == OP_POW ? prec : prec + 1, &x->bin.r) < 0 ||
	    parse_deepen(p, x, l) < 0 || parse_deepen(p, x, x->bin.r) < 0)
		return -1;
	if ((x->bin.match.fill_left || x->bin.match.fill_right) &&
	    !(p->features & PROMQL_FILL))
		return parse_fail(
			p, x->pos,
			"binop fill modifiers are experimental and not enabled");
	bool scalars = l->type == TYPE_SCALAR && x->bin.r->type == TYPE_SCALAR;
	x->type = scalars ? TYPE_SCALAR : TYPE_VECTOR;
	x->end = x->bin.r->end;
	*out = x;
	return 0;
}

static int parse_sign(struct parser *p, struct expr **out)
{
	struct tok sign = parse_take(p);
	bool neg = *sign.text.p == '-';
	struct expr *e;
	if (parse_expr(p, PREC_POW, &e) < 0)
		return -1;
	if (e->kind == EXPR_NUMBER) {
		e->num = neg ? -e->num : e->num;
		e->pos = sign.pos;
		*out = e;
		return 0;
	}
	struct expr *x = parse_node(p, EXPR_UNARY, sign.pos);
	if (!x || parse_deepen(p, x, e) < 0)
		return -1;
	x->un.neg = neg;
	x->un.e = e;
	x->type = e->type;
	x->end = e->end;
	*out = x;
	return 0;
}

int parse_expr(struct parser *p, int min, struct expr **out)
{
	enum bin_op op;
	int prec;
	if (p->depth == LIMIT_PROMQL_DEPTH)
		return parse_fail(p, parse_peek(p)->pos,
				  "expression is nested deeper than %d levels",
				  LIMIT_PROMQL_DEPTH);
	p->depth++;
	int rc = tok_is(p, "-") || tok_is(p, "+") ? parse_sign(p, out)
						  : parse_postfix(p, out);
	while (rc == 0 && binary_op(p, &op, &prec) && prec >= min)
		rc = parse_right_side(p, op, prec, out);
	p->depth--;
	return rc;
}
