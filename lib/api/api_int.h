/*
 * api/api_int.h - one request on its way through a handler.
 */
#ifndef API_API_INT_H
#define API_API_INT_H

#include "api/api.h"
#include "base/limits.h"
#include "base/vec.h"
#include "promql/parse/ast.h"
#include "task/task.h"

#define API_PIECE_BYTES ((size_t)32 << 10)
/* Where text is made: into b, and (flush set) from there to the client whenever a piece is full. */
struct api_out {
	struct buf *b;
	int (*flush)(void *arg, struct str piece, struct err *e);
	void *arg;
};
/* Without the braces around: `"resultType":...,"result":...`. */
MUST_CHECK int api_stream_result(const struct promql_result *r, struct api_out *o,
				 struct err *e);

struct query_life; /* life.c: what all queries of the process share */
/* One query from its admission to the last byte of its answer. */
struct query_run {
	struct budget
		budget; /* of --query.max-memory; the answer's rows are charged to it */
	struct arena arena;
	struct query_life *life;
	bool open;
	uint64_t queue_ns, memory_wait_ns, total_ns;
	size_t peak_bytes;
};

struct api {
	struct api_opts o;
	struct query_life *life;
	struct http_route *routes;
	size_t n_routes;
};
struct query_view {
	bool dedup;
	enum partial_strategy partial;
	const struct str *replica_labels;
	size_t n_replica_labels;
	struct proxy_view proxy;
	struct store *store;
};
struct call {
	struct api *api;
	struct ctx *ctx;
	const struct http_req *req;
	struct http_resp *w;
	struct arena *a;
	struct err *e;
	struct query_view view; /* of queries: the store that is asked lives in it */
	struct query_run run;
	struct api_out out; /* flush set: the status is decided, pieces may go out */
	bool sent;	    /* bytes are out */
	size_t held;	    /* of out, charged */
};
struct selectors {
	struct matcher **m;
	size_t *count, n;
};

int api_bad(struct ctx *ctx, struct err *e, const char *name, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/*
 * A parameter could not be parsed: the request's fault, but when its memory was refused; then `why` stays what it is, with
 * its outcome.
 */
int api_bad_text(struct call *c, const char *name, const struct err *why);
MUST_CHECK int api_time(struct call *c, const char *name, int64_t def, int64_t *ms);
MUST_CHECK int api_duration(struct call *c, const char *name, int64_t def, int64_t *ms);
MUST_CHECK int api_bool(struct call *c, const char *name, bool def, bool *v);
MUST_CHECK int api_limit(struct call *c, int64_t *limit);
MUST_CHECK int api_view(struct call *c, struct query_view *v);
MUST_CHECK int api_matches(struct call *c, bool required, struct selectors *out);

/* ---- tenancy.c: the first is asked of every request; the others do something where tenancy is enforced ---- */
MUST_CHECK int api_tenant(struct call *c);
MUST_CHECK int api_enforce_query(struct call *c, struct expr *x, struct promql_query *q);
MUST_CHECK int api_enforce_matches(struct call *c, struct selectors *sel);
MUST_CHECK int api_enforce_exemplars(struct call *c, struct expr *x, struct str *query);

/* A handler's work: appends the value of "data" to out. -1: an error answer is written from c->e. */
typedef int api_work(struct call *c, struct buf *out);
int api_run(struct api *api, struct ctx *ctx, const struct http_req *r,
	    struct http_resp *w, struct err *e, api_work *work, bool whose);

/* The status is 200 from here on: what the handler makes may go out while it is made. */
void api_begin(struct call *c);
/* What has been made stays until the status is known: charged to the request. Ends with the request. */
MUST_CHECK int api_hold(struct call *c);
/* Send what has been made if it is a piece. */
MUST_CHECK int api_flush(struct call *c);

/* ---- life.c ---- */
MUST_CHECK struct metric_set *api_telemetry_register(const struct api_telemetry *t,
						     struct metric_registry *m);
void api_telemetry_observe(const struct api_telemetry *t, struct metric_set *m,
			   const struct promql_result *r, struct str tenant,
			   uint64_t took_ns);
int api_life_new(const struct api_opts *o, struct query_life **out, struct err *e);
void api_life_free(struct query_life *l);
/*
 * Wait for a place and for memory, evaluate, log and count. The answer lies in c->run until api_run_close. Errors are
 * worded as the API shows them.
 */
MUST_CHECK int api_run_query(struct call *c, struct promql_query *q, int64_t timeout_ms,
			     struct promql_result *r);
void api_run_close(struct query_run *run);
void api_count_timespan(struct query_life *l, int64_t ms);

/* ---- active.c: the queries under way, in a file that outlives a crash ---- */
struct active_log;
/* Says what did not finish the last time; n entries. */
MUST_CHECK int active_log_open(const char *dir, uint32_t n, struct active_log **out,
			       struct err *e);
void active_log_close(struct active_log *l);		    /* NULL allowed */
int active_log_add(struct active_log *l, struct str query); /* -1: no place, or l NULL */
void active_log_remove(struct active_log *l, int at);
/* E_EXEC: it was under way at two abnormal ends of the process, the last one less than an hour ago. l NULL: 0 */
MUST_CHECK int active_log_check(const struct active_log *l, struct ctx *ctx,
				struct str query, struct err *e);

/* ---- suspects.c: what was under way at abnormal ends; kept beside that file ---- */
struct suspects;
struct suspects *suspects_open(const char *dir); /* what cannot be read is logged */
void suspects_close(struct suspects *s);	 /* NULL allowed */
/* It stood in the log of the last run; the hash is that of the whole text. */
void suspects_found(struct suspects *s, struct str query, uint64_t hash);
MUST_CHECK int suspects_save(struct suspects *s, struct err *e);
MUST_CHECK int suspects_check(const struct suspects *s, struct ctx *ctx, struct str query,
			      struct err *e);
uint64_t suspects_hash(struct str query);
uint64_t suspects_hash_of(struct str hex);

/* ---- query_log.c: a line of JSON for each query, as Prometheus' query_log_file ---- */
struct query_log;
MUST_CHECK int query_log_open(const char *path, struct query_log **out, struct err *e);
void query_log_close(struct query_log *l); /* NULL allowed */
MUST_CHECK int query_log_write(struct query_log *l, struct call *c,
			       const struct promql_query *q,
			       const struct promql_result *r, const struct err *why,
			       struct err *e);

/* ---- stats.c ---- */
void api_put_stats(struct buf *b, struct call *c, const struct promql_result *r,
		   const struct promql_query *q, bool per_step);
void api_put_plan(struct buf *b, const struct promql_plan *p, bool analysis);

api_work api_query, api_query_range, api_query_explain, api_query_range_explain,
	api_format_query, api_parse_query;		/* query.c */
api_work api_series, api_label_names, api_label_values; /* meta.c */
api_work api_rules, api_alerts, api_targets, api_metadata, api_exemplars,
	api_statistics; /* federated.c */
void api_write_buildinfo(const char *version, const char *revision, struct buf *out);
void api_write_flags(const struct conf_result *flags, struct buf *out);
void api_write_runtimeinfo(struct task_pool *pool, struct buf *out);
api_work api_stores, api_buildinfo, api_flags, api_runtimeinfo; /* status.c */

#endif
