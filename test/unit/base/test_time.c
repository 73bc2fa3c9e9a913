#include "base/time.h"

#include "support/tst.h"

Test(time, rfc3339_is_read_to_the_nanosecond)
{
	static const struct {
		char text[40];
		int64_t sec;
		uint32_t nsec;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0, 0 },
		{ "2026-09-21T14:00:00.123Z", 1789999200, 123000000 },
		{ "2000-02-29T23:59:59.999999999Z", 951868799, 999999999 },
		{ "2000-02-29T23:59:59.9999999999Z", 951868799, 999999999 },
		{ "2015-07-01T02:00:00+02:00", 1435708800, 0 },
		{ "2015-06-30T19:30:00-04:30", 1435708800, 0 },
		{ "1969-12-31T23:59:59.5Z", -1, 500000000 },
		{ "0000-01-01T00:00:00Z", -62167219200, 0 },
		{ "9999-12-31T23:59:59Z", 253402300799, 0 },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t sec = 7;
		uint32_t nsec = 7;
		cr_expect(time_parse_rfc3339(str_of(rows[i].text), &sec, &nsec), "%s",
			  rows[i].text);
		cr_expect_eq(sec, rows[i].sec, "%s", rows[i].text);
		cr_expect_eq(nsec, rows[i].nsec, "%s", rows[i].text);
	}
}

Test(time, rfc3339_refuses_what_is_no_time)
{
	static const char rows[][40] = {
		"",
		"2026-09-21",
		"2026-09-21T14:00:00",
		"2026-09-21 14:00:00Z",
		"2026-9-21T14:00:00Z",
		"2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-01-32T00:00:00Z",
		"2026-01-01T24:00:00Z",
		"2026-01-01T00:60:00Z",
		"2026-01-01T00:00:60Z",
		"2026-01-01T00:00:00.Z",
		"2026-01-01T00:00:00z",
		"2026-01-01T00:00:00+1:00",
		"2026-01-01T00:00:00Zx",
		"2026-01-01T00:00:00+00:60",
		"10000-01-01T00:00:00Z",
	};
	int64_t sec;
	uint32_t nsec;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		cr_expect(!time_parse_rfc3339(str_of(rows[i]), &sec, &nsec), "%s",
			  rows[i]);
}

Test(time, rfc3339_is_written_with_the_digits_asked_for)
{
	char out[40];
	cr_assert_eq(time_format_rfc3339(out, 1789999200, 123456789, 3), 24u);
	cr_assert_str_eq(out, "2026-09-21T14:00:00.123Z");
	time_format_rfc3339(out, 1789999200, 120000000, 6);
	cr_assert_str_eq(out, "2026-09-21T14:00:00.120000Z");
	time_format_rfc3339(out, -1, 1, 9);
	cr_assert_str_eq(out, "1969-12-31T23:59:59.000000001Z");
	time_format_rfc3339(out, 253402300799, 0, 0);
	cr_assert_str_eq(out, "9999-12-31T23:59:59Z");
	time_format_rfc3339(out, INT64_MAX, 0, 9);
	time_format_rfc3339(out, INT64_MIN, 0, 9);
}

Test(time, every_day_of_400_years_comes_back)
{
	for (int64_t day = -200000; day < 200000; day += 13) {
		char out[40];
		int64_t sec;
		uint32_t nsec;
		size_t n = time_format_rfc3339(out, day * 86400 + 3723, 0, 0);
		cr_assert(time_parse_rfc3339(str_n(out, n), &sec, &nsec), "%s", out);
		cr_assert_eq(sec, day * 86400 + 3723);
	}
}

Test(time, durations_follow_prometheus)
{
	static const struct {
		char text[32];
		int64_t ms;
	} rows[] = { { "0", 0 },	{ "0s", 0 },
		     { "5m", 300000 },	{ "1h30m", 5400000 },
		     { "100ms", 100 },	{ "1y2w3d4h5m6s7ms", 33019506007ll },
		     { "1s1ms", 1001 }, { "292y", 292ll * 365 * 86400000 } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t ms = -1;
		cr_expect(time_parse_duration_ms(str_of(rows[i].text), &ms), "%s",
			  rows[i].text);
		cr_expect_eq(ms, rows[i].ms, "%s", rows[i].text);
	}
	static const char junk[][32] = { "",
					 "1",
					 "m",
					 "5 m",
					 "1.5h",
					 "-5m",
					 "+5m",
					 "1m1h",
					 "1m1m",
					 "1ms1s",
					 "300y",
					 "5M",
					 "00",
					 "1h ",
					 "1us",
					 "5mm",
					 "99999999999999999999s",
					 "1d1y",
					 "1hm" };
	for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
		int64_t ms = -1;
		cr_expect(!time_parse_duration_ms(str_of(junk[i]), &ms) && ms == -1, "%s",
			  junk[i]);
	}
}

Test(time, durations_are_written_as_prometheus_does)
{
	static const struct {
		int64_t ms;
		char text[32];
	} rows[] = { { 0, "0s" },
		     { 5400000, "1h30m" },
		     { 90ll * 86400000, "90d" },
		     { 14ll * 86400000, "2w" },
		     { 730ll * 86400000, "2y" },
		     { 86400000 + 1, "1d1ms" },
		     { 1500, "1s500ms" },
		     { -60000, "-1m" } };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[64];
		size_t n = time_format_duration_ms(out, rows[i].ms);
		cr_expect_str_eq(out, rows[i].text);
		cr_expect_eq(n, strlen(rows[i].text));
	}
	char out[64];
	time_format_duration_ms(out, INT64_MIN);
}

Test(time, clocks_go_forward)
{
	uint64_t a = time_mono_ns();
	cr_assert_geq(time_mono_ns(), a);
	cr_assert_gt(time_wall_ms(), 1600000000000ll);
	cr_assert_eq(time_after_ns(UINT64_MAX), UINT64_MAX);
	cr_assert_gt(time_after_ns(NS_PER_S), a);
}
