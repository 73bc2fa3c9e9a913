/*
 * Many variable-width numbers at once are those that are read one by one, whatever they are and wherever the bytes end.
 */
#include <stdlib.h>

#include "support/tst.h"
#include "tsdb/chunk/bits.h"

#define N 700

static uint64_t seed = 1;

static uint64_t rnd(uint64_t n) /* 0..n-1 */
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* Mostly of as many bits as `like` says. */
static int64_t number(unsigned like)
{
	unsigned bits = rnd(12) ? like : (unsigned)rnd(65);
	uint64_t v = bits ? (rnd(1u << 31) << 33 ^ rnd(1u << 31) << 10 ^ rnd(1024)) >>
				     (64 - bits)
			  : 0;
	return rnd(2) ? (int64_t)v : (int64_t)(0 - v);
}

static void compare(const uint8_t *p, size_t bytes, size_t n, size_t skip)
{
	static int64_t delta[2][N];
	static uint64_t v[2][N];
	struct bits one, all;
	for (size_t i = 0; i < n; i++) {
		delta[0][i] = delta[1][i] = (int64_t)rnd(100) - 50;
		v[0][i] = v[1][i] = rnd(1000);
	}
	bits_init(&one, p, bytes);
	bits_init(&all, p, bytes);
	for (size_t i = 0; i < skip; i++) {
		(void)bits_varbit_int(&one);
		(void)bits_varbit_int(&all);
	}
	for (size_t i = 0; i < n; i++) {
		uint64_t d = (uint64_t)delta[0][i] + (uint64_t)bits_varbit_int(&one);
		delta[0][i] = (int64_t)d;
		v[0][i] += d;
	}
	bits_varbit_steps(&all, n, delta[1], v[1]);
	cr_assert_eq(one.bad, all.bad);
	if (one.bad)
		return;
	cr_assert_eq(bits_left(&one), bits_left(&all));
	cr_assert_arr_eq(delta[0], delta[1], n * sizeof(**delta));
	cr_assert_arr_eq(v[0], v[1], n * sizeof(**v));
}

Test(varbits, many_at_once_are_those_read_one_by_one)
{
	bits_varbit_prepare();
	for (int round = 0; round < 600; round++) {
		struct bitw w = { 0 };
		size_t n = rnd(N), skip = rnd(5), n_put = n + skip + rnd(4);
		buf_init(&w.out, 1 << 20);
		for (size_t i = 0; i < n_put; i++)
			bitw_varbit_int(&w, number((unsigned)round % 10));
		struct str all = bitw_view(&w);
		uint8_t *p =
			xcalloc(1, all.n + 1); /* exactly as large, for the sanitizer */
		memcpy(p, all.p, all.n);
		compare(p, all.n, n, skip);
		uint8_t *cut = xcalloc(1, all.n / 2 + 1);
		memcpy(cut, p, all.n / 2);
		compare(cut, all.n / 2, n, skip);
		free(cut);
		free(p);
		buf_deinit(&w.out);
	}
}

/* Any bytes at all. */
Test(varbits, garbage_is_read_alike)
{
	bits_varbit_prepare();
	for (int round = 0; round < 3000; round++) {
		uint8_t p[64];
		for (size_t i = 0; i < sizeof(p); i++)
			p[i] = (uint8_t)(rnd(3) ? rnd(256) : rnd(2) * 255);
		compare(p, rnd(sizeof(p) + 1), rnd(60), 0);
	}
}
