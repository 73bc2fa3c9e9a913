/*
 * fs/fs_temp.c - files without a name: room beyond memory that no crash can leave behind.
 *
 * O_TMPFILE where the filesystem has it, else a named file that is unlinked at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "fs/fs_int.h"

struct fs_temp {
	int fd;
	char dir[]; /* for errors */
};

static const char *default_dir(void)
{
	const char *env = getenv("TMPDIR");
	if (env && env[0])
		return env;
	return access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
}

static int open_unlinked(const char *dir)
{
	int fd = fs_open(dir, O_TMPFILE | O_RDWR, 0600);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
		return fd;
	size_t room = strlen(dir) + sizeof("/thanosc-XXXXXX");
	char *path = xmalloc(room);
	snprintf(path, room, "%s/thanosc-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	int saved = errno;
	free(path);
	errno = saved;
	return fd;
}

int fs_temp_open(struct ctx *ctx, const char *dir, struct fs_temp **out, struct err *e)
{
	if (!dir)
		dir = default_dir();
	int fd = FAULT_POINT(FS_TEMP_OPEN) ? -1 : open_unlinked(dir);
	if (fd < 0)
		return err_errno(ctx, e, errno, "open temporary file in %s", dir);
	size_t n = strlen(dir) + 1;
	struct fs_temp *t = xmalloc(sizeof(*t) + n);
	t->fd = fd;
	memcpy(t->dir, dir, n);
	*out = t;
	return 0;
}

int fs_temp_write(struct fs_temp *t, struct ctx *ctx, uint64_t off, const void *p,
		  size_t n, struct err *e)
{
	const char *at = p;
	while (n > 0) {
		ssize_t k = FAULT_POINT(FS_TEMP_WRITE) ? -1
						       : pwrite(t->fd, at, n, (off_t)off);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(ctx, e, errno, "write temporary file in %s",
					 t->dir);
		at += k;
		off += (uint64_t)k;
		n -= (size_t)k;
	}
	return 0;
}

int fs_temp_read(struct fs_temp *t, struct ctx *ctx, uint64_t off, void *p, size_t n,
		 struct err *e)
{
	char *at = p;
	while (n > 0) {
		ssize_t k =
			FAULT_POINT(FS_TEMP_READ) ? -1 : pread(t->fd, at, n, (off_t)off);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(ctx, e, errno, "read temporary file in %s",
					 t->dir);
		if (k == 0)
			return err_set(ctx, e, E_IO, "temporary file in %s is cut short",
				       t->dir);
		at += k;
		off += (uint64_t)k;
		n -= (size_t)k;
	}
	return 0;
}

void fs_temp_empty(struct fs_temp *t)
{
	/* Failing costs space until the close, nothing else. */
	(void)!ftruncate(t->fd, 0);
}

void fs_temp_close(struct fs_temp *t)
{
	if (!t)
		return;
	close(t->fd);
	free(t);
}
