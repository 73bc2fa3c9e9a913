/*
 * promql/exec/matrix.c - instant queries whose result is a matrix: the raw samples of a range selector, or
 * the rows of a subquery.
 */
#include "promql/exec/extended.h"
#include "promql/exec/held.h"
#include "promql/exec/select_int.h"

#include <stdlib.h>

#include "base/vec.h"

struct series_vec {
	struct promql_series *v;
	size_t n, cap;
};

static int add_series(struct exec *x, struct series_vec *out, struct labels ls,
		      const int64_t *t, const double *v, const struct hist *const *h,
		      size_t n, struct err *e)
{
	if (n == 0)
		return 0;
	if (out->n == out->cap)
		out->v = vec_grow(out->v, &out->cap, out->n + 1, sizeof(*out->v));
	struct promql_series *s = &out->v[out->n];
	*s = (struct promql_series){ .n = (uint32_t)n };
	int64_t *tt = arena_try(x->arena, x->ctx, n * sizeof(*tt), e);
	double *vv = tt ? arena_try(x->arena, x->ctx, n * sizeof(*vv), e) : NULL;
	const struct hist **hh = NULL;
	if (!vv || labels_try_dup(x->arena, x->ctx, ls, &s->labels, e) < 0)
		return -1;
	if (h && !(hh = arena_try(x->arena, x->ctx, n * sizeof(*hh), e)))
		return -1;
	memcpy(tt, t, n * sizeof(*tt));
	memcpy(vv, v, n * sizeof(*vv));
	for (size_t i = 0; h && i < n; i++)
		hh[i] = h[i] ? hist_dup(x->arena, h[i]) : NULL;
	s->t_ms = tt;
	s->v = vv;
	s->h = hh;
	out->n++;
	return 0;
}

/* What anchored and smoothed make of the samples. */
static int shape(struct exec *x, const struct expr *sel, const struct range_call *w,
		 struct arena *a, struct sample_cols *c, struct err *e)
{
	if (!w->anchored && !w->smoothed)
		return 0;
	for (size_t i = 0; c->h && i < c->n; i++)
		if (c->h[i])
			return err_set(x->ctx, e, E_EXEC,
				       "%s modifier is not supported with histograms",
				       sel->s.sel.anchored ? "anchored" : "smoothed");
	int64_t *t = arena_try(a, x->ctx, (c->n + 2) * sizeof(*t), e);
	double *v = t ? arena_try(a, x->ctx, (c->n + 2) * sizeof(*v), e) : NULL;
	if (!v)
		return -1;
	if (c->n) {
		memcpy(t, c->t_ms, c->n * sizeof(*t));
		memcpy(v, c->v, c->n * sizeof(*v));
	}
	*c = (struct sample_cols){ .t_ms = t, .v = v, .n = c->n };
	extended_samples(w, c);
	return 0;
}

static uint64_t weight_of(const struct sample_cols *c)
{
	uint64_t n = c->n;
	for (size_t i = 0; c->h && i < c->n; i++)
		n += c->h[i] ? hist_samples(c->h[i]) - 1 : 0;
	return n;
}

struct reading {
	const struct expr *sel;
	struct series_vec *out;
};

/* One series' samples, not the stale markers. What was read is held, what is shown is counted. */
static int take_series(void *arg, struct exec *x, const struct range_call *w,
		       struct labels labels, struct sample_cols *c, struct arena *a,
		       struct err *e)
{
	const struct reading *r = arg;
	select_drop_stale(c);
	if (held_read(x, x->held, weight_of(c), e) < 0 ||
	    shape(x, r->sel, w, a, c, e) < 0)
		return -1;
	uint64_t n = weight_of(c), step[1] = { n };
	samples_add(x->count,
		    &(struct sample_tally){
			    .n = n, .read = n, .by_step = step, .read_by_step = step },
		    0, 1);
	return add_series(x, r->out, labels, c->t_ms, c->v, c->h, c->n, e);
}

static int read_selector(struct exec *x, const struct expr *sel, struct series_vec *out,
			 struct err *e)
{
	struct reading r = { sel, out };
	struct select_each each = {
		.sel = sel, .g = { x->q->start_ms, 0, 1 }, .take = take_series, .arg = &r
	};
	return select_each(x, &each, e);
}

static int read_subquery(struct exec *x, const struct expr *sub, struct series_vec *out,
			 struct err *e)
{
	struct range_call w;
	struct row_set set;
	struct op *op;
	struct batch *b;
	int rc = 0;
	struct grid one = { x->q->start_ms, 0, 1 };
	subquery_window(x, sub, one, &w);
	struct grid g = subquery_grid(x, sub, &w);
	if (subquery_check(x, g, e) < 0)
		return -1;
	if (g.n == 0)
		return 0;
	x->in_buckets++;
	if (samples_enter(x, true, 1, e) < 0 || plan_expr(x, sub->sub.e, g, &op, e) < 0)
		return -1;
	samples_leave(x);
	row_set_init(&set, g.n);
	while ((rc = op_next(op, x, &b, e)) > 0)
		for (size_t k = 0; k < b->n && rc > 0; k++)
			if (row_set_add(x, &set, &b->row[k], DUP_LABELSET, e) < 0)
				rc = -1;
	if (rc == 0)
		rc = row_set_cut_names(x, &set, DUP_LABELSET, e);
	int64_t *t = arena_try(x->arena, x->ctx, g.n * sizeof(*t), e);
	for (size_t k = 0; k < set.n && rc == 0 && t; k++) {
		struct row *r = &set.row[k];
		size_t n = 0;
		EACH_BIT(i, r->bits, g.n)
		{
			t[n] = grid_at(g, i);
			r->v[n] = r->v[i];
			if (r->h)
				r->h[n] = r->h[i];
			n++;
		}
		rc = add_series(x, out, r->labels, t, r->v, r->h, n, e);
	}
	row_set_deinit(&set);
	return t ? rc : -1;
}

int matrix_exec(struct exec *x, const struct expr *ex, struct promql_result *out,
		struct err *e)
{
	struct series_vec v = { 0 };
	int rc = ex->kind == EXPR_MATRIX ? read_selector(x, ex, &v, e)
					 : read_subquery(x, ex, &v, e);
	if (rc == 0) {
		out->type = TYPE_MATRIX;
		out->n = v.n;
		out->series = arena_try(x->arena, x->ctx, v.n * sizeof(*v.v) + 1, e);
		if (!out->series)
			rc = -1;
		else if (v.n)
			memcpy(out->series, v.v, v.n * sizeof(*v.v));
	}
	if (rc == 0)
		rc = result_sort(x, out, e);
	free(v.v);
	return rc;
}
