/*
 * net/listener.c - accepting connections and handing them to the loops in turn.
 *
 * uv_accept would bind a connection to the listener's loop, so the listening socket is watched by uv_poll,
 * accepted by accept4, and the descriptor is posted to the loop that is to own it.
 *
 * A connection that cannot be accepted for want of descriptors or memory stays in the kernel's queue, and keeps the
 * listening socket readable: polling stops then, and a timer tries again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"
#include "net/net_int.h"

#define RETRY_NS (100 * NS_PER_MS)
#define LOG_NS	 (60 * NS_PER_S)

struct net_listener {
	_Atomic uint32_t refs; /* owner, and each connection */
	struct loops *loops;
	struct loop *loop; /* of the listening socket */
	uv_poll_t poll;
	int fd;
	uint16_t port;
	uint32_t max_conns;
	_Atomic uint32_t conns;
	/* LOOP: */
	bool polling;
	struct loop_timer *retry;
	uint64_t next_log_ns;
	/* any thread: */
	_Atomic bool stopped;
	void (*on_accept)(void *arg, struct net_conn *c);
	void *arg;
};

struct accepted {
	struct net_listener *l;
	struct loop *loop;
	int fd;
};

static void unref(struct net_listener *l)
{
	if (atomic_fetch_sub(&l->refs, 1) == 1)
		free(l);
}

static void poll_start(struct net_listener *l);

static void resume(void *arg)
{
	struct net_listener *l = arg;
	if (!l->polling && !atomic_load(&l->stopped))
		poll_start(l);
	unref(l);
}

/* A connection is gone: accept again if the limit was reached. On any loop. */
static void on_gone(void *arg)
{
	struct net_listener *l = arg;
	if (atomic_fetch_sub(&l->conns, 1) >= l->max_conns && !atomic_load(&l->stopped)) {
		atomic_fetch_add(&l->refs, 1);
		loop_post(l->loop, resume, l);
	}
	unref(l);
}

static void on_handed(void *arg)
{
	struct accepted *a = arg;
	struct net_conn *c;
	struct err e = ERR_INIT;
	if (net_conn_open(a->loop, a->fd, &c, &e) < 0) {
		log_warn(NULL, "accept: %s", err_text(&e));
		on_gone(a->l);
	} else {
		c->on_gone = on_gone;
		c->gone_arg = a->l;
		a->l->on_accept(a->l->arg, c);
	}
	free(a);
}

static void on_retry(void *arg)
{
	struct net_listener *l = arg;
	if (!l->polling && !atomic_load(&l->stopped))
		poll_start(l);
}

static void poll_pause(struct net_listener *l)
{
	uv_poll_stop(&l->poll);
	l->polling = false;
}

/* accept4 failed: what passes by itself is left to the next turn. */
static void accept_failed(struct net_listener *l, int en)
{
	uint64_t now = time_mono_ns();
	if (en != EMFILE && en != ENFILE && en != ENOBUFS && en != ENOMEM)
		return;
	poll_pause(l);
	loop_timer_start(l->retry, RETRY_NS, 0);
	if (now < l->next_log_ns)
		return;
	l->next_log_ns = now + LOG_NS;
	log_warn(NULL, "port %u: new connections wait: accept: %s (%u are open)", l->port,
		 strerror(en), atomic_load(&l->conns));
}

static void on_readable(uv_poll_t *p, int status, int events)
{
	struct net_listener *l = p->data;
	(void)events;
	if (status < 0)
		return;
	for (int i = 0; i < 64; i++) { /* a bounded number a turn */
		if (atomic_load(&l->conns) >= l->max_conns) {
			poll_pause(l);
			if (atomic_load(&l->conns) <
			    l->max_conns) /* one closed meanwhile */
				poll_start(l);
			return;
		}
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == ECONNABORTED || errno == EINTR))
			continue;
		if (fd < 0) {
			accept_failed(l, errno);
			return;
		}
		struct accepted *a = xcalloc(1, sizeof(*a));
		*a = (struct accepted){ l, loops_next(l->loops), fd };
		atomic_fetch_add(&l->conns, 1);
		atomic_fetch_add(&l->refs, 1);
		loop_post(a->loop, on_handed, a);
	}
}

static void poll_start(struct net_listener *l)
{
	l->polling = true;
	uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

static int bind_socket(struct str addr, int *fd, uint16_t *port, struct err *e)
{
	struct str host;
	char ip[64];
	struct sockaddr_storage sa;
	socklen_t len;
	memset(&sa, 0, sizeof(sa));
	struct sockaddr_in *v4 = (struct sockaddr_in *)&sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&sa;
	if (net_addr_split(addr, &host, port, e) < 0)
		return -1;
	if (host.n == 0)
		host = STR("0.0.0.0");
	if (str_eq(host, STR("localhost")))
		host = STR("127.0.0.1");
	if (host.n >= sizeof(ip))
		return err_set(NULL, e, E_INVALID, "listen %.*s: not an IP address",
			       STR_FMT(addr));
	memcpy(ip, host.p, host.n);
	ip[host.n] = '\0';
	if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(*port);
		len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(*port);
		len = sizeof(*v6);
	} else {
		return err_set(NULL, e, E_INVALID, "listen %.*s: not an IP address",
			       STR_FMT(addr));
	}
	int one = 1,
	    s = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(s, (struct sockaddr *)&sa, len) < 0 || listen(s, 1024) < 0 ||
	    getsockname(s, (struct sockaddr *)&sa, &len) < 0) {
		int en = errno;
		if (s >= 0)
			close(s);
		return err_set(NULL, e, E_IO, "listen %.*s: %s", STR_FMT(addr),
			       strerror(en));
	}
	*port = ntohs(sa.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
	*fd = s;
	return 0;
}

struct listen_op {
	struct loop_op base;
	struct net_listener *l;
};

static void listen_op_free(struct loop_op *op)
{
	free(CONTAINER_OF(op, struct listen_op, base));
}

static void begin(struct loop_op *op)
{
	struct net_listener *l = CONTAINER_OF(op, struct listen_op, base)->l;
	l->poll.data = l;
	l->retry = loop_timer_new(l->loop, on_retry, l);
	BUG_ON(uv_poll_init_socket(loop_uv(l->loop), &l->poll, l->fd) != 0);
	poll_start(l);
	loop_op_done(op, NULL);
}

static void on_poll_closed(uv_handle_t *h)
{
	struct net_listener *l = h->data;
	close(l->fd);
	unref(l);
}

static void end(struct loop_op *op)
{
	struct net_listener *l = CONTAINER_OF(op, struct listen_op, base)->l;
	atomic_fetch_add(&l->refs, 1);
	loop_timer_free(l->retry);
	uv_close((uv_handle_t *)&l->poll, on_poll_closed);
	loop_op_done(op, NULL);
}

static int call(struct net_listener *l, void (*fn)(struct loop_op *op), struct err *e)
{
	struct listen_op *op = xcalloc(1, sizeof(*op));
	loop_op_init(&op->base, listen_op_free);
	op->l = l;
	int rc = loop_call(l->loop, NULL, fn, &op->base, e);
	loop_op_unref(&op->base);
	return rc;
}

int net_listen(struct loops *loops, struct str addr, uint32_t max_conns,
	       void (*on_accept)(void *arg, struct net_conn *c), void *arg,
	       struct net_listener **out, struct err *e)
{
	struct net_listener *l = xcalloc(1, sizeof(*l));
	if (bind_socket(addr, &l->fd, &l->port, e) < 0) {
		free(l);
		return -1;
	}
	atomic_init(&l->refs, 1);
	l->loops = loops;
	l->loop = loops->l[0];
	l->max_conns = max_conns ? max_conns : 4096;
	l->on_accept = on_accept;
	l->arg = arg;
	if (call(l, begin, e) < 0) {
		close(l->fd);
		unref(l);
		return -1;
	}
	*out = l;
	return 0;
}

uint16_t net_listener_port(const struct net_listener *l)
{
	return l->port;
}

uint32_t net_listener_conns(const struct net_listener *l)
{
	return atomic_load(&l->conns);
}

void net_listener_stop(struct net_listener *l)
{
	struct err e = ERR_INIT;
	if (atomic_exchange(&l->stopped, true))
		return;
	(void)!call(l, end, &e);
}

void net_listener_free(struct net_listener *l)
{
	if (!l)
		return;
	net_listener_stop(l);
	unref(l);
}
