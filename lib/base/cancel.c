/*
 * base/cancel.c - cancel tokens.
 *
 * The flag is atomic for polling; the list of waiters and the first cancellation lie under the
 * token's mutex. Wakes run with that mutex held, which is what lets cancel_wait_end promise that no
 * wake runs after it: it takes the same mutex. Hence the lock order: token before anything that a
 * wake locks, and a thread that holds such a lock must drop it before cancel_wait_begin or _end.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/ctx.h"

struct cancel {
	_Atomic uint32_t refs;
	_Atomic bool cancelled;
	const char *why; /* written once, before `cancelled` is set */
	pthread_mutex_t mu;
	struct cancel_waiter *waiters; /* mu */
};

struct cancel *cancel_new(void)
{
	struct cancel *c = xcalloc(1, sizeof(*c));
	atomic_init(&c->refs, 1);
	atomic_init(&c->cancelled, false);
	pthread_mutex_init(&c->mu, NULL);
	return c;
}

struct cancel *cancel_ref(struct cancel *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void cancel_unref(struct cancel *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	BUG_ON(c->waiters != NULL);
	pthread_mutex_destroy(&c->mu);
	free(c);
}

static void unlink_waiter(struct cancel *c, struct cancel_waiter *w)
{
	if (w->next)
		w->next->prev = w->prev;
	if (w->prev)
		w->prev->next = w->next;
	else
		c->waiters = w->next;
	w->next = w->prev = NULL;
	w->linked = false;
}

void cancel_now(struct cancel *c, const char *why)
{
	if (!c || cancel_is(c))
		return;
	pthread_mutex_lock(&c->mu);
	if (!cancel_is(c)) {
		c->why = why ? why : "cancelled";
		atomic_store_explicit(&c->cancelled, true, memory_order_release);
		while (c->waiters) {
			struct cancel_waiter *w = c->waiters;
			unlink_waiter(c, w);
			w->wake(w->arg); /* may end the waiter's wait, not its memory */
		}
	}
	pthread_mutex_unlock(&c->mu);
}

bool cancel_is(const struct cancel *c)
{
	return c && atomic_load_explicit(&c->cancelled, memory_order_relaxed);
}

const char *cancel_why(const struct cancel *c)
{
	if (!c || !atomic_load_explicit(&c->cancelled, memory_order_acquire))
		return "";
	return c->why;
}

void cancel_wait_begin(struct cancel *c, struct cancel_waiter *w)
{
	w->next = w->prev = NULL;
	w->linked = false;
	if (!c)
		return;
	pthread_mutex_lock(&c->mu);
	if (cancel_is(c)) {
		w->wake(w->arg);
	} else {
		w->next = c->waiters;
		if (w->next)
			w->next->prev = w;
		c->waiters = w;
		w->linked = true;
	}
	pthread_mutex_unlock(&c->mu);
}

void cancel_wait_end(struct cancel *c, struct cancel_waiter *w)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->mu);
	if (w->linked)
		unlink_waiter(c, w);
	pthread_mutex_unlock(&c->mu);
}
