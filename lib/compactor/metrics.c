/*
 * compactor/metrics.c - the rows. Names and labels are Thanos'; thanosc_* are ours.
 */
#include "compactor/compactor_int.h"

#define ROW(id, k, n, h, ...)                                                            \
	[id] = { .kind = METRIC_##k, .name = n, .help = h, .labels = { __VA_ARGS__ } }

static const double garbage_bounds[] = { 0.01, 0.1, 0.3, 0.6, 1,   3,	6,   9,
					 20,   30,  60,	 90,  120, 240, 360, 720 };
static const double tsdb_bounds[] = { 1,   2,	4,   8,	   16,	 32,   64,
				      128, 256, 512, 1024, 2048, 4096, 8192 };
static const double downsample_bounds[] = { 60, 300, 900, 1800, 3600, 7200, 14400 };

static const struct metric_desc rows[M_COUNT] = {
	ROW(M_HALTED, GAUGE, "thanos_compact_halted",
	    "1 when a critical error ended all work."),
	ROW(M_RETRIES, COUNTER, "thanos_compact_retries_total",
	    "Times work was tried again after an error that may go away."),
	ROW(M_ITERATIONS, COUNTER, "thanos_compact_iterations_total",
	    "Iterations that succeeded."),
	ROW(M_CLEANUPS, COUNTER, "thanos_compact_block_cleanup_loops_total",
	    "Cleanups of partial uploads and marked blocks."),
	ROW(M_PARTIAL_ATTEMPTS, COUNTER,
	    "thanos_compact_aborted_partial_uploads_deletion_attempts_total",
	    "Deletions of aborted uploads that were begun."),
	ROW(M_CLEANED, COUNTER, "thanos_compact_blocks_cleaned_total", "Blocks deleted."),
	ROW(M_CLEANUP_FAILURES, COUNTER, "thanos_compact_block_cleanup_failures_total",
	    "Deletions of blocks that failed."),
	ROW(M_MARKED, COUNTER, "thanos_compact_blocks_marked_total",
	    "Marks written, by file and reason.", "marker", "reason"),
	ROW(M_MARKED_DELETION, COUNTER, "thanos_compact_blocks_marked_for_deletion_total",
	    "Deletion marks written."),
	ROW(M_GARBAGE_BLOCKS, COUNTER, "thanos_compact_garbage_collected_blocks_total",
	    "Blocks marked for deletion since others hold their samples."),
	ROW(M_GARBAGE, COUNTER, "thanos_compact_garbage_collection_total",
	    "Garbage collections."),
	ROW(M_GARBAGE_FAILURES, COUNTER,
	    "thanos_compact_garbage_collection_failures_total",
	    "Garbage collections that failed."),
	[M_GARBAGE_SECONDS] = { .kind = METRIC_HISTOGRAM,
				.name = "thanos_compact_garbage_collection_duration_seconds",
				.help = "Seconds that a garbage collection took.",
				.bounds = garbage_bounds,
				.n_bounds = ARRAY_LEN(garbage_bounds) },
	ROW(M_COMPACTIONS, COUNTER, "thanos_compact_group_compactions_total",
	    "Compactions that made a block.", "resolution"),
	ROW(M_RUNS_STARTED, COUNTER, "thanos_compact_group_compaction_runs_started_total",
	    "Compactions begun.", "resolution"),
	ROW(M_RUNS_COMPLETED, COUNTER,
	    "thanos_compact_group_compaction_runs_completed_total",
	    "Compactions that ended well, with a block or without.", "resolution"),
	ROW(M_FAILURES, COUNTER, "thanos_compact_group_compactions_failures_total",
	    "Compactions that failed.", "resolution"),
	ROW(M_VERTICAL, COUNTER, "thanos_compact_group_vertical_compactions_total",
	    "Compactions of overlapping blocks that made a block.", "resolution"),
	ROW(M_TSDB_COMPACTIONS, COUNTER, "prometheus_tsdb_compactions_total",
	    "Compactions that made a block, of all resolutions."),
	ROW(M_TSDB_VERTICAL, COUNTER, "prometheus_tsdb_vertical_compactions_total",
	    "Compactions of overlapping blocks that made a block, of all resolutions."),
	[M_TSDB_SECONDS] = { .kind = METRIC_HISTOGRAM,
			     .name = "prometheus_tsdb_compaction_duration_seconds",
			     .help = "Seconds that a compaction took.",
			     .bounds = tsdb_bounds,
			     .n_bounds = ARRAY_LEN(tsdb_bounds) },
	ROW(M_DOWNSAMPLES, COUNTER, "thanos_compact_downsample_total",
	    "Downsamplings, by the resolution of their input.", "resolution"),
	[M_DOWNSAMPLE_FAILURES] = { .kind = METRIC_COUNTER,
				    .name = "thanos_compact_downsample_failures_total",
				    .help = "Downsamplings that failed.",
				    .labels = { "resolution" },
				    .alias = "thanos_compact_downsample_failed_total" },
	[M_DOWNSAMPLE_SECONDS] = { .kind = METRIC_HISTOGRAM,
				   .name = "thanos_compact_downsample_duration_seconds",
				   .help = "Seconds that a downsampling took.",
				   .labels = { "resolution" },
				   .bounds = downsample_bounds,
				   .n_bounds = ARRAY_LEN(downsample_bounds) },
	ROW(M_TODO_COMPACTIONS, GAUGE, "thanos_compact_todo_compactions",
	    "Compactions that are left to do."),
	ROW(M_TODO_COMPACTION_BLOCKS, GAUGE, "thanos_compact_todo_compaction_blocks",
	    "Blocks that they will read."),
	ROW(M_TODO_DOWNSAMPLE, GAUGE, "thanos_compact_todo_downsample_blocks",
	    "Blocks that are left to downsample."),
	ROW(M_TODO_DELETION, GAUGE, "thanos_compact_todo_deletion_blocks",
	    "Blocks older than their retention."),
	ROW(M_DELETE_DELAY, GAUGE, "thanos_delete_delay_seconds",
	    "Seconds between a deletion mark and the deletion."),
	ROW(M_CONSISTENCY_DELAY, GAUGE, "thanos_consistency_delay_seconds",
	    "Age in seconds from which blocks are looked at."),
	ROW(M_QUARANTINED, COUNTER, "thanosc_compact_quarantined_blocks_total",
	    "Blocks marked for damage, so that the others go on.", "reason"),
	ROW(M_OVERLAPPING, GAUGE, "thanosc_compact_overlapping_blocks",
	    "Blocks left out since they overlap and vertical compaction is off."),
	ROW(M_TODO_BYTES, GAUGE, "thanosc_compact_todo_bytes",
	    "Bytes that compactions and downsamplings have left to read."),
	ROW(M_TODO_SECONDS, GAUGE, "thanosc_compact_todo_seconds",
	    "Seconds that they will take, by the speed so far; -1: not known."),
	ROW(M_LEASE, GAUGE, "thanosc_compact_lease_held",
	    "1 while this process is the bucket's compactor."),
	ROW(M_LAST_SUCCESS, GAUGE, "thanosc_compact_last_success_timestamp_seconds",
	    "When the last iteration succeeded."),
};

struct metric_set *compactor_metrics(struct metric_registry *r)
{
	static const char *const reasons[] = { "block-index-out-of-order-chunk",
					       "index-size-exceeding" };
	if (!r)
		return NULL;
	struct metric_set *m = metric_set_new(r, rows, M_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		metric_at(m, M_MARKED, str_of(mark_filename(MARK_NO_COMPACT)),
			  str_of(reasons[i]));
	metric_at(m, M_MARKED, str_of(mark_filename(MARK_DELETION)), STR(""));
	return m;
}
