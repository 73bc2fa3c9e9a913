/*
 * gRPC between our own client and server over real sockets: calls, streams, flow control, cancellation.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "rpc/rpc.h"
#include "support/tst.h"

struct world {
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *metrics;
	struct rpc_server *server;
	struct rpc_channel *channel;
	struct ctx ctx;
	struct err e;
	/* seen by handlers */
	pthread_mutex_t mu;
	pthread_cond_t cv;
	uint64_t sent;
	bool cancelled, ended;
};

static int on_echo(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		   struct err *e)
{
	(void)arg;
	return rpc_send(call, ctx, &request, 1, e);
}

static int on_fail(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		   struct err *e)
{
	(void)arg, (void)call;
	return err_set(ctx, e, E_LIMIT, "too much: %.*s\n", STR_FMT(request));
}

/* Messages of 64 KiB until the client has gone, or as many as asked. */
static int on_stream(void *arg, struct ctx *ctx, struct rpc_call *call,
		     struct str request, struct err *e)
{
	struct world *w = arg;
	uint64_t n = 0;
	int rc = 0;
	uint8_t *p = xcalloc(1, 65536);
	(void)!str_to_u64(request, &n);
	for (uint64_t i = 0; (n == 0 || i < n) && rc == 0; i++) {
		p[0] = (uint8_t)i;
		struct str part = str_n(p, 65536);
		rc = rpc_send(call, ctx, &part, 1, e);
		pthread_mutex_lock(&w->mu);
		w->sent += rc == 0;
		pthread_cond_broadcast(&w->cv);
		pthread_mutex_unlock(&w->mu);
	}
	free(p);
	pthread_mutex_lock(&w->mu);
	w->cancelled = rc < 0 && cancel_is(ctx->cancel);
	w->ended = true;
	pthread_cond_broadcast(&w->cv);
	pthread_mutex_unlock(&w->mu);
	return rc;
}

/* One message of 8 MiB. */
static int on_big(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		  struct err *e)
{
	(void)arg, (void)request;
	size_t n = (size_t)8 << 20;
	char *p = xmalloc(n);
	memset(p, 'x', n);
	struct str part = str_n(p, n);
	int rc = rpc_send(call, ctx, &part, 1, e);
	free(p);
	return rc;
}

static void serve(struct world *w, const char *addr)
{
	const struct rpc_method methods[] = { { "/t.T/Echo", false, on_echo, w },
					      { "/t.T/EchoLoop", true, on_echo, w },
					      { "/t.T/Fail", false, on_fail, w },
					      { "/t.T/Stream", false, on_stream, w },
					      { "/t.T/Big", false, on_big, w } };
	struct rpc_server_opts o = { .addr = str_of(addr) };
	cr_assert_eq(rpc_server_start(&w->loops, w->pool, w->metrics, &o, methods,
				      ARRAY_LEN(methods), &w->server, &w->e),
		     0);
}

static void begin(struct world *w)
{
	char addr[64];
	struct task_pool_opts po = { 0 };
	memset(w, 0, sizeof(*w));
	cr_assert_eq(loops_start(2, &w->loops, &w->e), 0);
	w->pool = task_pool_new(&po);
	w->metrics = metric_registry_new();
	pthread_mutex_init(&w->mu, NULL);
	pthread_cond_init(&w->cv, NULL);
	serve(w, "127.0.0.1:0");
	snprintf(addr, sizeof(addr), "127.0.0.1:%u", rpc_server_port(w->server));
	struct rpc_channel_opts co = { .loop = w->loops.l[1] };
	cr_assert_eq(rpc_channel_new(&co, str_of(addr), w->metrics, &w->channel, &w->e),
		     0);
	ctx_init(&w->ctx, NULL, time_after_ns(20 * NS_PER_S));
}

static void end(struct world *w)
{
	rpc_channel_free(w->channel);
	if (w->server)
		rpc_server_stop(w->server, NS_PER_S);
	loops_stop(&w->loops);
	task_pool_free(w->pool);
	metric_registry_free(w->metrics);
	ctx_deinit(&w->ctx);
	pthread_cond_destroy(&w->cv);
	pthread_mutex_destroy(&w->mu);
}

Test(rpc, unary_calls_answer_from_a_thread_and_from_the_loop)
{
	struct world w;
	static const char *const paths[] = { "/t.T/Echo", "/t.T/EchoLoop" };
	begin(&w);
	for (int i = 0; i < 20; i++) {
		struct buf b;
		buf_init(&b, 1 << 20);
		cr_assert(rpc_unary(w.channel, &w.ctx, paths[i % 2], STR("hello"), &b,
				    &w.e) == 0,
			  "%s", err_text(&w.e));
		cr_assert(str_eq(buf_view(&b), STR("hello")));
		buf_deinit(&b);
	}
	end(&w);
}

Test(rpc, a_handlers_error_arrives_as_code_and_text)
{
	struct world w;
	struct buf b;
	begin(&w);
	buf_init(&b, 1 << 20);
	cr_assert_eq(rpc_unary(w.channel, &w.ctx, "/t.T/Fail", STR("caf\xc3\xa9"), &b,
			       &w.e),
		     -1);
	cr_assert_eq(w.e.code, E_LIMIT);
	cr_assert(strstr(err_text(&w.e), "ResourceExhausted") != NULL);
	cr_assert(strstr(err_text(&w.e), "too much: caf\xc3\xa9\n") != NULL);
	cr_assert_eq(rpc_unary(w.channel, &w.ctx, "/t.T/Nothing", STR(""), &b, &w.e), -1);
	cr_assert_eq(w.e.code, E_UNSUPPORTED);
	buf_deinit(&b);
	end(&w);
}

Test(rpc, a_stream_arrives_whole_and_in_order)
{
	struct world w;
	struct rpc_stream *s;
	struct view m;
	unsigned n = 0;
	int rc;
	begin(&w);
	cr_assert_eq(rpc_open(w.channel, &w.ctx, "/t.T/Stream", STR("200"), NULL, &s,
			      &w.e),
		     0);
	while ((rc = rpc_recv(s, &w.ctx, &m, &w.e)) > 0) {
		cr_assert(m.n == 65536 && m.p[0] == (uint8_t)n);
		n++;
		rpc_release(s, &m);
	}
	cr_assert_eq(rc, 0);
	cr_assert_eq(n, 200);
	rpc_stream_close(s);
	end(&w);
}

Test(rpc, a_message_larger_than_the_window_completes)
{
	struct world w;
	struct buf b;
	begin(&w);
	buf_init(&b, (size_t)16 << 20);
	cr_assert(rpc_unary(w.channel, &w.ctx, "/t.T/Big", STR(""), &b, &w.e) == 0, "%s",
		  err_text(&w.e));
	cr_assert_eq(b.n, (size_t)8 << 20);
	buf_deinit(&b);
	end(&w);
}

/* Nobody reads: the writer stops with what the windows and queues hold; other calls go on; closing cancels. */
Test(rpc, a_reader_that_stops_stops_its_writer_and_starves_nobody)
{
	struct world w;
	struct rpc_stream *s;
	struct buf b;
	begin(&w);
	struct rpc_call_opts o = { .window_min = 1 << 20, .window_max = 1 << 20 };
	cr_assert_eq(rpc_open(w.channel, &w.ctx, "/t.T/Stream", STR("0"), &o, &s, &w.e),
		     0);
	pthread_mutex_lock(&w.mu);
	while (w.sent < 16)
		pthread_cond_wait(&w.cv, &w.mu);
	pthread_mutex_unlock(&w.mu);
	buf_init(&b, 1 << 20);
	for (int i = 0; i < 200;
	     i++) { /* time for a writer that nobody stops to run far ahead */
		buf_reset(&b);
		cr_assert_eq(rpc_unary(w.channel, &w.ctx, "/t.T/Echo", STR("x"), &b,
				       &w.e),
			     0);
	}
	pthread_mutex_lock(&w.mu);
	uint64_t sent = w.sent * 65536;
	pthread_mutex_unlock(&w.mu);
	cr_assert_lt(sent, (uint64_t)8 << 20);
	cr_assert_leq(rpc_stream_held(s), (size_t)3 << 20);
	rpc_stream_close(s);
	pthread_mutex_lock(&w.mu);
	while (!w.ended)
		pthread_cond_wait(&w.cv, &w.mu);
	cr_assert(w.cancelled);
	pthread_mutex_unlock(&w.mu);
	buf_deinit(&b);
	end(&w);
}

/* As a merge does: the next message is looked at before the one shown is given back. */
Test(rpc, a_reader_that_holds_a_message_gets_the_next_one)
{
	struct world w;
	struct rpc_stream *s;
	struct view m[2] = { { 0 }, { 0 } };
	int rc, n = 0;
	begin(&w);
	struct rpc_call_opts o = { .window_min = 32768, .window_max = 32768 };
	cr_assert_eq(rpc_open(w.channel, &w.ctx, "/t.T/Stream", STR("100"), &o, &s, &w.e),
		     0);
	while ((rc = rpc_recv(s, &w.ctx, &m[n & 1], &w.e)) > 0) {
		n++;
		if (n > 1)
			rpc_release(s, &m[n & 1]);
	}
	cr_assert(rc == 0, "%s", err_text(&w.e));
	cr_assert_eq(n, 100);
	rpc_release(s, &m[(n + 1) & 1]);
	rpc_stream_close(s);
	end(&w);
}

Test(rpc, a_deadline_ends_a_call)
{
	struct world w;
	struct rpc_stream *s;
	begin(&w);
	struct ctx soon = ctx_child(&w.ctx, time_after_ns(50 * NS_PER_MS));
	struct view m;
	int rc;
	cr_assert_eq(rpc_open(w.channel, &soon, "/t.T/Stream", STR("0"), NULL, &s, &w.e),
		     0);
	while ((rc = rpc_recv(s, &soon, &m, &w.e)) > 0)
		rpc_release(s, &m);
	cr_assert_eq(rc, -1);
	cr_assert_eq(w.e.code, E_TIMEOUT);
	cr_assert_neq(rpc_stream_code(s), RPC_OK);
	rpc_stream_close(s);
	end(&w);
}

Test(rpc, a_refused_connection_names_the_address_and_a_restarted_server_is_found)
{
	struct world w;
	struct buf b;
	char addr[64];
	begin(&w);
	snprintf(addr, sizeof(addr), "127.0.0.1:%u", rpc_server_port(w.server));
	rpc_server_stop(w.server, 0);
	w.server = NULL;
	buf_init(&b, 1 << 20);
	cr_assert_eq(rpc_unary(w.channel, &w.ctx, "/t.T/Echo", STR("x"), &b, &w.e), -1);
	cr_assert_eq(w.e.code, E_UNAVAILABLE);
	cr_assert(strstr(err_text(&w.e), addr) != NULL);
	serve(&w, addr);
	int rc = -1;
	for (int i = 0; i < 400 && rc < 0; i++) { /* the backoff is a second */
		buf_reset(&b);
		rc = rpc_unary(w.channel, &w.ctx, "/t.T/Echo", STR("x"), &b, &w.e);
		struct timespec ts = { 0, 10000000 };
		if (rc < 0)
			nanosleep(&ts, NULL);
	}
	cr_assert_eq(rc, 0);
	buf_deinit(&b);
	end(&w);
}
