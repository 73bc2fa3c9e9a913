/*
 * wire/rd.h - the cursor through which all foreign bytes are read. Failure is sticky:
 * after a short or malformed read `bad` is set and every later read gives zeros; check
 * once. Lengths are compared unsigned, never added to pointers before the check.
 *
 * Thread  CPU; a cursor is a value on the stack.  Memory  views point into the input.
 */
#ifndef WIRE_RD_H
#define WIRE_RD_H

#include "base/str.h"

struct rd {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct rd rd_of(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	return (struct rd){ p, p + s.n, false };
}
static inline struct rd rd_n(const void *p, size_t n)
{
	return rd_of(str_n(p, n));
}
static inline size_t rd_left(const struct rd *r)
{
	return (size_t)(r->end - r->p);
}
static inline void rd_fail(struct rd *r)
{
	r->bad = true;
	r->p = r->end;
}
static inline const uint8_t *rd_take(struct rd *r,
				     uint64_t n) /* NULL and bad if too short */
{
	if (UNLIKELY(n > rd_left(r))) {
		rd_fail(r);
		return NULL;
	}
	const uint8_t *p = r->p;
	r->p += n;
	return p;
}
static inline struct str rd_bytes(struct rd *r, uint64_t n)
{
	const uint8_t *p = rd_take(r, n);
	return p ? str_n(p, (size_t)n) : STR_NULL;
}
static inline uint8_t rd_u8(struct rd *r)
{
	const uint8_t *p = rd_take(r, 1);
	return p ? *p : 0;
}
static inline uint16_t rd_be16(struct rd *r)
{
	const uint8_t *p = rd_take(r, 2);
	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}
static inline uint32_t rd_be32(struct rd *r)
{
	const uint8_t *p = rd_take(r, 4);
	uint32_t v = 0;
	if (p)
		memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}
static inline uint64_t rd_be64(struct rd *r)
{
	const uint8_t *p = rd_take(r, 8);
	uint64_t v = 0;
	if (p)
		memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}
static inline uint64_t rd_le64(struct rd *r)
{
	const uint8_t *p = rd_take(r, 8);
	uint64_t v = 0;
	if (p)
		memcpy(&v, p, 8);
	return v;
}
static inline uint32_t rd_le32(struct rd *r)
{
	const uint8_t *p = rd_take(r, 4);
	uint32_t v = 0;
	if (p)
		memcpy(&v, p, 4);
	return v;
}
/* LEB128 of at most 10 bytes whose value fits 64 bits; anything else is bad. */
uint64_t rd_uvarint_slow(struct rd *r);
static inline uint64_t rd_uvarint(struct rd *r)
{
	if (LIKELY(r->p < r->end && *r->p < 0x80))
		return *r->p++;
	return rd_uvarint_slow(r);
}
/* The low 7 bits of each byte, side by side: to groups of 14, 28 and 56 bits. */
static inline uint64_t rd_fold(uint64_t x)
{
	x = (x & 0x007f007f007f007fu) | (x & 0x7f007f007f007f00u) >> 1;
	x = (x & 0x00003fff00003fffu) | (x & 0x3fff00003fff0000u) >> 2;
	return (x & 0x000000000fffffffu) | (x & 0x0fffffff00000000u) >> 4;
}
/* The same number where most take more than one byte: up to eight are put together here, without a branch on how many. */
static inline uint64_t rd_uvarint_inline(struct rd *r)
{
	uint64_t x, ends;
	if (LIKELY(rd_left(r) >= 8)) {
		memcpy(&x, r->p, 8);
		ends = ~x & 0x8080808080808080u;
		if (LIKELY(ends != 0)) {
			unsigned last = (unsigned)__builtin_ctzll(ends); /* its bit */
			r->p += last / 8 + 1;
			return rd_fold(x & UINT64_MAX >> (63 - last));
		}
	}
	return rd_uvarint(r);
}
/* One after the other; by value, so that a cursor whose address nobody else has stays in registers. */
struct rd rd_uvarint3_slow(struct rd r, uint64_t out[3]);
/* Three of them, at once if they take no more than eight bytes together. */
static inline void rd_uvarint3(struct rd *r, uint64_t out[3])
{
	uint64_t x, ends = 0, later, last;
	if (LIKELY(rd_left(r) >= 8)) {
		memcpy(&x, r->p, 8);
		ends = ~x & 0x8080808080808080u; /* a bit in the last byte of each */
	}
	later = ends & (ends - 1);
	last = later & (later - 1);
	if (UNLIKELY(!later || !last)) {
		*r = rd_uvarint3_slow(*r, out);
		return;
	}
	unsigned a = (unsigned)__builtin_ctzll(ends) / 8 + 1,
		 b = (unsigned)__builtin_ctzll(later) / 8 + 1,
		 c = (unsigned)__builtin_ctzll(last) / 8 + 1;
	x = rd_fold(x); /* seven bits of each byte, one number behind the other */
	out[0] = x & (((uint64_t)1 << a * 7) - 1);
	out[1] = x >> a * 7 & (((uint64_t)1 << (b - a) * 7) - 1);
	out[2] = x >> b * 7 & (((uint64_t)1 << (c - b) * 7) - 1);
	r->p += c;
}
/* The same number where most take one byte or two, and the lengths repeat. */
static inline uint64_t rd_uvarint_short(struct rd *r)
{
	const uint8_t *p = r->p;
	if (LIKELY(rd_left(r) >= 2)) {
		if (p[0] < 0x80) {
			r->p = p + 1;
			return p[0];
		}
		if (p[1] < 0x80) {
			r->p = p + 2;
			return (p[0] & 0x7fu) | (uint64_t)p[1] << 7;
		}
	}
	return rd_uvarint_inline(r);
}
static inline int64_t rd_unzigzag(uint64_t u)
{
	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}
static inline int64_t rd_varint(struct rd *r) /* zig-zag */
{
	return rd_unzigzag(rd_uvarint(r));
}

#endif
