/*
 * discovery/discovery.h - which endpoints there are: from flags, files and DNS, as a set that changes.
 *
 * An address is host:port, or a name to be asked for again and again:
 *   dns+NAME:PORT         A records, AAAA where there is no A
 *   dnsdualstack+NAME:PORT  A and AAAA records
 *   dnssrv+NAME[:PORT]    SRV records, whose targets are resolved as above; a port given replaces theirs
 *   dnssrvnoa+NAME[:PORT] SRV records, targets as they are
 *
 * Thread  WORKER; a set is FROZEN
 */
#ifndef DISCOVERY_DISCOVERY_H
#define DISCOVERY_DISCOVERY_H

#include "base/ref.h"
#include "conf/flags.h"
#include "loop/loop.h"
#include "metrics/metrics.h"
#include "task/task.h"

/* How to speak to an endpoint. */
struct disc_client {
	bool tls, insecure_skip_verify;
	struct str cert_file, key_file, ca_file, server_name;
	struct str min_version; /* "1.3" */
	struct str compression; /* of gRPC messages: "none", "snappy", "gzip" */
};
/* Refuses files that cannot be used for TLS. WORKER */
MUST_CHECK int disc_client_check(const struct disc_client *c, struct err *e);
struct disc_client disc_client_dup(struct arena *a, const struct disc_client *c);
bool disc_client_eq(const struct disc_client *x, const struct disc_client *y);

/*
 * TLS for channels, one state for all with the same client. WORKER: reads files. *out (NULL: plain) lives until the
 * second sweep after it was asked for; channels take a reference.
 */
struct net_tls;
struct disc_tls;
struct disc_tls *disc_tls_new(void);
void disc_tls_free(struct disc_tls *p);
MUST_CHECK int disc_tls_get(struct disc_tls *p, const struct disc_client *c,
			    struct net_tls **out, struct err *e);
void disc_tls_sweep(struct disc_tls *p); /* drops what was not asked for since the last */
void disc_tls_reload(struct disc_tls *p); /* reads files again that changed */

struct disc_target {
	struct str
		name; /* its address; of a group "thanos:///" and what was configured */
	struct str *addrs; /* host:port, sorted; one, but of a group any number */
	size_t n;
	bool group;  /* its addresses serve the same and are used in turn */
	bool strict; /* always considered, whatever its health */
	struct disc_client client;
};
struct disc_set {
	struct ref ref;
	struct arena arena;
	struct disc_target *v; /* by name, each once */
	size_t n;
};
/* A set of plain addresses, each once. */
struct disc_set *disc_set_of(const struct str *addrs, size_t n);

struct disc_opts {
	struct conf_strs endpoints, strict, groups, strict_groups; /* addresses */
	struct conf_strs files;	 /* patterns; a * in the last part of the path only */
	struct conf_text config; /* YAML; the file is read again if it came from one */
	struct disc_client
		client; /* where the YAML says nothing; checked by the caller */
	uint64_t config_interval_ns, files_interval_ns, dns_interval_ns; /* 5m 5m 30s */
	uint64_t
		dns_grace_ns; /* how long an answer outlives its TTL while servers fail; 0: 1 h */
	uint64_t dns_limit_ns;	/* of all questions of a round; 0: 15 s */
	struct str dns_servers; /* "ip:port,..."; empty: of resolv.conf */
	const char *hosts_file; /* servers are not asked for names in it; NULL: none */
	struct loops *loops;
	struct task_pool *pool;
	struct metric_registry *metrics;
	/* Called with each new set (valid during the call; ref_get to keep), by one thread at a time. */
	void (*on_set)(void *arg, struct disc_set *set);
	void *arg;
};
struct discovery;
/* Checks everything that was given, reads the configuration; E_INVALID, E_UNSUPPORTED name what is wrong. */
MUST_CHECK int disc_new(struct ctx *ctx, const struct disc_opts *o,
			struct discovery **out, struct err *e);
/*
 * Read files and ask for every name, once: afterwards each has been tried, and on_set was called. What fails is
 * logged and counted. -1 only when ctx ended.
 */
MUST_CHECK int disc_round(struct discovery *d, struct ctx *ctx, struct err *e);
/* Go on by itself: files are looked at each second, names asked for each interval. */
void disc_start(struct discovery *d);
void disc_free(struct discovery *d); /* on_set is not called any more; NULL allowed */

#endif
