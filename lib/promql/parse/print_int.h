/*
 * promql/parse/print_int.h - parts of the printed text, for format.c and ast_json.c.
 */
#ifndef PROMQL_PARSE_PRINT_INT_H
#define PROMQL_PARSE_PRINT_INT_H

#include "base/buf.h"
#include "promql/parse/ast.h"

/*
 * promql_print; followed: + - * / % or ^ comes behind. An offset that is an expression would take it
 * in: it is printed so that it ends.
 */
void print_expr(const struct expr *x, bool followed, struct buf *b);
static inline bool op_is_arithmetic(enum bin_op op)
{
	return op <= OP_POW;
}
/* " bool on (a) group_left (b) fill (0)": what stands between an operator and its right side. */
void print_modifiers(const struct expr *x, struct buf *b);
/* "sum by (a) " */
void print_aggr_head(const struct expr *x, struct buf *b);
/* "[5m:1m] @ 1.000 offset 5m" */
void print_subquery_tail(const struct expr *x, bool followed, struct buf *b);
const char *dur_op_text(enum dur_op op); /* "+", "step" */
/* Does the matching of a binary operator mean anything: are both sides vectors? */
static inline bool expr_matches_vectors(const struct expr *x)
{
	return x->bin.l->type == TYPE_VECTOR && x->bin.r->type == TYPE_VECTOR;
}

#endif
