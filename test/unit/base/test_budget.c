#include "base/budget.h"

#include <pthread.h>
#include <sched.h>

#include "base/ref.h"
#include "support/tst.h"

#define MIB ((size_t)1 << 20)

Test(budget, names_limit_and_flag_of_the_ledger_that_refused)
{
	struct err e = ERR_INIT;
	struct budget process, query;
	budget_init(&process, NULL, "process", NULL, 10 * MIB);
	budget_init(&query, &process, "query", "--query.max-memory", 104857600);
	cr_assert_eq(budget_take(&query, NULL, 104857601, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_str_eq(err_text(&e), "query memory limit of 104857600 bytes exceeded "
				       "(set by --query.max-memory)");
	cr_assert_eq(budget_take(&query, NULL, 10 * MIB + 1, &e), -1);
	cr_assert_str_eq(err_text(&e), "process memory limit of 10485760 bytes exceeded");
	cr_assert_eq(budget_used(&query), 0u);
	cr_assert_eq(budget_take(&query, NULL, 10 * MIB, &e), 0);
	budget_give(&query, 10 * MIB);
	budget_deinit(&query);
	cr_assert_eq(budget_used(&process), 0u);
	budget_deinit(&process);
}

Test(budget, draws_on_its_parent_in_steps)
{
	struct err e = ERR_INIT;
	struct budget process, query;
	budget_init(&process, NULL, "process", NULL, 10 * MIB);
	budget_init(&query, &process, "query", NULL, 0);
	cr_assert_eq(budget_take(&query, NULL, 1, &e), 0);
	cr_assert_eq(budget_used(&process), MIB);
	cr_assert_eq(budget_left(&query), 10 * MIB - 1);
	cr_assert_eq(budget_take(&query, NULL, 3 * MIB, &e), 0);
	cr_assert_eq(budget_used(&process), 4 * MIB);
	budget_give(&query, 3 * MIB);
	cr_assert_leq(budget_used(&process), 2 * MIB);
	budget_give(&query, 1);
	cr_assert_eq(query.peak, 3 * MIB + 1);
	budget_deinit(&query);
	cr_assert_eq(budget_used(&process), 0u);
	cr_assert_eq(budget_left(&process), 10 * MIB);
	budget_deinit(&process);
}

Test(budget, gives_the_last_bytes_below_a_step)
{
	struct err e = ERR_INIT;
	struct budget process, a, b;
	budget_init(&process, NULL, "process", NULL, MIB + 1000);
	budget_init(&a, &process, "query", NULL, 0);
	budget_init(&b, &process, "query", NULL, 0);
	cr_assert_eq(budget_take(&a, NULL, 10, &e), 0);
	cr_assert_eq(budget_take(&b, NULL, 1000, &e), 0);
	cr_assert_eq(budget_take(&b, NULL, 1, &e), -1);
	budget_force(&b, 5000);
	cr_assert_eq(budget_used(&b), 6000u);
	cr_assert_eq(budget_left(&b), 0u);
	budget_give(&b, 6000);
	budget_give(&a, 10);
	budget_deinit(&b);
	budget_deinit(&a);
	cr_assert_eq(budget_used(&process), 0u);
	budget_deinit(&process);
}

Test(budget, without_a_ledger_everything_is_allowed)
{
	struct err e = ERR_INIT;
	cr_assert_eq(budget_take(NULL, NULL, SIZE_MAX, &e), 0);
	budget_force(NULL, 5);
	budget_give(NULL, 5);
	cr_assert_eq(budget_left(NULL), SIZE_MAX);
	cr_assert_eq(budget_used(NULL), 0u);
}

struct crowd {
	struct budget *b;
	_Atomic int refused, over;
};

static void *take_and_give(void *arg)
{
	struct crowd *c = arg;
	size_t held[8] = { 0 };
	struct err e = ERR_INIT;
	for (uint32_t i = 0, x = 1; i < 20000; i++) {
		x = x * 1664525u + 1013904223u;
		size_t *slot = &held[x >> 29], n = (x >> 8) % (300u << 10);
		budget_give(c->b, *slot);
		*slot = 0;
		if (budget_take(c->b, NULL, n, &e) < 0)
			c->refused++;
		else
			*slot = n;
		if (c->b->parent->used > c->b->parent->limit)
			c->over++;
	}
	for (int i = 0; i < 8; i++)
		budget_give(c->b, held[i]);
	return NULL;
}

Test(budget, is_exact_under_threads)
{
	struct budget process, query[2];
	struct crowd c[2] = { 0 };
	pthread_t t[4];
	budget_init(&process, NULL, "process", NULL, 4 * MIB);
	for (int i = 0; i < 2; i++) {
		budget_init(&query[i], &process, "query", NULL, 3 * MIB);
		c[i].b = &query[i];
	}
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, take_and_give, &c[i % 2]);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(c[i].over, 0);
		cr_assert_eq(budget_used(&query[i]), 0u);
		cr_assert_leq(query[i].peak, 3 * MIB);
		budget_deinit(&query[i]);
	}
	cr_assert_eq(budget_used(&process), 0u);
	cr_assert_leq(process.peak, 4 * MIB);
	budget_deinit(&process);
}

Test(slab, is_charged_until_the_last_view_is_put)
{
	struct err e = ERR_INIT;
	struct budget b;
	budget_init(&b, NULL, "query", NULL, MIB);
	struct slab *s = slab_try(&b, NULL, 5000, &e);
	cr_assert_not_null(s);
	cr_assert_eq(s->cap, 5000u);
	memset(s->data, 7, 5000);
	struct view v = { s->data, 10, ref_get(&s->ref) };
	ref_put(&s->ref);
	cr_assert_geq(budget_used(&b), 5000u);
	cr_assert_eq(v.p[9], 7);
	view_put(&v);
	cr_assert_null(v.p);
	view_put(&v);
	cr_assert_eq(budget_used(&b), 0u);
	cr_assert_null(slab_try(&b, NULL, MIB, &e));
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_null(slab_try(NULL, NULL, SIZE_MAX, &e));
	s = slab_new(&b, 0);
	cr_assert_eq(s->cap, SLAB_BYTES);
	ref_put(&s->ref);
	ref_put(NULL);
	cr_assert_null(ref_get(NULL));
	budget_deinit(&b);
}

/* Of whatever whole size; charged as what was asked for. */
Test(slab, memory_of_whole_ones_serves_the_next_until_none_was_wanted)
{
	struct err e = ERR_INIT;
	struct budget b;
	size_t less = SLAB_BYTES - sizeof(struct slab);
	budget_init(&b, NULL, "query", NULL, MIB);
	struct slab *s = slab_new(&b, less), *first = s;
	memset(s->data, 1, less);
	ref_put(&s->ref);
	cr_assert_eq(budget_used(&b), 0u);
	s = slab_try(&b, NULL, SLAB_BYTES, &e);
	cr_assert_eq(s, first);
	cr_assert_eq(s->cap, SLAB_BYTES);
	cr_assert_eq(s->used, 0u);
	cr_assert_eq(budget_used(&b), sizeof(*s) + SLAB_BYTES);
	memset(s->data, 2, SLAB_BYTES);
	ref_put(&s->ref);
	slab_trim(); /* one was made a moment ago */
	s = slab_new(&b, 0);
	cr_assert_eq(s, first);
	ref_put(&s->ref);
	slab_trim();
	slab_trim();
	s = slab_new(&b, 0);
#ifdef __SANITIZE_ADDRESS__
	cr_assert_neq(s,
		      first); /* it was freed: ASan does not give it out again at once */
#endif
	ref_put(&s->ref);
	cr_assert_eq(budget_used(&b), 0u);
	budget_deinit(&b);
}

static void *make_slabs(void *arg)
{
	uint8_t mine = (uint8_t)(uintptr_t)arg;
	struct slab *s[3];
	for (int round = 0; round < 300; round++) {
		for (int i = 0; i < 3; i++) {
			s[i] = slab_new(NULL, 0);
			memset(s[i]->data, mine, 64);
			s[i]->data[SLAB_BYTES - 1] = mine;
		}
		for (int i = 0; i < 3; i++) {
			cr_assert_eq(s[i]->data[0], mine);
			cr_assert_eq(s[i]->data[SLAB_BYTES - 1], mine);
			ref_put(&s[i]->ref);
		}
		if (round % 50 == 0)
			slab_trim();
	}
	return NULL;
}

Test(slab, threads_never_hold_the_same_memory)
{
	pthread_t t[4];
	for (uintptr_t i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, make_slabs, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

Test(budget, keeps_a_spare_for_those_that_hold_little)
{
	struct err e = ERR_INIT;
	struct budget total, large, small;
	budget_init(&total, NULL, "queries'", "--query.total-memory", 16 * MIB);
	total.spare = 4 * MIB;
	total.little = 2 * MIB;
	budget_init(&large, &total, "query", NULL, 0);
	budget_init(&small, &total, "query", NULL, 0);
	cr_assert_eq(budget_take(&large, NULL, 12 * MIB, &e), 0);
	cr_assert_eq(budget_left(&large), 0u);
	cr_assert_eq(budget_take(&large, NULL, 1, &e), -1);
	cr_assert(atomic_load(&large.starved) && budget_refused(&large));
	cr_assert(!budget_refused(&total) && !budget_refused(NULL));
	cr_assert_str_eq(err_text(&e), "queries' memory limit of 16777216 bytes exceeded "
				       "(set by --query.total-memory)");
	cr_assert_eq(budget_take(&small, NULL, 2 * MIB, &e), 0);
	cr_assert(!atomic_load(&small.starved) && !budget_refused(&small));
	cr_assert_eq(budget_take(&small, NULL, 1, &e), -1);
	cr_assert_eq(atomic_load(&large.starved_by), 0u);
	cr_assert_eq(atomic_load(&small.starved_by), 12 * MIB);
	budget_give(&large, 12 * MIB);
	budget_give(&small, 2 * MIB);
	budget_deinit(&large);
	budget_deinit(&small);
	cr_assert_eq(budget_used(&total), 0u);
	budget_deinit(&total);
}

Test(budget, what_is_reserved_stays_drawn_until_the_end)
{
	struct err e = ERR_INIT;
	struct budget total, a, b;
	budget_init(&total, NULL, "queries'", NULL, 10 * MIB);
	budget_init(&a, &total, "query", NULL, 0);
	budget_init(&b, &total, "query", NULL, 0);
	cr_assert_eq(budget_reserve(&a, NULL, 11 * MIB, &e), -1);
	cr_assert_eq(budget_reserve(&a, NULL, 8 * MIB, &e), 0);
	cr_assert_eq(budget_used(&total), 8 * MIB);
	cr_assert_eq(budget_take(&a, NULL, 5 * MIB, &e), 0);
	budget_give(&a, 5 * MIB);
	cr_assert_eq(budget_used(&total), 8 * MIB);
	cr_assert_eq(budget_take(&b, NULL, 3 * MIB, &e), -1);
	cr_assert_eq(budget_take(&a, NULL, 8 * MIB, &e), 0);
	cr_assert_eq(budget_used(&total), 8 * MIB);
	budget_give(&a, 8 * MIB);
	budget_deinit(&a);
	cr_assert_eq(budget_used(&total), 0u);
	cr_assert_eq(budget_take(&b, NULL, 10 * MIB, &e), 0);
	budget_give(&b, 10 * MIB);
	budget_deinit(&b);
	budget_deinit(&total);
}
