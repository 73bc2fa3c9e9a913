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

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void curl_begin(void)
{
	BUG_ON(curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK);
}

/* ---- the client ---- */

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
	client_auth_deinit(&c->auth);
	client_tls_deinit(&c->tls);
	arena_deinit(&c->arena);
	free(c->proxy_http);
	free(c->proxy_https);
	free(c->no_proxy);
	free(c->user_agent);
	free(c);
}

/* Texts of a configuration into the arena: whoever bound it may free its own. */
static void keep(struct arena *a, struct str *s)
{
	if (s->n)
		*s = str_dup(a, *s);
}

static void keep_tls(struct arena *a, struct http_tls_conf *t)
{
	struct str *const all[] = { &t->ca,	     &t->cert,	      &t->key,
				    &t->ca_file,     &t->cert_file,   &t->key_file,
				    &t->server_name, &t->min_version, &t->max_version };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		keep(a, all[i]);
}

static void keep_conf(struct arena *a, struct http_client_conf *c)
{
	struct http_oauth2_conf *o = &c->oauth2;
	struct str *const all[] = { &c->basic.username,
				    &c->basic.username_file,
				    &c->basic.password,
				    &c->basic.password_file,
				    &c->authorization.type,
				    &c->authorization.credentials,
				    &c->authorization.credentials_file,
				    &c->bearer_token,
				    &c->bearer_token_file,
				    &c->proxy_url,
				    &c->no_proxy,
				    &o->client_id,
				    &o->client_secret,
				    &o->client_secret_file,
				    &o->token_url,
				    &o->proxy_url };
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		keep(a, all[i]);
	keep_tls(a, &c->tls);
	keep_tls(a, &o->tls);
	struct str *scopes = ARENA_ARRAY(a, struct str, o->scopes.n);
	for (size_t i = 0; i < o->scopes.n; i++)
		scopes[i] = str_dup(a, o->scopes.v[i]);
	o->scopes.v = scopes;
	struct http_kv *params = ARENA_ARRAY(a, struct http_kv, o->n_params);
	for (size_t i = 0; i < o->n_params; i++)
		params[i] = (struct http_kv){ str_dup(a, o->params[i].k),
					      str_dup(a, o->params[i].v) };
	o->params = params;
	o->endpoint_params = NULL;
}

static char *env_either(const char *upper, const char *lower)
{
	const char *v = getenv(upper);
	if (!v || !v[0])
		v = getenv(lower);
	return v && v[0] ? xstrdup(v) : NULL;
}

static void set_proxy(struct http_client *c)
{
	const struct http_client_conf *k = &c->conf;
	if (k->proxy_from_environment) {
		c->proxy_http = env_either("HTTP_PROXY", "http_proxy");
		c->proxy_https = env_either("HTTPS_PROXY", "https_proxy");
		c->no_proxy = env_either("NO_PROXY", "no_proxy");
	} else if (k->proxy_url.n) { /* kept by the arena, NUL-terminated */
		c->proxy_http = xstrdup(k->proxy_url.p);
		c->proxy_https = xstrdup(k->proxy_url.p);
		c->no_proxy = k->no_proxy.n ? xstrdup(k->no_proxy.p) : NULL;
	}
}

int http_client_new(const struct http_client_opts *o, struct http_client **out,
		    struct err *e)
{
	pthread_once(&curl_once, curl_begin);
	struct http_client *c = xcalloc(1, sizeof(*c));
	c->loop = o->loop;
	c->o = *o;
	c->o.connect_timeout_ns =
		o->connect_timeout_ns ? o->connect_timeout_ns : 10 * NS_PER_S;
	c->o.handshake_timeout_ns =
		o->handshake_timeout_ns ? o->handshake_timeout_ns : 10 * NS_PER_S;
	c->o.idle_timeout_ns = o->idle_timeout_ns ? o->idle_timeout_ns : 90 * NS_PER_S;
	c->o.max_conns_per_host = o->max_conns_per_host ? o->max_conns_per_host : 100;
	c->o.max_idle = o->max_idle ? o->max_idle : 256;
	c->user_agent = o->user_agent ? xstrdup(o->user_agent) : NULL;
	arena_init(&c->arena, NULL);
	if (o->conf)
		c->conf = *o->conf;
	keep_conf(&c->arena, &c->conf);
	c->o.conf = NULL;
	set_proxy(c);
	client_tls_init(&c->tls, &c->conf.tls);
	if (client_auth_init(c, o, e) < 0 || call(c, run_begin, e) < 0) {
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

void http_body_close(struct http_body *b)
{
	if (!b)
		return;
	client_remove(b);
	client_transfer_free(b);
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

static bool pump_over(struct http_body *b, struct ctx *ctx, struct err *e)
{
	return pipe_closed(b->up_pipe) && (!ctx || ctx_check(ctx, e) == 0);
}

/*
 * The source into the pipe, until it has ended or the peer does not want more of it: an early answer and the end
 * of the transfer close the pipe.
 */
static int pump(struct http_body *b, struct ctx *ctx, struct err *e)
{
	uint64_t left = b->source.size;
	for (;;) {
		struct slab *s = slab_try(ctx ? ctx->budget : NULL, ctx, SLAB_BYTES, e);
		if (!s)
			return -1;
		size_t n = 0;
		int rc = b->source.read(b->source.arg, ctx, s->data, s->cap, &n, e);
		if (rc == 0 && (n > left || (n == 0 && left > 0)))
			rc = err_set(
				ctx, e, E_IO,
				"the body's source gave %llu bytes, %llu were announced",
				(unsigned long long)(b->source.size - left + n),
				(unsigned long long)b->source.size);
		if (rc < 0 || n == 0) {
			ref_put(&s->ref);
			if (rc == 0)
				pipe_end(b->up_pipe);
			return rc;
		}
		left -= n;
		struct err why = ERR_INIT;
		if (pipe_write(b->up_pipe, ctx, (struct view){ s->data, n, &s->ref },
			       &why) < 0)
			return pump_over(b, ctx, e) ? 0 : err_copy(ctx, e, &why);
	}
}

int http_answer_wait(struct http_body *b, struct ctx *ctx, struct arena *a,
		     struct http_answer *out, struct err *e)
{
	if (b->up_pipe && pump(b, ctx, e) < 0)
		return err_wrap(ctx, e, "%s %s", b->method, b->shown);
	if (wait_head(b, ctx, e) < 0)
		return -1;
	parse_head(b, a, out);
	return 0;
}

static int begin(struct http_client *c, struct ctx *ctx, const struct http_fetch_req *r,
		 size_t window, bool decode, bool auth, struct http_body **body,
		 struct err *e)
{
	struct http_body *b;
	if ((ctx && ctx_check(ctx, e) < 0) ||
	    client_transfer_new(c, ctx, r, window, decode, auth, &b, e) < 0)
		return -1;
	client_add(b);
	*body = b;
	return 0;
}

int http_begin(struct http_client *c, struct ctx *ctx, const struct http_fetch_req *r,
	       size_t window, struct http_body **body, struct err *e)
{
	return begin(c, ctx, r, window, false, true, body, e);
}

static int open_transfer(struct http_client *c, struct ctx *ctx, struct arena *a,
			 const struct http_fetch_req *r, size_t window, bool decode,
			 struct http_answer *out, struct http_body **body, struct err *e)
{
	struct http_fetch_req req = *r;
	struct http_body *b;
	unsigned left = c->conf.follow_redirects ? CLIENT_REDIRECTS : 0;
	bool same = true, trusted = true;
	for (;;) {
		if (begin(c, ctx, &req, window, decode, trusted, &b, e) < 0)
			return -1;
		int rc = http_answer_wait(b, ctx, a, out, e);
		if (rc == 0 && c->conf.follow_redirects)
			rc = client_redirect(a, b, out, &req, &same);
		if (rc > 0 && req.source)
			rc = req.source->rewind(req.source->arg, ctx, e) < 0 ? -1 : 1;
		if (rc > 0 && left-- == 0)
			rc = err_set(ctx, e, E_REMOTE, "%s %s: more than %u redirects",
				     b->method, b->shown, CLIENT_REDIRECTS);
		if (rc == 0) {
			*body = b;
			return 0;
		}
		http_body_close(b);
		if (rc < 0)
			return -1;
		trusted = trusted && same; /* once elsewhere, never again */
	}
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
