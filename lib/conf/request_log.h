/*
 * conf/request_log.h - which requests are logged, as the peers' --request.logging-config says.
 *
 *   options: { level: DEBUG, decision: { log_start: false, log_end: true } }    # of both protocols
 *   http:
 *     options: { ... }                                                         # instead, for this one
 *     config: [ { path: /api/v1/query, port: 10902 } ]                         # these only
 *   grpc:
 *     config: [ { service: thanos.Store, method: Series } ]
 *
 * Servers take a `struct request_log`, NULL where nothing is logged, and write lines with the peers' names of
 * fields. COMPAT: a path is matched without its query, at the port of the request's Host or of the server (Thanos:
 * with the query, Host only); a row without port means all; the level counts for gRPC, too, and WARNING is a level
 * (Thanos: gRPC ignores it, WARNING lets all through).
 *
 * Thread  FROZEN once parsed.  Memory  rows and texts live in the arena.
 */
#ifndef CONF_REQUEST_LOG_H
#define CONF_REQUEST_LOG_H

#include "base/arena.h"
#include "base/log.h"

struct request_log_row {
	struct str path; /* of HTTP, or "/service/method" */
	int64_t port;	 /* 0: any */
};
struct request_log {
	enum log_level min; /* lines less severe are left out */
	bool start, end;
	struct request_log_row *rows;
	size_t n_rows; /* 0: all requests */
	const char *component;
};
struct request_logs {
	const struct request_log *http, *grpc; /* NULL: off */
};
/* `what` begins errors; an empty text: all off. */
MUST_CHECK int request_logs_parse(struct arena *a, struct str yaml, struct str what,
				  const char *component, struct request_logs *out,
				  struct err *e);
/* Is this one to be logged? port 0: none is known. */
bool request_log_has(const struct request_log *l, struct str path, int64_t port);
bool request_log_wants(const struct request_log *l, enum log_level level);
/* "12.345": milliseconds to the microsecond, without zeros at the end. */
struct str request_log_ms(char out[32], uint64_t took_ns);

#endif
