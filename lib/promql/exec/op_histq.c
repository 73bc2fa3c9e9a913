/*
 * promql/exec/op_histq.c - histogram_quantile, histogram_quantiles, histogram_fraction over native and classic histograms.
 *
 * Native histograms are asked as their rows come; of classic ones the bucket rows are held by group (labels without le) until
 * the input has ended, then each group is asked step by step. A step at which a group has both kinds has no result.
 *
 * Source  prometheus.md §2.6, §2.8; texts as Prometheus'
 */
#include "promql/exec/histq_int.h"

#include <math.h>
#include <stdlib.h>

#include "base/vec.h"
#include "wire/num.h"

/* ---- groups ---- */

static int group_of(struct op_histq *o, struct exec *x, struct labels ls, bool without_le,
		    struct hgroup **out, struct err *e)
{
	static const struct str le = { "le", 2 };
	struct label few[64], *tmp = few;
	if (ls.n > ARRAY_LEN(few))
		tmp = xmalloc(ls.n * sizeof(*tmp));
	struct labels key = ls;
	if (without_le)
		key = labels_drop(tmp, ls, &le, 1);
	key.hash = 0;
	uint64_t h = labels_hash(key);
	uintptr_t at = 0;
	int rc = 0;
	(void)map64_get(&o->index, h, &at);
	struct hgroup *g = (struct hgroup *)at;
	while (g && !labels_eq(g->labels, key))
		g = g->next;
	if (!g) {
		g = ARENA_NEW(x->arena, struct hgroup);
		rc = labels_try_dup(x->arena, x->ctx, key, &g->labels, e);
		g->next = (struct hgroup *)at;
		map64_set(&o->index, h, (uintptr_t)g);
		if (o->n_group == o->cap_group)
			o->group = vec_grow(o->group, &o->cap_group, o->n_group + 1,
					    sizeof(*o->group));
		o->group[o->n_group++] = g;
	}
	if (tmp != few)
		free(tmp);
	*out = g;
	return rc;
}

/* ---- native histograms ---- */

static double ask_native(struct op_histq *o, const struct hist *h, uint32_t i, size_t k,
			 unsigned *notes)
{
	if (o->fraction)
		return hist_fraction(h, o->param[0].v[i], o->param[1].v[i], notes);
	return hist_quantile(h, o->param[k].v[i], notes);
}

static int native_rows(struct op_histq *o, struct exec *x, struct hgroup *g,
		       struct err *e)
{
	if (g->native)
		return 0;
	g->native = arena_try(x->arena, x->ctx, o->n_answers * sizeof(*g->native), e);
	for (size_t k = 0; g->native && k < o->n_answers; k++)
		if (row_new(x, x->arena, o->op.grid.n, false, &g->native[k], e) < 0)
			return -1;
	return g->native ? 0 : -1;
}

static int collect_native(struct op_histq *o, struct exec *x, const struct row *r,
			  struct err *e)
{
	struct hgroup *g;
	unsigned notes = 0;
	if (group_of(o, x, r->labels, false, &g, e) < 0 || native_rows(o, x, g, e) < 0)
		return -1;
	g->drop_name |= r->drop_name;
	EACH_BIT(i, r->bits, o->op.grid.n)
	for (size_t k = 0; r->h[i] && k < o->n_answers; k++) {
		g->native[k].v[i] = ask_native(o, r->h[i], i, k, &notes);
		bit_set(g->native[k].bits, i);
	}
	histq_say_notes(o, x, r->labels, notes);
	return 0;
}

/* ---- classic ones ---- */

/* The row's floats alone; false: it has none. */
static bool floats_of_row(struct exec *x, struct row *r, uint32_t n)
{
	if (!r->h)
		return true;
	uint64_t *bits = arena_alloc(x->arena, BITS_WORDS(n) * 8);
	memcpy(bits, r->bits, BITS_WORDS(n) * 8);
	EACH_BIT(i, bits, n)
	if (r->h[i])
		bit_clear(bits, i);
	r->bits = bits;
	r->h = NULL;
	return bits_any(bits, n);
}

static int collect_row(struct op_histq *o, struct exec *x, const struct row *in,
		       struct err *e)
{
	struct hgroup *g;
	struct row r = *in;
	double upper;
	struct str le = labels_get(r.labels, STR("le"));
	if (in->h && collect_native(o, x, in, e) < 0)
		return -1;
	if (!floats_of_row(x, &r, o->op.grid.n))
		return 0;
	if (!str_to_f64(le, &upper)) {
		histq_say_bad_le(o, x, r.labels, le);
		return 0;
	}
	if (group_of(o, x, r.labels, true, &g, e) < 0)
		return -1;
	struct bucket_row *b = ARENA_NEW(x->arena, struct bucket_row);
	b->upper = upper;
	if (row_copy(x, x->arena, o->op.grid.n, &r, &b->row, e) < 0)
		return -1;
	b->next = g->rows;
	b->order = (uint32_t)g->n++;
	g->rows = b;
	g->drop_name |= r.drop_name;
	o->max_rows = MAX(o->max_rows, g->n);
	return 0;
}

static int by_upper(const void *a, const void *b, void *arg)
{
	const struct bucket_row *x = *(struct bucket_row *const *)a,
				*y = *(struct bucket_row *const *)b;
	(void)arg;
	if (x->upper != y->upper)
		return x->upper > y->upper ? 1 : -1;
	return (x->order > y->order) - (x->order < y->order);
}

static void sort_rows(struct op_histq *o, const struct hgroup *g)
{
	size_t n = 0;
	for (struct bucket_row *b = g->rows; b; b = b->next)
		o->sorted[n++] = b;
	vec_sort(o->sorted, n, sizeof(*o->sorted), by_upper, NULL);
}

static double ask_classic(struct op_histq *o, struct exec *x, const struct hgroup *g,
			  uint32_t i, size_t k, size_t n)
{
	struct forced f;
	if (o->fraction)
		return classic_fraction(o->param[0].v[i], o->param[1].v[i], o->bkt, n);
	double v = classic_quantile(o->param[k].v[i], o->bkt, n, &f);
	if (f.any)
		histq_note_forced(o, x, g->labels, grid_at(o->op.grid, i), &f);
	return v;
}

/* ---- results ---- */

static size_t gather(struct op_histq *o, const struct hgroup *g, uint32_t i)
{
	size_t n = 0;
	for (size_t j = 0; j < g->n; j++)
		if (bit_get(o->sorted[j]->row.bits, i))
			o->bkt[n++] = (struct bkt){ o->sorted[j]->upper,
						    o->sorted[j]->row.v[i] };
	return n;
}

/* The answer k of a group, over all steps. */
static int eval_answer(struct op_histq *o, struct exec *x, const struct hgroup *g,
		       size_t k, struct row *out, struct err *e)
{
	uint32_t n = o->op.grid.n;
	if (row_new(x, x->arena, n, false, out, e) < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++) {
		bool native = g->native && bit_get(g->native[k].bits, i);
		size_t buckets = gather(o, g, i);
		if (native && buckets) {
			histq_say_mixed(o, x, g->labels);
			continue;
		}
		if (!native && !buckets)
			continue;
		out->v[i] =
			native ? g->native[k].v[i] : ask_classic(o, x, g, i, k, buckets);
		bit_set(out->bits, i);
	}
	out->drop_name = g->drop_name;
	return bits_any(out->bits, n);
}

static int add_row(struct op_histq *o, struct exec *x, size_t k, const struct row *r,
		   struct err *e)
{
	if (o->n_rows == o->cap_rows)
		o->rows =
			vec_grow(o->rows, &o->cap_rows, o->n_rows + 1, sizeof(*o->rows));
	o->rows[o->n_rows].k = k;
	struct row *to = &o->rows[o->n_rows++].row;
	*to = *r;
	if (labels_try_dup(x->arena, x->ctx, r->labels, &to->labels, e) < 0)
		return -1;
	row_drop_name(x, to);
	return 0;
}

/* A label more, in order; one of this name is replaced. */
static struct labels with_label(struct label *to, struct labels ls, struct str name,
				struct str value)
{
	struct labels r = labels_drop(to, ls, &name, 1);
	uint32_t at = 0;
	while (at < r.n && str_cmp(to[at].name, name) < 0)
		at++;
	memmove(to + at + 1, to + at, (r.n - at) * sizeof(*to));
	to[at] = (struct label){ name, value };
	return (struct labels){ to, r.n + 1, 0 };
}

/* One row for each value that the quantile has over the steps: it is in the labels. */
static int add_labelled(struct op_histq *o, struct exec *x, const struct hgroup *g,
			size_t k, const struct row *all, struct err *e)
{
	uint32_t n = o->op.grid.n, i;
	struct row left = *all;
	const double *q = o->param[k].v;
	struct label *l = arena_try(x->arena, x->ctx, (g->labels.n + 1) * sizeof(*l), e);
	if (!l)
		return -1;
	while ((i = bits_next(left.bits, 0, n)) < n) {
		char text[NUM_MAX];
		size_t len = num_f64_openmetrics(text, q[i]);
		struct row r = left;
		r.labels = with_label(l, g->labels, o->label, (struct str){ text, len });
		r.bits = arena_try(x->arena, x->ctx, BITS_WORDS(n) * 8, e);
		if (!r.bits)
			return -1;
		memset(r.bits, 0, BITS_WORDS(n) * 8);
		EACH_BIT(j, left.bits, n)
		if (q[j] == q[i] || (isnan(q[j]) && isnan(q[i]))) {
			bit_set(r.bits, j);
			if (j != i)
				bit_clear(left.bits, j);
		}
		bit_clear(left.bits, i);
		if (add_row(o, x, k, &r, e) < 0)
			return -1;
	}
	return 0;
}

/*
 * The same quantile asked for twice gives equal labels. An instant query whose names are dropped at its end notices that only
 * then, if anything of it is left.
 */
static int check_twins(struct op_histq *o, struct exec *x, size_t first, struct err *e)
{
	if (x->q->delayed_names && x->q->step_ms == 0)
		return 0;
	for (size_t i = first; i < o->n_rows; i++)
		for (size_t j = first; j < i; j++)
			for (size_t w = 0; w < BITS_WORDS(o->op.grid.n); w++)
				if (o->rows[i].row.bits[w] & o->rows[j].row.bits[w] &&
				    labels_eq(o->rows[i].row.labels,
					      o->rows[j].row.labels))
					return err_set(x->ctx, e, E_EXEC, DUP_LABELSET);
	return 0;
}

static int eval_group(struct op_histq *o, struct exec *x, const struct hgroup *g,
		      struct err *e)
{
	size_t first = o->n_rows;
	sort_rows(o, g);
	for (size_t k = 0; k < o->n_answers; k++) {
		struct row r;
		int rc = eval_answer(o, x, g, k, &r, e);
		if (rc > 0) {
			r.labels = g->labels;
			rc = o->label.p ? add_labelled(o, x, g, k, &r, e)
					: add_row(o, x, k, &r, e);
		}
		if (rc < 0)
			return -1;
	}
	return o->label.p ? check_twins(o, x, first, e) : 0;
}

/* ---- the operator ---- */

/* All series of the first quantile, then all of the second. */
static int show_rows(struct op_histq *o, struct exec *x, struct err *e)
{
	struct row *rows = arena_try(x->arena, x->ctx, o->n_rows * sizeof(*rows) + 1, e);
	size_t n = 0;
	if (!rows)
		return -1;
	for (size_t k = 0; k < o->n_answers; k++)
		for (size_t i = 0; i < o->n_rows; i++)
			if (o->rows[i].k == k)
				rows[n++] = o->rows[i].row;
	o->out = (struct batch){ rows, n };
	return 0;
}

static int histq_all(struct op_histq *o, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	for (size_t k = 0; k < o->n_params; k++)
		if (op_scalar(o->param_op[k], x, &o->param[k], e) < 0)
			return -1;
	while ((rc = op_next(o->op.in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			if (collect_row(o, x, &b->row[k], e) < 0)
				return -1;
	if (rc < 0)
		return -1;
	if (!o->fraction)
		histq_warn_quantiles(o, x);
	o->bkt = arena_try(x->arena, x->ctx, o->max_rows * sizeof(*o->bkt) + 1, e);
	o->sorted = arena_try(x->arena, x->ctx, o->max_rows * sizeof(*o->sorted) + 1, e);
	if (!o->bkt || !o->sorted)
		return -1;
	for (size_t k = 0; k < o->n_group; k++)
		if (eval_group(o, x, o->group[k], e) < 0)
			return -1;
	histq_say_forced(o, x);
	return show_rows(o, x, e);
}

static int histq_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_histq *o = (struct op_histq *)op;
	if (o->done)
		return 0;
	o->done = true;
	if (histq_all(o, x, e) < 0)
		return -1;
	*out = &o->out;
	return o->out.n != 0;
}

static void histq_close(struct op *op)
{
	struct op_histq *o = (struct op_histq *)op;
	map64_deinit(&o->index);
	free(o->group);
	free(o->rows);
}

static const struct op_ops histq_ops = { "histogram-quantile", NULL, histq_next,
					 histq_close };

int op_histq_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err)
{
	struct op_histq *o = op_alloc(x, sizeof(*o), &histq_ops, g, TYPE_VECTOR, e);
	map64_init(&o->index);
	o->fraction = e->call.fn == FN_ID_histogram_fraction;
	x->in_buckets++;
	*out = &o->op;
	for (size_t i = 0; i < e->call.n; i++) {
		const struct expr *arg = expr_strip(e->call.arg[i]);
		struct op **to = &o->op.in[0];
		if (arg->type == TYPE_STRING) {
			o->label = arg->str;
			continue;
		}
		if (arg->type == TYPE_SCALAR) {
			if (o->n_params == ARRAY_LEN(o->param))
				return err_set(x->ctx, err, E_EXEC, "too many quantiles");
			o->param_expr[o->n_params] = arg;
			to = &o->param_op[o->n_params++];
		} else {
			o->vector = arg;
		}
		if (plan_expr(x, e->call.arg[i], g, to, err) < 0)
			return -1;
	}
	x->in_buckets--;
	o->n_answers = o->fraction ? 1 : o->n_params;
	return op_unique_of(x, &o->op, &o->op, out);
}
