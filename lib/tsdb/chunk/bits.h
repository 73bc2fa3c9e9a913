/*
 * tsdb/chunk/bits.h - bit streams, most significant bit first; private to this module.
 *
 * Reading keeps up to 64 bits at the top of `acc`, `left` of them valid, and refills eight bytes at a
 * time. Failure is sticky as in wire/rd.h: past the end reads give zeros and set `bad`.
 */
#ifndef TSDB_CHUNK_BITS_H
#define TSDB_CHUNK_BITS_H

#include "base/buf.h"

/*
 * Functions for processors with lzcnt, if this one has it. clang cannot be asked for that before 17: its builds, which are for
 * fuzzing, take the plain way.
 */
#if defined(__x86_64__) && !defined(__clang__)
#define BITS_ASK_LZCNT 1
#else
#define BITS_ASK_LZCNT 0
#endif

struct bits {
	const uint8_t *p, *end;
	uint64_t acc;
	unsigned left;
	bool bad;
};

static inline uint64_t bits_load_be64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

static inline void bits_init(struct bits *b, const uint8_t *p, size_t n)
{
	*b = (struct bits){ p, p + n, 0, 0, false };
}

/* At least 56 bits, or all that are left. */
static inline void bits_fill(struct bits *b)
{
	if (LIKELY(b->end - b->p >= 8)) {
		b->acc |= bits_load_be64(b->p) >> b->left;
		b->p += (63 - b->left) >> 3;
		b->left |= 56;
		return;
	}
	while (b->left <= 56 && b->p < b->end) {
		b->acc |= (uint64_t)*b->p++ << (56 - b->left);
		b->left += 8;
	}
}

static inline void bits_drop(struct bits *b, unsigned n) /* n <= left, n < 64 */
{
	b->acc <<= n;
	b->left -= n;
}

static inline uint64_t bits_fail(struct bits *b)
{
	b->bad = true;
	b->acc = 0;
	b->left = 0;
	b->p = b->end;
	return 0;
}

static inline uint64_t bits_get56(struct bits *b, unsigned n) /* 1..56 */
{
	if (b->left < n) {
		bits_fill(b);
		if (UNLIKELY(b->left < n))
			return bits_fail(b);
	}
	uint64_t v = b->acc >> (64 - n);
	bits_drop(b, n);
	return v;
}

static inline uint64_t bits_get(struct bits *b, unsigned n) /* 1..64 */
{
	if (n <= 56)
		return bits_get56(b, n);
	uint64_t hi = bits_get56(b, n - 32);
	return hi << 32 | bits_get56(b, 32);
}

/* Bits not read yet, capped well below overflow. */
static inline uint64_t bits_left(const struct bits *b)
{
	return (uint64_t)(b->end - b->p) * 8 + b->left;
}

/* n bits as a number from -(2^(n-1)-1) to 2^(n-1): the range is lopsided. */
static inline int64_t bits_lopsided(uint64_t v, unsigned n)
{
	return ((int64_t)((v - 1) << (64 - n)) >> (64 - n)) +
	       1; /* no branch: signs are random */
}

/* The variable-width code of histogram chunks; see bits.c. */
uint64_t bits_varbit_uint(struct bits *b);
int64_t bits_varbit_int(struct bits *b);
int64_t bits_varbit_int_slow(struct bits *b);
extern const uint8_t bits_varbit_widths[9]; /* bits behind so many ones */

/*
 * Codes of up to six ones, which nearly all are, in one go: ones, width and number of 32 bits at most, and no branch but the one
 * that looks whether they are there. Buckets are the bulk of a native histogram's samples: *b may be a copy that lives in
 * registers, which the slow way does not take the address of.
 */
static inline int64_t bits_varbit_int_inline(struct bits *b)
{
	if (b->left < 32)
		bits_fill(b);
	unsigned ones = (unsigned)__builtin_clzll(~b->acc | 1);
	if (LIKELY(ones <= 6 && b->left >= 32)) {
		unsigned width = bits_varbit_widths[ones];
		uint64_t u = b->acc << (ones + 1) >> 1 >> (63 - width);
		bits_drop(b, ones + 1 + width);
		return (int64_t)(u - ((uint64_t)(u > 1ull << width >> 1) << width));
	}
	struct bits slow = *b;
	int64_t v = bits_varbit_int_slow(&slow);
	*b = slow;
	return v;
}

/* n signed codes: delta[i] += code, v[i] += delta[i], wrapping. varbits.c; after bits_varbit_prepare, by any thread. */
void bits_varbit_prepare(void);
void bits_varbit_steps(struct bits *b, size_t n, int64_t *delta, uint64_t *v);

/* The bytes of a varint (zig-zag) or uvarint, wherever they begin. */
uint64_t bits_uvarint(struct bits *b);
static inline int64_t bits_varint(struct bits *b)
{
	uint64_t v = bits_uvarint(b);
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* The XOR code of one double against the last one, with its window. */
struct bits_window {
	uint8_t leading, trailing; /* leading 0xff: none yet (writers only) */
};
void bits_get_xor(struct bits *b, uint64_t *v, struct bits_window *w);

/* For loops over buckets: control bits, window and as much as possible of the number from one look at 56 bits. */
static inline void bits_get_xor_inline(struct bits *b, uint64_t *v, struct bits_window *w)
{
	if (b->left < 13)
		bits_fill(b);
	if (UNLIKELY(b->left < 13)) { /* the end is near */
		if (bits_get56(b, 1) == 0)
			return;
		if (bits_get56(b, 1)) {
			bits_fail(b); /* 11 bits of a window and one of the number */
			return;
		}
	} else if (b->acc >> 63 == 0) {
		bits_drop(b, 1);
		return;
	} else if (b->acc >> 62 == 2) {
		bits_drop(b, 2);
	} else {
		unsigned lead = (unsigned)(b->acc << 2 >> 59);
		unsigned sig = (unsigned)(b->acc << 7 >> 58);
		sig = sig ? sig : 64;
		bits_drop(b, 13);
		if (UNLIKELY(lead + sig > 64)) {
			bits_fail(b);
			return;
		}
		w->leading = (uint8_t)lead;
		w->trailing = (uint8_t)(64 - lead - sig);
	}
	unsigned n = 64u - w->leading - w->trailing;
	*v ^= bits_get(b, n) << w->trailing;
}

/* ---- writing ---- */

struct bitw {
	struct buf out;	  /* whole bytes */
	uint8_t last;	  /* bits of the byte begun, at its top */
	unsigned pending; /* how many, 0..7 */
};
void bitw_put(struct bitw *w, uint64_t v, unsigned n); /* the low n bits, 1..64 */
void bitw_varbit_uint(struct bitw *w, uint64_t v);
void bitw_varbit_int(struct bitw *w, int64_t v);
void bitw_varint(struct bitw *w, int64_t v);
void bitw_xor(struct bitw *w, uint64_t v, uint64_t last, struct bits_window *win);
/* All bytes with the begun one; valid until the next write. */
struct str bitw_view(struct bitw *w);

#endif
