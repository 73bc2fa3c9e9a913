/*
 * promql/exec/window.h - the window that slides over a series' columns; private to the range functions.
 *
 * Both ends only move forward. Scrapes are regular, so each end first tries to move as far as it did at the
 * step before: two comparisons, however many samples a step passes over.
 */
#ifndef PROMQL_EXEC_WINDOW_H
#define PROMQL_EXEC_WINDOW_H

#include "promql/exec/exec_int.h"

struct window {
	size_t lo, hi;		 /* samples [lo, hi) */
	size_t lo_pace, hi_pace; /* how far the ends moved last */
	size_t seen;		 /* samples in windows since the query was looked after */
	bool over;		 /* it has ended: no window has a sample any more */
};
#define WINDOW_POLL 65536u

/* After every WINDOW_POLL samples: is it still worth while? The caller of the range function finds the error. */
static inline bool window_over(const struct range_call *c, struct window *w)
{
	w->seen += w->hi - w->lo + 1;
	if (LIKELY(w->seen < WINDOW_POLL))
		return false;
	w->seen = 0;
	return w->over = ctx_is_over(c->ctx);
}

/* The first sample from `at` on that is later than `bound`. */
static inline size_t window_pass(const struct series_cols *s, size_t at, int64_t bound,
				 size_t *pace)
{
	size_t to = at + *pace;
	if (to < s->n && to > at && s->t_ms[to - 1] <= bound && s->t_ms[to] > bound)
		return to;
	to = at;
	while (to < s->n && s->t_ms[to] <= bound)
		to++;
	*pace = to - at;
	return to;
}

/* Move the window to (from, to], which is that of step i; false: no sample inside. */
static inline bool slide_to(const struct range_call *c, const struct series_cols *s,
			    uint32_t i, int64_t from, int64_t to, struct window *w)
{
	if (UNLIKELY(w->over))
		return false;
	w->lo = window_pass(s, w->lo, from, &w->lo_pace);
	w->hi = window_pass(s, MAX(w->hi, w->lo), to, &w->hi_pace);
	if (UNLIKELY(window_over(c, w)))
		return false;
	if (c->tally)
		tally_add(c->tally, i, w->lo, w->hi);
	return w->hi > w->lo;
}

static inline bool slide(const struct range_call *c, const struct series_cols *s,
			 uint32_t i, struct window *w)
{
	int64_t ref = range_ref(c, i);
	return slide_to(c, s, i, ref - c->range_ms, ref, w);
}

static inline void put(struct row *out, uint32_t i, double v)
{
	out->v[i] = v;
	bit_set(out->bits, i);
}

static inline bool has_hist(const struct series_cols *s, struct window w)
{
	if (s->h)
		for (size_t k = w.lo; k < w.hi; k++)
			if (s->h[k])
				return true;
	return false;
}

/* fn_rate.c */
int fn_rate(const struct range_call *c, const struct series_cols *s,
	    struct range_env *env, struct row *out);
int fn_increase(const struct range_call *c, const struct series_cols *s,
		struct range_env *env, struct row *out);
int fn_delta(const struct range_call *c, const struct series_cols *s,
	     struct range_env *env, struct row *out);

#endif
