/*
 * test/bench/bench_window.c - nanoseconds per sample of range functions over one series: 24 h at 15 s, jittered
 * times, a noisy gauge; steps of 60 s with ranges of 5 m and 1 h, so that windows overlap.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "promql/exec/exec_int.h"

#define SAMPLES 5760
#define STEPS	1440
#define ROUNDS	100

static int64_t t[SAMPLES];
static double v[SAMPLES];

static const enum fn_id fns[] = {
	FN_ID_rate,
	FN_ID_count_over_time,
	FN_ID_changes,
	FN_ID_max_over_time,
	FN_ID_sum_over_time,
	FN_ID_avg_over_time,
	FN_ID_stddev_over_time,
	FN_ID_quantile_over_time,
	FN_ID_mad_over_time,
	FN_ID_deriv,
	FN_ID_predict_linear,
	FN_ID_double_exponential_smoothing,
};

static double run(enum fn_id fn, int64_t range_ms)
{
	static double q[STEPS], out[STEPS];
	uint64_t bits[BITS_WORDS(STEPS)];
	struct promql_query query = { .text = STR("") };
	struct ctx ctx;
	struct arena a;
	struct err e = ERR_INIT;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	struct exec x = { .ctx = &ctx, .q = &query, .arena = &a };
	struct series_cols s = { .t_ms = t, .v = v, .n = SAMPLES };
	struct sample_tally tally = { 0 };
	struct range_call c = { .grid = { t[0], 60000, STEPS },
				.range_ms = range_ms,
				.tally = &tally };
	c.param[0] = c.param[1] = q;
	for (size_t i = 0; i < STEPS; i++)
		q[i] = 0.9;
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < ROUNDS; i++) {
		struct range_env env = {
			.x = &x, .arena = &a, .scratch = &a, .metric = STR("m"), .e = &e
		};
		struct row row = { .v = out, .bits = bits };
		memset(bits, 0, sizeof(bits));
		uint64_t from = time_mono_ns();
		if (range_fn_of(fn)->eval(&c, &s, &env, &row) < 0)
			exit(1);
		best = MIN(best, time_mono_ns() - from);
		arena_reset(&a);
	}
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return (double)best / SAMPLES;
}

int main(void)
{
	uint64_t seed = 1;
	for (size_t i = 0; i < SAMPLES; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		t[i] = 1789977600000 + (int64_t)i * 15000 + (int64_t)(seed >> 58);
		v[i] = (double)(seed >> 34) / 1e6;
	}
	printf("%-30s %14s %14s\n", "ns a sample", "[5m], step 1m", "[1h], step 1m");
	for (size_t i = 0; i < ARRAY_LEN(fns); i++)
		printf("%-30s %14.2f %14.2f\n", fn_sigs[fns[i]].name, run(fns[i], 300000),
		       run(fns[i], 3600000));
	for (size_t i = 0; i < SAMPLES; i++) /* half of them fall */
		v[i] = (double)(int64_t)v[i];
	printf("%-30s %14.2f %14.2f\n", "rate of integers", run(FN_ID_rate, 300000),
	       run(FN_ID_rate, 3600000));
	return 0;
}
