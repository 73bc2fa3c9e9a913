/*
 * Loops: posts, timers, and loop_call with success, failure, time-out and abandonment.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/time.h"
#include "loop/loop.h"
#include "support/tst.h"

static struct loop *start_loop(void)
{
	struct loop *l = NULL;
	struct err e = ERR_INIT;
	cr_assert_eq(loop_start("test", &l, &e), 0);
	return l;
}

static int order[100];
static _Atomic int n_order;

static void note(void *arg)
{
	order[n_order] = (int)(intptr_t)arg;
	n_order++;
}

Test(loop, posts_of_one_thread_keep_their_order_and_all_run_before_stop)
{
	struct loop *l = start_loop();
	n_order = 0;
	for (int i = 0; i < 100; i++)
		loop_post(l, note, (void *)(intptr_t)i);
	loop_stop(l);
	cr_assert_eq(n_order, 100);
	for (int i = 0; i < 100; i++)
		cr_assert_eq(order[i], i);
}

struct chain {
	struct loop *l;
	int left;
	_Atomic int ran;
};

static void again(void *arg)
{
	struct chain *c = arg;
	c->ran++;
	if (--c->left > 0)
		loop_post(c->l, again, c);
}

Test(loop, a_post_that_posts_again_runs_even_when_the_loop_stops)
{
	struct loop *l = start_loop();
	struct chain c = { l, 10, 0 };
	loop_post(l, again, &c);
	loop_stop(l);
	cr_assert_eq(c.ran, 10);
}

struct late {
	struct loop *l;
	struct loop_timer *timer;
	_Atomic int ran;
};

static void late_free(void *arg)
{
	struct late *x = arg;
	loop_timer_free(x->timer);
	x->ran++;
}

static void late_fires(void *arg)
{
	struct late *x = arg;
	loop_post(x->l, late_free, x);
}

static void late_begin(void *arg)
{
	struct late *x = arg;
	x->timer = loop_timer_new(x->l, late_fires, x);
	loop_timer_start(x->timer, 50 * NS_PER_MS, 0);
}

/* As a connection does whose peer leaves while the loop is ending: its last handle closes in a post. */
Test(loop, a_post_from_a_handle_that_outlives_the_stop_is_run)
{
	struct late x = { .l = start_loop() };
	loop_post(x.l, late_begin, &x);
	loop_stop(x.l);
	cr_assert_eq(x.ran, 1);
}

struct answer_op {
	struct loop_op base;
	int answer;
	bool fail, never;
	_Atomic int *abandoned;
	_Atomic int *freed;
};

static void op_free(struct loop_op *op)
{
	struct answer_op *a = CONTAINER_OF(op, struct answer_op, base);
	if (a->freed)
		(*a->freed)++;
	free(a);
}

static void op_start(struct loop_op *op)
{
	struct answer_op *a = CONTAINER_OF(op, struct answer_op, base);
	if (a->never)
		return;
	a->answer = 42;
	struct err why = ERR_INIT;
	err_set(NULL, &why, E_REMOTE, "no luck");
	loop_op_done(op, a->fail ? &why : NULL);
}

static void op_abandon(struct loop_op *op)
{
	struct answer_op *a = CONTAINER_OF(op, struct answer_op, base);
	(*a->abandoned)++;
	loop_op_done(op, NULL); /* done is called all the same */
}

static struct answer_op *op_new(void)
{
	struct answer_op *a = xcalloc(1, sizeof(*a));
	loop_op_init(&a->base, op_free);
	a->base.abandon = op_abandon;
	return a;
}

Test(loop, call_returns_the_answer)
{
	struct loop *l = start_loop();
	struct err e = ERR_INIT;
	struct answer_op *a = op_new();
	cr_assert_eq(loop_call(l, NULL, op_start, &a->base, &e), 0);
	cr_assert_eq(a->answer, 42);
	loop_op_unref(&a->base);
	loop_stop(l);
}

Test(loop, call_returns_the_operations_error)
{
	struct loop *l = start_loop();
	struct err e = ERR_INIT;
	struct answer_op *a = op_new();
	a->fail = true;
	cr_assert_eq(loop_call(l, NULL, op_start, &a->base, &e), -1);
	cr_assert_eq(e.code, E_REMOTE);
	cr_assert_str_eq(err_text(&e), "no luck");
	loop_op_unref(&a->base);
	loop_stop(l);
}

Test(loop, a_call_past_its_deadline_is_abandoned_and_freed_once)
{
	struct loop *l = start_loop();
	struct ctx ctx;
	struct err e = ERR_INIT;
	_Atomic int abandoned = 0, freed = 0;
	struct answer_op *a = op_new();
	a->never = true;
	a->abandoned = &abandoned;
	a->freed = &freed;
	ctx_init(&ctx, NULL, time_after_ns(5 * NS_PER_MS));
	cr_assert_eq(loop_call(l, &ctx, op_start, &a->base, &e), -1);
	cr_assert_eq(e.code, E_TIMEOUT);
	loop_op_unref(&a->base);
	loop_stop(l);
	cr_assert_eq(abandoned, 1);
	cr_assert_eq(freed, 1);
	ctx_deinit(&ctx);
}

struct ticker {
	struct loop *l;
	struct loop_timer *t;
	_Atomic int ticks;
};

static void tick(void *arg)
{
	struct ticker *k = arg;
	if (++k->ticks == 3) {
		loop_timer_free(k->t);
		k->t = NULL;
	}
}

static void begin_ticks(void *arg)
{
	struct ticker *k = arg;
	k->t = loop_timer_new(k->l, tick, k);
	loop_timer_start(k->t, NS_PER_MS, NS_PER_MS);
}

Test(loop, a_timer_repeats_until_it_is_freed_and_the_loop_waits_for_it)
{
	struct loop *l = start_loop();
	struct ticker k = { l, NULL, 0 };
	loop_post(l, begin_ticks, &k);
	loop_stop(l);
	cr_assert_eq(k.ticks, 3);
}

/* ---- signals ---- */

static _Atomic int n_signals;

static void on_signal(void *arg, int signo)
{
	(void)arg, (void)signo;
	n_signals++;
}

static void late_signals(void)
{
	struct err e = ERR_INIT;
	struct loop *l = start_loop();
	if (loop_on_signal(l, SIGTERM, on_signal, NULL, &e) < 0)
		_exit(1);
	kill(getpid(), SIGTERM); /* before it is watched, too: it waits */
	while (n_signals == 0)
		usleep(1000);
	for (int i = 0; i < 100; i++)
		kill(getpid(), SIGTERM);
	loop_stop(l);
	kill(getpid(), SIGTERM);
	_exit(0);
}

/* In a process of its own: Criterion's has a thread that takes every signal. */
Test(loop, a_signal_that_comes_after_its_loop_has_stopped_ends_nothing)
{
	int status = -1;
	pid_t child = fork();
	if (child == 0)
		late_signals();
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
}
