/*
 * Rules, targets, metadata, exemplars and statistics of a Prometheus: what it is asked, what becomes of its answers,
 * external labels.
 */
#include "prom_world.h"
#include "support/tst.h"

static struct federated *fed(struct prom_world *w)
{
	return prom_store_federated(w->prom);
}

/* The message as JSON, terminated. */
static const char *shown(struct prom_world *w, const struct pj_msg *m, const void *msg)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	pj_write(m, msg, &b);
	const char *s = str_dupz(&w->arena, buf_view(&b));
	buf_deinit(&b);
	return s;
}

static const char *asked(const struct prom_world *w)
{
	return strchr(w->asked, '1') + 1; /* behind /p/api/v1 */
}

Test(prom_federated, rules)
{
	static const struct {
		int32_t type;
		const char *asks;
	} types[] = { { PB_RULES_ALL, "/rules" },
		      { PB_RULES_ALERT, "/rules?type=alert" },
		      { PB_RULES_RECORD, "/rules?type=record" },
		      { 7, "/rules" } };
	struct prom_world w = {
		.federated =
			"{\"groups\":[{\"name\":\"g\",\"file\":\"f\",\"interval\":1,\"rules\":["
			"{\"type\":\"alerting\",\"name\":\"A\",\"state\":\"firing\",\"labels\":{\"cluster\":\"mine\",\"z\":\"1\"},"
			"\"alerts\":[{\"state\":\"firing\",\"labels\":{\"alertname\":\"A\"},\"value\":\"1\","
			"\"activeAt\":\"2026-11-22T16:36:44Z\"}]},"
			"{\"type\":\"recording\",\"name\":\"r\"}]}]}"
	};
	struct pb_rule_groups g;
	prom_world_open(&w, 0);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct pb_rules_request q = { .type = types[i].type };
		cr_assert_eq(fed(&w)->ops->rules(fed(&w), &w.ctx, &w.arena, &q, &g, &w.e),
			     0, "%s", err_text(&w.e));
		cr_assert_str_eq(asked(&w), types[i].asks);
	}
	const char *s = shown(&w, &pj_rule_groups, &g);
	static const char *const parts[] = {
		"\"labels\":{\"cluster\":\"eu\",\"replica\":\"a\",\"z\":\"1\"}",
		"\"labels\":{\"alertname\":\"A\"}",
		"{\"name\":\"r\",\"query\":\"\",\"labels\":{\"cluster\":\"eu\",\"replica\":\"a\"}",
		"\"activeAt\":\"2026-11-22T16:36:44Z\",\"value\":\"1\",\"partialResponseStrategy\":\"WARN\"}",
		"\"limit\":0,\"partialResponseStrategy\":\"ABORT\"}]}"
	};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		cr_assert(strstr(s, parts[i]), "no %s in %s", parts[i], s);
	prom_world_close(&w);
}

Test(prom_federated, targets)
{
	struct prom_world w = {
		.federated =
			"{\"activeTargets\":[{\"discoveredLabels\":{\"__address__\":\"x:1\"},\"labels\":{\"job\":\"j\"},"
			"\"scrapePool\":\"j\",\"health\":\"down\",\"lastError\":\"no\",\"scrapeInterval\":\"1s\"}],"
			"\"droppedTargets\":[{\"discoveredLabels\":{\"__address__\":\"x:2\"},\"scrapePool\":\"j\"}],"
			"\"droppedTargetCounts\":{\"j\":1}}"
	};
	struct pb_target_discovery t;
	struct pb_targets_request q = { .state = PB_TARGETS_DROPPED };
	prom_world_open(&w, 0);
	cr_assert_eq(fed(&w)->ops->targets(fed(&w), &w.ctx, &w.arena, &q, &t, &w.e), 0,
		     "%s", err_text(&w.e));
	cr_assert_str_eq(asked(&w), "/targets?state=dropped");
	cr_assert_str_eq(
		shown(&w, &pj_target_discovery, &t),
		"{\"activeTargets\":[{\"discoveredLabels\":{\"__address__\":\"x:1\",\"cluster\":\"eu\",\"replica\":\"a\"},"
		"\"labels\":{\"cluster\":\"eu\",\"job\":\"j\",\"replica\":\"a\"},\"scrapePool\":\"j\",\"scrapeUrl\":\"\","
		"\"globalUrl\":\"\",\"lastError\":\"no\",\"lastScrape\":\"0001-01-01T00:00:00Z\",\"lastScrapeDuration\":0,"
		"\"health\":\"down\"}],\"droppedTargets\":[{\"discoveredLabels\":{\"__address__\":\"x:2\","
		"\"cluster\":\"eu\",\"replica\":\"a\"}}]}");
	prom_world_close(&w);
}

Test(prom_federated, metadata)
{
	static const struct {
		const char *metric;
		int32_t limit;
		const char *asks;
	} rows[] = { { "", -1, "/metadata" },
		     { "up", -1, "/metadata?metric=up" },
		     { "", 0, "/metadata?limit=0" },
		     { "a b", 3, "/metadata?metric=a+b&limit=3" } };
	struct prom_world w = {
		.federated = "{\"up\":[{\"type\":\"gauge\",\"help\":\"h\"}],"
			     "\"x\":[{\"type\":\"counter\",\"help\":\"1\"},"
			     "{\"type\":\"gauge\",\"help\":\"2\",\"unit\":\"s\"}]}"
	};
	struct pb_metadata m;
	prom_world_open(&w, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pb_metadata_request q = { .metric = str_of(rows[i].metric),
						 .limit = rows[i].limit };
		cr_assert_eq(fed(&w)->ops->metadata(fed(&w), &w.ctx, &w.arena, &q, &m,
						    &w.e),
			     0, "%s", err_text(&w.e));
		cr_assert_str_eq(asked(&w), rows[i].asks);
	}
	const struct pb_metadata_entry *x = m.metadata.v;
	cr_assert_eq(m.metadata.n, 2u);
	cr_assert(str_eqz(x[1].key, "x") && x[1].value->metas.n == 2);
	cr_assert(str_eqz(((struct pb_meta *)x[1].value->metas.v)[1].unit, "s"));
	w.federated = "7";
	struct pb_metadata_request q = { .limit = -1 };
	cr_assert_eq(fed(&w)->ops->metadata(fed(&w), &w.ctx, &w.arena, &q, &m, &w.e), -1);
	cr_assert_eq(w.e.code, E_REMOTE, "%s", err_text(&w.e));
	prom_world_close(&w);
}

Test(prom_federated, exemplars)
{
	struct prom_world w = {
		.federated =
			"[{\"seriesLabels\":{\"__name__\":\"m\",\"job\":\"j\"},\"exemplars\":["
			"{\"labels\":{\"trace_id\":\"1\"},\"value\":\"0.5\",\"timestamp\":1795365402.026}]}]"
	};
	struct pb_exemplars x;
	struct pb_exemplars_request q = { .query = STR("m{cluster=\"eu\"}"),
					  .start = -1500,
					  .end = 1795369004810 };
	prom_world_open(&w, 0);
	cr_assert_eq(fed(&w)->ops->exemplars(fed(&w), &w.ctx, &w.arena, &q, &x, &w.e), 0,
		     "%s", err_text(&w.e));
	cr_assert_str_eq(
		asked(&w),
		"/query_exemplars?query=m%7Bcluster%3D%22eu%22%7D&start=-1.500&end=1795369004.810");
	cr_assert_eq(x.data.n, 1u);
	cr_assert_str_eq(
		shown(&w, &pj_exemplar_data, x.data.v),
		"{\"seriesLabels\":{\"__name__\":\"m\",\"cluster\":\"eu\",\"job\":\"j\",\"replica\":\"a\"},"
		"\"exemplars\":[{\"labels\":{\"trace_id\":\"1\"},\"timestamp\":1795365402.026,\"value\":\"0.5\"}]}");
	w.federated_status = 400;
	w.federated = "{\"status\":\"error\"}";
	cr_assert_eq(fed(&w)->ops->exemplars(fed(&w), &w.ctx, &w.arena, &q, &x, &w.e),
		     -1);
	cr_assert_eq(w.e.code, E_INVALID);
	cr_assert(strstr(err_text(&w.e), "expected 2xx response, got 400. Body: "
					 "{\"status\":\"error\"}"),
		  "%s", err_text(&w.e));
	prom_world_close(&w);
}

Test(prom_federated, statistics)
{
	static const struct {
		struct pb_matcher m;
		const char *tenant;
		int rc;
		size_t n;
	} rows[] = { { { MATCH_EQ, STR("cluster"), STR("eu") }, "", 0, 1 },
		     { { MATCH_EQ, STR("cluster"), STR("us") }, "", 0, 0 },
		     { { MATCH_NEQ, STR("other"), STR("x") }, "", 0, 1 },
		     { { MATCH_EQ, STR("cluster"), STR("eu") }, "t", 0, 0 },
		     { { 9, STR("cluster"), STR("eu") }, "", -1, 0 } };
	struct prom_world w = {
		.federated =
			"{\"headStats\":{\"numSeries\":5,\"numLabelPairs\":6,\"chunkCount\":7,\"minTime\":8,\"maxTime\":9},"
			"\"seriesCountByMetricName\":[{\"name\":\"a\",\"value\":3},{\"name\":\"b\",\"value\":2},"
			"{\"name\":\"c\",\"value\":1}]}"
	};
	struct pb_statistics s;
	prom_world_open(&w, 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pb_statistics_request q = { .tenant = str_of(rows[i].tenant),
						   .limit = 2 };
		q.matchers = (struct pf_list){ (void *)(uintptr_t)&rows[i].m, 1 };
		cr_assert_eq(fed(&w)->ops->statistics(fed(&w), &w.ctx, &w.arena, &q, &s,
						      &w.e),
			     rows[i].rc, "row %zu", i);
		if (rows[i].rc == 0)
			cr_assert_eq(s.statistics.n, rows[i].n, "row %zu", i);
		if (s.statistics.n == 0)
			continue;
		const struct pb_statistics_by_tenant *t = s.statistics.v;
		cr_assert_str_eq(asked(&w), "/status/tsdb?limit=2");
		cr_assert(t->key.p && t->key.n == 0);
		cr_assert_eq(t->value->head->num_series, 5u);
		cr_assert_eq(t->value->series_by_metric.n, 2u, "the limit holds");
	}
	prom_world_close(&w);
}

/* Not more memory than the call may use, and all of it given back. */
Test(prom_federated, budget)
{
	struct prom_world w = { 0 };
	struct budget small;
	struct arena a;
	struct buf b;
	struct pb_rule_groups g;
	struct pb_rules_request q = { 0 };
	buf_init(&b, 1 << 22);
	buf_str(&b, STR("{\"groups\":[{\"rules\":["));
	for (int i = 0; i < 2000; i++)
		buf_fmt(&b, "%s{\"type\":\"recording\",\"name\":\"r%d\"}", i ? "," : "",
			i);
	buf_str(&b, STR("]}]}"));
	buf_byte(&b, 0);
	w.federated = (const char *)b.p;
	prom_world_open(&w, 0);
	budget_init(&small, NULL, "call", NULL, 300 << 10);
	struct ctx ctx = ctx_child(&w.ctx, 0);
	ctx.budget = &small;
	arena_init(&a, &small);
	cr_assert_eq(fed(&w)->ops->rules(fed(&w), &ctx, &a, &q, &g, &w.e), -1);
	cr_assert_eq(w.e.code, E_LIMIT, "%s", err_text(&w.e));
	arena_deinit(&a);
	cr_assert_eq(budget_used(&small), 0u);
	budget_deinit(&small);
	prom_world_close(&w);
	buf_deinit(&b);
}
