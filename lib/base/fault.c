/*
 * base/fault.c - counts the fault points passed, and makes the one that a test asked for fail.
 */
#include "base/fault.h"

#ifdef FAULTS
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

static const char *const names[FAULT_COUNT] = {
#define FAULT(name, where) [FAULT_##name] = #name,
#include "base/fault.def"
#undef FAULT
};

static _Atomic uint64_t passed, at[FAULT_COUNT];
static _Atomic uint64_t strike; /* 0: none */
static _Atomic int what;
static _Atomic(const char *) struck;

void fault_arm(uint64_t nth, enum fault_kind kind)
{
	passed = 0;
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		at[i] = 0;
	struck = "";
	what = kind;
	strike = nth;
}

uint64_t fault_passed(void)
{
	return passed;
}

uint64_t fault_passed_at(enum fault_point point)
{
	return at[point];
}

const char *fault_struck(void)
{
	const char *s = struck;
	return s ? s : "";
}

const char *fault_name(enum fault_point point)
{
	return names[point];
}

bool fault_here(enum fault_point point)
{
	uint64_t n = atomic_fetch_add(&passed, 1) + 1, nth = strike;
	at[point]++;
	if (!nth || n < nth || (n > nth && what != FAULT_FOR_GOOD))
		return false;
	if (what == FAULT_EXIT)
		_exit(FAULT_STATUS);
	if (n == nth)
		struck = names[point];
	errno = EIO;
	return true;
}
#else
typedef int fault_not_empty;
#endif
