/*
 * Golden blocks for tests of downsampling: the chunks of each series in order.
 */
#ifndef TEST_DOWNSAMPLE_BLOCKS_H
#define TEST_DOWNSAMPLE_BLOCKS_H

#include "base/arena.h"
#include "model/chunk.h"

struct block_series {
	struct str labels;
	struct chunk_view *chunks;
	size_t n;
};
/* From <dir>/bucket/<id>/chunks/000001 and <dir>/expected/<id>.series.tsv; memory of `a`. The test aborts when one is missing. */
struct block_series *block_chunks(struct arena *a, const char *dir, const char *id,
				  size_t *n);

#endif
