/*
 * promql/exec/select_among.c - selectors that are the same but for what they ask of labels.
 *
 *     sum by (job) (rate(m{code="500"}[5m])) / sum by (job) (rate(m[5m]))      reads m once
 *
 * What the narrower one selects passes a filter on its way from the general one, which is read wholly anyway. Series
 * come in the same order as if they had been asked for alone, so that sums have the same bits.
 */
#include "promql/exec/select_int.h"

#include <string.h>

bool select_same_text(const struct op *sel, const struct expr *input)
{
	struct buf a, b;
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	plan_print(sel, &a);
	promql_print(input, &b);
	bool same = !a.failed && !b.failed && str_eq(buf_view(&a), buf_view(&b));
	buf_deinit(&a);
	buf_deinit(&b);
	return same;
}

static const struct expr *strip(const struct expr *e)
{
	return expr_strip((struct expr *)(uintptr_t)e);
}

static bool is_selector(const struct expr *e)
{
	return e->kind == EXPR_VECTOR || e->kind == EXPR_MATRIX;
}

static bool same_window(const struct expr *a, const struct expr *b)
{
	const struct select_node *l = &a->s.sel, *r = &b->s.sel;
	return (a->kind == EXPR_VECTOR || a->s.range_ms == b->s.range_ms) &&
	       l->offset_ms == r->offset_ms && l->at == r->at &&
	       (l->at != AT_TIME || l->at_ms == r->at_ms) && l->anchored == r->anchored &&
	       l->smoothed == r->smoothed && !l->of_info && !r->of_info;
}

bool select_alike(const struct expr *a, const struct expr *b)
{
	size_t selectors = 0;
	a = strip(a);
	b = strip(b);
	if (a->kind != b->kind)
		return false;
	if (is_selector(a))
		return same_window(a, b);
	if (a->kind != EXPR_CALL || a->call.fn != b->call.fn || a->call.n != b->call.n)
		return false;
	for (size_t i = 0; i < a->call.n; i++) {
		const struct expr *l = strip(a->call.arg[i]), *r = strip(b->call.arg[i]);
		if (l->kind != r->kind)
			return false;
		if (is_selector(l) && ++selectors == 1 && same_window(l, r))
			continue;
		if (l->kind != EXPR_NUMBER || memcmp(&l->num, &r->num, sizeof(l->num)))
			return false;
	}
	return selectors == 1;
}

const struct expr *select_within(const struct expr *e)
{
	e = strip(e);
	if (is_selector(e))
		return e;
	for (size_t i = 0; e->kind == EXPR_CALL && i < e->call.n; i++)
		if (is_selector(strip(e->call.arg[i])))
			return strip(e->call.arg[i]);
	return NULL;
}

static bool same(const struct matcher *a, const struct matcher *b)
{
	return a->type == b->type && str_eq(a->name, b->name) &&
	       str_eq(a->value, b->value);
}

size_t select_beyond(struct exec *x, const struct expr *a, const struct expr *b,
		     const struct matcher ***out)
{
	const struct select_node *l = &a->s.sel, *r = &b->s.sel;
	const struct matcher **v =
		ARENA_ARRAY(x->arena, const struct matcher *, l->n_matchers + 1);
	size_t n = 0;
	for (size_t i = 0; i < l->n_matchers; i++) {
		size_t k = 0;
		while (k < r->n_matchers && !same(&l->matchers[i], &r->matchers[k]))
			k++;
		if (k == r->n_matchers)
			v[n++] = &l->matchers[i];
	}
	*out = v;
	return n;
}

/*
 * Without one name, dropping names may make series equal, which is an error of the general selector alone. Replica labels
 * were cut off by the stores, after they had been matched.
 */
bool select_can_filter(const struct exec *x, const struct expr *general,
		       const struct matcher *const *m, size_t n)
{
	const struct promql_query *q = x->q;
	bool named = false;
	for (size_t i = 0; i < general->s.sel.n_matchers; i++) {
		const struct matcher *g = &general->s.sel.matchers[i];
		named |= g->type == MATCH_EQ && g->value.n && str_eq(g->name, LABEL_NAME);
	}
	for (size_t i = 0; i < n && named; i++) {
		named = !is_name_label(m[i]->name);
		for (size_t k = 0; q->dedup && k < q->n_replica_labels; k++)
			named &= !str_eq(m[i]->name, q->replica_labels[k]);
	}
	return named;
}

bool select_filter_is(const struct select_filter *f, const struct matcher *const *m,
		      size_t n)
{
	for (size_t i = 0; i < n && f->n == n; i++) {
		size_t k = 0;
		while (k < n && !same(f->m[k], m[i]))
			k++;
		if (k == n)
			return false;
	}
	return f->n == n;
}

void select_filter_add(struct exec *x, struct select_filter *f,
		       const struct matcher *const *m, size_t n)
{
	const struct matcher **v =
		ARENA_ARRAY(x->arena, const struct matcher *, f->n + n + 1);
	for (size_t i = 0; i < f->n; i++)
		v[i] = f->m[i];
	for (size_t i = 0; i < n; i++)
		v[f->n + i] = m[i];
	f->m = v;
	f->n += n;
}

bool select_filter_passes(const struct select_filter *f, struct labels ls)
{
	for (size_t i = 0; i < f->n; i++)
		if (!matcher_matches(f->m[i], labels_get(ls, f->m[i]->name)))
			return false;
	return true;
}

void select_filter_print(const struct select_filter *f, struct buf *b)
{
	buf_str(b, STR(", only {"));
	for (size_t i = 0; i < f->n; i++) {
		if (i)
			buf_str(b, STR(", "));
		matcher_text(f->m[i], b);
	}
	buf_byte(b, '}');
}
