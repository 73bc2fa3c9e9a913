/*
 * promql/exec/fn_start.c - rate and increase of counters whose samples say when they started.
 *
 * Two things differ from fn_rate.c: a start timestamp can tell of a reset that the values do not show, and where the
 * first sample inside the window started inside too, the counter was 0 then, so that nothing need be guessed about
 * the time before (and one sample is enough).
 * Source  prometheus.md §2.5
 */
#include "promql/exec/fn_hist.h"
#include "promql/exec/start_time.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"

/* Samples at which something happens, ascending, and the first of them behind the window's start. */
struct events {
	uint32_t *at;
	size_t n, next;
};

static int events_new(struct events *ev, size_t n, struct range_env *env)
{
	*ev = (struct events){ .at = range_scratch(env, n * sizeof(*ev->at)) };
	return ev->at ? 0 : -1;
}

/* How many lie in (lo, hi); the first is at ev->next. */
static size_t events_in(struct events *ev, size_t lo, size_t hi)
{
	while (ev->next < ev->n && ev->at[ev->next] <= lo)
		ev->next++;
	size_t k = ev->next;
	while (k < ev->n && ev->at[k] < hi)
		k++;
	return k - ev->next;
}

/* Of neighbours that are floats both, or (overlaps) histograms both. */
static int find_events(const struct series_cols *s, struct range_env *env,
		       struct events *resets, struct events *overlaps)
{
	const int64_t *st = s->st_ms, *t = s->t_ms;
	if (events_new(resets, s->n, env) < 0 || events_new(overlaps, s->n, env) < 0)
		return -1;
	for (size_t k = 1; k < s->n; k++) {
		if (s->v[k] < s->v[k - 1] || starts_anew(s, k))
			resets->at[resets->n++] = (uint32_t)k;
		if (start_overlaps(st[k - 1], t[k - 1], st[k]))
			overlaps->at[overlaps->n++] = (uint32_t)k;
	}
	return 0;
}

/* False: one sample that tells nothing about the time before. */
static bool one_window(const struct range_call *c, const struct series_cols *f,
		       uint32_t i, size_t lo, size_t hi, struct events *resets,
		       bool per_second, double *out)
{
	int64_t to = range_ref(c, i), from = to - c->range_ms, first = f->t_ms[lo],
		last = f->t_ms[hi - 1], st = f->st_ms[lo];
	double diff = f->v[hi - 1] - f->v[lo];
	for (size_t k = events_in(resets, lo, hi), e = resets->next; k > 0; k--, e++)
		diff += f->v[resets->at[e] - 1];
	double to_start = (double)(first - from) / 1000,
	       to_end = (double)(to - last) / 1000,
	       sampled = (double)(last - first) / 1000, avg = 0;
	size_t gaps = hi - lo - 1;
	if (gaps > 0)
		avg = sampled / (double)gaps;
	double threshold = avg * 1.1;
	if (st != 0 && st > from && st < first) {
		to_start = 0;
		sampled = (double)(last - st) / 1000;
		diff += f->v[lo];
	} else if (gaps == 0) {
		return false;
	} else {
		if (to_start >= threshold)
			to_start = avg / 2;
		double to_zero = to_start;
		if (diff > 0 && f->v[lo] >= 0) /* a counter cannot have been below zero */
			to_zero = sampled * (f->v[lo] / diff);
		if (to_zero < to_start)
			to_start = to_zero;
	}
	if (to_end >= threshold)
		to_end = avg / 2;
	double factor = 1;
	if (sampled != 0)
		factor = (sampled + to_start + to_end) / sampled;
	if (per_second)
		factor /= (double)c->range_ms / 1000;
	*out = diff * factor;
	return true;
}

int fn_rate_of_starts(const struct range_call *c, const struct series_cols *s,
		      struct range_env *env, struct row *out, bool per_second)
{
	struct events resets, overlaps;
	struct hist_range hists;
	struct window w = { 0 };
	uint32_t overlapping = 0;
	if (hist_range_open(&hists, c, s, env) < 0 ||
	    find_events(s, env, &resets, &overlaps) < 0)
		return -1;
	for (uint32_t i = 0; i < c->grid.n; i++) {
		double v;
		if (!slide(c, s, i, &w))
			continue;
		enum window_kind kind = hist_range_kind(&hists, &w);
		if (kind != WINDOW_MIXED)
			overlapping += events_in(&overlaps, w.lo, w.hi) > 0;
		if (kind != WINDOW_FLOATS) {
			if (hist_rate_step(&hists, &w, i, out, true, per_second) < 0)
				return -1;
		} else if (one_window(c, s, i, w.lo, w.hi, &resets, per_second, &v)) {
			put(out, i, v);
		}
	}
	return overlapping ? start_overlap_note(c, env, overlapping) : 0;
}

/* ---- the warning that counts ---- */

struct start_overlap {
	struct start_overlap *next;
	const struct expr *at;
	uint64_t times;
	size_t n;
	char metric[];
};

int start_overlap_note(const struct range_call *c, struct range_env *env, uint32_t times)
{
	struct start_overlap *o = xmalloc(sizeof(*o) + env->metric.n);
	*o = (struct start_overlap){ .at = c->at, .times = times, .n = env->metric.n };
	memcpy(o->metric, env->metric.p, env->metric.n);
	o->next = atomic_load(&env->x->overlaps);
	while (!atomic_compare_exchange_weak(&env->x->overlaps, &o->next, o))
		;
	return 0;
}

static int by_metric(const void *a, const void *b, void *arg)
{
	const struct start_overlap *x = *(struct start_overlap *const *)a,
				   *y = *(struct start_overlap *const *)b;
	(void)arg;
	int c = str_cmp((struct str){ x->metric, x->n }, (struct str){ y->metric, y->n });
	return c ? c : (x->at->pos > y->at->pos) - (x->at->pos < y->at->pos);
}

static void say(struct exec *x, const struct start_overlap *o, uint64_t times)
{
	char count[48] = "";
	if (times > 1)
		snprintf(count, sizeof(count), " (%llu occurrences)",
			 (unsigned long long)times);
	anno_warn(
		x, o->at,
		"sample has start time that overlaps with previous sample timestamp for "
		"metric \"%.*s\"%s",
		(int)o->n, o->metric, count);
}

/* In order of metrics, whichever thread came first. Places of one metric are told as the first of them. */
void start_overlaps_say(struct exec *x)
{
	struct start_overlap **v = NULL, *next;
	size_t n = 0, cap = 0;
	for (struct start_overlap *o = atomic_load(&x->overlaps); o; o = o->next) {
		if (n == cap)
			v = vec_grow(v, &cap, n + 1, sizeof(struct start_overlap *));
		v[n++] = o;
	}
	if (n)
		vec_sort(v, n, sizeof(struct start_overlap *), by_metric, NULL);
	for (size_t i = 0, k; i < n; i = k) {
		uint64_t times = 0;
		for (k = i; k < n && v[k]->n == v[i]->n &&
			    memcmp(v[k]->metric, v[i]->metric, v[i]->n) == 0;
		     k++)
			times += v[k]->times;
		say(x, v[i], times);
	}
	for (struct start_overlap *o = atomic_load(&x->overlaps); o; o = next) {
		next = o->next;
		free(o);
	}
	atomic_store(&x->overlaps, NULL);
	free(v);
}
