/*
 * DNS: answers of a server on the loopback, and messages no server should send.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/time.h"
#include "support/dns_server.h"
#include "net/dns.h"
#include "support/tst.h"

struct world {
	struct loop *loop;
	struct dns_server srv;
	struct ctx ctx;
	struct arena a;
	struct net_dns_opts o;
};

static void open_world(struct world *w)
{
	struct err e = ERR_INIT;
	cr_assert_eq(loop_start("t", &w->loop, &e), 0);
	dns_server_start(&w->srv);
	ctx_init(&w->ctx, NULL, time_after_ns(30 * NS_PER_S));
	arena_init(&w->a, NULL);
	w->o = (struct net_dns_opts){ .servers = str_of(w->srv.addr),
				      .timeout_ns = 100 * NS_PER_MS };
}

static void close_world(struct world *w)
{
	loop_stop(w->loop);
	dns_server_stop(&w->srv);
	arena_deinit(&w->a);
	ctx_deinit(&w->ctx);
}

static struct net_dns_query ask(struct world *w, const char *name, enum net_dns_type type)
{
	struct net_dns_query q = { .name = str_of(name), .type = type };
	struct err e = ERR_INIT;
	cr_assert_eq(net_dns_lookup(w->loop, &w->ctx, &w->o, &w->a, &q, 1, &e), 0, "%s",
		     err_text(&e));
	return q;
}

/* "target:port ..." */
static const char *shown(struct world *w, const struct net_dns_query *q)
{
	struct buf b;
	if (q->err.code != E_OK)
		return str_dupz(&w->a, str_of(err_text(&q->err)));
	buf_init(&b, 1 << 16);
	for (size_t i = 0; i < q->answer.n; i++)
		buf_fmt(&b, "%.*s:%u ", STR_FMT(q->answer.v[i].target),
			q->answer.v[i].port);
	const char *s = str_dupz(&w->a, buf_view(&b));
	buf_deinit(&b);
	return s;
}

Test(dns, records_come_with_the_least_ttl)
{
	struct world w;
	open_world(&w);
	struct net_dns_query q = ask(&w, "a.test", NET_DNS_A);
	cr_assert_str_eq(shown(&w, &q), "10.1.1.1:0 10.1.1.2:0 ");
	cr_assert_eq(q.answer.ttl_s, 30u);
	q = ask(&w, "v6.test", NET_DNS_AAAA);
	cr_assert_str_eq(shown(&w, &q), "2001:db8::7:0 ");
	cr_assert_eq(q.answer.ttl_s, 40u);
	q = ask(&w, "srv.test", NET_DNS_SRV);
	cr_assert_str_eq(shown(&w, &q), "one.test:10901 two.test:10902 ");
	cr_assert(q.answer.ttl_s == 10 && q.answer.v[0].priority == 1 &&
		  q.answer.v[0].weight == 2);
	close_world(&w);
}

Test(dns, what_does_not_exist_is_an_empty_answer_and_a_failing_server_an_error)
{
	struct world w;
	open_world(&w);
	struct net_dns_query q = ask(&w, "none.test", NET_DNS_A);
	cr_assert(q.err.code == E_OK && q.answer.n == 0);
	q = ask(&w, "empty.test", NET_DNS_AAAA);
	cr_assert(q.err.code == E_OK && q.answer.n == 0);
	q = ask(&w, "fail.test", NET_DNS_A);
	cr_assert_eq(q.err.code, E_UNAVAILABLE, "%s", shown(&w, &q));
	q = ask(&w, "bad..name", NET_DNS_A);
	cr_assert_eq(q.err.code, E_INVALID, "%s", shown(&w, &q));
	close_world(&w);
}

Test(dns, a_cut_answer_is_asked_for_again_over_tcp)
{
	struct world w;
	open_world(&w);
	struct net_dns_query q = ask(&w, "big.test", NET_DNS_A);
	cr_assert_eq(q.answer.n, 200u, "%s", shown(&w, &q));
	cr_assert(str_eqz(q.answer.v[199].target, "10.0.1.99"));
	cr_assert_eq(atomic_load(&w.srv.over_tcp), 1u);
	close_world(&w);
}

Test(dns, aliases_are_followed_within_an_answer_and_beyond)
{
	struct world w;
	open_world(&w);
	struct net_dns_query q = ask(&w, "alias.test", NET_DNS_A);
	cr_assert_str_eq(shown(&w, &q), "10.1.1.1:0 ");
	cr_assert_eq(q.answer.ttl_s, 5u);
	q = ask(&w, "far.test", NET_DNS_A);
	cr_assert_str_eq(shown(&w, &q), "10.1.1.1:0 10.1.1.2:0 ");
	q = ask(&w, "ring.test", NET_DNS_A);
	cr_assert_eq(q.err.code, E_REMOTE, "%s", shown(&w, &q));
	close_world(&w);
}

Test(dns, a_target_that_is_no_host_is_refused_alone)
{
	struct world w;
	open_world(&w);
	struct net_dns_query q = ask(&w, "host.test", NET_DNS_SRV);
	cr_assert_str_eq(shown(&w, &q), "one.test:10901 two.test:10902 ");
	cr_assert_eq(q.answer.refused, 2u);
	close_world(&w);
}

Test(dns, many_at_once_and_a_dead_one_fails_alone)
{
	enum { N = 500 };
	static struct net_dns_query q[N];
	static char name[N][24];
	struct world w;
	struct err e = ERR_INIT;
	open_world(&w);
	for (int i = 0; i < N; i++) {
		snprintf(name[i], sizeof(name[i]), "%s%d.test",
			 i == 7	  ? "mute."
			 : i == 8 ? "junk."
				  : "a.",
			 i);
		q[i] = (struct net_dns_query){ .name = str_of(name[i]),
					       .type = NET_DNS_A };
	}
	cr_assert_eq(net_dns_lookup(w.loop, &w.ctx, &w.o, &w.a, q, N, &e), 0);
	for (int i = 0; i < N; i++)
		if (i == 7 || i == 8)
			cr_expect(q[i].err.code != E_OK, "%s", name[i]);
		else
			cr_expect(q[i].err.code == E_OK && q[i].answer.n == 2, "%s: %s",
				  name[i], shown(&w, &q[i]));
	cr_assert(q[7].err.code == E_TIMEOUT && q[8].err.code == E_REMOTE);
	close_world(&w);
}

Test(dns, the_limit_ends_what_is_open_and_keeps_what_came)
{
	struct world w;
	struct err e = ERR_INIT;
	open_world(&w);
	w.o.timeout_ns = 20 * NS_PER_S;
	w.o.limit_ns = 300 * NS_PER_MS;
	struct net_dns_query q[2] = { { .name = STR("mute.test"), .type = NET_DNS_A },
				      { .name = STR("a.test"), .type = NET_DNS_A } };
	uint64_t begin = time_mono_ns();
	cr_assert_eq(net_dns_lookup(w.loop, &w.ctx, &w.o, &w.a, q, 2, &e), 0);
	cr_assert(time_mono_ns() - begin < 10 * NS_PER_S);
	cr_assert(q[0].err.code == E_TIMEOUT && q[1].answer.n == 2);
	close_world(&w);
}

static void *cancel_soon(void *arg)
{
	struct world *w = arg;
	while (atomic_load(&w->srv.asked) == 0)
		;
	cancel_now(w->ctx.cancel, "enough");
	return NULL;
}

Test(dns, cancelling_ends_the_wait_and_the_loop_is_left_clean)
{
	struct world w;
	struct err e = ERR_INIT;
	pthread_t t;
	open_world(&w);
	w.o.timeout_ns = 20 * NS_PER_S;
	struct net_dns_query q = { .name = STR("mute.test"), .type = NET_DNS_A };
	pthread_create(&t, NULL, cancel_soon, &w);
	cr_assert_eq(net_dns_lookup(w.loop, &w.ctx, &w.o, &w.a, &q, 1, &e), -1);
	cr_assert_eq(e.code, E_CANCELLED);
	pthread_join(t, NULL);
	close_world(&w); /* loop_stop: no handle is left */
}

Test(dns, servers_that_are_no_addresses_are_refused)
{
	struct world w;
	struct err e = ERR_INIT;
	open_world(&w);
	struct net_dns_query q = { .name = STR("a.test"), .type = NET_DNS_A };
	w.o.servers = STR("nonsense:x");
	cr_assert_eq(net_dns_lookup(w.loop, &w.ctx, &w.o, &w.a, &q, 1, &e), -1);
	cr_assert_eq(e.code, E_INVALID);
	close_world(&w);
}

/* ---- messages ---- */

static int parse(struct arena *a, const struct dns_bytes *m, enum net_dns_type type,
		 struct net_dns_answer *out)
{
	struct err e = ERR_INIT;
	char *exact = malloc(m->n + 1); /* so that reading past it shows */
	memcpy(exact, m->p, m->n);
	int rc = net_dns_parse(a, str_n(exact, m->n), type, out, &e);
	if (rc < 0)
		cr_expect_eq(e.code, E_REMOTE);
	free(exact);
	return rc;
}

static void begin_a(struct dns_bytes *m, unsigned answers)
{
	put_header(m, 1, 0x8180, answers);
	put_question(m, "x.test", 1);
}

Test(dns_msg, pointers_that_do_not_lead_back_are_refused)
{
	static struct dns_bytes m;
	struct net_dns_answer got;
	struct arena a;
	arena_init(&a, NULL);
	for (int k = 0; k < 3; k++) {
		begin_a(&m, 1);
		size_t here = m.n;
		put_u16(&m, 0xc000u | (unsigned)(k == 0	  ? here
						 : k == 1 ? here + 2
							  : 0x3fff));
		put_u16(&m, 1), put_u16(&m, 1);
		put_u16(&m, 0), put_u16(&m, 9), put_u16(&m, 4);
		put_u16(&m, 0x0a00), put_u16(&m, 1);
		cr_expect_eq(parse(&a, &m, NET_DNS_A, &got), -1, "case %d", k);
	}
	begin_a(&m, 1); /* and one that does */
	put_u16(&m, 0xc00c);
	put_u16(&m, 1), put_u16(&m, 1);
	put_u16(&m, 0), put_u16(&m, 9), put_u16(&m, 4);
	put_u16(&m, 0x0a00), put_u16(&m, 1);
	cr_assert_eq(parse(&a, &m, NET_DNS_A, &got), 0);
	cr_assert(got.n == 1 && got.ttl_s == 9 && str_eqz(got.v[0].target, "10.0.0.1"));
	arena_deinit(&a);
}

Test(dns_msg, every_prefix_and_every_flipped_byte_is_borne)
{
	static struct dns_bytes m, cut;
	struct net_dns_answer got;
	struct arena a;
	arena_init(&a, NULL);
	put_header(&m, 1, 0x8180, 3);
	put_question(&m, "x.test", 33);
	put_cname(&m, "x.test", 7, "y.test");
	put_srv(&m, "y.test", 8, 80, "one.test");
	put_srv(&m, "other.test", 1, 80, "two.test");
	cr_assert_eq(parse(&a, &m, NET_DNS_SRV, &got), 0);
	cr_assert(got.n == 1 && got.ttl_s == 7);
	for (size_t n = 0; n < m.n; n++) {
		cut = m;
		cut.n = n;
		cr_expect_eq(parse(&a, &cut, NET_DNS_SRV, &got), -1, "cut at %zu", n);
	}
	for (size_t i = 0; i < m.n; i++)
		for (int v = 0; v < 256; v++) {
			cut = m;
			cut.p[i] = (uint8_t)v;
			(void)!parse(&a, &cut, NET_DNS_SRV, &got);
			arena_reset(&a);
		}
	arena_deinit(&a);
}

Test(dns_msg, data_of_a_wrong_size_other_classes_and_wild_ttls)
{
	static struct dns_bytes m;
	struct net_dns_answer got;
	struct arena a;
	arena_init(&a, NULL);
	begin_a(&m, 1);
	size_t at = put_record(&m, "x.test", 1, 5);
	put_u16(&m, 1);
	put_end(&m, at);
	cr_assert_eq(parse(&a, &m, NET_DNS_A, &got), -1);

	begin_a(&m, 1);
	put_a(&m, "x.test", 0xffffffff, "10.0.0.9"); /* negative: 0 */
	cr_assert_eq(parse(&a, &m, NET_DNS_A, &got), 0);
	cr_assert(got.n == 1 && got.ttl_s == 0);

	begin_a(&m, 1);
	put_a(&m, "x.test", 0x7fffffff, "10.0.0.9");
	cr_assert_eq(parse(&a, &m, NET_DNS_A, &got), 0);
	cr_assert_eq(got.ttl_s, 7u * 24 * 3600);

	begin_a(&m, 1);
	put_a(&m, "x.test", 5, "10.0.0.9");
	m.p[m.n - 11] = 3; /* class CHAOS */
	cr_assert_eq(parse(&a, &m, NET_DNS_A, &got), 0);
	cr_assert_eq(got.n, 0u);

	begin_a(&m, 60000); /* a count that cannot be */
	put_a(&m, "x.test", 5, "10.0.0.9");
	cr_assert_eq(parse(&a, &m, NET_DNS_A, &got), -1);
	arena_deinit(&a);
}
