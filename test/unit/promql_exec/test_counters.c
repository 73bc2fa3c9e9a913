/*
 * Counters whose windows reach beyond the range, or whose samples say when they started, against plain formulas that
 * look at each window anew; and Thanos' extended functions by hand.
 */
#include <math.h>
#include <stdio.h>

#include "promql/exec/extended.h"
#include "promql/exec/start_time.h"
#include "series.h"
#include "support/tst.h"

#define NOTHING (-1e300)

struct window_of {
	double v[SERIES_MAX];
	int64_t t[SERIES_MAX], st[SERIES_MAX];
	size_t n;
};

static void take(const struct series_cols *s, int64_t from, int64_t to,
		 struct window_of *w)
{
	w->n = 0;
	for (size_t k = 0; k < s->n; k++)
		if (s->t_ms[k] > from && s->t_ms[k] <= to) {
			w->st[w->n] = s->st_ms ? s->st_ms[k] : 0;
			w->t[w->n] = s->t_ms[k];
			w->v[w->n++] = s->v[k];
		}
}

/* ---- start timestamps ---- */

static bool anew(const struct window_of *w, size_t k)
{
	int64_t st = w->st[k], t = w->t[k], before = w->t[k - 1],
		st_before = w->st[k - 1];
	if (st == 0 || st >= t)
		return false;
	if (st == before)
		return st_before != 0 && st_before < before;
	return st > before;
}

static double plain_started(const struct range_call *c, const struct window_of *w,
			    int64_t ref, bool per_second)
{
	int64_t from = ref - c->range_ms;
	if (w->n == 0)
		return NOTHING;
	size_t last = w->n - 1;
	double diff = w->v[last] - w->v[0];
	for (size_t k = 1; k < w->n; k++)
		if (w->v[k] < w->v[k - 1] || anew(w, k))
			diff += w->v[k - 1];
	double start = (double)(w->t[0] - from) / 1000,
	       end = (double)(ref - w->t[last]) / 1000;
	double sampled = (double)(w->t[last] - w->t[0]) / 1000;
	double avg = last ? sampled / (double)last : 0;
	if (w->st[0] != 0 && w->st[0] > from && w->st[0] < w->t[0]) {
		start = 0;
		sampled = (double)(w->t[last] - w->st[0]) / 1000;
		diff += w->v[0];
	} else if (last == 0) {
		return NOTHING;
	} else {
		if (start >= avg * 1.1)
			start = avg / 2;
		if (diff > 0 && w->v[0] >= 0 && sampled * (w->v[0] / diff) < start)
			start = sampled * (w->v[0] / diff);
	}
	if (end >= avg * 1.1)
		end = avg / 2;
	double factor = sampled != 0 ? (sampled + start + end) / sampled : 1;
	if (per_second)
		factor /= (double)c->range_ms / 1000;
	return diff * factor;
}

static double plain_resets(const struct window_of *w)
{
	double n = 0;
	for (size_t k = 1; k < w->n; k++)
		n += w->v[k] < w->v[k - 1] || anew(w, k);
	return w->n ? n : NOTHING;
}

static double plain_irate(const struct window_of *w)
{
	if (w->n < 2)
		return NOTHING;
	size_t k = w->n - 1;
	double v = w->v[k] < w->v[k - 1] || anew(w, k) ? w->v[k] : w->v[k] - w->v[k - 1];
	return v / ((double)(w->t[k] - w->t[k - 1]) / 1000);
}

static void expect(const struct answer *a, uint32_t i, double want, const char *what)
{
	cr_assert_eq(bit_get(a->bits, i), want != NOTHING, "%s: step %u", what, i);
	if (want != NOTHING)
		cr_assert(same_bits(a->v[i], want), "%s: step %u: %a, not %a", what, i,
			  a->v[i], want);
}

Test(starts, equal_the_plain_formula)
{
	static struct rand_series s;
	static struct answer rate, increase, resets, irate;
	static struct window_of w;
	series_seed(11);
	for (unsigned round = 0; round < 300; round++) {
		series_make(&s,
			    SERIES_STARTS | (round % 2 ? SERIES_FALLS : SERIES_SMALL));
		struct range_call c = call_make();
		cr_assert_eq(answer_of(&rate, &c, &s.cols, FN_ID_rate, NULL), 0);
		cr_assert_eq(answer_of(&increase, &c, &s.cols, FN_ID_increase, NULL), 0);
		cr_assert_eq(answer_of(&resets, &c, &s.cols, FN_ID_resets, NULL), 0);
		cr_assert_eq(answer_of(&irate, &c, &s.cols, FN_ID_irate, NULL), 0);
		for (uint32_t i = 0; i < c.grid.n; i++) {
			int64_t ref = range_ref(&c, i);
			take(&s.cols, ref - c.range_ms, ref, &w);
			expect(&rate, i, plain_started(&c, &w, ref, true), "rate");
			expect(&increase, i, plain_started(&c, &w, ref, false),
			       "increase");
			expect(&resets, i, plain_resets(&w), "resets");
			expect(&irate, i, plain_irate(&w), "irate");
		}
		answer_free(&rate);
		answer_free(&increase);
		answer_free(&resets);
		answer_free(&irate);
	}
}

Test(starts, overlaps_are_counted_a_metric)
{
	struct ctx ctx;
	struct notes_view v;
	struct arena a;
	struct promql_query q = { .text = STR("rate(x[1m])") };
	struct expr at = { .pos = 5 };
	struct range_call c = { .at = &at };
	arena_init(&a, NULL);
	ctx_init(&ctx, NULL, 0);
	struct exec x = { .ctx = &ctx, .q = &q, .arena = &a };
	annos_init(&x.annos);
	struct range_env y = { .x = &x, .metric = STR("y") },
			 z = { .x = &x, .metric = STR("z") };
	cr_assert_eq(start_overlap_note(&c, &z, 1), 0);
	cr_assert_eq(start_overlap_note(&c, &y, 2), 0);
	cr_assert_eq(start_overlap_note(&c, &y, 5), 0);
	start_overlaps_say(&x);
	annos_tell(&x);
	annos_deinit(&x.annos);
	notes_view(ctx.notes, &a, &v);
	cr_assert_eq(v.n_warnings, 2);
	cr_assert(str_eq(v.warnings[0],
			 STR("PromQL warning: sample has start time that overlaps with "
			     "previous sample timestamp for metric \"y\" (7 occurrences) "
			     "(1:6)")));
	cr_assert(str_eq(v.warnings[1],
			 STR("PromQL warning: sample has start time that overlaps with "
			     "previous sample timestamp for metric \"z\" (1:6)")));
	ctx_deinit(&ctx);
	arena_deinit(&a);
}

/* ---- anchored and smoothed ---- */

static double on_line(const struct window_of *w, size_t k, int64_t t, bool counter)
{
	double a = w->v[k], b = w->v[k + 1];
	if (counter && b < a)
		a = 0;
	return a + (b - a) * (double)(t - w->t[k]) / (double)(w->t[k + 1] - w->t[k]);
}

/* The whole window with both ends is written down, then added up. */
static double plain_extended(const struct window_of *w, int64_t from, int64_t to,
			     bool smoothed, bool counter, double seconds)
{
	double ends[SERIES_MAX + 2];
	size_t n = 1, first = 0, last = w->n;
	if (w->n == 0)
		return NOTHING;
	last = w->n - 1;
	for (size_t k = 0; k < last && w->t[k] <= from; k++)
		first = k;
	if (smoothed)
		for (size_t k = w->n - 1; k-- > 0;)
			if (w->t[k] >= to)
				last = k;
	if (w->t[last] <= from || (smoothed && w->t[first] > to))
		return NOTHING;
	ends[0] = w->v[first];
	double right = w->v[last];
	if (smoothed && w->t[first] < from)
		ends[0] = on_line(w, first, from, counter);
	if (smoothed && last > 0 && w->t[last] > to)
		right = on_line(w, last - 1, to, counter);
	for (size_t k = first; k <= last; k++)
		if (w->t[k] > from && w->t[k] < to)
			ends[n++] = w->v[k];
	ends[n++] = right;
	double fallen = 0;
	for (size_t k = 1; counter && k < n; k++)
		if (ends[k] < ends[k - 1])
			fallen += ends[k - 1];
	return (right - ends[0] + fallen) / seconds;
}

static void check_extended(const struct range_call *c, const struct series_cols *s,
			   enum fn_id fn, bool counter, bool per_second)
{
	static struct answer a;
	static struct window_of w;
	struct err e = ERR_INIT;
	struct select_node sel = { .anchored = c->anchored, .smoothed = c->smoothed };
	const struct range_fn *f = range_fn_extended(NULL, fn, &sel, &e);
	cr_assert_not_null(f);
	cr_assert_eq(answer_of(&a, c, s, fn, f->eval), 0);
	for (uint32_t i = 0; i < c->grid.n; i++) {
		int64_t to = range_ref(c, i), from = to - c->range_ms;
		take(s, from - c->look_ms, c->smoothed ? to + c->look_ms : to, &w);
		expect(&a, i,
		       plain_extended(&w, from, to, c->smoothed, counter,
				      per_second ? (double)c->range_ms / 1000 : 1),
		       fn_sigs[fn].name);
	}
	answer_free(&a);
}

/* From the newest sample at or before the start on; something must lie behind the start. */
static void check_events(const struct range_call *c, const struct series_cols *s)
{
	static struct answer changes, resets;
	static struct window_of w;
	cr_assert_eq(answer_of(&changes, c, s, FN_ID_changes, NULL), 0);
	cr_assert_eq(answer_of(&resets, c, s, FN_ID_resets, NULL), 0);
	for (uint32_t i = 0; i < c->grid.n; i++) {
		int64_t to = range_ref(c, i), from = to - c->range_ms;
		double n = 0, fell = 0;
		size_t anchor = 0;
		take(s, from - c->look_ms, to, &w);
		for (size_t k = 0; k < w.n; k++)
			if (w.t[k] <= from)
				anchor = k;
		for (size_t k = anchor + 1; k < w.n; k++) {
			n += w.v[k] != w.v[k - 1] &&
			     !(isnan(w.v[k]) && isnan(w.v[k - 1]));
			fell += w.v[k] < w.v[k - 1];
		}
		bool any = w.n && w.t[w.n - 1] > from;
		expect(&changes, i, any ? n : NOTHING, "changes");
		expect(&resets, i, any ? fell : NOTHING, "resets");
	}
	answer_free(&changes);
	answer_free(&resets);
}

Test(extended, equals_the_plain_formula)
{
	static struct rand_series s;
	series_seed(12);
	for (unsigned round = 0; round < 300; round++) {
		series_make(&s, round % 3 ? SERIES_FALLS : SERIES_NAN);
		struct range_call c = call_make();
		c.anchored = round % 2;
		c.smoothed = !c.anchored;
		check_extended(&c, &s.cols, FN_ID_rate, true, true);
		check_extended(&c, &s.cols, FN_ID_increase, true, false);
		check_extended(&c, &s.cols, FN_ID_delta, false, false);
		if (c.anchored)
			check_events(&c, &s.cols);
	}
}

Test(extended, instant_selectors_are_smoothed_between_samples)
{
	static struct rand_series s;
	static struct answer a;
	static struct window_of w;
	series_seed(13);
	for (unsigned round = 0; round < 200; round++) {
		series_make(&s, round % 2 ? SERIES_FALLS : SERIES_NAN);
		struct range_call c = call_make();
		c.smoothed = true;
		cr_assert_eq(answer_of(&a, &c, &s.cols, FN_ID_rate, smooth_row), 0);
		for (uint32_t i = 0; i < c.grid.n; i++) {
			int64_t t = range_ref(&c, i);
			double want = NOTHING;
			take(&s.cols, t - c.look_ms, t + c.look_ms, &w);
			for (size_t k = 0; k < w.n; k++) {
				if (w.t[k] == t)
					want = w.v[k];
				else if (w.t[k] < t)
					want = k + 1 < w.n && w.t[k + 1] != t
						       ? on_line(&w, k, t, false)
						       : w.v[k];
			}
			expect(&a, i, want, "smoothed");
		}
		answer_free(&a);
	}
}

Test(extended, other_functions_refuse_the_modifiers)
{
	struct ctx ctx;
	struct exec x = { .ctx = &ctx };
	struct err e = ERR_INIT;
	ctx_init(&ctx, NULL, 0);
	cr_assert_null(range_fn_extended(&x, FN_ID_sum_over_time,
					 &(struct select_node){ .anchored = true }, &e));
	cr_assert_str_eq(err_text(&e),
			 "anchored modifier can only be used with: changes, delta, "
			 "increase, rate, resets - not with sum_over_time");
	cr_assert_null(range_fn_extended(&x, FN_ID_changes,
					 &(struct select_node){ .smoothed = true }, &e));
	cr_assert_str_eq(err_text(&e), "smoothed modifier can only be used with: delta, "
				       "increase, rate - not with changes");
	ctx_deinit(&ctx);
}

/* ---- xrate, xincrease, xdelta ---- */

static double one(enum fn_id fn, const struct series_cols *s, int64_t at, int64_t range)
{
	static struct answer a;
	struct range_call c = { .grid = { at, 1000, 1 },
				.range_ms = range,
				.look_ms = 3600000 };
	cr_assert_eq(answer_of(&a, &c, s, fn, NULL), 0);
	double v = bit_get(a.bits, 0) ? a.v[0] : NOTHING;
	answer_free(&a);
	return v;
}

Test(x_functions, count_from_the_sample_before_the_range)
{
	int64_t t[] = { 0, 15000, 30000, 45000, 60000, 75000 };
	double v[] = { 5, 10, 15, 20, 2, 7 };
	struct series_cols s = { .t_ms = t, .v = v, .n = 6 };
	/* (15 s, 45 s] and the sample at 15 s: 10 to 20 */
	cr_assert_eq(one(FN_ID_xincrease, &s, 45000, 30000), 10);
	cr_assert_eq(one(FN_ID_xdelta, &s, 45000, 30000), 10);
	cr_assert_eq(one(FN_ID_xrate, &s, 45000, 30000), 10.0 / 30);
	/* a restart at 60 s: 15 to 20, then 0 to 7 */
	cr_assert_eq(one(FN_ID_xincrease, &s, 75000, 45000), 12);
	cr_assert_eq(one(FN_ID_xdelta, &s, 75000, 45000), -8);
	/* samples cover (29 s, 59 s] from 15 s to 45 s only: scaled to what the range is */
	cr_assert_eq(one(FN_ID_xdelta, &s, 59000, 30000), 10);
	/* nothing inside, but one within the hour */
	cr_assert_eq(one(FN_ID_xdelta, &s, 200000, 60000), 0);
	cr_assert_eq(one(FN_ID_xdelta, &s, 75000 + 60000 + 3599999, 60000), 0);
	cr_assert_eq(one(FN_ID_xdelta, &s, 75000 + 60000 + 3600000, 60000), NOTHING);
}

Test(x_functions, a_new_series_has_risen_from_zero)
{
	int64_t t[] = { 600000, 615000, 630000 };
	double v[] = { 7, 7, 7 };
	struct series_cols s = { .t_ms = t, .v = v, .n = 3 };
	cr_assert_eq(one(FN_ID_xincrease, &s, 600000, 60000), 7);
	cr_assert_eq(one(FN_ID_xincrease, &s, 660000, 60000), 7);
	cr_assert_eq(one(FN_ID_xincrease, &s, 660001, 60000), 0);
	cr_assert_eq(one(FN_ID_xrate, &s, 630000, 60000), 0);
}
