/*
 * Prometheus' JSON to messages and back: every recorded answer of Rules, Targets and Exemplars written as JSON reads
 * again as the same bytes; own JSON with what Prometheus leaves out, adds or spells differently.
 */
#include <stdio.h>

#include "base/ctx.h"
#include "proto/federated.h"
#include "support/tst.h"
#include "wire/json.h"
#include "wire/rd.h"

struct world {
	struct arena a;
	struct buf b, c;
	struct err e;
	struct jr j;
};

static void open_world(struct world *w)
{
	memset(w, 0, sizeof(*w));
	arena_init(&w->a, NULL);
	buf_init(&w->b, 1 << 24);
	buf_init(&w->c, 1 << 24);
}

static void close_world(struct world *w)
{
	buf_deinit(&w->b);
	buf_deinit(&w->c);
	arena_deinit(&w->a);
}

static int read_msg(struct world *w, const struct pj_msg *m, const char *text, void *out)
{
	jr_init(&w->j, &w->a, str_of(text));
	return pj_read(NULL, &w->a, m, &w->j, out, &w->e);
}

static const char *written(struct world *w, const struct pj_msg *m, const void *msg)
{
	buf_reset(&w->b);
	pj_write(m, msg, &w->b);
	buf_byte(&w->b, 0);
	return (const char *)w->b.p;
}

/* msg -> JSON -> message -> the bytes of `want`. */
static void there_and_back(struct world *w, const struct pj_msg *pj,
			   const struct pf_msg *pf, const void *msg)
{
	void *again = arena_zalloc(&w->a, pf->size);
	const char *text = written(w, pj, msg);
	cr_assert_eq(read_msg(w, pj, text, again), 0, "%s: %s", text, err_text(&w->e));
	struct buf want, got;
	buf_init(&want, 1 << 24);
	buf_init(&got, 1 << 24);
	pf_encode(pf, msg, &want);
	pf_encode(pf, again, &got);
	cr_assert(str_eq(buf_view(&want), buf_view(&got)), "%s", text);
	buf_deinit(&want);
	buf_deinit(&got);
}

static unsigned each_frame(struct world *w, int number, const struct pf_msg *m, void *out,
			   void (*fn)(struct world *, const void *))
{
	char path[128];
	struct buf file;
	unsigned n = 0;
	snprintf(path, sizeof(path),
		 "test/golden/storeapi/sidecar-live/%02d.response.bin", number);
	buf_init(&file, 1 << 24);
	FILE *f = fopen(path, "rb");
	cr_assert_not_null(f, "%s", path);
	uint8_t piece[4096];
	size_t got;
	while ((got = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(&file, piece, got);
	fclose(f);
	struct rd r = rd_of(buf_view(&file));
	for (; rd_left(&r); n++) {
		rd_u8(&r);
		struct str msg = rd_bytes(&r, rd_be32(&r));
		cr_assert(!r.bad);
		cr_assert_eq(pf_decode(NULL, &w->a, m, msg, out, &w->e), 0);
		fn(w, out);
	}
	buf_deinit(&file);
	return n;
}

static void check_group(struct world *w, const void *msg)
{
	const struct pb_rules_response *r = msg;
	struct pb_rule_groups g = { { r->group, 1 } }, again;
	const char *text = written(w, &pj_rule_groups, &g);
	cr_assert_eq(read_msg(w, &pj_rule_groups, text, &again), 0, "%s",
		     err_text(&w->e));
	cr_assert_eq(again.groups.n, 1u);
	struct buf want;
	buf_init(&want, 1 << 24);
	buf_reset(&w->c);
	pf_encode(&msg_rule_group, r->group, &want);
	pf_encode(&msg_rule_group, again.groups.v, &w->c);
	cr_assert(str_eq(buf_view(&want), buf_view(&w->c)), "%s", text);
	buf_deinit(&want);
}

static void check_targets(struct world *w, const void *msg)
{
	there_and_back(w, &pj_target_discovery, &msg_target_discovery,
		       ((const struct pb_targets_response *)msg)->targets);
}

static void check_exemplars(struct world *w, const void *msg)
{
	there_and_back(w, &pj_exemplar_data, &msg_exemplar_data,
		       ((const struct pb_exemplars_response *)msg)->data);
}

static void check_statistics(struct world *w, const void *msg)
{
	const struct pb_statistics_response *r = msg;
	const struct pb_statistics_by_tenant *t = r->statistics->statistics.v;
	there_and_back(w, &pj_statistics_entry, &msg_statistics_entry, t->value);
}

Test(federated_json, recorded_messages_survive_json)
{
	struct world w;
	struct pb_rules_response rules;
	struct pb_targets_response targets;
	struct pb_exemplars_response exemplars;
	struct pb_statistics_response statistics;
	unsigned n = 0;
	open_world(&w);
	n += each_frame(&w, 2, &msg_rules_response, &rules, check_group);
	n += each_frame(&w, 4, &msg_rules_response, &rules, check_group);
	n += each_frame(&w, 9, &msg_targets_response, &targets, check_targets);
	n += each_frame(&w, 15, &msg_exemplars_response, &exemplars, check_exemplars);
	n += each_frame(&w, 16, &msg_exemplars_response, &exemplars, check_exemplars);
	n += each_frame(&w, 20, &msg_statistics_response, &statistics, check_statistics);
	cr_assert_gt(n, 8u);
	close_world(&w);
}

Test(federated_json, what_prometheus_leaves_out_is_made)
{
	static const char in[] =
		"{\"groups\":[{\"name\":\"g\",\"file\":\"f\",\"new\":[{\"x\":1}],\"rules\":["
		"{\"type\":\"alerting\",\"name\":\"A\",\"state\":\"firing\",\"labels\":null,"
		"\"alerts\":[{\"state\":\"pending\",\"labels\":{\"z\":\"1\",\"a\":\"<\"},\"value\":\"1e+00\"}]},"
		"{\"name\":\"r\",\"query\":\"1\",\"lastEvaluation\":\"2026-11-22T16:36:44.620Z\",\"type\":\"recording\"}]}]}";
	static const char out[] =
		"{\"groups\":[{\"name\":\"g\",\"file\":\"f\",\"rules\":["
		"{\"state\":\"firing\",\"name\":\"A\",\"query\":\"\",\"duration\":0,\"labels\":{},\"annotations\":{},"
		"\"alerts\":[{\"labels\":{\"a\":\"\\u003c\",\"z\":\"1\"},\"annotations\":{},\"state\":\"pending\","
		"\"value\":\"1e+00\",\"partialResponseStrategy\":\"WARN\"}],"
		"\"health\":\"\",\"evaluationTime\":0,\"lastEvaluation\":\"0001-01-01T00:00:00Z\","
		"\"keepFiringFor\":0,\"type\":\"alerting\"},"
		"{\"name\":\"r\",\"query\":\"1\",\"labels\":{},\"health\":\"\",\"evaluationTime\":0,"
		"\"lastEvaluation\":\"2026-11-22T16:36:44.62Z\",\"type\":\"recording\"}],"
		"\"interval\":0,\"evaluationTime\":0,\"lastEvaluation\":\"0001-01-01T00:00:00Z\",\"limit\":0,"
		"\"partialResponseStrategy\":\"WARN\"}]}";
	struct world w;
	struct pb_rule_groups g;
	open_world(&w);
	cr_assert_eq(read_msg(&w, &pj_rule_groups, in, &g), 0, "%s", err_text(&w.e));
	cr_assert_str_eq(written(&w, &pj_rule_groups, &g), out);
	struct pb_exemplar_data x;
	cr_assert_eq(read_msg(&w, &pj_exemplar_data,
			      "{\"exemplars\":[{\"timestamp\":1.5,\"value\":\"+Inf\"},"
			      "{\"value\":\"1e30\",\"timestamp\":-0.001}]}",
			      &x),
		     0);
	cr_assert_str_eq(
		written(&w, &pj_exemplar_data, &x),
		"{\"seriesLabels\":{},\"exemplars\":[{\"labels\":{},\"timestamp\":1.5,\"value\":\"+Inf\"},"
		"{\"labels\":{},\"timestamp\":-0.001,\"value\":\"1000000000000000000000000000000\"}]}");
	struct pb_statistics_entry s;
	cr_assert_eq(read_msg(&w, &pj_statistics_entry, "{}", &s), 0);
	cr_assert_not_null(s.head);
	close_world(&w);
}

Test(federated_json, foreign_answers_are_refused_with_their_place)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "[]", "malformed object" },
		{ "{\"groups\":{}}", "malformed groups" },
		{ "{\"groups\":[1]}", "malformed list" },
		{ "{\"groups\":[{\"rules\":[{\"type\":\"other\"}]}]}",
		  "rule of unknown type \"other\"" },
		{ "{\"groups\":[{\"rules\":[{\"name\":\"x\"}]}]}",
		  "rule of unknown type \"\"" },
		{ "{\"groups\":[{\"rules\":[{\"state\":\"maybe\"}]}]}",
		  "unknown state \"maybe\"" },
		{ "{\"groups\":[{\"rules\":[{\"labels\":{\"a\":1}}]}]}",
		  "malformed label" },
		{ "{\"groups\":[{\"lastEvaluation\":\"soon\"}]}",
		  "malformed lastEvaluation at byte" },
		{ "{\"groups\":[{\"interval\":\"1\"}]}", "malformed interval" },
		{ "{\"groups\":[{\"limit\":1.5}]}", "malformed limit" },
		{ "{\"groups\":[{\"name\":", "malformed name" },
	};
	struct world w;
	struct pb_rule_groups g;
	open_world(&w);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		cr_assert_eq(read_msg(&w, &pj_rule_groups, rows[i].text, &g), -1, "%s",
			     rows[i].text);
		cr_assert_eq(w.e.code, E_REMOTE);
		cr_assert(strstr(err_text(&w.e), rows[i].says), "%s: %s", rows[i].text,
			  err_text(&w.e));
	}
	close_world(&w);
}

Test(federated_json, lists_are_charged)
{
	struct budget budget;
	struct ctx ctx;
	struct arena a;
	struct buf text;
	struct jr j;
	struct pf_list l;
	struct err e = ERR_INIT;
	budget_init(&budget, NULL, "test", NULL, 1 << 20);
	ctx_init(&ctx, &budget, 0);
	arena_init(&a, &budget);
	buf_init(&text, 1 << 24);
	buf_byte(&text, '[');
	for (int i = 0; i < 100000; i++)
		buf_str(&text, i ? STR(",{}") : STR("{}"));
	buf_byte(&text, ']');
	jr_init(&j, &a, buf_view(&text));
	cr_assert_eq(pj_read_list(&ctx, &a, &pj_meta, &j, &l, &e), -1);
	cr_assert_eq(e.code, E_LIMIT, "%s", err_text(&e));
	buf_deinit(&text);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	budget_deinit(&budget);
}
