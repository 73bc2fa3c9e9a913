/*
 * Counting of samples over the parts of a plan, and the limit on those held.
 */
#include "promql/exec/exec_int.h"
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
	cr_assert_eq(samples_total(&t.x), 1 + 3 * 2);
	cr_assert_eq(outer->by_step[0], 2);
	cr_assert_eq(outer->by_step[1], 3);
	cr_assert_eq(outer->by_step[2], 2);
	end(&t);
}

Test(samples, more_than_may_be_held_are_refused)
{
	struct counting t;
	begin(&t, 1);
	cr_assert_eq(samples_hold(&t.x, 60, &t.e), 0);
	cr_assert_eq(samples_hold(&t.x, 40, &t.e), 0);
	cr_assert_eq(samples_hold(&t.x, 1, &t.e), -1);
	cr_assert_eq(t.e.code, E_LIMIT);
	cr_assert_str_eq(err_text(&t.e),
			 "query processing would load too many samples into "
			 "memory in query execution");
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
	cr_assert_eq(hist_samples(&h), (176 + 8 * 7) / 16);
	begin(&t, 1);
	cr_assert_eq(tally_weigh(&t.x, &t.arena, &s, &tally, &t.e), 0);
	tally_add(&tally, 0, 0, 3);
	tally_add(&tally, 0, 2, 3);
	cr_assert_eq(tally.n, 2 + hist_samples(&h) + 1);
	end(&t);
}
