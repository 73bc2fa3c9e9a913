/*
 * promql/exec/op_info.c - info(v, {selector}): labels of info metrics (target_info) join the rows of v that have the same
 * instance and job.
 *
 * Class join. The rows of v are held, since which info series to ask for follows from their instances and jobs; then the
 * info series, whose value is the time of their sample: of several with one name, instance and job the newest counts. What
 * matches may change from step to step, so that a row of v gives a row for each combination of info series.
 *
 * The info series are looked up where the first selector of v looks: at its @, shifted by its offset.
 * Source  prometheus.md §2.6
 */
#include "promql/exec/select_int.h"

#include <stdlib.h>

#include "base/vec.h"
#include "promql/exec/held.h"
#include "promql/exec/join_int.h"

#define N_IDENTIFYING 2
static const struct str identifying[N_IDENTIFYING] = { { "instance", 8 }, { "job", 3 } };

struct info_series {
	struct labels labels;
	int64_t *t_ms; /* by step, of its sample */
	uint64_t *bits;
};
struct info_key { /* an info metric's name with the identifying labels of one target */
	struct labels target; /* instance and job */
	struct str name;
	struct info_key *next; /* equal hash of the target */
	uint32_t *newest;      /* by step: number of the series + 1; 0: none */
};
struct base_row {
	struct row row;
	bool ignored;		/* an info series itself */
	struct info_key **keys; /* of its target */
	size_t n_keys;
};
struct op_info {
	struct op op;
	struct sample_count *count;
	struct held *held;
	const struct select_node *sel; /* second argument; NULL: none */
	struct matcher *name_matchers; /* which metrics are info metrics */
	size_t n_name_matchers;
	struct matcher *data_matchers; /* of other labels */
	size_t n_data_matchers;
	bool needs_match; /* a row without info series is left out */
	bool ready;
	struct base_row *base;
	size_t n_base, cap_base, at;
	struct info_series *info;
	size_t n_info, cap_info;
	struct map64 targets; /* hash of instance and job -> struct info_key * */
	uint64_t *base_bits;  /* steps with any row of v */
	struct arena arena;   /* rows of the current batch */
	struct row *rows;
	size_t n_rows, cap_rows;
	struct batch out;
};

/* ---- matchers ---- */

static int add_matcher(struct exec *x, struct matcher *v, size_t *n, enum match_type t,
		       struct str name, struct str value, struct err *e)
{
	if (matcher_compile(x->ctx, x->arena, t, name, value, &v[*n], e) < 0)
		return -1;
	++*n;
	return 0;
}

/*
 * Those of the second argument, or target_info. If it only says what a name is not, names end in _info.
 */
static int name_matchers(struct op_info *o, struct exec *x, struct err *e)
{
	size_t n = o->sel ? o->sel->n_matchers : 0;
	bool positive = false;
	o->name_matchers = ARENA_ARRAY(x->arena, struct matcher, n + 1);
	o->data_matchers = ARENA_ARRAY(x->arena, struct matcher, n + 1);
	for (size_t i = 0; i < n; i++) {
		const struct matcher *m = &o->sel->matchers[i];
		if (!str_eq(m->name, LABEL_NAME)) {
			o->data_matchers[o->n_data_matchers++] = *m;
			o->needs_match |= !matcher_matches_empty(m);
			continue;
		}
		positive |= m->type == MATCH_EQ || m->type == MATCH_RE;
		o->name_matchers[o->n_name_matchers++] = *m;
	}
	if (positive)
		return 0;
	bool some = o->n_name_matchers != 0;
	return add_matcher(x, o->name_matchers, &o->n_name_matchers,
			   some ? MATCH_RE : MATCH_EQ, LABEL_NAME,
			   some ? STR(".+_info") : STR("target_info"), e);
}

static bool is_info_name(const struct op_info *o, struct str name)
{
	for (size_t i = 0; i < o->n_name_matchers; i++)
		if (!matcher_matches(&o->name_matchers[i], name))
			return false;
	return true;
}

/* ---- the rows of v ---- */

static int hold_base(struct op_info *o, struct exec *x, struct err *e)
{
	struct batch *b;
	uint32_t n = o->op.grid.n;
	int rc;
	o->base_bits = arena_zalloc(x->arena, BITS_WORDS(n) * 8);
	while ((rc = op_next(o->op.in[0], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++) {
			if (o->n_base == o->cap_base)
				o->base = vec_grow(o->base, &o->cap_base, o->n_base + 1,
						   sizeof(*o->base));
			struct base_row *r = &o->base[o->n_base];
			*r = (struct base_row){ 0 };
			if (row_copy(x, x->arena, n, &b->row[k], &r->row, e) < 0)
				return -1;
			r->ignored =
				is_info_name(o, labels_get(r->row.labels, LABEL_NAME));
			for (size_t w = 0; w < BITS_WORDS(n); w++)
				o->base_bits[w] |= r->row.bits[w];
			o->n_base++;
		}
	return rc;
}

static void quote_meta(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		if (memchr("\\.+*?()|[]{}^$", s.p[i], 14))
			buf_byte(out, '\\');
		buf_byte(out, (uint8_t)s.p[i]);
	}
}

/* The values of an identifying label, as an alternation; *any: there are some. */
static int values_of(struct op_info *o, struct exec *x, struct str name, struct buf *out,
		     bool *any, struct err *e)
{
	struct map seen;
	map_init(&seen);
	for (size_t k = 0; k < o->n_base; k++) {
		struct str v = labels_get(o->base[k].row.labels, name);
		if (o->base[k].ignored || !v.n || map_get(&seen, v))
			continue;
		map_set(&seen, v, &seen);
		if (seen.n > 1)
			buf_byte(out, '|');
		quote_meta(v, out);
	}
	*any = seen.n != 0;
	map_deinit(&seen);
	return buf_check(out, x->ctx, "info: values of identifying labels", e);
}

/* ---- the info series ---- */

/* The @ and offset of the first selector in v; subqueries around it add theirs until an @ stands. */
struct reference {
	enum at_kind at;
	int64_t at_ms, offset_ms;
};
static bool find_reference(const struct expr *e, struct reference *out)
{
	switch (e->kind) {
	case EXPR_VECTOR:
	case EXPR_MATRIX:
		*out = (struct reference){ e->s.sel.at, e->s.sel.at_ms,
					   e->s.sel.offset_ms };
		return true;
	case EXPR_SUBQUERY:
		if (!find_reference(e->sub.e, out))
			return false;
		if (out->at == AT_NONE) {
			out->offset_ms += e->sub.offset_ms;
			out->at = e->sub.at;
			out->at_ms = e->sub.at_ms;
		}
		return true;
	case EXPR_CALL:
		for (size_t i = 0; i < e->call.n; i++)
			if (find_reference(e->call.arg[i], out))
				return true;
		return false;
	case EXPR_AGGR:
		return find_reference(e->aggr.e, out) ||
		       (e->aggr.param && find_reference(e->aggr.param, out));
	case EXPR_BINARY:
		return find_reference(e->bin.l, out) || find_reference(e->bin.r, out);
	case EXPR_UNARY: return find_reference(e->un.e, out);
	case EXPR_PAREN: return find_reference(e->inner, out);
	case EXPR_NUMBER:
	case EXPR_STRING:
	case EXPR_DURATION: break;
	}
	return false;
}

/* The selector of info series; *none: no row can match any. */
static int info_selector(struct op_info *o, struct exec *x, struct expr **out, bool *none,
			 struct err *e)
{
	struct reference ref = { 0 };
	struct buf b;
	size_t n = 0;
	struct matcher *m = ARENA_ARRAY(x->arena, struct matcher,
					o->n_name_matchers + o->n_data_matchers +
						N_IDENTIFYING + x->q->n_info_matchers);
	int rc = 0;
	buf_init(&b, (size_t)1 << 26);
	for (size_t i = 0; i < N_IDENTIFYING && rc == 0; i++) {
		bool any;
		buf_reset(&b);
		rc = values_of(o, x, identifying[i], &b, &any, e);
		if (rc == 0 && any)
			rc = add_matcher(x, m, &n, MATCH_RE, identifying[i], buf_view(&b),
					 e);
	}
	buf_deinit(&b);
	*none = n == 0;
	if (rc < 0 || *none)
		return rc;
	for (size_t i = 0; i < o->n_data_matchers; i++)
		m[n++] = o->data_matchers[i];
	for (size_t i = 0; i < o->n_name_matchers; i++)
		m[n++] = o->name_matchers[i];
	for (size_t i = 0; i < x->q->n_info_matchers; i++)
		m[n++] = x->q->info_matchers[i];
	struct expr *sel = ARENA_NEW(x->arena, struct expr);
	find_reference(o->op.expr->call.arg[0], &ref);
	*sel = (struct expr){ .kind = EXPR_VECTOR, .type = TYPE_VECTOR };
	sel->s.sel = (struct select_node){ .matchers = m,
					   .n_matchers = n,
					   .at = ref.at,
					   .at_ms = ref.at_ms,
					   .offset_ms = ref.offset_ms };
	*out = sel;
	return 0;
}

static int not_float(struct exec *x, struct labels ls, struct err *e)
{
	struct str text = labels_str(x->arena, ls);
	return err_set(x->ctx, e, E_EXEC,
		       "this should be an info metric, with float samples: %.*s",
		       STR_FMT(text));
}

/* The time of the newest sample at each step, where it is not stale. */
static int add_info(void *arg, struct exec *x, const struct range_call *w,
		    struct labels ls, struct sample_cols *c, struct arena *scratch,
		    struct err *e)
{
	struct op_info *o = arg;
	(void)scratch;
	uint32_t n = o->op.grid.n;
	size_t k = 0;
	if (o->n_info == o->cap_info)
		o->info =
			vec_grow(o->info, &o->cap_info, o->n_info + 1, sizeof(*o->info));
	struct info_series *s = &o->info[o->n_info];
	s->t_ms = arena_try(x->arena, x->ctx, n * sizeof(*s->t_ms), e);
	s->bits = s->t_ms ? arena_try(x->arena, x->ctx, BITS_WORDS(n) * 8, e) : NULL;
	if (!s->bits || labels_try_dup(x->arena, x->ctx, ls, &s->labels, e) < 0)
		return -1;
	memset(s->bits, 0, BITS_WORDS(n) * 8);
	for (uint32_t i = 0; i < n; i++) {
		int64_t at = range_ref(w, i);
		while (k < c->n && c->t_ms[k] <= at)
			k++;
		if (k == 0 || c->t_ms[k - 1] <= at - w->range_ms)
			continue;
		const struct hist *h = c->h ? c->h[k - 1] : NULL;
		if (h ? hist_is_stale(h) : is_stale_nan(c->v[k - 1]))
			continue;
		if (h)
			return not_float(x, ls, e);
		s->t_ms[i] = c->t_ms[k - 1];
		bit_set(s->bits, i);
		samples_add_one(o->count, i);
	}
	if (bits_any(s->bits, n))
		o->n_info++;
	return held_info(x, o->held, s->bits, e);
}

static int read_info(struct op_info *o, struct exec *x, const struct expr *sel,
		     struct err *e)
{
	struct select_each each = { .sel = sel,
				    .g = o->op.grid,
				    .func = STR("info"),
				    .of = &o->op.read,
				    .take = add_info,
				    .arg = o };
	return select_each(x, &each, e);
}

/* ---- matching ---- */

static struct labels target_of(struct label tmp[N_IDENTIFYING], struct labels ls)
{
	struct labels key = { tmp, 0, 0 };
	for (size_t i = 0; i < N_IDENTIFYING; i++) {
		struct str v = labels_get(ls, identifying[i]);
		if (v.n)
			tmp[key.n++] = (struct label){ identifying[i], v };
	}
	return key;
}

static struct info_key *first_key(const struct op_info *o, struct labels target)
{
	uintptr_t at = 0;
	(void)map64_get(&o->targets, labels_hash(target), &at);
	return (struct info_key *)at;
}

static int key_of(struct op_info *o, struct exec *x, struct labels ls,
		  struct info_key **out, struct err *e)
{
	struct label tmp[N_IDENTIFYING];
	struct labels target = target_of(tmp, ls);
	struct str name = labels_get(ls, LABEL_NAME);
	struct info_key *first = first_key(o, target), *k = first;
	while (k && !(str_eq(k->name, name) && labels_eq(k->target, target)))
		k = k->next;
	if (!k) {
		k = ARENA_NEW(x->arena, struct info_key);
		size_t bytes = o->op.grid.n * sizeof(*k->newest);
		k->newest = arena_try(x->arena, x->ctx, bytes, e);
		if (!k->newest ||
		    labels_try_dup(x->arena, x->ctx, target, &k->target, e) < 0)
			return -1;
		memset(k->newest, 0, bytes);
		k->name = name; /* of the series, which stays */
		k->next = first;
		map64_set(&o->targets, labels_hash(target), (uintptr_t)k);
	}
	*out = k;
	return 0;
}

static int clash(struct op_info *o, struct exec *x, const struct info_series *a,
		 const struct info_series *b, uint32_t i, struct err *e)
{
	struct str ta = labels_str(x->arena, a->labels);
	struct str tb = labels_str(x->arena, b->labels);
	(void)o;
	return err_set(x->ctx, e, E_EXEC,
		       "found duplicate series for info metric: existing %.*s @ %lld, "
		       "new %.*s @ %lld",
		       STR_FMT(ta), (long long)a->t_ms[i], STR_FMT(tb),
		       (long long)b->t_ms[i]);
}

/* Of the series of one key the newest counts; two equally new are an error where v has anything. */
static int match_info(struct op_info *o, struct exec *x, struct err *e)
{
	for (size_t s = 0; s < o->n_info; s++) {
		const struct info_series *in = &o->info[s];
		struct info_key *k;
		if (key_of(o, x, in->labels, &k, e) < 0)
			return -1;
		EACH_BIT(i, in->bits, o->op.grid.n)
		{
			const struct info_series *have =
				k->newest[i] ? &o->info[k->newest[i] - 1] : NULL;
			if (have && have->t_ms[i] == in->t_ms[i] &&
			    bit_get(o->base_bits, i))
				return clash(o, x, have, in, i, e);
			if (!have || have->t_ms[i] < in->t_ms[i])
				k->newest[i] = (uint32_t)s + 1;
		}
	}
	return 0;
}

static void link_base(struct op_info *o, struct exec *x, struct base_row *r)
{
	struct label tmp[N_IDENTIFYING];
	struct labels target = target_of(tmp, r->row.labels);
	struct info_key *first = first_key(o, target);
	size_t n = 0;
	for (struct info_key *k = first; k; k = k->next)
		n += labels_eq(k->target, target);
	r->keys = ARENA_ARRAY(x->arena, struct info_key *, n + 1);
	for (struct info_key *k = first; k; k = k->next)
		if (labels_eq(k->target, target))
			r->keys[r->n_keys++] = k;
}

static int info_prepare(struct op_info *o, struct exec *x, struct err *e)
{
	struct expr *sel = NULL;
	bool none;
	if (name_matchers(o, x, e) < 0 || hold_base(o, x, e) < 0 ||
	    info_selector(o, x, &sel, &none, e) < 0)
		return -1;
	if (!none && (read_info(o, x, sel, e) < 0 || match_info(o, x, e) < 0))
		return -1;
	for (size_t k = 0; k < o->n_base; k++)
		if (!o->base[k].ignored)
			link_base(o, x, &o->base[k]);
	return 0;
}

/* ---- results ---- */

static bool is_data_label(const struct op_info *o, struct str name)
{
	for (size_t i = 0; i < o->n_data_matchers; i++)
		if (str_eq(o->data_matchers[i].name, name))
			return true;
	return o->n_data_matchers == 0;
}

/* Add what info series `s` brings to l[*n] (of other info series), sorted; two may not disagree. */
static int add_labels(struct op_info *o, struct exec *x, const struct info_series *s,
		      struct labels base, struct label *l, uint32_t *n, struct err *e)
{
	for (uint32_t i = 0; i < s->labels.n; i++) {
		struct label new = s->labels.l[i];
		uint32_t at = 0;
		if (str_eq(new.name, LABEL_NAME) || !is_data_label(o, new.name))
			continue;
		while (at < *n && str_cmp(l[at].name, new.name) < 0)
			at++;
		bool have = at < *n && str_eq(l[at].name, new.name);
		if (have && !str_eq(l[at].value, new.value))
			return err_set(x->ctx, e, E_EXEC, "conflicting label: %.*s",
				       STR_FMT(new.name));
		if (have || labels_has(base, new.name))
			continue;
		memmove(l + at + 1, l + at, (*n - at) * sizeof(*l));
		l[at] = new;
		++*n;
	}
	return 0;
}

/* Labels of the row with those of the info series that match at step i. */
static int joined_labels(struct op_info *o, struct exec *x, const struct base_row *r,
			 uint32_t i, struct labels *out, struct err *e)
{
	size_t room = 0;
	for (size_t k = 0; k < r->n_keys; k++)
		if (r->keys[k]->newest[i])
			room += o->info[r->keys[k]->newest[i] - 1].labels.n;
	struct label *l = arena_try(&o->arena, x->ctx,
				    (2 * room + r->row.labels.n + 1) * sizeof(*l), e);
	if (!l)
		return -1;
	struct labels info = { l, 0, 0 };
	for (size_t k = 0; k < r->n_keys; k++)
		if (r->keys[k]->newest[i] &&
		    add_labels(o, x, &o->info[r->keys[k]->newest[i] - 1], r->row.labels,
			       l, &info.n, e) < 0)
			return -1;
	*out = labels_merge(l + room, r->row.labels, info);
	out->hash = 0;
	return 0;
}

static bool same_match(const struct base_row *r, uint32_t a, uint32_t b)
{
	for (size_t k = 0; k < r->n_keys; k++)
		if (r->keys[k]->newest[a] != r->keys[k]->newest[b])
			return false;
	return true;
}

static bool any_match(const struct base_row *r, uint32_t i)
{
	for (size_t k = 0; k < r->n_keys; k++)
		if (r->keys[k]->newest[i])
			return true;
	return false;
}

/* The result row of this row's labels at step i; `first` is where its result rows begin. */
static int result_row(struct op_info *o, struct exec *x, const struct base_row *r,
		      uint32_t i, size_t first, size_t *out, struct err *e)
{
	struct labels ls;
	if (joined_labels(o, x, r, i, &ls, e) < 0)
		return -1;
	for (size_t k = first; k < o->n_rows; k++)
		if (labels_eq(o->rows[k].labels, ls)) {
			*out = k;
			return 0;
		}
	if (o->n_rows == o->cap_rows)
		o->rows =
			vec_grow(o->rows, &o->cap_rows, o->n_rows + 1, sizeof(*o->rows));
	struct row *to = &o->rows[o->n_rows];
	if (row_new(x, &o->arena, o->op.grid.n, r->row.h != NULL, to, e) < 0)
		return -1;
	to->labels = ls;
	to->drop_name = r->row.drop_name;
	*out = o->n_rows++;
	return 0;
}

static int join_row(struct op_info *o, struct exec *x, const struct base_row *r,
		    struct err *e)
{
	uint32_t n = o->op.grid.n, prev = n;
	size_t first = o->n_rows, to = 0;
	EACH_BIT(i, r->row.bits, n)
	{
		if (!r->ignored && o->needs_match && !any_match(r, i))
			continue;
		if ((prev == n || !same_match(r, prev, i)) &&
		    result_row(o, x, r, i, first, &to, e) < 0)
			return -1;
		prev = i;
		o->rows[to].v[i] = r->row.v[i];
		if (r->row.h)
			o->rows[to].h[i] = r->row.h[i];
		bit_set(o->rows[to].bits, i);
	}
	return 0;
}

#define ROWS_BYTES ((size_t)1 << 20)

static int info_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_info *o = (struct op_info *)op;
	if (!o->ready && info_prepare(o, x, e) < 0)
		return -1;
	o->ready = true;
	arena_reset(&o->arena);
	o->n_rows = 0;
	size_t max = ROWS_BYTES / ((size_t)op->grid.n * 8) + 1;
	while (o->at < o->n_base && o->n_rows < max)
		if (join_row(o, x, &o->base[o->at++], e) < 0)
			return -1;
	o->out = (struct batch){ o->rows, o->n_rows };
	*out = &o->out;
	return o->n_rows != 0;
}

static void info_close(struct op *op)
{
	struct op_info *o = (struct op_info *)op;
	map64_deinit(&o->targets);
	arena_deinit(&o->arena);
	free(o->base);
	free(o->info);
	free(o->rows);
}

static const struct op_ops info_ops = { "info", NULL, info_next, info_close };

int op_info_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		struct err *err)
{
	struct op_info *o = op_alloc(x, sizeof(*o), &info_ops, g, TYPE_VECTOR, e);
	o->count = x->count;
	o->held = held_of(x, e);
	map64_init(&o->targets);
	arena_init(&o->arena, x->ctx->budget);
	o->sel = e->call.n > 1 ? &expr_strip(e->call.arg[1])->s.sel : NULL;
	*out = op_unique_wrap(x, &o->op);
	return plan_expr(x, e->call.arg[0], g, &o->op.in[0], err);
}
