#include "model/matcher.h"
#include "model/regex.h"
#include "support/tst.h"

#include <stdlib.h>

static struct regex *compile(const char *p)
{
	struct regex *re = NULL;
	struct err e = ERR_INIT;
	cr_assert_eq(regex_new(NULL, str_of(p), &re, &e), 0, "%s: %s", p, err_text(&e));
	return re;
}

struct row {
	const char *pattern, *yes[5], *no[5];
};
static const struct row rows[] = {
	{ "", { "" }, { "a" } },
	{ "foo", { "foo" }, { "", "fo", "fooo", "xfoo" } },
	{ "^foo$", { "foo" }, { "^foo$", "foo\n" } },
	{ "foo|bar|", { "foo", "bar", "" }, { "foobar", "ba" } },
	{ "fo(o|x(y)?)", { "foo", "fox", "foxy" }, { "fo", "foy" } },
	{ "foo.*", { "foo", "foobar", "foo\nx" }, { "fo", "xfoo" } },
	{ "foo.+", { "foob", "foo\n" }, { "foo", "xfoo1" } },
	{ ".*foo", { "foo", "xfoo" }, { "foox" } },
	{ ".*foo.*", { "foo", "xfooy", "\nfoo" }, { "fo", "f.oo" } },
	{ ".+foo.+", { "xfoox", "foofoox", "ffoofoo" }, { "foo", "xfoo", "foox" } },
	{ "a.*b.*c", { "abc", "axbxc", "abbcc" }, { "ac", "abcx", "acb" } },
	{ "a.+a", { "axa", "aaa" }, { "aa", "a" } },
	{ "aa.*aa", { "aaaa", "aaxaa" }, { "aaa", "aa" } },
	{ "(foo|bar).*", { "foo1", "bar" }, { "ba" } },
	{ "[0-3]x", { "0x", "3x" }, { "4x", "x", "00x" } },
	{ "[^a]b", { "bb", "\nb" }, { "ab", "b" } },
	{ "[]a]", { "]", "a" }, { "b" } },
	{ "[a\\]-]", { "a", "]", "-" }, { "\\" } },
	{ "a{2}", { "aa" }, { "a", "a{2}" } },
	{ "a{,2}", { "a{,2}" }, { "aa" } },
	{ "ab*c", { "ac", "abc", "abbc" }, { "a", "bc" } },
	{ "ab+c", { "abc", "abbc" }, { "ac" } },
	{ "ab?c", { "abc", "ac" }, { "abbc" } },
	{ "(ab)?c", { "abc", "c" }, { "bc" } },
	{ "a.c",
	  { "abc", "a\nc",
	    "a\xc3\xbc"
	    "c" },
	  { "ac", "abbc" } },
	{ "(?i)foo", { "FOO", "foo" }, { "fo" } },
	{ "(?i:foo)bar", { "FOObar" }, { "fooBAR" } },
	{ "1\\.2\\.3", { "1.2.3" }, { "1x2x3" } },
	{ "\\d+", { "1", "12" }, { "", "d", "1a" } },
	{ "\\Qa.b\\E", { "a.b" }, { "axb" } },
	{ "\\x61", { "a" }, { "x61" } },
	{ "\xc3\xbc?x", { "x", "\xc3\xbcx" }, { "\xc3x" } },
	{ ".?x", { "x", "ax" }, { "aax" } },
	{ ".*?x", { "x", "aax" }, { "xa" } },
	{ "(a|b)(c|d)+", { "ac", "bdc" }, { "a", "c" } },
	{ "(?s:.)x", { "\nx" }, { "x" } },
	{ "(?-s:.)x", { "ax" }, { "\nx" } },
	{ ".*", { "", "\n", "abc" }, { NULL } },
	{ ".+", { "\n", "a" }, { "" } },
	{ "(?P<n>a)b", { "ab" }, { "b" } },
	{ "a|b|.*c", { "a", "b", "xc" }, { "ab" } },
	{ "[[:digit:]]a", { "1a" }, { ":a" } },
	{ "a\\b.*", { "a", "a b" }, { "ab" } },
	{ "^^a", { "a" }, { "^a" } },
	{ "a$$", { "a" }, { "a$" } },
	{ "x|^a|b$", { "x", "a", "b" }, { "xa" } },
	{ "|a.*", { "", "a", "ab" }, { "b" } },
	{ "a.*|()|b", { "", "a", "b" }, { "ba" } },
	{ "(a$|b)", { "a", "b" }, { "c" } },
};

Test(regex, matches_as_an_anchored_pattern_with_dot_for_newline)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct regex *re = compile(rows[i].pattern);
		for (int j = 0; j < 5 && rows[i].yes[j]; j++)
			cr_expect(regex_match(re, str_of(rows[i].yes[j])), "%s ~ %s",
				  rows[i].pattern, rows[i].yes[j]);
		for (int j = 0; j < 5 && rows[i].no[j]; j++)
			cr_expect(!regex_match(re, str_of(rows[i].no[j])), "%s !~ %s",
				  rows[i].pattern, rows[i].no[j]);
		regex_free(re);
	}
}

/* RE2 itself answers through regex_submatch: the plans must agree with it on all short strings. */
Test(regex, plans_agree_with_re2_on_all_short_strings)
{
	static const char alphabet[] = "abcfox\n.";
	char s[6];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct regex *re = compile(rows[i].pattern);
		const struct regex_info *info = regex_info(re);
		for (int code = 0; code < 8 * 8 * 8 * 8; code++)
			for (size_t n = 0; n <= 4; n++) {
				for (size_t k = 0; k < n; k++)
					s[k] = alphabet[code >> (3 * k) & 7];
				struct str v = { s, n };
				bool want = regex_submatch(re, v, NULL, 0);
				cr_expect(regex_match(re, v) == want, "%s on %.*s",
					  rows[i].pattern, STR_FMT(v));
				cr_expect(!want || (str_has_prefix(v, info->prefix) &&
						    str_has_suffix(v, info->suffix)));
				cr_expect(!want || n > 0 || !info->match_some);
				if (n < 4 && code >= 1 << (3 * n))
					continue;
			}
		regex_free(re);
	}
}

Test(regex, shows_the_set_of_literals_sorted)
{
	struct regex *re = compile("b|a|(c|d)[12]|a");
	const struct regex_info *f = regex_info(re);
	static const char *const want[] = { "a", "b", "c1", "c2", "d1", "d2" };
	cr_assert(f->set);
	cr_assert_eq(f->n, 6);
	for (size_t i = 0; i < 6; i++)
		cr_expect(str_eqz(f->literals[i], want[i]));
	regex_free(re);
}

Test(regex, shows_prefix_and_suffix)
{
	struct regex *re = compile("foo[0-9]+bar|foxy.*ar");
	cr_assert(!regex_info(re)->set);
	cr_assert(str_eqz(regex_info(re)->prefix, "fo"));
	cr_assert(str_eqz(regex_info(re)->suffix, "ar"));
	regex_free(re);
	re = compile(".*");
	cr_assert(regex_info(re)->match_all);
	regex_free(re);
	re = compile(".+");
	cr_assert(regex_info(re)->match_some && !regex_info(re)->match_all);
	regex_free(re);
}

Test(regex, survives_large_and_nested_patterns)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 3000; i++)
		buf_fmt(&b, "%spod-%d", i ? "|" : "", i);
	struct regex *re;
	struct err e = ERR_INIT;
	cr_assert_eq(regex_new(NULL, buf_view(&b), &re, &e), 0);
	cr_assert(regex_match(re, STR("pod-2999")));
	cr_assert(!regex_match(re, STR("pod-3000")));
	cr_assert(!regex_info(re)->set);
	cr_assert(str_eqz(regex_info(re)->prefix, "pod-"));
	regex_free(re);
	buf_reset(&b);
	for (int i = 0; i < 40; i++)
		buf_str(&b, STR("(a|b)?"));
	cr_assert_eq(regex_new(NULL, buf_view(&b), &re, &e), 0);
	cr_assert(regex_match(re, STR("abab")));
	cr_assert(!regex_match(re, STR("abc")));
	regex_free(re);
	buf_deinit(&b);
}

Test(regex, refuses_bad_and_oversized_patterns)
{
	struct regex *re = NULL;
	struct err e = ERR_INIT;
	cr_assert_eq(regex_new(NULL, STR("a("), &re, &e), -1);
	cr_assert_eq(e.code, E_INVALID);
	cr_assert(strstr(err_text(&e), "error parsing regexp"));
	char *big = calloc(1, 70000);
	memset(big, 'a', 70000);
	cr_assert_eq(regex_new(NULL, str_n(big, 70000), &re, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	free(big);
}

Test(regex, submatches_are_shown_by_number_and_name)
{
	struct regex *re = compile("(\\w+)-(?P<id>\\d+)(x)?");
	struct str g[4];
	cr_assert_eq(regex_group_count(re), 3);
	cr_assert_eq(regex_group_index(re, STR("id")), 2);
	cr_assert_eq(regex_group_index(re, STR("none")), -1);
	cr_assert(regex_submatch(re, STR("pod-42"), g, 4));
	cr_assert(str_eqz(g[0], "pod-42") && str_eqz(g[1], "pod") && str_eqz(g[2], "42"));
	cr_assert_eq(g[3].n, 0);
	cr_assert(!regex_submatch(re, STR("pod"), g, 4));
	regex_free(re);
}

Test(matcher, takes_a_missing_label_as_empty)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct label l[] = { { STR("a"), STR("1") } };
	struct labels ls = { l, 1, 0 };
	struct matcher m;
	static const struct {
		enum match_type type;
		const char *name, *value, *text;
		bool want, empty;
	} t[] = {
		{ MATCH_EQ, "b", "", "b=\"\"", true, true },
		{ MATCH_NEQ, "b", "", "b!=\"\"", false, false },
		{ MATCH_RE, "b", "x|", "b=~\"x|\"", true, true },
		{ MATCH_NRE, "b", ".+", "b!~\".+\"", true, true },
		{ MATCH_EQ, "a", "1", "a=\"1\"", true, false },
		{ MATCH_NRE, "a", "1|2", "a!~\"1|2\"", false, true },
		{ MATCH_NEQ, "x y", "\n", "\"x y\"!=\"\\n\"", true, true },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		arena_init(&a, NULL);
		cr_assert_eq(matcher_compile(NULL, &a, t[i].type, str_of(t[i].name),
					     str_of(t[i].value), &m, &e),
			     0);
		cr_expect_eq(matcher_labels(&m, 1, ls), t[i].want, "row %zu", i);
		cr_expect_eq(matcher_matches_empty(&m), t[i].empty, "row %zu", i);
		struct buf b;
		buf_init(&b, 100);
		matcher_text(&m, &b);
		cr_expect(str_eqz(buf_view(&b), t[i].text));
		buf_deinit(&b);
		arena_deinit(&a);
	}
}

/* What RE2 holds of matchers counts: a request of many is refused, and all of it is given back. */
Test(regex, matchers_are_charged)
{
	struct budget budget;
	struct arena a;
	struct err e = ERR_INIT;
	struct matcher m;
	size_t n = 0, before;
	budget_init(&budget, NULL, "t", NULL, (size_t)4 << 20);
	arena_init(&a, &budget);
	cr_assert_eq(matcher_compile(NULL, &a, MATCH_EQ, STR("a"), STR("b"), &m, &e), 0);
	before = budget_used(&budget);
	cr_assert_eq(matcher_compile(NULL, &a, MATCH_RE, STR("a"),
				     STR("([a-z]{20}|x.*y){10}"), &m, &e),
		     0);
	cr_assert(budget_used(&budget) > before + 10000, "%zu",
		  budget_used(&budget) - before);
	while (n < 10000 && matcher_compile(NULL, &a, MATCH_NRE, STR("a"),
					    STR("x.*y[0-9]+z"), &m, &e) == 0)
		n++;
	cr_assert(n > 30 && n < 2000, "%zu matchers in 4 MiB", n);
	cr_assert_eq(e.code, E_LIMIT);
	arena_deinit(&a);
	cr_assert_eq(budget_used(&budget), 0);
	budget_deinit(&budget);
}
