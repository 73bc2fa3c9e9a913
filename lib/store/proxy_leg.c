/*
 * store/proxy_leg.c - one endpoint's answer to a Series call as a series_set.
 *
 * The stream reads ahead into the query's budget by itself (rpc windows); a leg never waits for another leg.
 * Frames are decoded in place, and stay pinned while the series shown points into them. Consecutive frames of
 * one series become one: the next series is looked at before the current one is shown.
 */
#include "store/proxy_int.h"

#include <stdlib.h>

#include "base/time.h"
#include "base/vec.h"
#include "proto/convert.h"

struct frame {
	struct view msg;
	struct arena arena;
	struct proto_series_frame f;
	size_t at;
	struct frame *next; /* of the held list */
};
struct leg {
	struct series_set base;
	struct rpc_stream *stream;
	const char *addr;
	enum partial_strategy partial;
	uint64_t timeout_ns;
	struct frame *cur;  /* series still to be shown, or NULL */
	struct frame *held; /* frames behind what is shown now */
	struct series_in shown;
	struct chunk_view *joined;
	size_t cap_joined;
	bool ended;
};

static void frame_free(struct leg *l, struct frame *f)
{
	rpc_release(l->stream, &f->msg);
	arena_deinit(&f->arena);
	free(f);
}

/* The leg ends: a warning that names the store, or the end of the request. */
static int leg_failed(struct leg *l, struct ctx *ctx, const struct err *why,
		      struct err *e)
{
	struct err check = ERR_INIT;
	l->ended = true;
	if (ctx_check(ctx, &check) < 0) /* the request itself ended, not the store */
		return err_copy(ctx, e, &check);
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

/* The next frame with series becomes cur: 1, 0 end, -1. */
static int next_frame(struct leg *l, struct ctx *ctx, struct err *e)
{
	while (!l->ended) {
		struct view msg;
		struct err why = ERR_INIT;
		struct ctx child =
			ctx_child(ctx, l->timeout_ns ? time_after_ns(l->timeout_ns) : 0);
		int rc = rpc_recv(l->stream, &child, &msg, &why);
		if (rc < 0)
			return leg_failed(l, ctx, &why, e);
		if (rc == 0) {
			l->ended = true;
			return 0;
		}
		struct frame *f = xcalloc(1, sizeof(*f));
		f->msg = msg;
		arena_init(&f->arena, ctx->budget);
		if (proto_series_frame_decode(ctx, &f->arena, str_n(msg.p, msg.n), &f->f,
					      &why) < 0) {
			frame_free(l, f);
			return leg_failed(l, ctx, &why, e);
		}
		if (f->f.warning.p)
			notes_warn(ctx->notes, "%.*s", STR_FMT(f->f.warning));
		if (f->f.n) {
			l->cur = f;
			return 1;
		}
		frame_free(l, f);
	}
	return 0;
}

/* Have a series at hand: 1, 0 end, -1. A frame that is used up goes to the held list. */
static int peek(struct leg *l, struct ctx *ctx, struct series_in **out, struct err *e)
{
	if (l->cur && l->cur->at == l->cur->f.n) {
		l->cur->next = l->held;
		l->held = l->cur;
		l->cur = NULL;
	}
	if (!l->cur) {
		int rc = next_frame(l, ctx, e);
		if (rc <= 0)
			return rc;
	}
	*out = &l->cur->f.series[l->cur->at];
	return 1;
}

static void join(struct leg *l, const struct series_in *more)
{
	size_t n = l->shown.n + more->n;
	if (l->shown.chunks != l->joined) {
		if (n > l->cap_joined)
			l->joined = vec_grow(l->joined, &l->cap_joined, n,
					     sizeof(*l->joined));
		memcpy(l->joined, l->shown.chunks, l->shown.n * sizeof(*l->joined));
	} else if (n > l->cap_joined) {
		l->joined = vec_grow(l->joined, &l->cap_joined, n, sizeof(*l->joined));
	}
	memcpy(l->joined + l->shown.n, more->chunks, more->n * sizeof(*l->joined));
	l->shown.chunks = l->joined;
	l->shown.n = n;
}

static int leg_next(struct series_set *s, struct ctx *ctx, const struct series_in **out,
		    struct err *e)
{
	struct leg *l = (struct leg *)s;
	struct series_in *in;
	while (l->held) {
		struct frame *f = l->held;
		l->held = f->next;
		frame_free(l, f);
	}
	int rc = peek(l, ctx, &in, e);
	if (rc <= 0)
		return rc;
	l->shown = *in;
	l->cur->at++;
	while ((rc = peek(l, ctx, &in, e)) > 0 &&
	       labels_eq(in->labels, l->shown.labels)) {
		join(l, in);
		l->cur->at++;
	}
	if (rc < 0)
		return -1;
	*out = &l->shown;
	return 1;
}

static void leg_close(struct series_set *s)
{
	struct leg *l = (struct leg *)s;
	if (l->cur) {
		l->cur->next = l->held;
		l->held = l->cur;
	}
	while (l->held) {
		struct frame *f = l->held;
		l->held = f->next;
		frame_free(l, f);
	}
	rpc_stream_close(l->stream);
	free(l->joined);
	free(l);
}

static const struct series_set_ops leg_ops = { leg_next, leg_close };

struct series_set *proxy_leg_new(struct rpc_stream *stream, const char *addr,
				 enum partial_strategy partial, uint64_t timeout_ns)
{
	struct leg *l = xcalloc(1, sizeof(*l));
	l->base.ops = &leg_ops;
	l->stream = stream;
	l->addr = addr;
	l->partial = partial;
	l->timeout_ns = timeout_ns;
	return &l->base;
}
