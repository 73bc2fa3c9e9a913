/*
 * api/federated.c - /api/v1/rules, alerts, targets, metadata, query_exemplars and status/tsdb: what all endpoints say
 * together, replicas folded.
 */
#include "api/api_int.h"
#include "base/time.h"
#include "wire/json.h"

#define DEFAULT_STATISTICS 10 /* entries of each list */

/* What failed behind us is no fault of the request: 500, as Thanos answers. */
static int failed(struct call *c, const char *what)
{
	switch (c->e->code) {
	case E_INVALID:
	case E_PARSE:
	case E_LIMIT:
	case E_CANCELLED:
	case E_TIMEOUT: break;
	default: c->e->code = E_INTERNAL;
	}
	return err_wrap(c->ctx, c->e, "retrieving %s", what);
}

/* Endpoints that hang end with --query.timeout. */
static struct ctx bounded(struct call *c)
{
	return ctx_child(c->ctx,
			 time_after_ns((uint64_t)c->api->o.timeout_ms * NS_PER_MS));
}

static int strategy(struct call *c, bool def, int32_t *out)
{
	bool partial;
	if (api_bool(c, "partial_response", def, &partial) < 0)
		return -1;
	*out = partial ? PARTIAL_WARN : PARTIAL_ABORT;
	return 0;
}

/* One of names[3], whose place is its number; absent: the first. */
static int choice(struct call *c, const char *what, const char *param,
		  const char *const *names, int32_t *out)
{
	struct str s = http_param(c->req, param);
	*out = 0;
	for (int32_t i = 0; i < 3 && s.n; i++)
		if (str_eq_nocase(s, str_of(names[i]))) {
			*out = i;
			return 0;
		}
	if (s.n == 0)
		return 0;
	return err_set(c->ctx, c->e, E_INVALID, "invalid %s parameter %s='%.*s'", what,
		       param, STR_FMT(s));
}

/* ---- rules, alerts ---- */

static struct pf_list all_params(struct call *c, const char *name)
{
	struct pf_list l;
	l.v = http_params(c->req, name, &l.n);
	return l;
}

/* The matchers of all sets together. */
static int rule_matchers(struct call *c, struct matcher **m, size_t *n)
{
	struct selectors sel;
	size_t k = 0;
	if (api_matches(c, false, &sel) < 0)
		return -1;
	for (size_t i = 0; i < sel.n; i++)
		k += sel.count[i];
	*m = ARENA_ARRAY(c->a, struct matcher, k + 1);
	*n = 0;
	for (size_t i = 0; i < sel.n; *n += sel.count[i++])
		if (sel.count[i])
			memcpy(*m + *n, sel.m[i], sel.count[i] * sizeof(**m));
	return 0;
}

static int fetch_rules(struct call *c, struct pb_rules_request *q,
		       struct pb_rule_groups *g)
{
	const struct api_opts *o = &c->api->o;
	struct ctx ctx = bounded(c);
	struct matcher *m;
	size_t n;
	if (rule_matchers(c, &m, &n) < 0 ||
	    strategy(c, o->partial.rules, &q->partial_response_strategy) < 0)
		return -1;
	if (o->federated->ops->rules(o->federated, &ctx, c->a, q, g, c->e) < 0 ||
	    federated_filter_rules(&ctx, c->a, q, m, n, g, c->e) < 0 ||
	    federated_dedup_rules(&ctx, c->a, g, o->replica_labels, o->n_replica_labels,
				  c->e) < 0)
		return failed(c, "rules");
	return 0;
}

int api_rules(struct call *c, struct buf *out)
{
	static const char *const types[] = { "all", "alert", "record" };
	struct pb_rule_groups g;
	struct pb_rules_request q = { .matcher_string = all_params(c, "match[]"),
				      .rule_name = all_params(c, "rule_name[]"),
				      .rule_group = all_params(c, "rule_group[]"),
				      .file = all_params(c, "file[]") };
	if (choice(c, "rules", "type", types, &q.type) < 0 || fetch_rules(c, &q, &g) < 0)
		return -1;
	pj_write(&pj_rule_groups, &g, out);
	return 0;
}

int api_alerts(struct call *c, struct buf *out)
{
	struct pb_rule_groups gs;
	struct pb_rules_request q = { .type = PB_RULES_ALERT };
	bool comma = false;
	if (fetch_rules(c, &q, &gs) < 0)
		return -1;
	const struct pb_rule_group *g = gs.groups.v;
	buf_str(out, STR("{\"alerts\":["));
	for (size_t i = 0; i < gs.groups.n; i++) {
		const struct pb_rule *r = g[i].rules.v;
		for (size_t k = 0; k < g[i].rules.n; k++) {
			const struct pb_alert *a = r[k].alert;
			const struct pb_alert_instance *x = a ? a->alerts.v : NULL;
			for (size_t j = 0; a && j < a->alerts.n; j++) {
				if (comma)
					buf_byte(out, ',');
				comma = true;
				pj_write(&pj_alert_instance, &x[j], out);
			}
		}
	}
	buf_str(out, STR("]}"));
	return 0;
}

/* ---- targets, metadata ---- */

int api_targets(struct call *c, struct buf *out)
{
	static const char *const states[] = { "any", "active", "dropped" };
	const struct api_opts *o = &c->api->o;
	struct ctx ctx = bounded(c);
	struct pb_targets_request q = { 0 };
	struct pb_target_discovery t;
	if (choice(c, "targets", "state", states, &q.state) < 0 ||
	    strategy(c, o->partial.targets, &q.partial_response_strategy) < 0)
		return -1;
	if (o->federated->ops->targets(o->federated, &ctx, c->a, &q, &t, c->e) < 0 ||
	    federated_dedup_targets(&ctx, c->a, &t, o->replica_labels,
				    o->n_replica_labels, c->e) < 0)
		return failed(c, "targets");
	pj_write(&pj_target_discovery, &t, out);
	return 0;
}

int api_metadata(struct call *c, struct buf *out)
{
	const struct api_opts *o = &c->api->o;
	struct ctx ctx = bounded(c);
	struct str limit = http_param(c->req, "limit");
	int64_t n = -1;
	struct pb_metadata m;
	struct jw w;
	if (limit.n && (!str_to_i64(limit, &n) || n != (int32_t)n))
		return err_set(c->ctx, c->e, E_INVALID,
			       "invalid metric metadata limit='%.*s'", STR_FMT(limit));
	struct pb_metadata_request q = { .metric = http_param(c->req, "metric"),
					 .limit = (int32_t)n };
	if (strategy(c, o->partial.metadata, &q.partial_response_strategy) < 0)
		return -1;
	if (o->federated->ops->metadata(o->federated, &ctx, c->a, &q, &m, c->e) < 0)
		return failed(c, "metadata");
	federated_sort_metadata(&m);
	const struct pb_metadata_entry *v = m.metadata.v;
	jw_init(&w, out);
	jw_obj(&w);
	for (size_t i = 0; i < m.metadata.n; i++) {
		struct buf b;
		buf_init(&b, out->max);
		pj_write_list(&pj_meta, &v[i].value->metas, &b);
		jw_key(&w, v[i].key);
		jw_raw(&w, buf_view(&b));
		out->failed |= b.failed;
		buf_deinit(&b);
	}
	jw_obj_end(&w);
	return 0;
}

/* ---- exemplars ---- */

int api_exemplars(struct call *c, struct buf *out)
{
	const struct api_opts *o = &c->api->o;
	struct ctx ctx = bounded(c);
	struct pb_exemplars_request q = { .query = http_param(c->req, "query") };
	struct pb_exemplars x;
	struct expr *tree;
	struct err why = ERR_INIT;
	if (api_time(c, "start", INT64_MIN / 1000, &q.start) < 0 ||
	    api_time(c, "end", INT64_MAX / 1000, &q.end) < 0 ||
	    strategy(c, o->partial.exemplars, &q.partial_response_strategy) < 0)
		return -1;
	if (q.end < q.start)
		return api_bad(c->ctx, c->e, "end",
			       "end timestamp must not be before start time");
	if (promql_parse(&ctx, c->a, q.query, o->promql_features, &tree, &why) < 0)
		return api_bad_text(c, "query", &why);
	if (api_enforce_exemplars(c, tree, &q.query) < 0)
		return -1;
	if (o->federated->ops->exemplars(o->federated, &ctx, c->a, &q, &x, c->e) < 0 ||
	    federated_dedup_exemplars(&ctx, c->a, &x, o->replica_labels,
				      o->n_replica_labels, c->e) < 0)
		return failed(c, "exemplars");
	pj_write_list(&pj_exemplar_data, &x.data, out);
	return 0;
}

/* ---- statistics ---- */

static int statistics_matchers(struct call *c, struct pf_list *out)
{
	struct matcher *m;
	size_t n;
	if (rule_matchers(c, &m, &n) < 0)
		return -1;
	struct pb_matcher *v = ARENA_ARRAY(c->a, struct pb_matcher, n + 2);
	for (size_t i = 0; i < n; i++)
		v[i] = (struct pb_matcher){ (int32_t)m[i].type, m[i].name, m[i].value };
	if (c->api->o.enforce_tenancy)
		v[n++] = (struct pb_matcher){ MATCH_EQ, c->api->o.tenant_label,
					      c->ctx->tenant };
	*out = (struct pf_list){ v, n };
	return 0;
}

int api_statistics(struct call *c, struct buf *out)
{
	const struct api_opts *o = &c->api->o;
	struct ctx ctx = bounded(c);
	struct pb_statistics_request q = { 0 };
	struct pb_statistics s;
	struct pb_statistics_entry all = { 0 };
	int64_t limit;
	if (api_limit(c, &limit) < 0 || statistics_matchers(c, &q.matchers) < 0 ||
	    strategy(c, o->partial.status, &q.partial_response_strategy) < 0)
		return -1;
	if (limit > INT32_MAX)
		return err_set(c->ctx, c->e, E_INVALID, "limit %lld overflows int32",
			       (long long)limit);
	q.limit = limit ? (int32_t)limit : DEFAULT_STATISTICS;
	if (o->federated->ops->statistics(o->federated, &ctx, c->a, &q, &s, c->e) < 0)
		return failed(c, "tsdb statistics");
	const struct pb_statistics_by_tenant *t = s.statistics.v;
	bool found = false;
	for (size_t i = 0; i < s.statistics.n; i++) {
		if (o->enforce_tenancy && !str_eq(t[i].key, c->ctx->tenant))
			continue;
		found = true;
		if (federated_add_statistics(&ctx, c->a, &all, t[i].value, c->e) < 0)
			return failed(c, "tsdb statistics");
	}
	if (o->enforce_tenancy && !found) {
		err_set(c->ctx, c->e, E_NOT_FOUND, "%.*s tenant not found",
			STR_FMT(c->ctx->tenant));
		return failed(c, "tsdb statistics");
	}
	struct pf_list *lists[] = { &all.series_by_metric, &all.values_by_label,
				    &all.memory_by_label, &all.series_by_pair };
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		lists[i]->n = MIN(lists[i]->n, (size_t)q.limit);
	pj_write(&pj_statistics_entry, &all, out);
	return 0;
}
