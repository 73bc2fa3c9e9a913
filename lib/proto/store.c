/*
 * proto/store.c - tables of the StoreAPI, its hints, Info, and what they share.
 */
#include "proto/store.h"

#include "proto/info.h"
#include "proto/table.h"

PROTO_DEFINE(any, "google.protobuf", "Any", PROTO_FIELDS_ANY)
PROTO_DEFINE(timestamp, "google.protobuf", "Timestamp", PROTO_FIELDS_TIMESTAMP)
PROTO_DEFINE(duration, "google.protobuf", "Duration", PROTO_FIELDS_TIMESTAMP)

PROTO_ENUM_DEFINE(partial_strategy, "thanos", "PartialResponseStrategy", "WARN", "ABORT")
PROTO_ENUM_DEFINE(match_type, "thanos", "LabelMatcher.Type", "EQ", "NEQ", "RE", "NRE")
PROTO_ENUM_DEFINE(chunk_type, "thanos", "Chunk.Encoding", "XOR", "HISTOGRAM",
		  "FLOAT_HISTOGRAM")
PROTO_ENUM_DEFINE(aggr, "thanos", "Aggr", "RAW", "COUNT", "SUM", "MIN", "MAX", "COUNTER")

PROTO_DEFINE(label, "thanos", "Label", PROTO_FIELDS_LABEL)
PROTO_DEFINE(label_set, "thanos", "ZLabelSet", PROTO_FIELDS_LABEL_SET)
PROTO_DEFINE(label_matcher, "thanos", "LabelMatcher", PROTO_FIELDS_LABEL_MATCHER)
PROTO_DEFINE(chunk, "thanos", "Chunk", PROTO_FIELDS_CHUNK)
PROTO_DEFINE(aggr_chunk, "thanos", "AggrChunk", PROTO_FIELDS_AGGR_CHUNK)
PROTO_DEFINE(series, "thanos", "Series", PROTO_FIELDS_SERIES)
PROTO_DEFINE(series_batch, "thanos", "SeriesBatch", PROTO_FIELDS_SERIES_BATCH)
PROTO_DEFINE(series_response, "thanos", "SeriesResponse", PROTO_FIELDS_SERIES_RESPONSE)
PROTO_DEFINE(func, "thanos", "Func", PROTO_FIELDS_FUNC)
PROTO_DEFINE(grouping, "thanos", "Grouping", PROTO_FIELDS_GROUPING)
PROTO_DEFINE(range, "thanos", "Range", PROTO_FIELDS_RANGE)
PROTO_DEFINE(query_hints, "thanos", "QueryHints", PROTO_FIELDS_QUERY_HINTS)
PROTO_DEFINE(shard_info, "thanos", "ShardInfo", PROTO_FIELDS_SHARD_INFO)
PROTO_DEFINE(series_request, "thanos", "SeriesRequest", PROTO_FIELDS_SERIES_REQUEST)
PROTO_DEFINE(label_names_request, "thanos", "LabelNamesRequest",
	     PROTO_FIELDS_LABEL_NAMES_REQUEST)
PROTO_DEFINE(label_names_response, "thanos", "LabelNamesResponse",
	     PROTO_FIELDS_LABEL_NAMES_RESPONSE)
PROTO_DEFINE(label_values_request, "thanos", "LabelValuesRequest",
	     PROTO_FIELDS_LABEL_VALUES_REQUEST)
PROTO_DEFINE(label_values_response, "thanos", "LabelValuesResponse",
	     PROTO_FIELDS_LABEL_VALUES_RESPONSE)

PROTO_DEFINE(block, "hintspb", "Block", PROTO_FIELDS_BLOCK)
PROTO_DEFINE(query_stats, "hintspb", "QueryStats", PROTO_FIELDS_QUERY_STATS)
PROTO_DEFINE(series_request_hints, "hintspb", "SeriesRequestHints",
	     PROTO_FIELDS_SERIES_REQUEST_HINTS)
PROTO_DEFINE(series_response_hints, "hintspb", "SeriesResponseHints",
	     PROTO_FIELDS_SERIES_RESPONSE_HINTS)
PROTO_DEFINE(label_names_request_hints, "hintspb", "LabelNamesRequestHints",
	     PROTO_FIELDS_LABELS_REQUEST_HINTS)
PROTO_DEFINE(label_names_response_hints, "hintspb", "LabelNamesResponseHints",
	     PROTO_FIELDS_LABELS_RESPONSE_HINTS)
PROTO_DEFINE(label_values_request_hints, "hintspb", "LabelValuesRequestHints",
	     PROTO_FIELDS_LABELS_REQUEST_HINTS)
PROTO_DEFINE(label_values_response_hints, "hintspb", "LabelValuesResponseHints",
	     PROTO_FIELDS_LABELS_RESPONSE_HINTS)

PROTO_DEFINE_EMPTY(info_request, "thanos.info", "InfoRequest")
PROTO_DEFINE_EMPTY(rules_info, "thanos.info", "RulesInfo")
PROTO_DEFINE_EMPTY(metric_metadata_info, "thanos.info", "MetricMetadataInfo")
PROTO_DEFINE_EMPTY(targets_info, "thanos.info", "TargetsInfo")
PROTO_DEFINE_EMPTY(query_api_info, "thanos.info", "QueryAPIInfo")
PROTO_DEFINE_EMPTY(status_info, "thanos.info", "StatusInfo")
PROTO_DEFINE(tsdb_info, "thanos.info", "TSDBInfo", PROTO_FIELDS_TSDB_INFO)
PROTO_DEFINE(store_info, "thanos.info", "StoreInfo", PROTO_FIELDS_STORE_INFO)
PROTO_DEFINE(exemplars_info, "thanos.info", "ExemplarsInfo", PROTO_FIELDS_EXEMPLARS_INFO)
PROTO_DEFINE(info_response, "thanos.info", "InfoResponse", PROTO_FIELDS_INFO_RESPONSE)
