/*
 * Whole blocks downsampled: those that a real Thanos made, threads or none, damage, tombstones.
 */
#include "support/tst.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "downsample/downsample.h"
#include "unit/compact/world.h"

static int run(struct world *w, int64_t resolution)
{
	char id[27];

	ulid_new(&w->o.ulid, 1700000000000);
	ulid_format(&w->o.ulid, id);
	snprintf(w->out, sizeof(w->out), "%s/%s", w->dir, id);
	w->f.e = ERR_INIT;
	w->o.labels = w->src[w->n - 1].meta->thanos.labels;
	return compact_downsample(&w->f.ctx, &w->f.a, &w->src[w->n - 1], resolution,
				  &w->o, &w->r, &w->f.e);
}

static void must_run(struct world *w, int64_t resolution)
{
	cr_assert_eq(run(w, resolution), 0, "%s", err_text(&w->f.e));
	cr_assert_not(w->r.empty);
}

static struct str file_of(struct world *w, const char *dir, const char *name)
{
	struct buf b;
	buf_init(&b, (size_t)64 << 20);
	cr_assert_eq(fs_read_file(&w->f.ctx, str_fmt(&w->f.a, "%s/%s", dir, name).p,
				  (size_t)64 << 20, &b, &w->f.e),
		     0, "%s", err_text(&w->f.e));
	struct str s = str_dup(&w->f.a, buf_view(&b));
	buf_deinit(&b);
	return s;
}

/* All of meta.json but the names and times that belong to one run; sizes of files only where the files are the same. */
static void same_meta(struct world *w, const char *dir, bool same_files)
{
	struct block_meta got, want;
	struct buf a, b;
	buf_init(&a, LIMIT_META_BYTES);
	buf_init(&b, LIMIT_META_BYTES);
	cr_assert_eq(block_meta_parse(&w->f.ctx, &w->f.a, file_of(w, w->out, "meta.json"),
				      &got, &w->f.e),
		     0);
	cr_assert_eq(block_meta_parse(&w->f.ctx, &w->f.a, file_of(w, dir, "meta.json"),
				      &want, &w->f.e),
		     0);
	cr_assert_eq(ulid_cmp(&got.ulid, &w->o.ulid), 0);
	cr_assert_eq(got.thanos.upload_time.n, 0);
	got.ulid = want.ulid;
	got.thanos.upload_time = want.thanos.upload_time;
	cr_assert_eq(got.thanos.n_files, want.thanos.n_files);
	for (size_t i = 0; i < got.thanos.n_files && !same_files; i++)
		want.thanos.files[i].size_bytes = got.thanos.files[i].size_bytes;
	if (!same_files)
		want.thanos.chunk_max_size = got.thanos.chunk_max_size;
	if (got.stats.series ==
	    1) /* Thanos measures a series by where the next one begins */
		want.thanos.series_max_size = got.thanos.series_max_size;
	block_meta_write(&got, &a);
	block_meta_write(&want, &b);
	cr_assert(str_eq(buf_view(&a), buf_view(&b)), "%.*s\nnot\n%.*s", (int)a.n, a.p,
		  (int)b.n, b.p);
	buf_deinit(&a);
	buf_deinit(&b);
}

static void same_file(struct world *w, const char *dir, const char *name)
{
	struct str got = file_of(w, w->out, name), want = file_of(w, dir, name);
	cr_assert(str_eq(got, want), "%s of %s", name, dir);
}

static void same_rows(struct world *w, const char *folder, const char *id)
{
	static const char *const names[] = {
		NULL, "count", "sum", "min", "max", "counter"
	};
	for (int k = AGGR_COUNT; k < AGGR_N; k++) {
		struct rows got = { 0 }, want = { 0 };
		struct block *b = open_block(&w->f, w->out);
		struct block_series_req req = req_all;
		req.aggrs = AGGR_BIT(k);
		w->f.part = (enum aggr)k;
		cr_assert_eq(rows_of_block(&w->f, b, &req, &got), 0, "%s",
			     err_text(&w->f.e));
		rows_expected_aggr(
			&w->f,
			str_fmt(&w->f.a, "%s/expected/%s.series.tsv", folder, id).p,
			names[k], &want);
		rows_compare(names[k], &got, &want, false);
		cr_assert(got.n > 0 || k == AGGR_MIN || k == AGGR_MAX);
		free(got.v);
		free(want.v);
		block_unref(b);
	}
}

/* all: the files are the same byte by byte. */
static void as_thanos(const char *folder, const char *from, const char *to,
		      int64_t resolution, bool all, struct task_pool *pool)
{
	struct world w;
	world_begin(&w);
	w.o.pool = pool;
	world_add(&w, str_fmt(&w.f.a, "%s/bucket/%s", folder, from).p);
	must_run(&w, resolution);
	const char *dir = str_fmt(&w.f.a, "%s/bucket/%s", folder, to).p;
	same_meta(&w, dir, all);
	if (all) {
		same_file(&w, dir, "index");
		same_file(&w, dir, "chunks/000001");
	}
	same_rows(&w, folder, to);
	world_end(&w);
}

Test(downsample, long_block_to_5m_as_thanos)
{
	/* some chunks of histograms have other spans: see test/unit/downsample */
	as_thanos(COMPACTED "/long", "01M81ZG1AFEYDCZYWWR1WJRBN1",
		  "01M81ZG1BPPMPG42S5N10TVXMM", DOWNSAMPLE_5M, false, NULL);
}

Test(downsample, from_5m_to_1h_byte_by_byte)
{
	as_thanos(COMPACTED "/long", "01M81ZG1BPPMPG42S5N10TVXMM",
		  "01M81ZG1EBNEZAK9G1G515QTZB", DOWNSAMPLE_1H, true, NULL);
}

Test(downsample, custom_bounds_byte_by_byte)
{
	as_thanos(COMPACTED "/custom", "01M822436AE30GWB8424WN1FN3",
		  "01M8224373R5B5DXSMP1X780EE", DOWNSAMPLE_5M, true, NULL);
}

Test(downsample, with_helpers_as_thanos)
{
	struct task_pool *pool = task_pool_new(&(struct task_pool_opts){ .cpu = 3 });
	as_thanos(COMPACTED "/long-2d", "01M81ZFZ2TJQY0JY6YX6EZHYWY",
		  "01M81ZFZ851DWVJX7XHQTD8HZM", DOWNSAMPLE_5M, false, pool);
	as_thanos(COMPACTED "/long", "01M81ZG1BPPMPG42S5N10TVXMM",
		  "01M81ZG1EBNEZAK9G1G515QTZB", DOWNSAMPLE_1H, true, pool);
	task_pool_free(pool);
}

Test(downsample, helpers_change_no_byte)
{
	const char *raw = COMPACTED "/long-2d/bucket/01M81ZFZ2TJQY0JY6YX6EZHYWY";
	struct task_pool *pool = task_pool_new(&(struct task_pool_opts){ .cpu = 3 });
	struct world alone, helped;
	world_begin(&alone);
	world_begin(&helped);
	helped.o.pool = pool;
	world_add(&alone, raw);
	world_add(&helped, raw);
	must_run(&alone, DOWNSAMPLE_5M);
	must_run(&helped, DOWNSAMPLE_5M);
	same_file(&helped, alone.out, "index");
	same_file(&helped, alone.out, "chunks/000001");
	world_end(&helped);
	world_end(&alone);
	task_pool_free(pool);
}

/* ---- what goes wrong ---- */

static void nothing_is_left(struct world *w)
{
	struct fs_stat st;
	cr_assert_eq(fs_stat(&w->f.ctx, w->out, &st, &w->f.e), 0);
	cr_assert_eq(st.kind, FS_NONE);
	cr_assert_eq(fs_stat(&w->f.ctx, str_fmt(&w->f.a, "%s.tmp-for-creation", w->out).p,
			     &st, &w->f.e),
		     0);
	cr_assert_eq(st.kind, FS_NONE);
}

static void refused(struct world *w, int64_t resolution, enum err_code code,
		    enum compact_fault fault, size_t input, const char *text)
{
	cr_assert_eq(run(w, resolution), -1);
	cr_assert_eq(w->f.e.code, code, "%s", err_text(&w->f.e));
	cr_assert(str_find(str_of(err_text(&w->f.e)), str_of(text)) >= 0, "%s",
		  err_text(&w->f.e));
	cr_assert_eq(w->r.fault, fault);
	cr_assert_eq(w->r.fault_input, input);
	nothing_is_left(w);
}

Test(downsample, resolutions_follow_each_other)
{
	struct world w;
	world_begin(&w);
	world_add(&w, COMPACTED "/long/bucket/01M81ZG1AFEYDCZYWWR1WJRBN1");
	refused(&w, DOWNSAMPLE_1H, E_INVALID, COMPACT_FAULT_NONE, SIZE_MAX,
		"block 01M81ZG1AFEYDCZYWWR1WJRBN1 of resolution 0 cannot become");
	world_add(&w, COMPACTED "/long/bucket/01M81ZG1EBNEZAK9G1G515QTZB");
	refused(&w, DOWNSAMPLE_1H, E_INVALID, COMPACT_FAULT_NONE, SIZE_MAX,
		"of resolution 3600000 cannot become one of 3600000");
	world_end(&w);
}

/* The base block of test/golden/corrupt with one file of a case. */
static void add_damaged(struct world *w, const char *name, const char *file)
{
	static const char *const files[] = { "meta.json", "index", "chunks/000001" };
	const char *dir = str_fmt(&w->f.a, "%s/in-%s", w->dir, name).p;
	cr_assert_eq(fs_mkdir_p(&w->f.ctx, str_fmt(&w->f.a, "%s/chunks", dir).p, &w->f.e),
		     0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const char *from = "test/golden/corrupt/base";
		if (strcmp(files[i], file) == 0)
			from = str_fmt(&w->f.a, "test/golden/corrupt/cases/%s", name).p;
		cr_assert_eq(fs_write_atomic(&w->f.ctx,
					     str_fmt(&w->f.a, "%s/%s", dir, files[i]).p,
					     file_of(w, from, files[i]), &w->f.e),
			     0, "%s", err_text(&w->f.e));
	}
	world_add(w, dir);
}

Test(downsample, a_damaged_series_ends_it_and_is_named)
{
	static const struct {
		const char *name, *text;
	} cases[] = {
		{ "chunks-xor-count",
		  "{__name__=\"tiny\", i=\"0\"}: chunk 0: XOR chunk: " },
		{ "chunks-crc", "checksum" },
		{ "chunks-histogram-garbage", "chunk 0: histogram chunk: layout" },
		{ "chunks-xor-as-histogram",
		  "{__name__=\"tiny\", i=\"0\"}: chunk 0: histogram chunk" },
	};
	struct task_pool *pool = task_pool_new(&(struct task_pool_opts){ .cpu = 3 });
	for (size_t i = 0; i < ARRAY_LEN(cases) * 2; i++) {
		struct world w;
		world_begin(&w);
		w.o.pool = i % 2 ? pool : NULL;
		add_damaged(&w, cases[i / 2].name, "chunks/000001");
		refused(&w, DOWNSAMPLE_5M, E_CORRUPT, COMPACT_FAULT_UNREADABLE, 0,
			cases[i / 2].text);
		cr_assert(str_find(str_of(err_text(&w.f.e)), STR("block ")) == 0, "%s",
			  err_text(&w.f.e));
		world_end(&w);
	}
	task_pool_free(pool);
}

Test(downsample, cancelling_blames_no_one)
{
	struct world w;
	world_begin(&w);
	world_add(&w, COMPACTED "/long/bucket/01M81ZG1AFEYDCZYWWR1WJRBN1");
	cancel_now(w.f.ctx.cancel, "enough");
	cr_assert_eq(run(&w, DOWNSAMPLE_5M), -1);
	cr_assert_eq(w.f.e.code, E_CANCELLED, "%s", err_text(&w.f.e));
	cr_assert_eq(w.r.fault, COMPACT_FAULT_NONE);
	world_end(&w);
}

static uint64_t samples_of(struct world *w)
{
	struct rows rows = { 0 };
	struct block *b = open_block(&w->f, w->out);
	struct block_series_req req = req_all;
	double n = 0;
	req.aggrs = AGGR_BIT(AGGR_COUNT);
	w->f.part = AGGR_COUNT;
	cr_assert_eq(rows_of_block(&w->f, b, &req, &rows), 0);
	for (size_t i = 0; i < rows.n; i++)
		n += rows.v[i].sum;
	block_unref(b);
	free(rows.v);
	return (uint64_t)n;
}

Test(downsample, deleted_samples_stay_deleted)
{
	struct world w;
	world_begin(&w);
	add_damaged(&w, "none", "");
	must_run(&w, DOWNSAMPLE_5M);
	uint64_t all = samples_of(&w);
	struct str stones = file_of(&w, "test/golden/corrupt/base", "tombstones");
	struct tombstones *t;
	cr_assert_eq(tombstones_parse(&w.f.ctx, stones, &t, &w.f.e), 0);
	w.src[0].tombstones = t;
	must_run(&w, DOWNSAMPLE_5M);
	cr_assert_lt(samples_of(&w), all);
	w.src[0].tombstones = NULL;
	tombstones_free(t);
	world_end(&w);
}
