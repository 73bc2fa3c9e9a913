/*
 * http/h2_session.c - one HTTP/2 connection: nghttp2 on a net connection.
 *
 * nghttp2 does no I/O: received bytes are fed to it (mem_recv), and what it wants to send is drained
 * (mem_send) into the connection while that is not full; the rest follows on drain. Callbacks run
 * inside nghttp2; what they submit is flushed when the outermost call has returned.
 *
 * Credit: windows are never updated by nghttp2 itself. Connection credit is given the moment bytes
 * arrive, so a stream that nobody reads stops itself only. Stream credit is the owner's affair
 * (h2_session_credit), in steps of a quarter window. The call of nghttp2 that credits both windows at
 * once is never used.
 *
 * The end: whoever wants it calls h2_session_close, which closes the conn; on_close then tells the
 * owner once (on_gone), who ends its streams and frees the session. A connection that nghttp2 has no
 * more use for (after GOAWAY, when the last stream ended) is finished by flush.
 *
 * Peers that only keep us busy: PING, SETTINGS, PRIORITY, WINDOW_UPDATE and empty DATA use up a
 * client's patience, which comes back with time and with each frame of an answer that it lets us send; when it is
 * gone the connection ends by GOAWAY(ENHANCE_YOUR_CALM). Rapid resets and CONTINUATION floods are counted by
 * nghttp2. A peer that takes none of our answers to its frames is not read either until it does.
 *
 * One timer a second serves keepalive (PING when nothing came for keepalive_ns while streams are
 * open), the maximum age, and the time a drain may take. A drain says GOAWAY twice, as RFC 9113 §6.8
 * advises: first with the largest stream number, so that no request under way is lost, a second
 * later with the true one.
 */
#include "http/h2_session.h"

#include <stdlib.h>
#include <string.h>

#include "base/time.h"

#define TICK_NS	   NS_PER_S
#define PREFACE_NS (10 * NS_PER_S) /* for TLS and the first SETTINGS */
/*
 * Peers may ping every 10 s; a second less allows for what the network does to the distance of two. Two early ones
 * are let pass, and any answer that leaves forgives all, since Go's clients ping to measure while they receive.
 */
#define PING_MIN_NS (9 * NS_PER_S)
#define MAX_STRIKES 2

#define PATIENCE       1000u /* frames that ask for nothing */
#define PATIENCE_PER_S 100u
#define PATIENCE_PER_SENT                                                                \
	3u /* clients credit both windows for each DATA, some a little more often */
#define MAX_UNSENT_FRAMES 1000u
#define H2_FRAME_HEAD	  9
#define MAX_DATA	  (256u << 10) /* of one DATA frame, if the peer takes as much */

void h2_session_flush(struct h2_session *s)
{
	const uint8_t *p;
	ssize_t n = 0;

	if (s->busy || s->closing)
		return;
	s->busy = true;
	while (!net_conn_full(s->conn) && (n = nghttp2_session_mem_send(s->h2, &p)) > 0) {
		net_conn_write(s->conn, p, (size_t)n);
		s->written += (uint64_t)n;
	}
	s->busy = false;
	if (n < 0) {
		struct err e = ERR_INIT;
		err_set(NULL, &e, E_INTERNAL, "HTTP/2 to %s: %s", net_conn_peer(s->conn),
			nghttp2_strerror((int)n));
		h2_session_close(s, &e);
		return;
	}
	bool over =
		!nghttp2_session_want_read(s->h2) && !nghttp2_session_want_write(s->h2);
	if (over || s->calmed) {
		s->closing = true;
		net_conn_finish(s->conn);
		return;
	}
	bool pause = s->server && net_conn_full(s->conn) &&
		     nghttp2_session_get_outbound_queue_size(s->h2) > MAX_UNSENT_FRAMES;
	if (pause != s->paused) {
		s->paused = pause;
		net_conn_pause(s->conn, pause);
	}
}

void h2_session_close(struct h2_session *s, const struct err *why)
{
	if (why && s->why.code == E_OK)
		s->why = *why;
	s->closing = true;
	net_conn_close(s->conn);
}

/* Not consume_stream, which waits for half a window. */
void h2_session_credit(struct h2_session *s, int32_t id, size_t *owed)
{
	if (*owed < s->quarter)
		return;
	(void)nghttp2_submit_window_update(s->h2, NGHTTP2_FLAG_NONE, id, (int32_t)*owed);
	*owed = 0;
}

static const uint8_t probe_text[8] = "window?";

bool h2_session_probe(struct h2_session *s)
{
	if (s->probing)
		return false;
	s->probing = nghttp2_submit_ping(s->h2, NGHTTP2_FLAG_NONE, probe_text) == 0;
	s->probe_ns = time_mono_ns();
	return s->probing;
}

/* ---- nghttp2's callbacks ---- */

static int on_begin_headers(nghttp2_session *h2, const nghttp2_frame *f, void *arg)
{
	struct h2_session *s = arg;

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
	struct h2_session *s = arg;

	(void)h2, (void)flags;
	if (f->hd.type == NGHTTP2_HEADERS)
		s->ops->on_header(s, f->hd.stream_id, str_n(name, nn), str_n(value, nv));
	return 0;
}

static void calm_down(struct h2_session *s, const char *why)
{
	if (s->calmed)
		return;
	s->calmed = true;
	(void)nghttp2_submit_goaway(s->h2, NGHTTP2_FLAG_NONE,
				    nghttp2_session_get_last_proc_stream_id(s->h2),
				    NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)why,
				    strlen(why));
}

static void on_ping(struct h2_session *s)
{
	uint64_t now = time_mono_ns();
	bool early = s->last_ping_ns && now - s->last_ping_ns < PING_MIN_NS;

	s->last_ping_ns = now;
	if (s->strict_pings && early && s->strikes++ >= MAX_STRIKES)
		calm_down(s, "too_many_pings"); /* as go-grpc's clients look for */
}

static void on_pong(struct h2_session *s, const uint8_t text[8])
{
	s->ping_ns = 0;
	if (!s->probing || memcmp(text, probe_text, sizeof(probe_text)) != 0)
		return;
	s->probing = false;
	s->trip_ns = time_mono_ns() - s->probe_ns;
	s->least_trip_ns = s->probes++ ? MIN(s->least_trip_ns, s->trip_ns) : s->trip_ns;
	if (s->ops->on_probed)
		s->ops->on_probed(s);
}

static bool asks_for_nothing(const nghttp2_frame_hd *hd)
{
	switch (hd->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_GOAWAY: return false;
	case NGHTTP2_DATA:
		return hd->length == 0 && !(hd->flags & NGHTTP2_FLAG_END_STREAM);
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS: return !(hd->flags & NGHTTP2_FLAG_ACK);
	default: return true;
	}
}

static int on_begin_frame(nghttp2_session *h2, const nghttp2_frame_hd *hd, void *arg)
{
	struct h2_session *s = arg;

	(void)h2;
	if (!s->server || !asks_for_nothing(hd))
		return 0;
	if (s->patience == 0) {
		uint64_t back =
			(time_mono_ns() - s->patience_ns) * PATIENCE_PER_S / NS_PER_S;
		s->patience = (uint32_t)MIN(back, PATIENCE);
		s->patience_ns += back * NS_PER_S / PATIENCE_PER_S;
	}
	if (s->patience == 0)
		calm_down(s, "too many frames that ask for nothing");
	else
		s->patience--;
	return 0;
}

static int on_frame_recv(nghttp2_session *h2, const nghttp2_frame *f, void *arg)
{
	struct h2_session *s = arg;
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
			on_pong(s, f->ping.opaque_data);
		else
			on_ping(s);
		break;
	case NGHTTP2_SETTINGS:
		if (!s->settled && s->ops->on_settled)
			s->ops->on_settled(s);
		s->settled = true;
		break;
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
	struct h2_session *s = arg;

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
	struct h2_session *s = arg;
	int32_t id = f->hd.stream_id;

	if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
		return 0;
	s->strikes = 0;
	s->last_ping_ns = 0;
	s->patience = MIN(s->patience + PATIENCE_PER_SENT, PATIENCE);
	if (s->server && (f->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(h2, id) == 0)
		(void)nghttp2_submit_rst_stream(h2, NGHTTP2_FLAG_NONE, id,
						NGHTTP2_NO_ERROR);
	return 0;
}

static int on_stream_close(nghttp2_session *h2, int32_t id, uint32_t error, void *arg)
{
	struct h2_session *s = arg;

	(void)h2;
	if (s->streams)
		s->streams--;
	s->ops->on_stream_close(s, id, error);
	return 0;
}

static int on_send_data(nghttp2_session *h2, nghttp2_frame *f, const uint8_t *head,
			size_t n, nghttp2_data_source *src, void *arg)
{
	struct h2_session *s = arg;

	(void)h2, (void)src;
	if (net_conn_full(s->conn))
		return NGHTTP2_ERR_WOULDBLOCK; /* until h2_session_flush */
	net_conn_write(s->conn, head, H2_FRAME_HEAD);
	s->ops->write_data(s, f->hd.stream_id, n);
	s->written += H2_FRAME_HEAD + n;
	return 0;
}

static ssize_t on_data_length(nghttp2_session *h2, uint8_t type, int32_t id,
			      int32_t conn_window, int32_t stream_window,
			      uint32_t max_frame, void *arg)
{
	(void)h2, (void)type, (void)id, (void)conn_window, (void)stream_window, (void)arg;
	return MIN(max_frame, MAX_DATA);
}

/* ---- the connection's callbacks ---- */

void h2_session_feed(struct h2_session *s, const uint8_t *p, size_t n)
{
	if (s->closing || n == 0)
		return;
	s->heard_ns = time_mono_ns();
	s->busy = true;
	ssize_t rc = nghttp2_session_mem_recv(s->h2, p, n);
	s->busy = false;
	if (rc < 0) {
		struct err e = ERR_INIT;
		err_set(NULL, &e, E_UNAVAILABLE, "HTTP/2 from %s: %s",
			net_conn_peer(s->conn), nghttp2_strerror((int)rc));
		h2_session_close(s, &e);
		return;
	}
	h2_session_flush(s);
}

static void on_data(void *arg, const uint8_t *p, size_t n)
{
	h2_session_feed(arg, p, n);
}

bool h2_session_upgrade(struct h2_session *s, struct str settings, bool is_head)
{
	if (nghttp2_session_upgrade2(s->h2, (const uint8_t *)settings.p, settings.n,
				     is_head, NULL) != 0)
		return false;
	s->streams++;
	s->settled =
		false; /* those of the Upgrade were told as if they had come by a frame */
	return true;
}

static void on_eof(void *arg)
{
	struct h2_session *s = arg;
	struct err e = ERR_INIT;

	err_set(NULL, &e, E_UNAVAILABLE, "connection closed by %s",
		net_conn_peer(s->conn));
	h2_session_close(s, &e);
}

static void on_drain(void *arg)
{
	h2_session_flush(arg);
}

static void on_close(void *arg, const struct err *why)
{
	struct h2_session *s = arg;
	struct err e = s->why.code != E_OK ? s->why : why ? *why : ERR_INIT;

	if (e.code == E_OK)
		err_set(NULL, &e, E_UNAVAILABLE, "connection closed");
	s->closing = true;
	loop_timer_stop(s->timer);
	s->ops->on_gone(s, &e);
}

static const struct net_conn_ops conn_ops = { on_data, on_eof, on_drain, on_close };

/* ---- time ---- */

void h2_session_drain(struct h2_session *s, uint64_t grace_ns)
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
	h2_session_flush(s);
}

static void keepalive(struct h2_session *s, uint64_t now)
{
	struct err e = ERR_INIT;

	if (s->ping_ns && now - s->ping_ns >= s->ping_timeout_ns &&
	    now - s->heard_ns >= s->ping_timeout_ns) {
		err_set(NULL, &e, E_UNAVAILABLE, "%s does not answer keepalive",
			net_conn_peer(s->conn));
		h2_session_close(s, &e);
	} else if (!s->ping_ns && s->streams && s->keepalive_ns &&
		   now - s->heard_ns >= s->keepalive_ns) {
		s->ping_ns = now;
		(void)nghttp2_submit_ping(s->h2, NGHTTP2_FLAG_NONE, NULL);
		h2_session_flush(s);
	}
}

/* Also of a connection that is only to write its last bytes. */
static bool is_stalled(struct h2_session *s, uint64_t now)
{
	size_t unsent = net_conn_unsent(s->conn);

	if (unsent == 0 || s->written > s->taken + unsent) {
		s->moved_ns = now;
		s->taken = s->written > unsent ? s->written - unsent : 0;
	}
	return s->stall_ns && now - s->moved_ns >= s->stall_ns;
}

static void on_tick(void *arg)
{
	struct h2_session *s = arg;
	uint64_t now = time_mono_ns();

	if (is_stalled(s, now)) {
		struct err e = ERR_INIT;
		err_set(NULL, &e, E_TIMEOUT, "%s takes no bytes", net_conn_peer(s->conn));
		h2_session_close(s, &e);
		return;
	}
	if (s->calmed) { /* whether GOAWAY was read or not */
		h2_session_close(s, NULL);
		return;
	}
	if (s->closing)
		return;
	if (s->age_ns && !s->goaway_ns && now - s->started_ns >= s->age_ns)
		h2_session_drain(s, UINT64_MAX);
	if (s->goaway_ns && now >= s->goaway_ns) {
		s->goaway_ns = UINT64_MAX;
		(void)nghttp2_submit_goaway(s->h2, NGHTTP2_FLAG_NONE,
					    nghttp2_session_get_last_proc_stream_id(
						    s->h2),
					    NGHTTP2_NO_ERROR, NULL, 0);
		h2_session_flush(s);
	}
	if (s->closing)
		return;
	if (s->close_ns && now >= s->close_ns) {
		h2_session_close(s, NULL);
		return;
	}
	if (s->server && !s->settled && now - s->started_ns >= s->preface_ns) {
		struct err e = ERR_INIT;
		err_set(NULL, &e, E_TIMEOUT, "%s does not begin to speak HTTP/2",
			net_conn_peer(s->conn));
		h2_session_close(s, &e);
		return;
	}
	if (s->ops->on_tick)
		s->ops->on_tick(s, now);
	if (!s->closing)
		keepalive(s, now);
}

/* ---- life ---- */

static nghttp2_session *h2_new(struct h2_session *s, bool server)
{
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;
	nghttp2_session *h2 = NULL;

	BUG_ON(nghttp2_session_callbacks_new(&cb) != 0 || nghttp2_option_new(&opt) != 0);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	if (s->ops->write_data) {
		nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
		nghttp2_session_callbacks_set_data_source_read_length_callback(
			cb, on_data_length);
	}
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

struct h2_session *h2_session_new(struct net_conn *c, const struct h2_session_opts *o,
				  const struct h2_session_ops *ops, void *owner)
{
	struct h2_session *s = xcalloc(1, sizeof *s);
	nghttp2_settings_entry set[5];
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
	s->stall_ns = o->stall_ns;
	s->preface_ns = o->preface_ns ? o->preface_ns : PREFACE_NS;
	s->strict_pings = o->strict_pings;
	s->patience = PATIENCE;
	s->started_ns = s->heard_ns = s->moved_ns = s->patience_ns = time_mono_ns();
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
	if (o->max_frame)
		set[n++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_FRAME_SIZE,
						     o->max_frame };
	BUG_ON(nghttp2_submit_settings(s->h2, NGHTTP2_FLAG_NONE, set, n) != 0);
	(void)nghttp2_session_set_local_window_size(s->h2, NGHTTP2_FLAG_NONE, 0,
						    (int32_t)o->conn_window);
	s->timer = loop_timer_new(s->loop, on_tick, s);
	loop_timer_start(s->timer, TICK_NS, TICK_NS);
	net_conn_set_ops(c, &conn_ops, s);
	h2_session_flush(s);
	return s;
}

void h2_session_free(struct h2_session *s)
{
	loop_timer_free(s->timer);
	nghttp2_session_del(s->h2);
	free(s);
}
