/* One acceptance test for every kind of bucket, and what is particular to each. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_s3.h"
#include "fs/fs.h"
#include "loop/loop.h"
#include "objstore/bucket.h"
#include "support/tst.h"

static struct ctx ctx;
static char dir[64];

static void begin(void)
{
	struct err e = ERR_INIT;
	ctx_init(&ctx, NULL, 0);
	snprintf(dir, sizeof(dir), "/tmp/thanosc-objstore-XXXXXX");
	cr_assert_not_null(mkdtemp(dir), "%s", err_text(&e));
}

static void end(void)
{
	struct err e = ERR_INIT;
	cr_assert_eq(fs_remove_all(&ctx, dir, &e), 0, "%s", err_text(&e));
	ctx_deinit(&ctx);
}

static void put(struct bucket *b, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	cr_assert_eq(bucket_put_bytes(b, &ctx, str_of(name), str_of(text), &e), 0, "%s",
		     err_text(&e));
}

static int add_name(void *arg, struct str name, const struct bucket_attrs *a,
		    struct err *e)
{
	buf_fmt(arg, "%.*s", STR_FMT(name));
	if (a)
		buf_fmt(arg, "=%d", (int)a->size);
	buf_byte(arg, ' ');
	return 0;
}

static void lists(struct bucket *b, const char *at, bool recursive, const char *want)
{
	struct err e = ERR_INIT;
	struct buf out;
	buf_init(&out, 1 << 16);
	cr_assert_eq(bucket_iter(b, &ctx, str_of(at), recursive, add_name, &out, &e), 0,
		     "%s", err_text(&e));
	buf_byte(&out, 0);
	cr_assert_str_eq((const char *)out.p, want);
	buf_deinit(&out);
}

static void holds(struct bucket *b, const char *name, const char *want)
{
	struct err e = ERR_INIT;
	struct buf out;
	buf_init(&out, 1 << 16);
	int rc = bucket_get(b, &ctx, str_of(name), 1 << 16, &out, &e);
	if (!want) {
		cr_assert_eq(rc, -1);
		cr_assert_eq(e.code, E_NOT_FOUND, "%s", err_text(&e));
	} else {
		cr_assert_eq(rc, 0, "%s", err_text(&e));
		cr_assert(str_eqz(buf_view(&out), want));
	}
	buf_deinit(&out);
}

static int refuse(void *arg, struct str name, const struct bucket_attrs *a, struct err *e)
{
	++*(int *)arg;
	return err_set(NULL, e, E_ABORTED, "enough");
}

static void check_reads(struct bucket *b)
{
	struct err e = ERR_INIT;
	struct bucket_attrs at;
	struct range_source *src;
	struct view v[2];
	const struct range r[] = { { 6, 5 }, { 0, 5 } };
	put(b, "x/text", "hello world");
	cr_assert_eq(bucket_attrs(b, &ctx, STR("x/text"), &at, &e), 0);
	cr_assert_eq(at.size, 11);
	cr_assert_gt(at.mtime_ms, 1500000000000);
	cr_assert_eq(bucket_open(b, &ctx, STR("x/text"), &src, &e), 0);
	cr_assert_eq(src->size, 11);
	cr_assert_eq(range_source_read(src, &ctx, r, 2, v, &e), 0, "%s", err_text(&e));
	cr_assert_arr_eq(v[0].p, "world", 5);
	cr_assert_arr_eq(v[1].p, "hello", 5);
	view_put(&v[0]);
	view_put(&v[1]);
	range_source_unref(src);
	cr_assert_eq(bucket_open(b, &ctx, STR("x/none"), &src, &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	e = ERR_INIT;
	cr_assert_eq(bucket_attrs(b, &ctx, STR("x/none"), &at, &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	e = ERR_INIT;
	struct buf out;
	buf_init(&out, 100);
	cr_assert_eq(bucket_get(b, &ctx, STR("x/text"), 10, &out, &e), -1);
	cr_assert_eq(e.code, E_LIMIT, "%s", err_text(&e));
	cr_assert_eq(out.n, 0);
	e = ERR_INIT;
	cr_assert_eq(bucket_get(b, &ctx, STR("x/text"), 11, &out, &e), 0);
	buf_deinit(&out);
	cr_assert_eq(bucket_delete(b, &ctx, STR("x/text"), &e), 0);
}

static void accept_bucket(struct bucket *b)
{
	struct err e = ERR_INIT;
	bool there;
	lists(b, "", true, "");
	lists(b, "nowhere/", false, "");
	put(b, "b/c/1", "one");
	put(b, "b/c-2", "two2");
	put(b, "b/d", "");
	put(b, "a", "a");
	put(b, "bb", "bb");
	lists(b, "", false, "a=1 b/ bb=2 ");
	lists(b, "", true, "a=1 b/c-2=4 b/c/1=3 b/d=0 bb=2 ");
	lists(b, "b", false, "b/c-2=4 b/c/ b/d=0 ");
	lists(b, "b/", true, "b/c-2=4 b/c/1=3 b/d=0 ");
	lists(b, "b/c/", false, "b/c/1=3 ");
	lists(b, "a", false, "");
	holds(b, "b/c/1", "one");
	holds(b, "b/d", "");
	holds(b, "b/c", NULL);
	holds(b, "a/x", NULL);
	put(b, "b/c/1", "other");
	holds(b, "b/c/1", "other");
	cr_assert_eq(bucket_exists(b, &ctx, STR("b/c/1"), &there, &e), 0);
	cr_assert(there);
	cr_assert_eq(bucket_exists(b, &ctx, STR("b/c"), &there, &e), 0);
	cr_assert_not(there);
	check_reads(b);
	int calls = 0;
	cr_assert_eq(bucket_iter(b, &ctx, STR(""), true, refuse, &calls, &e), -1);
	cr_assert_str_eq(err_text(&e), "enough");
	cr_assert_eq(calls, 1);
	e = ERR_INIT;
	cr_assert_eq(bucket_delete(b, &ctx, STR("b/c"), &e), 0);
	cr_assert_eq(bucket_delete(b, &ctx, STR("b/c/1"), &e), 0);
	cr_assert_eq(bucket_delete(b, &ctx, STR("b/c/1"), &e), 0, "%s", err_text(&e));
	lists(b, "b", false, "b/c-2=4 b/d=0 ");
	static const char *const bad[] = { "",	  "/a",	 "../a",   "a/../b", "a//b",
					   "./a", "a/.", "a/b/..", "a/" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		e = ERR_INIT;
		cr_assert_eq(bucket_put_bytes(b, &ctx, str_of(bad[i]), STR("x"), &e), -1,
			     "%s", bad[i]);
		cr_assert_eq(e.code, E_INVALID);
	}
	e = ERR_INIT;
	cr_assert_eq(bucket_iter(b, &ctx, STR("../"), true, add_name, NULL, &e), -1);
	cr_assert_eq(e.code, E_INVALID);
}

Test(bucket, in_memory_behaves_as_a_bucket)
{
	begin();
	struct bucket *b = bucket_mem_new();
	accept_bucket(b);
	bucket_close(b);
	end();
}

Test(bucket, a_folder_behaves_as_a_bucket)
{
	struct err e = ERR_INIT;
	struct bucket *b;
	begin();
	cr_assert_eq(bucket_fs_open(&ctx, dir, &b, &e), 0, "%s", err_text(&e));
	accept_bucket(b);
	bucket_close(b);
	end();
}

Test(bucket, s3_behaves_as_a_bucket_with_both_ways_of_listing)
{
	static const char *const versions[] = { "", "v2", "v1" };
	struct fake_s3 *fake = fake_s3_start("AK", "secret");
	struct loop *loop;
	struct err e = ERR_INIT;
	begin();
	cr_assert_eq(loop_start("t", &loop, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		struct bucket *b;
		char yaml[512];
		snprintf(
			yaml, sizeof(yaml),
			"type: S3\nprefix: '%s'\nconfig: {bucket: b, endpoint: '127.0.0.1:%u', "
			"insecure: true, access_key: AK, secret_key: secret, "
			"list_objects_version: '%s'}",
			i ? versions[i] : "", fake_s3_port(fake), versions[i]);
		cr_assert_eq(bucket_from_yaml(&ctx, str_of(yaml), "y", loop, NULL, &b,
					      &e),
			     0, "%s", err_text(&e));
		accept_bucket(b);
		cr_assert_eq(bucket_delete(b, &ctx, STR("a"), &e), 0);
		cr_assert_eq(bucket_delete(b, &ctx, STR("bb"), &e), 0);
		cr_assert_eq(bucket_delete(b, &ctx, STR("b/c-2"), &e), 0);
		cr_assert_eq(bucket_delete(b, &ctx, STR("b/d"), &e), 0);
		lists(b, "", true, "");
		bucket_close(b);
	}
	cr_assert_gt(fake_s3_count(fake, "GET", "continuation-token="), 3);
	cr_assert_gt(fake_s3_count(fake, "GET", "marker="), 3);
	fake_s3_stop(fake);
	loop_stop(loop);
	end();
}

Test(bucket, a_prefix_behaves_as_a_bucket_and_hides_the_rest)
{
	begin();
	struct bucket *inner = bucket_mem_new();
	put(inner, "a", "outside");
	put(inner, "p/qq/a", "outside");
	struct bucket *b = bucket_prefix_new(inner, STR("/p/q/"));
	accept_bucket(b);
	lists(inner, "", true, "a=7 p/q/a=1 p/q/b/c-2=4 p/q/b/d=0 p/q/bb=2 p/qq/a=7 ");
	bucket_close(b);
	end();
}

Test(bucket, an_empty_prefix_is_no_prefix)
{
	struct bucket *inner = bucket_mem_new();
	cr_assert_eq(bucket_prefix_new(inner, STR("/")), inner);
	bucket_close(inner);
}

Test(fs_bucket, ignores_empty_folders_and_removes_those_it_empties)
{
	struct err e = ERR_INIT;
	struct bucket *b;
	struct fs_stat st;
	char path[128];
	begin();
	snprintf(path, sizeof(path), "%s/debug/metas", dir);
	cr_assert_eq(fs_mkdir_p(&ctx, path, &e), 0);
	cr_assert_eq(bucket_fs_open(&ctx, dir, &b, &e), 0);
	lists(b, "", false, "");
	put(b, "k/l/m", "x");
	put(b, "k/n", "x");
	lists(b, "", false, "k/ ");
	cr_assert_eq(bucket_delete(b, &ctx, STR("k/l/m"), &e), 0);
	snprintf(path, sizeof(path), "%s/k/l", dir);
	cr_assert_eq(fs_stat(&ctx, path, &st, &e), 0);
	cr_assert_eq(st.kind, FS_NONE);
	lists(b, "", true, "k/n=1 ");
	bucket_close(b);
	end();
}

struct cut_source {
	int gives;
	struct bucket *b;
};

/* Gives one piece, looks at the listing meanwhile, then fails. */
static int cut_read(void *arg, struct ctx *c, void *p, size_t cap, size_t *n,
		    struct err *e)
{
	struct cut_source *s = arg;
	lists(s->b, "", true, "");
	lists(s->b, "", false, "");
	if (s->gives-- > 0) {
		memset(p, 'x', 1000);
		*n = 1000;
		return 0;
	}
	return err_set(c, e, E_IO, "torn");
}

Test(fs_bucket, shows_nothing_of_an_upload_that_is_under_way_or_fails)
{
	struct err e = ERR_INIT;
	struct bucket *b;
	struct fs_stat st;
	char path[128];
	begin();
	cr_assert_eq(bucket_fs_open(&ctx, dir, &b, &e), 0);
	struct cut_source s = { 1, b };
	struct put_source src = { cut_read, &s, UINT64_MAX, NULL };
	cr_assert_eq(bucket_put(b, &ctx, STR("o/p"), &src, &e), -1);
	cr_assert(strstr(err_text(&e), "upload o/p: torn"), "%s", err_text(&e));
	lists(b, "", true, "");
	snprintf(path, sizeof(path), "%s/.thanosc-tmp", dir);
	cr_assert_eq(fs_stat(&ctx, path, &st, &e), 0);
	cr_assert_eq(st.kind, FS_NONE);
	e = ERR_INIT;
	cr_assert_eq(bucket_put_bytes(b, &ctx, STR(".thanosc-tmp/1"), STR("x"), &e), -1);
	cr_assert_eq(e.code, E_INVALID);
	bucket_close(b);
	end();
}

static int short_read(void *arg, struct ctx *c, void *p, size_t cap, size_t *n,
		      struct err *e)
{
	int *left = arg;
	*n = *left ? 5 : 0;
	memset(p, 'x', 5);
	*left = 0;
	return 0;
}

Test(fs_bucket, refuses_a_source_that_gives_another_size_than_announced)
{
	struct err e = ERR_INIT;
	struct bucket *b;
	int left = 1;
	begin();
	cr_assert_eq(bucket_fs_open(&ctx, dir, &b, &e), 0);
	struct put_source src = { short_read, &left, 6, NULL };
	cr_assert_eq(bucket_put(b, &ctx, STR("o"), &src, &e), -1);
	cr_assert(strstr(err_text(&e), "5 bytes came where 6"), "%s", err_text(&e));
	holds(b, "o", NULL);
	bucket_close(b);
	end();
}

Test(fs_bucket, puts_a_file_and_names_one_that_is_missing)
{
	struct err e = ERR_INIT;
	struct bucket *b;
	begin();
	cr_assert_eq(bucket_fs_open(&ctx, dir, &b, &e), 0);
	cr_assert_eq(bucket_put_file(b, &ctx, STR("mk"), "lib/LAYERS", &e), 0, "%s",
		     err_text(&e));
	struct fs_stat st;
	struct bucket_attrs at;
	cr_assert_eq(fs_stat(&ctx, "lib/LAYERS", &st, &e), 0);
	cr_assert_eq(bucket_attrs(b, &ctx, STR("mk"), &at, &e), 0);
	cr_assert_eq(at.size, st.size);
	cr_assert_eq(bucket_put_file(b, &ctx, STR("mk"), "no/such", &e), -1);
	cr_assert(strstr(err_text(&e), "no/such"));
	bucket_close(b);
	end();
}

Test(mem_bucket, fails_at_the_scripted_call)
{
	struct err e = ERR_INIT;
	bool there;
	begin();
	struct bucket *b = bucket_mem_new();
	bucket_mem_fail(b, 2, false, false);
	put(b, "a", "1");
	cr_assert_eq(bucket_put_bytes(b, &ctx, STR("b"), STR("1"), &e), -1);
	cr_assert_eq(e.code, E_UNAVAILABLE);
	lists(b, "", true, "a=1 ");
	bucket_mem_fail(b, 1, false, true);
	cr_assert_eq(bucket_put_bytes(b, &ctx, STR("b"), STR("1"), &e), -1);
	lists(b, "", true, "a=1 b=1 ");
	bucket_mem_fail(b, 1, true, false);
	cr_assert_eq(bucket_exists(b, &ctx, STR("a"), &there, &e), -1);
	cr_assert_eq(bucket_delete(b, &ctx, STR("a"), &e), -1);
	bucket_mem_fail(b, 0, false, false);
	holds(b, "a", "1");
	bucket_close(b);
	end();
}
