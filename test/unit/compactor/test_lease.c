/* One compactor a bucket. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "world.h"

static struct compactor *open_in(struct world *w, const char *name, const char *host,
				 const char *scope)
{
	struct err e = ERR_INIT;
	struct compactor *c;
	struct compactor_opts o = w->o;
	char dir[128];
	snprintf(dir, sizeof(dir), "%s/%s", w->dir, name);
	o.bucket = w->bucket;
	o.data_dir = dir;
	o.no_lease = false;
	o.host = host;
	o.lease_ms = 50;
	o.scope = str_of(scope);
	cr_assert_eq(compactor_new(&w->ctx, &o, &c, &e), 0, "%s", err_text(&e));
	return c;
}

static int iterate(struct world *w, struct compactor *c, struct err *e)
{
	struct compactor_report r;
	*e = ERR_INIT;
	return compactor_iterate(c, &w->ctx, &r, e);
}

Test(lease, the_second_is_refused_by_name_until_the_first_has_gone)
{
	struct world w;
	struct err e;
	struct compactor_status st;
	world_begin(&w);
	struct compactor *a = open_in(&w, "a", "host-a", ""),
			 *b = open_in(&w, "b", "host-b", "");
	cr_assert_eq(iterate(&w, a, &e), 0, "%s", err_text(&e));
	cr_assert_eq(world_metric(&w, "thanosc_compact_lease_held"), 1);
	usleep(400000); /* longer than the lease would live without its renewals */
	cr_assert_eq(iterate(&w, b, &e), -1);
	cr_assert_eq(e.code, E_LOCKED);
	cr_assert(strstr(err_text(&e), "host host-a, pid "), "%s", err_text(&e));
	cr_assert_eq(iterate(&w, a, &e), 0, "%s", err_text(&e));
	compactor_status(a, &st);
	cr_assert(st.lease_held);
	compactor_free(a);
	cr_assert_eq(iterate(&w, b, &e), 0, "%s", err_text(&e));
	compactor_free(b);
	struct arena ar;
	arena_init(&ar, NULL);
	cr_assert_not(world_has(&w, "thanosc/compactors"));
	arena_deinit(&ar);
	world_end(&w);
}

Test(lease, shards_do_not_meet_but_one_without_limits_meets_all)
{
	struct world w;
	struct err e;
	world_begin(&w);
	struct compactor *a = open_in(&w, "a", "a", "shard 1"),
			 *b = open_in(&w, "b", "b", "shard 2"),
			 *c = open_in(&w, "c", "c", "shard 1"),
			 *d = open_in(&w, "d", "d", "");
	cr_assert_eq(iterate(&w, a, &e), 0, "%s", err_text(&e));
	cr_assert_eq(iterate(&w, b, &e), 0, "%s", err_text(&e));
	cr_assert_eq(iterate(&w, c, &e), -1);
	cr_assert_eq(iterate(&w, d, &e), -1);
	compactor_free(a);
	compactor_free(b);
	compactor_free(c);
	compactor_free(d);
	world_end(&w);
}

static void put_holder(struct world *w, const char *id, const char *state)
{
	char name[128], json[256];
	snprintf(name, sizeof(name), "thanosc/compactors/%s.json", id);
	snprintf(
		json, sizeof(json),
		"{\"id\":\"%s\",\"version\":1,\"state\":\"%s\",\"since\":1700000000,\"host\":\"h\",\"pid\":5}",
		id, state);
	world_put(w, name, json);
}

Test(lease, one_that_is_not_renewed_is_taken_over)
{
	struct world w;
	struct err e;
	world_begin(&w);
	put_holder(&w, "01M38BCG00000000000000000A", "holding");
	world_put(&w, "thanosc/compactors/01M38BCG00000000000000000B.json", "damaged");
	struct compactor *a = open_in(&w, "a", "a", "");
	cr_assert_eq(iterate(&w, a, &e), -1);
	usleep(300000);
	cr_assert_eq(iterate(&w, a, &e), 0, "%s", err_text(&e));
	cr_assert_not(
		world_has(&w, "thanosc/compactors/01M38BCG00000000000000000A.json"));
	cr_assert_not(
		world_has(&w, "thanosc/compactors/01M38BCG00000000000000000B.json"));
	compactor_free(a);
	world_end(&w);
}

Test(lease, of_two_that_claim_the_smaller_id_comes_first)
{
	struct world w;
	struct err e;
	world_begin(&w);
	struct compactor *a = open_in(&w, "a", "a", "");
	put_holder(&w, "00000000000000000000000001", "claiming");
	cr_assert_eq(iterate(&w, a, &e), -1);
	cr_assert_eq(e.code, E_LOCKED);
	cr_assert_eq(
		bucket_delete(w.bucket, &w.ctx,
			      STR("thanosc/compactors/00000000000000000000000001.json"),
			      &e),
		0);
	/* A larger one is waited for until it is stale. */
	put_holder(&w, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "claiming");
	cr_assert_eq(iterate(&w, a, &e), 0, "%s", err_text(&e));
	compactor_free(a);
	world_end(&w);
}

/* Whoever finds its object gone has lost the lease, and publishes nothing more. */
Test(lease, lost_means_that_nothing_is_published)
{
	struct world w;
	struct err e;
	struct arena ar;
	world_begin(&w);
	arena_init(&ar, NULL);
	struct compactor *a = open_in(&w, "a", "a", "");
	cr_assert_eq(iterate(&w, a, &e), 0, "%s", err_text(&e));
	struct fs_names names;
	char id_path[128];
	struct buf id;
	buf_init(&id, 64);
	snprintf(id_path, sizeof(id_path), "%s/a/compactor-id", w.dir);
	cr_assert_eq(fs_read_file(&w.ctx, id_path, 64, &id, &e), 0);
	cr_assert_eq(bucket_delete(w.bucket, &w.ctx,
				   str_fmt(&ar, "thanosc/compactors/%.*s.json",
					   STR_FMT(buf_view(&id))),
				   &e),
		     0);
	put_holder(&w, "01M38BCG00000000000000000A", "holding");
	(void)names;
	for (int i = 0; i < 100; i++) {
		struct compactor_status st;
		compactor_status(a, &st);
		if (!st.lease_held)
			break;
		put_holder(&w, "01M38BCG00000000000000000A", "holding");
		usleep(20000);
	}
	put_holder(&w, "01M38BCG00000000000000000A", "holding");
	cr_assert_eq(iterate(&w, a, &e), -1);
	cr_assert_eq(e.code, E_LOCKED);
	cr_assert_eq(compactor_cleanup(a, &w.ctx, &e), 0); /* not ours: nothing is done */
	compactor_free(a);
	buf_deinit(&id);
	arena_deinit(&ar);
	world_end(&w);
}

/* A holder that was killed on this machine is not waited for, whatever data folder comes next. */
Test(lease, of_a_dead_process_here_is_taken_over_at_once)
{
	struct world w;
	struct err e = ERR_INIT;
	char dir[128];
	world_begin(&w);
	bucket_close(w.bucket);
	snprintf(dir, sizeof(dir), "%s/bucket", w.dir);
	cr_assert_eq(fs_mkdir_p(&w.ctx, dir, &e), 0);
	cr_assert_eq(bucket_fs_open(&w.ctx, dir, &w.bucket, &e), 0);
	pid_t child = fork();
	if (child == 0) {
		struct compactor *a = open_in(&w, "a", "a", "");
		_exit(iterate(&w, a, &e) == 0 ? 9 : 1);
	}
	int status;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(WEXITSTATUS(status), 9);
	struct compactor *b = open_in(&w, "b", "b", "");
	cr_assert_eq(iterate(&w, b, &e), 0, "%s", err_text(&e));
	compactor_free(b);
	world_end(&w);
}
