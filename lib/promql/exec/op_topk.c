/*
 * promql/exec/op_topk.c - topk and bottomk: per group and step a heap of the best k values and whose they are. Class
 * candidates: held are k values a group and step, and the labels of series that were among them at any time. An
 * aggregation of many groups is read some steps at a time: slices.h.
 *
 * Series come in order, each whole, so every step's heap sees them in the order in which Prometheus walks over them,
 * and ties end the same.  Source  prometheus.md §2.7
 */
#include "promql/exec/group.h"

#include <math.h>
#include <stdlib.h>

#include "base/vec.h"
#include "promql/exec/lanes.h"
#include "promql/exec/slices.h"
#include "promql/exec/value_order.h"

#define FIRST_ROOM 4

struct heaps { /* of one group: `room` cells a step */
	struct ranked *cell;
	double *worst; /* of the k kept at a step; NaN while there is still room */
	uint32_t *n;
	uint32_t room;
};
struct origin {
	struct labels labels;
	bool drop_name;
};
struct op_topk {
	struct op op;
	bool high; /* bottomk: the highest of those kept lies on top */
	bool done;
	bool said;
	struct aggr_param param;
	int64_t *k; /* by step */
	struct groups groups;
	/* Of the slice that is read, in `slice`: */
	struct slices slices;
	struct arena slice;
	struct heaps *heaps; /* by ordinal of the group */
	size_t n_heaps, cap_heaps;
	struct origin *origin;
	size_t n_origin, cap_origin;
	struct row_set rows; /* of a range query: the result */
	struct batch out;
};

static int heaps_grow(struct op_topk *t, struct exec *x, struct heaps *h, struct err *e)
{
	uint32_t n = t->slices.n, room = h->room ? h->room * 2 : FIRST_ROOM;
	struct ranked *cell =
		arena_try(&t->slice, x->ctx, (size_t)n * room * sizeof(*cell), e);
	if (!cell)
		return -1;
	for (uint32_t i = 0; h->room && i < n; i++)
		memcpy(cell + (size_t)i * room, h->cell + (size_t)i * h->room,
		       h->n[i] * sizeof(*cell));
	h->cell = cell;
	h->room = room;
	return 0;
}

static int heaps_of(struct op_topk *t, struct exec *x, const struct row *r,
		    struct heaps **out, struct err *e)
{
	uint32_t g;
	if (groups_of(&t->groups, x, r->labels, &g, e) < 0)
		return -1;
	if (g == t->n_heaps) {
		if (t->n_heaps == t->cap_heaps)
			t->heaps = vec_grow(t->heaps, &t->cap_heaps, g + 1,
					    sizeof(*t->heaps));
		struct heaps *h = &t->heaps[t->n_heaps++];
		*h = (struct heaps){ 0 };
		uint32_t n = t->slices.n;
		h->n = arena_try(&t->slice, x->ctx, n * sizeof(*h->n), e);
		h->worst = arena_try(&t->slice, x->ctx, n * sizeof(*h->worst), e);
		if (!h->n || !h->worst)
			return -1;
		memset(h->n, 0, n * sizeof(*h->n));
		for (uint32_t i = 0; i < n; i++)
			h->worst[i] = NAN;
	}
	*out = &t->heaps[g];
	return 0;
}

/* Is the value better than the worst of those kept? */
static bool beats(double v, double top, bool high)
{
	return (high ? top > v : top < v) || (isnan(top) && !isnan(v));
}

static int offer(struct op_topk *t, struct exec *x, struct heaps *h, uint32_t i, double v,
		 bool *kept, struct err *e)
{
	struct ranked r = { v, (uint32_t)t->n_origin };
	uint32_t n = h->n[i];
	uint64_t k = (uint64_t)t->k[t->slices.from + i];
	bool room = n < k;
	if (room) {
		if (n == h->room && heaps_grow(t, x, h, e) < 0)
			return -1;
		ranked_push(h->cell + (size_t)i * h->room, n, r, t->high);
		h->n[i] = ++n;
	}
	struct ranked *top = h->cell + (size_t)i * h->room;
	if (!room) {
		if (!beats(v, top->v, t->high))
			return 0;
		*top = r;
		ranked_fix_top(top, n, t->high);
	}
	if (n == k)
		h->worst[i] = top->v;
	*kept = true;
	return 0;
}

static int origin_add(struct op_topk *t, struct exec *x, const struct row *r,
		      struct err *e)
{
	if (t->n_origin == t->cap_origin)
		t->origin = vec_grow(t->origin, &t->cap_origin, t->n_origin + 1,
				     sizeof(*t->origin));
	struct origin *o = &t->origin[t->n_origin];
	if (labels_try_dup(&t->slice, x->ctx, r->labels, &o->labels, e) < 0)
		return -1;
	o->drop_name = r->drop_name;
	t->n_origin++;
	return 0;
}

/* Histograms have no rank; true, so that it can stand in a condition. */
static bool ignored(struct op_topk *t, struct exec *x)
{
	if (!t->said)
		anno_info(x, t->op.expr, "ignored histogram in %s aggregation",
			  aggr_op_text(t->op.expr->aggr.op));
	return t->said = true;
}

static int offer_row(struct op_topk *t, struct exec *x, const struct row *r,
		     struct err *e)
{
	struct heaps *h;
	bool kept = false;
	if (heaps_of(t, x, r, &h, e) < 0)
		return -1;
	for (uint32_t at = 0; at < t->slices.n; at += 64) {
		uint64_t bits = r->bits[at / 64];
		if (bits == UINT64_MAX && !r->h) /* mostly no step is left */
			bits = lanes_beyond(r->v + at, h->worst + at, !t->high);
		for (; bits; bits &= bits - 1) {
			uint32_t i = at + (uint32_t)__builtin_ctzll(bits);
			if (t->k[t->slices.from + i] >= 1 &&
			    !(r->h && r->h[i] && ignored(t, x)) &&
			    offer(t, x, h, i, r->v[i], &kept, e) < 0)
				return -1;
		}
	}
	return kept ? origin_add(t, x, r, e) : 0;
}

/* ---- the result ---- */

/* An instant query shows group by group, best first. */
static int emit_ranked(struct op_topk *t, struct exec *x, struct err *e)
{
	size_t n = 0;
	for (size_t g = 0; g < t->n_heaps; g++)
		n += t->heaps[g].n[0];
	struct row *rows = arena_try(x->arena, x->ctx, n * sizeof(*rows) + 1, e);
	if (!rows)
		return -1;
	n = 0;
	for (size_t g = 0; g < t->n_heaps; g++) {
		struct heaps *h = &t->heaps[g];
		if (ranked_sort(x->ctx, h->cell, h->n[0], t->high, e) < 0)
			return -1;
		for (uint32_t k = 0; k < h->n[0]; k++) {
			struct row *r = &rows[n++];
			const struct origin *o = &t->origin[h->cell[k].row];
			if (row_new(x, x->arena, 1, false, r, e) < 0)
				return -1;
			r->labels = labels_dup(x->arena, o->labels);
			r->drop_name = o->drop_name;
			r->v[0] = h->cell[k].v;
			bit_set(r->bits, 0);
		}
	}
	t->out = (struct batch){ rows, n };
	return 0;
}

/* The row of what was among the best of a slice, made if no slice before had it. */
static int result_row(struct op_topk *t, struct exec *x, const struct origin *o,
		      size_t *at, struct err *e)
{
	struct row *have = t->slices.from ? row_set_find(&t->rows, o->labels) : NULL;
	if (have) {
		*at = (size_t)(have - t->rows.row);
		return 0;
	}
	*at = t->rows.n;
	return row_set_add_absent(x, &t->rows, o->labels, o->drop_name, e);
}

static int emit_slice(struct op_topk *t, struct exec *x, struct err *e)
{
	const uint32_t n = t->slices.n, from = t->slices.from;
	size_t *row = arena_try(&t->slice, x->ctx, t->n_origin * sizeof(*row) + 1, e);
	if (!row)
		return -1;
	for (size_t k = 0; k < t->n_origin; k++)
		row[k] = SIZE_MAX; /* none yet */
	for (size_t g = 0; g < t->n_heaps; g++) {
		const struct heaps *h = &t->heaps[g];
		if (ctx_check(x->ctx, e) < 0)
			return -1;
		for (uint32_t i = 0; i < n; i++)
			for (uint32_t k = 0; k < h->n[i]; k++) {
				const struct ranked *c =
					&h->cell[(size_t)i * h->room + k];
				size_t *at = &row[c->row];
				if (*at == SIZE_MAX &&
				    result_row(t, x, &t->origin[c->row], at, e) < 0)
					return -1;
				struct row *r = &t->rows.row[*at];
				r->v[from + i] = c->v;
				bit_set(r->bits, from + i);
			}
	}
	return 0;
}

static int read_slice(struct op_topk *t, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	groups_clear(&t->groups);
	arena_reset(&t->slice);
	t->n_heaps = t->n_origin = 0;
	while ((rc = op_next(t->op.in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			if (offer_row(t, x, &b->row[k], e) < 0)
				return -1;
	return rc;
}

static int topk_all(struct op_topk *t, struct exec *x, struct err *e)
{
	bool none;
	int rc;
	if (aggr_param_read(x, t->op.expr, t->op.grid, &t->param, e) < 0 ||
	    aggr_param_counts(x, &t->param, t->op.in[0], &t->k, &none, e) < 0)
		return -1;
	if (none)
		return 0;
	while ((rc = slices_next(&t->slices, x, e)) > 0) {
		if (read_slice(t, x, e) < 0)
			return -1;
		if (slices_outgrown(&t->slices))
			continue;
		if (t->op.grid.n == 1)
			return emit_ranked(t, x, e);
		if (emit_slice(t, x, e) < 0)
			return -1;
	}
	t->out = (struct batch){ t->rows.row, t->rows.n };
	return rc;
}

static int topk_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_topk *t = (struct op_topk *)op;
	if (t->done)
		return 0;
	t->done = true;
	if (topk_all(t, x, e) < 0)
		return -1;
	*out = &t->out;
	return t->out.n != 0;
}

static void topk_close(struct op *op)
{
	struct op_topk *t = (struct op_topk *)op;
	groups_deinit(&t->groups);
	arena_deinit(&t->slice);
	row_set_deinit(&t->rows);
	free(t->heaps);
	free(t->origin);
}

static const struct op_ops topk_ops = { "topk", NULL, topk_next, topk_close };

int op_topk_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err)
{
	struct op_topk *t = op_alloc(x, sizeof(*t), &topk_ops, g, TYPE_VECTOR, e);
	groups_init(&t->groups, x, e);
	arena_init(&t->slice, x->ctx->budget);
	t->groups.arena = &t->slice;
	row_set_init(&t->rows, g.n);
	t->high = e->aggr.op == AGG_BOTTOMK;
	*out = &t->op;
	if (aggr_param_plan(x, e, g, &t->param, err) < 0 ||
	    aggr_input_plan(x, e, g, &t->op.in[0], err) < 0)
		return -1;
	slices_init(&t->slices, t->op.in[0]);
	t->op.unique = t->op.in[0]->unique;
	t->op.nameless = t->op.in[0]->nameless;
	return 0;
}
