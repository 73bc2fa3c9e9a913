/*
 * tsdb/block/block_int.h - shared by the files of tsdb/block.
 */
#ifndef TSDB_BLOCK_BLOCK_INT_H
#define TSDB_BLOCK_BLOCK_INT_H

#include "base/ctx.h"
#include "tsdb/block/block.h"
#include "tsdb/block/cut.h"

/* ---- block.c ---- */
enum block_damage { DAMAGE_SERIES, DAMAGE_CHUNK };
/* A warning in ctx->notes, "block <ULID>: <text>", and the first of its kind in the log. */
void block_damaged(struct block *b, struct ctx *ctx, enum block_damage kind,
		   const char *fmt, ...) PRINTF_LIKE(4, 5);

/* ---- entries.c: series entries in bounded batches ---- */
#define BLOCK_BATCH_SERIES 1024
#define BLOCK_BATCH_BYTES  (4u << 20) /* what one read of entries or chunks may fetch */
/*
 * How many of refs[0, n) to read at once, at most `max`: so many that the read, whose ranges are
 * joined over gaps, fetches no more than BLOCK_BATCH_BYTES; at least 1. sorted[] (room for `max`)
 * receives them ascending.
 */
size_t block_entries_batch(const uint32_t *refs, size_t n, size_t max, uint32_t *sorted);
/*
 * Read entries of ascending refs; a damaged one is reported (block_damaged) and has `bad` set.
 */
MUST_CHECK int block_entries_read(struct block *b, struct ctx *ctx, struct arena *a,
				  const uint32_t *refs, size_t n, int64_t mint_ms,
				  int64_t maxt_ms, bool skip_chunks,
				  struct idx_series *out, struct err *e);

/* ---- sort.c: order of shown labels where labels are left out ---- */
struct block_sort_entry {
	uint32_t ref, n;       /* n ordinals: n / 2 labels */
	const uint32_t *label; /* the labels that are left, as ordinals */
};
/*
 * Read all series' labels, leave out the names drop[] (ordinals, ascending), sort. Series without a
 * chunk in range are left out. Memory of `a`, charged.
 */
MUST_CHECK int block_sort(struct block *b, struct ctx *ctx, struct arena *a,
			  struct postings p, const uint32_t *drop, size_t n_drop,
			  int64_t mint_ms, int64_t maxt_ms, struct block_sort_entry **out,
			  size_t *n, struct err *e);
bool block_is_dropped(const uint32_t *drop, size_t n, uint32_t name);

#endif
