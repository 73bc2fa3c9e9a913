/*
 * wire/wr.h - fixed and variable length numbers appended to a buf.
 */
#ifndef WIRE_WR_H
#define WIRE_WR_H

#include "base/buf.h"

void wr_be16(struct buf *b, uint16_t v);
void wr_be32(struct buf *b, uint32_t v);
void wr_be64(struct buf *b, uint64_t v);
void wr_le32(struct buf *b, uint32_t v);
void wr_le64(struct buf *b, uint64_t v);
void wr_uvarint(struct buf *b, uint64_t v);
void wr_varint(struct buf *b, int64_t v); /* zig-zag */
/* Write into plain memory; returns the bytes used (1..10). */
unsigned wr_uvarint_to(uint8_t *p, uint64_t v);
static inline unsigned wr_uvarint_len(uint64_t v)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
	return (bits * 9 + 64) / 64; /* of 7 bits each: the same up to 64 */
}

#endif
