/*
 * The real work over recorded blocks, through a folder as bucket: the same blocks as a real `thanos compact` made of them
 * (times, levels, resolutions, labels, series, samples; what is in them is compared by the tests of lib/compact).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"
#include "world.h"

static const struct compactor_work real = { compact_blocks, compact_downsample,
					    compact_disk_bound, compact_memory_bound };

static void copy(struct world *w, const char *from, const char *to)
{
	struct err e = ERR_INIT;
	struct arena a;
	struct fs_names names;
	arena_init(&a, NULL);
	cr_assert_eq(fs_mkdir_p(&w->ctx, to, &e), 0, "%s", err_text(&e));
	cr_assert_eq(fs_list(&w->ctx, &a, from, &names, &e), 0, "%s", err_text(&e));
	for (size_t i = 0; i < names.n; i++) {
		struct fs_stat st;
		char *src = str_dupz(&a, str_fmt(&a, "%s/%.*s", from,
						 STR_FMT(names.name[i])));
		char *dst =
			str_dupz(&a, str_fmt(&a, "%s/%.*s", to, STR_FMT(names.name[i])));
		cr_assert_eq(fs_stat(&w->ctx, src, &st, &e), 0);
		if (st.kind == FS_DIR)
			copy(w, src, dst);
		else
			cr_assert_eq(fs_link_or_copy(&w->ctx, src, dst, &e), 0, "%s",
				     err_text(&e));
	}
	arena_deinit(&a);
}

/* A folder in the world's as bucket, with these blocks in it. */
static void begin(struct world *w, const char *from, const char *const *ids, size_t n)
{
	struct err e = ERR_INIT;
	char dir[128], src[160], dst[192];
	world_begin(w);
	bucket_close(w->bucket);
	snprintf(dir, sizeof(dir), "%s/bucket", w->dir);
	cr_assert_eq(fs_mkdir_p(&w->ctx, dir, &e), 0);
	for (size_t i = 0; i < n; i++) {
		snprintf(src, sizeof(src), "%s/%s", from, ids[i]);
		snprintf(dst, sizeof(dst), "%s/%s", dir, ids[i]);
		copy(w, src, dst);
	}
	cr_assert_eq(bucket_fs_open(&w->ctx, dir, &w->bucket, &e), 0, "%s", err_text(&e));
	w->o.work = &real;
}

static int by_text(const void *a, const void *b, void *arg)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static const char *sorted(struct arena *a, struct str *v, size_t n)
{
	struct str s = STR("");
	vec_sort(v, n, sizeof(*v), by_text, NULL);
	for (size_t i = 0; i < n; i++)
		s = str_fmt(a, "%.*s%.*s\n", STR_FMT(s), STR_FMT(v[i]));
	return str_dupz(a, s);
}

/* Of each unmarked block: level, resolution, times, series, samples. */
static const char *found(struct world *w, struct arena *a)
{
	struct err e = ERR_INIT;
	struct catalogue *c;
	struct fetcher *f = fetcher_new(&(struct fetcher_opts){
		.bucket = w->bucket, .ignore_deletion_marks_ms = -1 });
	struct str v[64];
	size_t n = 0;
	cr_assert_eq(fetcher_sync(f, &w->ctx, &c, &e), 0, "%s", err_text(&e));
	for (size_t i = 0; i < c->n; i++) {
		const struct block_meta *m = &c->block[i].meta;
		if (c->block[i].deletion_time_s)
			continue;
		v[n++] = str_fmt(a, "%d %lld %lld %lld %llu %llu", m->compaction.level,
				 (long long)m->thanos.resolution_ms,
				 (long long)m->mint_ms, (long long)m->maxt_ms,
				 (unsigned long long)m->stats.series,
				 (unsigned long long)m->stats.samples);
	}
	ref_put(&c->ref);
	fetcher_free(f);
	return sorted(a, v, n);
}

/* The same of a blocks.tsv. */
static const char *recorded(struct world *w, struct arena *a, const char *path)
{
	struct err e = ERR_INIT;
	struct buf raw;
	struct str rest, line, v[64];
	size_t n = 0;
	buf_init(&raw, 1 << 20);
	cr_assert_eq(fs_read_file(&w->ctx, path, 1 << 20, &raw, &e), 0, "%s",
		     err_text(&e));
	rest = str_dup(a, buf_view(&raw));
	buf_deinit(&raw);
	str_cut(&rest, '\n', &line);
	while (str_cut(&rest, '\n', &line)) {
		struct str f[10];
		size_t k = 0;
		while (k < 10 && str_cut(&line, '\t', &f[k]))
			k++;
		v[n++] = str_fmt(a, "%.*s %.*s %.*s %.*s %.*s %.*s", STR_FMT(f[1]),
				 STR_FMT(f[2]), STR_FMT(f[3]), STR_FMT(f[4]),
				 STR_FMT(f[5]), STR_FMT(f[6]));
	}
	return sorted(a, v, n);
}

static const char *const ha[] = {
	"01M81YVBWEZNH3H08SPVGX7K64", "01M81YVBY4NA3B6XZW802F13GJ",
	"01M81YVC0FJJQ87HKZ11JM4HFZ", "01M81YVC3EVHVHW5856NGMRBBV",
	"01M81YVC55WBG00SVR84EHFB03", "01M81YVC6WDF4WE3GFR0FN50G7",
};

static void ha_pair(bool penalty, const char *want)
{
	struct world w;
	struct arena a;
	struct compactor_report r;
	struct err e;
	const struct str replica[] = { STR("replica") };
	arena_init(&a, NULL);
	begin(&w, "test/golden/blocks/bucket", ha, ARRAY_LEN(ha));
	w.o.replica_labels = replica;
	w.o.n_replica_labels = 1;
	w.o.dedup_penalty = penalty;
	w.o.downsampling_disable = true;
	w.o.hash_sha256 = true;
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	cr_assert_str_eq(found(&w, &a), recorded(&w, &a, want));
	cr_assert_eq(r.compactions, 3);
	cr_assert_eq(r.marked_deletion, 6);
	world_check_whole(&w);
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	cr_assert_eq(r.compactions + r.marked_deletion, 0);
	arena_deinit(&a);
	world_end(&w);
}

Test(real, an_ha_pair_becomes_what_thanos_makes_of_it)
{
	ha_pair(true, "test/golden/compacted/ha-penalty/blocks.tsv");
	ha_pair(false, "test/golden/compacted/ha-1to1/blocks.tsv");
}

Test(real, a_long_block_is_downsampled_twice_as_thanos_does)
{
	static const char *const ids[] = { "01M81ZG1AFEYDCZYWWR1WJRBN1",
					   "01M81ZDJFWJQYDEDZDEFP1PRDF",
					   "01M81ZDJGRDA0XZ9JMXA18RYSV",
					   "01M81ZDJHMKCQPPDS0KHA2WSVC" };
	struct world w;
	struct arena a;
	struct compactor_report r;
	struct err e;
	arena_init(&a, NULL);
	begin(&w, "test/golden/compacted/long/bucket", ids, ARRAY_LEN(ids));
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	cr_assert_str_eq(found(&w, &a),
			 recorded(&w, &a, "test/golden/compacted/long/blocks.tsv"));
	cr_assert_eq(r.downsamplings, 2);
	world_check_whole(&w);
	arena_deinit(&a);
	world_end(&w);
}

/* The times of `long`, whose inputs were 147 blocks of 2 h: the same plans, level by level. */
Test(real, plans_of_twelve_days_end_as_those_of_thanos)
{
	struct world w;
	struct arena a;
	struct compactor_report r;
	struct err e;
	world_begin(&w);
	arena_init(&a, NULL);
	w.t0_ms = 1787961600000;
	world_blocks(&w, "\"cluster\":\"long\"", 0, 147);
	cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s", err_text(&e));
	cr_assert_str_eq(
		world_show(&w, &a),
		"{cluster=\"long\"} 0-288 L4; {cluster=\"long\"} 288-290 L1; "
		"{cluster=\"long\"} 290-292 L1; {cluster=\"long\"} 292-294 L1; "
		"{cluster=\"long\"} 5m 0-288 L4; {cluster=\"long\"} 1h 0-288 L4; ");
	arena_deinit(&a);
	world_end(&w);
}
