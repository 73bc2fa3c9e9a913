#include "base/ctx.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* gcc ships the function, not its header. */
size_t __sanitizer_get_current_allocated_bytes(void);
#define LIVE_BYTES() __sanitizer_get_current_allocated_bytes()
#else
#define LIVE_BYTES() ((size_t)0)
#endif

#include "support/tst.h"

Test(notes_missing, keeps_each_hole_once_and_apart_by_reason)
{
	struct notes *n = notes_new();
	struct notes_view v;
	struct arena a;
	arena_init(&a, NULL);
	notes_missing(n, -5, 10, "block is corrupt");
	notes_missing(n, -5, 10, "block is corrupt");
	notes_missing(n, -5, 10, "store timed out");
	notes_missing(n, -5, 11, NULL);
	notes_view(n, &a, &v);
	notes_free(n); /* the view stands on its own */
	cr_assert_eq(v.n_missing, 3u);
	cr_assert_eq(v.missing[0].mint_ms, -5);
	cr_assert_eq(v.missing[0].maxt_ms, 10);
	cr_assert_str_eq(v.missing[0].why, "block is corrupt");
	cr_assert_str_eq(v.missing[1].why, "store timed out");
	cr_assert_str_eq(v.missing[2].why, "");
	arena_deinit(&a);
}

Test(notes_missing, repetitions_cost_no_memory)
{
	struct notes *n = notes_new();
	notes_missing(n, 0, 1, "store timed out");
	size_t before = LIVE_BYTES();
	for (int i = 0; i < 20000; i++)
		notes_missing(n, 0, 1, "store timed out");
	cr_assert_eq(LIVE_BYTES(), before);
	notes_free(n);
}

Test(notes, counts_are_added_up_and_no_notes_are_no_error)
{
	struct notes *n = notes_new();
	struct notes_view v;
	struct arena a;
	arena_init(&a, NULL);
	notes_received(n, &(struct note_store){ STR("b:1"), 1, 2, 3 });
	notes_received(n, &(struct note_store){ STR("c:1"), 7, 8, 9 });
	notes_received(n, &(struct note_store){ STR("a:1"), 4, 5, 6 });
	notes_received(n, &(struct note_store){ STR("b:1"), 10, 20, 30 });
	notes_stores(n, 3, 2);
	notes_stores(n, 1, 1);
	notes_samples(n, 5000000000ull);
	notes_samples(n, 1);
	notes_view(n, &a, &v);
	cr_assert(v.stores_expected == 4 && v.stores_answered == 3);
	cr_assert_eq(v.samples_read, 5000000001ull);
	cr_assert_eq(v.n_warnings + v.n_infos + v.n_missing, 0u);
	cr_assert_eq(v.n_received, 3u);
	cr_assert(str_eq(v.received[0].name, STR("a:1")) && v.received[0].bytes == 6);
	cr_assert(str_eq(v.received[1].name, STR("b:1")) && v.received[1].series == 11 &&
		  v.received[1].chunks == 22 && v.received[1].bytes == 33);
	cr_assert(str_eq(v.received[2].name, STR("c:1")) && v.received[2].chunks == 8);
	notes_free(n);
	notes_warn(NULL, "%d", 1);
	notes_info(NULL, "%d", 1);
	notes_missing(NULL, 0, 1, "x");
	notes_stores(NULL, 1, 1);
	notes_received(NULL, &(struct note_store){ STR("a"), 1, 1, 1 });
	notes_samples(NULL, 1);
	notes_view(NULL, &a, &v);
	cr_assert_eq(v.n_warnings, 0u);
	notes_free(NULL);
	arena_deinit(&a);
}

Test(ctx_child, has_the_nearer_deadline_and_shares_the_rest)
{
	struct ctx p;
	ctx_init(&p, NULL, 1000);
	cr_assert_eq(ctx_child(&p, 0).deadline_ns, 1000u);
	cr_assert_eq(ctx_child(&p, 2000).deadline_ns, 1000u);
	cr_assert_eq(ctx_child(&p, 500).deadline_ns, 500u);
	cr_assert_eq(ctx_child(&p, 500).cancel, p.cancel);
	cr_assert_eq(ctx_child(&p, 500).notes, p.notes);
	ctx_deinit(&p);
	ctx_init(&p, NULL, 0);
	cr_assert_eq(ctx_child(&p, 500).deadline_ns, 500u);
	cr_assert_eq(ctx_left_ns(&p), UINT64_MAX);
	cr_assert_eq(ctx_left_ns(NULL), UINT64_MAX);
	ctx_deinit(&p);
}
