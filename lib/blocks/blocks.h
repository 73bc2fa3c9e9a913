/*
 * blocks/blocks.h - blocks in buckets: what is there (fetcher, filters, marks), and getting blocks up
 * there (upload in the order that never shows half a block; the shipper of a TSDB folder).
 *
 * Thread  WORKER
 */
#ifndef BLOCKS_BLOCKS_H
#define BLOCKS_BLOCKS_H

#include "metrics/metrics.h"
#include "objstore/bucket.h"
#include "task/task.h"
#include "tsdb/block/block.h"

/* ---- marks ---- */
enum mark_kind { MARK_DELETION, MARK_NO_COMPACT, MARK_NO_DOWNSAMPLE };
#define MARK_KINDS 3
struct block_mark {
	struct ulid id;
	int64_t time_s; /* deletion_time and so on */
	struct str details, reason;
};
const char *mark_filename(enum mark_kind k); /* "deletion-mark.json" */
/* E_CORRUPT names what is wrong ("unexpected deletion-mark file version 9, expected 1"). */
MUST_CHECK int mark_parse(struct ctx *ctx, struct arena *a, enum mark_kind k,
			  struct str json, struct block_mark *out, struct err *e);

/* The same bytes as Thanos writes. */
void mark_write(enum mark_kind k, const struct block_mark *m, struct buf *out);
/* Lay the mark beside its block, over one that is there. */
MUST_CHECK int mark_put(struct bucket *b, struct ctx *ctx, enum mark_kind k,
			const struct block_mark *m, struct err *e);
MUST_CHECK int mark_remove(struct bucket *b, struct ctx *ctx, enum mark_kind k,
			   const struct ulid *id, struct err *e);

/*
 * Delete a block so that nobody ever sees half of one: meta.json first, the deletion mark last. Stopped half way it
 * leaves a folder without meta.json, and calling it again goes on. E_UNAVAILABLE: listings were out of date for seconds, so
 * what is left may not be known; the mark stays.
 */
MUST_CHECK int block_delete(struct bucket *b, struct ctx *ctx, const struct ulid *id,
			    struct err *e);

/* ---- damage, counted by block and file: one family of all who read blocks ---- */
struct metric_set *blocks_damage_set(struct metric_registry *r); /* r NULL: NULL */
void blocks_damage(struct metric_set *m, const char *id, const char *file);

/* ---- fetcher: the catalogue of a bucket ---- */
struct known; /* blocks/metas.h */
struct metas;
struct relabel; /* model/relabel.h */
struct fetched_block {
	struct block_meta
		meta; /* memory of the catalogue; labels without replica labels */
	int64_t deletion_time_s;   /* 0: not marked */
	const struct known *known; /* what the bucket has of it; lives as the catalogue */
};
struct catalogue { /* FROZEN, ref-counted */
	struct ref ref;
	struct arena arena;
	struct fetched_block *block; /* ascending ULID */
	size_t n;
	struct fetched_block *duplicate; /* left out by dedup_sources; ascending ULID */
	size_t n_duplicates;
	/* Those marked for deletion of the selector's, whether left out for it or not. */
	struct fetched_block *marked;
	size_t n_marked;
	size_t partial; /* folders without (readable) meta.json */
	int64_t synced_ms;
	const struct metas *metas; /* all that was seen */
};
struct fetcher_opts {
	struct bucket *bucket;
	const char *
		cache_dir; /* <data-dir>/meta-syncer: meta.json kept by ULID; NULL: none */
	int64_t consistency_delay_ms; /* younger blocks (ULID time) are left out, compactor's excepted */
	int64_t ignore_deletion_marks_ms; /* blocks marked longer ago are left out; < 0: all shown */
	uint32_t concurrency;		  /* meta.json reads at a time; 0: 32 */
	/* Leave out blocks whose sources another block covers; with `objects` only one whose files are all there covers. */
	bool dedup_sources;
	const struct relabel *
		selector; /* over external labels and __block_id: what it drops is left out; NULL: none */
	const struct str *
		replica_labels; /* taken off external labels before dedup_sources, not seen by selector */
	size_t n_replica_labels;
	bool objects;		      /* known.object is filled */
	bool by_folder;		      /* one listing a folder */
	int64_t (*now_ms)(void *arg); /* NULL: time_wall_ms */
	void *now_arg;
	struct metric_registry *metrics; /* thanos_blocks_meta_* */
	bool viewer; /* thanos_bucket_uiblocks_meta_*: for people to look at */
	struct task_pool *pool;
};
struct fetcher;
struct fetcher *fetcher_new(const struct fetcher_opts *o);
void fetcher_free(struct fetcher *f);
/* From the next sync on, blocks wholly outside are left out. Not while a sync runs. */
void fetcher_range(struct fetcher *f, int64_t mint_ms, int64_t maxt_ms);
/*
 * One listing, new meta.json read, marks read, filters applied. A damaged meta or mark never fails the
 * sync: that block is left out (or its mark ignored), named in log and metric. On success *out is a
 * new reference.
 */
MUST_CHECK int fetcher_sync(struct fetcher *f, struct ctx *ctx, struct catalogue **out,
			    struct err *e);

/* ---- upload ---- */
/*
 * Fill in the parts of the Thanos section that tell about the files of block folder `dir`: segment_files, and files
 * with sizes and, if wanted, SHA-256. Memory in `a`.
 */
MUST_CHECK int block_describe_files(struct ctx *ctx, struct arena *a, const char *dir,
				    bool sha256, struct block_meta *meta, struct err *e);
/* thanos.upload_time as Thanos writes the present. */
struct str block_upload_time(struct arena *a, int64_t now_ns);
struct upload_opts {
	uint32_t concurrency;	/* objects at a time; 0 and 1: one after the other */
	struct task_pool *pool; /* its bulk threads help; NULL: none */
};
/*
 * Upload the block folder `dir`: chunks, index, then - after a listing has confirmed all sizes - the
 * meta.json given. Files the bucket already has with the right size are passed over, so that a
 * killed upload is completed. Files of which meta has a hash are read back and compared, unless the bucket
 * compares by itself what it is given; one that differs is deleted there, E_REMOTE. o may be NULL.
 */
MUST_CHECK int block_upload(struct bucket *b, struct ctx *ctx, const char *dir,
			    const struct block_meta *meta, const struct upload_opts *o,
			    struct err *e);

/* ---- shipper: finished blocks of a TSDB folder go to the bucket ---- */
struct shipper_opts {
	const char *dir;       /* TSDB folder */
	const char *meta_file; /* "thanos.shipper.json" */
	struct bucket *bucket;
	/* Asked at each sync; false: not known yet, nothing is uploaded. In the arena. */
	bool (*labels)(void *arg, struct arena *a, struct labels *out);
	void *arg;
	const char *source; /* "sidecar" */
	bool upload_compacted, allow_out_of_order, skip_corrupted;
	bool hash_sha256;
	struct upload_opts upload;
	struct metric_registry *metrics; /* thanos_shipper_* */
};
struct shipper;
struct shipper *shipper_new(const struct shipper_opts *o);
void shipper_free(struct shipper *s);
/*
 * One pass: every block of the folder not yet in the bucket, oldest first, hard-linked into
 * thanos/upload/<ULID>, given its Thanos section, uploaded meta.json last; then thanos.shipper.json is
 * rewritten. Blocks with encodings 4-6 are refused by name and passed over. Killed at any moment and run
 * again it completes. *uploaded counts. Errors of one block do not stop the others unless order demands
 * it (no --shipper.allow-out-of-order-uploads).
 */
MUST_CHECK int shipper_sync(struct shipper *s, struct ctx *ctx, uint32_t *uploaded,
			    struct err *e);

#endif
