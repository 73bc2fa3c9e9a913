/*
 * A small index made in memory from label sets, for tests that need sets no golden block has.
 */
#ifndef TEST_TSDB_BLOCK_MAKE_INDEX_H
#define TEST_TSDB_BLOCK_MAKE_INDEX_H

#include "base/buf.h"
#include "model/labels.h"

/* Sets ascend and are distinct; each series has one chunk [i, i + 10]. Appends to out. */
void make_index(const struct labels *sets, size_t n, struct buf *out);
/* One series, and its chunks as they stand, in any order. */
struct idx_chunk;
void make_index_of(struct labels set, const struct idx_chunk *c, size_t n,
		   struct buf *out);

#endif
