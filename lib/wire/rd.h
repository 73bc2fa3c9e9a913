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
static inline int64_t rd_varint(struct rd *r) /* zig-zag */
{
	uint64_t u = rd_uvarint(r);
	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

#endif
