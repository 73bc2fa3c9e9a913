/*
 * proto/remote.h - Prometheus' remote read and write (v1) and its series with samples (package
 * prometheus_copy in Thanos' files; the wire is that of Prometheus).
 */
#ifndef PROTO_REMOTE_H
#define PROTO_REMOTE_H

#include "proto/label.h"

extern const struct proto_enum proto_enum_response_type, proto_enum_prom_chunk_type,
	proto_enum_reset_hint, proto_enum_metric_type;

#define PROTO_FIELDS_SAMPLE(F, S) F(S, F64, 1, value) F(S, I64, 2, timestamp)
PROTO_DECLARE(sample, PROTO_FIELDS_SAMPLE)
#define PROTO_FIELDS_EXEMPLAR(F, S) \
	F(S, REP_MSG, 1, labels, label) F(S, F64, 2, value) F(S, I64, 3, timestamp)
PROTO_DECLARE(exemplar, PROTO_FIELDS_EXEMPLAR)
#define PROTO_FIELDS_BUCKET_SPAN(F, S) F(S, S32, 1, offset) F(S, U32, 2, length)
PROTO_DECLARE(bucket_span, PROTO_FIELDS_BUCKET_SPAN)
#define PROTO_FIELDS_HISTOGRAM(F, S)                                                    \
	F(S, ONEOF, 0, count) F(S, OF, 1, count_int, U64, count)                         \
	F(S, OF, 2, count_float, F64, count) F(S, F64, 3, sum) F(S, S32, 4, schema)      \
	F(S, F64, 5, zero_threshold) F(S, ONEOF, 0, zero_count)                          \
	F(S, OF, 6, zero_count_int, U64, zero_count)                                     \
	F(S, OF, 7, zero_count_float, F64, zero_count)                                   \
	F(S, REP_MSG, 8, negative_spans, bucket_span) F(S, REP, 9, negative_deltas, S64) \
	F(S, REP, 10, negative_counts, F64)                                              \
	F(S, REP_MSG, 11, positive_spans, bucket_span)                                   \
	F(S, REP, 12, positive_deltas, S64) F(S, REP, 13, positive_counts, F64)          \
	F(S, ENUM, 14, reset_hint, reset_hint) F(S, I64, 15, timestamp)                  \
	F(S, REP, 16, custom_values, F64)
PROTO_DECLARE(histogram, PROTO_FIELDS_HISTOGRAM)
#define PROTO_FIELDS_TIME_SERIES(F, S)                                                  \
	F(S, REP_MSG, 1, labels, label) F(S, REP_MSG, 2, samples, sample)                \
	F(S, REP_MSG, 3, exemplars, exemplar) F(S, REP_MSG, 4, histograms, histogram)
PROTO_DECLARE(time_series, PROTO_FIELDS_TIME_SERIES)
#define PROTO_FIELDS_METRIC_METADATA(F, S)                                              \
	F(S, ENUM, 1, type, metric_type) F(S, STR, 2, metric_family_name)                \
	F(S, STR, 4, help) F(S, STR, 5, unit)
PROTO_DECLARE(metric_metadata, PROTO_FIELDS_METRIC_METADATA)
#define PROTO_FIELDS_WRITE_REQUEST(F, S) \
	F(S, REP_MSG, 1, timeseries, time_series) F(S, REP_MSG, 3, metadata, metric_metadata)
PROTO_DECLARE(write_request, PROTO_FIELDS_WRITE_REQUEST)

#define PROTO_FIELDS_READ_HINTS(F, S)                                                   \
	F(S, I64, 1, step_ms) F(S, STR, 2, func) F(S, I64, 3, start_ms)                  \
	F(S, I64, 4, end_ms) F(S, REP, 5, grouping, STR) F(S, BOOL, 6, by)               \
	F(S, I64, 7, range_ms)
PROTO_DECLARE(read_hints, PROTO_FIELDS_READ_HINTS)
#define PROTO_FIELDS_READ_QUERY(F, S)                                                   \
	F(S, I64, 1, start_timestamp_ms) F(S, I64, 2, end_timestamp_ms)                  \
	F(S, REP_MSG, 3, matchers, label_matcher) F(S, MSG, 4, hints, read_hints)
PROTO_DECLARE(read_query, PROTO_FIELDS_READ_QUERY)
#define PROTO_FIELDS_READ_REQUEST(F, S)          \
	F(S, REP_MSG, 1, queries, read_query)    \
	F(S, REP_ENUM, 2, accepted_response_types, response_type)
PROTO_DECLARE(read_request, PROTO_FIELDS_READ_REQUEST)
#define PROTO_FIELDS_QUERY_RESULT(F, S) F(S, REP_MSG, 1, timeseries, time_series)
PROTO_DECLARE(query_result, PROTO_FIELDS_QUERY_RESULT)
#define PROTO_FIELDS_READ_RESPONSE(F, S) F(S, REP_MSG, 1, results, query_result)
PROTO_DECLARE(read_response, PROTO_FIELDS_READ_RESPONSE)

#define PROTO_FIELDS_PROM_CHUNK(F, S)                                                   \
	F(S, I64, 1, min_time_ms) F(S, I64, 2, max_time_ms)                              \
	F(S, ENUM, 3, type, prom_chunk_type) F(S, BYTES, 4, data)
PROTO_DECLARE(prom_chunk, PROTO_FIELDS_PROM_CHUNK)
#define PROTO_FIELDS_CHUNKED_SERIES(F, S) \
	F(S, REP_MSG, 1, labels, label) F(S, REP_MSG, 2, chunks, prom_chunk)
PROTO_DECLARE(chunked_series, PROTO_FIELDS_CHUNKED_SERIES)
#define PROTO_FIELDS_CHUNKED_READ_RESPONSE(F, S) \
	F(S, REP_MSG, 1, chunked_series, chunked_series) F(S, I64, 2, query_index)
PROTO_DECLARE(chunked_read_response, PROTO_FIELDS_CHUNKED_READ_RESPONSE)

#endif
