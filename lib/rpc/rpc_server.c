/*
 * rpc/rpc_server.c - the life of a server: connections, health, stopping.
 *
 * The server's mutex guards the list of connections and two counts, which rpc_server_stop waits for:
 * connections whose session is not gone, and calls whose memory is not freed. Whatever is to be done
 * to a connection is posted to its loop together with a reference; when it runs after the end of the
 * session it finds `s` NULL and touches nothing of the server.
 *
 * Stopping, each step only as long as needed: no more accepts; GOAWAY, watchers of health end; calls
 * have grace_ns; tokens are cancelled; connections write what they have; connections are closed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "conf/request_log.h"
#include "rpc/rpc_server_h2.h"

#define FLUSH_NS NS_PER_S /* for last answers and GOAWAY to leave */

enum { M_STARTED, M_HANDLED, M_RECEIVED, M_SENT, M_SECONDS, M_PANICS, M_COUNT };
static const double seconds_bounds[] = { 0.001, 0.01, 0.1, 0.3, 0.6, 1,	 3,
					 6,	9,    20,  30,	60,  90, 120 };
static const struct metric_desc rows[M_COUNT] = {
	/* Dashboards ask for it. Nothing here panics and goes on. */
	[M_PANICS] = { .kind = METRIC_COUNTER,
		       .name = "grpc_req_panics_recovered_total",
		       .help = "Requests that were recovered from a panic." },
	[M_STARTED] = { .kind = METRIC_COUNTER,
			.name = "grpc_server_started_total",
			.help = "Calls begun at the server.",
			.labels = { "grpc_method", "grpc_service", "grpc_type" } },
	[M_HANDLED] = { .kind = METRIC_COUNTER,
			.name = "grpc_server_handled_total",
			.help = "Calls ended at the server, by status.",
			.labels = { "grpc_code", "grpc_method", "grpc_service",
				    "grpc_type" } },
	[M_RECEIVED] = { .kind = METRIC_COUNTER,
			 .name = "grpc_server_msg_received_total",
			 .help = "Messages received by the server.",
			 .labels = { "grpc_method", "grpc_service", "grpc_type" } },
	[M_SENT] = { .kind = METRIC_COUNTER,
		     .name = "grpc_server_msg_sent_total",
		     .help = "Messages sent by the server.",
		     .labels = { "grpc_method", "grpc_service", "grpc_type" } },
	[M_SECONDS] = { .kind = METRIC_HISTOGRAM,
			.name = "grpc_server_handling_seconds",
			.help = "How long handlers took.",
			.labels = { "grpc_method", "grpc_service", "grpc_type" },
			.bounds = seconds_bounds,
			.n_bounds = ARRAY_LEN(seconds_bounds) },
};

/* ---- connections ---- */

static void conn_unref(struct rpc_conn *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		free(c);
}

void rpc_server_on_gone(struct h2_session *s, const struct err *why)
{
	struct rpc_conn *c = s->owner;
	struct rpc_server *srv = c->srv;
	(void)why;
	while (c->calls)
		rpc_call_end_stream(c->calls);
	h2_session_free(s);
	c->s = NULL;
	pthread_mutex_lock(&srv->mu);
	if (c->prev)
		c->prev->next = c->next;
	else
		srv->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	srv->n_conns--;
	pthread_cond_broadcast(&srv->cv);
	pthread_mutex_unlock(&srv->mu);
	conn_unref(c);
}

static void on_accept(void *arg, struct net_conn *conn)
{
	struct rpc_server *srv = arg;
	struct rpc_conn *c = xcalloc(1, sizeof(*c));
	struct h2_session_opts o = { .server = true,
				     .max_streams = srv->o.max_streams,
				     .stream_window = RPC_SERVER_WINDOW,
				     .conn_window = RPC_SERVER_CONN_WINDOW,
				     .strict_pings = true,
				     .age_ns = srv->o.max_connection_age_ns,
				     .preface_ns = srv->o.preface_ns };
	atomic_init(&c->refs, 1);
	c->srv = srv;
	c->loop = net_conn_loop(conn);
	if (srv->o.tls)
		net_conn_tls(conn, srv->o.tls, STR_NULL);
	c->s = h2_session_new(conn, &o, &rpc_server_h2_ops, c);
	pthread_mutex_lock(&srv->mu);
	c->next = srv->conns;
	if (c->next)
		c->next->prev = c;
	srv->conns = c;
	srv->n_conns++;
	pthread_mutex_unlock(&srv->mu);
	if (atomic_load(&srv->stopping))
		h2_session_close(c->s, NULL);
}

static void for_all(struct rpc_server *srv, void (*fn)(void *arg))
{
	pthread_mutex_lock(&srv->mu);
	for (struct rpc_conn *c = srv->conns; c; c = c->next) {
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
		loop_post(c->loop, fn, c);
	}
	pthread_mutex_unlock(&srv->mu);
}

/* ---- health ---- */

enum rpc_health_status rpc_health_of(struct rpc_server *srv, struct str service)
{
	bool known = service.n == 0;
	for (size_t i = 0; i < srv->n_methods && !known; i++) {
		struct str s, m;
		known = rpc_path_split(str_of(srv->methods[i].m.path), &s, &m) &&
			str_eq(s, service);
	}
	if (!known)
		return RPC_HEALTH_UNKNOWN;
	return atomic_load(&srv->serving) ? RPC_HEALTH_SERVING : RPC_HEALTH_NOT_SERVING;
}

static int health_check(void *arg, struct ctx *ctx, struct rpc_call *call,
			struct str request, struct err *e)
{
	struct str service;
	uint8_t msg[2];
	if (rpc_health_request(request, &service, e) < 0)
		return -1;
	enum rpc_health_status st = rpc_health_of(arg, service);
	if (st == RPC_HEALTH_UNKNOWN)
		return err_set(ctx, e, E_NOT_FOUND, "unknown service");
	struct str part = str_n(msg, rpc_health_answer(msg, st));
	return rpc_send(call, ctx, &part, 1, e);
}

static void job_health(void *arg)
{
	struct rpc_conn *c = arg;
	for (struct rpc_call *call = c->s ? c->calls : NULL; call; call = call->next)
		if (call->watched)
			rpc_health_push(call);
	conn_unref(c);
}

void rpc_server_ready(struct rpc_server *s, bool serving)
{
	if (atomic_exchange(&s->serving, serving) != serving)
		for_all(s, job_health);
}

/* ---- stopping ---- */

static void job_drain(void *arg)
{
	struct rpc_conn *c = arg;
	if (c->s) {
		for (struct rpc_call *call = c->calls; call; call = call->next)
			if (call->watched ||
			    (call->method && call->method->m.how == RPC_BIDI &&
			     rpc_bidi_is_idle(call)))
				rpc_call_finish(call, RPC_UNAVAILABLE,
						STR("server is stopping"));
		h2_session_drain(c->s, UINT64_MAX);
	}
	conn_unref(c);
}

static void job_cancel(void *arg)
{
	struct rpc_conn *c = arg;
	for (struct rpc_call *call = c->s ? c->calls : NULL; call; call = call->next)
		cancel_now(call->ctx.cancel, "server is stopping");
	conn_unref(c);
}

static void job_end(void *arg)
{
	struct rpc_conn *c = arg;
	if (c->s && !c->s->closing) {
		(void)nghttp2_session_terminate_session(c->s->h2, NGHTTP2_NO_ERROR);
		h2_session_flush(c->s);
	}
	conn_unref(c);
}

static void job_close(void *arg)
{
	struct rpc_conn *c = arg;
	if (c->s)
		h2_session_close(c->s, NULL);
	conn_unref(c);
}

void rpc_server_call_gone(struct rpc_server *srv)
{
	pthread_mutex_lock(&srv->mu);
	srv->n_calls--;
	pthread_cond_broadcast(&srv->cv);
	pthread_mutex_unlock(&srv->mu);
}

static bool no_calls(void *arg)
{
	return ((struct rpc_server *)arg)->n_calls == 0;
}

static bool no_conns(void *arg)
{
	return ((struct rpc_server *)arg)->n_conns == 0;
}

static bool wait_until(struct rpc_server *s, uint64_t ns, bool (*ready)(void *arg))
{
	struct ctx c = { .deadline_ns = time_after_ns(ns) };
	struct err e = ERR_INIT;
	pthread_mutex_lock(&s->mu);
	int rc = ctx_cond_wait(&c, &s->cv, &s->mu, ready, s, &e);
	pthread_mutex_unlock(&s->mu);
	return rc == 0;
}

static void server_free(struct rpc_server *s)
{
	map_deinit(&s->by_path);
	pthread_cond_destroy(&s->cv);
	pthread_mutex_destroy(&s->mu);
	free(s->methods);
	free(s);
}

void rpc_server_stop(struct rpc_server *s, uint64_t grace_ns)
{
	if (!s)
		return;
	rpc_server_ready(s, false);
	atomic_store(&s->stopping, true);
	net_listener_stop(s->listener);
	for_all(s, job_drain);
	if (!wait_until(s, grace_ns, no_calls)) {
		for_all(s, job_cancel);
		(void)wait_until(s, FLUSH_NS, no_calls);
	}
	for_all(s, job_end);
	bool done = wait_until(s, FLUSH_NS, no_conns);
	/* Handlers that ignore their token are waited for; sockets accepted at the last moment, too. */
	while (!done || net_listener_conns(s->listener)) {
		for_all(s, job_close);
		done = wait_until(s, FLUSH_NS, no_conns) &&
		       wait_until(s, FLUSH_NS, no_calls);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	while (!wait_until(s, FLUSH_NS, no_calls))
		;
	net_listener_free(s->listener);
	server_free(s);
}

/* ---- starting ---- */

static void add_method(struct rpc_server *s, const struct rpc_method *m)
{
	struct rpc_server_method *x = &s->methods[s->n_methods++];
	struct str path = str_of(m->path), service, method, type = rpc_path_type(path);
	BUG_ON(!rpc_path_split(path, &service, &method));
	*x = (struct rpc_server_method){ .m = *m };
	x->logged = s->o.log && request_log_has(s->o.log, path, 0);
	x->started = metric_at(s->metrics, M_STARTED, method, service, type);
	x->received = metric_at(s->metrics, M_RECEIVED, method, service, type);
	x->sent = metric_at(s->metrics, M_SENT, method, service, type);
	x->seconds = metric_at(s->metrics, M_SECONDS, method, service, type);
	for (int i = 0; i < RPC_N_CODES; i++)
		x->handled[i] = metric_at(s->metrics, M_HANDLED,
					  str_of(rpc_code_name((enum rpc_code)i)), method,
					  service, type);
	BUG_ON(map_set(&s->by_path, path, x) != NULL);
}

int rpc_server_start(struct loops *loops, struct task_pool *pool,
		     struct metric_registry *m, const struct rpc_server_opts *o,
		     const struct rpc_method *methods, size_t n, struct rpc_server **out,
		     struct err *e)
{
	struct rpc_server *s = xcalloc(1, sizeof(*s));
	s->loops = loops;
	s->pool = pool;
	s->o = *o;
	s->o.addr = STR_NULL; /* the caller's */
	s->o.max_conns = o->max_conns ? o->max_conns : 16384;
	s->o.max_streams = o->max_streams ? o->max_streams : 250;
	s->o.call_budget = o->call_budget ? o->call_budget : (size_t)64 << 20;
	s->o.send_window = o->send_window ? o->send_window : (size_t)256 << 10;
	s->stall_ns = o->stall_ns ? o->stall_ns : RPC_STALL_NS;
	s->metrics = metric_set_new(m, rows, M_COUNT);
	pthread_mutex_init(&s->mu, NULL);
	ctx_cond_init(&s->cv);
	map_init(&s->by_path);
	s->methods = xcalloc(n + 4, sizeof(*s->methods));
	for (size_t i = 0; i < n; i++)
		add_method(s, &methods[i]);
	add_method(s, &(struct rpc_method){ RPC_HEALTH_CHECK, RPC_ON_LOOP, health_check,
					    s });
	add_method(s, &(struct rpc_method){ .path = RPC_HEALTH_WATCH });
	s->methods[n + 1].watch = true;
	add_method(s, &(struct rpc_method){ .path = RPC_REFLECT_V1,
					    .handle = rpc_reflect,
					    .arg = s,
					    .how = RPC_BIDI });
	add_method(s, &(struct rpc_method){ .path = RPC_REFLECT_V1ALPHA,
					    .handle = rpc_reflect,
					    .arg = s,
					    .how = RPC_BIDI });
	if (net_listen(loops, o->addr, s->o.max_conns, on_accept, s, &s->listener, e) <
	    0) {
		server_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

uint16_t rpc_server_port(const struct rpc_server *s)
{
	return net_listener_port(s->listener);
}
