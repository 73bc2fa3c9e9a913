/*
 * fs/range_file.c - a local file as a source of ranges.
 *
 * The descriptor stays open, so a file that is deleted meanwhile (a compacted block) is read to the
 * end. pread keeps no position and needs no lock. Neighbouring ranges are read in one piece into a
 * slab of their own, and each view holds a reference to its slab; no piece is longer than
 * PIECE_BYTES unless a single range is, so that one small view never keeps a large slab for long.
 *
 * The size is taken at open. Blocks never change, so a shorter file is damage, not the end of a loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/fs_int.h"
#include "fs/range_source.h"

#define PIECE_BYTES (16u << 20)
#define FEW	    16

struct file_source {
	struct range_source base;
	int fd;
	char name[];
};

static int read_piece(struct file_source *f, struct ctx *ctx, struct range piece,
		      struct slab **out, struct err *e)
{
	struct slab *s = slab_try(ctx ? ctx->budget : NULL, ctx, (size_t)piece.len, e);
	if (!s)
		return err_wrap(ctx, e, "%s", f->name);
	while (s->used < piece.len) {
		ssize_t n = pread(f->fd, s->data + s->used, (size_t)piece.len - s->used,
				  (off_t)(piece.off + s->used));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(ctx, e, errno, "read %s", f->name);
			goto fail;
		}
		if (n == 0) {
			err_set(ctx, e, E_CORRUPT, "%s: short read", f->name);
			goto fail;
		}
		s->used += (size_t)n;
	}
	atomic_fetch_add_explicit(&f->base.read_bytes, piece.len, memory_order_relaxed);
	atomic_fetch_add_explicit(&f->base.read_calls, 1, memory_order_relaxed);
	*out = s;
	return 0;
fail:
	ref_put(&s->ref);
	return -1;
}

static int file_read(struct range_source *src, struct ctx *ctx, const struct range *r,
		     size_t n, struct view *out, struct err *e)
{
	struct file_source *f = CONTAINER_OF(src, struct file_source, base);
	struct range few_pieces[FEW], *pieces = few_pieces;
	struct slab *few_slabs[FEW], **slabs = few_slabs;
	size_t few_of[FEW], *of = few_of, count, done = 0;
	int rc = -1;
	if (n > FEW) {
		pieces = xreallocarray(NULL, n, sizeof(*pieces));
		slabs = xreallocarray(NULL, n, sizeof(struct slab *));
		of = xreallocarray(NULL, n, sizeof(*of));
	}
	count = range_coalesce(r, n, RANGE_GAP_BYTES, PIECE_BYTES, pieces, of);
	for (; done < count; done++) {
		if (ctx_check(ctx, e) < 0 ||
		    read_piece(f, ctx, pieces[done], &slabs[done], e) < 0)
			goto out;
	}
	for (size_t i = 0; i < n; i++) {
		struct slab *s = slabs[of[i]];
		out[i].p = s->data + (r[i].off - pieces[of[i]].off);
		out[i].n = (size_t)r[i].len;
		out[i].pin = ref_get(&s->ref);
	}
	rc = 0;
out:
	while (done > 0)
		ref_put(&slabs[--done]->ref); /* the views have their own */
	if (n > FEW) {
		free(pieces);
		free(slabs);
		free(of);
	}
	return rc;
}

static void file_close(struct range_source *src)
{
	struct file_source *f = CONTAINER_OF(src, struct file_source, base);
	close(f->fd);
	free(f);
}

int range_source_file(struct ctx *ctx, const char *path, struct range_source **out,
		      struct err *e)
{
	static const struct range_source_ops ops = { file_read, file_close };
	struct stat st;
	int fd = fs_open(path, O_RDONLY, 0);
	if (fd < 0)
		return err_errno(ctx, e, errno, "open %s", path);
	if (fstat(fd, &st) < 0) {
		err_errno(ctx, e, errno, "stat %s", path);
		goto fail;
	}
	if (!S_ISREG(st.st_mode)) {
		err_set(ctx, e, E_INVALID, "%s: not a regular file", path);
		goto fail;
	}
	size_t len = strlen(path) + 1;
	struct file_source *f = xcalloc(1, sizeof(*f) + len);
	memcpy(f->name, path, len);
	f->fd = fd;
	range_source_init(&f->base, &ops, f->name, (uint64_t)st.st_size);
	*out = &f->base;
	return 0;
fail:
	close(fd);
	return -1;
}
