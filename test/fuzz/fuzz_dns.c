/*
 * fuzz_dns.c - any bytes as the answer of a name server: targets are numbers or host names, nothing else.
 */
#include "base/arena.h"
#include "net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static bool plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 127 || s.p[i] == '/' || s.p[i] == '@')
			return false;
	return s.n > 0 && s.n <= 255;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const enum net_dns_type types[] = { NET_DNS_A, NET_DNS_AAAA, NET_DNS_SRV };
	struct arena a;
	if (n > 64u << 10)
		return 0;
	arena_init(&a, NULL);
	for (int k = 0; k < 3; k++) {
		struct net_dns_answer got;
		struct err e = ERR_INIT;
		if (net_dns_parse(&a, str_n(p, n), types[k], &got, &e) < 0) {
			BUG_ON(e.code != E_REMOTE);
			continue;
		}
		BUG_ON(got.n > n / 11 || (got.n == 0 && got.ttl_s));
		for (size_t i = 0; i < got.n; i++)
			BUG_ON(!plain(got.v[i].target));
	}
	arena_deinit(&a);
	return 0;
}
