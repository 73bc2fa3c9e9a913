/*
 * reload/reload_int.h - the reloader's parts: what is watched (scan.c), the output (expand.c), how Prometheus is told
 * (tell.c).
 */
#ifndef RELOAD_RELOAD_INT_H
#define RELOAD_RELOAD_INT_H

#include "reload/reload.h"

#define RELOAD_FILE_BYTES (64u << 20) /* a configuration, as it is and unpacked */

struct reload_hash {
	uint8_t b[32];
};

/* Files of the rule folders (links to files, too; links to folders are not followed) and config_file. */
struct reload_file {
	char *path;
};
struct reload_scan {
	struct reload_file *v; /* in the arena; in order of walking, names sorted */
	size_t n, cap;
	uint64_t signature; /* of paths, sizes, times and inodes */
};
MUST_CHECK int reload_scan(const struct reloader_opts *o, struct ctx *ctx,
			   struct arena *a, struct reload_scan *out, struct err *e);
/* Of the paths and contents of all that was found. */
MUST_CHECK int reload_hash_files(const struct reload_scan *s, struct ctx *ctx,
				 struct reload_hash *out, struct err *e);

/* config_file, unpacked and with its $(NAME) replaced, to output_file; a file that has these bytes stays. */
MUST_CHECK int reload_expand(const struct reloader_opts *o, struct ctx *ctx,
			     struct err *e);

/* 0: Prometheus has taken the configuration over. */
MUST_CHECK int reload_by_http(const struct reloader_opts *o, struct ctx *ctx,
			      struct err *e);
MUST_CHECK int reload_by_signal(const struct reloader_opts *o, struct ctx *ctx,
				struct err *e);
/* The one process of this name that may be signalled; `proc` is "/proc" but in tests. */
MUST_CHECK int reload_find_process(struct ctx *ctx, const char *proc, const char *name,
				   int *pid, struct err *e);

#endif
