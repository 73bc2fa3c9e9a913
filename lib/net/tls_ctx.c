/*
 * net/tls_ctx.c - certificates, keys and rules, from files, as an SSL_CTX that is swapped when the files change.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/time.h"
#include "fs/fs.h"
#include "net/tls_ctx.h"

#define PEM_BYTES_MAX ((size_t)16 << 20)

enum { F_CERT, F_KEY, F_CA, F_COUNT };
struct stamp { /* tells whether a file is another one now */
	int64_t mtime_ns;
	uint64_t size, ino;
};
struct net_tls {
	_Atomic uint32_t refs;
	struct arena arena; /* strings of o */
	struct net_tls_opts o;
	pthread_mutex_t mu; /* guards ctx */
	SSL_CTX *ctx;
	pthread_mutex_t reload_mu; /* one reload at a time; guards stamp */
	struct stamp stamp[F_COUNT];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A host's openssl.cnf may name modules that a static binary cannot load. */
static void begin(void)
{
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
}

/* ---- names ---- */

static int version_of(struct str s, int none, const char *what, int *out, struct err *e)
{
	static const struct {
		const char *a, *b;
		int v;
	} known[] = { { "1.0", "TLS10", TLS1_VERSION },
		      { "1.1", "TLS11", TLS1_1_VERSION },
		      { "1.2", "TLS12", TLS1_2_VERSION },
		      { "1.3", "TLS13", TLS1_3_VERSION } };
	*out = none;
	if (s.n == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (str_eqz(s, known[i].a) || str_eqz(s, known[i].b)) {
			*out = known[i].v;
			return 0;
		}
	return err_set(NULL, e, E_INVALID,
		       "%s: unknown TLS version '%.*s', want 1.0, 1.1, 1.2 or 1.3", what,
		       STR_FMT(s));
}

/* "CurveP256" and "P-256" are the same. */
static void put_curve(struct buf *b, struct str name)
{
	if (str_has_prefix(name, STR("CurveP"))) {
		buf_str(b, STR("P-"));
		name = str_from(name, 6);
	}
	buf_str(b, name);
}

static int set_curves(SSL_CTX *ctx, struct str list, struct err *e)
{
	struct buf b;
	struct str rest = list, one;
	buf_init(&b, 1 << 12);
	for (bool more = list.n > 0; more;) {
		more = str_cut(&rest, ',', &one);
		if (b.n)
			buf_byte(&b, ':');
		put_curve(&b, str_trim(one));
	}
	buf_byte(&b, '\0');
	int rc = b.failed || SSL_CTX_set1_groups_list(ctx, (const char *)b.p) != 1 ? -1
										   : 0;
	buf_deinit(&b);
	if (rc < 0)
		return err_set(NULL, e, E_INVALID, "unknown TLS curve among '%.*s'",
			       STR_FMT(list));
	return 0;
}

/* Suites of 1.3 are set apart from older ones; names may be IANA's or OpenSSL's. */
static int set_ciphers(SSL *probe, SSL_CTX *ctx, struct str list, struct err *e)
{
	struct buf old, new;
	struct str rest = list, one;
	int rc = 0;
	buf_init(&old, 1 << 14);
	buf_init(&new, 1 << 14);
	for (bool more = true; more && rc == 0;) {
		const SSL_CIPHER *found = NULL;
		more = str_cut(&rest, ',', &one);
		one = str_trim(one);
		STACK_OF(SSL_CIPHER) *all = SSL_get_ciphers(probe);
		for (int i = 0; i < sk_SSL_CIPHER_num(all) && !found; i++) {
			const SSL_CIPHER *c = sk_SSL_CIPHER_value(all, i);
			const char *iana = SSL_CIPHER_standard_name(c);
			if (str_eqz(one, SSL_CIPHER_get_name(c)) ||
			    (iana && str_eqz(one, iana)))
				found = c;
		}
		if (!found) {
			rc = err_set(NULL, e, E_INVALID,
				     "unknown TLS cipher suite '%.*s'", STR_FMT(one));
			break;
		}
		bool is_new = strcmp(SSL_CIPHER_get_version(found), "TLSv1.3") == 0;
		struct buf *b = is_new ? &new : &old;
		buf_fmt(b, "%s%s", b->n ? ":" : "", SSL_CIPHER_get_name(found));
	}
	buf_byte(&old, '\0');
	buf_byte(&new, '\0');
	if (rc == 0 && old.n > 1)
		rc = SSL_CTX_set_cipher_list(ctx, (const char *)old.p) == 1 ? 0 : -1;
	if (rc == 0 && new.n > 1)
		rc = SSL_CTX_set_ciphersuites(ctx, (const char *)new.p) == 1 ? 0 : -1;
	buf_deinit(&old);
	buf_deinit(&new);
	return rc;
}

static int set_rules(struct net_tls *t, SSL_CTX *ctx, struct err *e)
{
	int low, high;
	const struct net_tls_opts *o = &t->o;
	if (version_of(o->min_version, TLS1_2_VERSION, "min version", &low, e) < 0 ||
	    version_of(o->max_version, 0, "max version", &high, e) < 0)
		return -1;
	SSL_CTX_set_min_proto_version(ctx, low);
	SSL_CTX_set_max_proto_version(ctx, high);
	if (low < TLS1_2_VERSION) /* OpenSSL 3 forbids their signatures otherwise */
		SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_IGNORE_UNEXPECTED_EOF |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx,
			 SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (o->curves.n && set_curves(ctx, o->curves, e) < 0)
		return -1;
	if (o->ciphers.n) {
		SSL *probe = SSL_new(ctx);
		int rc = probe ? set_ciphers(probe, ctx, o->ciphers, e) : -1;
		SSL_free(probe);
		return rc;
	}
	return 0;
}

/* ---- files ---- */

/* The bytes of a file or of the content given instead; *given is false where there is neither. */
static int load(struct str path, struct str content, struct stamp *stamp, struct arena *a,
		struct str *out, bool *given, struct err *e)
{
	struct fs_stat st;
	struct buf b;
	*given = path.n || content.n;
	*out = content;
	*stamp = (struct stamp){ 0 };
	if (path.n == 0)
		return 0;
	const char *p = str_dupz(a, path);
	buf_init(&b, PEM_BYTES_MAX);
	int rc = fs_stat(NULL, p, &st, e);
	if (rc == 0)
		rc = fs_read_file(NULL, p, PEM_BYTES_MAX, &b, e);
	if (rc == 0) {
		*stamp = (struct stamp){ st.mtime_ns, st.size, st.ino };
		*out = str_dup(a, buf_view(&b));
	}
	if (b.p)
		OPENSSL_cleanse(b.p, b.n);
	buf_deinit(&b);
	return rc;
}

static int use_chain(SSL_CTX *ctx, struct str pem, struct err *e)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509 *x = in ? PEM_read_bio_X509_AUX(in, NULL, NULL, NULL) : NULL;
	int rc = x && SSL_CTX_use_certificate(ctx, x) == 1 ? 0 : -1;
	X509_free(x);
	while (rc == 0 && (x = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		if (SSL_CTX_add0_chain_cert(ctx, x) != 1) {
			X509_free(x);
			rc = -1;
		}
	BIO_free(in);
	if (rc < 0)
		return tls_fail(e, "no certificate in PEM");
	ERR_clear_error(); /* the end of the file */
	return 0;
}

static int use_key(SSL_CTX *ctx, struct str pem, struct err *e)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	EVP_PKEY *k = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
	BIO_free(in);
	if (!k)
		return tls_fail(e, "no usable private key in PEM");
	int rc =
		SSL_CTX_use_PrivateKey(ctx, k) == 1 && SSL_CTX_check_private_key(ctx) == 1
			? 0
			: -1;
	EVP_PKEY_free(k);
	return rc == 0 ? 0 : tls_fail(e, "the key does not belong to the certificate");
}

static int use_ca(SSL_CTX *ctx, struct str pem, bool server, struct err *e)
{
	BIO *in = BIO_new_mem_buf(pem.p, (int)pem.n);
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509 *x;
	size_t n = 0;
	while (in && (x = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (X509_STORE_add_cert(store, x) == 1)
			n++;
		if (server)
			SSL_CTX_add_client_CA(ctx, x);
		X509_free(x);
	}
	BIO_free(in);
	if (n == 0)
		return tls_fail(e, "no certificate in PEM");
	ERR_clear_error();
	return 0;
}

/* The bundle of the distribution; SSL_CERT_FILE goes before it. */
static void use_system_ca(SSL_CTX *ctx, struct arena *a)
{
	const char *const places[] = {
		getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem",
		"/etc/ssl/cert.pem",
	};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct stamp s;
		struct str pem;
		bool given;
		struct err none = ERR_INIT;
		if (places[i] && places[i][0] &&
		    load(str_of(places[i]), STR_NULL, &s, a, &pem, &given, &none) == 0 &&
		    use_ca(ctx, pem, false, &none) == 0)
			return;
	}
}

static int wrap_file(struct err *e, struct str path)
{
	return path.n ? err_wrap(NULL, e, "%.*s", STR_FMT(path)) : -1;
}

static int set_files(struct net_tls *t, SSL_CTX *ctx, struct arena *a,
		     struct stamp *stamp, struct err *e)
{
	const struct net_tls_opts *o = &t->o;
	struct str cert, key, ca;
	bool has_cert, has_key, has_ca;
	if (load(o->cert_file, o->cert, &stamp[F_CERT], a, &cert, &has_cert, e) < 0 ||
	    load(o->key_file, o->key, &stamp[F_KEY], a, &key, &has_key, e) < 0 ||
	    load(o->ca_file, o->ca, &stamp[F_CA], a, &ca, &has_ca, e) < 0)
		return -1;
	if (has_cert != has_key)
		return err_set(NULL, e, E_INVALID,
			       "TLS needs both a certificate and a key, or neither");
	if (o->server && !has_cert)
		return err_set(NULL, e, E_INVALID,
			       "a TLS server needs a certificate and a key");
	if (has_cert && use_chain(ctx, cert, e) < 0)
		return wrap_file(e, o->cert_file);
	if (has_key && use_key(ctx, key, e) < 0)
		return wrap_file(e, o->key_file);
	if (has_ca && use_ca(ctx, ca, o->server, e) < 0)
		return wrap_file(e, o->ca_file);
	if (!has_ca && !o->server && !o->skip_verify)
		use_system_ca(ctx, a);
	return 0;
}

/* ---- verification, ALPN ---- */

/* A name as configurations write it: the text, or an address. */
static bool name_is_one_of(const GENERAL_NAME *g, const struct str *v, size_t n)
{
	char ip[INET6_ADDRSTRLEN];
	struct str text;
	if (g->type == GEN_DNS || g->type == GEN_EMAIL || g->type == GEN_URI) {
		const ASN1_STRING *s = g->d.ia5; /* the same member for all three */
		text = str_n(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	} else if (g->type == GEN_IPADD) {
		int len = ASN1_STRING_length(g->d.iPAddress);
		if ((len != 4 && len != 16) ||
		    !inet_ntop(len == 4 ? AF_INET : AF_INET6,
			       ASN1_STRING_get0_data(g->d.iPAddress), ip, sizeof(ip)))
			return false;
		text = str_of(ip);
	} else {
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (str_eq(text, v[i]))
			return true;
	return false;
}

static bool has_allowed_san(const struct net_tls *t, X509 *cert)
{
	GENERAL_NAMES *names =
		cert ? X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL) : NULL;
	bool found = false;
	for (int i = 0; names && !found && i < sk_GENERAL_NAME_num(names); i++)
		found = name_is_one_of(sk_GENERAL_NAME_value(names, i), t->o.client_sans,
				       t->o.n_client_sans);
	GENERAL_NAMES_free(names);
	return found;
}

/* Of a client's chain: depth 0 is its own certificate, looked at last. */
static int check_client(int ok, X509_STORE_CTX *x)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct net_tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	if (t->o.auth == TLS_AUTH_REQUEST || t->o.auth == TLS_AUTH_ANY)
		ok = 1; /* not verified */
	if (!ok || t->o.n_client_sans == 0 || X509_STORE_CTX_get_error_depth(x) != 0 ||
	    has_allowed_san(t, X509_STORE_CTX_get_current_cert(x)))
		return ok;
	X509_STORE_CTX_set_error(x, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static void set_verify(struct net_tls *t, SSL_CTX *ctx)
{
	if (!t->o.server) {
		SSL_CTX_set_verify(ctx,
				   t->o.skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
				   NULL);
		return;
	}
	SSL_CTX_set_app_data(ctx, t);
	switch (t->o.auth) {
	case TLS_AUTH_REQUEST:
	case TLS_AUTH_IF_GIVEN:
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, check_client);
		break;
	case TLS_AUTH_ANY:
	case TLS_AUTH_VERIFIED:
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
				   check_client);
		break;
	case TLS_AUTH_NONE:
	default: SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	}
	/* Sessions are not resumed: a client's certificate is looked at each time. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
}

static const unsigned char alpn_both[] = "\x02h2\x08http/1.1";

static const unsigned char *alpn_of(const struct net_tls *t, unsigned *n)
{
	*n = t->o.h2 && t->o.http1 ? 12 : t->o.h2 ? 3 : t->o.http1 ? 9 : 0;
	return t->o.h2 ? alpn_both : alpn_both + 3;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
		   const unsigned char *in, unsigned n_in, void *arg)
{
	const struct net_tls *t = arg;
	unsigned n_own;
	const unsigned char *own = alpn_of(t, &n_own);
	(void)ssl;
	if (n_own == 0)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, n, own, n_own, in,
				  n_in) == OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void set_alpn(struct net_tls *t, SSL_CTX *ctx)
{
	unsigned n;
	const unsigned char *own = alpn_of(t, &n);
	if (t->o.server)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, t);
	else if (n)
		SSL_CTX_set_alpn_protos(ctx, own, n);
}

/* ---- life ---- */

static SSL_CTX *ctx_new(struct net_tls *t, struct stamp *stamp, struct err *e)
{
	struct arena a;
	SSL_CTX *ctx =
		SSL_CTX_new(t->o.server ? TLS_server_method() : TLS_client_method());
	if (!ctx) {
		tls_fail(e, "TLS context");
		return NULL;
	}
	arena_init(&a, NULL);
	if (set_rules(t, ctx, e) < 0 || set_files(t, ctx, &a, stamp, e) < 0) {
		SSL_CTX_free(ctx);
		ctx = NULL;
	} else {
		set_verify(t, ctx);
		set_alpn(t, ctx);
	}
	arena_deinit(&a);
	return ctx;
}

static struct net_tls_opts opts_dup(struct arena *a, const struct net_tls_opts *in)
{
	struct net_tls_opts o = *in;
	struct str *const all[] = { &o.cert_file,   &o.key_file,    &o.ca_file,
				    &o.cert,	    &o.key,	    &o.ca,
				    &o.min_version, &o.max_version, &o.ciphers,
				    &o.curves,	    &o.server_name };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i]->n)
			*all[i] = str_dup(a, *all[i]);
	struct str *sans = ARENA_ARRAY(a, struct str, in->n_client_sans + 1);
	for (size_t i = 0; i < in->n_client_sans; i++)
		sans[i] = str_dup(a, in->client_sans[i]);
	o.client_sans = sans;
	return o;
}

int net_tls_new(const struct net_tls_opts *o, struct net_tls **out, struct err *e)
{
	pthread_once(&once, begin);
	struct net_tls *t = xcalloc(1, sizeof(*t));
	atomic_init(&t->refs, 1);
	arena_init(&t->arena, NULL);
	t->o = opts_dup(&t->arena, o);
	pthread_mutex_init(&t->mu, NULL);
	pthread_mutex_init(&t->reload_mu, NULL);
	t->ctx = ctx_new(t, t->stamp, e);
	if (!t->ctx) {
		net_tls_unref(t);
		return -1;
	}
	*out = t;
	return 0;
}

struct net_tls *net_tls_ref(struct net_tls *t)
{
	if (t)
		atomic_fetch_add(&t->refs, 1);
	return t;
}

void net_tls_unref(struct net_tls *t)
{
	if (!t || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	SSL_CTX_free(t->ctx);
	pthread_mutex_destroy(&t->mu);
	pthread_mutex_destroy(&t->reload_mu);
	arena_deinit(&t->arena);
	free(t);
}

static bool has_changed(struct net_tls *t)
{
	const struct str paths[F_COUNT] = { t->o.cert_file, t->o.key_file, t->o.ca_file };
	char path[4096];
	for (size_t i = 0; i < F_COUNT; i++) {
		struct fs_stat st;
		struct err none = ERR_INIT;
		if (paths[i].n == 0 || paths[i].n >= sizeof(path))
			continue;
		memcpy(path, paths[i].p, paths[i].n);
		path[paths[i].n] = '\0';
		if (fs_stat(NULL, path, &st, &none) < 0 ||
		    st.mtime_ns != t->stamp[i].mtime_ns || st.size != t->stamp[i].size ||
		    st.ino != t->stamp[i].ino)
			return true;
	}
	return false;
}

int net_tls_reload(struct net_tls *t, struct err *e)
{
	struct stamp stamp[F_COUNT] = { 0 };
	int rc = 0;
	pthread_mutex_lock(&t->reload_mu);
	if (has_changed(t)) {
		SSL_CTX *ctx = ctx_new(t, stamp, e);
		rc = ctx ? 1 : -1;
		if (ctx) {
			memcpy(t->stamp, stamp, sizeof(stamp));
			pthread_mutex_lock(&t->mu);
			SSL_CTX *old = t->ctx;
			t->ctx = ctx;
			pthread_mutex_unlock(&t->mu);
			SSL_CTX_free(old);
		}
	}
	pthread_mutex_unlock(&t->reload_mu);
	return rc;
}

int net_tls_expiry(const char *path, int64_t *unix_s, struct err *e)
{
	struct buf b;
	struct tm tm = { 0 };
	buf_init(&b, PEM_BYTES_MAX);
	int rc = fs_read_file(NULL, path, PEM_BYTES_MAX, &b, e);
	if (rc == 0) {
		BIO *in = BIO_new_mem_buf(b.p, (int)b.n);
		X509 *x = in ? PEM_read_bio_X509_AUX(in, NULL, NULL, NULL) : NULL;
		if (x && ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) == 1)
			*unix_s = timegm(&tm);
		else
			rc = tls_fail(e, "no certificate in PEM");
		X509_free(x);
		BIO_free(in);
	}
	buf_deinit(&b);
	return rc;
}

SSL_CTX *tls_ctx_get(struct net_tls *t)
{
	pthread_mutex_lock(&t->mu);
	SSL_CTX *ctx = t->ctx;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&t->mu);
	return ctx;
}

bool tls_is_server(const struct net_tls *t)
{
	return t->o.server;
}

struct str tls_server_name(const struct net_tls *t)
{
	return t->o.server_name;
}
