/*
 * test/fuzz/fuzz_promql.c - any text given to the parser.
 */
#include "base/ctx.h"
#include "promql/parse/ast.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ctx ctx;
	struct arena a;
	struct err e = ERR_INIT;
	struct expr *x;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	(void)!promql_parse(&ctx, &a, str_n(p, n), &x, &e);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return 0;
}
