/*
 * Shapes of good expressions. Each was parsed by Prometheus 3.14's parser, too,
 * with the same tree.
 */
#include "base/ctx.h"
#include "show.h"
#include "support/tst.h"

static const char *const rows[][2] = {
	{ "1", "1" },
	{ "+Inf", "inf" },
	{ "-NaN", "nan" },
	{ ".5", "0.5" },
	{ "5.", "5" },
	{ "1.e3", "1000" },
	{ "1_000.5", "1000.5" },
	{ "0x1F + 010 + 09", "((31 + 8) + 9)" },
	{ "0x_1", "1" },
	{ "1e-3 ^ 2", "(0.001 ^ 2)" },
	{ "5m30s", "330" },
	{ "1y2w3d4h5m6s7ms", "33019506.007" },
	{ "- 5m", "-300" },
	{ "--5", "5" },
	{ "-foo", "-foo{}" },
	{ "+-foo", "+-foo{}" },
	{ "-1 ^ 2", "-(1 ^ 2)" },
	{ "-1 ^ -2", "-(1 ^ -2)" },
	{ "2 ^ 3 ^ 2", "(2 ^ (3 ^ 2))" },
	{ "2 ^ -1 * 3", "((2 ^ -1) * 3)" },
	{ "1 + 2 * 3 - 4 / 5 % 6 atan2 7", "((1 + (2 * 3)) - (((4 / 5) % 6) atan2 7))" },
	{ "(1 + 2) * 3", "(<(1 + 2)> * 3)" },
	{ "a or b and c unless d", "(a{} or ((b{} and c{}) unless d{}))" },
	{ "a == bool 1", "(a{} == bool 1)" },
	{ "a > b or c <= d", "((a{} > b{}) or (c{} <= d{}))" },
	{ "1 != bool 2", "(1 != bool 2)" },
	{ "foo{}", "foo{}" },
	{ "foo{a=\"b\",}", "foo{a=\"b\"}" },
	{ "foo{a!=\"b\", c=~\"d.*\", e!~\"f|g\"}",
	  "foo{a!=\"b\",c=~\"d.*\",e!~\"f|g\"}" },
	{ "{__name__=~\".+\"}", "{__name__=~\".+\"}" },
	{ "{\"my.metric\"}", "{__name__=\"my.metric\"}" },
	{ "{\"my.metric\", \"a.b\"='c'}", "{__name__=\"my.metric\",\"a.b\"=\"c\"}" },
	{ "{\"a\", \"b\"}", "{__name__=\"a\",__name__=\"b\"}" },
	{ "foo{bool=\"x\", by=\"y\", sum=\"z\"}", "foo{bool=\"x\",by=\"y\",sum=\"z\"}" },
	{ "a:b:c", "a:b:c{}" },
	{ ":", ":{}" },
	{ "sum", "sum{}" },
	{ "by", "by{}" },
	{ "offset offset 5m", "offset{} offset 300000" },
	{ "OFFSET", "OFFSET{}" },
	{ "fill + fill", "(fill{} + fill{})" },
	{ "start", "start{}" },
	{ "foo # comment", "foo{}" },
	{ "foo # { ( [", "foo{}" },
	{ "foo @ 1.5", "foo{} @1500" },
	{ "foo @ -1", "foo{} @-1000" },
	{ "foo @ 5m", "foo{} @300000" },
	{ "foo @ start ( )", "foo{} @start" },
	{ "foo @ END() offset 1m", "foo{} offset 60000 @end" },
	{ "foo offset -5m", "foo{} offset -300000" },
	{ "foo offset - 5m", "foo{} offset -300000" },
	{ "foo offset 0 offset 5m", "foo{} offset 300000" },
	{ "foo offset 1h+5m", "(foo{} offset 3600000 + 300)" },
	{ "foo offset -2 ^ 2", "(foo{} offset -2000 ^ 2)" },
	{ "foo[5m]", "foo{}[300000]" },
	{ "foo[ 5m ]", "foo{}[300000]" },
	{ "foo[300]", "foo{}[300000]" },
	{ "foo[+5m] offset 1h @ 3", "foo{}[300000] offset 3600000 @3000" },
	{ "foo[--5m]", "foo{}[300000]" },
	{ "foo[1h:5m]", "foo{}[3600000:300000]" },
	{ "foo[1h:]", "foo{}[3600000:0]" },
	{ "foo[1h : 5m] offset 1d @ end()",
	  "foo{}[3600000:300000] offset 86400000 @end" },
	{ "rate(foo[5m])[30m:1m]", "rate(foo{}[300000])[1800000:60000]" },
	{ "time()", "time()" },
	{ "pi() + vector(1)", "(pi() + vector(1))" },
	{ "label_join(a, \"b\", \",\", \"c\", \"d\", \"e\")",
	  "label_join(a{},\"b\",\",\",\"c\",\"d\",\"e\")" },
	{ "round(a) + round(a, 0.1)", "(round(a{}) + round(a{},0.1))" },
	{ "day_of_month() + day_of_month(a)", "(day_of_month() + day_of_month(a{}))" },
	{ "sum(foo)", "sum(foo{})" },
	{ "SUM BY (a, b) (foo)", "sum by (a,b)(foo{})" },
	{ "sum(foo) without (b, a, b,)", "sum without (a,b)(foo{})" },
	{ "sum by () (foo)", "sum by ()(foo{})" },
	{ "avg by (\"a.b\", offset, bool) (foo)", "avg by (a.b,bool,offset)(foo{})" },
	{ "topk(3, foo)", "topk(3,foo{})" },
	{ "quantile by (le) (0.9, foo)", "quantile by (le)(0.9,foo{})" },
	{ "count_values(\"x\", foo)", "count_values(\"x\",foo{})" },
	{ "a + on () b", "(a{} + on 1:1()() b{})" },
	{ "a / ignoring (y, x) b", "(a{} / ignoring 1:1(x,y)() b{})" },
	{ "a / on (x) group_left (y, z) b", "(a{} / on n:1(x)(y,z) b{})" },
	{ "a / on (x) group_right b", "(a{} / on 1:n(x)() b{})" },
	{ "a / on (x) group_left () (b)", "(a{} / on n:1(x)() <b{}>)" },
	{ "a and on (x) b", "(a{} and on n:n(x)() b{})" },
	{ "a == bool on (x) group_left b", "(a{} == bool on n:1(x)() b{})" },
	{ "\"x\\u00e9\\x41\\101\\n\\\"\"", "\"x\xc3\xa9"
					   "AA\\n\\\"\"" },
	{ "'\\''", "\"'\"" },
	{ "`raw \\n`", "\"raw \\\\n\"" },
	{ "histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))",
	  "histogram_quantile(0.9,sum by (le)(rate(x_bucket{}[300000])))" },
	{ "foo\n +\r\n\tbar", "(foo{} + bar{})" },
	{ "foo # one\n* # two\r bar", "(foo{} * bar{})" },
	{ "`a\nb`", "\"a\\nb\"" },
};

Test(promql_parse, good_expressions_have_these_shapes)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct parsing t;
		struct buf b;
		parsing_init(&t, str_of(rows[i][0]));
		buf_init(&b, 1 << 16);
		cr_expect(t.rc == 0, "%s: %s", rows[i][0], err_text(&t.e));
		if (t.rc == 0)
			show_expr(t.x, &b);
		cr_expect(str_eqz(buf_view(&b), rows[i][1]), "%s: got %.*s, want %s",
			  rows[i][0], STR_FMT(buf_view(&b)), rows[i][1]);
		buf_deinit(&b);
		parsing_deinit(&t);
	}
}

Test(promql_parse, an_outer_name_is_the_last_matcher)
{
	struct parsing t;
	parsing_init(&t, STR("foo{z=\"1\",a!=\"2\"}"));
	cr_assert_eq(t.rc, 0);
	const struct select_node *s = &t.x->s.sel;
	cr_assert_eq(s->n_matchers, 3);
	cr_expect(str_eqz(s->name, "foo"));
	cr_expect(str_eqz(s->matchers[0].name, "z"));
	cr_expect_eq(s->matchers[1].type, MATCH_NEQ);
	cr_expect(str_eq(s->matchers[2].name, LABEL_NAME));
	cr_expect(str_eqz(s->matchers[2].value, "foo"));
	parsing_deinit(&t);
}

Test(promql_parse, nodes_know_their_place_in_the_text)
{
	struct parsing t;
	parsing_init(&t, STR(" sum by (a) (x[5m:] offset 1m)\n / -y "));
	cr_assert_eq(t.rc, -1); /* a range vector is no aggregation expression */
	cr_expect_str_eq(err_text(&t.e),
			 "1:14: parse error: expected type instant vector in "
			 "aggregation expression, got range vector");
	parsing_deinit(&t);
	parsing_init(&t, STR(" sum (x offset 1m) by (a)\n / -y "));
	cr_assert_eq(t.rc, 0);
	cr_expect_eq(t.x->pos, 1);
	cr_expect_eq(t.x->end, 31);
	cr_expect_eq(t.x->bin.op_pos, 27);
	cr_expect_eq(t.x->bin.l->end, 25);
	cr_expect_eq(t.x->bin.l->aggr.e->pos, 6);
	cr_expect_eq(t.x->bin.l->aggr.e->end, 17);
	cr_expect_eq(t.x->bin.r->pos, 29);
	uint32_t line, col;
	promql_position(STR(" sum (x offset 1m) by (a)\n / -y "), t.x->bin.op_pos, &line,
			&col);
	cr_expect(line == 2 && col == 2, "%u:%u", line, col);
	parsing_deinit(&t);
}

Test(promql_parse, types_are_those_of_the_functions_and_operators)
{
	static const struct {
		const char *query;
		enum value_type type;
	} types[] = { { "1 + 2", TYPE_SCALAR },	    { "1 + a", TYPE_VECTOR },
		      { "a[1m]", TYPE_MATRIX },	    { "a[1m:]", TYPE_MATRIX },
		      { "\"a\"", TYPE_STRING },	    { "(1)", TYPE_SCALAR },
		      { "-a", TYPE_VECTOR },	    { "time()", TYPE_SCALAR },
		      { "scalar(a)", TYPE_SCALAR }, { "vector(1)", TYPE_VECTOR },
		      { "sum(a)", TYPE_VECTOR },    { "1 < bool 2", TYPE_SCALAR } };
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct parsing t;
		parsing_init(&t, str_of(types[i].query));
		cr_expect(t.rc == 0 && t.x->type == types[i].type, "%s", types[i].query);
		parsing_deinit(&t);
	}
}

Test(promql_parse, functions_have_sound_signatures)
{
	cr_assert_eq(FN_ID_COUNT, 93); /* 90 of Prometheus, 3 of Thanos */
	int experimental = 0, thanos = 0;
	for (int i = 0; i < FN_ID_COUNT; i++) {
		const struct fn_sig *f = &fn_sigs[i];
		cr_expect(f->name && (i == 0 || strcmp(fn_sigs[i - 1].name, f->name) < 0),
			  "%d %s", i, f->name);
		cr_expect(f->max_args < 0 || f->max_args >= f->min_args, "%s", f->name);
		experimental += (f->traits & FN_EXPERIMENTAL) != 0;
		thanos += (f->traits & FN_X) != 0;
	}
	cr_expect_eq(experimental, 17);
	cr_expect_eq(thanos, 3);
}
