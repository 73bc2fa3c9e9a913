/*
 * How far a stream is let go ahead: little, unless the line is long.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/time.h"
#include "line.h"
#include "rpc/rpc_client_int.h"
#include "support/tst.h"
#include "world.h"

#define BASE ((size_t)256 << 10)

/* All messages of 32 KiB, each looked at for so long; how many. */
static int read_all(struct rpc_stream *s, struct ctx *ctx, useconds_t pause_us)
{
	struct err e = ERR_INIT;
	struct view v;
	int n = 0, rc;
	while ((rc = rpc_recv(s, ctx, &v, &e)) > 0) {
		if (pause_us)
			usleep(pause_us);
		rpc_release(s, &v);
		n++;
	}
	cr_assert(rc == 0, "%s", err_text(&e));
	return n;
}

/* The window that a stream of n messages ended with. */
static size_t window_after(struct world *w, struct budget *b, int n, useconds_t pause_us)
{
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct rpc_stream *s;
	char text[32];
	snprintf(text, sizeof(text), "%d 32768", n);
	ctx_init(&ctx, NULL, time_after_ns(60 * NS_PER_S));
	ctx.budget = b;
	cr_assert(rpc_open(w->ch, &ctx, "/t.T/Count", str_of(text), NULL, &s, &e) == 0);
	cr_assert(read_all(s, &ctx, pause_us) == n);
	size_t window = s->window.now; /* the loop is done with it */
	rpc_stream_close(s);
	ctx_deinit(&ctx);
	return window;
}

static void long_line(struct world *w, struct line **l)
{
	struct err e = ERR_INIT;
	world_start(w, 0);
	rpc_channel_free(w->ch);
	*l = line_new(w->addr, sizeof(w->addr), 15 * NS_PER_MS);
	struct rpc_channel_opts o = { .loop = w->client_loop };
	cr_assert(rpc_channel_new(&o, str_of(w->addr), w->reg, &w->ch, &e) == 0);
}

Test(rpc, a_long_line_is_given_a_larger_window_and_the_next_stream_begins_with_it)
{
	struct world w;
	struct line *l;
	long_line(&w, &l);
	size_t first = window_after(&w, NULL, 600, 0);
	cr_assert(first >= 4 * BASE, "%zu", first);
	size_t second = window_after(&w, NULL, 20, 0);
	cr_assert(second >= first / 2, "%zu after %zu", second, first);
	world_stop(&w);
	line_free(l);
}

Test(rpc, a_window_takes_an_eighth_of_what_is_left_of_the_budget_at_most)
{
	struct world w;
	struct line *l;
	struct budget b;
	long_line(&w, &l);
	budget_init(&b, NULL, "test", "", 24 * BASE);
	size_t n = window_after(&w, &b, 300, 0);
	cr_assert(n == 2 * BASE, "%zu", n);
	world_stop(&w);
	line_free(l);
	budget_deinit(&b);
}

/* It never waits but for the first message. */
Test(rpc, a_slow_reader_gets_no_larger_window)
{
	struct world w;
	world_start(&w, 0);
	size_t n = window_after(&w, NULL, 400, 500);
	cr_assert(n <= 2 * BASE, "%zu", n);
	world_stop(&w);
}

static size_t met(uint32_t probes, uint64_t trip_ms, uint64_t least_ms)
{
	const struct h2_session s = { .probes = probes,
				      .trip_ns = trip_ms * NS_PER_MS,
				      .least_trip_ns = least_ms * NS_PER_MS };
	return rpc_window_met(&s, BASE);
}

/* A PING waits behind what the peer has to send, and for a processor. */
Test(rpc, a_late_trip_does_not_make_a_line_long)
{
	cr_assert_eq(met(1, 40, 40), 0);
	cr_assert_eq(met(2, 40, 40), BASE);
	cr_assert_eq(met(9, 8, 2), BASE / 4);
	cr_assert_eq(met(2, 0, 0), BASE);
}
