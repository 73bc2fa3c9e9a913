/*
 * Blocks made for tests: by the writer from samples, from another block with its times moved, or byte by byte where
 * the writer would refuse.
 */
#ifndef TEST_COMPACT_MADE_H
#define TEST_COMPACT_MADE_H

#include "unit/compact/world.h"

/* ---- from samples ---- */
struct made_chunk {
	size_t n;
	int64_t t[160];
	double v[160];
};
struct made_series {
	struct str value; /* of label "s" */
	struct made_chunk *chunk;
	size_t n;
};
/* Series ascending by value; the block becomes an input of w. */
void made_block(struct world *w, int64_t mint_ms, int64_t maxt_ms,
		const struct made_series *v, size_t n);
/* Every sample of the block in `dir` later by d ms, times of meta.json as they are; an input of w. */
void made_shifted(struct world *w, const char *dir, int64_t d);

/* ---- byte by byte ---- */
struct raw_chunk {
	int64_t mint_ms, maxt_ms; /* as the index says */
	struct made_chunk c;	  /* n = 0: the same as the one before, once more */
};
struct raw_series {
	uint32_t label[8]; /* ordinals: 0 "", 1 "a", 2 "b", 3 "x", 4 "y" */
	uint32_t n_labels;
	const struct raw_chunk *chunk;
	size_t n;
};
struct raw_block {
	size_t gap; /* bytes before each chunk in the segment */
	struct buf index, segment;
	struct block_meta meta;
	struct range_source *index_src, *segment_src;
};
void raw_make(struct world *w, struct raw_block *b, int64_t mint_ms, int64_t maxt_ms,
	      const struct raw_series *v, size_t n);
/* The same with `gap` bytes before each chunk. */
void raw_make_apart(struct world *w, struct raw_block *b, int64_t mint_ms,
		    int64_t maxt_ms, const struct raw_series *v, size_t n, size_t gap);
void raw_free(struct raw_block *b); /* after world_end */

#endif
