/*
 * store/store.h - what answers StoreAPI and how it is served: bucket store, Prometheus store, proxy over
 * endpoints; the gRPC face of any `struct store`.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "blocks/blocks.h"
#include "conf/flags.h"
#include "discovery/discovery.h"
#include "http/http.h"
#include "model/store.h"
#include "rpc/rpc.h"
#include "store/federated.h"

/* ---- the gRPC face: Store and Info services over a store ---- */
struct store_service;
struct store_limits {
	uint64_t series, samples; /* per Series call; 0: none */
};
struct store_service_opts {
	struct store *store;
	struct budget *budget;
	uint32_t max_concurrent; /* Series calls at a time; 0: no gate */
	struct store_limits limits;
	struct metric_registry *metrics;
	struct federated *federated; /* served and told by Info, too; NULL: none */
};
struct store_service *store_service_new(const struct store_service_opts *o);
void store_service_free(struct store_service *s);
/* Rows for rpc_server_start; n of them. Valid as long as the service. */
const struct rpc_method *store_service_methods(struct store_service *s, size_t *n);

/* ---- bucket store (thanosc store) ---- */
struct bucket_store;
struct catalogue; /* blocks/blocks.h */
struct relabel;	  /* model/relabel.h */
struct bucket_store_opts {
	struct bucket *bucket;
	const char *data_dir; /* index-headers, meta-syncer */
	struct task_pool *pool;
	struct budget *budget;
	struct metric_registry *metrics;     /* thanos_bucket_store_* */
	struct conf_time min_time, max_time; /* what is served; may move with the clock */
	int64_t consistency_delay_ms, ignore_deletion_marks_ms;
	const struct relabel *
		selector; /* which blocks are served; NULL: all; lives as long as the store */
	bool discovery_concurrent; /* --block-discovery-strategy=concurrent: one listing a folder */
	uint32_t block_sync_concurrency, meta_concurrency;
	struct store_limits limits;
	uint64_t downloaded_bytes_limit;
	/* Told after each sync: what is served, and what went wrong (then c is NULL). */
	void (*on_sync)(void *arg, struct catalogue *c, const struct err *why);
	void *on_sync_arg;
};
MUST_CHECK int bucket_store_new(struct ctx *ctx, const struct bucket_store_opts *o,
				struct bucket_store **out, struct err *e);
void bucket_store_free(struct bucket_store *b); /* after all calls have ended */
/* Sync once: new blocks are opened, gone ones dropped. WORKER */
MUST_CHECK int bucket_store_sync(struct bucket_store *b, struct ctx *ctx, struct err *e);
struct store *bucket_store_store(struct bucket_store *b);

/* ---- Prometheus store (thanosc sidecar) ---- */
/*
 * StoreAPI over one Prometheus: Series from its blocks and by remote read, labels by its HTTP API, all with its
 * external labels. What Info tells and what labels are added comes from the last heartbeat that went well.
 */
struct prom_store;
struct prom_store_opts {
	struct http_client *http;
	struct task_pool *pool;
	struct str url; /* --prometheus.url; may have a path */
	struct metric_registry *metrics;
	struct conf_time min_time; /* --min-time: older data is not served */
	size_t spill_memory;   /* of one answer, before it goes to a file; 0: 16 MiB */
	const char *spill_dir; /* NULL: the place for temporary files */
	/* Its data folder, whose blocks are read directly; NULL: all is asked from Prometheus. asked: by the user. */
	const char *tsdb_dir;
	bool tsdb_asked;
};
MUST_CHECK int prom_store_new(const struct prom_store_opts *o, struct prom_store **out,
			      struct err *e);
void prom_store_free(struct prom_store *p); /* after all calls have ended */
/*
 * Read version, external labels, lowest timestamp and label names again. On failure Prometheus counts as down: Info
 * fails (gRPC Unavailable), so that queriers leave this store out and say so. E_INVALID: it has no external labels,
 * which only its configuration can mend. WORKER
 */
MUST_CHECK int prom_store_heartbeat(struct prom_store *p, struct ctx *ctx, struct err *e);
/* Prometheus' flags, in the arena. `known` is false for a Prometheus that does not tell. WORKER */
struct prom_flags {
	bool known;
	struct str min_block, max_block; /* --storage.tsdb.{min,max}-block-duration */
	int64_t min_block_ms, max_block_ms;
	struct str delay_compact_file; /* --storage.tsdb.delay-compact-file.path */
};
MUST_CHECK int prom_store_flags(struct prom_store *p, struct ctx *ctx, struct arena *a,
				struct prom_flags *out, struct err *e);
/* External labels of the last good heartbeat, in the arena; false: there has been none. */
bool prom_store_labels(struct prom_store *p, struct arena *a, struct labels *out);
struct store *prom_store_store(struct prom_store *p);
struct federated *prom_store_federated(struct prom_store *p);

/* ---- endpoints and proxy (thanosc query) ---- */
struct endpoints;
enum { /* labels of thanos_store_nodes_grpc_connections */
       CONN_EXTERNAL_LABELS = 1,
       CONN_IP_PORT = 2,
       CONN_STORE_TYPE = 4
};
struct endpoints_opts {
	struct loops *loops;
	struct task_pool *pool;
	struct metric_registry *metrics; /* thanos_store_nodes_grpc_connections, ... */
	unsigned conn_labels;		 /* CONN_*; 0: external labels and store type */
	uint64_t info_timeout_ns;	 /* 5 s */
	uint64_t poll_ns;		 /* 5 s */
	uint64_t unhealthy_ns; /* how long the status shows one that does not answer */
};
/* Without any endpoint until endpoints_apply. */
struct endpoints *endpoints_new(const struct endpoints_opts *o);
void endpoints_free(struct endpoints *s); /* after all calls have ended */
/* From now on it is these; calls under way keep what they have. WORKER */
void endpoints_apply(struct endpoints *s, const struct disc_set *set);
/* One round of Info calls to all, awaited; without it each is asked every poll_ns. WORKER */
void endpoints_poll(struct endpoints *s, struct ctx *ctx);
struct endpoint_status { /* for /api/v1/stores */
	struct str name, component, last_error;
	int64_t last_check_ms;
	struct labels *label_sets;
	size_t n_label_sets;
	int64_t mint_ms, maxt_ms;
	bool healthy;
};
/* Those that are healthy, strict, or were healthy (or added) within unhealthy_ns; by name. */
size_t endpoints_status(struct endpoints *s, struct arena *a,
			struct endpoint_status **out);

/* What a query may say about the stores it wants. */
struct proxy_view {
	const struct matcher *const
		*store_match; /* storeMatch[]: sets on __address__ and labels */
	const size_t *n_store_match;
	size_t n_sets;
};
struct proxy;
struct proxy_opts {
	struct endpoints *endpoints;
	uint64_t response_timeout_ns;  /* --store.response-timeout; 0: none */
	struct labels selector_labels; /* --selector-label: advertised by Info */
	unsigned promql_features;      /* PROMQL_ bits of queries for exemplars */
	struct metric_registry *metrics;
	const char *component; /* "query" */
};
struct proxy *proxy_new(const struct proxy_opts *o);
void proxy_free(struct proxy *p);
struct store *proxy_store(struct proxy *p);
/* A store over the endpoints that match `v` only; memory of `a`, valid as long as it. */
struct store *proxy_view_store(struct proxy *p, struct arena *a,
			       const struct proxy_view *v);

/* Rules, targets, metadata, exemplars and statistics of the same endpoints. */
struct federated_proxy;
struct federated_proxy *federated_proxy_new(const struct proxy_opts *o);
void federated_proxy_free(struct federated_proxy *p);
struct federated *federated_proxy_of(struct federated_proxy *p);

#endif
