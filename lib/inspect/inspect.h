/*
 * inspect/inspect.h - looking into a block, in a folder or in a bucket: what it holds, whether every part of it is
 * sound, its samples as text.
 *
 * A damaged part is named and passed over, everything else is still looked at. -1 is left for what ends the work: the
 * bucket is away, the work is cancelled, memory is refused.
 *
 * Thread  WORKER, one at a time
 * Memory  symbols as in the file, 4 bytes each symbol and each series, 48 bytes each label pair; one window of 1 MiB
 *         a file, four for all segments; of chunks the ranges that series use (one, where they lie in series order)
 * Source  prometheus.md §1, thanos.md §3
 */
#ifndef INSPECT_INSPECT_H
#define INSPECT_INSPECT_H

#include "model/matcher.h"
#include "objstore/bucket.h"
#include "tsdb/block/block.h"

struct inspect_place { /* where the files of one block lie */
	struct bucket *bucket;
	struct str prefix; /* "<ULID>/", or "" where the bucket's folder is the block */
	const char *id;	   /* in messages */
};

/* What can be found: id, word, is it damage (else a note) */
#define INSPECT_KINDS(X)                                                                 \
	X(MISSING, "missing file", true)                                                 \
	X(META, "meta.json", true)                                                       \
	X(SIZE, "file size", true)                                                       \
	X(HASH, "file hash", true)                                                       \
	X(FRAME, "frame", true)                                                          \
	X(CHECKSUM, "checksum", true)                                                    \
	X(SYMBOL, "symbols", true)                                                       \
	X(SERIES, "series", true)                                                        \
	X(ORDER, "order", true)                                                          \
	X(OVERLAP, "overlap", true)                                                      \
	X(RANGE, "time range", true)                                                     \
	X(CHUNK, "chunk", true)                                                          \
	X(SAMPLES, "samples", true)                                                      \
	X(POSTINGS, "postings", true)                                                    \
	X(COUNT, "count", true)                                                          \
	X(TOMBSTONE, "tombstones", true)                                                 \
	X(MARK, "mark", true)                                                            \
	X(HEADER, "index-header", true)                                                  \
	X(UNUSED, "unused bytes", false)                                                 \
	X(REMARK, "remark", false)
enum inspect_kind {
#define INSPECT_ID(id, word, damage) INSPECT_##id,
	INSPECT_KINDS(INSPECT_ID)
#undef INSPECT_ID
		INSPECT_KIND_N
};
const char *inspect_kind_text(enum inspect_kind k);

struct inspect_finding {
	enum inspect_kind kind;
	bool damage;
	const char *file; /* relative to the block: "index", "chunks/000001" */
	const char *text;
};
struct inspect_report {
	/* Called for the first `each` findings of a kind; NULL: only counted. */
	void (*found)(void *arg, const struct inspect_finding *f);
	void *arg;
	uint64_t each; /* 0: 20 */
	uint64_t n[INSPECT_KIND_N];
	uint64_t damage, notes; /* all of them */
};

/* Every check there is; see README.md. */
MUST_CHECK int inspect_verify(struct ctx *ctx, const struct inspect_place *p,
			      struct inspect_report *r, struct err *e);

/* ---- statistics ---- */
struct inspect_top {
	uint64_t v;
	struct str key;
};
struct inspect_list { /* the largest first; equal ones by key */
	struct inspect_top *v;
	size_t n;
};
struct inspect_bucket {
	uint64_t low, high,
		n; /* low <= x < high, in the steps of `promtool tsdb analyze` */
};
struct inspect_dist {
	uint64_t n, sum, min, max;
	struct inspect_bucket *bucket;
	size_t n_buckets;
};
struct inspect_stats {
	struct block_meta meta;
	bool has_meta;
	bool has_matched;
	uint64_t matched; /* series; labels, chunks and samples are theirs then */
	uint64_t series, label_names, label_pairs, pair_entries, symbols, symbol_bytes;
	uint64_t index_bytes, chunk_bytes, segments;
	uint64_t chunks, samples, float_samples, histogram_samples;
	uint64_t encoding[256]; /* chunks by encoding */
	struct inspect_list churn_pairs, churn_names, common_pairs, value_bytes,
		cardinality, metrics;
	uint64_t fullness[10]; /* of raw chunks: tenths of 120 samples */
	struct inspect_dist float_samples_dist, float_bytes_dist, hist_samples_dist,
		hist_bytes_dist, hist_buckets_dist, aggr_samples_dist, aggr_bytes_dist;
};
struct inspect_stats_opts {
	size_t limit;  /* of each list; 0: 20 */
	bool extended; /* chunks, too, not only the index */
	const struct matcher *matchers;
	size_t n_matchers; /* 0: all series; else the block's other series are only checked */
};
/* Memory of `a`. What is damaged is reported and missing in the numbers. */
MUST_CHECK int inspect_stats(struct ctx *ctx, struct arena *a,
			     const struct inspect_place *p,
			     const struct inspect_stats_opts *o, struct inspect_report *r,
			     struct inspect_stats *out, struct err *e);
void inspect_stats_text(const struct inspect_stats *s, bool extended, struct buf *out);
void inspect_stats_json(const struct inspect_stats *s, bool extended, struct buf *out);

/* ---- samples as text ---- */
struct inspect_dump_opts {
	int64_t mint_ms, maxt_ms; /* inclusive */
	const struct matcher *matchers;
	size_t n_matchers;
	bool json; /* a line of JSON a series and aggregate; else `promtool tsdb dump`'s lines */
	/* Takes a piece of text; -1: no more is wanted. */
	int (*write)(void *arg, struct str text, struct err *e);
	void *arg;
};
/* Tombstones are applied. A block of which a whole file is unreadable fails: E_CORRUPT; a damaged series or chunk is left
 * out and named in ctx->notes. */
MUST_CHECK int inspect_dump(struct ctx *ctx, const struct inspect_place *p,
			    const struct inspect_dump_opts *o, struct err *e);

/* ---- lists of blocks ---- */
struct inspect_item {
	struct str name; /* of the folder */
	struct block_meta meta;
	bool has_meta;
	struct str
		trouble; /* why it has none: "no meta.json", what is wrong with it; else empty */
	uint64_t bytes, files;
	bool deletion, no_compact, no_downsample;
	struct str json; /* meta.json as it is */
};
/* The blocks of a bucket by name; memory of `a`. One listing, one read a block. */
MUST_CHECK int inspect_list_blocks(struct ctx *ctx, struct arena *a, struct bucket *b,
				   struct inspect_item **out, size_t *n, struct err *e);
enum inspect_format { INSPECT_TABLE, INSPECT_TSV, INSPECT_CSV, INSPECT_JSON };
void inspect_list_text(const struct inspect_item *v, size_t n, enum inspect_format f,
		       struct buf *out);

#endif
