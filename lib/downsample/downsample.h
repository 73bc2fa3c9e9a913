/*
 * downsample/downsample.h - one series to a coarser resolution: count, sum, min, max and counter of each window.
 *
 * Results equal Thanos' (values bit by bit, windows, chunk cuts): thanos.md §4.5, §3.3.
 * Thread  CPU.  Memory  the samples of one series that are floats (16 bytes each), times of histograms, the output.
 */
#ifndef DOWNSAMPLE_DOWNSAMPLE_H
#define DOWNSAMPLE_DOWNSAMPLE_H

#include "base/err.h"
#include "model/chunk.h"

#define DOWNSAMPLE_5M ((int64_t)5 * 60 * 1000)
#define DOWNSAMPLE_1H ((int64_t)60 * 60 * 1000)

struct downsampler;
struct downsampler *downsampler_new(void);
void downsampler_free(struct downsampler *d);
/*
 * All chunks of one series (raw ones for 300000; AggrChunks, or raw ones which are brought to 5m first, for 3600000),
 * ascending and not overlapping, to AggrChunk views (parts COUNT..COUNTER). out[] is valid until the next call; none if
 * no sample is left. E_CORRUPT names the chunk.
 */
MUST_CHECK int downsample_series(struct downsampler *d, const struct chunk_view *in,
				 size_t n, int64_t resolution_ms,
				 const struct chunk_view **out, size_t *n_out,
				 struct err *e);
/* What the counts of the last call's chunks must add up to: samples read, or the counts of the AggrChunks; raw samples left out. */
struct downsample_tally {
	double samples;
	uint64_t dropped;
};
struct downsample_tally downsampler_tally(const struct downsampler *d);

#endif
