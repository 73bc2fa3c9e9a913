/*
 * test/unit/compactor/world.h - a bucket of small pretended blocks, and a pretended compaction over them.
 *
 * A block's index holds one line a sample, sorted: "labels time". Compaction is the sorted union of the inputs' lines,
 * downsampling keeps them, so that "nothing was lost, nothing is there twice" is a comparison of sets. A line that begins
 * with "BAD " makes the work fail as real damage would; see fake.c.
 */
#ifndef TEST_UNIT_COMPACTOR_WORLD_H
#define TEST_UNIT_COMPACTOR_WORLD_H

#include "blocks/metas.h"
#include "compactor/compactor.h"
#include "fs/fs.h"
#include "support/tst.h"

#define HOUR_MS ((int64_t)3600000)

struct world {
	struct ctx ctx;
	char dir[64];
	char data[80];
	struct bucket *bucket;
	struct metric_registry *metrics;
	struct compactor_opts o; /* as compactor_new gets them; now_ms is the world's */
	int64_t t0_ms;		 /* the beginning of a 14 d window, some windows ago */
	int64_t shift_ms; /* the compactor's clock is ahead of the real one by this */
	uint32_t next;
};
void world_begin(struct world *w);
void world_end(struct world *w);

struct block_spec {
	int from_h, to_h;   /* hours from t0 */
	const char *labels; /* JSON members: "\"a\":\"1\"" */
	int64_t res_ms;
	int level;
	const char *extra; /* a line more in the index, or NULL */
	uint64_t tombstones;
	const char *source; /* NULL: sidecar */
};
/* Put a block; its id. One sample an hour; index_bytes: as the block's files say. */
struct ulid world_block(struct world *w, struct block_spec s);
/* n blocks of 2 h from hour from_h on. */
void world_blocks(struct world *w, const char *labels, int from_h, int n);
void world_put(struct world *w, const char *name, const char *text);
void world_mark(struct world *w, enum mark_kind k, const struct ulid *id,
		int64_t time_ms);
bool world_has_mark(struct world *w, enum mark_kind k, const struct ulid *id);
bool world_has(struct world *w, const char *name);

/* One iteration of a new compactor; *r and *e are reset first. */
int world_iterate(struct world *w, struct compactor_report *r, struct err *e);
/* Blocks not marked for deletion, by time: "labels res from-to level; " with hours from t0; in `a`. */
const char *world_show(struct world *w, struct arena *a);
/* The lines of all these blocks, raw ones only, sorted; each must be there once (over all of one label set). */
const char *world_lines(struct world *w, struct arena *a);
/* The same of what a store shows now: marked blocks, too, but none that another covers. */
const char *world_served(struct world *w, struct arena *a);
/* Every meta.json has all its files with their sizes. */
void world_check_whole(struct world *w);
double world_metric(struct world *w,
		    const char *line); /* "name{...}" -> its value; NAN: not there */

extern const struct compactor_work fake_work;
/* The next n calls of the work fail with this code (before anything is written). */
void fake_fail(uint32_t n, enum err_code code);
void fake_need_disk(uint64_t bytes); /* what disk_bound says from now on */
uint32_t fake_calls(void);

#endif
