/*
 * rpc/rpc_call.c - one call at the server: its memory, and its answer on the way out.
 *
 * The handler packs messages into slabs and links views of them to the call's queue; HTTP/2 passes views of
 * bytes at its head to the connection when both windows and the socket allow: they are not copied on the way to the kernel. The loop is posted to only when HTTP/2
 * has gone idle for want of bytes; else it asks again by itself.
 *
 *   handler --rpc_send--> fill slab --> [ chunks: queued bytes ] --next_out--> DATA frames
 *                 ^ waits while queued > send_window      | wakes
 *                 '----------------------------------------'
 *
 * Small messages share a slab: the handler writes behind what is linked, so the two threads never
 * touch the same bytes. The last reference frees all chunks before the budget they are charged to.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "rpc/rpc_server_int.h"

#define FIRST_SLAB     ((size_t)4 << 10)
#define CALL_STEP      ((size_t)8 << 10)
#define MAX_TEXT       4096u /* of grpc-message: clients bound their headers */
#define MAX_TEXT_CODED (3u * MAX_TEXT)

struct rpc_call *rpc_call_new(struct rpc_conn *c, int32_t id)
{
	struct rpc_call *call = xcalloc(1, sizeof(*call));
	struct rpc_server *srv = c->srv;
	atomic_init(&call->refs, 1);
	call->srv = srv;
	call->loop = c->loop;
	call->conn = c;
	call->id = id;
	call->start_ns = time_mono_ns();
	snprintf(call->peer, sizeof(call->peer), "%s", net_conn_peer(c->s->conn));
	buf_init(&call->meta, RPC_META_BYTES);
	budget_init(&call->budget, srv->o.budget, "call", NULL, srv->o.call_budget);
	/* Thousands may hold a few bytes each: they must not draw a MiB each. */
	call->budget.step = CALL_STEP;
	ctx_init(&call->ctx, &call->budget, 0);
	rpc_frame_init(&call->in, &call->budget, LIMIT_RPC_REQUEST_BYTES);
	call->next_cap = FIRST_SLAB;
	pthread_mutex_init(&call->mu, NULL);
	ctx_cond_init(&call->cv);
	call->tail = &call->head;
	call->in_tail = &call->in_head;
	call->idle = true;
	call->next = c->calls;
	if (c->calls)
		c->calls->prev = call;
	c->calls = call;
	pthread_mutex_lock(&srv->mu);
	srv->n_calls++;
	pthread_mutex_unlock(&srv->mu);
	return call;
}

static void chunk_free(struct ref *r)
{
	struct rpc_chunk *c = CONTAINER_OF(r, struct rpc_chunk, ref);
	view_put(&c->v);
	if (c->call)
		rpc_call_unref(c->call);
	free(c);
}

static struct rpc_chunk *chunk_new(struct view v)
{
	struct rpc_chunk *c = xcalloc(1, sizeof(*c));
	ref_init(&c->ref, chunk_free);
	c->v = v;
	return c;
}

static void free_chunks(struct rpc_chunk *c)
{
	while (c) {
		struct rpc_chunk *next = c->next;
		ref_put(&c->ref);
		c = next;
	}
}

void rpc_call_unref(struct rpc_call *call)
{
	if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1)
		return;
	struct rpc_server *srv = call->srv;
	free_chunks(call->head);
	free_chunks(call->in_head);
	view_put(&call->request);
	if (call->fill)
		ref_put(&call->fill->ref);
	rpc_frame_deinit(&call->in);
	ctx_deinit(&call->ctx);
	budget_deinit(&call->budget);
	buf_deinit(&call->meta);
	pthread_cond_destroy(&call->cv);
	pthread_mutex_destroy(&call->mu);
	free(call->text);
	free(call);
	rpc_server_call_gone(srv);
}

struct str rpc_call_header(const struct rpc_call *call, struct str name)
{
	const char *p = (const char *)call->meta.p;
	const char *end = p ? p + call->meta.n : p;
	while (p < end) {
		struct str k = str_of(p);
		struct str v = str_of(p + k.n + 1);
		if (str_eq(k, name))
			return v;
		p = v.p + v.n + 1;
	}
	return STR("");
}

struct str rpc_call_meta(const struct rpc_call *call, const char *lower_name)
{
	return rpc_call_header(call, str_of(lower_name));
}

const char *rpc_call_peer(const struct rpc_call *call)
{
	return call->peer;
}

/* ---- the handler's side ---- */

static void kick(void *arg)
{
	struct rpc_call *call = arg;
	pthread_mutex_lock(&call->mu);
	call->posted = false;
	pthread_mutex_unlock(&call->mu);
	if (call->conn) {
		struct h2_session *s = call->conn->s;
		if (!call->submitted)
			rpc_call_start(call);
		else
			(void)nghttp2_session_resume_data(s->h2, call->id);
		h2_session_flush(s);
	}
	rpc_call_unref(call);
}

/* With mu held: the loop is to look, unless it will do so anyway. */
static void rouse(struct rpc_call *call)
{
	if (!call->idle || call->posted || call->gone)
		return;
	call->posted = true;
	atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
	loop_post(call->loop, kick, call);
}

static void reset(void *arg)
{
	struct rpc_call *call = arg;
	if (call->conn) {
		struct h2_session *s = call->conn->s;
		(void)nghttp2_submit_rst_stream(s->h2, NGHTTP2_FLAG_NONE, call->id,
						NGHTTP2_CANCEL);
		h2_session_flush(s);
	}
	rpc_call_unref(call);
}

static bool may_send(void *arg)
{
	const struct rpc_call *call = arg;
	return call->gone || call->queued <= call->srv->o.send_window;
}

static int wait_room(struct rpc_call *call, struct ctx *ctx, struct err *e)
{
	struct err why = ERR_INIT;
	int rc = 0;
	pthread_mutex_lock(&call->mu);
	while (!may_send(call)) {
		uint64_t until = call->moved_ns + call->srv->stall_ns;
		struct ctx c = ctx_child(ctx, until);
		if (ctx_cond_wait(&c, &call->cv, &call->mu, may_send, call, &why) == 0)
			break;
		pthread_mutex_unlock(&call->mu);
		rc = ctx_check(ctx, e);
		pthread_mutex_lock(&call->mu);
		if (rc < 0)
			break;
		if (time_mono_ns() < call->moved_ns + call->srv->stall_ns)
			continue;
		atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
		loop_post(call->loop, reset, call);
		rc = err_set(ctx, e, E_TIMEOUT, "%s took no bytes for %u s", call->peer,
			     (unsigned)(call->srv->stall_ns / NS_PER_S));
		break;
	}
	pthread_mutex_unlock(&call->mu);
	return rc;
}

struct packed {
	struct rpc_chunk *head, **tail;
};

/* Append bytes to the fill slab, a new one at need; `rest` more are to come, these included. */
static int pack(struct rpc_call *call, struct ctx *ctx, struct packed *out, const void *p,
		size_t n, size_t rest, struct err *e)
{
	const uint8_t *from = p;
	while (n) {
		struct slab *s = call->fill;
		if (!s || s->used == s->cap) {
			size_t cap = MAX(call->next_cap, MIN(rest, (size_t)SLAB_BYTES));
			struct slab *fresh = slab_try(call->ctx.budget, ctx, cap, e);
			if (!fresh)
				return -1;
			call->next_cap = MIN(cap * 4, (size_t)SLAB_BYTES);
			if (s)
				ref_put(&s->ref);
			call->fill = s = fresh;
			out->tail = NULL; /* a new slab is a new chunk */
		}
		size_t take = MIN(n, s->cap - s->used);
		struct rpc_chunk *last =
			out->tail ? CONTAINER_OF(out->tail, struct rpc_chunk, next)
				  : NULL;
		memcpy(s->data + s->used, from, take);
		if (last) {
			last->v.n += take;
		} else {
			struct rpc_chunk *c = chunk_new((struct view){
				s->data + s->used, take, ref_get(&s->ref) });
			struct rpc_chunk **at = &out->head;
			while (*at)
				at = &(*at)->next;
			*at = c;
			out->tail = &c->next;
		}
		s->used += take;
		from += take;
		n -= take;
		rest -= take;
	}
	return 0;
}

int rpc_call_untag(struct rpc_call *call, struct view *msg, enum rpc_code *code,
		   struct err *e)
{
	if (call->in_enc == RPC_IDENTITY ||
	    rpc_untag(call->in_enc, msg, LIMIT_RPC_REQUEST_BYTES, &call->budget,
		      &call->ctx, e) == 0)
		return 0;
	*code = e->code == E_LIMIT ? RPC_RESOURCE_EXHAUSTED : RPC_INTERNAL;
	return -1;
}

/* A whole message of n bytes into the call's queue; -1: it is gone. */
static int link_chunks(struct rpc_call *call, struct ctx *ctx, struct rpc_chunk *head,
		       struct rpc_chunk **tail, size_t n, struct err *e)
{
	int rc = 0;
	pthread_mutex_lock(&call->mu);
	if (call->gone || call->finished) {
		rc = err_set(ctx, e, E_CANCELLED, "%s has left", call->peer);
	} else {
		if (call->queued == 0)
			call->moved_ns = time_mono_ns();
		*call->tail = head;
		call->tail = tail;
		call->queued += n;
		rouse(call);
	}
	pthread_mutex_unlock(&call->mu);
	if (rc < 0)
		free_chunks(head);
	else
		metric_inc(call->method->sent);
	return rc;
}

/* The message whose parts follow, encoded or not, into the call's queue. */
static int enqueue(struct rpc_call *call, struct ctx *ctx, const struct str *parts,
		   size_t n, bool encoded, struct err *e)
{
	uint8_t prefix[RPC_PREFIX_BYTES];
	struct packed out = { 0 };
	size_t total = 0;
	for (size_t i = 0; i < n; i++)
		total += parts[i].n;
	if (total > UINT32_MAX)
		return err_set(ctx, e, E_LIMIT, "gRPC message of %zu bytes", total);
	rpc_frame_prefix(prefix, total);
	prefix[0] = encoded;
	size_t rest = total + sizeof(prefix);
	int rc = pack(call, ctx, &out, prefix, sizeof(prefix), rest, e);
	rest -= sizeof(prefix);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = pack(call, ctx, &out, parts[i].p, parts[i].n, rest, e);
		rest -= parts[i].n;
	}
	if (rc == 0)
		rc = link_chunks(call, ctx, out.head, out.tail, total + sizeof(prefix),
				 e);
	else
		free_chunks(out.head);
	return rc;
}

static bool waits(const struct rpc_call *call)
{
	return call->method->m.how != RPC_ON_LOOP && !call->method->watch;
}

int rpc_send(struct rpc_call *call, struct ctx *ctx, const struct str *parts, size_t n,
	     struct err *e)
{
	bool smaller;
	struct buf b;
	if (waits(call) && wait_room(call, ctx, e) < 0)
		return -1;
	if (call->out_enc == RPC_IDENTITY)
		return enqueue(call, ctx, parts, n, false, e);
	buf_init(&b, SIZE_MAX / 2);
	int rc = rpc_encode(call->out_enc, parts, n, call->ctx.budget, ctx, &b, &smaller,
			    e);
	if (rc == 0) {
		struct str whole = buf_view(&b);
		rc = enqueue(call, ctx, smaller ? &whole : parts, smaller ? 1 : n,
			     smaller, e);
	}
	buf_deinit(&b);
	return rc;
}

struct slab *rpc_call_slab(struct rpc_call *call, struct ctx *ctx, size_t cap,
			   struct err *e)
{
	return slab_try(call->ctx.budget, ctx, cap, e);
}

int rpc_send_slab(struct rpc_call *call, struct ctx *ctx, struct slab *s, size_t from,
		  struct err *e)
{
	size_t n = s->used - from;
	struct str part = str_n(s->data + from, n);
	int rc = -1;
	BUG_ON(from < RPC_PREFIX_BYTES || from > s->used);
	if (call->out_enc != RPC_IDENTITY) {
		rc = rpc_send(call, ctx, &part, 1, e);
	} else if (n > UINT32_MAX) {
		err_set(ctx, e, E_LIMIT, "gRPC message of %zu bytes", n);
	} else if (!waits(call) || wait_room(call, ctx, e) == 0) {
		from -= RPC_PREFIX_BYTES;
		rpc_frame_prefix(s->data + from, n);
		n += RPC_PREFIX_BYTES;
		struct rpc_chunk *c =
			chunk_new((struct view){ s->data + from, n, ref_get(&s->ref) });
		rc = link_chunks(call, ctx, c, &c->next, n, e);
	}
	ref_put(&s->ref);
	return rc;
}

void rpc_call_finish(struct rpc_call *call, enum rpc_code code, struct str text)
{
	pthread_mutex_lock(&call->mu);
	if (!call->finished) {
		call->finished = true;
		call->code = code;
		if (text.n) {
			size_t n = MIN(text.n, MAX_TEXT);
			call->text = xcalloc(1, n + 1);
			memcpy(call->text, text.p, n);
		}
		rouse(call);
	}
	pthread_mutex_unlock(&call->mu);
}

void rpc_call_count(struct rpc_call *call, enum rpc_code code, bool ran, struct str text)
{
	struct rpc_server_method *m = call->method;
	if (!m || (size_t)code >= RPC_N_CODES || atomic_exchange(&call->counted, true))
		return;
	metric_inc(m->handled[code]);
	if (ran)
		metric_observe(m->seconds, (double)(time_mono_ns() - call->start_ns) /
						   (double)NS_PER_S);
	if (m->logged)
		rpc_log_end(call, code, text);
}

/* ---- the loop's side ---- */

static nghttp2_nv nv(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value,
			     strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

/* The first headers of an answer; at most 4. */
static size_t head(const struct rpc_call *call, nghttp2_nv *v)
{
	size_t n = 0;
	v[n++] = nv(":status", "200");
	v[n++] = nv("content-type", "application/grpc");
	v[n++] = nv("grpc-accept-encoding", RPC_ACCEPT_ENCODING);
	if (call->out_enc != RPC_IDENTITY)
		v[n++] = nv("grpc-encoding", rpc_encoding_name(call->out_enc));
	return n;
}

/* nghttp2 copies the texts. */
static void submit_status(struct rpc_call *call, nghttp2_session *h2, bool head_too)
{
	struct buf text;
	char code[12];
	nghttp2_nv v[6];
	size_t n = 0;
	buf_init(&text, MAX_TEXT_CODED + 1);
	if (call->text)
		rpc_message_encode(str_of(call->text), &text);
	buf_byte(&text, 0);
	snprintf(code, sizeof(code), "%d", (int)call->code);
	if (head_too)
		n = head(call, v);
	v[n++] = nv("grpc-status", code);
	if (text.n > 1 && !text.failed)
		v[n++] = nv("grpc-message", (const char *)text.p);
	if (head_too)
		(void)nghttp2_submit_response(h2, call->id, v, n, NULL);
	else
		(void)nghttp2_submit_trailer(h2, call->id, v, n);
	buf_deinit(&text);
}

void rpc_call_write(struct rpc_call *call, size_t n)
{
	struct net_conn *conn = call->conn->s->conn;
	struct rpc_chunk *c;
	pthread_mutex_lock(&call->mu);
	call->queued -= n;
	call->moved_ns = time_mono_ns();
	while (n) {
		c = call->head;
		size_t k = MIN(n, c->v.n);
		if (!c->call) {
			atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
			c->call = call;
		}
		net_conn_write_view(conn, (struct view){ c->v.p, k, ref_get(&c->ref) });
		c->v.p += k;
		c->v.n -= k;
		n -= k;
		if (c->v.n)
			break;
		call->head = c->next;
		if (!call->head)
			call->tail = &call->head;
		ref_put(&c->ref); /* the stream has a reference to the call, too */
	}
	if (may_send(call))
		pthread_cond_signal(&call->cv);
	pthread_mutex_unlock(&call->mu);
}

/* Bytes stay in the queue until rpc_call_write, which nghttp2 calls for right afterwards, or when the connection has drained. */
static ssize_t next_out(nghttp2_session *h2, int32_t id, uint8_t *p, size_t n,
			uint32_t *flags, nghttp2_data_source *src, void *arg)
{
	struct rpc_call *call = nghttp2_session_get_stream_user_data(h2, id);
	(void)src, (void)arg, (void)p;
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	pthread_mutex_lock(&call->mu);
	size_t got = MIN(n, call->queued);
	bool end = call->finished && got == call->queued;
	bool defer = call->idle = !end && got == 0; /* else HTTP/2 asks again by itself */
	pthread_mutex_unlock(&call->mu);
	if (defer)
		return NGHTTP2_ERR_DEFERRED;
	if (got)
		*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (end) {
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		submit_status(call, h2, false);
	}
	return (ssize_t)got;
}

void rpc_call_start(struct rpc_call *call)
{
	nghttp2_session *h2 = call->conn->s->h2;
	pthread_mutex_lock(&call->mu);
	bool bare = call->finished && !call->head;
	call->idle = false;
	pthread_mutex_unlock(&call->mu);
	call->submitted = true;
	if (bare) {
		submit_status(call, h2, true);
		return;
	}
	nghttp2_nv v[4];
	size_t n = head(call, v);
	nghttp2_data_provider prd = { .read_callback = next_out };
	(void)nghttp2_submit_response(h2, call->id, v, n, &prd);
}

void rpc_call_end_stream(struct rpc_call *call)
{
	struct rpc_conn *c = call->conn;
	if (call->prev)
		call->prev->next = call->next;
	else
		c->calls = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->next = call->prev = NULL;
	call->conn = NULL;
	call->watched = 0;
	/* The token first: who learns from rpc_send that the client has left finds it cancelled. */
	pthread_mutex_lock(&call->mu);
	bool early = !call->finished;
	pthread_mutex_unlock(&call->mu);
	if (early)
		cancel_now(call->ctx.cancel, "client has left");
	if (early && rpc_bidi_is_idle(call))
		rpc_call_count(call, RPC_CANCELLED, false, STR("client has left"));
	pthread_mutex_lock(&call->mu);
	call->gone = true;
	struct rpc_chunk *rest = call->head;
	call->head = NULL;
	call->tail = &call->head;
	call->queued = 0;
	pthread_cond_broadcast(&call->cv);
	pthread_mutex_unlock(&call->mu);
	free_chunks(rest);
	rpc_call_unref(call);
}
