/*
 * Lines about calls: which, at which level, with which fields; the request id goes on to the next server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/time.h"
#include "conf/request_log.h"
#include "support/tst.h"
#include "world.h"

static char text[1 << 16];

/* One Count and one Fail, with this request id; `text` is what was logged. */
static void call(const struct request_log *log, const char *id)
{
	struct world w;
	struct ctx ctx;
	struct err e = ERR_INIT;
	struct buf b;
	FILE *f = tmpfile();
	const struct rpc_server_opts o = { .log = log };
	world_start_opts(&w, 0, &o);
	ctx_init(&ctx, NULL, time_after_ns(30 * NS_PER_S));
	ctx.request_id = str_of(id);
	buf_init(&b, 1000);
	log_setup(LOG_DEBUG, LOG_LOGFMT, fileno(f));
	cr_assert(world_count(&w, &ctx, 2, 10, &e) == 0, "%s", err_text(&e));
	cr_assert(rpc_unary(w.ch, &ctx, "/t.T/Fail", STR("no\nsuch"), &b, &e) < 0);
	cr_assert(rpc_unary(w.ch, &ctx, "/t.T/Nowhere", STR("x"), &b, &e) < 0);
	buf_deinit(&b);
	ctx_deinit(&ctx);
	world_stop(&w);
	log_setup(LOG_INFO, LOG_LOGFMT, STDERR_FILENO);
	rewind(f);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
}

static int count(const char *what)
{
	int n = 0;
	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

#define HAS(what) cr_assert_not_null(strstr(text, what), "%s\n%s", what, text)

Test(rpc_log, start_and_end_have_the_peers_fields)
{
	const struct request_log all = {
		.min = LOG_DEBUG, .start = true, .end = true, .component = "store"
	};
	call(&all, "abc");
	cr_assert_eq(count("msg=\"started call\""), 2, "%s", text);
	cr_assert_eq(count("msg=\"finished call\""), 2, "%s", text);
	HAS(" level=debug service=gRPC/server component=store msg=\"started call\" requestID=abc protocol=grpc "
	    "grpc.component=server grpc.service=t.T grpc.method=Count grpc.method_type=server_stream "
	    "peer.address=127.0.0.1:");
	HAS(" grpc.start_time=20");
	HAS(" grpc.request.deadline=20");
	HAS(" grpc.code=OK grpc.time_ms=");
	HAS(" grpc.method=Fail ");
	HAS(" grpc.code=NotFound grpc.error=\"rpc error: code = NotFound desc = no\\nsuch|\" grpc.time_ms=");
	call(&all, "");
	const char *id = strstr(text, "requestID=");
	cr_assert(id && id[10 + 26] == ' ', "%s", text);
	char own[38];
	snprintf(own, sizeof(own), "%.37s", id);
	cr_assert_eq(count(own), 2, "one id, made here, on both lines: %s", text);
}

Test(rpc_log, the_level_counts)
{
	const struct request_log severe = {
		.min = LOG_ERROR, .start = true, .end = true, .component = "store"
	};
	call(&severe, "abc");
	cr_assert_eq(count(" call\""), 0, "%s", text);
}

Test(rpc_log, only_the_end_and_only_what_is_chosen)
{
	struct request_log_row rows[] = { { STR("/t.T/Fail"), 0 } };
	const struct request_log some = { .min = LOG_DEBUG,
					  .end = true,
					  .rows = rows,
					  .n_rows = 1,
					  .component = "store" };
	call(&some, "abc");
	cr_assert_eq(count(" call\""), 1, "%s", text);
	HAS(" msg=\"finished call\" requestID=abc ");
	HAS(" grpc.method=Fail ");
	call(NULL, "abc");
	cr_assert_eq(count(" call\""), 0, "%s", text);
}
