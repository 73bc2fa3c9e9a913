/*
 * dedup/dedup_int.h - what the files of this module share.
 */
#ifndef DEDUP_DEDUP_INT_H
#define DEDUP_DEDUP_INT_H

#include "dedup/dedup.h"

/* (mint, maxt, encoding ascending, bytes descending) of the first part there is. */
int dedup_chunk_cmp(const struct chunk_view *a, const struct chunk_view *b);
void dedup_chunk_sort(struct chunk_view *v, size_t n);
/* Drop chunks equal to the one before; returns how many are left. */
size_t dedup_chunk_unique(struct chunk_view *v, size_t n);

/* All series of a set, copied with their chunk bytes. Memory of an arena, charged to ctx->budget. */
struct gather {
	struct arena *a;
	struct series_in *v;
	size_t n, cap;
};
MUST_CHECK int gather_add(struct gather *g, struct ctx *ctx, const struct series_in *s,
			  struct labels labels, struct err *e);
/* Sort by labels, join equal series, order their chunks. */
MUST_CHECK int gather_finish(struct gather *g, struct ctx *ctx, struct err *e);
void gather_deinit(struct gather *g); /* the array; the rest is the arena's */

/*
 * Fold the samples of lanes left to right by Thanos' penalty rule; `out` has room for all of them.
 * counter: values of a replica that is behind are raised when the merge switches.
 */
void penalty_fold(const struct sample_cols *lanes, size_t n, bool counter,
		  struct arena *tmp, struct sample_cols *out);

#endif
