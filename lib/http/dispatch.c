/*
 * http/dispatch.c - who answers a request: the same for all protocols, which only read it and write the answer
 * (struct http_framing).
 *
 * Answered here on the loop are refusals, paths without a route, and routes with HTTP_ON_LOOP; a request thread
 * gets the others, and those whose credentials must be compared first.
 */
#include "base/log.h"
#include "base/span.h"
#include "base/time.h"
#include "http/http_int.h"

/* ---- answers made here ---- */

/* Run `handle` on the loop and write its answer. */
static void answer_on_loop(struct http_call *call,
			   int (*handle)(void *arg, struct ctx *ctx,
					 const struct http_req *r, struct http_resp *w,
					 struct err *e),
			   void *arg, const char *handler)
{
	struct http_resp *w = &call->resp;
	struct ctx ctx = { .budget = &call->budget };
	struct err e = ERR_INIT;
	uint64_t start = time_mono_ns();
	http_resp_init(w, call, true);
	if (handler)
		http_metrics_begin(call, handler);
	http_log_start(call, handler, true);
	if (handle(arg, &ctx, &call->req, w, &e) < 0 &&
	    http_resp_error(w, &ctx, 500, &e) < 0)
		w->close = true;
	if (handler)
		http_metrics_end(call, handler, w->status, time_mono_ns() - start);
	call->framing->made(call);
	http_log_end(call, handler, w->status, time_mono_ns() - start);
}

struct plain {
	int status;
	const char *text;
	const char *name; /* one more header, or NULL */
	struct str value;
};

static int reply_plain(void *arg, struct ctx *ctx, const struct http_req *r,
		       struct http_resp *w, struct err *e)
{
	const struct plain *p = arg;
	(void)r;
	if (p->name)
		http_add_header(w, p->name, p->value);
	if (p->status == 204) {
		http_status(w, 204);
		return 0;
	}
	struct str text = str_fmt(r->arena, "%s\n", p->text);
	return http_reply(w, ctx, p->status, "text/plain; charset=utf-8", text, e);
}

void http_answer_plain(struct http_call *c, int status, const char *text)
{
	struct plain p = { .status = status, .text = text };
	answer_on_loop(c, reply_plain, &p, NULL);
}

void http_answer_no_route(struct http_call *c)
{
	struct plain p = { .status = c->match.status };
	switch (p.status) {
	case 404: p.text = "404 page not found"; break;
	case 302:
		p.text = "Found";
		p.name = "Location";
		p.value = str_fmt(&c->arena, "%s/", c->server->prefix);
		break;
	case 400: p.text = "malformed request target"; break;
	default: p.text = http_reason(p.status); break;
	}
	if (c->match.allow) {
		p.name = "Allow";
		p.value = str_of(c->match.allow);
	}
	answer_on_loop(c, reply_plain, &p, NULL);
}

static int reply_unauthorized(void *arg, struct ctx *ctx, const struct http_req *r,
			      struct http_resp *w, struct err *e)
{
	(void)arg, (void)r;
	return http_auth_refuse(HTTP_AUTH_BAD, w, ctx, e);
}

/* Paths without a route are told to those only who may ask. */
static int reply_no_route(void *arg, struct ctx *ctx, const struct http_req *r,
			  struct http_resp *w, struct err *e)
{
	(void)arg, (void)r;
	return http_reply(w, ctx, 404, "text/plain; charset=utf-8",
			  STR("404 page not found\n"), e);
}

/* ---- answers of request threads ---- */

static void on_wake(void *arg)
{
	struct http_call *call = arg;
	if (call->client && call->pipe)
		call->framing->wake(call);
	http_call_unref(call);
}

/* Under the pipe's lock, on the worker's thread. */
static void wake(void *arg)
{
	struct http_call *call = arg;
	loop_post(call->loop, on_wake, http_call_ref(call));
}

/* False: no thread is free; the call is still ours alone. */
static bool start_worker(struct http_call *call, struct err *e)
{
	struct http_server *s = call->server;
	struct pipe_opts po = { .limit = call->framing->pipe_bytes };
	call->budget.step = HTTP_RUN_STEP;
	ctx_init(&call->ctx, &call->budget, 0);
	if (s->o.trace)
		trace_begin(&call->ctx, s->o.trace,
			    http_header(&call->req, "traceparent"),
			    http_header(&call->req, "x-thanos-force-tracing").n > 0);
	call->cancel = cancel_ref(call->ctx.cancel);
	call->pipe = pipe_new(&po);
	pipe_consumer_wake(call->pipe, wake, call);
	http_resp_init(&call->resp, call, false);
	http_call_ref(call);
	http_server_count(s, 0, 1);
	if (call->running)
		atomic_fetch_add(&call->running->n, 1);
	if (task_request(s->pool, http_call_run, call, e) == 0) {
		/* The first look at the pipe makes it tell us of more. */
		loop_post(call->loop, on_wake, http_call_ref(call));
		return true;
	}
	if (call->running)
		atomic_fetch_sub(&call->running->n, 1);
	http_server_count(s, 0, -1);
	http_resp_deinit(&call->resp);
	pipe_unref(call->pipe);
	pipe_unref(call->pipe);
	call->pipe = NULL;
	http_call_unref(call);
	return false;
}

/* ---- the request ---- */

void http_req_peer(const struct http_server *s, const struct net_conn *net,
		   struct http_req *r)
{
	struct net_tls_subject subject;
	r->peer = str_dupz(r->arena, str_of(net_conn_peer(net)));
	if (s->o.want_subject && net_conn_subject(net, r->arena, &subject)) {
		struct http_subject *kept = ARENA_NEW(r->arena, struct http_subject);
		*kept = (struct http_subject){ subject.organization, subject.unit,
					       subject.common_name };
		r->subject = kept;
	}
}

void http_dispatch_head(struct http_call *c, struct net_conn *from)
{
	c->loop = net_conn_loop(from);
	http_req_peer(c->server, from, &c->req);
	http_route_find(c->server, &c->req, &c->query, &c->match);
}

bool http_dispatch(struct http_call *call)
{
	static const struct http_route none = { "GET",		"",   HTTP_ON_REQUEST,
						reply_no_route, NULL, "none" };
	struct http_req *r = &call->req;
	const struct http_route *route = call->match.route;
	struct http_auth *auth = call->server->o.auth;
	enum http_auth_verdict may = auth ? http_auth_look(auth, r) : HTTP_AUTH_OK;
	struct err e = ERR_INIT;
	call->ask_auth = may == HTTP_AUTH_ASK;
	if (!route && call->ask_auth)
		route = &none;
	if (may == HTTP_AUTH_BAD) {
		answer_on_loop(call, reply_unauthorized, NULL, NULL);
	} else if (!route) {
		http_answer_no_route(call);
	} else if (http_params_parse(r, call->query, &e) < 0) {
		http_answer_plain(call, e.code == E_LIMIT ? 413 : 503, err_text(&e));
	} else if (route->where == HTTP_ON_LOOP && !call->ask_auth) {
		answer_on_loop(call, route->handle, route->arg,
			       route->name ? route->name : route->path);
	} else {
		call->route = route;
		if (start_worker(call, &e))
			return true;
		http_answer_plain(call, 503, err_text(&e));
	}
	return false;
}
