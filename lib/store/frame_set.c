/*
 * store/frame_set.c - frames held while they are shown, series joined over frame borders.
 */
#include "store/frame_set.h"

#include <stdlib.h>

#include "base/vec.h"

struct frame_set {
	struct series_set base;
	struct frame_source *source;
	struct frame *cur;  /* series still to be shown, or NULL */
	struct frame *held; /* frames behind what is shown now */
	struct frame *idle; /* to be used again */
	struct series_in shown;
	struct chunk_view *joined;
	size_t cap_joined;
	bool ended;
};

static struct frame *frame_take(struct frame_set *s, struct ctx *ctx)
{
	struct frame *f = s->idle;
	if (f) {
		s->idle = f->next;
	} else {
		f = xcalloc(1, sizeof(*f));
		arena_init(&f->arena, ctx->budget);
	}
	f->series = NULL;
	f->n = f->at = 0;
	f->next = NULL;
	return f;
}

static void frame_give(struct frame_set *s, struct frame *f)
{
	if (s->source->ops->release)
		s->source->ops->release(s->source, f);
	arena_reset(&f->arena);
	f->next = s->idle;
	s->idle = f;
}

static void give_all(struct frame_set *s, struct frame **list)
{
	while (*list) {
		struct frame *f = *list;
		*list = f->next;
		frame_give(s, f);
	}
}

/* Have a series at hand: 1, 0 end, -1. A frame that is used up goes to the held list. */
static int peek(struct frame_set *s, struct ctx *ctx, struct series_in **out,
		struct err *e)
{
	while (!s->cur || s->cur->at == s->cur->n) {
		if (s->cur) {
			s->cur->next = s->held;
			s->held = s->cur;
			s->cur = NULL;
		}
		if (s->ended)
			return 0;
		struct frame *f = frame_take(s, ctx);
		int rc = s->source->ops->next(s->source, ctx, f, e);
		if (rc <= 0) {
			s->ended = true;
			frame_give(s, f);
			return rc;
		}
		s->cur = f;
	}
	*out = &s->cur->series[s->cur->at];
	return 1;
}

static int by_mint(const void *x, const void *y, void *arg)
{
	const struct chunk_view *a = x, *b = y;
	(void)arg;
	return (a->mint_ms > b->mint_ms) - (a->mint_ms < b->mint_ms);
}

/* Each frame's chunks ascend; those of the next one need not begin where these end. */
static void join(struct frame_set *s, const struct series_in *more)
{
	size_t n = s->shown.n + more->n;
	bool ascend = s->shown.n == 0 || more->n == 0 ||
		      s->shown.chunks[s->shown.n - 1].mint_ms <= more->chunks[0].mint_ms;
	bool first = s->shown.chunks != s->joined || !s->joined;
	if (n > s->cap_joined || !s->joined)
		s->joined = vec_grow(s->joined, &s->cap_joined, n, sizeof(*s->joined));
	if (first && s->shown.n)
		memcpy(s->joined, s->shown.chunks, s->shown.n * sizeof(*s->joined));
	if (more->n)
		memcpy(s->joined + s->shown.n, more->chunks,
		       more->n * sizeof(*s->joined));
	s->shown.chunks = s->joined;
	s->shown.n = n;
	if (!ascend)
		vec_sort(s->joined, n, sizeof(*s->joined), by_mint, NULL);
}

static int frame_set_next(struct series_set *base, struct ctx *ctx,
			  const struct series_in **out, struct err *e)
{
	struct frame_set *s = CONTAINER_OF(base, struct frame_set, base);
	struct series_in *in;
	give_all(s, &s->held);
	int rc = peek(s, ctx, &in, e);
	if (rc <= 0)
		return rc;
	s->shown = *in;
	s->cur->at++;
	while ((rc = peek(s, ctx, &in, e)) > 0 &&
	       labels_eq(in->labels, s->shown.labels)) {
		join(s, in);
		s->cur->at++;
	}
	if (rc < 0)
		return -1;
	*out = &s->shown;
	return 1;
}

static void frame_set_close(struct series_set *base)
{
	struct frame_set *s = CONTAINER_OF(base, struct frame_set, base);
	give_all(s, &s->held);
	give_all(s, &s->cur);
	while (s->idle) {
		struct frame *f = s->idle;
		s->idle = f->next;
		arena_deinit(&f->arena);
		free(f);
	}
	s->source->ops->close(s->source);
	free(s->joined);
	free(s);
}

struct series_set *frame_set_new(struct frame_source *source)
{
	static const struct series_set_ops ops = { frame_set_next, frame_set_close };
	struct frame_set *s = xcalloc(1, sizeof(*s));
	s->base.ops = &ops;
	s->source = source;
	return &s->base;
}
