/*
 * store/endpoints.c - the stores behind a querier: a set that discovery changes while queries run.
 *
 * A new set is put together from the one before: endpoints that stay keep their channels, streams and health; the others
 * go when the last query that took them has ended. What an endpoint said stays known when it dies: the proxy then names
 * it in a warning instead of leaving its data out in silence. The list of stores shows it, with the reason, for
 * unhealthy_ns more (Thanos does not show what never answered); strict ones always. All are asked on, as long as
 * they are in the set.
 */
#include "store/endpoint_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/time.h"

/* ---- lifetimes ---- */

static void info_free(struct ref *r)
{
	struct endpoint_info *i = CONTAINER_OF(r, struct endpoint_info, ref);
	arena_deinit(&i->arena);
	free(i);
}

struct endpoint_info *endpoint_info_new(void)
{
	struct endpoint_info *i = xcalloc(1, sizeof(*i));
	ref_init(&i->ref, info_free);
	arena_init(&i->arena, NULL);
	return i;
}

static struct endpoint_info *unknown_new(void)
{
	struct endpoint_info *i = endpoint_info_new();
	i->info = (struct store_info){ .component = "unknown-store-api",
				       .mint_ms = INT64_MIN,
				       .maxt_ms = INT64_MAX };
	i->has_store = true;
	return i;
}

/* The poller frees it: closing a channel waits for its loop. */
static void member_free(struct ref *r)
{
	struct endpoint_member *m = CONTAINER_OF(r, struct endpoint_member, ref);
	struct endpoints *s = m->set;
	pthread_mutex_lock(&s->mu);
	m->next_dead = s->dead;
	s->dead = m;
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mu);
}

static void endpoint_free(struct ref *r)
{
	struct endpoint *ep = CONTAINER_OF(r, struct endpoint, ref);
	for (size_t i = 0; i < ep->n; i++)
		ref_put(&ep->m[i]->ref);
	if (ep->info)
		ref_put(&ep->info->ref);
	arena_deinit(&ep->client_arena);
	free(ep->m);
	free(ep->name);
	free(ep);
}

static void set_free(struct ref *r)
{
	struct endpoint_set *v = CONTAINER_OF(r, struct endpoint_set, ref);
	for (size_t i = 0; i < v->n; i++)
		ref_put(&v->v[i]->ref);
	free(v->v);
	free(v);
}

static struct endpoint_set *set_new(size_t n)
{
	struct endpoint_set *v = xcalloc(1, sizeof(*v));
	ref_init(&v->ref, set_free);
	v->v = xcalloc(n + 1, sizeof(struct endpoint *));
	return v;
}

static char *zdup(struct str s)
{
	char *z = xcalloc(1, s.n + 1);
	if (s.n)
		memcpy(z, s.p, s.n);
	return z;
}

/* ---- members ---- */

static enum rpc_encoding encoding_of(const struct disc_client *client)
{
	if (str_eqz(client->compression, "snappy"))
		return RPC_SNAPPY;
	return str_eqz(client->compression, "gzip") ? RPC_GZIP : RPC_IDENTITY;
}

/* NULL: the address or its client's files cannot be had any more (discovery has checked both). */
static struct endpoint_member *member_new(struct endpoints *s, struct str addr,
					  const struct disc_client *client)
{
	struct rpc_channel_opts co = { .loop = loops_next(s->o.loops),
				       .encoding = encoding_of(client) };
	struct rpc_channel *channel;
	struct err e = ERR_INIT;
	if (disc_tls_get(s->tls, client, &co.tls, &e) < 0 ||
	    rpc_channel_new(&co, addr, s->o.metrics, &channel, &e) < 0) {
		log_warn(NULL, "endpoint %.*s is left out: %s", STR_FMT(addr),
			 err_text(&e));
		return NULL;
	}
	struct endpoint_member *m = xcalloc(1, sizeof(*m));
	ref_init(&m->ref, member_free);
	m->set = s;
	m->addr = zdup(addr);
	m->channel = channel;
	pthread_mutex_lock(&s->mu);
	s->members++;
	pthread_mutex_unlock(&s->mu);
	return m;
}

static struct endpoint_member *member_of(struct endpoint *ep, struct str addr)
{
	for (size_t i = 0; i < ep->n; i++)
		if (str_eqz(addr, ep->m[i]->addr))
			return ep->m[i];
	return NULL;
}

static bool any_healthy(const struct endpoint *ep)
{
	for (size_t i = 0; i < ep->n; i++)
		if (ep->m[i]->healthy)
			return true;
	return false;
}

/* Health after its members changed; locked. */
static void recount(struct endpoint *ep)
{
	if (ep->n == 0) {
		ep->last_code = E_NOT_FOUND;
		snprintf(ep->last_error, sizeof(ep->last_error), "no addresses resolved");
	}
	ep->healthy = any_healthy(ep);
}

/* Members as the target says; those that stay keep their channels unless these are to be made otherwise. */
static void set_members(struct endpoints *s, struct endpoint *ep,
			const struct disc_target *t)
{
	struct endpoint_member **v = xcalloc(t->n + 1, sizeof(struct endpoint_member *));
	bool fresh = ep->n == 0 || !disc_client_eq(&ep->client, &t->client);
	size_t n = 0;
	for (size_t i = 0; i < t->n; i++) {
		struct endpoint_member *m = fresh ? NULL : member_of(ep, t->addrs[i]);
		if (m)
			ref_get(&m->ref);
		else
			m = member_new(s, t->addrs[i], &t->client);
		if (m)
			v[n++] = m;
	}
	pthread_mutex_lock(&s->mu);
	struct endpoint_member **old = ep->m;
	size_t n_old = ep->n;
	for (size_t i = 0; i < n_old; i++)
		old[i]->gone = true;
	for (size_t i = 0; i < n; i++)
		v[i]->gone = false;
	ep->m = v;
	ep->n = n;
	ep->strict = t->strict;
	ep->group = t->group;
	arena_reset(&ep->client_arena);
	ep->client = disc_client_dup(&ep->client_arena, &t->client);
	recount(ep);
	pthread_mutex_unlock(&s->mu);
	for (size_t i = 0; i < n_old; i++)
		ref_put(&old[i]->ref);
	free(old);
}

/* ---- sets ---- */

static struct endpoint *endpoint_new(struct endpoints *s, const struct disc_target *t)
{
	struct endpoint *ep = xcalloc(1, sizeof(*ep));
	ref_init(&ep->ref, endpoint_free);
	arena_init(&ep->client_arena, NULL);
	ep->set = s;
	ep->name = zdup(t->name);
	ep->origin.name = ep->name;
	ep->reached_ns = time_mono_ns();
	ep->last_code = E_UNAVAILABLE;
	snprintf(ep->last_error, sizeof(ep->last_error), "not asked yet");
	set_members(s, ep, t);
	return ep;
}

static bool same_target(struct endpoint *ep, const struct disc_target *t)
{
	bool same = ep->n == t->n && ep->strict == t->strict && ep->group == t->group &&
		    disc_client_eq(&ep->client, &t->client);
	for (size_t i = 0; same && i < t->n; i++)
		same = str_eqz(t->addrs[i], ep->m[i]->addr);
	return same;
}

static void keep_tls(struct endpoints *s, const struct disc_client *c)
{
	struct net_tls *tls;
	struct err e = ERR_INIT;
	(void)!disc_tls_get(s->tls, c, &tls, &e); /* told when the channel was made */
}

void endpoints_apply(struct endpoints *s, const struct disc_set *set)
{
	pthread_mutex_lock(&s->apply_mu);
	struct endpoint_set *old = endpoints_now(s), *new = set_new(set->n);
	size_t k = 0;
	for (size_t i = 0; i < set->n; i++) { /* both are sorted by name */
		const struct disc_target *t = &set->v[i];
		while (k < old->n && str_cmp(str_of(old->v[k]->name), t->name) < 0)
			k++;
		if (k < old->n && str_eqz(t->name, old->v[k]->name)) {
			struct endpoint *ep = old->v[k];
			if (!same_target(ep, t))
				set_members(s, ep, t);
			ref_get(&ep->ref);
			new->v[new->n++] = ep;
		} else
			new->v[new->n++] = endpoint_new(s, t);
	}
	pthread_mutex_lock(&s->mu);
	struct endpoint_set *was = s->now;
	for (size_t i = 0; i < was->n; i++)
		for (size_t j = 0; j < was->v[i]->n; j++)
			was->v[i]->m[j]->gone = true;
	for (size_t i = 0; i < new->n; i++)
		for (size_t j = 0; j < new->v[i]->n; j++)
			new->v[i]->m[j]->gone = false;
	s->now = new;
	s->changed = s->rescan = true;
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mu);
	ref_put(&was->ref);
	ref_put(&old->ref);
	for (size_t i = 0; i < set->n; i++) /* in use, whoever made the channel */
		keep_tls(s, &set->v[i].client);
	disc_tls_sweep(s->tls);
	pthread_mutex_unlock(&s->apply_mu);
}

struct endpoint_set *endpoints_now(struct endpoints *s)
{
	pthread_mutex_lock(&s->mu);
	struct endpoint_set *v = s->now;
	if (v)
		ref_get(&v->ref);
	pthread_mutex_unlock(&s->mu);
	return v;
}

/* ---- what they say ---- */

void endpoint_view(struct endpoint *ep, struct endpoint_view *out)
{
	pthread_mutex_lock(&ep->set->mu);
	out->info = ep->info;
	if (!out->info && ep->strict)
		out->info = ep->set->unknown;
	if (out->info)
		ref_get(&out->info->ref);
	out->healthy = ep->healthy;
	out->strict = ep->strict;
	out->group = ep->group;
	snprintf(out->why, sizeof(out->why), "%s", ep->last_error);
	pthread_mutex_unlock(&ep->set->mu);
}

struct endpoint_member *endpoint_pick(struct endpoint *ep)
{
	struct endpoint_member *m = NULL;
	pthread_mutex_lock(&ep->set->mu);
	for (int pass = 0; pass < 1 + ep->strict && !m; pass++)
		for (size_t i = 0; i < ep->n && !m; i++) {
			struct endpoint_member *c = ep->m[(ep->turn + i) % ep->n];
			if (c->healthy || pass == 1) {
				m = c;
				ep->turn = (ep->turn + i + 1) % ep->n;
			}
		}
	if (m)
		ref_get(&m->ref);
	pthread_mutex_unlock(&ep->set->mu);
	return m;
}

struct endpoint_member *endpoint_pick_other(struct endpoint *ep,
					    struct endpoint_member *failed)
{
	struct endpoint_member *m = NULL;
	pthread_mutex_lock(&ep->set->mu);
	failed->healthy = false;
	failed->due_ns = 0;
	ep->healthy = any_healthy(ep);
	ep->set->rescan = true;
	pthread_cond_broadcast(&ep->set->cv);
	for (size_t i = 0; i < ep->n && !m; i++)
		if (ep->m[(ep->turn + i) % ep->n]->healthy) {
			m = ep->m[(ep->turn + i) % ep->n];
			ep->turn = (ep->turn + i + 1) % ep->n;
		}
	if (m)
		ref_get(&m->ref);
	pthread_mutex_unlock(&ep->set->mu);
	return m;
}

static void status_of(struct endpoint *ep, const struct store_info *info, struct arena *a,
		      struct endpoint_status *out)
{
	out->name = str_dup(a, str_of(ep->name));
	out->component = str_dup(a, str_of(info->component));
	out->mint_ms = info->mint_ms;
	out->maxt_ms = info->maxt_ms;
	out->n_label_sets = info->n_label_sets;
	out->label_sets = ARENA_ARRAY(a, struct labels, info->n_label_sets + 1);
	for (size_t k = 0; k < info->n_label_sets; k++)
		out->label_sets[k] = labels_dup(a, info->label_sets[k]);
}

size_t endpoints_status(struct endpoints *s, struct arena *a,
			struct endpoint_status **out)
{
	struct endpoint_set *now = endpoints_now(s);
	struct endpoint_status *v = ARENA_ARRAY(a, struct endpoint_status, now->n + 1);
	size_t n = 0;
	for (size_t i = 0; i < now->n; i++) {
		struct endpoint *ep = now->v[i];
		struct endpoint_view x;
		endpoint_view(ep, &x);
		pthread_mutex_lock(&s->mu);
		int64_t check_ms = ep->last_check_ms;
		uint64_t quiet_ns = time_mono_ns() - ep->reached_ns;
		pthread_mutex_unlock(&s->mu);
		if (x.healthy || x.strict || quiet_ns < s->o.unhealthy_ns) {
			status_of(ep, x.info ? &x.info->info : &s->unknown->info, a,
				  &v[n]);
			v[n].healthy = x.healthy;
			v[n].last_error =
				x.healthy ? STR_NULL : str_dup(a, str_of(x.why));
			v[n++].last_check_ms = check_ms;
		}
		if (x.info)
			ref_put(&x.info->ref);
	}
	ref_put(&now->ref);
	*out = v;
	return n;
}

/* ---- waiting for polls ---- */

struct round {
	struct endpoints *s;
	uint64_t since_ns;
};

static bool all_fresh(void *arg)
{
	const struct round *r = arg;
	const struct endpoint_set *now = r->s->now;
	for (size_t i = 0; now && i < now->n; i++)
		for (size_t k = 0; k < now->v[i]->n; k++)
			if (now->v[i]->m[k]->fresh_ns < r->since_ns)
				return false;
	return true;
}

void endpoints_poll(struct endpoints *s, struct ctx *ctx)
{
	struct err e = ERR_INIT;
	struct round r = { s, time_mono_ns() };
	pthread_mutex_lock(&s->mu);
	for (size_t i = 0; i < s->now->n; i++)
		for (size_t k = 0; k < s->now->v[i]->n; k++)
			s->now->v[i]->m[k]->due_ns = 0;
	s->rescan = true;
	pthread_cond_broadcast(&s->cv);
	(void)!ctx_cond_wait(ctx, &s->cv, &s->mu, all_fresh, &r, &e);
	pthread_mutex_unlock(&s->mu);
}

/* ---- the whole ---- */

struct endpoints *endpoints_new(const struct endpoints_opts *o)
{
	struct endpoints *s = xcalloc(1, sizeof(*s));
	s->o = *o;
	s->cancel = cancel_new();
	s->unknown = unknown_new();
	s->tls = disc_tls_new();
	s->meter = endpoint_meter_new(o->metrics, o->conn_labels);
	s->now = set_new(0);
	pthread_mutex_init(&s->mu, NULL);
	pthread_mutex_init(&s->apply_mu, NULL);
	ctx_cond_init(&s->cv);
	task_request_queued(o->pool, endpoint_poller, s);
	return s;
}

void endpoints_free(struct endpoints *s)
{
	if (!s)
		return;
	cancel_now(s->cancel, "shutting down");
	pthread_mutex_lock(&s->mu);
	struct endpoint_set *last = s->now;
	s->now = NULL;
	s->stop = true;
	pthread_cond_broadcast(&s->cv);
	pthread_mutex_unlock(&s->mu);
	ref_put(&last->ref);
	pthread_mutex_lock(&s->mu);
	while (!s->stopped) /* it frees the members that nobody holds any more */
		pthread_cond_wait(&s->cv, &s->mu);
	pthread_mutex_unlock(&s->mu);
	disc_tls_free(s->tls);
	endpoint_meter_free(s->meter);
	ref_put(&s->unknown->ref);
	cancel_unref(s->cancel);
	pthread_cond_destroy(&s->cv);
	pthread_mutex_destroy(&s->apply_mu);
	pthread_mutex_destroy(&s->mu);
	free(s);
}
