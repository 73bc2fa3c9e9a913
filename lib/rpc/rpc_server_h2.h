/*
 * rpc/rpc_server_h2.h - between rpc_server.c (life) and rpc_server_h2.c (requests).
 */
#ifndef RPC_RPC_SERVER_H2_H
#define RPC_RPC_SERVER_H2_H

#include "rpc/rpc_server_int.h"

extern const struct h2_session_ops rpc_server_h2_ops;
void rpc_server_on_gone(struct h2_session *s, const struct err *why);
/* Tell a watcher the status if it changed. LOOP */
void rpc_health_push(struct rpc_call *call);
enum rpc_health_status rpc_health_of(struct rpc_server *srv, struct str service);

#endif
