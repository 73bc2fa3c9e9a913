/*
 * model/store.h - what answers StoreAPI: bucket store, Prometheus store, proxy. Mirrors the messages
 * of Store whole, so that nothing is lost between a client and the stores behind a proxy.
 *
 * Thread  SHARED: several requests at a time, each on its own WORKER thread.
 */
#ifndef MODEL_STORE_H
#define MODEL_STORE_H

#include "model/matcher.h"
#include "model/series_set.h"

enum partial_strategy { PARTIAL_WARN, PARTIAL_ABORT };

enum { /* what else a component serves, as Info tells it */
       API_QUERY = 1,
       API_RULES = 2,
       API_TARGETS = 4,
       API_METADATA = 8,
       API_EXEMPLARS = 16,
       API_STATUS = 32,
};
struct tsdb_info {
	struct labels labels;
	int64_t mint_ms, maxt_ms;
};
struct store_info {
	const char *component; /* "sidecar", "store", "query", ... */
	struct labels *label_sets;
	size_t n_label_sets;
	int64_t mint_ms, maxt_ms;
	struct tsdb_info *tsdbs;
	size_t n_tsdbs;
	bool sharding, without_replica_labels;
	unsigned apis;	       /* API_ bits */
	const char *not_ready; /* why there is nothing to tell yet; NULL: there is */
};
struct query_hints {
	int64_t step_ms, range_ms;
	struct str func;
	bool grouped; /* of an aggregation: by () and without () are said, too */
	bool by;
	const struct str *grouping;
	size_t n_grouping;
};
struct shard_info {
	int64_t index, total; /* total 0: no sharding */
	bool by;
	const struct str *labels; /* sorted */
	size_t n;
};
struct store_series_req {
	int64_t mint_ms, maxt_ms; /* inclusive */
	const struct matcher *matchers;
	size_t n_matchers;
	int64_t max_resolution_ms;
	uint32_t aggrs; /* AGGR_BIT set; 0: raw */
	bool skip_chunks;
	enum partial_strategy partial;
	struct shard_info shard;
	const struct str *without_replica_labels; /* sorted */
	size_t n_without;
	int64_t limit;	  /* series; 0: none */
	int64_t batch;	  /* series a message; <= 1: one */
	struct str hints; /* google.protobuf.Any as bytes, or empty */
	struct query_hints query_hints;
	bool want_lanes; /* the caller is thanosc and reads AggrChunk field 1000 */
};
struct store_labels_req { /* names; values when `label` is not NULL */
	struct str label;
	int64_t mint_ms, maxt_ms;
	const struct matcher *matchers;
	size_t n_matchers;
	enum partial_strategy partial;
	const struct str *without_replica_labels;
	size_t n_without;
	int64_t limit;
	struct str hints;
};
struct store_labels_resp { /* in the caller's arena; sorted, unique */
	struct str *v;
	size_t n;
	struct str hints; /* Any as bytes, or empty */
};

struct store;
struct store_ops {
	/* In the arena; from a frozen snapshot: never waits, may be called on a loop. */
	void (*info)(struct store *s, struct arena *a, struct store_info *out);
	int (*series)(struct store *s, struct ctx *ctx,
		      const struct store_series_req *req, struct series_set **out,
		      struct err *e);
	int (*label_names)(struct store *s, struct ctx *ctx, struct arena *a,
			   const struct store_labels_req *req,
			   struct store_labels_resp *out, struct err *e);
	int (*label_values)(struct store *s, struct ctx *ctx, struct arena *a,
			    const struct store_labels_req *req,
			    struct store_labels_resp *out, struct err *e);
};
struct store {
	const struct store_ops *ops;
};
/* req and all it points to must stay valid until the set is closed. */
static inline int store_series(struct store *s, struct ctx *ctx,
			       const struct store_series_req *req,
			       struct series_set **out, struct err *e)
{
	return s->ops->series(s, ctx, req, out, e);
}

#endif
