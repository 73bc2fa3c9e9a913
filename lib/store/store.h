/*
 * store/store.h - what answers StoreAPI and how it is served: bucket store, Prometheus store, proxy over
 * endpoints; the gRPC face of any `struct store`.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "blocks/blocks.h"
#include "http/http.h"
#include "model/store.h"
#include "rpc/rpc.h"

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
	/* Bits of Info beyond StoreInfo: what else the component serves. */
	bool query_api, rules, targets, metadata, exemplars, status;
};
struct store_service *store_service_new(const struct store_service_opts *o);
void store_service_free(struct store_service *s);
/* Rows for rpc_server_start; n of them. Valid as long as the service. */
const struct rpc_method *store_service_methods(struct store_service *s, size_t *n);

/* ---- bucket store (thanosc store) ---- */
struct bucket_store;
struct bucket_store_opts {
	struct bucket *bucket;
	const char *data_dir; /* index-headers, meta-syncer */
	struct task_pool *pool;
	struct budget *budget;
	struct metric_registry *metrics; /* thanos_bucket_store_* */
	int64_t mint_ms, maxt_ms, consistency_delay_ms, ignore_deletion_marks_ms;
	uint32_t block_sync_concurrency, meta_concurrency;
	struct store_limits limits;
	uint64_t downloaded_bytes_limit;
};
MUST_CHECK int bucket_store_new(struct ctx *ctx, const struct bucket_store_opts *o,
				struct bucket_store **out, struct err *e);
void bucket_store_free(struct bucket_store *b); /* after all calls have ended */
/* Sync once: new blocks are opened, gone ones dropped. WORKER */
MUST_CHECK int bucket_store_sync(struct bucket_store *b, struct ctx *ctx, struct err *e);
struct store *bucket_store_store(struct bucket_store *b);

/* ---- Prometheus store (thanosc sidecar) ---- */
struct prom_store;
struct prom_store_opts {
	struct http_client *http;
	struct str url; /* --prometheus.url */
	struct metric_registry *metrics;
	struct budget *budget;
	uint64_t get_config_timeout_ns;
	int64_t min_time_ms; /* --min-time */
	struct store_limits limits;
};
MUST_CHECK int prom_store_new(const struct prom_store_opts *o, struct prom_store **out,
			      struct err *e);
void prom_store_free(struct prom_store *p);
/* Read version, external labels and lowest timestamp again; on failure up() becomes false. WORKER */
MUST_CHECK int prom_store_heartbeat(struct prom_store *p, struct ctx *ctx, struct err *e);
bool prom_store_up(const struct prom_store *p);
struct str prom_store_flag(struct prom_store *p, struct arena *a,
			   const char *name); /* of the last
	/api/v1/status/flags; empty: unknown */
bool prom_store_labels(struct prom_store *p, struct arena *a, struct labels *out);
struct store *prom_store_store(struct prom_store *p);

/* ---- endpoints and proxy (thanosc query) ---- */
struct endpoints;
struct endpoints_opts {
	const struct str *addrs;
	size_t n;
	struct loops *loops;
	struct task_pool *pool;
	struct metric_registry *metrics; /* thanos_store_nodes_grpc_connections, ... */
	uint64_t info_timeout_ns;	 /* 5 s */
	uint64_t poll_ns;		 /* 5 s */
	uint64_t unhealthy_ns;		 /* 5 min: shown that long */
};
MUST_CHECK int endpoints_new(const struct endpoints_opts *o, struct endpoints **out,
			     struct err *e);
void endpoints_free(struct endpoints *s);
/* One round of Info calls to all; the poll timer does the same. WORKER */
void endpoints_poll(struct endpoints *s, struct ctx *ctx);
struct endpoint_status { /* for /api/v1/stores */
	struct str name, component, last_error;
	int64_t last_check_ms;
	struct labels *label_sets;
	size_t n_label_sets;
	int64_t mint_ms, maxt_ms;
	bool healthy;
};
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
	struct metric_registry *metrics;
	const char *component; /* "query" */
};
struct proxy *proxy_new(const struct proxy_opts *o);
void proxy_free(struct proxy *p);
struct store *proxy_store(struct proxy *p);
/* A store over the endpoints that match `v` only; memory of `a`, valid as long as it. */
struct store *proxy_view_store(struct proxy *p, struct arena *a,
			       const struct proxy_view *v);

#endif
