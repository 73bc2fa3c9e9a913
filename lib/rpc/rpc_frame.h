/*
 * rpc/rpc_frame.h - gRPC's message framing: bytes in, whole messages as views into slabs out.
 */
#ifndef RPC_RPC_FRAME_H
#define RPC_RPC_FRAME_H

#include "base/ref.h"

#define RPC_PREFIX_BYTES 5u /* flag, length big endian */

struct rpc_frame {
	struct budget *budget; /* slabs are charged to it; may be NULL */
	size_t max;	       /* largest message */
	struct slab *slab;     /* being filled */
	size_t start;	       /* of the message under way, in the slab */
	size_t next_cap;       /* of the next slab for small messages */
	size_t len, have;      /* of the message under way */
	uint8_t prefix[RPC_PREFIX_BYTES];
	uint8_t n_prefix; /* bytes of it seen; all 5: a message is under way */
	bool tagged; /* messages keep their flag byte in front, which may be 1 (compressed) */
};

void rpc_frame_init(struct rpc_frame *f, struct budget *budget, size_t max);
void rpc_frame_deinit(struct rpc_frame *f); /* messages handed out stay valid */
/*
 * Takes bytes from *p until a message is whole: 1, *msg is the caller's (view_put). 0: all bytes are
 * taken, more are needed. -1: E_UNSUPPORTED (compressed, but not tagged), E_CORRUPT (unknown flag), E_LIMIT (larger
 * than max, or refused by the budget); the parser must not be used further.
 */
MUST_CHECK int rpc_frame_next(struct rpc_frame *f, const uint8_t **p, size_t *n,
			      struct view *msg, struct err *e);
/* A message (or its prefix) has begun and is not whole. */
static inline bool rpc_frame_is_partial(const struct rpc_frame *f)
{
	return f->n_prefix > 0;
}
void rpc_frame_prefix(uint8_t out[RPC_PREFIX_BYTES], size_t len); /* len < 2^32 */

#endif
