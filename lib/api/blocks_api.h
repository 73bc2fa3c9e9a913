/*
 * api/blocks_api.h - the HTTP API over the blocks of a bucket: what there is, marks, status of the process. Served by
 * compact and store.
 *
 * Thread  SHARED; handlers run on request threads
 * Source  thanos.md §1.2, §1.5
 */
#ifndef API_BLOCKS_API_H
#define API_BLOCKS_API_H

#include "blocks/blocks.h"
#include "conf/flags.h"
#include "http/http.h"

enum blocks_view { BLOCKS_GLOBAL, BLOCKS_LOADED, BLOCKS_VIEWS };
struct blocks_api_opts {
	struct bucket *bucket; /* of marks */
	struct str label;      /* --bucket-web-label */
	bool no_admin;	       /* --disable-admin-operations */
	struct task_pool *pool;
	const struct conf_result *flags;
	const char *version, *revision;
};
struct blocks_api;
struct blocks_api *blocks_api_new(const struct blocks_api_opts *o);
void blocks_api_free(
	struct blocks_api *a); /* NULL allowed; after the server has stopped */
/* What a view shows from now on (takes a reference); c NULL: the old one stays, `why` tells what went wrong. */
void blocks_api_set(struct blocks_api *a, enum blocks_view v, struct catalogue *c,
		    const struct err *why);
/* Rows for http_server_start; valid as long as the api. */
const struct http_route *blocks_api_routes(struct blocks_api *a, size_t *n);

#endif
