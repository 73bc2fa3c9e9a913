/*
 * http/h2_conn.c - the server's half of an HTTP/2 connection: requests in, answers out, many at a time.
 *
 * A stream's request is gathered whole, as HTTP/1.1's is: its fields in one buffer, the body in another, credited
 * as it arrives, since it is bounded and charged to the request. Then it is dispatched, and its bytes come
 * through the pipe of its call: the head as one message, then pieces of the body, which nghttp2 asks for when
 * stream, connection and socket have room (next_bytes). Without room the pipe fills and only this handler waits.
 *
 *   HEADERS, CONTINUATION -> fields --> dispatch -> on the loop: head and body at once
 *   DATA -> body ----------/                     -> worker: head, pieces, end <- wake
 *
 * What peers may hold of us: `LIMIT_HTTP2_STREAMS` streams, as many handlers (those of streams that were reset
 * count until they have noticed), bodies of requests under way of twice the largest body, and of answers
 * `PIPE_BYTES` a stream, and `MADE_MAX` of those made on the loop. Each second streams are looked at: a head or a body that does not come on, an answer that is not
 * taken, a connection without a request.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "http/h2_session.h"
#include "http/http_int.h"

#define STREAM_WINDOW (64u << 10) /* request bytes a stream may send ahead */
#define CONN_WINDOW   (1u << 20)
#define PIPE_BYTES    ((size_t)128 << 10)
#define MADE_MAX      ((size_t)256 << 10) /* beyond it the next requests wait */
#define MAX_FIELDS    512u
#define FIELD_EXTRA   32u /* of RFC 9113 §6.5.2's way to count */
#define MAX_DECODED                                                                      \
	((size_t)1 << 20) /* of fields too many: beyond it not even an answer */

struct h2_stream {
	struct h2_conn *h;
	struct h2_stream *next, **prev;
	int32_t id;
	struct http_call *call;
	/* the request */
	struct buf fields; /* uint32_t n, v; name; value */
	size_t fields_bytes, n_fields;
	struct buf body;
	size_t owed, body_n;	/* to be credited; since moved_ns */
	bool has_head, decided; /* the head is whole; answered or with a worker */
	bool waits;		/* whole, until answers before it have been taken */
	/* the answer */
	bool submitted,
		idle;	   /* the head is out; nghttp2 does not ask for bytes by itself */
	struct view piece; /* of the pipe, being sent */
	struct str left;   /* of it, or of an answer made on the loop */
	size_t made;	   /* bytes of an answer made on the loop */
	uint64_t moved_ns; /* the last progress */
};

struct h2_conn {
	struct http_server *server;
	struct http_conn *owner;
	struct net_conn *net;
	struct h2_session *s;
	struct h2_stream *streams;
	struct http_running *running;
	struct h2_stream *upgraded; /* stream 1, until the client has sent its preface */
	size_t made;		    /* of answers made on the loop that are not taken */
	size_t bodies;		    /* of requests that are not answered */
	uint64_t idle_ns;
};

static struct h2_stream *stream_of(struct h2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_user_data(s->h2, id);
}

static void reset(struct h2_stream *st, uint32_t code)
{
	(void)nghttp2_submit_rst_stream(st->h->s->h2, NGHTTP2_FLAG_NONE, st->id, code);
}

/* ---- answers ---- */

/* PIPE_OK: `left` is the next piece. */
static int next_piece(struct h2_stream *st)
{
	struct http_call *call = st->call;
	struct err e = ERR_INIT;
	if (st->piece.n)
		pipe_release(call->pipe, &st->piece);
	st->piece = (struct view){ 0 };
	if (!call->pipe)
		return PIPE_END;
	int rc = pipe_try_read(call->pipe, &st->piece, &e);
	if (rc == PIPE_OK) {
		st->left = str_n((const char *)st->piece.p, st->piece.n);
	} else if (rc == PIPE_END) {
		pipe_unref(call->pipe);
		call->pipe = NULL;
	} else if (rc < 0) {
		log_debug(NULL, "http: %s: answer cut: %s", call->req.peer, err_text(&e));
	}
	return rc;
}

static ssize_t next_bytes(nghttp2_session *h2, int32_t id, uint8_t *to, size_t cap,
			  uint32_t *flags, nghttp2_data_source *src, void *arg)
{
	struct h2_stream *st = src->ptr;
	size_t got = 0;
	int rc = PIPE_OK;
	(void)h2, (void)id, (void)arg;
	while (got < cap) {
		if (st->left.n == 0 && (rc = next_piece(st)) != PIPE_OK)
			break;
		size_t n = MIN(cap - got, st->left.n);
		memcpy(to + got, st->left.p, n);
		st->left = str_from(st->left, n);
		got += n;
	}
	/* A made answer's end is known at once; of others only the pipe knows. */
	if (rc == PIPE_OK && st->left.n == 0 && !st->call->pipe)
		rc = PIPE_END;
	if (rc < 0)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* RST_STREAM */
	st->moved_ns = time_mono_ns();
	if (rc == PIPE_END)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	st->idle = rc == PIPE_AGAIN && got == 0;
	return st->idle ? NGHTTP2_ERR_DEFERRED : (ssize_t)got;
}

static size_t count_fields(struct str head)
{
	size_t n = 0;
	for (size_t i = 0; i < head.n; i++)
		n += head.p[i] == 0;
	return n / 2;
}

/* head: see struct http_framing; nghttp2 copies it. */
static void submit(struct h2_stream *st, struct str head, bool has_body)
{
	nghttp2_data_provider body = { .source.ptr = st, .read_callback = next_bytes };
	size_t n = count_fields(head);
	nghttp2_nv *nv = xcalloc(n + 1, sizeof(*nv));
	for (size_t i = 0; i < n; i++) {
		struct str name, value;
		str_cut(&head, 0, &name);
		str_cut(&head, 0, &value);
		nv[i] = (nghttp2_nv){ (uint8_t *)(uintptr_t)name.p,
				      (uint8_t *)(uintptr_t)value.p, name.n, value.n,
				      NGHTTP2_NV_FLAG_NONE };
	}
	st->submitted = true;
	st->moved_ns = time_mono_ns();
	if (nghttp2_submit_response(st->h->s->h2, st->id, nv, n,
				    has_body ? &body : NULL) != 0)
		reset(st, NGHTTP2_INTERNAL_ERROR);
	free(nv);
}

/* What was gathered of the request is the call's from now on, or of no use. */
static void decide(struct h2_stream *st)
{
	st->decided = true;
	st->h->bodies -= st->body.n;
	st->call->body = st->body.p;
	buf_init(&st->body, 0);
	buf_deinit(&st->fields);
}

/* Of an answer made on the loop; http_framing. */
static void made(struct http_call *call)
{
	struct h2_stream *st = call->client;
	struct http_resp *w = &call->resp;
	struct buf head;
	struct err e = ERR_INIT;
	bool ok = http_resp_loop_out(w, &head, &st->left);
	/* It may lie here as long as the client likes: it is charged. */
	struct h2_conn *h = st->h;
	if (ok && budget_take(&call->budget, NULL, st->left.n, &e) == 0) {
		call->body_charged += st->left.n;
		st->made = st->left.n;
		h->made += st->made;
		submit(st, buf_view(&head), st->left.n > 0);
	} else {
		st->left = STR_NULL;
		reset(st, NGHTTP2_INTERNAL_ERROR);
	}
	buf_deinit(&head);
}

/* A worker has written; http_framing. */
static void wake(struct http_call *call)
{
	struct h2_stream *st = call->client;
	if (st->submitted) {
		if (st->idle)
			(void)nghttp2_session_resume_data(st->h->s->h2, st->id);
		st->moved_ns = time_mono_ns();
		st->idle = false;
	} else {
		int rc = next_piece(st);
		if (rc == PIPE_AGAIN)
			return;
		if (rc == PIPE_OK) {
			submit(st, st->left, true);
			st->left = STR_NULL;
		} else {
			reset(st, NGHTTP2_INTERNAL_ERROR);
		}
	}
	h2_session_flush(st->h->s);
}

static const struct http_framing framing = { true, PIPE_BYTES, made, wake };

/* Answered before the request is whole: the session tells the client that the rest is not wanted. */
static void refuse(struct h2_stream *st, int status, const char *text)
{
	decide(st);
	http_answer_plain(st->call, status, text);
}

/* ---- requests ---- */

static struct h2_stream *stream_new(struct h2_conn *h, int32_t id, struct http_call *call)
{
	struct h2_stream *st = xcalloc(1, sizeof(*st));
	st->h = h;
	st->id = id;
	st->call = call;
	call->framing = &framing;
	call->client = st;
	call->running = h->running;
	atomic_fetch_add(&h->running->refs, 1);
	call->minor = 1;
	call->keep_alive = true;
	st->moved_ns = time_mono_ns();
	buf_init(&st->fields, 2 * LIMIT_HTTP_HEADER_BYTES);
	buf_init(&st->body, h->server->o.max_body);
	st->next = h->streams;
	st->prev = &h->streams;
	if (st->next)
		st->next->prev = &st->next;
	h->streams = st;
	nghttp2_session_set_stream_user_data(h->s->h2, id, st);
	http_conn_touch(h->owner);
	return st;
}

static void on_begin(struct h2_session *s, int32_t id)
{
	struct h2_conn *h = s->owner;
	if (atomic_load(&h->running->n) >= LIMIT_HTTP2_STREAMS) {
		(void)nghttp2_submit_rst_stream(s->h2, NGHTTP2_FLAG_NONE, id,
						NGHTTP2_REFUSED_STREAM);
		return;
	}
	stream_new(h, id, http_call_new(h->server, &framing, NULL));
}

static bool too_large(const struct h2_stream *st)
{
	return st->fields_bytes > LIMIT_HTTP_HEADER_BYTES || st->n_fields > MAX_FIELDS;
}

static void on_header(struct h2_session *s, int32_t id, struct str name, struct str value)
{
	struct h2_stream *st = stream_of(s, id);
	if (!st || st->has_head) /* trailers say nothing to us */
		return;
	st->fields_bytes += name.n + value.n + FIELD_EXTRA;
	st->n_fields++;
	if (st->fields_bytes >
	    MAX_DECODED) /* a few bytes that become many, once more and again */
		h2_session_close(s, NULL);
	if (too_large(st))
		return;
	uint32_t n[2] = { (uint32_t)name.n, (uint32_t)value.n };
	buf_add(&st->fields, n, sizeof(n));
	buf_str(&st->fields, name);
	buf_str(&st->fields, value);
}

/* From the buffer into the request; E_LIMIT. */
static int take_fields(struct h2_stream *st, struct err *e)
{
	struct http_req *r = &st->call->req;
	struct str rest = buf_view(&st->fields), authority = STR_NULL;
	char *text = arena_try(r->arena, NULL, rest.n + 1, e);
	r->headers = text ? arena_try(r->arena, NULL,
				      (st->n_fields + 1) * sizeof(*r->headers), e)
			  : NULL;
	if (!r->headers)
		return -1;
	if (rest.n)
		memcpy(text, rest.p, rest.n);
	rest.p = text;
	while (rest.n) {
		uint32_t n[2];
		memcpy(n, rest.p, sizeof(n));
		struct str k = str_n(rest.p + sizeof(n), n[0]);
		struct str v = str_n(k.p + k.n, n[1]);
		rest = str_from(rest, sizeof(n) + n[0] + n[1]);
		if (str_eqz(k, ":method"))
			r->method = v;
		else if (str_eqz(k, ":path"))
			r->target = v;
		else if (str_eqz(k, ":authority"))
			authority = v;
		else if (k.n && k.p[0] != ':')
			r->headers[r->n_headers++] = (struct http_kv){ k, str_trim(v) };
	}
	if (authority.n && http_header(r, "host").n == 0)
		r->headers[r->n_headers++] = (struct http_kv){ STR("host"), authority };
	return 0;
}

static void dispatch(struct h2_stream *st)
{
	struct http_call *call = st->call;
	if (st->decided)
		return;
	st->waits = st->h->made > MADE_MAX;
	if (st->waits)
		return;
	call->req.body = buf_view(&st->body);
	decide(st);
	(void)http_dispatch(call);
}

/* What the head says of a body to come. */
static void expect_body(struct h2_stream *st)
{
	static const nghttp2_nv go_on = { (uint8_t *)(uintptr_t) ":status",
					  (uint8_t *)(uintptr_t) "100", 7, 3,
					  NGHTTP2_NV_FLAG_NONE };
	const struct http_req *r = &st->call->req;
	struct str expect = http_header(r, "expect");
	uint64_t n;
	if (!st->call->match.route) { /* no use in reading the body */
		decide(st);
		http_answer_no_route(st->call);
	} else if (str_to_u64(http_header(r, "content-length"), &n) &&
		   n > st->h->server->o.max_body) {
		refuse(st, 413, "request body too large");
	} else if (expect.n && !str_eq_nocase(expect, STR("100-continue"))) {
		refuse(st, 417, "unknown expectation");
	} else if (expect.n) {
		(void)nghttp2_submit_headers(st->h->s->h2, NGHTTP2_FLAG_NONE, st->id,
					     NULL, &go_on, 1, NULL);
	}
}

static void on_headers(struct h2_session *s, int32_t id, bool end)
{
	struct h2_stream *st = stream_of(s, id);
	struct err e = ERR_INIT;
	if (!st)
		return;
	st->moved_ns = time_mono_ns();
	if (!st->has_head) {
		st->has_head = true;
		int rc = take_fields(st, &e);
		http_dispatch_head(st->call, st->h->net);
		if (rc < 0)
			refuse(st, 503, "out of memory for the request header");
		else if (too_large(st))
			refuse(st, 431, "request header too large");
		else if (!end)
			expect_body(st);
	}
	if (end)
		dispatch(st);
}

static void on_data(struct h2_session *s, int32_t id, const uint8_t *p, size_t n)
{
	struct h2_stream *st = stream_of(s, id);
	struct err e = ERR_INIT;
	if (!st || st->decided || n == 0)
		return;
	struct h2_conn *h = st->h;
	if (n > h->server->o.max_body - st->body.n) {
		refuse(st, 413, "request body too large");
		return;
	}
	if (h->bodies + n > 2 * h->server->o.max_body ||
	    budget_take(&st->call->budget, NULL, n, &e) < 0) {
		refuse(st, 503, "out of memory for the request body");
		return;
	}
	st->call->body_charged += n;
	h->bodies += n;
	buf_add(&st->body, p, n);
	st->body_n += n;
	if (st->body_n >= HTTP_PROGRESS) {
		st->body_n = 0;
		st->moved_ns = time_mono_ns();
	}
	st->owed += n;
	h2_session_credit(s, id, &st->owed);
}

static void on_end(struct h2_session *s, int32_t id)
{
	struct h2_stream *st = stream_of(s, id);
	if (st)
		dispatch(st);
}

/* ---- life ---- */

static void stream_free(struct h2_stream *st)
{
	struct http_call *call = st->call;
	if (!st->decided)
		decide(st);
	st->h->made -= st->made;
	if (st->h->upgraded == st)
		st->h->upgraded = NULL;
	if (st->piece.n)
		pipe_release(call->pipe, &st->piece);
	*st->prev = st->next;
	if (st->next)
		st->next->prev = st->prev;
	if (!st->h->streams)
		st->h->idle_ns = time_mono_ns();
	http_call_drop(call);
	free(st);
}

/* Requests that wait, the oldest first. */
static void dispatch_waiting(struct h2_conn *h)
{
	struct h2_stream *next = NULL;
	do {
		if (next)
			dispatch(next);
		next = NULL;
		for (struct h2_stream *st = h->streams; st; st = st->next)
			if (st->waits && (!next || st->id < next->id))
				next = st;
	} while (next && h->made <= MADE_MAX);
}

static void on_stream_close(struct h2_session *s, int32_t id, uint32_t h2_error)
{
	struct h2_stream *st = stream_of(s, id);
	(void)h2_error;
	if (!st)
		return;
	nghttp2_session_set_stream_user_data(s->h2, id, NULL);
	stream_free(st);
	dispatch_waiting(s->owner);
}

static void on_gone(struct h2_session *s, const struct err *why)
{
	struct h2_conn *h = s->owner;
	while (h->streams)
		stream_free(h->streams);
	h2_session_free(s);
	http_conn_gone(h->owner, why);
	if (atomic_fetch_sub(&h->running->refs, 1) == 1)
		free(h->running);
	free(h);
}

/* True: the connection is of no more use. */
static bool check_stream(struct h2_stream *st, uint64_t now)
{
	const struct http_server_opts *o = &st->h->server->o;
	uint64_t still = now - MIN(st->moved_ns, now);
	if (!st->has_head) /* nothing else can come before its end */
		return still >= o->header_timeout_ns;
	if (!st->decided && still >= o->body_timeout_ns)
		refuse(st, 408, "request timed out");
	else if (st->submitted && !st->idle && still >= o->body_timeout_ns + NS_PER_S)
		reset(st, NGHTTP2_CANCEL);
	return false;
}

static void on_tick(struct h2_session *s, uint64_t now)
{
	struct h2_conn *h = s->owner;
	for (struct h2_stream *st = h->streams; st; st = st->next)
		if (check_stream(st, now)) {
			h2_session_close(s, NULL);
			return;
		}
	if (!h->streams && now - MIN(h->idle_ns, now) >= h->server->o.idle_timeout_ns)
		h2_session_drain(s, UINT64_MAX);
	h2_session_flush(s);
}

void h2_conn_upgrade(struct h2_conn *h, struct http_call *call, struct str settings)
{
	if (!h2_session_upgrade(h->s, settings, str_eq(call->req.method, STR("HEAD")))) {
		http_call_drop(call);
		h2_session_close(h->s, NULL);
		return;
	}
	struct h2_stream *st = stream_new(h, 1, call);
	st->has_head = true;
	h->upgraded = st;
}

/* Before that a client may take little more than the 101, and has not shown that it speaks HTTP/2. */
static void on_settled(struct h2_session *s)
{
	struct h2_conn *h = s->owner;
	struct h2_stream *st = h->upgraded;
	h->upgraded = NULL;
	if (st)
		dispatch(st);
}

struct h2_conn *h2_conn_start(struct http_server *s, struct http_conn *owner,
			      struct net_conn *net)
{
	static const struct h2_session_ops ops = {
		.on_begin = on_begin,
		.on_header = on_header,
		.on_headers = on_headers,
		.on_data = on_data,
		.on_end = on_end,
		.on_stream_close = on_stream_close,
		.on_gone = on_gone,
		.on_settled = on_settled,
		.on_tick = on_tick,
	};
	const struct h2_session_opts o = { .server = true,
					   .max_streams = LIMIT_HTTP2_STREAMS,
					   .stream_window = STREAM_WINDOW,
					   .conn_window = CONN_WINDOW,
					   .stall_ns = s->o.body_timeout_ns };
	struct h2_conn *h = xcalloc(1, sizeof(*h));
	h->server = s;
	h->owner = owner;
	h->net = net;
	h->idle_ns = time_mono_ns();
	h->running = xcalloc(1, sizeof(*h->running));
	atomic_init(&h->running->refs, 1);
	h->s = h2_session_new(net, &o, &ops, h);
	return h;
}

void h2_conn_feed(struct h2_conn *h, const uint8_t *p, size_t n)
{
	h2_session_feed(h->s, p, n);
}

bool h2_conn_is_idle(const struct h2_conn *h)
{
	return !h->streams;
}

void h2_conn_stop(struct h2_conn *h, enum http_stop how)
{
	bool busy = false;
	if (how == HTTP_STOP_IDLE) {
		h2_session_drain(h->s, UINT64_MAX);
		return;
	}
	for (struct h2_stream *st = h->streams; st && how == HTTP_STOP_CANCEL;
	     st = st->next) {
		if (!st->call->pipe)
			continue;
		busy = true;
		cancel_now(st->call->cancel, "server is shutting down");
	}
	if (!busy)
		h2_session_close(h->s, NULL);
}
