/*
 * Answers of several endpoints as one: tables of what is the same and who stays, filters, unions, and what endpoints are
 * asked about exemplars.
 */
#include <stdio.h>

#include "base/ctx.h"
#include "promql/parse/ast.h"
#include "store/proxy_int.h"
#include "support/tst.h"
#include "wire/json.h"

static const struct str replica[] = { STR("replica") };

struct world {
	struct ctx ctx;
	struct arena a;
	struct buf b;
	struct err e;
};

static void open_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	ctx_init(&w->ctx, NULL, 0);
	arena_init(&w->a, NULL);
	buf_init(&w->b, 1 << 20);
}

static void close_world(struct world *w)
{
	buf_deinit(&w->b);
	arena_deinit(&w->a);
	ctx_deinit(&w->ctx);
}

static void read_msg(struct world *w, const struct pj_msg *m, const char *text, void *out)
{
	struct jr j;
	jr_init(&j, &w->a, str_of(text));
	cr_assert_eq(pj_read(&w->ctx, &w->a, m, &j, out, &w->e), 0, "%s: %s", text,
		     err_text(&w->e));
}

/* "g/name{labels}@lastEvaluation second[state]" of each rule. */
static const char *rules_text(struct world *w, const struct pb_rule_groups *gs)
{
	const struct pb_rule_group *g = gs->groups.v;
	buf_reset(&w->b);
	for (size_t i = 0; i < gs->groups.n; i++) {
		const struct pb_rule *r = g[i].rules.v;
		for (size_t k = 0; k < g[i].rules.n; k++) {
			const struct pb_alert *al = r[k].alert;
			const struct pb_label_set *ls =
				al ? al->labels : r[k].recording->labels;
			const struct pb_label *l = ls->labels.v;
			struct str name = al ? al->name : r[k].recording->name;
			struct pb_timestamp t =
				proto_time(al ? al->last_evaluation
					      : r[k].recording->last_evaluation);
			buf_fmt(&w->b, "%s%.*s/%.*s", w->b.n ? " " : "",
				STR_FMT(g[i].name), STR_FMT(name));
			for (size_t j = 0; j < ls->labels.n; j++)
				buf_fmt(&w->b, "%c%.*s=%.*s", j ? ',' : '{',
					STR_FMT(l[j].name), STR_FMT(l[j].value));
			if (ls->labels.n)
				buf_byte(&w->b, '}');
			buf_fmt(&w->b, "@%d", (int)(t.seconds % 60));
			if (al)
				buf_fmt(&w->b, "!%d", al->state);
		}
	}
	buf_byte(&w->b, 0);
	return (const char *)w->b.p;
}

#define AT(s) "\"lastEvaluation\":\"2026-01-01T00:00:" s "Z\""
#define REC(n, l, s)                                                                     \
	"{\"type\":\"recording\",\"name\":\"" n "\",\"labels\":{" l "}," AT(s) "}"
#define ALERT(n, l, s, st, d)                                                            \
	"{\"type\":\"alerting\",\"name\":\"" n "\",\"labels\":{" l "},\"duration\":" d   \
	",\"state\":\"" st "\"," AT(s) "}"
#define GROUP(f, n, rules) "{\"file\":\"" f "\",\"name\":\"" n "\",\"rules\":[" rules "]}"
#define RA		   "\"replica\":\"a\""
#define RB		   "\"replica\":\"b\""

Test(federated_merge, rules)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ GROUP("f", "g", ""), "" },
		{ GROUP("f", "g", REC("r", RA, "01")) "," GROUP("f", "g",
								REC("r", RB, "02")),
		  "g/r@2" },
		{ GROUP("f", "g", REC("r", RA, "03")) "," GROUP("f", "g",
								REC("r", RB, "02")),
		  "g/r@3" },
		/* other files, groups, labels and names stay apart, in order */
		{ GROUP("f2", "g", REC("r", RA, "01")) "," GROUP("f1", "h",
								 REC("r", RB, "02")),
		  "h/r@2 g/r@1" },
		{ GROUP("f", "g",
			REC("r", "\"x\":\"2\"", "01") "," REC(
				"r", "\"x\":\"1\"," RB, "02") "," REC("q", RA, "03")),
		  "g/q@3 g/r{x=1}@2 g/r{x=2}@1" },
		/* alerts before records; the gravest state, then the latest */
		{ GROUP("f", "g",
			REC("A", RA, "01") "," ALERT("B", RA, "02", "inactive", "0")),
		  "g/B@2!1 g/A@1" },
		{ GROUP("f", "g",
			ALERT("A", RA, "09", "pending", "0") "," ALERT("A", RB, "02",
								       "firing", "0")),
		  "g/A@2!3" },
		{ GROUP("f", "g",
			ALERT("A", RA, "01", "firing", "0") "," ALERT("A", RB, "02",
								      "firing", "0")),
		  "g/A@2!3" },
		{ GROUP("f", "g",
			ALERT("A", RA, "01", "firing", "5") "," ALERT("A", RB, "02",
								      "firing", "0")),
		  "g/A@2!3 g/A@1!3" },
	};
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pb_rule_groups g;
		char text[2048];
		snprintf(text, sizeof(text), "{\"groups\":[%s]}", rows[i].in);
		read_msg(&w, &pj_rule_groups, text, &g);
		cr_assert_eq(federated_dedup_rules(&w.ctx, &w.a, &g, replica, 1, &w.e),
			     0);
		cr_assert_str_eq(rules_text(&w, &g), rows[i].out, "row %zu: %s is not %s",
				 i, (const char *)w.b.p, rows[i].out);
	}
	close_world(&w);
}

Test(federated_merge, rules_filtered)
{
	static const char in[] = "{\"groups\":[" GROUP(
		"f", "g",
		REC("r", "\"x\":\"1\"",
		    "01") "," REC("q", "\"x\":\"{{ $v }}\"",
				  "02")) "," GROUP("f2", "h",
						   REC("r", "\"y\":\"1\"",
						       "03")) "," GROUP("f", "empty",
									"") "]}";
	static const struct {
		const char *name, *group, *file, *selector, *out;
	} rows[] = {
		{ NULL, NULL, NULL, NULL, "g/r{x=1}@1 g/q{x={{ $v }}}@2 h/r{y=1}@3" },
		{ "r", NULL, NULL, NULL, "g/r{x=1}@1 h/r{y=1}@3" },
		{ "r", "h", NULL, NULL, "h/r{y=1}@3" },
		{ NULL, NULL, "f", NULL, "g/r{x=1}@1 g/q{x={{ $v }}}@2" },
		{ NULL, "empty", NULL, NULL, "" },
		{ NULL, NULL, NULL, "{x=\"1\"}", "g/r{x=1}@1" },
		{ NULL, NULL, NULL, "{x=~\".+v.+\"}", "" },
		{ NULL, NULL, NULL, "{y!=\"\"}", "h/r{y=1}@3" },
		{ "q", NULL, NULL, "{x=\"1\"}", "" },
	};
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pb_rule_groups g;
		struct str name = str_of(rows[i].name), group = str_of(rows[i].group),
			   file = str_of(rows[i].file);
		struct pb_rules_request q = { .rule_name = { &name, name.n > 0 },
					      .rule_group = { &group, group.n > 0 },
					      .file = { &file, file.n > 0 } };
		struct matcher *m = NULL;
		size_t n = 0;
		if (rows[i].selector)
			cr_assert_eq(promql_parse_selector(&w.ctx, &w.a,
							   str_of(rows[i].selector), &m,
							   &n, &w.e),
				     0);
		read_msg(&w, &pj_rule_groups, in, &g);
		cr_assert_eq(federated_filter_rules(&w.ctx, &w.a, &q, m, n, &g, &w.e), 0);
		cr_assert_str_eq(rules_text(&w, &g), rows[i].out, "row %zu: %s", i,
				 (const char *)w.b.p);
		cr_assert(g.groups.n == (i == 0 ? 3 : g.groups.n));
	}
	close_world(&w);
}

#define TARGET(url, r, health, s)                                                        \
	"{\"scrapeUrl\":\"" url "\",\"labels\":{" r "},\"discoveredLabels\":{" r         \
	"},\"health\":\"" health "\",\"lastScrape\":\"2026-01-01T00:00:" s "Z\"}"

Test(federated_merge, targets)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ TARGET("u", RA, "up", "01") "," TARGET("u", RB, "up", "02"), "u1@2" },
		{ TARGET("u", RA, "up", "05") "," TARGET("u", RB, "down", "02"), "u0@2" },
		{ TARGET("u", RA, "down", "05") "," TARGET("u", RB, "down", "02"),
		  "u0@5" },
		{ TARGET("v", RA, "up", "01") "," TARGET("u", RB, "up", "02"),
		  "u1@2 v1@1" },
		{ TARGET("u", "\"z\":\"1\"," RA, "up", "01") "," TARGET("u", RB, "up",
									"02"),
		  "u1@2 u1@1" },
	};
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pb_target_discovery t;
		char text[2048];
		snprintf(text, sizeof(text),
			 "{\"activeTargets\":[%s],\"droppedTargets\":["
			 "{\"discoveredLabels\":{" RA ",\"job\":\"x\"}},"
			 "{\"discoveredLabels\":{" RB ",\"job\":\"y\"}},"
			 "{\"discoveredLabels\":{" RB ",\"job\":\"x\"}}]}",
			 rows[i].in);
		read_msg(&w, &pj_target_discovery, text, &t);
		cr_assert_eq(federated_dedup_targets(&w.ctx, &w.a, &t, replica, 1, &w.e),
			     0);
		const struct pb_active_target *v = t.active_targets.v;
		buf_reset(&w.b);
		for (size_t k = 0; k < t.active_targets.n; k++) {
			buf_fmt(&w.b, "%s%.*s%d@%d", k ? " " : "",
				STR_FMT(v[k].scrape_url), v[k].health,
				(int)(v[k].last_scrape->seconds % 60));
			cr_assert(proto_label_list(v[k].labels)->n < 2);
		}
		buf_byte(&w.b, 0);
		cr_assert_str_eq((const char *)w.b.p, rows[i].out, "row %zu", i);
		cr_assert_eq(t.dropped_targets.n, 2u);
	}
	close_world(&w);
}

Test(federated_merge, exemplars)
{
	static const char in[] =
		"[{\"seriesLabels\":{\"b\":\"1\"," RA "},\"exemplars\":["
		"{\"labels\":{\"t\":\"2\"},\"value\":\"1\",\"timestamp\":2},{\"labels\":{\"t\":\"1\"},\"value\":\"1\",\"timestamp\":1}]},"
		"{\"seriesLabels\":{\"none\":\"1\"},\"exemplars\":[]},"
		"{\"seriesLabels\":{\"a\":\"1\"," RA
		"},\"exemplars\":[{\"value\":\"1\",\"timestamp\":1}]},"
		"{\"seriesLabels\":{\"b\":\"1\"," RB "},\"exemplars\":["
		"{\"labels\":{\"t\":\"2\"},\"value\":\"1\",\"timestamp\":2},{\"labels\":{\"t\":\"2\"},\"value\":\"3\",\"timestamp\":2}]}]";
	static const char out[] =
		"[{\"seriesLabels\":{\"a\":\"1\"},\"exemplars\":[{\"labels\":{},\"timestamp\":1,\"value\":\"1\"}]},"
		"{\"seriesLabels\":{\"b\":\"1\"},\"exemplars\":["
		"{\"labels\":{\"t\":\"1\"},\"timestamp\":1,\"value\":\"1\"},"
		"{\"labels\":{\"t\":\"2\"},\"timestamp\":2,\"value\":\"1\"},"
		"{\"labels\":{\"t\":\"2\"},\"timestamp\":2,\"value\":\"3\"}]}]";
	struct world w;
	struct pb_exemplars x;
	struct jr j;
	open_world(&w);
	jr_init(&j, &w.a, STR(in));
	cr_assert_eq(pj_read_list(&w.ctx, &w.a, &pj_exemplar_data, &j, &x.data, &w.e), 0);
	cr_assert_eq(federated_dedup_exemplars(&w.ctx, &w.a, &x, replica, 1, &w.e), 0);
	pj_write_list(&pj_exemplar_data, &x.data, &w.b);
	buf_byte(&w.b, 0);
	cr_assert_str_eq((const char *)w.b.p, out);
	close_world(&w);
}

static struct pb_metadata metadata_of(struct pb_metadata_entry *v, size_t n)
{
	return (struct pb_metadata){ { v, n } };
}

Test(federated_merge, metadata)
{
	struct pb_meta gauge[] = { { STR("gauge"), STR("h"), STR("") } },
		       both[] = { { STR("gauge"), STR("h"), STR("") },
				  { STR("gauge"), STR("other"), STR("") } };
	struct pb_metas one = { { gauge, 1 } }, two = { { both, 2 } };
	struct pb_metadata_entry a[] = { { STR("x"), &one }, { STR("b"), &one } }, b[] = {
		{ STR("x"), &two }, { STR("a"), NULL }, { STR("c"), &one }
	};
	static const struct {
		int32_t limit;
		size_t n;
	} rows[] = { { -1, 4 }, { 0, 0 }, { 1, 1 }, { 3, 3 }, { 9, 4 } };
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct pb_metadata to = { { NULL, 0 } }, first = metadata_of(a, 2),
				   second = metadata_of(b, 3);
		cr_assert_eq(federated_unite_metadata(&w.ctx, &w.a, &to, &first,
						      rows[i].limit, &w.e),
			     0);
		cr_assert_eq(federated_unite_metadata(&w.ctx, &w.a, &to, &second,
						      rows[i].limit, &w.e),
			     0);
		cr_assert_eq(to.metadata.n, rows[i].n, "limit %d", rows[i].limit);
		const struct pb_metadata_entry *v = to.metadata.v;
		if (rows[i].n) /* known already, so that it grows whatever the limit */
			cr_assert_eq(v[0].value->metas.n, 2u);
		federated_sort_metadata(&to);
		for (size_t k = 1; k < to.metadata.n; k++)
			cr_assert_lt(str_cmp(v[k - 1].key, v[k].key), 0);
	}
	cr_assert_eq(one.metas.n, 1u, "what came is not changed");
	close_world(&w);
}

Test(federated_merge, statistics)
{
	static const char first[] =
		"{\"headStats\":{\"numSeries\":5,\"numLabelPairs\":9223372036854775807,\"minTime\":100,\"maxTime\":200},"
		"\"seriesCountByMetricName\":[{\"name\":\"a\",\"value\":3},{\"name\":\"b\",\"value\":2}],"
		"\"labelValueCountByLabelName\":[{\"name\":\"job\",\"value\":3}]}";
	static const char second[] =
		"{\"headStats\":{\"numSeries\":1,\"numLabelPairs\":1,\"minTime\":50,\"maxTime\":150},"
		"\"seriesCountByMetricName\":[{\"name\":\"b\",\"value\":2},{\"name\":\"c\",\"value\":3}],"
		"\"labelValueCountByLabelName\":[{\"name\":\"job\",\"value\":2}]}";
	static const char out[] =
		"{\"headStats\":{\"numSeries\":6,\"numLabelPairs\":-9223372036854775808,\"chunkCount\":0,\"minTime\":50,\"maxTime\":200},"
		"\"seriesCountByMetricName\":[{\"name\":\"b\",\"value\":4},{\"name\":\"a\",\"value\":3},{\"name\":\"c\",\"value\":3}],"
		"\"labelValueCountByLabelName\":[{\"name\":\"job\",\"value\":3}],\"memoryInBytesByLabelName\":[],"
		"\"seriesCountByLabelValuePair\":[]}";
	struct world w;
	struct pb_statistics_entry x, y;
	struct pb_statistics_by_tenant a[] = { { STR("t"), &x } }, b[] = {
		{ STR("u"), &y }, { STR("t"), &y }, { STR("v"), NULL }
	};
	struct pb_statistics to = { { NULL, 0 } }, one = { { a, 1 } }, two = { { b, 3 } };
	open_world(&w);
	read_msg(&w, &pj_statistics_entry, first, &x);
	read_msg(&w, &pj_statistics_entry, second, &y);
	cr_assert_eq(federated_unite_statistics(&w.ctx, &w.a, &to, &one, &w.e), 0);
	cr_assert_eq(federated_unite_statistics(&w.ctx, &w.a, &to, &two, &w.e), 0);
	const struct pb_statistics_by_tenant *t = to.statistics.v;
	cr_assert(to.statistics.n == 2 && str_eqz(t[0].key, "t") &&
		  str_eqz(t[1].key, "u"));
	pj_write(&pj_statistics_entry, t[0].value, &w.b);
	buf_byte(&w.b, 0);
	cr_assert_str_eq((const char *)w.b.p, out);
	close_world(&w);
}

/* What an endpoint with these external labels is asked. */
Test(federated_merge, exemplar_queries)
{
	static const struct {
		const char *component, *query, *asked;
	} rows[] = {
		{ "sidecar", "m", "{__name__=\"m\"}" },
		{ "sidecar", "m{cluster=\"eu\"}", "{__name__=\"m\"}" },
		{ "sidecar", "m{cluster=\"us\"}", "" },
		{ "sidecar", "{cluster=~\"e.\"}", "{__name__!=\"\"}" },
		{ "sidecar", "{cluster=\"eu\",x!=\"1\"}", "{x!=\"1\", __name__!=\"\"}" },
		{ "query", "m{cluster=\"eu\"}", "{cluster=\"eu\", __name__=\"m\"}" },
		{ "query", "m{cluster=\"us\"}", "" },
		{ "sidecar", "rate(m[5m]) / on (x) sum(n{cluster=\"eu\"})",
		  "{__name__=\"m\"}+{__name__=\"n\"}" },
		{ "sidecar", "a + b{cluster=\"us\"} + max_over_time((-c)[1h:1m])",
		  "{__name__=\"a\"}+{__name__=\"c\"}" },
		{ "sidecar", "topk(scalar(k), m{own=\"1\"})",
		  "{__name__=\"k\"}+{__name__=\"m\"}" },
		{ "sidecar", "m{own=\"2\"}", NULL }, /* contradicts what we stand for */
		{ "sidecar", "1", NULL },
	};
	const struct label ext[] = { { STR("cluster"), STR("eu") } },
			   own[] = { { STR("own"), STR("1") } };
	struct labels sets[] = { { ext, 1, 0 } };
	struct world w;
	open_world(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct store_info info = { .component = rows[i].component,
					   .label_sets = sets,
					   .n_label_sets = 1 };
		struct exemplar_selectors sel;
		struct str q;
		int rc = proxy_exemplar_selectors(&w.ctx, &w.a, str_of(rows[i].query), 0,
						  (struct labels){ own, 1, 0 }, &sel,
						  &w.e);
		cr_assert_eq(rc, rows[i].asked ? 1 : 0, "%s", rows[i].query);
		if (rc == 0)
			continue;
		rc = proxy_exemplar_query(&w.ctx, &w.a, &sel, &info, &q, &w.e);
		cr_assert_eq(rc, rows[i].asked[0] != 0, "%s", rows[i].query);
		cr_assert(str_eqz(q, rows[i].asked), "%s: %.*s", rows[i].query,
			  STR_FMT(q));
	}
	struct exemplar_selectors sel;
	cr_assert_eq(proxy_exemplar_selectors(&w.ctx, &w.a, STR("{own=\"1\"}"), 0,
					      (struct labels){ own, 1, 0 }, &sel, &w.e),
		     -1);
	cr_assert_eq(w.e.code, E_INVALID);
	cr_assert_eq(proxy_exemplar_selectors(&w.ctx, &w.a, STR("mad_over_time(m[5m])"),
					      0, (struct labels){ own, 1, 0 }, &sel,
					      &w.e),
		     -1);
	cr_assert_eq(w.e.code, E_PARSE);
	w.e = ERR_INIT;
	cr_assert_eq(proxy_exemplar_selectors(&w.ctx, &w.a, STR("mad_over_time(m[5m])"),
					      PROMQL_ALL, (struct labels){ own, 1, 0 },
					      &sel, &w.e),
		     1);
	cr_assert_eq(proxy_exemplar_selectors(&w.ctx, &w.a, STR("("), 0,
					      (struct labels){ own, 1, 0 }, &sel, &w.e),
		     -1);
	cr_assert_eq(w.e.code, E_PARSE);
	close_world(&w);
}
