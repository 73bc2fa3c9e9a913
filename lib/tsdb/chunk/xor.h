/*
 * tsdb/chunk/xor.h - the XOR decoder as a state that is run in steps; private to this module.
 */
#ifndef TSDB_CHUNK_XOR_H
#define TSDB_CHUNK_XOR_H

#include "tsdb/chunk/chunk.h"

#define XOR_MARGIN 40 /* bytes one sample may touch, and more than that */

struct xor_state {
	const uint8_t *p, *end; /* end: of real data, in the chunk or in tail */
	unsigned bit;		/* bits of *p that are used up, 0..7 */
	uint32_t total, done;
	int64_t t;
	uint64_t delta, v;
	unsigned trail, sig;
	bool in_tail, equal_ok;
	bool any_order; /* times may go back, too */
	uint8_t tail[2 * XOR_MARGIN + 16];
};
/* equal_ok: a time may repeat (counters of downsampled blocks double their last sample). */
MUST_CHECK int xor_begin(struct xor_state *s, const uint8_t *p, size_t n, bool equal_ok,
			 struct err *e);
/*
 * Up to `max` further samples; 0 at the end. -1: corrupt; the samples before the damage have been
 * written and *got says how many.
 */
MUST_CHECK int xor_run(struct xor_state *s, int64_t *t, double *v, size_t max,
		       size_t *got, struct err *e);

#endif
