/* Whole iterations over a memory bucket: what is made, marked and left. */
#include <math.h>
#include <stdio.h>

#include "world.h"

#define A "\"a\":\"1\""
#define B "\"b\":\"1\""

static void shows(struct world *w, const char *want)
{
	struct arena a;
	arena_init(&a, NULL);
	cr_assert_str_eq(world_show(w, &a), want);
	world_check_whole(w);
	arena_deinit(&a);
}

/* An iteration that succeeds, after which the samples are those of before. */
static void runs(struct world *w, struct compactor_report *r)
{
	struct err e;
	struct arena a;
	arena_init(&a, NULL);
	const char *before = world_lines(w, &a);
	cr_assert_eq(world_iterate(w, r, &e), 0, "%s", err_text(&e));
	cr_assert_str_eq(world_lines(w, &a), before);
	arena_deinit(&a);
}

Test(iterate, compacts_level_by_level_until_nothing_is_left)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	world_blocks(&w, A, 0, 26); /* 52 h of 2 h blocks */
	runs(&w, &r);
	shows(&w, "{a=\"1\"} 0-48 L3; {a=\"1\"} 48-50 L1; {a=\"1\"} 50-52 L1; "
		  "{a=\"1\"} 5m 0-48 L3; ");
	cr_assert_eq(r.compactions, 7);
	cr_assert_eq(r.downsamplings, 1);
	cr_assert_eq(r.marked_deletion, 24 + 6);
	cr_assert_eq(
		world_metric(&w,
			     "thanos_compact_group_compactions_total{resolution=\"0\"}"),
		7);
	cr_assert_eq(world_metric(&w,
				  "thanos_compact_downsample_total{resolution=\"0\"}"),
		     1);
	cr_assert_eq(
		world_metric(
			&w,
			"thanos_compact_blocks_marked_total{marker=\"deletion-mark.json\",reason=\"\"}"),
		30);
	cr_assert_eq(world_metric(&w, "thanos_compact_blocks_marked_for_deletion_total"),
		     30);
	cr_assert_eq(world_metric(&w, "thanos_compact_iterations_total"), 1);
	cr_assert_eq(world_metric(&w, "thanos_compact_todo_compactions"), 0);
	cr_assert_eq(
		world_metric(
			&w, "thanos_compact_downsample_failures_total{resolution=\"0\"}"),
		0);
	cr_assert_eq(
		world_metric(&w,
			     "thanos_compact_downsample_failed_total{resolution=\"0\"}"),
		0);
	/* Nothing is left to do, and nothing is done. */
	runs(&w, &r);
	cr_assert_eq(r.compactions + r.downsamplings + r.marked_deletion, 0);
	world_end(&w);
}

Test(iterate, keeps_groups_apart_and_works_on_several_at_a_time)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	w.o.pool = task_pool_new(&(struct task_pool_opts){ 0 });
	w.o.concurrency = 3;
	w.o.downsample_concurrency = 2;
	w.o.blocks_fetch_concurrency = w.o.block_files_concurrency = 3;
	world_blocks(&w, A, 0, 5);
	world_blocks(&w, B, 0, 5);
	world_blocks(&w, "\"c\":\"1\"", 0, 26);
	runs(&w, &r);
	shows(&w,
	      "{a=\"1\"} 0-8 L2; {a=\"1\"} 8-10 L1; {b=\"1\"} 0-8 L2; {b=\"1\"} 8-10 L1; "
	      "{c=\"1\"} 0-48 L3; {c=\"1\"} 48-50 L1; {c=\"1\"} 50-52 L1; "
	      "{c=\"1\"} 5m 0-48 L3; ");
	task_pool_free(w.o.pool);
	world_end(&w);
}

Test(iterate, levels_end_where_the_flag_says)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	w.o.max_level = 2;
	world_blocks(&w, A, 0, 9);
	runs(&w, &r);
	shows(&w, "{a=\"1\"} 0-8 L2; {a=\"1\"} 8-16 L2; {a=\"1\"} 16-18 L1; ");
	world_end(&w);
}

Test(iterate, downsamples_to_5m_and_to_1h)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	world_blocks(&w, A, 0, 169);
	runs(&w, &r);
	shows(&w, "{a=\"1\"} 0-336 L4; {a=\"1\"} 336-338 L1; {a=\"1\"} 5m 0-336 L4; "
		  "{a=\"1\"} 1h 0-336 L4; ");
	cr_assert_eq(r.downsamplings, 2);
	runs(&w, &r);
	cr_assert_eq(r.downsamplings, 0);
	world_end(&w);
}

Test(iterate, downsampling_is_left_out_by_flag_and_by_mark)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	w.o.downsampling_disable = true;
	struct ulid u =
		world_block(&w,
			    (struct block_spec){
				    .from_h = 0, .to_h = 48, .labels = A, .level = 3 });
	runs(&w, &r);
	cr_assert_eq(r.downsamplings, 0);
	w.o.downsampling_disable = false;
	world_mark(&w, MARK_NO_DOWNSAMPLE, &u, w.t0_ms);
	runs(&w, &r);
	cr_assert_eq(r.downsamplings, 0);
	world_block(&w, (struct block_spec){
				.from_h = 48, .to_h = 87, .labels = A, .level = 3 });
	runs(&w, &r);
	cr_assert_eq(r.downsamplings, 0); /* 39 h: too short */
	world_end(&w);
}

Test(iterate, replicas_become_one)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	const struct str replica[] = { STR("r") };
	world_begin(&w);
	w.o.replica_labels = replica;
	w.o.n_replica_labels = 1;
	w.o.dedup_penalty = true;
	for (int i = 0; i < 3; i++) {
		world_block(&w, (struct block_spec){ .from_h = 2 * i,
						     .to_h = 2 * i + 2,
						     .labels = A ",\"r\":\"a\"" });
		world_block(&w, (struct block_spec){ .from_h = 2 * i,
						     .to_h = 2 * i + 2,
						     .labels = A ",\"r\":\"b\"" });
	}
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	shows(&w, "{a=\"1\"} 0-2 L2; {a=\"1\"} 2-4 L2; {a=\"1\"} 4-6 L2; ");
	cr_assert_eq(
		world_metric(
			&w,
			"thanos_compact_group_vertical_compactions_total{resolution=\"0\"}"),
		3);
	cr_assert_eq(
		world_metric(
			&w,
			"thanos_blocks_meta_modified{modified=\"replica-label-removed\"}"),
		6);
	world_end(&w);
}

Test(iterate, refuses_options_with_thanos_texts)
{
	static const struct {
		bool penalty;
		int64_t raw_h, five_h;
		int level;
		bool no_down;
		const char *why;
	} bad[] = {
		{ .penalty = true,
		  .why = "penalty based deduplication needs at least one replica label specified" },
		{ .raw_h = 39, .why = "(40 hours)" },
		{ .five_h = 239, .why = "(10 days)" },
		{ .level = 5, .why = "level is bigger then default set of 5" },
		{ .raw_h = 39, .no_down = true, .why = NULL },
		{ .raw_h = 40, .five_h = 240, .why = NULL },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct world w;
		struct compactor_report r;
		struct err e;
		world_begin(&w);
		w.o.dedup_penalty = bad[i].penalty;
		w.o.retention_ms[0] = bad[i].raw_h * HOUR_MS;
		w.o.retention_ms[1] = bad[i].five_h * HOUR_MS;
		w.o.max_level = bad[i].level ? bad[i].level : 4;
		w.o.downsampling_disable = bad[i].no_down;
		cr_assert_eq(world_iterate(&w, &r, &e), bad[i].why ? -1 : 0);
		if (bad[i].why)
			cr_assert(strstr(err_text(&e), bad[i].why), "%s", err_text(&e));
		world_end(&w);
	}
}

/* ---- what is bad ---- */

Test(quarantine, one_bad_block_is_left_out_and_named)
{
	static const struct {
		const char *line, *reason;
	} kinds[] = { { "BAD chunk", "block-index-out-of-order-chunk" },
		      { "BAD labels", "block-index-out-of-order-labels" },
		      { "BAD read", "block-unreadable" } };
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct world w;
		struct compactor_report r;
		char line[128];
		world_begin(&w);
		world_blocks(&w, A, 0, 2);
		struct ulid u =
			world_block(&w, (struct block_spec){ .from_h = 4,
							     .to_h = 6,
							     .labels = A,
							     .extra = kinds[i].line });
		world_blocks(&w, A, 6, 3);
		world_blocks(&w, B, 0, 5);
		runs(&w, &r);
		shows(&w,
		      "{a=\"1\"} 0-4 L2; {a=\"1\"} 4-6 L1; {a=\"1\"} 6-8 L1; {a=\"1\"} 8-10 L1; "
		      "{a=\"1\"} 10-12 L1; {b=\"1\"} 0-8 L2; {b=\"1\"} 8-10 L1; ");
		cr_assert_eq(r.quarantined, 1);
		cr_assert(world_has_mark(&w, MARK_NO_COMPACT, &u));
		snprintf(
			line, sizeof(line),
			"thanos_compact_blocks_marked_total{marker=\"no-compact-mark.json\",reason=\"%s\"}",
			kinds[i].reason);
		cr_assert_eq(world_metric(&w, line), 1);
		cr_assert_eq(world_metric(&w, "thanos_compact_halted"), 0);
		/* The mark stays, nothing is tried again. */
		uint32_t calls = fake_calls();
		runs(&w, &r);
		cr_assert_eq(fake_calls(), calls);
		cr_assert_eq(r.quarantined, 0);
		world_end(&w);
	}
}

Test(quarantine, a_wrong_output_costs_no_input)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	world_blocks(&w, A, 0, 3);
	world_block(&w,
		    (struct block_spec){
			    .from_h = 6, .to_h = 8, .labels = A, .extra = "BAD output" });
	world_blocks(&w, A, 8, 2);
	runs(&w, &r);
	cr_assert_eq(r.quarantined, 4);
	cr_assert_eq(r.marked_deletion, 0);
	world_end(&w);
}

Test(quarantine, of_a_downsampling_says_so_with_its_own_mark)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	struct ulid u = world_block(&w, (struct block_spec){ .from_h = 0,
							     .to_h = 48,
							     .labels = A,
							     .level = 3,
							     .extra = "BAD read" });
	runs(&w, &r);
	cr_assert(world_has_mark(&w, MARK_NO_DOWNSAMPLE, &u));
	cr_assert_not(world_has_mark(&w, MARK_NO_COMPACT, &u));
	cr_assert_eq(r.quarantined, 1);
	world_end(&w);
}

Test(quarantine, halts_instead_where_that_is_wanted)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	world_begin(&w);
	w.o.halt_on_error = true;
	world_blocks(&w, A, 0, 4);
	struct ulid u = world_block(&w, (struct block_spec){ .from_h = 8,
							     .to_h = 10,
							     .labels = A,
							     .extra = "BAD chunk" });
	world_blocks(&w, A, 10, 4);
	cr_assert_eq(world_iterate(&w, &r, &e), -1);
	cr_assert(r.halted);
	cr_assert_not(r.retriable);
	cr_assert(strstr(err_text(&e), "critical error"), "%s", err_text(&e));
	cr_assert_eq(world_metric(&w, "thanos_compact_halted"), 1);
	cr_assert_not(world_has_mark(&w, MARK_NO_COMPACT, &u));
	/* Out-of-order chunks may be excepted. */
	w.o.skip_out_of_order = true;
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	cr_assert(world_has_mark(&w, MARK_NO_COMPACT, &u));
	world_end(&w);
}

Test(quarantine, a_file_that_is_missing_is_damage_but_a_block_that_went_is_not)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	char id[27], name[64];
	world_begin(&w);
	world_blocks(&w, A, 0, 2);
	struct ulid u =
		world_block(&w,
			    (struct block_spec){ .from_h = 4, .to_h = 6, .labels = A });
	world_blocks(&w, A, 6, 3);
	ulid_format(&u, id);
	snprintf(name, sizeof(name), "%s/chunks/000001", id);
	cr_assert_eq(bucket_delete(w.bucket, &w.ctx, str_of(name), &e), 0);
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	cr_assert_eq(r.quarantined, 1);
	cr_assert(world_has_mark(&w, MARK_NO_COMPACT, &u));
	world_end(&w);
}

Test(overlap, without_vertical_compaction_is_left_out_and_the_rest_goes_on)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	world_begin(&w);
	world_blocks(&w, A, 0, 4);
	world_block(&w,
		    (struct block_spec){
			    .from_h = 9, .to_h = 10, .labels = A, .source = "receive" });
	world_blocks(&w, A, 8, 2);
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	shows(&w,
	      "{a=\"1\"} 0-8 L2; {a=\"1\"} 8-10 L1; {a=\"1\"} 9-10 L1; {a=\"1\"} 10-12 L1; ");
	cr_assert_eq(r.overlapping, 2);
	cr_assert_eq(world_metric(&w, "thanosc_compact_overlapping_blocks"), 2);
	w.o.halt_on_error = true;
	cr_assert_eq(world_iterate(&w, &r, &e), -1);
	cr_assert(r.halted);
	world_end(&w);
}

Test(overlap, is_merged_with_vertical_compaction_but_never_downsampled)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	world_begin(&w);
	w.o.enable_vertical = true;
	world_block(&w, (struct block_spec){ .from_h = 0, .to_h = 2, .labels = A });
	world_block(&w, (struct block_spec){ .from_h = 1, .to_h = 3, .labels = A });
	struct ulid x = world_block(&w, (struct block_spec){ .from_h = 0,
							     .to_h = 48,
							     .labels = B,
							     .res_ms = 300000 });
	struct ulid y = world_block(&w, (struct block_spec){ .from_h = 0,
							     .to_h = 48,
							     .labels = B,
							     .res_ms = 300000 });
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	shows(&w, "{a=\"1\"} 0-3 L2; {b=\"1\"} 5m 0-48 L1; {b=\"1\"} 5m 0-48 L1; ");
	cr_assert(world_has_mark(&w, MARK_NO_COMPACT, &x) &&
		  world_has_mark(&w, MARK_NO_COMPACT, &y));
	cr_assert_eq(
		world_metric(
			&w,
			"thanos_compact_blocks_marked_total{marker=\"no-compact-mark.json\",reason=\"downsample-vertical-compaction\"}"),
		2);
	world_end(&w);
}

Test(guards, an_index_that_would_be_too_big_leaves_out_the_biggest)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	w.o.block_max_index_size = 120; /* three blocks of 2 lines of 16 bytes fit */
	world_blocks(&w, A, 0, 5);
	runs(&w, &r);
	cr_assert_geq(
		world_metric(
			&w,
			"thanos_compact_blocks_marked_total{marker=\"no-compact-mark.json\",reason=\"index-size-exceeding\"}"),
		1);
	cr_assert_geq(r.compactions, 1);
	world_end(&w);
}

Test(guards, an_empty_block_goes_and_one_that_lost_its_samples_does_not)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	w.o.enable_vertical = true;
	struct ulid x =
		world_block(&w,
			    (struct block_spec){ .from_h = 2, .to_h = 2, .labels = A });
	struct ulid y =
		world_block(&w,
			    (struct block_spec){ .from_h = 2, .to_h = 2, .labels = A });
	world_block(&w, (struct block_spec){ .from_h = 8, .to_h = 10, .labels = A });
	world_block(&w, (struct block_spec){ .from_h = 10, .to_h = 12, .labels = A });
	runs(&w, &r);
	cr_assert(world_has_mark(&w, MARK_DELETION, &x) &&
		  world_has_mark(&w, MARK_DELETION, &y));
	/* Though nothing covers them they are not read again. */
	uint32_t calls = fake_calls();
	runs(&w, &r);
	cr_assert_eq(fake_calls(), calls);
	world_end(&w);
}

Test(errors, that_may_go_away_are_tried_again)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	world_begin(&w);
	w.o.retries = 3;
	world_blocks(&w, A, 0, 5);
	fake_fail(3, E_UNAVAILABLE);
	runs(&w, &r);
	cr_assert_eq(r.compactions, 1);
	cr_assert_eq(world_metric(&w, "thanos_compact_retries_total"), 3);
	world_blocks(&w, B, 0, 5);
	fake_fail(4, E_UNAVAILABLE);
	cr_assert_eq(world_iterate(&w, &r, &e), -1);
	cr_assert_eq(e.code, E_UNAVAILABLE);
	cr_assert(r.retriable);
	cr_assert_eq(r.failed, 1);
	cr_assert_eq(r.quarantined, 0);
	cr_assert_eq(
		world_metric(
			&w,
			"thanos_compact_group_compactions_failures_total{resolution=\"0\"}"),
		1);
	world_end(&w);
}

Test(errors, of_one_group_do_not_stop_the_others)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	world_begin(&w);
	world_blocks(&w, A, 0, 5);
	world_blocks(&w, B, 0, 5);
	fake_fail(1, E_LIMIT);
	cr_assert_eq(world_iterate(&w, &r, &e), -1);
	cr_assert_eq(r.failed, 1);
	cr_assert_eq(r.compactions, 1);
	cr_assert_not(r.retriable);
	world_end(&w);
}

Test(errors, a_disk_too_small_is_told_before_anything_is_begun)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	struct arena a;
	struct fs_names names;
	char stage[128];
	world_begin(&w);
	arena_init(&a, NULL);
	world_blocks(&w, A, 0, 5);
	fake_need_disk(UINT64_MAX / 2);
	uint32_t calls = fake_calls();
	cr_assert_eq(world_iterate(&w, &r, &e), -1);
	cr_assert_eq(e.code, E_NOSPACE);
	cr_assert(strstr(err_text(&e), "bytes of disk in"), "%s", err_text(&e));
	cr_assert_eq(fake_calls(), calls);
	snprintf(stage, sizeof(stage), "%s/compact", w.data);
	cr_assert_eq(fs_list(&w.ctx, &a, stage, &names, &e), 0);
	cr_assert_eq(names.n, 0);
	arena_deinit(&a);
	world_end(&w);
}

Test(dry_run, tells_all_and_changes_nothing)
{
	struct world w;
	struct err e = ERR_INIT;
	struct compactor *c;
	struct buf out;
	struct arena a;
	world_begin(&w);
	arena_init(&a, NULL);
	buf_init(&out, 1 << 20);
	world_blocks(&w, A, 0, 26);
	const char *before = world_show(&w, &a);
	struct compactor_opts o = w.o;
	o.bucket = w.bucket;
	o.no_lease = false;
	cr_assert_eq(compactor_new(&w.ctx, &o, &c, &e), 0, "%s", err_text(&e));
	cr_assert_eq(compactor_dry_run(c, &w.ctx, &out, &e), 0);
	buf_byte(&out, 0);
	const char *text = (const char *)out.p;
	cr_assert(strstr(text, "7 compactions of 30 blocks"), "%s", text);
	cr_assert(strstr(text, "downsample to 5m group 0@"), "%s", text);
	cr_assert(strstr(text, "(0@{a=\"1\"}): 4 blocks"), "%s", text);
	cr_assert_str_eq(world_show(&w, &a), before);
	compactor_free(c);
	cr_assert_not(world_has(&w, "thanosc"));
	buf_deinit(&out);
	arena_deinit(&a);
	world_end(&w);
}

Test(selector, shards_work)
{
	struct world w;
	struct compactor_report r;
	struct err e = ERR_INIT;
	struct relabel *sel;
	world_begin(&w);
	world_blocks(&w, A, 0, 5);
	world_blocks(&w, B, 0, 5);
	cr_assert_eq(relabel_parse(&w.ctx,
				   STR("[{action: keep, source_labels: [a], regex: 1}]"),
				   RELABEL_SELECTOR, &sel, &e),
		     0);
	w.o.selector = sel;
	runs(&w, &r);
	shows(&w,
	      "{a=\"1\"} 0-8 L2; {a=\"1\"} 8-10 L1; {b=\"1\"} 0-2 L1; {b=\"1\"} 2-4 L1; "
	      "{b=\"1\"} 4-6 L1; {b=\"1\"} 6-8 L1; {b=\"1\"} 8-10 L1; ");
	relabel_free(sel);
	world_end(&w);
}
