/*
 * promql/exec/op_quantile.c - the aggregation quantile: the values of a group's rows are held until the input has ended,
 * then two order statistics a step are selected and interpolated. Class holistic.
 *
 * Source  prometheus.md §2.7
 */
#include "promql/exec/group.h"

#include <math.h>
#include <stdlib.h>

#include "base/vec.h"
#include "wire/num.h"

struct held { /* values of one row */
	const double *v;
	const uint64_t *bits;
	struct held *next;
};
struct qgroup {
	struct held *rows;
	size_t n;
	struct drop_mark drop;
};
struct op_quantile {
	struct op op;
	bool done, said;
	struct aggr_param param;
	struct groups groups;
	struct qgroup *group; /* by ordinal */
	size_t n_group, cap_group, max_rows;
	struct batch out;
};

/* ---- order statistics: NaN below everything ---- */

/* NaN to the front; how many. */
static size_t nan_first(double *v, size_t n)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (isnan(v[i])) {
			double t = v[k];
			v[k++] = v[i];
			v[i] = t;
		}
	return k;
}

static double median3(double a, double b, double c)
{
	if (a > b) {
		double t = a;
		a = b;
		b = t;
	}
	return c < a ? a : c > b ? b : c;
}

/* v[k] is what sorting would put there; nothing smaller behind it. No NaN in v. */
static void select_nth(double *v, size_t n, size_t k)
{
	size_t lo = 0, hi = n - 1;
	while (lo < hi) {
		double pivot = median3(v[lo], v[lo + (hi - lo) / 2], v[hi]);
		size_t i = lo, j = hi;
		for (;;) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i >= j)
				break;
			double t = v[i];
			v[i++] = v[j];
			v[j--] = t;
		}
		if (k <= j)
			hi = j;
		else
			lo = j + 1;
	}
}

static double nth(double *v, size_t n, size_t nans, size_t k)
{
	if (k < nans)
		return NAN;
	select_nth(v + nans, n - nans, k - nans);
	return v[k];
}

static double quantile_of(double q, double *v, size_t n)
{
	if (isnan(q))
		return NAN;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	double rank = q * ((double)n - 1), low = fmax(0, floor(rank));
	double weight = rank - floor(rank);
	size_t lo = (size_t)low, hi = MIN(n - 1, lo + 1), nans = nan_first(v, n);
	double b = nth(v, n, nans, hi), a = nth(v, n, nans, lo);
	return a * (1 - weight) + b * weight;
}

/* ---- collecting ---- */

static int hold_row(struct op_quantile *o, struct exec *x, const struct row *r,
		    struct err *e)
{
	uint32_t n = o->op.grid.n, g;
	struct row copy;
	if (groups_of(&o->groups, x, r->labels, &g, e) < 0)
		return -1;
	if (g == o->n_group) {
		if (o->n_group == o->cap_group)
			o->group = vec_grow(o->group, &o->cap_group, g + 1,
					    sizeof(*o->group));
		o->group[o->n_group++] = (struct qgroup){ 0 };
	}
	drop_mark_row(&o->group[g].drop, r, n);
	if (row_new(x, x->arena, n, false, &copy, e) < 0)
		return -1;
	memcpy(copy.v, r->v, n * sizeof(*copy.v));
	memcpy(copy.bits, r->bits, BITS_WORDS(n) * 8);
	for (uint32_t i = 0; r->h && i < n; i++) {
		if (!bit_get(r->bits, i) || !r->h[i])
			continue;
		bit_clear(copy.bits, i);
		if (!o->said)
			anno_info(x, expr_strip(o->op.expr->aggr.e),
				  "ignored histogram in quantile aggregation");
		o->said = true;
	}
	struct held *h = ARENA_NEW(x->arena, struct held);
	*h = (struct held){ copy.v, copy.bits, o->group[g].rows };
	o->group[g].rows = h;
	o->max_rows = MAX(o->max_rows, ++o->group[g].n);
	return 0;
}

static int eval_group(struct op_quantile *o, struct exec *x, size_t g, double *tmp,
		      struct row *out, struct err *e)
{
	uint32_t n = o->op.grid.n;
	if (row_new(x, x->arena, n, false, out, e) < 0)
		return -1;
	out->labels = o->groups.key[g].labels;
	out->drop_name = o->group[g].drop.drop;
	for (uint32_t i = 0; i < n; i++) {
		size_t k = 0;
		for (const struct held *h = o->group[g].rows; h; h = h->next)
			if (bit_get(h->bits, i))
				tmp[k++] = h->v[i];
		if (k == 0)
			continue;
		if (ctx_check(x->ctx, e) < 0)
			return -1;
		out->v[i] = quantile_of(o->param.v[i], tmp, k);
		bit_set(out->bits, i);
	}
	return bits_any(out->bits, n);
}

static void warn_quantile(struct op_quantile *o, struct exec *x, double q)
{
	char num[NUM_MAX];
	size_t n = num_f64_g(num, q);
	anno_warn_by(x, o->op.expr, expr_strip(o->op.expr->aggr.param),
		     "quantile value should be between 0 and 1, got %.*s", (int)n, num);
}

static int quantile_all(struct op_quantile *o, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	if (aggr_param_read(x, o->op.expr, o->op.grid, &o->param, e) < 0)
		return -1;
	while ((rc = op_next(o->op.in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			if (hold_row(o, x, &b->row[k], e) < 0)
				return -1;
	if (rc < 0)
		return -1;
	if (o->param.nan)
		warn_quantile(o, x, NAN);
	if (o->param.max > 1)
		warn_quantile(o, x, o->param.max);
	if (o->param.min < 0)
		warn_quantile(o, x, o->param.min);
	struct row *rows = arena_try(x->arena, x->ctx, o->n_group * sizeof(*rows) + 1, e);
	double *tmp =
		rows ? arena_try(x->arena, x->ctx, o->max_rows * sizeof(*tmp) + 1, e)
		     : NULL;
	if (!tmp)
		return -1;
	size_t n = 0;
	for (size_t g = 0; g < o->n_group; g++) {
		rc = eval_group(o, x, g, tmp, &rows[n], e);
		if (rc < 0)
			return -1;
		n += rc > 0;
	}
	o->out = (struct batch){ rows, n };
	return 0;
}

static int quantile_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_quantile *o = (struct op_quantile *)op;
	if (o->done)
		return 0;
	o->done = true;
	if (quantile_all(o, x, e) < 0)
		return -1;
	*out = &o->out;
	return o->out.n != 0;
}

static void quantile_close(struct op *op)
{
	struct op_quantile *o = (struct op_quantile *)op;
	groups_deinit(&o->groups);
	free(o->group);
}

static const struct op_ops quantile_ops = { "quantile", NULL, quantile_next,
					    quantile_close };

int op_quantile_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		    struct err *err)
{
	struct op_quantile *o = op_alloc(x, sizeof(*o), &quantile_ops, g, TYPE_VECTOR, e);
	groups_init(&o->groups, x, e);
	o->op.unique = true;
	o->op.nameless = groups_nameless(&o->groups);
	*out = &o->op;
	if (aggr_param_plan(x, e, g, &o->param, err) < 0)
		return -1;
	return aggr_input_plan(x, e, g, &o->op.in[0], err);
}
