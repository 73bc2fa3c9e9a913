/*
 * tsdb/block/block.h - a block: meta.json, tombstones, and a reader over index and segments that
 * answers as a series_set.
 *
 * Thread  a block is SHARED (ref-counted) by requests; open and reads are WORKER.
 * Source  prometheus.md §1.1, §1.6; thanos.md §3.2
 */
#ifndef TSDB_BLOCK_BLOCK_H
#define TSDB_BLOCK_BLOCK_H

#include "base/ulid.h"
#include "model/series_set.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/index/index.h"

/* ---- meta.json ---- */
struct block_file { /* thanos.files[] */
	struct str rel_path;
	uint64_t size_bytes;	    /* 0: not given */
	struct str hash_func, hash; /* empty: none */
};
struct block_parent {
	struct ulid ulid;
	int64_t mint_ms, maxt_ms;
};
struct block_meta {
	struct ulid ulid;
	int64_t mint_ms, maxt_ms; /* maxt exclusive */
	struct {
		uint64_t samples, float_samples, histogram_samples, series, chunks,
			tombstones;
	} stats;
	struct {
		int32_t level;
		struct ulid *sources;
		size_t n_sources;
		struct block_parent *parents;
		size_t n_parents;
		struct str *hints;
		size_t n_hints;
		bool deletable, failed;
	} compaction;
	bool has_thanos;
	struct {
		int32_t version;
		struct labels labels;  /* external labels, sorted */
		int64_t resolution_ms; /* 0, 300000, 3600000 */
		struct str source;
		struct str *segment_files;
		size_t n_segment_files;
		struct block_file *files;
		size_t n_files;
		int64_t series_max_size, chunk_max_size; /* index_stats; 0: unknown */
		struct str extensions; /* raw JSON or empty, carried over */
		struct str rewrites;   /* raw JSON or empty */
		struct str upload_time;
	} thanos;
};
/* Parse; all memory in `a`. Errors name the field: "unexpected meta file version 2", ... */
MUST_CHECK int block_meta_parse(struct ctx *ctx, struct arena *a, struct str json,
				struct block_meta *out, struct err *e);
/* Deep copy; all memory in `a`. */
MUST_CHECK int block_meta_dup(struct ctx *ctx, struct arena *a,
			      const struct block_meta *m, struct block_meta *out,
			      struct err *e);
/* As Prometheus and Thanos write it: tab-indented, same field order, omitted where they omit. */
void block_meta_write(const struct block_meta *m, struct buf *out);
/* The same without line ends and tabs: a value inside other JSON. */
void block_meta_write_line(const struct block_meta *m, struct buf *out);

/* ---- tombstones ---- */
struct tombstones;
MUST_CHECK int tombstones_parse(struct ctx *ctx, struct str file, struct tombstones **out,
				struct err *e);
void tombstones_free(struct tombstones *t);
struct tombstone_range {
	int64_t mint_ms, maxt_ms; /* inclusive */
};
/* Merged, ascending ranges of a series; NULL: none. */
const struct tombstone_range *tombstones_of(const struct tombstones *t, uint32_t ref,
					    size_t *n);

/* ---- reader ---- */
struct block {
	struct ref ref;
	struct block_meta meta; /* memory of the block */
	struct idx_reader *index;
	struct segments *segments;
	struct tombstones *tombstones; /* NULL: none */
	struct arena arena;
	_Atomic uint32_t damage; /* kinds of damage that stand in the log already */
	/* Told of each piece of damage that reading meets, and the file that has it; set before the block is shared. */
	void (*on_damage)(void *arg, const char *id, const char *file);
	void *on_damage_arg;
	char id[27];
};
/* A block folder on disk. Missing or damaged parts: E_CORRUPT "block <ULID>: <file>: ...". */
MUST_CHECK int block_open_dir(struct ctx *ctx, const char *dir, struct block **out,
			      struct err *e);
/*
 * A block over parts opened elsewhere (a bucket's): meta is copied; index, segs (NULL: the block has
 * no chunks) and stones (NULL: none) are taken over on success and stay the caller's on failure.
 */
MUST_CHECK int block_open_sources(struct ctx *ctx, const struct block_meta *meta,
				  struct idx_reader *index, struct segments *segs,
				  struct tombstones *stones, struct block **out,
				  struct err *e);
struct block *block_ref(struct block *b);
void block_unref(struct block *b);

struct block_series_req {
	int64_t mint_ms, maxt_ms;	/* inclusive */
	const struct matcher *matchers; /* on the block's own labels */
	size_t n_matchers;
	bool skip_chunks;
	struct labels external;	   /* added to each series (they win), order restored */
	const struct str *without; /* label names left out of what is shown; sorted */
	size_t n_without;
	struct shard_info_in {
		int64_t index, total; /* total 0: none */
		bool by;
		const struct str *labels;
		size_t n;
	} shard;
	uint32_t aggrs;		/* AGGR_BIT set wanted of downsampled blocks */
	uint64_t series_limit;	/* E_LIMIT beyond; 0: none */
	uint64_t samples_limit; /* chunks x 120; E_LIMIT beyond; 0: none */
	/* Show chunks of encodings 4 to 6 as they are; else as encodings 1 to 3, without start timestamps. */
	bool newer_encodings;
	/* Samples outside [mint_ms, maxt_ms] are cut from the chunks at its edges, too; else chunks are shown whole. */
	bool trim;
	uint32_t batch; /* series read at a time at most; 0: no such limit */
};
/*
 * Stream the series that match, in order of shown labels. Postings and sort entries are charged to
 * ctx->budget; series and chunks are read in batches, so memory does not grow with their number. A
 * damaged series or chunk is left out and named by a warning in ctx->notes and in the log. Samples
 * under tombstones are cut (chunks are encoded anew only where a tombstone, or trim, cuts them).
 * The req's memory must live until close; takes a reference of the block.
 */
MUST_CHECK int block_series(struct block *b, struct ctx *ctx,
			    const struct block_series_req *req, struct series_set **out,
			    struct err *e);
/* Names and values with matchers (n = 0: straight from the offset table); sorted, in `a`. */
MUST_CHECK int block_label_names(struct block *b, struct ctx *ctx, struct arena *a,
				 const struct matcher *m, size_t n, struct str **out,
				 size_t *count, struct err *e);
MUST_CHECK int block_label_values(struct block *b, struct ctx *ctx, struct arena *a,
				  struct str name, const struct matcher *m, size_t n,
				  struct str **out, size_t *count, struct err *e);

#endif
