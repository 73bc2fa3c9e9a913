/*
 * net/dial.c - connecting: numbers directly, names through c-ares, one address after the other.
 *
 * glibc's resolver is not used: it does not work in a static binary. A dial is one operation: its state lies in
 * one struct, completion is posted, and the struct goes when the last callback that may touch it has run.
 */
#include <arpa/inet.h>
#include <ares.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "net/net_int.h"

#define MAX_ADDRS 16

struct ares_poll {
	uv_poll_t poll;
	struct net_dial *dial;
	ares_socket_t fd;
	struct ares_poll *next;
};
struct net_dial {
	struct loop *loop;
	void (*on_done)(void *arg, struct net_conn *c, const struct err *why);
	void *arg;
	char addr[300], host[256];
	uint16_t port;
	uv_timer_t timer; /* the whole dial */
	uv_timer_t ares_timer;
	ares_channel channel;
	bool has_channel, resolving;
	struct ares_poll *polls;
	struct sockaddr_storage sa[MAX_ADDRS];
	uint32_t n_sa, at;
	uv_connect_t req;
	struct net_conn *conn; /* being connected */
	bool ended, cancelled;
	struct err why;
	uint32_t refs; /* handles to be closed, posts and requests under way */
};

static void unref(struct net_dial *d)
{
	if (--d->refs)
		return;
	free(d);
}

static void on_handle_closed(uv_handle_t *h)
{
	unref(h->data);
}

static void on_poll_closed(uv_handle_t *h)
{
	struct ares_poll *p = h->data;
	unref(p->dial);
	free(p);
}

static void close_polls(struct net_dial *d)
{
	while (d->polls) {
		struct ares_poll *p = d->polls;
		d->polls = p->next;
		uv_close((uv_handle_t *)&p->poll, on_poll_closed);
	}
}

static void deliver(void *arg)
{
	struct net_dial *d = arg;
	struct net_conn *c = d->conn;
	d->conn = NULL;
	if (d->cancelled) {
		if (c)
			net_conn_close(c);
	} else {
		d->on_done(d->arg, c, c ? NULL : &d->why);
	}
	unref(d);
}

/* Free what belongs to resolving; must not run inside an ares callback. */
static void drop_channel(struct net_dial *d)
{
	if (!d->has_channel)
		return;
	d->has_channel = false;
	ares_destroy(d->channel);
	close_polls(d);
}

static void drop_channel_posted(void *arg)
{
	struct net_dial *d = arg;
	drop_channel(d);
	unref(d);
}

static void finish(struct net_dial *d)
{
	if (d->ended)
		return;
	d->ended = true;
	uv_close((uv_handle_t *)&d->timer, on_handle_closed);
	uv_close((uv_handle_t *)&d->ares_timer, on_handle_closed);
	d->refs += 2;
	loop_post(d->loop, drop_channel_posted, d);
	loop_post(d->loop, deliver, d);
}

static void dial_fail(struct net_dial *d, enum err_code code, const char *what)
{
	if (d->ended)
		return;
	err_set(NULL, &d->why, code, "dial %s: %s", d->addr, what);
	if (d->conn) {
		net_conn_close(d->conn);
		d->conn = NULL;
	}
	finish(d);
}

static void try_next(struct net_dial *d);

static void on_connect(uv_connect_t *req, int status)
{
	struct net_dial *d = req->data;
	if (!d->ended && status == 0) {
		uv_tcp_nodelay(&d->conn->tcp, 1);
		net_conn_name_peer(d->conn);
		finish(d);
	} else if (!d->ended) {
		net_conn_close(d->conn);
		d->conn = NULL;
		if (d->at < d->n_sa)
			try_next(d);
		else
			dial_fail(d, E_UNAVAILABLE, uv_strerror(status));
	}
	unref(d);
}

static void try_next(struct net_dial *d)
{
	struct sockaddr *sa = (struct sockaddr *)&d->sa[d->at++];
	d->conn = net_conn_alloc(d->loop);
	d->req.data = d;
	d->refs++;
	int rc = uv_tcp_connect(&d->req, &d->conn->tcp, sa, on_connect);
	if (rc == 0)
		return;
	d->refs--;
	net_conn_close(d->conn);
	d->conn = NULL;
	if (d->at < d->n_sa)
		try_next(d);
	else
		dial_fail(d, E_UNAVAILABLE, uv_strerror(rc));
}

static bool add_number(struct net_dial *d, const char *ip)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&d->sa[d->n_sa];
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&d->sa[d->n_sa];
	if (uv_ip4_addr(ip, d->port, v4) != 0 && uv_ip6_addr(ip, d->port, v6) != 0)
		return false;
	d->n_sa++;
	return true;
}

/* ---- names ---- */

static void on_resolved(void *arg, int status, int timeouts, struct ares_addrinfo *res)
{
	struct net_dial *d = arg;
	(void)timeouts;
	d->resolving = false;
	if (status == ARES_SUCCESS) {
		for (struct ares_addrinfo_node *n = res->nodes; n && d->n_sa < MAX_ADDRS;
		     n = n->ai_next) {
			if (n->ai_addrlen > sizeof(d->sa[0]))
				continue;
			memcpy(&d->sa[d->n_sa++], n->ai_addr, n->ai_addrlen);
		}
	}
	if (res)
		ares_freeaddrinfo(res);
	if (d->ended)
		return;
	if (d->n_sa)
		try_next(d);
	else
		dial_fail(d, E_UNAVAILABLE,
			  status == ARES_SUCCESS ? "no addresses"
						 : ares_strerror(status));
}

static void rearm(struct net_dial *d);

static void on_ares_poll(uv_poll_t *h, int status, int events)
{
	struct ares_poll *p = h->data;
	struct net_dial *d = p->dial;
	if (!d->has_channel)
		return;
	ares_process_fd(d->channel,
			status < 0 || (events & UV_READABLE) ? p->fd : ARES_SOCKET_BAD,
			status < 0 || (events & UV_WRITABLE) ? p->fd : ARES_SOCKET_BAD);
	rearm(d);
}

static void on_ares_timer(uv_timer_t *t)
{
	struct net_dial *d = t->data;
	if (!d->has_channel)
		return;
	ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(d);
}

static void rearm(struct net_dial *d)
{
	struct timeval tv;
	if (d->ended || !d->resolving)
		return;
	if (ares_timeout(d->channel, NULL, &tv))
		uv_timer_start(&d->ares_timer, on_ares_timer,
			       (uint64_t)tv.tv_sec * 1000 + (uint64_t)tv.tv_usec / 1000 +
				       1,
			       0);
}

static void on_ares_sock(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct net_dial *d = arg;
	struct ares_poll **at = &d->polls;
	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	struct ares_poll *p = *at;
	if (!readable && !writable) {
		if (!p)
			return;
		*at = p->next;
		uv_close((uv_handle_t *)&p->poll, on_poll_closed);
		return;
	}
	if (!p) {
		p = xcalloc(1, sizeof(*p));
		p->dial = d;
		p->fd = fd;
		p->poll.data = p;
		if (uv_poll_init_socket(loop_uv(d->loop), &p->poll, fd) != 0) {
			free(p);
			return;
		}
		d->refs++;
		p->next = d->polls;
		d->polls = p;
	}
	uv_poll_start(&p->poll,
		      (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
		      on_ares_poll);
}

static void resolve(struct net_dial *d)
{
	struct ares_options o = { .sock_state_cb = on_ares_sock,
				  .sock_state_cb_data = d,
				  .timeout = 2000,
				  .tries = 2 };
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
					     .ai_socktype = SOCK_STREAM };
	char port[8];
	net_ares_begin();
	int rc = ares_init_options(&d->channel, &o,
				   ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS |
					   ARES_OPT_TRIES);
	if (rc != ARES_SUCCESS) {
		dial_fail(d, E_UNAVAILABLE, ares_strerror(rc));
		return;
	}
	d->has_channel = d->resolving = true;
	snprintf(port, sizeof(port), "%u", d->port);
	ares_getaddrinfo(d->channel, d->host, port, &hints, on_resolved, d);
	rearm(d);
}

/* ---- the operation ---- */

static void on_dial_timeout(uv_timer_t *t)
{
	dial_fail(t->data, E_TIMEOUT, "connect timed out");
}

static void begin(void *arg)
{
	struct net_dial *d = arg;
	if (!d->ended) {
		if (d->why.code != E_OK)
			finish(d);
		else if (add_number(d, d->host))
			try_next(d);
		else
			resolve(d);
	}
	unref(d);
}

struct net_dial *
net_dial(struct loop *l, struct str addr, uint64_t timeout_ns,
	 void (*on_done)(void *arg, struct net_conn *c, const struct err *why), void *arg)
{
	struct net_dial *d = xcalloc(1, sizeof(*d));
	struct str host = STR_NULL;
	BUG_ON(!loop_is_current(l));
	d->loop = l;
	d->on_done = on_done;
	d->arg = arg;
	snprintf(d->addr, sizeof(d->addr), "%.*s", STR_FMT(addr));
	if (net_addr_split(addr, &host, &d->port, &d->why) == 0) {
		if (str_eq(host, STR("localhost")))
			host = STR("127.0.0.1");
		if (host.n == 0 || host.n >= sizeof(d->host))
			err_set(NULL, &d->why, E_INVALID, "dial %s: bad host", d->addr);
	}
	snprintf(d->host, sizeof(d->host), "%.*s", STR_FMT(host));
	uv_timer_init(loop_uv(l), &d->timer);
	uv_timer_init(loop_uv(l), &d->ares_timer);
	d->timer.data = d->ares_timer.data = d;
	d->refs = 3; /* two timers and begin */
	uv_update_time(loop_uv(l));
	uv_timer_start(&d->timer, on_dial_timeout, timeout_ns / NS_PER_MS + 1, 0);
	loop_post(l, begin, d);
	return d;
}

void net_dial_cancel(struct net_dial *d)
{
	if (d->cancelled)
		return;
	d->cancelled = true;
	dial_fail(d, E_CANCELLED, "cancelled");
}
