/*
 * net/conn.c - one TCP connection on its loop.
 *
 * Writes of one turn of the loop are gathered and sent as one; large pinned views go out as they are. The
 * connection ends in one place, conn_end: it closes the handle, and the close callback tells the owner
 * and frees. What was posted to the loop for a connection keeps it alive until it has run.
 *
 * TLS lies between the socket and the rest: what arrives is fed to the session and read from it as clear text; what
 * is written is gathered as ever and becomes cipher text on its way to write_now. Before the handshake is
 * done nothing but the handshake is sent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "net/net_int.h"
#include "net/tls_int.h"

#define HANDSHAKE_NS (10 * NS_PER_S)

struct net_write {
	uv_write_t req;
	struct net_conn *conn;
	struct view view; /* what is being written; the pin goes when it is */
	uint8_t *copy;	  /* or owned bytes */
};

static _Thread_local uint8_t
	read_buf[64 << 10]; /* loop scratch: valid during on_data only */

struct loop *net_conn_loop(struct net_conn *c)
{
	return c->loop;
}

const char *net_conn_peer(const struct net_conn *c)
{
	return c->peer;
}

size_t net_conn_unsent(const struct net_conn *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) +
	       c->pending.n;
}

size_t net_conn_queued(const struct net_conn *c)
{
	return c->queued + c->pending.n;
}

static void maybe_free(struct net_conn *c)
{
	if (!c->closed || c->posts)
		return;
	buf_deinit(&c->pending);
	tls_conn_free(c->tls);
	free(c);
}

static void on_closed(uv_handle_t *h)
{
	struct net_conn *c = h->data;
	if (c->on_gone)
		c->on_gone(c->gone_arg);
	if (c->ops && c->ops->on_close)
		c->ops->on_close(c->arg, c->has_why ? &c->why : NULL);
	c->ops = NULL;
	c->closed = true;
	maybe_free(c);
}

static void conn_end(struct net_conn *c, const struct err *why)
{
	if (c->closing)
		return;
	c->closing = true;
	if (why) {
		c->has_why = true;
		c->why = *why;
	}
	loop_timer_free(c->handshake);
	c->handshake = NULL;
	uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void fail(struct net_conn *c, int rc, const char *what)
{
	struct err e = ERR_INIT;
	err_set(NULL, &e, E_UNAVAILABLE, "%s %s: %s", what, c->peer, uv_strerror(rc));
	conn_end(c, &e);
}

static void tls_arrived(struct net_conn *c, const uint8_t *p, size_t n);
static void finish_now(struct net_conn *c);

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *b)
{
	(void)h, (void)hint;
	*b = uv_buf_init((char *)read_buf, sizeof(read_buf));
}

static void tell_eof(struct net_conn *c)
{
	if (c->reading)
		uv_read_stop((uv_stream_t *)&c->tcp);
	c->reading = false;
	c->paused = true; /* nothing more will come */
	if (c->ops->on_eof)
		c->ops->on_eof(c->arg);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct net_conn *c = s->data;
	if (c->closing || !c->ops)
		return;
	if (n > 0 && c->tls) {
		tls_arrived(c, (const uint8_t *)b->base, (size_t)n);
		return;
	}
	if (n > 0) {
		c->ops->on_data(c->arg, (const uint8_t *)b->base, (size_t)n);
		return;
	}
	if (n == UV_EOF && c->tls && !tls_conn_open(c->tls)) {
		struct err e = ERR_INIT;
		err_set(NULL, &e, E_UNAVAILABLE,
			"TLS handshake with %s: the connection was closed", c->peer);
		conn_end(c, &e);
		return;
	}
	if (n == UV_EOF) {
		tell_eof(c);
		return;
	}
	if (n < 0)
		fail(c, (int)n, "read from");
}

static void update_reading(struct net_conn *c)
{
	bool want = !c->paused && !c->closing && c->ops != NULL;
	if (want == c->reading)
		return;
	c->reading = want;
	if (!want) {
		uv_read_stop((uv_stream_t *)&c->tcp);
		return;
	}
	int rc = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
	if (rc < 0)
		fail(c, rc, "read from");
}

void net_conn_set_ops(struct net_conn *c, const struct net_conn_ops *ops, void *arg)
{
	c->ops = ops;
	c->arg = arg;
	update_reading(c);
}

void net_conn_pause(struct net_conn *c, bool paused)
{
	c->paused = paused;
	update_reading(c);
}

bool net_conn_full(const struct net_conn *c)
{
	return net_conn_queued(c) >= NET_HIGH_MARK;
}

static void mark_full(struct net_conn *c)
{
	if (net_conn_full(c))
		c->full = true;
}

static void on_written(uv_write_t *req, int status)
{
	struct net_write *w = (struct net_write *)req;
	struct net_conn *c = w->conn;
	c->queued -= w->view.n;
	view_put(&w->view);
	free(w->copy);
	free(w);
	if (c->closing)
		return;
	if (status < 0) {
		fail(c, status, "write to");
		return;
	}
	if (c->finishing && c->queued == 0 && c->pending.n == 0) {
		if (c->tls_said_bye)
			conn_end(c, NULL);
		else
			finish_now(c);
		return;
	}
	if (c->full && net_conn_queued(c) <= NET_LOW_MARK) {
		c->full = false;
		if (c->ops && c->ops->on_drain)
			c->ops->on_drain(c->arg);
	}
}

/* Takes over the view's pin or the copy. */
static void write_now(struct net_conn *c, struct view v, uint8_t *copy)
{
	struct net_write *w = xcalloc(1, sizeof(*w));
	w->conn = c;
	w->view = v;
	w->copy = copy;
	c->queued += v.n;
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)v.p, (unsigned)v.n);
	int rc = uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_written);
	if (rc < 0) {
		c->queued -= v.n;
		view_put(&w->view);
		free(copy);
		free(w);
		fail(c, rc, "write to");
	}
}

/* Cipher text that the session has made goes out. */
static void tls_send(struct net_conn *c)
{
	size_t n;
	uint8_t *p = tls_conn_take(c->tls, &n);
	if (p)
		write_now(c, (struct view){ p, n, NULL }, p);
}

static void tls_failed(struct net_conn *c, struct err *e)
{
	tls_send(c); /* the alert */
	if (c->closing)
		return;
	err_wrap(NULL, e, "%s", c->peer);
	conn_end(c, e);
}

static void tls_write(struct net_conn *c, const uint8_t *p, size_t n)
{
	struct err e = ERR_INIT;
	if (tls_conn_write(c->tls, p, n, &e) < 0)
		tls_failed(c, &e);
	else
		tls_send(c);
}

static void flush(struct net_conn *c)
{
	if (c->pending.n == 0 || c->closing || (c->tls && !tls_conn_open(c->tls)))
		return;
	if (c->tls) {
		struct buf b = c->pending;
		buf_init(&c->pending, SIZE_MAX / 2);
		tls_write(c, b.p, b.n);
		buf_deinit(&b);
		return;
	}
	struct view v = { c->pending.p, c->pending.n, NULL };
	uint8_t *copy = c->pending.p;
	buf_init(&c->pending, SIZE_MAX / 2);
	write_now(c, v, copy);
}

/* All is written: the last word of TLS, then the end. */
static void finish_now(struct net_conn *c)
{
	if (c->tls && tls_conn_open(c->tls)) {
		struct tls_conn *t = c->tls;
		tls_conn_shutdown(t);
		size_t n;
		uint8_t *p = tls_conn_take(t, &n);
		if (p) {
			c->tls_said_bye = true;
			write_now(c, (struct view){ p, n, NULL }, p);
			return;
		}
	}
	conn_end(c, NULL);
}

static void on_flush(void *arg)
{
	struct net_conn *c = arg;
	c->posts--;
	c->flush_posted = false;
	if (c->closed) {
		maybe_free(c);
		return;
	}
	flush(c);
	if (c->finishing && !c->closing && c->queued == 0 && c->pending.n == 0)
		finish_now(c);
}

static void post_flush(struct net_conn *c)
{
	if (c->flush_posted)
		return;
	c->flush_posted = true;
	c->posts++;
	loop_post(c->loop, on_flush, c);
}

void net_conn_write(struct net_conn *c, const void *p, size_t n)
{
	if (c->closing || n == 0)
		return;
	buf_add(&c->pending, p, n);
	post_flush(c);
	mark_full(c);
}

void net_conn_write_view(struct net_conn *c, struct view v)
{
	if (c->closing || v.n == 0) {
		view_put(&v);
		return;
	}
	if (v.n < 4096) { /* gathering beats a system call of its own */
		net_conn_write(c, v.p, v.n);
		view_put(&v);
		return;
	}
	if (c->tls && !tls_conn_open(c->tls)) {
		net_conn_write(c, v.p, v.n);
		view_put(&v);
		return;
	}
	flush(c);
	if (c->closing) {
		view_put(&v);
		return;
	}
	if (c->tls) {
		tls_write(c, v.p, v.n);
		view_put(&v);
	} else {
		write_now(c, v, NULL);
	}
	mark_full(c);
}

void net_conn_close(struct net_conn *c)
{
	conn_end(c, NULL);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	(void)status; /* a failed one shows as an error of reading or by the owner's timeout */
	free(req);
}

void net_conn_shutdown(struct net_conn *c)
{
	flush(c);
	if (c->closing)
		return;
	if (c->tls && !tls_conn_open(c->tls)) {
		c->shut_after = true;
		return;
	}
	if (c->tls) {
		tls_conn_shutdown(c->tls);
		tls_send(c);
		if (c->closing)
			return;
	}
	uv_shutdown_t *req = xcalloc(1, sizeof(*req));
	int rc = uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shutdown);
	if (rc < 0) {
		free(req);
		fail(c, rc, "shut down");
	}
}

void net_conn_finish(struct net_conn *c)
{
	if (c->closing)
		return;
	c->finishing = true;
	post_flush(c);
}

/* ---- TLS ---- */

static void tls_opened(struct net_conn *c)
{
	loop_timer_free(c->handshake);
	c->handshake = NULL;
	flush(c);
	if (c->shut_after && !c->closing)
		net_conn_shutdown(c);
}

static void tls_arrived(struct net_conn *c, const uint8_t *p, size_t n)
{
	uint8_t clear[16384]; /* one record */
	struct err e = ERR_INIT;
	ssize_t got;
	tls_conn_feed(c->tls, p, n);
	if (!tls_conn_open(c->tls)) {
		int rc = tls_conn_shake(c->tls, &e);
		if (rc < 0) {
			tls_failed(c, &e);
			return;
		}
		tls_send(c);
		if (rc == 0 || c->closing)
			return;
		tls_opened(c);
	}
	while (!c->closing && c->ops &&
	       (got = tls_conn_read(c->tls, clear, sizeof(clear), &e)) != 0) {
		if (got > 0) {
			c->ops->on_data(c->arg, clear, (size_t)got);
		} else if (got == TLS_CLOSED) {
			tell_eof(c);
			break;
		} else {
			tls_failed(c, &e);
			return;
		}
	}
	if (!c->closing)
		tls_send(c); /* what reading gave rise to */
}

static void on_handshake_late(void *arg)
{
	struct net_conn *c = arg;
	struct err e = ERR_INIT;
	err_set(NULL, &e, E_TIMEOUT, "TLS handshake with %s timed out", c->peer);
	conn_end(c, &e);
}

void net_conn_tls(struct net_conn *c, struct net_tls *t, struct str host)
{
	struct err e = ERR_INIT;
	BUG_ON(c->ops || c->tls);
	c->tls = tls_conn_new(t, host, &e);
	if (!c->tls) {
		conn_end(c, &e);
		return;
	}
	c->handshake = loop_timer_new(c->loop, on_handshake_late, c);
	loop_timer_start(c->handshake, HANDSHAKE_NS, 0);
	if (tls_conn_shake(c->tls, &e) < 0) { /* a client begins */
		tls_failed(c, &e);
		return;
	}
	tls_send(c);
}

bool net_conn_subject(const struct net_conn *c, struct arena *a,
		      struct net_tls_subject *out)
{
	return c->tls && tls_conn_subject(c->tls, a, out);
}

bool net_conn_is_tls(const struct net_conn *c)
{
	return c->tls != NULL;
}

bool net_conn_alpn_h2(const struct net_conn *c)
{
	return c->tls && tls_conn_open(c->tls) && tls_conn_h2(c->tls);
}

struct net_conn *net_conn_alloc(struct loop *l)
{
	struct net_conn *c = xcalloc(1, sizeof(*c));
	c->loop = l;
	buf_init(&c->pending, SIZE_MAX / 2);
	BUG_ON(uv_tcp_init(loop_uv(l), &c->tcp) != 0);
	c->tcp.data = c;
	return c;
}

void net_conn_name_peer(struct net_conn *c)
{
	struct sockaddr_storage sa = { 0 };
	int len = sizeof(sa);
	char ip[48] = "?";
	int port = 0;
	if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&sa, &len) == 0) {
		if (sa.ss_family == AF_INET) {
			uv_ip4_name((struct sockaddr_in *)&sa, ip, sizeof(ip));
			port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
		} else {
			uv_ip6_name((struct sockaddr_in6 *)&sa, ip, sizeof(ip));
			port = ntohs(((struct sockaddr_in6 *)&sa)->sin6_port);
		}
	}
	snprintf(c->peer, sizeof(c->peer), sa.ss_family == AF_INET6 ? "[%s]:%d" : "%s:%d",
		 ip, port);
}

int net_conn_open(struct loop *l, int fd, struct net_conn **out, struct err *e)
{
	struct net_conn *c = net_conn_alloc(l);
	int rc = uv_tcp_open(&c->tcp, fd);
	if (rc < 0) {
		close(fd);
		conn_end(c, NULL);
		return err_set(NULL, e, E_IO, "socket: %s", uv_strerror(rc));
	}
	uv_tcp_nodelay(&c->tcp, 1);
	net_conn_name_peer(c);
	*out = c;
	return 0;
}
