/*
 * promql/exec/op_histq.c - histogram_quantile over classic buckets: rows are held by group (labels
 * without le and the metric name) until the input has ended, then each group's quantile is computed
 * step by step.
 *
 * Source  prometheus.md §2.6; tolerance and texts as Prometheus'
 */
#include "promql/exec/exec_int.h"

#include <math.h>
#include <stdlib.h>

#include "base/time.h"
#include "base/vec.h"
#include "wire/num.h"

#define SMALL_DELTA 1e-12

struct bucket_row {
	double upper;
	struct row row;
	struct bucket_row *next;
};
struct hgroup {
	struct labels labels;
	struct hgroup *next; /* equal hash */
	struct bucket_row *rows;
	size_t n;
};
struct forced { /* where monotonicity had to be enforced, over the whole query */
	uint64_t count;
	int64_t mint_ms, maxt_ms;
	double min_bucket, max_bucket, max_diff;
};
struct op_histq {
	struct op op;
	struct map64 index;
	struct hgroup **group;
	size_t n_group, cap_group, max_rows;
	struct forced forced;
	struct row *rows;
	struct batch out;
	bool done;
};
struct bkt {
	double upper, count;
};

static int by_upper(const void *a, const void *b, void *arg)
{
	double x = ((const struct bkt *)a)->upper, y = ((const struct bkt *)b)->upper;
	(void)arg;
	return (x > y) - (x < y);
}

/* Prometheus' relative comparison, see prometheus.md §2.11. */
static bool almost_equal(double a, double b, double eps)
{
	if (a == b || (isnan(a) && isnan(b)))
		return true;
	double sum = fabs(a) + fabs(b), diff = fabs(a - b);
	if (a == 0 || b == 0 || sum < 0x1p-1022)
		return diff < eps * 0x1p-1022;
	return diff / fmin(sum, 0x1.fffffffffffffp1023) < eps;
}

static size_t coalesce(struct bkt *b, size_t n)
{
	size_t k = 0;
	for (size_t i = 1; i < n; i++) {
		if (b[i].upper == b[k].upper)
			b[k].count += b[i].count;
		else
			b[++k] = b[i];
	}
	return k + 1;
}

static void note_forced(struct forced *f, int64_t t_ms, double upper, double diff)
{
	if (f->min_bucket == 0 && f->max_bucket == 0 && f->max_diff == 0)
		*f = (struct forced){ 0, t_ms, t_ms, upper, upper, diff };
	f->mint_ms = MIN(f->mint_ms, t_ms);
	f->maxt_ms = MAX(f->maxt_ms, t_ms);
	f->min_bucket = MIN(f->min_bucket, upper);
	f->max_bucket = MAX(f->max_bucket, upper);
	f->max_diff = MAX(f->max_diff, diff);
}

/* Counts must not fall from bucket to bucket; tiny deltas are rounding and not worth a word. */
static void make_monotonic(struct bkt *b, size_t n, int64_t t_ms, struct forced *f)
{
	double prev = b[0].count;
	bool forced = false;
	for (size_t i = 1; i < n; i++) {
		double cur = b[i].count;
		if (cur == prev)
			continue;
		if (almost_equal(prev, cur, SMALL_DELTA)) {
			b[i].count = prev;
		} else if (cur < prev) {
			b[i].count = prev;
			note_forced(f, t_ms, b[i].upper, prev - cur);
			forced = true;
		} else {
			prev = cur;
		}
	}
	f->count += forced;
}

static double quantile(double q, struct bkt *b, size_t n, int64_t t_ms, struct forced *f)
{
	if (isnan(q))
		return NAN;
	if (q < 0)
		return -INFINITY;
	if (q > 1)
		return INFINITY;
	vec_sort(b, n, sizeof(*b), by_upper, NULL);
	if (!(isinf(b[n - 1].upper) && b[n - 1].upper > 0))
		return NAN;
	n = coalesce(b, n);
	make_monotonic(b, n, t_ms, f);
	if (n < 2 || b[n - 1].count == 0)
		return NAN;
	double rank = q * b[n - 1].count;
	size_t k = 0;
	while (k < n - 1 && !(b[k].count >= rank))
		k++;
	if (k == n - 1)
		return b[n - 2].upper;
	if (k == 0 && b[0].upper <= 0)
		return b[0].upper;
	double start = 0, end = b[k].upper, count = b[k].count;
	if (k > 0) {
		start = b[k - 1].upper;
		count -= b[k - 1].count;
		rank -= b[k - 1].count;
	}
	return start + (end - start) * (rank / count);
}

/* ---- collecting ---- */

static int group_of(struct op_histq *o, struct exec *x, struct labels ls,
		    struct hgroup **out, struct err *e)
{
	static const struct str names[] = { { "__name__", 8 }, { "le", 2 } };
	struct label few[64], *tmp = few;
	if (ls.n > ARRAY_LEN(few))
		tmp = xmalloc(ls.n * sizeof(*tmp));
	struct labels key = labels_drop(tmp, ls, names, 2);
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

static int collect_row(struct op_histq *o, struct exec *x, const struct row *r,
		       struct err *e)
{
	struct hgroup *g;
	double upper;
	struct str le = labels_get(r->labels, STR("le"));
	const struct expr *arg = o->op.expr->call.arg[1];
	if (r->h)
		return err_set(
			x->ctx, e, E_UNSUPPORTED,
			"histogram_quantile over native histograms is not supported yet");
	if (!str_to_f64(le, &upper)) {
		struct buf b;
		struct str name = labels_get(r->labels, LABEL_NAME);
		buf_init(&b, 1 << 20);
		label_quote(le, &b);
		if (name.n) {
			buf_str(&b, STR(" for metric name "));
			label_quote(name, &b);
		}
		anno_warn(
			x, arg,
			"bucket label \"le\" is missing or has a malformed value of %.*s",
			STR_FMT(buf_view(&b)));
		buf_deinit(&b);
		return 0;
	}
	if (group_of(o, x, r->labels, &g, e) < 0)
		return -1;
	struct bucket_row *b = ARENA_NEW(x->arena, struct bucket_row);
	b->upper = upper;
	if (row_copy(x, x->arena, o->op.grid.n, r, &b->row, e) < 0)
		return -1;
	b->next = g->rows;
	g->rows = b;
	g->n++;
	o->max_rows = MAX(o->max_rows, g->n);
	return 0;
}

static int eval_group(struct op_histq *o, struct exec *x, const struct hgroup *g,
		      const struct row *q, struct bkt *tmp, struct row *out,
		      struct err *e)
{
	uint32_t n = o->op.grid.n;
	if (row_new(x, x->arena, n, false, out, e) < 0)
		return -1;
	out->labels = g->labels;
	for (uint32_t i = 0; i < n; i++) {
		size_t k = 0;
		for (const struct bucket_row *b = g->rows; b; b = b->next)
			if (bit_get(b->row.bits, i))
				tmp[k++] = (struct bkt){ b->upper, b->row.v[i] };
		if (k == 0)
			continue;
		out->v[i] = quantile(q->v[i], tmp, k, grid_at(o->op.grid, i), &o->forced);
		bit_set(out->bits, i);
	}
	return bits_any(out->bits, n);
}

/* ---- annotations ---- */

static void warn_quantiles(struct op_histq *o, struct exec *x, const struct row *q)
{
	const struct expr *arg = o->op.expr->call.arg[0];
	for (uint32_t i = 0; i < o->op.grid.n; i++) {
		if (q->v[i] >= 0 && q->v[i] <= 1)
			continue;
		char num[NUM_MAX];
		size_t len = num_f64_g(num, q->v[i]);
		anno_warn(x, arg, "quantile value should be between 0 and 1, got %.*s",
			  (int)len, num);
	}
}

static void info_forced(struct op_histq *o, struct exec *x)
{
	const struct forced *f = &o->forced;
	char lo[NUM_MAX], hi[NUM_MAX], from[40], to[40];
	if (f->count == 0)
		return;
	size_t nl = num_f64_g(lo, f->min_bucket), nh = num_f64_g(hi, f->max_bucket);
	time_format_rfc3339(from, f->mint_ms / 1000, 0, 0);
	time_format_rfc3339(to, f->maxt_ms / 1000, 0, 0);
	anno_info(
		x, o->op.expr->call.arg[1],
		"input to histogram_quantile needed to be fixed for monotonicity (see "
		"https://prometheus.io/docs/prometheus/latest/querying/functions/"
		"#histogram_quantile), from buckets %.*s to %.*s, with a max diff of %.2g, over "
		"%llu samples from %s to %s",
		(int)nl, lo, (int)nh, hi, f->max_diff, (unsigned long long)f->count, from,
		to);
}

static int histq_all(struct op_histq *o, struct exec *x, struct err *e)
{
	struct batch *b;
	struct row q;
	int rc;
	if (op_scalar(o->op.in[0], x, &q, e) < 0)
		return -1;
	while ((rc = op_next(o->op.in[1], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			if (collect_row(o, x, &b->row[k], e) < 0)
				return -1;
	if (rc < 0)
		return -1;
	warn_quantiles(o, x, &q);
	o->rows = arena_try(x->arena, x->ctx, o->n_group * sizeof(*o->rows) + 1, e);
	struct bkt *tmp = arena_try(x->arena, x->ctx, o->max_rows * sizeof(*tmp) + 1, e);
	if (!o->rows || !tmp)
		return -1;
	size_t n = 0;
	for (size_t k = 0; k < o->n_group; k++) {
		rc = eval_group(o, x, o->group[k], &q, tmp, &o->rows[n], e);
		if (rc < 0)
			return -1;
		n += rc > 0;
	}
	info_forced(o, x);
	o->out = (struct batch){ o->rows, n };
	return 0;
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
}

static const struct op_ops histq_ops = { "histogram_quantile", NULL, histq_next,
					 histq_close };

int op_histq_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		 struct err *err)
{
	struct op_histq *o = op_alloc(x, sizeof(*o), &histq_ops, g, TYPE_VECTOR, e);
	map64_init(&o->index);
	o->op.unique = o->op.nameless = true;
	*out = &o->op;
	if (plan_expr(x, e->call.arg[0], g, &o->op.in[0], err) < 0)
		return -1;
	return plan_expr(x, e->call.arg[1], g, &o->op.in[1], err);
}
