/*
 * rpc/rpc_session.c - one HTTP/2 connection: nghttp2 on a net connection, without any gRPC.
 *
 * nghttp2 does no I/O: received bytes are fed to it (mem_recv), and what it wants to send is drained
 * (mem_send) into the connection while that is not full; the rest follows on drain. Callbacks run
 * inside nghttp2; what they submit is flushed when the outermost call has returned.
 *
 * Credit: windows are never updated by nghttp2 itself. Connection credit is given the moment bytes
 * arrive, so a stream that nobody reads stops itself only. Stream credit is the owner's affair
 * (rpc_session_credit), in steps of a quarter window. The call of nghttp2 that credits both windows at
 * once is never used.
 *
 * The end: whoever wants it calls rpc_session_close, which closes the conn; on_close then tells the
 * owner once (on_gone), who ends its streams and frees the session. A connection that nghttp2 has no
 * more use for (after GOAWAY, when the last stream ended) is finished by flush.
 *
 * One timer a second serves keepalive (PING when nothing came for keepalive_ns while streams are
 * open), the maximum age, and the time a drain may take. A drain says GOAWAY twice, as RFC 9113 §6.8
 * advises: first with the largest stream number, so that no request under way is lost, a second
 * later with the true one.
 */
#include "rpc/rpc_int.h"

#include <stdlib.h>

#include "base/time.h"

#define TICK_NS	   NS_PER_S
#define PREFACE_NS (10 * NS_PER_S) /* for TLS and the first SETTINGS */
/*
 * Peers may ping every 10 s; a second less allows for what the network does to the distance of two. Two early ones
 * are let pass, and any answer that leaves forgives all, since Go's clients ping to measure while they receive.
 */
#define PING_MIN_NS (9 * NS_PER_S)
#define MAX_STRIKES 2

void rpc_session_flush(struct rpc_session *s)
{
	const uint8_t *p;
	ssize_t n = 0;

	if (s->busy || s->closing)
		return;
	s->busy = true;
	while (!net_conn_full(s->conn) && (n = nghttp2_session_mem_send(s->h2, &p)) > 0)
		net_conn_write(s->conn, p, (size_t)n);
	s->busy = false;
	if (n < 0) {
		struct err e = ERR_INIT;
		err_set(NULL, &e, E_INTERNAL, "HTTP/2 to %s: %s", net_conn_peer(s->conn),
			nghttp2_strerror((int)n));
		rpc_session_close(s, &e);
		return;
	}
	bool over =
		!nghttp2_session_want_read(s->h2) && !nghttp2_session_want_write(s->h2);
	if (over || s->calmed) {
		s->closing = true;
		net_conn_finish(s->conn);
	}
}

void rpc_session_close(struct rpc_session *s, const struct err *why)
{
	if (why && s->why.code == E_OK)
		s->why = *why;
	s->closing = true;
	net_conn_close(s->conn);
}

/* Not consume_stream, which waits for half a window. */
void rpc_session_credit(struct rpc_session *s, int32_t id, size_t *owed)
{
	if (*owed < s->quarter)
		return;
	(void)nghttp2_submit_window_update(s->h2, NGHTTP2_FLAG_NONE, id, (int32_t)*owed);
	*owed = 0;
}

/* ---- nghttp2's callbacks ---- */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *f, void *arg)
{
	struct rpc_session *s = arg;

	(void)h2;
	if (s->server && f->hd.type == NGHTTP2_HEADERS &&
	    f->headers.cat == NGHTTP2_HCAT_REQUEST) {
		s->streams++;
		s->ops->on_begin(s, f->hd.stream_id);
	}
	return 0;
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *f, const uint8_t *name,
		     size_t nn, const uint8_t *value, size_t nv, uint8_t flags, void *arg)
{
	struct rpc_session *s = arg;

	(void)h2, (void)flags;
	if (f->hd.type == NGHTTP2_HEADERS)
		s->ops->on_header(s, f->hd.stream_id, str_n(name, nn), str_n(value, nv));
	return 0;
}

static void on_ping(struct rpc_session *s)
{
	static const char why[] = "too_many_pings"; /* as go-grpc's clients look for */
	uint64_t now = time_mono_ns();
	bool early = s->last_ping_ns && now - s->last_ping_ns < PING_MIN_NS;

	s->last_ping_ns = now;
	if (!s->server || !early || s->strikes++ < MAX_STRIKES || s->calmed)
		return;
	s->calmed = true;
	(void)nghttp2_submit_goaway(s->h2, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(s->h2),
				    NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)why,
				    sizeof(why) - 1);
}

static int on_frame_recv(nghttp2_session *h2, const nghttp2_frame *f, void *arg)
{
	struct rpc_session *s = arg;
	bool end = f->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)h2;
	switch (f->hd.type) {
	case NGHTTP2_HEADERS: s->ops->on_headers(s, f->hd.stream_id, end); break;
	case NGHTTP2_DATA:
		if (end)
			s->ops->on_end(s, f->hd.stream_id);
		break;
	case NGHTTP2_PING:
		if (f->hd.flags & NGHTTP2_FLAG_ACK)
			s->ping_ns = 0;
		else
			on_ping(s);
		break;
	case NGHTTP2_SETTINGS: s->settled = true; break;
	case NGHTTP2_GOAWAY:
		s->goaway = true;
		if (s->ops->on_goaway)
			s->ops->on_goaway(s);
		break;
	default: break;
	}
	return 0;
}

static int on_chunk(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *p,
		    size_t n, void *arg)
{
	struct rpc_session *s = arg;

	(void)flags;
	(void)nghttp2_session_consume_connection(h2, n);
	s->ops->on_data(s, id, p, n);
	return 0;
}

/*
 * The answer is out before the request is in: the rest is not wanted. Said only now, because nghttp2
 * drops whatever waits to be sent on a stream once its RST_STREAM is queued.
 */
static int on_frame_send(nghttp2_session *h2, const nghttp2_frame *f, void *arg)
{
	struct rpc_session *s = arg;
	int32_t id = f->hd.stream_id;

	if (f->hd.type == NGHTTP2_HEADERS || f->hd.type == NGHTTP2_DATA) {
		s->strikes = 0;
		s->last_ping_ns = 0;
	}
	if (s->server && f->hd.type == NGHTTP2_HEADERS &&
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(h2, id) == 0)
		(void)nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, id,
						NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t error, void *arg)
{
	struct rpc_session *s = arg;

	(void)h2;
	if (s->streams)
		s->streams--;
	s->ops->on_stream_close(s, id, error);
	return 0;
}

/* ---- the connection's callbacks ---- */

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	struct rpc_session *s = arg;

	if (s->closing)
		return;
	s->heard_ns = time_mono_ns();
	s->busy = true;
	ssize_t rc = nghttp2_session_mem_recv(s->h2, p, n);
	s->busy = false;
	if (rc < 0) {
		struct err e = ERR_INIT;
		err_set(NULL, &e, E_UNAVAILABLE, "HTTP/2 from %s: %s",
			net_conn_peer(s->conn), nghttp2_strerror((int)rc));
		rpc_session_close(s, &e);
		return;
	}
	rpc_session_flush(s);
}

static void on_eof(void *arg)
{
	struct rpc_session *s = arg;
	struct err e = ERR_INIT;

	err_set(NULL, &e, E_UNAVAILABLE, "connection closed by %s",
		net_conn_peer(s->conn));
	rpc_session_close(s, &e);
}

static void on_drain(void *arg)
{
	rpc_session_flush(arg);
}

static void on_close(void *arg, const struct err *why)
{
	struct rpc_session *s = arg;
	struct err e = s->why.code != E_OK ? s->why : why ? *why : ERR_INIT;

	if (e.code == E_OK)
		err_set(NULL, &e, E_UNAVAILABLE, "connection closed");
	s->closing = true;
	loop_timer_stop(s->timer);
	s->ops->on_gone(s, &e);
}

static const struct net_conn_ops conn_ops = { on_data, on_eof, on_drain, on_close };

/* ---- time ---- */

void rpc_session_drain(struct rpc_session *s, uint64_t grace_ns)
{
	uint64_t close_ns = time_after_ns(grace_ns);

	s->close_ns = s->close_ns ? MIN(s->close_ns, close_ns) : close_ns;
	if (s->closing || s->goaway_ns)
		return;
	(void)nghttp2_submit_shutdown_notice(s->h2);
	s->goaway_ns = time_after_ns(s->streams ? NS_PER_S : 0);
	if (!s->streams)
		(void)nghttp2_submit_goaway(s->h2, NGHTTP2_FLAG_NONE,
					    nghttp2_session_get_last_proc_stream_id(
						    s->h2),
					    NGHTTP2_NO_ERROR, NULL, 0);
	rpc_session_flush(s);
}

static void keepalive(struct rpc_session *s, uint64_t now)
{
	struct err e = ERR_INIT;

	if (s->ping_ns && now - s->ping_ns >= s->ping_timeout_ns &&
	    now - s->heard_ns >= s->ping_timeout_ns) {
		err_set(NULL, &e, E_UNAVAILABLE, "%s does not answer keepalive",
			net_conn_peer(s->conn));
		rpc_session_close(s, &e);
	} else if (!s->ping_ns && s->streams && s->keepalive_ns &&
		   now - s->heard_ns >= s->keepalive_ns) {
		s->ping_ns = now;
		(void)nghttp2_submit_ping(s->h2, NGHTTP2_FLAG_NONE, NULL);
		rpc_session_flush(s);
	}
}

static void on_tick(void *arg)
{
	struct rpc_session *s = arg;
	uint64_t now = time_mono_ns();

	if (s->calmed) { /* whether GOAWAY was read or not */
		rpc_session_close(s, NULL);
		return;
	}
	if (s->closing)
		return;
	if (s->age_ns && !s->goaway_ns && now - s->started_ns >= s->age_ns)
		rpc_session_drain(s, UINT64_MAX);
	if (s->goaway_ns && now >= s->goaway_ns) {
		s->goaway_ns = UINT64_MAX;
		(void)nghttp2_submit_goaway(s->h2, NGHTTP2_FLAG_NONE,
					    nghttp2_session_get_last_proc_stream_id(
						    s->h2),
					    NGHTTP2_NO_ERROR, NULL, 0);
		rpc_session_flush(s);
	}
	if (s->closing)
		return;
	if (s->close_ns && now >= s->close_ns) {
		rpc_session_close(s, NULL);
		return;
	}
	if (s->server && !s->settled && now - s->started_ns >= PREFACE_NS) {
		struct err e = ERR_INIT;
		err_set(NULL, &e, E_TIMEOUT, "%s does not begin to speak HTTP/2",
			net_conn_peer(s->conn));
		rpc_session_close(s, &e);
		return;
	}
	if (s->ops->on_tick)
		s->ops->on_tick(s, now);
	if (!s->closing)
		keepalive(s, now);
}

/* ---- life ---- */

static nghttp2_session *h2_new(struct rpc_session *s, bool server)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_session *h2 = NULL;

	BUG_ON(nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&opt) != 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_option_set_no_auto_window_update(opt, 1);
	nghttp2_option_set_no_closed_streams(opt, 1);
	if (server) {
		nghttp2_option_set_stream_reset_rate_limit(opt, 1000, 100);
		BUG_ON(nghttp2_session_server_new2(&h2, cb, s, opt) != 0);
	} else {
		BUG_ON(nghttp2_session_client_new2(&h2, cb, s, opt) != 0);
	}
	nghttp2_option_del(opt);
	nghttp2_session_callbacks_del(cb);
	return h2;
}

struct rpc_session *rpc_session_new(struct net_conn *c, const struct rpc_session_opts *o,
				    const struct rpc_session_ops *ops, void *owner)
{
	struct rpc_session *s = xcalloc(1, sizeof *s);
	nghttp2_settings_entry set[4];
	size_t n = 0;

	s->conn = c;
	s->loop = net_conn_loop(c);
	s->ops = ops;
	s->owner = owner;
	s->server = o->server;
	s->why = ERR_INIT;
	s->keepalive_ns = o->keepalive_ns;
	s->quarter = MAX(o->stream_window / 4, 1u);
	s->ping_timeout_ns = o->ping_timeout_ns;
	s->age_ns = o->age_ns;
	s->started_ns = s->heard_ns = time_mono_ns();
	s->h2 = h2_new(s, o->server);
	if (o->server) {
		set[n++] =
			(nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
						  o->max_streams };
		set[n++] =
			(nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
						  64u << 10 };
	} else {
		set[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 };
	}
	set[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
					     o->stream_window };
	BUG_ON(nghttp2_submit_settings(s->h2, NGHTTP2_FLAG_NONE, set, n) != 0);
	(void)nghttp2_session_set_local_window_size(s->h2, NGHTTP2_FLAG_NONE, 0,
						    (int32_t)o->conn_window);
	s->timer = loop_timer_new(s->loop, on_tick, s);
	loop_timer_start(s->timer, TICK_NS, TICK_NS);
	net_conn_set_ops(c, &conn_ops, s);
	rpc_session_flush(s);
	return s;
}

void rpc_session_free(struct rpc_session *s)
{
	loop_timer_free(s->timer);
	nghttp2_session_del(s->h2);
	free(s);
}
