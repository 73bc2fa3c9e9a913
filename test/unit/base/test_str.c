#include "base/str.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "support/tst.h"

Test(str, compares_bytewise_with_the_shorter_prefix_first)
{
	cr_assert_lt(str_cmp(STR("a"), STR("ab")), 0);
	cr_assert_gt(str_cmp(STR("b"), STR("ab")), 0);
	cr_assert_gt(str_cmp(STR("\xff"), STR("a")), 0);
	cr_assert_eq(str_cmp(STR_NULL, STR("")), 0);
	cr_assert(str_eq_nocase(STR("InF"), STR("iNf")));
	cr_assert_not(str_eq_nocase(STR("a["), STR("a{")));
}

Test(str, trims_and_finds)
{
	cr_assert(str_eqz(str_trim(STR(" \t\r\na b\n ")), "a b"));
	cr_assert_eq(str_trim(STR(" \n")).n, 0u);
	cr_assert_eq(str_find(STR("hello"), STR("lo")), 3);
	cr_assert_eq(str_find(STR("hello"), STR("")), 0);
	cr_assert_eq(str_find(STR("he"), STR("hello")), -1);
	cr_assert_eq(str_find_char(STR("a=b=c"), '='), 1);
	cr_assert_eq(str_find_char(STR_NULL, '='), -1);
}

Test(str, cut_gives_each_piece_and_false_at_the_last)
{
	struct str s = STR("a,,b"), head;
	cr_assert(str_cut(&s, ',', &head) && str_eqz(head, "a"));
	cr_assert(str_cut(&s, ',', &head) && str_eqz(head, ""));
	cr_assert_not(str_cut(&s, ',', &head));
	cr_assert(str_eqz(head, "b"));
	cr_assert_eq(s.n, 0u);
}

Test(str, formats_and_copies_into_an_arena)
{
	struct arena a;
	arena_init(&a, NULL);
	struct str s = str_fmt(&a, "%0600d", 7);
	cr_assert_eq(s.n, 600u);
	cr_assert_eq(s.p[599], '7');
	cr_assert_eq(s.p[600], '\0');
	cr_assert_str_eq(str_dupz(&a, STR("x\0y")), "x");
	cr_assert(str_eq(str_dup(&a, STR("x\0y")), STR("x\0y")));
	cr_assert_eq(str_dup(&a, STR_NULL).n, 0u);
	arena_deinit(&a);
}

Test(str, integers_are_whole_and_in_range)
{
	int64_t i = 5;
	uint64_t u = 5;
	cr_assert(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
	cr_assert(str_to_i64(STR("+9223372036854775807"), &i) && i == INT64_MAX);
	cr_assert(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
	i = 5;
	u = 5;
	static const char junk[][24] = { "",	"-",   "+-1",
					 "1 ",	" 1",  "1e3",
					 "0x1", "--1", "99999999999999999999" };
	for (size_t k = 0; k < ARRAY_LEN(junk); k++) {
		cr_expect(!str_to_i64(str_of(junk[k]), &i), "%s", junk[k]);
		cr_expect(!str_to_u64(str_of(junk[k]), &u), "%s", junk[k]);
	}
	cr_assert_not(str_to_i64(STR("9223372036854775808"), &i));
	cr_assert_not(str_to_i64(STR("-9223372036854775809"), &i));
	cr_assert_not(str_to_u64(STR("+1"), &u));
	cr_assert(i == 5 && u == 5);
}

Test(str, floats_are_the_nearest_double)
{
	static const char rows[][40] = {
		"0",
		"-0",
		"1",
		"-1.5",
		".5",
		"5.",
		"1e10",
		"1E-10",
		"123456789012345678",
		"9007199254740993",
		"0.1",
		"1e22",
		"1e23",
		"8.5e22",
		"1.7976931348623157e308",
		"4.9e-324",
		"2.2250738585072011e-308",
		"1e-400",
		"0e999999999999",
		"179769313486231570814e288",
		"9007199254740992e22",
		"0.000001e-300",
		"0x1p-2",
		"0X1.8P+1",
		"0x.1p4",
		"-0x1.fffffffffffff8p0",
		"1e+5",
		"18446744073709551616",
		"184467440737095516159",
		"3.0000000000000000000000001",
	};
	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		double v = 42, want = strtod(rows[k], NULL);
		cr_expect(str_to_f64(str_of(rows[k]), &v), "%s", rows[k]);
		cr_expect(memcmp(&v, &want, 8) == 0, "%s gave %.17g", rows[k], v);
	}
}

Test(str, floats_with_many_digits_are_exact)
{
	enum { N = 5000 };
	char *p = malloc(N + 8);
	double v;
	memset(p, '0', N);
	memcpy(p, "1.", 2);
	p[N - 1] = '1';
	cr_assert(str_to_f64(str_n(p, N), &v) && v == 1.0);
	memset(p, '1', N);
	memcpy(p + N, "e-4999", 6);
	cr_assert(str_to_f64(str_n(p, N + 6), &v) && v == 1.0 / 0.9);
	memcpy(p + N, "e-0000", 6);
	cr_assert_not(str_to_f64(str_n(p, N + 6), &v));
	free(p);
}

Test(str, floats_accept_inf_and_nan)
{
	double v;
	cr_assert(str_to_f64(STR("Inf"), &v) && v == INFINITY);
	cr_assert(str_to_f64(STR("+inFinity"), &v) && v == INFINITY);
	cr_assert(str_to_f64(STR("-INF"), &v) && v == -INFINITY);
	cr_assert(str_to_f64(STR("nAn"), &v) && isnan(v));
	static const char junk[][16] = { "",	  "+",	  "-",	  ".",	   "e5",
					 "1e",	  "1e+",  "1 ",	  " 1",	   "1_0",
					 "0x1",	  "0x",	  "0xp1", "0x1p",  "in",
					 "infi",  "nanx", "+nan", "1e400", "-1e309",
					 "1.2.3", "1,5",  "--1",  "0b1",   "1f" };
	for (size_t k = 0; k < ARRAY_LEN(junk); k++) {
		v = 42;
		cr_expect(!str_to_f64(str_of(junk[k]), &v) && v == 42, "%s", junk[k]);
	}
}

Test(str, random_floats_agree_with_strtod)
{
	uint64_t x = 88172645463325252ull;
	for (int i = 0; i < 20000; i++) {
		char text[64];
		double v = 1, w;
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(&w, &x, 8);
		if (!isfinite(w))
			continue;
		snprintf(text, sizeof(text), "%.*g", 1 + (int)(x % 19), w);
		w = strtod(text, NULL);
		if (!isfinite(w))
			continue;
		cr_assert(str_to_f64(str_of(text), &v), "%s", text);
		cr_assert(v == w, "%s", text);
	}
}

Test(str, utf8_is_checked_strictly)
{
	static const struct {
		char text[8];
		unsigned len;
	} rows[] = {
		{ "a", 1 },
		{ "\xc3\xa9", 2 },
		{ "\xe2\x82\xac", 3 },
		{ "\xf0\x9f\x98\x80", 4 },
		{ "\xf4\x8f\xbf\xbf", 4 },
		{ "\x80", 0 },
		{ "\xc0\x80", 0 },
		{ "\xc3", 0 },
		{ "\xe0\x80\x80", 0 },
		{ "\xed\xa0\x80", 0 },
		{ "\xf4\x90\x80\x80", 0 },
		{ "\xf5\x80\x80\x80", 0 },
		{ "\xe2\x82", 0 },
		{ "\xff", 0 },
	};
	for (size_t k = 0; k < ARRAY_LEN(rows); k++)
		cr_expect_eq(str_utf8_len(rows[k].text, strlen(rows[k].text)),
			     rows[k].len, "row %zu", k);
	cr_assert_eq(str_utf8_len("", 0), 0u);
	cr_assert(str_is_utf8(STR("twelve ascii caf\xc3\xa9")));
	cr_assert_not(str_is_utf8(STR("twelve ascii caf\xc3")));
}
