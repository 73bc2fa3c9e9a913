/*
 * test/fuzz/fuzz_remote_read.c - any bytes as what Prometheus answers to a remote read: a streamed frame, and a
 * sampled answer (before and behind snappy), its samples encoded and decoded again.
 */
#include <stdlib.h>

#include "dedup/dedup.h"
#include "store/prom_read_int.h"
#include "wire/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static const struct label ext_labels[] = { { { "cluster", 7 }, { "eu", 2 } } };
static const struct str refuse[] = { { "replica", 7 } };
static const struct prom_read_req req = { .external = { ext_labels, 1, 0 },
					  .refuse = refuse,
					  .n_refuse = 1 };

static void one_frame(struct ctx *ctx, struct str bytes)
{
	struct frame f = { 0 };
	struct err e = ERR_INIT;
	arena_init(&f.arena, ctx->budget);
	(void)!prom_read_frame(ctx, &req, &f, bytes, &e);
	arena_deinit(&f.arena);
}

static void decode(struct ctx *ctx, const struct series_in *in)
{
	struct sample_cols c = { 0 };
	struct arena a;
	struct err e = ERR_INIT;
	arena_init(&a, ctx->budget);
	/* What our encoder made of accepted samples can be read again. */
	BUG_ON(dedup_decode(ctx, &a, in->chunks, in->n, SAMPLE_AVG, false, false,
			    INT64_MIN, INT64_MAX, &c, &e) < 0 &&
	       e.code == E_CORRUPT);
	arena_deinit(&a);
}

static void sampled(struct ctx *ctx, struct str bytes)
{
	static struct prom_store p = { .url = (char *)(uintptr_t) "http://fuzz" };
	struct prom_read *r = xcalloc(1, sizeof(*r));
	struct frame_source *source;
	struct err e = ERR_INIT;
	r->p = &p;
	r->req = req;
	arena_init(&r->arena, ctx->budget);
	buf_init(&r->body, 16);
	prom_held_init(&r->answer, ctx->budget);
	buf_str(&r->answer.b, bytes);
	if (prom_sampled_new(r, ctx, &source, &e) < 0) {
		prom_read_free(r);
		return;
	}
	struct series_set *set = frame_set_new(source);
	const struct series_in *in;
	while (series_set_next(set, ctx, &in, &e) > 0)
		decode(ctx, in);
	series_set_close(set);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct ctx ctx;
	struct budget budget;
	struct buf packed;
	struct err e = ERR_INIT;
	budget_init(&budget, NULL, "fuzz", NULL, 64 << 20);
	ctx_init(&ctx, &budget, 0);
	one_frame(&ctx, str_n(p, n));
	sampled(&ctx, str_n(p, n));
	buf_init(&packed, n * 2 + 1024);
	if (snappy_block_encode(str_n(p, n), &packed, &e) == 0)
		sampled(&ctx, buf_view(&packed));
	buf_deinit(&packed);
	ctx_deinit(&ctx);
	budget_deinit(&budget);
	return 0;
}
