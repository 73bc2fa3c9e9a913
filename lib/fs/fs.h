/*
 * fs/fs.h - synchronous files: read whole, write atomically, directories, locks.
 *
 * Thread  WORKER (files may block). Errors name the path.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include "base/buf.h"
#include "base/ctx.h"

/* Read a whole file of at most `max` bytes, appended to out (whose own max also holds). */
MUST_CHECK int fs_read_file(struct ctx *ctx, const char *path, size_t max,
			    struct buf *out, struct err *e);
/* Write path.tmp-<n>, fsync, rename over path, fsync the directory: old or new, never half. */
MUST_CHECK int fs_write_atomic(struct ctx *ctx, const char *path, struct str data,
			       struct err *e);
MUST_CHECK int fs_mkdir_p(struct ctx *ctx, const char *path, struct err *e);
MUST_CHECK int fs_fsync_dir(struct ctx *ctx, const char *path, struct err *e);
MUST_CHECK int fs_remove_all(struct ctx *ctx, const char *path,
			     struct err *e); /* absent: fine */
MUST_CHECK int fs_rename(struct ctx *ctx, const char *from, const char *to,
			 struct err *e);
/* Hard link, or copy where the filesystem cannot link across. */
MUST_CHECK int fs_link_or_copy(struct ctx *ctx, const char *from, const char *to,
			       struct err *e);
enum fs_kind { FS_NONE, FS_FILE, FS_DIR, FS_OTHER };
struct fs_stat {
	enum fs_kind kind; /* FS_NONE: no such file (not an error) */
	uint64_t size, ino;
	int64_t mtime_ns;
};
MUST_CHECK int fs_stat(struct ctx *ctx, const char *path, struct fs_stat *out,
		       struct err *e);
/* Names in a directory, sorted bytewise, without "." and ".."; NUL-terminated, in `a`. */
struct fs_names {
	struct str *name;
	size_t n;
};
MUST_CHECK int fs_list(struct ctx *ctx, struct arena *a, const char *path,
		       struct fs_names *out, struct err *e);
/* Exclusive advisory lock on path (made if absent); E_LOCKED names it if another process holds it. */
struct fs_lock;
MUST_CHECK int fs_lock_open(struct ctx *ctx, const char *path, struct fs_lock **out,
			    struct err *e);
void fs_lock_close(struct fs_lock *l);
uint64_t fs_free_bytes(const char *path); /* 0 if unknown */
/* Bytes that we may still use, and that there are in all; false if unknown. */
bool fs_space(const char *path, uint64_t *left, uint64_t *total);
/* Bytes of memory that the control groups of this process allow it (versions 1 and 2, the least on the way up);
 * UINT64_MAX: no limit, or none that can be read. top: "" (tests: a folder with proc and sys of its own). */
uint64_t fs_cgroup_memory(const char *top);
/* "NFS" or another name when the folder lies on another machine; NULL: not, or unknown. */
const char *fs_network(const char *path);
const char *fs_network_name(uint32_t magic); /* the same of statfs' f_type */

/*
 * A file without a name in `dir` (NULL: $TMPDIR, else /var/tmp, else /tmp): its space is free again when it is
 * closed, however the process ends. write and read move all n bytes; a full disk is E_NOSPACE. One writer and one
 * reader at a time, on different bytes.
 */
struct fs_temp;
MUST_CHECK int fs_temp_open(struct ctx *ctx, const char *dir, struct fs_temp **out,
			    struct err *e);
MUST_CHECK int fs_temp_write(struct fs_temp *t, struct ctx *ctx, uint64_t off,
			     const void *p, size_t n, struct err *e);
MUST_CHECK int fs_temp_read(struct fs_temp *t, struct ctx *ctx, uint64_t off, void *p,
			    size_t n, struct err *e);
void fs_temp_empty(struct fs_temp *t); /* gives its space back */
void fs_temp_close(struct fs_temp *t); /* NULL allowed */

#endif
