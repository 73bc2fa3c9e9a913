/*
 * test/fuzz/fuzz_promql.c - any text given to the parser, as an expression and
 * as a selector. A tree that comes out keeps its promises: depth, and places
 * inside the text.
 */
#include "base/ctx.h"
#include "base/limits.h"
#include "promql/parse/ast.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ctx ctx;
	struct arena a;
	struct err e = ERR_INIT;
	struct expr *x;
	struct matcher *m;
	size_t k;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	if (promql_parse(&ctx, &a, str_n(p, n), 0, &x, &e) == 0)
		BUG_ON(x->depth > LIMIT_PROMQL_DEPTH || x->pos >= x->end || x->end > n);
	else
		BUG_ON(e.code != E_PARSE && e.code != E_LIMIT);
	e = ERR_INIT;
	if (promql_parse_selector(&ctx, &a, str_n(p, n), &m, &k, &e) == 0)
		BUG_ON(k == 0);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return 0;
}
