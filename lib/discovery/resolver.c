/*
 * discovery/resolver.c - names become addresses; the last good answer of each question is kept.
 *
 * A round asks all questions of all names at once, then those for the targets of SRV records. Its answers are a new
 * generation; where a question failed, its answer of the generation before moves on as long as its TTL and a grace
 * time have not passed. So a server that fails, or one dead record, takes nothing away. That a name does not exist
 * is an answer: its addresses go.
 *
 * A host has one address for each of its A records; its AAAA records count only where there is no A, since the
 * two families of one host would be two endpoints with the same data (dnsdualstack+ wants them both).
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/time.h"
#include "base/vec.h"
#include "discovery/discovery_int.h"
#include "fs/fs.h"
#include "net/dns.h"

enum { M_RESULTS, M_LOOKUPS, M_FAILURES, M_ROWS };
#define DNS_ROWS(p, lookups_alias, failures_alias)                                       \
	{                                                                                \
		[M_RESULTS] = { METRIC_GAUGE,                                            \
				p "_dns_provider_results",                               \
				"The number of resolved endpoints for each configured "  \
				"address",                                               \
				{ "addr" },                                              \
				NULL,                                                    \
				0,                                                       \
				10000,                                                   \
				NULL },                                                  \
		[M_LOOKUPS] = { METRIC_COUNTER,                                          \
				p "_dns_lookups_total",                                  \
				"The number of DNS lookups resolutions attempts",        \
				{ 0 },                                                   \
				NULL,                                                    \
				0,                                                       \
				0,                                                       \
				lookups_alias },                                         \
		[M_FAILURES] = { METRIC_COUNTER,                                         \
				 p "_dns_failures_total",                                \
				 "The number of DNS lookup failures",                    \
				 { 0 },                                                  \
				 NULL,                                                   \
				 0,                                                      \
				 0,                                                      \
				 failures_alias },                                       \
	}
static const struct metric_desc rows[2][M_ROWS] = {
	[DISC_ENDPOINTS] = DNS_ROWS("thanos_query_endpoints",
				    "thanos_query_store_apis_dns_lookups_total",
				    "thanos_query_store_apis_dns_failures_total"),
	[DISC_GROUPS] = DNS_ROWS("thanos_query_endpoint_groups", NULL, NULL),
};

struct question {
	struct str name;
	enum net_dns_type type;
	struct net_dns_answer answer; /* good, maybe of an earlier round */
	uint64_t good_ns;	      /* when it came; 0: never */
	bool failed;		      /* the last time */
	struct str why;
};
struct generation {
	struct arena arena;
	struct map map;		/* "type name" -> question */
	struct question **open; /* to be asked next */
	size_t n_open, cap_open;
};
struct disc_resolver {
	struct loop *loop;
	struct net_dns_opts dns;
	const char *hosts_file;
	uint64_t grace_ns;
	struct metric_set *metrics;
	struct generation *now;
	struct map cells;   /* name -> metric of its results */
	struct arena names; /* their keys */
};

static struct generation *gen_new(void)
{
	struct generation *g = xcalloc(1, sizeof(*g));
	arena_init(&g->arena, NULL);
	map_init(&g->map);
	return g;
}

static void gen_free(struct generation *g)
{
	map_deinit(&g->map);
	arena_deinit(&g->arena);
	free(g->open);
	free(g);
}

struct disc_resolver *disc_resolver_new(const struct disc_opts *o, enum disc_users users)
{
	struct disc_resolver *r = xcalloc(1, sizeof(*r));
	r->loop = loops_next(o->loops);
	r->dns = (struct net_dns_opts){ .servers = o->dns_servers,
					.limit_ns = o->dns_limit_ns };
	r->hosts_file = o->hosts_file;
	r->grace_ns = o->dns_grace_ns ? o->dns_grace_ns : 3600 * NS_PER_S;
	r->metrics = metric_set_new(o->metrics, rows[users], M_ROWS);
	r->now = gen_new();
	map_init(&r->cells);
	arena_init(&r->names, NULL);
	return r;
}

void disc_resolver_free(struct disc_resolver *r)
{
	if (!r)
		return;
	gen_free(r->now);
	map_deinit(&r->cells);
	arena_deinit(&r->names);
	free(r);
}

/* ---- questions ---- */

static struct str key_of(struct arena *a, struct str name, enum net_dns_type type)
{
	return str_fmt(a, "%d %.*s", (int)type, STR_FMT(name));
}

static void want(struct generation *g, struct str name, enum net_dns_type type)
{
	struct str key = key_of(&g->arena, name, type);
	if (map_get(&g->map, key))
		return;
	struct question *q = ARENA_NEW(&g->arena, struct question);
	q->name = str_dup(&g->arena, name);
	q->type = type;
	map_set(&g->map, key, q);
	if (g->n_open == g->cap_open)
		g->open = vec_grow(g->open, &g->cap_open, g->n_open + 1,
				   sizeof(struct question *));
	g->open[g->n_open++] = q;
}

static bool is_number(struct str host)
{
	char s[64];
	struct in6_addr ip;
	if (host.n >= sizeof(s))
		return false;
	memcpy(s, host.p, host.n);
	s[host.n] = '\0';
	return inet_pton(AF_INET, s, &ip) == 1 || inet_pton(AF_INET6, s, &ip) == 1;
}

static bool needs_no_server(struct str host)
{
	return is_number(host) || str_eq_nocase(host, STR("localhost"));
}

static void want_host(struct generation *g, struct str host)
{
	if (needs_no_server(host))
		return;
	want(g, host, NET_DNS_A);
	want(g, host, NET_DNS_AAAA);
}

static void copy_answer(struct arena *a, struct question *to,
			const struct net_dns_answer *from)
{
	to->answer = *from;
	to->answer.v = ARENA_ARRAY(a, struct net_dns_record, from->n + 1);
	for (size_t i = 0; i < from->n; i++) {
		to->answer.v[i] = from->v[i];
		to->answer.v[i].target = str_dup(a, from->v[i].target);
	}
}

static bool still_good(const struct disc_resolver *r, const struct question *old)
{
	uint64_t age_ns = time_mono_ns() - old->good_ns;
	return old->good_ns && age_ns < old->answer.ttl_s * NS_PER_S + r->grace_ns;
}

static void failed(struct disc_resolver *r, struct generation *g, struct question *q,
		   const struct err *why)
{
	struct question *old = map_get(&r->now->map, key_of(&g->arena, q->name, q->type));
	q->failed = true;
	q->why = str_dup(&g->arena, str_of(err_text(why)));
	bool keeps = old && still_good(r, old);
	if (keeps) {
		copy_answer(&g->arena, q, &old->answer);
		q->good_ns = old->good_ns;
	}
	if (!old || !old->failed || (old->good_ns && !keeps))
		log_warn(NULL, "DNS: %.*s: %.*s; %s", STR_FMT(q->name), STR_FMT(q->why),
			 keeps ? "its last answer stays in use" : "it has no answer");
}

static void answered(struct disc_resolver *r, struct generation *g, struct question *q,
		     const struct net_dns_answer *answer)
{
	struct question *old = map_get(&r->now->map, key_of(&g->arena, q->name, q->type));
	copy_answer(&g->arena, q, answer);
	q->good_ns = time_mono_ns();
	if (answer->refused && (!old || old->answer.refused != answer->refused))
		log_warn(NULL, "DNS: %.*s: %zu records name no host", STR_FMT(q->name),
			 answer->refused);
	if (old && old->failed)
		log_info(NULL, "DNS: %.*s answers again", STR_FMT(q->name));
}

/* Answer from the file of hosts what it has, so that it is not open any more. */
static void look_up(struct disc_resolver *r, struct ctx *ctx, struct generation *g)
{
	struct err e = ERR_INIT;
	struct arena a;
	struct buf b;
	size_t left = 0;
	if (!r->hosts_file || g->n_open == 0)
		return;
	arena_init(&a, NULL);
	buf_init(&b, LIMIT_CONFIG_BYTES);
	if (fs_read_file(ctx, r->hosts_file, LIMIT_CONFIG_BYTES, &b, &e) < 0)
		log_warn(NULL, "DNS: %s", err_text(&e));
	for (size_t i = 0; i < g->n_open; i++) {
		struct question *q = g->open[i];
		struct net_dns_answer answer;
		if (q->type != NET_DNS_SRV &&
		    disc_hosts_find(&a, buf_view(&b), q->name, q->type == NET_DNS_AAAA,
				    &answer))
			answered(r, g, q, &answer);
		else
			g->open[left++] = q;
	}
	g->n_open = left;
	buf_deinit(&b);
	arena_deinit(&a);
}

/* Ask what is open. -1 only when ctx ended. */
static int ask(struct disc_resolver *r, struct ctx *ctx, struct generation *g,
	       struct err *e)
{
	struct arena a;
	struct err why = ERR_INIT;
	look_up(r, ctx, g);
	size_t n = g->n_open;
	if (n == 0)
		return 0;
	arena_init(&a, NULL);
	struct net_dns_query *q = ARENA_ARRAY(&a, struct net_dns_query, n);
	for (size_t i = 0; i < n; i++)
		q[i] = (struct net_dns_query){ .name = g->open[i]->name,
					       .type = g->open[i]->type };
	int rc = net_dns_lookup(r->loop, ctx, &r->dns, &a, q, n, &why);
	if (rc < 0 && ctx_check(ctx, e) < 0) {
		arena_deinit(&a);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const struct err *bad = rc < 0 ? &why : &q[i].err;
		if (bad->code != E_OK)
			failed(r, g, g->open[i], bad);
		else
			answered(r, g, g->open[i], &q[i].answer);
	}
	g->n_open = 0;
	arena_deinit(&a);
	return 0;
}

/* ---- addresses ---- */

struct list {
	struct arena *a;
	struct str *v;
	size_t n, cap;
	bool failed; /* one of the questions behind it */
};

static const struct question *answer_of(struct generation *g, struct list *l,
					struct str name, enum net_dns_type type)
{
	const struct question *q = map_get(&g->map, key_of(&g->arena, name, type));
	l->failed |= !q || q->failed;
	return q;
}

static void add(struct list *l, struct str host, struct str port)
{
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] =
		str_fmt(l->a, str_find_char(host, ':') >= 0 ? "[%.*s]:%.*s" : "%.*s:%.*s",
			STR_FMT(host), STR_FMT(port));
}

static void add_host(struct generation *g, struct list *l, struct str host,
		     struct str port, bool both)
{
	if (needs_no_server(host)) {
		add(l, is_number(host) ? host : STR("127.0.0.1"), port);
		return;
	}
	const struct question *v4 = answer_of(g, l, host, NET_DNS_A);
	const struct question *v6 = answer_of(g, l, host, NET_DNS_AAAA);
	for (size_t i = 0; v4 && i < v4->answer.n; i++)
		add(l, v4->answer.v[i].target, port);
	if (v4 && v4->answer.n && !both)
		return;
	for (size_t i = 0; v6 && i < v6->answer.n; i++)
		add(l, v6->answer.v[i].target, port);
}

static void add_srv(struct generation *g, struct list *l, const struct disc_addr *addr)
{
	const struct question *q = answer_of(g, l, addr->host, NET_DNS_SRV);
	for (size_t i = 0; q && i < q->answer.n; i++) {
		const struct net_dns_record *v = &q->answer.v[i];
		struct str port =
			addr->port.n ? addr->port : str_fmt(l->a, "%u", v->port);
		if (addr->kind == DISC_SRV_NOA)
			add(l, v->target, port);
		else
			add_host(g, l, v->target, port, false);
	}
}

static int by_str(const void *x, const void *y, void *arg)
{
	(void)arg;
	return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

static void set_results(struct disc_resolver *r, struct str name, size_t n)
{
	struct metric *c = map_get(&r->cells, name);
	if (!c) {
		c = metric_at(r->metrics, M_RESULTS, name);
		map_set(&r->cells, str_dup(&r->names, name), c);
	}
	metric_set_value(c, (double)n);
}

static void compose(struct disc_resolver *r, struct generation *g, struct arena *a,
		    struct str name, struct disc_addrs *out)
{
	struct disc_addr addr = { .kind = DISC_STATIC };
	struct list l = { .a = a };
	struct err e = ERR_INIT;
	size_t k = 0;
	metric_inc(metric_plain(r->metrics, M_LOOKUPS));
	if (disc_addr_parse(name, &addr, &e) < 0)
		l.failed = true; /* said where it came from */
	else if (addr.kind == DISC_SRV || addr.kind == DISC_SRV_NOA)
		add_srv(g, &l, &addr);
	else
		add_host(g, &l, addr.host, addr.port, addr.kind == DISC_DUAL);
	if (l.failed)
		metric_inc(metric_plain(r->metrics, M_FAILURES));
	if (l.n)
		vec_sort(l.v, l.n, sizeof(*l.v), by_str, NULL);
	out->v = ARENA_ARRAY(a, struct str, l.n + 1);
	for (size_t i = 0; i < l.n; i++)
		if (k == 0 || !str_eq(l.v[i], out->v[k - 1]))
			out->v[k++] = l.v[i];
	out->n = k;
	free(l.v);
	set_results(r, name, k);
}

/* Names that nobody asks for any more have no results. */
static void drop_cells(struct disc_resolver *r, const struct str *names, size_t n)
{
	struct map used, cells;
	struct arena keys;
	size_t it = 0;
	struct str name;
	void *cell;
	map_init(&used);
	map_init(&cells);
	arena_init(&keys, NULL);
	for (size_t i = 0; i < n; i++)
		map_set(&used, names[i], r);
	while (map_next(&r->cells, &it, &name, &cell)) {
		if (map_get(&used, name))
			map_set(&cells, str_dup(&keys, name), cell);
		else
			metric_drop(r->metrics, cell);
	}
	map_deinit(&used);
	map_deinit(&r->cells);
	arena_deinit(&r->names);
	r->cells = cells;
	r->names = keys;
}

/* ---- a round ---- */

static void want_first(struct generation *g, struct str name)
{
	struct disc_addr addr;
	struct err e = ERR_INIT;
	if (disc_addr_parse(name, &addr, &e) < 0)
		return;
	if (addr.kind == DISC_SRV || addr.kind == DISC_SRV_NOA)
		want(g, addr.host, NET_DNS_SRV);
	else
		want_host(g, addr.host);
}

static void want_targets(struct generation *g, struct str name)
{
	struct disc_addr addr;
	struct err e = ERR_INIT;
	if (disc_addr_parse(name, &addr, &e) < 0 || addr.kind != DISC_SRV)
		return;
	const struct question *q =
		map_get(&g->map, key_of(&g->arena, addr.host, NET_DNS_SRV));
	for (size_t i = 0; q && i < q->answer.n; i++)
		want_host(g, q->answer.v[i].target);
}

int disc_resolve(struct disc_resolver *r, struct ctx *ctx, struct arena *a,
		 const struct str *names, size_t n, struct disc_addrs *out, struct err *e)
{
	struct generation *g = gen_new();
	for (size_t i = 0; i < n; i++)
		want_first(g, names[i]);
	int rc = ask(r, ctx, g, e);
	for (size_t i = 0; rc == 0 && i < n; i++)
		want_targets(g, names[i]);
	if (rc == 0)
		rc = ask(r, ctx, g, e);
	if (rc < 0) {
		gen_free(g);
		return -1;
	}
	for (size_t i = 0; i < n; i++)
		compose(r, g, a, names[i], &out[i]);
	gen_free(r->now);
	r->now = g;
	drop_cells(r, names, n);
	return 0;
}
