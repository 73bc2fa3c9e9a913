/*
 * fs/range_window.h - a source read from its front to its back through one view of bounded size.
 *
 * Thread  WORKER.  Memory  one view of `ahead` bytes, or of what one call wants if that is more.
 */
#ifndef FS_RANGE_WINDOW_H
#define FS_RANGE_WINDOW_H

#include "fs/range_source.h"

struct range_window { /* zeroed but for src, end and ahead: nothing is held yet */
	struct range_source *src; /* borrowed */
	uint64_t end; /* nothing is read behind it; at most the source's size */
	size_t ahead; /* bytes of one read */
	uint64_t off; /* of the view */
	struct view pin;
};
static inline bool range_window_has(const struct range_window *w, uint64_t off)
{
	return off >= w->off && off - w->off < w->pin.n;
}
/*
 * The bytes from `off` (<= end) on: at least `want` of them, or all up to `end` if those are fewer; *p and *n are
 * valid until the next call. old: gets the view that was held before, if it is replaced, so that what points into it
 * stays valid (NULL: it is let go).
 */
MUST_CHECK int range_window_at(struct range_window *w, struct ctx *ctx, uint64_t off,
			       size_t want, const uint8_t **p, size_t *n,
			       struct view *old, struct err *e);
static inline void range_window_put(struct range_window *w)
{
	view_put(&w->pin);
}

#endif
