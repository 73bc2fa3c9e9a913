/*
 * net/dns.h - questions to name servers: many at a time, answers with their TTL.
 *
 * c-ares on a loop, over UDP and, where an answer is cut, TCP; servers, search domains and ndots as resolv.conf
 * says. /etc/hosts is not looked at here. What servers send is read by a parser of our own (dns_msg.c): c-ares' own
 * does not tell the TTL of SRV records.
 *
 * Thread  WORKER (reads resolv.conf, waits)
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "loop/loop.h"

enum net_dns_type { NET_DNS_A = 1, NET_DNS_AAAA = 28, NET_DNS_SRV = 33 };

struct net_dns_record {
	struct str
		target; /* A, AAAA: the number as text; SRV: a host name without the last dot */
	uint16_t priority, weight, port; /* SRV */
};
struct net_dns_answer {
	struct net_dns_record *v; /* in the order of the server */
	size_t n;	/* 0: the name, or a record of this type, does not exist */
	uint32_t ttl_s; /* the least of all records and of CNAMEs on the way; 0 if n is */
	size_t refused; /* records whose target is no host name */
	struct str cname; /* n is 0, and the name stands for this one */
};
struct net_dns_query {
	struct str name;
	enum net_dns_type type;
	/* out: */
	struct net_dns_answer answer;
	struct err err; /* E_OK: the answer holds */
};
struct net_dns_opts {
	struct str servers; /* "ip:port,ip:port"; empty: those of resolv.conf */
	uint64_t
		timeout_ns; /* of the first try at a server, the second has twice as much; 0: 2 s */
	uint64_t
		limit_ns; /* of all queries together: what has no answer then failed; 0: 15 s */
};
/*
 * Ask all n questions, at most 128 at the same time. Each succeeds or fails alone. -1 only when nothing could
 * be asked or ctx ended first; the queries' results are undefined then.
 */
MUST_CHECK int net_dns_lookup(struct loop *l, struct ctx *ctx,
			      const struct net_dns_opts *o, struct arena *a,
			      struct net_dns_query *q, size_t n, struct err *e);

/*
 * The records of `type` in a server's message, aliases followed within it. E_REMOTE: not a message that answers
 * such a question. CPU
 */
MUST_CHECK int net_dns_parse(struct arena *a, struct str msg, enum net_dns_type type,
			     struct net_dns_answer *out, struct err *e);

#endif
