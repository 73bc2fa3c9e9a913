/*
 * cmd/thanosc/web_config.c - the peers' web configuration file.
 *
 *   tls_server_config:
 *     cert_file: server.crt          # relative paths: from the file's folder
 *     key_file: server.key
 *     client_auth_type: RequireAndVerifyClientCert
 *     client_ca_file: ca.crt
 *   basic_auth_users:
 *     alice: $2y$10$...              # bcrypt
 *   http_server_config:
 *     http2: false                   # speak HTTP/1.1 only
 *     headers: { X-Frame-Options: deny }
 */
#include "web_config.h"

#include "base/limits.h"
#include "conf/yaml.h"
#include "fs/fs.h"
#include "wire/codec.h"

struct tls_part {
	struct str cert, key, client_ca, cert_file, key_file, client_ca_file;
	struct str auth_type, min_version, max_version;
	struct conf_strs ciphers, curves, allowed_sans;
};
struct http_part {
	bool http2;
	const struct doc *headers;
};
struct file {
	struct tls_part tls;
	struct http_part http;
	const struct doc *users;
};

#define T(f) offsetof(struct tls_part, f)
static const struct yopt tls_rows[] = {
	{ .name = "cert", .type = OPT_STRING, .off = T(cert) },
	{ .name = "key", .type = OPT_STRING, .off = T(key), .bits = OPTF_SECRET },
	{ .name = "client_ca", .type = OPT_STRING, .off = T(client_ca) },
	{ .name = "cert_file", .type = OPT_STRING, .off = T(cert_file) },
	{ .name = "key_file", .type = OPT_STRING, .off = T(key_file) },
	{ .name = "client_ca_file", .type = OPT_STRING, .off = T(client_ca_file) },
	{ .name = "client_auth_type",
	  .type = OPT_ENUM,
	  .off = T(auth_type),
	  .def = "NoClientCert",
	  .choices =
		  "NoClientCert|RequestClientCert|RequireAnyClientCert|VerifyClientCertIfGiven|"
		  "RequireAndVerifyClientCert" },
	{ .name = "min_version",
	  .type = OPT_ENUM,
	  .off = T(min_version),
	  .def = "TLS12",
	  .choices = "TLS10|TLS11|TLS12|TLS13" },
	{ .name = "max_version",
	  .type = OPT_ENUM,
	  .off = T(max_version),
	  .def = "TLS13",
	  .choices = "TLS10|TLS11|TLS12|TLS13" },
	{ .name = "cipher_suites", .type = OPT_STRINGS, .off = T(ciphers) },
	{ .name = "curve_preferences", .type = OPT_STRINGS, .off = T(curves) },
	/* Go has ignored it for years; here the server's order always counts. */
	{ .name = "prefer_server_cipher_suites", .type = OPT_NO_EFFECT },
	{ .name = "client_allowed_sans", .type = OPT_STRINGS, .off = T(allowed_sans) },
	{ 0 }
};
static const struct yopt http_rows[] = { { .name = "http2",
					   .type = OPT_BOOL,
					   .off = offsetof(struct http_part, http2),
					   .def = "true" },
					 { .name = "headers",
					   .nest = YOPT_ANY,
					   .off = offsetof(struct http_part, headers) },
					 { 0 } };
static const struct yopt file_rows[] = { { .name = "tls_server_config",
					   .nest = YOPT_MAP,
					   .off = offsetof(struct file, tls),
					   .rows = tls_rows },
					 { .name = "http_server_config",
					   .nest = YOPT_MAP,
					   .off = offsetof(struct file, http),
					   .rows = http_rows },
					 { .name = "basic_auth_users",
					   .nest = YOPT_ANY,
					   .off = offsetof(struct file, users) },
					 { 0 } };

static int bad(const struct web_config *w, const struct doc *at, struct err *e,
	       const char *what, struct str name)
{
	return err_set(NULL, e, E_INVALID, "%s: %u:%u: %s '%.*s'", w->path, at->line,
		       at->col, what, STR_FMT(name));
}

/* A map of texts as pairs. */
static int pairs_of(const struct web_config *w, struct arena *a, const struct doc *map,
		    const char *what, struct http_kv **out, size_t *n, struct err *e)
{
	*n = 0;
	*out = NULL;
	if (!map || map->kind == DOC_NULL)
		return 0;
	if (map->kind != DOC_MAP)
		return bad(w, map, e, "want a mapping of", str_of(what));
	*out = ARENA_ARRAY(a, struct http_kv, map->n + 1);
	for (size_t i = 0; i < map->n; i++) {
		if (map->item[i]->kind == DOC_LIST || map->item[i]->kind == DOC_MAP)
			return bad(w, map->item[i], e, "want a text for", map->key[i]->s);
		(*out)[i] = (struct http_kv){ map->key[i]->s, map->item[i]->s };
	}
	*n = map->n;
	return 0;
}

static int read_users(const struct web_config *w, struct arena *a, const struct file *f,
		      struct err *e)
{
	struct http_kv *users;
	size_t n;
	if (pairs_of(w, a, f->users, "basic_auth_users", &users, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!bcrypt_is_hash(users[i].v))
			return bad(w, f->users->item[i], e, "no bcrypt hash for user",
				   users[i].k);
	http_auth_set(w->auth, users, n);
	return 0;
}

/* Those that the peers allow; others could break answers. */
static int read_headers(struct web_config *w, const struct file *f, struct err *e)
{
	static const char *const known[] = { "Content-Security-Policy", "X-Frame-Options",
					     "X-Content-Type-Options", "X-XSS-Protection",
					     "Strict-Transport-Security" };
	if (pairs_of(w, &w->arena, f->http.headers, "headers", &w->headers, &w->n_headers,
		     e) < 0)
		return -1;
	for (size_t i = 0; i < w->n_headers; i++) {
		bool ok = false;
		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			ok |= str_eq_nocase(w->headers[i].k, str_of(known[k]));
		for (size_t k = 0; k < w->headers[i].v.n; k++)
			ok &= (unsigned char)w->headers[i].v.p[k] >= 0x20;
		if (!ok)
			return bad(w, f->http.headers->item[i], e,
				   "this header cannot be set:", w->headers[i].k);
	}
	return 0;
}

static struct str near(const struct web_config *w, struct arena *a, struct str path)
{
	const char *slash = strrchr(w->path, '/');
	if (path.n == 0 || path.p[0] == '/' || !slash)
		return path;
	return str_fmt(a, "%.*s/%.*s", (int)(slash - w->path), w->path, STR_FMT(path));
}

static struct str joined(struct arena *a, struct conf_strs v)
{
	struct str out = STR("");
	for (size_t i = 0; i < v.n; i++)
		out = str_fmt(a, "%.*s%s%.*s", STR_FMT(out), i ? "," : "",
			      STR_FMT(v.v[i]));
	return out;
}

static enum net_tls_auth auth_of(struct str type)
{
	return str_eqz(type, "RequestClientCert")	     ? TLS_AUTH_REQUEST
	       : str_eqz(type, "RequireAnyClientCert")	     ? TLS_AUTH_ANY
	       : str_eqz(type, "VerifyClientCertIfGiven")    ? TLS_AUTH_IF_GIVEN
	       : str_eqz(type, "RequireAndVerifyClientCert") ? TLS_AUTH_VERIFIED
							     : TLS_AUTH_NONE;
}

static int open_tls(struct web_config *w, const struct tls_part *t, struct err *e)
{
	struct arena *a = &w->arena;
	enum net_tls_auth auth = auth_of(t->auth_type);
	bool given = t->cert.n || t->cert_file.n || t->key.n || t->key_file.n;
	bool ca = t->client_ca.n || t->client_ca_file.n;
	if (!given && !ca)
		return 0;
	if (ca && auth == TLS_AUTH_NONE)
		return err_set(
			NULL, e, E_INVALID,
			"%s: client CA's have been configured without a Client Auth Policy "
			"(client_auth_type)",
			w->path);
	if (!ca && (auth == TLS_AUTH_IF_GIVEN || auth == TLS_AUTH_VERIFIED))
		return err_set(NULL, e, E_INVALID,
			       "%s: client_auth_type %.*s needs client_ca_file", w->path,
			       STR_FMT(t->auth_type));
	const struct net_tls_opts o = {
		.server = true,
		.cert = t->cert,
		.key = t->key,
		.ca = t->client_ca,
		.cert_file = near(w, a, t->cert_file),
		.key_file = near(w, a, t->key_file),
		.ca_file = near(w, a, t->client_ca_file),
		.auth = auth,
		.client_sans = t->allowed_sans.v,
		.n_client_sans = t->allowed_sans.n,
		.min_version = t->min_version,
		.max_version = t->max_version,
		.ciphers = joined(a, t->ciphers),
		.curves = joined(a, t->curves),
		.http1 = true,
		.h2 = !w->no_http2,
	};
	w->auth_of_clients = auth;
	return net_tls_new(&o, &w->tls, e) < 0 ? err_wrap(NULL, e, "%s", w->path) : 0;
}

static int read_file(struct web_config *w, struct arena *a, struct file *f, struct err *e)
{
	struct fs_stat st;
	struct buf b;
	struct doc *d;
	if (fs_stat(NULL, w->path, &st, e) < 0)
		return -1;
	w->mtime_ns = st.mtime_ns;
	w->size = st.size;
	buf_init(&b, LIMIT_CONFIG_BYTES);
	int rc = fs_read_file(NULL, w->path, LIMIT_CONFIG_BYTES, &b, e);
	if (rc == 0) {
		rc = yaml_parse(NULL, a, buf_view(&b), &d, e);
		if (rc < 0)
			err_wrap(NULL, e, "%s", w->path);
	}
	if (rc == 0)
		rc = conf_bind(NULL, a, d, file_rows, f, sizeof(*f), w->path, e);
	buf_deinit(&b);
	return rc;
}

int web_config_open(struct web_config *w, struct str path, struct err *e)
{
	struct file f;
	memset(w, 0, sizeof(*w));
	arena_init(&w->arena, NULL);
	if (path.n == 0)
		return 0;
	w->path = str_dupz(&w->arena, path);
	w->auth = http_auth_new();
	if (read_file(w, &w->arena, &f, e) < 0 || read_users(w, &w->arena, &f, e) < 0 ||
	    read_headers(w, &f, e) < 0)
		return -1;
	w->no_http2 = !f.http.http2;
	return open_tls(w, &f.tls, e);
}

int web_config_reload(struct web_config *w, struct err *e)
{
	struct fs_stat st;
	struct arena a;
	struct file f;
	if (!w->path)
		return 0;
	if (fs_stat(NULL, w->path, &st, e) < 0)
		return -1;
	if (st.mtime_ns == w->mtime_ns && st.size == w->size)
		return 0;
	arena_init(&a, NULL);
	int rc = read_file(w, &a, &f, e);
	if (rc == 0)
		rc = read_users(w, &a, &f, e);
	arena_deinit(&a);
	return rc < 0 ? -1 : 1;
}

void web_config_close(struct web_config *w)
{
	net_tls_unref(w->tls);
	http_auth_free(w->auth);
	arena_deinit(&w->arena);
	memset(w, 0, sizeof(*w));
}
