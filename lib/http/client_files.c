/*
 * http/client_files.c - what the client reads from files: tokens, passwords, certificates.
 *
 * A file is looked at (stat) when a request needs it and read again when its size, inode or time changed, so that
 * a rotated secret is taken up by the next request. Certificate and key are two files that nobody replaces in
 * one step: a pair that does not fit together, like a file that cannot be read, leaves the last good set in use.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"
#include "http/client_int.h"
#include "wire/codec.h"

#define TLS_CHECK_NS NS_PER_S /* files of TLS are looked at so often at most */

static char *path_or_null(struct str s)
{
	char *p = s.n ? xmalloc(s.n + 1) : NULL;
	if (p) {
		memcpy(p, s.p, s.n);
		p[s.n] = '\0';
	}
	return p;
}

static bool same_file(const struct fs_stat *a, const struct fs_stat *b)
{
	return a->kind == b->kind && a->size == b->size && a->ino == b->ino &&
	       a->mtime_ns == b->mtime_ns;
}

/* A missing file of ours must not read as "not found" of what was asked for. */
static int ours(int rc, struct err *e)
{
	if (rc < 0 && e->code == E_NOT_FOUND)
		e->code = E_INVALID;
	return rc;
}

/* ---- secrets ---- */

void client_file_init(struct client_file *f, struct str path, size_t max)
{
	f->path = path_or_null(path);
	pthread_mutex_init(&f->mu, NULL);
	buf_init(&f->text, max);
}

void client_file_deinit(struct client_file *f)
{
	free(f->path);
	buf_deinit(&f->text);
	pthread_mutex_destroy(&f->mu);
}

static int read_secret(struct client_file *f, struct ctx *ctx, struct arena *a,
		       struct str *out, struct err *e)
{
	struct fs_stat now;
	if (fs_stat(ctx, f->path, &now, e) < 0)
		return -1;
	if (now.kind == FS_NONE)
		return err_set(ctx, e, E_NOT_FOUND, "%s does not exist", f->path);
	if (!same_file(&now, &f->seen)) {
		f->seen.kind = FS_NONE;
		buf_reset(&f->text);
		if (fs_read_file(ctx, f->path, f->text.max, &f->text, e) < 0)
			return -1;
		f->seen = now;
	}
	*out = str_dup(a, str_trim(buf_view(&f->text)));
	return 0;
}

int client_file_read(struct client_file *f, struct ctx *ctx, struct arena *a,
		     struct str *out, struct err *e)
{
	pthread_mutex_lock(&f->mu); /* over a small local read, nothing else */
	int rc = ours(read_secret(f, ctx, a, out, e), e);
	pthread_mutex_unlock(&f->mu);
	return rc;
}

/* ---- TLS ---- */

static void pem_free(struct ref *r)
{
	struct client_pem *p = CONTAINER_OF(r, struct client_pem, ref);
	buf_deinit(&p->ca);
	buf_deinit(&p->cert);
	buf_deinit(&p->key);
	free(p);
}

static struct client_pem *pem_new(void)
{
	struct client_pem *p = xcalloc(1, sizeof(*p));
	ref_init(&p->ref, pem_free);
	buf_init(&p->ca, CLIENT_PEM_BYTES);
	buf_init(&p->cert, CLIENT_PEM_BYTES);
	buf_init(&p->key, CLIENT_PEM_BYTES);
	return p;
}

/* The first bundle of the places where Linux distributions keep it; SSL_CERT_FILE goes before them. */
static void read_system_ca(struct buf *to)
{
	const char *const places[] = {
		getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem",
		"/etc/ssl/cert.pem",
	};
	for (size_t i = 0; i < ARRAY_LEN(places) && to->n == 0; i++) {
		struct err e = ERR_INIT;
		if (!places[i] || !places[i][0])
			continue;
		if (fs_read_file(NULL, places[i], CLIENT_PEM_BYTES, to, &e) < 0)
			buf_reset(to);
	}
}

static int pem_part(struct ctx *ctx, const char *path, struct str text, const char *what,
		    struct buf *to, struct err *e)
{
	if (!path) {
		buf_str(to, text);
		return 0;
	}
	if (fs_read_file(ctx, path, to->max, to, e) < 0)
		return -1;
	if (to->n == 0)
		return err_set(ctx, e, E_INVALID, "%s %s is empty", what, path);
	return 0;
}

static struct client_pem *pem_load(const struct client_tls *t,
				   const struct http_tls_conf *c, struct ctx *ctx,
				   struct err *e)
{
	struct client_pem *p = pem_new();
	if (pem_part(ctx, t->ca_file, c->ca, "CA file", &p->ca, e) < 0 ||
	    pem_part(ctx, t->cert_file, c->cert, "certificate", &p->cert, e) < 0 ||
	    pem_part(ctx, t->key_file, c->key, "key file", &p->key, e) < 0 ||
	    (p->cert.n && pem_pair_check(buf_view(&p->cert), buf_view(&p->key), e) < 0)) {
		ref_put(&p->ref);
		return NULL;
	}
	if (p->ca.n == 0 && !c->insecure_skip_verify)
		read_system_ca(&p->ca);
	return p;
}

void client_tls_init(struct client_tls *t, const struct http_tls_conf *c)
{
	t->ca_file = path_or_null(c->ca_file);
	t->cert_file = path_or_null(c->cert_file);
	t->key_file = path_or_null(c->key_file);
	pthread_mutex_init(&t->mu, NULL);
}

void client_tls_deinit(struct client_tls *t)
{
	free(t->ca_file);
	free(t->cert_file);
	free(t->key_file);
	if (t->pem)
		ref_put(&t->pem->ref);
	pthread_mutex_destroy(&t->mu);
}

/* mu: has one of the files changed since it was read? Takes note of what it saw. */
static bool files_changed(struct client_tls *t, struct fs_stat now[3])
{
	const char *const path[3] = { t->ca_file, t->cert_file, t->key_file };
	bool changed = false;
	for (int i = 0; i < 3; i++) {
		struct err ignored = ERR_INIT; /* reading tells */
		now[i] = (struct fs_stat){ 0 };
		if (path[i] && fs_stat(NULL, path[i], &now[i], &ignored) < 0)
			now[i] = (struct fs_stat){ 0 };
		changed |= path[i] && !same_file(&now[i], &t->seen[i]);
	}
	return changed;
}

/* mu */
static int refresh(struct client_tls *t, const struct http_tls_conf *c, struct ctx *ctx,
		   struct err *e)
{
	struct fs_stat now[3];
	struct err why = ERR_INIT;
	if (t->pem && time_mono_ns() < t->next_check_ns)
		return 0;
	t->next_check_ns = time_after_ns(TLS_CHECK_NS);
	if (t->pem && !files_changed(t, now))
		return 0;
	if (!t->pem)
		files_changed(t, now);
	struct client_pem *p = pem_load(t, c, NULL, &why);
	if (!p && !t->pem)
		return ours(err_copy(ctx, e, &why), e);
	if (!p) {
		if (!t->complained)
			log_warn(ctx, "TLS files changed, the old ones stay in use: %s",
				 err_text(&why));
		t->complained = true;
		return 0;
	}
	if (t->pem)
		ref_put(&t->pem->ref);
	t->pem = p;
	memcpy(t->seen, now, sizeof(now));
	t->complained = false;
	return 0;
}

struct client_pem *client_tls_get(struct client_tls *t, const struct http_tls_conf *c,
				  struct ctx *ctx, struct err *e)
{
	struct client_pem *p = NULL;
	pthread_mutex_lock(&t->mu); /* over small local reads, nothing else */
	if (refresh(t, c, ctx, e) == 0) {
		p = t->pem;
		ref_get(&p->ref);
	}
	pthread_mutex_unlock(&t->mu);
	return p;
}
