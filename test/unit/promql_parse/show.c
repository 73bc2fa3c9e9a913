#include <inttypes.h>
#include <math.h>

#include "base/ctx.h"
#include "show.h"

void parsing_init(struct parsing *t, struct str query)
{
	parsing_init_with(t, query, 0);
}

void parsing_init_with(struct parsing *t, struct str query, unsigned features)
{
	ctx_init(&t->ctx, NULL, 0);
	arena_init(&t->a, NULL);
	t->e = ERR_INIT;
	t->rc = promql_parse(&t->ctx, &t->a, query, features, &t->x, &t->e);
}

void parsing_deinit(struct parsing *t)
{
	arena_deinit(&t->a);
	ctx_deinit(&t->ctx);
}

static void show_names(const struct str *v, size_t n, struct buf *b)
{
	buf_byte(b, '(');
	for (size_t i = 0; i < n; i++)
		buf_fmt(b, "%s%.*s", i ? "," : "", STR_FMT(v[i]));
	buf_byte(b, ')');
}

static void show_modifiers(int64_t offset_ms, enum at_kind at, int64_t at_ms,
			   struct buf *b)
{
	static const char *const ats[] = { "", "", " @start", " @end" };
	if (offset_ms)
		buf_fmt(b, " offset %" PRId64, offset_ms);
	buf_fmt(b, "%s", ats[at]);
	if (at == AT_TIME)
		buf_fmt(b, " @%" PRId64, at_ms);
}

static void show_selector(const struct expr *x, struct buf *b)
{
	const struct select_node *s = &x->s.sel;
	buf_fmt(b, "%.*s{", STR_FMT(s->name));
	for (size_t i = 0; i < s->n_matchers - (s->name.n > 0);
	     i++) { /* its own is last */
		if (i)
			buf_byte(b, ',');
		matcher_text(&s->matchers[i], b);
	}
	buf_byte(b, '}');
	if (x->kind == EXPR_MATRIX)
		buf_fmt(b, "[%" PRId64 "]", x->s.range_ms);
	show_modifiers(s->offset_ms, s->at, s->at_ms, b);
}

static void show_aggr(const struct expr *x, struct buf *b)
{
	buf_fmt(b, "%s", aggr_op_text(x->aggr.op));
	if (x->aggr.given) {
		buf_fmt(b, " %s ", x->aggr.without ? "without" : "by");
		show_names(x->aggr.labels, x->aggr.n_labels, b);
	}
	buf_byte(b, '(');
	if (x->aggr.param) {
		show_expr(x->aggr.param, b);
		buf_byte(b, ',');
	}
	show_expr(x->aggr.e, b);
	buf_byte(b, ')');
}

static void show_binary(const struct expr *x, struct buf *b)
{
	static const char *const cards[] = { "1:1", "n:1", "1:n", "n:n" };
	const struct match_node *m = &x->bin.match;
	buf_byte(b, '(');
	show_expr(x->bin.l, b);
	buf_fmt(b, " %s%s ", op_text(x->bin.op), x->bin.ret_bool ? " bool" : "");
	if (m->given) {
		buf_fmt(b, "%s %s", m->on ? "on" : "ignoring", cards[m->card]);
		show_names(m->labels, m->n_labels, b);
		show_names(m->include, m->n_include, b);
		buf_byte(b, ' ');
	}
	show_expr(x->bin.r, b);
	buf_byte(b, ')');
}

static void show_call(const struct expr *x, struct buf *b)
{
	buf_fmt(b, "%s(", fn_sigs[x->call.fn].name);
	for (size_t i = 0; i < x->call.n; i++) {
		if (i)
			buf_byte(b, ',');
		show_expr(x->call.arg[i], b);
	}
	buf_byte(b, ')');
}

void show_expr(const struct expr *x, struct buf *b)
{
	switch (x->kind) {
	case EXPR_DURATION: break; /* shown as the milliseconds that it gives */
	case EXPR_NUMBER: buf_fmt(b, "%.15g", isnan(x->num) ? NAN : x->num); break;
	case EXPR_STRING: label_quote(x->str, b); break;
	case EXPR_VECTOR:
	case EXPR_MATRIX: show_selector(x, b); break;
	case EXPR_SUBQUERY:
		show_expr(x->sub.e, b);
		buf_fmt(b, "[%" PRId64 ":%" PRId64 "]", x->sub.range_ms, x->sub.step_ms);
		show_modifiers(x->sub.offset_ms, x->sub.at, x->sub.at_ms, b);
		break;
	case EXPR_CALL: show_call(x, b); break;
	case EXPR_AGGR: show_aggr(x, b); break;
	case EXPR_BINARY: show_binary(x, b); break;
	case EXPR_UNARY:
		buf_byte(b, x->un.neg ? '-' : '+');
		show_expr(x->un.e, b);
		break;
	case EXPR_PAREN:
		buf_byte(b, '<');
		show_expr(x->inner, b);
		buf_byte(b, '>');
		break;
	}
}
