/*
 * trace/trace.h - spans to an OpenTelemetry collector: OTLP over HTTP or gRPC.
 *
 * Spans wait in a bounded queue (2048; more are dropped and counted) and go out 512 at a time, or each 5 s. A collector
 * that is away costs nothing but its spans.
 *
 * Thread  SHARED: any thread puts; one bulk task sends
 * Source  opentelemetry.io, OTLP 1.x; W3C Trace Context; thanos.md §5 "Tracing"
 */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include "base/span.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "task/task.h"

struct tracer;
struct tracer_opts {
	struct str yaml;  /* --tracing.config; empty: tracing is off */
	const char *what; /* names the flag in errors */
	const char *
		component; /* "query": service.name where the file gives none is "thanos-query" */
	const char *version;
	struct loops *loops;
	struct task_pool *pool;
	struct metric_registry *metrics;
};
/* *out is NULL where tracing is off. E_INVALID names line and column of the file. */
MUST_CHECK int tracer_open(const struct tracer_opts *o, struct tracer **out,
			   struct err *e);
struct trace_sink *tracer_sink(struct tracer *t); /* NULL for NULL */
void tracer_close(struct tracer *t); /* sends what waits, at most 2 s; NULL allowed */

#endif
