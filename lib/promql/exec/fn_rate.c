/*
 * promql/exec/fn_rate.c - rate, increase, delta: the difference over a window, extrapolated to its ends.
 *
 * A step costs a handful of divisions, and they are all that costs: the window's ends are found by two
 * comparisons each, resets through the next one behind the window's start. So steps are gathered into a
 * block of columns, and the arithmetic is done column by column, which lets divisions of several steps
 * share the unit. Every operation is the one Prometheus does, in its order: the bits are the same.
 * Source  prometheus.md §2.5
 */
#include <math.h>
#include <string.h>

#include "promql/exec/falls.h"
#include "promql/exec/fn_hist.h"
#include "promql/exec/lanes.h"
#include "promql/exec/rate_wide.h"
#include "promql/exec/start_time.h"

#define BLOCK 32

struct rate_kind {
	bool counter, per_second;
};
/* Lanes past n hold stale numbers; what is computed of them is not used. */
struct block {
	uint32_t n, step[BLOCK];
	bool may_cross[BLOCK],
		any_may_cross; /* extrapolation may pass the counter's zero */
	double to_start[BLOCK], to_end[BLOCK], sampled[BLOCK]; /* ms, then s */
	double gaps[BLOCK], first[BLOCK], diff[BLOCK];
	double threshold[BLOCK], half[BLOCK], value[BLOCK];
};

/* A gap at an end that is much longer than the mean one counts as half a mean one. */
static void extrapolate_start(struct block *b)
{
	for (size_t k = 0; k < BLOCK; k += LANES) {
		lanes start = lanes_load(b->to_start + k) / 1000;
		lanes sampled = lanes_load(b->sampled + k) / 1000;
		lanes avg = sampled / lanes_load(b->gaps + k);
		lanes threshold = avg * 1.1, half = avg / 2;
		lanes_store(b->to_start + k,
			    lanes_select(start >= threshold, half, start));
		lanes_store(b->sampled + k, sampled);
		lanes_store(b->threshold + k, threshold);
		lanes_store(b->half + k, half);
	}
}

/* A counter cannot have been below zero. */
static void stop_at_zero(struct block *b)
{
	for (uint32_t k = 0; k < b->n; k++) {
		if (!b->may_cross[k])
			continue;
		double to_zero = b->sampled[k] * (b->first[k] / b->diff[k]);
		if (to_zero < b->to_start[k])
			b->to_start[k] = to_zero;
	}
}

static void extrapolate_end(struct block *b, double seconds)
{
	for (size_t k = 0; k < BLOCK; k += LANES) {
		lanes end = lanes_load(b->to_end + k) / 1000;
		lanes to_end = lanes_select(end >= lanes_load(b->threshold + k),
					    lanes_load(b->half + k), end);
		lanes sampled = lanes_load(b->sampled + k);
		lanes factor = (sampled + lanes_load(b->to_start + k) + to_end) / sampled;
		lanes_store(b->value + k, lanes_load(b->diff + k) * (factor / seconds));
	}
}

/* Mostly no step is missing: then all of them are set at once. */
static void put_block(const struct block *b, struct row *out)
{
	uint32_t first = b->step[0], word = first / 64, shift = first % 64;
	uint64_t ones = (1ull << b->n) - 1;
	if (b->step[b->n - 1] - first != b->n - 1) {
		for (uint32_t k = 0; k < b->n; k++)
			put(out, b->step[k], b->value[k]);
		return;
	}
	memcpy(out->v + first, b->value, b->n * sizeof(*b->value));
	out->bits[word] |= ones << shift;
	if (shift + b->n > 64)
		out->bits[word + 1] |= ones >> (64 - shift);
}

static void flush(struct block *b, double seconds, struct row *out)
{
	extrapolate_start(b);
	if (b->any_may_cross)
		stop_at_zero(b);
	extrapolate_end(b, seconds);
	put_block(b, out);
	b->n = 0;
	b->any_may_cross = false;
}

/* Most counters hardly ever fall; where looking for it becomes work, all falls are found at once. */
static int difference(const struct series_cols *s, const struct window *w, bool counter,
		      size_t *reset, struct falls *falls, struct range_env *env,
		      double *out)
{
	double diff = s->v[w->hi - 1] - s->v[w->lo];
	*out = diff;
	if (!counter)
		return 0;
	if (*reset <= w->lo)
		*reset = lanes_find_fall(s->v, w->lo + 1, s->n);
	if (*reset >= w->hi)
		return 0;
	if (!falls->at && falls->work > 2 * s->n && falls_find(falls, s, env) < 0)
		return -1;
	if (falls->at) {
		*out = falls_add(falls, w, s->v, diff);
		return 0;
	}
	falls->work += w->hi - *reset;
	for (size_t j = *reset; j < w->hi; j++)
		if (s->v[j] < s->v[j - 1])
			diff += s->v[j - 1];
	*out = diff;
	return 0;
}

static void add(struct block *b, const struct range_call *c, const struct series_cols *s,
		const struct window *w, uint32_t i, double diff, bool counter)
{
	uint32_t k = b->n++;
	int64_t ref = range_ref(c, i), t0 = s->t_ms[w->lo], t1 = s->t_ms[w->hi - 1];
	double first = s->v[w->lo];
	b->step[k] = i;
	b->to_start[k] = (double)(t0 - (ref - c->range_ms));
	b->to_end[k] = (double)(ref - t1);
	b->sampled[k] = (double)(t1 - t0);
	b->gaps[k] = (double)(w->hi - w->lo - 1);
	b->first[k] = first;
	b->diff[k] = diff;
	/*
	 * With at least two gaps to_start is below what was sampled; so is the way to zero only if the
	 * first value is below the difference. Else the division need not be done to know.
	 */
	b->may_cross[k] = counter && diff > 0 && first >= 0 &&
			  !(first >= diff && w->hi - w->lo > 2);
	b->any_may_cross |= b->may_cross[k];
}

static int eval_rate(const struct range_call *c, const struct series_cols *s,
		     struct range_env *env, struct row *out, struct rate_kind kind)
{
	if (s->st_ms && kind.counter)
		return fn_rate_of_starts(c, s, env, out, kind.per_second);
	struct window w = { 0 };
	struct block b = { 0 };
	double seconds = kind.per_second ? (double)c->range_ms / 1000 : 1;
	/* the least index > lo with v[reset] < v[reset - 1]; 0: not looked for */
	size_t reset = s->rise ? s->n : 0;
	struct falls falls = { 0 };
	struct hist_range hists;
	struct rate_wide wide;
	if (hist_range_open(&hists, c, s, env) < 0)
		return -1;
	/* A step that was none of eight is one of eight again only after as many. */
	uint32_t next_wide = UINT32_MAX;
	if (rate_wide_open(&wide, c, s, kind.counter, seconds))
		next_wide = 2;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		while (i >= next_wide && c->grid.n - i >= RATE_WIDE) {
			uint32_t done = rate_wide_steps(&wide, &w, i, out);
			if (done == 0) {
				next_wide = i + RATE_WIDE;
				break;
			}
			i += done;
		}
		if (i == c->grid.n || !slide(c, s, i, &w))
			continue;
		if (hist_range_kind(&hists, &w) != WINDOW_FLOATS) {
			if (hist_rate_step(&hists, &w, i, out, kind.counter,
					   kind.per_second) < 0)
				return -1;
			continue;
		}
		if (w.hi - w.lo < 2)
			continue;
		double diff;
		if (difference(s, &w, kind.counter, &reset, &falls, env, &diff) < 0)
			return -1;
		add(&b, c, s, &w, i, diff, kind.counter);
		if (b.n == BLOCK)
			flush(&b, seconds, out);
	}
	if (b.n)
		flush(&b, seconds, out);
	return 0;
}

int fn_rate(const struct range_call *c, const struct series_cols *s,
	    struct range_env *env, struct row *out)
{
	return eval_rate(c, s, env, out, (struct rate_kind){ true, true });
}

int fn_increase(const struct range_call *c, const struct series_cols *s,
		struct range_env *env, struct row *out)
{
	return eval_rate(c, s, env, out, (struct rate_kind){ true, false });
}

int fn_delta(const struct range_call *c, const struct series_cols *s,
	     struct range_env *env, struct row *out)
{
	return eval_rate(c, s, env, out, (struct rate_kind){ false, false });
}
