/*
 * wire/json_write.c - JSON text appended to a buf.
 *
 * Strings are escaped as Go's JSON encoders do in an HTML-safe answer: `"` and `\`,
 * control characters as \n \r \t or \u00XX, < > & as \u00XX, U+2028 and U+2029 as \u2028
 * and \u2029, and each byte that is not part of valid UTF-8 as \ufffd. Runs of bytes that
 * need nothing of this are copied at once; the table `special` tells where a run ends.
 */
#include "wire/json.h"

#include <math.h>

#include "wire/num.h"

enum { PLAIN, CTRL, QUOTE, HTML, HIGH };

static const uint8_t special[256] = {
	[0x00 ... 0x1f] = CTRL, ['"'] = QUOTE, ['\\'] = QUOTE,	       ['<'] = HTML,
	['>'] = HTML,		['&'] = HTML,  [0x80 ... 0xff] = HIGH,
};

void jw_init(struct jw *w, struct buf *b)
{
	*w = (struct jw){ .b = b };
}

static void sep(struct jw *w)
{
	if (w->comma)
		buf_byte(w->b, ',');
	w->comma = true;
}

static void open_with(struct jw *w, uint8_t c)
{
	sep(w);
	buf_byte(w->b, c);
	w->comma = false;
}

static void close_with(struct jw *w, uint8_t c)
{
	buf_byte(w->b, c);
	w->comma = true;
}

void jw_obj(struct jw *w)
{
	open_with(w, '{');
}

void jw_obj_end(struct jw *w)
{
	close_with(w, '}');
}

void jw_arr(struct jw *w)
{
	open_with(w, '[');
}

void jw_arr_end(struct jw *w)
{
	close_with(w, ']');
}

static void put_u00(struct buf *b, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	char t[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	buf_add(b, t, sizeof(t));
}

static void put_ctrl(struct buf *b, uint8_t c)
{
	switch (c) {
	case '\n': buf_str(b, STR("\\n")); break;
	case '\r': buf_str(b, STR("\\r")); break;
	case '\t': buf_str(b, STR("\\t")); break;
	default: put_u00(b, c); break;
	}
}

/* At a byte >= 0x80. Returns how many bytes were dealt with, 0: an ordinary character of
 * *len bytes. */
static unsigned put_high(struct buf *b, const char *p, size_t left, unsigned *len)
{
	*len = str_utf8_len(p, left);
	if (*len == 0) {
		buf_str(b, STR("\\ufffd"));
		return 1;
	}
	if (*len == 3 && memcmp(p, "\xe2\x80", 2) == 0 &&
	    ((uint8_t)p[2] & 0xfe) == 0xa8) {
		buf_str(b, p[2] & 1 ? STR("\\u2029") : STR("\\u2028"));
		return 3;
	}
	return 0;
}

static void put_string(struct jw *w, struct str s)
{
	struct buf *b = w->b;
	size_t run = 0, i = 0;

	buf_byte(b, '"');
	while (i < s.n) {
		uint8_t c = (uint8_t)s.p[i], kind = special[c];
		unsigned used = 1, len = 1;
		if (kind == PLAIN || (kind == HTML && w->plain)) {
			i++;
			continue;
		}
		if (kind == HIGH) {
			unsigned n = str_utf8_len(s.p + i, s.n - i);
			if (n != 0 && !(n == 3 && c == 0xe2)) {
				i += n;
				continue;
			}
		}
		buf_add(b, s.p + run, i - run);
		run = i;
		switch (kind) {
		case CTRL: put_ctrl(b, c); break;
		case QUOTE: buf_add(b, (char[2]){ '\\', (char)c }, 2); break;
		case HTML: put_u00(b, c); break;
		default: used = put_high(b, s.p + i, s.n - i, &len); break;
		}
		i += used ? used : len;
		run += used;
	}
	buf_add(b, s.p + run, s.n - run);
	buf_byte(b, '"');
}

void jw_key(struct jw *w, struct str key)
{
	sep(w);
	put_string(w, key);
	buf_byte(w->b, ':');
	w->comma = false;
}

void jw_str(struct jw *w, struct str s)
{
	sep(w);
	put_string(w, s);
}

void jw_u64(struct jw *w, uint64_t v)
{
	char t[20];
	unsigned i = sizeof(t);

	do {
		t[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	sep(w);
	buf_add(w->b, t + i, sizeof(t) - i);
}

void jw_i64(struct jw *w, int64_t v)
{
	if (v >= 0) {
		jw_u64(w, (uint64_t)v);
		return;
	}
	sep(w);
	buf_byte(w->b, '-');
	w->comma = false;
	jw_u64(w, 0 - (uint64_t)v);
}

void jw_f64(struct jw *w, double v)
{
	char t[NUM_MAX];

	sep(w);
	if (!isfinite(v)) {
		buf_str(w->b, STR("null"));
		return;
	}
	size_t n = num_f64_json(t, v);
	/* One-digit exponents: 1e-07 is printed as 1e-7. */
	if (n >= 4 && t[n - 4] == 'e' && t[n - 2] == '0') {
		t[n - 2] = t[n - 1];
		n--;
	}
	buf_add(w->b, t, n);
}

void jw_bool(struct jw *w, bool v)
{
	sep(w);
	buf_str(w->b, v ? STR("true") : STR("false"));
}

void jw_null(struct jw *w)
{
	sep(w);
	buf_str(w->b, STR("null"));
}

void jw_raw(struct jw *w, struct str s)
{
	sep(w);
	buf_str(w->b, s);
}
