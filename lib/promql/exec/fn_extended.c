/*
 * promql/exec/fn_extended.c - rate, increase and delta of anchored and smoothed range selectors, and smoothed instant
 * selectors.
 *
 * Nothing is extrapolated. Anchored: from the newest sample at or before the window's start (or the first one behind
 * it) to the newest one inside. Smoothed: from the value that a line between the samples around the window's start
 * has there to the one at its end. Samples are looked for one look-back beyond.
 * Source  prometheus.md §2.5
 */
#include "promql/exec/extended.h"

#include "promql/exec/lanes.h"

struct kind {
	bool counter, per_second;
};

/* On the line from one sample to the next; a counter that restarted began at 0. */
static double between(const struct series_cols *f, size_t k, int64_t t, bool counter)
{
	double from = f->v[k], to = f->v[k + 1];
	if (counter && to < from)
		from = 0;
	return from + (to - from) * (double)(t - f->t_ms[k]) /
			      (double)(f->t_ms[k + 1] - f->t_ms[k]);
}

/* Between the values at both ends and the samples [first, last]: what was there before each fall. */
static double fallen(const struct series_cols *f, double left, double right, size_t first,
		     size_t end)
{
	double sum = 0, before = left;
	if (first < end) {
		if (f->v[first] < left)
			sum += left;
		for (size_t k = lanes_find_fall(f->v, first + 1, end); k < end;
		     k = lanes_find_fall(f->v, k + 1, end))
			sum += f->v[k - 1];
		before = f->v[end - 1];
	}
	return right < before ? sum + before : sum;
}

/* past: first sample behind the start; reached: first one at or behind the end. False: nothing to measure. */
static bool find_window(const struct range_call *c, const struct series_cols *f,
			const struct window *w, size_t past, size_t reached,
			struct extended_window *x)
{
	size_t last = w->hi - 1, first = MIN(past, last);
	first = first > w->lo ? first - 1 : w->lo;
	if (c->smoothed)
		last = MIN(reached, last);
	x->lo = w->lo;
	x->first = first;
	x->last = last;
	return f->t_ms[last] > x->from && !(c->smoothed && f->t_ms[first] > x->to);
}

static double float_window(const struct range_call *c, const struct series_cols *f,
			   const struct extended_window *w, struct kind kind)
{
	size_t first = w->first, last = w->last;
	double left = f->v[first], right = f->v[last];
	if (c->smoothed && f->t_ms[first] < w->from)
		left = between(f, first, w->from, kind.counter);
	if (c->smoothed && last > w->lo && f->t_ms[last] > w->to)
		right = between(f, last - 1, w->to, kind.counter);
	double v = right - left;
	if (kind.counter) {
		if (f->t_ms[first] <= w->from)
			first++;
		if (f->t_ms[last] < w->to)
			last++;
		v += fallen(f, left, right, first, last);
	}
	return kind.per_second ? v / ((double)c->range_ms / 1000) : v;
}

static int eval_extended(const struct range_call *c, const struct series_cols *s,
			 struct range_env *env, struct row *out, struct kind kind)
{
	struct window w = { 0 };
	struct hist_range hists;
	size_t past = 0, reached = 0;
	if (hist_range_open(&hists, c, s, env) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		int64_t to = range_ref(c, i), from = to - c->range_ms;
		struct extended_window x = { .from = from, .to = to };
		if (!slide_to(c, s, i, from - c->look_ms,
			      c->smoothed ? to + c->look_ms : to, &w))
			continue;
		enum window_kind of = hist_range_kind(&hists, &w);
		if (of == WINDOW_MIXED) {
			hist_range_say(&hists, SAID_MIXED_KINDS);
			continue;
		}
		while (past < s->n && s->t_ms[past] <= from)
			past++;
		while (reached < s->n && s->t_ms[reached] < to)
			reached++;
		if (!find_window(c, s, &w, past, reached, &x))
			continue;
		if (of == WINDOW_FLOATS)
			put(out, i, float_window(c, s, &x, kind));
		else if (extended_hist_step(&hists, &x, i, out, kind.counter,
					    kind.per_second) < 0)
			return -1;
	}
	return 0;
}

static int fn_rate_x(const struct range_call *c, const struct series_cols *s,
		     struct range_env *env, struct row *out)
{
	return eval_extended(c, s, env, out, (struct kind){ true, true });
}

static int fn_increase_x(const struct range_call *c, const struct series_cols *s,
			 struct range_env *env, struct row *out)
{
	return eval_extended(c, s, env, out, (struct kind){ true, false });
}

static int fn_delta_x(const struct range_call *c, const struct series_cols *s,
		      struct range_env *env, struct row *out)
{
	return eval_extended(c, s, env, out, (struct kind){ false, false });
}

/* changes and resets know of anchors themselves. */
static const struct range_fn rows[] = {
	{ FN_ID_rate, fn_rate_x },
	{ FN_ID_increase, fn_increase_x },
	{ FN_ID_delta, fn_delta_x },
};

const struct range_fn *range_fn_extended(struct exec *x, enum fn_id fn,
					 const struct select_node *s, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].fn == fn)
			return &rows[i];
	if (s->anchored && (fn == FN_ID_changes || fn == FN_ID_resets))
		return range_fn_of(fn);
	err_set(x->ctx, e, E_EXEC, "%s modifier can only be used with: %s - not with %s",
		s->anchored ? "anchored" : "smoothed",
		s->anchored ? "changes, delta, increase, rate, resets"
			    : "delta, increase, rate",
		fn_sigs[fn].name);
	return NULL;
}

/* ---- smoothed instant selectors ---- */

/* At a sample its value; between two the line; behind the last one that. */
int smooth_row(const struct range_call *c, const struct series_cols *s,
	       struct range_env *env, struct row *out)
{
	struct window w = { 0 };
	struct hist_range hists;
	size_t reached = 0;
	if (hist_range_open(&hists, c, s, env) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		int64_t t = range_ref(c, i);
		if (!slide_to(c, s, i, t - c->look_ms, t + c->look_ms, &w))
			continue;
		while (reached < s->n && s->t_ms[reached] < t)
			reached++;
		size_t k = MAX(reached, w.lo);
		switch (hist_range_kind(&hists, &w)) {
		case WINDOW_MIXED: hist_range_say(&hists, SAID_MIXED_KINDS); break;
		case WINDOW_HISTS:
			if (smooth_hist_step(&hists, w.lo, w.hi, k, t, i, out) < 0)
				return -1;
			break;
		case WINDOW_FLOATS:
			if (k < w.hi && s->t_ms[k] == t)
				put(out, i, s->v[k]);
			else if (k > w.lo)
				put(out, i,
				    k < w.hi ? between(s, k - 1, t, false) : s->v[k - 1]);
		}
	}
	return 0;
}

/* A range selector alone: what the modifiers make of its samples, with values at both ends of the range. */
size_t extended_samples(const struct range_call *c, struct sample_cols *s)
{
	int64_t to = range_ref(c, 0), from = to - c->range_ms;
	struct series_cols f = { .t_ms = s->t_ms, .v = s->v, .n = s->n };
	if (s->n == 0)
		return 0;
	size_t last = s->n - 1, first = 0, n = 0;
	while (first < last && s->t_ms[first] <= from)
		first++;
	if (first > 0)
		first--;
	if (c->smoothed)
		for (size_t k = 0; k < last; k++)
			if (s->t_ms[k] >= to)
				last = k;
	if (s->t_ms[last] <= from)
		return s->n = 0;
	double left = s->v[first], right = s->v[last];
	if (c->smoothed && s->t_ms[first] < from)
		left = between(&f, first, from, false);
	if (c->smoothed && last > 0 && s->t_ms[last] > to)
		right = between(&f, last - 1, to, false);
	if (s->t_ms[first] <= from)
		first++;
	if (s->t_ms[last] < to)
		last++;
	/* One slot in front and one behind were left free. */
	n = last > first ? last - first : 0;
	memmove(s->t_ms + 1, s->t_ms + first, n * sizeof(*s->t_ms));
	memmove(s->v + 1, s->v + first, n * sizeof(*s->v));
	s->t_ms[0] = from;
	s->v[0] = left;
	s->t_ms[n + 1] = to;
	s->v[n + 1] = right;
	return s->n = n + 2;
}
