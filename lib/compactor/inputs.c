/*
 * compactor/inputs.c - the parts of blocks in the bucket, opened for reading in place: nothing is downloaded first.
 */
#include "compactor/compactor_int.h"

#include <stdio.h>
#include <stdlib.h>

#define TOMBSTONES_BYTES ((size_t)256 << 20)

struct opening {
	struct compactor *c;
	struct ctx *ctx;
	const struct plan *p;
	struct block_source *v;
	struct range_source ***segment; /* v[i].segment, to be filled */
	_Atomic size_t bad;
};

static size_t count_segments(const struct gblock *b)
{
	size_t n = 0;
	if (b->meta.thanos.n_segment_files || !b->known)
		return b->meta.thanos.n_segment_files;
	for (size_t i = 0; i < b->known->n_objects; i++)
		n += str_has_prefix(b->known->object[i].rel, STR("chunks/"));
	return n;
}

static int open_part(struct opening *o, const char *id, const char *rel,
		     struct range_source **out, struct err *e)
{
	char name[64];
	int n = snprintf(name, sizeof(name), "%s/%s", id, rel);
	return bucket_open(o->c->o.bucket, o->ctx, str_n(name, (size_t)n), out, e);
}

static int open_tombstones(struct opening *o, const char *id, struct block_source *out,
			   struct err *e)
{
	char name[64];
	struct buf raw;
	int n = snprintf(name, sizeof(name), "%s/tombstones", id);
	buf_init(&raw, TOMBSTONES_BYTES);
	int rc = bucket_get(o->c->o.bucket, o->ctx, str_n(name, (size_t)n),
			    TOMBSTONES_BYTES, &raw, e);
	if (rc == 0)
		rc = tombstones_parse(o->ctx, buf_view(&raw), &out->tombstones, e);
	buf_deinit(&raw);
	return rc;
}

static int open_one(void *arg, size_t i, struct err *e)
{
	struct opening *o = arg;
	const struct gblock *b = CONTAINER_OF(o->p->block[i], struct gblock, pb);
	struct block_source *s = &o->v[i];
	char id[27], rel[32];
	ulid_format(&b->meta.ulid, id);
	int rc = open_part(o, id, "index", &s->index, e);
	for (size_t k = 0; rc == 0 && k < s->n_segments; k++) {
		snprintf(rel, sizeof(rel), "chunks/%06zu", k + 1);
		rc = open_part(o, id, rel, &o->segment[i][k], e);
	}
	if (rc == 0 && b->known && known_object(b->known, STR("tombstones")))
		rc = open_tombstones(o, id, s, e);
	if (rc == 0)
		return 0;
	size_t none = SIZE_MAX;
	atomic_compare_exchange_strong(&o->bad, &none, i);
	return err_wrap(o->ctx, e, "block %s", id);
}

int inputs_open(struct compactor *c, struct ctx *ctx, struct arena *a,
		const struct plan *p, struct inputs *out, size_t *bad, struct err *e)
{
	struct opening o = { .c = c, .ctx = ctx, .p = p, .bad = SIZE_MAX };
	o.v = ARENA_ARRAY(a, struct block_source, p->n + 1);
	o.segment = ARENA_ARRAY(a, struct range_source **, p->n + 1);
	for (size_t i = 0; i < p->n; i++) {
		const struct gblock *b = CONTAINER_OF(p->block[i], struct gblock, pb);
		o.v[i].meta = &b->meta;
		o.v[i].n_segments = count_segments(b);
		o.segment[i] =
			ARENA_ARRAY(a, struct range_source *, o.v[i].n_segments + 1);
		o.v[i].segment = o.segment[i];
	}
	*out = (struct inputs){ o.v, p->n };
	int rc = each_of(c->o.pool, c->o.blocks_fetch_concurrency, p->n, open_one, &o,
			 false, e);
	*bad = o.bad;
	if (rc < 0)
		inputs_close(out);
	return rc;
}

void inputs_close(struct inputs *in)
{
	for (size_t i = 0; i < in->n; i++) {
		struct block_source *s = &in->v[i];
		range_source_unref(s->index);
		for (size_t k = 0; k < s->n_segments; k++)
			range_source_unref(s->segment[k]);
		tombstones_free(s->tombstones);
	}
	in->n = 0;
}
