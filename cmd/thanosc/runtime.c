/*
 * cmd/thanosc/runtime.c - the frame around every mode.
 */
#include "notify.h"
#include "runtime.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/ref.h"
#include "base/time.h"
#include "fs/fs.h"
#include "ui/ui.h"
#include "wire/codec.h"

#define AT(f) offsetof(struct common_opts, f)
const struct opt common_rows[] = {
	{ .name = "log.level",
	  .type = OPT_ENUM,
	  .off = AT(log_level),
	  .def = "info",
	  .choices = "debug|info|warn|error",
	  .help = "Log filtering level." },
	{ .name = "log.format",
	  .type = OPT_ENUM,
	  .off = AT(log_format),
	  .def = "logfmt",
	  .choices = "logfmt|json",
	  .help = "Log format to use." },
	{ .name = "http-address",
	  .type = OPT_ADDRESS,
	  .off = AT(http_address),
	  .def = "0.0.0.0:10902",
	  .help = "Listen host:port for HTTP endpoints." },
	{ .name = "http-grace-period",
	  .type = OPT_DURATION_MS,
	  .off = AT(http_grace_ms),
	  .def = "2m",
	  .help = "Time to wait after an interrupt received for HTTP Server." },
	{ .name = "http.config",
	  .type = OPT_STRING,
	  .off = AT(http_config),
	  .def = "",
	  .help = "Path to the configuration file that can enable TLS or authentication for all HTTP endpoints." },
	{ .name = "tracing.config",
	  .type = OPT_TEXT,
	  .off = AT(tracing),
	  .bits = OPTF_SECRET,
	  .help = "YAML file with tracing configuration (type OTLP, or JAEGER)." },
	{ .name = "enable-auto-gomemlimit",
	  .type = OPT_NO_EFFECT,
	  .bits = OPTF_SWITCH,
	  .help = "Setting of the Go runtime." },
	{ .name = "auto-gomemlimit.ratio",
	  .type = OPT_NO_EFFECT,
	  .help = "Setting of the Go runtime." },
	{ 0 }
};
const struct opt grpc_rows[] = {
	{ .name = "grpc-address",
	  .type = OPT_ADDRESS,
	  .off = AT(grpc_address),
	  .def = "0.0.0.0:10901",
	  .help = "Listen ip:port address for gRPC endpoints." },
	{ .name = "grpc-grace-period",
	  .type = OPT_DURATION_MS,
	  .off = AT(grpc_grace_ms),
	  .def = "2m",
	  .help = "Time to wait after an interrupt received for GRPC Server." },
	{ .name = "grpc-server-max-connection-age",
	  .type = OPT_DURATION_MS,
	  .off = AT(grpc_max_age_ms),
	  .def = "60m",
	  .help = "The grpc server max connection age." },
	{ .name = "grpc-server-tls-cert",
	  .type = OPT_STRING,
	  .off = AT(grpc_tls.cert),
	  .def = "",
	  .help = "TLS Certificate for gRPC server, leave blank to disable TLS." },
	{ .name = "grpc-server-tls-key",
	  .type = OPT_STRING,
	  .off = AT(grpc_tls.key),
	  .def = "",
	  .help = "TLS Key for the gRPC server, leave blank to disable TLS." },
	{ .name = "grpc-server-tls-client-ca",
	  .type = OPT_STRING,
	  .off = AT(grpc_tls.client_ca),
	  .def = "",
	  .help = "TLS CA to verify clients against. If no client CA is specified, clients are not asked for certificates." },
	{ .name = "grpc-server-tls-min-version",
	  .type = OPT_ENUM,
	  .off = AT(grpc_tls.min_version),
	  .def = "1.3",
	  .choices = "1.0|1.1|1.2|1.3",
	  .help = "TLS supported minimum version for gRPC server." },
	{ .name = "grpc-server-tls-ciphers",
	  .type = OPT_STRINGS,
	  .off = AT(grpc_tls.ciphers),
	  .placeholder = "<name>",
	  .help = "TLS cipher suites of the gRPC server, by IANA or OpenSSL name (repeatable)." },
	{ .name = "grpc-server-tls-curves",
	  .type = OPT_STRINGS,
	  .off = AT(grpc_tls.curves),
	  .placeholder = "<name>",
	  .help = "TLS curves of the gRPC server (repeatable)." },
	{ .name = "request.logging-config",
	  .type = OPT_TEXT,
	  .off = AT(request_log),
	  .help = "YAML file with request logging configuration." },
	{ 0 }
};
const struct opt limit_rows[] = {
	{ .name = "store.limits.request-series",
	  .type = OPT_INT,
	  .off = AT(limit_series),
	  .def = "0",
	  .min = 0,
	  .max = INT64_MAX,
	  .help = "Maximum series a Series call may have; 0: no limit." },
	{ .name = "store.limits.request-samples",
	  .type = OPT_INT,
	  .off = AT(limit_samples),
	  .def = "0",
	  .min = 0,
	  .max = INT64_MAX,
	  .help = "Maximum samples a Series call may have (120 a chunk); 0: no limit." },
	{ 0 }
};
const struct opt web_rows[] = {
	{ .name = "web.disable-cors",
	  .type = OPT_BOOL,
	  .off = AT(disable_cors),
	  .def = "false",
	  .help = "Disable CORS headers to be set." },
	{ .name = "web.external-prefix",
	  .type = OPT_STRING,
	  .off = AT(external_prefix),
	  .def = "",
	  .help = "Prefix of links on the page, as seen through a reverse proxy." },
	{ .name = "web.prefix-header",
	  .type = OPT_STRING,
	  .off = AT(prefix_header),
	  .def = "",
	  .help = "Request header that tells the prefix of links, such as X-Forwarded-Prefix, where --web.external-prefix does not. Use it only behind a proxy that sets the header." },
	{ 0 }
};
const struct opt objstore_rows[] = {
	{ .name = "objstore.config",
	  .type = OPT_TEXT,
	  .off = sizeof(struct common_opts),
	  .bits = OPTF_SECRET,
	  .help = "YAML file that contains object store configuration." },
	{ 0 }
};

enum { M_STATUS, M_BUILD, M_ROWS };
static const struct metric_desc rows[M_ROWS] = {
	[M_STATUS] = { METRIC_GAUGE,
		       "thanos_status",
		       "Represents status (0 indicates not healthy/ready, 1 indicates success).",
		       { "check", "component" },
		       NULL,
		       0,
		       0,
		       NULL },
	[M_BUILD] = { METRIC_GAUGE,
		      "thanos_build_info",
		      "A metric with a constant '1' value labeled by version and revision.",
		      { "version", "revision" },
		      NULL,
		      0,
		      0,
		      NULL },
};
static struct metric *status_ready;

static void on_signal(void *arg, int signo)
{
	struct runtime *r = arg;
	sigset_t all;
	log_info(NULL, "caught signal %d, exiting", signo);
	/* One is enough: a flood of them would keep this loop from ending what is under way. */
	sigemptyset(&all);
	sigaddset(&all, SIGINT);
	sigaddset(&all, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	cancel_now(r->stop, "shutting down");
}

static void setup_log(const struct common_opts *o)
{
	enum log_level level = str_eq(o->log_level, STR("debug"))   ? LOG_DEBUG
			       : str_eq(o->log_level, STR("warn"))  ? LOG_WARN
			       : str_eq(o->log_level, STR("error")) ? LOG_ERROR
								    : LOG_INFO;
	log_setup(level, str_eq(o->log_format, STR("json")) ? LOG_JSON : LOG_LOGFMT,
		  STDERR_FILENO);
}

/* 0.9 of the control group's or the machine's memory, less a reserve for what is not charged. */
static size_t process_limit(void)
{
	size_t ram = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	ram = MIN(ram, fs_cgroup_memory(""));
	size_t reserve = (size_t)64 << 20;
	return ram / 10 * 9 > 2 * reserve ? ram / 10 * 9 - reserve : ram / 2;
}

static void print(const struct buf *b)
{
	fwrite(b->p, 1, b->n, stdout);
}

static void print_help(const struct conf_cmd *cmd, const struct conf_result *f,
		       struct buf *b)
{
	if (f->help_man)
		conf_man(cmd, b);
	else
		conf_help(cmd, f->help_all, b);
}

/* ---- watchdog: beats come from the shared loop, so that one that hangs is noticed ---- */

static void on_beat(void *arg)
{
	(void)arg;
	notify_systemd("WATCHDOG=1");
}

static void begin_beats(void *arg)
{
	struct runtime *r = arg;
	uint64_t ns = notify_watchdog_ns();
	r->beat = loop_timer_new(r->loops.l[0], on_beat, NULL);
	loop_timer_start(r->beat, 0, ns);
}

static void end_beats(void *arg)
{
	struct runtime *r = arg;
	loop_timer_free(r->beat);
}

/* ---- freed memory ---- */

#define ALL_ARENAS "4096" /* MALLCTL_ARENAS_ALL */
#define TRIM_NS	   (200 * NS_PER_MS)

/* jemalloc's, where it is linked (not under sanitizers) */
__attribute__((weak)) int mallctl(const char *name, void *old, size_t *old_n, void *new,
				  size_t new_n);

/* Freed pages that are older than dirty_decay_ms (main.c) go back to the system. */
static void on_trim(void *arg)
{
	(void)arg;
	slab_trim();
	if (mallctl)
		mallctl("arena." ALL_ARENAS ".decay", NULL, NULL, NULL, 0);
}

static void begin_trims(void *arg)
{
	struct runtime *r = arg;
	r->trim = loop_timer_new(r->loops.l[0], on_trim, NULL);
	loop_timer_start(r->trim, TRIM_NS, TRIM_NS);
}

static void end_trims(void *arg)
{
	struct runtime *r = arg;
	loop_timer_free(r->trim);
}

/* Connections and blocks need as many as the system grants; the soft limit is for programs that use select(2). */
static void take_descriptors(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}

int runtime_start(struct runtime *r, const struct conf_cmd *cmd, int argc, char **argv,
		  void *opts, size_t size, struct err *e)
{
	memset(r, 0, sizeof(*r));
	r->mode = cmd->name;
	r->opts = opts;
	arena_init(&r->arena, NULL);
	if (conf_parse(NULL, &r->arena, cmd, argc, argv, opts, size, &r->flags, e) < 0) {
		arena_deinit(&r->arena);
		return -1;
	}
	if (r->flags.help || r->flags.version) {
		struct buf b;
		buf_init(&b, 1 << 22);
		if (r->flags.help)
			print_help(cmd, &r->flags, &b);
		else
			buf_fmt(&b, "thanosc, version %s (commit %s)\n", version_text,
				version_commit);
		print(&b);
		buf_deinit(&b);
		arena_deinit(&r->arena);
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	take_descriptors();
	setup_log(r->opts);
	for (size_t i = 0; i < r->flags.n_warnings; i++)
		log_warn(NULL, "%.*s", STR_FMT(r->flags.warnings[i]));
	budget_init(&r->budget, NULL, "process", NULL, process_limit());
	r->metrics = metric_registry_new();
	metric_process_register(r->metrics);
	struct metric_set *m = metric_set_new(r->metrics, rows, M_ROWS);
	status_ready = metric_at(m, M_STATUS, STR("ready"), str_of(r->mode));
	metric_set_value(metric_at(m, M_STATUS, STR("healthy"), str_of(r->mode)), 1);
	metric_set_value(metric_at(m, M_BUILD, str_of(version_text),
				   str_of(version_commit)),
			 1);
	struct task_pool_opts po = { 0 };
	r->pool = task_pool_new(&po);
	r->stop = cancel_new();
	uint32_t n = MAX(task_cpus(r->pool) / 4, 1u);
	if (loops_start(n, &r->loops, e) < 0 ||
	    loop_on_signal(r->loops.l[0], SIGINT, on_signal, r, e) < 0 ||
	    loop_on_signal(r->loops.l[0], SIGTERM, on_signal, r, e) < 0)
		return -1;
	if (notify_watchdog_ns())
		loop_post(r->loops.l[0], begin_beats, r);
	loop_post(r->loops.l[0], begin_trims, r);
	log_info(NULL, "starting thanosc %s, version %s, commit %s", r->mode,
		 version_text, version_commit);
	return 0;
}

/* ---- probes ---- */

static int on_healthy(void *arg, struct ctx *ctx, const struct http_req *q,
		      struct http_resp *w, struct err *e)
{
	(void)arg, (void)q;
	return http_reply(w, ctx, 200, "text/plain; charset=utf-8", STR("OK"), e);
}

static int on_ready(void *arg, struct ctx *ctx, const struct http_req *q,
		    struct http_resp *w, struct err *e)
{
	struct runtime *r = arg;
	bool ok = atomic_load(&r->ready);
	(void)q;
	return http_reply(w, ctx, ok ? 200 : 503, "text/plain; charset=utf-8",
			  ok ? STR("OK") : STR("NOT OK"), e);
}

static int on_metrics(void *arg, struct ctx *ctx, const struct http_req *q,
		      struct http_resp *w, struct err *e)
{
	struct runtime *r = arg;
	struct buf b;
	bool om = str_find(http_header(q, "accept"),
			   STR("application/openmetrics-text")) >= 0;
	buf_init(&b, 16 << 20);
	metric_write_text(r->metrics, om, &b);
	int rc = http_reply(
		w, ctx, 200,
		om ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		   : "text/plain; version=0.0.4; charset=utf-8",
		buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

/*
 * The prefix of links: --web.external-prefix, else what the header says, else where the page is served. Only its path
 * counts, cleaned, so that a forged header leads nowhere else.
 */
static struct str link_prefix(const struct runtime *r, const struct http_req *q)
{
	struct str in = r->opts->external_prefix, rest, seg, plain;
	struct buf out;
	bool more = true;
	if (in.n == 0 && r->prefix_header[0])
		in = http_header(q, r->prefix_header);
	if (in.n == 0)
		in = r->opts->route_prefix;
	ptrdiff_t at = str_find(in, STR("://"));
	rest = at < 0 ? in : str_from(in, (size_t)at + 3);
	if (at >= 0) /* the host goes, too */
		rest = str_find_char(rest, '/') < 0
			       ? STR("")
			       : str_from(rest, (size_t)str_find_char(rest, '/'));
	buf_init(&out, 1 << 16);
	while (more) {
		more = str_cut(&rest, '/', &seg);
		if (seg.n == 0 || str_eqz(seg, ".") || str_eqz(seg, "..") ||
		    !url_unescape(q->arena, seg, false, &plain))
			continue;
		buf_byte(&out, '/');
		url_escape_segment(plain, &out);
	}
	struct str s = str_dup(q->arena, buf_view(&out));
	buf_deinit(&out);
	return s;
}

static int on_root(void *arg, struct ctx *ctx, const struct http_req *q,
		   struct http_resp *w, struct err *e)
{
	struct runtime *r = arg;
	struct buf b;
	struct str prefix = link_prefix(r, q);
	buf_init(&b, 1 << 20);
	buf_fmt(&b,
		"<!doctype html><title>thanosc %s</title><h1>thanosc %s</h1><p>version %s, commit %s\n",
		r->mode, r->mode, version_text, version_commit);
	if (strcmp(r->mode, "query") == 0)
		ui_query_box(prefix, &b);
	buf_str(&b, STR("<ul>"));
	static const char *const links[] = { "/-/healthy", "/-/ready", "/metrics" };
	static const struct {
		const char *modes, *path;
	} more[] = {
		{ "query", "/api/v1/stores" },
		{ "query", "/api/v1/query?query=up" },
		{ "query", "/api/v1/labels" },
		{ "query", "/api/v1/rules" },
		{ "query", "/api/v1/alerts" },
		{ "query", "/api/v1/targets" },
		{ "query", "/api/v1/metadata" },
		{ "query", "/api/v1/status/tsdb" },
		{ "compact", "/api/v1/blocks?view=global" },
		{ "compact store", "/api/v1/blocks?view=loaded" },
		{ "query compact store", "/api/v1/status/flags" },
		{ "query compact store", "/api/v1/status/buildinfo" },
	};
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		buf_fmt(&b, "<li><a href=\"%s\">%s</a>", links[i], links[i]);
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		if (strstr(more[i].modes, r->mode))
			buf_fmt(&b, "<li><a href=\"%.*s%s\">%s</a>", STR_FMT(prefix),
				more[i].path, more[i].path);
	buf_str(&b, STR("</ul>"));
	int rc = http_reply(w, ctx, 200, "text/html; charset=utf-8", buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

/* --web.route-prefix, and without it --web.external-prefix, where it is a path. */
static void set_prefixes(struct runtime *r)
{
	struct common_opts *o = r->opts;
	char *header = str_dupz(&r->arena, o->prefix_header);
	for (char *p = header; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	r->prefix_header = header;
	if (strcmp(r->mode, "query") != 0)
		return; /* --web.route-prefix alone moves routes, where the mode has it */
	if (o->route_prefix.n == 0)
		o->route_prefix = o->external_prefix;
	else if (o->external_prefix.n && !str_eq(o->route_prefix, o->external_prefix))
		log_warn(
			NULL,
			"--web.route-prefix and --web.external-prefix differ: links of the page need a reverse proxy");
}

static int serve_http(struct runtime *r, const struct http_route *routes, size_t n,
		      struct err *e)
{
	const struct http_route own[] = {
		{ "GET", "/-/healthy", HTTP_ON_LOOP, on_healthy, r, NULL },
		{ "GET", "/-/ready", HTTP_ON_LOOP, on_ready, r, NULL },
		{ "GET", "/metrics", HTTP_ON_LOOP, on_metrics, r, NULL },
		{ "GET", "/", HTTP_ON_LOOP, on_root, r, NULL },
	};
	set_prefixes(r);
	struct http_route *all =
		ARENA_ARRAY(&r->arena, struct http_route, n + ARRAY_LEN(own));
	memcpy(all, own, sizeof(own));
	if (n)
		memcpy(all + ARRAY_LEN(own), routes, n * sizeof(*routes));
	const struct tracer_opts to = { .yaml = r->opts->tracing.content,
					.what = "--tracing.config",
					.component = r->mode,
					.version = version_text,
					.loops = &r->loops,
					.pool = r->pool,
					.metrics = r->metrics };
	if (tracer_open(&to, &r->tracer, e) < 0)
		return -1;
	if (web_config_open(&r->web, r->opts->http_config, e) < 0)
		return err_wrap(NULL, e, "flag '--http.config'");
	tls_keep(&r->tls, net_tls_ref(r->web.tls));
	struct http_server_opts o = { .addr = r->opts->http_address,
				      .trace = tracer_sink(r->tracer),
				      .log = r->request_logs.http,
				      .want_subject = r->want_subject,
				      .tenant_header = r->tenant_header,
				      .default_tenant = r->default_tenant,
				      .tls = r->web.tls,
				      .auth = r->web.auth,
				      .headers = r->web.headers,
				      .n_headers = r->web.n_headers,
				      .no_http2 = r->web.no_http2,
				      .prefix =
					      str_dupz(&r->arena, r->opts->route_prefix),
				      .n_root = 3,
				      .budget = &r->budget,
				      .cors = !r->opts->disable_cors };
	return http_server_start(&r->loops, r->pool, r->metrics, &o, all,
				 n + ARRAY_LEN(own), &r->http, e);
}

int runtime_serve(struct runtime *r, const struct http_route *routes, size_t n_routes,
		  const struct rpc_method *methods, size_t n_methods, struct err *e)
{
	const struct conf_text *log = &r->opts->request_log;
	if (request_logs_parse(&r->arena, log->content,
			       log->path.n ? log->path : STR("--request.logging-config"),
			       r->mode, &r->request_logs, e) < 0 ||
	    serve_http(r, routes, n_routes, e) < 0)
		return -1;
	log_info(NULL, "listening for HTTP on %.*s (port %u)%s",
		 STR_FMT(r->opts->http_address), http_server_port(r->http),
		 r->web.tls ? ", TLS" : "");
	r->tls.web = &r->web;
	if (n_methods == 0) {
		tls_keeper_start(&r->tls, r->pool);
		return 0;
	}
	if (tls_server_open(&r->arena, &r->opts->grpc_tls, &r->grpc_tls, e) < 0)
		return -1;
	tls_keep(&r->tls, r->grpc_tls);
	struct rpc_server_opts o = {
		.addr = r->opts->grpc_address,
		.budget = &r->budget,
		.tls = r->grpc_tls,
		.trace = tracer_sink(r->tracer),
		.log = r->request_logs.grpc,
		.max_connection_age_ns = (uint64_t)r->opts->grpc_max_age_ms * NS_PER_MS
	};
	if (rpc_server_start(&r->loops, r->pool, r->metrics, &o, methods, n_methods,
			     &r->rpc, e) < 0)
		return -1;
	log_info(NULL, "listening for gRPC on %.*s (port %u)%s",
		 STR_FMT(r->opts->grpc_address), rpc_server_port(r->rpc),
		 r->grpc_tls ? ", TLS" : "");
	tls_keeper_start(&r->tls, r->pool);
	return 0;
}

void runtime_ready(struct runtime *r, bool ready)
{
	if (atomic_exchange(&r->ready, ready) == ready)
		return;
	if (ready)
		notify_systemd("READY=1\nSTATUS=ready");
	else
		notify_systemd("STATUS=not ready");
	metric_set_value(status_ready, ready);
	if (r->rpc)
		rpc_server_ready(r->rpc, ready);
	log_info(NULL, "%s", ready ? "ready" : "not ready");
}

struct waiter {
	pthread_mutex_t mu;
	pthread_cond_t cv;
};

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void wait_until(struct runtime *r, uint64_t deadline_ns)
{
	struct waiter w;
	struct err e = ERR_INIT;
	struct ctx ctx = { .cancel = r->stop, .deadline_ns = deadline_ns };
	pthread_mutex_init(&w.mu, NULL);
	ctx_cond_init(&w.cv);
	pthread_mutex_lock(&w.mu);
	(void)!ctx_cond_wait(&ctx, &w.cv, &w.mu, never, NULL, &e);
	pthread_mutex_unlock(&w.mu);
	pthread_cond_destroy(&w.cv);
	pthread_mutex_destroy(&w.mu);
}

void runtime_wait(struct runtime *r)
{
	wait_until(r, 0);
}

bool runtime_pause(struct runtime *r, uint64_t ns)
{
	wait_until(r, time_after_ns(ns));
	return cancel_is(r->stop);
}

bool runtime_is_set(const struct runtime *r, const char *flag)
{
	for (size_t i = 0; i < r->flags.n_flags; i++)
		if (str_eqz(r->flags.flags[i].name, flag))
			return r->flags.flags[i].set;
	return false;
}

void runtime_ctx(struct runtime *r, struct ctx *ctx, uint64_t deadline_ns)
{
	ctx_init(ctx, &r->budget, deadline_ns);
	cancel_unref(ctx->cancel);
	ctx->cancel = cancel_ref(r->stop);
}

void runtime_drain(struct runtime *r)
{
	notify_systemd("STOPPING=1\nSTATUS=draining");
	runtime_ready(r, false);
	if (r->rpc)
		rpc_server_stop(r->rpc, (uint64_t)r->opts->grpc_grace_ms * NS_PER_MS);
	if (r->http)
		http_server_stop(r->http, (uint64_t)r->opts->http_grace_ms * NS_PER_MS);
	r->rpc = NULL;
	r->http = NULL;
}

void runtime_end(struct runtime *r)
{
	tracer_close(r->tracer);
	tls_keeper_stop(&r->tls);
	web_config_close(&r->web);
	if (notify_watchdog_ns())
		loop_post(r->loops.l[0], end_beats, r);
	loop_post(r->loops.l[0], end_trims, r);
	loops_stop(&r->loops);
	task_pool_free(r->pool);
	metric_registry_free(r->metrics);
	cancel_unref(r->stop);
	arena_deinit(&r->arena);
	log_info(NULL, "exiting");
}
