/*
 * The server seen through raw sockets: framing, routes, parameters, compression, limits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "srv.h"
#include "support/tst.h"
#include "wire/codec.h"

#define HAS(r, text)   cr_assert_not_null(strstr((r)->buf, text), "%s", (r)->buf)
#define HASNT(r, text) cr_assert_null(strstr((r)->buf, text))

/* Send `text` on a new connection, read to the end of the connection. */
static struct raw *send_all_read_all(struct srv *v, const char *text)
{
	struct raw *r = raw_connect(v->port);
	raw_send(r, text);
	raw_until_eof(r);
	return r;
}

Test(server, a_connection_is_kept_and_pipelined_answers_keep_their_order)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = raw_connect(v.port);
	raw_send(r, "GET /size/3 HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_assert(raw_until(r, "\r\n\r\nabc", 1));
	HAS(r, "HTTP/1.1 200 OK\r\n");
	HAS(r, "Content-Length: 3\r\n");
	HAS(r, "Date: ");
	HASNT(r, "Connection: close");
	HASNT(r, "\nX-Evil");
	raw_send(r,
		 "GET /size/4 HTTP/1.1\r\nHost: h\r\n\r\nGET /loop/5 HTTP/1.1\r\nHost: "
		 "h\r\n\r\nGET /stream/6 HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_assert(raw_until(r, "abcdef", 1));
	char *a = strstr(r->buf, "\r\n\r\nabcdHTTP"),
	     *b = strstr(r->buf, "\r\n\r\nabcdeHTTP");
	cr_assert(a && b && a < b);
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(server, hundreds_of_pipelined_requests_are_answered_in_order)
{
	struct srv v;
	char one[64];
	srv_start(&v, NULL);
	struct raw *r = raw_connect(v.port);
	for (int i = 0; i < 300; i++) {
		snprintf(one, sizeof(one), "GET /v/<%d>/x HTTP/1.1\r\nHost: h\r\n\r\n",
			 i);
		raw_send(r, one);
	}
	cr_assert(raw_until(r, "<299>", 1));
	const char *at = r->buf;
	for (int i = 0; i < 300; i++) {
		snprintf(one, sizeof(one), "<%d>", i);
		at = strstr(at, one);
		cr_assert_not_null(at, "%d", i);
	}
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(server, one_byte_at_a_time_is_enough)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = raw_connect(v.port);
	const char *t = "POST /echo?a=1 HTTP/1.1\r\nHost: h\r\nContent-Length: "
			"3\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nb=2";
	for (; *t; t++)
		raw_send_n(r, t, 1);
	cr_assert(raw_until(r, "body 3\n", 1));
	HAS(r, "\nb=2\na=1\n");
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(server, a_long_answer_is_chunked_unless_its_length_is_known)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = srv_ask(&v, "GET", "/size/300000", "");
	HAS(r, "Content-Length: 300000\r\n");
	HASNT(r, "chunked");
	want_pattern(answer_body(r), 300000);
	raw_close(r);
	r = srv_ask(&v, "GET", "/stream/300000", "");
	HAS(r, "Transfer-Encoding: chunked\r\n");
	HASNT(r, "Content-Length");
	const char *p = answer_body(r), *end = r->buf + r->n;
	size_t total = 0;
	for (;;) {
		char *body;
		size_t n = strtoul(p, &body, 16);
		cr_assert(n < 300001 && body + 2 + n + 2 <= end);
		for (size_t i = 0; i < n; i++) {
			char want = (char)('a' + (total + i) % 26);
			cr_assert_eq(body[2 + i], want);
		}
		total += n;
		p = body + 2 + n + 2;
		if (n == 0)
			break;
	}
	cr_assert_eq(total, 300000u);
	cr_assert_eq((size_t)(end - p), 0u);
	raw_close(r);
	r = send_all_read_all(&v, "GET /stream/300000 HTTP/1.0\r\n\r\n");
	HASNT(r, "chunked");
	want_pattern(answer_body(r), 300000);
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(server, head_answers_have_no_body)
{
	struct srv v;
	srv_start(&v, NULL);
	static const char *const targets[] = { "/size/70", "/loop/70", "/stream/70" };
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct raw *r = srv_ask(&v, "HEAD", targets[i], "");
		HAS(r, "Content-Length: 70\r\n");
		cr_assert_str_eq(answer_body(r), "");
		raw_close(r);
	}
	struct raw *r = srv_ask(&v, "HEAD", "/stream/300000", "");
	cr_assert_str_eq(answer_body(r), "");
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(server, bodies_may_be_chunked_and_continue_is_sent)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = raw_connect(v.port);
	raw_send(r, "POST /echo?q=x%20y+z HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
		    "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n");
	cr_assert(raw_until(r, "HTTP/1.1 100 Continue\r\n\r\n", 1));
	raw_send(r, "4\r\na=1&\r\n5;ext=1\r\na=%26\r\n0\r\nTrailer: x\r\n\r\n");
	cr_assert(raw_until(r, "body 9\n", 1));
	HAS(r, "POST /echo\na=1\na=&\nq=x y z\n");
	/* the connection is in step afterwards */
	raw_send(r, "GET /loop/2 HTTP/1.1\r\nHost: h\r\n\r\n");
	cr_assert(raw_until(r, "\r\n\r\nab", 1));
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(server, paths_are_routed)
{
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .prefix = "/pre/", .cors = true });
	struct raw *r = srv_ask(&v, "GET", "/pre/v/a%2Fb%20c/x", "");
	cr_assert_str_eq(answer_body(r), "a/b c");
	raw_close(r);
	r = srv_ask(&v, "GET", "/pre/static/css/a.css?v=1", "");
	cr_assert_str_eq(answer_body(r), "css/a.css");
	HAS(r, "Access-Control-Allow-Origin: *\r\n");
	HAS(r, "Access-Control-Expose-Headers: Date\r\n");
	raw_close(r);
	r = srv_ask(&v, "GET", "http://other/pre/v/abs/x", "");
	cr_assert_str_eq(answer_body(r), "abs");
	raw_close(r);
	static const struct {
		const char *method, *target, *want;
	} rows[] = {
		{ "GET", "/nothing", "HTTP/1.1 404 Not Found\r\n" },
		{ "GET", "/pre/nothing", "HTTP/1.1 404 Not Found\r\n" },
		{ "GET", "/prefix/echo", "HTTP/1.1 404 Not Found\r\n" },
		{ "GET", "/pre/v//x", "HTTP/1.1 404 Not Found\r\n" },
		{ "GET", "/pre/v/%zz/x", "HTTP/1.1 400 Bad Request\r\n" },
		{ "DELETE", "/pre/echo", "HTTP/1.1 405 Method Not Allowed\r\n" },
		{ "DELETE", "/pre/echo", "Allow: GET, POST, OPTIONS\r\n" },
		{ "OPTIONS", "/pre/echo", "HTTP/1.1 204 No Content\r\n" },
		{ "OPTIONS", "/pre/echo",
		  "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		r = srv_ask(&v, rows[i].method, rows[i].target, "");
		HAS(r, rows[i].want);
		raw_close(r);
	}
	srv_stop(&v, NS_PER_S);
}

/* Some routes stay where they are whatever the prefix. */
Test(server, a_prefix_leaves_routes_at_the_root)
{
	static const struct {
		const char *target, *want;
	} rows[] = {
		{ "/echo", "HTTP/1.1 200 OK\r\n" },
		{ "/size/7", "HTTP/1.1 200 OK\r\n" },
		{ "/pre/echo", "HTTP/1.1 404 Not Found\r\n" },
		{ "/loop/7", "HTTP/1.1 404 Not Found\r\n" },
		{ "/pre/loop/7", "HTTP/1.1 200 OK\r\n" },
		{ "/", "Location: /pre/\r\n" },
	};
	struct srv v;
	srv_start(&v, &(struct http_server_opts){ .prefix = "pre", .n_root = 2 });
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct raw *r = srv_ask(&v, "GET", rows[i].target, "");
		HAS(r, rows[i].want);
		raw_close(r);
	}
	srv_stop(&v, NS_PER_S);
}

static void check_coding(struct srv *v, const char *accept, const char *want)
{
	struct raw *r = srv_ask(v, "GET", "/stream/200000", accept);
	HAS(r, "Vary: Accept-Encoding\r\n");
	if (want)
		HAS(r, want);
	else
		HASNT(r, "Content-Encoding");
	raw_close(r);
}

Test(server, the_first_exact_gzip_or_deflate_is_used)
{
	struct srv v;
	srv_start(&v, NULL);
	check_coding(&v, "", NULL);
	check_coding(&v, "Accept-Encoding: gzip\r\n", "Content-Encoding: gzip\r\n");
	check_coding(&v, "Accept-Encoding: br, deflate ,gzip\r\n",
		     "Content-Encoding: deflate\r\n");
	check_coding(&v, "Accept-Encoding: gzip;q=1, *\r\n", NULL);
	check_coding(&v, "Accept-Encoding: zstd\r\n", NULL);
	struct raw *r = srv_ask(&v, "GET", "/size/200000", "Accept-Encoding: gzip\r\n");
	struct buf out;
	struct err e = ERR_INIT;
	buf_init(&out, 1 << 20);
	const char *body = answer_body(r);
	cr_assert_eq(gzip_decode(str_n(body, (size_t)(r->buf + r->n - body)), 1 << 20,
				 &out, &e),
		     0);
	cr_assert_eq(out.n, 200000u);
	want_pattern((const char *)out.p, out.n);
	buf_deinit(&out);
	raw_close(r);
	r = srv_ask(&v, "GET", "/size/1000", "Accept-Encoding: gzip\r\n");
	HASNT(r, "Content-Encoding");
	raw_close(r);
	r = srv_ask(&v, "GET", "/loop/5000", "Accept-Encoding: gzip\r\n");
	HASNT(r, "Content-Encoding");
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(server, malformed_requests_are_refused_and_the_connection_closed)
{
	struct srv v;
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "GET /echo HTTP/1.1\r\nHost : h\r\n\r\n", "400" },
		{ "GET /echo HTTP/1.1\r\nHost: h\r\n X: y\r\n\r\n", "400" },
		{ "GET /echo HTTP/1.1\nHost: h\n\n", "400" },
		{ "GET /echo HTTP/1.1\r\n\r\n", "400" },
		{ "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400" },
		{ "GET  /echo HTTP/1.1\r\nHost: h\r\n\r\n", "400" },
		{ "G@T /echo HTTP/1.1\r\nHost: h\r\n\r\n", "400" },
		{ "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400" },
		{ "GET /echo HTTP/1.1\r\nHost: h\r\nX: a\x01\r\n\r\n", "400" },
		{ "GET /echo HTTP/2.0\r\nHost: h\r\n\r\n", "505" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: "
		  "2\r\n\r\nab",
		  "400" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: "
		  "chunked\r\n\r\n0\r\n\r\n",
		  "400" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		  "501" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "400" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		  "400" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n", "417" },
		{ "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n",
		  "413" },
	};
	srv_start(&v, &(struct http_server_opts){ .max_body = 1000 });
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct raw *r = send_all_read_all(&v, rows[i].text);
		cr_assert(strncmp(r->buf, "HTTP/1.1 ", 9) == 0 &&
				  strncmp(r->buf + 9, rows[i].want, 3) == 0,
			  "row %zu: %.200s", i, r->buf);
		HAS(r, "Connection: close\r\n");
		cr_assert_eq(text_count(r->buf, "HTTP/1.1 "), 1);
		raw_close(r);
	}
	srv_stop(&v, NS_PER_S);
}

Test(server, too_much_is_refused)
{
	struct srv v;
	char *big = calloc(1, 200000);
	srv_start(&v, &(struct http_server_opts){ .max_body = 1000 });
	memset(big, 'x', 100000);
	memcpy(big, "GET /", 5);
	struct raw *r = send_all_read_all(&v, big);
	HAS(r, "HTTP/1.1 414 ");
	raw_close(r);
	memcpy(big, "GET / HTTP/1.1\r\nX: ", 19);
	r = send_all_read_all(&v, big);
	HAS(r, "HTTP/1.1 431 ");
	raw_close(r);
	strcpy(big, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < 1000; i++)
		strcat(big, "a: b\r\n");
	r = send_all_read_all(&v, big);
	HAS(r, "HTTP/1.1 431 ");
	raw_close(r);
	strcpy(big,
	       "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n");
	memset(big + strlen(big), 'x', 100000);
	big[190000] = '\0';
	r = send_all_read_all(&v, big);
	HAS(r, "HTTP/1.1 413 ");
	raw_close(r);
	free(big);
	srv_stop(&v, NS_PER_S);
}

Test(server, parameters_that_find_no_memory_are_no_fault_of_the_request)
{
	struct srv v;
	const size_t n = 60000;
	char *big = calloc(1, 3 * n);
	srv_start(&v, NULL);
	v.budget.limit = (size_t)512 << 10;
	snprintf(big, 3 * n,
		 "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n"
		 "Content-Type: application/x-www-form-urlencoded\r\n"
		 "Connection: close\r\n\r\n",
		 2 * n);
	char *at = big + strlen(big);
	for (size_t i = 0; i < n; i++)
		memcpy(at + 2 * i, "a&", 2);
	struct raw *r = send_all_read_all(&v, big);
	HAS(r, "HTTP/1.1 503 ");
	HAS(r, "out of memory for the parameters\n");
	raw_close(r);
	free(big);
	srv_stop(&v, NS_PER_S);
}

Test(server, a_failing_handler_is_500_or_a_cut_answer)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = srv_ask(&v, "GET", "/fail/now", "");
	HAS(r, "HTTP/1.1 500 Internal Server Error\r\n");
	cr_assert_str_eq(answer_body(r), "it broke\n");
	raw_close(r);
	r = send_all_read_all(&v, "GET /fail/late HTTP/1.1\r\nHost: h\r\n\r\n");
	HAS(r, "HTTP/1.1 200 OK\r\n");
	HASNT(r, "\r\n0\r\n\r\n"); /* a client sees that it is not whole */
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}

Test(server, requests_are_counted)
{
	struct srv v;
	struct buf b;
	srv_start(&v, NULL);
	raw_close(srv_ask(&v, "GET", "/size/1", ""));
	raw_close(srv_ask(&v, "GET", "/loop/3", ""));
	raw_close(srv_ask(&v, "GET", "/fail/x", ""));
	raw_close(srv_ask(&v, "GET", "/stream/100000", ""));
	raw_close(send_all_read_all(
		&v,
		"POST /echo?a=b HTTP/1.1\r\nHost: example.org\r\nContent-Length: 90\r\n"
		"Connection: close\r\n\r\n"
		"0123456789012345678901234567890123456789012345678901234567890123456789"
		"01234567890123456789"));
	buf_init(&b, 1 << 20);
	metric_write_text(v.reg, false, &b);
	buf_byte(&b, '\0');
	static const char *const want[] = {
		"http_requests_total{code=\"200\",handler=\"size\",method=\"get\"} 1\n",
		"http_requests_total{code=\"200\",handler=\"loop\",method=\"get\"} 1\n",
		"http_request_duration_seconds_count{code=\"200\",handler=\"size\",method=\"get\"} 1\n",
		"http_inflight_requests{handler=\"size\",method=\"get\"} 0\n",
		/* target, method, protocol, headers, host */
		"http_request_size_bytes_sum{code=\"200\",handler=\"size\",method=\"get\"} 34\n",
		"http_request_size_bytes_bucket{code=\"200\",handler=\"size\",method=\"get\",le=\"64\"} 1\n",
		"http_request_size_bytes_sum{code=\"200\",handler=\"echo\",method=\"post\"} 153\n",
		"http_request_size_bytes_count{code=\"200\",handler=\"loop\",method=\"get\"} 1\n",
		"http_response_size_bytes_sum{code=\"200\",handler=\"size\",method=\"get\"} 1\n",
		"http_response_size_bytes_bucket{code=\"200\",handler=\"size\",method=\"get\",le=\"64\"} 1\n",
		"http_response_size_bytes_sum{code=\"200\",handler=\"loop\",method=\"get\"} 3\n",
		"http_response_size_bytes_sum{code=\"500\",handler=\"fail\",method=\"get\"} 9\n",
		"http_response_size_bytes_bucket{code=\"200\",handler=\"/stream/:n\",method=\"get\",le=\"32768\"} 0\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		cr_assert_not_null(strstr((const char *)b.p, want[i]), "%s",
				   (const char *)b.p);
	buf_deinit(&b);
	srv_stop(&v, NS_PER_S);
}

static double series_value(const struct srv *v, const char *series)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	metric_write_text(v->reg, false, &b);
	buf_byte(&b, '\0');
	const char *at = strstr((const char *)b.p, series);
	cr_assert_not_null(at, "%s", (const char *)b.p);
	double d = strtod(at + strlen(series), NULL);
	buf_deinit(&b);
	return d;
}

Test(server, the_size_of_an_answer_is_that_of_its_bytes_on_the_wire)
{
	struct srv v;
	srv_start(&v, NULL);
	struct raw *r = srv_ask(&v, "GET", "/size/20000", "Accept-Encoding: gzip\r\n");
	const char *length = strstr(r->buf, "Content-Length: ");
	HAS(r, "Content-Encoding: gzip");
	cr_assert_not_null(length);
	double sent = strtod(length + strlen("Content-Length: "), NULL);
	cr_assert(sent > 0 && sent < 10000);
	cr_assert_eq(
		series_value(
			&v,
			"http_response_size_bytes_sum{code=\"200\",handler=\"size\",method=\"get\"} "),
		sent);
	raw_close(r);
	srv_stop(&v, NS_PER_S);
}
