/*
 * compactor/snapshot_int.h - lists of snapshots, for snapshot.c and snapshot_list.c.
 */
#ifndef COMPACTOR_SNAPSHOT_INT_H
#define COMPACTOR_SNAPSHOT_INT_H

#include "compactor/compactor_int.h"

#define SNAPSHOT_DIR   "thanosc/snapshots"
#define SNAPSHOT_BYTES ((size_t)256 << 20)

struct snap_file {
	struct str rel;
	uint64_t size;
};
struct snap_block {
	struct ulid ulid;
	struct snap_file *file;
	size_t n_files;
};
struct snap { /* one list */
	struct str name;
	int64_t time_s;
	struct snap_block *block;
	size_t n;
};
bool snap_name_is_valid(struct str name);
/* All lists of a bucket, oldest first; one that is damaged is named in the log and left out. Memory in `a`. */
MUST_CHECK int snap_read_all(struct ctx *ctx, struct arena *a, struct bucket *b,
			     struct snap **out, size_t *n, struct err *e);
MUST_CHECK int snap_put(struct ctx *ctx, struct bucket *b, const struct snap *s,
			struct err *e);
MUST_CHECK int snap_delete(struct ctx *ctx, struct bucket *b, struct str name,
			   struct err *e);

#endif
