/*
 * tsdb/block/cut.c - samples under tombstones are not shown.
 *
 * A chunk wholly under one range is not even read, a chunk no range touches is shown as it is; only
 * a chunk that a range cuts is decoded, and what is left is encoded anew, in the same encoding.
 * Histograms may need several chunks: where the encoder asks for a new one, it gets it.
 * Aggregates of downsampled blocks are never cut: deletions are applied before a block is downsampled,
 * and no tool writes tombstones into one.
 */
#include "tsdb/block/block_int.h"

enum block_cut block_cut_kind(const struct tombstone_range *r, size_t n, int64_t mint_ms,
			      int64_t maxt_ms)
{
	for (size_t i = 0; i < n && r[i].mint_ms <= maxt_ms; i++) {
		if (r[i].mint_ms <= mint_ms && r[i].maxt_ms >= maxt_ms)
			return CUT_ALL;
		if (r[i].maxt_ms >= mint_ms)
			return CUT_PART;
	}
	return CUT_NONE;
}

int block_views_add(struct block_views *l, struct ctx *ctx, struct arena *a,
		    const struct chunk_view *c, struct err *e)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 8;
		struct chunk_view *v = arena_try(a, ctx, cap * sizeof(*v), e);
		if (!v)
			return -1;
		if (l->n)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *c;
	return 0;
}

struct cutting {
	struct ctx *ctx;
	struct arena *a;
	const struct chunk_view *c;
	const struct tombstone_range *r;
	size_t n, at; /* ranges, and the first that may still matter */
	struct chunk_encoder *enc;
	int64_t mint_ms, maxt_ms; /* of what is in the encoder */
	bool any;
	struct block_views *out;
};

static bool deleted(struct cutting *k, int64_t t_ms)
{
	while (k->at < k->n && k->r[k->at].maxt_ms < t_ms)
		k->at++;
	return k->at < k->n && k->r[k->at].mint_ms <= t_ms;
}

/* What the encoder holds becomes a chunk. */
static int flush(struct cutting *k, struct err *e)
{
	struct chunk_view v = { .mint_ms = k->mint_ms,
				.maxt_ms = k->maxt_ms,
				.lane = k->c->lane };

	if (!k->any)
		return 0;
	struct chunk_part part = chunk_encoder_part(k->enc);
	uint8_t *p = arena_try(k->a, k->ctx, part.n + 1, e);
	if (!p)
		return -1;
	memcpy(p, part.p, part.n);
	part.p = p;
	v.part[AGGR_RAW] = part;
	k->any = false;
	return block_views_add(k->out, k->ctx, k->a, &v, e);
}

static int put_sample(struct cutting *k, const struct columns *col, size_t i,
		      struct err *e)
{
	enum chunk_enc enc = (enum chunk_enc)k->c->part[AGGR_RAW].enc;
	int64_t t = col->t_ms[i];
	int rc;

	if (!k->any)
		chunk_encoder_begin(k->enc, enc);
	if (col->v)
		rc = chunk_encoder_float(k->enc, t, col->v[i], e);
	else
		rc = chunk_encoder_hist(k->enc, t, col->h[i], e);
	if (rc == 1) {
		if (flush(k, e) < 0)
			return -1;
		chunk_encoder_begin(k->enc, enc);
		rc = chunk_encoder_hist(k->enc, t, col->h[i], e);
		BUG_ON(rc == 1);
	}
	if (rc < 0)
		return -1;
	if (!k->any)
		k->mint_ms = t;
	k->maxt_ms = t;
	k->any = true;
	return 0;
}

static int cut_raw(struct cutting *k, struct err *e)
{
	struct chunk_decoder *d = chunk_decoder_new(k->a);
	struct columns col;
	int rc;

	if (chunk_decoder_reset(d, k->c->part[AGGR_RAW], e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(d, &col, e)) > 0)
		for (size_t i = 0; i < col.n; i++)
			if (!deleted(k, col.t_ms[i]) && put_sample(k, &col, i, e) < 0)
				return -1;
	return rc < 0 ? -1 : flush(k, e);
}

int block_cut(struct ctx *ctx, struct arena *a, const struct chunk_view *c,
	      const struct tombstone_range *r, size_t n, struct block_views *out,
	      struct err *e)
{
	struct cutting k = { .ctx = ctx, .a = a, .c = c, .r = r, .n = n, .out = out };
	int rc;

	if (!c->part[AGGR_RAW].p)
		return block_views_add(out, ctx, a, c, e);
	k.enc = chunk_encoder_new();
	rc = cut_raw(&k, e);
	chunk_encoder_free(k.enc);
	return rc;
}
