/*
 * net/conn.c - one TCP connection on its loop.
 *
 * Writes of one turn of the loop are gathered and sent by one system call: small ones copied together, large pinned views as
 * they are. The connection ends in one place, conn_end: it closes the handle, and the close callback tells the owner
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
#include "base/vec.h"
#include "net/net_int.h"
#include "net/tls_int.h"

#define HANDSHAKE_NS (10 * NS_PER_S)

#define MAX_PIECES 64 /* of one system call */

struct net_write {
	uv_write_t req;
	struct net_conn *conn;
	size_t bytes, n;
	struct net_piece piece[]; /* what is being written; pins go when it is */
};

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
	size_t n = uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) +
		   c->pending.n;
	for (size_t i = 0; i < c->n_piece; i++)
		n += c->piece[i].view.n;
	return n;
}

size_t net_conn_queued(const struct net_conn *c)
{
	return c->queued + c->pending.n;
}

static void pieces_free(struct net_piece *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		view_put(&p[i].view);
		free(p[i].copy);
	}
}

static void maybe_free(struct net_conn *c)
{
	if (!c->closed || c->posts)
		return;
	buf_deinit(&c->pending);
	free(c->piece);
	tls_conn_free(c->tls);
	free(c);
}

static void on_closed(uv_handle_t *h)
{
	struct net_conn *c = h->data;
	pieces_free(c->piece, c->n_piece);
	c->n_piece = 0;
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
	struct loop *l = ((struct net_conn *)h->data)->loop;
	(void)hint;
	*b = uv_buf_init((char *)l->read_buf, sizeof(l->read_buf));
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
	c->queued -= w->bytes;
	pieces_free(w->piece, w->n);
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

/* Takes over pins and copies of pieces that count as queued. */
static void write_now(struct net_conn *c, const struct net_piece *p, size_t n)
{
	struct net_write *w = xcalloc(1, sizeof(*w) + n * sizeof(*p));
	uv_buf_t b[MAX_PIECES];
	w->conn = c;
	w->n = n;
	for (size_t i = 0; i < n; i++) {
		w->piece[i] = p[i];
		w->bytes += p[i].view.n;
		b[i] = uv_buf_init((char *)(uintptr_t)p[i].view.p, (unsigned)p[i].view.n);
	}
	int rc = uv_write(&w->req, (uv_stream_t *)&c->tcp, b, (unsigned)n, on_written);
	if (rc < 0) {
		c->queued -= w->bytes;
		pieces_free(w->piece, n);
		free(w);
		fail(c, rc, "write to");
	}
}

static void write_copy(struct net_conn *c, uint8_t *copy, size_t n)
{
	struct net_piece p = { { copy, n, NULL }, copy };
	c->queued += n;
	write_now(c, &p, 1);
}

/* Cipher text that the session has made goes out. */
static void tls_send(struct net_conn *c)
{
	size_t n;
	uint8_t *p = tls_conn_take(c->tls, &n);
	if (p)
		write_copy(c, p, n);
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

static void add_piece(struct net_conn *c, struct net_piece p)
{
	if (c->n_piece == c->cap_piece)
		c->piece = vec_grow(c->piece, &c->cap_piece, c->n_piece + 1,
				    sizeof(*c->piece));
	c->piece[c->n_piece++] = p;
	c->queued += p.view.n;
}

/* The small writes so far are a piece of their own. */
static void end_pending(struct net_conn *c)
{
	struct net_piece p = { { c->pending.p, c->pending.n, NULL }, c->pending.p };
	if (p.view.n == 0)
		return;
	buf_init(&c->pending, SIZE_MAX / 2);
	add_piece(c, p);
}

static void flush(struct net_conn *c)
{
	if (c->closing || (c->tls && !tls_conn_open(c->tls)))
		return;
	if (c->tls && c->pending.n) {
		struct buf b = c->pending;
		buf_init(&c->pending, SIZE_MAX / 2);
		tls_write(c, b.p, b.n);
		buf_deinit(&b);
	}
	if (c->tls)
		return;
	end_pending(c);
	size_t n = c->n_piece;
	c->n_piece = 0;
	for (size_t i = 0; i < n; i += MAX_PIECES) {
		size_t k = MIN(n - i, (size_t)MAX_PIECES);
		if (!c->closing) {
			write_now(c, c->piece + i, k);
			continue;
		}
		for (size_t j = i; j < i + k; j++)
			c->queued -= c->piece[j].view.n;
		pieces_free(c->piece + i, k);
	}
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
			write_copy(c, p, n);
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
	if (c->tls) {
		flush(c);
		if (!c->closing)
			tls_write(c, v.p, v.n);
		view_put(&v);
	} else {
		end_pending(c);
		add_piece(c, (struct net_piece){ .view = v });
		post_flush(c);
	}
	mark_full(c);
}

void net_conn_close(struct net_conn *c)
{
	if (c->n_piece) /* the beginning of an answer that is cut is seen */
		flush(c);
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
