#include "support/tst.h"

#include <stdlib.h>

#include "fs/fs.h"
#include "unit/tsdb_block/golden.h"

static const char *bad_text(struct fix *f, const char *json)
{
	struct block_meta m;
	f->e = ERR_INIT;
	cr_assert_eq(block_meta_parse(&f->ctx, &f->a, str_of(json), &m, &f->e), -1, "%s",
		     json);
	return err_text(&f->e);
}

#define ID "\"ulid\":\"01M81YVCNRNMYNP70R7FRKH4F0\",\"version\":1"

Test(block_meta, errors_name_the_field)
{
	struct fix f;

	fix_begin(&f);
	cr_expect_str_eq(bad_text(&f, ""), "unexpected end of JSON input");
	cr_expect_str_eq(bad_text(&f, "{\"version\":"), "unexpected end of JSON input");
	cr_expect_str_eq(bad_text(&f, "[]"), "meta: a list where an object is expected");
	cr_expect_str_eq(bad_text(&f, "{}"), "unexpected meta file version 0");
	cr_expect_str_eq(bad_text(&f, "{\"version\":2}"),
			 "unexpected meta file version 2");
	cr_expect_str_eq(bad_text(&f, "{\"version\":1}"), "ulid: missing");
	cr_expect_str_eq(bad_text(&f, "{\"minTime\":\"5\"}"),
			 "minTime: a string where a number is expected");
	cr_expect_str_eq(bad_text(&f, "{\"maxTime\":99999999999999999999}"),
			 "maxTime: 99999999999999999999 is no 64-bit integer");
	cr_expect_str_eq(bad_text(&f, "{\"ulid\":\"x\"}"), "ulid: \"x\" is no ULID");
	cr_expect_str_eq(bad_text(&f, "{" ID ",\"thanos\":{\"labels\":{\"a\":1}}}"),
			 "thanos.labels: a number where a string is expected");
	cr_expect_str_eq(bad_text(&f, "{" ID
				      ",\"thanos\":{\"downsample\":{\"resolution\":7}}}"),
			 "thanos.downsample.resolution: 7 is not supported");
	cr_expect_str_eq(bad_text(&f,
				  "{" ID
				  ",\"thanos\":{\"files\":[{\"rel_path\":\"a/../b\"}]}}"),
			 "thanos.files.rel_path: \"a/../b\" leaves the block");
	cr_expect_str_eq(bad_text(&f, "{" ID ",\"stats\":{\"numSamples\":-1}}"),
			 "stats.numSamples: -1 is no integer of 64 bits from 0");
	cr_expect_str_eq(bad_text(&f, "{" ID "} x"), "text behind the JSON object");
	fix_end(&f);
}

Test(block_meta, null_and_unknown_fields_change_nothing)
{
	struct fix f;
	struct block_meta m;

	fix_begin(&f);
	cr_assert_eq(block_meta_parse(&f.ctx, &f.a,
				      STR("{" ID ",\"stats\":null,\"new\":{\"a\":[1,{}]},"
					  "\"minTime\":5,\"minTime\":null,"
					  "\"compaction\":{\"sources\":null,\"level\":3},"
					  "\"thanos\":null}"),
				      &m, &f.e),
		     0, "%s", err_text(&f.e));
	cr_assert_eq(m.mint_ms, 5);
	cr_assert_eq(m.compaction.level, 3);
	cr_assert(!m.has_thanos);
	fix_end(&f);
}

/*
 * Writes what it read: equal bytes wherever the file was written by Prometheus or Thanos. Some of the
 * golden blocks had their files made by a script; these lack the time of upload.
 */
static bool round_trip(struct fix *f, const char *path)
{
	struct buf in, out;
	struct block_meta m, d;

	buf_init(&in, 1 << 20);
	buf_init(&out, 1 << 20);
	cr_assert_eq(fs_read_file(&f->ctx, path, 1 << 20, &in, &f->e), 0);
	cr_assert_eq(block_meta_parse(&f->ctx, &f->a, buf_view(&in), &m, &f->e), 0,
		     "%s: %s", path, err_text(&f->e));
	if (m.has_thanos && m.thanos.upload_time.n == 0) {
		buf_deinit(&in);
		return false;
	}
	cr_assert_eq(block_meta_dup(&f->ctx, &f->a, &m, &d, &f->e), 0);
	block_meta_write(&d, &out);
	cr_assert_eq(buf_check(&out, &f->ctx, "meta", &f->e), 0);
	cr_expect(str_eq(buf_view(&in), buf_view(&out)), "%s:\n%.*s", path,
		  STR_FMT(buf_view(&out)));
	buf_deinit(&in);
	buf_deinit(&out);
	return true;
}

static size_t round_trip_folder(struct fix *f, const char *folder)
{
	struct fs_names names;
	size_t n = 0;

	cr_assert_eq(fs_list(&f->ctx, &f->a, folder, &names, &f->e), 0, "%s", folder);
	for (size_t i = 0; i < names.n; i++)
		if (names.name[i].n == 26)
			n += round_trip(f, str_fmt(&f->a, "%s/%.*s/meta.json", folder,
						   STR_FMT(names.name[i]))
						   .p);
	return n;
}

Test(block_meta, real_files_are_written_again_byte_by_byte)
{
	struct fix f;

	fix_begin(&f);
	cr_assert_eq(round_trip_folder(&f, GOLDEN "/bucket"), 13);
	cr_assert_eq(round_trip_folder(&f, GOLDEN "/newer"), 3);
	cr_assert_eq(round_trip_folder(&f, GOLDEN "/tombstones"), 1);
	cr_assert(round_trip_folder(&f, "test/golden/compacted/long/bucket") > 0);
	round_trip(&f, "test/golden/corrupt/base/meta.json");
	fix_end(&f);
}

static const char full[] =
	"{\n\t\"ulid\": \"01M81YVCNRNMYNP70R7FRKH4F0\",\n\t\"minTime\": -5,\n"
	"\t\"maxTime\": 10,\n\t\"stats\": {},\n\t\"compaction\": {\n\t\t\"level\": 2,\n"
	"\t\t\"deletable\": true,\n\t\t\"failed\": true\n\t},\n\t\"version\": 1,\n"
	"\t\"thanos\": {\n\t\t\"version\": 1,\n\t\t\"labels\": {\n"
	"\t\t\t\"a\": \"\\u003cb\\u003e\"\n\t\t},\n\t\t\"downsample\": {\n"
	"\t\t\t\"resolution\": 300000\n\t\t},\n\t\t\"source\": \"bucket.rewrite\",\n"
	"\t\t\"files\": [\n\t\t\t{\n\t\t\t\t\"rel_path\": \"index\",\n"
	"\t\t\t\t\"size_bytes\": 4,\n\t\t\t\t\"hash\": {\n"
	"\t\t\t\t\t\"hashFunc\": \"SHA256\",\n\t\t\t\t\t\"value\": \"ab\"\n"
	"\t\t\t\t}\n\t\t\t}\n\t\t],\n\t\t\"rewrites\": [\n\t\t\t{\n"
	"\t\t\t\t\"sources\": [\n\t\t\t\t\t\"x, {y}: \\\"z\\\"\"\n\t\t\t\t],\n"
	"\t\t\t\t\"none\": []\n\t\t\t}\n\t\t],\n\t\t\"index_stats\": {\n"
	"\t\t\t\"series_max_size\": 80\n\t\t},\n\t\t\"extensions\": {\n"
	"\t\t\t\"n\": 1,\n\t\t\t\"m\": true\n\t\t}\n\t}\n}\n";

Test(block_meta, all_optional_fields_are_kept_and_indented)
{
	struct fix f;
	struct block_meta m;
	struct buf out, tight;

	fix_begin(&f);
	buf_init(&out, 1 << 20);
	buf_init(&tight, 1 << 20);
	cr_assert_eq(block_meta_parse(&f.ctx, &f.a, str_of(full), &m, &f.e), 0, "%s",
		     err_text(&f.e));
	block_meta_write(&m, &out);
	cr_assert(str_eqz(buf_view(&out), full), "%.*s", STR_FMT(buf_view(&out)));
	/* the same from a file without blanks */
	for (const char *p = full; *p; p++)
		if (*p != '\n' && *p != '\t')
			buf_byte(&tight, (uint8_t)*p);
	buf_reset(&out);
	cr_assert_eq(block_meta_parse(&f.ctx, &f.a, buf_view(&tight), &m, &f.e), 0);
	block_meta_write(&m, &out);
	cr_assert(str_eqz(buf_view(&out), full), "%.*s", STR_FMT(buf_view(&out)));
	buf_deinit(&out);
	buf_deinit(&tight);
	fix_end(&f);
}

Test(block_meta, every_cut_of_a_file_is_refused)
{
	struct fix f;
	struct block_meta m;

	fix_begin(&f);
	for (size_t n = 0; n + 2 < sizeof(full); n++)
		cr_assert_eq(block_meta_parse(&f.ctx, &f.a, str_n(full, n), &m, &f.e), -1,
			     "%zu", n);
	fix_end(&f);
}
