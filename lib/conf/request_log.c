/*
 * conf/request_log.c - the configuration of request logging. What a protocol's own options say replaces the common
 * ones whole, unless they say nothing at all.
 */
#include "conf/request_log.h"

#include <stdio.h>

#include "conf/yaml.h"

struct decision {
	bool start, end;
};
struct options {
	struct str level;
	struct decision decision;
};
struct grpc_row {
	struct str service, method;
};
struct protocol {
	struct options options;
	struct conf_list config;
};
struct file {
	struct options options;
	struct protocol http, grpc;
};

static const struct yopt decision_rows[] = {
	{ .name = "log_start",
	  .type = OPT_BOOL,
	  .off = offsetof(struct decision, start) },
	{ .name = "log_end", .type = OPT_BOOL, .off = offsetof(struct decision, end) },
	{ 0 }
};
static const struct yopt options_rows[] = { { .name = "level",
					      .type = OPT_ENUM,
					      .off = offsetof(struct options, level),
					      .choices = "INFO|DEBUG|ERROR|WARNING" },
					    { .name = "decision",
					      .nest = YOPT_MAP,
					      .off = offsetof(struct options, decision),
					      .rows = decision_rows },
					    { 0 } };
static const struct yopt http_row_rows[] = {
	{ .name = "path",
	  .type = OPT_STRING,
	  .off = offsetof(struct request_log_row, path),
	  .bits = OPTF_REQUIRED },
	{ .name = "port",
	  .type = OPT_INT,
	  .off = offsetof(struct request_log_row, port),
	  .min = 0,
	  .max = 65535 },
	{ 0 }
};
static const struct yopt grpc_row_rows[] = { { .name = "service",
					       .type = OPT_STRING,
					       .off = offsetof(struct grpc_row, service),
					       .bits = OPTF_REQUIRED },
					     { .name = "method",
					       .type = OPT_STRING,
					       .off = offsetof(struct grpc_row, method),
					       .bits = OPTF_REQUIRED },
					     { 0 } };
#define P(f) offsetof(struct protocol, f)
static const struct yopt http_rows[] = {
	{ .name = "options", .nest = YOPT_MAP, .off = P(options), .rows = options_rows },
	{ .name = "config",
	  .nest = YOPT_LIST,
	  .off = P(config),
	  .rows = http_row_rows,
	  .elem = sizeof(struct request_log_row) },
	{ 0 }
};
static const struct yopt grpc_rows[] = {
	{ .name = "options", .nest = YOPT_MAP, .off = P(options), .rows = options_rows },
	{ .name = "config",
	  .nest = YOPT_LIST,
	  .off = P(config),
	  .rows = grpc_row_rows,
	  .elem = sizeof(struct grpc_row) },
	{ 0 }
};
static const struct yopt file_rows[] = { { .name = "options",
					   .nest = YOPT_MAP,
					   .off = offsetof(struct file, options),
					   .rows = options_rows },
					 { .name = "http",
					   .nest = YOPT_MAP,
					   .off = offsetof(struct file, http),
					   .rows = http_rows },
					 { .name = "grpc",
					   .nest = YOPT_MAP,
					   .off = offsetof(struct file, grpc),
					   .rows = grpc_rows },
					 { 0 } };

static enum log_level level_of(struct str s)
{
	return str_eqz(s, "DEBUG")     ? LOG_DEBUG
	       : str_eqz(s, "INFO")    ? LOG_INFO
	       : str_eqz(s, "WARNING") ? LOG_WARN
				       : LOG_ERROR;
}

/* `at`: the map that holds these options, for errors; NULL: there is none. */
static int check(const struct options *o, const struct doc *at, const char *of,
		 struct str what, struct err *e)
{
	const struct decision *d = &o->decision;
	const struct doc *node = at ? doc_get(at, "options") : NULL;
	const struct doc *inner = node ? doc_get(node, "decision") : NULL;
	const char *text = NULL;
	if (o->level.n == 0 && (d->start || d->end))
		text = "level is missing: one of INFO, DEBUG, ERROR, WARNING";
	else if (d->start && !d->end)
		text = "log_start without log_end is not supported";
	if (!text)
		return 0;
	if (inner)
		node = inner;
	return err_set(NULL, e, E_INVALID, "%.*s: %u:%u: %soptions: %s", STR_FMT(what),
		       node ? node->line : 1, node ? node->col : 1, of, text);
}

static const struct request_log *chosen(struct arena *a, const struct file *f,
					const struct protocol *p,
					struct request_log_row *rows, size_t n,
					const char *component)
{
	const struct options *o = &p->options;
	if (o->level.n == 0) /* then nothing is decided either: checked */
		o = &f->options;
	if (!o->decision.end)
		return NULL;
	struct request_log *l = ARENA_NEW(a, struct request_log);
	*l = (struct request_log){ .min = level_of(o->level),
				   .start = o->decision.start,
				   .end = o->decision.end,
				   .rows = rows,
				   .n_rows = n,
				   .component = component };
	return l;
}

int request_logs_parse(struct arena *a, struct str yaml, struct str what,
		       const char *component, struct request_logs *out, struct err *e)
{
	struct file f;
	struct doc *d;
	*out = (struct request_logs){ 0 };
	if (yaml.n == 0)
		return 0;
	if (yaml_parse(NULL, a, yaml, &d, e) < 0)
		return err_wrap(NULL, e, "%.*s", STR_FMT(what));
	if (conf_bind(NULL, a, d, file_rows, &f, sizeof(f), str_dupz(a, what), e) < 0)
		return -1;
	const bool map = d->kind == DOC_MAP;
	if (check(&f.options, map ? d : NULL, "", what, e) < 0 ||
	    check(&f.http.options, map ? doc_get(d, "http") : NULL, "http.", what, e) <
		    0 ||
	    check(&f.grpc.options, map ? doc_get(d, "grpc") : NULL, "grpc.", what, e) < 0)
		return -1;
	const struct grpc_row *g = f.grpc.config.v;
	size_t n = f.grpc.config.n;
	struct request_log_row *rows = ARENA_ARRAY(a, struct request_log_row, n + 1);
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct request_log_row){ str_fmt(a, "/%.*s/%.*s",
							    STR_FMT(g[i].service),
							    STR_FMT(g[i].method)),
						    0 };
	out->grpc = chosen(a, &f, &f.grpc, rows, n, component);
	out->http = chosen(a, &f, &f.http, f.http.config.v, f.http.config.n, component);
	return 0;
}

bool request_log_has(const struct request_log *l, struct str path, int64_t port)
{
	bool has = l->n_rows == 0;
	for (size_t i = 0; i < l->n_rows && !has; i++)
		has = str_eq(l->rows[i].path, path) &&
		      (l->rows[i].port == 0 || l->rows[i].port == port);
	return has;
}

bool request_log_wants(const struct request_log *l, enum log_level level)
{
	return level >= l->min && log_enabled(level);
}

struct str request_log_ms(char out[32], uint64_t took_ns)
{
	int n = snprintf(out, 32, "%llu.%03llu", (unsigned long long)(took_ns / 1000000),
			 (unsigned long long)(took_ns / 1000 % 1000));
	while (out[n - 1] == '0')
		n--;
	if (out[n - 1] == '.')
		n--;
	return str_n(out, (size_t)n);
}
