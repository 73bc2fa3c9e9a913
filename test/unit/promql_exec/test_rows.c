/*
 * Rows that an operator keeps: those of one value share its column.
 */
#include <math.h>

#include "promql/exec/exec_int.h"
#include "support/tst.h"

#define STEPS 1000

struct fix {
	struct ctx ctx;
	struct arena arena;
	struct promql_query q;
	struct exec x;
	struct map64 columns;
	struct err e;
};

static void setup(struct fix *f)
{
	*f = (struct fix){ .e = ERR_INIT };
	ctx_init(&f->ctx, NULL, 0);
	arena_init(&f->arena, NULL);
	f->x = (struct exec){ .ctx = &f->ctx, .q = &f->q, .arena = &f->arena };
	map64_init(&f->columns);
}

static void teardown(struct fix *f)
{
	map64_deinit(&f->columns);
	arena_deinit(&f->arena);
	ctx_deinit(&f->ctx);
}

static void hold(struct fix *f, const double *v, const uint64_t *bits, struct row *out)
{
	struct label l = { STR("pod"), STR("a") };
	struct row r = { .labels = { &l, 1, 0 },
			 .v = (double *)(uintptr_t)v,
			 .bits = (uint64_t *)(uintptr_t)bits,
			 .drop_name = true };
	cr_assert_eq(row_hold(&f->x, &f->columns, STEPS, &r, out, &f->e), 0);
	cr_assert(out->drop_name);
	cr_assert(labels_eq(out->labels, r.labels));
	cr_assert_eq(memcmp(out->bits, bits, BITS_WORDS(STEPS) * 8), 0);
	EACH_BIT(i, bits, STEPS)
	cr_assert_eq(f64_bits(out->v[i]), f64_bits(v[i]));
}

Test(rows, rows_of_one_value_share_a_column)
{
	struct fix f;
	struct row first, row;
	double v[STEPS];
	uint64_t bits[BITS_WORDS(STEPS)] = { 0 };
	setup(&f);
	for (uint32_t i = 0; i < STEPS; i++)
		v[i] = 1;
	bit_set(bits, 70);
	v[69] = 5; /* absent */
	hold(&f, v, bits, &first);
	bits_fill(bits, STEPS);
	bit_clear(bits, 69);
	size_t before = f.arena.total;
	for (int k = 0; k < 100; k++) {
		hold(&f, v, bits, &row);
		cr_assert_eq(row.v, first.v);
	}
	cr_assert_leq(f.arena.total - before, 100 * STEPS); /* of 8 bytes each */
	teardown(&f);
}

Test(rows, values_that_differ_anywhere_are_kept)
{
	const double odd[] = { 0, -1, NAN, INFINITY, 1 + 1e-15 };
	struct fix f;
	struct row row;
	double v[STEPS];
	uint64_t bits[BITS_WORDS(STEPS)] = { 0 };
	setup(&f);
	bits_fill(bits, STEPS);
	for (size_t k = 0; k < ARRAY_LEN(odd); k++)
		for (uint32_t at = 0; at < STEPS; at += 333) {
			for (uint32_t i = 0; i < STEPS; i++)
				v[i] = 1;
			v[at] = odd[k];
			hold(&f, v, bits, &row);
		}
	for (uint32_t i = 0; i < STEPS; i++)
		v[i] = i % 2 ? 0.0 : -0.0;
	hold(&f, v, bits, &row);
	for (uint32_t i = 0; i < STEPS; i++)
		v[i] = NAN;
	hold(&f, v, bits, &row);
	memset(bits, 0, sizeof(bits));
	hold(&f, v, bits, &row);
	teardown(&f);
}
