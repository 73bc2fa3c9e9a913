/*
 * task/task.c - request and bulk threads.
 *
 * Both are lanes of the same kind: a queue, and threads made on demand up to a maximum. A job goes to
 * the thread that became idle last, so that the others reach their 10 idle seconds and leave; it is
 * put into that thread's own slot, so that no other can take it in between. Only when all threads are
 * busy and no more may be made does a job wait in the queue.
 *
 *   busy --returns, queue empty--> idle --10 s--> gone
 *     ^------- handed a job --------'
 *
 * Leaving threads are joined without a collector: each joins the one that left before it, and
 * task_pool_free joins the last.
 */
#include "task/task_int.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/time.h"

#define IDLE_NS	    (10 * NS_PER_S)
#define MAX_REQUEST 1024u
#define MAX_BULK    4u
#define BULK_NICE   10

struct task_worker {
	pthread_cond_t wake;
	struct task_job *job; /* handed over while idle; pool.mu like all here */
	bool idle, quit;
	struct task_worker *next, *prev;
};

static void lane_init(struct task_lane *l, struct task_pool *p, const char *name,
		      bool bulk, uint32_t max)
{
	*l = (struct task_lane){ .pool = p, .name = name, .bulk = bulk, .max = max };
}

struct task_pool *task_pool_new(const struct task_pool_opts *o)
{
	struct task_pool_opts none = { 0 };
	struct task_pool *p = xcalloc(1, sizeof(*p));
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	if (!o)
		o = &none;
	pthread_mutex_init(&p->mu, NULL);
	ctx_cond_init(&p->quiet);
	lane_init(&p->request, p, "request", false,
		  o->max_request ? o->max_request : MAX_REQUEST);
	lane_init(&p->bulk, p, "bulk", true, o->max_bulk ? o->max_bulk : MAX_BULK);
	task_cpu_init(&p->cpu, o->cpu ? o->cpu : cores > 0 ? (uint32_t)cores : 1);
	task_timers_init(&p->timers);
	return p;
}

/* ---- the threads ---- */

static struct task_job *queue_pop(struct task_lane *l)
{
	struct task_job *j = l->head;
	if (!j)
		return NULL;
	l->head = j->next;
	if (l->head)
		l->head->prev = NULL;
	else
		l->tail = NULL;
	j->queued = false;
	l->queued--;
	return j;
}

static void idle_remove(struct task_lane *l, struct task_worker *w)
{
	if (w->next)
		w->next->prev = w->prev;
	if (w->prev)
		w->prev->next = w->next;
	else
		l->idle = w->next;
	w->idle = false;
}

/* Wait idle for a job; NULL: leave. The job is already counted as running. */
static struct task_job *next_job(struct task_lane *l, struct task_worker *w)
{
	struct task_job *j = queue_pop(l);
	if (j) {
		l->running++;
		return j;
	}
	w->job = NULL;
	w->idle = true;
	w->prev = NULL;
	w->next = l->idle;
	if (w->next)
		w->next->prev = w;
	l->idle = w;
	uint64_t until = time_after_ns(IDLE_NS);
	struct timespec ts = { .tv_sec = (time_t)(until / NS_PER_S),
			       .tv_nsec = (long)(until % NS_PER_S) };
	while (w->idle && !w->quit) {
		int rc = pthread_cond_timedwait(&w->wake, &l->pool->mu, &ts);
		if (rc == ETIMEDOUT)
			break;
	}
	if (w->idle)
		idle_remove(l, w);
	return w->job;
}

static void be_modest(void)
{
	struct sched_param none = { 0 };
	/* Both concern this thread only. Refused (by a sandbox, say): then at normal priority. */
	(void)sched_setscheduler(0, SCHED_BATCH, &none);
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), BULK_NICE);
}

static void *lane_main(void *arg)
{
	struct task_lane *l = arg;
	struct task_pool *p = l->pool;
	struct task_worker w = { 0 };
	struct task_job *j;
	if (l->bulk)
		be_modest();
	ctx_cond_init(&w.wake);
	pthread_mutex_lock(&p->mu);
	while ((j = next_job(l, &w)) != NULL) {
		void (*fn)(void *) = j->fn;
		void *fn_arg = j->arg;
		bool owned = j->owned;
		pthread_mutex_unlock(&p->mu);
		if (owned)
			free(j);
		fn(fn_arg);
		BUG_ON(!task_may_wait());
		pthread_mutex_lock(&p->mu);
		if (--l->running == 0)
			pthread_cond_broadcast(&p->quiet);
	}
	pthread_t before = l->ended;
	bool has_before = l->has_ended;
	l->ended = pthread_self();
	l->has_ended = true;
	l->alive--;
	pthread_cond_broadcast(&p->quiet);
	pthread_mutex_unlock(&p->mu);
	pthread_cond_destroy(&w.wake);
	if (has_before)
		pthread_join(before, NULL);
	return NULL;
}

/* ---- handing out jobs; all with pool.mu held ---- */

static void queue_push(struct task_lane *l, struct task_job *j)
{
	j->next = NULL;
	j->prev = l->tail;
	if (l->tail)
		l->tail->next = j;
	else
		l->head = j;
	l->tail = j;
	j->queued = true;
	l->queued++;
}

static void queue_remove(struct task_lane *l, struct task_job *j)
{
	if (j->next)
		j->next->prev = j->prev;
	else
		l->tail = j->prev;
	if (j->prev)
		j->prev->next = j->next;
	else
		l->head = j->next;
	j->queued = false;
	l->queued--;
}

/* 0: an idle thread has it, or it is queued; *rc_start: why no thread could be made for it, or 0. */
static void add_locked(struct task_lane *l, struct task_job *j, int *rc_start)
{
	*rc_start = 0;
	struct task_worker *w = l->idle;
	if (w) {
		idle_remove(l, w);
		w->job = j;
		l->running++;
		pthread_cond_signal(&w->wake);
		return;
	}
	queue_push(l, j);
	if (l->alive < l->max) {
		pthread_t t;
		*rc_start = task_thread_start(&t, l->name, lane_main, l);
		if (*rc_start == 0)
			l->alive++;
	}
}

void task_lane_add(struct task_lane *l, struct task_job *j)
{
	int rc;
	pthread_mutex_lock(&l->pool->mu);
	add_locked(l, j, &rc);
	BUG_ON(rc != 0 && l->alive == 0); /* not even one thread: nobody would run it */
	pthread_mutex_unlock(&l->pool->mu);
}

bool task_lane_remove(struct task_lane *l, struct task_job *j)
{
	pthread_mutex_lock(&l->pool->mu);
	bool was = j->queued;
	if (was) {
		queue_remove(l, j);
		pthread_cond_broadcast(&l->pool->quiet);
	}
	pthread_mutex_unlock(&l->pool->mu);
	return was;
}

static struct task_job *job_new(void (*fn)(void *), void *arg)
{
	struct task_job *j = xcalloc(1, sizeof(*j));
	j->fn = fn;
	j->arg = arg;
	j->owned = true;
	return j;
}

int task_request(struct task_pool *p, void (*fn)(void *), void *arg, struct err *e)
{
	struct task_lane *l = &p->request;
	struct task_job *j = job_new(fn, arg);
	int rc_start = 0;
	bool full;
	pthread_mutex_lock(&p->mu);
	full = l->running + l->queued >= l->max;
	if (!full)
		add_locked(l, j, &rc_start);
	/* A busy thread might return to it late or never, so that is a refusal as well. */
	if (rc_start)
		queue_remove(l, j);
	pthread_mutex_unlock(&p->mu);
	if (!full && !rc_start)
		return 0;
	free(j);
	if (full)
		return err_set(NULL, e, E_LIMIT, "all %u request threads are busy",
			       l->max);
	return err_errno(NULL, e, rc_start, "starting a request thread");
}

void task_request_queued(struct task_pool *p, void (*fn)(void *), void *arg)
{
	task_lane_add(&p->request, job_new(fn, arg));
}

void task_bulk(struct task_pool *p, void (*fn)(void *), void *arg)
{
	task_lane_add(&p->bulk, job_new(fn, arg));
}

/* ---- the end ---- */

static bool at_rest(const struct task_lane *l)
{
	return l->running == 0 && l->queued == 0;
}

static void lane_quit(struct task_lane *l)
{
	for (struct task_worker *w = l->idle; w; w = w->next) {
		w->quit = true;
		pthread_cond_signal(&w->wake);
	}
}

void task_pool_free(struct task_pool *p)
{
	if (!p)
		return;
	BUG_ON(!task_may_wait());
	task_timers_deinit(&p->timers);
	pthread_mutex_lock(&p->mu);
	while (!at_rest(&p->request) || !at_rest(&p->bulk))
		pthread_cond_wait(&p->quiet, &p->mu);
	while (p->request.alive || p->bulk.alive) {
		lane_quit(&p->request);
		lane_quit(&p->bulk);
		pthread_cond_wait(&p->quiet, &p->mu);
	}
	pthread_mutex_unlock(&p->mu);
	if (p->request.has_ended)
		pthread_join(p->request.ended, NULL);
	if (p->bulk.has_ended)
		pthread_join(p->bulk.ended, NULL);
	task_cpu_deinit(&p->cpu);
	pthread_cond_destroy(&p->quiet);
	pthread_mutex_destroy(&p->mu);
	free(p);
}

uint32_t task_cpus(const struct task_pool *p)
{
	return p ? p->cpu.n : 1;
}

uint32_t task_max_requests(const struct task_pool *p)
{
	return p->request.max;
}

void task_pool_stats(struct task_pool *p, uint32_t *request, uint32_t *bulk)
{
	pthread_mutex_lock(&p->mu);
	*request = p->request.alive;
	*bulk = p->bulk.alive;
	pthread_mutex_unlock(&p->mu);
}
