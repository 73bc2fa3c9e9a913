/*
 * cmd/thanosc/compact_flags.h - the flags of thanosc compact.
 */
#ifndef CMD_THANOSC_COMPACT_FLAGS_H
#define CMD_THANOSC_COMPACT_FLAGS_H

#include "compactor/compactor.h"
#include "runtime.h"

struct compact_flags {
	struct common_opts common;
	struct objstore_opts objstore;
	struct str data_dir, discovery, dedup_func, hash_func, web_label;
	struct conf_strs replica_labels;
	struct conf_text selector, retention;
	struct conf_time min_time, max_time;
	int64_t consistency_ms, retention_ms[3], delete_delay_ms;
	int64_t wait_interval_ms, cleanup_ms, progress_ms, view_ms, view_timeout_ms;
	int64_t concurrency, fetch_concurrency, files_concurrency, meta_concurrency,
		downsample_concurrency;
	int64_t max_level, max_index_bytes, memory_bytes;
	bool wait, once, dry_run, no_downsampling, vertical, lease;
	bool halt, malformed, skip_out_of_order, newer_encodings;
	bool web_disable, no_admin;
};
extern const struct opt compact_rows[];
/* Flags that contradict each other, what they name; what is parsed lives until compact_flags_free. */
struct compact_config {
	struct relabel *selector;
	struct retention_config *retention;
	struct str *replica_labels; /* split at commas, in the runtime's arena */
	size_t n_replica_labels;
};
MUST_CHECK int compact_flags_check(const struct compact_flags *f, struct arena *a,
				   struct compact_config *out, struct err *e);
void compact_flags_free(struct compact_config *c);
/* All but the world: bucket, pool, metrics, work, callbacks. */
void compact_flags_opts(const struct compact_flags *f, const struct compact_config *c,
			struct arena *a, struct compactor_opts *o);

#endif
