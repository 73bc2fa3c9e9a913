/*
 * Bodies that come in many small pieces and are gathered on their way: nothing waits for bytes that do not come, and
 * the connection is as before for whoever has it next. The test's thread is the server, too.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "http/http.h"
#include "support/tst.h"

#define GATHER	     ((size_t)64 << 10)
#define CHUNKED_HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

struct fix {
	struct loop *loop;
	struct http_client *c;
	int listener, fd;
	struct arena a;
	struct budget budget;
	struct ctx ctx;
	struct err e;
	struct http_answer ans;
	struct http_body *b;
	char url[64];
	uint64_t at;		  /* of the pattern, read so far */
	bool may_leave, has_left; /* the client, before all was sent */
};

static void fix_start(struct fix *f, size_t budget)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(at);
	memset(f, 0, sizeof(*f));
	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(loop_start("t", &f->loop, &f->e), 0);
	cr_assert_eq(http_client_new(&(struct http_client_opts){ .loop = f->loop }, &f->c,
				     &f->e),
		     0);
	f->listener = socket(AF_INET, SOCK_STREAM, 0);
	cr_assert_eq(bind(f->listener, (struct sockaddr *)&at, n), 0);
	cr_assert_eq(listen(f->listener, 4), 0);
	cr_assert_eq(getsockname(f->listener, (struct sockaddr *)&at, &n), 0);
	snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u/", ntohs(at.sin_port));
	f->fd = -1;
	arena_init(&f->a, NULL);
	budget_init(&f->budget, NULL, "test", NULL, budget);
	ctx_init(&f->ctx, &f->budget, time_after_ns(20 * NS_PER_S));
}

static void fix_stop(struct fix *f)
{
	http_body_close(f->b);
	http_client_free(f->c);
	loop_stop(f->loop);
	close(f->fd);
	close(f->listener);
	arena_deinit(&f->a);
	ctx_deinit(&f->ctx);
	budget_deinit(&f->budget);
}

static void say(struct fix *f, const void *p, size_t n)
{
	for (size_t done = 0; done < n && !f->has_left;) {
		ssize_t k = send(f->fd, (const char *)p + done, n - done, 0);
		f->has_left = k <= 0;
		cr_assert(!f->has_left || f->may_leave);
		done += (size_t)k;
	}
}

static void say_text(struct fix *f, const char *text)
{
	say(f, text, strlen(text));
}

/* A request is sent and has arrived; on a new connection, or on the one there is. */
static void ask(struct fix *f, size_t gather, size_t window, bool connects)
{
	struct http_fetch_req r = { .method = "GET",
				    .url = str_of(f->url),
				    .gather = gather };
	char head[4096];
	size_t n = 0;
	cr_assert_eq(http_begin(f->c, &f->ctx, &r, window, &f->b, &f->e), 0);
	if (connects) {
		int one = 1;
		f->fd = accept(f->listener, NULL, NULL);
		cr_assert_geq(f->fd, 0);
		setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	}
	do {
		ssize_t k = recv(f->fd, head + n, sizeof(head) - 1 - n, 0);
		cr_assert_gt(k, 0, "the connection is not used again");
		n += (size_t)k;
		head[n] = 0;
	} while (!strstr(head, "\r\n\r\n"));
}

static void head(struct fix *f, const char *text)
{
	say_text(f, text);
	cr_assert_eq(http_answer_wait(f->b, &f->ctx, &f->a, &f->ans, &f->e), 0, "%s",
		     err_text(&f->e));
}

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) * 3);
}

/* n bytes of the pattern as a chunk. */
static void piece(struct fix *f, uint64_t at, size_t n)
{
	char line[32];
	uint8_t *p = xmalloc(n + 2);
	for (size_t i = 0; i < n; i++)
		p[i] = pattern(at + i);
	memcpy(p + n, "\r\n", 2);
	snprintf(line, sizeof(line), "%zx\r\n", n);
	say_text(f, line);
	say(f, p, n + 2);
	free(p);
}

/* One piece as it is handed out; 0: end. */
static size_t take(struct fix *f)
{
	struct view v;
	int rc = http_body_read(f->b, &f->ctx, &v, &f->e);
	cr_assert_geq(rc, 0, "%s", err_text(&f->e));
	if (rc == 0)
		return 0;
	size_t n = v.n;
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(v.p[i], pattern(f->at + i), "byte %llu",
			     (unsigned long long)(f->at + i));
	f->at += n;
	http_body_release(f->b, &v);
	return n;
}

static void nap_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

Test(gather, few_bytes_come_soon_and_the_connection_is_as_before)
{
	struct fix f;
	fix_start(&f, 1 << 20);
	ask(&f, GATHER, 0, true);
	head(&f, CHUNKED_HEAD);
	uint64_t at = 0;
	for (int i = 0; i < 5; i++) { /* now and then it is quiet */
		piece(&f, at, 10);
		at += 10;
		while (f.at < at)
			cr_assert_gt(take(&f), 0);
		nap_ms(i * 4);
	}
	piece(&f, at, 200000); /* more than is waited for */
	while (f.at < at + 200000)
		cr_assert_gt(take(&f), 0);
	say_text(&f, "0\r\n\r\n");
	cr_assert_eq(take(&f), 0);
	http_body_close(f.b);

	f.at = 0;
	ask(&f, 0, 0, false);
	say_text(&f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
	say(&f, (uint8_t[]){ pattern(0) }, 1);
	cr_assert_eq(http_answer_wait(f.b, &f.ctx, &f.a, &f.ans, &f.e), 0, "%s",
		     err_text(&f.e));
	cr_assert_eq(take(&f), 1);
	cr_assert_eq(take(&f), 0);
	http_body_close(f.b);

	f.at = 0; /* curl's buffer is larger than it was for the last one */
	ask(&f, 8 * GATHER, 0, false);
	head(&f, CHUNKED_HEAD);
	for (int i = 0; i < 4; i++)
		piece(&f, (uint64_t)i * 100000, 100000);
	say_text(&f, "0\r\n\r\n");
	while (take(&f) > 0)
		;
	cr_assert_eq(f.at, 400000);
	fix_stop(&f);
}

Test(gather, many_pieces_become_few)
{
	struct fix f;
	size_t handed = 0, n;
	fix_start(&f, 1 << 20);
	ask(&f, GATHER, 0, true);
	head(&f, CHUNKED_HEAD);
	for (size_t i = 0; i < 200; i++)
		piece(&f, i * 1000, 1000);
	say_text(&f, "0\r\n\r\n");
	while ((n = take(&f)) > 0)
		handed++;
	cr_assert_eq(f.at, 200000);
	cr_assert_leq(handed, 100);
	fix_stop(&f);
}

static void *send_all(void *arg)
{
	struct fix *f = arg;
	for (size_t i = 0; i < 4000; i++)
		piece(f, i * 1000, 1000);
	say_text(f, "0\r\n\r\n");
	return NULL;
}

Test(gather, a_reader_that_is_slow_gets_all)
{
	struct fix f;
	pthread_t t;
	size_t n, k = 0;
	fix_start(&f, 1 << 20);
	ask(&f, GATHER, 100000, true);
	head(&f, CHUNKED_HEAD);
	cr_assert_eq(pthread_create(&t, NULL, send_all, &f), 0);
	nap_ms(50); /* the window is full, the transfer rests */
	cr_assert_leq(budget_used(&f.budget), 100000 + 2 * GATHER);
	while ((n = take(&f)) > 0)
		if (++k % 8 == 0)
			nap_ms(5);
	cr_assert_eq(f.at, 4000000);
	pthread_join(t, NULL);
	fix_stop(&f);
}

Test(gather, what_is_cut_is_told_behind_what_came)
{
	struct fix f;
	struct view v;
	fix_start(&f, 1 << 20);
	ask(&f, GATHER, 0, true);
	head(&f, CHUNKED_HEAD);
	piece(&f, 0, 1000);
	shutdown(f.fd, SHUT_RDWR);
	while (f.at < 1000)
		cr_assert_gt(take(&f), 0);
	cr_assert_eq(http_body_read(f.b, &f.ctx, &v, &f.e), -1);
	cr_assert_eq(f.e.code, E_UNAVAILABLE, "%s", err_text(&f.e));
	fix_stop(&f);
}

Test(gather, what_the_budget_refuses_ends_the_transfer)
{
	struct fix f;
	struct view v;
	int rc;
	fix_start(&f, 100000);
	f.may_leave = true;
	ask(&f, GATHER, 0, true);
	head(&f, CHUNKED_HEAD);
	for (size_t i = 0; i < 150; i++)
		piece(&f, i * 1000, 1000);
	nap_ms(20);
	while ((rc = http_body_read(f.b, &f.ctx, &v, &f.e)) > 0)
		http_body_release(f.b, &v);
	cr_assert_eq(rc, -1);
	cr_assert_eq(f.e.code, E_LIMIT, "%s", err_text(&f.e));
	fix_stop(&f);
}

Test(gather, closing_early_lets_go)
{
	struct fix f;
	fix_start(&f, 1 << 20);
	ask(&f, GATHER, 0, true);
	head(&f, CHUNKED_HEAD);
	piece(&f, 0, 1000);
	uint64_t begin = time_mono_ns();
	http_body_close(f.b);
	f.b = NULL;
	cr_assert_lt(time_mono_ns() - begin, NS_PER_S);
	fix_stop(&f);
}
