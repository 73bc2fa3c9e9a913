/*
 * h2peer.h - an HTTP/2 client of plain blocking sockets for the tests of http: many requests at a time on one
 * connection, windows as the test wants them.
 */
#ifndef UNIT_HTTP_H2PEER_H
#define UNIT_HTTP_H2PEER_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H2_STREAMS 512

struct h2_answer {
	int status; /* 0: none yet */
	bool whole, closed, saw_100;
	uint32_t error;	 /* why it was closed */
	char head[4096]; /* "name: value\n" */
	char *body;
	size_t n, cap;
};
struct h2_body { /* what is sent */
	const char *p;
	size_t n;
	bool more; /* it never ends */
};
struct h2 {
	int fd;
	nghttp2_session *s;
	bool gone, goaway;
	uint32_t goaway_error, max_streams;
	struct h2_answer a[H2_STREAMS];
	struct h2_body out[H2_STREAMS];
};
/* window: of each stream; 0: nothing is let come. */
struct h2 *h2_connect(uint16_t port, uint32_t window);
/* The same over a connection that has said the text of an Upgrade, and read the 101; stream 1 is its request. */
struct h2 *h2_over(int fd, const char *settings, size_t n);
void h2_close(struct h2 *h); /* NULL allowed */
/* extra: name, value, ..., NULL, or NULL. body NULL: none. more: the request does not end. */
int32_t h2_ask(struct h2 *h, const char *method, const char *path,
	       const char *const *extra, const char *body, size_t n, bool more);
void h2_reset(struct h2 *h, int32_t id);
/* Send and read until the stream is closed; false: not within 10 s, or the connection has ended. */
bool h2_wait(struct h2 *h, int32_t id);
bool h2_wait_status(struct h2 *h, int32_t id);
bool h2_wait_goaway(struct h2 *h);
bool h2_wait_gone(struct h2 *h);
void h2_turn(struct h2 *h, int ms); /* send and read what there is for a moment */
struct h2_answer *h2_answer(struct h2 *h, int32_t id);
/* A whole GET; the status, -1: none. */
int h2_get(struct h2 *h, const char *path);

#endif
