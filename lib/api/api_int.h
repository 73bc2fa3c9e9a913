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

struct api {
	struct api_opts o;
	struct task_gate *gate;
	struct http_route *routes;
	size_t n_routes;
	struct metric *in_flight, *total;
};
struct call {
	struct api *api;
	struct ctx *ctx;
	const struct http_req *req;
	struct http_resp *w;
	struct arena *a;
	struct err *e;
};
struct query_view {
	bool dedup;
	enum partial_strategy partial;
	const struct str *replica_labels;
	size_t n_replica_labels;
	struct proxy_view proxy;
	struct store *store;
};
struct selectors {
	struct matcher **m;
	size_t *count, n;
};

int api_bad(struct ctx *ctx, struct err *e, const char *name, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
MUST_CHECK int api_time(struct call *c, const char *name, int64_t def, int64_t *ms);
MUST_CHECK int api_duration(struct call *c, const char *name, int64_t def, int64_t *ms);
MUST_CHECK int api_bool(struct call *c, const char *name, bool def, bool *v);
MUST_CHECK int api_limit(struct call *c, int64_t *limit);
MUST_CHECK int api_view(struct call *c, struct query_view *v);
MUST_CHECK int api_matches(struct call *c, bool required, struct selectors *out);

/* ---- tenancy.c: the first is asked of every request; the others do something where tenancy is enforced ---- */
MUST_CHECK int api_tenant(struct call *c);
MUST_CHECK int api_enforce_expr(struct call *c, struct expr *x);
MUST_CHECK int api_enforce_matches(struct call *c, struct selectors *sel);
MUST_CHECK int api_enforce_exemplars(struct call *c, struct expr *x, struct str *query);

/* A handler's work: appends the value of "data" to out. -1: an error answer is written from c->e. */
typedef int api_work(struct call *c, struct buf *out);
int api_run(struct api *api, struct ctx *ctx, const struct http_req *r,
	    struct http_resp *w, struct err *e, api_work *work, bool whose);

api_work api_query, api_query_range, api_format_query, api_parse_query; /* query.c */
api_work api_series, api_label_names, api_label_values;			/* meta.c */
api_work api_rules, api_alerts, api_targets, api_metadata, api_exemplars,
	api_statistics;						/* federated.c */
api_work api_stores, api_buildinfo, api_flags, api_runtimeinfo; /* status.c */

#endif
