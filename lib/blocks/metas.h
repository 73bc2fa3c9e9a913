/*
 * blocks/metas.h - what a bucket holds, unfiltered: every block folder with its meta.json, its marks and, if asked for,
 * all its objects with size and time. Who keeps a bucket in order looks at this; readers take a catalogue.
 *
 * Thread  WORKER; a struct metas is FROZEN once metas_read has returned it
 */
#ifndef BLOCKS_METAS_H
#define BLOCKS_METAS_H

#include "blocks/blocks.h"

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
	struct str details, reason;
};
struct known_object {
	struct str rel; /* "chunks/000001" */
	struct bucket_attrs attrs;
};
struct known {
	struct ulid id;
	struct seen seen;  /* its meta.json */
	uint64_t bytes;	   /* of all its objects */
	int64_t newest_ms; /* the latest mtime of them */
	size_t n_objects;
	const struct known_object *object; /* by name; NULL unless asked for */
	enum meta_state state;
	struct block_meta meta; /* if META_OK */
	struct known_mark mark[MARK_KINDS];
};
struct metas {
	struct ref ref;
	struct arena arena;
	struct known *v; /* ascending ULID */
	size_t n;
	struct known_object *objects;
	int64_t read_ms; /* when it was listed */
};
struct metas_opts {
	struct bucket *bucket;
	const char *cache_dir; /* NULL: none */
	uint32_t concurrency;
	struct task_pool *pool;	   /* NULL: the caller reads alone */
	struct metric_set *damage; /* blocks_damage_set, or NULL */
	bool objects; /* all objects are kept, and marks of folders without meta.json are read */
	bool by_folder; /* one listing a folder, several at a time, instead of one of all objects */
};
/*
 * List the bucket and read what `old` (may be NULL) does not know, by name, size and time of the object.
 * Damage is logged and becomes a state; a store that is away (E_UNAVAILABLE, E_TIMEOUT, E_REMOTE,
 * E_CANCELLED) fails the whole. *out is a new reference, of `old` if nothing changed.
 */
MUST_CHECK int metas_read(const struct metas_opts *o, struct ctx *ctx, struct metas *old,
			  struct metas **out, struct err *e);

/* NULL: no such folder. */
const struct known *metas_find(const struct metas *m, const struct ulid *id);
/* NULL: it has no such object. Only with metas_opts.objects. */
const struct known_object *known_object(const struct known *k, struct str rel);
/*
 * Are all files that its meta.json lists there, with their sizes? Without a list: index, and the segments it names.
 * Only with metas_opts.objects. *missing, if not NULL, names the first that is not.
 */
bool known_is_whole(const struct known *k, struct str *missing);

#endif
