/*
 * Depth, length and memory are bounded; selectors alone.
 */
#include <pthread.h>

#include "base/ctx.h"
#include "base/limits.h"
#include "show.h"
#include "support/tst.h"

/* `n` times `open`, then "a", then `n` times `close`. */
static struct str nested(struct buf *b, const char *open, const char *close, int n)
{
	buf_init(b, 1 << 20);
	for (int i = 0; i < n; i++)
		buf_str(b, str_of(open));
	buf_byte(b, 'a');
	for (int i = 0; i < n; i++)
		buf_str(b, str_of(close));
	return buf_view(b);
}

static const char *const nests[][2] = {
	{ "(", ")" },	 { "-", "" },	    { "sum(", ")" },
	{ "abs(", ")" }, { "1+", "" },	    { "", "+1" },
	{ "1^", "" },	 { "a or (", ")" }, { "max_over_time(", "[1m:])" },
};

Test(promql_parse, nesting_is_limited)
{
	for (size_t i = 0; i < ARRAY_LEN(nests); i++) {
		struct parsing t;
		struct buf b;
		parsing_init(&t, nested(&b, nests[i][0], nests[i][1], 90));
		cr_expect(t.rc == 0, "%s: %s", nests[i][0], err_text(&t.e));
		cr_expect(t.rc < 0 || t.x->depth <= LIMIT_PROMQL_DEPTH);
		parsing_deinit(&t);
		buf_deinit(&b);
		parsing_init(&t, nested(&b, nests[i][0], nests[i][1], 20000));
		cr_expect(t.rc < 0 &&
				  strstr(err_text(&t.e), "nested deeper than 200 levels"),
			  "%s: %s", nests[i][0], t.rc < 0 ? err_text(&t.e) : "parsed");
		parsing_deinit(&t);
		buf_deinit(&b);
	}
}

static void *parse_deep(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < ARRAY_LEN(nests); i++) {
		struct parsing t;
		struct buf b;
		parsing_init(&t, nested(&b, nests[i][0], nests[i][1], 198));
		parsing_deinit(&t);
		buf_deinit(&b);
	}
	return NULL;
}

Test(promql_parse, the_deepest_expression_fits_a_request_threads_stack)
{
	pthread_attr_t attr;
	pthread_t th;
	size_t stack = 256 << 10;
#ifdef __SANITIZE_ADDRESS__
	stack *= 4; /* frames have red zones */
#endif
	pthread_attr_init(&attr);
	cr_assert_eq(pthread_attr_setstacksize(&attr, stack), 0);
	cr_assert_eq(pthread_create(&th, &attr, parse_deep, NULL), 0);
	pthread_join(th, NULL);
	pthread_attr_destroy(&attr);
}

Test(promql_parse, the_text_has_a_largest_length)
{
	struct parsing t;
	struct buf b;
	buf_init(&b, SIZE_MAX / 2);
	while (b.n <= LIMIT_CONFIG_BYTES)
		buf_str(&b, STR("                                "));
	parsing_init(&t, buf_view(&b));
	cr_expect(t.rc < 0 && t.e.code == E_LIMIT);
	parsing_deinit(&t);
	buf_deinit(&b);
}

Test(promql_parse, memory_is_charged_to_the_arenas_budget)
{
	struct budget small;
	struct ctx ctx;
	struct arena a;
	struct err e = ERR_INIT;
	struct expr *x;
	struct buf b;
	budget_init(&small, NULL, "query", NULL, 256 << 10);
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, &small);
	buf_init(&b, 1 << 20);
	buf_str(&b, STR("label_join(a,\"b\""));
	for (int i = 0; i < 20000; i++)
		buf_str(&b, STR(",\"c\""));
	buf_byte(&b, ')');
	cr_expect_eq(promql_parse(&ctx, &a, buf_view(&b), 0, &x, &e), -1);
	cr_expect_eq(e.code, E_LIMIT, "%s", err_text(&e));
	buf_deinit(&b);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	budget_deinit(&small);
}

/* "" : the text of the first matcher's name; else the error. */
static const char *const selectors[][2] = {
	{ "up", "" },
	{ "up{job=\"x\"}", "" },
	{ "{__name__=~\"a.*\"}", "" },
	{ "{\"a.b\"}", "" },
	{ "sum", "" },
	{ "{}", "match[] must contain at least one non-empty matcher" },
	{ "{a=\"\"}", "match[] must contain at least one non-empty matcher" },
	{ "{a=~\".*\"}", "match[] must contain at least one non-empty matcher" },
	{ "", "unknown position: parse error: unexpected end of input" },
	{ "up[5m]", "1:3: parse error: unexpected \"[\"" },
	{ "up offset 5m", "1:4: parse error: unexpected <offset>" },
	{ "up or down", "1:4: parse error: unexpected <op:or>" },
	{ "sum(up)", "1:4: parse error: unexpected \"(\"" },
	{ "1", "1:1: parse error: unexpected number \"1\"" },
	{ "up{", "1:4: parse error: unexpected end of input inside braces" },
};

Test(promql_parse, a_selector_alone_is_nothing_more)
{
	for (size_t i = 0; i < ARRAY_LEN(selectors); i++) {
		struct ctx ctx;
		struct arena a;
		struct err e = ERR_INIT;
		struct matcher *m;
		size_t n = 0;
		ctx_init(&ctx, NULL, 0);
		arena_init(&a, NULL);
		int rc = promql_parse_selector(&ctx, &a, str_of(selectors[i][0]), &m, &n,
					       &e);
		const char *got = rc < 0 ? err_text(&e) : "";
		cr_expect(strcmp(got, selectors[i][1]) == 0, "%s: %s", selectors[i][0],
			  got);
		cr_expect(rc < 0 || n > 0);
		arena_deinit(&a);
		ctx_deinit(&ctx);
	}
}
