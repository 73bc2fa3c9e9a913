/*
 * promql/parse/parse_duration.c - values of numbers and durations, and the @ modifier.
 *
 * A duration is a number of seconds anywhere. Numbers are first tried as
 * integers with the prefixes of Go (0x, and 0 for octal: 010 is 8, but 09 is
 * 9), then as floats; digits may be grouped by single underscores.
 */
#include <math.h>

#include "promql/parse/lex_int.h"

/* ---- values ---- */

static bool is_hex(struct str s)
{
	return s.n > 1 && s.p[0] == '0' && (s.p[1] | 32) == 'x';
}

static bool is_digit_of(char c, bool hex)
{
	return lex_is_digit(c) || (hex && ((c | 32) >= 'a' && (c | 32) <= 'f'));
}

/* Underscores away, if each has a digit (or 0x) before and a digit behind it. */
static bool ungroup(struct str s, char *to, size_t *n)
{
	bool hex = is_hex(s);
	*n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '_') {
			to[(*n)++] = s.p[i];
			continue;
		}
		if (i == 0 || i + 1 == s.n || !is_digit_of(s.p[i + 1], hex) ||
		    !(is_digit_of(s.p[i - 1], hex) || (hex && i == 2)))
			return false;
	}
	to[*n] = '\0';
	return true;
}

static bool parse_int(struct str digits, unsigned base, double *out)
{
	int64_t v = 0;
	for (size_t i = 0; i < digits.n; i++) {
		char c = digits.p[i];
		unsigned d = lex_is_digit(c) ? (unsigned)(c - '0')
					     : (unsigned)((c | 32) - 'a' + 10);
		if (!is_digit_of(c, base == 16) || d >= base ||
		    __builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, d, &v))
			return false;
	}
	*out = (double)v;
	return digits.n > 0;
}

/* digits [. digits] [e [+-] digits], a digit before the e */
static bool is_decimal(struct str s)
{
	size_t i = 0, digits = 0, exponent = 0;
	for (; i < s.n && lex_is_digit(s.p[i]); i++)
		digits++;
	if (i < s.n && s.p[i] == '.')
		for (i++; i < s.n && lex_is_digit(s.p[i]); i++)
			digits++;
	if (digits == 0 || i == s.n)
		return digits > 0;
	if ((s.p[i++] | 32) != 'e')
		return false;
	if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
		i++;
	for (; i < s.n && lex_is_digit(s.p[i]); i++)
		exponent++;
	return exponent > 0 && i == s.n;
}

static int number_value(struct parser *p, const struct tok *t, double *out)
{
	char *z = arena_alloc(p->a, t->text.n + 1);
	size_t n;
	const char *why = "invalid syntax";
	if (lex_is_alpha(t->text.p[0])) {
		*out = (t->text.p[0] | 32) == 'i' ? INFINITY : NAN;
		return 0;
	}
	if (ungroup(t->text, z, &n)) {
		struct str s = str_n(z, n);
		if (is_hex(s) ? parse_int(str_from(s, 2), 16, out)
			      : s.n > 1 && *z == '0' && parse_int(s, 8, out))
			return 0;
		if (!is_hex(s) && is_decimal(s)) {
			if (str_to_f64(s, out) && !isinf(*out))
				return 0;
			why = "value out of range";
		}
	}
	struct str q = lex_quote_str(p->a, t->text);
	return parse_fail(p, t->pos,
			  "error parsing number: strconv.ParseFloat: parsing %.*s: %s",
			  STR_FMT(q), why);
}

static int bad_duration(struct parser *p, const struct tok *t)
{
	struct str q = lex_quote_str(p->a, t->text);
	return parse_fail(p, t->pos, "not a valid duration string: %.*s", STR_FMT(q));
}

/* Digits and units by turns, each unit once, the large ones first. */
static int duration_value(struct parser *p, const struct tok *t, double *out)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
		{ "y", INT64_C(31536000000000000) }, { "w", INT64_C(604800000000000) },
		{ "d", INT64_C(86400000000000) },    { "h", INT64_C(3600000000000) },
		{ "m", INT64_C(60000000000) },	     { "s", INT64_C(1000000000) },
		{ "ms", INT64_C(1000000) }
	};
	int64_t sum = 0, v;
	size_t next = 0, unit;
	for (struct str s = t->text; s.n;) {
		size_t digits = 0, end;
		while (digits < s.n && lex_is_digit(s.p[digits]))
			digits++;
		for (end = digits; end < s.n && !lex_is_digit(s.p[end]); end++)
			;
		if (!str_to_i64(str_n(s.p, digits), &v) || end == digits)
			return bad_duration(p, t);
		struct str name = str_n(s.p + digits, end - digits);
		for (unit = 0; unit < ARRAY_LEN(units); unit++)
			if (str_eqz(name, units[unit].name))
				break;
		if (unit == ARRAY_LEN(units)) {
			struct str a = lex_quote_str(p->a, name);
			struct str b = lex_quote_str(p->a, t->text);
			return parse_fail(p, t->pos, "unknown unit %.*s in duration %.*s",
					  STR_FMT(a), STR_FMT(b));
		}
		if (unit < next)
			return bad_duration(p, t);
		next = unit + 1;
		if (__builtin_mul_overflow(v, units[unit].ns, &v) ||
		    __builtin_add_overflow(sum, v, &sum))
			return parse_fail(p, t->pos, "duration out of range");
		s = str_from(s, end);
	}
	*out = (double)(sum / 1000000000) + (double)(sum % 1000000000) / 1e9;
	return 0;
}

int parse_literal(struct parser *p, const struct tok *t, double *seconds)
{
	return t->kind == TOK_NUMBER ? number_value(p, t, seconds)
				     : duration_value(p, t, seconds);
}

/* ---- @ ---- */

static int at_seconds(struct parser *p, uint32_t pos, double s, int64_t *ms)
{
	if (isinf(s) || isnan(s))
		return parse_fail(p, pos, "timestamp out of bounds for @ modifier: %s",
				  isnan(s) ? "NaN"
				  : s < 0  ? "-Inf"
					   : "+Inf");
	if (!(fabs(s) < 9223372036854775.0))
		return parse_fail(p, pos, "timestamp out of bounds for @ modifier: %f",
				  s);
	*ms = (int64_t)round(s * 1000);
	return 0;
}

int parse_at(struct parser *p, uint32_t pos, enum at_kind *kind, int64_t *ms)
{
	double seconds;
	if (tok_word(p, "start") || tok_word(p, "end")) {
		*kind = tok_word(p, "start") ? AT_START : AT_END;
		parse_take(p);
		if (tok_take(p, "(") && tok_take(p, ")"))
			return 0;
		return parse_unexpected(p, "@", "timestamp");
	}
	bool neg = tok_is(p, "-");
	if (!tok_take(p, "-"))
		(void)tok_take(p, "+");
	if (!tok_is_literal(parse_peek(p)))
		return parse_unexpected(p, "@", "timestamp");
	struct tok t = parse_take(p);
	if (parse_literal(p, &t, &seconds) < 0)
		return -1;
	*kind = AT_TIME;
	return at_seconds(p, pos, neg ? -seconds : seconds, ms);
}
