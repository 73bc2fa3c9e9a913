/*
 * blocks/blocks_int.h - what the files of blocks share.
 */
#ifndef BLOCKS_BLOCKS_INT_H
#define BLOCKS_BLOCKS_INT_H

#include "blocks/metas.h"

#define BLOCKS_META_NAME "meta.json"

/* "<ULID>" or "<ULID>/rest" in its one spelling (upper case); *rest is empty without "/". */
bool blocks_split_name(struct str name, struct ulid *id, struct str *rest);

/*
 * Leave out blocks whose sources all occur in one other block of the same external labels and resolution
 * that is kept. v[n] is in any order; drop[i] is set for those left out. whole[i] false: covers nothing (NULL: all do). CPU
 */
void blocks_dedup(const struct block_meta *const *v, const bool *whole, size_t n,
		  bool *drop);

/* ---- listing ---- */
struct listing {
	struct known *v; /* malloc'ed; ascending ULID */
	size_t n, cap;
	struct known_object
		*o; /* malloc'ed; of all, in order; those of v[i] begin at first[i] */
	size_t n_objects, cap_objects;
	size_t *first;
	size_t cap_first;
	struct arena *arena; /* of the names */
};
void listing_deinit(struct listing *l);
MUST_CHECK int listing_read(struct listing *l, const struct metas_opts *o,
			    struct ctx *ctx, struct err *e);

/* ---- meta-syncer/<ULID>/meta.json ---- */
/* Appended to out; false: not there, of another size, or not readable. */
bool meta_cache_get(const char *dir, struct ctx *ctx, const struct ulid *id,
		    uint64_t size, struct buf *out);
void meta_cache_put(const char *dir, struct ctx *ctx, const struct ulid *id,
		    struct str json);
void meta_cache_drop(const char *dir, struct ctx *ctx, const struct ulid *id);
/* Remove what belongs to no block of m. */
void meta_cache_clean(const char *dir, struct ctx *ctx, const struct metas *m);
/* ---- state of the shipper ---- */
struct ship_state {
	struct ulid *v; /* malloc'ed, in the order of uploading */
	size_t n, cap;
};
void ship_state_deinit(struct ship_state *s);
bool ship_state_has(const struct ship_state *s, const struct ulid *id);
void ship_state_add(struct ship_state *s, const struct ulid *id);
/* Read the file; absent: empty. E_CORRUPT says what is wrong with it, s is empty then. */
MUST_CHECK int ship_state_read(struct ship_state *s, struct ctx *ctx, const char *path,
			       struct err *e);
/* Write it, unless the file holds just this. */
MUST_CHECK int ship_state_write(const struct ship_state *s, struct ctx *ctx,
				const char *path, struct err *e);

/* ---- one block of the shipper ---- */
/*
 * Look through the chunk segments of a block folder: E_UNSUPPORTED names the first chunk encoding that
 * cannot be read here (4 to 6), E_CORRUPT what is damaged in the files' structure. WORKER
 */
MUST_CHECK int ship_check_block(struct ctx *ctx, const char *dir, struct err *e);
/*
 * Hard-link the block folder `from` to `to` (which must not exist), and fill in the parts of the Thanos
 * section that tell about files: segment_files and files, with SHA-256 if wanted. Memory in `a`.
 */
MUST_CHECK int ship_stage_block(struct ctx *ctx, struct arena *a, const char *from,
				const char *to, bool sha256, struct block_meta *meta,
				struct err *e);

struct range_source; /* fs/range_source.h */
/* SHA-256 of all bytes, as meta.json has it. */
MUST_CHECK int blocks_hash(struct ctx *ctx, struct arena *a, struct range_source *src,
			   struct str *out, struct err *e);

/* Not enough for a copy of a block of `need` bytes, or less than 5% of all. */
bool ship_space_is_low(uint64_t left, uint64_t total, uint64_t need);

/* Blocks of the bucket with the shipper's labels, read when first asked for. */
struct ship_overlap {
	struct bucket *bucket;
	bool loaded;
	struct overlap_range {
		struct ulid id;
		int64_t mint_ms, maxt_ms;
	} * v;
	size_t n, cap;
};
void ship_overlap_init(struct ship_overlap *o, struct bucket *b);
void ship_overlap_deinit(struct ship_overlap *o);
/* E_EXISTS names a block of the bucket that has the same labels and shares time with m. */
MUST_CHECK int ship_overlap_check(struct ship_overlap *o, struct ctx *ctx,
				  struct labels labels, const struct block_meta *m,
				  struct err *e);
void ship_overlap_add(struct ship_overlap *o, const struct block_meta *m);

#endif
