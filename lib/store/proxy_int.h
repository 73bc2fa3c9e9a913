/*
 * store/proxy_int.h - legs of the proxy.
 */
#ifndef STORE_PROXY_INT_H
#define STORE_PROXY_INT_H

#include "store/store.h"

/* Takes over the stream; addr lives as long as the endpoints. */
struct series_set *proxy_leg_new(struct rpc_stream *stream, const char *addr,
				 enum partial_strategy partial, uint64_t timeout_ns);

#endif
