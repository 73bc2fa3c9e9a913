/*
 * tsdb/chunk/xor_columns.c - a whole XOR chunk from columns: what downsampling writes five of for each chunk.
 *
 * The same bytes as xor_encode.c's (the format stands in xor_decode.c). Room for the worst case is made before, so that
 * no bit is checked against the end; up to seven begun bits wait in a register, whole bytes are stored eight at a time.
 */
#include "tsdb/chunk/chunk.h"

#include "tsdb/chunk/bits.h"

#define COUNT_MAX    65535u
#define SAMPLE_BYTES 19 /* 4 + 64 bits of time, 13 + 64 of value */
#define MARGIN	     32 /* count, first sample, and what the last store writes too much */

struct put {
	uint8_t *p;
	uint64_t acc; /* begun bits, at the top */
	unsigned fill;
};

static inline void put(struct put *w, uint64_t v,
		       unsigned n) /* 1..56 bits, no others set in v */
{
	w->acc |= v << (64 - n) >> w->fill;
	w->fill += n;
	uint64_t be = __builtin_bswap64(w->acc);
	memcpy(w->p, &be, 8);
	w->p += w->fill >> 3;
	w->acc <<= w->fill & 56;
	w->fill &= 7;
}

static inline void put_wide(struct put *w, uint64_t v, unsigned n) /* 1..64 */
{
	if (UNLIKELY(n > 56)) {
		put(w, v >> 32, n - 32);
		v &= 0xffffffffu;
		n = 32;
	}
	put(w, v, n);
}

static void put_bytes(struct put *w, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put(w, p[i], 8);
}

/* The code of a change of the time difference. */
static inline void put_time(struct put *w, int64_t dod)
{
	static const uint8_t width[] = { 14, 17, 20 };
	if (LIKELY(dod == 0)) {
		put(w, 0, 1);
		return;
	}
	for (unsigned i = 0; i < ARRAY_LEN(width); i++) {
		int64_t top = (int64_t)1 << (width[i] - 1);
		if (dod > -top && dod <= top) {
			uint64_t mask = (1ull << width[i]) - 1;
			put(w, (4ull << i) - 2, i + 2);
			put(w, (uint64_t)dod & mask, width[i]);
			return;
		}
	}
	put(w, 0xf, 4);
	put_wide(w, (uint64_t)dod, 64);
}

struct window {
	unsigned lead, trail; /* lead 0xff: none yet */
};

static inline void put_value(struct put *w, uint64_t x, struct window *win)
{
	if (x == 0) {
		put(w, 0, 1);
		return;
	}
	unsigned lead = MIN((unsigned)__builtin_clzll(x), 31u),
		 trail = (unsigned)__builtin_ctzll(x);
	if (win->lead != 0xff && lead >= win->lead && trail >= win->trail) {
		put(w, 2, 2);
	} else {
		*win = (struct window){ lead, trail };
		put(w, 3u << 11 | lead << 6 | ((64 - lead - trail) & 63), 13);
	}
	put_wide(w, x >> win->trail, 64 - win->lead - win->trail);
}

/* Sample 1: its time is a uvarint. */
static void put_second(struct put *w, uint64_t delta, uint64_t x, struct window *win)
{
	uint8_t b[10];
	size_t n = 0;
	for (; delta >= 0x80; delta >>= 7)
		b[n++] = (uint8_t)(delta | 0x80);
	b[n++] = (uint8_t)delta;
	put_bytes(w, b, n);
	put_value(w, x, win);
}

int chunk_xor_encode(struct buf *out, const int64_t *t, const double *v, size_t n,
		     struct err *e)
{
	if (n > COUNT_MAX)
		return err_set(NULL, e, E_LIMIT, "chunk: more than %u samples",
			       COUNT_MAX);
	for (size_t i = 1; i < n; i++)
		if (t[i] < t[i - 1])
			return err_set(NULL, e, E_INVALID, "chunk: time %lld goes back",
				       (long long)t[i]);
	uint8_t *room = buf_room(out, MARGIN + n * SAMPLE_BYTES);
	if (!room)
		return buf_check(out, NULL, "chunk", e);
	struct put w = { room, 0, 0 };
	struct window win = { 0xff, 0 };
	uint64_t delta = 0;
	put(&w, n, 16);
	for (size_t i = 0; i < n; i++) {
		uint64_t x = f64_bits(v[i]);
		if (i == 0) {
			uint64_t z = (uint64_t)t[0] << 1 ^ (uint64_t)(t[0] >> 63);
			for (; z >= 0x80; z >>= 7)
				put(&w, (z & 0x7f) | 0x80, 8);
			put(&w, z, 8);
			put_wide(&w, x, 64);
			continue;
		}
		uint64_t d = (uint64_t)t[i] - (uint64_t)t[i - 1];
		x ^= f64_bits(v[i - 1]);
		if (i == 1) {
			put_second(&w, d, x, &win);
		} else {
			put_time(&w, (int64_t)(d - delta));
			put_value(&w, x, &win);
		}
		delta = d;
	}
	buf_commit(out, (size_t)(w.p - room) + (w.fill > 0));
	return 0;
}
