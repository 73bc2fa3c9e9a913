/*
 * compact/compact.h - several blocks become one: the series merged by comparing mapped symbol ordinals, chunks that do
 * not overlap copied undecoded, those that do merged sample by sample. Knows no bucket: sources are range_sources.
 *
 * Memory  inputs x (2 x read_ahead + symbols of the output / 8 + rank index) + opts.memory, and one series' chunks.
 * Thread  WORKER (bulk), one call at a time per output
 * Source  thanos.md §4.2, §4.3; prometheus.md §1.8
 */
#ifndef COMPACT_COMPACT_H
#define COMPACT_COMPACT_H

#include "task/task.h"
#include "tsdb/block/scan.h"
#include "tsdb/write/write.h"

enum compact_overlap {
	COMPACT_REFUSE, /* overlapping chunks of different inputs: E_INVALID, as Thanos with vertical compaction off */
	COMPACT_ONE_TO_ONE, /* Prometheus' vertical merge: equal times collapse */
	COMPACT_PENALTY,    /* Thanos' --deduplication.func=penalty */
};
struct compact_opts {
	const char *dir; /* the output appears as <dir>/<ULID> */
	struct ulid ulid;
	enum compact_overlap overlap;
	size_t memory; /* --compact.memory: for sorting postings; 0: 128 MiB */
	size_t read_ahead; /* bytes an input and file; 0: 1 MiB, less where there are many inputs */
	uint64_t segment_bytes; /* 0: 512 MiB */
	bool accept_malformed_index; /* label names of a series out of order are sorted instead of refused */
	bool newer_encodings; /* encodings 4 to 6 stay; else their samples are kept in 1 to 3, without start timestamps */
	struct labels labels; /* meta.thanos.labels of the output */
	const char *source;   /* NULL: "compactor" */
	int64_t now_ms;
	_Atomic uint64_t *progress_bytes; /* bytes of inputs read so far; NULL */
	struct task_pool
		*pool; /* helps compact_downsample; NULL: the caller works alone */
};
enum compact_fault { /* why an input is to blame */
		     COMPACT_FAULT_NONE,
		     COMPACT_FAULT_UNREADABLE,
		     COMPACT_FAULT_OUT_OF_ORDER_CHUNK,
		     COMPACT_FAULT_OUT_OF_ORDER_LABELS, /* label names of a series, or the series */
		     COMPACT_FAULT_OUTSIDE_RANGE,
		     COMPACT_FAULT_OVERLAP,
		     COMPACT_FAULT_DUPLICATE_SERIES,
		     COMPACT_FAULT_OUTPUT, /* the check of what was written failed; it was deleted */
};
struct compact_result {
	bool empty;		/* no samples were left: no block was made */
	struct block_meta meta; /* of the block made; memory in the arena given */
	struct block_writer_stats stats;
	uint64_t in_series, in_chunks;
	uint64_t copied_chunks,
		merged_chunks; /* of the inputs; what was left out as double, deleted or outside is neither */
	uint64_t
		check_ns; /* CPU that reading back the output took, but for entries of the index */
	enum compact_fault fault; /* on failure */
	size_t fault_input;	  /* index of the input to blame; SIZE_MAX: none */
};
/*
 * meta of the output: level max+1, sources united, parents, times of the inputs, resolution (must be equal), extensions
 * if equal, stats. Chunks inside one input that are out of order or overlap are put in order and merged where nothing
 * gets lost by it (equal chunks; any overlap unless REFUSE). Samples at or behind the end of the output are left out.
 */
MUST_CHECK int compact_blocks(struct ctx *ctx, struct arena *a,
			      const struct block_source *in, size_t n,
			      const struct compact_opts *o, struct compact_result *r,
			      struct err *e);
/* The bytes of memory that compact_blocks of these inputs may hold; of disk that it may need in dir, by sizes. */
size_t compact_memory_bound(const struct block_source *in, size_t n,
			    const struct compact_opts *o);
uint64_t compact_disk_bound(const struct block_source *in, size_t n,
			    const struct compact_opts *o);

/*
 * One block downsampled (raw -> 300000, 300000 -> 3600000) with the same opts; overlap decides about chunks of one series that
 * overlap each other. The output's meta is the input's but for ULID, resolution, labels, source, files and counts: level, sources and
 * parents stay, and so do the numbers of raw float and histogram samples. Whole or not there, and read back, as above.
 * Memory  2 x read_ahead, 4 MiB of chunks and what they become, opts.memory, and a series decoded for each thread that helps
 */
MUST_CHECK int compact_downsample(struct ctx *ctx, struct arena *a,
				  const struct block_source *in, int64_t resolution_ms,
				  const struct compact_opts *o, struct compact_result *r,
				  struct err *e);

#endif
