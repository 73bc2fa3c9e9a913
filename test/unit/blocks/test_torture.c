/*
 * The shipper with every write, fsync, link, rename, mkdir and removal failing, one after the other, or ending the
 * process there: old or new state, never half, and the next pass completes.
 *
 * `make test` takes a part of the points, another one each day; `make torture` (TORTURE=all) takes every one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "world.h"

#ifdef FAULTS

#define STRIDE	   7 /* of the bounded part */
#define POINTS_MAX 1000

#define STATE_HEAD "{\n\t\"version\": 1,\n\t\"uploaded\": [\n\t\t\"" WORLD_HIST "\""
#define STATE_ONE  STATE_HEAD "\n\t]\n}\n"
#define STATE_BOTH STATE_HEAD ",\n\t\t\"" WORLD_OOO "\"\n\t]\n}\n"

static bool takes_all(void)
{
	const char *s = getenv("TORTURE");
	return s && strcmp(s, "all") == 0;
}

static struct bucket *open_bucket(struct world *w)
{
	struct bucket *b;
	struct err e = ERR_INIT;
	cr_assert_eq(bucket_fs_open(&w->ctx, w->bucket_dir, &b, &e), 0, "%s",
		     err_text(&e));
	return b;
}

static void must_ship(struct world *w, uint32_t want)
{
	struct err e;
	uint32_t n = 0;
	struct bucket *b = open_bucket(w);
	cr_assert_eq(world_ship(w, b, &n, &e), 0, "%s", err_text(&e));
	cr_assert_leq(n, want);
	bucket_close(b);
}

static char *path_of(struct arena *a, const char *dir, const char *rel)
{
	return str_dupz(a, str_fmt(a, "%s/%s", dir, rel));
}

/* thanos.shipper.json is absent, or whole, and promises nothing that is not in the bucket. */
static void check_state(struct world *w, bool had_one, size_t blocks, const char *at)
{
	struct arena a;
	struct fs_stat st;
	struct err e = ERR_INIT;
	arena_init(&a, NULL);
	char *path = path_of(&a, w->tsdb, "thanos.shipper.json");
	cr_assert_eq(fs_stat(&w->ctx, path, &st, &e), 0);
	if (st.kind == FS_NONE) {
		cr_assert(!had_one, "%s: the old state is gone", at);
	} else {
		struct str s = world_read(w, &a, path);
		size_t named = str_eq(s, STR(STATE_BOTH))  ? 2
			       : str_eq(s, STR(STATE_ONE)) ? 1
							   : 0;
		bool empty = str_find(s, STR("\"uploaded\": []")) > 0;
		cr_assert(named || (empty && !had_one), "%s: %s", at, s.p);
		cr_assert_leq(named, blocks, "%s", at);
	}
	arena_deinit(&a);
}

/* What the bucket holds is what the folder holds, and no stage is left. */
static void check_bytes(struct world *w)
{
	static const char *const files[] = { WORLD_HIST "/chunks/000001",
					     WORLD_HIST "/index",
					     WORLD_OOO "/chunks/000001",
					     WORLD_OOO "/index" };
	struct arena a;
	struct fs_names left = { 0 };
	struct fs_stat st;
	struct err e = ERR_INIT;
	arena_init(&a, NULL);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct str want = world_read(w, &a, path_of(&a, GOLDEN, files[i]));
		cr_assert(
			str_eq(want, world_read(w, &a, path_of(&a, w->tsdb, files[i]))));
		cr_assert(str_eq(want, world_read(w, &a,
						  path_of(&a, w->bucket_dir, files[i]))));
	}
	char *stage = path_of(&a, w->tsdb, "thanos/upload");
	cr_assert_eq(fs_stat(&w->ctx, stage, &st, &e), 0);
	if (st.kind != FS_NONE)
		cr_assert_eq(fs_list(&w->ctx, &a, stage, &left, &e), 0);
	cr_assert_eq(left.n, 0);
	arena_deinit(&a);
}

/* A pass with the nth point failing; true if the run came that far. */
static bool fail_once(struct world *w, uint64_t nth, enum fault_kind kind, bool *seen)
{
	struct err e;
	uint32_t n;
	struct bucket *b = open_bucket(w);
	fault_arm(nth, kind);
	int rc = world_ship(w, b, &n, &e);
	bool struck = fault_passed() >= nth;
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		seen[i] |= fault_passed_at(i) > 0;
	const char *at = fault_struck();
	fault_arm(0, FAULT_ONCE);
	/* A stage that cannot be removed harms nobody: said in the log. */
	bool fine = !struck || (rc == 0 && strcmp(at, "FS_REMOVE") == 0);
	cr_assert_eq(rc, fine ? 0 : -1, "point %d, %s", (int)nth, at);
	if (rc < 0)
		cr_assert(strstr(err_text(&e), "Input/output error"), "point %d, %s: %s",
			  (int)nth, at, err_text(&e));
	bucket_close(b);
	return struck;
}

/* The same in a process of its own that ends at the nth point. */
static bool die_once(struct world *w, uint64_t nth)
{
	int status;
	pid_t child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		struct err e;
		uint32_t n;
		struct bucket *b = open_bucket(w);
		fault_arm(nth, FAULT_EXIT);
		_exit(world_ship(w, b, &n, &e) == 0 ? 0 : 1);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	cr_assert(WEXITSTATUS(status) == FAULT_STATUS || WEXITSTATUS(status) == 0,
		  "point %d: status %d", (int)nth, WEXITSTATUS(status));
	return WEXITSTATUS(status) == FAULT_STATUS;
}

/* Passed by those who write blocks: test/unit/tsdb_write/test_torture.c. */
static bool is_of_writing(const char *name)
{
	return strcmp(name, "FS_READ") == 0 || strncmp(name, "FS_TEMP_", 8) == 0;
}

static void every_point(enum fault_kind kind, bool had_one)
{
	bool seen[FAULT_COUNT] = { false }, more = true;
	uint64_t step = takes_all() ? 1 : STRIDE, runs = 0;
	uint64_t nth = takes_all() ? 1 : 1 + (uint64_t)(time(NULL) / 86400) % STRIDE;
	log_setup(LOG_ERROR + 1, LOG_LOGFMT, 2);
	for (; more; nth += step, runs++) {
		struct world w;
		char at[32];
		snprintf(at, sizeof(at), "point %d", (int)nth);
		cr_assert_lt(nth, POINTS_MAX);
		world_begin(&w);
		world_add_block(&w, GOLDEN, WORLD_HIST, 0);
		if (had_one)
			must_ship(&w, 1);
		world_add_block(&w, GOLDEN, WORLD_OOO, 2);

		more = kind == FAULT_EXIT ? die_once(&w, nth)
					  : fail_once(&w, nth, kind, seen);
		struct bucket *b = open_bucket(&w);
		size_t blocks = world_check_whole(&w, b);
		cr_assert_geq(blocks, had_one, "%s", at);
		check_state(&w, had_one, blocks, at);
		must_ship(&w, 2);
		world_check_shipped(&w, b);
		check_bytes(&w);
		bucket_close(b);
		world_end(&w);
	}
	/* The last run met no fault, so it passed every point there is. */
	for (unsigned i = 0; kind != FAULT_EXIT && i < FAULT_COUNT; i++)
		cr_assert(seen[i] || is_of_writing(fault_name(i)), "no run passes %s",
			  fault_name(i));
	if (takes_all())
		printf("torture: shipper, %s%s: %d points\n",
		       kind == FAULT_EXIT   ? "killed at"
		       : kind == FAULT_ONCE ? "one failure at"
					    : "all failing from",
		       had_one ? ", second block" : "", (int)runs - 1);
}

Test(torture_shipper, one_failure_into_an_empty_bucket)
{
	every_point(FAULT_ONCE, false);
}

Test(torture_shipper, one_failure_with_a_block_there)
{
	every_point(FAULT_ONCE, true);
}

Test(torture_shipper, all_failing_from_some_point_on)
{
	every_point(FAULT_FOR_GOOD, false);
}

Test(torture_shipper, killed_into_an_empty_bucket)
{
	every_point(FAULT_EXIT, false);
}

Test(torture_shipper, killed_with_a_block_there)
{
	every_point(FAULT_EXIT, true);
}
#else
typedef int test_torture_not_empty;
#endif
