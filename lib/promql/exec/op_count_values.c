/*
 * promql/exec/op_count_values.c - count_values: a row of counts for each value seen in each group, the value being a label
 * of the result. Class holistic: held are values x steps; the rows themselves pass by.
 *
 * Source  prometheus.md §2.7 (floats shortest without exponent, histograms as text)
 */
#include "promql/exec/group.h"

#include <math.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/vec.h"
#include "wire/num.h"

struct tally {
	uint32_t group;
	uint32_t next;	 /* equal hash: ordinal + 1 */
	uint64_t bits;	 /* of a float */
	struct str text; /* of a histogram; empty: a float */
	struct row row;
};
struct op_count_values {
	struct op op;
	struct str label;
	bool shown; /* the label stays in the result */
	bool done;
	struct groups groups;
	struct map64 index; /* hash of group and value -> ordinal + 1 */
	struct tally *tally;
	size_t n, cap;
	struct buf text;
	struct batch out;
};

/* One NaN is like the other: they have one text. */
static uint64_t bits_of(double v)
{
	uint64_t u;
	if (isnan(v))
		v = NAN;
	memcpy(&u, &v, sizeof(u));
	return u;
}

/* ---- labels of the result ---- */

static int tally_labels(struct op_count_values *o, struct exec *x, struct tally *t,
			struct err *e)
{
	struct labels key = o->groups.key[t->group].labels;
	char num[NUM_MAX];
	t->row.labels = key;
	if (!o->shown)
		return 0;
	struct str text = t->text;
	if (!text.n) {
		double v;
		memcpy(&v, &t->bits, sizeof(v));
		text = str_dup(x->arena, str_n(num, num_f64_plain(num, v)));
	}
	struct label *l = arena_try(x->arena, x->ctx, (key.n + 1) * sizeof(*l), e);
	if (!l)
		return -1;
	uint32_t at = 0;
	while (at < key.n && str_cmp(key.l[at].name, o->label) < 0)
		at++;
	for (uint32_t i = 0; i < key.n; i++)
		l[i + (i >= at)] = key.l[i];
	l[at] = (struct label){ o->label, text };
	t->row.labels = (struct labels){ l, key.n + 1, 0 };
	return 0;
}

/* ---- counting ---- */

static bool is_tally(const struct tally *t, uint32_t group, uint64_t bits,
		     struct str text)
{
	return t->group == group && t->bits == bits && str_eq(t->text, text);
}

static int tally_of(struct op_count_values *o, struct exec *x, uint32_t group,
		    uint64_t bits, struct str text, uint32_t *out, struct err *e)
{
	uint64_t h = hash_xx64(text.n ? text.p : (const char *)&bits,
			       text.n ? text.n : sizeof(bits), group);
	uintptr_t first = 0, at;
	(void)map64_get(&o->index, h, &first);
	for (at = first; at; at = o->tally[at - 1].next)
		if (is_tally(&o->tally[at - 1], group, bits, text)) {
			*out = (uint32_t)at - 1;
			return 0;
		}
	if (o->n == o->cap)
		o->tally = vec_grow(o->tally, &o->cap, o->n + 1, sizeof(*o->tally));
	struct tally *t = &o->tally[o->n];
	*t = (struct tally){ .group = group, .next = (uint32_t)first, .bits = bits };
	if (text.n)
		t->text = str_dup(x->arena, text);
	if (row_new(x, x->arena, o->op.grid.n, false, &t->row, e) < 0 ||
	    tally_labels(o, x, t, e) < 0)
		return -1;
	*out = (uint32_t)o->n++;
	map64_set(&o->index, h, o->n);
	return 0;
}

static int hist_key(struct op_count_values *o, struct exec *x, const struct hist *h,
		    struct str *text, struct err *e)
{
	buf_reset(&o->text);
	hist_text(h, &o->text);
	if (buf_check(&o->text, x->ctx, "text of a histogram", e) < 0)
		return -1;
	*text = buf_view(&o->text);
	return 0;
}

static int count_row(struct op_count_values *o, struct exec *x, const struct row *r,
		     struct err *e)
{
	uint32_t group, at = UINT32_MAX;
	if (groups_of(&o->groups, x, r->labels, &group, e) < 0)
		return -1;
	EACH_BIT(i, r->bits, o->op.grid.n)
	{
		const struct hist *h = r->h ? r->h[i] : NULL;
		struct str text = STR_NULL;
		uint64_t bits = 0;
		if (o->shown && h && hist_key(o, x, h, &text, e) < 0)
			return -1;
		if (o->shown && !h)
			bits = bits_of(r->v[i]);
		/* values rarely change from step to step */
		if ((at == UINT32_MAX || !is_tally(&o->tally[at], group, bits, text)) &&
		    tally_of(o, x, group, bits, text, &at, e) < 0)
			return -1;
		struct row *to = &o->tally[at].row;
		to->v[i] = bit_get(to->bits, i) ? to->v[i] + 1 : 1;
		bit_set(to->bits, i);
	}
	return 0;
}

static int count_all(struct op_count_values *o, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	if (!o->label.n || !str_is_utf8(o->label)) {
		struct buf q;
		buf_init(&q, 1 << 20);
		label_quote(o->label, &q);
		rc = err_set(x->ctx, e, E_EXEC, "invalid label name %.*s",
			     STR_FMT(buf_view(&q)));
		buf_deinit(&q);
		return rc;
	}
	while ((rc = op_next(o->op.in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			if (count_row(o, x, &b->row[k], e) < 0)
				return -1;
	if (rc < 0)
		return -1;
	struct row *rows = arena_try(x->arena, x->ctx, o->n * sizeof(*rows) + 1, e);
	if (!rows)
		return -1;
	for (size_t i = 0; i < o->n; i++)
		rows[i] = o->tally[i].row;
	o->out = (struct batch){ rows, o->n };
	return 0;
}

static int count_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_count_values *o = (struct op_count_values *)op;
	if (o->done)
		return 0;
	o->done = true;
	if (count_all(o, x, e) < 0)
		return -1;
	*out = &o->out;
	return o->out.n != 0;
}

static void count_close(struct op *op)
{
	struct op_count_values *o = (struct op_count_values *)op;
	groups_deinit(&o->groups);
	map64_deinit(&o->index);
	buf_deinit(&o->text);
	free(o->tally);
}

static const struct op_ops count_ops = { "count_values", NULL, count_next, count_close };

/* `by` always shows the label; `without` where it is not among those left out, and the metric name always is. */
static bool label_shown(const struct expr *e, struct str label)
{
	if (!e->aggr.without)
		return true;
	for (size_t i = 0; i < e->aggr.n_labels; i++)
		if (str_eq(e->aggr.labels[i], label))
			return false;
	return !str_eq(label, LABEL_NAME);
}

int op_count_values_new(struct exec *x, const struct expr *e, struct grid g,
			struct op **out, struct err *err)
{
	struct op_count_values *o =
		op_alloc(x, sizeof(*o), &count_ops, g, TYPE_VECTOR, e);
	o->label = expr_strip(e->aggr.param)->str;
	o->shown = label_shown(e, o->label);
	groups_init_apart(&o->groups, x, e, o->label);
	map64_init(&o->index);
	buf_init(&o->text, (size_t)1 << 24);
	o->op.unique = true;
	o->op.nameless = groups_nameless(&o->groups) && !str_eq(o->label, LABEL_NAME);
	*out = &o->op;
	return aggr_input_plan(x, e, g, &o->op.in[0], err);
}
