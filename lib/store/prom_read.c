/*
 * store/prom_read.c - remote read: the request, the drained answer, frames of series.
 *
 *   Prometheus -HTTP-> drain thread -> spill -> frames of series -> the call's reader
 *
 * An open remote read holds one of Prometheus' slots and blocks the truncation of its head, so the drain takes the
 * answer as fast as it comes, however slow the reader is: into the call's budget, beyond it into a file without a
 * name. The slot of our own gate covers the drain only. Where no thread is free the caller drains by itself first.
 *
 * Streamed frames: uvarint length, CRC-32C (big endian) of the data, data = ChunkedReadResponse (prom_frame.c). The other
 * kind of answer, samples, is in prom_samples.c.
 * Source  prometheus.md §3.7
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/span.h"
#include "proto/store.h"
#include "store/prom_read_int.h"
#include "store/spill.h"
#include "wire/codec.h"
#include "wire/rd.h"

/* ---- the drain ---- */

/* Prometheus sends each frame by itself, which are a KiB or some: the loop and threads are woken for many at once. */
#define GATHER_BYTES ((size_t)256 << 10)

struct drain {
	struct prom_store *p;
	struct http_body *body;
	struct spill *spill;
	struct ctx ctx; /* its own token: the caller's ctx may end before it */
	pthread_mutex_t mu;
	pthread_cond_t cv;
	bool done; /* mu */
};

static void drain_run(void *arg)
{
	struct drain *d = arg;
	struct err e = ERR_INIT;
	struct view v;
	int rc;
	for (;;) {
		rc = http_body_read(d->body, &d->ctx, &v, &e);
		if (rc <= 0)
			break;
		rc = spill_write(d->spill, (struct view){ v.p, v.n, ref_get(v.pin) }, &e);
		http_body_release(d->body, &v);
		if (rc < 0)
			break;
	}
	http_body_close(d->body);
	d->body = NULL;
	task_gate_leave(d->p->slots);
	spill_end(d->spill, rc < 0 ? &e : NULL);
	pthread_mutex_lock(&d->mu);
	d->done = true;
	pthread_cond_broadcast(&d->cv);
	pthread_mutex_unlock(&d->mu);
}

/* Takes over the body and the slot. */
static struct drain *drain_start(struct prom_store *p, struct ctx *ctx,
				 struct http_body *body)
{
	struct drain *d = xcalloc(1, sizeof(*d));
	struct err none = ERR_INIT;
	d->p = p;
	d->body = body;
	d->spill = spill_new(&(struct spill_opts){ .budget = ctx->budget,
						   .memory = p->o.spill_memory,
						   .dir = p->o.spill_dir });
	d->ctx = (struct ctx){ .deadline_ns = ctx->deadline_ns,
			       .cancel = cancel_new(),
			       .budget = ctx->budget,
			       .tenant = ctx->tenant,
			       .trace = ctx->trace };
	pthread_mutex_init(&d->mu, NULL);
	ctx_cond_init(&d->cv);
	if (task_request(p->o.pool, drain_run, d, &none) < 0)
		drain_run(d);
	return d;
}

static bool drain_is_done(void *arg)
{
	return ((struct drain *)arg)->done;
}

static void drain_free(struct drain *d)
{
	struct err none = ERR_INIT;
	cancel_now(d->ctx.cancel, "the reader has gone");
	pthread_mutex_lock(&d->mu);
	(void)!ctx_cond_wait(NULL, &d->cv, &d->mu, drain_is_done, d, &none);
	pthread_mutex_unlock(&d->mu);
	spill_free(d->spill);
	cancel_unref(d->ctx.cancel);
	pthread_cond_destroy(&d->cv);
	pthread_mutex_destroy(&d->mu);
	free(d);
}

/* ---- streamed frames ---- */

struct streamed {
	struct frame_source base;
	struct prom_read *read;
	struct drain *drain;
	uint64_t n_frames;
	struct view piece; /* of the answer; NULL: none at hand */
	size_t at;	   /* unread part of it */
};

/* 1: bytes are at hand; 0: end; -1. */
static int refill(struct streamed *s, struct ctx *ctx, struct err *e)
{
	if (s->at < s->piece.n)
		return 1;
	view_put(&s->piece);
	s->at = 0;
	return spill_read(s->drain->spill, ctx, &s->piece, e);
}

/* Exactly n bytes, or fewer at the end: *got. */
static int take(struct streamed *s, struct ctx *ctx, void *to, size_t n, size_t *got,
		struct err *e)
{
	uint8_t *p = to;
	for (*got = 0; *got < n;) {
		int rc = refill(s, ctx, e);
		if (rc <= 0)
			return rc;
		size_t k = MIN(n - *got, s->piece.n - s->at);
		memcpy(p + *got, s->piece.p + s->at, k);
		s->at += k;
		*got += k;
	}
	return 0;
}

static int cut_short(struct ctx *ctx, struct err *e)
{
	return err_set(ctx, e, E_REMOTE, "the answer is cut short");
}

/* 1: *size and *crc of a frame; 0: no more; -1. */
static int take_head(struct streamed *s, struct ctx *ctx, uint64_t *size, uint32_t *crc,
		     struct err *e)
{
	uint8_t b[10];
	size_t n = 0, got;
	do {
		if (n == sizeof(b))
			return err_set(ctx, e, E_REMOTE, "malformed length");
		if (take(s, ctx, b + n, 1, &got, e) < 0)
			return -1;
		if (got == 0)
			return n ? cut_short(ctx, e) : 0;
	} while (b[n++] & 0x80);
	struct rd r = rd_n(b, n);
	*size = rd_uvarint(&r);
	if (r.bad)
		return err_set(ctx, e, E_REMOTE, "malformed length");
	if (*size > LIMIT_REMOTE_READ_FRAME)
		return err_set(ctx, e, E_LIMIT, "%llu bytes, more than %u are not taken",
			       (unsigned long long)*size, LIMIT_REMOTE_READ_FRAME);
	if (take(s, ctx, b, 4, &got, e) < 0)
		return -1;
	if (got < 4)
		return cut_short(ctx, e);
	r = rd_n(b, 4);
	*crc = rd_be32(&r);
	return 1;
}

/* A frame's bytes where they lie, or put together where they come in several pieces; kept by f. */
static const uint8_t *frame_data(struct streamed *s, struct ctx *ctx, struct frame *f,
				 size_t size, struct err *e)
{
	size_t got;
	if (size <= s->piece.n - s->at) {
		const uint8_t *p = s->piece.p + s->at;
		f->pin = (struct view){ p, size, ref_get(s->piece.pin) };
		s->at += size;
		return p;
	}
	uint8_t *data = arena_try(&f->arena, ctx, size, e);
	if (!data || take(s, ctx, data, size, &got, e) < 0)
		return NULL;
	if (got < size) {
		cut_short(ctx, e);
		return NULL;
	}
	return data;
}

static int next_streamed(struct streamed *s, struct ctx *ctx, struct frame *f,
			 struct err *e)
{
	uint64_t size = 0;
	uint32_t crc = 0;
	int rc = take_head(s, ctx, &size, &crc, e);
	if (rc <= 0)
		return rc;
	const uint8_t *data = frame_data(s, ctx, f, size, e);
	if (!data)
		return -1;
	if (crc32c(0, data, size) != crc)
		return err_set(ctx, e, E_REMOTE, "checksum does not match");
	return prom_read_frame(ctx, &s->read->req, f, str_n(data, size), e) < 0 ? -1 : 1;
}

static int streamed_next(struct frame_source *src, struct ctx *ctx, struct frame *f,
			 struct err *e)
{
	struct streamed *s = CONTAINER_OF(src, struct streamed, base);
	int rc = next_streamed(s, ctx, f, e);
	if (rc > 0)
		s->n_frames++;
	if (rc < 0)
		err_wrap(ctx, e, "remote read of %s: frame %llu", s->read->p->url,
			 (unsigned long long)s->n_frames + 1);
	return rc;
}

static void streamed_release(struct frame_source *src, struct frame *f)
{
	(void)src;
	view_put(&f->pin);
}

static void streamed_close(struct frame_source *src)
{
	struct streamed *s = CONTAINER_OF(src, struct streamed, base);
	metric_observe(s->read->p->frames, (double)s->n_frames);
	view_put(&s->piece);
	drain_free(s->drain);
	prom_read_free(s->read);
	free(s);
}

static struct frame_source *streamed_new(struct prom_read *r, struct drain *d)
{
	static const struct frame_source_ops ops = { streamed_next, streamed_release,
						     streamed_close };
	struct streamed *s = xcalloc(1, sizeof(*s));
	s->base.ops = &ops;
	s->read = r;
	s->drain = d;
	return &s->base;
}

/* ---- the request ---- */

static int encode_request(struct prom_read *r, struct ctx *ctx, struct err *e)
{
	const struct prom_read_req *q = &r->req;
	struct pb_matcher *m = ARENA_ARRAY(&r->arena, struct pb_matcher, q->n_matchers);
	int32_t accepted[] = { 1, 0 }; /* STREAMED_XOR_CHUNKS, SAMPLES */
	struct buf raw;
	for (size_t i = 0; i < q->n_matchers; i++)
		m[i] = (struct pb_matcher){ (int32_t)q->matchers[i].type,
					    q->matchers[i].name, q->matchers[i].value };
	struct pb_read_query query = { .start_ms = q->mint_ms,
				       .end_ms = q->maxt_ms,
				       .matchers = { m, q->n_matchers } };
	struct pb_read_request req = { .queries = { &query, 1 },
				       .accepted_response_types = { accepted, 2 } };
	buf_init(&raw, LIMIT_RPC_REQUEST_BYTES);
	pf_encode(&msg_read_request, &req, &raw);
	int rc = buf_check(&raw, ctx, "remote read request", e);
	if (rc == 0)
		rc = snappy_block_encode(buf_view(&raw), &r->body, e);
	buf_deinit(&raw);
	return rc;
}

static int send_request(struct prom_read *r, struct ctx *ctx, struct http_answer *answer,
			struct http_body **body, struct err *e)
{
	const struct http_kv headers[] = {
		{ STR("Content-Encoding"), STR("snappy") },
		{ STR("Content-Type"), STR("application/x-protobuf") },
		{ STR("X-Prometheus-Remote-Read-Version"), STR("0.1.0") },
	};
	struct http_fetch_req q = { .method = "POST",
				    .url = str_fmt(&r->arena, "%s/api/v1/read",
						   r->p->url),
				    .headers = headers,
				    .n_headers = ARRAY_LEN(headers),
				    .body = buf_view(&r->body),
				    .gather = GATHER_BYTES };
	return http_open(r->p->o.http, ctx, &r->arena, &q, 0, answer, body, e);
}

/* The answer's kind decides; the body and the slot are given away. */
static int open_answer(struct prom_read *r, struct ctx *ctx,
		       const struct http_answer *answer, struct http_body *body,
		       struct frame_source **out, struct err *e)
{
	struct str type = http_answer_header(answer, "content-type");
	if (answer->status / 100 == 2 &&
	    str_has_prefix(type, STR("application/x-streamed-protobuf"))) {
		*out = streamed_new(r, drain_start(r->p, ctx, body));
		return 0;
	}
	bool samples = answer->status / 100 == 2 &&
		       str_has_prefix(type, STR("application/x-protobuf"));
	int rc = prom_read_whole(ctx, body, &r->answer, e);
	http_body_close(body);
	task_gate_leave(r->p->slots);
	if (rc < 0)
		return -1;
	if (answer->status / 100 != 2)
		return prom_http_failed(ctx, answer->status, buf_view(&r->answer.b), e);
	if (!samples)
		return err_set(ctx, e, E_REMOTE,
			       "not supported remote read content type: %.*s",
			       STR_FMT(type));
	return prom_sampled_new(r, ctx, out, e);
}

static int open_read(struct prom_read *r, struct ctx *ctx, struct frame_source **out,
		     struct err *e)
{
	struct http_answer answer;
	struct http_body *body;
	if (encode_request(r, ctx, e) < 0 || task_gate_enter(r->p->slots, ctx, e) < 0)
		return -1;
	if (send_request(r, ctx, &answer, &body, e) < 0) {
		task_gate_leave(r->p->slots);
		return -1;
	}
	return open_answer(r, ctx, &answer, body, out, e);
}

void prom_read_free(struct prom_read *r)
{
	buf_deinit(&r->body);
	prom_held_free(&r->answer);
	arena_deinit(&r->arena);
	free(r);
}

int prom_read(struct prom_store *p, struct ctx *ctx, const struct prom_read_req *req,
	      struct series_set **out, struct err *e)
{
	struct prom_read *r = xcalloc(1, sizeof(*r));
	struct frame_source *source;
	r->p = p;
	r->req = *req;
	arena_init(&r->arena, ctx->budget);
	buf_init(&r->body, LIMIT_RPC_REQUEST_BYTES * 2);
	prom_held_init(&r->answer, ctx->budget);
	struct span span;
	span_begin(&span, ctx, "query_prometheus"); /* until its answer begins */
	int rc = open_read(r, ctx, &source, e);
	span_end(&span, rc < 0 ? e : NULL);
	if (rc < 0) {
		prom_read_free(r);
		return err_wrap(ctx, e, "remote read of %s", p->url);
	}
	*out = frame_set_new(source);
	return 0;
}
