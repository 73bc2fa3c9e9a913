/*
 * Histograms that an aggregation holds: what they take, and that they are given back.
 */
#include "promql/exec/reduce_hist.h"
#include "support/tst.h"

enum { STEPS = 1440, BUCKETS = 24, SERIES = 5 };

struct fix {
	struct ctx ctx;
	struct budget budget;
	struct arena arena;
	struct promql_query q;
	struct exec x;
	struct expr inner, aggr;
	struct hist_reduce r;
	struct err e;
};

static void setup(struct fix *f, enum aggr_op op)
{
	*f = (struct fix){ .e = ERR_INIT };
	budget_init(&f->budget, NULL, "test", "--test", 0);
	ctx_init(&f->ctx, NULL, 0);
	f->ctx.budget = &f->budget;
	arena_init(&f->arena, &f->budget);
	f->x = (struct exec){ .ctx = &f->ctx, .q = &f->q, .arena = &f->arena };
	annos_init(&f->x.annos);
	f->inner.kind = EXPR_VECTOR;
	f->aggr.kind = EXPR_AGGR;
	f->aggr.aggr.op = op;
	f->aggr.aggr.e = &f->inner;
	hist_reduce_init(&f->r, &f->x, &f->aggr, STEPS);
}

static void teardown(struct fix *f)
{
	hist_reduce_deinit(&f->r);
	annos_deinit(&f->x.annos);
	arena_deinit(&f->arena);
	cr_assert_eq(budget_used(&f->budget), 0);
	ctx_deinit(&f->ctx);
	budget_deinit(&f->budget);
}

static void fold(struct fix *f, struct hist_slot **cells)
{
	double v[BUCKETS];
	struct hist h = { .pos_spans = &(struct hist_span){ -12, BUCKETS },
			  .n_pos_spans = 1,
			  .pos = v,
			  .n_pos = BUCKETS };
	for (uint32_t k = 0; k < SERIES; k++)
		for (uint32_t i = 0; i < STEPS; i++) {
			h.count = h.sum = (i + k) / 3.0;
			for (uint32_t b = 0; b < BUCKETS; b++)
				v[b] = (1 + b * i % 17) / (7.0 + k);
			cr_assert_eq(hist_reduce_add(&f->r, cells, i, &h,
						     (struct labels){ 0 }, false, &f->e),
				     0);
		}
}

/* They were 656 bytes a step and group, where buckets, count and sum are 27 numbers. */
Test(reduce_hist, a_step_of_a_group_takes_little_more_than_its_numbers)
{
	for (int op = 0; op < 2; op++) {
		struct fix f;
		struct hist_slot *cells = NULL;
		setup(&f, op ? AGG_AVG : AGG_SUM);
		fold(&f, &cells);
		cr_assert_leq(budget_used(&f.budget), STEPS * 400 + (192 << 10));
		uint64_t bits[BITS_WORDS(STEPS)] = { 0 };
		struct row row = { .bits = bits };
		struct arena out;
		arena_init(&out, &f.budget);
		hist_reduce_settle(&f.r, cells, bits);
		cr_assert_eq(hist_reduce_show(&f.r, cells, &out, &row, &f.e), 0);
		cr_assert_leq(budget_used(&f.budget), STEPS * 540 + (192 << 10));
		for (uint32_t i = 0; i < STEPS; i++)
			cr_assert_eq(row.h[i]->n_pos, BUCKETS);
		arena_deinit(&out);
		teardown(&f);
	}
}
