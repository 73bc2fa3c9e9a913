/*
 * net/net_int.h - a connection's insides.
 */
#ifndef NET_NET_INT_H
#define NET_NET_INT_H

#include <uv.h>

#include "loop/loop_int.h"
#include "net/net.h"

#define NET_PEER_MAX  64
#define NET_HIGH_MARK ((size_t)256 << 10) /* queued bytes from which a conn is full */
#define NET_LOW_MARK  ((size_t)64 << 10)

/* Bytes on their way out: pinned by the view, or the copy's. */
struct net_piece {
	struct view view;
	uint8_t *copy;
};
struct tls_conn;
struct net_conn {
	uv_tcp_t tcp;
	struct loop *loop;
	const struct net_conn_ops *ops;
	void *arg;
	size_t queued; /* bytes of pieces, and of those handed to libuv and not yet written */
	struct net_piece *
		piece; /* written in one turn, before `pending`; plain connections only */
	size_t n_piece, cap_piece;
	bool full; /* on_drain is due */
	bool paused, reading, closing, finishing;
	bool has_why; /* why: given to on_close */
	struct err why;
	struct buf
		pending; /* small writes of one turn, sent together; before a handshake is done: all of them */
	struct tls_conn *tls;	      /* NULL: plain */
	struct loop_timer *handshake; /* its deadline, while it is going on */
	bool shut_after;	      /* FIN is due when the handshake is done */
	bool tls_said_bye;	      /* finishing, and close_notify is on its way */
	bool flush_posted;
	uint32_t posts; /* posted callbacks under way: the conn stays until they ran */
	bool closed;
	void (*on_gone)(void *arg); /* the listener's count */
	void *gone_arg;
	char peer[NET_PEER_MAX];
};

/* Take over a connected socket. LOOP. The conn reads once its ops are set. */
MUST_CHECK int net_conn_open(struct loop *l, int fd, struct net_conn **out,
			     struct err *e);
struct net_conn *net_conn_alloc(struct loop *l);
void net_conn_name_peer(struct net_conn *c);
void net_ares_begin(void); /* before any use of c-ares. Any thread */

#endif
