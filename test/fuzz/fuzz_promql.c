/*
 * test/fuzz/fuzz_promql.c - any text given to the parser, as an expression and as a selector. A tree
 * that comes out keeps its promises: depth, places inside the text; and its printed text, on one line
 * and over many, parses to the same tree again.
 */
#include <math.h>

#include "base/ctx.h"
#include "base/limits.h"
#include "promql/parse/ast.h"

#define FEATURES (PROMQL_ALL | PROMQL_X_FUNCTIONS)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* Durations are printed in whole ms, and none at all is refused where it must be positive. */
static bool prints_whole(double seconds)
{
	double ms = seconds * 1e3;
	return ms == floor(ms) && (int64_t)(seconds * 1e9) / 1000000 == (int64_t)ms;
}

static bool exact_duration(const struct expr *x)
{
	if (!x)
		return true;
	if (x->kind == EXPR_NUMBER)
		return !x->unit || prints_whole(x->num);
	return exact_duration(x->dur.l) && exact_duration(x->dur.r);
}

/* Is nothing lost in print? */
static bool exact(const struct expr *x)
{
	switch (x->kind) {
	case EXPR_NUMBER:
	case EXPR_DURATION: return exact_duration(x);
	case EXPR_STRING: return true;
	case EXPR_VECTOR: return exact_duration(x->s.sel.offset_expr);
	case EXPR_MATRIX:
		return (x->s.range_ms || x->s.range_expr) &&
		       exact_duration(x->s.range_expr) &&
		       exact_duration(x->s.sel.offset_expr);
	case EXPR_SUBQUERY:
		return (x->sub.range_ms || x->sub.range_expr) && exact(x->sub.e) &&
		       exact_duration(x->sub.range_expr) &&
		       exact_duration(x->sub.step_expr) &&
		       exact_duration(x->sub.offset_expr);
	case EXPR_CALL:
		for (size_t i = 0; i < x->call.n; i++)
			if (!exact(x->call.arg[i]))
				return false;
		return true;
	case EXPR_AGGR:
		return exact(x->aggr.e) && (!x->aggr.param || exact(x->aggr.param));
	case EXPR_BINARY: /* inf ^ 2 becomes +Inf ^ 2, whose sign stands before the power */
		if (x->bin.op == OP_POW && x->bin.l->kind == EXPR_NUMBER &&
		    isinf(x->bin.l->num))
			return false;
		return exact(x->bin.l) && exact(x->bin.r);
	case EXPR_UNARY: return exact(x->un.e);
	case EXPR_PAREN: return exact(x->inner);
	}
	return true;
}

static void expect_same(struct buf *a, struct buf *b)
{
	BUG_ON(!str_eq(buf_view(a), buf_view(b)));
	buf_reset(b);
}

/*
 * x -> text -> y -> text -> z: texts are equal, and the trees y and z (x may hold what is not printed:
 * order of matchers, empty lists).
 */
static void round_trip(struct ctx *ctx, struct arena *a, const struct expr *x)
{
	struct expr *y, *z;
	struct err e = ERR_INIT;
	struct buf text, lines, other, tree;
	buf_init(&text, 64 << 20);
	buf_init(&lines, 64 << 20);
	buf_init(&other, 64 << 20);
	buf_init(&tree, 64 << 20);
	promql_print(x, &text);
	promql_format(x, &lines);
	/* a U+FFFD that was an escape is printed as itself, which is refused */
	if (str_find(buf_view(&text), STR("\xef\xbf\xbd")) < 0 &&
	    text.n < LIMIT_CONFIG_BYTES && lines.n < LIMIT_CONFIG_BYTES) {
		BUG_ON(promql_parse(ctx, a, buf_view(&text), FEATURES, &y, &e) < 0);
		promql_print(y, &other);
		expect_same(&text, &other);
		BUG_ON(promql_parse(ctx, a, buf_view(&lines), FEATURES, &z, &e) < 0);
		promql_print(z, &other);
		expect_same(&text, &other);
		promql_format(z, &other);
		expect_same(&lines, &other);
		promql_ast_json(y, &tree);
		promql_ast_json(z, &other);
		expect_same(&tree, &other);
	}
	buf_deinit(&text);
	buf_deinit(&lines);
	buf_deinit(&other);
	buf_deinit(&tree);
}

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
	if (promql_parse(&ctx, &a, str_n(p, n), FEATURES, &x, &e) == 0) {
		BUG_ON(x->depth > LIMIT_PROMQL_DEPTH || x->pos >= x->end || x->end > n);
		if (exact(x))
			round_trip(&ctx, &a, x);
		e = ERR_INIT;
		if (promql_resolve(x, str_n(p, n), 1000, 301000, 15000, &e) < 0)
			BUG_ON(e.code != E_EXEC);
	} else {
		BUG_ON(e.code != E_PARSE && e.code != E_LIMIT);
	}
	e = ERR_INIT;
	if (promql_parse(&ctx, &a, str_n(p, n), 0, &x, &e) < 0)
		BUG_ON(e.code != E_PARSE && e.code != E_LIMIT);
	e = ERR_INIT;
	if (promql_parse_selector(&ctx, &a, str_n(p, n), &m, &k, &e) == 0)
		BUG_ON(k == 0);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return 0;
}
