/*
 * cmd/thanosc/tls.c - from flags to net_tls.
 */
#include "tls.h"
#include "web_config.h"

#include "base/log.h"
#include "base/time.h"

#define KEEP_NS (10 * NS_PER_S)

/* Several flags, several names in each, as one list. */
static struct str joined(struct arena *a, struct conf_strs v)
{
	struct str out = STR("");
	for (size_t i = 0; i < v.n; i++)
		if (v.v[i].n)
			out = str_fmt(a, "%.*s%s%.*s", STR_FMT(out), out.n ? "," : "",
				      STR_FMT(v.v[i]));
	return out;
}

int tls_server_open(struct arena *a, const struct tls_server_opts *o,
		    struct net_tls **out, struct err *e)
{
	*out = NULL;
	if (o->cert.n == 0 && o->key.n == 0) {
		if (o->client_ca.n)
			return err_set(
				NULL, e, E_INVALID,
				"when a client CA is used a server key and certificate must also be provided: "
				"give --grpc-server-tls-cert and --grpc-server-tls-key");
		return 0;
	}
	if (o->cert.n == 0 || o->key.n == 0)
		return err_set(
			NULL, e, E_INVALID,
			"both server key and certificate must be provided: "
			"--grpc-server-tls-cert and --grpc-server-tls-key go together");
	const struct net_tls_opts t = {
		.server = true,
		.cert_file = o->cert,
		.key_file = o->key,
		.ca_file = o->client_ca,
		.auth = o->client_ca.n ? TLS_AUTH_VERIFIED : TLS_AUTH_NONE,
		.min_version = o->min_version,
		.ciphers = joined(a, o->ciphers),
		.curves = joined(a, o->curves),
		.h2 = true,
	};
	return net_tls_new(&t, out, e) < 0 ? err_wrap(NULL, e, "--grpc-server-tls-*") : 0;
}

void tls_client_conf(const struct tls_client_opts *o, struct disc_client *out)
{
	if (!o->secure &&
	    (o->cert.n || o->key.n || o->ca.n || o->server_name.n || o->skip_verify))
		log_warn(
			NULL,
			"--grpc-client-tls-* are without effect: --grpc-client-tls-secure is not given");
	*out = (struct disc_client){ .tls = o->secure,
				     .insecure_skip_verify = o->skip_verify,
				     .cert_file = o->cert,
				     .key_file = o->key,
				     .ca_file = o->ca,
				     .server_name = o->server_name,
				     .min_version = o->min_version };
}

/* ---- certificates that change ---- */

void tls_keep(struct tls_keeper *k, struct net_tls *t)
{
	BUG_ON(k->n == ARRAY_LEN(k->tls));
	if (t)
		k->tls[k->n++] = t;
}

static void look(void *arg)
{
	struct tls_keeper *k = arg;
	for (size_t i = 0; i < k->n; i++) {
		struct err e = ERR_INIT;
		int rc = net_tls_reload(k->tls[i], &e);
		if (rc > 0)
			log_info(NULL, "TLS files have changed and are in use");
		else if (rc < 0)
			log_warn(NULL,
				 "TLS files have changed, the old ones stay in use: %s",
				 err_text(&e));
	}
	if (k->web) {
		struct err e = ERR_INIT;
		int rc = web_config_reload(k->web, &e);
		if (rc > 0)
			log_info(NULL, "users of %s are taken over", k->web->path);
		else if (rc < 0)
			log_warn(NULL, "the web configuration stays as it was: %s",
				 err_text(&e));
	}
}

void tls_keeper_start(struct tls_keeper *k, struct task_pool *pool)
{
	if (k->n || (k->web && k->web->path))
		k->timer = task_timer_start(pool, KEEP_NS, KEEP_NS, look, k);
}

void tls_keeper_stop(struct tls_keeper *k)
{
	task_timer_stop(k->timer);
	k->timer = NULL;
	while (k->n)
		net_tls_unref(k->tls[--k->n]);
}
