/*
 * wire/pb.c - protobuf fields.
 *
 * A message is a sequence of fields: a varint tag (field number << 3 | wire type), then
 * the value: a varint (0), 8 bytes (1), a varint length and that many bytes (2), or 4
 * bytes (5), little endian. Wire types 3 and 4 delimit groups, which no message here
 * uses; 6 and 7 do not exist. Field numbers are 1 to 2^29-1. What a field means, and
 * whether a repeated scalar is packed, is the caller's affair.
 */
#include "wire/pb.h"

#include "wire/wr.h"

#define PB_MAX_NUM ((1u << 29) - 1)

int pb_next(struct rd *r, struct pb_field *f)
{
	if (r->bad)
		return -1;
	if (r->p == r->end)
		return 0;

	uint64_t tag = rd_uvarint(r);
	uint64_t num = tag >> 3;
	if (r->bad || num == 0 || num > PB_MAX_NUM) {
		rd_fail(r);
		return -1;
	}
	f->num = (uint32_t)num;
	f->wire = (enum pb_wire)(tag & 7);
	f->bytes = STR_NULL;
	f->u = 0;
	switch (tag & 7) {
	case PB_VARINT: f->u = rd_uvarint(r); break;
	case PB_FIXED64: f->u = rd_le64(r); break;
	case PB_BYTES: f->bytes = rd_bytes(r, rd_uvarint(r)); break;
	case PB_FIXED32: f->u = rd_le32(r); break;
	default: rd_fail(r); break;
	}
	return r->bad ? -1 : 1;
}

static uint64_t tag_of(uint32_t num, enum pb_wire w)
{
	return (uint64_t)num << 3 | w;
}

void pb_put_tag(struct buf *b, uint32_t num, enum pb_wire w)
{
	wr_uvarint(b, tag_of(num, w));
}

void pb_put_varint(struct buf *b, uint32_t num, uint64_t v)
{
	uint8_t t[20];
	unsigned n = wr_uvarint_to(t, tag_of(num, PB_VARINT));

	n += wr_uvarint_to(t + n, v);
	buf_add(b, t, n);
}

void pb_put_double(struct buf *b, uint32_t num, double v)
{
	uint8_t t[18];
	unsigned n = wr_uvarint_to(t, tag_of(num, PB_FIXED64));

	memcpy(t + n, &v, 8);
	buf_add(b, t, n + 8);
}

void pb_put_bytes(struct buf *b, uint32_t num, struct str s)
{
	uint8_t t[20];
	unsigned n = wr_uvarint_to(t, tag_of(num, PB_BYTES));

	n += wr_uvarint_to(t + n, s.n);
	buf_add(b, t, n);
	buf_str(b, s);
}

size_t pb_size_varint(uint32_t num, uint64_t v)
{
	return wr_uvarint_len(tag_of(num, PB_VARINT)) + wr_uvarint_len(v);
}

size_t pb_size_bytes(uint32_t num, size_t n)
{
	return wr_uvarint_len(tag_of(num, PB_BYTES)) + wr_uvarint_len(n) + n;
}
