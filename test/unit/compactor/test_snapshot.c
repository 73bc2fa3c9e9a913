/* Snapshots: into a second bucket, back, and their end. */
#include <stdio.h>

#include "base/time.h"
#include "model/matcher.h"
#include "world.h"

#define A "\"a\":\"1\""
#define B "\"b\":\"1\""

static int put_name(void *arg, struct str name, const struct bucket_attrs *at,
		    struct err *e)
{
	buf_fmt(arg, "%.*s ", STR_FMT(name));
	return 0;
}

static const char *names(struct world *w, struct arena *a, struct bucket *b)
{
	struct err e = ERR_INIT;
	struct buf out;
	buf_init(&out, 1 << 20);
	cr_assert_eq(bucket_iter(b, &w->ctx, STR(""), true, put_name, &out, &e), 0);
	const char *s = str_dupz(a, buf_view(&out));
	buf_deinit(&out);
	return s;
}

/* What is in `to` shown as world_show does. */
static const char *show(struct world *w, struct arena *a, struct bucket *b)
{
	struct bucket *mine = w->bucket;
	w->bucket = b;
	const char *s = world_show(w, a);
	world_check_whole(w);
	w->bucket = mine;
	return s;
}

static struct snapshot_opts opts(struct world *w, struct bucket *to, const char *name)
{
	return (struct snapshot_opts){ .from = w->bucket,
				       .to = to,
				       .name = str_of(name) };
}

Test(snapshot, copies_what_is_new_and_brings_it_back)
{
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	struct snapshot_report r;
	struct bucket *to = bucket_mem_new();
	world_begin(&w);
	arena_init(&a, NULL);
	world_blocks(&w, A, 0, 2);
	struct snapshot_opts o = opts(&w, to, "one");
	o.dry_run = true;
	cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), 0, "%s", err_text(&e));
	cr_assert_eq(r.blocks, 2);
	cr_assert_str_eq(names(&w, &a, to), "");
	o.dry_run = false;
	cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), 0, "%s", err_text(&e));
	cr_assert_eq(r.copied, 2);
	cr_assert_str_eq(show(&w, &a, to), "{a=\"1\"} 0-2 L1; {a=\"1\"} 2-4 L1; ");
	cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), -1);
	cr_assert_eq(e.code, E_EXISTS);
	world_blocks(&w, A, 4, 1);
	o = opts(&w, to, "");
	e = ERR_INIT;
	cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), 0, "%s", err_text(&e));
	cr_assert_eq(r.copied, 1);
	cr_assert_eq(r.skipped, 2);
	struct snapshot_info *v;
	size_t n;
	cr_assert_eq(snapshot_list(&w.ctx, &a, to, &v, &n, &e), 0);
	cr_assert_eq(n, 2);
	cr_assert(str_eqz(v[0].name, "one") || str_eqz(v[1].name, "one"));
	/* Into an empty bucket: the first snapshot alone, then all. */
	struct bucket *back = bucket_mem_new();
	struct snapshot_opts ro = { .from = to, .to = back, .name = STR("one") };
	cr_assert_eq(snapshot_restore(&w.ctx, &ro, &r, &e), 0, "%s", err_text(&e));
	cr_assert_str_eq(show(&w, &a, back), "{a=\"1\"} 0-2 L1; {a=\"1\"} 2-4 L1; ");
	ro.name = str_of("none");
	cr_assert_eq(snapshot_restore(&w.ctx, &ro, &r, &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	bucket_close(back);
	bucket_close(to);
	arena_deinit(&a);
	world_end(&w);
}

Test(snapshot, selects_by_labels_time_and_resolution)
{
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	struct snapshot_report r;
	struct matcher m;
	struct bucket *to = bucket_mem_new();
	world_begin(&w);
	arena_init(&a, NULL);
	world_blocks(&w, A, 0, 4);
	world_blocks(&w, B, 0, 4);
	world_block(&w, (struct block_spec){
				.from_h = 2, .to_h = 4, .labels = A, .res_ms = 300000 });
	cr_assert_eq(matcher_compile(&w.ctx, &a, MATCH_EQ, STR("a"), STR("1"), &m, &e),
		     0);
	const struct matcher *const sets[] = { &m };
	const size_t n_matchers[] = { 1 };
	const int64_t raw[] = { 0 };
	struct snapshot_opts o = opts(&w, to, "x");
	o.select = (struct snapshot_select){ .sets = sets,
					     .n_matchers = n_matchers,
					     .n_sets = 1,
					     .mint_ms = w.t0_ms + 2 * HOUR_MS,
					     .maxt_ms = w.t0_ms + 5 * HOUR_MS,
					     .resolution_ms = raw,
					     .n_resolutions = 1 };
	cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), 0, "%s", err_text(&e));
	cr_assert_str_eq(show(&w, &a, to), "{a=\"1\"} 2-4 L1; {a=\"1\"} 4-6 L1; ");
	bucket_close(to);
	arena_deinit(&a);
	world_end(&w);
}

Test(snapshot, expires_with_blocks_that_no_other_has_and_touches_nothing_else)
{
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	struct snapshot_report r;
	struct bucket *to = bucket_mem_new();
	world_begin(&w);
	arena_init(&a, NULL);
	int64_t now = time_wall_ms();
	cr_assert_eq(bucket_put_bytes(to, &w.ctx,
				      STR("01M38BCG00000000000000000F/meta.json"),
				      STR("{}"), &e),
		     0);
	for (int i = 0; i < 4; i++) {
		char name[16];
		snprintf(name, sizeof(name), "s%d", i);
		struct ulid u = world_block(&w, (struct block_spec){ .from_h = 2 * i,
								     .to_h = 2 * i + 2,
								     .labels = A });
		struct snapshot_opts o = opts(&w, to, name);
		o.now_ms = now + i * HOUR_MS;
		cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), 0, "%s", err_text(&e));
		if (i < 2) /* only the first snapshots have these */
			cr_assert_eq(block_delete(w.bucket, &w.ctx, &u, &e), 0);
	}
	struct snapshot_opts o = opts(&w, to, "");
	o.keep_ms = 90 * 60000;
	o.now_ms = now + 3 * HOUR_MS;
	cr_assert_eq(snapshot_expire(&w.ctx, &o, &r, &e), 0, "%s", err_text(&e));
	struct snapshot_info *v;
	size_t n;
	cr_assert_eq(snapshot_list(&w.ctx, &a, to, &v, &n, &e), 0);
	cr_assert_eq(n, 2);
	cr_assert(str_eqz(v[0].name, "s2"));
	cr_assert_str_eq(show(&w, &a, to), "{a=\"1\"} 4-6 L1; {a=\"1\"} 6-8 L1; ");
	cr_assert(strstr(names(&w, &a, to), "01M38BCG00000000000000000F/meta.json"));
	/* However old: the last ones stay. */
	o.keep_last = 1;
	o.now_ms = now + 1000 * HOUR_MS;
	r = (struct snapshot_report){ 0 };
	cr_assert_eq(snapshot_expire(&w.ctx, &o, &r, &e), 0);
	cr_assert_eq(r.expired, 1);
	cr_assert_eq(snapshot_list(&w.ctx, &a, to, &v, &n, &e), 0);
	cr_assert_eq(n, 1);
	bucket_close(to);
	arena_deinit(&a);
	world_end(&w);
}

Test(snapshot, names_what_is_damaged)
{
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	struct snapshot_report r;
	struct bucket *to = bucket_mem_new();
	world_begin(&w);
	arena_init(&a, NULL);
	world_blocks(&w, A, 0, 1);
	struct ulid u =
		world_block(&w,
			    (struct block_spec){ .from_h = 2, .to_h = 4, .labels = A });
	char id[27];
	ulid_format(&u, id);
	struct snapshot_opts o = opts(&w, to, "x");
	cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), 0, "%s", err_text(&e));
	/* In the backup: nothing is restored. */
	cr_assert_eq(bucket_delete(to, &w.ctx, str_fmt(&a, "%s/index", id), &e), 0);
	struct bucket *back = bucket_mem_new();
	struct snapshot_opts ro = { .from = to, .to = back };
	cr_assert_eq(snapshot_restore(&w.ctx, &ro, &r, &e), -1);
	cr_assert_eq(e.code, E_CORRUPT);
	cr_assert(strstr(err_text(&e), id), "%s", err_text(&e));
	cr_assert_str_eq(names(&w, &a, back), "");
	/* In the bucket: the others are taken, and it is told. */
	cr_assert_eq(bucket_delete(w.bucket, &w.ctx, str_fmt(&a, "%s/index", id), &e), 0);
	struct bucket *other = bucket_mem_new();
	o = opts(&w, other, "y");
	e = ERR_INIT;
	cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), -1);
	cr_assert_eq(e.code, E_CORRUPT);
	cr_assert_str_eq(show(&w, &a, other), "{a=\"1\"} 0-2 L1; ");
	o.name = str_of("../x");
	cr_assert_eq(snapshot_take(&w.ctx, &o, &r, &e), -1);
	bucket_close(other);
	bucket_close(back);
	bucket_close(to);
	arena_deinit(&a);
	world_end(&w);
}

/* Whatever call fails: a store over the second bucket sees no half block, and the next take completes. */
Test(snapshot, goes_on_where_it_was_stopped)
{
	bool done = false;
	for (uint64_t nth = 1; !done; nth++) {
		struct world w;
		struct arena a;
		struct err e = ERR_INIT;
		struct snapshot_report r;
		struct bucket *to = bucket_mem_new();
		world_begin(&w);
		arena_init(&a, NULL);
		world_blocks(&w, A, 0, 2);
		struct snapshot_opts o = opts(&w, to, "x");
		bucket_mem_fail(to, nth, true, nth % 2 == 0);
		int rc = snapshot_take(&w.ctx, &o, &r, &e);
		done = bucket_mem_calls(to) < nth;
		cr_assert_eq(rc, done ? 0 : -1);
		bucket_mem_fail(to, 0, false, false);
		show(&w, &a, to);
		if (rc < 0) {
			e = ERR_INIT;
			rc = snapshot_take(&w.ctx, &o, &r, &e);
			cr_assert(rc == 0 || e.code == E_EXISTS, "%s", err_text(&e));
		}
		cr_assert_str_eq(show(&w, &a, to),
				 "{a=\"1\"} 0-2 L1; {a=\"1\"} 2-4 L1; ");
		cr_assert_lt(nth, 100);
		bucket_close(to);
		arena_deinit(&a);
		world_end(&w);
	}
}
