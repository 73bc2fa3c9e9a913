/*
 * http/http.h - HTTP server (1.1 and 2) and client for plain, synchronous code.
 *
 * Server: llhttp and nghttp2 on the loops; a route's handler runs on the loop (frozen answers: probes, metrics)
 * or on a request thread. A client that disconnects cancels the request's token at once.
 * Client: libcurl multi on a loop; a worker fetches one answer or reads a body as a stream.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "base/ctx.h"
#include "base/ref.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "task/task.h"

/* ---------------------------------------------------------------- server */

struct http_kv {
	struct str k, v;
};
struct http_subject { /* of a client's certificate; empty: it has none */
	struct str organization, unit, common_name;
};
struct http_req { /* FROZEN while the handler runs; memory of the request's arena */
	struct str method, path; /* path decoded, without the route prefix */
	struct str target;	 /* as it came */
	struct http_kv *headers; /* names in lower case */
	size_t n_headers;
	struct http_kv
		*params; /* query parameters and form body; the body's come first */
	size_t n_params;
	struct str body;    /* of methods that have one; form bodies stay here, too */
	struct str capture; /* what ":name" or "*" of the route matched */
	const char *peer;   /* "ip:port" */
	const struct http_subject *
		subject; /* of the client's certificate, where the server wants it; NULL: none */
	struct arena *arena; /* lives until the answer has been handed over */
};
struct str http_header(const struct http_req *r,
		       const char *lower_name); /* empty: absent */
struct str http_param(const struct http_req *r,
		      const char *name); /* first; empty: absent */
bool http_has_param(const struct http_req *r, const char *name);
/* All values of a repeated parameter, in order; in the request's arena. */
struct str *http_params(const struct http_req *r, const char *name, size_t *n);

struct http_resp;
/*
 * The answer. status and headers go out with the first bytes; a short answer (everything known at
 * http_end) gets Content-Length, a longer one is chunked. gzip or deflate is applied when the client
 * accepts it and the body exceeds 1 KiB (never on the loop). HEAD answers carry no body.
 */
void http_status(struct http_resp *w, int status);
void http_add_header(struct http_resp *w, const char *name, struct str value);
/* WORKER: waits while the socket is full. On a loop route: buffered, at most 16 MiB. */
MUST_CHECK int http_write(struct http_resp *w, struct ctx *ctx, struct str data,
			  struct err *e);
/* One whole answer: status, Content-Type, body. */
MUST_CHECK int http_reply(struct http_resp *w, struct ctx *ctx, int status,
			  const char *type, struct str body, struct err *e);
int http_status_of(const struct http_resp *w);

enum http_where {
	HTTP_ON_REQUEST, /* request thread; ctx has deadline, token, budget */
	HTTP_ON_LOOP,	 /* must not wait; ctx has no notes */
};
struct http_route {
	const char *methods; /* "GET", "GET|POST" */
	const char *
		path; /* "/api/v1/label/:name/values", "/static/" followed by "*" = rest */
	enum http_where where;
	/* -1: the server answers 500 with the text if nothing was sent, else cuts the connection. */
	int (*handle)(void *arg, struct ctx *ctx, const struct http_req *r,
		      struct http_resp *w, struct err *e);
	void *arg;
	const char *name; /* `handler` label of metrics; NULL: path */
};
/* ---- basic authentication ---- */
struct http_auth; /* SHARED; users may be replaced while it is used */
struct http_auth *http_auth_new(void);
void http_auth_free(struct http_auth *a); /* NULL allowed */
/* Names and bcrypt hashes, copied; none: everybody may ask. */
void http_auth_set(struct http_auth *a, const struct http_kv *users, size_t n);

struct net_tls; /* net/tls.h */
struct http_server_opts {
	struct str addr;
	const char *prefix;	    /* --web.route-prefix, "" or "/x" */
	size_t n_root;		    /* the first routes, which a prefix does not move */
	uint32_t max_conns;	    /* 0: LIMIT_HTTP_CONNS, or 3/4 of the descriptors */
	uint64_t header_timeout_ns; /* 0: 30 s for a whole request head */
	uint64_t idle_timeout_ns;   /* 0: 120 s between requests */
	uint64_t body_timeout_ns;   /* 0: 60 s without progress, reading or writing */
	size_t max_body;	    /* 0: LIMIT_HTTP_BODY_BYTES */
	struct budget *budget;	    /* of each request: parent; may be NULL */
	bool cors;
	bool no_http2; /* HTTP/1.1 only; over TLS what it agrees on counts, too */
	bool want_subject;
	const char *
		tenant_header; /* in lower case; metrics tell tenants apart. NULL: they do not */
	struct str default_tenant; /* of a request without it */
	/* NULL: plain, everybody; kept by the caller until the server has stopped, as headers are. */
	struct net_tls *tls;
	struct http_auth *auth;
	const struct http_kv *headers; /* on every answer */
	struct trace_sink *trace;      /* of requests on request threads; NULL: off */
	const struct request_log *log; /* conf/request_log.h; NULL: off */
	size_t n_headers;
};
struct http_server;
MUST_CHECK int http_server_start(struct loops *loops, struct task_pool *pool,
				 struct metric_registry *m,
				 const struct http_server_opts *o,
				 const struct http_route *routes, size_t n,
				 struct http_server **out, struct err *e);
uint16_t http_server_port(const struct http_server *s);
/* Stop listening, let requests under way end within grace_ns, then cancel them; waits. */
void http_server_stop(struct http_server *s, uint64_t grace_ns);

/* ---------------------------------------------------------------- client */

struct http_client;
struct http_client_conf; /* http/client_conf.h: TLS, authentication, proxy, redirects */
struct http_client_opts {
	struct loop *loop;
	uint32_t max_conns_per_host;   /* 0: 100, UINT32_MAX: no limit */
	uint32_t max_idle;	       /* connections kept for later; 0: 256 */
	uint64_t connect_timeout_ns;   /* 0: 10 s */
	uint64_t handshake_timeout_ns; /* TLS, on top of connecting; 0: 10 s */
	uint64_t
		header_timeout_ns; /* from the request's last byte to the answer's head; 0: none */
	uint64_t stall_timeout_ns; /* without a byte of a body either way; 0: none */
	uint64_t idle_timeout_ns;  /* of a kept connection; 0: 90 s */
	const char *user_agent;
	const struct http_client_conf *conf; /* copied; NULL: none of it, no redirects */
};
MUST_CHECK int http_client_new(const struct http_client_opts *o, struct http_client **out,
			       struct err *e);
void http_client_free(struct http_client *c); /* after all calls have ended */

/*
 * A request body that does not lie in memory: read fills buf with up to cap bytes, *n = 0 at the end. Called on
 * the worker that opened the request, until the answer's head has come.
 */
struct http_source {
	int (*read)(void *arg, struct ctx *ctx, void *buf, size_t cap, size_t *n,
		    struct err *e);
	/* Back to the first byte, for a redirect that keeps the body; NULL: cannot. */
	int (*rewind)(void *arg, struct ctx *ctx, struct err *e);
	void *arg;
	uint64_t size; /* bytes it gives, exactly */
};
struct http_fetch_req {
	const char *method; /* "GET", "POST", "PUT", "HEAD", "DELETE"; static text */
	struct str url;
	const struct http_kv *headers;
	size_t n_headers;
	struct str
		body; /* kept by the caller until the call returns (fetch) or the body is closed */
	const struct http_source *source; /* instead of `body`; NULL: none */
	/* The answer's body comes in many small pieces: let so many bytes come, for about 2 ms, before they are read and
	 * handed on as one. 0: as they come. */
	size_t gather;
};
struct http_answer {
	int status;
	struct http_kv *headers; /* lower case names; in the caller's arena */
	size_t n_headers;
};
struct str http_answer_header(const struct http_answer *a, const char *lower_name);
/*
 * One request, whole answer: the body (gzip decoded, at most body->max bytes) is appended to body.
 * Any status is success; errors are transport's: E_UNAVAILABLE, E_TIMEOUT, E_CANCELLED, E_LIMIT,
 * naming the URL without its userinfo and query. WORKER
 */
MUST_CHECK int http_fetch(struct http_client *c, struct ctx *ctx, struct arena *a,
			  const struct http_fetch_req *r, struct http_answer *out,
			  struct buf *body, struct err *e);
/* The same, the body as a stream through a pipe of at most `window` bytes (0: 1 MiB). WORKER */
struct http_body;
MUST_CHECK int http_open(struct http_client *c, struct ctx *ctx, struct arena *a,
			 const struct http_fetch_req *r, size_t window,
			 struct http_answer *out, struct http_body **body, struct err *e);
/*
 * The same in two steps, so that one worker has several requests under way: begin sends the request (a source is
 * read in the second step) and never follows a redirect; answer waits for the head. WORKER
 */
MUST_CHECK int http_begin(struct http_client *c, struct ctx *ctx,
			  const struct http_fetch_req *r, size_t window,
			  struct http_body **body, struct err *e);
MUST_CHECK int http_answer_wait(struct http_body *b, struct ctx *ctx, struct arena *a,
				struct http_answer *out, struct err *e);
/* 1: *v is the next piece (release it by http_body_release); 0: whole body read; -1: cut or failed */
MUST_CHECK int http_body_read(struct http_body *b, struct ctx *ctx, struct view *v,
			      struct err *e);
void http_body_release(struct http_body *b, struct view *v);
void http_body_close(
	struct http_body *b); /* aborts the transfer if it has not ended; NULL ok */

#endif
