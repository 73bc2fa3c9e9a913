/*
 * Recorded calls to a real store gateway (test/golden/storeapi) asked again of the bucket store over the same
 * blocks: same series in the same order, same chunks byte by byte, same names, values and queried blocks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bucket_world.h"
#include "base/hash.h"
#include "base/vec.h"
#include "fs/fs.h"
#include "proto/convert.h"
#include "support/tst.h"

static struct err e;

struct call {
	struct world *w;
	struct arena a;
	const char *name; /* of the files */
	bool ok;	  /* the recorded status */
	char *method;
	struct str request, response; /* frames */
};

static struct str slurp(struct call *c, const char *dir, const char *ext)
{
	struct buf b;
	buf_init(&b, 64 << 20);
	const char *path = str_fmt(&c->a, "%s/%s.%s", dir, c->name, ext).p;
	cr_assert_eq(fs_read_file(&c->w->ctx, path, 64 << 20, &b, &e), 0, "%s",
		     err_text(&e));
	struct str s = str_dup(&c->a, buf_view(&b));
	buf_deinit(&b);
	return s;
}

/* The next message of gRPC frames. */
static bool frame(struct str *s, struct str *out)
{
	if (s->n < 5)
		return false;
	const uint8_t *p = (const uint8_t *)s->p;
	size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
	cr_assert_leq(n + 5, s->n);
	*out = str_n(s->p + 5, n);
	*s = str_from(*s, n + 5);
	return true;
}

static void add_line(struct lines *l, const struct series_in *in)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	labels_text(in->labels, &b);
	for (size_t i = 0; i < in->n; i++) {
		const struct chunk_view *c = &in->chunks[i];
		buf_fmt(&b, " [%lld %lld", (long long)c->mint_ms, (long long)c->maxt_ms);
		for (unsigned k = 0; k < AGGR_N; k++)
			if (c->part[k].p)
				buf_fmt(&b, " %u:%u:%llx", k, c->part[k].enc,
					(unsigned long long)hash_xx64(c->part[k].p,
								      c->part[k].n, 0));
		buf_fmt(&b, "]");
	}
	buf_byte(&b, 0);
	l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(char *));
	l->v[l->n++] = (char *)b.p;
}

static void replay_series(struct call *c)
{
	struct lines got = { 0 }, want = { 0 };
	struct proto_series_frame f;
	struct store_series_req req;
	struct series_set *set = NULL;
	const struct series_in *in;
	struct str m;
	int rc = proto_series_req_decode(&c->w->ctx, &c->a, c->request, &req, &e);
	if (rc == 0)
		rc = store_series(bucket_store_store(c->w->store), &c->w->ctx, &req, &set,
				  &e);
	while (rc == 0 && (req.limit == 0 || got.n < (size_t)req.limit)) {
		int more = series_set_next(set, &c->w->ctx, &in, &e);
		rc = more < 0 ? -1 : 0;
		if (more <= 0)
			break;
		add_line(&got, in);
	}
	series_set_close(set);
	cr_assert_eq(rc == 0, c->ok, "%s: %s", c->name, rc ? err_text(&e) : "no error");
	while (c->ok && frame(&c->response, &m)) {
		cr_assert_eq(proto_series_frame_decode(&c->w->ctx, &c->a, m, &f, &e), 0);
		for (size_t i = 0; i < f.n; i++)
			add_line(&want, &f.series[i]);
	}
	for (size_t i = 0; c->ok && i < got.n && i < want.n; i++)
		cr_assert_str_eq(got.v[i], want.v[i], "%s", c->name);
	cr_assert(!c->ok || got.n == want.n, "%s: %zu series, not %zu", c->name, got.n,
		  want.n);
	lines_free(&got);
	lines_free(&want);
}

static bool listed(struct str hints, struct str id)
{
	return str_find(hints, id) >= 0;
}

static void replay_labels(struct call *c, bool values)
{
	struct store_labels_req req;
	struct store_labels_resp got = { 0 }, want = { 0 };
	struct store *s = bucket_store_store(c->w->store);
	struct str m = { 0 }, *warnings;
	size_t n;
	int rc = proto_labels_req_decode(&c->w->ctx, &c->a, values, c->request, &req, &e);
	if (rc == 0)
		rc = (values ? s->ops->label_values
			     : s->ops->label_names)(s, &c->w->ctx, &c->a, &req, &got, &e);
	cr_assert_eq(rc == 0, c->ok, "%s: %s", c->name, rc ? err_text(&e) : "no error");
	if (!c->ok)
		return;
	cr_assert(frame(&c->response, &m));
	cr_assert_eq(proto_labels_resp_decode(&c->w->ctx, &c->a, m, &want, &warnings, &n,
					      &e),
		     0);
	cr_assert_eq(got.n, want.n, "%s: %zu, not %zu", c->name, got.n, want.n);
	for (size_t i = 0; i < got.n; i++)
		cr_assert(str_eq(got.v[i], want.v[i]), "%s: %.*s", c->name,
			  STR_FMT(got.v[i]));
	/* Blocks come in any order: the same bytes, and the same names in them. */
	cr_assert_eq(got.hints.n, want.hints.n, "%s: hints", c->name);
	for (size_t at = 0; at + 26 <= want.hints.n; at++) {
		struct ulid id;
		struct str text = str_n(want.hints.p + at, 26);
		if (str_has_prefix(text, STR("01M81")) && ulid_parse(text, &id))
			cr_assert(listed(got.hints, text), "%s: %.*s", c->name,
				  STR_FMT(text));
	}
}

static void replay(struct world *w, const char *dir, const char *name)
{
	struct call c = { .w = w, .name = name };
	arena_init(&c.a, NULL);
	struct str json = slurp(&c, dir, "json"), all = slurp(&c, dir, "request.bin");
	c.response = slurp(&c, dir, "response.bin");
	c.ok = str_find(json, STR("\"code\": \"OK\"")) >= 0;
	cr_assert(frame(&all, &c.request));
	if (str_find(json, STR("/thanos.Store/Series")) >= 0)
		replay_series(&c);
	else if (str_find(json, STR("/thanos.Store/LabelNames")) >= 0)
		replay_labels(&c, false);
	else if (str_find(json, STR("/thanos.Store/LabelValues")) >= 0)
		replay_labels(&c, true);
	arena_deinit(&c.a);
}

static size_t replay_all(const char *blocks, const char *dir)
{
	struct fs_names names;
	struct world w;
	size_t n = 0;
	world_open(&w, NULL);
	world_copy_tree(&w, blocks);
	world_sync(&w);
	cr_assert_eq(fs_list(&w.ctx, &w.arena, dir, &names, &e), 0, "%s", err_text(&e));
	for (size_t i = 0; i < names.n; i++)
		if (str_has_suffix(names.name[i], STR(".json"))) {
			struct str stem = { names.name[i].p, names.name[i].n - 5 };
			replay(&w, dir, str_dupz(&w.arena, stem));
			n++;
		}
	world_close(&w);
	return n;
}

Test(bucket_golden, answers_equal_those_recorded)
{
	cr_assert_geq(replay_all("test/golden/blocks/bucket",
				 "test/golden/storeapi/store"),
		      50);
}

Test(bucket_golden, answers_from_downsampled_blocks_equal_those_recorded)
{
	cr_assert_gt(replay_all("test/golden/compacted/long/bucket",
				"test/golden/storeapi/store-downsampled"),
		     3);
}

/* Info is compared as a whole: label sets, times and the time ranges by labels. */
Test(bucket_golden, info_equals_that_recorded)
{
	struct store_info got, want;
	struct world w;
	struct str m = { 0 };
	bool has;
	world_open(&w, NULL);
	world_copy_all(&w);
	world_sync(&w);
	struct call c = { .w = &w, .name = "01" };
	arena_init(&c.a, NULL);
	c.response = slurp(&c, "test/golden/storeapi/store", "response.bin");
	cr_assert(frame(&c.response, &m));
	cr_assert_eq(proto_info_decode(&w.ctx, &c.a, m, &want, &has, &e), 0);
	bucket_store_store(w.store)->ops->info(bucket_store_store(w.store), &c.a, &got);
	cr_assert_str_eq(got.component, want.component);
	cr_assert_eq(got.mint_ms, want.mint_ms);
	cr_assert_eq(got.maxt_ms, want.maxt_ms);
	cr_assert_eq(got.n_label_sets, want.n_label_sets);
	for (size_t i = 0; i < got.n_label_sets; i++)
		cr_assert(labels_eq(got.label_sets[i], want.label_sets[i]));
	cr_assert_eq(got.n_tsdbs, want.n_tsdbs);
	for (size_t i = 0; i < got.n_tsdbs; i++) {
		bool found = false;
		for (size_t j = 0; j < want.n_tsdbs; j++)
			found |= labels_eq(got.tsdbs[i].labels, want.tsdbs[j].labels) &&
				 got.tsdbs[i].mint_ms == want.tsdbs[j].mint_ms &&
				 got.tsdbs[i].maxt_ms == want.tsdbs[j].maxt_ms;
		cr_assert(found);
	}
	cr_assert(got.sharding && got.without_replica_labels);
	arena_deinit(&c.a);
	world_close(&w);
}
