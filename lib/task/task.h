/*
 * task/task.h - the three kinds of worker threads, par_for, and delayed tasks. No libuv.
 *
 * request  one thread for each admitted request and for each selector it reads at the same time;
 *          may wait; made on demand up to a hard cap (1024), 256 KiB stacks, kept idle for 10 s
 * cpu      one a core; only work whose input is in memory; never waits; reached by par_for only
 * bulk     uploads, header builds, compaction: SCHED_BATCH, nice 10, may wait
 *
 * Thread  SHARED
 */
#ifndef TASK_TASK_H
#define TASK_TASK_H

#include "base/ctx.h"

struct task_pool;
struct task_pool_opts {
	uint32_t max_request; /* 0: 1024 */
	uint32_t cpu;	      /* 0: number of online cores */
	uint32_t max_bulk;    /* 0: 4 */
};
struct task_pool *task_pool_new(const struct task_pool_opts *o);
/* Waits until every task has returned, then joins all threads. Cancel their tokens first. */
void task_pool_free(struct task_pool *p);

/*
 * Run fn(arg) on a request (bulk) thread. request: -1 E_LIMIT when the cap is reached, nothing
 * runs then. bulk: queued without bound of its own (callers hold one entry each).
 */
MUST_CHECK int task_request(struct task_pool *p, void (*fn)(void *), void *arg,
			    struct err *e);
void task_bulk(struct task_pool *p, void (*fn)(void *), void *arg);
/* As task_request, but queued until a thread is free: for work that the caller already admitted. */
void task_request_queued(struct task_pool *p, void (*fn)(void *), void *arg);

/* Run fn(arg) on a bulk thread after delay_ns, then every period_ns (0: once), never overlapping. */
struct task_timer;
struct task_timer *task_timer_start(struct task_pool *p, uint64_t delay_ns,
				    uint64_t period_ns, void (*fn)(void *), void *arg);
void task_timer_now(struct task_timer *t); /* run as soon as possible, keeps the period */
void task_timer_stop(
	struct task_timer *t); /* waits for a running fn; frees; NULL allowed */

/*
 * fn(arg, i) for i in [0, n): the caller works through the list itself and idle cpu threads help.
 * Needs no free thread to finish, so it cannot deadlock, and nests. `pool` may be NULL: the caller
 * alone. fn is CPU class: it must not wait. Returns after the last fn returned. Cancel is the
 * callee's affair (poll ctx_check once a batch).
 */
void task_par_for(struct task_pool *pool, size_t n, void (*fn)(void *arg, size_t i),
		  void *arg);

/* False inside par_for's fn and on loop threads: the caller must not block. */
bool task_may_wait(void);
/* Loop threads call this once: waiting there is a bug that BUG_ONs in every bridge. */
void task_forbid_wait(void);

uint32_t task_cpus(const struct task_pool *p);
uint32_t task_max_requests(const struct task_pool *p); /* threads there may be */
/* Threads alive now: requests, bulk (for metrics). */
void task_pool_stats(struct task_pool *p, uint32_t *request, uint32_t *bulk);

/* ---- gate: at most n holders at once, the others queue in order of arrival. SHARED ---- */
struct task_gate;
struct task_gate *task_gate_new(uint32_t n);
void task_gate_free(struct task_gate *g);
MUST_CHECK int task_gate_enter(struct task_gate *g, struct ctx *ctx,
			       struct err *e); /* WORKER */
void task_gate_leave(struct task_gate *g);
uint32_t task_gate_held(struct task_gate *g);

#endif
