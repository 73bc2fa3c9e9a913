/*
 * fs/range_source.h - random reads of immutable bytes: all ranges of a need at once, answered by
 * pinned views.
 *
 * Implementations: local file (pread), memory, and in objstore a bucket object. Reads are coalesced:
 * ranges whose gap is at most 512 KiB become one read.
 *
 * Thread  WORKER; one source may be read by several threads at once (SHARED).
 * Memory  each out[i] is a view pinned until view_put; bytes are charged to ctx->budget while
 *         pinned. range_source_read leaves out[] untouched on failure.
 */
#ifndef FS_RANGE_SOURCE_H
#define FS_RANGE_SOURCE_H

#include "base/ctx.h"
#include "base/ref.h"

struct range {
	uint64_t off, len; /* bytes */
};

struct range_source;
struct range_source_ops {
	/* Ranges ascend by offset, lie inside size, and are not empty (the wrapper checks). */
	int (*read)(struct range_source *s, struct ctx *ctx, const struct range *r,
		    size_t n, struct view *out, struct err *e);
	void (*close)(struct range_source *s); /* at the last unref */
};
struct range_source {
	const struct range_source_ops *ops;
	struct ref ref;
	uint64_t size;
	const char *name; /* path or key, for errors; lives as long as the source */
	/* Bytes fetched from below and reads done, for statistics. */
	_Atomic uint64_t read_bytes, read_calls;
};

/* Any order of ranges; E_CORRUPT "<name>: range past end" where one is not inside the source. */
MUST_CHECK int range_source_read(struct range_source *s, struct ctx *ctx,
				 const struct range *r, size_t n, struct view *out,
				 struct err *e);
MUST_CHECK int range_source_read1(struct range_source *s, struct ctx *ctx, uint64_t off,
				  uint64_t len, struct view *out, struct err *e);
struct range_source *range_source_ref(struct range_source *s);
void range_source_unref(struct range_source *s); /* NULL allowed */

/* For implementations: fill the shared fields; one reference, the caller's. */
void range_source_init(struct range_source *s, const struct range_source_ops *ops,
		       const char *name, uint64_t size);
/* Helper for implementations: plan coalesced reads. parts[] (n entries) receives the merged ranges,
 * of[i] the part of range i; returns how many. Ranges must ascend by offset. max_len: 0 none. */
#define RANGE_GAP_BYTES (512u << 10)
size_t range_coalesce(const struct range *r, size_t n, uint64_t gap, uint64_t max_len,
		      struct range *parts, size_t *of);

MUST_CHECK int range_source_file(struct ctx *ctx, const char *path,
				 struct range_source **out, struct err *e);
/* A view of bytes that the caller keeps alive until close; copies nothing. */
struct range_source *range_source_mem(const char *name, const void *p, size_t n);

#endif
