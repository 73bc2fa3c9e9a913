/*
 * blocks/dedup.c - which blocks say nothing that another one does not say.
 *
 * Compaction leaves its inputs in the bucket for a while. A block's `sources` are the level-1 blocks that
 * its samples came from; if all of them are sources of one other block with the same external labels
 * and resolution, the block is redundant. Blocks are taken in the order of falling number of sources, then
 * of ULID, so that of equal ones the older stays (as Thanos decides), and each kept block is entered
 * under all its sources: only those that share the first source of a candidate need comparing.
 */
#include <stdlib.h>

#include "base/hash.h"
#include "base/map.h"
#include "base/vec.h"
#include "blocks/blocks_int.h"

struct kept { /* a kept block under one of its sources */
	const struct block_meta *meta;
	struct kept *next;
};

struct candidate {
	const struct block_meta *meta;
	size_t at;
};

static int by_sources(const void *a, const void *b, void *arg UNUSED)
{
	const struct block_meta *x = ((const struct candidate *)a)->meta;
	const struct block_meta *y = ((const struct candidate *)b)->meta;
	size_t n = x->compaction.n_sources, m = y->compaction.n_sources;
	if (n != m)
		return n > m ? -1 : 1;
	return ulid_cmp(&x->ulid, &y->ulid);
}

static bool has_source(const struct block_meta *m, const struct ulid *id)
{
	for (size_t i = 0; i < m->compaction.n_sources; i++)
		if (ulid_cmp(&m->compaction.sources[i], id) == 0)
			return true;
	return false;
}

static bool covers(const struct block_meta *big, const struct block_meta *small)
{
	if (big->thanos.resolution_ms != small->thanos.resolution_ms ||
	    !labels_eq(big->thanos.labels, small->thanos.labels))
		return false;
	for (size_t i = 0; i < small->compaction.n_sources; i++)
		if (!has_source(big, &small->compaction.sources[i]))
			return false;
	return true;
}

static struct str key_of(const struct ulid *id)
{
	return str_n(id->b, sizeof(id->b));
}

static bool is_covered(const struct map *by_source, const struct block_meta *m)
{
	if (m->compaction.n_sources == 0)
		return false;
	const struct kept *k = map_get(by_source, key_of(&m->compaction.sources[0]));
	for (; k; k = k->next)
		if (covers(k->meta, m))
			return true;
	return false;
}

void blocks_dedup(const struct block_meta *const *v, const bool *whole, size_t n,
		  bool *drop)
{
	struct candidate *c = xreallocarray(NULL, n + 1, sizeof(*c));
	struct arena a;
	struct map by_source;
	arena_init(&a, NULL);
	map_init(&by_source);
	for (size_t i = 0; i < n; i++)
		c[i] = (struct candidate){ v[i], i };
	if (n > 1)
		vec_sort(c, n, sizeof(*c), by_sources, NULL);
	for (size_t i = 0; i < n; i++) {
		const struct block_meta *m = c[i].meta;
		drop[c[i].at] = is_covered(&by_source, m);
		if (drop[c[i].at] || (whole && !whole[c[i].at]))
			continue;
		for (size_t j = 0; j < m->compaction.n_sources; j++) {
			struct kept *k = ARENA_NEW(&a, struct kept);
			struct str key = key_of(&m->compaction.sources[j]);
			k->meta = m;
			k->next = map_get(&by_source, key);
			map_set(&by_source, key, k);
		}
	}
	map_deinit(&by_source);
	arena_deinit(&a);
	free(c);
}
