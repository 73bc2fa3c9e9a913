/*
 * proto/info.h - the messages of thanos.info.Info.
 */
#ifndef PROTO_INFO_H
#define PROTO_INFO_H

#include "proto/label.h"

PROTO_DECLARE_EMPTY(info_request)
PROTO_DECLARE_EMPTY(rules_info)
PROTO_DECLARE_EMPTY(metric_metadata_info)
PROTO_DECLARE_EMPTY(targets_info)
PROTO_DECLARE_EMPTY(query_api_info)
PROTO_DECLARE_EMPTY(status_info)

#define PROTO_FIELDS_TSDB_INFO(F, S) \
	F(S, MSG, 1, labels, label_set) F(S, I64, 2, min_time) F(S, I64, 3, max_time)
PROTO_DECLARE(tsdb_info, PROTO_FIELDS_TSDB_INFO)
#define PROTO_FIELDS_STORE_INFO(F, S)                                                   \
	F(S, I64, 1, min_time) F(S, I64, 2, max_time) F(S, BOOL, 3, supports_sharding)   \
	F(S, BOOL, 5, supports_without_replica_labels)                                   \
	F(S, REP_MSG, 6, tsdb_infos, tsdb_info) F(S, BOOL, 7, supports_projections)
PROTO_DECLARE(store_info, PROTO_FIELDS_STORE_INFO)
#define PROTO_FIELDS_EXEMPLARS_INFO(F, S) F(S, I64, 1, min_time) F(S, I64, 2, max_time)
PROTO_DECLARE(exemplars_info, PROTO_FIELDS_EXEMPLARS_INFO)
#define PROTO_FIELDS_INFO_RESPONSE(F, S)                                                \
	F(S, REP_MSG, 1, label_sets, label_set) F(S, STR, 2, ComponentType)              \
	F(S, MSG, 3, store, store_info) F(S, MSG, 4, rules, rules_info)                  \
	F(S, MSG, 5, metric_metadata, metric_metadata_info)                              \
	F(S, MSG, 6, targets, targets_info) F(S, MSG, 7, exemplars, exemplars_info)      \
	F(S, MSG, 8, query, query_api_info) F(S, MSG, 9, status, status_info)
PROTO_DECLARE(info_response, PROTO_FIELDS_INFO_RESPONSE)

#endif
