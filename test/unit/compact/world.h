/*
 * What tests of compaction share: a folder of their own, sources of blocks on disk, and blocks compacted.
 */
#ifndef TEST_COMPACT_WORLD_H
#define TEST_COMPACT_WORLD_H

#include "compact/compact.h"
#include "fs/fs.h"
#include "tsdb/write/write.h"
#include "unit/tsdb_block/golden.h"

#define COMPACTED "test/golden/compacted"

struct world {
	struct fix f;
	char dir[64]; /* made; removed by world_end */
	struct block_source src[32];
	size_t n;
	struct compact_opts o;
	struct compact_result r;
	char out[128]; /* folder of the block made */
};
void world_begin(struct world *w);
void world_end(struct world *w);
void world_add(struct world *w, const char *dir); /* an input */
/* All inputs; options as in w->o. */
int world_compact(struct world *w);
void world_must_compact(struct world *w);
/* The body of the index' entry at ref, and what it says of its chunks (10 at most); `index` is the file. */
struct str world_entry(const struct buf *index, uint32_t ref, struct index_chunk *at);
/* Rows of the block made. */
void world_rows(struct world *w, struct rows *out);

#endif
