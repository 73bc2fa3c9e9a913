/*
 * discovery/hosts.c - names in a file like /etc/hosts: lines "address name...", '#' begins a comment.
 */
#include <arpa/inet.h>

#include "discovery/discovery_int.h"
#include "net/dns.h"

/* The next word of a line; empty: there is none. */
static struct str word(struct str *line)
{
	size_t n = 0;
	*line = str_trim(*line);
	while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t')
		n++;
	struct str w = str_n(line->p, n);
	*line = str_from(*line, n);
	return w;
}

static int family(struct arena *a, struct str address)
{
	struct in6_addr ip;
	const char *s = str_dupz(a, address);
	return inet_pton(AF_INET, s, &ip) == 1	  ? AF_INET
	       : inet_pton(AF_INET6, s, &ip) == 1 ? AF_INET6
						  : 0;
}

bool disc_hosts_find(struct arena *a, struct str text, struct str name, bool v6,
		     struct net_dns_answer *out)
{
	bool found = false, more = true;
	*out = (struct net_dns_answer){ 0 };
	while (more) {
		struct str line, address, w;
		more = str_cut(&text, '\n', &line);
		ptrdiff_t comment = str_find_char(line, '#');
		if (comment >= 0)
			line.n = (size_t)comment;
		address = word(&line);
		while ((w = word(&line)).n && !str_eq_nocase(w, name))
			;
		if (w.n == 0)
			continue;
		int f = family(a, address);
		found |= f != 0;
		if (f != (v6 ? AF_INET6 : AF_INET))
			continue;
		struct net_dns_record *v =
			ARENA_ARRAY(a, struct net_dns_record, out->n + 1);
		if (out->n)
			memcpy(v, out->v, out->n * sizeof(*v));
		v[out->n++] = (struct net_dns_record){ .target = address };
		out->v = v;
	}
	return found;
}
