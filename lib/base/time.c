/*
 * base/time.c - clocks, RFC3339 and Prometheus durations.
 *
 * Dates are computed in the proleptic Gregorian calendar with years that begin in March, so that the
 * leap day is the last day of a year and a month's first day is a linear formula; 400 years are an
 * era of 146097 days. No libc calendar is used: it knows locales and time zones.
 */
#include "base/time.h"

#include <stdio.h>
#include <time.h>

uint64_t time_mono_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int64_t time_wall_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * (int64_t)NS_PER_S + ts.tv_nsec;
}

int64_t time_wall_ms(void)
{
	return time_wall_ns() / (int64_t)NS_PER_MS;
}

uint64_t time_after_ns(uint64_t delta_ns)
{
	uint64_t now = time_mono_ns();
	return delta_ns > UINT64_MAX - now ? UINT64_MAX : now + delta_ns;
}

/* Days since 1970-01-01; year may be any that fits. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	year -= month <= 2;
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	unsigned in_era = (unsigned)(year - era * 400);
	unsigned from_march = month > 2 ? month - 3 : month + 9;
	unsigned in_year = (153 * from_march + 2) / 5 + day - 1;
	return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static void date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
	days += 719468;
	int64_t era = (days >= 0 ? days : days - 146096) / 146097;
	unsigned in_era = (unsigned)(days - era * 146097);
	unsigned y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	unsigned in_year = in_era - (365 * y + y / 4 - y / 100);
	unsigned from_march = (5 * in_year + 2) / 153;
	*day = in_year - (153 * from_march + 2) / 5 + 1;
	*month = from_march < 10 ? from_march + 3 : from_march - 9;
	*year = (int64_t)y + era * 400 + (*month <= 2);
}

static unsigned month_days(unsigned year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return days[month - 1] + (month == 2 && leap);
}

/* `width` digits off the front, at most `max`. */
static bool take_num(struct str *s, unsigned width, unsigned max, unsigned *out)
{
	unsigned v = 0;
	if (s->n < width)
		return false;
	for (unsigned i = 0; i < width; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s->p[i] - '0');
	}
	*s = str_from(*s, width);
	*out = v;
	return v <= max;
}

static bool take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_from(*s, 1);
	return true;
}

/* Optional ".digits"; what is finer than a nanosecond is dropped. */
static bool take_fraction(struct str *s, uint32_t *nsec)
{
	uint32_t v = 0, scale = 100000000;
	size_t n = 0;
	*nsec = 0;
	if (!take_char(s, '.'))
		return true;
	for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++) {
		v += (uint32_t)(s->p[n] - '0') * scale;
		scale /= 10;
	}
	*s = str_from(*s, n);
	*nsec = v;
	return n > 0;
}

static bool take_offset(struct str *s, int64_t *offset_s)
{
	unsigned h, m;
	*offset_s = 0;
	if (take_char(s, 'Z'))
		return true;
	bool west = s->n && s->p[0] == '-';
	if (!take_char(s, '-') && !take_char(s, '+'))
		return false;
	if (!take_num(s, 2, 23, &h) || !take_char(s, ':') || !take_num(s, 2, 59, &m))
		return false;
	*offset_s = (int64_t)(h * 3600 + m * 60);
	if (west)
		*offset_s = -*offset_s;
	return true;
}

bool time_parse_rfc3339(struct str s, int64_t *sec, uint32_t *nsec)
{
	unsigned y, mo, d, h, mi, se;
	uint32_t frac;
	int64_t offset;
	if (!take_num(&s, 4, 9999, &y) || !take_char(&s, '-') ||
	    !take_num(&s, 2, 12, &mo) || !take_char(&s, '-') || !take_num(&s, 2, 31, &d))
		return false;
	if (mo < 1 || d < 1 || d > month_days(y, mo) || !take_char(&s, 'T'))
		return false;
	if (!take_num(&s, 2, 23, &h) || !take_char(&s, ':') ||
	    !take_num(&s, 2, 59, &mi) || !take_char(&s, ':') || !take_num(&s, 2, 59, &se))
		return false;
	if (!take_fraction(&s, &frac) || !take_offset(&s, &offset) || s.n)
		return false;
	*sec = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + se - offset;
	*nsec = frac;
	return true;
}

size_t time_format_rfc3339(char out[40], int64_t sec, uint32_t nsec, int digits)
{
	int64_t days = sec / 86400, year;
	int64_t rest = sec % 86400;
	unsigned month, day;
	if (rest < 0) {
		rest += 86400;
		days--;
	}
	date_of(days, &year, &month, &day);
	unsigned t = (unsigned)rest;
	int n = snprintf(out, 40, "%04lld-%02u-%02uT%02u:%02u:%02u", (long long)year,
			 month, day, t / 3600, t / 60 % 60, t % 60);
	if (digits > 0) {
		static const uint32_t scale[] = { 1000000, 1000, 1 };
		int row = digits <= 3 ? 0 : digits <= 6 ? 1 : 2;
		n += snprintf(out + n, 40 - (size_t)n, ".%0*u", 3 * (row + 1),
			      nsec % 1000000000u / scale[row]);
	}
	n += snprintf(out + n, 40 - (size_t)n, "Z");
	return (size_t)n;
}

struct unit {
	char name[3];
	bool exact; /* formatted only if nothing is left over: 90d, not 12w6d */
	int64_t ms;
};

static const struct unit units[] = {
	{ "y", true, 365ll * 86400000 },
	{ "w", true, 7ll * 86400000 },
	{ "d", false, 86400000 },
	{ "h", false, 3600000 },
	{ "m", false, 60000 },
	{ "s", false, 1000 },
	{ "ms", false, 1 },
};

/* Durations are nanoseconds in 63 bits in Prometheus: about 292 years. */
#define DURATION_MAX_MS (INT64_MAX / (int64_t)NS_PER_MS)

bool time_parse_duration_ms(struct str s, int64_t *ms)
{
	int64_t sum = 0;
	size_t next = 0; /* units before this one are used up */
	if (str_eqz(s, "0")) {
		*ms = 0;
		return true;
	}
	if (s.n == 0)
		return false;
	while (s.n) {
		size_t digits = 0, letters;
		int64_t v, add;
		while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
			digits++;
		for (letters = digits; letters < s.n; letters++)
			if (s.p[letters] < 'a' || s.p[letters] > 'z')
				break;
		if (!str_to_i64(str_n(s.p, digits), &v))
			return false;
		struct str name = str_n(s.p + digits, letters - digits);
		while (next < ARRAY_LEN(units) && !str_eqz(name, units[next].name))
			next++;
		if (next == ARRAY_LEN(units) ||
		    __builtin_mul_overflow(v, units[next].ms, &add) ||
		    __builtin_add_overflow(sum, add, &sum) || sum > DURATION_MAX_MS)
			return false;
		next++;
		s = str_from(s, letters);
	}
	*ms = sum;
	return true;
}

size_t time_format_duration_ms(char out[64], int64_t ms)
{
	uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
	int n = 0;
	out[0] = '\0';
	if (ms == 0)
		return (size_t)snprintf(out, 64, "0s");
	if (ms < 0)
		n = snprintf(out, 64, "-");
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		uint64_t unit = (uint64_t)units[i].ms, v = left / unit;
		if (v == 0 || (units[i].exact && left % unit))
			continue;
		n += snprintf(out + n, 64 - (size_t)n, "%llu%s", (unsigned long long)v,
			      units[i].name);
		left -= v * unit;
	}
	return (size_t)n;
}
