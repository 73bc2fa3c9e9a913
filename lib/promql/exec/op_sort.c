/*
 * promql/exec/op_sort.c - sort, sort_desc, sort_by_label, sort_by_label_desc. Class order: all rows of an instant query; a
 * range query has an order of its own, so that rows pass and a warning says so.
 *
 * Source  prometheus.md §2.8; the natural order is that of the library that Prometheus uses
 */
#include "promql/exec/exec_int.h"

#include <stdlib.h>

#include "base/vec.h"
#include "promql/exec/go_sort.h"
#include "promql/exec/value_order.h"

struct op_sort {
	struct op op;
	bool by_value, desc;
	bool done, warn; /* warn: in a range query nothing is sorted */
	struct str *label;
	size_t n_label;
	struct row *row;
	size_t n, cap;
	struct go_sort_watch watch;
	struct batch out;
};

/* ---- natural order ---- */

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The next run of digits, or of anything else. */
static bool run(struct str *s, struct str *out)
{
	size_t n = 1;
	if (!s->n)
		return false;
	while (n < s->n && digit(s->p[n]) == digit(s->p[0]))
		n++;
	*out = str_n(s->p, n);
	*s = str_from(*s, n);
	return true;
}

/* Runs of digits compare as numbers where both fit an int64. Of equal ones, what ends first comes first. */
static bool natural_before(struct str a, struct str b)
{
	struct str ra, rb;
	while (run(&a, &ra)) {
		int64_t x, y;
		if (!run(&b, &rb))
			return false;
		if (digit(ra.p[0]) && digit(rb.p[0]) && str_to_i64(ra, &x) &&
		    str_to_i64(rb, &y)) {
			if (x != y)
				return x < y;
		} else if (!str_eq(ra, rb)) {
			return str_cmp(ra, rb) < 0;
		}
		if (!a.n)
			return true;
		if (!b.n)
			return false;
	}
	return false;
}

static bool labels_before(void *arg, uint32_t ia, uint32_t ib)
{
	struct op_sort *s = arg;
	const struct row *a = &s->row[ia], *b = &s->row[ib];
	if (!go_sort_goes_on(&s->watch))
		return false;
	for (size_t i = 0; i < s->n_label; i++) {
		struct str x = labels_get(a->labels, s->label[i]);
		struct str y = labels_get(b->labels, s->label[i]);
		if (!str_eq(x, y))
			return natural_before(x, y) != s->desc;
	}
	int c = labels_cmp(a->labels, b->labels);
	return s->desc ? c > 0 : c < 0;
}

/* ---- */

static int sort_labels(struct op_sort *s, struct exec *x, struct err *e)
{
	uint32_t *at = arena_try(x->arena, x->ctx, s->n * sizeof(*at) + 1, e);
	struct row *rows =
		at ? arena_try(x->arena, x->ctx, s->n * sizeof(*rows) + 1, e) : NULL;
	if (!rows)
		return -1;
	for (uint32_t i = 0; i < s->n; i++)
		at[i] = i;
	s->watch = (struct go_sort_watch){ .ctx = x->ctx, .e = e };
	go_sort(at, s->n, labels_before, s);
	if (s->watch.rc < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		rows[i] = s->row[at[i]];
	s->out = (struct batch){ rows, s->n };
	return 0;
}

static int sort_values(struct op_sort *s, struct exec *x, struct err *e)
{
	struct ranked *r = arena_try(x->arena, x->ctx, s->n * sizeof(*r) + 1, e);
	struct row *rows =
		r ? arena_try(x->arena, x->ctx, s->n * sizeof(*rows) + 1, e) : NULL;
	if (!rows)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		r[i] = (struct ranked){ s->row[i].v[0], (uint32_t)i };
	if (ranked_sort(x->ctx, r, (uint32_t)s->n, !s->desc, e) < 0)
		return -1;
	for (size_t i = 0; i < s->n; i++)
		rows[i] = s->row[r[i].row];
	s->out = (struct batch){ rows, s->n };
	return 0;
}

static int sort_instant(struct op_sort *s, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	while ((rc = op_next(s->op.in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++) {
			const struct row *r = &b->row[k];
			if (!bit_get(r->bits, 0) || (s->by_value && r->h && r->h[0]))
				continue;
			if (s->n == s->cap)
				s->row = vec_grow(s->row, &s->cap, s->n + 1,
						  sizeof(*s->row));
			if (row_copy(x, x->arena, 1, r, &s->row[s->n++], e) < 0)
				return -1;
		}
	if (rc < 0)
		return -1;
	return s->by_value ? sort_values(s, x, e) : sort_labels(s, x, e);
}

/* A sort by value takes floats only, whether there is an order or not. */
static void drop_hists(struct op_sort *s, struct batch *b)
{
	size_t n = 0;
	for (size_t k = 0; k < b->n; k++) {
		struct row *r = &b->row[k];
		if (r->h)
			EACH_BIT(i, r->bits, s->op.grid.n)
		if (r->h[i])
			bit_clear(r->bits, i);
		r->h = NULL;
		if (bits_any(r->bits, s->op.grid.n))
			b->row[n++] = *r;
	}
	b->n = n;
}

static int sort_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_sort *s = (struct op_sort *)op;
	if (s->warn)
		anno_warn(x, op->expr,
			  "sort is ineffective for range queries since results are "
			  "always ordered by labels");
	s->warn = false;
	if (op->grid.n == 1) {
		if (s->done)
			return 0;
		s->done = true;
		if (sort_instant(s, x, e) < 0)
			return -1;
		*out = &s->out;
		return s->n != 0;
	}
	int rc = op_next(op->in[0], x, out, e);
	if (rc > 0 && s->by_value)
		drop_hists(s, *out);
	return rc;
}

static void sort_close(struct op *op)
{
	free(((struct op_sort *)op)->row);
}

static const struct op_ops sort_ops = { "sort", NULL, sort_next, sort_close };

int op_sort_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err)
{
	struct op_sort *s = op_alloc(x, sizeof(*s), &sort_ops, g, TYPE_VECTOR, e);
	enum fn_id fn = e->call.fn;
	/* a range whose end lies before its second step is one, too */
	s->warn = g.n > 1 ||
		  (!x->expanded && x->q->step_ms && g.start_ms == x->q->start_ms &&
		   x->q->start_ms != x->q->end_ms);
	s->by_value = fn == FN_ID_sort || fn == FN_ID_sort_desc;
	s->desc = fn == FN_ID_sort_desc || fn == FN_ID_sort_by_label_desc;
	s->n_label = e->call.n - 1;
	s->label = ARENA_ARRAY(x->arena, struct str, s->n_label + 1);
	for (size_t i = 0; i < s->n_label; i++)
		s->label[i] = expr_strip(e->call.arg[i + 1])->str;
	*out = &s->op;
	if (plan_expr(x, e->call.arg[0], g, &s->op.in[0], err) < 0)
		return -1;
	s->op.unique = s->op.in[0]->unique;
	s->op.nameless = s->op.in[0]->nameless;
	return 0;
}
