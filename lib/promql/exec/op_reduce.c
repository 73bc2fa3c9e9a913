/*
 * promql/exec/op_reduce.c - sum avg min max count group stddev stdvar: each row is folded into its group
 * as it comes and dropped, so that memory follows groups x steps, not the series read.
 *
 * Aggregations of the same selector, or of a part of its series, read it together: whichever is asked first folds each
 * row into all of them, so that nothing is kept for the others.
 *
 * Rows are folded in series order whatever thread decoded them, so a compensated sum has the same bits as
 * Prometheus'.  Source  prometheus.md §2.7
 */
#include "promql/exec/exec_int.h"

#include <math.h>
#include <stdlib.h>

#include "base/vec.h"
#include "promql/exec/group.h"
#include "promql/exec/held.h"
#include "promql/exec/lanes.h"
#include "promql/exec/reduce_hist.h"
#include "promql/exec/select_int.h"
#include "promql/exec/slices.h"

#define HISTS_SHOWN 1024 /* or a row more, in a batch */

struct group {
	double *v, *c, *n;     /* value, compensation or mean, count: columns() of them */
	uint64_t *bits;	       /* seen */
	uint64_t *incremental; /* avg: the sum overflowed at this step */
	struct hist_slot *hist; /* by step; NULL: none came yet */
	struct drop_mark drop;
	bool any; /* a row was folded */
};
struct op_reduce {
	struct op op;
	enum aggr_op kind;
	struct groups groups;
	struct group **group; /* by ordinal */
	size_t n_group, cap_group;
	struct row *rows;
	struct hist_slot **cells; /* of each row; NULL: floats only */
	size_t n_rows, at;	  /* rows; shown */
	struct batch out;
	bool done;
	struct hist_reduce hists;
	struct arena shown; /* histograms of `out` */
	bool said_ignored;
	/* Those that read the same selector: `first` was planned first, the others hang on it. */
	struct op_reduce *first, *along;
	bool read; /* of `first`: all rows were folded, or that failed */
	int rc;
	struct err failure;
	/* If it is read in slices: */
	struct arena slice; /* groups and rows; else they are on the request arena */
	size_t most;	    /* bytes of groups; 0: any */
	struct select_mark *mark; /* before this slice */
	bool outgrown;
};

static void fold_avg(struct group *g, uint32_t i, double v)
{
	double count = ++g->n[i];
	if (!bit_get(g->incremental, i)) {
		double s = g->v[i], c = g->c[i];
		kahan_add(v, &s, &c);
		if (!isinf(s)) {
			g->v[i] = s;
			g->c[i] = c;
			return;
		}
		bit_set(g->incremental, i);
		g->v[i] = g->v[i] / (count - 1); /* from here on v is the mean */
		g->c[i] /= count - 1;
	}
	double q = (count - 1) / count;
	double mean = q * g->v[i], c = q * g->c[i];
	kahan_add(v / count, &mean, &c);
	g->v[i] = mean;
	g->c[i] = c;
}

static void fold_first(enum aggr_op kind, struct group *g, uint32_t i, double v)
{
	bit_set(g->bits, i);
	g->v[i] = v;
	switch (kind) {
	case AGG_SUM: g->v[i] = v + 0.0; return; /* of -0: 0 */
	case AGG_AVG:
		g->c[i] = 0;
		g->n[i] = 1;
		return;
	case AGG_STDDEV:
	case AGG_STDVAR:
		g->v[i] = isnan(v) || isinf(v) ? NAN : 0;
		g->c[i] = v; /* the mean */
		g->n[i] = 1;
		return;
	case AGG_COUNT:
	case AGG_GROUP: g->v[i] = 1; return;
	default: return;
	}
}

static void fold_more(enum aggr_op kind, struct group *g, uint32_t i, double v)
{
	switch (kind) {
	case AGG_SUM: kahan_add(v, &g->v[i], &g->c[i]); return;
	case AGG_AVG: fold_avg(g, i, v); return;
	case AGG_COUNT: g->v[i]++; return;
	case AGG_MIN:
		if (v < g->v[i] || isnan(g->v[i]))
			g->v[i] = v;
		return;
	case AGG_MAX:
		if (v > g->v[i] || isnan(g->v[i]))
			g->v[i] = v;
		return;
	case AGG_STDDEV:
	case AGG_STDVAR: {
		double delta = v - g->c[i];
		g->n[i]++;
		g->c[i] += delta / g->n[i];
		g->v[i] += delta * (v - g->c[i]);
		return;
	}
	default: return;
	}
}

static double result(enum aggr_op kind, const struct group *g, uint32_t i)
{
	switch (kind) {
	case AGG_SUM: return g->v[i] + g->c[i]; /* infinite: of 0 */
	case AGG_AVG:
		if (bit_get(g->incremental, i))
			return g->v[i] + g->c[i];
		return g->v[i] / g->n[i] + g->c[i] / g->n[i];
	case AGG_STDVAR: return g->v[i] / g->n[i];
	case AGG_STDDEV: return sqrt(g->v[i] / g->n[i]);
	default: return g->v[i];
	}
}

/*
 * Columns that a group begins with: its value, of means a compensation and a count, too. There may be as many groups as series,
 * so a sum is given its compensation with the second row.
 */
static size_t columns(enum aggr_op kind)
{
	switch (kind) {
	case AGG_AVG:
	case AGG_STDDEV:
	case AGG_STDVAR: return 3;
	default: return 1;
	}
}

static struct group *new_group(struct op_reduce *r, struct exec *x, struct err *e)
{
	size_t n = r->op.grid.n, words = BITS_WORDS(n), cols = columns(r->kind),
	       maps = r->kind == AGG_AVG ? 2 : 1;
	struct group *g = ARENA_NEW(r->groups.arena, struct group);
	char *p = arena_try(r->groups.arena, x->ctx, (words * maps + n * cols) * 8, e);
	if (!p)
		return NULL;
	memset(p, 0, words * maps * 8); /* a value is there where its bit is */
	g->bits = (uint64_t *)p;
	g->incremental = maps > 1 ? g->bits + words : NULL;
	g->v = (double *)(g->bits + words * maps);
	g->c = cols > 1 ? g->v + n : NULL;
	g->n = cols > 2 ? g->c + n : NULL;
	if (r->n_group == r->cap_group)
		r->group = vec_grow(r->group, &r->cap_group, r->n_group + 1,
				    sizeof(*r->group));
	r->group[r->n_group++] = g;
	return g;
}

static struct group *group_of(struct op_reduce *r, struct exec *x, struct labels ls,
			      struct err *e)
{
	uint32_t at;
	if (groups_of(&r->groups, x, ls, &at, e) < 0)
		return NULL;
	return at < r->n_group ? r->group[at] : new_group(r, x, e);
}

static int want_compensation(struct op_reduce *r, struct exec *x, struct group *g,
			     struct err *e)
{
	size_t bytes = r->op.grid.n * sizeof(*g->c);
	if (!(g->c = arena_try(r->groups.arena, x->ctx, bytes, e)))
		return -1;
	memset(g->c, 0, bytes);
	return 0;
}

static bool by_words(enum aggr_op kind)
{
	return kind == AGG_SUM || kind == AGG_MIN || kind == AGG_MAX;
}

/* of -0: 0 */
static void first_word(const double *v, double *sum)
{
	for (int i = 0; i < 64; i += LANES)
		lanes_store(sum + i, lanes_load(v + i) + (lanes){ 0 });
}

/* 64 steps that are all present, in the row and in the group (not first). */
static void fold_word(enum aggr_op kind, struct group *g, const double *v, uint32_t at,
		      bool first)
{
	if (first && kind == AGG_SUM) {
		first_word(v, g->v + at);
	} else if (first) {
		memcpy(g->v + at, v, 64 * sizeof(*v));
	} else if (kind == AGG_SUM) {
		lanes_kahan_add(v, g->v + at, g->c + at, 64);
	} else {
		lanes_extremes(v, g->v + at, 64, kind == AGG_MAX);
	}
}

/* The hot ones: floats alone, and mostly at all steps of a word. */
static void words_row(enum aggr_op kind, struct group *g, const struct row *row,
		      uint32_t n)
{
	for (uint32_t at = 0; at < n; at += 64) {
		uint64_t bits = row->bits[at / 64], *have = &g->bits[at / 64];
		if (bits == UINT64_MAX && (*have == UINT64_MAX || *have == 0)) {
			fold_word(kind, g, row->v + at, at, *have == 0);
			*have = bits;
			continue;
		}
		for (; bits; bits &= bits - 1) {
			uint32_t i = at + (uint32_t)__builtin_ctzll(bits);
			if (bit_get(g->bits, i))
				fold_more(kind, g, i, row->v[i]);
			else
				fold_first(kind, g, i, row->v[i]);
		}
	}
}

static bool takes_hists(enum aggr_op kind)
{
	return kind == AGG_COUNT || kind == AGG_GROUP;
}

static int fold_hist(struct op_reduce *r, struct exec *x, struct group *g, uint32_t i,
		     const struct row *row, struct err *e)
{
	if (r->kind == AGG_SUM || r->kind == AGG_AVG)
		return hist_reduce_add(&r->hists, &g->hist, i, row->h[i], row->labels,
				       bit_get(g->bits, i), e);
	if (!r->said_ignored)
		anno_info(x, expr_strip(r->op.expr->aggr.e),
			  "ignored histogram in %s aggregation", aggr_op_text(r->kind));
	r->said_ignored = true;
	return 0;
}

static int fold_row(struct op_reduce *r, struct exec *x, const struct row *row,
		    struct err *e)
{
	struct group *g = group_of(r, x, row->labels, e);
	if (!g)
		return -1;
	enum aggr_op kind = r->kind;
	if (kind == AGG_SUM && g->any && !g->c && want_compensation(r, x, g, e) < 0)
		return -1;
	g->any = true;
	drop_mark_row(&g->drop, row, r->op.grid.n);
	if (by_words(kind) && !row->h && !g->hist) {
		words_row(kind, g, row, r->op.grid.n);
		return 0;
	}
	EACH_BIT(i, row->bits, r->op.grid.n)
	{
		if (row->h && row->h[i] && !takes_hists(kind)) {
			if (fold_hist(r, x, g, i, row, e) < 0)
				return -1;
			continue;
		}
		if (hist_reduce_is_mixed(g->hist, i))
			continue; /* this step has no result any more */
		if (bit_get(g->bits, i))
			fold_more(kind, g, i, row->v[i]);
		else
			fold_first(kind, g, i, row->v[i]);
	}
	return 0;
}

static int fold_rows(struct op_reduce *r, struct exec *x, const struct batch *b,
		     struct err *e)
{
	uint32_t bit = r->op.only ? r->op.only->bit : 0;
	for (size_t k = 0; k < b->n; k++)
		if ((!bit || (b->row[k].among & bit)) &&
		    fold_row(r, x, &b->row[k], e) < 0)
			return -1;
	return 0;
}

/* Rows of the selector into all that read it. */
static int read_rows(struct op_reduce *first, struct exec *x, struct err *e)
{
	struct batch *b;
	int rc;
	while ((rc = op_next(first->op.in[0], x, &b, e)) > 0) {
		for (struct op_reduce *r = first; r; r = r->along)
			if (fold_rows(r, x, b, e) < 0)
				return -1;
		if (first->most && first->slice.total > first->most) {
			first->outgrown = true;
			return 0;
		}
	}
	return rc;
}

static void end_word(const double *c, double *v)
{
	for (int i = 0; i < 64; i += LANES)
		lanes_store(v + i, lanes_load(v + i) + lanes_load(c + i));
}

/* What was folded becomes the result, in place. */
static void end_group(enum aggr_op kind, struct group *g, uint32_t n)
{
	for (uint32_t at = 0; g->c && at < n; at += 64) {
		uint64_t bits = g->bits[at / 64];
		if (kind == AGG_SUM && bits == UINT64_MAX) {
			end_word(g->c + at, g->v + at);
			continue;
		}
		for (; bits; bits &= bits - 1) {
			uint32_t i = at + (uint32_t)__builtin_ctzll(bits);
			g->v[i] = result(kind, g, i);
		}
	}
}

static int reduce_all(struct op_reduce *r, struct exec *x, struct err *e)
{
	struct op_reduce *first = r->first;
	if (!first->read) {
		first->read = true;
		first->rc = read_rows(first, x, &first->failure);
	}
	if (first->rc < 0)
		return err_copy(x->ctx, e, &first->failure);
	if (r->outgrown)
		return 0;
	struct arena *a = r->groups.arena;
	r->rows = arena_try(a, x->ctx, r->n_group * sizeof(*r->rows) + 1, e);
	r->cells = arena_try(a, x->ctx, r->n_group * sizeof(*r->cells) + 1, e);
	if (!r->rows || !r->cells)
		return -1;
	for (size_t k = 0; k < r->n_group; k++) {
		struct group *g = r->group[k];
		end_group(r->kind, g, r->op.grid.n);
		hist_reduce_settle(&r->hists, g->hist, g->bits);
		if (!bits_any(g->bits, r->op.grid.n))
			continue;
		r->cells[r->n_rows] = g->hist;
		r->rows[r->n_rows++] = (struct row){ .labels = r->groups.key[k].labels,
						     .v = g->v,
						     .bits = g->bits,
						     .drop_name = g->drop.drop };
	}
	return 0;
}

/* Rows of floats at once; of those with histograms a few, which are made now. */
static int show_rows(struct op_reduce *r, struct err *e)
{
	size_t from = r->at, hists = 0;
	if (r->shown.chunks)
		arena_reset(&r->shown);
	while (r->at < r->n_rows && hists < HISTS_SHOWN) {
		struct hist_slot *cells = r->cells[r->at];
		if (cells &&
		    hist_reduce_show(&r->hists, cells, &r->shown, &r->rows[r->at], e) < 0)
			return -1;
		hists += cells ? r->op.grid.n : 0;
		r->at++;
	}
	r->out = (struct batch){ r->rows + from, r->at - from };
	return 0;
}

static int reduce_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_reduce *r = (struct op_reduce *)op;
	if (!r->done) {
		r->done = true;
		if (reduce_all(r, x, e) < 0)
			return -1;
	}
	if (r->at == r->n_rows)
		return 0;
	if (show_rows(r, e) < 0)
		return -1;
	*out = &r->out;
	return 1;
}

static void reduce_close(struct op *op)
{
	struct op_reduce *r = (struct op_reduce *)op;
	groups_deinit(&r->groups);
	hist_reduce_deinit(&r->hists);
	arena_deinit(&r->shown);
	arena_deinit(&r->slice);
	free(r->group);
}

static const struct op_ops reduce_ops = { "reduce", NULL, reduce_next, reduce_close };

static bool same_grid(const struct grid *a, const struct grid *b)
{
	return a->start_ms == b->start_ms && a->step_ms == b->step_ms && a->n == b->n;
}

static bool reads(const struct op_reduce *o)
{
	return o->op.ops == &reduce_ops && o->first == o && o->op.in[0];
}

/* An aggregation that was planned before and reads, on the same grid, what `r` would read. */
static struct op_reduce *same_rows(struct exec *x, const struct op_reduce *r,
				   struct select_share *how)
{
	for (size_t i = 0; i < x->n_ops; i++) {
		struct op_reduce *o = (struct op_reduce *)x->ops[i];
		if (reads(o) && o != r && same_grid(&o->op.grid, &r->op.grid) &&
		    op_select_share(x, o->op.in[0], r->op.expr, how))
			return o;
	}
	return NULL;
}

static void needs(struct exec *x, struct op_reduce *r)
{
	op_select_needs(x, r->first->op.in[0],
			r->op.expr->aggr.without ? NULL : &r->groups, r->op.only);
}

/* Aggregations whose selectors were planned before one that has all their series: they are fed by it, too. */
static void take_over(struct exec *x, struct op_reduce *first)
{
	for (size_t i = 0; i < x->n_ops; i++) {
		struct op_reduce *o = (struct op_reduce *)x->ops[i], *last = o;
		struct select_filter *all;
		if (!reads(o) || o == first || !same_grid(&o->op.grid, &first->op.grid) ||
		    !op_select_take_over(x, first->op.in[0], o->op.in[0], &all))
			continue;
		o->op.in[0] = NULL;
		for (struct op_reduce *r = o; r; r = r->along) {
			r->first = first;
			r->op.along = &first->op;
			r->op.only = r->op.only ? r->op.only->now : all;
			needs(x, r);
			last = r;
		}
		last->along = first->along;
		first->along = o;
	}
}

int op_reduce_new(struct exec *x, const struct expr *e, struct grid g, struct op **out,
		  struct err *err)
{
	struct op_reduce *r = op_alloc(x, sizeof(*r), &reduce_ops, g, TYPE_VECTOR, e);
	groups_init(&r->groups, x, e);
	r->kind = e->aggr.op;
	hist_reduce_init(&r->hists, x, e, g.n);
	arena_init(&r->shown, x->ctx->budget);
	arena_init(&r->slice, x->ctx->budget);
	r->op.unique = true;
	r->op.nameless = groups_nameless(&r->groups);
	*out = &r->op;
	struct select_share how = { 0 };
	struct op_reduce *first = same_rows(x, r, &how);
	if (first) {
		r->first = first;
		r->op.along = &first->op;
		r->along = first->along;
		first->along = r;
		for (struct op_reduce *o = first; o; o = o->along)
			if (o != r && !o->op.only)
				o->op.only = how.others;
		r->op.only = how.mine;
	} else {
		r->first = r;
		if (aggr_input_plan(x, e, g, &r->op.in[0], err) < 0)
			return -1;
	}
	needs(x, r);
	take_over(x, r->first);
	return 0;
}

/* ---- slices ---- */

/* The name of a group may depend on its last step. */
bool op_reduce_can_slice(const struct op *op)
{
	const struct op_reduce *r = (const struct op_reduce *)op;
	return op->ops == &reduce_ops && r->first == r && !r->along && !op->only &&
	       op->nameless && !r->done && op_select_can_slice(op->in[0]) &&
	       !held_by_step(op->held);
}

bool op_reduce_outgrown(const struct op *op)
{
	return ((const struct op_reduce *)op)->outgrown;
}

int op_reduce_slice(struct op *op, struct exec *x, struct grid g, uint32_t from,
		    bool whole, struct err *e)
{
	struct op_reduce *r = (struct op_reduce *)op;
	if (r->outgrown)
		op_select_back(op->in[0], r->mark);
	groups_clear(&r->groups);
	hist_reduce_again(&r->hists, g.n);
	arena_reset(&r->slice);
	r->groups.arena = &r->slice;
	r->n_group = r->n_rows = r->at = 0;
	r->done = r->read = r->outgrown = false;
	r->most = whole ? 0 : slices_most(x); /* now that the last ones are gone */
	op_select_slice(op->in[0], g, from);
	op->part = op->in[0]->part;
	op->from = from;
	op->grid = g;
	return r->most ? op_select_mark(op->in[0], &r->mark, e) : 0;
}
