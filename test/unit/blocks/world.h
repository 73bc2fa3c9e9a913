/*
 * test/unit/blocks/world.h - a TSDB folder made of golden blocks, and looks at buckets.
 */
#ifndef TEST_UNIT_BLOCKS_WORLD_H
#define TEST_UNIT_BLOCKS_WORLD_H

#include "blocks/blocks.h"
#include "fs/fs.h"
#include "support/tst.h"

#define GOLDEN "test/golden/blocks/bucket"

/* Two golden blocks; the shipper takes HIST first, and OOO second where it is given level 2. */
#define WORLD_HIST "01M81YVCHCC17VDZ0DT7QR6H2J"
#define WORLD_OOO  "01M81YVCNRNMYNP70R7FRKH4F0"

struct world {
	struct ctx ctx;
	char dir[64]; /* temporary; tsdb/ and bucket/ in it */
	char tsdb[80], bucket_dir[80];
};
void world_begin(struct world *w);
void world_end(struct world *w);
/* Copy a golden block (folder `from`) to tsdb/ as Prometheus left it: no Thanos section. level 0: as is. */
void world_add_block(struct world *w, const char *from, const char *id, int level);
/* Copy a golden block to a bucket as it is. */
void world_put_block(struct world *w, struct bucket *b, const char *from, const char *id);
void world_put(struct world *w, struct bucket *b, const char *name, const char *text);
/* A file's content, in the arena. */
struct str world_read(struct world *w, struct arena *a, const char *path);
/* Names in the bucket, each followed by a blank; in the arena. */
const char *world_names(struct world *w, struct arena *a, struct bucket *b);
/* Every block with a meta.json has all its files, in full; returns how many there are. */
size_t world_check_whole(struct world *w, struct bucket *b);

/* One pass of a new shipper from tsdb/ to the bucket, compacted blocks too; *e is reset first. */
MUST_CHECK int world_ship(struct world *w, struct bucket *b, uint32_t *n, struct err *e);
/* HIST and OOO are in the bucket, in full, and nothing else; thanos.shipper.json names both. */
void world_check_shipped(struct world *w, struct bucket *b);

#endif
