/*
 * net/tls_int.h - TLS as bytes in and bytes out, between conn.c and OpenSSL. No I/O here. LOOP
 */
#ifndef NET_TLS_INT_H
#define NET_TLS_INT_H

#include "net/tls.h"

struct tls_conn;
struct tls_conn *tls_conn_new(struct net_tls *t, struct str host,
			      struct err *e); /* NULL: e */
void tls_conn_free(struct tls_conn *c);
/* Cipher text that came. */
void tls_conn_feed(struct tls_conn *c, const uint8_t *p, size_t n);
/* Go on with the handshake: 1 done, 0 needs more, -1. */
int tls_conn_shake(struct tls_conn *c, struct err *e);
bool tls_conn_open(const struct tls_conn *c); /* the handshake is done */
enum { TLS_CLOSED = -2 };
/* Clear text: bytes, 0 none now, TLS_CLOSED the peer is done, -1. */
ssize_t tls_conn_read(struct tls_conn *c, uint8_t *p, size_t cap, struct err *e);
/* Clear text out, all of it; after the handshake only. */
MUST_CHECK int tls_conn_write(struct tls_conn *c, const uint8_t *p, size_t n,
			      struct err *e);
void tls_conn_shutdown(struct tls_conn *c); /* close_notify */
/* Cipher text that must go out: malloc'ed, NULL if none. */
uint8_t *tls_conn_take(struct tls_conn *c, size_t *n);
bool tls_conn_subject(const struct tls_conn *c, struct arena *a,
		      struct net_tls_subject *out);
bool tls_conn_h2(const struct tls_conn *c);

#endif
