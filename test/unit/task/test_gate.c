#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/time.h"
#include "support/tst.h"
#include "task/task.h"

Test(gate, counts_holders)
{
	struct err e = ERR_INIT;
	struct task_gate *g = task_gate_new(2);
	cr_assert_eq(task_gate_enter(g, NULL, &e), 0);
	cr_assert_eq(task_gate_enter(g, NULL, &e), 0);
	cr_assert_eq(task_gate_held(g), 2u);
	task_gate_leave(g);
	task_gate_leave(g);
	cr_assert_eq(task_gate_held(g), 0u);
	task_gate_free(g);
}

Test(gate, gives_up_at_the_deadline)
{
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct task_gate *g = task_gate_new(1);
	cr_assert_eq(task_gate_enter(g, NULL, &e), 0);
	ctx_init(&ctx, NULL, time_after_ns(3 * NS_PER_MS));
	cr_assert_eq(task_gate_enter(g, &ctx, &e), -1);
	cr_assert_eq(e.code, E_TIMEOUT);
	task_gate_leave(g);
	cr_assert_eq(task_gate_held(g), 0u);
	task_gate_free(g);
	ctx_deinit(&ctx);
}

struct visitor {
	struct task_gate *g;
	_Atomic int *order;
	int place;
	_Atomic bool queued;
};

static void *visit_in_turn(void *arg)
{
	struct visitor *v = arg;
	struct err e = ERR_INIT;
	v->queued = true;
	if (task_gate_enter(v->g, NULL, &e) < 0)
		return NULL;
	v->place = (*v->order)++;
	task_gate_leave(v->g);
	return NULL;
}

Test(gate, admits_in_order_of_arrival)
{
	struct err e = ERR_INIT;
	struct visitor v[5];
	pthread_t t[5];
	_Atomic int order = 0;
	struct task_gate *g = task_gate_new(1);
	cr_assert_eq(task_gate_enter(g, NULL, &e), 0);
	for (int i = 0; i < 5; i++) {
		v[i] = (struct visitor){ .g = g, .order = &order };
		pthread_create(&t[i], NULL, visit_in_turn, &v[i]);
		while (!v[i].queued)
			sched_yield();
		usleep(5000);
	}
	task_gate_leave(g);
	for (int i = 0; i < 5; i++) {
		pthread_join(t[i], NULL);
		cr_assert_eq(v[i].place, i);
	}
	task_gate_free(g);
}

struct crowd {
	struct task_gate *g;
	struct cancel *cancel;
	_Atomic int inside, most, entered, gave_up;
};

static void *push_through(void *arg)
{
	struct crowd *c = arg;
	for (int i = 0; i < 300; i++) {
		struct err e = ERR_INIT;
		struct ctx ctx = { .deadline_ns = i % 3 ? 0 : time_after_ns(50000),
				   .cancel = c->cancel };
		if (task_gate_enter(c->g, &ctx, &e) < 0) {
			c->gave_up++;
			continue;
		}
		int now = ++c->inside;
		if (now > c->most)
			c->most = now;
		sched_yield();
		c->inside--;
		c->entered++;
		task_gate_leave(c->g);
	}
	return NULL;
}

Test(gate, loses_no_place_among_timeouts_and_cancels)
{
	pthread_t t[8];
	struct crowd c = { .g = task_gate_new(2), .cancel = cancel_new() };
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, push_through, &c);
	usleep(20000);
	cancel_now(c.cancel, "enough");
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	cr_assert_leq(c.most, 2);
	cr_assert_eq(c.entered + c.gave_up, 8 * 300);
	cr_assert_eq(task_gate_held(c.g), 0u);
	task_gate_free(c.g);
	cancel_unref(c.cancel);
}
