/*
 * promql/exec/fn_hist.h - range functions over windows that hold native histograms; private to the range functions.
 *
 * A float loop opens a hist_range, which does nothing for series without histograms, and hands it each window that is not of
 * floats alone. Texts are Prometheus'; each is said once a series.
 */
#ifndef PROMQL_EXEC_FN_HIST_H
#define PROMQL_EXEC_FN_HIST_H

#include "model/hist_math.h"
#include "promql/exec/window.h"

enum window_kind { WINDOW_FLOATS, WINDOW_HISTS, WINDOW_MIXED };
/* Bits of range_env.said. */
enum hist_said {
	SAID_MIXED_KINDS = 1u << 16,
	SAID_MIXED_BUCKETS = 1u << 17,
	SAID_NOT_COUNTER = 1u << 18,
	SAID_NOT_GAUGE = 1u << 19,
	SAID_RECONCILED_ADD = 1u << 20,
	SAID_RECONCILED_SUB = 1u << 21,
	SAID_RECONCILED_AGG = 1u << 22,
	SAID_COLLISION = 1u << 23,
};
/* See fn_hist_slide.c. */
struct hist_slide {
	bool on;
	size_t lo, hi;	     /* what the accumulator holds */
	uint32_t hints[4];   /* how many of them say what of resets */
	const uint32_t *run; /* of each sample; NULL: not looked for yet */
};
/* See fn_hist_plain.c: the layout of the last result, for as long as the samples' is at the same place. */
struct hist_plain {
	const struct hist *of; /* NULL: none yet */
	const struct hist_span *spans[2];
	uint32_t n_spans[2];
	const double *bounds;
	bool clear; /* no bucket begins inside the zero bucket */
};
struct hist_range {
	const struct range_call *c;
	const struct series_cols *s;
	struct range_env *env;
	const uint32_t
		*before; /* histograms before each sample; NULL: the series has none */
	uint64_t *
		reset; /* was the counter reset before sample k? NULL: not looked for yet */
	bool uniform; /* one schema, and no gauge */
	struct hist_work work;
	struct hist_acc acc;
	struct hist_slide slide;
	struct hist_plain plain;
};
int hist_range_open(struct hist_range *r, const struct range_call *c,
		    const struct series_cols *s, struct range_env *env);
static inline enum window_kind hist_range_kind(const struct hist_range *r,
					       const struct window *w)
{
	if (!r->before)
		return WINDOW_FLOATS;
	size_t n = r->before[w->hi] - r->before[w->lo];
	return n == 0 ? WINDOW_FLOATS : n == w->hi - w->lo ? WINDOW_HISTS : WINDOW_MIXED;
}
void hist_range_say(struct hist_range *r, enum hist_said what);
/* What an addition met: false (and said) if the two do not go together; `reconciled` is said where custom bounds differ. */
bool hist_range_accept(struct hist_range *r, unsigned met, enum hist_said reconciled);
/* The accumulator holds the sum of the window's counts, exactly, and the compensated sum of its sums: 1. 0: it cannot be had so,
 * and the accumulator is free; -1 with env->e. */
int hist_slide_to(struct hist_range *r, const struct window *w);
/*
 * The window's difference is that of its ends, bucket by bucket: no reset, one layout. 1; 0: it is not so; -1 with env->e. Then its
 * difference times a factor; NULL with env->e.
 */
int hist_range_is_plain(struct hist_range *r, const struct window *w);
const struct hist *hist_range_plain(struct hist_range *r, const struct window *w,
				    double factor);
/* Memory for as long as eval runs; NULL with env->e. */
void *hist_range_scratch(struct range_env *env, size_t n);
/* A bit a sample, all clear, for as long as eval runs; NULL with env->e. */
uint64_t *hist_range_marks(size_t n, struct range_env *env);
/* Bits of resets between neighbours; a float beside a histogram is one. */
int hist_range_resets(struct hist_range *r);

/* Put the value of a window that holds histograms at step i, if it has one. 0, or -1 with env->e. */
typedef int hist_step_fn(struct hist_range *r, const struct window *w, uint32_t i,
			 struct row *out);
hist_step_fn hist_sum_step, hist_avg_step;
int hist_rate_step(struct hist_range *r, const struct window *w, uint32_t i,
		   struct row *out, bool counter, bool per_second);
/* irate, idelta: the window is the last two samples. */
int hist_last_two_step(struct hist_range *r, const struct window *two, uint32_t i,
		       struct row *out, bool rate);

static inline void put_hist(struct row *out, uint32_t i, const struct hist *h)
{
	out->v[i] = 0;
	out->h[i] = h;
	bit_set(out->bits, i);
}

#endif
