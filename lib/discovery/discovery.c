/*
 * discovery/discovery.c - the set of endpoints, put together anew each round and published when it changed.
 *
 * One timer runs each second: it looks at files, at the configuration when its interval has passed, and asks for names
 * when theirs has, or when anything else changed. The first round is run by whoever starts the process, so that it
 * knows when every name has been tried.
 */
#include "discovery/discovery_int.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/time.h"
#include "base/vec.h"
#include "fs/fs.h"

enum { M_DUPLICATES, M_RELOAD_OK, M_RELOAD_FAILED, M_ROWS };
static const struct metric_desc rows[M_ROWS] = {
	[M_DUPLICATES] = { METRIC_COUNTER,
			   "thanos_query_duplicated_endpoint_addresses_total",
			   "The number of times a duplicated endpoint addresses is "
			   "detected from the different configs",
			   { 0 },
			   NULL,
			   0,
			   0,
			   NULL },
	[M_RELOAD_OK] = { METRIC_GAUGE,
			  "thanosc_query_endpoint_config_last_reload_successful",
			  "Whether the last reading of the endpoint configuration went well.",
			  { 0 },
			  NULL,
			  0,
			  0,
			  NULL },
	[M_RELOAD_FAILED] = { METRIC_COUNTER,
			      "thanosc_query_endpoint_config_reload_failures_total",
			      "Endpoint configurations that were refused, the one before "
			      "staying in use.",
			      { 0 },
			      NULL,
			      0,
			      0,
			      NULL },
};

struct discovery {
	struct disc_opts o;
	struct metric_set *metrics;
	struct disc_config *config;
	uint64_t config_hash; /* of the text tried last */
	bool config_bad;      /* that text was refused */
	struct disc_files *files;
	struct disc_resolver *names, *groups;
	struct disc_set *set; /* published */
	uint64_t config_due_ns, files_due_ns, names_due_ns;
	struct cancel *cancel;
	struct task_timer *timer;
};

static void set_free(struct ref *r)
{
	struct disc_set *s = CONTAINER_OF(r, struct disc_set, ref);
	arena_deinit(&s->arena);
	free(s);
}

static struct disc_set *set_new(size_t n)
{
	struct disc_set *s = xcalloc(1, sizeof(*s));
	ref_init(&s->ref, set_free);
	arena_init(&s->arena, NULL);
	s->v = ARENA_ARRAY(&s->arena, struct disc_target, n + 1);
	return s;
}

static void set_add(struct disc_set *s, struct str name, const struct disc_addrs *addrs,
		    const struct disc_spec *spec)
{
	struct disc_target *t = &s->v[s->n++];
	t->name = name;
	t->addrs = ARENA_ARRAY(&s->arena, struct str, addrs->n + 1);
	for (size_t i = 0; i < addrs->n; i++)
		t->addrs[t->n++] = str_dup(&s->arena, addrs->v[i]);
	t->group = spec->group;
	t->strict = spec->strict;
	t->client = disc_client_dup(&s->arena, &spec->client);
}

static int by_name(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(((const struct disc_target *)x)->name,
		       ((const struct disc_target *)y)->name);
}

static void set_sort(struct disc_set *s)
{
	if (s->n)
		vec_sort(s->v, s->n, sizeof(*s->v), by_name, NULL);
}

struct disc_set *disc_set_of(const struct str *addrs, size_t n)
{
	static const struct disc_spec plain;
	struct disc_set *s = set_new(n);
	for (size_t i = 0; i < n; i++) {
		struct str name = str_dup(&s->arena, addrs[i]);
		set_add(s, name, &(struct disc_addrs){ &name, 1 }, &plain);
	}
	set_sort(s);
	return s;
}

static bool targets_eq(const struct disc_target *x, const struct disc_target *y)
{
	bool eq = str_eq(x->name, y->name) && x->n == y->n && x->group == y->group &&
		  x->strict == y->strict && disc_client_eq(&x->client, &y->client);
	for (size_t i = 0; eq && i < x->n; i++)
		eq = str_eq(x->addrs[i], y->addrs[i]);
	return eq;
}

static bool sets_eq(const struct disc_set *x, const struct disc_set *y)
{
	bool eq = x->n == y->n;
	for (size_t i = 0; eq && i < x->n; i++)
		eq = targets_eq(&x->v[i], &y->v[i]);
	return eq;
}

/* ---- putting a set together ---- */

struct mix { /* of one round */
	struct discovery *d;
	struct arena a;
	struct disc_set *set;
	struct map seen; /* name -> index + 1 */
	size_t cap;
};

/* The first mention of an address counts; strict is what any of them says. */
static void mix_add(struct mix *m, struct str name, const struct disc_addrs *addrs,
		    const struct disc_spec *spec)
{
	uintptr_t at = (uintptr_t)map_get(&m->seen, name);
	if (at) {
		metric_inc(metric_plain(m->d->metrics, M_DUPLICATES));
		m->set->v[at - 1].strict |= spec->strict;
		return;
	}
	if (m->set->n == m->cap) {
		struct disc_target *w =
			ARENA_ARRAY(&m->set->arena, struct disc_target, m->cap * 2 + 16);
		if (m->set->n)
			memcpy(w, m->set->v, m->set->n * sizeof(*w));
		m->set->v = w;
		m->cap = m->cap * 2 + 16;
	}
	name = str_dup(&m->set->arena, name);
	set_add(m->set, name, addrs, spec);
	map_set(&m->seen, name, (void *)(uintptr_t)m->set->n); /* NOLINT: index + 1 */
}

static void mix_each(struct mix *m, const struct disc_addrs *addrs,
		     const struct disc_spec *spec)
{
	for (size_t i = 0; i < addrs->n; i++)
		mix_add(m, addrs->v[i], &(struct disc_addrs){ &addrs->v[i], 1 }, spec);
}

static bool is_dynamic(struct str addr)
{
	return str_find_char(addr, '+') >= 0;
}

/* All that is configured: specs of the configuration, then addresses of files. */
static size_t all_specs(struct mix *m, struct disc_spec **out)
{
	const struct disc_config *c = m->d->config;
	struct str *addr;
	size_t n = disc_files_addrs(m->d->files, &m->a, &addr);
	struct disc_spec *v = ARENA_ARRAY(&m->a, struct disc_spec, c->n + n + 1);
	if (c->n)
		memcpy(v, c->v, c->n * sizeof(*v));
	for (size_t i = 0; i < n; i++)
		v[c->n + i] = (struct disc_spec){ .addr = addr[i], .client = c->client };
	*out = v;
	return c->n + n;
}

/* Resolve the dynamic ones among specs that are (not) groups; addrs[i] of each. */
static int resolve(struct mix *m, struct ctx *ctx, const struct disc_spec *v, size_t n,
		   bool groups, struct disc_addrs *addrs, struct err *e)
{
	struct str *names = ARENA_ARRAY(&m->a, struct str, n + 1);
	size_t *at = ARENA_ARRAY(&m->a, size_t, n + 1), k = 0;
	struct map seen;
	map_init(&seen);
	for (size_t i = 0; i < n; i++) {
		if (v[i].group != groups || !is_dynamic(v[i].addr))
			continue;
		at[i] = (size_t)(uintptr_t)map_get(&seen, v[i].addr);
		if (at[i])
			continue;
		names[k++] = v[i].addr;
		at[i] = k;
		map_set(&seen, v[i].addr, (void *)(uintptr_t)k); /* NOLINT */
	}
	map_deinit(&seen);
	struct disc_addrs *found = ARENA_ARRAY(&m->a, struct disc_addrs, k + 1);
	if (disc_resolve(groups ? m->d->groups : m->d->names, ctx, &m->a, names, k, found,
			 e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (at[i])
			addrs[i] = found[at[i] - 1];
	return 0;
}

static int mix_all(struct mix *m, struct ctx *ctx, struct err *e)
{
	struct disc_spec *v;
	size_t n = all_specs(m, &v);
	struct disc_addrs *addrs = ARENA_ARRAY(&m->a, struct disc_addrs, n + 1);
	if (resolve(m, ctx, v, n, false, addrs, e) < 0 ||
	    resolve(m, ctx, v, n, true, addrs, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!is_dynamic(v[i].addr))
			addrs[i] = (struct disc_addrs){ &v[i].addr, 1 };
		if (v[i].group)
			mix_add(m, str_fmt(&m->a, "thanos:///%.*s", STR_FMT(v[i].addr)),
				&addrs[i], &v[i]);
		else
			mix_each(m, &addrs[i], &v[i]);
	}
	set_sort(m->set);
	return 0;
}

static void publish(struct discovery *d, struct disc_set *set)
{
	if (d->set && sets_eq(d->set, set)) {
		ref_put(&set->ref);
		return;
	}
	log_info(NULL, "discovery: %zu endpoints, before %zu", set->n,
		 d->set ? d->set->n : 0);
	if (d->set)
		ref_put(&d->set->ref);
	d->set = set;
	d->o.on_set(d->o.arg, set);
}

static int ask_names(struct discovery *d, struct ctx *ctx, struct err *e)
{
	struct mix m = { .d = d, .set = set_new(0) };
	arena_init(&m.a, NULL);
	map_init(&m.seen);
	int rc = mix_all(&m, ctx, e);
	map_deinit(&m.seen);
	arena_deinit(&m.a);
	if (rc == 0)
		publish(d, m.set);
	else
		ref_put(&m.set->ref);
	d->names_due_ns = time_after_ns(d->o.dns_interval_ns);
	return rc;
}

/* ---- the configuration ---- */

static const char *config_name(struct discovery *d, struct arena *a)
{
	return d->o.config.path.n ? str_dupz(a, d->o.config.path)
				  : "--endpoint.sd-config";
}

/* Environment variables are put in, as at the start. */
static int load(struct discovery *d, struct ctx *ctx, struct buf *b,
		struct disc_config **out, struct err *e)
{
	struct arena a;
	struct str text;
	arena_init(&a, NULL);
	const char *path = config_name(d, &a);
	int rc = fs_read_file(ctx, path, LIMIT_CONFIG_BYTES, b, e);
	uint64_t hash = hash_xx64(b->p, b->n, 0);
	*out = NULL;
	if (rc == 0 && hash != d->config_hash) {
		rc = conf_env_expand(ctx, &a, buf_view(b), &text, e);
		if (rc == 0)
			rc = disc_config_parse(ctx, &d->o, text, path, out, e);
		d->config_hash = hash;
		d->config_bad = rc < 0;
	}
	arena_deinit(&a);
	return rc;
}

/* True: there is a new one. A wrong one is told once, until its text changes. */
static bool reload(struct discovery *d, struct ctx *ctx)
{
	struct disc_config *c;
	struct err e = ERR_INIT;
	struct buf b;
	d->config_due_ns = time_after_ns(d->o.config_interval_ns);
	if (!d->o.config.path.n)
		return false;
	buf_init(&b, LIMIT_CONFIG_BYTES);
	int rc = load(d, ctx, &b, &c, &e);
	buf_deinit(&b);
	if (rc < 0) {
		metric_inc(metric_plain(d->metrics, M_RELOAD_FAILED));
		metric_set_value(metric_plain(d->metrics, M_RELOAD_OK), 0);
		log_error(NULL, "endpoint configuration: %s; the one before stays in use",
			  err_text(&e));
		return false;
	}
	metric_set_value(metric_plain(d->metrics, M_RELOAD_OK), !d->config_bad);
	if (!c)
		return false;
	log_info(NULL, "endpoint configuration: read again");
	disc_config_free(d->config);
	d->config = c;
	return true;
}

/* ---- rounds ---- */

int disc_round(struct discovery *d, struct ctx *ctx, struct err *e)
{
	disc_files_read(d->files, ctx, true);
	d->files_due_ns = time_after_ns(d->o.files_interval_ns);
	return ask_names(d, ctx, e);
}

static void on_timer(void *arg)
{
	struct discovery *d = arg;
	struct ctx ctx = { .cancel = d->cancel };
	struct err e = ERR_INIT;
	uint64_t now = time_mono_ns();
	bool all = now >= d->files_due_ns;
	bool changed = disc_files_read(d->files, &ctx, all);
	if (all)
		d->files_due_ns = time_after_ns(d->o.files_interval_ns);
	if (now >= d->config_due_ns)
		changed |= reload(d, &ctx);
	if (changed || now >= d->names_due_ns)
		(void)!ask_names(d, &ctx, &e); /* -1: the end */
}

int disc_new(struct ctx *ctx, const struct disc_opts *o, struct discovery **out,
	     struct err *e)
{
	struct discovery *d = xcalloc(1, sizeof(*d));
	d->o = *o;
	d->metrics = metric_set_new(o->metrics, rows, M_ROWS);
	d->cancel = cancel_new();
	d->config_due_ns = time_after_ns(o->config_interval_ns);
	struct arena a;
	arena_init(&a, NULL);
	int rc = disc_config_parse(ctx, o, o->config.content, config_name(d, &a),
				   &d->config, e);
	arena_deinit(&a);
	if (rc < 0 || disc_files_new(o, &d->files, e) < 0) {
		disc_free(d);
		return -1;
	}
	metric_set_value(metric_plain(d->metrics, M_RELOAD_OK), 1);
	d->names = disc_resolver_new(o, DISC_ENDPOINTS);
	d->groups = disc_resolver_new(o, DISC_GROUPS);
	*out = d;
	return 0;
}

void disc_start(struct discovery *d)
{
	d->timer = task_timer_start(d->o.pool, NS_PER_S, NS_PER_S, on_timer, d);
}

void disc_free(struct discovery *d)
{
	if (!d)
		return;
	cancel_now(d->cancel, "shutting down");
	task_timer_stop(d->timer);
	disc_resolver_free(d->names);
	disc_resolver_free(d->groups);
	disc_files_free(d->files);
	disc_config_free(d->config);
	if (d->set)
		ref_put(&d->set->ref);
	cancel_unref(d->cancel);
	free(d);
}
