/*
 * The parser: shapes of good expressions, exact texts of errors.
 */
#include <math.h>

#include "base/ctx.h"
#include "promql/parse/ast.h"
#include "support/tst.h"

struct fixture {
	struct ctx ctx;
	struct arena a;
	struct err e;
};

static void begin(struct fixture *f)
{
	ctx_init(&f->ctx, NULL, 0);
	arena_init(&f->a, NULL);
	f->e = ERR_INIT;
}

static void end(struct fixture *f)
{
	arena_deinit(&f->a);
	ctx_deinit(&f->ctx);
}

/* A compact rendering of the tree, enough to see precedence and fields. */
static void show(const struct expr *x, struct buf *b)
{
	switch (x->kind) {
	case EXPR_NUMBER: buf_fmt(b, "%g", x->num); return;
	case EXPR_STRING: buf_fmt(b, "'%.*s'", STR_FMT(x->str)); return;
	case EXPR_VECTOR:
	case EXPR_MATRIX:
		buf_fmt(b, "%.*s/%zu", STR_FMT(x->s.sel.name), x->s.sel.n_matchers);
		if (x->kind == EXPR_MATRIX)
			buf_fmt(b, "[%lld]", (long long)x->s.range_ms);
		if (x->s.sel.offset_ms)
			buf_fmt(b, "o%lld", (long long)x->s.sel.offset_ms);
		if (x->s.sel.at)
			buf_fmt(b, "@%d:%lld", (int)x->s.sel.at,
				(long long)x->s.sel.at_ms);
		return;
	case EXPR_SUBQUERY:
		show(x->sub.e, b);
		buf_fmt(b, "[%lld:%lld]", (long long)x->sub.range_ms,
			(long long)x->sub.step_ms);
		return;
	case EXPR_CALL:
		buf_fmt(b, "%s(", fn_sigs[x->call.fn].name);
		for (size_t i = 0; i < x->call.n; i++) {
			if (i)
				buf_byte(b, ',');
			show(x->call.arg[i], b);
		}
		buf_byte(b, ')');
		return;
	case EXPR_AGGR:
		buf_fmt(b, "%s%s%zu(", aggr_op_text(x->aggr.op),
			!x->aggr.given	  ? ""
			: x->aggr.without ? "-"
					  : "+",
			x->aggr.n_labels);
		if (x->aggr.param) {
			show(x->aggr.param, b);
			buf_byte(b, ',');
		}
		show(x->aggr.e, b);
		buf_byte(b, ')');
		return;
	case EXPR_BINARY:
		buf_byte(b, '(');
		show(x->bin.l, b);
		buf_fmt(b, "%s%s", op_text(x->bin.op), x->bin.ret_bool ? "?" : "");
		if (x->bin.match.given)
			buf_fmt(b, "%s%zu", x->bin.match.on ? "on" : "ig",
				x->bin.match.n_labels);
		if (x->bin.match.card == CARD_MANY_TO_ONE)
			buf_fmt(b, "gl%zu", x->bin.match.n_include);
		show(x->bin.r, b);
		buf_byte(b, ')');
		return;
	case EXPR_UNARY:
		buf_str(b, x->un.neg ? STR("-") : STR("+"));
		show(x->un.e, b);
		return;
	case EXPR_PAREN:
		buf_byte(b, '<');
		show(x->inner, b);
		buf_byte(b, '>');
		return;
	}
}

Test(promql_parse, good_expressions_have_these_shapes)
{
	static const char *const rows[][2] = {
		{ "1 + 2 * 3", "(1+(2*3))" },
		{ "-1 ^ 2", "-(1^2)" },
		{ "2 ^ 3 ^ 2", "(2^(3^2))" },
		{ "-foo * 2", "(-foo/1*2)" },
		{ "a or b and c unless d", "(a/1or((b/1andc/1)unlessd/1))" },
		{ "0x1F + 010", "(31+8)" },
		{ "09", "9" },
		{ "1_000_000.5", "1e+06" },
		{ "5m30s", "330" },
		{ "foo[5m] offset -5m", "foo/1[300000]o-300000" },
		{ "foo @ 1.5 offset 1m", "foo/1o60000@1:1500" },
		{ "foo @ end()", "foo/1@3:0" },
		{ "rate(foo{a=\"b\",}[5m])", "rate(foo/2[300000])" },
		{ "foo[1h:5m]", "foo/1[3600000:300000]" },
		{ "foo[1h:]", "foo/1[3600000:0]" },
		{ "sum by (a, b) (foo)", "sum+2(foo/1)" },
		{ "sum(foo) without (a,)", "sum-1(foo/1)" },
		{ "topk(3, foo)", "topk0(3,foo/1)" },
		{ "a / on (x) group_left (y, z) b", "(a/1/on1gl2b/1)" },
		{ "a == bool b", "(a/1==?b/1)" },
		{ "{\"a.b\", c!~\"d\"}", "/2" },
		{ "sum", "sum/1" },
		{ "by", "by/1" },
		{ "offset offset 5m", "offset/1o300000" },
		{ "(foo)", "<foo/1>" },
		{ "--5", "5" },
		{ "\"x\\u00e9\"", "'x\xc3\xa9'" },
		{ "foo # comment", "foo/1" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;
		struct expr *x;
		struct buf b;
		begin(&f);
		buf_init(&b, 1 << 16);
		int rc = promql_parse(&f.ctx, &f.a, str_of(rows[i][0]), &x, &f.e);
		cr_expect(rc == 0, "%s: %s", rows[i][0], err_text(&f.e));
		if (rc == 0) {
			show(x, &b);
			cr_expect(str_eqz(buf_view(&b), rows[i][1]),
				  "%s: got %.*s, want %s", rows[i][0],
				  STR_FMT(buf_view(&b)), rows[i][1]);
		}
		buf_deinit(&b);
		end(&f);
	}
}

Test(promql_parse, errors_have_prometheus_texts)
{
	static const char *const rows[][2] = {
		{ "", "unknown position: parse error: no expression found in input" },
		{ "{}",
		  "1:1: parse error: vector selector must contain at least one non-empty "
		  "matcher" },
		{ "rate(foo)",
		  "1:6: parse error: expected type range vector in call to function "
		  "\"rate\", got instant vector" },
		{ "foo[5m][5m]",
		  "1:8: parse error: ranges only allowed for vector selectors" },
		{ "foo{a=\"b\"",
		  "1:10: parse error: unexpected end of input inside braces" },
		{ "foo{a~\"b\"}",
		  "1:6: parse error: unexpected character inside braces: '~'" },
		{ "foo and 1",
		  "1:1: parse error: set operator \"and\" not allowed in binary scalar "
		  "expression" },
		{ "nothere(foo)",
		  "1:1: parse error: unknown function with name \"nothere\"" },
		{ "round(foo, 1, 2)",
		  "1:1: parse error: expected at most 2 argument(s) in call to "
		  "\"round\", got 3" },
		{ "foo[0s]", "1:5: parse error: duration must be greater than 0" },
		{ "foo[5m:0s]", "1:8: parse error: duration must be greater than 0" },
		{ "scalar(1)",
		  "1:8: parse error: expected type instant vector in call to function "
		  "\"scalar\", got scalar" },
		{ "sum(foo) by",
		  "1:12: parse error: unexpected end of input in grouping opts, "
		  "expected \"(\"" },
		{ "1 == 2",
		  "1:3: parse error: comparisons between scalars must use BOOL modifier" },
		{ "foo offset 1m offset 2m",
		  "1:15: parse error: offset may not be set multiple times" },
		{ "foo[5x]", "1:5: parse error: bad number or duration syntax: \"5x\"" },
		{ "max_of(1, 2)",
		  "1:1: parse error: function \"max_of\" is not enabled" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;
		struct expr *x;
		begin(&f);
		int rc = promql_parse(&f.ctx, &f.a, str_of(rows[i][0]), &x, &f.e);
		cr_expect(rc < 0 && strcmp(err_text(&f.e), rows[i][1]) == 0, "%s: %s",
			  rows[i][0], rc < 0 ? err_text(&f.e) : "parsed");
		end(&f);
	}
}

Test(promql_parse, nesting_is_limited)
{
	struct fixture f;
	struct expr *x;
	char deep[2000];
	memset(deep, '(', sizeof(deep));
	begin(&f);
	cr_assert_eq(promql_parse(&f.ctx, &f.a, str_n(deep, sizeof(deep)), &x, &f.e), -1);
	cr_assert(strstr(err_text(&f.e), "nested deeper") != NULL);
	end(&f);
}
