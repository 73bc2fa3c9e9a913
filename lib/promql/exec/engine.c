/*
 * promql/exec/engine.c - one query from plan to answer: build the operators, start the selectors, pull the
 * root, collect its rows by labels, turn them into series, sort.
 */
#include "promql/exec/held.h"
#include "promql/exec/select_int.h"
#include "promql/exec/start_time.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "base/vec.h"

static void close_all(struct exec *x)
{
	while (x->n_ops) {
		struct op *op = x->ops[--x->n_ops];
		if (op->ops->close)
			op->ops->close(op);
	}
	free(x->ops);
}

int op_drain(struct op *op, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	while ((rc = op_next(op, x, &b, e)) > 0)
		if (ctx_check(x->ctx, e) < 0)
			return -1;
	return rc;
}

int op_fails_before(struct op *first, struct exec *x, struct err *e)
{
	struct err own = ERR_INIT;
	if (e->code == E_EXEC && op_drain(first, x, &own) < 0)
		err_copy(x->ctx, e, &own);
	return -1;
}

/* Send all requests before the first answer is waited for; the rest open when they are read. */
static int prepare_all(struct exec *x, struct err *e)
{
	for (size_t i = 0; i < x->n_ops; i++)
		if (x->ops[i]->ops->prepare &&
		    x->ops[i]->ops->prepare(x->ops[i], x, e) < 0)
			return -1;
	return 0;
}

/* The times of the root's grid, which every row without a gap shares. */
static const int64_t *grid_times(struct exec *x, struct grid g, struct err *e)
{
	if (x->grid_t)
		return x->grid_t;
	int64_t *t = arena_try(x->arena, x->ctx, g.n * sizeof(*t), e);
	for (uint32_t i = 0; t && i < g.n; i++)
		t[i] = grid_at(g, i);
	return x->grid_t = t;
}

static int row_to_series(struct exec *x, struct grid g, struct row *r,
			 struct promql_series *s, struct err *e)
{
	uint32_t n = 0, first = g.n, last = 0;
	bool hists = false;
	for (uint32_t w = 0; w < BITS_WORDS(g.n); w++) {
		uint64_t word = r->bits[w];
		if (!word)
			continue;
		first = MIN(first, w * 64 + (uint32_t)__builtin_ctzll(word));
		last = w * 64 + 63 - (uint32_t)__builtin_clzll(word);
		n += (uint32_t)__builtin_popcountll(word);
	}
	if (n == last - first + 1) { /* no gap: all rows share the times of the grid */
		const int64_t *all = grid_times(x, g, e);
		const struct hist *const *h = r->h ? r->h + first : NULL;
		for (uint32_t i = 0; h && i < n && !hists; i++)
			hists = h[i] != NULL;
		*s = (struct promql_series){ .labels = r->labels, .n = n };
		s->t_ms = all ? all + first : NULL;
		s->v = r->v + first;
		s->h = hists ? h : NULL;
		return all ? 0 : -1;
	}
	int64_t *t = arena_try(x->arena, x->ctx, n * sizeof(*t), e);
	if (!t)
		return -1;
	uint32_t k = 0;
	EACH_BIT(i, r->bits, g.n)
	{ /* compacted in place: k never passes i */
		t[k] = grid_at(g, i);
		r->v[k] = r->v[i];
		if (r->h) {
			r->h[k] = r->h[i];
			hists |= r->h[k] != NULL;
		}
		k++;
	}
	*s = (struct promql_series){ r->labels, n, t, r->v, hists ? r->h : NULL };
	return 0;
}

struct sorting {
	struct ctx *ctx;
	uint32_t looked;
	int rc;
	struct err *e;
};

/* Once the query is over all are equal, and the sorting of millions ends soon. */
static int by_labels(const void *a, const void *b, void *arg)
{
	struct sorting *s = arg;
	if ((++s->looked & 4095) == 0 && s->rc == 0)
		s->rc = ctx_check(s->ctx, s->e);
	if (s->rc < 0)
		return 0;
	return labels_cmp(((const struct promql_series *)a)->labels,
			  ((const struct promql_series *)b)->labels);
}

int result_sort(struct exec *x, struct promql_result *out, struct err *e)
{
	struct sorting by = { .ctx = x->ctx, .e = e };
	vec_sort(out->series, out->n, sizeof(*out->series), by_labels, &by);
	return by.rc;
}

static int collect(struct exec *x, struct op *root, struct promql_result *out,
		   struct err *e)
{
	struct row_set set;
	struct batch *b;
	int rc;
	row_set_init(&set, root->grid.n);
	while ((rc = op_next(root, x, &b, e)) > 0) {
		for (size_t k = 0; k < b->n && rc > 0; k++)
			if (row_set_add(x, &set, &b->row[k], DUP_LABELSET, e) < 0)
				rc = -1;
		if (rc < 0)
			break;
	}
	if (rc == 0)
		rc = row_set_cut_names(x, &set, DUP_LABELSET, e);
	if (rc == 0) {
		out->series =
			arena_try(x->arena, x->ctx, set.n * sizeof(*out->series) + 1, e);
		rc = out->series ? 0 : -1;
	}
	for (size_t k = 0; k < set.n && rc == 0; k++) {
		if (bits_any(set.row[k].bits, root->grid.n))
			rc = row_to_series(x, root->grid, &set.row[k],
					   &out->series[out->n++], e);
		if (rc == 0 && (k & 1023) == 1023)
			rc = ctx_check(x->ctx, e);
	}
	row_set_deinit(&set);
	out->eval_ns = time_mono_ns() - x->started_ns;
	if (rc == 0 && x->q->step_ms != 0) {
		rc = result_sort(x, out, e);
		out->sort_ns = time_mono_ns() - x->started_ns - out->eval_ns;
	}
	return rc;
}

static struct grid query_grid(const struct promql_query *q)
{
	struct grid g = { q->start_ms, q->step_ms, 1 };
	if (q->step_ms > 0)
		g.n = (uint32_t)((q->end_ms - q->start_ms) / q->step_ms) + 1;
	return g;
}

static int run(struct exec *x, struct promql_result *out, struct err *e)
{
	const struct promql_query *q = x->q;
	const struct expr *root_expr = q->expr;
	while (root_expr->kind == EXPR_PAREN)
		root_expr = root_expr->inner;
	out->t_ms = q->start_ms;
	struct grid g = query_grid(q);
	if (held_plan(x, g, e) < 0 || samples_enter(x, false, g.n, e) < 0)
		return -1;
	if (root_expr->type == TYPE_STRING) {
		out->type = TYPE_STRING;
		out->string = root_expr->str;
		return 0;
	}
	if (root_expr->type == TYPE_MATRIX)
		return matrix_exec(x, root_expr, out, e);
	struct op *root;
	uint64_t start = time_mono_ns();
	if (plan_expr(x, q->expr, g, &root, e) < 0)
		return -1;
	x->root = root;
	if (prepare_all(x, e) < 0)
		return -1;
	x->started_ns = time_mono_ns();
	out->prepare_ns = x->started_ns - start;
	out->type = q->step_ms > 0 ? TYPE_MATRIX : root->type;
	return collect(x, root, out, e);
}

/* Which part of the query passed the limit, and how much had been read for all of it by then. */
static void name_limit(struct exec *x, struct err *e)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	if (x->failed)
		plan_print(x->failed, &b);
	else
		promql_print(x->q->expr, &b);
	struct str text = str_n((const char *)b.p, MIN(b.n, (size_t)400));
	char *said = strdup(err_text(e)), limit[80] = "";
	if (x->held_over)
		snprintf(limit, sizeof(limit),
			 " (limit of %llu set by --query.max-samples)",
			 (unsigned long long)x->q->max_samples);
	err_set(x->ctx, e, E_LIMIT,
		"%s%s in %.*s%s, after %llu series and %llu chunks of %llu bytes were read",
		said ? said : "", limit, STR_FMT(text), text.n < b.n ? "..." : "",
		(unsigned long long)x->read.series, (unsigned long long)x->read.chunks,
		(unsigned long long)x->read.bytes);
	free(said);
	buf_deinit(&b);
}

int promql_exec(struct ctx *ctx, struct arena *a, const struct promql_query *q,
		struct promql_result *out, struct err *e)
{
	struct exec x = { .ctx = ctx, .q = q, .arena = a };
	struct promql_result result = { 0 };
	x.started_ns = time_mono_ns();
	annos_init(&x.annos);
	map64_init(&x.held_by_expr);
	int rc = run(&x, &result, e);
	if (rc == 0)
		rc = held_check(&x, e);
	if (rc == 0 && q->analyze && x.root)
		rc = plan_show(&x, x.root, &result.plan, e);
	close_all(&x);
	if (!result.eval_ns)
		result.eval_ns = time_mono_ns() - x.started_ns;
	start_overlaps_say(&x);
	annos_tell(&x);
	annos_deinit(&x.annos);
	const struct sample_count *count = samples_total(&x);
	result.samples_peak = held_peak(&x);
	map64_deinit(&x.held_by_expr);
	if (count) {
		result.samples_total = count->n;
		result.samples_read = count->read;
		result.samples_by_step = count->by_step;
		result.read_by_step = count->read_by_step;
		result.n_steps = count->steps;
	}
	result.series_read = x.read.series;
	result.chunks_read = x.read.chunks;
	result.bytes_read = x.read.bytes;
	notes_samples(ctx->notes, result.samples_total);
	if (rc < 0) {
		result.series = NULL;
		result.n = 0;
		if (e->code == E_LIMIT)
			name_limit(&x, e);
	}
	*out = result;
	return rc;
}

int promql_explain(struct ctx *ctx, struct arena *a, const struct promql_query *q,
		   struct promql_plan **out, struct err *e)
{
	struct exec x = { .ctx = ctx, .q = q, .arena = a };
	const struct expr *top = q->expr;
	struct op *root;
	int rc = -1;
	while (top->kind == EXPR_PAREN)
		top = top->inner;
	if (top->type == TYPE_STRING || top->type == TYPE_MATRIX) {
		*out = ARENA_NEW(a, struct promql_plan);
		(*out)->name = top->kind == EXPR_MATRIX	  ? STR("[samples]")
			       : top->type == TYPE_STRING ? STR("[string]")
							  : STR("[subquery]");
		return 0;
	}
	annos_init(&x.annos);
	struct grid g = query_grid(q);
	if (samples_enter(&x, false, g.n, e) == 0 &&
	    plan_expr(&x, q->expr, g, &root, e) == 0)
		rc = plan_show(&x, root, out, e);
	close_all(&x);
	annos_deinit(&x.annos);
	return rc;
}
