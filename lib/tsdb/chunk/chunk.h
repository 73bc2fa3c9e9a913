/*
 * tsdb/chunk/chunk.h - the chunk encodings: decoders that fill columns, encoders, segment files.
 *
 * Encodings 1 (XOR), 2 and 3 (histograms), 0xff (Thanos' five aggregates), and those of Prometheus 3.14: 4 (XOR2), 5
 * and 6 (histograms with start timestamps). Others are refused as unknown.
 * Thread  CPU.  Source  prometheus.md §1.5, thanos.md §3.3
 */
#ifndef TSDB_CHUNK_CHUNK_H
#define TSDB_CHUNK_CHUNK_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/ref.h"
#include "fs/range_source.h"
#include "model/chunk.h"
#include "model/samples.h"

const char *chunk_enc_name(unsigned enc); /* "XOR", "histogram", ..., "unknown" */
/* Samples a chunk says it holds; 0 if too short. */
uint32_t chunk_count(struct chunk_part c);

/*
 * Decoder of one chunk. Shows all samples in order, garbage never crashes it: times that go
 * back, a count beyond the data and the like are E_CORRUPT, after the samples that are there. A time
 * may repeat: counters of downsampled blocks double their last sample.
 * Columns and histograms live in the decoder (and its arena) until the next call.
 */
struct chunk_decoder;
struct chunk_decoder *
chunk_decoder_new(struct arena *a); /* a: histogram memory; reusable */
MUST_CHECK int chunk_decoder_reset(struct chunk_decoder *d, struct chunk_part c,
				   struct err *e);
int chunk_decoder_next(struct chunk_decoder *d, struct columns *out, struct err *e);
/*
 * Histograms shown from the next reset on live in `keep` instead and stay (layouts are shared by the
 * histograms of a chunk); NULL: back to the decoder's own memory. Charged, E_LIMIT by next.
 */
void chunk_decoder_keep(struct chunk_decoder *d, struct arena *keep);
/* Times of XOR and histogram chunks (1 to 3) may go back from the next reset on: the caller sorts it out. */
void chunk_decoder_any_order(struct chunk_decoder *d, bool on);

/*
 * XOR whole: fills t[] and v[] (room for `cap`), returns the number of samples, -1 corrupt. The fast
 * path of selectors: no columns object, one pass.
 */
int chunk_xor_decode(const uint8_t *p, size_t n, int64_t *t_ms, double *v, size_t cap,
		     struct err *e);
/* The same where times may repeat and go back, as in chunks that very old servers wrote. */
int chunk_xor_decode_any(const uint8_t *p, size_t n, int64_t *t_ms, double *v, size_t cap,
			 struct err *e);

/*
 * The same for XOR2; st[] gets start timestamps (0: none) if the chunk has any, which chunk_has_starts tells for all
 * encodings.
 */
int chunk_xor2_decode(const uint8_t *p, size_t n, int64_t *t_ms, double *v, int64_t *st,
		      size_t cap, struct err *e);
bool chunk_has_starts(struct chunk_part c);
/* The schema that a decoder shows of a chunk's histograms, without decoding any (stale markers have none); -1: no histograms, or damaged. */
int chunk_hist_schema(struct chunk_part c, int32_t *schema);

/*
 * CHUNK_WIDE whole XOR chunks at once, into t[i] and v[i] (room for the count of each). 0, or 1: something is odd
 * with one of them, and what was written means nothing; decode them by chunk_xor_decode. Only where
 * chunk_wide_usable says so; scratch has chunk_wide_scratch bytes. *rise: all values are numbers, none is negative (nor -0), and
 * within each chunk none is less than the one before.
 */
#define CHUNK_WIDE 16
bool chunk_wide_usable(void);
size_t chunk_wide_scratch(const struct chunk_part *c);
int chunk_xor_decode_wide(const struct chunk_part *c, uint8_t *scratch, int64_t **t,
			  double **v, bool *rise);

/* Split an AggrChunk (encoding 0xff) into view.part[COUNT..COUNTER]. */
MUST_CHECK int chunk_aggr_split(const uint8_t *p, size_t n, struct chunk_view *out,
				struct err *e);
/* The opposite: parts COUNT to COUNTER as the data of an AggrChunk, appended to out. */
void chunk_aggr_join(const struct chunk_view *c, struct buf *out);

/* ---- encoders: bytes equal those of Prometheus' appenders on the same samples ---- */
struct chunk_encoder;
struct chunk_encoder *chunk_encoder_new(void);
void chunk_encoder_free(struct chunk_encoder *w);
void chunk_encoder_begin(struct chunk_encoder *w, enum chunk_enc enc);
/* The same where the series goes on (cut by count or size): its reset header follows from the last
 * sample of the chunk before, as Prometheus' head does it. */
void chunk_encoder_next(struct chunk_encoder *w, enum chunk_enc enc);
/* E_INVALID: t not ascending, or the histogram cannot be appended to this chunk's layout. */
MUST_CHECK int chunk_encoder_float(struct chunk_encoder *w, int64_t t_ms, double v,
				   struct err *e);
/*
 * Append a histogram: 0 appended (the chunk may have been recoded for new buckets), 1 a new chunk must
 * begin (layout or counter reset; nothing was appended), -1 error. The encoder begins the new chunk's
 * reset header itself when chunk_encoder_begin and the same call follow a 1.
 */
int chunk_encoder_hist(struct chunk_encoder *w, int64_t t_ms, const struct hist *h,
		       struct err *e);
/* Encodings 4 to 6: the start timestamp of the sample that is appended next (0: none). */
void chunk_encoder_start(struct chunk_encoder *w, int64_t st_ms);
/* Begin a chunk whose first sample is that of chunk c: histograms take over its reset header. */
void chunk_encoder_like(struct chunk_encoder *w, enum chunk_enc enc, struct chunk_part c);
uint32_t chunk_encoder_count(const struct chunk_encoder *w);
struct chunk_part
chunk_encoder_part(struct chunk_encoder *w); /* valid until the next call */

/*
 * A whole XOR chunk, appended to out: the bytes that an encoder makes of these samples, in one pass over columns.
 * Times ascend or repeat (E_INVALID; counters of downsampled blocks double their last sample); 65535 samples at most.
 */
MUST_CHECK int chunk_xor_encode(struct buf *out, const int64_t *t_ms, const double *v,
				size_t n, struct err *e);

/* Cut samples into chunks as Prometheus does in a block it compacts (120 samples a chunk). */
#define CHUNK_SAMPLES 120

/* ---- segment files chunks/NNNNNN ---- */
struct segments; /* the opened segments of a block; SHARED */
/* sources[i] is segment i+1; takes over the references. Headers are checked (E_CORRUPT names the file). */
MUST_CHECK int segments_open(struct ctx *ctx, struct range_source *const *sources,
			     size_t n, struct segments **out, struct err *e);
void segments_close(struct segments *s);
struct segment_need {
	uint64_t ref; /* chunk reference: (segment << 32) | offset */
	uint32_t
		len_hint; /* bytes the whole entry may take (0: unknown, 16000 is tried) */
	/* out: */
	struct chunk_part part; /* enc and data; AGGR not yet split */
	struct view
		pin; /* the pins of all needs together keep the bytes of all; view_put each when all are done with */
	bool bad;    /* this chunk failed (error in err of the first); others are read */
};
/*
 * Read many chunks: coalesced ranged reads, refetching those whose hint was too short, each CRC
 * checked. A damaged chunk sets bad and adds a note text through on_bad (may be NULL); -1 only if
 * reading itself failed (I/O, cancelled, budget). Needs may come in any order. WORKER
 */
MUST_CHECK int segments_read(struct segments *s, struct ctx *ctx,
			     struct segment_need *need, size_t n,
			     void (*on_bad)(void *arg, size_t i, const struct err *why),
			     void *arg, struct err *e);

#endif
