#include "task/pipe.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/time.h"
#include "support/tst.h"

static struct view view_of(struct budget *b, size_t n, uint8_t fill)
{
	struct slab *s = slab_new(b, n ? n : 1);
	memset(s->data, fill, n);
	return (struct view){ s->data, n, &s->ref };
}

static void count_wake(void *arg)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
}

Test(pipe, gives_messages_in_order_and_then_the_end)
{
	struct err e = ERR_INIT;
	struct view v;
	struct pipe *p = pipe_new(NULL);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(pipe_write(p, NULL, view_of(NULL, 10, (uint8_t)i), &e), 0);
	pipe_end(p);
	for (int i = 0; i < 100; i++) {
		cr_assert_eq(pipe_read(p, NULL, &v, &e), PIPE_OK);
		cr_assert_eq(v.n, 10u);
		cr_assert_eq(v.p[9], i);
		pipe_release(p, &v);
	}
	cr_assert_eq(pipe_read(p, NULL, &v, &e), PIPE_END);
	cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_END);
	pipe_unref(p);
	pipe_unref(p);
}

Test(pipe, counts_bytes_until_they_are_released)
{
	struct err e = ERR_INIT;
	struct view v;
	struct pipe *p = pipe_new(&(struct pipe_opts){ .limit = 100 });
	cr_assert_eq(pipe_try_write(p, view_of(NULL, 60, 1), &e), PIPE_OK);
	cr_assert_eq(pipe_held(p), 60u);
	cr_assert_eq(pipe_read(p, NULL, &v, &e), PIPE_OK);
	cr_assert_eq(pipe_held(p), 60u);
	struct view w = view_of(NULL, 60, 2);
	cr_assert_eq(pipe_try_write(p, w, &e), PIPE_AGAIN);
	pipe_release(p, &v);
	cr_assert_eq(pipe_held(p), 0u);
	cr_assert_eq(pipe_try_write(p, w, &e), PIPE_OK);
	pipe_end(p);
	pipe_unref(p);
	pipe_unref(p);
}

Test(pipe, takes_one_message_of_any_size_when_nothing_is_held)
{
	struct err e = ERR_INIT;
	struct view v;
	struct pipe *p = pipe_new(&(struct pipe_opts){ .limit = 10 });
	cr_assert_eq(pipe_try_write(p, view_of(NULL, 5000, 1), &e), PIPE_OK);
	cr_assert(pipe_full(p));
	cr_assert_eq(pipe_push(p, view_of(NULL, 5000, 1), &e), 0);
	cr_assert_eq(pipe_held(p), 10000u);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_OK);
		pipe_release(p, &v);
	}
	cr_assert_not(pipe_full(p));
	pipe_unref(p);
	pipe_unref(p);
}

Test(pipe, wakes_a_full_producer_once_at_three_quarters)
{
	struct err e = ERR_INIT;
	struct view v[10];
	_Atomic int woken = 0;
	struct pipe *p = pipe_new(&(struct pipe_opts){ .limit = 100 });
	pipe_producer_wake(p, count_wake, &woken);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(pipe_try_write(p, view_of(NULL, 10, 1), &e), PIPE_OK);
	struct view extra = view_of(NULL, 10, 1);
	cr_assert_eq(pipe_try_write(p, extra, &e), PIPE_AGAIN);
	for (int i = 0; i < 10; i++)
		cr_assert_eq(pipe_try_read(p, &v[i], &e), PIPE_OK);
	pipe_release(p, &v[0]);
	pipe_release(p, &v[1]);
	cr_assert_eq(woken, 0);
	pipe_release(p, &v[2]);
	cr_assert_eq(woken, 1);
	for (int i = 3; i < 10; i++)
		pipe_release(p, &v[i]);
	cr_assert_eq(woken, 1);
	view_put(&extra);
	pipe_unref(p);
	pipe_unref(p);
}

Test(pipe, wakes_an_empty_consumer_once)
{
	struct err e = ERR_INIT;
	struct view v;
	_Atomic int woken = 0;
	struct pipe *p = pipe_new(NULL);
	pipe_consumer_wake(p, count_wake, &woken);
	cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_AGAIN);
	cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_AGAIN);
	cr_assert_eq(pipe_try_write(p, view_of(NULL, 1, 1), &e), PIPE_OK);
	cr_assert_eq(pipe_try_write(p, view_of(NULL, 1, 1), &e), PIPE_OK);
	pipe_end(p);
	cr_assert_eq(woken, 1);
	pipe_unref(p);
	pipe_unref(p);
}

Test(pipe, wakes_nobody_after_their_own_end)
{
	struct err e = ERR_INIT;
	struct view v;
	_Atomic int woken = 0;
	struct pipe *p = pipe_new(&(struct pipe_opts){ .limit = 1 });
	pipe_producer_wake(p, count_wake, &woken);
	cr_assert_eq(pipe_try_write(p, view_of(NULL, 1, 1), &e), PIPE_OK);
	cr_assert(pipe_full(p));
	pipe_end(p);
	cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_OK);
	pipe_release(p, &v);
	pipe_close(p, "done");
	cr_assert_eq(woken, 0);
	pipe_unref(p);
	pipe_unref(p);
}

Test(pipe, doubles_its_limit_when_the_consumer_runs_dry_after_full)
{
	struct err e = ERR_INIT;
	struct view v;
	struct pipe *p = pipe_new(&(struct pipe_opts){ .limit = 10, .limit_max = 35 });
	size_t want[] = { 20, 35, 35 };
	for (int round = 0; round < 3; round++) {
		cr_assert_eq(pipe_push(p, view_of(NULL, 50, 1), &e), 0);
		cr_assert(pipe_full(p));
		cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_OK);
		pipe_release(p, &v);
		cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_AGAIN);
		cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_AGAIN);
		cr_assert_eq(pipe_try_write(p, view_of(NULL, want[round] - 1, 1), &e),
			     PIPE_OK);
		cr_assert_not(pipe_full(p));
		cr_assert_eq(pipe_try_write(p, view_of(NULL, 1, 1), &e), PIPE_OK);
		cr_assert(pipe_full(p));
		for (int i = 0; i < 2; i++) {
			cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_OK);
			pipe_release(p, &v);
		}
	}
	pipe_unref(p);
	pipe_unref(p);
}

static uint64_t clock_ns;

static uint64_t now(void)
{
	return clock_ns;
}

static struct pipe *slow_pipe(size_t limit, size_t limit_max)
{
	clock_ns = 1;
	return pipe_new(&(struct pipe_opts){ .limit = limit,
					     .limit_max = limit_max,
					     .slow_ns = 2 * NS_PER_MS,
					     .now_ns = now });
}

static void take_all(struct pipe *p)
{
	struct err e = ERR_INIT;
	struct view v;
	while (pipe_try_read(p, &v, &e) == PIPE_OK)
		pipe_release(p, &v);
}

/* A round: n bytes, more than the limit; the reader works on them; then it waits. */
static void round_of(struct pipe *p, size_t n, uint64_t work_ms, uint64_t wait_ms)
{
	struct err e = ERR_INIT;
	cr_assert_eq(pipe_push(p, view_of(NULL, n, 1), &e), 0);
	(void)pipe_full(p);
	clock_ns += work_ms * NS_PER_MS;
	take_all(p);
	clock_ns += wait_ms * NS_PER_MS;
}

/* What fits into it. */
static size_t limit_of(struct pipe *p)
{
	struct err e = ERR_INIT;
	size_t n = 0;
	while (!pipe_full(p)) {
		cr_assert_eq(pipe_push(p, view_of(NULL, 1, 1), &e), 0);
		n++;
	}
	take_all(p);
	return n;
}

static void pipe_free(struct pipe *p)
{
	pipe_unref(p);
	pipe_unref(p);
}

Test(pipe, with_slow_ns_it_doubles_where_the_reader_mostly_waits)
{
	struct pipe *p = slow_pipe(100, 400);
	for (int i = 0; i < 4; i++)
		round_of(p, 110, 1, 20);
	cr_assert_eq(limit_of(p), 200);
	for (int i = 0; i < 20; i++)
		round_of(p, 450, 1, 20);
	cr_assert_eq(limit_of(p), 400); /* and no more */
	pipe_free(p);
}

Test(pipe, with_slow_ns_a_reader_that_works_longer_than_it_waits_is_not_read_ahead_for)
{
	struct pipe *p = slow_pipe(100, 400);
	for (int i = 0; i < 50; i++)
		round_of(p, 110, 20, 8); /* the scheduler's share, say */
	cr_assert_eq(limit_of(p), 100);
	pipe_free(p);
	p = slow_pipe(100, 400);
	for (int i = 0; i < 50; i++)
		round_of(p, 110, 0, 1); /* they take turns */
	cr_assert_eq(limit_of(p), 100);
	pipe_free(p);
}

Test(pipe, with_slow_ns_it_is_halved_where_the_reader_hardly_waits)
{
	struct pipe *p = slow_pipe(100, 400);
	for (int i = 0; i < 10; i++)
		round_of(p, 450, 1, 20);
	cr_assert_eq(limit_of(p), 400);
	for (int i = 0; i < 100; i++)
		round_of(p, 450, 20, 0);
	cr_assert_eq(limit_of(p), 100); /* what it began with */
	pipe_free(p);
}

Test(pipe, shows_the_producers_error_after_the_queued_messages)
{
	struct err e = ERR_INIT, why = ERR_INIT;
	struct view v;
	struct pipe *p = pipe_new(NULL);
	err_set(NULL, &why, E_REMOTE, "store a: gone");
	cr_assert_eq(pipe_write(p, NULL, view_of(NULL, 3, 1), &e), 0);
	pipe_fail(p, &why);
	pipe_end(p); /* the first wins */
	cr_assert_eq(pipe_read(p, NULL, &v, &e), PIPE_OK);
	pipe_release(p, &v);
	cr_assert_eq(pipe_read(p, NULL, &v, &e), -1);
	cr_assert_eq(e.code, E_REMOTE);
	cr_assert_str_eq(err_text(&e), "store a: gone");
	pipe_unref(p);
	pipe_unref(p);
}

Test(pipe, close_drops_the_queue_and_refuses_writes)
{
	struct err e = ERR_INIT;
	struct budget b;
	budget_init(&b, NULL, "test", NULL, 0);
	struct pipe *p = pipe_new(NULL);
	cr_assert_eq(pipe_write(p, NULL, view_of(&b, 300, 1), &e), 0);
	cr_assert_gt(budget_used(&b), 0u);
	pipe_close(p, "client went away");
	cr_assert_eq(budget_used(&b), 0u);
	cr_assert_eq(pipe_held(p), 0u);
	cr_assert(pipe_closed(p));
	cr_assert_not(pipe_full(p));
	cr_assert_eq(pipe_write(p, NULL, view_of(&b, 300, 1), &e), -1);
	cr_assert_eq(e.code, E_CANCELLED);
	cr_assert_str_eq(err_text(&e), "client went away");
	cr_assert_eq(budget_used(&b), 0u);
	pipe_unref(p);
	pipe_unref(p);
	budget_deinit(&b);
}

Test(pipe, charges_its_budget_while_bytes_are_held)
{
	static const uint8_t text[500];
	struct err e = ERR_INIT;
	struct budget b;
	struct view v;
	budget_init(&b, NULL, "query", "query.max-memory", 1000);
	struct pipe *p = pipe_new(&(struct pipe_opts){ .budget = &b, .charge = true });
	cr_assert_eq(pipe_try_write(p, (struct view){ text, 500, NULL }, &e), PIPE_OK);
	cr_assert_eq(pipe_try_write(p, (struct view){ text, 400, NULL }, &e), PIPE_OK);
	cr_assert_eq(budget_used(&b), 900u);
	cr_assert_eq(pipe_try_write(p, (struct view){ text, 101, NULL }, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_OK);
	cr_assert_eq(budget_used(&b), 900u);
	pipe_release(p, &v);
	cr_assert_eq(budget_used(&b), 400u);
	pipe_end(p);
	pipe_unref(p);
	pipe_unref(p);
	cr_assert_eq(budget_used(&b), 0u);
	budget_deinit(&b);
}

Test(pipe, bounds_the_number_of_empty_messages)
{
	struct err e = ERR_INIT;
	struct view v = { (const uint8_t *)"", 0, NULL };
	struct pipe *p = pipe_new(NULL);
	int n = 0;
	while (pipe_try_write(p, v, &e) == PIPE_OK)
		n++;
	cr_assert_gt(n, 1000);
	cr_assert_lt(n, 100000);
	for (int i = 0; i < n; i++) {
		cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_OK);
		pipe_release(p, &v);
	}
	cr_assert_eq(pipe_try_read(p, &v, &e), PIPE_AGAIN);
	pipe_unref(p);
	pipe_unref(p);
}
