/*
 * A block written with every create, write, fsync, read back, rename, mkdir and removal failing, one after the other,
 * or ending the process there: the block is there whole or not at all, a failure leaves nothing and says what failed,
 * a killed writer leaves only what block_writer_clean removes, and the next attempt succeeds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "support/tst.h"
#include "unit/tsdb_write/world.h"

#ifdef FAULTS

#define EU	   "01M81YVBWEZNH3H08SPVGX7K64" /* 120 series */
#define POINTS_MAX 3000

/* Little memory and small segments: several runs, two levels of merging, several segments. */
static int write_once(struct world *w, struct copy *c)
{
	struct block_writer_opts o = { .dir = w->dir,
				       .ulid = world_ulid(EU),
				       .segment_bytes = 80 << 10 };
	struct write_limits l = WRITE_LIMITS;
	struct block_meta m = c->block->meta;
	l.memory = 4 << 10;
	return copy_write_within(w, c, &o, &l, &m, false, NULL);
}

static void check_whole(struct world *w, const struct copy *c)
{
	struct copy again;
	const char *dir = world_path(w, "%s/" EU, w->dir);
	copy_open(w, dir, &again);
	copy_compare(c, &again);
	copy_close(&again);
	cr_assert_eq(fs_remove_all(&w->ctx, dir, &w->e), 0);
}

/* false: the run did not come as far as the nth point. */
static bool fail_at(struct world *w, struct copy *c, uint64_t nth, enum fault_kind kind,
		    bool *seen)
{
	w->e = ERR_INIT;
	fault_arm(nth, kind);
	int rc = write_once(w, c);
	bool struck = fault_passed() >= nth;
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		seen[i] |= fault_passed_at(i) > 0;
	const char *at = fault_struck();
	fault_arm(0, FAULT_ONCE);
	struct fs_names left = world_names(w);
	if (!struck) {
		cr_assert_eq(rc, 0, "%s", err_text(&w->e));
		check_whole(w, c);
		return false;
	}
	cr_assert_eq(rc, -1, "point %d, %s", (int)nth, at);
	cr_assert_eq(w->e.code, E_IO);
	cr_assert(strstr(err_text(&w->e), "write block " EU ": ") &&
			  strstr(err_text(&w->e), "Input/output error"),
		  "point %d, %s: %s", (int)nth, at, err_text(&w->e));
	if (kind == FAULT_ONCE) {
		cr_assert_eq(left.n, 0, "point %d, %s: %s is left", (int)nth, at,
			     left.n ? left.name[0].p : "");
	} else {
		for (size_t i = 0; i < left.n; i++)
			cr_assert(str_has_suffix(left.name[i], STR(".tmp-for-creation")),
				  "point %d, %s: %s is left", (int)nth, at,
				  left.name[i].p);
		cr_assert_eq(block_writer_clean(&w->ctx, w->dir, &w->e), 0);
		cr_assert_eq(world_names(w).n, 0);
	}
	return true;
}

static void every_point(enum fault_kind kind)
{
	struct world w;
	struct copy c;
	bool seen[FAULT_COUNT] = { false };
	uint64_t n = 1;
	log_setup(LOG_ERROR, LOG_LOGFMT, 2); /* folders that stay are said so */
	world_begin(&w);
	copy_open(&w, GOLDEN "/bucket/" EU, &c);
	while (fail_at(&w, &c, n, kind, seen))
		cr_assert_lt(++n, POINTS_MAX);
	static const unsigned must[] = { FAULT_FS_CREATE,    FAULT_FS_MKDIR,
					 FAULT_FS_READ,	     FAULT_FS_REMOVE,
					 FAULT_FS_RENAME,    FAULT_FS_SYNC,
					 FAULT_FS_SYNC_DIR,  FAULT_FS_TEMP_OPEN,
					 FAULT_FS_TEMP_READ, FAULT_FS_TEMP_WRITE,
					 FAULT_FS_WRITE };
	for (size_t i = 0; i < ARRAY_LEN(must); i++)
		cr_assert(seen[must[i]], "no run passes %s", fault_name(must[i]));
	cr_assert_gt(n, 60, "%d points", (int)n);
	copy_close(&c);
	world_end(&w);
}

Test(torture_write, each_point_failing_once_leaves_nothing)
{
	every_point(FAULT_ONCE);
}

Test(torture_write, each_point_failing_from_then_on_leaves_no_block)
{
	every_point(FAULT_FOR_GOOD);
}

Test(torture_write, every_file_and_every_folder_is_synced)
{
	struct world w;
	struct copy c;
	struct fs_names segments;
	world_begin(&w);
	copy_open(&w, GOLDEN "/bucket/" EU, &c);
	fault_arm(0, FAULT_ONCE);
	cr_assert_eq(write_once(&w, &c), 0, "%s", err_text(&w.e));
	cr_assert_eq(fs_list(&w.ctx, &w.a, world_path(&w, "%s/" EU "/chunks", w.dir),
			     &segments, &w.e),
		     0);
	cr_assert_gt(segments.n, 1);
	cr_assert_eq(fault_passed_at(FAULT_FS_SYNC),
		     segments.n + 2);			     /* index, meta.json */
	cr_assert_eq(fault_passed_at(FAULT_FS_SYNC_DIR), 3); /* chunks, block, parent */
	copy_close(&c);
	world_end(&w);
}

Test(torture_write, death_at_each_point_leaves_a_block_whole_or_not_at_all)
{
	struct world w;
	struct copy c;
	world_begin(&w);
	copy_open(&w, GOLDEN "/bucket/" EU, &c);
	bool more = true;
	uint64_t n = 1, whole = 0;
	for (; more; n++) {
		int status;
		cr_assert_lt(n, POINTS_MAX);
		pid_t child = fork();
		cr_assert_geq(child, 0);
		if (child == 0) {
			fault_arm(n, FAULT_EXIT);
			_exit(write_once(&w, &c) == 0 ? 0 : 1);
		}
		cr_assert_eq(waitpid(child, &status, 0), child);
		cr_assert(WIFEXITED(status));
		more = WEXITSTATUS(status) == FAULT_STATUS;
		cr_assert(more || WEXITSTATUS(status) == 0, "point %d: status %d", (int)n,
			  WEXITSTATUS(status));
		cr_assert_eq(block_writer_clean(&w.ctx, w.dir, &w.e), 0, "%s",
			     err_text(&w.e));
		struct fs_names left = world_names(&w);
		cr_assert_leq(left.n, 1);
		if (left.n) {
			whole++;
			check_whole(&w, &c);
		}
	}
	cr_assert_geq(whole, 2); /* before the last sync, and undisturbed */
	cr_assert_eq(write_once(&w, &c), 0, "%s", err_text(&w.e));
	check_whole(&w, &c);
	copy_close(&c);
	world_end(&w);
}

#endif
