/*
 * promql/exec/op_subquery.c - a range function over a subquery: the inner expression is evaluated on a grid
 * of its own (absolute multiples of the subquery's step), and each of its rows becomes the columns that the
 * function slides over.
 */
#include "promql/exec/exec_int.h"
#include "promql/exec/held.h"

#include <stdlib.h>

struct op_subquery {
	struct op op;
	const struct range_fn *fn;
	struct range_call call;
	struct range_params params;
	bool drop_name;
	struct sample_count *count;
	struct held *held;
	struct sample_tally tally; /* of one row */
	struct arena arena;	   /* rows and columns of the current batch */
	struct row_set set;	   /* inner rows, where equal labels may come twice */
	bool collected;
	size_t at;
	struct batch one, out;
};

/*
 * What a histogram says about a reset is about the sample before it, which may not be among those of the subquery, or may be
 * there twice: it is looked for anew.
 */
static const struct hist *without_hint(struct arena *a, struct exec *x,
				       const struct hist *h, struct err *e)
{
	if (!h || (h->hint != HIST_RESET && h->hint != HIST_NOT_RESET))
		return h;
	struct hist *to = arena_try(a, x->ctx, sizeof(*to), e);
	if (!to)
		return NULL;
	*to = *h;
	to->hint = HIST_UNKNOWN;
	return to;
}

static int row_to_cols(struct op_subquery *s, struct exec *x, const struct row *r,
		       struct series_cols *c, struct err *e)
{
	uint32_t n = s->op.in[0]->grid.n;
	int64_t *t = arena_try(&s->arena, x->ctx, n * sizeof(*t), e);
	double *v = t ? arena_try(&s->arena, x->ctx, n * sizeof(*v), e) : NULL;
	const struct hist **h = NULL;
	if (!v || (r->h && !(h = arena_try(&s->arena, x->ctx, n * sizeof(*h), e))))
		return -1;
	size_t k = 0;
	EACH_BIT(i, r->bits, n)
	{
		t[k] = grid_at(s->op.in[0]->grid, i);
		v[k] = r->v[i];
		if (h && !(h[k] = without_hint(&s->arena, x, r->h[i], e)) && r->h[i])
			return -1;
		k++;
	}
	*c = (struct series_cols){ .t_ms = t, .v = v, .h = h, .n = k };
	return 0;
}

/* The next rows of the inner expression, merged by labels if it may show a label set twice. */
static int inner_next(struct op_subquery *s, struct exec *x, struct batch **out,
		      struct err *e)
{
	struct op *in = s->op.in[0];
	int rc;
	if (in->unique)
		return op_next(in, x, out, e);
	if (!s->collected) {
		while ((rc = op_next(in, x, out, e)) > 0)
			for (size_t k = 0; k < (*out)->n; k++)
				if (row_set_add(x, &s->set, &(*out)->row[k], DUP_LABELSET,
						e) < 0)
					return -1;
		if (rc < 0)
			return -1;
		s->collected = true;
	}
	if (s->at == s->set.n)
		return 0;
	s->one = (struct batch){ &s->set.row[s->at++], 1 };
	*out = &s->one;
	return 1;
}

static int eval_row(struct op_subquery *s, struct exec *x, const struct row *in,
		    struct row *row, struct err *e)
{
	struct series_cols cols;
	if (row_to_cols(s, x, in, &cols, e) < 0 ||
	    row_new(x, &s->arena, s->op.grid.n, cols.h != NULL, row, e) < 0)
		return -1;
	struct range_env env = { .x = x,
				 .arena = &s->arena,
				 .metric = labels_get(in->labels, LABEL_NAME),
				 .e = e };
	struct range_call call = s->call;
	struct held_windows windows = { 0 };
	call.tally = &s->tally;
	s->tally = (struct sample_tally){ 0 };
	if ((s->count->by_step &&
	     tally_by_step(x, &s->arena, s->op.grid.n, &s->tally, e) < 0) ||
	    tally_series(x, &s->arena, &cols, &call, e) < 0 ||
	    s->fn->eval(&call, &cols, &env, row) < 0)
		return -1;
	s->tally.read = 0; /* its own samples were counted as the subquery read them */
	s->tally.read_by_step = NULL;
	samples_add(s->count, &s->tally, 0, s->op.grid.n);
	held_series(&windows, &s->tally, s->op.grid.n, row);
	if (held_add_windows(x, s->held, &windows, e) < 0)
		return -1;
	if (range_wants_counter(call.call))
		range_note_counter(x, &call, env.metric,
				   labels_get(in->labels, row_name_labels[1]), row);
	row->labels = labels_dup(&s->arena, in->labels);
	row->drop_name = in->drop_name;
	if (s->drop_name)
		row_drop_name(x, row);
	return bits_any(row->bits, s->op.grid.n);
}

static int sub_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_subquery *s = (struct op_subquery *)op;
	struct batch *in;
	if (range_params_read(x, &s->params, &s->call, e) < 0)
		return -1;
	for (;;) {
		int rc = inner_next(s, x, &in, e);
		if (rc <= 0)
			return rc;
		arena_reset(&s->arena);
		struct row *rows = arena_try(&s->arena, x->ctx, in->n * sizeof(*rows), e);
		if (!rows)
			return -1;
		size_t n = 0;
		for (size_t k = 0; k < in->n; k++) {
			rc = eval_row(s, x, &in->row[k], &rows[n], e);
			if (rc < 0)
				return -1;
			n += rc > 0;
		}
		if (n == 0)
			continue;
		s->out = (struct batch){ rows, n };
		*out = &s->out;
		return 1;
	}
}

static void sub_close(struct op *op)
{
	struct op_subquery *s = (struct op_subquery *)op;
	row_set_deinit(&s->set);
	arena_deinit(&s->arena);
}

static const struct op_ops sub_ops = { "subquery", NULL, sub_next, sub_close };

static int64_t floor_div(int64_t a, int64_t b)
{
	int64_t q = a / b;
	return q - (a % b < 0);
}

int subquery_check(struct exec *x, struct grid g, struct err *e)
{
	if (g.n <= SUBQUERY_STEPS_MAX)
		return 0;
	return err_set(x->ctx, e, E_LIMIT, "subquery of more than %u steps",
		       SUBQUERY_STEPS_MAX);
}

struct grid subquery_grid(const struct exec *x, const struct expr *sub,
			  const struct range_call *c)
{
	int64_t step = sub->sub.step_ms		? sub->sub.step_ms
		       : x->q->subquery_step_ms ? x->q->subquery_step_ms
						: 60000;
	int64_t from = range_ref(c, 0) - c->range_ms, to = range_ref(c, c->grid.n - 1);
	int64_t first = (floor_div(from, step) + 1) *
			step; /* strictly after the window's start */
	struct grid g = { first, step, 0 };
	if (first <= to)
		g.n = (uint32_t)MIN((to - first) / step + 1,
				    (int64_t)SUBQUERY_STEPS_MAX + 1);
	return g;
}

void subquery_window(const struct exec *x, const struct expr *sub, struct grid g,
		     struct range_call *out)
{
	int64_t at = sub->sub.at == AT_START ? x->q->start_ms
		     : sub->sub.at == AT_END ? x->q->end_ms
					     : sub->sub.at_ms;
	*out = (struct range_call){ .grid = g,
				    .ctx = x->ctx,
				    .range_ms = sub->sub.range_ms,
				    .offset_ms = sub->sub.offset_ms,
				    .fixed = sub->sub.at != AT_NONE,
				    .at_ms = at };
}

int op_subquery_new(struct exec *x, const struct expr *sub, const struct expr *call,
		    struct grid g, struct op **out, struct err *e)
{
	struct op_subquery *s = op_alloc(x, sizeof(*s), &sub_ops, g, TYPE_VECTOR, call);
	arena_init(&s->arena, x->ctx->budget);
	s->fn = range_fn_of(call->call.fn);
	if (range_params_plan(x, call, g, &s->params, e) < 0)
		return -1;
	s->drop_name = range_drops_name(call);
	subquery_window(x, sub, g, &s->call);
	s->call.call = call;
	s->call.at = range_place(x, call);
	s->count = x->count;
	s->held = held_of(x, call);
	struct grid inner = subquery_grid(x, sub, &s->call);
	if (subquery_check(x, inner, e) < 0)
		return -1;
	row_set_init(&s->set, inner.n);
	if (inner.n == 0) {
		*out = op_empty_new(x, call, g, NULL);
		return 0;
	}
	x->in_buckets++; /* resets are looked for in its own samples */
	if (samples_enter_subquery(x, inner, &s->call, e) < 0 ||
	    plan_expr(x, sub->sub.e, inner, &s->op.in[0], e) < 0)
		return -1;
	samples_leave(x);
	x->in_buckets--;
	*out = &s->op;
	if (!s->drop_name) {
		s->op.unique = true;
		s->op.nameless = s->op.in[0]->nameless;
		return 0;
	}
	return op_unique_of(x, &s->op, s->op.in[0], out);
}
