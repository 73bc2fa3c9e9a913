/*
 * store/proxy_int.h - legs of the proxy.
 */
#ifndef STORE_PROXY_INT_H
#define STORE_PROXY_INT_H

#include "store/store.h"

struct endpoint;
struct endpoint_member;
/* A call and whom it was sent to. */
struct proxy_call {
	struct endpoint *ep;	   /* held by the answer */
	struct endpoint_member *m; /* a reference of its own */
	const char *method;
	struct str request; /* only where it may be sent again: ep is a group */
	uint32_t tries;
};
/*
 * A call failed before it began to answer: if its endpoint is a group, and the member was not reached, send it to
 * another. False: nothing more to be done. True: *stream, closed, is replaced. WORKER
 */
bool proxy_call_again(struct proxy_call *c, struct ctx *ctx, const struct err *why,
		      struct rpc_stream **stream);

/* Takes over the stream and call.m; copies the request. */
struct series_set *proxy_leg_new(struct rpc_stream *stream, const struct proxy_call *call,
				 enum partial_strategy partial, uint64_t timeout_ns);

/*
 * Did the request itself end (-1, *e), not the store that failed with `why`? Peers are told our deadline and may
 * report it a moment before our own clock does.
 */
int proxy_request_check(struct ctx *ctx, const struct err *why, struct err *e);

#endif
