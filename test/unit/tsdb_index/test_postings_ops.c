#include "support/tst.h"

#include <stdlib.h>

#include "tsdb/index/index.h"

static uint64_t rng = 88172645463325252ull;

static uint32_t rnd(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng % below);
}

/* A set as a table of flags: the slow reference. */
#define SPACE 3000
struct flags {
	bool in[SPACE];
};

static struct postings random_set(struct arena *a, struct flags *f)
{
	uint32_t density = 1 + rnd(200), n = 0;
	uint32_t *ref = arena_alloc(a, SPACE * sizeof(*ref));

	memset(f, 0, sizeof(*f));
	for (uint32_t i = 0; i < SPACE; i++)
		if (rnd(density) == 0) {
			f->in[i] = true;
			ref[n++] = i;
		}
	return (struct postings){ ref, n };
}

static void expect_flags(struct postings p, const struct flags *f, const char *what)
{
	size_t k = 0;

	for (uint32_t i = 0; i < SPACE; i++) {
		if (!f->in[i])
			continue;
		cr_assert(k < p.n && p.ref[k] == i, "%s: %u is missing", what, i);
		k++;
	}
	cr_assert(k == p.n, "%s: %zu too many", what, p.n - k);
}

Test(postings_ops, intersection_and_difference_agree_with_flags)
{
	for (int round = 0; round < 200; round++) {
		struct arena a;
		struct flags fx, fy, fz, want;
		arena_init(&a, NULL);
		struct postings p[3] = { random_set(&a, &fx), random_set(&a, &fy),
					 random_set(&a, &fz) };
		for (int i = 0; i < SPACE; i++)
			want.in[i] = fx.in[i] && fy.in[i] && fz.in[i];
		expect_flags(postings_intersect(&a, p, 3), &want, "intersect");
		expect_flags(postings_intersect(&a, p, 1), &fx, "intersect of one");
		for (int i = 0; i < SPACE; i++)
			want.in[i] = fx.in[i] && !fy.in[i];
		expect_flags(postings_minus(&a, p[0], p[1]), &want, "minus");
		arena_deinit(&a);
	}
}

Test(postings_ops, union_of_few_and_of_many_agrees_with_flags)
{
	for (int round = 0; round < 60; round++) {
		struct arena a;
		struct flags f, want = { { 0 } };
		struct postings p[40];
		size_t k = rnd(40);
		arena_init(&a, NULL);
		for (size_t i = 0; i < k; i++) {
			p[i] = random_set(&a, &f);
			for (int j = 0; j < SPACE; j++)
				want.in[j] |= f.in[j];
		}
		expect_flags(postings_union(&a, p, k), &want, "union");
		arena_deinit(&a);
	}
}

Test(postings_ops, empty_sets_are_fine)
{
	struct arena a;
	uint32_t one = 7;
	struct postings none = { 0 }, x = { &one, 1 };
	struct postings both[2] = { x, none };

	arena_init(&a, NULL);
	cr_assert_eq(postings_intersect(&a, NULL, 0).n, 0);
	cr_assert_eq(postings_intersect(&a, both, 2).n, 0);
	cr_assert_eq(postings_union(&a, NULL, 0).n, 0);
	cr_assert_eq(postings_union(&a, both, 2).n, 1);
	cr_assert_eq(postings_minus(&a, none, x).n, 0);
	cr_assert_eq(postings_minus(&a, x, none).n, 1);
	arena_deinit(&a);
}
