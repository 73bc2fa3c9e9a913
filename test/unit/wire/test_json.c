/* lib/wire/json_*.c: writer, pull reader, documents. */
#include "support/tst.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "wire/json.h"

/* ---- writer ---- */

static void expect_str(struct str s, bool plain, const char *want)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 1 << 16);
	jw_init(&w, &b);
	w.plain = plain;
	jw_str(&w, s);
	cr_expect(str_eqz(buf_view(&b), want), "got %.*s want %s", STR_FMT(buf_view(&b)),
		  want);
	buf_deinit(&b);
}

Test(json_write, escapes_as_go_does)
{
	expect_str(STR(""), false, "\"\"");
	expect_str(STR("a\"b\\c/"), false, "\"a\\\"b\\\\c/\"");
	expect_str(STR("\n\r\t\x01\x1f\x7f"), false, "\"\\n\\r\\t\\u0001\\u001f\x7f\"");
	expect_str(STR("<a>&"), false, "\"\\u003ca\\u003e\\u0026\"");
	expect_str(STR("<a>&"), true, "\"<a>&\"");
	expect_str(STR("\xe2\x80\xa8"
		       "x"
		       "\xe2\x80\xa9"),
		   true, "\"\\u2028x\\u2029\"");
	expect_str(STR("\xe2\x82\xac\xc3\xa9\xf0\x9f\x98\x80"), false,
		   "\"\xe2\x82\xac\xc3\xa9\xf0\x9f\x98\x80\"");
	expect_str(STR("a\xff\xed\xa0\x80z\xc3"), false,
		   "\"a\\ufffd\\ufffd\\ufffd\\ufffdz\\ufffd\"");
	expect_str(STR("a\0b"), false, "\"a\\u0000b\"");
}

Test(json_write, sets_commas)
{
	struct buf b;
	struct jw w;

	buf_init(&b, 1 << 16);
	jw_init(&w, &b);
	jw_obj(&w);
	jw_key(&w, STR("a"));
	jw_arr(&w);
	jw_i64(&w, -9223372036854775807 - 1);
	jw_u64(&w, UINT64_MAX);
	jw_arr(&w);
	jw_arr_end(&w);
	jw_obj(&w);
	jw_obj_end(&w);
	jw_null(&w);
	jw_f64(&w, NAN);
	jw_arr_end(&w);
	jw_key(&w, STR("b"));
	jw_bool(&w, true);
	jw_key(&w, STR("c"));
	jw_raw(&w, STR("[1]"));
	jw_key(&w, STR("d"));
	jw_i64(&w, -5);
	jw_obj_end(&w);
	cr_assert(
		str_eqz(buf_view(&b),
			"{\"a\":[-9223372036854775808,18446744073709551615,[],{},null,null],"
			"\"b\":true,\"c\":[1],\"d\":-5}"),
		"%.*s", STR_FMT(buf_view(&b)));
	buf_deinit(&b);
}

/* ---- reader ---- */

/* Tokens as letters; strings and numbers with their text in (). */
static void tokens(struct str text, char *out, size_t size)
{
	static const char names[] = {
		[JSON_OBJ] = '{',     [JSON_OBJ_END] = '}', [JSON_ARR] = '[',
		[JSON_ARR_END] = ']', [JSON_KEY] = 'k',	    [JSON_STR] = 's',
		[JSON_NUM] = 'n',     [JSON_TRUE] = 'T',    [JSON_FALSE] = 'F',
		[JSON_NULL] = 'N'
	};
	struct arena a;
	struct jr j;
	size_t n = 0;

	arena_init(&a, NULL);
	jr_init(&j, &a, text);
	for (;;) {
		enum json_tok t = jr_next(&j);
		if (t == JSON_EOF)
			break;
		if (t == JSON_ERR) {
			n += (size_t)snprintf(out + n, size - n, "!%zu", jr_offset(&j));
			break;
		}
		out[n++] = names[t];
		if (t == JSON_KEY || t == JSON_STR || t == JSON_NUM)
			n += (size_t)snprintf(out + n, size - n, "(%.*s)", STR_FMT(j.s));
	}
	out[n] = 0;
	arena_deinit(&a);
}

static void expect_tokens(struct str text, const char *want)
{
	char got[1000];

	tokens(text, got, sizeof(got));
	cr_expect_str_eq(got, want, "%.*s", STR_FMT(text));
}

Test(json_read, gives_tokens)
{
	expect_tokens(STR("{}"), "{}");
	expect_tokens(STR(" [ ] "), "[]");
	expect_tokens(STR("{\"a\" : [1, -2.5e+3,true,false,null],\"b\":{\"c\":\"d\"}}"),
		      "{k(a)[n(1)n(-2.5e+3)TFN]k(b){k(c)s(d)}}");
	expect_tokens(STR("0"), "n(0)");
	expect_tokens(STR("\"x\""), "s(x)");
}

Test(json_read, decodes_escapes)
{
	expect_tokens(STR("\"a\\n\\\"\\\\\\/\\u0041\\u00e9\\u20AC\""),
		      "s(a\n\"\\/A\xc3\xa9\xe2\x82\xac)");
	expect_tokens(STR("\"\\ud83d\\ude00\""), "s(\xf0\x9f\x98\x80)");
	expect_tokens(STR("\"\\ud83dx\\ude00\\ud83d\\u0041\""),
		      "s(\xef\xbf\xbdx\xef\xbf\xbd\xef\xbf\xbd"
		      "A)");
	expect_tokens(STR("\"a\xff"
			  "b\""),
		      "s(a\xef\xbf\xbd"
		      "b)");
	expect_tokens(STR("{\"\\u0061\":1}"), "{k(a)n(1)}");
}

Test(json_read, refuses_bad_grammar)
{
	static const char bad[][24] = { "",
					" ",
					"{",
					"[",
					"[1",
					"[1,",
					"[1,]",
					"{\"a\"}",
					"{\"a\":}",
					"{\"a\":1,}",
					"{a:1}",
					"[1 2]",
					"01",
					"-",
					"1.",
					".5",
					"1e",
					"+1",
					"tru",
					"nul",
					"\"",
					"\"\\x\"",
					"\"\\u12g4\"",
					"\"\n\"",
					"1 2",
					"[]]",
					"{\"a\":1]",
					"[1}",
					"[,1]",
					"\"\\u12",
					"\"\\",
					"truex",
					"1x",
					"\xef\xbb\xbf{}",
					"{1:2}",
					"'a'",
					"[\"a\" \"b\"]",
					"NaN",
					"//",
					"{\"a\" 1}" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char got[200];
		tokens(str_of(bad[i]), got, sizeof(got));
		cr_expect(strchr(got, '!'), "%s gives %s", bad[i], got);
	}
}

Test(json_read, bounds_depth)
{
	char t[200], got[300];

	memset(t, '[', 64);
	memset(t + 64, ']', 64);
	tokens(str_n(t, 128), got, sizeof(got));
	cr_assert(!strchr(got, '!'));
	memset(t, '[', 65);
	tokens(str_n(t, 65), got, sizeof(got));
	cr_assert(strstr(got, "!64"));
}

Test(json_read, skips_values)
{
	struct arena a;
	struct jr j;

	arena_init(&a, NULL);
	jr_init(&j, &a, STR("{\"a\":{\"x\":[1,{\"y\":\"\\u0041\"}]},\"b\":5,\"c\":[]}"));
	cr_assert_eq(jr_next(&j), JSON_OBJ);
	cr_assert_eq(jr_next(&j), JSON_KEY);
	cr_assert_eq(jr_skip(&j), 0);
	cr_assert_eq(jr_next(&j), JSON_KEY);
	cr_assert(str_eqz(j.s, "b"));
	cr_assert_eq(jr_skip(&j), 0);
	cr_assert_eq(jr_skip(&j), 0); /* key and value */
	cr_assert_eq(jr_next(&j), JSON_OBJ_END);
	cr_assert_eq(jr_next(&j), JSON_EOF);
	jr_init(&j, &a, STR("[]"));
	cr_assert_eq(jr_next(&j), JSON_ARR);
	cr_assert_eq(jr_skip(&j), -1);
	cr_assert_eq(jr_next(&j), JSON_ERR);
	arena_deinit(&a);
}

Test(json_read, gives_views_without_copying)
{
	static const char text[] = "[\"plain \xc3\xa9\"]";
	struct jr j;
	struct arena a;

	arena_init(&a, NULL);
	jr_init(&j, &a, STR(text));
	jr_next(&j);
	jr_next(&j);
	cr_assert(j.s.p == text + 2);
	cr_assert_eq(a.total, 0);
	arena_deinit(&a);
}

/* ---- documents ---- */

static int parse(struct arena *a, const char *text, struct doc **d, struct err *e)
{
	*e = ERR_INIT;
	return json_parse(NULL, a, str_of(text), d, e);
}

Test(json_doc, builds_a_tree_with_places)
{
	struct arena a;
	struct doc *d;
	struct err e;

	arena_init(&a, NULL);
	cr_assert_eq(
		parse(&a,
		      "{\n  \"a\": [1, 2.5,\n \"x\"], \"b\": true, \"n\": null,\n\"e\":{}}",
		      &d, &e),
		0);
	cr_assert(d->kind == DOC_MAP && d->n == 4 && d->line == 1 && d->col == 1);
	const struct doc *l = doc_get(d, "a");
	cr_assert(l && l->kind == DOC_LIST && l->n == 3 && l->line == 2 && l->col == 8);
	cr_assert(l->item[0]->kind == DOC_INT && l->item[0]->i == 1 &&
		  l->item[0]->f == 1);
	cr_assert(l->item[1]->kind == DOC_FLOAT && l->item[1]->f == 2.5);
	cr_assert(l->item[2]->kind == DOC_STR && l->item[2]->line == 3 &&
		  l->item[2]->col == 2);
	cr_assert(doc_get(d, "b")->b);
	cr_assert_eq(doc_get(d, "n")->kind, DOC_NULL);
	cr_assert_eq(doc_get(d, "e")->n, 0);
	cr_assert_null(doc_get(d, "zz"));
	cr_assert_null(doc_get(l, "a"));
	cr_assert_null(doc_get(NULL, "a"));
	cr_assert(d->key[1]->line == 3 && str_eqz(d->key[1]->s, "b"));
	arena_deinit(&a);
}

Test(json_doc, the_last_of_equal_keys_is_found)
{
	struct arena a;
	struct doc *d;
	struct err e;

	arena_init(&a, NULL);
	cr_assert_eq(parse(&a, "{\"a\":1,\"a\":2}", &d, &e), 0);
	cr_assert_eq(doc_get(d, "a")->i, 2);
	arena_deinit(&a);
}

Test(json_doc, errors_tell_the_place)
{
	static const struct {
		char text[40], want[80];
	} rows[] = {
		{ "{\n\"a\": tru}", "line 2, column 6: invalid JSON at 't'" },
		{ "{\"a\":1,}", "line 1, column 8: invalid JSON at '}'" },
		{ "[1", "line 1, column 3: JSON text ends too early" },
		{ "", "line 1, column 1: JSON text ends too early" },
		{ "[1] x", "line 1, column 5: invalid JSON at 'x'" },
		{ "[1]\n{}", "line 2, column 1: invalid JSON at '{'" },
		{ "[\x01]", "line 1, column 2: invalid JSON at byte 0x01" },
		{ "[1e999]", "line 1, column 2: number out of range" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct arena a;
		struct doc *d = NULL;
		struct err e;
		arena_init(&a, NULL);
		cr_expect_eq(parse(&a, rows[i].text, &d, &e), -1);
		cr_expect_str_eq(err_text(&e), rows[i].want);
		cr_expect_eq(e.code, E_PARSE);
		cr_expect(d == NULL);
		arena_deinit(&a);
	}
}

Test(json_doc, refuses_depth_size_and_many_nodes)
{
	struct arena a;
	struct doc *d;
	struct err e;
	char deep[66];
	size_t big = (16u << 20) + 1;

	arena_init(&a, NULL);
	memset(deep, '[', 65);
	deep[65] = 0;
	cr_assert_eq(parse(&a, deep, &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	char *t = malloc(big);
	memset(t, ' ', big);
	e = ERR_INIT;
	cr_assert_eq(json_parse(NULL, &a, str_n(t, big), &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	size_t n = 2000003;
	t[0] = '[';
	for (size_t i = 1; i + 1 < n; i++)
		t[i] = i % 2 ? '0' : ',';
	t[n - 1] = ']';
	e = ERR_INIT;
	cr_assert_eq(json_parse(NULL, &a, str_n(t, n), &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	free(t);
	arena_deinit(&a);
}

Test(json_doc, a_budget_bounds_the_tree)
{
	struct budget b;
	struct arena a;
	struct doc *d;
	struct err e = ERR_INIT;
	static char t[100001];

	budget_init(&b, NULL, "query", "--x", 200000);
	arena_init(&a, &b);
	t[0] = '[';
	for (size_t i = 1; i < 100000; i++)
		t[i] = i % 2 ? '0' : ',';
	t[100000] = ']';
	cr_assert_eq(json_parse(NULL, &a, str_n(t, 100001), &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	arena_deinit(&a);
	budget_deinit(&b);
}

Test(json_doc, integers_beyond_64_bits_are_floats)
{
	struct arena a;
	struct doc *d;
	struct err e;

	arena_init(&a, NULL);
	cr_assert_eq(
		parse(&a,
		      "[9223372036854775807,9223372036854775808,-9223372036854775808,-0]",
		      &d, &e),
		0);
	cr_assert(d->item[0]->kind == DOC_INT && d->item[0]->i == INT64_MAX);
	cr_assert(d->item[1]->kind == DOC_FLOAT &&
		  d->item[1]->f == 9223372036854775808.0);
	cr_assert(d->item[2]->kind == DOC_INT && d->item[2]->i == INT64_MIN);
	arena_deinit(&a);
}
