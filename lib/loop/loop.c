/*
 * loop/loop.c - a thread that runs one libuv loop, and the queue of posts by which others reach it.
 *
 * Posts are a locked list, woken by an eventfd. The whole list is taken at once and run in order; what is
 * posted meanwhile is seen in the next turn, so that I/O is never starved by posts that post again. (libuv's own uv_async_t
 * makes the loop spin until the sender has returned from its system call, which the loop may have interrupted.)
 */
#include "loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "loop/loop_int.h"
#include "task/task.h"

static _Thread_local const struct loop *current;

uv_loop_t *loop_uv(struct loop *l)
{
	return &l->uv;
}

bool loop_is_current(const struct loop *l)
{
	return current == l;
}

static struct post *take_posts(struct loop *l, bool *stopping)
{
	pthread_mutex_lock(&l->mu);
	struct post *p = l->head;
	l->head = NULL;
	l->tail = &l->head;
	*stopping = l->stopping;
	pthread_mutex_unlock(&l->mu);
	return p;
}

/* true: there were some. */
static bool run_posts(struct loop *l, bool *stopping)
{
	struct post *p = take_posts(l, stopping);
	bool any = p != NULL;
	while (p) {
		struct post *next = p->next;
		p->fn(p->arg);
		free(p);
		p = next;
	}
	return any;
}

static void wake(struct loop *l)
{
	const uint64_t one = 1;
	BUG_ON(write(l->wake_fd, &one, sizeof(one)) != sizeof(one));
}

static void on_wake(uv_poll_t *p, int status, int events)
{
	struct loop *l = p->data;
	uint64_t n;
	(void)status, (void)events;
	(void)!read(l->wake_fd, &n,
		    sizeof(n)); /* it does not block, should nothing be there */
	bool stopping, ran = run_posts(l, &stopping);
	if (!stopping)
		return;
	if (ran) { /* posts may have posted again: look once more before the loop may end */
		wake(l);
		return;
	}
	loop_signals_close(l);
	uv_unref((uv_handle_t *)p); /* wakes the loop as ever, but does not keep it */
}

/*
 * A handle that is still open when the loop stops may post as it ends, so the loop ends when neither handles nor posts
 * are left, and only then the handle by which posts wake it is closed.
 */
static void *run(void *arg)
{
	struct loop *l = arg;
	bool stopping;
	current = l;
	task_forbid_wait();
	pthread_setname_np(pthread_self(), l->name);
	do
		uv_run(&l->uv, UV_RUN_DEFAULT);
	while (run_posts(l, &stopping));
	loop_signals_close(l); /* of posts that ran last */
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	current = NULL;
	return NULL;
}

int loop_start(const char *name, struct loop **out, struct err *e)
{
	/* libuv writes to sockets that the peer may have closed: an error there, not the end of the process */
	signal(SIGPIPE, SIG_IGN);
	struct loop *l = xcalloc(1, sizeof(*l));
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->tail = &l->head;
	l->wake_fd = -1;
	pthread_mutex_init(&l->mu, NULL);
	int rc = uv_loop_init(&l->uv);
	if (rc == 0) {
		l->wake.data = l;
		l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		rc = l->wake_fd < 0 ? -errno : uv_poll_init(&l->uv, &l->wake, l->wake_fd);
	}
	if (rc == 0)
		rc = uv_poll_start(&l->wake, UV_READABLE, on_wake);
	if (rc == 0)
		rc = -loop_thread_start(&l->thread, run, l);
	if (rc != 0) {
		if (l->wake_fd >= 0)
			close(l->wake_fd);
		pthread_mutex_destroy(&l->mu);
		free(l);
		return err_set(NULL, e, E_IO, "event loop %s: %s", name, uv_strerror(rc));
	}
	*out = l;
	return 0;
}

void loop_stop(struct loop *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->mu);
	l->stopping = true;
	pthread_mutex_unlock(&l->mu);
	wake(l);
	pthread_join(l->thread, NULL);
	close(l->wake_fd);
	BUG_ON(uv_loop_close(&l->uv) != 0); /* a handle was left that nobody closed */
	BUG_ON(l->head);
	pthread_mutex_destroy(&l->mu);
	free(l);
}

void loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
	struct post *p = xmalloc(sizeof(*p));
	*p = (struct post){ fn, arg, NULL };
	pthread_mutex_lock(&l->mu);
	bool first = l->head == NULL;
	*l->tail = p;
	l->tail = &p->next;
	if (first) /* under the lock: a stopping loop looks at the queue before it ends */
		wake(l);
	pthread_mutex_unlock(&l->mu);
}

int loops_start(uint32_t n, struct loops *out, struct err *e)
{
	struct loops ls = { xcalloc(n, sizeof(*ls.l)), 0 };
	for (; ls.n < n; ls.n++) {
		char name[16];
		snprintf(name, sizeof(name), "loop-%u", ls.n);
		if (loop_start(name, &ls.l[ls.n], e) < 0) {
			loops_stop(&ls);
			return -1;
		}
	}
	*out = ls;
	return 0;
}

void loops_stop(struct loops *ls)
{
	while (ls->n)
		loop_stop(ls->l[--ls->n]);
	free(ls->l);
	*ls = (struct loops){ 0 };
}

struct loop *loops_next(struct loops *ls)
{
	static _Atomic uint32_t turn;
	return ls->l[atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) % ls->n];
}
