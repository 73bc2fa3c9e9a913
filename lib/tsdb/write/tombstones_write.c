/*
 * tsdb/write/tombstones_write.c - what tombstones_parse of tsdb/block reads.
 *
 *   | magic 0130BA30 | version 1 | { uvarint series ref, varint mint, varint maxt } ... | u32 CRC of the entries |
 */
#include "base/hash.h"
#include "tsdb/write/write.h"
#include "wire/wr.h"

#define MAGIC 0x0130ba30u

void tombstones_write(const struct tombstone_entry *v, size_t n, struct buf *out)
{
	wr_be32(out, MAGIC);
	buf_byte(out, 1);
	size_t from = out->n;
	for (size_t i = 0; i < n; i++) {
		wr_uvarint(out, v[i].ref);
		wr_varint(out, v[i].range.mint_ms);
		wr_varint(out, v[i].range.maxt_ms);
	}
	if (!out->failed)
		wr_be32(out, crc32c(0, out->p + from, out->n - from));
}
