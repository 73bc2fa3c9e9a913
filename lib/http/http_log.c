/*
 * http/http_log.c - lines about requests, their fields named as Thanos' are. Probes and metrics (what is answered on
 * the loop) are logged only where the configuration names them.
 */
#include <stdio.h>

#include "base/time.h"
#include "base/ulid.h"
#include "conf/request_log.h"
#include "http/http_int.h"

#define REQUEST_ID_MAX 256u

struct str http_request_id(const struct http_req *r)
{
	struct str s = http_header(r, "x-request-id");
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return STR("");
	return s.n > REQUEST_ID_MAX ? STR("") : s;
}

static int64_t port_of(struct str host)
{
	int64_t port = 0;
	for (size_t i = host.n; i > 0; i--)
		if (host.p[i - 1] == ':')
			return str_to_i64(str_from(host, i), &port) ? port : 0;
		else if (host.p[i - 1] == ']')
			break;
	return 0;
}

static bool is_chosen(const struct http_call *c, bool on_loop)
{
	const struct request_log *l = c->server->o.log;
	struct str rest = c->req.target, path;
	if (on_loop && l->n_rows == 0)
		return false;
	(void)str_cut(&rest, '?', &path);
	return request_log_has(l, path, port_of(http_header(&c->req, "host"))) ||
	       request_log_has(l, path, http_server_port(c->server));
}

/* What both lines have; returns their number. */
static size_t fields(const struct http_call *c, struct log_field *v)
{
	const struct http_req *r = &c->req;
	size_t n = 0;
	v[n++] = (struct log_field){ "protocol", STR("http") };
	v[n++] = (struct log_field){ "http.component", STR("server") };
	v[n++] = (struct log_field){ "component", str_of(c->server->o.log->component) };
	v[n++] = (struct log_field){ "http.method",
				     str_fmt(r->arena, "%.*s %.*s", STR_FMT(r->method),
					     STR_FMT(r->target)) };
	v[n++] = (struct log_field){ "http.request_id", c->ctx.request_id };
	v[n++] = (struct log_field){ "http.user_agent", http_header(r, "user-agent") };
	return n;
}

void http_log_start(struct http_call *c, const char *handler, bool on_loop)
{
	const struct request_log *l = c->server->o.log;
	struct log_field v[12];
	char id[27], at[40];
	struct ulid u;
	if (!l || !handler || !is_chosen(c, on_loop))
		return;
	c->logged = l->end;
	if (c->ctx.request_id.n == 0)
		c->ctx.request_id = http_request_id(&c->req);
	if (c->ctx.request_id.n == 0) {
		ulid_new(&u, time_wall_ms());
		ulid_format(&u, id);
		c->ctx.request_id = str_dup(c->req.arena, str_of(id));
	}
	if (!l->start || !request_log_wants(l, LOG_DEBUG))
		return;
	int64_t now = time_wall_ns();
	size_t k = time_format_rfc3339(at, now / (int64_t)NS_PER_S,
				       (uint32_t)(now % (int64_t)NS_PER_S), 9);
	size_t n = fields(c, v);
	/* "2026-11-26 14:47:34.523140196 +0000 UTC", as Go prints times */
	v[n++] = (struct log_field){ "http.start_time",
				     str_fmt(c->req.arena, "%.10s %.*s +0000 UTC", at,
					     (int)(k - 12), at + 11) };
	v[n++] = (struct log_field){ "thanos.method_name", str_of(handler) };
	v[n++] = (struct log_field){ "msg", STR("started call") };
	log_fields(LOG_DEBUG, v, n);
}

void http_log_end(const struct http_call *c, const char *handler, int status,
		  uint64_t took_ns)
{
	struct log_field v[12];
	char code[16], ms[32];
	enum log_level level = status >= 200 && status < 500 ? LOG_DEBUG : LOG_ERROR;
	if (!c->logged || !request_log_wants(c->server->o.log, level))
		return;
	struct str remote = http_header(&c->req, "x-forwarded-for");
	snprintf(code, sizeof(code), "%d", status);
	size_t n = fields(c, v);
	v[n++] = (struct log_field){ "http.status_code", str_of(code) };
	v[n++] = (struct log_field){ "http.time_ms", request_log_ms(ms, took_ns) };
	v[n++] = (struct log_field){ "http.remote_addr",
				     remote.n ? remote : str_of(c->req.peer) };
	v[n++] = (struct log_field){ "thanos.method_name", str_of(handler) };
	v[n++] = (struct log_field){ "msg", STR("finished call") };
	log_fields(level, v, n);
}
