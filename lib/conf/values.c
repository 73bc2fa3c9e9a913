/*
 * conf/values.c - durations, sizes, times, addresses and the other values that flags and
 * YAML take.
 *
 * Durations: two grammars are in use among Thanos' flags, and each flag takes both here:
 * Prometheus' (whole numbers; y w d h m s ms in falling order) and Go's (a sign; decimal
 * fractions; h m s ms us ns in any order). Where both apply they agree.
 *
 * Sizes: Thanos counts every unit in powers of 1024: KB is KiB. "kB" is not a unit.
 *
 * Times: RFC 3339, or a duration from now: "-2h" lies in the past, "2h" in the future.
 */
#include "conf/values.h"

#include <math.h>

#include "base/time.h"

#define TEXT_SHOWN 100 /* bytes of a bad value that an error repeats */

/* ---- durations ---- */

struct unit {
	const char *name;
	double scale;
};

static const struct unit go_units[] = {
	{ "ns", 1e-6 }, { "us", 1e-3 }, { "\xc2\xb5s", 1e-3 }, { "\xce\xbcs", 1e-3 },
	{ "ms", 1 },	{ "s", 1e3 },	{ "m", 6e4 },	       { "h", 3.6e6 },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "12.5" at the front of *s. Exact for whole numbers below 2^53 and all sensible
 * fractions. */
static bool take_decimal(struct str *s, double *v)
{
	size_t i = 0, digits = 0;

	while (i < s->n && (is_digit(s->p[i]) || s->p[i] == '.')) {
		digits += is_digit(s->p[i]);
		i++;
	}
	if (digits == 0 || !str_to_f64(str_n(s->p, i), v))
		return false;
	*s = str_from(*s, i);
	return true;
}

/* The letters up to the next digit at the front of *s. */
static const struct unit *take_unit(struct str *s, const struct unit *units, size_t n)
{
	size_t i = 0;

	while (i < s->n && !is_digit(s->p[i]) && s->p[i] != '.')
		i++;
	for (size_t k = 0; k < n; k++)
		if (str_eqz(str_n(s->p, i), units[k].name)) {
			*s = str_from(*s, i);
			return &units[k];
		}
	return NULL;
}

static bool parse_go_duration(struct str s, int64_t *ms)
{
	bool neg = s.n && s.p[0] == '-';
	double total = 0;

	if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
		s = str_from(s, 1);
	if (s.n == 0)
		return false;
	if (str_eqz(s, "0")) {
		*ms = 0;
		return true;
	}
	while (s.n) {
		double v;
		if (!take_decimal(&s, &v))
			return false;
		const struct unit *u = take_unit(&s, go_units, ARRAY_LEN(go_units));
		if (!u)
			return false;
		total += v * u->scale;
	}
	/* What is whole but for the error of the sums is whole. */
	double near = round(total);
	total = fabs(total - near) < 1e-7 ? near : ceil(total);
	if (total > 9.2e12) /* Go's limit, 292 years */
		return false;
	*ms = neg ? -(int64_t)total : (int64_t)total;
	return true;
}

bool conf_parse_duration_ms(struct str s, int64_t *ms)
{
	return time_parse_duration_ms(s, ms) || parse_go_duration(s, ms);
}

/* ---- sizes ---- */

static const struct unit byte_units[] = {
	{ "B", 1 },	   { "KiB", 0x1p10 }, { "MiB", 0x1p20 }, { "GiB", 0x1p30 },
	{ "TiB", 0x1p40 }, { "PiB", 0x1p50 }, { "EiB", 0x1p60 }, { "KB", 0x1p10 },
	{ "MB", 0x1p20 },  { "GB", 0x1p30 },  { "TB", 0x1p40 },	 { "PB", 0x1p50 },
	{ "EB", 0x1p60 },
};

bool conf_parse_bytes(struct str s, int64_t *bytes)
{
	double total = 0;
	bool neg;

	if (str_to_i64(s, bytes))
		return true;
	neg = s.n && s.p[0] == '-';
	if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
		s = str_from(s, 1);
	if (s.n == 0)
		return false;
	while (s.n) {
		double v;
		if (!take_decimal(&s, &v))
			return false;
		const struct unit *u = take_unit(&s, byte_units, ARRAY_LEN(byte_units));
		if (!u)
			return false;
		total += v * u->scale;
	}
	if (total >= 0x1p63)
		return false;
	*bytes = neg ? -(int64_t)total : (int64_t)total;
	return true;
}

/* ---- each type ---- */

#define INVALID(ctx, e, noun, s)                                                         \
	err_set((ctx), (e), E_INVALID, "invalid " noun " \"%.*s\"",                      \
		(int)MIN((s).n, (size_t)TEXT_SHOWN), (s).p)

static bool in_range(const struct conf_spec *o, int64_t v)
{
	return (o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max);
}

static int parse_int(struct ctx *ctx, const struct conf_spec *o, struct str s,
		     void *field, struct err *e)
{
	int64_t v;
	double f;

	if (!str_to_i64(s, &v)) {
		/* Go reads integers of flags as floats: 1e3 is one, too. */
		if (!str_to_f64(s, &f) || f != rint(f) || fabs(f) > 9007199254740992.0)
			return INVALID(ctx, e, "integer", s);
		v = (int64_t)f;
	}
	if (!in_range(o, v))
		return err_set(ctx, e, E_INVALID, "%lld is not within %lld and %lld",
			       (long long)v, (long long)o->min, (long long)o->max);
	*(int64_t *)field = v;
	return 0;
}

static int parse_float(struct ctx *ctx, const struct conf_spec *o, struct str s,
		       void *field, struct err *e)
{
	double v;

	if (!str_to_f64(s, &v))
		return INVALID(ctx, e, "number", s);
	if ((o->min || o->max) && !(v >= (double)o->min && v <= (double)o->max))
		return err_set(ctx, e, E_INVALID, "%.*s is not within %lld and %lld",
			       (int)MIN(s.n, (size_t)TEXT_SHOWN), s.p, (long long)o->min,
			       (long long)o->max);
	*(double *)field = v;
	return 0;
}

static int parse_duration(struct ctx *ctx, const struct conf_spec *o, struct str s,
			  void *field, struct err *e)
{
	int64_t v;
	char lo[64], hi[64];

	if (!conf_parse_duration_ms(s, &v))
		return INVALID(ctx, e, "duration", s);
	if (!in_range(o, v)) {
		lo[time_format_duration_ms(lo, o->min)] = 0;
		hi[time_format_duration_ms(hi, o->max)] = 0;
		return err_set(ctx, e, E_INVALID, "duration %.*s is not within %s and %s",
			       (int)MIN(s.n, (size_t)TEXT_SHOWN), s.p, lo, hi);
	}
	*(int64_t *)field = v;
	return 0;
}

static int parse_bytes(struct ctx *ctx, const struct conf_spec *o, struct str s,
		       void *field, struct err *e)
{
	int64_t v;

	if (!conf_parse_bytes(s, &v))
		return INVALID(ctx, e, "size", s);
	if (v < 0 && o->min == 0 && o->max == 0)
		return INVALID(ctx, e, "size", s);
	if (!in_range(o, v))
		return err_set(ctx, e, E_INVALID,
			       "size %.*s is not within %lld and %lld bytes",
			       (int)MIN(s.n, (size_t)TEXT_SHOWN), s.p, (long long)o->min,
			       (long long)o->max);
	*(int64_t *)field = v;
	return 0;
}

static int parse_bool(struct ctx *ctx, struct str s, void *field, struct err *e)
{
	if (!str_eqz(s, "true") && !str_eqz(s, "false"))
		return INVALID(ctx, e, "boolean", s);
	*(bool *)field = str_eqz(s, "true");
	return 0;
}

static int parse_time(struct ctx *ctx, struct str s, struct conf_time *out, struct err *e)
{
	int64_t sec, ms;
	uint32_t nsec;

	if (time_parse_rfc3339(s, &sec, &nsec)) {
		out->ms = sec * 1000 + nsec / 1000000;
		out->from_now = false;
		return 0;
	}
	bool neg = s.n && s.p[0] == '-';
	if (!conf_parse_duration_ms(neg ? str_from(s, 1) : s, &ms))
		return INVALID(ctx, e, "time or duration", s);
	out->ms = neg ? -ms : ms;
	out->from_now = true;
	return 0;
}

/* "host:port", ":port", "[v6]:port". */
static bool address_ok(struct str s)
{
	size_t i = s.n;
	uint64_t port;

	while (i > 0 && s.p[i - 1] != ':')
		i--;
	if (i == 0)
		return false;
	struct str host = str_n(s.p, i - 1), p = str_from(s, i);
	if (p.n == 0 || !is_digit(p.p[0]) || !str_to_u64(p, &port) || port > 65535)
		return false;
	bool bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	for (size_t k = 0; k < host.n; k++) {
		uint8_t c = (uint8_t)host.p[k];
		if (c <= ' ' || c == 0x7f || c == '/' || (c == ':' && !bracketed))
			return false;
	}
	return true;
}

bool conf_is_choice(const char *choices, struct str text)
{
	struct str rest = str_of(choices), one;
	bool more = choices != NULL;

	while (more) {
		more = str_cut(&rest, '|', &one);
		if (str_eq(one, text))
			return true;
	}
	return false;
}

static int parse_enum(struct ctx *ctx, struct arena *a, const struct conf_spec *o,
		      struct str s, void *field, struct err *e)
{
	char list[160];
	size_t n;

	if (conf_is_choice(o->choices, s)) {
		*(struct str *)field = str_dup(a, s);
		return 0;
	}
	for (n = 0; o->choices && o->choices[n] && n < sizeof(list) - 1; n++)
		list[n] = o->choices[n] == '|' ? ',' : o->choices[n];
	list[n] = 0;
	return err_set(ctx, e, E_INVALID, "must be one of %s, got \"%.*s\"", list,
		       (int)MIN(s.n, (size_t)TEXT_SHOWN), s.p);
}

int conf_value_parse(struct ctx *ctx, struct arena *a, const struct conf_spec *spec,
		     struct str text, void *field, struct err *e)
{
	struct conf_time t;

	switch (spec->type) {
	case OPT_STRING: *(struct str *)field = str_dup(a, text); return 0;
	case OPT_BOOL: return parse_bool(ctx, text, field, e);
	case OPT_INT: return parse_int(ctx, spec, text, field, e);
	case OPT_FLOAT: return parse_float(ctx, spec, text, field, e);
	case OPT_DURATION_MS: return parse_duration(ctx, spec, text, field, e);
	case OPT_BYTES: return parse_bytes(ctx, spec, text, field, e);
	case OPT_ENUM: return parse_enum(ctx, a, spec, text, field, e);
	case OPT_TIME_MOVING: return parse_time(ctx, text, field, e);
	case OPT_TIME:
		if (parse_time(ctx, text, &t, e) < 0)
			return -1;
		*(int64_t *)field = conf_time_ms(t, t.from_now ? time_wall_ms() : 0);
		return 0;
	case OPT_ADDRESS:
		if (!address_ok(text))
			return INVALID(ctx, e, "address (host:port)", text);
		*(struct str *)field = str_dup(a, text);
		return 0;
	case OPT_STRINGS:
	case OPT_TEXT:
	case OPT_NOT_YET:
	case OPT_NO_EFFECT:
	default: BUG_ON(true);
	}
}

size_t conf_value_size(enum opt_type type)
{
	switch (type) {
	case OPT_BOOL: return sizeof(bool);
	case OPT_INT:
	case OPT_DURATION_MS:
	case OPT_BYTES:
	case OPT_TIME: return sizeof(int64_t);
	case OPT_FLOAT: return sizeof(double);
	case OPT_STRINGS: return sizeof(struct conf_strs);
	case OPT_TEXT: return sizeof(struct conf_text);
	case OPT_TIME_MOVING: return sizeof(struct conf_time);
	case OPT_STRING:
	case OPT_ENUM:
	case OPT_ADDRESS: return sizeof(struct str);
	case OPT_NOT_YET:
	case OPT_NO_EFFECT:
	default: return 0;
	}
}
