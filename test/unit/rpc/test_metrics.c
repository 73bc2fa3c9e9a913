/*
 * The metrics that dashboards of go-grpc servers and clients ask for: each call counted once, whatever its end.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "rpc/rpc_int.h"
#include "support/tst.h"
#include "world.h"

/* The value of a line of /metrics; -1: there is none. */
static double value(struct world *w, const char *line)
{
	struct buf b;
	double v = -1;
	buf_init(&b, 1 << 22);
	metric_write_text(w->reg, false, &b);
	ptrdiff_t at = str_find(buf_view(&b), str_of(line));
	if (at >= 0)
		v = strtod((const char *)b.p + at + strlen(line), NULL);
	buf_deinit(&b);
	return v;
}

static bool becomes(struct world *w, const char *line, double want)
{
	for (int i = 0; i < 2000 && value(w, line) != want; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	return value(w, line) == want;
}

#define LABELS(m)                                                                        \
	"{grpc_method=\"" m "\",grpc_service=\"t.T\",grpc_type=\"server_stream\"} "
#define ENDED(code, m)                                                                   \
	"{grpc_code=\"" code "\",grpc_method=\"" m                                       \
	"\",grpc_service=\"t.T\",grpc_type=\"server_stream\"} "

Test(metrics, go_grpc_names)
{
	struct world w;
	struct ctx ctx;
	struct err e = ERR_INIT;
	struct rpc_stream *s;
	struct view v;
	struct buf b;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(30 * NS_PER_S));
	buf_init(&b, 1000);
	cr_assert(world_count(&w, &ctx, 7, 10, &e) == 0);
	cr_assert(rpc_unary(w.ch, &ctx, "/t.T/Fail", STR("x"), &b, &e) < 0);
	/* one that its client leaves while the handler runs */
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Hang", STR("y"), NULL, &s, &e) == 0);
	cr_assert(rpc_recv(s, &ctx, &v, &e) > 0);
	rpc_release(s, &v);
	rpc_stream_close(s);

	static const struct {
		const char *line;
		double want;
	} t[] = {
		{ "grpc_server_started_total" LABELS("Count"), 1 },
		{ "grpc_server_msg_received_total" LABELS("Count"), 1 },
		{ "grpc_server_msg_sent_total" LABELS("Count"), 7 },
		{ "grpc_server_handled_total" ENDED("OK", "Count"), 1 },
		{ "grpc_server_handling_seconds_count" LABELS("Count"), 1 },
		{ "grpc_client_started_total" LABELS("Count"), 1 },
		{ "grpc_client_msg_sent_total" LABELS("Count"), 1 },
		{ "grpc_client_msg_received_total" LABELS("Count"), 7 },
		{ "grpc_client_handled_total" ENDED("OK", "Count"), 1 },
		{ "grpc_client_handling_seconds_count" LABELS("Count"), 1 },
		{ "grpc_server_handled_total" ENDED("NotFound", "Fail"), 1 },
		{ "grpc_server_msg_sent_total" LABELS("Fail"), 0 },
		{ "grpc_client_handled_total" ENDED("NotFound", "Fail"), 1 },
		{ "grpc_server_handled_total" ENDED("Canceled", "Hang"), 1 },
		{ "grpc_server_handling_seconds_count" LABELS("Hang"), 1 },
		{ "grpc_client_handled_total" ENDED("Canceled", "Hang"), 1 },
		{ "grpc_req_panics_recovered_total ", 0 },
		/* types by the declared services, and cells before the first call */
		{ "grpc_server_started_total{grpc_method=\"Check\",grpc_service=\"grpc.health.v1."
		  "Health\",grpc_type=\"unary\"} ",
		  0 },
		{ "grpc_server_started_total{grpc_method=\"ServerReflectionInfo\",grpc_service="
		  "\"grpc.reflection.v1.ServerReflection\",grpc_type=\"bidi_stream\"} ",
		  0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		cr_assert(becomes(&w, t[i].line, t[i].want), "%s: %f", t[i].line,
			  value(&w, t[i].line));
	buf_deinit(&b);
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* A call that ends before its request is whole was started, so it is handled, too: as cancelled. */
Test(metrics, calls_that_never_ran)
{
	struct world w;
	struct ctx ctx;
	struct err e = ERR_INIT;
	struct rpc_stream *s;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(30 * NS_PER_S));
	cr_assert(rpc_open(w.ch, &ctx, RPC_HEALTH_WATCH, STR(""), NULL, &s, &e) == 0);
	struct view v;
	cr_assert(rpc_recv(s, &ctx, &v, &e) > 0);
	rpc_release(s, &v);
	rpc_stream_close(s);
	cr_assert(becomes(&w,
			  "grpc_server_handled_total{grpc_code=\"Canceled\",grpc_method="
			  "\"Watch\",grpc_service=\"grpc.health.v1.Health\",grpc_type="
			  "\"server_stream\"} ",
			  1));
	ctx_deinit(&ctx);
	world_stop(&w);
}
