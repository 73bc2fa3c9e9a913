/*
 * wire/url.c - URLs taken apart, percent-escapes, query strings and forms.
 *
 * RFC 3986, with the strictness of Go's net/url where a choice is left: ';' does not
 * separate pairs, a '%' must be followed by two hex digits, '+' is a blank in queries
 * only.
 */
#include "wire/codec.h"

static bool is_alpha(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool is_unreserved(uint8_t c)
{
	return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '.' || c == '~';
}

/* ---- parse ---- */

static bool scheme_ok(struct str s)
{
	if (s.n == 0 || !is_alpha((uint8_t)s.p[0]))
		return false;
	for (size_t i = 1; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];
		if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
			return false;
	}
	return true;
}

static bool host_ok(struct str s, bool bracketed)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];
		if (bracketed ? strchr("<>\"\\^`{}|[]/?#@ ", c) != NULL
			      : strchr("<>\"\\^`{}|[]:/?#@ ", c) != NULL)
			return false;
	}
	return s.n > 0;
}

static bool port_ok(struct str s)
{
	uint64_t v;

	return s.n == 0 ||
	       (s.n <= 5 && is_digit((uint8_t)s.p[0]) && str_to_u64(s, &v) && v <= 65535);
}

/* Split "host:port" or "[v6]:port". */
static int parse_host(struct str s, struct url *u, struct err *e)
{
	struct str all = s;

	if (s.n && s.p[0] == '[') {
		ptrdiff_t close = str_find_char(s, ']');
		if (close < 0)
			return err_set(NULL, e, E_PARSE, "URL: missing ']' in host");
		u->host = str_n(s.p + 1, (size_t)close - 1);
		s = str_from(s, (size_t)close + 1);
		if (s.n && s.p[0] != ':')
			return err_set(NULL, e, E_PARSE, "URL: invalid host \"%.*s\"",
				       STR_FMT(all));
		u->port = s.n ? str_from(s, 1) : STR_NULL;
	} else if (str_cut(&s, ':', &u->host)) {
		u->port = s;
	}
	if (!host_ok(u->host, all.p != u->host.p))
		return err_set(NULL, e, E_PARSE, "URL: invalid host \"%.*s\"",
			       STR_FMT(all));
	if (!port_ok(u->port))
		return err_set(NULL, e, E_PARSE, "URL: invalid port \"%.*s\"",
			       STR_FMT(u->port));
	return 0;
}

int url_parse(struct str s, struct url *out, struct err *e)
{
	struct url u = { 0 };
	size_t i;

	for (i = 0; i < s.n; i++)
		if ((uint8_t)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return err_set(NULL, e, E_PARSE,
				       "URL: blank or control character at %zu", i);
	ptrdiff_t colon = str_find(s, STR("://"));
	if (colon < 0 || !scheme_ok(str_n(s.p, (size_t)colon)))
		return err_set(NULL, e, E_PARSE, "URL \"%.*s\": no scheme://",
			       STR_FMT(s));
	u.scheme = str_n(s.p, (size_t)colon);
	s = str_from(s, (size_t)colon + 3);

	ptrdiff_t hash = str_find_char(s, '#');
	if (hash >= 0)
		s.n = (size_t)hash;
	ptrdiff_t mark = str_find_char(s, '?');
	if (mark >= 0) {
		u.query = str_from(s, (size_t)mark + 1);
		s.n = (size_t)mark;
	}
	for (i = 0; i < s.n && s.p[i] != '/'; i++)
		;
	u.path = str_from(s, i);
	s.n = i;
	for (i = s.n; i > 0; i--)
		if (s.p[i - 1] == '@') {
			u.user = str_n(s.p, i - 1);
			s = str_from(s, i);
			break;
		}
	if (parse_host(s, &u, e) < 0)
		return -1;
	*out = u;
	return 0;
}

/* ---- escapes ---- */

static void escape(struct str s, bool slash_stays, bool plus, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t run = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];
		if (is_unreserved(c) || (slash_stays && c == '/'))
			continue;
		buf_add(out, s.p + run, i - run);
		run = i + 1;
		if (plus && c == ' ')
			buf_byte(out, '+');
		else
			buf_add(out, (char[3]){ '%', hex[c >> 4], hex[c & 15] }, 3);
	}
	buf_add(out, s.p + run, s.n - run);
}

void url_escape_query(struct str s, struct buf *out)
{
	escape(s, false, true, out);
}

void url_escape_path(struct str s, struct buf *out)
{
	escape(s, true, false, out);
}

void url_escape_segment(struct str s, struct buf *out)
{
	escape(s, false, false, out);
}

static int hex_value(char ch)
{
	uint8_t c = (uint8_t)ch, l = c | 0x20;

	if (is_digit(c))
		return c - '0';
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

bool url_unescape(struct arena *a, struct str s, bool plus, struct str *out)
{
	struct err e = ERR_INIT;
	size_t i, n = 0;

	for (i = 0; i < s.n && s.p[i] != '%' && !(plus && s.p[i] == '+'); i++)
		;
	if (i == s.n) {
		*out = s;
		return true;
	}
	char *t = arena_try(a, NULL, s.n, &e);
	if (!t)
		return false;
	for (i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '%') {
			int hi = s.n - i > 2 ? hex_value(s.p[i + 1]) : -1;
			int lo = s.n - i > 2 ? hex_value(s.p[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		t[n++] = c;
	}
	*out = str_n(t, n);
	return true;
}

bool url_query_next(struct arena *a, struct str *rest, struct str *k, struct str *v,
		    bool *bad)
{
	while (rest->n) {
		struct str piece, key, val = STR_NULL;
		if (!str_cut(rest, '&', &piece))
			*rest = STR_NULL;
		if (piece.n == 0)
			continue;
		if (str_find_char(piece, ';') >= 0) {
			*bad = true;
			continue;
		}
		if (str_cut(&piece, '=', &key))
			val = piece;
		if (!url_unescape(a, key, true, &key) ||
		    !url_unescape(a, val, true, &val)) {
			*bad = true;
			continue;
		}
		*k = key;
		*v = val;
		return true;
	}
	return false;
}
