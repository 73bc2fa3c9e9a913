/*
 * fuzz_base_text - the text parsers of base: floats against strtod, times, durations and ULIDs against
 * their own writers.
 */
#include <math.h>
#include <stdlib.h>

#include "base/str.h"
#include "base/time.h"
#include "base/ulid.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_float(struct str s)
{
	double v, w;
	char *end, *z;
	if (!str_to_f64(s, &v))
		return;
	z = xmalloc(s.n + 1);
	memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	w = strtod(z, &end);
	BUG_ON(end != z + s.n);
	BUG_ON(v != w && !(isnan(v) && isnan(w)));
	free(z);
}

static void check_times(struct str s)
{
	char out[64];
	int64_t a, b;
	uint32_t an, bn;
	if (time_parse_rfc3339(s, &a, &an)) {
		size_t len = time_format_rfc3339(out, a, an, 9);
		/* An offset may lead out of the four-digit years. */
		if (time_parse_rfc3339(str_n(out, len), &b, &bn))
			BUG_ON(a != b || an != bn);
		else
			BUG_ON(a >= -62167219200 && a <= 253402300799);
	}
	if (time_parse_duration_ms(s, &a)) {
		size_t len = time_format_duration_ms(out, a);
		BUG_ON(!time_parse_duration_ms(str_n(out, len), &b) || a != b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct str s = str_n(p, n);
	struct ulid u, w;
	char text[27];
	int64_t i;
	uint64_t un;
	check_float(s);
	check_times(s);
	if (ulid_parse(s, &u)) {
		ulid_format(&u, text);
		BUG_ON(!ulid_parse(str_of(text), &w) || ulid_cmp(&u, &w) != 0);
		BUG_ON(!str_eq_nocase(s, str_of(text)));
	}
	if (str_to_u64(s, &un) && un <= INT64_MAX)
		BUG_ON(!str_to_i64(s, &i) || (uint64_t)i != un);
	if (str_is_utf8(s))
		for (size_t at = 0; at < n;)
			at += str_utf8_len(s.p + at, n - at);
	return 0;
}
