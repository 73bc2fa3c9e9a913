/*
 * Peers that mean harm, or know no better, on raw sockets beside a client that wants answers: it gets them all, in
 * time, and what the server holds for the others stays small.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "rpc/rpc_int.h"
#include "support/h2raw.h"
#include "support/tst.h"
#include "world.h"

#define HONEST_NS    (NS_PER_S + NS_PER_S / 2)
#define SLOWEST_NS   (4 * NS_PER_S)
#define SERVER_BYTES ((size_t)128 << 20)
#define MAX_SOCKETS  10000

struct attack {
	uint16_t port;
	_Atomic bool stop;
	_Atomic int rounds, ended; /* connections the server put an end to */
	int fds[MAX_SOCKETS];	   /* held open until the end */
	size_t n_fds, turn;
	void (*run)(struct attack *a);
};

/* ---- frames by hand ---- */

static int dial(struct attack *a)
{
	return h2raw_dial(a->port);
}

static int greet(struct attack *a, uint32_t window)
{
	return h2raw_greet(a->port, window);
}

static bool request(int fd, uint32_t id, const char *path, uint8_t flags)
{
	uint8_t b[400];
	size_t n = h2raw_literal(b, ":method", "POST");
	n += h2raw_literal(b + n, ":scheme", "http");
	n += h2raw_literal(b + n, ":path", path);
	n += h2raw_literal(b + n, ":authority", "x");
	n += h2raw_literal(b + n, "content-type", "application/grpc");
	n += h2raw_literal(b + n, "te", "trailers");
	return h2raw_frame(fd, H2RAW_HEADERS, flags, id, b, n);
}

static bool message(int fd, uint32_t id, const char *text, uint8_t flags)
{
	uint8_t b[200] = { 0, 0, 0, 0, (uint8_t)strlen(text) };
	memcpy(b + 5, text, strlen(text));
	return h2raw_frame(fd, H2RAW_DATA, flags, id, b, 5 + strlen(text));
}

static void hold(struct attack *a, int fd)
{
	if (fd >= 0 && a->n_fds < MAX_SOCKETS)
		a->fds[a->n_fds++] = fd;
	else if (fd >= 0)
		close(fd);
}

static void rest(void)
{
	usleep(2000);
}

/* ---- the client that wants answers ---- */

static void *attacker(void *arg)
{
	struct attack *a = arg;
	while (!atomic_load(&a->stop)) {
		a->run(a);
		atomic_fetch_add(&a->rounds, 1);
	}
	return NULL;
}

static void honest(struct world *w, int at_least)
{
	uint64_t end = time_after_ns(HONEST_NS), slowest = 0;
	int n = 0;
	while (time_mono_ns() < end || n < at_least) {
		uint64_t begin = time_mono_ns();
		struct ctx ctx;
		struct err e = ERR_INIT;
		ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
		cr_assert(world_count(w, &ctx, 20, 5000, &e) == 0, "%s", err_text(&e));
		ctx_deinit(&ctx);
		slowest = MAX(slowest, time_mono_ns() - begin);
		n++;
	}
	cr_assert(slowest < SLOWEST_NS, "the slowest of %d took %.1f s", n,
		  (double)slowest / (double)NS_PER_S);
}

/* Both at once; then a client that is new, the server's end, and what it held at most. */
static void beside(void (*run)(struct attack *a), int want_ended)
{
	struct attack *a = calloc(1, sizeof(*a));
	struct budget srv;
	struct world w;
	pthread_t t;
	struct err e = ERR_INIT;
	budget_init(&srv, NULL, "server", NULL, (size_t)512 << 20);
	world_start_opts(&w, 0, &(struct rpc_server_opts){ .budget = &srv });
	a->port = rpc_server_port(w.srv);
	a->run = run;
	cr_assert(pthread_create(&t, NULL, attacker, a) == 0);
	honest(&w, 5);
	struct rpc_channel *old = w.ch;
	struct rpc_channel_opts o = { .loop = w.client_loop };
	cr_assert(rpc_channel_new(&o, str_of(w.addr), w.reg, &w.ch, &e) == 0);
	honest(&w, 1);
	rpc_channel_free(w.ch);
	w.ch = old;
	atomic_store(&a->stop, true);
	pthread_join(t, NULL);
	cr_assert(atomic_load(&a->rounds) > 0);
	cr_assert(atomic_load(&a->ended) >= want_ended, "the server ended %d of %d",
		  atomic_load(&a->ended), atomic_load(&a->rounds));
	cr_assert(atomic_load(&srv.peak) < SERVER_BYTES, "%zu bytes",
		  atomic_load(&srv.peak));
	for (size_t i = 0; i < a->n_fds; i++)
		close(a->fds[i]);
	world_stop(&w);
	budget_deinit(&srv);
	free(a);
}

/* ---- attacks ---- */

static void slow_preface(struct attack *a)
{
	int fd = a->n_fds < 300 ? dial(a) : -1;
	if (fd >= 0)
		(void)h2raw_put(fd, H2RAW_PREFACE, a->n_fds % 24);
	hold(a, fd);
	rest();
}
Test(hostile, slow_preface)
{
	beside(slow_preface, 0);
}

static void garbage(struct attack *a)
{
	int fd = dial(a);
	char b[64];
	if (fd < 0)
		return;
	(void)h2raw_put(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
	while (recv(fd, b, sizeof(b), 0) > 0)
		;
	atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, another_protocol)
{
	beside(garbage, 5);
}

/* 4 MB of headers for one request. */
static void oversize_headers(struct attack *a)
{
	uint8_t b[16384];
	size_t n = 0;
	int fd = greet(a, 65535);
	char value[121];
	memset(value, 'v', 120);
	value[120] = '\0';
	while (n + 140 < sizeof(b))
		n += h2raw_literal(b + n, "x-big", value);
	bool ok = fd >= 0 && request(fd, 1, "/t.T/Echo", 0);
	for (int i = 0; i < 256 && ok; i++)
		ok = h2raw_frame(fd, H2RAW_MORE, i == 255 ? H2RAW_END_HEADERS : 0, 1, b,
				 n);
	if (!ok || h2raw_goaway(fd) >= 0)
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, oversize_headers)
{
	beside(oversize_headers, 1);
}

/* Headers that go on for ever without a byte in them. */
static void continuation_flood(struct attack *a)
{
	int fd = greet(a, 65535);
	bool ok = fd >= 0 && request(fd, 1, "/t.T/Echo", 0);
	for (int i = 0; i < 100000 && ok && !atomic_load(&a->stop); i++)
		ok = h2raw_frame(fd, H2RAW_MORE, 0, 1, NULL, 0);
	if (!ok)
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, continuation_flood)
{
	beside(continuation_flood, 1);
}

/* Streams that are cancelled as soon as they have begun. */
static void rapid_reset(struct attack *a)
{
	static const uint8_t cancel[4] = { 0, 0, 0, 8 };
	int fd = greet(a, 65535);
	bool ok = fd >= 0;
	for (uint32_t id = 1; id < 200000 && ok && !atomic_load(&a->stop); id += 2)
		ok = request(fd, id, "/t.T/Hang", H2RAW_END_HEADERS) &&
		     message(fd, id, "x", H2RAW_END_STREAM) &&
		     h2raw_frame(fd, H2RAW_RST, 0, id, cancel, 4);
	if (!ok)
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, rapid_reset)
{
	beside(rapid_reset, 1);
}

/* Answers of 2 MB each are asked for, and no window is ever opened. */
static void no_window(struct attack *a)
{
	int fd = a->n_fds < 4 ? greet(a, 0) : -1;
	for (uint32_t id = 1; id < 40 && fd >= 0; id += 2)
		if (!request(fd, id, "/t.T/Count", H2RAW_END_HEADERS) ||
		    !message(fd, id, "200 10000", H2RAW_END_STREAM))
			break;
	hold(a, fd);
	rest();
}
Test(hostile, windows_held_shut)
{
	beside(no_window, 0);
}

/*
 * One byte of window at a time. A connection holds the answers it asked for until the server has seen its end, so no
 * more than TINY_AT_ONCE are left to it: how many a busy machine lets pile up is no property of the server.
 */
#define TINY_AT_ONCE 16
static void tiny_windows(struct attack *a)
{
	static const uint8_t one[4] = { 0, 0, 0, 1 };
	int *slot = &a->fds[a->turn++ % TINY_AT_ONCE];
	char b[4096];
	while (*slot > 0 && recv(*slot, b, sizeof(b), 0) > 0)
		;
	if (*slot > 0)
		close(*slot);
	a->n_fds = MAX(a->n_fds, (size_t)(slot - a->fds) + 1);
	int fd = *slot = greet(a, 1);
	bool ok = fd >= 0;
	for (uint32_t id = 1; id < 20 && ok; id += 2)
		ok = request(fd, id, "/t.T/Count", H2RAW_END_HEADERS) &&
		     message(fd, id, "20 10000", H2RAW_END_STREAM);
	for (int i = 0; i < 3000 && ok && !atomic_load(&a->stop); i++)
		ok = h2raw_frame(fd, H2RAW_WINDOW, 0, 1 + 2 * (uint32_t)(i % 10), one, 4);
	shutdown(fd, SHUT_WR);
}
Test(hostile, tiny_windows)
{
	beside(tiny_windows, 0);
}

/* Requests that announce 16 MB, send a little, and stop. */
static void half_requests(struct attack *a)
{
	static const uint8_t begin[1000] = { 0, 0, 0xff, 0xff, 0xff };
	int fd = a->n_fds < 20 ? greet(a, 65535) : -1;
	for (uint32_t id = 1; id < 400 && fd >= 0; id += 2)
		if (!request(fd, id, "/t.T/Echo", H2RAW_END_HEADERS) ||
		    !h2raw_frame(fd, H2RAW_DATA, 0, id, begin, sizeof(begin)))
			break;
	hold(a, fd);
	rest();
}
Test(hostile, half_requests)
{
	beside(half_requests, 0);
}

/* PINGs without pause: GOAWAY ENHANCE_YOUR_CALM, and the end. */
static void pings(struct attack *a)
{
	static const uint8_t p[8];
	int fd = greet(a, 65535);
	for (int i = 0; i < 4 && fd >= 0; i++)
		(void)h2raw_frame(fd, H2RAW_PING, 0, 0, p, 8);
	if (h2raw_goaway(fd) == NGHTTP2_ENHANCE_YOUR_CALM) {
		uint8_t b[1];
		atomic_fetch_add(&a->ended, recv(fd, b, 1, 0) <= 0);
	}
	close(fd);
}
Test(hostile, ping_flood)
{
	beside(pings, 5);
}

/* Go's clients ping while they receive: what the server sends forgives them. */
Test(hostile, pings_between_answers)
{
	static const uint8_t p[8];
	struct attack *a = calloc(1, sizeof(*a));
	struct world w;
	world_start(&w, 0);
	a->port = rpc_server_port(w.srv);
	int fd = greet(a, 65535);
	uint8_t h[9], skip[1 << 16];
	for (uint32_t i = 0; i < 10; i++) {
		cr_assert(request(fd, 1 + 2 * i, "/t.T/Echo", H2RAW_END_HEADERS));
		cr_assert(h2raw_frame(fd, H2RAW_PING, 0, 0, p, 8) &&
			  message(fd, 1 + 2 * i, "x", H2RAW_END_STREAM));
		for (bool ended = false; !ended;) {
			cr_assert(recv(fd, h, 9, MSG_WAITALL) == 9);
			size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
			cr_assert(h[3] != H2RAW_GOAWAY && n < sizeof(skip));
			if (n)
				cr_assert(recv(fd, skip, n, MSG_WAITALL) == (ssize_t)n);
			ended = h[3] == H2RAW_HEADERS && (h[4] & H2RAW_END_STREAM);
		}
	}
	close(fd);
	world_stop(&w);
	free(a);
}

/* As many connections as descriptors allow (both ends are ours), that do nothing. */
static void idle(struct attack *a)
{
	struct rlimit r;
	getrlimit(RLIMIT_NOFILE, &r);
	size_t most = MIN((size_t)r.rlim_cur > 1000 ? (r.rlim_cur - 500) / 2 : 100,
			  (size_t)MAX_SOCKETS);
	while (a->n_fds < most && !atomic_load(&a->stop)) {
		int fd = greet(a, 65535);
		if (fd < 0)
			break;
		hold(a, fd);
	}
	rest();
}
Test(hostile, idle_connections)
{
	beside(idle, 0);
}

/* ---- the limits of time themselves, made short ---- */

struct quick {
	struct world w;
	struct attack a;
};

static void quick_start(struct quick *q)
{
	memset(&q->a, 0, sizeof(q->a));
	world_start_opts(&q->w, 0,
			 &(struct rpc_server_opts){ .preface_ns = NS_PER_S,
						    .stall_ns = NS_PER_S });
	q->a.port = rpc_server_port(q->w.srv);
}

/* Wait up to 10 s for a frame of this type and stream; false: the connection ended, or none came. */
static bool frame_comes(int fd, uint8_t type, uint32_t id, uint8_t *flags, uint8_t *p,
			size_t *n)
{
	uint64_t end = time_after_ns(10 * NS_PER_S);
	uint8_t h[9], b[1 << 16];
	while (time_mono_ns() < end && recv(fd, h, 9, MSG_WAITALL) == 9) {
		size_t len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
		if (len > sizeof(b) ||
		    (len && recv(fd, b, len, MSG_WAITALL) != (ssize_t)len))
			return false;
		if (h[3] != type || h[8] != id)
			continue;
		*flags = h[4];
		if (p) {
			memcpy(p, b, MIN(len, *n));
			*n = MIN(len, *n);
		}
		return true;
	}
	return false;
}

/* The value of a header in a block; "": it is not there. */
static void header_of(const uint8_t *block, size_t n, const char *name, char out[200])
{
	nghttp2_hd_inflater *in;
	nghttp2_nv nv;
	int flags = 0;
	out[0] = '\0';
	cr_assert(nghttp2_hd_inflate_new(&in) == 0);
	while (!(flags & NGHTTP2_HD_INFLATE_FINAL)) {
		ssize_t used = nghttp2_hd_inflate_hd2(in, &nv, &flags, block, n, 1);
		cr_assert(used >= 0);
		block += used;
		n -= (size_t)used;
		if ((flags & NGHTTP2_HD_INFLATE_EMIT) && nv.namelen == strlen(name) &&
		    memcmp(nv.name, name, nv.namelen) == 0)
			snprintf(out, 200, "%.*s", (int)nv.valuelen, (char *)nv.value);
	}
	nghttp2_hd_inflate_del(in);
}

Test(hostile, who_does_not_begin_to_speak_http2_is_closed_in_time)
{
	static const uint8_t p[8];
	struct quick q;
	uint8_t flags, b[256];
	quick_start(&q);
	int mute = dial(&q.a), half = dial(&q.a), idle = greet(&q.a, 65535);
	struct timeval tv = { .tv_sec = 10 };
	uint64_t begin = time_mono_ns();
	cr_assert(mute >= 0 && half >= 0 && idle >= 0);
	cr_assert(h2raw_put(half, H2RAW_PREFACE, 20)); /* not whole */
	for (int i = 0; i < 2; i++) {
		int fd = i ? half : mute;
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		while (recv(fd, b, sizeof(b), 0) > 0)
			; /* its SETTINGS */
		uint64_t took = time_mono_ns() - begin;
		cr_assert(took > NS_PER_S * 9 / 10 && took < 6 * NS_PER_S, "%.1f s",
			  (double)took / 1e9);
		close(fd);
	}
	/* one that has begun may be silent for longer */
	cr_assert(h2raw_frame(idle, H2RAW_PING, 0, 0, p, 8));
	do
		cr_assert(frame_comes(idle, H2RAW_PING, 0, &flags, NULL, NULL));
	while (!(flags & 1));
	close(idle);
	world_stop(&q.w);
}

Test(hostile, half_a_request_is_refused_in_time)
{
	static const uint8_t begin[] = { 0, 0, 0, 0, 100, 'x' };
	struct quick q;
	uint8_t flags, block[400];
	size_t n = sizeof(block);
	char value[200];
	quick_start(&q);
	int fd = greet(&q.a, 65535);
	struct timeval tv = { .tv_sec = 10 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	uint64_t start = time_mono_ns();
	cr_assert(request(fd, 1, "/t.T/Echo", H2RAW_END_HEADERS) &&
		  h2raw_frame(fd, H2RAW_DATA, 0, 1, begin, sizeof(begin)));
	cr_assert(frame_comes(fd, H2RAW_HEADERS, 1, &flags, block, &n));
	uint64_t took = time_mono_ns() - start;
	cr_assert(took > NS_PER_S * 9 / 10 && took < 6 * NS_PER_S, "%.1f s",
		  (double)took / 1e9);
	cr_assert(flags & H2RAW_END_STREAM);
	header_of(block, n, "grpc-status", value);
	cr_assert_str_eq(value, "4");
	header_of(block, n, "grpc-message", value);
	cr_assert_str_eq(value, "request is not whole in time");
	/* the connection is as good as before */
	cr_assert(request(fd, 3, "/t.T/Echo", H2RAW_END_HEADERS) &&
		  message(fd, 3, "hello", H2RAW_END_STREAM));
	cr_assert(frame_comes(fd, H2RAW_DATA, 3, &flags, NULL, NULL));
	close(fd);
	world_stop(&q.w);
}

Test(hostile, an_answer_that_nobody_takes_is_reset_in_time)
{
	struct quick q;
	uint8_t flags, code[4] = { 0 };
	size_t n = sizeof(code);
	quick_start(&q);
	int fd = greet(&q.a, 0);
	struct timeval tv = { .tv_sec = 10 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	uint64_t start = time_mono_ns();
	cr_assert(request(fd, 1, "/t.T/Count", H2RAW_END_HEADERS) &&
		  message(fd, 1, "200 10000", H2RAW_END_STREAM));
	cr_assert(frame_comes(fd, H2RAW_RST, 1, &flags, code, &n));
	uint64_t took = time_mono_ns() - start;
	cr_assert(took > NS_PER_S * 9 / 10 && took < 6 * NS_PER_S, "%.1f s",
		  (double)took / 1e9);
	cr_assert_eq(code[3], NGHTTP2_CANCEL);
	cr_assert(world_until(&q.w.ended, E_TIMEOUT));
	close(fd);
	world_stop(&q.w);
}
