/* Which blocks a request reads: resolutions, gaps, external labels, blocks that could not be opened. */
#include <stdio.h>
#include <stdlib.h>

#include "store/bucket_int.h"
#include "support/tst.h"

#define RES_5M 300000
#define RES_1H 3600000

static struct err e;
static struct label eu[] = { { { "cluster", 7 }, { "eu", 2 } } };
static struct label us[] = { { { "cluster", 7 }, { "us", 2 } } };

static void no_free(struct ref *r)
{
	(void)r;
}

struct plan {
	struct ctx ctx;
	struct arena a;
	struct bucket_snapshot *s;
	struct block fake;
};

static void plan_open(struct plan *p)
{
	memset(p, 0, sizeof(*p));
	ctx_init(&p->ctx, NULL, 0);
	arena_init(&p->a, NULL);
	ref_init(&p->fake.ref, no_free);
	p->s = bucket_snapshot_new();
	p->s->entry = ARENA_ARRAY(&p->s->arena, struct bucket_entry, 32);
}

static void plan_close(struct plan *p)
{
	bucket_snapshot_put(p->s);
	arena_deinit(&p->a);
	ctx_deinit(&p->ctx);
}

static void add(struct plan *p, struct label *l, int64_t res, int64_t mint, int64_t maxt,
		bool open)
{
	struct bucket_entry *t = &p->s->entry[p->s->n++];
	t->ulid.b[15] = (uint8_t)p->s->n;
	ulid_format(&t->ulid, t->id);
	t->labels = (struct labels){ l, 1, 0 };
	t->resolution_ms = res;
	t->mint_ms = mint;
	t->maxt_ms = maxt;
	t->why = STR("broken");
	if (open)
		t->block = block_ref(&p->fake);
}

/* Ids of the blocks chosen, by their last number, in order of the snapshot; blank behind each. */
static const char *chosen(struct plan *p, int64_t max_res, int64_t mint, int64_t maxt,
			  const struct matcher *m, size_t n)
{
	static char text[200];
	struct bucket_choice c = { .mint_ms = mint,
				   .maxt_ms = maxt,
				   .max_resolution_ms = max_res,
				   .matchers = m,
				   .n_matchers = n };
	size_t at = 0;
	cr_assert_eq(bucket_choose(p->s, &p->ctx, &p->a, &c, &e), 0);
	text[0] = 0;
	for (size_t i = 0; i < c.n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%d ",
				       c.pick[i].entry->ulid.b[15]);
	return text;
}

static size_t warnings(struct plan *p)
{
	struct notes_view v;
	notes_view(p->ctx.notes, &p->a, &v);
	return v.n_warnings;
}

Test(bucket_choice, the_coarsest_allowed_resolution_is_read_and_gaps_filled)
{
	struct plan p;
	plan_open(&p);
	add(&p, eu, 0, 0, 100, true);	     /* 1 */
	add(&p, eu, 0, 100, 200, true);	     /* 2 */
	add(&p, eu, 0, 200, 300, true);	     /* 3 */
	add(&p, eu, 0, 300, 400, true);	     /* 4 */
	add(&p, eu, RES_5M, 0, 200, true);   /* 5 */
	add(&p, eu, RES_5M, 200, 300, true); /* 6 */
	add(&p, eu, RES_1H, 100, 200, true); /* 7 */
	bucket_snapshot_seal(p.s, INT64_MIN, INT64_MAX);
	cr_assert_str_eq(chosen(&p, 0, 0, 399, NULL, 0), "1 2 3 4 ");
	cr_assert_str_eq(chosen(&p, RES_5M, 0, 399, NULL, 0), "5 6 4 ");
	cr_assert_str_eq(chosen(&p, RES_1H, 0, 399, NULL, 0), "7 5 6 4 ");
	cr_assert_str_eq(chosen(&p, RES_1H, 100, 199, NULL, 0), "7 ");
	cr_assert_str_eq(chosen(&p, RES_1H - 1, 100, 199, NULL, 0), "5 ");
	cr_assert_str_eq(chosen(&p, 0, 100, 100, NULL, 0), "2 ");
	cr_assert_str_eq(chosen(&p, 0, 400, 500, NULL, 0), "");
	cr_assert_str_eq(chosen(&p, 0, 10, 5, NULL, 0), "");
	plan_close(&p);
}

Test(bucket_choice, a_block_that_spans_two_gaps_is_taken_once)
{
	struct plan p;
	plan_open(&p);
	add(&p, eu, 0, 0, 1000, true);
	add(&p, eu, RES_5M, 400, 500, true);
	bucket_snapshot_seal(p.s, INT64_MIN, INT64_MAX);
	cr_assert_str_eq(chosen(&p, RES_5M, 0, 999, NULL, 0), "2 1 ");
	plan_close(&p);
}

Test(bucket_choice, overlapping_blocks_of_one_resolution_are_all_read)
{
	struct plan p;
	plan_open(&p);
	add(&p, eu, 0, 0, 1000, true);
	add(&p, eu, 0, 100, 200, true);
	add(&p, us, 0, 0, 1000, true);
	bucket_snapshot_seal(p.s, INT64_MIN, INT64_MAX);
	cr_assert_str_eq(chosen(&p, 0, 150, 160, NULL, 0), "1 2 3 ");
	plan_close(&p);
}

Test(bucket_choice, matchers_on_external_labels_exclude_blocks)
{
	struct matcher m[2];
	struct plan p;
	plan_open(&p);
	add(&p, eu, 0, 0, 1000, true);
	add(&p, us, 0, 0, 1000, true);
	bucket_snapshot_seal(p.s, INT64_MIN, INT64_MAX);
	cr_assert_eq(matcher_compile(&p.ctx, &p.a, MATCH_RE, STR("cluster"), STR("u.*"),
				     &m[0], &e),
		     0);
	cr_assert_eq(matcher_compile(&p.ctx, &p.a, MATCH_EQ, STR("job"), STR("x"), &m[1],
				     &e),
		     0);
	struct bucket_choice c = { .maxt_ms = 10, .matchers = m, .n_matchers = 2 };
	cr_assert_eq(bucket_choose(p.s, &p.ctx, &p.a, &c, &e), 0);
	cr_assert_eq(c.n, 1);
	cr_assert_eq(c.pick[0].entry->ulid.b[15], 2);
	cr_assert_eq(c.pick[0].n_matchers, 1);
	cr_assert(str_eq(c.pick[0].matchers[0].name, STR("job")));
	plan_close(&p);
}

Test(bucket_choice, finer_blocks_stand_in_for_one_that_is_not_open_with_a_warning)
{
	struct plan p;
	plan_open(&p);
	add(&p, eu, 0, 0, 100, true);
	add(&p, eu, RES_5M, 0, 100, false);
	bucket_snapshot_seal(p.s, INT64_MIN, INT64_MAX);
	cr_assert_str_eq(chosen(&p, 0, 0, 99, NULL, 0), "1 ");
	cr_assert_eq(warnings(&p), 0);
	cr_assert_str_eq(chosen(&p, RES_5M, 0, 99, NULL, 0), "1 ");
	cr_assert_eq(warnings(&p), 1);
	plan_close(&p);
}

Test(bucket_choice, an_unopened_block_below_a_coarser_one_needs_no_warning)
{
	struct plan p;
	plan_open(&p);
	add(&p, eu, 0, 0, 100, false);
	add(&p, eu, RES_5M, 0, 100, true);
	bucket_snapshot_seal(p.s, INT64_MIN, INT64_MAX);
	cr_assert_str_eq(chosen(&p, RES_5M, 0, 99, NULL, 0), "2 ");
	cr_assert_eq(warnings(&p), 0);
	cr_assert_str_eq(chosen(&p, 0, 0, 99, NULL, 0), "");
	cr_assert_eq(warnings(&p), 1);
	plan_close(&p);
}

Test(bucket_choice, time_ranges_of_equal_labels_are_joined_where_they_touch)
{
	struct plan p;
	plan_open(&p);
	add(&p, eu, 0, 0, 100, true);
	add(&p, eu, RES_5M, 50, 150, true);
	add(&p, eu, 0, 150, 200, true);
	add(&p, eu, 0, 500, 600, true);
	bucket_snapshot_seal(p.s, 10, 550);
	cr_assert_eq(p.s->n_tsdbs, 2);
	cr_assert_eq(p.s->tsdb[0].mint_ms, 10);
	cr_assert_eq(p.s->tsdb[0].maxt_ms, 200);
	cr_assert_eq(p.s->tsdb[1].mint_ms, 500);
	cr_assert_eq(p.s->tsdb[1].maxt_ms, 550);
	plan_close(&p);
}
