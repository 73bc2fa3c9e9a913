/*
 * model/chunk.h - encoded chunks as views, and what a series of them is.
 */
#ifndef MODEL_CHUNK_H
#define MODEL_CHUNK_H

#include "model/labels.h"

enum chunk_enc {
	CHUNK_NONE = 0,
	CHUNK_XOR = 1,
	CHUNK_HIST = 2,
	CHUNK_FLOATHIST = 3,
	CHUNK_XOR2 = 4,
	CHUNK_HIST_ST = 5,
	CHUNK_FLOATHIST_ST = 6,
	CHUNK_AGGR = 0xff, /* Thanos: five sub-chunks of a downsampled block */
};
/* Aggregates, numbered as in StoreAPI's Aggr enum. */
enum aggr { AGGR_RAW, AGGR_COUNT, AGGR_SUM, AGGR_MIN, AGGR_MAX, AGGR_COUNTER, AGGR_N };
#define AGGR_BIT(a) (1u << (a))

struct chunk_part {
	const uint8_t *p; /* NULL: absent */
	uint32_t n;	  /* bytes of data, without encoding byte */
	uint8_t enc;	  /* enum chunk_enc: 1..3 (4..6 in files only) */
};
struct chunk_view {
	int64_t mint_ms, maxt_ms; /* inclusive */
	/* xxhash64 of the raw part's data, or of a block_scan 2^32 plus the CRC-32C in the segment; 0: not computed */
	uint64_t hash;
	uint64_t lane;	 /* replica identity, 0: unknown */
	uint32_t origin; /* leg of the merge that it came through, 1..; 0: unknown */
	struct chunk_part part[AGGR_N];
};
/* Order of merges: mint, maxt, then encoding and bytes (see dedup). */
bool chunk_view_eq(const struct chunk_view *a,
		   const struct chunk_view *b); /* bounds and bytes */

struct series_in {
	struct labels labels;
	struct chunk_view *chunks; /* ascending mint */
	size_t n;
};

#define STALE_NAN_BITS	0x7ff0000000000002ull
#define NORMAL_NAN_BITS 0x7ff8000000000001ull
static inline uint64_t f64_bits(double d)
{
	uint64_t u;
	memcpy(&u, &d, 8);
	return u;
}
static inline double f64_of_bits(uint64_t u)
{
	double d;
	memcpy(&d, &u, 8);
	return d;
}
static inline bool is_stale_nan(double d)
{
	return f64_bits(d) == STALE_NAN_BITS;
}

#endif
