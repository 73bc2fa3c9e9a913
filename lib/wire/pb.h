/*
 * wire/pb.h - protobuf wire format: fields one by one. Messages themselves are declared
 * in proto/.
 *
 * Source  protobuf.dev, "Encoding". Groups (wire types 3, 4) are refused.
 * Thread  CPU
 */
#ifndef WIRE_PB_H
#define WIRE_PB_H

#include "base/buf.h"
#include "wire/rd.h"

enum pb_wire { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };

struct pb_field {
	uint32_t num;
	enum pb_wire wire;
	uint64_t u;	  /* VARINT, FIXED64, FIXED32: raw value */
	struct str bytes; /* BYTES: view into the input */
};

/* 1: *f is the next field; 0: end; -1: malformed (r->bad). */
int pb_next(struct rd *r, struct pb_field *f);
static inline double pb_double(const struct pb_field *f)
{
	double d;
	memcpy(&d, &f->u, 8);
	return d;
}
static inline int64_t pb_zigzag(uint64_t u)
{
	return (int64_t)(u >> 1) ^ -(int64_t)(u & 1);
}

/* Writers; none of them leaves out default values: that is the caller's decision. */
void pb_put_tag(struct buf *b, uint32_t num, enum pb_wire w);
void pb_put_varint(struct buf *b, uint32_t num, uint64_t v);
void pb_put_double(struct buf *b, uint32_t num, double v);
void pb_put_bytes(struct buf *b, uint32_t num, struct str s);
/* Sizes of the same, for length prefixes known beforehand. */
size_t pb_size_varint(uint32_t num, uint64_t v);
size_t pb_size_bytes(uint32_t num, size_t n);

#endif
