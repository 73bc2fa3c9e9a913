/*
 * promql/exec/group.c - groups of an aggregation, and its parameter.
 */
#include "promql/exec/group.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/vec.h"
#include "promql/exec/held.h"
#include "wire/num.h"

static uint32_t end_step(const struct row *r, uint32_t n)
{
	for (size_t w = BITS_WORDS(n); w-- > 0;)
		if (r->bits[w])
			return (uint32_t)(w * 64 + 64) -
			       (uint32_t)__builtin_clzll(r->bits[w]);
	return 0;
}

void drop_mark_row(struct drop_mark *m, const struct row *r, uint32_t n)
{
	uint32_t end = end_step(r, n);
	if (end < m->end || end == 0)
		return;
	m->drop = r->drop_name || (end == m->end && m->drop);
	m->end = end;
}

/* ---- groups ---- */

static size_t names_add(struct str *v, size_t n, struct str name)
{
	size_t at = 0;
	while (at < n && str_cmp(v[at], name) < 0)
		at++;
	if (at < n && str_eq(v[at], name))
		return n;
	memmove(v + at + 1, v + at, (n - at) * sizeof(*v));
	v[at] = name;
	return n + 1;
}

void groups_init(struct groups *g, struct exec *x, const struct expr *e)
{
	groups_init_apart(g, x, e, STR_NULL);
}

void groups_init_apart(struct groups *g, struct exec *x, const struct expr *e,
		       struct str apart)
{
	struct str *v = ARENA_ARRAY(x->arena, struct str, e->aggr.n_labels + 2);
	size_t n = 0;
	for (size_t i = 0; i < e->aggr.n_labels; i++)
		if (e->aggr.without || !str_eq(e->aggr.labels[i], apart))
			v[n++] = e->aggr.labels[i];
	if (e->aggr.without)
		n = names_add(v, n, LABEL_NAME);
	if (e->aggr.without && apart.n)
		n = names_add(v, n, apart);
	*g = (struct groups){
		.names = v, .n_names = n, .without = e->aggr.without, .arena = x->arena
	};
	map64_init(&g->index);
}

void groups_deinit(struct groups *g)
{
	map64_deinit(&g->index);
	free(g->key);
}

void groups_clear(struct groups *g)
{
	map64_deinit(&g->index);
	map64_init(&g->index);
	g->n = 0;
}

static int group_new(struct groups *g, struct exec *x, struct labels key, uint64_t h,
		     uintptr_t first, struct err *e)
{
	if (g->n == g->cap)
		g->key = vec_grow(g->key, &g->cap, g->n + 1, sizeof(*g->key));
	g->key[g->n] = (struct group_key){ .next = (uint32_t)first };
	if (labels_try_dup(g->arena, x->ctx, key, &g->key[g->n].labels, e) < 0)
		return -1;
	map64_set(&g->index, h, ++g->n);
	return 0;
}

int groups_of(struct groups *g, struct exec *x, struct labels ls, uint32_t *ordinal,
	      struct err *e)
{
	struct label few[64], *tmp = few;
	if (ls.n > ARRAY_LEN(few))
		tmp = xmalloc(ls.n * sizeof(*tmp));
	struct labels key = g->without ? labels_drop(tmp, ls, g->names, g->n_names)
				       : labels_keep(tmp, ls, g->names, g->n_names);
	key.hash = 0;
	uint64_t h = labels_hash(key);
	uintptr_t first = 0;
	int rc = 0;
	(void)map64_get(&g->index, h, &first);
	uintptr_t at = first;
	while (at && !labels_eq(g->key[at - 1].labels, key))
		at = g->key[at - 1].next;
	if (!at) {
		rc = group_new(g, x, key, h, first, e);
		at = g->n;
	}
	if (tmp != few)
		free(tmp);
	*ordinal = (uint32_t)at - 1;
	return rc;
}

bool groups_nameless(const struct groups *g)
{
	size_t n = 0;
	for (size_t i = 0; i < g->n_names; i++)
		for (size_t k = 0; k < ROW_NAME_LABELS; k++)
			n += str_eq(g->names[i], row_name_labels[k]);
	return n == (g->without ? ROW_NAME_LABELS : 0);
}

/* ---- the parameter ---- */

int aggr_param_plan(struct exec *x, const struct expr *e, struct grid g,
		    struct aggr_param *p, struct err *err)
{
	return plan_expr(x, e->aggr.param, g, &p->op, err);
}

int aggr_param_read(struct exec *x, const struct expr *e, struct grid g,
		    struct aggr_param *p, struct err *err)
{
	struct row r;
	if (op_scalar(p->op, x, &r, err) < 0)
		return -1;
	p->v = r.v;
	p->min = p->max = r.v[0];
	p->nan = isnan(r.v[0]);
	if (expr_strip(e->aggr.param)->kind == EXPR_NUMBER)
		return 0;
	p->min = DBL_MAX;
	p->max = -DBL_MAX;
	for (uint32_t i = 0; i < g.n; i++) {
		p->max = go_max(p->max, r.v[i]);
		p->min = go_min(p->min, r.v[i]);
		p->nan |= isnan(r.v[i]);
	}
	return 0;
}

static int not_int(struct exec *x, struct err *err, double v, const char *how)
{
	char num[NUM_MAX];
	size_t n = num_f64_g(num, v);
	return err_set(x->ctx, err, E_EXEC, "Scalar value %.*s %s int64", (int)n, num,
		       how);
}

int aggr_param_counts(struct exec *x, const struct aggr_param *p, struct op *in,
		      int64_t **out, bool *none, struct err *err)
{
	uint32_t n = in->grid.n;
	*none = p->max < 1;
	bool good = !p->nan && p->min > -0x1p63 && p->max < 0x1p63 - 1024;
	if ((*none || !good) && op_drain(in, x, err) < 0)
		return -1;
	if (*none)
		return 0;
	if (p->nan)
		return err_set(x->ctx, err, E_EXEC, "Parameter value is NaN");
	if (p->min <= -0x1p63)
		return not_int(x, err, p->min, "underflows");
	if (p->max >= 0x1p63 - 1024)
		return not_int(x, err, p->max, "overflows");
	int64_t *k = arena_try(x->arena, x->ctx, n * sizeof(*k), err);
	if (!k)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		k[i] = (int64_t)p->v[i];
	*out = k;
	return 0;
}

int aggr_input_plan(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		    struct err *err)
{
	const struct expr *in = expr_strip(e->aggr.e);
	if (in->kind != EXPR_VECTOR || in->s.sel.at != AT_NONE)
		return plan_expr(x, in, g, out, err);
	if (op_select_new(x, in, e, g, out, err) < 0)
		return -1;
	held_watch(x, *out, in);
	return 0;
}
