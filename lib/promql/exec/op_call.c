/*
 * promql/exec/op_call.c - functions of instant vectors: rows in, rows out, value by value; and the
 * dispatch of every call to its operator.
 */
#include "promql/exec/exec_int.h"

#include <math.h>

/* ---- maps: one value in, one out; histograms pass as the row says ---- */

struct map_args {
	double a, b; /* scalar arguments of this step */
};
typedef double map_fn(double v, const struct map_args *m);

static double f_abs(double v, const struct map_args *m)
{
	(void)m;
	return fabs(v);
}
static double f_sgn(double v, const struct map_args *m)
{
	(void)m;
	return v < 0 ? -1 : v > 0 ? 1 : v;
}
static double f_deg(double v, const struct map_args *m)
{
	(void)m;
	return v * 180 / M_PI;
}
static double f_rad(double v, const struct map_args *m)
{
	(void)m;
	return v * M_PI / 180;
}
static double f_round(double v, const struct map_args *m)
{
	double inverse = 1.0 / m->a; /* as Prometheus: precise for 0.1 and the like */
	return floor(v * inverse + 0.5) / inverse;
}
static double f_clamp(double v, const struct map_args *m)
{
	return go_max(m->a, go_min(m->b, v));
}
static double f_clamp_min(double v, const struct map_args *m)
{
	return go_max(m->a, v);
}
static double f_clamp_max(double v, const struct map_args *m)
{
	return go_min(m->a, v);
}
#define LIBM(name, fn)                                                                   \
	static double f_##name(double v, const struct map_args *m)                       \
	{                                                                                \
		(void)m;                                                                 \
		return fn(v);                                                            \
	}
LIBM(ceil, ceil)
LIBM(floor, floor)
LIBM(sqrt, sqrt)
LIBM(exp, exp)
LIBM(ln, log)
LIBM(log2, log2)
LIBM(log10, log10)
LIBM(sin, sin)
LIBM(cos, cos)
LIBM(tan, tan)
LIBM(asin, asin)
LIBM(acos, acos)
LIBM(atan, atan)
LIBM(sinh, sinh)
LIBM(cosh, cosh)
LIBM(tanh, tanh)
LIBM(asinh, asinh)
LIBM(acosh, acosh)
LIBM(atanh, atanh)

static const struct map_row {
	enum fn_id fn;
	map_fn *map;
	double default_a; /* round's second argument */
} maps[] = {
	{ FN_ID_abs, f_abs, 0 },
	{ FN_ID_ceil, f_ceil, 0 },
	{ FN_ID_floor, f_floor, 0 },
	{ FN_ID_round, f_round, 1 },
	{ FN_ID_clamp, f_clamp, 0 },
	{ FN_ID_clamp_min, f_clamp_min, 0 },
	{ FN_ID_clamp_max, f_clamp_max, 0 },
	{ FN_ID_sgn, f_sgn, 0 },
	{ FN_ID_deg, f_deg, 0 },
	{ FN_ID_rad, f_rad, 0 },
	{ FN_ID_sqrt, f_sqrt, 0 },
	{ FN_ID_exp, f_exp, 0 },
	{ FN_ID_ln, f_ln, 0 },
	{ FN_ID_log2, f_log2, 0 },
	{ FN_ID_log10, f_log10, 0 },
	{ FN_ID_sin, f_sin, 0 },
	{ FN_ID_cos, f_cos, 0 },
	{ FN_ID_tan, f_tan, 0 },
	{ FN_ID_asin, f_asin, 0 },
	{ FN_ID_acos, f_acos, 0 },
	{ FN_ID_atan, f_atan, 0 },
	{ FN_ID_sinh, f_sinh, 0 },
	{ FN_ID_cosh, f_cosh, 0 },
	{ FN_ID_tanh, f_tanh, 0 },
	{ FN_ID_asinh, f_asinh, 0 },
	{ FN_ID_acosh, f_acosh, 0 },
	{ FN_ID_atanh, f_atanh, 0 },
};

struct op_map {
	struct op op;
	const struct map_row *fn;
	struct op *arg[2]; /* scalar arguments; NULL: none */
	struct row arg_row[2];
	bool args_ready;
};

static int read_args(struct op_map *m, struct exec *x, struct err *e)
{
	for (int i = 0; i < 2 && !m->args_ready; i++)
		if (m->arg[i] && op_scalar(m->arg[i], x, &m->arg_row[i], e) < 0)
			return -1;
	m->args_ready = true;
	return 0;
}

static void map_row(struct op_map *m, struct row *r)
{
	bool is_clamp = m->fn->fn == FN_ID_clamp;
	uint32_t n = m->op.grid.n;
	EACH_BIT(i, r->bits, n)
	{
		if (r->h && r->h[i]) { /* these functions take floats only */
			bit_clear(r->bits, i);
			continue;
		}
		struct map_args a = { m->fn->default_a, 0 };
		if (m->arg[0])
			a.a = m->arg_row[0].v[i];
		if (m->arg[1])
			a.b = m->arg_row[1].v[i];
		if (is_clamp && a.a > a.b)
			bit_clear(r->bits, i);
		else
			r->v[i] = m->fn->map(r->v[i], &a);
	}
	r->h = NULL;
}

static int vmap_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_map *m = (struct op_map *)op;
	if (read_args(m, x, e) < 0)
		return -1;
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	struct batch *b = *out;
	size_t k = 0;
	for (size_t i = 0; i < b->n; i++) {
		struct row r = b->row[i];
		map_row(m, &r);
		row_drop_name(x, &r);
		if (bits_any(r.bits, op->grid.n))
			b->row[k++] = r;
	}
	b->n = k;
	return 1;
}

static const struct op_ops map_ops = { "map", NULL, vmap_next, NULL };

static int op_map_new(struct exec *x, const struct expr *e, const struct map_row *fn,
		      struct grid g, struct op **out, struct err *err)
{
	struct op_map *m = op_alloc(x, sizeof(*m), &map_ops, g, TYPE_VECTOR, e);
	m->fn = fn;
	if (plan_expr(x, e->call.arg[0], g, &m->op.in[0], err) < 0)
		return -1;
	for (size_t i = 1; i < e->call.n; i++)
		if (plan_expr(x, e->call.arg[i], g, &m->arg[i - 1], err) < 0)
			return -1;
	return op_unique_new(x, &m->op, out);
}

/* ---- vector(s) and scalar(v) ---- */

static int vector_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	return op_next(op->in[0], x, out, e);
}
static const struct op_ops vector_ops = { "vector", NULL, vector_next, NULL };

struct op_scalar_of {
	struct op op;
	struct row row;
	struct batch out;
	bool shown;
};

/* The value where exactly one series is present, NaN elsewhere. */
static int scalar_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_scalar_of *s = (struct op_scalar_of *)op;
	uint32_t n = op->grid.n;
	struct batch *b;
	int rc;
	if (s->shown)
		return 0;
	s->shown = true;
	uint8_t *count = arena_try(x->arena, x->ctx, n, e);
	if (!count || row_new(x, x->arena, n, false, &s->row, e) < 0)
		return -1;
	memset(count, 0, n);
	while ((rc = op_next(op->in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			EACH_BIT(i, b->row[k].bits, n)
			{
				if (b->row[k].h && b->row[k].h[i])
					continue;
				count[i] = count[i] ? 2 : 1;
				s->row.v[i] = b->row[k].v[i];
			}
	if (rc < 0)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (count[i] != 1)
			s->row.v[i] = NAN;
	bits_fill(s->row.bits, n);
	s->out = (struct batch){ &s->row, 1 };
	*out = &s->out;
	return 1;
}
static const struct op_ops scalar_ops = { "scalar", NULL, scalar_next, NULL };

/* ---- timestamp() of anything but a plain selector: the evaluation time ---- */

static int timestamp_next(struct op *op, struct exec *x, struct batch **out,
			  struct err *e)
{
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	for (size_t k = 0; k < (*out)->n; k++) {
		struct row *r = &(*out)->row[k];
		EACH_BIT(i, r->bits, op->grid.n)
		r->v[i] = (double)grid_at(op->grid, i) / 1000;
		r->h = NULL;
		row_drop_name(x, r);
	}
	return 1;
}
static const struct op_ops timestamp_ops = { "timestamp", NULL, timestamp_next, NULL };

static int wrap(struct exec *x, const struct expr *e, const struct op_ops *ops,
		size_t size, enum value_type type, struct grid g, struct op **out,
		struct err *err)
{
	struct op *op = op_alloc(x, size, ops, g, type, e);
	if (plan_expr(x, e->call.arg[0], g, &op->in[0], err) < 0)
		return -1;
	op->unique = op->nameless = true;
	*out = op;
	return 0;
}

const struct expr *range_place(struct exec *x, const struct expr *call)
{
	const struct expr *arg = expr_strip(call->call.arg[0]);
	if (arg->kind != EXPR_SUBQUERY)
		return arg;
	struct expr *nowhere = ARENA_NEW(x->arena, struct expr);
	nowhere->end = call->end -
		       1; /* said when all inside was evaluated, and nothing outside */
	return nowhere;
}

static bool is_counter(const struct exec *x, struct str metric, struct str type)
{
	static const char *const suffixes[] = { "_total", "_sum", "_count", "_bucket" };
	if (x->q->type_labels)
		return str_eq(type, STR("counter")) || str_eq(type, STR("histogram"));
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
		if (str_has_suffix(metric, str_of(suffixes[i])))
			return true;
	return false;
}

void range_note_counter(struct exec *x, const struct range_call *c, struct str metric,
			struct str type, const struct row *out)
{
	bool floats = false;
	if (metric.n == 0 || is_counter(x, metric, type))
		return;
	EACH_BIT(i, out->bits, c->grid.n)
	if (!out->h || !out->h[i]) {
		floats = true;
		break;
	}
	if (floats && x->q->type_labels)
		anno_info(x, c->at,
			  "metric might not be a counter, __type__ label is not set to "
			  "\"counter\" or \"histogram\", got \"%.*s\": \"%.*s\"",
			  STR_FMT(type), STR_FMT(metric));
	else if (floats)
		anno_info(x, c->at,
			  "metric might not be a counter, name does not end in "
			  "_total/_sum/_count/_bucket: \"%.*s\"",
			  STR_FMT(metric));
}

int range_params_plan(struct exec *x, const struct expr *call, struct grid g,
		      struct range_params *p, struct err *e)
{
	size_t n = 0;
	for (size_t i = 0; i < call->call.n; i++)
		if (call->call.arg[i]->type == TYPE_SCALAR &&
		    plan_expr(x, call->call.arg[i], g, &p->op[n++], e) < 0)
			return -1;
	return 0;
}

int range_params_read(struct exec *x, struct range_params *p, struct range_call *c,
		      struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(p->op) && p->op[i] && !p->read; i++) {
		struct row r;
		if (op_scalar(p->op[i], x, &r, e) < 0)
			return -1;
		c->param[i] = r.v;
	}
	p->read = true;
	return 0;
}

/* The argument that is a range vector decides: range functions are part of their selector. */
static int range_call_new(struct exec *x, const struct expr *e, struct grid g,
			  struct op **out, struct err *err)
{
	if (e->call.fn == FN_ID_absent_over_time)
		return op_absent_new(x, e, g, out, err);
	if (!range_fn_of(e->call.fn))
		return unsupported(x, err, "function", fn_sigs[e->call.fn].name);
	size_t k = 0;
	while (e->call.arg[k]->type != TYPE_MATRIX)
		k++;
	const struct expr *arg = expr_strip(e->call.arg[k]);
	if (arg->kind == EXPR_MATRIX)
		return op_select_new(x, arg, e, g, out, err);
	return op_subquery_new(x, arg, e, g, out, err);
}

int op_call_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err)
{
	enum fn_id fn = e->call.fn;
	for (size_t i = 0; i < e->call.n; i++)
		if (e->call.arg[i]->type == TYPE_MATRIX)
			return range_call_new(x, e, g, out, err);
	for (size_t i = 0; i < ARRAY_LEN(maps); i++)
		if (maps[i].fn == fn)
			return op_map_new(x, e, &maps[i], g, out, err);
	const struct expr *arg = e->call.n ? expr_strip(e->call.arg[0]) : NULL;
	switch (fn) {
	case FN_ID_time:
	case FN_ID_pi:
	case FN_ID_start:
	case FN_ID_end:
	case FN_ID_step:
	case FN_ID_range: return op_const_new(x, e, g, out, err);
	case FN_ID_min_of:
	case FN_ID_max_of: return op_pick_new(x, e, g, out, err);
	case FN_ID_absent: return op_absent_new(x, e, g, out, err);
	case FN_ID_label_replace:
	case FN_ID_label_join: return op_label_new(x, e, g, out, err);
	case FN_ID_sort:
	case FN_ID_sort_desc:
	case FN_ID_sort_by_label:
	case FN_ID_sort_by_label_desc: return op_sort_new(x, e, g, out, err);
	case FN_ID_day_of_month:
	case FN_ID_day_of_week:
	case FN_ID_day_of_year:
	case FN_ID_days_in_month:
	case FN_ID_hour:
	case FN_ID_minute:
	case FN_ID_month:
	case FN_ID_year: return op_date_new(x, e, g, out, err);
	case FN_ID_info: return op_info_new(x, e, g, out, err);
	case FN_ID_vector:
		return wrap(x, e, &vector_ops, sizeof(struct op), TYPE_VECTOR, g, out,
			    err);
	case FN_ID_scalar:
		return wrap(x, e, &scalar_ops, sizeof(struct op_scalar_of), TYPE_SCALAR,
			    g, out, err);
	case FN_ID_start_timestamp:
		if (arg->kind == EXPR_VECTOR && x->q->start_timestamps)
			return op_select_new(x, arg, e, g, out, err);
		/* only samples have one */
		*out = op_empty_new(x, e, g, NULL);
		return plan_expr(x, arg, g, &(*out)->in[0], err);
	case FN_ID_timestamp: {
		if (arg->kind == EXPR_VECTOR)
			return op_select_new(x, arg, e, g, out, err);
		struct op *t;
		if (wrap(x, e, &timestamp_ops, sizeof(struct op), TYPE_VECTOR, g, &t,
			 err) < 0)
			return -1;
		return op_unique_new(x, t, out);
	}
	case FN_ID_histogram_quantile:
	case FN_ID_histogram_quantiles:
	case FN_ID_histogram_fraction: return op_histq_new(x, e, g, out, err);
	case FN_ID_histogram_count:
	case FN_ID_histogram_sum:
	case FN_ID_histogram_avg:
	case FN_ID_histogram_stddev:
	case FN_ID_histogram_stdvar: return op_hist_new(x, e, g, out, err);
	default: return unsupported(x, err, "function", fn_sigs[fn].name);
	}
}
