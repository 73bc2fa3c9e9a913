/*
 * base/str_num.c - numbers from text.
 *
 * Floats: the grammar is checked here, then one of two ways gives the nearest double. Up to 2^53 in
 * the digits and a power of ten up to 22 are exact doubles, and one IEEE multiplication or division
 * of exact operands rounds once, so the result is right (Clinger 1990). All else goes to strtod,
 * whose result glibc guarantees to be correctly rounded, on a NUL-terminated copy.
 *
 * What is accepted is what Go's strconv.ParseFloat accepts, without underscores: a sign, decimal
 * digits with point and exponent, hex digits with a mandatory p exponent, inf and infinity with a
 * sign, nan without. A value too large for a double is refused; one too small becomes 0.
 */
#include "base/str.h"

#include <math.h>
#include <stdlib.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool str_to_u64(struct str s, uint64_t *out)
{
	uint64_t v = 0;
	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]))
			return false;
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return false;
	}
	*out = v;
	return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
	uint64_t v;
	bool neg = s.n && s.p[0] == '-';
	if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
		s = str_from(s, 1);
	if (!str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + neg)
		return false;
	*out = neg ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool special(struct str s, bool has_sign, bool neg, double *out)
{
	if (str_eq_nocase(s, STR("inf")) || str_eq_nocase(s, STR("infinity"))) {
		*out = neg ? -INFINITY : INFINITY;
		return true;
	}
	if (!has_sign && str_eq_nocase(s, STR("nan"))) {
		*out = NAN;
		return true;
	}
	return false;
}

/* Digits as read: value = digits * 10^exp10 if `exact` (no digit was dropped). */
struct decimal {
	uint64_t digits;
	int64_t exp10;
	bool exact;
};

/* [+-]digits at s.p[*i..]; the value saturates far beyond any double's exponent. */
static bool scan_exponent(struct str s, size_t *i, int64_t *exp)
{
	bool neg = false, any = false;
	int64_t v = 0;
	if (*i < s.n && (s.p[*i] == '+' || s.p[*i] == '-'))
		neg = s.p[(*i)++] == '-';
	for (; *i < s.n && is_digit(s.p[*i]); (*i)++, any = true)
		if (v < 100000000)
			v = v * 10 + (s.p[*i] - '0');
	*exp = neg ? -v : v;
	return any;
}

static bool scan_decimal(struct str s, struct decimal *d)
{
	bool point = false, any = false;
	int64_t exp = 0;
	size_t i = 0;
	*d = (struct decimal){ .exact = true };
	for (; i < s.n; i++) {
		if (s.p[i] == '.' && !point) {
			point = true;
			continue;
		}
		if (!is_digit(s.p[i]))
			break;
		any = true;
		if (d->digits > (UINT64_MAX - 9) / 10) {
			d->exact = false;
			continue;
		}
		d->digits = d->digits * 10 + (uint64_t)(s.p[i] - '0');
		if (point)
			d->exp10--;
	}
	if (!any)
		return false;
	if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
		i++;
		if (!scan_exponent(s, &i, &exp))
			return false;
		d->exp10 += exp;
	}
	return i == s.n;
}

static bool is_hex(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* What follows "0x". */
static bool scan_hex(struct str s)
{
	bool point = false, any = false;
	int64_t exp;
	size_t i = 0;
	for (; i < s.n; i++) {
		if (s.p[i] == '.' && !point)
			point = true;
		else if (is_hex(s.p[i]))
			any = true;
		else
			break;
	}
	if (!any || i == s.n || (s.p[i] != 'p' && s.p[i] != 'P'))
		return false;
	i++;
	return scan_exponent(s, &i, &exp) && i == s.n;
}

static double slow_parse(struct str s)
{
	char small[128];
	char *z = s.n < sizeof(small) ? small : xmalloc(s.n + 1);
	memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	double v = strtod(z, NULL);
	if (z != small)
		free(z);
	return v;
}

bool str_to_f64(struct str s, double *out)
{
	static const double pow10[] = { 1e0,  1e1,  1e2,  1e3,	1e4,  1e5,  1e6,  1e7,
					1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
					1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
	bool has_sign = s.n && (s.p[0] == '-' || s.p[0] == '+');
	bool neg = has_sign && s.p[0] == '-';
	struct decimal d;
	double v;
	if (has_sign)
		s = str_from(s, 1);
	if (s.n == 0)
		return false;
	if (s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x') {
		if (!scan_hex(str_from(s, 2)))
			return false;
		v = slow_parse(s);
	} else if (!is_digit(s.p[0]) && s.p[0] != '.') {
		return special(s, has_sign, neg, out);
	} else {
		if (!scan_decimal(s, &d))
			return false;
		if (d.exact && d.digits <= (1ull << 53) && d.exp10 >= -22 &&
		    d.exp10 <= 22) {
			v = (double)d.digits;
			v = d.exp10 < 0 ? v / pow10[-d.exp10] : v * pow10[d.exp10];
		} else {
			v = slow_parse(s);
		}
	}
	if (isinf(v))
		return false;
	*out = neg ? -v : v;
	return true;
}
