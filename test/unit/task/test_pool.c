#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/time.h"
#include "support/tst.h"
#include "task/task.h"

/* A latch that holds tasks until the test opens it. */
struct latch {
	pthread_mutex_t mu;
	pthread_cond_t cv;
	bool open;
	_Atomic int started, ended;
};

static void latch_init(struct latch *l)
{
	*l = (struct latch){ 0 };
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->cv, NULL);
}

static void latch_open(struct latch *l)
{
	pthread_mutex_lock(&l->mu);
	l->open = true;
	pthread_cond_broadcast(&l->cv);
	pthread_mutex_unlock(&l->mu);
}

static void hold(void *arg)
{
	struct latch *l = arg;
	l->started++;
	pthread_mutex_lock(&l->mu);
	while (!l->open)
		pthread_cond_wait(&l->cv, &l->mu);
	pthread_mutex_unlock(&l->mu);
	l->ended++;
}

static void add_one(void *arg)
{
	(*(_Atomic int *)arg)++;
}

Test(pool, free_waits_for_all_tasks)
{
	struct err e = ERR_INIT;
	_Atomic int n = 0;
	struct task_pool *p = task_pool_new(NULL);
	for (int i = 0; i < 200; i++) {
		cr_assert_eq(task_request(p, add_one, &n, &e), 0);
		task_bulk(p, add_one, &n);
	}
	task_pool_free(p);
	cr_assert_eq(n, 400);
}

Test(pool, free_of_an_unused_pool_returns)
{
	task_pool_free(task_pool_new(NULL));
	task_pool_free(NULL);
}

Test(pool, refuses_requests_past_its_cap_and_queues_admitted_ones)
{
	struct err e = ERR_INIT;
	struct latch l;
	uint32_t request, bulk;
	latch_init(&l);
	struct task_pool *p = task_pool_new(&(struct task_pool_opts){ .max_request = 3 });
	for (int i = 0; i < 3; i++)
		cr_assert_eq(task_request(p, hold, &l, &e), 0);
	cr_assert_eq(task_request(p, hold, &l, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_str_eq(err_text(&e), "all 3 request threads are busy");
	task_request_queued(p, hold, &l);
	task_request_queued(p, hold, &l);
	task_pool_stats(p, &request, &bulk);
	cr_assert_eq(request, 3u);
	cr_assert_eq(bulk, 0u);
	latch_open(&l);
	task_pool_free(p);
	cr_assert_eq(l.ended, 5);
}

static void reuse(void *arg)
{
	struct latch *l = arg;
	l->started++;
}

Test(pool, gives_a_new_task_to_an_idle_thread)
{
	struct err e = ERR_INIT;
	struct latch l;
	uint32_t request, bulk;
	latch_init(&l);
	struct task_pool *p =
		task_pool_new(&(struct task_pool_opts){ .max_request = 64 });
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(task_request(p, reuse, &l, &e), 0);
		while (l.started != i + 1)
			sched_yield();
		usleep(500);
	}
	task_pool_stats(p, &request, &bulk);
	cr_assert_lt(request, 10u);
	task_pool_free(p);
}

struct sched_seen {
	int policy, nice;
	bool may_wait;
};

static void look(void *arg)
{
	struct sched_seen *s = arg;
	s->policy = sched_getscheduler(0);
	s->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	s->may_wait = task_may_wait();
}

Test(pool, bulk_threads_are_modest)
{
	struct sched_seen bulk = { 0 }, request = { 0 };
	struct err e = ERR_INIT;
	struct task_pool *p = task_pool_new(NULL);
	task_bulk(p, look, &bulk);
	cr_assert_eq(task_request(p, look, &request, &e), 0);
	task_pool_free(p);
	cr_assert_eq(bulk.policy, SCHED_BATCH);
	cr_assert_eq(bulk.nice, 10);
	cr_assert_eq(request.policy, SCHED_OTHER);
	cr_assert(bulk.may_wait && request.may_wait);
}

static void submit_more(void *arg)
{
	void **a = arg;
	for (int i = 0; i < 50; i++)
		task_bulk(a[0], add_one, a[1]);
}

Test(pool, tasks_may_start_tasks_while_the_pool_ends)
{
	_Atomic int n = 0;
	struct task_pool *p = task_pool_new(NULL);
	void *a[] = { p, &n };
	for (int i = 0; i < 20; i++)
		task_request_queued(p, submit_more, a);
	task_pool_free(p);
	cr_assert_eq(n, 1000);
}

/* ---- par_for ---- */

#define ITEMS 5000
struct items {
	struct task_pool *p;
	_Atomic int seen[ITEMS];
	_Atomic int waiting_allowed;
};

static void visit(void *arg, size_t i)
{
	struct items *x = arg;
	x->seen[i]++;
	x->waiting_allowed += task_may_wait();
}

Test(par_for, visits_each_index_once)
{
	static struct items x;
	struct task_pool *p = task_pool_new(&(struct task_pool_opts){ .cpu = 4 });
	struct task_pool *pools[] = { NULL, p, p, p };
	for (int round = 0; round < 4; round++) {
		task_par_for(pools[round], ITEMS, visit, &x);
		for (int i = 0; i < ITEMS; i++)
			cr_assert_eq(x.seen[i], round + 1);
	}
	cr_assert_eq(x.waiting_allowed, 0);
	cr_assert(task_may_wait());
	task_par_for(p, 0, visit, &x);
	task_par_for(p, 1, visit, &x);
	cr_assert_eq(x.seen[0], 5);
	task_pool_free(p);
}

static void inner(void *arg, size_t i UNUSED)
{
	(*(_Atomic int *)arg)++;
}

struct outer {
	struct task_pool *p;
	_Atomic int n;
};

static void middle(void *arg, size_t i UNUSED)
{
	struct outer *o = arg;
	task_par_for(o->p, 7, inner, &o->n);
}

static void outermost(void *arg, size_t i UNUSED)
{
	struct outer *o = arg;
	task_par_for(o->p, 9, middle, o);
}

static void nested_task(void *arg)
{
	struct outer *o = arg;
	for (int i = 0; i < 20; i++)
		task_par_for(o->p, 11, outermost, o);
}

Test(par_for, nests_and_is_shared_by_many_callers)
{
	struct outer o = { 0 };
	o.p = task_pool_new(&(struct task_pool_opts){ .cpu = 3 });
	for (int i = 0; i < 6; i++)
		task_request_queued(o.p, nested_task, &o);
	nested_task(&o);
	task_pool_free(o.p);
	cr_assert_eq(o.n, 7 * 20 * 11 * 9 * 7);
}

struct meeting {
	_Atomic int here;
	_Atomic bool met;
};

static void meet(void *arg, size_t i UNUSED)
{
	struct meeting *m = arg;
	uint64_t until = time_after_ns(5 * NS_PER_S);
	m->here++;
	while (!m->met && time_mono_ns() < until) {
		if (m->here >= 2)
			m->met = true;
		sched_yield();
	}
}

Test(par_for, runs_on_several_threads_at_once)
{
	struct meeting m = { 0 };
	struct task_pool *p = task_pool_new(&(struct task_pool_opts){ .cpu = 2 });
	cr_assert_eq(task_cpus(p), 2u);
	cr_assert_eq(task_cpus(NULL), 1u);
	task_par_for(p, 2, meet, &m);
	cr_assert(m.met);
	task_pool_free(p);
}

static void *forbid(void *arg)
{
	bool *seen = arg;
	task_forbid_wait();
	*seen = task_may_wait();
	return NULL;
}

Test(may_wait, is_false_on_a_thread_that_forbade_it)
{
	bool seen = true;
	pthread_t t;
	pthread_create(&t, NULL, forbid, &seen);
	pthread_join(t, NULL);
	cr_assert_not(seen);
	cr_assert(task_may_wait());
}
