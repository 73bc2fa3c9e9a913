/*
 * model/series_set.h - the pull iterator over series that every source, merge and reader shares.
 *
 * Ascending by the labels it shows. What next shows (labels, chunk views and their bytes) is valid
 * until the following call or close. Warnings and holes go into ctx->notes; -1 is left for what ends
 * the request. A series may be shown once only: sources join consecutive frames of equal labels.
 * Thread  WORKER, one at a time.
 */
#ifndef MODEL_SERIES_SET_H
#define MODEL_SERIES_SET_H

#include "base/ctx.h"
#include "model/chunk.h"

struct series_set;
struct series_set_ops {
	/* 1: *out shows a series; 0: end; -1: error. */
	int (*next)(struct series_set *s, struct ctx *ctx, const struct series_in **out,
		    struct err *e);
	void (*close)(struct series_set *s); /* frees; cancels what is under way */
};
struct series_set {
	const struct series_set_ops *ops;
};
static inline int series_set_next(struct series_set *s, struct ctx *ctx,
				  const struct series_in **out, struct err *e)
{
	return s->ops->next(s, ctx, out, e);
}
static inline void series_set_close(struct series_set *s)
{
	if (s)
		s->ops->close(s);
}
/* A set over an array that the caller keeps alive (tests, small answers); labels ascending. */
struct series_set *series_set_of(const struct series_in *v, size_t n);

#endif
