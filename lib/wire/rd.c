/*
 * wire/rd.c - the rare half of the cursor: variable length numbers of more than one byte.
 *
 * LEB128: seven bits a byte, least significant first, the top bit says that more follow.
 * 64 bits need at most ten bytes, and the tenth can only hold bit 63; a larger tenth byte
 * or an eleventh byte does not denote a 64-bit number. Padded forms (0x80 0x00) are
 * accepted, as Go and protobuf do.
 */
#include "wire/rd.h"

uint64_t rd_uvarint_slow(struct rd *r)
{
	const uint8_t *p = r->p;
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70 && p < r->end; shift += 7) {
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
