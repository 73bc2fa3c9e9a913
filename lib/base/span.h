/*
 * base/span.h - what took how long, for tracing: spans over the trace of a ctx.
 *
 * A request's trace begins where it enters the process (http, rpc): trace_begin takes over what the caller sent or draws new
 * numbers, and asks the sink whether the trace is recorded. Spans are begun and ended on one thread with the ctx
 * that they are given; in between, spans and calls under the same ctx (and its children) become their children.
 *
 *   struct span s;
 *   span_begin(&s, ctx, "promql_exec");
 *   span_str(&s, "query", text);
 *   rc = work(ctx, e);
 *   span_end(&s, rc < 0 ? e : NULL);
 *
 * Where nothing is recorded each of these is one comparison.
 * Thread  WORKER; the sink is SHARED
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include "base/ctx.h"

#define SPAN_ATTRS    8
#define SPAN_TEXT_MAX 256 /* of a text attribute: longer ones are cut */
#define SPAN_NAME_MAX 96
#define TRACEPARENT_N 55 /* characters of a traceparent header */

enum span_kind {
	SPAN_INTERNAL = 1,
	SPAN_SERVER = 2,
	SPAN_CLIENT = 3
}; /* OTLP's numbers */
struct span_attr {
	const char *key; /* static */
	bool is_int;
	int64_t i;
	char text[SPAN_TEXT_MAX];
};
struct span {
	struct ctx *ctx; /* NULL: not recorded */
	uint64_t id, parent;
	enum span_kind kind;
	int64_t start_ns, end_ns; /* wall clock */
	char name[SPAN_NAME_MAX];
	struct span_attr attr[SPAN_ATTRS];
	uint32_t n_attrs;
	const struct err *error; /* set for the sink; NULL: it went well */
};
struct trace_sink {
	/* Is a trace recorded? parent: another process' decision is in t->sampled. */
	bool (*sample)(struct trace_sink *s, const struct trace *t, bool has_parent);
	/* An ended span, valid during the call; never blocks. */
	void (*put)(struct trace_sink *s, const struct span *span);
};

/* The trace of a request that came in with this traceparent header (empty: none). sink NULL: no trace at all. */
void trace_begin(struct ctx *ctx, struct trace_sink *sink, struct str traceparent,
		 bool force);
/* W3C: "00-<trace>-<span>-<flags>"; false: malformed. */
bool trace_parse(struct str traceparent, struct trace *out);
/* The header for calls under ctx; false: nothing to tell. */
bool trace_format(const struct ctx *ctx, char out[TRACEPARENT_N + 1]);

void span_begin_kind(struct span *s, struct ctx *ctx, enum span_kind kind,
		     const char *name, struct str rest);
static inline void span_begin(struct span *s, struct ctx *ctx, const char *name)
{
	if (!ctx || !ctx->trace.sink || !ctx->trace.sampled)
		s->ctx = NULL;
	else
		span_begin_kind(s, ctx, SPAN_INTERNAL, name, STR_NULL);
}
void span_str(struct span *s, const char *key, struct str value);
void span_int(struct span *s, const char *key, int64_t value);
void span_end(struct span *s, const struct err *why); /* why NULL: it went well */

#endif
