/*
 * rpc/rpc_int.h - what the files of rpc share: the HTTP/2 session of both sides, texts of headers.
 */
#ifndef RPC_RPC_INT_H
#define RPC_RPC_INT_H

#include <nghttp2/nghttp2.h>

#include "net/net.h"
#include "net/tls.h"
#include "rpc/rpc.h"
#include "rpc/rpc_frame.h"

/* ---- session: LOOP ---- */
struct rpc_session;
/*
 * Called from inside nghttp2, which sends what they submit afterwards; none may close or free the
 * session but by rpc_session_close. on_gone comes once, last; the owner then frees the session, and
 * its streams get no on_stream_close of their own.
 */
struct rpc_session_ops {
	void (*on_begin)(struct rpc_session *s, int32_t id); /* server: a new request */
	void (*on_header)(struct rpc_session *s, int32_t id, struct str name,
			  struct str value);
	/* A block of headers or trailers is complete; end: so is the peer's half. */
	void (*on_headers)(struct rpc_session *s, int32_t id, bool end);
	void (*on_data)(struct rpc_session *s, int32_t id, const uint8_t *p, size_t n);
	void (*on_end)(struct rpc_session *s,
		       int32_t id); /* the peer's half ended by DATA */
	void (*on_stream_close)(struct rpc_session *s, int32_t id, uint32_t h2_error);
	void (*on_goaway)(struct rpc_session *s); /* may be NULL */
	void (*on_gone)(struct rpc_session *s, const struct err *why);
	void (*on_tick)(struct rpc_session *s,
			uint64_t now); /* each second; may be NULL */
};
struct rpc_session {
	struct net_conn *conn;
	struct loop *loop;
	nghttp2_session *h2;
	const struct rpc_session_ops *ops;
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
	bool calmed;  /* too many PINGs: it ends when GOAWAY is out */
	uint8_t strikes; /* PINGs that came too early since we last sent anything of a stream */
	uint64_t last_ping_ns; /* of the peer; 0: none since then */
	uint64_t keepalive_ns, ping_timeout_ns, age_ns; /* 0: never */
	uint64_t started_ns, heard_ns;
	uint64_t ping_ns;   /* when the unanswered PING was sent; 0: none */
	uint64_t goaway_ns; /* when the second GOAWAY is due; 0: not draining */
	uint64_t close_ns;  /* when a drain ends by force */
};
struct rpc_session_opts {
	bool server;
	uint32_t max_streams; /* server: that the peer may open */
	uint32_t stream_window, conn_window;
	uint64_t keepalive_ns, ping_timeout_ns, age_ns;
};
struct rpc_session *rpc_session_new(struct net_conn *c, const struct rpc_session_opts *o,
				    const struct rpc_session_ops *ops, void *owner);
void rpc_session_free(struct rpc_session *s);  /* in or after on_gone */
void rpc_session_flush(struct rpc_session *s); /* after whatever was submitted */
void rpc_session_close(struct rpc_session *s, const struct err *why); /* at once */
/* No new streams; those open have grace_ns. */
void rpc_session_drain(struct rpc_session *s, uint64_t grace_ns);
/* *owed bytes of the stream's window are free again: told to the sender, and *owed cleared, once they
 * are a quarter window. Flush afterwards. */
void rpc_session_credit(struct rpc_session *s, int32_t id, size_t *owed);

/* ---- rpc_status.c: pure ---- */
enum rpc_code rpc_code_of_http(unsigned status);
enum rpc_code rpc_code_of_h2(uint32_t h2_error);
void rpc_message_encode(struct str text, struct buf *out);
/* Decodes into out (NUL-terminated, cut at cap); returns the length. */
size_t rpc_message_decode(struct str text, char *out, size_t cap);
/* "100m" -> ns; false: not a grpc-timeout. Saturates. */
bool rpc_timeout_parse(struct str s, uint64_t *ns);
void rpc_timeout_format(uint64_t ns, char out[16]); /* rounded up */
/* "/pkg.Service/Method" in parts, false: not such a path; the type as grpc names it. */
bool rpc_path_split(struct str path, struct str *service, struct str *method);
struct str rpc_path_type(struct str path);

/* ---- rpc_health.c: pure ---- */
enum rpc_health_status {
	RPC_HEALTH_SERVING = 1,
	RPC_HEALTH_NOT_SERVING = 2,
	RPC_HEALTH_UNKNOWN = 3
};
#define RPC_HEALTH_CHECK "/grpc.health.v1.Health/Check"
#define RPC_HEALTH_WATCH "/grpc.health.v1.Health/Watch"
/* *service is a view into msg. E_INVALID: not such a message. */
MUST_CHECK int rpc_health_request(struct str msg, struct str *service, struct err *e);
size_t rpc_health_answer(uint8_t out[2], enum rpc_health_status st);

#endif
