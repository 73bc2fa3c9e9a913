#include "fs/fs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/tst.h"

static char dir[64];
static char path_text[8][128];
static struct err e;

/* dir/name, valid for eight calls. */
static const char *at(const char *name)
{
	static int n;
	char *p = path_text[n++ % 8];
	snprintf(p, sizeof(path_text[0]), "%s/%s", dir, name);
	return p;
}

static void setup(void)
{
	snprintf(dir, sizeof(dir), "/tmp/test_fs.XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	e = ERR_INIT;
}

static void teardown(void)
{
	cr_assert_eq(fs_remove_all(NULL, dir, &e), 0);
	cr_assert_neq(access(dir, F_OK), 0);
}

static size_t count_names(void)
{
	struct arena a;
	struct fs_names names;
	arena_init(&a, NULL);
	cr_assert_eq(fs_list(NULL, &a, dir, &names, &e), 0);
	arena_deinit(&a);
	return names.n;
}

static void expect_content(const char *path, struct str want)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(NULL, path, 1 << 20, &b, &e), 0, "%s", err_text(&e));
	cr_assert(str_eq(buf_view(&b), want));
	buf_deinit(&b);
}

Test(fs, write_atomic_replaces_and_leaves_no_other_file)
{
	setup();
	cr_assert_eq(fs_write_atomic(NULL, at("f"), STR("one"), &e), 0);
	cr_assert_eq(fs_write_atomic(NULL, at("f"), STR("two!"), &e), 0);
	expect_content(at("f"), STR("two!"));
	cr_assert_eq(fs_write_atomic(NULL, at("empty"), STR_NULL, &e), 0);
	expect_content(at("empty"), STR(""));
	cr_assert_eq(count_names(), 2u);
	cr_assert_eq(fs_write_atomic(NULL, at("no/dir"), STR("x"), &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	cr_assert_not_null(strstr(err_text(&e), "no/dir"));
	teardown();
}

Test(fs, a_failed_write_keeps_the_old_file)
{
	char big[8192] = { 0 };
	struct rlimit old, small = { .rlim_cur = 4096, .rlim_max = RLIM_INFINITY };
	setup();
	cr_assert_eq(fs_write_atomic(NULL, at("f"), STR("old"), &e), 0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	int rc = fs_write_atomic(NULL, at("f"), str_n(big, sizeof(big)), &e);
	setrlimit(RLIMIT_FSIZE, &old);
	cr_assert_eq(rc, -1);
	expect_content(at("f"), STR("old"));
	cr_assert_eq(count_names(), 1u);
	/* A directory cannot be replaced by a file. */
	cr_assert_eq(fs_mkdir_p(NULL, at("d/x"), &e), 0);
	cr_assert_eq(fs_write_atomic(NULL, at("d"), STR("x"), &e), -1);
	cr_assert_eq(count_names(), 2u);
	teardown();
}

Test(fs, read_file_obeys_both_maxima)
{
	struct buf b;
	setup();
	cr_assert_eq(fs_write_atomic(NULL, at("f"), STR("0123456789"), &e), 0);
	buf_init(&b, 100);
	cr_assert_eq(fs_read_file(NULL, at("f"), 10, &b, &e), 0);
	cr_assert_eq(fs_read_file(NULL, at("f"), 9, &b, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_not_null(strstr(err_text(&e), "/f: larger than 9 bytes"));
	cr_assert(str_eqz(buf_view(&b), "0123456789")); /* a failure adds nothing */
	buf_deinit(&b);
	buf_init(&b, 20);
	cr_assert_eq(fs_read_file(NULL, at("f"), 100, &b, &e), 0);
	cr_assert_eq(fs_read_file(NULL, at("f"), 100, &b, &e), 0);
	cr_assert_eq(fs_read_file(NULL, at("f"), 100, &b, &e), -1);
	cr_assert_eq(e.code, E_LIMIT);
	cr_assert_eq(fs_read_file(NULL, at("none"), 100, &b, &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	cr_assert_not_null(strstr(err_text(&e), "/none"));
	cr_assert_eq(fs_read_file(NULL, dir, 100, &b, &e), -1);
	buf_deinit(&b);
	buf_init(&b, 1 << 20);
	cr_assert_eq(fs_read_file(NULL, "/proc/self/status", 1 << 20, &b, &e), 0);
	cr_assert_gt(b.n, 100u);
	buf_deinit(&b);
	teardown();
}

Test(fs, mkdir_p_makes_all_levels_and_accepts_existing_ones)
{
	struct fs_stat st;
	setup();
	cr_assert_eq(fs_mkdir_p(NULL, at("a/b//c/"), &e), 0, "%s", err_text(&e));
	cr_assert_eq(fs_mkdir_p(NULL, at("a/b/c"), &e), 0);
	cr_assert_eq(fs_mkdir_p(NULL, "/", &e), 0);
	cr_assert_eq(fs_stat(NULL, at("a/b/c"), &st, &e), 0);
	cr_assert_eq(st.kind, FS_DIR);
	cr_assert_eq(fs_write_atomic(NULL, at("f"), STR("x"), &e), 0);
	cr_assert_eq(fs_mkdir_p(NULL, at("f/g"), &e), -1);
	cr_assert_eq(fs_mkdir_p(NULL, at("f"), &e), -1);
	cr_assert_eq(fs_mkdir_p(NULL, "", &e), -1);
	cr_assert_eq(fs_fsync_dir(NULL, at("a"), &e), 0);
	cr_assert_eq(fs_fsync_dir(NULL, at("f"), &e), -1);
	teardown();
}

Test(fs, stat_tells_kinds_and_absence)
{
	struct fs_stat st;
	setup();
	cr_assert_eq(fs_write_atomic(NULL, at("f"), STR("12345"), &e), 0);
	cr_assert_eq(fs_stat(NULL, at("f"), &st, &e), 0);
	cr_assert(st.kind == FS_FILE && st.size == 5 && st.ino != 0);
	cr_assert_gt(st.mtime_ns, 1600000000000000000ll);
	cr_assert_eq(fs_stat(NULL, at("none"), &st, &e), 0);
	cr_assert_eq(st.kind, FS_NONE);
	cr_assert_eq(fs_stat(NULL, at("f/below"), &st, &e), 0);
	cr_assert_eq(st.kind, FS_NONE);
	cr_assert_eq(fs_stat(NULL, "/dev/null", &st, &e), 0);
	cr_assert_eq(st.kind, FS_OTHER);
	cr_assert_gt(fs_free_bytes(dir), 0u);
	cr_assert_eq(fs_free_bytes("/no/such/place"), 0u);
	teardown();
}

Test(fs, list_is_sorted_bytewise)
{
	static const char names[][8] = { "b", "a", "B", ".h", "\xc3\xa9", "a1" };
	static const char want[][8] = { ".h", "B", "a", "a1", "b", "\xc3\xa9" };
	struct arena a;
	struct fs_names got;
	setup();
	arena_init(&a, NULL);
	cr_assert_eq(fs_list(NULL, &a, dir, &got, &e), 0);
	cr_assert_eq(got.n, 0u);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		cr_assert_eq(fs_write_atomic(NULL, at(names[i]), STR("x"), &e), 0);
	cr_assert_eq(fs_list(NULL, &a, dir, &got, &e), 0);
	cr_assert_eq(got.n, ARRAY_LEN(want));
	for (size_t i = 0; i < got.n; i++)
		cr_assert_str_eq(got.name[i].p, want[i]);
	cr_assert_eq(fs_list(NULL, &a, at("none"), &got, &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	arena_deinit(&a);
	teardown();
}

Test(fs, remove_all_does_not_follow_links)
{
	setup();
	cr_assert_eq(fs_mkdir_p(NULL, at("keep"), &e), 0);
	cr_assert_eq(fs_write_atomic(NULL, at("keep/f"), STR("x"), &e), 0);
	cr_assert_eq(fs_mkdir_p(NULL, at("tree/a/b"), &e), 0);
	cr_assert_eq(fs_write_atomic(NULL, at("tree/a/f"), STR("x"), &e), 0);
	cr_assert_eq(symlink("../../keep", at("tree/a/link")), 0);
	cr_assert_eq(symlink("nowhere", at("tree/dead")), 0);
	cr_assert_eq(fs_remove_all(NULL, at("tree"), &e), 0);
	cr_assert_neq(access(at("tree"), F_OK), 0);
	expect_content(at("keep/f"), STR("x"));
	cr_assert_eq(fs_remove_all(NULL, at("tree"), &e), 0);
	cr_assert_eq(fs_remove_all(NULL, at("keep/f"), &e), 0);
	teardown();
}

Test(fs, link_shares_the_file_and_refuses_to_replace)
{
	struct fs_stat a, b;
	setup();
	cr_assert_eq(fs_write_atomic(NULL, at("f"), STR("data"), &e), 0);
	cr_assert_eq(fs_link_or_copy(NULL, at("f"), at("g"), &e), 0);
	cr_assert_eq(fs_stat(NULL, at("f"), &a, &e), 0);
	cr_assert_eq(fs_stat(NULL, at("g"), &b, &e), 0);
	cr_assert_eq(a.ino, b.ino);
	cr_assert_eq(fs_link_or_copy(NULL, at("f"), at("g"), &e), -1);
	cr_assert_eq(e.code, E_EXISTS);
	cr_assert_eq(fs_rename(NULL, at("g"), at("h"), &e), 0);
	expect_content(at("h"), STR("data"));
	cr_assert_eq(fs_rename(NULL, at("g"), at("h"), &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	teardown();
}

Test(fs, copies_where_it_cannot_link)
{
	struct fs_stat a, b;
	char other[64];
	setup();
	snprintf(other, sizeof(other), "/dev/shm/test_fs.%ld", (long)getpid());
	cr_assert_eq(fs_write_atomic(NULL, at("f"), STR("copied data"), &e), 0);
	cr_assert_eq(fs_stat(NULL, dir, &a, &e), 0);
	if (access("/dev/shm", W_OK) == 0) {
		unlink(other);
		cr_assert_eq(fs_link_or_copy(NULL, at("f"), other, &e), 0, "%s",
			     err_text(&e));
		expect_content(other, STR("copied data"));
		cr_assert_eq(fs_stat(NULL, other, &b, &e), 0);
		unlink(other);
	}
	teardown();
}

Test(fs, a_lock_is_held_by_one_until_closed)
{
	struct fs_lock *l, *m = NULL;
	setup();
	cr_assert_eq(fs_lock_open(NULL, at("lock"), &l, &e), 0);
	cr_assert_eq(fs_lock_open(NULL, at("lock"), &m, &e), -1);
	cr_assert_eq(e.code, E_LOCKED);
	cr_assert_not_null(strstr(err_text(&e), "/lock"));
	cr_assert_null(m);
	fs_lock_close(l);
	cr_assert_eq(fs_lock_open(NULL, at("lock"), &l, &e), 0);
	fs_lock_close(l);
	fs_lock_close(NULL);
	cr_assert_eq(fs_lock_open(NULL, at("no/lock"), &l, &e), -1);
	cr_assert_eq(e.code, E_NOT_FOUND);
	teardown();
}

Test(fs, space_and_folders_of_other_machines)
{
	uint64_t left = 1, total = 0;
	cr_assert(fs_space("/", &left, &total));
	cr_assert(total > 0 && left <= total);
	cr_assert_not(fs_space("/nowhere/at/all", &left, &total));
	cr_assert_null(fs_network("/proc"));
	cr_assert_null(fs_network("/nowhere/at/all"));
	cr_assert_str_eq(fs_network_name(0x6969), "NFS");
	cr_assert_null(fs_network_name(0xef53)); /* ext4 */
}
