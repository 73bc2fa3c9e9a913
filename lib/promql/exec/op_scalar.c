/*
 * promql/exec/op_scalar.c - constants, time(), and the expansion of what does not depend on the step.
 */
#include "promql/exec/exec_int.h"

#include <math.h>

/* ---- rows made once: constants, time(), pi() ---- */

struct op_const {
	struct op op;
	struct row row;
	struct batch out;
	bool shown;
};

/* Go's Duration.Seconds: whole seconds plus the rest, which rounds otherwise than one division. */
static double seconds(int64_t ms)
{
	return (double)(ms / 1000) + (double)(ms % 1000 * 1000000) / 1e9;
}

/* pi(), and start(), end(), step(), range() of the whole query, also inside a subquery. */
static double window_value(const struct promql_query *q, enum fn_id fn)
{
	switch (fn) {
	case FN_ID_start: return (double)q->start_ms / 1000;
	case FN_ID_end: return (double)q->end_ms / 1000;
	case FN_ID_range: return seconds(q->end_ms - q->start_ms);
	case FN_ID_step: return q->start_ms == q->end_ms ? 0 : seconds(q->step_ms);
	default: return M_PI;
	}
}

static int const_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_const *c = (struct op_const *)op;
	uint32_t n = op->grid.n;
	if (c->shown)
		return 0;
	c->shown = true;
	if (row_new(x, x->arena, n, false, &c->row, e) < 0)
		return -1;
	const struct expr *ex = op->expr;
	bool is_time = ex->kind == EXPR_CALL && ex->call.fn == FN_ID_time;
	double v = ex->kind == EXPR_NUMBER ? ex->num : window_value(x->q, ex->call.fn);
	for (uint32_t i = 0; i < n; i++)
		c->row.v[i] = is_time ? (double)grid_at(op->grid, i) / 1000 : v;
	bits_fill(c->row.bits, n);
	c->out = (struct batch){ &c->row, 1 };
	*out = &c->out;
	return 1;
}

static const struct op_ops const_ops = { "const", NULL, const_next, NULL };

int op_const_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err)
{
	(void)err;
	struct op_const *c = op_alloc(x, sizeof(*c), &const_ops, g, TYPE_SCALAR, e);
	c->op.unique = c->op.nameless = true;
	*out = &c->op;
	return 0;
}

/* ---- min_of, max_of ---- */

static int pick_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_const *c = (struct op_const *)op;
	struct row l, r;
	if (c->shown)
		return 0;
	c->shown = true;
	if (op_scalar(op->in[0], x, &l, e) < 0 || op_scalar(op->in[1], x, &r, e) < 0)
		return -1;
	for (uint32_t i = 0; i < op->grid.n; i++)
		l.v[i] = op->expr->call.fn == FN_ID_max_of ? go_max(l.v[i], r.v[i])
							   : go_min(l.v[i], r.v[i]);
	c->row = l;
	c->out = (struct batch){ &c->row, 1 };
	*out = &c->out;
	return 1;
}

static const struct op_ops pick_ops = { "pick", NULL, pick_next, NULL };

int op_pick_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err)
{
	struct op_const *c = op_alloc(x, sizeof(*c), &pick_ops, g, TYPE_SCALAR, e);
	c->op.unique = c->op.nameless = true;
	*out = &c->op;
	for (int i = 0; i < 2; i++)
		if (plan_expr(x, e->call.arg[i], g, &c->op.in[i], err) < 0)
			return -1;
	return 0;
}

/* The one row of a scalar operator, copied to the request arena. */
int op_scalar(struct op *op, struct exec *x, struct row *out, struct err *e)
{
	struct batch *b;
	int rc = op_next(op, x, &b, e);
	if (rc < 0)
		return -1;
	BUG_ON(rc == 0 || b->n != 1 || op->type != TYPE_SCALAR);
	return row_copy(x, x->arena, op->grid.n, &b->row[0], out, e);
}

/* ---- expand: one step's rows repeated over the grid ---- */

#define EXPAND_BYTES ((size_t)1 << 20)
struct op_expand {
	struct op op;
	struct arena arena; /* rows of the current slice */
	struct batch *in;
	size_t at; /* rows of `in` already expanded */
	struct batch out;
};

static int expand_row(struct exec *x, struct op_expand *o, const struct row *in,
		      struct row *out, struct err *e)
{
	uint32_t n = o->op.grid.n;
	if (row_new(x, &o->arena, n, in->h != NULL, out, e) < 0)
		return -1;
	out->labels = in->labels;
	out->drop_name = in->drop_name;
	if (!bit_get(in->bits, 0))
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		out->v[i] = in->v[0];
		if (in->h)
			out->h[i] = in->h[0];
	}
	bits_fill(out->bits, n);
	return 0;
}

/* A batch of one-step rows may hold thousands: it is expanded in slices of about 1 MiB. */
static int expand_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_expand *o = (struct op_expand *)op;
	size_t slice = EXPAND_BYTES / ((size_t)op->grid.n * 8) + 1;
	if (!o->in || o->at == o->in->n) {
		int rc = op_next(op->in[0], x, &o->in, e);
		o->at = 0;
		if (rc <= 0) {
			o->in = NULL;
			return rc;
		}
	}
	size_t n = MIN(slice, o->in->n - o->at);
	arena_reset(&o->arena);
	struct row *rows = arena_try(&o->arena, x->ctx, n * sizeof(*rows), e);
	if (!rows)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (expand_row(x, o, &o->in->row[o->at + i], &rows[i], e) < 0)
			return -1;
	o->at += n;
	o->out = (struct batch){ rows, n };
	*out = &o->out;
	return 1;
}

static void expand_close(struct op *op)
{
	arena_deinit(&((struct op_expand *)op)->arena);
}

static const struct op_ops expand_ops = { "expand", NULL, expand_next, expand_close };

int op_expand_new(struct exec *x, struct op *in, struct grid g, struct op **out,
		  struct err *e)
{
	(void)e;
	struct op_expand *o = op_alloc(x, sizeof(*o), &expand_ops, g, in->type, in->expr);
	arena_init(&o->arena, x->ctx->budget);
	o->op.in[0] = in;
	o->op.wrapper = true;
	o->op.unique = in->unique;
	o->op.nameless = in->nameless;
	*out = &o->op;
	return 0;
}
