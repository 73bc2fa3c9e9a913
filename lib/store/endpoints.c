/*
 * store/endpoints.c - the stores behind a querier: one channel each, asked for Info every few seconds.
 *
 * Polls of all endpoints run at the same time, each on a request thread with its own deadline, so that one that
 * hangs delays no other. What an endpoint said stays known when it dies: the proxy then names it in a
 * warning instead of leaving its data out in silence. The list of stores shows it for unhealthy_ns more, as Thanos
 * does, and one that never answered not at all; all are asked on, for ever.
 */
#include "base/log.h"
#include "base/time.h"
#include "store/endpoint_int.h"
#include "proto/convert.h"

#include <stdlib.h>
#include <stdio.h>

enum { M_CONNECTIONS, M_ROWS };
static const struct metric_desc rows[M_ROWS] = {
	[M_CONNECTIONS] = { METRIC_GAUGE,
			    "thanos_store_nodes_grpc_connections",
			    "Number of gRPC connection to Store APIs. Opened connection means "
			    "healthy store APIs available for Querier.",
			    { 0 },
			    NULL,
			    0,
			    0,
			    NULL },
};

static void info_free(struct ref *r)
{
	struct endpoint_info *i = CONTAINER_OF(r, struct endpoint_info, ref);
	arena_deinit(&i->arena);
	free(i);
}

static struct endpoint_info *info_new(struct str msg, struct err *e)
{
	struct endpoint_info *i = xcalloc(1, sizeof(*i));
	ref_init(&i->ref, info_free);
	arena_init(&i->arena, NULL);
	struct str keep = str_dup(&i->arena, msg); /* decoded strings are views into it */
	if (proto_info_decode(NULL, &i->arena, keep, &i->info, &i->has_store, e) < 0) {
		ref_put(&i->ref);
		return NULL;
	}
	return i;
}

static void set_state(struct endpoint *ep, struct endpoint_info *info, const char *error)
{
	pthread_mutex_lock(&ep->mu);
	struct endpoint_info *old = info ? ep->info : NULL;
	bool was = ep->healthy;
	if (info)
		ep->info = info;
	ep->healthy = info != NULL;
	if (info)
		ep->reached_ns = time_mono_ns();
	ep->last_check_ms = time_wall_ms();
	snprintf(ep->last_error, sizeof(ep->last_error), "%s", error);
	ep->polling = false;
	pthread_mutex_unlock(&ep->mu);
	if (old)
		ref_put(&old->ref);
	if (was && !info)
		log_warn(NULL, "endpoint %s is not healthy any more: %s", ep->addr,
			 error);
	if (!was && info)
		log_info(NULL, "endpoint %s is healthy: %s with %zu label sets", ep->addr,
			 info->info.component, info->info.n_label_sets);
}

static void poll_one(struct endpoint *ep)
{
	struct ctx ctx;
	struct buf b;
	struct err e = ERR_INIT;
	struct endpoint_info *info = NULL;
	ctx_init(&ctx, NULL, time_after_ns(ep->set->o.info_timeout_ns));
	cancel_unref(ctx.cancel);
	ctx.cancel = cancel_ref(ep->set->cancel);
	buf_init(&b, LIMIT_RPC_REQUEST_BYTES);
	if (rpc_unary(ep->channel, &ctx, "/thanos.info.Info/Info", STR(""), &b, &e) == 0)
		info = info_new(buf_view(&b), &e);
	set_state(ep, info, info ? "" : err_text(&e));
	buf_deinit(&b);
	ctx_deinit(&ctx);
}

static void update_metric(struct endpoints *s)
{
	size_t healthy = 0;
	for (size_t i = 0; i < s->n; i++) {
		pthread_mutex_lock(&s->ep[i].mu);
		healthy += s->ep[i].healthy;
		pthread_mutex_unlock(&s->ep[i].mu);
	}
	metric_set_value(s->connections, (double)healthy);
}

static void poll_task(void *arg)
{
	struct endpoint *ep = arg;
	struct endpoints *s = ep->set;
	poll_one(ep);
	update_metric(s);
	pthread_mutex_lock(&s->mu);
	s->pending--;
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mu);
}

static void start_polls(struct endpoints *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct endpoint *ep = &s->ep[i];
		pthread_mutex_lock(&ep->mu);
		bool busy = ep->polling;
		ep->polling = true;
		pthread_mutex_unlock(&ep->mu);
		if (busy)
			continue;
		pthread_mutex_lock(&s->mu);
		s->pending++;
		pthread_mutex_unlock(&s->mu);
		task_request_queued(s->o.pool, poll_task, ep);
	}
}

static void on_timer(void *arg)
{
	start_polls(arg);
}

static bool none_pending(void *arg)
{
	return ((struct endpoints *)arg)->pending == 0;
}

void endpoints_poll(struct endpoints *s, struct ctx *ctx)
{
	struct err e = ERR_INIT;
	start_polls(s);
	pthread_mutex_lock(&s->mu);
	(void)!ctx_cond_wait(ctx, &s->cv, &s->mu, none_pending, s, &e);
	pthread_mutex_unlock(&s->mu);
}

int endpoints_new(const struct endpoints_opts *o, struct endpoints **out, struct err *e)
{
	struct endpoints *s = xcalloc(1, sizeof(*s));
	struct metric_set *m = metric_set_new(o->metrics, rows, M_ROWS);
	s->o = *o;
	s->ep = xcalloc(o->n, sizeof(*s->ep));
	s->connections = metric_plain(m, M_CONNECTIONS);
	s->cancel = cancel_new();
	pthread_mutex_init(&s->mu, NULL);
	ctx_cond_init(&s->cv);
	for (size_t i = 0; i < o->n; i++) {
		struct endpoint *ep = &s->ep[i];
		struct rpc_channel_opts co = { .loop = loops_next(o->loops),
					       .tls = o->tls,
					       .encoding = o->encoding };
		pthread_mutex_init(&ep->mu, NULL);
		ep->set = s;
		ep->addr = xcalloc(1, o->addrs[i].n + 1);
		memcpy(ep->addr, o->addrs[i].p, o->addrs[i].n);
		ep->origin.name = ep->addr;
		s->n++;
		if (rpc_channel_new(&co, o->addrs[i], o->metrics, &ep->channel, e) < 0) {
			endpoints_free(s);
			return -1;
		}
	}
	s->timer = task_timer_start(o->pool, o->poll_ns, o->poll_ns, on_timer, s);
	*out = s;
	return 0;
}

void endpoints_free(struct endpoints *s)
{
	if (!s)
		return;
	task_timer_stop(s->timer);
	cancel_now(s->cancel, "shutting down");
	pthread_mutex_lock(&s->mu);
	while (s->pending)
		pthread_cond_wait(&s->cv, &s->mu);
	pthread_mutex_unlock(&s->mu);
	for (size_t i = 0; i < s->n; i++) {
		struct endpoint *ep = &s->ep[i];
		rpc_channel_free(ep->channel);
		if (ep->info)
			ref_put(&ep->info->ref);
		pthread_mutex_destroy(&ep->mu);
		free(ep->addr);
	}
	free(s->ep);
	cancel_unref(s->cancel);
	pthread_cond_destroy(&s->cv);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

bool endpoint_snapshot(struct endpoint *ep, struct endpoint_info **info, char err[256])
{
	pthread_mutex_lock(&ep->mu);
	bool healthy = ep->healthy;
	*info = ep->info;
	if (ep->info)
		ref_get(&ep->info->ref);
	snprintf(err, 256, "%s", ep->last_error);
	pthread_mutex_unlock(&ep->mu);
	return healthy;
}

static void status_of(struct endpoint *ep, struct endpoint_info *info, struct arena *a,
		      struct endpoint_status *out)
{
	out->name = str_of(ep->addr);
	out->component = str_dup(a, str_of(info->info.component));
	out->mint_ms = info->info.mint_ms;
	out->maxt_ms = info->info.maxt_ms;
	out->n_label_sets = info->info.n_label_sets;
	out->label_sets = ARENA_ARRAY(a, struct labels, info->info.n_label_sets + 1);
	for (size_t k = 0; k < info->info.n_label_sets; k++)
		out->label_sets[k] = labels_dup(a, info->info.label_sets[k]);
}

size_t endpoints_status(struct endpoints *s, struct arena *a,
			struct endpoint_status **out)
{
	size_t n = 0;
	struct endpoint_status *v = ARENA_ARRAY(a, struct endpoint_status, s->n + 1);
	for (size_t i = 0; i < s->n; i++) {
		struct endpoint *ep = &s->ep[i];
		struct endpoint_info *info;
		char err[256];
		bool healthy = endpoint_snapshot(ep, &info, err);
		pthread_mutex_lock(&ep->mu);
		int64_t check_ms = ep->last_check_ms;
		uint64_t quiet_ns = time_mono_ns() - ep->reached_ns;
		pthread_mutex_unlock(&ep->mu);
		if (!info)
			continue;
		if (healthy || quiet_ns < s->o.unhealthy_ns) {
			status_of(ep, info, a, &v[n]);
			v[n].healthy = healthy;
			v[n].last_error = str_dup(a, str_of(err));
			v[n++].last_check_ms = check_ms;
		}
		ref_put(&info->ref);
	}
	*out = v;
	return n;
}
