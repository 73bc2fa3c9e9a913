/*
 * promql/parse/resolve.c - durations that are arithmetic get their milliseconds when the query is known.
 *
 * Doubles in seconds all the way; the result is cut to ms. Messages begin with the byte range of the
 * expression, from 0, not with line and column: so does Prometheus.
 */
#include <math.h>

#include "promql/parse/ast.h"

#define MAX_SECONDS (9223372036854775808.0 / 1e9) /* int64 ns */

struct window {
	double step_s, range_s;
	struct err *e;
};

static int fail(const struct window *w, const struct expr *x, const char *what)
{
	return err_set(NULL, w->e, E_EXEC, "%u:%u: %s", x->pos, x->end, what);
}

/* An infinity at the chosen end decides before NaN does. */
static double min_of(double a, double b)
{
	if (a == -INFINITY || b == -INFINITY)
		return -INFINITY;
	return isnan(a) || isnan(b) ? NAN : fmin(a, b);
}

static double max_of(double a, double b)
{
	return -min_of(-a, -b);
}

static int value(const struct window *w, const struct expr *x, double *out)
{
	double l = 0, r = 0;
	if (x->kind == EXPR_NUMBER) {
		*out = x->num;
		return 0;
	}
	if ((x->dur.l && value(w, x->dur.l, &l) < 0) ||
	    (x->dur.r && value(w, x->dur.r, &r) < 0))
		return -1;
	switch (x->dur.op) {
	case DUR_ADD: *out = l + r; return 0;
	case DUR_SUB: *out = l - r; return 0;
	case DUR_MUL: *out = l * r; return 0;
	case DUR_DIV:
		if (r == 0)
			return fail(w, x, "division by zero");
		*out = l / r;
		return 0;
	case DUR_MOD:
		if (r == 0)
			return fail(w, x, "modulo by zero");
		*out = fmod(l, r);
		return 0;
	case DUR_POW: *out = pow(l, r); return 0;
	case DUR_NEG: *out = -r; return 0;
	case DUR_POS: *out = r; return 0;
	case DUR_STEP: *out = w->step_s; return 0;
	case DUR_RANGE: *out = w->range_s; return 0;
	case DUR_MIN_OF: *out = min_of(l, r); return 0;
	case DUR_MAX_OF: *out = max_of(l, r); return 0;
	}
	return 0;
}

/* x NULL: a literal stands there, *ms is right already. */
static int resolve(const struct window *w, const struct expr *x, bool negative,
		   int64_t *ms)
{
	double s = 0;
	if (!x)
		return 0;
	if (value(w, x, &s) < 0)
		return -1;
	if (isnan(s) || isinf(s))
		return fail(w, x, "duration is NaN or infinite");
	if (s <= 0 && !negative)
		return fail(w, x, "duration must be greater than 0");
	if (fabs(s) > MAX_SECONDS)
		return fail(w, x, "duration is out of range");
	*ms = (int64_t)(s * 1000);
	return 0;
}

static int walk(const struct window *w, struct expr *x)
{
	switch (x->kind) {
	case EXPR_NUMBER:
	case EXPR_STRING:
	case EXPR_DURATION: return 0;
	case EXPR_MATRIX:
	case EXPR_VECTOR:
		if (resolve(w, x->s.range_expr, false, &x->s.range_ms) < 0)
			return -1;
		return resolve(w, x->s.sel.offset_expr, true, &x->s.sel.offset_ms);
	case EXPR_SUBQUERY:
		if (resolve(w, x->sub.offset_expr, true, &x->sub.offset_ms) < 0 ||
		    resolve(w, x->sub.step_expr, false, &x->sub.step_ms) < 0 ||
		    resolve(w, x->sub.range_expr, false, &x->sub.range_ms) < 0)
			return -1;
		return walk(w, x->sub.e);
	case EXPR_CALL:
		for (size_t i = 0; i < x->call.n; i++)
			if (walk(w, x->call.arg[i]) < 0)
				return -1;
		return 0;
	case EXPR_AGGR:
		if (walk(w, x->aggr.e) < 0)
			return -1;
		return x->aggr.param ? walk(w, x->aggr.param) : 0;
	case EXPR_BINARY: return walk(w, x->bin.l) < 0 || walk(w, x->bin.r) < 0 ? -1 : 0;
	case EXPR_UNARY: return walk(w, x->un.e);
	case EXPR_PAREN: return walk(w, x->inner);
	}
	return 0;
}

int promql_resolve(struct expr *x, struct str query, int64_t start_ms, int64_t end_ms,
		   int64_t step_ms, struct err *e)
{
	(void)query; /* bytes, not lines, are told */
	struct window w = { (double)step_ms / 1000, (double)(end_ms - start_ms) / 1000,
			    e };
	return walk(&w, x);
}
