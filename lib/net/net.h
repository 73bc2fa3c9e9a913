/*
 * net/net.h - TCP on the loops: listeners, connections, names. TLS slips under the same connection
 * type later, so that http and rpc do not know it.
 *
 * Thread  LOOP unless marked; a connection belongs to one loop for its whole life.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/buf.h"
#include "base/ref.h"
#include "loop/loop.h"

struct net_conn;
/*
 * Callbacks, all on the connection's loop. After on_close nothing follows; the conn is freed after
 * it returns. None of them is called from inside a net_conn_* call.
 */
struct net_conn_ops {
	void (*on_data)(void *arg, const uint8_t *p,
			size_t n);   /* bytes valid during the call */
	void (*on_eof)(void *arg);   /* the peer sent FIN; writing still works */
	void (*on_drain)(void *arg); /* queued bytes fell below the low mark */
	void (*on_close)(void *arg,
			 const struct err *why); /* why: NULL after net_conn_close */
};
void net_conn_set_ops(struct net_conn *c, const struct net_conn_ops *ops, void *arg);
/* Queue bytes (copied). More than the high mark queued: net_conn_full, then on_drain later. */
void net_conn_write(struct net_conn *c, const void *p, size_t n);
/* Queue pinned bytes without copying; the pin is put when they are written or the conn closes. */
void net_conn_write_view(struct net_conn *c, struct view v);
size_t net_conn_queued(const struct net_conn *c);
bool net_conn_full(const struct net_conn *c);
void net_conn_pause(struct net_conn *c,
		    bool paused); /* stop reading: TCP back-pressure */
void net_conn_close(
	struct net_conn *c); /* at once; bytes that the socket does not take are lost */
void net_conn_finish(struct net_conn *c); /* write what is queued, then close */
/* Write what is queued, then send FIN; reading goes on. Nothing may be written afterwards. */
void net_conn_shutdown(struct net_conn *c);
/* Bytes that the kernel has not taken yet, exact also within one large write (tells progress). */
size_t net_conn_unsent(const struct net_conn *c);
struct loop *net_conn_loop(struct net_conn *c);
/* "127.0.0.1:9090" of the other side; valid as long as the conn. */
const char *net_conn_peer(const struct net_conn *c);

/* ---- listener ---- */
struct net_listener;
/*
 * Listen on "host:port" (host empty or 0.0.0.0: all; port 0: any free). Accepted sockets are handed to
 * the loops in turn; on_accept runs on the connection's loop and sets its ops. At most max_conns are
 * open at a time; beyond, accepting waits. Any thread; waits for the first loop (WORKER or main).
 */
MUST_CHECK int net_listen(struct loops *loops, struct str addr, uint32_t max_conns,
			  void (*on_accept)(void *arg, struct net_conn *c), void *arg,
			  struct net_listener **out, struct err *e);
uint16_t net_listener_port(const struct net_listener *l);
uint32_t net_listener_conns(const struct net_listener *l); /* SHARED */
void net_listener_stop(
	struct net_listener *l); /* no more accepts; open conns stay. main/WORKER */
void net_listener_free(struct net_listener *l);

/* ---- dialling ---- */
/*
 * Connect to host:port: names through c-ares (A and AAAA, in turn until one answers), numbers
 * directly. on_done runs on the loop, once, with a conn or an error that names the address. Returns a
 * handle for net_dial_cancel; it is dead after on_done.
 */
struct net_dial;
struct net_dial *net_dial(struct loop *l, struct str addr, uint64_t timeout_ns,
			  void (*on_done)(void *arg, struct net_conn *c,
					  const struct err *why),
			  void *arg);
void net_dial_cancel(struct net_dial *d); /* on_done will not be called */

/* Split "host:port", "[v6]:port", ":port"; E_INVALID names the address. Any thread. */
MUST_CHECK int net_addr_split(struct str addr, struct str *host, uint16_t *port,
			      struct err *e);

#endif
