/*
 * promql/parse/parse_durexpr.c - durations where time is told: ranges, subquery steps, offsets.
 *
 * Each is a literal, or arithmetic over literals, step() and range() of the query, min_of and max_of.
 * Arithmetic stays a tree (EXPR_DURATION, leaves EXPR_NUMBER) until promql_resolve knows the query;
 * a literal is kept in ms, what is finer is cut off. + - bind less than * / %, ^ most and to the right;
 * a sign binds as *.
 *
 * An offset without parentheses ends early, so that `a offset 5m * 2` multiplies a: with one literal,
 * step(), range(), min_of() or max_of(), each with at most one sign, or a signed pair of parentheses.
 * All else is an expression to its end.
 *
 * A function here returns 1 where the text goes on with what cannot stand there; the place says what
 * it had expected.
 */
#include <math.h>

#include "base/limits.h"
#include "promql/parse/parse_expr.h"

#define MAX_SECONDS (9223372036854775808.0 / 1e9) /* int64 ns */
#define PREC_SIGN   3				  /* what binds tighter than a sign */

static int duration(struct parser *p, int min, struct expr **out);

static int out_of_range(struct parser *p, uint32_t pos)
{
	return parse_fail(p, pos, "duration out of range");
}

static int64_t to_ms(double seconds)
{
	double ns = round(seconds * 1e9);
	if (ns >= 9223372036854775807.0)
		return INT64_MAX / 1000000;
	if (ns <= -9223372036854775807.0)
		return INT64_MIN / 1000000;
	return (int64_t)ns / 1000000;
}

/* ---- nodes ---- */

/* The place of an operator is that of its operands. l NULL: pos is where it begins. */
static int operation(struct parser *p, enum dur_op op, uint32_t pos, struct expr *l,
		     struct expr *r, struct expr **out)
{
	struct expr *x = parse_node(p, EXPR_DURATION, l ? l->pos : pos);
	if (!x || (l && parse_deepen(p, x, l) < 0) || (r && parse_deepen(p, x, r) < 0))
		return -1;
	x->type = TYPE_SCALAR;
	x->end = r ? r->end : p->last_end;
	x->dur.op = op;
	x->dur.l = l;
	x->dur.r = r;
	*out = x;
	return 0;
}

static int apply_sign(struct parser *p, const struct tok *sign, struct expr *e,
		      struct expr **out)
{
	bool neg = *sign->text.p == '-';
	*out = e;
	if (e->kind == EXPR_NUMBER) {
		e->num = neg ? -e->num : e->num;
		e->pos = sign->pos;
		return 0;
	}
	return neg ? operation(p, DUR_NEG, sign->pos, NULL, e, out) : 0;
}

/* A number has no room to remember its parentheses: a plus takes them. */
static int wrap(struct parser *p, uint32_t pos, struct expr *e, struct expr **out)
{
	*out = e;
	if (e->kind == EXPR_NUMBER && operation(p, DUR_POS, pos, NULL, e, out) < 0)
		return -1;
	(*out)->dur.wrapped = true;
	return 0;
}

/* ---- operands ---- */

static int literal(struct parser *p, struct expr **out)
{
	struct tok t = parse_take(p);
	struct expr *x = parse_node(p, EXPR_NUMBER, t.pos);
	if (!x || parse_literal(p, &t, &x->num) < 0)
		return -1;
	x->type = TYPE_SCALAR;
	x->unit = t.kind == TOK_DURATION;
	x->end = p->last_end;
	*out = x;
	return 0;
}

static int checked_literal(struct parser *p, struct expr **out)
{
	if (literal(p, out) < 0)
		return -1;
	return fabs((*out)->num) <= MAX_SECONDS ? 0 : out_of_range(p, (*out)->pos);
}

static bool is_call(struct parser *p)
{
	const struct tok *t = parse_peek(p);
	return t->kind == TOK_KEY && t->key == KEY_CALL && !tok_word(p, "start") &&
	       !tok_word(p, "end");
}

/* step() range() min_of(a, b) max_of(a, b) */
static int call(struct parser *p, struct expr **out)
{
	struct expr *l = NULL, *r = NULL;
	struct tok t = parse_take(p);
	bool step = str_eq_nocase(t.text, STR("step"));
	bool min = str_eq_nocase(t.text, STR("min_of"));
	bool plain = step || str_eq_nocase(t.text, STR("range"));
	if (!tok_take(p, "("))
		return 1;
	if (!plain) {
		int rc = duration(p, 0, &l);
		if (rc == 0)
			rc = tok_take(p, ",") ? duration(p, 0, &r) : 1;
		if (rc)
			return rc;
	}
	if (!tok_take(p, ")"))
		return 1;
	return operation(p,
			 step	 ? DUR_STEP
			 : plain ? DUR_RANGE
			 : min	 ? DUR_MIN_OF
				 : DUR_MAX_OF,
			 t.pos, l, r, out);
}

/* "(" duration ")"; *pos: of the parenthesis */
static int parenthesised(struct parser *p, uint32_t *pos, struct expr **out)
{
	*pos = parse_take(p).pos;
	int rc = duration(p, 0, out);
	if (rc)
		return rc;
	return tok_take(p, ")") ? 0 : 1;
}

static bool is_sign(struct parser *p)
{
	return tok_is(p, "-") || tok_is(p, "+");
}

static int operand(struct parser *p, struct expr **out)
{
	struct expr *e;
	if (is_sign(p)) {
		struct tok sign = parse_take(p);
		int rc = duration(p, PREC_SIGN, &e);
		return rc ? rc : apply_sign(p, &sign, e, out);
	}
	if (tok_is(p, "(")) {
		uint32_t pos;
		int rc = parenthesised(p, &pos, &e);
		return rc ? rc : wrap(p, pos, e, out);
	}
	if (is_call(p))
		return call(p, out);
	return tok_is_literal(parse_peek(p)) ? checked_literal(p, out) : 1;
}

/* ---- operators ---- */

static bool binary_op(struct parser *p, enum dur_op *op, int *prec)
{
	static const struct {
		const char *text;
		enum dur_op op;
		int prec;
	} rows[] = { { "+", DUR_ADD, 1 }, { "-", DUR_SUB, 1 }, { "*", DUR_MUL, 2 },
		     { "/", DUR_DIV, 2 }, { "%", DUR_MOD, 2 }, { "^", DUR_POW, 3 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (tok_is(p, rows[i].text)) {
			*op = rows[i].op;
			*prec = rows[i].prec;
			return true;
		}
	return false;
}

static int right_side(struct parser *p, enum dur_op op, int prec, struct expr **out)
{
	struct expr *r;
	uint32_t pos = parse_take(p).pos;
	int rc = duration(p, op == DUR_POW ? prec : prec + 1, &r);
	if (rc)
		return rc;
	if ((op == DUR_DIV || op == DUR_MOD) && r->kind == EXPR_NUMBER && r->num == 0)
		return parse_fail(p, pos, "%s by zero",
				  op == DUR_DIV ? "division" : "modulo");
	return operation(p, op, 0, *out, r, out);
}

/* What stands behind an operand that was read already. */
static int operators(struct parser *p, int min, struct expr **out)
{
	enum dur_op op;
	int prec, rc = 0;
	while (rc == 0 && binary_op(p, &op, &prec) && prec >= min)
		rc = right_side(p, op, prec, out);
	return rc;
}

static int duration(struct parser *p, int min, struct expr **out)
{
	if (p->depth == LIMIT_PROMQL_DEPTH)
		return parse_fail(p, parse_peek(p)->pos,
				  "expression is nested deeper than %d levels",
				  LIMIT_PROMQL_DEPTH);
	p->depth++;
	int rc = operand(p, out);
	if (rc == 0)
		rc = operators(p, min, out);
	p->depth--;
	return rc;
}

/* ---- where time is told ---- */

static int settle(struct expr *e, struct duration *out)
{
	bool number = e->kind == EXPR_NUMBER;
	*out = (struct duration){ number ? to_ms(e->num) : 0, number ? NULL : e };
	return 0;
}

int parse_range(struct parser *p, bool step, struct duration *out)
{
	struct expr *e;
	int rc = duration(p, 0, &e);
	if (rc < 0)
		return -1;
	if (rc > 0)
		return step ? parse_unexpected(
				      p, "subquery selector",
				      "number, duration, step(), range(), or \"]\"")
			    : parse_unexpected(p, "subquery or range selector",
					       "number, duration, step(), or range()");
	if (e->kind == EXPR_NUMBER && e->num <= 0)
		return parse_fail(p, e->pos, "duration must be greater than 0");
	return settle(e, out);
}

/* Behind one sign: what ends an offset, or goes on as an expression. */
static int signed_offset(struct parser *p, struct expr **out)
{
	struct expr *e;
	uint32_t pos;
	int rc;
	struct tok sign = parse_take(p);
	if (tok_is_literal(parse_peek(p))) {
		if (literal(p, &e) < 0)
			return -1;
		if (!(fabs(e->num) <= MAX_SECONDS))
			return out_of_range(p, sign.pos);
		return apply_sign(p, &sign, e, out);
	}
	if (is_call(p)) {
		rc = call(p, &e);
		return rc ? rc
			  : operation(p, *sign.text.p == '-' ? DUR_NEG : DUR_POS,
				      sign.pos, NULL, e, out);
	}
	if (tok_is(p, "(")) {
		rc = parenthesised(p, &pos, &e);
		if (rc || wrap(p, e->pos, e, &e) < 0)
			return rc ? rc : -1;
		return apply_sign(p, &sign, e, out);
	}
	rc = duration(p, PREC_SIGN, &e);
	if (rc || apply_sign(p, &sign, e, out) < 0)
		return rc ? rc : -1;
	return operators(p, 0, out);
}

static int unsigned_offset(struct parser *p, struct expr **out)
{
	if (tok_is_literal(parse_peek(p)))
		return checked_literal(p, out);
	return is_call(p) ? call(p, out) : duration(p, 0, out);
}

int parse_offset(struct parser *p, struct duration *out)
{
	struct expr *e;
	int rc = is_sign(p) ? signed_offset(p, &e) : unsigned_offset(p, &e);
	if (rc > 0)
		return parse_unexpected(p, "offset",
					"number, duration, step(), or range()");
	return rc < 0 ? -1 : settle(e, out);
}
