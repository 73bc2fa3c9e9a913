/*
 * Servers that stop and come back, addresses where nobody listens, health.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "support/tst.h"
#include "world.h"

#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"

static int echo(struct world *w, struct ctx *ctx, struct err *e)
{
	struct buf out;
	buf_init(&out, 1000);
	int rc = rpc_unary(w->ch, ctx, "/t.T/Echo", STR("hello"), &out, e);
	if (rc == 0)
		cr_assert(str_eqz(buf_view(&out), "hello"));
	buf_deinit(&out);
	return rc;
}

Test(rpc_life, refused_connection_names_the_address)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	rpc_server_stop(w.srv, 0);
	w.srv = NULL;
	for (int i = 0; i < 3; i++) { /* the second and third: while backing off */
		cr_assert(echo(&w, &ctx, &e) < 0);
		cr_assert(e.code == E_UNAVAILABLE);
		cr_assert(strstr(err_text(&e), w.addr) != NULL, "%s", err_text(&e));
		cr_assert(strstr(err_text(&e), "refused") != NULL, "%s", err_text(&e));
	}
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc_life, channel_reconnects_after_the_server_came_back)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(30 * NS_PER_S));
	cr_assert(echo(&w, &ctx, &e) == 0, "%s", err_text(&e));
	rpc_server_stop(w.srv, NS_PER_S);
	char addr[32];
	snprintf(addr, sizeof(addr), "%s", w.addr);
	world_serve(&w, addr);
	int rc = -1;
	for (int i = 0; i < 200 && rc < 0; i++) {
		rc = echo(&w, &ctx, &e);
		if (rc < 0)
			nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	}
	cr_assert(rc == 0, "%s", err_text(&e));
	ctx_deinit(&ctx);
	world_stop(&w);
}

struct stop {
	struct rpc_server *srv;
	uint64_t grace_ns;
};

static void *stop_main(void *arg)
{
	struct stop *s = arg;
	rpc_server_stop(s->srv, s->grace_ns);
	return NULL;
}

Test(rpc_life, stop_lets_calls_end_within_grace)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	pthread_t th;
	int rc, got = 0;
	world_start(&w, 64 << 10);
	ctx_init(&ctx, NULL, time_after_ns(30 * NS_PER_S));
	struct rpc_call_opts o = { .window_min = 64 << 10, .window_max = 64 << 10 };
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Count", STR("300 10000"), &o, &s, &e) == 0);
	cr_assert(world_until(&w.big_sent, 5));
	struct stop st = { w.srv, 20 * NS_PER_S };
	pthread_create(&th, NULL, stop_main, &st);
	nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
	while ((rc = rpc_recv(s, &ctx, &v, &e)) > 0) {
		got++;
		rpc_release(s, &v);
	}
	cr_assert(rc == 0 && got == 300, "%d %s", got, err_text(&e));
	rpc_stream_close(s);
	pthread_join(th, NULL);
	w.srv = NULL;
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc_life, stop_cancels_calls_after_grace)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(30 * NS_PER_S));
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Hang", STR("x"), NULL, &s, &e) == 0);
	cr_assert(rpc_recv(s, &ctx, &v, &e) == 1);
	rpc_release(s, &v);
	uint64_t t = time_mono_ns();
	rpc_server_stop(w.srv, 100 * NS_PER_MS);
	w.srv = NULL;
	cr_assert(time_mono_ns() - t < 5 * NS_PER_S);
	cr_assert(atomic_load(&w.cancelled) == 1);
	cr_assert(rpc_recv(s, &ctx, &v, &e) < 0);
	cr_assert(e.code == E_CANCELLED || e.code == E_UNAVAILABLE, "%s", err_text(&e));
	rpc_stream_close(s);
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc_life, budget_refuses_what_does_not_fit)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct budget b;
	world_start(&w, 0);
	budget_init(&b, NULL, "query", NULL, 1 << 20);
	ctx_init(&ctx, &b, time_after_ns(30 * NS_PER_S));
	cr_assert(world_count(&w, &ctx, 50, 1000, &e) == 0, "%s", err_text(&e));
	cr_assert(world_count(&w, &ctx, 1, 3 << 20, &e) < 0);
	cr_assert(e.code == E_LIMIT, "%s", err_text(&e));
	cr_assert(budget_used(&b) == 0, "%zu", budget_used(&b));
	ctx_deinit(&ctx);
	budget_deinit(&b);
	world_stop(&w);
}

static int status_of(struct world *w, struct ctx *ctx, struct str request)
{
	struct err e = ERR_INIT;
	struct buf out;
	buf_init(&out, 100);
	int rc = rpc_unary(w->ch, ctx, CHECK, request, &out, &e);
	rc = rc < 0 ? -(int)e.code : out.n == 2 && out.p[0] == 8 ? out.p[1] : 99;
	buf_deinit(&out);
	return rc;
}

Test(rpc_life, health_is_checked_and_watched)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	cr_assert(status_of(&w, &ctx, STR("")) == 1);
	cr_assert(status_of(&w, &ctx, STR("\x0a\x03t.T")) == 1);
	cr_assert(status_of(&w, &ctx,
			    STR("\x0a\x03"
				"u.U")) == -(int)E_NOT_FOUND);
	cr_assert(status_of(&w, &ctx, STR("\x0a\x09u")) == -(int)E_INVALID);
	cr_assert(rpc_open(w.ch, &ctx, WATCH, STR(""), NULL, &s, &e) == 0);
	for (int i = 0; i < 4; i++) {
		cr_assert(rpc_recv(s, &ctx, &v, &e) == 1, "%s", err_text(&e));
		cr_assert(v.n == 2 && v.p[1] == (i & 1 ? 2 : 1));
		rpc_release(s, &v);
		rpc_server_ready(w.srv, i & 1);
	}
	cr_assert(status_of(&w, &ctx, STR("")) == 1);
	rpc_server_stop(w.srv, 10 * NS_PER_S); /* a watcher does not hold it up */
	w.srv = NULL;
	while (rpc_recv(s, &ctx, &v, &e) == 1)
		rpc_release(s, &v);
	cr_assert(rpc_stream_code(s) == RPC_UNAVAILABLE);
	rpc_stream_close(s);
	ctx_deinit(&ctx);
	world_stop(&w);
}
