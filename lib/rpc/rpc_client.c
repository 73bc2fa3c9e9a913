/*
 * rpc/rpc_client.c - a channel to one address, and the calls on it.
 *
 * A stream has two sides. The loop's side feeds frames into the stream's pipe; the worker's side reads whole messages
 * from it. Bytes are credited to the stream's window as they arrive while the pipe has room, and held back while it
 * is full, so a reader that stops stops the writer, and a message larger than the window still completes. Closing
 * waits for the loop's side to let go, since partial messages are charged to the caller's budget.
 *
 * One session takes new calls. A session whose peer said GOAWAY drains: its streams go on to their end, nghttp2
 * finishes it when the last one has ended, and new calls dial. Requests that never left it, or that the peer
 * refused unseen, are sent once more.
 *
 *   begin -> start --session--> submit -> ... -> stream_end (on_stream_close, on_gone, close)
 *              |  ^                |
 *              v  | on_dialled     v refused unseen, once
 *            waiting <-------------'
 *
 * A channel lives as long as its owner and its streams: each stream holds a reference, so that closing one is
 * right after rpc_channel_free, too.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "rpc/rpc_client_int.h"

static const double seconds_bounds[] = { 0.001, 0.01, 0.1, 0.3, 0.6, 1,	 3,
					 6,	9,    20,  30,	60,  90, 120 };
#define ROW(k, n, h)                                                                     \
	{                                                                                \
		.kind = k, .name = n, .help = h, .labels = {                             \
			"grpc_method",                                                   \
			"grpc_service",                                                  \
			"grpc_type"                                                      \
		}                                                                        \
	}
static const struct metric_desc rows[RPC_CLIENT_METRICS] = {
	[RPC_CLIENT_STARTED] = ROW(METRIC_COUNTER, "grpc_client_started_total",
				   "Total number of RPCs started on the client."),
	[RPC_CLIENT_HANDLED] = { .kind = METRIC_COUNTER,
				 .name = "grpc_client_handled_total",
				 .help = "Total number of RPCs completed by the client, regardless of success or failure.",
				 .labels = { "grpc_code", "grpc_method", "grpc_service",
					     "grpc_type" } },
	[RPC_CLIENT_RECEIVED] = ROW(METRIC_COUNTER, "grpc_client_msg_received_total",
				    "Messages received by the client."),
	[RPC_CLIENT_SENT] = ROW(METRIC_COUNTER, "grpc_client_msg_sent_total",
				"Messages sent by the client."),
	[RPC_CLIENT_SECONDS] = { .kind = METRIC_HISTOGRAM,
				 .name = "grpc_client_handling_seconds",
				 .help = "How long calls took until they ended.",
				 .labels = { "grpc_method", "grpc_service", "grpc_type" },
				 .bounds = seconds_bounds,
				 .n_bounds = ARRAY_LEN(seconds_bounds) },
};

#define MAX_TEXT 8192 /* of a status; what peers send is bounded by their headers */

static void channel_unref(struct rpc_channel *c)
{
	if (atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	net_tls_unref(c->o.tls);
	free(c);
}

void rpc_stream_unref(struct rpc_stream *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	buf_deinit(&s->request);
	buf_deinit(&s->meta);
	free(s->message);
	free(s->text);
	channel_unref(s->channel);
	free(s);
}

static void count_end(struct rpc_stream *s, enum rpc_code code)
{
	struct metric_set *m = s->channel->metrics;
	struct str service, method, type = rpc_path_type(str_of(s->path));
	if (!rpc_path_split(str_of(s->path), &service, &method))
		return;
	metric_inc(metric_at(m, RPC_CLIENT_HANDLED, str_of(rpc_code_name(code)), method,
			     service, type));
	metric_observe(metric_at(m, RPC_CLIENT_SECONDS, method, service, type),
		       (double)(time_mono_ns() - s->start_ns) / (double)NS_PER_S);
}

/* The loop's side lets go: no more bytes, nothing charged to the caller. why NULL: the end of the answers. */
static void stream_end(struct rpc_stream *s, enum rpc_code code, const char *why)
{
	struct err e = ERR_INIT;
	if (s->ended)
		return;
	s->ended = true;
	s->session = NULL;
	rpc_window_close(s);
	if (s->link) {
		*s->link = s->next;
		if (s->next)
			s->next->link = s->link;
	}
	if (why) {
		struct buf b;
		buf_init(&b, MAX_TEXT + 256);
		buf_fmt(&b, "rpc error: code = %s desc = %s", rpc_code_name(code), why);
		buf_byte(&b, 0);
		s->text = xmalloc(b.n);
		memcpy(s->text, b.p, b.n);
		buf_deinit(&b);
	}
	atomic_store(&s->code, (int)code);
	if (s->has_frame)
		rpc_frame_deinit(&s->frame);
	s->has_frame = false;
	if (why) {
		err_set(NULL, &e, rpc_code_to_err(code), "%s", s->text);
		pipe_fail(s->pipe, &e);
	} else
		pipe_end(s->pipe);
	count_end(s, code);
	pipe_unref(s->pipe);
	rpc_stream_unref(s);
}

static struct rpc_stream *stream_of(struct h2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_user_data(s->h2, id);
}

/* HTTP/2 lets go of the stream, too: no callback finds it afterwards. */
static void reset(struct h2_session *ss, int32_t id)
{
	nghttp2_session_set_stream_user_data(ss->h2, id, NULL);
	nghttp2_submit_rst_stream(ss->h2, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
}

/* ---- session callbacks ---- */

static void on_begin(struct h2_session *s, int32_t id)
{
	(void)s, (void)id;
}

static void on_header(struct h2_session *ss, int32_t id, struct str name,
		      struct str value)
{
	struct rpc_stream *s = stream_of(ss, id);
	uint64_t u;
	if (!s || s->ended)
		return;
	if (str_eq(name, STR(":status")) && str_to_u64(value, &u))
		s->http_status = (unsigned)u;
	else if (str_eq(name, STR("grpc-encoding")) && !s->has_head) {
		/* Of an unknown one, only plain messages can be read. */
		(void)rpc_encoding_parse(value, &s->enc);
		s->frame.tagged = s->enc != RPC_IDENTITY;
	} else if (str_eq(name, STR("grpc-status")) && str_to_u64(value, &u)) {
		s->has_status = true;
		s->status = u <= RPC_UNAUTHENTICATED ? (uint32_t)u : RPC_UNKNOWN;
	} else if (str_eq(name, STR("grpc-message")) && !s->message) {
		size_t cap = MIN(value.n + 1, (size_t)MAX_TEXT);
		s->message = xmalloc(cap);
		rpc_message_decode(value, s->message, cap);
	}
}

/* What answers with another status than 200 is no gRPC server, whatever the body is: it is not read. */
static void on_headers(struct h2_session *ss, int32_t id, bool end)
{
	struct rpc_stream *s = stream_of(ss, id);
	char text[400];
	if (!s)
		return;
	if (!s->has_head && !s->ended && !end)
		rpc_window_open(s);
	s->has_head = true;
	if (s->ended || end || s->has_status || s->http_status <= 200)
		return;
	snprintf(text, sizeof(text), "%s answers with HTTP status %u", s->channel->addr,
		 s->http_status);
	reset(ss, id);
	stream_end(s, rpc_code_of_http(s->http_status), text);
}

static void credit(struct rpc_stream *s, bool always)
{
	struct h2_session *ss = s->session;
	if (ss && !ss->closing) {
		if (always || !pipe_full(s->pipe))
			h2_session_credit(ss, s->id, &s->held);
		h2_session_flush(ss);
	}
	rpc_stream_unref(s);
}

static void on_credit(void *arg)
{
	credit(arg, false);
}

/*
 * The reader waits, whatever it still holds: a merge looks at the next message before it gives one back. Until that
 * message is whole its bytes are credited as they come, since it may be larger than the window.
 */
void rpc_stream_hungry(void *arg)
{
	struct rpc_stream *s = arg;
	s->hungry = true;
	credit(s, true);
}

/* Under the pipe's lock, on the reader's thread: only post. */
void rpc_stream_rouse(void *arg)
{
	struct rpc_stream *s = arg;
	atomic_fetch_add(&s->refs, 1);
	loop_post(s->channel->loop, on_credit, s);
}

static void on_data(struct h2_session *ss, int32_t id, const uint8_t *p, size_t n)
{
	struct rpc_stream *s = stream_of(ss, id);
	struct err e = ERR_INIT;
	struct view msg;
	size_t arrived = n;
	int rc;
	if (!s) /* being reset: its window does not matter any more */
		return;
	while ((rc = rpc_frame_next(&s->frame, &p, &n, &msg, &e)) > 0) {
		s->hungry = false;
		if (pipe_push(s->pipe, msg, &e) < 0) {
			rc = -1;
			break;
		}
		if (s->received)
			metric_inc(s->received);
	}
	if (rc < 0) {
		reset(ss, id);
		err_wrap(NULL, &e, "answer of %s", s->channel->addr);
		stream_end(s, rpc_code_of_err(e.code), err_text(&e));
		return;
	}
	rpc_window_arrived(s, arrived);
	s->held += arrived;
	if (s->hungry || !pipe_full(s->pipe))
		h2_session_credit(ss, id, &s->held);
}

static void on_end(struct h2_session *ss, int32_t id)
{
	(void)ss, (void)id;
}

static void start(struct rpc_stream *s);

/* The request was not looked at: it goes out again, on another connection if this one drains. */
static void start_again(struct rpc_stream *s)
{
	s->session = NULL;
	s->id = 0;
	s->sent = 0;
	start(s);
}

static void on_stream_close(struct h2_session *ss, int32_t id, uint32_t h2_error)
{
	struct rpc_stream *s = stream_of(ss, id);
	char text[400];
	if (!s || s->ended)
		return;
	if (s->has_status) {
		bool whole = !rpc_frame_is_partial(&s->frame);
		if (s->status != RPC_OK)
			stream_end(s, (enum rpc_code)s->status,
				   s->message ? s->message : "");
		else if (whole)
			stream_end(s, RPC_OK, NULL);
		else
			stream_end(s, RPC_INTERNAL, "the last message is cut short");
		return;
	}
	bool unseen = h2_error == NGHTTP2_REFUSED_STREAM || s->sent == 0;
	if (unseen && !s->http_status && !s->retried) {
		s->retried = true;
		start_again(s);
		return;
	}
	enum rpc_code code = h2_error ? rpc_code_of_h2(h2_error) : RPC_UNAVAILABLE;
	if (s->http_status && s->http_status != 200)
		code = rpc_code_of_http(s->http_status);
	snprintf(text, sizeof(text),
		 "%s: stream ended without a status (HTTP %u, HTTP/2 error %u)",
		 s->channel->addr, s->http_status, h2_error);
	stream_end(s, code, text);
}

/* ---- sessions ---- */

/* All streams of ss (NULL: those that wait for a connection). */
static void fail_streams(struct rpc_channel *c, const struct h2_session *ss,
			 enum rpc_code code, const char *why)
{
	struct rpc_stream *next;
	for (struct rpc_stream *s = c->streams; s; s = next) {
		next = s->next;
		if (s->session == ss)
			stream_end(s, code, why);
	}
}

/* The session takes no more calls. One too many that drains is closed, the oldest. */
static void retire(struct rpc_channel *c)
{
	if (c->n_draining == MAX_DRAINING) {
		struct err e = ERR_INIT;
		struct h2_session *oldest = c->draining[0];
		err_set(NULL, &e, E_UNAVAILABLE,
			"%s: more than %d connections are draining", c->addr,
			MAX_DRAINING);
		fail_streams(c, oldest, RPC_UNAVAILABLE, err_text(&e));
		h2_session_close(oldest, &e);
		c->n_draining--;
		memmove(&c->draining[0], &c->draining[1],
			c->n_draining * sizeof(struct h2_session *));
		c->n_closing++;
	}
	c->draining[c->n_draining++] = c->session;
	c->session = NULL;
}

/*
 * Requests still queued here (the peer bounds its streams) would be refused by nghttp2 only when their turn
 * comes: they go elsewhere at once.
 */
static void on_goaway(struct h2_session *ss)
{
	struct rpc_channel *c = ss->owner;
	struct rpc_stream *next;
	if (c->session != ss)
		return;
	retire(c);
	for (struct rpc_stream *s = c->streams; s; s = next) {
		next = s->next;
		if (s->session != ss || s->sent ||
		    nghttp2_session_find_stream(ss->h2, s->id))
			continue;
		reset(ss, s->id);
		start_again(s);
	}
}

static void forget(struct rpc_channel *c, const struct h2_session *ss)
{
	if (c->session == ss) {
		c->session = NULL;
		return;
	}
	for (uint32_t i = 0; i < c->n_draining; i++)
		if (c->draining[i] == ss) {
			c->n_draining--;
			memmove(&c->draining[i], &c->draining[i + 1],
				(c->n_draining - i) * sizeof(struct h2_session *));
			return;
		}
	c->n_closing--;
}

static void done_if_freed(struct rpc_channel *c)
{
	struct loop_op *op = c->free_op;
	if (!op || c->session || c->n_draining || c->n_closing)
		return;
	c->free_op = NULL;
	loop_op_done(op, NULL);
}

static void on_gone(struct h2_session *ss, const struct err *why)
{
	struct rpc_channel *c = ss->owner;
	forget(c, ss);
	fail_streams(c, ss, RPC_UNAVAILABLE, err_text(why));
	h2_session_free(ss);
	done_if_freed(c);
}

static const struct h2_session_ops session_ops = {
	.on_begin = on_begin,
	.on_header = on_header,
	.on_headers = on_headers,
	.on_data = on_data,
	.on_end = on_end,
	.on_stream_close = on_stream_close,
	.on_goaway = on_goaway,
	.on_probed = rpc_window_probed,
	.on_gone = on_gone,
};

/* ---- requests ---- */

static ssize_t read_request(nghttp2_session *h2, int32_t id, uint8_t *to, size_t cap,
			    uint32_t *flags, nghttp2_data_source *src, void *arg)
{
	struct rpc_stream *s = src->ptr;
	(void)h2, (void)id, (void)arg;
	size_t n = MIN(cap, s->request.n - s->sent);
	memcpy(to, s->request.p + s->sent, n);
	s->sent += n;
	if (s->sent == s->request.n)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
			     strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static void submit(struct rpc_stream *s)
{
	struct rpc_channel *c = s->channel;
	nghttp2_nv nv[10 + MAX_META];
	char timeout[16];
	size_t n = 0;
	uint64_t now = time_mono_ns();
	if (s->deadline_ns && s->deadline_ns <= now) {
		stream_end(s, RPC_DEADLINE_EXCEEDED, "deadline passed while connecting");
		return;
	}
	nv[n++] = header(":method", "POST");
	nv[n++] = header(":scheme", c->o.tls ? "https" : "http");
	nv[n++] = header(":path", s->path);
	nv[n++] = header(":authority", c->addr);
	nv[n++] = header("content-type", "application/grpc");
	nv[n++] = header("te", "trailers");
	nv[n++] = header("user-agent", "thanosc");
	nv[n++] = header("grpc-accept-encoding", RPC_ACCEPT_ENCODING);
	if (c->o.encoding != RPC_IDENTITY)
		nv[n++] = header("grpc-encoding", rpc_encoding_name(c->o.encoding));
	if (s->deadline_ns) { /* what is left now, after connecting */
		rpc_timeout_format(s->deadline_ns - now, timeout);
		nv[n++] = header("grpc-timeout", timeout);
	}
	const char *m = (const char *)s->meta.p;
	for (size_t i = 0; i < s->n_meta; i++) {
		const char *value = m + strlen(m) + 1;
		nv[n++] = header(m, value);
		m = value + strlen(value) + 1;
	}
	nghttp2_data_provider data = { .source.ptr = s, .read_callback = read_request };
	s->id = nghttp2_submit_request(c->session->h2, NULL, nv, n, &data, s);
	if (s->id < 0) {
		stream_end(s, RPC_UNAVAILABLE, nghttp2_strerror(s->id));
		return;
	}
	s->session = c->session;
	s->session->streams++;
	h2_session_flush(s->session);
}

static void on_dialled(void *arg, struct net_conn *conn, const struct err *why)
{
	struct rpc_channel *c = arg;
	c->dial = NULL;
	if (why) {
		c->backoff_ns =
			c->backoff_ns ? MIN(c->backoff_ns * 2, 30 * NS_PER_S) : NS_PER_S;
		c->next_try_ns = time_after_ns(c->backoff_ns);
		err_copy(NULL, &c->last_error, why);
		fail_streams(c, NULL, RPC_UNAVAILABLE, err_text(&c->last_error));
		return;
	}
	struct h2_session_opts o = { .stream_window = (uint32_t)c->o.stream_window,
				     .conn_window = (uint32_t)c->o.conn_window,
				     .max_frame = RPC_CLIENT_MAX_FRAME,
				     .keepalive_ns = c->o.keepalive_ns,
				     .ping_timeout_ns = 5 * NS_PER_S };
	c->backoff_ns = c->next_try_ns = 0;
	if (c->o.tls)
		net_conn_tls(conn, c->o.tls, c->host);
	c->session = h2_session_new(conn, &o, &session_ops, c);
	struct rpc_stream *next;
	for (struct rpc_stream *s = c->streams; s; s = next) {
		next = s->next;
		if (!s->session)
			submit(s);
	}
}

/* A linked stream goes out on the session, or waits for the connection that it asks for. */
static void start(struct rpc_stream *s)
{
	struct rpc_channel *c = s->channel;
	if (c->session && c->session->closing)
		retire(c);
	if (c->session)
		submit(s);
	else if (c->dial)
		return;
	else if (c->next_try_ns && time_mono_ns() < c->next_try_ns)
		stream_end(s, RPC_UNAVAILABLE, err_text(&c->last_error));
	else
		c->dial = net_dial(c->loop, str_of(c->addr), c->o.connect_timeout_ns,
				   on_dialled, c);
}

void rpc_stream_begin(void *arg)
{
	struct rpc_stream *s = arg;
	struct rpc_channel *c = s->channel;
	s->next = c->streams;
	if (s->next)
		s->next->link = &s->next;
	s->link = &c->streams;
	c->streams = s;
	if (c->closed)
		stream_end(s, RPC_CANCELLED, "the channel is closed");
	else
		start(s);
}

struct close_op {
	struct loop_op base;
	struct rpc_stream *stream;
	struct rpc_channel *channel;
};

static void close_op_free(struct loop_op *op)
{
	free(CONTAINER_OF(op, struct close_op, base));
}

static void close_on_loop(struct loop_op *op)
{
	struct rpc_stream *s = CONTAINER_OF(op, struct close_op, base)->stream;
	struct h2_session *ss = s->session;
	if (ss && !ss->closing)
		reset(ss, s->id);
	stream_end(s, RPC_CANCELLED, "closed by the caller");
	if (ss)
		h2_session_flush(ss);
	loop_op_done(op, NULL);
}

static void run_op(struct rpc_channel *c, struct rpc_stream *s,
		   void (*fn)(struct loop_op *op))
{
	struct err e = ERR_INIT;
	struct close_op *op = xcalloc(1, sizeof(*op));
	loop_op_init(&op->base, close_op_free);
	op->stream = s;
	op->channel = c;
	(void)!loop_call(c->loop, NULL, fn, &op->base, &e);
	loop_op_unref(&op->base);
}

void rpc_stream_close(struct rpc_stream *s)
{
	if (!s)
		return;
	pipe_close(s->pipe, "closed by the caller");
	run_op(s->channel, s, close_on_loop);
	pipe_unref(s->pipe);
	rpc_stream_unref(s);
}

/* ---- channels ---- */

int rpc_channel_new(const struct rpc_channel_opts *o, struct str addr,
		    struct metric_registry *m, struct rpc_channel **out, struct err *e)
{
	struct str host;
	uint16_t port;
	if (net_addr_split(addr, &host, &port, e) < 0)
		return -1;
	if (addr.n >= sizeof(((struct rpc_channel *)0)->addr))
		return err_set(NULL, e, E_INVALID, "address of %zu bytes", addr.n);
	struct rpc_channel *c = xcalloc(1, sizeof(*c));
	atomic_init(&c->refs, 1);
	c->loop = o->loop;
	c->o = *o;
	c->o.connect_timeout_ns =
		o->connect_timeout_ns ? o->connect_timeout_ns : 5 * NS_PER_S;
	c->o.keepalive_ns = o->keepalive_ns ? o->keepalive_ns : 10 * NS_PER_S;
	c->o.stream_window = o->stream_window ? o->stream_window : (size_t)256 << 10;
	c->window = c->o.stream_window;
	c->o.conn_window = o->conn_window ? o->conn_window : (size_t)16 << 20;
	snprintf(c->addr, sizeof(c->addr), "%.*s", STR_FMT(addr));
	BUG_ON(net_addr_split(str_of(c->addr), &c->host, &port, e) < 0);
	c->o.tls = net_tls_ref(o->tls);
	c->metrics = metric_set_new(m, rows, RPC_CLIENT_METRICS);
	*out = c;
	return 0;
}

static void free_on_loop(struct loop_op *op)
{
	struct rpc_channel *c = CONTAINER_OF(op, struct close_op, base)->channel;
	struct err e = ERR_INIT;
	err_set(NULL, &e, E_CANCELLED, "channel to %s closed", c->addr);
	c->closed = true;
	if (c->dial)
		net_dial_cancel(c->dial);
	c->dial = NULL;
	while (c->streams)
		stream_end(c->streams, RPC_CANCELLED, err_text(&e));
	if (c->session)
		h2_session_close(c->session, &e);
	for (uint32_t i = 0; i < c->n_draining; i++)
		h2_session_close(c->draining[i], &e);
	c->free_op = op;
	done_if_freed(c);
}

void rpc_channel_free(struct rpc_channel *c)
{
	if (!c)
		return;
	run_op(c, NULL, free_on_loop);
	channel_unref(c);
}
