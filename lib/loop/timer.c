/*
 * loop/timer.c - timers and signals on a loop. A timer's memory goes in the close callback of its handle.
 */
#include <signal.h>
#include <stdlib.h>

#include "base/time.h"
#include "loop/loop_int.h"

struct loop_timer {
	uv_timer_t uv;
	void (*fn)(void *arg);
	void *arg;
};

struct loop_timer *loop_timer_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
	BUG_ON(!loop_is_current(l));
	struct loop_timer *t = xcalloc(1, sizeof(*t));
	t->fn = fn;
	t->arg = arg;
	t->uv.data = t;
	BUG_ON(uv_timer_init(&l->uv, &t->uv) != 0);
	return t;
}

static void on_timer(uv_timer_t *uv)
{
	struct loop_timer *t = uv->data;
	t->fn(t->arg);
}

static uint64_t ms_of(uint64_t ns)
{
	return ns / NS_PER_MS + (ns % NS_PER_MS != 0);
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ns, uint64_t period_ns)
{
	uv_update_time(t->uv.loop); /* the loop's clock may be a long turn behind */
	uv_timer_start(&t->uv, on_timer, ms_of(delay_ns), ms_of(period_ns));
}

void loop_timer_stop(struct loop_timer *t)
{
	uv_timer_stop(&t->uv);
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

void loop_timer_free(struct loop_timer *t)
{
	if (t)
		uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

/* ---- signals ---- */

/*
 * A signal is watched by one loop and blocked in every other thread, and there, too, before its watch closes: libuv then
 * restores the default action, by which a second SIGTERM would kill a process that is about to end in good order. What
 * comes later stays pending.
 */
static void mask(int how, int signo)
{
	sigset_t s;
	sigemptyset(&s);
	sigaddset(&s, signo);
	BUG_ON(pthread_sigmask(how, &s, NULL) != 0);
}

int loop_thread_start(pthread_t *out, void *(*fn)(void *arg), void *arg)
{
	sigset_t s;
	pthread_attr_t attr;
	sigemptyset(&s);
	sigaddset(&s, SIGINT);
	sigaddset(&s, SIGTERM);
	sigaddset(&s, SIGHUP);
	pthread_attr_init(&attr);
	pthread_attr_setsigmask_np(&attr, &s);
	int rc = pthread_create(out, &attr, fn, arg);
	pthread_attr_destroy(&attr);
	return rc;
}

struct signal_watch {
	uv_signal_t uv;
	struct loop *loop;
	int signo;
	void (*fn)(void *arg, int signo);
	void *arg;
	struct signal_watch *next;
};

static void on_signal(uv_signal_t *uv, int signo)
{
	struct signal_watch *w = uv->data;
	w->fn(w->arg, signo);
}

static void signal_begin(void *arg)
{
	struct signal_watch *w = arg;
	w->uv.data = w;
	BUG_ON(uv_signal_init(&w->loop->uv, &w->uv) != 0);
	BUG_ON(uv_signal_start(&w->uv, on_signal, w->signo) != 0);
	w->next = w->loop->signals;
	w->loop->signals = w;
	mask(SIG_UNBLOCK, w->signo);
}

static void on_signal_closed(uv_handle_t *h)
{
	free(h->data);
}

void loop_signals_close(struct loop *l)
{
	while (l->signals) {
		struct signal_watch *w = l->signals;
		l->signals = w->next;
		mask(SIG_BLOCK, w->signo);
		uv_close((uv_handle_t *)&w->uv, on_signal_closed);
	}
}

int loop_on_signal(struct loop *l, int signo, void (*fn)(void *arg, int signo), void *arg,
		   struct err *e)
{
	(void)e;
	struct signal_watch *w = xcalloc(1, sizeof(*w));
	w->loop = l;
	w->signo = signo;
	w->fn = fn;
	w->arg = arg;
	mask(SIG_BLOCK, signo);
	loop_post(l, signal_begin, w);
	return 0;
}
