/*
 * blocks/ship_overlap.c - may a compacted block go up? Only where the bucket has nothing with the same
 * labels yet: its samples are likely there already as the blocks it was compacted from, and Thanos' compactor
 * stops at overlaps. Plain blocks need no such question, they are cut from the head one after another.
 *
 * The bucket's metas are read once a sync, and only if there is a block to ask for.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/vec.h"
#include "blocks/blocks_int.h"

void ship_overlap_init(struct ship_overlap *o, struct bucket *b)
{
	*o = (struct ship_overlap){ .bucket = b };
}

void ship_overlap_deinit(struct ship_overlap *o)
{
	free(o->v);
}

void ship_overlap_add(struct ship_overlap *o, const struct block_meta *m)
{
	if (!o->loaded)
		return; /* the listing will show it */
	if (o->n == o->cap)
		o->v = vec_grow(o->v, &o->cap, o->n + 1, sizeof(*o->v));
	o->v[o->n++] = (struct overlap_range){ m->ulid, m->mint_ms, m->maxt_ms };
}

struct ids {
	struct ulid *v;
	size_t n, cap;
};

static int add_id(void *arg, struct str name, const struct bucket_attrs *a,
		  struct err *e UNUSED)
{
	struct ids *ids = arg;
	struct ulid id;
	struct str rest;
	if (a || !blocks_split_name(name, &id, &rest) || rest.n)
		return 0;
	if (ids->n == ids->cap)
		ids->v = vec_grow(ids->v, &ids->cap, ids->n + 1, sizeof(*ids->v));
	ids->v[ids->n++] = id;
	return 0;
}

/* A block without meta.json or with a damaged one is no obstacle: nobody can read it. */
static int load_one(struct ship_overlap *o, struct ctx *ctx, struct labels labels,
		    const struct ulid *id, struct err *e)
{
	struct arena a;
	struct buf raw;
	struct block_meta m;
	struct err why = ERR_INIT;
	char name[27 + 16], text[27];
	ulid_format(id, text);
	int n = snprintf(name, sizeof(name), "%s/" BLOCKS_META_NAME, text);
	arena_init(&a, NULL);
	buf_init(&raw, LIMIT_META_BYTES);
	int rc = bucket_get(o->bucket, ctx, str_n(name, (size_t)n), LIMIT_META_BYTES,
			    &raw, &why);
	if (rc < 0 && why.code == E_NOT_FOUND) {
		rc = 0;
	} else if (rc < 0) {
		*e = why;
	} else if (block_meta_parse(ctx, &a, buf_view(&raw), &m, &why) < 0) {
		log_warn(ctx, "block %s of the bucket: meta.json: %s", text,
			 err_text(&why));
	} else if (labels_eq(m.thanos.labels, labels)) {
		m.ulid = *id;
		ship_overlap_add(o, &m);
	}
	buf_deinit(&raw);
	arena_deinit(&a);
	return rc;
}

static int load(struct ship_overlap *o, struct ctx *ctx, struct labels labels,
		struct err *e)
{
	struct ids ids = { 0 };
	int rc = bucket_iter(o->bucket, ctx, STR(""), false, add_id, &ids, e);
	o->loaded = rc == 0;
	for (size_t i = 0; rc == 0 && i < ids.n; i++)
		rc = load_one(o, ctx, labels, &ids.v[i], e);
	free(ids.v);
	if (rc < 0) {
		o->loaded = false;
		o->n = 0;
	}
	return rc;
}

int ship_overlap_check(struct ship_overlap *o, struct ctx *ctx, struct labels labels,
		       const struct block_meta *m, struct err *e)
{
	if (!o->loaded && load(o, ctx, labels, e) < 0)
		return err_wrap(ctx, e, "overlap check");
	for (size_t i = 0; i < o->n; i++) {
		const struct overlap_range *r = &o->v[i];
		char id[27];
		if (r->mint_ms >= m->maxt_ms || m->mint_ms >= r->maxt_ms ||
		    ulid_cmp(&r->id, &m->ulid) == 0)
			continue;
		ulid_format(&r->id, id);
		return err_set(ctx, e, E_EXISTS,
			       "compacted block overlaps block %s of the bucket "
			       "(%lld to %lld)",
			       id, (long long)r->mint_ms, (long long)r->maxt_ms);
	}
	return 0;
}
