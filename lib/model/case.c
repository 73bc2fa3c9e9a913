/*
 * model/case.c - upper and lower case by ranges of code points: either a distance, or pairs in which an even (or odd)
 * code point is the upper case of the next one.
 */
#include "model/case.h"

enum shape { DISTANCE, EVEN_PAIRS, ODD_PAIRS };
struct range {
	uint32_t first, last; /* of the upper case letters (pairs: of both) */
	enum shape shape;
	int32_t distance; /* lower - upper */
};
static const struct range ranges[] = {
	{ 'A', 'Z', DISTANCE, 32 },	   { 0xc0, 0xd6, DISTANCE, 32 },
	{ 0xd8, 0xde, DISTANCE, 32 },	   { 0x100, 0x12f, EVEN_PAIRS, 0 },
	{ 0x132, 0x137, EVEN_PAIRS, 0 },   { 0x139, 0x148, ODD_PAIRS, 0 },
	{ 0x14a, 0x177, EVEN_PAIRS, 0 },   { 0x178, 0x178, DISTANCE, 0xff - 0x178 },
	{ 0x179, 0x17e, ODD_PAIRS, 0 },	   { 0x386, 0x386, DISTANCE, 38 },
	{ 0x388, 0x38a, DISTANCE, 37 },	   { 0x38c, 0x38c, DISTANCE, 64 },
	{ 0x38e, 0x38f, DISTANCE, 63 },	   { 0x391, 0x3a1, DISTANCE, 32 },
	{ 0x3a3, 0x3ab, DISTANCE, 32 },	   { 0x400, 0x40f, DISTANCE, 80 },
	{ 0x410, 0x42f, DISTANCE, 32 },	   { 0x460, 0x481, EVEN_PAIRS, 0 },
	{ 0x48a, 0x4bf, EVEN_PAIRS, 0 },   { 0x4c0, 0x4c0, DISTANCE, 15 },
	{ 0x4c1, 0x4ce, ODD_PAIRS, 0 },	   { 0x4d0, 0x52f, EVEN_PAIRS, 0 },
	{ 0x531, 0x556, DISTANCE, 48 },	   { 0x1e00, 0x1e95, EVEN_PAIRS, 0 },
	{ 0x1ea0, 0x1eff, EVEN_PAIRS, 0 }, { 0xff21, 0xff3a, DISTANCE, 32 },
};
/* Lower case letters whose upper case has another lower case. */
static const struct {
	uint32_t lower, upper;
} one_way[] = { { 0xb5, 0x39c }, { 0x131, 'I' }, { 0x17f, 'S' }, { 0x3c2, 0x3a3 } };

static uint32_t lower_of(uint32_t c)
{
	if (c == 0x130)
		return 'i';
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		const struct range *r = &ranges[i];
		if (c < r->first || c > r->last)
			continue;
		if (r->shape == DISTANCE)
			return (uint32_t)((int32_t)c + r->distance);
		return (c & 1) == (r->shape == ODD_PAIRS) ? c + 1 : c;
	}
	return c;
}

static uint32_t upper_of(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_LEN(one_way); i++)
		if (one_way[i].lower == c)
			return one_way[i].upper;
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		const struct range *r = &ranges[i];
		uint32_t up = (uint32_t)((int32_t)c - r->distance);
		if (r->shape == DISTANCE && up >= r->first && up <= r->last)
			return up;
		if (r->shape != DISTANCE && c >= r->first && c <= r->last)
			return (c & 1) == (r->shape == ODD_PAIRS) ? c : c - 1;
	}
	return c;
}

static uint32_t decode(const char *p, unsigned n)
{
	static const uint8_t first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = (uint8_t)p[0] & first[n];
	for (unsigned i = 1; i < n; i++)
		c = c << 6 | ((uint8_t)p[i] & 0x3f);
	return c;
}

static unsigned encode(uint32_t c, char *p)
{
	if (c < 0x80) {
		p[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		p[0] = (char)(0xc0 | c >> 6);
		p[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	p[0] = (char)(0xe0 | c >> 12);
	p[1] = (char)(0x80 | (c >> 6 & 0x3f));
	p[2] = (char)(0x80 | (c & 0x3f));
	return 3;
}

static struct str convert(struct arena *a, struct str s, uint32_t (*fn)(uint32_t))
{
	char *p = arena_alloc(a, 2 * s.n + 1); /* no letter grows by more than a byte */
	size_t at = 0;
	for (size_t i = 0; i < s.n;) {
		unsigned n = str_utf8_len(s.p + i, s.n - i);
		if (n == 0 || n > 3) {
			n = n ? n : 1;
			memcpy(p + at, s.p + i, n);
			at += n;
		} else {
			at += encode(fn(decode(s.p + i, n)), p + at);
		}
		i += n;
	}
	return str_n(p, at);
}

struct str case_lower(struct arena *a, struct str s)
{
	return convert(a, s, lower_of);
}

struct str case_upper(struct arena *a, struct str s)
{
	return convert(a, s, upper_of);
}
