/*
 * The server over HTTP/2: the same routes and handlers, many at a time on one connection; who stalls, leaves or is
 * refused; Upgrade; the end of a server.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/time.h"
#include "h2peer.h"
#include "srv.h"
#include "support/tst.h"
#include "wire/codec.h"

#define HAS(a, text)   cr_assert_not_null(strstr((a)->head, text), "%s", (a)->head)
#define HASNT(a, text) cr_assert_null(strstr((a)->head, text), "%s", (a)->head)

static struct h2_answer *ask(struct h2 *h, const char *method, const char *path,
			     const char *const *extra, const char *body)
{
	int32_t id = h2_ask(h, method, path, extra, body, body ? strlen(body) : 0, false);
	cr_assert(h2_wait(h, id), "%s", path);
	return h2_answer(h, id);
}

Test(h2, handlers_answer_as_over_http1)
{
	static const char *const form[] = { "content-type",
					    "application/x-www-form-urlencoded", NULL };
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .cors = true });
	struct h2 *h = h2_connect(v.port, 1 << 20);
	struct h2_answer *a = ask(h, "GET", "/size/3", NULL, NULL);
	cr_assert_eq(a->status, 200);
	cr_assert(a->whole && a->n == 3);
	want_pattern(a->body, 3);
	HAS(a, "content-length: 3\n");
	HAS(a, "content-type: text/plain\n");
	HAS(a, "x-one: two  X-Evil: 1\n");
	HAS(a, "vary: Accept-Encoding\n");
	HAS(a, "access-control-allow-origin: *\n");
	HAS(a, "date: ");
	HASNT(a, "connection");
	a = ask(h, "GET", "/stream/1000000", NULL, NULL);
	cr_assert(a->status == 200 && a->whole && a->n == 1000000);
	want_pattern(a->body, a->n);
	HASNT(a, "transfer-encoding");
	HASNT(a, "content-length");
	a = ask(h, "GET", "/size/1000000", NULL, NULL);
	cr_assert(a->whole && a->n == 1000000);
	HAS(a, "content-length: 1000000\n");
	a = ask(h, "GET", "/loop/1000000", NULL, NULL);
	cr_assert(a->whole && a->n == 1000000);
	want_pattern(a->body, a->n);
	a = ask(h, "POST", "/echo?b=2", form, "a=1&c=x%20y");
	cr_assert_str_eq(a->body, "POST /echo\na=1\nc=x y\nb=2\nbody 11\n");
	a = ask(h, "HEAD", "/size/5", NULL, NULL);
	cr_assert(a->status == 200 && a->whole && a->n == 0);
	HAS(a, "content-length: 5\n");
	a = ask(h, "HEAD", "/loop/5", NULL, NULL);
	cr_assert(a->status == 200 && a->whole && a->n == 0);
	a = ask(h, "OPTIONS", "/echo", NULL, NULL);
	cr_assert(a->status == 204 && a->whole && a->n == 0);
	HAS(a, "allow: GET, POST, OPTIONS\n");
	HASNT(a, "content-length");
	cr_assert_eq(ask(h, "DELETE", "/echo", NULL, NULL)->status, 405);
	a = ask(h, "GET", "/nothing", NULL, NULL);
	cr_assert_eq(a->status, 404);
	cr_assert_str_eq(a->body, "404 page not found\n");
	cr_assert_eq(ask(h, "POST", "/nothing", NULL, "body")->status, 404);
	a = ask(h, "GET", "/fail/now", NULL, NULL);
	cr_assert_eq(a->status, 500);
	cr_assert_str_eq(a->body, "it broke\n");
	cr_assert(!h->goaway && !h->gone && h->max_streams == LIMIT_HTTP2_STREAMS);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

Test(h2, an_answer_that_breaks_off_is_reset_and_the_others_go_on)
{
	struct srv v;
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	struct h2_answer *a = ask(h, "GET", "/fail/late", NULL, NULL);
	cr_assert(a->status == 200 && !a->whole && a->error == NGHTTP2_INTERNAL_ERROR);
	cr_assert_eq(h2_get(h, "/size/3"), 200);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

Test(h2, long_answers_are_compressed)
{
	static const char *const gz[] = { "accept-encoding", "gzip", NULL };
	struct srv v;
	struct buf b;
	struct err e = ERR_INIT;
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	struct h2_answer *a = ask(h, "GET", "/stream/500000", gz, NULL);
	HAS(a, "content-encoding: gzip\n");
	buf_init(&b, 1 << 20);
	cr_assert_eq(gzip_decode(str_n(a->body, a->n), 1 << 20, &b, &e), 0);
	cr_assert_eq(b.n, 500000);
	want_pattern((const char *)b.p, b.n);
	buf_deinit(&b);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

Test(h2, requests_are_answered_in_any_order)
{
	struct srv v;
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	int32_t slow = h2_ask(h, "GET", "/hold", NULL, NULL, 0, false);
	cr_assert(latch_wait(&v.entered, 1));
	for (int i = 0; i < 20; i++)
		cr_assert_eq(h2_get(h, i % 2 ? "/size/1000" : "/loop/1000"), 200);
	cr_assert(!h2_answer(h, slow)->status);
	latch_post(&v.released);
	cr_assert(h2_wait(h, slow));
	cr_assert_str_eq(h2_answer(h, slow)->body, "held\n");
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

/* More than may wait on the loop for the client to take it: the others are asked when there is room. */
Test(h2, many_answers_of_the_loop_at_a_time)
{
	struct srv v;
	int32_t id[80];
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 0);
	for (int i = 0; i < 80; i++)
		id[i] = h2_ask(h, "GET", i % 4 ? "/loop/200000" : "/size/3", NULL, NULL,
			       0, false);
	h2_turn(h, 300);
	cr_assert_lt(atomic_load(&v.budget.peak), 2u << 20);
	nghttp2_settings_entry iv = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 20 };
	nghttp2_submit_settings(h->s, 0, &iv, 1);
	for (int i = 0; i < 80; i++) {
		cr_assert(h2_wait(h, id[i]));
		cr_assert_eq(h2_answer(h, id[i])->status, 200);
		cr_assert_eq(h2_answer(h, id[i])->n, i % 4 ? 200000u : 3u);
	}
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

/* 80 000 bytes at a time are more than a window of the server's. */
Test(h2, bodies_are_taken_up_to_the_limit)
{
	static char body[300000];
	static const char *const huge[] = { "content-length", "400000", NULL };
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .max_body = 200000 });
	struct h2 *h = h2_connect(v.port, 1 << 20);
	memset(body, 'x', sizeof(body));
	int32_t id[4];
	for (int i = 0; i < 4; i++)
		id[i] = h2_ask(h, "POST", "/echo", NULL, body, 80000, false);
	for (int i = 0; i < 4; i++) {
		cr_assert(h2_wait(h, id[i]));
		cr_assert_str_eq(h2_answer(h, id[i])->body, "POST /echo\nbody 80000\n");
	}
	id[0] = h2_ask(h, "POST", "/echo", NULL, body, 200000, false);
	cr_assert(h2_wait(h, id[0]) && h2_answer(h, id[0])->status == 200);
	id[0] = h2_ask(h, "POST", "/echo", NULL, body, 200001, false);
	cr_assert(h2_wait(h, id[0]) && h2_answer(h, id[0])->status == 413);
	id[0] = h2_ask(h, "POST", "/echo", huge, NULL, 0, true);
	cr_assert(h2_wait(h, id[0]) && h2_answer(h, id[0])->status == 413);
	cr_assert(h2_answer(h, id[0])->whole &&
		  h2_answer(h, id[0])->error == NGHTTP2_NO_ERROR);
	cr_assert_eq(h2_get(h, "/size/3"), 200);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

Test(h2, bodies_under_way_are_bounded_by_connection)
{
	static char body[40000];
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .max_body = 100000 });
	struct h2 *h = h2_connect(v.port, 1 << 20);
	int n[2] = { 0, 0 };
	int32_t id[10];
	for (int i = 0; i < 10; i++)
		id[i] = h2_ask(h, "POST", "/echo", NULL, body, sizeof(body), true);
	h2_turn(h, 300);
	for (int i = 0; i < 10; i++) {
		int status = h2_answer(h, id[i])->status;
		cr_assert(status == 0 || status == 503, "%d", status);
		n[status != 0]++;
	}
	cr_assert_eq(n[0], 5, "%d wait", n[0]);
	cr_assert_eq(h2_get(h, "/size/3"), 200);
	cr_assert_lt(atomic_load(&v.budget.peak), 400000);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

Test(h2, expectations)
{
	static const char *const go_on[] = { "expect", "100-continue", NULL };
	static const char *const other[] = { "expect", "miracles", NULL };
	struct srv v;
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	struct h2_answer *a = ask(h, "POST", "/echo", go_on, "abc");
	cr_assert(a->status == 200 && a->saw_100);
	cr_assert_eq(ask(h, "POST", "/echo", other, "abc")->status, 417);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

Test(h2, too_many_or_too_large_headers_are_refused_by_stream)
{
	static char name[600][16], big[16000];
	const char *extra[2 * 600 + 1];
	struct srv v;
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	memset(big, 'v', sizeof(big) - 1);
	for (int i = 0; i < 600; i++) {
		snprintf(name[i], sizeof(name[i]), "x-%d", i);
		extra[2 * i] = name[i];
		extra[2 * i + 1] = i < 5 ? big : "v";
	}
	extra[2 * 3] = NULL;
	cr_assert_eq(ask(h, "GET", "/size/3", extra, NULL)->status, 200);
	extra[2 * 3] = name[3];
	extra[2 * 5] = NULL;
	cr_assert_eq(ask(h, "GET", "/size/3", extra, NULL)->status, 431);
	extra[2 * 5] = name[5];
	for (int i = 0; i < 600; i++)
		extra[2 * i + 1] = "v";
	extra[2 * 500] = NULL;
	cr_assert_eq(ask(h, "GET", "/size/3", extra, NULL)->status, 200);
	extra[2 * 500] = name[500];
	extra[2 * 600] = NULL;
	cr_assert_eq(ask(h, "GET", "/size/3", extra, NULL)->status, 431);
	cr_assert_eq(h2_get(h, "/size/3"), 200);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

Test(h2, a_stream_that_takes_nothing_holds_itself_up_only)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .body_timeout_ns = NS_PER_S });
	struct h2 *h = h2_connect(v.port, 50000);
	nghttp2_session_set_local_window_size(h->s, 0, 0, 100000);
	struct h2 *none = h2_connect(v.port, 0);
	int32_t id = h2_ask(none, "GET", "/flood", NULL, NULL, 0, false);
	cr_assert(latch_wait(&v.entered, 1));
	cr_assert_eq(h2_get(h, "/stream/300000"), 200);
	/* On its own connection, too: answers without a body need no window. */
	int32_t other = h2_ask(none, "HEAD", "/size/5", NULL, NULL, 0, false);
	cr_assert(h2_wait(none, other) && h2_answer(none, other)->status == 200);
	cr_assert(latch_wait(&v.left, 1));
	cr_assert_eq(v.e.code, E_TIMEOUT, "%s", err_text(&v.e));
	cr_assert_lt(atomic_load(&v.written), 400000);
	cr_assert(h2_wait(none, id) && !h2_answer(none, id)->whole);
	cr_assert(h2_answer(none, id)->error != NGHTTP2_NO_ERROR);
	h2_close(none);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

/* Always something left to take, yet never nothing taken. */
Test(h2, a_client_that_reads_slowly_is_not_cut)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .body_timeout_ns = 3 * NS_PER_S });
	struct h2 *h = h2_connect(v.port, 1 << 30);
	int small = 64 << 10;
	setsockopt(h->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	int32_t id = h2_ask(h, "GET", "/endless", NULL, NULL, 0, false);
	for (int i = 0; i < 160; i++) {
		usleep(50000);
		h2_turn(h, 0);
		h2_answer(h, id)->n = 0;
	}
	cr_assert(!h->gone && !h2_answer(h, id)->closed);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

/* What a handler has left behind is not kept for ever either. */
Test(h2, a_finished_answer_that_nobody_takes_is_reset)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .body_timeout_ns = NS_PER_S });
	struct h2 *h = h2_connect(v.port, 0);
	int32_t id[2];
	id[0] = h2_ask(h, "GET", "/size/1000", NULL, NULL, 0, false);
	id[1] = h2_ask(h, "GET", "/loop/1000", NULL, NULL, 0, false);
	for (int i = 0; i < 2; i++) {
		cr_assert(h2_wait(h, id[i]));
		cr_assert_eq(h2_answer(h, id[i])->status, 200);
		cr_assert_eq(h2_answer(h, id[i])->error, NGHTTP2_CANCEL);
	}
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

static void left_by(void (*leave)(struct h2 *h, int32_t id))
{
	struct srv v;
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	int32_t id = h2_ask(h, "GET", "/wait", NULL, NULL, 0, false);
	cr_assert(latch_wait(&v.entered, 1));
	leave(h, id);
	cr_assert(latch_wait(&v.left, 1));
	cr_assert_eq(v.e.code, E_CANCELLED);
	cr_assert_str_eq(err_text(&v.e), "client disconnected");
	if (!h->gone)
		cr_assert_eq(h2_get(h, "/size/3"), 200);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

static void by_eof(struct h2 *h, int32_t id)
{
	(void)id;
	shutdown(h->fd, SHUT_WR);
	h->gone = true;
}

Test(h2, reset_cancels)
{
	left_by(h2_reset);
}
Test(h2, the_end_of_the_connection_cancels)
{
	left_by(by_eof);
}

Test(h2, timeouts)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .header_timeout_ns = NS_PER_S,
						  .idle_timeout_ns = NS_PER_S,
						  .body_timeout_ns = NS_PER_S });
	struct h2 *h = h2_connect(v.port, 1 << 20);
	int32_t id = h2_ask(h, "POST", "/echo", NULL, "abc", 3, true);
	cr_assert(h2_wait(h, id));
	cr_assert_eq(h2_answer(h, id)->status, 408);
	cr_assert(!h->goaway);
	cr_assert(h2_wait_goaway(h) && h->goaway_error == NGHTTP2_NO_ERROR);
	cr_assert(h2_wait_gone(h));
	h2_close(h);
	/* A connection that never says what it speaks. */
	struct raw *r = raw_connect(v.port);
	raw_send(r, "PR");
	cr_assert(raw_until_eof(r));
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(h2, the_preface_may_come_in_pieces)
{
	static const char preface[] =
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = raw_connect(v.port);
	for (size_t i = 0; i < sizeof(preface) - 1; i++) {
		raw_send_n(r, preface + i, 1);
		usleep(1000);
	}
	while (r->n < 9) {
		ssize_t n = recv(r->fd, r->buf + r->n, 64, 0);
		cr_assert_gt(n, 0);
		r->n += (size_t)n;
	}
	cr_assert(r->n >= 9 && r->buf[3] == 4, "no SETTINGS");
	raw_close(r);
	r = raw_connect(v.port); /* not everything that begins with P is one */
	raw_send(r, "P");
	usleep(20000);
	raw_send(r, "OST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	cr_assert(raw_until(r, "POST /echo\nbody 3\n", 1));
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

/* ---- Upgrade ---- */

#define OFFER                                                                            \
	"Host: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"             \
	"HTTP2-Settings: AAQAEAAA\r\n"
#define SETTINGS "\0\4\0\x10\0\0" /* a window of 1 MiB */

Test(h2, a_plain_request_may_ask_to_go_on_in_http2)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = raw_connect(v.port);
	raw_send(r, "GET /size/3 HTTP/1.1\r\nHost: h\r\n\r\n"
		    "GET /stream/200000 HTTP/1.1\r\n" OFFER "\r\n");
	cr_assert(raw_until(r, "\r\n\r\nabc", 1));
	cr_assert(raw_until(r, "HTTP/1.1 101 Switching Protocols\r\n", 1));
	char *end = strstr(strstr(r->buf, " 101 "), "\r\n\r\n");
	cr_assert_not_null(end);
	end += 4;
	struct h2 *h = h2_over(r->fd, SETTINGS, 6);
	cr_assert(nghttp2_session_mem_recv(h->s, (uint8_t *)end,
					   r->n - (size_t)(end - r->buf)) >= 0);
	cr_assert(h2_wait(h, 1));
	cr_assert(h2_answer(h, 1)->status == 200 && h2_answer(h, 1)->n == 200000);
	want_pattern(h2_answer(h, 1)->body, 200000);
	cr_assert_eq(h2_get(h, "/loop/9"), 200);
	h2_close(h);
	free(r);
	srv_stop(&v, NS_PER_S);
}

static void not_upgraded(const struct http_server_opts *o, const char *request)
{
	struct srv v;
	srv_start(&v, o);
	struct raw *r = raw_connect(v.port);
	raw_send(r, request);
	cr_assert(raw_until(r, "HTTP/1.1 200 OK\r\n", 1), "%s", r->buf);
	cr_assert_null(strstr(r->buf, " 101 "));
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(h2, offers_that_are_not_right_are_ignored)
{
	not_upgraded(&(struct http_server_opts){ .no_http2 = true },
		     "GET /size/3 HTTP/1.1\r\n" OFFER "\r\n");
	not_upgraded(NULL,
		     "POST /echo HTTP/1.1\r\n" OFFER "Content-Length: 3\r\n\r\nabc");
	not_upgraded(NULL, "GET /size/3 HTTP/1.1\r\n" OFFER "HTTP2-Settings: \r\n\r\n");
	not_upgraded(NULL,
		     "GET /size/3 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: "
		     "h2c\r\nHTTP2-Settings: AAQAEAAA\r\n\r\n");
	not_upgraded(NULL,
		     "GET /size/3 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, "
		     "HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n");
	not_upgraded(NULL, "GET /size/3 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, "
			   "HTTP2-Settings\r\nUpgrade: websocket\r\nHTTP2-Settings: "
			   "AAQAEAAA\r\n\r\n");
}

Test(h2, can_be_turned_off)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .no_http2 = true });
	struct raw *r = raw_connect(v.port);
	raw_send(r, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	cr_assert(raw_until_eof(r));
	cr_assert_eq(strncmp(r->buf, "HTTP/1.1 400 ", 13), 0, "%s", r->buf);
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(h2, users_must_say_who_they_are)
{
	static const char hash[] =
		"$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";
	static const char *const alice[] = { "authorization", "Basic YWxpY2U6c2VjcmV0",
					     NULL };
	static const char *const eve[] = { "authorization",
					   "Basic ZXZlOnNlY3JldA==", NULL };
	struct http_kv user = { STR("alice"), str_of(hash) };
	struct srv v;
	struct http_auth *auth = http_auth_new();
	http_auth_set(auth, &user, 1);
	srv_start(&v, &(struct http_server_opts){ .auth = auth });
	struct h2 *h = h2_connect(v.port, 1 << 20);
	for (int i = 0; i < 2; i++) {
		const char *path = i ? "/loop/3" : "/size/3";
		struct h2_answer *a = ask(h, "GET", path, NULL, NULL);
		cr_assert_eq(a->status, 401);
		HAS(a, "www-authenticate: Basic\n");
		cr_assert_eq(ask(h, "GET", path, eve, NULL)->status, 401);
		cr_assert_eq(ask(h, "GET", path, alice, NULL)->status, 200);
	}
	cr_assert_eq(ask(h, "GET", "/nothing", NULL, NULL)->status, 401);
	cr_assert_eq(ask(h, "GET", "/nothing", alice, NULL)->status, 404);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
	http_auth_free(auth);
}

Test(h2, requests_are_counted)
{
	struct srv v;
	struct buf b;
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(h2_get(h, i ? "/size/3" : "/loop/3"), 200);
	cr_assert_eq(h2_get(h, "/fail/x"), 500);
	buf_init(&b, 1 << 20);
	metric_write_text(v.reg, false, &b);
	buf_byte(&b, 0);
	const char *text = (const char *)b.p;
	cr_assert_not_null(
		strstr(text,
		       "http_requests_total{code=\"200\",handler=\"size\",method=\"get\"} 2"),
		"%s", text);
	cr_assert_not_null(strstr(
		text,
		"http_requests_total{code=\"200\",handler=\"loop\",method=\"get\"} 1"));
	cr_assert_not_null(strstr(
		text,
		"http_requests_total{code=\"500\",handler=\"fail\",method=\"get\"} 1"));
	buf_deinit(&b);
	h2_close(h);
	srv_stop(&v, NS_PER_S);
}

/* ---- the end of a server ---- */

struct stopping {
	struct srv *v;
	uint64_t grace_ns;
};

static void *stop(void *arg)
{
	struct stopping *s = arg;
	srv_stop(s->v, s->grace_ns);
	return NULL;
}

Test(h2, a_server_that_stops_answers_what_it_has_and_says_goaway)
{
	struct srv v;
	pthread_t t;
	srv_start(&v, NULL);
	struct stopping s = { &v, 20 * NS_PER_S };
	struct h2 *idle = h2_connect(v.port, 1 << 20);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	cr_assert_eq(h2_get(idle, "/loop/3"), 200);
	int32_t id = h2_ask(h, "GET", "/hold", NULL, NULL, 0, false);
	cr_assert(latch_wait(&v.entered, 1));
	cr_assert_eq(pthread_create(&t, NULL, stop, &s), 0);
	cr_assert(h2_wait_gone(idle) && idle->goaway &&
		  idle->goaway_error == NGHTTP2_NO_ERROR);
	cr_assert(h2_wait_goaway(h) && h->goaway_error == NGHTTP2_NO_ERROR);
	cr_assert(!h->gone);
	latch_post(&v.released);
	cr_assert(h2_wait(h, id));
	cr_assert_str_eq(h2_answer(h, id)->body, "held\n");
	cr_assert(h2_wait_gone(h));
	pthread_join(t, NULL);
	h2_close(h);
	h2_close(idle);
}

Test(h2, after_the_grace_requests_are_cancelled)
{
	struct srv v;
	srv_start(&v, NULL);
	struct h2 *h = h2_connect(v.port, 1 << 20);
	h2_ask(h, "GET", "/wait", NULL, NULL, 0, false);
	h2_ask(h, "POST", "/echo", NULL, "half", 4, true);
	cr_assert(latch_wait(&v.entered, 1));
	uint64_t begin = time_mono_ns();
	srv_stop(&v, 100 * NS_PER_MS);
	cr_assert_lt(time_mono_ns() - begin, 5 * NS_PER_S);
	cr_assert_eq(v.e.code, E_CANCELLED);
	cr_assert_str_eq(err_text(&v.e), "server is shutting down");
	h2_close(h);
}
