/*
 * peer.c - plain blocking sockets: nothing of the code under test is used here.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

void latch_init(struct latch *l)
{
	pthread_mutex_init(&l->mu, NULL);
	pthread_cond_init(&l->cv, NULL);
	l->count = 0;
}

void latch_post(struct latch *l)
{
	pthread_mutex_lock(&l->mu);
	l->count++;
	pthread_cond_broadcast(&l->cv);
	pthread_mutex_unlock(&l->mu);
}

bool latch_wait(struct latch *l, int count)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 10;
	pthread_mutex_lock(&l->mu);
	int rc = 0;
	while (l->count < count && rc == 0)
		rc = pthread_cond_timedwait(&l->cv, &l->mu, &until);
	bool ok = l->count >= count;
	pthread_mutex_unlock(&l->mu);
	return ok;
}

int text_count(const char *text, const char *what)
{
	int n = 0;
	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

/* ---- client ---- */

static void patience(int fd)
{
	struct timeval tv = { 10, 0 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

struct raw *raw_connect(uint16_t port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct raw *r = malloc(sizeof(*r));
	if (!r)
		abort();
	r->n = 0;
	r->buf[0] = '\0';
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->fd < 0 || connect(r->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror("connect");
		abort();
	}
	patience(r->fd);
	return r;
}

void raw_send_n(struct raw *r, const void *p, size_t n)
{
	const char *at = p;
	while (n) {
		ssize_t k = send(r->fd, at, n, MSG_NOSIGNAL);
		if (k <= 0)
			return;
		at += k;
		n -= (size_t)k;
	}
}

void raw_send(struct raw *r, const char *text)
{
	raw_send_n(r, text, strlen(text));
}

/* 1 bytes came, 0 EOF, -1 reset or too late. */
static int more(struct raw *r)
{
	if (r->n >= sizeof(r->buf) - 1)
		return -1;
	ssize_t k = recv(r->fd, r->buf + r->n, sizeof(r->buf) - 1 - r->n, 0);
	if (k <= 0)
		return k < 0 ? -1 : 0;
	r->n += (size_t)k;
	r->buf[r->n] = '\0';
	return 1;
}

bool raw_until(struct raw *r, const char *what, int times)
{
	while (text_count(r->buf, what) < times)
		if (more(r) <= 0)
			return false;
	return true;
}

bool raw_until_eof(struct raw *r)
{
	int k;
	do
		k = more(r);
	while (k > 0);
	return k == 0;
}

void raw_close(struct raw *r)
{
	if (!r)
		return;
	close(r->fd);
	free(r);
}

void raw_reset(struct raw *r)
{
	struct linger now = { 1, 0 };
	setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	raw_close(r);
}

/* ---- server ---- */

struct scripted {
	struct script s;
	int fd;
	uint16_t port;
	pthread_t thread;
	_Atomic int conns;
	_Atomic uint64_t sent;
	_Atomic bool stop;
	struct latch gone;
	pthread_mutex_t mu;
	char request[64 << 10]; /* mu while being written */
};

static bool read_request(struct scripted *t, int fd)
{
	static _Thread_local char got[64 << 10];
	size_t n = 0, want = 0;
	got[0] = '\0';
	for (;;) {
		char *end = strstr(got, "\r\n\r\n");
		if (end) {
			const char *len = strcasestr(got, "content-length:");
			want = (size_t)(end - got) + 4 +
			       (len && len < end && !t->s.early
					? strtoul(len + 15, NULL, 10)
					: 0);
			if (n >= want)
				break;
		}
		ssize_t k = recv(fd, got + n, sizeof(got) - 1 - n, 0);
		if (k <= 0)
			return false;
		n += (size_t)k;
		got[n] = '\0';
	}
	pthread_mutex_lock(&t->mu);
	memcpy(t->request, got, n + 1);
	pthread_mutex_unlock(&t->mu);
	return true;
}

static bool send_all(int fd, const char *p, size_t n, _Atomic uint64_t *count)
{
	while (n) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
		if (k <= 0)
			return false;
		if (count)
			atomic_fetch_add(count, (uint64_t)k);
		p += k;
		n -= (size_t)k;
	}
	return true;
}

struct served {
	struct scripted *t;
	int fd;
};

static void *serve_conn(void *arg)
{
	struct served *v = arg;
	struct scripted *t = v->t;
	const struct script *s = &t->s;
	int fd = v->fd;
	bool ok = true, said = false;
	char block[4096], c;
	free(v);
	memset(block, 'x', sizeof(block));
	while (ok && read_request(t, fd) && !s->silent) {
		ok = send_all(fd, s->answer, s->n ? s->n : strlen(s->answer), NULL);
		for (uint64_t left = s->repeat; ok && left;) {
			size_t k = left < sizeof(block) ? (size_t)left : sizeof(block);
			ok = send_all(fd, block, k, &t->sent);
			left -= k;
		}
		if (s->close) {
			shutdown(fd, SHUT_WR);
			said = true;
			break;
		}
	}
	if (said || (s->silent && ok))
		while (recv(fd, &c, 1, 0) > 0)
			;
	close(fd);
	latch_post(&t->gone);
	return NULL;
}

static void *accept_loop(void *arg)
{
	struct scripted *t = arg;
	for (;;) {
		int fd = accept4(t->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0 || atomic_load(&t->stop)) {
			if (fd >= 0)
				close(fd);
			return NULL;
		}
		patience(fd);
		atomic_fetch_add(&t->conns, 1);
		struct served *v = malloc(sizeof(*v));
		pthread_t th;
		if (!v)
			abort();
		*v = (struct served){ t, fd };
		if (pthread_create(&th, NULL, serve_conn, v) != 0)
			abort();
		pthread_detach(th);
	}
}

struct scripted *scripted_start(const struct script *s)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sa);
	struct scripted *t = calloc(1, sizeof(*t));
	if (!t)
		abort();
	t->s = *s;
	latch_init(&t->gone);
	pthread_mutex_init(&t->mu, NULL);
	t->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (t->fd < 0 || bind(t->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(t->fd, 64) < 0 ||
	    getsockname(t->fd, (struct sockaddr *)&sa, &len) < 0 ||
	    pthread_create(&t->thread, NULL, accept_loop, t) != 0)
		abort();
	t->port = ntohs(sa.sin_port);
	return t;
}

uint16_t scripted_port(const struct scripted *s)
{
	return s->port;
}

int scripted_conns(struct scripted *s)
{
	return atomic_load(&s->conns);
}

uint64_t scripted_sent(struct scripted *s)
{
	return atomic_load(&s->sent);
}

const char *scripted_request(struct scripted *s)
{
	return s->request;
}

void scripted_wait_gone(struct scripted *s, int n)
{
	if (!latch_wait(&s->gone, n))
		abort();
}

void scripted_stop(struct scripted *s)
{
	atomic_store(&s->stop, true);
	raw_close(raw_connect(s->port)); /* wakes accept */
	pthread_join(s->thread, NULL);
	close(s->fd);
	scripted_wait_gone(s, atomic_load(&s->conns)); /* their threads use it */
	free(s);
}
