/*
 * promql/exec/op_join.c - arithmetic and comparison between two vectors, with fill values for what has no match.
 *
 * Held: the rows of the "one" side by signature; the other ("many") side streams through. Matching is decided step by
 * step: several "one" rows of a signature are fine as long as no two are present at the same step where the other side
 * has anything. Results of unmatched "one" rows (fill for the many side) follow at the end.
 *
 * group_right swaps the sides. COMPAT: fill_right stands for what is missing on the "one" side also then, as in
 * Prometheus 3.14.  Source  prometheus.md §2.2; error texts are Prometheus'
 */
#include "promql/exec/hist_binop.h"
#include "promql/exec/join_int.h"

#include <stdlib.h>

#include "base/vec.h"

struct op_join {
	struct op op;
	bool swapped; /* group_right: the left side is the "one" side */
	bool ready;   /* the held side was read */
	bool cut;     /* the result has no metric name */
	bool fill_one, fill_many;
	struct sigs sigs;
	struct map64 inserted; /* signature and labels of results -> presence bitmap */
	struct map64 columns;  /* of constant rows: see row_hold */
	uint64_t *dups;	       /* steps held twice by any signature */
	bool any_dup;
	size_t n_one; /* rows held */
	uint32_t end; /* steps that are still looked at: up to the first that fails */
	bool fails, fails_by_dup;
	struct err failure;
	size_t filled;	   /* signatures whose unmatched rows were shown */
	struct op *unique; /* the check behind this operator; NULL: none is needed */
	struct hist_binop hists;
	struct arena arena; /* rows of the current batch */
	struct row *rows;
	size_t n_rows, cap_rows;
	struct batch out;
};

/* ---- the held side ---- */

/* A row of the "one" side joins its signature; a step held twice is remembered as a duplicate. */
static int one_add(struct op_join *j, struct exec *x, const struct row *r, struct err *e)
{
	struct sig *s;
	uint32_t n = j->op.grid.n;
	if (sigs_of(&j->sigs, x, r->labels, true, &s, e) < 0)
		return -1;
	struct one_row *o = ARENA_NEW(x->arena, struct one_row);
	if (row_hold(x, &j->columns, n, r, &o->row, e) < 0)
		return -1;
	o->seq = j->n_one++;
	if (s->last) /* in series order: errors show the first two */
		s->last->next = o;
	else
		s->rows = o;
	s->last = o;
	for (size_t w = 0; w < BITS_WORDS(n); w++) {
		uint64_t both = s->bits[w] & r->bits[w];
		j->any_dup |= both != 0;
		j->dups[w] |= both;
		s->bits[w] |= r->bits[w];
	}
	return 0;
}

static const struct row *one_at(const struct sig *s, uint32_t i)
{
	for (const struct one_row *o = s->rows; o; o = o->next)
		if (bit_get(o->row.bits, i))
			return &o->row;
	return NULL;
}

/* Two rows of a signature present at step i; false: none or one. */
static bool two_at(const struct sig *s, uint32_t i, const struct one_row *two[2])
{
	size_t n = 0;
	for (const struct one_row *o = s->rows; o && n < 2; o = o->next)
		if (bit_get(o->row.bits, i))
			two[n++] = o;
	return n == 2;
}

/*
 * Prometheus goes step by step, duplicates first, and both sides are there before: the failure of the earliest step is
 * reported once all rows came.
 */
static bool fails_first(struct op_join *j, uint32_t i, bool dup)
{
	if (j->fails && (i > j->end || (i == j->end && (j->fails_by_dup || !dup))))
		return false;
	j->fails = true;
	j->fails_by_dup = dup;
	j->end = i;
	return true;
}

static void duplicate(struct op_join *j, struct exec *x, uint32_t i)
{
	struct buf b;
	const struct one_row *two[2], *first[2] = { NULL, NULL };
	const struct sig *of = NULL;
	for (size_t k = 0; k < j->sigs.n;
	     k++) { /* what is met first in the order of rows */
		if (!two_at(j->sigs.list[k], i, two) ||
		    (of && first[1]->seq < two[1]->seq))
			continue;
		of = j->sigs.list[k];
		first[0] = two[0];
		first[1] = two[1];
	}
	BUG_ON(!of);
	struct str a = labels_str(x->arena, first[0]->row.labels);
	struct str c = labels_str(x->arena, first[1]->row.labels);
	bool turn = str_cmp(a, c) > 0;
	buf_init(&b, 1 << 20);
	buf_str(&b, STR("found duplicate series for the match group "));
	labels_text(of->labels, &b);
	buf_fmt(&b, " on the %s hand-side of the operation: [",
		j->swapped ? "left" : "right");
	buf_str(&b, turn ? c : a);
	buf_str(&b, STR(", "));
	buf_str(&b, turn ? a : c);
	buf_str(&b,
		STR("];many-to-many matching not allowed: matching labels must be unique "
		    "on one side"));
	err_set(x->ctx, &j->failure, E_EXEC, "%.*s", STR_FMT(buf_view(&b)));
	buf_deinit(&b);
}

/* Duplicates matter where the other side has anything; with fill values, everywhere. */
static void check_dups(struct op_join *j, struct exec *x, const uint64_t *many)
{
	for (uint32_t w = 0; j->any_dup && w < BITS_WORDS(j->op.grid.n); w++) {
		uint64_t bad = j->dups[w] & (many ? many[w] : UINT64_MAX);
		uint32_t i = bad ? w * 64 + (uint32_t)__builtin_ctzll(bad) : 0;
		if (!bad)
			continue;
		if (fails_first(j, i, true))
			duplicate(j, x, i);
		return;
	}
}

/* Type and unit are part of signatures but not of results: only then may results of two signatures be equal. */
static bool sigs_have_types(const struct sigs *s)
{
	for (size_t k = 0; k < s->n; k++)
		for (size_t i = 0; i < ROW_NAME_LABELS; i++)
			if (labels_has(s->list[k]->labels, row_name_labels[i]))
				return true;
	return false;
}

static int read_one_side(struct op_join *j, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	size_t words = BITS_WORDS(j->op.grid.n);
	j->dups = arena_zalloc(x->arena, words * 8);
	while ((rc = op_next(j->op.in[j->swapped ? 0 : 1], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			if (one_add(j, x, &b->row[k], e) < 0)
				return -1;
	if (rc < 0)
		return j->swapped ? -1 : op_fails_before(j->op.in[0], x, e);
	if (j->unique && j->op.expr->bin.match.card == CARD_ONE_TO_ONE && !j->fill_one &&
	    !sigs_have_types(&j->sigs))
		op_unique_off(j->unique);
	if (j->fill_one || j->fill_many)
		check_dups(j, x, NULL);
	return 0;
}

/* ---- labels of results ---- */

static void put_label(struct label *l, uint32_t *n, struct str name, struct str value)
{
	uint32_t i = 0;
	while (i < *n && str_cmp(l[i].name, name) < 0)
		i++;
	bool have = i < *n && str_eq(l[i].name, name);
	if (!value.n) {
		if (have) {
			memmove(l + i, l + i + 1, (*n - i - 1) * sizeof(*l));
			--*n;
		}
		return;
	}
	if (!have) {
		memmove(l + i + 1, l + i, (*n - i) * sizeof(*l));
		++*n;
	}
	l[i] = (struct label){ name, value };
}

/* Labels of the result of `many` met by `one`; in the batch arena. */
static int result_labels(struct op_join *j, struct exec *x, struct labels many,
			 struct labels one, struct labels *out, struct err *e)
{
	const struct match_node *m = &j->op.expr->bin.match;
	struct label *l =
		arena_try(&j->arena, x->ctx, (many.n + m->n_include + 1) * sizeof(*l), e);
	if (!l)
		return -1;
	struct labels r = many;
	if (m->card == CARD_ONE_TO_ONE)
		r = m->on ? labels_keep(l, many, m->labels, m->n_labels)
			  : labels_drop(l, many, m->labels, m->n_labels);
	else if (many.n)
		memcpy(l, many.l, many.n * sizeof(*l));
	uint32_t n = r.n;
	for (size_t i = 0; j->cut && i < ROW_NAME_LABELS; i++)
		put_label(l, &n, row_name_labels[i], STR_NULL);
	for (size_t i = 0; i < m->n_include; i++)
		put_label(l, &n, m->include[i], labels_get(one, m->include[i]));
	*out = (struct labels){ l, n, 0 };
	return 0;
}

/* ---- pairs ---- */

static struct operand operand_at(const struct row *r, uint32_t i)
{
	return (struct operand){ r->v[i], r->h ? r->h[i] : NULL };
}

struct many_state {	      /* one row of the many side on its way */
	const struct row *in; /* NULL: its fill value stands here */
	struct sig *sig;
	size_t first; /* its first result row */
	struct row *out;
	uint64_t *claimed; /* steps at which any row gave this result */
	const struct row *last_one;
	bool started;
};

/* The presence bitmap of results with these labels and signature; of one-to-one matching: of the signature. */
static int claim_of(struct op_join *j, struct exec *x, const struct many_state *m,
		    struct labels ls, uint64_t **out, struct err *e)
{
	uintptr_t at = 0;
	size_t words = BITS_WORDS(j->op.grid.n);
	if (j->op.expr->bin.match.card == CARD_ONE_TO_ONE) {
		*out = m->sig->matched;
		return 0;
	}
	uint64_t key =
		labels_hash(ls) ^ ((uint64_t)(uintptr_t)m->sig * 0x9e3779b97f4a7c15);
	if (!map64_get(&j->inserted, key, &at)) {
		uint64_t *bits = arena_try(x->arena, x->ctx, words * 8, e);
		if (!bits)
			return -1;
		memset(bits, 0, words * 8);
		at = (uintptr_t)bits;
		map64_set(&j->inserted, key, at);
	}
	*out = (uint64_t *)at;
	return 0;
}

/* The result row of this "many" row where it meets `one` (NULL: its fill value). */
static int many_row(struct op_join *j, struct exec *x, struct many_state *m,
		    const struct row *one, struct err *e)
{
	struct labels ls;
	if (result_labels(j, x, m->in ? m->in->labels : m->sig->labels,
			  one ? one->labels : m->sig->labels, &ls, e) < 0 ||
	    claim_of(j, x, m, ls, &m->claimed, e) < 0)
		return -1;
	m->started = true;
	m->last_one = one;
	for (size_t k = m->first; k < j->n_rows; k++)
		if (labels_eq(j->rows[k].labels, ls)) {
			m->out = &j->rows[k];
			return 0;
		}
	BUG_ON(j->n_rows == j->cap_rows);
	m->out = &j->rows[j->n_rows++];
	if (row_new(x, &j->arena, j->op.grid.n, false, m->out, e) < 0)
		return -1;
	m->out->labels = ls;
	m->out->drop_name = j->op.expr->bin.ret_bool && !j->cut;
	return 0;
}

struct result {
	struct operand is;
	bool keep; /* a comparison holds */
};
/* False: the pair has no result, and counts as not matched. */
static bool pair_value(struct op_join *j, uint32_t i, struct operand l, struct operand r,
		       struct result *out)
{
	enum bin_op op = j->op.expr->bin.op;
	if (!hist_binop_wants(op, l.h, r.h)) {
		out->is = (struct operand){ binop_value(op, l.v, r.v, &out->keep), NULL };
		return true;
	}
	struct binop_result res = hist_binop_eval(&j->hists, i, l, r);
	out->keep = res.keep;
	out->is = res.is;
	return !res.dropped;
}

static void multiple(struct op_join *j, struct exec *x)
{
	err_set(x->ctx, &j->failure, E_EXEC, "multiple matches for labels: %s",
		j->op.expr->bin.match.card == CARD_ONE_TO_ONE
			? "many-to-one matching must be explicit "
			  "(group_left/group_right)"
			: "grouping labels must ensure unique matches");
}

/* A pair at step i; `one` NULL: nothing there, its fill value is taken. */
static int many_step(struct op_join *j, struct exec *x, struct many_state *m,
		     const struct row *one, uint32_t i, struct err *e)
{
	const struct expr *b = j->op.expr;
	const struct match_node *mn = &b->bin.match;
	struct operand many =
		m->in ? operand_at(m->in, i) : (struct operand){ mn->left, NULL };
	struct operand o = one ? operand_at(one, i) : (struct operand){ mn->right, NULL };
	struct result r = { 0 };
	if (!pair_value(j, i, j->swapped ? o : many, j->swapped ? many : o, &r))
		return 0;
	if ((!m->started || one != m->last_one) && many_row(j, x, m, one, e) < 0)
		return -1;
	if (bit_get(m->claimed, i)) {
		if (fails_first(j, i, false))
			multiple(j, x);
		return 0;
	}
	bit_set(m->claimed, i);
	bit_set(m->sig->matched, i);
	if (!r.keep && !b->bin.ret_bool)
		return 0;
	if (b->bin.ret_bool)
		r.is = (struct operand){ r.keep, NULL };
	if (r.is.h && row_want_hists(x, &j->arena, j->op.grid.n, m->out, e) < 0)
		return -1;
	m->out->v[i] = r.is.v;
	if (r.is.h)
		m->out->h[i] = r.is.h;
	bit_set(m->out->bits, i);
	return 0;
}

/* ---- words of steps ---- */

/* A row of floats that meets one row of floats only, and keeps each step that both have. */
static const struct row *plain_pair(const struct op_join *j, const struct many_state *m)
{
	const struct one_row *o = m->sig->rows;
	bool plain = o && !o->next && !o->row.h && !m->in->h && !j->fill_one &&
		     j->op.expr->bin.op <= OP_ATAN2;
	return plain ? &o->row : NULL;
}

static void word_values(enum bin_op op, const double *l, const double *r, double *out,
			uint64_t bits)
{
	bool keep;
	if (bits == UINT64_MAX && op == OP_ADD) {
		for (int i = 0; i < 64; i++)
			out[i] = l[i] + r[i];
	} else if (bits == UINT64_MAX && op == OP_SUB) {
		for (int i = 0; i < 64; i++)
			out[i] = l[i] - r[i];
	} else if (bits == UINT64_MAX && op == OP_MUL) {
		for (int i = 0; i < 64; i++)
			out[i] = l[i] * r[i];
	} else if (bits == UINT64_MAX && op == OP_DIV) {
		for (int i = 0; i < 64; i++)
			out[i] = l[i] / r[i];
	} else {
		for (; bits; bits &= bits - 1) {
			int i = __builtin_ctzll(bits);
			out[i] = binop_value(op, l[i], r[i], &keep);
		}
	}
}

/* As many_step at each step that both have. */
static int plain_steps(struct op_join *j, struct exec *x, struct many_state *m,
		       const struct row *one, struct err *e)
{
	const struct row *l = j->swapped ? one : m->in, *r = j->swapped ? m->in : one;
	for (uint32_t at = 0; at < j->end; at += 64) {
		uint32_t w = at / 64;
		uint64_t both = m->in->bits[w] & one->bits[w];
		if (j->end - at < 64)
			both &= (1ull << (j->end - at)) - 1;
		if (!both)
			continue;
		if (!m->started && many_row(j, x, m, one, e) < 0)
			return -1;
		uint64_t twice = m->claimed[w] & both;
		if (twice)
			both &= (twice & -twice) - 1; /* the steps before */
		m->claimed[w] |= both;
		m->sig->matched[w] |= both;
		if (twice) {
			if (fails_first(j, at + (uint32_t)__builtin_ctzll(twice), false))
				multiple(j, x);
			return 0;
		}
		m->out->bits[w] |= both;
		word_values(j->op.expr->bin.op, l->v + at, r->v + at, m->out->v + at,
			    both);
	}
	return 0;
}

/* ---- batches ---- */

/* Rows that one "many" row may give: each "one" row may bring other included labels. */
static size_t rows_needed(const struct op_join *j, const struct sig *s)
{
	size_t n = j->fill_one;
	for (const struct one_row *o = s->rows; o; o = o->next)
		n++;
	return n;
}

static int rows_begin(struct op_join *j, struct exec *x, size_t n, struct err *e)
{
	j->n_rows = 0;
	j->cap_rows = n;
	j->rows = arena_try(&j->arena, x->ctx, n * sizeof(*j->rows) + 1, e);
	return j->rows ? 0 : -1;
}

/* Only rows that hold something are shown. */
static bool rows_end(struct op_join *j)
{
	size_t n = 0;
	for (size_t k = 0; k < j->n_rows; k++)
		if (bits_any(j->rows[k].bits, j->op.grid.n))
			j->rows[n++] = j->rows[k];
	j->out = (struct batch){ j->rows, n };
	return n != 0;
}

static int check_batch_dups(struct op_join *j, struct exec *x, const struct batch *b,
			    struct err *e)
{
	size_t words = BITS_WORDS(j->op.grid.n);
	if (!j->any_dup)
		return 0;
	uint64_t *any = arena_try(&j->arena, x->ctx, words * 8, e);
	if (!any)
		return -1;
	memset(any, 0, words * 8);
	for (size_t k = 0; k < b->n; k++)
		for (size_t w = 0; w < words; w++)
			any[w] |= b->row[k].bits[w];
	check_dups(j, x, any);
	return 0;
}

static int join_batch(struct op_join *j, struct exec *x, const struct batch *b,
		      struct err *e)
{
	struct sig **sigs = arena_try(&j->arena, x->ctx, b->n * sizeof(*sigs) + 1, e);
	size_t need = 0;
	if (!sigs || check_batch_dups(j, x, b, e) < 0)
		return -1;
	for (size_t k = 0; k < b->n; k++) {
		if (sigs_of(&j->sigs, x, b->row[k].labels, j->fill_one, &sigs[k], e) < 0)
			return -1;
		need += sigs[k] ? rows_needed(j, sigs[k]) : 0;
	}
	if (rows_begin(j, x, need, e) < 0)
		return -1;
	for (size_t k = 0; k < b->n; k++) {
		struct many_state m = { .in = &b->row[k],
					.sig = sigs[k],
					.first = j->n_rows };
		if (!m.sig)
			continue;
		const struct row *only = plain_pair(j, &m);
		if (only) {
			if (plain_steps(j, x, &m, only, e) < 0)
				return -1;
			continue;
		}
		EACH_BIT(i, b->row[k].bits, j->end)
		{
			const struct row *one =
				bit_get(m.sig->bits, i) ? one_at(m.sig, i) : NULL;
			if ((one || j->fill_one) && many_step(j, x, &m, one, i, e) < 0)
				return -1;
		}
	}
	return 0;
}

/* The many side has ended: what it did not meet meets its fill value. */
static int fill_batch(struct op_join *j, struct exec *x, struct err *e)
{
	struct sig *s = j->sigs.list[j->filled++];
	if (rows_begin(j, x, rows_needed(j, s), e) < 0)
		return -1;
	for (const struct one_row *o = s->rows; o; o = o->next) {
		struct many_state m = { .sig = s, .first = j->n_rows };
		EACH_BIT(i, o->row.bits, j->end)
		if (!bit_get(s->matched, i) && many_step(j, x, &m, &o->row, i, e) < 0)
			return -1;
	}
	return 0;
}

static int join_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_join *j = (struct op_join *)op;
	struct batch *b;
	int rc = 1;
	if (!j->ready && read_one_side(j, x, e) < 0)
		return -1;
	j->ready = true;
	*out = &j->out;
	while (rc > 0 && j->filled == 0) {
		rc = op_next(op->in[j->swapped ? 1 : 0], x, &b, e);
		if (rc < 0)
			return -1;
		arena_reset(&j->arena);
		hist_binop_batch(&j->hists, &j->arena);
		if (rc > 0 && join_batch(j, x, b, e) < 0)
			return -1;
		if (rc > 0 && !j->fails && rows_end(j))
			return 1;
	}
	while (j->fill_many && j->filled < j->sigs.n) {
		arena_reset(&j->arena);
		hist_binop_batch(&j->hists, &j->arena);
		if (fill_batch(j, x, e) < 0)
			return -1;
		if (!j->fails && rows_end(j))
			return 1;
	}
	if (j->fails)
		return err_copy(x->ctx, e, &j->failure);
	hist_binop_say(&j->hists);
	return 0;
}

static void join_close(struct op *op)
{
	struct op_join *j = (struct op_join *)op;
	sigs_deinit(&j->sigs);
	map64_deinit(&j->inserted);
	map64_deinit(&j->columns);
	arena_deinit(&j->arena);
}

static const struct op_ops join_ops = { "join", NULL, join_next, join_close };

static bool includes_name(const struct match_node *m)
{
	for (size_t i = 0; i < m->n_include; i++)
		for (size_t k = 0; k < ROW_NAME_LABELS; k++)
			if (str_eq(m->include[i], row_name_labels[k]))
				return true;
	return false;
}

/* Can two results of different signatures, or of two rows, be equal? */
static bool may_collide(const struct op_join *j, const struct exec *x)
{
	const struct match_node *m = &j->op.expr->bin.match;
	const struct op *many = j->op.in[j->swapped ? 1 : 0];
	/* COMPAT: Prometheus 3.14 leaves an instant query with delayed names to the end */
	if (x->q->delayed_names && j->op.grid.n == 1)
		return false;
	return m->n_include || (j->cut && !many->nameless) ||
	       (j->fill_many && m->card != CARD_ONE_TO_ONE);
}

int op_join_new(struct exec *x, const struct expr *e, struct op *l, struct op *r,
		struct op **out, struct err *err)
{
	(void)err;
	const struct match_node *m = &e->bin.match;
	struct op_join *j = op_alloc(x, sizeof(*j), &join_ops, l->grid, TYPE_VECTOR, e);
	sigs_init(&j->sigs, x, m, l->grid.n);
	map64_init(&j->inserted);
	map64_init(&j->columns);
	arena_init(&j->arena, x->ctx->budget);
	hist_binop_init(&j->hists, x, e, l->grid.n);
	j->op.in[0] = l;
	j->op.in[1] = r;
	j->end = l->grid.n;
	j->failure = (struct err)ERR_INIT;
	j->swapped = m->card == CARD_ONE_TO_MANY;
	j->fill_one = m->fill_right;
	j->fill_many = m->fill_left;
	/* COMPAT: in Prometheus 3.14 only bool waits with the name; arithmetic cuts it off at once */
	j->cut = op_drops_name(e) && !(e->bin.ret_bool && x->q->delayed_names);
	j->op.nameless = j->cut && !includes_name(m);
	*out = &j->op;
	if (may_collide(j, x))
		*out = j->unique = op_unique_wrap(x, &j->op);
	return 0;
}
