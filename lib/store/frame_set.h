/*
 * store/frame_set.h - a series_set over a stream of frames, each a few series: what StoreAPI and remote read send.
 *
 * Consecutive frames of one series become one: the next series is looked at before the current one is shown.
 * Frames stay as long as the series shown points into them.
 * Thread  WORKER
 */
#ifndef STORE_FRAME_SET_H
#define STORE_FRAME_SET_H

#include "base/arena.h"
#include "base/ref.h"
#include "model/series_set.h"

struct frame { /* in: empty; the arena lives as long as the frame */
	struct arena arena;
	struct view pin; /* the source's, put back by release */
	struct series_in *series;
	size_t n, at;
	struct frame *next; /* the set's */
};
struct frame_source {
	const struct frame_source_ops *ops;
};
struct frame_source_ops {
	/* 1: f has series, labels ascending; 0: end; -1: error. Called no more after 0 or -1. */
	int (*next)(struct frame_source *s, struct ctx *ctx, struct frame *f,
		    struct err *e);
	void (*release)(struct frame_source *s,
			struct frame *f);      /* f->pin; may be NULL */
	void (*close)(struct frame_source *s); /* frees */
};
/* Takes the source over. Arenas are charged to ctx->budget of the first call. */
struct series_set *frame_set_new(struct frame_source *source);

#endif
