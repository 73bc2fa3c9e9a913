/*
 * The client against a scripted peer of plain sockets.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "http/http.h"
#include "peer.h"
#include "support/tst.h"
#include "wire/codec.h"

struct fix {
	struct loop *loop;
	struct http_client *c;
	struct scripted *peer;
	struct arena a;
	struct ctx ctx;
	struct buf body;
	struct err e;
	struct http_answer ans;
	char url[128];
};

static void fix_start(struct fix *f, const struct script *s, uint64_t deadline_ns)
{
	memset(f, 0, sizeof(*f));
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(loop_start("t", &f->loop, &f->e), 0);
	cr_assert_eq(http_client_new(&(struct http_client_opts){ .loop = f->loop,
								 .user_agent = "unit/1" },
				     &f->c, &f->e),
		     0);
	f->peer = scripted_start(s);
	arena_init(&f->a, NULL);
	ctx_init(&f->ctx, NULL, deadline_ns ? time_after_ns(deadline_ns) : 0);
	buf_init(&f->body, 1 << 20);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/p/a?q=secret",
		 scripted_port(f->peer));
}

static void fix_stop(struct fix *f)
{
	http_client_free(f->c);
	scripted_stop(f->peer);
	loop_stop(f->loop);
	buf_deinit(&f->body);
	arena_deinit(&f->a);
	ctx_deinit(&f->ctx);
}

static int get(struct fix *f)
{
	struct http_fetch_req r = { .method = "GET", .url = str_of(f->url) };
	buf_reset(&f->body);
	return http_fetch(f->c, &f->ctx, &f->a, &r, &f->ans, &f->body, &f->e);
}

Test(client, a_fetch_gives_status_headers_and_body_and_reuses_the_connection)
{
	struct fix f;
	fix_start(&f,
		  &(struct script){
			  .answer = "HTTP/1.1 418 no\r\nX-Thing:  a b \r\nContent-"
				    "Length: 5\r\n\r\nhello" },
		  0);
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(get(&f), 0);
		cr_assert_eq(f.ans.status, 418);
		cr_assert(str_eq(http_answer_header(&f.ans, "x-thing"), STR("a b")));
		cr_assert_eq(http_answer_header(&f.ans, "nothing").n, 0u);
		cr_assert(str_eq(buf_view(&f.body), STR("hello")));
	}
	cr_assert_eq(scripted_conns(f.peer), 1);
	cr_assert_not_null(
		strstr(scripted_request(f.peer), "GET /p/a?q=secret HTTP/1.1\r\n"));
	cr_assert_not_null(strstr(scripted_request(f.peer), "User-Agent: unit/1\r\n"));
	cr_assert_not_null(strstr(scripted_request(f.peer), "Accept-Encoding: gzip\r\n"));
	fix_stop(&f);
}

Test(client, a_post_carries_its_body_and_only_the_headers_given)
{
	struct fix f;
	struct http_kv h = { STR("X-One"), STR("1") };
	fix_start(&f, &(struct script){ .answer = "HTTP/1.1 204 n\r\n\r\n" }, 0);
	struct http_fetch_req r = { .method = "POST",
				    .url = str_of(f.url),
				    .headers = &h,
				    .n_headers = 1,
				    .body = STR("a=1&b=2") };
	cr_assert_eq(http_fetch(f.c, &f.ctx, &f.a, &r, &f.ans, &f.body, &f.e), 0);
	cr_assert_eq(f.ans.status, 204);
	const char *got = scripted_request(f.peer);
	cr_assert_not_null(strstr(got, "POST /p/a"));
	cr_assert_not_null(strstr(got, "X-One: 1\r\n"));
	cr_assert_not_null(strstr(got, "Content-Length: 7\r\n"));
	cr_assert_not_null(strstr(got, "\r\n\r\na=1&b=2"));
	cr_assert_null(strstr(got, "Expect"));
	cr_assert_null(strstr(got, "Content-Type"));
	r.method = "PUT";
	cr_assert_eq(http_fetch(f.c, &f.ctx, &f.a, &r, &f.ans, &f.body, &f.e), 0);
	cr_assert_not_null(strstr(scripted_request(f.peer), "PUT /p/a"));
	r.method = "DELETE";
	r.body = STR_NULL;
	cr_assert_eq(http_fetch(f.c, &f.ctx, &f.a, &r, &f.ans, &f.body, &f.e), 0);
	cr_assert_not_null(strstr(scripted_request(f.peer), "DELETE /p/a"));
	r.method = "GET"; /* a used handle keeps nothing of the request before */
	cr_assert_eq(http_fetch(f.c, &f.ctx, &f.a, &r, &f.ans, &f.body, &f.e), 0);
	cr_assert_not_null(strstr(scripted_request(f.peer), "GET /p/a"));
	cr_assert_null(strstr(scripted_request(f.peer), "Content-Length"));
	fix_stop(&f);
}

Test(client, an_answer_to_head_has_no_body)
{
	struct fix f;
	fix_start(&f,
		  &(struct script){
			  .answer = "HTTP/1.1 200 k\r\nContent-Length: 99\r\n\r\n" },
		  0);
	struct http_fetch_req r = { .method = "HEAD", .url = str_of(f.url) };
	cr_assert_eq(http_fetch(f.c, &f.ctx, &f.a, &r, &f.ans, &f.body, &f.e), 0);
	cr_assert(str_eq(http_answer_header(&f.ans, "content-length"), STR("99")));
	cr_assert_eq(f.body.n, 0u);
	fix_stop(&f);
}

Test(client, a_gzip_body_is_decoded_and_its_size_bounded)
{
	struct fix f;
	struct buf z, answer;
	char *plain = calloc(1, 100000);
	buf_init(&z, 1 << 20);
	buf_init(&answer, 1 << 20);
	struct gzip_enc *g = gzip_enc_new(false);
	cr_assert_eq(gzip_enc_feed(g, str_n(plain, 100000), true, &z, &f.e), 0);
	gzip_enc_free(g);
	buf_fmt(&answer,
		"HTTP/1.1 200 k\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
		z.n);
	buf_add(&answer, z.p, z.n);
	fix_start(&f, &(struct script){ .answer = (const char *)answer.p, .n = answer.n },
		  0);
	cr_assert_eq(get(&f), 0);
	cr_assert_eq(f.body.n, 100000u);
	f.body.max = 99999;
	cr_assert_eq(get(&f), -1);
	cr_assert_eq(f.e.code, E_LIMIT);
	fix_stop(&f);
	buf_deinit(&z);
	buf_deinit(&answer);
	free(plain);
}

Test(client, a_cut_body_is_an_error_that_names_the_url_without_its_query)
{
	struct fix f;
	fix_start(&f,
		  &(struct script){
			  .answer = "HTTP/1.1 200 k\r\nContent-Length: 10\r\n\r\nhello",
			  .close = true },
		  0);
	snprintf(f.url, sizeof(f.url), "http://me:word@127.0.0.1:%u/p/a?q=secret",
		 scripted_port(f.peer));
	cr_assert_eq(get(&f), -1);
	cr_assert_eq(f.e.code, E_UNAVAILABLE);
	cr_assert_not_null(strstr(err_text(&f.e), "GET http://127.0.0.1:"));
	cr_assert_not_null(strstr(err_text(&f.e), "/p/a"));
	cr_assert_null(strstr(err_text(&f.e), "secret"));
	cr_assert_null(strstr(err_text(&f.e), "word"));
	cr_assert_not_null(strstr(scripted_request(f.peer), "Authorization: Basic"));
	fix_stop(&f);
}

Test(client, a_cut_chunked_body_is_an_error)
{
	struct fix f;
	fix_start(&f,
		  &(struct script){ .answer = "HTTP/1.1 200 k\r\nTransfer-Encoding: "
					      "chunked\r\n\r\n5\r\nhello\r\n",
				    .close = true },
		  0);
	cr_assert_eq(get(&f), -1);
	cr_assert_eq(f.e.code, E_UNAVAILABLE);
	fix_stop(&f);
}

Test(client, a_body_beyond_the_buffer_is_a_limit)
{
	struct fix f;
	fix_start(&f,
		  &(struct script){
			  .answer = "HTTP/1.1 200 k\r\nContent-Length: 50\r\n\r\n",
			  .repeat = 50 },
		  0);
	f.body.max = 49;
	cr_assert_eq(get(&f), -1);
	cr_assert_eq(f.e.code, E_LIMIT);
	fix_stop(&f);
}

Test(client, a_silent_server_is_a_timeout)
{
	struct fix f;
	fix_start(&f, &(struct script){ .silent = true }, 50 * NS_PER_MS);
	cr_assert_eq(get(&f), -1);
	cr_assert_eq(f.e.code, E_TIMEOUT);
	cr_assert_not_null(strstr(err_text(&f.e), "/p/a"));
	scripted_wait_gone(f.peer, 1); /* the connection went with the request */
	fix_stop(&f);
}

static void *cancel_soon(void *arg)
{
	struct fix *f = arg;
	while (scripted_conns(f->peer) == 0)
		sched_yield();
	cancel_now(f->ctx.cancel, "enough");
	return NULL;
}

Test(client, a_cancelled_fetch_ends_at_once)
{
	struct fix f;
	pthread_t t;
	fix_start(&f, &(struct script){ .silent = true }, 0);
	pthread_create(&t, NULL, cancel_soon, &f);
	cr_assert_eq(get(&f), -1);
	cr_assert_eq(f.e.code, E_CANCELLED);
	pthread_join(t, NULL);
	fix_stop(&f);
}

Test(client, nobody_listening_is_unavailable)
{
	struct fix f;
	fix_start(&f, &(struct script){ .answer = "" }, 0);
	snprintf(f.url, sizeof(f.url), "http://127.0.0.1:1/x");
	cr_assert_eq(get(&f), -1);
	cr_assert_eq(f.e.code, E_UNAVAILABLE);
	cr_assert_not_null(strstr(err_text(&f.e), "GET http://127.0.0.1:1/x"));
	fix_stop(&f);
}

Test(client, bad_urls_and_headers_are_refused)
{
	struct fix f;
	static const char *const urls[] = { "",
					    "x",
					    "ftp://h/",
					    "http://",
					    "http://h/a b",
					    "file:///etc/passwd",
					    "http://h/\r\nX: y" };
	fix_start(&f, &(struct script){ .answer = "" }, 0);
	for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
		snprintf(f.url, sizeof(f.url), "%s", urls[i]);
		cr_assert_eq(get(&f), -1);
		cr_assert_eq(f.e.code, E_INVALID, "%s: %s", urls[i], err_text(&f.e));
	}
	struct http_kv bad[] = { { STR("X"), STR("a\r\nY: b") },
				 { STR("X: a"), STR("b") },
				 { STR(""), STR("b") } };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_fetch_req r = { .method = "GET",
					    .url = STR("http://127.0.0.1:1/"),
					    .headers = &bad[i],
					    .n_headers = 1 };
		cr_assert_eq(http_fetch(f.c, &f.ctx, &f.a, &r, &f.ans, &f.body, &f.e),
			     -1);
		cr_assert_eq(f.e.code, E_INVALID);
	}
	fix_stop(&f);
}

Test(client, a_stream_holds_the_server_back_until_it_is_read)
{
	struct fix f;
	struct http_body *b;
	struct view v;
	const uint64_t total = 64u << 20;
	uint64_t got = 0;
	int rc;
	fix_start(&f,
		  &(struct script){
			  .answer = "HTTP/1.1 200 k\r\nContent-Length: 67108864\r\n\r\n",
			  .repeat = total },
		  0);
	struct budget bud;
	budget_init(&bud, NULL, "t", NULL, 0);
	f.ctx.budget = &bud;
	struct http_fetch_req r = { .method = "GET", .url = str_of(f.url) };
	cr_assert_eq(http_open(f.c, &f.ctx, &f.a, &r, 256 << 10, &f.ans, &b, &f.e), 0);
	cr_assert_eq(f.ans.status, 200);
	/* What is not read stays with the server, but for socket buffers and the window. */
	uint64_t before, now = scripted_sent(f.peer);
	do {
		before = now;
		struct timespec ts = { 0, 100000000 };
		nanosleep(&ts, NULL);
		now = scripted_sent(f.peer);
	} while (now != before);
	cr_assert_lt(now, total / 2);
	while ((rc = http_body_read(b, &f.ctx, &v, &f.e)) > 0) {
		for (size_t i = 0; i < v.n; i += 997)
			cr_assert_eq(v.p[i], 'x');
		got += v.n;
		http_body_release(b, &v);
	}
	cr_assert_eq(rc, 0);
	cr_assert_eq(got, total);
	http_body_close(b);
	cr_assert_leq(bud.peak, (512u << 10));
	f.ctx.budget = NULL;
	budget_deinit(&bud);
	fix_stop(&f);
}

Test(client, closing_a_stream_early_aborts_the_transfer)
{
	struct fix f;
	struct http_body *b;
	struct view v;
	fix_start(&f,
		  &(struct script){
			  .answer = "HTTP/1.1 200 k\r\nContent-Length: 67108864\r\n\r\n",
			  .repeat = 64u << 20 },
		  0);
	struct http_fetch_req r = { .method = "GET", .url = str_of(f.url) };
	cr_assert_eq(http_open(f.c, &f.ctx, &f.a, &r, 0, &f.ans, &b, &f.e), 0);
	cr_assert_eq(http_body_read(b, &f.ctx, &v, &f.e), 1);
	http_body_release(b, &v);
	http_body_close(b);
	scripted_wait_gone(f.peer, 1);
	http_body_close(NULL);
	fix_stop(&f);
}

struct many {
	struct fix *f;
	int failed;
};

static void *fetch_some(void *arg)
{
	struct many *m = arg;
	struct http_fetch_req r = { .method = "GET", .url = str_of(m->f->url) };
	for (int i = 0; i < 25; i++) {
		struct arena a;
		struct buf body;
		struct http_answer ans;
		struct err e = ERR_INIT;
		arena_init(&a, NULL);
		buf_init(&body, 1 << 20);
		if (http_fetch(m->f->c, NULL, &a, &r, &ans, &body, &e) < 0 ||
		    body.n != 70000)
			m->failed++;
		buf_deinit(&body);
		arena_deinit(&a);
	}
	return NULL;
}

Test(client, many_threads_fetch_at_the_same_time)
{
	struct fix f;
	struct many m[8];
	pthread_t t[8];
	fix_start(&f,
		  &(struct script){
			  .answer = "HTTP/1.1 200 k\r\nContent-Length: 70000\r\n\r\n",
			  .repeat = 70000 },
		  0);
	for (int i = 0; i < 8; i++) {
		m[i] = (struct many){ &f, 0 };
		pthread_create(&t[i], NULL, fetch_some, &m[i]);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], NULL);
		cr_assert_eq(m[i].failed, 0);
	}
	cr_assert_leq(scripted_conns(f.peer), 8);
	fix_stop(&f);
}
