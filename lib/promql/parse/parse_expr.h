/*
 * promql/parse/parse_expr.h - the expression parser, for the files that call
 * each other.
 */
#ifndef PROMQL_PARSE_PARSE_EXPR_H
#define PROMQL_PARSE_PARSE_EXPR_H

#include "promql/parse/parse_int.h"

/* An expression whose operators bind at least as tightly as `min` (0: any). */
MUST_CHECK int parse_expr(struct parser *p, int min, struct expr **out);
/* May the look-ahead begin an expression? */
bool parse_begins_expr(struct parser *p);
/* parse_call.c: sum by (a) (x), behind the operator's name; rate(x), behind the
 * function's. */
MUST_CHECK int parse_aggr(struct parser *p, const struct tok *name, struct expr **out);
MUST_CHECK int parse_call(struct parser *p, const struct tok *name, struct expr **out);
/* `child` hangs below x; -1: too deep. */
MUST_CHECK int parse_deepen(struct parser *p, struct expr *x, const struct expr *child);

#endif
