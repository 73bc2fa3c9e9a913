/*
 * store/proxy_leg.c - one endpoint's answer to a Series call as frames of series.
 *
 * The stream reads ahead into the query's budget by itself (rpc windows); a leg never waits for another leg.
 * Frames are decoded in place, and stay pinned while the series shown points into them (frame_set).
 */
#include "store/proxy_int.h"

#include <stdlib.h>

#include "base/time.h"
#include "proto/convert.h"
#include "store/endpoint_int.h"
#include "store/frame_set.h"

#define MAX_AGAIN 3 /* members of a group that are asked after the first */

struct leg {
	struct frame_source base;
	struct rpc_stream *stream;
	struct proxy_call call;
	char *request; /* memory of call.request */
	const char *addr;
	bool answered;
	enum partial_strategy partial;
	uint64_t timeout_ns;
};

int proxy_request_check(struct ctx *ctx, const struct err *why, struct err *e)
{
	if (why->code == E_TIMEOUT && ctx_left_ns(ctx) < 100 * NS_PER_MS)
		return err_set(ctx, e, E_TIMEOUT, "context deadline exceeded");
	return ctx_check(ctx, e);
}

bool proxy_call_again(struct proxy_call *c, struct ctx *ctx, const struct err *why,
		      struct rpc_stream **stream)
{
	struct rpc_call_opts o = { .budget = ctx->budget };
	struct rpc_stream *next;
	struct err e = ERR_INIT;
	if (why->code != E_UNAVAILABLE || !c->request.p || c->tries++ >= MAX_AGAIN ||
	    ctx_check(ctx, &e) < 0)
		return false;
	struct endpoint_member *m = endpoint_pick_other(c->ep, c->m);
	if (!m)
		return false;
	ref_put(&c->m->ref);
	c->m = m;
	if (rpc_open(m->channel, ctx, c->method, c->request, &o, &next, &e) < 0)
		return false;
	rpc_stream_close(*stream);
	*stream = next;
	return true;
}

/* The leg ends: a warning that names the store, or the end of the request. */
static int leg_failed(struct leg *l, struct ctx *ctx, const struct err *why,
		      struct err *e)
{
	if (proxy_request_check(ctx, why, e) < 0)
		return -1;
	if (why->code == E_LIMIT && budget_left(ctx->budget) < (2u << 20))
		return err_copy(ctx, e, why);
	if (l->partial == PARTIAL_ABORT) {
		err_copy(ctx, e, why);
		e->code = E_ABORTED;
		return err_wrap(ctx, e, "receive series from %s", l->addr);
	}
	notes_warn(ctx->notes, "receive series from %s: %s", l->addr, err_text(why));
	return 0;
}

static int leg_next(struct frame_source *s, struct ctx *ctx, struct frame *f,
		    struct err *e)
{
	struct leg *l = CONTAINER_OF(s, struct leg, base);
	for (;;) {
		struct err why = ERR_INIT;
		struct proto_series_frame in;
		struct ctx child =
			ctx_child(ctx, l->timeout_ns ? time_after_ns(l->timeout_ns) : 0);
		int rc = rpc_recv(l->stream, &child, &f->pin, &why);
		if (rc < 0 && !l->answered &&
		    proxy_call_again(&l->call, ctx, &why, &l->stream))
			continue;
		if (rc < 0)
			return leg_failed(l, ctx, &why, e);
		l->answered = true;
		if (rc == 0)
			return 0;
		if (proto_series_frame_decode(ctx, &f->arena, str_n(f->pin.p, f->pin.n),
					      &in, &why) < 0)
			return leg_failed(l, ctx, &why, e);
		if (in.warning.p)
			notes_warn(ctx->notes, "%.*s", STR_FMT(in.warning));
		if (in.n) {
			f->series = in.series;
			f->n = in.n;
			return 1;
		}
		rpc_release(l->stream, &f->pin);
		arena_reset(&f->arena);
	}
}

static void leg_release(struct frame_source *s, struct frame *f)
{
	struct leg *l = CONTAINER_OF(s, struct leg, base);
	if (f->pin.pin || f->pin.n)
		rpc_release(l->stream, &f->pin);
}

static void leg_close(struct frame_source *s)
{
	struct leg *l = CONTAINER_OF(s, struct leg, base);
	rpc_stream_close(l->stream);
	ref_put(&l->call.m->ref);
	free(l->request);
	free(l);
}

struct series_set *proxy_leg_new(struct rpc_stream *stream, const struct proxy_call *call,
				 enum partial_strategy partial, uint64_t timeout_ns)
{
	static const struct frame_source_ops ops = { leg_next, leg_release, leg_close };
	struct leg *l = xcalloc(1, sizeof(*l));
	l->base.ops = &ops;
	l->stream = stream;
	l->call = *call;
	l->addr = call->ep->name;
	if (call->request.p) {
		l->request = xmalloc(call->request.n + 1);
		memcpy(l->request, call->request.p, call->request.n);
		l->call.request.p = l->request;
	}
	l->partial = partial;
	l->timeout_ns = timeout_ns;
	return frame_set_new(&l->base);
}
