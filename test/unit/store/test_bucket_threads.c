/* Queries, Info and syncs that drop and add blocks, at the same time. */
#include <pthread.h>
#include <stdatomic.h>

#include "bucket_world.h"
#include "support/tst.h"

#define ID_A "01M81YVC0FJJQ87HKZ11JM4HFZ"
#define ID_B "01M81YVC6WDF4WE3GFR0FN50G7"

struct asker {
	struct world *w;
	const struct store_series_req *req;
	atomic_bool *end;
	size_t calls, series;
	bool failed;
};

static void ask_once(struct asker *k, struct ctx *ctx)
{
	struct store *s = bucket_store_store(k->w->store);
	struct err e = ERR_INIT;
	const struct series_in *in;
	struct store_info info;
	struct series_set *set;
	struct arena a;
	int rc;
	arena_init(&a, NULL);
	s->ops->info(s, &a, &info);
	arena_deinit(&a);
	if (store_series(s, ctx, k->req, &set, &e) < 0) {
		k->failed = true;
		return;
	}
	while ((rc = series_set_next(set, ctx, &in, &e)) > 0)
		k->series++;
	k->failed |= rc < 0;
	series_set_close(set);
	k->calls++;
}

static void *ask(void *arg)
{
	struct asker *k = arg;
	while (!atomic_load(k->end) && !k->failed) {
		struct ctx ctx;
		ctx_init(&ctx, NULL, 0);
		ask_once(k, &ctx);
		ctx_deinit(&ctx);
	}
	return NULL;
}

Test(bucket_threads, syncs_swap_blocks_under_queries)
{
	atomic_bool end = false;
	struct world w;
	pthread_t t[2];
	world_open(&w, NULL);
	world_copy(&w, ID_A);
	world_sync(&w);
	struct store_series_req req = { .mint_ms = W_MINT, .maxt_ms = W_MAXT };
	req.matchers = world_matchers(&w, "__name__=~.+", &req.n_matchers);
	struct asker k[2] = { { .w = &w, .req = &req, .end = &end },
			      { .w = &w, .req = &req, .end = &end } };
	for (int i = 0; i < 2; i++)
		cr_assert_eq(pthread_create(&t[i], NULL, ask, &k[i]), 0);
	for (int i = 0; i < 10; i++) {
		world_copy(&w, ID_B);
		world_sync(&w);
		world_remove(&w, ID_B);
		world_sync(&w);
	}
	atomic_store(&end, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		cr_assert(!k[i].failed);
		cr_assert_gt(k[i].calls, 0);
		cr_assert_geq(k[i].series, k[i].calls * 120);
	}
	cr_assert_eq(world_metric(&w, "thanos_bucket_store_blocks_loaded"), 1);
	world_close(&w);
}
