/*
 * promql/exec/start_time.h - what start timestamps say about two samples that follow each other; private to the
 * range functions.
 *
 * A sample's start timestamp is when what it counts began: between two samples of a cumulative counter it does not
 * change unless the counter began anew, and in a series of differences each sample starts where the one before ended.
 * 0 is none; one that is not before its own sample tells nothing.
 * Source  prometheus.md §2.5
 */
#ifndef PROMQL_EXEC_START_TIME_H
#define PROMQL_EXEC_START_TIME_H

#include "promql/exec/floats.h"

/* Did the counter begin anew between a sample (st0, t0) and the next one? */
static inline bool start_is_reset(int64_t st0, int64_t t0, int64_t st1, int64_t t1)
{
	if (st1 == 0 || st1 >= t1 || st1 < t0)
		return false;
	if (st1 > t0)
		return true;
	/* It starts at the sample before: a difference, unless that one's own start is not known. */
	return st0 != 0 && st0 < t0;
}

/* A start inside what the sample before has counted already, and not its start. */
static inline bool start_overlaps(int64_t st0, int64_t t0, int64_t st1)
{
	return st1 != 0 && st1 < t0 && st1 != st0;
}

/* The same for sample k > 0 of a series. */
static inline bool starts_anew(const struct series_cols *s, size_t k)
{
	return s->st_ms &&
	       start_is_reset(s->st_ms[k - 1], s->t_ms[k - 1], s->st_ms[k], s->t_ms[k]);
}

/* A warning at the end of the query that counts all `times` for the same metric. SHARED */
int start_overlap_note(const struct range_call *c, struct range_env *env, uint32_t times);
void start_overlaps_say(struct exec *x);

/* rate and increase of floats where the series has start timestamps. */
int fn_rate_of_starts(const struct range_call *c, const struct series_cols *s,
		      struct range_env *env, struct row *out, bool per_second);

#endif
