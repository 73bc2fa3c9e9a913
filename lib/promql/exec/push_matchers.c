/*
 * promql/exec/push_matchers.c - what one side of a join asks of a label that is matched by is asked of the other, too.
 *
 *     sum by (job) (rate(a_total{job="api"}[5m])) / sum by (job) (rate(b_total[5m]))      reads b_total{job="api"} only
 *
 * Done where the answer cannot change: for arithmetic and comparisons without fill; both sides hand the label on as they
 * read it; and on the "one" side no two rows can have equal signatures, whose error would otherwise vanish with them. Errors and
 * annotations are part of the answer, also those that series tell which match nothing: what constants decide is known before (complains);
 * what native histograms among the samples decide (tells_of_histograms) cannot be known, so there only metrics with a counter's name are asked
 * for less, which hold floats, and of whose name nothing is told either. Samples are counted as they are read.
 */
#include "promql/exec/select_int.h"

static bool has(const struct str *v, size_t n, struct str name)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(v[i], name))
			return true;
	return false;
}

static const struct matcher *equality(const struct expr *sel, struct str label)
{
	for (size_t i = 0; i < sel->s.sel.n_matchers; i++) {
		const struct matcher *m = &sel->s.sel.matchers[i];
		if (m->type == MATCH_EQ && m->value.n && str_eq(m->name, label))
			return m;
	}
	return NULL;
}

static bool reduces(enum aggr_op op)
{
	return op <= AGG_STDVAR;
}

/* Functions that make a row of each row of their argument, or of each series. */
static bool maps_rows(enum fn_id fn)
{
	switch (fn) {
	case FN_ID_abs:
	case FN_ID_ceil:
	case FN_ID_floor:
	case FN_ID_sqrt:
	case FN_ID_exp:
	case FN_ID_ln:
	case FN_ID_log2:
	case FN_ID_log10:
	case FN_ID_round:
	case FN_ID_sgn:
	case FN_ID_clamp:
	case FN_ID_clamp_min:
	case FN_ID_clamp_max: return true;
	case FN_ID_absent_over_time: return false;
	default: return range_fn_of(fn) != NULL;
	}
}

/* Of each series that it reads the function says that the number is none it takes, or fails. */
static bool complains(enum fn_id fn, double v)
{
	switch (fn) {
	case FN_ID_quantile_over_time: return !(v >= 0 && v <= 1);
	case FN_ID_double_exponential_smoothing: return !(v > 0 && v < 1);
	default: return false;
	}
}

/* The argument whose rows the call maps, all others being numbers; NULL: it is not of this kind. */
static const struct expr *mapped(const struct expr *call)
{
	const struct expr *arg = NULL;
	if (!maps_rows(call->call.fn))
		return NULL;
	for (size_t i = 0; i < call->call.n; i++) {
		const struct expr *a = expr_strip(call->call.arg[i]);
		if (a->kind == EXPR_NUMBER && !complains(call->call.fn, a->num))
			continue;
		if (a->kind == EXPR_NUMBER || arg || a->kind == EXPR_SUBQUERY)
			return NULL;
		arg = a;
	}
	return arg;
}

/* Of a vector and a number, the vector. */
static const struct expr *vector_of(const struct expr *bin)
{
	const struct expr *l = expr_strip(bin->bin.l), *r = expr_strip(bin->bin.r);
	return l->kind == EXPR_NUMBER ? r : r->kind == EXPR_NUMBER ? l : NULL;
}

static const struct expr *input_of(const struct expr *e)
{
	switch (e->kind) {
	case EXPR_UNARY: return expr_strip(e->un.e);
	case EXPR_BINARY: return vector_of(e);
	case EXPR_CALL: return mapped(e);
	case EXPR_AGGR: return reduces(e->aggr.op) ? expr_strip(e->aggr.e) : NULL;
	default: return NULL;
	}
}

/* Annotations of this very expression may be about histograms, or about start times, among the samples that it takes. */
static bool tells_of_histograms(const struct expr *e)
{
	switch (e->kind) {
	case EXPR_BINARY: return true; /* a histogram and a number */
	case EXPR_AGGR: return e->aggr.op != AGG_COUNT && e->aggr.op != AGG_GROUP;
	case EXPR_CALL: break;
	default: return false;
	}
	switch (e->call.fn) {
	case FN_ID_count_over_time:
	case FN_ID_present_over_time:
	case FN_ID_first_over_time:
	case FN_ID_last_over_time:
	case FN_ID_ts_of_first_over_time:
	case FN_ID_ts_of_last_over_time: return false;
	default:
		return range_fn_of(e->call.fn) !=
		       NULL; /* others pass histograms over in silence */
	}
}

/* By such names native histograms do not go, and rate says nothing of them unless it asks for their type. */
static bool counter_name(const struct expr *sel)
{
	static const char *const ends[] = { "_total", "_sum", "_count", "_bucket" };
	const struct matcher *m = equality(sel, LABEL_NAME);
	for (size_t i = 0; m && i < ARRAY_LEN(ends); i++)
		if (str_has_suffix(m->value, str_of(ends[i])))
			return true;
	return false;
}

/* The selector whose series are all that the rows of `e` are made of, and whose `label` they carry; NULL: there is none. */
static const struct expr *source(const struct exec *x, const struct expr *e,
				 struct str label)
{
	if (x->q->dedup && has(x->q->replica_labels, x->q->n_replica_labels, label))
		return NULL;
	for (e = expr_strip((struct expr *)(uintptr_t)e); e; e = input_of(e)) {
		if (e->kind == EXPR_VECTOR || e->kind == EXPR_MATRIX)
			return e->s.sel.of_info || !equality(e, LABEL_NAME) ? NULL : e;
		if (e->kind == EXPR_AGGR &&
		    has(e->aggr.labels, e->aggr.n_labels, label) == e->aggr.without)
			return NULL;
	}
	return NULL;
}

/* With some of its series left out, `e` would be silent where it now tells something. */
static bool may_tell(const struct exec *x, const struct expr *e, const struct expr *sel)
{
	bool floats = counter_name(sel),
	     plain = !sel->s.sel.smoothed && !sel->s.sel.anchored;
	bool extra = x->q->type_labels || x->q->start_timestamps; /* that calls look at */
	for (e = expr_strip((struct expr *)(uintptr_t)e); e != sel; e = input_of(e))
		if (tells_of_histograms(e) &&
		    (!floats || (extra && e->kind == EXPR_CALL)))
			return true;
	return !plain && !floats;
}

/* No two rows have the same signature. */
static bool signatures_differ(const struct expr *e, const struct match_node *m)
{
	for (e = expr_strip((struct expr *)(uintptr_t)e); e; e = input_of(e)) {
		if (e->kind == EXPR_VECTOR || e->kind == EXPR_MATRIX)
			return !m->on && m->n_labels == 0 && equality(e, LABEL_NAME);
		if (e->kind != EXPR_AGGR)
			continue;
		if (e->aggr.without)
			return !m->on && m->n_labels == 0;
		for (size_t i = 0; i < e->aggr.n_labels; i++)
			if (has(m->labels, m->n_labels, e->aggr.labels[i]) != m->on ||
			    is_name_label(e->aggr.labels[i]))
				return false;
		return true;
	}
	return false;
}

static void push(struct exec *x, const struct expr *from, const struct expr *to,
		 const struct match_node *match, const struct pushed **out)
{
	/* what the source asks for is found at its selector, whatever label that is of */
	for (const struct expr *e = expr_strip((struct expr *)(uintptr_t)from); e;
	     e = input_of(e)) {
		if (e->kind != EXPR_VECTOR && e->kind != EXPR_MATRIX)
			continue;
		for (size_t i = 0; i < e->s.sel.n_matchers; i++) {
			const struct matcher *m = &e->s.sel.matchers[i];
			if (m->type != MATCH_EQ || !m->value.n ||
			    is_name_label(m->name) ||
			    has(match->labels, match->n_labels, m->name) != match->on ||
			    !source(x, from, m->name))
				continue;
			const struct expr *sel = source(x, to, m->name);
			const struct matcher *have = sel ? equality(sel, m->name) : NULL;
			if (!sel || may_tell(x, to, sel) ||
			    (have && str_eq(have->value, m->value)))
				continue;
			struct pushed *p = ARENA_NEW(x->arena, struct pushed);
			*p = (struct pushed){ m, *out };
			*out = p;
		}
		return;
	}
}

void push_matchers(struct exec *x, const struct expr *bin, const struct pushed **l,
		   const struct pushed **r)
{
	const struct match_node *m = &bin->bin.match;
	*l = *r = x->pushed;
	if (bin->bin.l->type != TYPE_VECTOR || bin->bin.r->type != TYPE_VECTOR ||
	    op_is_set(bin->bin.op) || m->fill_left || m->fill_right)
		return;
	const struct expr *one = m->card == CARD_ONE_TO_MANY ? bin->bin.l : bin->bin.r;
	if (!signatures_differ(one, m))
		return;
	push(x, bin->bin.l, bin->bin.r, m, r);
	push(x, bin->bin.r, bin->bin.l, m, l);
}

/* The selector's own matchers and those that were pushed to it. */
struct matcher *pushed_with(struct exec *x, const struct select_node *s, size_t *n)
{
	*n = s->n_matchers;
	for (const struct pushed *p = x->pushed; p; p = p->next)
		++*n;
	if (*n == s->n_matchers)
		return s->matchers;
	struct matcher *v = ARENA_ARRAY(x->arena, struct matcher, *n);
	size_t k = 0;
	for (; k < s->n_matchers; k++)
		v[k] = s->matchers[k];
	for (const struct pushed *p = x->pushed; p; p = p->next)
		v[k++] = *p->m;
	return v;
}

void pushed_print(const struct pushed *p, struct buf *b)
{
	if (!p)
		return;
	buf_str(b, STR(", also {"));
	for (; p; p = p->next) {
		matcher_text(p->m, b);
		if (p->next)
			buf_str(b, STR(", "));
	}
	buf_byte(b, '}');
}
