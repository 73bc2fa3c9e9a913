/*
 * Encoded messages both ways: what was sent is read, bombs and damage end the call only, budgets are kept.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "rpc/rpc_codec.h"
#include "rpc/rpc_int.h"
#include "support/tst.h"
#include "wire/codec.h"
#include "world.h"

static const enum rpc_encoding both[] = { RPC_GZIP, RPC_SNAPPY };

static struct rpc_channel *channel(struct world *w, enum rpc_encoding enc)
{
	struct rpc_channel_opts o = { .loop = w->client_loop, .encoding = enc };
	struct rpc_channel *ch;
	struct err e = ERR_INIT;
	cr_assert(rpc_channel_new(&o, str_of(w->addr), w->reg, &ch, &e) == 0);
	return ch;
}

static char *bytes(size_t n, bool noise)
{
	char *p = malloc(n + 1);
	uint32_t x = 1;
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		p[i] = noise ? (char)(x >> 24) : (char)('a' + i / 50 % 20);
	}
	return p;
}

Test(codec, both_ways)
{
	static const size_t sizes[] = { 0, 1, 100, 65535, 65536, 65537, 3000000 };
	static const char *const methods[] = { "/t.T/Echo", "/t.T/Loop" };
	struct world w;
	struct ctx ctx;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(60 * NS_PER_S));
	for (size_t k = 0; k < ARRAY_LEN(both); k++) {
		struct rpc_channel *ch = channel(&w, both[k]);
		for (size_t i = 0; i < ARRAY_LEN(sizes) * 4; i++) {
			size_t n = sizes[i / 4];
			char *p = bytes(n, i % 2);
			struct err e = ERR_INIT;
			struct buf b;
			buf_init(&b, 1 << 24);
			cr_assert(rpc_unary(ch, &ctx, methods[i / 2 % 2], str_n(p, n), &b,
					    &e) == 0,
				  "%s", err_text(&e));
			cr_assert(str_eq(buf_view(&b), str_n(p, n)), "%zu bytes", n);
			buf_deinit(&b);
			free(p);
		}
		rpc_channel_free(ch);
	}
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* Streams of encoded messages, read slowly: the budget holds little more than what the reader holds. */
Test(codec, streams)
{
	struct world w;
	struct ctx ctx;
	struct budget budget;
	world_start(&w, 0);
	budget_init(&budget, NULL, "t", NULL, (size_t)8 << 20);
	ctx_init(&ctx, &budget, time_after_ns(60 * NS_PER_S));
	for (size_t k = 0; k < ARRAY_LEN(both); k++) {
		struct rpc_channel *ch = channel(&w, both[k]), *plain = w.ch;
		struct err e = ERR_INIT;
		w.ch = ch;
		cr_assert(world_count(&w, &ctx, 200, 200000, &e) == 0, "%s",
			  err_text(&e));
		cr_assert(world_count(&w, &ctx, 2000, 0, &e) == 0);
		cr_assert(world_count(&w, &ctx, 2000, 3, &e) == 0);
		w.ch = plain;
		rpc_channel_free(ch);
		cr_assert_eq(budget_used(&budget), 0);
	}
	ctx_deinit(&ctx);
	budget_deinit(&budget);
	world_stop(&w);
}

/* 200 MB of zeros in a request of some 200 KB; at the server it counts as what it is. */
Test(codec, bombs_at_the_server)
{
	struct budget srv;
	struct world w;
	struct ctx ctx;
	budget_init(&srv, NULL, "server", NULL, 0);
	world_start_opts(&w, 0, &(struct rpc_server_opts){ .budget = &srv });
	ctx_init(&ctx, NULL, time_after_ns(60 * NS_PER_S));
	size_t n = (size_t)200 << 20;
	char *p = calloc(1, n);
	for (size_t k = 0; k < ARRAY_LEN(both); k++) {
		struct rpc_channel *ch = channel(&w, both[k]);
		struct err e = ERR_INIT;
		struct buf b;
		buf_init(&b, 1000);
		cr_assert(rpc_unary(ch, &ctx, "/t.T/Echo", str_n(p, n), &b, &e) < 0);
		cr_assert(e.code == E_LIMIT, "%s", err_text(&e));
		e = ERR_INIT;
		cr_assert(rpc_unary(ch, &ctx, "/t.T/Echo", STR("after"), &b, &e) == 0);
		buf_deinit(&b);
		rpc_channel_free(ch);
	}
	cr_assert(atomic_load(&srv.peak) < (size_t)48 << 20, "%zu",
		  atomic_load(&srv.peak));
	free(p);
	ctx_deinit(&ctx);
	world_stop(&w);
	budget_deinit(&srv);
}

Test(codec, bombs_at_the_client)
{
	struct world w;
	struct ctx ctx;
	struct budget budget;
	world_start(&w, 0);
	budget_init(&budget, NULL, "t", NULL, (size_t)2 << 20);
	ctx_init(&ctx, &budget, time_after_ns(60 * NS_PER_S));
	for (size_t k = 0; k < 2 * ARRAY_LEN(both); k++) {
		struct rpc_channel *ch = channel(&w, both[k % 2]);
		struct rpc_call_opts o = { .max_message = k < 2 ? 1u << 20 : 1u << 30 };
		struct rpc_stream *s;
		struct err e = ERR_INIT;
		struct view v;
		/* beyond max_message first, then beyond the budget */
		cr_assert(rpc_open(ch, &ctx, "/t.T/Count", STR("1 8000000"), &o, &s,
				   &e) == 0);
		cr_assert(rpc_recv(s, &ctx, &v, &e) < 0);
		cr_assert(e.code == E_LIMIT, "%s", err_text(&e));
		cr_assert(rpc_stream_code(s) == RPC_RESOURCE_EXHAUSTED);
		cr_assert(str_find(str_of(err_text(&e)),
				   str_of(rpc_encoding_name(both[k % 2]))) >= 0,
			  "%s", err_text(&e));
		rpc_stream_close(s);
		rpc_channel_free(ch);
		cr_assert_eq(budget_used(&budget), 0);
	}
	ctx_deinit(&ctx);
	budget_deinit(&budget);
	world_stop(&w);
}

Test(codec, unknown_encoding)
{
	static const struct str meta[] = { { "grpc-encoding", 13 }, { "br", 2 } };
	struct rpc_call_opts o = { .meta = meta, .n_meta = 2 };
	struct world w;
	struct ctx ctx;
	struct rpc_stream *s;
	struct view v;
	struct err e = ERR_INIT;
	world_start(&w, 0);
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	cr_assert(rpc_open(w.ch, &ctx, "/t.T/Echo", STR("x"), &o, &s, &e) == 0);
	cr_assert(rpc_recv(s, &ctx, &v, &e) < 0);
	cr_assert(rpc_stream_code(s) == RPC_UNIMPLEMENTED);
	cr_assert(str_find(str_of(err_text(&e)), STR("\"br\"")) >= 0, "%s", err_text(&e));
	rpc_stream_close(s);
	ctx_deinit(&ctx);
	world_stop(&w);
}

/* ---- without sockets ---- */

static struct view tagged(const void *p, size_t n, uint8_t tag)
{
	struct slab *s = slab_new(NULL, n + 1);
	s->data[0] = tag;
	if (n)
		memcpy(s->data + 1, p, n);
	return (struct view){ s->data, n + 1, &s->ref };
}

/* Every cut and every changed byte: an error, or what was sent; all charges are given back. */
Test(codec, damage)
{
	char *text = bytes(3000, false);
	struct budget budget;
	budget_init(&budget, NULL, "t", NULL, 0);
	for (size_t k = 0; k < ARRAY_LEN(both); k++) {
		struct str in = str_n(text, 3000);
		struct err e = ERR_INIT;
		struct buf b;
		bool smaller;
		buf_init(&b, 1 << 16);
		cr_assert(rpc_encode(both[k], &in, 1, &budget, NULL, &b, &smaller, &e) ==
			  0);
		cr_assert(smaller);
		for (size_t i = 0; i < 2 * b.n; i++) {
			bool cut = i < b.n;
			struct view v = tagged(b.p, cut ? i : b.n, 1);
			e = ERR_INIT;
			if (!cut)
				((uint8_t *)(uintptr_t)v.p)[1 + i - b.n] ^= 0x40;
			int rc = rpc_untag(both[k], &v, 1 << 20, &budget, NULL, &e);
			if (rc == 0)
				cr_assert((v.n == 3000 && memcmp(v.p, text, 3000) == 0) ||
						  (v.n == 0 && both[k] == RPC_SNAPPY &&
						   i == 0) ||
						  (cut && both[k] == RPC_SNAPPY),
					  "%d at %zu", (int)k, i);
			else
				cr_assert(e.code == E_CORRUPT || e.code == E_LIMIT);
			view_put(&v);
		}
		struct view v = tagged(text, 5, 0);
		cr_assert(rpc_untag(both[k], &v, 10, &budget, NULL, &e) == 0);
		cr_assert(str_eq(str_n(v.p, v.n), str_n(text, 5)));
		view_put(&v);
		buf_deinit(&b);
		cr_assert_eq(budget_used(&budget), 0);
	}
	budget_deinit(&budget);
	free(text);
}

/* The trailer of gzip may say anything: too little is found out, too much is bounded by the input. */
Test(codec, gzip_that_lies_about_its_size)
{
	char *text = bytes(100000, false);
	struct str in = str_n(text, 100000);
	struct budget budget;
	struct err e = ERR_INIT;
	struct buf b;
	bool smaller;
	budget_init(&budget, NULL, "t", NULL, 0);
	buf_init(&b, 1 << 20);
	cr_assert(rpc_encode(RPC_GZIP, &in, 1, NULL, NULL, &b, &smaller, &e) == 0);
	/* two members: the last one's size is 1 */
	struct gzip_enc *g = gzip_enc_new(false);
	cr_assert(gzip_enc_feed(g, STR("x"), true, &b, &e) == 0);
	gzip_enc_free(g);
	struct view v = tagged(b.p, b.n, 1);
	cr_assert(rpc_untag(RPC_GZIP, &v, 100001, &budget, NULL, &e) == 0, "%s",
		  err_text(&e));
	cr_assert_eq(v.n, 100001);
	view_put(&v);
	v = tagged(b.p, b.n, 1);
	cr_assert(rpc_untag(RPC_GZIP, &v, 100000, &budget, NULL, &e) < 0);
	cr_assert(e.code == E_LIMIT);
	cr_assert(atomic_load(&budget.peak) < 500000);
	buf_deinit(&b);
	budget_deinit(&budget);
	free(text);
}

Test(codec, names)
{
	static const struct {
		const char *list;
		bool gzip, snappy;
	} t[] = { { "", false, false },
		  { "identity", false, false },
		  { "gzip", true, false },
		  { "identity,deflate, gzip ,snappy", true, true },
		  { "xsnappy,gzipx", false, false } };
	enum rpc_encoding enc;
	for (size_t i = 0; i < ARRAY_LEN(t); i++) {
		cr_assert_eq(rpc_encoding_in(str_of(t[i].list), RPC_GZIP), t[i].gzip);
		cr_assert_eq(rpc_encoding_in(str_of(t[i].list), RPC_SNAPPY), t[i].snappy);
	}
	cr_assert(rpc_encoding_parse(STR("snappy"), &enc) && enc == RPC_SNAPPY);
	cr_assert(rpc_encoding_parse(STR("identity"), &enc) && enc == RPC_IDENTITY);
	cr_assert(!rpc_encoding_parse(STR("deflate"), &enc));
}

Test(codec, tags_in_frames)
{
	struct rpc_frame f;
	struct err e = ERR_INIT;
	struct view v;
	struct str in = STR("\0\0\0\0\2ab\1\0\0\0\0\1\0\0\0\1z");
	static const char *const want[] = { "\0ab", "\1", "\1z" };
	static const size_t n[] = { 3, 1, 2 };
	for (size_t step = 1; step <= in.n; step++) {
		size_t got = 0;
		rpc_frame_init(&f, NULL, 10);
		f.tagged = true;
		for (size_t at = 0; at < in.n; at += step) {
			const uint8_t *p = (const uint8_t *)in.p + at;
			size_t left = MIN(step, in.n - at);
			while (rpc_frame_next(&f, &p, &left, &v, &e) > 0) {
				cr_assert(str_eq(str_n(v.p, v.n),
						 str_n(want[got], n[got])));
				got++;
				view_put(&v);
			}
			cr_assert_eq(left, 0);
		}
		cr_assert_eq(got, 3);
		rpc_frame_deinit(&f);
	}
}
