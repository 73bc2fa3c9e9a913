/*
 * Whatever fails or dies at whatever call: no half block is ever seen, and the next pass completes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "support/deadly.h"
#include "world.h"

static void fail_at_each_call(bool for_good, bool landed)
{
	log_setup(LOG_ERROR + 1, LOG_LOGFMT, 2);
	struct world w;
	bool done = false;
	world_begin(&w);
	world_add_block(&w, GOLDEN, WORLD_HIST, 0);
	world_add_block(&w, GOLDEN, WORLD_OOO, 2);
	for (uint64_t at = 1; !done; at++) {
		struct err e = ERR_INIT;
		uint32_t n;
		cr_assert_lt(at, 100);
		struct bucket *b = bucket_mem_new();
		bucket_mem_fail(b, at, for_good, landed);
		int rc = world_ship(&w, b, &n, &e);
		done = bucket_mem_calls(b) < at;
		cr_assert_eq(rc, done ? 0 : -1, "call %d: %s", (int)at, err_text(&e));
		bucket_mem_fail(b, 0, false, false);
		cr_assert_eq(world_check_whole(&w, b) >= n, 1);
		cr_assert_eq(world_ship(&w, b, &n, &e), 0, "call %d: %s", (int)at,
			     err_text(&e));
		world_check_shipped(&w, b);
		bucket_close(b);
		char state[128];
		snprintf(state, sizeof(state), "%s/thanos.shipper.json", w.tsdb);
		cr_assert_eq(fs_remove_all(&w.ctx, state, &e), 0);
	}
	world_end(&w);
}

Test(shipper_crash, completes_after_one_failure_at_any_call)
{
	fail_at_each_call(false, false);
}

Test(shipper_crash, completes_after_the_bucket_went_away_at_any_call)
{
	fail_at_each_call(true, false);
}

Test(shipper_crash, completes_when_an_upload_landed_but_its_answer_was_lost)
{
	fail_at_each_call(true, true);
}

/* One pass in a process of its own; its exit status: 9 killed, 0 through. */
static int pass_and_die(struct world *w, struct bucket *inner, int nth, bool after)
{
	pid_t child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		struct err e;
		uint32_t n;
		struct deadly d;
		deadly_init(&d, "deadly", inner, nth, after, 7000);
		_exit(world_ship(w, &d.base, &n, &e) == 0 ? 0 : 1);
	}
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void kill_at_each_call(bool after)
{
	log_setup(LOG_ERROR + 1, LOG_LOGFMT, 2);
	struct world w;
	int status = 9;
	world_begin(&w);
	world_add_block(&w, GOLDEN, WORLD_HIST, 0);
	world_add_block(&w, GOLDEN, WORLD_OOO, 2);
	for (int nth = 1; status == 9; nth++) {
		struct err e = ERR_INIT;
		struct bucket *b;
		uint32_t n;
		char path[128];
		cr_assert_lt(nth, 200);
		cr_assert_eq(bucket_fs_open(&w.ctx, w.bucket_dir, &b, &e), 0);
		status = pass_and_die(&w, b, nth, after);
		cr_assert(status == 9 || status == 0, "status %d", status);
		world_check_whole(&w, b);
		cr_assert_eq(world_ship(&w, b, &n, &e), 0, "%s", err_text(&e));
		world_check_shipped(&w, b);
		bucket_close(b);
		cr_assert_eq(fs_remove_all(&w.ctx, w.bucket_dir, &e), 0);
		snprintf(path, sizeof(path), "%s/thanos.shipper.json", w.tsdb);
		cr_assert_eq(fs_remove_all(&w.ctx, path, &e), 0);
	}
	world_end(&w);
}

Test(shipper_crash, completes_after_a_kill_before_any_call)
{
	kill_at_each_call(false);
}

Test(shipper_crash, completes_after_a_kill_behind_any_call)
{
	kill_at_each_call(true);
}

/* Says that everything was stored, but lost the last bytes of index. */
static int lossy_put(struct bucket *b, struct ctx *ctx, struct str name,
		     struct put_source *src, struct err *e)
{
	struct deadly *d = CONTAINER_OF(b, struct deadly, base);
	if (!str_has_suffix(name, STR("/index")))
		return d->inner->ops->put(d->inner, ctx, name, src, e);
	return bucket_put_bytes(d->inner, ctx, name, STR("short"), e);
}

Test(shipper_crash, uploads_no_meta_when_sizes_in_the_bucket_are_wrong)
{
	struct world w;
	struct arena a;
	struct err e;
	uint32_t n;
	world_begin(&w);
	arena_init(&a, NULL);
	world_add_block(&w, GOLDEN, WORLD_HIST, 0);
	struct bucket *b = bucket_mem_new();
	struct deadly d;
	deadly_init(&d, "lossy", b, -1, false, 7000);
	struct bucket_ops ops = *d.base.ops;
	ops.put = lossy_put;
	d.base.ops = &ops;
	cr_assert_eq(world_ship(&w, &d.base, &n, &e), -1);
	cr_assert(strstr(err_text(&e), "index has 5 bytes in the bucket"), "%s",
		  err_text(&e));
	cr_assert_null(strstr(world_names(&w, &a, b), "meta.json"));
	cr_assert_eq(world_ship(&w, b, &n, &e), 0);
	cr_assert_eq(world_check_whole(&w, b), 1);
	bucket_close(b);
	arena_deinit(&a);
	world_end(&w);
}
