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

#include "fs/fs.h"
#include "http/client_conf.h"
#include "task/pipe.h"

#define CLIENT_IDLE_EASY      32u /* easy handles kept for the next requests */
#define CLIENT_HEAD_BYTES_MAX ((size_t)256 << 10) /* an answer's head */
#define CLIENT_REDIRECTS      10u
#define CLIENT_SECRET_BYTES   ((size_t)64 << 10) /* a file with a password or token */
#define CLIENT_PEM_BYTES      ((size_t)16 << 20)

/* A small file that is read again when it has changed. WORKER; SHARED (mu). */
struct client_file {
	char *path; /* NULL: none */
	pthread_mutex_t mu;
	struct fs_stat seen; /* mu; FS_NONE: not read yet */
	struct buf text;     /* mu */
};
void client_file_init(struct client_file *f, struct str path, size_t max);
void client_file_deinit(struct client_file *f);
/* Its text, without blanks around it, in the arena. Errors name the path only. */
MUST_CHECK int client_file_read(struct client_file *f, struct ctx *ctx, struct arena *a,
				struct str *out, struct err *e);

/* What TLS needs, in memory. FROZEN, ref-counted: curl reads it while a transfer lasts. */
struct client_pem {
	struct ref ref;
	struct buf ca, cert, key; /* n == 0: none */
};
struct client_tls {
	char *ca_file, *cert_file, *key_file; /* NULL: none */
	pthread_mutex_t mu;
	struct client_pem *pem; /* mu; NULL: not read yet */
	struct fs_stat seen[3]; /* mu */
	uint64_t next_check_ns; /* mu */
	bool complained;	/* mu: files cannot be read; said once */
};
void client_tls_init(struct client_tls *t, const struct http_tls_conf *c);
void client_tls_deinit(struct client_tls *t);
/* A reference to what is valid now; files that became unreadable leave the last good ones. WORKER */
struct client_pem *client_tls_get(struct client_tls *t, const struct http_tls_conf *c,
				  struct ctx *ctx, struct err *e);

struct client_auth {
	struct client_file username, password, token, secret;
	struct http_client *oauth; /* asks for tokens; NULL: no OAuth2 */
	pthread_mutex_t mu;
	pthread_cond_t cv;
	bool refreshing;	/* mu */
	char *access;		/* mu: of OAuth2; NULL: none yet */
	uint64_t access_end_ns; /* mu */
};
struct http_client;
MUST_CHECK int client_auth_init(struct http_client *c, const struct http_client_opts *o,
				struct err *e);
void client_auth_deinit(struct client_auth *t);
/* The value of Authorization in the arena; empty: nobody has to be told who we are. WORKER */
MUST_CHECK int client_auth_value(struct http_client *c, struct ctx *ctx, struct arena *a,
				 struct str *out, struct err *e);

struct http_client {
	struct loop *loop;
	struct http_client_opts o; /* defaults filled in; strings are not its own */
	char *user_agent;
	struct arena arena; /* texts of conf */
	struct http_client_conf conf;
	struct client_tls tls;
	struct client_auth auth;
	char *proxy_http, *proxy_https, *no_proxy; /* NULL: none */
	/* LOOP */
	CURLM *multi;
	struct loop_timer *timer;
	CURL *idle[CLIENT_IDLE_EASY];
	uint32_t n_idle;
	struct http_body *answered; /* early, within one call into curl */
	struct http_body
		*filled; /* with bytes that are not in their pipe yet, likewise */
	struct client_sock *drunk; /* the socket that is read now; NULL: it has gone */
};

struct http_body { /* one transfer */
	struct http_client *client;
	/* set before client_add, then FROZEN */
	const char *method;
	char *url;   /* NUL-terminated for curl */
	char *shown; /* without userinfo and query, for errors */
	struct curl_slist *headers, *connect_to;
	const char *proxy; /* the client's; NULL: none */
	struct client_pem *pem;
	struct str send; /* the caller's */
	bool has_source;
	struct http_source source;
	struct pipe *pipe;	   /* LOOP -> worker: the answer */
	struct pipe *up_pipe;	   /* worker -> LOOP: the request's source; NULL: none */
	struct http_fetch_req req; /* WORKER: for redirects */
	/* LOOP */
	CURL *easy;
	bool added, paused, up_paused;
	struct view up; /* of up_pipe, what is left of it in up_at.. */
	size_t up_at;
	uint64_t up_sent;
	struct http_body *next_answered;
	struct client_sock *sock; /* what curl reads it from; NULL: none now */
	struct slab *fill; /* pieces on their way into the pipe, as req.gather says */
	bool filled;	   /* in the client's list */
	struct http_body *next_filled;
	struct loop_timer *timer; /* header and stall timeouts; NULL: none */
	bool failed;		  /* why: a failure of ours, told instead of curl's */
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

/* client_request.c, WORKER: a checked transfer that is not added yet. auth: tell who we are. */
MUST_CHECK int client_transfer_new(struct http_client *c, struct ctx *ctx,
				   const struct http_fetch_req *r, size_t window,
				   bool decode, bool auth, struct http_body **out,
				   struct err *e);
void client_transfer_free(struct http_body *b);
/* Where an answer sends the request: 1 *next (in the arena) and *same (the same origin), 0: nowhere. */
int client_redirect(struct arena *a, const struct http_body *b,
		    const struct http_answer *ans, struct http_fetch_req *next,
		    bool *same);

/* WORKER; waits for the loop only. */
void client_add(struct http_body *b);
void client_remove(struct http_body *b);
/* On the loop, through loop_call. */
MUST_CHECK int client_loop_begin(struct http_client *c, struct err *e);
void client_loop_end(struct http_client *c);

#endif
