/*
 * store/bucket_int.h - what the files of the bucket store share.
 *
 * Reading order: bucket_store.c (life, Info) - bucket_sync.c (catalogue -> snapshot) - bucket_block.c
 * (opening one block) - bucket_snapshot.c (choice of blocks) - bucket_series.c - bucket_labels.c -
 * bucket_hints.c - bucket_meter.c.
 */
#ifndef STORE_BUCKET_INT_H
#define STORE_BUCKET_INT_H

#include <pthread.h>

#include "store/store.h"

#define BUCKET_BLOCK_ID STR("__block_id")

/* ---- one block of a snapshot ---- */
struct bucket_entry {
	struct block *block; /* NULL: could not be opened */
	struct ulid ulid;
	char id[27];
	int64_t mint_ms, maxt_ms; /* maxt exclusive */
	int64_t resolution_ms;
	struct labels labels; /* external; memory of the snapshot */
	struct str why;	      /* block NULL: what opening said */
};
/* Entries of equal external labels stand together. */
struct bucket_group {
	struct labels labels;
	size_t first, n;
};
/* FROZEN. Entries ascend by labels, then descend by resolution, then ascend by mint and ULID. */
struct bucket_snapshot {
	struct ref ref;
	struct arena arena;
	struct bucket_entry *entry;
	size_t n, n_loaded;
	bool synced; /* false: the empty one before the first sync */
	struct bucket_entry **by_id;
	struct bucket_group *group;
	size_t n_groups;
	/* What Info tells, clipped to the store's time range. */
	struct tsdb_info *tsdb;
	size_t n_tsdbs;
	int64_t mint_ms, maxt_ms;
};

/* ---- metrics ---- */
enum bucket_metric {
	BM_LOADED,
	BM_LOADS,
	BM_LOAD_FAILURES,
	BM_LOAD_SECONDS,
	BM_DROPS,
	BM_DROP_FAILURES,
	BM_LAST_LOADED,
	BM_DELAY,
	BM_PLAIN, /* the rest by tenant */
	BM_BLOCKS_QUERIED = BM_PLAIN,
	BM_GET_ALL_SECONDS,
	BM_RESULT_SERIES,
	BM_SENT_BYTES,
	BM_DROPPED, /* reason, tenant */
	BM_COUNT
};

struct bucket_store {
	struct store base;
	struct bucket_store_opts o;
	char *data_dir;
	struct fetcher *fetcher;
	struct metric *metric[BM_PLAIN];
	struct metric_set *set;
	struct metric_set *damage; /* blocks_damage_set */
	pthread_mutex_t sync_mu;   /* one sync at a time */
	bool swept;		   /* folders of earlier runs were looked through */
	pthread_mutex_t mu;	   /* guards `now`; held for a pointer copy only */
	struct bucket_snapshot *now;
};

static inline struct str bucket_tenant(const struct ctx *ctx)
{
	return ctx->tenant.n ? ctx->tenant : STR("default-tenant");
}
/* Of a row from BM_PLAIN to BM_DROPPED: the cell of the call's tenant. */
static inline struct metric *bucket_metric_at(const struct bucket_store *b,
					      const struct ctx *ctx, uint32_t row)
{
	return metric_at(b->set, row, bucket_tenant(ctx));
}

/* The time range that is served now. */
void bucket_range(const struct bucket_store *b, int64_t *mint_ms, int64_t *maxt_ms);
/* The snapshot of this moment, a new reference. */
struct bucket_snapshot *bucket_snapshot_get(struct bucket_store *b);
void bucket_snapshot_put(struct bucket_snapshot *s);

/* ---- snapshot ---- */
struct bucket_snapshot *bucket_snapshot_new(void);
/* Of a snapshot that is being made: fill entry[] and n first; sorts, groups, sums up. */
void bucket_snapshot_seal(struct bucket_snapshot *s, int64_t mint_ms, int64_t maxt_ms);
const struct bucket_entry *bucket_snapshot_find(const struct bucket_snapshot *s,
						const struct ulid *id);

/* A block that a request is to read, and what is to be asked of it. */
struct bucket_pick {
	const struct bucket_entry *entry; /* its block is open */
	const struct matcher *matchers;	  /* those not answered by external labels */
	size_t n_matchers;
};
struct bucket_choice {
	int64_t mint_ms, maxt_ms; /* inclusive */
	const struct matcher *matchers;
	size_t n_matchers;
	bool all_resolutions;	   /* every block that overlaps; else: */
	int64_t max_resolution_ms; /* the coarsest up to this, gaps filled by finer ones */
	const struct matcher *block_matchers; /* on __block_id; NULL: all */
	size_t n_block_matchers;
	/* out, in the arena: */
	struct bucket_pick *pick;
	size_t n;
};
/* Blocks that should be read but could not be opened are named in ctx->notes. CPU */
MUST_CHECK int bucket_choose(const struct bucket_snapshot *s, struct ctx *ctx,
			     struct arena *a, struct bucket_choice *c, struct err *e);

/* ---- opening ---- */
/* Index-header under the data folder (built when absent or refused), index and segments from the bucket. */
MUST_CHECK int bucket_block_open(struct bucket_store *b, struct ctx *ctx,
				 const struct block_meta *meta, struct block **out,
				 struct err *e);

/* ---- meter: bytes that one Series call downloads ---- */
struct bucket_meter {
	uint64_t used, limit; /* limit 0: none */
};
/* A source that charges what is read of `in` (taken over) to the meter of the reading thread. */
struct range_source *bucket_meter_source(struct range_source *in);
/* Reads of this thread are charged to m until leave(what enter returned). */
struct bucket_meter *bucket_meter_enter(struct bucket_meter *m);
void bucket_meter_leave(struct bucket_meter *before);

/* ---- requests ---- */
/* May the answer go on without the block that failed like this? */
bool bucket_may_go_on(struct ctx *ctx, const struct err *e);
/* After a failure on a block: 0 and a warning where the answer may go on without it, else -1. */
MUST_CHECK int bucket_block_failed(struct bucket_store *b, struct ctx *ctx,
				   enum partial_strategy partial, const char *id,
				   struct err *e);

int bucket_series(struct store *s, struct ctx *ctx, const struct store_series_req *req,
		  struct series_set **out, struct err *e);
int bucket_label_names(struct store *s, struct ctx *ctx, struct arena *a,
		       const struct store_labels_req *req, struct store_labels_resp *out,
		       struct err *e);
int bucket_label_values(struct store *s, struct ctx *ctx, struct arena *a,
			const struct store_labels_req *req, struct store_labels_resp *out,
			struct err *e);

/* ---- hints (google.protobuf.Any) ---- */
/* Block matchers of request hints; `message` is "SeriesRequestHints" and so on. E_INVALID */
MUST_CHECK int bucket_hints_parse(struct ctx *ctx, struct arena *a, struct str any,
				  const char *message, struct matcher **out, size_t *n,
				  struct err *e);
/* Response hints that list the blocks of the picks. */
MUST_CHECK int bucket_hints_blocks(struct ctx *ctx, struct arena *a, const char *message,
				   const struct bucket_pick *v, size_t n, struct str *any,
				   struct err *e);

#endif
