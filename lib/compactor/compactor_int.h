/*
 * compactor/compactor_int.h - what the files of compactor share.
 */
#ifndef COMPACTOR_COMPACTOR_INT_H
#define COMPACTOR_COMPACTOR_INT_H

#include <pthread.h>

#include "base/map.h"
#include "blocks/metas.h"
#include "compactor/compactor.h"
#include "compactor/plan.h"

#define RESOLUTIONS	    3
#define RES_5M_MS	    ((int64_t)300000)
#define RES_1H_MS	    ((int64_t)3600000)
#define DOWNSAMPLE_5M_RANGE ((int64_t)40 * 3600000)	 /* of a raw block worth it */
#define DOWNSAMPLE_1H_RANGE ((int64_t)10 * 24 * 3600000) /* of a 5m block */
#define PARTIAL_AGE_MS	    ((int64_t)48 * 3600000)

/* What a deletion mark of a compaction's input says, as Thanos writes it. */
#define DETAILS_COMPACTED "source of compacted block"

/* ---- metrics ---- */
enum {
	M_HALTED,
	M_RETRIES,
	M_ITERATIONS,
	M_CLEANUPS,
	M_PARTIAL_ATTEMPTS,
	M_CLEANED,
	M_CLEANUP_FAILURES,
	M_MARKED, /* marker, reason */
	M_MARKED_DELETION,
	M_GARBAGE_BLOCKS,
	M_GARBAGE,
	M_GARBAGE_FAILURES,
	M_GARBAGE_SECONDS,
	M_COMPACTIONS, /* this and the next by resolution */
	M_RUNS_STARTED,
	M_RUNS_COMPLETED,
	M_FAILURES,
	M_VERTICAL,
	M_TSDB_COMPACTIONS,
	M_TSDB_VERTICAL,
	M_TSDB_SECONDS,
	M_DOWNSAMPLES,
	M_DOWNSAMPLE_FAILURES,
	M_DOWNSAMPLE_SECONDS,
	M_TODO_COMPACTIONS,
	M_TODO_COMPACTION_BLOCKS,
	M_TODO_DOWNSAMPLE,
	M_TODO_DELETION,
	M_DELETE_DELAY,
	M_CONSISTENCY_DELAY,
	M_QUARANTINED, /* reason */
	M_OVERLAPPING,
	M_TODO_BYTES,
	M_TODO_SECONDS,
	M_LEASE,
	M_LAST_SUCCESS,
	M_COUNT
};
struct metric_set *compactor_metrics(struct metric_registry *r); /* r NULL: NULL */

/* ---- lease ---- */
struct lease;
struct lease_opts {
	struct bucket *bucket;
	const char *id_path; /* file that keeps this data folder's identity */
	const char *host;    /* NULL: gethostname */
	struct str
		scope; /* what it works on; two conflict if equal or if either is empty */
	int64_t interval_ms;
	int64_t (*now_ms)(void *arg);
	void *now_arg;
	void (*on_lost)(void *arg,
			const char *why); /* from the keeper's thread; `why` is static */
	void *arg;
};
/* Holds nothing yet. */
MUST_CHECK int lease_new(struct ctx *ctx, const struct lease_opts *o, struct lease **out,
			 struct err *e);
/* Take it, or see that it is still held: E_LOCKED names the other holder. Renewed by a thread from then on. */
MUST_CHECK int lease_take(struct lease *l, struct ctx *ctx, struct err *e);
/* Before anything is published: E_LOCKED if it is lost; asks the bucket if that was not done lately. */
MUST_CHECK int lease_confirm(struct lease *l, struct ctx *ctx, struct err *e);
bool lease_held(struct lease *l);
void lease_free(struct lease *l); /* gives it back */

/* ---- groups ---- */
struct gblock { /* a block as the compactor sees it */
	struct plan_block pb;
	struct block_meta meta;	   /* memory of the iteration */
	const struct known *known; /* NULL: made in this iteration */
	int64_t deletion_time_s;   /* 0: not marked */
	bool no_downsample, busy;
	bool down_known;    /* down_to_ms was found out */
	int64_t down_to_ms; /* resolution that it is to be downsampled to; 0: none */
	uint64_t segments;
	bool overlaps; /* excluded for overlapping, this time */
};
struct group {
	char key[48]; /* "0@17241709254077376921" */
	char res[24]; /* its resolution as text */
	struct labels labels;
	int64_t resolution_ms;
	struct gblock **v; /* in no order */
	size_t n, cap;
	bool busy;   /* a compaction works on it */
	bool failed; /* nothing more in this iteration */
	/* what it could do now; made anew when it changed */
	bool planned;
	struct arena arena;
	struct plan *plan;
	size_t n_plans;
};
struct groups {
	struct arena arena;
	struct group **v;
	size_t n, cap;
	struct map by_key;
	struct map have[2]; /* sources of all 5m blocks, of all 1h blocks */
};
void compactor_groups_init(struct groups *g);
void compactor_groups_deinit(struct groups *g);
/* From a catalogue, which must outlive it. */
MUST_CHECK int compactor_groups_fill(struct groups *g, struct ctx *ctx,
				     const struct catalogue *c, struct err *e);
struct group *compactor_group_of(struct groups *g,
				 const struct block_meta *m); /* made at need */
void group_add(struct groups *all, struct group *g, struct gblock *b);
void group_remove(struct group *g, struct gblock *b);
void group_key(const struct block_meta *m, char out[48]);
struct str group_label(struct arena *a, const struct group *g); /* "0@{a=\"b\"}" */

/* ---- the compactor ---- */
struct sweep_row { /* a folder without meta.json as the last sweep saw it */
	struct ulid id;
	uint64_t n_objects, bytes;
	int64_t newest_ms;
};
struct compactor {
	struct compactor_opts o;
	char *data_dir, *stage_dir;
	struct fs_lock *lock;
	struct fetcher *fetcher;
	struct lease *lease; /* NULL: none wanted */
	struct metric_set *metrics;
	size_t n_ranges;
	struct str *replica_labels;
	struct arena arena;	    /* of the options */
	pthread_mutex_t cleanup_mu; /* one cleanup at a time; guards sweep */
	struct sweep_row *sweep;
	size_t n_sweep;
	pthread_mutex_t sync_mu; /* one sync at a time, with its range */
	pthread_mutex_t mu;	 /* guards all below */
	struct catalogue *loaded;
	struct cancel *run_cancel; /* of the iteration under way */
	bool halted, running;
	int64_t last_success_ms;
	struct compactor_backlog backlog;
	uint64_t done_bytes_all;
	uint64_t busy_ns_all; /* time spent on them: their ratio is the speed */
	size_t biggest_bound;
};
int64_t compactor_now_ms(const struct compactor *c);
struct metric *compactor_metric(const struct compactor *c, unsigned row); /* NULL: none */
void compactor_count(const struct compactor *c, unsigned row);
void compactor_count_res(const struct compactor *c, unsigned row, const struct group *g);
/* Is the bucket still ours? Asked before anything is written into it. */
MUST_CHECK int compactor_confirm(struct compactor *c, struct ctx *ctx, struct err *e);
void compactor_halt(struct compactor *c); /* a critical error: nothing more may be done */
/* The catalogue of a fresh listing; a new reference. */
MUST_CHECK int compactor_sync(struct compactor *c, struct ctx *ctx,
			      struct catalogue **out, struct err *e);
/* Mark, unless a sound mark of the kind is there by `k` (may be NULL) or in the bucket. *marked: was written. */
MUST_CHECK int compactor_mark(struct compactor *c, struct ctx *ctx, enum mark_kind kind,
			      const struct ulid *id, const struct known *k,
			      struct str reason, struct str details, bool *marked,
			      struct err *e);
/* Has it a meta.json now? Asked by name, since a listing may be old; true if the bucket does not say. */
bool compactor_is_block(struct compactor *c, struct ctx *ctx, const struct ulid *id);
bool compactor_is_transient(enum err_code c);

/* ---- one iteration ---- */
struct job;
struct run {
	struct compactor *c;
	struct ctx *ctx; /* its own token: ends with the lease, too */
	struct compactor_report *r;
	struct catalogue *cat;
	struct groups groups;
	pthread_mutex_t mu; /* guards groups, r, and all below */
	pthread_cond_t changed;
	uint32_t compacting, downsampling;
	uint64_t reserved_disk;
	bool stop;	  /* take no more jobs */
	bool dirty;	  /* something was done: look again */
	struct err first; /* of what failed; E_OK: nothing */
	bool all_transient;
	struct job *now; /* jobs under way, for progress */
};
/* Work until no group has anything to do. */
MUST_CHECK int run_all(struct run *r, struct err *e);

/* ---- jobs ----
 *
 * Staging, <data_dir>/compact/<group key>/<ULID>.work: `inputs`, which names what the block is made of, and the block
 * itself, <ULID>, once it is whole. A block is in the bucket when its meta.json is; its inputs are marked after that.
 */
#define JOB_SUFFIX ".work"
#define JOB_INPUTS "inputs"
struct job {
	struct run *run;
	struct group *group;
	struct plan plan;  /* of a downsampling: the one block */
	int64_t to_res_ms; /* 0: compaction */
	struct ulid ulid;
	struct arena arena;
	_Atomic uint64_t read_bytes;
	uint64_t bytes, disk; /* of the inputs; reserved */
	char *dir, *block;    /* <ULID>.work, and the block in it */
	bool built, uploaded;
	struct block_meta meta; /* of what was built */
	uint64_t out_bytes, out_index_bytes;
	struct job *next, *prev; /* of those under way */
};
/* Do it: E_OK, or what went wrong after retries; quarantine and halting are done inside. */
MUST_CHECK int job_do(struct job *j, struct err *e);
/* The block folder `dir` goes up, its files described first. */
MUST_CHECK int job_upload(struct compactor *c, struct ctx *ctx, struct arena *a,
			  const char *dir, struct block_meta *meta, struct err *e);
/* Finish or remove what a dead process left in staging. */
MUST_CHECK int jobs_recover(struct compactor *c, struct ctx *ctx,
			    const struct catalogue *cat, struct compactor_report *r,
			    struct err *e);

/* ---- inputs ---- */
struct inputs {
	struct block_source *v;
	size_t n;
};
/* Open all parts of the blocks in the bucket; `a` holds what is small. *bad: the block to blame, SIZE_MAX: none. */
MUST_CHECK int inputs_open(struct compactor *c, struct ctx *ctx, struct arena *a,
			   const struct plan *p, struct inputs *out, size_t *bad,
			   struct err *e);
void inputs_close(struct inputs *in);

/* ---- downsampling: who needs it ---- */
/* The resolution that b of g is to be downsampled to, given what is there; 0: not. Asked once a block. */
int64_t downsample_to(const struct groups *all, const struct group *g, struct gblock *b);

/* ---- quarantine ---- */
/*
 * Leave the blamed inputs (SIZE_MAX: all) out of the group, and say so in the bucket. 0: done, the others go on; -1: a
 * critical error is to end all (halt_on_error), or the mark could not be written.
 */
MUST_CHECK int quarantine(struct job *j, enum compact_fault fault, size_t input,
			  const struct err *why, struct err *e);

/* ---- helpers ---- */
/*
 * fn(arg, i) for all i < n, up to `concurrency` at a time on request threads (fewer if there are none); fn may wait. Ends
 * early at the first failure unless go_on. -1: *e is the first failure.
 */
MUST_CHECK int each_of(struct task_pool *pool, uint32_t concurrency, size_t n,
		       int (*fn)(void *arg, size_t i, struct err *e), void *arg,
		       bool go_on, struct err *e);
void nap(struct ctx *ctx, uint64_t ns); /* until then, or the ctx is over */

/* ---- garbage, retention, cleanup ---- */
MUST_CHECK int garbage_collect(struct compactor *c, struct ctx *ctx,
			       const struct catalogue *cat, struct compactor_report *r,
			       struct err *e);
struct doomed { /* a block that retention takes */
	const struct fetched_block *block;
	struct str why;
};
/*
 * What retention would mark. `early`: only blocks whose loss keeps nothing from being downsampled, so that it may be
 * asked before the iteration's work.
 */
size_t retention_list(struct compactor *c, struct arena *a, const struct catalogue *cat,
		      bool early, struct doomed **out);
MUST_CHECK int retention_apply(struct compactor *c, struct ctx *ctx,
			       const struct catalogue *cat, bool early,
			       struct compactor_report *r, struct err *e);
/* Delete blocks marked for longer than --delete-delay. */
MUST_CHECK int cleanup_marked(struct compactor *c, struct ctx *ctx,
			      const struct catalogue *cat, struct compactor_report *r,
			      struct err *e);
/* Delete what aborted uploads left; failures are logged and counted. */
void cleanup_partial(struct compactor *c, struct ctx *ctx, const struct catalogue *cat,
		     struct compactor_report *r);
bool cleanup_is_due(const struct compactor *c, int64_t deletion_time_s);
bool cleanup_is_aborted(const struct compactor *c, const struct known *k);
/* The guards of the flags hold for its durations, too. */
MUST_CHECK int retention_config_check(const struct retention_config *r, struct ctx *ctx,
				      struct err *e);
/* Go's text of a duration: "960h0m0s". */
struct str go_duration(struct arena *a, int64_t ms);

/* ---- backlog ---- */
/* Simulate all that is to be done with the groups' blocks; `print` (may be NULL) gets each step. CPU */
void backlog_of(struct compactor *c, const struct catalogue *cat,
		struct compactor_backlog *b, struct buf *print);
void backlog_publish(struct compactor *c, const struct compactor_backlog *b);
/* on_progress each second while a run lasts. */
struct ticker;
struct ticker *ticker_start(struct run *r);
void ticker_stop(struct ticker *t); /* NULL allowed */

#endif
