/*
 * fs/fs_pages.c - windows of a file, mapped one after the other.
 */
#include "fs/fs_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "fs/fs_int.h"

#define WINDOW ((size_t)1 << 20)
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

struct fs_pages {
	int fd;
	uint64_t size;
	bool copy;
	size_t page;
	uint64_t off;	  /* of the window */
	size_t n, mapped; /* mapped: bytes to unmap; 0: the window is the buffer */
	uint8_t *p, *room;
	size_t cap;
	char path[]; /* for errors */
};

int fs_pages_open(struct ctx *ctx, const char *path, struct fs_pages **out, struct err *e)
{
	struct stat st;
	int fd = fs_open(path, O_RDONLY, 0);
	if (fd < 0)
		return err_errno(ctx, e, errno, "open %s", path);
	if (fstat(fd, &st) < 0) {
		err_errno(ctx, e, errno, "stat %s", path);
		close(fd);
		return -1;
	}
	size_t len = strlen(path) + 1;
	struct fs_pages *f = xcalloc(1, sizeof(*f) + len);
	memcpy(f->path, path, len);
	f->fd = fd;
	f->size = (uint64_t)st.st_size;
	f->page = (size_t)sysconf(_SC_PAGESIZE);
	f->copy = fs_network(path) != NULL;
	*out = f;
	return 0;
}

uint64_t fs_pages_size(const struct fs_pages *f)
{
	return f->size;
}

void fs_pages_copy(struct fs_pages *f)
{
	f->copy = true;
}

static void drop(struct fs_pages *f)
{
	if (f->mapped)
		munmap(f->p, f->mapped);
	f->mapped = f->n = 0;
}

/* false: read it instead, which also tells what is wrong. */
static bool map_window(struct fs_pages *f, uint64_t off, size_t n)
{
	uint64_t from = off / f->page * f->page;
	size_t len = (size_t)(off - from) + n;
	void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, f->fd, (off_t)from);
	if (p == MAP_FAILED)
		return false;
	if (madvise(p, len, MADV_POPULATE_READ) < 0) {
		munmap(p, len);
		return false;
	}
	f->p = p;
	f->off = from;
	f->n = f->mapped = len;
	return true;
}

static int read_window(struct fs_pages *f, struct ctx *ctx, uint64_t off, size_t n,
		       struct err *e)
{
	size_t done = 0;
	if (f->cap < n) {
		free(f->room);
		f->room = xmalloc(n);
		f->cap = n;
	}
	while (done < n) {
		ssize_t k = pread(f->fd, f->room + done, n - done, (off_t)(off + done));
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_errno(ctx, e, errno, "read %s", f->path);
		if (k == 0)
			return err_set(ctx, e, E_IO, "%s was cut short by others",
				       f->path);
		done += (size_t)k;
	}
	f->p = f->room;
	f->off = off;
	f->n = n;
	return 0;
}

int fs_pages_at(struct fs_pages *f, struct ctx *ctx, uint64_t off, size_t want,
		const uint8_t **p, size_t *n, struct err *e)
{
	uint64_t left = f->size - off;
	want = want > left ? (size_t)left : want;
	if (want &&
	    (off < f->off || off - f->off > f->n || f->n - (off - f->off) < want)) {
		size_t len = (size_t)MIN((uint64_t)MAX(want, WINDOW), left);
		drop(f);
		if (FAULT_POINT(FS_READ))
			return err_errno(ctx, e, errno, "read %s", f->path);
		if ((f->copy || !map_window(f, off, len)) &&
		    read_window(f, ctx, off, len, e) < 0)
			return -1;
	}
	*p = want ? f->p + (off - f->off) : (const uint8_t *)"";
	*n = want ? f->n - (size_t)(off - f->off) : 0;
	return 0;
}

void fs_pages_close(struct fs_pages *f)
{
	if (!f)
		return;
	drop(f);
	close(f->fd);
	free(f->room);
	free(f);
}
