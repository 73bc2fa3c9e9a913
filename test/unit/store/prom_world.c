/*
 * prom_world.c - the routes of the fake Prometheus.
 */
#include "prom_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/time.h"
#include "dedup/dedup.h"
#include "proto/store.h"
#include "support/tst.h"
#include "wire/wr.h"

static int reply_data(struct http_resp *w, struct ctx *ctx, const char *data,
		      struct err *e)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_fmt(&b, "{\"status\":\"success\",\"data\":%s}", data);
	int rc = http_reply(w, ctx, 200, "application/json", buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

static int on_config(void *arg, struct ctx *ctx, const struct http_req *r,
		     struct http_resp *resp, struct err *e)
{
	struct prom_world *w = arg;
	struct buf b;
	(void)r;
	if (w->config_status)
		return http_reply(resp, ctx, w->config_status, "text/plain",
				  STR("on strike"), e);
	buf_init(&b, 1 << 16);
	buf_fmt(&b,
		"{\"yaml\":\"global:\\n  scrape_interval: 5s\\n  external_labels: {%s}\\n"
		"scrape_configs:\\n- job_name: x\\n\"}",
		w->external);
	buf_byte(&b, 0);
	int rc = reply_data(resp, ctx, (const char *)b.p, e);
	buf_deinit(&b);
	return rc;
}

static int on_build(void *arg, struct ctx *ctx, const struct http_req *r,
		    struct http_resp *resp, struct err *e)
{
	(void)arg, (void)r;
	return reply_data(resp, ctx, "{\"version\":\"3.14.0\"}", e);
}

static int on_flags(void *arg, struct ctx *ctx, const struct http_req *r,
		    struct http_resp *resp, struct err *e)
{
	(void)arg, (void)r;
	return reply_data(resp, ctx,
			  "{\"storage.tsdb.min-block-duration\":\"2h\","
			  "\"storage.tsdb.max-block-duration\":\"1d12h\"}",
			  e);
}

static int on_metrics(void *arg, struct ctx *ctx, const struct http_req *r,
		      struct http_resp *resp, struct err *e)
{
	struct prom_world *w = arg;
	struct buf b;
	(void)r;
	buf_init(&b, 1 << 16);
	buf_fmt(&b, "# HELP x y\nother 1\nprometheus_tsdb_lowest_timestamp_seconds %s\n",
		w->lowest);
	int rc = http_reply(resp, ctx, 200, "text/plain", buf_view(&b), e);
	buf_deinit(&b);
	return rc;
}

static int on_list(void *arg, struct ctx *ctx, const struct http_req *r,
		   struct http_resp *resp, struct err *e)
{
	struct prom_world *w = arg;
	snprintf(w->asked, sizeof(w->asked), "%.*s", STR_FMT(r->target));
	return reply_data(resp, ctx,
			  str_has_suffix(r->path, STR("/series")) ? w->series : w->names,
			  e);
}

static int on_federated(void *arg, struct ctx *ctx, const struct http_req *r,
			struct http_resp *resp, struct err *e)
{
	struct prom_world *w = arg;
	snprintf(w->asked, sizeof(w->asked), "%.*s", STR_FMT(r->target));
	if (w->federated_status)
		return http_reply(resp, ctx, w->federated_status, "application/json",
				  str_of(w->federated), e);
	return reply_data(resp, ctx, w->federated, e);
}

static int on_read(void *arg, struct ctx *ctx, const struct http_req *r,
		   struct http_resp *resp, struct err *e)
{
	struct prom_world *w = arg;
	uint32_t active = atomic_fetch_add(&w->n_active, 1) + 1;
	uint32_t most = atomic_load(&w->most_active);
	int rc = 0;
	(void)r;
	while (active > most &&
	       !atomic_compare_exchange_weak(&w->most_active, &most, active))
		;
	atomic_fetch_add(&w->n_reads, 1);
	http_status(resp, w->read_status ? w->read_status : 200);
	http_add_header(resp, "Content-Type",
			str_of(w->type ? w->type
				       : "application/x-streamed-protobuf; "
					 "proto=prometheus.ChunkedReadResponse"));
	for (uint64_t i = 0; i < MAX(w->repeat, 1u) && rc == 0; i++) {
		rc = http_write(resp, ctx, w->body, e);
		atomic_fetch_add(&w->n_sent, rc == 0);
	}
	atomic_fetch_sub(&w->n_active, 1);
	if (rc == 0 && w->cut_connection)
		rc = err_set(ctx, e, E_INTERNAL, "cut");
	return rc;
}

void prom_world_open(struct prom_world *w, size_t spill_memory)
{
	const struct http_route routes[] = {
		{ "GET", "/p/api/v1/status/config", HTTP_ON_REQUEST, on_config, w, NULL },
		{ "GET", "/p/api/v1/status/buildinfo", HTTP_ON_REQUEST, on_build, w,
		  NULL },
		{ "GET", "/p/api/v1/status/flags", HTTP_ON_REQUEST, on_flags, w, NULL },
		{ "GET", "/p/metrics", HTTP_ON_REQUEST, on_metrics, w, NULL },
		{ "GET", "/p/api/v1/labels", HTTP_ON_REQUEST, on_list, w, NULL },
		{ "GET", "/p/api/v1/label/:name/values", HTTP_ON_REQUEST, on_list, w,
		  NULL },
		{ "GET", "/p/api/v1/series", HTTP_ON_REQUEST, on_list, w, NULL },
		{ "GET", "/p/api/v1/rules", HTTP_ON_REQUEST, on_federated, w, NULL },
		{ "GET", "/p/api/v1/targets", HTTP_ON_REQUEST, on_federated, w, NULL },
		{ "GET", "/p/api/v1/metadata", HTTP_ON_REQUEST, on_federated, w, NULL },
		{ "GET", "/p/api/v1/query_exemplars", HTTP_ON_REQUEST, on_federated, w,
		  NULL },
		{ "GET", "/p/api/v1/status/tsdb", HTTP_ON_REQUEST, on_federated, w,
		  NULL },
		{ "POST", "/p/api/v1/read", HTTP_ON_REQUEST, on_read, w, NULL },
	};
	char url[64];
	signal(SIGPIPE, SIG_IGN);
	w->external = w->external ? w->external : "cluster: eu, replica: a";
	w->names = w->names ? w->names : "[\"__name__\",\"instance\",\"job\"]";
	w->series = w->series ? w->series : "[]";
	w->lowest = w->lowest ? w->lowest : "-1e9";
	budget_init(&w->budget, NULL, "test", NULL, (size_t)1 << 30);
	ctx_init(&w->ctx, &w->budget, time_after_ns(60 * NS_PER_S));
	arena_init(&w->arena, NULL);
	w->pool = task_pool_new(&(struct task_pool_opts){ .cpu = 1 });
	w->metrics = metric_registry_new();
	cr_assert_eq(loops_start(1, &w->loops, &w->e), 0);
	cr_assert_eq(http_server_start(&w->loops, w->pool, w->metrics,
				       &(struct http_server_opts){
					       .addr = STR("127.0.0.1:0"), .prefix = "" },
				       routes, ARRAY_LEN(routes), &w->server, &w->e),
		     0);
	cr_assert_eq(http_client_new(&(struct http_client_opts){ .loop = w->loops.l[0] },
				     &w->http, &w->e),
		     0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/p//",
		 http_server_port(w->server));
	struct prom_store_opts o = { .http = w->http,
				     .pool = w->pool,
				     .url = str_of(url),
				     .metrics = w->metrics,
				     .min_time = { .ms = INT64_MIN },
				     .spill_memory = spill_memory };
	cr_assert_eq(prom_store_new(&o, &w->prom, &w->e), 0, "%s", err_text(&w->e));
	cr_assert_eq(prom_store_heartbeat(w->prom, &w->ctx, &w->e), 0, "%s",
		     err_text(&w->e));
}

void prom_world_close(struct prom_world *w)
{
	cancel_now(w->ctx.cancel, "end");
	http_server_stop(w->server, NS_PER_S);
	prom_store_free(w->prom);
	http_client_free(w->http);
	loops_stop(&w->loops);
	task_pool_free(w->pool);
	metric_registry_free(w->metrics);
	arena_deinit(&w->arena);
	ctx_deinit(&w->ctx);
	budget_deinit(&w->budget); /* nothing is charged any more */
}

void prom_frame(struct buf *out, const char *labels, int64_t mint_ms, size_t n)
{
	struct pb_label l[16];
	size_t k = 0;
	struct str rest = str_of(labels), part;
	uint8_t *data = xcalloc(1, n + 1);
	for (bool more = rest.n > 0; more;) {
		more = str_cut(&rest, ',', &part);
		str_cut(&part, '=', &l[k].name);
		l[k++].value = part;
	}
	struct pb_prom_chunk c = { mint_ms, mint_ms + 1, 1, str_n(data, n) };
	struct pb_chunked_series s = { { l, k }, { &c, n ? 1u : 0u } };
	struct pb_chunked_read_response r = { { &s, 1 }, 0 };
	struct buf b;
	buf_init(&b, 64 << 20);
	pf_encode(&msg_chunked_read_response, &r, &b);
	wr_uvarint(out, b.n);
	wr_be32(out, crc32c(0, b.p, b.n));
	buf_add(out, b.p, b.n);
	buf_deinit(&b);
	free(data);
}

static void put_samples(struct prom_world *w, const struct series_in *in, struct buf *out)
{
	struct sample_cols c = { 0 };
	struct arena a;
	arena_init(&a, NULL);
	cr_assert_eq(dedup_decode(&w->ctx, &a, in->chunks, in->n, SAMPLE_AVG, false,
				  false, INT64_MIN, INT64_MAX, &c, &w->e),
		     0, "%s", err_text(&w->e));
	for (size_t i = 0; i < c.n; i++) {
		labels_text(in->labels, out);
		if (c.h && c.h[i]) {
			buf_fmt(out, " %lld ", (long long)c.t_ms[i]);
			hist_write_json(c.h[i], out);
			buf_byte(out, '\n');
		} else {
			buf_fmt(out, " %lld %016llx\n", (long long)c.t_ms[i],
				(unsigned long long)f64_bits(c.v[i]));
		}
	}
	arena_deinit(&a);
}

static int walk(struct prom_world *w, struct series_set *set, bool samples,
		struct buf *out)
{
	const struct series_in *in;
	struct arena a;
	struct labels last = { 0 };
	int rc;
	arena_init(&a, NULL);
	while ((rc = series_set_next(set, &w->ctx, &in, &w->e)) > 0) {
		cr_assert(last.n == 0 || labels_cmp(last, in->labels) < 0,
			  "order of series");
		last = labels_dup(&a, in->labels);
		if (samples) {
			put_samples(w, in, out);
		} else {
			labels_text(in->labels, out);
			buf_byte(out, '\n');
		}
	}
	series_set_close(set);
	arena_deinit(&a);
	return rc;
}

int prom_lines(struct prom_world *w, struct series_set *set, struct buf *out)
{
	return walk(w, set, true, out);
}

static int ask(struct prom_world *w, const struct store_series_req *req, bool samples,
	       struct buf *out)
{
	struct series_set *set;
	w->e = ERR_INIT;
	if (store_series(prom_store_store(w->prom), &w->ctx, req, &set, &w->e) < 0)
		return -1;
	return walk(w, set, samples, out);
}

int prom_ask(struct prom_world *w, const struct store_series_req *req, struct buf *out)
{
	return ask(w, req, true, out);
}

int prom_ask_labels(struct prom_world *w, const struct store_series_req *req,
		    struct buf *out)
{
	return ask(w, req, false, out);
}

struct matcher *prom_matchers(struct prom_world *w, const char *name, const char *value)
{
	struct matcher *m = ARENA_NEW(&w->arena, struct matcher);
	cr_assert_eq(matcher_compile(&w->ctx, &w->arena, MATCH_EQ, str_of(name),
				     str_of(value), m, &w->e),
		     0);
	return m;
}
