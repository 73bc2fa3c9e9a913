/*
 * objstore/fs_bucket.c - a folder as bucket (type FILESYSTEM).
 *
 * An object is a regular file, "/" in names are folders. A put writes <root>/.thanosc-tmp/<pid>-<n>, which
 * no listing shows and no name reaches, syncs it, renames it to its place and syncs the folders, so an
 * object is there whole or not at all, after a power cut too. Folders without objects do not exist for
 * a listing; a delete removes those it empties. What a killed process left in .thanosc-tmp is removed at
 * open when it is a day old (another process may be writing the younger ones).
 *
 * Another writer may remove a folder between our mkdir and rename: the rename then fails with ENOENT
 * and both are done again, a few times.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/time.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "objstore/bucket_int.h"

#define TMP_FOLDER ".thanosc-tmp"
#define TMP_AGE_MS (24 * 3600 * (int64_t)1000)
#define MAX_DEPTH  32 /* folders of a recursive listing */
#define RACE_TRIES 8

struct fs_bucket {
	struct bucket base;
	char *root; /* absolute or as given, no final "/" (but for the root itself) */
	char *name;
	_Atomic uint32_t next_tmp;
};

static struct fs_bucket *self(struct bucket *b)
{
	return CONTAINER_OF(b, struct fs_bucket, base);
}

static char *join(const char *dir, struct str name)
{
	size_t n = strlen(dir);
	char *p = xmalloc(n + name.n + 2);
	memcpy(p, dir, n);
	if (name.n == 0) {
		p[n] = '\0';
		return p;
	}
	p[n] = '/';
	memcpy(p + n + 1, name.p, name.n);
	p[n + 1 + name.n] = '\0';
	return p;
}

static bool is_reserved(struct str name)
{
	return str_has_prefix(name, STR(TMP_FOLDER)) &&
	       (name.n == strlen(TMP_FOLDER) || name.p[strlen(TMP_FOLDER)] == '/');
}

/* What begins every request: is it answered at all? */
static int check_call(struct ctx *ctx, struct err *e)
{
	return FAULT_POINT(BUCKET_CALL) ? err_errno(ctx, e, errno, "request") : 0;
}

static int check_reserved(struct ctx *ctx, struct str name, struct err *e)
{
	if (check_call(ctx, e) < 0)
		return -1;
	if (is_reserved(name))
		return err_set(ctx, e, E_INVALID, "the name " TMP_FOLDER " is reserved");
	return 0;
}

static int absent(struct ctx *ctx, struct err *e)
{
	return err_set(ctx, e, E_NOT_FOUND, "no such object");
}

/* Size and time of an object; E_NOT_FOUND also where a folder lies, or a file in the place of a folder. */
static int stat_object(struct ctx *ctx, const char *path, struct bucket_attrs *out,
		       struct err *e)
{
	struct stat st;
	if (stat(path, &st) < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return absent(ctx, e);
		return err_errno(ctx, e, errno, "stat %s", path);
	}
	if (!S_ISREG(st.st_mode))
		return absent(ctx, e);
	out->size = (uint64_t)st.st_size;
	out->mtime_ms = st.st_mtim.tv_sec * (int64_t)1000 + st.st_mtim.tv_nsec / 1000000;
	return 0;
}

/* ---- listing ---- */

/* 1: `path` holds an object at some depth, 0: not. What vanishes meanwhile holds none. */
static int holds_object(struct ctx *ctx, const char *path, unsigned depth, struct err *e)
{
	struct arena a;
	struct fs_names names;
	struct err why = ERR_INIT;
	if (depth > MAX_DEPTH)
		return err_set(ctx, e, E_LIMIT, "%s: folders too deep", path);
	arena_init(&a, ctx ? ctx->budget : NULL);
	int rc = fs_list(ctx, &a, path, &names, &why);
	if (rc < 0 && why.code != E_NOT_FOUND)
		*e = why;
	else if (rc < 0)
		rc = 0, names.n = 0;
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		char *p = join(path, names.name[i]);
		struct fs_stat st;
		rc = fs_stat(ctx, p, &st, e);
		if (rc == 0 && st.kind == FS_FILE)
			rc = 1;
		else if (rc == 0 && st.kind == FS_DIR)
			rc = holds_object(ctx, p, depth + 1, e);
		free(p);
	}
	arena_deinit(&a);
	return rc;
}

/* The entries of one folder with their full names in `a`, in the order of object names. */
static int list_folder(struct fs_bucket *f, struct ctx *ctx, struct arena *a,
		       struct str dir, struct bucket_entry **out, size_t *n,
		       struct err *e)
{
	struct fs_names names;
	struct err why = ERR_INIT;
	char *path = join(f->root, dir);
	int rc = fs_list(ctx, a, path, &names, &why);
	free(path);
	*n = 0;
	if (rc < 0 && why.code == E_NOT_FOUND)
		return 0;
	if (rc < 0) {
		*e = why;
		return -1;
	}
	struct bucket_entry *v = arena_try(a, ctx, (names.n + 1) * sizeof(*v), e);
	if (!v)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		struct fs_stat st;
		struct str full = dir.n ? str_fmt(a, "%.*s/%.*s", STR_FMT(dir),
						  STR_FMT(names.name[i]))
					: names.name[i];
		if (is_reserved(full))
			continue;
		path = join(f->root, full);
		rc = fs_stat(ctx, path, &st, e);
		free(path);
		if (rc < 0)
			return -1;
		if (st.kind != FS_FILE && st.kind != FS_DIR)
			continue;
		bool folder = st.kind == FS_DIR;
		if (folder)
			full = str_fmt(a, "%.*s/", STR_FMT(full));
		v[(*n)++] = (struct bucket_entry){
			full, { st.size, st.mtime_ns / (int64_t)NS_PER_MS }, folder
		};
	}
	bucket_entries_sort(v, *n);
	*out = v;
	return 0;
}

struct walk {
	struct fs_bucket *f;
	bool recursive;
	int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
		  struct err *e);
	void *arg;
};

static int walk_folder(const struct walk *w, struct ctx *ctx, struct str dir,
		       unsigned depth, struct err *e)
{
	struct arena a;
	struct bucket_entry *v = NULL;
	size_t n = 0;
	if (depth > MAX_DEPTH)
		return err_set(ctx, e, E_LIMIT, "%.*s: folders too deep", STR_FMT(dir));
	arena_init(&a, ctx ? ctx->budget : NULL);
	int rc = list_folder(w->f, ctx, &a, dir, &v, &n, e);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct str name = v[i].name;
		rc = ctx_check(ctx, e);
		if (rc < 0)
			break;
		if (!v[i].folder) {
			rc = w->fn(w->arg, name, &v[i].attrs, e);
			continue;
		}
		struct str bare = { name.p, name.n - 1 };
		if (w->recursive) {
			rc = walk_folder(w, ctx, bare, depth + 1, e);
			continue;
		}
		char *path = join(w->f->root, bare);
		int some = holds_object(ctx, path, 0, e);
		free(path);
		rc = some < 0 ? -1 : some ? w->fn(w->arg, name, NULL, e) : 0;
	}
	arena_deinit(&a);
	return rc;
}

static int fs_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		   int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			     struct err *e),
		   void *arg, struct err *e)
{
	struct walk w = { self(b), recursive, fn, arg };
	if (check_call(ctx, e) < 0)
		return -1;
	if (is_reserved(dir))
		return 0;
	if (dir.n) {
		struct fs_stat st;
		char *path = join(w.f->root, dir);
		int rc = fs_stat(ctx, path, &st, e);
		free(path);
		if (rc < 0)
			return -1;
		if (st.kind != FS_DIR)
			return 0;
	}
	return walk_folder(&w, ctx, dir, 0, e);
}

/* ---- reading ---- */

static int fs_get(struct bucket *b, struct ctx *ctx, struct str name, struct buf *out,
		  struct err *e)
{
	struct bucket_attrs at;
	if (check_reserved(ctx, name, e) < 0)
		return -1;
	char *path = join(self(b)->root, name);
	int rc = stat_object(ctx, path, &at, e);
	if (rc == 0)
		rc = fs_read_file(ctx, path, out->max - out->n, out, e);
	free(path);
	return rc;
}

static int fs_open_object(struct bucket *b, struct ctx *ctx, struct str name,
			  struct range_source **out, struct err *e)
{
	struct bucket_attrs at;
	if (check_reserved(ctx, name, e) < 0)
		return -1;
	char *path = join(self(b)->root, name);
	int rc = stat_object(ctx, path, &at, e);
	if (rc == 0)
		rc = range_source_file(ctx, path, out, e);
	free(path);
	return rc;
}

static int fs_attrs(struct bucket *b, struct ctx *ctx, struct str name,
		    struct bucket_attrs *out, struct err *e)
{
	if (check_reserved(ctx, name, e) < 0)
		return -1;
	char *path = join(self(b)->root, name);
	int rc = stat_object(ctx, path, out, e);
	free(path);
	return rc;
}

/* ---- writing ---- */

static int open_tmp(struct fs_bucket *f, struct ctx *ctx, char **path, struct err *e)
{
	char *dir = join(f->root, STR(TMP_FOLDER));
	size_t room = strlen(dir) + 48;
	*path = xmalloc(room);
	int fd = -1, why = 0;
	for (unsigned i = 0; fd < 0 && i < RACE_TRIES; i++) {
		uint32_t n = atomic_fetch_add(&f->next_tmp, 1);
		snprintf(*path, room, "%s/%ld-%u", dir, (long)getpid(), n);
		fd = FAULT_POINT(BUCKET_CREATE)
			     ? -1
			     : open(*path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		why = errno;
		if (fd < 0 && why == ENOENT) {
			if (fs_mkdir_p(ctx, dir, e) < 0)
				break;
		} else if (fd < 0 && why != EEXIST && why != EINTR) {
			err_errno(ctx, e, why, "create %s", *path);
			break;
		} else if (fd < 0 && i + 1 == RACE_TRIES) {
			err_errno(ctx, e, why, "create %s", *path);
		}
	}
	if (fd < 0 && e->code == E_OK)
		err_errno(ctx, e, why, "create %s", *path);
	free(dir);
	return fd;
}

static int write_all(struct ctx *ctx, int fd, const uint8_t *p, size_t n,
		     const char *path, struct err *e)
{
	while (n) {
		ssize_t done =
			FAULT_POINT(BUCKET_WRITE) ? -1 : write(fd, p, FAULT_PART(n));
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return err_errno(ctx, e, errno, "write %s", path);
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Everything the source gives, synced to disk. */
static int fill(struct ctx *ctx, int fd, const char *path, struct put_source *src,
		struct err *e)
{
	uint8_t *p = xmalloc(BUCKET_COPY_BYTES);
	uint64_t total = 0;
	int rc = 0;
	for (;;) {
		size_t n = 0;
		rc = ctx_check(ctx, e);
		if (rc == 0)
			rc = src->read(src->arg, ctx, p, BUCKET_COPY_BYTES, &n, e);
		if (rc < 0 || n == 0)
			break;
		total += n;
		rc = write_all(ctx, fd, p, n, path, e);
		if (rc < 0)
			break;
	}
	free(p);
	if (rc == 0 && src->size != UINT64_MAX && total != src->size)
		rc = err_set(ctx, e, E_IO, "%llu bytes came where %llu were announced",
			     (unsigned long long)total, (unsigned long long)src->size);
	if (rc == 0 && (FAULT_POINT(BUCKET_SYNC) || fsync(fd) < 0))
		rc = err_errno(ctx, e, errno, "fsync %s", path);
	return rc;
}

/* fsync the folder of `name` and, if folders were made, all above it up to the root. */
static int sync_folders(struct fs_bucket *f, struct ctx *ctx, struct str name, bool all,
			struct err *e)
{
	for (;;) {
		while (name.n && name.p[name.n - 1] != '/')
			name.n--;
		if (name.n)
			name.n--;
		char *dir = join(f->root, name);
		int rc = fs_fsync_dir(ctx, dir, e);
		free(dir);
		if (rc < 0 || !all || name.n == 0)
			return rc;
	}
}

static int move_in(struct fs_bucket *f, struct ctx *ctx, const char *tmp, struct str name,
		   struct err *e)
{
	struct str folder = name;
	while (folder.n && folder.p[folder.n - 1] != '/')
		folder.n--;
	if (folder.n)
		folder.n--;
	char *to = join(f->root, name), *dir = join(f->root, folder);
	bool made = false;
	int rc = -1;
	for (unsigned i = 0; i < RACE_TRIES; i++) {
		rc = FAULT_POINT(BUCKET_RENAME) ? -1 : rename(tmp, to);
		int why = errno;
		if (rc == 0)
			break;
		if (why != ENOENT || i + 1 == RACE_TRIES) {
			err_errno(ctx, e, why, "rename %s to %s", tmp, to);
			break;
		}
		if (fs_mkdir_p(ctx, dir, e) < 0)
			break;
		made = true;
	}
	free(to);
	free(dir);
	return rc < 0 ? -1 : sync_folders(f, ctx, name, made, e);
}

static int fs_put(struct bucket *b, struct ctx *ctx, struct str name,
		  struct put_source *src, struct err *e)
{
	struct fs_bucket *f = self(b);
	char *tmp = NULL;
	struct err why = ERR_INIT;
	if (check_reserved(ctx, name, e) < 0)
		return -1;
	int rc = -1, fd = open_tmp(f, ctx, &tmp, &why);
	if (fd >= 0) {
		rc = fill(ctx, fd, tmp, src, &why);
		if (close(fd) < 0 && rc == 0)
			rc = err_errno(ctx, &why, errno, "close %s", tmp);
		if (rc == 0)
			rc = move_in(f, ctx, tmp, name, &why);
		if (rc < 0)
			unlink(tmp);
		else if (FAULT_POINT(BUCKET_ANSWER))
			rc = err_errno(ctx, &why, errno, "answer");
	}
	free(tmp);
	/* Gone when no other put is under way; an empty one is not seen either. */
	char *dir = join(f->root, STR(TMP_FOLDER));
	rmdir(dir);
	free(dir);
	if (rc < 0)
		*e = why;
	return rc;
}

static int fs_del(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	struct fs_bucket *f = self(b);
	if (check_reserved(ctx, name, e) < 0)
		return -1;
	char *path = join(f->root, name);
	int rc = 0;
	/* EISDIR: a folder is no object. */
	if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR && errno != EISDIR)
		rc = err_errno(ctx, e, errno, "unlink %s", path);
	size_t root = strlen(f->root);
	for (char *cut; rc == 0 && (cut = strrchr(path + root + 1, '/'));) {
		*cut = '\0';
		if (rmdir(path) < 0)
			break;
	}
	free(path);
	return rc;
}

static void fs_close(struct bucket *b)
{
	struct fs_bucket *f = self(b);
	free(f->root);
	free(f->name);
	free(f);
}

/* Best effort: what stays is only waste. */
static void remove_stale(struct fs_bucket *f, struct ctx *ctx)
{
	struct arena a;
	struct fs_names names;
	struct err e = ERR_INIT;
	char *dir = join(f->root, STR(TMP_FOLDER));
	arena_init(&a, NULL);
	if (fs_list(ctx, &a, dir, &names, &e) < 0)
		names.n = 0;
	for (size_t i = 0; i < names.n; i++) {
		struct fs_stat st;
		char *p = join(dir, names.name[i]);
		if (fs_stat(ctx, p, &st, &e) == 0 && st.kind == FS_FILE &&
		    st.mtime_ns / (int64_t)NS_PER_MS + TMP_AGE_MS < time_wall_ms())
			unlink(p);
		free(p);
	}
	rmdir(dir);
	arena_deinit(&a);
	free(dir);
}

int bucket_fs_open(struct ctx *ctx, const char *dir, struct bucket **out, struct err *e)
{
	static const struct bucket_ops ops = {
		.iter = fs_iter,
		.get = fs_get,
		.open = fs_open_object,
		.put = fs_put,
		.attrs = fs_attrs,
		.del = fs_del,
		.close = fs_close,
	};
	if (!dir[0])
		return err_set(ctx, e, E_INVALID, "bucket: the directory is empty");
	if (fs_mkdir_p(ctx, dir, e) < 0)
		return err_wrap(ctx, e, "bucket fs: %s", dir);
	struct fs_bucket *f = xcalloc(1, sizeof(*f));
	f->root = xstrdup(dir);
	for (size_t n = strlen(dir); n > 1 && f->root[n - 1] == '/'; n--)
		f->root[n - 1] = '\0';
	f->name = join("fs: ", str_of(f->root));
	snprintf(f->name, strlen(f->name) + 1, "fs: %s", f->root);
	f->base.ops = &ops;
	f->base.name = f->name;
	remove_stale(f, ctx);
	*out = &f->base;
	return 0;
}
