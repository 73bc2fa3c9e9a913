/*
 * tsdb/chunk/decoder.c - one decoder for all encodings, filling columns.
 *
 * Floats come 256 a call. Histograms come as many as BATCH_VALUES buckets allow, since their size is
 * the writer's choice; the buffers grow to what a chunk needs and are used again for the next one.
 * When a chunk is damaged, the samples before the damage are shown first, the error afterwards.
 */
#include <stdlib.h>

#include "tsdb/chunk/hist_int.h"
#include "tsdb/chunk/xor.h"
#include "tsdb/chunk/xor2.h"

#include "base/limits.h"

#define BATCH_HISTS  32
#define BATCH_VALUES (16u << 10)

struct chunk_decoder {
	enum chunk_enc enc; /* CHUNK_NONE: nothing to show */
	struct xor_state xor_;
	struct xor2_state xor2;
	struct hist_state hist;
	struct arena *keep;
	bool any_order;
	struct arena chunk; /* layout and state of a histogram chunk */
	bool pending;	    /* err is to be told by the next call */
	struct err err;
	int64_t t[COLUMNS_MAX];
	double v[COLUMNS_MAX];
	int64_t st[COLUMNS_MAX];
	struct hist hists[BATCH_HISTS];
	const struct hist *h[BATCH_HISTS];
	double *values; /* buckets of hists[] */
	size_t values_cap;
};

uint32_t chunk_count(struct chunk_part c)
{
	if (!c.p || c.n < 2)
		return 0;
	uint32_t n = (uint32_t)c.p[0] << 8 | c.p[1];
	return hist_has_st(c.enc) ? n & HIST_ST_COUNT_MAX : n;
}

bool chunk_has_starts(struct chunk_part c)
{
	return (c.enc == CHUNK_XOR2 || hist_has_st(c.enc)) && c.n > 2 && c.p[2] != 0;
}

const char *chunk_enc_name(unsigned enc)
{
	switch (enc) {
	case CHUNK_XOR: return "XOR";
	case CHUNK_HIST: return "histogram";
	case CHUNK_FLOATHIST: return "float histogram";
	case CHUNK_XOR2: return "XOR2";
	case CHUNK_HIST_ST: return "histogram with start timestamps";
	case CHUNK_FLOATHIST_ST: return "float histogram with start timestamps";
	case CHUNK_AGGR: return "aggregate";
	default: return "unknown";
	}
}

static void decoder_deinit(void *p)
{
	struct chunk_decoder *d = p;
	arena_deinit(&d->chunk);
	free(d->values);
	free(d);
}

struct chunk_decoder *chunk_decoder_new(struct arena *a)
{
	struct chunk_decoder *d = xcalloc(1, sizeof *d);
	arena_init(&d->chunk, a->budget);
	arena_on_free(a, decoder_deinit, d);
	return d;
}

void chunk_decoder_keep(struct chunk_decoder *d, struct arena *keep)
{
	d->keep = keep;
}

void chunk_decoder_any_order(struct chunk_decoder *d, bool on)
{
	d->any_order = on;
}

int chunk_decoder_reset(struct chunk_decoder *d, struct chunk_part c, struct err *e)
{
	d->enc = CHUNK_NONE;
	d->pending = false;
	if (c.n > LIMIT_CHUNK_BYTES)
		return err_set(NULL, e, E_LIMIT, "chunk of %u bytes, more than %u", c.n,
			       LIMIT_CHUNK_BYTES);
	switch (c.enc) {
	case CHUNK_XOR:
		if (xor_begin(&d->xor_, c.p, c.n, true, e) < 0)
			return -1;
		d->xor_.any_order = d->any_order;
		break;
	case CHUNK_XOR2:
		if (xor2_begin(&d->xor2, c.p, c.n, e) < 0)
			return -1;
		break;
	case CHUNK_HIST:
	case CHUNK_FLOATHIST:
	case CHUNK_HIST_ST:
	case CHUNK_FLOATHIST_ST:
		if (d->chunk.chunks)
			arena_reset(&d->chunk);
		if (hist_begin(&d->hist, d->keep ? d->keep : &d->chunk, c, e) < 0)
			return -1;
		d->hist.any_order = d->any_order;
		break;
	default:
		return err_set(NULL, e, E_CORRUPT, "chunk encoding %u is unknown", c.enc);
	}
	d->enc = (enum chunk_enc)c.enc;
	return 0;
}

static int next_xor(struct chunk_decoder *d, struct columns *out)
{
	size_t got = 0;
	if (xor_run(&d->xor_, d->t, d->v, COLUMNS_MAX, &got, &d->err) < 0)
		d->pending = true;
	*out = (struct columns){ .n = got, .t_ms = d->t, .v = d->v };
	return got > 0;
}

static int next_xor2(struct chunk_decoder *d, struct columns *out)
{
	size_t got = 0;
	if (xor2_run(&d->xor2, d->t, d->v, d->st, COLUMNS_MAX, &got, &d->err) < 0)
		d->pending = true;
	*out = (struct columns){ .n = got,
				 .t_ms = d->t,
				 .st_ms = st_any(&d->xor2.st) ? d->st : NULL,
				 .v = d->v };
	return got > 0;
}

/* Room for the buckets of `batch` histograms; NULL and -1 in keep mode when the budget refuses. */
static double *room_for(struct chunk_decoder *d, size_t values, struct err *e)
{
	if (d->keep)
		return arena_try(d->keep, NULL, MAX(values, 1u) * sizeof(double), e);
	if (values > d->values_cap || !d->values) {
		free(d->values);
		d->values = xreallocarray(NULL, values + 1, sizeof(double));
		d->values_cap = values;
	}
	return d->values;
}

static int next_hists(struct chunk_decoder *d, struct columns *out)
{
	struct hist_state *s = &d->hist;
	size_t each = (size_t)s->l.n_pos + s->l.n_neg, batch = BATCH_VALUES / (each + 1);
	size_t n = 0;
	batch = MIN(MIN(MAX(batch, 1u), BATCH_HISTS), s->total - s->done);
	double *v = room_for(d, each * batch, &d->err);
	struct hist *h = d->hists;
	if (d->keep && v)
		h = arena_try(d->keep, NULL, MAX(batch, 1u) * sizeof *h, &d->err);
	d->pending = !v || !h;
	while (n < batch && !d->pending) {
		int rc = hist_next(s, &h[n], v + n * each, &d->err);
		if (rc <= 0) {
			d->pending = rc < 0;
			break;
		}
		hist_coarsen(d->keep ? d->keep : &d->chunk, &h[n]);
		d->t[n] = s->t;
		d->st[n] = s->st.st;
		d->h[n] = &h[n];
		n++;
	}
	*out = (struct columns){
		.n = n, .t_ms = d->t, .st_ms = st_any(&s->st) ? d->st : NULL, .h = d->h
	};
	return n > 0;
}

int chunk_decoder_next(struct chunk_decoder *d, struct columns *out, struct err *e)
{
	int rc = 0;
	if (!d->pending && d->enc == CHUNK_XOR)
		rc = next_xor(d, out);
	else if (!d->pending && d->enc == CHUNK_XOR2)
		rc = next_xor2(d, out);
	else if (!d->pending && d->enc != CHUNK_NONE)
		rc = next_hists(d, out);
	if (rc == 0 && d->pending) {
		d->enc = CHUNK_NONE;
		d->pending = false;
		err_copy(NULL, e, &d->err);
		return -1;
	}
	return rc;
}
