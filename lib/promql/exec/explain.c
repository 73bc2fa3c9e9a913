/*
 * promql/exec/explain.c - the plan of a query as a tree for people: what each operator is, and (of a query that ran with
 * `analyze`) what it took.
 */
#include "promql/exec/select_int.h"

#define MAX_TEXT 400 /* bytes of an expression that a name shows */

static void put_labels(struct buf *b, const struct str *names, size_t n)
{
	buf_str(b, STR(" ("));
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_str(b, STR(", "));
		buf_str(b, names[i]);
	}
	buf_byte(b, ')');
}

static void put_matching(struct buf *b, const struct expr *e)
{
	const struct match_node *m = &e->bin.match;
	if (e->bin.ret_bool)
		buf_str(b, STR(" bool"));
	if (m->given) {
		buf_str(b, m->on ? STR(" on") : STR(" ignoring"));
		put_labels(b, m->labels, m->n_labels);
	}
	if (m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY) {
		buf_str(b, m->card == CARD_MANY_TO_ONE ? STR(" group_left")
						       : STR(" group_right"));
		put_labels(b, m->include, m->n_include);
	}
}

/* What the node itself does; its inputs are shown below it. */
static void put_detail(struct buf *b, const struct op *op)
{
	const struct expr *e = op->expr;
	switch (e->kind) {
	case EXPR_AGGR:
		buf_fmt(b, " %s", aggr_op_text(e->aggr.op));
		if (e->aggr.given || e->aggr.n_labels) {
			buf_str(b, e->aggr.without ? STR(" without") : STR(" by"));
			put_labels(b, e->aggr.labels, e->aggr.n_labels);
		}
		return;
	case EXPR_BINARY:
		buf_fmt(b, " %s", op_text(e->bin.op));
		put_matching(b, e);
		return;
	case EXPR_UNARY: buf_str(b, e->un.neg ? STR(" -") : STR(" +")); return;
	case EXPR_CALL:
		if (op->in[0]) { /* else it has taken its argument in: shown whole */
			buf_fmt(b, " %s", fn_sigs[e->call.fn].name);
			return;
		}
		break;
	default: break;
	}
	buf_byte(b, ' ');
	promql_print(e, b);
}

static void put_along(struct buf *b, const struct op *op)
{
	buf_str(b, STR(", fed by"));
	put_detail(b, op->along);
}

/* An aggregation's selector is made with the aggregation as its expression, which says nothing about what is read. */
void plan_print(const struct op *op, struct buf *b)
{
	const struct expr *e = op->expr;
	while (str_eqz(STR("select"), op->ops->name) && e->kind == EXPR_AGGR)
		e = expr_strip(e->aggr.e);
	promql_print(e, b);
}

static struct str name_of(struct exec *x, const struct op *op)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_fmt(&b, "[%s]", op->ops->name);
	if (str_eqz(STR("select"), op->ops->name)) {
		buf_byte(&b, ' ');
		plan_print(op, &b);
		op_select_print_needs(op, &b);
	} else if (op->expr && !op->wrapper) {
		put_detail(&b, op);
		if (op->only)
			select_filter_print(op->only, &b);
		if (op->along)
			put_along(&b, op);
	}
	struct str s = buf_view(&b), cut = str_n(s.p, MIN(s.n, (size_t)MAX_TEXT));
	while (cut.n < s.n && cut.n && ((uint8_t)s.p[cut.n] & 0xc0) == 0x80)
		cut.n--; /* not inside a character */
	struct str name = cut.n < s.n ? str_fmt(x->arena, "%.*s...", STR_FMT(cut))
				      : str_dup(x->arena, s);
	buf_deinit(&b);
	return name;
}

static struct promql_plan *show(struct exec *x, struct op *op)
{
	struct promql_plan *p = ARENA_NEW(x->arena, struct promql_plan);
	struct promql_plan **last = &p->child;
	*p = (struct promql_plan){ .name = name_of(x, op),
				   .took_ns = op->took_ns,
				   .rows = op->rows,
				   .series = op->read.series,
				   .chunks = op->read.chunks,
				   .bytes = op->read.bytes,
				   .samples = atomic_load(&op->samples) };
	for (size_t i = 0; i < x->n_ops; i++) {
		if (x->ops[i]->up != op)
			continue;
		*last = show(x, x->ops[i]);
		last = &(*last)->next;
	}
	return p;
}

int plan_show(struct exec *x, struct op *root, struct promql_plan **out, struct err *e)
{
	*out = show(x, root);
	return ctx_check(x->ctx, e);
}
