/*
 * rpc/rpc_log.c - lines about calls, their fields named as go-grpc-middleware's are, which Thanos uses.
 */
#include <stdio.h>

#include "base/time.h"
#include "base/ulid.h"
#include "conf/request_log.h"
#include "rpc/rpc_server_int.h"

struct texts {
	char trace[33], start[40], deadline[40], ms[32];
};

/* A time of the monotonic clock by the wall's, to the second. */
static struct str wall(char out[40], uint64_t mono_ns)
{
	int64_t ns = time_wall_ns() + (int64_t)(mono_ns - time_mono_ns());
	return str_n(out, time_format_rfc3339(out, ns / (int64_t)NS_PER_S, 0, 0));
}

/* What both lines have; returns their number. */
static size_t fields(const struct rpc_call *call, struct texts *t, const char *msg,
		     struct log_field *v)
{
	const char *path = call->method->m.path;
	const struct trace *trace = &call->ctx.trace;
	struct str service, method, id = rpc_call_meta(call, "request-id");
	size_t n = 0;
	(void)rpc_path_split(str_of(path), &service, &method);
	v[n++] = (struct log_field){ "service", STR("gRPC/server") };
	v[n++] = (struct log_field){ "component", str_of(call->srv->o.log->component) };
	v[n++] = (struct log_field){ "msg", str_of(msg) };
	if (trace->sampled && (trace->id_hi || trace->id_lo)) {
		snprintf(t->trace, sizeof(t->trace), "%016llx%016llx",
			 (unsigned long long)trace->id_hi,
			 (unsigned long long)trace->id_lo);
		v[n++] = (struct log_field){ "traceID", str_of(t->trace) };
	}
	v[n++] = (struct log_field){ "requestID", id.n ? id : str_of(call->request_id) };
	v[n++] = (struct log_field){ "protocol", STR("grpc") };
	v[n++] = (struct log_field){ "grpc.component", STR("server") };
	v[n++] = (struct log_field){ "grpc.service", service };
	v[n++] = (struct log_field){ "grpc.method", method };
	v[n++] = (struct log_field){ "grpc.method_type", rpc_path_type(str_of(path)) };
	v[n++] = (struct log_field){ "peer.address", str_of(call->peer) };
	v[n++] = (struct log_field){ "grpc.start_time", wall(t->start, call->start_ns) };
	if (call->ctx.deadline_ns)
		v[n++] = (struct log_field){ "grpc.request.deadline",
					     wall(t->deadline, call->ctx.deadline_ns) };
	return n;
}

static struct log_field took(const struct rpc_call *call, struct texts *t)
{
	return (struct log_field){
		"grpc.time_ms", request_log_ms(t->ms, time_mono_ns() - call->start_ns)
	};
}

void rpc_log_start(struct rpc_call *call)
{
	const struct request_log *l = call->srv->o.log;
	struct log_field v[18];
	struct texts t;
	struct ulid u;
	if (rpc_call_meta(call, "request-id").n == 0) {
		ulid_new(&u, time_wall_ms());
		ulid_format(&u, call->request_id);
	}
	if (!l->start || !request_log_wants(l, LOG_DEBUG))
		return;
	size_t n = fields(call, &t, "started call", v);
	v[n++] = took(call, &t);
	log_fields(LOG_DEBUG, v, n);
}

/* Those that tell of a fault of the server. */
static bool is_severe(enum rpc_code code)
{
	return code == RPC_UNKNOWN || code == RPC_UNIMPLEMENTED || code == RPC_INTERNAL ||
	       code == RPC_DATA_LOSS;
}

void rpc_log_end(const struct rpc_call *call, enum rpc_code code, struct str text)
{
	enum log_level level = is_severe(code) ? LOG_ERROR : LOG_DEBUG;
	struct log_field v[18];
	struct texts t;
	struct buf why;
	if (!request_log_wants(call->srv->o.log, level))
		return;
	buf_init(&why, SIZE_MAX);
	size_t n = fields(call, &t, "finished call", v);
	v[n++] = (struct log_field){ "grpc.code", str_of(rpc_code_name(code)) };
	if (code != RPC_OK) {
		buf_fmt(&why, "rpc error: code = %s desc = %.*s", rpc_code_name(code),
			STR_FMT(text));
		v[n++] = (struct log_field){ "grpc.error", buf_view(&why) };
	}
	v[n++] = took(call, &t);
	log_fields(level, v, n);
	buf_deinit(&why);
}
