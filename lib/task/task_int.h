/*
 * task/task_int.h - the pool as its own files see it.
 *
 * Locks, outermost first: timers.mu, pool.mu. cpu.mu is taken alone.
 */
#ifndef TASK_TASK_INT_H
#define TASK_TASK_INT_H

#include "task/task.h"

/* A unit of work: of its own on the heap (owned), or part of a timer. */
struct task_job {
	void (*fn)(void *);
	void *arg;
	struct task_job *next, *prev;
	bool queued; /* linked in a lane; pool.mu */
	bool owned;  /* freed when a thread takes it */
};

struct task_worker;

/* The request or the bulk threads. All under pool.mu. */
struct task_lane {
	struct task_pool *pool;
	const char *name;
	bool bulk;
	uint32_t max, alive, running; /* threads; jobs taken and not yet returned */
	struct task_job *head, *tail; /* waiting for a thread */
	uint32_t queued;
	struct task_worker *idle; /* the latest to become idle first */
	pthread_t ended;	  /* a thread that left and is not joined yet */
	bool has_ended;
};

struct task_par_job;

struct task_cpu {
	pthread_mutex_t mu;
	pthread_cond_t work;		   /* an entry was added to `open`, or quit */
	struct task_par_job *first, *last; /* lists that want helpers; mu */
	pthread_t *threads;		   /* mu, until quit */
	uint32_t n, alive, idle;	   /* at most; made; waiting in `work` */
	bool quit;
};

struct task_timers {
	pthread_mutex_t mu;
	pthread_cond_t changed;	  /* the first entry or quit; monotonic clock */
	struct task_timer *first; /* waiting, by time */
	pthread_t thread;
	bool started, quit;
	uint32_t n; /* timers that exist */
};

struct task_pool {
	pthread_mutex_t mu;
	pthread_cond_t quiet; /* a lane came to rest, or a thread left */
	struct task_lane request, bulk;
	struct task_cpu cpu;
	struct task_timers timers;
};

/* Start a thread with our stack size, name, and asynchronous signals blocked; errno value or 0. */
int task_thread_start(pthread_t *out, const char *name, void *(*fn)(void *), void *arg);

/* Undoes one task_forbid_wait: par_for's caller gets its right back. */
void task_allow_wait(void);

/* Append; starts or wakes a thread. The job stays the caller's unless `owned`. */
void task_lane_add(struct task_lane *l, struct task_job *j);
/* Take back a job that no thread has taken yet; false: it runs, ran, or was never added. */
bool task_lane_remove(struct task_lane *l, struct task_job *j);

void task_cpu_init(struct task_cpu *c, uint32_t n);
void task_cpu_deinit(struct task_cpu *c);
void task_timers_init(struct task_timers *t);
void task_timers_deinit(struct task_timers *t);

#endif
