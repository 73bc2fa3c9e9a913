/*
 * http/reply.c - the answer: status, headers, and a body that is compressed, framed and handed to the loop.
 *
 *   http_write -> [raw, until coding is decided] -> gzip? -> slab of 64 KiB -> chunk frame -> pipe -> loop
 *                                                              (of HTTP/1.1; HTTP/2 frames on the loop)
 *
 * Nothing leaves before a slab is full, so that an answer that fits in one gets Content-Length and an error
 * can still replace it. Each slab keeps room before and behind its bytes for the frame of a chunk; it goes to
 * the socket as it is. http_reply knows the length of what it writes, hence its long bodies are not chunked.
 *
 * Which coding: Prometheus takes the first token of Accept-Encoding that is exactly gzip or deflate, q-values
 * are not read. Bodies of up to 1 KiB stay plain, and so does everything made on a loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "http/http_int.h"

#define SLAB_CAP    ((size_t)64 << 10)
#define FRAME_FRONT 16u /* hex length, CR LF */
#define FRAME_BACK  2u
#define FEED_BYTES  ((size_t)32 << 10)

const char *http_reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} rows[] = {
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 413, "Request Entity Too Large" },
		{ 414, "Request URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" },
		{ 422, "Unprocessable Entity" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 499, "Client Closed Request" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].status == status)
			return rows[i].text;
	return "Status";
}

static enum http_coding accepted(struct str accept)
{
	struct str one;
	bool more = true;
	while (more) {
		more = str_cut(&accept, ',', &one);
		one = str_trim(one);
		if (str_eq(one, STR("gzip")))
			return HTTP_GZIP;
		if (str_eq(one, STR("deflate")))
			return HTTP_DEFLATE;
	}
	return HTTP_IDENTITY;
}

void http_resp_init(struct http_resp *w, struct http_call *call, bool on_loop)
{
	const struct http_req *r = &call->req;
	*w = (struct http_resp){ .call = call, .status = 200, .on_loop = on_loop };
	w->tail = &w->headers;
	w->is_head = str_eq(r->method, STR("HEAD"));
	w->close = !call->keep_alive || atomic_load(&call->server->stopping);
	w->coding = on_loop ? HTTP_IDENTITY : accepted(http_header(r, "accept-encoding"));
	buf_init(&w->raw, on_loop ? HTTP_LOOP_BODY_MAX : HTTP_CODING_MIN);
}

static void drop_bytes(struct http_resp *w)
{
	gzip_enc_free(w->enc);
	w->enc = NULL;
	if (w->cur)
		ref_put(&w->cur->ref);
	w->cur = NULL;
	w->cur_n = 0;
}

void http_resp_deinit(struct http_resp *w)
{
	drop_bytes(w);
	buf_deinit(&w->raw);
}

void http_status(struct http_resp *w, int status)
{
	BUG_ON(status < 200 || status > 599);
	w->status = status;
}

int http_status_of(const struct http_resp *w)
{
	return w->status;
}

/* Text of outsiders may stand in a value: no line end gets into the head. */
static struct str header_value(struct arena *a, struct str v)
{
	char *p = str_dupz(a, v);
	for (size_t i = 0; i < v.n; i++)
		if ((uint8_t)p[i] < 0x20 && p[i] != '\t')
			p[i] = ' ';
	return str_n(p, v.n);
}

/* The frame of the message is made here: no handler says how long it is, nor what is of one hop. */
static bool is_framing(struct str k)
{
	static const char *const names[] = { "Content-Length",	  "Connection",
					     "Keep-Alive",	  "Proxy-Connection",
					     "Upgrade",		  "TE",
					     "Transfer-Encoding", "Trailer" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_eq_nocase(k, str_of(names[i])))
			return true;
	return false;
}

void http_add_header(struct http_resp *w, const char *name, struct str value)
{
	struct str k = str_of(name);
	struct arena *a = w->call->req.arena;
	if (is_framing(k))
		return;
	if (str_eq_nocase(k, STR("Content-Encoding")))
		w->has_coding = true;
	struct http_resp_header *h = ARENA_NEW(a, struct http_resp_header);
	h->k = str_dup(a, k);
	h->v = header_value(a, value);
	*w->tail = h;
	w->tail = &h->next;
}

/* ---- head ---- */

/* One field as the framing has it. */
static void put_field(const struct http_resp *w, struct buf *b, struct str k,
		      struct str v)
{
	if (!w->call->framing->h2) {
		buf_fmt(b, "%.*s: %.*s\r\n", STR_FMT(k), STR_FMT(v));
		return;
	}
	uint8_t *to = buf_room(b, k.n);
	for (size_t i = 0; to && i < k.n; i++)
		to[i] = (uint8_t)(k.p[i] >= 'A' && k.p[i] <= 'Z' ? k.p[i] + 32 : k.p[i]);
	if (to)
		buf_commit(b, k.n);
	buf_byte(b, 0);
	buf_str(b, v);
	buf_byte(b, 0);
}

static void put_status(const struct http_resp *w, struct buf *b)
{
	char text[16];
	if (!w->call->framing->h2) {
		buf_fmt(b, "HTTP/1.1 %d %s\r\n", w->status, http_reason(w->status));
		return;
	}
	snprintf(text, sizeof(text), "%d", w->status);
	put_field(w, b, STR(":status"), str_of(text));
}

static void put_date(const struct http_resp *w, struct buf *b)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char text[64];
	time_t now = (time_t)(time_wall_ms() / 1000);
	struct tm tm;
	gmtime_r(&now, &tm);
	snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
		 days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon,
		 tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	put_field(w, b, STR("Date"), str_of(text));
}

static bool no_body(int status)
{
	return status == 204 || status == 304;
}

/* What HTTP/1 says about the body and the connection beyond Content-Length. */
static void put_h1_frame(struct http_resp *w, int64_t length, struct buf *b)
{
	bool http10 = w->call->minor == 0;
	if (length < 0 && !no_body(w->status) && !w->is_head) {
		if (http10)
			w->close = true; /* the end of the connection ends the body */
		else
			w->chunked = true;
	}
	if (w->chunked)
		buf_str(b, STR("Transfer-Encoding: chunked\r\n"));
	if (w->close)
		buf_str(b, STR("Connection: close\r\n"));
	else if (http10)
		buf_str(b, STR("Connection: keep-alive\r\n"));
	buf_str(b, STR("\r\n"));
}

/* length < 0: not known. */
static void make_head(struct http_resp *w, int64_t length, struct buf *b)
{
	static const struct http_kv cors[] = {
		{ STR("Access-Control-Allow-Headers"),
		  STR("Accept, Authorization, Content-Type, Origin") },
		{ STR("Access-Control-Allow-Methods"), STR("GET, POST, OPTIONS") },
		{ STR("Access-Control-Allow-Origin"), STR("*") },
		{ STR("Access-Control-Expose-Headers"), STR("Date") },
	};
	const struct http_server_opts *o = &w->call->server->o;
	char text[32];
	w->close |= atomic_load(&w->call->server->stopping);
	put_status(w, b);
	for (size_t i = 0; o->cors && i < ARRAY_LEN(cors); i++)
		put_field(w, b, cors[i].k, cors[i].v);
	for (size_t i = 0; i < o->n_headers; i++)
		put_field(w, b, o->headers[i].k, o->headers[i].v);
	for (const struct http_resp_header *h = w->headers; h; h = h->next)
		put_field(w, b, h->k, h->v);
	if (!w->on_loop)
		put_field(w, b, STR("Vary"), STR("Accept-Encoding"));
	if (w->decided && w->coding != HTTP_IDENTITY)
		put_field(w, b, STR("Content-Encoding"),
			  w->coding == HTTP_GZIP ? STR("gzip") : STR("deflate"));
	put_date(w, b);
	if (length >= 0 && !no_body(w->status)) {
		snprintf(text, sizeof(text), "%lld", (long long)length);
		put_field(w, b, STR("Content-Length"), str_of(text));
	}
	if (!w->call->framing->h2)
		put_h1_frame(w, length, b);
	w->head_sent = true;
}

/* ---- bytes to the loop; WORKER ---- */

/* Threads that wait for clients to take bytes are not there for others: the more wait, the less long. */
static uint64_t patience(const struct http_server *s, uint32_t waiting)
{
	uint32_t max = task_max_requests(s->pool);
	uint64_t ns = waiting < max / 8	  ? UINT64_MAX
		      : waiting < max / 2 ? NS_PER_S
					  : 100 * NS_PER_MS;
	return MIN(ns, s->o.body_timeout_ns);
}

static int send_view(struct http_resp *w, struct ctx *ctx, struct view v, struct err *e)
{
	struct http_server *s = w->call->server;
	struct err late = ERR_INIT;
	uint64_t wait_ns = patience(s, atomic_fetch_add(&s->stalled, 1));
	struct ctx c = ctx_child(ctx ? ctx : &w->call->ctx, time_after_ns(wait_ns));
	int rc = pipe_write(w->call->pipe, &c, v, &late);
	atomic_fetch_sub(&s->stalled, 1);
	if (rc == 0)
		return 0;
	w->failed = true;
	if (late.code == E_TIMEOUT && ctx_left_ns(ctx ? ctx : &w->call->ctx) > 0)
		return err_set(ctx, e, E_TIMEOUT, "client %s took no bytes for %llu s",
			       w->call->req.peer,
			       (unsigned long long)(wait_ns / NS_PER_S));
	return err_copy(ctx, e, &late);
}

static int send_copy(struct http_resp *w, struct ctx *ctx, struct str s, struct err *e)
{
	struct slab *slab = slab_new(w->call->server->o.budget, s.n);
	memcpy(slab->data, s.p, s.n);
	return send_view(w, ctx, (struct view){ slab->data, s.n, &slab->ref }, e);
}

static int send_head(struct http_resp *w, struct ctx *ctx, int64_t length, struct err *e)
{
	struct buf b;
	buf_init(&b, (size_t)1 << 20);
	make_head(w, length, &b);
	int rc = buf_check(&b, ctx, "head of the answer", e);
	if (rc == 0)
		rc = send_copy(w, ctx, buf_view(&b), e);
	else
		w->failed = true;
	buf_deinit(&b);
	return rc;
}

/* Hand over what the slab holds, framed if the answer is chunked. */
static int send_slab(struct http_resp *w, struct ctx *ctx, struct err *e)
{
	struct slab *s = w->cur;
	size_t n = w->cur_n;
	w->cur = NULL;
	w->cur_n = 0;
	if (!s)
		return 0;
	if (n == 0) {
		ref_put(&s->ref);
		return 0;
	}
	struct view v = { s->data + FRAME_FRONT, n, &s->ref };
	if (w->chunked) {
		char hex[FRAME_FRONT + 1];
		int len = snprintf(hex, sizeof(hex), "%zx\r\n", n);
		memcpy(s->data + FRAME_FRONT - len, hex, (size_t)len);
		memcpy(s->data + FRAME_FRONT + n, "\r\n", FRAME_BACK);
		v.p -= len;
		v.n += (size_t)len + FRAME_BACK;
	}
	return send_view(w, ctx, v, e);
}

/* Body bytes as they go on the wire. */
static int emit(struct http_resp *w, struct ctx *ctx, struct str data, struct err *e)
{
	w->wire_n += data.n;
	while (data.n) {
		if (w->cur && w->cur_n == SLAB_CAP - FRAME_FRONT - FRAME_BACK) {
			bool plain = w->coding == HTTP_IDENTITY && w->known_n;
			if (!w->head_sent &&
			    send_head(w, ctx, plain ? (int64_t)w->known_n : -1, e) < 0)
				return -1;
			if (send_slab(w, ctx, e) < 0)
				return -1;
		}
		if (!w->cur)
			w->cur = slab_new(w->call->server->o.budget, SLAB_CAP);
		size_t room = SLAB_CAP - FRAME_FRONT - FRAME_BACK - w->cur_n;
		size_t n = MIN(room, data.n);
		memcpy(w->cur->data + FRAME_FRONT + w->cur_n, data.p, n);
		w->cur_n += n;
		data = str_from(data, n);
	}
	return 0;
}

/* Through the encoder in steps, so that its output stays small. */
static int encode(struct http_resp *w, struct ctx *ctx, struct str data, bool finish,
		  struct err *e)
{
	struct buf out;
	int rc = 0;
	buf_init(&out, FEED_BYTES * 64);
	do {
		struct str step = str_n(data.p, MIN(data.n, FEED_BYTES));
		data = str_from(data, step.n);
		buf_reset(&out);
		rc = gzip_enc_feed(w->enc, step, finish && data.n == 0, &out, e);
		if (rc == 0)
			rc = buf_check(&out, ctx, "compressed body", e);
		if (rc < 0)
			w->failed = true;
		else
			rc = emit(w, ctx, buf_view(&out), e);
	} while (rc == 0 && data.n);
	buf_deinit(&out);
	return rc;
}

static int put(struct http_resp *w, struct ctx *ctx, struct str data, struct err *e)
{
	if (data.n == 0)
		return 0;
	return w->enc ? encode(w, ctx, data, false, e) : emit(w, ctx, data, e);
}

/* The body is long enough for the coding that was asked for, or has ended before that. */
static int decide(struct http_resp *w, struct ctx *ctx, bool is_long, struct err *e)
{
	if (!is_long || w->has_coding)
		w->coding = HTTP_IDENTITY;
	w->decided = true;
	if (w->is_head)
		return 0;
	if (w->coding != HTTP_IDENTITY)
		w->enc = gzip_enc_new(w->coding == HTTP_DEFLATE);
	return put(w, ctx, buf_view(&w->raw), e);
}

int http_write(struct http_resp *w, struct ctx *ctx, struct str data, struct err *e)
{
	if (w->failed)
		return err_set(ctx, e, E_CANCELLED, "the answer was cut before");
	if (data.n == 0 || no_body(w->status))
		return 0;
	if (w->known_n && data.n > w->known_n - MIN(w->raw_n, w->known_n)) {
		w->failed = true;
		return err_set(ctx, e, E_INTERNAL, "bytes behind a whole answer");
	}
	w->raw_n += data.n;
	if (w->on_loop) {
		if (!w->is_head) {
			buf_str(&w->raw, data);
			w->wire_n += data.n;
		}
		w->failed = w->raw.failed;
		return buf_check(&w->raw, ctx, "answer", e);
	}
	if (!w->decided) {
		bool wants = w->coding != HTTP_IDENTITY && !w->has_coding;
		if (wants && w->raw_n <= HTTP_CODING_MIN && !w->known_n) {
			buf_str(&w->raw, data);
			return 0;
		}
		if (decide(w, ctx, w->raw_n > HTTP_CODING_MIN, e) < 0)
			return -1;
	}
	return w->is_head ? 0 : put(w, ctx, data, e);
}

int http_reply(struct http_resp *w, struct ctx *ctx, int status, const char *type,
	       struct str body, struct err *e)
{
	http_status(w, status);
	if (type)
		http_add_header(w, "Content-Type", str_of(type));
	if (w->raw_n == 0)
		w->known_n = body.n;
	return http_write(w, ctx, body, e);
}

int http_resp_error(struct http_resp *w, struct ctx *ctx, int status,
		    const struct err *why)
{
	struct err e = ERR_INIT;
	if (w->head_sent)
		return -1;
	drop_bytes(w);
	buf_reset(&w->raw);
	w->headers = NULL;
	w->tail = &w->headers;
	w->has_coding = w->decided = w->failed = false;
	w->raw_n = w->wire_n = w->known_n = 0;
	w->coding = HTTP_IDENTITY;
	http_add_header(w, "X-Content-Type-Options", STR("nosniff"));
	const char *text = err_text(why);
	struct str body = str_fmt(w->call->req.arena, "%s\n", text);
	return http_reply(w, ctx, status, "text/plain; charset=utf-8", body, &e);
}

int http_resp_end_body(struct http_resp *w, struct ctx *ctx, struct err *e)
{
	if (w->failed)
		return err_set(ctx, e, E_CANCELLED, "the answer was cut before");
	if (!w->decided && decide(w, ctx, false, e) < 0)
		return -1;
	if (w->known_n && w->raw_n < w->known_n)
		return err_set(ctx, e, E_INTERNAL, "answer shorter than announced");
	return w->enc ? encode(w, ctx, STR_NULL, true, e) : 0;
}

int http_resp_finish(struct http_resp *w, struct ctx *ctx, struct err *e)
{
	if (!w->head_sent) {
		bool plain = w->coding == HTTP_IDENTITY;
		int64_t n =
			w->is_head ? (plain ? (int64_t)w->raw_n : -1) : (int64_t)w->cur_n;
		if (send_head(w, ctx, n, e) < 0)
			return -1;
		return send_slab(w, ctx, e);
	}
	if (send_slab(w, ctx, e) < 0)
		return -1;
	return w->chunked ? send_copy(w, ctx, STR("0\r\n\r\n"), e) : 0;
}

/* ---- on the loop ---- */

bool http_resp_loop_out(struct http_resp *w, struct buf *head, struct str *body)
{
	struct err e = ERR_INIT;
	buf_init(head, (size_t)1 << 20);
	w->decided = true;
	make_head(w, (int64_t)w->raw_n, head);
	*body = w->is_head || no_body(w->status) ? STR_NULL : buf_view(&w->raw);
	if (buf_check(head, NULL, "head of the answer", &e) == 0)
		return true;
	log_error(NULL, "%s %s: %s", w->call->req.peer, "answer", err_text(&e));
	w->close = true;
	return false;
}
