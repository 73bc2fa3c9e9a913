/*
 * blocks/metas.h - what a bucket holds, unfiltered: every block folder with its meta.json and marks.
 * Private to this module.
 *
 * Thread  WORKER; a struct metas is FROZEN once metas_read has returned it
 */
#ifndef BLOCKS_METAS_H
#define BLOCKS_METAS_H

#include "blocks/blocks_int.h"

enum meta_state {
	META_NONE, /* no meta.json: upload or deletion under way, or aborted */
	META_OK,
	META_CORRUPT,
	META_FAILED, /* this object cannot be read; others can */
};
struct seen { /* an object as the listing showed it */
	bool there;
	struct bucket_attrs attrs;
};
struct known_mark {
	struct seen seen;
	bool ok; /* read and sound */
	int64_t time_s;
};
struct known {
	struct ulid id;
	struct seen seen; /* its meta.json */
	enum meta_state state;
	struct block_meta meta; /* if META_OK */
	struct known_mark mark[BLOCKS_MARK_KINDS];
};
struct metas {
	struct ref ref;
	struct arena arena;
	struct known *v; /* ascending ULID */
	size_t n;
};
struct metas_opts {
	struct bucket *bucket;
	const char *cache_dir; /* NULL: none */
	uint32_t concurrency;
	struct task_pool *pool;	   /* NULL: the caller reads alone */
	struct metric_set *damage; /* blocks_damage_set, or NULL */
};
/*
 * List the bucket and read what `old` (may be NULL) does not know, by name, size and time of the object.
 * Damage is logged and becomes a state; a store that is away (E_UNAVAILABLE, E_TIMEOUT, E_REMOTE,
 * E_CANCELLED) fails the whole. *out is a new reference, of `old` if nothing changed.
 */
MUST_CHECK int metas_read(const struct metas_opts *o, struct ctx *ctx, struct metas *old,
			  struct metas **out, struct err *e);

/* ---- meta-syncer/<ULID>/meta.json ---- */
/* Appended to out; false: not there, of another size, or not readable. */
bool meta_cache_get(const char *dir, struct ctx *ctx, const struct ulid *id,
		    uint64_t size, struct buf *out);
void meta_cache_put(const char *dir, struct ctx *ctx, const struct ulid *id,
		    struct str json);
void meta_cache_drop(const char *dir, struct ctx *ctx, const struct ulid *id);
/* Remove what belongs to no block of m. */
void meta_cache_clean(const char *dir, struct ctx *ctx, const struct metas *m);
const struct known *metas_find(const struct metas *m, const struct ulid *id);

#endif
