/*
 * tsdb/block/cut.c - samples under tombstones are not shown, nor encodings that clients do not know.
 *
 * A chunk wholly under one range is not even read, a chunk no range touches is shown as it is, if its encoding may be
 * shown; else it is decoded, and what is left is encoded anew.
 * What lies outside the asked time is, where a request wants it so, one more range on each side.
 * Aggregates of downsampled blocks are never cut: deletions are applied before a block is downsampled,
 * and no tool writes tombstones into one.
 */
#include "tsdb/block/cut.h"

#include "base/ctx.h"

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

int block_cut_outside(struct ctx *ctx, struct arena *a, int64_t mint_ms, int64_t maxt_ms,
		      const struct tombstone_range **r, size_t *n, struct err *e)
{
	struct tombstone_range *v = arena_try(a, ctx, (*n + 2) * sizeof(*v), e);
	size_t k = 0;

	if (!v)
		return -1;
	if (mint_ms != INT64_MIN)
		v[k++] = (struct tombstone_range){ INT64_MIN, mint_ms - 1 };
	for (size_t i = 0; i < *n; i++) {
		struct tombstone_range x = (*r)[i];
		if (x.maxt_ms < mint_ms || x.mint_ms > maxt_ms)
			continue;
		if (k && x.mint_ms <= mint_ms) /* the first may reach over the edge */
			v[k - 1].maxt_ms = x.maxt_ms;
		else
			v[k++] = x;
	}
	if (maxt_ms != INT64_MAX) {
		if (k && v[k - 1].maxt_ms >= maxt_ms)
			v[k - 1].maxt_ms = INT64_MAX;
		else
			v[k++] = (struct tombstone_range){ maxt_ms + 1, INT64_MAX };
	}
	*r = v;
	*n = k;
	return 0;
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
	struct block_views *out;
};

static bool kept(void *arg, int64_t t_ms)
{
	struct cutting *k = arg;

	while (k->at < k->n && k->r[k->at].maxt_ms < t_ms)
		k->at++;
	return k->at == k->n || k->r[k->at].mint_ms > t_ms;
}

static int add_chunk(void *arg, int64_t mint_ms, int64_t maxt_ms, struct chunk_part part,
		     struct err *e)
{
	struct cutting *k = arg;
	struct chunk_view v = { .mint_ms = mint_ms,
				.maxt_ms = maxt_ms,
				.lane = k->c->lane };
	uint8_t *p = arena_try(k->a, k->ctx, part.n + 1, e);

	if (!p)
		return -1;
	memcpy(p, part.p, part.n);
	part.p = p;
	v.part[AGGR_RAW] = part;
	return block_views_add(k->out, k->ctx, k->a, &v, e);
}

int block_cut(struct ctx *ctx, struct arena *a, struct chunk_recoder *rec,
	      const struct chunk_view *c, enum chunk_enc to,
	      const struct tombstone_range *r, size_t n, struct block_views *out,
	      struct err *e)
{
	static const struct chunk_recode_ops ops = { kept, add_chunk };
	struct cutting k = { .ctx = ctx, .a = a, .c = c, .r = r, .n = n, .out = out };

	if (!c->part[AGGR_RAW].p)
		return block_views_add(out, ctx, a, c, e);
	return chunk_recode(rec, c->part[AGGR_RAW], to, &ops, &k, e);
}
