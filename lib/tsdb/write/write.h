/*
 * tsdb/write/write.h - writing blocks: segments, index, meta.json, tombstones, in flat memory.
 *
 * A block appears whole: it is built in <dir>/<ULID>.tmp-for-creation, files and folders are synced, and the folder
 * is renamed to <dir>/<ULID> by block_writer_finish. Whatever ends before leaves only the .tmp folder, which abort (or
 * the next start's block_writer_clean) removes.
 * Thread  WORKER, one at a time.
 * Memory  opts.memory for sorting postings, buffers of 512 KiB for segments and 1 MiB for the index, 512 KiB for symbols, one series: it
 *         grows neither with series nor with chunks. Charged to the budget of the ctx that opened it.
 * Disk    beside the block: 4 bytes a series, 4 a label of a series, 12 to 28 a label pair and run (unlinked files).
 * Errors  name the file; E_NOSPACE on a full disk; after one the writer can only be aborted or finished (which fails).
 * Source  prometheus.md §1.1-1.3, §1.6
 */
#ifndef TSDB_WRITE_WRITE_H
#define TSDB_WRITE_WRITE_H

#include "tsdb/block/block.h"

struct block_writer;
struct block_writer_stats;
/* What was written, whole and synced in `dir`, before it gets its name: -1, and it never does. */
typedef int block_writer_check(void *arg, struct ctx *ctx, const char *dir,
			       const struct block_writer_stats *st, struct err *e);
/* The next n bytes of a segment (from 1), which the system has taken: to be read back while they are in the caches. -1 ends the writing. */
typedef int block_writer_wrote(void *arg, struct ctx *ctx, uint32_t segment,
			       const uint8_t *p, size_t n, struct err *e);
struct index_chunk {
	int64_t mint_ms, maxt_ms;
	uint64_t ref; /* segment - 1 in the upper half, place in the lower */
};
/*
 * The body of the index' entry of the series that is being given, as it will stand in the file, and where its chunks were written. -1
 * ends the writing.
 */
typedef int block_writer_entry(void *arg, struct ctx *ctx, struct str body,
			       const struct index_chunk *c, struct err *e);
struct block_writer_opts {
	const char *dir; /* the block appears as <dir>/<ULID>; made if absent */
	struct ulid ulid;
	size_t memory;		/* bytes for sorting; 0: 128 MiB; at least 1 MiB */
	uint64_t segment_bytes; /* 0: 512 MiB */
	bool newer_encodings;	/* take encodings 4 to 6; else E_INVALID by name */
	/* A view's hash is 0 or what block_scan gave it: its checksum is written as it came, the bytes are not summed again. */
	bool scanned;
	block_writer_wrote *wrote; /* NULL: none; check_arg, too */
	block_writer_entry *entry; /* likewise */
	block_writer_check *check; /* NULL: none; by block_writer_finish */
	void *check_arg;
};
struct block_writer_stats { /* after finish */
	/* As meta.json counts them: samples of an AggrChunk are those of its count, and neither float nor histogram. */
	uint64_t samples, float_samples, histogram_samples, series, chunks;
	int64_t mint_ms, maxt_ms; /* of the samples, both inclusive */
	/* Bytes of the largest, with lengths, checksums and padding: thanos.index_stats. */
	uint64_t series_max_size, chunk_max_size;
	uint64_t index_bytes, chunk_bytes; /* of the files */
	uint32_t segments;
	uint32_t
		index_crc; /* CRC-32C of the index as a whole, of what was to be written */
};
/* E_EXISTS when <dir>/<ULID> is there. What a killed writer of the same name left is removed. */
MUST_CHECK int block_writer_open(struct ctx *ctx, const struct block_writer_opts *o,
				 struct block_writer **out, struct err *e);
/*
 * All symbols, strictly ascending bytewise, before the first series; their ordinals count from 0. E_LIMIT: table
 * beyond 4 GiB.
 */
MUST_CHECK int block_writer_symbol(struct block_writer *w, struct ctx *ctx, struct str s,
				   struct err *e);
/*
 * The next series: label ordinals (name, value, ... in label order; n_labels pairs) into the symbols given; label
 * sets strictly ascending; chunks ascending and not overlapping, at least one. A view with part[AGGR_RAW] is written
 * as that encoding, one with any other part as an AggrChunk. E_INVALID names what is out of order; E_LIMIT: index
 * beyond 64 GiB.
 */
MUST_CHECK int block_writer_series(struct block_writer *w, struct ctx *ctx,
				   const uint32_t *label, size_t n_labels,
				   const struct chunk_view *chunks, size_t n,
				   struct err *e);
/*
 * Postings, offset table, TOC; meta->ulid, and meta->stats (samples, float and histogram samples, series, chunks)
 * unless keep_stats, are set from what was written, and with has_thanos thanos.{series,chunk}_max_size; meta.json is
 * written last; sync; rename. E_INVALID when no series was written. Frees w, also on failure (what was built is
 * removed then). stats may be NULL.
 */
MUST_CHECK int block_writer_finish(struct block_writer *w, struct ctx *ctx,
				   struct block_meta *meta, bool keep_stats,
				   struct block_writer_stats *stats, struct err *e);
/* Remove what was built; NULL allowed. */
void block_writer_abort(struct block_writer *w);
/* Remove what killed writers left in dir (<ULID>.tmp-for-creation); no such dir: fine. */
MUST_CHECK int block_writer_clean(struct ctx *ctx, const char *dir, struct err *e);

/* A tombstones file (appended to out): entries in the order given. */
struct tombstone_entry {
	uint32_t ref;
	struct tombstone_range range;
};
void tombstones_write(const struct tombstone_entry *v, size_t n, struct buf *out);

#endif
