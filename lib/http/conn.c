/*
 * http/conn.c - one server connection on its loop: bytes in, requests out, answers in order.
 *
 *   READ ---request complete---> RUN ---answer out---> READ ...
 *     \--bad, too large, no route--> LINGER             \--last answer--> FLUSH
 *
 * READ    no call: idle. With a call: head or body is on its way; the timer guards it (408).
 * RUN     a request thread has the call. Reading goes on into a small buffer, so that a client that goes away
 *         is seen at once and cancels the call's token; a client that pipelines more than the buffer takes is
 *         not read, and its going is then seen only when the answer is written.
 * FLUSH   the last bytes are queued; the connection closes when they are written.
 * LINGER  the same with input still coming: it is read and dropped for a moment, because closing a
 *         socket with unread input resets it and the client might lose the answer.
 *
 * HTTP/2 (h2_conn.c) takes the connection over where TLS has agreed on it, where the first bytes are those of its
 * preface, and where a request without a body asks for it by Upgrade.
 *
 * The pipe between handler and loop is read while the socket is not full. Who takes no bytes for
 * body_timeout_ns is cut; http_write gives up a moment before.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "http/http_int.h"

#define PIPELINE_MAX ((size_t)64 << 10)
#define INPUT_MAX    (PIPELINE_MAX + ((size_t)256 << 10)) /* and one read of the loop */
#define LINGER_NS    NS_PER_S

enum conn_state { CONN_READ, CONN_RUN, CONN_FLUSH, CONN_LINGER };

struct http_conn {
	struct http_server *server;
	struct http_shard *shard;
	struct http_conn *next, *prev; /* of the shard */
	struct net_conn *net;
	struct loop_timer *timer;
	struct h1_parser *parser;
	enum conn_state st;
	struct http_call *call; /* the request being read or answered */
	struct h2_conn *h2;	/* speaks HTTP/2: what follows is unused */
	struct buf in;		/* came while it could not be parsed */
	bool begun;		/* which protocol it speaks is known */
	bool asked;		/* has begun a request */
	bool in_body, paused, eof;
	size_t body_n; /* bytes of the body since the timer was set */
	uint64_t linger_until;
	size_t last_unsent; /* at the timer's last look */
};

struct http_conn *http_conn_next(const struct http_conn *c)
{
	return c->next;
}

static void unlink_conn(struct http_conn *c)
{
	struct http_shard *s = c->shard;
	*(c->prev ? &c->prev->next : &s->first) = c->next;
	*(c->next ? &c->next->prev : &s->last) = c->prev;
}

static void link_first(struct http_conn *c)
{
	struct http_shard *s = c->shard;
	c->prev = NULL;
	c->next = s->first;
	*(c->next ? &c->next->prev : &s->last) = c;
	s->first = c;
}

void http_conn_touch(struct http_conn *c)
{
	c->asked = true;
	unlink_conn(c);
	link_first(c);
}

static void pause_reading(struct http_conn *c, bool paused)
{
	if (c->paused == paused || c->eof)
		return;
	c->paused = paused;
	net_conn_pause(c->net, paused);
}

/* ---- ending ---- */

static void begin_flush(struct http_conn *c)
{
	c->st = CONN_FLUSH;
	c->last_unsent = net_conn_unsent(c->net);
	loop_timer_start(c->timer, c->server->o.body_timeout_ns,
			 c->server->o.body_timeout_ns);
	net_conn_finish(c->net);
}

static void begin_linger(struct http_conn *c)
{
	if (c->eof) {
		begin_flush(c);
		return;
	}
	c->st = CONN_LINGER;
	c->linger_until = time_after_ns(c->server->o.body_timeout_ns);
	net_conn_shutdown(c->net); /* the client sees the answer's end at once */
	pause_reading(c, false);
	loop_timer_start(c->timer, LINGER_NS, LINGER_NS);
}

static void drop_call(struct http_conn *c)
{
	http_call_drop(c->call);
	c->call = NULL;
}

void http_conn_gone(struct http_conn *c, const struct err *why)
{
	struct http_server *s = c->server;
	if (why)
		log_debug(NULL, "http: %s", err_text(why));
	h1_free(c->parser); /* its body is charged to the call */
	drop_call(c);
	loop_timer_free(c->timer);
	buf_deinit(&c->in);
	unlink_conn(c);
	free(c);
	http_server_count(s, -1, 0);
}

static void on_close(void *arg, const struct err *why)
{
	http_conn_gone(arg, why);
}

/* Refuse what was not read to its end: the connection closes behind the answer. */
static void refuse(struct http_conn *c, int status, const char *text)
{
	c->call->keep_alive = false;
	http_answer_plain(c->call, status, text);
	begin_linger(c);
}

/* ---- running ---- */

static void process_input(struct http_conn *c);

/* The answer of the current call is queued whole. */
static void answer_done(struct http_conn *c, bool close)
{
	drop_call(c);
	c->in_body = false;
	if (close || c->eof || atomic_load(&c->server->stopping)) {
		begin_flush(c);
		return;
	}
	c->st = CONN_READ;
	loop_timer_start(c->timer, c->server->o.idle_timeout_ns, 0);
}

/* Move what the handler wrote to the socket, as much as it takes. */
static void drain(struct http_conn *c)
{
	struct http_call *call = c->call;
	struct err e = ERR_INIT;
	struct view v;
	while (!net_conn_full(c->net)) {
		int rc = pipe_try_read(call->pipe, &v, &e);
		if (rc == PIPE_AGAIN) {
			loop_timer_stop(c->timer);
			return;
		}
		if (rc < 0) { /* the handler failed in the middle */
			log_debug(NULL, "http: %s: answer cut: %s", net_conn_peer(c->net),
				  err_text(&e));
			net_conn_close(c->net);
			return;
		}
		if (rc == PIPE_END) {
			bool close = call->resp.close;
			pipe_unref(call->pipe);
			call->pipe = NULL;
			answer_done(c, close);
			process_input(c);
			return;
		}
		ref_get(v.pin);
		net_conn_write_view(c->net, v);
		pipe_release(call->pipe, &v);
	}
	c->last_unsent = net_conn_unsent(c->net);
	loop_timer_start(c->timer, c->server->o.body_timeout_ns + NS_PER_S,
			 c->server->o.body_timeout_ns);
}

static void wake(struct http_call *call)
{
	drain(call->client);
}

/* An answer made on the loop. */
static void made(struct http_call *call)
{
	struct http_conn *c = call->client;
	struct str body;
	struct buf head;
	if (http_resp_loop_out(&call->resp, &head, &body)) {
		net_conn_write(c->net, head.p, head.n);
		net_conn_write(c->net, body.p, body.n);
	}
	buf_deinit(&head);
}

static const struct http_framing framing = { false, (size_t)256 << 10, made, wake };

/* ---- Upgrade: h2c ---- */

/* The headers of a name are lists by commas. */
static bool lists(const struct http_req *r, const char *name, struct str token)
{
	for (size_t i = 0; i < r->n_headers; i++) {
		struct str rest = r->headers[i].v, one;
		bool more = str_eqz(r->headers[i].k, name);
		while (more) {
			more = str_cut(&rest, ',', &one);
			if (str_eq_nocase(str_trim(one), token))
				return true;
		}
	}
	return false;
}

/* A client that offers to go on in HTTP/2 (RFC 7540 §3.2): its settings. False: it does not, or not rightly. */
static bool wants_h2(const struct http_conn *c, struct buf *settings)
{
	const struct http_req *r = &c->call->req;
	struct err e = ERR_INIT;
	size_t n = 0;
	if (c->server->o.no_http2 || net_conn_is_tls(c->net) || c->eof ||
	    c->call->minor == 0 || h1_head(c->parser)->has_body ||
	    !lists(r, "upgrade", STR("h2c")) || !lists(r, "connection", STR("upgrade")) ||
	    !lists(r, "connection", STR("http2-settings")))
		return false;
	for (size_t i = 0; i < r->n_headers; i++)
		n += str_eqz(r->headers[i].k, "http2-settings");
	return n == 1 &&
	       base64_decode(http_header(r, "http2-settings"), true, settings, &e) == 0 &&
	       settings->n % 6 == 0;
}

/* True: the call is the session's. What has been read beyond it is fed by process_input. */
static bool upgrade(struct http_conn *c)
{
	static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\n"
				  "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
	struct http_call *call = c->call;
	struct buf settings;
	buf_init(&settings, LIMIT_HTTP_HEADER_BYTES);
	bool ok = wants_h2(c, &settings);
	if (ok) {
		net_conn_write(c->net, yes, sizeof(yes) - 1);
		c->call = NULL;
		c->st = CONN_RUN;
		loop_timer_stop(c->timer);
		pause_reading(c, false);
		c->h2 = h2_conn_start(c->server, c, c->net);
		h2_conn_upgrade(c->h2, call, buf_view(&settings));
	}
	buf_deinit(&settings);
	return ok;
}

/* The request is complete. */
static void dispatch(struct http_conn *c)
{
	struct http_call *call = c->call;
	if (upgrade(c))
		return;
	call->req.body = h1_body(c->parser);
	call->body = h1_take_body(c->parser, &call->body_charged);
	if (http_dispatch(call)) {
		c->st = CONN_RUN;
		loop_timer_stop(c->timer);
	} else {
		answer_done(c, call->resp.close);
	}
}

/* ---- reading ---- */

static void begin_request(struct http_conn *c)
{
	http_conn_touch(c);
	c->call = http_call_new(c->server, &framing, c);
	c->in_body = false;
	h1_begin(c->parser, &c->call->arena, &c->call->budget);
	loop_timer_start(c->timer, c->server->o.header_timeout_ns, 0);
}

static void on_head(struct http_conn *c)
{
	const struct h1_head *h = h1_head(c->parser);
	struct http_call *call = c->call;
	struct http_req *r = &call->req;
	r->method = h->method;
	r->target = h->target;
	r->headers = h->headers;
	r->n_headers = h->n_headers;
	call->minor = h->minor;
	call->keep_alive = h->keep_alive && !str_eq(h->method, STR("CONNECT"));
	http_dispatch_head(call, c->net);
	if (!h->has_body)
		return;
	if (!call->match.route) { /* no use in reading the body */
		call->keep_alive = false;
		http_answer_no_route(call);
		begin_linger(c);
		return;
	}
	if (h->expect_continue)
		net_conn_write(c->net, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	c->in_body = true;
	c->body_n = 0;
	loop_timer_start(c->timer, c->server->o.body_timeout_ns, 0);
}

static void on_bad(struct http_conn *c)
{
	const char *why;
	int status = h1_fault(c->parser, &why);
	struct http_call *call = c->call;
	if (!call->req.peer) { /* before on_head: nothing of the request is known */
		call->req.method = STR("GET");
		http_req_peer(c->server, c->net, &call->req);
		call->minor = 1;
	}
	refuse(c, status, why);
}

/* Parse; returns the bytes used. Stops where a request is being answered. */
static size_t feed(struct http_conn *c, const uint8_t *p, size_t n)
{
	size_t off = 0;
	while (c->st == CONN_READ && !net_conn_full(c->net)) {
		size_t used;
		if (!c->call) {
			if (off == n)
				break;
			begin_request(c);
		}
		enum h1_event ev = h1_feed(c->parser, p + off, n - off, &used);
		off += used;
		if (ev == H1_HEAD)
			on_head(c);
		else if (ev == H1_DONE)
			dispatch(c);
		else if (ev == H1_BAD)
			on_bad(c);
		else
			break;
	}
	return off;
}

static void end_of_input(struct http_conn *c)
{
	if (c->st == CONN_READ && !net_conn_full(c->net))
		begin_flush(c);
}

/* What waited in the buffer; then the socket again. */
static void process_input(struct http_conn *c)
{
	if (c->in.n && c->st == CONN_READ)
		buf_cut_front(&c->in, feed(c, c->in.p, c->in.n));
	if (c->h2) {
		h2_conn_feed(c->h2, c->in.p, c->in.n);
		buf_reset(&c->in);
		return;
	}
	if (c->st == CONN_LINGER || c->st == CONN_FLUSH)
		buf_reset(&c->in);
	pause_reading(c, c->in.n > PIPELINE_MAX);
	if (c->eof)
		end_of_input(c);
}

static void become_h2(struct http_conn *c, const uint8_t *p, size_t n)
{
	struct buf first = c->in;
	buf_init(&c->in, INPUT_MAX);
	loop_timer_stop(c->timer);
	c->h2 = h2_conn_start(c->server, c, c->net);
	h2_conn_feed(c->h2, first.p, first.n);
	h2_conn_feed(c->h2, p, n);
	buf_deinit(&first);
}

/* The first bytes tell the protocol: TLS has agreed on it, plain HTTP/2 begins with a preface. True: they are taken. */
static bool begin_protocol(struct http_conn *c, const uint8_t *p, size_t n)
{
	static const char pri[] = "PRI ";
	bool h2 = net_conn_alpn_h2(c->net);
	if (!h2 && !net_conn_is_tls(c->net) && !c->server->o.no_http2) {
		size_t k = MIN(n, sizeof(pri) - 1 - c->in.n);
		h2 = memcmp(pri + c->in.n, p, k) == 0;
		if (h2 && c->in.n + k < sizeof(pri) - 1) {
			buf_add(&c->in, p, n);
			return true;
		}
	}
	c->begun = true;
	if (h2)
		become_h2(c, p, n);
	return h2;
}

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	struct http_conn *c = arg;
	if (!c->begun && begin_protocol(c, p, n))
		return;
	if (c->st == CONN_FLUSH || c->st == CONN_LINGER)
		return;
	c->body_n += n;
	if (c->in_body && c->body_n >= HTTP_PROGRESS) {
		c->body_n = 0;
		loop_timer_start(c->timer, c->server->o.body_timeout_ns, 0);
	}
	if (c->in.n == 0) {
		size_t used = feed(c, p, n);
		p += used;
		n -= used;
	}
	if (n && (c->st == CONN_RUN || c->st == CONN_READ)) {
		buf_add(&c->in, p, n);
		BUG_ON(c->in.failed); /* one read beyond the pause at most */
	}
	process_input(c);
}

/* ---- events ---- */

static void on_eof(void *arg)
{
	struct http_conn *c = arg;
	c->eof = true;
	switch (c->st) {
	case CONN_READ: end_of_input(c); break;
	case CONN_RUN: cancel_now(c->call->cancel, "client disconnected"); break;
	case CONN_LINGER: begin_flush(c); break;
	case CONN_FLUSH: break;
	}
}

static void on_drain(void *arg)
{
	struct http_conn *c = arg;
	if (c->st == CONN_RUN)
		drain(c);
	else
		process_input(c);
}

/* Timer while bytes are to be written: cut who takes none. */
static void check_progress(struct http_conn *c)
{
	size_t unsent = net_conn_unsent(c->net);
	if (unsent && unsent >= c->last_unsent)
		net_conn_close(c->net);
	c->last_unsent = unsent;
}

static void on_timer(void *arg)
{
	struct http_conn *c = arg;
	switch (c->st) {
	case CONN_READ:
		if (c->call && h1_started(c->parser)) {
			c->call->req.method = STR("GET");
			c->call->minor = 1;
			refuse(c, 408, "request timed out");
		} else {
			begin_flush(c);
		}
		break;
	case CONN_RUN:
	case CONN_FLUSH: check_progress(c); break;
	case CONN_LINGER:
		if (net_conn_unsent(c->net) == 0)
			begin_flush(c);
		else if (time_mono_ns() > c->linger_until)
			net_conn_close(c->net);
		break;
	}
}

static bool is_idle(const struct http_conn *c)
{
	if (c->h2)
		return h2_conn_is_idle(c->h2);
	return c->st == CONN_READ && c->in.n == 0 && !(c->call && h1_started(c->parser));
}

/*
 * Nearly as many connections as there may be: before new ones have to wait, one goes that asks for nothing, rather
 * one that never did.
 */
static void make_room(struct http_shard *s, const struct http_conn *but)
{
	uint32_t max = s->server->o.max_conns, looks = 32;
	struct http_conn *goes = NULL;
	if (atomic_load(&s->server->n_open) <= max - max / 8)
		return;
	for (struct http_conn *c = s->last; c && looks; c = c->prev, looks--)
		if (c != but && is_idle(c) && (!goes || !c->asked)) {
			goes = c;
			if (!c->asked)
				break;
		}
	if (!goes)
		return;
	net_conn_close(goes->net);
	http_conn_touch(goes); /* it goes later: the next one looks at others */
}

void http_conn_stop(struct http_conn *c, enum http_stop how)
{
	if (c->h2) {
		h2_conn_stop(c->h2, how);
		return;
	}
	if (how == HTTP_STOP_CLOSE || (how == HTTP_STOP_CANCEL && c->st != CONN_RUN))
		net_conn_close(c->net);
	else if (is_idle(c))
		begin_flush(c);
	else if (how == HTTP_STOP_CANCEL)
		cancel_now(c->call->cancel, "server is shutting down");
}

void http_conn_accept(void *server, struct net_conn *net)
{
	static const struct net_conn_ops ops = { on_data, on_eof, on_drain, on_close };
	struct http_server *s = server;
	struct http_conn *c = xcalloc(1, sizeof(*c));
	uint32_t i = 0;
	while (s->shards[i].loop != net_conn_loop(net))
		i++;
	c->server = s;
	c->shard = &s->shards[i];
	c->net = net;
	link_first(c);
	c->parser = h1_new(s->o.max_body);
	c->timer = loop_timer_new(c->shard->loop, on_timer, c);
	buf_init(&c->in, INPUT_MAX);
	http_server_count(s, 1, 0);
	loop_timer_start(c->timer, s->o.header_timeout_ns, 0);
	if (s->o.tls)
		net_conn_tls(net, s->o.tls, STR_NULL);
	net_conn_set_ops(net, &ops, c);
	if (atomic_load(&s->stopping))
		begin_flush(c);
	else
		make_room(c->shard, c);
}
