/* Configuration and metrics of buckets. */
#include <stdio.h>
#include <stdlib.h>

#include "fs/fs.h"
#include "objstore/bucket.h"
#include "support/tst.h"

static void refused(const char *yaml, enum err_code code, const char *text)
{
	struct ctx ctx;
	struct err e = ERR_INIT;
	struct bucket *b = NULL;
	ctx_init(&ctx, NULL, 0);
	int rc = bucket_from_yaml(&ctx, str_of(yaml), "bucket.yml", NULL, NULL, &b, &e);
	cr_assert_eq(rc, -1, "%s", yaml);
	cr_assert(strstr(err_text(&e), text), "%s", err_text(&e));
	cr_assert(strstr(err_text(&e), "bucket.yml"), "%s", err_text(&e));
	cr_assert_eq(e.code, code, "%s", err_text(&e));
	ctx_deinit(&ctx);
}

Test(bucket_config, says_what_is_wrong)
{
	refused("type: gcs", E_UNSUPPORTED, "bucket type GCS is not");
	refused("type: FILESYTEM\nconfig: {directory: x}", E_INVALID,
		"did you mean 'FILESYSTEM'?");
	refused("type: zzzzzz", E_INVALID, "1:7: unknown bucket type 'zzzzzz'");
	refused("type: FILESYSTEM", E_INVALID, "directory");
	refused("type: FILESYSTEM\nconfig: {}", E_INVALID, "directory");
	refused("type: FILESYSTEM\nconfig: {directry: /x}", E_INVALID,
		"did you mean 'directory'?");
	refused("type: FILESYSTEM\nprefxi: a\nconfig: {directory: /x}", E_INVALID,
		"did you mean 'prefix'?");
	refused("type: FILESYSTEM\nprefix: a/../b\nconfig: {directory: /x}", E_INVALID,
		"2:9: prefix 'a/../b'");
	refused("type: FILESYSTEM\nhedging_config: {enabled: true}\n"
		"config: {directory: /x}",
		E_INVALID, "enabled");
	refused("", E_INVALID, "type");
	refused("type: [", E_PARSE, "");
}

Test(bucket_config, opens_a_folder_with_prefix_and_counts)
{
	char dir[] = "/tmp/thanosc-objconf-XXXXXX", yaml[256], path[128];
	struct ctx ctx;
	struct err e = ERR_INIT;
	struct bucket *b;
	struct fs_stat st;
	ctx_init(&ctx, NULL, 0);
	cr_assert_not_null(mkdtemp(dir));
	snprintf(yaml, sizeof(yaml),
		 "type: filesystem\nprefix: tenant/a/\nconfig:\n  directory: %s\n", dir);
	struct metric_registry *reg = metric_registry_new();
	cr_assert_eq(bucket_from_yaml(&ctx, str_of(yaml), "flag", NULL, reg, &b, &e), 0,
		     "%s", err_text(&e));
	cr_assert_eq(bucket_put_bytes(b, &ctx, STR("x/y"), STR("12345"), &e), 0);
	snprintf(path, sizeof(path), "%s/tenant/a/x/y", dir);
	cr_assert_eq(fs_stat(&ctx, path, &st, &e), 0);
	cr_assert_eq(st.size, 5);
	struct buf out;
	bool there;
	buf_init(&out, 1 << 20);
	cr_assert_eq(bucket_get(b, &ctx, STR("x/y"), 100, &out, &e), 0);
	cr_assert_eq(bucket_get(b, &ctx, STR("x/z"), 100, &out, &e), -1);
	e = ERR_INIT;
	cr_assert_eq(bucket_exists(b, &ctx, STR("x/z"), &there, &e), 0);
	struct range_source *src;
	struct view v;
	cr_assert_eq(bucket_open(b, &ctx, STR("x/y"), &src, &e), 0);
	cr_assert_eq(range_source_read1(src, &ctx, 1, 3, &v, &e), 0);
	view_put(&v);
	bucket_close(b);
	range_source_unref(src);
	buf_reset(&out);
	metric_write_text(reg, false, &out);
	buf_byte(&out, 0);
	static const char *const want[] = {
		"operations_total{bucket=\"fs: %s\",operation=\"get\"} 2\n",
		"operations_total{bucket=\"fs: %s\",operation=\"get_range\"} 1\n",
		"operations_total{bucket=\"fs: %s\",operation=\"upload\"} 1\n",
		"operations_total{bucket=\"fs: %s\",operation=\"exists\"} 1\n",
		"operations_total{bucket=\"fs: %s\",operation=\"iter\"} 0\n",
		"operation_failures_total{bucket=\"fs: %s\",operation=\"get\"} 0\n",
		"operation_fetched_bytes_total{bucket=\"fs: %s\",operation=\"get\"} 5\n",
		"operation_fetched_bytes_total{bucket=\"fs: %s\",operation=\"get_range\"} 3\n",
		"operation_duration_seconds_count{bucket=\"fs: %s\",operation=\"upload\"} 1\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		char line[300], full[400];
		const char *at = strstr(want[i], "%s");
		snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - want[i]), want[i],
			 dir, at + 2);
		snprintf(full, sizeof(full), "thanos_objstore_bucket_%s", line);
		cr_assert(strstr((const char *)out.p, full), "%s in\n%s", full, out.p);
	}
	cr_assert(strstr((const char *)out.p,
			 "thanos_objstore_bucket_last_successful_upload_time{bucket"));
	buf_deinit(&out);
	metric_registry_free(reg);
	cr_assert_eq(fs_remove_all(&ctx, dir, &e), 0);
	ctx_deinit(&ctx);
}
