/*
 * task/pipe.c - the bounded queue between a loop and a worker.
 *
 *   producer --write--> [ queued views ] --read--> handed out --release--> gone
 *                       '------------- held bytes -----------'
 *
 * Room for a message of n bytes: nothing is held, or held + n <= limit; and fewer than MAX_QUEUED
 * messages are queued, which bounds the queue's own memory when messages are tiny or empty.
 *
 * A producer that was told "full" is woken when three quarters of the limit or less are held, so that
 * it wakes once for a quarter's worth of room, not for every message; and when the consumer finds the
 * queue empty although there is room, because then nothing else would wake it. That last moment is
 * also when the limit doubles: a consumer that runs dry right after the producer was held back shows
 * a window smaller than what the way between them delays. Where both are on one machine it shows no more than that they take
 * turns, and a larger window would only hold more; on a busy one, that either side waited for a processor. With slow_ns set only
 * long waits count, and the limit doubles when they are half of the time since it last did: then the reader could take twice as much.
 * It is halved again where hardly any time was waited for many times what it lets through.
 *
 * Wake callbacks run under the mutex. They only post, so this cannot lock up, and it means that an end
 * which has ended (end, fail, close) is not called any more once its call returned: its loop object
 * may go away.
 *
 * The first of end, fail, close decides what is seen. A close after an end still drops the queue.
 */
#include "task/pipe.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/time.h"
#include "task/task.h"

#define LIMIT_BYTES ((size_t)1 << 20)
#define MAX_QUEUED  16384u
#define FIRST_SLOTS 8u
/* Limits' worth of bytes, slow_ns set. */
#define GROW_AFTER   4
#define SHRINK_AFTER 16

enum pipe_state { PIPE_OPEN, PIPE_ENDED, PIPE_FAILED, PIPE_CLOSED };

struct side {
	pthread_cond_t cv; /* a worker waits here */
	void (*wake)(void *arg);
	void *arg;
	bool waiting; /* worker sleeps on cv */
	bool armed;   /* loop end was told full or empty */
};

struct pipe {
	_Atomic uint32_t refs;
	struct budget *budget; /* NULL: nothing is charged here */
	size_t limit_min, limit_max;
	uint64_t (*now_ns)(void);

	pthread_mutex_t mu; /* all below */
	struct side producer, consumer;
	struct view *ring;
	uint32_t slots, first, queued; /* slots: a power of two */
	size_t held, limit;
	bool was_full; /* the producer was told so since the consumer last ran dry */
	uint64_t slow_ns, dry_ns; /* when it ran dry after that; 0: it did not */
	/* Since the limit was looked at last: when that was (0: nothing came yet), long waits, and bytes. */
	uint64_t since_ns, waited_ns;
	size_t passed, calm; /* calm: bytes since anything worth a word was waited */
	bool closed;
	enum pipe_state state;
	struct err why;	       /* FAILED */
	const char *close_why; /* CLOSED */
};

struct pipe *pipe_new(const struct pipe_opts *o)
{
	struct pipe *p = xcalloc(1, sizeof(*p));
	atomic_init(&p->refs, 2);
	p->limit = o && o->limit ? o->limit : LIMIT_BYTES;
	p->limit_min = p->limit;
	p->limit_max = o ? MAX(o->limit_max, p->limit) : p->limit;
	p->now_ns = o && o->now_ns ? o->now_ns : time_mono_ns;
	p->slow_ns = o ? o->slow_ns : 0;
	p->budget = o && o->charge ? o->budget : NULL;
	pthread_mutex_init(&p->mu, NULL);
	ctx_cond_init(&p->producer.cv);
	ctx_cond_init(&p->consumer.cv);
	return p;
}

static void drop_views(struct pipe *p, struct view *ring, uint32_t slots, uint32_t first,
		       uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct view *v = &ring[(first + i) & (slots - 1)];
		budget_give(p->budget, v->n);
		view_put(v);
	}
	free(ring);
}

void pipe_unref(struct pipe *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	drop_views(p, p->ring, p->slots, p->first, p->queued);
	pthread_cond_destroy(&p->producer.cv);
	pthread_cond_destroy(&p->consumer.cv);
	pthread_mutex_destroy(&p->mu);
	free(p);
}

void pipe_producer_wake(struct pipe *p, void (*wake)(void *arg), void *arg)
{
	pthread_mutex_lock(&p->mu);
	p->producer.wake = wake;
	p->producer.arg = arg;
	pthread_mutex_unlock(&p->mu);
}

void pipe_consumer_wake(struct pipe *p, void (*wake)(void *arg), void *arg)
{
	pthread_mutex_lock(&p->mu);
	p->consumer.wake = wake;
	p->consumer.arg = arg;
	pthread_mutex_unlock(&p->mu);
}

/* ---- all with mu held ---- */

static void rouse(struct side *s)
{
	if (s->waiting)
		pthread_cond_signal(&s->cv);
	if (s->armed) {
		s->armed = false;
		if (s->wake)
			s->wake(s->arg);
	}
}

static bool has_room(const struct pipe *p, size_t n)
{
	if (p->queued >= MAX_QUEUED)
		return false;
	return p->held == 0 || (p->held <= p->limit && n <= p->limit - p->held);
}

/* Low enough for a producer that was held back. */
static bool is_low(const struct pipe *p)
{
	return p->held <= p->limit - (p->limit + 3) / 4 &&
	       p->queued <= MAX_QUEUED / 4 * 3;
}

static void told_full(struct pipe *p, bool arm)
{
	p->was_full = true;
	if (arm)
		p->producer.armed = true;
}

static void double_limit(struct pipe *p)
{
	p->limit = p->limit > p->limit_max / 2 ? p->limit_max : p->limit * 2;
}

/* What was waited, of the time in which so many limits' worth came through. */
static void look(struct pipe *p, uint64_t now)
{
	uint64_t took = now - p->since_ns;
	p->calm = p->waited_ns < took / 8 ? p->calm + p->passed : 0;
	if (p->waited_ns >= took / 2 && p->waited_ns) {
		double_limit(p);
	} else if (p->calm / SHRINK_AFTER >= p->limit) {
		p->limit = MAX(p->limit / 2, p->limit_min);
		p->calm = 0;
	}
	p->since_ns = now;
	p->waited_ns = 0;
	p->passed = 0;
}

/* The consumer found nothing to read. */
static void ran_dry(struct pipe *p)
{
	if (p->was_full && p->slow_ns)
		p->dry_ns = p->now_ns();
	else if (p->was_full)
		double_limit(p);
	p->was_full = false;
	if (has_room(p, 1))
		rouse(&p->producer);
}

/* Something comes, maybe for a consumer that ran dry after the producer was held back. */
static void watch(struct pipe *p, size_t n)
{
	uint64_t dry = p->dry_ns, now;
	p->passed += n;
	if (!dry && p->since_ns && p->passed / SHRINK_AFTER < p->limit)
		return;
	now = p->now_ns();
	if (!p->since_ns)
		p->since_ns = now;
	if (dry && now - dry >= p->slow_ns)
		p->waited_ns += now - dry;
	p->dry_ns = 0;
	if (p->passed / GROW_AFTER >= p->limit)
		look(p, now);
}

static void enqueue(struct pipe *p, struct view v)
{
	if (p->slow_ns)
		watch(p, v.n);
	if (p->queued == p->slots) {
		uint32_t slots = p->slots ? p->slots * 2 : FIRST_SLOTS;
		struct view *ring = xreallocarray(NULL, slots, sizeof(*ring));
		for (uint32_t i = 0; i < p->queued; i++)
			ring[i] = p->ring[(p->first + i) & (p->slots - 1)];
		free(p->ring);
		p->ring = ring;
		p->slots = slots;
		p->first = 0;
	}
	p->ring[(p->first + p->queued++) & (p->slots - 1)] = v;
	p->held += v.n;
	rouse(&p->consumer);
}

static struct view dequeue(struct pipe *p)
{
	struct view v = p->ring[p->first];
	p->first = (p->first + 1) & (p->slots - 1);
	p->queued--;
	if (p->queued == MAX_QUEUED / 4 * 3 && is_low(p))
		rouse(&p->producer);
	return v;
}

/* -1 if nothing more can be written. */
static int check_writable(const struct pipe *p, struct ctx *ctx, struct err *e)
{
	if (p->closed)
		return err_set(ctx, e, E_CANCELLED, "%s",
			       p->close_why ? p->close_why : "reader closed the stream");
	if (p->state != PIPE_OPEN)
		return err_set(ctx, e, E_INTERNAL, "write after the end of a stream");
	return 0;
}

/* Charge and queue, or drop. */
static int accept_view(struct pipe *p, struct ctx *ctx, struct view *v, struct err *e)
{
	if (budget_take(p->budget, ctx, v->n, e) < 0)
		return -1;
	enqueue(p, *v);
	*v = (struct view){ 0 };
	return 0;
}

/* What the consumer sees of the end; 0 (PIPE_END) or -1. */
static int see_end(const struct pipe *p, struct ctx *ctx, struct err *e)
{
	switch (p->state) {
	case PIPE_FAILED: return err_copy(ctx, e, &p->why);
	case PIPE_CLOSED:
		return err_set(ctx, e, E_CANCELLED, "%s",
			       p->close_why ? p->close_why : "stream is closed");
	default: return PIPE_END;
	}
}

/* ---- producer ---- */

struct room_wait {
	const struct pipe *p;
	size_t n;
};

static bool may_write(void *arg)
{
	const struct room_wait *w = arg;
	return w->p->closed || w->p->state != PIPE_OPEN || has_room(w->p, w->n);
}

int pipe_write(struct pipe *p, struct ctx *ctx, struct view v, struct err *e)
{
	struct room_wait w = { p, v.n };
	int rc = 0;
	BUG_ON(!task_may_wait());
	pthread_mutex_lock(&p->mu);
	if (!may_write(&w)) {
		told_full(p, false);
		p->producer.waiting = true;
		rc = ctx_cond_wait(ctx, &p->producer.cv, &p->mu, may_write, &w, e);
		p->producer.waiting = false;
	}
	if (rc == 0)
		rc = check_writable(p, ctx, e);
	if (rc == 0)
		rc = accept_view(p, ctx, &v, e);
	pthread_mutex_unlock(&p->mu);
	view_put(&v);
	return rc;
}

int pipe_try_write(struct pipe *p, struct view v, struct err *e)
{
	int rc = PIPE_OK;
	pthread_mutex_lock(&p->mu);
	if (check_writable(p, NULL, e) < 0) {
		rc = -1;
	} else if (!has_room(p, v.n)) {
		told_full(p, true);
		rc = PIPE_AGAIN;
	} else if (accept_view(p, NULL, &v, e) < 0) {
		rc = -1;
	}
	pthread_mutex_unlock(&p->mu);
	if (rc != PIPE_AGAIN)
		view_put(&v);
	return rc;
}

int pipe_push(struct pipe *p, struct view v, struct err *e)
{
	pthread_mutex_lock(&p->mu);
	int rc = check_writable(p, NULL, e);
	if (rc == 0)
		rc = accept_view(p, NULL, &v, e);
	pthread_mutex_unlock(&p->mu);
	view_put(&v);
	return rc;
}

bool pipe_full(struct pipe *p)
{
	pthread_mutex_lock(&p->mu);
	bool full = !p->closed && p->state == PIPE_OPEN && !has_room(p, 1);
	if (full)
		told_full(p, true);
	pthread_mutex_unlock(&p->mu);
	return full;
}

static void finish(struct pipe *p, enum pipe_state state, const struct err *why)
{
	pthread_mutex_lock(&p->mu);
	if (p->state == PIPE_OPEN) {
		p->state = state;
		if (why)
			err_copy(NULL, &p->why, why);
		rouse(&p->consumer);
	}
	p->producer.armed = false;
	pthread_mutex_unlock(&p->mu);
}

void pipe_end(struct pipe *p)
{
	finish(p, PIPE_ENDED, NULL);
}

void pipe_fail(struct pipe *p, const struct err *why)
{
	finish(p, PIPE_FAILED, why);
}

/* ---- consumer ---- */

static bool may_read(void *arg)
{
	const struct pipe *p = arg;
	return p->queued > 0 || p->state != PIPE_OPEN;
}

int pipe_read(struct pipe *p, struct ctx *ctx, struct view *out, struct err *e)
{
	int rc = 0;
	BUG_ON(!task_may_wait());
	pthread_mutex_lock(&p->mu);
	if (!may_read(p)) {
		ran_dry(p);
		p->consumer.waiting = true;
		rc = ctx_cond_wait(ctx, &p->consumer.cv, &p->mu, may_read, p, e);
		p->consumer.waiting = false;
	}
	if (rc == 0 && p->queued) {
		*out = dequeue(p);
		rc = PIPE_OK;
	} else if (rc == 0) {
		rc = see_end(p, ctx, e);
	}
	pthread_mutex_unlock(&p->mu);
	return rc;
}

int pipe_try_read(struct pipe *p, struct view *out, struct err *e)
{
	int rc = PIPE_OK;
	pthread_mutex_lock(&p->mu);
	if (p->queued) {
		*out = dequeue(p);
	} else if (p->state != PIPE_OPEN) {
		rc = see_end(p, NULL, e);
	} else {
		p->consumer.armed = true;
		ran_dry(p);
		rc = PIPE_AGAIN;
	}
	pthread_mutex_unlock(&p->mu);
	return rc;
}

void pipe_release(struct pipe *p, struct view *v)
{
	size_t n = v->n;
	/* The bytes go before their credit: what the producer may add has been freed by then. */
	view_put(v);
	pthread_mutex_lock(&p->mu);
	BUG_ON(n > p->held);
	budget_give(p->budget, n);
	p->held -= n;
	if (is_low(p))
		rouse(&p->producer);
	pthread_mutex_unlock(&p->mu);
}

void pipe_close(struct pipe *p, const char *why)
{
	pthread_mutex_lock(&p->mu);
	struct view *ring = p->ring;
	uint32_t slots = p->slots, first = p->first, n = p->queued;
	for (uint32_t i = 0; i < n; i++)
		p->held -= ring[(first + i) & (slots - 1)].n;
	p->ring = NULL;
	p->slots = p->first = p->queued = 0;
	if (!p->closed) {
		p->closed = true;
		p->close_why = why;
	}
	if (p->state == PIPE_OPEN)
		p->state = PIPE_CLOSED;
	p->consumer.armed = false;
	rouse(&p->producer);
	pthread_mutex_unlock(&p->mu);
	drop_views(p, ring, slots, first, n);
}

size_t pipe_held(struct pipe *p)
{
	pthread_mutex_lock(&p->mu);
	size_t n = p->held;
	pthread_mutex_unlock(&p->mu);
	return n;
}

bool pipe_closed(struct pipe *p)
{
	pthread_mutex_lock(&p->mu);
	bool closed = p->closed;
	pthread_mutex_unlock(&p->mu);
	return closed;
}
