/*
 * discovery/client.c - what a client configuration asks for, and whether it can be had.
 */
#include "discovery/discovery.h"

int disc_client_check(const struct disc_client *c, struct err *e)
{
	if (c->tls)
		return err_set(NULL, e, E_UNSUPPORTED,
			       "TLS to endpoints is not supported by thanosc yet");
	if (c->compression.n && !str_eq(c->compression, STR("none")))
		return err_set(NULL, e, E_UNSUPPORTED,
			       "compression %.*s is not supported by thanosc yet",
			       STR_FMT(c->compression));
	return 0;
}

bool disc_client_eq(const struct disc_client *x, const struct disc_client *y)
{
	return x->tls == y->tls && x->insecure_skip_verify == y->insecure_skip_verify &&
	       str_eq(x->cert_file, y->cert_file) && str_eq(x->key_file, y->key_file) &&
	       str_eq(x->ca_file, y->ca_file) && str_eq(x->server_name, y->server_name) &&
	       str_eq(x->min_version, y->min_version) &&
	       str_eq(x->compression, y->compression);
}
