/*
 * promql/exec/floats.h - the floats of a series that may hold histograms too; private to the range functions.
 *
 * Most functions look at floats alone and say (info) when a window held histograms beside them. Where a
 * series has histograms its floats are copied out once, so that a function always sees a plain array.
 */
#ifndef PROMQL_EXEC_FLOATS_H
#define PROMQL_EXEC_FLOATS_H

#include "promql/exec/window.h"

struct floats {
	const int64_t *t_ms;
	const double *v;
	const int64_t *st_ms; /* as in series_cols */
	size_t n;
	const uint32_t *
		before; /* floats before each sample of the series; NULL: all are floats */
};
/* One window of them: floats [lo, hi) of the n samples that are inside. */
struct float_window {
	struct window w; /* of all samples */
	size_t lo, hi;
	bool hists; /* others were inside */
};
int floats_of(const struct series_cols *s, struct range_env *env, struct floats *out);

/* Move to step i. False: nothing to compute, because fewer than `min` floats are inside. Annotates once a series. */
bool floats_slide(const struct range_call *c, const struct series_cols *s,
		  const struct floats *f, uint32_t i, size_t min, struct range_env *env,
		  struct float_window *w);

/* Bits of range_env.said of all functions that use these. */
#define SAID_IGNORED  1u
#define SAID_QUANTILE 2u

/* Memory that may go when eval returns. */
static inline void *range_scratch(struct range_env *env, size_t n)
{
	struct arena *a = env->scratch ? env->scratch : env->arena;
	return arena_try(a, env->x->ctx, n + 1, env->e);
}

/* fn_trend.c */
int fn_deriv(const struct range_call *c, const struct series_cols *s,
	     struct range_env *env, struct row *out);
int fn_predict_linear(const struct range_call *c, const struct series_cols *s,
		      struct range_env *env, struct row *out);
int fn_double_exponential_smoothing(const struct range_call *c,
				    const struct series_cols *s, struct range_env *env,
				    struct row *out);
/* fn_changes.c */
int fn_changes(const struct range_call *c, const struct series_cols *s,
	       struct range_env *env, struct row *out);
int fn_resets(const struct range_call *c, const struct series_cols *s,
	      struct range_env *env, struct row *out);
/* fn_xrate.c */
int fn_xrate(const struct range_call *c, const struct series_cols *s,
	     struct range_env *env, struct row *out);
int fn_xincrease(const struct range_call *c, const struct series_cols *s,
		 struct range_env *env, struct row *out);
int fn_xdelta(const struct range_call *c, const struct series_cols *s,
	      struct range_env *env, struct row *out);
/* All of these, and the functions of fn_stats.c. */
const struct range_fn *range_fn_stats(enum fn_id fn);

#endif
