/*
 * http/client_curl.c - the loop's half of the client: libcurl's multi interface driven by the loop.
 *
 * curl tells which sockets to watch (on_socket) and when it wants to be called (on_want_timer); readiness and
 * the timer go to curl_multi_socket_action; after each call ended transfers are collected. Nothing is removed from
 * within curl's callbacks. A body's bytes go through a pipe: when it is full the transfer is paused, and the pipe's
 * wake, called on the reader's thread, posts the resumption.
 *
 * A body that comes in many small pieces costs a wake of the loop and a read for each, and its sender the waking. Where the
 * request says so (gather), the kernel tells of its socket only when enough is there; what is less is read when 2 ms have
 * passed, and when nothing came in them the next byte is told of at once, so that a quiet body costs no ticks.
 *
 * Lifetime: the wake runs on the thread that reads the pipe, and that thread removes the transfer later, so every
 * posted resumption runs before the posted removal.
 */
#include "http/client_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "net/poll.h"

#define GATHER_NS    (2 * NS_PER_MS)
#define GATHER_LEAST ((size_t)16 << 10) /* of a slab, but the first */
#define GATHER_READS 16u		/* of one socket, before others have their turn */

struct client_sock { /* hangs on curl's socket */
	struct http_client *client;
	curl_socket_t fd;
	struct net_poll *poll;
	struct http_body *body;	 /* whose body->sock this is; NULL: nobody's */
	struct loop_timer *tick; /* while it is gathered; NULL: it is not */
	bool quiet;		 /* any byte is told of */
	size_t unread;		 /* when it was last read */
};

/* ---- gathering ---- */

static void on_tick(void *arg);

static void gather_begin(struct client_sock *s)
{
	if (!s->tick)
		s->tick = loop_timer_new(s->client->loop, on_tick, s);
	net_poll_least(s->poll, s->body->req.gather);
	s->quiet = false;
	loop_timer_start(s->tick, GATHER_NS, 0);
}

static void gather_end(struct client_sock *s)
{
	if (!s->tick)
		return;
	loop_timer_free(s->tick);
	s->tick = NULL;
	net_poll_least(s->poll, 1);
}

/* The transfer that a socket is watched for; NULL: none. */
static void sock_of(struct client_sock *s, struct http_body *b)
{
	if (s->body == b)
		return;
	gather_end(s);
	if (s->body)
		s->body->sock = NULL;
	if (b && b->sock)
		sock_of(b->sock, NULL);
	s->body = b;
	if (b)
		b->sock = s;
}

/* Pieces into the pipe, as one. -1: b->why. */
static int push_fill(struct http_body *b)
{
	struct slab *s = b->fill;
	b->fill = NULL;
	return pipe_push(b->pipe, (struct view){ s->data, s->used, &s->ref }, &b->why);
}

/* Room for the next piece. */
static bool has_fill(const struct http_body *b, size_t len)
{
	return b->fill && b->fill->cap - b->fill->used >= len;
}

static size_t fill(struct http_body *b, const char *p, size_t len)
{
	struct http_client *c = b->client;
	if (!b->fill) {
		size_t there = b->sock ? b->sock->unread : 0;
		b->fill = slab_new(NULL, MAX(len, MIN(there, b->req.gather)));
		if (b->sock) /* more may come while curl reads */
			b->sock->unread = MAX(2 * there, GATHER_LEAST);
	}
	memcpy(b->fill->data + b->fill->used, p, len);
	b->fill->used += len;
	if (!b->filled) {
		b->filled = true;
		b->next_filled = c->filled;
		c->filled = b;
	}
	return len;
}

/* ---- ends ---- */

static enum err_code code_of(CURLcode rc)
{
	switch (rc) {
	case CURLE_OPERATION_TIMEDOUT: return E_TIMEOUT;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL: return E_INVALID;
	case CURLE_PEER_FAILED_VERIFICATION: /* nor does trying again help here */
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE: return E_DENIED;
	default: return E_UNAVAILABLE;
	}
}

/* curl is through with b: tell both who waits for the head and who reads the body. */
static void transfer_end(struct http_body *b, CURLcode rc)
{
	struct err e = ERR_INIT;
	loop_timer_free(b->timer);
	b->timer = NULL;
	if (b->fill) /* given up before it was whole */
		ref_put(&b->fill->ref);
	b->fill = NULL;
	if (b->up_pipe) { /* whoever still feeds it stops */
		if (b->up.n)
			pipe_release(b->up_pipe, &b->up);
		pipe_close(b->up_pipe, "the transfer has ended");
	}
	if (b->failed)
		e = b->why;
	else if (rc != CURLE_OK)
		err_set(NULL, &e, code_of(rc), "%s %s: %s", b->method, b->shown,
			b->text[0] ? b->text : curl_easy_strerror(rc));
	else if (!b->head_done)
		err_set(NULL, &e, E_UNAVAILABLE, "%s %s: no answer", b->method, b->shown);
	if (e.code == E_OK)
		pipe_end(b->pipe);
	else
		pipe_fail(b->pipe, &e);
	pthread_mutex_lock(&b->mu);
	b->ended = true;
	b->err = e;
	pthread_cond_broadcast(&b->cv);
	pthread_mutex_unlock(&b->mu);
}

/* Take the handle out of the multi; it is kept for a later request, its connection stays with the multi. */
static void easy_release(struct http_body *b)
{
	struct http_client *c = b->client;
	if (!b->added)
		return;
	b->added = false;
	if (b->sock)
		sock_of(b->sock, NULL);
	curl_multi_remove_handle(c->multi, b->easy);
	curl_easy_reset(b->easy); /* forgets pointers to b */
	if (c->n_idle < CLIENT_IDLE_EASY)
		c->idle[c->n_idle++] = b->easy;
	else
		curl_easy_cleanup(b->easy);
	b->easy = NULL;
}

static void collect_ended(struct http_client *c)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(c->multi, &left))) {
		struct http_body *b = NULL;
		CURLcode rc = m->data.result;
		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&b);
		easy_release(b);
		transfer_end(b, rc);
	}
}

/* ---- time ---- */

static void on_late(void *arg)
{
	struct http_body *b = arg;
	if (!b->added)
		return;
	b->failed = true;
	err_set(NULL, &b->why, E_TIMEOUT, "%s %s: %s", b->method, b->shown,
		b->head_done || b->up_sent < b->source.size ? "no byte for too long"
							    : "no answer in time");
	easy_release(b);
	transfer_end(b, CURLE_OPERATION_TIMEDOUT);
}

static void await(struct http_body *b, uint64_t ns)
{
	if (b->timer && ns)
		loop_timer_start(b->timer, ns, 0);
	else if (b->timer)
		loop_timer_stop(b->timer);
}

/* Connected, and the request goes out now: a time for connecting is over. */
static int on_connected(void *arg, char *peer, char *local, int peer_port, int local_port)
{
	struct http_body *b = arg;
	(void)peer, (void)local, (void)peer_port, (void)local_port;
	await(b, b->has_source && b->source.size ? b->client->o.stall_timeout_ns
						 : b->client->o.header_timeout_ns);
	return CURL_PREREQFUNC_OK;
}

/* ---- curl's wishes ---- */

/* After each call into curl: what it gathered goes on, and transfers that have ended end. */
static void settle(struct http_client *c)
{
	while (c->filled) {
		struct http_body *b = c->filled;
		c->filled = b->next_filled;
		b->filled = false;
		if (!b->fill || push_fill(b) == 0) {
			await(b, c->o.stall_timeout_ns);
			continue;
		}
		b->failed = true;
		easy_release(b);
		transfer_end(b, CURLE_WRITE_ERROR);
	}
	collect_ended(c);
}

static void act(struct http_client *c, curl_socket_t fd, int bits)
{
	int running;
	curl_multi_socket_action(c->multi, fd, bits, &running);
	/* curl stops sending when an answer comes early, but waits for ever if that was paused. */
	while (c->answered) {
		struct http_body *b = c->answered;
		c->answered = b->next_answered;
		b->up_paused = false;
		curl_easy_pause(b->easy, b->paused ? CURLPAUSE_RECV : CURLPAUSE_CONT);
	}
	settle(c);
}

/* All that is there, in turn with others. False: the socket has gone. */
static bool drink(struct client_sock *s, int bits)
{
	struct http_client *c = s->client;
	c->drunk = s;
	for (unsigned i = 0; i < GATHER_READS; i++) {
		s->unread = net_poll_unread(s->poll);
		if (i && (!s->body || s->unread < s->body->req.gather))
			break;
		act(c, s->fd, bits);
		if (c->drunk != s)
			return false;
	}
	c->drunk = NULL;
	return true;
}

static void on_tick(void *arg)
{
	struct client_sock *s = arg;
	if (net_poll_unread(s->poll) == 0) {
		s->quiet = true;
		net_poll_least(s->poll, 1);
	} else if (drink(s, CURL_CSELECT_IN) && s->tick) {
		loop_timer_start(s->tick, GATHER_NS, 0);
	}
}

static void on_ready(void *arg, int events)
{
	struct client_sock *s = arg;
	int bits = (events & NET_POLL_IN ? CURL_CSELECT_IN : 0) |
		   (events & NET_POLL_OUT ? CURL_CSELECT_OUT : 0);
	if (!s->tick) {
		act(s->client, s->fd, bits); /* may free s */
		return;
	}
	if (s->quiet)
		gather_begin(s); /* first: curl reads as long as there is something */
	if (drink(s, bits) && s->tick)
		loop_timer_start(s->tick, GATHER_NS, 0);
}

static void on_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_want_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *c = arg;
	(void)multi;
	if (timeout_ms < 0)
		loop_timer_stop(c->timer);
	else
		loop_timer_start(c->timer, (uint64_t)timeout_ms * NS_PER_MS, 0);
	return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct http_client *c = arg;
	struct client_sock *s = of_socket;
	struct http_body *b = NULL;
	if (what == CURL_POLL_REMOVE) {
		if (s) {
			curl_multi_assign(c->multi, fd, NULL);
			sock_of(s, NULL);
			if (c->drunk == s)
				c->drunk = NULL;
			net_poll_free(s->poll);
			free(s);
		}
		return 0;
	}
	if (!s) {
		s = xcalloc(1, sizeof(*s));
		*s = (struct client_sock){ .client = c, .fd = fd };
		s->poll = net_poll_new(c->loop, fd, on_ready, s);
		if (!s->poll) {
			free(s);
			return -1;
		}
		curl_multi_assign(c->multi, fd, s);
	}
	net_poll_start(s->poll, (what & CURL_POLL_IN ? NET_POLL_IN : 0) |
					(what & CURL_POLL_OUT ? NET_POLL_OUT : 0));
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&b);
	sock_of(s, b);
	if (b && b->req.gather && b->head_done && !s->tick)
		gather_begin(s);
	return 0;
}

/* ---- what arrives ---- */

static void head_ready(struct http_body *b)
{
	pthread_mutex_lock(&b->mu);
	b->head_done = true;
	pthread_cond_broadcast(&b->cv);
	pthread_mutex_unlock(&b->mu);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_body *b = arg;
	struct str line = str_trim(str_n(p, size * n));
	if (b->head_done) /* trailers */
		return size * n;
	if (line.n >= 5 && memcmp(line.p, "HTTP/", 5) == 0) {
		buf_reset(&b->head); /* a 1xx before the answer */
		return size * n;
	}
	if (line.n == 0) {
		long status = 0;
		curl_easy_getinfo(b->easy, CURLINFO_RESPONSE_CODE, &status);
		b->status = (int)status;
		if (status >= 200) {
			head_ready(b);
			await(b, b->client->o.stall_timeout_ns);
			if (b->req.gather && b->sock)
				gather_begin(b->sock);
		}
		if (status >= 300 && b->up_pipe) { /* curl sends no more of it, either */
			pipe_close(b->up_pipe, "the peer has answered");
			b->next_answered = b->client->answered;
			b->client->answered = b;
		}
		return size * n;
	}
	buf_str(&b->head, line);
	buf_byte(&b->head, '\n');
	if (b->head.failed) {
		b->failed = true;
		err_set(NULL, &b->why, E_LIMIT,
			"%s %s: answer's head larger than %zu bytes", b->method, b->shown,
			b->head.max);
		return 0;
	}
	return size * n;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *arg)
{
	struct http_body *b = arg;
	size_t len = size * n;
	if (len == 0)
		return 0;
	if (b->fill && !has_fill(b, len) && push_fill(b) < 0) {
		b->failed = true;
		return 0;
	}
	if (!b->fill && pipe_full(b->pipe)) {
		b->paused = true;
		await(b, 0);
		return CURL_WRITEFUNC_PAUSE;
	}
	if (b->req.gather)
		return fill(b, p, len);
	struct slab *s = slab_new(NULL, len); /* the pipe charges */
	memcpy(s->data, p, len);
	s->used = len;
	if (pipe_push(b->pipe, (struct view){ s->data, len, &s->ref }, &b->why) < 0) {
		b->failed = true;
		return 0;
	}
	await(b, b->client->o.stall_timeout_ns);
	return len;
}

/* Bytes of the request, from what the worker has put into the pipe. */
static size_t on_want_bytes(char *p, size_t size, size_t n, void *arg)
{
	struct http_body *b = arg;
	size_t cap = size * n, done = 0;
	while (done < cap) {
		if (b->up_at == b->up.n) {
			if (b->up.n)
				pipe_release(b->up_pipe, &b->up);
			b->up = (struct view){ 0 };
			b->up_at = 0;
			int rc = pipe_try_read(b->up_pipe, &b->up, &b->why);
			if (rc < 0) {
				b->failed = true;
				return CURL_READFUNC_ABORT;
			}
			if (rc == PIPE_AGAIN && done == 0) {
				b->up_paused = true;
				await(b, 0); /* it is our disk that is slow */
				return CURL_READFUNC_PAUSE;
			}
			if (rc != PIPE_OK)
				break;
		}
		size_t k = MIN(cap - done, b->up.n - b->up_at);
		memcpy(p + done, b->up.p + b->up_at, k);
		done += k;
		b->up_at += k;
	}
	b->up_sent += done;
	await(b, b->up_sent < b->source.size ? b->client->o.stall_timeout_ns
					     : b->client->o.header_timeout_ns);
	return done;
}

static void unpause(struct http_body *b)
{
	int still =
		(b->paused ? CURLPAUSE_RECV : 0) | (b->up_paused ? CURLPAUSE_SEND : 0);
	/* Hands over what it kept, and asks for the timer. A refusal of on_bytes comes back here only. */
	CURLcode rc = curl_easy_pause(b->easy, still);
	settle(b->client);
	if (rc != CURLE_OK && b->added) {
		easy_release(b);
		transfer_end(b, rc);
	}
}

static void resume(void *arg)
{
	struct http_body *b = arg;
	if (!b->added || !b->paused)
		return;
	b->paused = false;
	unpause(b);
}

static void resume_up(void *arg)
{
	struct http_body *b = arg;
	if (!b->added || !b->up_paused)
		return;
	b->up_paused = false;
	unpause(b);
}

static void on_more(void *arg) /* on the feeding worker's thread */
{
	struct http_body *b = arg;
	loop_post(b->client->loop, resume_up, b);
}

static void on_room(void *arg) /* on the reader's thread */
{
	struct http_body *b = arg;
	loop_post(b->client->loop, resume, b);
}

/* ---- adding and removing ---- */

static void set_method(struct http_body *b)
{
	CURL *h = b->easy;
	bool sends = b->send.n > 0 || strcmp(b->method, "POST") == 0 ||
		     strcmp(b->method, "PUT") == 0;
	if (strcmp(b->method, "HEAD") == 0) {
		curl_easy_setopt(h, CURLOPT_NOBODY, 1L);
		return;
	}
	if (b->has_source) {
		sends = true;
		curl_easy_setopt(h, CURLOPT_POST, 1L);
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)b->source.size);
		curl_easy_setopt(h, CURLOPT_READFUNCTION, on_want_bytes);
		curl_easy_setopt(h, CURLOPT_READDATA, (void *)b);
		curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
	} else if (sends) {
		curl_easy_setopt(h, CURLOPT_POST, 1L);
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, b->send.n ? b->send.p : "");
		curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)b->send.n);
	}
	if (strcmp(b->method, sends ? "POST" : "GET") != 0)
		curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, b->method);
}

static long tls_versions(const struct http_tls_conf *t)
{
	static const struct {
		const char *name;
		long min, max;
	} v[] = { { "TLS10", CURL_SSLVERSION_TLSv1_0, CURL_SSLVERSION_MAX_TLSv1_0 },
		  { "TLS11", CURL_SSLVERSION_TLSv1_1, CURL_SSLVERSION_MAX_TLSv1_1 },
		  { "TLS12", CURL_SSLVERSION_TLSv1_2, CURL_SSLVERSION_MAX_TLSv1_2 },
		  { "TLS13", CURL_SSLVERSION_TLSv1_3, CURL_SSLVERSION_MAX_TLSv1_3 } };
	long min = CURL_SSLVERSION_TLSv1_2, max = CURL_SSLVERSION_MAX_DEFAULT;
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		if (str_eqz(t->min_version, v[i].name))
			min = v[i].min;
		if (str_eqz(t->max_version, v[i].name)) {
			max = v[i].max;
			if (!t->min_version.n && i < 2)
				min = v[i].min;
		}
	}
	return min | max;
}

static void set_blob(CURL *h, CURLoption o, const struct buf *b)
{
	struct curl_blob blob = { b->p, b->n, CURL_BLOB_NOCOPY };
	if (b->n)
		curl_easy_setopt(h, o, &blob);
}

static void set_tls(const struct http_body *b)
{
	const struct http_tls_conf *t = &b->client->conf.tls;
	CURL *h = b->easy;
	if (!b->pem)
		return;
	set_blob(h, CURLOPT_CAINFO_BLOB, &b->pem->ca);
	set_blob(h, CURLOPT_SSLCERT_BLOB, &b->pem->cert);
	set_blob(h, CURLOPT_SSLKEY_BLOB, &b->pem->key);
	curl_easy_setopt(h, CURLOPT_SSLVERSION, tls_versions(t));
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, t->insecure_skip_verify ? 0L : 1L);
	curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, t->insecure_skip_verify ? 0L : 2L);
	if (b->connect_to)
		curl_easy_setopt(h, CURLOPT_CONNECT_TO, b->connect_to);
}

static void set_connection(const struct http_body *b)
{
	const struct http_client *c = b->client;
	CURL *h = b->easy;
	uint64_t connect = c->o.connect_timeout_ns;
	if (b->pem)
		connect += c->o.handshake_timeout_ns;
	curl_easy_setopt(h, CURLOPT_PROXY,
			 b->proxy ? b->proxy : ""); /* never curl's own idea */
	curl_easy_setopt(h, CURLOPT_NOPROXY, c->no_proxy ? c->no_proxy : "");
	curl_easy_setopt(h, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect / NS_PER_MS) + 1);
	curl_easy_setopt(h, CURLOPT_MAXAGE_CONN,
			 (long)(c->o.idle_timeout_ns / NS_PER_S) + 1);
	set_tls(b);
}

static void set_options(struct http_body *b)
{
	const struct http_client *c = b->client;
	CURL *h = b->easy;
	curl_easy_setopt(h, CURLOPT_PRIVATE, (void *)b);
	curl_easy_setopt(h, CURLOPT_URL, b->url);
	curl_easy_setopt(h, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L); /* client_redirect's affair */
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_BUFFERSIZE,
			 MAX(64L << 10, (long)MIN(b->req.gather, CURL_MAX_READ_SIZE)));
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, b->text);
	if (c->user_agent)
		curl_easy_setopt(h, CURLOPT_USERAGENT, c->user_agent);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, b->headers);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, (void *)b);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, (void *)b);
	if (c->o.header_timeout_ns || c->o.stall_timeout_ns) {
		b->timer = loop_timer_new(c->loop, on_late, b);
		curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, on_connected);
		curl_easy_setopt(h, CURLOPT_PREREQDATA, (void *)b);
	}
	set_connection(b);
	set_method(b);
}

struct client_op {
	struct loop_op base;
	struct http_body *b;
};

static void client_op_free(struct loop_op *op)
{
	free(CONTAINER_OF(op, struct client_op, base));
}

static void run_add(struct loop_op *op)
{
	struct http_body *b = CONTAINER_OF(op, struct client_op, base)->b;
	struct http_client *c = b->client;
	b->easy = c->n_idle ? c->idle[--c->n_idle] : curl_easy_init();
	BUG_ON(!b->easy);
	set_options(b);
	pipe_producer_wake(b->pipe, on_room, b);
	if (b->up_pipe)
		pipe_consumer_wake(b->up_pipe, on_more, b);
	CURLMcode rc = curl_multi_add_handle(c->multi, b->easy);
	if (rc == CURLM_OK) {
		b->added = true;
	} else {
		b->failed = true;
		err_set(NULL, &b->why, E_INTERNAL, "%s %s: %s", b->method, b->shown,
			curl_multi_strerror(rc));
		curl_easy_cleanup(b->easy);
		b->easy = NULL;
		transfer_end(b, CURLE_OK);
	}
	loop_op_done(op, NULL);
}

static void run_remove(struct loop_op *op)
{
	struct http_body *b = CONTAINER_OF(op, struct client_op, base)->b;
	if (b->added) {
		easy_release(b);
		b->failed = true;
		err_set(NULL, &b->why, E_CANCELLED, "%s %s: given up", b->method,
			b->shown);
		transfer_end(b, CURLE_OK); /* no wake comes from here on */
	}
	loop_op_done(op, NULL);
}

static void call(struct http_body *b, void (*fn)(struct loop_op *op))
{
	struct client_op *op = xcalloc(1, sizeof(*op));
	struct err e = ERR_INIT;
	loop_op_init(&op->base, client_op_free);
	op->b = b;
	BUG_ON(loop_call(b->client->loop, NULL, fn, &op->base, &e) < 0);
	loop_op_unref(&op->base);
}

void client_add(struct http_body *b)
{
	call(b, run_add);
}

void client_remove(struct http_body *b)
{
	call(b, run_remove);
}

/* ---- the multi ---- */

int client_loop_begin(struct http_client *c, struct err *e)
{
	c->multi = curl_multi_init();
	if (!c->multi)
		return err_set(NULL, e, E_INTERNAL, "http client: cannot start libcurl");
	c->timer = loop_timer_new(c->loop, on_timer, c);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_want_timer);
	curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
	curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
			  c->o.max_conns_per_host == UINT32_MAX
				  ? 0L
				  : (long)c->o.max_conns_per_host);
	curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)c->o.max_idle);
	return 0;
}

void client_loop_end(struct http_client *c)
{
	while (c->n_idle)
		curl_easy_cleanup(c->idle[--c->n_idle]);
	curl_multi_cleanup(c->multi); /* closes sockets: on_socket frees the polls */
	c->multi = NULL;
	loop_timer_free(c->timer);
	c->timer = NULL;
}
