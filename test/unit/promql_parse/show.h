/*
 * A tree as text: binary operators in parentheses, every field that is not
 * zero. For comparing.
 */
#ifndef TEST_PROMQL_PARSE_SHOW_H
#define TEST_PROMQL_PARSE_SHOW_H

#include "promql/parse/ast.h"

void show_expr(const struct expr *x, struct buf *b);

struct parsing { /* one query with all that belongs to it */
	struct ctx ctx;
	struct arena a;
	struct err e;
	struct expr *x;
	int rc;
};
void parsing_init(struct parsing *t, struct str query); /* without features */
void parsing_init_with(struct parsing *t, struct str query, unsigned features);
void parsing_deinit(struct parsing *t);

#endif
