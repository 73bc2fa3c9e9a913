/*
 * The server and the channel that the tests of rpc share.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "support/tst.h"

static int echo(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		struct err *e)
{
	return rpc_send(call, ctx, &request, 1, e);
}

static int count(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		 struct err *e)
{
	struct world *w = arg;
	char text[64];
	int n = 0, rc = 0;
	size_t size = 0;
	snprintf(text, sizeof(text), "%.*s", STR_FMT(request));
	sscanf(text, "%d %zu", &n, &size);
	char *p = malloc(size + 1);
	for (int i = 0; i < n && rc == 0; i++) {
		memset(p, 'a' + i % 26, size);
		struct str parts[2] = { str_n(p, size / 2), str_n(p, size - size / 2) };
		rc = rpc_send(call, ctx, parts, 2, e);
		if (rc == 0)
			atomic_fetch_add(&w->big_sent, 1);
	}
	if (rc < 0)
		atomic_store(&w->ended, (int)e->code);
	free(p);
	return rc;
}

static int hang(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		struct err *e)
{
	struct world *w = arg;
	uint64_t left = ctx_left_ns(ctx);
	atomic_store(&w->left_ms, left == UINT64_MAX ? -1 : (int)(left / NS_PER_MS));
	if (rpc_send(call, ctx, &request, 1, e) < 0)
		return -1;
	while (ctx_check(ctx, e) == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	atomic_fetch_add(&w->cancelled, cancel_is(ctx->cancel) ? 1 : 100);
	return -1;
}

static int fail(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		struct err *e)
{
	return err_set(ctx, e, E_NOT_FOUND, "%.*s|%.*s", STR_FMT(request),
		       STR_FMT(rpc_call_meta(call, "x-test")));
}

static int peer(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		struct err *e)
{
	struct str s = str_of(rpc_call_peer(call));
	return rpc_send(call, ctx, &s, 1, e);
}

void world_serve(struct world *w, const char *addr)
{
	struct err e = ERR_INIT;
	struct rpc_method m[] = {
		{ "/t.T/Echo", false, echo, w },   { "/t.T/Loop", true, echo, w },
		{ "/t.T/Count", false, count, w }, { "/t.T/Hang", false, hang, w },
		{ "/t.T/Fail", false, fail, w },   { "/t.T/Peer", true, peer, w },
	};
	struct rpc_server_opts o = w->opts;
	o.addr = str_of(addr);
	cr_assert(rpc_server_start(&w->loops, w->pool, w->reg, &o, m, ARRAY_LEN(m),
				   &w->srv, &e) == 0,
		  "%s", err_text(&e));
	rpc_server_ready(w->srv, true);
	snprintf(w->addr, sizeof(w->addr), "127.0.0.1:%u", rpc_server_port(w->srv));
}

void world_start_opts(struct world *w, size_t window, const struct rpc_server_opts *opts)
{
	struct err e = ERR_INIT;
	*w = (struct world){ .opts = *opts };
	w->pool = task_pool_new(&(struct task_pool_opts){ .cpu = 1 });
	w->reg = metric_registry_new();
	cr_assert(loops_start(2, &w->loops, &e) == 0);
	cr_assert(loop_start("client", &w->client_loop, &e) == 0);
	world_serve(w, "127.0.0.1:0");
	struct rpc_channel_opts o = { .loop = w->client_loop, .stream_window = window };
	cr_assert(rpc_channel_new(&o, str_of(w->addr), w->reg, &w->ch, &e) == 0);
}

void world_start(struct world *w, size_t window)
{
	static const struct rpc_server_opts none;
	world_start_opts(w, window, &none);
}

void world_stop(struct world *w)
{
	rpc_channel_free(w->ch);
	rpc_server_stop(w->srv, NS_PER_S);
	loop_stop(w->client_loop);
	loops_stop(&w->loops);
	task_pool_free(w->pool);
	metric_registry_free(w->reg);
}

int world_count(struct world *w, struct ctx *ctx, int n, size_t size, struct err *e)
{
	char text[64];
	struct rpc_stream *s;
	struct view v;
	int got = 0, rc;
	snprintf(text, sizeof(text), "%d %zu", n, size);
	if (rpc_open(w->ch, ctx, "/t.T/Count", str_of(text), NULL, &s, e) < 0)
		return -1;
	while ((rc = rpc_recv(s, ctx, &v, e)) > 0) {
		uint8_t want = (uint8_t)('a' + got++ % 26);
		cr_assert(v.n == size);
		cr_assert(size == 0 || (v.p[0] == want && v.p[size / 2] == want &&
					v.p[size - 1] == want));
		rpc_release(s, &v);
	}
	rpc_stream_close(s);
	if (rc == 0)
		cr_assert(got == n);
	return rc;
}

bool world_until(_Atomic int *v, int want)
{
	for (int i = 0; i < 5000 && atomic_load(v) < want; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	return atomic_load(v) >= want;
}
