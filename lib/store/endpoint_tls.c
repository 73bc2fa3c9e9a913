/*
 * store/endpoint_tls.c - one TLS state for all endpoints with the same client configuration.
 *
 * Channels hold references of their own. Files are looked at again every few seconds by the poller, so that certificates
 * may change while streams run.
 */
#include "store/endpoint_int.h"

#include <stdlib.h>

#include "base/log.h"
#include "net/tls.h"

struct endpoint_tls {
	struct net_tls *tls;
	struct disc_client client;
	struct arena arena; /* its texts */
	bool used;	    /* since the last sweep */
	struct endpoint_tls *next;
};

static void take_client(struct endpoint_tls *t, const struct disc_client *c)
{
	struct arena *a = &t->arena;
	arena_init(a, NULL);
	t->client = *c;
	t->client.cert_file = str_dup(a, c->cert_file);
	t->client.key_file = str_dup(a, c->key_file);
	t->client.ca_file = str_dup(a, c->ca_file);
	t->client.server_name = str_dup(a, c->server_name);
	t->client.min_version = str_dup(a, c->min_version);
	t->client.compression = str_dup(a, c->compression);
}

int endpoint_tls_get(struct endpoints *s, const struct disc_client *c,
		     struct net_tls **out, struct err *e)
{
	struct endpoint_tls *t = s->tls;
	struct net_tls *tls;
	*out = NULL;
	if (!c->tls)
		return 0;
	while (t && !disc_client_eq(&t->client, c))
		t = t->next;
	if (!t) {
		if (disc_client_tls(c, &tls, e) < 0)
			return -1;
		t = xcalloc(1, sizeof(*t));
		t->tls = tls;
		take_client(t, c);
		t->next = s->tls;
		s->tls = t;
	}
	t->used = true;
	*out = t->tls;
	return 0;
}

void endpoint_tls_sweep(struct endpoints *s)
{
	for (struct endpoint_tls **at = &s->tls; *at;) {
		struct endpoint_tls *t = *at;
		if (t->used) {
			t->used = false;
			at = &t->next;
			continue;
		}
		*at = t->next;
		net_tls_unref(t->tls);
		arena_deinit(&t->arena);
		free(t);
	}
}

void endpoint_tls_reload(struct endpoints *s)
{
	pthread_mutex_lock(&s->apply_mu);
	for (struct endpoint_tls *t = s->tls; t; t = t->next) {
		struct err e = ERR_INIT;
		int rc = net_tls_reload(t->tls, &e);
		if (rc > 0)
			log_info(NULL,
				 "TLS files of endpoints have changed and are in use");
		else if (rc < 0)
			log_warn(NULL,
				 "TLS files of endpoints have changed, the old ones stay "
				 "in use: %s",
				 err_text(&e));
	}
	pthread_mutex_unlock(&s->apply_mu);
}
