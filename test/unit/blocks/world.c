#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"

void world_begin(struct world *w)
{
	struct err e = ERR_INIT;
	ctx_init(&w->ctx, NULL, 0);
	snprintf(w->dir, sizeof(w->dir), "/tmp/thanosc-blocks-XXXXXX");
	cr_assert_not_null(mkdtemp(w->dir));
	snprintf(w->tsdb, sizeof(w->tsdb), "%s/tsdb", w->dir);
	snprintf(w->bucket_dir, sizeof(w->bucket_dir), "%s/bucket", w->dir);
	cr_assert_eq(fs_mkdir_p(&w->ctx, w->tsdb, &e), 0, "%s", err_text(&e));
}

void world_end(struct world *w)
{
	struct err e = ERR_INIT;
	cr_assert_eq(fs_remove_all(&w->ctx, w->dir, &e), 0, "%s", err_text(&e));
	ctx_deinit(&w->ctx);
}

struct str world_read(struct world *w, struct arena *a, const char *path)
{
	struct err e = ERR_INIT;
	struct buf b;
	buf_init(&b, 64u << 20);
	cr_assert_eq(fs_read_file(&w->ctx, path, 64u << 20, &b, &e), 0, "%s",
		     err_text(&e));
	struct str s = str_dup(a, buf_view(&b));
	buf_deinit(&b);
	return s;
}

static void write_meta(struct world *w, struct arena *a, const char *from, const char *to,
		       int level)
{
	struct err e = ERR_INIT;
	struct block_meta m;
	struct buf out;
	cr_assert_eq(block_meta_parse(&w->ctx, a, world_read(w, a, from), &m, &e), 0,
		     "%s", err_text(&e));
	m.has_thanos = false;
	memset(&m.thanos, 0, sizeof(m.thanos));
	if (level)
		m.compaction.level = level;
	buf_init(&out, LIMIT_META_BYTES);
	block_meta_write(&m, &out);
	cr_assert_eq(fs_write_atomic(&w->ctx, to, buf_view(&out), &e), 0);
	buf_deinit(&out);
}

void world_add_block(struct world *w, const char *from, const char *id, int level)
{
	struct err e = ERR_INIT;
	struct arena a;
	arena_init(&a, NULL);
	char *dir = str_dupz(&a, str_fmt(&a, "%s/%s/chunks", w->tsdb, id));
	cr_assert_eq(fs_mkdir_p(&w->ctx, dir, &e), 0);
	static const char *const files[] = { "chunks/000001", "index" };
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char *src = str_dupz(&a, str_fmt(&a, "%s/%s/%s", from, id, files[i]));
		char *dst = str_dupz(&a, str_fmt(&a, "%s/%s/%s", w->tsdb, id, files[i]));
		cr_assert_eq(fs_write_atomic(&w->ctx, dst, world_read(w, &a, src), &e), 0,
			     "%s", err_text(&e));
	}
	write_meta(w, &a, str_dupz(&a, str_fmt(&a, "%s/%s/meta.json", from, id)),
		   str_dupz(&a, str_fmt(&a, "%s/%s/meta.json", w->tsdb, id)), level);
	arena_deinit(&a);
}

void world_put_block(struct world *w, struct bucket *b, const char *from, const char *id)
{
	struct err e = ERR_INIT;
	struct arena a;
	arena_init(&a, NULL);
	static const char *const files[] = { "chunks/000001", "index", "meta.json" };
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char *src = str_dupz(&a, str_fmt(&a, "%s/%s/%s", from, id, files[i]));
		struct str name = str_fmt(&a, "%s/%s", id, files[i]);
		cr_assert_eq(bucket_put_file(b, &w->ctx, name, src, &e), 0, "%s",
			     err_text(&e));
	}
	arena_deinit(&a);
}

void world_put(struct world *w, struct bucket *b, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	cr_assert_eq(bucket_put_bytes(b, &w->ctx, str_of(name), str_of(text), &e), 0,
		     "%s", err_text(&e));
}

static int add_name(void *arg, struct str name, const struct bucket_attrs *at,
		    struct err *e)
{
	buf_fmt(arg, "%.*s ", STR_FMT(name));
	return 0;
}

const char *world_names(struct world *w, struct arena *a, struct bucket *b)
{
	struct err e = ERR_INIT;
	struct buf out;
	buf_init(&out, 1 << 20);
	cr_assert_eq(bucket_iter(b, &w->ctx, STR(""), true, add_name, &out, &e), 0, "%s",
		     err_text(&e));
	const char *s = str_dupz(a, buf_view(&out));
	buf_deinit(&out);
	return s;
}

struct whole {
	struct world *w;
	struct bucket *b;
	size_t blocks;
};

static int check_one(void *arg, struct str name, const struct bucket_attrs *at,
		     struct err *e)
{
	struct whole *x = arg;
	struct arena a;
	struct buf raw;
	struct block_meta m;
	if (!str_has_suffix(name, STR("/meta.json")))
		return 0;
	arena_init(&a, NULL);
	buf_init(&raw, LIMIT_META_BYTES);
	cr_assert_eq(bucket_get(x->b, &x->w->ctx, name, LIMIT_META_BYTES, &raw, e), 0);
	cr_assert_eq(block_meta_parse(&x->w->ctx, &a, buf_view(&raw), &m, e), 0, "%s",
		     err_text(e));
	cr_assert_geq(m.thanos.n_files, 3);
	for (size_t i = 0; i < m.thanos.n_files; i++) {
		struct bucket_attrs got;
		struct str file = str_fmt(&a, "%.*s/%.*s", 26, name.p,
					  STR_FMT(m.thanos.files[i].rel_path));
		cr_assert_eq(bucket_attrs(x->b, &x->w->ctx, file, &got, e), 0, "%s",
			     err_text(e));
		if (m.thanos.files[i].size_bytes)
			cr_assert_eq(got.size, m.thanos.files[i].size_bytes);
	}
	x->blocks++;
	buf_deinit(&raw);
	arena_deinit(&a);
	return 0;
}

size_t world_check_whole(struct world *w, struct bucket *b)
{
	struct err e = ERR_INIT;
	struct whole x = { w, b, 0 };
	cr_assert_eq(bucket_iter(b, &w->ctx, STR(""), true, check_one, &x, &e), 0, "%s",
		     err_text(&e));
	return x.blocks;
}

static bool eu(void *arg, struct arena *a, struct labels *out)
{
	struct label *l = ARENA_ARRAY(a, struct label, 1);
	l[0] = (struct label){ STR("cluster"), STR("eu") };
	*out = (struct labels){ l, 1, 0 };
	return true;
}

int world_ship(struct world *w, struct bucket *b, uint32_t *n, struct err *e)
{
	struct shipper_opts o = { .dir = w->tsdb,
				  .meta_file = "thanos.shipper.json",
				  .bucket = b,
				  .labels = eu,
				  .source = "sidecar",
				  .upload_compacted = true };
	struct shipper *s = shipper_new(&o);
	*e = ERR_INIT;
	int rc = shipper_sync(s, &w->ctx, n, e);
	shipper_free(s);
	return rc;
}

void world_check_shipped(struct world *w, struct bucket *b)
{
	struct arena a;
	arena_init(&a, NULL);
	cr_assert_eq(world_check_whole(w, b), 2);
	cr_assert_str_eq(world_names(w, &a, b),
			 WORLD_HIST "/chunks/000001 " WORLD_HIST "/index " WORLD_HIST
				    "/meta.json " WORLD_OOO "/chunks/000001 " WORLD_OOO
				    "/index " WORLD_OOO "/meta.json ");
	char *state = str_dupz(&a, str_fmt(&a, "%s/thanos.shipper.json", w->tsdb));
	cr_assert_str_eq(world_read(w, &a, state).p,
			 "{\n\t\"version\": 1,\n\t\"uploaded\": [\n\t\t\"" WORLD_HIST
			 "\",\n\t\t\"" WORLD_OOO "\"\n\t]\n}\n");
	arena_deinit(&a);
}
