/*
 * compactor/recover.c - what a process that ended left in staging.
 *
 * For each <group key>/<ULID>.work:
 *
 *   its block is in the bucket (meta.json is there)     staging is removed; garbage collection marks the inputs
 *   it is whole on disk, and all its inputs are in the
 *   bucket, unmarked and covered by nobody              its upload is finished, its inputs are marked
 *   else                                                what was uploaded and staging are removed
 *
 * Whether meta.json is there is asked for by name: a listing may be older than it. All else under staging goes.
 */
#include "compactor/compactor_int.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "fs/fs.h"

struct left { /* one <ULID>.work */
	struct compactor *c;
	struct ctx *ctx;
	const struct catalogue *cat;
	struct compactor_report *r;
	struct arena arena;
	struct ulid ulid;
	char id[27];
	const char *dir, *block;
	int64_t to_res_ms;
	struct ulid *input;
	size_t n;
	struct block_meta meta;
};

static bool read_inputs(struct left *l)
{
	struct err none = ERR_INIT;
	struct buf raw;
	struct str rest, line;
	buf_init(&raw, 1u << 20);
	char *path = str_dupz(&l->arena, str_fmt(&l->arena, "%s/" JOB_INPUTS, l->dir));
	bool ok = fs_read_file(l->ctx, path, 1u << 20, &raw, &none) == 0;
	rest = buf_view(&raw);
	ok = ok && str_cut(&rest, '\n', &line) &&
	     str_has_prefix(line, STR("resolution ")) &&
	     str_to_i64(str_from(line, 11), &l->to_res_ms);
	l->input = ARENA_ARRAY(&l->arena, struct ulid, raw.n / 26 + 1);
	while (ok && str_cut(&rest, '\n', &line))
		ok = ulid_parse(line, &l->input[l->n++]);
	buf_deinit(&raw);
	return ok && l->n;
}

static bool read_meta(struct left *l)
{
	struct err none = ERR_INIT;
	struct buf raw;
	buf_init(&raw, LIMIT_META_BYTES);
	char *path = str_dupz(&l->arena, str_fmt(&l->arena, "%s/meta.json", l->block));
	bool ok = fs_read_file(l->ctx, path, LIMIT_META_BYTES, &raw, &none) == 0 &&
		  block_meta_parse(l->ctx, &l->arena, buf_view(&raw), &l->meta, &none) ==
			  0 &&
		  ulid_cmp(&l->meta.ulid, &l->ulid) == 0;
	buf_deinit(&raw);
	return ok;
}

/* In the catalogue, with nothing that says that its time is over. */
static bool is_alive(const struct left *l, const struct ulid *id)
{
	for (size_t i = 0; i < l->cat->n; i++)
		if (ulid_cmp(&l->cat->block[i].meta.ulid, id) == 0)
			return l->cat->block[i].deletion_time_s == 0;
	return false;
}

static bool may_be_finished(struct left *l)
{
	if (!read_inputs(l) || !read_meta(l))
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (!is_alive(l, &l->input[i]))
			return false;
	return true;
}

static int finish(struct left *l, struct err *e)
{
	log_info(l->ctx, "block %s was made before: its upload is finished", l->id);
	if (job_upload(l->c, l->ctx, &l->arena, l->block, &l->meta, e) < 0)
		return -1;
	if (l->to_res_ms)
		l->r->downsamplings++;
	else
		l->r->compactions++;
	for (size_t i = 0; !l->to_res_ms && i < l->n; i++) {
		bool marked;
		if (compactor_mark(l->c, l->ctx, MARK_DELETION, &l->input[i],
				   metas_find(l->cat->metas, &l->input[i]), STR(""),
				   STR(DETAILS_COMPACTED), &marked, e) < 0)
			return -1;
		l->r->marked_deletion += marked;
	}
	return 0;
}

static int recover_one(struct left *l, struct err *e)
{
	bool there;
	struct str meta = str_fmt(&l->arena, "%s/meta.json", l->id);
	if (bucket_exists(l->c->o.bucket, l->ctx, meta, &there, e) < 0)
		return -1;
	if (!there && may_be_finished(l)) {
		if (finish(l, e) < 0)
			return -1;
	} else if (!there) {
		log_info(l->ctx, "block %s was begun before and is given up", l->id);
		if (block_delete(l->c->o.bucket, l->ctx, &l->ulid, e) < 0)
			return -1;
	}
	return fs_remove_all(l->ctx, l->dir, e);
}

static int recover_entry(struct compactor *c, struct ctx *ctx,
			 const struct catalogue *cat, struct compactor_report *r,
			 const char *group_dir, struct str name, struct err *e)
{
	struct left l = { .c = c, .ctx = ctx, .cat = cat, .r = r };
	arena_init(&l.arena, NULL);
	char *path = str_dupz(&l.arena,
			      str_fmt(&l.arena, "%s/%.*s", group_dir, STR_FMT(name)));
	int rc;
	if (name.n == 26 + sizeof(JOB_SUFFIX) - 1 &&
	    str_has_suffix(name, STR(JOB_SUFFIX)) &&
	    ulid_parse(str_n(name.p, 26), &l.ulid)) {
		ulid_format(&l.ulid, l.id);
		l.dir = path;
		l.block = str_dupz(&l.arena, str_fmt(&l.arena, "%s/%s", path, l.id));
		rc = recover_one(&l, e);
	} else {
		rc = fs_remove_all(ctx, path, e);
	}
	arena_deinit(&l.arena);
	return rc;
}

static int recover_group(struct compactor *c, struct ctx *ctx,
			 const struct catalogue *cat, struct compactor_report *r,
			 const char *dir, struct err *e)
{
	struct fs_names names = { 0 };
	struct fs_stat st;
	struct arena a;
	arena_init(&a, NULL);
	int rc = fs_stat(ctx, dir, &st, e);
	if (rc == 0 && st.kind == FS_DIR)
		rc = fs_list(ctx, &a, dir, &names, e);
	for (size_t i = 0; rc == 0 && i < names.n; i++)
		rc = recover_entry(c, ctx, cat, r, dir, names.name[i], e);
	arena_deinit(&a);
	return rc < 0 ? -1 : fs_remove_all(ctx, dir, e);
}

int jobs_recover(struct compactor *c, struct ctx *ctx, const struct catalogue *cat,
		 struct compactor_report *r, struct err *e)
{
	struct fs_names names = { 0 };
	struct arena a;
	arena_init(&a, NULL);
	int rc = fs_mkdir_p(ctx, c->stage_dir, e);
	if (rc == 0)
		rc = fs_list(ctx, &a, c->stage_dir, &names, e);
	for (size_t i = 0; rc == 0 && i < names.n; i++)
		rc = recover_group(c, ctx, cat, r,
				   str_dupz(&a, str_fmt(&a, "%s/%.*s", c->stage_dir,
							STR_FMT(names.name[i]))),
				   e);
	arena_deinit(&a);
	return rc < 0 ? err_wrap(ctx, e, "staging") : 0;
}
