/*
 * promql/exec/op_join.c - binary operators between two vectors: arithmetic, comparison, and, or, unless.
 *
 * Held: the rows of the "one" side by signature (for set operators only presence bitmaps); the other
 * side streams through. Matching is decided step by step: several "one" rows of a signature are fine as
 * long as no two are present at the same step where the other side has anything.
 * Source  prometheus.md §2.2; error texts are Prometheus'
 */
#include "promql/exec/exec_int.h"

#include <stdlib.h>

#include "base/vec.h"
#include "promql/exec/join_int.h"

/* ---- signatures ---- */

static void sig_labels(const struct match_node *m, struct labels ls, struct label *tmp,
		       const struct str *names, size_t n, struct labels *out)
{
	*out = m->on ? labels_keep(tmp, ls, names, n) : labels_drop(tmp, ls, names, n);
	out->hash = 0;
}

static struct sig *sig_find(struct op_join *j, struct labels key, uint64_t h)
{
	uintptr_t at;
	if (!map64_get(&j->index, h, &at))
		return NULL;
	struct sig *s = (struct sig *)at;
	while (s && !labels_eq(s->labels, key))
		s = s->next;
	return s;
}

/* The signature of a label set; made if `make`. */
static int sig_of(struct op_join *j, struct exec *x, struct labels ls, bool make,
		  struct sig **out, struct err *e)
{
	struct label few[64], *tmp = few;
	struct labels key;
	if (ls.n > ARRAY_LEN(few))
		tmp = xmalloc(ls.n * sizeof(*tmp));
	sig_labels(&j->op.expr->bin.match, ls, tmp, j->names, j->n_names, &key);
	uint64_t h = labels_hash(key);
	struct sig *s = sig_find(j, key, h);
	int rc = 0;
	if (!s && make) {
		size_t words = BITS_WORDS(j->op.grid.n);
		uintptr_t at = 0;
		s = ARENA_NEW(x->arena, struct sig);
		s->bits = arena_try(x->arena, x->ctx, words * 8, e);
		rc = s->bits ? labels_try_dup(x->arena, x->ctx, key, &s->labels, e) : -1;
		if (rc == 0) {
			memset(s->bits, 0, words * 8);
			(void)map64_get(&j->index, h, &at);
			s->next = (struct sig *)at;
			map64_set(&j->index, h, (uintptr_t)s);
		}
	}
	if (tmp != few)
		free(tmp);
	*out = s;
	return rc;
}

/* ---- and, unless, or ---- */

static int set_read_right(struct op_join *j, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	while ((rc = op_next(j->op.in[1], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++) {
			struct sig *s;
			if (sig_of(j, x, b->row[k].labels, true, &s, e) < 0)
				return -1;
			for (size_t w = 0; w < BITS_WORDS(j->op.grid.n); w++)
				s->bits[w] |= b->row[k].bits[w];
		}
	return rc;
}

/* Mask a row by its signature's presence; the row is kept if anything is left. */
static int mask_row(struct op_join *j, struct exec *x, struct row *r, bool keep_present,
		    struct err *e)
{
	struct sig *s;
	size_t words = BITS_WORDS(j->op.grid.n);
	if (sig_of(j, x, r->labels, false, &s, e) < 0)
		return -1;
	for (size_t w = 0; w < words; w++) {
		uint64_t m = s ? s->bits[w] : 0;
		r->bits[w] &= keep_present ? m : ~m;
	}
	return bits_any(r->bits, j->op.grid.n);
}

static int mask_batch(struct op_join *j, struct exec *x, struct batch *b,
		      bool keep_present, struct err *e)
{
	size_t k = 0;
	for (size_t i = 0; i < b->n; i++) {
		int rc = mask_row(j, x, &b->row[i], keep_present, e);
		if (rc < 0)
			return -1;
		if (rc)
			b->row[k++] = b->row[i];
	}
	b->n = k;
	return 0;
}

static int set_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_join *j = (struct op_join *)op;
	bool keep = op->expr->bin.op == OP_AND;
	if (!j->ready && set_read_right(j, x, e) < 0)
		return -1;
	j->ready = true;
	int rc = op_next(op->in[0], x, out, e);
	if (rc <= 0)
		return rc;
	return mask_batch(j, x, *out, keep, e) < 0 ? -1 : 1;
}

/* Left rows as they are; then right rows where no left row of their signature is present. */
static int or_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_join *j = (struct op_join *)op;
	if (!j->ready) {
		int rc = op_next(op->in[0], x, out, e);
		if (rc < 0)
			return -1;
		for (size_t k = 0; rc > 0 && k < (*out)->n; k++) {
			struct sig *s;
			if (sig_of(j, x, (*out)->row[k].labels, true, &s, e) < 0)
				return -1;
			for (size_t w = 0; w < BITS_WORDS(op->grid.n); w++)
				s->bits[w] |= (*out)->row[k].bits[w];
		}
		if (rc > 0)
			return 1;
		j->ready = true;
	}
	int rc = op_next(op->in[1], x, out, e);
	if (rc <= 0)
		return rc;
	return mask_batch(j, x, *out, false, e) < 0 ? -1 : 1;
}

static void join_close(struct op *op)
{
	struct op_join *j = (struct op_join *)op;
	map64_deinit(&j->index);
	map64_deinit(&j->inserted);
	arena_deinit(&j->arena);
}

static const struct op_ops and_ops = { "and-unless", NULL, set_next, join_close };
static const struct op_ops or_ops = { "or", NULL, or_next, join_close };

/* ---- arithmetic and comparison ---- */

/* A row of the "one" side joins its signature; a step held twice is remembered as a duplicate. */
static int one_add(struct op_join *j, struct exec *x, const struct row *r, struct err *e)
{
	struct sig *s;
	uint32_t n = j->op.grid.n;
	if (sig_of(j, x, r->labels, true, &s, e) < 0)
		return -1;
	struct one_row *o = ARENA_NEW(x->arena, struct one_row);
	if (row_copy(x, x->arena, n, r, &o->row, e) < 0)
		return -1;
	if (s->last) /* in series order: errors show the first two */
		s->last->next = o;
	else
		s->rows = o;
	s->last = o;
	for (size_t w = 0; w < BITS_WORDS(n); w++) {
		uint64_t both = s->bits[w] & r->bits[w];
		if (both && (!j->dup || w < j->dup_word)) {
			j->dup = s;
			j->dup_word = w;
		}
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

static int duplicate(struct op_join *j, struct exec *x, uint32_t i, struct err *e)
{
	struct buf b;
	const struct row *two[2] = { NULL, NULL };
	size_t n = 0;
	buf_init(&b, 1 << 20);
	for (const struct one_row *o = j->dup->rows; o && n < 2; o = o->next)
		if (bit_get(o->row.bits, i))
			two[n++] = &o->row;
	buf_str(&b, STR("found duplicate series for the match group "));
	labels_text(j->dup->labels, &b);
	buf_fmt(&b, " on the %s hand-side of the operation: [",
		j->swapped ? "left" : "right");
	for (size_t k = 0; k < n; k++) {
		labels_text(two[k]->labels, &b);
		buf_str(&b, k + 1 < n ? STR(", ") : STR("]"));
	}
	buf_str(&b,
		STR(";many-to-many matching not allowed: matching labels must be unique on "
		    "one side"));
	int rc = err_set(x->ctx, e, E_EXEC, "%.*s", STR_FMT(buf_view(&b)));
	buf_deinit(&b);
	return rc;
}

static int check_dups(struct op_join *j, struct exec *x, const uint64_t *many,
		      struct err *e)
{
	for (uint32_t w = 0; j->dup && w < BITS_WORDS(j->op.grid.n); w++)
		if (j->dups[w] & many[w]) {
			uint32_t i =
				w * 64 + (uint32_t)__builtin_ctzll(j->dups[w] & many[w]);
			return duplicate(j, x, i, e);
		}
	return 0;
}

/* Has another row put a result at this step for `key` already? */
static int claim(struct op_join *j, struct exec *x, uint64_t key, uint32_t i, bool *taken,
		 struct err *e)
{
	uintptr_t at = 0;
	size_t words = BITS_WORDS(j->op.grid.n);
	if (!map64_get(&j->inserted, key, &at)) {
		uint64_t *bits = arena_try(x->arena, x->ctx, words * 8, e);
		if (!bits)
			return -1;
		memset(bits, 0, words * 8);
		at = (uintptr_t)bits;
		map64_set(&j->inserted, key, at);
	}
	*taken = bit_get((uint64_t *)at, i);
	bit_set((uint64_t *)at, i);
	return 0;
}

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
	const struct expr *b = j->op.expr;
	const struct match_node *m = &b->bin.match;
	struct label *l =
		arena_try(&j->arena, x->ctx, (many.n + m->n_include + 1) * sizeof(*l), e);
	if (!l)
		return -1;
	struct labels r = many;
	if (m->card == CARD_ONE_TO_ONE)
		r = m->on ? labels_keep(l, many, m->labels, m->n_labels)
			  : labels_drop(l, many, m->labels, m->n_labels);
	else
		memcpy(l, many.l, many.n * sizeof(*l));
	uint32_t n = r.n;
	if (op_drops_name(b))
		put_label(l, &n, LABEL_NAME, STR_NULL);
	for (size_t i = 0; i < m->n_include; i++)
		put_label(l, &n, m->include[i], labels_get(one, m->include[i]));
	*out = (struct labels){ l, n, 0 };
	return 0;
}

struct many_state { /* one row of the many side on its way */
	const struct row *in;
	struct sig *sig;
	size_t first; /* its first result row */
	struct row *out;
	const struct row *last_one;
};

/* The result row of this "many" row with these labels. */
static int many_row(struct op_join *j, struct exec *x, struct many_state *m,
		    struct labels ls, struct err *e)
{
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
	return 0;
}

static struct operand operand_at(const struct row *r, uint32_t i)
{
	return (struct operand){ r->v[i], r->h ? r->h[i] : NULL };
}

static int many_step(struct op_join *j, struct exec *x, struct many_state *m, uint32_t i,
		     struct err *e)
{
	const struct expr *b = j->op.expr;
	const struct match_node *mn = &b->bin.match;
	const struct row *one = one_at(m->sig, i);
	bool keep, taken;
	struct operand is = { 0, NULL }, mine = operand_at(m->in, i),
		       other = operand_at(one, i);
	if (j->swapped) {
		struct operand t = mine;
		mine = other;
		other = t;
	}
	if (hist_binop_wants(b->bin.op, mine.h, other.h)) {
		struct binop_result res = hist_binop_eval(&j->hists, i, mine, other);
		if (res.dropped)
			return 0;
		keep = res.keep;
		is = res.is;
	} else {
		is.v = binop_value(b->bin.op, mine.v, other.v, &keep);
	}
	if (b->bin.ret_bool)
		is = (struct operand){ keep, NULL };
	else if (!keep)
		return 0;
	if (one != m->last_one) {
		struct labels ls;
		if (result_labels(j, x, m->in->labels, one->labels, &ls, e) < 0)
			return -1;
		if (many_row(j, x, m, ls, e) < 0)
			return -1;
		m->last_one = one;
	}
	uint64_t key = mn->card == CARD_ONE_TO_ONE ? (uint64_t)(uintptr_t)m->sig
						   : labels_hash(m->out->labels);
	if (claim(j, x, key, i, &taken, e) < 0)
		return -1;
	if (taken)
		return err_set(
			x->ctx, e, E_EXEC, "%s",
			mn->card == CARD_ONE_TO_ONE
				? "multiple matches for labels: many-to-one matching must be "
				  "explicit (group_left/group_right)"
				: "multiple matches for labels: grouping labels must ensure "
				  "unique matches");
	if (is.h && row_want_hists(x, &j->arena, j->op.grid.n, m->out, e) < 0)
		return -1;
	m->out->v[i] = is.v;
	if (is.h)
		m->out->h[i] = is.h;
	bit_set(m->out->bits, i);
	return 0;
}

/* Rows that one "many" row may give: each "one" row may bring other included labels. */
static size_t rows_needed(const struct sig *s)
{
	size_t n = 0;
	for (const struct one_row *o = s->rows; o; o = o->next)
		n++;
	return n;
}

static int join_batch(struct op_join *j, struct exec *x, const struct batch *b,
		      struct err *e)
{
	struct sig **sigs = arena_try(&j->arena, x->ctx, b->n * sizeof(*sigs) + 1, e);
	if (!sigs)
		return -1;
	j->n_rows = j->cap_rows = 0;
	for (size_t k = 0; k < b->n; k++) {
		if (check_dups(j, x, b->row[k].bits, e) < 0 ||
		    sig_of(j, x, b->row[k].labels, false, &sigs[k], e) < 0)
			return -1;
		j->cap_rows += sigs[k] ? rows_needed(sigs[k]) : 0;
	}
	j->rows = arena_try(&j->arena, x->ctx, j->cap_rows * sizeof(*j->rows) + 1, e);
	if (!j->rows)
		return -1;
	for (size_t k = 0; k < b->n; k++) {
		struct many_state m = { &b->row[k], sigs[k], j->n_rows, NULL, NULL };
		if (!m.sig)
			continue;
		EACH_BIT(i, b->row[k].bits, j->op.grid.n)
		if (bit_get(m.sig->bits, i) && many_step(j, x, &m, i, e) < 0)
			return -1;
	}
	return 0;
}

static int join_prepare_one(struct op_join *j, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	size_t words = BITS_WORDS(j->op.grid.n);
	j->dups = arena_zalloc(x->arena, words * 8);
	while ((rc = op_next(j->op.in[j->swapped ? 0 : 1], x, &b, e)) > 0)
		for (size_t k = 0; k < b->n; k++)
			if (one_add(j, x, &b->row[k], e) < 0)
				return -1;
	return rc;
}

static int join_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_join *j = (struct op_join *)op;
	struct batch *b;
	if (!j->ready && join_prepare_one(j, x, e) < 0)
		return -1;
	j->ready = true;
	for (;;) {
		int rc = op_next(op->in[j->swapped ? 1 : 0], x, &b, e);
		if (rc == 0)
			hist_binop_say(&j->hists);
		if (rc <= 0)
			return rc;
		arena_reset(&j->arena);
		hist_binop_batch(&j->hists, &j->arena);
		if (join_batch(j, x, b, e) < 0)
			return -1;
		if (j->n_rows == 0)
			continue;
		j->out = (struct batch){ j->rows, j->n_rows };
		*out = &j->out;
		return 1;
	}
}

static const struct op_ops join_ops = { "join", NULL, join_next, join_close };

/* ignoring() leaves the metric name out of the signature, too. */
static void signature_names(struct exec *x, struct op_join *j, const struct match_node *m)
{
	struct str *v = ARENA_ARRAY(x->arena, struct str, m->n_labels + 1);
	size_t n = 0;
	for (size_t i = 0; i < m->n_labels; i++)
		v[n++] = m->labels[i];
	if (!m->on) {
		size_t at = 0;
		while (at < n && str_cmp(v[at], LABEL_NAME) < 0)
			at++;
		if (at == n || !str_eq(v[at], LABEL_NAME)) {
			memmove(v + at + 1, v + at, (n - at) * sizeof(*v));
			v[at] = LABEL_NAME;
			n++;
		}
	}
	j->names = v;
	j->n_names = n;
}

int op_join_new(struct exec *x, const struct expr *e, struct op *l, struct op *r,
		struct op **out, struct err *err)
{
	const struct op_ops *ops = e->bin.op == OP_OR	  ? &or_ops
				   : op_is_set(e->bin.op) ? &and_ops
							  : &join_ops;
	(void)err;
	struct op_join *j = op_alloc(x, sizeof(*j), ops, l->grid, TYPE_VECTOR, e);
	map64_init(&j->index);
	map64_init(&j->inserted);
	arena_init(&j->arena, x->ctx->budget);
	hist_binop_init(&j->hists, x, e, l->grid.n);
	j->op.in[0] = l;
	j->op.in[1] = r;
	j->swapped = e->bin.match.card == CARD_ONE_TO_MANY;
	signature_names(x, j, &e->bin.match);
	if (op_is_set(e->bin.op))
		j->op.unique = l->unique && e->bin.op != OP_OR;
	else
		j->op.nameless = op_drops_name(e);
	*out = &j->op;
	return 0;
}
