/*
 * promql/exec/op_hist.c - histogram_count sum avg stddev stdvar: a number for each native histogram; floats are passed over.
 */
#include "promql/exec/hist_fn.h"

#include <math.h>

static double h_count(const struct hist *h)
{
	return h->count;
}
static double h_sum(const struct hist *h)
{
	return h->sum;
}
static double h_avg(const struct hist *h)
{
	return h->sum / h->count;
}
static double h_stddev(const struct hist *h)
{
	return sqrt(hist_stdvar(h));
}

typedef double hist_fn(const struct hist *h);
static const struct {
	enum fn_id fn;
	hist_fn *eval;
} fns[] = {
	{ FN_ID_histogram_count, h_count },	 { FN_ID_histogram_sum, h_sum },
	{ FN_ID_histogram_avg, h_avg },		 { FN_ID_histogram_stddev, h_stddev },
	{ FN_ID_histogram_stdvar, hist_stdvar },
};

struct op_hist {
	struct op op;
	hist_fn *eval;
};

static int hist_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_hist *o = (struct op_hist *)op;
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	struct batch *b = *out;
	size_t k = 0;
	for (size_t j = 0; j < b->n; j++) {
		struct row r = b->row[j];
		if (!r.h)
			continue;
		EACH_BIT(i, r.bits, op->grid.n)
		{
			if (r.h[i])
				r.v[i] = o->eval(r.h[i]);
			else
				bit_clear(r.bits, i);
		}
		r.h = NULL;
		row_drop_name(x, &r);
		if (bits_any(r.bits, op->grid.n))
			b->row[k++] = r;
	}
	b->n = k;
	return 1;
}

static const struct op_ops hist_ops = { "histogram-stat", NULL, hist_next, NULL };

int op_hist_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err)
{
	struct op_hist *o = op_alloc(x, sizeof(*o), &hist_ops, g, TYPE_VECTOR, e);
	for (size_t i = 0; i < ARRAY_LEN(fns); i++)
		if (fns[i].fn == e->call.fn)
			o->eval = fns[i].eval;
	BUG_ON(!o->eval);
	bool stats = o->eval == h_count || o->eval == h_sum || o->eval == h_avg;
	x->in_stats += stats;
	if (plan_expr(x, e->call.arg[0], g, &o->op.in[0], err) < 0)
		return -1;
	x->in_stats -= stats;
	return op_unique_new(x, &o->op, out);
}
