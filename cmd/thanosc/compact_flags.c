/*
 * cmd/thanosc/compact_flags.c - the flags of thanosc compact: Thanos' with their meaning, and ours.
 */
#include "compact_flags.h"

/* The defaults of --min-time and --max-time: the years 0 and 9999. */
static const int64_t compact_first_ms = -62167219200000,
		     compact_last_ms = 253402300799000;

#define AT(f) offsetof(struct compact_flags, f)
const struct opt compact_rows[] = {
	{ .name = "data-dir",
	  .type = OPT_STRING,
	  .off = AT(data_dir),
	  .def = "./data",
	  .help = "Data directory in which to cache blocks and process compactions." },
	{ .name = "wait",
	  .type = OPT_BOOL,
	  .off = AT(wait),
	  .def = "false",
	  .short_name = 'w',
	  .help = "Do not exit after all compactions have been processed and wait for new work. SIGHUP and POST /-/compact start an iteration at once." },
	{ .name = "once",
	  .type = OPT_BOOL,
	  .off = AT(once),
	  .def = "false",
	  .help = "One iteration, then exit: what happens without --wait, said explicitly." },
	{ .name = "wait-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(wait_interval_ms),
	  .def = "5m",
	  .min = 1,
	  .max = INT64_MAX,
	  .help = "Wait interval between consecutive compaction runs and bucket refreshes. Only works when --wait flag specified." },
	{ .name = "dry-run",
	  .type = OPT_BOOL,
	  .off = AT(dry_run),
	  .def = "false",
	  .help = "Print what an iteration would do, change nothing, exit." },
	{ .name = "consistency-delay",
	  .type = OPT_DURATION_MS,
	  .off = AT(consistency_ms),
	  .def = "30m",
	  .help = "Minimum age of fresh (non-compacted) blocks before they are being processed. Malformed blocks older than the maximum of consistency-delay and 48h0m0s will be removed." },
	{ .name = "min-time",
	  .type = OPT_TIME_MOVING,
	  .off = AT(min_time),
	  .def = "0000-01-01T00:00:00Z",
	  .help = "Start of time range limit to compact." },
	{ .name = "max-time",
	  .type = OPT_TIME_MOVING,
	  .off = AT(max_time),
	  .def = "9999-12-31T23:59:59Z",
	  .help = "End of time range limit to compact." },
	{ .name = "selector.relabel-config",
	  .type = OPT_TEXT,
	  .off = AT(selector),
	  .help = "YAML file with relabeling configuration that allows selecting blocks to act on based on their external labels (keep, drop, hashmod; __block_id is the block's ULID)." },
	{ .name = "block-discovery-strategy",
	  .type = OPT_ENUM,
	  .off = AT(discovery),
	  .def = "recursive",
	  .choices = "concurrent|recursive",
	  .help = "How the bucket is listed: all objects by one listing, or one listing a block folder, several at a time." },
	{ .name = "block-meta-fetch-concurrency",
	  .type = OPT_INT,
	  .off = AT(meta_concurrency),
	  .def = "32",
	  .min = 1,
	  .max = 1000,
	  .help = "meta.json files read at the same time." },
	{ .name = "block-files-concurrency",
	  .type = OPT_INT,
	  .off = AT(files_concurrency),
	  .def = "1",
	  .min = 1,
	  .max = 256,
	  .help = "Files of a block uploaded at the same time." },
	{ .name = "compact.concurrency",
	  .type = OPT_INT,
	  .off = AT(concurrency),
	  .def = "1",
	  .min = 1,
	  .max = 128,
	  .help = "Groups compacted at the same time." },
	{ .name = "compact.blocks-fetch-concurrency",
	  .type = OPT_INT,
	  .off = AT(fetch_concurrency),
	  .def = "1",
	  .min = 1,
	  .max = 128,
	  .help = "Blocks of a compaction that are opened at the same time. They are read by ranges, never downloaded as a whole." },
	{ .name = "compact.memory",
	  .type = OPT_BYTES,
	  .off = AT(memory_bytes),
	  .def = "128MB",
	  .min = 1 << 20,
	  .max = INT64_MAX,
	  .help = "Memory of one compaction for sorting; the log says what that makes in all." },
	{ .name = "compact.cleanup-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(cleanup_ms),
	  .def = "5m",
	  .help = "How often partially uploaded blocks and blocks with deletion mark are cleaned up in the background with --wait. 0s: only at the end of an iteration." },
	{ .name = "compact.progress-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(progress_ms),
	  .def = "5m",
	  .help = "How often the backlog is counted in the background with --wait. 0s: never." },
	{ .name = "compact.lease",
	  .type = OPT_BOOL,
	  .off = AT(lease),
	  .def = "true",
	  .help = "Keep a lease object in the bucket, so that a second compactor of the same blocks is refused by name." },
	{ .name = "compact.enable-vertical-compaction",
	  .type = OPT_BOOL,
	  .off = AT(vertical),
	  .def = "false",
	  .bits = OPTF_HIDDEN,
	  .help = "Merge overlapping blocks, irreversibly. On where --deduplication.replica-label is given." },
	{ .name = "compact.block-max-index-size",
	  .type = OPT_BYTES,
	  .off = AT(max_index_bytes),
	  .def = "64GB",
	  .min = 1,
	  .max = INT64_MAX,
	  .bits = OPTF_HIDDEN,
	  .help = "Maximum index size of a compaction's block; the biggest source of one that could exceed it gets a no-compact mark." },
	{ .name = "compact.skip-block-with-out-of-order-chunks",
	  .type = OPT_BOOL,
	  .off = AT(skip_out_of_order),
	  .def = "false",
	  .bits = OPTF_HIDDEN,
	  .help = "With --debug.halt-on-error: mark blocks with out-of-order chunks for no compaction instead of halting. Without it they are put in order or quarantined in any case." },
	{ .name = "compact.newer-encodings",
	  .type = OPT_BOOL,
	  .off = AT(newer_encodings),
	  .def = "false",
	  .help = "Write chunk encodings 4 to 6 (XOR2, start timestamps of Prometheus 3.14) where the sources have them. Thanos cannot read them." },
	{ .name = "deduplication.func",
	  .type = OPT_ENUM,
	  .off = AT(dedup_func),
	  .def = "",
	  .choices = "|penalty",
	  .help = "How samples of replicas are merged: equal ones once (the default), or as queries do (penalty)." },
	{ .name = "deduplication.replica-label",
	  .type = OPT_STRINGS,
	  .off = AT(replica_labels),
	  .placeholder = "<label>",
	  .help = "Label that tells replicas apart (repeatable, or separated by commas): blocks that differ only in it become one, irreversibly." },
	{ .name = "downsampling.disable",
	  .type = OPT_BOOL,
	  .off = AT(no_downsampling),
	  .def = "false",
	  .help = "Disables downsampling." },
	{ .name = "downsample.concurrency",
	  .type = OPT_INT,
	  .off = AT(downsample_concurrency),
	  .def = "1",
	  .min = 1,
	  .max = 128,
	  .help = "Blocks downsampled at the same time." },
	{ .name = "retention.resolution-raw",
	  .type = OPT_DURATION_MS,
	  .off = AT(retention_ms[0]),
	  .def = "0d",
	  .help = "How long to retain raw samples in bucket. 0d: for ever." },
	{ .name = "retention.resolution-5m",
	  .type = OPT_DURATION_MS,
	  .off = AT(retention_ms[1]),
	  .def = "0d",
	  .help = "How long to retain samples of resolution 1 (5 minutes) in bucket. 0d: for ever." },
	{ .name = "retention.resolution-1h",
	  .type = OPT_DURATION_MS,
	  .off = AT(retention_ms[2]),
	  .def = "0d",
	  .help = "How long to retain samples of resolution 2 (1 hour) in bucket. 0d: for ever." },
	{ .name = "retention.config",
	  .type = OPT_TEXT,
	  .off = AT(retention),
	  .help = "YAML file with retention by external labels and by size; what it does not decide the flags do." },
	{ .name = "delete-delay",
	  .type = OPT_DURATION_MS,
	  .off = AT(delete_delay_ms),
	  .def = "48h",
	  .help = "Time before a block marked for deletion is deleted from bucket. 0s: at once, which can fail queries of stores that still have it." },
	{ .name = "hash-func",
	  .type = OPT_ENUM,
	  .off = AT(hash_func),
	  .def = "",
	  .choices = "|SHA256",
	  .help = "Hash of the files of a block, kept in its meta.json. What a bucket of type FILESYSTEM was given is read back and compared; of S3, ETags are, always." },
	{ .name = "debug.halt-on-error",
	  .type = OPT_BOOL,
	  .off = AT(halt),
	  .def = "false",
	  .bits = OPTF_HIDDEN,
	  .help = "Stop all work at the first block that is damaged, as Thanos does by default; without it that block is quarantined and the others go on." },
	{ .name = "debug.accept-malformed-index",
	  .type = OPT_BOOL,
	  .off = AT(malformed),
	  .def = "false",
	  .bits = OPTF_HIDDEN,
	  .help = "Sort label names of a series that are out of order instead of refusing the block." },
	{ .name = "debug.max-compaction-level",
	  .type = OPT_INT,
	  .off = AT(max_level),
	  .def = "4",
	  .min = 0,
	  .max = COMPACTOR_MAX_LEVEL,
	  .bits = OPTF_HIDDEN,
	  .help = "Maximum compaction level: 0 to 4 are 1h, 2h, 8h, 2d, 14d." },
	{ .name = "block-viewer.global.sync-block-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(view_ms),
	  .def = "1m",
	  .min = 1,
	  .max = INT64_MAX,
	  .help = "How often /api/v1/blocks?view=global looks at the bucket." },
	{ .name = "block-viewer.global.sync-block-timeout",
	  .type = OPT_DURATION_MS,
	  .off = AT(view_timeout_ms),
	  .def = "5m",
	  .min = 1,
	  .max = INT64_MAX,
	  .help = "How long that look may take." },
	{ .name = "bucket-web-label",
	  .type = OPT_STRING,
	  .off = AT(web_label),
	  .def = "",
	  .help = "External label that groups blocks in viewers of /api/v1/blocks." },
	{ .name = "web.disable",
	  .type = OPT_BOOL,
	  .off = AT(web_disable),
	  .def = "false",
	  .help = "Serve no API of blocks." },
	{ .name = "web.route-prefix",
	  .type = OPT_STRING,
	  .off = offsetof(struct common_opts, route_prefix),
	  .def = "",
	  .help = "Prefix for API and page." },
	{ .name = "disable-admin-operations",
	  .type = OPT_BOOL,
	  .off = AT(no_admin),
	  .def = "false",
	  .help = "Refuse to mark blocks by HTTP." },
	{ 0 }
};

static void split_labels(const struct conf_strs *in, struct arena *a,
			 struct compact_config *out)
{
	size_t most = 1;
	for (size_t i = 0; i < in->n; i++)
		most += in->v[i].n + 1;
	out->replica_labels = ARENA_ARRAY(a, struct str, most);
	for (size_t i = 0; i < in->n; i++) {
		struct str rest = in->v[i], one;
		for (bool more = true; more;) {
			more = str_cut(&rest, ',', &one);
			one = str_trim(one);
			if (one.n)
				out->replica_labels[out->n_replica_labels++] = one;
		}
	}
}

int compact_flags_check(const struct compact_flags *f, struct arena *a,
			struct compact_config *out, struct err *e)
{
	if (f->wait && f->once)
		return err_set(NULL, e, E_INVALID,
			       "--wait and --once contradict each other");
	if (f->wait && f->dry_run)
		return err_set(NULL, e, E_INVALID,
			       "--wait and --dry-run contradict each other");
	if (f->data_dir.n == 0)
		return err_set(NULL, e, E_INVALID, "flag '--data-dir': empty path");
	if (!f->objstore.config.content.n)
		return err_set(
			NULL, e, E_INVALID,
			"no object storage: give --objstore.config or --objstore.config-file");
	split_labels(&f->replica_labels, a, out);
	if (relabel_parse(NULL, f->selector.content, RELABEL_SELECTOR, &out->selector,
			  e) < 0)
		return err_wrap(NULL, e, "flag '--selector.relabel-config'");
	if (f->retention.content.n &&
	    retention_config_parse(NULL, f->retention.content, &out->retention, e) < 0)
		return err_wrap(NULL, e, "flag '--retention.config'");
	return 0;
}

void compact_flags_free(struct compact_config *c)
{
	relabel_free(c->selector);
	retention_config_free(c->retention);
	*c = (struct compact_config){ 0 };
}

static void range_of(void *arg, int64_t now_ms, int64_t *mint_ms, int64_t *maxt_ms)
{
	const struct compact_flags *f = arg;
	*mint_ms = conf_time_ms(f->min_time, now_ms);
	*maxt_ms = conf_time_ms(f->max_time, now_ms);
}

/* What limits us, as text: compactors of different parts of a bucket do not exclude each other. */
static struct str scope_of(const struct compact_flags *f, struct arena *a)
{
	struct str s = f->selector.content;
	if (f->min_time.from_now || f->min_time.ms > compact_first_ms)
		s = str_fmt(a, "%.*s min-time %s%lld", STR_FMT(s),
			    f->min_time.from_now ? "now" : "", (long long)f->min_time.ms);
	if (f->max_time.from_now || f->max_time.ms < compact_last_ms)
		s = str_fmt(a, "%.*s max-time %s%lld", STR_FMT(s),
			    f->max_time.from_now ? "now" : "", (long long)f->max_time.ms);
	return s;
}

void compact_flags_opts(const struct compact_flags *f, const struct compact_config *c,
			struct arena *a, struct compactor_opts *o)
{
	union { /* range_arg is not const, since others' need not be */
		const struct compact_flags *in;
		void *out;
	} arg = { .in = f };
	o->data_dir = str_dupz(a, f->data_dir);
	o->consistency_delay_ms = f->consistency_ms;
	o->meta_fetch_concurrency = (uint32_t)f->meta_concurrency;
	o->discovery_concurrent = str_eqz(f->discovery, "concurrent");
	o->selector = relabel_rules(c->selector) ? c->selector : NULL;
	o->scope = scope_of(f, a);
	o->range = range_of;
	o->range_arg = arg.out;
	o->sync_timeout_ns = f->wait ? (uint64_t)f->wait_interval_ms * 1000000u : 0;
	o->concurrency = (uint32_t)f->concurrency;
	o->blocks_fetch_concurrency = (uint32_t)f->fetch_concurrency;
	o->block_files_concurrency = (uint32_t)f->files_concurrency;
	o->max_level = (int)f->max_level;
	o->block_max_index_size = (uint64_t)f->max_index_bytes;
	o->enable_vertical = f->vertical || c->n_replica_labels > 0;
	o->dedup_penalty = str_eqz(f->dedup_func, "penalty");
	o->replica_labels = c->replica_labels;
	o->n_replica_labels = c->n_replica_labels;
	o->accept_malformed_index = f->malformed;
	o->halt_on_error = f->halt;
	o->skip_out_of_order = f->skip_out_of_order;
	o->hash_sha256 = str_eqz(f->hash_func, "SHA256");
	o->newer_encodings = f->newer_encodings;
	o->memory = (size_t)f->memory_bytes;
	o->downsampling_disable = f->no_downsampling;
	o->downsample_concurrency = (uint32_t)f->downsample_concurrency;
	for (size_t i = 0; i < ARRAY_LEN(o->retention_ms); i++)
		o->retention_ms[i] = f->retention_ms[i];
	o->retention = c->retention;
	o->delete_delay_ms = f->delete_delay_ms;
	o->no_lease = !f->lease;
	o->retries = 3; /* after 1, 2 and 4 s: what a store that is shortly away costs */
}
