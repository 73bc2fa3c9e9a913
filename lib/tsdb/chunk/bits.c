/*
 * tsdb/chunk/bits.c - variable-width numbers and XORed doubles over bit streams.
 *
 * A varbit number is a run of ones, ended by a zero unless there are eight, then n bits:
 *   ones  0  1  2  3   4   5   6   7   8
 *   bits  0  3  6  9  12  18  25  56  64
 * Signed values have the lopsided range of bits_lopsided; at 64 bits both are plain.
 * Source  prometheus.md §1.5
 */
#include "tsdb/chunk/bits.h"

const uint8_t bits_varbit_widths[9] = { 0, 3, 6, 9, 12, 18, 25, 56, 64 };
#define widths	bits_varbit_widths
#define CLASSES 9

/* Reads the run of ones and gives the width; 0 at once for the value zero. */
static unsigned get_width(struct bits *b)
{
	if (b->left < 8)
		bits_fill(b);
	unsigned ones = (unsigned)__builtin_clzll(~b->acc | 1ull << 55);
	unsigned used = ones < 8 ? ones + 1 : 8;
	if (UNLIKELY(b->left < used))
		bits_fail(b);
	else
		bits_drop(b, used);
	return b->bad ? 0 : widths[ones];
}

uint64_t bits_varbit_uint(struct bits *b)
{
	unsigned n = get_width(b);
	return n ? bits_get(b, n) : 0;
}

int64_t bits_varbit_int_slow(struct bits *b)
{
	unsigned n = get_width(b);
	if (n == 0)
		return 0;
	uint64_t v = bits_get(b, n);
	return n == 64 ? (int64_t)v : bits_lopsided(v, n);
}

int64_t bits_varbit_int(struct bits *b)
{
	return bits_varbit_int_inline(b);
}

uint64_t bits_uvarint(struct bits *b)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint64_t c = bits_get56(b, 8);
		if (shift == 63 && c > 1)
			break;
		v |= (c & 0x7f) << shift;
		if (c < 0x80)
			return v;
	}
	return bits_fail(b);
}

void bits_get_xor(struct bits *b, uint64_t *v, struct bits_window *w)
{
	bits_get_xor_inline(b, v, w);
}

/* ---- writing ---- */

static void put_bits(struct bitw *w, uint64_t v,
		     unsigned n) /* byte by byte: the buffer is nearly at its maximum */
{
	while (n > 0) {
		unsigned room = 8 - w->pending, k = MIN(n, room);
		unsigned part = (unsigned)(v >> (n - k)) & (0xffu >> (8 - k));
		w->last |= (uint8_t)(part << (room - k));
		w->pending += k;
		n -= k;
		if (w->pending == 8) {
			buf_byte(&w->out, w->last);
			w->last = 0;
			w->pending = 0;
		}
	}
}

/* One store of eight bytes; those behind the last whole one are written again by the next call. */
void bitw_put(struct bitw *w, uint64_t v, unsigned n)
{
	struct buf *b = &w->out;
	if (n > 56) {
		bitw_put(w, v >> 32, n - 32);
		n = 32;
	}
	v &= (1ull << n) - 1;
	if (UNLIKELY(b->cap - b->n < 8)) {
		if (b->failed || b->max - b->n < 8) {
			put_bits(w, v, n);
			return;
		}
		(void)buf_room(b, 8);
	}
	uint64_t acc = (uint64_t)w->last << 56 | v << (64 - n) >> w->pending;
	unsigned fill = w->pending + n;
	uint64_t be = __builtin_bswap64(acc);
	memcpy(b->p + b->n, &be, 8);
	b->n += fill >> 3;
	w->last = (uint8_t)(acc << (fill & 56) >> 56);
	w->pending = fill & 7;
}

static void put_class(struct bitw *w, unsigned c, uint64_t v)
{
	unsigned len = c < 8 ? c + 1 : 8;
	bitw_put(w, c < 8 ? (1u << len) - 2 : 0xff, len);
	if (c)
		bitw_put(w, v, widths[c]);
}

void bitw_varbit_uint(struct bitw *w, uint64_t v)
{
	unsigned c = 0;
	while (c < CLASSES - 1 && v >> widths[c] != 0)
		c++;
	put_class(w, c, v);
}

void bitw_varbit_int(struct bitw *w, int64_t v)
{
	unsigned c = v != 0;
	while (c > 0 && c < CLASSES - 1) {
		int64_t top = (int64_t)1 << (widths[c] - 1);
		if (v > -top && v <= top)
			break;
		c++;
	}
	put_class(w, c, (uint64_t)v);
}

void bitw_varint(struct bitw *w, int64_t v)
{
	uint64_t u = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
	for (; u >= 0x80; u >>= 7)
		bitw_put(w, u | 0x80, 8);
	bitw_put(w, u, 8);
}

void bitw_xor(struct bitw *w, uint64_t v, uint64_t last, struct bits_window *win)
{
	uint64_t x = v ^ last;
	if (x == 0) {
		bitw_put(w, 0, 1);
		return;
	}
	unsigned lead = (unsigned)__builtin_clzll(x),
		 trail = (unsigned)__builtin_ctzll(x);
	lead = MIN(lead, 31u); /* five bits */
	if (win->leading != 0xff && lead >= win->leading && trail >= win->trailing) {
		bitw_put(w, 2, 2);
		bitw_put(w, x >> win->trailing, 64u - win->leading - win->trailing);
		return;
	}
	win->leading = (uint8_t)lead;
	win->trailing = (uint8_t)trail;
	bitw_put(w, 3, 2);
	bitw_put(w, lead, 5);
	bitw_put(w, 64 - lead - trail, 6);
	bitw_put(w, x >> trail, 64 - lead - trail);
}

struct str bitw_view(struct bitw *w)
{
	struct buf *b = &w->out;
	uint8_t *room = w->pending ? buf_room(b, 1) : NULL;
	if (room)
		*room = w->last;
	return str_n(b->p, b->n + (room != NULL));
}
