/*
 * compactor/plan.h - which blocks of a group become one.
 *
 * Pure: blocks in, runs of blocks out. Thanos' planner (thanos.md §4.3), but all runs that may be compacted at the stage
 * that it would be at are told, its own choice first: they are disjoint and do not change each other, so that a scheduler
 * may take any of them, several one after the other.
 * Thread  CPU
 */
#ifndef COMPACTOR_PLAN_H
#define COMPACTOR_PLAN_H

#include "base/arena.h"
#include "tsdb/block/block.h"

struct plan_block {
	const struct block_meta *meta;
	uint64_t bytes, index_bytes; /* of its objects, of its index */
	bool excluded; /* not to be compacted: marked, or left out this time */
};
enum plan_kind { PLAN_OVERLAP, PLAN_RANGE, PLAN_TOMBSTONES };
struct plan {
	enum plan_kind kind;
	int64_t range_ms; /* of PLAN_RANGE */
	struct plan_block **block;
	size_t n;
	bool overlapping; /* two of its blocks share time */
};
/* The ranges of --debug.max-compaction-level: 1h, 2h, 8h, 48h, 336h. */
#define PLAN_MAX_RANGES 5
extern const int64_t plan_ranges_ms[PLAN_MAX_RANGES];

/* v[n] ascends by meta's mint (plan_sort). Returns how many plans there are; memory in `a`. */
size_t plan_candidates(struct arena *a, struct plan_block **v, size_t n, size_t n_ranges,
		       struct plan **out);
void plan_sort(struct plan_block **v, size_t n);
/*
 * Would the index of the result come too near to `max` bytes (85%, all inputs' added up)? Then the block to leave out
 * is told: the biggest of those up to there; else SIZE_MAX.
 */
size_t plan_too_big(const struct plan *p, uint64_t max);
/* Exclude every block that shares time with another one that is not excluded; returns how many, hit[i] set. */
size_t plan_exclude_overlapping(struct plan_block **v, size_t n, bool *hit);
/* The block that a plan would give, for simulation: times, sources and sizes. */
void plan_result(struct arena *a, const struct plan *p, struct block_meta *meta,
		 struct plan_block *out);

#endif
