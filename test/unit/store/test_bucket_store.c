/* The bucket store over golden blocks: Series, labels, Info, syncs, damage, limits. */
#include <stdio.h>
#include <stdlib.h>

#include "bucket_world.h"
#include "fs/fs.h"
#include "support/tst.h"
#include "wire/pb.h"

#define EU_A_LAST "01M81YVC0FJJQ87HKZ11JM4HFZ"
#define EU_B_LAST "01M81YVC6WDF4WE3GFR0FN50G7"
#define US_A_LAST "01M81YVCDW2SK5C8595AFGJ8K1"
#define OOO	  "01M81YVCNRNMYNP70R7FRKH4F0"

static struct err e;

static struct store_series_req request(struct world *w, const char *matchers)
{
	struct store_series_req r = { .mint_ms = W_MINT, .maxt_ms = W_MAXT };
	r.matchers = world_matchers(w, matchers, &r.n_matchers);
	return r;
}

static void check(struct world *w, const struct store_series_req *r, const char *what)
{
	struct lines got = { 0 }, want = { 0 };
	e = ERR_INIT;
	cr_assert_eq(world_answer(w, r, &got, &e), 0, "%s: %s", what, err_text(&e));
	world_expect(w, r, NULL, &want);
	lines_equal(&got, &want, what);
	lines_free(&got);
	lines_free(&want);
}

static size_t count_warnings(struct world *w, const char *with)
{
	struct notes_view v;
	size_t n = 0;
	notes_view(w->ctx.notes, &w->arena, &v);
	for (size_t i = 0; i < v.n_warnings; i++)
		n += str_find(v.warnings[i], str_of(with)) >= 0;
	return n;
}

Test(bucket_store, series_equal_what_the_blocks_hold)
{
	static const char *const matchers[] = {
		"__name__=up",
		"__name__=~.+",
		"__name__=node_cpu_seconds_total;mode!=idle",
		"__name__=~http_.*;cluster=eu",
		"__name__=up;cluster=~e.|u.;replica!~b",
		"job=svc-00;replica=",
		"__name__=up;cluster!=eu",
		"pod!=;le=",
		"nothere=",
		"__name__=nothere",
		"cluster=special;__name__!=up",
	};
	struct world w;
	world_open(&w, NULL);
	world_copy_all(&w);
	world_sync(&w);
	for (size_t i = 0; i < ARRAY_LEN(matchers); i++) {
		struct store_series_req r = request(&w, matchers[i]);
		check(&w, &r, matchers[i]);
	}
	struct store_series_req part = request(&w, "__name__=~.*total");
	part.mint_ms = 1789984800000 - 60000;
	part.maxt_ms = 1789984800000 + 60000;
	check(&w, &part, "over a border");
	cr_assert_eq(count_warnings(&w, ""), 0);
	world_close(&w);
}

Test(bucket_store, replica_labels_are_left_out_and_order_restored)
{
	static const struct str replica[] = { { "replica", 7 } };
	static const struct str two[] = { { "cluster", 7 }, { "replica", 7 } };
	static const struct str own[] = { { "__name__", 8 }, { "pod", 3 } };
	struct world w;
	world_open(&w, NULL);
	world_copy_all(&w);
	world_sync(&w);
	struct store_series_req r = request(&w, "__name__=~.*total|up");
	r.without_replica_labels = replica;
	r.n_without = 1;
	check(&w, &r, "without replica");
	r.without_replica_labels = two;
	r.n_without = 2;
	check(&w, &r, "without two");
	r.without_replica_labels = own;
	check(&w, &r, "without labels of the series");
	world_close(&w);
}

Test(bucket_store, a_call_without_matchers_of_its_own_is_empty)
{
	struct lines got = { 0 };
	struct world w;
	world_open(&w, NULL);
	world_copy_all(&w);
	world_sync(&w);
	struct store_series_req r = request(&w, "");
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	r = request(&w, "cluster=eu");
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	cr_assert_eq(got.n, 0);
	world_close(&w);
}

Test(bucket_store, sync_picks_up_and_drops_blocks)
{
	struct world w;
	struct lines got = { 0 };
	world_open(&w, NULL);
	world_copy(&w, EU_A_LAST);
	world_sync(&w);
	cr_assert_eq(world_metric(&w, "thanos_bucket_store_blocks_loaded"), 1);
	struct store_series_req r = request(&w, "__name__=up");
	check(&w, &r, "one block");
	world_copy(&w, EU_B_LAST);
	world_sync(&w);
	check(&w, &r, "two blocks");
	cr_assert_eq(world_metric(&w, "thanos_bucket_store_block_loads_total"), 2);
	/* A set that is open goes on with the blocks it has. */
	struct series_set *set;
	const struct series_in *in;
	cr_assert_eq(store_series(bucket_store_store(w.store), &w.ctx, &r, &set, &e), 0);
	cr_assert_eq(series_set_next(set, &w.ctx, &in, &e), 1);
	world_remove(&w, EU_A_LAST);
	world_remove(&w, EU_B_LAST);
	world_sync(&w);
	cr_assert_eq(series_set_next(set, &w.ctx, &in, &e), 1);
	series_set_close(set);
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	cr_assert_eq(got.n, 0);
	cr_assert_eq(world_metric(&w, "thanos_bucket_store_blocks_loaded"), 0);
	cr_assert_eq(world_metric(&w, "thanos_bucket_store_block_drops_total"), 2);
	world_close(&w);
}

Test(bucket_store, local_folders_of_gone_blocks_are_removed)
{
	struct fs_stat st;
	struct world w;
	char header[200];
	world_open(&w, NULL);
	world_copy(&w, EU_A_LAST);
	world_sync(&w);
	snprintf(header, sizeof(header), "%s/" EU_A_LAST "/index-header", w.data_dir);
	cr_assert_eq(fs_stat(&w.ctx, header, &st, &e), 0);
	cr_assert_eq(st.kind, FS_FILE);
	/* Damaged: built again by the next store over the folder. */
	cr_assert_eq(fs_write_atomic(&w.ctx, header, STR("BAAA"), &e), 0);
	bucket_store_free(w.store);
	struct bucket_store_opts o = { .bucket = w.bucket,
				       .data_dir = w.data_dir,
				       .metrics = w.metrics,
				       .min_time = { .ms = INT64_MIN },
				       .max_time = { .ms = INT64_MAX },
				       .pool = w.pool,
				       .ignore_deletion_marks_ms = -1 };
	cr_assert_eq(bucket_store_new(&w.ctx, &o, &w.store, &e), 0);
	world_sync(&w);
	struct store_series_req r = request(&w, "__name__=up");
	check(&w, &r, "after rebuilding");
	/* Gone while no store ran: swept at the first sync. */
	bucket_store_free(w.store);
	world_remove(&w, EU_A_LAST);
	cr_assert_eq(bucket_store_new(&w.ctx, &o, &w.store, &e), 0);
	world_sync(&w);
	cr_assert_eq(fs_stat(&w.ctx, header, &st, &e), 0);
	cr_assert_eq(st.kind, FS_NONE);
	world_close(&w);
}

Test(bucket_store, a_block_that_cannot_be_opened_is_named_and_the_rest_served)
{
	static const char *const good[] = { EU_B_LAST, NULL };
	struct lines got = { 0 }, want = { 0 };
	struct store_info info;
	struct world w;
	world_open(&w, NULL);
	world_copy(&w, EU_A_LAST);
	world_copy(&w, EU_B_LAST);
	world_cut(&w, EU_A_LAST "/index", 100);
	world_sync(&w);
	cr_assert_eq(world_metric(&w, "thanos_bucket_store_block_load_failures_total"),
		     1);
	struct store_series_req r = request(&w, "__name__=up");
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	world_expect(&w, &r, good, &want);
	lines_equal(&got, &want, "good block");
	cr_assert_eq(count_warnings(&w, EU_A_LAST), 1);
	/* Its time and labels are told, so that queries come and hear of it. */
	bucket_store_store(w.store)->ops->info(bucket_store_store(w.store), &w.arena,
					       &info);
	cr_assert_eq(info.n_label_sets, 2);
	lines_free(&got);
	lines_free(&want);
	world_close(&w);
}

Test(bucket_store, an_unopened_block_is_not_named_outside_its_time_or_labels)
{
	struct lines got = { 0 };
	struct world w;
	world_open(&w, NULL);
	world_copy(&w, EU_A_LAST);
	world_cut(&w, EU_A_LAST "/index", 100);
	world_sync(&w);
	struct store_series_req r = request(&w, "__name__=up;cluster=us");
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	r = request(&w, "__name__=up");
	r.maxt_ms = 1789992000000 - 1;
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	cr_assert_eq(count_warnings(&w, ""), 0);
	r.maxt_ms++;
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	cr_assert_eq(count_warnings(&w, EU_A_LAST), 1);
	world_close(&w);
}

Test(bucket_store, a_block_mended_is_served_by_the_next_sync)
{
	struct world w;
	world_open(&w, NULL);
	world_copy(&w, EU_A_LAST);
	world_cut(&w, EU_A_LAST "/index", 100);
	world_sync(&w);
	world_copy(&w, EU_A_LAST);
	world_sync(&w);
	struct store_series_req r = request(&w, "__name__=~.+");
	check(&w, &r, "mended");
	cr_assert_eq(count_warnings(&w, ""), 0);
	world_close(&w);
}

Test(bucket_store, a_block_that_fails_under_a_query_warns_or_aborts)
{
	static const char *const good[] = { EU_B_LAST, NULL };
	struct lines got = { 0 }, want = { 0 };
	struct world w;
	world_open(&w, NULL);
	world_copy(&w, EU_A_LAST);
	world_copy(&w, EU_B_LAST);
	world_sync(&w);
	/* Postings and series are behind the header that was read: now they end early. */
	world_cut(&w, EU_A_LAST "/index", 5000);
	struct store_series_req r = request(&w, "__name__=up");
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0, "%s", err_text(&e));
	world_expect(&w, &r, good, &want);
	lines_equal(&got, &want, "good block");
	cr_assert_eq(count_warnings(&w, EU_A_LAST), 1);
	lines_free(&got);
	lines_free(&want);
	r.partial = PARTIAL_ABORT;
	cr_assert_eq(world_answer(&w, &r, &got, &e), -1);
	cr_assert(strstr(err_text(&e), EU_A_LAST) != NULL, "%s", err_text(&e));
	lines_free(&got);
	world_close(&w);
}

static struct str hints_of(struct world *w, const char *message, const char *id)
{
	struct buf m, v, any;
	buf_init(&m, 1000);
	buf_init(&v, 1000);
	buf_init(&any, 1000);
	pb_put_bytes(&m, 2, STR("__block_id"));
	pb_put_bytes(&m, 3, str_of(id));
	pb_put_bytes(&v, 1, buf_view(&m));
	pb_put_bytes(&any, 1,
		     str_fmt(&w->arena, "type.googleapis.com/hintspb.%s", message));
	pb_put_bytes(&any, 2, buf_view(&v));
	struct str out = str_dup(&w->arena, buf_view(&any));
	buf_deinit(&m);
	buf_deinit(&v);
	buf_deinit(&any);
	return out;
}

Test(bucket_store, block_matchers_of_hints_choose_blocks)
{
	static const char *const one[] = { US_A_LAST, NULL };
	struct lines got = { 0 }, want = { 0 };
	struct world w;
	world_open(&w, NULL);
	world_copy_all(&w);
	world_sync(&w);
	struct store_series_req r = request(&w, "__name__=up");
	r.hints = hints_of(&w, "SeriesRequestHints", US_A_LAST);
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	world_expect(&w, &r, one, &want);
	cr_assert_gt(want.n, 0);
	lines_equal(&got, &want, "one block");
	r.hints = hints_of(&w, "LabelNamesRequestHints", US_A_LAST);
	cr_assert_eq(world_answer(&w, &r, &got, &e), -1);
	cr_assert_eq(e.code, E_INVALID);
	r.hints = STR("\x0a\x7f");
	cr_assert_eq(world_answer(&w, &r, &got, &e), -1);
	cr_assert_eq(e.code, E_INVALID);
	lines_free(&got);
	lines_free(&want);
	world_close(&w);
}

Test(bucket_store, downloaded_bytes_are_limited_a_call)
{
	const struct bucket_store_opts o = { .min_time = { .ms = INT64_MIN },
					     .max_time = { .ms = INT64_MAX },
					     .downloaded_bytes_limit = 200000 };
	struct lines got = { 0 };
	struct world w;
	world_open(&w, &o);
	world_copy(&w, EU_A_LAST);
	world_sync(&w);
	struct store_series_req r = request(&w, "__name__=up");
	for (int i = 0; i < 20; i++) /* each call has the whole limit */
		cr_assert_eq(world_answer(&w, &r, &got, &e), 0, "%s", err_text(&e));
	world_copy_all(&w);
	world_sync(&w);
	r = request(&w, "__name__=~.+");
	cr_assert_eq(world_answer(&w, &r, &got, &e), -1);
	cr_assert_eq(e.code, E_LIMIT, "%s", err_text(&e));
	cr_assert(strstr(err_text(&e), "limit 200000 violated") != NULL);
	lines_free(&got);
	world_close(&w);
}

Test(bucket_store, times_are_clipped_to_those_of_the_store)
{
	const struct bucket_store_opts o = { .min_time = { .ms = 1789984800000 },
					     .max_time = { .ms = 1789992000000 } };
	struct lines got = { 0 }, want = { 0 };
	struct store_info info;
	struct world w;
	world_open(&w, &o);
	world_copy_all(&w);
	world_sync(&w);
	struct store_series_req r = request(&w, "__name__=up");
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0);
	r.mint_ms = o.min_time.ms;
	r.maxt_ms = o.max_time.ms;
	world_expect(&w, &r, NULL, &want);
	lines_equal(&got, &want, "clipped");
	bucket_store_store(w.store)->ops->info(bucket_store_store(w.store), &w.arena,
					       &info);
	cr_assert_eq(info.mint_ms, o.min_time.ms);
	cr_assert_eq(info.maxt_ms, o.max_time.ms);
	lines_free(&got);
	lines_free(&want);
	world_close(&w);
}

Test(bucket_store, an_empty_bucket_offers_no_time)
{
	struct store_info info;
	struct world w;
	world_open(&w, NULL);
	world_sync(&w);
	bucket_store_store(w.store)->ops->info(bucket_store_store(w.store), &w.arena,
					       &info);
	cr_assert_eq(info.mint_ms, INT64_MAX);
	cr_assert_eq(info.maxt_ms, INT64_MIN);
	cr_assert_eq(info.n_label_sets, 0);
	cr_assert_str_eq(info.component, "store");
	world_close(&w);
}

/* -3h means another time a moment later: what is served moves with the clock. */
Test(bucket_store, relative_times_move_with_the_clock)
{
	const struct bucket_store_opts o = { .min_time = { .ms = -3600000,
							   .from_now = true },
					     .max_time = { .ms = INT64_MAX } };
	struct store_info info;
	struct world w;
	world_open(&w, &o);
	world_copy_all(&w);
	struct store *s = bucket_store_store(w.store);
	s->ops->info(s, &w.arena, &info);
	cr_assert_not_null(info.not_ready, "before the first sync");
	world_sync(&w);
	s->ops->info(s, &w.arena, &info);
	cr_assert_null(info.not_ready);
	cr_assert_eq(info.n_tsdbs, 0u, "all blocks are older");
	world_close(&w);
}
