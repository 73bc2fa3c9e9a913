/*
 * tsdb/block/cut.h - samples under tombstones, and outside of a time range, cut out of chunks.
 *
 * Thread  CPU.  Memory  of the arena given
 */
#ifndef TSDB_BLOCK_CUT_H
#define TSDB_BLOCK_CUT_H

#include "tsdb/block/block.h"
#include "tsdb/chunk/recode.h"

enum block_cut { CUT_NONE, CUT_PART, CUT_ALL };
enum block_cut block_cut_kind(const struct tombstone_range *r, size_t n, int64_t mint_ms,
			      int64_t maxt_ms);
/*
 * Ranges r[0, *n) and all that is outside [mint_ms, maxt_ms], merged and ascending as r is; memory of `a`.
 */
MUST_CHECK int block_cut_outside(struct ctx *ctx, struct arena *a, int64_t mint_ms,
				 int64_t maxt_ms, const struct tombstone_range **r,
				 size_t *n, struct err *e);
/* Chunks grown in an arena. */
struct block_views {
	struct chunk_view *v;
	size_t n, cap;
};
MUST_CHECK int block_views_add(struct block_views *l, struct ctx *ctx, struct arena *a,
			       const struct chunk_view *c, struct err *e);
/*
 * Encode anew, as `to`, what the ranges leave of one chunk: none, one or several chunks are added to `out`.
 * E_CORRUPT when the chunk cannot be decoded.
 */
MUST_CHECK int block_cut(struct ctx *ctx, struct arena *a, struct chunk_recoder *rec,
			 const struct chunk_view *c, enum chunk_enc to,
			 const struct tombstone_range *r, size_t n,
			 struct block_views *out, struct err *e);

#endif
