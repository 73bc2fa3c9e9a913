/*
 * loop/loop.h - event loop threads over libuv, and the bridge by which workers ask them for one answer.
 *
 * A loop thread never blocks, never touches a file, never decompresses, never evaluates. uv.h is
 * included by loop/ and net/ only; http and rpc see connections, timers and posts.
 *
 * Thread  as marked at each function
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/ctx.h"

struct loop;

/* Make the loop and start its thread; name shows in thread lists ("loop-0"). */
MUST_CHECK int loop_start(const char *name, struct loop **out, struct err *e);
/* Runs what was posted, closes handles, joins; BUG if a handle is left that nobody closes. */
void loop_stop(struct loop *l);
bool loop_is_current(const struct loop *l);

/* A set of loops: the first is the shared one (listeners, signals, timers). */
struct loops {
	struct loop **l;
	uint32_t n;
};
MUST_CHECK int loops_start(uint32_t n, struct loops *out, struct err *e);
void loops_stop(struct loops *ls);
struct loop *loops_next(struct loops *ls); /* round robin. SHARED */

/* Run fn(arg) on the loop's thread; posts of one thread keep their order. SHARED */
void loop_post(struct loop *l, void (*fn)(void *arg), void *arg);

/* Timers. LOOP; fn runs on the loop. Starting a running timer sets it anew. */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg);
void loop_timer_start(struct loop_timer *t, uint64_t delay_ns, uint64_t period_ns);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(
	struct loop_timer *t); /* NULL allowed; fn will not be called again */

/*
 * SIGINT, SIGTERM, SIGHUP on the loop: fn(arg, signo). The main thread, before it makes threads other than loops and
 * workers. The signal stays blocked in the caller for good: one that comes after the loop has stopped does nothing.
 */
MUST_CHECK int loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo),
			      void *arg, struct err *e);

/*
 * One answer for a worker. The operation is ref-counted: what an abandoned call still writes to
 * belongs to it, never to the caller's stack.
 *
 *   struct my_op { struct loop_op base; ...input, result... };
 *   loop_op_init(&op->base, my_op_free);
 *   rc = loop_call(l, ctx, my_op_start, &op->base, e);   -- WORKER, waits; deadline, cancel of ctx
 *   ...read the result if rc == 0...
 *   loop_op_unref(&op->base);
 *
 * start runs on the loop; loop_op_done(op, err or NULL) completes, once, from the loop (never inline
 * from start: it posts). When the caller gives up, `abandon` (may be NULL) is called on the loop;
 * done must be called all the same.
 */
struct loop_op {
	_Atomic uint32_t refs;
	void (*free)(struct loop_op *op);
	void (*abandon)(struct loop_op *op);
	struct loop *loop;
	struct loop_wait *wait; /* private */
	struct err err;
};
void loop_op_init(struct loop_op *op, void (*fn)(struct loop_op *op));
struct loop_op *loop_op_ref(struct loop_op *op);
void loop_op_unref(struct loop_op *op);
MUST_CHECK int loop_call(struct loop *l, struct ctx *ctx,
			 void (*start)(struct loop_op *op), struct loop_op *op,
			 struct err *e);
void loop_op_done(struct loop_op *op, const struct err *why); /* LOOP */

#endif
