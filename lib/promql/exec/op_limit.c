/*
 * promql/exec/op_limit.c - limitk and limit_ratio: rows pass, less the steps at which they are not among those asked for.
 *
 * limitk counts, by group and step, the rows that passed; limit_ratio takes a row by the hash of its labels alone, so
 * that the same series are taken at every step and in every query.
 * Source  prometheus.md §2.2
 */
#include "promql/exec/group.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/vec.h"
#include "promql/exec/value_order.h"
#include "wire/num.h"

struct op_limit {
	struct op op;
	bool ready, none;
	struct aggr_param param;
	/* limitk */
	int64_t *k; /* by step */
	struct groups groups;
	uint32_t **taken; /* by group and step */
	size_t n_taken, cap_taken;
	struct row *held; /* both: instant queries show the order of Prometheus' heap */
	uint32_t *of;	  /* the group of each */
	size_t n_held, cap_held, cap_of;
	struct batch out;
	/* limit_ratio */
	double *ratio; /* by step, within -1 and 1 */
	struct buf key;
};

/* ---- limitk ---- */

static int taken_of(struct op_limit *l, struct exec *x, struct labels ls, uint32_t *g,
		    struct err *e)
{
	if (groups_of(&l->groups, x, ls, g, e) < 0)
		return -1;
	if (*g < l->n_taken)
		return 0;
	if (l->n_taken == l->cap_taken)
		l->taken = vec_grow(l->taken, &l->cap_taken, *g + 1, sizeof(*l->taken));
	uint32_t *n = arena_try(x->arena, x->ctx, l->op.grid.n * sizeof(*n), e);
	if (!n)
		return -1;
	memset(n, 0, l->op.grid.n * sizeof(*n));
	l->taken[l->n_taken++] = n;
	return 0;
}

static int limitk_row(struct op_limit *l, struct exec *x, struct row *r, uint32_t *g,
		      struct err *e)
{
	if (taken_of(l, x, r->labels, g, e) < 0)
		return -1;
	uint32_t *n = l->taken[*g];
	EACH_BIT(i, r->bits, l->op.grid.n)
	{
		if (n[i] < l->k[i])
			n[i]++;
		else
			bit_clear(r->bits, i);
	}
	return bits_any(r->bits, l->op.grid.n);
}

/* ---- limit_ratio ---- */

static void put_sized(struct buf *b, struct str s)
{
	if (s.n < 255) {
		buf_byte(b, (uint8_t)s.n);
	} else {
		buf_byte(b, 255);
		for (int i = 0; i < 3; i++)
			buf_byte(b, (uint8_t)(s.n >> (8 * i)));
	}
	buf_str(b, s);
}

/* Where the label set lies between 0 and 1, as Prometheus hashes it. */
static double place_of(struct buf *b, struct labels ls)
{
	buf_reset(b);
	for (uint32_t i = 0; i < ls.n; i++) {
		put_sized(b, ls.l[i].name);
		put_sized(b, ls.l[i].value);
	}
	struct str key = buf_view(b);
	return (double)hash_xx64(key.p, key.n, 0) / 0x1p64;
}

static bool ratio_row(struct op_limit *l, struct row *r)
{
	double place = place_of(&l->key, r->labels);
	EACH_BIT(i, r->bits, l->op.grid.n)
	{
		double want = l->ratio[i];
		if (want == 0 || (want > 0 ? place >= want : place < 1 + want))
			bit_clear(r->bits, i);
	}
	return bits_any(r->bits, l->op.grid.n);
}

static int hold(struct op_limit *l, struct exec *x, const struct row *r, uint32_t g,
		struct err *e)
{
	if (l->n_held == l->cap_held)
		l->held =
			vec_grow(l->held, &l->cap_held, l->n_held + 1, sizeof(*l->held));
	if (l->n_held == l->cap_of)
		l->of = vec_grow(l->of, &l->cap_of, l->n_held + 1, sizeof(*l->of));
	l->of[l->n_held] = g;
	return row_copy(x, x->arena, 1, r, &l->held[l->n_held++], e);
}

/* COMPAT: Prometheus 3.14 shows what is left of an instant query group by group, in the order of a heap by value. */
static int held_in_order(struct op_limit *l, struct exec *x, struct err *e)
{
	struct ranked *heap =
		arena_try(x->arena, x->ctx, l->n_held * sizeof(*heap) + 1, e);
	struct row *rows =
		heap ? arena_try(x->arena, x->ctx, l->n_held * sizeof(*rows) + 1, e)
		     : NULL;
	uint32_t *begin =
		rows ? arena_try(x->arena, x->ctx, (l->groups.n + 1) * sizeof(*begin), e)
		     : NULL;
	if (!begin)
		return -1;
	uint32_t at = 0;
	for (size_t g = 0; g < l->groups.n; g++) {
		begin[g] = at;
		at += l->taken[g][0];
		l->taken[g][0] = 0;
	}
	for (size_t i = 0; i < l->n_held; i++) {
		uint32_t g = l->of[i];
		const struct row *r = &l->held[i];
		struct ranked c = { r->h && r->h[0] ? 0 : r->v[0], (uint32_t)i };
		ranked_push(heap + begin[g], l->taken[g][0]++, c, false);
	}
	for (size_t i = 0; i < l->n_held; i++)
		rows[i] = l->held[heap[i].row];
	l->out = (struct batch){ rows, l->n_held };
	return 0;
}

/* Does anything of the row pass, and in which group? */
static int limit_row(struct op_limit *l, struct exec *x, struct row *r, uint32_t *g,
		     struct err *e)
{
	if (!l->ratio)
		return limitk_row(l, x, r, g, e);
	if (l->op.grid.n > 1)
		return ratio_row(l, r);
	if (taken_of(l, x, r->labels, g, e) < 0)
		return -1;
	bool kept = ratio_row(l, r);
	l->taken[*g][0] += kept;
	return kept;
}

static int limit_instant(struct op_limit *l, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	while ((rc = op_next(l->op.in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++) {
			uint32_t g = 0;
			int kept = limit_row(l, x, &b->row[k], &g, e);
			if (kept < 0 || (kept && hold(l, x, &b->row[k], g, e) < 0))
				return -1;
		}
	return rc < 0 ? -1 : held_in_order(l, x, e);
}

static void warn_ratio(struct op_limit *l, struct exec *x, double got, const char *to)
{
	char num[NUM_MAX];
	size_t n = num_f64_g(num, got);
	anno_warn_by(x, l->op.expr, expr_strip(l->op.expr->aggr.param),
		     "ratio value should be between -1 and 1, got %.*s, capping to %s",
		     (int)n, num, to);
}

static int ratio_prepare(struct op_limit *l, struct exec *x, struct err *e)
{
	const struct aggr_param *p = &l->param;
	uint32_t n = l->op.grid.n;
	l->none = p->min == 0 && p->max == 0;
	if ((l->none || p->nan) && op_drain(l->op.in[0], x, e) < 0)
		return -1;
	if (l->none)
		return 0;
	if (p->nan)
		return err_set(x->ctx, e, E_EXEC, "Ratio value is NaN");
	if (p->max > 1)
		warn_ratio(l, x, p->max, "1");
	if (p->min < -1)
		warn_ratio(l, x, p->min, "-1");
	l->ratio = arena_try(x->arena, x->ctx, n * sizeof(*l->ratio), e);
	if (!l->ratio)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		l->ratio[i] = fmax(-1, fmin(1, p->v[i]));
	return 0;
}

/* ---- both ---- */

static int limit_prepare(struct op_limit *l, struct exec *x, struct err *e)
{
	bool ratio = l->op.expr->aggr.op == AGG_LIMIT_RATIO;
	if (aggr_param_read(x, l->op.expr, l->op.grid, &l->param, e) < 0)
		return -1;
	if (ratio ? ratio_prepare(l, x, e) < 0
		  : aggr_param_counts(x, &l->param, l->op.in[0], &l->k, &l->none, e) < 0)
		return -1;
	if (l->none)
		return 0;
	return l->op.grid.n > 1 ? 0 : limit_instant(l, x, e);
}

static int limit_batch(struct op_limit *l, struct exec *x, struct batch *b, struct err *e)
{
	size_t n = 0;
	for (size_t k = 0; k < b->n; k++) {
		uint32_t g = 0;
		int kept = limit_row(l, x, &b->row[k], &g, e);
		if (kept < 0)
			return -1;
		if (kept)
			b->row[n++] = b->row[k];
	}
	b->n = n;
	return 0;
}

static int limit_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_limit *l = (struct op_limit *)op;
	bool first = !l->ready;
	if (first && limit_prepare(l, x, e) < 0)
		return -1;
	l->ready = true;
	if (l->none)
		return 0;
	if (op->grid.n == 1) {
		*out = &l->out;
		return first && l->out.n;
	}
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	return limit_batch(l, x, *out, e) < 0 ? -1 : 1;
}

static void limit_close(struct op *op)
{
	struct op_limit *l = (struct op_limit *)op;
	groups_deinit(&l->groups);
	buf_deinit(&l->key);
	free(l->taken);
	free(l->held);
	free(l->of);
}

static const struct op_ops limit_ops = { "limit", NULL, limit_next, limit_close };

int op_limit_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err)
{
	struct op_limit *l = op_alloc(x, sizeof(*l), &limit_ops, g, TYPE_VECTOR, e);
	groups_init(&l->groups, x, e);
	buf_init(&l->key, (size_t)1 << 24);
	*out = &l->op;
	if (aggr_param_plan(x, e, g, &l->param, err) < 0 ||
	    aggr_input_plan(x, e, g, &l->op.in[0], err) < 0)
		return -1;
	l->op.unique = l->op.in[0]->unique;
	l->op.nameless = l->op.in[0]->nameless;
	return 0;
}
