/*
 * rpc/rpc_codec.h - encodings of messages: gzip, and snappy as its framed stream.
 *
 * Where a peer announced an encoding, its messages come from the framing with their flag byte in front ("tagged");
 * workers take it off, and decode what it says is encoded. Thread  WORKER
 */
#ifndef RPC_RPC_CODEC_H
#define RPC_RPC_CODEC_H

#include "rpc/rpc.h"

#define RPC_ACCEPT_ENCODING "identity,gzip,snappy"

/* false: not one of ours. "identity" and "" are RPC_IDENTITY. */
bool rpc_encoding_parse(struct str name, enum rpc_encoding *out);
const char *rpc_encoding_name(enum rpc_encoding enc);
/* Does grpc-accept-encoding name it? An absent list accepts what the peer itself uses. */
bool rpc_encoding_in(struct str list, enum rpc_encoding enc);

/* *smaller false: the message stays as it is, out holds nothing. The parts' bytes are charged meanwhile. */
MUST_CHECK int rpc_encode(enum rpc_encoding enc, const struct str *parts, size_t n,
			  struct budget *budget, struct ctx *ctx, struct buf *out,
			  bool *smaller, struct err *e);
/*
 * Replace a tagged message by what it holds, at most max bytes, charged to budget until its view is put. The old
 * view is put, also on failure: E_CORRUPT, E_LIMIT.
 */
MUST_CHECK int rpc_untag(enum rpc_encoding enc, struct view *msg, size_t max,
			 struct budget *budget, struct ctx *ctx, struct err *e);

#endif
