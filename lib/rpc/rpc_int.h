/*
 * rpc/rpc_int.h - what the files of rpc share: texts of headers, health. The HTTP/2 session is http's.
 */
#ifndef RPC_RPC_INT_H
#define RPC_RPC_INT_H

#include "http/h2_session.h"
#include "net/tls.h"
#include "rpc/rpc.h"
#include "rpc/rpc_frame.h"

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
