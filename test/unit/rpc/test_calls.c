/*
 * Calls over real sockets, client and server of this module against each other.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "support/tst.h"
#include "world.h"

static uint64_t in_s(uint64_t s)
{
	return time_after_ns(s * NS_PER_S);
}

Test(rpc, unary_answers_on_worker_and_loop)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct buf out;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, in_s(20));
	const char *method[] = { "/t.T/Echo", "/t.T/Loop", "/t.T/Echo" };
	for (size_t i = 0; i < ARRAY_LEN(method); i++) {
		buf_init(&out, 1000);
		cr_assert(rpc_unary(w.ch, &ctx, method[i], STR("hello"), &out, &e) == 0,
			  "%s", err_text(&e));
		cr_assert(str_eqz(buf_view(&out), "hello"));
		buf_deinit(&out);
	}
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc, messages_of_all_sizes_arrive_in_order)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	static const struct {
		int n;
		size_t size;
	} row[] = { { 0, 0 },	   { 3, 0 },	   { 5000, 10 },
		    { 300, 5000 }, { 20, 300000 }, { 3, 5000001 } };
	world_start(&w, 0);
	ctx_init(&ctx, NULL, in_s(60));
	for (size_t i = 0; i < ARRAY_LEN(row); i++)
		cr_assert(world_count(&w, &ctx, row[i].n, row[i].size, &e) == 0, "%s",
			  err_text(&e));
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc, message_larger_than_the_window_completes)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	world_start(&w, 64 << 10);
	ctx_init(&ctx, NULL, in_s(60));
	cr_assert(world_count(&w, &ctx, 3, 3u << 20, &e) == 0, "%s", err_text(&e));
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc, reader_that_stops_stops_the_writer_but_not_its_connection)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	int rc, got = 0;
	world_start(&w, 64 << 10);
	ctx_init(&ctx, NULL, in_s(60));
	struct rpc_call_opts o = { .window_min = 128 << 10, .window_max = 128 << 10 };
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Count", STR("4000 10000"), &o, &s, &e) == 0);
	cr_assert(world_until(&w.big_sent, 20));
	nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	int sent = atomic_load(&w.big_sent);
	cr_assert(sent < 500, "%d messages left the handler", sent);
	cr_assert(rpc_stream_held(s) <= (256 << 10), "%zu", rpc_stream_held(s));
	/* The others on the same connection go on. */
	cr_assert(world_count(&w, &ctx, 100, 30000, &e) == 0, "%s", err_text(&e));
	while ((rc = rpc_recv(s, &ctx, &v, &e)) > 0) {
		got++;
		rpc_release(s, &v);
	}
	cr_assert(rc == 0 && got == 4000, "%d %d", rc, got);
	rpc_stream_close(s);
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* As a merge does, which looks at the next message before it gives one back: however large both are. */
Test(rpc, a_reader_that_holds_a_message_gets_one_larger_than_the_window)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v[2] = { { 0 }, { 0 } };
	int rc, got = 0;
	world_start(&w, 64 << 10);
	ctx_init(&ctx, NULL, in_s(10));
	struct rpc_call_opts o = { .window_min = 128 << 10, .window_max = 128 << 10 };
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Count", STR("20 1000000"), &o, &s, &e) == 0);
	while ((rc = rpc_recv(s, &ctx, &v[got & 1], &e)) > 0) {
		got++;
		if (got > 1)
			rpc_release(s, &v[got & 1]);
	}
	cr_assert(rc == 0 && got == 20, "%d messages: %s", got, err_text(&e));
	rpc_release(s, &v[(got + 1) & 1]);
	rpc_stream_close(s);
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* What nobody reads is more than the connection's window: it is credited when bytes arrive, not when they are read. */
Test(rpc, paused_streams_that_hold_more_than_the_connections_window_starve_nobody)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s[3];
	world_start(&w, 0);
	rpc_channel_free(w.ch);
	struct rpc_channel_opts co = { .loop = w.client_loop,
				       .stream_window = 256 << 10,
				       .conn_window = 64 << 10 };
	cr_assert(rpc_channel_new(&co, str_of(w.addr), w.reg, &w.ch, &e) == 0);
	ctx_init(&ctx, NULL, in_s(60));
	for (int i = 0; i < 3; i++)
		cr_assert(rpc_open(w.ch, &ctx, "/t.T/Count", STR("4000 10000"), NULL,
				   &s[i], &e) == 0);
	for (int i = 0; i < 3; i++) {
		for (int k = 0; k < 5000 && rpc_stream_held(s[i]) < (256 << 10); k++)
			nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
		cr_assert(rpc_stream_held(s[i]) >= (256 << 10), "%d: %zu", i,
			  rpc_stream_held(s[i]));
	}
	cr_assert(world_count(&w, &ctx, 100, 30000, &e) == 0, "%s", err_text(&e));
	for (int i = 0; i < 3; i++)
		rpc_stream_close(s[i]);
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc, deadline_travels_and_ends_the_wait)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct buf out;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(300 * NS_PER_MS));
	buf_init(&out, 1000);
	cr_assert(rpc_unary(w.ch, &ctx, "/t.T/Hang", STR("x"), &out, &e) < 0);
	cr_assert(e.code == E_TIMEOUT, "%s", err_text(&e));
	cr_assert(world_until(&w.cancelled, 1));
	int left = atomic_load(&w.left_ms);
	cr_assert(left > 0 && left <= 301, "%d", left);
	buf_deinit(&out);
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc, close_at_the_client_cancels_the_handlers_token)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, in_s(20));
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Hang", STR("x"), NULL, &s, &e) == 0);
	cr_assert(rpc_recv(s, &ctx, &v, &e) == 1);
	cr_assert(atomic_load(&w.left_ms) > 10000); /* grpc-timeout of 20 s arrived */
	rpc_release(s, &v);
	rpc_stream_close(s);
	cr_assert(world_until(&w.cancelled, 1));
	cr_assert(atomic_load(&w.cancelled) == 1);
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc, send_to_a_client_that_left_is_cancelled)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, in_s(20));
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Count", STR("100000 10000"), NULL, &s, &e) ==
		  0);
	cr_assert(world_until(&w.big_sent, 10));
	rpc_stream_close(s);
	cr_assert(world_until(&w.ended, 1));
	cr_assert(atomic_load(&w.ended) == E_CANCELLED);
	ctx_deinit(&ctx);
	world_stop(&w);
}

static const char odd_text[] = "50% \xc3\xbc\nx";

Test(rpc, status_and_text_of_a_failure_arrive)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	struct str meta[2] = { STR("x-test"), STR("seen") };
	struct rpc_call_opts o = { .meta = meta, .n_meta = 2 };
	world_start(&w, 0);
	ctx_init(&ctx, NULL, in_s(20));
	struct str odd = str_of(odd_text); /* a % in cr_assert is taken for a format */
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Fail", odd, &o, &s, &e) == 0);
	cr_assert(rpc_recv(s, &ctx, &v, &e) < 0);
	cr_assert(e.code == E_NOT_FOUND);
	cr_assert(rpc_stream_code(s) == RPC_NOT_FOUND);
	cr_assert(strstr(err_text(&e), odd_text) != NULL, "%s", err_text(&e));
	cr_assert(strstr(err_text(&e), "|seen") != NULL, "%s", err_text(&e));
	rpc_stream_close(s);
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Nope", STR(""), NULL, &s, &e) == 0);
	cr_assert(rpc_recv(s, &ctx, &v, &e) < 0);
	cr_assert(rpc_stream_code(s) == RPC_UNIMPLEMENTED);
	cr_assert(strstr(err_text(&e), "/t.T/Nope") != NULL, "%s", err_text(&e));
	rpc_stream_close(s);
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* The form that Thanos shows in warnings; nothing is cut, as peers chain long texts. */
Test(rpc, text_of_a_failure_is_whole_and_of_gos_form)
{
	static const char want[] = "rpc error: code = NotFound desc = ";
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct buf out;
	char sent[3000];
	world_start(&w, 0);
	ctx_init(&ctx, NULL, in_s(20));
	memset(sent, 'm', sizeof(sent));
	buf_init(&out, 100);
	cr_assert(rpc_unary(w.ch, &ctx, "/t.T/Fail", str_n(sent, sizeof(sent)), &out,
			    &e) < 0);
	const char *text = err_text(&e);
	cr_assert(strncmp(text, want, sizeof(want) - 1) == 0, "%.60s", text);
	cr_assert_eq(strlen(text), sizeof(want) - 1 + sizeof(sent) + 1);
	cr_assert(memcmp(text + sizeof(want) - 1, sent, sizeof(sent)) == 0);
	cr_assert(rpc_unary(w.ch, &ctx, "/t.T/Fail", STR("short"), &out, &e) < 0);
	cr_assert(strcmp(err_text(&e), "rpc error: code = NotFound desc = short|") == 0,
		  "%s", err_text(&e));
	buf_deinit(&out);
	ctx_deinit(&ctx);
	world_stop(&w);
}

Test(rpc, refusal_of_a_request_that_still_arrives_keeps_its_status)
{
	struct world w;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	size_t n = 6u << 20;
	char *big = calloc(1, n);
	world_start(&w, 0);
	ctx_init(&ctx, NULL, in_s(20));
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Nope", str_n(big, n), NULL, &s, &e) == 0);
	cr_assert(rpc_recv(s, &ctx, &v, &e) < 0);
	cr_assert(rpc_stream_code(s) == RPC_UNIMPLEMENTED, "%s", err_text(&e));
	rpc_stream_close(s);
	free(big);
	ctx_deinit(&ctx);
	world_stop(&w);
}
