/*
 * Window functions done in columns against the plain formula, sample by sample and bit for bit.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "promql/exec/lanes.h"
#include "promql/exec/window.h"
#include "support/tst.h"

#define SAMPLES 400
#define STEPS	300

static uint64_t state = 88172645463325252ull;
static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

/* What falls half of the time: whole and exact numbers, such that are not, zeros of both signs, large ones. */
#define KIND_FALLS 9
static double falling(unsigned kind)
{
	switch (kind) {
	case 0: return (double)rnd(1000000);
	case 1: return (double)rnd(1000000) / 1024 - 300;
	case 2: return (double)rnd(1000000) / 7;
	case 3: return (double[]){ 0, -0.0, 1, -1 }[rnd(4)];
	case 4: return (double)rnd(1000) * 1e13;
	default: return rnd(50) ? (double)rnd(100) : 0.1;
	}
}

/* Regular scrapes with some late, lost or torn apart; counters that restart; numbers that are none. */
static size_t series(int64_t *t, double *v, unsigned kind)
{
	size_t n = rnd(SAMPLES) + 1;
	int64_t now = (int64_t)rnd(20000);
	double x = (double)rnd(kind % 3 ? 1000 : 10);
	bool rise = kind ==
		    8; /* by about as much as it is: it may have begun in the window */
	for (size_t i = 0; i < n; i++) {
		t[i] = now + (rnd(8) ? 0 : (int64_t)rnd(500));
		now += 15000 * (int64_t)(rnd(kind < 6 ? 20 : 200) ? 1 : 1 + rnd(30));
		x += rnd(3) ? (double)rnd(100) : 0;
		if (rise)
			x = x * 1.1 + 0.3;
		if (rnd(kind < 6 ? 40 : 200) == 0 && kind != 15)
			x = (double)rnd(5);
		v[i] = x;
		if ((kind == 4 || kind == 7) && rnd(30) == 0)
			v[i] = (double[]){ NAN, INFINITY, -INFINITY, -5 }[rnd(4)];
		if (kind == 5)
			v[i] = ldexp((double)rnd(1u << 30), (int)rnd(60) - 30);
		if (kind >= KIND_FALLS && kind != 15)
			v[i] = falling(kind - KIND_FALLS);
	}
	return n;
}

static bool rises(const double *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(v[i] >= 0) || signbit(v[i]) || (i && v[i] < v[i - 1]))
			return false;
	return true;
}

/* The formula as Prometheus' documentation and prometheus.md §2.5 tell it. */
static bool plain_rate(const struct range_call *c, const struct series_cols *s,
		       uint32_t step, bool counter, bool per_second, double *out)
{
	int64_t ref = range_ref(c, step), from = ref - c->range_ms;
	size_t lo = 0, hi = 0;
	while (lo < s->n && s->t_ms[lo] <= from)
		lo++;
	for (hi = lo; hi < s->n && s->t_ms[hi] <= ref;)
		hi++;
	if (hi - lo < 2)
		return false;
	double diff = s->v[hi - 1] - s->v[lo];
	for (size_t k = lo + 1; counter && k < hi; k++)
		if (s->v[k] < s->v[k - 1])
			diff += s->v[k - 1];
	double to_start = (double)(s->t_ms[lo] - from) / 1000;
	double to_end = (double)(ref - s->t_ms[hi - 1]) / 1000;
	double sampled = (double)(s->t_ms[hi - 1] - s->t_ms[lo]) / 1000;
	double avg = sampled / (double)(hi - lo - 1);
	if (to_start >= avg * 1.1)
		to_start = avg / 2;
	if (counter && diff > 0 && s->v[lo] >= 0) {
		double to_zero = sampled * (s->v[lo] / diff);
		if (to_zero < to_start)
			to_start = to_zero;
	}
	if (to_end >= avg * 1.1)
		to_end = avg / 2;
	double factor = (sampled + to_start + to_end) / sampled;
	if (per_second)
		factor /= (double)c->range_ms / 1000;
	*out = diff * factor;
	return true;
}

static uint64_t bits_of(double d)
{
	uint64_t u;
	memcpy(&u, &d, 8);
	return isnan(d) ? 1 : u; /* which NaN is not part of the answer */
}

static void compare(const struct range_call *c, const struct series_cols *s,
		    enum fn_id fn, bool counter, bool per_second)
{
	static double got[STEPS];
	uint64_t bits[BITS_WORDS(STEPS)] = { 0 };
	struct row row = { .v = got, .bits = bits };
	struct ctx ctx;
	struct arena arena;
	struct err e = ERR_INIT;
	double want;
	ctx_init(&ctx, NULL, 0);
	arena_init(&arena, NULL);
	struct exec x = { .ctx = &ctx };
	struct range_env env = { .x = &x, .arena = &arena, .e = &e };
	cr_assert_eq(range_fn_of(fn)->eval(c, s, &env, &row), 0);
	for (uint32_t i = 0; i < c->grid.n; i++) {
		bool has = plain_rate(c, s, i, counter, per_second, &want);
		cr_assert_eq(has, bit_get(bits, i), "step %u", i);
		if (has)
			cr_assert_eq(bits_of(want), bits_of(got[i]), "step %u: %a, %a", i,
				     want, got[i]);
	}
	arena_deinit(&arena);
	ctx_deinit(&ctx);
}

Test(rate, equals_the_plain_formula_bit_for_bit)
{
	static int64_t t[SAMPLES];
	static double v[SAMPLES];
	for (unsigned round = 0; round < 3000; round++) {
		struct series_cols s = { .t_ms = t,
					 .v = v,
					 .n = series(t, v, round % 16) };
		s.rise = rises(v, s.n) && rnd(3); /* known, or not */
		struct range_call c = {
			.grid = { (int64_t)rnd(60000) - 30000,
				  (int64_t[]){ 60000, 15000, 1000, 7000 }[rnd(4)],
				  (uint32_t)rnd(STEPS) + 1 },
			.range_ms = (int64_t[]){ 300000, 30000, 61000, 15000, 123457,
						 900001 }[rnd(6)],
			.offset_ms = rnd(3) ? 0 : 45000,
		};
		compare(&c, &s, FN_ID_rate, true, true);
		compare(&c, &s, FN_ID_increase, true, false);
		compare(&c, &s, FN_ID_delta, false, false);
	}
}

Test(lanes, sums_have_the_bits_of_one_by_one)
{
	static const double odd[] = { NAN,  INFINITY, -INFINITY, 0.0,
				      -0.0, 1e308,    -1e308,	 1e-320 };
	double v[64], sum[64], comp[64], sum1[64], comp1[64];
	for (unsigned round = 0; round < 2000; round++) {
		for (size_t i = 0; i < 64; i++) {
			if (round % 50 == 0)
				sum[i] = comp[i] = 0;
			v[i] = ldexp((double)rnd(1u << 30) - 5e8, (int)rnd(80) - 40);
			if (rnd(64) == 0)
				v[i] = odd[rnd(8)];
			sum1[i] = sum[i];
			comp1[i] = comp[i];
			kahan_add(v[i], &sum1[i], &comp1[i]);
		}
		lanes_kahan_add(v, sum, comp, 64);
		for (size_t i = 0; i < 64; i++) {
			cr_assert_eq(bits_of(sum[i]), bits_of(sum1[i]));
			cr_assert_eq(bits_of(comp[i]), bits_of(comp1[i]));
		}
	}
}

Test(lanes, find_what_a_loop_finds)
{
	double v[50];
	for (unsigned round = 0; round < 20000; round++) {
		size_t n = rnd(50) + 1, from = 1 + rnd(n), fall = from, nan = from;
		for (size_t i = 0; i < n; i++)
			v[i] = rnd(30) ? (double)i : rnd(2) ? NAN : -1;
		while (fall < n && !(v[fall] < v[fall - 1]))
			fall++;
		while (nan < n && !isnan(v[nan]))
			nan++;
		cr_assert_eq(lanes_find_fall(v, from, n), MAX(fall, from));
		cr_assert_eq(lanes_find_nan(v, from, n), MAX(nan, from));
	}
}

Test(lanes, compare_as_a_loop_does)
{
	static const double odd[] = { NAN, INFINITY, -INFINITY, 0.0, -0.0, 1 };
	double v[64], than[64];
	for (unsigned round = 0; round < 5000; round++) {
		uint64_t more = 0, less = 0;
		for (size_t i = 0; i < 64; i++) {
			v[i] = rnd(4) ? (double)rnd(9) : odd[rnd(6)];
			than[i] = rnd(4) ? (double)rnd(9) : odd[rnd(6)];
			more |= (uint64_t)(v[i] > than[i] || isnan(than[i])) << i;
			less |= (uint64_t)(v[i] < than[i] || isnan(than[i])) << i;
		}
		cr_assert_eq(lanes_beyond(v, than, true), more);
		cr_assert_eq(lanes_beyond(v, than, false), less);
		bool max = round & 1;
		double best[64];
		memcpy(best, than, sizeof(best));
		lanes_extremes(v, best, 64, max);
		for (size_t i = 0; i < 64; i++)
			cr_assert_eq(bits_of(best[i]),
				     bits_of((max ? more : less) >> i & 1 ? v[i]
									  : than[i]));
	}
}
