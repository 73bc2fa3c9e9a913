/*
 * fs/fs_out.h - a new file written from front to back through one buffer; made last by fs_out_close.
 *
 * Thread  WORKER, one at a time. Errors name the path; a full disk is E_NOSPACE.
 * Memory  the buffer, `room` bytes; what is larger goes past it.
 */
#ifndef FS_FS_OUT_H
#define FS_FS_OUT_H

#include "base/ctx.h"

struct fs_out;
/* E_EXISTS if path is there already. */
MUST_CHECK int fs_out_create(struct ctx *ctx, const char *path, size_t room,
			     struct fs_out **out, struct err *e);
MUST_CHECK int fs_out_write(struct fs_out *o, struct ctx *ctx, const void *p, size_t n,
			    struct err *e);
uint64_t fs_out_pos(const struct fs_out *o); /* bytes written so far */
/* Told of the file's bytes in order, when the system has taken them (not of patches); -1 fails the write. */
typedef int fs_out_taken(void *arg, struct ctx *ctx, const void *p, size_t n,
			 struct err *e);
void fs_out_watch(struct fs_out *o, fs_out_taken *fn, void *arg);
/* Overwrite, or read, n bytes that were written at off. */
MUST_CHECK int fs_out_patch(struct fs_out *o, struct ctx *ctx, uint64_t off,
			    const void *p, size_t n, struct err *e);
MUST_CHECK int fs_out_read(struct fs_out *o, struct ctx *ctx, uint64_t off, void *p,
			   size_t n, struct err *e);
/* Write what is in the buffer, fsync, close; frees o, also on failure. The file's name is not synced. */
MUST_CHECK int fs_out_close(struct fs_out *o, struct ctx *ctx, struct err *e);
/* Close without a sync; the file stays, cut short. NULL allowed. */
void fs_out_drop(struct fs_out *o);

#endif
