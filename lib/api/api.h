/*
 * api/api.h - the HTTP API of a querier: Prometheus' query endpoints with Thanos' parameters.
 *
 * Thread  handlers run on request threads; what they answer from is frozen or locked by its owner.
 */
#ifndef API_API_H
#define API_API_H

#include "conf/flags.h"
#include "http/http.h"
#include "promql/exec/engine.h"
#include "store/store.h"

struct api_opts {
	struct proxy *proxy;
	struct endpoints *endpoints;
	struct federated *federated;
	struct task_pool *pool;
	struct metric_registry *metrics;
	const struct str *replica_labels; /* sorted */
	size_t n_replica_labels;
	int64_t timeout_ms, lookback_ms, default_step_ms, default_eval_interval_ms;
	int64_t metadata_range_ms; /* 0: everything */
	uint32_t max_concurrent, max_selects;
	const struct api_telemetry *telemetry; /* NULL: none */
	int64_t instant_resolution_ms; /* of instant queries that leave it to us */
	struct budget *budget;	       /* the process' */
	size_t max_memory,
		total_memory; /* of a query, of all queries; 0: none of its own */
	uint64_t max_samples; /* of a query at once; 0: none */
	int64_t slow_ms;      /* queries that take longer are logged; 0: none is */
	const char *active_dir, *query_log; /* NULL: no such log */
	bool partial_response, auto_downsampling, dynamic_lookback;
	unsigned promql_features;			   /* PROMQL_ bits */
	bool delayed_names, start_timestamps, type_labels; /* as in struct promql_query */
	struct { /* partial_response of the federated APIs where it is not asked for */
		bool rules, targets, metadata, exemplars, status;
	} partial;
	const char *tenant_header; /* in lower case */
	struct str default_tenant, tenant_label;
	/* Where the tenant stands in the client's certificate; then headers do not count. */
	enum api_tenant_field {
		API_TENANT_HEADER,
		API_TENANT_ORGANIZATION,
		API_TENANT_UNIT,
		API_TENANT_COMMON_NAME
	} tenant_field;
	bool enforce_tenancy;
	const struct conf_result *flags;
	const char *version, *revision;
};
/*
 * Bounds of thanos_store_api_query_duration_seconds and of its labels, each a list of numbers apart or with commas, ascending
 * (E_INVALID names the flag). Memory of `a`, which must outlive the registry.
 */
struct api_telemetry;
MUST_CHECK int api_telemetry_new(struct arena *a, const struct conf_strs *time,
				 const struct conf_strs *samples,
				 const struct conf_strs *series,
				 struct api_telemetry **out, struct err *e);

struct api;
MUST_CHECK int api_new(const struct api_opts *o, struct api **out, struct err *e);
void api_free(struct api *a);
/* Rows for http_server_start; valid as long as the api. */
const struct http_route *api_routes(struct api *a, size_t *n);

/* ---- rendering, also for tests ---- */
/* The value of "data": {"resultType":...,"result":...}, appended to out. */
void api_render_result(const struct promql_result *r, struct buf *out);
void api_render_labels(struct labels ls, struct buf *out); /* {"a":"b"} */
/* A whole error body. */
void api_render_error(const char *type, const char *text, const struct notes_view *notes,
		      struct buf *out);
/* `,"warnings":[...],"infos":[...]` where there are any. */
void api_render_notes(const struct notes_view *v, struct buf *out);

/* Time: float seconds or RFC3339 -> ms. Duration: float seconds or "5m" -> ms. */
bool api_parse_time(struct str s, int64_t *ms);
bool api_parse_duration(struct str s, int64_t *ms);

#endif
