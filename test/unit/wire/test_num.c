/* lib/wire/num.c: numbers as Go prints them (test/golden/wire/floats.txt). */
#include "support/tst.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/json.h"
#include "wire/num.h"

static bool same(const char *got, size_t n, const char *want)
{
	return n == strlen(want) && memcmp(got, want, n) == 0;
}

Test(num, prints_floats_as_go)
{
	char line[2048], hex[32], f[400], j[400], g[64], x[64], js[400], t[NUM_MAX];
	FILE *in = fopen("test/golden/wire/floats.txt", "r");
	unsigned rows = 0;

	cr_assert_not_null(in);
	while (fgets(line, sizeof(line), in)) {
		int got = sscanf(line, "%31s %399s %399s %63s %63s %399s", hex, f, j, g,
				 x, js);
		cr_assert_eq(got, 6);
		uint64_t bits = strtoull(hex, NULL, 16);
		double v;
		memcpy(&v, &bits, 8);
		cr_expect(same(t, num_f64_plain(t, v), f), "plain %s", line);
		cr_expect(same(t, num_f64_json(t, v), j), "json %s", line);
		cr_expect(same(t, num_f64_g(t, v), g), "g %s", line);
		cr_expect(same(t, num_f64_e(t, v), x), "e %s", line);
		struct buf b;
		struct jw w;
		buf_init(&b, 1000);
		jw_init(&w, &b);
		jw_f64(&w, v);
		cr_expect(same((char *)b.p, b.n, js), "encoding/json %s", line);
		buf_deinit(&b);
		rows++;
	}
	fclose(in);
	cr_assert_gt(rows, 800);
}

Test(num, prints_special_values)
{
	char t[NUM_MAX];

	cr_assert(same(t, num_f64_plain(t, NAN), "NaN"));
	cr_assert(same(t, num_f64_json(t, INFINITY), "+Inf"));
	cr_assert(same(t, num_f64_g(t, -INFINITY), "-Inf"));
	cr_assert(same(t, num_f64_e(t, -NAN), "NaN"));
}

Test(num, prints_timestamps_in_seconds)
{
	static const struct {
		int64_t ms;
		char want[24];
	} rows[] = { { 0, "0" },
		     { 1000, "1" },
		     { 1001, "1.001" },
		     { 1010, "1.010" },
		     { 1500, "1.500" },
		     { -500, "-0.500" },
		     { -1001, "-1.001" },
		     { 1, "0.001" },
		     { INT64_MAX, "9223372036854775.807" },
		     { INT64_MIN, "-9223372036854775.808" } };
	char t[32];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect(same(t, num_ts_json(t, rows[i].ms), rows[i].want), "%s",
			  rows[i].want);
}

/* Digits of random bit patterns against the C library: they read back, no fewer do, and they are the nearest of that many. */
Test(num, prints_the_shortest_digits)
{
	uint64_t x = 88172645463325252u;
	char t[NUM_MAX + 1], want[64];
	for (int i = 0; i < 200000; i++) {
		double v, back;
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		uint64_t bits = x & INT64_MAX;
		if (i % 4 == 1) /* near 1, as rates are */
			bits = (bits & ((1ull << 52) - 1)) |
			       (uint64_t)(1023 - 20 + i % 40) << 52;
		memcpy(&v, &bits, 8);
		if (i % 4 == 2)
			v = (double)(x % 1000000) / 1000;
		if (i % 4 == 3)
			v = 5e-324 * (double)(x % 100000 + 1);
		if (!isfinite(v) || v == 0)
			continue;
		t[num_f64_e(t, v)] = 0;
		cr_assert(strtod(t, NULL) == v, "%a: %s", v, t);
		int digits = (int)strcspn(t, "e") - (t[1] == '.');
		snprintf(want, sizeof(want), "%.*e", digits - 1, v);
		cr_assert(strtod(want, NULL) != v || strcmp(t, want) == 0,
			  "%a: %s, not %s", v, t, want);
		if (digits < 2)
			continue;
		snprintf(want, sizeof(want), "%.*e", digits - 2, v);
		back = strtod(want, NULL);
		cr_assert(back != v, "%a: %s, and %s is shorter", v, t, want);
	}
}

/* The short way of most numbers gives what the whole one does, which num_f64_plain goes. */
Test(num, prints_most_numbers_as_all)
{
	uint64_t x = 88172645463325252u;
	char j[NUM_JSON_MAX], p[NUM_MAX];
	for (int i = 0; i < 1000000; i++) {
		double v;
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		uint64_t frac = x & ((1ull << 52) - 1), bits;
		if (i % 4 == 0) { /* few bits, at either end */
			int zeros = (int)(x >> 53) % 50;
			frac = i % 8 ? frac >> zeros : frac >> zeros << zeros;
		}
		bits = frac | (x & 1ull << 63) | (uint64_t)(1023 - 21 + i % 50) << 52;
		memcpy(&v, &bits, 8);
		if (i % 4 ==
		    1) /* an increase between samples that lie off the grid, by seconds */
			v = (double)(x % 3000) *
			    (300 / (285 + (double)(x >> 50) / 1000)) / 300;
		if (i % 4 == 2) { /* a short one, or beside it */
			v = (double)(x % 1000000) / (i % 8 == 2 ? 1000 : 1e9);
			memcpy(&bits, &v, 8);
			bits += (x >> 40) % 5 - (v > 0 ? 2 : 0);
			memcpy(&v, &bits, 8);
		}
		if (v != 0 && fabs(v) < 1e-6)
			continue;
		size_t n = num_f64_plain(p, v);
		p[n] = 0;
		cr_assert(same(j, num_f64_json(j, v), p), "%a: %s", v, p);
	}
}
