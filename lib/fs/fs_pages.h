/*
 * fs/fs_pages.h - a file from its front to its back where it lies in the system's memory: no copy is made.
 *
 * For files that are ours alone: one that somebody cuts while a window of it is looked at ends the process by a signal.
 * Pages are brought in before they are looked at, so that a disk that fails is an error. Where files cannot be mapped,
 * or lie on another machine, they are read into a buffer.
 * Thread  WORKER, one at a time. Errors name the path.
 * Memory  a window of 1 MiB, or of what one call wants if that is more: pages of the file, or the buffer.
 */
#ifndef FS_FS_PAGES_H
#define FS_FS_PAGES_H

#include "base/ctx.h"

struct fs_pages;
MUST_CHECK int fs_pages_open(struct ctx *ctx, const char *path, struct fs_pages **out,
			     struct err *e);
uint64_t fs_pages_size(const struct fs_pages *f); /* when it was opened */
/*
 * The bytes from `off` (<= size) on: at least `want` of them, or all up to the end if those are fewer; *p and *n are
 * valid until the next call.
 */
MUST_CHECK int fs_pages_at(struct fs_pages *f, struct ctx *ctx, uint64_t off, size_t want,
			   const uint8_t **p, size_t *n, struct err *e);
void fs_pages_close(struct fs_pages *f); /* NULL allowed */
void fs_pages_copy(struct fs_pages *f);	 /* for tests: read into a buffer from now on */

#endif
