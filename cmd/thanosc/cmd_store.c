/*
 * cmd/thanosc/cmd_store.c - thanosc store: StoreAPI over the blocks of a bucket.
 */
#include <stdio.h>

#include "api/blocks_api.h"
#include "base/log.h"
#include "base/time.h"
#include "model/relabel.h"
#include "runtime.h"
#include "store/store.h"

struct store_opts {
	struct common_opts common;
	struct objstore_opts objstore;
	struct str data_dir;
	struct conf_time min_time, max_time;
	int64_t consistency_ms, ignore_marks_ms, sync_ms;
	struct conf_text selector;
	struct str web_label, discovery;
	bool web_disable, no_admin;
	int64_t max_concurrent, limit_bytes, sync_concurrency, meta_concurrency;
};
#define AT(f) offsetof(struct store_opts, f)
static const struct opt rows[] = {
	{ .name = "data-dir",
	  .type = OPT_STRING,
	  .off = AT(data_dir),
	  .def = "./data",
	  .help = "Local data directory used for caching purposes (index-header, meta.json)." },
	{ .name = "min-time",
	  .type = OPT_TIME_MOVING,
	  .off = AT(min_time),
	  .def = "0000-01-01T00:00:00Z",
	  .help = "Start of time range limit to serve." },
	{ .name = "max-time",
	  .type = OPT_TIME_MOVING,
	  .off = AT(max_time),
	  .def = "9999-12-31T23:59:59Z",
	  .help = "End of time range limit to serve." },
	{ .name = "selector.relabel-config",
	  .type = OPT_TEXT,
	  .off = AT(selector),
	  .help = "YAML file with relabeling configuration that allows selecting blocks to act on based on their external labels (keep, drop, hashmod; __block_id is the block's ULID)." },
	{ .name = "consistency-delay",
	  .type = OPT_DURATION_MS,
	  .off = AT(consistency_ms),
	  .def = "0s",
	  .help = "Minimum age of all blocks before they are being read." },
	{ .name = "ignore-deletion-marks-delay",
	  .type = OPT_DURATION_MS,
	  .off = AT(ignore_marks_ms),
	  .def = "24h",
	  .help = "Duration after which the blocks marked for deletion will be filtered out." },
	{ .name = "sync-block-duration",
	  .type = OPT_DURATION_MS,
	  .off = AT(sync_ms),
	  .def = "15m",
	  .help = "Repeat interval for syncing the blocks between local and remote view." },
	{ .name = "store.grpc.series-max-concurrency",
	  .type = OPT_INT,
	  .off = AT(max_concurrent),
	  .def = "20",
	  .min = 1,
	  .max = 100000,
	  .help = "Maximum number of concurrent Series calls." },
	{ .name = "store.grpc.downloaded-bytes-limit",
	  .type = OPT_BYTES,
	  .off = AT(limit_bytes),
	  .def = "0",
	  .help = "Maximum amount of downloaded bytes in a Series call." },
	{ .name = "block-sync-concurrency",
	  .type = OPT_INT,
	  .off = AT(sync_concurrency),
	  .def = "20",
	  .min = 1,
	  .max = 1000,
	  .help = "Blocks opened at the same time." },
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
static const struct opt *const tables[] = {
	common_rows, grpc_rows,		objstore_rows,	    limit_rows, web_rows,
	rows,	     not_yet_grpc_rows, not_yet_store_rows, NULL
};
const struct conf_cmd store_cmd = {
	"store", "Store node giving access to blocks in a bucket provider.", tables, NULL
};

struct store_run {
	struct runtime rt;
	struct store_opts o;
	struct bucket *bucket;
	struct bucket_store *store;
	struct store_service *service;
	struct relabel *selector;
	struct blocks_api *api; /* NULL: --web.disable */
	struct task_timer *timer;
};

static void sync_once(void *arg)
{
	struct store_run *s = arg;
	struct ctx ctx;
	struct err e = ERR_INIT;
	runtime_ctx(&s->rt, &ctx, 0);
	if (bucket_store_sync(s->store, &ctx, &e) == 0)
		runtime_ready(&s->rt, true);
	else if (!cancel_is(s->rt.stop))
		log_error(&ctx, "syncing blocks: %s", err_text(&e));
	ctx_deinit(&ctx);
}

static void on_sync(void *arg, struct catalogue *c, const struct err *why)
{
	struct store_run *s = arg;
	blocks_api_set(s->api, BLOCKS_LOADED, c, why);
}

static void open_api(struct store_run *s)
{
	const struct blocks_api_opts o = { .bucket = s->bucket,
					   .label = s->o.web_label,
					   .no_admin = s->o.no_admin,
					   .pool = s->rt.pool,
					   .flags = &s->rt.flags,
					   .version = version_text,
					   .revision = version_commit };
	if (!s->o.web_disable)
		s->api = blocks_api_new(&o);
}

static int open_store(struct store_run *s, struct err *e)
{
	struct str yaml = s->o.objstore.config.content;
	if (!yaml.n)
		return err_set(
			NULL, e, E_INVALID,
			"no object storage: give --objstore.config or --objstore.config-file");
	if (bucket_from_yaml(NULL, yaml, "--objstore.config", loops_next(&s->rt.loops),
			     s->rt.metrics, &s->bucket, e) < 0)
		return -1;
	if (relabel_parse(NULL, s->o.selector.content, RELABEL_SELECTOR, &s->selector,
			  e) < 0)
		return err_wrap(NULL, e, "flag '--selector.relabel-config'");
	open_api(s);
	struct bucket_store_opts o = {
		.bucket = s->bucket,
		.data_dir = str_dupz(&s->rt.arena, s->o.data_dir),
		.pool = s->rt.pool,
		.budget = &s->rt.budget,
		.metrics = s->rt.metrics,
		.min_time = s->o.min_time,
		.max_time = s->o.max_time,
		.consistency_delay_ms = s->o.consistency_ms,
		.selector = relabel_rules(s->selector) ? s->selector : NULL,
		.ignore_deletion_marks_ms = s->o.ignore_marks_ms,
		.discovery_concurrent = str_eqz(s->o.discovery, "concurrent"),
		.block_sync_concurrency = (uint32_t)s->o.sync_concurrency,
		.meta_concurrency = (uint32_t)s->o.meta_concurrency,
		.downloaded_bytes_limit = (uint64_t)s->o.limit_bytes,
		.on_sync = s->api ? on_sync : NULL,
		.on_sync_arg = s,
	};
	return bucket_store_new(NULL, &o, &s->store, e);
}

static int run(struct store_run *s, struct err *e)
{
	size_t n, n_routes = 0;
	if (open_store(s, e) < 0)
		return -1;
	struct store_service_opts so = {
		.store = bucket_store_store(s->store),
		.budget = &s->rt.budget,
		.max_concurrent = (uint32_t)s->o.max_concurrent,
		.limits = { (uint64_t)s->o.common.limit_series,
			    (uint64_t)s->o.common.limit_samples },
		.metrics = s->rt.metrics,
	};
	s->service = store_service_new(&so);
	const struct rpc_method *m = store_service_methods(s->service, &n);
	const struct http_route *routes =
		s->api ? blocks_api_routes(s->api, &n_routes) : NULL;
	if (runtime_serve(&s->rt, routes, n_routes, m, n, e) < 0)
		return -1;
	uint64_t period = (uint64_t)s->o.sync_ms * NS_PER_MS;
	s->timer = task_timer_start(s->rt.pool, 0, period, sync_once, s);
	runtime_wait(&s->rt);
	return 0;
}

int cmd_store(int argc, char **argv)
{
	struct store_run s = { 0 };
	struct err e = ERR_INIT;
	int rc = runtime_start(&s.rt, &store_cmd, argc, argv, &s.o, sizeof(s.o), &e);
	if (rc == 0) {
		rc = run(&s, &e);
		runtime_drain(&s.rt);
		task_timer_stop(s.timer);
		store_service_free(s.service);
		bucket_store_free(s.store);
		relabel_free(s.selector);
		blocks_api_free(s.api);
		bucket_close(s.bucket);
		runtime_end(&s.rt);
	}
	if (rc < 0)
		fprintf(stderr, "thanosc store: error: %s\n", err_text(&e));
	return rc < 0;
}
