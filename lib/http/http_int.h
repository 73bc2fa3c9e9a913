/*
 * http/http_int.h - the server's insides: server, connection, call (one request and its answer).
 *
 * A call is shared by its connection (LOOP) and the thread that runs the handler. What only one of them may
 * touch is marked; the pipe between them orders the rest: what the worker wrote before pipe_end, the loop may
 * read after PIPE_END.
 */
#ifndef HTTP_HTTP_INT_H
#define HTTP_HTTP_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "http/h1_parse.h"
#include "http/http.h"
#include "base/span.h"
#include "net/net.h"
#include "net/tls.h"
#include "task/pipe.h"
#include "wire/codec.h"

#define HTTP_LOOP_BODY_MAX ((size_t)16 << 20) /* an answer made on the loop */
/* Drawn on the process' budget at a time: thousands of requests that are not whole hold little. */
#define HTTP_READ_STEP ((size_t)4 << 10)
#define HTTP_RUN_STEP  ((size_t)64 << 10)
/* Fewer bytes of a body than this are no progress. */
#define HTTP_PROGRESS	((size_t)1 << 10)
#define HTTP_CODING_MIN 1024u /* bodies up to this are sent as they are */

/* ---- router ---- */
struct http_pattern { /* a route's path cut at '/' */
	struct str *seg;
	uint32_t n;
	bool rest; /* ends in "*" */
};
struct http_match {
	const struct http_route *route; /* NULL: status says why */
	int status;			/* 204 OPTIONS, 302, 400, 404, 405 */
	const char *allow;		/* of 204 and 405 */
};
struct http_server;
void http_pattern_init(struct http_pattern *p, const char *path);
void http_pattern_deinit(struct http_pattern *p);
/* Fills r->path, r->capture and *query (raw). Memory of r->arena. LOOP */
void http_route_find(const struct http_server *s, struct http_req *r, struct str *query,
		     struct http_match *out);

/* ---- form ---- */
/* Sets r->params from r->body (if it is a form) and the query; E_LIMIT when there are too many, E_UNAVAILABLE when the budget has no
 * room for them. */
MUST_CHECK int http_params_parse(struct http_req *r, struct str query, struct err *e);

/* ---- metrics ---- */
struct http_call;
struct http_metrics {
	struct metric_set *set; /* NULL: not counted */
	bool tenants;		/* are told apart */
};
void http_metrics_init(struct http_metrics *m, struct metric_registry *reg,
		       const struct http_server_opts *o);
void http_metrics_begin(const struct http_call *c, const char *handler);
/* Counts c's request, and the bytes of its answer's body so far: all, but for what is still to be sent of a cut one. */
void http_metrics_end(const struct http_call *c, const char *handler, int status,
		      uint64_t took_ns);

/* Who asks: peer and, if it is wanted, subject of his certificate. dispatch.c, LOOP */
void http_req_peer(const struct http_server *s, const struct net_conn *net,
		   struct http_req *r);

/* ---- log of requests ---- */
/* X-Request-ID, where it can be passed on; "": none. */
struct str http_request_id(const struct http_req *r);
/* Beside http_metrics_begin and _end; nothing where logging is off. `handler` NULL: not logged. */
void http_log_start(struct http_call *c, const char *handler, bool on_loop);
void http_log_end(const struct http_call *c, const char *handler, int status,
		  uint64_t took_ns);

/* ---- answer ---- */
enum http_coding { HTTP_IDENTITY, HTTP_GZIP, HTTP_DEFLATE };
struct http_resp_header {
	struct http_resp_header *next;
	struct str k, v;
};
struct http_resp {
	struct http_call *call;
	int status;
	struct http_resp_header *headers, **tail;
	bool on_loop, is_head; /* a HEAD request */
	bool decided;	 /* coding is what is used, no more what the client accepts */
	bool has_coding; /* the handler has encoded the body itself */
	bool head_sent, chunked, close, failed;
	enum http_coding coding;
	struct gzip_enc *enc;
	uint64_t raw_n;	  /* body bytes that the handler wrote */
	uint64_t wire_n;  /* as they go on the wire: encoded, not framed */
	uint64_t known_n; /* of http_reply; 0: not known */
	struct buf
		raw; /* not decided yet: at most HTTP_CODING_MIN; on the loop: the whole body */
	struct slab *cur; /* being filled */
	size_t cur_n;
};
void http_resp_init(struct http_resp *w, struct http_call *call, bool on_loop);
void http_resp_deinit(struct http_resp *w);
/* Forget what was not sent and answer with the handler's error; -1 if bytes are out already. */
MUST_CHECK int http_resp_error(struct http_resp *w, struct ctx *ctx, int status,
			       const struct err *why);
/* WORKER: the handler is through: the last bytes are made, and kept, so that they can be counted before they go. */
MUST_CHECK int http_resp_end_body(struct http_resp *w, struct ctx *ctx, struct err *e);
/* WORKER: send what is left, behind http_resp_end_body; the pipe's end is the caller's affair. */
MUST_CHECK int http_resp_finish(struct http_resp *w, struct ctx *ctx, struct err *e);
/* LOOP: the head of an answer made on the loop; false: it cannot be made. The body is *body, until the call ends. */
bool http_resp_loop_out(struct http_resp *w, struct buf *head, struct str *body);
const char *http_reason(int status);

/* ---- authentication ---- */
enum http_auth_verdict { HTTP_AUTH_OK, HTTP_AUTH_BAD, HTTP_AUTH_ASK, HTTP_AUTH_BUSY };
/* What is known at once: OK, BAD, or that a worker must ask. Any thread. */
enum http_auth_verdict http_auth_look(struct http_auth *a, const struct http_req *r);
/* OK, BAD or BUSY. WORKER */
enum http_auth_verdict http_auth_ask(struct http_auth *a, struct ctx *ctx,
				     const struct http_req *r);
MUST_CHECK int http_auth_refuse(enum http_auth_verdict v, struct http_resp *w,
				struct ctx *ctx, struct err *e);

/* ---- call ---- */
struct http_call;
/*
 * How answers of one protocol reach the client; LOOP. The head is text in HTTP/1.1; in HTTP/2 it is fields, each
 * a name, 0, its value, 0, and in the pipe it is one message of its own, before those of the body.
 */
struct http_framing {
	bool h2;
	size_t pipe_bytes;
	void (*made)(struct http_call *c); /* on the loop: c->resp is to be sent */
	void (*wake)(struct http_call *c); /* by a worker: look at c->pipe */
};
struct http_running { /* handlers on request threads that one connection began; SHARED */
	_Atomic uint32_t refs, n;
};
struct http_call {
	_Atomic uint32_t refs; /* connection; worker; posts under way */
	struct http_server *server;
	struct loop *loop;
	const struct http_framing *framing;
	void *client; /* of the framing; LOOP; NULL once the client has gone */
	struct http_running *running; /* NULL: not counted */
	struct cancel *cancel;	      /* the token of ctx; SHARED */
	struct pipe *pipe; /* worker -> loop; NULL for answers made on the loop */
	const struct http_route *route;
	struct http_match match;
	struct str query;
	int minor;
	bool keep_alive, released;
	bool ask_auth; /* the worker is to look at the credentials first */
	bool logged;   /* its end, too, is to be logged */
	/* the worker's from task_request on */
	struct budget budget;
	struct arena arena;
	struct ctx ctx;
	struct http_req req;
	uint8_t *body;
	size_t body_charged;
	struct http_resp resp;
};
struct http_call *http_call_new(struct http_server *s, const struct http_framing *f,
				void *client);
struct http_call *http_call_ref(struct http_call *c);
void http_call_unref(struct http_call *c);
/* Free all but the shared part: the worker when it is done, else the last unref. */
void http_call_release(struct http_call *c);
void http_call_run(
	void *call); /* task_request's function: handler, answer, end. WORKER */
/* LOOP: the client has gone, or has its whole answer; gives the client's reference back. */
void http_call_drop(struct http_call *c);

/* ---- dispatch; LOOP ---- */
/* The head is complete but for c->req's method, target and headers: who asks, and what answers it. */
void http_dispatch_head(struct http_call *c, struct net_conn *from);
/* The request is complete. True: a worker has it; false: it was answered. */
bool http_dispatch(struct http_call *c);
/* Answers that need no handler. */
void http_answer_plain(struct http_call *c, int status, const char *text);
void http_answer_no_route(struct http_call *c);

/* ---- server ---- */
struct http_shard { /* LOOP: the connections of one loop, those that asked last first */
	struct http_server *server;
	struct loop *loop;
	struct http_conn *first, *last;
};
struct http_server {
	struct loops *loops;
	struct task_pool *pool;
	struct net_listener *listener;
	struct http_server_opts o; /* defaults filled in */
	char *prefix;		   /* "" or "/x" */
	struct http_route *routes;
	struct http_pattern *patterns;
	size_t n_routes;
	struct http_metrics metrics;
	struct http_shard *shards; /* one a loop */
	_Atomic bool stopping;
	_Atomic uint32_t stalled; /* workers that wait for a client to take bytes */
	_Atomic uint32_t n_open;  /* as conns, without the lock */
	pthread_mutex_t mu;	  /* conns, running */
	pthread_cond_t changed;
	uint32_t conns, running; /* connections; handlers on request threads */
};
void http_server_count(struct http_server *s, int conns, int running);

/* ---- connection; LOOP ---- */
struct http_conn;
void http_conn_accept(void *server, struct net_conn *net);
/* IDLE: idle ones close, the others when their answer is out; CANCEL: tokens, too; CLOSE: all. */
enum http_stop { HTTP_STOP_IDLE, HTTP_STOP_CANCEL, HTTP_STOP_CLOSE };
void http_conn_stop(struct http_conn *c, enum http_stop how);
struct http_conn *http_conn_next(const struct http_conn *c);
/* A request has begun: of connections that have none, those go first that have had none for longest. */
void http_conn_touch(struct http_conn *c);
/* The connection of an HTTP/2 session has gone. */
void http_conn_gone(struct http_conn *c, const struct err *why);

/* ---- HTTP/2; LOOP ---- */
struct h2_conn;
/* Takes the connection over. */
struct h2_conn *h2_conn_start(struct http_server *s, struct http_conn *owner,
			      struct net_conn *net);
/* The connection began as HTTP/1.1: the request that asked for more, complete; taken over as stream 1. */
void h2_conn_upgrade(struct h2_conn *h, struct http_call *call, struct str settings);
void h2_conn_feed(struct h2_conn *h, const uint8_t *p, size_t n);
bool h2_conn_is_idle(const struct h2_conn *h);
void h2_conn_stop(struct h2_conn *h, enum http_stop how);

#endif
