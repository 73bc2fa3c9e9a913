/*
 * Sums, resets, trims and questions of native histograms. Expected numbers are worked out by hand from the definition of the
 * buckets, or are those of Prometheus' answers where rounding matters.
 */
#include <math.h>
#include <string.h>

#include "model/hist_math.h"
#include "support/tst.h"

struct fix {
	struct arena a;
	struct hist_work w;
	struct hist_acc x;
};

static void setup(struct fix *f)
{
	arena_init(&f->a, NULL);
	hist_work_init(&f->w, &f->a);
	hist_acc_init(&f->x, &f->w);
}

static void teardown(struct fix *f)
{
	arena_deinit(&f->a);
}

/* One run of positive buckets from index `first`. */
#define HIST(s, first, c, sm, ...)                                                       \
	(struct hist)                                                                    \
	{                                                                                \
		.schema = (s), .count = (c), .sum = (sm),                                \
		.pos_spans =                                                             \
			&(struct hist_span){ (first),                                    \
					     sizeof((double[]){ __VA_ARGS__ }) / 8 },    \
		.n_pos_spans = 1, .pos = (double[]){ __VA_ARGS__ },                      \
		.n_pos = sizeof((double[]){ __VA_ARGS__ }) / 8                           \
	}

static void check_expr(const struct hist *h, const char *want)
{
	struct buf b;
	buf_init(&b, 1 << 16);
	hist_write_expr(h, &b);
	cr_assert(str_eq(buf_view(&b), str_of(want)), "got %.*s\nnot %s",
		  STR_FMT(buf_view(&b)), want);
	buf_deinit(&b);
}

static void check_text(const struct hist *h, const char *want)
{
	struct buf b;
	buf_init(&b, 1 << 16);
	hist_text(h, &b);
	cr_assert(str_eq(buf_view(&b), str_of(want)), "got %.*s\nnot %s",
		  STR_FMT(buf_view(&b)), want);
	buf_deinit(&b);
}

Test(hist_math, text_forms)
{
	struct hist h = HIST(0, 1, 4, 2.5, 1, 0, 2);
	h.neg_spans = &(struct hist_span){ 0, 1 };
	h.neg = (double[]){ 1 };
	h.n_neg = h.n_neg_spans = 1;
	h.zero_threshold = 0.001;
	h.zero_count = 3;
	check_text(&h,
		   "{count:4, sum:2.5, [-1,-0.5):1, [-0.001,0.001]:3, (1,2]:1, (4,8]:2}");
	check_expr(
		&h,
		"{{count:4 sum:2.5 z_bucket:3 z_bucket_w:0.001 offset:1 buckets:[1 0 2] n_buckets:[1]}}");
	h.zero_count = -3;
	check_text(
		&h,
		"{count:4, sum:2.5, [-1,-0.5):1, [-0.001,0.001]:-3, (1,2]:1, (4,8]:2}");
	struct hist c = HIST(HIST_CUSTOM, 0, 3, 1e7, 1, 2);
	c.bounds = (double[]){ 5 };
	c.n_bounds = 1;
	c.hint = HIST_GAUGE;
	check_text(&c, "{count:3, sum:1e+07, [-Inf,5]:1, (5,+Inf]:2}");
	check_expr(
		&c,
		"{{schema:-53 count:3 sum:1e+07 custom_values:[5] counter_reset_hint:gauge buckets:[1 2]}}");
	struct hist none = { 0 };
	check_expr(&none, "{{}}");
}

Test(hist_math, the_coarser_schema_wins)
{
	struct fix f;
	setup(&f);
	/* schema 1, buckets 1..4 reach to sqrt2, 2, 2 sqrt2, 4; schema 0, buckets 1 and 2 to 2, 4 */
	struct hist fine = HIST(1, 1, 10, 20, 1, 2, 3, 4), coarse = HIST(0, 2, 5, 15, 5);
	hist_acc_set(&f.x, &fine);
	cr_assert_eq(hist_acc_add(&f.x, &coarse), 0);
	check_expr(hist_acc_take(&f.x, true),
		   "{{count:15 sum:35 offset:1 buckets:[3 12]}}");
	hist_acc_set(&f.x, &coarse);
	cr_assert_eq(hist_acc_sub(&f.x, &fine), 0);
	check_expr(hist_acc_take(&f.x, true),
		   "{{count:-5 sum:-5 offset:1 buckets:[-3 -2]}}");
	teardown(&f);
}

Test(hist_math, buckets_are_put_where_they_belong)
{
	struct fix f;
	setup(&f);
	struct hist a = HIST(0, 5, 3, 1, 1, 2), before = HIST(0, 1, 1, 1, 7),
		    between = HIST(0, 3, 3, 1, 1, 1, 1), behind = HIST(0, 8, 1, 1, 9);
	hist_acc_set(&f.x, &a);
	hist_acc_add(&f.x, &behind);
	hist_acc_add(&f.x, &before);
	hist_acc_add(&f.x, &between);
	hist_acc_add(&f.x, &a);
	struct hist *h = hist_acc_take(&f.x, false);
	check_expr(h, "{{count:11 sum:5 offset:1 buckets:[7 0 1 1 3 4 0 9]}}");
	cr_assert_eq(h->n_pos, 6);
	cr_assert_eq(h->n_pos_spans, 3);
	/* an empty bucket stays until it is compacted away */
	hist_acc_sub(&f.x, &before);
	cr_assert_eq(hist_acc_take(&f.x, false)->n_pos, 6);
	cr_assert_eq(hist_acc_take(&f.x, true)->n_pos, 5);
	teardown(&f);
}

Test(hist_math, zero_buckets_are_widened_until_they_cut_nothing)
{
	struct fix f;
	setup(&f);
	struct hist a = HIST(0, -1, 10, 1, 1, 2, 3), b = HIST(0, 1, 2, 1, 2);
	a.zero_threshold = 0.001;
	a.zero_count = 4;
	b.zero_threshold = 0.3; /* inside (0.25, 0.5] of a, which is populated */
	b.zero_count = 1;
	hist_acc_set(&f.x, &a);
	cr_assert_eq(hist_acc_add(&f.x, &b), 0);
	check_expr(hist_acc_take(&f.x, true),
		   "{{count:12 sum:2 z_bucket:6 z_bucket_w:0.5 buckets:[2 5]}}");
	hist_acc_set(&f.x, &b);
	cr_assert_eq(hist_acc_add_compensated(&f.x, &a), 0);
	hist_acc_fold(&f.x);
	check_expr(hist_acc_take(&f.x, true),
		   "{{count:12 sum:2 z_bucket:6 z_bucket_w:0.5 buckets:[2 5]}}");
	teardown(&f);
}

Test(hist_math, custom_bounds_that_both_have_stay)
{
	struct fix f;
	setup(&f);
	struct hist a = HIST(HIST_CUSTOM, 0, 10, 1, 1, 2, 3, 4),
		    b = HIST(HIST_CUSTOM, 0, 6, 1, 1, 2, 3), c = HIST(0, 0, 1, 1, 1);
	a.bounds = (double[]){ 1, 2, 5 };
	a.n_bounds = 3;
	b.bounds = (double[]){ 2, 4 };
	b.n_bounds = 2;
	hist_acc_set(&f.x, &a);
	cr_assert_eq(hist_acc_add(&f.x, &b), HIST_RECONCILED);
	check_expr(hist_acc_take(&f.x, true),
		   "{{schema:-53 count:16 sum:2 custom_values:[2] buckets:[4 12]}}");
	cr_assert_eq(hist_acc_add(&f.x, &c), HIST_INCOMPATIBLE);
	teardown(&f);
}

Test(hist_math, hints)
{
	static const uint8_t U = HIST_UNKNOWN, R = HIST_RESET, N = HIST_NOT_RESET,
			     G = HIST_GAUGE;
	const struct {
		uint8_t a, b, sum;
		unsigned met;
	} rows[] = { { U, U, U, 0 },
		     { R, R, R, 0 },
		     { G, R, G, 0 },
		     { N, G, G, 0 },
		     { U, R, U, 0 },
		     { N, U, U, 0 },
		     { R, N, U, HIST_COLLISION },
		     { N, R, U, HIST_COLLISION } };
	struct fix f;
	setup(&f);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hist a = HIST(0, 0, 1, 1, 1), b = a;
		a.hint = rows[i].a;
		b.hint = rows[i].b;
		hist_acc_set(&f.x, &a);
		cr_assert_eq(hist_acc_add(&f.x, &b), rows[i].met, "row %zu", i);
		cr_assert_eq(f.x.hint, rows[i].sum, "row %zu", i);
	}
	teardown(&f);
}

Test(hist_math, what_rounding_loses_comes_back)
{
	struct fix f;
	setup(&f);
	struct hist big = HIST(0, 0, 1e16, 1e16, 1e16), one = HIST(0, 0, 1, 1, 1),
		    neg = HIST(0, 0, -1e16, -1e16, -1e16);
	hist_acc_set(&f.x, &big);
	hist_acc_add_compensated(&f.x, &one);
	hist_acc_add_compensated(&f.x, &one);
	hist_acc_add_compensated(&f.x, &neg);
	hist_acc_fold(&f.x);
	check_expr(hist_acc_take(&f.x, true), "{{count:2 sum:2 buckets:[2]}}");
	teardown(&f);
}

Test(hist_math, resets)
{
	struct hist a = HIST(1, 1, 10, 1, 1, 2, 3, 4), b = a;
	cr_assert(!hist_detect_reset(&a, &b));
	a.count = 9;
	cr_assert(hist_detect_reset(&a, &b));
	a.hint = HIST_NOT_RESET;
	cr_assert(!hist_detect_reset(&a, &b));
	a = b;
	a.hint = HIST_RESET;
	cr_assert(hist_detect_reset(&a, &b));
	a = HIST(1, 1, 10, 1, 1, 2, 2, 5);
	cr_assert(hist_detect_reset(&a, &b));
	a = HIST(1, 0, 10, 1, 0, 1, 2, 3, 4); /* other layout, nothing less */
	cr_assert(!hist_detect_reset(&a, &b));
	a = HIST(1, 1, 20, 1, 1, 2, 3); /* a populated bucket is missing */
	cr_assert(hist_detect_reset(&a, &b));
	a = HIST(0, 1, 10, 1, 3, 7); /* coarser: the same */
	cr_assert(!hist_detect_reset(&a, &b));
	a = HIST(0, 1, 10, 1, 3, 6);
	cr_assert(hist_detect_reset(&a, &b));
	a = HIST(2, 1, 10, 1, 9, 9, 9, 9, 9); /* finer */
	cr_assert(hist_detect_reset(&a, &b));
	a = HIST(1, 3, 10, 1, 3, 4); /* the zero bucket took in two buckets */
	a.zero_threshold = 2;
	a.zero_count = 3;
	cr_assert(!hist_detect_reset(&a, &b));
	a.zero_threshold = 1.9; /* it cuts a populated one */
	cr_assert(hist_detect_reset(&a, &b));
}

Test(hist_math, resets_of_custom_buckets_compare_what_both_have)
{
	struct hist a = HIST(HIST_CUSTOM, 0, 10, 1, 3, 3, 4),
		    b = HIST(HIST_CUSTOM, 0, 10, 1, 1, 2, 3, 4);
	a.bounds = (double[]){ 2, 5 };
	a.n_bounds = 2;
	b.bounds = (double[]){ 1, 2, 5 };
	b.n_bounds = 3;
	cr_assert(!hist_detect_reset(&a, &b));
	cr_assert(!hist_detect_reset(&b, &a));
	b = HIST(HIST_CUSTOM, 0, 10, 1, 1, 3, 2, 4);
	b.bounds = (double[]){ 1, 2, 5 };
	b.n_bounds = 3;
	cr_assert(hist_detect_reset(&a, &b));
}

static struct hist *trimmed(struct fix *f, const struct hist *h, double at, bool upper)
{
	hist_acc_set(&f->x, h);
	hist_acc_trim(&f->x, at, upper);
	return hist_acc_take(&f->x, false);
}

Test(hist_math, trims)
{
	struct fix f;
	setup(&f);
	struct hist h = HIST(0, 1, 12, 40, 4, 4, 4); /* (1,2] (2,4] (4,8] */
	check_expr(trimmed(&f, &h, 8, true),
		   "{{count:12 sum:40 offset:1 buckets:[4 4 4]}}");
	struct hist *cut = trimmed(&f, &h, 4, true);
	cr_assert_eq(cut->count, 8);
	cr_assert_float_eq(cut->sum, 4 * sqrt(2) + 4 * sqrt(8), 1e-12);
	cut = trimmed(&f, &h, sqrt(8), true); /* the middle of (2,4] by its logarithm */
	cr_assert_float_eq(cut->count, 6, 1e-12);
	cut = trimmed(&f, &h, sqrt(8), false);
	cr_assert_float_eq(cut->count, 6, 1e-12);
	struct hist c = HIST(HIST_CUSTOM, 0, 8, 30, 4, 4); /* ..5, 5.. */
	c.bounds = (double[]){ 5 };
	c.n_bounds = 1;
	cut = trimmed(&f, &c, 2.5, true);
	cr_assert_eq(cut->count, 2);
	cr_assert_eq(cut->sum, 2.5);
	cr_assert_eq(cut->n_pos, 1);
	teardown(&f);
}

Test(hist_math, quantiles_and_fractions)
{
	unsigned notes = 0;
	struct hist h = HIST(0, 1, 12, 40, 4, 4, 4);
	cr_assert_float_eq(hist_quantile(&h, 0.5, &notes), sqrt(8), 1e-12);
	cr_assert_float_eq(hist_fraction(&h, 1, sqrt(8), &notes), 0.5, 1e-12);
	cr_assert_eq(hist_quantile(&h, 1, &notes), 8);
	cr_assert_eq(hist_quantile(&h, 0, &notes), 1);
	cr_assert_eq(hist_quantile(&h, -1, &notes), -INFINITY);
	cr_assert_eq(hist_quantile(&h, 2, &notes), INFINITY);
	cr_assert(isnan(hist_quantile(&h, NAN, &notes)));
	h.zero_count = 12;
	h.count = 24;
	h.zero_threshold = 0.5;
	cr_assert_eq(hist_quantile(&h, 0.25, &notes), 0.25); /* nothing below zero */
	cr_assert_eq(notes, 0);
	h.sum = NAN;
	h.count = 30;
	cr_assert(isnan(hist_quantile(&h, 0.99, &notes)));
	cr_assert_eq(notes, HIST_NAN_RESULT);
	notes = 0;
	cr_assert(!isnan(hist_quantile(&h, 0.1, &notes)));
	cr_assert_eq(notes, HIST_NAN_SKEW);
	notes = 0;
	cr_assert_eq(hist_fraction(&h, -INFINITY, INFINITY, &notes), 0.8);
	cr_assert_eq(notes, HIST_NAN_EXCLUDED);
	struct hist c = HIST(HIST_CUSTOM, 0, 8, 30, 4, 4);
	c.bounds = (double[]){ 5 };
	c.n_bounds = 1;
	cr_assert_eq(hist_quantile(&c, 0.25, &notes), 2.5);
	cr_assert_eq(hist_quantile(&c, 0.9, &notes), 5);
}

Test(hist_math, variance)
{
	/* two observations at 1 and two at 4, as far as the buckets (0.5,1*..] can tell */
	struct hist h = HIST(0, 1, 4, 2 * sqrt(2) + 2 * sqrt(8), 2, 2);
	double mean = (sqrt(2) + sqrt(8)) / 2, d = sqrt(8) - mean;
	cr_assert_float_eq(hist_stdvar(&h), d * d, 1e-12);
}
