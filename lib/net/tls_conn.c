/*
 * net/tls_conn.c - one TLS session over two memory BIOs.
 *
 * in:  cipher text from the socket -> SSL -> clear text
 * out: clear text -> SSL -> cipher text, taken after every call, since any call may have made some
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "net/tls_ctx.h"
#include "net/tls_int.h"

struct tls_conn {
	struct net_tls *tls; /* its callbacks belong to it */
	SSL *ssl;
	BIO *in, *out;
	bool open;
};

int tls_fail(struct err *e, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	err_set(NULL, e, E_UNAVAILABLE, "%s: %s", what,
		reason ? reason : "protocol error");
	ERR_clear_error();
	return -1;
}

static bool is_number(struct str host)
{
	return str_find_char(host, ':') >= 0 ||
	       (host.n && host.p[host.n - 1] >= '0' && host.p[host.n - 1] <= '9');
}

static void expect_host(SSL *ssl, struct str host)
{
	char name[256];
	if (host.n == 0 || host.n >= sizeof(name))
		return;
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	if (is_number(host)) {
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
		return;
	}
	SSL_set_tlsext_host_name(ssl, name);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	SSL_set1_host(ssl, name);
}

struct tls_conn *tls_conn_new(struct net_tls *t, struct str host, struct err *e)
{
	SSL_CTX *ctx = tls_ctx_get(t);
	struct tls_conn *c = xcalloc(1, sizeof(*c));
	c->tls = net_tls_ref(t);
	c->ssl = SSL_new(ctx); /* keeps a reference of its own */
	SSL_CTX_free(ctx);
	c->in = BIO_new(BIO_s_mem());
	c->out = BIO_new(BIO_s_mem());
	if (!c->ssl || !c->in || !c->out) {
		tls_fail(e, "TLS session");
		tls_conn_free(c);
		return NULL;
	}
	SSL_set_bio(c->ssl, c->in, c->out);
	if (tls_is_server(t)) {
		SSL_set_accept_state(c->ssl);
	} else {
		struct str name = tls_server_name(t);
		expect_host(c->ssl, name.n ? name : host);
		SSL_set_connect_state(c->ssl);
	}
	return c;
}

void tls_conn_free(struct tls_conn *c)
{
	if (!c)
		return;
	if (c->ssl) {
		SSL_free(c->ssl); /* and the BIOs */
	} else {
		BIO_free(c->in);
		BIO_free(c->out);
	}
	net_tls_unref(c->tls);
	free(c);
}

void tls_conn_feed(struct tls_conn *c, const uint8_t *p, size_t n)
{
	/* A memory BIO takes everything; n is at most one read. */
	BUG_ON(BIO_write(c->in, p, (int)n) != (int)n);
}

int tls_conn_shake(struct tls_conn *c, struct err *e)
{
	ERR_clear_error();
	int rc = SSL_do_handshake(c->ssl);
	if (rc == 1) {
		c->open = true;
		return 1;
	}
	int why = SSL_get_error(c->ssl, rc);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return 0;
	long verdict = SSL_get_verify_result(c->ssl);
	if (verdict != X509_V_OK && !SSL_is_server(c->ssl)) {
		ERR_clear_error();
		return err_set(NULL, e, E_UNAVAILABLE, "TLS: certificate refused: %s",
			       X509_verify_cert_error_string(verdict));
	}
	return tls_fail(e, "TLS handshake");
}

bool tls_conn_open(const struct tls_conn *c)
{
	return c->open;
}

ssize_t tls_conn_read(struct tls_conn *c, uint8_t *p, size_t cap, struct err *e)
{
	ERR_clear_error();
	int n = SSL_read(c->ssl, p, (int)MIN(cap, (size_t)INT32_MAX));
	if (n > 0)
		return n;
	switch (SSL_get_error(c->ssl, n)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE: return 0;
	case SSL_ERROR_ZERO_RETURN: return TLS_CLOSED;
	default: return tls_fail(e, "TLS");
	}
}

int tls_conn_write(struct tls_conn *c, const uint8_t *p, size_t n, struct err *e)
{
	while (n > 0) {
		size_t done;
		ERR_clear_error();
		if (SSL_write_ex(c->ssl, p, n, &done) != 1)
			return tls_fail(e, "TLS");
		p += done;
		n -= done;
	}
	return 0;
}

void tls_conn_shutdown(struct tls_conn *c)
{
	if (c->open)
		(void)SSL_shutdown(c->ssl);
	ERR_clear_error();
}

uint8_t *tls_conn_take(struct tls_conn *c, size_t *n)
{
	*n = BIO_ctrl_pending(c->out);
	if (*n == 0)
		return NULL;
	uint8_t *p = xmalloc(*n);
	int got = BIO_read(c->out, p, (int)*n);
	BUG_ON(got < 0 || (size_t)got != *n);
	return p;
}

bool tls_conn_h2(const struct tls_conn *c)
{
	const unsigned char *p;
	unsigned n;
	SSL_get0_alpn_selected(c->ssl, &p, &n);
	return n == 2 && memcmp(p, "h2", 2) == 0;
}

static struct str entry(X509_NAME *name, int nid, bool last, struct arena *a)
{
	unsigned char *text = NULL;
	int at = -1;
	for (int next; (next = X509_NAME_get_index_by_NID(name, nid, at)) >= 0;) {
		at = next;
		if (!last)
			break;
	}
	if (at < 0)
		return STR("");
	int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(
						   X509_NAME_get_entry(name, at)));
	if (n < 0)
		return STR("");
	struct str s = str_dup(a, str_n((const char *)text, (size_t)n));
	OPENSSL_free(text);
	return s;
}

bool tls_conn_subject(const struct tls_conn *c, struct arena *a,
		      struct net_tls_subject *out)
{
	X509 *cert = c->open ? SSL_get0_peer_certificate(c->ssl) : NULL;
	if (!cert)
		return false;
	X509_NAME *name = X509_get_subject_name(cert);
	out->organization = entry(name, NID_organizationName, false, a);
	out->unit = entry(name, NID_organizationalUnitName, false, a);
	out->common_name = entry(name, NID_commonName, true, a);
	ERR_clear_error();
	return true;
}
