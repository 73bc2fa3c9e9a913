/*
 * proto/federated.h - the messages of Rules, Targets, Metadata, Exemplars and Status, and their JSON.
 *
 * Source  thanos.md §2.2. Maps are repeated entries {1 key, 2 value}, as they are on the wire. Sub-messages that Go
 *         cannot leave out (label sets, times, head statistics) are pointers here: whoever makes a message sets them,
 *         whoever reads one bears NULL as empty (proto_label_list, proto_time).
 */
#ifndef PROTO_FEDERATED_H
#define PROTO_FEDERATED_H

#include "proto/store.h"

struct jr;
struct labels;

struct pb_timestamp { /* google.protobuf.Timestamp */
	int64_t seconds;
	int32_t nanos;
};
#define PB_ZERO_SECONDS (-62135596800) /* Go's zero time: year 1 */

/* ---- rules ---- */
enum { PB_RULES_ALL, PB_RULES_ALERT, PB_RULES_RECORD };
enum { PB_ALERT_UNKNOWN, PB_ALERT_INACTIVE, PB_ALERT_PENDING, PB_ALERT_FIRING };
struct pb_rules_request {
	int32_t type, partial_response_strategy;
	struct pf_list matcher_string, rule_name, rule_group, file; /* str */
};
struct pb_alert_instance {
	struct pb_label_set *labels, *annotations;
	int32_t state;
	struct pb_timestamp *active_at; /* NULL: not active */
	struct str value;
	int32_t partial_response_strategy;
};
struct pb_alert {
	int32_t state;
	struct str name, query;
	double duration_seconds;
	struct pb_label_set *labels, *annotations;
	struct pf_list alerts; /* pb_alert_instance */
	struct str health, last_error;
	double evaluation_duration_seconds;
	struct pb_timestamp *last_evaluation;
	double keep_firing_for_seconds;
};
struct pb_recording {
	struct str name, query;
	struct pb_label_set *labels;
	struct str health, last_error;
	double evaluation_duration_seconds;
	struct pb_timestamp *last_evaluation;
};
struct pb_rule { /* one of them */
	struct pb_recording *recording;
	struct pb_alert *alert;
};
struct pb_rule_group {
	struct str name, file;
	struct pf_list rules; /* pb_rule */
	double interval, evaluation_duration_seconds;
	struct pb_timestamp *last_evaluation;
	int32_t partial_response_strategy;
	int64_t limit;
};
struct pb_rule_groups {
	struct pf_list groups; /* pb_rule_group */
};
struct pb_rules_response {
	struct pb_rule_group *group;
	struct str warning;
};

/* ---- targets ---- */
enum { PB_TARGETS_ANY, PB_TARGETS_ACTIVE, PB_TARGETS_DROPPED };
struct pb_targets_request {
	int32_t state, partial_response_strategy;
};
struct pb_active_target {
	struct pb_label_set *discovered_labels, *labels;
	struct str scrape_pool, scrape_url, global_url, last_error;
	struct pb_timestamp *last_scrape;
	double last_scrape_duration;
	int32_t health; /* down 0, up 1, unknown 2 */
};
struct pb_dropped_target {
	struct pb_label_set *discovered_labels;
};
struct pb_target_discovery {
	struct pf_list active_targets, dropped_targets;
};
struct pb_targets_response {
	struct pb_target_discovery *targets;
	struct str warning;
};

/* ---- metric metadata ---- */
struct pb_metadata_request {
	struct str metric;
	int32_t limit; /* metrics; < 0: all, 0: none */
	int32_t partial_response_strategy;
};
struct pb_meta {
	struct str type, help, unit;
};
struct pb_metas {
	struct pf_list metas; /* pb_meta */
};
struct pb_metadata_entry {
	struct str key;
	struct pb_metas *value;
};
struct pb_metadata {
	struct pf_list metadata; /* pb_metadata_entry */
};
struct pb_metadata_response {
	struct pb_metadata *metadata;
	struct str warning;
};

/* ---- exemplars ---- */
struct pb_exemplars_request {
	struct str query;
	int64_t start, end; /* ms */
	int32_t partial_response_strategy;
};
struct pb_exemplar {
	struct pb_label_set *labels;
	double value;
	int64_t ts;
};
struct pb_exemplar_data {
	struct pb_label_set *series_labels;
	struct pf_list exemplars; /* pb_exemplar */
};
struct pb_exemplars {
	struct pf_list
		data; /* pb_exemplar_data; no message of its own: each is sent alone */
};
struct pb_exemplars_response {
	struct pb_exemplar_data *data;
	struct str warning;
};

/* ---- TSDB statistics ---- */
struct pb_statistics_request {
	struct str tenant;
	int32_t limit, partial_response_strategy;
	struct pf_list matchers; /* pb_matcher */
};
struct pb_head_statistics {
	uint64_t num_series;
	int64_t num_label_pairs, chunk_count, min_time, max_time;
};
struct pb_statistic {
	struct str name;
	uint64_t value;
};
struct pb_statistics_entry {
	struct pb_head_statistics *head;
	struct pf_list series_by_metric, values_by_label, memory_by_label, series_by_pair;
};
struct pb_statistics_by_tenant {
	struct str key;
	struct pb_statistics_entry *value;
};
struct pb_statistics {
	struct pf_list statistics; /* pb_statistics_by_tenant */
};
struct pb_statistics_response {
	struct pb_statistics *statistics;
	struct str warning;
};

extern const struct pf_msg msg_timestamp, msg_rules_request, msg_rules_response,
	msg_rule_group, msg_rule, msg_recording, msg_alert, msg_alert_instance,
	msg_targets_request, msg_targets_response, msg_target_discovery,
	msg_active_target, msg_dropped_target, msg_metadata_request,
	msg_metadata_response, msg_metadata, msg_metadata_entry, msg_metas, msg_meta,
	msg_exemplars_request, msg_exemplars_response, msg_exemplar_data, msg_exemplar,
	msg_statistics_request, msg_statistics_response, msg_statistics,
	msg_statistics_by_tenant, msg_statistics_entry, msg_head_statistics,
	msg_statistic;

/* ---- reading messages of others ---- */
const struct pf_list *
proto_label_list(const struct pb_label_set *s); /* never NULL; of pb_label */
struct pb_timestamp proto_time(const struct pb_timestamp *t); /* NULL: Go's zero time */
/* As labels, sorted by name, in the arena. */
MUST_CHECK int proto_labels_of(struct ctx *ctx, struct arena *a,
			       const struct pb_label_set *s, struct labels *out,
			       struct err *e);
/* An own copy of the set as a message; the strings are shared. */
struct pb_label_set *proto_label_set(struct arena *a, struct labels ls);
/* One more element of a list that only grows by this: zeroed. NULL: e, the budget is used up. */
MUST_CHECK void *proto_list_add(struct ctx *ctx, struct arena *a, struct pf_list *l,
				size_t size, struct err *e);

/* ---- JSON: federated_json.c ---- */
/*
 * How Prometheus' HTTP API shows these messages, for reading and for writing: keys in the order in which Go writes
 * them. Reading: unknown keys and nulls are skipped, what Go cannot leave out is made. Lists are charged to the arena;
 * strings stay views where they can (wire/json.h).
 */
struct pj_msg;
extern const struct pj_msg pj_rule_groups, pj_alert_instance, pj_target_discovery,
	pj_exemplar_data, pj_meta, pj_statistics_entry;
/* The object that comes next. E_REMOTE names the byte. */
MUST_CHECK int pj_read(struct ctx *ctx, struct arena *a, const struct pj_msg *m,
		       struct jr *j, void *out, struct err *e);
/* The array of such objects that comes next; null: none. */
MUST_CHECK int pj_read_list(struct ctx *ctx, struct arena *a, const struct pj_msg *m,
			    struct jr *j, struct pf_list *out, struct err *e);
void pj_write(const struct pj_msg *m, const void *msg, struct buf *out);
void pj_write_list(const struct pj_msg *m, const struct pf_list *l, struct buf *out);

#endif
