/*
 * fs/fs_tree.c - directories: listing, removal, hard links.
 *
 * Removal works relative to open directories (openat, unlinkat) and never follows a symbolic link, so
 * it cannot be led out of the tree by a link that appears meanwhile. Each level is closed before the
 * next entry of its parent, so as many descriptors are open as the tree is deep; deeper than
 * MAX_DEPTH is refused.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/vec.h"
#include "fs/fs_int.h"

#define MAX_DEPTH  64
#define COPY_BYTES ((size_t)128 << 10)

static bool is_dots(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int name_order(const void *a, const void *b, void *arg UNUSED)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

int fs_list(struct ctx *ctx, struct arena *a, const char *path, struct fs_names *out,
	    struct err *e)
{
	struct str *v = NULL;
	size_t n = 0, cap = 0;
	int rc = -1;
	DIR *d = opendir(path);
	if (!d)
		return err_errno(ctx, e, errno, "open directory %s", path);
	for (;;) {
		errno = 0;
		const struct dirent *ent = readdir(d);
		if (!ent && errno) {
			err_errno(ctx, e, errno, "read directory %s", path);
			goto out;
		}
		if (!ent)
			break;
		if (is_dots(ent->d_name))
			continue;
		size_t len = strlen(ent->d_name);
		char *name = arena_try(a, ctx, len + 1, e);
		if (!name)
			goto out;
		memcpy(name, ent->d_name, len + 1);
		if (n == cap)
			v = vec_grow(v, &cap, n + 1, sizeof(*v));
		v[n++] = str_n(name, len);
	}
	vec_sort(v, n, sizeof(*v), name_order, NULL);
	struct str *kept = arena_try(a, ctx, n * sizeof(*v), e);
	if (!kept)
		goto out;
	if (n)
		memcpy(kept, v, n * sizeof(*v));
	*out = (struct fs_names){ kept, n };
	rc = 0;
out:
	free(v);
	closedir(d);
	return rc;
}

/* ---- removal ---- */

struct removal {
	struct ctx *ctx;
	const char *root; /* for errors */
	struct err *e;
};

static int fail(const struct removal *r, int why, const char *what, const char *name)
{
	return err_errno(r->ctx, r->e, why, "remove %s: %s %s", r->root, what, name);
}

static int remove_entries(const struct removal *r, int fd, const char *name, int depth);

static int remove_at(const struct removal *r, int dir, const char *name, int depth)
{
	if (FAULT_POINT(FS_REMOVE))
		return fail(r, errno, "unlink", name);
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* Linux says EISDIR, POSIX allows EPERM. */
	int why = errno;
	if (why != EISDIR && why != EPERM)
		return fail(r, why, "unlink", name);
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return fail(r, errno == ENOTDIR ? why : errno, "open", name);
	if (remove_entries(r, fd, name, depth) < 0) /* closes fd */
		return -1;
	if (FAULT_POINT(FS_REMOVE) ||
	    (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT))
		return fail(r, errno, "rmdir", name);
	return 0;
}

static int remove_entries(const struct removal *r, int fd, const char *name, int depth)
{
	int rc = -1;
	DIR *d = fdopendir(fd);
	if (!d) {
		int why = errno;
		close(fd);
		return fail(r, why, "open", name);
	}
	if (depth == MAX_DEPTH) {
		err_set(r->ctx, r->e, E_LIMIT, "remove %s: deeper than %d directories",
			r->root, MAX_DEPTH);
		goto out;
	}
	for (;;) {
		errno = 0;
		const struct dirent *ent = readdir(d);
		if (!ent && errno) {
			fail(r, errno, "read directory", name);
			goto out;
		}
		if (!ent)
			break;
		if (!is_dots(ent->d_name) &&
		    remove_at(r, dirfd(d), ent->d_name, depth + 1) < 0)
			goto out;
	}
	rc = 0;
out:
	closedir(d);
	return rc;
}

int fs_remove_all(struct ctx *ctx, const char *path, struct err *e)
{
	struct removal r = { ctx, path, e };
	return remove_at(&r, AT_FDCWD, path, 0);
}

/* ---- link or copy ---- */

static int copy_bytes(int in, int out)
{
	char *block = NULL;
	int rc = -1;
	/* Shares blocks or copies inside the kernel where it can; 0 at once means it could not. */
	for (;;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, (size_t)1 << 30, 0);
		if (n <= 0)
			break;
	}
	block = xmalloc(COPY_BYTES);
	for (;;) {
		ssize_t n = read(in, block, COPY_BYTES);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		if (n == 0) {
			rc = 0;
			break;
		}
		if (fs_write_all(out, block, (size_t)n) < 0)
			break;
	}
	int why = errno;
	free(block);
	errno = why;
	return rc;
}

static int copy_file(struct ctx *ctx, const char *from, const char *to, struct err *e)
{
	int rc = -1, out = -1, in = fs_open(from, O_RDONLY, 0);
	struct stat st;
	if (in < 0 || fstat(in, &st) < 0) {
		err_errno(ctx, e, errno, "open %s", from);
		goto out;
	}
	out = fs_open(to, O_WRONLY | O_CREAT | O_EXCL, st.st_mode & 0777);
	if (out < 0) {
		err_errno(ctx, e, errno, "create %s", to);
		goto out;
	}
	if (copy_bytes(in, out) < 0 || FAULT_POINT(FS_SYNC) || fsync(out) < 0) {
		err_errno(ctx, e, errno, "copy %s to %s", from, to);
		unlink(to);
		goto out;
	}
	rc = 0;
out:
	if (out >= 0 && close(out) < 0 && rc == 0) {
		rc = err_errno(ctx, e, errno, "close %s", to);
		unlink(to);
	}
	if (in >= 0)
		close(in);
	return rc;
}

int fs_link_or_copy(struct ctx *ctx, const char *from, const char *to, struct err *e)
{
	if (!FAULT_POINT(FS_LINK) && link(from, to) == 0)
		return 0;
	switch (errno) {
	case EXDEV:
	case EPERM:
	case EMLINK:
	case EOPNOTSUPP:
	case ENOSYS: return copy_file(ctx, from, to, e);
	default: return err_errno(ctx, e, errno, "link %s to %s", from, to);
	}
}
