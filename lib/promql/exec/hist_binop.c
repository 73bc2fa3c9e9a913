/*
 * promql/exec/hist_binop.c - h+h h-h h*f f*h h/f, h</f h>/f, h==h h!=h; everything else drops the element and says so.
 * Source  prometheus.md §2.6
 */
#include "promql/exec/hist_binop.h"

#include "promql/exec/hist_mean.h"

/* What was met; types are TYPES + 2 x (left is a histogram) + (right is one). */
enum { MET_NOTHING, MET_COLLISION, MET_RECONCILED, MET_LAYOUT, MET_TYPES };

void hist_binop_init(struct hist_binop *b, struct exec *x, const struct expr *e,
		     uint32_t n)
{
	*b = (struct hist_binop){ .x = x, .e = e, .n = n };
}

void hist_binop_batch(struct hist_binop *b, struct arena *a)
{
	hist_work_init(&b->work, a);
	hist_acc_init(&b->acc, &b->work);
}

static void meet(struct hist_binop *b, uint32_t step, unsigned what)
{
	if (!b->last)
		b->last = arena_zalloc(b->x->arena, b->n);
	b->last[step] = (uint8_t)what;
}

static struct operand taken(struct hist_binop *b, bool compact)
{
	return (struct operand){ 0, hist_acc_take(&b->acc, compact) };
}

static struct binop_result both(struct hist_binop *b, uint32_t step, const struct hist *l,
				const struct hist *r)
{
	enum bin_op op = b->e->bin.op;
	struct binop_result res = { .keep = true, .is.h = l };
	if (op == OP_EQ || op == OP_NE) {
		res.keep = hist_eq(l, r) == (op == OP_EQ);
		return res;
	}
	hist_acc_set(&b->acc, l);
	unsigned met = op == OP_ADD ? hist_acc_add(&b->acc, r) : hist_acc_sub(&b->acc, r);
	if (met & (HIST_INCOMPATIBLE | HIST_COLLISION)) {
		meet(b, step, met & HIST_INCOMPATIBLE ? MET_LAYOUT : MET_COLLISION);
		res.dropped = true;
		return res;
	}
	if (met & HIST_RECONCILED)
		meet(b, step, MET_RECONCILED);
	if (op == OP_SUB)
		b->acc.hint = HIST_GAUGE;
	res.is = taken(b, true);
	return res;
}

static struct binop_result scaled(struct hist_binop *b, const struct hist *h, double f)
{
	hist_acc_set(&b->acc, h);
	switch (b->e->bin.op) {
	case OP_MUL: hist_acc_mul(&b->acc, f); break;
	case OP_DIV: hist_acc_div(&b->acc, f); break;
	default: hist_acc_trim(&b->acc, f, b->e->bin.op == OP_TRIM_UPPER);
	}
	bool arithmetic = b->e->bin.op == OP_MUL || b->e->bin.op == OP_DIV;
	return (struct binop_result){ .keep = true, .is = taken(b, arithmetic) };
}

struct binop_result hist_binop_eval(struct hist_binop *b, uint32_t step, struct operand l,
				    struct operand r)
{
	enum bin_op op = b->e->bin.op;
	if (l.h && r.h && (op == OP_ADD || op == OP_SUB || op == OP_EQ || op == OP_NE))
		return both(b, step, l.h, r.h);
	if (l.h && !r.h &&
	    (op == OP_MUL || op == OP_DIV || op == OP_TRIM_UPPER || op == OP_TRIM_LOWER))
		return scaled(b, l.h, r.v);
	if (!l.h && r.h && op == OP_MUL)
		return scaled(b, r.h, l.v);
	meet(b, step, MET_TYPES + 2 * (l.h != NULL) + (r.h != NULL));
	return (struct binop_result){ .dropped = true };
}

static void say(struct hist_binop *b, unsigned what)
{
	static const char *const kinds[] = { "float", "histogram" };
	const char *op = op_text(b->e->bin.op);
	const char *word = b->e->bin.op == OP_ADD ? "addition" : "subtraction";
	switch (what) {
	case MET_NOTHING: return;
	case MET_COLLISION:
		anno_warn(b->x, b->e, "%s%s", HIST_COLLISION_WARNING, word);
		return;
	case MET_RECONCILED:
		anno_info(b->x, b->e, "%s%s", HIST_RECONCILED_INFO, word);
		return;
	case MET_LAYOUT:
		anno_warn(b->x, b->e,
			  "incompatible bucket layout encountered for binary operator %s",
			  op);
		return;
	default: break;
	}
	what -= MET_TYPES;
	anno_info(
		b->x, b->e,
		"incompatible sample types encountered for binary operator \"%s\": %s %s %s",
		op, kinds[what >> 1], op, kinds[what & 1]);
}

void hist_binop_say(struct hist_binop *b)
{
	unsigned said = 0;
	for (uint32_t i = 0; b->last && i < b->n; i++) {
		unsigned bit = 1u << b->last[i];
		if (!(said & bit))
			say(b, b->last[i]);
		said |= bit;
	}
	b->last = NULL;
}
