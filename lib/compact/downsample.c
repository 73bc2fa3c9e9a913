/*
 * compact/downsample.c - one block at a coarser resolution.
 *
 * Series are read in batches, copied out of the scan's windows, downsampled by as many threads as help (each takes the next series
 * that nobody has), and written in their order. The samples that went into a series are compared with what the counts of its new
 * chunks, decoded again, add up to; the finished block is read back and compared, as a compacted one is.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/vec.h"
#include "compact/compact_int.h"
#include "downsample/downsample.h"

#define BATCH_BYTES  ((size_t)4 << 20)
#define BATCH_SERIES 4096
#define HELPERS_MAX  16

struct one {			     /* series of a batch */
	const uint32_t *label, *raw; /* ordinals of the output, of the input */
	uint32_t n_labels, ref;
	struct chunk_view *chunk;
	size_t n, n_out;
	struct chunk_view *out;
	uint64_t samples; /* of the output's counts */
};

struct helper {
	struct downsampler *d;
	struct chunk_decoder *decoder;
	struct arena memory, out; /* of the decoder; chunks made */
	size_t failed;		  /* a series of the batch; SIZE_MAX: none */
	bool miscounted;
	struct err err;
};

struct batch {
	int64_t resolution_ms;
	struct arena a;
	struct one *v;
	size_t n, cap, bytes;
	struct helper *helper;
	size_t n_helpers;
	_Atomic size_t next;
	_Atomic bool stop;
	uint64_t samples; /* of the output, windows */
};

/* ---- what helpers do ---- */

static int sum_counts(struct helper *h, struct chunk_part p, double *sum)
{
	struct columns c;
	int rc;
	if (!p.p)
		return 0;
	if (chunk_decoder_reset(h->decoder, p, &h->err) < 0)
		return -1;
	while ((rc = chunk_decoder_next(h->decoder, &c, &h->err)) > 0)
		for (size_t i = 0; i < c.n; i++)
			*sum += c.v[i];
	return rc;
}

static int check_counts(struct helper *h, const struct chunk_view *c, size_t n)
{
	double sum = 0;
	double want = downsampler_tally(h->d).samples;
	for (size_t i = 0; i < n; i++)
		if (sum_counts(h, c[i].part[AGGR_COUNT], &sum) < 0)
			return -1;
	/* whole numbers, unless the input holds nonsense */
	if (fabs(sum - want) <= fabs(want) * 1e-9 || !isfinite(want))
		return 0;
	return err_set(NULL, &h->err, E_INTERNAL, "%.0f samples became %.0f", want, sum);
}

static void keep_chunks(struct helper *h, struct one *s, const struct chunk_view *c,
			size_t n)
{
	s->n_out = n;
	s->out = arena_alloc(&h->out, (n + 1) * sizeof(*s->out));
	for (size_t i = 0; i < n; i++) {
		s->out[i] = c[i];
		s->samples += chunk_count(c[i].part[AGGR_COUNT]);
		for (int k = AGGR_COUNT; k < AGGR_N; k++) {
			struct chunk_part *p = &s->out[i].part[k];
			if (p->p)
				p->p = memcpy(arena_alloc(&h->out, p->n), p->p, p->n);
		}
	}
}

static int downsample_one(struct helper *h, struct one *s, int64_t resolution_ms)
{
	const struct chunk_view *c;
	size_t n;
	if (downsample_series(h->d, s->chunk, s->n, resolution_ms, &c, &n, &h->err) < 0)
		return -1;
	h->miscounted = true;
	if (check_counts(h, c, n) < 0)
		return -1;
	h->miscounted = false;
	keep_chunks(h, s, c, n);
	return 0;
}

static void help(void *arg, size_t i)
{
	struct batch *b = arg;
	struct helper *h = &b->helper[i];
	while (!atomic_load_explicit(&b->stop, memory_order_relaxed)) {
		size_t k = atomic_fetch_add_explicit(&b->next, 1, memory_order_relaxed);
		if (k >= b->n)
			return;
		if (downsample_one(h, &b->v[k], b->resolution_ms) == 0)
			continue;
		h->failed = k;
		atomic_store_explicit(&b->stop, true, memory_order_relaxed);
		return;
	}
}

/* ---- batches ---- */

static void batch_init(struct batch *b, struct job *j, int64_t resolution_ms)
{
	size_t n = j->o->pool ? task_cpus(j->o->pool) : 1;
	*b = (struct batch){ .resolution_ms = resolution_ms };
	arena_init(&b->a, j->ctx->budget);
	b->n_helpers = MIN(MAX(n, 1u), HELPERS_MAX);
	b->helper = xcalloc(b->n_helpers, sizeof(*b->helper));
	for (size_t i = 0; i < b->n_helpers; i++) {
		struct helper *h = &b->helper[i];
		h->d = downsampler_new();
		arena_init(&h->memory, NULL);
		arena_init(&h->out, j->ctx->budget);
		h->decoder = chunk_decoder_new(&h->memory);
	}
}

static void batch_deinit(struct batch *b)
{
	for (size_t i = 0; i < b->n_helpers; i++) {
		downsampler_free(b->helper[i].d);
		arena_deinit(&b->helper[i].memory);
		arena_deinit(&b->helper[i].out);
	}
	free(b->helper);
	free(b->v);
	arena_deinit(&b->a);
}

static void batch_reset(struct batch *b)
{
	b->n = b->bytes = 0;
	atomic_store_explicit(&b->next, 0, memory_order_relaxed);
	if (b->a.chunks)
		arena_reset(&b->a);
	for (size_t i = 0; i < b->n_helpers; i++) {
		struct helper *h = &b->helper[i];
		h->failed = SIZE_MAX;
		if (h->out.chunks)
			arena_reset(&h->out);
	}
}

static void *dup_bytes(struct arena *a, const void *p, size_t n)
{
	return memcpy(arena_alloc(a, n + 1), p, n);
}

static int batch_add(struct batch *b, struct job *j, const struct input *in,
		     struct err *e)
{
	size_t labels = in->n_labels * 2 * sizeof(*in->label), bytes = 0;
	for (size_t i = 0; i < in->n_chunks; i++)
		for (int k = 0; k < AGGR_N; k++)
			bytes += in->chunk[i].part[k].n;
	uint8_t *p = arena_try(&b->a, j->ctx, bytes + 1, e);
	struct chunk_view *c =
		p ? arena_try(&b->a, j->ctx, (in->n_chunks + 1) * sizeof(*c), e) : NULL;
	if (!c)
		return -1;
	for (size_t i = 0; i < in->n_chunks; i++) {
		c[i] = in->chunk[i];
		for (int k = 0; k < AGGR_N; k++) {
			struct chunk_part *part = &c[i].part[k];
			if (!part->p)
				continue;
			part->p = memcpy(p, part->p, part->n);
			p += part->n;
		}
	}
	if (b->n == b->cap)
		b->v = vec_grow(b->v, &b->cap, b->n + 1, sizeof(*b->v));
	b->v[b->n++] = (struct one){ .label = dup_bytes(&b->a, in->label, labels),
				     .raw = dup_bytes(&b->a, in->cur.label, labels),
				     .n_labels = in->n_labels,
				     .ref = in->cur.ref,
				     .chunk = c,
				     .n = in->n_chunks };
	b->bytes += bytes + labels + in->n_chunks * sizeof(*c);
	return 0;
}

/* Series of the input, which stands at the next one, until the batch is full. */
static int batch_read(struct batch *b, struct job *j, struct err *e)
{
	struct input *in = &j->in[0];
	batch_reset(b);
	while (in->on && b->bytes < BATCH_BYTES && b->n < BATCH_SERIES)
		if (batch_add(b, j, in, e) < 0 || input_next(j, in, e) < 0)
			return -1;
	return 0;
}

/* Whatever a series fails with lies in its chunks: a limit is one that no sound chunk passes. */
static int blame(struct job *j, const struct batch *b, const struct helper *h,
		 struct err *e)
{
	const struct one *s = &b->v[h->failed];
	const struct input *in = &j->in[0];
	enum err_code code = E_CORRUPT;
	struct str labels =
		block_scan_text_of(in->scan, j->ctx, j->a, s->raw, s->n_labels);
	if (h->miscounted) {
		j->r->fault = COMPACT_FAULT_OUTPUT;
		code = h->err.code;
	} else {
		j->r->fault = COMPACT_FAULT_UNREADABLE;
		j->r->fault_input = in->number;
	}
	return err_set(j->ctx, e, code, "block %s: index: series %" PRIu32 " %.*s: %s",
		       in->id, s->ref, STR_FMT(labels), err_text(&h->err));
}

static int batch_work(struct batch *b, struct job *j, struct err *e)
{
	const struct helper *first = NULL;
	task_par_for(j->o->pool, MIN(b->n_helpers, b->n), help, b);
	for (size_t i = 0; i < b->n_helpers; i++) {
		const struct helper *h = &b->helper[i];
		if (h->failed != SIZE_MAX && (!first || h->failed < first->failed))
			first = h;
	}
	return first ? blame(j, b, first, e) : 0;
}

static int batch_write(struct batch *b, struct job *j, struct err *e)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct one *s = &b->v[i];
		b->samples += s->samples;
		if (s->n_out &&
		    job_write_series(j, s->label, s->n_labels, s->out, s->n_out, e) < 0)
			return -1;
	}
	return 0;
}

static int run(struct job *j, struct batch *b, struct err *e)
{
	struct input *in = &j->in[0];
	if (job_merge_symbols(j, e) < 0 || input_next(j, in, e) < 0)
		return -1;
	while (in->on) {
		if (batch_read(b, j, e) < 0 || batch_work(b, j, e) < 0 ||
		    batch_write(b, j, e) < 0 || ctx_check(j->ctx, e) < 0)
			return -1;
		job_progress(j);
	}
	return 0;
}

/* ---- the output ---- */

/* COMPAT: the numbers of float and histogram samples, and of tombstones, are the raw block's. */
static int make_meta(struct job *j, const struct batch *b, struct err *e)
{
	struct block_meta *m = &j->r->meta;
	if (block_meta_dup(j->ctx, j->a, j->in[0].src->meta, m, e) < 0)
		return -1;
	m->ulid = j->o->ulid;
	m->stats.samples = b->samples;
	m->stats.series = j->out_series;
	m->stats.chunks = j->out_chunks;
	m->has_thanos = true;
	m->thanos.labels = labels_dup(j->a, j->o->labels);
	m->thanos.resolution_ms = b->resolution_ms;
	m->thanos.source =
		str_dup(j->a, str_of(j->o->source ? j->o->source : "compactor"));
	m->thanos.upload_time = STR_NULL;
	return 0;
}

static int check_resolution(struct ctx *ctx, const struct block_meta *m,
			    int64_t resolution_ms, struct err *e)
{
	char id[27];
	int64_t from = m->thanos.resolution_ms;
	if ((from == 0 && resolution_ms == DOWNSAMPLE_5M) ||
	    (from == DOWNSAMPLE_5M && resolution_ms == DOWNSAMPLE_1H))
		return 0;
	ulid_format(&m->ulid, id);
	return err_set(ctx, e, E_INVALID,
		       "block %s of resolution %" PRId64 " cannot become one of %" PRId64,
		       id, from, resolution_ms);
}

int compact_downsample(struct ctx *ctx, struct arena *a, const struct block_source *in,
		       int64_t resolution_ms, const struct compact_opts *o,
		       struct compact_result *r, struct err *e)
{
	struct job j = { .ctx = ctx, .o = o, .r = r, .a = a };
	struct batch b;
	int rc;

	*r = (struct compact_result){ .fault_input = SIZE_MAX };
	if (check_resolution(ctx, in->meta, resolution_ms, e) < 0)
		return -1;
	batch_init(&b, &j, resolution_ms);
	rc = job_begin(&j, in, 1, e);
	if (rc == 0)
		rc = run(&j, &b, e);
	if (rc == 0 && j.out_series == 0)
		r->empty = true;
	else if (rc == 0 && (rc = make_meta(&j, &b, e)) == 0)
		rc = job_finish(&j, true, e);
	job_end(&j);
	batch_deinit(&b);
	return rc;
}
