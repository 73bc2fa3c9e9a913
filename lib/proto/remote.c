/*
 * proto/remote.c - tables of remote read and write, and the list of all messages.
 */
#include "proto/remote.h"

#include "proto/info.h"
#include "proto/store.h"
#include "proto/table.h"

#define PKG "prometheus_copy"

PROTO_ENUM_DEFINE(response_type, PKG, "ReadRequest.ResponseType", "SAMPLES",
		  "STREAMED_XOR_CHUNKS")
PROTO_ENUM_DEFINE(prom_chunk_type, PKG, "Chunk.Encoding", "UNKNOWN", "XOR", "HISTOGRAM",
		  "FLOAT_HISTOGRAM")
PROTO_ENUM_DEFINE(reset_hint, PKG, "Histogram.ResetHint", "UNKNOWN", "YES", "NO", "GAUGE")
PROTO_ENUM_DEFINE(metric_type, PKG, "MetricMetadata.MetricType", "UNKNOWN", "COUNTER",
		  "GAUGE", "HISTOGRAM", "GAUGEHISTOGRAM", "SUMMARY", "INFO", "STATESET")

PROTO_DEFINE(sample, PKG, "Sample", PROTO_FIELDS_SAMPLE)
PROTO_DEFINE(exemplar, PKG, "Exemplar", PROTO_FIELDS_EXEMPLAR)
PROTO_DEFINE(bucket_span, PKG, "BucketSpan", PROTO_FIELDS_BUCKET_SPAN)
PROTO_DEFINE(histogram, PKG, "Histogram", PROTO_FIELDS_HISTOGRAM)
PROTO_DEFINE(time_series, PKG, "TimeSeries", PROTO_FIELDS_TIME_SERIES)
PROTO_DEFINE(metric_metadata, PKG, "MetricMetadata", PROTO_FIELDS_METRIC_METADATA)
PROTO_DEFINE(write_request, PKG, "WriteRequest", PROTO_FIELDS_WRITE_REQUEST)
PROTO_DEFINE(read_hints, PKG, "ReadHints", PROTO_FIELDS_READ_HINTS)
PROTO_DEFINE(read_query, PKG, "Query", PROTO_FIELDS_READ_QUERY)
PROTO_DEFINE(read_request, PKG, "ReadRequest", PROTO_FIELDS_READ_REQUEST)
PROTO_DEFINE(query_result, PKG, "QueryResult", PROTO_FIELDS_QUERY_RESULT)
PROTO_DEFINE(read_response, PKG, "ReadResponse", PROTO_FIELDS_READ_RESPONSE)
PROTO_DEFINE(prom_chunk, PKG, "Chunk", PROTO_FIELDS_PROM_CHUNK)
PROTO_DEFINE(chunked_series, PKG, "ChunkedSeries", PROTO_FIELDS_CHUNKED_SERIES)
PROTO_DEFINE(chunked_read_response, PKG, "ChunkedReadResponse",
	     PROTO_FIELDS_CHUNKED_READ_RESPONSE)

const struct proto_msg *const proto_messages[] = {
	&proto_msg_any, &proto_msg_timestamp, &proto_msg_duration,

	&proto_msg_label, &proto_msg_label_set, &proto_msg_label_matcher, &proto_msg_chunk,
	&proto_msg_aggr_chunk, &proto_msg_series, &proto_msg_series_batch,
	&proto_msg_series_response, &proto_msg_func, &proto_msg_grouping, &proto_msg_range,
	&proto_msg_query_hints, &proto_msg_shard_info, &proto_msg_series_request,
	&proto_msg_label_names_request, &proto_msg_label_names_response,
	&proto_msg_label_values_request, &proto_msg_label_values_response,

	&proto_msg_block, &proto_msg_query_stats, &proto_msg_series_request_hints,
	&proto_msg_series_response_hints, &proto_msg_label_names_request_hints,
	&proto_msg_label_names_response_hints, &proto_msg_label_values_request_hints,
	&proto_msg_label_values_response_hints,

	&proto_msg_info_request, &proto_msg_rules_info, &proto_msg_metric_metadata_info,
	&proto_msg_targets_info, &proto_msg_query_api_info, &proto_msg_status_info,
	&proto_msg_tsdb_info, &proto_msg_store_info, &proto_msg_exemplars_info,
	&proto_msg_info_response,

	&proto_msg_sample, &proto_msg_exemplar, &proto_msg_bucket_span,
	&proto_msg_histogram, &proto_msg_time_series, &proto_msg_metric_metadata,
	&proto_msg_write_request, &proto_msg_read_hints, &proto_msg_read_query,
	&proto_msg_read_request, &proto_msg_query_result, &proto_msg_read_response,
	&proto_msg_prom_chunk, &proto_msg_chunked_series, &proto_msg_chunked_read_response,
};
const size_t proto_messages_n = ARRAY_LEN(proto_messages);

const struct proto_msg *proto_find(struct str full_name)
{
	for (size_t i = 0; i < proto_messages_n; i++) {
		const struct proto_msg *m = proto_messages[i];
		struct str pkg = str_of(m->package);
		if (full_name.n > pkg.n && str_has_prefix(full_name, pkg) &&
		    full_name.p[pkg.n] == '.' &&
		    str_eqz(str_from(full_name, pkg.n + 1), m->name))
			return m;
	}
	return NULL;
}
