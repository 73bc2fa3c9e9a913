/*
 * A query that has ended is found out in the middle of one series, not behind it.
 */
#include "base/time.h"
#include "promql/exec/window.h"
#include "support/tst.h"

#define SAMPLES 2000u
#define STEPS	11000u

/* How many steps a function answers whose windows all hold SAMPLES samples. */
static uint32_t steps_done(enum fn_id fn, struct ctx *ctx)
{
	static int64_t t[SAMPLES];
	static double v[SAMPLES];
	struct arena a;
	struct row row;
	struct err e = ERR_INIT;
	const struct promql_query q = { 0 };
	struct exec x = { .q = &q, .arena = &a };
	struct grid g = { SAMPLES, 1, STEPS };
	struct range_call c = { .grid = g, .range_ms = 1000000, .ctx = ctx };
	for (uint32_t i = 0; i < SAMPLES; i++) {
		t[i] = i;
		v[i] = i % 7;
	}
	arena_init(&a, NULL);
	cr_assert_eq(row_new(&x, &a, STEPS, false, &row, &e), 0);
	struct series_cols s = { .t_ms = t, .v = v, .n = SAMPLES };
	struct range_env env = { .x = &x, .arena = &a, .e = &e };
	cr_assert_eq(range_fn_of(fn)->eval(&c, &s, &env, &row), 0);
	uint32_t n = 0;
	EACH_BIT(i, row.bits, STEPS)
	n++;
	arena_deinit(&a);
	return n;
}

Test(over, range_functions_end_within_a_series)
{
	struct ctx live, gone, late;
	ctx_init(&live, NULL, 0);
	ctx_init(&gone, NULL, 0);
	ctx_init(&late, NULL, 1);
	cancel_now(gone.cancel, "the client left");
	const enum fn_id fns[] = { FN_ID_stddev_over_time, FN_ID_changes };
	for (size_t i = 0; i < ARRAY_LEN(fns); i++) {
		cr_assert_eq(steps_done(fns[i], &live), STEPS);
		cr_assert_eq(steps_done(fns[i], NULL), STEPS);
		cr_assert_leq(steps_done(fns[i], &gone), WINDOW_POLL / SAMPLES + 1);
		cr_assert_leq(steps_done(fns[i], &late), WINDOW_POLL / SAMPLES + 1);
	}
	ctx_deinit(&live);
	ctx_deinit(&gone);
	ctx_deinit(&late);
}

Test(over, no_row_is_made_for_a_query_that_ended)
{
	struct ctx gone;
	struct arena a;
	struct row row;
	struct err e = ERR_INIT;
	ctx_init(&gone, NULL, 0);
	arena_init(&a, NULL);
	struct exec x = { .ctx = &gone, .arena = &a };
	cr_assert_eq(row_new(&x, &a, 10, false, &row, &e), 0);
	cancel_now(gone.cancel, "the client left");
	cr_assert_eq(row_new(&x, &a, 10, false, &row, &e), -1);
	cr_assert_eq(e.code, E_CANCELLED);
	arena_deinit(&a);
	ctx_deinit(&gone);
}
