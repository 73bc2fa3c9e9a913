/*
 * What the planner makes of a query, as explain shows it, and whole queries over a store in memory: how often it is asked, and
 * that answers have the same bits whatever the number of threads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/ctx.h"
#include "promql/exec/engine.h"
#include "support/tst.h"
#include "tsdb/chunk/chunk.h"

#define PODS	2500
#define SAMPLES 60
#define STEPS	150

/* Series of m_total and n_total in the order of labels; 1 of 7 gauges is huge, so that the order of additions shows. */
struct world {
	struct store store;
	struct arena arena;
	struct chunk_encoder *enc;
	struct series_in *series;
	struct chunk_view *chunk;
	size_t n, asked, given;
};

static int world_series(struct store *base, struct ctx *ctx,
			const struct store_series_req *req, struct series_set **out,
			struct err *e)
{
	struct world *w = CONTAINER_OF(base, struct world, store);
	size_t n = 0;
	/* each open set has its own array */
	struct series_in *v = ARENA_ARRAY(&w->arena, struct series_in, w->n + 1);
	w->asked++;
	for (size_t i = 0; i < w->n; i++)
		if (matcher_labels(req->matchers, req->n_matchers, w->series[i].labels))
			v[n++] = w->series[i];
	w->given += n;
	*out = series_set_of(v, n);
	return 0;
}

static const struct store_ops world_ops = { NULL, world_series, NULL, NULL };

static void add_series(struct world *w, const char *name, unsigned pod)
{
	struct err e = ERR_INIT;
	struct label *l = ARENA_ARRAY(&w->arena, struct label, 3);
	l[0] = (struct label){ LABEL_NAME, str_of(name) };
	l[1] = (struct label){ STR("job"),
			       str_fmt(&w->arena, "job-%u", pod / (PODS / 3 + 1)) };
	l[2] = (struct label){ STR("pod"), str_fmt(&w->arena, "pod-%05u", pod) };
	chunk_encoder_begin(w->enc, CHUNK_XOR);
	for (int k = 0; k < SAMPLES; k++) {
		double v = (pod * 37 + (unsigned)k * (pod % 11 + 1) * 0.1) / 3.0;
		cr_assert_eq(chunk_encoder_float(w->enc, k * 15000 + 7,
						 pod % 7 ? v : v * 1e12, &e),
			     0);
	}
	struct chunk_part p = chunk_encoder_part(w->enc);
	uint8_t *copy = arena_alloc(&w->arena, p.n);
	memcpy(copy, p.p, p.n);
	p.p = copy;
	struct chunk_view *c = &w->chunk[w->n];
	*c = (struct chunk_view){ .mint_ms = 7, .maxt_ms = (SAMPLES - 1) * 15000 + 7 };
	c->part[AGGR_RAW] = p;
	w->series[w->n++] = (struct series_in){ { l, 3, 0 }, c, 1 };
}

static void world_init(struct world *w)
{
	*w = (struct world){ .store = { &world_ops } };
	arena_init(&w->arena, NULL);
	w->enc = chunk_encoder_new();
	w->series = ARENA_ARRAY(&w->arena, struct series_in, 2 * PODS);
	w->chunk = ARENA_ARRAY(&w->arena, struct chunk_view, 2 * PODS);
	for (unsigned i = 0; i < PODS; i++)
		add_series(w, "m_total", i);
	for (unsigned i = 0; i < PODS; i++)
		add_series(w, "n_total", i);
	chunk_encoder_free(w->enc);
}

struct asking {
	struct ctx ctx;
	struct arena arena;
	struct promql_query q;
	struct task_pool *pool;
};

static void ask_init(struct asking *a, struct world *w, const char *text, uint32_t cpus)
{
	struct err e = ERR_INIT;
	struct expr *x;
	ctx_init(&a->ctx, NULL, 0);
	arena_init(&a->arena, NULL);
	a->pool = task_pool_new(&(struct task_pool_opts){ .cpu = cpus });
	a->q = (struct promql_query){ .text = str_of(text),
				      .end_ms = (STEPS - 1) * 5000,
				      .step_ms = 5000,
				      .store = &w->store,
				      .pool = a->pool };
	cr_assert_eq(promql_parse(&a->ctx, &a->arena, a->q.text, PROMQL_ALL, &x, &e), 0,
		     "%s: %s", text, err_text(&e));
	a->q.expr = x;
}

static void ask_free(struct asking *a)
{
	task_pool_free(a->pool);
	arena_deinit(&a->arena);
	ctx_deinit(&a->ctx);
}

static void run(struct asking *a, struct promql_result *r)
{
	struct err e = ERR_INIT;
	int rc = promql_exec(&a->ctx, &a->arena, &a->q, r, &e);
	cr_assert_eq(rc, 0, "%.*s: %s", STR_FMT(a->q.text), err_text(&e));
}

static void put_plan(struct buf *b, const struct promql_plan *p, unsigned depth)
{
	for (; p; p = p->next) {
		for (unsigned i = 0; i < depth; i++)
			buf_byte(b, '\t');
		buf_fmt(b, "%.*s\n", STR_FMT(p->name));
		put_plan(b, p->child, depth + 1);
	}
}

static const struct {
	const char *query, *plan;
} plans[] = {
	{ "sum by (job, zone) (rate(m_total[5m]))",
	  "[reduce] sum by (job, zone)\n"
	  "\t[select] rate(m_total[5m]), labels (job, zone)\n" },
	{ "sum by (job) (m_total)", "[reduce] sum by (job)\n"
				    "\t[select] m_total, labels (__name__, job)\n" },
	{ "sum without (job) (rate(m_total[5m]))", "[reduce] sum without (job)\n"
						   "\t[select] rate(m_total[5m])\n" },
	{ "sum by (job) (rate({job=\"x\"}[5m]))", /* names may differ: labels are compared */
	  "[reduce] sum by (job)\n"
	  "\t[select] rate({job=\"x\"}[5m])\n" },
	{ "sum by (job) (rate(m_total[5m])) / on (job) count by (job, pod) (rate( m_total[5m] ))",
	  "[join] / on (job)\n"
	  "\t[reduce] sum by (job)\n"
	  "\t\t[select] rate(m_total[5m]), labels (job, pod)\n"
	  "\t[reduce] count by (job, pod), fed by sum by (job)\n" },
	{ "sum by (job) (rate(m_total{code=\"500\"}[5m])) / sum by (job) (rate(m_total[5m]))",
	  "[join] /\n"
	  "\t[reduce] sum by (job), only {code=\"500\"}\n"
	  "\t\t[select] rate(m_total[5m]), labels (job)\n"
	  "\t[reduce] sum by (job), fed by sum by (job)\n" },
	{ "count(m_total{b=\"2\", a=\"1\"}) + sum(m_total{a=\"1\", b=\"2\", c!=\"\"}) + max(m_total{a=\"1\"}) + "
	  "sum(m_total{a=\"1\", b=\"2\"})",
	  "[join] +\n"
	  "\t[join] +\n"
	  "\t\t[join] +\n"
	  "\t\t\t[reduce] count, only {b=\"2\"}\n"
	  "\t\t\t\t[select] m_total{a=\"1\"}, labels (__name__)\n"
	  "\t\t\t[reduce] sum, only {c!=\"\", b=\"2\"}, fed by count\n"
	  "\t\t[reduce] max, fed by count\n"
	  "\t[reduce] sum, only {b=\"2\"}, fed by count\n" },
	{ "sum(m_total{a=\"1\"}) + max(m_total{b=\"1\", c!=\"\"}) + count by (d) (m_total{b=\"1\"}) + "
	  "sum by (e) (m_total)", /* two parts, one with a part of its own, before the whole */
	  "[join] +\n"
	  "\t[join] +\n"
	  "\t\t[join] +\n"
	  "\t\t\t[reduce] sum, only {a=\"1\"}\n"
	  "\t\t\t\t[select] m_total, labels (__name__, d, e)\n"
	  "\t\t\t[reduce] max, only {c!=\"\", b=\"1\"}, fed by sum\n"
	  "\t\t[reduce] count by (d), only {b=\"1\"}, fed by sum\n"
	  "\t[reduce] sum by (e), fed by sum\n" },
	{ "sum(m_total{a=\"1\"}) / sum(m_total{b=\"1\"})", /* neither has all of the other */
	  "[join] /\n"
	  "\t[reduce] sum\n"
	  "\t\t[select] m_total{a=\"1\"}, labels (__name__)\n"
	  "\t[reduce] sum\n"
	  "\t\t[select] m_total{b=\"1\"}, labels (__name__)\n" },
	{ "sum({__name__=~\"m.+\", a=\"1\"}) / sum({__name__=~\"m.+\"})", /* of several names */
	  "[join] /\n"
	  "\t[reduce] sum\n"
	  "\t\t[select] {__name__=~\"m.+\",a=\"1\"}, labels (__name__)\n"
	  "\t[reduce] sum\n"
	  "\t\t[select] {__name__=~\"m.+\"}, labels (__name__)\n" },
	{ "sum(rate(m_total{a=\"1\"}[5m])) / sum(rate(m_total[6m]))",
	  "[join] /\n"
	  "\t[reduce] sum\n"
	  "\t\t[select] rate(m_total{a=\"1\"}[5m]), labels ()\n"
	  "\t[reduce] sum\n"
	  "\t\t[select] rate(m_total[6m]), labels ()\n" },
	{ "sum(m_total) / sum(m_total offset 1m)", /* not the same */
	  "[join] /\n"
	  "\t[reduce] sum\n"
	  "\t\t[select] m_total, labels (__name__)\n"
	  "\t[reduce] sum\n"
	  "\t\t[select] m_total offset 1m, labels (__name__)\n" },
	{ "sum by (job) (m_total{job=\"a\"}) / sum by (job) (n_total)",
	  "[join] /\n"
	  "\t[reduce] sum by (job)\n"
	  "\t\t[select] m_total{job=\"a\"}, labels (__name__, job)\n"
	  "\t[reduce] sum by (job)\n"
	  "\t\t[select] n_total, also {job=\"a\"}, labels (__name__, job)\n" },
	{ "rate(m_total[5m]) * on (job) group_left max by (job) (n_total{job=\"a\", pod=\"1\"})",
	  "[join] * on (job) group_left ()\n"
	  "\t[select] rate(m_total[5m]), also {job=\"a\"}\n"
	  "\t[reduce] max by (job)\n"
	  "\t\t[select] n_total{job=\"a\",pod=\"1\"}, labels (__name__, job)\n" },
	{ "sum by (job) (m{job=\"a\"}) / sum by (job) (n)", /* a mix with histograms would be told of other jobs, too */
	  "[join] /\n"
	  "\t[reduce] sum by (job)\n"
	  "\t\t[select] m{job=\"a\"}, labels (__name__, job)\n"
	  "\t[reduce] sum by (job)\n"
	  "\t\t[select] n, labels (__name__, job)\n" },
	{ "count by (job) (m{job=\"a\"}) / count by (job) (last_over_time(n[5m]))", /* nothing is told */
	  "[join] /\n"
	  "\t[reduce] count by (job)\n"
	  "\t\t[select] m{job=\"a\"}, labels (__name__, job)\n"
	  "\t[reduce] count by (job)\n"
	  "\t\t[select] last_over_time(n[5m]), also {job=\"a\"}, labels (__name__, job)\n" },
	{ "sum by (job) (m_total{job=\"a\"}) / on (job) n_total", /* n_total may have duplicates */
	  "[join] / on (job)\n"
	  "\t[reduce] sum by (job)\n"
	  "\t\t[select] m_total{job=\"a\"}, labels (__name__, job)\n"
	  "\t[select] n_total\n" },
};

Test(plan, explain_shows_what_is_read)
{
	struct world w = { .store = { &world_ops } };
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct asking a;
		struct promql_plan *p;
		struct err e = ERR_INIT;
		struct buf b;
		buf_init(&b, 1 << 20);
		ask_init(&a, &w, plans[i].query, 1);
		cr_assert_eq(promql_explain(&a.ctx, &a.arena, &a.q, &p, &e), 0, "%s",
			     err_text(&e));
		put_plan(&b, p, 0);
		cr_assert(str_eqz(buf_view(&b), plans[i].plan), "%s:\n%.*s",
			  plans[i].query, STR_FMT(buf_view(&b)));
		buf_deinit(&b);
		ask_free(&a);
	}
}

static unsigned selects(const struct promql_plan *p)
{
	unsigned n = 0;
	for (; p; p = p->next)
		n += str_has_prefix(p->name, STR("[select]")) + selects(p->child);
	return n;
}

static unsigned selects_of(struct asking *a)
{
	struct err e = ERR_INIT;
	struct promql_plan *p;
	cr_assert_eq(promql_explain(&a->ctx, &a->arena, &a->q, &p, &e), 0, "%s",
		     err_text(&e));
	return selects(p);
}

Test(plan, a_part_is_read_apart_where_labels_do_not_tell_or_data_may_be_downsampled)
{
	struct world w = { .store = { &world_ops } };
	struct asking a;
	struct str replica[] = { STR("pod") };
	ask_init(&a, &w, "sum(rate(m_total{pod=\"1\"}[10m])) / sum(rate(m_total[10m]))",
		 1);
	cr_assert_eq(selects_of(&a), 1);
	a.q.replica_labels = replica;
	a.q.n_replica_labels = 1;
	cr_assert_eq(selects_of(&a), 1);
	a.q.dedup = true; /* the stores leave the label out */
	cr_assert_eq(selects_of(&a), 2);
	a.q.dedup = false;
	a.q.max_resolution_ms = 299999;
	cr_assert_eq(selects_of(&a), 1);
	a.q.max_resolution_ms = 300000;
	cr_assert_eq(selects_of(&a), 2);
	ask_free(&a);
}

Test(plan, aggregations_of_one_selector_read_it_once)
{
	struct world w;
	struct asking one, two;
	struct promql_result r1, r2;
	world_init(&w);
	ask_init(&one, &w, "sum by (job) (rate(m_total[5m]))", 2);
	ask_init(
		&two, &w,
		"sum by (job) (rate(m_total[5m])) + 0 * count by (job) (rate(m_total[5m]))",
		2);
	run(&one, &r1);
	cr_assert_eq(w.asked, 1);
	run(&two, &r2);
	cr_assert_eq(w.asked, 2, "it was read twice");
	cr_assert_eq(r2.n, 3);
	cr_assert_eq(r2.series_read, PODS);
	/* as Prometheus counts, who looks at them twice */
	cr_assert_eq(r2.samples_total, 2 * r1.samples_total);
	for (size_t i = 0; i < r2.n; i++) {
		cr_assert_eq(r1.series[i].n, r2.series[i].n);
		cr_assert_eq(memcmp(r1.series[i].v, r2.series[i].v, r1.series[i].n * 8),
			     0);
	}
	ask_free(&one);
	ask_free(&two);
	arena_deinit(&w.arena);
}

#define MOST 4
/* Each of the aggregations has the bits that it has alone, and samples are counted as if it were. */
static void check_all(struct world *w, const char *const *query, size_t n)
{
	struct asking one[MOST], all;
	struct promql_result alone[MOST], r;
	char text[1024] = "";
	uint64_t total = 0, looked = 0;
	size_t series = 0, at[MOST] = { 0 };
	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(text);
		snprintf(text + used, sizeof(text) - used,
			 "%slabel_replace(%s, \"is\", \"%zu\", \"\", \"\")",
			 i ? " or " : "", query[i], i);
		ask_init(&one[i], w, query[i], 2);
		one[i].q.step_stats = true;
		run(&one[i], &alone[i]);
		total += alone[i].samples_total;
		looked += alone[i].samples_read;
		series += alone[i].n;
	}
	ask_init(&all, w, text, 2);
	all.q.step_stats = true;
	size_t asked = w->asked;
	run(&all, &r);
	cr_assert_eq(w->asked, asked + 1, "%s: was read %zu times", text,
		     w->asked - asked);
	cr_assert_eq(r.n, series, "%s: %zu series", text, r.n);
	cr_assert_eq(r.samples_total, total);
	cr_assert_eq(r.samples_read, looked);
	for (uint32_t i = 0; i < r.n_steps; i++) {
		uint64_t by_step = 0, read = 0;
		for (size_t k = 0; k < n; k++) {
			by_step += alone[k].samples_by_step[i];
			read += alone[k].read_by_step[i];
		}
		cr_assert_eq(r.samples_by_step[i], by_step);
		cr_assert_eq(r.read_by_step[i], read);
	}
	for (size_t i = 0; i < r.n; i++) {
		uint64_t k;
		cr_assert(str_to_u64(labels_get(r.series[i].labels, STR("is")), &k));
		const struct promql_series *s = &alone[k].series[at[k]++];
		cr_assert_eq(r.series[i].n, s->n);
		cr_assert_eq(memcmp(r.series[i].v, s->v, s->n * 8), 0, "%s", text);
	}
	for (size_t i = 0; i < n; i++)
		ask_free(&one[i]);
	ask_free(&all);
}

static void check_both(struct world *w, const char *first, const char *second)
{
	check_all(w, (const char *const[]){ first, second }, 2);
}

Test(plan, a_part_of_what_is_read_is_not_read_again)
{
	static const char *const parts[] = {
		"m_total{pod=~\".*[37]\"}", "m_total{job!=\"job-1\"}",
		"m_total{pod=\"pod-00013\", job=~\"job-.\"}"
	};
	static const char *const around[][2] = {
		{ "sum by (job) (", ")" },
		{ "avg by (job) (", ")" },
		{ "sum by (job) (rate(", "[2m]))" },
	};
	struct world w;
	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(around); i++)
		for (size_t k = 0; k < ARRAY_LEN(parts); k++) {
			char part[256], whole[256];
			snprintf(part, sizeof(part), "%s%s%s", around[i][0], parts[k],
				 around[i][1]);
			snprintf(whole, sizeof(whole), "%sm_total%s", around[i][0],
				 around[i][1]);
			check_both(&w, part, whole);
			check_both(&w, whole, part);
		}
	arena_deinit(&w.arena);
}

Test(plan, parts_that_come_before_the_whole_are_read_with_it)
{
	static const char *const all[][MOST] = {
		{ "sum by (job) (rate(m_total{pod=~\".*[37]\"}[2m]))",
		  "avg by (job) (rate(m_total{job!=\"job-1\"}[2m]))",
		  "sum by (pod) (rate(m_total[2m]))" },
		{ "sum(m_total{job!=\"job-1\"})", "sum(m_total{pod=~\".*[37]\"})",
		  "max by (job) (m_total{job=\"job-2\", pod=~\".*[37]\"})",
		  "sum by (job) (m_total)" },
		{ "sum(m_total{pod=~\".*[37]\"})", "count(m_total{job!=\"job-1\"})",
		  "sum by (job) (m_total)", "avg(m_total{job=\"job-2\"})" },
	};
	struct world w;
	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		check_all(&w, all[i], all[i][3] ? 4 : 3);
	arena_deinit(&w.arena);
}

Test(plan, a_join_reads_what_can_match)
{
	struct world w;
	struct asking a;
	struct promql_result r;
	world_init(&w);
	ask_init(&a, &w, "sum by (job) (m_total{job=\"job-1\"}) / sum by (job) (n_total)",
		 2);
	run(&a, &r);
	cr_assert_eq(r.n, 1);
	cr_assert(w.given < PODS, "%zu series were read", w.given);
	ask_free(&a);
	arena_deinit(&w.arena);
}

static const char *const queries[] = {
	"sum by (job) (rate(m_total[5m]))",
	"sum(m_total) / count(m_total)",
	"avg by (job) (m_total)",
	"sum by (job) (rate(m_total{pod=~\".*3\"}[2m])) / sum by (job) (rate(m_total[2m]))",
	"stddev by (job) (m_total)",
	"topk by (job) (3, m_total)",
	"quantile by (job) (0.3, rate(m_total[2m]))",
	"rate(m_total[2m])",
	"sum by (job) (m_total * on (job, pod) n_total)",
	"max_over_time(sum by (job) (rate(m_total[1m]))[2m:30s])",
	"count_values(\"v\", m_total > 2.9e16)",
};

Test(plan, answers_do_not_depend_on_threads)
{
	struct world w;
	world_init(&w);
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		struct asking one, eight;
		struct promql_result a, b;
		ask_init(&one, &w, queries[i], 1);
		ask_init(&eight, &w, queries[i], 8);
		run(&one, &a);
		run(&eight, &b);
		cr_assert(a.n > 0 && a.n == b.n, "%s: %zu, %zu series", queries[i], a.n,
			  b.n);
		for (size_t k = 0; k < a.n; k++) {
			const struct promql_series *l = &a.series[k], *r = &b.series[k];
			cr_assert(labels_eq(l->labels, r->labels), "%s", queries[i]);
			cr_assert_eq(l->n, r->n);
			cr_assert_eq(memcmp(l->t_ms, r->t_ms, l->n * 8), 0);
			cr_assert_eq(memcmp(l->v, r->v, l->n * 8), 0, "%s", queries[i]);
		}
		ask_free(&one);
		ask_free(&eight);
	}
	arena_deinit(&w.arena);
}
