/*
 * promql/exec/fn_changes.c - changes and resets: how many samples of a window differ from the one before, or fell.
 *
 * What lies between two samples that follow each other does not depend on the window, so it is looked at once for
 * the whole series and counted up; a step subtracts two counts.
 * Source  prometheus.md §2.5, §2.7
 */
#include <math.h>

#include "model/hist_math.h"
#include "promql/exec/start_time.h"

typedef bool event_fn(const struct series_cols *s, size_t k);

/* A float beside a histogram is a change; NaN after NaN is none. */
static bool changed(const struct series_cols *s, size_t k)
{
	const struct hist *a = s->h ? s->h[k - 1] : NULL, *b = s->h ? s->h[k] : NULL;
	if (a && b)
		return !hist_eq(a, b);
	if (a || b)
		return true;
	return s->v[k] != s->v[k - 1] && !(isnan(s->v[k]) && isnan(s->v[k - 1]));
}

/* A float beside a histogram is a reset. */
static bool fell(const struct series_cols *s, size_t k)
{
	const struct hist *a = s->h ? s->h[k - 1] : NULL, *b = s->h ? s->h[k] : NULL;
	if (!a != !b)
		return true;
	if (starts_anew(s, k))
		return true;
	return a ? hist_detect_reset(b, a) : s->v[k] < s->v[k - 1];
}

/*
 * Anchored: the newest sample at or before the start of the range counts as the first one, and something must lie
 * behind the start.
 */
static bool anchor(const struct range_call *c, const struct series_cols *s, uint32_t i,
		   struct window *w)
{
	int64_t to = range_ref(c, i), from = to - c->range_ms;
	if (!c->anchored)
		return slide(c, s, i, w);
	return slide_to(c, s, i, from - c->look_ms, to, w) && s->t_ms[w->hi - 1] > from;
}

static int eval_events(const struct range_call *c, const struct series_cols *s,
		       struct range_env *env, struct row *out, event_fn *event)
{
	uint32_t *count = range_scratch(env, s->n * sizeof(*count)), n = 0;
	struct window w = { 0 };
	size_t past = 0; /* anchored: first sample behind the start */
	if (!count)
		return -1;
	for (size_t k = 0; k < s->n; k++)
		count[k] = n += k > 0 && event(s, k);
	for (uint32_t i = 0; i < c->grid.n; i++) {
		if (!anchor(c, s, i, &w))
			continue;
		size_t first = w.lo;
		if (c->anchored) {
			int64_t from = range_ref(c, i) - c->range_ms;
			while (past < s->n && s->t_ms[past] <= from)
				past++;
			first = past > w.lo ? past - 1 : w.lo;
		}
		put(out, i, (double)(count[w.hi - 1] - count[first]));
	}
	return 0;
}

int fn_changes(const struct range_call *c, const struct series_cols *s,
	       struct range_env *env, struct row *out)
{
	return eval_events(c, s, env, out, changed);
}

int fn_resets(const struct range_call *c, const struct series_cols *s,
	      struct range_env *env, struct row *out)
{
	return eval_events(c, s, env, out, fell);
}
