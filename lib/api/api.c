/*
 * api/api.c - the table of routes, and what every answer has around its data.
 */
#include "api/api_int.h"

#include <stdlib.h>

#include "base/budget.h"
#include "base/log.h"

#define MAX_ANSWER ((size_t)1 << 31)
#define HOLD_BYTES ((size_t)256 << 10) /* text is charged in steps of this */

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

/* PromQL's own annotations do not keep an answer from being cached; what stores failed to say does. */
static bool is_partial(const struct notes_view *v)
{
	for (size_t i = 0; i < v->n_warnings; i++)
		if (!str_has_prefix(v->warnings[i], STR("PromQL ")))
			return true;
	return false;
}

static int send_piece(void *arg, struct str piece, struct err *e)
{
	struct call *c = arg;
	if (!c->sent) {
		struct notes_view notes;
		notes_view(c->ctx->notes, c->a, &notes);
		http_status(c->w, 200);
		http_add_header(c->w, "Content-Type", STR("application/json"));
		if (is_partial(&notes))
			http_add_header(c->w, "Cache-Control", STR("no-store"));
		c->sent = true;
	}
	return http_write(c->w, c->ctx, piece, e);
}

void api_begin(struct call *c)
{
	c->out.flush = send_piece;
	c->out.arg = c;
}

int api_hold(struct call *c)
{
	struct buf *b = c->out.b;
	size_t takes = 2 * b->n; /* a buf grows by doubling */
	if (takes <= c->held)
		return b->failed ? buf_check(b, c->ctx, "answer", c->e) : 0;
	size_t more = MAX(takes - c->held, HOLD_BYTES);
	if (ctx_check(c->ctx, c->e) < 0 ||
	    budget_take(c->ctx->budget, c->ctx, more, c->e) < 0)
		return -1;
	c->held += more;
	return 0;
}

int api_flush(struct call *c)
{
	struct buf *b = c->out.b;
	if (!c->out.flush || b->n < API_PIECE_BYTES)
		return 0;
	int rc = c->out.flush(c->out.arg, buf_view(b), c->e);
	buf_reset(b);
	return rc;
}

/* What stands behind the data, then all that is still here. */
static int send_rest(struct call *c, struct buf *b, const struct notes_view *notes,
		     struct err *e)
{
	api_render_notes(notes, b);
	buf_byte(b, '}');
	if (buf_check(b, c->ctx, "answer", c->e) < 0)
		return c->sent ? err_copy(c->ctx, e, c->e)
			       : send_error(c->w, c->ctx, c->e, notes, e);
	if (c->sent)
		return http_write(c->w, c->ctx, buf_view(b), e);
	if (is_partial(notes))
		http_add_header(c->w, "Cache-Control", STR("no-store"));
	return http_reply(c->w, c->ctx, 200, "application/json", buf_view(b), e);
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
	struct call c = { .api = api, .ctx = ctx, .req = r, .w = w, .a = &a, .e = &why };
	c.out.b = &b;
	buf_str(&b, STR("{\"status\":\"success\",\"data\":"));
	int rc = whose ? api_tenant(&c) : 0;
	if (rc == 0)
		rc = work(&c, &b);
	notes_view(ctx->notes, &a, &notes);
	if (rc == 0) {
		rc = send_rest(&c, &b, &notes, e);
	} else {
		log_debug(ctx, "%.*s failed: %s", STR_FMT(r->path), err_text(&why));
		rc = c.sent ? err_copy(ctx, e, &why) /* the connection is cut */
			    : send_error(w, ctx, &why, &notes, e);
	}
	api_run_close(&c.run);
	buf_deinit(&b);
	budget_give(ctx->budget, c.held);
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
HANDLER(query_explain)
HANDLER(query_range_explain)
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
	{ "GET|POST", "/api/v1/query_explain", HTTP_ON_REQUEST, on_query_explain, NULL,
	  "query_explain" },
	{ "GET|POST", "/api/v1/query_range_explain", HTTP_ON_REQUEST,
	  on_query_range_explain, NULL, "query_range_explain" },
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

int api_new(const struct api_opts *o, struct api **out, struct err *e)
{
	struct query_life *life;
	if (api_life_new(o, &life, e) < 0)
		return -1;
	struct api *a = xcalloc(1, sizeof(*a));
	a->o = *o;
	a->life = life;
	a->n_routes = ARRAY_LEN(routes);
	a->routes = xreallocarray(NULL, a->n_routes, sizeof(*a->routes));
	for (size_t i = 0; i < a->n_routes; i++) {
		a->routes[i] = routes[i];
		a->routes[i].arg = a;
	}
	*out = a;
	return 0;
}

void api_free(struct api *a)
{
	if (!a)
		return;
	api_life_free(a->life);
	free(a->routes);
	free(a);
}

const struct http_route *api_routes(struct api *a, size_t *n)
{
	*n = a->n_routes;
	return a->routes;
}
