/*
 * net/addr.c - "host:port" texts.
 */
#include "net/net.h"

int net_addr_split(struct str addr, struct str *host, uint16_t *port, struct err *e)
{
	struct str h, p;
	size_t at = addr.n;
	uint64_t v;
	while (at > 0 && addr.p[at - 1] != ':')
		at--;
	if (at == 0)
		return err_set(NULL, e, E_INVALID,
			       "address %.*s: missing port in address", STR_FMT(addr));
	h = str_n(addr.p, at - 1);
	p = str_from(addr, at);
	if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
		h = str_n(h.p + 1, h.n - 2);
	else if (str_find_char(h, ':') >= 0)
		return err_set(NULL, e, E_INVALID,
			       "address %.*s: too many colons in address", STR_FMT(addr));
	if (!str_to_u64(p, &v) || v > 65535)
		return err_set(NULL, e, E_INVALID, "address %.*s: invalid port",
			       STR_FMT(addr));
	*host = h;
	*port = (uint16_t)v;
	return 0;
}
