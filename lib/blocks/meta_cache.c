/*
 * blocks/meta_cache.c - copies of meta.json on local disk, so that a restart reads none from the bucket.
 *
 * A copy counts only if it is as long as the listing says the object is. All here is best effort: what
 * cannot be read is fetched again, what cannot be written is logged and fetched at the next start.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "blocks/blocks_int.h"
#include "fs/fs.h"

static char *path_of(const char *dir, const struct ulid *id, const char *file)
{
	char name[27];
	ulid_format(id, name);
	size_t room = strlen(dir) + strlen(name) + strlen(file) + 3;
	char *p = xmalloc(room);
	snprintf(p, room, "%s/%s%s%s", dir, name, file[0] ? "/" : "", file);
	return p;
}

bool meta_cache_get(const char *dir, struct ctx *ctx, const struct ulid *id,
		    uint64_t size, struct buf *out)
{
	struct err e = ERR_INIT;
	struct fs_stat st;
	char *p = path_of(dir, id, BLOCKS_META_NAME);
	size_t before = out->n;
	bool ok = fs_stat(ctx, p, &st, &e) == 0 && st.kind == FS_FILE &&
		  st.size == size && size > 0 && size <= LIMIT_META_BYTES &&
		  fs_read_file(ctx, p, (size_t)size, out, &e) == 0 &&
		  out->n - before == size;
	if (!ok)
		out->n = before;
	free(p);
	return ok;
}

void meta_cache_put(const char *dir, struct ctx *ctx, const struct ulid *id,
		    struct str json)
{
	struct err e = ERR_INIT;
	char *folder = path_of(dir, id, ""), *p = path_of(dir, id, BLOCKS_META_NAME);
	if (fs_mkdir_p(ctx, folder, &e) < 0 || fs_write_atomic(ctx, p, json, &e) < 0)
		log_warn(ctx, "meta.json is not kept on disk: %s", err_text(&e));
	free(folder);
	free(p);
}

void meta_cache_drop(const char *dir, struct ctx *ctx, const struct ulid *id)
{
	struct err e = ERR_INIT;
	char *folder = path_of(dir, id, "");
	if (fs_remove_all(ctx, folder, &e) < 0)
		log_warn(ctx, "old meta.json is not removed: %s", err_text(&e));
	free(folder);
}

void meta_cache_clean(const char *dir, struct ctx *ctx, const struct metas *m)
{
	struct err e = ERR_INIT;
	struct arena a;
	struct fs_names names = { 0 };
	struct fs_stat st;
	if (fs_stat(ctx, dir, &st, &e) < 0 || st.kind != FS_DIR)
		return;
	arena_init(&a, NULL);
	if (fs_list(ctx, &a, dir, &names, &e) < 0)
		log_warn(ctx, "old meta.json are not removed: %s", err_text(&e));
	for (size_t i = 0; e.code == E_OK && i < names.n; i++) {
		struct ulid id;
		struct str rest;
		if (blocks_split_name(names.name[i], &id, &rest) && !rest.n &&
		    !metas_find(m, &id))
			meta_cache_drop(dir, ctx, &id);
	}
	arena_deinit(&a);
}
