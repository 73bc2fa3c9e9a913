/*
 * net/tls_ctx.h - what tls_conn.c needs of a net_tls; the only header here that includes OpenSSL.
 */
#ifndef NET_TLS_CTX_H
#define NET_TLS_CTX_H

#include <openssl/ssl.h>

#include "net/tls.h"

SSL_CTX *tls_ctx_get(struct net_tls *t); /* a new reference to the current one */
bool tls_is_server(const struct net_tls *t);
struct str tls_server_name(const struct net_tls *t);
/* -1 with "what: reason" of OpenSSL's last error. */
int tls_fail(struct err *e, const char *what);

#endif
