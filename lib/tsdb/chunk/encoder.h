/*
 * tsdb/chunk/encoder.h - the encoder's state; private to this module.
 */
#ifndef TSDB_CHUNK_ENCODER_H
#define TSDB_CHUNK_ENCODER_H

#include "tsdb/chunk/hist_int.h"

/* One side of the buckets: layout and the last sample's values in its order. */
struct enc_side {
	struct hist_span *spans;
	uint32_t n_spans, n;
	size_t spans_cap, cap, delta_cap, change_cap, window_cap;
	double *last;		    /* absolute counts */
	int64_t *delta;		    /* integer: difference to the bucket before */
	int64_t *change;	    /* integer: last change of delta */
	struct bits_window *window; /* float */
};
struct chunk_encoder {
	enum chunk_enc enc;
	struct bitw w;
	uint32_t count;
	int64_t t, t_delta;
	uint64_t v; /* bits: the float, or the sum */
	struct bits_window v_w;
	/* encodings 4 to 6 */
	struct st_state st;
	int64_t start; /* start timestamp of the next sample */
	/* histograms */
	enum reset_header header; /* of this chunk */
	bool has_header;   /* decided by the chunk before, for the sample at refused_t */
	bool header_given; /* by chunk_encoder_like */
	int64_t refused_t;
	bool carry; /* the state below is the chunk before this empty one */
	int32_t schema;
	double zero_threshold;
	double *bounds;
	uint32_t n_bounds;
	size_t bounds_cap;
	struct enc_side side[2]; /* positive, negative */
	uint64_t n_obs, n_zero;	 /* count and zero count: integers, or bits */
	int64_t obs_delta, zero_delta;
	struct bits_window obs_w, zero_w;
	double last_count, last_zero, last_sum;
	double *vals[2];
	size_t vals_cap[2];
};
/* -1 E_LIMIT: 65535 samples, or the data grew too large; sets the count in the header. */
MUST_CHECK int encoder_done(struct chunk_encoder *w, struct err *e);
MUST_CHECK int encoder_may_add(const struct chunk_encoder *w, int64_t t_ms,
			       struct err *e);
void encoder_sides_free(struct chunk_encoder *w);

#endif
