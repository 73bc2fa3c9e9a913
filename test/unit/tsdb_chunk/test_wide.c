/*
 * Sixteen chunks at once decode as each of them alone: same samples, and no answer where one alone has none.
 */
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "support/tst.h"
#include "tsdb/chunk/chunk.h"

#define MOST 250

static uint64_t state = 88172645463325252ull;
static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

/* Chunks lie one behind another here, or (NULL) each in an allocation of its own; scratch lies behind them. */
#define POOL_BYTES ((size_t)4 << 20)
static uint8_t *pool;
static size_t pool_at;

static uint8_t *take(size_t n)
{
	if (!pool)
		return malloc(n);
	pool_at += n;
	cr_assert_leq(pool_at, POOL_BYTES);
	return pool + pool_at - n;
}

static void give(const void *p)
{
	if (!pool)
		free((void *)(uintptr_t)p);
}

/* Regular, late and torn-apart times; values of all widths. */
static struct chunk_part make(struct chunk_encoder *w, unsigned kind)
{
	struct err e = ERR_INIT;
	int64_t t = (int64_t)rnd(1u << 30) - (1 << 29);
	if (rnd(8) == 0) /* far away, where a sum of distances might pass the end */
		t += rnd(2) ? INT64_MAX / 2 : INT64_MAX - (1ll << 40);
	double v = (double)rnd(1000);
	size_t n = rnd(4) ? 120 : 2 + rnd(MOST - 2);
	chunk_encoder_begin(w, CHUNK_XOR);
	for (size_t i = 0; i < n; i++) {
		cr_assert_eq(chunk_encoder_float(w, t, v, &e), 0);
		t += 15000 + (kind & 1 ? (int64_t)rnd(400) : 0);
		if (kind & 2 && rnd(30) == 0)
			t += (int64_t)rnd(1u << (8 + rnd(23)));
		switch (kind >> 2) {
		case 0: v += (double)rnd(50); break;
		case 1: v = rnd(3) ? v : v + (double)rnd(1000) / 7; break;
		case 2: v = f64_of_bits(rnd(UINT64_MAX) ^ rnd(UINT64_MAX) << 20); break;
		default: v = (double[]){ 0, -0.0, INFINITY, NAN, 1, -1, 1e300 }[rnd(7)];
		}
	}
	struct chunk_part p = chunk_encoder_part(w);
	uint8_t *copy = take(p.n);
	memcpy(copy, p.p, p.n);
	return (struct chunk_part){ copy, p.n, p.enc };
}

struct decoded {
	int64_t t[CHUNK_WIDE][MOST];
	double v[CHUNK_WIDE][MOST];
	bool rise;
};

static int decode(const struct chunk_part *c, struct decoded *out)
{
	int64_t *t[CHUNK_WIDE];
	double *v[CHUNK_WIDE];
	size_t before = pool_at;
	uint8_t *scratch = take(chunk_wide_scratch(c));
	for (int i = 0; i < CHUNK_WIDE; i++) {
		t[i] = out->t[i];
		v[i] = out->v[i];
	}
	int rc = chunk_xor_decode_wide(c, scratch, t, v, &out->rise);
	give(scratch);
	pool_at = before;
	return rc;
}

/* Numbers that are not negative and do not fall. */
static bool rises(const double *v, int n)
{
	for (int i = 0; i < n; i++)
		if (!(v[i] >= 0) || signbit(v[i]) || (i && v[i] < v[i - 1]))
			return false;
	return true;
}

static void compare(const struct chunk_part *c, bool damaged)
{
	static struct decoded wide;
	static int64_t t[MOST];
	static double v[MOST];
	int rc = decode(c, &wide);
	bool bad = false, rise = true;
	for (int i = 0; i < CHUNK_WIDE; i++) {
		struct err e = ERR_INIT;
		int n = chunk_xor_decode(c[i].p, c[i].n, t, v, MOST, &e);
		bad |= n < 0;
		rise &= rises(v, n);
		if (n < 0 || rc != 0)
			continue;
		cr_assert_eq(memcmp(t, wide.t[i], (size_t)n * 8), 0, "times of %d", i);
		cr_assert_eq(memcmp(v, wide.v[i], (size_t)n * 8), 0, "values of %d", i);
	}
	cr_assert(rc != 0 || wide.rise == rise);
	cr_assert_eq(rc != 0, bad, "damaged %d, at once %d", bad, rc);
	cr_assert(damaged || !bad);
}

static void *rounds(void *arg)
{
	struct chunk_encoder *w = chunk_encoder_new();
	struct chunk_part c[CHUNK_WIDE];
	(void)arg;
	for (unsigned round = 0; round < 400; round++) {
		for (int i = 0; i < CHUNK_WIDE; i++)
			c[i] = make(w, round % 17 == 16 ? (unsigned)rnd(16) : round % 16);
		compare(c, false);
		for (int k = 0; k < 4; k++) { /* a bit turned over, or the end torn off */
			int i = (int)rnd(CHUNK_WIDE);
			uint8_t *p = (uint8_t *)(uintptr_t)c[i].p;
			size_t at = 2 + rnd(c[i].n - 2);
			uint32_t n = c[i].n;
			uint8_t was = p[at];
			if (k & 1)
				p[at] ^= (uint8_t)(1u << rnd(8));
			else
				c[i].n = (uint32_t)at;
			compare(c, true);
			p[at] = was;
			c[i].n = n;
		}
		for (int i = 0; i < CHUNK_WIDE; i++)
			give(c[i].p);
		pool_at = 0;
	}
	chunk_encoder_free(w);
	return NULL;
}

Test(wide, sixteen_chunks_decode_as_each_alone)
{
	if (!chunk_wide_usable())
		cr_skip_test("this processor has no AVX-512");
	rounds(NULL);
}

/* The stack of a thread may lie below the data, and the last bytes of a chunk are looked at there. */
Test(wide, data_may_lie_anywhere)
{
	pthread_t thread;
	if (!chunk_wide_usable())
		cr_skip_test("this processor has no AVX-512");
	pool = mmap(NULL, POOL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	cr_assert_neq(pool, MAP_FAILED);
	cr_assert_eq(pthread_create(&thread, NULL, rounds, NULL), 0);
	pthread_join(thread, NULL);
	munmap(pool, POOL_BYTES);
	pool = NULL;
}
