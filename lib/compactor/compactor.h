/*
 * compactor/compactor.h - a bucket kept in order: what to compact, downsample, mark and delete, and in which order, so
 * that death at any moment loses nothing. What is done with the bytes is `work`'s (lib/compact; tests give a fake).
 *
 * Thread  WORKER; compactor_iterate and compactor_dry_run run one at a time; compactor_cleanup and compactor_progress
 *         may run beside them; compactor_status is SHARED.
 * Source  thanos.md §1.5, §3.5, §4.2-4.5; design §4
 */
#ifndef COMPACTOR_COMPACTOR_H
#define COMPACTOR_COMPACTOR_H

#include "blocks/blocks.h"
#include "compact/compact.h"
#include "model/relabel.h"

struct compactor_work { /* filled with compact_blocks, compact_downsample, ... by cmd_compact */
	int (*compact)(struct ctx *, struct arena *, const struct block_source *, size_t,
		       const struct compact_opts *, struct compact_result *,
		       struct err *);
	int (*downsample)(struct ctx *, struct arena *, const struct block_source *,
			  int64_t, const struct compact_opts *, struct compact_result *,
			  struct err *);
	/* compact_disk_bound, compact_memory_bound; NULL: nothing is checked, nothing is told. */
	uint64_t (*disk_bound)(const struct block_source *, size_t,
			       const struct compact_opts *);
	size_t (*memory_bound)(const struct block_source *, size_t,
			       const struct compact_opts *);
};

/* ---- --retention.config ---- */
/*
 * policies:                           # the first that fits a block decides; without one the flags do
 *   - match: ['{tenant="a"}', ...]    # selectors over external labels: any of them; absent: all blocks
 *     per: [tenant]                   # max_size holds for each combination of these labels' values
 *     resolution_raw: 30d             # absent: the flag's; 0d: for ever
 *     resolution_5m: 90d
 *     resolution_1h: 0d
 *     max_size: 500GiB                # bytes in the bucket; the oldest blocks go first
 * max_size: 10TiB                     # of the whole bucket
 */
struct retention_config;
MUST_CHECK int retention_config_parse(struct ctx *ctx, struct str yaml,
				      struct retention_config **out, struct err *e);
void retention_config_free(struct retention_config *r); /* NULL allowed */

/* ---- the compactor ---- */
#define COMPACTOR_MAX_LEVEL 4 /* ranges 1h 2h 8h 48h 336h */
struct compactor_backlog {    /* what is left to do, by the last plan */
	uint64_t compactions, compaction_blocks, downsample_blocks, deletion_blocks;
	uint64_t bytes;	     /* of the inputs of all of them */
	uint64_t done_bytes; /* of this iteration */
	double seconds_left; /* by the speed so far; < 0: not known yet */
	struct str
		now; /* what is worked on: "0@123: 4 blocks, 2h"; valid during the callback */
};
struct compactor_opts {
	struct bucket *bucket;
	const char *
		data_dir; /* staging under <data_dir>/compact, metas under <data_dir>/meta-syncer */
	const struct compactor_work *work;
	struct task_pool *pool; /* bulk threads: at least the larger concurrency */
	struct metric_registry *metrics;

	/* sync */
	int64_t consistency_delay_ms;	 /* --consistency-delay */
	uint32_t meta_fetch_concurrency; /* --block-meta-fetch-concurrency; 0: 32 */
	bool discovery_concurrent;	 /* --block-discovery-strategy=concurrent */
	const struct relabel
		*selector; /* --selector.relabel-config, borrowed; NULL: all blocks */
	struct str
		scope; /* what it is limited to, as text (selector, times); empty: nothing. Leases of one scope, or with an empty one, exclude each other */
	/* --min-time, --max-time: asked at each sync, since they may be relative; NULL: all times. */
	void (*range)(void *arg, int64_t now_ms, int64_t *mint_ms, int64_t *maxt_ms);
	void *range_arg;
	uint64_t sync_timeout_ns; /* --wait-interval with --wait; 0: none */

	/* compaction */
	uint32_t concurrency; /* --compact.concurrency; 0: 1 */
	uint32_t
		blocks_fetch_concurrency; /* --compact.blocks-fetch-concurrency: inputs opened at a time */
	uint32_t
		block_files_concurrency; /* --block-files-concurrency: objects uploaded at a time */
	int max_level; /* --debug.max-compaction-level, 0 to COMPACTOR_MAX_LEVEL */
	uint64_t block_max_index_size; /* --compact.block-max-index-size; 0: 64 GiB */
	bool enable_vertical; /* --compact.enable-vertical-compaction; set by replica labels, too */
	bool dedup_penalty; /* --deduplication.func=penalty */
	const struct str
		*replica_labels; /* --deduplication.replica-label, split at commas */
	size_t n_replica_labels;
	bool accept_malformed_index; /* --debug.accept-malformed-index */
	bool halt_on_error;	     /* --debug.halt-on-error (off) */
	bool skip_out_of_order; /* --compact.skip-block-with-out-of-order-chunks: matters with halt_on_error only */
	bool hash_sha256;	/* --hash-func=SHA256 */
	bool newer_encodings;	/* encodings 4 to 6 may be written */
	size_t memory;		/* --compact.memory, of one compaction; 0: 128 MiB */
	size_t read_ahead;	/* 0: 1 MiB */
	uint64_t segment_bytes; /* 0: 512 MiB */

	/* downsampling */
	bool downsampling_disable;
	uint32_t downsample_concurrency; /* --downsample.concurrency; 0: 1 */

	/* retention and deletion */
	int64_t retention_ms[3]; /* --retention.resolution-raw, -5m, -1h; 0: for ever */
	const struct retention_config *retention; /* borrowed; NULL: none */
	int64_t delete_delay_ms;		  /* --delete-delay */
	uint32_t delete_concurrency;		  /* 0: 32 */

	/* lease */
	bool no_lease;	  /* --no-compact.lease */
	const char *host; /* NULL: gethostname */
	int64_t lease_ms; /* between renewals; stale after 4 of them; 0: 15 s */

	/* world */
	uint32_t retries;	   /* of a transient error within an iteration; 0: none */
	uint64_t retry_backoff_ns; /* before the first; doubles; 0: 1 s */
	int64_t (*now_ms)(void *arg); /* NULL: time_wall_ms */
	void *now_arg;
	/* After each plan, job and second of work, on any thread, one at a time. */
	void (*on_progress)(void *arg, const struct compactor_backlog *b);
	void *on_progress_arg;
};
struct compactor_report {		     /* of one iteration */
	uint64_t compactions, downsamplings; /* blocks made */
	uint64_t marked_deletion, deleted, partial_deleted, garbage;
	uint64_t
		quarantined; /* blocks that got a no-compact or no-downsample mark for damage */
	uint64_t
		overlapping; /* blocks left out since they overlap and vertical compaction is off */
	uint64_t failed; /* jobs that failed for another reason */
	uint64_t bytes_in, bytes_out;
	bool halted; /* with halt_on_error: a critical error, nothing more may be done */
	bool retriable; /* the error that ended the iteration may go away by itself */
};
struct compactor;
/*
 * Checks the options as Thanos does ("penalty based deduplication needs at least one replica label specified", raw
 * retention below 40 h, ...), makes the folders, takes <data_dir>/compact under a lock.
 */
MUST_CHECK int compactor_new(struct ctx *ctx, const struct compactor_opts *o,
			     struct compactor **out, struct err *e);
void compactor_free(struct compactor *c); /* gives the lease back; NULL allowed */
/*
 * One iteration: lease, what a dead process left, sync, deletion of marked blocks, garbage, plan and compact until
 * nothing is left to do, downsample twice, retention, cleanup. *r is filled on failure, too. A block that is bad never fails it
 * (unless halt_on_error): r->quarantined says so. E_LOCKED names the other compactor.
 */
MUST_CHECK int compactor_iterate(struct compactor *c, struct ctx *ctx,
				 struct compactor_report *r, struct err *e);
/* The background loops of --wait: cleanup of partial uploads and marked blocks; the thanos_compact_todo_* gauges. */
MUST_CHECK int compactor_cleanup(struct compactor *c, struct ctx *ctx, struct err *e);
MUST_CHECK int compactor_progress(struct compactor *c, struct ctx *ctx, struct err *e);
/* What an iteration would do, as text, changing nothing (no lease either). */
MUST_CHECK int compactor_dry_run(struct compactor *c, struct ctx *ctx, struct buf *out,
				 struct err *e);
/* The bytes of memory that concurrent work may hold, by the flags alone; of the biggest plan there is, after a plan. */
size_t compactor_memory_bound(struct compactor *c);

/* The catalogue of the last sync (a new reference), NULL before the first: what /api/v1/blocks?view=loaded shows. SHARED */
struct catalogue *compactor_loaded(struct compactor *c);
struct compactor_status {
	bool lease_held, halted, running;
	int64_t last_success_ms; /* end of the last iteration that succeeded; 0: none */
	struct compactor_backlog backlog; /* `now` empty */
};
void compactor_status(struct compactor *c, struct compactor_status *out);

/* ---- snapshots: selected blocks in a second bucket or prefix, with a retention of their own ---- */
/*
 * The second bucket holds <ULID>/... as any bucket does (a store can serve it) and thanosc/snapshots/<name>.json, the
 * list of a snapshot's blocks with sizes. Blocks are immutable: one that is there in full is not copied again.
 */
struct snapshot_select {
	const struct matcher *const *
		sets; /* over external labels and __block_id; any of them; n_sets 0: all blocks */
	const size_t *n_matchers;
	size_t n_sets;
	int64_t mint_ms, maxt_ms; /* blocks that share time with it; both 0: all */
	const int64_t *resolution_ms;
	size_t n_resolutions; /* 0: all */
	bool with_marked;     /* blocks marked for deletion, too */
};
struct snapshot_opts {
	struct bucket *from, *to;
	struct str name; /* [a-zA-Z0-9._-]+; empty: the time, "20260921T140000Z" */
	struct snapshot_select select;
	uint32_t concurrency; /* blocks at a time; 0: 1 */
	struct task_pool *pool;
	int64_t keep_ms; /* snapshots older than this are removed after a take; 0: none */
	uint32_t keep_last; /* of them at least this many stay */
	bool dry_run;
	bool overwrite; /* restore: blocks marked for deletion in `to` are unmarked */
	int64_t now_ms; /* 0: the wall clock */
};
struct snapshot_report {
	uint64_t blocks, copied, skipped, bytes, expired, deleted_blocks;
	char name[128];
};
struct snapshot_info {
	struct str name;
	int64_t time_ms;
	uint64_t blocks, bytes;
};
/* from -> to; the list is put last, after every block is there whole. */
MUST_CHECK int snapshot_take(struct ctx *ctx, const struct snapshot_opts *o,
			     struct snapshot_report *r, struct err *e);
/* The blocks of snapshot `name` (empty: the newest) of `from` that `select` takes -> to. E_NOT_FOUND; E_CORRUPT names what is missing. */
MUST_CHECK int snapshot_restore(struct ctx *ctx, const struct snapshot_opts *o,
				struct snapshot_report *r, struct err *e);
/* Oldest first, in `a`. */
MUST_CHECK int snapshot_list(struct ctx *ctx, struct arena *a, struct bucket *b,
			     struct snapshot_info **out, size_t *n, struct err *e);
/* Remove what keep_ms and keep_last say from `to`, and blocks that no snapshot lists any more. */
MUST_CHECK int snapshot_expire(struct ctx *ctx, const struct snapshot_opts *o,
			       struct snapshot_report *r, struct err *e);

#endif
