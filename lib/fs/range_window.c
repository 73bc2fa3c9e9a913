/*
 * fs/range_window.c - the view moves when what is wanted does not lie in it whole. What lay at its end is then read
 * again, which costs at most one entry a read.
 */
#include "fs/range_window.h"

int range_window_at(struct range_window *w, struct ctx *ctx, uint64_t off, size_t want,
		    const uint8_t **p, size_t *n, struct view *old, struct err *e)
{
	uint64_t left = w->end - off;
	struct view v = { 0 };

	want = want > left ? (size_t)left : want;
	if (want > 0 && (!range_window_has(w, off) || w->off + w->pin.n - off < want)) {
		uint64_t len = MIN(MAX(want, w->ahead), left);
		if (range_source_read1(w->src, ctx, off, len, &v, e) < 0)
			return -1;
		if (old)
			*old = w->pin;
		else
			view_put(&w->pin);
		w->pin = v;
		w->off = off;
	}
	*p = want ? w->pin.p + (off - w->off) : (const uint8_t *)"";
	*n = want ? (size_t)(w->off + w->pin.n - off) : 0;
	return 0;
}
