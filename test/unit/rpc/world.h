/*
 * test/unit/rpc/world.h - a server with test methods and a channel to it, over real sockets.
 */
#ifndef TEST_UNIT_RPC_WORLD_H
#define TEST_UNIT_RPC_WORLD_H

#include <stdatomic.h>

#include "rpc/rpc.h"

struct world {
	struct loops loops;
	struct loop *client_loop;
	struct task_pool *pool;
	struct metric_registry *reg;
	struct rpc_server *srv;
	struct rpc_channel *ch;
	struct rpc_server_opts opts;
	char addr[32];
	/* what handlers saw */
	_Atomic int cancelled, left_ms, big_sent;
	_Atomic int ended; /* err_code a handler's rpc_send gave */
};

/* Methods: /t.T/Echo, /t.T/Loop (on the loop), /t.T/Count "n size" (n messages of size bytes),
 * /t.T/Hang (until its token says so), /t.T/Fail (its request as the error's text), /t.T/Peer (the client's
 * address and port). */
void world_start(struct world *w, size_t window);
void world_start_opts(struct world *w, size_t window, const struct rpc_server_opts *opts);
void world_serve(struct world *w, const char *addr);
void world_stop(struct world *w);
/* Ask and expect `n` messages of `size` bytes; -1 with the error. */
int world_count(struct world *w, struct ctx *ctx, int n, size_t size, struct err *e);
/* Wait up to 10 s until *v >= want. */
bool world_until(_Atomic int *v, int want);

#endif
