/*
 * The queue between a drain and its reader: order, bounds, the file, errors.
 */
#include <pthread.h>
#include <stdlib.h>

#include "base/time.h"
#include "store/spill.h"
#include "support/tst.h"

#define PIECE 65536u

static void fill(uint8_t *p, size_t n, uint64_t at)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)((at + i) * 31 + ((at + i) >> 9));
}

static void read_some(struct spill *s, uint64_t *at, size_t n)
{
	uint8_t *got = xmalloc(n), *want = xmalloc(n);
	struct err e = ERR_INIT;
	while (n > 0) {
		ssize_t k = spill_read(s, NULL, got, n, &e);
		cr_assert_gt(k, 0, "%s", err_text(&e));
		fill(want, (size_t)k, *at);
		cr_assert_eq(memcmp(got, want, (size_t)k), 0, "bytes at %llu",
			     (unsigned long long)*at);
		*at += (uint64_t)k;
		n -= (size_t)k;
	}
	free(got);
	free(want);
}

static void write_some(struct spill *s, uint64_t *at, size_t n)
{
	uint8_t *p = xmalloc(n);
	struct err e = ERR_INIT;
	fill(p, n, *at);
	cr_assert_eq(spill_write(s, str_n(p, n), &e), 0, "%s", err_text(&e));
	*at += n;
	free(p);
}

/* Memory, then the file, then memory again, each in order. */
Test(spill, order)
{
	struct spill *s = spill_new(&(struct spill_opts){ .memory = 1 << 20 });
	struct err e = ERR_INIT;
	uint64_t in = 0, out = 0;
	uint8_t one;
	for (int i = 0; i < 40; i++)
		write_some(s, &in, PIECE + (size_t)i);
	cr_assert_leq(spill_held(s), 1u << 20);
	uint64_t spilled = spill_spilled(s);
	cr_assert_gt(spilled, 1u << 20);
	read_some(s, &out, 3 * PIECE);
	for (int i = 0; i < 5; i++)
		write_some(s, &in, 777); /* goes behind the file */
	read_some(s, &out, (size_t)(in - out));
	cr_assert_gt(spill_spilled(s), spilled);
	spilled = spill_spilled(s);
	for (int i = 0; i < 300; i++) { /* caught up: memory is enough */
		write_some(s, &in, 10000);
		read_some(s, &out, 10000);
	}
	cr_assert_eq(spill_spilled(s), spilled);
	write_some(s, &in, 5);
	spill_end(s, NULL);
	read_some(s, &out, 5);
	cr_assert_eq(spill_read(s, NULL, &one, 1, &e), 0);
	spill_free(s);
}

/* What the budget refuses goes to the file. */
Test(spill, budget)
{
	struct budget b;
	uint64_t in = 0, out = 0;
	budget_init(&b, NULL, "test", NULL, 600 << 10);
	struct spill *s = spill_new(&(struct spill_opts){ .budget = &b });
	write_some(s, &in, 2 << 20);
	cr_assert_leq(budget_used(&b), (size_t)600 << 10);
	cr_assert_gt(spill_spilled(s), 1u << 20);
	read_some(s, &out, 2 << 20);
	spill_free(s);
	budget_deinit(&b);
}

Test(spill, errors)
{
	struct spill *s = spill_new(
		&(struct spill_opts){ .memory = 1 << 20, .dir = "/nowhere/at/all" });
	struct err e = ERR_INIT;
	struct ctx ctx;
	uint64_t in = 0, out = 0;
	uint8_t one, *big = xcalloc(1, 2 << 20);
	ctx_init(&ctx, NULL, time_after_ns(NS_PER_MS));
	cr_assert_eq(spill_read(s, &ctx, &one, 1, &e), -1);
	cr_assert_eq(e.code, E_TIMEOUT);
	write_some(s, &in, 10);
	e = ERR_INIT;
	cr_assert_eq(spill_write(s, str_n(big, 2 << 20), &e), -1);
	cr_assert(strstr(err_text(&e), "/nowhere/at/all"), "%s", err_text(&e));
	spill_end(s, &e);
	read_some(s, &out, 10); /* what was there comes before the error */
	e = ERR_INIT;
	while (spill_read(s, NULL, big, 1 << 20, &e) > 0)
		;
	cr_assert(strstr(err_text(&e), "/nowhere/at/all"), "%s", err_text(&e));
	spill_free(s);
	free(big);
	ctx_deinit(&ctx);
}

static void *producer(void *arg)
{
	struct spill *s = arg;
	uint64_t in = 0;
	unsigned r = 1;
	for (int i = 0; i < 2000; i++) {
		r = r * 1103515245u + 12345u;
		write_some(s, &in, 1 + (r >> 16) % 20000);
	}
	spill_end(s, NULL);
	return NULL;
}

Test(spill, two_threads)
{
	struct spill *s = spill_new(&(struct spill_opts){ .memory = 512 << 10 });
	struct err e = ERR_INIT;
	pthread_t t;
	uint64_t out = 0;
	uint8_t got[9000], want[9000];
	ssize_t k;
	cr_assert_eq(pthread_create(&t, NULL, producer, s), 0);
	while ((k = spill_read(s, NULL, got, sizeof(got), &e)) > 0) {
		fill(want, (size_t)k, out);
		cr_assert_eq(memcmp(got, want, (size_t)k), 0);
		out += (uint64_t)k;
	}
	cr_assert_eq(k, 0);
	cr_assert_gt(out, 10u << 20);
	pthread_join(t, NULL);
	spill_free(s);
}
