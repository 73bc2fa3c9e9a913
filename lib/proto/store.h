/*
 * proto/store.h - the messages of thanos.Store, thanos.info.Info and remote read, as structs over field tables.
 *
 * Source  thanos.md §2.2. Field 1000 of AggrChunk (lane) is thanosc's own: the replica identity of a chunk;
 *         others skip it as unknown.
 */
#ifndef PROTO_STORE_H
#define PROTO_STORE_H

#include "proto/msg.h"

struct pb_label {
	struct str name, value;
};
struct pb_label_set {
	struct pf_list labels; /* pb_label */
};
struct pb_chunk {
	int32_t type; /* XOR 0, HISTOGRAM 1, FLOAT_HISTOGRAM 2 */
	struct str data;
	uint64_t hash;
};
struct pb_aggr_chunk {
	int64_t min_time, max_time;
	struct pb_chunk *raw, *count, *sum, *min, *max, *counter;
	uint64_t lane;
};
struct pb_series {
	struct pf_list labels, chunks; /* pb_label, pb_aggr_chunk */
};
struct pb_series_batch {
	struct pf_list series; /* pb_series */
};
struct pb_any {
	struct str type_url, value;
};
struct pb_series_response {
	struct pb_series *series;
	struct str warning;
	struct pb_any *hints;
	struct pb_series_batch *batch;
};
struct pb_matcher {
	int32_t type;
	struct str name, value;
};
struct pb_func {
	struct str name;
};
struct pb_grouping {
	bool by;
	struct pf_list labels; /* str */
};
struct pb_range {
	int64_t millis;
};
struct pb_query_hints {
	int64_t step_millis;
	struct pb_func *func;
	struct pb_grouping *grouping;
	struct pb_range *range;
	struct pf_list projection_labels;
	bool projection_include;
	struct str series_hash_label_name;
};
struct pb_shard_info {
	int64_t shard_index, total_shards;
	bool by;
	struct pf_list labels;
};
struct pb_series_request {
	int64_t min_time, max_time;
	struct pf_list matchers;
	int64_t max_resolution_window;
	struct pf_list aggregates; /* int32 */
	bool partial_response_disabled;
	int32_t partial_response_strategy;
	bool skip_chunks;
	struct pb_any *hints;
	int64_t step, range;
	struct pb_query_hints *query_hints;
	struct pb_shard_info *shard_info;
	struct pf_list without_replica_labels;
	int64_t limit, response_batch_size;
	bool want_lanes; /* field 1000, thanosc's own */
};
struct pb_labels_request { /* LabelNames without label, LabelValues with it */
	struct str label;
	bool partial_response_disabled;
	int32_t partial_response_strategy;
	int64_t start, end;
	struct pb_any *hints;
	struct pf_list matchers, without_replica_labels;
	int64_t limit;
};
struct pb_labels_response {
	struct pf_list values, warnings;
	struct pb_any *hints;
};
struct pb_block_id {
	struct str id;
};
struct pb_hints { /* SeriesRequestHints: matchers; *ResponseHints: blocks */
	struct pf_list block_matchers;
	bool enable_query_stats;
};
struct pb_response_hints {
	struct pf_list queried_blocks;
};
struct pb_tsdb_info {
	struct pb_label_set *labels;
	int64_t min_time, max_time;
};
struct pb_store_info {
	int64_t min_time, max_time;
	bool supports_sharding, supports_without_replica_labels;
	struct pf_list tsdb_infos;
	bool supports_projections;
};
struct pb_empty {
	bool unused;
};
struct pb_time_info {
	int64_t min_time, max_time;
};
struct pb_info_response {
	struct pf_list label_sets;
	struct str component;
	struct pb_store_info *store;
	struct pb_empty *rules, *metadata, *targets;
	struct pb_time_info *exemplars;
	struct pb_empty *query, *status;
};

/* remote read (package prometheus_copy) */
struct pb_read_hints {
	int64_t step_ms;
	struct str func;
	int64_t start_ms, end_ms;
	struct pf_list grouping;
	bool by;
	int64_t range_ms;
};
struct pb_read_query {
	int64_t start_ms, end_ms;
	struct pf_list matchers;
	struct pb_read_hints *hints;
};
struct pb_read_request {
	struct pf_list queries, accepted_response_types;
};
struct pb_sample {
	double value;
	int64_t timestamp;
};
struct pb_span {
	int32_t offset;
	uint32_t length;
};
struct pb_histogram {
	uint64_t count_int;
	double count_float, sum;
	int32_t schema;
	double zero_threshold;
	uint64_t zero_count_int;
	double zero_count_float;
	struct pf_list negative_spans, negative_deltas, negative_counts;
	struct pf_list positive_spans, positive_deltas, positive_counts;
	int32_t reset_hint;
	int64_t timestamp;
	struct pf_list custom_values;
	/* Numbers of the members present, 0: none. A histogram of floats is one whose count is count_float (2). */
	uint8_t count_case, zero_count_case;
};
struct pb_time_series {
	struct pf_list labels, samples, histograms;
};
struct pb_query_result {
	struct pf_list timeseries;
};
struct pb_read_response {
	struct pf_list results;
};
struct pb_prom_chunk {
	int64_t min_time_ms, max_time_ms;
	int32_t type;
	struct str data;
};
struct pb_chunked_series {
	struct pf_list labels, chunks;
};
struct pb_chunked_read_response {
	struct pf_list chunked_series;
	int64_t query_index;
};

extern const struct pf_msg msg_label, msg_label_set, msg_chunk, msg_aggr_chunk,
	msg_series, msg_series_batch, msg_any, msg_series_response, msg_matcher,
	msg_query_hints, msg_shard_info, msg_series_request, msg_label_names_request,
	msg_label_values_request, msg_label_names_response, msg_label_values_response,
	msg_hints, msg_response_hints, msg_tsdb_info, msg_store_info, msg_info_request,
	msg_info_response, msg_read_request, msg_read_response, msg_time_series,
	msg_histogram, msg_chunked_read_response;

/* All messages of a package, for .proto text; *n of them. */
const struct pf_msg *const *proto_package(const char *package, size_t *n);

#endif
