/*
 * http/client_request.c - a request checked and put together on the worker: URL, headers, who we are, TLS, proxy;
 * and where a redirect leads.
 *
 * Redirects are followed here, not by curl, because secrets must not travel: on the way to another origin than the
 * first one neither the client's own credentials nor the caller's Authorization, cookies or tokens are sent.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "http/client_int.h"
#include "wire/codec.h"

static bool has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char ch = (unsigned char)s.p[i];
		if (ch <= 0x20 || ch >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", ch))
			return false;
	}
	return s.n > 0;
}

static void add_line(struct http_body *b, const char *line)
{
	struct curl_slist *l = curl_slist_append(b->headers, line);
	BUG_ON(!l);
	b->headers = l;
}

static int add_header(struct http_body *b, const struct http_kv *h, struct err *e)
{
	struct buf line;
	if (!is_token(h->k))
		return err_set(NULL, e, E_INVALID, "%s %s: bad header name", b->method,
			       b->shown);
	for (size_t i = 0; i < h->v.n; i++)
		if (h->v.p[i] != '\t' && has_control(str_n(h->v.p + i, 1)))
			return err_set(NULL, e, E_INVALID,
				       "%s %s: bad value of header %.*s", b->method,
				       b->shown, STR_FMT(h->k));
	buf_init(&line, LIMIT_HTTP_HEADER_BYTES);
	buf_str(&line, h->k);
	buf_str(&line,
		h->v.n ? STR(": ") : STR(";")); /* curl's way to send an empty value */
	buf_str(&line, h->v);
	buf_byte(&line, '\0');
	int rc = buf_check(&line, NULL, "header", e);
	if (rc == 0)
		add_line(b, (const char *)line.p);
	buf_deinit(&line);
	return rc;
}

static int set_headers(struct http_body *b, const struct http_fetch_req *r, bool decode,
		       struct str auth, struct err *e)
{
	bool type = false, coding = false, known = auth.n == 0;
	for (size_t i = 0; i < r->n_headers; i++) {
		type |= str_eq_nocase(r->headers[i].k, STR("Content-Type"));
		coding |= str_eq_nocase(r->headers[i].k, STR("Accept-Encoding"));
		known |= str_eq_nocase(r->headers[i].k, STR("Authorization"));
		if (add_header(b, &r->headers[i], e) < 0)
			return -1;
	}
	struct http_kv who = { STR("Authorization"), auth };
	if (!known && add_header(b, &who, e) < 0)
		return -1;
	add_line(b, "Expect:"); /* no waiting for 100 */
	if (!type)
		add_line(b, "Content-Type:"); /* curl would call any body a form */
	if (decode && !coding && !b->client->conf.transport.no_compression)
		add_line(b, "Accept-Encoding: gzip");
	return 0;
}

static char *terminated(struct buf *t)
{
	buf_byte(t, '\0');
	BUG_ON(t->failed);
	return (char *)t->p;
}

/*
 * A name of its own for TLS: curl is told a URL with that name and to connect to the real host, and the Host
 * header keeps the latter.
 */
static int set_server_name(struct http_body *b, const struct url *u, struct str name,
			   struct err *e)
{
	bool v6 = str_find_char(u->host, ':') >= 0;
	struct str port = u->port.n ? u->port : STR("443");
	struct buf url, to, host;
	struct url check;
	buf_init(&url, u->path.n + u->query.n + u->user.n + name.n + 64);
	buf_init(&to, 2 * name.n + u->host.n + 64);
	buf_init(&host, u->host.n + 64);
	buf_fmt(&url, "https://%.*s%s%.*s:%.*s%.*s%s%.*s", STR_FMT(u->user),
		u->user.n ? "@" : "", STR_FMT(name), STR_FMT(port), STR_FMT(u->path),
		u->query.n ? "?" : "", STR_FMT(u->query));
	buf_fmt(&to, "%.*s:%.*s:%s%.*s%s:%.*s", STR_FMT(name), STR_FMT(port),
		v6 ? "[" : "", STR_FMT(u->host), v6 ? "]" : "", STR_FMT(port));
	buf_fmt(&host, "Host: %s%.*s%s%s%.*s", v6 ? "[" : "", STR_FMT(u->host),
		v6 ? "]" : "", u->port.n ? ":" : "", STR_FMT(u->port));
	free(b->url);
	b->url = terminated(&url);
	b->connect_to = curl_slist_append(NULL, terminated(&to));
	add_line(b, terminated(&host));
	buf_deinit(&to);
	buf_deinit(&host);
	return url_parse(str_of(b->url), &check, e);
}

static int set_url(struct http_body *b, struct str s, struct err *e)
{
	struct url u;
	struct err bad = ERR_INIT;
	if (has_control(s) || url_parse(s, &u, &bad) < 0)
		return err_set(NULL, e, E_INVALID, "%s: bad URL%s%s", b->method,
			       bad.code ? ": " : "", bad.code ? err_text(&bad) : "");
	if (!str_eq_nocase(u.scheme, STR("http")) &&
	    !str_eq_nocase(u.scheme, STR("https")))
		return err_set(NULL, e, E_INVALID, "%s: URL scheme %.*s is not supported",
			       b->method, STR_FMT(u.scheme));
	bool v6 = str_find_char(u.host, ':') >= 0;
	struct buf t;
	buf_init(&t, s.n + 16);
	buf_fmt(&t, "%.*s://%s%.*s%s%s%.*s%.*s", STR_FMT(u.scheme), v6 ? "[" : "",
		STR_FMT(u.host), v6 ? "]" : "", u.port.n ? ":" : "", STR_FMT(u.port),
		STR_FMT(u.path));
	buf_byte(&t, '\0');
	BUG_ON(t.failed);
	b->shown = (char *)t.p;
	b->url = xmalloc(s.n + 1);
	memcpy(b->url, s.p, s.n);
	b->url[s.n] = '\0';
	const struct http_client *c = b->client;
	bool tls = str_eq_nocase(u.scheme, STR("https"));
	b->proxy = tls ? c->proxy_https : c->proxy_http;
	return tls && c->conf.tls.server_name.n
		       ? set_server_name(b, &u, c->conf.tls.server_name, e)
		       : 0;
}

void client_transfer_free(struct http_body *b)
{
	if (b->pipe) {
		pipe_close(b->pipe, "the reader has gone");
		pipe_unref(
			b->pipe); /* the producer's and ours: the loop has let go of it */
		pipe_unref(b->pipe);
	}
	if (b->up_pipe) {
		pipe_close(b->up_pipe, "the transfer has ended");
		pipe_unref(b->up_pipe);
		pipe_unref(b->up_pipe);
	}
	if (b->pem)
		ref_put(&b->pem->ref);
	curl_slist_free_all(b->headers);
	curl_slist_free_all(b->connect_to);
	buf_deinit(&b->head);
	pthread_cond_destroy(&b->cv);
	pthread_mutex_destroy(&b->mu);
	free(b->url);
	free(b->shown);
	free(b);
}

static int set_all(struct http_body *b, struct ctx *ctx, bool decode, bool auth,
		   struct err *e)
{
	struct http_client *c = b->client;
	struct arena a;
	struct str who = STR_NULL;
	arena_init(&a, NULL);
	int rc = set_url(b, b->req.url, e);
	if (rc == 0 && auth)
		rc = client_auth_value(c, ctx, &a, &who, e);
	if (rc == 0)
		rc = set_headers(b, &b->req, decode, who, e);
	arena_deinit(&a);
	if (rc == 0 && str_has_prefix(str_of(b->url), STR("https"))) {
		b->pem = client_tls_get(&c->tls, &c->conf.tls, ctx, e);
		rc = b->pem ? 0 : err_wrap(ctx, e, "%s %s", b->method, b->shown);
	}
	return rc;
}

int client_transfer_new(struct http_client *c, struct ctx *ctx,
			const struct http_fetch_req *r, size_t window, bool decode,
			bool auth, struct http_body **out, struct err *e)
{
	struct http_body *b = xcalloc(1, sizeof(*b));
	b->client = c;
	b->method = r->method;
	b->req = *r;
	b->send = r->body;
	buf_init(&b->head, CLIENT_HEAD_BYTES_MAX);
	pthread_mutex_init(&b->mu, NULL);
	ctx_cond_init(&b->cv);
	if (r->source) {
		b->source = *r->source;
		b->has_source = true;
		b->up_pipe = pipe_new(&(struct pipe_opts){ 0 }); /* slabs are charged */
	}
	if (set_all(b, ctx, decode, auth, e) < 0) {
		client_transfer_free(b);
		return -1;
	}
	b->pipe = pipe_new(&(struct pipe_opts){
		.limit = window, .budget = ctx ? ctx->budget : NULL, .charge = true });
	*out = b;
	return 0;
}

/* ---- redirects ---- */

static struct str default_port(const struct url *u)
{
	return u->port.n				? u->port
	       : str_eq_nocase(u->scheme, STR("https")) ? STR("443")
							: STR("80");
}

/* The same host and port, or the same host over TLS instead of in the open. */
static bool same_origin(struct str from, struct str to)
{
	struct url a, b;
	struct err bad = ERR_INIT;
	if (url_parse(from, &a, &bad) < 0 || url_parse(to, &b, &bad) < 0 ||
	    !str_eq_nocase(a.host, b.host))
		return false;
	if (str_eq_nocase(a.scheme, b.scheme))
		return str_eq(default_port(&a), default_port(&b));
	return str_eq_nocase(b.scheme, STR("https")) &&
	       str_eq(default_port(&a), STR("80")) &&
	       str_eq(default_port(&b), STR("443"));
}

static char *resolve(struct arena *a, struct str base, struct str location)
{
	CURLU *u = curl_url();
	char *text = NULL, *out = NULL;
	if (u && curl_url_set(u, CURLUPART_URL, str_dupz(a, base), 0) == CURLUE_OK &&
	    curl_url_set(u, CURLUPART_URL, str_dupz(a, location), 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		out = str_dupz(a, str_of(text));
	curl_free(text);
	curl_url_cleanup(u);
	return out;
}

static bool is_secret(struct str name)
{
	static const char *const names[] = { "Authorization", "Cookie",
					     "Proxy-Authorization",
					     "X-Amz-Security-Token" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq_nocase(name, str_of(names[i])))
			return true;
	return false;
}

int client_redirect(struct arena *a, const struct http_body *b,
		    const struct http_answer *ans, struct http_fetch_req *next,
		    bool *same)
{
	struct str at = http_answer_header(ans, "location");
	int s = ans->status;
	bool keeps = s == 307 || s == 308;
	if (at.n == 0 || !(s == 301 || s == 302 || s == 303 || keeps) ||
	    (keeps && b->has_source && !b->source.rewind))
		return 0;
	char *url = resolve(a, b->req.url, at);
	if (!url)
		return 0;
	*next = b->req;
	next->url = str_of(url);
	*same = same_origin(b->req.url, next->url);
	if (!keeps) {
		next->source = NULL;
		next->body = STR_NULL;
		if (strcmp(b->method, "HEAD") != 0)
			next->method = "GET";
	}
	struct http_kv *h = ARENA_ARRAY(a, struct http_kv, b->req.n_headers);
	next->n_headers = 0;
	for (size_t i = 0; i < b->req.n_headers; i++)
		if (*same || !is_secret(b->req.headers[i].k))
			h[next->n_headers++] = b->req.headers[i];
	next->headers = h;
	return 1;
}
