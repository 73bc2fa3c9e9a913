/*
 * downsample/downsample_int.h - what the files of this module share.
 */
#ifndef DOWNSAMPLE_DOWNSAMPLE_INT_H
#define DOWNSAMPLE_DOWNSAMPLE_INT_H

#include "downsample/downsample.h"

#include "base/arena.h"
#include "model/hist_math.h"
#include "tsdb/chunk/chunk.h"

#define DOWNSAMPLE_RAW_INTERVAL 60000 /* ms that raw samples are assumed to be apart */
#define WINDOWS_MAX		65000u /* of one chunk, which counts in 16 bits and has two more */

struct views {
	struct chunk_view *v;
	size_t n, cap;
};

/* Samples of a run of chunks, and where each chunk's begin. */
struct samples_buf {
	int64_t *t;
	double *v; /* histograms: the sum */
	size_t n, t_cap, v_cap;
	bool nan; /* floats: there is one among them */
};
struct chunk_span {
	size_t first, end; /* samples kept */
	int32_t schema;	   /* of its histograms */
};

/* One value a window; t[0] and v[0] are room for a counter's first sample. */
struct windows {
	int64_t *t;
	double *v[AGGR_N]; /* by aggregate, RAW unused */
	size_t n, cap;
};
struct hist_windows {
	int64_t *t;
	double *count;
	const struct hist **h;
	size_t n, t_cap, count_cap, h_cap;
};

struct downsampler {
	struct arena memory; /* of the decoder */
	struct arena out;    /* bytes of all chunks made */
	struct chunk_decoder *decoder;
	struct chunk_encoder *encoder;
	struct samples_buf s;
	struct chunk_span *span;
	size_t span_cap;
	struct windows w;
	struct hist_windows counter, sum;
	struct arena hists; /* results of the windows of one chunk */
	struct arena scratch
		[2]; /* histograms of one sample and the one before, brought to another schema */
	double *delta;
	size_t delta_cap;
	uint8_t *wide; /* scratch of the decoder of sixteen */
	size_t wide_cap;
	struct buf bytes; /* of the chunk being made */
	struct views fixed, result;
	struct downsample_tally tally;
};

/* The last time of the window that t falls into, `last` at most. */
static inline int64_t window_end(int64_t t, int64_t resolution_ms, int64_t last)
{
	int64_t begin = t - t % resolution_ms;
	if (begin > INT64_MAX - resolution_ms)
		return last;
	return MIN(begin + resolution_ms - 1, last);
}

/* How many chunks the samples of [mint, maxt] are to fill. */
size_t target_chunks(int64_t mint_ms, int64_t maxt_ms, int64_t in_ms, int64_t out_ms,
		     size_t samples);
/* Where the batch that begins at sample i ends: `size` samples, and what else is in the last one's window. */
size_t batch_end(const int64_t *t, size_t n, size_t i, size_t size,
		 int64_t resolution_ms);

/* Append a chunk made of the parts, whose p are offsets into d->bytes where n > 0. */
void emit(struct downsampler *d, struct views *to, int64_t mint_ms, int64_t maxt_ms,
	  const struct chunk_part *part);
/* floats.c: d->bytes gets the XOR chunk; *part as emit wants it. */
MUST_CHECK int put_xor(struct downsampler *d, const int64_t *t, const double *v, size_t n,
		       struct chunk_part *part, struct err *e);
void windows_reserve(struct windows *w, size_t n);

/* Parts of one kind; index i is named by errors as chunk first + i. */
struct parts {
	const struct chunk_view *c;
	size_t n, first;
	enum aggr aggr;
};
/* Raw chunks of floats, or of histograms, to AggrChunks. */
MUST_CHECK int raw_floats(struct downsampler *d, struct parts in, int64_t resolution_ms,
			  struct views *to, struct err *e);
MUST_CHECK int raw_hists(struct downsampler *d, struct parts in, int64_t resolution_ms,
			 struct views *to, struct err *e);
/* AggrChunks of one batch to one AggrChunk (histograms: more, if they cannot stay in one). */
MUST_CHECK int aggr_floats(struct downsampler *d, struct parts in, int64_t resolution_ms,
			   struct views *to, struct err *e);
MUST_CHECK int aggr_hists(struct downsampler *d, struct parts in, int64_t resolution_ms,
			  struct views *to, struct err *e);
/* The windows' sums of one aggregate (count and sum), smallest (min) or largest (max) value: w->t[1..n], w->v[aggr]. */
MUST_CHECK int fold(struct downsampler *d, struct parts in, int64_t resolution_ms,
		    struct err *e);

#endif
