#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"

#include "support/tst.h"

Test(str_num_i64, takes_the_whole_range_and_nothing_more)
{
	int64_t v = 7;
	cr_assert(str_to_i64(STR("-9223372036854775808"), &v) && v == INT64_MIN);
	cr_assert(str_to_i64(STR("9223372036854775807"), &v) && v == INT64_MAX);
	cr_assert(str_to_i64(STR("+12"), &v) && v == 12);
	v = 7;
	static const char *const bad[] = { "",
					   "-",
					   "+",
					   "--1",
					   "1 ",
					   " 1",
					   "1.0",
					   "0x1",
					   "1_0",
					   "9223372036854775808",
					   "-9223372036854775809",
					   "99999999999999999999999" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect(!str_to_i64(str_of(bad[i]), &v), "%s", bad[i]);
	cr_assert_eq(v, 7);
}

Test(str_num_u64, refuses_signs_and_overflow)
{
	uint64_t v = 7;
	cr_assert(str_to_u64(STR("18446744073709551615"), &v) && v == UINT64_MAX);
	cr_assert(!str_to_u64(STR("18446744073709551616"), &v));
	cr_assert(!str_to_u64(STR("-1"), &v));
	cr_assert(!str_to_u64(STR("+1"), &v));
	cr_assert(!str_to_u64(STR_NULL, &v));
	cr_assert_eq(v, UINT64_MAX);
}

Test(str_num_f64, gives_the_nearest_double)
{
	static const struct {
		const char *text;
		double v;
	} rows[] = {
		{ "0", 0 },
		{ "1.5", 1.5 },
		{ "+.5", 0.5 },
		{ "5.", 5 },
		{ "-1e3", -1000 },
		{ "1E+22", 1e22 },
		{ "1e23", 1e23 },
		{ "0.1", 0.1 },
		{ "9007199254740993", 9007199254740992.0 },
		{ "9007199254740993.00000000000000000001", 9007199254740994.0 },
		{ "1.7976931348623157e308", 0x1.fffffffffffffp+1023 },
		{ "4.9406564584124654e-324", 0x1p-1074 },
		{ "2.2250738585072011e-308", 0x0.fffffffffffffp-1022 },
		{ "1e-400", 0 },
		{ "0e999999999999999999999", 0 },
		{ "0x1p-2", 0.25 },
		{ "-0X1.8P1", -3 },
		{ "0x.8p0", 0.5 },
		{ "000000000000000000000000000012", 12 },
		{ "Inf", INFINITY },
		{ "+infinity", INFINITY },
		{ "-INF", -INFINITY },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		double v = 42;
		cr_expect(str_to_f64(str_of(rows[i].text), &v), "%s", rows[i].text);
		cr_expect(memcmp(&v, &rows[i].v, 8) == 0, "%s: %a", rows[i].text, v);
	}
	double v;
	cr_assert(str_to_f64(STR("nAn"), &v) && isnan(v));
	cr_assert(str_to_f64(STR("-0"), &v) && v == 0 && signbit(v));
}

Test(str_num_f64, refuses_junk_and_leaves_the_output_alone)
{
	static const char *const bad[] = { "",
					   "+",
					   "-",
					   ".",
					   "-.",
					   "e5",
					   ".e5",
					   "1e",
					   "1e+",
					   "1.2.3",
					   "1 ",
					   " 1",
					   "1f",
					   "0x",
					   "0x1",
					   "0x1.8",
					   "0xp1",
					   "0x.p1",
					   "0x1p",
					   "0x1pf",
					   "+nan",
					   "-NaN",
					   "infi",
					   "nan(1)",
					   "1_000",
					   "1,5",
					   "++1",
					   "1e400",
					   "-1e400",
					   "0x1p1024",
					   "1.7976931348623159e308" };
	double v = 42;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		cr_expect(!str_to_f64(str_of(bad[i]), &v), "%s", bad[i]);
	cr_assert(!str_to_f64(STR("1\0"), &v));
	cr_assert_eq(v, 42);
}

Test(str_num_f64, stops_at_the_end_of_the_view)
{
	double v;
	cr_assert(str_to_f64(str_n("12345", 2), &v) && v == 12);
	cr_assert(str_to_f64(str_n("1e99999", 3), &v) && v == 1e9);
}

Test(str_num_f64, reads_long_inputs_exactly)
{
	/* Half way between 1 and the next double, decided by the last digit. */
	static const char half[] =
		"1.00000000000000011102230246251565404236316680908203125";
	char text[5000];
	double v;
	memset(text, '0', sizeof(text));
	memcpy(text, half, sizeof(half) - 1);
	cr_assert(str_to_f64(str_n(text, sizeof(text)), &v) && v == 1);
	text[sizeof(text) - 1] = '1';
	cr_assert(str_to_f64(str_n(text, sizeof(text)), &v) && v == 1 + 0x1p-52);
}

Test(str_num_f64, agrees_with_strtod_on_printed_doubles)
{
	uint64_t x = 88172645463325252ull;
	for (int i = 0; i < 20000; i++) {
		char text[64];
		double d, v;
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(&d, &x, 8);
		if (!isfinite(d))
			continue;
		int digits = 1 + (int)(x >> 20 & 31) % 17;
		if (x >> 40 & 1)
			snprintf(text, sizeof(text), "%.*g", digits, d);
		else
			snprintf(text, sizeof(text), "%lld.%0*u", (long long)(x >> 25),
				 digits % 9 + 1, (unsigned)(x >> 50));
		double want = strtod(text, NULL);
		bool got = str_to_f64(str_of(text), &v);
		cr_assert_eq(got, isfinite(want), "%s", text);
		cr_assert(!got || memcmp(&v, &want, 8) == 0, "%s", text);
	}
}
