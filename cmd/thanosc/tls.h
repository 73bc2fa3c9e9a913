/*
 * cmd/thanosc/tls.h - TLS flags of the gRPC server and of the gRPC client, and certificates kept up to date.
 */
#ifndef CMD_THANOSC_TLS_H
#define CMD_THANOSC_TLS_H

#include "conf/flags.h"
#include "discovery/discovery.h"
#include "net/tls.h"
#include "task/task.h"

struct tls_server_opts {
	struct str cert, key, client_ca, min_version;
	struct conf_strs ciphers, curves;
};
struct tls_client_opts {
	bool secure, skip_verify;
	struct str cert, key, ca, server_name, min_version;
};

/* NULL where no flag asks for TLS. Reads the files. */
MUST_CHECK int tls_server_open(struct arena *a, const struct tls_server_opts *o,
			       struct net_tls **out, struct err *e);
/* Says so where flags are without effect. */
void tls_client_conf(const struct tls_client_opts *o, struct disc_client *out);

struct web_config;
/* Looks at the files of up to 8 each 10 s and says in the log what was taken over. */
struct tls_keeper {
	struct net_tls *tls[8];
	size_t n;
	struct web_config *web; /* NULL: none */
	struct task_timer *timer;
};
void tls_keep(struct tls_keeper *k, struct net_tls *t); /* takes over; NULL allowed */
void tls_keeper_start(struct tls_keeper *k, struct task_pool *pool);
void tls_keeper_stop(struct tls_keeper *k); /* unrefs all */

#endif
