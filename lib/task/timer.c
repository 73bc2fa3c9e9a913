/*
 * task/timer.c - delayed and periodic tasks.
 *
 * One thread, made with the first timer, sleeps until the earliest is due and hands it to the bulk
 * lane. There are tens of timers, so the waiting ones are a list in order of time.
 *
 *   WAITING --due, or now--> QUEUED (in the lane) --> RUNNING --> WAITING | IDLE
 *
 * Ticks lie on a fixed grid, start + delay + k * period; those that pass while fn runs are skipped,
 * so runs neither overlap nor pile up, and an extra run (task_timer_now) does not shift the grid. An
 * extra run asked for while fn runs follows at once, since what it is to look at may have changed
 * after fn looked.
 */
#include "task/task_int.h"

#include <stdlib.h>

#include "base/time.h"

enum timer_state { TIMER_IDLE, TIMER_WAITING, TIMER_QUEUED, TIMER_RUNNING };

struct task_timer {
	struct task_pool *pool;
	void (*fn)(void *);
	void *arg;
	uint64_t period_ns;
	struct task_job job;

	enum timer_state state; /* timers.mu, with all below */
	uint64_t due_ns;	/* next run */
	uint64_t tick_ns;	/* next point of the grid; 0: none */
	bool again, stopping;
	pthread_t runner; /* while RUNNING */
	pthread_cond_t stopped;
	struct task_timer *next;
};

void task_timers_init(struct task_timers *ts)
{
	pthread_mutex_init(&ts->mu, NULL);
	ctx_cond_init(&ts->changed);
}

void task_timers_deinit(struct task_timers *ts)
{
	pthread_mutex_lock(&ts->mu);
	BUG_ON(ts->n != 0); /* timers are stopped before their pool */
	ts->quit = true;
	bool started = ts->started;
	pthread_cond_broadcast(&ts->changed);
	pthread_mutex_unlock(&ts->mu);
	if (started)
		pthread_join(ts->thread, NULL);
	pthread_cond_destroy(&ts->changed);
	pthread_mutex_destroy(&ts->mu);
}

/* ---- all with timers.mu held ---- */

static void wait_until(struct task_timers *ts, struct task_timer *t, uint64_t due_ns)
{
	struct task_timer **at = &ts->first;
	while (*at && (*at)->due_ns <= due_ns)
		at = &(*at)->next;
	t->due_ns = due_ns;
	t->next = *at;
	*at = t;
	t->state = TIMER_WAITING;
	if (ts->first == t)
		pthread_cond_signal(&ts->changed);
}

static void take_out(struct task_timers *ts, struct task_timer *t)
{
	struct task_timer **at = &ts->first;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->state = TIMER_IDLE;
}

static void hand_over(struct task_timer *t)
{
	t->state = TIMER_QUEUED;
	task_lane_add(&t->pool->bulk, &t->job);
}

static void *timers_main(void *arg)
{
	struct task_timers *ts = arg;
	pthread_mutex_lock(&ts->mu);
	while (!ts->quit) {
		struct task_timer *t = ts->first;
		if (!t) {
			pthread_cond_wait(&ts->changed, &ts->mu);
			continue;
		}
		if (t->due_ns > time_mono_ns()) {
			struct timespec at = { .tv_sec = (time_t)(t->due_ns / NS_PER_S),
					       .tv_nsec = (long)(t->due_ns % NS_PER_S) };
			pthread_cond_timedwait(&ts->changed, &ts->mu, &at);
			continue;
		}
		take_out(ts, t);
		hand_over(t);
	}
	pthread_mutex_unlock(&ts->mu);
	return NULL;
}

/* The grid's next point after now. */
static void advance_tick(struct task_timer *t)
{
	uint64_t now = time_mono_ns();
	if (t->tick_ns == 0 || t->tick_ns > now)
		return;
	if (t->period_ns == 0)
		t->tick_ns = 0;
	else
		t->tick_ns += ((now - t->tick_ns) / t->period_ns + 1) * t->period_ns;
}

static void run(void *arg)
{
	struct task_timer *t = arg;
	struct task_timers *ts = &t->pool->timers;
	pthread_mutex_lock(&ts->mu);
	t->state = TIMER_RUNNING;
	t->runner = pthread_self();
	bool go = !t->stopping;
	/* A one-shot timer's tick is used up by this run only if it was due. */
	advance_tick(t);
	pthread_mutex_unlock(&ts->mu);
	if (go)
		t->fn(t->arg);
	pthread_mutex_lock(&ts->mu);
	advance_tick(t);
	t->state = TIMER_IDLE;
	if (t->stopping) {
		pthread_cond_signal(&t->stopped); /* then it is freed: no touch after */
	} else if (t->again) {
		t->again = false;
		hand_over(t);
	} else if (t->tick_ns) {
		wait_until(ts, t, t->tick_ns);
	}
	pthread_mutex_unlock(&ts->mu);
}

/* ---- public ---- */

struct task_timer *task_timer_start(struct task_pool *p, uint64_t delay_ns,
				    uint64_t period_ns, void (*fn)(void *), void *arg)
{
	struct task_timers *ts = &p->timers;
	struct task_timer *t = xcalloc(1, sizeof(*t));
	t->pool = p;
	t->fn = fn;
	t->arg = arg;
	t->period_ns = period_ns;
	t->job = (struct task_job){ .fn = run, .arg = t };
	pthread_cond_init(&t->stopped, NULL);
	pthread_mutex_lock(&ts->mu);
	if (!ts->started) {
		int rc = task_thread_start(&ts->thread, "timers", timers_main, ts);
		BUG_ON(rc != 0);
		ts->started = true;
	}
	ts->n++;
	t->tick_ns = time_after_ns(delay_ns);
	wait_until(ts, t, t->tick_ns);
	pthread_mutex_unlock(&ts->mu);
	return t;
}

void task_timer_now(struct task_timer *t)
{
	struct task_timers *ts = &t->pool->timers;
	pthread_mutex_lock(&ts->mu);
	if (t->state == TIMER_RUNNING) {
		t->again = true;
	} else if (t->state != TIMER_QUEUED) {
		if (t->state == TIMER_WAITING)
			take_out(ts, t);
		hand_over(t);
	}
	pthread_mutex_unlock(&ts->mu);
}

void task_timer_stop(struct task_timer *t)
{
	if (!t)
		return;
	BUG_ON(!task_may_wait());
	struct task_timers *ts = &t->pool->timers;
	pthread_mutex_lock(&ts->mu);
	BUG_ON(t->state == TIMER_RUNNING && pthread_equal(t->runner, pthread_self()));
	t->stopping = true;
	if (t->state == TIMER_WAITING)
		take_out(ts, t);
	else if (t->state == TIMER_QUEUED && task_lane_remove(&t->pool->bulk, &t->job))
		t->state = TIMER_IDLE;
	while (t->state != TIMER_IDLE)
		pthread_cond_wait(&t->stopped, &ts->mu);
	ts->n--;
	pthread_mutex_unlock(&ts->mu);
	pthread_cond_destroy(&t->stopped);
	free(t);
}
