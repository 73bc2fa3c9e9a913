/*
 * downsample/downsample.c - runs, batches, and how many chunks there will be.
 *
 * Raw chunks: all samples of a run of chunks of one kind (floats or histograms) are cut into batches of about equally
 * many; the window that the last one is in goes whole into the batch. Each batch makes one chunk.
 * AggrChunks: whole chunks go together, since the first and last value of a counter chunk are true values of the series.
 * How many chunks there will be follows from the time range and from how densely samples fill it: 140 windows each.
 *
 * COMPAT: Thanos makes endless chunks when a few chunks would have to give more than there are; here each batch
 * has one at least. Exponential histograms and those with custom bounds, which end Thanos, are runs of their own.
 */
#include "downsample/downsample_int.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"

#define CHUNK_WINDOWS 140

struct downsampler *downsampler_new(void)
{
	struct downsampler *d = xcalloc(1, sizeof *d);
	arena_init(&d->memory, NULL);
	arena_init(&d->out, NULL);
	arena_init(&d->hists, NULL);
	arena_init(&d->scratch[0], NULL);
	arena_init(&d->scratch[1], NULL);
	buf_init(&d->bytes, 2 * LIMIT_CHUNK_BYTES);
	d->decoder = chunk_decoder_new(&d->memory);
	chunk_decoder_any_order(d->decoder, true);
	d->encoder = chunk_encoder_new();
	return d;
}

static void hist_windows_free(struct hist_windows *w)
{
	free(w->t);
	free(w->count);
	free(w->h);
}

void downsampler_free(struct downsampler *d)
{
	if (!d)
		return;
	chunk_encoder_free(d->encoder);
	arena_deinit(&d->memory);
	arena_deinit(&d->out);
	arena_deinit(&d->hists);
	arena_deinit(&d->scratch[0]);
	arena_deinit(&d->scratch[1]);
	buf_deinit(&d->bytes);
	hist_windows_free(&d->counter);
	hist_windows_free(&d->sum);
	free(d->s.t);
	free(d->s.v);
	free(d->span);
	free(d->w.t);
	for (int i = 0; i < AGGR_N; i++)
		free(d->w.v[i]);
	free(d->delta);
	free(d->wide);
	free(d->fixed.v);
	free(d->result.v);
	free(d);
}

struct downsample_tally downsampler_tally(const struct downsampler *d)
{
	return d->tally;
}

size_t target_chunks(int64_t mint, int64_t maxt, int64_t in, int64_t out, size_t samples)
{
	int64_t range = maxt > mint ? (int64_t)((uint64_t)maxt - (uint64_t)mint) : 0;
	if (range < 0)
		range = INT64_MAX;
	double most = (double)(range / out);
	double full = (double)samples / ((double)range / (double)in);
	if (full > 1)
		full = 1;
	uint64_t expected = most > 0 ? (uint64_t)(most * full) + 1 : 1;
	return (size_t)(expected / (CHUNK_WINDOWS + 1) + 1);
}

size_t batch_end(const int64_t *t, size_t n, size_t i, size_t size, int64_t resolution_ms)
{
	size_t end = size < n - i ? i + size : n;
	int64_t window = window_end(t[end - 1], resolution_ms, INT64_MAX);
	while (end < n && t[end] <= window)
		end++;
	return end;
}

static struct chunk_view *views_add(struct views *to)
{
	if (to->n == to->cap)
		to->v = vec_grow(to->v, &to->cap, to->n + 1, sizeof *to->v);
	return &to->v[to->n++];
}

void emit(struct downsampler *d, struct views *to, int64_t mint_ms, int64_t maxt_ms,
	  const struct chunk_part *part)
{
	struct chunk_view *c = views_add(to);
	const uint8_t *at = arena_alloc(&d->out, d->bytes.n + 1);
	memcpy((void *)(uintptr_t)at, d->bytes.p, d->bytes.n);
	*c = (struct chunk_view){ .mint_ms = mint_ms, .maxt_ms = maxt_ms };
	for (int i = AGGR_COUNT; i < AGGR_N; i++) {
		if (part[i].n == 0)
			continue;
		c->part[i] = (struct chunk_part){ at, part[i].n, part[i].enc };
		at += part[i].n;
	}
}

/* ---- kinds of chunks ---- */

static bool is_raw(const struct chunk_view *c)
{
	return c->part[AGGR_RAW].p != NULL;
}

static bool is_float(struct chunk_part p)
{
	return p.enc == CHUNK_XOR || p.enc == CHUNK_XOR2;
}

/* An AggrChunk is one of histograms if its counter is. */
static bool is_hist(const struct chunk_view *c)
{
	if (is_raw(c))
		return !is_float(c->part[AGGR_RAW]);
	struct chunk_part p = c->part[c->part[AGGR_COUNTER].p ? AGGR_COUNTER : AGGR_SUM];
	return p.p && !is_float(p);
}

static int check_order(const struct chunk_view *in, size_t n, struct err *e)
{
	for (size_t i = 1; i < n; i++)
		if (in[i].mint_ms <= in[i - 1].maxt_ms)
			return err_set(NULL, e, E_CORRUPT,
				       "chunk %zu overlaps the one before", i);
	return 0;
}

/* ---- raw chunks ---- */

static int raw_run(struct downsampler *d, struct parts in, int64_t resolution_ms,
		   struct views *to, struct err *e)
{
	return is_hist(in.c) ? raw_hists(d, in, resolution_ms, to, e)
			     : raw_floats(d, in, resolution_ms, to, e);
}

static int raw_series(struct downsampler *d, const struct chunk_view *in, size_t n,
		      int64_t resolution_ms, struct err *e)
{
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i; end < n && is_hist(&in[end]) == is_hist(&in[i]); end++)
			if (!is_raw(&in[end]))
				return err_set(
					NULL, e, E_CORRUPT,
					"chunk %zu is an aggregate chunk among raw ones",
					end);
		struct parts p = { in + i, end - i, i, AGGR_RAW };
		if (raw_run(d, p, resolution_ms, &d->result, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- AggrChunks ---- */

/* in[first] to in[n - 1] are of one kind. */
static int aggr_run(struct downsampler *d, const struct chunk_view *in, size_t first,
		    size_t n, int64_t resolution_ms, struct err *e)
{
	size_t samples = 0;
	for (size_t i = first; i < n; i++)
		samples += chunk_count(in[i].part[AGGR_COUNT]);
	size_t chunks = target_chunks(in[first].mint_ms, in[n - 1].maxt_ms, DOWNSAMPLE_5M,
				      resolution_ms, samples);
	size_t size = MAX((n - first) / chunks, 1u);
	for (size_t i = first; i < n; i += size) {
		struct parts p = { in + i, MIN(size, n - i), i, AGGR_COUNT };
		int rc = is_hist(p.c) ? aggr_hists(d, p, resolution_ms, &d->result, e)
				      : aggr_floats(d, p, resolution_ms, &d->result, e);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* Raw chunks that got into a downsampled block become AggrChunks of 5m, one by one; empty ones are passed over. */
static int fix_chunks(struct downsampler *d, const struct chunk_view *in, size_t n,
		      struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_raw(&in[i])) {
			*views_add(&d->fixed) = in[i];
			continue;
		}
		struct parts p = { in + i, 1, i, AGGR_RAW };
		if (chunk_count(in[i].part[AGGR_RAW]) > 0 &&
		    raw_run(d, p, DOWNSAMPLE_5M, &d->fixed, e) < 0)
			return -1;
	}
	d->tally.samples = 0; /* the counts will be added up */
	return check_order(d->fixed.v, d->fixed.n, e);
}

static int aggr_series(struct downsampler *d, const struct chunk_view *in, size_t n,
		       int64_t resolution_ms, struct err *e)
{
	if (fix_chunks(d, in, n, e) < 0)
		return -1;
	const struct views *f = &d->fixed;
	for (size_t i = 0, end; i < f->n; i = end) {
		for (end = i + 1; end < f->n && is_hist(&f->v[end]) == is_hist(&f->v[i]);
		     end++)
			;
		if (aggr_run(d, f->v, i, end, resolution_ms, e) < 0)
			return -1;
	}
	return 0;
}

int downsample_series(struct downsampler *d, const struct chunk_view *in, size_t n,
		      int64_t resolution_ms, const struct chunk_view **out, size_t *n_out,
		      struct err *e)
{
	d->fixed.n = d->result.n = 0;
	d->tally = (struct downsample_tally){ 0 };
	if (d->out.chunks)
		arena_reset(&d->out);
	if (resolution_ms != DOWNSAMPLE_5M && resolution_ms != DOWNSAMPLE_1H)
		return err_set(NULL, e, E_INVALID, "resolution %lld ms",
			       (long long)resolution_ms);
	if (check_order(in, n, e) < 0)
		return -1;
	int rc = resolution_ms == DOWNSAMPLE_5M ? raw_series(d, in, n, resolution_ms, e)
						: aggr_series(d, in, n, resolution_ms, e);
	if (rc < 0)
		return -1;
	*out = d->result.v;
	*n_out = d->result.n;
	return check_order(*out, *n_out, e);
}
