/*
 * Framing, status tables and header texts, without sockets.
 */
#include <stdlib.h>

#include "rpc/rpc_frame.h"
#include "rpc/rpc_int.h"
#include "support/tst.h"

static int feed(struct rpc_frame *f, struct str s, struct view *v, struct err *e)
{
	const uint8_t *p = (const uint8_t *)s.p;
	return rpc_frame_next(f, &p, &s.n, v, e);
}

Test(frame, lying_length_costs_what_arrives)
{
	struct budget b;
	struct rpc_frame f;
	struct err e = ERR_INIT;
	struct view v;
	budget_init(&b, NULL, "t", NULL, 0);
	rpc_frame_init(&f, &b, 1u << 30);
	cr_assert(feed(&f,
		       STR("\0\x3f\xff\xff\xff"
			   "abcdef"),
		       &v, &e) == 0);
	cr_assert(rpc_frame_is_partial(&f));
	cr_assert(budget_used(&b) < 8192);
	rpc_frame_deinit(&f);
	cr_assert(budget_used(&b) == 0);
	budget_deinit(&b);
}

Test(frame, refuses_before_it_allocates)
{
	static const struct {
		char bytes[8];
		size_t n;
		enum err_code code;
	} row[] = { { "\1\0\0\0\1", 5, E_UNSUPPORTED },
		    { "\2\0\0\0\1", 5, E_CORRUPT },
		    { "\0\0\0\0\x0b", 5, E_LIMIT } };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		struct rpc_frame f;
		struct err e = ERR_INIT;
		struct view v;
		rpc_frame_init(&f, NULL, 10);
		cr_assert(feed(&f, str_n(row[i].bytes, row[i].n), &v, &e) < 0);
		cr_assert(e.code == row[i].code);
		cr_assert(f.slab == NULL);
		rpc_frame_deinit(&f);
	}
}

Test(frame, messages_outlive_the_parser)
{
	struct rpc_frame f;
	struct err e = ERR_INIT;
	struct view v;
	rpc_frame_init(&f, NULL, 100);
	cr_assert(feed(&f, STR("\0\0\0"), &v, &e) == 0);
	cr_assert(feed(&f, STR("\0\3xy"), &v, &e) == 0);
	cr_assert(feed(&f, STR("z"), &v, &e) == 1);
	rpc_frame_deinit(&f);
	cr_assert(v.n == 3 && memcmp(v.p, "xyz", 3) == 0);
	view_put(&v);
}

Test(status, messages_survive_percent_coding)
{
	char text[256], back[300];
	struct buf b;
	for (int i = 0; i < 255; i++)
		text[i] = (char)(i + 1);
	buf_init(&b, 1000);
	rpc_message_encode(str_n(text, 255), &b);
	for (size_t i = 0; i < b.n; i++)
		cr_assert(b.p[i] >= 0x20 && b.p[i] < 0x7f);
	cr_assert(rpc_message_decode(buf_view(&b), back, sizeof(back)) == 255);
	cr_assert(memcmp(text, back, 255) == 0);
	struct str junk = STR("a%zz%4");
	cr_assert(rpc_message_decode(junk, back, sizeof(back)) == 6);
	cr_assert(rpc_message_decode(STR("abcdef"), back, 4) == 3);
	buf_deinit(&b);
}

Test(status, timeouts_are_parsed_and_rounded_up)
{
	static const struct {
		char text[16];
		bool ok;
		uint64_t ns;
	} row[] = { { "1n", true, 1 },
		    { "20u", true, 20000 },
		    { "100m", true, 100000000 },
		    { "5S", true, 5000000000ull },
		    { "2M", true, 120000000000ull },
		    { "99999999H", true, UINT64_MAX },
		    { "123456789S", false, 0 },
		    { "S", false, 0 },
		    { "1", false, 0 },
		    { "-1S", false, 0 },
		    { "1s", false, 0 },
		    { "", false, 0 } };
	for (size_t i = 0; i < ARRAY_LEN(row); i++) {
		uint64_t ns = 0;
		cr_expect(rpc_timeout_parse(str_of(row[i].text), &ns) == row[i].ok, "%s",
			  row[i].text);
		cr_expect(ns == row[i].ns, "%s", row[i].text);
	}
	static const uint64_t v[] = { 0,	 1, 99999999, 100000001, 20000000000ull,
				      UINT64_MAX };
	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		char out[16];
		uint64_t back = 0;
		rpc_timeout_format(v[i], out);
		cr_assert(rpc_timeout_parse(str_of(out), &back), "%s", out);
		cr_assert(back >= v[i] && (v[i] < 1000 || back / 2 <= v[i]), "%s", out);
	}
}

Test(status, codes_keep_their_class_both_ways)
{
	cr_assert(rpc_code_of_err(E_LIMIT) == RPC_RESOURCE_EXHAUSTED);
	cr_assert(rpc_code_of_err(E_TIMEOUT) == RPC_DEADLINE_EXCEEDED);
	cr_assert(rpc_code_of_err(E_CANCELLED) == RPC_CANCELLED);
	cr_assert(rpc_code_to_err(RPC_UNAVAILABLE) == E_UNAVAILABLE);
	cr_assert(rpc_code_to_err((enum rpc_code)99) == E_REMOTE);
	for (int c = E_OK + 1; c < E_COUNT; c++)
		cr_assert(rpc_code_of_err((enum err_code)c) != RPC_OK);
	cr_assert_str_eq(rpc_code_name(RPC_RESOURCE_EXHAUSTED), "ResourceExhausted");
}
