/*
 * dedup/dedup.h - merging sorted series: k-way merge, hold-back for added labels, replica dedup.
 *
 * Thread  merge and dedup sets are WORKER; samples over lanes are CPU.
 * Source  design §3 "Order and replicas", thanos.md §4.1
 */
#ifndef DEDUP_DEDUP_H
#define DEDUP_DEDUP_H

#include "model/series_set.h"
#include "tsdb/chunk/series_samples.h"

/*
 * K-way merge by a loser tree: equal label sets become one series whose chunk lists are joined,
 * ordered by (mint, maxt, encoding ascending, bytes descending), equal chunks dropped. Takes over
 * the legs; a leg that fails ends the merge with its error (legs that may fail softly turn errors
 * into notes themselves). The order of each leg is checked: one out of order is read to its end and
 * sorted within ctx->budget; then a warning names its origin, since what was shown before cannot be
 * taken back, and the origin is counted up. origin: NULL, or n pointers, each NULL or to what lives
 * as long as the set.
 */
struct merge_origin {
	const char *name;
	_Atomic uint64_t unsorted;
};
MUST_CHECK int merge_open(struct ctx *ctx, struct series_set **legs, size_t n,
			  struct merge_origin *const *origin, struct series_set **out,
			  struct err *e);
/* Call fn when a set of merge_open has closed its legs: for what must live as long as the answer, as the origins do. */
void merge_on_close(struct series_set *s, void (*fn)(void *arg), void *arg);
/* Who sent a chunk that this set showed; NULL: not known, or no such merge. For errors: chunks are decoded behind it. */
const char *merge_origin_of(const struct series_set *s, const struct chunk_view *c);

/*
 * Add constant labels (they win over a series' own) to a sorted set and restore order by a stack of
 * held-back prefixes. `drop` (sorted names, may be NULL) are left out of `ext` only.
 */
MUST_CHECK int relabel_open(struct ctx *ctx, struct series_set *in, struct labels ext,
			    struct series_set **out, struct err *e);

/*
 * Replica labels removed from sorted input: reads it all (within ctx->budget), strips, sorts, joins
 * equal series. For legs whose store cannot do it.
 */
MUST_CHECK int strip_open(struct ctx *ctx, struct series_set *in, const struct str *names,
			  size_t n, struct series_set **out, struct err *e);

/*
 * Split the chunks of one series (any order) into lanes without overlap, as Thanos' penalty dedup does:
 * ordered by mint, maxt, encoding ascending and bytes descending, each into the first lane that ends
 * before it. Chunks with lane ids of their own keep together only under `replica` mode (later).
 * lane_of[i] for chunk i of the sorted array; chunks are sorted in place. Returns the lane count.
 */
size_t dedup_lanes(struct arena *a, struct chunk_view *chunks, size_t n,
		   uint32_t *lane_of);

/*
 * `samples` over the chunks of one series, overlapping or not. dedup on: lanes are folded pairwise by
 * the penalty iterator; counter: the counter adjustment at replica switches applies (only where a
 * merge switches). dedup off: overlapping chunks are merged sample by sample, the first lane wins at
 * equal times (no penalty). Sorts `chunks`. Memory of `a`.
 */
struct samples *dedup_samples_new(struct arena *a);
MUST_CHECK int dedup_samples_reset(struct samples *s, struct chunk_view *chunks, size_t n,
				   enum sample_aggr want, bool dedup, bool counter,
				   int64_t mint_ms, int64_t maxt_ms, struct err *e);

/*
 * The fast path: all samples of the series in [mint, maxt] into arrays (grown in the arena, charged);
 * floats only, h set when histograms occur. What selectors of PromQL use.
 */
struct sample_cols {
	int64_t *t_ms;
	double *v;	       /* undefined where h[i] != NULL */
	const struct hist **h; /* NULL: no histogram in the series */
	int64_t *st_ms; /* start timestamps, 0: that sample has none; NULL: none at all */
	size_t n, cap;
	bool rise; /* known: floats only, all are numbers, none negative or less than the one before */
	/* Nothing but this struct's own lies in the arena: the next call may be given both again, as they are. */
	bool again;
	uint8_t *scratch; /* of decoders */
	size_t scratch_cap;
};
MUST_CHECK int dedup_decode(struct ctx *ctx, struct arena *a, struct chunk_view *chunks,
			    size_t n, enum sample_aggr want, bool dedup, bool counter,
			    int64_t mint_ms, int64_t maxt_ms, struct sample_cols *out,
			    struct err *e);

#endif
