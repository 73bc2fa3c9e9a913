/*
 * rpc/rpc_server_h2.c - the server's half of a connection: requests in.
 *
 * A call begins with its headers, gathers one message (credit is given back at once: it is bounded by
 * LIMIT_RPC_REQUEST_BYTES and charged to the call as it arrives), and is handed to its handler when
 * the client has ended its half. What can be refused is refused as soon as it is known, by an answer
 * of headers only; the session then tells the client by RST_STREAM(NO_ERROR) that the rest is not
 * wanted.
 */
#include <stdio.h>

#include "base/span.h"
#include "base/limits.h"
#include "base/time.h"
#include "rpc/rpc_server_int.h"
#include "rpc/rpc_server_h2.h"

static struct rpc_call *call_of(struct h2_session *s, int32_t id)
{
	return nghttp2_session_get_stream_user_data(s->h2, id);
}

static void on_begin(struct h2_session *s, int32_t id)
{
	struct rpc_call *call = rpc_call_new(s->owner, id);
	nghttp2_session_set_stream_user_data(s->h2, id, call);
}

static void on_header(struct h2_session *s, int32_t id, struct str name, struct str value)
{
	struct rpc_call *call = call_of(s, id);
	if (!call || call->checked)
		return;
	buf_str(&call->meta, name);
	buf_byte(&call->meta, 0);
	buf_str(&call->meta, value);
	buf_byte(&call->meta, 0);
}

static void refuse(struct rpc_call *call, enum rpc_code code, const char *text)
{
	if (call->decided)
		return;
	call->decided = true;
	rpc_call_count(call, code, false, str_of(text));
	rpc_frame_deinit(&call->in);
	rpc_call_finish(call, code, str_of(text));
}

/* Not gRPC at all: a plain HTTP status. */
static void refuse_http(struct rpc_call *call, const char *status)
{
	struct h2_session *s = call->conn->s;
	nghttp2_nv nv = { (uint8_t *)(uintptr_t) ":status", (uint8_t *)(uintptr_t)status,
			  7, 3, NGHTTP2_NV_FLAG_NONE };
	call->decided = call->submitted = true;
	(void)nghttp2_submit_response(s->h2, call->id, &nv, 1, NULL);
}

/* Answers are encoded as the request is, but those of watchers, which leave from the loop. */
static void agree_encoding(struct rpc_call *call)
{
	struct str name = rpc_call_header(call, STR("grpc-encoding"));
	struct str accept = rpc_call_header(call, STR("grpc-accept-encoding"));
	if (!rpc_encoding_parse(name, &call->in_enc)) {
		char text[160];
		snprintf(text, sizeof(text),
			 "messages encoded as \"%.*s\" are not understood",
			 (int)MIN(name.n, 64u), name.p);
		refuse(call, RPC_UNIMPLEMENTED, text);
		return;
	}
	if (call->in_enc == RPC_IDENTITY)
		return;
	call->in.tagged = true;
	if (!call->method->watch &&
	    (accept.n == 0 || rpc_encoding_in(accept, call->in_enc)))
		call->out_enc = call->in_enc;
}

static void check_headers(struct rpc_call *call)
{
	struct rpc_server *srv = call->srv;
	if (call->meta.failed) {
		refuse(call, RPC_RESOURCE_EXHAUSTED, "request headers are too large");
		return;
	}
	if (!str_eqz(rpc_call_header(call, STR(":method")), "POST")) {
		refuse_http(call, "405");
		return;
	}
	if (!str_has_prefix(rpc_call_header(call, STR("content-type")),
			    STR("application/grpc"))) {
		refuse_http(call, "415");
		return;
	}
	struct str path = rpc_call_header(call, STR(":path"));
	call->method = map_get(&srv->by_path, path);
	if (!call->method) {
		char text[256];
		snprintf(text, sizeof(text), "unknown method %.*s",
			 (int)MIN(path.n, 200u), path.p);
		refuse(call, RPC_UNIMPLEMENTED, text);
		return;
	}
	metric_inc(call->method->started);
	struct str timeout = rpc_call_header(call, STR("grpc-timeout"));
	uint64_t ns;
	if (timeout.n && !rpc_timeout_parse(timeout, &ns))
		refuse(call, RPC_INTERNAL, "malformed grpc-timeout");
	else if (timeout.n)
		call->ctx.deadline_ns = time_after_ns(ns);
	if (atomic_load(&srv->stopping))
		refuse(call, RPC_UNAVAILABLE, "server is stopping");
	agree_encoding(call);
	if (call->method->logged && !call->decided)
		rpc_log_start(call);
}

static void run(void *arg)
{
	struct rpc_call *call = arg;
	struct err e = ERR_INIT;
	const struct rpc_method *m = &call->method->m;
	struct span span = { 0 };
	enum rpc_code code = RPC_OK;
	call->ctx.tenant = rpc_call_meta(call, "thanos-tenant");
	call->ctx.request_id = call->request_id[0] ? str_of(call->request_id)
						   : rpc_call_meta(call, "request-id");
	if (call->srv->o.trace && m->how != RPC_ON_LOOP) {
		trace_begin(&call->ctx, call->srv->o.trace,
			    rpc_call_meta(call, "traceparent"), false);
		span_begin_kind(&span, &call->ctx, SPAN_SERVER, m->path, STR_NULL);
	}
	int rc = rpc_call_untag(call, &call->request, &code, &e);
	if (rc == 0) {
		rc = m->handle(m->arg, &call->ctx, call,
			       str_n(call->request.p, call->request.n), &e);
		code = rc < 0 ? rpc_code_of_err(e.code) : RPC_OK;
	}
	if (rc < 0 && code == RPC_OK)
		code = RPC_UNKNOWN;
	span_int(&span, "rpc.grpc.status_code", (int64_t)code);
	span_end(&span, rc < 0 ? &e : NULL);
	view_put(&call->request);
	if (call->fill)
		ref_put(&call->fill->ref);
	call->fill = NULL;
	struct str text = rc < 0 ? str_of(err_text(&e)) : STR_NULL;
	rpc_call_count(call, code, true, text);
	rpc_call_finish(call, code, text);
	rpc_call_unref(call);
}

void rpc_health_push(struct rpc_call *call)
{
	struct str service;
	struct err e = ERR_INIT;
	uint8_t msg[2];
	if (rpc_health_request(str_n(call->request.p, call->request.n), &service, &e) <
	    0) {
		rpc_call_finish(call, RPC_INVALID_ARGUMENT, str_of(err_text(&e)));
		call->watched = 0;
		return;
	}
	int now = (int)rpc_health_of(call->srv, service);
	if (now == call->watched)
		return;
	call->watched = now;
	struct str part = str_n(msg, rpc_health_answer(msg, (enum rpc_health_status)now));
	if (rpc_send(call, &call->ctx, &part, 1, &e) < 0)
		rpc_call_finish(call, rpc_code_of_err(e.code), str_of(err_text(&e)));
}

static void watch(void *arg)
{
	struct rpc_call *call = arg;
	if (call->conn)
		rpc_health_push(call);
	rpc_call_unref(call);
}

static void decode_watch(void *arg)
{
	struct rpc_call *call = arg;
	struct err e = ERR_INIT;
	enum rpc_code code;
	if (rpc_call_untag(call, &call->request, &code, &e) == 0) {
		loop_post(call->loop, watch, call);
		return;
	}
	rpc_call_count(call, code, true, str_of(err_text(&e)));
	rpc_call_finish(call, code, str_of(err_text(&e)));
	rpc_call_unref(call);
}

/* Encoded messages are decoded by workers, whoever handles them. */
static void hand_over(struct rpc_call *call)
{
	struct err e = ERR_INIT;
	bool encoded = call->in_enc != RPC_IDENTITY, is_watch = call->method->watch;
	if (is_watch && !encoded) {
		rpc_health_push(call);
		return;
	}
	atomic_fetch_add(&call->refs, 1);
	call->in_running = !is_watch;
	if (call->method->m.how == RPC_ON_LOOP && !encoded) {
		run(call);
	} else if (task_request(call->srv->pool, is_watch ? decode_watch : run, call,
				&e) < 0) {
		call->in_running = false;
		rpc_call_unref(call);
		view_put(&call->request);
		call->decided = false;
		refuse(call, RPC_RESOURCE_EXHAUSTED, err_text(&e));
	}
}

static void dispatch(struct rpc_call *call)
{
	if (call->decided)
		return;
	if (call->method->m.how == RPC_BIDI) {
		if (rpc_frame_is_partial(&call->in))
			refuse(call, RPC_INTERNAL, "request message is cut short");
		else
			rpc_bidi_end(call);
		return;
	}
	if (!call->has_request || rpc_frame_is_partial(&call->in)) {
		refuse(call, RPC_INTERNAL,
		       call->has_request ? "request has more than one message"
		       : rpc_frame_is_partial(&call->in) ? "request message is cut short"
							 : "request message is missing");
		return;
	}
	call->decided = true;
	rpc_frame_deinit(&call->in);
	metric_inc(call->method->received);
	hand_over(call);
}

static void on_headers(struct h2_session *s, int32_t id, bool end)
{
	struct rpc_call *call = call_of(s, id);
	if (!call)
		return;
	if (!call->checked) {
		call->checked = true;
		check_headers(call);
	}
	if (end)
		dispatch(call);
}

static void on_data(struct h2_session *s, int32_t id, const uint8_t *p, size_t n)
{
	struct rpc_call *call = call_of(s, id);
	struct err e = ERR_INIT;
	struct view v;
	int rc = 0;
	if (!call || call->decided)
		return;
	call->owed += n;
	while (n && (rc = rpc_frame_next(&call->in, &p, &n, &v, &e)) > 0) {
		if (call->method->m.how == RPC_BIDI) {
			metric_inc(call->method->received);
			if (rpc_bidi_message(call, v, &e) == 0)
				continue;
			refuse(call, RPC_RESOURCE_EXHAUSTED, err_text(&e));
			return;
		}
		if (call->has_request) {
			view_put(&v);
			refuse(call, RPC_INTERNAL, "request has more than one message");
			return;
		}
		call->request = v;
		call->has_request = true;
	}
	if (rc < 0) {
		refuse(call, e.code == E_LIMIT ? RPC_RESOURCE_EXHAUSTED : RPC_INTERNAL,
		       err_text(&e));
		return;
	}
	if (rpc_bidi_may_credit(call))
		h2_session_credit(s, id, &call->owed);
}

static void on_end(struct h2_session *s, int32_t id)
{
	struct rpc_call *call = call_of(s, id);
	if (call)
		dispatch(call);
}

static void on_stream_close(struct h2_session *s, int32_t id, uint32_t h2_error)
{
	struct rpc_call *call = call_of(s, id);
	(void)h2_error;
	if (!call)
		return;
	nghttp2_session_set_stream_user_data(s->h2, id, NULL);
	rpc_call_end_stream(call);
}

/* What half a request holds is held for so long only. */
static void on_tick(struct h2_session *s, uint64_t now)
{
	struct rpc_conn *c = s->owner;
	for (struct rpc_call *call = c->calls; call; call = call->next)
		if (!call->decided && now - call->start_ns >= c->srv->stall_ns &&
		    !(call->method && call->method->m.how == RPC_BIDI))
			refuse(call, RPC_DEADLINE_EXCEEDED,
			       "request is not whole in time");
}

static void write_data(struct h2_session *s, int32_t id, size_t n)
{
	rpc_call_write(call_of(s, id), n);
}

const struct h2_session_ops rpc_server_h2_ops = {
	.on_begin = on_begin,
	.on_header = on_header,
	.on_headers = on_headers,
	.on_data = on_data,
	.on_end = on_end,
	.on_stream_close = on_stream_close,
	.on_gone = rpc_server_on_gone,
	.on_tick = on_tick,
	.write_data = write_data,
};
