/*
 * rpc/rpc_server_int.h - the server's insides: server, connection, call.
 */
#ifndef RPC_RPC_SERVER_INT_H
#define RPC_RPC_SERVER_INT_H

#include <pthread.h>

#include "base/map.h"
#include "rpc/rpc_codec.h"
#include "rpc/rpc_int.h"

#define RPC_N_CODES	       17
#define RPC_SERVER_WINDOW      (64u << 10) /* request bytes a stream may send ahead */
#define RPC_SERVER_CONN_WINDOW (1u << 20)
#define RPC_STALL_NS	       (30 * NS_PER_S)	  /* rpc_send without progress */
#define RPC_META_BYTES	       ((size_t)64 << 10) /* headers of one request */

struct rpc_server_method {
	struct rpc_method m;
	bool watch; /* Health/Watch: stays open without a handler */
	bool logged;
	struct metric *started, *received, *sent, *seconds, *handled[RPC_N_CODES];
};

struct rpc_server {
	struct loops *loops;
	struct task_pool *pool;
	struct rpc_server_opts o;
	struct metric_set *metrics;
	struct rpc_server_method *methods;
	size_t n_methods;
	struct map by_path; /* FROZEN after start */
	struct net_listener *listener;
	uint64_t stall_ns;
	_Atomic bool serving, stopping;

	pthread_mutex_t mu; /* below */
	pthread_cond_t cv;
	struct rpc_conn *conns;
	uint32_t n_conns, n_calls;
};

struct rpc_conn { /* LOOP; refs: the session, and each job posted for it */
	_Atomic uint32_t refs;
	struct rpc_server *srv;
	struct loop *loop;
	struct h2_session *s;	      /* NULL: gone */
	struct rpc_call *calls;	      /* whose stream is open */
	struct rpc_conn *next, *prev; /* srv->mu */
};

/*
 * Queued bytes. The connection pins them by `ref` while it writes them, from then on with a reference to the call, whose budget
 * they are charged to.
 */
struct rpc_chunk {
	struct ref ref;
	struct rpc_chunk *next;
	struct rpc_call *call; /* NULL: no reference yet */
	struct view v;	       /* what is not yet given to the connection */
};

/* refs: the open stream, the handler, each job posted for it. */
struct rpc_call {
	_Atomic uint32_t refs;
	struct rpc_server *srv;
	struct loop *loop;
	char peer[64];
	uint64_t start_ns;

	/* LOOP */
	struct rpc_conn *conn; /* NULL: the stream is gone */
	struct rpc_call *next, *prev;
	int32_t id;
	bool checked;	/* request headers are complete */
	bool decided;	/* handed to the handler, or refused */
	bool submitted; /* the answer has begun */
	struct rpc_frame in;
	size_t owed;
	int watched; /* status last sent to a watcher; 0: not watching */

	/* set by the loop before the handler runs, then read only */
	struct rpc_server_method *method;
	struct buf meta;     /* name NUL value NUL ... */
	char request_id[27]; /* made here, for the log; "": none */
	struct budget budget;
	struct ctx ctx;
	enum rpc_encoding in_enc, out_enc; /* in_enc: messages are tagged */
	bool has_request;
	struct view request;

	/* the handler's thread only */
	struct slab *fill;
	size_t next_cap;

	pthread_mutex_t mu; /* below */
	pthread_cond_t cv;  /* room, or gone */
	struct rpc_chunk *head, **tail;
	size_t queued;	   /* bytes not yet taken by HTTP/2 */
	uint64_t moved_ns; /* when some were taken last, or queued into emptiness */
	bool idle;	   /* HTTP/2 does not ask for bytes by itself */
	bool posted, gone, finished;
	enum rpc_code code;
	char *text; /* NULL: none */
	struct rpc_chunk *in_head,
		**in_tail;    /* messages of a client that sends many, whole */
	bool in_running;      /* a thread is at them */
	bool in_ended;	      /* no more will come */
	bool in_owed;	      /* credit waits for that thread */
	_Atomic bool counted; /* its end, in the metrics */
};

/* ---- rpc_call.c ---- */
struct rpc_call *rpc_call_new(struct rpc_conn *c, int32_t id); /* LOOP */
void rpc_call_unref(struct rpc_call *call);
struct str rpc_call_header(const struct rpc_call *call, struct str name);
/* A message of the client without its tag, decoded; -1: *code is the status. WORKER */
MUST_CHECK int rpc_call_untag(struct rpc_call *call, struct view *msg,
			      enum rpc_code *code, struct err *e);
/* The status; afterwards nothing is sent. Any thread. */
void rpc_call_finish(struct rpc_call *call, enum rpc_code code, struct str text);
/* The end of the call in metrics and log, the first time only; ran: a handler did. */
void rpc_call_count(struct rpc_call *call, enum rpc_code code, bool ran, struct str text);
void rpc_call_start(struct rpc_call *call); /* LOOP: submit what there is */
/* LOOP: n bytes of the queue go to the connection. */
void rpc_call_write(struct rpc_call *call, size_t n);
void rpc_call_end_stream(struct rpc_call *call); /* LOOP: the stream is gone */

/* ---- rpc_log.c: lines about calls of methods that are `logged` ---- */
void rpc_log_start(struct rpc_call *call); /* LOOP; its request id, too */
void rpc_log_end(const struct rpc_call *call, enum rpc_code code, struct str text);

/* ---- rpc_bidi.c: clients that send many messages; LOOP ---- */
MUST_CHECK int rpc_bidi_message(struct rpc_call *call, struct view v, struct err *e);
void rpc_bidi_end(struct rpc_call *call);     /* the client's half has ended */
bool rpc_bidi_is_idle(struct rpc_call *call); /* nobody works on its messages */
bool rpc_bidi_may_credit(struct rpc_call *call);

/* ---- rpc_reflect.c ---- */
#define RPC_REFLECT_V1 "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define RPC_REFLECT_V1ALPHA                                                              \
	"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
/* A method's handle; arg: the server. */
int rpc_reflect(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		struct err *e);

/* ---- rpc_server.c ---- */
void rpc_server_call_gone(struct rpc_server *srv);

#endif
