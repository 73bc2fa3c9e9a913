/*
 * promql/parse/lex_string.c - strings: where they end, and what they mean.
 *
 * Quoted by " or ' with the escapes of Go (and of the quotes only its own), on
 * one line; quoted by ` without escapes, over lines. The text must be UTF-8; \x
 * and octal escapes may make any byte. The lexer checks all escapes, so that
 * taking the quotes off cannot fail.
 */
#include "promql/parse/lex_int.h"

static int hex_digit(char c)
{
	if (lex_is_digit(c))
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
}

static uint32_t decode(const char *p, unsigned n)
{
	static const uint8_t mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t r = (uint8_t)p[0] & mask[n];
	for (unsigned i = 1; i < n; i++)
		r = r << 6 | ((uint8_t)p[i] & 63);
	return r;
}

/* "U+0063 'c'" of the character at l->at. */
static struct str character(struct parser *p)
{
	struct lexer *l = &p->lex;
	struct str rest = str_from(l->in, l->at);
	unsigned n = str_utf8_len(rest.p, rest.n);
	uint32_t r = n ? decode(rest.p, n) : 0xfffd;
	struct str q = lex_quote_char(p->a, rest);
	bool printable = q.n > 2 && (q.p[1] != '\\' || r == '\'' || r == '\\');
	if (!printable)
		return str_fmt(p->a, "U+%04X", r);
	if (n == 0)
		return str_fmt(p->a, "U+%04X %.*s", r, STR_FMT(q));
	return str_fmt(p->a, "U+%04X '%.*s'", r, (int)n, rest.p);
}

/* Behind a backslash. */
static int escape(struct parser *p, char quote)
{
	struct lexer *l = &p->lex;
	char c = lex_at(l, l->at);
	unsigned left, base = 16;
	uint32_t value = 0, max = 0x10ffff;
	if (l->at >= l->in.n)
		return parse_fail(p, l->start, "escape sequence not terminated");
	if (c == quote || (c != '\0' && strchr("abfnrtv\\", c))) {
		l->at++;
		return 0;
	}
	if (c >= '0' && c <= '7') {
		left = 3;
		base = 8;
		max = 255;
	} else if (c == 'x' || c == 'u' || c == 'U') {
		left = c == 'x' ? 2 : c == 'u' ? 4 : 8;
		l->at++;
	} else {
		return parse_fail(p, l->start, "unknown escape sequence %.*s",
				  STR_FMT(character(p)));
	}
	for (; left; left--, l->at++) {
		unsigned d = (unsigned)hex_digit(lex_at(l, l->at));
		if (l->at >= l->in.n)
			return parse_fail(p, l->start, "escape sequence not terminated");
		if (d >= base)
			return parse_fail(p, l->start,
					  "illegal character %.*s in escape sequence",
					  STR_FMT(character(p)));
		value = value * base + d;
	}
	if (value > max || (value >= 0xd800 && value < 0xe000))
		return parse_fail(p, l->start,
				  "escape sequence is an invalid Unicode code point");
	return 0;
}

int lex_string(struct parser *p)
{
	struct lexer *l = &p->lex;
	char quote = lex_at(l, l->at++);
	for (;;) {
		char c = lex_at(l, l->at);
		if (l->at >= l->in.n || (c == '\n' && quote != '`'))
			return parse_fail(p, l->start, "unterminated %s string",
					  quote == '`' ? "raw" : "quoted");
		unsigned n = str_utf8_len(l->in.p + l->at, l->in.n - l->at);
		if (n == 0 || (n == 3 && memcmp(l->in.p + l->at, "\xef\xbf\xbd", 3) == 0))
			return parse_fail(p, l->start, "invalid UTF-8 rune");
		l->at += n;
		if (c == quote)
			return 0;
		if (c == '\\' && quote != '`' && escape(p, quote) < 0)
			return -1;
	}
}

static size_t put_utf8(char *to, uint32_t r)
{
	if (r < 0x80) {
		to[0] = (char)r;
		return 1;
	}
	unsigned n = r < 0x800 ? 2 : r < 0x10000 ? 3 : 4;
	for (unsigned i = n - 1; i > 0; i--, r >>= 6)
		to[i] = (char)(0x80 | (r & 63));
	to[0] = (char)(r | (n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0));
	return n;
}

/* One escape at s[i], behind its backslash; returns the bytes written. No
 * escape is longer than it says. */
static size_t unescape(struct str s, size_t *i, char *to)
{
	static const char from[] = "abfnrtv", into[] = "\a\b\f\n\r\t\v";
	char c = s.p[(*i)++];
	const char *at = memchr(from, c, sizeof(from) - 1);
	if (at || !(c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7'))) {
		*to = at ? into[at - from] : c;
		return 1;
	}
	unsigned base = c <= '7' ? 8 : 16;
	unsigned left = base == 8 ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : 8;
	uint32_t v = 0;
	if (base == 8)
		(*i)--;
	while (left--)
		v = v * base + (unsigned)hex_digit(s.p[(*i)++]);
	if (c == 'u' || c == 'U')
		return put_utf8(to, v);
	*to = (char)v;
	return 1;
}

struct str lex_unquote(struct arena *a, struct str quoted)
{
	struct str s = str_n(quoted.p + 1, quoted.n - 2);
	if (quoted.p[0] == '`' || str_find_char(s, '\\') < 0)
		return str_dup(a, s);
	char *to = arena_alloc(a, s.n + 1);
	size_t n = 0;
	for (size_t i = 0; i < s.n;) {
		if (s.p[i] == '\\') {
			i++;
			n += unescape(s, &i, to + n);
		} else {
			to[n++] = s.p[i++];
		}
	}
	to[n] = '\0';
	return str_n(to, n);
}
