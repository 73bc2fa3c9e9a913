/*
 * proto/series.h - SeriesResponse, the message nearly all bytes are in, straight into model structs.
 *
 * Thread  CPU
 */
#ifndef PROTO_SERIES_H
#define PROTO_SERIES_H

#include "base/arena.h"
#include "base/buf.h"
#include "model/chunk.h"

enum proto_frame_kind {
	PROTO_FRAME_NONE, /* an empty or unknown message: skip it */
	PROTO_FRAME_SERIES, /* one or more series */
	PROTO_FRAME_WARNING,
	PROTO_FRAME_HINTS,
};
struct proto_frame {
	enum proto_frame_kind kind;
	struct series_in *series; /* in the arena; strings and chunks are views into the message */
	size_t n;
	struct str warning;
	struct str hints; /* google.protobuf.Any as bytes */
};
/*
 * Labels come out sorted and without empty values, chunks by mint, whatever the sender did. E_PARSE:
 * malformed, doubled label names; E_UNSUPPORTED: a chunk type other than the three known ones;
 * E_LIMIT: too many labels, a chunk too large, or the budget.
 */
MUST_CHECK int proto_series_decode(struct ctx *ctx, struct arena *a, struct str msg,
				   struct proto_frame *out, struct err *e);

/* SeriesResponse with one series (`series`) or several (`batch`); lanes: write field 1000. */
void proto_series_encode(struct buf *out, const struct series_in *s, bool lanes);
void proto_batch_encode(struct buf *out, const struct series_in *s, size_t n, bool lanes);
/* Bytes of the message that proto_series_encode writes. */
size_t proto_series_size(const struct series_in *s, bool lanes);
/*
 * The same messages in pieces for rpc_send: what stands between chunks lies in `a`, chunk data are
 * views into the series. *parts (in `a`) joined is the message. batch: n series; else n is 1.
 */
MUST_CHECK int proto_series_parts(struct ctx *ctx, struct arena *a,
				  const struct series_in *s, size_t n, bool batch,
				  bool lanes, struct str **parts, size_t *n_parts,
				  struct err *e);
void proto_warning_encode(struct buf *out, struct str warning);
void proto_hints_encode(struct buf *out, struct str any);

#endif
