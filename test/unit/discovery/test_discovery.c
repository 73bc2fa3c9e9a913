/*
 * Discovery: names that change, vanish and fail; files; the configuration and what it refuses.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/time.h"
#include "discovery/discovery.h"
#include "fs/fs.h"
#include "support/dns_server.h"
#include "support/tst.h"

struct world {
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *metrics;
	struct dns_server dns;
	struct ctx ctx;
	struct arena a;
	char dir[64];
	struct disc_opts o;
	struct discovery *d;
	pthread_mutex_t mu; /* below */
	struct disc_set *set;
	int sets;
};

static void on_set(void *arg, struct disc_set *set)
{
	struct world *w = arg;
	pthread_mutex_lock(&w->mu);
	if (w->set)
		ref_put(&w->set->ref);
	ref_get(&set->ref);
	w->set = set;
	w->sets++;
	pthread_mutex_unlock(&w->mu);
}

static void begin(struct world *w)
{
	struct err e = ERR_INIT;
	*w = (struct world){ .dir = "/tmp/thanosc-disc-XXXXXX" };
	cr_assert_not_null(mkdtemp(w->dir));
	cr_assert_eq(loops_start(1, &w->loops, &e), 0);
	w->pool = task_pool_new(&(struct task_pool_opts){ .cpu = 1 });
	w->metrics = metric_registry_new();
	dns_server_start(&w->dns);
	ctx_init(&w->ctx, NULL, time_after_ns(60 * NS_PER_S));
	arena_init(&w->a, NULL);
	pthread_mutex_init(&w->mu, NULL);
	w->o = (struct disc_opts){ .dns_servers = str_of(w->dns.addr),
				   .dns_limit_ns = 300 * NS_PER_MS,
				   .dns_interval_ns = 3600 * NS_PER_S,
				   .files_interval_ns = 3600 * NS_PER_S,
				   .config_interval_ns = 3600 * NS_PER_S,
				   .loops = &w->loops,
				   .pool = w->pool,
				   .metrics = w->metrics,
				   .on_set = on_set,
				   .arg = w };
}

static void end(struct world *w)
{
	struct err e = ERR_INIT;
	disc_free(w->d);
	if (w->set)
		ref_put(&w->set->ref);
	dns_server_stop(&w->dns);
	loops_stop(&w->loops);
	task_pool_free(w->pool);
	metric_registry_free(w->metrics);
	cr_assert_eq(fs_remove_all(&w->ctx, w->dir, &e), 0);
	arena_deinit(&w->a);
	ctx_deinit(&w->ctx);
	pthread_mutex_destroy(&w->mu);
}

static void give(struct world *w, struct conf_strs *to, const char *addr)
{
	struct str *v = ARENA_ARRAY(&w->a, struct str, to->n + 1);
	if (to->n)
		memcpy(v, to->v, to->n * sizeof(*v));
	v[to->n] = str_of(addr);
	*to = (struct conf_strs){ v, to->n + 1 };
}

static void open_disc(struct world *w)
{
	struct err e = ERR_INIT;
	cr_assert_eq(disc_new(&w->ctx, &w->o, &w->d, &e), 0, "%s", err_text(&e));
}

static void round_of(struct world *w)
{
	struct err e = ERR_INIT;
	cr_assert_eq(disc_round(w->d, &w->ctx, &e), 0, "%s", err_text(&e));
}

/* "name name!strict group=addr,addr": ! is strict. */
static const char *shown(struct world *w)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	pthread_mutex_lock(&w->mu);
	for (size_t i = 0; w->set && i < w->set->n; i++) {
		const struct disc_target *t = &w->set->v[i];
		buf_fmt(&b, "%s%.*s%s", i ? " " : "", STR_FMT(t->name),
			t->strict ? "!" : "");
		for (size_t k = 0; t->group && k < t->n; k++)
			buf_fmt(&b, "%c%.*s", k ? ',' : '=', STR_FMT(t->addrs[k]));
		if (!t->group)
			cr_assert(t->n == 1 && str_eq(t->addrs[0], t->name));
	}
	pthread_mutex_unlock(&w->mu);
	const char *s = str_dupz(&w->a, buf_view(&b));
	buf_deinit(&b);
	return s;
}

#define SHOWS(w, text) cr_assert_str_eq(shown(w), text)
static void after_round(struct world *w, const char *text)
{
	round_of(w);
	SHOWS(w, text);
}

/* The timer's affair: wait for it. */
static void becomes(struct world *w, const char *text)
{
	for (int i = 0; i < 200 && strcmp(shown(w), text) != 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	SHOWS(w, text);
}

static double metric(struct world *w, const char *line)
{
	struct buf b;
	double v = -1;
	buf_init(&b, 1 << 20);
	metric_write_text(w->metrics, false, &b);
	buf_byte(&b, 0);
	const char *at = strstr((const char *)b.p, line);
	if (at)
		v = strtod(at + strlen(line), NULL);
	buf_deinit(&b);
	return v;
}

/* ---- names ---- */

Test(discovery, each_prefix_gives_its_addresses)
{
	struct world w;
	begin(&w);
	dns_server_set(&w.dns, "both.test", 1, 30, "10.0.0.1");
	dns_server_set(&w.dns, "both.test", 28, 30, "2001:db8::1");
	dns_server_set(&w.dns, "six.test", 28, 30, "2001:db8::6");
	dns_server_set(&w.dns, "_grpc._tcp.srv.test", 33, 30,
		       "both.test:1001 six.test:1002 10.9.9.9:1003");
	give(&w, &w.o.endpoints, "plain:1");
	give(&w, &w.o.endpoints, "dns+both.test:2");
	give(&w, &w.o.endpoints, "dns+six.test:3");
	give(&w, &w.o.endpoints, "dnsdualstack+both.test:4");
	give(&w, &w.o.endpoints, "dnssrv+_grpc._tcp.srv.test");
	give(&w, &w.o.endpoints, "dnssrvnoa+_grpc._tcp.srv.test.");
	give(&w, &w.o.endpoints, "dnssrvnoa+_grpc._tcp.srv.test:77");
	give(&w, &w.o.endpoints, "dns+127.0.0.1:5");
	give(&w, &w.o.endpoints, "dns+localhost:6");
	open_disc(&w);
	after_round(&w, "10.0.0.1:1001 10.0.0.1:2 10.0.0.1:4 10.9.9.9:1003 10.9.9.9:77 "
			"127.0.0.1:5 127.0.0.1:6 [2001:db8::1]:4 [2001:db8::6]:1002 "
			"[2001:db8::6]:3 both.test:1001 both.test:77 plain:1 "
			"six.test:1002 six.test:77");
	cr_assert_eq(metric(&w, "\nthanos_query_endpoints_dns_provider_results{addr="
				"\"dnsdualstack+both.test:4\"} "),
		     2);
	cr_assert_eq(metric(&w, "\nthanos_query_endpoints_dns_lookups_total "), 8);
	cr_assert_eq(metric(&w, "\nthanos_query_store_apis_dns_lookups_total "), 8);
	cr_assert_eq(metric(&w, "\nthanos_query_endpoints_dns_failures_total "), 0);
	cr_assert_eq(metric(&w, "\nthanos_query_duplicated_endpoint_addresses_total "),
		     1); /* 10.9.9.9:1003, by srv and srvnoa */
	end(&w);
}

Test(discovery, names_change_vanish_and_come_back)
{
	struct world w;
	begin(&w);
	give(&w, &w.o.endpoints, "dns+x.test:1");
	open_disc(&w);
	dns_server_set(&w.dns, "x.test", 1, 30, "10.0.0.2 10.0.0.1");
	after_round(&w, "10.0.0.1:1 10.0.0.2:1");
	dns_server_set(&w.dns, "x.test", 1, 30, "10.0.0.1 10.0.0.2");
	after_round(&w, "10.0.0.1:1 10.0.0.2:1");
	cr_assert_eq(w.sets, 1); /* an order is no change */
	dns_server_set(&w.dns, "x.test", 1, 30, "10.0.0.3");
	after_round(&w, "10.0.0.3:1");
	dns_server_set(&w.dns, "x.test", 1, 30, "NXDOMAIN");
	after_round(&w, "");
	dns_server_set(&w.dns, "x.test", 1, 30, "10.0.0.3");
	after_round(&w, "10.0.0.3:1");
	cr_assert_eq(w.sets, 4);
	end(&w);
}

Test(discovery, a_failing_server_takes_nothing_away_until_ttl_and_grace_are_over)
{
	struct world w;
	begin(&w);
	w.o.dns_grace_ns = 800 * NS_PER_MS;
	give(&w, &w.o.endpoints, "dns+x.test:1");
	give(&w, &w.o.endpoints, "dns+y.test:1");
	open_disc(&w);
	dns_server_set(&w.dns, "x.test", 1, 0, "10.0.0.1");
	dns_server_set(&w.dns, "y.test", 1, 3600, "10.0.0.2");
	after_round(&w, "10.0.0.1:1 10.0.0.2:1");
	dns_server_set(&w.dns, "x.test", 1, 0, "SERVFAIL");
	dns_server_set(&w.dns, "y.test", 1, 0, "MUTE");
	after_round(&w, "10.0.0.1:1 10.0.0.2:1");
	cr_assert_eq(metric(&w, "\nthanos_query_endpoints_dns_failures_total "), 2);
	nanosleep(&(struct timespec){ .tv_nsec = 850000000 }, NULL);
	after_round(&w, "10.0.0.2:1");
	dns_server_set(&w.dns, "x.test", 1, 0, "10.0.0.9");
	after_round(&w, "10.0.0.2:1 10.0.0.9:1");
	end(&w);
}

Test(discovery, one_dead_record_fails_alone)
{
	struct world w;
	begin(&w);
	dns_server_set(&w.dns, "s.test", 33, 30, "a.one:1 dead.one:2 gone.one:3 b.one:4");
	dns_server_set(&w.dns, "a.one", 1, 30, "10.0.0.1");
	dns_server_set(&w.dns, "b.one", 1, 30, "10.0.0.2");
	dns_server_set(&w.dns, "dead.one", 1, 30, "SERVFAIL");
	dns_server_set(&w.dns, "gone.one", 1, 30, "NXDOMAIN");
	give(&w, &w.o.endpoints, "dnssrv+s.test");
	give(&w, &w.o.endpoints, "dnssrv+none.test");
	give(&w, &w.o.endpoints, "dnssrv+mute.test");
	open_disc(&w);
	after_round(&w, "10.0.0.1:1 10.0.0.2:4");
	dns_server_set(&w.dns, "dead.one", 1, 30, "10.0.0.3");
	after_round(&w, "10.0.0.1:1 10.0.0.2:4 10.0.0.3:2");
	dns_server_set(&w.dns, "dead.one", 1, 30, "SERVFAIL");
	dns_server_set(&w.dns, "s.test", 33, 30, "SERVFAIL");
	after_round(&w, "10.0.0.1:1 10.0.0.2:4 10.0.0.3:2");
	end(&w);
}

Test(discovery, a_round_ends_when_it_is_cancelled)
{
	struct world w;
	struct err e = ERR_INIT;
	begin(&w);
	give(&w, &w.o.endpoints, "dns+mute.test:1");
	open_disc(&w);
	cancel_now(w.ctx.cancel, "enough");
	cr_assert_eq(disc_round(w.d, &w.ctx, &e), -1);
	cr_assert_eq(e.code, E_CANCELLED);
	cr_assert_eq(w.sets, 0);
	end(&w);
}

/* ---- groups, strict ones, duplicates ---- */

Test(discovery, groups_hold_addresses_and_duplicates_are_one)
{
	struct world w;
	begin(&w);
	dns_server_set(&w.dns, "g.test", 1, 30, "10.0.0.2 10.0.0.1");
	give(&w, &w.o.endpoints, "10.0.0.1:1");
	give(&w, &w.o.endpoints, "dns+g.test:1");
	give(&w, &w.o.endpoints, "10.0.0.7:1");
	give(&w, &w.o.strict, "10.0.0.7:1");
	give(&w, &w.o.groups, "dns+g.test:1");
	give(&w, &w.o.strict_groups, "lb:9");
	open_disc(&w);
	after_round(&w, "10.0.0.1:1 10.0.0.2:1 10.0.0.7:1! "
			"thanos:///dns+g.test:1=10.0.0.1:1,10.0.0.2:1 "
			"thanos:///lb:9!=lb:9");
	cr_assert_eq(metric(&w, "\nthanos_query_duplicated_endpoint_addresses_total "),
		     2);
	cr_assert_eq(metric(&w, "\nthanos_query_endpoint_groups_dns_provider_results{"
				"addr=\"dns+g.test:1\"} "),
		     2);
	dns_server_set(&w.dns, "g.test", 1, 30, "NXDOMAIN");
	after_round(&w, "10.0.0.1:1 10.0.0.7:1! thanos:///dns+g.test:1 "
			"thanos:///lb:9!=lb:9");
	end(&w);
}

static void refused(struct world *w, const char *text)
{
	struct err e = ERR_INIT;
	cr_assert_eq(disc_new(&w->ctx, &w->o, &w->d, &e), -1, "%s", text);
	cr_expect(strstr(err_text(&e), text), "%s", err_text(&e));
	w->d = NULL;
}

Test(discovery, wrong_addresses_are_refused_by_name)
{
	static const struct {
		const char *addr, *text;
	} c[] = { { "noport", "missing port" },
		  { "dns+noport", "missing port" },
		  { "dnsx+a:1", "unknown prefix 'dnsx+'" },
		  { "dns+a b:1", "bad host name" },
		  { "dnssrv+", "bad host name" },
		  { "a:99999", "invalid port" } };
	struct world w;
	begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		w.o.endpoints = (struct conf_strs){ 0 };
		give(&w, &w.o.endpoints, c[i].addr);
		refused(&w, c[i].text);
		refused(&w, "--endpoint: ");
	}
	w.o.endpoints = (struct conf_strs){ 0 };
	give(&w, &w.o.strict, "dns+a:1");
	refused(&w, "--endpoint-strict: dns+a:1 is a dynamically specified endpoint");
	w.o.strict = (struct conf_strs){ 0 };
	give(&w, &w.o.strict_groups, "dnssrv+a");
	refused(&w, "not permitted under strict mode");
	w.o.strict_groups = (struct conf_strs){ 0 };
	give(&w, &w.o.files, "/a/*/b.json");
	refused(&w, "not valid for file discovery");
	end(&w);
}

/* ---- files ---- */

static void write_file(struct world *w, const char *name, const char *text)
{
	struct err e = ERR_INIT;
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	cr_assert_eq(fs_write_atomic(&w->ctx, path, str_of(text), &e), 0);
}

static void remove_file(struct world *w, const char *name)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	cr_assert_eq(unlink(path), 0);
}

Test(discovery, files_are_read_kept_while_bad_and_go_when_they_go)
{
	struct world w;
	char pattern[96];
	begin(&w);
	snprintf(pattern, sizeof(pattern), "%s/s*.json", w.dir);
	give(&w, &w.o.files, pattern);
	give(&w, &w.o.files, str_fmt(&w.a, "%s/*.yml", w.dir).p);
	open_disc(&w);
	dns_server_set(&w.dns, "x.test", 1, 30, "10.0.0.1");
	after_round(&w, "");
	write_file(&w, "s1.json",
		   "[{\"targets\":[\"a:1\",\"dns+x.test:2\"],\"labels\":{\"x\":\"y\"}},"
		   "{\"targets\":[\"b:1\",\"nonsense\"]}]");
	write_file(&w, "other.json", "[{\"targets\":[\"no:1\"]}]");
	write_file(&w, "t.yml", "- targets: ['c:1', 'a:1']\n");
	after_round(&w, "10.0.0.1:2 a:1 b:1 c:1");
	write_file(&w, "s1.json", "[{\"targets\":[\"a:1\""); /* half written */
	after_round(&w, "10.0.0.1:2 a:1 b:1 c:1");
	cr_assert_eq(metric(&w, "\nprometheus_sd_file_read_errors_total "), 1);
	write_file(&w, "s1.json", "{\"targets\":[\"a:1\"]}"); /* not a list */
	after_round(&w, "10.0.0.1:2 a:1 b:1 c:1");
	write_file(&w, "s1.json", "[{\"targets\":[\"d:1\"]}]");
	after_round(&w, "a:1 c:1 d:1");
	remove_file(&w, "s1.json");
	after_round(&w, "a:1 c:1");
	write_file(&w, "t.yml", "");
	after_round(&w, "");
	end(&w);
}

Test(discovery, the_timer_sees_files_change)
{
	struct world w;
	begin(&w);
	give(&w, &w.o.files, str_fmt(&w.a, "%s/s.yaml", w.dir).p);
	write_file(&w, "s.yaml", "- targets: [a:1]\n");
	open_disc(&w);
	after_round(&w, "a:1");
	disc_start(w.d);
	write_file(&w, "s.yaml", "- targets: [b:1]\n");
	becomes(&w, "b:1");
	write_file(&w, "s.yaml", "- targets: [c:1]\n");
	becomes(&w, "c:1");
	end(&w);
}

/* ---- the configuration ---- */

static void configure(struct world *w, const char *yaml)
{
	w->o.config.content = str_of(yaml);
}

Test(discovery, the_configuration_names_endpoints_beside_the_flags)
{
	struct world w;
	begin(&w);
	dns_server_set(&w.dns, "x.test", 1, 30, "10.0.0.1");
	give(&w, &w.o.endpoints, "flag:1");
	configure(&w, "default_client_config: {compression: none, tls_config: {enabled: "
		      "false}}\n"
		      "endpoints:\n"
		      "- {address: a:1, client_config: {compression: snappy}}\n"
		      "- {address: b:1, strict: true, client_config: {server_name: n}}\n"
		      "- {address: dns+x.test:1}\n"
		      "- {address: g:1, group: true, service_config: "
		      "'{\"loadBalancingPolicy\":\"round_robin\"}'}\n");
	open_disc(&w);
	after_round(&w, "10.0.0.1:1 a:1 b:1! flag:1 thanos:///g:1=g:1");
	cr_assert(str_eqz(w.set->v[2].client.server_name, "n"));
	cr_assert(str_eqz(w.set->v[2].client.compression, "none"));
	cr_assert(str_eqz(w.set->v[1].client.compression, "snappy"));
	end(&w);
}

Test(discovery, configurations_are_refused_with_place_and_reason)
{
	static const struct {
		const char *yaml, *text;
	} c[] = {
		{ "endpoints: [{adress: a:1}]", "did you mean 'address'" },
		{ "endpoints: [{strict: true}]", "address" },
		{ "endpoints: [{address: 'a'}]", "missing port" },
		{ "endpoints: [{address: 'dns+a:1', strict: true}]", "strict mode" },
		{ "endpoints: [{address: 'a:1', service_config: '{}'}]",
		  "only valid for groups" },
		{ "endpoints: [{address: 'a:1', group: true, service_config: '{}'}]",
		  "round_robin" },
		{ "endpoints: [{address: 'a:1', client_config: {compression: lz4}}]",
		  "compression" },
		{ "endpoints: [{address: 'a:1', client_config: {tls_config: {ca_file: "
		  "/nowhere}}}]",
		  "client_config of a:1: " },
		{ "default_client_config: {tls_config: {ca_file: /nowhere}}",
		  "/nowhere" },
		{ "default_client_config: {tls_config: {cert_file: /nowhere}}",
		  "default_client_config: " },
		{ "endpoints: [{address: 'a:1', client_config: {tls_config: "
		  "{min_version: '2'}}}]",
		  "min_version" },
		{ "endpoints: [", "--endpoint.sd-config" },
	};
	struct world w;
	begin(&w);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		configure(&w, c[i].yaml);
		refused(&w, c[i].text);
	}
	configure(&w, "endpoints: [{address: 'a:1', client_config: {tls_config: "
		      "{enabled: false, ca_file: x}}}]"); /* not used: fine */
	open_disc(&w);
	end(&w);
}

Test(discovery, a_bad_new_configuration_keeps_the_old_one_and_says_so)
{
	struct world w;
	const char *ok = "\nthanosc_query_endpoint_config_last_reload_successful ";
	begin(&w);
	write_file(&w, "c.yml", "endpoints: [{address: 'a:1'}]");
	w.o.config.path = str_fmt(&w.a, "%s/c.yml", w.dir);
	configure(&w, "endpoints: [{address: 'a:1'}]");
	w.o.config_interval_ns = 100 * NS_PER_MS;
	open_disc(&w);
	after_round(&w, "a:1");
	cr_assert_eq(metric(&w, ok), 1);
	disc_start(w.d);
	write_file(&w, "c.yml", "endpoints: [{address: 'b:1'}, {address: 'b'}]");
	for (int i = 0; i < 200 && metric(&w, ok) != 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	cr_assert_eq(metric(&w, ok), 0);
	SHOWS(&w, "a:1");
	write_file(&w, "c.yml", "endpoints: [{address: 'b:1'}]");
	becomes(&w, "b:1");
	cr_assert_eq(metric(&w, ok), 1);
	remove_file(&w, "c.yml");
	for (int i = 0; i < 200 && metric(&w, ok) != 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	SHOWS(&w, "b:1");
	write_file(&w, "c.yml", "endpoints: [{address: 'b:1'}]"); /* as it was */
	for (int i = 0; i < 200 && metric(&w, ok) != 1; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
	cr_assert_eq(metric(&w, ok), 1);
	SHOWS(&w, "b:1");
	end(&w);
}

/* --store.sd-dns-resolver=golang */
Test(discovery, names_in_the_file_of_hosts_are_not_asked_for)
{
	struct world w;
	begin(&w);
	write_file(&w, "hosts",
		   "127.0.0.1\tlocalhost\n"
		   "#10.7.7.7 both.test\n"
		   "10.1.1.1   other.test  Both.test fourth.test # c.test\n"
		   "fd00::1 both.test\n"
		   "fd00::2 six.test\n"
		   "10.1.1.2 both.test\n"
		   "nonsense bad.test");
	w.o.hosts_file = str_dupz(&w.a, str_fmt(&w.a, "%s/hosts", w.dir));
	give(&w, &w.o.endpoints, "dns+both.test:1");
	give(&w, &w.o.endpoints, "dnsdualstack+six.test:2");
	give(&w, &w.o.endpoints, "dns+c.test:3");
	give(&w, &w.o.endpoints, "dnssrv+_srv.test:4");
	dns_server_set(&w.dns, "both.test", 1, 30, "10.9.9.9");
	dns_server_set(&w.dns, "six.test", 1, 30, "10.9.9.8");
	dns_server_set(&w.dns, "c.test", 1, 30, "10.9.9.7");
	dns_server_set(&w.dns, "bad.test", 1, 30, "10.9.9.6");
	dns_server_set(&w.dns, "fourth.test", 1, 30, "10.9.9.5");
	dns_server_set(&w.dns, "_srv.test", 33, 30, "fourth.test:9");
	open_disc(&w);
	after_round(&w, "10.1.1.1:1 10.1.1.1:4 10.1.1.2:1 10.9.9.7:3 [fd00::2]:2");
	/* it is read each time */
	write_file(&w, "hosts", "10.1.1.3 c.test\n");
	after_round(&w, "10.1.1.3:3 10.9.9.5:4 10.9.9.8:2 10.9.9.9:1");
	remove_file(&w, "hosts");
	after_round(&w, "10.9.9.5:4 10.9.9.7:3 10.9.9.8:2 10.9.9.9:1");
	end(&w);
}
