/*
 * The set of endpoints changes while calls run: streams of dropped ones go on, strict ones are asked whatever their
 * health, groups are asked in turn.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "proto/convert.h"
#include "store/federated.h"
#include "store/store.h"
#include "support/tst.h"

#define SERVERS 3

struct fake { /* one store */
	struct rpc_server *srv;
	char addr[32];
	struct labels ext;
	struct label l;
	_Atomic int infos, calls;
	_Atomic bool hold; /* Series waits after its first frame */
};
struct world {
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *metrics;
	struct endpoints *eps;
	struct proxy *proxy;
	struct fake f[SERVERS];
	struct ctx ctx;
	struct arena a;
};

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static int on_info(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		   struct err *e)
{
	struct fake *f = arg;
	struct store_info i = { .component = "sidecar",
				.label_sets = &f->ext,
				.n_label_sets = 1,
				.mint_ms = 0,
				.maxt_ms = 100,
				.apis = API_RULES };
	struct arena a;
	struct buf b;
	atomic_fetch_add(&f->infos, 1);
	arena_init(&a, NULL);
	buf_init(&b, 1 << 16);
	proto_info_encode(&a, &i, &b);
	struct str part = buf_view(&b);
	int rc = rpc_send(call, ctx, &part, 1, e);
	buf_deinit(&b);
	arena_deinit(&a);
	return rc;
}

static int send_series(struct fake *f, struct ctx *ctx, struct rpc_call *call,
		       const char *value, struct err *e)
{
	struct label l[2] = { { STR("n"), str_of(value) }, f->l };
	struct series_in s = { .labels = { l, 2, 0 } };
	struct buf one, frame;
	buf_init(&one, 1 << 16);
	buf_init(&frame, 1 << 16);
	proto_series_encode(&s, false, &one);
	proto_series_frame_encode(buf_view(&one), &frame);
	struct str part = buf_view(&frame);
	int rc = rpc_send(call, ctx, &part, 1, e);
	buf_deinit(&one);
	buf_deinit(&frame);
	return rc;
}

static int on_series(void *arg, struct ctx *ctx, struct rpc_call *call,
		     struct str request, struct err *e)
{
	struct fake *f = arg;
	atomic_fetch_add(&f->calls, 1);
	if (send_series(f, ctx, call, "1", e) < 0)
		return -1;
	while (atomic_load(&f->hold)) {
		if (ctx_check(ctx, e) < 0)
			return -1;
		pause_ms(2);
	}
	return send_series(f, ctx, call, "2", e);
}

static int on_names(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		    struct err *e)
{
	struct fake *f = arg;
	struct str name = f->l.value;
	struct store_labels_resp resp = { &name, 1, STR_NULL };
	struct arena a;
	struct buf b;
	atomic_fetch_add(&f->calls, 1);
	arena_init(&a, NULL);
	buf_init(&b, 1 << 16);
	proto_labels_resp_encode(&a, &resp, NULL, 0, &b);
	struct str part = buf_view(&b);
	int rc = rpc_send(call, ctx, &part, 1, e);
	buf_deinit(&b);
	arena_deinit(&a);
	return rc;
}

static int on_rules(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		    struct err *e)
{
	struct pb_rule_group g = { .name = STR("g"), .file = STR("f") };
	struct pb_rules_response resp = { .group = &g };
	struct buf b;
	atomic_fetch_add(&((struct fake *)arg)->calls, 1);
	buf_init(&b, 1 << 16);
	pf_encode(&msg_rules_response, &resp, &b);
	struct str part = buf_view(&b);
	int rc = rpc_send(call, ctx, &part, 1, e);
	buf_deinit(&b);
	return rc;
}

static void serve(struct world *w, int i, const char *addr)
{
	static const char *const names[SERVERS] = { "a", "b", "c" };
	struct fake *f = &w->f[i];
	struct err e = ERR_INIT;
	f->l = (struct label){ STR("store"), str_of(names[i]) };
	f->ext = (struct labels){ &f->l, 1, 0 };
	const struct rpc_method m[] = {
		{ "/thanos.info.Info/Info", true, on_info, f },
		{ "/thanos.Store/Series", false, on_series, f },
		{ "/thanos.Store/LabelNames", false, on_names, f },
		{ "/thanos.Rules/Rules", false, on_rules, f },
	};
	struct rpc_server_opts o = { .addr = str_of(addr) };
	cr_assert_eq(rpc_server_start(&w->loops, w->pool, w->metrics, &o, m, 4, &f->srv,
				      &e),
		     0, "%s", err_text(&e));
	snprintf(f->addr, sizeof(f->addr), "127.0.0.1:%u", rpc_server_port(f->srv));
}

static void begin(struct world *w)
{
	struct err e = ERR_INIT;
	*w = (struct world){ .pool = NULL };
	cr_assert_eq(loops_start(2, &w->loops, &e), 0);
	w->pool = task_pool_new(&(struct task_pool_opts){ .cpu = 1 });
	w->metrics = metric_registry_new();
	ctx_init(&w->ctx, NULL, time_after_ns(60 * NS_PER_S));
	arena_init(&w->a, NULL);
	for (int i = 0; i < SERVERS; i++)
		serve(w, i, "127.0.0.1:0");
	w->eps = endpoints_new(
		&(struct endpoints_opts){ .loops = &w->loops,
					  .pool = w->pool,
					  .metrics = w->metrics,
					  .info_timeout_ns = 5 * NS_PER_S,
					  .poll_ns = 3600 * NS_PER_S,
					  .unhealthy_ns = 3600 * NS_PER_S });
	w->proxy = proxy_new(&(struct proxy_opts){
		.endpoints = w->eps, .metrics = w->metrics, .component = "query" });
}

static void end(struct world *w)
{
	endpoints_free(w->eps);
	proxy_free(w->proxy);
	for (int i = 0; i < SERVERS; i++)
		if (w->f[i].srv)
			rpc_server_stop(w->f[i].srv, 0);
	loops_stop(&w->loops);
	task_pool_free(w->pool);
	metric_registry_free(w->metrics);
	arena_deinit(&w->a);
	ctx_deinit(&w->ctx);
}

/* Endpoints of the servers whose letters are given. */
static void apply(struct world *w, const char *which)
{
	struct str addrs[SERVERS];
	size_t n = 0;
	for (; *which; which++)
		addrs[n++] = str_of(w->f[*which - 'a'].addr);
	struct disc_set *set = disc_set_of(addrs, n);
	endpoints_apply(w->eps, set);
	ref_put(&set->ref);
}

static void apply_target(struct world *w, struct disc_target t)
{
	struct disc_set set = { .v = &t, .n = 1 };
	endpoints_apply(w->eps, &set);
}

/* Names that the stores asked gave, and the number of warnings: "a b +1". */
static const char *names(struct world *w)
{
	struct store *s = proxy_store(w->proxy);
	struct store_labels_req req = { .mint_ms = 0, .maxt_ms = 100 };
	struct store_labels_resp resp = { 0 };
	struct notes_view v;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct buf b;
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	cr_assert_eq(s->ops->label_names(s, &ctx, &w->a, &req, &resp, &e), 0, "%s",
		     err_text(&e));
	notes_view(ctx.notes, &w->a, &v);
	buf_init(&b, 1024);
	for (size_t i = 0; i < resp.n; i++)
		buf_fmt(&b, "%.*s ", STR_FMT(resp.v[i]));
	buf_fmt(&b, "+%zu", v.n_warnings);
	const char *text = str_dupz(&w->a, buf_view(&b));
	buf_deinit(&b);
	ctx_deinit(&ctx);
	return text;
}

Test(endpoint_set, endpoints_come_and_go_and_others_keep_their_channel)
{
	struct world w;
	begin(&w);
	cr_assert_str_eq(names(&w), "+0");
	apply(&w, "ab");
	endpoints_poll(w.eps, &w.ctx);
	cr_assert_str_eq(names(&w), "a b +0");
	apply(&w, "bc");
	endpoints_poll(w.eps, &w.ctx);
	cr_assert_str_eq(names(&w), "b c +0");
	apply(&w, "");
	cr_assert_str_eq(names(&w), "+0");
	apply(&w, "a");
	cr_assert_str_eq(names(&w), "+1"); /* not asked yet: named as missing */
	endpoints_poll(w.eps, &w.ctx);
	cr_assert_str_eq(names(&w), "a +0");
	end(&w);
}

Test(endpoint_set, a_stream_of_a_dropped_endpoint_goes_on_to_its_end)
{
	struct world w;
	struct matcher m;
	struct series_set *set;
	const struct series_in *in;
	struct err e = ERR_INIT;
	begin(&w);
	apply(&w, "ab");
	endpoints_poll(w.eps, &w.ctx);
	cr_assert_eq(matcher_compile(&w.ctx, &w.a, MATCH_EQ, STR("store"), STR("a"), &m,
				     &e),
		     0);
	struct store_series_req req = {
		.maxt_ms = 100, .matchers = &m, .n_matchers = 1, .skip_chunks = true
	};
	struct store *s = proxy_store(w.proxy);
	atomic_store(&w.f[0].hold, true);
	cr_assert_eq(store_series(s, &w.ctx, &req, &set, &e), 0);
	for (int i = 0; i < 500 && atomic_load(&w.f[0].calls) == 0; i++)
		pause_ms(10);
	apply(&w, "b");
	cr_assert_str_eq(names(&w), "b +0");
	atomic_store(&w.f[0].hold, false);
	cr_assert_eq(series_set_next(set, &w.ctx, &in, &e), 1, "%s", err_text(&e));
	cr_assert(str_eqz(labels_get(in->labels, STR("n")), "1"));
	cr_assert_eq(series_set_next(set, &w.ctx, &in, &e), 1, "%s", err_text(&e));
	cr_assert(str_eqz(labels_get(in->labels, STR("n")), "2"));
	cr_assert_eq(series_set_next(set, &w.ctx, &in, &e), 0);
	struct notes_view v;
	notes_view(w.ctx.notes, &w.a, &v);
	cr_assert_eq(v.n_warnings, 0u);
	series_set_close(set);
	end(&w);
}

Test(endpoint_set, a_strict_endpoint_is_asked_although_it_was_never_reached)
{
	struct world w;
	struct endpoint_status *v;
	struct store_info i;
	begin(&w);
	rpc_server_stop(w.f[0].srv, 0);
	w.f[0].srv = NULL;
	struct str addr = str_of(w.f[0].addr);
	struct disc_target t = { .name = addr, .addrs = &addr, .n = 1, .strict = true };
	apply_target(&w, t);
	endpoints_poll(w.eps, &w.ctx);
	cr_assert_eq(endpoints_status(w.eps, &w.a, &v), 1u);
	cr_assert(!v[0].healthy && v[0].last_error.n &&
		  str_eqz(v[0].component, "unknown-store-api"));
	cr_assert(v[0].mint_ms == INT64_MIN && v[0].maxt_ms == INT64_MAX);
	cr_assert_str_eq(names(&w), "+1");
	struct store *s = proxy_store(w.proxy);
	s->ops->info(s, &w.a, &i);
	cr_assert(i.mint_ms == INT64_MIN && i.maxt_ms == INT64_MAX);

	serve(&w, 0, t.name.p); /* comes back between two polls */
	for (int k = 0; k < 200 && strcmp(names(&w), "a +0") != 0; k++)
		pause_ms(20);
	cr_assert_str_eq(names(&w), "a +0");
	t.strict = false; /* and is one like others again */
	apply_target(&w, t);
	cr_assert_str_eq(names(&w), "+1");
	end(&w);
}

static int calls(struct world *w, int i)
{
	return atomic_exchange(&w->f[i].calls, 0);
}

Test(endpoint_set, members_of_a_group_are_asked_in_turn_and_dead_ones_left_out)
{
	struct world w;
	struct endpoint_status *v;
	begin(&w);
	struct str addrs[SERVERS];
	for (int i = 0; i < SERVERS; i++)
		addrs[i] = str_of(w.f[i].addr);
	struct disc_target t = {
		.name = STR("thanos:///dns+g:1"), .addrs = addrs, .n = 3, .group = true
	};
	apply_target(&w, t);
	endpoints_poll(w.eps, &w.ctx);
	cr_assert_eq(endpoints_status(w.eps, &w.a, &v), 1u);
	cr_assert(v[0].healthy && str_eqz(v[0].name, "thanos:///dns+g:1"));
	for (int i = 0; i < 6; i++)
		cr_assert_eq(strlen(names(&w)), 4u); /* one of them */
	for (int i = 0; i < SERVERS; i++)
		cr_assert_eq(calls(&w, i), 2, "%d", i);

	rpc_server_stop(w.f[1].srv, 0); /* no poll tells: the call goes to another */
	w.f[1].srv = NULL;
	for (int i = 0; i < 6; i++)
		cr_assert_str_eq(names(&w) + 2, "+0");
	cr_assert(calls(&w, 1) == 0 && calls(&w, 0) + calls(&w, 2) == 6);
	endpoints_poll(w.eps, &w.ctx);
	for (int i = 0; i < 6; i++)
		cr_assert_eq(strlen(names(&w)), 4u);

	t.n = 1; /* the name has one address left */
	apply_target(&w, t);
	cr_assert_str_eq(names(&w), "a +0");
	t.n = 0;
	apply_target(&w, t);
	cr_assert_str_eq(names(&w), "+1");
	cr_assert_eq(endpoints_status(w.eps, &w.a, &v), 1u);
	cr_assert(!v[0].healthy && str_eqz(v[0].last_error, "no addresses resolved"));
	end(&w);
}

static size_t series_of(struct world *w)
{
	struct matcher m;
	struct series_set *set;
	const struct series_in *in;
	struct err e = ERR_INIT;
	size_t n = 0;
	int rc;
	cr_assert_eq(matcher_compile(&w->ctx, &w->a, MATCH_RE, STR("n"), STR(".+"), &m,
				     &e),
		     0);
	struct store_series_req req = {
		.maxt_ms = 100, .matchers = &m, .n_matchers = 1, .skip_chunks = true
	};
	cr_assert_eq(store_series(proxy_store(w->proxy), &w->ctx, &req, &set, &e), 0);
	while ((rc = series_set_next(set, &w->ctx, &in, &e)) > 0)
		n++;
	cr_assert_eq(rc, 0, "%s", err_text(&e));
	series_set_close(set);
	return n;
}

Test(endpoint_set, a_series_call_to_a_member_that_died_goes_to_another)
{
	struct world w;
	struct notes_view v;
	begin(&w);
	struct str addrs[2] = { str_of(w.f[0].addr), str_of(w.f[1].addr) };
	struct disc_target t = {
		.name = STR("thanos:///dns+g:1"), .addrs = addrs, .n = 2, .group = true
	};
	apply_target(&w, t);
	endpoints_poll(w.eps, &w.ctx);
	rpc_server_stop(w.f[0].srv, 0);
	w.f[0].srv = NULL;
	for (int i = 0; i < 3; i++)
		cr_assert_eq(series_of(&w), 2u);
	notes_view(w.ctx.notes, &w.a, &v);
	cr_assert_eq(v.n_warnings, 0u);
	rpc_server_stop(w.f[1].srv, 0); /* none is left */
	w.f[1].srv = NULL;
	cr_assert_eq(series_of(&w), 0u);
	notes_view(w.ctx.notes, &w.a, &v);
	cr_assert_eq(v.n_warnings, 1u);
	end(&w);
}

Test(endpoint_set, a_federated_call_to_a_member_that_died_goes_to_another)
{
	struct world w;
	struct notes_view v;
	struct err e = ERR_INIT;
	begin(&w);
	struct federated_proxy *p =
		federated_proxy_new(&(struct proxy_opts){ .endpoints = w.eps });
	struct str addrs[2] = { str_of(w.f[0].addr), str_of(w.f[1].addr) };
	struct disc_target t = {
		.name = STR("thanos:///dns+g:1"), .addrs = addrs, .n = 2, .group = true
	};
	apply_target(&w, t);
	endpoints_poll(w.eps, &w.ctx);
	rpc_server_stop(w.f[0].srv, 0);
	w.f[0].srv = NULL;
	for (int i = 0; i < 2; i++) { /* one of them is the dead one's turn */
		struct pb_rules_request q = { 0 };
		struct pb_rule_groups out;
		cr_assert_eq(federated_proxy_of(p)->ops->rules(federated_proxy_of(p),
							       &w.ctx, &w.a, &q, &out,
							       &e),
			     0);
		cr_assert_eq(out.groups.n, 1u);
	}
	notes_view(w.ctx.notes, &w.a, &v);
	cr_assert_eq(v.n_warnings, 0u);
	federated_proxy_free(p);
	end(&w);
}

/* ---- metrics ---- */

static bool metrics_have(struct world *w, const char *line)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	metric_write_text(w->metrics, false, &b);
	buf_byte(&b, 0);
	bool have = strstr((const char *)b.p, line) != NULL;
	buf_deinit(&b);
	return have;
}

static void becomes(struct world *w, const char *line, bool want)
{
	for (int i = 0; i < 200 && metrics_have(w, line) != want; i++)
		pause_ms(20);
	cr_assert(metrics_have(w, line) == want, "%s", line);
}

Test(endpoint_set, metrics_tell_who_is_connected_and_why_others_are_not)
{
	struct world w;
	char line[160];
	const char *conn = "thanos_store_nodes_grpc_connections{external_labels="
			   "\"{store=\\\"a\\\"}\",store_type=\"sidecar\"} 1\n";
	begin(&w);
	rpc_server_stop(w.f[1].srv, 0);
	w.f[1].srv = NULL;
	apply(&w, "ab");
	endpoints_poll(w.eps, &w.ctx);
	becomes(&w, conn, true);
	snprintf(
		line, sizeof(line),
		"thanosc_query_endpoint_unhealthy{endpoint=\"%s\",reason=\"unavailable\"} "
		"1\n",
		w.f[1].addr);
	becomes(&w, line, true);
	apply(&w, "c");
	endpoints_poll(w.eps, &w.ctx);
	becomes(&w, conn, false);
	becomes(&w, line, false);
	becomes(&w, "external_labels=\"{store=\\\"c\\\"}\"", true);
	end(&w);
}

/* ---- threads ---- */

struct asker {
	struct world *w;
	_Atomic bool stop;
	_Atomic uint32_t done;
};

static void *ask_on(void *arg)
{
	struct asker *k = arg;
	struct store *s = proxy_store(k->w->proxy);
	while (!atomic_load(&k->stop)) {
		struct store_labels_req req = { .mint_ms = 0, .maxt_ms = 100 };
		struct store_labels_resp resp;
		struct err e = ERR_INIT;
		struct arena a;
		struct ctx ctx;
		struct store_info i;
		struct endpoint_status *v;
		arena_init(&a, NULL);
		ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
		cr_assert_eq(s->ops->label_names(s, &ctx, &a, &req, &resp, &e), 0, "%s",
			     err_text(&e));
		s->ops->info(s, &a, &i);
		(void)endpoints_status(k->w->eps, &a, &v);
		ctx_deinit(&ctx);
		arena_deinit(&a);
		atomic_fetch_add(&k->done, 1);
	}
	return NULL;
}

Test(endpoint_set, sets_are_swapped_under_calls_of_many_threads)
{
	static const char *const sets[] = { "ab", "bc", "", "abc", "c", "a" };
	struct world w;
	struct asker k = { .w = &w };
	pthread_t t[4];
	begin(&w);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, ask_on, &k);
	for (int i = 0; i < 60; i++) {
		apply(&w, sets[i % 6]);
		if (i % 3 == 0)
			endpoints_poll(w.eps, &w.ctx);
		pause_ms(3);
	}
	atomic_store(&k.stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	cr_assert_gt(atomic_load(&k.done), 20u);
	end(&w);
}

/* ---- many ---- */

Test(endpoint_set, thousands_of_hanging_addresses_cost_no_threads_and_delay_no_other)
{
	enum { N = 2000 };
	struct world w;
	struct str *addrs;
	uint32_t request, bulk;
	begin(&w);
	addrs = ARENA_ARRAY(&w.a, struct str, N + 1);
	for (int i = 0; i < N; i++) /* nobody answers there, nor refuses */
		addrs[i] = str_fmt(&w.a, "192.0.2.%d:%d", i % 250, 1000 + i / 250);
	addrs[N] = str_of(w.f[0].addr);
	struct disc_set *set = disc_set_of(addrs, N + 1);
	uint64_t begun = time_mono_ns();
	endpoints_apply(w.eps, set);
	ref_put(&set->ref);
	for (int i = 0; i < 1000 && atomic_load(&w.f[0].infos) == 0; i++)
		pause_ms(5);
	cr_assert_eq(atomic_load(&w.f[0].infos), 1);
	cr_assert(time_mono_ns() - begun < 4 * NS_PER_S);
	task_pool_stats(w.pool, &request, &bulk);
	cr_assert_leq(request, 8u);
	end(&w);
}

/* ---- endings ---- */

Test(endpoint_set, ends_at_any_moment_of_its_first_look)
{
	struct world w;
	begin(&w);
	struct str addr = str_of(w.f[0].addr);
	struct disc_set *set = disc_set_of(&addr, 1);
	for (unsigned i = 0; i < 3000; i++) {
		struct endpoints *s = endpoints_new(
			&(struct endpoints_opts){ .loops = &w.loops,
						  .pool = w.pool,
						  .metrics = w.metrics,
						  .info_timeout_ns = 5 * NS_PER_S,
						  .poll_ns = 3600 * NS_PER_S,
						  .unhealthy_ns = 3600 * NS_PER_S });
		endpoints_apply(s, set);
		for (volatile unsigned k = 0; k < i % 100 * 500; k++)
			;
		endpoints_free(s);
	}
	ref_put(&set->ref);
	end(&w);
}
