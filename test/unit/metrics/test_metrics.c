/* lib/metrics: cells, counting and both text formats. */
#include "support/tst.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "metrics/metrics.h"
#include "metrics/metrics_int.h"

static const double bounds[] = { 0.001, 0.1, 1, 2.5, 1000000 };
enum { M_RUNS, M_OPS, M_UP, M_DUR, M_COUNT };
static const struct metric_desc rows[M_COUNT] = {
	[M_RUNS] = { .kind = METRIC_COUNTER,
		     .name = "thanos_runs_total",
		     .help = "Passes\nfinished \\ \"ok\"." },
	[M_OPS] = { .kind = METRIC_COUNTER,
		    .name = "thanos_ops_total",
		    .help = "Calls.",
		    .labels = { "bucket", "operation" },
		    .max_cells = 3,
		    .alias = "thanos_old_ops_total" },
	[M_UP] = { .kind = METRIC_GAUGE,
		   .name = "thanos_up",
		   .help = "Up.",
		   .labels = { "check" } },
	[M_DUR] = { .kind = METRIC_HISTOGRAM,
		    .name = "thanos_duration_seconds",
		    .help = "Time.",
		    .labels = { "op" },
		    .bounds = bounds,
		    .n_bounds = 5 },
};

static void expect_text(struct metric_registry *r, bool om, const char *want)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	metric_write_text(r, om, &b);
	cr_expect(!b.failed && str_eqz(buf_view(&b), want), "got\n%.*s\nwant\n%s",
		  STR_FMT(buf_view(&b)), want);
	buf_deinit(&b);
}

Test(metrics, plain_families_start_at_zero_and_labelled_ones_are_absent)
{
	struct metric_registry *r = metric_registry_new();

	metric_set_new(r, rows, M_COUNT);
	expect_text(r, false,
		    "# HELP thanos_runs_total Passes\\nfinished \\\\ \"ok\".\n"
		    "# TYPE thanos_runs_total counter\n"
		    "thanos_runs_total 0\n");
	expect_text(r, true,
		    "# HELP thanos_runs Passes\\nfinished \\\\ \\\"ok\\\".\n"
		    "# TYPE thanos_runs counter\n"
		    "thanos_runs_total 0.0\n"
		    "# EOF\n");
	metric_registry_free(r);
}

Test(metrics, are_shown_sorted_with_alias_and_escapes)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows, M_COUNT);
	struct metric *get = metric_at(m, M_OPS, STR("b"), STR("get"));

	metric_inc(get);
	metric_add(get, 2);
	metric_add(get, 0.5);
	metric_inc(metric_at(m, M_OPS, STR("a\"\\\n\xff"), STR("put")));
	metric_set_value(metric_at(m, M_UP, STR("ready")), -1.5e-9);
	metric_add(metric_at(m, M_UP, STR("healthy")), 3);
	metric_add(metric_at(m, M_UP, STR("healthy")), -2);
	metric_inc(metric_at(m, M_UP, STR("healthy")));
	cr_assert_eq(metric_value(get), 3.5);
	expect_text(
		r, false,
		"# HELP thanos_old_ops_total Calls.\n"
		"# TYPE thanos_old_ops_total counter\n"
		"thanos_old_ops_total{bucket=\"a\\\"\\\\\\n\xef\xbf\xbd\",operation=\"put\"} 1\n"
		"thanos_old_ops_total{bucket=\"b\",operation=\"get\"} 3.5\n"
		"# HELP thanos_ops_total Calls.\n"
		"# TYPE thanos_ops_total counter\n"
		"thanos_ops_total{bucket=\"a\\\"\\\\\\n\xef\xbf\xbd\",operation=\"put\"} 1\n"
		"thanos_ops_total{bucket=\"b\",operation=\"get\"} 3.5\n"
		"# HELP thanos_runs_total Passes\\nfinished \\\\ \"ok\".\n"
		"# TYPE thanos_runs_total counter\n"
		"thanos_runs_total 0\n"
		"# HELP thanos_up Up.\n"
		"# TYPE thanos_up gauge\n"
		"thanos_up{check=\"healthy\"} 2\n"
		"thanos_up{check=\"ready\"} -1.5e-09\n");
	metric_registry_free(r);
}

Test(metrics, histograms_add_up_their_buckets)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows + M_DUR, 1);
	struct metric *h = metric_at(m, 0, STR("q"));
	static const double v[] = { 0.0005, 0.001, 0.05, 1, 1.5, 3, 2e6 };

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		metric_observe(h, v[i]);
	cr_assert_eq(metric_value(h), 7);
	expect_text(r, false,
		    "# HELP thanos_duration_seconds Time.\n"
		    "# TYPE thanos_duration_seconds histogram\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"0.001\"} 2\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"0.1\"} 3\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"1\"} 4\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"2.5\"} 5\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"1e+06\"} 6\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"+Inf\"} 7\n"
		    "thanos_duration_seconds_sum{op=\"q\"} 2.0000055515e+06\n"
		    "thanos_duration_seconds_count{op=\"q\"} 7\n");
	expect_text(r, true,
		    "# HELP thanos_duration_seconds Time.\n"
		    "# TYPE thanos_duration_seconds histogram\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"0.001\"} 2\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"0.1\"} 3\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"1.0\"} 4\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"2.5\"} 5\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"1e+06\"} 6\n"
		    "thanos_duration_seconds_bucket{op=\"q\",le=\"+Inf\"} 7\n"
		    "thanos_duration_seconds_sum{op=\"q\"} 2.0000055515e+06\n"
		    "thanos_duration_seconds_count{op=\"q\"} 7\n"
		    "# EOF\n");
	metric_registry_free(r);
}

Test(metrics, nan_goes_to_the_last_bucket)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows + M_DUR, 1);
	struct metric *h = metric_at(m, 0, STR("q"));

	metric_observe(h, NAN);
	metric_observe(h, INFINITY);
	cr_assert_eq(metric_value(h), 2);
	cr_assert_eq(h->bucket[5], 2);
	metric_registry_free(r);
}

Test(metrics, beyond_the_bound_one_cell_takes_all)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows, M_COUNT);
	char t[20];

	for (int i = 0; i < 10; i++) {
		snprintf(t, sizeof(t), "z%d", i);
		metric_inc(metric_at(m, M_OPS, str_of(t), STR("x")));
	}
	struct metric *o = metric_at(m, M_OPS, STR("new"), STR("y"));
	cr_assert(str_eqz(o->values[0], "other") && str_eqz(o->values[1], "other"));
	cr_assert_eq(metric_value(o), 7);
	metric_drop(m, o); /* shared: stays */
	cr_assert_eq(metric_value(o), 7);
	cr_assert_eq(metric_value(metric_at(m, M_OPS, STR("z1"), STR("x"))), 1);
	/* room again after a drop */
	metric_drop(m, metric_at(m, M_OPS, STR("z1"), STR("x")));
	cr_assert(metric_at(m, M_OPS, STR("new"), STR("y")) != o);
	struct buf b;
	buf_init(&b, 1 << 20);
	metric_write_text(r, false, &b);
	cr_assert_geq(
		str_find(
			buf_view(&b),
			STR("\nthanos_ops_total{bucket=\"other\",operation=\"other\"} 7\n"
			    "thanos_ops_total{bucket=\"z0\"")),
		0);
	buf_deinit(&b);
	metric_registry_free(r);
}

Test(metrics, a_family_of_two_sets_is_one)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *a = metric_set_new(r, rows, M_COUNT);
	struct metric_set *b = metric_set_new(r, rows + M_UP, 1);

	metric_set_value(metric_at(a, M_UP, STR("x")), 1);
	cr_assert(metric_at(b, 0, STR("x")) == metric_at(a, M_UP, STR("x")));
	metric_registry_free(r);
}

static double answer(void *arg)
{
	return *(double *)arg;
}

Test(metrics, callbacks_are_asked_when_shown)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows + M_UP, 1);
	struct metric *c = metric_at(m, 0, STR("cb"));
	double v = 42;

	metric_callback(c, answer, &v);
	expect_text(
		r, false,
		"# HELP thanos_up Up.\n# TYPE thanos_up gauge\nthanos_up{check=\"cb\"} 42\n");
	v = INFINITY;
	expect_text(
		r, false,
		"# HELP thanos_up Up.\n# TYPE thanos_up gauge\nthanos_up{check=\"cb\"} +Inf\n");
	cr_assert(isinf(metric_value(c)));
	metric_callback(c, NULL, NULL);
	cr_assert_eq(metric_value(c), 0);
	metric_registry_free(r);
}

Test(metrics, counters_never_fall_and_keep_large_numbers_exact)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows, 1);
	struct metric *c = metric_plain(m, 0);

	metric_add(c, -1);
	metric_add(c, NAN);
	cr_assert_eq(metric_value(c), 0);
	metric_add(c, 9007199254740991.0);
	metric_inc(c);
	metric_inc(c);
	metric_inc(c);
	cr_assert_eq(metric_value(c), 9007199254740994.0);
	metric_add(c, 1e300);
	cr_assert_eq(metric_value(c), 1e300);
	metric_registry_free(r);
}

Test(metrics, long_values_are_cut_at_a_character)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows + M_UP, 1);
	static char t[2000];

	memset(t, 'x', sizeof(t));
	memcpy(t + 1023, "\xc3\xa9", 2);
	struct metric *c = metric_at(m, 0, str_n(t, sizeof(t)));
	cr_assert_eq(c->values[0].n, 1023);
	cr_assert(metric_at(m, 0, str_n(t, 1500)) == c);
	metric_registry_free(r);
}

Test(metrics, floats_are_printed_as_go_prints_them)
{
	char line[2048], hex[32], g[64], t[36];
	FILE *in = fopen("test/golden/wire/floats.txt", "r");
	unsigned n = 0;

	cr_assert_not_null(in);
	while (fgets(line, sizeof(line), in)) {
		int got = sscanf(line, "%31s %*s %*s %63s", hex, g);
		cr_assert_eq(got, 2);
		uint64_t bits = strtoull(hex, NULL, 16);
		double v;
		memcpy(&v, &bits, 8);
		t[metric_format_f64(t, v)] = 0;
		cr_expect_str_eq(t, g);
		n++;
	}
	fclose(in);
	cr_assert_gt(n, 800);
}

/* Value of the sample line that begins with name, -1: none. */
static double sample(struct str text, const char *name)
{
	ptrdiff_t at = str_find(text, str_of(name));

	return at < 0 ? -1 : strtod(text.p + at + strlen(name), NULL);
}

Test(metrics, the_process_tells_about_itself)
{
	struct metric_registry *r = metric_registry_new();
	struct buf b;

	metric_process_register(r);
	buf_init(&b, 1 << 20);
	metric_write_text(r, false, &b);
	buf_byte(&b, 0);
	struct str t = buf_view(&b);
	cr_assert_geq(sample(t, "\nprocess_cpu_seconds_total "), 0);
	cr_assert_gt(sample(t, "\nprocess_resident_memory_bytes "), 1e6);
	cr_assert_gt(sample(t, "\nprocess_virtual_memory_bytes "), 1e6);
	cr_assert_gt(sample(t, "\nprocess_start_time_seconds "), 1.6e9);
	cr_assert_geq(sample(t, "\nprocess_open_fds "), 3);
	cr_assert_gt(sample(t, "\nprocess_max_fds "), 3);
	buf_deinit(&b);
	metric_registry_free(r);
}

Test(metrics, promtool_finds_nothing_wrong)
{
	if (system("command -v promtool >/dev/null") != 0)
		return;
	static const struct metric_desc good[] = {
		{ .kind = METRIC_COUNTER, .name = "tt_runs_total", .help = "Runs." },
		{ .kind = METRIC_COUNTER,
		  .name = "tt_ops_total",
		  .help = "Operations.",
		  .labels = { "bucket", "operation" } },
		{ .kind = METRIC_GAUGE, .name = "tt_size_bytes", .help = "Size." },
		{ .kind = METRIC_HISTOGRAM,
		  .name = "tt_duration_seconds",
		  .help = "Time.",
		  .labels = { "op" },
		  .bounds = bounds,
		  .n_bounds = 5 },
	};
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, good, 4);
	struct buf b;

	metric_process_register(r);
	metric_inc(metric_at(m, 1, STR("a\"\\\n"), STR("get")));
	metric_set_value(metric_plain(m, 2), 1.5e300);
	metric_observe(metric_at(m, 3, STR("x")), 0.3);
	buf_init(&b, 1 << 20);
	metric_write_text(r, false, &b);
	FILE *p = popen("promtool check metrics", "w");
	cr_assert_not_null(p);
	cr_assert_eq(fwrite(b.p, 1, b.n, p), b.n);
	cr_assert_eq(pclose(p), 0);
	buf_deinit(&b);
	metric_registry_free(r);
}

Test(metrics, a_full_buffer_is_noticed)
{
	struct metric_registry *r = metric_registry_new();
	struct buf b;

	metric_set_new(r, rows, M_COUNT);
	buf_init(&b, 20);
	metric_write_text(r, false, &b);
	cr_assert(b.failed);
	buf_deinit(&b);
	metric_registry_free(r);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS	3000

static struct metric_set *shared;

static void *count_up(void *arg)
{
	struct metric *runs = metric_plain(shared, M_RUNS);
	char t[20];

	for (int i = 0; i < ROUNDS; i++) {
		metric_inc(runs);
		metric_add(runs, 0.5);
		metric_inc(metric_at(shared, M_UP, STR("in_flight")));
		metric_observe(metric_at(shared, M_DUR, STR("q")), i % 3);
		snprintf(t, sizeof(t), "own%d", (int)(intptr_t)arg);
		if (i % 100 == 0)
			metric_drop(shared, metric_at(shared, M_UP, str_of(t)));
		metric_add(metric_at(shared, M_UP, STR("in_flight")), -1);
	}
	return NULL;
}

Test(metrics, threads_lose_no_count)
{
	struct metric_registry *r = metric_registry_new();
	pthread_t t[THREADS];

	shared = metric_set_new(r, rows, M_COUNT);
	metric_process_register(r);
	for (intptr_t i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, count_up, (void *)i), 0);
	for (int i = 0; i < 20; i++) {
		struct buf b;
		buf_init(&b, 1 << 20);
		metric_write_text(r, i % 2, &b);
		cr_assert(!b.failed);
		buf_deinit(&b);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(metric_value(metric_plain(shared, M_RUNS)), THREADS * ROUNDS * 1.5);
	cr_assert_eq(metric_value(metric_at(shared, M_UP, STR("in_flight"))), 0);
	struct metric *h = metric_at(shared, M_DUR, STR("q"));
	cr_assert_eq(metric_value(h), THREADS * ROUNDS);
	cr_assert_eq(metric_sum(h), THREADS * ROUNDS);
	metric_registry_free(r);
}
