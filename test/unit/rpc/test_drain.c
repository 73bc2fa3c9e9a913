/*
 * Lifetimes at the client: connections that drain, requests that nobody looked at, channels that are freed before
 * their streams, connects that hang.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "rpc/rpc_int.h"
#include "support/tst.h"
#include "task/pipe.h"
#include "world.h"

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* The port from which the channel speaks now. */
static void peer_of(struct world *w, struct ctx *ctx, char out[64])
{
	struct err e = ERR_INIT;
	struct buf b;
	buf_init(&b, 63);
	int rc = rpc_unary(w->ch, ctx, "/t.T/Peer", STR(""), &b, &e);
	cr_assert(rc == 0, "%s", err_text(&e));
	snprintf(out, 64, "%.*s", STR_FMT(buf_view(&b)));
	buf_deinit(&b);
}

Test(rpc_drain, streams_outlive_the_maximum_age_of_their_connection)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	char first[64], now[64];
	int rc, got = 0;
	world_start_opts(&w, 64 << 10,
			 &(struct rpc_server_opts){ .max_connection_age_ns = 1 });
	ctx_init(&ctx, NULL, time_after_ns(30 * NS_PER_S));
	peer_of(&w, &ctx, first);
	struct rpc_call_opts o = { .window_min = 64 << 10, .window_max = 64 << 10 };
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Count", STR("300 10000"), &o, &s, &e) == 0);
	do { /* no call fails while the old connection drains */
		pause_ms(10);
		peer_of(&w, &ctx, now);
	} while (strcmp(first, now) == 0);
	pause_ms(1500); /* the second GOAWAY, with the true number of the last stream */
	peer_of(&w, &ctx, now);
	while ((rc = rpc_recv(s, &ctx, &v, &e)) > 0) {
		got++;
		rpc_release(s, &v);
	}
	cr_assert(rc == 0 && got == 300, "%d messages, %s", got, err_text(&e));
	rpc_stream_close(s);
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc_drain, a_request_that_waits_for_its_turn_moves_to_the_new_connection)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	char first[64], now[64];
	world_start_opts(&w, 0,
			 &(struct rpc_server_opts){ .max_connection_age_ns = 1,
						    .max_streams = 1 });
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	peer_of(&w, &ctx, first); /* now the client knows that it may open one stream */
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Hang", STR("x"), NULL, &s, &e) == 0);
	cr_assert(rpc_recv(s, &ctx, &v, &e) == 1);
	rpc_release(s, &v);
	peer_of(&w, &ctx, now);
	cr_assert(strcmp(first, now) != 0);
	cr_assert_eq(atomic_load(&w.cancelled), 0); /* and the first stream goes on */
	rpc_stream_close(s);
	cr_assert(world_until(&w.cancelled, 1));
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* Five at once, before the client has heard that one at a time is allowed: four are refused, unseen. */
Test(rpc_drain, requests_refused_unseen_are_sent_again)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s[5];
	struct view v;
	world_start_opts(&w, 0, &(struct rpc_server_opts){ .max_streams = 1 });
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	for (int i = 0; i < 5; i++)
		cr_assert(rpc_open(w.ch, &ctx, "/t.T/Echo", STR("hello"), NULL, &s[i],
				   &e) == 0);
	for (int i = 0; i < 5; i++) {
		cr_assert(rpc_recv(s[i], &ctx, &v, &e) == 1, "%d: %s", i, err_text(&e));
		cr_assert(str_eqz(str_n(v.p, v.n), "hello"));
		rpc_release(s[i], &v);
		cr_assert(rpc_recv(s[i], &ctx, &v, &e) == 0);
	}
	for (int i = 0; i < 5; i++)
		rpc_stream_close(s[i]);
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc_drain, streams_are_read_and_closed_after_their_channel)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s[3];
	struct view v;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Hang", STR("x"), NULL, &s[0], &e) == 0);
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Count", STR("5 10"), NULL, &s[1], &e) == 0);
	cr_assert(rpc_recv(s[0], &ctx, &v, &e) == 1);
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Hang", STR("x"), NULL, &s[2], &e) == 0);
	rpc_channel_free(w.ch);
	w.ch = NULL;
	rpc_release(s[0], &v); /* a message outlives the channel, too */
	cr_assert(rpc_recv(s[0], &ctx, &v, &e) < 0);
	cr_assert_eq(e.code, E_CANCELLED);
	cr_assert(strstr(err_text(&e), w.addr) != NULL, "%s", err_text(&e));
	for (int i = 0; i < 3; i++)
		rpc_stream_close(s[i]);
	cr_assert(world_until(&w.cancelled, 1));
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* ---- the age of a connection is no deadline for its streams (they have their own, and 30 s without progress) ---- */

struct aged {
	struct loop *loop;
	const char *addr;
	struct h2_session *s;
	uint64_t close_ns;
	_Atomic int gone;
};

static void aged_gone(struct h2_session *s, const struct err *why)
{
	struct aged *a = s->owner;
	a->close_ns = s->close_ns;
	h2_session_free(s);
	atomic_store(&a->gone, 1);
}

static const struct h2_session_ops aged_ops = { .on_gone = aged_gone };

static void aged_dialled(void *arg, struct net_conn *c, const struct err *why)
{
	struct aged *a = arg;
	struct h2_session_opts o = { .stream_window = 65535,
				     .conn_window = 65535,
				     .age_ns = 1 };
	cr_assert(why == NULL);
	a->s = h2_session_new(c, &o, &aged_ops, a);
}

static void aged_begin(void *arg)
{
	struct aged *a = arg;
	net_dial(a->loop, str_of(a->addr), NS_PER_S, aged_dialled, a);
}

Test(rpc_drain, an_old_connection_gives_its_streams_all_the_time_they_need)
{
	struct world w;
	world_start(&w, 0);
	struct aged a = { .loop = w.client_loop, .addr = w.addr };
	loop_post(a.loop, aged_begin, &a);
	cr_assert(world_until(&a.gone, 1));
	cr_assert(a.close_ns > time_after_ns(24 * 3600 * NS_PER_S));
	world_stop(&w);
}

/* ---- a peer of a few bytes: says SETTINGS, and GOAWAY as soon as a request begins ---- */

struct tiny {
	int fd;
	char addr[32];
	pthread_t th;
	_Atomic int said, quit;
};

static const char settings[] = "\0\0\0\4\0\0\0\0\0";
static const char goaway[] = "\0\0\x08\7\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0";

static void *tiny_main(void *arg)
{
	struct tiny *t = arg;
	int conn[32], n = 0;
	char in[4096];
	while (n < 32 && (conn[n] = accept(t->fd, NULL, NULL)) >= 0) {
		if (send(conn[n], settings, 9, MSG_NOSIGNAL) != 9)
			break;
		ssize_t got = 0, k = 1;
		while (got < 100 && k > 0) /* preface and SETTINGS are shorter */
			got += k = recv(conn[n], in, sizeof(in), 0);
		if (send(conn[n], goaway, 17, MSG_NOSIGNAL) != 17)
			break;
		n++;
		atomic_fetch_add(&t->said, 1);
	}
	while (n)
		close(conn[--n]);
	return NULL;
}

static struct sockaddr_in listen_at_loopback(int *fd, int backlog, char addr[32])
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(*fd, (struct sockaddr *)&sa, len), 0);
	cr_assert_eq(listen(*fd, backlog), 0);
	cr_assert_eq(getsockname(*fd, (struct sockaddr *)&sa, &len), 0);
	snprintf(addr, 32, "127.0.0.1:%u", ntohs(sa.sin_port));
	return sa;
}

Test(rpc_drain, of_too_many_draining_connections_the_oldest_is_closed)
{
	enum { N = 11 };
	struct world w;
	struct tiny t = { 0 };
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s[N];
	struct rpc_channel *ch;
	struct view v;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	listen_at_loopback(&t.fd, 16, t.addr);
	pthread_create(&t.th, NULL, tiny_main, &t);
	struct rpc_channel_opts o = { .loop = w.client_loop };
	cr_assert(rpc_channel_new(&o, str_of(t.addr), w.reg, &ch, &e) == 0);
	for (int i = 0; i < N; i++) {
		cr_assert(rpc_open(ch, &ctx, "/t.T/Hang", STR("x"), NULL, &s[i], &e) ==
			  0);
		cr_assert(world_until(&t.said, i + 1), "connection %d", i);
		pause_ms(20); /* until the client has read it */
	}
	cr_assert(rpc_recv(s[0], &ctx, &v, &e) < 0);
	cr_assert_eq(e.code, E_UNAVAILABLE);
	cr_assert(strstr(err_text(&e), "draining") != NULL, "%s", err_text(&e));
	for (int i = 0; i < N; i++) {
		int rc = rpc_try_recv(s[i], &v, &e);
		cr_assert_eq(rc, i < N - 8 ? -1 : PIPE_AGAIN, "stream %d", i);
		if (i % 2)
			rpc_stream_close(s[i]);
	}
	rpc_channel_free(ch); /* with connections that drain, and streams on them */
	for (int i = 0; i < N; i += 2)
		rpc_stream_close(s[i]);
	shutdown(t.fd, SHUT_RDWR);
	pthread_join(t.th, NULL);
	close(t.fd);
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* ---- connects that hang: the accept queue of a listener that never accepts is full ---- */

struct hole {
	int fd, fill[4];
	char addr[32];
};

static void hole_open(struct hole *h)
{
	struct sockaddr_in sa = listen_at_loopback(&h->fd, 0, h->addr);
	for (int i = 0; i < 4; i++) {
		h->fill[i] =
			socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)!connect(h->fill[i], (struct sockaddr *)&sa, sizeof(sa));
	}
	pause_ms(50);
}

static void hole_close(struct hole *h)
{
	for (int i = 0; i < 4; i++)
		close(h->fill[i]);
	close(h->fd);
}

Test(rpc_drain, deadline_and_cancel_end_calls_whose_connect_hangs)
{
	struct world w;
	struct hole h;
	struct err e = ERR_INIT;
	struct ctx ctx, soon;
	struct rpc_stream *s[3];
	struct rpc_channel *ch;
	struct view v;
	world_start(&w, 0);
	hole_open(&h);
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	struct rpc_channel_opts o = { .loop = w.client_loop };
	cr_assert(rpc_channel_new(&o, str_of(h.addr), w.reg, &ch, &e) == 0);
	soon = ctx_child(&ctx, time_after_ns(50 * NS_PER_MS));
	for (int i = 0; i < 3; i++)
		cr_assert(rpc_open(ch, i ? &ctx : &soon, "/t.T/Hang", STR("x"), NULL,
				   &s[i], &e) == 0);
	cr_assert(rpc_recv(s[0], &soon, &v, &e) < 0);
	cr_assert_eq(e.code, E_TIMEOUT);
	rpc_stream_close(s[0]);
	rpc_stream_close(s[1]); /* while the connect goes on */
	rpc_channel_free(ch);	/* as well */
	cr_assert(rpc_recv(s[2], &ctx, &v, &e) < 0);
	cr_assert_eq(e.code, E_CANCELLED);
	rpc_stream_close(s[2]);
	hole_close(&h);
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc_drain, connect_timeout_is_the_stores_failure_not_the_callers)
{
	struct world w;
	struct hole h;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_channel *ch;
	struct buf b;
	world_start(&w, 0);
	hole_open(&h);
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	buf_init(&b, 100);
	struct rpc_channel_opts o = { .loop = w.client_loop,
				      .connect_timeout_ns = 100 * NS_PER_MS };
	cr_assert(rpc_channel_new(&o, str_of(h.addr), w.reg, &ch, &e) == 0);
	cr_assert(rpc_unary(ch, &ctx, "/t.T/Echo", STR("x"), &b, &e) < 0);
	cr_assert_eq(e.code, E_UNAVAILABLE);
	cr_assert(strstr(err_text(&e), h.addr) != NULL, "%s", err_text(&e));
	rpc_channel_free(ch);
	hole_close(&h);
	buf_deinit(&b);
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* ---- streams end from both sides at once ---- */

struct opener {
	struct world *w;
	_Atomic int *quit;
	pthread_t th;
};

static void *opener_main(void *arg)
{
	struct opener *o = arg;
	struct ctx ctx;
	ctx_init(&ctx, NULL, time_after_ns(30 * NS_PER_S));
	for (int i = 0; !atomic_load(o->quit); i++) {
		struct err e = ERR_INIT;
		struct rpc_stream *s;
		struct view v;
		cr_assert(rpc_open(o->w->ch, &ctx, i % 2 ? "/t.T/Hang" : "/t.T/Count",
				   STR("500 1000"), NULL, &s, &e) == 0);
		for (int k = 0; k < i % 4 && rpc_recv(s, &ctx, &v, &e) > 0; k++)
			rpc_release(s, &v);
		rpc_stream_close(s);
	}
	ctx_deinit(&ctx);
	return NULL;
}

Test(rpc_drain, streams_close_while_their_server_goes_away)
{
	struct world w;
	struct opener o[4];
	_Atomic int quit = 0;
	char addr[32];
	world_start(&w, 0);
	snprintf(addr, sizeof(addr), "%s", w.addr);
	for (size_t i = 0; i < ARRAY_LEN(o); i++) {
		o[i] = (struct opener){ .w = &w, .quit = &quit };
		pthread_create(&o[i].th, NULL, opener_main, &o[i]);
	}
	for (int i = 0; i < 4; i++) {
		pause_ms(120);
		rpc_server_stop(w.srv, i % 2 ? 0 : 20 * NS_PER_MS);
		world_serve(&w, addr);
	}
	atomic_store(&quit, 1);
	for (size_t i = 0; i < ARRAY_LEN(o); i++)
		pthread_join(o[i].th, NULL);
	world_stop(&w);
}
