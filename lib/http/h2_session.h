/*
 * http/h2_session.h - one HTTP/2 connection of either side: nghttp2 on a net connection, what it carries is its
 * owner's affair (http's server, gRPC's server and client).
 *
 * Thread  LOOP
 */
#ifndef HTTP_H2_SESSION_H
#define HTTP_H2_SESSION_H

#include <nghttp2/nghttp2.h>

#include "net/net.h"

struct h2_session;
/*
 * Called from inside nghttp2, which sends what they submit afterwards; none may close or free the
 * session but by h2_session_close. on_gone comes once, last; the owner then frees the session, and
 * its streams get no on_stream_close of their own.
 */
struct h2_session_ops {
	void (*on_begin)(struct h2_session *s, int32_t id); /* server: a new request */
	void (*on_header)(struct h2_session *s, int32_t id, struct str name,
			  struct str value);
	/* A block of headers or trailers is complete; end: so is the peer's half. */
	void (*on_headers)(struct h2_session *s, int32_t id, bool end);
	void (*on_data)(struct h2_session *s, int32_t id, const uint8_t *p, size_t n);
	void (*on_end)(struct h2_session *s,
		       int32_t id); /* the peer's half ended by DATA */
	void (*on_stream_close)(struct h2_session *s, int32_t id, uint32_t h2_error);
	void (*on_goaway)(struct h2_session *s);  /* may be NULL */
	void (*on_probed)(struct h2_session *s);  /* see h2_session_probe; may be NULL */
	void (*on_settled)(struct h2_session *s); /* the first SETTINGS; may be NULL */
	void (*on_gone)(struct h2_session *s, const struct err *why);
	void (*on_tick)(struct h2_session *s,
			uint64_t now); /* each second; may be NULL */
	/*
	 * n bytes of a stream whose data source said NGHTTP2_DATA_FLAG_NO_COPY go to the connection now, as views. NULL: none
	 * says so.
	 */
	void (*write_data)(struct h2_session *s, int32_t id, size_t n);
};
struct h2_session {
	struct net_conn *conn;
	struct loop *loop;
	nghttp2_session *h2;
	const struct h2_session_ops *ops;
	void *owner;
	struct loop_timer *timer; /* one tick a second */
	struct err why;		  /* why we close it; E_OK: not set */
	uint32_t quarter;	  /* of a stream's window */
	uint32_t streams;	  /* open ones, counted from HEADERS sent or received */
	bool server;
	bool busy;    /* inside nghttp2: nothing is flushed */
	bool closing; /* conn is closed or being finished; on_gone follows */
	bool goaway;  /* the peer said GOAWAY: no new streams */
	bool settled; /* the peer's first SETTINGS have come: it speaks HTTP/2 */
	bool calmed;  /* too many PINGs or the like: it ends when GOAWAY is out */
	bool paused;  /* not read: the peer does not take our answers to its frames */
	bool probing; /* its PING is on the way */
	bool strict_pings;
	uint8_t strikes; /* PINGs that came too early since we last sent anything of a stream */
	uint64_t last_ping_ns; /* of the peer; 0: none since then */
	/* What frames that ask for nothing cost the peer: see h2_session.c. */
	uint32_t patience;
	uint64_t patience_ns; /* until when it was refilled */
	uint64_t keepalive_ns, ping_timeout_ns, age_ns, stall_ns; /* 0: never */
	uint64_t started_ns, heard_ns, preface_ns;
	uint64_t moved_ns; /* the socket took bytes, or had none to take */
	uint64_t written,
		taken;	    /* bytes given to the socket; taken by it when last seen */
	uint64_t ping_ns;   /* when the unanswered PING was sent; 0: none */
	uint64_t goaway_ns; /* when the second GOAWAY is due; 0: not draining */
	uint64_t close_ns;  /* when a drain ends by force */
	/* Of probes: how many came back; when the last one left, and how long it took; the shortest. */
	uint32_t probes;
	uint64_t probe_ns, trip_ns, least_trip_ns;
};
struct h2_session_opts {
	bool server;
	uint32_t max_streams; /* server: that the peer may open */
	uint32_t stream_window, conn_window;
	uint32_t
		max_frame; /* of DATA that the peer may send at once; 0: HTTP/2's 16 KiB */
	uint64_t keepalive_ns, ping_timeout_ns, age_ns;
	uint64_t
		stall_ns; /* closed when the socket takes nothing for so long; 0: never */
	uint64_t preface_ns; /* server: until HTTP/2 must have begun; 0: 10 s */
	bool strict_pings; /* server: gRPC's rule, a third early PING ends the connection */
};
struct h2_session *h2_session_new(struct net_conn *c, const struct h2_session_opts *o,
				  const struct h2_session_ops *ops, void *owner);
/* Bytes that had arrived before the session was made. */
void h2_session_feed(struct h2_session *s, const uint8_t *p, size_t n);
/*
 * Server: the connection was begun by an Upgrade of HTTP/1.1, whose request is stream 1, ended by the client; its
 * headers are the owner's affair. Before any byte is fed. False: the settings are none.
 */
bool h2_session_upgrade(struct h2_session *s, struct str settings, bool is_head);
void h2_session_free(struct h2_session *s);  /* in or after on_gone */
void h2_session_flush(struct h2_session *s); /* after whatever was submitted */
void h2_session_close(struct h2_session *s, const struct err *why); /* at once */
/* No new streams; those open have grace_ns. */
void h2_session_drain(struct h2_session *s, uint64_t grace_ns);
/* *owed bytes of the stream's window are free again: told to the sender, and *owed cleared, once they
 * are a quarter window. Flush afterwards. */
void h2_session_credit(struct h2_session *s, int32_t id, size_t *owed);

/*
 * on_probed is called when bytes sent now have made their way there and back, and trip_ns says how long that took. False: one is on
 * the way already. Flush afterwards.
 */
bool h2_session_probe(struct h2_session *s);

#endif
