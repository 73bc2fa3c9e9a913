/*
 * rpc/rpc_stream.c - the worker's side of a call at the client: request in, messages out.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/span.h"
#include "base/time.h"
#include "rpc/rpc_client_int.h"

/* A reader that waits so long after its stream was held back waits for the network, not for its turn. */
#define SLOW_NS (2 * NS_PER_MS)

static void put_meta(struct rpc_stream *s, struct str name, struct str value)
{
	buf_str(&s->meta, name);
	buf_byte(&s->meta, 0);
	buf_str(&s->meta, value);
	buf_byte(&s->meta, 0);
	s->n_meta++;
}

/* The call's own entries; tenant, request and trace that it belongs to. */
static int take_meta(struct rpc_stream *s, struct ctx *ctx, const struct rpc_call_opts *o,
		     struct err *e)
{
	char parent[TRACEPARENT_N + 1];
	buf_init(&s->meta, LIMIT_HTTP_HEADER_BYTES);
	if (o->n_meta / 2 > MAX_META - OWN_META)
		return err_set(ctx, e, E_LIMIT, "more than %d metadata entries",
			       MAX_META - OWN_META);
	for (size_t i = 0; i + 1 < o->n_meta; i += 2)
		put_meta(s, o->meta[i], o->meta[i + 1]);
	if (ctx && ctx->tenant.n)
		put_meta(s, STR("thanos-tenant"), ctx->tenant);
	if (ctx && ctx->request_id.n)
		put_meta(s, STR("request-id"), ctx->request_id);
	if (ctx && trace_format(ctx, parent))
		put_meta(s, STR("traceparent"), str_of(parent));
	return buf_check(&s->meta, ctx, "metadata", e);
}

/* Prefix and message, encoded as the channel says. */
static int take_request(struct rpc_stream *s, struct ctx *ctx, struct str request,
			struct err *e)
{
	uint8_t prefix[RPC_PREFIX_BYTES];
	struct buf b;
	bool smaller;
	buf_init(&b, LIMIT_RPC_REQUEST_BYTES * 2);
	int rc = rpc_encode(s->channel->o.encoding, &request, 1, s->budget, ctx, &b,
			    &smaller, e);
	if (rc == 0) {
		struct str body = smaller ? buf_view(&b) : request;
		rpc_frame_prefix(prefix, body.n);
		prefix[0] = smaller;
		buf_init(&s->request, LIMIT_RPC_REQUEST_BYTES + 16);
		buf_add(&s->request, prefix, sizeof(prefix));
		buf_str(&s->request, body);
		rc = buf_check(&s->request, ctx, "request", e);
	}
	buf_deinit(&b);
	return rc;
}

int rpc_open(struct rpc_channel *c, struct ctx *ctx, const char *method,
	     struct str request, const struct rpc_call_opts *o, struct rpc_stream **out,
	     struct err *e)
{
	static const struct rpc_call_opts none;
	struct rpc_stream *s = xcalloc(1, sizeof(*s));
	struct str service, name;
	o = o ? o : &none;
	s->budget = o->budget ? o->budget : ctx ? ctx->budget : NULL;
	s->max_message = o->max_message ? o->max_message : LIMIT_RPC_MESSAGE_BYTES;
	atomic_init(&s->refs, 2); /* the worker's and the loop's */
	atomic_fetch_add(&c->refs, 1);
	s->channel = c;
	s->start_ns = time_mono_ns();
	snprintf(s->path, sizeof(s->path), "%s", method);
	if (take_meta(s, ctx, o, e) < 0 || take_request(s, ctx, request, e) < 0) {
		atomic_store(&s->refs, 1);
		rpc_stream_unref(s);
		return -1;
	}
	s->deadline_ns = ctx ? ctx->deadline_ns : 0;
	struct pipe_opts po = { .limit = o->window_min ? o->window_min : (size_t)1 << 20,
				.limit_max =
					o->window_max ? o->window_max : (size_t)16 << 20,
				.slow_ns = SLOW_NS };
	s->window.max = po.limit_max;
	s->pipe = pipe_new(&po);
	pipe_producer_wake(s->pipe, rpc_stream_rouse, s);
	rpc_frame_init(&s->frame, s->budget, s->max_message);
	s->has_frame = true;
	if (rpc_path_split(str_of(method), &service, &name)) {
		struct str type = rpc_path_type(str_of(method));
		metric_inc(
			metric_at(c->metrics, RPC_CLIENT_STARTED, name, service, type));
		metric_inc(metric_at(c->metrics, RPC_CLIENT_SENT, name, service, type));
		s->received =
			metric_at(c->metrics, RPC_CLIENT_RECEIVED, name, service, type);
	}
	loop_post(c->loop, rpc_stream_begin, s);
	*out = s;
	return 0;
}

void rpc_stream_wake(struct rpc_stream *s, void (*wake)(void *arg), void *arg)
{
	pipe_consumer_wake(s->pipe, wake, arg);
}

/* A failure's text is cut on its way through the pipe: with a ctx it becomes whole again. */
static void whole_text(struct rpc_stream *s, struct ctx *ctx, struct err *e)
{
	if (ctx && s->text && strlen(s->text) >= sizeof(e->msg) &&
	    strncmp(err_text(e), s->text, sizeof(e->msg) / 2) == 0)
		err_set(ctx, e, e->code, "%s", s->text);
}

static int note_end(struct rpc_stream *s, struct ctx *ctx, int rc, const struct view *msg,
		    struct err *e)
{
	int ok = RPC_OK;
	if (rc == PIPE_OK)
		s->handed += msg->n;
	/* the caller's own deadline or token ends a call, too */
	else if (rc < 0 && !atomic_compare_exchange_strong(&s->code, &ok,
							   (int)rpc_code_of_err(e->code)))
		whole_text(s, ctx, e);
	return rc;
}

/* A tagged message as its reader wants it. What lay in the pipe is released now, the rest when it is put. */
static int untag(struct rpc_stream *s, struct ctx *ctx, struct view *msg, struct err *e)
{
	struct view raw = *msg;
	*msg = (struct view){ raw.p, raw.n, ref_get(raw.pin) };
	int rc = rpc_untag(s->enc, msg, s->max_message, s->budget, ctx, e);
	pipe_release(s->pipe, &raw);
	if (rc == 0)
		return PIPE_OK;
	enum rpc_code code = e->code == E_LIMIT ? RPC_RESOURCE_EXHAUSTED : RPC_INTERNAL;
	int ok = RPC_OK;
	(void)atomic_compare_exchange_strong(&s->code, &ok, (int)code);
	err_wrap(ctx, e, "answer of %s", s->channel->addr);
	return err_wrap(ctx, e, "rpc error: code = %s desc = grpc", rpc_code_name(code));
}

int rpc_recv(struct rpc_stream *s, struct ctx *ctx, struct view *msg, struct err *e)
{
	bool empty = pipe_held(s->pipe) == s->handed; /* nothing is queued */
	uint64_t since_ns = empty ? time_mono_ns() : 0;
	if (s->handed && empty) {
		atomic_fetch_add(&s->refs, 1);
		loop_post(s->channel->loop, rpc_stream_hungry, s);
	}
	int rc = pipe_read(s->pipe, ctx, msg, e);
	if (empty && time_mono_ns() - since_ns >= SLOW_NS)
		atomic_store_explicit(&s->window.waited, true, memory_order_relaxed);
	if (rc == PIPE_OK && s->enc != RPC_IDENTITY)
		return untag(s, ctx, msg, e);
	return note_end(s, ctx, rc, msg, e);
}

int rpc_try_recv(struct rpc_stream *s, struct view *msg, struct err *e)
{
	int rc = pipe_try_read(s->pipe, msg, e);
	if (rc == PIPE_OK && s->enc != RPC_IDENTITY)
		return untag(s, NULL, msg, e);
	return note_end(s, NULL, rc, msg, e);
}

void rpc_release(struct rpc_stream *s, struct view *msg)
{
	if (s->enc != RPC_IDENTITY) { /* the pipe has forgotten it */
		view_put(msg);
		return;
	}
	s->handed -= msg->n;
	pipe_release(s->pipe, msg);
}

enum rpc_code rpc_stream_code(const struct rpc_stream *s)
{
	return (enum rpc_code)atomic_load(&s->code);
}

size_t rpc_stream_held(struct rpc_stream *s)
{
	return pipe_held(s->pipe);
}

int rpc_unary(struct rpc_channel *c, struct ctx *ctx, const char *method,
	      struct str request, struct buf *out, struct err *e)
{
	struct rpc_stream *s;
	struct view msg;
	int rc;
	bool got = false;
	struct rpc_call_opts o = { .max_message = out->max };
	if (rpc_open(c, ctx, method, request, &o, &s, e) < 0)
		return -1;
	while ((rc = rpc_recv(s, ctx, &msg, e)) > 0) {
		if (!got)
			buf_add(out, msg.p, msg.n);
		got = true;
		rpc_release(s, &msg);
	}
	rpc_stream_close(s);
	if (rc == 0 && !got)
		return err_set(ctx, e, E_REMOTE, "%s of %s: no message in the answer",
			       method, c->addr);
	return rc < 0 ? -1 : buf_check(out, ctx, "answer", e);
}
