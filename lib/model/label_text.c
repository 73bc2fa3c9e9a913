/*
 * model/label_text.c - label sets as text, with values quoted as Go's strconv.Quote does.
 *
 * Quoting keeps what Go calls printable (letters, marks, numbers, punctuation, symbols and the
 * ASCII space) and escapes the rest: \a \b \f \n \r \t \v by letter, quote and backslash by a
 * backslash, other ASCII controls and bytes that are not UTF-8 as \xNN, unprintable runes as \uNNNN
 * or \UNNNNNNNN. Names outside [a-zA-Z_][a-zA-Z0-9_]* are quoted, too.
 */
#include "model/labels.h"
#include "model/regex_shim.h"

static bool is_name_byte(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

bool label_name_is_legacy(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!is_name_byte(name.p[i], i == 0))
			return false;
	return name.n > 0;
}

/* Metric names may hold colons besides. */
static bool metric_name_is_legacy(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] != ':' && !is_name_byte(name.p[i], i == 0))
			return false;
	return name.n > 0;
}

static void quote_ascii(uint8_t c, struct buf *out)
{
	static const char letters[] = "abtnvfr"; /* of bytes 7 to 13 */
	if (c == '"' || c == '\\') {
		buf_byte(out, '\\');
		buf_byte(out, c);
	} else if (c >= 7 && c <= 13) {
		buf_byte(out, '\\');
		buf_byte(out, (uint8_t)letters[c - 7]);
	} else {
		buf_fmt(out, "\\x%02x", c);
	}
}

static uint32_t rune_of(const uint8_t *p, unsigned n)
{
	static const uint8_t mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t r = p[0] & mask[n];
	for (unsigned i = 1; i < n; i++)
		r = r << 6 | (p[i] & 0x3f);
	return r;
}

static void quote_rune(const char *p, unsigned n, struct buf *out)
{
	uint32_t r = rune_of((const uint8_t *)p, n);
	if (regex_shim_is_print(p, n))
		buf_add(out, p, n);
	else if (r < 0x10000)
		buf_fmt(out, "\\u%04x", r);
	else
		buf_fmt(out, "\\U%08x", r);
}

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void label_quote(struct str s, struct buf *out)
{
	buf_byte(out, '"');
	for (size_t i = 0; i < s.n;) {
		size_t from = i;
		while (i < s.n && is_plain((uint8_t)s.p[i]))
			i++;
		if (i > from)
			buf_add(out, s.p + from, i - from);
		if (i == s.n)
			break;
		unsigned len = str_utf8_len(s.p + i, s.n - i);
		if (len <= 1) {
			quote_ascii((uint8_t)s.p[i], out);
			i++;
		} else {
			quote_rune(s.p + i, len, out);
			i += len;
		}
	}
	buf_byte(out, '"');
}

static void put_name(struct str name, struct buf *out)
{
	if (label_name_is_legacy(name))
		buf_str(out, name);
	else
		label_quote(name, out);
}

static void put_pair(const struct label *l, bool *first, struct buf *out)
{
	if (!*first)
		buf_add(out, ", ", 2);
	*first = false;
	put_name(l->name, out);
	buf_byte(out, '=');
	label_quote(l->value, out);
}

void labels_text(struct labels ls, struct buf *out)
{
	bool first = true;
	buf_byte(out, '{');
	for (uint32_t i = 0; i < ls.n; i++)
		put_pair(&ls.l[i], &first, out);
	buf_byte(out, '}');
}

void labels_metric_text(struct labels ls, struct buf *out)
{
	struct str name = labels_get(ls, LABEL_NAME);
	bool outside = metric_name_is_legacy(name), first = true;
	if (outside) {
		buf_str(out, name);
		if (ls.n == 1)
			return;
	}
	buf_byte(out, '{');
	if (!outside && name.n) {
		label_quote(name, out);
		first = false;
	}
	for (uint32_t i = 0; i < ls.n; i++)
		if (!str_eq(ls.l[i].name, LABEL_NAME))
			put_pair(&ls.l[i], &first, out);
	buf_byte(out, '}');
}

struct str labels_str(struct arena *a, struct labels ls)
{
	struct buf b;
	buf_init(&b, SIZE_MAX);
	labels_text(ls, &b);
	struct str s = str_dup(a, buf_view(&b));
	buf_deinit(&b);
	return s;
}
