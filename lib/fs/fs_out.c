/*
 * fs/fs_out.c - a buffered writer of one file.
 *
 * The buffer holds the end of the file: [done, done + n). Patches and reads of older bytes go to the file itself,
 * by pwrite and pread, which leave the place of write alone.
 */
#include "fs/fs_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "fs/fs_int.h"

struct fs_out {
	int fd;
	uint64_t done; /* bytes handed to the system */
	size_t n, room;
	uint8_t *p;
	fs_out_taken *taken; /* may be NULL */
	void *arg;
	char path[]; /* for errors */
};

int fs_out_create(struct ctx *ctx, const char *path, size_t room, struct fs_out **out,
		  struct err *e)
{
	int fd = FAULT_POINT(FS_CREATE) ? -1
					: fs_open(path, O_RDWR | O_CREAT | O_EXCL, 0644);
	if (fd < 0)
		return err_errno(ctx, e, errno, "create %s", path);
	size_t n = strlen(path) + 1;
	struct fs_out *o = xmalloc(sizeof(*o) + n);
	*o = (struct fs_out){ .fd = fd, .room = room, .p = xmalloc(room) };
	memcpy(o->path, path, n);
	*out = o;
	return 0;
}

static int write_through(struct fs_out *o, struct ctx *ctx, const void *p, size_t n,
			 struct err *e)
{
	if (n && fs_write_all(o->fd, p, n) < 0)
		return err_errno(ctx, e, errno, "write %s", o->path);
	o->done += n;
	return n && o->taken ? o->taken(o->arg, ctx, p, n, e) : 0;
}

void fs_out_watch(struct fs_out *o, fs_out_taken *fn, void *arg)
{
	o->taken = fn;
	o->arg = arg;
}

static int flush(struct fs_out *o, struct ctx *ctx, struct err *e)
{
	if (write_through(o, ctx, o->p, o->n, e) < 0)
		return -1;
	o->n = 0;
	return 0;
}

int fs_out_write(struct fs_out *o, struct ctx *ctx, const void *p, size_t n,
		 struct err *e)
{
	if (UNLIKELY(n > o->room - o->n)) {
		if (flush(o, ctx, e) < 0)
			return -1;
		if (n >= o->room)
			return write_through(o, ctx, p, n, e);
	}
	if (n)
		memcpy(o->p + o->n, p, n);
	o->n += n;
	return 0;
}

uint64_t fs_out_pos(const struct fs_out *o)
{
	return o->done + o->n;
}

int fs_out_patch(struct fs_out *o, struct ctx *ctx, uint64_t off, const void *p, size_t n,
		 struct err *e)
{
	const char *from = p;
	BUG_ON(off > fs_out_pos(o) || n > fs_out_pos(o) - off);
	if (off >= o->done) {
		memcpy(o->p + (off - o->done), p, n);
		return 0;
	}
	if (off + n > o->done && flush(o, ctx, e) < 0)
		return -1;
	while (n) {
		ssize_t k =
			FAULT_POINT(FS_WRITE) ? -1 : pwrite(o->fd, from, n, (off_t)off);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return err_errno(ctx, e, errno, "write %s", o->path);
		from += k;
		off += (uint64_t)k;
		n -= (size_t)k;
	}
	return 0;
}

int fs_out_read(struct fs_out *o, struct ctx *ctx, uint64_t off, void *p, size_t n,
		struct err *e)
{
	char *to = p;
	BUG_ON(off > fs_out_pos(o) || n > fs_out_pos(o) - off);
	if (off + n > o->done && flush(o, ctx, e) < 0)
		return -1;
	while (n) {
		ssize_t k = FAULT_POINT(FS_READ) ? -1 : pread(o->fd, to, n, (off_t)off);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(ctx, e, errno, "read %s", o->path);
		if (k == 0)
			return err_set(ctx, e, E_IO, "%s was cut short by others",
				       o->path);
		to += k;
		off += (uint64_t)k;
		n -= (size_t)k;
	}
	return 0;
}

int fs_out_close(struct fs_out *o, struct ctx *ctx, struct err *e)
{
	int rc = flush(o, ctx, e);
	if (rc == 0 && (FAULT_POINT(FS_SYNC) || fsync(o->fd) < 0))
		rc = err_errno(ctx, e, errno, "fsync %s", o->path);
	if (close(o->fd) < 0 && rc == 0)
		rc = err_errno(ctx, e, errno, "close %s", o->path);
	free(o->p);
	free(o);
	return rc;
}

void fs_out_drop(struct fs_out *o)
{
	if (!o)
		return;
	close(o->fd);
	free(o->p);
	free(o);
}
