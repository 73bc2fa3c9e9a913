/*
 * Counting of samples over the parts of a plan, and the limit on those held.
 */
#include "promql/exec/exec_int.h"
#include "promql/exec/held.h"
#include "support/tst.h"

struct counting {
	struct ctx ctx;
	struct arena arena;
	struct promql_query q;
	struct exec x;
	struct err e;
};

static void begin(struct counting *t, uint32_t steps)
{
	*t = (struct counting){ .e = ERR_INIT };
	ctx_init(&t->ctx, NULL, 0);
	arena_init(&t->arena, NULL);
	t->q = (struct promql_query){ .step_stats = true, .max_samples = 100 };
	t->x = (struct exec){ .ctx = &t->ctx, .q = &t->q, .arena = &t->arena };
	cr_assert_eq(samples_enter(&t->x, false, steps, &t->e), 0);
}

static void end(struct counting *t)
{
	arena_deinit(&t->arena);
	ctx_deinit(&t->ctx);
}

Test(samples, what_is_evaluated_once_counts_at_every_step)
{
	struct counting t;
	begin(&t, 3);
	struct sample_count *outer = t.x.count;
	samples_add_one(outer, 1);
	cr_assert_eq(samples_enter(&t.x, true, 1, &t.e), 0);
	samples_add_one(t.x.count, 0);
	samples_add_one(t.x.count, 0);
	/* the subquery's own are not counted; it may hold a part that is evaluated once, too */
	cr_assert_eq(samples_enter(&t.x, false, 50, &t.e), 0);
	samples_add_one(t.x.count, 40);
	cr_assert_eq(samples_enter(&t.x, true, 1, &t.e), 0);
	samples_add_one(t.x.count, 0);
	samples_leave(&t.x);
	samples_leave(&t.x);
	samples_leave(&t.x);
	cr_assert_eq(t.x.count, outer);
	cr_assert_eq(samples_total(&t.x)->n, 1 + 3 * 2);
	cr_assert_eq(outer->read, 1 + 2);
	cr_assert_eq(outer->read_by_step[0], 2);
	cr_assert_eq(outer->by_step[0], 2);
	cr_assert_eq(outer->by_step[1], 3);
	cr_assert_eq(outer->by_step[2], 2);
	end(&t);
}

/* A series' windows of 4, 6 and 5 samples, of which 2 and then 3 are new. */
static void look_at_windows(struct sample_tally *tally)
{
	tally_add(tally, 0, 0, 4);
	tally_add(tally, 1, 0, 6);
	tally_add(tally, 2, 4, 9);
}

Test(samples, what_the_window_before_had_is_not_read_again)
{
	struct counting t;
	struct sample_tally tally = { 0 };
	struct series_cols s = { .n = 9 };
	const struct range_call c = { .tally = &tally };
	begin(&t, 3);
	cr_assert_eq(tally_by_step(&t.x, &t.arena, 3, &tally, &t.e), 0);
	for (int series = 0; series < 2; series++) {
		cr_assert_eq(tally_series(&t.x, &t.arena, &s, &c, &t.e), 0);
		look_at_windows(&tally);
	}
	samples_add(t.x.count, &tally, 0, 3);
	cr_assert_eq(t.x.count->n, 2 * 15);
	cr_assert_eq(t.x.count->read, 2 * 9);
	cr_assert_eq(t.x.count->read_by_step[1], 2 * 2);
	cr_assert_eq(t.x.count->read_by_step[2], 2 * 3);
	cr_assert_eq(t.x.count->by_step[2], 2 * 5);
	end(&t);
}

Test(samples, windows_counted_together_count_as_one_by_one)
{
	struct counting t;
	begin(&t, 8);
	for (size_t pace = 1; pace < 8; pace++) { /* windows of 4 samples */
		struct sample_tally one = { 0 }, all = { 0 };
		cr_assert_eq(tally_by_step(&t.x, &t.arena, 8, &one, &t.e), 0);
		cr_assert_eq(tally_by_step(&t.x, &t.arena, 8, &all, &t.e), 0);
		tally_add(&one, 0, 0, 4);
		tally_add(&all, 0, 0, 4);
		for (uint32_t i = 1; i < 8; i++)
			tally_add(&one, i, i * pace, i * pace + 4);
		tally_add_even(&all, 1, 7, 4, pace, 7 * pace + 4);
		cr_assert_eq(all.n, one.n);
		cr_assert_eq(all.read, one.read);
		cr_assert_eq(all.hi, one.hi);
		cr_assert_eq(all.last, one.last);
		cr_assert_eq(all.most, one.most);
		cr_assert_eq(all.last_step, one.last_step);
		cr_assert_arr_eq(all.by_step, one.by_step, 8 * 8);
		cr_assert_arr_eq(all.read_by_step, one.read_by_step, 8 * 8);
	}
	end(&t);
}

/* Steps of 60 s with windows of 20 s over a subquery of 10 s, 5 s back: what lies between windows is not read. */
Test(samples, a_subquery_reads_for_the_window_it_is_in)
{
	struct counting t;
	begin(&t, 3);
	struct range_call call = { .grid = { 600000, 60000, 3 },
				   .range_ms = 20000,
				   .offset_ms = 5000 };
	struct grid inner = { 580000, 10000, 14 };
	struct sample_count *outer = t.x.count;
	cr_assert_eq(samples_enter_subquery(&t.x, inner, &call, &t.e), 0);
	for (uint32_t k = 0; k < inner.n; k++)
		samples_add_one(t.x.count, k);
	samples_leave(&t.x);
	const struct sample_count *sum = samples_total(&t.x);
	cr_assert_eq(sum, outer);
	cr_assert_eq(sum->n, 0);
	cr_assert_eq(sum->read_by_step[0], 2); /* 585, 595 */
	cr_assert_eq(sum->read_by_step[1], 2); /* 645, 655 */
	cr_assert_eq(sum->read_by_step[2], 2); /* 705, 715 */
	cr_assert_eq(sum->read, 6);
	end(&t);
}

Test(samples, a_series_is_held_with_its_window_and_what_came_before)
{
	struct sample_tally tally = { 0 };
	struct held_windows w = { 0 };
	uint64_t bits[1] = { 7 };
	struct row out = { .bits = bits };
	tally.last_step = UINT32_MAX;
	look_at_windows(&tally);
	held_series(&w, &tally, 3, &out);
	cr_assert_eq(w.made, 3);
	cr_assert_eq(w.peak, 3 + 5); /* its results, and the last window */
	held_series(&w, &tally, 3, &out);
	cr_assert_eq(w.peak, 3 + 3 + 5);
	tally.most = 100;
	held_series(&w, &tally, 3, NULL); /* smoothed: only the last window stays */
	cr_assert_eq(w.peak, 6 + 100);
	cr_assert_eq(w.made, 6 + 5);
}

Test(samples, a_query_over_its_limit_is_refused_as_soon_as_that_is_certain)
{
	struct counting t;
	begin(&t, 1);
	struct expr sel = { .kind = EXPR_VECTOR, .type = TYPE_VECTOR };
	struct expr sum = { .kind = EXPR_AGGR, .type = TYPE_VECTOR };
	sum.aggr.op = AGG_SUM;
	sum.aggr.e = &sel;
	t.q.expr = &sum;
	map64_init(&t.x.held_by_expr);
	cr_assert_eq(held_plan(&t.x, (struct grid){ 0, 0, 1 }, &t.e), 0);
	uint64_t bits[1] = { 1 };
	struct row row[70];
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		row[i] = (struct row){ .bits = bits };
	struct op op = { .grid = { 0, 0, 1 } };
	held_watch(&t.x, &op, &sel);
	cr_assert_eq(held_rows(&t.x, &op, &(struct batch){ row, 60 }, &t.e), 0);
	cr_assert_eq(held_peak(&t.x), 60);
	cr_assert_eq(held_rows(&t.x, &op, &(struct batch){ row, 40 }, &t.e), 0);
	cr_assert_eq(held_check(&t.x, &t.e), 0);
	cr_assert_eq(held_rows(&t.x, &op, &(struct batch){ row, 70 }, &t.e), -1);
	cr_assert_eq(t.e.code, E_LIMIT);
	cr_assert_str_eq(err_text(&t.e),
			 "query processing would load too many samples into "
			 "memory in query execution");
	map64_deinit(&t.x.held_by_expr);
	end(&t);
}

/* 168 bytes and 8 for the time, 8 for each span, bucket and bound. */
Test(samples, histograms_weigh_what_they_take)
{
	struct hist h = { .n_pos_spans = 1, .n_pos = 3, .n_neg_spans = 1, .n_neg = 2 };
	struct counting t;
	struct sample_tally tally = { 0 };
	const struct hist *hs[3] = { NULL, &h, NULL };
	struct series_cols s = { .h = hs, .n = 3 };
	const struct range_call c = { .tally = &tally };
	cr_assert_eq(hist_samples(&h), (176 + 8 * 7) / 16);
	begin(&t, 1);
	cr_assert_eq(tally_series(&t.x, &t.arena, &s, &c, &t.e), 0);
	tally_add(&tally, 0, 0, 3);
	tally_add(&tally, 0, 2, 3);
	cr_assert_eq(tally.n, 2 + hist_samples(&h) + 1);
	end(&t);
}
