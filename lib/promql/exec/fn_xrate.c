/*
 * promql/exec/fn_xrate.c - Thanos' xrate, xincrease and xdelta: the window and the sample before it, not
 * extrapolated.
 *
 * The sample before the window may be up to an hour older than its start. xrate and xdelta leave it out when it is
 * farther away than samples are from each other, and scale to the range when samples cover it. xincrease counts a
 * series' first value as an increase from 0 for the length of one range after it appeared.
 * Source  thanos.md §4 (extended functions), promql-engine
 */
#include "promql/exec/floats.h"

struct kind {
	bool counter, per_second;
};

static bool all_equal(const double *v, size_t n)
{
	for (size_t k = 1; k < n; k++)
		if (v[k] != v[k - 1])
			return false;
	return true;
}

/* Samples [lo, hi). Seconds of the range are whole ones there. */
static double one_window(const struct range_call *c, const struct series_cols *s,
			 size_t lo, size_t hi, int64_t from, int64_t to, struct kind kind)
{
	const int64_t *t = s->t_ms;
	const double *v = s->v;
	bool increase = kind.counter && !kind.per_second;
	double seconds = (double)(c->range_ms / 1000);
	if (increase && all_equal(v + lo, hi - lo) && to <= c->range_ms + t[0])
		return v[lo];
	size_t first = lo;
	double sampled = (double)(t[hi - 1] - t[lo]),
	       avg = sampled / (double)(hi - lo - 1);
	if (!increase && (double)(from - t[lo]) > avg) {
		if (hi - lo < 3)
			return 0;
		first = lo + 1;
		sampled = (double)(t[hi - 1] - t[first]);
		avg = sampled / (double)(hi - lo - 2);
	}
	double fallen = 0;
	for (size_t k = first + 1; kind.counter && k < hi; k++)
		if (v[k] < v[k - 1])
			fallen += v[k - 1];
	double diff = v[hi - 1] - v[first] + fallen;
	if (!increase && t[first] <= from && (double)(to - t[hi - 1]) < avg)
		diff *= seconds / (sampled / 1000);
	return kind.per_second ? diff / seconds : diff;
}

static int eval_xrate(const struct range_call *c, const struct series_cols *s,
		      struct range_env *env, struct row *out, struct kind kind)
{
	struct window w = { 0 };
	for (size_t k = 0; s->h && k < s->n; k++)
		if (s->h[k])
			return err_set(env->x->ctx, env->e, E_EXEC,
				       "native histograms are not supported in extended "
				       "range functions");
	for (uint32_t i = 0; i < c->grid.n; i++) {
		int64_t to = range_ref(c, i), from = to - c->range_ms;
		size_t lo;
		(void)slide(c, s, i, &w);
		lo = w.lo;
		if (lo > 0 && s->t_ms[lo - 1] > from - c->look_ms)
			lo--;
		if (lo < w.hi)
			put(out, i, one_window(c, s, lo, w.hi, from, to, kind));
	}
	return 0;
}

int fn_xrate(const struct range_call *c, const struct series_cols *s,
	     struct range_env *env, struct row *out)
{
	return eval_xrate(c, s, env, out, (struct kind){ true, true });
}

int fn_xincrease(const struct range_call *c, const struct series_cols *s,
		 struct range_env *env, struct row *out)
{
	return eval_xrate(c, s, env, out, (struct kind){ true, false });
}

int fn_xdelta(const struct range_call *c, const struct series_cols *s,
	      struct range_env *env, struct row *out)
{
	return eval_xrate(c, s, env, out, (struct kind){ false, false });
}
