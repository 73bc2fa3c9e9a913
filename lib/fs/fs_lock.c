/*
 * fs/fs_lock.c - one process at a time in a directory.
 *
 * flock(2): the lock belongs to the open file, so the kernel drops it when the process dies, however
 * it dies, and the file may stay behind. It also holds against a second open in the same process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "fs/fs_int.h"

struct fs_lock {
	int fd;
};

int fs_lock_open(struct ctx *ctx, const char *path, struct fs_lock **out, struct err *e)
{
	int rc, fd = fs_open(path, O_RDWR | O_CREAT, 0644);
	if (fd < 0)
		return err_errno(ctx, e, errno, "open lock file %s", path);
	do
		rc = flock(fd, LOCK_EX | LOCK_NB);
	while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		if (errno == EWOULDBLOCK)
			err_set(ctx, e, E_LOCKED, "%s is locked by another process",
				path);
		else
			err_errno(ctx, e, errno, "lock %s", path);
		close(fd);
		return -1;
	}
	struct fs_lock *l = xmalloc(sizeof(*l));
	l->fd = fd;
	*out = l;
	return 0;
}

void fs_lock_close(struct fs_lock *l)
{
	if (!l)
		return;
	close(l->fd);
	free(l);
}
