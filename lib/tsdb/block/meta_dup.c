/*
 * tsdb/block/meta_dup.c - a deep copy of a block's meta: it outlives the catalogue it came from.
 */
#include "tsdb/block/block.h"

struct copier {
	struct arena *a;
	struct ctx *ctx;
	struct err *e;
	bool failed; /* sticky */
};

static void *copy(struct copier *c, const void *p, size_t bytes)
{
	void *q;

	if (c->failed || bytes == 0)
		return NULL;
	q = arena_try(c->a, c->ctx, bytes, c->e);
	if (!q) {
		c->failed = true;
		return NULL;
	}
	return memcpy(q, p, bytes);
}

static void copy_text(struct copier *c, struct str *s)
{
	s->p = copy(c, s->p, s->n);
	if (c->failed)
		*s = STR_NULL;
}

static struct str *copy_texts(struct copier *c, const struct str *v, size_t n)
{
	struct str *w = copy(c, v, n * sizeof(*v));

	for (size_t i = 0; w && i < n; i++)
		copy_text(c, &w[i]);
	return w;
}

int block_meta_dup(struct ctx *ctx, struct arena *a, const struct block_meta *m,
		   struct block_meta *out, struct err *e)
{
	struct copier c = { .a = a, .ctx = ctx, .e = e };
	struct block_meta d = *m;

	d.compaction.sources = copy(&c, m->compaction.sources,
				    m->compaction.n_sources * sizeof(struct ulid));
	d.compaction.parents =
		copy(&c, m->compaction.parents,
		     m->compaction.n_parents * sizeof(struct block_parent));
	d.compaction.hints = copy_texts(&c, m->compaction.hints, m->compaction.n_hints);
	d.thanos.segment_files =
		copy_texts(&c, m->thanos.segment_files, m->thanos.n_segment_files);
	d.thanos.files =
		copy(&c, m->thanos.files, m->thanos.n_files * sizeof(struct block_file));
	for (size_t i = 0; d.thanos.files && i < d.thanos.n_files; i++) {
		copy_text(&c, &d.thanos.files[i].rel_path);
		copy_text(&c, &d.thanos.files[i].hash_func);
		copy_text(&c, &d.thanos.files[i].hash);
	}
	copy_text(&c, &d.thanos.source);
	copy_text(&c, &d.thanos.extensions);
	copy_text(&c, &d.thanos.rewrites);
	copy_text(&c, &d.thanos.upload_time);
	if (c.failed || labels_try_dup(a, ctx, m->thanos.labels, &d.thanos.labels, e) < 0)
		return -1;
	*out = d;
	return 0;
}
