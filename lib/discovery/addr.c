/*
 * discovery/addr.c - addresses of endpoints: host:port, or what is to be resolved, by its prefix.
 */
#include "discovery/discovery_int.h"
#include "net/net.h"

static const struct {
	const char *prefix;
	enum disc_kind kind;
} kinds[] = { { "dns", DISC_DNS },
	      { "dnssrv", DISC_SRV },
	      { "dnssrvnoa", DISC_SRV_NOA },
	      { "dnsdualstack", DISC_DUAL } };

static int kind_of(struct str text, struct str *rest, enum disc_kind *kind, struct err *e)
{
	struct str prefix;
	*rest = text;
	*kind = DISC_STATIC;
	if (!str_cut(rest, '+', &prefix)) {
		*rest = text;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eqz(prefix, kinds[i].prefix)) {
			*kind = kinds[i].kind;
			return 0;
		}
	return err_set(NULL, e, E_INVALID,
		       "address %.*s: unknown prefix '%.*s+', want dns+, dnssrv+, "
		       "dnssrvnoa+ or dnsdualstack+",
		       STR_FMT(text), STR_FMT(prefix));
}

/* What may stand in a name that is asked for, or an IP number. */
static bool is_host(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.' &&
		    c != ':' && c != '%')
			return false;
	}
	return s.n > 0 && s.n <= 255;
}

int disc_addr_parse(struct str text, struct disc_addr *out, struct err *e)
{
	struct disc_addr a = { .kind = DISC_STATIC };
	struct str rest;
	uint16_t port;
	if (kind_of(text, &rest, &a.kind, e) < 0)
		return -1;
	bool srv = a.kind == DISC_SRV || a.kind == DISC_SRV_NOA;
	a.host = rest;
	if (!srv || str_find_char(rest, ':') >= 0) {
		if (net_addr_split(rest, &a.host, &port, e) < 0)
			return -1;
		size_t at = rest.n;
		while (rest.p[at - 1] != ':')
			at--;
		a.port = str_from(rest, at);
	}
	if (a.kind != DISC_STATIC && a.host.n && a.host.p[a.host.n - 1] == '.')
		a.host.n--;
	if (!is_host(a.host))
		return err_set(NULL, e, E_INVALID, "address %.*s: bad host name",
			       STR_FMT(text));
	*out = a;
	return 0;
}
