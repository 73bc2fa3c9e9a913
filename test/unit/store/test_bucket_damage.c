/* Each damaged block of test/golden/corrupt beside a good one: the good one is served whole, always. */
#include <stdio.h>

#include "bucket_world.h"
#include "fs/fs.h"
#include "support/tst.h"

#define CORRUPT "test/golden/corrupt"
#define GOOD	"01M81YVC0FJJQ87HKZ11JM4HFZ"
#define BAD	"01M821NCFRPKGVBHCWCCWQMGB1"

static struct err e;

static void put(struct world *w, const char *from, const char *to)
{
	struct buf b;
	buf_init(&b, 1 << 24);
	cr_assert_eq(fs_read_file(&w->ctx, from, 1 << 24, &b, &e), 0, "%s", err_text(&e));
	struct str name = str_fmt(&w->arena, BAD "/%s", to);
	cr_assert_eq(bucket_put_bytes(w->bucket, &w->ctx, name, buf_view(&b), &e), 0);
	buf_deinit(&b);
}

/* The base block with an external label, as if shipped. */
static void put_base(struct world *w)
{
	static const struct label eu = { { "cluster", 7 }, { "eu", 2 } };
	struct block_meta m;
	struct buf b;
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(&w->ctx, CORRUPT "/base/meta.json", 1 << 20, &b, &e),
		     0);
	cr_assert_eq(block_meta_parse(&w->ctx, &w->arena, buf_view(&b), &m, &e), 0);
	cr_assert(ulid_parse(STR(BAD), &m.ulid));
	m.has_thanos = true;
	m.thanos.labels = (struct labels){ &eu, 1, 0 };
	m.thanos.source = STR("sidecar");
	buf_reset(&b);
	block_meta_write(&m, &b);
	cr_assert_eq(bucket_put_bytes(w->bucket, &w->ctx, STR(BAD "/meta.json"),
				      buf_view(&b), &e),
		     0);
	buf_deinit(&b);
	put(w, CORRUPT "/base/index", "index");
	put(w, CORRUPT "/base/chunks/000001", "chunks/000001");
}

/* Put the case's file in place, or take it away. */
static void damage(struct world *w, const char *name, const char *file)
{
	struct fs_stat st;
	const char *from = str_fmt(&w->arena, CORRUPT "/cases/%s/%s", name, file).p;
	cr_assert_eq(fs_stat(&w->ctx, from, &st, &e), 0);
	if (st.kind == FS_FILE)
		put(w, from, file);
	else
		cr_assert_eq(bucket_delete(w->bucket, &w->ctx,
					   str_fmt(&w->arena, BAD "/%s", file), &e),
			     0);
}

static size_t warnings(struct world *w)
{
	struct notes_view v;
	notes_view(w->ctx.notes, &w->arena, &v);
	return v.n_warnings;
}

static bool run_case(const char *name, const char *file, bool open_fails)
{
	static const char *const good[] = { GOOD, NULL };
	struct lines got = { 0 }, want = { 0 };
	struct world w;
	world_open(&w, NULL);
	world_copy(&w, GOOD);
	put_base(&w);
	damage(&w, name, file);
	world_sync(&w);
	if (open_fails)
		cr_assert_eq(
			world_metric(&w, "thanos_bucket_store_blocks_loaded") +
				world_metric(
					&w,
					"thanos_bucket_store_block_load_failures_total"),
			2, "%s", name);
	struct store_series_req r = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };
	r.matchers = world_matchers(&w, "zzz=", &r.n_matchers);
	cr_assert_eq(world_answer(&w, &r, &got, &e), 0, "%s: %s", name, err_text(&e));
	world_expect(&w, &r, good, &want);
	lines_sort(&got);
	lines_sort(&want);
	size_t at = 0;
	for (size_t i = 0; i < want.n; i++) {
		while (at < got.n && strcmp(got.v[at], want.v[i]) < 0)
			at++;
		cr_assert(at < got.n && strcmp(got.v[at], want.v[i]) == 0, "%s: %s lacks",
			  name, want.v[i]);
	}
	bool warned = warnings(&w) > 0;
	lines_free(&got);
	lines_free(&want);
	world_close(&w);
	return warned;
}

Test(bucket_damage, a_good_block_is_served_whole_beside_any_damage)
{
	struct arena a;
	struct ctx ctx;
	struct buf b;
	struct str text, line, name, file, what;
	size_t n = 0, warned = 0;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(&ctx, CORRUPT "/cases.tsv", 1 << 20, &b, &e), 0);
	text = buf_view(&b);
	while (str_cut(&text, '\n', &line)) {
		if (!str_cut(&line, '\t', &name) || !str_cut(&line, '\t', &file) ||
		    !str_cut(&line, '\t', &what) || !str_cut(&line, '\t', &what))
			continue;
		bool index = str_eqz(file, "index");
		if (!index && !str_has_prefix(file, STR("chunks/")))
			continue;
		bool fails = str_eqz(what, "open fails");
		bool said = run_case(str_dupz(&a, name), str_dupz(&a, file), fails);
		cr_assert(said || !fails, "%.*s: silent", STR_FMT(name));
		warned += said;
		n++;
	}
	cr_assert_gt(n, 30);
	cr_assert_gt(warned, 20);
	buf_deinit(&b);
	arena_deinit(&a);
	ctx_deinit(&ctx);
}
