/*
 * http/server.c - starting, and stopping in steps: no new connections; idle ones closed, the others when their
 * answer is out; after the grace tokens cancelled and a moment to say so; then all that is left closed. The end
 * comes when no connection and no handler is left: both are counted, since a handler outlives its client.
 */
#include <stdlib.h>
#include <sys/resource.h>

#include "base/limits.h"
#include "base/time.h"
#include "http/http_int.h"

#define LAST_WORDS_NS (2 * NS_PER_S)

void http_server_count(struct http_server *s, int conns, int running)
{
	if (conns)
		atomic_fetch_add(&s->n_open, (uint32_t)conns);
	pthread_mutex_lock(&s->mu);
	s->conns += (uint32_t)conns;
	s->running += (uint32_t)running;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->mu);
}

uint16_t http_server_port(const struct http_server *s)
{
	return net_listener_port(s->listener);
}

static void server_free(struct http_server *s)
{
	for (size_t i = 0; i < s->n_routes; i++)
		http_pattern_deinit(&s->patterns[i]);
	net_listener_free(s->listener);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->mu);
	free(s->patterns);
	free(s->routes);
	free(s->shards);
	free(s->prefix);
	free(s);
}

/* Descriptors are needed for other things, too; without them idle connections could not be told to go. */
static uint32_t most_conns(void)
{
	struct rlimit l;
	rlim_t n = LIMIT_HTTP_CONNS;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0)
		n = MIN(n, l.rlim_cur / 4 * 3);
	return MAX((uint32_t)n, 16u);
}

static void set_defaults(struct http_server_opts *o)
{
	if (!o->max_conns)
		o->max_conns = most_conns();
	if (!o->header_timeout_ns)
		o->header_timeout_ns = 30 * NS_PER_S;
	if (!o->idle_timeout_ns)
		o->idle_timeout_ns = 120 * NS_PER_S;
	if (!o->body_timeout_ns)
		o->body_timeout_ns = 60 * NS_PER_S;
	if (!o->max_body)
		o->max_body = LIMIT_HTTP_BODY_BYTES;
}

/* "x/", "/x/", "/" -> "/x", "/x", "" */
static char *clean_prefix(const char *prefix)
{
	struct str s = str_of(prefix);
	while (s.n && s.p[s.n - 1] == '/')
		s.n--;
	while (s.n && s.p[0] == '/')
		s = str_from(s, 1);
	char *out = xcalloc(s.n + 2, 1);
	if (s.n) {
		out[0] = '/';
		memcpy(out + 1, s.p, s.n);
	}
	return out;
}

int http_server_start(struct loops *loops, struct task_pool *pool,
		      struct metric_registry *m, const struct http_server_opts *o,
		      const struct http_route *routes, size_t n, struct http_server **out,
		      struct err *e)
{
	struct http_server *s = xcalloc(1, sizeof(*s));
	s->loops = loops;
	s->pool = pool;
	s->o = *o;
	set_defaults(&s->o);
	s->prefix = clean_prefix(o->prefix);
	s->routes = xcalloc(n + 1, sizeof(*s->routes));
	s->patterns = xcalloc(n + 1, sizeof(*s->patterns));
	for (; s->n_routes < n; s->n_routes++) {
		s->routes[s->n_routes] = routes[s->n_routes];
		http_pattern_init(&s->patterns[s->n_routes], routes[s->n_routes].path);
	}
	s->shards = xcalloc(loops->n, sizeof(*s->shards));
	for (uint32_t i = 0; i < loops->n; i++)
		s->shards[i] = (struct http_shard){ s, loops->l[i], NULL, NULL };
	pthread_mutex_init(&s->mu, NULL);
	ctx_cond_init(&s->changed);
	http_metrics_init(&s->metrics, m, &s->o);
	if (net_listen(loops, o->addr, s->o.max_conns, http_conn_accept, s, &s->listener,
		       e) < 0) {
		server_free(s);
		return -1;
	}
	*out = s;
	return 0;
}

/* ---- stop ---- */

struct stop_op {
	struct loop_op base;
	struct http_shard *shard;
	enum http_stop how;
};

static void stop_op_free(struct loop_op *op)
{
	free(CONTAINER_OF(op, struct stop_op, base));
}

/* Closing is told later, by posts: the list does not change under us. */
static void stop_shard(struct loop_op *op)
{
	struct stop_op *s = CONTAINER_OF(op, struct stop_op, base);
	for (struct http_conn *c = s->shard->first; c; c = http_conn_next(c))
		http_conn_stop(c, s->how);
	loop_op_done(op, NULL);
}

/* On every loop, behind the connections that the listener had handed to it. */
static void stop_all(struct http_server *s, enum http_stop how)
{
	struct err e = ERR_INIT;
	for (uint32_t i = 0; i < s->loops->n; i++) {
		struct stop_op *op = xcalloc(1, sizeof(*op));
		loop_op_init(&op->base, stop_op_free);
		op->shard = &s->shards[i];
		op->how = how;
		BUG_ON(loop_call(s->shards[i].loop, NULL, stop_shard, &op->base, &e) < 0);
		loop_op_unref(&op->base);
	}
}

static bool all_gone(void *arg)
{
	const struct http_server *s = arg;
	return s->conns == 0 && s->running == 0;
}

/* timeout_ns UINT64_MAX: without end. */
static bool wait_gone(struct http_server *s, uint64_t timeout_ns)
{
	struct err e = ERR_INIT;
	struct ctx ctx = { .deadline_ns = timeout_ns == UINT64_MAX
						  ? 0
						  : time_after_ns(timeout_ns) };
	pthread_mutex_lock(&s->mu);
	int rc = ctx_cond_wait(&ctx, &s->changed, &s->mu, all_gone, s, &e);
	pthread_mutex_unlock(&s->mu);
	return rc == 0;
}

void http_server_stop(struct http_server *s, uint64_t grace_ns)
{
	if (!s)
		return;
	atomic_store(&s->stopping, true);
	net_listener_stop(s->listener);
	stop_all(s, HTTP_STOP_IDLE);
	if (!wait_gone(s, grace_ns)) {
		stop_all(s, HTTP_STOP_CANCEL);
		if (!wait_gone(s, LAST_WORDS_NS)) {
			stop_all(s, HTTP_STOP_CLOSE);
			wait_gone(s, UINT64_MAX);
		}
	}
	server_free(s);
}
