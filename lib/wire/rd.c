/*
 * wire/rd.c - the rare half of the cursor: variable length numbers of more than one byte.
 *
 * LEB128: seven bits a byte, least significant first, the top bit says that more follow.
 * 64 bits need at most ten bytes, and the tenth can only hold bit 63; a larger tenth byte
 * or an eleventh byte does not denote a 64-bit number. Padded forms (0x80 0x00) are
 * accepted, as Go and protobuf do.
 *
 * Two bytes, most lengths, are put together at once. So are the first eight bytes of longer numbers
 * (times, hashes) where as many can be looked at: the first clear top bit tells the length, and groups of
 * 7 bits are folded together in three steps, to 14, 28 and 56.
 */
#include "wire/rd.h"

uint64_t rd_uvarint_slow(struct rd *r)
{
	const uint8_t *p = r->p;
	unsigned shift = 0;
	uint64_t v = 0;

	if (LIKELY(rd_left(r) >= 8)) {
		if (LIKELY(p[1] < 0x80)) {
			r->p += 2;
			return (p[0] & 0x7fu) | (uint64_t)p[1] << 7;
		}
		uint64_t x, ends;
		memcpy(&x, p, 8);
		ends = ~x & 0x8080808080808080u;
		if (LIKELY(ends != 0)) {
			unsigned last = (unsigned)__builtin_ctzll(ends); /* its bit */
			r->p += last / 8 + 1;
			return rd_fold(x & UINT64_MAX >> (63 - last));
		}
		v = rd_fold(x);
		p += 8;
		shift = 56;
	}
	for (; shift < 70 && p < r->end; shift += 7) {
		uint8_t c = *p++;
		if (shift == 63 && c > 1)
			break;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			r->p = p;
			return v;
		}
	}
	rd_fail(r);
	return 0;
}

struct rd rd_uvarint3_slow(struct rd r, uint64_t out[3])
{
	for (int i = 0; i < 3; i++)
		out[i] = rd_uvarint_short(&r);
	return r;
}
