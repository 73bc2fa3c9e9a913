/*
 * store/bucket_series.c - Series over the blocks of a bucket.
 *
 * Each chosen block is a leg of a k-way merge: its series with its external labels added and replica
 * labels left out, in order. A leg is told only the matchers that external labels do not answer; a
 * block left with none of its own gives nothing (a call must name something of the series). A leg
 * whose block fails ends there, and a warning stands for the rest; under ABORT the call fails.
 *
 * Memory: each leg holds a batch; when many blocks are read at once the batches are made smaller, so
 * that their sum stays about the same.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/time.h"
#include "dedup/dedup.h"
#include "store/bucket_int.h"

#define BATCH_FULL_LEGS	 8    /* up to so many legs read as much as they like */
#define BATCH_ALL_SERIES 8192 /* series held by all legs beyond that */
#define BATCH_LEAST	 16

/* ---- leg: one block ---- */
struct leg {
	struct series_set base;
	struct bucket_store *b;
	struct series_set *in;
	struct bucket_meter *meter;
	enum partial_strategy partial;
	char id[27];
	bool done;
	bool hashes; /* are wanted */
};

/*
 * Thanos' querier tells equal chunks by their hashes, and computes those that it is not sent. Ours compares the bytes of chunks
 * that begin and end at the same time, and has no use for them.
 */
static void fill_hashes(const struct series_in *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct chunk_view *c = &s->chunks[i];
		if (!c->hash && c->part[AGGR_RAW].p)
			c->hash = hash_xx64(c->part[AGGR_RAW].p, c->part[AGGR_RAW].n, 0);
	}
}

static int leg_next(struct series_set *s, struct ctx *ctx, const struct series_in **out,
		    struct err *e)
{
	struct leg *l = CONTAINER_OF(s, struct leg, base);
	if (l->done)
		return 0;
	struct bucket_meter *before = bucket_meter_enter(l->meter);
	int rc = series_set_next(l->in, ctx, out, e);
	bucket_meter_leave(before);
	if (rc > 0) {
		if (l->hashes)
			fill_hashes(*out);
		return 1;
	}
	l->done = true;
	return rc < 0 ? bucket_block_failed(l->b, ctx, l->partial, l->id, e) : 0;
}

static void leg_close(struct series_set *s)
{
	struct leg *l = CONTAINER_OF(s, struct leg, base);
	series_set_close(l->in);
	free(l);
}

/* ---- the whole answer ---- */
struct answer {
	struct series_set base;
	struct bucket_store *b;
	struct bucket_snapshot *snapshot;
	struct arena arena; /* what the legs' requests point to */
	struct bucket_meter meter;
	struct series_set *in; /* NULL: nothing */
	struct series_set **legs;
	size_t n_legs;
	uint64_t n_series;
	struct metric *result_series, *sent_bytes, *dropped; /* of the call's tenant */
};

static uint64_t chunk_bytes(const struct series_in *s)
{
	uint64_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		for (unsigned k = 0; k < AGGR_N; k++)
			n += s->chunks[i].part[k].n;
	return n;
}

static int answer_next(struct series_set *s, struct ctx *ctx,
		       const struct series_in **out, struct err *e)
{
	struct answer *a = CONTAINER_OF(s, struct answer, base);
	int rc = a->in ? series_set_next(a->in, ctx, out, e) : 0;
	if (rc > 0) {
		a->n_series++;
		metric_observe(a->sent_bytes, (double)chunk_bytes(*out));
	}
	return rc;
}

static void answer_close(struct series_set *s)
{
	struct answer *a = CONTAINER_OF(s, struct answer, base);
	if (a->meter.limit && a->meter.used > a->meter.limit)
		metric_inc(a->dropped);
	metric_observe(a->result_series, (double)a->n_series);
	series_set_close(a->in);
	for (size_t i = 0; i < a->n_legs; i++)
		series_set_close(a->legs[i]);
	arena_deinit(&a->arena);
	bucket_snapshot_put(a->snapshot);
	free(a);
}

static struct answer *answer_new(struct bucket_store *b, struct ctx *ctx)
{
	static const struct series_set_ops ops = { answer_next, answer_close };
	struct answer *a = xcalloc(1, sizeof(*a));
	a->base.ops = &ops;
	a->b = b;
	a->result_series = bucket_metric_at(b, ctx, BM_RESULT_SERIES);
	a->sent_bytes = bucket_metric_at(b, ctx, BM_SENT_BYTES);
	a->dropped = metric_at(b->set, BM_DROPPED, STR("bytes"), bucket_tenant(ctx));
	a->snapshot = bucket_snapshot_get(b);
	a->meter.limit = b->o.downloaded_bytes_limit;
	arena_init(&a->arena, ctx->budget);
	return a;
}

/* ---- opening ---- */

static uint32_t batch_of(size_t legs)
{
	if (legs <= BATCH_FULL_LEGS)
		return 0;
	return (uint32_t)MAX((size_t)BATCH_LEAST, BATCH_ALL_SERIES / legs);
}

static struct block_series_req *leg_req(struct answer *a, struct ctx *ctx,
					const struct store_series_req *req,
					const struct bucket_choice *c,
					const struct bucket_pick *p, struct err *e)
{
	struct labels ext = p->entry->labels;
	struct block_series_req *r = arena_try(&a->arena, ctx, sizeof(*r), e);
	struct label *l = arena_try(&a->arena, ctx, (ext.n + 1) * sizeof(*l), e);
	if (!r || !l)
		return NULL;
	*r = (struct block_series_req){
		.mint_ms = c->mint_ms,
		.maxt_ms = c->maxt_ms,
		.matchers = p->matchers,
		.n_matchers = p->n_matchers,
		.skip_chunks = req->skip_chunks,
		.external =
			labels_drop(l, ext, req->without_replica_labels, req->n_without),
		.without = req->without_replica_labels,
		.n_without = req->n_without,
		.shard = { req->shard.index, req->shard.total, req->shard.by,
			   req->shard.labels, req->shard.n },
		.aggrs = req->aggrs,
		.batch = batch_of(c->n),
	};
	return r;
}

static int add_leg(struct answer *a, struct ctx *ctx, const struct store_series_req *req,
		   const struct bucket_choice *c, const struct bucket_pick *p,
		   struct err *e)
{
	static const struct series_set_ops ops = { leg_next, leg_close };
	struct block_series_req *r = leg_req(a, ctx, req, c, p, e);
	struct series_set *in;
	if (!r)
		return -1;
	struct bucket_meter *before = bucket_meter_enter(&a->meter);
	int rc = block_series(p->entry->block, ctx, r, &in, e);
	bucket_meter_leave(before);
	if (rc < 0)
		return bucket_block_failed(a->b, ctx, req->partial, p->entry->id, e);
	struct leg *l = xcalloc(1, sizeof(*l));
	l->base.ops = &ops;
	l->b = a->b;
	l->in = in;
	l->meter = &a->meter;
	l->partial = req->partial;
	l->hashes = !req->want_lanes; /* which only ours want */
	memcpy(l->id, p->entry->id, sizeof(l->id));
	a->legs[a->n_legs++] = &l->base;
	return 0;
}

static int open_legs(struct answer *a, struct ctx *ctx,
		     const struct store_series_req *req, const struct bucket_choice *c,
		     struct err *e)
{
	a->legs = arena_try(&a->arena, ctx, (c->n + 1) * sizeof(struct series_set *), e);
	if (!a->legs)
		return -1;
	for (size_t i = 0; i < c->n; i++)
		if (c->pick[i].n_matchers && add_leg(a, ctx, req, c, &c->pick[i], e) < 0)
			return -1;
	size_t n = a->n_legs;
	if (n == 0)
		return 0;
	a->n_legs = 0; /* the merge takes the legs over, also if it fails */
	return merge_open(ctx, a->legs, n, NULL, &a->in, e);
}

int bucket_series(struct store *s, struct ctx *ctx, const struct store_series_req *req,
		  struct series_set **out, struct err *e)
{
	struct bucket_store *b = CONTAINER_OF(s, struct bucket_store, base);
	uint64_t t0 = time_mono_ns();
	struct answer *a = answer_new(b, ctx);
	int64_t mint_ms, maxt_ms;
	bucket_range(b, &mint_ms, &maxt_ms);
	struct bucket_choice c = {
		.mint_ms = MAX(req->mint_ms, mint_ms),
		.maxt_ms = MIN(req->maxt_ms, maxt_ms),
		.matchers = req->matchers,
		.n_matchers = req->n_matchers,
		.max_resolution_ms = req->max_resolution_ms,
	};
	struct matcher *ids;
	int rc = bucket_hints_parse(ctx, &a->arena, req->hints, "SeriesRequestHints",
				    &ids, &c.n_block_matchers, e);
	if (rc == 0 && req->n_matchers > 0) {
		c.block_matchers = ids;
		rc = bucket_choose(a->snapshot, ctx, &a->arena, &c, e);
		if (rc == 0)
			rc = open_legs(a, ctx, req, &c, e);
		metric_observe(bucket_metric_at(b, ctx, BM_BLOCKS_QUERIED), (double)c.n);
	}
	metric_observe(bucket_metric_at(b, ctx, BM_GET_ALL_SECONDS),
		       (double)(time_mono_ns() - t0) / (double)NS_PER_S);
	if (rc < 0) {
		answer_close(&a->base);
		return -1;
	}
	*out = &a->base;
	return 0;
}
