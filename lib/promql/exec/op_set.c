/*
 * promql/exec/op_set.c - and, or, unless: rows of one side pass, less the steps at which the other side has, or has not, a
 * row of their signature. Held: a presence bitmap a signature.
 *
 * Source  prometheus.md §2.2
 */
#include "promql/exec/join_int.h"

struct op_set {
	struct op op;
	struct sigs sigs; /* of the right side; of `or`: the left one's */
	bool ready;
};

static int note_batch(struct op_set *s, struct exec *x, const struct batch *b,
		      struct err *e)
{
	for (size_t k = 0; k < b->n; k++) {
		struct sig *g;
		if (sigs_of(&s->sigs, x, b->row[k].labels, true, &g, e) < 0)
			return -1;
		for (size_t w = 0; w < BITS_WORDS(s->op.grid.n); w++)
			g->bits[w] |= b->row[k].bits[w];
	}
	return 0;
}

static int read_right(struct op_set *s, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	while ((rc = op_next(s->op.in[1], x, &b, e)) > 0)
		if (note_batch(s, x, b, e) < 0)
			return -1;
	return rc < 0 ? op_fails_before(s->op.in[0], x, e) : 0;
}

/* Mask a row by its signature's presence; the row is kept if anything is left. */
static int mask_row(struct op_set *s, struct exec *x, struct row *r, bool keep_present,
		    struct err *e)
{
	struct sig *g;
	if (sigs_of(&s->sigs, x, r->labels, false, &g, e) < 0)
		return -1;
	for (size_t w = 0; w < BITS_WORDS(s->op.grid.n); w++) {
		uint64_t m = g ? g->bits[w] : 0;
		r->bits[w] &= keep_present ? m : ~m;
	}
	return bits_any(r->bits, s->op.grid.n);
}

static int mask_batch(struct op_set *s, struct exec *x, struct batch *b,
		      bool keep_present, struct err *e)
{
	size_t k = 0;
	for (size_t i = 0; i < b->n; i++) {
		int rc = mask_row(s, x, &b->row[i], keep_present, e);
		if (rc < 0)
			return -1;
		if (rc)
			b->row[k++] = b->row[i];
	}
	b->n = k;
	return 1;
}

static int and_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_set *s = (struct op_set *)op;
	if (!s->ready && read_right(s, x, e) < 0)
		return -1;
	s->ready = true;
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	return mask_batch(s, x, *out, op->expr->bin.op == OP_AND, e);
}

/* Left rows as they are; then right rows where no left row of their signature is present. */
static int or_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_set *s = (struct op_set *)op;
	if (!s->ready) {
		int rc = op_next(op->in[0], x, out, e);
		if (rc > 0)
			return note_batch(s, x, *out, e) < 0 ? -1 : 1;
		if (rc < 0)
			return -1;
		s->ready = true;
	}
	int rc = op_next(op->in[1], x, out, e);
	if (rc <= 0)
		return rc;
	return mask_batch(s, x, *out, false, e);
}

static void set_close(struct op *op)
{
	sigs_deinit(&((struct op_set *)op)->sigs);
}

static const struct op_ops and_ops = { "and-unless", NULL, and_next, set_close };
static const struct op_ops or_ops = { "or", NULL, or_next, set_close };

int op_set_new(struct exec *x, const struct expr *e, struct op *l, struct op *r,
	       struct op **out, struct err *err)
{
	bool is_or = e->bin.op == OP_OR;
	(void)err;
	struct op_set *s = op_alloc(x, sizeof(*s), is_or ? &or_ops : &and_ops, l->grid,
				    TYPE_VECTOR, e);
	sigs_init(&s->sigs, x, &e->bin.match, l->grid.n);
	s->op.in[0] = l;
	s->op.in[1] = r;
	s->op.unique = l->unique && !is_or;
	s->op.nameless = l->nameless && (!is_or || r->nameless);
	*out = &s->op;
	return 0;
}
