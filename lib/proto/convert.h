/*
 * proto/convert.h - between the messages of StoreAPI and the structs of model/store.h, and the hot path: Series
 * messages straight into series views and back.
 *
 * Thread  CPU
 */
#ifndef PROTO_CONVERT_H
#define PROTO_CONVERT_H

#include "model/store.h"
#include "proto/store.h"

/* Requests. Decoding compiles the matchers into the arena; strings stay views into `in`. */
MUST_CHECK int proto_series_req_decode(struct ctx *ctx, struct arena *a, struct str in,
				       struct store_series_req *out, struct err *e);
void proto_series_req_encode(struct arena *a, const struct store_series_req *r,
			     struct buf *out);
/* values: LabelValues (with a label), else LabelNames. */
MUST_CHECK int proto_labels_req_decode(struct ctx *ctx, struct arena *a, bool values,
				       struct str in, struct store_labels_req *out,
				       struct err *e);
void proto_labels_req_encode(struct arena *a, bool values,
			     const struct store_labels_req *r, struct buf *out);
void proto_labels_resp_encode(struct arena *a, const struct store_labels_resp *r,
			      const struct str *warnings, size_t n, struct buf *out);
MUST_CHECK int proto_labels_resp_decode(struct ctx *ctx, struct arena *a, struct str in,
					struct store_labels_resp *out,
					struct str **warnings, size_t *n, struct err *e);
void proto_info_encode(struct arena *a, const struct store_info *s, struct buf *out);
MUST_CHECK int proto_info_decode(struct ctx *ctx, struct arena *a, struct str in,
				 struct store_info *out, bool *has_store, struct err *e);

/* One SeriesResponse frame: exactly one of these. Views point into the frame. */
struct proto_series_frame {
	struct series_in *series; /* of a series or a batch; in the arena */
	size_t n;
	struct str warning; /* p != NULL: a warning */
	struct str hints;   /* Any as bytes, p != NULL: hints */
};
MUST_CHECK int proto_series_frame_decode(struct ctx *ctx, struct arena *a,
					 struct str frame, struct proto_series_frame *out,
					 struct err *e);
/* Append Series (without SeriesResponse around) of the series; lanes: write field 1000. */
size_t proto_series_size(const struct series_in *s, bool lanes);
void proto_series_encode(const struct series_in *s, bool lanes, struct buf *out);
/* The same into room for the n bytes that proto_series_size told. */
void proto_series_put(const struct series_in *s, bool lanes, uint8_t *to, size_t n);
/* SeriesResponse around one series or a batch of already encoded Series messages. */
void proto_series_frame_encode(struct str series, struct buf *out); /* one series */
void proto_warning_frame_encode(struct str warning, struct buf *out);
void proto_hints_frame_encode(struct str any, struct buf *out);

enum chunk_enc proto_chunk_enc(int32_t type, bool *known); /* of StoreAPI's Chunk.type */
int32_t proto_chunk_type(unsigned enc);

#endif
