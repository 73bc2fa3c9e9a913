/*
 * discovery/tls_pool.c - one TLS state for all endpoints with the same client.
 *
 * Channels hold references of their own. Files are looked at again every few seconds, so that certificates may change
 * while streams run.
 */
#include <stdlib.h>

#include "base/log.h"
#include "discovery/discovery_int.h"
#include "net/tls.h"

struct entry {
	struct net_tls *tls;
	struct disc_client client;
	struct arena arena; /* its texts */
	bool used;	    /* since the last sweep */
	struct entry *next;
};
struct disc_tls {
	pthread_mutex_t mu;
	struct entry *first;
};

struct disc_tls *disc_tls_new(void)
{
	struct disc_tls *p = xcalloc(1, sizeof(*p));
	pthread_mutex_init(&p->mu, NULL);
	return p;
}

static int get(struct disc_tls *s, const struct disc_client *c, struct net_tls **out,
	       struct err *e)
{
	struct entry *t = s->first;
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
		arena_init(&t->arena, NULL);
		t->client = disc_client_dup(&t->arena, c);
		t->next = s->first;
		s->first = t;
	}
	t->used = true;
	*out = t->tls;
	return 0;
}

int disc_tls_get(struct disc_tls *s, const struct disc_client *c, struct net_tls **out,
		 struct err *e)
{
	pthread_mutex_lock(&s->mu);
	int rc = get(s, c, out, e);
	pthread_mutex_unlock(&s->mu);
	return rc;
}

void disc_tls_sweep(struct disc_tls *s)
{
	pthread_mutex_lock(&s->mu);
	for (struct entry **at = &s->first; *at;) {
		struct entry *t = *at;
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
	pthread_mutex_unlock(&s->mu);
}

void disc_tls_free(struct disc_tls *s)
{
	disc_tls_sweep(s); /* what was asked for goes the second time */
	disc_tls_sweep(s);
	pthread_mutex_destroy(&s->mu);
	free(s);
}

void disc_tls_reload(struct disc_tls *s)
{
	pthread_mutex_lock(&s->mu);
	for (struct entry *t = s->first; t; t = t->next) {
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
	pthread_mutex_unlock(&s->mu);
}
