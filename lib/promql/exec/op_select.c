/*
 * promql/exec/op_select.c - selectors: the only operators that wait.
 *
 * next() pulls series from the store into raw batches (labels and compressed chunks copied into the
 * batch's arena, about 128 KiB or as many rows as fill 128 KiB of output), up to two a core; then par_for
 * decodes the batches and turns each series into a row by the instant look-back or a range function; then
 * the batches are handed out in order, so that the result does not depend on the number of threads.
 *
 * Memory: at most 2 x cores batches (of histograms: a batch a core), each its chunks, its rows and the columns of one series.
 */
#include "promql/exec/exec_int.h"

#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "promql/exec/extended.h"
#include "promql/exec/group.h"
#include "promql/exec/held.h"
#include "promql/exec/select_pieces.h"
#include "promql/exec/slices.h"

#define BATCH_BYTES ((size_t)128 << 10)
/* Rows of histograms are as large as if each had a hundred buckets; eight times the bytes of a batch may be made of them. */
#define HIST_WEIGHT ((size_t)1024 / 8)
#define MAX_RING    64

struct raw {
	struct labels labels;
	struct str metric; /* for annotations of range functions */
	struct str type;   /* its __type__, where that tells what is a counter */
	struct chunk_view *chunks;
	size_t n;
	uint32_t among; /* bits of the filters that let it pass */
};
struct raw_batch {
	struct op_select *sel;
	struct arena arena; /* labels, chunks, rows */
	struct raw *raw;
	size_t n_raw, cap_raw, n_row, bytes;
	struct row *row;
	/* by how many readers behind filters a series has; and windows of all series, and of those that pass a filter */
	struct sample_tally tally[SELECT_FILTERS + 1];
	struct held_windows windows, passed[SELECT_FILTERS];
	bool hists; /* of some series */
	int rc;
	struct err err;
};
struct op_select {
	struct op op;
	struct select_spec spec;
	struct range_call call;
	struct range_params params;
	const struct range_fn *fn; /* NULL: instant look-back */
	bool timestamps;	   /* timestamp(selector): times instead of values */
	bool starts;		   /* start_timestamp(selector) */
	struct sample_count *count;
	struct held *held; /* of windows; NULL: it has none */
	uint32_t
		readers; /* aggregations that are fed all its rows, each counts its samples; 0: one reader */
	struct select_filter filter
		[SELECT_FILTERS]; /* what others are fed: those that a narrower selector would read */
	uint32_t n_filters, behind; /* `behind`: readers behind any filter */
	bool windows;		    /* samples are held by windows over them */
	const struct str *keep;	    /* the labels that leave it; NULL: all */
	size_t n_keep;
	const struct pushed *pushed;
	bool keep_all; /* a reader looks at any label */
	bool drop_name, ended;
	bool stats;	      /* of histograms only count and sum are wanted */
	unsigned downsampled; /* resolutions that were told */
	bool wants_counter; /* rate, increase: say so when the name is not a counter's */
	struct exec *x;
	struct series_set *set;
	struct raw_batch *ring;
	uint32_t ring_n, ready, at; /* `ready` batches decoded, `at` handed out next */
	struct batch out;
	struct map64
		seen; /* label hashes after the name was dropped, if that may collide */
};

/* ---- decoding: CPU class ---- */

static double instant_value(const struct op_select *s, const struct series_cols *c,
			    size_t k)
{
	if (s->timestamps)
		return (double)c->t_ms[k] / 1000;
	return s->starts ? (double)(c->st_ms ? c->st_ms[k] : 0) / 1000 : c->v[k];
}

static void instant_row(const struct op_select *s, const struct range_call *call,
			const struct series_cols *c, struct row *out)
{
	bool times = s->timestamps || s->starts;
	size_t k = 0; /* samples with t <= ref */
	for (uint32_t i = 0; i < call->grid.n; i++) {
		int64_t ref = range_ref(call, i);
		while (k < c->n && c->t_ms[k] <= ref)
			k++;
		if (k == 0 || c->t_ms[k - 1] <= ref - call->range_ms)
			continue;
		const struct hist *h = c->h ? c->h[k - 1] : NULL;
		if (h ? hist_is_stale(h) : is_stale_nan(c->v[k - 1]))
			continue;
		out->v[i] = instant_value(s, c, k - 1);
		if (h && !times)
			out->h[i] = h;
		bit_set(out->bits, i);
		call->tally->hi = 0; /* read again at each step */
		if (call->tally->weight && !times)
			tally_add(call->tally, i, k - 1, k);
		else
			tally_add_one(call->tally, i);
	}
}

static int eval(const void *arg, const struct range_call *call,
		const struct series_cols *c, struct range_env *env, struct row *out)
{
	const struct op_select *s = arg;
	if (s->fn)
		return s->fn->eval(call, c, env, out);
	if (call->smoothed)
		return smooth_row(call, c, env, out);
	instant_row(s, call, c, out);
	return 0;
}

/*
 * Readers behind filters that look at the series, too. Annotations are of the place that comes last in the text: Prometheus would
 * say them at each.
 */
static uint32_t serves(const struct op_select *s, uint32_t among, struct range_call *call)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n_filters; i++) {
		const struct select_filter *f = &s->filter[i];
		if (!(among & f->bit))
			continue;
		n += f->readers;
		if (f->at->end > call->at->end) {
			call->call = f->call;
			call->at = f->at;
		}
	}
	return n;
}

/* The peer would hold windows over it for each selector that it is of. */
static void note_windows(const struct op_select *s, struct raw_batch *b, uint32_t among,
			 const struct sample_tally *t, const struct row *out)
{
	uint32_t steps = s->op.grid.n;
	if (s->held)
		held_series(&b->windows, t, steps, out);
	for (uint32_t i = 0; i < s->n_filters && s->windows; i++)
		if (among & s->filter[i].bit)
			held_series(&b->passed[i], t, steps, out);
}

/* What a batch's series use one after another: scratch is emptied behind each, columns are used again if they are not long. */
#define ROOM_KEPT 16384
struct sample_room {
	struct arena scratch, arena; /* arena: of cols */
	struct sample_cols cols;
};

/* All its samples at once. */
static int eval_series(struct op_select *s, struct sample_room *room, struct raw *r,
		       const struct range_call *call, struct range_env *env,
		       struct row *row, struct err *e)
{
	struct exec *x = s->x;
	struct arena *scratch = &room->scratch;
	if (!room->cols.again || room->cols.cap > ROOM_KEPT) {
		arena_reset(&room->arena);
		room->cols = (struct sample_cols){ 0 };
	}
	int rc = select_decode(x, &s->spec, s->set, r->labels, r->chunks, r->n,
			       &room->arena, &room->cols, e);
	struct sample_cols c = room->cols;
	if (rc < 0)
		return -1;
	if (s->stats && c.h && select_stats(x, call, scratch, &c, e) < 0)
		return -1;
	atomic_fetch_add_explicit(&s->op.samples, c.n, memory_order_relaxed);
	if (s->fn || call->smoothed)
		select_drop_stale(&c);
	bool hists = c.h && !s->timestamps && !s->starts;
	if (row_new(x, env->arena, s->op.grid.n, hists, row, e) < 0)
		return -1;
	struct series_cols cols = {
		.t_ms = c.t_ms, .v = c.v, .h = c.h, .n = c.n, .rise = c.rise
	};
	if (x->q->start_timestamps)
		cols.st_ms = c.st_ms;
	if (tally_series(x, scratch, &cols, call, e) < 0)
		return -1;
	return eval(s, call, &cols, env, row);
}

static int eval_pieces(struct op_select *s, struct arena *scratch, struct raw *r,
		       const struct range_call *call, struct range_env *env,
		       uint32_t steps, struct row *row, struct err *e)
{
	struct select_pieces p = { .x = s->x,
				   .spec = &s->spec,
				   .set = s->set,
				   .labels = r->labels,
				   .chunks = r->chunks,
				   .n = r->n,
				   .call = call,
				   .env = env,
				   .eval = eval,
				   .arg = s,
				   .past_stale = s->fn };
	int rc = select_pieces(&p, steps, scratch, row, e);
	atomic_fetch_add_explicit(&s->op.samples, p.samples, memory_order_relaxed);
	return rc;
}

static int decode_series(struct op_select *s, struct raw_batch *b,
			 struct sample_room *room, struct raw *r, struct err *e)
{
	struct exec *x = s->x;
	struct row row;
	struct range_call call = s->call;
	struct range_env env = { .x = x,
				 .arena = &b->arena,
				 .metric = r->metric,
				 .e = e,
				 .scratch = &room->scratch };
	/* COMPAT: Prometheus 3.14 does not count samples of smoothed instant selectors, but holds them */
	struct sample_tally uncounted = { 0 };
	bool smooth = !s->fn && call.smoothed;
	uint32_t more = serves(s, r->among, &call), steps = 0;
	call.tally = smooth ? &uncounted : &b->tally[more];
	if (!s->stats && !s->timestamps && !s->starts)
		steps = select_piece_steps(&call, s->fn, r->chunks, r->n);
	if ((steps ? eval_pieces(s, &room->scratch, r, &call, &env, steps, &row, e)
		   : eval_series(s, room, r, &call, &env, &row, e)) < 0)
		return -1;
	note_windows(s, b, r->among, call.tally, smooth ? NULL : &row);
	if (!bits_any(row.bits, s->op.grid.n))
		return 0;
	if (row.h) {
		bool any = false;
		EACH_BIT(i, row.bits, s->op.grid.n)
		if (row.h[i]) {
			if (!env.lasting)
				row.h[i] = hist_dup(&b->arena, row.h[i]);
			any = true;
		}
		if (!any)
			row.h = NULL;
	}
	if (s->wants_counter)
		range_note_counter(x, &call, r->metric, r->type, &row);
	row.labels = r->labels;
	row.among = r->among;
	row.drop_name = s->drop_name && x->q->delayed_names;
	b->row[b->n_row++] = row;
	return 0;
}

static void decode_batch(void *arg, size_t i)
{
	struct raw_batch *b = &((struct op_select *)arg)->ring[i];
	struct op_select *s = b->sel;
	struct sample_room room = { .cols = { .again = true } };
	arena_init(&room.scratch, s->x->ctx->budget);
	arena_init(&room.arena, s->x->ctx->budget);
	b->rc = ctx_check(s->x->ctx, &b->err);
	for (size_t k = 0; k < b->n_raw && b->rc == 0; k++) {
		b->rc = decode_series(s, b, &room, &b->raw[k], &b->err);
		arena_reset(&room.scratch);
	}
	arena_deinit(&room.arena);
	arena_deinit(&room.scratch);
}

/* ---- pulling: WORKER ---- */

/* Names dropped from series of several metrics may make two of them equal: that is an error. */
static int check_unique(struct op_select *s, struct labels ls, struct err *e)
{
	uintptr_t old;
	uint64_t h = labels_hash(ls);
	for (; map64_get(&s->seen, h, &old); h++) {
		const struct labels *have = (const struct labels *)old;
		if (labels_eq(*have, ls))
			return err_set(s->x->ctx, e, E_EXEC, DUP_LABELSET);
	}
	struct labels *keep = ARENA_NEW(s->x->arena, struct labels);
	if (labels_try_dup(s->x->arena, s->x->ctx, ls, keep, e) < 0)
		return -1;
	map64_set(&s->seen, h, (uintptr_t)keep);
	return 0;
}

static int add_raw(struct op_select *s, struct raw_batch *b, const struct series_in *in,
		   struct err *e)
{
	struct exec *x = s->x;
	struct raw r = { 0 };
	if (b->n_raw == b->cap_raw)
		b->raw = vec_grow(b->raw, &b->cap_raw, b->n_raw + 1, sizeof(*b->raw));
	struct labels ls = in->labels;
	ls.hash = 0;
	struct label few[64], *tmp = few;
	for (uint32_t i = 0; i < s->n_filters; i++)
		if (select_filter_passes(&s->filter[i], ls))
			r.among |= s->filter[i].bit;
	if (s->fn || s->call.smoothed)
		r.metric = str_dup(&b->arena, labels_get(ls, LABEL_NAME));
	if (s->wants_counter && x->q->type_labels)
		r.type = str_dup(&b->arena, labels_get(ls, row_name_labels[1]));
	bool cut = s->drop_name && !x->q->delayed_names;
	if (cut || s->keep) {
		if (ls.n > ARRAY_LEN(few) &&
		    !(tmp = arena_try(&b->arena, x->ctx, ls.n * sizeof(*tmp), e)))
			return -1;
		ls = s->keep ? labels_keep(tmp, ls, s->keep, s->n_keep)
			     : labels_drop(tmp, ls, row_name_labels, ROW_NAME_LABELS);
	}
	size_t bytes = select_count(x, &s->op.read, in);
	if (labels_try_dup(&b->arena, x->ctx, ls, &r.labels, e) < 0 ||
	    select_copy(x, &b->arena, in, bytes, &r.chunks, e) < 0)
		return -1;
	r.n = in->n;
	if (s->drop_name && !s->op.unique && check_unique(s, r.labels, e) < 0)
		return -1;
	b->raw[b->n_raw++] = r;
	select_note_downsampled(x, &s->spec, in, &s->downsampled);
	b->bytes += bytes + in->n * sizeof(*r.chunks) + 128;
	if (!s->stats && !s->timestamps && select_has_hists(in)) {
		b->bytes += s->op.grid.n * HIST_WEIGHT;
		b->hists = true;
	}
	return 0;
}

static int open_set(struct op_select *s, struct err *e)
{
	if (s->set)
		return 0;
	if (select_open(s->x, &s->spec, &s->set, e) < 0)
		return -1;
	if (s->x->q->on_select)
		s->x->q->on_select(s->x->q->on_select_arg, 1);
	return 0;
}

static int fill(struct op_select *s, struct raw_batch *b, struct err *e)
{
	size_t row_bytes = (size_t)s->op.grid.n * 8 + 64,
	       rows_max = BATCH_BYTES / row_bytes + 1;
	const struct series_in *in;
	arena_reset(&b->arena);
	b->n_raw = b->n_row = b->bytes = 0;
	b->hists = false;
	b->rc = 0;
	b->windows = (struct held_windows){ 0 };
	memset(b->passed, 0, sizeof(b->passed));
	for (uint32_t i = 0; i <= s->behind; i++) {
		b->tally[i] = (struct sample_tally){ 0 };
		if ((s->count->by_step || s->count->read_by_step) &&
		    tally_by_step(s->x, &b->arena, s->op.grid.n, &b->tally[i], e) < 0)
			return -1;
	}
	while (!s->ended && b->bytes < BATCH_BYTES && b->n_raw < rows_max) {
		int rc = series_set_next(s->set, s->x->ctx, &in, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			s->ended = true;
		else if (add_raw(s, b, in, e) < 0)
			return -1;
	}
	b->row = arena_try(&b->arena, s->x->ctx, b->n_raw * sizeof(*b->row) + 1, e);
	return b->row ? 0 : -1;
}

/* What Prometheus would count and hold for each reader. */
static int count_batch(struct op_select *s, const struct raw_batch *b, struct err *e)
{
	struct exec *x = s->x;
	for (uint32_t i = 0; i <= s->behind; i++)
		for (uint32_t k = 0; b->tally[i].n && k < MAX(s->readers, 1u) + i; k++)
			samples_add(s->count, &b->tally[i], s->op.from, s->op.grid.n);
	for (uint32_t i = 0; i < s->n_filters && s->windows; i++)
		if (held_add_windows(x, s->filter[i].windows, &b->passed[i], e) < 0)
			return -1;
	return held_add_windows(x, s->held, &b->windows, e);
}

static int refill(struct op_select *s, struct err *e)
{
	struct exec *x = s->x;
	if (range_params_read(x, &s->params, &s->call, e) < 0 || open_set(s, e) < 0)
		return -1;
	s->ready = s->at = 0;
	for (uint32_t most = s->ring_n; s->ready < most && !s->ended;) {
		if (fill(s, &s->ring[s->ready], e) < 0)
			return -1;
		if (s->ring[s->ready++].hists) /* large rows: one batch a core */
			most = s->ring_n / 2;
	}
	task_par_for(x->q->pool, s->ready, decode_batch, s);
	for (uint32_t i = 0; i < s->ready; i++) {
		struct raw_batch *b = &s->ring[i];
		if (b->rc < 0)
			return err_copy(x->ctx, e, &b->err);
		if (count_batch(s, b, e) < 0)
			return -1;
	}
	return 0;
}

static void ring_make(struct op_select *s)
{
	s->ring_n = MIN(2 * MAX(task_cpus(s->x->q->pool), 1u), (uint32_t)MAX_RING);
	s->ring = xcalloc(s->ring_n, sizeof(*s->ring));
	for (uint32_t i = 0; i < s->ring_n; i++) {
		s->ring[i].sel = s;
		arena_init(&s->ring[i].arena, s->x->ctx->budget);
	}
}

static void ring_free(struct op_select *s)
{
	for (uint32_t i = 0; i < s->ring_n; i++) {
		free(s->ring[i].raw);
		arena_deinit(&s->ring[i].arena);
	}
	free(s->ring);
	s->ring = NULL;
	s->ring_n = s->ready = s->at = 0;
}

static int sel_next(struct op *op, struct exec *x, struct batch **out, struct err *e)
{
	struct op_select *s = (struct op_select *)op;
	for (;;) {
		while (s->at < s->ready) {
			struct raw_batch *b = &s->ring[s->at++];
			if (b->n_row == 0)
				continue;
			s->out = (struct batch){ b->row, b->n_row };
			*out = &s->out;
			for (uint32_t i = 0; i < s->n_filters; i++)
				if (s->filter[i].held &&
				    held_rows_among(x, s->filter[i].held, &s->out,
						    s->filter[i].bit, e) < 0)
					return -1;
			return 1;
		}
		if (s->ended) { /* whoever asks reads the last batch no more */
			ring_free(s);
			return 0;
		}
		if (refill(s, e) < 0)
			return -1;
	}
}

static int sel_prepare(struct op *op, struct exec *x, struct err *e)
{
	uint32_t max = x->q->max_selects ? x->q->max_selects : 4;
	if (x->selects_open >= max) /* opened when it is read */
		return 0;
	x->selects_open++;
	return open_set((struct op_select *)op, e);
}

static void close_set(struct op_select *s)
{
	if (s->set && s->x->q->on_select)
		s->x->q->on_select(s->x->q->on_select_arg, -1);
	series_set_close(s->set);
	s->set = NULL;
}

static void sel_close(struct op *op)
{
	struct op_select *s = (struct op_select *)op;
	close_set(s);
	ring_free(s);
	map64_deinit(&s->seen);
}

static const struct op_ops sel_ops = { "select", sel_prepare, sel_next, sel_close };

/*
 * A selector, alone (call NULL), under a range function, or under timestamp(). `call` chooses the
 * aggregate that downsampled blocks show and the function.
 */
int op_select_new(struct exec *x, const struct expr *sel, const struct expr *call,
		  struct grid g, struct op **out, struct err *e)
{
	const struct range_fn *fn = NULL;
	const struct select_node *node = &sel->s.sel;
	if (sel->kind == EXPR_MATRIX && (node->anchored || node->smoothed)) {
		fn = range_fn_extended(x, call->call.fn, node, e);
		if (!fn)
			return -1;
	} else if (sel->kind == EXPR_MATRIX) {
		fn = range_fn_of(call->call.fn);
		if (!fn)
			return unsupported(x, e, "function", fn_sigs[call->call.fn].name);
	}
	struct op_select *s =
		op_alloc(x, sizeof(*s), &sel_ops, g, TYPE_VECTOR, call ? call : sel);
	s->x = x;
	s->fn = fn;
	bool in_call = call && call->kind == EXPR_CALL;
	s->count = x->count;
	s->windows = fn || node->smoothed;
	if (s->windows)
		s->held = held_of(x, in_call ? call : sel);
	s->pushed = x->pushed;
	s->timestamps = !fn && in_call && call->call.fn == FN_ID_timestamp;
	s->stats = x->in_stats && !x->in_buckets;
	s->starts = !fn && in_call && call->call.fn == FN_ID_start_timestamp;
	s->drop_name =
		in_call && (fn || s->timestamps || s->starts) && range_drops_name(call);
	s->wants_counter = fn && range_wants_counter(call);
	s->op.nameless = s->drop_name && !x->q->delayed_names;
	s->op.unique = !s->op.nameless || select_one_name(sel);
	select_spec_init(x, sel, call, g, &s->spec, &s->call);
	s->call.call = in_call ? call : NULL;
	s->call.at = fn ? range_place(x, call) : sel;
	if (s->timestamps || s->starts)
		s->call.smoothed = false; /* the sample itself is asked for */
	if (fn && range_params_plan(x, call, g, &s->params, e) < 0)
		return -1;
	map64_init(&s->seen);
	ring_make(s);
	*out = &s->op;
	return 0;
}

/* ---- slices ---- */

bool op_select_can_slice(const struct op *op)
{
	const struct op_select *s = (const struct op_select *)op;
	return op->ops == &sel_ops && op->unique && !s->params.op[0] && !s->n_filters &&
	       s->readers <= 1 && !s->call.smoothed && !held_by_step(op->held) &&
	       !held_by_step(s->held);
}

void op_select_slice(struct op *op, struct grid g, uint32_t from)
{
	struct op_select *s = (struct op_select *)op;
	if (from == op->from && g.n == op->grid.n)
		return; /* as it was planned: it may be open already */
	close_set(s);
	ring_free(s);
	ring_make(s);
	s->ended = false;
	op->part = true;
	op->from = from;
	op->grid = s->call.grid = g;
	s->call.goes_on = from > 0;
	select_spec_times(&s->spec, &s->call);
}

struct select_mark {
	struct sample_count count;
	struct held *rows, *windows;
};

int op_select_mark(struct op *op, struct select_mark **out, struct err *e)
{
	struct op_select *s = (struct op_select *)op;
	struct select_mark *m = *out = ARENA_NEW(s->x->arena, struct select_mark);
	m->rows = held_mark(s->x, op->held);
	m->windows = held_mark(s->x, s->held);
	return samples_mark(s->x, s->count, &m->count, e);
}

void op_select_back(struct op *op, const struct select_mark *m)
{
	struct op_select *s = (struct op_select *)op;
	samples_back(s->count, &m->count);
	held_back(op->held, m->rows);
	held_back(s->held, m->windows);
}

/* ---- aggregations that read it ---- */

/* What the operator reads: a selector, or a function of it. */
static const struct expr *input_of(const struct op_select *s)
{
	const struct expr *e = s->op.expr;
	return e->kind == EXPR_AGGR ? expr_strip(e->aggr.e) : e;
}

static void set_place(struct exec *x, struct op_select *s, const struct expr *in)
{
	if (in->kind == EXPR_VECTOR)
		s->call.at = in;
	else
		s->call.call = in;
	if (s->fn)
		s->call.at = range_place(x, in);
}

/* The last filter; `in` is whose selector's series pass it. */
static struct select_filter *new_filter(struct op_select *s, const struct expr *in)
{
	struct select_filter *f = &s->filter[s->n_filters];
	*f = (struct select_filter){ .in = in, .bit = 1u << s->n_filters++ };
	return f;
}

/* `in` reads some of the series only. */
static void share_part(struct exec *x, struct op_select *s, const struct expr *in,
		       const struct matcher *const *m, size_t n, struct select_share *out)
{
	struct range_call had = s->call;
	struct select_filter *f = s->filter;
	while (f < s->filter + s->n_filters && !select_filter_is(f, m, n))
		f++;
	if (f < s->filter + s->n_filters) {
		held_alias(x, in, f->in);
	} else {
		f = new_filter(s, in);
		select_filter_add(x, f, m, n);
		f->held = held_watching(x, s->op.grid, in);
		f->windows = s->windows ? held_of(x, in) : NULL;
	}
	set_place(x, s, in);
	f->call = s->call.call;
	f->at = s->call.at;
	s->call = had;
	out->mine = f;
}

/* `in` reads more than was read until now: so be it, and who is there already takes what passes a filter. */
static void share_whole(struct exec *x, struct op_select *s, const struct expr *aggr,
			const struct matcher *const *m, size_t n,
			struct select_share *out)
{
	const struct expr *in = expr_strip(aggr->aggr.e);
	for (uint32_t i = 0; i < s->n_filters; i++)
		select_filter_add(x, &s->filter[i], m, n);
	struct select_filter *f = new_filter(s, input_of(s));
	select_filter_add(x, f, m, n);
	f->held = s->op.held;
	f->windows = s->held;
	f->call = s->call.call;
	f->at = s->call.at;
	f->readers = s->readers;
	s->behind += s->readers;
	s->readers = 0;
	out->others = f;
	s->op.expr = in->kind == EXPR_VECTOR ? aggr : in;
	s->op.held = held_watching(x, s->op.grid, in);
	s->held = s->windows ? held_of(x, in) : NULL;
	s->spec.sel = select_within(in);
	s->spec.call = in->kind == EXPR_VECTOR ? aggr : in;
	s->spec.req.matchers =
		pushed_with(x, &s->spec.sel->s.sel, &s->spec.req.n_matchers);
	set_place(x, s, in);
}

#define FINEST_DOWNSAMPLED_MS 300000

/* Where downsampled data may come, which differs from series to series, people are told of whose selector it was. */
static bool share_some(struct exec *x, struct op_select *s, const struct expr *aggr,
		       struct select_share *out)
{
	const struct expr *in = expr_strip(aggr->aggr.e), *have = input_of(s);
	const struct matcher **more, **less;
	if (s->spec.req.max_resolution_ms >= FINEST_DOWNSAMPLED_MS ||
	    !select_alike(have, in))
		return false;
	const struct expr *mine = select_within(in), *theirs = s->spec.sel;
	size_t n_more = select_beyond(x, mine, theirs, &more),
	       n_less = select_beyond(x, theirs, mine, &less);
	if (n_more && n_less)
		return false;
	if (n_less) {
		if (s->behind + s->readers > SELECT_FILTERS ||
		    s->n_filters == SELECT_FILTERS ||
		    !select_can_filter(x, mine, less, n_less))
			return false;
		share_whole(x, s, aggr, less, n_less, out);
		return true;
	}
	if (s->behind == SELECT_FILTERS || s->n_filters == SELECT_FILTERS ||
	    !select_can_filter(x, theirs, more, n_more))
		return false;
	if (n_more) {
		share_part(x, s, in, more, n_more, out);
	} else {
		set_place(x, s, in);
		held_alias(x, in, have);
	}
	return true;
}

/* The stores' hints name one aggregation. */
static void for_many(struct op_select *s)
{
	struct query_hints *h = &s->spec.req.query_hints;
	if (s->op.expr->kind == EXPR_AGGR)
		*h = (struct query_hints){ .step_ms = h->step_ms,
					   .range_ms = h->range_ms };
}

bool op_select_share(struct exec *x, struct op *op, const struct expr *aggr,
		     struct select_share *out)
{
	const struct expr *in = expr_strip(aggr->aggr.e);
	if (op->ops != &sel_ops || (in->kind != EXPR_VECTOR && in->kind != EXPR_CALL))
		return false;
	struct op_select *s = (struct op_select *)op;
	bool plain = in->kind == EXPR_VECTOR, by_aggr = op->expr->kind == EXPR_AGGR;
	*out = (struct select_share){ 0 };
	if (s->set || s->count != x->count || s->pushed != x->pushed ||
	    s->stats != (x->in_stats && !x->in_buckets))
		return false;
	/* of downsampled data each aggregation wants its own */
	if (plain && x->q->max_resolution_ms &&
	    (!by_aggr || s->spec.want != select_want(aggr)))
		return false;
	if (select_same_text(op, in)) {
		held_alias(x, in, input_of(s));
		set_place(x, s, in);
	} else if (!share_some(x, s, aggr, out)) {
		return false;
	}
	for_many(s);
	return true;
}

/* A filter of `p` becomes one of `s`, where it asks for `m`, too. */
static struct select_filter *move_filter(struct exec *x, struct op_select *s,
					 const struct select_filter *of,
					 const struct matcher *const *m, size_t n)
{
	struct select_filter *f = new_filter(s, of->in);
	select_filter_add(x, f, of->m, of->n);
	select_filter_add(x, f, m, n);
	f->held = of->held;
	f->windows = of->windows;
	f->call = of->call;
	f->at = of->at;
	return f;
}

bool op_select_take_over(struct exec *x, struct op *whole, struct op *part,
			 struct select_filter **all)
{
	/* closed, but neither opened nor read */
	static const struct op_ops gone = { "select", NULL, sel_next, sel_close };
	struct op_select *s = (struct op_select *)whole, *p = (struct op_select *)part;
	const struct matcher **more, **less;
	if (whole->ops != &sel_ops || part->ops != &sel_ops || s->set || p->set ||
	    s->count != p->count || s->pushed != p->pushed || s->stats != p->stats ||
	    s->spec.req.max_resolution_ms >= FINEST_DOWNSAMPLED_MS ||
	    (x->q->max_resolution_ms && s->spec.want != p->spec.want) ||
	    s->n_filters + p->n_filters + 1 > SELECT_FILTERS ||
	    s->behind + p->behind + p->readers > SELECT_FILTERS ||
	    !select_alike(input_of(s), input_of(p)))
		return false;
	size_t n = select_beyond(x, p->spec.sel, s->spec.sel, &more);
	if (n == 0 || select_beyond(x, s->spec.sel, p->spec.sel, &less) ||
	    !select_can_filter(x, s->spec.sel, more, n))
		return false;
	const struct select_filter own = { .held = part->held,
					   .windows = p->held,
					   .in = input_of(p),
					   .call = p->call.call,
					   .at = p->call.at };
	*all = move_filter(x, s, &own, more, n);
	for (uint32_t i = 0; i < p->n_filters; i++)
		p->filter[i].now = move_filter(x, s, &p->filter[i], more, n);
	for_many(s);
	part->ops = &gone;
	part->up = part; /* of nobody */
	return true;
}

static size_t add_name(struct str *v, size_t n, struct str name)
{
	size_t i = 0;
	while (i < n && str_cmp(v[i], name) < 0)
		i++;
	if (i < n && str_eq(v[i], name))
		return n;
	memmove(v + i + 1, v + i, (n - i) * sizeof(*v));
	v[i] = name;
	return n + 1;
}

/* Equal labels are looked for among all of them, unless there can be none. The metric's name is for annotations. */
void op_select_needs(struct exec *x, struct op *op, const struct groups *g,
		     struct select_filter *only)
{
	if (op->ops != &sel_ops)
		return;
	struct op_select *s = (struct op_select *)op;
	bool cut = s->drop_name && !x->q->delayed_names;
	if (only) {
		only->readers++;
		s->behind++;
	} else {
		s->readers++;
	}
	s->keep_all |= !g || !op->unique;
	if (s->keep_all) {
		s->keep = NULL;
		return;
	}
	struct str *v = ARENA_ARRAY(x->arena, struct str, s->n_keep + g->n_names + 1);
	size_t n = 0;
	for (size_t i = 0; i < s->n_keep; i++)
		v[n++] = s->keep[i];
	for (size_t i = 0; i < g->n_names; i++)
		if (!cut || !is_name_label(g->names[i]))
			n = add_name(v, n, g->names[i]);
	if (!cut)
		n = add_name(v, n, LABEL_NAME);
	s->keep = v;
	s->n_keep = n;
}

void op_select_print_needs(const struct op *op, struct buf *b)
{
	const struct op_select *s = (const struct op_select *)op;
	pushed_print(s->pushed, b);
	if (!s->keep)
		return;
	buf_str(b, STR(", labels ("));
	for (size_t i = 0; i < s->n_keep; i++) {
		if (i)
			buf_str(b, STR(", "));
		buf_str(b, s->keep[i]);
	}
	buf_byte(b, ')');
}
