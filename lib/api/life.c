/*
 * api/life.c - the life of a query: a place among --query.max-concurrent, memory, evaluation, and what is said about it
 * afterwards in logs and metrics.
 *
 * Memory. Each query has a budget (--query.max-memory) which draws on that of all (--query.total-memory), which draws on
 * the process'. A query that would pass its own limit fails. One that all together refuse has written nothing yet: it
 * gives back what it holds and its place, waits in order of arrival until enough is free, reserves that, and
 * is evaluated again; it fails by name when it waited until the timeout, when it was given MAX_WAITS chances, or when it holds
 * nearly everything by itself. An eighth of the total is kept for queries that hold less than 1/64 of it, so that small
 * ones are answered while large ones wait for each other.
 *
 * Locks  life.mu: the queue of those who wait for memory.
 */
#include "api/api_int.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/span.h"
#include "base/time.h"

#define MAX_WAITS 3

enum {
	M_IN_FLIGHT,
	M_MAX,
	M_TOTAL,
	M_WAIT,
	M_SPAN,
	M_ENGINE_QUERIES,
	M_ENGINE_TOTAL,
	M_ENGINE_MAX,
	M_ENGINE_TIME,
	M_ENGINE_SUMMARY,
	M_ENGINE_LOG,
	M_ENGINE_LOG_FAILED,
	M_ENGINE_SAMPLES,
	M_ENGINE_READ,
	M_MEMORY,
	M_MEMORY_MAX,
	M_MEMORY_WAIT,
	M_REFUSED,
	M_SELECTING,
	M_SELECT_MAX,
	M_SELECTS,
	M_SELECT_WAIT,
	M_ROWS
};
static const double gate_bounds[] = { 0.01, 0.1, 0.3, 0.6, 1,	3,   6,	  9,
				      20,   30,	 60,  90,  120, 240, 360, 720 };
static const double span_bounds[] = { 900,   1800,   3600,   7200,   14400,  28800,
				      57600, 115200, 230400, 460800, 921600, 1843200 };
static const double engine_bounds[] = { 0.01, 0.1, 1, 10 };
static const double engine_quantiles[] = { 0.5, 0.9, 0.99 };
#define ENGINE_LABELS "engine", "mode"
#define BOUNDS(b)     .bounds = (b), .n_bounds = ARRAY_LEN(b)
static const struct metric_desc rows[M_ROWS] = {
	[M_IN_FLIGHT] = { .kind = METRIC_GAUGE,
			  .name = "thanos_query_concurrent_gate_queries_in_flight",
			  .help = "Number of queries that are currently in flight." },
	[M_MAX] = { .kind = METRIC_GAUGE,
		    .name = "thanos_query_concurrent_gate_queries_max",
		    .help = "Maximum number of concurrent queries." },
	[M_TOTAL] = { .kind = METRIC_COUNTER,
		      .name = "thanos_query_concurrent_gate_queries_total",
		      .help = "Total number of queries." },
	[M_WAIT] = { .kind = METRIC_HISTOGRAM,
		     .name = "thanos_query_concurrent_gate_queries_duration_seconds",
		     .help = "How many seconds it took for queries to wait at the gate.",
		     BOUNDS(gate_bounds) },
	[M_SPAN] = { .kind = METRIC_HISTOGRAM,
		     .name = "thanos_query_range_requested_timespan_duration_seconds",
		     .help = "A histogram of the query range window in seconds",
		     BOUNDS(span_bounds) },
	[M_ENGINE_QUERIES] = { .kind = METRIC_GAUGE,
			       .name = "prometheus_engine_queries",
			       .help = "The current number of queries being executed or waiting.",
			       .alias = "thanos_engine_queries",
			       .labels = { ENGINE_LABELS } },
	[M_ENGINE_TOTAL] = { .kind = METRIC_COUNTER,
			     .name = "thanos_engine_queries_total",
			     .help = "Number of PromQL queries.",
			     .labels = { ENGINE_LABELS } },
	[M_ENGINE_MAX] = { .kind = METRIC_GAUGE,
			   .name = "prometheus_engine_queries_concurrent_max",
			   .help = "The max number of concurrent queries.",
			   .labels = { ENGINE_LABELS } },
	[M_ENGINE_TIME] = { .kind = METRIC_HISTOGRAM,
			    .name = "prometheus_engine_query_duration_histogram_seconds",
			    .help = "The duration of various parts of PromQL query execution.",
			    .labels = { ENGINE_LABELS, "slice" },
			    BOUNDS(engine_bounds) },
	[M_ENGINE_SUMMARY] = { .kind = METRIC_SUMMARY,
			       .name = "prometheus_engine_query_duration_seconds",
			       .help = "Query timings",
			       .labels = { ENGINE_LABELS, "slice" },
			       BOUNDS(engine_quantiles) },
	[M_ENGINE_LOG] = { .kind = METRIC_GAUGE,
			   .name = "prometheus_engine_query_log_enabled",
			   .help = "State of the query log.",
			   .labels = { ENGINE_LABELS } },
	[M_ENGINE_LOG_FAILED] = { .kind = METRIC_COUNTER,
				  .name = "prometheus_engine_query_log_failures_total",
				  .help = "The number of query log failures.",
				  .labels = { ENGINE_LABELS } },
	[M_ENGINE_SAMPLES] = { .kind = METRIC_COUNTER,
			       .name = "prometheus_engine_query_samples_total",
			       .help = "The total number of samples loaded by all queries.",
			       .labels = { ENGINE_LABELS } },
	[M_ENGINE_READ] = { .kind = METRIC_COUNTER,
			    .name = "prometheus_engine_query_samples_read_total",
			    .help = "The total number of samples read by all queries (only new points per step for range-vector).",
			    .labels = { ENGINE_LABELS } },
	[M_MEMORY] = { .kind = METRIC_GAUGE,
		       .name = "thanosc_query_memory_bytes",
		       .help = "Memory that all queries hold." },
	[M_MEMORY_MAX] = { .kind = METRIC_GAUGE,
			   .name = "thanosc_query_memory_max_bytes",
			   .help = "Memory that all queries may hold." },
	[M_MEMORY_WAIT] = { .kind = METRIC_HISTOGRAM,
			    .name = "thanosc_query_memory_wait_seconds",
			    .help = "How long queries waited for memory, of those that had to.",
			    BOUNDS(gate_bounds) },
	[M_REFUSED] = { .kind = METRIC_COUNTER,
			.name = "thanosc_query_refused_total",
			.help = "Queries that passed a limit, by its flag.",
			.labels = { "limit" } },
	/* Our selects wait for no place: they are opened when one is free, and at the latest when they are read. */
	[M_SELECTING] = { .kind = METRIC_GAUGE,
			  .name = "thanos_query_concurrent_selects_gate_selects_in_flight",
			  .help = "Number of selects that are currently in flight." },
	[M_SELECT_MAX] = { .kind = METRIC_GAUGE,
			   .name = "thanos_query_concurrent_selects_gate_selects_max",
			   .help = "Maximum number of concurrent selects." },
	[M_SELECTS] = { .kind = METRIC_COUNTER,
			.name = "thanos_query_concurrent_selects_gate_selects_total",
			.help = "Total number of selects." },
	[M_SELECT_WAIT] = { .kind = METRIC_HISTOGRAM,
			    .name = "thanos_query_concurrent_selects_gate_selects_duration_seconds",
			    .help = "How many seconds it took for selects to wait at the gate.",
			    BOUNDS(gate_bounds) },
};

enum { SLICE_QUEUE, SLICE_PREPARE, SLICE_EVAL, SLICE_SORT, SLICES };
static const char *const slices[SLICES] = { "queue_time", "prepare_time", "inner_eval",
					    "result_sort" };

struct mem_waiter {
	struct mem_waiter *next;
	struct query_life *life;
	struct query_run *run;
	size_t need;
	bool granted;
};
struct query_life {
	struct task_gate *gate;
	struct budget total;
	struct active_log *active;
	struct query_log *log;
	pthread_mutex_t mu;
	pthread_cond_t freed; /* a query has ended, or the queue moved */
	struct mem_waiter *first, *last;
	struct metric *in_flight, *all, *wait, *span, *queries, *engine_all,
		*time[SLICES], *quantiles[SLICES], *log_failed, *samples, *read, *memory,
		*memory_wait, *selecting, *selects, *select_wait;
	struct metric_set *set, *store_time;
	struct api_opts opts;
};

static double gate_held(void *arg)
{
	return task_gate_held(arg);
}

static double memory_held(void *arg)
{
	return (double)budget_used(arg);
}

static void life_metrics(struct query_life *l)
{
	struct metric_set *m = metric_set_new(l->opts.metrics, rows, M_ROWS);
	const struct str engine = STR("prometheus"), mode = STR("local");
	l->set = m;
	metric_set_value(metric_plain(m, M_MAX), l->opts.max_concurrent);
	l->in_flight = metric_plain(m, M_IN_FLIGHT);
	metric_callback(l->in_flight, gate_held, l->gate);
	l->all = metric_plain(m, M_TOTAL);
	l->wait = metric_plain(m, M_WAIT);
	l->span = metric_plain(m, M_SPAN);
	l->queries = metric_at(m, M_ENGINE_QUERIES, engine, mode);
	l->engine_all = metric_at(m, M_ENGINE_TOTAL, engine, mode);
	metric_set_value(metric_at(m, M_ENGINE_MAX, engine, mode),
			 l->opts.max_concurrent);
	for (int i = 0; i < SLICES; i++) {
		l->time[i] = metric_at(m, M_ENGINE_TIME, engine, mode, str_of(slices[i]));
		l->quantiles[i] =
			metric_at(m, M_ENGINE_SUMMARY, engine, mode, str_of(slices[i]));
	}
	metric_set_value(metric_at(m, M_ENGINE_LOG, engine, mode), l->log != NULL);
	l->log_failed = metric_at(m, M_ENGINE_LOG_FAILED, engine, mode);
	l->samples = metric_at(m, M_ENGINE_SAMPLES, engine, mode);
	l->read = metric_at(m, M_ENGINE_READ, engine, mode);
	l->memory = metric_plain(m, M_MEMORY);
	metric_callback(l->memory, memory_held, &l->total);
	metric_set_value(metric_plain(m, M_MEMORY_MAX), (double)l->total.limit);
	l->memory_wait = metric_plain(m, M_MEMORY_WAIT);
	l->selecting = metric_plain(m, M_SELECTING);
	metric_set_value(metric_plain(m, M_SELECT_MAX), l->opts.max_selects);
	l->selects = metric_plain(m, M_SELECTS);
	l->select_wait = metric_plain(m, M_SELECT_WAIT);
	if (l->opts.telemetry)
		l->store_time =
			api_telemetry_register(l->opts.telemetry, l->opts.metrics);
}

int api_life_new(const struct api_opts *o, struct query_life **out, struct err *e)
{
	struct active_log *active = NULL;
	struct query_log *log = NULL;
	if (o->active_dir &&
	    active_log_open(o->active_dir, o->max_concurrent, &active, e) < 0)
		return err_wrap(NULL, e, "--query.active-query-path");
	if (o->query_log && query_log_open(o->query_log, &log, e) < 0) {
		active_log_close(active);
		return err_wrap(NULL, e, "--query.log-file");
	}
	struct query_life *l = xcalloc(1, sizeof(*l));
	l->opts = *o;
	l->active = active;
	l->log = log;
	l->gate = task_gate_new(o->max_concurrent);
	size_t limit = o->total_memory;
	const char *flag = "--query.total-memory";
	if (!limit && o->budget && o->budget->limit)
		limit = o->budget->limit / 4 * 3;
	budget_init(&l->total, o->budget, "all queries'", flag, limit);
	l->total.spare = limit / 8;
	l->total.little = limit / 64;
	pthread_mutex_init(&l->mu, NULL);
	ctx_cond_init(&l->freed);
	life_metrics(l);
	*out = l;
	return 0;
}

void api_life_free(struct query_life *l)
{
	if (!l)
		return;
	BUG_ON(l->first != NULL);
	metric_callback(l->in_flight, NULL, NULL);
	metric_callback(l->memory, NULL, NULL);
	task_gate_free(l->gate);
	active_log_close(l->active);
	query_log_close(l->log);
	budget_deinit(&l->total);
	pthread_cond_destroy(&l->freed);
	pthread_mutex_destroy(&l->mu);
	free(l);
}

void api_count_timespan(struct query_life *l, int64_t ms)
{
	metric_observe(l->span, (double)ms / 1000);
}

/* ---- memory ---- */

static void run_open(struct query_life *l, struct query_run *run)
{
	budget_init(&run->budget, &l->total, "query", "--query.max-memory",
		    l->opts.max_memory);
	arena_init(&run->arena, &run->budget);
	run->open = true;
	run->life = l;
}

void api_run_close(struct query_run *run)
{
	if (!run->open)
		return;
	run->open = false;
	arena_deinit(&run->arena);
	budget_deinit(&run->budget);
	struct query_life *l = run->life;
	pthread_mutex_lock(&l->mu);
	if (l->first)
		pthread_cond_broadcast(&l->freed);
	pthread_mutex_unlock(&l->mu);
}

/* The first in the queue takes its memory as soon as there is enough; it is reserved before anyone else looks. */
static bool is_granted(void *arg)
{
	struct mem_waiter *w = arg;
	if (w->granted)
		return true;
	if (w->life->first != w)
		return false;
	run_open(w->life, w->run);
	if (budget_reserve(&w->run->budget, NULL, w->need, NULL) < 0) {
		arena_deinit(&w->run->arena);
		budget_deinit(&w->run->budget);
		w->run->open = false;
		return false;
	}
	return w->granted = true;
}

static void leave_queue(struct query_life *l, struct mem_waiter *w)
{
	struct mem_waiter **at = &l->first, *before = NULL;
	while (*at != w) {
		before = *at;
		at = &before->next;
	}
	*at = w->next;
	if (l->last == w)
		l->last = before;
	pthread_cond_broadcast(&l->freed); /* another one is the first now */
}

/* The query has given everything back; on success its budget is open again and holds `need` in reserve. */
static int wait_for_memory(struct query_life *l, struct query_run *run, size_t need,
			   struct ctx *ctx, struct err *e)
{
	struct mem_waiter *w = xcalloc(1, sizeof(*w));
	*w = (struct mem_waiter){ .life = l, .run = run, .need = need };
	uint64_t start = time_mono_ns();
	pthread_mutex_lock(&l->mu);
	if (l->last)
		l->last->next = w;
	else
		l->first = w;
	l->last = w;
	int rc = ctx_cond_wait(ctx, &l->freed, &l->mu, is_granted, w, e);
	leave_queue(l, w);
	pthread_mutex_unlock(&l->mu);
	free(w);
	uint64_t took = time_mono_ns() - start;
	run->memory_wait_ns += took;
	metric_observe(l->memory_wait, (double)took / 1e9);
	return rc;
}

/* ---- evaluation ---- */

static void observe(struct metric *m, uint64_t ns)
{
	metric_observe(m, (double)ns / 1e9);
}

static void on_select(void *arg, int change)
{
	struct query_life *l = arg;
	metric_add(l->selecting, change);
	if (change < 0)
		return;
	metric_inc(l->selects);
	metric_observe(l->select_wait, 0);
}

static void observe_slice(struct query_life *l, int slice, uint64_t ns)
{
	observe(l->time[slice], ns);
	observe(l->quantiles[slice], ns);
}

/* With the texts that Prometheus has for both. */
static int say(struct call *c, const char *where)
{
	if (c->e->code == E_TIMEOUT)
		return err_set(c->ctx, c->e, E_TIMEOUT, "query timed out in %s", where);
	if (c->e->code == E_CANCELLED)
		return err_set(c->ctx, c->e, E_CANCELLED, "query was canceled in %s",
			       where);
	return -1;
}

static int enter(struct call *c, struct ctx *ctx)
{
	struct query_life *l = c->api->life;
	struct span span;
	uint64_t start = time_mono_ns();
	span_begin(&span, ctx, "query_gate_ismyturn");
	metric_inc(l->all);
	int rc = task_gate_enter(l->gate, ctx, c->e);
	span_end(&span, rc < 0 ? c->e : NULL);
	uint64_t took = time_mono_ns() - start;
	c->run.queue_ns += took;
	observe(l->wait, took);
	return rc < 0 ? say(c, "query queue") : 0;
}

static int once(struct call *c, struct ctx *ctx, struct promql_query *q,
		struct promql_result *r)
{
	struct query_life *l = c->api->life;
	struct span span;
	if (enter(c, ctx) < 0)
		return -1;
	int at = active_log_add(l->active, q->text);
	span_begin(&span, ctx, "promql_exec");
	span_str(&span, "query", q->text);
	span_int(&span, "step_ms", q->step_ms);
	int rc = promql_exec(ctx, &c->run.arena, q, r, c->e);
	span_end(&span, rc < 0 ? c->e : NULL);
	active_log_remove(l->active, at);
	task_gate_leave(l->gate);
	return rc < 0 ? say(c, "expression evaluation") : 0;
}

/* How much to ask for before the next try; 0: there is no point in one. */
static size_t next_need(const struct query_life *l, const struct query_run *run,
			unsigned tries)
{
	const struct budget *t = &l->total;
	size_t peak = run->budget.peak, most = t->limit - t->spare;
	/* Then, not now: they may have been refused, and given back, at the same moment. */
	size_t others = run->budget.starved_by;
	if (!t->limit || tries == MAX_WAITS || others < t->limit / 16)
		return 0;
	size_t need = tries + 1 == MAX_WAITS ? most / 10 * 9
					     : MAX(peak, t->little) * (tries + 2);
	if (l->opts.max_memory)
		need = MIN(need, l->opts.max_memory);
	return MIN(need, most / 10 * 9);
}

static const char *limit_of(const struct query_run *run, const struct err *e)
{
	const char *text = err_text(e);
	if (strstr(text, "too many samples"))
		return "query.max-samples";
	if (run->open && run->budget.starved)
		return "query.total-memory";
	return strstr(text, "--query.max-memory") ? "query.max-memory" : "other";
}

/* Evaluate; again when all queries together had no memory left and others have given some back. */
static int evaluate(struct call *c, struct ctx *ctx, struct promql_query *q,
		    struct promql_result *r)
{
	struct query_life *l = c->api->life;
	struct query_run *run = &c->run;
	int rc = -1;
	run_open(l, run);
	for (unsigned tries = 0;; tries++) {
		struct err why = ERR_INIT;
		ctx->budget = &run->budget;
		rc = once(c, ctx, q, r);
		run->peak_bytes = run->budget.peak;
		if (rc == 0 || c->e->code != E_LIMIT)
			return rc;
		size_t need = run->budget.starved ? next_need(l, run, tries) : 0;
		metric_inc(metric_at(l->set, M_REFUSED, str_of(limit_of(run, c->e))));
		if (need == 0)
			return -1;
		log_debug(c->ctx, "query waits for %zu bytes: %s", need, err_text(c->e));
		api_run_close(run);
		if (wait_for_memory(l, run, need, ctx, &why) == 0)
			continue;
		if (why.code != E_TIMEOUT) {
			err_copy(c->ctx, c->e, &why);
			return say(c, "query queue");
		}
		return err_wrap(c->ctx, c->e,
				"query waited for %zu bytes of memory until its timeout",
				need);
	}
}

/* ---- afterwards ---- */

static void log_slow(struct call *c, const struct promql_query *q,
		     const struct promql_result *r, const struct err *why)
{
	const struct query_run *run = &c->run;
	struct arena *a = c->a;
	char start[40], end[40];
	size_t start_n = time_format_rfc3339(start, q->start_ms / 1000, 0, 0),
	       end_n = time_format_rfc3339(end, q->end_ms / 1000, 0, 0);
	const struct log_field v[] = {
		{ "msg", STR("slow query") },
		{ "query", q->text },
		{ "start", str_n(start, start_n) },
		{ "end", str_n(end, end_n) },
		{ "step_ms", str_fmt(a, "%lld", (long long)q->step_ms) },
		{ "duration", str_fmt(a, "%.3f", (double)run->total_ns / 1e9) },
		{ "queued", str_fmt(a, "%.3f", (double)run->queue_ns / 1e9) },
		{ "memory_wait", str_fmt(a, "%.3f", (double)run->memory_wait_ns / 1e9) },
		{ "samples", str_fmt(a, "%llu", (unsigned long long)r->samples_total) },
		{ "series", str_fmt(a, "%llu", (unsigned long long)r->series_read) },
		{ "peak_bytes", str_fmt(a, "%zu", run->peak_bytes) },
		{ "tenant", c->ctx->tenant },
		{ "peer", str_of(c->req->peer) },
		{ "err", why ? str_of(err_text(why)) : STR("") },
	};
	log_fields(LOG_WARN, v, ARRAY_LEN(v) - (why ? 0 : 1));
}

static void afterwards(struct call *c, const struct promql_query *q,
		       const struct promql_result *r, bool failed)
{
	struct query_life *l = c->api->life;
	struct err e = ERR_INIT;
	const struct err *why = failed ? c->e : NULL;
	observe_slice(l, SLICE_QUEUE, c->run.queue_ns);
	if (!failed) {
		observe_slice(l, SLICE_PREPARE, r->prepare_ns);
		observe_slice(l, SLICE_EVAL, r->eval_ns);
		observe_slice(l, SLICE_SORT, r->sort_ns);
		if (l->store_time)
			api_telemetry_observe(l->opts.telemetry, l->store_time, r,
					      c->ctx->tenant, c->run.total_ns);
	}
	metric_add(l->samples, (double)r->samples_total);
	metric_add(l->read, (double)r->samples_read);
	if (l->opts.slow_ms && c->run.total_ns > (uint64_t)l->opts.slow_ms * NS_PER_MS)
		log_slow(c, q, r, why);
	if (l->log && query_log_write(l->log, c, q, r, why, &e) < 0) {
		metric_inc(l->log_failed);
		log_error(c->ctx, "can't log query: %s", err_text(&e));
	}
}

int api_run_query(struct call *c, struct promql_query *q, int64_t timeout_ms,
		  struct promql_result *r)
{
	struct query_life *l = c->api->life;
	uint64_t start = time_mono_ns();
	struct ctx ctx =
		ctx_child(c->ctx, time_after_ns((uint64_t)timeout_ms * NS_PER_MS));
	*r = (struct promql_result){ 0 };
	metric_add(l->queries, 1);
	metric_inc(l->engine_all);
	q->on_select = on_select;
	q->on_select_arg = l;
	int rc = active_log_check(l->active, &ctx, q->text, c->e);
	if (rc < 0)
		metric_inc(metric_at(l->set, M_REFUSED, STR("query.active-query-path")));
	else
		rc = evaluate(c, &ctx, q, r);
	metric_add(l->queries, -1);
	c->run.total_ns = time_mono_ns() - start;
	afterwards(c, q, r, rc < 0);
	if (rc < 0)
		api_run_close(&c->run);
	return rc;
}
