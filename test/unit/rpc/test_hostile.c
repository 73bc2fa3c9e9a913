/*
 * Peers that mean harm, or know no better, on raw sockets beside a client that wants answers: it gets them all, in
 * time, and what the server holds for the others stays small.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "rpc/rpc_int.h"
#include "support/tst.h"
#include "world.h"

#define HONEST_NS    (NS_PER_S + NS_PER_S / 2)
#define SLOWEST_NS   (4 * NS_PER_S)
#define SERVER_BYTES ((size_t)128 << 20)
#define PREFACE	     "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define MAX_SOCKETS  10000

enum {
	DATA = 0,
	HEADERS = 1,
	RST = 3,
	SETTINGS = 4,
	PING = 6,
	GOAWAY = 7,
	WINDOW = 8,
	MORE = 9
};
enum { END_STREAM = 1, END_HEADERS = 4 };

struct attack {
	uint16_t port;
	_Atomic bool stop;
	_Atomic int rounds, ended; /* connections the server put an end to */
	int fds[MAX_SOCKETS];	   /* held open until the end */
	size_t n_fds;
	void (*run)(struct attack *a);
};

/* ---- frames by hand ---- */

static int dial(struct attack *a)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(a->port) };
	struct timeval tv = { .tv_sec = 2 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool put(int fd, const void *p, size_t n)
{
	return send(fd, p, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool frame(int fd, uint8_t type, uint8_t flags, uint32_t id, const void *p,
		  size_t n)
{
	uint8_t b[9 + 16384] = { (uint8_t)(n >> 16),
				 (uint8_t)(n >> 8),
				 (uint8_t)n,
				 type,
				 flags,
				 (uint8_t)(id >> 24),
				 (uint8_t)(id >> 16),
				 (uint8_t)(id >> 8),
				 (uint8_t)id };
	if (n)
		memcpy(b + 9, p, n);
	return put(fd, b, 9 + n);
}

/* A connection that speaks HTTP/2; window: of its streams. */
static int greet(struct attack *a, uint32_t window)
{
	uint8_t s[6] = { 0,
			 4,
			 (uint8_t)(window >> 24),
			 (uint8_t)(window >> 16),
			 (uint8_t)(window >> 8),
			 (uint8_t)window };
	int fd = dial(a);
	if (fd >= 0)
		(void)(put(fd, PREFACE, sizeof(PREFACE) - 1) &&
		       frame(fd, SETTINGS, 0, 0, s, 6));
	return fd;
}

/* A literal header, not indexed. */
static size_t literal(uint8_t *p, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);
	p[0] = 0;
	p[1] = (uint8_t)n;
	memcpy(p + 2, name, n);
	p[2 + n] = (uint8_t)v;
	memcpy(p + 3 + n, value, v);
	return 3 + n + v;
}

static bool request(int fd, uint32_t id, const char *path, uint8_t flags)
{
	uint8_t b[400];
	size_t n = literal(b, ":method", "POST");
	n += literal(b + n, ":scheme", "http");
	n += literal(b + n, ":path", path);
	n += literal(b + n, ":authority", "x");
	n += literal(b + n, "content-type", "application/grpc");
	n += literal(b + n, "te", "trailers");
	return frame(fd, HEADERS, flags, id, b, n);
}

static bool message(int fd, uint32_t id, const char *text, uint8_t flags)
{
	uint8_t b[200] = { 0, 0, 0, 0, (uint8_t)strlen(text) };
	memcpy(b + 5, text, strlen(text));
	return frame(fd, DATA, flags, id, b, 5 + strlen(text));
}

/* Read until the end, or a GOAWAY: its error code; -1: none. */
static int goaway(int fd)
{
	uint8_t h[9], skip[1 << 16];
	while (recv(fd, h, 9, MSG_WAITALL) == 9) {
		size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
		if (n > sizeof(skip) ||
		    (n && recv(fd, skip, n, MSG_WAITALL) != (ssize_t)n))
			return -1;
		if (h[3] == GOAWAY && n >= 8)
			return skip[7];
	}
	return -1;
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
		(void)put(fd, PREFACE, a->n_fds % 24);
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
	(void)put(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
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
		n += literal(b + n, "x-big", value);
	bool ok = fd >= 0 && request(fd, 1, "/t.T/Echo", 0);
	for (int i = 0; i < 256 && ok; i++)
		ok = frame(fd, MORE, i == 255 ? END_HEADERS : 0, 1, b, n);
	if (!ok || goaway(fd) >= 0)
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
		ok = frame(fd, MORE, 0, 1, NULL, 0);
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
		ok = request(fd, id, "/t.T/Hang", END_HEADERS) &&
		     message(fd, id, "x", END_STREAM) && frame(fd, RST, 0, id, cancel, 4);
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
		if (!request(fd, id, "/t.T/Count", END_HEADERS) ||
		    !message(fd, id, "200 10000", END_STREAM))
			break;
	hold(a, fd);
	rest();
}
Test(hostile, windows_held_shut)
{
	beside(no_window, 0);
}

/* One byte of window at a time. */
static void tiny_windows(struct attack *a)
{
	static const uint8_t one[4] = { 0, 0, 0, 1 };
	int fd = greet(a, 1);
	bool ok = fd >= 0;
	for (uint32_t id = 1; id < 20 && ok; id += 2)
		ok = request(fd, id, "/t.T/Count", END_HEADERS) &&
		     message(fd, id, "20 10000", END_STREAM);
	for (int i = 0; i < 3000 && ok && !atomic_load(&a->stop); i++)
		ok = frame(fd, WINDOW, 0, 1 + 2 * (uint32_t)(i % 10), one, 4);
	close(fd);
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
		if (!request(fd, id, "/t.T/Echo", END_HEADERS) ||
		    !frame(fd, DATA, 0, id, begin, sizeof(begin)))
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
		(void)frame(fd, PING, 0, 0, p, 8);
	if (goaway(fd) == NGHTTP2_ENHANCE_YOUR_CALM) {
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
		cr_assert(request(fd, 1 + 2 * i, "/t.T/Echo", END_HEADERS));
		cr_assert(frame(fd, PING, 0, 0, p, 8) &&
			  message(fd, 1 + 2 * i, "x", END_STREAM));
		for (bool ended = false; !ended;) {
			cr_assert(recv(fd, h, 9, MSG_WAITALL) == 9);
			size_t n = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];
			cr_assert(h[3] != GOAWAY && n < sizeof(skip));
			if (n)
				cr_assert(recv(fd, skip, n, MSG_WAITALL) == (ssize_t)n);
			ended = h[3] == HEADERS && (h[4] & END_STREAM);
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
