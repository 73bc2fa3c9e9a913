/*
 * fs/fs.c - whole files and their names.
 *
 * What makes a write atomic: the bytes go to a file of another name in the same directory and to the
 * disk (fsync), then rename puts it in the place of the old one, then the directory's fsync makes the
 * new name last. A crash at any point leaves the old file or the new one, and at worst a
 * "<path>.tmp-<n>", which nobody reads.
 *
 * Trees are in fs_tree.c, locks in fs_lock.c.
 */
#include "fs/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "fs/fs_int.h"

#define READ_BYTES ((size_t)64 << 10)

int fs_open(const char *path, int flags, mode_t mode)
{
	int fd;
	do
		fd = open(path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int fs_read_file(struct ctx *ctx, const char *path, size_t max, struct buf *out,
		 struct err *e)
{
	size_t before = out->n, got = 0;
	int rc = -1, fd = fs_open(path, O_RDONLY, 0);
	if (fd < 0)
		return err_errno(ctx, e, errno, "open %s", path);
	for (;;) {
		/* With no room left, one byte more shows whether the file ends here. */
		uint8_t probe, *to = &probe;
		size_t room = MIN(max - got, out->max - out->n);
		size_t ask = room ? MIN(room, READ_BYTES) : 1;
		if (room && !(to = buf_room(out, ask))) {
			rc = buf_check(out, ctx, path, e);
			break;
		}
		ssize_t n = read(fd, to, ask);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(ctx, e, errno, "read %s", path);
			break;
		}
		if (n > 0 && !room) {
			err_set(ctx, e, E_LIMIT, "%s: larger than %zu bytes", path, got);
			break;
		}
		if (n == 0) {
			rc = 0;
			break;
		}
		buf_commit(out, (size_t)n);
		got += (size_t)n;
	}
	if (rc < 0)
		out->n = before;
	close(fd);
	return rc;
}

int fs_write_all(int fd, const void *p, size_t n)
{
	const char *from = p;
	while (n) {
		ssize_t done =
			FAULT_POINT(FS_WRITE) ? -1 : write(fd, from, FAULT_PART(n));
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return -1;
		from += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Directory part of path, "." if it has none; xmalloc'ed. */
char *fs_parent(const char *path)
{
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	if (n == 0)
		return xstrdup(".");
	char *dir = xmalloc(n + 1);
	memcpy(dir, path, n);
	dir[n] = '\0';
	return dir;
}

static int sync_parent(struct ctx *ctx, const char *path, struct err *e)
{
	char *dir = fs_parent(path);
	int rc = fs_fsync_dir(ctx, dir, e);
	free(dir);
	return rc;
}

/* A file that did not exist, next to path; *tmp is its name (xmalloc'ed). */
static int open_temporary(const char *path, char **tmp)
{
	static _Atomic unsigned counter;
	size_t room = strlen(path) + 48;
	*tmp = xmalloc(room);
	for (;;) {
		unsigned n = atomic_fetch_add(&counter, 1);
		snprintf(*tmp, room, "%s.tmp-%ld%06u", path, (long)getpid(), n);
		int fd = FAULT_POINT(FS_CREATE)
				 ? -1
				 : fs_open(*tmp, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
}

int fs_write_atomic(struct ctx *ctx, const char *path, struct str data, struct err *e)
{
	char *tmp = NULL;
	int rc = -1, fd = open_temporary(path, &tmp);
	bool made = fd >= 0;
	if (fd < 0) {
		err_errno(ctx, e, errno, "create %s", tmp);
		goto out;
	}
	if (fs_write_all(fd, data.p, data.n) < 0) {
		err_errno(ctx, e, errno, "write %s", tmp);
		goto out;
	}
	if (FAULT_POINT(FS_SYNC) || fsync(fd) < 0) {
		err_errno(ctx, e, errno, "fsync %s", tmp);
		goto out;
	}
	int closed = close(fd);
	fd = -1;
	if (closed < 0) {
		err_errno(ctx, e, errno, "close %s", tmp);
		goto out;
	}
	if (FAULT_POINT(FS_RENAME) || rename(tmp, path) < 0) {
		err_errno(ctx, e, errno, "rename %s to %s", tmp, path);
		goto out;
	}
	made = false;
	rc = sync_parent(ctx, path, e);
out:
	if (fd >= 0)
		close(fd);
	if (made)
		unlink(tmp);
	free(tmp);
	return rc;
}

int fs_mkdir_p(struct ctx *ctx, const char *path, struct err *e)
{
	if (!path[0])
		return err_errno(ctx, e, ENOENT, "mkdir with an empty path");
	char *p = xstrdup(path);
	int rc = 0;
	for (char *at = p + 1; rc == 0; at++) {
		char c = *at;
		if (c != '/' && c != '\0')
			continue;
		*at = '\0';
		struct stat st;
		if (FAULT_POINT(FS_MKDIR) || mkdir(p, 0755) < 0) {
			int why = errno;
			if (why != EEXIST)
				rc = err_errno(ctx, e, why, "mkdir %s", p);
			else if (stat(p, &st) < 0 || !S_ISDIR(st.st_mode))
				rc = err_errno(ctx, e, ENOTDIR, "mkdir %s", p);
		}
		if (c == '\0')
			break;
		*at = c;
	}
	free(p);
	return rc;
}

int fs_fsync_dir(struct ctx *ctx, const char *path, struct err *e)
{
	int fd = fs_open(path, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return err_errno(ctx, e, errno, "open %s", path);
	int rc = 0;
	/* Some filesystems cannot sync directories and say EINVAL; there is nothing better there. */
	if ((FAULT_POINT(FS_SYNC_DIR) || fsync(fd) < 0) && errno != EINVAL)
		rc = err_errno(ctx, e, errno, "fsync %s", path);
	close(fd);
	return rc;
}

int fs_rename(struct ctx *ctx, const char *from, const char *to, struct err *e)
{
	if (FAULT_POINT(FS_RENAME) || rename(from, to) < 0)
		return err_errno(ctx, e, errno, "rename %s to %s", from, to);
	return sync_parent(ctx, to, e);
}

int fs_stat(struct ctx *ctx, const char *path, struct fs_stat *out, struct err *e)
{
	struct stat st;
	if (stat(path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return err_errno(ctx, e, errno, "stat %s", path);
		*out = (struct fs_stat){ .kind = FS_NONE };
		return 0;
	}
	*out = (struct fs_stat){
		.kind = S_ISREG(st.st_mode)   ? FS_FILE
			: S_ISDIR(st.st_mode) ? FS_DIR
					      : FS_OTHER,
		.size = (uint64_t)st.st_size,
		.ino = st.st_ino,
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
	};
	return 0;
}

uint64_t fs_free_bytes(const char *path)
{
	struct statvfs v;
	if (statvfs(path, &v) < 0)
		return 0;
	return (uint64_t)v.f_bavail * v.f_frsize;
}

bool fs_space(const char *path, uint64_t *left, uint64_t *total)
{
	struct statvfs v;
	if (statvfs(path, &v) < 0 || v.f_blocks == 0)
		return false;
	*left = (uint64_t)v.f_bavail * v.f_frsize;
	*total = (uint64_t)v.f_blocks * v.f_frsize;
	return true;
}

const char *fs_network_name(uint32_t magic)
{
	static const struct {
		uint32_t magic;
		const char *name;
	} all[] = { { 0x6969, "NFS" },	 { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB2" },
		    { 0x517b, "SMB" },	 { 0x5346414f, "AFS" },	 { 0x00c36400, "Ceph" },
		    { 0x01021997, "9P" } };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i].magic == magic)
			return all[i].name;
	return NULL;
}

const char *fs_network(const char *path)
{
	struct statfs v;
	return statfs(path, &v) < 0 ? NULL : fs_network_name((uint32_t)v.f_type);
}
