/*
 * base/time.h - clocks and time texts. Durations: ns for waiting, ms for samples.
 */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include "base/str.h"

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

uint64_t time_mono_ns(void); /* CLOCK_MONOTONIC */
int64_t time_wall_ms(void);  /* Unix ms */
int64_t time_wall_ns(void);
uint64_t time_after_ns(uint64_t delta_ns); /* mono deadline, saturating */

/* RFC3339 with optional fraction and Z or offset, years 0000 to 9999 -> Unix ns parts. */
bool time_parse_rfc3339(struct str s, int64_t *sec, uint32_t *nsec);
/* "2026-09-21T14:00:00.123Z" (digits: 0, 3, 6 or 9; trailing zeros kept); returns length. */
size_t time_format_rfc3339(char out[40], int64_t sec, uint32_t nsec, int digits);

/* Prometheus duration "1h30m", "5m", "100ms", "1y2w3d", "0": ms. False on junk or overflow. */
bool time_parse_duration_ms(struct str s, int64_t *ms);
size_t time_format_duration_ms(char out[64], int64_t ms); /* "1h30m", "0s" */

#endif
