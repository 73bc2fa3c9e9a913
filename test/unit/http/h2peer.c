/*
 * h2peer.c - nghttp2 as a client, driven by poll.
 */
#include "h2peer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

struct h2_answer *h2_answer(struct h2 *h, int32_t id)
{
	return &h->a[id / 2 % H2_STREAMS];
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *k,
		     size_t nk, const uint8_t *v, size_t nv, uint8_t flags, void *arg)
{
	struct h2_answer *a = h2_answer(arg, f->hd.stream_id);
	size_t at = strlen(a->head);
	(void)s, (void)flags;
	if (nk == 7 && memcmp(k, ":status", 7) == 0) {
		int status = atoi((const char *)v);
		if (status == 100)
			a->saw_100 = true;
		else
			a->status = status;
	} else {
		snprintf(a->head + at, sizeof(a->head) - at, "%.*s: %.*s\n", (int)nk, k,
			 (int)nv, v);
	}
	return 0;
}

static int on_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p,
		    size_t n, void *arg)
{
	struct h2_answer *a = h2_answer(arg, id);
	(void)s, (void)flags;
	if (a->n + n + 1 > a->cap) {
		a->cap = 2 * (a->n + n + 1);
		a->body = realloc(a->body, a->cap);
		if (!a->body)
			abort();
	}
	memcpy(a->body + a->n, p, n);
	a->n += n;
	a->body[a->n] = '\0';
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *arg)
{
	struct h2 *h = arg;
	(void)s;
	if (f->hd.type == NGHTTP2_GOAWAY) {
		h->goaway = true;
		h->goaway_error = f->goaway.error_code;
	}
	if (f->hd.type == NGHTTP2_SETTINGS)
		for (size_t i = 0; i < f->settings.niv; i++)
			if (f->settings.iv[i].settings_id ==
			    NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS)
				h->max_streams = f->settings.iv[i].value;
	if ((f->hd.type == NGHTTP2_HEADERS || f->hd.type == NGHTTP2_DATA) &&
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM))
		h2_answer(h, f->hd.stream_id)->whole = true;
	return 0;
}

static int on_stream_close(nghttp2_session *s, int32_t id, uint32_t error, void *arg)
{
	struct h2_answer *a = h2_answer(arg, id);
	(void)s;
	a->closed = true;
	a->error = error;
	return 0;
}

static struct h2 *make(int fd)
{
	nghttp2_session_callbacks *cb;
	struct h2 *h = calloc(1, sizeof(*h));
	if (!h || nghttp2_session_callbacks_new(&cb) != 0)
		abort();
	h->fd = fd;
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_option *o;
	if (nghttp2_option_new(&o) != 0)
		abort();
	nghttp2_option_set_max_send_header_block_length(o, 1 << 20);
	if (nghttp2_session_client_new2(&h->s, cb, h, o) != 0)
		abort();
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(cb);
	return h;
}

struct h2 *h2_connect(uint16_t port, uint32_t window)
{
	struct raw *r = raw_connect(port);
	struct h2 *h = make(r->fd);
	nghttp2_settings_entry iv = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window };
	free(r);
	nghttp2_submit_settings(h->s, 0, &iv, 1);
	nghttp2_session_set_local_window_size(h->s, 0, 0, 1 << 24);
	h2_turn(h, 0);
	return h;
}

struct h2 *h2_over(int fd, const char *settings, size_t n)
{
	struct h2 *h = make(fd);
	if (nghttp2_session_upgrade2(h->s, (const uint8_t *)settings, n, 0, NULL) != 0)
		abort();
	nghttp2_submit_settings(h->s, 0, NULL, 0);
	return h;
}

void h2_close(struct h2 *h)
{
	if (!h)
		return;
	for (int i = 0; i < H2_STREAMS; i++)
		free(h->a[i].body);
	nghttp2_session_del(h->s);
	close(h->fd);
	free(h);
}

static ssize_t give(nghttp2_session *s, int32_t id, uint8_t *to, size_t cap,
		    uint32_t *flags, nghttp2_data_source *src, void *arg)
{
	struct h2_body *b = src->ptr;
	size_t n = b->n < cap ? b->n : cap;
	(void)s, (void)id, (void)arg;
	memcpy(to, b->p, n);
	b->p += n;
	b->n -= n;
	if (b->n == 0 && !b->more)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return n || !b->more ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
}

static nghttp2_nv pair(const char *k, const char *v)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)k, (uint8_t *)(uintptr_t)v, strlen(k),
			     strlen(v), 0 };
}

int32_t h2_ask(struct h2 *h, const char *method, const char *path,
	       const char *const *extra, const char *body, size_t n, bool more)
{
	static nghttp2_nv nv[1024];
	size_t k = 0;
	int32_t id = nghttp2_session_get_next_stream_id(h->s) & 0x7fffffff;
	struct h2_body *b = &h->out[id / 2 % H2_STREAMS];
	struct h2_answer *a = h2_answer(h, id);
	nghttp2_data_provider prd = { .source.ptr = b, .read_callback = give };
	*b = (struct h2_body){ body ? body : "", body ? n : 0, more };
	free(a->body);
	memset(a, 0, sizeof(*a));
	nv[k++] = pair(":method", method);
	nv[k++] = pair(":scheme", "http");
	nv[k++] = pair(":path", path);
	nv[k++] = pair(":authority", "h");
	for (; extra && extra[0] && k < 1024; extra += 2)
		nv[k++] = pair(extra[0], extra[1]);
	id = nghttp2_submit_request(h->s, NULL, nv, k, body || more ? &prd : NULL, NULL);
	h2_turn(h, 0);
	return id;
}

void h2_reset(struct h2 *h, int32_t id)
{
	nghttp2_submit_rst_stream(h->s, 0, id, NGHTTP2_CANCEL);
	h2_turn(h, 0);
}

/* Send what there is, read once within the time. */
static void once(struct h2 *h, int ms)
{
	static _Thread_local uint8_t buf[1 << 16];
	const uint8_t *p;
	ssize_t n;
	while (!h->gone && (n = nghttp2_session_mem_send(h->s, &p)) > 0)
		for (ssize_t k; n > 0; p += k, n -= k)
			if ((k = send(h->fd, p, (size_t)n, MSG_NOSIGNAL)) <= 0) {
				h->gone = true;
				break;
			}
	struct pollfd f = { h->fd, POLLIN, 0 };
	if (poll(&f, 1, ms) <= 0)
		return;
	n = recv(h->fd, buf, sizeof(buf), 0);
	if (n <= 0 || nghttp2_session_mem_recv(h->s, buf, (size_t)n) < 0)
		h->gone = true;
	else
		while ((n = nghttp2_session_mem_send(h->s, &p)) > 0)
			(void)!send(h->fd, p, (size_t)n, MSG_NOSIGNAL);
}

static bool wait_for(struct h2 *h, bool (*done)(struct h2 *h, int32_t id), int32_t id)
{
	time_t end = time(NULL) + 10;
	while (!done(h, id) && !h->gone && time(NULL) < end)
		once(h, 100);
	return done(h, id);
}

static bool is_closed(struct h2 *h, int32_t id)
{
	return h2_answer(h, id)->closed;
}

static bool has_status(struct h2 *h, int32_t id)
{
	return h2_answer(h, id)->status || is_closed(h, id);
}

static bool is_goaway(struct h2 *h, int32_t id)
{
	(void)id;
	return h->goaway;
}

static bool is_gone(struct h2 *h, int32_t id)
{
	(void)id;
	return h->gone;
}

bool h2_wait(struct h2 *h, int32_t id)
{
	return wait_for(h, is_closed, id);
}

bool h2_wait_status(struct h2 *h, int32_t id)
{
	return wait_for(h, has_status, id);
}

bool h2_wait_goaway(struct h2 *h)
{
	return wait_for(h, is_goaway, 0);
}

bool h2_wait_gone(struct h2 *h)
{
	return wait_for(h, is_gone, 0);
}

void h2_turn(struct h2 *h, int ms)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t end = t.tv_sec * 1000 + t.tv_nsec / 1000000 + ms, now;
	do {
		once(h, ms ? 20 : 0);
		clock_gettime(CLOCK_MONOTONIC, &t);
		now = t.tv_sec * 1000 + t.tv_nsec / 1000000;
	} while (now < end && !h->gone);
}

int h2_get(struct h2 *h, const char *path)
{
	int32_t id = h2_ask(h, "GET", path, NULL, NULL, 0, false);
	return h2_wait(h, id) && h2_answer(h, id)->whole ? h2_answer(h, id)->status : -1;
}
