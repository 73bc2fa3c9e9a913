/*
 * promql/exec/rows.c - rows, bitmaps, sets of rows by labels.
 */
#include "promql/exec/exec_int.h"

#include <math.h>
#include <stdlib.h>

#include "base/vec.h"

bool bits_any(const uint64_t *b, uint32_t n)
{
	for (size_t i = 0; i < BITS_WORDS(n); i++)
		if (b[i])
			return true;
	return false;
}

void bits_fill(uint64_t *b, uint32_t n)
{
	memset(b, 0xff, BITS_WORDS(n) * 8);
	if (n & 63)
		b[n >> 6] = (1ull << (n & 63)) - 1;
}

uint32_t bits_search(const uint64_t *b, uint32_t from, uint32_t n)
{
	while (from < n) {
		uint64_t w = b[from >> 6] >> (from & 63);
		if (w)
			return from + (uint32_t)__builtin_ctzll(w);
		from = (from | 63) + 1;
	}
	return n;
}

int row_new(struct exec *x, struct arena *a, uint32_t n, bool hists, struct row *out,
	    struct err *e)
{
	size_t words = BITS_WORDS(n);
	/* whatever makes rows ends with the query, also in the middle of a batch */
	if (ctx_check(x->ctx, e) < 0)
		return -1;
	char *p = arena_try(a, x->ctx, (size_t)n * 8 * (hists ? 2 : 1) + words * 8, e);
	if (!p)
		return -1;
	out->drop_name = false;
	out->bits = (uint64_t *)p;
	out->v = (double *)(p + words * 8);
	out->h = hists ? (const struct hist **)(p + words * 8 + (size_t)n * 8) : NULL;
	memset(out->bits, 0, words * 8);
	if (hists)
		memset(out->h, 0, (size_t)n * 8);
	return 0;
}

int row_want_hists(struct exec *x, struct arena *a, uint32_t n, struct row *r,
		   struct err *e)
{
	if (r->h)
		return 0;
	const struct hist **h = arena_try(a, x->ctx, (size_t)n * sizeof(*h), e);
	if (!h)
		return -1;
	memset(h, 0, (size_t)n * sizeof(*h));
	r->h = h;
	return 0;
}

int row_copy(struct exec *x, struct arena *a, uint32_t n, const struct row *from,
	     struct row *out, struct err *e)
{
	if (row_new(x, a, n, from->h != NULL, out, e) < 0 ||
	    labels_try_dup(a, x->ctx, from->labels, &out->labels, e) < 0)
		return -1;
	out->drop_name = from->drop_name;
	memcpy(out->v, from->v, (size_t)n * 8);
	memcpy(out->bits, from->bits, BITS_WORDS(n) * 8);
	if (from->h)
		EACH_BIT(i, from->bits, n)
	out->h[i] = from->h[i] ? hist_dup(a, from->h[i]) : NULL;
	return 0;
}

static bool is_constant(const struct row *r, uint32_t n, uint64_t *value)
{
	uint32_t first = bits_next(r->bits, 0, n);
	if (r->h || first == n)
		return false;
	*value = f64_bits(r->v[first]);
	EACH_BIT(i, r->bits, n)
	if (f64_bits(r->v[i]) != *value)
		return false;
	return true;
}

static double *column_of(struct exec *x, struct map64 *columns, uint32_t n,
			 uint64_t value, struct err *e)
{
	uintptr_t at;
	if (map64_get(columns, value, &at))
		return (double *)at;
	double *v = arena_try(x->arena, x->ctx, (size_t)n * sizeof(*v), e);
	if (!v)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		memcpy(&v[i], &value, sizeof(value));
	map64_set(columns, value, (uintptr_t)v);
	return v;
}

int row_hold(struct exec *x, struct map64 *columns, uint32_t n, const struct row *from,
	     struct row *out, struct err *e)
{
	uint64_t value;
	size_t words = BITS_WORDS(n);
	if (!is_constant(from, n, &value))
		return row_copy(x, x->arena, n, from, out, e);
	*out = (struct row){ .drop_name = from->drop_name };
	if (ctx_check(x->ctx, e) < 0 ||
	    labels_try_dup(x->arena, x->ctx, from->labels, &out->labels, e) < 0 ||
	    !(out->v = column_of(x, columns, n, value, e)) ||
	    !(out->bits = arena_try(x->arena, x->ctx, words * 8, e)))
		return -1;
	memcpy(out->bits, from->bits, words * 8);
	return 0;
}

const struct str row_name_labels[ROW_NAME_LABELS] = {
	{ "__name__", sizeof("__name__") - 1 },
	{ "__type__", sizeof("__type__") - 1 },
	{ "__unit__", sizeof("__unit__") - 1 }
};

bool is_name_label(struct str name)
{
	for (size_t i = 0; i < ROW_NAME_LABELS; i++)
		if (str_eq(name, row_name_labels[i]))
			return true;
	return false;
}

void row_cut_name(struct row *r)
{
	struct label *l = (struct label *)(uintptr_t)
				  r->labels.l; /* rows are the consumer's to change */
	struct labels left = labels_drop(l, r->labels, row_name_labels, ROW_NAME_LABELS);
	if (left.n != r->labels.n)
		left.hash = 0;
	r->labels = left;
	r->drop_name = false;
}

void row_drop_name(struct exec *x, struct row *r)
{
	if (x->q->delayed_names)
		r->drop_name = true;
	else
		row_cut_name(r);
}

void row_set_init(struct row_set *s, uint32_t steps)
{
	*s = (struct row_set){ .steps = steps };
	map64_init(&s->index);
}

void row_set_deinit(struct row_set *s)
{
	map64_deinit(&s->index);
	free(s->row);
	free(s->next);
}

struct row *row_set_find(struct row_set *s, struct labels ls)
{
	uintptr_t at;
	if (!map64_get(&s->index, labels_hash(ls), &at))
		return NULL;
	for (; at; at = s->next[at - 1])
		if (labels_eq(s->row[at - 1].labels, ls))
			return &s->row[at - 1];
	return NULL;
}

static uint32_t first_step(const struct row *r, uint32_t n)
{
	return bits_next(r->bits, 0, n);
}

static int merge_row(struct exec *x, struct row_set *s, struct row *to,
		     const struct row *r, const char *dup, struct err *e)
{
	for (size_t w = 0; w < BITS_WORDS(s->steps); w++)
		if (to->bits[w] & r->bits[w])
			return err_set(x->ctx, e, E_EXEC, "%s", dup);
	if (r->h && row_want_hists(x, x->arena, s->steps, to, e) < 0)
		return -1;
	/* COMPAT: Prometheus 3.14 puts samples of equal labels into one series, and the first one says whether the name
	 * goes */
	if (r->drop_name != to->drop_name &&
	    first_step(r, s->steps) < first_step(to, s->steps))
		to->drop_name = r->drop_name;
	EACH_BIT(i, r->bits, s->steps)
	{
		to->v[i] = r->v[i];
		if (r->h && r->h[i])
			to->h[i] = hist_dup(x->arena, r->h[i]);
		bit_set(to->bits, i);
	}
	return 0;
}

static void index_row(struct row_set *s, size_t k)
{
	uint64_t h = labels_hash(s->row[k].labels);
	uintptr_t first = 0;
	(void)map64_get(&s->index, h, &first);
	s->next[k] = (uint32_t)first;
	map64_set(&s->index, h, k + 1);
}

static void make_room(struct row_set *s)
{
	if (s->n < s->cap)
		return;
	size_t cap = s->cap;
	s->row = vec_grow(s->row, &cap, s->n + 1, sizeof(*s->row));
	s->next = vec_grow(s->next, &s->cap, s->n + 1, sizeof(*s->next));
	BUG_ON(cap != s->cap);
}

int row_set_add_absent(struct exec *x, struct row_set *s, struct labels ls,
		       bool drop_name, struct err *e)
{
	make_room(s);
	struct row *r = &s->row[s->n];
	if (row_new(x, x->arena, s->steps, false, r, e) < 0 ||
	    labels_try_dup(x->arena, x->ctx, ls, &r->labels, e) < 0)
		return -1;
	r->drop_name = drop_name;
	index_row(s, s->n++);
	return 0;
}

int row_set_add(struct exec *x, struct row_set *s, const struct row *r, const char *dup,
		struct err *e)
{
	struct row *have = row_set_find(s, r->labels);
	if (have)
		return merge_row(x, s, have, r, dup, e);
	make_room(s);
	if (row_copy(x, x->arena, s->steps, r, &s->row[s->n], e) < 0)
		return -1;
	index_row(s, s->n++);
	return 0;
}

int row_set_cut_names(struct exec *x, struct row_set *s, const char *dup, struct err *e)
{
	bool any = false;
	for (size_t k = 0; k < s->n; k++)
		if (s->row[k].drop_name) {
			row_cut_name(&s->row[k]);
			any = true;
		}
	if (!any)
		return 0;
	size_t n = s->n;
	map64_deinit(&s->index);
	map64_init(&s->index);
	s->n = 0;
	for (size_t k = 0; k < n; k++) {
		struct row *have = row_set_find(s, s->row[k].labels);
		if (have) {
			if (merge_row(x, s, have, &s->row[k], dup, e) < 0)
				return -1;
			continue;
		}
		s->row[s->n] = s->row[k];
		index_row(s, s->n++);
	}
	return 0;
}

double go_max(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isinf(a) && a > 0 ? a : isinf(b) && b > 0 ? b : NAN;
	if (a == 0 && b == 0)
		return signbit(a) ? b : a;
	return a > b ? a : b;
}
double go_min(double a, double b)
{
	if (isnan(a) || isnan(b))
		return isinf(a) && a < 0 ? a : isinf(b) && b < 0 ? b : NAN;
	if (a == 0 && b == 0)
		return signbit(a) ? a : b;
	return a < b ? a : b;
}
