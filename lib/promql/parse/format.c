/*
 * promql/parse/format.c - an expression over lines, where one would be too long.
 *
 * What fits in MAX_LINE bytes stands on one line as promql_print has it (indentation does not count).
 * Else: aggregations, calls and parentheses open, one argument a line, one level deeper; the sides of an
 * operator stand one level deeper than the operator, which has a line of its own; a subquery breaks
 * where its expression does. Selectors and literals are never broken.
 */
#include "promql/parse/print_int.h"

#define MAX_LINE 100

static bool is_long(const struct expr *x)
{
	struct buf b;
	buf_init(&b, MAX_LINE);
	promql_print(x, &b);
	bool full = b.failed;
	buf_deinit(&b);
	return full;
}

static void indent(unsigned level, struct buf *b)
{
	for (unsigned i = 0; i < level; i++)
		buf_add(b, "  ", 2);
}

/* lead: the first line is indented, too. followed: as in print_expr */
static void format(const struct expr *x, unsigned level, bool lead, bool followed,
		   struct buf *b);

static void end_list(unsigned level, struct buf *b)
{
	buf_byte(b, '\n');
	indent(level, b);
	buf_byte(b, ')');
}

static void split_aggr(const struct expr *x, unsigned level, struct buf *b)
{
	print_aggr_head(x, b);
	buf_add(b, "(\n", 2);
	if (x->aggr.param) {
		format(x->aggr.param, level + 1, true, false, b);
		buf_add(b, ",\n", 2);
	}
	format(x->aggr.e, level + 1, true, false, b);
	end_list(level, b);
}

static void split_call(const struct expr *x, unsigned level, struct buf *b)
{
	buf_fmt(b, "%s(\n", fn_sigs[x->call.fn].name);
	for (size_t i = 0; i < x->call.n; i++) {
		if (i)
			buf_add(b, ",\n", 2);
		format(x->call.arg[i], level + 1, true, false, b);
	}
	end_list(level, b);
}

static void split_binary(const struct expr *x, unsigned level, bool lead, bool followed,
			 struct buf *b)
{
	format(x->bin.l, level + 1, lead, op_is_arithmetic(x->bin.op), b);
	buf_byte(b, '\n');
	indent(level, b);
	buf_str(b, str_of(op_text(x->bin.op)));
	print_modifiers(x, b);
	buf_byte(b, '\n');
	format(x->bin.r, level + 1, true, followed, b);
}

static void format(const struct expr *x, unsigned level, bool lead, bool followed,
		   struct buf *b)
{
	bool split = x->kind != EXPR_UNARY && is_long(x);
	bool in_front = x->kind != EXPR_SUBQUERY && (x->kind != EXPR_BINARY || !split);
	if (lead && in_front)
		indent(level, b);
	if (x->kind == EXPR_UNARY) {
		buf_byte(b, x->un.neg ? '-' : '+');
		format(x->un.e, level, false, followed, b);
	} else if (split && x->kind == EXPR_AGGR) {
		split_aggr(x, level, b);
	} else if (split && x->kind == EXPR_CALL) {
		split_call(x, level, b);
	} else if (split && x->kind == EXPR_BINARY) {
		split_binary(x, level, lead, followed, b);
	} else if (split && x->kind == EXPR_PAREN) {
		buf_add(b, "(\n", 2);
		format(x->inner, level + 1, true, false, b);
		end_list(level, b);
	} else if (split && x->kind == EXPR_SUBQUERY) {
		format(x->sub.e, level, lead, false, b);
		print_subquery_tail(x, followed, b);
	} else {
		print_expr(x, followed, b);
	}
}

void promql_format(const struct expr *x, struct buf *b)
{
	format(x, 0, true, false, b);
}
