/*
 * http/h1_parse.h - HTTP/1 requests out of bytes, however they are cut. No sockets, no clocks.
 *
 *   h1_begin(p, arena, budget);
 *   ev = h1_feed(p, bytes, n, &used);
 *     H1_MORE  all was used, more is needed
 *     H1_HEAD  the head is complete (h1_head); feed the rest for the body
 *     H1_DONE  the request is complete (h1_body); the rest belongs to the next one: h1_begin again
 *     H1_BAD   h1_fault says the status to answer and why; the connection is useless afterwards
 *
 * Thread  one at a time (LOOP in conn.c)
 * Memory  heads are copied into the arena at H1_HEAD; the body belongs to the parser until h1_begin or
 *         h1_take_body
 */
#ifndef HTTP_H1_PARSE_H
#define HTTP_H1_PARSE_H

#include "base/buf.h"
#include "http/http.h"

enum h1_event { H1_MORE, H1_HEAD, H1_DONE, H1_BAD };

struct h1_head {
	struct str method, target;
	struct http_kv *headers; /* names in lower case */
	size_t n_headers;
	int minor; /* HTTP/1.minor */
	bool keep_alive;
	bool has_body;	      /* chunked, or Content-Length > 0 */
	bool expect_continue; /* the client waits for 100 before it sends the body */
};

struct h1_parser;
struct h1_parser *h1_new(size_t max_body);
void h1_free(struct h1_parser *p); /* NULL allowed */
/* Start with a new request; the budget (may be NULL) is charged for the body until it is taken or freed. */
void h1_begin(struct h1_parser *p, struct arena *a, struct budget *body_budget);
enum h1_event h1_feed(struct h1_parser *p, const uint8_t *data, size_t n, size_t *used);
bool h1_started(const struct h1_parser *p); /* a byte of the request was seen */
const struct h1_head *h1_head(const struct h1_parser *p);
/* The whole body at H1_DONE. Hand it over: free() *p and give n_charged back to the budget. */
struct str h1_body(const struct h1_parser *p);
uint8_t *h1_take_body(struct h1_parser *p, size_t *n_charged);
int h1_fault(const struct h1_parser *p, const char **why);

#endif
