#include <float.h>
#include <math.h>

#include "model/hist.h"
#include "support/tst.h"

static const struct hist_span pos_spans[] = { { 0, 2 }, { 1, 1 } },
			      neg_spans[] = { { 1, 2 } };
static const double pos[] = { 1, 0, 3 }, neg[] = { 2, 4 };

static struct hist sample(void)
{
	return (struct hist){ .schema = 0,
			      .zero_threshold = 0.001,
			      .zero_count = 5,
			      .count = 15,
			      .sum = 2.5,
			      .pos_spans = pos_spans,
			      .n_pos_spans = 2,
			      .pos = pos,
			      .n_pos = 3,
			      .neg_spans = neg_spans,
			      .n_neg_spans = 1,
			      .neg = neg,
			      .n_neg = 2 };
}

static void check_json(const struct hist *h, const char *want)
{
	struct buf b;
	buf_init(&b, 4096);
	hist_write_json(h, &b);
	cr_expect(str_eqz(buf_view(&b), want), "%.*s", STR_FMT(buf_view(&b)));
	buf_deinit(&b);
}

Test(hist, json_lists_full_buckets_in_rising_order)
{
	struct hist h = sample();
	check_json(&h, "{\"count\":\"15\",\"sum\":\"2.5\",\"buckets\":["
		       "[1,\"-4\",\"-2\",\"4\"],[1,\"-2\",\"-1\",\"2\"],"
		       "[3,\"-0.001\",\"0.001\",\"5\"],"
		       "[0,\"0.5\",\"1\",\"1\"],[0,\"4\",\"8\",\"3\"]]}");
	h = (struct hist){ .sum = NAN };
	check_json(&h, "{\"count\":\"0\",\"sum\":\"NaN\"}");
}

Test(hist, json_of_custom_bounds_has_open_ends)
{
	static const struct hist_span s[] = { { 0, 3 } };
	static const double bounds[] = { 0.5, 10 };
	struct hist h = { .schema = HIST_CUSTOM,
			  .count = 4,
			  .sum = 1,
			  .pos_spans = s,
			  .n_pos_spans = 1,
			  .pos = pos,
			  .n_pos = 3,
			  .bounds = bounds,
			  .n_bounds = 2 };
	struct err e = ERR_INIT;
	cr_assert_eq(hist_validate(&h, &e), 0, "%s", err_text(&e));
	check_json(&h, "{\"count\":\"4\",\"sum\":\"1\",\"buckets\":["
		       "[3,\"-Inf\",\"0.5\",\"1\"],[0,\"10\",\"+Inf\",\"3\"]]}");
}

Test(hist, bounds_have_the_last_digit_that_prometheus_prints)
{
	cr_assert_eq(hist_bound(0, 0), 1);
	cr_assert_eq(hist_bound(1, 1), 0x1.6a09e667f3bccp+0);
	cr_assert_eq(hist_bound(1024, 0), DBL_MAX);
	cr_assert_eq(hist_bound(1, -4), 65536);
	cr_assert_eq(hist_bound(-1, -4), 1.0 / 65536);
	cr_assert_eq(hist_bound(256, 8), 2);
	cr_assert_eq(hist_bound(-3, 2), hist_bound(-192, 8));
}

Test(hist, empty_spans_make_no_difference)
{
	static const struct hist_span split[] = {
		{ 0, 1 }, { 0, 1 }, { 0, 0 }, { 1, 0 }, { 0, 1 }
	};
	struct hist a = sample(), b = sample();
	b.pos_spans = split;
	b.n_pos_spans = 5;
	cr_assert(hist_eq(&a, &b));
	b.sum = -2.5;
	cr_assert(!hist_eq(&a, &b));
}

Test(hist, empty_spans_move_the_buckets_behind_them)
{
	static const struct hist_span with[] = { { 2, 0 }, { 1, 1 }, { 1, 0 },
						 { 0, 0 }, { 2, 2 }, { 5, 0 } };
	static const struct hist_span without[] = { { 3, 1 }, { 3, 2 } };
	static const double v[] = { 1, 2, 3 };
	struct hist h = { .n_pos = 3, .n_neg = 3, .pos = v, .neg = v }, g = h;
	struct hist_iter x, y;
	struct hist_bucket bx, by;
	h.pos_spans = h.neg_spans = with;
	h.n_pos_spans = h.n_neg_spans = ARRAY_LEN(with);
	g.pos_spans = g.neg_spans = without;
	g.n_pos_spans = g.n_neg_spans = ARRAY_LEN(without);
	hist_iter_init(&x, &h);
	hist_iter_init(&y, &g);
	for (unsigned i = 0; i < 6; i++) {
		cr_assert(hist_iter_next(&x, &bx) && hist_iter_next(&y, &by));
		cr_expect(bx.index == by.index && bx.count == by.count &&
				  bx.lower == by.lower && bx.upper == by.upper,
			  "bucket %u: index %d, not %d", i, bx.index, by.index);
	}
	cr_assert(!hist_iter_next(&x, &bx) && !hist_iter_next(&y, &by));
}

Test(hist, layouts_and_counts_that_disagree_are_refused)
{
	struct err e = ERR_INIT;
	struct hist h = sample();
	cr_assert_eq(hist_validate(&h, &e), 0);
	h.n_pos = 2;
	cr_assert_eq(hist_validate(&h, &e), -1);
	h = sample();
	h.schema = 9;
	cr_assert_eq(hist_validate(&h, &e), -1);
	static const struct hist_span back[] = { { 0, 2 }, { -1, 1 } };
	h = sample();
	h.pos_spans = back;
	cr_assert_eq(hist_validate(&h, &e), -1);
	static const double negative[] = { 1, -1, 3 };
	h = sample();
	h.pos = negative;
	cr_assert_eq(hist_validate(&h, &e), -1);
}

Test(hist, a_copy_shares_nothing)
{
	struct arena a;
	struct hist h = sample();
	arena_init(&a, NULL);
	struct hist *x = hist_dup(&a, &h);
	cr_assert(hist_eq(x, &h));
	cr_assert(x->pos != h.pos && x->neg_spans != h.neg_spans);
	arena_deinit(&a);
}
