/* Garbage, retention, deletion, aborted uploads: what goes, and what never does. */
#include <math.h>
#include <stdio.h>

#include "world.h"

#define A "\"a\":\"1\""
#define B "\"b\":\"1\""

static void runs(struct world *w, struct compactor_report *r)
{
	struct err e;
	cr_assert_eq(world_iterate(w, r, &e), 0, "%s", err_text(&e));
}

static bool is_gone(struct world *w, const struct ulid *id)
{
	char text[27], name[64];
	ulid_format(id, text);
	snprintf(name, sizeof(name), "%s/meta.json", text);
	bool meta = world_has(w, name);
	snprintf(name, sizeof(name), "%s/index", text);
	cr_assert_eq(world_has(w, name), meta);
	return !meta;
}

static struct ulid block(struct world *w, int from, int to, const char *labels,
			 int64_t res)
{
	return world_block(w, (struct block_spec){ .from_h = from,
						   .to_h = to,
						   .labels = labels,
						   .res_ms = res,
						   .level = 3 });
}

Test(deletion, waits_for_its_delay_and_reads_marks_as_thanos)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	int64_t now = w.o.now_ms(&w);
	struct ulid old = block(&w, 0, 2, A, 0), young = block(&w, 0, 2, B, 0);
	world_mark(&w, MARK_DELETION, &old, now - 49 * HOUR_MS);
	world_mark(&w, MARK_DELETION, &young, now - 47 * HOUR_MS);
	runs(&w, &r);
	cr_assert(is_gone(&w, &old));
	cr_assert_not(is_gone(&w, &young));
	cr_assert_eq(r.deleted, 1);
	cr_assert_eq(world_metric(&w, "thanos_compact_blocks_cleaned_total"), 1);
	world_end(&w);
}

/* For half of the delay a marked block is still compacted with the others, so that no gap comes up. */
Test(deletion, marked_blocks_take_part_for_half_of_the_delay)
{
	for (int hours = 23; hours <= 25; hours += 2) {
		struct world w;
		struct compactor_report r;
		world_begin(&w);
		int64_t now = w.o.now_ms(&w);
		world_blocks(&w, A, 0, 1);
		struct ulid u = block(&w, 2, 4, A, 0);
		world_blocks(&w, A, 4, 3);
		struct block_mark m = { u, now / 1000 - hours * 3600, STR("by hand"),
					STR("") };
		struct err e = ERR_INIT;
		cr_assert_eq(mark_put(w.bucket, &w.ctx, MARK_DELETION, &m, &e), 0);
		runs(&w, &r);
		struct arena a;
		arena_init(&a, NULL);
		cr_assert_str_eq(world_show(&w, &a),
				 hours < 24 ? "{a=\"1\"} 0-8 L4; {a=\"1\"} 8-10 L1; "
					    : "{a=\"1\"} 0-8 L2; {a=\"1\"} 8-10 L1; ");
		arena_deinit(&a);
		world_end(&w);
	}
}

Test(retention, marks_by_resolution_what_is_wholly_older)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	int64_t age_h = (w.o.now_ms(&w) - w.t0_ms) / HOUR_MS; /* of hour 0 */
	struct ulid raw = block(&w, 0, 2, A, 0), raw2 = block(&w, 100, 102, A, 0);
	struct ulid five = block(&w, 0, 48, B, 300000),
		    hour = block(&w, 0, 48, B, 3600000);
	w.o.retention_ms[0] = (age_h - 50) * HOUR_MS;
	w.o.retention_ms[1] = (age_h - 49) * HOUR_MS;
	w.o.retention_ms[2] = 0;
	runs(&w, &r);
	cr_assert(world_has_mark(&w, MARK_DELETION, &raw));
	cr_assert_not(world_has_mark(&w, MARK_DELETION, &raw2));
	cr_assert(world_has_mark(&w, MARK_DELETION, &five));
	cr_assert_not(world_has_mark(&w, MARK_DELETION, &hour));
	cr_assert_eq(r.marked_deletion, 2);
	cr_assert_eq(world_metric(&w, "thanos_compact_todo_deletion_blocks"), 2);
	/* Marked once. */
	runs(&w, &r);
	cr_assert_eq(r.marked_deletion, 0);
	world_end(&w);
}

Test(retention, makes_the_5m_block_before_it_takes_the_raw_one)
{
	struct world w;
	struct compactor_report r;
	struct arena a;
	world_begin(&w);
	arena_init(&a, NULL);
	block(&w, 0, 48, A, 0);
	w.o.retention_ms[0] = 100 * HOUR_MS;
	runs(&w, &r);
	cr_assert_str_eq(world_show(&w, &a), "{a=\"1\"} 5m 0-48 L3; ");
	arena_deinit(&a);
	world_end(&w);
}

static struct retention_config *config(struct world *w, const char *yaml)
{
	struct err e = ERR_INIT;
	struct retention_config *c = NULL;
	cr_assert_eq(retention_config_parse(&w->ctx, str_of(yaml), &c, &e), 0, "%s",
		     err_text(&e));
	return c;
}

Test(retention, a_policy_stands_before_the_flags)
{
	struct world w;
	struct compactor_report r;
	struct arena a;
	world_begin(&w);
	arena_init(&a, NULL);
	block(&w, 0, 2, A, 0);
	block(&w, 0, 2, B, 0);
	block(&w, 0, 2, "\"c\":\"1\"", 0);
	struct retention_config *c = config(&w, "policies:\n"
						"- match: ['{a=\"1\"}', '{x=\"y\"}']\n"
						"  resolution_raw: 0d\n"
						"- match: ['{b=~\".+\"}']\n"
						"  resolution_raw: 3d\n");
	w.o.retention = c;
	w.o.retention_ms[0] = 10000 * HOUR_MS;
	runs(&w, &r);
	cr_assert_str_eq(world_show(&w, &a), "{a=\"1\"} 0-2 L3; {c=\"1\"} 0-2 L3; ");
	w.o.retention_ms[0] = 100 * HOUR_MS;
	runs(&w, &r);
	cr_assert_str_eq(world_show(&w, &a), "{a=\"1\"} 0-2 L3; ");
	retention_config_free(c);
	arena_deinit(&a);
	world_end(&w);
}

Test(retention, by_size_takes_the_oldest_of_each_tenant_but_never_the_newest)
{
	struct world w;
	struct compactor_report r;
	struct arena a;
	world_begin(&w);
	arena_init(&a, NULL);
	w.o.downsampling_disable = true;
	/* Too far apart to be compacted; each about 480 bytes. */
	for (int i = 0; i < 4; i++) {
		block(&w, 400 * i, 400 * i + 2, "\"t\":\"x\"", 0);
		block(&w, 400 * i, 400 * i + 2, "\"t\":\"y\"", 0);
	}
	block(&w, 0, 2, "\"t\":\"z\"", 0);
	struct retention_config *c =
		config(&w,
		       "policies: [{match: ['{t!=\"\"}'], per: [t], max_size: 1100}]");
	w.o.retention = c;
	runs(&w, &r);
	cr_assert_str_eq(
		world_show(&w, &a),
		"{t=\"x\"} 800-802 L3; {t=\"x\"} 1200-1202 L3; "
		"{t=\"y\"} 800-802 L3; {t=\"y\"} 1200-1202 L3; {t=\"z\"} 0-2 L3; ");
	retention_config_free(c);
	c = config(&w, "max_size: 1\n");
	w.o.retention = c;
	runs(&w, &r);
	cr_assert_str_eq(
		world_show(&w, &a),
		"{t=\"x\"} 1200-1202 L3; {t=\"y\"} 1200-1202 L3; {t=\"z\"} 0-2 L3; ");
	retention_config_free(c);
	arena_deinit(&a);
	world_end(&w);
}

Test(retention, by_size_spares_what_is_still_to_be_downsampled)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	world_begin(&w);
	struct ulid old = block(&w, 0, 48, A, 0);
	block(&w, 400, 402, A, 0);
	struct retention_config *c = config(&w, "max_size: 1\n");
	w.o.retention = c;
	fake_fail(1, E_UNAVAILABLE); /* so that there is no 5m block yet */
	cr_assert_eq(world_iterate(&w, &r, &e), -1);
	cr_assert_not(world_has_mark(&w, MARK_DELETION, &old));
	runs(&w, &r);
	cr_assert(world_has_mark(&w, MARK_DELETION, &old));
	retention_config_free(c);
	world_end(&w);
}

Test(retention, a_config_that_is_wrong_is_named)
{
	static const struct {
		const char *yaml, *why;
	} bad[] = {
		{ "policies: [{match: ['{a=']}]", "policy 1: match" },
		{ "policies: [{max_size: x}]", "invalid max_size \"x\"" },
		{ "policies: [{}, {resolution_5m: 3}]",
		  "policy 2: invalid resolution_5m" },
		{ "policy: []", "unknown key" },
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = ERR_INIT;
		struct retention_config *c = NULL;
		cr_expect_eq(retention_config_parse(NULL, str_of(bad[i].yaml), &c, &e),
			     -1);
		cr_expect(strstr(err_text(&e), bad[i].why), "%s", err_text(&e));
		retention_config_free(c);
	}
	struct world w;
	struct compactor_report r;
	struct err e;
	world_begin(&w);
	struct retention_config *c = config(&w, "policies: [{resolution_raw: 39h}]");
	w.o.retention = c;
	cr_assert_eq(world_iterate(&w, &r, &e), -1);
	cr_assert(strstr(err_text(&e), "40 hours"), "%s", err_text(&e));
	retention_config_free(c);
	world_end(&w);
}

/* ---- aborted uploads ---- */

Test(partial, goes_after_48_hours_without_a_new_object)
{
	struct world w;
	struct compactor_report r;
	world_begin(&w);
	world_put(&w, "01M38BCG00000000000000000X/index", "x");
	world_put(&w, "01M38BCG00000000000000000X/chunks/000001", "x");
	world_put(&w, "notaulid/index", "x");
	world_put(&w, "debug/metas/01M38BCG00000000000000000X.json", "x");
	w.shift_ms = 47 * HOUR_MS;
	runs(&w, &r);
	cr_assert_eq(r.partial_deleted, 0);
	w.shift_ms = 49 * HOUR_MS;
	runs(&w, &r);
	cr_assert_eq(r.partial_deleted, 1);
	cr_assert_not(world_has(&w, "01M38BCG00000000000000000X/index"));
	cr_assert_not(world_has(&w, "01M38BCG00000000000000000X/chunks/000001"));
	cr_assert(world_has(&w, "notaulid/index"));
	cr_assert(world_has(&w, "debug/metas/01M38BCG00000000000000000X.json"));
	cr_assert_eq(
		world_metric(
			&w,
			"thanos_compact_aborted_partial_uploads_deletion_attempts_total"),
		1);
	world_end(&w);
}

Test(partial, that_grew_since_the_last_sweep_stays)
{
	struct world w;
	struct err e = ERR_INIT;
	struct compactor *c;
	world_begin(&w);
	world_put(&w, "01M38BCG00000000000000000X/index", "x");
	struct compactor_opts o = w.o;
	o.bucket = w.bucket;
	cr_assert_eq(compactor_new(&w.ctx, &o, &c, &e), 0, "%s", err_text(&e));
	cr_assert_eq(compactor_cleanup(c, &w.ctx, &e), 0);
	world_put(&w, "01M38BCG00000000000000000X/chunks/000001", "x");
	w.shift_ms = 49 * HOUR_MS;
	cr_assert_eq(compactor_cleanup(c, &w.ctx, &e), 0);
	cr_assert(world_has(&w, "01M38BCG00000000000000000X/index"));
	cr_assert_eq(compactor_cleanup(c, &w.ctx, &e), 0);
	cr_assert_not(world_has(&w, "01M38BCG00000000000000000X/index"));
	compactor_free(c);
	world_end(&w);
}

/* The kinds of damage that fixtures/compacted/partial has: nothing stops, and only what is nobody's data goes. */
Test(partial, damage_of_every_kind_stops_nobody)
{
	struct world w;
	struct compactor_report r;
	struct arena a;
	world_begin(&w);
	arena_init(&a, NULL);
	world_blocks(&w, A, 0, 5);
	world_put(&w, "01M38BCG00000000000000000A/index", "no meta.json");
	world_put(&w, "01M38BCG00000000000000000B/chunks/000001", "only chunks");
	world_put(&w, "01M38BCG00000000000000000C/meta.json", "");
	world_put(&w, "01M38BCG00000000000000000C/index", "empty meta.json");
	world_put(&w, "01M38BCG00000000000000000D/meta.json", "{\"version\":1,");
	world_put(&w, "01M38BCG00000000000000000D/index", "meta.json cut off");
	world_put(
		&w, "01M38BCG00000000000000000E/deletion-mark.json",
		"{\"id\":\"01M38BCG00000000000000000E\",\"version\":1,\"deletion_time\":7}");
	world_put(&w, "01M38BCG00000000000000000F/deletion-mark.json", "");
	world_put(&w, "stray.txt", "x");
	w.shift_ms = 49 * HOUR_MS;
	runs(&w, &r);
	cr_assert_str_eq(world_show(&w, &a), "{a=\"1\"} 0-8 L2; {a=\"1\"} 8-10 L1; ");
	cr_assert_eq(r.partial_deleted, 2); /* A, B */
	cr_assert_eq(r.deleted, 1);	    /* E */
	cr_assert(world_has(&w, "01M38BCG00000000000000000C/index"));
	cr_assert(world_has(&w, "01M38BCG00000000000000000D/index"));
	cr_assert(world_has(&w, "stray.txt"));
	arena_deinit(&a);
	world_end(&w);
}

/* A block that says it covers others, but has lost a file, costs nothing. */
Test(garbage, is_only_what_a_whole_block_covers)
{
	struct world w;
	struct compactor_report r;
	struct err e;
	struct arena a;
	world_begin(&w);
	arena_init(&a, NULL);
	world_blocks(&w, A, 0, 5);
	runs(&w, &r);
	cr_assert_eq(r.marked_deletion, 4);
	/* The marks are taken away, and the output loses its chunks. */
	struct fetcher *f = fetcher_new(&(struct fetcher_opts){
		.bucket = w.bucket, .ignore_deletion_marks_ms = -1 });
	struct catalogue *c;
	cr_assert_eq(fetcher_sync(f, &w.ctx, &c, &e), 0);
	char id[27], name[64];
	ulid_format(&c->block[c->n - 1].meta.ulid, id);
	for (size_t i = 0; i < c->n; i++)
		cr_assert_eq(mark_remove(w.bucket, &w.ctx, MARK_DELETION,
					 &c->block[i].meta.ulid, &e),
			     0);
	ref_put(&c->ref);
	fetcher_free(f);
	snprintf(name, sizeof(name), "%s/chunks/000001", id);
	cr_assert_eq(bucket_delete(w.bucket, &w.ctx, str_of(name), &e), 0);
	w.o.enable_vertical = false;
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	cr_assert_eq(r.garbage, 0);
	cr_assert_eq(r.marked_deletion, 0);
	/* It is whole again: now its inputs are garbage. */
	world_put(&w, name, "chunks");
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	cr_assert_eq(r.garbage, 4);
	arena_deinit(&a);
	world_end(&w);
}
