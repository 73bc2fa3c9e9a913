/*
 * Endpoints that come, go and come back, and the proxy over them; selector labels.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/time.h"
#include "proto/convert.h"
#include "store/store.h"
#include "support/tst.h"

struct net {
	struct loops loops;
	struct task_pool *pool;
	struct metric_registry *metrics;
	struct rpc_server *srv;
	struct endpoints *eps;
	struct ctx ctx;
	struct arena a;
	char addr[64], nobody[64];
};

static const struct label ext[] = { { STR("cluster"), STR("eu") },
				    { STR("zone"), STR("1") } };
static struct labels ext_set = { ext, 2, 0 };

static int on_info(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		   struct err *e)
{
	struct store_info i = { .component = "sidecar",
				.label_sets = &ext_set,
				.n_label_sets = 1,
				.mint_ms = 10,
				.maxt_ms = 20 };
	struct arena a;
	struct buf b;
	arena_init(&a, NULL);
	buf_init(&b, 1 << 16);
	proto_info_encode(&a, &i, &b);
	struct str part = buf_view(&b);
	int rc = rpc_send(call, ctx, &part, 1, e);
	buf_deinit(&b);
	arena_deinit(&a);
	return rc;
}

/* Label names: the names of the request's matchers, so that one sees what was sent on. */
static int on_names(void *arg, struct ctx *ctx, struct rpc_call *call, struct str request,
		    struct err *e)
{
	struct store_labels_req req;
	struct str v[8];
	struct store_labels_resp resp = { v, 0, STR_NULL };
	struct arena a;
	struct buf b;
	arena_init(&a, NULL);
	buf_init(&b, 1 << 16);
	int rc = proto_labels_req_decode(ctx, &a, false, request, &req, e);
	for (size_t i = 0; rc == 0 && i < req.n_matchers && i < 8; i++)
		v[resp.n++] = req.matchers[i].name;
	proto_labels_resp_encode(&a, &resp, NULL, 0, &b);
	struct str part = buf_view(&b);
	rc = rc < 0 ? rc : rpc_send(call, ctx, &part, 1, e);
	buf_deinit(&b);
	arena_deinit(&a);
	return rc;
}

static void serve(struct net *n, const char *addr)
{
	struct err e = ERR_INIT;
	const struct rpc_method m[] = { { "/thanos.info.Info/Info", true, on_info, n },
					{ "/thanos.Store/LabelNames", false, on_names,
					  n } };
	struct rpc_server_opts o = { .addr = str_of(addr) };
	cr_assert(rpc_server_start(&n->loops, n->pool, n->metrics, &o, m, 2, &n->srv,
				   &e) == 0,
		  "%s", err_text(&e));
}

static void open_net(struct net *n, uint64_t unhealthy_ns)
{
	struct err e = ERR_INIT;
	*n = (struct net){ .srv = NULL };
	cr_assert_eq(loops_start(1, &n->loops, &e), 0);
	n->pool = task_pool_new(&(struct task_pool_opts){ .cpu = 1 });
	n->metrics = metric_registry_new();
	ctx_init(&n->ctx, NULL, time_after_ns(60 * NS_PER_S));
	arena_init(&n->a, NULL);
	serve(n, "127.0.0.1:0");
	snprintf(n->nobody, sizeof(n->nobody), "127.0.0.1:%u", rpc_server_port(n->srv));
	struct rpc_server *first = n->srv;
	serve(n, "127.0.0.1:0");
	rpc_server_stop(first, 0); /* a port where nobody listens any more */
	snprintf(n->addr, sizeof(n->addr), "127.0.0.1:%u", rpc_server_port(n->srv));
	struct str addrs[2] = { str_of(n->addr), str_of(n->nobody) };
	struct endpoints_opts o = { .loops = &n->loops,
				    .pool = n->pool,
				    .metrics = n->metrics,
				    .info_timeout_ns = 5 * NS_PER_S,
				    .poll_ns = 3600 * NS_PER_S,
				    .unhealthy_ns = unhealthy_ns };
	n->eps = endpoints_new(&o);
	struct disc_set *set = disc_set_of(addrs, 2);
	endpoints_apply(n->eps, set);
	ref_put(&set->ref);
	endpoints_poll(n->eps, &n->ctx);
}

static void close_net(struct net *n)
{
	endpoints_free(n->eps);
	if (n->srv)
		rpc_server_stop(n->srv, 0);
	loops_stop(&n->loops);
	task_pool_free(n->pool);
	metric_registry_free(n->metrics);
	arena_deinit(&n->a);
	ctx_deinit(&n->ctx);
}

/* Warnings of a label call that name the address. */
static size_t warned(struct net *n, struct proxy *p, const char *addr)
{
	struct store *s = proxy_store(p);
	struct store_labels_req req = { .mint_ms = 0, .maxt_ms = 100 };
	struct store_labels_resp resp;
	struct notes_view v;
	struct err e = ERR_INIT;
	struct ctx ctx;
	size_t k = 0;
	ctx_init(&ctx, NULL, time_after_ns(20 * NS_PER_S));
	cr_assert_eq(s->ops->label_names(s, &ctx, &n->a, &req, &resp, &e), 0);
	notes_view(ctx.notes, &n->a, &v);
	for (size_t i = 0; i < v.n_warnings; i++)
		k += str_find(v.warnings[i], str_of(addr)) >= 0;
	ctx_deinit(&ctx);
	return k;
}

Test(endpoints, one_that_went_away_is_listed_for_a_while_and_named_for_ever)
{
	struct net n;
	struct endpoint_status *v;
	open_net(&n, 700 * NS_PER_MS);
	struct proxy *p = proxy_new(&(struct proxy_opts){
		.endpoints = n.eps, .metrics = n.metrics, .component = "query" });
	cr_assert_eq(endpoints_status(n.eps, &n.a, &v), 2); /* also the one never seen */
	size_t good = str_eqz(v[1].name, n.addr);
	cr_assert(v[good].healthy && str_eqz(v[good].name, n.addr) &&
		  v[good].last_error.n == 0);
	cr_assert(!v[!good].healthy && v[!good].last_error.n > 0);
	cr_assert(str_eqz(v[!good].component, "unknown-store-api"));
	cr_assert_eq(warned(&n, p, n.addr), 0);
	cr_assert_eq(warned(&n, p, n.nobody), 1);

	rpc_server_stop(n.srv, 0);
	n.srv = NULL;
	endpoints_poll(n.eps, &n.ctx);
	size_t listed = endpoints_status(n.eps, &n.a, &v);
	cr_assert_geq(listed, 1);
	if (listed == 2 && !str_eqz(v[0].name, n.addr))
		v[0] = v[1];
	cr_assert(!v[0].healthy && v[0].last_error.n > 0);
	cr_assert(str_eqz(v[0].component, "sidecar") && v[0].n_label_sets == 1);
	cr_assert_eq(warned(&n, p, n.addr), 1);

	nanosleep(&(struct timespec){ .tv_nsec = 750000000 }, NULL);
	cr_assert_eq(endpoints_status(n.eps, &n.a, &v), 0);
	cr_assert_eq(warned(&n, p, n.addr), 1); /* its data is missing all the same */

	serve(&n, n.addr);
	for (int i = 0; i < 200 && endpoints_status(n.eps, &n.a, &v) == 0; i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
		endpoints_poll(n.eps,
			       &n.ctx); /* the channel waits before it dials again */
	}
	cr_assert_eq(endpoints_status(n.eps, &n.a, &v), 1);
	cr_assert(v[0].healthy && v[0].last_error.n == 0);
	cr_assert_eq(warned(&n, p, n.addr), 0);
	proxy_free(p);
	close_net(&n);
}

/* ---- selector labels ---- */

static const struct label sel[] = { { STR("tier"), STR("hot") },
				    { STR("zone"), STR("all") } };

static void ask_names(struct net *n, struct proxy *p, const char *name, const char *value,
		      const char *want)
{
	struct store *s = proxy_store(p);
	struct matcher m[2];
	struct err e = ERR_INIT;
	struct store_labels_req req = {
		.mint_ms = 0, .maxt_ms = 100, .matchers = m, .n_matchers = 2
	};
	struct store_labels_resp resp;
	cr_assert_eq(matcher_compile(&n->ctx, &n->a, MATCH_EQ, STR("job"), STR("x"),
				     &m[0], &e),
		     0);
	cr_assert_eq(matcher_compile(&n->ctx, &n->a, MATCH_EQ, str_of(name),
				     str_of(value), &m[1], &e),
		     0);
	cr_assert_eq(s->ops->label_names(s, &n->ctx, &n->a, &req, &resp, &e), 0);
	char got[64] = "";
	for (size_t i = 0; i < resp.n; i++)
		snprintf(got + strlen(got), sizeof(got) - strlen(got), "%.*s ",
			 STR_FMT(resp.v[i]));
	cr_assert_str_eq(got, want);
}

Test(endpoints, selector_labels_are_announced_and_their_matchers_answered_here)
{
	struct net n;
	struct store_info i;
	struct err e = ERR_INIT;
	open_net(&n, NS_PER_S);
	struct proxy *p =
		proxy_new(&(struct proxy_opts){ .endpoints = n.eps,
						.selector_labels = { sel, 2, 0 },
						.metrics = n.metrics,
						.component = "query" });
	struct store *s = proxy_store(p);
	s->ops->info(s, &n.a, &i);
	cr_assert_eq(i.n_label_sets, 1);
	struct str text = labels_str(&n.a, i.label_sets[0]);
	cr_assert(str_eqz(text, "{cluster=\"eu\", tier=\"hot\", zone=\"all\"}"), "%.*s",
		  STR_FMT(text));
	ask_names(&n, p, "tier", "hot", "job ");
	ask_names(&n, p, "zone", "all", "job "); /* over the endpoint's own zone */
	ask_names(&n, p, "tier", "cold", "");
	ask_names(&n, p, "other", "x", "job other ");

	struct matcher m;
	struct series_set *set;
	const struct series_in *in;
	cr_assert_eq(matcher_compile(&n.ctx, &n.a, MATCH_EQ, STR("tier"), STR("hot"), &m,
				     &e),
		     0);
	struct store_series_req req = { .maxt_ms = 100, .matchers = &m, .n_matchers = 1 };
	cr_assert_eq(store_series(s, &n.ctx, &req, &set, &e), -1);
	cr_assert_eq(e.code, E_INVALID);
	cr_assert_eq(matcher_compile(&n.ctx, &n.a, MATCH_NEQ, STR("tier"), STR("hot"), &m,
				     &e),
		     0);
	cr_assert_eq(store_series(s, &n.ctx, &req, &set, &e), 0);
	cr_assert_eq(series_set_next(set, &n.ctx, &in, &e), 0);
	series_set_close(set);

	rpc_server_stop(n.srv,
			0); /* nothing behind it: it still says what it stands for */
	n.srv = NULL;
	endpoints_poll(n.eps, &n.ctx);
	s->ops->info(s, &n.a, &i);
	cr_assert_eq(i.n_label_sets, 1);
	cr_assert(labels_eq(i.label_sets[0], (struct labels){ sel, 2, 0 }));
	proxy_free(p);
	close_net(&n);
}
