/*
 * Range functions over native histograms: windows that slide against windows added up anew, bit for bit; and what is looked for
 * once a series against what is looked for in each window.
 */
#include <math.h>

#include "promql/exec/fn_hist.h"
#include "support/tst.h"

#define SAMPLES 120
#define STEPS	80
#define BUCKETS 6

static uint64_t state = 88172645463325252ull;
static uint64_t rnd(uint64_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

struct data {
	struct hist h[SAMPLES];
	struct hist_span pos[SAMPLES], neg[SAMPLES];
	double v[SAMPLES][2 * BUCKETS], floats[SAMPLES];
	const struct hist *col[SAMPLES];
	int64_t t[SAMPLES];
};

/* Integer histograms that grow, begin anew, and change their layout now and then. */
static struct series_cols series(struct data *d, bool big, bool mixed)
{
	size_t n = rnd(SAMPLES) + 1;
	int32_t offset = 0, schema = 1;
	double zero = 0;
	uint8_t hint = rnd(4) == 0 ? HIST_GAUGE : HIST_UNKNOWN;
	for (size_t k = 0; k < n; k++) {
		struct hist *h = &d->h[k];
		bool anew = k == 0 || rnd(15) == 0;
		if (rnd(25) == 0) {
			offset = (int32_t)rnd(4) - 2;
			schema = (int32_t)rnd(3);
			zero = rnd(2) ? 0.001 : 1;
			anew = true;
		}
		d->t[k] = 15000 * (int64_t)k + (int64_t)rnd(3);
		d->pos[k] = d->neg[k] = (struct hist_span){ offset, BUCKETS };
		*h = (struct hist){ .schema = schema,
				    .is_int = true,
				    .hint = anew && hint != HIST_GAUGE ? HIST_UNKNOWN
					    : hint == HIST_GAUGE       ? HIST_GAUGE
								       : HIST_NOT_RESET,
				    .zero_threshold = zero,
				    .sum = (double)rnd(1000) / 7,
				    .pos_spans = &d->pos[k],
				    .neg_spans = &d->neg[k],
				    .n_pos_spans = 1,
				    .n_neg_spans = 1,
				    .pos = d->v[k],
				    .neg = d->v[k] + BUCKETS,
				    .n_pos = BUCKETS,
				    .n_neg = BUCKETS };
		h->zero_count = (double)rnd(3) + (anew ? 0 : d->h[k - 1].zero_count);
		h->count = h->zero_count;
		for (size_t i = 0; i < 2 * BUCKETS; i++) {
			double more =
				big ? ldexp((double)rnd(1u << 20), 33) : (double)rnd(4);
			d->v[k][i] = more + (anew ? 0 : d->v[k - 1][i]);
			h->count += d->v[k][i];
		}
		d->col[k] = h;
		d->floats[k] = (double)rnd(10);
		if (mixed && rnd(10) == 0)
			d->col[k] = NULL;
	}
	return (struct series_cols){ .t_ms = d->t, .v = d->floats, .h = d->col, .n = n };
}

struct answer {
	double v[STEPS];
	const struct hist *h[STEPS];
	uint64_t bits[BITS_WORDS(STEPS)];
};

static const char query[] = "f(x[1m])";

static void run(const struct range_call *c, const struct series_cols *s, enum fn_id fn,
		struct arena *a, struct answer *out)
{
	struct promql_query q = { .text = STR(query) };
	struct notes *notes = notes_new();
	struct ctx ctx = { .notes = notes };
	struct exec x = { .ctx = &ctx, .q = &q, .arena = a };
	struct err e = ERR_INIT;
	struct range_env env = { .x = &x, .arena = a, .metric = STR("x"), .e = &e };
	struct row row = { .v = out->v, .h = out->h, .bits = out->bits };
	memset(out, 0, sizeof(*out));
	annos_init(&x.annos);
	cr_assert_eq(range_fn_of(fn)->eval(c, s, &env, &row), 0, "%s", err_text(&e));
	annos_deinit(&x.annos);
	notes_free(notes);
}

static void same_answers(const struct range_call *c, const struct answer *a,
			 const struct answer *b)
{
	for (uint32_t i = 0; i < c->grid.n; i++) {
		cr_assert_eq(bit_get(a->bits, i), bit_get(b->bits, i), "step %u", i);
		if (!bit_get(a->bits, i))
			continue;
		cr_assert_eq(!a->h[i], !b->h[i], "step %u", i);
		if (!a->h[i]) {
			cr_assert_eq(f64_bits(a->v[i]), f64_bits(b->v[i]));
			continue;
		}
		cr_assert(hist_eq(a->h[i], b->h[i]), "step %u", i);
		cr_assert_eq(a->h[i]->hint, b->h[i]->hint, "step %u", i);
	}
}

static struct range_call random_call(struct expr *call, struct expr **args)
{
	static struct expr sel = { .kind = EXPR_MATRIX, .type = TYPE_MATRIX };
	args[0] = &sel;
	*call = (struct expr){ .kind = EXPR_CALL, .type = TYPE_VECTOR };
	call->call.arg = args;
	call->call.n = 1;
	return (struct range_call){
		.grid = { (int64_t)rnd(60000),
			  (int64_t[]){ 60000, 15000, 1000, 200000 }[rnd(4)],
			  (uint32_t)rnd(STEPS) + 1 },
		.call = call,
		.at = &sel,
		.range_ms = (int64_t[]){ 300000, 31000, 61000, 15000 }[rnd(4)],
	};
}

Test(hist_range, sliding_sums_have_the_bits_of_sums_made_anew)
{
	static struct data d;
	static struct answer slid, anew;
	for (unsigned round = 0; round < 400; round++) {
		struct arena a;
		struct expr call, *args[1];
		struct series_cols s = series(&d, round % 5 == 4, round % 3 == 2);
		struct range_call c = random_call(&call, args);
		for (int k = 0; k < 2; k++) {
			call.call.fn = k ? FN_ID_avg_over_time : FN_ID_sum_over_time;
			arena_init(&a, NULL);
			for (size_t i = 0; i < s.n; i++)
				d.h[i].is_int = true;
			run(&c, &s, call.call.fn, &a, &slid);
			for (size_t i = 0; i < s.n; i++)
				d.h[i].is_int =
					false; /* what is not known to be whole does not slide */
			run(&c, &s, call.call.fn, &a, &anew);
			same_answers(&c, &slid, &anew);
			arena_deinit(&a);
		}
	}
}

/* One window alone, as a series of its own. */
static void run_alone(const struct range_call *c, const struct series_cols *s, uint32_t i,
		      enum fn_id fn, struct arena *a, struct answer *out)
{
	struct range_call one = *c;
	struct series_cols part = *s;
	int64_t ref = range_ref(c, i);
	size_t lo = 0, hi = 0;
	while (lo < s->n && s->t_ms[lo] <= ref - c->range_ms)
		lo++;
	for (hi = lo; hi < s->n && s->t_ms[hi] <= ref;)
		hi++;
	one.grid = (struct grid){ grid_at(c->grid, i), c->grid.step_ms, 1 };
	part.t_ms += lo;
	part.v += lo;
	part.h += lo;
	part.n = hi - lo;
	run(&one, &part, fn, a, out);
}

Test(hist_range, windows_do_not_depend_on_what_is_around_them)
{
	static const enum fn_id fns[] = { FN_ID_rate,	 FN_ID_increase,     FN_ID_delta,
					  FN_ID_irate,	 FN_ID_idelta,	     FN_ID_resets,
					  FN_ID_changes, FN_ID_sum_over_time };
	static struct data d;
	static struct answer all, one;
	for (unsigned round = 0; round < 200; round++) {
		struct arena a;
		struct expr call, *args[1];
		struct series_cols s = series(&d, false, round % 3 == 2);
		struct range_call c = random_call(&call, args);
		call.call.fn = fns[round % ARRAY_LEN(fns)];
		arena_init(&a, NULL);
		run(&c, &s, call.call.fn, &a, &all);
		for (uint32_t i = 0; i < c.grid.n; i++) {
			run_alone(&c, &s, i, call.call.fn, &a, &one);
			cr_assert_eq(bit_get(all.bits, i), bit_get(one.bits, 0),
				     "%s, step %u", fn_sigs[call.call.fn].name, i);
			if (!bit_get(all.bits, i))
				continue;
			if (all.h[i])
				cr_assert(one.h[0] && hist_eq(all.h[i], one.h[0]),
					  "%s, step %u", fn_sigs[call.call.fn].name, i);
			else
				cr_assert(!one.h[0] && all.v[i] == one.v[0]);
		}
		arena_deinit(&a);
	}
}

/* A gauge behind all windows makes that no window is taken for one of a counter that only grew: each goes through the accumulator. */
Test(hist_range, plain_windows_have_the_bits_of_the_accumulator)
{
	static struct data d;
	static struct answer plain, long_way;
	size_t shown = 0;
	for (unsigned round = 0; round < 400; round++) {
		struct arena a;
		struct expr call, *args[1];
		struct series_cols s = series(&d, round % 5 == 4, round % 7 == 6);
		struct range_call c = random_call(&call, args);
		call.call.fn = round % 2 ? FN_ID_rate : FN_ID_increase;
		if (s.n == SAMPLES)
			continue;
		arena_init(&a, NULL);
		run(&c, &s, call.call.fn, &a, &plain);
		d.h[s.n] = (struct hist){ .hint = HIST_GAUGE };
		d.col[s.n] = &d.h[s.n];
		d.t[s.n++] = INT64_MAX / 2;
		run(&c, &s, call.call.fn, &a, &long_way);
		same_answers(&c, &plain, &long_way);
		for (uint32_t i = 0; i < c.grid.n; i++)
			if (bit_get(plain.bits, i) && plain.h[i]) {
				shown++;
				cr_assert_eq(plain.h[i]->n_pos_spans,
					     long_way.h[i]->n_pos_spans);
				cr_assert_eq(plain.h[i]->n_neg_spans,
					     long_way.h[i]->n_neg_spans);
			}
		arena_deinit(&a);
	}
	cr_assert_gt(shown, 1000);
}
