/*
 * discovery/discovery_int.h - the parts of discovery: addresses, names, files, configuration.
 */
#ifndef DISCOVERY_DISCOVERY_INT_H
#define DISCOVERY_DISCOVERY_INT_H

#include "discovery/discovery.h"

/* client.c: what a channel's connections are to be put under; NULL: plain. Reads the files. */
MUST_CHECK int disc_client_tls(const struct disc_client *c, struct net_tls **out,
			       struct err *e);

/* ---- addr.c: what an address asks for ---- */
enum disc_kind { DISC_STATIC, DISC_DNS, DISC_SRV, DISC_SRV_NOA, DISC_DUAL };
struct disc_addr {
	enum disc_kind kind;
	struct str host; /* without brackets; a name without its last dot */
	struct str port; /* empty: the SRV record's */
};
MUST_CHECK int disc_addr_parse(struct str text, struct disc_addr *out, struct err *e);

/* ---- resolver.c: names -> addresses, the last good answers kept ---- */
enum disc_users { DISC_ENDPOINTS, DISC_GROUPS }; /* whose metrics */
struct disc_resolver;
struct disc_addrs {
	struct str *v; /* host:port, sorted, each once */
	size_t n;
};
struct disc_resolver *disc_resolver_new(const struct disc_opts *o, enum disc_users users);
void disc_resolver_free(struct disc_resolver *r);
/* Resolve all n names (no static ones), each alone; out[i] lies in the arena. -1 only when ctx ended. */
MUST_CHECK int disc_resolve(struct disc_resolver *r, struct ctx *ctx, struct arena *a,
			    const struct str *names, size_t n, struct disc_addrs *out,
			    struct err *e);

/* ---- hosts.c: /etc/hosts ---- */
struct net_dns_answer;
/* False: the name is not in this text. Else its addresses of the family, maybe none. */
bool disc_hosts_find(struct arena *a, struct str text, struct str name, bool v6,
		     struct net_dns_answer *out);

/* ---- files.c: target groups in files ---- */
struct disc_files;
MUST_CHECK int disc_files_new(const struct disc_opts *o, struct disc_files **out,
			      struct err *e);
void disc_files_free(struct disc_files *f);
/* Read what is new or changed (all: whatever it looks like). True: the addresses are others than before. */
bool disc_files_read(struct disc_files *f, struct ctx *ctx, bool all);
/* Addresses of all files; valid until the next read. */
size_t disc_files_addrs(struct disc_files *f, struct arena *a, struct str **out);

/* ---- config.c: --endpoint.sd-config ---- */
struct disc_spec {
	struct str addr;
	bool strict, group;
	struct disc_client client;
};
struct disc_config {
	struct arena arena;
	struct disc_spec *v; /* of the YAML, then of flags; checked */
	size_t n;
	struct disc_client client; /* of addresses from files */
};
MUST_CHECK int disc_config_parse(struct ctx *ctx, const struct disc_opts *o,
				 struct str yaml, const char *what,
				 struct disc_config **out, struct err *e);
void disc_config_free(struct disc_config *c);

#endif
