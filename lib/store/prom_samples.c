/*
 * store/prom_samples.c - answers of remote read that hold samples: servers without chunks, old and foreign ones.
 *
 * The whole answer is one snappy block in no particular order, so it is held, decoded and sorted within the call's
 * budget. Samples become chunks when their series is shown: 120 a chunk, floats and histograms apart.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"
#include "proto/store.h"
#include "store/prom_read_int.h"
#include "wire/codec.h"

struct item {
	struct labels labels;
	const struct pb_time_series *in;
};
struct sampled {
	struct frame_source base;
	struct prom_read *read;
	struct arena arena; /* the decoded message, items */
	struct item *v;
	size_t n, at;
	struct chunk_encoder *enc;
};

/* ---- histograms ---- */

/* Absolute counts of one side, from deltas (integers) or as they are. */
static int take_side(struct ctx *ctx, struct arena *a, bool is_int, struct pf_list spans,
		     struct pf_list deltas, struct pf_list counts,
		     const struct hist_span **spans_out, uint32_t *n_spans,
		     const double **out, uint32_t *n, struct err *e)
{
	const struct pb_span *in = spans.v;
	size_t k = is_int ? deltas.n : counts.n;
	struct hist_span *sp = arena_try(a, ctx, spans.n * sizeof(*sp) + 1, e);
	double *c = sp ? arena_try(a, ctx, k * sizeof(*c) + 1, e) : NULL;
	if (!c)
		return -1;
	for (size_t i = 0; i < spans.n; i++)
		sp[i] = (struct hist_span){ in[i].offset, in[i].length };
	int64_t sum = 0;
	for (size_t i = 0; i < k; i++) {
		if (is_int) {
			sum = (int64_t)((uint64_t)sum +
					(uint64_t)((const int64_t *)deltas.v)[i]);
			c[i] = (double)sum;
		} else {
			c[i] = ((const double *)counts.v)[i];
		}
	}
	*spans_out = sp;
	*n_spans = (uint32_t)spans.n;
	*out = c;
	*n = (uint32_t)k;
	return 0;
}

static bool is_float_hist(const struct pb_histogram *h)
{
	return h->count_case == 2; /* count_float, be it zero */
}

static int take_hist(struct ctx *ctx, struct arena *a, const struct pb_histogram *in,
		     struct hist *out, struct err *e)
{
	bool is_int = !is_float_hist(in);
	*out = (struct hist){
		.schema = in->schema,
		.hint = in->reset_hint >= 0 && in->reset_hint <= HIST_GAUGE
				? (uint8_t)in->reset_hint
				: HIST_UNKNOWN,
		.is_int = is_int,
		.zero_threshold = in->zero_threshold,
		.zero_count = is_int ? (double)in->zero_count_int : in->zero_count_float,
		.count = is_int ? (double)in->count_int : in->count_float,
		.sum = in->sum,
		.bounds = in->custom_values.v,
		.n_bounds = (uint32_t)in->custom_values.n,
	};
	if (take_side(ctx, a, is_int, in->positive_spans, in->positive_deltas,
		      in->positive_counts, &out->pos_spans, &out->n_pos_spans, &out->pos,
		      &out->n_pos, e) < 0 ||
	    take_side(ctx, a, is_int, in->negative_spans, in->negative_deltas,
		      in->negative_counts, &out->neg_spans, &out->n_neg_spans, &out->neg,
		      &out->n_neg, e) < 0)
		return -1;
	return hist_validate(out, e);
}

/* ---- chunks of one series ---- */

struct chunking {
	struct ctx *ctx;
	struct arena *a;
	struct chunk_encoder *enc;
	enum chunk_enc now; /* of the open chunk; CHUNK_NONE: none is open */
	uint32_t in_chunk;
	int64_t mint_ms, maxt_ms;
	struct chunk_view *v;
	size_t n, cap;
};

static int chunk_close(struct chunking *k, struct err *e)
{
	if (k->now == CHUNK_NONE)
		return 0;
	struct chunk_part part = chunk_encoder_part(k->enc);
	uint8_t *p = arena_try(k->a, k->ctx, part.n + 1, e);
	if (!p)
		return -1;
	memcpy(p, part.p, part.n);
	part.p = p;
	if (k->n == k->cap) {
		size_t more = k->cap ? k->cap * 2 : 4;
		struct chunk_view *w = arena_try(k->a, k->ctx, more * sizeof(*w), e);
		if (!w)
			return -1;
		if (k->n)
			memcpy(w, k->v, k->n * sizeof(*w));
		k->v = w;
		k->cap = more;
	}
	k->v[k->n] = (struct chunk_view){ .mint_ms = k->mint_ms, .maxt_ms = k->maxt_ms };
	k->v[k->n++].part[AGGR_RAW] = part;
	k->now = CHUNK_NONE;
	return 0;
}

/* One sample: a float, or h. */
static int chunk_add(struct chunking *k, int64_t t_ms, double v, const struct hist *h,
		     struct err *e)
{
	enum chunk_enc enc = !h ? CHUNK_XOR : h->is_int ? CHUNK_HIST : CHUNK_FLOATHIST;
	if (k->now != CHUNK_NONE && (k->now != enc || k->in_chunk == CHUNK_SAMPLES) &&
	    chunk_close(k, e) < 0)
		return -1;
	for (;;) {
		if (k->now == CHUNK_NONE) {
			chunk_encoder_begin(k->enc, enc);
			k->now = enc;
			k->in_chunk = 0;
			k->mint_ms = t_ms;
		}
		int rc = h ? chunk_encoder_hist(k->enc, t_ms, h, e)
			   : chunk_encoder_float(k->enc, t_ms, v, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		/* Another layout or a reset: a chunk of its own. */
		BUG_ON(k->in_chunk == 0);
		if (chunk_close(k, e) < 0)
			return -1;
	}
	k->maxt_ms = t_ms;
	k->in_chunk++;
	return 0;
}

static int encode_series(struct sampled *s, struct ctx *ctx, struct arena *a,
			 const struct pb_time_series *in, struct series_in *out,
			 struct err *e)
{
	const struct pb_sample *f = in->samples.v;
	const struct pb_histogram *h = in->histograms.v;
	size_t i = 0, j = 0;
	struct arena tmp; /* decoded histograms; the encoder copies what it needs */
	struct chunking k = { .ctx = ctx, .a = a, .enc = s->enc };
	int rc = 0;
	arena_init(&tmp, ctx->budget);
	while (rc == 0 && (i < in->samples.n || j < in->histograms.n)) {
		if (j == in->histograms.n ||
		    (i < in->samples.n && f[i].timestamp <= h[j].timestamp)) {
			rc = chunk_add(&k, f[i].timestamp, f[i].value, NULL, e);
			i++;
		} else {
			struct hist x;
			rc = take_hist(ctx, &tmp, &h[j], &x, e);
			if (rc == 0)
				rc = chunk_add(&k, h[j].timestamp, 0, &x, e);
			arena_reset(&tmp);
			j++;
		}
	}
	arena_deinit(&tmp);
	if (rc < 0 || chunk_close(&k, e) < 0)
		return -1;
	out->chunks = k.v;
	out->n = k.n;
	return 0;
}

static int sampled_next(struct frame_source *src, struct ctx *ctx, struct frame *f,
			struct err *e)
{
	struct sampled *s = CONTAINER_OF(src, struct sampled, base);
	while (s->at < s->n) {
		const struct item *it = &s->v[s->at++];
		f->series = arena_try(&f->arena, ctx, sizeof(*f->series), e);
		if (!f->series)
			return -1;
		f->series->labels = it->labels;
		if (encode_series(s, ctx, &f->arena, it->in, f->series, e) < 0) {
			struct buf b;
			buf_init(&b, 1 << 16);
			labels_metric_text(it->labels, &b);
			err_wrap(ctx, e, "remote read of %s: series %.*s",
				 s->read->p->url, (int)b.n, (const char *)b.p);
			buf_deinit(&b);
			return -1;
		}
		if (f->series->n == 0) /* a series without samples in the range */
			continue;
		f->n = 1;
		return 1;
	}
	return 0;
}

static void sampled_close(struct frame_source *src)
{
	struct sampled *s = CONTAINER_OF(src, struct sampled, base);
	chunk_encoder_free(s->enc);
	arena_deinit(&s->arena);
	prom_read_free(s->read);
	free(s);
}

/* ---- the answer ---- */

static int by_labels(const void *x, const void *y, void *arg)
{
	(void)arg;
	return labels_cmp(((const struct item *)x)->labels,
			  ((const struct item *)y)->labels);
}

/* The snappy block in r->answer becomes what it holds. */
static int unpack(struct prom_read *r, struct ctx *ctx, struct err *e)
{
	struct prom_held raw = r->answer;
	prom_held_init(&r->answer, ctx->budget);
	size_t max = MIN((size_t)LIMIT_REMOTE_READ_BYTES, budget_left(ctx->budget));
	int rc = snappy_block_decode(buf_view(&raw.b), max, &r->answer.b, e);
	if (rc == 0)
		rc = prom_held_charge(&r->answer, ctx, e);
	prom_held_free(&raw);
	return rc;
}

static int take_answer(struct sampled *s, struct ctx *ctx, struct err *e)
{
	struct pb_read_response in;
	if (unpack(s->read, ctx, e) < 0 ||
	    pf_decode(ctx, &s->arena, &msg_read_response, buf_view(&s->read->answer.b),
		      &in, e) < 0)
		return -1;
	if (in.results.n != 1)
		return err_set(ctx, e, E_REMOTE, "unexpected result size %zu",
			       in.results.n);
	const struct pb_query_result *q = in.results.v;
	struct pb_time_series *ts = q->timeseries.v;
	s->n = q->timeseries.n;
	s->v = arena_try(&s->arena, ctx, s->n * sizeof(*s->v) + 1, e);
	if (!s->v)
		return -1;
	for (size_t i = 0; i < s->n; i++) {
		s->v[i].in = &ts[i];
		if (prom_read_labels(ctx, &s->read->req, ts[i].labels.v, ts[i].labels.n,
				     &s->v[i].labels, e) < 0)
			return -1;
	}
	if (s->n > 1)
		vec_sort(s->v, s->n, sizeof(*s->v), by_labels, NULL);
	return 0;
}

int prom_sampled_new(struct prom_read *r, struct ctx *ctx, struct frame_source **out,
		     struct err *e)
{
	static const struct frame_source_ops ops = { sampled_next, NULL, sampled_close };
	struct sampled *s = xcalloc(1, sizeof(*s));
	s->base.ops = &ops;
	s->read = r;
	arena_init(&s->arena, ctx->budget);
	if (take_answer(s, ctx, e) < 0) {
		arena_deinit(&s->arena);
		free(s);
		return -1;
	}
	s->enc = chunk_encoder_new();
	*out = &s->base;
	return 0;
}
