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

#define MAX_AGAIN	  3   /* members of a group that are asked after the first */
#define MAX_WARNINGS	  100 /* of one answer; more than that nobody reads */
#define MAX_WARNING_BYTES 1024
#define TELL_FRAMES	  64 /* after so many the notes are told what came */

struct leg {
	struct frame_source base;
	struct rpc_stream *stream;
	struct proxy_call call;
	char *request;	      /* memory of call.request */
	bool answered, empty; /* has begun to answer; without a frame so far */
	struct proxy_leg_opts o;
	struct matcher *eq; /* what each series must have, if it has the label */
	size_t n_eq;
	uint32_t warnings;
	bool strayed;		    /* said that it sends what was not asked for */
	struct note_store received; /* since the notes were told */
	uint32_t frames;
	uint64_t last_series; /* hash of its labels: it may go on in the next frame */
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
	struct rpc_call_opts o = { .budget = ctx->budget,
				   .window_min = PROXY_READ_AHEAD };
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
	bool full = why->code == E_LIMIT && budget_refused(ctx->budget);
	if (full || l->o.partial == PARTIAL_ABORT) {
		err_copy(ctx, e, why);
		if (!full)
			e->code = E_ABORTED;
		return err_wrap(ctx, e, "receive series from %s", l->call.ep->name);
	}
	notes_warn(ctx->notes, "receive series from %s: %s", l->call.ep->name,
		   err_text(why));
	return 0;
}

/* Warnings of a store are passed on as they are, as long as they can be meant for somebody. */
static void pass_warning(struct leg *l, struct ctx *ctx, struct str text)
{
	if (l->warnings == MAX_WARNINGS)
		return;
	if (++l->warnings == MAX_WARNINGS)
		notes_warn(ctx->notes,
			   "store %s sends more than %d warnings: the rest is left out",
			   l->call.ep->name, MAX_WARNINGS - 1);
	else if (text.n <= MAX_WARNING_BYTES)
		notes_warn(ctx->notes, "%.*s", STR_FMT(text));
	else
		notes_warn(ctx->notes, "store %s sends a warning of %zu bytes: %.*s...",
			   l->call.ep->name, text.n, MAX_WARNING_BYTES, text.p);
}

/* A series that has a label which the request fixed, with another value, was not asked for. One without may lack it
 * because it is the store's own (--selector-label). */
static bool strays(const struct leg *l, struct labels ls)
{
	for (size_t i = 0; i < l->n_eq; i++) {
		struct str v = labels_get(ls, l->eq[i].name);
		if (v.n && !str_eq(v, l->eq[i].value))
			return true;
	}
	return false;
}

/* Series that were not asked for are left out, and a warning names the store. */
static void take_series(struct leg *l, struct ctx *ctx, struct frame *f,
			const struct proto_series_frame *in)
{
	f->series = in->series;
	f->n = 0;
	for (size_t i = 0; i < in->n; i++) {
		if (!strays(l, in->series[i].labels)) {
			if (f->n != i)
				f->series[f->n] = in->series[i];
			f->n++;
		} else if (!l->strayed) {
			l->strayed = true;
			notes_warn(
				ctx->notes,
				"store %s sends series that were not asked for, left out: "
				"%.*s",
				l->call.ep->name,
				STR_FMT(labels_str(&f->arena, in->series[i].labels)));
		}
	}
}

static void tell_received(struct leg *l, struct ctx *ctx)
{
	if (!l->frames)
		return;
	l->received.name = str_of(l->call.ep->name);
	notes_received(ctx->notes, &l->received);
	l->received = (struct note_store){ 0 };
	l->frames = 0;
}

static void count_frame(struct leg *l, struct ctx *ctx, const struct frame *f,
			const struct proto_series_frame *in)
{
	l->received.bytes += f->pin.n;
	for (size_t i = 0; i < in->n; i++)
		l->received.chunks += in->series[i].n;
	if (in->n) {
		bool goes_on = labels_hash(in->series[0].labels) == l->last_series;
		l->received.series += in->n - goes_on;
		l->last_series = labels_hash(in->series[in->n - 1].labels);
	}
	if (++l->frames == TELL_FRAMES)
		tell_received(l, ctx);
}

static int leg_next(struct frame_source *s, struct ctx *ctx, struct frame *f,
		    struct err *e)
{
	struct leg *l = CONTAINER_OF(s, struct leg, base);
	for (;;) {
		struct err why = ERR_INIT;
		struct proto_series_frame in;
		struct ctx child =
			ctx_child(ctx,
				  l->o.timeout_ns ? time_after_ns(l->o.timeout_ns) : 0);
		int rc = rpc_recv(l->stream, &child, &f->pin, &why);
		if (rc < 0 && !l->answered &&
		    proxy_call_again(&l->call, ctx, &why, &l->stream))
			continue;
		if (rc <= 0)
			tell_received(l, ctx);
		if (rc <= 0 && l->empty && l->o.empty)
			metric_inc(l->o.empty);
		l->empty = false;
		if (rc < 0)
			return leg_failed(l, ctx, &why, e);
		l->answered = true;
		if (rc == 0)
			return 0;
		if (proto_series_frame_decode(ctx, &f->arena, str_n(f->pin.p, f->pin.n),
					      &in, &why) < 0)
			return leg_failed(l, ctx, &why, e);
		if (in.warning.p)
			pass_warning(l, ctx, in.warning);
		count_frame(l, ctx, f, &in);
		take_series(l, ctx, f, &in);
		if (f->n)
			return 1;
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
	free(l->eq);
	free(l);
}

/* A name that the store was asked to leave out says nothing about its series. */
static bool is_told(const struct proxy_leg_opts *o, const struct matcher *m)
{
	for (size_t i = 0; i < o->req->n_without; i++)
		if (str_eq(o->req->without_replica_labels[i], m->name))
			return false;
	return m->type == MATCH_EQ && m->value.n;
}

struct series_set *proxy_leg_new(struct rpc_stream *stream,
				 const struct proxy_leg_opts *o)
{
	static const struct frame_source_ops ops = { leg_next, leg_release, leg_close };
	struct leg *l = xcalloc(1, sizeof(*l));
	l->base.ops = &ops;
	l->stream = stream;
	l->call = *o->call;
	if (o->call->request.p) {
		l->request = xmalloc(o->call->request.n + 1);
		memcpy(l->request, o->call->request.p, o->call->request.n);
		l->call.request.p = l->request;
	}
	l->o = *o;
	l->empty = true;
	l->eq = xcalloc(o->req->n_matchers + 1, sizeof(*l->eq));
	for (size_t i = 0; i < o->req->n_matchers; i++)
		if (is_told(o, &o->req->matchers[i]))
			l->eq[l->n_eq++] = o->req->matchers[i];
	return frame_set_new(&l->base);
}
