/*
 * blocks/upload.c - a block folder into the bucket, so that nobody ever sees half of one.
 *
 * Readers take a block for there when its meta.json is. So: chunks, then index; then the bucket is asked
 * for the size of each; and only when all agree meta.json follows. An upload that was killed leaves a
 * folder without meta.json, which readers pass over, and the next one goes on where it stopped: objects
 * appear whole or not at all, so one of the right size under the block's unique name is the file.
 * Tombstones are never uploaded.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "blocks/blocks_int.h"
#include "fs/fs.h"

struct file {
	struct str rel; /* "chunks/000001" */
	char *path;
	uint64_t size;
};

/* chunks/ in order, then index; the array in `a` has room for them. */
static int list_files(struct ctx *ctx, struct arena *a, const char *dir,
		      struct file **out, size_t *n, struct err *e)
{
	struct fs_names names = { 0 };
	struct fs_stat st;
	char *chunks = str_dupz(a, str_fmt(a, "%s/chunks", dir));
	if (fs_stat(ctx, chunks, &st, e) < 0)
		return -1;
	if (st.kind == FS_DIR && fs_list(ctx, a, chunks, &names, e) < 0)
		return -1;
	struct file *v = arena_try(a, ctx, (names.n + 1) * sizeof(*v), e);
	if (!v)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		v[i].rel = str_fmt(a, "chunks/%.*s", STR_FMT(names.name[i]));
	v[names.n].rel = STR("index");
	*n = names.n + 1;
	for (size_t i = 0; i < *n; i++) {
		v[i].path = str_dupz(a, str_fmt(a, "%s/%.*s", dir, STR_FMT(v[i].rel)));
		if (fs_stat(ctx, v[i].path, &st, e) < 0)
			return -1;
		if (st.kind != FS_FILE)
			return err_set(ctx, e, E_NOT_FOUND, "%s is not a file",
				       v[i].path);
		v[i].size = st.size;
	}
	*out = v;
	return 0;
}

/* 1: the bucket has it with this size, 0: not, or another size (*other). */
static int has_file(struct bucket *b, struct ctx *ctx, struct str name, uint64_t size,
		    uint64_t *other, struct err *e)
{
	struct bucket_attrs at;
	struct err why = ERR_INIT;
	*other = UINT64_MAX;
	if (bucket_attrs(b, ctx, name, &at, &why) == 0) {
		*other = at.size;
		return at.size == size;
	}
	if (why.code == E_NOT_FOUND)
		return 0;
	*e = why;
	return -1;
}

static int send_files(struct bucket *b, struct ctx *ctx, struct arena *a, const char *id,
		      const struct file *v, size_t n, struct err *e)
{
	uint64_t other;
	for (size_t i = 0; i < n; i++) {
		struct str name = str_fmt(a, "%s/%.*s", id, STR_FMT(v[i].rel));
		int there = has_file(b, ctx, name, v[i].size, &other, e);
		if (there < 0 ||
		    (!there && bucket_put_file(b, ctx, name, v[i].path, e) < 0))
			return -1;
	}
	for (size_t i = 0; i < n; i++) {
		struct str name = str_fmt(a, "%s/%.*s", id, STR_FMT(v[i].rel));
		int there = has_file(b, ctx, name, v[i].size, &other, e);
		if (there < 0)
			return -1;
		if (!there && other == UINT64_MAX)
			return err_set(ctx, e, E_REMOTE,
				       "%.*s is not in the bucket after its upload",
				       STR_FMT(name));
		if (!there)
			return err_set(ctx, e, E_REMOTE,
				       "%.*s has %llu bytes in the bucket, %llu on disk",
				       STR_FMT(name), (unsigned long long)other,
				       (unsigned long long)v[i].size);
	}
	return 0;
}

static int send_meta(struct bucket *b, struct ctx *ctx, struct arena *a, const char *id,
		     const struct block_meta *meta, struct err *e)
{
	struct buf json;
	buf_init(&json, LIMIT_META_BYTES);
	block_meta_write(meta, &json);
	int rc = buf_check(&json, ctx, BLOCKS_META_NAME, e);
	if (rc == 0)
		rc = bucket_put_bytes(b, ctx, str_fmt(a, "%s/" BLOCKS_META_NAME, id),
				      buf_view(&json), e);
	buf_deinit(&json);
	return rc;
}

int block_upload(struct bucket *b, struct ctx *ctx, const char *dir,
		 const struct block_meta *meta, struct err *e)
{
	struct arena a;
	struct file *v = NULL;
	size_t n = 0;
	char id[27];
	ulid_format(&meta->ulid, id);
	arena_init(&a, ctx ? ctx->budget : NULL);
	int rc = list_files(ctx, &a, dir, &v, &n, e);
	if (rc == 0)
		rc = send_files(b, ctx, &a, id, v, n, e);
	if (rc == 0)
		rc = send_meta(b, ctx, &a, id, meta, e);
	arena_deinit(&a);
	return rc < 0 ? err_wrap(ctx, e, "block %s", id) : 0;
}
