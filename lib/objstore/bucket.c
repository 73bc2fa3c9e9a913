/*
 * objstore/bucket.c - the calls of a bucket: names are checked here, once for all implementations, and
 * errors get bucket, operation and object in front.
 *
 * Names are refused that leave the bucket's root or that two stores would read differently ("a//b",
 * "./a"): an object's name is made of block names and fixed file names, yet prefixes and listed
 * names come from outside.
 */
#include "objstore/bucket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/vec.h"
#include "fs/fs.h"
#include "objstore/bucket_int.h"

const char *bucket_name_fault(struct str name, bool dir)
{
	if (dir && name.n == 0)
		return NULL;
	if (name.n == 0)
		return "is empty";
	if (name.n > BUCKET_NAME_BYTES)
		return "is longer than 1024 bytes";
	if (memchr(name.p, '\0', name.n))
		return "holds a NUL byte";
	if (name.p[0] == '/')
		return "is absolute";
	if (dir && name.p[name.n - 1] == '/')
		name.n--;
	struct str rest = name, part;
	bool more;
	do {
		more = str_cut(&rest, '/', &part);
		if (part.n == 0)
			return "has an empty part";
		if (str_eq(part, STR(".")) || str_eq(part, STR("..")))
			return "has a part \".\" or \"..\"";
	} while (more);
	return NULL;
}

static int by_name(const void *a, const void *b, void *arg UNUSED)
{
	return str_cmp(((const struct bucket_entry *)a)->name,
		       ((const struct bucket_entry *)b)->name);
}

void bucket_entries_sort(struct bucket_entry *v, size_t n)
{
	if (n > 1)
		vec_sort(v, n, sizeof(*v), by_name, NULL);
}

static int check_name(const struct bucket *b, struct ctx *ctx, const char *op,
		      struct str name, bool dir, struct err *e)
{
	const char *fault = bucket_name_fault(name, dir);
	if (fault)
		return err_set(ctx, e, E_INVALID, "bucket %s: %s: object name '%.*s' %s",
			       b->name, op, (int)MIN(name.n, (size_t)BUCKET_NAME_BYTES),
			       name.p ? name.p : "", fault);
	return ctx ? ctx_check(ctx, e) : 0;
}

static int failed(const struct bucket *b, struct ctx *ctx, const char *op,
		  struct str name, struct err *e)
{
	return err_wrap(ctx, e, "bucket %s: %s %.*s", b->name, op, (int)name.n,
			name.n ? name.p : "");
}

/* The callback's own failure passes through unwrapped: it is not the bucket's. */
struct iter_call {
	int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
		  struct err *e);
	void *arg;
	bool stopped;
};

static int iter_step(void *arg, struct str name, const struct bucket_attrs *a,
		     struct err *e)
{
	struct iter_call *c = arg;
	int rc = c->fn(c->arg, name, a, e);
	c->stopped = rc < 0;
	return rc;
}

int bucket_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			  struct err *e),
		void *arg, struct err *e)
{
	if (check_name(b, ctx, "iter", dir, true, e) < 0)
		return -1;
	if (dir.n && dir.p[dir.n - 1] == '/')
		dir.n--;
	struct iter_call c = { fn, arg, false };
	if (b->ops->iter(b, ctx, dir, recursive, iter_step, &c, e) == 0)
		return 0;
	return c.stopped ? -1 : failed(b, ctx, "iter", dir.n ? dir : STR("/"), e);
}

int bucket_get(struct bucket *b, struct ctx *ctx, struct str name, size_t max,
	       struct buf *out, struct err *e)
{
	if (check_name(b, ctx, "get", name, false, e) < 0)
		return -1;
	size_t n = out->n, old_max = out->max;
	bool was_failed = out->failed;
	out->max = MIN(old_max, max < SIZE_MAX - n ? n + max : SIZE_MAX);
	int rc = b->ops->get(b, ctx, name, out, e);
	if (rc == 0)
		rc = buf_check(out, ctx, "object", e);
	out->max = old_max;
	if (rc < 0) {
		out->n = n;
		out->failed = was_failed;
		return failed(b, ctx, "get", name, e);
	}
	return 0;
}

int bucket_open(struct bucket *b, struct ctx *ctx, struct str name,
		struct range_source **out, struct err *e)
{
	if (check_name(b, ctx, "open", name, false, e) < 0)
		return -1;
	if (b->ops->open(b, ctx, name, out, e) < 0)
		return failed(b, ctx, "open", name, e);
	return 0;
}

int bucket_put(struct bucket *b, struct ctx *ctx, struct str name, struct put_source *src,
	       struct err *e)
{
	if (check_name(b, ctx, "upload", name, false, e) < 0)
		return -1;
	if (b->ops->put(b, ctx, name, src, e) < 0)
		return failed(b, ctx, "upload", name, e);
	return 0;
}

struct bytes_put {
	struct str all, left;
};

static int read_bytes(void *arg, struct ctx *ctx UNUSED, void *p, size_t cap, size_t *n,
		      struct err *e UNUSED)
{
	struct bytes_put *b = arg;
	*n = MIN(cap, b->left.n);
	if (*n)
		memcpy(p, b->left.p, *n);
	b->left = str_from(b->left, *n);
	return 0;
}

static int seek_bytes(void *arg, struct ctx *ctx UNUSED, uint64_t off,
		      struct err *e UNUSED)
{
	struct bytes_put *b = arg;
	BUG_ON(off > b->all.n);
	b->left = str_from(b->all, (size_t)off);
	return 0;
}

int bucket_put_bytes(struct bucket *b, struct ctx *ctx, struct str name, struct str bytes,
		     struct err *e)
{
	struct bytes_put all = { bytes, bytes };
	struct put_source src = { read_bytes, &all, bytes.n, seek_bytes };
	return bucket_put(b, ctx, name, &src, e);
}

struct file_put {
	int fd;
	const char *path;
};

static int read_file(void *arg, struct ctx *ctx, void *p, size_t cap, size_t *n,
		     struct err *e)
{
	const struct file_put *f = arg;
	for (;;) {
		ssize_t got = read(f->fd, p, cap);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_errno(ctx, e, errno, "read %s", f->path);
		*n = (size_t)got;
		return 0;
	}
}

static int seek_file(void *arg, struct ctx *ctx, uint64_t off, struct err *e)
{
	const struct file_put *f = arg;
	if (lseek(f->fd, (off_t)off, SEEK_SET) < 0)
		return err_errno(ctx, e, errno, "seek %s", f->path);
	return 0;
}

int bucket_put_file(struct bucket *b, struct ctx *ctx, struct str name, const char *path,
		    struct err *e)
{
	struct file_put f = { open(path, O_RDONLY | O_CLOEXEC), path };
	if (f.fd < 0)
		return err_errno(ctx, e, errno, "open %s", path);
	struct stat st;
	int rc = -1;
	if (fstat(f.fd, &st) < 0) {
		err_errno(ctx, e, errno, "stat %s", path);
	} else if (!S_ISREG(st.st_mode)) {
		err_set(ctx, e, E_INVALID, "%s is not a file", path);
	} else {
		struct put_source src = { read_file, &f, (uint64_t)st.st_size,
					  seek_file };
		rc = bucket_put(b, ctx, name, &src, e);
	}
	close(f.fd);
	return rc;
}

bool bucket_checks_puts(struct bucket *b)
{
	return b->ops->checks_puts && b->ops->checks_puts(b);
}

int bucket_exists(struct bucket *b, struct ctx *ctx, struct str name, bool *exists,
		  struct err *e)
{
	if (check_name(b, ctx, "exists", name, false, e) < 0)
		return -1;
	if (b->ops->exists) {
		if (b->ops->exists(b, ctx, name, exists, e) < 0)
			return failed(b, ctx, "exists", name, e);
		return 0;
	}
	struct bucket_attrs a;
	struct err why = ERR_INIT;
	if (b->ops->attrs(b, ctx, name, &a, &why) == 0) {
		*exists = true;
		return 0;
	}
	if (why.code == E_NOT_FOUND) {
		*exists = false;
		return 0;
	}
	*e = why;
	return failed(b, ctx, "exists", name, e);
}

int bucket_attrs(struct bucket *b, struct ctx *ctx, struct str name,
		 struct bucket_attrs *out, struct err *e)
{
	if (check_name(b, ctx, "attributes", name, false, e) < 0)
		return -1;
	if (b->ops->attrs(b, ctx, name, out, e) < 0)
		return failed(b, ctx, "attributes", name, e);
	return 0;
}

int bucket_delete(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	if (check_name(b, ctx, "delete", name, false, e) < 0)
		return -1;
	if (b->ops->del(b, ctx, name, e) < 0)
		return failed(b, ctx, "delete", name, e);
	return 0;
}

void bucket_close(struct bucket *b)
{
	if (b)
		b->ops->close(b);
}
