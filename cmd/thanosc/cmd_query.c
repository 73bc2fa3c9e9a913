/*
 * cmd/thanosc/cmd_query.c - thanosc query: PromQL over many stores.
 */
#include <stdio.h>

#include "api/api.h"
#include "base/log.h"
#include "base/time.h"
#include "base/vec.h"
#include "features.h"
#include "promql/parse/ast.h"
#include "runtime.h"

struct query_opts {
	struct common_opts common;
	struct tls_client_opts tls;
	struct str compression;
	struct conf_strs endpoints, strict, groups, strict_groups, sd_files,
		replica_labels, selector_labels, conn_labels;
	struct conf_text sd_config;
	struct str dns_servers;
	int64_t sd_config_interval_ms, sd_interval_ms, dns_interval_ms;
	int64_t timeout_ms, lookback_ms, default_step_ms, eval_interval_ms, metadata_ms,
		response_timeout_ms, info_timeout_ms, unhealthy_ms, max_concurrent,
		max_selects;
	bool partial_response, auto_downsampling, dynamic_lookback, x_functions;
	struct str engine;
	struct conf_strs features, time_bounds, samples_bounds, series_bounds;
	int64_t instant_resolution_ms;
	int64_t max_samples, slow_ms;
	uint64_t max_memory, total_memory;
	struct str active_path, query_log;
	struct str tenant_header, default_tenant, tenant_label, tenant_field;
	struct str dns_resolver;
	bool enforce_tenancy;
	bool rule_partial, target_partial, metadata_partial, exemplar_partial,
		status_partial;
};
#define AT(f) offsetof(struct query_opts, f)
#define PARTIAL(n, field, what)                                                          \
	{                                                                                \
		.name = n, .type = OPT_BOOL, .off = AT(field), .def = "true",            \
		.bits = OPTF_HIDDEN,                                                     \
		.help = "Enable partial response of " what                               \
			" if no partial_response param is given."                        \
	}
static const struct opt rows[] = {
	{ .name = "endpoint",
	  .type = OPT_STRINGS,
	  .off = AT(endpoints),
	  .placeholder = "<endpoint>",
	  .help = "Addresses of statically configured Thanos API servers (repeatable). The scheme may be prefixed with 'dns+', 'dnssrv+', 'dnssrvnoa+' or 'dnsdualstack+' to detect Thanos API servers through respective DNS lookups." },
	{ .name = "endpoint-group",
	  .type = OPT_STRINGS,
	  .off = AT(groups),
	  .placeholder = "<endpoint-group>",
	  .help = "DNS name of statically configured Thanos API server groups (repeatable). Targets resolved from the DNS name will be queried in a round-robin, instead of a fanout manner." },
	{ .name = "endpoint-strict",
	  .type = OPT_STRINGS,
	  .off = AT(strict),
	  .placeholder = "<endpoint-strict>",
	  .help = "Addresses of only statically configured Thanos API servers that are always used, even if the health check fails (repeatable)." },
	{ .name = "endpoint-group-strict",
	  .type = OPT_STRINGS,
	  .off = AT(strict_groups),
	  .placeholder = "<endpoint-group-strict>",
	  .help = "Statically configured Thanos API server groups (repeatable) that are always used, even if the health check fails." },
	{ .name = "endpoint.sd-config",
	  .type = OPT_TEXT,
	  .off = AT(sd_config),
	  .help = "YAML file with endpoint definitions." },
	{ .name = "endpoint.sd-config-reload-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(sd_config_interval_ms),
	  .def = "5m",
	  .min = 1,
	  .max = INT64_MAX / 1000000,
	  .help = "Interval between endpoint config refreshes." },
	{ .name = "store.sd-files",
	  .type = OPT_STRINGS,
	  .off = AT(sd_files),
	  .placeholder = "<path>",
	  .help = "Path to files that contain addresses of store API servers. The path can be a glob pattern (repeatable)." },
	{ .name = "store.sd-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(sd_interval_ms),
	  .def = "5m",
	  .min = 1,
	  .max = INT64_MAX / 1000000,
	  .help = "Refresh interval to re-read file SD files. It is used as a resync fallback." },
	{ .name = "store.sd-dns-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(dns_interval_ms),
	  .def = "30s",
	  .min = 1,
	  .max = INT64_MAX / 1000000,
	  .help = "Interval between DNS resolutions." },
	{ .name = "store.sd-dns-servers",
	  .type = OPT_STRING,
	  .off = AT(dns_servers),
	  .bits = OPTF_HIDDEN,
	  .placeholder = "<ip:port>",
	  .help = "Name servers to ask in place of those in /etc/resolv.conf, separated by commas (thanosc only)." },
	{ .name = "enable-feature",
	  .type = OPT_STRINGS,
	  .off = AT(features),
	  .placeholder = "<feature>",
	  .help = "Comma separated feature names to enable (repeatable). Valid options: promql-experimental-functions, promql-extended-range-selectors, promql-binop-fill-modifiers, promql-delayed-name-removal, use-start-timestamps, type-and-unit-labels." },
	{ .name = "query.enable-x-functions",
	  .type = OPT_BOOL,
	  .off = AT(x_functions),
	  .def = "false",
	  .help = "Enable the functions xrate, xincrease and xdelta." },
	{ .name = "query.conn-metric.label",
	  .type = OPT_STRINGS,
	  .off = AT(conn_labels),
	  .def = "external_labels,store_type",
	  .help = "Labels of the metric of connections to endpoints (repeatable): external_labels, store_type, ip_port." },
	{ .name = "query.replica-label",
	  .type = OPT_STRINGS,
	  .off = AT(replica_labels),
	  .help = "Labels to treat as a replica indicator along which data is deduplicated." },
	{ .name = "selector-label",
	  .type = OPT_STRINGS,
	  .off = AT(selector_labels),
	  .placeholder = "<name>=\"<value>\"",
	  .help = "Labels that tell what this querier stands for, exposed in Info (repeatable)." },
	{ .name = "web.route-prefix",
	  .type = OPT_STRING,
	  .off = offsetof(struct common_opts, route_prefix),
	  .def = "",
	  .help = "Prefix of the API and the page, where it is not that of --web.external-prefix." },
	{ .name = "query.timeout",
	  .type = OPT_DURATION_MS,
	  .off = AT(timeout_ms),
	  .def = "2m",
	  .help = "Maximum time to process query by query node." },
	{ .name = "query.max-concurrent",
	  .type = OPT_INT,
	  .off = AT(max_concurrent),
	  .def = "20",
	  .min = 1,
	  .max = 10000,
	  .help = "Maximum number of queries processed concurrently." },
	{ .name = "query.max-concurrent-select",
	  .type = OPT_INT,
	  .off = AT(max_selects),
	  .def = "4",
	  .min = 1,
	  .max = 1000,
	  .help = "Maximum number of selects made concurrently a query." },
	{ .name = "query.max-samples",
	  .type = OPT_INT,
	  .off = AT(max_samples),
	  .def = "0",
	  .min = 0,
	  .max = INT64_MAX,
	  .help = "Maximum number of samples that a query may load at one time, counted as by Prometheus (peakSamples of stats=all); 0: no limit but that of memory (thanosc only)." },
	{ .name = "query.max-memory",
	  .type = OPT_BYTES,
	  .off = AT(max_memory),
	  .def = "0",
	  .help = "Maximum memory of a query; 0: --query.total-memory (thanosc only)." },
	{ .name = "query.total-memory",
	  .type = OPT_BYTES,
	  .off = AT(total_memory),
	  .def = "0",
	  .help = "Maximum memory of all queries together; those that need more wait for others to end, until their timeout. 0: three quarters of what the process may use (thanosc only)." },
	{ .name = "query.slow-query-threshold",
	  .type = OPT_DURATION_MS,
	  .off = AT(slow_ms),
	  .def = "0s",
	  .help = "Log queries that take longer than this; 0s: none (thanosc only)." },
	{ .name = "query.log-file",
	  .type = OPT_STRING,
	  .off = AT(query_log),
	  .def = "",
	  .help = "File that gets a line of JSON for each query, as query_log_file of Prometheus (thanosc only)." },
	{ .name = "query.active-query-path",
	  .type = OPT_STRING,
	  .off = AT(active_path),
	  .def = "",
	  .help = "Directory to log currently active queries in the queries.active file." },
	{ .name = "query.lookback-delta",
	  .type = OPT_DURATION_MS,
	  .off = AT(lookback_ms),
	  .def = "0s",
	  .help = "The maximum lookback duration; 0s: 5m." },
	{ .name = "query.dynamic-lookback-delta",
	  .type = OPT_BOOL,
	  .off = AT(dynamic_lookback),
	  .def = "true",
	  .bits = OPTF_HIDDEN,
	  .help = "Widen the lookback for downsampled data." },
	{ .name = "query.default-evaluation-interval",
	  .type = OPT_DURATION_MS,
	  .off = AT(eval_interval_ms),
	  .def = "1m",
	  .help = "Default step of subqueries." },
	{ .name = "query.default-step",
	  .type = OPT_DURATION_MS,
	  .off = AT(default_step_ms),
	  .def = "1s",
	  .help = "Smallest default step of range queries." },
	{ .name = "query.metadata.default-time-range",
	  .type = OPT_DURATION_MS,
	  .off = AT(metadata_ms),
	  .def = "0s",
	  .help = "Default time range of label and series requests; 0s: all." },
	{ .name = "query.partial-response",
	  .type = OPT_BOOL,
	  .off = AT(partial_response),
	  .def = "true",
	  .help = "Enable partial response if no partial_response param is given." },
	PARTIAL("rule.partial-response", rule_partial, "rules"),
	PARTIAL("target.partial-response", target_partial, "targets"),
	PARTIAL("metric-metadata.partial-response", metadata_partial, "metadata"),
	PARTIAL("exemplar.partial-response", exemplar_partial, "exemplars"),
	PARTIAL("status.partial-response", status_partial, "TSDB statistics"),
	{ .name = "query.auto-downsampling",
	  .type = OPT_BOOL,
	  .off = AT(auto_downsampling),
	  .def = "false",
	  .help = "Choose downsampled data by the step." },
	{ .name = "store.response-timeout",
	  .type = OPT_DURATION_MS,
	  .off = AT(response_timeout_ms),
	  .def = "0ms",
	  .help = "A store that sends nothing for this long is left out; 0: never." },
	{ .name = "store.unhealthy-timeout",
	  .type = OPT_DURATION_MS,
	  .off = AT(unhealthy_ms),
	  .def = "5m",
	  .help = "How long an endpoint that went away is still shown." },
	{ .name = "endpoint.info-timeout",
	  .type = OPT_DURATION_MS,
	  .off = AT(info_timeout_ms),
	  .def = "5s",
	  .bits = OPTF_HIDDEN,
	  .help = "Timeout of an Info call." },
	{ .name = "query.promql-engine",
	  .type = OPT_ENUM,
	  .off = AT(engine),
	  .def = "prometheus",
	  .choices = "prometheus|thanos",
	  .help = "There is one engine, whose answers are Prometheus'." },
	{ .name = "query.disable-fallback",
	  .type = OPT_NO_EFFECT,
	  .def = "false",
	  .bits = OPTF_HIDDEN | OPTF_SWITCH,
	  .help = "There is one engine." },
	{ .name = "query.instant.default.max_source_resolution",
	  .type = OPT_DURATION_MS,
	  .off = AT(instant_resolution_ms),
	  .def = "0s",
	  .bits = OPTF_HIDDEN,
	  .help = "The max_source_resolution of instant queries that ask for 'auto', and of all that ask for none with --query.auto-downsampling." },
	{ .name = "query.telemetry.request-duration-seconds-quantiles",
	  .type = OPT_STRINGS,
	  .off = AT(time_bounds),
	  .def = "0.1,0.25,0.75,1.25,1.75,2.5,3,5,10",
	  .placeholder = "<seconds>",
	  .help = "Buckets of thanos_store_api_query_duration_seconds (repeatable)." },
	{ .name = "query.telemetry.request-samples-quantiles",
	  .type = OPT_STRINGS,
	  .off = AT(samples_bounds),
	  .def = "100,1000,10000,100000,1000000",
	  .placeholder = "<samples>",
	  .help = "Values of its label samples_le (repeatable)." },
	{ .name = "query.telemetry.request-series-seconds-quantiles",
	  .type = OPT_STRINGS,
	  .off = AT(series_bounds),
	  .def = "10,100,1000,10000,100000",
	  .placeholder = "<series>",
	  .help = "Values of its label series_le (repeatable)." },
	{ .name = "query.mode",
	  .type = OPT_NOT_YET,
	  .def = "local",
	  .help = "Local evaluation." },
	{ .name = "deduplication.func",
	  .type = OPT_NOT_YET,
	  .def = "penalty",
	  .help = "How replicas are folded." },
	{ .name = "grpc-client-tls-secure",
	  .type = OPT_BOOL,
	  .off = AT(tls.secure),
	  .def = "false",
	  .help = "Use TLS when talking to the gRPC servers." },
	{ .name = "grpc-client-tls-skip-verify",
	  .type = OPT_BOOL,
	  .off = AT(tls.skip_verify),
	  .def = "false",
	  .help = "Disable TLS certificate verification, i.e. self signed, signed by fake CA." },
	{ .name = "grpc-client-tls-cert",
	  .type = OPT_STRING,
	  .off = AT(tls.cert),
	  .def = "",
	  .help = "TLS Certificates to use to identify this client to the server." },
	{ .name = "grpc-client-tls-key",
	  .type = OPT_STRING,
	  .off = AT(tls.key),
	  .def = "",
	  .help = "TLS Key for the client's certificate." },
	{ .name = "grpc-client-tls-ca",
	  .type = OPT_STRING,
	  .off = AT(tls.ca),
	  .def = "",
	  .help = "TLS CA Certificates to use to verify gRPC servers; those of the system otherwise." },
	{ .name = "grpc-client-server-name",
	  .type = OPT_STRING,
	  .off = AT(tls.server_name),
	  .def = "",
	  .help = "Server name to verify the hostname on the returned gRPC certificates." },
	{ .name = "grpc-client-tls-min-version",
	  .type = OPT_ENUM,
	  .off = AT(tls.min_version),
	  .def = "1.3",
	  .choices = "1.0|1.1|1.2|1.3",
	  .help = "TLS supported minimum version for gRPC client." },
	{ .name = "grpc-compression",
	  .type = OPT_ENUM,
	  .off = AT(compression),
	  .def = "none",
	  .choices = "none|snappy|gzip",
	  .help = "Compression of gRPC messages to and from endpoints." },
	{ .name = "query.enforce-tenancy",
	  .type = OPT_BOOL,
	  .off = AT(enforce_tenancy),
	  .def = "false",
	  .help = "Give every selector the matcher of the request's tenant." },
	{ .name = "query.tenant-header",
	  .type = OPT_STRING,
	  .off = AT(tenant_header),
	  .def = "THANOS-TENANT",
	  .help = "Request header that tells the tenant." },
	{ .name = "query.default-tenant-id",
	  .type = OPT_STRING,
	  .off = AT(default_tenant),
	  .def = "default-tenant",
	  .help = "Tenant of requests that tell none." },
	{ .name = "query.tenant-label-name",
	  .type = OPT_STRING,
	  .off = AT(tenant_label),
	  .def = "tenant_id",
	  .help = "Label that holds the tenant, for --query.enforce-tenancy." },
	{ .name = "query.tenant-certificate-field",
	  .type = OPT_ENUM,
	  .off = AT(tenant_field),
	  .def = "",
	  .choices = "|organization|organizationalUnit|commonName",
	  .help = "Field of the TLS client's certificate that tells the tenant; headers then do not." },
	{ .name = "store.sd-dns-resolver",
	  .type = OPT_ENUM,
	  .off = AT(dns_resolver),
	  .def = "miekgdns",
	  .choices = "golang|miekgdns",
	  .bits = OPTF_HIDDEN,
	  .help = "Both ask the name servers of resolv.conf; golang looks into /etc/hosts first." },
	{ 0 }
};
static const struct opt *const tables[] = {
	common_rows, grpc_rows,		limit_rows,	    web_rows,
	rows,	     not_yet_grpc_rows, not_yet_query_rows, NULL
};
const struct conf_cmd query_cmd = {
	"query", "Query node exposing PromQL enabled Query API with data from stores.",
	tables, NULL
};

struct query_run {
	struct runtime rt;
	struct query_opts o;
	struct discovery *discovery;
	struct endpoints *endpoints;
	struct proxy *proxy;
	struct federated_proxy *federated;
	struct store_service *service;
	struct api *api;
};

static int by_str(const void *a, const void *b, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* --query.replica-label may be repeated and may list several, separated by commas. */
static void replica_labels(struct query_run *q, struct str **out, size_t *n)
{
	struct str *v = NULL, head;
	size_t k = 0, cap = 0;
	for (size_t i = 0; i < q->o.replica_labels.n; i++) {
		struct str rest = q->o.replica_labels.v[i];
		bool more;
		do {
			more = str_cut(&rest, ',', &head);
			if (!head.n)
				continue;
			if (k == cap) {
				struct str *w =
					ARENA_ARRAY(&q->rt.arena, struct str, cap + 8);
				if (k)
					memcpy(w, v, k * sizeof(*w));
				v = w;
				cap += 8;
			}
			v[k++] = head;
		} while (more);
	}
	if (k)
		vec_sort(v, k, sizeof(*v), by_str, NULL);
	*out = v;
	*n = k;
}

/* Each --selector-label is name="value", quoted as in PromQL. */
static int selector_labels(struct query_run *q, struct labels *out, struct err *e)
{
	const struct conf_strs *in = &q->o.selector_labels;
	struct label *l = ARENA_ARRAY(&q->rt.arena, struct label, in->n + 1);
	for (size_t i = 0; i < in->n; i++) {
		struct str text = str_fmt(&q->rt.arena, "{%.*s}", STR_FMT(in->v[i]));
		struct matcher *m;
		struct err why = ERR_INIT;
		size_t n;
		if (promql_parse_selector(NULL, &q->rt.arena, text, &m, &n, &why) < 0 ||
		    n != 1 || m->type != MATCH_EQ)
			return err_set(NULL, e, E_INVALID,
				       "--selector-label=%.*s: want name=\"value\"",
				       STR_FMT(in->v[i]));
		l[i] = (struct label){ m->name, m->value };
	}
	if (!labels_sort(l, in->n))
		return err_set(NULL, e, E_INVALID, "--selector-label: a name twice");
	*out = (struct labels){ l, (uint32_t)in->n, 0 };
	return 0;
}

static const char *lower(struct arena *a, struct str s)
{
	char *z = str_dupz(a, s);
	for (char *p = z; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return z;
}

static const char *file_of(struct arena *a, struct str path)
{
	return path.n ? str_dupz(a, path) : NULL;
}

/* ---- discovery ---- */

static int conn_labels(const struct conf_strs *in, unsigned *out, struct err *e)
{
	static const struct {
		const char *name;
		unsigned bit;
	} known[] = { { "external_labels", CONN_EXTERNAL_LABELS },
		      { "store_type", CONN_STORE_TYPE },
		      { "ip_port", CONN_IP_PORT } };
	*out = 0;
	for (size_t i = 0; i < in->n; i++) {
		unsigned bit = 0;
		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			if (str_eqz(in->v[i], known[k].name))
				bit = known[k].bit;
		if (!bit)
			return err_set(NULL, e, E_INVALID,
				       "--query.conn-metric.label=%.*s: want "
				       "external_labels, store_type or ip_port",
				       STR_FMT(in->v[i]));
		*out |= bit;
	}
	return 0;
}

static void on_set(void *arg, struct disc_set *set)
{
	struct query_run *q = arg;
	endpoints_apply(q->endpoints, set);
}

static enum api_tenant_field tenant_field(struct str name)
{
	return str_eqz(name, "organization")	     ? API_TENANT_ORGANIZATION
	       : str_eqz(name, "organizationalUnit") ? API_TENANT_UNIT
	       : str_eqz(name, "commonName")	     ? API_TENANT_COMMON_NAME
						     : API_TENANT_HEADER;
}

static void check_tenant_source(const struct query_run *q)
{
	enum net_tls_auth auth = q->rt.web.auth_of_clients;
	if (q->o.tenant_field.n == 0 || auth == TLS_AUTH_IF_GIVEN ||
	    auth == TLS_AUTH_VERIFIED)
		return;
	log_warn(
		NULL, "--query.tenant-certificate-field: %s",
		auth == TLS_AUTH_NONE
			? "no client is asked for a certificate; set client_auth_type in --http.config"
			: "certificates are not verified, so that clients may claim any tenant; set client_auth_type to "
			  "RequireAndVerifyClientCert in --http.config");
}

static int open_endpoints(struct query_run *q, struct err *e)
{
	const struct query_opts *o = &q->o;
	struct endpoints_opts eo = { .loops = &q->rt.loops,
				     .pool = q->rt.pool,
				     .metrics = q->rt.metrics,
				     .info_timeout_ns =
					     (uint64_t)o->info_timeout_ms * NS_PER_MS,
				     .poll_ns = 5 * NS_PER_S,
				     .unhealthy_ns =
					     (uint64_t)o->unhealthy_ms * NS_PER_MS };
	struct disc_opts d = {
		.endpoints = o->endpoints,
		.strict = o->strict,
		.groups = o->groups,
		.strict_groups = o->strict_groups,
		.files = o->sd_files,
		.config = o->sd_config,
		.config_interval_ns = (uint64_t)o->sd_config_interval_ms * NS_PER_MS,
		.files_interval_ns = (uint64_t)o->sd_interval_ms * NS_PER_MS,
		.dns_interval_ns = (uint64_t)o->dns_interval_ms * NS_PER_MS,
		.dns_servers = o->dns_servers,
		.hosts_file = str_eqz(o->dns_resolver, "golang") ? "/etc/hosts" : NULL,
		.loops = &q->rt.loops,
		.pool = q->rt.pool,
		.metrics = q->rt.metrics,
		.on_set = on_set,
		.arg = q
	};
	tls_client_conf(&o->tls, &d.client);
	d.client.compression = o->compression;
	if (disc_client_check(&d.client, e) < 0)
		return err_wrap(NULL, e, "--grpc-client-tls-*");
	if (conn_labels(&o->conn_labels, &eo.conn_labels, e) < 0 ||
	    disc_new(NULL, &d, &q->discovery, e) < 0)
		return -1;
	q->endpoints = endpoints_new(&eo);
	return 0;
}

/* Ready when each name has been tried and each address asked. */
static void first_poll(struct query_run *q)
{
	struct ctx ctx = { .cancel = q->rt.stop };
	struct err e = ERR_INIT;
	if (disc_round(q->discovery, &ctx, &e) < 0)
		return;
	endpoints_poll(q->endpoints, &ctx);
	disc_start(q->discovery);
	runtime_ready(&q->rt, true);
}

/* What the user gives to queries is theirs: the budget of the process, taken from machine and control group, lies above it. */
static void make_room(struct query_run *q)
{
	size_t want = q->o.total_memory + q->o.total_memory / 16;
	struct budget *process = &q->rt.budget;
	if (!q->o.total_memory || want <= process->limit)
		return;
	log_warn(
		NULL,
		"--query.total-memory leaves little of the memory there is: %zu bytes seem safe",
		process->limit / 16 * 15);
	process->limit = want;
}

static int run(struct query_run *q, struct err *e)
{
	struct str *replicas;
	size_t n_replicas, n_methods, n_routes;
	const struct query_opts *o = &q->o;
	struct labels selector;
	struct features features;
	make_room(q);
	replica_labels(q, &replicas, &n_replicas);
	features_read(&o->features, &features);
	if (o->x_functions)
		features.promql |= PROMQL_X_FUNCTIONS;
	if (selector_labels(q, &selector, e) < 0)
		return -1;
	if (open_endpoints(q, e) < 0)
		return -1;
	struct proxy_opts po = { .endpoints = q->endpoints,
				 .response_timeout_ns =
					 (uint64_t)o->response_timeout_ms * NS_PER_MS,
				 .selector_labels = selector,
				 .promql_features = features.promql,
				 .metrics = q->rt.metrics,
				 .component = "query" };
	q->proxy = proxy_new(&po);
	q->federated = federated_proxy_new(&po);
	struct store_service_opts so = { .store = proxy_store(q->proxy),
					 .federated = federated_proxy_of(q->federated),
					 .budget = &q->rt.budget,
					 .limits = { (uint64_t)o->common.limit_series,
						     (uint64_t)o->common.limit_samples },
					 .metrics = q->rt.metrics };
	q->service = store_service_new(&so);
	struct api_telemetry *telemetry;
	if (!str_eq(o->engine, STR("prometheus")))
		log_info(
			NULL,
			"--query.promql-engine=%.*s: there is one engine, whose answers are Prometheus'",
			STR_FMT(o->engine));
	if (api_telemetry_new(&q->rt.arena, &o->time_bounds, &o->samples_bounds,
			      &o->series_bounds, &telemetry, e) < 0)
		return -1;
	struct api_opts ao = { .proxy = q->proxy,
			       .endpoints = q->endpoints,
			       .federated = federated_proxy_of(q->federated),
			       .partial = { o->rule_partial, o->target_partial,
					    o->metadata_partial, o->exemplar_partial,
					    o->status_partial },
			       .pool = q->rt.pool,
			       .metrics = q->rt.metrics,
			       .replica_labels = replicas,
			       .n_replica_labels = n_replicas,
			       .timeout_ms = o->timeout_ms,
			       .lookback_ms = o->lookback_ms,
			       .default_step_ms = o->default_step_ms,
			       .default_eval_interval_ms = o->eval_interval_ms,
			       .metadata_range_ms = o->metadata_ms,
			       .max_concurrent = (uint32_t)o->max_concurrent,
			       .max_selects = (uint32_t)o->max_selects,
			       .telemetry = telemetry,
			       .instant_resolution_ms = o->instant_resolution_ms,
			       .budget = &q->rt.budget,
			       .max_memory = o->max_memory,
			       .total_memory = o->total_memory,
			       .max_samples = (uint64_t)o->max_samples,
			       .slow_ms = o->slow_ms,
			       .active_dir = file_of(&q->rt.arena, o->active_path),
			       .query_log = file_of(&q->rt.arena, o->query_log),
			       .partial_response = o->partial_response,
			       .auto_downsampling = o->auto_downsampling,
			       .dynamic_lookback = o->dynamic_lookback,
			       .promql_features = features.promql,
			       .delayed_names = features.delayed_names,
			       .start_timestamps = features.start_timestamps,
			       .type_labels = features.type_labels,
			       .tenant_header = lower(&q->rt.arena, o->tenant_header),
			       .default_tenant = o->default_tenant,
			       .tenant_label = o->tenant_label,
			       .tenant_field = tenant_field(o->tenant_field),
			       .enforce_tenancy = o->enforce_tenancy,
			       .flags = &q->rt.flags,
			       .version = version_text,
			       .revision = version_commit };
	if (api_new(&ao, &q->api, e) < 0)
		return -1;
	const struct rpc_method *m = store_service_methods(q->service, &n_methods);
	const struct http_route *r = api_routes(q->api, &n_routes);
	q->rt.want_subject = o->tenant_field.n > 0;
	q->rt.tenant_header = ao.tenant_header;
	q->rt.default_tenant = o->default_tenant;
	if (runtime_serve(&q->rt, r, n_routes, m, n_methods, e) < 0)
		return -1;
	check_tenant_source(q);
	first_poll(q);
	runtime_wait(&q->rt);
	return 0;
}

int cmd_query(int argc, char **argv)
{
	struct query_run q = { 0 };
	struct err e = ERR_INIT;
	int rc = runtime_start(&q.rt, &query_cmd, argc, argv, &q.o, sizeof(q.o), &e);
	if (rc == 0) {
		rc = run(&q, &e);
		runtime_drain(&q.rt);
		disc_free(q.discovery);
		endpoints_free(q.endpoints);
		store_service_free(q.service);
		api_free(q.api);
		federated_proxy_free(q.federated);
		proxy_free(q.proxy);
		runtime_end(&q.rt);
	}
	if (rc < 0)
		fprintf(stderr, "thanosc query: error: %s\n", err_text(&e));
	return rc < 0;
}
