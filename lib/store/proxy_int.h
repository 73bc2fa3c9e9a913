/*
 * store/proxy_int.h - legs of the proxy.
 */
#ifndef STORE_PROXY_INT_H
#define STORE_PROXY_INT_H

#include "store/store.h"

/* Takes over the stream; addr lives as long as the leg. */
struct series_set *proxy_leg_new(struct rpc_stream *stream, const char *addr,
				 enum partial_strategy partial, uint64_t timeout_ns);

/*
 * Did the request itself end (-1, *e), not the store that failed with `why`? Peers are told our deadline and may
 * report it a moment before our own clock does.
 */
int proxy_request_check(struct ctx *ctx, const struct err *why, struct err *e);

#endif
