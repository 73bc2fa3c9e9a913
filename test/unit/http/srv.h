/*
 * srv.h - a server with the routes that the tests of http need, on 127.0.0.1.
 */
#ifndef UNIT_HTTP_SRV_H
#define UNIT_HTTP_SRV_H

#include "http/http.h"
#include "peer.h"

struct srv {
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *reg;
	struct budget budget;
	struct http_server *s;
	uint16_t port;
	/* what handlers told */
	struct latch entered, left, released;
	int rc;			  /* the last handler's result */
	struct err e;		  /* and error */
	_Atomic uint64_t written; /* bytes that /flood handed over */
	struct cancel_waiter waiter;
};
/* opts may be NULL. Routes:
 *   GET|POST /echo       params as "k=v\n", then the body's length; on a request thread
 *   GET      /size/:n    n bytes 'a'..'z', by http_reply
 *   GET      /stream/:n  the same, by many http_write
 *   GET      /loop/:n    the same, on the loop
 *   GET      /wait       ends when cancelled
 *   GET      /flood      writes until that fails
 *   GET      /endless    the same, by many at a time
 *   GET      /fail       returns an error; /fail/late after 200 KiB
 *   GET      /hold       posts `entered`, answers after `released`
 *   GET      /v/:name/x, /static/ and the rest: the capture
 */
void srv_start(struct srv *v, const struct http_server_opts *o);
void srv_start_wide(struct srv *v, const struct http_server_opts *o,
		    uint32_t threads); /* 8 by srv_start */
void srv_stop(struct srv *v, uint64_t grace_ns);
/* One request on a connection of its own with "Connection: close"; the whole answer. Free by raw_close. */
struct raw *srv_ask(struct srv *v, const char *method, const char *target,
		    const char *headers);
const char *answer_body(const struct raw *r); /* behind the head */
void want_pattern(const char *p, size_t n);

#endif
