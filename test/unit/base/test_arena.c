#include "base/arena.h"

#include "base/buf.h"
#include "support/tst.h"

static int order[8], n_order;
static void note(void *arg)
{
	order[n_order++] = (int)(intptr_t)arg;
}

Test(arena, objects_are_aligned_and_do_not_overlap)
{
	struct arena a;
	struct budget b;
	budget_init(&b, NULL, "test", NULL, 0);
	arena_init(&a, &b);
	uint8_t *p[2000];
	for (size_t i = 0; i < 2000; i++) {
		p[i] = arena_alloc(&a, i % 100);
		cr_assert_eq((uintptr_t)p[i] & 15, 0u);
		memset(p[i], (int)(i & 0xff), i % 100);
	}
	for (size_t i = 0; i < 2000; i++)
		for (size_t k = 0; k < i % 100; k++)
			cr_assert_eq(p[i][k], i & 0xff);
	cr_assert_eq(budget_used(&b), a.total);
	cr_assert_eq(a.total & 65535, 0u);
	arena_deinit(&a);
	cr_assert_eq(budget_used(&b), 0u);
	budget_deinit(&b);
}

Test(arena, a_big_object_leaves_the_open_chunk_open)
{
	struct arena a;
	arena_init(&a, NULL);
	char *small = arena_alloc(&a, 16);
	char *big = arena_zalloc(&a, 1000000);
	cr_assert_eq(big[999999], 0);
	char *next = arena_alloc(&a, 16);
	cr_assert(next > small && next < small + 4096);
	cr_assert_geq(a.total, 1000000u + 65536u);
	arena_reset(&a);
	cr_assert_eq(a.total, 65536u);
	cr_assert(arena_alloc(&a, 16) == small);
	arena_deinit(&a);
	arena_init(&a, NULL);
	arena_zalloc(&a, 500000); /* the first object may be big */
	arena_zalloc(&a, 10);
	arena_deinit(&a);
}

Test(arena, the_first_chunk_may_be_small)
{
	struct arena a;
	struct budget b;
	budget_init(&b, NULL, "query", NULL, 0);
	arena_init(&a, &b);
	a.first = 4096;
	memset(arena_alloc(&a, 1000), 1, 1000);
	memset(arena_alloc(&a, 2000), 2, 2000);
	cr_assert_eq(budget_used(&b), 4096u);
	memset(arena_alloc(&a, 2000), 3, 2000);
	cr_assert_eq(budget_used(&b), 4096u + 65536u);
	arena_reset(&a);
	cr_assert_eq(budget_used(&b), 65536u);
	arena_deinit(&a);
	arena_init(&a, &b);
	a.first = 4096;
	memset(arena_alloc(&a, 5000), 4, 5000);
	cr_assert_eq(budget_used(&b), 65536u);
	arena_deinit(&a);
	budget_deinit(&b);
}

Test(arena, try_refuses_past_the_budget)
{
	struct err e = ERR_INIT;
	struct arena a;
	struct budget b;
	budget_init(&b, NULL, "query", "query.max-memory", 200000);
	arena_init(&a, &b);
	cr_assert_not_null(arena_try(&a, NULL, 100, &e));
	cr_assert_null(arena_try(&a, NULL, 190000, &e));
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_str_eq(err_text(&e), "query memory limit of 200000 bytes exceeded "
				       "(set by --query.max-memory)");
	cr_assert_null(arena_try(&a, NULL, SIZE_MAX - 4, &e));
	cr_assert_not_null(arena_try(&a, NULL, 100000, &e));
	arena_deinit(&a);
	budget_deinit(&b);
}

Test(arena, cleanups_run_newest_first)
{
	struct arena a;
	arena_init(&a, NULL);
	n_order = 0;
	for (intptr_t i = 1; i <= 3; i++)
		arena_on_free(&a, note, (void *)i);
	arena_reset(&a);
	cr_assert_eq(n_order, 3);
	cr_assert(order[0] == 3 && order[1] == 2 && order[2] == 1);
	arena_on_free(&a, note, (void *)(intptr_t)9);
	arena_deinit(&a);
	cr_assert(n_order == 4 && order[3] == 9);
}

Test(buf, grows_to_its_maximum_and_fails_once_past_it)
{
	struct err e = ERR_INIT;
	struct buf b;
	buf_init(&b, 100);
	for (int i = 0; i < 100; i++)
		buf_byte(&b, (uint8_t)i);
	cr_assert_eq(buf_check(&b, NULL, "body", &e), 0);
	cr_assert_eq(b.n, 100u);
	cr_assert_leq(b.cap, 100u);
	buf_byte(&b, 1);
	cr_assert_eq(buf_check(&b, NULL, "body", &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_str_eq(err_text(&e), "body: larger than 100 bytes");
	buf_cut_front(&b, 90);
	buf_byte(&b, 1); /* failure sticks */
	cr_assert_eq(b.n, 10u);
	cr_assert_eq(b.p[0], 90);
	buf_reset(&b);
	buf_str(&b, STR("abc"));
	cr_assert(str_eqz(buf_view(&b), "abc"));
	buf_deinit(&b);
}

Test(buf, formats_exactly_up_to_its_maximum)
{
	struct buf b;
	buf_init(&b, 10);
	buf_fmt(&b, "%s", "");
	buf_fmt(&b, "%d-%s", 12, "ab");
	buf_fmt(&b, "%05d", 7);
	cr_assert(!b.failed && str_eqz(buf_view(&b), "12-ab00007"));
	buf_fmt(&b, "%s", "");
	cr_assert(!b.failed);
	buf_fmt(&b, "x");
	cr_assert(b.failed);
	buf_deinit(&b);
	buf_init(&b, 1000);
	buf_fmt(&b, "%0900d", 1);
	cr_assert_eq(b.n, 900u);
	buf_deinit(&b);
}

Test(buf, room_is_filled_by_commit)
{
	struct buf b;
	buf_init(&b, 8);
	uint8_t *p = buf_room(&b, 8);
	cr_assert_not_null(p);
	memcpy(p, "12345678", 8);
	buf_commit(&b, 5);
	cr_assert(str_eqz(buf_view(&b), "12345"));
	cr_assert_not_null(buf_room(&b, 0));
	cr_assert_null(buf_room(&b, 4));
	cr_assert(b.failed);
	buf_deinit(&b);
}
