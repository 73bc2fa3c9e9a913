/*
 * cmd/thanosc/cmd_doctor.c - thanosc doctor CONFIG...: tries what a configuration says, and says what to do.
 *
 * A file is known by what it holds: a bucket or tracing configuration by its `type`, one of the web, of request
 * logging or of retention by its sections, a selector of blocks by being a list, an environment file of the units by THANOSC_FLAGS (its mode by its name, "thanosc-query").
 * The flags of the latter are parsed as the mode would, and the files, servers and certificates that they name are tried
 * in turn.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "base/ulid.h"
#include "compactor/compactor.h"
#include "conf/yaml.h"
#include "fs/fs.h"
#include "http/client_conf.h"
#include "objstore/bucket.h"
#include "proto/convert.h"
#include "runtime.h"
#include "tools.h"

#define TRY_NS (10 * NS_PER_S)
#define DAY_S  86400

struct doctor {
	struct arena arena;
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *metrics;
	unsigned ok, warned, failed;
};

static void say(unsigned *count, const char *verdict, struct str what, const char *fmt,
		...) PRINTF_LIKE(4, 5);
static void say(unsigned *count, const char *verdict, struct str what, const char *fmt,
		...)
{
	va_list ap;
	(*count)++;
	printf("%-5s %.*s: ", verdict, STR_FMT(what));
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}
#define OK(d, what, ...)   say(&(d)->ok, "ok", what, __VA_ARGS__)
#define WARN(d, what, ...) say(&(d)->warned, "warn", what, __VA_ARGS__)
#define FAIL(d, what, ...) say(&(d)->failed, "FAIL", what, __VA_ARGS__)

/* ---- buckets ---- */

struct probe {
	struct bucket *b;
	struct str dir, name;
	bool listed;
};

static int on_name(void *arg, struct str name, const struct bucket_attrs *at,
		   struct err *e)
{
	struct probe *p = arg;
	(void)at, (void)e;
	p->listed |= str_eq(name, p->name);
	return 0;
}

/* Each step with what a failure of it means. */
static const char *probe_bucket(struct probe *p, struct ctx *ctx, struct err *e)
{
	static const struct str text = { "thanosc doctor", 14 };
	struct range_source *src;
	struct view v;
	struct buf b;
	const struct range r = { 8, 6 };
	if (bucket_put_bytes(p->b, ctx, p->name, text, e) < 0)
		return "put: the credentials need the right to write objects";
	buf_init(&b, 1 << 10);
	int rc = bucket_get(p->b, ctx, p->name, 1 << 10, &b, e);
	bool same = rc == 0 && str_eq(buf_view(&b), text);
	buf_deinit(&b);
	if (rc == 0 && !same)
		rc = err_set(ctx, e, E_CORRUPT, "other bytes came back");
	if (rc < 0)
		return "get: the credentials need the right to read objects";
	if (bucket_open(p->b, ctx, p->name, &src, e) < 0)
		return "attributes: the credentials need the right to look at objects";
	rc = range_source_read(src, ctx, &r, 1, &v, e);
	if (rc == 0 && memcmp(v.p, "doctor", 6) != 0)
		rc = err_set(ctx, e, E_CORRUPT, "other bytes came back");
	if (rc == 0)
		view_put(&v);
	range_source_unref(src);
	if (rc < 0)
		return "range: the store must answer requests for a part of an object";
	if (bucket_iter(p->b, ctx, p->dir, true, on_name, p, e) < 0)
		return "list: the credentials need the right to list the bucket";
	if (!p->listed) {
		err_set(ctx, e, E_NOT_FOUND, "a new object is not listed");
		return "list: the store must list an object as soon as it is there";
	}
	if (bucket_delete(p->b, ctx, p->name, e) < 0)
		return "delete: the compactor needs the right to delete objects";
	return NULL;
}

static void try_bucket(struct doctor *d, struct str what, struct str yaml)
{
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct ulid id;
	char text[27];
	struct probe p = { 0 };
	if (bucket_from_yaml(NULL, yaml, "bucket", loops_next(&d->loops), d->metrics,
			     &p.b, &e) < 0) {
		FAIL(d, what, "%s", err_text(&e));
		return;
	}
	ctx_init(&ctx, NULL, time_after_ns(3 * TRY_NS));
	ulid_new(&id, time_wall_ms());
	ulid_format(&id, text);
	p.dir = str_fmt(&d->arena, "debug/doctor-%s", text);
	p.name = str_fmt(&d->arena, "%.*s/probe", STR_FMT(p.dir));
	const char *hint = probe_bucket(&p, &ctx, &e);
	if (hint) {
		struct err none = ERR_INIT;
		FAIL(d, what, "%s: %s", hint, err_text(&e));
		(void)!bucket_delete(p.b, &ctx, p.name, &none);
	} else {
		OK(d, what, "%s: put, get, range, list and delete work", p.b->name);
	}
	bucket_close(p.b);
	ctx_deinit(&ctx);
}

/* ---- certificates ---- */

static void try_certificate(struct doctor *d, struct str path)
{
	struct err e = ERR_INIT;
	int64_t until;
	if (path.n == 0)
		return;
	if (net_tls_expiry(str_dupz(&d->arena, path), &until, &e) < 0) {
		FAIL(d, path, "%s", err_text(&e));
		return;
	}
	int64_t days = (until - time_wall_ms() / 1000) / DAY_S;
	if (until < time_wall_ms() / 1000)
		FAIL(d, path, "the certificate has expired: renew it");
	else if (days < 14)
		WARN(d, path, "the certificate expires in %lld days: renew it soon",
		     (long long)days);
	else
		OK(d, path, "the certificate is good for %lld days", (long long)days);
}

/* ---- what flags name ---- */

static struct str flag(const struct conf_result *f, const char *name)
{
	for (size_t i = 0; i < f->n_flags; i++)
		if (str_eqz(f->flags[i].name, name) && f->flags[i].set)
			return f->flags[i].value;
	return STR("");
}

/* Options of one mode, parsed: rows tell where they lie. */
struct parsed {
	const struct conf_cmd *cmd;
	struct conf_result f;
	char *opts;
	size_t room; /* bytes of opts */
	const char *wanted;
	const struct opt *found; /* the row of that name */
};

#define ROW_BYTES_MAX 256 /* of what one row fills */
static void measure(const struct opt *o, void *arg)
{
	struct parsed *p = arg;
	p->room = MAX(p->room, o->off + ROW_BYTES_MAX);
}

static void look_for(const struct opt *o, void *arg)
{
	struct parsed *p = arg;
	if (strcmp(o->name, p->wanted) == 0)
		p->found = o;
}

/* What a flag that takes a content or a file holds; secrets are masked in conf_result. */
static struct conf_text text_flag(struct parsed *p, const char *name)
{
	p->wanted = name;
	p->found = NULL;
	conf_flags_walk(p->cmd, look_for, p);
	if (!p->found || p->found->type != OPT_TEXT)
		return (struct conf_text){ STR(""), STR("") };
	return *(const struct conf_text *)(const void *)(p->opts + p->found->off);
}

static void try_endpoint(struct doctor *d, struct str addr, struct net_tls *tls)
{
	struct err e = ERR_INIT;
	struct rpc_channel *c;
	struct rpc_channel_opts o = { .loop = loops_next(&d->loops), .tls = tls };
	struct store_info info;
	struct ctx ctx;
	struct buf b;
	bool has_store;
	if (rpc_channel_new(&o, addr, d->metrics, &c, &e) < 0) {
		FAIL(d, addr, "%s", err_text(&e));
		return;
	}
	ctx_init(&ctx, NULL, time_after_ns(TRY_NS));
	buf_init(&b, LIMIT_RPC_REQUEST_BYTES);
	if (rpc_unary(c, &ctx, "/thanos.info.Info/Info", STR(""), &b, &e) < 0 ||
	    proto_info_decode(&ctx, &d->arena, buf_view(&b), &info, &has_store, &e) < 0)
		FAIL(d, addr,
		     "%s (is a store listening for gRPC there, and is TLS the same on both sides?)",
		     err_text(&e));
	else if (!has_store)
		FAIL(d, addr, "%s: offers no StoreAPI", info.component);
	else
		OK(d, addr, "%s with %zu label sets", info.component, info.n_label_sets);
	buf_deinit(&b);
	ctx_deinit(&ctx);
	rpc_channel_free(c);
}

static void try_prometheus(struct doctor *d, struct str url, struct str client)
{
	struct http_client *c;
	struct http_client_conf conf;
	struct http_client_opts o = { .loop = loops_next(&d->loops) };
	struct http_answer answer;
	struct http_fetch_req r = {
		.method = "GET", .url = str_fmt(&d->arena, "%.*s/-/ready", STR_FMT(url))
	};
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct buf b;
	bool ok = http_client_conf_yaml(NULL, &d->arena, client,
					"--prometheus.http-client", &conf, &e) == 0;
	if (ok)
		http_client_conf_apply(&conf, &o);
	if (!ok || http_client_new(&o, &c, &e) < 0) {
		FAIL(d, url, "%s", err_text(&e));
		return;
	}
	ctx_init(&ctx, NULL, time_after_ns(TRY_NS));
	buf_init(&b, 1 << 20);
	if (http_fetch(c, &ctx, &d->arena, &r, &answer, &b, &e) < 0)
		FAIL(d, url, "%s: is Prometheus running there?", err_text(&e));
	else if (answer.status == 401 || answer.status == 403)
		FAIL(d, url,
		     "/-/ready answers %d: give what it asks for by --prometheus.http-client",
		     answer.status);
	else if (answer.status != 200)
		FAIL(d, url,
		     "/-/ready answers %d: is this a Prometheus, and has it started?",
		     answer.status);
	else
		OK(d, url, "Prometheus is ready");
	buf_deinit(&b);
	ctx_deinit(&ctx);
	http_client_free(c);
}

static void try_folder(struct doctor *d, struct str path)
{
	struct fs_stat st;
	struct err e = ERR_INIT;
	char *dir = str_dupz(&d->arena, path);
	if (fs_stat(NULL, dir, &st, &e) < 0)
		FAIL(d, path, "%s", err_text(&e));
	else if (st.kind != FS_DIR)
		FAIL(d, path,
		     "is not a folder: create it, owned by the user of the service");
	else if (fs_free_bytes(dir) < (uint64_t)1 << 30)
		WARN(d, path, "less than 1 GiB is free");
	else
		OK(d, path, "folder, %llu GiB free",
		   (unsigned long long)(fs_free_bytes(dir) >> 30));
}

static void try_file(struct doctor *d, struct str path);
static void try_yaml(struct doctor *d, struct str path, struct str text);

static void try_endpoints(struct doctor *d, const struct conf_result *f)
{
	static const char *const flags[] = { "endpoint", "endpoint-strict" };
	struct err e = ERR_INIT;
	struct net_tls *tls = NULL;
	struct disc_tls *pool = disc_tls_new();
	struct disc_client client = { 0 };
	const struct tls_client_opts o = {
		.secure = str_eqz(flag(f, "grpc-client-tls-secure"), "true"),
		.skip_verify = str_eqz(flag(f, "grpc-client-tls-skip-verify"), "true"),
		.cert = flag(f, "grpc-client-tls-cert"),
		.key = flag(f, "grpc-client-tls-key"),
		.ca = flag(f, "grpc-client-tls-ca"),
		.server_name = flag(f, "grpc-client-server-name"),
		.min_version = flag(f, "grpc-client-tls-min-version"),
	};
	tls_client_conf(&o, &client);
	if (disc_tls_get(pool, &client, &tls, &e) < 0)
		FAIL(d, STR("TLS of the gRPC client"), "%s", err_text(&e));
	else
		for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
			struct str rest = flag(f, flags[i]), one;
			for (bool more = rest.n > 0; more;) {
				more = str_cut(&rest, ',', &one);
				if (one.n && str_find_char(one, '+') < 0)
					try_endpoint(d, one, tls);
			}
		}
	disc_tls_free(pool);
}

static void try_named(struct doctor *d, struct parsed *p)
{
	static const char *const texts[] = {
		"objstore.config",  "snapshot.objstore.config",
		"tracing.config",   "request.logging-config",
		"retention.config", "selector.relabel-config"
	};
	static const char *const certs[] = { "grpc-server-tls-cert",
					     "grpc-client-tls-cert" };
	const struct conf_result *f = &p->f;
	const char *mode = p->cmd->name;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct conf_text t = text_flag(p, texts[i]);
		if (t.content.n)
			try_yaml(d,
				 t.path.n ? t.path : str_fmt(&d->arena, "--%s", texts[i]),
				 t.content);
	}
	if (flag(f, "http.config").n)
		try_file(d, flag(f, "http.config"));
	for (size_t i = 0; i < ARRAY_LEN(certs); i++)
		try_certificate(d, flag(f, certs[i]));
	if (strcmp(mode, "sidecar") == 0) {
		struct str url = flag(f, "prometheus.url"), path = flag(f, "tsdb.path");
		try_prometheus(d, url.n ? url : STR("http://localhost:9090"),
			       text_flag(p, "prometheus.http-client").content);
		try_folder(d, path.n ? path : STR("./data"));
	}
	if ((strcmp(mode, "store") == 0 || strcmp(mode, "compact") == 0) &&
	    flag(f, "data-dir").n)
		try_folder(d, flag(f, "data-dir"));
	if (strcmp(mode, "query") == 0)
		try_endpoints(d, f);
}

/* ---- kinds of files ---- */

static const struct conf_cmd *mode_of(struct str path)
{
	static const struct conf_cmd *const all[] = { &sidecar_cmd, &store_cmd,
						      &query_cmd, &compact_cmd };
	if (str_find(path, STR("thanosc-snapshot")) >= 0)
		return &tools_take_cmd;
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (str_find(path, str_of(all[i]->name)) >= 0)
			return all[i];
	return NULL;
}

/* Words as systemd splits them: blanks, quotes kept together. */
static size_t words(struct arena *a, struct str s, char **out, size_t max)
{
	size_t n = 0;
	while (n < max) {
		char quote = 0;
		size_t k = 0;
		while (s.n && (*s.p == ' ' || *s.p == '\t'))
			s = str_from(s, 1);
		if (!s.n)
			break;
		char *w = arena_alloc(a, s.n + 1);
		for (; s.n && (quote || (*s.p != ' ' && *s.p != '\t'));
		     s = str_from(s, 1)) {
			if (quote ? *s.p == quote : (*s.p == '"' || *s.p == '\''))
				quote = quote ? 0 : *s.p;
			else
				w[k++] = *s.p;
		}
		w[k] = '\0';
		out[n++] = w;
	}
	return n;
}

static void try_flags(struct doctor *d, struct str path, struct str line)
{
	char *argv[256];
	struct err e = ERR_INIT;
	const struct conf_cmd *cmd = mode_of(path);
	struct parsed p = { .cmd = cmd };
	if (!cmd) {
		FAIL(d, path,
		     "which mode are these flags for? Name the file thanosc-sidecar, thanosc-store, thanosc-query, thanosc-compact or thanosc-snapshot");
		return;
	}
	/* THANOSC_FLAGS="..." : the outer quotes are the file's */
	if (line.n >= 2 && (line.p[0] == '"' || line.p[0] == '\'') &&
	    line.p[line.n - 1] == line.p[0])
		line = str_n(line.p + 1, line.n - 2);
	size_t n = words(&d->arena, line, argv, ARRAY_LEN(argv));
	conf_flags_walk(cmd, measure, &p);
	p.opts = arena_alloc(&d->arena, p.room);
	if (conf_parse(NULL, &d->arena, cmd, (int)n, argv, p.opts, p.room, &p.f, &e) <
	    0) {
		FAIL(d, path, "thanosc %s: %s", cmd->name, err_text(&e));
		return;
	}
	OK(d, path, "the flags of thanosc %s are right", cmd->name);
	for (size_t i = 0; i < p.f.n_warnings; i++)
		WARN(d, path, "%.*s", STR_FMT(p.f.warnings[i]));
	try_named(d, &p);
}

static void try_web(struct doctor *d, struct str path, const struct doc *tls)
{
	struct web_config w;
	struct err e = ERR_INIT;
	if (web_config_open(&w, path, &e) < 0)
		FAIL(d, path, "%s", err_text(&e));
	else
		OK(d, path, "web configuration%s", w.tls ? " with TLS" : "");
	const struct doc *cert =
		tls && tls->kind == DOC_MAP ? doc_get(tls, "cert_file") : NULL;
	if (cert && cert->s.n) {
		const char *slash = strrchr(w.path ? w.path : "", '/');
		try_certificate(d, cert->s.p[0] == '/' || !slash
					   ? cert->s
					   : str_fmt(&d->arena, "%.*s/%.*s",
						     (int)(slash - w.path), w.path,
						     STR_FMT(cert->s)));
	}
	web_config_close(&w);
}

static void try_tracing(struct doctor *d, struct str path, struct str yaml)
{
	struct tracer *t;
	struct err e = ERR_INIT;
	const struct tracer_opts o = { .yaml = yaml,
				       .what = "tracing",
				       .component = "doctor",
				       .version = version_text,
				       .loops = &d->loops,
				       .pool = d->pool,
				       .metrics = d->metrics };
	if (tracer_open(&o, &t, &e) < 0)
		FAIL(d, path, "%s", err_text(&e));
	else
		OK(d, path, "tracing configuration");
	tracer_close(t);
}

static void try_request_log(struct doctor *d, struct str path, struct str text)
{
	struct request_logs logs;
	struct err e = ERR_INIT;
	if (request_logs_parse(&d->arena, text, path, "doctor", &logs, &e) < 0)
		FAIL(d, path, "%s", err_text(&e));
	else if (!logs.http && !logs.grpc)
		WARN(d, path, "request logging that logs nothing: set decision.log_end");
	else
		OK(d, path, "request logging of %s",
		   !logs.grpc	? "HTTP"
		   : !logs.http ? "gRPC"
				: "HTTP and gRPC");
}

static void try_selector(struct doctor *d, struct str path, struct str text)
{
	struct err e = ERR_INIT;
	struct relabel *r = NULL;
	if (relabel_parse(NULL, text, RELABEL_SELECTOR, &r, &e) < 0)
		FAIL(d, path, "%s", err_text(&e));
	else
		OK(d, path, "selector of blocks, %zu rules", relabel_rules(r));
	relabel_free(r);
}

static void try_retention(struct doctor *d, struct str path, struct str text)
{
	struct err e = ERR_INIT;
	struct retention_config *r = NULL;
	if (retention_config_parse(NULL, text, &r, &e) < 0)
		FAIL(d, path, "%s", err_text(&e));
	else
		OK(d, path, "retention configuration");
	retention_config_free(r);
}

static void try_yaml(struct doctor *d, struct str path, struct str text)
{
	struct err e = ERR_INIT;
	struct doc *doc;
	if (yaml_parse(NULL, &d->arena, text, &doc, &e) < 0) {
		FAIL(d, path, "%s", err_text(&e));
		return;
	}
	const struct doc *type = doc->kind == DOC_MAP ? doc_get(doc, "type") : NULL;
	if (type && (str_eq_nocase(type->s, STR("OTLP")) ||
		     str_eq_nocase(type->s, STR("JAEGER"))))
		try_tracing(d, path, text);
	else if (type)
		try_bucket(d, path, text);
	else if (doc->kind == DOC_MAP &&
		 (doc_get(doc, "tls_server_config") || doc_get(doc, "basic_auth_users") ||
		  doc_get(doc, "http_server_config")))
		try_web(d, path, doc_get(doc, "tls_server_config"));
	else if (doc->kind == DOC_LIST)
		try_selector(d, path, text);
	else if (doc->kind == DOC_MAP &&
		 (doc_get(doc, "policies") || doc_get(doc, "max_size")))
		try_retention(d, path, text);
	else if (doc->kind == DOC_MAP && (doc_get(doc, "options") ||
					  doc_get(doc, "http") || doc_get(doc, "grpc")))
		try_request_log(d, path, text);
	else
		FAIL(d, path,
		     "what is this? A bucket or tracing configuration has a `type`, a web configuration "
		     "`tls_server_config` or `basic_auth_users`, one of request logging `options`, `http` or `grpc`, one of retention `policies` or `max_size`, a selector of blocks is a list, a file of flags "
		     "THANOSC_FLAGS=");
}

static void try_file(struct doctor *d, struct str path)
{
	struct err e = ERR_INIT;
	struct buf b;
	buf_init(&b, LIMIT_CONFIG_BYTES);
	if (fs_read_file(NULL, str_dupz(&d->arena, path), LIMIT_CONFIG_BYTES, &b, &e) <
	    0) {
		FAIL(d, path, "%s", err_text(&e));
		buf_deinit(&b);
		return;
	}
	struct str text = str_dup(&d->arena, buf_view(&b)), rest = text, line;
	static const struct str key = { "THANOSC_FLAGS=", 14 };
	buf_deinit(&b);
	for (bool more = true; more;) {
		more = str_cut(&rest, '\n', &line);
		line = str_trim(line);
		if (str_has_prefix(line, key)) {
			try_flags(d, path, str_from(line, key.n));
			return;
		}
	}
	try_yaml(d, path, text);
}

int cmd_doctor(int argc, char **argv)
{
	struct doctor d = { 0 };
	struct err e = ERR_INIT;
	if (argc == 0 || argv[0][0] == '-') {
		FILE *f = argc && strcmp(argv[0], "--help") == 0 ? stdout : stderr;
		fprintf(f,
			"usage: thanosc doctor CONFIG...\n\nTries what configuration files say, and says what to do: "
			"bucket, tracing, web and request\nlogging configurations (YAML), and files of flags (THANOSC_FLAGS=..., named "
			"after\ntheir mode, as /etc/default/thanosc-query). Ends with 1 if anything is wrong.\n");
		return f == stderr;
	}
	log_setup(LOG_ERROR, LOG_LOGFMT, 2);
	arena_init(&d.arena, NULL);
	d.metrics = metric_registry_new();
	d.pool = task_pool_new(&(struct task_pool_opts){ 0 });
	if (loops_start(1, &d.loops, &e) < 0) {
		fprintf(stderr, "thanosc doctor: error: %s\n", err_text(&e));
		return 1;
	}
	for (int i = 0; i < argc; i++)
		try_file(&d, str_of(argv[i]));
	printf("%u ok, %u to look at, %u wrong\n", d.ok, d.warned, d.failed);
	loops_stop(&d.loops);
	task_pool_free(d.pool);
	metric_registry_free(d.metrics);
	arena_deinit(&d.arena);
	return d.failed > 0;
}
