/*
 * base/fault.h - places where a test makes the outside world fail, or the process end.
 *
 * FAULT_POINT(NAME) stands before a call of the system, as in
 *
 *   if (FAULT_POINT(FS_SYNC) || fsync(fd) < 0)
 *           err_errno(...)
 *
 * and is true, with errno = EIO, when a test wants that call to fail. All names are in fault.def, sorted. A
 * test counts the points that one run passes, and runs again with the first, second, ... of them failing
 * or ending the process. Without -DFAULTS (every release build) the macros are constants and nothing of
 * this is linked.
 *
 * THANOSC_FAULTS=SEED:PERCENT in the environment of such a build makes that share of a bucket's requests fail, by
 * chance, and a quarter of it of the puts that landed: for processes that a test starts and kills.
 *
 * Thread  SHARED (atomic counters); arm and disarm while nobody else runs
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/base.h"

enum fault_point {
#define FAULT(name, where) FAULT_##name,
#include "base/fault.def"
#undef FAULT
	FAULT_COUNT
};

#ifdef FAULTS

enum fault_kind {
	FAULT_ONCE,	/* the nth point fails, the later ones do not */
	FAULT_FOR_GOOD, /* all from the nth on fail: a disk that went away */
	FAULT_EXIT	/* the process ends at the nth point: _exit(FAULT_STATUS) */
};
#define FAULT_STATUS 9

/* nth counts from 1, from now; 0: disarmed, and points are only counted. */
void fault_arm(uint64_t nth, enum fault_kind kind);
uint64_t fault_passed(void);			  /* points passed since fault_arm */
uint64_t fault_passed_at(enum fault_point point); /* the same, of one name */
const char *fault_struck(void); /* name of the point that failed first, "" if none did */
const char *fault_name(enum fault_point point);
/* From now on requests fail by chance, beside what is armed; percent 0: none. */
void fault_chance(uint64_t seed, unsigned percent);

bool fault_here(enum fault_point point);
#define FAULT_POINT(name) fault_here(FAULT_##name)
/* Bytes of n to write at a time, so that points lie between the parts of a file, too. */
#define FAULT_PART(n) ((n) > 4096 ? (n) / 2 : (n))

#else

#define FAULT_POINT(name) false
#define FAULT_PART(n)	  (n)

#endif
#endif
