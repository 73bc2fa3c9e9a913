/*
 * proto/store.h - the messages of thanos.Store and of its hints (package hintspb).
 *
 * AggrChunk.lane and SeriesRequest.want_lanes (number 1000) are thanosc's own; others skip them.
 */
#ifndef PROTO_STORE_H
#define PROTO_STORE_H

#include "proto/label.h"

extern const struct proto_enum proto_enum_chunk_type, proto_enum_aggr;

#define PROTO_FIELDS_CHUNK(F, S) \
	F(S, ENUM, 1, type, chunk_type) F(S, BYTES, 2, data) F(S, U64, 3, hash)
PROTO_DECLARE(chunk, PROTO_FIELDS_CHUNK)
#define PROTO_FIELDS_AGGR_CHUNK(F, S)                                                   \
	F(S, I64, 1, min_time) F(S, I64, 2, max_time) F(S, MSG, 3, raw, chunk)           \
	F(S, MSG, 4, count, chunk) F(S, MSG, 5, sum, chunk) F(S, MSG, 6, min, chunk)     \
	F(S, MSG, 7, max, chunk) F(S, MSG, 8, counter, chunk) F(S, U64, 1000, lane)
PROTO_DECLARE(aggr_chunk, PROTO_FIELDS_AGGR_CHUNK)
#define PROTO_FIELDS_SERIES(F, S) \
	F(S, REP_MSG, 1, labels, label) F(S, REP_MSG, 2, chunks, aggr_chunk)
PROTO_DECLARE(series, PROTO_FIELDS_SERIES)
#define PROTO_FIELDS_SERIES_BATCH(F, S) F(S, REP_MSG, 1, series, series)
PROTO_DECLARE(series_batch, PROTO_FIELDS_SERIES_BATCH)
#define PROTO_FIELDS_SERIES_RESPONSE(F, S)                                              \
	F(S, ONEOF, 0, result) F(S, OF_MSG, 1, series, series, result)                   \
	F(S, OF, 2, warning, STR, result) F(S, OF_RAW, 3, hints, any, result)            \
	F(S, OF_MSG, 4, batch, series_batch, result)
PROTO_DECLARE(series_response, PROTO_FIELDS_SERIES_RESPONSE)

#define PROTO_FIELDS_FUNC(F, S) F(S, STR, 1, name)
PROTO_DECLARE(func, PROTO_FIELDS_FUNC)
#define PROTO_FIELDS_GROUPING(F, S) F(S, BOOL, 1, by) F(S, REP, 3, labels, STR)
PROTO_DECLARE(grouping, PROTO_FIELDS_GROUPING)
#define PROTO_FIELDS_RANGE(F, S) F(S, I64, 1, millis)
PROTO_DECLARE(range, PROTO_FIELDS_RANGE)
#define PROTO_FIELDS_QUERY_HINTS(F, S)                                                  \
	F(S, I64, 1, step_millis) F(S, MSG, 2, func, func)                               \
	F(S, MSG, 4, grouping, grouping) F(S, MSG, 5, range, range)                      \
	F(S, REP, 6, projection_labels, STR) F(S, BOOL, 7, projection_include)           \
	F(S, STR, 8, series_hash_label_name)
PROTO_DECLARE(query_hints, PROTO_FIELDS_QUERY_HINTS)
#define PROTO_FIELDS_SHARD_INFO(F, S)                                                   \
	F(S, I64, 1, shard_index) F(S, I64, 2, total_shards) F(S, BOOL, 3, by)           \
	F(S, REP, 4, labels, STR)
PROTO_DECLARE(shard_info, PROTO_FIELDS_SHARD_INFO)
#define PROTO_FIELDS_SERIES_REQUEST(F, S)                                               \
	F(S, I64, 1, min_time) F(S, I64, 2, max_time)                                    \
	F(S, REP_MSG, 3, matchers, label_matcher) F(S, I64, 4, max_resolution_window)    \
	F(S, REP_ENUM, 5, aggregates, aggr) F(S, BOOL, 6, partial_response_disabled)     \
	F(S, ENUM, 7, partial_response_strategy, partial_strategy)                       \
	F(S, BOOL, 8, skip_chunks) F(S, RAW, 9, hints, any) F(S, I64, 10, step)          \
	F(S, I64, 11, range) F(S, MSG, 12, query_hints, query_hints)                     \
	F(S, MSG, 13, shard_info, shard_info) F(S, REP, 14, without_replica_labels, STR) \
	F(S, I64, 15, limit) F(S, I64, 16, response_batch_size)                          \
	F(S, BOOL, 1000, want_lanes)
PROTO_DECLARE(series_request, PROTO_FIELDS_SERIES_REQUEST)

#define PROTO_FIELDS_LABEL_NAMES_REQUEST(F, S)                                          \
	F(S, BOOL, 1, partial_response_disabled)                                         \
	F(S, ENUM, 2, partial_response_strategy, partial_strategy) F(S, I64, 3, start)   \
	F(S, I64, 4, end) F(S, RAW, 5, hints, any)                                       \
	F(S, REP_MSG, 6, matchers, label_matcher)                                        \
	F(S, REP, 7, without_replica_labels, STR) F(S, I64, 8, limit)
PROTO_DECLARE(label_names_request, PROTO_FIELDS_LABEL_NAMES_REQUEST)
#define PROTO_FIELDS_LABEL_VALUES_REQUEST(F, S)                                         \
	F(S, STR, 1, label) F(S, BOOL, 2, partial_response_disabled)                     \
	F(S, ENUM, 3, partial_response_strategy, partial_strategy) F(S, I64, 4, start)   \
	F(S, I64, 5, end) F(S, RAW, 6, hints, any)                                       \
	F(S, REP_MSG, 7, matchers, label_matcher)                                        \
	F(S, REP, 8, without_replica_labels, STR) F(S, I64, 9, limit)
PROTO_DECLARE(label_values_request, PROTO_FIELDS_LABEL_VALUES_REQUEST)
#define PROTO_FIELDS_LABEL_NAMES_RESPONSE(F, S) \
	F(S, REP, 1, names, STR) F(S, REP, 2, warnings, STR) F(S, RAW, 3, hints, any)
PROTO_DECLARE(label_names_response, PROTO_FIELDS_LABEL_NAMES_RESPONSE)
#define PROTO_FIELDS_LABEL_VALUES_RESPONSE(F, S) \
	F(S, REP, 1, values, STR) F(S, REP, 2, warnings, STR) F(S, RAW, 3, hints, any)
PROTO_DECLARE(label_values_response, PROTO_FIELDS_LABEL_VALUES_RESPONSE)

#define PROTO_FIELDS_BLOCK(F, S) F(S, STR, 1, id)
PROTO_DECLARE(block, PROTO_FIELDS_BLOCK)
#define PROTO_FIELDS_QUERY_STATS(F, S)                                                  \
	F(S, I64, 1, blocks_queried) F(S, I64, 2, merged_series_count)                   \
	F(S, I64, 3, merged_chunks_count) F(S, I64, 4, postings_touched)                 \
	F(S, I64, 5, postings_touched_size_sum) F(S, I64, 6, postings_to_fetch)          \
	F(S, I64, 7, postings_fetched) F(S, I64, 8, postings_fetched_size_sum)           \
	F(S, I64, 9, postings_fetch_count) F(S, I64, 10, series_touched)                 \
	F(S, I64, 11, series_touched_size_sum) F(S, I64, 12, series_fetched)             \
	F(S, I64, 13, series_fetched_size_sum) F(S, I64, 14, series_fetch_count)         \
	F(S, I64, 15, chunks_touched) F(S, I64, 16, chunks_touched_size_sum)             \
	F(S, I64, 17, chunks_fetched) F(S, I64, 18, chunks_fetched_size_sum)             \
	F(S, I64, 19, chunks_fetch_count) F(S, I64, 20, data_downloaded_size_sum)        \
	F(S, MSG, 21, get_all_duration, duration) F(S, MSG, 22, merge_duration, duration)
PROTO_DECLARE(query_stats, PROTO_FIELDS_QUERY_STATS)
#define PROTO_FIELDS_SERIES_REQUEST_HINTS(F, S) \
	F(S, REP_MSG, 1, block_matchers, label_matcher) F(S, BOOL, 2, enable_query_stats)
PROTO_DECLARE(series_request_hints, PROTO_FIELDS_SERIES_REQUEST_HINTS)
#define PROTO_FIELDS_SERIES_RESPONSE_HINTS(F, S) \
	F(S, REP_MSG, 1, queried_blocks, block) F(S, MSG, 2, query_stats, query_stats)
PROTO_DECLARE(series_response_hints, PROTO_FIELDS_SERIES_RESPONSE_HINTS)
#define PROTO_FIELDS_LABELS_REQUEST_HINTS(F, S) \
	F(S, REP_MSG, 1, block_matchers, label_matcher)
PROTO_DECLARE(label_names_request_hints, PROTO_FIELDS_LABELS_REQUEST_HINTS)
PROTO_DECLARE(label_values_request_hints, PROTO_FIELDS_LABELS_REQUEST_HINTS)
#define PROTO_FIELDS_LABELS_RESPONSE_HINTS(F, S) F(S, REP_MSG, 1, queried_blocks, block)
PROTO_DECLARE(label_names_response_hints, PROTO_FIELDS_LABELS_RESPONSE_HINTS)
PROTO_DECLARE(label_values_response_hints, PROTO_FIELDS_LABELS_RESPONSE_HINTS)

#endif
