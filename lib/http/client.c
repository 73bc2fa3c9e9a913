/*
 * http/client.c - the worker's half of the client: requests checked and copied, answers waited for.
 *
 * http_fetch is http_open, a loop of reads, and the decoding of gzip here, on the worker: the loop only moves
 * bytes. Deadline and cancel of the ctx end every wait; the transfer is then removed from the loop before the call
 * returns, so the caller's memory is free to go.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "http/client_int.h"
#include "wire/codec.h"

#define CA_BYTES_MAX ((size_t)16 << 20)

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_begin(void)
{
	BUG_ON(curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK);
}

/* ---- the client ---- */

/* The first bundle of the places where Linux distributions keep it; SSL_CERT_FILE goes before them. */
static void load_ca(struct http_client *c)
{
	const char *const places[] = {
		getenv("SSL_CERT_FILE"),
		"/etc/ssl/certs/ca-certificates.crt",
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/ssl/ca-bundle.pem",
		"/etc/pki/tls/cacert.pem",
		"/etc/ssl/cert.pem",
	};
	for (size_t i = 0; i < ARRAY_LEN(places) && !c->ca; i++) {
		struct buf b;
		struct err e = ERR_INIT;
		if (!places[i] || !places[i][0])
			continue;
		buf_init(&b, CA_BYTES_MAX);
		if (fs_read_file(NULL, places[i], CA_BYTES_MAX, &b, &e) == 0 && b.n > 0) {
			c->ca = b.p;
			c->n_ca = b.n;
		} else {
			buf_deinit(&b);
		}
	}
}

struct client_call {
	struct loop_op base;
	struct http_client *c;
};

static void client_call_free(struct loop_op *op)
{
	free(CONTAINER_OF(op, struct client_call, base));
}

static void run_begin(struct loop_op *op)
{
	struct err e = ERR_INIT;
	int rc = client_loop_begin(CONTAINER_OF(op, struct client_call, base)->c, &e);
	loop_op_done(op, rc < 0 ? &e : NULL);
}

static void run_end(struct loop_op *op)
{
	client_loop_end(CONTAINER_OF(op, struct client_call, base)->c);
	loop_op_done(op, NULL);
}

static int call(struct http_client *c, void (*fn)(struct loop_op *op), struct err *e)
{
	struct client_call *op = xcalloc(1, sizeof(*op));
	loop_op_init(&op->base, client_call_free);
	op->c = c;
	int rc = loop_call(c->loop, NULL, fn, &op->base, e);
	loop_op_unref(&op->base);
	return rc;
}

static void client_drop(struct http_client *c)
{
	free(c->ca);
	free(c->user_agent);
	free(c);
}

int http_client_new(const struct http_client_opts *o, struct http_client **out,
		    struct err *e)
{
	pthread_once(&curl_once, curl_begin);
	struct http_client *c = xcalloc(1, sizeof(*c));
	c->loop = o->loop;
	c->max_conns_per_host = o->max_conns_per_host ? o->max_conns_per_host : 100;
	c->connect_timeout_ns =
		o->connect_timeout_ns ? o->connect_timeout_ns : 10 * NS_PER_S;
	c->user_agent = o->user_agent ? xstrdup(o->user_agent) : NULL;
	load_ca(c);
	if (call(c, run_begin, e) < 0) {
		client_drop(c);
		return -1;
	}
	*out = c;
	return 0;
}

void http_client_free(struct http_client *c)
{
	struct err e = ERR_INIT;
	if (!c)
		return;
	BUG_ON(call(c, run_end, &e) < 0);
	client_drop(c);
}

/* ---- a request ---- */

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
		       struct err *e)
{
	bool type = false, coding = false;
	for (size_t i = 0; i < r->n_headers; i++) {
		type |= str_eq_nocase(r->headers[i].k, STR("Content-Type"));
		coding |= str_eq_nocase(r->headers[i].k, STR("Accept-Encoding"));
		if (add_header(b, &r->headers[i], e) < 0)
			return -1;
	}
	add_line(b, "Expect:"); /* no waiting for 100 */
	if (!type)
		add_line(b, "Content-Type:"); /* curl would call any body a form */
	if (decode && !coding)
		add_line(b, "Accept-Encoding: gzip");
	return 0;
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
	return 0;
}

static void transfer_free(struct http_body *b)
{
	if (b->pipe) {
		pipe_close(b->pipe, "the reader has gone");
		pipe_unref(
			b->pipe); /* the producer's and ours: the loop has let go of it */
		pipe_unref(b->pipe);
	}
	curl_slist_free_all(b->headers);
	buf_deinit(&b->head);
	pthread_cond_destroy(&b->cv);
	pthread_mutex_destroy(&b->mu);
	free(b->url);
	free(b->shown);
	free(b);
}

void http_body_close(struct http_body *b)
{
	if (!b)
		return;
	client_remove(b);
	transfer_free(b);
}

/* ---- the answer's head ---- */

static bool head_known(void *arg)
{
	const struct http_body *b = arg;
	return b->head_done || b->ended;
}

static int wait_head(struct http_body *b, struct ctx *ctx, struct err *e)
{
	pthread_mutex_lock(&b->mu);
	int rc = ctx_cond_wait(ctx, &b->cv, &b->mu, head_known, b, e);
	bool done = b->head_done;
	struct err why = b->err;
	pthread_mutex_unlock(&b->mu);
	if (rc < 0)
		return err_wrap(ctx, e, "%s %s", b->method, b->shown);
	return done ? 0 : err_copy(ctx, e, &why);
}

/* "Name: value\n" lines into the arena; the name in lower case. */
static void parse_head(const struct http_body *b, struct arena *a,
		       struct http_answer *out)
{
	struct str rest = str_dup(a, buf_view(&b->head)), line;
	size_t n = 0;
	for (size_t i = 0; i < rest.n; i++)
		n += rest.p[i] == '\n';
	*out = (struct http_answer){ .status = b->status };
	out->headers = ARENA_ARRAY(a, struct http_kv, n);
	while (rest.n && out->n_headers < n) {
		struct str name;
		str_cut(&rest, '\n', &line);
		if (!str_cut(&line, ':', &name))
			continue; /* not a header: curl lets a few such lines through */
		char *low = str_dupz(a, name);
		for (size_t i = 0; i < name.n; i++)
			if (low[i] >= 'A' && low[i] <= 'Z')
				low[i] = (char)(low[i] + 32);
		out->headers[out->n_headers++] =
			(struct http_kv){ str_n(low, name.n), str_trim(line) };
	}
}

struct str http_answer_header(const struct http_answer *a, const char *lower_name)
{
	for (size_t i = 0; i < a->n_headers; i++)
		if (str_eqz(a->headers[i].k, lower_name))
			return a->headers[i].v;
	return STR_NULL;
}

/* ---- calls ---- */

static int open_transfer(struct http_client *c, struct ctx *ctx, struct arena *a,
			 const struct http_fetch_req *r, size_t window, bool decode,
			 struct http_answer *out, struct http_body **body, struct err *e)
{
	struct http_body *b = xcalloc(1, sizeof(*b));
	b->client = c;
	b->method = r->method;
	b->send = r->body;
	buf_init(&b->head, CLIENT_HEAD_BYTES_MAX);
	pthread_mutex_init(&b->mu, NULL);
	ctx_cond_init(&b->cv);
	if ((ctx && ctx_check(ctx, e) < 0) || set_url(b, r->url, e) < 0 ||
	    set_headers(b, r, decode, e) < 0) {
		transfer_free(b);
		return -1;
	}
	b->pipe = pipe_new(&(struct pipe_opts){
		.limit = window, .budget = ctx ? ctx->budget : NULL, .charge = true });
	client_add(b);
	if (wait_head(b, ctx, e) < 0) {
		http_body_close(b);
		return -1;
	}
	parse_head(b, a, out);
	*body = b;
	return 0;
}

int http_open(struct http_client *c, struct ctx *ctx, struct arena *a,
	      const struct http_fetch_req *r, size_t window, struct http_answer *out,
	      struct http_body **body, struct err *e)
{
	return open_transfer(c, ctx, a, r, window, false, out, body, e);
}

int http_body_read(struct http_body *b, struct ctx *ctx, struct view *v, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = pipe_read(b->pipe, ctx, v, &why);
	if (rc >= 0)
		return rc == PIPE_OK;
	err_copy(ctx, e, &why);
	/* A failed transfer names itself; a wait that ended does not. */
	struct str text = str_of(err_text(e));
	if (str_find(text, str_of(b->shown)) < 0)
		err_wrap(ctx, e, "%s %s", b->method, b->shown);
	return -1;
}

void http_body_release(struct http_body *b, struct view *v)
{
	pipe_release(b->pipe, v);
}

/* The whole body, as it came, into `to`. */
static int read_all(struct http_body *b, struct ctx *ctx, struct buf *to, struct err *e)
{
	struct view v;
	int rc;
	while ((rc = http_body_read(b, ctx, &v, e)) > 0) {
		buf_add(to, v.p, v.n);
		http_body_release(b, &v);
		if (to->failed)
			return err_set(ctx, e, E_LIMIT,
				       "%s %s: body larger than %zu bytes", b->method,
				       b->shown, to->max);
	}
	return rc;
}

static int read_gzip(struct http_body *b, struct ctx *ctx, struct buf *to, struct err *e)
{
	struct buf raw;
	size_t room = to->max - to->n;
	buf_init(&raw, room < SIZE_MAX / 2 ? room + 1024 : room);
	int rc = read_all(b, ctx, &raw, e);
	if (rc == 0 && raw.n > 0) {
		rc = gzip_decode(buf_view(&raw), room, to, e);
		if (rc < 0)
			rc = err_wrap(ctx, e, "%s %s", b->method, b->shown);
	}
	buf_deinit(&raw);
	return rc;
}

int http_fetch(struct http_client *c, struct ctx *ctx, struct arena *a,
	       const struct http_fetch_req *r, struct http_answer *out, struct buf *body,
	       struct err *e)
{
	struct http_body *b;
	bool head = strcmp(r->method, "HEAD") == 0;
	if (open_transfer(c, ctx, a, r, 0, !head, out, &b, e) < 0)
		return -1;
	bool gz = str_eq_nocase(http_answer_header(out, "content-encoding"), STR("gzip"));
	int rc = gz && !head ? read_gzip(b, ctx, body, e) : read_all(b, ctx, body, e);
	http_body_close(b);
	return rc;
}
