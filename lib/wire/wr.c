/*
 * wire/wr.c - numbers appended to a buf. Each is put together in a local array and added
 * with one call, so that a full buf never keeps half a number.
 */
#include "wire/wr.h"

void wr_be16(struct buf *b, uint16_t v)
{
	v = __builtin_bswap16(v);
	buf_add(b, &v, sizeof(v));
}

void wr_be32(struct buf *b, uint32_t v)
{
	v = __builtin_bswap32(v);
	buf_add(b, &v, sizeof(v));
}

void wr_be64(struct buf *b, uint64_t v)
{
	v = __builtin_bswap64(v);
	buf_add(b, &v, sizeof(v));
}

void wr_le32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

void wr_le64(struct buf *b, uint64_t v)
{
	buf_add(b, &v, sizeof(v));
}

unsigned wr_uvarint_to(uint8_t *p, uint64_t v)
{
	unsigned n = 0;

	while (v >= 0x80) {
		p[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	p[n++] = (uint8_t)v;
	return n;
}

void wr_uvarint(struct buf *b, uint64_t v)
{
	uint8_t t[10];

	buf_add(b, t, wr_uvarint_to(t, v));
}

void wr_varint(struct buf *b, int64_t v)
{
	wr_uvarint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}
