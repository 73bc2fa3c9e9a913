/*
 * base/str.c - text views: searching, cutting, copying, UTF-8. Numbers are in str_num.c.
 *
 * Everything works on bytes and ASCII; the process never sets a locale.
 */
#include "base/str.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.n && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

ptrdiff_t str_find(struct str s, struct str what)
{
	if (what.n == 0)
		return 0;
	if (s.n < what.n)
		return -1;
	const char *p = memmem(s.p, s.n, what.p, what.n);
	return p ? p - s.p : -1;
}

ptrdiff_t str_find_char(struct str s, char c)
{
	const char *p = s.n ? memchr(s.p, c, s.n) : NULL;
	return p ? p - s.p : -1;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool str_cut(struct str *s, char sep, struct str *head)
{
	ptrdiff_t at = str_find_char(*s, sep);
	if (at < 0) {
		*head = *s;
		if (s->p)
			*s = str_from(*s, s->n);
		return false;
	}
	*head = str_n(s->p, (size_t)at);
	*s = str_from(*s, (size_t)at + 1);
	return true;
}

char *str_dupz(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.n + 1);
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

struct str str_dup(struct arena *a, struct str s)
{
	return str_n(str_dupz(a, s), s.n);
}

struct str str_fmt(struct arena *a, const char *fmt, ...)
{
	char small[256];
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	char *p = arena_alloc(a, (size_t)n + 1);
	if ((size_t)n < sizeof(small))
		memcpy(p, small, (size_t)n + 1);
	else
		n = vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return str_n(p, (size_t)n);
}

static bool is_tail(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

unsigned str_utf8_len(const char *p, size_t n)
{
	const uint8_t *u = (const uint8_t *)p;
	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xc2 || u[0] > 0xf4) /* a tail, an overlong pair, past U+10FFFF */
		return 0;
	if (u[0] < 0xe0)
		return n >= 2 && is_tail(u[1]) ? 2 : 0;
	if (u[0] < 0xf0) {
		if (n < 3 || !is_tail(u[1]) || !is_tail(u[2]))
			return 0;
		if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f))
			return 0; /* overlong; surrogate */
		return 3;
	}
	if (n < 4 || !is_tail(u[1]) || !is_tail(u[2]) || !is_tail(u[3]))
		return 0;
	if ((u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0; /* overlong; past U+10FFFF */
	return 4;
}

bool str_is_utf8(struct str s)
{
	size_t i = 0;
	while (i < s.n) {
		uint64_t eight;
		if (s.n - i >= 8) {
			memcpy(&eight, s.p + i, 8);
			if (!(eight & 0x8080808080808080ull)) {
				i += 8;
				continue;
			}
		}
		unsigned len = str_utf8_len(s.p + i, s.n - i);
		if (!len)
			return false;
		i += len;
	}
	return true;
}
