/*
 * Peers that mean harm, or know no better, for some seconds beside two clients that want answers, one of HTTP/1.1 and
 * one of HTTP/2: both get them all, in time, and what the server holds for the others stays small.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"
#include "h2peer.h"
#include "srv.h"
#include "support/h2raw.h"
#include "support/tst.h"

#define ATTACK_NS (2 * NS_PER_S)
#ifdef TST_INPROC /* the tsan build, which takes ten times as long */
#define SLOWEST_NS (20 * NS_PER_S)
#else
#define SLOWEST_NS (4 * NS_PER_S)
#endif
#define SERVER_BYTES ((size_t)128 << 20)
#define THREADS	     256u
#define MAX_SOCKETS  10000
#define BYTES	     20000 /* of an honest answer */

struct attack {
	uint16_t port;
	_Atomic bool stop;
	_Atomic int rounds, ended; /* connections or streams the server put an end to */
	int fds[MAX_SOCKETS];	   /* held open until the end */
	size_t n_fds;
	void (*run)(struct attack *a);
};

/* ---- means ---- */

static bool put_text(int fd, const char *text)
{
	return h2raw_put(fd, text, strlen(text));
}

static bool request(int fd, uint32_t id, const char *method, const char *path,
		    uint8_t flags)
{
	uint8_t b[400];
	size_t n = h2raw_literal(b, ":method", method);
	n += h2raw_literal(b + n, ":scheme", "http");
	n += h2raw_literal(b + n, ":path", path);
	n += h2raw_literal(b + n, ":authority", "x");
	return h2raw_frame(fd, H2RAW_HEADERS, flags, id, b, n);
}

static bool get(int fd, uint32_t id, const char *path)
{
	return request(fd, id, "GET", path, H2RAW_END_HEADERS | H2RAW_END_STREAM);
}

static void hold(struct attack *a, int fd)
{
	if (fd >= 0 && a->n_fds < MAX_SOCKETS)
		a->fds[a->n_fds++] = fd;
	else if (fd >= 0)
		close(fd);
}

/* A byte to each that is held; those that take none any more were ended. */
static void drip(struct attack *a, const char *text)
{
	for (size_t i = 0; i < a->n_fds; i++)
		if (a->fds[i] >= 0 && !h2raw_put(a->fds[i], text, 1)) {
			close(a->fds[i]);
			a->fds[i] = -1;
			atomic_fetch_add(&a->ended, 1);
		}
}

/* The time is for busy machines, where all that was sent may lie in the socket before the server reads the first byte. */
static bool is_ended(int fd)
{
	struct timeval most = { .tv_sec = 20 };
	char b[4096];
	ssize_t n;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most));
	while ((n = recv(fd, b, sizeof(b), 0)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}

static void rest(void)
{
	usleep(2000);
}

/* ---- the clients that want answers ---- */

static void *attacker(void *arg)
{
	struct attack *a = arg;
	while (!atomic_load(&a->stop)) {
		a->run(a);
		atomic_fetch_add(&a->rounds, 1);
	}
	return NULL;
}

static void ask_h1(struct raw *r, bool is_new)
{
	char text[128], head[2048];
	size_t n = 0;
	int status = 0;
	snprintf(text, sizeof(text), "GET /size/%d HTTP/1.1\r\nHost: h\r\n\r\n", BYTES);
	r->n = 0;
	r->buf[0] = '\0';
	raw_send(r, text);
	cr_assert(raw_until(r, "\r\n\r\n", 1), "no answer by HTTP/1.1 (%s connection)",
		  is_new ? "new" : "kept");
	cr_assert_eq(sscanf(r->buf, "HTTP/1.1 %d", &status), 1);
	cr_assert_eq(status, 200, "%.200s", r->buf);
	n = (size_t)(strstr(r->buf, "\r\n\r\n") + 4 - r->buf);
	cr_assert_lt(n, sizeof(head));
	while (r->n < n + BYTES) {
		ssize_t k = recv(r->fd, r->buf + r->n, n + BYTES - r->n, 0);
		cr_assert_gt(k, 0);
		if (k <= 0) /* where an assertion does not end the test, that does */
			return;
		r->n += (size_t)k;
	}
	want_pattern(r->buf + n, BYTES);
}

static void ask_h2(struct h2 *h)
{
	char path[32];
	snprintf(path, sizeof(path), "/size/%d", BYTES);
	int32_t id = h2_ask(h, "GET", path, NULL, NULL, 0, false);
	cr_assert(h2_wait(h, id), "no answer by HTTP/2");
	cr_assert_eq(h2_answer(h, id)->status, 200);
	cr_assert_eq(h2_answer(h, id)->n, (size_t)BYTES);
	if (h2_answer(h, id)->n == BYTES) /* the TSan build goes on after what failed */
		want_pattern(h2_answer(h, id)->body, BYTES);
}

struct clients { /* connections that are kept; each is used before the attack, too */
	struct raw *h1;
	struct h2 *h2;
};

static void honest(struct srv *v, struct clients *c, uint64_t for_ns)
{
	uint64_t end = time_after_ns(for_ns), slowest = 0;
	int n = 0;
	for (; time_mono_ns() < end || n < 5; n++) {
		uint64_t begin = time_mono_ns();
		struct raw *fresh = raw_connect(v->port);
		ask_h1(fresh, true);
		raw_close(fresh);
		ask_h1(c->h1, false);
		ask_h2(c->h2);
		slowest = MAX(slowest, time_mono_ns() - begin);
	}
	struct h2 *other = h2_connect(v->port, 1 << 20);
	ask_h2(other);
	h2_close(other);
	cr_assert(slowest < SLOWEST_NS, "the slowest of %d took %.1f s", n,
		  (double)slowest / (double)NS_PER_S);
}

static void beside_opts(void (*run)(struct attack *a), int want_ended,
			const struct http_server_opts *o)
{
	struct attack *a = calloc(1, sizeof(*a));
	struct srv v;
	pthread_t t;
	srv_start_wide(&v, o, THREADS);
	struct clients c = { raw_connect(v.port), h2_connect(v.port, 1 << 20) };
	ask_h1(c.h1, true);
	ask_h2(c.h2);
	a->port = v.port;
	a->run = run;
	cr_assert(pthread_create(&t, NULL, attacker, a) == 0);
	honest(&v, &c, o && o->header_timeout_ns ? 2 * ATTACK_NS : ATTACK_NS);
	atomic_store(&a->stop, true);
	pthread_join(t, NULL);
	cr_assert(atomic_load(&a->rounds) > 0);
	cr_assert(atomic_load(&a->ended) >= want_ended,
		  "the server ended %d in %d rounds", atomic_load(&a->ended),
		  atomic_load(&a->rounds));
	cr_assert(atomic_load(&v.budget.peak) < SERVER_BYTES, "%zu bytes",
		  atomic_load(&v.budget.peak));
	for (size_t i = 0; i < a->n_fds; i++)
		if (a->fds[i] >= 0)
			close(a->fds[i]);
	h2_close(c.h2);
	raw_close(c.h1);
	srv_stop(&v, NS_PER_S);
	free(a);
}

static void beside(void (*run)(struct attack *a), int want_ended)
{
	beside_opts(run, want_ended, NULL);
}

static const struct http_server_opts hasty = { .header_timeout_ns = NS_PER_S,
					       .body_timeout_ns = NS_PER_S };

/* ---- slowloris ---- */

/* Heads of which a byte comes now and then, and which never end. */
static void slow_heads(struct attack *a)
{
	while (a->n_fds < 500) {
		int fd = h2raw_dial(a->port);
		if (fd < 0)
			break;
		(void)put_text(fd, "GET /size/3 HTTP/1.1\r\nHost: h\r\nX-");
		hold(a, fd);
	}
	drip(a, "x");
	usleep(100000);
}
Test(hostile, slow_heads)
{
	beside_opts(slow_heads, 100, &hasty);
}

static void slow_bodies(struct attack *a)
{
	while (a->n_fds < 500) {
		int fd = h2raw_dial(a->port);
		if (fd < 0)
			break;
		(void)put_text(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: "
				   "10000000\r\n\r\n");
		hold(a, fd);
	}
	drip(a, "x");
	usleep(100000);
}
Test(hostile, slow_bodies)
{
	beside_opts(slow_bodies, 100, &hasty);
}

/* HEADERS of which a byte comes now and then: the preface, then nothing that ends. */
static void slow_h2_heads(struct attack *a)
{
	static const uint8_t begin[9] = { 0, 0x3f, 0xff, H2RAW_HEADERS, 0, 0, 0, 0, 1 };
	while (a->n_fds < 300) {
		int fd = a->n_fds % 2 ? h2raw_greet(a->port, 65535) : h2raw_dial(a->port);
		if (fd < 0)
			break;
		if (a->n_fds % 2)
			(void)h2raw_put(fd, begin, sizeof(begin));
		else
			(void)h2raw_put(fd, H2RAW_PREFACE, a->n_fds % 24);
		hold(a, fd);
	}
	drip(a, "\0");
	usleep(100000);
}
Test(hostile, slow_h2_heads)
{
	beside_opts(slow_h2_heads, 100, &hasty);
}

/* Many halves of requests on few connections. */
static void half_h2_bodies(struct attack *a)
{
	int fd = a->n_fds < 20 ? h2raw_greet(a->port, 65535) : -1;
	for (uint32_t id = 1; id < 200 && fd >= 0; id += 2)
		if (!request(fd, id, "POST", "/echo", H2RAW_END_HEADERS) ||
		    !h2raw_frame(fd, H2RAW_DATA, 0, id, "abc", 3))
			break;
	hold(a, fd);
	rest();
}
Test(hostile, half_h2_bodies)
{
	beside(half_h2_bodies, 0);
}

/* ---- oversize ---- */

static void send_and_see(struct attack *a, const char *begin, const char *again,
			 int times)
{
	int fd = h2raw_dial(a->port);
	if (fd < 0)
		return;
	bool ok = put_text(fd, begin);
	for (int i = 0; i < times && ok && !atomic_load(&a->stop); i++)
		ok = put_text(fd, again);
	if (!ok || is_ended(fd))
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}

static void long_lines(struct attack *a)
{
	char v[1001];
	memset(v, 'v', 1000);
	v[1000] = '\0';
	send_and_see(a, "GET /", v, 4000);
	send_and_see(a, "GET / HTTP/1.1\r\nHost: h\r\nX-Big: ", v, 4000);
}
Test(hostile, long_lines)
{
	beside(long_lines, 4);
}

static void many_headers(struct attack *a)
{
	send_and_see(a, "GET / HTTP/1.1\r\nHost: h\r\n", "X: y\r\n", 50000);
	send_and_see(
		a, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
		"1;x=yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\na\r\n",
		10000);
}
Test(hostile, many_headers)
{
	beside_opts(many_headers, 4, &(struct http_server_opts){ .max_body = 1000 });
}

static void big_h2_headers(struct attack *a)
{
	uint8_t b[16384];
	size_t n = 0;
	int fd = h2raw_greet(a->port, 65535);
	char value[121];
	memset(value, 'v', 120);
	value[120] = '\0';
	while (n + 140 < sizeof(b))
		n += h2raw_literal(b + n, "x-big", value);
	bool ok = fd >= 0 && request(fd, 1, "GET", "/size/3", 0);
	for (int i = 0; i < 256 && ok; i++)
		ok = h2raw_frame(fd, H2RAW_MORE, i == 255 ? H2RAW_END_HEADERS : 0, 1, b,
				 n);
	if (!ok || h2raw_goaway(fd) >= 0)
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, big_h2_headers)
{
	beside(big_h2_headers, 2);
}

/* One field of 4000 bytes is put into the table, then named by a byte each time: 16 KB become 60 MB. */
static void small_bytes_of_large_headers(struct attack *a)
{
	uint8_t b[16384];
	int fd = h2raw_greet(a->port, 65535);
	bool ok = fd >= 0;
	size_t n = 0;
	b[n++] = 0x40; /* literal, indexed, new name */
	b[n++] = 1;
	b[n++] = 'x';
	b[n++] = 0x7f; /* 127 + 3873 */
	b[n++] = 0xa1;
	b[n++] = 0x1e;
	memset(b + n, 'v', 4000);
	n += 4000;
	memset(b + n, 0xbe, sizeof(b) - n); /* index 62 */
	for (uint32_t id = 1; id < 20 && ok; id += 2) {
		ok = request(fd, id, "GET", "/size/3", H2RAW_END_STREAM) &&
		     h2raw_frame(fd, H2RAW_MORE, H2RAW_END_HEADERS, id, b, sizeof(b));
	}
	if (!ok || is_ended(fd))
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, small_bytes_of_large_headers)
{
	beside(small_bytes_of_large_headers, 2);
}

/* ---- floods ---- */

/* Requests without end, and no answer is read. */
static void pipelining(struct attack *a)
{
	char text[4096] = "";
	int fd = a->n_fds < 20 ? h2raw_dial(a->port) : -1;
	struct timeval tv = { .tv_usec = 50000 };
	while (strlen(text) < 4000)
		strcat(text, "GET /loop/9999 HTTP/1.1\r\nHost: h\r\n\r\n");
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	for (int i = 0; i < 10000 && fd >= 0 && !atomic_load(&a->stop); i++)
		if (!put_text(fd, text))
			break;
	hold(a, fd);
	rest();
}
Test(hostile, pipelining)
{
	beside(pipelining, 0);
}

/* Streams that are cancelled as soon as they have begun. */
static void rapid_reset(struct attack *a)
{
	static const uint8_t cancel[4] = { 0, 0, 0, 8 };
	int fd = h2raw_greet(a->port, 65535);
	bool ok = fd >= 0;
	for (uint32_t id = 1; id < 200000 && ok && !atomic_load(&a->stop); id += 2)
		ok = get(fd, id, "/endless") &&
		     h2raw_frame(fd, H2RAW_RST, 0, id, cancel, 4);
	if (!ok)
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, rapid_reset)
{
	beside(rapid_reset, 1);
}

/* The same by the server's hand: each stream is given a reason to be reset. */
static void rapid_faults(struct attack *a)
{
	static const uint8_t none[4];
	int fd = h2raw_greet(a->port, 0);
	bool ok = fd >= 0;
	for (uint32_t id = 1; id < 100000 && ok && !atomic_load(&a->stop); id += 2)
		ok = get(fd, id, "/endless") &&
		     h2raw_frame(fd, H2RAW_WINDOW, 0, id, none, 4); /* by nothing */
	if (!ok)
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, rapid_faults)
{
	beside(rapid_faults, 1);
}

static void continuation_flood(struct attack *a)
{
	int fd = h2raw_greet(a->port, 65535);
	bool ok = fd >= 0 && request(fd, 1, "GET", "/size/3", 0);
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

/* Frames that ask for nothing, each kind; the answers to them are not read. */
static bool idle_frame(int fd, int kind)
{
	static const uint8_t zero[8], one[4] = { 0, 0, 0, 1 };
	static const uint8_t prio[5] = { 0, 0, 0, 0, 9 };
	switch (kind) {
	case 0: return h2raw_frame(fd, H2RAW_PING, 0, 0, zero, 8);
	case 1: return h2raw_frame(fd, H2RAW_SETTINGS, 0, 0, NULL, 0);
	case 2: return h2raw_frame(fd, H2RAW_PRIORITY, 0, 3, prio, 5);
	case 3: return h2raw_frame(fd, H2RAW_DATA, 0, 1, NULL, 0);
	case 4: return h2raw_frame(fd, H2RAW_WINDOW, 0, 0, one, 4);
	default: return h2raw_frame(fd, 0x77, 0, 0, zero, 8);
	}
}

static void idle_frames(struct attack *a)
{
	for (int kind = 0; kind < 6; kind++) {
		int fd = h2raw_greet(a->port, 65535);
		bool ok = fd >= 0 && request(fd, 1, "POST", "/echo", H2RAW_END_HEADERS);
		for (int i = 0; i < 100000 && ok; i++)
			ok = idle_frame(fd, kind);
		/* Frames of unknown types cost nothing but their bytes, and nghttp2 does not tell of them. */
		cr_assert(!ok || kind == 5 || is_ended(fd),
			  "kind %d is let pass for ever", kind);
		atomic_fetch_add(&a->ended, 1);
		close(fd);
	}
}
Test(hostile, frames_that_ask_for_nothing)
{
	beside(idle_frames, 6);
}

static void garbage(struct attack *a)
{
	static uint64_t state = 88172645463325252u;
	uint8_t b[2000];
	int fd = h2raw_greet(a->port, 65535);
	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof(b); i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		b[i] = (uint8_t)(state >> 32);
	}
	b[0] = 0, b[1] = 1; /* a short frame at least */
	b[3] %= 10;
	(void)h2raw_put(fd, b, sizeof(b));
	shutdown(fd, SHUT_WR);
	if (is_ended(fd))
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, garbage)
{
	beside(garbage, 20);
}

/* ---- windows ---- */

/* Endless answers are asked for, and no window is ever opened; on half of the connections that of TCP. */
static void no_window(struct attack *a)
{
	int fd = a->n_fds < 8 ? h2raw_greet(a->port, a->n_fds % 2 ? 0 : 1 << 30) : -1;
	for (uint32_t id = 1; id < 40 && fd >= 0; id += 2)
		if (!get(fd, id, id % 4 == 1 ? "/endless" : "/loop/500000"))
			break;
	hold(a, fd);
	rest();
}
Test(hostile, windows_held_shut)
{
	beside(no_window, 0);
}

/* The same with more threads than there are, were they to wait as long as for a client that is slow. */
static void many_stalled(struct attack *a)
{
	int fd = a->n_fds < 100 ? h2raw_greet(a->port, 0) : -1;
	for (uint32_t id = 1; id < 20 && fd >= 0; id += 2)
		if (!get(fd, id, "/endless"))
			break;
	hold(a, fd);
	usleep(20000);
}
Test(hostile, many_stalled_answers)
{
	beside(many_stalled, 0);
}

/* HTTP/1.1 with a receive buffer as small as can be. */
static void never_reading(struct attack *a)
{
	int fd = a->n_fds < 50 ? h2raw_dial(a->port) : -1, small = 1;
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		(void)put_text(fd, "GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
	}
	hold(a, fd);
	rest();
}
Test(hostile, clients_that_never_read)
{
	beside(never_reading, 0);
}

/* Half closed: what was asked for is answered to nobody. */
static void half_closed(struct attack *a)
{
	int fd = a->n_fds < 1000 ? (a->n_fds % 2 ? h2raw_greet(a->port, 65535)
						 : h2raw_dial(a->port))
				 : -1;
	if (fd >= 0) {
		if (a->n_fds % 2)
			(void)get(fd, 1, "/endless");
		else
			(void)put_text(fd, "GET /endless HTTP/1.1\r\nHost: h\r\n\r\n");
		shutdown(fd, SHUT_WR);
	}
	hold(a, fd);
	rest();
}
Test(hostile, half_closed)
{
	beside(half_closed, 0);
}

/* One byte of window at a time. */
static void tiny_windows(struct attack *a)
{
	static const uint8_t one[4] = { 0, 0, 0, 1 };
	int fd = h2raw_greet(a->port, 1);
	bool ok = fd >= 0;
	for (uint32_t id = 1; id < 20 && ok; id += 2)
		ok = get(fd, id, "/endless");
	for (int i = 0; i < 3000 && ok && !atomic_load(&a->stop); i++)
		ok = h2raw_frame(fd, H2RAW_WINDOW, 0, 1 + 2 * (uint32_t)(i % 10), one, 4);
	close(fd);
	usleep(30000);
}
Test(hostile, tiny_windows)
{
	beside(tiny_windows, 0);
}

/* Beyond 2^31 - 1: by frames, of a stream and of the connection, and by SETTINGS. */
static void window_overflow(struct attack *a)
{
	static const uint8_t most[4] = { 0x7f, 0xff, 0xff, 0xff };
	static const uint8_t set[6] = { 0, 4, 0x7f, 0xff, 0xff, 0xff };
	int fd = h2raw_greet(a->port, 65535), how = (int)(a->n_fds++ % 3);
	if (fd < 0)
		return;
	a->fds[a->n_fds - 1] = -1;
	a->n_fds %= 999;
	(void)(get(fd, 1, "/endless") &&
	       h2raw_frame(fd, H2RAW_WINDOW, 0, how == 0 ? 0 : 1, most, 4) &&
	       (how != 2 || h2raw_frame(fd, H2RAW_SETTINGS, 0, 0, set, 6)) &&
	       h2raw_frame(fd, H2RAW_WINDOW, 0, 0, most, 4));
	shutdown(fd, SHUT_WR);
	if (is_ended(fd))
		atomic_fetch_add(&a->ended, 1);
	close(fd);
}
Test(hostile, window_overflow)
{
	beside(window_overflow, 6);
}

/* ---- idle connections ---- */

/* As many as descriptors allow (both ends are ours), of each protocol. */
static void idle(struct attack *a)
{
	struct rlimit r;
	getrlimit(RLIMIT_NOFILE, &r);
	size_t most = MIN((size_t)r.rlim_cur > 1000 ? (r.rlim_cur - 500) / 2 : 100,
			  (size_t)MAX_SOCKETS);
	while (a->n_fds < most && !atomic_load(&a->stop)) {
		int fd = a->n_fds % 2 ? h2raw_greet(a->port, 65535) : h2raw_dial(a->port);
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

/* More than there may be: idle ones make room, so that nobody has to wait. */
Test(hostile, idle_connections_make_room)
{
	beside_opts(idle, 0, &(struct http_server_opts){ .max_conns = 200 });
}
