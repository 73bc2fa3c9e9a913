/*
 * http/client_conf.c - rows of http_config, and what its keys may not say together.
 */
#include "http/client_conf.h"

#include "base/time.h"
#include "wire/codec.h"

#define TLS(f)	     offsetof(struct http_tls_conf, f)
#define TLS_VERSIONS "|TLS10|TLS11|TLS12|TLS13"
const struct yopt http_tls_rows[] = {
	{ .name = "ca", .type = OPT_STRING, .off = TLS(ca) },
	{ .name = "cert", .type = OPT_STRING, .off = TLS(cert) },
	{ .name = "key", .type = OPT_STRING, .off = TLS(key) },
	{ .name = "ca_file", .type = OPT_STRING, .off = TLS(ca_file) },
	{ .name = "cert_file", .type = OPT_STRING, .off = TLS(cert_file) },
	{ .name = "key_file", .type = OPT_STRING, .off = TLS(key_file) },
	{ .name = "server_name", .type = OPT_STRING, .off = TLS(server_name) },
	{ .name = "insecure_skip_verify",
	  .type = OPT_BOOL,
	  .off = TLS(insecure_skip_verify) },
	{ .name = "min_version",
	  .type = OPT_ENUM,
	  .off = TLS(min_version),
	  .choices = TLS_VERSIONS },
	{ .name = "max_version",
	  .type = OPT_ENUM,
	  .off = TLS(max_version),
	  .choices = TLS_VERSIONS },
	{ 0 }
};

#define OA(f) offsetof(struct http_oauth2_conf, f)
static const struct yopt oauth2_rows[] = {
	{ .name = "client_id",
	  .type = OPT_STRING,
	  .off = OA(client_id),
	  .bits = OPTF_REQUIRED },
	{ .name = "client_secret", .type = OPT_STRING, .off = OA(client_secret) },
	{ .name = "client_secret_file",
	  .type = OPT_STRING,
	  .off = OA(client_secret_file) },
	{ .name = "token_url",
	  .type = OPT_STRING,
	  .off = OA(token_url),
	  .bits = OPTF_REQUIRED },
	{ .name = "scopes", .type = OPT_STRINGS, .nest = YOPT_LIST, .off = OA(scopes) },
	{ .name = "endpoint_params", .nest = YOPT_ANY, .off = OA(endpoint_params) },
	{ .name = "tls_config", .nest = YOPT_MAP, .off = OA(tls), .rows = http_tls_rows },
	{ .name = "proxy_url", .type = OPT_STRING, .off = OA(proxy_url) },
	{ 0 }
};

#define BASIC(f)                                                                         \
	(offsetof(struct http_client_conf, basic.f) -                                    \
	 offsetof(struct http_client_conf, basic))
static const struct yopt basic_rows[] = {
	{ .name = "username", .type = OPT_STRING, .off = BASIC(username) },
	{ .name = "username_file", .type = OPT_STRING, .off = BASIC(username_file) },
	{ .name = "password", .type = OPT_STRING, .off = BASIC(password) },
	{ .name = "password_file", .type = OPT_STRING, .off = BASIC(password_file) },
	{ 0 }
};
#define AUTHZ(f)                                                                         \
	(offsetof(struct http_client_conf, authorization.f) -                            \
	 offsetof(struct http_client_conf, authorization))
static const struct yopt authz_rows[] = {
	{ .name = "type", .type = OPT_STRING, .off = AUTHZ(type), .def = "Bearer" },
	{ .name = "credentials", .type = OPT_STRING, .off = AUTHZ(credentials) },
	{ .name = "credentials_file",
	  .type = OPT_STRING,
	  .off = AUTHZ(credentials_file) },
	{ 0 }
};
#define TR(f)                                                                            \
	(offsetof(struct http_client_conf, transport.f) -                                \
	 offsetof(struct http_client_conf, transport))
#define DURATION(key, field, text)                                                       \
	{                                                                                \
		.name = key, .type = OPT_DURATION_MS, .off = TR(field), .def = text,     \
		.min = 0, .max = INT64_MAX / 1000000                                     \
	}
#define COUNT(key, field, text)                                                          \
	{                                                                                \
		.name = key, .type = OPT_INT, .off = TR(field), .def = text, .min = 0,   \
		.max = 1000000                                                           \
	}
static const struct yopt transport_rows[] = {
	DURATION("idle_conn_timeout", idle_ms, "90s"),
	DURATION("response_header_timeout", header_ms, "2m"),
	DURATION("tls_handshake_timeout", handshake_ms, "10s"),
	DURATION("expect_continue_timeout", expect_ms, "0s"), /* never waited for */
	COUNT("max_idle_conns", max_idle, "100"),
	COUNT("max_idle_conns_per_host", max_idle_per_host, "100"),
	COUNT("max_conns_per_host", max_per_host, "0"),
	{ .name = "disable_compression", .type = OPT_BOOL, .off = TR(no_compression) },
	{ 0 }
};

#define AT(f) offsetof(struct http_client_conf, f)
static const struct yopt rows[] = {
	{ .name = "basic_auth", .nest = YOPT_MAP, .off = AT(basic), .rows = basic_rows },
	{ .name = "authorization",
	  .nest = YOPT_MAP,
	  .off = AT(authorization),
	  .rows = authz_rows },
	{ .name = "bearer_token", .type = OPT_STRING, .off = AT(bearer_token) },
	{ .name = "bearer_token_file", .type = OPT_STRING, .off = AT(bearer_token_file) },
	{ .name = "oauth2", .nest = YOPT_MAP, .off = AT(oauth2), .rows = oauth2_rows },
	{ .name = "tls_config", .nest = YOPT_MAP, .off = AT(tls), .rows = http_tls_rows },
	{ .name = "proxy_url", .type = OPT_STRING, .off = AT(proxy_url) },
	{ .name = "no_proxy", .type = OPT_STRING, .off = AT(no_proxy) },
	{ .name = "proxy_from_environment",
	  .type = OPT_BOOL,
	  .off = AT(proxy_from_environment) },
	{ .name = "proxy_connect_header", .type = OPT_NOT_YET },
	{ .name = "http_headers", .type = OPT_NOT_YET },
	{ .name = "follow_redirects",
	  .type = OPT_BOOL,
	  .off = AT(follow_redirects),
	  .def = "true" },
	{ .name = "enable_http2",
	  .type = OPT_BOOL,
	  .off = AT(enable_http2),
	  .def = "true" },
	{ .name = "transport_config",
	  .nest = YOPT_MAP,
	  .off = AT(transport),
	  .rows = transport_rows },
	{ 0 }
};

const char *http_tls_conf_fault(const struct http_tls_conf *t)
{
	bool cert = t->cert.n || t->cert_file.n, key = t->key.n || t->key_file.n;
	if ((t->ca.n && t->ca_file.n) || (t->cert.n && t->cert_file.n) ||
	    (t->key.n && t->key_file.n))
		return "gives PEM and a file of it";
	if (cert != key)
		return cert ? "has a certificate without its key"
			    : "has a key without its certificate";
	if (t->max_version.n && t->min_version.n &&
	    str_cmp(t->min_version, t->max_version) > 0)
		return "has min_version above max_version";
	return NULL;
}

static const char *auth_fault(const struct http_client_conf *c)
{
	bool basic = c->basic.username.n || c->basic.username_file.n ||
		     c->basic.password.n || c->basic.password_file.n;
	bool authz =
		c->authorization.credentials.n || c->authorization.credentials_file.n;
	bool bearer = c->bearer_token.n || c->bearer_token_file.n;
	if (basic + authz + bearer + (c->oauth2.client_id.n > 0) > 1)
		return "at most one of basic_auth, authorization, bearer_token and oauth2 may be given";
	if ((c->basic.username.n && c->basic.username_file.n) ||
	    (c->basic.password.n && c->basic.password_file.n))
		return "basic_auth gives a text and a file of it";
	if ((c->authorization.credentials.n && c->authorization.credentials_file.n) ||
	    (c->bearer_token.n && c->bearer_token_file.n))
		return "a token and a file of it are given";
	if (authz && str_eq_nocase(c->authorization.type, STR("basic")))
		return "authorization: type Basic is given by basic_auth";
	if (c->oauth2.client_id.n && c->oauth2.client_secret.n &&
	    c->oauth2.client_secret_file.n)
		return "oauth2 gives a secret and a file of it";
	if (c->proxy_from_environment && (c->proxy_url.n || c->no_proxy.n))
		return "proxy_from_environment excludes proxy_url and no_proxy";
	return NULL;
}

static int check_url(struct ctx *ctx, struct str s, const char *what, const char *key,
		     struct err *e)
{
	struct url u;
	struct err bad = ERR_INIT;
	if (s.n && url_parse(s, &u, &bad) < 0) /* may hold a password: not shown */
		return err_set(ctx, e, E_INVALID, "%s: %s is not a URL", what, key);
	return 0;
}

/* endpoint_params: a mapping of texts. */
static int bind_params(struct ctx *ctx, struct arena *a, struct http_oauth2_conf *o,
		       const char *what, struct err *e)
{
	const struct doc *d = o->endpoint_params;
	if (!d || d->kind == DOC_NULL)
		return 0;
	if (d->kind != DOC_MAP)
		return err_set(ctx, e, E_INVALID,
			       "%s: oauth2.endpoint_params: expected a mapping", what);
	o->params = ARENA_ARRAY(a, struct http_kv, d->n);
	for (size_t i = 0; i < d->n; i++)
		o->params[o->n_params++] =
			(struct http_kv){ d->key[i]->s, d->item[i]->s };
	return 0;
}

int http_client_conf_bind(struct ctx *ctx, struct arena *a, const struct doc *map,
			  const char *what, struct http_client_conf *out, struct err *e)
{
	if (conf_bind(ctx, a, map, rows, out, sizeof(*out), what, e) < 0)
		return -1;
	const char *fault = auth_fault(out);
	if (fault)
		return err_set(ctx, e, E_INVALID, "%s: %s", what, fault);
	if ((fault = http_tls_conf_fault(&out->tls)))
		return err_set(ctx, e, E_INVALID, "%s: tls_config %s", what, fault);
	if ((fault = http_tls_conf_fault(&out->oauth2.tls)))
		return err_set(ctx, e, E_INVALID, "%s: oauth2.tls_config %s", what,
			       fault);
	if (check_url(ctx, out->proxy_url, what, "proxy_url", e) < 0 ||
	    check_url(ctx, out->oauth2.proxy_url, what, "oauth2.proxy_url", e) < 0 ||
	    check_url(ctx, out->oauth2.token_url, what, "oauth2.token_url", e) < 0)
		return -1;
	return bind_params(ctx, a, &out->oauth2, what, e);
}

int http_client_conf_yaml(struct ctx *ctx, struct arena *a, struct str yaml,
			  const char *what, struct http_client_conf *out, struct err *e)
{
	struct doc *doc;
	if (yaml_parse(ctx, a, yaml, &doc, e) < 0)
		return err_wrap(ctx, e, "%s", what);
	return http_client_conf_bind(ctx, a, doc, what, out, e);
}

void http_client_conf_apply(const struct http_client_conf *c, struct http_client_opts *o)
{
	o->conf = c;
	o->idle_timeout_ns = (uint64_t)c->transport.idle_ms * NS_PER_MS;
	o->header_timeout_ns = (uint64_t)c->transport.header_ms * NS_PER_MS;
	o->handshake_timeout_ns = (uint64_t)c->transport.handshake_ms * NS_PER_MS;
	o->max_conns_per_host = c->transport.max_per_host
					? (uint32_t)c->transport.max_per_host
					: UINT32_MAX;
	o->max_idle = (uint32_t)c->transport.max_idle;
}
