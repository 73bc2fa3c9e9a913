/*
 * reload/scan.c - what is watched: found by walking, told apart cheaply by times and sizes, and surely by contents.
 *
 * Mounted configuration maps swap a link to a folder under our feet: a file that is gone by the time it is looked at
 * is passed over, the next look finds the new ones.
 */
#include <sys/stat.h>

#include "base/hash.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "reload/reload_int.h"
#include "wire/codec.h"

#define DEPTH_MAX 32
#define FILES_MAX 100000u

struct walk {
	struct ctx *ctx;
	struct arena *a;
	struct reload_scan *out;
};

static void mix(struct reload_scan *s, const void *p, size_t n)
{
	s->signature = hash_xx64(p, n, s->signature);
}

static int add_file(struct walk *w, const char *path, const struct fs_stat *st,
		    struct err *e)
{
	struct reload_scan *s = w->out;
	const uint64_t facts[] = { st->size, st->ino, (uint64_t)st->mtime_ns };
	if (s->n == FILES_MAX)
		return err_set(w->ctx, e, E_LIMIT, "more than %u files to watch",
			       FILES_MAX);
	if (s->n == s->cap) {
		size_t more = s->cap ? s->cap * 2 : 64;
		struct reload_file *v = arena_try(w->a, w->ctx, more * sizeof(*v), e);
		if (!v)
			return -1;
		if (s->n)
			memcpy(v, s->v, s->n * sizeof(*v));
		s->v = v;
		s->cap = more;
	}
	s->v[s->n++].path = str_dupz(w->a, str_of(path));
	mix(s, path, strlen(path) + 1);
	mix(s, facts, sizeof(facts));
	return 0;
}

static bool is_link(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static int walk_dir(struct walk *w, const char *dir, unsigned depth, struct err *e)
{
	struct fs_names names;
	struct err why = ERR_INIT;
	if (depth == DEPTH_MAX)
		return err_set(w->ctx, e, E_LIMIT, "%s: too deep", dir);
	if (fs_list(w->ctx, w->a, dir, &names, &why) < 0)
		/* One below a rule folder may have gone since it was listed. */
		return depth && why.code == E_NOT_FOUND ? 0 : err_copy(w->ctx, e, &why);
	for (size_t i = 0; i < names.n; i++) {
		struct fs_stat st;
		char *path = str_dupz(w->a, str_fmt(w->a, "%s/%.*s", dir,
						    STR_FMT(names.name[i])));
		if (fs_stat(w->ctx, path, &st, e) < 0)
			return -1;
		int rc = 0;
		if (st.kind == FS_FILE)
			rc = add_file(w, path, &st, e);
		else if (st.kind == FS_DIR && !is_link(path))
			rc = walk_dir(w, path, depth + 1, e);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int reload_scan(const struct reloader_opts *o, struct ctx *ctx, struct arena *a,
		struct reload_scan *out, struct err *e)
{
	struct walk w = { ctx, a, out };
	struct fs_stat st;
	*out = (struct reload_scan){ 0 };
	if (o->config_file) {
		if (fs_stat(ctx, o->config_file, &st, e) < 0)
			return -1;
		if (st.kind != FS_FILE)
			return err_set(ctx, e, E_NOT_FOUND, "%s is not a file",
				       o->config_file);
		if (add_file(&w, o->config_file, &st, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < o->n_rule_dirs; i++) {
		char *dir = str_dupz(a, o->rule_dirs[i]);
		if (walk_dir(&w, dir, 0, e) < 0)
			return err_wrap(ctx, e, "rule folder %s", dir);
	}
	return 0;
}

int reload_hash_files(const struct reload_scan *s, struct ctx *ctx,
		      struct reload_hash *out, struct err *e)
{
	struct buf b;
	struct sha256 *h = sha256_new();
	int rc = 0;
	buf_init(&b, RELOAD_FILE_BYTES);
	for (size_t i = 0; i < s->n && rc == 0; i++) {
		const char *path = s->v[i].path;
		struct err why = ERR_INIT;
		buf_reset(&b);
		rc = fs_read_file(ctx, path, RELOAD_FILE_BYTES, &b, &why);
		if (rc < 0 && why.code != E_NOT_FOUND) {
			err_copy(ctx, e, &why);
			break;
		}
		if (rc < 0) {
			rc = 0;
			continue;
		}
		const uint64_t size = b.n;
		sha256_feed(h, str_n(path, strlen(path) + 1));
		sha256_feed(h, str_n(&size, sizeof(size)));
		sha256_feed(h, buf_view(&b));
	}
	sha256_done(h, out->b);
	buf_deinit(&b);
	return rc;
}
