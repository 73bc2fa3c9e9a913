/*
 * tsdb/chunk/xor2.h - XOR2 chunks: the decoder as a state that is run in steps, one sample's code for the
 * encoder; private to this module.
 */
#ifndef TSDB_CHUNK_XOR2_H
#define TSDB_CHUNK_XOR2_H

#include "tsdb/chunk/chunk.h"
#include "tsdb/chunk/st.h"

struct xor2_state {
	struct bits b;
	struct st_state st;
	uint32_t total, done;
	int64_t t;
	uint64_t delta;
	uint64_t base; /* bits of the last value that was no stale marker */
	unsigned trail, sig;
};
MUST_CHECK int xor2_begin(struct xor2_state *s, const uint8_t *p, size_t n,
			  struct err *e);
/*
 * Up to `max` further samples; 0 at the end. -1: corrupt; the samples before the damage have been written and *got
 * says how many. st is filled only where the chunk holds start timestamps.
 */
MUST_CHECK int xor2_run(struct xor2_state *s, int64_t *t, double *v, int64_t *st,
			size_t max, size_t *got, struct err *e);

/* Time and value of sample i. *base as above; delta: to the sample before, dod: change of that. */
void xor2_put(struct bitw *w, uint32_t i, int64_t t, uint64_t delta, int64_t dod,
	      uint64_t v, uint64_t *base, struct bits_window *win);

#endif
