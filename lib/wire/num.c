/*
 * wire/num.c - floats and timestamps as text.
 *
 * All float formats begin with the same digits: the shortest ones that read back as the
 * same double (nearest to it if several are as short), as Go's strconv computes with
 * precision -1. Only the layout differs: plain decimal, exponent form, or one of both by
 * magnitude. Whole numbers below 2^53, which most samples are, skip the digit search: all
 * their digits are significant, and no shorter text reads back as them once trailing
 * zeros are taken off.
 */
#include "wire/num.h"

#include <math.h>

#include "wire/num_digits.h"

#define COPY                                                                             \
	24 /* more than the digits of any: copied as a whole, which is faster than a few */

#define WHOLE_MAX 9007199254740992.0 /* 2^53 */

struct dec {
	char d[2 * COPY]; /* digits, no leading zeros; no trailing ones unless v == 0 */
	int n;		  /* number of digits */
	int point;	  /* v = 0.d1d2... * 10^point */
	bool neg;
};

static void dec_of(struct dec *x, double v)
{
	x->neg = signbit(v);
	v = fabs(v);
	if (v == 0) {
		x->d[0] = '0';
		x->n = 1;
		x->point = 1;
		return;
	}
	if (v < WHOLE_MAX && v == (double)(int64_t)v) {
		x->n = (int)num_u64(x->d, (uint64_t)v);
		x->point = x->n;
		while (x->d[x->n - 1] == '0')
			x->n--;
		return;
	}
	uint64_t digits;
	int exp10;
	num_shortest(v, &digits, &exp10);
	x->n = (int)num_u64(x->d, digits);
	x->point = x->n + exp10;
}

static size_t put_special(char *out, double v)
{
	const char *s = isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf";
	size_t n = strlen(s);

	memcpy(out, s, n);
	return n;
}

static size_t put_zeros(char *p, int n)
{
	if (n <= 0)
		return 0;
	memset(p, '0', (size_t)n);
	return (size_t)n;
}

/* d.ddd without exponent: at most 1 + 2 + 323 + 17 bytes. */
static size_t layout_plain(char *out, const struct dec *x)
{
	char *p = out;
	int whole = MIN(MAX(x->point, 0), x->n); /* digits before the point */

	if (x->neg)
		*p++ = '-';
	if (whole == 0)
		*p++ = '0';
	memcpy(p, x->d, COPY);
	p += whole;
	p += put_zeros(p, x->point - x->n);
	if (whole < x->n) {
		*p++ = '.';
		p += put_zeros(p, -x->point);
		memcpy(p, x->d + whole, COPY);
		p += x->n - whole;
	}
	return (size_t)(p - out);
}

/* d.ddde+XX, the exponent of at least two digits. */
static size_t layout_exp(char *out, const struct dec *x)
{
	char *p = out;
	int exp = x->point - 1;

	if (x->neg)
		*p++ = '-';
	*p++ = x->d[0];
	if (x->n > 1) {
		*p++ = '.';
		memcpy(p, x->d + 1, (size_t)(x->n - 1));
		p += x->n - 1;
	}
	*p++ = 'e';
	*p++ = exp < 0 ? '-' : '+';
	exp = exp < 0 ? -exp : exp;
	if (exp < 10)
		*p++ = '0';
	p += num_u64(p, (uint64_t)exp);
	return (size_t)(p - out);
}

size_t num_f64_plain(char out[NUM_MAX], double v)
{
	if (!isfinite(v))
		return put_special(out, v);
	struct dec x;
	dec_of(&x, v);
	return layout_plain(out, &x);
}

size_t num_f64_json(char out[NUM_JSON_MAX], double v)
{
	if (!isfinite(v))
		return put_special(out, v);
	double abs = fabs(v);
	*out = '-';
	unsigned neg = signbit(v) != 0;
	if (abs < WHOLE_MAX && abs == (double)(int64_t)abs)
		return neg + num_u64(out + neg, (uint64_t)abs);
	unsigned n = num_most(out + neg, abs);
	if (n)
		return neg + n;
	struct dec x;
	dec_of(&x, v);
	if (abs != 0 && (abs < 1e-6 || abs >= 1e21))
		return layout_exp(out, &x);
	return layout_plain(out, &x);
}

size_t num_f64_g(char out[NUM_MAX], double v)
{
	if (!isfinite(v))
		return put_special(out, v);
	struct dec x;
	dec_of(&x, v);
	int exp = x.point - 1;
	if (exp < -4 || exp >= 6)
		return layout_exp(out, &x);
	return layout_plain(out, &x);
}

size_t num_f64_openmetrics(char out[NUM_MAX], double v)
{
	size_t n = num_f64_g(out, v == 0 ? 0 : v); /* without a sign */
	if (!isfinite(v) || memchr(out, '.', n) || memchr(out, 'e', n))
		return n;
	out[n++] = '.';
	out[n++] = '0';
	return n;
}

size_t num_f64_e(char out[NUM_MAX], double v)
{
	if (!isfinite(v))
		return put_special(out, v);
	struct dec x;
	dec_of(&x, v);
	return layout_exp(out, &x);
}

size_t num_ts_json(char out[32], int64_t t_ms)
{
	char *p = out;
	uint64_t u = (uint64_t)t_ms;

	if (t_ms < 0) {
		*p++ = '-';
		u = 0 - u;
	}
	p += num_u64(p, u / 1000);
	unsigned frac = (unsigned)(u % 1000);
	if (frac) {
		*p++ = '.';
		*p++ = (char)('0' + frac / 100);
		*p++ = (char)('0' + frac / 10 % 10);
		*p++ = (char)('0' + frac % 10);
	}
	return (size_t)(p - out);
}
