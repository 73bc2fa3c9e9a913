/*
 * wire/rd.c - the rare half of the cursor: variable length numbers of more than one byte.
 *
 * LEB128: seven bits a byte, least significant first, the top bit says that more follow.
 * 64 bits need at most ten bytes, and the tenth can only hold bit 63; a larger tenth byte
 * or an eleventh byte does not denote a 64-bit number. Padded forms (0x80 0x00) are
 * accepted, as Go and protobuf do.
 *
 * Where eight bytes can be looked at, numbers of up to eight bytes (times, lengths) are put together
 * at once: the first clear top bit tells the length, and groups of 7 bits are folded together in three
 * steps, to 14, 28 and 56.
 */
#include "wire/rd.h"

/* True: *v is the number, r stands behind it. */
static inline bool short_uvarint(struct rd *r, uint64_t *v)
{
	uint64_t x, more;

	if (rd_left(r) < 8)
		return false;
	memcpy(&x, r->p, 8);
	more = ~x & 0x8080808080808080u;
	if (more == 0)
		return false;
	unsigned bits = (unsigned)__builtin_ctzll(more) + 1; /* 8 a byte */
	x &= UINT64_MAX >> (64 - bits);
	x = (x & 0x007f007f007f007fu) | (x & 0x7f007f007f007f00u) >> 1;
	x = (x & 0x00003fff00003fffu) | (x & 0x3fff00003fff0000u) >> 2;
	*v = (x & 0x000000000fffffffu) | (x & 0x0fffffff00000000u) >> 4;
	r->p += bits / 8;
	return true;
}

uint64_t rd_uvarint_slow(struct rd *r)
{
	uint64_t v = 0;

	if (LIKELY(short_uvarint(r, &v)))
		return v;
	const uint8_t *p = r->p;
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
