/* Fault points: which of them fails, and how. */
#include "base/fault.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/tst.h"

#ifdef FAULTS

/* Three points; the bits of those that failed. */
static unsigned three(void)
{
	unsigned failed = FAULT_POINT(FS_WRITE) ? 1 : 0;
	failed |= FAULT_POINT(FS_SYNC) ? 2 : 0;
	return failed | (FAULT_POINT(FS_RENAME) ? 4 : 0);
}

Test(fault, names_are_sorted)
{
	for (unsigned i = 1; i < FAULT_COUNT; i++)
		cr_assert_lt(strcmp(fault_name(i - 1), fault_name(i)), 0, "%s",
			     fault_name(i));
}

Test(fault, unarmed_points_are_only_counted)
{
	fault_arm(0, FAULT_ONCE);
	cr_assert_eq(three(), 0);
	cr_assert_eq(three(), 0);
	cr_assert_eq(fault_passed(), 6);
	cr_assert_eq(fault_passed_at(FAULT_FS_SYNC), 2);
	cr_assert_eq(fault_passed_at(FAULT_FS_LINK), 0);
	cr_assert_str_eq(fault_struck(), "");
}

Test(fault, the_nth_fails_once_or_with_all_behind_it)
{
	fault_arm(2, FAULT_ONCE);
	errno = 0;
	cr_assert_eq(three(), 2);
	cr_assert_eq(errno, EIO);
	cr_assert_eq(three(), 0);
	cr_assert_str_eq(fault_struck(), "FS_SYNC");
	fault_arm(2, FAULT_FOR_GOOD);
	cr_assert_eq(three(), 6);
	cr_assert_eq(three(), 7);
	cr_assert_str_eq(fault_struck(), "FS_SYNC");
	fault_arm(0, FAULT_ONCE);
}

static unsigned unlucky(uint64_t seed, unsigned percent)
{
	unsigned n = 0;
	fault_chance(seed, percent);
	for (unsigned i = 0; i < 10000; i++)
		n += FAULT_POINT(BUCKET_CALL) ? 1 : 0;
	return n;
}

Test(fault, requests_fail_by_chance)
{
	unsigned n = unlucky(7, 20);
	cr_assert(n > 1800 && n < 2200, "%u", n);
	cr_assert_eq(unlucky(7, 20), n, "the same seed");
	cr_assert_neq(unlucky(8, 20), n, "another one");
	errno = 0;
	cr_assert_eq(unlucky(7, 100), 10000);
	cr_assert_eq(errno, EIO);
	cr_assert_eq(three(), 0, "only requests");
	cr_assert_eq(unlucky(7, 0), 0);
}

Test(fault, the_nth_ends_the_process)
{
	int status;
	pid_t child = fork();
	cr_assert_geq(child, 0);
	if (child == 0) {
		fault_arm(3, FAULT_EXIT);
		three();
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), FAULT_STATUS);
}
#else
typedef int test_fault_not_empty;
#endif
