/*
 * discovery/client.c - what a client configuration asks for, and whether it can be had.
 */
#include "discovery/discovery_int.h"
#include "net/tls.h"

int disc_client_tls(const struct disc_client *c, struct net_tls **out, struct err *e)
{
	const struct net_tls_opts t = {
		.cert_file = c->cert_file,
		.key_file = c->key_file,
		.ca_file = c->ca_file,
		.server_name = c->server_name,
		.skip_verify = c->insecure_skip_verify,
		.min_version = c->min_version.n ? c->min_version : STR("1.3"),
		.h2 = true,
	};
	*out = NULL;
	return c->tls ? net_tls_new(&t, out, e) : 0;
}

int disc_client_check(const struct disc_client *c, struct err *e)
{
	struct net_tls *tls;
	if (disc_client_tls(c, &tls, e) < 0)
		return -1;
	net_tls_unref(tls);
	return 0;
}

struct disc_client disc_client_dup(struct arena *a, const struct disc_client *c)
{
	struct disc_client d = *c;
	d.cert_file = str_dup(a, c->cert_file);
	d.key_file = str_dup(a, c->key_file);
	d.ca_file = str_dup(a, c->ca_file);
	d.server_name = str_dup(a, c->server_name);
	d.min_version = str_dup(a, c->min_version);
	d.compression = str_dup(a, c->compression);
	return d;
}

bool disc_client_eq(const struct disc_client *x, const struct disc_client *y)
{
	return x->tls == y->tls && x->insecure_skip_verify == y->insecure_skip_verify &&
	       str_eq(x->cert_file, y->cert_file) && str_eq(x->key_file, y->key_file) &&
	       str_eq(x->ca_file, y->ca_file) && str_eq(x->server_name, y->server_name) &&
	       str_eq(x->min_version, y->min_version) &&
	       str_eq(x->compression, y->compression);
}
