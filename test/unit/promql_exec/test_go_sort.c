/*
 * Where sorting leaves equal elements, against what Go's sort.Sort (1.2x) did with the same numbers: FNV-1a over the order.
 */
#include <math.h>
#include <stdlib.h>

#include "promql/exec/go_sort.h"
#include "promql/exec/value_order.h"
#include "support/tst.h"

static const struct recorded {
	unsigned kind, n, values;
	uint32_t order;
} recorded[] = {
	{ 0, 2, 2, 0x4bb53254 },     { 0, 2, 5, 0x4bb53254 },
	{ 0, 2, 40, 0x4bb53254 },    { 0, 12, 2, 0xe9d083d5 },
	{ 0, 12, 5, 0x9e9ace45 },    { 0, 12, 40, 0xdea2d6d5 },
	{ 0, 13, 2, 0x052763b9 },    { 0, 13, 5, 0x0fa207a9 },
	{ 0, 13, 40, 0x777e3209 },   { 0, 20, 2, 0x1e3ef235 },
	{ 0, 20, 5, 0x864fc2f5 },    { 0, 20, 40, 0xbdd730c5 },
	{ 0, 49, 2, 0x2ac3fa45 },    { 0, 49, 5, 0xfa303485 },
	{ 0, 49, 40, 0x65e0a0b5 },   { 0, 50, 2, 0xfa621634 },
	{ 0, 50, 5, 0xc97ef8d4 },    { 0, 50, 40, 0x3d4ff724 },
	{ 0, 51, 2, 0x377ef316 },    { 0, 51, 5, 0x5aea3dc6 },
	{ 0, 51, 40, 0x7f59e406 },   { 0, 120, 2, 0xc9646215 },
	{ 0, 120, 5, 0x894b9955 },   { 0, 120, 40, 0x72132e75 },
	{ 0, 300, 2, 0x03477c75 },   { 0, 300, 5, 0x21ffae41 },
	{ 0, 300, 40, 0x9d20bbb9 },  { 0, 1000, 2, 0x99169f49 },
	{ 0, 1000, 5, 0x7ca301cd },  { 0, 1000, 40, 0x6754d9ed },
	{ 0, 5000, 2, 0x91b8c091 },  { 0, 5000, 5, 0x54833581 },
	{ 0, 5000, 40, 0x52e7b885 }, { 1, 2, 2, 0x4bb53254 },
	{ 1, 2, 5, 0x4bb53254 },     { 1, 2, 40, 0x4bb53254 },
	{ 1, 12, 2, 0x39571505 },    { 1, 12, 5, 0x39571505 },
	{ 1, 12, 40, 0x39571505 },   { 1, 13, 2, 0xaa819c99 },
	{ 1, 13, 5, 0xaa819c99 },    { 1, 13, 40, 0xaa819c99 },
	{ 1, 20, 2, 0xc8e8e825 },    { 1, 20, 5, 0xc8e8e825 },
	{ 1, 20, 40, 0xc8e8e825 },   { 1, 49, 2, 0x6ebf57c5 },
	{ 1, 49, 5, 0x6ebf57c5 },    { 1, 49, 40, 0x6ebf57c5 },
	{ 1, 50, 2, 0xcf49e334 },    { 1, 50, 5, 0xcf49e334 },
	{ 1, 50, 40, 0xcf49e334 },   { 1, 51, 2, 0xd7ce8d66 },
	{ 1, 51, 5, 0xd7ce8d66 },    { 1, 51, 40, 0xd7ce8d66 },
	{ 1, 120, 2, 0xfd473d85 },   { 1, 120, 5, 0xfd473d85 },
	{ 1, 120, 40, 0xfd473d85 },  { 1, 300, 2, 0x1e59ef91 },
	{ 1, 300, 5, 0x1e59ef91 },   { 1, 300, 40, 0x1e59ef91 },
	{ 1, 1000, 2, 0x8e15cb75 },  { 1, 1000, 5, 0x8e15cb75 },
	{ 1, 1000, 40, 0x8e15cb75 }, { 1, 5000, 2, 0xc36aa6b5 },
	{ 1, 5000, 5, 0xc36aa6b5 },  { 1, 5000, 40, 0xc36aa6b5 },
	{ 2, 2, 2, 0x3e801244 },     { 2, 2, 5, 0x3e801244 },
	{ 2, 2, 40, 0x3e801244 },    { 2, 12, 2, 0x71bf2105 },
	{ 2, 12, 5, 0x20067095 },    { 2, 12, 40, 0x4582eb05 },
	{ 2, 13, 2, 0xb090a799 },    { 2, 13, 5, 0xdda05039 },
	{ 2, 13, 40, 0xab66d499 },   { 2, 20, 2, 0xb1813ae5 },
	{ 2, 20, 5, 0xb4c60c55 },    { 2, 20, 40, 0x3afb2025 },
	{ 2, 49, 2, 0x02a2f125 },    { 2, 49, 5, 0x1f110ce5 },
	{ 2, 49, 40, 0xbf25c1f5 },   { 2, 50, 2, 0x50f41854 },
	{ 2, 50, 5, 0x46ea9f44 },    { 2, 50, 40, 0x622f1184 },
	{ 2, 51, 2, 0xd0b6fdd6 },    { 2, 51, 5, 0xe0a9f796 },
	{ 2, 51, 40, 0x100b91a6 },   { 2, 120, 2, 0x3ec13675 },
	{ 2, 120, 5, 0xba4f61e5 },   { 2, 120, 40, 0xb0503625 },
	{ 2, 300, 2, 0xa274dd81 },   { 2, 300, 5, 0xf3757b01 },
	{ 2, 300, 40, 0x3929f181 },  { 2, 1000, 2, 0xd13288d9 },
	{ 2, 1000, 5, 0x76389489 },  { 2, 1000, 40, 0xf5a316c5 },
	{ 2, 5000, 2, 0x347f2589 },  { 2, 5000, 5, 0xae6f0b15 },
	{ 2, 5000, 40, 0x7cddafbd }, { 3, 2, 2, 0x4bb53254 },
	{ 3, 2, 5, 0x4bb53254 },     { 3, 2, 40, 0x4bb53254 },
	{ 3, 12, 2, 0x39571505 },    { 3, 12, 5, 0xe39cedc5 },
	{ 3, 12, 40, 0x446f0595 },   { 3, 13, 2, 0xaa819c99 },
	{ 3, 13, 5, 0x82e23c69 },    { 3, 13, 40, 0xaa819c99 },
	{ 3, 20, 2, 0xda38ab55 },    { 3, 20, 5, 0xbdb5a295 },
	{ 3, 20, 40, 0xc8e8e825 },   { 3, 49, 2, 0x35fc2965 },
	{ 3, 49, 5, 0x923b2a95 },    { 3, 49, 40, 0x769f74d5 },
	{ 3, 50, 2, 0xcf49e334 },    { 3, 50, 5, 0x08b998f4 },
	{ 3, 50, 40, 0x2e3ca7c4 },   { 3, 51, 2, 0x028623d6 },
	{ 3, 51, 5, 0xd7ce8d66 },    { 3, 51, 40, 0xebcf6016 },
	{ 3, 120, 2, 0xa4494a35 },   { 3, 120, 5, 0xa3d34405 },
	{ 3, 120, 40, 0xeef39325 },  { 3, 300, 2, 0xa2366761 },
	{ 3, 300, 5, 0x0a53232d },   { 3, 300, 40, 0x307c90dd },
	{ 3, 1000, 2, 0x48908885 },  { 3, 1000, 5, 0x884058d5 },
	{ 3, 1000, 40, 0x9f15f9ad }, { 3, 5000, 2, 0x35c4ab81 },
	{ 3, 5000, 5, 0xdd82c025 },  { 3, 5000, 40, 0xce0e097d },
	{ 4, 2, 2, 0x4bb53254 },     { 4, 2, 5, 0x4bb53254 },
	{ 4, 2, 40, 0x4bb53254 },    { 4, 12, 2, 0x8989a895 },
	{ 4, 12, 5, 0xceb74995 },    { 4, 12, 40, 0x39571505 },
	{ 4, 13, 2, 0x439e1509 },    { 4, 13, 5, 0x56392239 },
	{ 4, 13, 40, 0xaa819c99 },   { 4, 20, 2, 0xe13ed6b5 },
	{ 4, 20, 5, 0x1073f9a5 },    { 4, 20, 40, 0xc8e8e825 },
	{ 4, 49, 2, 0x76bf0b05 },    { 4, 49, 5, 0xee443915 },
	{ 4, 49, 40, 0xafdeb865 },   { 4, 50, 2, 0x886d54d4 },
	{ 4, 50, 5, 0xaec7a764 },    { 4, 50, 40, 0x7e89e984 },
	{ 4, 51, 2, 0x81075056 },    { 4, 51, 5, 0x2ebdba26 },
	{ 4, 51, 40, 0x676aa1c6 },   { 4, 120, 2, 0x9fc43125 },
	{ 4, 120, 5, 0x10179885 },   { 4, 120, 40, 0x6840a0c5 },
	{ 4, 300, 2, 0x265f2b1d },   { 4, 300, 5, 0xe525b6f5 },
	{ 4, 300, 40, 0x4dfaf32d },  { 4, 1000, 2, 0xc3fe6c79 },
	{ 4, 1000, 5, 0xb9ee4e25 },  { 4, 1000, 40, 0x05ae1db5 },
	{ 4, 5000, 2, 0x1e8d5d8d },  { 4, 5000, 5, 0x0ee5b409 },
	{ 4, 5000, 40, 0x8dca45ad }, { 5, 2, 2, 0x4bb53254 },
	{ 5, 2, 5, 0x4bb53254 },     { 5, 2, 40, 0x4bb53254 },
	{ 5, 12, 2, 0x39571505 },    { 5, 12, 5, 0xb65e12f5 },
	{ 5, 12, 40, 0xa348e495 },   { 5, 13, 2, 0xaa819c99 },
	{ 5, 13, 5, 0x87a90619 },    { 5, 13, 40, 0x28ac3dc9 },
	{ 5, 20, 2, 0xc8e8e825 },    { 5, 20, 5, 0xf166c665 },
	{ 5, 20, 40, 0x4537f445 },   { 5, 49, 2, 0x6ebf57c5 },
	{ 5, 49, 5, 0x11a54c65 },    { 5, 49, 40, 0xb9180395 },
	{ 5, 50, 2, 0xcf49e334 },    { 5, 50, 5, 0xc9f41fb4 },
	{ 5, 50, 40, 0xbeb1ec84 },   { 5, 51, 2, 0xd7ce8d66 },
	{ 5, 51, 5, 0x3a422ad6 },    { 5, 51, 40, 0x4e1d38e6 },
	{ 5, 120, 2, 0xfd473d85 },   { 5, 120, 5, 0x4c487a55 },
	{ 5, 120, 40, 0x4734eb85 },  { 5, 300, 2, 0x1e59ef91 },
	{ 5, 300, 5, 0xea577751 },   { 5, 300, 40, 0x8252f73d },
	{ 5, 1000, 2, 0x8e15cb75 },  { 5, 1000, 5, 0xe53f4e9d },
	{ 5, 1000, 40, 0x15f379ed }, { 5, 5000, 2, 0xc36aa6b5 },
	{ 5, 5000, 5, 0xcba0e181 },  { 5, 5000, 40, 0xb220d6e1 },
};

/* Random, rising, falling, nearly rising, saw, pipe: with `m` different values. */
static void numbers(uint32_t *v, unsigned n, unsigned m, unsigned kind)
{
	uint32_t x = n * 31 + m;
	for (unsigned i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		uint32_t r = x >> 8, up = i * m / n, down = (n - 1 - i) * m / n;
		v[i] = (uint32_t[]){ r % m, up,
				     down,  r % 17 ? up : r % m,
				     i % m, i < n / 2 ? up : down }[kind];
	}
}

static bool before(void *arg, uint32_t a, uint32_t b)
{
	const uint32_t *v = arg;
	return v[a] < v[b];
}

Test(go_sort, leaves_equal_elements_where_go_does)
{
	static uint32_t v[5000], at[5000];
	for (size_t k = 0; k < ARRAY_LEN(recorded); k++) {
		const struct recorded *r = &recorded[k];
		uint32_t h = 2166136261u;
		numbers(v, r->n, r->values, r->kind);
		for (uint32_t i = 0; i < r->n; i++)
			at[i] = i;
		go_sort(at, r->n, before, v);
		for (uint32_t i = 0; i < r->n; i++)
			for (unsigned b = 0; b < 4; b++)
				h = (h ^ (at[i] >> (8 * b) & 255)) * 16777619u;
		cr_expect_eq(h, r->order, "kind %u, %u elements, %u values", r->kind,
			     r->n, r->values);
	}
}

/* A query that is over does not sort on. */
Test(value_order, sorting_ends_with_the_query)
{
	static struct ranked r[200000];
	struct ctx ctx;
	struct err e = ERR_INIT;
	ctx_init(&ctx, NULL, 0);
	for (uint32_t i = 0; i < ARRAY_LEN(r); i++)
		r[i] = (struct ranked){ (double)(i * 2654435761u), i };
	cr_assert_eq(ranked_sort(&ctx, r, ARRAY_LEN(r), false, &e), 0);
	cancel_now(ctx.cancel, "gone");
	for (uint32_t i = 0; i < ARRAY_LEN(r); i++)
		r[i] = (struct ranked){ (double)(i * 2654435761u), i };
	cr_assert_eq(ranked_sort(&ctx, r, ARRAY_LEN(r), false, &e), -1);
	cr_assert_eq(e.code, E_CANCELLED);
	ctx_deinit(&ctx);
}

/* An order that says of a NaN that it is before everything still puts it last when turned around. */
Test(value_order, nan_is_last_either_way)
{
	struct ranked r[40];
	for (unsigned high = 0; high < 2; high++) {
		for (uint32_t n = 1; n <= ARRAY_LEN(r); n++) {
			unsigned nans = 0, i = 0;
			for (uint32_t k = 0; k < n; k++) {
				r[k] = (struct ranked){ k % 3 == 1 ? NAN
								   : (double)(k * 7 % 5),
							k };
				nans += k % 3 == 1;
			}
			cr_assert_eq(ranked_sort(NULL, r, n, high, NULL), 0);
			for (; i + nans + 1 < n; i++)
				cr_assert(high ? r[i].v <= r[i + 1].v
					       : r[i].v >= r[i + 1].v);
			for (i = n - nans; i < n; i++)
				cr_assert(isnan(r[i].v));
		}
	}
}

/* The best k of many are those that a sort puts first, ties aside. */
Test(value_order, heap_keeps_the_best)
{
	for (unsigned high = 0; high < 2; high++) {
		struct ranked h[8], all[200];
		uint32_t n = 0, x = 7;
		for (uint32_t i = 0; i < ARRAY_LEN(all); i++) {
			x = x * 1664525 + 1013904223;
			all[i] = (struct ranked){ (double)(x >> 8), i };
			if (n < ARRAY_LEN(h)) {
				ranked_push(h, n++, all[i], high);
			} else if (high ? h[0].v > all[i].v : h[0].v < all[i].v) {
				h[0] = all[i];
				ranked_fix_top(h, n, high);
			}
		}
		cr_assert_eq(ranked_sort(NULL, all, ARRAY_LEN(all), high, NULL), 0);
		cr_assert_eq(ranked_sort(NULL, h, n, high, NULL), 0);
		for (uint32_t i = 0; i < n; i++)
			cr_assert_eq(h[i].row, all[i].row);
	}
}
