/*
 * fs/fs_int.h - helpers shared by the files of fs. They set errno.
 */
#ifndef FS_FS_INT_H
#define FS_FS_INT_H

#include <sys/types.h>

#include "fs/fs.h"

int fs_open(const char *path, int flags, mode_t mode); /* close-on-exec; EINTR retried */
int fs_write_all(int fd, const void *p, size_t n);
char *fs_parent(const char *path); /* xmalloc'ed; "." if path has no directory */

#endif
