/*
 * http/client_int.h - the client's insides: one curl multi on a loop, and one transfer per request.
 *
 * A transfer is made and freed by the worker that asked. Between client_add and client_remove it also belongs to
 * the loop; remove is waited for, and a loop never waits, so whatever the transfer points to (the caller's
 * body, its pipe, its stack) outlives curl's use of it.
 */
#ifndef HTTP_CLIENT_INT_H
#define HTTP_CLIENT_INT_H

#include <curl/curl.h>
#include <pthread.h>

#include "http/http.h"
#include "task/pipe.h"

#define CLIENT_IDLE_EASY      32u /* easy handles kept for the next requests */
#define CLIENT_HEAD_BYTES_MAX ((size_t)256 << 10) /* an answer's head */

struct http_client {
	struct loop *loop;
	uint64_t connect_timeout_ns;
	uint32_t max_conns_per_host;
	char *user_agent;
	uint8_t *ca; /* PEM bundle for https; NULL: none was found. FROZEN */
	size_t n_ca;
	/* LOOP */
	CURLM *multi;
	struct loop_timer *timer;
	CURL *idle[CLIENT_IDLE_EASY];
	uint32_t n_idle;
};

struct http_body { /* one transfer */
	struct http_client *client;
	/* set before client_add, then FROZEN */
	const char *method;
	char *url;   /* NUL-terminated for curl */
	char *shown; /* without userinfo and query, for errors */
	struct curl_slist *headers;
	struct str send;   /* the caller's */
	struct pipe *pipe; /* LOOP -> worker */
	/* LOOP */
	CURL *easy;
	bool added, paused;
	bool failed; /* why: a failure of ours, told instead of curl's */
	struct err why;
	char text[CURL_ERROR_SIZE];
	/* mu */
	pthread_mutex_t mu;
	pthread_cond_t cv;
	bool head_done;	 /* status and head are complete, FROZEN from then on */
	bool ended;	 /* curl is through with it */
	struct err err;	 /* set with `ended` */
	int status;	 /* LOOP until head_done */
	struct buf head; /* "name: value\n" lines; LOOP until head_done */
};

/* WORKER; waits for the loop only. */
void client_add(struct http_body *b);
void client_remove(struct http_body *b);
/* On the loop, through loop_call. */
MUST_CHECK int client_loop_begin(struct http_client *c, struct err *e);
void client_loop_end(struct http_client *c);

#endif
