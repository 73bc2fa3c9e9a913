#include "support/tst.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "fs/fs.h"
#include "inspect/inspect.h"

#define CORRUPT "test/golden/corrupt"

struct found {
	struct str file;  /* the damage must lie in this file ... */
	uint64_t in_file; /* ... and does so often */
	uint64_t elsewhere;
	char first[300];
};

static void on_found(void *arg, const struct inspect_finding *f)
{
	struct found *x = arg;
	if (!f->damage)
		return;
	if (str_eqz(x->file, f->file))
		x->in_file++;
	else
		x->elsewhere++;
	if (x->in_file + x->elsewhere == 1)
		snprintf(x->first, sizeof(x->first), "%s: %s", f->file, f->text);
}

static uint64_t verify(const char *dir, struct found *x)
{
	struct err e = ERR_INIT;
	struct inspect_report r = { .found = on_found, .arg = x };
	struct inspect_place p = { .prefix = STR(""), .id = "case" };
	struct ctx ctx;
	ctx_init(&ctx, NULL, 0);
	cr_assert_eq(bucket_fs_open(&ctx, dir, &p.bucket, &e), 0);
	cr_assert_eq(inspect_verify(&ctx, &p, &r, &e), 0, "%s: %s", dir, err_text(&e));
	bucket_close(p.bucket);
	ctx_deinit(&ctx);
	return r.damage;
}

static void copy(struct ctx *ctx, struct arena *a, const char *dir, const char *from,
		 struct str file)
{
	struct err e = ERR_INIT;
	struct fs_stat st;
	const char *source = str_fmt(a, "%s/%.*s", from, STR_FMT(file)).p,
		   *target = str_fmt(a, "%s/%.*s", dir, STR_FMT(file)).p;
	cr_assert_eq(fs_remove_all(ctx, target, &e), 0);
	cr_assert_eq(fs_stat(ctx, source, &st, &e), 0);
	if (st.kind == FS_FILE)
		cr_assert_eq(fs_link_or_copy(ctx, source, target, &e), 0, "%s",
			     err_text(&e));
}

/* Cases whose damage is none of a block: other readers' files, and what is served as it is. */
static bool is_sound(struct str name)
{
	static const char *const names[] = { "shipper-cut", "shipper-version",
					     "meta-thanos-version",
					     "meta-thanos-no-labels" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eqz(name, names[i]))
			return true;
	return false;
}

static const char *make_case(struct ctx *ctx, struct arena *a, const char *root,
			     struct str name, struct str file)
{
	static const char *const parts[] = { "meta.json", "index", "chunks/000001",
					     "tombstones" };
	struct err e = ERR_INIT;
	const char *dir = str_fmt(a, "%s/%.*s", root, STR_FMT(name)).p;
	cr_assert_eq(fs_mkdir_p(ctx, str_fmt(a, "%s/chunks", dir).p, &e), 0);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		copy(ctx, a, dir, CORRUPT "/base", str_of(parts[i]));
	copy(ctx, a, dir, str_fmt(a, CORRUPT "/cases/%.*s", STR_FMT(name)).p, file);
	return dir;
}

Test(verify, every_damage_is_named_in_its_file)
{
	struct err e = ERR_INIT;
	struct str rest, line, name, file;
	char root[] = "/tmp/thanosc-inspect-XXXXXX";
	struct arena a;
	struct ctx ctx;
	struct buf b;
	size_t cases = 0;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	buf_init(&b, 1 << 20);
	cr_assert(mkdtemp(root));
	cr_assert_eq(fs_read_file(&ctx, CORRUPT "/cases.tsv", 1 << 20, &b, &e), 0);
	rest = buf_view(&b);
	str_cut(&rest, '\n', &line); /* the heading */
	for (bool more = true; more && rest.n;) {
		struct found x = { 0 };
		more = str_cut(&rest, '\n', &line);
		str_cut(&line, '\t', &name);
		str_cut(&line, '\t', &file);
		if (str_eqz(file, "index-header"))
			continue; /* of another block */
		/* where a wrong reference leads is where it is noticed */
		x.file = str_eqz(name, "index-chunk-ref-past-end") ? STR("chunks/000001")
								   : file;
		uint64_t n = verify(make_case(&ctx, &a, root, name, file), &x);
		cases++;
		if (is_sound(name)) {
			cr_expect_eq(n, 0, "%.*s: %s", STR_FMT(name), x.first);
			continue;
		}
		cr_expect(x.in_file > 0, "%.*s: %llu damages, the first: %s",
			  STR_FMT(name), (unsigned long long)n, x.first);
		/* what follows from a missing segment lies in chunks, nothing else spreads */
		cr_expect(x.elsewhere == 0 || str_eqz(name, "chunks-missing"), "%.*s: %s",
			  STR_FMT(name), x.first);
	}
	cr_assert_gt(cases, 60);
	cr_assert_eq(fs_remove_all(&ctx, root, &e), 0);
	buf_deinit(&b);
	arena_deinit(&a);
	ctx_deinit(&ctx);
}

Test(verify, sound_blocks_are_sound)
{
	static const char *const dirs[] = { "test/golden/blocks/bucket",
					    "test/golden/blocks/newer",
					    "test/golden/blocks/tombstones",
					    "test/golden/compacted/custom/bucket",
					    "test/golden/compacted/long/bucket" };
	struct err e = ERR_INIT;
	struct arena a;
	struct ctx ctx;
	size_t blocks = 0;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		struct fs_names names;
		cr_assert_eq(fs_list(&ctx, &a, dirs[i], &names, &e), 0);
		for (size_t k = 0; k < names.n; k++) {
			struct found x = { 0 };
			struct ulid id;
			if (!ulid_parse(names.name[k], &id))
				continue;
			cr_expect_eq(verify(str_fmt(&a, "%s/%.*s", dirs[i],
						    STR_FMT(names.name[k]))
						    .p,
					    &x),
				     0, "%.*s: %s", STR_FMT(names.name[k]), x.first);
			blocks++;
		}
	}
	cr_assert_gt(blocks, 20);
	arena_deinit(&a);
	ctx_deinit(&ctx);
}

/* One bit of any byte of index and chunks. */
Test(verify, one_wrong_bit_is_found)
{
	struct err e = ERR_INIT;
	char root[] = "/tmp/thanosc-inspect-XXXXXX";
	struct arena a;
	struct ctx ctx;
	struct buf b;
	size_t missed = 0, tried = 0;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	buf_init(&b, 1 << 20);
	cr_assert(mkdtemp(root));
	make_case(&ctx, &a, root, STR("none"), STR("meta.json-none"));
	const char *dir = str_fmt(&a, "%s/none", root).p;
	static const char *const files[] = { "index", "chunks/000001" };
	for (size_t f = 0; f < ARRAY_LEN(files); f++) {
		const char *path = str_fmt(&a, "%s/%s", dir, files[f]).p;
		buf_reset(&b);
		cr_assert_eq(fs_read_file(&ctx, path, 1 << 20, &b, &e), 0);
		for (size_t i = 0; i < b.n; i++) {
			struct found x = { .file = str_of(files[f]) };
			b.p[i] ^= (uint8_t)(1u << (i % 8));
			cr_assert_eq(fs_write_atomic(&ctx, path, buf_view(&b), &e), 0);
			b.p[i] ^= (uint8_t)(1u << (i % 8));
			tried++;
			if (verify(dir, &x))
				continue;
			missed++;
			cr_log_info("%s: a bit of byte %zu", files[f], i);
		}
		cr_assert_eq(fs_write_atomic(&ctx, path, buf_view(&b), &e), 0);
	}

	cr_expect_eq(missed, 0, "%zu of %zu", missed, tried);
	cr_assert_eq(fs_remove_all(&ctx, root, &e), 0);
	buf_deinit(&b);
	arena_deinit(&a);
	ctx_deinit(&ctx);
}

static int on_text(void *arg, struct str s, struct err *e)
{
	(void)e;
	buf_str(arg, s);
	return 0;
}

Test(dump, tombstones_and_times_are_obeyed)
{
	struct err e = ERR_INIT;
	struct inspect_place p = { .prefix = STR(""), .id = "base" };
	struct inspect_dump_opts o = { .write = on_text,
				       .mint_ms = INT64_MIN,
				       .maxt_ms = INT64_MAX };
	struct ctx ctx;
	struct buf b;
	size_t lines[2] = { 0 };
	ctx_init(&ctx, NULL, 0);
	buf_init(&b, 1 << 20);
	o.arg = &b;
	cr_assert_eq(bucket_fs_open(&ctx, CORRUPT "/base", &p.bucket, &e), 0);
	for (int json = 0; json < 2; json++) {
		o.json = json;
		buf_reset(&b);
		cr_assert_eq(inspect_dump(&ctx, &p, &o, &e), 0, "%s", err_text(&e));
		for (size_t i = 0; i < b.n; i++)
			lines[json] += b.p[i] == '\n';
	}
	cr_assert(lines[0] > 20 && lines[0] < 31, "%zu", lines[0]);
	cr_assert_eq(lines[1], 4, "%zu", lines[1]);
	bucket_close(p.bucket);
	buf_deinit(&b);
	ctx_deinit(&ctx);
}
