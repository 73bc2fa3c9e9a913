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

struct reader {
	struct spill *s;
	struct view v;
	size_t used;
	uint64_t at;
};

static void read_some(struct reader *r, size_t n)
{
	uint8_t *want = xmalloc(n);
	struct err e = ERR_INIT;
	while (n > 0) {
		if (r->used == r->v.n) {
			view_put(&r->v);
			r->used = 0;
			cr_assert_eq(spill_read(r->s, NULL, &r->v, &e), 1, "%s",
				     err_text(&e));
			cr_assert_gt(r->v.n, 0);
		}
		size_t k = MIN(n, r->v.n - r->used);
		fill(want, k, r->at);
		cr_assert_eq(memcmp(r->v.p + r->used, want, k), 0, "bytes at %llu",
			     (unsigned long long)r->at);
		r->at += k;
		r->used += k;
		n -= k;
	}
	free(want);
}

static void write_some(struct spill *s, uint64_t *at, size_t n)
{
	struct slab *b = slab_new(NULL, n);
	struct err e = ERR_INIT;
	fill(b->data, n, *at);
	cr_assert_eq(spill_write(s, (struct view){ b->data, n, &b->ref }, &e), 0, "%s",
		     err_text(&e));
	*at += n;
}

/* Memory, then the file, then memory again, each in order. */
Test(spill, order)
{
	struct spill *s = spill_new(&(struct spill_opts){ .memory = 1 << 20 });
	struct err e = ERR_INIT;
	struct reader r = { .s = s };
	struct view none;
	uint64_t in = 0;
	for (int i = 0; i < 40; i++)
		write_some(s, &in, PIECE + (size_t)i);
	cr_assert_leq(spill_held(s), 1u << 20);
	uint64_t spilled = spill_spilled(s);
	cr_assert_gt(spilled, 1u << 20);
	read_some(&r, 3 * PIECE);
	for (int i = 0; i < 5; i++)
		write_some(s, &in, 777); /* goes behind the file */
	read_some(&r, (size_t)(in - r.at));
	cr_assert_gt(spill_spilled(s), spilled);
	spilled = spill_spilled(s);
	for (int i = 0; i < 300; i++) { /* caught up: memory is enough */
		write_some(s, &in, i % 2 ? 10000 : 1000);
		read_some(&r, i % 3 ? 300 : (size_t)(in - r.at));
	}
	read_some(&r, (size_t)(in - r.at));
	cr_assert_eq(spill_spilled(s), spilled);
	write_some(s, &in, 5);
	spill_end(s, NULL);
	read_some(&r, 5);
	view_put(&r.v);
	cr_assert_eq(spill_read(s, NULL, &none, &e), 0);
	spill_free(s);
}

/* What the budget refuses goes to the file. */
Test(spill, budget)
{
	struct budget b;
	uint64_t in = 0;
	budget_init(&b, NULL, "test", NULL, 600 << 10);
	struct spill *s = spill_new(&(struct spill_opts){ .budget = &b });
	struct reader r = { .s = s };
	for (int i = 0; i < 32; i++) {
		write_some(s, &in, 1000);
		write_some(s, &in, PIECE);
	}
	cr_assert_leq(budget_used(&b), (size_t)600 << 10);
	cr_assert_gt(spill_spilled(s), 1u << 20);
	read_some(&r, (size_t)in);
	view_put(&r.v);
	spill_free(s);
	cr_assert_eq(budget_used(&b), 0);
	budget_deinit(&b);
}

/* Large pieces are handed out as they came in, and stay charged while somebody has them. */
Test(spill, not_copied)
{
	struct budget b;
	struct err e = ERR_INIT;
	struct view v;
	budget_init(&b, NULL, "test", NULL, 1 << 20);
	struct spill *s = spill_new(&(struct spill_opts){ .budget = &b });
	struct slab *in = slab_new(NULL, PIECE);
	memset(in->data, 7, PIECE);
	cr_assert_eq(spill_write(s, (struct view){ in->data, PIECE, &in->ref }, &e), 0);
	spill_end(s, NULL);
	cr_assert_eq(spill_read(s, NULL, &v, &e), 1);
	cr_assert_eq((const void *)v.p, (const void *)in->data);
	cr_assert_eq(v.n, (size_t)PIECE);
	struct view none;
	cr_assert_eq(spill_read(s, NULL, &none, &e), 0);
	cr_assert_eq(spill_held(s), 0);
	cr_assert_geq(budget_used(&b), (size_t)PIECE);
	view_put(&v);
	cr_assert_eq(budget_used(&b), 0);
	spill_free(s);
	budget_deinit(&b);
}

Test(spill, errors)
{
	struct spill *s = spill_new(
		&(struct spill_opts){ .memory = 1 << 20, .dir = "/nowhere/at/all" });
	struct reader r = { .s = s };
	struct err e = ERR_INIT;
	struct view v;
	struct ctx ctx;
	uint64_t in = 0;
	struct slab *big = slab_new(NULL, 2 << 20);
	memset(big->data, 0, big->cap);
	ctx_init(&ctx, NULL, time_after_ns(NS_PER_MS));
	cr_assert_eq(spill_read(s, &ctx, &v, &e), -1);
	cr_assert_eq(e.code, E_TIMEOUT);
	write_some(s, &in, 10);
	e = ERR_INIT;
	cr_assert_eq(spill_write(s, (struct view){ big->data, big->cap, &big->ref }, &e),
		     -1);
	cr_assert(strstr(err_text(&e), "/nowhere/at/all"), "%s", err_text(&e));
	spill_end(s, &e);
	read_some(&r, 10); /* what was there comes before the error */
	view_put(&r.v);
	e = ERR_INIT;
	cr_assert_eq(spill_read(s, NULL, &v, &e), -1);
	cr_assert(strstr(err_text(&e), "/nowhere/at/all"), "%s", err_text(&e));
	spill_free(s);
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
	struct view v;
	int rc;
	cr_assert_eq(pthread_create(&t, NULL, producer, s), 0);
	while ((rc = spill_read(s, NULL, &v, &e)) > 0) {
		uint8_t *want = xmalloc(v.n);
		fill(want, v.n, out);
		cr_assert_eq(memcmp(v.p, want, v.n), 0);
		out += v.n;
		free(want);
		view_put(&v);
	}
	cr_assert_eq(rc, 0);
	cr_assert_gt(out, 10u << 20);
	pthread_join(t, NULL);
	spill_free(s);
}
