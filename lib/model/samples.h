/*
 * model/samples.h - one series as columns, at most 256 samples a call.
 *
 * Times ascend strictly. A call shows floats (v) or histograms (h), never both. Valid until the next
 * call. Implementations: chunk decoders (tsdb/chunk), lanes merged (dedup).
 * Thread  CPU
 */
#ifndef MODEL_SAMPLES_H
#define MODEL_SAMPLES_H

#include "base/err.h"
#include "model/chunk.h"
#include "model/hist.h"

#define COLUMNS_MAX 256
struct columns {
	size_t n;
	const int64_t *t_ms;
	const int64_t *st_ms; /* start timestamps (0: that sample has none); NULL: none */
	const double *v;      /* NULL: histograms */
	const struct hist *const *h;
};
struct samples;
struct samples_ops {
	int (*next)(struct samples *s, struct columns *out, struct err *e); /* 1, 0, -1 */
	/* The next call of next starts at the first sample with t >= t_ms (never goes back). */
	void (*seek)(struct samples *s, int64_t t_ms);
};
struct samples {
	const struct samples_ops *ops;
};
static inline int samples_next(struct samples *s, struct columns *out, struct err *e)
{
	return s->ops->next(s, out, e);
}
static inline void samples_seek(struct samples *s, int64_t t_ms)
{
	s->ops->seek(s, t_ms);
}

#endif
