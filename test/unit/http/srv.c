/*
 * srv.c - the routes and their handlers.
 */
#include "srv.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "support/tst.h"

static int echo(void *arg, struct ctx *ctx, const struct http_req *r, struct http_resp *w,
		struct err *e)
{
	struct buf b;
	(void)arg;
	buf_init(&b, 1 << 20);
	buf_fmt(&b, "%.*s %.*s\n", STR_FMT(r->method), STR_FMT(r->path));
	for (size_t i = 0; i < r->n_params; i++)
		buf_fmt(&b, "%.*s=%.*s\n", STR_FMT(r->params[i].k),
			STR_FMT(r->params[i].v));
	buf_fmt(&b, "body %zu\n", r->body.n);
	int rc = http_reply(w, ctx, 200, "text/plain", buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

static size_t number(const struct http_req *r)
{
	uint64_t n = 0;
	str_to_u64(r->capture, &n);
	return n;
}

static char *pattern(struct arena *a, size_t n)
{
	char *p = arena_alloc(a, n + 1);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i % 26);
	return p;
}

void want_pattern(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char want = (char)('a' + i % 26);
		cr_assert_eq(p[i], want, "byte %zu", i);
	}
}

static int size(void *arg, struct ctx *ctx, const struct http_req *r, struct http_resp *w,
		struct err *e)
{
	size_t n = number(r);
	(void)arg;
	http_add_header(w, "X-One", STR("two\r\nX-Evil: 1"));
	return http_reply(w, ctx, 200, "text/plain", str_n(pattern(r->arena, n), n), e);
}

static int stream(void *arg, struct ctx *ctx, const struct http_req *r,
		  struct http_resp *w, struct err *e)
{
	size_t n = number(r), step = 997;
	struct str s = str_n(pattern(r->arena, n), n);
	(void)arg;
	while (s.n) {
		struct str one = str_n(s.p, MIN(s.n, step));
		if (http_write(w, ctx, one, e) < 0)
			return -1;
		s = str_from(s, one.n);
	}
	return 0;
}

static void woken(void *arg)
{
	latch_post(arg);
}

static int wait_cancel(void *arg, struct ctx *ctx, const struct http_req *r,
		       struct http_resp *w, struct err *e)
{
	struct srv *v = arg;
	struct cancel_waiter cw = { .wake = woken, .arg = &v->released };
	(void)r, (void)w;
	latch_post(&v->entered);
	cancel_wait_begin(ctx->cancel, &cw);
	latch_wait(&v->released, 1);
	cancel_wait_end(ctx->cancel, &cw);
	v->rc = ctx_check(ctx, e);
	v->e = *e;
	latch_post(&v->left);
	return v->rc;
}

static int hold(void *arg, struct ctx *ctx, const struct http_req *r, struct http_resp *w,
		struct err *e)
{
	struct srv *v = arg;
	(void)r;
	latch_post(&v->entered);
	latch_wait(&v->released, 1);
	return http_reply(w, ctx, 200, "text/plain", STR("held\n"), e);
}

static int flood(void *arg, struct ctx *ctx, const struct http_req *r,
		 struct http_resp *w, struct err *e)
{
	struct srv *v = arg;
	char *p = pattern(r->arena, 10000);
	latch_post(&v->entered);
	while (http_write(w, ctx, str_n(p, 10000), e) == 0)
		atomic_fetch_add(&v->written, 10000);
	v->e = *e;
	latch_post(&v->left);
	return -1;
}

static int endless(void *arg, struct ctx *ctx, const struct http_req *r,
		   struct http_resp *w, struct err *e)
{
	char *p = pattern(r->arena, 10000);
	(void)arg;
	while (http_write(w, ctx, str_n(p, 10000), e) == 0)
		;
	return -1;
}

static int fail(void *arg, struct ctx *ctx, const struct http_req *r, struct http_resp *w,
		struct err *e)
{
	(void)arg;
	http_status(w, 200);
	if (str_eq(r->capture, STR("late")) &&
	    http_write(w, ctx, str_n(pattern(r->arena, 200000), 200000), e) < 0)
		return -1;
	return err_set(ctx, e, E_INTERNAL, "it broke");
}

static int capture(void *arg, struct ctx *ctx, const struct http_req *r,
		   struct http_resp *w, struct err *e)
{
	(void)arg;
	return http_reply(w, ctx, 200, "text/plain", r->capture, e);
}

void srv_start(struct srv *v, const struct http_server_opts *opts)
{
	srv_start_wide(v, opts, 8);
}

void srv_start_wide(struct srv *v, const struct http_server_opts *opts, uint32_t threads)
{
	const struct http_route routes[] = {
		{ "GET|POST", "/echo", HTTP_ON_REQUEST, echo, v, "echo" },
		{ "GET", "/size/:n", HTTP_ON_REQUEST, size, v, "size" },
		{ "GET", "/stream/:n", HTTP_ON_REQUEST, stream, v, NULL },
		{ "GET", "/loop/:n", HTTP_ON_LOOP, size, v, "loop" },
		{ "GET", "/wait", HTTP_ON_REQUEST, wait_cancel, v, "wait" },
		{ "GET", "/hold", HTTP_ON_REQUEST, hold, v, "hold" },
		{ "GET", "/flood", HTTP_ON_REQUEST, flood, v, "flood" },
		{ "GET", "/endless", HTTP_ON_REQUEST, endless, v, "endless" },
		{ "GET", "/fail/:how", HTTP_ON_REQUEST, fail, v, "fail" },
		{ "GET", "/v/:name/x", HTTP_ON_REQUEST, capture, v, "v" },
		{ "GET", "/static/*", HTTP_ON_LOOP, capture, v, "static" },
	};
	struct http_server_opts o = opts ? *opts : (struct http_server_opts){ 0 };
	struct err e = ERR_INIT;
	signal(SIGPIPE, SIG_IGN);
	memset(v, 0, sizeof(*v));
	latch_init(&v->entered);
	latch_init(&v->left);
	latch_init(&v->released);
	o.addr = STR("127.0.0.1:0");
	budget_init(&v->budget, NULL, "process", NULL, 0);
	o.budget = &v->budget;
	cr_assert_eq(loops_start(2, &v->loops, &e), 0);
	v->pool = task_pool_new(&(struct task_pool_opts){ .max_request = threads });
	v->reg = metric_registry_new();
	cr_assert_eq(http_server_start(&v->loops, v->pool, v->reg, &o, routes,
				       ARRAY_LEN(routes), &v->s, &e),
		     0);
	v->port = http_server_port(v->s);
}

void srv_stop(struct srv *v, uint64_t grace_ns)
{
	http_server_stop(v->s, grace_ns);
	task_pool_free(v->pool);
	loops_stop(&v->loops);
	metric_registry_free(v->reg);
	budget_deinit(&v->budget); /* nothing is charged any more */
}

struct raw *srv_ask(struct srv *v, const char *method, const char *target,
		    const char *headers)
{
	char text[4096];
	struct raw *r = raw_connect(v->port);
	snprintf(text, sizeof(text),
		 "%s %s HTTP/1.1\r\nHost: h\r\n%sConnection: close\r\n\r\n", method,
		 target, headers);
	raw_send(r, text);
	cr_assert(raw_until_eof(r));
	return r;
}

const char *answer_body(const struct raw *r)
{
	const char *p = strstr(r->buf, "\r\n\r\n");
	cr_assert_not_null(p);
	return p + 4;
}
