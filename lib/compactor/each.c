/*
 * compactor/each.c - a list of things that wait, several at a time; and waiting itself.
 */
#include "compactor/compactor_int.h"

#include <stdlib.h>

#include "base/time.h"

struct list {
	pthread_mutex_t mu; /* guards all below */
	pthread_cond_t idle;
	size_t n, next;
	int (*fn)(void *arg, size_t i, struct err *e);
	void *arg;
	bool go_on;
	uint32_t helpers;
	struct err e;
};

static void work(struct list *l)
{
	pthread_mutex_lock(&l->mu);
	while (l->next < l->n && (l->go_on || l->e.code == E_OK)) {
		size_t i = l->next++;
		struct err e = ERR_INIT;
		pthread_mutex_unlock(&l->mu);
		int rc = l->fn(l->arg, i, &e);
		pthread_mutex_lock(&l->mu);
		if (rc < 0 && l->e.code == E_OK)
			l->e = e; /* a long text lives as long as the ctx */
	}
	pthread_mutex_unlock(&l->mu);
}

static void help(void *arg)
{
	struct list *l = arg;
	work(l);
	pthread_mutex_lock(&l->mu);
	if (--l->helpers == 0)
		pthread_cond_signal(&l->idle);
	pthread_mutex_unlock(&l->mu);
}

int each_of(struct task_pool *pool, uint32_t concurrency, size_t n,
	    int (*fn)(void *arg, size_t i, struct err *e), void *arg, bool go_on,
	    struct err *e)
{
	struct list l = { .n = n, .fn = fn, .arg = arg, .go_on = go_on };
	struct err none = ERR_INIT;
	pthread_mutex_init(&l.mu, NULL);
	pthread_cond_init(&l.idle, NULL);
	for (size_t i = 1; pool && i < concurrency && i < n; i++) {
		pthread_mutex_lock(&l.mu);
		l.helpers++;
		pthread_mutex_unlock(&l.mu);
		if (task_request(pool, help, &l, &none) == 0)
			continue;
		pthread_mutex_lock(&l.mu);
		l.helpers--;
		pthread_mutex_unlock(&l.mu);
		break;
	}
	work(&l);
	pthread_mutex_lock(&l.mu);
	while (l.helpers)
		pthread_cond_wait(&l.idle, &l.mu);
	pthread_mutex_unlock(&l.mu);
	pthread_cond_destroy(&l.idle);
	pthread_mutex_destroy(&l.mu);
	if (l.e.code == E_OK)
		return 0;
	*e = l.e;
	return -1;
}

static bool never(void *arg UNUSED)
{
	return false;
}

void nap(struct ctx *ctx, uint64_t ns)
{
	struct ctx c = ctx_child(ctx, time_after_ns(ns));
	struct err e = ERR_INIT;
	pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cv;
	ctx_cond_init(&cv);
	pthread_mutex_lock(&mu);
	if (ctx_cond_wait(&c, &cv, &mu, never, NULL, &e) == 0)
		BUG_ON(true);
	pthread_mutex_unlock(&mu);
	pthread_cond_destroy(&cv);
	pthread_mutex_destroy(&mu);
}
