/*
 * task/pipe.h - a bounded single-producer single-consumer queue of byte views, the bridge for
 * streams between a loop and a worker (gRPC messages, HTTP bodies, remote read), in either direction.
 *
 * A message is a `struct view`: bytes and the pin (a slab) that keeps them. The producer hands its
 * pin over; the consumer puts it back by pipe_release, which returns the credit. Bytes in the queue
 * plus bytes handed out and not yet released count as `held`, at most `limit` (one message is always
 * taken, however large, when nothing is held). A worker end waits (deadline and cancel of ctx); a
 * loop end never waits: its wake callback is called, from the other side's thread, once after it
 * was told "full" or "empty"; the callback must only post to the loop.
 *
 * Ended: end, fail (producer) or close (consumer) are sticky; the first wins. Queued messages are
 * still read before end or error is seen. After the consumer closed, writes return -1 E_CANCELLED.
 *
 * At most 16384 messages are queued, which bounds the queue itself when messages are tiny. Wakes run
 * under the pipe's mutex, and none comes after end, fail or close of one's own end has returned. A
 * write that the budget refuses is -1 E_LIMIT; the producer then calls pipe_fail.
 *
 * Thread  SHARED (one mutex); each end is used by one thread at a time. Ref-counted: each end owns
 *         one reference; pipe_unref by each side at its end.
 */
#ifndef TASK_PIPE_H
#define TASK_PIPE_H

#include "base/ctx.h"
#include "base/ref.h"

struct pipe;
struct pipe_opts {
	size_t limit;	  /* bytes held before the producer is told to stop; 0: 1 MiB */
	size_t limit_max; /* grows up to this, doubling each time the consumer finds it empty
				 after it was full; 0: = limit */
	uint64_t
		slow_ns; /* not 0: only when waits as long as this one are half of the time in which four times the
			  * limit went through; it is halved again when they are an eighth of that of sixteen times */
	uint64_t (*now_ns)(void); /* NULL: time_mono_ns */
	struct budget
		*budget; /* charged for held bytes when charge is set; may be NULL */
	bool charge;	 /* views are not slabs charged elsewhere: charge them here */
};
struct pipe *
pipe_new(const struct pipe_opts *o); /* two references: producer's and consumer's */
void pipe_unref(struct pipe *p);

/* A loop end says whom to wake; not set: the end is a worker's. Call before first use. */
void pipe_producer_wake(struct pipe *p, void (*wake)(void *arg), void *arg);
void pipe_consumer_wake(struct pipe *p, void (*wake)(void *arg), void *arg);

enum { PIPE_END = 0, PIPE_OK = 1, PIPE_AGAIN = 2 }; /* and -1: error */

/* -- producer -- */
/* Takes over v->pin in every case but PIPE_AGAIN. WORKER waits; returns 0 or -1. */
MUST_CHECK int pipe_write(struct pipe *p, struct ctx *ctx, struct view v, struct err *e);
/* LOOP: PIPE_OK taken; PIPE_AGAIN full, not taken, wake later; -1 the consumer closed. */
MUST_CHECK int pipe_try_write(struct pipe *p, struct view v, struct err *e);
/* LOOP: takes it even beyond the limit (a complete message that already lies in memory). */
MUST_CHECK int pipe_push(struct pipe *p, struct view v, struct err *e);
bool pipe_full(struct pipe *p); /* true also arms the producer's wake */
void pipe_end(struct pipe *p);
void pipe_fail(struct pipe *p, const struct err *why); /* copied; long text is cut */

/* -- consumer -- */
/* PIPE_OK: *out is valid until pipe_release; PIPE_END; -1 with the producer's error. WORKER. */
MUST_CHECK int pipe_read(struct pipe *p, struct ctx *ctx, struct view *out,
			 struct err *e);
MUST_CHECK int pipe_try_read(struct pipe *p, struct view *out,
			     struct err *e); /* or PIPE_AGAIN */
void pipe_release(struct pipe *p, struct view *v);
void pipe_close(struct pipe *p,
		const char *why); /* consumer wants no more; wakes the producer */

size_t pipe_held(struct pipe *p);
bool pipe_closed(struct pipe *p);

#endif
