/*
 * cmd/thanosc/web_config.h - the web configuration file of --http.config: TLS, who may ask, headers of answers.
 */
#ifndef CMD_THANOSC_WEB_CONFIG_H
#define CMD_THANOSC_WEB_CONFIG_H

#include "http/http.h"
#include "net/tls.h"

struct web_config {
	struct arena arena;
	const char *path;
	struct net_tls *tls; /* NULL: plain */
	enum net_tls_auth auth_of_clients;
	struct http_auth *auth; /* has no users where none are named */
	struct http_kv *headers;
	size_t n_headers;
	bool no_http2;	  /* HTTP/1.1 only */
	int64_t mtime_ns; /* of the file that is in use, or was refused last */
	uint64_t size;
};
/* path empty: nothing is configured, and all members are NULL. WORKER. Errors name file, line and column. */
MUST_CHECK int web_config_open(struct web_config *w, struct str path, struct err *e);
/* Users of a file that has changed are taken over: 1; the rest needs a new start. WORKER */
MUST_CHECK int web_config_reload(struct web_config *w, struct err *e);
void web_config_close(struct web_config *w);

#endif
