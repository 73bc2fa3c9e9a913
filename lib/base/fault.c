/*
 * base/fault.c - counts the fault points passed, and makes the one that a test asked for fail.
 */
#include "base/fault.h"

#ifdef FAULTS
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
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
static _Atomic uint64_t chance_seed, chance_drawn;
static _Atomic unsigned chance_percent;

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

void fault_chance(uint64_t seed, unsigned percent)
{
	chance_seed = seed;
	chance_drawn = 0;
	chance_percent = percent;
}

/* The nth drawn number of a seed is always the same (splitmix64). */
static bool has_bad_luck(enum fault_point point)
{
	unsigned percent = chance_percent;
	if (!percent || (point != FAULT_BUCKET_CALL && point != FAULT_BUCKET_ANSWER))
		return false;
	uint64_t x = chance_seed +
		     (atomic_fetch_add(&chance_drawn, 1) + 1) * 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (x ^ (x >> 31)) % 400 <
	       (point == FAULT_BUCKET_CALL ? 4 * percent : percent);
}

__attribute__((constructor)) static void read_environment(void)
{
	const char *s = getenv("THANOSC_FAULTS");
	unsigned long long seed;
	unsigned percent;
	if (s && sscanf(s, "%llu:%u", &seed, &percent) == 2)
		fault_chance(seed, percent);
}

bool fault_here(enum fault_point point)
{
	uint64_t n = atomic_fetch_add(&passed, 1) + 1, nth = strike;
	at[point]++;
	if (has_bad_luck(point)) {
		errno = EIO;
		return true;
	}
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
