/*
 * Exact texts of errors: the first table is word for word what
 * Prometheus 3.14's parser says, the second what is refused by name here.
 */
#include "base/ctx.h"
#include "show.h"
#include "support/tst.h"

struct row {
	struct str query;
	const char *text;
};
#define ROW(query, text)                                                                 \
	{                                                                                \
		STR(query), text                                                         \
	}

static const struct row as_prometheus[] = {
	ROW("", "unknown position: parse error: no expression found in input"),
	ROW("  ", "1:1: parse error: no expression found in input"),
	ROW("# nothing\n", "1:1: parse error: no expression found in input"),
	ROW("1+", "1:3: parse error: unexpected end of input"),
	ROW("*1", "1:1: parse error: unexpected <op:*>"),
	ROW("(1", "1:3: parse error: unclosed left parenthesis"),
	ROW("(1))", "1:5: parse error: unexpected right parenthesis ')'"),
	ROW("foo)", "1:5: parse error: unexpected right parenthesis ')'"),
	ROW("((1)", "1:5: parse error: unclosed left parenthesis"),
	ROW("1 and 1", "1:1: parse error: set operator \"and\" not allowed in "
		       "binary scalar expression"),
	ROW("1 == 1",
	    "1:3: parse error: comparisons between scalars must use BOOL modifier"),
	ROW("a and 1", "1:1: parse error: set operator \"and\" not allowed in "
		       "binary scalar expression"),
	ROW("1 or b", "1:1: parse error: set operator \"or\" not allowed in binary "
		      "scalar expression"),
	ROW("a + bool b", "1:3: parse error: bool modifier can only be used on "
			  "comparison operators"),
	ROW("a + group_left (x) b", "1:5: parse error: unexpected <group_left>"),
	ROW("a + on b", "1:8: parse error: unexpected identifier \"b\" in grouping "
			"opts, expected \"(\""),
	ROW("a + on (x b", "1:11: parse error: unexpected identifier \"b\" in "
			   "grouping opts, expected \",\" or \")\""),
	ROW("a + on (x,,) b",
	    "1:11: parse error: unexpected \",\" in grouping opts, expected label"),
	ROW("a + on (x) group_left , b",
	    "1:23: parse error: unexpected \",\" in grouping opts, expected \"(\""),
	ROW("a + on (x) group_left (x) b", "1:3: parse error: label \"x\" must not "
					   "occur in ON and GROUP clause at once"),
	ROW("a and on (x) group_left (y) b",
	    "1:1: parse error: no grouping allowed for \"and\" operation"),
	ROW("a + on (x) 1", "1:1: parse error: vector matching only allowed "
			    "between instant vectors"),
	ROW("bool", "1:1: parse error: unexpected <bool>"),
	ROW("foo on", "1:5: parse error: unexpected <on>"),
	ROW("on (a)", "1:1: parse error: unexpected <on>"),
	ROW("atan2", "1:1: parse error: unexpected <op:atan2>"),
	ROW("without without", "1:9: parse error: unexpected <without>"),
	ROW("1 1", "1:3: parse error: unexpected number \"1\""),
	ROW("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
	ROW("foo a:b", "1:5: parse error: unexpected metric identifier \"a:b\""),
	ROW("foo \"a string too long\"",
	    "1:5: parse error: unexpected string \"\\\"a string \"..."),
	ROW("foo 5m", "1:5: parse error: unexpected duration \"5m\""),
	ROW("foo start", "1:5: parse error: unexpected \"start\""),
	ROW("foo,", "1:4: parse error: unexpected \",\""),
	ROW("foo = bar", "1:5: parse error: unexpected \"=\""),
	ROW("foo =~ bar", "1:5: parse error: unexpected character after '=': '~'"),
	ROW("foo !x", "1:5: parse error: unexpected character after '!': 'x'"),
	ROW("foo ! ", "1:5: parse error: unexpected character after '!': ' '"),
	ROW("foo!~\"x\"", "1:4: parse error: unexpected character after '!': '~'"),
	ROW("$", "1:1: parse error: unexpected character: '$'"),
	ROW("foo \xc2\xac", "1:5: parse error: unexpected character: '\xc2\xac'"),
	ROW("}", "1:1: parse error: unexpected character: '}'"),
	ROW("{", "1:2: parse error: unexpected end of input inside braces"),
	ROW("{}", "1:1: parse error: vector selector must contain at least one "
		  "non-empty matcher"),
	ROW("{a=\"\"}", "1:1: parse error: vector selector must contain at least "
			"one non-empty matcher"),
	ROW("{a=~\".*\"}", "1:1: parse error: vector selector must contain at "
			   "least one non-empty matcher"),
	ROW("foo{a}", "1:6: parse error: unexpected \"}\" in label matching, "
		      "expected label matching operator"),
	ROW("foo{a=}", "1:7: parse error: unexpected \"}\" in label matching, "
		       "expected string"),
	ROW("foo{a=b}", "1:7: parse error: unexpected identifier \"b\" in label "
			"matching, expected string"),
	ROW("foo{a=\"b\" c=\"d\"}",
	    "1:11: parse error: unexpected identifier \"c\" in label matching, "
	    "expected \",\" or \"}\""),
	ROW("foo{a=\"b\",,}", "1:11: parse error: unexpected \",\" in label "
			      "matching, expected identifier or \"}\""),
	ROW("foo{,}", "1:5: parse error: unexpected \",\" in label matching, "
		      "expected identifier or \"}\""),
	ROW("foo{=\"b\"}", "1:5: parse error: unexpected \"=\" in label matching, "
			   "expected identifier or \"}\""),
	ROW("foo{\"a\" \"b\"}", "1:9: parse error: unexpected string \"\\\"b\\\"\" "
				"in label matching, expected \",\" or \"}\""),
	ROW("foo{a~\"b\"}", "1:6: parse error: unexpected character inside braces: '~'"),
	ROW("foo{a!\"b\"}",
	    "1:6: parse error: unexpected character after '!' inside braces: '\"'"),
	ROW("foo{a:b=\"c\"}",
	    "1:6: parse error: unexpected character inside braces: ':'"),
	ROW("foo{5=\"c\"}", "1:5: parse error: unexpected character inside braces: '5'"),
	ROW("foo{{", "1:5: parse error: unexpected left brace '{'"),
	ROW("foo{a=\"b\"", "1:10: parse error: unexpected end of input inside braces"),
	ROW("foo{a=~\"(\"}",
	    "1:5: parse error: error parsing regexp: missing closing ): `(`"),
	ROW("foo{a=~\"a{2,1}\"}", "1:5: parse error: error parsing regexp: invalid "
				  "repeat count: `{2,1}`"),
	ROW("foo{__name__=\"bar\"}", "1:1: parse error: metric name must not be "
				     "set twice: \"foo\" or \"bar\""),
	ROW("foo{\"bar\"}", "1:1: parse error: metric name must not be set twice: "
			    "\"foo\" or \"bar\""),
	ROW("foo{a=\"b\"}{c=\"d\"}", "1:11: parse error: unexpected \"{\""),
	ROW("\"unterminated", "1:1: parse error: unterminated quoted string"),
	ROW("'unterminated", "1:1: parse error: unterminated quoted string"),
	ROW("`unterminated", "1:1: parse error: unterminated raw string"),
	ROW("\"\\q\"", "1:1: parse error: unknown escape sequence U+0071 'q'"),
	ROW("\"\\\xc3\xa9\"",
	    "1:1: parse error: unknown escape sequence U+00E9 '\xc3\xa9'"),
	ROW("'\\\"'", "1:1: parse error: unknown escape sequence U+0022 '\"'"),
	ROW("\"\\x4\"",
	    "1:1: parse error: illegal character U+0022 '\"' in escape sequence"),
	ROW("\"\\xg1\"",
	    "1:1: parse error: illegal character U+0067 'g' in escape sequence"),
	ROW("\"\\400\"",
	    "1:1: parse error: escape sequence is an invalid Unicode code point"),
	ROW("\"\\ud800\"",
	    "1:1: parse error: escape sequence is an invalid Unicode code point"),
	ROW("\"\\U00110000\"",
	    "1:1: parse error: escape sequence is an invalid Unicode code point"),
	ROW("\"\\", "1:1: parse error: escape sequence not terminated"),
	ROW("0deadbeef", "1:1: parse error: bad number or duration syntax: \"0de\""),
	ROW("100..4", "1:1: parse error: bad number or duration syntax: \"100..\""),
	ROW("2.5.", "1:1: parse error: bad number or duration syntax: \"2.5.\""),
	ROW("1__0", "1:1: parse error: bad number or duration syntax: \"1__\""),
	ROW("1_ ", "1:1: parse error: error parsing number: strconv.ParseFloat: "
		   "parsing \"1_\": invalid syntax"),
	ROW("1e", "1:1: parse error: bad number or duration syntax: \"1e\""),
	ROW("1e ", "1:1: parse error: error parsing number: strconv.ParseFloat: "
		   "parsing \"1e\": invalid syntax"),
	ROW("1e999", "1:1: parse error: error parsing number: strconv.ParseFloat: "
		     "parsing \"1e999\": value out of range"),
	ROW("0x", "1:1: parse error: error parsing number: strconv.ParseFloat: "
		  "parsing \"0x\": invalid syntax"),
	ROW("0x1.8", "1:1: parse error: bad number or duration syntax: \"0x1.\""),
	ROW("0xffffffffffffffff",
	    "1:1: parse error: error parsing number: strconv.ParseFloat: parsing "
	    "\"0xffffffffffffffff\": invalid syntax"),
	ROW("0b11", "1:1: parse error: bad number or duration syntax: \"0\""),
	ROW("0o17", "1:1: parse error: bad number or duration syntax: \"0\""),
	ROW("5mm", "1:1: parse error: bad number or duration syntax: \"5mm\""),
	ROW("5m1h", "1:1: parse error: not a valid duration string: \"5m1h\""),
	ROW("1h30", "1:1: parse error: bad number or duration syntax: \"1h30\""),
	ROW("1.5h", "1:1: parse error: unknown unit \".\" in duration \"1.5h\""),
	ROW("300y", "1:1: parse error: duration out of range"),
	ROW("1m1m", "1:1: parse error: not a valid duration string: \"1m1m\""),
	ROW("foo[5m", "1:7: parse error: unclosed left bracket"),
	ROW("foo[", "1:5: parse error: unexpected end of input in duration expression"),
	ROW("foo[]", "1:5: parse error: unexpected \"]\" in subquery or range "
		     "selector, expected number, duration, step(), or range()"),
	ROW("foo[5m]]", "1:8: parse error: unexpected right bracket ']'"),
	ROW("foo[[5m]]",
	    "1:5: parse error: unexpected character in duration expression: '['"),
	ROW("foo]", "1:4: parse error: unexpected right bracket ']'"),
	ROW("foo[:1m]", "1:6: parse error: unexpected colon before duration in "
			"duration expression"),
	ROW("foo[5m:1m:1m]", "1:10: parse error: unexpected colon ':'"),
	ROW("foo[5m::]", "1:8: parse error: unexpected colon ':'"),
	ROW("foo[x]",
	    "1:5: parse error: unexpected character in duration expression: 'x'"),
	ROW("foo[\"5m\"]",
	    "1:5: parse error: unexpected character in duration expression: '\"'"),
	ROW("foo[5m x]", "1:8: parse error: unexpected character: 'x', expected ':'"),
	ROW("foo[5m}", "1:7: parse error: unexpected character: '}'"),
	ROW("foo[5m 1m]", "1:8: parse error: unexpected duration \"1m\" in "
			  "subquery or range, expected \":\" or \"]\""),
	ROW("foo[5m:\"x\"]",
	    "1:8: parse error: unexpected string \"\\\"x\\\"\" in subquery "
	    "selector, expected number, duration, step(), range(), or \"]\""),
	ROW("foo[5m:1m 1m]", "1:11: parse error: unexpected duration \"1m\" in "
			     "subquery selector, expected \"]\""),
	ROW("foo[0]", "1:5: parse error: duration must be greater than 0"),
	ROW("foo[-5m]", "1:5: parse error: duration must be greater than 0"),
	ROW("foo[5m:0s]", "1:8: parse error: duration must be greater than 0"),
	ROW("foo[1e12]", "1:5: parse error: duration out of range"),
	ROW("foo[#",
	    "1:5: parse error: unexpected character in duration expression: '#'"),
	ROW("foo[5m][5m]", "1:8: parse error: ranges only allowed for vector selectors"),
	ROW("foo offset 5m [5m]",
	    "1:15: parse error: no offset modifiers allowed before range"),
	ROW("foo @ 5 [5m]", "1:9: parse error: no @ modifiers allowed before range"),
	ROW("(foo)[5m]", "1:6: parse error: ranges only allowed for vector selectors"),
	ROW("1[5m]", "1:2: parse error: ranges only allowed for vector selectors"),
	ROW("foo[5m:][5m]", "1:9: parse error: ranges only allowed for vector selectors"),
	ROW("1[5m:]", "1:1: parse error: subquery is only allowed on instant "
		      "vector, got scalar instead"),
	ROW("\"x\"[5m:]", "1:1: parse error: subquery is only allowed on instant "
			  "vector, got string instead"),
	ROW("foo[5m][1h:]", "1:1: parse error: subquery is only allowed on instant "
			    "vector, got matrix instead"),
	ROW("foo offset", "1:11: parse error: unexpected end of input in offset, "
			  "expected number, duration, step(), or range()"),
	ROW("foo offset bar",
	    "1:12: parse error: unexpected identifier \"bar\" in offset, expected "
	    "number, duration, step(), or range()"),
	ROW("foo offset 1e12", "1:12: parse error: duration out of range"),
	ROW("foo offset 5m offset 5m",
	    "1:1: parse error: offset may not be set multiple times"),
	ROW("1 offset 5m",
	    "1:1: parse error: offset modifier must be preceded by an instant "
	    "vector selector or range vector selector or a subquery"),
	ROW("(foo) offset 5m",
	    "1:1: parse error: offset modifier must be preceded by an instant "
	    "vector selector or range vector selector or a subquery"),
	ROW("rate(foo[5m]) offset 5m",
	    "1:1: parse error: offset modifier must be preceded by an instant "
	    "vector selector or range vector selector or a subquery"),
	ROW("foo @",
	    "1:6: parse error: unexpected end of input in @, expected timestamp"),
	ROW("foo @ bar", "1:7: parse error: unexpected identifier \"bar\" in @, "
			 "expected timestamp"),
	ROW("foo @ start",
	    "1:12: parse error: unexpected end of input in @, expected timestamp"),
	ROW("foo @ start(", "1:13: parse error: unclosed left parenthesis"),
	ROW("foo @ start)", "1:13: parse error: unexpected right parenthesis ')'"),
	ROW("foo @ inf",
	    "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"),
	ROW("foo @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"),
	ROW("foo @ 1e20", "1:1: parse error: timestamp out of bounds for @ "
			  "modifier: 100000000000000000000.000000"),
	ROW("foo @ 1 @ 2",
	    "1:1: parse error: @ <timestamp> may not be set multiple times"),
	ROW("1 @ 2", "1:1: parse error: @ modifier must be preceded by an instant "
		     "vector selector or range vector selector or a subquery"),
	ROW("sum(", "1:5: parse error: unclosed left parenthesis"),
	ROW("sum()", "1:1: parse error: no arguments for aggregate expression provided"),
	ROW("sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"),
	ROW("sum foo", "1:5: parse error: unexpected identifier \"foo\""),
	ROW("sum(a, b)", "1:1: parse error: wrong number of arguments for "
			 "aggregate expression provided, expected 1, got 2"),
	ROW("topk(a)", "1:1: parse error: wrong number of arguments for aggregate "
		       "expression provided, expected 2, got 1"),
	ROW("topk(a, b)", "1:6: parse error: expected type scalar in aggregation "
			  "parameter, got instant vector"),
	ROW("topk(\"x\", b)", "1:6: parse error: expected type scalar in "
			      "aggregation parameter, got string"),
	ROW("count_values(1, b)", "1:14: parse error: expected type string in "
				  "aggregation parameter, got scalar"),
	ROW("sum(1)", "1:5: parse error: expected type instant vector in "
		      "aggregation expression, got scalar"),
	ROW("sum(\"x\")", "1:5: parse error: expected type instant vector in "
			  "aggregation expression, got string"),
	ROW("sum(a[5m])", "1:5: parse error: expected type instant vector in "
			  "aggregation expression, got range vector"),
	ROW("sum(rate(a b))",
	    "1:12: parse error: unexpected identifier \"b\" in aggregation"),
	ROW("sum(a) by", "1:10: parse error: unexpected end of input in grouping "
			 "opts, expected \"(\""),
	ROW("sum(a) by b", "1:11: parse error: unexpected identifier \"b\" in "
			   "grouping opts, expected \"(\""),
	ROW("sum by (a b) (c)", "1:11: parse error: unexpected identifier \"b\" in "
				"grouping opts, expected \",\" or \")\""),
	ROW("sum by (without) (c)", "1:9: parse error: unexpected <without> in "
				    "grouping opts, expected label"),
	ROW("sum by (\"\") (c)",
	    "1:9: parse error: invalid label name for grouping: \"\""),
	ROW("sum by (1) (c)", "1:9: parse error: unexpected number \"1\" in "
			      "grouping opts, expected label"),
	ROW("sum by (a) c",
	    "1:12: parse error: unexpected identifier \"c\" in aggregation"),
	ROW("sum(a) by (b) without (c)", "1:15: parse error: unexpected <without>"),
	ROW("rate()",
	    "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0"),
	ROW("rate(foo)", "1:6: parse error: expected type range vector in call to "
			 "function \"rate\", got instant vector"),
	ROW("rate(foo[5m], 1)",
	    "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 2"),
	ROW("rate(foo[5m],)",
	    "1:13: parse error: trailing commas not allowed in function call args"),
	ROW("rate(,)", "1:6: parse error: unexpected \",\""),
	ROW("rate(foo[5m]", "1:13: parse error: unclosed left parenthesis"),
	ROW("RATE(foo[5m])", "1:1: parse error: unknown function with name \"RATE\""),
	ROW("nothere(foo)", "1:1: parse error: unknown function with name \"nothere\""),
	ROW("nothere(foo $)", "1:13: parse error: unexpected character: '$'"),
	ROW("nothere(foo) $", "1:1: parse error: unknown function with name \"nothere\""),
	ROW("a:b(c)", "1:4: parse error: unexpected \"(\""),
	ROW("offset(foo)", "1:7: parse error: unexpected \"(\""),
	ROW("time(1)",
	    "1:1: parse error: expected 0 argument(s) in call to \"time\", got 1"),
	ROW("round(a, 1, 2)", "1:1: parse error: expected at most 2 argument(s) in "
			      "call to \"round\", got 3"),
	ROW("label_replace(a, \"b\")", "1:1: parse error: expected 5 argument(s) "
				       "in call to \"label_replace\", got 2"),
	ROW("label_join(a, \"b\")", "1:1: parse error: expected at least 3 "
				    "argument(s) in call to \"label_join\", got 2"),
	ROW("label_join(a, \"b\", \"c\", 1)",
	    "1:25: parse error: expected type string in call to function "
	    "\"label_join\", got scalar"),
	ROW("scalar(1)", "1:8: parse error: expected type instant vector in call "
			 "to function \"scalar\", got scalar"),
	ROW("vector(a)", "1:8: parse error: expected type scalar in call to "
			 "function \"vector\", got instant vector"),
	ROW("predict_linear(a[5m], b)",
	    "1:23: parse error: expected type scalar in call to function "
	    "\"predict_linear\", got instant vector"),
	ROW("histogram_quantile(a, b)",
	    "1:20: parse error: expected type scalar in call to function "
	    "\"histogram_quantile\", got instant vector"),
	ROW("-\"x\"", "1:1: parse error: unary expression only allowed on expressions of "
		      "type scalar or instant vector, got \"string\""),
	ROW("-a[5m]", "1:1: parse error: unary expression only allowed on expressions of "
		      "type scalar or instant vector, got \"range vector\""),
	ROW("\"x\" + 1", "1:1: parse error: binary expression must contain only "
			 "scalar and instant vector types"),
	ROW("1 + a[5m]", "1:5: parse error: binary expression must contain only "
			 "scalar and instant vector types"),
	ROW("a + \"x\"", "1:5: parse error: binary expression must contain only "
			 "scalar and instant vector types"),
	ROW("a[5m] == bool 1", "1:1: parse error: binary expression must contain "
			       "only scalar and instant vector types"),
	ROW("(a", "1:3: parse error: unclosed left parenthesis"),
	ROW("a or", "1:5: parse error: unexpected end of input"),
	ROW("SUM(foo) BY", "1:12: parse error: unexpected end of input in grouping "
			   "opts, expected \"(\""),
	ROW("sum(\n  foo\n  bar\n)",
	    "3:3: parse error: unexpected identifier \"bar\" in aggregation"),
	ROW("foo\n  $", "2:3: parse error: unexpected character: '$'"),
	ROW("\"a\nb\"", "1:1: parse error: unterminated quoted string"),
	ROW("\"\xff\"", "1:1: parse error: invalid UTF-8 rune"),
	ROW("foo\x01", "1:4: parse error: unexpected character: '\\x01'"),
	ROW("\"\xef\xbf\xbd\"", "1:1: parse error: invalid UTF-8 rune"),
	ROW("foo{a=\"b\"} # x\n == 1 +", "2:8: parse error: unexpected end of input"),
	ROW("\n\n rate(foo)", "3:7: parse error: expected type range vector in "
			      "call to function \"rate\", got instant vector"),
};

/* What needs a feature, without it. */
static const struct row not_enabled[] = {
	ROW("max_of(1, 2)", "1:1: parse error: function \"max_of\" is not enabled"),
	ROW("1 + info(a)", "1:5: parse error: function \"info\" is not enabled"),
	ROW("start()", "1:1: parse error: function \"start\" is not enabled"),
	ROW("limitk(1, a)",
	    "1:1: parse error: limitk() is experimental and must be enabled "
	    "with --enable-feature=promql-experimental-functions"),
	ROW("a + limit_ratio(0.5, a) by (b)",
	    "1:5: parse error: limit_ratio() is experimental and must be enabled with "
	    "--enable-feature=promql-experimental-functions"),
	ROW("1 + a + fill(0) b", "1:1: parse error: binop fill modifiers are "
				 "experimental and not enabled"),
	ROW("a + on (x) group_left () fill_left(1) b",
	    "1:1: parse error: binop fill modifiers are experimental and not enabled"),
	ROW("foo smoothed",
	    "1:1: parse error: smoothed modifier is experimental and not enabled"),
	ROW("rate(foo[5m] anchored)",
	    "1:6: parse error: anchored modifier is experimental and not enabled"),
};

/* What only exists with all features. */
static const struct row of_features[] = {
	ROW("limitk(a)", "1:1: parse error: wrong number of arguments for aggregate "
			 "expression provided, expected 2, got 1"),
	ROW("limit_ratio(\"x\", a)",
	    "1:13: parse error: expected type scalar in aggregation "
	    "parameter, got string"),
	ROW("max_of(1)",
	    "1:1: parse error: expected 2 argument(s) in call to \"max_of\", got 1"),
	ROW("sort_by_label(a, b)",
	    "1:18: parse error: expected type string in call to function "
	    "\"sort_by_label\", got instant vector"),
	ROW("histogram_quantiles(a, \"q\")",
	    "1:1: parse error: expected at least 3 argument(s) in "
	    "call to \"histogram_quantiles\", got 2"),
	ROW("info(a, b)", "1:9: parse error: expected label selectors only, got vector "
			  "selector instead"),
	ROW("info(a, ({x=\"1\"}))", "1:9: parse error: expected label selectors only"),
	ROW("info(a, {x=\"1\"}[5m])", "1:1: parse error: expected type instant vector in "
				      "call to function \"info\", got range vector"),
	ROW("a + fill b", "1:10: parse error: unexpected identifier \"b\""),
	ROW("a + fill() b", "1:10: parse error: unexpected \")\""),
	ROW("a + fill(b) c", "1:10: parse error: unexpected identifier \"b\""),
	ROW("a + fill(0) fill(1) b", "1:17: parse error: unexpected \"(\""),
	ROW("a and fill(0) b",
	    "1:1: parse error: filling in missing series not allowed for set operators"),
	ROW("1 + fill(0) b", "1:1: parse error: filling in missing series only allowed "
			     "between instant vectors"),
	ROW("foo smoothed anchored", "1:1: parse error: anchored and smoothed modifiers "
				     "cannot be used together"),
	ROW("foo[5m:] smoothed", "1:1: parse error: smoothed modifier is not supported "
				 "for subqueries"),
	ROW("(foo) anchored", "1:1: parse error: anchored modifier not implemented"),
	ROW("foo[5m / 0]", "1:8: parse error: division by zero"),
	ROW("foo[5m % 0 s]",
	    "1:12: parse error: unexpected character: 's', expected ':'"),
	ROW("foo[-(5m)", "1:10: parse error: unclosed left bracket"),
	ROW("foo[5m + ]",
	    "1:10: parse error: unexpected \"]\" in subquery or range selector, "
	    "expected number, duration, step(), or range()"),
	ROW("foo[(5m]",
	    "1:8: parse error: unexpected \"]\" in subquery or range selector, "
	    "expected number, duration, step(), or range()"),
	ROW("foo[5m:step]",
	    "1:12: parse error: unexpected \"]\" in subquery selector, expected "
	    "number, duration, step(), range(), or \"]\""),
	ROW("foo offset (5m", "1:15: parse error: unclosed left parenthesis"),
	ROW("foo offset min_of(1)",
	    "1:20: parse error: unexpected \")\" in offset, expected "
	    "number, duration, step(), or range()"),
	ROW("foo offset start()", "1:12: parse error: unexpected \"start\" in offset, "
				  "expected number, duration, step(), or range()"),
	ROW("foo offset (5m) offset 1s",
	    "1:1: parse error: offset may not be set multiple times"),
	ROW("foo offset (5m)[1m]",
	    "1:16: parse error: no offset modifiers allowed before range"),
};

static void expect_errors(const struct row *rows, size_t n, unsigned features)
{
	for (size_t i = 0; i < n; i++) {
		struct parsing t;
		parsing_init_with(&t, rows[i].query, features);
		cr_expect(t.rc < 0 && t.e.code == E_PARSE &&
				  strcmp(err_text(&t.e), rows[i].text) == 0,
			  "%.*s: got %s, want %s", STR_FMT(rows[i].query),
			  t.rc < 0 ? err_text(&t.e) : "no error", rows[i].text);
		parsing_deinit(&t);
	}
}

Test(promql_parse, errors_have_prometheus_texts)
{
	expect_errors(as_prometheus, ARRAY_LEN(as_prometheus), 0);
	expect_errors(as_prometheus, ARRAY_LEN(as_prometheus), PROMQL_ALL);
}

Test(promql_parse, what_is_experimental_needs_its_feature)
{
	expect_errors(not_enabled, ARRAY_LEN(not_enabled), 0);
	for (size_t i = 0; i < ARRAY_LEN(not_enabled); i++) {
		struct parsing t;
		parsing_init_with(&t, not_enabled[i].query, PROMQL_ALL);
		cr_expect_eq(t.rc, 0, "%.*s: %s", STR_FMT(not_enabled[i].query),
			     err_text(&t.e));
		parsing_deinit(&t);
	}
	expect_errors(of_features, ARRAY_LEN(of_features), PROMQL_ALL);
}

Test(promql_parse, functions_of_thanos_need_their_own_feature)
{
	static const struct row without[] = {
		ROW("xrate(a[5m])",
		    "1:1: parse error: unknown function with name \"xrate\""),
		ROW("1 + xdelta(a[5m])",
		    "1:5: parse error: unknown function with name \"xdelta\""),
	};
	static const struct row with[] = {
		ROW("xincrease(a)",
		    "1:11: parse error: expected type range vector in call to "
		    "function \"xincrease\", got instant vector"),
		ROW("max_of(1, 2)",
		    "1:1: parse error: function \"max_of\" is not enabled"),
	};
	struct parsing t;
	expect_errors(without, ARRAY_LEN(without), PROMQL_ALL);
	expect_errors(with, ARRAY_LEN(with), PROMQL_X_FUNCTIONS);
	parsing_init_with(&t, STR("xrate(a[5m])"), PROMQL_X_FUNCTIONS);
	cr_expect(t.rc == 0 && t.x->call.fn == FN_ID_xrate, "%s", err_text(&t.e));
	parsing_deinit(&t);
}
