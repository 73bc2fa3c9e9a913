/*
 * Golden blocks for chunk tests: their segment files chunk by chunk, and the recorded lines of
 * test/golden/blocks/README.md with the sum over all samples of a series.
 */
#ifndef TEST_TSDB_CHUNK_GOLDEN_H
#define TEST_TSDB_CHUNK_GOLDEN_H

#include "model/samples.h"
#include "tsdb/chunk/chunk.h"

/* A whole file, unzipped if it is gzip; the test aborts when it cannot be read. */
struct str golden_read(struct arena *a, const char *path);

struct golden_chunks {
	struct chunk_part *v; /* in file order */
	uint32_t *off;	      /* of the entry in segment 1 */
	size_t n;
};
struct golden_chunks golden_chunks(struct arena *a, struct str segment);

struct golden_row {
	struct str labels,
		aggregate; /* aggregate "raw" where the file has no such column */
	size_t chunks;
	uint64_t floats, hists;
	int64_t mint_ms, maxt_ms;
	uint32_t crc;
};
struct golden_row *golden_rows(struct arena *a, struct str tsv, size_t *n);

/* The sum of the README, fed by columns. */
struct golden_sum {
	uint32_t crc;
	uint64_t floats, hists;
	int64_t mint_ms, maxt_ms;
};
void golden_add(struct golden_sum *s, const struct columns *c);
/* Decode one chunk into the sum; false (and err) if that fails. */
bool golden_add_chunk(struct golden_sum *s, struct chunk_decoder *d, struct chunk_part c,
		      struct err *e);

struct golden_block {
	const char *dir, *tsv;
};
extern const struct golden_block golden_blocks[];
extern const size_t golden_n_blocks;
/* Encodings 4 to 6. */
extern const struct golden_block golden_newer[];
extern const size_t golden_n_newer;

#endif
