/*
 * proto/federated_json.c - rules, targets, metadata, exemplars and statistics as Prometheus' HTTP API shows them.
 *
 * One table a message serves both ways: the sidecar reads Prometheus' answers by it, the querier writes its own, which
 * look alike. The order of rows is that in which Go writes the members.
 */
#include <math.h>

#include "base/time.h"
#include "base/vec.h"
#include "proto/federated.h"
#include "wire/json.h"
#include "wire/num.h"

enum pj_kind {
	PJ_STR,
	PJ_F64,
	PJ_I64,
	PJ_U64,
	PJ_ENUM,    /* text of `names` */
	PJ_TIME,    /* RFC 3339 */
	PJ_SECONDS, /* int64_t ms as a number of seconds */
	PJ_SAMPLE,  /* double as text */
	PJ_LABELS,
	PJ_OBJ,
	PJ_LIST,
	PJ_RULES, /* a list whose elements are of two kinds, told by their "type" */
};
#define OMIT 1u /* left out when empty */
struct pj_field {
	const char *key;
	enum pj_kind kind;
	uint32_t off;
	const void *sub; /* OBJ, LIST: struct pj_msg; ENUM: texts, NULL behind the last */
	unsigned bits;
};
struct pj_msg {
	size_t size;
	const struct pj_field *field;
	size_t n;
};

#define MSG(var, type, rows)                                                             \
	const struct pj_msg var = { sizeof(struct type), rows, ARRAY_LEN(rows) }
#define ROW(key, kind, type, field)                                                      \
	{                                                                                \
		key, kind, offsetof(struct type, field), NULL, 0                         \
	}
#define OMITTED(key, kind, type, field)                                                  \
	{                                                                                \
		key, kind, offsetof(struct type, field), NULL, OMIT                      \
	}
#define SUB(key, kind, type, field, sub)                                                 \
	{                                                                                \
		key, kind, offsetof(struct type, field), sub, 0                          \
	}

static const char *const strategies[] = { "WARN", "ABORT", NULL };
static const char *const states[] = { "unknown", "inactive", "pending", "firing", NULL };
static const char *const healths[] = { "down", "up", "unknown", NULL };

#define M pb_alert_instance
static const struct pj_field instance_rows[] = {
	ROW("labels", PJ_LABELS, M, labels),
	ROW("annotations", PJ_LABELS, M, annotations),
	SUB("state", PJ_ENUM, M, state, states),
	OMITTED("activeAt", PJ_TIME, M, active_at),
	ROW("value", PJ_STR, M, value),
	SUB("partialResponseStrategy", PJ_ENUM, M, partial_response_strategy, strategies),
};
MSG(pj_alert_instance, M, instance_rows);
#undef M

/* A rule while its type, which comes last, is not known yet. */
struct any_rule {
	struct pb_alert alert;
	struct str type;
};
#define M pb_alert
#define ALERT_ROWS                                                                       \
	SUB("state", PJ_ENUM, M, state, states), ROW("name", PJ_STR, M, name),           \
		ROW("query", PJ_STR, M, query),                                          \
		ROW("duration", PJ_F64, M, duration_seconds),                            \
		ROW("labels", PJ_LABELS, M, labels),                                     \
		ROW("annotations", PJ_LABELS, M, annotations),                           \
		SUB("alerts", PJ_LIST, M, alerts, &pj_alert_instance),                   \
		ROW("health", PJ_STR, M, health),                                        \
		OMITTED("lastError", PJ_STR, M, last_error),                             \
		ROW("evaluationTime", PJ_F64, M, evaluation_duration_seconds),           \
		ROW("lastEvaluation", PJ_TIME, M, last_evaluation),                      \
		ROW("keepFiringFor", PJ_F64, M, keep_firing_for_seconds)
static const struct pj_field alert_rows[] = { ALERT_ROWS };
static MSG(alert, M, alert_rows);
static const struct pj_field any_rule_rows[] = { ALERT_ROWS,
						 ROW("type", PJ_STR, any_rule, type) };
static MSG(any_rule, any_rule, any_rule_rows);
#undef M

#define M pb_recording
static const struct pj_field recording_rows[] = {
	ROW("name", PJ_STR, M, name),
	ROW("query", PJ_STR, M, query),
	ROW("labels", PJ_LABELS, M, labels),
	ROW("health", PJ_STR, M, health),
	OMITTED("lastError", PJ_STR, M, last_error),
	ROW("evaluationTime", PJ_F64, M, evaluation_duration_seconds),
	ROW("lastEvaluation", PJ_TIME, M, last_evaluation),
};
static MSG(recording, M, recording_rows);
#undef M

#define M pb_rule_group
static const struct pj_field group_rows[] = {
	ROW("name", PJ_STR, M, name),
	ROW("file", PJ_STR, M, file),
	ROW("rules", PJ_RULES, M, rules),
	ROW("interval", PJ_F64, M, interval),
	ROW("evaluationTime", PJ_F64, M, evaluation_duration_seconds),
	ROW("lastEvaluation", PJ_TIME, M, last_evaluation),
	ROW("limit", PJ_I64, M, limit),
	SUB("partialResponseStrategy", PJ_ENUM, M, partial_response_strategy, strategies),
};
static MSG(group, M, group_rows);
#undef M
static const struct pj_field groups_rows[] = { SUB("groups", PJ_LIST, pb_rule_groups,
						   groups, &group) };
MSG(pj_rule_groups, pb_rule_groups, groups_rows);

#define M pb_active_target
static const struct pj_field active_rows[] = {
	ROW("discoveredLabels", PJ_LABELS, M, discovered_labels),
	ROW("labels", PJ_LABELS, M, labels),
	ROW("scrapePool", PJ_STR, M, scrape_pool),
	ROW("scrapeUrl", PJ_STR, M, scrape_url),
	ROW("globalUrl", PJ_STR, M, global_url),
	ROW("lastError", PJ_STR, M, last_error),
	ROW("lastScrape", PJ_TIME, M, last_scrape),
	ROW("lastScrapeDuration", PJ_F64, M, last_scrape_duration),
	SUB("health", PJ_ENUM, M, health, healths),
};
static MSG(active, M, active_rows);
#undef M
static const struct pj_field dropped_rows[] = {
	ROW("discoveredLabels", PJ_LABELS, pb_dropped_target, discovered_labels)
};
static MSG(dropped, pb_dropped_target, dropped_rows);
static const struct pj_field discovery_rows[] = {
	SUB("activeTargets", PJ_LIST, pb_target_discovery, active_targets, &active),
	SUB("droppedTargets", PJ_LIST, pb_target_discovery, dropped_targets, &dropped),
};
MSG(pj_target_discovery, pb_target_discovery, discovery_rows);

static const struct pj_field meta_rows[] = {
	ROW("type", PJ_STR, pb_meta, type),
	ROW("help", PJ_STR, pb_meta, help),
	ROW("unit", PJ_STR, pb_meta, unit),
};
MSG(pj_meta, pb_meta, meta_rows);

static const struct pj_field exemplar_rows[] = {
	ROW("labels", PJ_LABELS, pb_exemplar, labels),
	ROW("timestamp", PJ_SECONDS, pb_exemplar, ts),
	ROW("value", PJ_SAMPLE, pb_exemplar, value),
};
static MSG(exemplar, pb_exemplar, exemplar_rows);
static const struct pj_field exemplar_data_rows[] = {
	ROW("seriesLabels", PJ_LABELS, pb_exemplar_data, series_labels),
	SUB("exemplars", PJ_LIST, pb_exemplar_data, exemplars, &exemplar),
};
MSG(pj_exemplar_data, pb_exemplar_data, exemplar_data_rows);

#define M pb_head_statistics
static const struct pj_field head_rows[] = {
	ROW("numSeries", PJ_U64, M, num_series),
	ROW("numLabelPairs", PJ_I64, M, num_label_pairs),
	ROW("chunkCount", PJ_I64, M, chunk_count),
	ROW("minTime", PJ_I64, M, min_time),
	ROW("maxTime", PJ_I64, M, max_time),
};
static MSG(head, M, head_rows);
#undef M
static const struct pj_field statistic_rows[] = {
	ROW("name", PJ_STR, pb_statistic, name),
	ROW("value", PJ_U64, pb_statistic, value),
};
static MSG(statistic, pb_statistic, statistic_rows);
#define M pb_statistics_entry
static const struct pj_field statistics_rows[] = {
	SUB("headStats", PJ_OBJ, M, head, &head),
	SUB("seriesCountByMetricName", PJ_LIST, M, series_by_metric, &statistic),
	SUB("labelValueCountByLabelName", PJ_LIST, M, values_by_label, &statistic),
	SUB("memoryInBytesByLabelName", PJ_LIST, M, memory_by_label, &statistic),
	SUB("seriesCountByLabelValuePair", PJ_LIST, M, series_by_pair, &statistic),
};
MSG(pj_statistics_entry, M, statistics_rows);
#undef M

/* ---------------------------------------------------------------- reading */

struct in {
	struct ctx *ctx;
	struct arena *a;
	struct jr *j;
	struct err *e;
};

static int read_obj(struct in *in, const struct pj_msg *m, char *out);

static int bad(struct in *in, const char *key)
{
	return err_set(in->ctx, in->e, E_REMOTE, "malformed %s at byte %zu", key,
		       jr_offset(in->j));
}

static int by_name(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(((const struct pb_label *)x)->name,
		       ((const struct pb_label *)y)->name);
}

/* Behind the brace. */
static int read_labels(struct in *in, struct pb_label_set *out)
{
	enum json_tok t;
	while ((t = jr_next(in->j)) == JSON_KEY) {
		struct str name = in->j->s;
		if (jr_next(in->j) != JSON_STR)
			return bad(in, "label");
		struct pb_label *l =
			proto_list_add(in->ctx, in->a, &out->labels, sizeof(*l), in->e);
		if (!l)
			return -1;
		*l = (struct pb_label){ name, in->j->s };
	}
	if (t != JSON_OBJ_END)
		return bad(in, "labels");
	if (out->labels.n > 1)
		vec_sort(out->labels.v, out->labels.n, sizeof(struct pb_label), by_name,
			 NULL);
	return 0;
}

/* Behind the bracket. */
static int read_list(struct in *in, const struct pj_msg *m, struct pf_list *out)
{
	enum json_tok t;
	while ((t = jr_next(in->j)) == JSON_OBJ) {
		void *at = proto_list_add(in->ctx, in->a, out, m->size, in->e);
		if (!at || read_obj(in, m, at) < 0)
			return -1;
	}
	return t == JSON_ARR_END ? 0 : bad(in, "list");
}

static int read_rules(struct in *in, struct pf_list *out)
{
	enum json_tok t;
	while ((t = jr_next(in->j)) == JSON_OBJ) {
		struct any_rule any = { 0 };
		struct pb_rule *r =
			proto_list_add(in->ctx, in->a, out, sizeof(*r), in->e);
		if (!r || read_obj(in, &any_rule, (char *)&any) < 0)
			return -1;
		if (str_eqz(any.type, "alerting")) {
			r->alert = ARENA_NEW(in->a, struct pb_alert);
			*r->alert = any.alert;
		} else if (str_eqz(any.type, "recording")) {
			r->recording = ARENA_NEW(in->a, struct pb_recording);
			*r->recording = (struct pb_recording){
				any.alert.name,
				any.alert.query,
				any.alert.labels,
				any.alert.health,
				any.alert.last_error,
				any.alert.evaluation_duration_seconds,
				any.alert.last_evaluation,
			};
		} else {
			return err_set(in->ctx, in->e, E_REMOTE,
				       "rule of unknown type \"%.*s\"",
				       STR_FMT(any.type));
		}
	}
	return t == JSON_ARR_END ? 0 : bad(in, "rules");
}

static int read_enum(struct in *in, const struct pj_field *f, int32_t *out)
{
	const char *const *names = f->sub;
	for (int32_t i = 0; names[i]; i++)
		if (str_eq_nocase(in->j->s, str_of(names[i]))) {
			*out = i;
			return 0;
		}
	return err_set(in->ctx, in->e, E_REMOTE, "unknown %s \"%.*s\"", f->key,
		       STR_FMT(in->j->s));
}

static int read_text(struct in *in, const struct pj_field *f, char *at)
{
	int64_t sec;
	uint32_t nsec;
	double d;
	switch (f->kind) {
	case PJ_STR: memcpy(at, &in->j->s, sizeof(in->j->s)); return 0;
	case PJ_ENUM: return read_enum(in, f, (int32_t *)(void *)at);
	case PJ_TIME: {
		struct pb_timestamp *t = ARENA_NEW(in->a, struct pb_timestamp);
		if (!time_parse_rfc3339(in->j->s, &sec, &nsec))
			return bad(in, f->key);
		*t = (struct pb_timestamp){ sec, (int32_t)nsec };
		memcpy(at, &t, sizeof(t));
		return 0;
	}
	case PJ_SAMPLE:
		if (!str_to_f64(in->j->s, &d))
			return bad(in, f->key);
		memcpy(at, &d, sizeof(d));
		return 0;
	default: return bad(in, f->key);
	}
}

static int read_number(struct in *in, const struct pj_field *f, char *at)
{
	double d;
	int64_t i;
	uint64_t u;
	switch (f->kind) {
	case PJ_F64:
		if (!str_to_f64(in->j->s, &d))
			return bad(in, f->key);
		memcpy(at, &d, sizeof(d));
		return 0;
	case PJ_SECONDS:
		if (!str_to_f64(in->j->s, &d) || !(fabs(d) < 9e15))
			return bad(in, f->key);
		i = (int64_t)llround(d * 1000);
		memcpy(at, &i, sizeof(i));
		return 0;
	case PJ_I64:
		if (!str_to_i64(in->j->s, &i))
			return bad(in, f->key);
		memcpy(at, &i, sizeof(i));
		return 0;
	case PJ_U64:
		if (!str_to_u64(in->j->s, &u))
			return bad(in, f->key);
		memcpy(at, &u, sizeof(u));
		return 0;
	default: return bad(in, f->key);
	}
}

static int read_value(struct in *in, const struct pj_field *f, char *at)
{
	enum json_tok t = jr_next(in->j);
	if (t == JSON_NULL)
		return 0;
	if (t == JSON_STR)
		return read_text(in, f, at);
	if (t == JSON_NUM)
		return read_number(in, f, at);
	if (t == JSON_ARR && f->kind == PJ_LIST)
		return read_list(in, f->sub, (struct pf_list *)(void *)at);
	if (t == JSON_ARR && f->kind == PJ_RULES)
		return read_rules(in, (struct pf_list *)(void *)at);
	if (t != JSON_OBJ || (f->kind != PJ_LABELS && f->kind != PJ_OBJ))
		return bad(in, f->key);
	const struct pj_msg *m = f->sub;
	void *to = arena_zalloc(in->a, m ? m->size : sizeof(struct pb_label_set));
	memcpy(at, &to, sizeof(to));
	return m ? read_obj(in, m, to) : read_labels(in, to);
}

/* What Go cannot leave out. */
static void make_missing(struct in *in, const struct pj_msg *m, char *out)
{
	for (size_t i = 0; i < m->n; i++) {
		const struct pj_field *f = &m->field[i];
		void *have, *made = NULL;
		if (f->bits & OMIT ||
		    (f->kind != PJ_TIME && f->kind != PJ_LABELS && f->kind != PJ_OBJ))
			continue;
		memcpy(&have, out + f->off, sizeof(have));
		if (have)
			continue;
		if (f->kind == PJ_TIME) {
			struct pb_timestamp *t = ARENA_NEW(in->a, struct pb_timestamp);
			*t = proto_time(NULL);
			made = t;
		} else if (f->kind == PJ_LABELS) {
			made = ARENA_NEW(in->a, struct pb_label_set);
		} else {
			made = arena_zalloc(in->a, ((const struct pj_msg *)f->sub)->size);
			make_missing(in, f->sub, made);
		}
		memcpy(out + f->off, &made, sizeof(made));
	}
}

/* Behind the brace. */
static int read_obj(struct in *in, const struct pj_msg *m, char *out)
{
	enum json_tok t;
	while ((t = jr_next(in->j)) == JSON_KEY) {
		size_t i = 0;
		while (i < m->n && !str_eqz(in->j->s, m->field[i].key))
			i++;
		if (i == m->n) {
			if (jr_skip(in->j) < 0)
				return bad(in, "object");
			continue;
		}
		if (read_value(in, &m->field[i], out + m->field[i].off) < 0)
			return -1;
	}
	if (t != JSON_OBJ_END)
		return bad(in, "object");
	make_missing(in, m, out);
	return 0;
}

int pj_read(struct ctx *ctx, struct arena *a, const struct pj_msg *m, struct jr *j,
	    void *out, struct err *e)
{
	struct in in = { ctx, a, j, e };
	memset(out, 0, m->size);
	return jr_next(j) == JSON_OBJ ? read_obj(&in, m, out) : bad(&in, "object");
}

int pj_read_list(struct ctx *ctx, struct arena *a, const struct pj_msg *m, struct jr *j,
		 struct pf_list *out, struct err *e)
{
	struct in in = { ctx, a, j, e };
	enum json_tok t = jr_next(j);
	*out = (struct pf_list){ NULL, 0 };
	if (t == JSON_NULL)
		return 0;
	return t == JSON_ARR ? read_list(&in, m, out) : bad(&in, "list");
}

/* ---------------------------------------------------------------- writing */

static void write_obj(struct jw *w, const struct pj_msg *m, const char *msg,
		      const char *type);

/* As Go prints times: no zeros at the end of the fraction. */
static void write_time(struct jw *w, const struct pb_timestamp *t)
{
	char s[40];
	struct pb_timestamp v = proto_time(t);
	size_t n = time_format_rfc3339(s, v.seconds, (uint32_t)v.nanos, 9);
	while (n > 2 && s[n - 2] == '0')
		s[--n - 1] = 'Z';
	if (n > 2 && s[n - 2] == '.')
		s[--n - 1] = 'Z';
	jw_str(w, str_n(s, n));
}

static void write_labels(struct jw *w, const struct pb_label_set *s)
{
	const struct pf_list *list = proto_label_list(s);
	const struct pb_label *l = list->v;
	jw_obj(w);
	for (size_t i = 0; i < list->n; i++) {
		jw_key(w, l[i].name);
		jw_str(w, l[i].value);
	}
	jw_obj_end(w);
}

static void write_list(struct jw *w, const struct pj_msg *m, const struct pf_list *l)
{
	jw_arr(w);
	for (size_t i = 0; i < l->n; i++)
		write_obj(w, m, (const char *)l->v + i * m->size, NULL);
	jw_arr_end(w);
}

static void write_rules(struct jw *w, const struct pf_list *l)
{
	const struct pb_rule *r = l->v;
	jw_arr(w);
	for (size_t i = 0; i < l->n; i++) {
		if (r[i].recording)
			write_obj(w, &recording, (const char *)r[i].recording,
				  "recording");
		else if (r[i].alert)
			write_obj(w, &alert, (const char *)r[i].alert, "alerting");
	}
	jw_arr_end(w);
}

static void write_enum(struct jw *w, const char *const *names, int32_t v)
{
	int32_t n = 0;
	while (names[n])
		n++;
	jw_str(w, str_of(v >= 0 && v < n ? names[v] : "unknown"));
}

static void write_value(struct jw *w, const struct pj_field *f, const char *at)
{
	union {
		const void *p;
		struct str s;
		double d;
		int64_t i;
		uint64_t u;
		int32_t e;
	} v;
	char text[NUM_MAX];
	memcpy(&v, at,
	       f->kind == PJ_STR    ? sizeof(v.s)
	       : f->kind == PJ_ENUM ? sizeof(v.e)
				    : sizeof(v.i));
	switch (f->kind) {
	case PJ_STR: jw_str(w, v.s); return;
	case PJ_F64: jw_f64(w, v.d); return;
	case PJ_I64: jw_i64(w, v.i); return;
	case PJ_U64: jw_u64(w, v.u); return;
	case PJ_ENUM: write_enum(w, f->sub, v.e); return;
	case PJ_TIME: write_time(w, v.p); return;
	case PJ_SECONDS:
		jw_raw(w, str_n(text, num_f64_plain(text, (double)v.i / 1000)));
		return;
	case PJ_SAMPLE: jw_str(w, str_n(text, num_f64_plain(text, v.d))); return;
	case PJ_LABELS: write_labels(w, v.p); return;
	case PJ_OBJ: write_obj(w, f->sub, v.p, NULL); return;
	case PJ_LIST: write_list(w, f->sub, (const void *)at); return;
	case PJ_RULES: write_rules(w, (const void *)at); return;
	}
}

static bool left_out(const struct pj_field *f, const char *at)
{
	const void *p;
	if (!(f->bits & OMIT))
		return false;
	if (f->kind == PJ_STR)
		return ((const struct str *)(const void *)at)->n == 0;
	memcpy(&p, at, sizeof(p));
	return p == NULL;
}

/* type: of a rule, its last member; NULL: none. A message that is not there is one without anything in it. */
static void write_obj(struct jw *w, const struct pj_msg *m, const char *msg,
		      const char *type)
{
	static const char nothing[256];
	if (!msg)
		msg = nothing;
	jw_obj(w);
	for (size_t i = 0; i < m->n; i++) {
		const struct pj_field *f = &m->field[i];
		if (left_out(f, msg + f->off))
			continue;
		jw_key(w, str_of(f->key));
		write_value(w, f, msg + f->off);
	}
	if (type) {
		jw_key(w, STR("type"));
		jw_str(w, str_of(type));
	}
	jw_obj_end(w);
}

void pj_write(const struct pj_msg *m, const void *msg, struct buf *out)
{
	struct jw w;
	jw_init(&w, out);
	write_obj(&w, m, msg, NULL);
}

void pj_write_list(const struct pj_msg *m, const struct pf_list *l, struct buf *out)
{
	struct jw w;
	jw_init(&w, out);
	write_list(&w, m, l);
}
