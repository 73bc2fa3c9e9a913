/*
 * rpc/rpc.h - gRPC over HTTP/2 (nghttp2): server and client, unary and server streaming, flow
 * controlled so that memory is bounded and no stream starves another (design §4):
 *
 *  - connection window: credited when bytes arrive;
 *  - stream window: credited when bytes move into a message still incomplete, or when the worker
 *    released a complete message, in steps of a quarter window; the client's grows where the line is
 *    long (rpc_window.c).
 *
 * Handlers and callers are plain WORKER code; sessions live on the loops. Message bytes are charged
 * to the call's budget as they arrive, never by the announced length.
 */
#ifndef RPC_RPC_H
#define RPC_RPC_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/ref.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "task/task.h"

struct net_tls; /* net/tls.h */

enum rpc_code { /* grpc status codes */
		RPC_OK = 0,
		RPC_CANCELLED = 1,
		RPC_UNKNOWN = 2,
		RPC_INVALID_ARGUMENT = 3,
		RPC_DEADLINE_EXCEEDED = 4,
		RPC_NOT_FOUND = 5,
		RPC_ALREADY_EXISTS = 6,
		RPC_PERMISSION_DENIED = 7,
		RPC_RESOURCE_EXHAUSTED = 8,
		RPC_FAILED_PRECONDITION = 9,
		RPC_ABORTED = 10,
		RPC_OUT_OF_RANGE = 11,
		RPC_UNIMPLEMENTED = 12,
		RPC_INTERNAL = 13,
		RPC_UNAVAILABLE = 14,
		RPC_DATA_LOSS = 15,
		RPC_UNAUTHENTICATED = 16
};
/* One table: what a handler's error becomes, and what a received status becomes. */
enum rpc_code rpc_code_of_err(enum err_code c);
enum err_code rpc_code_to_err(enum rpc_code c);
const char *
rpc_code_name(enum rpc_code c); /* "OK", "ResourceExhausted" as go-grpc prints */

/* Of messages. A server answers in the encoding of the request, where the client accepts it. */
enum rpc_encoding { RPC_IDENTITY = 0, RPC_GZIP = 1, RPC_SNAPPY = 2 /* framed */ };

/* ---------------------------------------------------------------- server */

struct rpc_call; /* one call at the server */
enum rpc_how {
	RPC_ON_WORKER = 0,
	RPC_ON_LOOP = 1, /* unary from frozen snapshots: must not wait */
	/*
	 * The client sends many messages: handle is called on workers for each as it comes, in their order, one at a
	 * time. The call ends when one fails, or after the client's last.
	 */
	RPC_BIDI = 2,
};
struct rpc_method {
	const char *path; /* "/thanos.Store/Series" */
	enum rpc_how how;
	/*
	 * ctx carries the client's deadline, a token cancelled when the stream is reset or the
	 * connection ends, and a budget. request is valid until return. Answers by rpc_send; the
	 * return value is the status: 0 OK, -1 by rpc_code_of_err(e->code) and err_text.
	 */
	int (*handle)(void *arg, struct ctx *ctx, struct rpc_call *call,
		      struct str request, struct err *e);
	void *arg;
};
/*
 * Send one message, `parts` joined (copied into slabs, so the caller's memory is free at return).
 * WORKER: waits while more than the stream's window is queued (back-pressure reaches the handler);
 * fails E_CANCELLED when the client is gone and E_TIMEOUT when nothing moved for 30 s.
 */
MUST_CHECK int rpc_send(struct rpc_call *call, struct ctx *ctx, const struct str *parts,
			size_t n, struct err *e);
/*
 * The same without a copy, for large messages: a slab charged to the call, the message in it from `from` (at least RPC_SLAB_HEAD) up to
 * slab->used. rpc_send_slab takes the reference over, also if it fails.
 */
#define RPC_SLAB_HEAD 8u
MUST_CHECK struct slab *rpc_call_slab(struct rpc_call *call, struct ctx *ctx, size_t cap,
				      struct err *e);
MUST_CHECK int rpc_send_slab(struct rpc_call *call, struct ctx *ctx, struct slab *s,
			     size_t from, struct err *e);
struct str rpc_call_meta(const struct rpc_call *call,
			 const char *lower_name); /* empty: absent */
const char *rpc_call_peer(const struct rpc_call *call);

struct rpc_server;
struct rpc_server_opts {
	struct str addr;
	uint32_t max_conns;   /* 0: 16384 */
	uint32_t max_streams; /* per connection; 0: 250 */
	uint64_t
		max_connection_age_ns; /* then GOAWAY; streams under way go on; 0: never */
	struct budget *budget;	       /* parent of each call's; may be NULL */
	size_t call_budget;	       /* bytes a call may hold; 0: 64 MiB */
	size_t send_window; /* bytes queued unsent per stream before rpc_send waits; 0: 256 KiB */
	uint64_t preface_ns; /* until HTTP/2 must have begun; 0: 10 s */
	uint64_t
		stall_ns; /* for a request to be whole, and of rpc_send without progress; 0: 30 s */
	struct net_tls
		*tls; /* NULL: plain; kept by the caller until the server has stopped */
	struct trace_sink *trace;      /* of calls on request threads; NULL: off */
	const struct request_log *log; /* conf/request_log.h; NULL: off */
};
/* grpc.health.v1.Health (Check, Watch; NOT_SERVING until rpc_server_ready) and server reflection (v1, v1alpha) are
 * always served. */
MUST_CHECK int rpc_server_start(struct loops *loops, struct task_pool *pool,
				struct metric_registry *m,
				const struct rpc_server_opts *o,
				const struct rpc_method *methods, size_t n,
				struct rpc_server **out, struct err *e);
uint16_t rpc_server_port(const struct rpc_server *s);
void rpc_server_ready(struct rpc_server *s, bool serving); /* SHARED */
/* GOAWAY, calls under way may end within grace_ns, then are cancelled; waits. */
void rpc_server_stop(struct rpc_server *s, uint64_t grace_ns);

/* ---------------------------------------------------------------- client */

/*
 * A channel to one address: connects at need, reconnects with backoff (1 s doubling to 30 s, reset
 * by success; a call waits for a connect under way, and fails E_UNAVAILABLE when it failed). After the
 * peer's GOAWAY its streams go on to their end on the old connection, new calls use a new one; of more
 * than 8 connections that drain the oldest is closed.
 */
struct rpc_channel;
struct rpc_channel_opts {
	struct loop *loop;
	uint64_t connect_timeout_ns; /* 0: 5 s */
	uint64_t keepalive_ns;	     /* PING when quiet; 0: 10 s; answer awaited 5 s */
	size_t stream_window;	     /* at first; 0: 256 KiB */
	size_t conn_window;	     /* 0: 16 MiB */
	struct net_tls *tls;	     /* NULL: plain; the channel takes a reference */
	enum rpc_encoding encoding;  /* of requests, and so of answers */
};
MUST_CHECK int rpc_channel_new(const struct rpc_channel_opts *o, struct str addr,
			       struct metric_registry *m, struct rpc_channel **out,
			       struct err *e);
/* Ends its streams (E_CANCELLED). They may still be read and closed afterwards, until the loop stops. WORKER or
 * main. */
void rpc_channel_free(struct rpc_channel *c);

struct rpc_stream; /* one call at the client */
struct rpc_call_opts {
	struct budget *budget; /* received messages are charged to it; NULL: ctx's */
	size_t window_min;     /* read-ahead of complete messages; 0: 1 MiB */
	size_t window_max; /* both windows grow to this only while the reader waits, 2 ms and more; 0: 16 MiB */
	size_t max_message;	/* decoded, too; 0: LIMIT_RPC_MESSAGE_BYTES */
	const struct str *meta; /* pairs name, value */
	size_t n_meta;
};
/* Begin a call: request sent, answers read ahead. Returns before any answer. Deadline and token of
 * ctx are the call's (grpc-timeout); its tenant goes along as thanos-tenant, its request id as request-id, and they stand in the handler's ctx
 * there. `wake` (may be NULL) is called, from a loop, whenever something arrived after rpc_stream_try said
 * PIPE_AGAIN. WORKER */
MUST_CHECK int rpc_open(struct rpc_channel *c, struct ctx *ctx, const char *method,
			struct str request, const struct rpc_call_opts *o,
			struct rpc_stream **out, struct err *e);
void rpc_stream_wake(struct rpc_stream *s, void (*wake)(void *arg), void *arg);
/*
 * 1 message, 0 end with status OK, -1. A call that failed has the code by rpc_code_to_err and the text
 * `rpc error: code = NotFound desc = <as sent>`, as Go's clients print it and Thanos shows it in warnings; a
 * transport's failure has the same form (code = Unavailable). The deadline and token of ctx are told plainly.
 * rpc_try_recv, without a ctx to keep it, cuts the text at 239 bytes.
 */
MUST_CHECK int rpc_recv(struct rpc_stream *s, struct ctx *ctx, struct view *msg,
			struct err *e);
MUST_CHECK int rpc_try_recv(struct rpc_stream *s, struct view *msg,
			    struct err *e);		  /* PIPE_AGAIN */
void rpc_release(struct rpc_stream *s, struct view *msg); /* returns the credit */
/* After rpc_recv said -1: the grpc status code (RPC_UNAVAILABLE for transport failures). */
enum rpc_code rpc_stream_code(const struct rpc_stream *s);
size_t rpc_stream_held(struct rpc_stream *s); /* bytes read ahead */
/* Once. RST_STREAM(CANCEL) if not ended; NULL ok. Messages read before must have been released. */
void rpc_stream_close(struct rpc_stream *s);
/* Unary: exactly one message is appended to out. */
MUST_CHECK int rpc_unary(struct rpc_channel *c, struct ctx *ctx, const char *method,
			 struct str request, struct buf *out, struct err *e);

#endif
