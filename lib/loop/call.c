/*
 * loop/call.c - one answer for a worker.
 *
 * Three references keep an operation alive: the caller's own, one for the start posted to the loop (kept until
 * done), and one while an abandon is posted. The waiter lies on the caller's stack; op->wait points to it
 * under a lock, and is cleared before the caller leaves, so a late completion never touches it.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "loop/loop_int.h"
#include "task/task.h"

struct loop_wait {
	pthread_cond_t cv;
	bool done;
};

static pthread_mutex_t mu =
	PTHREAD_MUTEX_INITIALIZER; /* guards every op->wait and wait->done */

void loop_op_init(struct loop_op *op, void (*fn)(struct loop_op *op))
{
	*op = (struct loop_op){ .free = fn };
	atomic_init(&op->refs, 1);
}

struct loop_op *loop_op_ref(struct loop_op *op)
{
	atomic_fetch_add_explicit(&op->refs, 1, memory_order_relaxed);
	return op;
}

void loop_op_unref(struct loop_op *op)
{
	if (op && atomic_fetch_sub_explicit(&op->refs, 1, memory_order_acq_rel) == 1)
		op->free(op);
}

struct started {
	struct loop_op *op;
	void (*start)(struct loop_op *op);
};

static void run_start(void *arg)
{
	struct started *s = arg;
	struct started copy = *s;
	free(s);
	copy.start(copy.op);
}

static void deliver(void *arg)
{
	struct loop_op *op = arg;
	pthread_mutex_lock(&mu);
	if (op->wait) {
		op->wait->done = true;
		pthread_cond_broadcast(&op->wait->cv);
	}
	pthread_mutex_unlock(&mu);
	loop_op_unref(op);
}

void loop_op_done(struct loop_op *op, const struct err *why)
{
	BUG_ON(!loop_is_current(op->loop));
	if (why)
		op->err = *why;
	else
		op->err.code = E_OK;
	loop_post(op->loop, deliver, op);
}

static void run_abandon(void *arg)
{
	struct loop_op *op = arg;
	op->abandon(op);
	loop_op_unref(op);
}

static bool is_done(void *arg)
{
	return ((struct loop_wait *)arg)->done;
}

int loop_call(struct loop *l, struct ctx *ctx, void (*start)(struct loop_op *op),
	      struct loop_op *op, struct err *e)
{
	BUG_ON(!task_may_wait());
	struct loop_wait w = { .done = false };
	ctx_cond_init(&w.cv);
	op->loop = l;
	op->wait = &w;
	struct started *s = xmalloc(sizeof(*s));
	*s = (struct started){ loop_op_ref(op), start };
	loop_post(l, run_start, s);

	pthread_mutex_lock(&mu);
	int rc = ctx_cond_wait(ctx, &w.cv, &mu, is_done, &w, e);
	op->wait = NULL;
	bool done = w.done;
	pthread_mutex_unlock(&mu);
	pthread_cond_destroy(&w.cv);
	if (!done) {
		if (op->abandon)
			loop_post(l, run_abandon, loop_op_ref(op));
		return -1;
	}
	if (op->err.code != E_OK)
		return err_copy(ctx, e, &op->err);
	(void)rc; /* done wins over a deadline that passed at the same moment */
	return 0;
}
