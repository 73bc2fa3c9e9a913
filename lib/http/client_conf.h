/*
 * http/client_conf.h - the peers' http_config: whom to trust, who we are, which way.
 *
 *   basic_auth: {username: prometheus, password_file: /run/secrets/prometheus}
 *   tls_config: {ca_file: ca.pem, server_name: prometheus.internal}
 *
 * Files are read by workers when a request needs them and again when they have changed. Secrets are in no
 * error and no log. Thread  FROZEN once bound.
 */
#ifndef HTTP_CLIENT_CONF_H
#define HTTP_CLIENT_CONF_H

#include "conf/yaml.h"
#include "http/http.h"

struct http_tls_conf {
	struct str ca, cert, key; /* PEM itself */
	struct str ca_file, cert_file, key_file;
	struct str server_name;		     /* for SNI and the certificate's name */
	struct str min_version, max_version; /* "TLS10" to "TLS13"; empty: OpenSSL's */
	bool insecure_skip_verify;
};
struct http_oauth2_conf {
	struct str client_id, client_secret, client_secret_file, token_url, proxy_url;
	struct conf_strs scopes;
	const struct doc *endpoint_params;
	struct http_kv *params; /* of endpoint_params */
	size_t n_params;
	struct http_tls_conf tls;
};
struct http_client_conf {
	struct {
		struct str username, username_file, password, password_file;
	} basic;
	struct {
		struct str type, credentials, credentials_file;
	} authorization;
	struct str bearer_token, bearer_token_file;
	struct http_oauth2_conf oauth2; /* used when client_id is given */
	struct http_tls_conf tls;
	struct str proxy_url, no_proxy;
	bool proxy_from_environment;
	bool follow_redirects; /* at most 10 */
	bool enable_http2;     /* accepted: bodies travel by HTTP/1.1 */
	struct {
		int64_t idle_ms, header_ms, handshake_ms, expect_ms;
		int64_t max_idle, max_idle_per_host, max_per_host;
		bool no_compression;
	} transport;
};

/* Rows of tls_config alone, for configurations that nest it. */
extern const struct yopt http_tls_rows[];
/*
 * From a mapping (or DOC_NULL); `what` begins every error. Texts live in the arena or are those of the document.
 * Two ways to authenticate at once are refused, as are halves of a key pair.
 */
MUST_CHECK int http_client_conf_bind(struct ctx *ctx, struct arena *a,
				     const struct doc *map, const char *what,
				     struct http_client_conf *out, struct err *e);
MUST_CHECK int http_client_conf_yaml(struct ctx *ctx, struct arena *a, struct str yaml,
				     const char *what, struct http_client_conf *out,
				     struct err *e);
/* What is wrong with a tls section, NULL if nothing. */
const char *http_tls_conf_fault(const struct http_tls_conf *t);
/* The transport's bounds and timeouts into the options of a client. */
void http_client_conf_apply(const struct http_client_conf *c, struct http_client_opts *o);

#endif
