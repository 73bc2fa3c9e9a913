/*
 * store/prom_series.c - Series of a Prometheus: matchers on external labels answered here, external labels added,
 * order and shards.
 *
 *   remote reads (or a list of label sets) - replica labels - external labels \
 *                                                                             merge - shard
 *   blocks of the data folder, which do all that themselves                   /
 *
 * What is read from blocks is cut to the asked time as Prometheus cuts it, so that the answer is the same either way.
 *
 * Adding external labels to sorted series is streamed (dedup/relabel). Replica labels among the external ones are not
 * added in the first place; only where series have such a label of their own, the answer is read whole and sorted
 * anew. Whether they have is known from the heartbeat; a name that is newer than it ends the call with an error, for
 * what was shown before could be out of order.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/vec.h"
#include "dedup/dedup.h"
#include "store/prom_int.h"

#define FULL_BLOCKS	 8    /* up to so many blocks read as much as they like */
#define BATCH_ALL_SERIES 8192 /* series held of all blocks beyond that */
#define BATCH_LEAST	 16

struct answer {
	struct series_set base;
	struct arena arena;
	struct prom_state *state;
	struct series_set *in; /* NULL: nothing matches */
	const struct store_series_req *req;
	struct prom_read_req read; /* what the reads have in common */
	struct prom_read_req span[PROM_SPANS];
	struct prom_plan plan;
	struct block_series_req block; /* of all blocks; both are pointed to by `in` */
};

static bool in_shard(const struct shard_info *sh, struct labels ls)
{
	if (sh->total <= 0)
		return true;
	uint64_t h = labels_hash_subset(ls, sh->labels, sh->n, sh->by);
	return h % (uint64_t)sh->total == (uint64_t)sh->index;
}

/* For Thanos' queriers; ours, who alone want lanes, compare bytes. */
static void fill_hashes(const struct series_in *s)
{
	for (size_t i = 0; i < s->n; i++) {
		struct chunk_view *c = &s->chunks[i];
		c->hash = hash_xx64(c->part[AGGR_RAW].p, c->part[AGGR_RAW].n, 0);
	}
}

static int answer_next(struct series_set *base, struct ctx *ctx,
		       const struct series_in **out, struct err *e)
{
	struct answer *a = CONTAINER_OF(base, struct answer, base);
	int rc = 0;
	while (a->in && (rc = series_set_next(a->in, ctx, out, e)) > 0)
		if (in_shard(&a->req->shard, (*out)->labels))
			break;
	if (rc > 0 && !a->req->want_lanes)
		fill_hashes(*out);
	return rc;
}

static void answer_close(struct series_set *base)
{
	struct answer *a = CONTAINER_OF(base, struct answer, base);
	series_set_close(a->in);
	prom_plan_free(&a->plan);
	prom_state_put(a->state);
	arena_deinit(&a->arena);
	free(a);
}

static int by_labels(const void *x, const void *y, void *arg)
{
	(void)arg;
	return labels_cmp(*(const struct labels *)x, *(const struct labels *)y);
}

/* Label sets without chunks, from the series API: sorted here, external labels not among them. */
static int open_list(struct answer *a, struct prom_store *p, struct ctx *ctx,
		     struct series_set **out, struct err *e)
{
	const struct prom_selection sel = { .mint_ms = a->read.mint_ms,
					    .maxt_ms = a->read.maxt_ms,
					    .matchers = a->read.matchers,
					    .n_matchers = a->read.n_matchers,
					    .limit = a->req->limit };
	struct labels *ls;
	size_t n;
	if (prom_series_list(p, ctx, &a->arena, &sel, &ls, &n, e) < 0)
		return -1;
	if (n > 1)
		vec_sort(ls, n, sizeof(*ls), by_labels, NULL);
	struct series_in *v = arena_try(&a->arena, ctx, n * sizeof(*v) + 1, e);
	if (!v)
		return -1;
	for (size_t i = 0; i < n; i++)
		v[i] = (struct series_in){ .labels = ls[i] };
	*out = series_set_of(v, n);
	return 0;
}

static bool any_own(const struct prom_state *s, const struct str *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (prom_has_name(s, names[i]))
			return true;
	return false;
}

/* ---- one block ---- */

struct block_leg {
	struct series_set base;
	struct prom_store *p;
	struct series_set *in;
	char id[27];
};

static bool is_of_block(const struct err *e)
{
	return e->code == E_CORRUPT || e->code == E_IO || e->code == E_UNSUPPORTED;
}

static int block_failed(struct prom_store *p, const char *id, const struct err *e)
{
	if (is_of_block(e))
		prom_blocks_failed(p->blocks, id, e);
	return -1;
}

static int block_leg_next(struct series_set *s, struct ctx *ctx,
			  const struct series_in **out, struct err *e)
{
	struct block_leg *l = CONTAINER_OF(s, struct block_leg, base);
	int rc = series_set_next(l->in, ctx, out, e);
	if (rc < 0)
		return block_failed(l->p, l->id, e);
	return rc;
}

static void block_leg_close(struct series_set *s)
{
	struct block_leg *l = CONTAINER_OF(s, struct block_leg, base);
	series_set_close(l->in);
	free(l);
}

static int open_block(struct answer *a, struct prom_store *p, struct block *b,
		      struct ctx *ctx, struct series_set **out, struct err *e)
{
	static const struct series_set_ops ops = { block_leg_next, block_leg_close };
	struct series_set *in;
	if (block_series(b, ctx, &a->block, &in, e) < 0)
		return block_failed(p, b->id, e);
	struct block_leg *l = xcalloc(1, sizeof(*l));
	l->base.ops = &ops;
	l->p = p;
	l->in = in;
	memcpy(l->id, b->id, sizeof(l->id));
	metric_inc(p->from_blocks);
	*out = &l->base;
	return 0;
}

/* Batches of many blocks at once are smaller, so that their sum stays about the same. */
static uint32_t batch_of(size_t blocks)
{
	return blocks <= FULL_BLOCKS
		       ? 0
		       : (uint32_t)MAX((size_t)BATCH_LEAST, BATCH_ALL_SERIES / blocks);
}

/* ---- all legs ---- */

static int open_remote(struct answer *a, struct prom_store *p, struct ctx *ctx,
		       const struct prom_read_req *r, struct labels add,
		       struct series_set **out, struct err *e)
{
	const struct store_series_req *req = a->req;
	bool strip = req->n_without && r->n_refuse == 0;
	struct series_set *in;
	int rc;
	if (req->skip_chunks) {
		rc = open_list(a, p, ctx, &in, e);
	} else {
		rc = prom_read(p, ctx, r, &in, e);
		metric_inc(p->from_remote);
	}
	if (rc == 0 && strip)
		rc = strip_open(ctx, in, req->without_replica_labels, req->n_without, &in,
				e);
	return rc < 0 ? -1 : relabel_open(ctx, in, add, out, e);
}

static void close_legs(struct series_set **legs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		series_set_close(legs[i]);
}

/* Remote reads first: they are under way while blocks are opened. 1: a block failed, the times are to be planned anew. */
static int open_legs(struct answer *a, struct prom_store *p, struct ctx *ctx,
		     struct labels add, struct err *e)
{
	const struct prom_plan *plan = &a->plan;
	struct series_set **legs =
		arena_try(&a->arena, ctx,
			  (PROM_SPANS + plan->n_blocks) * sizeof(struct series_set *), e);
	size_t n = 0;
	bool again = false;
	if (!legs)
		return -1;
	for (size_t i = 0; i < plan->n_remote; i++, n++) {
		a->span[i] = a->read;
		a->span[i].mint_ms = plan->remote[i].mint_ms;
		a->span[i].maxt_ms = plan->remote[i].maxt_ms;
		if (open_remote(a, p, ctx, &a->span[i], add, &legs[n], e) < 0)
			goto fail;
	}
	a->block = (struct block_series_req){
		.mint_ms = plan->mint_ms,
		.maxt_ms = plan->maxt_ms,
		.matchers = a->read.matchers,
		.n_matchers = a->read.n_matchers,
		.external = add,
		.without = a->req->without_replica_labels,
		.n_without = a->req->n_without,
		.shard = { a->req->shard.index, a->req->shard.total, a->req->shard.by,
			   a->req->shard.labels, a->req->shard.n },
		.trim = true,
		.batch = batch_of(plan->n_blocks),
	};
	for (size_t i = 0; i < plan->n_blocks; i++, n++)
		if (open_block(a, p, plan->block[i], ctx, &legs[n], e) < 0) {
			again = is_of_block(e);
			goto fail;
		}
	if (n == 1) {
		a->in = legs[0];
		return 0;
	}
	/* The merge takes the legs over, also if it fails. */
	return n ? merge_open(ctx, legs, n, NULL, &a->in, e) : 0;
fail:
	close_legs(legs, n);
	return again ? 1 : -1;
}

static int open_chain(struct answer *a, struct prom_store *p, struct ctx *ctx,
		      struct err *e)
{
	const struct store_series_req *req = a->req;
	struct labels ext = a->state->labels;
	struct label *l = ARENA_ARRAY(&a->arena, struct label, ext.n + 1);
	a->read.external = ext;
	if (!req->skip_chunks &&
	    !any_own(a->state, req->without_replica_labels, req->n_without)) {
		a->read.refuse = req->without_replica_labels;
		a->read.n_refuse = req->n_without;
	}
	struct labels add =
		labels_drop(l, ext, req->without_replica_labels, req->n_without);
	for (;;) {
		struct err why = ERR_INIT;
		a->plan.remote[0] =
			(struct prom_span){ a->read.mint_ms, a->read.maxt_ms };
		a->plan.n_remote = 1;
		if (p->blocks && !req->skip_chunks &&
		    prom_blocks_plan(p->blocks, ctx, &a->arena, a->read.mint_ms,
				     a->read.maxt_ms, &a->plan, e) < 0)
			return -1;
		int rc = open_legs(a, p, ctx, add, &why);
		if (rc <= 0)
			return rc < 0 ? err_copy(ctx, e, &why) : 0;
		prom_plan_free(&a->plan); /* one block less the next time */
	}
}

int prom_series(struct store *s, struct ctx *ctx, const struct store_series_req *req,
		struct series_set **out, struct err *e)
{
	static const struct series_set_ops ops = { answer_next, answer_close };
	struct prom_store *p = CONTAINER_OF(s, struct prom_store, base);
	struct answer *a = xcalloc(1, sizeof(*a));
	struct matcher *m;
	int rc = -1;
	a->base.ops = &ops;
	a->req = req;
	arena_init(&a->arena, ctx->budget);
	if (prom_state_need(p, ctx, &a->state, e) < 0)
		goto fail;
	if (prom_match_external(&a->arena, a->state->labels, req->matchers,
				req->n_matchers, &m, &a->read.n_matchers)) {
		a->read.matchers = m;
		a->read.mint_ms = MAX(req->mint_ms, prom_mint(p, a->state));
		a->read.maxt_ms = req->maxt_ms;
		if (a->read.n_matchers == 0) {
			err_set(ctx, e, E_INVALID,
				"no matchers specified (excluding external labels)");
			goto fail;
		}
		if (a->read.mint_ms <= a->read.maxt_ms)
			rc = open_chain(a, p, ctx, e);
		else
			rc = 0;
		if (rc < 0)
			goto fail;
	}
	*out = &a->base;
	return 0;
fail:
	answer_close(&a->base);
	return -1;
}
