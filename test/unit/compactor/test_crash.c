/*
 * Whatever fails or dies at whatever call of the bucket: what stores show is whole and there once, and the next iteration
 * ends in the state of one that was never disturbed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "support/deadly.h"
#include "world.h"

#define A "\"a\":\"1\""
#define B "\"b\":\"1\""

/* Every call with TORTURE in the environment; else some, under TSan fewer. */
static uint64_t step_of(uint64_t some)
{
#ifdef TST_INPROC
	some *= 5;
#endif
	return getenv("TORTURE") ? 1 : some;
}

static const char *const want =
	"{a=\"1\"} 0-8 L2; {a=\"1\"} 8-10 L1; {b=\"1\"} 0-48 L3; {b=\"1\"} 5m 0-48 L3; ";

/* Work of every kind: a compaction, a downsampling, garbage, a mark that is due, an aborted upload, a deletion half done. */
static void fill(struct world *w)
{
	world_blocks(w, A, 0, 5);
	world_block(w, (struct block_spec){
			       .from_h = 0, .to_h = 48, .labels = B, .level = 3 });
	struct ulid u = world_block(w, (struct block_spec){ .from_h = -100,
							    .to_h = -98,
							    .labels = "\"old\":\"1\"" });
	world_mark(w, MARK_DELETION, &u, w->t0_ms);
	world_put(w, "01M38BCG00000000000000000X/index", "aborted");
	world_put(w, "01M38BCG00000000000000000Y/index", "half deleted");
	world_put(
		w, "01M38BCG00000000000000000Y/deletion-mark.json",
		"{\"id\":\"01M38BCG00000000000000000Y\",\"version\":1,\"deletion_time\":7}");
}

/* In the end: exactly this, nothing else with or without meta.json, nothing in staging. */
static void check_end(struct world *w, const char *at)
{
	struct arena a;
	struct fs_names names;
	struct err e = ERR_INIT;
	char stage[128];
	arena_init(&a, NULL);
	cr_assert_str_eq(world_show(w, &a), want, "%s", at);
	world_check_whole(w);
	snprintf(stage, sizeof(stage), "%s/compact", w->data);
	cr_assert_eq(fs_list(&w->ctx, &a, stage, &names, &e), 0);
	cr_assert_eq(names.n, 0, "%s", at);
	cr_assert_not(world_has(w, "01M38BCG00000000000000000X/index"), "%s", at);
	cr_assert_not(world_has(w, "01M38BCG00000000000000000Y/index"), "%s", at);
	arena_deinit(&a);
}

static void finish(struct world *w, const char *served, const char *at)
{
	struct compactor_report r;
	struct err e;
	struct arena a;
	arena_init(&a, NULL);
	cr_assert_str_eq(world_served(w, &a), served, "%s", at);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(world_iterate(w, &r, &e), 0, "%s: %s", at, err_text(&e));
		cr_assert_str_eq(world_served(w, &a), served, "%s", at);
	}
	check_end(w, at);
	arena_deinit(&a);
}

/* What stores show at the start, without the old block, which is due and goes. */
static const char *expected(struct world *w, struct arena *a)
{
	world_blocks(w, A, 0, 5);
	world_block(w, (struct block_spec){
			       .from_h = 0, .to_h = 48, .labels = B, .level = 3 });
	return world_served(w, a);
}

static void start(struct world *w, int64_t delay_ms)
{
	world_begin(w);
	w->shift_ms = 100 * HOUR_MS; /* what is put now is an old upload then */
	w->o.delete_delay_ms = delay_ms;
}

static void fail_at_each_call(bool for_good, bool landed, int64_t delay_ms, bool lease)
{
	struct world x;
	struct arena a;
	bool done = false;
	arena_init(&a, NULL);
	start(&x, delay_ms);
	const char *served = expected(&x, &a);
	world_end(&x);
	for (uint64_t nth = 1; !done; nth += step_of(3)) {
		struct world w;
		struct compactor_report r;
		struct err e;
		char at[64];
		cr_assert_lt(nth, 500);
		snprintf(at, sizeof(at), "call %d", (int)nth);
		start(&w, delay_ms);
		w.o.no_lease = !lease;
		fill(&w);
		uint64_t before = bucket_mem_calls(w.bucket);
		bucket_mem_fail(w.bucket, nth, for_good, landed);
		int rc = world_iterate(&w, &r, &e);
		done = bucket_mem_calls(w.bucket) - before < nth;
		if (rc < 0)
			cr_assert(r.retriable, "%s: %s", at, err_text(&e));
		cr_assert_eq(r.quarantined, 0, "%s", at);
		bucket_mem_fail(w.bucket, 0, false, false);
		/* The old block may be there still. */
		struct compactor_report r2;
		cr_assert_eq(world_iterate(&w, &r2, &e), 0, "%s: %s", at, err_text(&e));
		finish(&w, served, at);
		world_end(&w);
	}
	arena_deinit(&a);
}

Test(crash, one_failure_at_any_call)
{
	fail_at_each_call(false, false, 48 * HOUR_MS, false);
}

Test(crash, the_bucket_goes_away_at_any_call)
{
	fail_at_each_call(true, false, 48 * HOUR_MS, true);
}

Test(crash, what_failed_had_landed)
{
	fail_at_each_call(false, true, 48 * HOUR_MS, false);
}

Test(crash, the_same_when_blocks_are_deleted_at_once)
{
	fail_at_each_call(true, true, 0, false);
	fail_at_each_call(true, false, 0, true);
}

/* With retries a single failure of whatever call costs nothing but time. */
Test(crash, one_failure_at_any_call_is_made_good_by_retries)
{
	struct world x;
	struct arena a;
	bool done = false;
	arena_init(&a, NULL);
	start(&x, 0);
	const char *served = expected(&x, &a);
	world_end(&x);
	for (uint64_t nth = 1; !done; nth += step_of(3)) {
		struct world w;
		struct compactor_report r;
		struct err e;
		char at[64];
		snprintf(at, sizeof(at), "call %d", (int)nth);
		start(&w, 0);
		w.o.no_lease = false;
		w.o.retries = 2;
		fill(&w);
		uint64_t before = bucket_mem_calls(w.bucket);
		bucket_mem_fail(w.bucket, nth, false, nth % 2 == 0);
		int rc = world_iterate(&w, &r, &e);
		done = bucket_mem_calls(w.bucket) - before < nth;
		bucket_mem_fail(w.bucket, 0, false, false);
		if (rc < 0) /* deletions are left to the next iteration */
			cr_assert(r.retriable, "%s: %s", at, err_text(&e));
		cr_assert_eq(r.failed, 0, "%s", at);
		cr_assert_geq(r.compactions, 1, "%s", at);
		finish(&w, served, at);
		world_end(&w);
	}
	arena_deinit(&a);
}

/* ---- death ---- */

/* One iteration in a process of its own; its exit status: 9 killed, 0 through. */
static int iterate_and_die(struct world *w, int nth, bool after)
{
	pid_t child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		struct deadly d;
		struct compactor_report r;
		struct err e;
		deadly_init(&d, "deadly", w->bucket, nth, after, 60);
		w->bucket = &d.base;
		_exit(world_iterate(w, &r, &e) == 0 ? 0 : 1);
	}
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void kill_at_each_call(bool after, int step, int64_t delay_ms)
{
	struct world x;
	struct arena a;
	int status = 9;
	arena_init(&a, NULL);
	start(&x, delay_ms);
	const char *served = expected(&x, &a);
	world_end(&x);
	step = (int)step_of((uint64_t)step);
	for (int nth = 1; status == 9; nth += step) {
		struct world w;
		struct err e = ERR_INIT;
		struct compactor_report r;
		char at[64], dir[128];
		cr_assert_lt(nth, 1500);
		snprintf(at, sizeof(at), "call %d", nth);
		start(&w, delay_ms);
		bucket_close(w.bucket);
		snprintf(dir, sizeof(dir), "%s/bucket", w.dir);
		cr_assert_eq(fs_mkdir_p(&w.ctx, dir, &e), 0);
		cr_assert_eq(bucket_fs_open(&w.ctx, dir, &w.bucket, &e), 0);
		w.o.no_lease =
			nth % 2 == 0; /* with a lease the dead holder is taken over */
		fill(&w);
		status = iterate_and_die(&w, nth, after);
		cr_assert(status == 9 || status == 0, "%s: status %d", at, status);
		cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s: %s", at, err_text(&e));
		cr_assert_eq(r.quarantined, 0, "%s", at);
		finish(&w, served, at);
		world_end(&w);
	}
	arena_deinit(&a);
}

Test(crash, death_before_any_call)
{
	kill_at_each_call(false, 13, 48 * HOUR_MS);
}

Test(crash, death_behind_any_call)
{
	kill_at_each_call(true, 11, 0);
}

/* ---- the local disk ---- */

/* Each place where a call of the system stands fails: once, for good; and the process ends there. */
static void disk_at_each_point(enum fault_kind kind, uint64_t step)
{
	struct world x;
	struct arena a;
	bool done = false;
	uint64_t points = 0;
	arena_init(&a, NULL);
	start(&x, 48 * HOUR_MS);
	const char *served = expected(&x, &a);
	world_end(&x);
	for (uint64_t nth = 1; !done; nth += step_of(step)) {
		struct world w;
		struct compactor_report r;
		struct err e;
		char at[64], dir[128];
		cr_assert_lt(nth, 2000);
		snprintf(at, sizeof(at), "point %d", (int)nth);
		points = nth;
		start(&w, 48 * HOUR_MS);
		if (kind ==
		    FAULT_EXIT) { /* a memory bucket would be gone with the process */
			bucket_close(w.bucket);
			snprintf(dir, sizeof(dir), "%s/bucket", w.dir);
			cr_assert_eq(fs_mkdir_p(&w.ctx, dir, &e), 0);
			cr_assert_eq(bucket_fs_open(&w.ctx, dir, &w.bucket, &e), 0);
		}
		fill(&w);
		if (kind == FAULT_EXIT) {
			pid_t child = fork();
			if (child == 0) {
				fault_arm(nth, kind);
				_exit(world_iterate(&w, &r, &e) == 0 ? 0 : 1);
			}
			int status;
			cr_assert_eq(waitpid(child, &status, 0), child);
			done = WEXITSTATUS(status) == 0;
			cr_assert(done || WEXITSTATUS(status) == FAULT_STATUS, "%s", at);
		} else {
			fault_arm(nth, kind);
			world_iterate(&w, &r, &e);
			done = fault_passed() < nth;
			fault_arm(0, FAULT_ONCE);
		}
		cr_assert_eq(world_iterate(&w, &r, &e), 0, "%s: %s", at, err_text(&e));
		cr_assert_eq(r.quarantined, 0, "%s", at);
		finish(&w, served, at);
		world_end(&w);
	}
	cr_assert_gt(points, 50);
	arena_deinit(&a);
}

Test(crash, the_disk_fails_once_at_any_point)
{
	disk_at_each_point(FAULT_ONCE, 5);
}

Test(crash, the_disk_goes_away_at_any_point)
{
	disk_at_each_point(FAULT_FOR_GOOD, 7);
}

Test(crash, death_at_any_point_of_the_disk)
{
	disk_at_each_point(FAULT_EXIT, 17);
}

/* ---- listings that are old ---- */

struct entry {
	char name[64];
	struct bucket_attrs at;
};
struct listing {
	struct entry *v;
	size_t n;
};
/* Every second listing is that of up to six changes ago; objects asked for by name are those of now. */
struct stale {
	struct bucket base;
	struct bucket *inner;
	struct ctx *ctx;
	struct listing was[4000];
	size_t n;
	unsigned seed;
};

static int note_entry(void *arg, struct str name, const struct bucket_attrs *at,
		      struct err *e)
{
	struct listing *l = arg;
	l->v = xreallocarray(l->v, l->n + 1, sizeof(*l->v));
	snprintf(l->v[l->n].name, sizeof(l->v->name), "%.*s", STR_FMT(name));
	l->v[l->n++].at = *at;
	return 0;
}

static struct stale *stale_of(struct bucket *b)
{
	return CONTAINER_OF(b, struct stale, base);
}

static void changed(struct stale *s)
{
	struct err e = ERR_INIT;
	cr_assert_lt(s->n, ARRAY_LEN(s->was));
	cr_assert_eq(bucket_iter(s->inner, s->ctx, STR(""), true, note_entry,
				 &s->was[s->n++], &e),
		     0);
}

static int s_iter(struct bucket *b, struct ctx *ctx, struct str dir, bool recursive,
		  int (*fn)(void *arg, struct str name, const struct bucket_attrs *a,
			    struct err *e),
		  void *arg, struct err *e)
{
	struct stale *s = stale_of(b);
	size_t back = rand_r(&s->seed) % 2 ? (size_t)rand_r(&s->seed) % 7 : 0;
	const struct listing *l = &s->was[s->n - 1 - MIN(back, s->n - 1)];
	cr_assert(recursive);
	for (size_t i = 0; i < l->n; i++) {
		struct str name = str_of(l->v[i].name);
		if (dir.n && !(str_has_prefix(name, dir) && name.n > dir.n &&
			       (name.p[dir.n] == '/' || dir.p[dir.n - 1] == '/')))
			continue;
		if (fn(arg, name, &l->v[i].at, e) < 0)
			return -1;
	}
	return 0;
}

static int s_get(struct bucket *b, struct ctx *ctx, struct str name, struct buf *out,
		 struct err *e)
{
	return stale_of(b)->inner->ops->get(stale_of(b)->inner, ctx, name, out, e);
}

static int s_open(struct bucket *b, struct ctx *ctx, struct str name,
		  struct range_source **out, struct err *e)
{
	return stale_of(b)->inner->ops->open(stale_of(b)->inner, ctx, name, out, e);
}

static int s_put(struct bucket *b, struct ctx *ctx, struct str name,
		 struct put_source *src, struct err *e)
{
	int rc = stale_of(b)->inner->ops->put(stale_of(b)->inner, ctx, name, src, e);
	changed(stale_of(b));
	return rc;
}

static int s_attrs(struct bucket *b, struct ctx *ctx, struct str name,
		   struct bucket_attrs *out, struct err *e)
{
	return stale_of(b)->inner->ops->attrs(stale_of(b)->inner, ctx, name, out, e);
}

static int s_del(struct bucket *b, struct ctx *ctx, struct str name, struct err *e)
{
	int rc = stale_of(b)->inner->ops->del(stale_of(b)->inner, ctx, name, e);
	changed(stale_of(b));
	return rc;
}

static void with_old_listings(unsigned seed, int64_t delay_ms)
{
	static const struct bucket_ops ops = { .iter = s_iter,
					       .get = s_get,
					       .open = s_open,
					       .put = s_put,
					       .attrs = s_attrs,
					       .del = s_del };
	struct stale *s = xcalloc(1, sizeof(*s));
	struct world w;
	struct arena a;
	char at[64];
	arena_init(&a, NULL);
	start(&w, delay_ms);
	const char *served = expected(&w, &a);
	world_end(&w);
	start(&w, delay_ms);
	fill(&w);
	*s = (struct stale){
		.base = { &ops, "stale" }, .inner = w.bucket, .ctx = &w.ctx, .seed = seed
	};
	changed(s);
	snprintf(at, sizeof(at), "seed %u", seed);
	w.o.retries = 3;
	for (int i = 0; i < 6; i++) {
		struct compactor_report r;
		struct err e;
		struct bucket *inner = w.bucket;
		w.bucket = &s->base;
		int rc = world_iterate(&w, &r, &e);
		w.bucket = inner;
		cr_assert(rc == 0 || r.retriable, "%s: %s", at, err_text(&e));
		cr_assert_eq(r.quarantined, 0, "%s", at);
		if (i) /* the block that is due has gone */
			cr_assert_str_eq(world_served(&w, &a), served, "%s", at);
	}
	finish(&w, served, at);
	for (size_t i = 0; i < s->n; i++)
		free(s->was[i].v);
	free(s);
	arena_deinit(&a);
	world_end(&w);
}

Test(crash, old_listings_lose_nothing)
{
	for (unsigned seed = 1; seed <= (getenv("TORTURE") ? 100 : 8); seed++)
		with_old_listings(seed, seed % 2 ? 48 * HOUR_MS : 0);
}
