/*
 * compactor/group.c - blocks that may become one: equal resolution, equal labels.
 */
#include "compactor/compactor_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"

void compactor_groups_init(struct groups *g)
{
	*g = (struct groups){ 0 };
	arena_init(&g->arena, NULL);
	map_init(&g->by_key);
	map_init(&g->have[0]);
	map_init(&g->have[1]);
}

void compactor_groups_deinit(struct groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		arena_deinit(&g->v[i]->arena);
		free(g->v[i]->v);
		free(g->v[i]);
	}
	free(g->v);
	map_deinit(&g->by_key);
	map_deinit(&g->have[0]);
	map_deinit(&g->have[1]);
	arena_deinit(&g->arena);
}

/* Thanos' text: resolution, "@", xxhash64 of the labels. */
void group_key(const struct block_meta *m, char out[48])
{
	snprintf(out, 48, "%lld@%llu", (long long)m->thanos.resolution_ms,
		 (unsigned long long)labels_hash(m->thanos.labels));
}

struct str group_label(struct arena *a, const struct group *g)
{
	struct str ls = labels_str(a, g->labels);
	return str_fmt(a, "%s@%.*s", g->res, STR_FMT(ls));
}

struct group *compactor_group_of(struct groups *all, const struct block_meta *m)
{
	char key[48];
	group_key(m, key);
	struct group *g = map_get(&all->by_key, str_of(key));
	if (g)
		return g;
	g = xcalloc(1, sizeof(*g));
	memcpy(g->key, key, sizeof(key));
	snprintf(g->res, sizeof(g->res), "%lld", (long long)m->thanos.resolution_ms);
	g->labels = labels_dup(&all->arena, m->thanos.labels);
	g->resolution_ms = m->thanos.resolution_ms;
	arena_init(&g->arena, NULL);
	if (all->n == all->cap)
		all->v = vec_grow(all->v, &all->cap, all->n + 1, sizeof(*all->v));
	all->v[all->n++] = g;
	map_set(&all->by_key, str_of(g->key), g);
	return g;
}

static struct str source_key(const struct ulid *id)
{
	return str_n(id->b, sizeof(id->b));
}

void group_add(struct groups *all, struct group *g, struct gblock *b)
{
	b->pb.meta = &b->meta;
	for (size_t i = 0; g->resolution_ms && i < b->meta.compaction.n_sources; i++)
		map_set(&all->have[g->resolution_ms == RES_1H_MS],
			source_key(&b->meta.compaction.sources[i]), b);
	if (g->n == g->cap)
		g->v = vec_grow(g->v, &g->cap, g->n + 1, sizeof(*g->v));
	g->v[g->n++] = b;
	g->planned = false;
}

void group_remove(struct group *g, struct gblock *b)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->v[i] == b) {
			g->v[i] = g->v[--g->n];
			break;
		}
	g->planned = false;
}

static bool is_marked(const struct known *k, enum mark_kind kind)
{
	return k->mark[kind].ok;
}

/*
 * A compaction took it, and no block covers it: all its samples were deleted. It is not to be read again in the days that
 * it is left.
 */
static bool is_used_up(const struct fetched_block *b)
{
	return b->deletion_time_s &&
	       str_eq(b->known->mark[MARK_DELETION].details, STR(DETAILS_COMPACTED));
}

/* Blocks with other resolutions are nobody's: neither Thanos nor we know what they are. */
static bool is_resolution(int64_t ms)
{
	return ms == 0 || ms == RES_5M_MS || ms == RES_1H_MS;
}

int compactor_groups_fill(struct groups *all, struct ctx *ctx, const struct catalogue *c,
			  struct err *e)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct fetched_block *f = &c->block[i];
		const struct known_object *index = known_object(f->known, STR("index"));
		if (!is_resolution(f->meta.thanos.resolution_ms) || is_used_up(f))
			continue;
		struct gblock *b = arena_try(&all->arena, ctx, sizeof(*b), e);
		if (!b)
			return -1;
		*b = (struct gblock){ .meta = f->meta, .known = f->known };
		b->deletion_time_s = f->deletion_time_s;
		b->pb.bytes = f->known->bytes;
		b->pb.index_bytes = index ? index->attrs.size : 0;
		b->pb.excluded = is_marked(f->known, MARK_NO_COMPACT);
		b->no_downsample = is_marked(f->known, MARK_NO_DOWNSAMPLE);
		group_add(all, compactor_group_of(all, &b->meta), b);
	}
	return 0;
}

/* ---- downsampling: who needs it ---- */

int64_t downsample_to(const struct groups *all, const struct group *g, struct gblock *b)
{
	const struct block_meta *m = &b->meta;
	bool raw = g->resolution_ms == 0;
	int64_t range = raw ? DOWNSAMPLE_5M_RANGE : DOWNSAMPLE_1H_RANGE;
	if (b->down_known)
		return b->down_to_ms;
	b->down_known = true;
	b->down_to_ms = 0;
	if (g->resolution_ms == RES_1H_MS || b->no_downsample ||
	    m->maxt_ms - m->mint_ms < range)
		return 0;
	for (size_t i = 0; i < m->compaction.n_sources; i++)
		if (!map_get(&all->have[!raw], source_key(&m->compaction.sources[i])))
			b->down_to_ms = raw ? RES_5M_MS : RES_1H_MS;
	return b->down_to_ms;
}
