/*
 * task/gate.c - at most n holders, in order of arrival.
 *
 * Who leaves hands its place to the first in the queue, without lowering the count in between, so
 * nobody who comes later can slip in. Each waiter lies on its own stack with its own condition.
 */
#include "task/task.h"

#include <stdlib.h>

struct waiter {
	pthread_cond_t cv;
	bool granted;
	struct waiter *next, *prev;
};

struct task_gate {
	pthread_mutex_t mu; /* all below */
	uint32_t n, held;
	struct waiter *first, *last;
};

struct task_gate *task_gate_new(uint32_t n)
{
	struct task_gate *g = xcalloc(1, sizeof(*g));
	BUG_ON(n == 0);
	pthread_mutex_init(&g->mu, NULL);
	g->n = n;
	return g;
}

void task_gate_free(struct task_gate *g)
{
	if (!g)
		return;
	BUG_ON(g->held != 0 || g->first != NULL);
	pthread_mutex_destroy(&g->mu);
	free(g);
}

static bool is_granted(void *arg)
{
	return ((struct waiter *)arg)->granted;
}

static void remove_waiter(struct task_gate *g, struct waiter *w)
{
	if (w->next)
		w->next->prev = w->prev;
	else
		g->last = w->prev;
	if (w->prev)
		w->prev->next = w->next;
	else
		g->first = w->next;
}

int task_gate_enter(struct task_gate *g, struct ctx *ctx, struct err *e)
{
	int rc = 0;
	BUG_ON(!task_may_wait());
	if (ctx_check(ctx, e) < 0)
		return -1;
	pthread_mutex_lock(&g->mu);
	if (g->held < g->n) {
		g->held++;
	} else {
		struct waiter w = { .prev = g->last };
		ctx_cond_init(&w.cv);
		if (g->last)
			g->last->next = &w;
		else
			g->first = &w;
		g->last = &w;
		rc = ctx_cond_wait(ctx, &w.cv, &g->mu, is_granted, &w, e);
		if (rc < 0)
			remove_waiter(g, &w);
		pthread_cond_destroy(&w.cv);
	}
	pthread_mutex_unlock(&g->mu);
	return rc;
}

void task_gate_leave(struct task_gate *g)
{
	pthread_mutex_lock(&g->mu);
	BUG_ON(g->held == 0);
	struct waiter *w = g->first;
	if (w) {
		remove_waiter(g, w);
		w->granted = true;
		pthread_cond_signal(&w->cv);
	} else {
		g->held--;
	}
	pthread_mutex_unlock(&g->mu);
}

uint32_t task_gate_held(struct task_gate *g)
{
	pthread_mutex_lock(&g->mu);
	uint32_t n = g->held;
	pthread_mutex_unlock(&g->mu);
	return n;
}
