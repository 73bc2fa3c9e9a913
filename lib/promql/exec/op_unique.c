/*
 * promql/exec/op_unique.c - behind an operator that dropped metric names: rows of equal labels must not
 * be present at the same step. Class relabel: holds labels and presence bitmaps, passes the values on.
 */
#include "promql/exec/exec_int.h"

struct seen_row {
	struct labels labels;
	uint64_t *bits;
};
struct op_unique {
	struct op op;
	bool off;
	struct map64 seen; /* hash (probed upwards) -> struct seen_row * */
};

static int check(struct op_unique *u, struct exec *x, const struct row *r, struct err *e)
{
	size_t words = BITS_WORDS(u->op.grid.n);
	uintptr_t at;
	uint64_t h = labels_hash(r->labels);
	for (; map64_get(&u->seen, h, &at); h++) {
		struct seen_row *s = (struct seen_row *)at;
		if (!labels_eq(s->labels, r->labels))
			continue;
		for (size_t w = 0; w < words; w++) {
			if (s->bits[w] & r->bits[w])
				return err_set(x->ctx, e, E_EXEC, DUP_LABELSET);
			s->bits[w] |= r->bits[w];
		}
		return 0;
	}
	struct seen_row *s = ARENA_NEW(x->arena, struct seen_row);
	s->bits = arena_try(x->arena, x->ctx, words * 8, e);
	if (!s->bits || labels_try_dup(x->arena, x->ctx, r->labels, &s->labels, e) < 0)
		return -1;
	memcpy(s->bits, r->bits, words * 8);
	map64_set(&u->seen, h, (uintptr_t)s);
	return 0;
}

static int unique_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_unique *u = (struct op_unique *)op;
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	for (size_t i = 0; i < (*out)->n && !u->off; i++)
		if (check(u, x, &(*out)->row[i], e) < 0)
			return -1;
	return 1;
}

static void unique_close(struct op *op)
{
	map64_deinit(&((struct op_unique *)op)->seen);
}

static const struct op_ops unique_ops = { "unique", NULL, unique_next, unique_close };

/* Do all rows carry the same metric name, or none? */
static bool one_name(const struct op *in)
{
	const struct expr *e = in->expr;
	if (in->nameless)
		return true;
	for (size_t i = 0; e->kind == EXPR_VECTOR && i < e->s.sel.n_matchers; i++)
		if (e->s.sel.matchers[i].type == MATCH_EQ &&
		    e->s.sel.matchers[i].value.n &&
		    str_eq(e->s.sel.matchers[i].name, LABEL_NAME))
			return true;
	return false;
}

int op_unique_new(struct exec *x, struct op *op, struct op **out)
{
	return op_unique_of(x, op, op->in[0], out);
}

int op_unique_of(struct exec *x, struct op *op, const struct op *in, struct op **out)
{
	*out = op;
	if (x->q->delayed_names) {
		op->unique = in->unique;
		op->nameless = in->nameless;
		return 0;
	}
	op->nameless = true;
	if (in->unique && one_name(in)) {
		op->unique = true;
		return 0;
	}
	*out = op_unique_wrap(x, op);
	return 0;
}

void op_unique_off(struct op *unique)
{
	((struct op_unique *)unique)->off = true;
}

struct op *op_unique_wrap(struct exec *x, struct op *op)
{
	struct op_unique *u =
		op_alloc(x, sizeof(*u), &unique_ops, op->grid, op->type, op->expr);
	map64_init(&u->seen);
	u->op.in[0] = op;
	u->op.wrapper = true;
	u->op.nameless = op->nameless;
	return &u->op;
}
