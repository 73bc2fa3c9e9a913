/*
 * peer.h - a peer of plain blocking sockets for the tests of http: a client that sends bytes and reads
 * until it has what it wants, and a server thread that answers each connection from a script.
 */
#ifndef UNIT_HTTP_PEER_H
#define UNIT_HTTP_PEER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One event that a test's thread waits for; SHARED. */
struct latch {
	pthread_mutex_t mu;
	pthread_cond_t cv;
	int count;
};
void latch_init(struct latch *l);
void latch_post(struct latch *l);
bool latch_wait(struct latch *l, int count); /* false: not within 10 s */

/* ---- a raw client ---- */
struct raw {
	int fd;
	size_t n;
	char buf[1 << 20]; /* what has arrived; NUL-terminated */
};
struct raw *raw_connect(uint16_t port);
void raw_send(struct raw *r, const char *text); /* whole text */
void raw_send_n(struct raw *r, const void *p, size_t n);
/* Read until the text has `times` occurrences of `what`; false at EOF or after 10 s. */
bool raw_until(struct raw *r, const char *what, int times);
bool raw_until_eof(struct raw *r); /* true: the server closed */
void raw_close(struct raw *r);	   /* NULL allowed */
void raw_reset(struct raw *r);	   /* RST, then free */
int text_count(const char *text, const char *what);

/* ---- a scripted server ---- */
struct script {
	const char *
		answer; /* sent once a request's head (and its Content-Length) has arrived */
	size_t n;	/* 0: strlen */
	bool close; /* close afterwards; otherwise serve the next request of the conn */
	bool early; /* answer as soon as the head has arrived, and read no more of the body */
	bool silent;	 /* read, never answer; until the client has closed */
	uint64_t repeat; /* then send this many bytes 'x' */
};
struct scripted;
struct scripted *scripted_start(const struct script *s);
uint16_t scripted_port(const struct scripted *s);
int scripted_conns(struct scripted *s); /* accepted so far */
/* The last request as it came, NUL-terminated; valid until the next one. */
const char *scripted_request(struct scripted *s);
uint64_t
scripted_sent(struct scripted *s); /* body bytes of `repeat` that the kernel took */
void scripted_wait_gone(struct scripted *s,
			int n); /* n connections were closed by the client */
void scripted_stop(struct scripted *s);

#endif
