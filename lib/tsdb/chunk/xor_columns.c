/*
 * tsdb/chunk/xor_columns.c - a whole XOR chunk from columns: what downsampling writes five of for each chunk.
 *
 * The same bytes as xor_encode.c's (the format stands in xor_decode.c). Room for the worst case is made before, so that
 * no bit is checked against the end; up to seven begun bits wait in a register, whole bytes are stored eight at a time. The
 * codes of a sample are put together before: mostly one store for time and control bits, one for the value's.
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

#define INLINE static inline __attribute__((always_inline))

INLINE void put(struct put *w, uint64_t v,
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

INLINE void put_wide(struct put *w, uint64_t v, unsigned n) /* 1..64 */
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

struct code { /* at most 37 bits */
	uint64_t v;
	unsigned n;
};

/* The code of a change of the time difference. */
INLINE struct code time_code(struct put *w, int64_t dod)
{
	if (dod == 0)
		return (struct code){ 0, 1 };
	/* n bits hold -(2^(n-1) - 1) to 2^(n-1) */
	if (LIKELY(dod > -(1 << 13) && dod <= 1 << 13))
		return (struct code){ 2u << 14 | ((uint64_t)dod & 0x3fff), 16 };
	if (dod > -(1 << 16) && dod <= 1 << 16)
		return (struct code){ 6u << 17 | ((uint64_t)dod & 0x1ffff), 20 };
	if (dod > -(1 << 19) && dod <= 1 << 19)
		return (struct code){ 14u << 20 | ((uint64_t)dod & 0xfffff), 24 };
	put(w, 0xf, 4);
	put_wide(w, (uint64_t)dod, 64);
	return (struct code){ 0, 0 };
}

struct window {
	unsigned lead, trail; /* lead 64: none yet */
};

/* c stands in front of the value's code. */
INLINE void put_value(struct put *w, struct code c, uint64_t x, struct window *win)
{
	if (x == 0) {
		put(w, c.v << 1, c.n + 1);
		return;
	}
	unsigned lead = (unsigned)__builtin_clzll(x),
		 trail = (unsigned)__builtin_ctzll(x);
	lead = MIN(lead, 31u);
	if (lead >= win->lead && trail >= win->trail) {
		put(w, c.v << 2 | 2, c.n + 2);
	} else {
		*win = (struct window){ lead, trail };
		put(w, c.v << 13 | 3u << 11 | lead << 6 | ((64 - lead - trail) & 63),
		    c.n + 13);
	}
	put_wide(w, x >> win->trail, 64 - win->lead - win->trail);
}

/* Sample 1: its time is a uvarint. */
static void put_second(struct put *w, uint64_t delta)
{
	uint8_t b[10];
	size_t n = 0;
	for (; delta >= 0x80; delta >>= 7)
		b[n++] = (uint8_t)(delta | 0x80);
	b[n++] = (uint8_t)delta;
	put_bytes(w, b, n);
}

static void put_first(struct put *w, int64_t t, uint64_t v)
{
	uint64_t z = (uint64_t)t << 1 ^ (uint64_t)(t >> 63);
	for (; z >= 0x80; z >>= 7)
		put(w, (z & 0x7f) | 0x80, 8);
	put(w, z, 8);
	put_wide(w, v, 64);
}

INLINE uint8_t *encode(uint8_t *room, const int64_t *t, const double *v, size_t n)
{
	struct put w = { room, 0, 0 };
	struct window win = { 64, 0 };
	uint64_t delta = 0, last = n ? f64_bits(v[0]) : 0;
	put(&w, n, 16);
	if (n > 0)
		put_first(&w, t[0], last);
	for (size_t i = 1; i < n; i++) {
		uint64_t x = f64_bits(v[i]), d = (uint64_t)t[i] - (uint64_t)t[i - 1];
		struct code c = { 0, 0 };
		if (i == 1)
			put_second(&w, d);
		else
			c = time_code(&w, (int64_t)(d - delta));
		put_value(&w, c, x ^ last, &win);
		last = x;
		delta = d;
	}
	return w.p + (w.fill > 0);
}

static uint8_t *encode_any(uint8_t *room, const int64_t *t, const double *v, size_t n)
{
	return encode(room, t, v, n);
}

#if BITS_ASK_LZCNT
#define HAVE_BMI2 1
/* Shifts by a register and counts of zeros cost one operation instead of three. */
__attribute__((target("bmi,bmi2,lzcnt"))) static uint8_t *
encode_bmi2(uint8_t *room, const int64_t *t, const double *v, size_t n)
{
	return encode(room, t, v, n);
}
#else
#define HAVE_BMI2 0
#endif

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
	uint8_t *room = buf_room(out, MARGIN + n * SAMPLE_BYTES), *end;
	if (!room)
		return buf_check(out, NULL, "chunk", e);
#if HAVE_BMI2
	if (__builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt"))
		end = encode_bmi2(room, t, v, n);
	else
#endif
		end = encode_any(room, t, v, n);
	buf_commit(out, (size_t)(end - room));
	return 0;
}
