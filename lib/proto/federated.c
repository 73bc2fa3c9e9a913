/*
 * proto/federated.c - the messages of federated.h as field tables.
 */
#include "proto/federated.h"
#include "proto/rows.h"

#include "model/labels.h"

/* The same as in rows.h under the name that the .proto text of others has. */
#define NAMED(num, text, type, field, kind)                                              \
	{                                                                                \
		num, text, kind, PF_ONE, offsetof(struct type, field), NULL, NULL, 0     \
	}
#define NAMED_SUB(num, text, type, field, m)                                             \
	{                                                                                \
		num, text, PF_MSG, PF_ONE, offsetof(struct type, field), &(m), NULL, 0   \
	}
#define NAMED_SUBS(num, text, type, field, m)                                            \
	{                                                                                \
		num, text, PF_MSG, PF_REP, offsetof(struct type, field), &(m), NULL, 0   \
	}

static const struct pf_field timestamp_rows[] = {
	ONE(1, pb_timestamp, seconds, PF_INT64),
	ONE(2, pb_timestamp, nanos, PF_INT32),
};
MSG(msg_timestamp, "google.protobuf", "Timestamp", pb_timestamp, timestamp_rows);

/* ---- rules ---- */

static const struct pf_field rules_request_rows[] = {
	ONE(1, pb_rules_request, type, PF_ENUM),
	ONE(2, pb_rules_request, partial_response_strategy, PF_ENUM),
	REP(3, pb_rules_request, matcher_string, PF_STRING),
	REP(4, pb_rules_request, rule_name, PF_STRING),
	REP(5, pb_rules_request, rule_group, PF_STRING),
	REP(6, pb_rules_request, file, PF_STRING),
};
MSG(msg_rules_request, T, "RulesRequest", pb_rules_request, rules_request_rows);

static const struct pf_field alert_instance_rows[] = {
	SUB(1, pb_alert_instance, labels, msg_label_set),
	SUB(2, pb_alert_instance, annotations, msg_label_set),
	ONE(3, pb_alert_instance, state, PF_ENUM),
	SUB(4, pb_alert_instance, active_at, msg_timestamp),
	ONE(5, pb_alert_instance, value, PF_STRING),
	NAMED(6, "PartialResponseStrategy", pb_alert_instance, partial_response_strategy,
	      PF_ENUM),
};
MSG(msg_alert_instance, T, "AlertInstance", pb_alert_instance, alert_instance_rows);

static const struct pf_field alert_rows[] = {
	ONE(1, pb_alert, state, PF_ENUM),
	ONE(2, pb_alert, name, PF_STRING),
	ONE(3, pb_alert, query, PF_STRING),
	ONE(4, pb_alert, duration_seconds, PF_DOUBLE),
	SUB(5, pb_alert, labels, msg_label_set),
	SUB(6, pb_alert, annotations, msg_label_set),
	SUBS(7, pb_alert, alerts, msg_alert_instance),
	ONE(8, pb_alert, health, PF_STRING),
	ONE(9, pb_alert, last_error, PF_STRING),
	ONE(10, pb_alert, evaluation_duration_seconds, PF_DOUBLE),
	SUB(11, pb_alert, last_evaluation, msg_timestamp),
	ONE(12, pb_alert, keep_firing_for_seconds, PF_DOUBLE),
};
MSG(msg_alert, T, "Alert", pb_alert, alert_rows);

static const struct pf_field recording_rows[] = {
	ONE(1, pb_recording, name, PF_STRING),
	ONE(2, pb_recording, query, PF_STRING),
	SUB(3, pb_recording, labels, msg_label_set),
	ONE(4, pb_recording, health, PF_STRING),
	ONE(5, pb_recording, last_error, PF_STRING),
	ONE(6, pb_recording, evaluation_duration_seconds, PF_DOUBLE),
	SUB(7, pb_recording, last_evaluation, msg_timestamp),
};
MSG(msg_recording, T, "RecordingRule", pb_recording, recording_rows);

static const struct pf_field rule_rows[] = {
	SUB(1, pb_rule, recording, msg_recording),
	SUB(2, pb_rule, alert, msg_alert),
};
MSG(msg_rule, T, "Rule", pb_rule, rule_rows);

static const struct pf_field rule_group_rows[] = {
	ONE(1, pb_rule_group, name, PF_STRING),
	ONE(2, pb_rule_group, file, PF_STRING),
	SUBS(3, pb_rule_group, rules, msg_rule),
	ONE(4, pb_rule_group, interval, PF_DOUBLE),
	ONE(5, pb_rule_group, evaluation_duration_seconds, PF_DOUBLE),
	SUB(6, pb_rule_group, last_evaluation, msg_timestamp),
	NAMED(8, "PartialResponseStrategy", pb_rule_group, partial_response_strategy,
	      PF_ENUM),
	ONE(9, pb_rule_group, limit, PF_INT64),
};
MSG(msg_rule_group, T, "RuleGroup", pb_rule_group, rule_group_rows);

static const struct pf_field rules_response_rows[] = {
	SUB(1, pb_rules_response, group, msg_rule_group),
	MEMBER(2, pb_rules_response, warning, PF_STRING),
};
MSG(msg_rules_response, T, "RulesResponse", pb_rules_response, rules_response_rows);

/* ---- targets ---- */

static const struct pf_field targets_request_rows[] = {
	ONE(1, pb_targets_request, state, PF_ENUM),
	ONE(2, pb_targets_request, partial_response_strategy, PF_ENUM),
};
MSG(msg_targets_request, T, "TargetsRequest", pb_targets_request, targets_request_rows);

static const struct pf_field active_rows[] = {
	NAMED_SUB(1, "discoveredLabels", pb_active_target, discovered_labels,
		  msg_label_set),
	SUB(2, pb_active_target, labels, msg_label_set),
	NAMED(3, "scrapePool", pb_active_target, scrape_pool, PF_STRING),
	NAMED(4, "scrapeUrl", pb_active_target, scrape_url, PF_STRING),
	NAMED(5, "globalUrl", pb_active_target, global_url, PF_STRING),
	NAMED(6, "lastError", pb_active_target, last_error, PF_STRING),
	NAMED_SUB(7, "lastScrape", pb_active_target, last_scrape, msg_timestamp),
	NAMED(8, "lastScrapeDuration", pb_active_target, last_scrape_duration, PF_DOUBLE),
	ONE(9, pb_active_target, health, PF_ENUM),
};
MSG(msg_active_target, T, "ActiveTarget", pb_active_target, active_rows);

static const struct pf_field dropped_rows[] = {
	NAMED_SUB(1, "discoveredLabels", pb_dropped_target, discovered_labels,
		  msg_label_set),
};
MSG(msg_dropped_target, T, "DroppedTarget", pb_dropped_target, dropped_rows);

static const struct pf_field discovery_rows[] = {
	NAMED_SUBS(1, "activeTargets", pb_target_discovery, active_targets,
		   msg_active_target),
	NAMED_SUBS(2, "droppedTargets", pb_target_discovery, dropped_targets,
		   msg_dropped_target),
};
MSG(msg_target_discovery, T, "TargetDiscovery", pb_target_discovery, discovery_rows);

static const struct pf_field targets_response_rows[] = {
	SUB(1, pb_targets_response, targets, msg_target_discovery),
	MEMBER(2, pb_targets_response, warning, PF_STRING),
};
MSG(msg_targets_response, T, "TargetsResponse", pb_targets_response,
    targets_response_rows);

/* ---- metric metadata ---- */

static const struct pf_field metadata_request_rows[] = {
	ONE(1, pb_metadata_request, metric, PF_STRING),
	ONE(2, pb_metadata_request, limit, PF_INT32),
	ONE(3, pb_metadata_request, partial_response_strategy, PF_ENUM),
};
MSG(msg_metadata_request, T, "MetricMetadataRequest", pb_metadata_request,
    metadata_request_rows);

static const struct pf_field meta_rows[] = {
	ONE(1, pb_meta, type, PF_STRING),
	ONE(2, pb_meta, help, PF_STRING),
	ONE(3, pb_meta, unit, PF_STRING),
};
MSG(msg_meta, T, "Meta", pb_meta, meta_rows);

static const struct pf_field metas_rows[] = { SUBS(2, pb_metas, metas, msg_meta) };
MSG(msg_metas, T, "MetricMetadataEntry", pb_metas, metas_rows);

static const struct pf_field metadata_entry_rows[] = {
	MEMBER(1, pb_metadata_entry, key, PF_STRING),
	SUB(2, pb_metadata_entry, value, msg_metas),
};
MSG(msg_metadata_entry, T, "MetadataOfMetric", pb_metadata_entry, metadata_entry_rows);

static const struct pf_field metadata_rows[] = { SUBS(1, pb_metadata, metadata,
						      msg_metadata_entry) };
MSG(msg_metadata, T, "MetricMetadata", pb_metadata, metadata_rows);

static const struct pf_field metadata_response_rows[] = {
	SUB(1, pb_metadata_response, metadata, msg_metadata),
	MEMBER(2, pb_metadata_response, warning, PF_STRING),
};
MSG(msg_metadata_response, T, "MetricMetadataResponse", pb_metadata_response,
    metadata_response_rows);

/* ---- exemplars ---- */

static const struct pf_field exemplars_request_rows[] = {
	ONE(1, pb_exemplars_request, query, PF_STRING),
	ONE(2, pb_exemplars_request, start, PF_INT64),
	ONE(3, pb_exemplars_request, end, PF_INT64),
	ONE(4, pb_exemplars_request, partial_response_strategy, PF_ENUM),
};
MSG(msg_exemplars_request, T, "ExemplarsRequest", pb_exemplars_request,
    exemplars_request_rows);

static const struct pf_field exemplar_rows[] = {
	SUB(1, pb_exemplar, labels, msg_label_set),
	ONE(2, pb_exemplar, value, PF_DOUBLE),
	ONE(3, pb_exemplar, ts, PF_INT64),
};
MSG(msg_exemplar, T, "Exemplar", pb_exemplar, exemplar_rows);

static const struct pf_field exemplar_data_rows[] = {
	NAMED_SUB(1, "seriesLabels", pb_exemplar_data, series_labels, msg_label_set),
	SUBS(2, pb_exemplar_data, exemplars, msg_exemplar),
};
MSG(msg_exemplar_data, T, "ExemplarData", pb_exemplar_data, exemplar_data_rows);

static const struct pf_field exemplars_response_rows[] = {
	SUB(1, pb_exemplars_response, data, msg_exemplar_data),
	MEMBER(2, pb_exemplars_response, warning, PF_STRING),
};
MSG(msg_exemplars_response, T, "ExemplarsResponse", pb_exemplars_response,
    exemplars_response_rows);

/* ---- TSDB statistics ---- */

static const struct pf_field statistics_request_rows[] = {
	ONE(1, pb_statistics_request, tenant, PF_STRING),
	ONE(2, pb_statistics_request, limit, PF_INT32),
	ONE(3, pb_statistics_request, partial_response_strategy, PF_ENUM),
	SUBS(4, pb_statistics_request, matchers, msg_matcher),
};
MSG(msg_statistics_request, T, "TSDBStatisticsRequest", pb_statistics_request,
    statistics_request_rows);

static const struct pf_field head_rows[] = {
	ONE(1, pb_head_statistics, num_series, PF_UINT64),
	ONE(2, pb_head_statistics, num_label_pairs, PF_INT64),
	ONE(3, pb_head_statistics, chunk_count, PF_INT64),
	ONE(4, pb_head_statistics, min_time, PF_INT64),
	ONE(5, pb_head_statistics, max_time, PF_INT64),
};
MSG(msg_head_statistics, T, "HeadStatistics", pb_head_statistics, head_rows);

static const struct pf_field statistic_rows[] = {
	ONE(1, pb_statistic, name, PF_STRING),
	ONE(2, pb_statistic, value, PF_UINT64),
};
MSG(msg_statistic, T, "Statistic", pb_statistic, statistic_rows);

#define S pb_statistics_entry
static const struct pf_field statistics_entry_rows[] = {
	NAMED_SUB(1, "head_statistics", S, head, msg_head_statistics),
	NAMED_SUBS(2, "series_count_by_metric_name", S, series_by_metric, msg_statistic),
	NAMED_SUBS(3, "label_value_count_by_label_name", S, values_by_label,
		   msg_statistic),
	NAMED_SUBS(4, "memory_in_bytes_by_label_name", S, memory_by_label, msg_statistic),
	NAMED_SUBS(5, "series_count_by_label_value_pair", S, series_by_pair,
		   msg_statistic),
};
MSG(msg_statistics_entry, T, "TSDBStatisticsEntry", S, statistics_entry_rows);
#undef S

static const struct pf_field by_tenant_rows[] = {
	MEMBER(1, pb_statistics_by_tenant, key, PF_STRING),
	SUB(2, pb_statistics_by_tenant, value, msg_statistics_entry),
};
MSG(msg_statistics_by_tenant, T, "TSDBStatisticsOfTenant", pb_statistics_by_tenant,
    by_tenant_rows);

static const struct pf_field statistics_rows[] = { SUBS(1, pb_statistics, statistics,
							msg_statistics_by_tenant) };
MSG(msg_statistics, T, "TSDBStatistics", pb_statistics, statistics_rows);

static const struct pf_field statistics_response_rows[] = {
	SUB(1, pb_statistics_response, statistics, msg_statistics),
	MEMBER(2, pb_statistics_response, warning, PF_STRING),
};
MSG(msg_statistics_response, T, "TSDBStatisticsResponse", pb_statistics_response,
    statistics_response_rows);

/* ---- reading messages of others ---- */

const struct pf_list *proto_label_list(const struct pb_label_set *s)
{
	static const struct pf_list none = { NULL, 0 };
	return s ? &s->labels : &none;
}

struct pb_timestamp proto_time(const struct pb_timestamp *t)
{
	return t ? *t : (struct pb_timestamp){ PB_ZERO_SECONDS, 0 };
}

int proto_labels_of(struct ctx *ctx, struct arena *a, const struct pb_label_set *s,
		    struct labels *out, struct err *e)
{
	const struct pf_list *in = proto_label_list(s);
	const struct pb_label *l = in->v;
	struct label *v = arena_try(a, ctx, in->n * sizeof(*v) + 1, e);
	if (!v)
		return -1;
	for (size_t i = 0; i < in->n; i++)
		v[i] = (struct label){ l[i].name, l[i].value };
	labels_sort(v, in->n);
	*out = (struct labels){ v, (uint32_t)in->n, 0 };
	return 0;
}

struct pb_label_set *proto_label_set(struct arena *a, struct labels ls)
{
	struct pb_label_set *s = ARENA_NEW(a, struct pb_label_set);
	struct pb_label *v = ARENA_ARRAY(a, struct pb_label, ls.n + 1);
	for (uint32_t i = 0; i < ls.n; i++)
		v[i] = (struct pb_label){ ls.l[i].name, ls.l[i].value };
	s->labels = (struct pf_list){ v, ls.n };
	return s;
}

void *proto_list_add(struct ctx *ctx, struct arena *a, struct pf_list *l, size_t size,
		     struct err *e)
{
	if ((l->n & (l->n - 1)) == 0) { /* 0, 1, 2, 4, ...: full */
		void *v = arena_try(a, ctx, (l->n ? l->n * 2 : 1) * size, e);
		if (!v)
			return NULL;
		if (l->n)
			memcpy(v, l->v, l->n * size);
		l->v = v;
	}
	return memset((char *)l->v + l->n++ * size, 0, size);
}
