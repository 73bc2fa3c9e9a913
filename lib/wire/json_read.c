/*
 * wire/json_read.c - JSON token by token, the grammar of RFC 8259 checked on the way.
 *
 * `want` says what may stand at the cursor, `stack` holds the kinds of the open
 * containers. Keys are returned after their colon has been read. Commas are read before
 * the token that follows them, so that a comma before a closing bracket is refused there.
 *
 * Strings without escapes are views of the input. One that holds escapes, or bytes that
 * are not UTF-8 (they become U+FFFD, as half surrogate pairs do), is decoded into the
 * arena; with no arena (jr_skip) nothing is decoded and `s` is the raw text. Failure is
 * sticky and leaves the cursor at the place of the trouble, which jr_offset tells.
 */
#include "wire/json.h"

#include "base/limits.h"

enum want {
	W_VALUE,	/* a value */
	W_FIRST_VALUE,	/* a value or ']' */
	W_FIRST_KEY,	/* a key or '}' */
	W_COMMA_OR_END, /* after a value in a container */
	W_DONE,		/* the top-level value has ended */
};

_Static_assert(sizeof(((struct jr *)0)->stack) == LIMIT_JSON_DEPTH, "one byte a level");

void jr_init(struct jr *j, struct arena *a, struct str text)
{
	*j = (struct jr){ .r = rd_of(text), .a = a, .want = W_VALUE };
	j->start = j->r.p;
}

size_t jr_offset(const struct jr *j)
{
	return (size_t)(j->r.p - j->start);
}

static enum json_tok fail(struct jr *j)
{
	j->r.bad = true;
	return JSON_ERR;
}

static void skip_blanks(struct jr *j)
{
	const uint8_t *p = j->r.p, *end = j->r.end;

	while (p < end && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r'))
		p++;
	j->r.p = p;
}

static void value_ended(struct jr *j)
{
	j->want = j->depth ? W_COMMA_OR_END : W_DONE;
}

/* ---- strings ---- */

static int hex4(const uint8_t *p, const uint8_t *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		uint8_t c = p[i], l = c | 0x20;
		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if (l >= 'a' && l <= 'f')
			v = v << 4 | (l - 'a' + 10);
		else
			return -1;
	}
	return v;
}

static char *put_utf8(char *o, uint32_t c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 63));
		*o++ = (char)(0x80 | (c >> 6 & 63));
		*o++ = (char)(0x80 | (c & 63));
	}
	return o;
}

/* After "\u". Reads one or, for a surrogate pair, two escapes; the syntax was checked
 * before. */
static const uint8_t *get_unicode(const uint8_t *p, const uint8_t *end, uint32_t *out)
{
	uint32_t c = (uint32_t)hex4(p, end);

	p += 4;
	*out = c;
	if (c < 0xd800 || c > 0xdfff)
		return p;
	*out = 0xfffd;
	if (c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
		int low = hex4(p + 2, end);
		if (low >= 0xdc00 && low <= 0xdfff) {
			*out = 0x10000 + ((c - 0xd800) << 10 | ((uint32_t)low - 0xdc00));
			return p + 6;
		}
	}
	return p;
}

static char unescape_char(uint8_t c)
{
	switch (c) {
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	default: return (char)c;
	}
}

/*
 * Decode the checked raw text. One invalid byte grows to three, an escape only shrinks:
 * three times the raw length is room enough.
 */
static bool decode(struct jr *j, const uint8_t *p, const uint8_t *end, bool clean_utf8)
{
	size_t n = (size_t)(end - p);
	struct err e = ERR_INIT;
	char *buf = arena_try(j->a, NULL, clean_utf8 ? n : n * 3, &e), *o = buf;

	if (!buf)
		return false;
	while (p < end) {
		uint32_t c;
		if (*p == '\\' && p[1] == 'u') {
			p = get_unicode(p + 2, end, &c);
			o = put_utf8(o, c);
		} else if (*p == '\\') {
			*o++ = unescape_char(p[1]);
			p += 2;
		} else if (*p < 0x80) {
			*o++ = (char)*p++;
		} else {
			unsigned len = str_utf8_len((const char *)p, (size_t)(end - p));
			if (len == 0) {
				o = put_utf8(o, 0xfffd);
				p++;
			}
			memcpy(o, p, len);
			o += len;
			p += len;
		}
	}
	j->s = str_n(buf, (size_t)(o - buf));
	return true;
}

/* At the opening quote. */
static bool get_string(struct jr *j)
{
	const uint8_t *start = j->r.p + 1, *p = start, *end = j->r.end;
	bool escapes = false;
	uint8_t high = 0;

	for (;; p++) {
		if (p == end || *p < 0x20)
			goto bad;
		if (*p == '"')
			break;
		high |= *p;
		if (*p != '\\')
			continue;
		escapes = true;
		if (end - p < 2)
			goto bad;
		p++;
		if (*p == 'u') {
			if (hex4(p + 1, end) < 0)
				goto bad;
			p += 4;
		} else if (*p == 0 || !strchr("\"\\/bfnrt", *p)) {
			goto bad;
		}
	}
	j->r.p = p + 1;
	j->s = str_n(start, (size_t)(p - start));
	if (!j->a)
		return true;
	bool clean = !(high & 0x80) || str_is_utf8(j->s);
	return (clean && !escapes) || decode(j, start, p, clean);
bad:
	j->r.p = p;
	return false;
}

/* ---- numbers and words ---- */

static const uint8_t *digits(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

static bool get_number(struct jr *j)
{
	const uint8_t *start = j->r.p, *p = start, *end = j->r.end, *q;

	if (*p == '-')
		p++;
	q = digits(p, end);
	if (q == p || (*p == '0' && q - p > 1))
		goto bad;
	p = q;
	if (p < end && *p == '.') {
		q = digits(++p, end);
		if (q == p)
			goto bad;
		p = q;
	}
	if (p < end && (*p | 0x20) == 'e') {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		q = digits(p, end);
		if (q == p)
			goto bad;
		p = q;
	}
	j->r.p = p;
	j->s = str_n(start, (size_t)(p - start));
	return true;
bad:
	j->r.p = p;
	return false;
}

static enum json_tok get_word(struct jr *j, struct str word, enum json_tok tok)
{
	if (rd_left(&j->r) < word.n || memcmp(j->r.p, word.p, word.n) != 0)
		return fail(j);
	j->r.p += word.n;
	value_ended(j);
	return tok;
}

/* ---- structure ---- */

static enum json_tok open_container(struct jr *j, uint8_t kind)
{
	if (j->depth == LIMIT_JSON_DEPTH)
		return fail(j);
	j->stack[j->depth++] = kind;
	j->want = kind == '{' ? W_FIRST_KEY : W_FIRST_VALUE;
	j->r.p++;
	return kind == '{' ? JSON_OBJ : JSON_ARR;
}

static enum json_tok close_container(struct jr *j)
{
	uint8_t kind = j->stack[--j->depth];

	j->r.p++;
	value_ended(j);
	return kind == '{' ? JSON_OBJ_END : JSON_ARR_END;
}

static bool at_end_of_container(const struct jr *j)
{
	return j->depth && *j->r.p == (j->stack[j->depth - 1] == '{' ? '}' : ']');
}

static enum json_tok get_key(struct jr *j)
{
	if (*j->r.p != '"' || !get_string(j))
		return fail(j);
	skip_blanks(j);
	if (rd_left(&j->r) == 0 || *j->r.p != ':')
		return fail(j);
	j->r.p++;
	j->want = W_VALUE;
	return JSON_KEY;
}

static enum json_tok get_value(struct jr *j)
{
	uint8_t c = *j->r.p;

	switch (c) {
	case '{':
	case '[': return open_container(j, c);
	case 't': return get_word(j, STR("true"), JSON_TRUE);
	case 'f': return get_word(j, STR("false"), JSON_FALSE);
	case 'n': return get_word(j, STR("null"), JSON_NULL);
	case '"':
		if (!get_string(j))
			return fail(j);
		value_ended(j);
		return JSON_STR;
	default: break;
	}
	if ((c != '-' && (c < '0' || c > '9')) || !get_number(j))
		return fail(j);
	value_ended(j);
	return JSON_NUM;
}

enum json_tok jr_next(struct jr *j)
{
	if (j->r.bad)
		return JSON_ERR;
	skip_blanks(j);
	if (rd_left(&j->r) == 0)
		return j->want == W_DONE ? JSON_EOF : fail(j);

	switch ((enum want)j->want) {
	case W_DONE: return fail(j);
	case W_FIRST_KEY: return at_end_of_container(j) ? close_container(j) : get_key(j);
	case W_FIRST_VALUE:
		return at_end_of_container(j) ? close_container(j) : get_value(j);
	case W_COMMA_OR_END:
		if (at_end_of_container(j))
			return close_container(j);
		if (*j->r.p != ',')
			return fail(j);
		j->r.p++;
		skip_blanks(j);
		if (rd_left(&j->r) == 0)
			return fail(j);
		return j->stack[j->depth - 1] == '{' ? get_key(j) : get_value(j);
	case W_VALUE:
	default: return get_value(j);
	}
}

int jr_skip(struct jr *j)
{
	struct arena *a = j->a;
	unsigned depth = j->depth;
	enum json_tok t;

	j->a = NULL;
	do
		t = jr_next(j);
	while (t > JSON_EOF && (j->depth > depth || t == JSON_KEY));
	j->a = a;
	if (t <= JSON_EOF || j->depth < depth) {
		fail(j);
		return -1;
	}
	return 0;
}
