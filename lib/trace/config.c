/*
 * trace/config.c - the file of --tracing.config: type OTLP, and JAEGER told in its terms.
 *
 *   type: OTLP
 *   config:
 *     client_type: grpc            # or http
 *     service_name: thanos-query
 *     endpoint: collector:4317
 *     insecure: true
 *     sampler_type: parentbasedtraceidratiobased
 *     sampler_param: "0.1"
 *
 * Jaeger has taken OTLP itself for years, on ports 4317 and 4318 beside its own; a JAEGER configuration sends there, on the
 * host of its endpoint or agent.
 */
#include "trace/trace_int.h"

#include "base/limits.h"
#include "base/time.h"
#include "conf/yaml.h"
#include "wire/codec.h"

struct top {
	struct str type;
	const struct doc *config;
};
static const struct yopt top_rows[] = {
	{ .name = "type",
	  .type = OPT_STRING,
	  .off = offsetof(struct top, type),
	  .bits = OPTF_REQUIRED },
	{ .name = "config", .nest = YOPT_ANY, .off = offsetof(struct top, config) },
	{ 0 }
};

struct tls_conf {
	struct str ca, cert, key, server_name;
	bool skip;
};
struct otlp {
	struct str client, service, endpoint, path, compression, sampler, param;
	bool insecure;
	int64_t timeout_ms;
	const struct doc *resource, *headers;
	struct tls_conf tls;
};
#define L(f) offsetof(struct tls_conf, f)
static const struct yopt tls_rows[] = {
	{ .name = "ca_file", .type = OPT_STRING, .off = L(ca) },
	{ .name = "cert_file", .type = OPT_STRING, .off = L(cert) },
	{ .name = "key_file", .type = OPT_STRING, .off = L(key) },
	{ .name = "server_name", .type = OPT_STRING, .off = L(server_name) },
	{ .name = "insecure_skip_verify",
	  .type = OPT_BOOL,
	  .off = L(skip),
	  .def = "false" },
	{ 0 }
};
/* Spans are sent anew with the next batch or not at all: there is nothing to set about it. */
static const struct yopt retry_rows[] = {
	{ .name = "retry_enabled", .type = OPT_NO_EFFECT },
	{ .name = "retry_initial_interval", .type = OPT_NO_EFFECT },
	{ .name = "retry_max_interval", .type = OPT_NO_EFFECT },
	{ .name = "retry_max_elapsed_time", .type = OPT_NO_EFFECT },
	{ 0 }
};
#define O(f) offsetof(struct otlp, f)
static const struct yopt otlp_rows[] = {
	{ .name = "client_type",
	  .type = OPT_ENUM,
	  .off = O(client),
	  .choices = "http|grpc",
	  .bits = OPTF_REQUIRED },
	{ .name = "service_name", .type = OPT_STRING, .off = O(service) },
	{ .name = "resource_attributes", .nest = YOPT_ANY, .off = O(resource) },
	{ .name = "reconnection_period", .type = OPT_NO_EFFECT },
	{ .name = "compression", .type = OPT_NOT_YET, .def = "", .choices = "none" },
	{ .name = "insecure", .type = OPT_BOOL, .off = O(insecure), .def = "false" },
	{ .name = "endpoint", .type = OPT_STRING, .off = O(endpoint) },
	{ .name = "url_path", .type = OPT_STRING, .off = O(path), .def = "/v1/traces" },
	{ .name = "timeout",
	  .type = OPT_DURATION_MS,
	  .off = O(timeout_ms),
	  .def = "10s",
	  .min = 1,
	  .max = INT64_MAX },
	{ .name = "retry_config", .nest = YOPT_MAP, .off = 0, .rows = retry_rows },
	{ .name = "headers", .nest = YOPT_ANY, .off = O(headers) },
	{ .name = "tls_config", .nest = YOPT_MAP, .off = O(tls), .rows = tls_rows },
	{ .name = "sampler_type", .type = OPT_STRING, .off = O(sampler) },
	{ .name = "sampler_param", .type = OPT_STRING, .off = O(param) },
	{ 0 }
};

struct jaeger {
	struct str service, sampler, param, endpoint, host, tags;
};
#define J(f) offsetof(struct jaeger, f)
static const struct yopt jaeger_rows[] = {
	{ .name = "service_name", .type = OPT_STRING, .off = J(service) },
	{ .name = "disabled", .type = OPT_NOT_YET, .def = "false" },
	{ .name = "rpc_metrics", .type = OPT_NO_EFFECT },
	{ .name = "tags", .type = OPT_STRING, .off = J(tags) },
	{ .name = "sampler_type", .type = OPT_STRING, .off = J(sampler) },
	{ .name = "sampler_param", .type = OPT_STRING, .off = J(param) },
	{ .name = "sampler_manager_host_port", .type = OPT_NOT_YET, .def = "" },
	{ .name = "sampler_max_operations", .type = OPT_NO_EFFECT },
	{ .name = "sampler_refresh_interval", .type = OPT_NO_EFFECT },
	{ .name = "sampler_parent_config", .type = OPT_NOT_YET, .def = "" },
	{ .name = "sampling_server_url", .type = OPT_NOT_YET, .def = "" },
	{ .name = "initial_sampling_rate", .type = OPT_NO_EFFECT },
	{ .name = "operation_name_late_binding", .type = OPT_NO_EFFECT },
	{ .name = "reporter_max_queue_size", .type = OPT_NO_EFFECT },
	{ .name = "reporter_flush_interval", .type = OPT_NO_EFFECT },
	{ .name = "reporter_log_spans", .type = OPT_NO_EFFECT },
	{ .name = "reporter_disable_attempt_reconnecting", .type = OPT_NO_EFFECT },
	{ .name = "reporter_attempt_reconnect_interval", .type = OPT_NO_EFFECT },
	{ .name = "endpoint", .type = OPT_STRING, .off = J(endpoint) },
	{ .name = "user", .type = OPT_NOT_YET, .def = "" },
	{ .name = "password", .type = OPT_NOT_YET, .def = "", .bits = OPTF_SECRET },
	{ .name = "agent_host", .type = OPT_STRING, .off = J(host) },
	{ .name = "agent_port", .type = OPT_NO_EFFECT },
	{ .name = "traceid_128bit", .type = OPT_NO_EFFECT },
	{ 0 }
};

static int pairs_of(struct arena *a, const struct doc *map, const char *what,
		    struct trace_pair **out, size_t *n, struct err *e)
{
	*n = 0;
	if (!map || map->kind == DOC_NULL)
		return 0;
	if (map->kind != DOC_MAP)
		return err_set(NULL, e, E_INVALID, "%s: %u:%u: want a mapping", what,
			       map->line, map->col);
	*out = ARENA_ARRAY(a, struct trace_pair, map->n + 1);
	for (size_t i = 0; i < map->n; i++) {
		const struct doc *v = map->item[i];
		if (v->kind == DOC_LIST || v->kind == DOC_MAP)
			return err_set(NULL, e, E_INVALID, "%s: %u:%u: want a text", what,
				       v->line, v->col);
		(*out)[(*n)++] = (struct trace_pair){ map->key[i]->s, v->s };
	}
	return 0;
}

/* Names of OTLP's samplers ("parentbased..." before them) and of Jaeger's. */
static int sampler_of(struct trace_conf *c, struct str type, struct str param,
		      const char *what, struct err *e)
{
	static const struct {
		const char *name;
		enum trace_sampler s;
	} known[] = {
		{ "alwayssample", SAMPLE_ALWAYS },     { "neversample", SAMPLE_NEVER },
		{ "traceidratiobased", SAMPLE_RATIO }, { "const", SAMPLE_RATIO },
		{ "probabilistic", SAMPLE_RATIO },     { "", SAMPLE_ALWAYS }
	};
	struct str name = type;
	c->ratio = 1;
	c->parent_based =
		type.n == 0 || str_eqz(type, "const") || str_eqz(type, "probabilistic");
	if (name.n >= 11 && str_eq_nocase(str_n(name.p, 11), STR("parentbased"))) {
		c->parent_based = true;
		name = str_from(name, 11);
	}
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (!str_eq_nocase(name, str_of(known[i].name)))
			continue;
		c->sampler = known[i].s;
		if (c->sampler == SAMPLE_RATIO && param.n &&
		    (!str_to_f64(param, &c->ratio) || !(c->ratio >= 0)))
			return err_set(NULL, e, E_INVALID,
				       "%s: sampler_param '%.*s' is no ratio", what,
				       STR_FMT(param));
		return 0;
	}
	return err_set(NULL, e, E_INVALID, "%s: unknown sampler_type '%.*s'", what,
		       STR_FMT(type));
}

static int address_of(struct arena *a, struct str endpoint, const char *port,
		      struct str *out, const char *what, struct err *e)
{
	struct str host;
	uint16_t n;
	struct err none = ERR_INIT;
	if (net_addr_split(endpoint, &host, &n, &none) == 0 && host.n) {
		*out = endpoint;
		return 0;
	}
	*out = str_fmt(a, "%.*s:%s", STR_FMT(endpoint), port);
	if (endpoint.n == 0 || net_addr_split(*out, &host, &n, &none) < 0)
		return err_set(NULL, e, E_INVALID, "%s: endpoint '%.*s' is no host:port",
			       what, STR_FMT(endpoint));
	return 0;
}

static int parse_otlp(struct arena *a, const struct doc *d, const char *what,
		      struct trace_conf *c, struct err *e)
{
	struct otlp o;
	if (conf_bind(NULL, a, d, otlp_rows, &o, sizeof(o), what, e) < 0 ||
	    pairs_of(a, o.resource, what, &c->resource, &c->n_resource, e) < 0 ||
	    pairs_of(a, o.headers, what, &c->headers, &c->n_headers, e) < 0 ||
	    sampler_of(c, o.sampler, o.param, what, e) < 0)
		return -1;
	c->client = str_eqz(o.client, "grpc") ? TRACE_GRPC : TRACE_HTTP;
	if (o.service.n)
		c->service_name = o.service;
	if (address_of(a, o.endpoint.n ? o.endpoint : STR("localhost"),
		       c->client == TRACE_GRPC ? "4317" : "4318", &c->address, what,
		       e) < 0)
		return -1;
	c->insecure = o.insecure;
	c->timeout_ns = (uint64_t)o.timeout_ms * NS_PER_MS;
	c->url = str_fmt(a, "%s://%.*s%s%.*s", o.insecure ? "http" : "https",
			 STR_FMT(c->address), o.path.n && o.path.p[0] == '/' ? "" : "/",
			 STR_FMT(o.path));
	c->tls = (struct net_tls_opts){ .ca_file = o.tls.ca,
					.cert_file = o.tls.cert,
					.key_file = o.tls.key,
					.server_name = o.tls.server_name,
					.skip_verify = o.tls.skip,
					.h2 = true };
	bool special = o.tls.ca.n || o.tls.cert.n || o.tls.key.n || o.tls.server_name.n ||
		       o.tls.skip;
	if (c->client == TRACE_HTTP && !o.insecure && special)
		return err_set(NULL, e, E_UNSUPPORTED,
			       "%s: tls_config is obeyed with client_type grpc only",
			       what);
	return 0;
}

static int parse_jaeger(struct arena *a, const struct doc *d, const char *what,
			struct trace_conf *c, struct err *e)
{
	struct jaeger j;
	struct url u;
	struct str host;
	if (conf_bind(NULL, a, d, jaeger_rows, &j, sizeof(j), what, e) < 0 ||
	    sampler_of(c, j.sampler, j.param, what, e) < 0)
		return -1;
	host = j.host.n ? j.host : STR("localhost");
	if (j.endpoint.n) {
		if (url_parse(j.endpoint, &u, e) < 0)
			return err_wrap(NULL, e, "%s: endpoint", what);
		host = u.host;
	}
	if (j.service.n)
		c->service_name = j.service;
	c->client = TRACE_HTTP;
	c->insecure = true;
	c->timeout_ns = 10 * NS_PER_S;
	c->address = str_fmt(a, "%.*s:4318", STR_FMT(host));
	c->url = str_fmt(a, "http://%.*s/v1/traces", STR_FMT(c->address));
	/* "a=b,c=d" */
	struct str rest = j.tags, one;
	for (bool more = j.tags.n > 0; more;) {
		struct str k;
		more = str_cut(&rest, ',', &one);
		str_cut(&one, '=', &k);
		struct trace_pair *v =
			ARENA_ARRAY(a, struct trace_pair, c->n_resource + 1);
		if (c->n_resource)
			memcpy(v, c->resource, c->n_resource * sizeof(*v));
		v[c->n_resource++] = (struct trace_pair){ str_trim(k), str_trim(one) };
		c->resource = v;
	}
	return 0;
}

int trace_conf_parse(struct arena *a, struct str yaml, const char *what,
		     const char *component, struct trace_conf *out, struct err *e)
{
	static const char *const others[] = { "STACKDRIVER", "GOOGLE_CLOUD",
					      "ELASTIC_APM", "LIGHTSTEP" };
	static const char *const all[] = { "OTLP",	   "JAEGER",	  "STACKDRIVER",
					   "GOOGLE_CLOUD", "ELASTIC_APM", "LIGHTSTEP" };
	struct doc *d;
	struct top top;
	memset(out, 0, sizeof(*out));
	out->service_name = str_fmt(a, "thanos-%s", component);
	if (yaml_parse(NULL, a, yaml, &d, e) < 0)
		return err_wrap(NULL, e, "%s", what);
	if (conf_bind(NULL, a, d, top_rows, &top, sizeof(top), what, e) < 0)
		return -1;
	static const struct doc empty = { .kind = DOC_NULL };
	const struct doc *config = top.config ? top.config : &empty;
	if (str_eq_nocase(top.type, STR("OTLP")))
		return parse_otlp(a, config, what, out, e);
	if (str_eq_nocase(top.type, STR("JAEGER")))
		return parse_jaeger(a, config, what, out, e);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (str_eq_nocase(top.type, str_of(others[i])))
			return err_set(NULL, e, E_UNSUPPORTED,
				       "%s: tracing type %s is not supported by thanosc: "
				       "use OTLP, which its collectors take",
				       what, others[i]);
	const char *near = conf_nearest(top.type, all, ARRAY_LEN(all));
	return err_set(NULL, e, E_INVALID, "%s: unknown tracing type '%.*s'%s%s%s", what,
		       STR_FMT(top.type), near ? ", did you mean '" : "",
		       near ? near : "", near ? "'?" : "");
}
