/*
 * proto/tables.c - the messages of store.h as field tables.
 */
#include "proto/federated.h"
#include "proto/reflect.h"
#include "proto/rows.h"
#include "proto/store.h"

#define I "thanos.info"
#define H "hintspb"
#define P "prometheus_copy"

NAMES(enum_encoding, "Chunk.Encoding", "XOR", "HISTOGRAM", "FLOAT_HISTOGRAM");
NAMES(enum_matcher, "LabelMatcher.Type", "EQ", "NEQ", "RE", "NRE");
NAMES(enum_aggr, "Aggr", "RAW", "COUNT", "SUM", "MIN", "MAX", "COUNTER");
NAMES(enum_partial, "PartialResponseStrategy", "WARN", "ABORT");

static const struct pf_field label_rows[] = {
	ONE(1, pb_label, name, PF_STRING),
	ONE(2, pb_label, value, PF_STRING),
};
MSG(msg_label, T, "Label", pb_label, label_rows);

static const struct pf_field label_set_rows[] = { SUBS(1, pb_label_set, labels,
						       msg_label) };
MSG(msg_label_set, T, "ZLabelSet", pb_label_set, label_set_rows);

static const struct pf_field chunk_rows[] = {
	ENUM(1, pb_chunk, type, PF_ONE, enum_encoding),
	ONE(2, pb_chunk, data, PF_BYTES),
	ONE(3, pb_chunk, hash, PF_UINT64),
};
MSG(msg_chunk, T, "Chunk", pb_chunk, chunk_rows);

static const struct pf_field aggr_chunk_rows[] = {
	ONE(1, pb_aggr_chunk, min_time, PF_INT64),
	ONE(2, pb_aggr_chunk, max_time, PF_INT64),
	SUB(3, pb_aggr_chunk, raw, msg_chunk),
	SUB(4, pb_aggr_chunk, count, msg_chunk),
	SUB(5, pb_aggr_chunk, sum, msg_chunk),
	SUB(6, pb_aggr_chunk, min, msg_chunk),
	SUB(7, pb_aggr_chunk, max, msg_chunk),
	SUB(8, pb_aggr_chunk, counter, msg_chunk),
	ONE(1000, pb_aggr_chunk, lane, PF_UINT64),
};
MSG(msg_aggr_chunk, T, "AggrChunk", pb_aggr_chunk, aggr_chunk_rows);

static const struct pf_field series_rows[] = {
	SUBS(1, pb_series, labels, msg_label),
	SUBS(2, pb_series, chunks, msg_aggr_chunk),
};
MSG(msg_series, T, "Series", pb_series, series_rows);

static const struct pf_field batch_rows[] = { SUBS(1, pb_series_batch, series,
						   msg_series) };
MSG(msg_series_batch, T, "SeriesBatch", pb_series_batch, batch_rows);

static const struct pf_field any_rows[] = {
	ONE(1, pb_any, type_url, PF_STRING),
	ONE(2, pb_any, value, PF_BYTES),
};
MSG(msg_any, "google.protobuf", "Any", pb_any, any_rows);

static const struct pf_field series_response_rows[] = {
	SUB(1, pb_series_response, series, msg_series),
	MEMBER(2, pb_series_response, warning, PF_STRING),
	SUB(3, pb_series_response, hints, msg_any),
	SUB(4, pb_series_response, batch, msg_series_batch),
};
MSG(msg_series_response, T, "SeriesResponse", pb_series_response, series_response_rows);

static const struct pf_field matcher_rows[] = {
	ENUM(1, pb_matcher, type, PF_ONE, enum_matcher),
	ONE(2, pb_matcher, name, PF_STRING),
	ONE(3, pb_matcher, value, PF_STRING),
};
MSG(msg_matcher, T, "LabelMatcher", pb_matcher, matcher_rows);

static const struct pf_field func_rows[] = { ONE(1, pb_func, name, PF_STRING) };
static MSG(msg_func, T, "Func", pb_func, func_rows);
static const struct pf_field grouping_rows[] = {
	ONE(1, pb_grouping, by, PF_BOOL),
	REP(3, pb_grouping, labels, PF_STRING),
};
static MSG(msg_grouping, T, "Grouping", pb_grouping, grouping_rows);
static const struct pf_field range_rows[] = { ONE(1, pb_range, millis, PF_INT64) };
static MSG(msg_range, T, "Range", pb_range, range_rows);

static const struct pf_field query_hints_rows[] = {
	ONE(1, pb_query_hints, step_millis, PF_INT64),
	SUB(2, pb_query_hints, func, msg_func),
	SUB(4, pb_query_hints, grouping, msg_grouping),
	SUB(5, pb_query_hints, range, msg_range),
	REP(6, pb_query_hints, projection_labels, PF_STRING),
	ONE(7, pb_query_hints, projection_include, PF_BOOL),
	ONE(8, pb_query_hints, series_hash_label_name, PF_STRING),
};
MSG(msg_query_hints, T, "QueryHints", pb_query_hints, query_hints_rows);

static const struct pf_field shard_rows[] = {
	ONE(1, pb_shard_info, shard_index, PF_INT64),
	ONE(2, pb_shard_info, total_shards, PF_INT64),
	ONE(3, pb_shard_info, by, PF_BOOL),
	REP(4, pb_shard_info, labels, PF_STRING),
};
MSG(msg_shard_info, T, "ShardInfo", pb_shard_info, shard_rows);

static const struct pf_field series_request_rows[] = {
	ONE(1, pb_series_request, min_time, PF_INT64),
	ONE(2, pb_series_request, max_time, PF_INT64),
	SUBS(3, pb_series_request, matchers, msg_matcher),
	ONE(4, pb_series_request, max_resolution_window, PF_INT64),
	ENUM(5, pb_series_request, aggregates, PF_REP, enum_aggr),
	ONE(6, pb_series_request, partial_response_disabled, PF_BOOL),
	ENUM(7, pb_series_request, partial_response_strategy, PF_ONE, enum_partial),
	ONE(8, pb_series_request, skip_chunks, PF_BOOL),
	SUB(9, pb_series_request, hints, msg_any),
	ONE(10, pb_series_request, step, PF_INT64),
	ONE(11, pb_series_request, range, PF_INT64),
	SUB(12, pb_series_request, query_hints, msg_query_hints),
	SUB(13, pb_series_request, shard_info, msg_shard_info),
	REP(14, pb_series_request, without_replica_labels, PF_STRING),
	ONE(15, pb_series_request, limit, PF_INT64),
	ONE(16, pb_series_request, response_batch_size, PF_INT64),
	ONE(1000, pb_series_request, want_lanes, PF_BOOL),
};
MSG(msg_series_request, T, "SeriesRequest", pb_series_request, series_request_rows);

#define R pb_labels_request
static const struct pf_field names_request_rows[] = {
	ONE(1, R, partial_response_disabled, PF_BOOL),
	ENUM(2, R, partial_response_strategy, PF_ONE, enum_partial),
	ONE(3, R, start, PF_INT64),
	ONE(4, R, end, PF_INT64),
	SUB(5, R, hints, msg_any),
	SUBS(6, R, matchers, msg_matcher),
	REP(7, R, without_replica_labels, PF_STRING),
	ONE(8, R, limit, PF_INT64),
};
MSG(msg_label_names_request, T, "LabelNamesRequest", R, names_request_rows);

static const struct pf_field values_request_rows[] = {
	ONE(1, R, label, PF_STRING),
	ONE(2, R, partial_response_disabled, PF_BOOL),
	ENUM(3, R, partial_response_strategy, PF_ONE, enum_partial),
	ONE(4, R, start, PF_INT64),
	ONE(5, R, end, PF_INT64),
	SUB(6, R, hints, msg_any),
	SUBS(7, R, matchers, msg_matcher),
	REP(8, R, without_replica_labels, PF_STRING),
	ONE(9, R, limit, PF_INT64),
};
MSG(msg_label_values_request, T, "LabelValuesRequest", R, values_request_rows);
#undef R

static const struct pf_field names_response_rows[] = {
	{ 1, "names", PF_STRING, PF_REP, offsetof(struct pb_labels_response, values),
	  NULL, NULL, 0 },
	REP(2, pb_labels_response, warnings, PF_STRING),
	SUB(3, pb_labels_response, hints, msg_any),
};
MSG(msg_label_names_response, T, "LabelNamesResponse", pb_labels_response,
    names_response_rows);
static const struct pf_field values_response_rows[] = {
	REP(1, pb_labels_response, values, PF_STRING),
	REP(2, pb_labels_response, warnings, PF_STRING),
	SUB(3, pb_labels_response, hints, msg_any),
};
MSG(msg_label_values_response, T, "LabelValuesResponse", pb_labels_response,
    values_response_rows);

static const struct pf_field hints_rows[] = {
	SUBS(1, pb_hints, block_matchers, msg_matcher),
	ONE(2, pb_hints, enable_query_stats, PF_BOOL),
};
MSG(msg_hints, H, "SeriesRequestHints", pb_hints, hints_rows);
static const struct pf_field block_id_rows[] = { ONE(1, pb_block_id, id, PF_STRING) };
static MSG(msg_block_id, H, "Block", pb_block_id, block_id_rows);
static const struct pf_field response_hints_rows[] = {
	SUBS(1, pb_response_hints, queried_blocks, msg_block_id)
};
MSG(msg_response_hints, H, "SeriesResponseHints", pb_response_hints, response_hints_rows);

/* ---- info ---- */

static const struct pf_field tsdb_info_rows[] = {
	SUB(1, pb_tsdb_info, labels, msg_label_set),
	ONE(2, pb_tsdb_info, min_time, PF_INT64),
	ONE(3, pb_tsdb_info, max_time, PF_INT64),
};
MSG(msg_tsdb_info, I, "TSDBInfo", pb_tsdb_info, tsdb_info_rows);

static const struct pf_field store_info_rows[] = {
	ONE(1, pb_store_info, min_time, PF_INT64),
	ONE(2, pb_store_info, max_time, PF_INT64),
	ONE(3, pb_store_info, supports_sharding, PF_BOOL),
	ONE(5, pb_store_info, supports_without_replica_labels, PF_BOOL),
	SUBS(6, pb_store_info, tsdb_infos, msg_tsdb_info),
	ONE(7, pb_store_info, supports_projections, PF_BOOL),
};
MSG(msg_store_info, I, "StoreInfo", pb_store_info, store_info_rows);

#define EMPTY(var, name)                                                                 \
	const struct pf_msg var = { I, name, sizeof(struct pb_empty), NULL, 0 }
EMPTY(msg_info_request, "InfoRequest");
static EMPTY(msg_rules_info, "RulesInfo");
static EMPTY(msg_metadata_info, "MetricMetadataInfo");
static EMPTY(msg_targets_info, "TargetsInfo");
static EMPTY(msg_query_info, "QueryAPIInfo");
static EMPTY(msg_status_info, "StatusInfo");
static const struct pf_field time_info_rows[] = {
	ONE(1, pb_time_info, min_time, PF_INT64),
	ONE(2, pb_time_info, max_time, PF_INT64),
};
static MSG(msg_time_info, I, "ExemplarsInfo", pb_time_info, time_info_rows);

static const struct pf_field info_rows[] = {
	SUBS(1, pb_info_response, label_sets, msg_label_set),
	ONE(2, pb_info_response, component, PF_STRING),
	SUB(3, pb_info_response, store, msg_store_info),
	SUB(4, pb_info_response, rules, msg_rules_info),
	SUB(5, pb_info_response, metadata, msg_metadata_info),
	SUB(6, pb_info_response, targets, msg_targets_info),
	SUB(7, pb_info_response, exemplars, msg_time_info),
	SUB(8, pb_info_response, query, msg_query_info),
	SUB(9, pb_info_response, status, msg_status_info),
};
MSG(msg_info_response, I, "InfoResponse", pb_info_response, info_rows);

/* ---- remote read ---- */

static const struct pf_field read_hints_rows[] = {
	ONE(1, pb_read_hints, step_ms, PF_INT64),
	ONE(2, pb_read_hints, func, PF_STRING),
	ONE(3, pb_read_hints, start_ms, PF_INT64),
	ONE(4, pb_read_hints, end_ms, PF_INT64),
	REP(5, pb_read_hints, grouping, PF_STRING),
	ONE(6, pb_read_hints, by, PF_BOOL),
	ONE(7, pb_read_hints, range_ms, PF_INT64),
};
static MSG(msg_read_hints, P, "ReadHints", pb_read_hints, read_hints_rows);
static const struct pf_field read_query_rows[] = {
	ONE(1, pb_read_query, start_ms, PF_INT64),
	ONE(2, pb_read_query, end_ms, PF_INT64),
	SUBS(3, pb_read_query, matchers, msg_matcher),
	SUB(4, pb_read_query, hints, msg_read_hints),
};
static MSG(msg_read_query, P, "Query", pb_read_query, read_query_rows);
static const struct pf_field read_request_rows[] = {
	SUBS(1, pb_read_request, queries, msg_read_query),
	REP(2, pb_read_request, accepted_response_types, PF_ENUM),
};
MSG(msg_read_request, P, "ReadRequest", pb_read_request, read_request_rows);

static const struct pf_field sample_rows[] = {
	ONE(1, pb_sample, value, PF_DOUBLE),
	ONE(2, pb_sample, timestamp, PF_INT64),
};
static MSG(msg_sample, P, "Sample", pb_sample, sample_rows);
static const struct pf_field span_rows[] = {
	ONE(1, pb_span, offset, PF_SINT32),
	ONE(2, pb_span, length, PF_UINT32),
};
static MSG(msg_span, P, "BucketSpan", pb_span, span_rows);

#define G pb_histogram
static const struct pf_field histogram_rows[] = {
	ALT(1, G, count_int, PF_UINT64, count_case),
	ALT(2, G, count_float, PF_DOUBLE, count_case),
	ONE(3, G, sum, PF_DOUBLE),
	ONE(4, G, schema, PF_SINT32),
	ONE(5, G, zero_threshold, PF_DOUBLE),
	ALT(6, G, zero_count_int, PF_UINT64, zero_count_case),
	ALT(7, G, zero_count_float, PF_DOUBLE, zero_count_case),
	SUBS(8, G, negative_spans, msg_span),
	REP(9, G, negative_deltas, PF_SINT64),
	REP(10, G, negative_counts, PF_DOUBLE),
	SUBS(11, G, positive_spans, msg_span),
	REP(12, G, positive_deltas, PF_SINT64),
	REP(13, G, positive_counts, PF_DOUBLE),
	ONE(14, G, reset_hint, PF_ENUM),
	ONE(15, G, timestamp, PF_INT64),
	REP(16, G, custom_values, PF_DOUBLE),
};
MSG(msg_histogram, P, "Histogram", G, histogram_rows);
#undef G

static const struct pf_field time_series_rows[] = {
	SUBS(1, pb_time_series, labels, msg_label),
	SUBS(2, pb_time_series, samples, msg_sample),
	SUBS(4, pb_time_series, histograms, msg_histogram),
};
MSG(msg_time_series, P, "TimeSeries", pb_time_series, time_series_rows);
static const struct pf_field query_result_rows[] = { SUBS(1, pb_query_result, timeseries,
							  msg_time_series) };
static MSG(msg_query_result, P, "QueryResult", pb_query_result, query_result_rows);
static const struct pf_field read_response_rows[] = { SUBS(1, pb_read_response, results,
							   msg_query_result) };
MSG(msg_read_response, P, "ReadResponse", pb_read_response, read_response_rows);

static const struct pf_field prom_chunk_rows[] = {
	ONE(1, pb_prom_chunk, min_time_ms, PF_INT64),
	ONE(2, pb_prom_chunk, max_time_ms, PF_INT64),
	ONE(3, pb_prom_chunk, type, PF_ENUM),
	ONE(4, pb_prom_chunk, data, PF_BYTES),
};
static MSG(msg_prom_chunk, P, "Chunk", pb_prom_chunk, prom_chunk_rows);
static const struct pf_field chunked_series_rows[] = {
	SUBS(1, pb_chunked_series, labels, msg_label),
	SUBS(2, pb_chunked_series, chunks, msg_prom_chunk),
};
static MSG(msg_chunked_series, P, "ChunkedSeries", pb_chunked_series,
	   chunked_series_rows);
static const struct pf_field chunked_rows[] = {
	SUBS(1, pb_chunked_read_response, chunked_series, msg_chunked_series),
	ONE(2, pb_chunked_read_response, query_index, PF_INT64),
};
MSG(msg_chunked_read_response, P, "ChunkedReadResponse", pb_chunked_read_response,
    chunked_rows);

/* ---- health and reflection ---- */

NAMES(enum_serving, "HealthCheckResponse.ServingStatus", "UNKNOWN", "SERVING",
      "NOT_SERVING", "SERVICE_UNKNOWN");
struct pb_health_request {
	struct str service;
};
struct pb_health_response {
	int32_t status;
};
#define HEALTH "grpc.health.v1"
static const struct pf_field health_request_rows[] = { ONE(1, pb_health_request, service,
							   PF_STRING) };
static MSG(msg_health_request, HEALTH, "HealthCheckRequest", pb_health_request,
	   health_request_rows);
static const struct pf_field health_response_rows[] = {
	ENUM(1, pb_health_response, status, PF_ONE, enum_serving)
};
static MSG(msg_health_response, HEALTH, "HealthCheckResponse", pb_health_response,
	   health_response_rows);

#define V1 "grpc.reflection.v1"
#define Q  pb_reflection_request
static const struct pf_field extension_request_rows[] = {
	ONE(1, pb_extension_request, containing_type, PF_STRING),
	ONE(2, pb_extension_request, extension_number, PF_INT32),
};
static MSG(msg_extension_request, V1, "ExtensionRequest", pb_extension_request,
	   extension_request_rows);
static const struct pf_field reflection_request_rows[] = {
	ONE(1, Q, host, PF_STRING),
	MEMBER(3, Q, file_by_filename, PF_STRING),
	MEMBER(4, Q, file_containing_symbol, PF_STRING),
	SUB(5, Q, file_containing_extension, msg_extension_request),
	MEMBER(6, Q, all_extension_numbers_of_type, PF_STRING),
	MEMBER(7, Q, list_services, PF_STRING),
};
MSG(msg_reflection_request, V1, "ServerReflectionRequest", Q, reflection_request_rows);
#undef Q
static const struct pf_field descriptors_rows[] = {
	REP(1, pb_file_descriptor_response, file_descriptor_proto, PF_BYTES)
};
static MSG(msg_descriptors, V1, "FileDescriptorResponse", pb_file_descriptor_response,
	   descriptors_rows);
static const struct pf_field extension_numbers_rows[] = {
	ONE(1, pb_extension_numbers, base_type_name, PF_STRING),
	REP(2, pb_extension_numbers, extension_number, PF_INT32),
};
static MSG(msg_extension_numbers, V1, "ExtensionNumberResponse", pb_extension_numbers,
	   extension_numbers_rows);
static const struct pf_field service_response_rows[] = { ONE(1, pb_service_response, name,
							     PF_STRING) };
static MSG(msg_service_response, V1, "ServiceResponse", pb_service_response,
	   service_response_rows);
static const struct pf_field list_services_rows[] = { SUBS(1, pb_list_services, service,
							   msg_service_response) };
static MSG(msg_list_services, V1, "ListServiceResponse", pb_list_services,
	   list_services_rows);
static const struct pf_field reflection_error_rows[] = {
	ONE(1, pb_reflection_error, error_code, PF_INT32),
	ONE(2, pb_reflection_error, error_message, PF_STRING),
};
static MSG(msg_reflection_error, V1, "ErrorResponse", pb_reflection_error,
	   reflection_error_rows);
#define A pb_reflection_response
static const struct pf_field reflection_response_rows[] = {
	ONE(1, A, valid_host, PF_STRING),
	SUB(2, A, original_request, msg_reflection_request),
	SUB(4, A, file_descriptor_response, msg_descriptors),
	SUB(5, A, all_extension_numbers_response, msg_extension_numbers),
	SUB(6, A, list_services_response, msg_list_services),
	SUB(7, A, error_response, msg_reflection_error),
};
MSG(msg_reflection_response, V1, "ServerReflectionResponse", A, reflection_response_rows);
#undef A

/* ---- files ---- */

/* Labels and matchers are shared: remote read's own package uses the same fields. */
static const struct pf_msg *const thanos_msgs[] = {
	&msg_label,
	&msg_label_set,
	&msg_chunk,
	&msg_aggr_chunk,
	&msg_series,
	&msg_series_batch,
	&msg_series_response,
	&msg_matcher,
	&msg_func,
	&msg_grouping,
	&msg_range,
	&msg_query_hints,
	&msg_shard_info,
	&msg_series_request,
	&msg_label_names_request,
	&msg_label_values_request,
	&msg_label_names_response,
	&msg_label_values_response,
	&msg_rules_request,
	&msg_rules_response,
	&msg_rule_group,
	&msg_rule,
	&msg_recording,
	&msg_alert,
	&msg_alert_instance,
	&msg_targets_request,
	&msg_targets_response,
	&msg_target_discovery,
	&msg_active_target,
	&msg_dropped_target,
	&msg_metadata_request,
	&msg_metadata_response,
	&msg_metadata,
	&msg_metadata_entry,
	&msg_metas,
	&msg_meta,
	&msg_exemplars_request,
	&msg_exemplars_response,
	&msg_exemplar_data,
	&msg_exemplar,
	&msg_statistics_request,
	&msg_statistics_response,
	&msg_statistics,
	&msg_statistics_by_tenant,
	&msg_statistics_entry,
	&msg_head_statistics,
	&msg_statistic,
};
static const struct pf_msg *const info_msgs[] = {
	&msg_tsdb_info,	    &msg_store_info,   &msg_rules_info,	 &msg_metadata_info,
	&msg_targets_info,  &msg_query_info,   &msg_status_info, &msg_time_info,
	&msg_info_response, &msg_info_request,
};
static const struct pf_msg *const any_msgs[] = { &msg_any };
static const struct pf_msg *const timestamp_msgs[] = { &msg_timestamp };
static const struct pf_msg *const google_msgs[] = { &msg_any, &msg_timestamp };
static const struct pf_msg *const hints_msgs[] = { &msg_hints, &msg_block_id,
						   &msg_response_hints };
static const struct pf_msg *const health_msgs[] = { &msg_health_request,
						    &msg_health_response };
static const struct pf_msg *const reflection_msgs[] = {
	&msg_reflection_request, &msg_extension_request, &msg_reflection_response,
	&msg_descriptors,	 &msg_extension_numbers, &msg_list_services,
	&msg_service_response,	 &msg_reflection_error,
};

static const struct pf_method store_methods[] = {
	{ "Series", &msg_series_request, &msg_series_response, false, true },
	{ "LabelNames", &msg_label_names_request, &msg_label_names_response, false,
	  false },
	{ "LabelValues", &msg_label_values_request, &msg_label_values_response, false,
	  false },
};
static const struct pf_method rules_methods[] = { { "Rules", &msg_rules_request,
						    &msg_rules_response, false, true } };
static const struct pf_method targets_methods[] = {
	{ "Targets", &msg_targets_request, &msg_targets_response, false, true }
};
static const struct pf_method metadata_methods[] = {
	{ "MetricMetadata", &msg_metadata_request, &msg_metadata_response, false, true }
};
static const struct pf_method exemplars_methods[] = {
	{ "Exemplars", &msg_exemplars_request, &msg_exemplars_response, false, true }
};
static const struct pf_method status_methods[] = {
	{ "TSDBStatistics", &msg_statistics_request, &msg_statistics_response, false,
	  true }
};
static const struct pf_method info_methods[] = { { "Info", &msg_info_request,
						   &msg_info_response, false, false } };
static const struct pf_method health_methods[] = {
	{ "Check", &msg_health_request, &msg_health_response, false, false },
	{ "Watch", &msg_health_request, &msg_health_response, false, true },
};
static const struct pf_method reflection_methods[] = {
	{ "ServerReflectionInfo", &msg_reflection_request, &msg_reflection_response, true,
	  true }
};
#define SERVICE(name, methods)                                                           \
	{                                                                                \
		name, methods, ARRAY_LEN(methods)                                        \
	}
static const struct pf_service thanos_services[] = {
	SERVICE("Store", store_methods),	 SERVICE("Rules", rules_methods),
	SERVICE("Targets", targets_methods),	 SERVICE("Metadata", metadata_methods),
	SERVICE("Exemplars", exemplars_methods), SERVICE("Status", status_methods),
};
static const struct pf_service info_services[] = { SERVICE("Info", info_methods) };
static const struct pf_service health_services[] = { SERVICE("Health", health_methods) };
static const struct pf_service reflection_services[] = { SERVICE("ServerReflection",
								 reflection_methods) };

#define FILE_OF(name, package, msgs, services)                                           \
	{                                                                                \
		name, package, msgs, ARRAY_LEN(msgs), services, ARRAY_LEN(services)      \
	}
const struct pf_file pf_files[] = {
	FILE_OF("store/storepb/rpc.proto", T, thanos_msgs, thanos_services),
	FILE_OF("info/infopb/rpc.proto", I, info_msgs, info_services),
	{ "google/protobuf/any.proto", "google.protobuf", any_msgs, ARRAY_LEN(any_msgs),
	  NULL, 0 },
	{ "google/protobuf/timestamp.proto", "google.protobuf", timestamp_msgs,
	  ARRAY_LEN(timestamp_msgs), NULL, 0 },
	{ "store/hintspb/hints.proto", H, hints_msgs, ARRAY_LEN(hints_msgs), NULL, 0 },
	FILE_OF("grpc/health/v1/health.proto", HEALTH, health_msgs, health_services),
	FILE_OF("grpc/reflection/v1/reflection.proto", V1, reflection_msgs,
		reflection_services),
	FILE_OF("grpc/reflection/v1alpha/reflection.proto", "grpc.reflection.v1alpha",
		reflection_msgs, reflection_services),
};
const size_t pf_n_files = ARRAY_LEN(pf_files);

const struct pf_msg *const *proto_package(const char *package, size_t *n)
{
	if (strcmp(package, "google.protobuf") == 0) { /* of several files */
		*n = ARRAY_LEN(google_msgs);
		return google_msgs;
	}
	for (size_t i = 0; i < pf_n_files; i++)
		if (strcmp(package, pf_files[i].package) == 0) {
			*n = pf_files[i].n_msgs;
			return pf_files[i].msg;
		}
	*n = 0;
	return NULL;
}
