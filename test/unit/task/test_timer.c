#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/time.h"
#include "support/tst.h"
#include "task/task.h"

struct ticks {
	_Atomic int n, inside, overlaps;
	_Atomic bool hold;
};

static void tick(void *arg)
{
	struct ticks *t = arg;
	if (++t->inside > 1)
		t->overlaps++;
	while (t->hold)
		sched_yield();
	t->n++;
	t->inside--;
}

static bool reaches(struct ticks *t, int n)
{
	uint64_t until = time_after_ns(10 * NS_PER_S);
	while (t->n < n && time_mono_ns() < until)
		usleep(200);
	return t->n >= n;
}

Test(timer, runs_once_without_a_period)
{
	struct ticks t = { 0 };
	struct task_pool *p = task_pool_new(NULL);
	struct task_timer *tm = task_timer_start(p, NS_PER_MS, 0, tick, &t);
	cr_assert(reaches(&t, 1));
	usleep(5000);
	cr_assert_eq(t.n, 1);
	task_timer_now(tm);
	cr_assert(reaches(&t, 2));
	task_timer_stop(tm);
	task_timer_stop(NULL);
	task_pool_free(p);
}

Test(timer, runs_each_period_without_overlap)
{
	struct ticks t = { 0 };
	struct task_pool *p = task_pool_new(NULL);
	struct task_timer *tm = task_timer_start(p, 0, NS_PER_MS, tick, &t);
	cr_assert(reaches(&t, 5));
	t.hold = true;
	usleep(5000);
	t.hold = false;
	cr_assert(reaches(&t, 10));
	task_timer_stop(tm);
	int n = t.n;
	usleep(5000);
	cr_assert_eq(t.n, n);
	cr_assert_eq(t.overlaps, 0);
	task_pool_free(p);
}

Test(timer, now_runs_before_a_far_period)
{
	struct ticks t = { 0 };
	struct task_pool *p = task_pool_new(NULL);
	struct task_timer *tm =
		task_timer_start(p, 3600 * NS_PER_S, 3600 * NS_PER_S, tick, &t);
	task_timer_now(tm);
	cr_assert(reaches(&t, 1));
	t.hold = true;
	task_timer_now(tm);
	while (!t.inside)
		sched_yield();
	task_timer_now(tm); /* while it runs: once more afterwards */
	task_timer_now(tm);
	t.hold = false;
	cr_assert(reaches(&t, 3));
	usleep(5000);
	cr_assert_eq(t.n, 3);
	task_timer_stop(tm);
	task_pool_free(p);
}

Test(timer, stop_takes_back_a_run_that_waits_for_a_thread)
{
	struct ticks busy = { .hold = true }, t = { 0 };
	struct task_pool *p = task_pool_new(&(struct task_pool_opts){ .max_bulk = 1 });
	task_bulk(p, tick, &busy);
	while (!busy.inside)
		sched_yield();
	struct task_timer *tm = task_timer_start(p, 0, 0, tick, &t);
	usleep(3000);
	task_timer_stop(tm);
	busy.hold = false;
	task_pool_free(p);
	cr_assert_eq(t.n, 0);
}

Test(timer, many_start_and_stop_in_any_order)
{
	struct ticks t = { 0 };
	struct task_timer *tm[50];
	struct task_pool *p = task_pool_new(NULL);
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 50; i++)
			tm[i] = task_timer_start(p, (i * 37 % 50) * 100000, 200000, tick,
						 &t);
		cr_assert(reaches(&t, t.n + 1));
		usleep(3000);
		for (unsigned i = 0; i < 50; i++)
			task_timer_stop(tm[i * 7 % 50]);
	}
	task_pool_free(p);
	cr_assert_gt(t.n, 0);
}
