/*
 * promql/exec/select_spec.c - from a selector and the function around it to a request for series.
 *
 * Source  thanos.md §4.1 (choice of aggregate by function), §4.7 (resolution of rate-like functions is
 *         at most half their range)
 */
#include "promql/exec/select_int.h"

#include <string.h>

#include "tsdb/chunk/chunk.h"

#define X_LOOK_MS (60 * 60 * 1000) /* xrate and its like: the sample before the range */

enum sample_aggr select_want(const struct expr *call)
{
	if (!call)
		return SAMPLE_AVG;
	struct str name = str_of(call->kind == EXPR_CALL ? fn_sigs[call->call.fn].name
							 : aggr_op_text(call->aggr.op));
	if (str_eq(name, STR("min")) || str_has_prefix(name, STR("min_")))
		return SAMPLE_MIN;
	if (str_eq(name, STR("max")) || str_has_prefix(name, STR("max_")))
		return SAMPLE_MAX;
	if (str_eq(name, STR("count")) || str_has_prefix(name, STR("count_")))
		return SAMPLE_COUNT;
	if (str_has_prefix(name, STR("sum_")))
		return SAMPLE_SUM;
	if (call->kind == EXPR_CALL && (fn_sigs[call->call.fn].traits & FN_COUNTER))
		return SAMPLE_COUNTER;
	return SAMPLE_AVG;
}

static uint32_t aggr_bits(enum sample_aggr want)
{
	switch (want) {
	case SAMPLE_MIN: return AGGR_BIT(AGGR_MIN);
	case SAMPLE_MAX: return AGGR_BIT(AGGR_MAX);
	case SAMPLE_COUNT: return AGGR_BIT(AGGR_COUNT);
	case SAMPLE_SUM: return AGGR_BIT(AGGR_SUM);
	case SAMPLE_COUNTER: return AGGR_BIT(AGGR_COUNTER);
	case SAMPLE_AVG: break;
	}
	return AGGR_BIT(AGGR_COUNT) | AGGR_BIT(AGGR_SUM);
}

static bool caps_resolution(const struct expr *call)
{
	static const enum fn_id capped[] = { FN_ID_rate,	  FN_ID_irate,
					     FN_ID_increase,	  FN_ID_delta,
					     FN_ID_idelta,	  FN_ID_deriv,
					     FN_ID_predict_linear };
	if (call && call->kind == EXPR_CALL)
		for (size_t i = 0; i < ARRAY_LEN(capped); i++)
			if (call->call.fn == capped[i])
				return true;
	return false;
}

static int64_t at_of(const struct exec *x, const struct select_node *s)
{
	switch (s->at) {
	case AT_START: return x->q->start_ms;
	case AT_END: return x->q->end_ms;
	case AT_TIME: return s->at_ms;
	case AT_NONE: break;
	}
	return 0;
}

static void fill_hints(struct exec *x, const struct expr *call, int64_t range_ms,
		       struct query_hints *h)
{
	*h = (struct query_hints){ .step_ms = x->q->step_ms, .range_ms = range_ms };
	if (!call)
		return;
	if (call->kind == EXPR_CALL) {
		h->func = str_of(fn_sigs[call->call.fn].name);
		return;
	}
	h->func = str_of(aggr_op_text(call->aggr.op));
	h->grouped = true;
	h->by = !call->aggr.without;
	h->grouping = call->aggr.labels;
	h->n_grouping = call->aggr.n_labels;
}

void select_spec_times(struct select_spec *s, const struct range_call *w)
{
	bool range = s->sel->kind == EXPR_MATRIX;
	int64_t first = range_ref(w, 0), last = range_ref(w, w->grid.n - 1);
	s->mint_ms = first - w->range_ms - (range ? w->look_ms : 0) + 1;
	s->maxt_ms = last + (w->smoothed ? w->look_ms : 0);
	s->req.mint_ms = s->mint_ms;
	s->req.maxt_ms = s->maxt_ms;
}

void select_spec_init(struct exec *x, const struct expr *sel, const struct expr *call,
		      struct grid g, struct select_spec *out, struct range_call *window)
{
	const struct promql_query *q = x->q;
	const struct select_node *s = &sel->s.sel;
	bool range = sel->kind == EXPR_MATRIX;
	int64_t lookback = q->lookback_ms ? q->lookback_ms : 300000;
	*window = (struct range_call){ .grid = g,
				       .ctx = x->ctx,
				       .range_ms = range ? sel->s.range_ms : lookback,
				       .offset_ms = s->offset_ms,
				       .fixed = s->at != AT_NONE,
				       .at_ms = at_of(x, s),
				       .anchored = s->anchored,
				       .smoothed = s->smoothed };
	if (s->anchored || s->smoothed)
		window->look_ms = lookback;
	else if (call && call->kind == EXPR_CALL &&
		 (fn_sigs[call->call.fn].traits & FN_X))
		window->look_ms = X_LOOK_MS;
	*out = (struct select_spec){ .sel = sel,
				     .call = call,
				     .want = select_want(call) };
	int64_t resolution = q->max_resolution_ms;
	if (range && caps_resolution(call))
		resolution = MIN(resolution, sel->s.range_ms / 2);
	size_t n_matchers;
	struct matcher *matchers = pushed_with(x, s, &n_matchers);
	out->req = (struct store_series_req){ .matchers = matchers,
					      .n_matchers = n_matchers,
					      .max_resolution_ms = resolution,
					      .aggrs = aggr_bits(out->want),
					      .partial = q->partial,
					      .shard = q->shard,
					      .batch = 64 };
	if (q->dedup) {
		out->req.without_replica_labels = q->replica_labels;
		out->req.n_without = q->n_replica_labels;
	}
	fill_hints(x, call, range ? sel->s.range_ms : 0, &out->req.query_hints);
	select_spec_times(out, window);
}

/* 1: 5m, 2: 1h, by how far apart the samples of a downsampled chunk are; 0: a single one does not tell. */
static unsigned resolution_bit(const struct chunk_view *c)
{
	size_t n = 0;
	for (int a = AGGR_COUNT; a <= AGGR_COUNTER && n == 0; a++)
		if (c->part[a].p)
			n = chunk_count(c->part[a]);
	if (n < 2 || c->maxt_ms <= c->mint_ms)
		return 0;
	return (uint64_t)(c->maxt_ms - c->mint_ms) / (n - 1) >= 1800000 ? 2 : 1;
}

void select_note_downsampled(struct exec *x, const struct select_spec *spec,
			     const struct series_in *in, unsigned *said)
{
	static const char *const what[] = {
		[SAMPLE_AVG] = "sum / count", [SAMPLE_COUNT] = "count",
		[SAMPLE_SUM] = "sum",	      [SAMPLE_MIN] = "min",
		[SAMPLE_MAX] = "max",	      [SAMPLE_COUNTER] = "counter",
	};
	for (size_t i = 0; i < in->n && *said != 3; i++) {
		if (in->chunks[i].part[AGGR_RAW].p)
			continue;
		unsigned bit = resolution_bit(&in->chunks[i]);
		if (bit & ~*said)
			anno_info(x, spec->sel,
				  "downsampled data was used: %s of resolution %s",
				  what[spec->want], bit == 1 ? "5m" : "1h");
		*said |= bit;
	}
}

int select_open(struct exec *x, const struct select_spec *spec, struct series_set **out,
		struct err *e)
{
	return store_series(x->q->store, x->ctx, &spec->req, out, e);
}

bool select_one_name(const struct expr *sel)
{
	for (size_t i = 0; i < sel->s.sel.n_matchers; i++) {
		const struct matcher *m = &sel->s.sel.matchers[i];
		if (m->type == MATCH_EQ && m->value.n && str_eq(m->name, LABEL_NAME))
			return true;
	}
	return false;
}

static void count(struct op_read *r, const struct op_read *more)
{
	r->series += more->series;
	r->chunks += more->chunks;
	r->bytes += more->bytes;
}

/* Nearly all: no part of downsampled data. */
static bool raw_only(const struct chunk_view *c)
{
	uintptr_t any = 0;
	for (int a = AGGR_RAW + 1; a < AGGR_N; a++)
		any |= (uintptr_t)c->part[a].p;
	return any == 0;
}

size_t select_count(struct exec *x, struct op_read *of, const struct series_in *in)
{
	struct op_read one = { .series = 1, .chunks = in->n };
	for (size_t i = 0; i < in->n; i++) {
		const struct chunk_view *c = &in->chunks[i];
		one.bytes += c->part[AGGR_RAW].n;
		if (raw_only(c))
			continue;
		for (int a = AGGR_RAW + 1; a < AGGR_N; a++)
			one.bytes += c->part[a].n;
	}
	count(&x->read, &one);
	if (of)
		count(of, &one);
	return one.bytes;
}

static uint8_t *copy_part(struct chunk_part *part, uint8_t *to)
{
	if (!part->p)
		return to;
	memcpy(to, part->p, part->n);
	part->p = to;
	return to + part->n;
}

int select_copy(struct exec *x, struct arena *a, const struct series_in *in, size_t bytes,
		struct chunk_view **out, struct err *e)
{
	struct chunk_view *c = arena_try(a, x->ctx, in->n * sizeof(*c) + 1, e);
	uint8_t *p = c ? arena_try(a, x->ctx, bytes + 1, e) : NULL;
	if (!p)
		return -1;
	memcpy(c, in->chunks, in->n * sizeof(*c));
	for (size_t i = 0; i < in->n; i++) {
		p = copy_part(&c[i].part[AGGR_RAW], p);
		if (raw_only(&c[i]))
			continue;
		for (int k = AGGR_RAW + 1; k < AGGR_N; k++)
			p = copy_part(&c[i].part[k], p);
	}
	*out = c;
	return 0;
}

int select_each(struct exec *x, const struct select_each *s, struct err *e)
{
	struct select_spec spec;
	struct range_call window;
	struct series_set *set;
	const struct series_in *in;
	struct arena scratch;
	int rc;
	select_spec_init(x, s->sel, NULL, s->g, &spec, &window);
	if (s->func.n)
		spec.req.query_hints.func = s->func;
	if (select_open(x, &spec, &set, e) < 0)
		return -1;
	arena_init(&scratch, x->ctx->budget);
	while ((rc = series_set_next(set, x->ctx, &in, e)) > 0) {
		struct sample_cols c = { 0 };
		select_count(x, s->of, in);
		rc = select_decode(x, &spec, set, in->labels, in->chunks, in->n, &scratch,
				   &c, e);
		if (rc == 0)
			rc = s->take(s->arg, x, &window, in->labels, &c, &scratch, e);
		if (rc == 0)
			rc = ctx_check(x->ctx, e);
		if (rc < 0)
			break;
		arena_reset(&scratch);
	}
	arena_deinit(&scratch);
	series_set_close(set);
	return rc;
}
