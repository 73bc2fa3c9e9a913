/*
 * Printing: what comes out is what Prometheus 3.14's format_query answers, and parses to what it was
 * printed from. And durations, which the query's window decides.
 */
#include "base/ctx.h"
#include "show.h"
#include "support/tst.h"

static const char *const prints[][2] = {
	{ "foo", "foo" },
	{ "FOO{b=\"2\",a=~'1'}", "FOO{a=~\"1\",b=\"2\"}" },
	{ "{\"foo\"}", "{__name__=\"foo\"}" },
	{ "{\"a.b\"=\"c\"}", "{\"a.b\"=\"c\"}" },
	{ "x @ 1.5 anchored offset 5m", "x @ 1.500 anchored offset 5m" },
	{ "x offset 90m smoothed @ end()", "x @ end() smoothed offset 1h30m" },
	{ "x[5m] @ -1 anchored offset -7d", "x[5m] anchored @ -1.000 offset -1w" },
	{ "x[400d:] offset 0", "x[400d:]" },
	{ "x[5m : 90] @ start()", "x[5m:1m30s] @ start()" },
	{ "SUM(a) By (b, a)", "sum by (b, a) (a)" },
	{ "sum by () (a)", "sum(a)" },
	{ "sum without () (a)", "sum without () (a)" },
	{ "sum(a) by (\"x y\")", "sum by (\"x y\") (a)" },
	{ "topk(1 , a)", "topk(1, a)" },
	{ "limit_ratio(-.5, a)", "limit_ratio(-0.5, a)" },
	{ "a + ignoring () b", "a + b" },
	{ "a + on () b", "a + on () b" },
	{ "a + ignoring () group_left b", "a + ignoring () group_left () b" },
	{ "a == bool on (y, x) group_right (z) b",
	  "a == bool on (y, x) group_right (z) b" },
	{ "1 + ignoring () a", "1 + a" },
	{ "a - fill(5m) b", "a - fill (300) b" },
	{ "a - fill_right(-1) fill_left(1e6) b",
	  "a - fill_left (1e+06) fill_right (-1) b" },
	{ "a - fill_right(1) fill_left(1) b", "a - fill (1) b" },
	{ "a </ 5 >/ -5", "a </ 5 >/ -5" },
	{ "--5", "5" },
	{ "-1^2", "-1 ^ 2" },
	{ "- + a", "-+a" },
	{ "1e3 + 0x1f + -inf + nan", "1000 + 31 + -Inf + NaN" },
	{ "60 + 60s + 1s1ms + -1h", "60 + 1m + 1s + -1h" },
	{ "'a\\'\"'", "\"a'\\\"\"" },
	{ "info(a, {b=\"c\"})", "info(a, {b=\"c\"})" },
	{ "start() - STEP", "start() - STEP" },
	{ "x[5m*2+1:step()]", "x[5m * 2 + 1:step()]" },
	{ "x[(5)]", "x[(5)]" },
	{ "x[((5m+1s))]", "x[(5m + 1s)]" },
	{ "x[--5 ^ 2 % 3]", "x[--5 ^ 2 % 3]" },
	{ "x[MIN_OF(5m, range())]", "x[min_of(5m, range())]" },
	{ "x offset -(5m) * 2", "x offset -(5m) * 2" },
	{ "x offset (5m) * 2", "x offset (5m) * 2" },
	{ "x offset +step() ", "x offset step()" },
	{ "x offset -(5m) + 1", "x offset -(5m) + 1" },
	{ "x offset --(5m) + 1", "x offset --(5m) + 1" },
	{ "x offset -max_of(1, 2) ", "x offset -max_of(1, 2)" },
};

/* Where Prometheus' text would parse to another tree. */
static const char *const better[][2] = {
	{ "x offset +(5m) * 2", "x offset +(5m) * 2" },
	{ "x offset (5m) @ 1 * 2", "x @ 1.000 offset +(5m) * 2" },
	{ "-x offset ((5m) + 1) smoothed - 2", "-x smoothed offset +((5m) + 1) - 2" },
	{ "last_over_time(x[5m:] offset --5m + 1 @ 1)",
	  "last_over_time(x[5m:] @ 1.000 offset (5m + 1))" },
	{ "x offset --5 * 2", "x offset (5 * 2)" },
	{ "x offset +-2 ^ 3", "x offset (-2 ^ 3)" },
	{ "x offset --5 * 2 @ 1 * 3", "x @ 1.000 offset +(5 * 2) * 3" },
	{ "x offset +-step() % 3", "x offset (-step() % 3)" },
	{ "x offset +-(1) % 3", "x offset (-(1) % 3)" },
	{ "x offset (1) % 3", "x offset (1) % 3" },
	{ "x offset (1) @ 5 == 3", "x @ 5.000 offset (1) == 3" },
	{ "info(x, {})", "info(x, {})" },
};

static void print(const struct expr *x, struct buf *b)
{
	buf_init(b, 1 << 16);
	promql_print(x, b);
}

/* The text wanted, which gives itself again, and (where nothing is left out or sorted) the same tree. */
static void round_trip(const char *query, const char *want, bool same_tree)
{
	struct parsing t, again;
	struct buf b, c;
	parsing_init_with(&t, str_of(query), PROMQL_ALL);
	cr_assert_eq(t.rc, 0, "%s: %s", query, err_text(&t.e));
	print(t.x, &b);
	cr_expect(str_eqz(buf_view(&b), want), "%s: %.*s", query, STR_FMT(buf_view(&b)));
	parsing_init_with(&again, buf_view(&b), PROMQL_ALL);
	cr_assert_eq(again.rc, 0, "%s: %s", query, err_text(&again.e));
	print(again.x, &c);
	cr_expect(str_eq(buf_view(&b), buf_view(&c)), "%.*s: %.*s", STR_FMT(buf_view(&b)),
		  STR_FMT(buf_view(&c)));
	buf_reset(&b);
	buf_reset(&c);
	if (same_tree && promql_resolve(t.x, STR_NULL, 0, 300000, 7000, &t.e) == 0) {
		cr_assert_eq(promql_resolve(again.x, STR_NULL, 0, 300000, 7000, &again.e),
			     0);
		show_expr(t.x, &b);
		show_expr(again.x, &c);
		cr_expect(str_eq(buf_view(&b), buf_view(&c)), "%s: %.*s, again %.*s",
			  query, STR_FMT(buf_view(&b)), STR_FMT(buf_view(&c)));
	}
	buf_deinit(&b);
	buf_deinit(&c);
	parsing_deinit(&t);
	parsing_deinit(&again);
}

Test(promql_parse, printing_round_trips)
{
	for (size_t i = 0; i < ARRAY_LEN(prints); i++)
		round_trip(prints[i][0], prints[i][1], false);
	for (size_t i = 0; i < ARRAY_LEN(better); i++)
		round_trip(better[i][0], better[i][1], true);
}

/* The window is [100 s, 400 s] by 20 s. */
static const char *const windows[][2] = {
	{ "x[1m+1s]", "x{}[61000]" },
	{ "x[step()]", "x{}[20000]" },
	{ "x[range()*1:step()/2] offset -step()", "x{}[300000:10000] offset -20000" },
	{ "x[2^3^1 - 7.5 * -1 % 4]", "x{}[11500]" },
	{ "x[max_of(step(), 30)] offset -min_of(1s, 2s)", "x{}[30000] offset -1000" },
	{ "x offset (1.0009)", "x{} offset 1000" },
	{ "- (rate(x[+(1m)])) + -1", "(-<rate(x{}[60000])> + -1)" },
	{ "topk(scalar(y offset (-5)), last_over_time(x[5m:(1m)]))",
	  "topk(scalar(y{} offset -5000),last_over_time(x{}[300000:60000]))" },
	{ "x offset (5) * 2", "x{} offset 10000" },
	{ "x offset -(5) * 2", "(x{} offset -5000 * 2)" },
	{ "x offset step() * 2", "(x{} offset 20000 * 2)" },
	{ "x offset --5 * 2", "x{} offset 10000" },
};

static const char *const refused[][2] = {
	{ "x[5m-5m]", "2:7: duration must be greater than 0" },
	{ "rate(x[5m:(1-2)])", "11:14: duration must be greater than 0" },
	{ "x offset (1/(1-1))", "10:16: division by zero" },
	{ "x offset (1%(step()-20))", "10:22: modulo by zero" },
	{ "x offset ((-8)^.5)", "10:17: duration is NaN or infinite" },
	{ "x offset (9e9^99)", "10:16: duration is NaN or infinite" },
	{ "x offset (9e9*9)", "10:15: duration is out of range" },
	{ "x[range() - 300]", "2:15: duration must be greater than 0" },
};

Test(promql_parse, durations_are_resolved_for_the_window)
{
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		struct parsing t;
		struct buf b;
		parsing_init_with(&t, str_of(windows[i][0]), 0);
		cr_assert_eq(t.rc, 0, "%s: %s", windows[i][0], err_text(&t.e));
		cr_assert_eq(promql_resolve(t.x, str_of(windows[i][0]), 100000, 400000,
					    20000, &t.e),
			     0, "%s: %s", windows[i][0], err_text(&t.e));
		buf_init(&b, 1 << 16);
		show_expr(t.x, &b);
		cr_expect(str_eqz(buf_view(&b), windows[i][1]), "%s: %.*s", windows[i][0],
			  STR_FMT(buf_view(&b)));
		buf_deinit(&b);
		parsing_deinit(&t);
	}
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct parsing t;
		parsing_init_with(&t, str_of(refused[i][0]), 0);
		cr_assert_eq(t.rc, 0, "%s: %s", refused[i][0], err_text(&t.e));
		cr_expect_eq(promql_resolve(t.x, str_of(refused[i][0]), 100000, 400000,
					    20000, &t.e),
			     -1);
		cr_expect(t.e.code == E_EXEC &&
				  strcmp(err_text(&t.e), refused[i][1]) == 0,
			  "%s: %s", refused[i][0], err_text(&t.e));
		parsing_deinit(&t);
	}
}
