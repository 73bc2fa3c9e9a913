/*
 * store/proxy_int.h - legs of the proxy, and the proxy of the federated APIs.
 */
#ifndef STORE_PROXY_INT_H
#define STORE_PROXY_INT_H

#include "base/limits.h"
#include "store/store.h"

/* Of one leg; doubled each time that its reader has to wait although it was full before. */
#define PROXY_READ_AHEAD ((size_t)256 << 10)

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

struct proxy_leg_opts {
	const struct proxy_call
		*call; /* copied, with the request; its member is taken over */
	enum partial_strategy partial;
	uint64_t timeout_ns;
	struct metric *empty; /* counts streams that end without a frame; or NULL */
	const struct store_series_req *req; /* texts of its matchers outlive the leg */
};
/* Takes over the stream. */
struct series_set *proxy_leg_new(struct rpc_stream *stream,
				 const struct proxy_leg_opts *o);

/*
 * Did the request itself end (-1, *e), not the store that failed with `why`? Peers are told our deadline and may
 * report it a moment before our own clock does.
 */
int proxy_request_check(struct ctx *ctx, const struct err *why, struct err *e);

/* Could a store with such external labels hold what matches? A label it lacks may be a series' own. */
bool proxy_sets_may_match(const struct store_info *s, const struct matcher *m, size_t n);

/* ---- proxy_federated.c, proxy_federated_exemplars.c ---- */
struct federated_proxy {
	struct federated base;
	struct proxy_opts o;
};
struct exemplar_selector {
	const struct matcher *m;
	size_t n;
};
struct exemplar_selectors {
	const struct exemplar_selector *v;
	size_t n;
};
/*
 * The selectors of a query that do not contradict the labels `ours`, matchers on these left out. 1; 0: none, nothing can
 * match; -1: E_PARSE, or E_INVALID where nothing is left to select by.
 */
MUST_CHECK int proxy_exemplar_selectors(struct ctx *ctx, struct arena *a,
					struct str query, unsigned features,
					struct labels ours,
					struct exemplar_selectors *out, struct err *e);
/* What an endpoint is to be asked, in the arena. 1; 0: nothing of it can match; -1. */
MUST_CHECK int proxy_exemplar_query(struct ctx *ctx, struct arena *a,
				    const struct exemplar_selectors *sel,
				    const struct store_info *info, struct str *query,
				    struct err *e);

#endif
