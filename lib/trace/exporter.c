/*
 * trace/exporter.c - the queue of ended spans and its way to the collector.
 *
 * put copies a span under one mutex into a ring; whoever fills a batch wakes the sender, which otherwise comes each 5 s.
 * What cannot be sent is dropped, counted, and said in the log once a minute.
 */
#include "trace/trace_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"

#define PERIOD_NS (5 * NS_PER_S)

enum { M_EXPORTED, M_DROPPED, M_ROWS };
static const struct metric_desc rows[M_ROWS] = {
	[M_EXPORTED] = { METRIC_COUNTER,
			 "thanosc_trace_spans_exported_total",
			 "Spans that a collector has taken.",
			 { 0 } },
	[M_DROPPED] = { METRIC_COUNTER,
			"thanosc_trace_spans_dropped_total",
			"Spans that were dropped: the queue was full, or the collector did not take them.",
			{ 0 } },
};

struct tracer {
	struct trace_sink base;
	struct arena arena;
	struct trace_conf c;
	const char *version;
	struct http_client *http; /* one of the two */
	struct rpc_channel *channel;
	struct net_tls *tls;
	struct metric *exported, *dropped;
	struct task_timer *timer;
	pthread_mutex_t mu; /* guards the ring */
	struct trace_item *ring;
	size_t first, n;
	uint64_t log_ns; /* the sender's: next time to complain */
	bool closing;	 /* what is sent now must be quick */
};

bool trace_sampled(const struct trace_conf *c, const struct trace *t, bool has_parent)
{
	if (has_parent && c->parent_based)
		return t->sampled;
	switch (c->sampler) {
	case SAMPLE_ALWAYS: return true;
	case SAMPLE_NEVER: return false;
	case SAMPLE_RATIO:
	default:
		/* By the trace's number, so that all processes decide alike; 63 bits, as OpenTelemetry's do. */
		return c->ratio >= 1 ||
		       (double)(t->id_lo >> 1) < c->ratio * 9223372036854775808.0;
	}
}

static bool on_sample(struct trace_sink *s, const struct trace *t, bool has_parent)
{
	return trace_sampled(&CONTAINER_OF(s, struct tracer, base)->c, t, has_parent);
}

static void fill_item(struct trace_item *it, const struct span *s)
{
	const struct trace *t = &s->ctx->trace;
	it->id_hi = t->id_hi;
	it->id_lo = t->id_lo;
	it->id = s->id;
	it->parent = s->parent;
	it->start_ns = s->start_ns;
	it->end_ns = s->end_ns;
	it->kind = (uint8_t)s->kind;
	it->failed = s->error != NULL;
	it->n_attrs = (uint8_t)s->n_attrs;
	memcpy(it->name, s->name, sizeof(it->name));
	memcpy(it->attr, s->attr, s->n_attrs * sizeof(it->attr[0]));
	snprintf(it->status, sizeof(it->status), "%s",
		 s->error ? err_text(s->error) : "");
}

static void on_put(struct trace_sink *sink, const struct span *s)
{
	struct tracer *t = CONTAINER_OF(sink, struct tracer, base);
	pthread_mutex_lock(&t->mu);
	bool room = t->n < TRACE_QUEUE;
	if (room)
		fill_item(&t->ring[(t->first + t->n++) % TRACE_QUEUE], s);
	bool wake = room && t->n == TRACE_BATCH && t->timer;
	pthread_mutex_unlock(&t->mu);
	if (!room)
		metric_inc(t->dropped);
	if (wake)
		task_timer_now(t->timer);
}

/* ---- sending; the timer's thread ---- */

static int send_http(struct tracer *t, struct ctx *ctx, struct str body, struct err *e)
{
	struct arena a;
	struct http_answer answer;
	struct buf reply;
	arena_init(&a, NULL);
	struct http_kv *h = ARENA_ARRAY(&a, struct http_kv, t->c.n_headers + 1);
	h[0] = (struct http_kv){ STR("Content-Type"), STR("application/x-protobuf") };
	for (size_t i = 0; i < t->c.n_headers; i++)
		h[i + 1] = (struct http_kv){ t->c.headers[i].k, t->c.headers[i].v };
	struct http_fetch_req r = { .method = "POST",
				    .url = t->c.url,
				    .headers = h,
				    .n_headers = t->c.n_headers + 1,
				    .body = body };
	buf_init(&reply, 1 << 20);
	int rc = http_fetch(t->http, ctx, &a, &r, &answer, &reply, e);
	if (rc == 0 && answer.status / 100 != 2)
		rc = err_set(ctx, e, E_REMOTE, "status %d", answer.status);
	buf_deinit(&reply);
	arena_deinit(&a);
	return rc;
}

static int send_grpc(struct tracer *t, struct ctx *ctx, struct str body, struct err *e)
{
	struct buf reply;
	buf_init(&reply, 1 << 20);
	int rc = rpc_unary(t->channel, ctx,
			   "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
			   body, &reply, e);
	buf_deinit(&reply);
	return rc;
}

/* Takes up to a batch off the ring; how many. */
static size_t take(struct tracer *t, struct trace_item *to)
{
	pthread_mutex_lock(&t->mu);
	size_t n = MIN(t->n, (size_t)TRACE_BATCH);
	for (size_t i = 0; i < n; i++)
		to[i] = t->ring[(t->first + i) % TRACE_QUEUE];
	t->first = (t->first + n) % TRACE_QUEUE;
	t->n -= n;
	pthread_mutex_unlock(&t->mu);
	return n;
}

static int send_batch(struct tracer *t, const struct trace_item *v, size_t n)
{
	struct ctx ctx;
	struct buf body;
	struct err e = ERR_INIT;
	uint64_t now = time_mono_ns();
	ctx_init(&ctx, NULL,
		 time_after_ns(t->closing ? MIN(t->c.timeout_ns, 2 * NS_PER_S)
					  : t->c.timeout_ns));
	buf_init(&body, 64 << 20);
	trace_encode(&t->c, t->version, v, n, &body);
	int rc = buf_check(&body, &ctx, "spans", &e);
	if (rc == 0)
		rc = t->http ? send_http(t, &ctx, buf_view(&body), &e)
			     : send_grpc(t, &ctx, buf_view(&body), &e);
	metric_add(rc == 0 ? t->exported : t->dropped, (double)n);
	if (rc < 0 && now >= t->log_ns) {
		t->log_ns = now + 60 * NS_PER_S;
		log_warn(NULL, "tracing: %zu spans are lost: %.*s: %s", n,
			 STR_FMT(t->c.address), err_text(&e));
	}
	buf_deinit(&body);
	ctx_deinit(&ctx);
	return rc;
}

static void on_timer(void *arg)
{
	struct tracer *t = arg;
	struct trace_item *v = xcalloc(TRACE_BATCH, sizeof(*v));
	size_t n;
	while ((n = take(t, v)) > 0)
		if (send_batch(t, v, n) < 0)
			break;
	free(v);
}

/* ---- life ---- */

static int open_client(struct tracer *t, const struct tracer_opts *o, struct err *e)
{
	if (t->c.client == TRACE_HTTP) {
		struct http_client_opts ho = { .loop = loops_next(o->loops),
					       .user_agent = "thanosc" };
		return http_client_new(&ho, &t->http, e);
	}
	if (!t->c.insecure && net_tls_new(&t->c.tls, &t->tls, e) < 0)
		return err_wrap(NULL, e, "%s: tls_config", o->what);
	struct rpc_channel_opts co = { .loop = loops_next(o->loops), .tls = t->tls };
	return rpc_channel_new(&co, t->c.address, o->metrics, &t->channel, e);
}

int tracer_open(const struct tracer_opts *o, struct tracer **out, struct err *e)
{
	*out = NULL;
	if (o->yaml.n == 0)
		return 0;
	struct tracer *t = xcalloc(1, sizeof(*t));
	struct metric_set *m = metric_set_new(o->metrics, rows, M_ROWS);
	t->base = (struct trace_sink){ on_sample, on_put };
	t->version = o->version;
	arena_init(&t->arena, NULL);
	pthread_mutex_init(&t->mu, NULL);
	t->exported = metric_plain(m, M_EXPORTED);
	t->dropped = metric_plain(m, M_DROPPED);
	if (trace_conf_parse(&t->arena, o->yaml, o->what, o->component, &t->c, e) < 0 ||
	    open_client(t, o, e) < 0) {
		tracer_close(t);
		return -1;
	}
	t->ring = xcalloc(TRACE_QUEUE, sizeof(*t->ring));
	struct task_timer *timer =
		task_timer_start(o->pool, PERIOD_NS, PERIOD_NS, on_timer, t);
	pthread_mutex_lock(&t->mu);
	t->timer = timer;
	pthread_mutex_unlock(&t->mu);
	*out = t;
	return 0;
}

struct trace_sink *tracer_sink(struct tracer *t)
{
	return t ? &t->base : NULL;
}

void tracer_close(struct tracer *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->mu);
	struct task_timer *timer = t->timer;
	t->timer = NULL;
	pthread_mutex_unlock(&t->mu);
	task_timer_stop(timer);
	t->closing = true;
	if (t->ring)
		on_timer(t);
	http_client_free(t->http);
	rpc_channel_free(t->channel);
	net_tls_unref(t->tls);
	free(t->ring);
	pthread_mutex_destroy(&t->mu);
	arena_deinit(&t->arena);
	free(t);
}
