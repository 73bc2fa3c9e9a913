/*
 * cmd/thanosc/cmd_sidecar.c - thanosc sidecar: StoreAPI over one Prometheus, its finished blocks to a bucket.
 *
 * The main thread is the heartbeat: it reaches Prometheus first (nothing is served before), then asks again each
 * --prometheus.get_config_interval; readiness follows it. What only a change of configuration can mend (no external
 * labels, local compaction) ends the process with a message that names the flag.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "blocks/blocks.h"
#include "fs/fs.h"
#include "http/client_conf.h"
#include "objstore/bucket.h"
#include "runtime.h"
#include "sidecar_checks.h"
#include "sidecar_reload.h"
#include "store/store.h"

#define START_PAUSE_NS (2 * NS_PER_S) /* between tries to reach Prometheus at the start */

struct sidecar_opts {
	struct common_opts common;
	struct objstore_opts objstore;
	struct reload_flags reload;
	struct str url, tsdb_path, meta_file, hash_func;
	struct conf_text http_client;
	struct conf_time min_time;
	int64_t ready_timeout_ms, config_interval_ms, config_timeout_ms, ship_interval_ms;
	int64_t upload_concurrency;
	bool read_blocks, upload_compacted, ignore_block_size, out_of_order,
		skip_corrupted;
};
#define AT(f) offsetof(struct sidecar_opts, f)
static const struct opt rows[] = {
	{ .name = "prometheus.url",
	  .type = OPT_STRING,
	  .off = AT(url),
	  .def = "http://localhost:9090",
	  .help = "URL at which to reach Prometheus's API. For better performance use local network." },
	{ .name = "prometheus.ready_timeout",
	  .type = OPT_DURATION_MS,
	  .off = AT(ready_timeout_ms),
	  .def = "10m",
	  .help = "Maximum time to wait for the Prometheus instance to start up." },
	{ .name = "prometheus.get_config_interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(config_interval_ms),
	  .def = "30s",
	  .min = 1,
	  .max = INT64_MAX,
	  .help = "How often to get Prometheus config." },
	{ .name = "prometheus.get_config_timeout",
	  .type = OPT_DURATION_MS,
	  .off = AT(config_timeout_ms),
	  .def = "30s",
	  .min = 1,
	  .max = INT64_MAX,
	  .help = "Timeout for getting Prometheus config." },
	{ .name = "tsdb.path",
	  .type = OPT_STRING,
	  .off = AT(tsdb_path),
	  .def = "./data",
	  .help = "Data directory of TSDB." },
	{ .name = "prometheus.read-blocks-directly",
	  .type = OPT_BOOL,
	  .off = AT(read_blocks),
	  .def = "true",
	  .help = "Read persisted blocks from --tsdb.path, and only the rest by remote read. Where the path cannot be read, or "
		  "is not that of this Prometheus, all is read by remote read." },
	{ .name = "min-time",
	  .type = OPT_TIME_MOVING,
	  .off = AT(min_time),
	  .def = "0000-01-01T00:00:00Z",
	  .help = "Start of time range limit to serve." },
	{ .name = "shipper.upload-compacted",
	  .type = OPT_BOOL,
	  .off = AT(upload_compacted),
	  .def = "false",
	  .help = "Upload compacted blocks as well, once, when history is taken over." },
	{ .name = "shipper.meta-file-name",
	  .type = OPT_STRING,
	  .off = AT(meta_file),
	  .def = "thanos.shipper.json",
	  .help = "File in which the uploaded blocks are noted, in the data directory." },
	{ .name = "shipper.ignore-unequal-block-size",
	  .type = OPT_BOOL,
	  .off = AT(ignore_block_size),
	  .def = "false",
	  .bits = OPTF_HIDDEN,
	  .help = "Do not refuse a Prometheus whose min and max block durations differ." },
	{ .name = "shipper.allow-out-of-order-uploads",
	  .type = OPT_BOOL,
	  .off = AT(out_of_order),
	  .def = "false",
	  .bits = OPTF_HIDDEN,
	  .help = "Go on with later blocks when one cannot be uploaded." },
	{ .name = "shipper.skip-corrupted-blocks",
	  .type = OPT_BOOL,
	  .off = AT(skip_corrupted),
	  .def = "false",
	  .bits = OPTF_HIDDEN,
	  .help = "Pass over damaged blocks." },
	{ .name = "shipper.sync-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(ship_interval_ms),
	  .def = "30s",
	  .min = 1,
	  .max = INT64_MAX,
	  .bits = OPTF_HIDDEN,
	  .help = "How often the data directory is looked through for finished blocks." },
	{ .name = "shipper.upload-concurrency",
	  .type = OPT_INT,
	  .off = AT(upload_concurrency),
	  .def = "0",
	  .min = 0,
	  .max = 256,
	  .help = "Number of objects of a block uploaded at the same time. 0: one after the other." },
	{ .name = "hash-func",
	  .type = OPT_ENUM,
	  .off = AT(hash_func),
	  .def = "",
	  .choices = "|SHA256",
	  .help = "Hash of the files of a block, kept in its meta.json. What a bucket of type FILESYSTEM was given is read back and compared; of S3, ETags are, always." },
	{ .name = "prometheus.http-client",
	  .type = OPT_TEXT,
	  .off = AT(http_client),
	  .bits = OPTF_SECRET,
	  .help = "YAML file with the HTTP client configuration for Prometheus." },
	{ 0 }
};
static const struct opt *const tables[] = { common_rows,       grpc_rows, objstore_rows,
					    limit_rows,	       rows,	  reload_rows,
					    not_yet_grpc_rows, NULL };
const struct conf_cmd sidecar_cmd = { "sidecar", "Sidecar for Prometheus server.", tables,
				      NULL };

struct sidecar {
	struct runtime rt;
	struct sidecar_opts o;
	struct http_client *http;
	struct prom_store *prom;
	struct store_service *service;
	struct bucket *bucket; /* NULL: nothing is uploaded */
	struct shipper *shipper;
	struct task_pool *uploaders; /* NULL: objects one after the other */
	struct task_timer *timer;
	struct sidecar_reload reload;
	struct sidecar_clock clock;
};

/* ---- what only a change of configuration can mend ---- */

/* "a//b/./c/" -> "a/b/c", in the arena: both paths are spelled by people. */
static struct str clean_path(struct arena *a, struct str path)
{
	char *out = str_dupz(a, path);
	size_t n = 0;
	struct str rest = path, part;
	bool more = true;
	if (path.n && path.p[0] == '/')
		out[n++] = '/';
	while (more) {
		more = str_cut(&rest, '/', &part);
		if (part.n == 0 || str_eqz(part, "."))
			continue;
		if (n && out[n - 1] != '/')
			out[n++] = '/';
		memmove(out + n, part.p, part.n);
		n += part.n;
	}
	return str_n(out, n);
}

static int check_flags(struct sidecar *s, struct ctx *ctx, struct err *e)
{
	struct prom_flags f;
	struct arena *a = &s->rt.arena;
	if (prom_store_flags(s->prom, ctx, a, &f, e) < 0)
		return -1;
	if (!f.known) {
		log_warn(ctx, "Prometheus does not tell its flags: they are not checked");
		return 0;
	}
	if (f.delay_compact_file.n) {
		struct str ours = str_fmt(a, "%.*s/%.*s", STR_FMT(s->o.tsdb_path),
					  STR_FMT(s->o.meta_file));
		if (!str_eq(clean_path(a, f.delay_compact_file), clean_path(a, ours)))
			return err_set(
				ctx, e, E_INVALID,
				"Prometheus waits for uploads that are noted in %.*s, but they are noted in %.*s: "
				"set its --storage.tsdb.delay-compact-file.path to the latter",
				STR_FMT(f.delay_compact_file), STR_FMT(ours));
	} else if (f.min_block_ms != f.max_block_ms && !s->o.ignore_block_size) {
		return err_set(
			ctx, e, E_INVALID,
			"found that TSDB Max time is %.*s and Min time is %.*s. Compaction needs to be disabled "
			"(storage.tsdb.min-block-duration = storage.tsdb.max-block-duration): start Prometheus with "
			"--storage.tsdb.max-block-duration=%.*s, or with --storage.tsdb.delay-compact-file.path",
			STR_FMT(f.max_block), STR_FMT(f.min_block), STR_FMT(f.min_block));
	}
	if (f.min_block_ms != 2 * 3600 * 1000)
		log_warn(
			ctx,
			"found that TSDB block time is not 2h but %.*s. Only 2h block time is recommended.",
			STR_FMT(f.min_block));
	return 0;
}

/* ---- heartbeat ---- */

static int beat(struct sidecar *s, bool first, struct err *e)
{
	struct ctx ctx;
	struct err why = ERR_INIT;
	runtime_ctx(&s->rt, &ctx,
		    time_after_ns((uint64_t)s->o.config_timeout_ms * NS_PER_MS));
	int rc = prom_store_heartbeat(s->prom, &ctx, &why);
	if (rc == 0 && first && s->bucket)
		rc = check_flags(s, &ctx, &why);
	if (rc == 0)
		sidecar_clock_check(&s->clock, &ctx);
	if (rc < 0)
		err_copy(NULL, e, &why); /* beyond the life of ctx */
	ctx_deinit(&ctx);
	return rc;
}

/* Until Prometheus has answered: 0; -1 e, or with E_CANCELLED by a signal. */
static int reach(struct sidecar *s, struct err *e)
{
	uint64_t end = time_after_ns((uint64_t)s->o.ready_timeout_ms * NS_PER_MS);
	uint64_t pause =
		MIN(START_PAUSE_NS, (uint64_t)s->o.config_interval_ms * NS_PER_MS);
	for (;;) {
		struct err why = ERR_INIT;
		if (beat(s, true, &why) == 0)
			return 0;
		if (why.code == E_INVALID)
			return err_copy(NULL, e, &why);
		if (!cancel_is(s->rt.stop))
			log_warn(NULL, "Prometheus is not reached yet: %s",
				 err_text(&why));
		if (s->bucket && time_mono_ns() >= end)
			return err_set(
				NULL, e, E_TIMEOUT,
				"Prometheus was not reached within --prometheus.ready_timeout: %s",
				err_text(&why));
		if (runtime_pause(&s->rt, pause))
			return err_set(NULL, e, E_CANCELLED, "shutting down");
	}
}

static void watch(struct sidecar *s)
{
	uint64_t interval = (uint64_t)s->o.config_interval_ms * NS_PER_MS;
	while (!runtime_pause(&s->rt, interval)) {
		struct err why = ERR_INIT;
		int rc = beat(s, false, &why);
		if (cancel_is(s->rt.stop))
			return;
		if (rc < 0)
			log_warn(NULL, "heartbeat: %s", err_text(&why));
		runtime_ready(&s->rt, rc == 0);
	}
}

/* ---- shipper ---- */

static bool external_labels(void *arg, struct arena *a, struct labels *out)
{
	return prom_store_labels(arg, a, out);
}

static void ship(void *arg)
{
	struct sidecar *s = arg;
	struct ctx ctx;
	struct err e = ERR_INIT;
	uint32_t uploaded = 0;
	runtime_ctx(&s->rt, &ctx, 0);
	if (shipper_sync(s->shipper, &ctx, &uploaded, &e) < 0 && !cancel_is(s->rt.stop))
		log_warn(&ctx, "shipper: uploaded %u: %s", uploaded, err_text(&e));
	ctx_deinit(&ctx);
}

static int open_shipper(struct sidecar *s, struct err *e)
{
	struct fs_stat st;
	struct str yaml = s->o.objstore.config.content;
	const char *dir = str_dupz(&s->rt.arena, s->o.tsdb_path);
	if (!yaml.n) {
		log_info(NULL,
			 "no supported bucket was configured, uploads will be disabled");
		return 0;
	}
	if (s->o.meta_file.n == 0 || str_find_char(s->o.meta_file, '/') >= 0)
		return err_set(
			NULL, e, E_INVALID,
			"flag '--shipper.meta-file-name': want a file name, not '%.*s'",
			STR_FMT(s->o.meta_file));
	if (fs_stat(NULL, dir, &st, e) < 0)
		return -1;
	if (st.kind != FS_DIR)
		return err_set(NULL, e, E_INVALID,
			       "flag '--tsdb.path': %s is not a directory", dir);
	sidecar_check_folder(dir);
	if (bucket_from_yaml(NULL, yaml, "--objstore.config", loops_next(&s->rt.loops),
			     s->rt.metrics, &s->bucket, e) < 0)
		return -1;
	if (s->o.upload_concurrency > 1)
		s->uploaders = task_pool_new(&(struct task_pool_opts){
			.max_bulk = (uint32_t)s->o.upload_concurrency - 1 });
	struct shipper_opts o = {
		.dir = dir,
		.meta_file = str_dupz(&s->rt.arena, s->o.meta_file),
		.bucket = s->bucket,
		.labels = external_labels,
		.arg = s->prom,
		.source = "sidecar",
		.upload_compacted = s->o.upload_compacted,
		.allow_out_of_order = s->o.out_of_order,
		.skip_corrupted = s->o.skip_corrupted,
		.hash_sha256 = str_eqz(s->o.hash_func, "SHA256"),
		.upload = { (uint32_t)s->o.upload_concurrency, s->uploaders },
		.metrics = s->rt.metrics,
	};
	s->shipper = shipper_new(&o);
	return 0;
}

/* ---- life ---- */

/* The folder whose blocks are to be read directly, or NULL. -1: it is asked for by name and cannot be read. */
static int blocks_folder(struct sidecar *s, const char **dir, bool *asked, struct err *e)
{
	struct err why = ERR_INIT;
	struct fs_names names;
	*dir = NULL;
	*asked = runtime_is_set(&s->rt, "prometheus.read-blocks-directly");
	if (!s->o.read_blocks)
		return 0;
	const char *path = str_dupz(&s->rt.arena, s->o.tsdb_path);
	if (fs_list(NULL, &s->rt.arena, path, &names, &why) == 0) {
		*dir = path;
		return 0;
	}
	if (*asked)
		return err_set(
			NULL, e, E_INVALID,
			"flag '--prometheus.read-blocks-directly': --tsdb.path cannot be read: %s",
			err_text(&why));
	log_info(NULL, "persisted blocks are asked from Prometheus: --tsdb.path: %s",
		 err_text(&why));
	return 0;
}

static int open_prom(struct sidecar *s, struct err *e)
{
	const char *dir;
	bool asked;
	struct http_client_conf conf;
	struct http_client_opts ho = { .loop = loops_next(&s->rt.loops),
				       .user_agent = "thanosc-sidecar" };
	if (http_client_conf_yaml(NULL, &s->rt.arena, s->o.http_client.content,
				  "--prometheus.http-client", &conf, e) < 0)
		return -1;
	http_client_conf_apply(&conf, &ho);
	if (blocks_folder(s, &dir, &asked, e) < 0 ||
	    http_client_new(&ho, &s->http, e) < 0)
		return -1;
	struct prom_store_opts o = { .http = s->http,
				     .pool = s->rt.pool,
				     .url = s->o.url,
				     .metrics = s->rt.metrics,
				     .min_time = s->o.min_time,
				     .tsdb_dir = dir,
				     .tsdb_asked = asked };
	if (prom_store_new(&o, &s->prom, e) < 0)
		return err_wrap(NULL, e, "flag '--prometheus.url'");
	sidecar_clock_open(&s->clock, s->http, s->o.url, s->rt.metrics);
	return 0;
}

static int run(struct sidecar *s, struct err *e)
{
	size_t n;
	struct err why = ERR_INIT;
	if (open_prom(s, e) < 0 || open_shipper(s, e) < 0 ||
	    sidecar_reload_open(&s->reload, &s->rt, &s->o.reload, s->http, s->o.url, e) <
		    0)
		return -1;
	struct store_service_opts so = {
		.store = prom_store_store(s->prom),
		.federated = prom_store_federated(s->prom),
		.budget = &s->rt.budget,
		.limits = { (uint64_t)s->o.common.limit_series,
			    (uint64_t)s->o.common.limit_samples },
		.metrics = s->rt.metrics,
	};
	s->service = store_service_new(&so);
	const struct rpc_method *m = store_service_methods(s->service, &n);
	if (runtime_serve(&s->rt, NULL, 0, m, n, e) < 0)
		return -1;
	/* Before Prometheus answers: it may be waiting for the file that is written here. */
	sidecar_reload_start(&s->reload);
	if (reach(s, &why) < 0)
		return why.code == E_CANCELLED ? 0 : err_copy(NULL, e, &why);
	runtime_ready(&s->rt, true);
	if (s->shipper)
		s->timer = task_timer_start(s->rt.pool, 0,
					    (uint64_t)s->o.ship_interval_ms * NS_PER_MS,
					    ship, s);
	watch(s);
	return 0;
}

int cmd_sidecar(int argc, char **argv)
{
	struct sidecar s = { 0 };
	struct err e = ERR_INIT;
	int rc = runtime_start(&s.rt, &sidecar_cmd, argc, argv, &s.o, sizeof(s.o), &e);
	if (rc == 0) {
		rc = run(&s, &e);
		runtime_drain(&s.rt);
		task_timer_stop(s.timer);
		sidecar_reload_close(&s.reload);
		store_service_free(s.service);
		shipper_free(s.shipper);
		if (s.uploaders)
			task_pool_free(s.uploaders);
		bucket_close(s.bucket);
		prom_store_free(s.prom);
		http_client_free(s.http);
		runtime_end(&s.rt);
	}
	if (rc < 0)
		fprintf(stderr, "thanosc sidecar: error: %s\n", err_text(&e));
	return rc < 0;
}
