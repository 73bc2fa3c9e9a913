/*
 * store/bucket_store.c - the store gateway's core: StoreAPI over the blocks of a bucket.
 *
 * A sync makes a frozen snapshot of the blocks, every call works on the snapshot it found. Nothing but the
 * pointer to the newest snapshot is shared and changed, under a mutex that is held for the copy of
 * the pointer only; so Info never waits, whatever syncs and queries do. Source  thanos.md §1.2, §4.6
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "fs/fs.h"
#include "store/bucket_int.h"

static const double count_bounds[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024 };
static const double series_bounds[] = { 1, 10, 100, 1000, 10000, 100000, 1000000 };
static const double sent_bounds[] = { 32,	256,	   512,	     1024,
				      32768,	262144,	   524288,   1048576,
				      33554432, 268435456, 536870912 };
static const double seconds_bounds[] = { 0.001, 0.01, 0.1, 0.3, 0.6, 1,	 3,
					 6,	9,    20,  30,	60,  90, 120 };

#define COUNTER(id, name_, help_)                                                        \
	[id] = { .kind = METRIC_COUNTER,                                                 \
		 .name = "thanos_bucket_store_" name_,                                   \
		 .help = help_ }
#define GAUGE(id, name_, help_)                                                          \
	[id] = { .kind = METRIC_GAUGE,                                                   \
		 .name = "thanos_bucket_store_" name_,                                   \
		 .help = help_ }
#define HISTOGRAM(id, name_, help_, bounds_, ...)                                        \
	[id] = { .kind = METRIC_HISTOGRAM,                                               \
		 .name = "thanos_bucket_store_" name_,                                   \
		 .help = help_,                                                          \
		 .labels = { __VA_ARGS__ },                                              \
		 .bounds = bounds_,                                                      \
		 .n_bounds = ARRAY_LEN(bounds_) }

static const struct metric_desc rows[BM_COUNT] = {
	GAUGE(BM_LOADED, "blocks_loaded", "Blocks that are open."),
	COUNTER(BM_LOADS, "block_loads_total", "Attempts to open a block."),
	COUNTER(BM_LOAD_FAILURES, "block_load_failures_total",
		"Attempts to open a block that failed."),
	HISTOGRAM(BM_LOAD_SECONDS, "block_load_duration_seconds",
		  "Time to open a block, its index-header included.", seconds_bounds,
		  NULL),
	COUNTER(BM_DROPS, "block_drops_total", "Blocks no longer served."),
	COUNTER(BM_DROP_FAILURES, "block_drop_failures_total",
		"Blocks no longer served whose local files could not be removed."),
	GAUGE(BM_LAST_LOADED, "blocks_last_loaded_timestamp_seconds",
	      "When the blocks of the bucket were last read."),
	HISTOGRAM(BM_BLOCKS_QUERIED, "series_blocks_queried",
		  "Blocks that one Series call read.", count_bounds, "tenant"),
	HISTOGRAM(BM_GET_ALL_SECONDS, "series_get_all_duration_seconds",
		  "Time from a Series call until its blocks can be streamed.",
		  seconds_bounds, "tenant"),
	HISTOGRAM(BM_RESULT_SERIES, "series_result_series",
		  "Series in the answer of one Series call.", series_bounds, "tenant"),
	HISTOGRAM(BM_SENT_BYTES, "sent_chunk_size_bytes",
		  "Bytes of the chunks of a series in the answer of a Series call.",
		  sent_bounds, "tenant"),
	[BM_DROPPED] = { .kind = METRIC_COUNTER,
			 .name = "thanos_bucket_store_queries_dropped_total",
			 .help = "Calls that passed a limit.",
			 .labels = { "reason", "tenant" } },
	[BM_DELAY] = { .kind = METRIC_GAUGE,
		       .name = "thanos_consistency_delay_seconds",
		       .help = "Age in seconds from which blocks are looked at." },
};

void bucket_range(const struct bucket_store *b, int64_t *mint_ms, int64_t *maxt_ms)
{
	int64_t now_ms = time_wall_ms();
	*mint_ms = conf_time_ms(b->o.min_time, now_ms);
	*maxt_ms = conf_time_ms(b->o.max_time, now_ms);
}

struct bucket_snapshot *bucket_snapshot_get(struct bucket_store *b)
{
	pthread_mutex_lock(&b->mu);
	struct bucket_snapshot *s = b->now;
	ref_get(&s->ref);
	pthread_mutex_unlock(&b->mu);
	return s;
}

/* ---- what requests share ---- */

bool bucket_may_go_on(struct ctx *ctx, const struct err *e)
{
	struct err over = ERR_INIT;
	if (ctx_check(ctx, &over) < 0)
		return false;
	switch (e->code) {
	case E_CORRUPT:
	case E_PARSE:
	case E_NOT_FOUND:
	case E_UNSUPPORTED:
	case E_DENIED:
	case E_IO:
	case E_TIMEOUT:
	case E_UNAVAILABLE:
	case E_REMOTE: return true;
	default: return false;
	}
}

int bucket_block_failed(struct bucket_store *b, struct ctx *ctx,
			enum partial_strategy partial, const char *id, struct err *e)
{
	char noun[40];
	if (e->code == E_CORRUPT) /* of chunks only the damaged ones are left out */
		blocks_damage(b->damage, id, "index");
	snprintf(noun, sizeof(noun), "block %s", id);
	if (!str_has_prefix(str_of(err_text(e)), str_of(noun)))
		err_wrap(ctx, e, "%s", noun);
	if (partial == PARTIAL_ABORT || !bucket_may_go_on(ctx, e))
		return -1;
	log_warn(ctx, "%s", err_text(e));
	notes_warn(ctx->notes, "%s", err_text(e));
	*e = ERR_INIT;
	return 0;
}

/* ---- Info ---- */

static void bucket_info(struct store *st, struct arena *a, struct store_info *out)
{
	struct bucket_store *b = CONTAINER_OF(st, struct bucket_store, base);
	struct bucket_snapshot *s = bucket_snapshot_get(b);
	*out = (struct store_info){
		.component = "store",
		.mint_ms = s->mint_ms,
		.maxt_ms = s->maxt_ms,
		.label_sets = ARENA_ARRAY(a, struct labels, s->n_groups + 1),
		.n_label_sets = s->n_groups,
		.tsdbs = ARENA_ARRAY(a, struct tsdb_info, s->n_tsdbs + 1),
		.n_tsdbs = s->n_tsdbs,
		.sharding = true,
		.without_replica_labels = true,
		.not_ready = s->synced ? NULL : "Not ready",
	};
	for (size_t i = 0; i < s->n_groups; i++)
		out->label_sets[i] = labels_dup(a, s->group[i].labels);
	for (size_t i = 0; i < s->n_tsdbs; i++) {
		out->tsdbs[i] = s->tsdb[i];
		out->tsdbs[i].labels = labels_dup(a, s->tsdb[i].labels);
	}
	bucket_snapshot_put(s);
}

/* ---- life ---- */

static const struct store_ops ops = { bucket_info, bucket_series, bucket_label_names,
				      bucket_label_values };

int bucket_store_new(struct ctx *ctx, const struct bucket_store_opts *o,
		     struct bucket_store **out, struct err *e)
{
	if (fs_mkdir_p(ctx, o->data_dir, e) < 0)
		return err_wrap(ctx, e, "data folder");
	struct bucket_store *b = xcalloc(1, sizeof(*b));
	b->base.ops = &ops;
	b->o = *o;
	b->data_dir = xstrdup(o->data_dir);
	b->o.data_dir = b->data_dir;
	pthread_mutex_init(&b->mu, NULL);
	pthread_mutex_init(&b->sync_mu, NULL);
	b->now = bucket_snapshot_new();
	int64_t mint_ms, maxt_ms;
	bucket_range(b, &mint_ms, &maxt_ms);
	bucket_snapshot_seal(b->now, mint_ms, maxt_ms);
	b->damage = blocks_damage_set(o->metrics);
	b->set = metric_set_new(o->metrics, rows, BM_COUNT);
	for (uint32_t i = 0; i < BM_PLAIN; i++)
		b->metric[i] = metric_plain(b->set, i);
	metric_set_value(b->metric[BM_DELAY], (double)o->consistency_delay_ms / 1000);
	struct arena tmp;
	arena_init(&tmp, NULL);
	const char *cache = str_fmt(&tmp, "%s/meta-syncer", b->data_dir).p;
	b->fetcher = fetcher_new(&(struct fetcher_opts){
		.bucket = o->bucket,
		.cache_dir = cache,
		.consistency_delay_ms = o->consistency_delay_ms,
		.ignore_deletion_marks_ms = o->ignore_deletion_marks_ms,
		.concurrency = o->meta_concurrency,
		.by_folder = o->discovery_concurrent,
		.dedup_sources = true,
		.selector = o->selector,
		.metrics = o->metrics,
		.pool = o->pool });
	arena_deinit(&tmp);
	*out = b;
	return 0;
}

void bucket_store_free(struct bucket_store *b)
{
	if (!b)
		return;
	fetcher_free(b->fetcher);
	bucket_snapshot_put(b->now);
	pthread_mutex_destroy(&b->mu);
	pthread_mutex_destroy(&b->sync_mu);
	free(b->data_dir);
	free(b);
}

struct store *bucket_store_store(struct bucket_store *b)
{
	return &b->base;
}
