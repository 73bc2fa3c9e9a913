/* Marks, the catalogue and its filters. */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "world.h"

#define EU_1 "01M81YVBWEZNH3H08SPVGX7K64"
#define EU_3 "01M81YVC0FJJQ87HKZ11JM4HFZ"
#define OOO  "01M81YVCNRNMYNP70R7FRKH4F0"
#define CASE "01M821NCFRPKGVBHCWCCWQMGB1"

static int parse(struct arena *a, enum mark_kind k, struct str json, struct block_mark *m,
		 struct err *e)
{
	*e = ERR_INIT;
	return mark_parse(NULL, a, k, json, m, e);
}

Test(mark, of_the_thanos_tool_is_read)
{
	struct world w;
	struct arena a;
	struct block_mark m;
	struct err e;
	char id[27];
	world_begin(&w);
	arena_init(&a, NULL);
	for (unsigned k = 0; k < 3; k++) {
		char path[80];
		snprintf(path, sizeof(path), "test/golden/marks/%s", mark_filename(k));
		cr_assert_eq(parse(&a, k, world_read(&w, &a, path), &m, &e), 0, "%s",
			     err_text(&e));
		ulid_format(&m.id, id);
		cr_assert_str_eq(id, "01M81ZG34KEVKQG5MZ08D3JYEK");
		cr_assert_eq(m.time_s, 1795362917);
		cr_assert(str_eqz(m.reason, k == MARK_DELETION ? "" : "manual"));
		if (k == MARK_DELETION)
			cr_assert(str_eqz(m.details, "no longer wanted: \"quoted\" é"));
	}
	arena_deinit(&a);
	world_end(&w);
}

Test(mark, that_is_damaged_is_named)
{
	static const struct {
		enum mark_kind k;
		const char *json, *text;
	} bad[] = {
		{ MARK_DELETION,
		  "{\"id\":\"" CASE "\",\"version\":9,\"deletion_time\":1}",
		  "unexpected deletion-mark file version 9, expected 1" },
		{ MARK_NO_COMPACT,
		  "{\"id\":\"" CASE "\",\"version\":1,\"no_compact_time\":\"x\"}",
		  "no-compact-mark file: no_compact_time is not an integer" },
		{ MARK_NO_DOWNSAMPLE, "", "no-downsample-mark file: " },
		{ MARK_DELETION, "[]", "not a JSON object" },
		{ MARK_DELETION, "{\"id\":\"x\",\"version\":1,\"deletion_time\":1}",
		  "id is not a ULID" },
		{ MARK_DELETION, "{\"id\":\"01M8", "deletion-mark file: " },
	};
	struct arena a;
	struct block_mark m;
	struct err e;
	arena_init(&a, NULL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cr_assert_eq(parse(&a, bad[i].k, str_of(bad[i].json), &m, &e), -1);
		cr_assert_eq(e.code, E_CORRUPT);
		cr_assert(strstr(err_text(&e), bad[i].text), "%s", err_text(&e));
	}
	arena_deinit(&a);
}

/* ---- catalogue ---- */

/* A meta.json of our own; the id's last letters tell blocks apart. */
static void put_meta(struct world *w, struct bucket *b, const char *id, int64_t mint,
		     const char *sources, const char *labels, const char *source, int res)
{
	char name[64], json[1024];
	snprintf(name, sizeof(name), "%s/meta.json", id);
	snprintf(
		json, sizeof(json),
		"{\"version\":1,\"ulid\":\"%s\",\"minTime\":%lld,\"maxTime\":%lld,"
		"\"compaction\":{\"level\":1,\"sources\":[%s]},\"thanos\":{\"labels\":{%s},"
		"\"downsample\":{\"resolution\":%d},\"source\":\"%s\"}}",
		id, (long long)mint, (long long)mint + 100, sources, labels, res, source);
	world_put(w, b, name, json);
}

static void shows(struct world *w, struct fetcher *f, const char *want)
{
	struct err e = ERR_INIT;
	struct catalogue *c;
	struct buf out;
	buf_init(&out, 1 << 16);
	cr_assert_eq(fetcher_sync(f, &w->ctx, &c, &e), 0, "%s", err_text(&e));
	for (size_t i = 0; i < c->n; i++) {
		char id[27];
		ulid_format(&c->block[i].meta.ulid, id);
		buf_fmt(&out, "%s ", id + 24);
	}
	buf_byte(&out, 0);
	cr_assert_str_eq((const char *)out.p, want);
	buf_deinit(&out);
	ref_put(&c->ref);
}

static void counts(struct metric_registry *reg, const char *state, int want)
{
	char line[128];
	struct buf out;
	snprintf(line, sizeof(line), "\nthanos_blocks_meta_synced{state=\"%s\"} %d\n",
		 state, want);
	buf_init(&out, 1 << 20);
	metric_write_text(reg, false, &out);
	buf_byte(&out, 0);
	cr_assert(strstr((const char *)out.p, line), "%s in %s", line, out.p);
	buf_deinit(&out);
}

#define ID(x) "01M81YVBWEZNH3H08SPVGX7K" x
#define Q(x)  "\"" ID(x) "\""

Test(fetcher, filters_and_counts_each_block_once)
{
	struct world w;
	char fresh[27], mark[64], json[200];
	struct ulid u;
	world_begin(&w);
	struct bucket *b = bucket_mem_new();
	struct metric_registry *reg = metric_registry_new();
	const char *l = "\"a\":\"b\"";
	put_meta(&w, b, ID("01"), 1000, Q("01"), l, "sidecar", 0);
	put_meta(&w, b, ID("02"), 1000, Q("02"), l, "sidecar", 0);
	put_meta(&w, b, ID("03"), 1000, Q("01") "," Q("02"), l, "compactor", 0);
	put_meta(&w, b, ID("04"), 1000, Q("01"), l, "compactor", 300000);
	put_meta(&w, b, ID("05"), 1000, Q("01"), "\"a\":\"c\"", "sidecar", 0);
	put_meta(&w, b, ID("06"), 500, Q("06"), l, "sidecar", 0);
	put_meta(&w, b, ID("07"), 1200, Q("07"), l, "sidecar", 0);
	put_meta(&w, b, ID("08"), 1000, Q("08"), l, "sidecar", 0);
	put_meta(&w, b, ID("09"), 1000, Q("09"), l, "sidecar", 0);
	world_put(&w, b, ID("10") "/index", "x");
	world_put(&w, b, ID("11") "/meta.json", "{\"version\":1");
	world_put(&w, b, "debug/metas/x.json", "{}");
	world_put(&w, b, "notaulid/meta.json", "{}");
	ulid_new(&u, time_wall_ms());
	ulid_format(&u, fresh);
	snprintf(json, sizeof(json), "\"%s\"", fresh);
	put_meta(&w, b, fresh, 1000, json, l, "sidecar", 0);
	snprintf(json, sizeof(json),
		 "{\"id\":\"" ID("08") "\",\"version\":1,\"deletion_time\":%lld}",
		 (long long)time_wall_ms() / 1000 - 7200);
	world_put(&w, b, ID("08") "/deletion-mark.json", json);
	snprintf(mark, sizeof(mark), ID("09") "/deletion-mark.json");
	snprintf(json, sizeof(json),
		 "{\"id\":\"" ID("09") "\",\"version\":1,\"deletion_time\":%lld}",
		 (long long)time_wall_ms() / 1000 - 60);
	world_put(&w, b, mark, json);
	struct fetcher_opts o = { .bucket = b,
				  .consistency_delay_ms = 600000,
				  .ignore_deletion_marks_ms = 3600000,
				  .dedup_sources = true,
				  .metrics = reg };
	struct fetcher *f = fetcher_new(&o);
	fetcher_range(f, 1000, 1199);
	shows(&w, f, "03 04 05 09 ");
	counts(reg, "loaded", 4);
	counts(reg, "duplicate", 2);
	counts(reg, "time-excluded", 2);
	counts(reg, "too-fresh", 1);
	counts(reg, "marked-for-deletion", 1);
	counts(reg, "no-meta-json", 1);
	counts(reg, "corrupted-meta-json", 1);
	counts(reg, "failed", 0);
	fetcher_free(f);
	metric_registry_free(reg);
	bucket_close(b);
	world_end(&w);
}

Test(fetcher, reads_each_meta_once_and_keeps_old_catalogues_alive)
{
	struct world w;
	struct err e = ERR_INIT;
	struct catalogue *c;
	char cache[100];
	world_begin(&w);
	snprintf(cache, sizeof(cache), "%s/meta-syncer", w.dir);
	struct bucket *b = bucket_mem_new();
	world_put_block(&w, b, GOLDEN, EU_1);
	world_put_block(&w, b, GOLDEN, OOO);
	struct fetcher_opts o = { .bucket = b, .cache_dir = cache };
	struct fetcher *f = fetcher_new(&o);
	uint64_t calls = bucket_mem_calls(b);
	cr_assert_eq(fetcher_sync(f, &w.ctx, &c, &e), 0);
	cr_assert_eq(bucket_mem_calls(b) - calls, 3);
	shows(&w, f, "64 F0 ");
	cr_assert_eq(bucket_mem_calls(b) - calls, 4);
	world_put_block(&w, b, GOLDEN, EU_3);
	cr_assert_eq(bucket_delete(b, &w.ctx, STR(OOO "/meta.json"), &e), 0);
	calls = bucket_mem_calls(b);
	shows(&w, f, "64 FZ ");
	cr_assert_eq(bucket_mem_calls(b) - calls, 2);
	fetcher_free(f);
	cr_assert_eq(c->n, 2);
	cr_assert(str_eqz(labels_get(c->block[0].meta.thanos.labels, STR("cluster")),
			  "eu"));
	ref_put(&c->ref);
	f = fetcher_new(&o); /* a restart reads the copies on disk */
	calls = bucket_mem_calls(b);
	shows(&w, f, "64 FZ ");
	cr_assert_eq(bucket_mem_calls(b) - calls, 1);
	fetcher_free(f);
	bucket_close(b);
	world_end(&w);
}

Test(fetcher, mends_a_damaged_copy_and_forgets_blocks_that_left)
{
	struct world w;
	struct err e = ERR_INIT;
	struct fs_stat st;
	char cache[100], path[160], other[160];
	world_begin(&w);
	snprintf(cache, sizeof(cache), "%s/meta-syncer", w.dir);
	snprintf(path, sizeof(path), "%s/" EU_1 "/meta.json", cache);
	snprintf(other, sizeof(other), "%s/" OOO, cache);
	struct bucket *b = bucket_mem_new();
	world_put_block(&w, b, GOLDEN, EU_1);
	struct fetcher_opts o = { .bucket = b, .cache_dir = cache };
	struct fetcher *f = fetcher_new(&o);
	shows(&w, f, "64 ");
	fetcher_free(f);
	cr_assert_eq(fs_stat(&w.ctx, path, &st, &e), 0);
	char *junk = xcalloc(1, st.size);
	cr_assert_eq(fs_write_atomic(&w.ctx, path, str_n(junk, st.size), &e), 0);
	free(junk);
	cr_assert_eq(fs_mkdir_p(&w.ctx, other, &e), 0);
	f = fetcher_new(&o);
	shows(&w, f, "64 ");
	fetcher_free(f);
	cr_assert_eq(fs_stat(&w.ctx, other, &st, &e), 0);
	cr_assert_eq(st.kind, FS_NONE);
	struct arena a;
	arena_init(&a, NULL);
	cr_assert(str_eq(world_read(&w, &a, path),
			 world_read(&w, &a, GOLDEN "/" EU_1 "/meta.json")));
	arena_deinit(&a);
	bucket_close(b);
	world_end(&w);
}

Test(fetcher, goes_on_past_damaged_marks_and_metas)
{
	static const char *const marks[][2] = {
		{ "mark-cut", "deletion-mark.json" },
		{ "mark-version", "deletion-mark.json" },
		{ "mark-types", "no-compact-mark.json" },
		{ "mark-empty", "no-downsample-mark.json" },
	};
	static const char *const metas[] = { "meta-empty",
					     "meta-cut",
					     "meta-not-json",
					     "meta-version",
					     "meta-types",
					     "meta-bad-ulid",
					     "meta-thanos-resolution",
					     "meta-thanos-label-type" };
	struct world w;
	struct arena a;
	world_begin(&w);
	arena_init(&a, NULL);
	for (size_t i = 0; i < ARRAY_LEN(marks) + ARRAY_LEN(metas); i++) {
		bool mark = i < ARRAY_LEN(marks);
		const char *file = mark ? marks[i][1] : "meta.json";
		const char *dir = mark ? marks[i][0] : metas[i - ARRAY_LEN(marks)];
		struct bucket *b = bucket_mem_new();
		struct task_pool *pool = task_pool_new(&(struct task_pool_opts){ 0 });
		struct fetcher_opts o = { .bucket = b, .pool = pool };
		world_put_block(&w, b, GOLDEN, EU_1);
		put_meta(&w, b, CASE, 1000, "\"" CASE "\"", "", "sidecar", 0);
		char *path = str_dupz(&a, str_fmt(&a, "test/golden/corrupt/cases/%s/%s",
						  dir, file));
		world_put(&w, b, str_fmt(&a, CASE "/%s", file).p,
			  world_read(&w, &a, path).p);
		struct fetcher *f = fetcher_new(&o);
		shows(&w, f, mark ? "64 B1 " : "64 ");
		shows(&w, f, mark ? "64 B1 " : "64 ");
		fetcher_free(f);
		task_pool_free(pool);
		bucket_close(b);
	}
	arena_deinit(&a);
	world_end(&w);
}

Test(fetcher, fails_when_the_store_is_away_and_recovers)
{
	struct world w;
	world_begin(&w);
	struct bucket *b = bucket_mem_new();
	world_put_block(&w, b, GOLDEN, EU_1);
	world_put_block(&w, b, GOLDEN, OOO);
	for (unsigned at = 1; at <= 3; at++) {
		struct err e = ERR_INIT;
		struct catalogue *c;
		struct fetcher_opts o = { .bucket = b };
		struct fetcher *f = fetcher_new(&o);
		bucket_mem_fail(b, at, false, false);
		cr_assert_eq(fetcher_sync(f, &w.ctx, &c, &e), -1);
		cr_assert_eq(e.code, E_UNAVAILABLE);
		shows(&w, f, "64 F0 ");
		fetcher_free(f);
	}
	bucket_close(b);
	world_end(&w);
}
