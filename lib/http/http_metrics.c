/*
 * http/http_metrics.c - requests counted and timed as Prometheus' client library names them: methods in lower
 * case and "unknown" beyond the usual ones, the buckets those of Thanos' dashboards. A server that knows tenants tells of whom
 * requests were.
 */
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "http/http_int.h"

enum { M_TOTAL, M_DURATION, M_REQUEST_SIZE, M_RESPONSE_SIZE, M_INFLIGHT, M_COUNT };

static const double seconds[] = { 0.001, 0.01, 0.1, 0.3, 0.6, 1,   3,	6,  9,
				  20,	 30,   60,  90,	 120, 240, 360, 720 };
static const double bytes[] = { 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768 };

/* clang-format off */
#define ROWS(...)                                                                        \
	{                                                                                \
		[M_TOTAL] = { METRIC_COUNTER, "http_requests_total",                     \
			      "Tracks the number of HTTP requests.",                     \
			      { "code", "handler", "method", __VA_ARGS__ } },            \
		[M_DURATION] = { METRIC_HISTOGRAM, "http_request_duration_seconds",      \
				 "Tracks the latencies for HTTP requests.",              \
				 { "code", "handler", "method", __VA_ARGS__ },           \
				 seconds, ARRAY_LEN(seconds) },                          \
		[M_REQUEST_SIZE] = { METRIC_HISTOGRAM, "http_request_size_bytes",        \
				     "Tracks the size of HTTP requests.",                \
				     { "code", "handler", "method", __VA_ARGS__ },       \
				     bytes, ARRAY_LEN(bytes) },                          \
		[M_RESPONSE_SIZE] = { METRIC_HISTOGRAM, "http_response_size_bytes",      \
				      "Tracks the size of HTTP responses.",              \
				      { "code", "handler", "method", __VA_ARGS__ },      \
				      bytes, ARRAY_LEN(bytes) },                         \
		[M_INFLIGHT] = { METRIC_GAUGE, "http_inflight_requests",                 \
				 "Current number of HTTP requests the handler is responding to.", \
				 { "handler", "method", __VA_ARGS__ } },                 \
	}
/* clang-format on */
static const struct metric_desc plain_rows[M_COUNT] = ROWS(NULL);
static const struct metric_desc tenant_rows[M_COUNT] = ROWS("tenant");

static struct str method_label(struct str m)
{
	static const char *const known[][2] = {
		{ "GET", "get" },     { "POST", "post" },	{ "HEAD", "head" },
		{ "PUT", "put" },     { "DELETE", "delete" },	{ "OPTIONS", "options" },
		{ "PATCH", "patch" }, { "CONNECT", "connect" }, { "TRACE", "trace" },
	};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (str_eqz(m, known[i][0]))
			return str_of(known[i][1]);
	return STR("unknown");
}

void http_metrics_init(struct http_metrics *m, struct metric_registry *reg,
		       const struct http_server_opts *o)
{
	m->tenants = o->tenant_header != NULL;
	m->set = reg ? metric_set_new(reg, m->tenants ? tenant_rows : plain_rows, M_COUNT)
		     : NULL;
}

/* Handler, method and, where the server knows any, tenant. */
static size_t labels_of(const struct http_call *c, const char *handler, struct str v[3])
{
	const struct http_server_opts *o = &c->server->o;
	v[0] = str_of(handler);
	v[1] = method_label(c->req.method);
	if (!c->server->metrics.tenants)
		return 2;
	v[2] = http_header(&c->req, o->tenant_header);
	if (v[2].n == 0)
		v[2] = o->default_tenant;
	return 3;
}

void http_metrics_begin(const struct http_call *c, const char *handler)
{
	struct metric_set *m = c->server->metrics.set;
	struct str v[3];
	if (m)
		metric_add(metric_cell(m, M_INFLIGHT, v, labels_of(c, handler, v)), 1);
}

/* As the client library has it: what the request line and the headers say, without how HTTP writes it down, and the body. */
static double request_size(const struct http_req *r)
{
	size_t n = r->target.n + r->method.n + strlen("HTTP/1.1") + r->body.n;
	for (size_t i = 0; i < r->n_headers; i++)
		n += r->headers[i].v.n +
		     (str_eqz(r->headers[i].k, "host") ? 0 : r->headers[i].k.n);
	return (double)n;
}

void http_metrics_end(const struct http_call *c, const char *handler, int status,
		      uint64_t took_ns)
{
	struct metric_set *m = c->server->metrics.set;
	struct str v[4];
	char text[16];
	if (!m)
		return;
	size_t n = labels_of(c, handler, v + 1);
	snprintf(text, sizeof(text), "%d", status);
	v[0] = str_of(text);
	metric_add(metric_cell(m, M_INFLIGHT, v + 1, n), -1);
	n++;
	metric_inc(metric_cell(m, M_TOTAL, v, n));
	metric_observe(metric_cell(m, M_DURATION, v, n),
		       (double)took_ns / (double)NS_PER_S);
	metric_observe(metric_cell(m, M_REQUEST_SIZE, v, n), request_size(&c->req));
	metric_observe(metric_cell(m, M_RESPONSE_SIZE, v, n), (double)c->resp.wire_n);
}
