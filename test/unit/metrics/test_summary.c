/* Summaries: quantiles against the sorted values, the window that slides, both text formats, threads. */
#include "support/tst.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "metrics/metrics.h"
#include "metrics/metrics_int.h"

#define SECOND	 1000000000ull
#define PART	 (120 * SECOND)
#define ACCURACY (1. / 64)

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (double)(*state >> 11) / 9007199254740992.0;
}

/* What times look like: evenly spread, over many magnitudes, a few values only, all the same. */
static double value(int kind, uint64_t *state)
{
	double r = next_random(state);
	switch (kind) {
	case 0: return r;
	case 1: return exp(r * 30 - 18);
	case 2: return floor(r * 4) + 1;
	case 3: return 0.125;
	default: return r < 0.3 ? 0 : r;
	}
}

static void compare(const double *sorted, size_t n, struct metric_summary *s,
		    uint64_t now, int kind)
{
	static const double q[] = { 0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1 };
	for (size_t i = 0; i < ARRAY_LEN(q); i++) {
		size_t rank = (size_t)ceil(q[i] * (double)n);
		double want = sorted[MAX(rank, 1u) - 1],
		       got = metric_summary_quantile(s, q[i], now);
		cr_expect(fabs(got - want) <= want * ACCURACY,
			  "kind %d, %zu values, quantile %g: %g, want %g", kind, n, q[i],
			  got, want);
	}
}

Test(summary, quantiles_are_near_those_of_the_sorted_values)
{
	static const size_t sizes[] = { 1, 2, 3, 10, 1000, 100000 };
	static double v[100000];
	uint64_t state = 1;
	for (int kind = 0; kind < 5; kind++)
		for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
			struct metric_summary *s = metric_summary_new();
			for (size_t i = 0; i < sizes[k]; i++) {
				v[i] = value(kind, &state);
				/* all within four parts of the window */
				metric_summary_add(s, v[i], 4 * PART * i / sizes[k]);
			}
			qsort(v, sizes[k], sizeof(*v), by_value);
			compare(v, sizes[k], s, 4 * PART, kind);
			metric_summary_free(s);
		}
}

static bool near(double got, double want)
{
	return fabs(got - want) <= want * ACCURACY;
}

Test(summary, forgets_what_is_ten_minutes_old)
{
	struct metric_summary *s = metric_summary_new();
	const uint64_t start = 1000 * PART;
	cr_assert(isnan(metric_summary_quantile(s, 0.5, start)));
	metric_summary_add(s, 8, start);
	metric_summary_add(s, 1, start + PART);
	cr_assert(near(metric_summary_quantile(s, 1, start + 5 * PART - 1), 8));
	cr_assert(near(metric_summary_quantile(s, 1, start + 5 * PART), 1));
	/* the place of the first is taken anew */
	metric_summary_add(s, 2, start + 5 * PART);
	cr_assert(near(metric_summary_quantile(s, 1, start + 5 * PART), 2));
	cr_assert(near(metric_summary_quantile(s, 0.5, start + 5 * PART), 1));
	cr_assert(isnan(metric_summary_quantile(s, 0.5, start + 100 * PART)));
	metric_summary_free(s);
}

Test(summary, takes_any_number)
{
	struct metric_summary *s = metric_summary_new();
	metric_summary_add(s, -1, 0);
	metric_summary_add(s, -0.0, 0);
	metric_summary_add(s, 1e-300, 0);
	metric_summary_add(s, 3, 0);
	metric_summary_add(s, INFINITY, 0);
	metric_summary_add(s, NAN, 0);
	metric_summary_add(s, 1e300, 0);
	cr_assert_eq(metric_summary_quantile(s, 3. / 7, 0), 0);
	cr_assert(near(metric_summary_quantile(s, 4. / 7, 0), 3));
	cr_assert_eq(metric_summary_quantile(s, 1, 0), 1048576);
	metric_summary_free(s);
}

static const double quantiles[] = { 0.5, 0.9, 0.99 };
static const struct metric_desc rows[] = {
	{ .kind = METRIC_SUMMARY,
	  .name = "query_duration_seconds",
	  .help = "Query timings",
	  .labels = { "slice" },
	  .bounds = quantiles,
	  .n_bounds = 3 },
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

Test(summary, is_shown_in_both_formats)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows, 1);
	struct metric *sort = metric_at(m, 0, STR("sort"));
	(void)metric_at(m, 0, STR("eval"));
	metric_observe(sort, 0);
	metric_observe(sort, 0);
	metric_observe(sort, 1 << 21); /* beyond the end */
	cr_assert_eq(metric_value(sort), 3);
	expect_text(r, false,
		    "# HELP query_duration_seconds Query timings\n"
		    "# TYPE query_duration_seconds summary\n"
		    "query_duration_seconds{slice=\"eval\",quantile=\"0.5\"} NaN\n"
		    "query_duration_seconds{slice=\"eval\",quantile=\"0.9\"} NaN\n"
		    "query_duration_seconds{slice=\"eval\",quantile=\"0.99\"} NaN\n"
		    "query_duration_seconds_sum{slice=\"eval\"} 0\n"
		    "query_duration_seconds_count{slice=\"eval\"} 0\n"
		    "query_duration_seconds{slice=\"sort\",quantile=\"0.5\"} 0\n"
		    "query_duration_seconds{slice=\"sort\",quantile=\"0.9\"} "
		    "1.048576e+06\n"
		    "query_duration_seconds{slice=\"sort\",quantile=\"0.99\"} "
		    "1.048576e+06\n"
		    "query_duration_seconds_sum{slice=\"sort\"} 2.097152e+06\n"
		    "query_duration_seconds_count{slice=\"sort\"} 3\n");
	metric_drop(m, sort);
	expect_text(r, true,
		    "# HELP query_duration_seconds Query timings\n"
		    "# TYPE query_duration_seconds summary\n"
		    "query_duration_seconds{slice=\"eval\",quantile=\"0.5\"} NaN\n"
		    "query_duration_seconds{slice=\"eval\",quantile=\"0.9\"} NaN\n"
		    "query_duration_seconds{slice=\"eval\",quantile=\"0.99\"} NaN\n"
		    "query_duration_seconds_sum{slice=\"eval\"} 0.0\n"
		    "query_duration_seconds_count{slice=\"eval\"} 0\n"
		    "# EOF\n");
	metric_registry_free(r);
}

#define ADDS 20000
static void *add_many(void *arg)
{
	for (int i = 0; i < ADDS; i++)
		metric_observe(arg, 0.5);
	return NULL;
}

Test(summary, threads_lose_no_value)
{
	struct metric_registry *r = metric_registry_new();
	struct metric_set *m = metric_set_new(r, rows, 1);
	struct metric *c = metric_at(m, 0, STR("eval"));
	pthread_t t[4];
	struct buf b;
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_create(&t[i], NULL, add_many, c);
	for (int i = 0; i < 10; i++) {
		buf_init(&b, 1 << 20);
		metric_write_text(r, false, &b);
		buf_deinit(&b);
	}
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(metric_value(c), ARRAY_LEN(t) * ADDS);
	cr_assert_eq(metric_sum(c), ARRAY_LEN(t) * ADDS * 0.5);
	metric_registry_free(r);
}
