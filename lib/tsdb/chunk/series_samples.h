/*
 * tsdb/chunk/series_samples.h - `samples` over the chunks of one series that do not overlap, for one
 * aggregate.
 *
 * Choice of aggregate of downsampled chunks: RAW parts are shown as they are; asked for AVERAGE
 * (SUM and COUNT) it shows sum / count; COUNTER drops the doubled last sample of each chunk and
 * rebases at chunk borders as Thanos' counter reset iterator does, so that rate sees a monotone series.
 * Thread  CPU
 */
#ifndef TSDB_CHUNK_SERIES_SAMPLES_H
#define TSDB_CHUNK_SERIES_SAMPLES_H

#include "tsdb/chunk/chunk.h"

enum sample_aggr { /* what the enclosing function wants of downsampled chunks */
		   SAMPLE_AVG,
		   SAMPLE_COUNT,
		   SAMPLE_SUM,
		   SAMPLE_MIN,
		   SAMPLE_MAX,
		   SAMPLE_COUNTER
};
/* Chunks ascend and do not overlap (dedup makes that so); valid as long as the samples. Memory of `a`. */
struct samples *series_samples_new(struct arena *a);
MUST_CHECK int series_samples_reset(struct samples *s, const struct chunk_view *chunks,
				    size_t n, enum sample_aggr want, struct err *e);

#endif
