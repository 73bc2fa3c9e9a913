#include "promql/exec/floats.h"

int floats_of(const struct series_cols *s, struct range_env *env, struct floats *out)
{
	*out = (struct floats){ s->t_ms, s->v, s->st_ms, s->n, NULL };
	if (!s->h)
		return 0;
	int64_t *t = range_scratch(env, s->n * sizeof(*t));
	double *v = t ? range_scratch(env, s->n * sizeof(*v)) : NULL;
	uint32_t *before = v ? range_scratch(env, (s->n + 1) * sizeof(*before)) : NULL;
	int64_t *st = NULL;
	if (!before || (s->st_ms && !(st = range_scratch(env, s->n * sizeof(*st)))))
		return -1;
	uint32_t n = 0;
	for (size_t k = 0; k < s->n; k++) {
		before[k] = n;
		if (s->h[k])
			continue;
		t[n] = s->t_ms[k];
		if (st)
			st[n] = s->st_ms[k];
		v[n++] = s->v[k];
	}
	before[s->n] = n;
	*out = (struct floats){ t, v, st, n, before };
	return 0;
}

static void floats_in(const struct floats *f, struct float_window *w)
{
	w->lo = f->before ? f->before[w->w.lo] : w->w.lo;
	w->hi = f->before ? f->before[w->w.hi] : w->w.hi;
	w->hists = w->hi - w->lo < w->w.hi - w->w.lo;
}

bool floats_slide(const struct range_call *c, const struct series_cols *s,
		  const struct floats *f, uint32_t i, size_t min, struct range_env *env,
		  struct float_window *w)
{
	bool any = slide(c, s, i, &w->w);
	floats_in(f, w);
	if (!any || w->lo == w->hi)
		return false;
	if (w->hists && !(env->said & SAID_IGNORED)) {
		env->said |= SAID_IGNORED;
		anno_info(env->x, c->at,
			  "ignored histograms in a range containing both floats and "
			  "histograms for metric name \"%.*s\"",
			  STR_FMT(env->metric));
	}
	return w->hi - w->lo >= min;
}
