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
/*
 * The same where it is called for each label and chunk of an answer. Nearly all fields there have a tag of one byte; behind it
 * are bytes with a length of one byte or two, or a number.
 */
static inline __attribute__((always_inline)) int pb_next_inline(struct rd *r,
								struct pb_field *f)
{
	const uint8_t *p = r->p;
	if (UNLIKELY(r->end - p < 3 || p[0] <= 7 || p[0] >= 0x80))
		return pb_next(r, f);
	if (LIKELY((p[0] & 7) == PB_BYTES)) {
		size_t n = p[1], head = 2;
		if (n >= 0x80) {
			n = (n & 0x7f) | (size_t)p[2] << 7;
			head = p[2] < 0x80 ? 3 : 0;
		}
		if (LIKELY(head && n <= (size_t)(r->end - p) - head)) {
			f->num = p[0] >> 3;
			f->wire = PB_BYTES;
			f->bytes = str_n(p + head, n);
			r->p = p + head + n;
			return 1;
		}
	} else if ((p[0] & 7) == PB_VARINT) {
		r->p++;
		f->num = p[0] >> 3;
		f->wire = PB_VARINT;
		f->u = rd_uvarint(r);
		return r->bad ? -1 : 1;
	}
	return pb_next(r, f);
}
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
