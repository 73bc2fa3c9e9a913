/*
 * Clients that go away, take nothing or say nothing; a full pool; the end of a server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "srv.h"
#include "support/tst.h"

static struct raw *ask(struct srv *v, const char *target)
{
	char text[256];
	struct raw *r = raw_connect(v->port);
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target);
	raw_send(r, text);
	return r;
}

Test(lifetime, a_client_that_closes_cancels_its_handler)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = ask(&v, "/wait");
	cr_assert(latch_wait(&v.entered, 1));
	raw_close(r);
	cr_assert(latch_wait(&v.left, 1));
	cr_assert_eq(v.e.code, E_CANCELLED);
	cr_assert_str_eq(err_text(&v.e), "client disconnected");
	srv_stop(&v, NS_PER_S);
}

Test(lifetime, a_client_that_resets_cancels_its_handler)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = ask(&v, "/wait");
	cr_assert(latch_wait(&v.entered, 1));
	raw_reset(r);
	cr_assert(latch_wait(&v.left, 1));
	cr_assert_eq(v.e.code, E_CANCELLED);
	srv_stop(&v, NS_PER_S);
}

Test(lifetime, a_pipelined_request_does_not_hide_that_the_client_went)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = ask(&v, "/wait");
	cr_assert(latch_wait(&v.entered, 1));
	raw_send(r, "GET /size/3 HTTP/1.1\r\nHost: h\r\n\r\n");
	raw_close(r);
	cr_assert(latch_wait(&v.left, 1));
	cr_assert_eq(v.e.code, E_CANCELLED);
	srv_stop(&v, NS_PER_S);
}

Test(lifetime, a_client_that_takes_nothing_holds_the_writer_back_and_is_cut)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .body_timeout_ns = 300 * NS_PER_MS });
	struct raw *r = ask(&v, "/flood");
	cr_assert(latch_wait(&v.left, 1));
	cr_assert_eq(v.e.code, E_TIMEOUT, "%s", err_text(&v.e));
	cr_assert_lt(atomic_load(&v.written), 64u << 20);
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(lifetime, a_writer_held_back_sees_the_client_go)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = ask(&v, "/flood");
	cr_assert(latch_wait(&v.entered, 1));
	cr_assert(raw_until(r, "abc", 3));
	raw_reset(r);
	cr_assert(latch_wait(&v.left, 1));
	cr_assert_eq(v.e.code, E_CANCELLED, "%s", err_text(&v.e));
	srv_stop(&v, NS_PER_S);
}

Test(lifetime, a_finished_answer_that_nobody_takes_is_cut)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .body_timeout_ns = 200 * NS_PER_MS });
	struct raw *r = ask(&v, "/loop/16000000");
	raw_send(r,
		 "GET /loop/16000000 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	srv_stop(&v, 60 * NS_PER_S); /* ends although nobody reads */
	raw_close(r);
}

Test(lifetime, silence_is_timed_out)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .header_timeout_ns = 100 * NS_PER_MS,
						  .body_timeout_ns = 100 * NS_PER_MS,
						  .idle_timeout_ns = 100 * NS_PER_MS });
	struct raw *r = raw_connect(v.port);
	raw_send(r, "GET /echo HT");
	cr_assert(raw_until_eof(r));
	cr_assert_not_null(strstr(r->buf, "HTTP/1.1 408 Request Timeout\r\n"), "%s",
			   r->buf);
	raw_close(r);
	r = raw_connect(v.port);
	raw_send(r, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
	cr_assert(raw_until_eof(r));
	cr_assert_not_null(strstr(r->buf, "HTTP/1.1 408 "), "%s", r->buf);
	raw_close(r);
	r = ask(&v, "/size/3"); /* then idle: closed without a word */
	cr_assert(raw_until_eof(r));
	cr_assert_eq(text_count(r->buf, "HTTP/1.1 "), 1);
	raw_close(r);
	r = raw_connect(v.port);
	cr_assert(raw_until_eof(r));
	cr_assert_eq(r->n, 0u);
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(lifetime, a_full_pool_is_503_and_loop_routes_go_on)
{
	struct srv v;
	struct raw *held[8];
	srv_start(&v, NULL);
	for (int i = 0; i < 8; i++) {
		held[i] = ask(&v, "/hold");
		cr_assert(latch_wait(&v.entered, i + 1));
	}
	struct raw *r = srv_ask(&v, "GET", "/hold", "");
	cr_assert_not_null(strstr(r->buf, "HTTP/1.1 503 "), "%s", r->buf);
	raw_close(r);
	r = srv_ask(&v, "GET", "/loop/3", "");
	cr_assert_str_eq(answer_body(r), "abc");
	raw_close(r);
	latch_post(&v.released);
	for (int i = 0; i < 8; i++) {
		cr_assert(raw_until(held[i], "held\n", 1));
		raw_close(held[i]);
	}
	srv_stop(&v, NS_PER_S);
}

static void *stop_later(void *arg)
{
	srv_stop(arg, 60 * NS_PER_S);
	return NULL;
}

Test(lifetime, a_stop_closes_idle_connections_and_lets_requests_end)
{
	struct srv v;
	pthread_t t;
	srv_start(&v, NULL);
	struct raw *idle = ask(&v, "/size/3"), *busy = ask(&v, "/hold");
	cr_assert(raw_until(idle, "\r\n\r\nabc", 1));
	cr_assert(latch_wait(&v.entered, 1));
	cr_assert_eq(pthread_create(&t, NULL, stop_later, &v), 0);
	cr_assert(raw_until_eof(idle)); /* so the stop has begun */
	latch_post(&v.released);
	cr_assert(raw_until_eof(busy));
	cr_assert_not_null(strstr(busy->buf, "\r\n\r\nheld\n"), "%s", busy->buf);
	pthread_join(t, NULL);
	raw_close(idle);
	raw_close(busy);
}

Test(lifetime, a_stop_cancels_what_outlasts_the_grace)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = ask(&v, "/wait");
	cr_assert(latch_wait(&v.entered, 1));
	srv_stop(&v, 50 * NS_PER_MS);
	cr_assert_eq(v.e.code, E_CANCELLED);
	cr_assert_str_eq(err_text(&v.e), "server is shutting down");
	raw_close(r);
}

Test(lifetime, a_stop_without_clients_returns)
{
	struct srv v;
	srv_start(&v, NULL);
	srv_stop(&v, 0);
}
