/* The planner as tables: blocks by hours, what becomes one. */
#include <stdio.h>
#include <stdlib.h>

#include "compactor/plan.h"
#include "support/tst.h"

#define HOUR_MS ((int64_t)3600000)

/* Blocks as "from..to" in hours; x: excluded, f: failed, tN: N tombstones of 100 series. */
static const struct {
	const char *what, *blocks;
	const char
		*want; /* plans: block numbers; "|" between them, Thanos' choice first */
	size_t n_ranges;
} cases[] = {
	{ "nothing", "", "", 5 },
	{ "one block", "0..2", "", 5 },
	{ "four blocks are no window yet: the newest stays out", "0..2 2..4 4..6 6..8",
	  "", 5 },
	{ "a full window, and one newer block", "0..2 2..4 4..6 6..8 8..10", "0 1 2 3",
	  5 },
	{ "a window with a gap waits for what stands behind it", "0..2 2..4 8..10", "",
	  5 },
	{ "a window with a gap, and two blocks behind it", "0..2 2..4 8..10 10..12",
	  "0 1", 5 },
	{ "a window that spans its range with a gap in it", "0..2 6..8 8..10", "0 1", 5 },
	{ "two windows at once, the older first", "0..2 2..8 8..10 10..16 16..18 18..20",
	  "0 1|2 3", 5 },
	{ "small ranges before large ones",
	  "0..8 8..16 16..24 24..32 32..40 40..42 42..48 48..50", "5 6", 5 },
	{ "then the large one", "0..8 8..16 16..24 24..32 32..40 40..48 48..50",
	  "0 1 2 3 4 5", 5 },
	{ "blocks of an hour become two", "0..1 1..2 2..3 3..4 4..5", "0 1|2 3", 5 },
	{ "the highest level is not passed",
	  "0..8 8..16 16..24 24..32 32..40 40..48 48..50", "", 3 },
	{ "the newest block may be old and large", "0..48 48..96", "", 5 },
	{ "two weeks",
	  "0..48 48..96 96..144 144..192 192..240 240..288 288..336 336..338",
	  "0 1 2 3 4 5 6", 5 },
	{ "a block across the border of its window is left where it is",
	  "0..2 6..10 10..12 12..16 16..18 18..20", "2 3", 5 },
	{ "a failed block keeps its window from becoming one",
	  "0..2 2..4f 4..6 6..8 8..10", "", 5 },
	{ "an excluded block splits its window", "0..2 2..4 4..6x 6..8 8..10", "0 1", 5 },
	{ "the parts on both sides of it", "0..1 1..2 2..4x 4..6 6..8 8..10", "0 1", 5 },
	{ "both sides in one range", "0..2 2..3 3..4x 4..6 6..8 8..10", "0 1|3 4", 5 },
	{ "the excluded newest block is the newest all the same",
	  "0..2 2..4 4..6 6..8 8..10x", "0 1 2 3", 5 },
	{ "overlaps come first, the newest block too", "0..2 2..4 4..6 6..8 8..10 9..11",
	  "4 5", 5 },
	{ "equal times overlap", "0..2 0..2", "0 1", 5 },
	{ "touching is not overlapping", "0..2 2..4", "", 5 },
	{ "a chain of overlaps is one run", "0..3 2..5 4..7 7..9", "0 1 2", 5 },
	{ "a long block over several small ones", "0..10 1..2 3..4 20..22", "0 1 2", 5 },
	{ "several runs, the older first", "0..2 1..3 10..12 11..13", "0 1|2 3", 5 },
	{ "an excluded block overlaps nobody", "0..2 0..2x", "", 5 },
	{ "much under tombstones in a long block is rewritten",
	  "0..48t5 48..96t6 96..144", "1", 5 },
	{ "not in a short one", "0..2t50 2..4", "", 5 },
	{ "nor in the newest", "0..48 48..96t50", "", 5 },
	{ "nor behind a short one", "0..48t50 48..50 56..58", "", 5 },
	{ "times before 1970", "-16..-14 -14..-8 -8..-6 -6..-4", "0 1", 5 },
};

struct made {
	struct plan_block b[12];
	struct block_meta m[12];
	struct plan_block *v[12];
	size_t n;
};

static void add(struct made *out, int from, int to)
{
	struct block_meta *m = &out->m[out->n];
	m->mint_ms = from * HOUR_MS;
	m->maxt_ms = to * HOUR_MS;
	m->ulid.b[15] = (uint8_t)out->n;
	m->stats.series = 100;
	out->b[out->n] = (struct plan_block){ m, 100, 10, false };
	out->v[out->n] = &out->b[out->n];
	out->n++;
}

static void make(const char *s, struct made *out)
{
	int from, to, len;
	memset(out, 0, sizeof(*out));
	while (out->n < 12 && sscanf(s, "%d..%d%n", &from, &to, &len) == 2) {
		size_t i = out->n;
		add(out, from, to);
		s += len;
		out->b[i].excluded = *s == 'x';
		out->m[i].compaction.failed = *s == 'f';
		if (*s == 't')
			out->m[i].stats.tombstones = strtoull(s + 1, NULL, 10);
		s += strcspn(s, " ");
	}
}

static void show(struct arena *a, const struct plan *p, size_t n, char out[200])
{
	size_t at = 0;
	out[0] = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < p[i].n; k++)
			at += (size_t)snprintf(out + at, 200 - at, "%s%u",
					       k   ? " "
					       : i ? "|"
						   : "",
					       p[i].block[k]->meta->ulid.b[15]);
}

Test(plan, is_that_of_thanos)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a;
		struct made m;
		struct plan *p;
		char got[200];
		arena_init(&a, NULL);
		make(cases[i].blocks, &m);
		plan_sort(m.v, m.n);
		size_t n = plan_candidates(&a, m.v, m.n,
					   cases[i].n_ranges ? cases[i].n_ranges
							     : PLAN_MAX_RANGES,
					   &p);
		show(&a, p, n, got);
		cr_expect_str_eq(got, cases[i].want, "%s", cases[i].what);
		arena_deinit(&a);
	}
}

Test(plan, guards_the_size_of_an_index)
{
	struct arena a;
	struct made m;
	struct plan *p;
	arena_init(&a, NULL);
	make("0..2 2..4 4..6 6..8 8..10", &m);
	m.b[1].index_bytes = 40;
	cr_assert_eq(plan_candidates(&a, m.v, m.n, PLAN_MAX_RANGES, &p), 1);
	cr_assert_eq(plan_too_big(p, 1000), SIZE_MAX);
	cr_assert_eq(plan_too_big(p, 84), SIZE_MAX); /* 70 < 71 */
	cr_assert_eq(plan_too_big(p, 83), 1);	     /* 70 >= 70 */
	cr_assert_eq(plan_too_big(p, 11),
		     0); /* the sum is full before the biggest is seen */
	arena_deinit(&a);
}

Test(plan, tells_who_overlaps)
{
	struct made m;
	bool hit[12];
	make("0..2 1..3 4..6 4..6x 8..10 9..10", &m);
	cr_assert_eq(plan_exclude_overlapping(m.v, m.n, hit), 4);
	cr_assert(hit[0] && hit[1] && !hit[2] && !hit[3] && hit[4] && hit[5]);
	cr_assert(m.b[0].excluded && !m.b[2].excluded);
	cr_assert_eq(plan_exclude_overlapping(m.v, m.n, hit), 0);
}

/* Whatever order plans are taken in, the end is the same as when Thanos' first choice is always taken. */
Test(plan, any_order_ends_the_same)
{
	srand(7);
	for (int round = 0; round < 300; round++) {
		char end[2][2000] = { "", "" };
		char rows[400];
		size_t len_rows = 0;
		int t = 0;
		for (size_t i = 0; i < 11; i++) {
			static const int lengths[] = { 1, 2, 2, 2, 8, 48 };
			int len = lengths[rand() % 6];
			t = (t + len - 1) / len * len + (rand() % 5 == 0 ? len : 0);
			len_rows += (size_t)snprintf(rows + len_rows,
						     sizeof(rows) - len_rows, "%d..%d%s ",
						     t, t + len, rand() % 12 ? "" : "x");
			t += rand() % 15 == 0 ? len / 2 : len;
		}
		for (int newest = 0; newest < 2; newest++) {
			struct arena a;
			struct made m;
			struct plan *p;
			size_t n, k = 0;
			arena_init(&a, NULL);
			make(rows, &m);
			plan_sort(m.v, m.n);
			while ((n = plan_candidates(&a, m.v, m.n, PLAN_MAX_RANGES, &p)) >
			       0) {
				const struct plan *one = &p[newest ? n - 1 : 0];
				struct block_meta *meta =
					ARENA_NEW(&a, struct block_meta);
				struct plan_block *b = ARENA_NEW(&a, struct plan_block);
				plan_result(&a, one, meta, b);
				k = 0;
				for (size_t i = 0; i < m.n; i++) {
					bool in = false;
					for (size_t j = 0; j < one->n; j++)
						in |= one->block[j] == m.v[i];
					if (!in)
						m.v[k++] = m.v[i];
				}
				m.v[k++] = b;
				m.n = k;
				plan_sort(m.v, m.n);
			}
			size_t at = 0;
			for (size_t i = 0; i < m.n; i++)
				at += (size_t)snprintf(
					end[newest] + at, sizeof(end[0]) - at,
					"%lld-%lld ",
					(long long)(m.v[i]->meta->mint_ms / HOUR_MS),
					(long long)(m.v[i]->meta->maxt_ms / HOUR_MS));
			arena_deinit(&a);
		}
		cr_assert_str_eq(end[0], end[1], "round %d", round);
	}
}
