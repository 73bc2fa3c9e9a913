/*
 * promql/parse/lex.c - tokens of a PromQL text, one at a time.
 *
 * Words are one kind of token, since most keywords are names elsewhere: the parser decides by place. Inside
 * braces a colon is no part of a name.  Source  prometheus.md §2.3, §2.12
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/time.h"
#include "promql/parse/parse_int.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static bool is_alpha(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static uint32_t skip_blanks(const struct lexer *l, uint32_t at)
{
	while (at < l->in.n) {
		if (l->in.p[at] == '#')
			while (at < l->in.n && l->in.p[at] != '\n')
				at++;
		else if (is_blank(l->in.p[at]))
			at++;
		else
			break;
	}
	return at;
}

char parse_peek_char(const struct parser *p)
{
	uint32_t at = skip_blanks(&p->lex, p->lex.at);
	return at < p->lex.in.n ? p->lex.in.p[at] : '\0';
}

/* ---- numbers and durations ---- */

/* Digits with single underscores between them (or behind 0x). */
static bool underscores_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '_' && (i == 0 || i + 1 == s.n || s.p[i - 1] == '_' ||
				      s.p[i - 1] == '.' || s.p[i + 1] == '.'))
			return false;
	return true;
}

static bool number_value(struct parser *p, struct str s, double *out)
{
	char *z = arena_alloc(p->a, s.n + 1);
	size_t n = 0;
	bool hex = s.n > 2 && s.p[0] == '0' && (s.p[1] | 32) == 'x';
	if (!underscores_ok(s))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '_')
			z[n++] = s.p[i];
	z[n] = '\0';
	if (hex) {
		char *end;
		for (size_t i = 2; i < n; i++)
			if (!is_digit(z[i]) &&
			    !((z[i] | 32) >= 'a' && (z[i] | 32) <= 'f'))
				return false;
		*out = (double)strtoull(z + 2, &end, 16);
		return n > 2 && n <= 18 && *end == '\0';
	}
	bool octal = n > 1 && z[0] == '0';
	for (size_t i = 0; i < n; i++)
		octal &= z[i] >= '0' && z[i] <= '7';
	if (octal) {
		*out = (double)strtoull(z, NULL, 8);
		return true;
	}
	double d;
	if (!str_to_f64(str_n(z, n), &d) || __builtin_isinf(d))
		return false;
	*out = d;
	return true;
}

/* A run of letters, digits, dots and underscores, and a sign behind a decimal exponent. */
static int lex_number(struct parser *p, struct tok *t)
{
	struct lexer *l = &p->lex;
	uint32_t begin = l->at, at = begin;
	bool hex =
		l->in.n - at > 1 && l->in.p[at] == '0' && (l->in.p[at + 1] | 32) == 'x';
	bool digits_only = true;
	for (; at < l->in.n; at++) {
		char c = l->in.p[at];
		if ((c == '+' || c == '-') && !hex && digits_only &&
		    (l->in.p[at - 1] | 32) == 'e')
			continue;
		if (!is_digit(c) && !is_alpha(c) && c != '.')
			break;
		if (is_alpha(c) && c != '_' && (c | 32) != 'e')
			digits_only = false;
	}
	t->text = str_n(l->in.p + begin, at - begin);
	l->at = at;
	if (number_value(p, t->text, &t->num)) {
		t->kind = TOK_NUMBER;
		return 0;
	}
	if (!str_eq(t->text, STR("0")) && time_parse_duration_ms(t->text, &t->ms)) {
		t->kind = TOK_DURATION;
		t->num = (double)t->ms / 1000;
		return 0;
	}
	return parse_fail(p, begin, "bad number or duration syntax: \"%.*s\"",
			  STR_FMT(t->text));
}

/* ---- strings ---- */

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 32;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t put_utf8(char *to, uint32_t r)
{
	if (r < 0x80) {
		to[0] = (char)r;
		return 1;
	}
	if (r < 0x800) {
		to[0] = (char)(0xc0 | r >> 6);
		to[1] = (char)(0x80 | (r & 63));
		return 2;
	}
	if (r < 0x10000) {
		to[0] = (char)(0xe0 | r >> 12);
		to[1] = (char)(0x80 | (r >> 6 & 63));
		to[2] = (char)(0x80 | (r & 63));
		return 3;
	}
	to[0] = (char)(0xf0 | r >> 18);
	to[1] = (char)(0x80 | (r >> 12 & 63));
	to[2] = (char)(0x80 | (r >> 6 & 63));
	to[3] = (char)(0x80 | (r & 63));
	return 4;
}

/* Digits of \x \u \U and octal escapes; -1: malformed. */
static int64_t escape_number(struct lexer *l, unsigned count, unsigned base)
{
	int64_t v = 0;
	for (unsigned i = 0; i < count; i++, l->at++) {
		int d = l->at < l->in.n ? hex_digit(l->in.p[l->at]) : -1;
		if (d < 0 || d >= (int)base)
			return -1;
		v = v * base + d;
	}
	return v;
}

static bool unescape(struct lexer *l, char quote, char *to, size_t *n)
{
	static const char from[] = "abfnrtv\\", into[] = "\a\b\f\n\r\t\v\\";
	char c = l->at < l->in.n ? l->in.p[l->at++] : '\0';
	const char *at = c ? memchr(from, c, sizeof(from) - 1) : NULL;
	int64_t v;
	if (at) {
		to[(*n)++] = into[at - from];
		return true;
	}
	if (c == quote) {
		to[(*n)++] = c;
		return true;
	}
	switch (c) {
	case 'x': v = escape_number(l, 2, 16); break;
	case 'u':
	case 'U':
		v = escape_number(l, c == 'u' ? 4 : 8, 16);
		if (v < 0 || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
			return false;
		*n += put_utf8(to + *n, (uint32_t)v);
		return true;
	default:
		if (c < '0' || c > '7')
			return false;
		l->at--;
		v = escape_number(l, 3, 8);
		break;
	}
	if (v < 0 || v > 255)
		return false;
	to[(*n)++] = (char)v;
	return true;
}

static int lex_string(struct parser *p, struct tok *t)
{
	struct lexer *l = &p->lex;
	uint32_t begin = l->at;
	char quote = l->in.p[l->at++];
	char *to = arena_alloc(p->a, l->in.n - begin + 4);
	size_t n = 0;
	for (;;) {
		if (l->at >= l->in.n)
			return parse_fail(p, begin,
					  quote == '`' ? "unterminated raw string"
						       : "unterminated quoted string");
		char c = l->in.p[l->at++];
		if (c == quote)
			break;
		if (quote != '`' && c == '\n')
			return parse_fail(p, begin, "unterminated quoted string");
		if (quote != '`' && c == '\\') {
			if (!unescape(l, quote, to, &n))
				return parse_fail(p, begin,
						  "unknown escape sequence in string");
			continue;
		}
		to[n++] = c;
	}
	t->kind = TOK_STRING;
	t->text = str_n(l->in.p + begin, l->at - begin);
	t->value = str_n(to, n);
	return 0;
}

/* ---- one token ---- */

static int lex_symbol(struct parser *p, struct tok *t)
{
	static const char *const symbols[] = { "==", "!=", "<=", ">=", "=~", "!~", "</",
					       ">/", "+",  "-",	 "*",  "/",  "%",  "^",
					       "(",  ")",  "{",	 "}",  "[",  "]",  ",",
					       ":",  "<",  ">",	 "=",  "@" };
	struct lexer *l = &p->lex;
	struct str rest = str_from(l->in, l->at);
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++) {
		struct str s = str_of(symbols[i]);
		if (!str_has_prefix(rest, s))
			continue;
		t->kind = TOK_SYMBOL;
		t->text = str_n(rest.p, s.n);
		l->at += (uint32_t)s.n;
		if (*s.p == '{')
			l->braces = true;
		if (*s.p == '}')
			l->braces = false;
		return 0;
	}
	unsigned n = str_utf8_len(rest.p, rest.n);
	return parse_fail(p, l->at, "unexpected character%s: '%.*s'",
			  l->braces ? " inside braces" : "", n ? (int)n : 1, rest.p);
}

int parse_next(struct parser *p)
{
	struct lexer *l = &p->lex;
	p->last_end = l->at;
	l->at = skip_blanks(l, l->at);
	p->tok = (struct tok){ .kind = TOK_EOF, .pos = l->at };
	if (l->at >= l->in.n) {
		if (l->braces)
			return parse_fail(p, l->at,
					  "unexpected end of input inside braces");
		return 0;
	}
	char c = l->in.p[l->at];
	if (is_alpha(c) || (c == ':' && !l->braces && l->at + 1 < l->in.n &&
			    is_alpha(l->in.p[l->at + 1]))) {
		uint32_t begin = l->at;
		while (l->at < l->in.n &&
		       (is_alpha(l->in.p[l->at]) || is_digit(l->in.p[l->at]) ||
			(l->in.p[l->at] == ':' && !l->braces)))
			l->at++;
		p->tok.kind = TOK_IDENT;
		p->tok.text = str_n(l->in.p + begin, l->at - begin);
		return 0;
	}
	if (is_digit(c) ||
	    (c == '.' && l->at + 1 < l->in.n && is_digit(l->in.p[l->at + 1])))
		return lex_number(p, &p->tok);
	if (c == '"' || c == '\'' || c == '`')
		return lex_string(p, &p->tok);
	return lex_symbol(p, &p->tok);
}
