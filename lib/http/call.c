/*
 * http/call.c - one request on its way through a handler.
 *
 * A call is made by the connection when the first byte of a request arrives. For a route on a request
 * thread it then has two owners, and the worker frees arena, body and budget when the handler is through, so that
 * a server which has counted its handlers down knows that nothing of theirs is charged any more.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "http/http_int.h"

struct http_call *http_call_new(struct http_server *s, const struct http_framing *f,
				void *client)
{
	struct http_call *c = xcalloc(1, sizeof(*c));
	atomic_init(&c->refs, 1);
	c->server = s;
	c->framing = f;
	c->client = client;
	budget_init(&c->budget, s->o.budget, "request", NULL, 0);
	c->budget.step = HTTP_READ_STEP;
	arena_init(&c->arena, &c->budget);
	c->arena.first = HTTP_READ_STEP;
	c->req.arena = &c->arena;
	return c;
}

struct http_call *http_call_ref(struct http_call *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void http_call_release(struct http_call *c)
{
	if (c->released)
		return;
	c->released = true;
	if (c->resp.call)
		http_resp_deinit(&c->resp);
	free(c->body);
	budget_give(&c->budget, c->body_charged);
	arena_deinit(&c->arena);
	ctx_deinit(&c->ctx);
	budget_deinit(&c->budget);
}

void http_call_unref(struct http_call *c)
{
	if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
		return;
	http_call_release(c);
	cancel_unref(c->cancel);
	if (c->running && atomic_fetch_sub(&c->running->refs, 1) == 1)
		free(c->running);
	free(c);
}

void http_call_drop(struct http_call *c)
{
	if (!c)
		return;
	c->client = NULL;
	if (c->pipe) {
		cancel_now(c->cancel, "client disconnected");
		pipe_close(c->pipe, "client disconnected");
		pipe_unref(c->pipe);
	}
	http_call_unref(c);
}

/* The handler, then its answer to the last byte. 0, or -1: what was sent must be cut. */
static int answer(struct http_call *c, struct err *e)
{
	struct http_resp *w = &c->resp;
	const struct http_req *r = &c->req;
	const char *handler = c->route->name ? c->route->name : c->route->path;
	uint64_t start = time_mono_ns();

	c->ctx.request_id = http_request_id(r);
	http_metrics_begin(c, handler);
	http_log_start(c, handler, false);
	struct span span;
	span_begin_kind(&span, &c->ctx, SPAN_SERVER, "HTTP ", r->path);
	if (span.ctx) {
		span_str(&span, "http.method", r->method);
		http_add_header(w, "X-Thanos-Trace-Id",
				str_fmt(r->arena, "%016llx%016llx",
					(unsigned long long)c->ctx.trace.id_hi,
					(unsigned long long)c->ctx.trace.id_lo));
	}
	enum http_auth_verdict v =
		c->ask_auth ? http_auth_ask(c->server->o.auth, &c->ctx, r) : HTTP_AUTH_OK;
	int rc = v == HTTP_AUTH_OK ? c->route->handle(c->route->arg, &c->ctx, r, w, e)
				   : http_auth_refuse(v, w, &c->ctx, e);
	if (span.ctx)
		span_int(&span, "http.status_code",
			 rc < 0 && !w->head_sent ? 500 : w->status);
	span_end(&span, rc < 0 ? e : NULL);
	if (rc < 0) {
		if (e->code != E_CANCELLED || !cancel_is(c->cancel))
			log_warn(&c->ctx, "%.*s %.*s: %s", STR_FMT(r->method),
				 STR_FMT(r->path), err_text(e));
		rc = http_resp_error(w, &c->ctx, 500, e);
	}
	if (rc == 0)
		rc = http_resp_end_body(w, &c->ctx, e);
	/* Counted before the client can see the end of its answer. */
	uint64_t took_ns = time_mono_ns() - start;
	http_metrics_end(c, handler, w->status, took_ns);
	http_log_end(c, handler, w->status, took_ns);
	return rc < 0 ? -1 : http_resp_finish(w, &c->ctx, e);
}

void http_call_run(void *arg)
{
	struct http_call *c = arg;
	struct http_server *s = c->server;
	struct pipe *pipe = c->pipe;
	struct err e = ERR_INIT;

	if (answer(c, &e) == 0)
		pipe_end(pipe);
	else
		pipe_fail(pipe, &e);
	pipe_unref(pipe);
	http_call_release(c);
	if (c->running)
		atomic_fetch_sub(&c->running->n, 1);
	http_server_count(s, 0, -1);
	http_call_unref(c);
}
