/*
 * Sums of histograms at rest: whatever is added, they are bit for bit those that an accumulator makes.
 */
#include <math.h>
#include <string.h>

#include "base/ctx.h"
#include "model/hist_slot.h"
#include "support/tst.h"

static uint64_t seed;

static uint64_t rnd(uint64_t n) /* 0..n-1 */
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

/* What the histograms of a run are like. */
#define LIKE_HOLES    1u /* empty buckets, and some left out */
#define LIKE_ZERO     2u /* zero buckets of several widths, reaching over buckets */
#define LIKE_SCHEMA   4u
#define LIKE_CUSTOM   8u  /* custom bounds, mostly */
#define LIKE_WILD     16u /* infinities, numbers that are none, and 1e300 beside 1e-300 */
#define LIKE_NEGATIVE 32u

struct made {
	struct hist h;
	struct hist_span spans[2][4];
	double v[2][32], bounds[32];
};

static double number(unsigned like)
{
	double v = (double)rnd(1000000) / 7;
	if (!(like & LIKE_WILD))
		return v;
	switch (rnd(12)) {
	case 0: return INFINITY;
	case 1: return NAN;
	case 2: return 1e300 * v;
	case 3: return 1e-300 * v;
	case 4: return 0;
	default: return v;
	}
}

static void make_side(struct made *m, int side, unsigned like, uint32_t limit)
{
	uint32_t n = 0, k = 0, spans = 1 + (uint32_t)rnd(2);
	uint32_t each = like & LIKE_HOLES ? 1 + (uint32_t)rnd(5) : 8;
	for (; k < spans && (k + 1) * (each + 2) < limit; k++) {
		m->spans[side][k] = (struct hist_span){ k ? 2 : (int32_t)rnd(2), each };
		for (uint32_t i = 0; i < each; i++)
			m->v[side][n++] =
				like & LIKE_HOLES && rnd(3) == 0 ? 0 : number(like);
	}
	if (side == 0) {
		m->h.pos_spans = m->spans[0];
		m->h.n_pos_spans = k;
		m->h.pos = m->v[0];
		m->h.n_pos = n;
	} else {
		m->h.neg_spans = m->spans[1];
		m->h.n_neg_spans = k;
		m->h.neg = m->v[1];
		m->h.n_neg = n;
	}
}

static void make(struct made *m, unsigned like)
{
	*m = (struct made){ .h = { .hint = (uint8_t)rnd(4),
				   .count = number(like),
				   .sum = number(like) } };
	if (like & LIKE_CUSTOM && rnd(8)) {
		m->h.schema = HIST_CUSTOM;
		m->h.n_bounds = 24 + (uint32_t)rnd(2);
		for (uint32_t i = 0; i < m->h.n_bounds; i++)
			m->bounds[i] = i + (i > 20 && rnd(4) == 0 ? 0.5 : 0);
		m->h.bounds = m->bounds;
		make_side(m, 0, like, 24);
		return;
	}
	m->h.schema = like & LIKE_SCHEMA ? (int32_t)rnd(3) : 0;
	m->h.zero_count = number(like);
	m->h.zero_threshold = like & LIKE_ZERO ? ldexp(1, (int)rnd(3) - 1) : 0.001;
	make_side(m, 0, like, 30);
	if (like & LIKE_NEGATIVE)
		make_side(m, 1, like, 30);
}

#define SLOTS 40
#define ADDED 12

struct shelf_fix {
	struct ctx ctx;
	struct budget budget;
	struct hist_shelf s;
	struct hist_slot slot[SLOTS];
	struct arena a;
	struct hist_work w;
	struct hist_acc acc[SLOTS];
	struct err e;
};

static void setup(struct shelf_fix *f)
{
	*f = (struct shelf_fix){ .e = ERR_INIT };
	budget_init(&f->budget, NULL, "test", "--test", 0);
	ctx_init(&f->ctx, NULL, 0);
	f->ctx.budget = &f->budget;
	hist_shelf_init(&f->s, &f->ctx);
	arena_init(&f->a, NULL);
	hist_work_init(&f->w, &f->a);
}

static void teardown(struct shelf_fix *f)
{
	hist_shelf_deinit(&f->s);
	cr_assert_eq(budget_used(&f->budget), 0);
	arena_deinit(&f->a);
	ctx_deinit(&f->ctx);
	budget_deinit(&f->budget);
}

static void add_one(struct shelf_fix *f, int k, bool first, unsigned like)
{
	struct made m;
	unsigned met = 0;
	make(&m, like);
	if (first) {
		hist_acc_init(&f->acc[k], &f->w);
		hist_acc_set(&f->acc[k], &m.h);
		cr_assert_eq(hist_slot_set(&f->s, &f->slot[k], &m.h, &f->e), 0);
		return;
	}
	unsigned want = hist_acc_add_compensated(&f->acc[k], &m.h);
	cr_assert_eq(hist_slot_add(&f->s, &f->slot[k], &m.h, &met, &f->e), 0);
	cr_assert_eq(met, want);
}

static void check_end(struct shelf_fix *f, int k)
{
	struct hist got;
	hist_acc_fold(&f->acc[k]);
	const struct hist *want = hist_acc_take(&f->acc[k], true);
	cr_assert_eq(hist_slot_end(&f->s, &f->slot[k], &got, &f->e), 0);
	cr_assert_eq(got.hint, want->hint);
	cr_assert_eq(got.n_pos_spans, want->n_pos_spans);
	cr_assert_eq(got.n_neg_spans, want->n_neg_spans);
	cr_assert(hist_eq(&got, want), "slot %d", k);
}

Test(hist_slot, sums_are_those_of_an_accumulator)
{
	for (unsigned like = 0; like < 64; like++) {
		struct shelf_fix f;
		seed = like;
		setup(&f);
		for (int i = 0; i < ADDED; i++)
			for (int k = 0; k < SLOTS; k++)
				if (k % 4 || i < 1 + k / 4) /* some get few */
					add_one(&f, k, i == 0, like);
		for (int k = 0; k < SLOTS; k++)
			check_end(&f, k);
		teardown(&f);
	}
}

Test(hist_slot, loads_what_was_saved)
{
	for (unsigned like = 0; like < 64; like++) {
		struct shelf_fix f;
		seed = 1000 + like;
		setup(&f);
		for (int i = 0; i < ADDED; i++)
			for (int k = 0; k < SLOTS; k++) {
				add_one(&f, k, i == 0, like);
				if (rnd(3))
					continue;
				cr_assert_eq(hist_slot_load(&f.s, &f.slot[k], &f.e), 0);
				hist_acc_div(&f.s.acc, 3);
				cr_assert_eq(hist_slot_save(&f.s, &f.slot[k], &f.e), 0);
				hist_acc_div(&f.acc[k], 3);
			}
		for (int k = 0; k < SLOTS; k++)
			check_end(&f, k);
		teardown(&f);
	}
}

/* A sum whose losses no float holds: 1e16 + 1 loses 1, and 1e-30 more. */
Test(hist_slot, losses_that_are_no_floats_are_kept)
{
	struct shelf_fix f;
	setup(&f);
	const double values[] = { 1e16, 1, 1e-30, 3, 1e-30, -1e16, -4 };
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		struct hist h = { .count = values[i],
				  .sum = values[i],
				  .pos_spans = &(struct hist_span){ 3, 1 },
				  .n_pos_spans = 1,
				  .pos = &values[i],
				  .n_pos = 1 };
		unsigned met;
		cr_assert_eq(i ? hist_slot_add(&f.s, f.slot, &h, &met, &f.e)
			       : hist_slot_set(&f.s, f.slot, &h, &f.e),
			     0);
	}
	cr_assert(f.slot->wide);
	struct hist got;
	cr_assert_eq(hist_slot_end(&f.s, f.slot, &got, &f.e), 0);
	cr_assert_eq(got.n_pos, 1);
	cr_assert(got.pos[0] > 0 && got.pos[0] < 1e-29, "%g", got.pos[0]);
	teardown(&f);
}

/* Sums of many histograms of one layout take a double and a float a number; those of one histogram each, the double. */
Test(hist_slot, take_twelve_bytes_a_number)
{
	enum { N = 1440, BUCKETS = 24 };
	struct shelf_fix f;
	setup(&f);
	struct hist_slot *slots = xcalloc(N, sizeof(*slots));
	double v[BUCKETS];
	struct hist h = { .count = 1.1,
			  .sum = 0.7,
			  .pos_spans = &(struct hist_span){ -12, BUCKETS },
			  .n_pos_spans = 1,
			  .pos = v,
			  .n_pos = BUCKETS };
	for (int i = 0; i < ADDED; i++) {
		for (int k = 0; k < N; k++) {
			unsigned met;
			for (int b = 0; b < BUCKETS; b++)
				v[b] = (1 + b * k % 17) / (7.0 + i);
			cr_assert_eq(i ? hist_slot_add(&f.s, &slots[k], &h, &met, &f.e)
				       : hist_slot_set(&f.s, &slots[k], &h, &f.e),
				     0);
		}
		size_t most = N * (BUCKETS + 3 + 1) * (size_t)(i ? 12 : 8) + (192 << 10);
		cr_assert_leq(budget_used(&f.budget), most);
	}
	free(slots);
	teardown(&f);
}
