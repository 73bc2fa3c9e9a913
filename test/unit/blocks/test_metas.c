/* What who keeps a bucket in order needs: all objects, marks written, deletion, selection, replica labels. */
#include <stdio.h>
#include <stdlib.h>

#include "blocks/metas.h"
#include "model/relabel.h"
#include "world.h"

#define ID(x) "01M81YVBWEZNH3H08SPVGX7K" x
#define Q(x)  "\"" ID(x) "\""

static void put_meta(struct world *w, struct bucket *b, const char *id,
		     const char *sources, const char *labels, const char *files)
{
	char name[64], json[1024];
	snprintf(name, sizeof(name), "%s/meta.json", id);
	snprintf(
		json, sizeof(json),
		"{\"version\":1,\"ulid\":\"%s\",\"minTime\":0,\"maxTime\":100,"
		"\"compaction\":{\"level\":1,\"sources\":[%s]},\"thanos\":{\"labels\":{%s},"
		"\"downsample\":{\"resolution\":0},\"source\":\"sidecar\",\"files\":[%s]}}",
		id, sources, labels, files);
	world_put(w, b, name, json);
}

static struct catalogue *sync(struct world *w, struct fetcher *f)
{
	struct err e = ERR_INIT;
	struct catalogue *c = NULL;
	cr_assert_eq(fetcher_sync(f, &w->ctx, &c, &e), 0, "%s", err_text(&e));
	return c;
}

static const char *ids(struct arena *a, const struct fetched_block *v, size_t n)
{
	struct str s = STR("");
	for (size_t i = 0; i < n; i++) {
		char id[27];
		ulid_format(&v[i].meta.ulid, id);
		s = str_fmt(a, "%.*s%s ", STR_FMT(s), id + 24);
	}
	return str_dupz(a, s);
}

Test(marks, are_written_as_thanos_writes_them)
{
	struct world w;
	struct arena a;
	world_begin(&w);
	arena_init(&a, NULL);
	for (unsigned k = 0; k < MARK_KINDS; k++) {
		struct err e = ERR_INIT;
		struct block_mark m;
		struct buf out;
		char path[80];
		snprintf(path, sizeof(path), "test/golden/marks/%s", mark_filename(k));
		struct str want = world_read(&w, &a, path);
		cr_assert_eq(mark_parse(NULL, &a, k, want, &m, &e), 0);
		buf_init(&out, 1 << 20);
		mark_write(k, &m, &out);
		cr_assert(str_eq(buf_view(&out), want), "%.*s", STR_FMT(buf_view(&out)));
		buf_deinit(&out);
	}
	arena_deinit(&a);
	world_end(&w);
}

static void objects_are_seen(bool by_folder, bool helpers)
{
	struct world w;
	struct bucket *b = bucket_mem_new();
	struct task_pool *pool =
		helpers ? task_pool_new(&(struct task_pool_opts){ .max_request = 4 })
			: NULL;
	world_begin(&w);
	put_meta(&w, b, ID("01"), Q("01"), "\"a\":\"1\"",
		 "{\"rel_path\":\"chunks/000001\",\"size_bytes\":3},"
		 "{\"rel_path\":\"index\",\"size_bytes\":5}");
	world_put(&w, b, ID("01") "/chunks/000001", "abc");
	world_put(&w, b, ID("01") "/index", "abcde");
	world_put(&w, b, ID("02") "/index", "abcdef");
	world_put(&w, b, ID("02") "/deletion-mark.json",
		  "{\"id\":" Q(
			  "02") ",\"version\":1,\"deletion_time\":7,\"details\":\"x\"}");
	world_put(&w, b, "thanosc/compactors/x.json", "{}");
	world_put(&w, b, "stray.txt", "x");
	struct fetcher_opts o = {
		.bucket = b, .objects = true, .by_folder = by_folder, .pool = pool
	};
	struct fetcher *f = fetcher_new(&o);
	struct catalogue *c = sync(&w, f);
	const struct metas *m = c->metas;
	cr_assert_eq(m->n, 2);
	cr_assert_eq(c->n, 1);
	const struct known *k = &m->v[0];
	cr_assert_eq(c->block[0].known, k);
	cr_assert_eq(k->n_objects, 3);
	cr_assert_eq(known_object(k, STR("index"))->attrs.size, 5);
	cr_assert_null(known_object(k, STR("tombstones")));
	cr_assert(known_is_whole(k, NULL));
	k = &m->v[1];
	cr_assert_eq(k->state, META_NONE);
	cr_assert_eq(k->bytes,
		     6 + known_object(k, STR("deletion-mark.json"))->attrs.size);
	cr_assert(k->mark[MARK_DELETION].ok);
	cr_assert(str_eqz(k->mark[MARK_DELETION].details, "x"));
	/* What changes in a folder is seen by the next sync, also if it has no meta.json. */
	world_put(&w, b, ID("02") "/chunks/000001", "abc");
	world_put(&w, b, ID("01") "/index", "abcd");
	struct catalogue *c2 = sync(&w, f);
	struct str missing;
	cr_assert_eq(c2->metas->v[1].n_objects, 3);
	cr_assert(str_eqz(c2->metas->v[1].mark[MARK_DELETION].details, "x"));
	cr_assert_not(known_is_whole(&c2->metas->v[0], &missing));
	cr_assert(str_eqz(missing, "index"));
	ref_put(&c->ref);
	ref_put(&c2->ref);
	fetcher_free(f);
	bucket_close(b);
	if (pool)
		task_pool_free(pool);
	world_end(&w);
}

Test(metas, show_all_objects_of_one_listing)
{
	objects_are_seen(false, false);
}

Test(metas, show_the_same_listed_by_folder)
{
	objects_are_seen(true, false);
	objects_are_seen(true, true);
}

Test(fetcher_opts, a_selector_shards_by_labels_but_not_by_replicas)
{
	struct world w;
	struct arena a;
	struct err e = ERR_INIT;
	struct relabel *r;
	struct bucket *b = bucket_mem_new();
	world_begin(&w);
	arena_init(&a, NULL);
	put_meta(&w, b, ID("01"), Q("01"), "\"t\":\"x\",\"r\":\"a\"", "");
	put_meta(&w, b, ID("02"), Q("02"), "\"t\":\"x\",\"r\":\"b\"", "");
	put_meta(&w, b, ID("03"), Q("03"), "\"t\":\"y\",\"r\":\"a\"", "");
	cr_assert_eq(
		relabel_parse(NULL,
			      STR("[{action: keep, source_labels: [t, r], regex: 'x;'}]"),
			      RELABEL_SELECTOR, &r, &e),
		0, "%s", err_text(&e));
	const struct str replica[] = { STR("r") };
	struct fetcher_opts o = { .bucket = b,
				  .selector = r,
				  .replica_labels = replica,
				  .n_replica_labels = 1 };
	struct fetcher *f = fetcher_new(&o);
	struct catalogue *c = sync(&w, f);
	cr_assert_str_eq(ids(&a, c->block, c->n), "01 02 ");
	cr_assert(str_eqz(labels_str(&a, c->block[1].meta.thanos.labels), "{t=\"x\"}"));
	ref_put(&c->ref);
	fetcher_free(f);
	relabel_free(r);
	arena_deinit(&a);
	bucket_close(b);
	world_end(&w);
}

Test(fetcher_opts, replicas_become_one_and_only_a_whole_block_covers)
{
	struct world w;
	struct arena a;
	struct bucket *b = bucket_mem_new();
	world_begin(&w);
	arena_init(&a, NULL);
	put_meta(&w, b, ID("01"), Q("01"), "\"r\":\"a\"", "");
	put_meta(&w, b, ID("02"), Q("02"), "\"r\":\"b\"", "");
	put_meta(&w, b, ID("03"), Q("01") "," Q("02"), "\"r\":\"deduped\"",
		 "{\"rel_path\":\"chunks/000001\",\"size_bytes\":3}");
	world_put(&w, b, ID("03") "/index", "x");
	const struct str replica[] = { STR("r") };
	struct fetcher_opts o = { .bucket = b,
				  .replica_labels = replica,
				  .n_replica_labels = 1,
				  .dedup_sources = true,
				  .objects = true };
	struct fetcher *f = fetcher_new(&o);
	struct catalogue *c = sync(&w, f);
	cr_assert_eq(c->n_duplicates, 0);
	cr_assert_eq(c->n, 3);
	cr_assert(str_eqz(labels_str(&a, c->block[0].meta.thanos.labels),
			  "{r=\"deduped\"}"));
	ref_put(&c->ref);
	world_put(&w, b, ID("03") "/chunks/000001", "abc");
	c = sync(&w, f);
	cr_assert_str_eq(ids(&a, c->duplicate, c->n_duplicates), "01 02 ");
	cr_assert_str_eq(ids(&a, c->block, c->n), "03 ");
	ref_put(&c->ref);
	fetcher_free(f);
	arena_deinit(&a);
	bucket_close(b);
	world_end(&w);
}

Test(deletion, takes_meta_first_and_the_mark_last_and_goes_on_where_it_stopped)
{
	struct ulid id;
	cr_assert(ulid_parse(STR(ID("01")), &id));
	for (uint64_t at = 1;; at++) {
		struct world w;
		struct arena a;
		struct err e = ERR_INIT;
		struct bucket *b = bucket_mem_new();
		world_begin(&w);
		arena_init(&a, NULL);
		put_meta(&w, b, ID("01"), Q("01"), "", "");
		world_put(&w, b, ID("01") "/chunks/000001", "abc");
		world_put(&w, b, ID("01") "/deletion-mark.json", "{}");
		world_put(&w, b, ID("01") "/index", "abc");
		world_put(&w, b, ID("02") "/index", "abc");
		bucket_mem_fail(b, at, true, false);
		int rc = block_delete(b, &w.ctx, &id, &e);
		bucket_mem_fail(b, 0, false, false);
		const char *left = world_names(&w, &a, b);
		if (rc < 0 && at > 1) {
			cr_assert_null(strstr(left, "meta.json"), "%s", left);
			cr_assert_not_null(strstr(left, "deletion-mark.json"), "%s",
					   left);
		}
		cr_assert_eq(block_delete(b, &w.ctx, &id, &e), 0);
		cr_assert_str_eq(world_names(&w, &a, b), ID("02") "/index ");
		arena_deinit(&a);
		bucket_close(b);
		world_end(&w);
		if (rc == 0)
			break;
		cr_assert_lt(at, 20);
	}
}
