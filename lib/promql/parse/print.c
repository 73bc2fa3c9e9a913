/*
 * promql/parse/print.c - an expression as one line of text that parses to the same tree.
 *
 * Parentheses stand where they were written, so none has to be made up. Written away are what says
 * nothing (by (), ignoring (), a zero offset, a plus before a duration); matchers are sorted by
 * their text. A literal with a unit is printed as a duration, cut to ms.
 *
 * Byte for byte as Prometheus prints, but where its text means something else: offsets that would not
 * end, or too early (x offset +(5m) * 2, x offset --5 * 2), and info(x, {}).
 * Source  prometheus.md §2.12
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"
#include "promql/parse/print_int.h"
#include "wire/num.h"

static void put(struct buf *b, const char *z)
{
	buf_str(b, str_of(z));
}

/* ---- numbers, durations ---- */

static void put_number(double v, struct buf *b)
{
	char text[NUM_MAX];
	buf_add(b, text, num_f64_plain(text, v));
}

/* Years and weeks only where nothing is left over: 90d, not 12w6d. */
static void put_duration(int64_t ms, struct buf *b)
{
	static const struct {
		const char *unit;
		uint64_t ms;
		bool exact;
	} rows[] = { { "y", UINT64_C(31536000000), true },
		     { "w", 604800000, true },
		     { "d", 86400000, false },
		     { "h", 3600000, false },
		     { "m", 60000, false },
		     { "s", 1000, false },
		     { "ms", 1, false } };
	uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	if (ms == 0)
		put(b, "0s");
	if (ms < 0)
		put(b, "-");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (left < rows[i].ms || (rows[i].exact && left % rows[i].ms))
			continue;
		buf_fmt(b, "%" PRIu64 "%s", left / rows[i].ms, rows[i].unit);
		left %= rows[i].ms;
	}
}

static void put_literal(const struct expr *x, struct buf *b)
{
	double ns = x->num * 1e9;
	if (!x->unit)
		put_number(x->num, b);
	else if (ns >= 9223372036854775807.0 || ns <= -9223372036854775808.0)
		put_duration(ns < 0 ? INT64_MIN / 1000000 : INT64_MAX / 1000000, b);
	else
		put_duration((int64_t)ns / 1000000, b);
}

const char *dur_op_text(enum dur_op op)
{
	static const char *const texts[] = {
		[DUR_ADD] = "+",       [DUR_SUB] = "-",		[DUR_MUL] = "*",
		[DUR_DIV] = "/",       [DUR_MOD] = "%",		[DUR_POW] = "^",
		[DUR_NEG] = "-",       [DUR_POS] = "+",		[DUR_STEP] = "step",
		[DUR_RANGE] = "range", [DUR_MIN_OF] = "min_of", [DUR_MAX_OF] = "max_of",
	};
	return texts[op];
}

static void put_duration_expr(const struct expr *x, struct buf *b)
{
	const char *op = dur_op_text(x->dur.op);
	if (x->dur.wrapped)
		put(b, "(");
	switch (x->dur.op) {
	case DUR_STEP:
	case DUR_RANGE: buf_fmt(b, "%s()", op); break;
	case DUR_MIN_OF:
	case DUR_MAX_OF:
		buf_fmt(b, "%s(", op);
		promql_print(x->dur.l, b);
		put(b, ", ");
		promql_print(x->dur.r, b);
		put(b, ")");
		break;
	case DUR_NEG:
	case DUR_POS:
		put(b, x->dur.op == DUR_NEG ? "-" : "");
		promql_print(x->dur.r, b);
		break;
	default:
		promql_print(x->dur.l, b);
		buf_fmt(b, " %s ", op);
		promql_print(x->dur.r, b);
		break;
	}
	if (x->dur.wrapped)
		put(b, ")");
}

/* Does an offset of this end by itself (parse_durexpr.c), whatever comes behind? */
static bool ends_early(const struct expr *e)
{
	bool calls = e->dur.op >= DUR_STEP && !e->dur.wrapped;
	const struct expr *r = e->dur.r;
	if (calls)
		return true;
	if (e->dur.wrapped || (e->dur.op != DUR_NEG && e->dur.op != DUR_POS))
		return false;
	return r->kind == EXPR_DURATION &&
	       (r->dur.wrapped ? e->dur.op == DUR_NEG : r->dur.op >= DUR_STEP);
}

/* Does its text begin with what makes an offset an expression to its end: "(" or two signs? */
static bool begins_open(const struct expr *e)
{
	while (e->kind == EXPR_DURATION && !e->dur.wrapped && e->dur.op <= DUR_POW)
		e = e->dur.l;
	if (e->kind != EXPR_DURATION || e->dur.wrapped)
		return e->kind == EXPR_DURATION;
	const struct expr *r = e->dur.r;
	if (e->dur.op != DUR_NEG)
		return false;
	while (r->kind == EXPR_DURATION && !r->dur.wrapped && r->dur.op <= DUR_POW)
		r = r->dur.l;
	return r->kind == EXPR_NUMBER ? r->num < 0
				      : !r->dur.wrapped && r->dur.op == DUR_NEG;
}

static void put_offset_expr(const struct expr *e, bool followed, struct buf *b)
{
	bool early = ends_early(e), open = begins_open(e);
	bool more = !early && !e->dur.wrapped && (followed || !open);
	if (!early && followed)
		put(b, "+");
	if (more)
		put(b, "(");
	promql_print(e, b);
	if (more)
		put(b, ")");
}

static void put_time(int64_t ms, const struct expr *e, struct buf *b)
{
	if (e)
		promql_print(e, b);
	else
		put_duration(ms, b);
}

/* ---- names, selectors ---- */

static void put_names(const struct str *v, size_t n, struct buf *b)
{
	put(b, "(");
	for (size_t i = 0; i < n; i++) {
		if (i)
			put(b, ", ");
		if (label_name_is_legacy(v[i]))
			buf_str(b, v[i]);
		else
			label_quote(v[i], b);
	}
	put(b, ")");
}

struct span { /* of a buffer */
	size_t off, n;
};

static int by_text(const void *a, const void *b, void *arg)
{
	const struct span *l = a, *r = b;
	struct str s = *(const struct str *)arg;
	return str_cmp(str_n(s.p + l->off, l->n), str_n(s.p + r->off, r->n));
}

/* Rendered aside, then sorted into place. */
static void put_matchers(const struct select_node *s, struct buf *b)
{
	struct span *v = xreallocarray(NULL, s->n_matchers, sizeof(*v));
	struct buf side;
	size_t n = 0;
	buf_init(&side, SIZE_MAX / 2);
	for (size_t i = 0; i < s->n_matchers; i++) {
		const struct matcher *m = &s->matchers[i];
		size_t off = side.n;
		if (s->name.n && m->type == MATCH_EQ && str_eq(m->name, LABEL_NAME) &&
		    str_eq(m->value, s->name))
			continue;
		matcher_text(m, &side);
		v[n++] = (struct span){ off, side.n - off };
	}
	struct str text = buf_view(&side);
	vec_sort(v, n, sizeof(*v), by_text, &text);
	for (size_t i = 0; i < n; i++) {
		buf_byte(b, i ? ',' : '{');
		buf_add(b, text.p + v[i].off, v[i].n);
	}
	if (n)
		put(b, "}");
	else if (s->name.n == 0)
		put(b, "{}"); /* everything, which only info takes */
	buf_deinit(&side);
	free(v);
}

static void put_at(enum at_kind at, int64_t ms, struct buf *b)
{
	if (at == AT_START)
		put(b, " @ start()");
	if (at == AT_END)
		put(b, " @ end()");
	if (at != AT_TIME)
		return;
	buf_fmt(b, " @ %.3f", (double)ms / 1000);
}

static void put_offset(int64_t ms, const struct expr *e, bool followed, struct buf *b)
{
	if (!e && ms == 0)
		return;
	put(b, " offset ");
	if (e)
		put_offset_expr(e, followed, b);
	else
		put_duration(ms, b);
}

/* An instant selector has its @ before smoothed and anchored, a range behind. */
static void put_selector(const struct expr *x, bool followed, struct buf *b)
{
	const struct select_node *s = &x->s.sel;
	bool matrix = x->kind == EXPR_MATRIX;
	buf_str(b, s->name);
	put_matchers(s, b);
	if (matrix) {
		put(b, "[");
		put_time(x->s.range_ms, x->s.range_expr, b);
		put(b, "]");
	} else {
		put_at(s->at, s->at_ms, b);
	}
	if (s->anchored)
		put(b, " anchored");
	if (s->smoothed)
		put(b, " smoothed");
	if (matrix)
		put_at(s->at, s->at_ms, b);
	put_offset(s->offset_ms, s->offset_expr, followed, b);
}

void print_subquery_tail(const struct expr *x, bool followed, struct buf *b)
{
	put(b, "[");
	put_time(x->sub.range_ms, x->sub.range_expr, b);
	put(b, ":");
	if (x->sub.step_ms || x->sub.step_expr)
		put_time(x->sub.step_ms, x->sub.step_expr, b);
	put(b, "]");
	put_at(x->sub.at, x->sub.at_ms, b);
	put_offset(x->sub.offset_ms, x->sub.offset_expr, followed, b);
}

/* ---- calls, operators ---- */

void print_aggr_head(const struct expr *x, struct buf *b)
{
	put(b, aggr_op_text(x->aggr.op));
	if (!x->aggr.without && x->aggr.n_written == 0)
		return;
	put(b, x->aggr.without ? " without " : " by ");
	put_names(x->aggr.written, x->aggr.n_written, b);
	put(b, " ");
}

static void put_aggr(const struct expr *x, struct buf *b)
{
	print_aggr_head(x, b);
	put(b, "(");
	if (x->aggr.param) {
		promql_print(x->aggr.param, b);
		put(b, ", ");
	}
	promql_print(x->aggr.e, b);
	put(b, ")");
}

static void put_call(const struct expr *x, struct buf *b)
{
	buf_fmt(b, "%s(", fn_sigs[x->call.fn].name);
	for (size_t i = 0; i < x->call.n; i++) {
		if (i)
			put(b, ", ");
		promql_print(x->call.arg[i], b);
	}
	put(b, ")");
}

static void put_fill(const char *word, double v, struct buf *b)
{
	char text[NUM_MAX];
	size_t n = num_f64_g(text, v);
	buf_fmt(b, " %s (%.*s)", word, (int)n, text);
}

void print_modifiers(const struct expr *x, struct buf *b)
{
	const struct match_node *m = &x->bin.match;
	bool grouped = m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY;
	if (x->bin.ret_bool)
		put(b, " bool");
	if (!expr_matches_vectors(x))
		return;
	if (m->n_written || m->on || grouped) {
		put(b, m->on ? " on " : " ignoring ");
		put_names(m->written, m->n_written, b);
	}
	if (grouped) {
		put(b, m->card == CARD_MANY_TO_ONE ? " group_left " : " group_right ");
		put_names(m->include, m->n_include, b);
	}
	if (m->fill_left && m->fill_right && m->left == m->right) {
		put_fill("fill", m->left, b);
		return;
	}
	if (m->fill_left)
		put_fill("fill_left", m->left, b);
	if (m->fill_right)
		put_fill("fill_right", m->right, b);
}

static void put_binary(const struct expr *x, bool followed, struct buf *b)
{
	print_expr(x->bin.l, op_is_arithmetic(x->bin.op), b);
	buf_fmt(b, " %s", op_text(x->bin.op));
	print_modifiers(x, b);
	put(b, " ");
	print_expr(x->bin.r, followed, b);
}

void promql_print(const struct expr *x, struct buf *b)
{
	print_expr(x, false, b);
}

void print_expr(const struct expr *x, bool followed, struct buf *b)
{
	if (b->failed) /* full: who prints only to measure need not see all of it */
		return;
	switch (x->kind) {
	case EXPR_NUMBER: put_literal(x, b); break;
	case EXPR_STRING: label_quote(x->str, b); break;
	case EXPR_VECTOR:
	case EXPR_MATRIX: put_selector(x, followed, b); break;
	case EXPR_SUBQUERY:
		promql_print(x->sub.e, b);
		print_subquery_tail(x, followed, b);
		break;
	case EXPR_CALL: put_call(x, b); break;
	case EXPR_AGGR: put_aggr(x, b); break;
	case EXPR_BINARY: put_binary(x, followed, b); break;
	case EXPR_UNARY:
		put(b, x->un.neg ? "-" : "+");
		print_expr(x->un.e, followed, b);
		break;
	case EXPR_PAREN:
		put(b, "(");
		promql_print(x->inner, b);
		put(b, ")");
		break;
	case EXPR_DURATION: put_duration_expr(x, b); break;
	}
}
