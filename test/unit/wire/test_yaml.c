/* lib/wire/yaml.c, yaml_scalar.c: YAML documents. Each is compared as a JSON-like text. */
#include "support/tst.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "wire/json.h"

static void show(const struct doc *d, struct buf *b)
{
	switch (d->kind) {
	case DOC_NULL: buf_str(b, STR("null")); break;
	case DOC_BOOL: buf_str(b, d->b ? STR("true") : STR("false")); break;
	case DOC_INT: buf_fmt(b, "%lld", (long long)d->i); break;
	case DOC_FLOAT: buf_fmt(b, "%.17gf", d->f); break;
	case DOC_STR: buf_fmt(b, "'%.*s'", STR_FMT(d->s)); break;
	case DOC_LIST:
	case DOC_MAP:
		buf_byte(b, d->kind == DOC_LIST ? '[' : '{');
		for (size_t i = 0; i < d->n; i++) {
			if (i)
				buf_byte(b, ',');
			if (d->kind == DOC_MAP)
				buf_fmt(b, "%.*s:", STR_FMT(d->key[i]->s));
			show(d->item[i], b);
		}
		buf_byte(b, d->kind == DOC_LIST ? ']' : '}');
	}
}

static void expect_yaml(const char *text, const char *want)
{
	struct arena a;
	struct doc *d = NULL;
	struct err e = ERR_INIT;
	struct buf b;

	arena_init(&a, NULL);
	buf_init(&b, 1 << 20);
	int rc = yaml_parse(NULL, &a, str_of(text), &d, &e);
	if (rc < 0)
		buf_str(&b, str_of(err_text(&e)));
	else
		show(d, &b);
	cr_expect(str_eqz(buf_view(&b), want), "%s\n gives %.*s\n not   %s", text,
		  STR_FMT(buf_view(&b)), want);
	buf_deinit(&b);
	arena_deinit(&a);
}

Test(yaml, builds_nested_structures)
{
	expect_yaml("a: 1\nb:\n  - x\n  - y: [1, {z: q}]\nc: {}\nd: []\n",
		    "{a:1,b:['x',{y:[1,{z:'q'}]}],c:{},d:[]}");
	expect_yaml("", "null");
	expect_yaml("# only a comment\n", "null");
	expect_yaml("---\n...\n", "null");
	expect_yaml("---\na: b\n---\n", "{a:'b'}");
	expect_yaml("a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{a:'x\ny\n',b:'x y'}");
	expect_yaml("? a\n: b\n", "{a:'b'}");
	expect_yaml("a:\nb: ~\n", "{a:null,b:null}");
}

Test(yaml, reads_scalars_as_go_yaml_does)
{
	expect_yaml("[true, True, TRUE, yes, Yes, YES, on, On, ON]",
		    "[true,true,true,true,true,true,true,true,true]");
	expect_yaml("[false, no, NO, off, Off]", "[false,false,false,false,false]");
	expect_yaml("[y, n, Y, tRUE, oN]", "['y','n','Y','tRUE','oN']");
	expect_yaml("[null, Null, NULL, ~, nULL]", "[null,null,null,null,'nULL']");
	expect_yaml("[0, -0, +5, 1_000, 0x1F, 0X1f, 0o17, 017, 0b101, -0b11, -0x10]",
		    "[0,0,5,1000,31,31,15,15,5,-3,-16]");
	expect_yaml("[08, 0x, 0b2, 1:30, 12e, 1_, 0_1]",
		    "[8f,'0x','0b2','1:30','12e',1,1]");
	expect_yaml("[1.5, .5, 5., 1e3, -1.5E-2, +.5]",
		    "[1.5f,0.5f,5f,1000f,-0.014999999999999999f,0.5f]");
	expect_yaml("[.inf, -.Inf, +.INF, .nan, .iNF]", "[inff,-inff,inff,nanf,'.iNF']");
	expect_yaml("[9223372036854775807, 9223372036854775808, -9223372036854775808]",
		    "[9223372036854775807,9.2233720368547758e+18f,-9223372036854775808]");
	expect_yaml(
		"[1d, 5m, 2024-01-02, 1.2.3, '12', \"true\", -, --, ., 1e999, inf, nan, 0xg]",
		"['1d','5m','2024-01-02','1.2.3','12','true','-','--','.','1e999','inf',"
		"'nan','0xg']");
}

Test(yaml, obeys_tags)
{
	expect_yaml("[!!str 12, !!int '7', !!float 3, !!bool 'yes', !!null '', !foo 5]",
		    "['12',7,3f,true,null,'5']");
	expect_yaml("!!binary aGVsbG8=", "'hello'");
	expect_yaml("a: !!int x", "line 1, column 4: value is not a !!int");
	expect_yaml("!!binary '*'", "line 1, column 1: value is not a !!binary");
}

Test(yaml, resolves_anchors_and_merge_keys)
{
	expect_yaml("a: &x {p: 1, q: 2}\nb: *x\n", "{a:{p:1,q:2},b:{p:1,q:2}}");
	expect_yaml("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n",
		    "{a:{p:1,q:2},b:{q:3,p:1}}");
	expect_yaml("a: &x {p: 1}\nb: &y {p: 2, r: 4}\nc:\n  <<: [*x, *y]\n  s: 5\n",
		    "{a:{p:1},b:{p:2,r:4},c:{s:5,p:1,r:4}}");
	expect_yaml("{<<: {a: 1}}", "{a:1}");
	expect_yaml("{'<<': 1}", "{<<:1}");
	expect_yaml("a: &x 1\nb: &x 2\nc: *x\n", "{a:1,b:2,c:2}");
	expect_yaml("{<<: 1}",
		    "line 1, column 2: << merges a mapping or a list of mappings only");
	expect_yaml("{<<: [{a: 1}, 2]}",
		    "line 1, column 2: << merges a mapping or a list of mappings only");
	expect_yaml("a: *nope", "line 1, column 4: unknown anchor *nope");
	expect_yaml("&a [*a]", "line 1, column 5: alias within its own anchor *a");
	expect_yaml("&k a: 1\nb: *k\n*k : 2\n",
		    "line 1, column 1: key \"a\" was given before, at line 1");
}

Test(yaml, refuses_what_is_wrong_with_its_place)
{
	expect_yaml("a: 1\nb: 2\na: 3\n",
		    "line 3, column 1: key \"a\" was given before, at line 1");
	expect_yaml("1: x\n'1': y\n",
		    "line 2, column 1: key \"1\" was given before, at line 1");
	expect_yaml("[a]: b", "line 1, column 1: key is not a scalar");
	expect_yaml("a: 1\n---\nb: 2\n",
		    "line 3, column 1: a second document; only one is read");
	expect_yaml("a: [1, 2", "line 2, column 1: did not find expected ',' or ']'");
	expect_yaml("a: b: c",
		    "line 1, column 5: mapping values are not allowed in this context");
	expect_yaml("a:\n\t- b",
		    "line 2, column 1: found character that cannot start any token");
	expect_yaml("\xff\xfe\x41", "YAML: incomplete UTF-16 character at byte 2");
}

Test(yaml, counts_nodes_behind_aliases)
{
	struct arena a;
	struct doc *d = NULL;
	struct err e = ERR_INIT;
	struct buf b;

	arena_init(&a, NULL);
	buf_init(&b, 1 << 16);
	buf_str(&b, STR("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"));
	for (int i = 1; i < 9; i++) {
		buf_fmt(&b, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			buf_fmt(&b, "*a%d,", i - 1);
		buf_str(&b, STR("]\n"));
	}
	cr_assert_eq(yaml_parse(NULL, &a, buf_view(&b), &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_str_eq(err_text(&e),
			 "line 6, column 38: too many values, with aliases");
	buf_deinit(&b);
	arena_deinit(&a);
}

Test(yaml, bounds_depth_also_through_aliases)
{
	struct arena a;
	struct doc *d = NULL;
	struct err e = ERR_INIT;
	char t[300];

	arena_init(&a, NULL);
	memset(t, '[', 64);
	memset(t + 64, ']', 64);
	cr_assert_eq(yaml_parse(NULL, &a, str_n(t, 128), &d, &e), 0);
	memset(t, '[', 65);
	cr_assert_eq(yaml_parse(NULL, &a, str_n(t, 65), &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	/* 40 levels, then that list within another 30 */
	size_t n = (size_t)sprintf(t, "- &a ");
	memset(t + n, '[', 40);
	memset(t + n + 40, ']', 40);
	n += 80;
	n += (size_t)sprintf(t + n, "\n- ");
	memset(t + n, '[', 30);
	n += 30;
	n += (size_t)sprintf(t + n, "*a");
	memset(t + n, ']', 30);
	e = ERR_INIT;
	cr_assert_eq(yaml_parse(NULL, &a, str_n(t, n + 30), &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	arena_deinit(&a);
}

Test(yaml, refuses_large_texts)
{
	struct arena a;
	struct doc *d = NULL;
	struct err e = ERR_INIT;
	size_t n = (1u << 20) + 1;
	char *t = malloc(n);

	arena_init(&a, NULL);
	memset(t, '#', n);
	cr_assert_eq(yaml_parse(NULL, &a, str_n(t, n), &d, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	free(t);
	arena_deinit(&a);
}

Test(yaml, nodes_know_their_place_and_quotes)
{
	struct arena a;
	struct doc *d = NULL;
	struct err e = ERR_INIT;

	arena_init(&a, NULL);
	cr_assert_eq(yaml_parse(NULL, &a, STR("a: 1\nbb:\n  - 'x'\n  - 0x10\n"), &d, &e),
		     0);
	const struct doc *l = doc_get(d, "bb");
	cr_assert(d->key[1]->line == 2 && d->key[1]->col == 1);
	cr_assert(l->item[0]->line == 3 && l->item[0]->col == 5 && l->item[0]->quoted);
	cr_assert(l->item[1]->line == 4 && str_eqz(l->item[1]->s, "0x10"));
	cr_assert(doc_get(d, "a")->f == 1 && !doc_get(d, "a")->quoted);
	arena_deinit(&a);
}
