/*
 * What tests of the block writer share: a folder of their own, and blocks written again from what our reader shows.
 */
#ifndef TEST_TSDB_WRITE_WORLD_H
#define TEST_TSDB_WRITE_WORLD_H

#include "fs/fs.h"
#include "tsdb/write/write_int.h"

#define GOLDEN	  "test/golden/blocks"
#define COMPACTED "test/golden/compacted"

struct world {
	struct ctx ctx;
	struct arena a;
	struct err e;
	char dir[64]; /* made; removed by world_end */
};
void world_begin(struct world *w);
void world_end(struct world *w);
struct str world_read(struct world *w, const char *path); /* a whole file, in w->a */
const char *world_path(struct world *w, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Names in w->dir. */
struct fs_names world_names(struct world *w);
struct ulid world_ulid(const char *id);

/* A block's series as they stand in its index, all at once. */
struct copy {
	struct block *block;
	size_t n;
	struct copy_series {
		const uint32_t *label;
		size_t n_labels;
		struct chunk_view *chunk;
		size_t n_chunks;
	} * series;
	struct view *pin;
	size_t n_pins;
};
void copy_open(struct world *w, const char *dir, struct copy *out);
void copy_close(struct copy *c);
/* Write it with these options; w->e says why not. */
int copy_write(struct world *w, const struct copy *c, const struct block_writer_opts *o,
	       struct block_meta *meta, bool keep_stats,
	       struct block_writer_stats *stats);
int copy_write_within(struct world *w, const struct copy *c,
		      const struct block_writer_opts *o, const struct write_limits *l,
		      struct block_meta *meta, bool keep_stats,
		      struct block_writer_stats *stats);
/* Asserts that both show the same symbols, labels and chunks. */
void copy_compare(const struct copy *a, const struct copy *b);

#endif
