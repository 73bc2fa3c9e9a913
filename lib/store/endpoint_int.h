/*
 * store/endpoint_int.h - what the proxy sees of an endpoint.
 */
#ifndef STORE_ENDPOINT_INT_H
#define STORE_ENDPOINT_INT_H

#include "base/limits.h"
#include "dedup/dedup.h"
#include "store/store.h"

/* What an endpoint said of itself. FROZEN, ref-counted. */
struct endpoint_info {
	struct ref ref;
	struct arena arena;
	struct store_info info;
	bool has_store;
};
struct endpoint {
	char *addr;
	struct rpc_channel *channel;
	struct endpoints *set;
	struct merge_origin
		origin; /* its series came out of order: sorted before the merge from then on */
	pthread_mutex_t mu;	    /* all below */
	struct endpoint_info *info; /* newest; NULL: never reached */
	bool healthy, polling;
	int64_t last_check_ms;
	uint64_t reached_ns;  /* when Info last answered */
	char last_error[256]; /* empty: none */
};
struct endpoints {
	struct endpoints_opts o;
	struct endpoint *ep;
	size_t n;
	struct task_timer *timer;
	pthread_mutex_t mu; /* pending */
	pthread_cond_t cv;
	size_t pending; /* Info calls under way */
	struct metric *connections;
	struct cancel *cancel; /* stops polls at the end */
};
/* A snapshot of one endpoint: *info with a reference (or NULL), the error text into err[256]. */
bool endpoint_snapshot(struct endpoint *ep, struct endpoint_info **info, char err[256]);

#endif
