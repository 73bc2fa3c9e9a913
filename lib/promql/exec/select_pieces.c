/*
 * promql/exec/select_pieces.c - a series of histograms, some steps at a time.
 *
 * A day of scrapes of a histogram with 24 buckets is 1.8 MiB as columns, of which a step looks at the last few samples. So what
 * looks at one window after the other is evaluated in pieces of the grid: the chunks that a piece needs are decoded behind
 * what it shares with the piece before, and all of it lies in the cache. Bits and annotations are those of the whole: no function
 * that is listed below carries anything but the window from step to step.
 *
 * Only where chunks do not overlap, so that they can be decoded in turn; and where a piece is much longer than a window.
 */
#include "promql/exec/select_pieces.h"

#include "tsdb/chunk/chunk.h"

#define PIECE_SAMPLES 256
#define PIECE_WINDOWS 4

/* Range windows pass over stale markers: take them out of the columns, in place. */
size_t select_drop_stale(struct sample_cols *c)
{
	size_t k = 0;
	if (c->rise)
		return c->n;
	if (!c->h) /* a stale marker is a NaN; most series have none */
		k = lanes_find_nan(c->v, 0, c->n);
	while (k < c->n &&
	       !(c->h && c->h[k] ? hist_is_stale(c->h[k]) : is_stale_nan(c->v[k])))
		k++;
	for (size_t i = k; i < c->n; i++) {
		if (c->h && c->h[i] ? hist_is_stale(c->h[i]) : is_stale_nan(c->v[i]))
			continue;
		c->t_ms[k] = c->t_ms[i];
		c->v[k] = c->v[i];
		if (c->h)
			c->h[k] = c->h[i];
		if (c->st_ms)
			c->st_ms[k] = c->st_ms[i];
		k++;
	}
	c->n = k;
	return k;
}

bool select_has_hists(const struct series_in *in)
{
	for (size_t i = 0; i < in->n; i++)
		switch (in->chunks[i].part[AGGR_RAW].enc) {
		case CHUNK_HIST:
		case CHUNK_FLOATHIST:
		case CHUNK_HIST_ST:
		case CHUNK_FLOATHIST_ST: return true;
		default: break;
		}
	return false;
}

static bool is_windowed(const struct range_fn *fn)
{
	switch (fn->fn) {
	case FN_ID_rate:
	case FN_ID_increase:
	case FN_ID_delta:
	case FN_ID_irate:
	case FN_ID_idelta:
	case FN_ID_count_over_time:
	case FN_ID_last_over_time: return true;
	default: return false;
	}
}

/* Histograms alone, one chunk after the other; how many samples, 0: it is not so. */
static uint64_t count_plain(const struct chunk_view *c, size_t n)
{
	uint64_t samples = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t enc = c[i].part[AGGR_RAW].enc;
		if (!c[i].part[AGGR_RAW].p ||
		    (enc != CHUNK_HIST && enc != CHUNK_FLOATHIST) ||
		    (i && c[i - 1].maxt_ms >= c[i].mint_ms))
			return 0;
		samples += chunk_count(c[i].part[AGGR_RAW]);
	}
	return samples;
}

uint32_t select_piece_steps(const struct range_call *c, const struct range_fn *fn,
			    const struct chunk_view *chunks, size_t n)
{
	uint64_t samples, steps;
	if (c->fixed || c->anchored || c->smoothed || c->look_ms || c->grid.n < 128 ||
	    (fn && !is_windowed(fn)) ||
	    (samples = count_plain(chunks, n)) < 2 * PIECE_SAMPLES)
		return 0;
	steps = PIECE_SAMPLES * (uint64_t)c->grid.n / samples;
	steps = MAX(steps,
		    PIECE_WINDOWS * (uint64_t)c->range_ms / (uint64_t)c->grid.step_ms);
	steps = (MAX(steps, 1u) + 63) / 64 * 64;
	return steps * 2 <= c->grid.n ? (uint32_t)steps : 0;
}

/* Columns of n histograms, to be filled; their floats are 0. */
static int room_for(struct select_pieces *p, struct arena *a, size_t n,
		    struct sample_cols *out, struct err *e)
{
	int64_t *t = arena_try(a, p->x->ctx, n * sizeof(*t), e);
	double *v = t ? arena_try(a, p->x->ctx, n * sizeof(*v), e) : NULL;
	const struct hist **h = v ? arena_try(a, p->x->ctx, n * sizeof(*h), e) : NULL;
	if (!h)
		return -1;
	memset(v, 0, n * sizeof(*v));
	*out = (struct sample_cols){ .t_ms = t, .v = v, .h = h, .n = n, .cap = n };
	return 0;
}

/* What was kept of the piece before, and the new ones. */
static int join(struct select_pieces *p, struct arena *a, const struct sample_cols *kept,
		const struct sample_cols *c, struct sample_cols *out, struct err *e)
{
	size_t n = kept->n + c->n;
	if (kept->n == 0 || c->n == 0) {
		*out = c->n ? *c : *kept;
		return 0;
	}
	if (room_for(p, a, n, out, e) < 0)
		return -1;
	memcpy(out->t_ms, kept->t_ms, kept->n * sizeof(*out->t_ms));
	memcpy(out->t_ms + kept->n, c->t_ms, c->n * sizeof(*out->t_ms));
	memcpy(out->h, kept->h, kept->n * sizeof(*out->h));
	memcpy(out->h + kept->n, c->h, c->n * sizeof(*out->h));
	return 0;
}

/* The samples from `from` on, copied. */
static int keep(struct select_pieces *p, struct arena *a, const struct sample_cols *c,
		size_t from, struct sample_cols *out, struct err *e)
{
	size_t n = c->n - from;
	*out = (struct sample_cols){ 0 };
	if (n == 0)
		return 0;
	if (room_for(p, a, n, out, e) < 0)
		return -1;
	memcpy(out->t_ms, c->t_ms + from, n * sizeof(*out->t_ms));
	for (size_t i = 0; i < n; i++)
		out->h[i] = hist_dup(a, c->h[from + i]);
	return 0;
}

/* The steps [i, i + n) of the row. The tally goes on: it counts from the first step of the piece meanwhile. */
static int eval_piece(struct select_pieces *p, struct arena *a,
		      const struct sample_cols *c, uint32_t i, uint32_t n,
		      const struct row *row, struct err *e)
{
	struct sample_tally *t = p->call->tally, had = *t;
	struct series_cols cols = { .t_ms = c->t_ms, .v = c->v, .h = c->h, .n = c->n };
	struct row part = { .v = row->v + i,
			    .h = row->h + i,
			    .bits = row->bits + i / 64 };
	struct range_call call = *p->call;
	if (tally_series(p->x, a, &cols, p->call, e) < 0)
		return -1;
	if (i) {
		t->hi = had.hi;
		t->most = had.most;
		t->last = had.last;
	}
	if (t->by_step) {
		t->by_step += i;
		t->read_by_step += i;
	}
	call.grid = (struct grid){ grid_at(call.grid, i), call.grid.step_ms, n };
	p->env->scratch = a;
	int rc = p->eval(p->arg, &call, &cols, p->env, &part);
	t->by_step = had.by_step;
	t->read_by_step = had.read_by_step;
	if (t->last_step != UINT32_MAX)
		t->last_step += i;
	else if (i)
		t->last_step = had.last_step;
	if (rc == 0 && !p->env->lasting)
		EACH_BIT(k, part.bits, n)
	part.h[k] = part.h[k] ? hist_dup(p->env->arena, part.h[k]) : NULL;
	return rc;
}

/* The samples that no later step looks at go; `to` becomes what is left. */
static int move_on(struct select_pieces *p, struct arena *a, const struct sample_cols *c,
		   uint32_t next, struct sample_cols *to, struct err *e)
{
	struct sample_tally *t = p->call->tally;
	int64_t from = range_ref(p->call, next) - p->call->range_ms;
	size_t k = 0;
	while (k < c->n && c->t_ms[k] <= from)
		k++;
	t->hi = t->hi > k ? t->hi - k : 0;
	return keep(p, a, c, k, to, e);
}

static int eval_pieces(struct select_pieces *p, struct arena *a[2], uint32_t steps,
		       const struct row *row, struct err *e)
{
	const struct range_call *call = p->call;
	struct select_spec spec = *p->spec;
	struct sample_cols kept = { 0 };
	size_t k = 0;
	for (uint32_t i = 0, n; i < call->grid.n; i += n) {
		struct sample_cols c = { 0 }, all;
		size_t from = k;
		n = MIN(steps, call->grid.n - i);
		while (k < p->n && p->chunks[k].mint_ms <= range_ref(call, i + n - 1))
			k++;
		if (k > from &&
		    select_decode(p->x, &spec, p->set, p->labels, p->chunks + from,
				  k - from, a[0], &c, e) < 0)
			return -1;
		if (c.n && c.t_ms[c.n - 1] < INT64_MAX)
			spec.mint_ms = c.t_ms[c.n - 1] + 1;
		p->samples += c.n;
		if (p->past_stale)
			select_drop_stale(&c);
		if (join(p, a[0], &kept, &c, &all, e) < 0 ||
		    eval_piece(p, a[0], &all, i, n, row, e) < 0)
			return -1;
		if (i + n == call->grid.n)
			break;
		arena_reset(a[1]);
		if (move_on(p, a[1], &all, i + n, &kept, e) < 0)
			return -1;
		struct arena *other = a[0];
		a[0] = a[1];
		a[1] = other;
	}
	return 0;
}

int select_pieces(struct select_pieces *p, uint32_t steps, struct arena *scratch,
		  struct row *row, struct err *e)
{
	struct arena second, *a[2] = { scratch, &second };
	if (row_new(p->x, p->env->arena, p->call->grid.n, true, row, e) < 0)
		return -1;
	arena_init(&second, p->x->ctx->budget);
	int rc = eval_pieces(p, a, steps, row, e);
	arena_deinit(&second);
	p->env->lasting = true;
	return rc;
}
