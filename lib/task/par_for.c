/*
 * task/par_for.c - many hands for one list.
 *
 * A list lies on its caller's stack and hangs in the pool while it wants helpers. Indices are claimed
 * by an atomic counter. The caller claims until none is left, then takes the list out of the pool:
 * from there on nobody can join, and it waits only for the helpers that did, each of which is inside
 * fn and on its way. A helper that comes late finds no list. Hence no thread needs to be free, and
 * by induction over the depth of nesting every call returns.
 *
 *   caller: hang in --claim...--> take out --wait for joined == 0--> return
 *   helper:          join --claim...--> leave (the last word on the list, under the lock)
 *
 * Lists are served in turn: one that got a helper goes behind the others.
 */
#include "task/task_int.h"

#include <stdatomic.h>
#include <stdlib.h>

struct task_par_job {
	void (*fn)(void *arg, size_t i);
	void *arg;
	size_t n;
	_Atomic size_t next; /* first index nobody claimed */
	uint32_t want;	     /* helpers that may still join; cpu.mu like the rest */
	uint32_t joined;
	pthread_cond_t left; /* joined became 0 */
	bool linked;
	struct task_par_job *after, *before;
};

void task_cpu_init(struct task_cpu *c, uint32_t n)
{
	pthread_mutex_init(&c->mu, NULL);
	ctx_cond_init(&c->work);
	c->n = n;
	c->threads = xcalloc(n, sizeof(*c->threads));
}

void task_cpu_deinit(struct task_cpu *c)
{
	pthread_mutex_lock(&c->mu);
	BUG_ON(c->first != NULL);
	c->quit = true;
	pthread_cond_broadcast(&c->work);
	pthread_mutex_unlock(&c->mu);
	for (uint32_t i = 0; i < c->alive; i++)
		pthread_join(c->threads[i], NULL);
	free(c->threads);
	pthread_cond_destroy(&c->work);
	pthread_mutex_destroy(&c->mu);
}

static void link_last(struct task_cpu *c, struct task_par_job *j)
{
	j->after = NULL;
	j->before = c->last;
	if (c->last)
		c->last->after = j;
	else
		c->first = j;
	c->last = j;
	j->linked = true;
}

static void unlink_job(struct task_cpu *c, struct task_par_job *j)
{
	if (j->after)
		j->after->before = j->before;
	else
		c->last = j->before;
	if (j->before)
		j->before->after = j->after;
	else
		c->first = j->after;
	j->linked = false;
}

static void claim_all(struct task_par_job *j)
{
	size_t i;
	while ((i = atomic_fetch_add_explicit(&j->next, 1, memory_order_relaxed)) < j->n)
		j->fn(j->arg, i);
}

static void *cpu_main(void *arg)
{
	struct task_cpu *c = arg;
	task_forbid_wait();
	pthread_mutex_lock(&c->mu);
	while (!c->quit) {
		struct task_par_job *j = c->first;
		if (!j) {
			c->idle++;
			pthread_cond_wait(&c->work, &c->mu);
			c->idle--;
			continue;
		}
		unlink_job(c, j);
		if (--j->want > 0)
			link_last(c, j);
		j->joined++;
		pthread_mutex_unlock(&c->mu);
		claim_all(j);
		pthread_mutex_lock(&c->mu);
		if (j->linked)
			unlink_job(c, j); /* nothing left to claim */
		if (--j->joined == 0)
			pthread_cond_signal(&j->left);
		/* Once mu is dropped, *j may be gone. */
	}
	pthread_mutex_unlock(&c->mu);
	return NULL;
}

/* Wake idle threads for j, and make missing ones. With mu held. */
static void call_helpers(struct task_cpu *c, uint32_t want)
{
	while (c->idle < want && c->alive < c->n) {
		if (task_thread_start(&c->threads[c->alive], "cpu", cpu_main, c) != 0)
			break; /* then without it */
		c->alive++;
		want--;
	}
	for (uint32_t i = MIN(want, c->idle); i > 0; i--)
		pthread_cond_signal(&c->work);
}

static void run_alone(size_t n, void (*fn)(void *arg, size_t i), void *arg)
{
	task_forbid_wait();
	for (size_t i = 0; i < n; i++)
		fn(arg, i);
	task_allow_wait();
}

void task_par_for(struct task_pool *pool, size_t n, void (*fn)(void *arg, size_t i),
		  void *arg)
{
	if (!pool || n < 2 || pool->cpu.n < 2) {
		run_alone(n, fn, arg);
		return;
	}
	struct task_cpu *c = &pool->cpu;
	/* The caller works, too: together one for each core. */
	struct task_par_job j = { .fn = fn, .arg = arg, .n = n };
	j.want = (uint32_t)MIN(n - 1, (size_t)c->n - 1);
	atomic_init(&j.next, 0);
	pthread_cond_init(&j.left, NULL);

	pthread_mutex_lock(&c->mu);
	link_last(c, &j);
	call_helpers(c, j.want);
	pthread_mutex_unlock(&c->mu);

	task_forbid_wait();
	claim_all(&j);
	task_allow_wait();

	pthread_mutex_lock(&c->mu);
	if (j.linked)
		unlink_job(c, &j);
	while (j.joined > 0)
		pthread_cond_wait(&j.left, &c->mu);
	pthread_mutex_unlock(&c->mu);
	pthread_cond_destroy(&j.left);
}
