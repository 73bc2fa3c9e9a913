/*
 * The Prometheus store against a fake Prometheus: recorded remote reads of a real one, and answers that no
 * good server gives.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "fs/fs.h"
#include "prom_world.h"
#include "support/tst.h"

static struct str load(struct prom_world *w, const char *name)
{
	struct buf b;
	char path[128];
	snprintf(path, sizeof(path), PROM_READ "%s.response.bin", name);
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(NULL, path, 1 << 20, &b, &w->e), 0, "%s", path);
	struct str s = str_dup(&w->arena, buf_view(&b));
	buf_deinit(&b);
	return s;
}

static struct store_series_req all_of(struct prom_world *w)
{
	return (struct store_series_req){ .mint_ms = INT64_MIN,
					  .maxt_ms = INT64_MAX,
					  .matchers = prom_matchers(w, "job", "x"),
					  .n_matchers = 1 };
}

static void want(struct buf *got, const char *text)
{
	buf_byte(got, 0);
	cr_assert_str_eq((const char *)got->p, text);
	buf_reset(got);
}

/* What a real Prometheus streams as chunks and what it sends as samples are the same series. */
Test(prom, recorded)
{
	static const char *const pairs[][2] = { { "01", "02" }, { "03", "04" },
						{ "05", "06" }, { "07", "08" },
						{ "09", "10" }, { "13", "14" },
						{ "15", "16" }, { "23", "24" } };
	struct prom_world w = { 0 };
	struct buf sampled, streamed;
	buf_init(&sampled, 64 << 20);
	buf_init(&streamed, 64 << 20);
	prom_world_open(&w, 0);
	struct store_series_req req = all_of(&w);
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		w.type = "application/x-protobuf";
		w.body = load(&w, pairs[i][0]);
		cr_assert_eq(prom_ask(&w, &req, &sampled), 0, "%s: %s", pairs[i][0],
			     err_text(&w.e));
		w.type = NULL;
		w.body = load(&w, pairs[i][1]);
		cr_assert_eq(prom_ask(&w, &req, &streamed), 0, "%s: %s", pairs[i][1],
			     err_text(&w.e));
		cr_assert_gt(streamed.n, 0u, "%s", pairs[i][1]);
		cr_assert(str_eq(buf_view(&sampled), buf_view(&streamed)), "%s differs",
			  pairs[i][1]);
		cr_assert(str_find(buf_view(&streamed), STR("cluster=\"eu\"")) >= 0);
		buf_reset(&sampled);
		buf_reset(&streamed);
	}
	prom_world_close(&w);
	buf_deinit(&sampled);
	buf_deinit(&streamed);
}

/* Cut anywhere, with one bit flipped anywhere: an error or the right answer, never a shorter one. */
Test(prom, damaged)
{
	struct prom_world w = { 0 };
	struct buf good, got;
	buf_init(&good, 1 << 20);
	buf_init(&got, 1 << 20);
	prom_world_open(&w, 0);
	struct store_series_req req = all_of(&w);
	struct str whole = load(&w, "02");
	w.body = whole;
	cr_assert_eq(prom_ask(&w, &req, &good), 0);
	for (size_t n = 1; n < whole.n; n += 1 + n / 16) {
		w.body = str_n(whole.p, n);
		cr_assert_eq(prom_ask(&w, &req, &got), -1, "cut at %zu", n);
		cr_assert(strstr(err_text(&w.e), "frame 1"), "%s", err_text(&w.e));
		buf_reset(&got);
		char *bad = str_dupz(&w.arena, whole);
		bad[n] ^= 1 << (n % 8);
		w.body = str_n(bad, whole.n);
		cr_assert_eq(prom_ask(&w, &req, &got), -1, "flip at %zu", n);
		buf_reset(&got);
	}
	w.body = whole;
	w.cut_connection = true;
	cr_assert_eq(prom_ask(&w, &req, &got), -1, "a connection that is cut");
	w.cut_connection = false;
	buf_reset(&got);
	cr_assert_eq(prom_ask(&w, &req, &got), 0, "%s", err_text(&w.e));
	cr_assert(str_eq(buf_view(&got), buf_view(&good)));
	prom_world_close(&w);
	buf_deinit(&good);
	buf_deinit(&got);
}

Test(prom, sampled_damaged)
{
	struct prom_world w = { .type = "application/x-protobuf" };
	struct buf got;
	buf_init(&got, 1 << 20);
	prom_world_open(&w, 0);
	struct store_series_req req = all_of(&w);
	struct str whole = load(&w, "07");
	for (size_t n = 0; n < whole.n; n += 1 + n / 8) {
		w.body = str_n(whole.p, n);
		cr_assert_eq(prom_ask(&w, &req, &got), -1, "cut at %zu", n);
		buf_reset(&got);
	}
	w.body = load(&w, "11"); /* answers of two queries */
	cr_assert_eq(prom_ask(&w, &req, &got), -1);
	cr_assert(strstr(err_text(&w.e), "unexpected result size 2"), "%s",
		  err_text(&w.e));
	w.type = "text/html";
	cr_assert_eq(prom_ask(&w, &req, &got), -1);
	cr_assert(strstr(err_text(&w.e), "content type: text/html"), "%s",
		  err_text(&w.e));
	prom_world_close(&w);
	buf_deinit(&got);
}

Test(prom, refused_by_prometheus)
{
	struct prom_world w = { .type = "text/plain" };
	struct buf got;
	buf_init(&got, 1 << 20);
	prom_world_open(&w, 0);
	struct store_series_req req = all_of(&w);
	w.read_status = 400;
	w.body = STR("exceeded sample limit (5)\n");
	cr_assert_eq(prom_ask(&w, &req, &got), -1);
	cr_assert_eq(w.e.code, E_INVALID);
	cr_assert(strstr(err_text(&w.e), "exceeded sample limit (5)"), "%s",
		  err_text(&w.e));
	w.read_status = 503;
	cr_assert_eq(prom_ask(&w, &req, &got), -1);
	cr_assert_eq(w.e.code, E_UNAVAILABLE);
	req.n_matchers = 0;
	cr_assert_eq(prom_ask(&w, &req, &got), -1);
	cr_assert_str_eq(err_text(&w.e),
			 "no matchers specified (excluding external labels)");
	prom_world_close(&w);
	buf_deinit(&got);
}

/* External labels: Prometheus' own additions are replaced, order is restored, a series' own label loses. */
Test(prom, external_labels)
{
	struct prom_world w = { .external = "c: eu, z: 1" };
	struct buf body, got;
	buf_init(&body, 1 << 20);
	buf_init(&got, 1 << 20);
	prom_world_open(&w, 0);
	/* {a=1} {a=1,b=1} {a=1,d=2}, as Prometheus sends them: external labels added after sorting */
	prom_frame(&body, "a=1,c=eu,z=1", 10, 4);
	prom_frame(&body, "a=1,b=1,c=eu,z=1", 10, 4);
	prom_frame(&body, "a=1,b=1,c=eu,z=1", 20, 4); /* goes on in a second frame */
	prom_frame(&body, "a=1,c=own,z=1", 10, 4);
	prom_frame(&body, "a=1,c=eu,d=2,z=1", 10, 4);
	w.body = buf_view(&body);
	struct store_series_req req = all_of(&w);
	cr_assert_eq(prom_ask_labels(&w, &req, &got), 0, "%s", err_text(&w.e));
	want(&got,
	     "{a=\"1\", b=\"1\", c=\"eu\", z=\"1\"}\n{a=\"1\", c=\"eu\", d=\"2\", z=\"1\"}\n"
	     "{a=\"1\", c=\"eu\", z=\"1\"}\n");
	/* Matchers on external labels are answered here. */
	req.matchers = prom_matchers(&w, "c", "us");
	uint32_t reads = atomic_load(&w.n_reads);
	cr_assert_eq(prom_ask_labels(&w, &req, &got), 0);
	cr_assert_eq(got.n, 0u);
	cr_assert_eq(atomic_load(&w.n_reads), reads, "nothing can match: no read");
	prom_world_close(&w);
	buf_deinit(&body);
	buf_deinit(&got);
}

/* Replica labels: external ones are not added; of series they are taken away, and the order is made anew. */
Test(prom, replica_labels)
{
	static const struct str without[] = { { "r", 1 } };
	struct prom_world w = { .external = "r: x", .names = "[\"a\",\"r\",\"s\"]" };
	struct buf body, got;
	buf_init(&body, 1 << 20);
	buf_init(&got, 1 << 20);
	prom_world_open(&w, 0);
	prom_frame(&body, "a=1,r=own1", 10, 4);
	prom_frame(&body, "a=1,r=x,s=1", 10, 4);
	prom_frame(&body, "a=1,r=z", 20, 4);
	w.body = buf_view(&body);
	struct store_series_req req = all_of(&w);
	req.without_replica_labels = without;
	req.n_without = 1;
	cr_assert_eq(prom_ask_labels(&w, &req, &got), 0, "%s", err_text(&w.e));
	want(&got, "{a=\"1\"}\n{a=\"1\", s=\"1\"}\n");
	/* A name that the heartbeat did not know ends the call, the next heartbeat learns it. */
	w.names = "[\"a\",\"s\"]";
	cr_assert_eq(prom_store_heartbeat(w.prom, &w.ctx, &w.e), 0);
	cr_assert_eq(prom_ask_labels(&w, &req, &got), -1);
	cr_assert_eq(w.e.code, E_UNAVAILABLE);
	cr_assert(strstr(err_text(&w.e), "a label r of their own"), "%s", err_text(&w.e));
	prom_world_close(&w);
	buf_deinit(&body);
	buf_deinit(&got);
}

Test(prom, shards_and_lists)
{
	static const struct str by[] = { { "a", 1 } };
	struct prom_world w = {
		.external = "c: eu",
		.series = "[{\"b\":\"2\",\"a\":\"2\"},{\"a\":\"1\",\"c\":\"own\"},"
			  "{\"a\":\"3\\u00e4\"}]"
	};
	struct buf got, parts;
	buf_init(&got, 1 << 20);
	buf_init(&parts, 1 << 20);
	prom_world_open(&w, 0);
	struct store_series_req req = all_of(&w);
	req.skip_chunks = true;
	req.limit = 7;
	req.maxt_ms = 1500;
	req.mint_ms = -1500;
	cr_assert_eq(prom_ask_labels(&w, &req, &got), 0, "%s", err_text(&w.e));
	cr_assert(
		strstr(w.asked,
		       "match%5B%5D=%7Bjob%3D%22x%22%7D&start=-1.500&end=1.500&limit=7") ||
			strstr(w.asked, "match[]=%7Bjob%3D%22x%22%7D&start=-1.500"
					"&end=1.500&limit=7"),
		"%s", w.asked);
	size_t total = 0, seen = 0;
	for (size_t i = 0; i < got.n; i++)
		total += got.p[i] == '\n';
	cr_assert_eq(total, 3u);
	for (int64_t i = 0; i < 3; i++) {
		req.shard = (struct shard_info){ i, 3, true, by, 1 };
		cr_assert_eq(prom_ask_labels(&w, &req, &parts), 0);
	}
	for (size_t i = 0; i < parts.n; i++)
		seen += parts.p[i] == '\n';
	cr_assert_eq(seen, total, "each series is in one shard");
	want(&got,
	     "{a=\"1\", c=\"eu\"}\n{a=\"2\", b=\"2\", c=\"eu\"}\n{a=\"3\xc3\xa4\", c=\"eu\"}\n");
	w.series = "[{\"a\":1}]";
	req.shard.total = 0;
	cr_assert_eq(prom_ask_labels(&w, &req, &got), -1);
	cr_assert(strstr(err_text(&w.e), "malformed answer"), "%s", err_text(&w.e));
	prom_world_close(&w);
	buf_deinit(&got);
	buf_deinit(&parts);
}

static void want_list(const struct store_labels_resp *r, const char *const *v, size_t n)
{
	cr_assert_eq(r->n, n);
	for (size_t i = 0; i < n; i++)
		cr_assert(str_eqz(r->v[i], v[i]), "%.*s is not %s", STR_FMT(r->v[i]),
			  v[i]);
}

Test(prom, label_calls)
{
	static const struct str without[] = { { "replica", 7 } };
	struct prom_world w = { .names = "[\"job\",\"a\",\"job\"]" };
	struct store_labels_resp r;
	prom_world_open(&w, 0);
	struct store *s = prom_store_store(w.prom);
	struct store_labels_req q = { .mint_ms = INT64_MIN, .maxt_ms = INT64_MAX };
	cr_assert_eq(s->ops->label_names(s, &w.ctx, &w.arena, &q, &r, &w.e), 0);
	want_list(&r, (const char *const[]){ "a", "cluster", "job", "replica" }, 4);
	q.without_replica_labels = without;
	q.n_without = 1;
	cr_assert_eq(s->ops->label_names(s, &w.ctx, &w.arena, &q, &r, &w.e), 0);
	want_list(&r, (const char *const[]){ "a", "cluster", "job" }, 3);
	cr_assert_eq(s->ops->label_values(s, &w.ctx, &w.arena, &q, &r, &w.e), -1);
	cr_assert_str_eq(err_text(&w.e), "label name parameter cannot be empty");
	q.label = STR("replica");
	cr_assert_eq(s->ops->label_values(s, &w.ctx, &w.arena, &q, &r, &w.e), 0);
	cr_assert_eq(r.n, 0u);
	q.label = STR("cluster");
	cr_assert_eq(s->ops->label_values(s, &w.ctx, &w.arena, &q, &r, &w.e), 0);
	want_list(&r, (const char *const[]){ "eu" }, 1);
	q.matchers = prom_matchers(&w, "job", "x");
	q.n_matchers = 1;
	cr_assert_eq(s->ops->label_values(s, &w.ctx, &w.arena, &q, &r, &w.e), 0);
	cr_assert_eq(r.n, 0u, "no series matches");
	q.label = STR("a/b");
	cr_assert_eq(s->ops->label_values(s, &w.ctx, &w.arena, &q, &r, &w.e), 0, "%s",
		     err_text(&w.e));
	want_list(&r, (const char *const[]){ "a", "job" }, 2);
	cr_assert(strstr(w.asked, "/label/a%2Fb/values"), "%s", w.asked);
	prom_world_close(&w);
}

Test(prom, heartbeat_and_info)
{
	struct prom_world w = { .lowest = "1789977600" };
	struct store_info info;
	struct prom_flags f;
	prom_world_open(&w, 0);
	struct store *s = prom_store_store(w.prom);
	s->ops->info(s, &w.arena, &info);
	cr_assert_null(info.not_ready);
	cr_assert_str_eq(info.component, "sidecar");
	cr_assert_eq(info.mint_ms, 1789977600000);
	cr_assert_eq(info.maxt_ms, INT64_MAX);
	cr_assert_eq(info.n_tsdbs, 1u);
	cr_assert(str_eqz(labels_get(info.tsdbs[0].labels, STR("cluster")), "eu"));
	/* An empty TSDB has the largest time there is: all is served. */
	w.lowest = "9.223372036854776e+15";
	cr_assert_eq(prom_store_heartbeat(w.prom, &w.ctx, &w.e), 0);
	s->ops->info(s, &w.arena, &info);
	cr_assert_eq(info.mint_ms, INT64_MIN);
	cr_assert_eq(prom_store_flags(w.prom, &w.ctx, &w.arena, &f, &w.e), 0);
	cr_assert(f.known && f.min_block_ms == 7200000 && f.max_block_ms == 129600000);
	/* Down: Info has nothing to tell. Up again: whole. */
	w.config_status = 500;
	cr_assert_eq(prom_store_heartbeat(w.prom, &w.ctx, &w.e), -1);
	cr_assert(strstr(err_text(&w.e), "on strike"), "%s", err_text(&w.e));
	s->ops->info(s, &w.arena, &info);
	cr_assert_not_null(info.not_ready);
	w.config_status = 0;
	w.external = "";
	cr_assert_eq(prom_store_heartbeat(w.prom, &w.ctx, &w.e), -1);
	cr_assert_eq(w.e.code, E_INVALID);
	cr_assert(strstr(err_text(&w.e), "external_labels"), "%s", err_text(&w.e));
	w.external = "cluster: us";
	cr_assert_eq(prom_store_heartbeat(w.prom, &w.ctx, &w.e), 0);
	s->ops->info(s, &w.arena, &info);
	cr_assert_null(info.not_ready);
	cr_assert(str_eqz(labels_get(info.label_sets[0], STR("cluster")), "us"));
	prom_world_close(&w);
}

/* The reader stops; Prometheus gets rid of everything all the same, and memory stays within its bound. */
Test(prom, drained_whatever_the_reader_does)
{
	struct prom_world w = { .repeat = 64 };
	struct buf body, got;
	const struct series_in *in;
	struct series_set *set;
	size_t series = 0;
	int rc;
	buf_init(&body, 4 << 20);
	buf_init(&got, 1 << 20);
	prom_world_open(&w, (size_t)1 << 20);
	char labels[16];
	for (int i = 0; i < 100; i++) {
		snprintf(labels, sizeof(labels), "a=%03d", i);
		prom_frame(&body, labels, 10, 9000);
	}
	w.body = buf_view(&body); /* 64 times 900 KB */
	struct store_series_req req = all_of(&w);
	cr_assert_eq(store_series(prom_store_store(w.prom), &w.ctx, &req, &set, &w.e), 0,
		     "%s", err_text(&w.e));
	cr_assert_eq(series_set_next(set, &w.ctx, &in, &w.e), 1);
	while (atomic_load(&w.n_sent) < 64 || atomic_load(&w.n_active))
		cr_assert_eq(ctx_check(&w.ctx, &w.e), 0,
			     "Prometheus waits for a reader that sleeps");
	cr_assert_lt(budget_used(&w.budget), (size_t)4 << 20);
	for (series = 1; (rc = series_set_next(set, &w.ctx, &in, &w.e)) > 0;)
		series++;
	cr_assert_eq(rc, 0, "%s", err_text(&w.e));
	cr_assert_geq(series, 100u);
	series_set_close(set);
	/* Closed early: the read is given up, its slot is free again. */
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(store_series(prom_store_store(w.prom), &w.ctx, &req, &set,
					  &w.e),
			     0);
		cr_assert_eq(series_set_next(set, &w.ctx, &in, &w.e), 1);
		series_set_close(set);
	}
	prom_world_close(&w);
	buf_deinit(&body);
	buf_deinit(&got);
}

struct reader {
	struct prom_world *w;
	pthread_t thread;
	int rc;
};
static void *read_all(void *arg)
{
	struct reader *r = arg;
	struct ctx ctx;
	struct err e = ERR_INIT;
	struct arena a;
	struct matcher m;
	const struct series_in *in;
	struct series_set *set;
	ctx_init(&ctx, &r->w->budget, time_after_ns(60 * NS_PER_S));
	arena_init(&a, NULL);
	r->rc = matcher_compile(&ctx, &a, MATCH_EQ, STR("job"), STR("x"), &m, &e);
	struct store_series_req req = {
		.mint_ms = 0, .maxt_ms = 1, .matchers = &m, .n_matchers = 1
	};
	if (r->rc == 0)
		r->rc = store_series(prom_store_store(r->w->prom), &ctx, &req, &set, &e);
	if (r->rc == 0) {
		while ((r->rc = series_set_next(set, &ctx, &in, &e)) > 0)
			;
		series_set_close(set);
	}
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return NULL;
}

Test(prom, eight_of_ten_slots)
{
	struct prom_world w = { .repeat = 20 };
	struct buf body;
	struct reader r[40];
	buf_init(&body, 4 << 20);
	prom_world_open(&w, 0);
	prom_frame(&body, "a=1", 10, 100000);
	w.body = buf_view(&body);
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		r[i].w = &w;
		cr_assert_eq(pthread_create(&r[i].thread, NULL, read_all, &r[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		pthread_join(r[i].thread, NULL);
		cr_assert_eq(r[i].rc, 0);
	}
	cr_assert_eq(atomic_load(&w.n_reads), ARRAY_LEN(r));
	cr_assert_leq(atomic_load(&w.most_active), 8u);
	prom_world_close(&w);
	buf_deinit(&body);
}
