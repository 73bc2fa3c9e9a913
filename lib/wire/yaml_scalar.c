/*
 * wire/yaml_scalar.c - what an unquoted YAML scalar is: null, a boolean, a number or
 * text.
 *
 * The rules are those of YAML 1.1 as go-yaml applies them, since the files read here were
 * written for programs that use it:
 *   null     ~ null Null NULL and nothing
 *   boolean  true false yes no on off, in lower case, capitalised or in upper case
 *   integer  decimal, 0x hex, 0b binary, 0o octal, 0 octal; '_' between digits is dropped
 *   float    decimal with point or exponent; .inf -.inf +.inf .nan in three spellings
 * Base 60 numbers are text, and so are dates: nobody here asks for them. An integer
 * beyond 64 bits is a float. y and n are text here; where a boolean is wanted,
 * conf/yaml_bind.c takes them, too.
 */
#include "wire/doc_int.h"

#include <math.h>

#include "wire/codec.h"

#define NUMBER_MAX 128 /* bytes of a number; longer digits are text */

struct word {
	const char *text;
	enum doc_kind kind;
	bool b;
	double f;
};

static const struct word words[] = {
	{ "", DOC_NULL, false, 0 },
	{ "~", DOC_NULL, false, 0 },
	{ "null", DOC_NULL, false, 0 },
	{ "Null", DOC_NULL, false, 0 },
	{ "NULL", DOC_NULL, false, 0 },
	{ "true", DOC_BOOL, true, 0 },
	{ "True", DOC_BOOL, true, 0 },
	{ "TRUE", DOC_BOOL, true, 0 },
	{ "yes", DOC_BOOL, true, 0 },
	{ "Yes", DOC_BOOL, true, 0 },
	{ "YES", DOC_BOOL, true, 0 },
	{ "on", DOC_BOOL, true, 0 },
	{ "On", DOC_BOOL, true, 0 },
	{ "ON", DOC_BOOL, true, 0 },
	{ "false", DOC_BOOL, false, 0 },
	{ "False", DOC_BOOL, false, 0 },
	{ "FALSE", DOC_BOOL, false, 0 },
	{ "no", DOC_BOOL, false, 0 },
	{ "No", DOC_BOOL, false, 0 },
	{ "NO", DOC_BOOL, false, 0 },
	{ "off", DOC_BOOL, false, 0 },
	{ "Off", DOC_BOOL, false, 0 },
	{ "OFF", DOC_BOOL, false, 0 },
	{ ".nan", DOC_FLOAT, false, NAN },
	{ ".NaN", DOC_FLOAT, false, NAN },
	{ ".NAN", DOC_FLOAT, false, NAN },
	{ ".inf", DOC_FLOAT, false, INFINITY },
	{ ".Inf", DOC_FLOAT, false, INFINITY },
	{ ".INF", DOC_FLOAT, false, INFINITY },
	{ "+.inf", DOC_FLOAT, false, INFINITY },
	{ "+.Inf", DOC_FLOAT, false, INFINITY },
	{ "+.INF", DOC_FLOAT, false, INFINITY },
	{ "-.inf", DOC_FLOAT, false, -INFINITY },
	{ "-.Inf", DOC_FLOAT, false, -INFINITY },
	{ "-.INF", DOC_FLOAT, false, -INFINITY },
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static unsigned digit_value(char ch)
{
	uint8_t c = (uint8_t)ch, l = c | 0x20;

	if (is_digit(ch))
		return c - '0';
	return l >= 'a' && l <= 'z' ? l - 'a' + 10u : 99;
}

/* "0x", "0b", "0o" or "0" before more digits: the base; *s loses the prefix. */
static unsigned base_of(struct str *s)
{
	if (s->n < 2 || s->p[0] != '0')
		return 10;
	unsigned base = 8, cut = 1;
	switch (s->p[1] | 0x20) {
	case 'x': base = 16, cut = 2; break;
	case 'b': base = 2, cut = 2; break;
	case 'o': cut = 2; break;
	default: break;
	}
	*s = str_from(*s, cut);
	return base;
}

/* True: a whole number; *fits: within int64. */
static bool to_int(struct str s, int64_t *i, bool *fits, double *f)
{
	bool neg = s.n && s.p[0] == '-';
	uint64_t v = 0;

	if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
		s = str_from(s, 1);
	unsigned base = base_of(&s);
	if (s.n == 0)
		return false;
	for (size_t k = 0; k < s.n; k++) {
		unsigned d = digit_value(s.p[k]);
		if (d >= base || __builtin_mul_overflow(v, base, &v) ||
		    __builtin_add_overflow(v, d, &v))
			return false;
	}
	*fits = v <= (uint64_t)INT64_MAX + neg;
	*i = neg ? (int64_t)(0 - v) : (int64_t)v;
	*f = neg ? -(double)v : (double)v;
	return *fits || !neg;
}

/* [-+]? (.digits | digits[.digits]) exponent? - what YAML calls a float, unlike hex,
 * "inf", "1e". */
static bool float_shape(struct str s)
{
	size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+'), whole = i, frac;

	while (i < s.n && is_digit(s.p[i]))
		i++;
	whole = i - whole;
	frac = i;
	if (i < s.n && s.p[i] == '.') {
		frac = ++i;
		while (i < s.n && is_digit(s.p[i]))
			i++;
	}
	if (whole == 0 && i == frac)
		return false;
	if (i < s.n && (s.p[i] | 0x20) == 'e') {
		i++;
		if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
			i++;
		size_t exp = i;
		while (i < s.n && is_digit(s.p[i]))
			i++;
		if (i == exp)
			return false;
	}
	return i == s.n;
}

static void resolve_number(struct doc *d)
{
	char plain[NUMBER_MAX];
	struct str s = { plain, 0 };
	bool fits;

	if (d->s.n > sizeof(plain))
		return;
	for (size_t i = 0; i < d->s.n; i++)
		if (d->s.p[i] != '_')
			plain[s.n++] = d->s.p[i];
	if (to_int(s, &d->i, &fits, &d->f)) {
		d->kind = fits ? DOC_INT : DOC_FLOAT;
		if (!fits)
			d->i = 0;
		return;
	}
	d->i = 0;
	d->f = 0;
	if (float_shape(s) && str_to_f64(s, &d->f))
		d->kind = DOC_FLOAT;
}

void doc_resolve_plain(struct doc *d)
{
	struct str s = d->s;

	d->kind = DOC_STR;
	for (size_t i = 0; s.n <= 5 && i < ARRAY_LEN(words); i++)
		if (str_eqz(s, words[i].text)) {
			d->kind = words[i].kind;
			d->b = words[i].b;
			d->f = words[i].f;
			return;
		}
	if (is_digit(s.p[0]) || s.p[0] == '-' || s.p[0] == '+')
		resolve_number(d);
	else if (s.p[0] == '.' && float_shape(s) && str_to_f64(s, &d->f))
		d->kind = DOC_FLOAT;
}

static bool resolve_binary(struct arena *a, struct doc *d)
{
	struct err e = ERR_INIT;
	struct buf b;

	buf_init(&b, d->s.n + 3);
	bool ok = base64_decode(d->s, false, &b, &e) == 0;
	char *p = ok ? arena_try(a, NULL, b.n + 1, &e) : NULL;
	if (p) {
		if (b.n)
			memcpy(p, b.p, b.n);
		d->s = str_n(p, b.n);
	}
	buf_deinit(&b);
	return p != NULL;
}

bool doc_resolve_tagged(struct arena *a, struct doc *d, struct str tag)
{
	static const char *const names[] = { [DOC_NULL] = "null",
					     [DOC_BOOL] = "bool",
					     [DOC_INT] = "int",
					     [DOC_FLOAT] = "float" };

	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		if (!str_eqz(tag, names[k]))
			continue;
		doc_resolve_plain(d);
		if (k == DOC_FLOAT && d->kind == DOC_INT)
			d->kind = DOC_FLOAT;
		return d->kind == (enum doc_kind)k;
	}
	d->kind = DOC_STR;
	d->quoted = true;
	return !str_eqz(tag, "binary") || resolve_binary(a, d);
}
