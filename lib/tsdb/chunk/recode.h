/*
 * tsdb/chunk/recode.h - one chunk written anew: with some samples left out (tombstones), or in an encoding that more
 * readers know.
 *
 * Histograms may need several chunks: where the encoder asks for a new one, it gets it. The first keeps the reset
 * header of the old chunk as long as its first sample is kept.
 * Thread  CPU
 */
#ifndef TSDB_CHUNK_RECODE_H
#define TSDB_CHUNK_RECODE_H

#include "tsdb/chunk/chunk.h"

/* Encodings 4 to 6 as 1 to 3, which every StoreAPI client knows: only the start timestamps get lost. */
enum chunk_enc chunk_enc_plain(unsigned enc);

struct chunk_recoder; /* used again for the next chunk; freed with the arena */
struct chunk_recoder *chunk_recoder_new(struct arena *a);

struct chunk_recode_ops {
	bool (*keep)(void *arg, int64_t t_ms); /* NULL: all samples */
	/* A chunk; its bytes are valid during the call. */
	int (*emit)(void *arg, int64_t mint_ms, int64_t maxt_ms, struct chunk_part part,
		    struct err *e);
};
/* E_CORRUPT: c cannot be decoded; what was emitted before is to be forgotten. */
MUST_CHECK int chunk_recode(struct chunk_recoder *r, struct chunk_part c,
			    enum chunk_enc to, const struct chunk_recode_ops *ops,
			    void *arg, struct err *e);

#endif
