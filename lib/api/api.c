/*
 * api/api.c - the table of routes, and what every answer has around its data.
 */
#include "api/api_int.h"

#include <stdlib.h>

#include "base/log.h"

#define MAX_ANSWER ((size_t)1 << 31)

enum { M_IN_FLIGHT, M_MAX, M_TOTAL, M_ROWS };
static const struct metric_desc rows[M_ROWS] = {
	[M_IN_FLIGHT] = { METRIC_GAUGE,
			  "thanos_query_concurrent_gate_queries_in_flight",
			  "Number of queries that are currently in flight.",
			  { 0 },
			  NULL,
			  0,
			  0,
			  NULL },
	[M_MAX] = { METRIC_GAUGE,
		    "thanos_query_concurrent_gate_queries_max",
		    "Maximum number of concurrent queries.",
		    { 0 },
		    NULL,
		    0,
		    0,
		    NULL },
	[M_TOTAL] = { METRIC_COUNTER,
		      "thanos_query_concurrent_gate_queries_total",
		      "Total number of queries.",
		      { 0 },
		      NULL,
		      0,
		      0,
		      NULL },
};

/* What happened -> Prometheus' error type and Thanos' status (cancelled is 503 there). */
static const struct {
	const char *type;
	int status;
} outcome[E_COUNT] = {
	[E_INVALID] = { "bad_data", 400 },	[E_PARSE] = { "bad_data", 400 },
	[E_EXEC] = { "execution", 422 },	[E_UNSUPPORTED] = { "execution", 422 },
	[E_LIMIT] = { "execution", 422 },	[E_ABORTED] = { "execution", 422 },
	[E_UNAVAILABLE] = { "execution", 422 }, [E_REMOTE] = { "execution", 422 },
	[E_CORRUPT] = { "execution", 422 },	[E_CANCELLED] = { "canceled", 503 },
	[E_TIMEOUT] = { "timeout", 503 },	[E_NOT_FOUND] = { "not_found", 404 },
};

/* With the warnings so far: what a store did wrong may be why the query failed. */
static int send_error(struct http_resp *w, struct ctx *ctx, const struct err *why,
		      const struct notes_view *notes, struct err *e)
{
	struct buf b;
	const char *type = outcome[why->code].type;
	int status = outcome[why->code].status;
	buf_init(&b, MAX_ANSWER);
	api_render_error(type ? type : "internal", err_text(why), notes, &b);
	http_add_header(w, "Cache-Control", STR("no-store"));
	int rc = http_reply(w, ctx, status ? status : 500, "application/json",
			    buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

int api_run(struct api *api, struct ctx *ctx, const struct http_req *r,
	    struct http_resp *w, struct err *e, api_work *work, bool whose)
{
	struct err why = ERR_INIT;
	struct arena a;
	struct buf b;
	struct notes_view notes;
	arena_init(&a, ctx->budget);
	buf_init(&b, MAX_ANSWER);
	struct call c = { api, ctx, r, w, &a, &why };
	buf_str(&b, STR("{\"status\":\"success\",\"data\":"));
	int rc = whose ? api_tenant(&c) : 0;
	if (rc == 0)
		rc = work(&c, &b);
	notes_view(ctx->notes, &a, &notes);
	if (rc < 0) {
		log_debug(ctx, "%.*s failed: %s", STR_FMT(r->path), err_text(&why));
		rc = send_error(w, ctx, &why, &notes, e);
	} else {
		api_render_notes(&notes, &b);
		buf_byte(&b, '}');
		rc = buf_check(&b, ctx, "answer", &why);
		if (notes.n_warnings)
			http_add_header(w, "Cache-Control", STR("no-store"));
		rc = rc < 0 ? send_error(w, ctx, &why, &notes, e)
			    : http_reply(w, ctx, 200, "application/json", buf_view(&b),
					 e);
	}
	buf_deinit(&b);
	arena_deinit(&a);
	return rc;
}

/* PLAIN: what is the same for every tenant. */
#define HANDLER(name) RUN(name, true)
#define PLAIN(name)   RUN(name, false)
#define RUN(name, whose)                                                                 \
	static int on_##name(void *arg, struct ctx *ctx, const struct http_req *r,       \
			     struct http_resp *w, struct err *e)                         \
	{                                                                                \
		return api_run(arg, ctx, r, w, e, api_##name, whose);                    \
	}
HANDLER(query)
HANDLER(query_range)
HANDLER(format_query)
HANDLER(parse_query)
HANDLER(series)
HANDLER(label_names)
HANDLER(label_values)
HANDLER(rules)
HANDLER(alerts)
HANDLER(targets)
HANDLER(metadata)
HANDLER(exemplars)
HANDLER(statistics)
PLAIN(stores)
PLAIN(buildinfo)
PLAIN(flags)
PLAIN(runtimeinfo)

static const struct http_route routes[] = {
	{ "GET|POST", "/api/v1/query", HTTP_ON_REQUEST, on_query, NULL, "query" },
	{ "GET|POST", "/api/v1/query_range", HTTP_ON_REQUEST, on_query_range, NULL,
	  "query_range" },
	{ "GET|POST", "/api/v1/format_query", HTTP_ON_REQUEST, on_format_query, NULL,
	  "format_query" },
	{ "GET|POST", "/api/v1/parse_query", HTTP_ON_REQUEST, on_parse_query, NULL,
	  "parse_query" },
	{ "GET|POST", "/api/v1/series", HTTP_ON_REQUEST, on_series, NULL, "series" },
	{ "GET|POST", "/api/v1/labels", HTTP_ON_REQUEST, on_label_names, NULL,
	  "label_names" },
	{ "GET", "/api/v1/label/:name/values", HTTP_ON_REQUEST, on_label_values, NULL,
	  "label_values" },
	{ "GET", "/api/v1/rules", HTTP_ON_REQUEST, on_rules, NULL, "rules" },
	{ "GET", "/api/v1/alerts", HTTP_ON_REQUEST, on_alerts, NULL, "alerts" },
	{ "GET", "/api/v1/targets", HTTP_ON_REQUEST, on_targets, NULL, "targets" },
	{ "GET", "/api/v1/metadata", HTTP_ON_REQUEST, on_metadata, NULL, "metadata" },
	{ "GET|POST", "/api/v1/query_exemplars", HTTP_ON_REQUEST, on_exemplars, NULL,
	  "exemplars" },
	{ "GET", "/api/v1/status/tsdb", HTTP_ON_REQUEST, on_statistics, NULL,
	  "tsdb_status" },
	{ "GET", "/api/v1/stores", HTTP_ON_REQUEST, on_stores, NULL, "stores" },
	{ "GET", "/api/v1/status/buildinfo", HTTP_ON_REQUEST, on_buildinfo, NULL,
	  "buildinfo" },
	{ "GET", "/api/v1/status/flags", HTTP_ON_REQUEST, on_flags, NULL, "flags" },
	{ "GET", "/api/v1/status/runtimeinfo", HTTP_ON_REQUEST, on_runtimeinfo, NULL,
	  "runtimeinfo" },
};

static double gate_held(void *arg)
{
	return task_gate_held(arg);
}

struct api *api_new(const struct api_opts *o)
{
	struct api *a = xcalloc(1, sizeof(*a));
	struct metric_set *m = metric_set_new(o->metrics, rows, M_ROWS);
	a->o = *o;
	a->gate = task_gate_new(o->max_concurrent);
	metric_set_value(metric_plain(m, M_MAX), o->max_concurrent);
	a->in_flight = metric_plain(m, M_IN_FLIGHT);
	metric_callback(a->in_flight, gate_held, a->gate);
	a->total = metric_plain(m, M_TOTAL);
	a->n_routes = ARRAY_LEN(routes);
	a->routes = xreallocarray(NULL, a->n_routes, sizeof(*a->routes));
	for (size_t i = 0; i < a->n_routes; i++) {
		a->routes[i] = routes[i];
		a->routes[i].arg = a;
	}
	return a;
}

void api_free(struct api *a)
{
	if (!a)
		return;
	metric_callback(a->in_flight, NULL, NULL);
	task_gate_free(a->gate);
	free(a->routes);
	free(a);
}

const struct http_route *api_routes(struct api *a, size_t *n)
{
	*n = a->n_routes;
	return a->routes;
}
