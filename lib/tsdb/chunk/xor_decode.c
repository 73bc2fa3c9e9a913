/*
 * tsdb/chunk/xor_decode.c - Gorilla-coded floats.
 *
 *   u16 BE count | varint t0 | 64 bits v0 | uvarint t1-t0 | xor v1 | { dod, xor }...
 *   dod  0: zero   10+14  110+17  1110+20  1111+64 bits, lopsided: n bits hold -(2^(n-1)-1)..2^(n-1)
 *   xor  0: same   10: bits in the last window   11: 5 bits leading, 6 bits width (0: 64), bits
 *
 * Decoding is the hot path of queries. The stream's state stays in registers over a run of samples;
 * one refill brings 56 bits, enough for any but the rarest time code together with the value's
 * control bits; a second one serves the value. No read is checked against the end: while at least
 * XOR_MARGIN bytes follow, none can pass it; the last bytes are copied into a zero-padded tail, where
 * the position is compared after each sample. Oddities (times that do not rise, windows past 64 bits)
 * end the run at their sample, so that everything before them is shown.
 */
#include "tsdb/chunk/xor.h"

#include "wire/rd.h"

#include "tsdb/chunk/bits.h"

uint32_t chunk_count(struct chunk_part c)
{
	return c.p && c.n >= 2 ? (uint32_t)c.p[0] << 8 | c.p[1] : 0;
}

int xor_begin(struct xor_state *s, const uint8_t *p, size_t n, bool equal_ok,
	      struct err *e)
{
	struct rd r = rd_n(p, n);
	s->total = rd_be16(&r);
	if (r.bad)
		return err_set(NULL, e, E_CORRUPT, "XOR chunk: %zu bytes", n);
	s->p = r.p;
	s->end = r.end;
	s->acc = 0;
	s->left = 0;
	s->done = 0;
	s->t = 0;
	s->delta = s->v = 0;
	s->trail = 0;
	s->sig = 64;
	s->in_tail = false;
	s->equal_ok = equal_ok;
	return 0;
}

#define REFILL()                                                                         \
	do {                                                                             \
		acc |= bits_load_be64(p) >> left;                                        \
		p += (63 - left) >> 3;                                                   \
		left |= 56;                                                              \
	} while (0)
#define DROP(n)                                                                          \
	do {                                                                             \
		acc <<= (n);                                                             \
		left -= (n);                                                             \
	} while (0)

/* The stream in registers; xor_sample is inlined into both loops. */
struct regs {
	const uint8_t *p;
	uint64_t acc, delta, v;
	unsigned left, trail, sig;
};

static inline __attribute__((always_inline)) uint64_t wide(struct regs *r, unsigned n)
{
	const uint8_t *p = r->p;
	uint64_t acc = r->acc, hi;
	unsigned left = r->left;
	REFILL();
	if (LIKELY(n <= 56)) {
		hi = acc >> (64 - n);
		DROP(n);
	} else {
		hi = acc >> 32;
		DROP(32);
		REFILL();
		hi = hi << (n - 32) | acc >> (96 - n);
		DROP(n - 32);
	}
	r->p = p;
	r->acc = acc;
	r->left = left;
	return hi;
}

static inline __attribute__((always_inline)) void time_code(struct regs *r)
{
	static const uint8_t width[4] = { 14, 14, 17, 20 };
	unsigned ones = (unsigned)__builtin_clzll(~r->acc | 1ull << 59);
	if (LIKELY(ones < 4)) {
		unsigned n = width[ones];
		uint64_t raw = r->acc << (ones + 1) >> (64 - n);
		r->acc <<= ones + 1 + n;
		r->left -= ones + 1 + n;
		r->delta += (uint64_t)bits_lopsided(raw, n);
	} else {
		r->acc <<= 4;
		r->left -= 4;
		r->delta += wide(r, 64);
	}
}

/* False: the window is wider than 64 bits. */
static inline __attribute__((always_inline)) bool value_code(struct regs *r)
{
	if (r->acc >> 63 == 0) {
		r->acc <<= 1;
		r->left -= 1;
		return true;
	}
	bool fresh = r->acc >> 62 & 1;
	r->acc <<= 2;
	r->left -= 2;
	if (fresh) {
		unsigned lead = (unsigned)(r->acc >> 59),
			 sig = (unsigned)(r->acc >> 53) & 63;
		r->acc <<= 11;
		r->left -= 11;
		r->sig = sig ? sig : 64;
		if (UNLIKELY(lead + r->sig > 64))
			return false;
		r->trail = 64 - lead - r->sig;
	}
	if (r->sig <= r->left && r->sig < 64) { /* short windows need no second refill */
		r->v ^= r->acc >> (64 - r->sig) << r->trail;
		r->acc <<= r->sig;
		r->left -= r->sig;
		return true;
	}
	r->v ^= wide(r, r->sig) << r->trail;
	return true;
}

static inline __attribute__((always_inline)) bool xor_sample(struct regs *r)
{
	const uint8_t *p = r->p;
	uint64_t acc = r->acc;
	unsigned left = r->left;
	REFILL();
	r->p = p;
	r->acc = acc;
	r->left = left;
	if (LIKELY(r->acc >> 63 == 0)) {
		r->acc <<= 1;
		r->left -= 1;
	} else {
		time_code(r); /* leaves 24 bits at least */
	}
	return value_code(r);
}

static int cut_short(const struct xor_state *s, struct err *e)
{
	return err_set(NULL, e, E_CORRUPT, "XOR chunk: %u samples, data end at sample %u",
		       s->total, s->done);
}

/* Sample 0 and the time of sample 1 are whole bytes; 1: a sample was read into s->t and s->v. */
static int first_samples(struct xor_state *s, struct err *e)
{
	struct rd r = { s->p, s->end, false };
	if (s->done == 0) {
		s->t = rd_varint(&r);
		s->v = rd_be64(&r);
		s->p = r.p;
		return r.bad ? cut_short(s, e) : 1;
	}
	s->delta = rd_uvarint(&r);
	if (r.bad || r.p == r.end)
		return cut_short(s, e);
	struct bits b;
	struct bits_window w = { 0, 0 };
	bits_init(&b, r.p, rd_left(&r));
	bits_get_xor(&b, &s->v, &w);
	if (b.bad)
		return cut_short(s, e);
	/* Go on from whole bytes behind what was used, with the bits of the last one. */
	uint64_t used = (uint64_t)(b.p - r.p) * 8 - b.left;
	s->p = r.p + used / 8;
	s->left = 0;
	s->acc = 0;
	if (used % 8) {
		s->acc = (uint64_t)*s->p++ << 56 << used % 8;
		s->left = 8 - (unsigned)(used % 8);
	}
	s->trail = w.trailing;
	s->sig = 64u - w.leading - w.trailing;
	int64_t t = (int64_t)((uint64_t)s->t + s->delta);
	if (t < s->t || (t == s->t && !s->equal_ok))
		return err_set(NULL, e, E_CORRUPT,
			       "XOR chunk: time of sample 1 does not rise");
	s->t = t;
	return 1;
}

/* Move what is left of the chunk in front of zeros. */
static void enter_tail(struct xor_state *s)
{
	size_t n = (size_t)(s->end - s->p);
	memset(s->tail, 0, sizeof s->tail);
	memcpy(s->tail, s->p, n);
	s->p = s->tail;
	s->end = s->tail + n;
	s->in_tail = true;
}

static inline __attribute__((always_inline)) size_t
run(struct xor_state *s, int64_t *t_out, double *v_out, size_t n, bool tail, bool *odd)
{
	struct regs r = { s->p, s->acc, s->delta, s->v, s->left, s->trail, s->sig };
	const uint8_t *stop = tail ? s->end : s->end - XOR_MARGIN;
	int64_t t = s->t;
	size_t i = 0;
	while (i < n && (tail || r.p <= stop)) {
		bool sane = xor_sample(&r);
		int64_t next = (int64_t)((uint64_t)t + r.delta);
		bool past = tail && r.p > s->end && (size_t)(r.p - s->end) * 8 > r.left;
		if (UNLIKELY(!sane | (next <= t) | past)) {
			if (!sane || past || next < t || !s->equal_ok) {
				*odd = true;
				break;
			}
		}
		t = next;
		t_out[i] = t;
		memcpy(&v_out[i], &r.v, 8);
		i++;
	}
	s->p = r.p;
	s->acc = r.acc;
	s->left = r.left;
	s->delta = r.delta;
	s->v = r.v;
	s->trail = r.trail;
	s->sig = r.sig;
	s->t = t;
	return i;
}

int xor_run(struct xor_state *s, int64_t *t, double *v, size_t max, size_t *got,
	    struct err *e)
{
	size_t n = MIN(max, s->total - s->done), i = 0;
	bool odd = false;
	*got = 0;
	while (i < n && s->done < 2) {
		if (first_samples(s, e) < 0)
			return -1;
		t[i] = s->t;
		memcpy(&v[i], &s->v, 8);
		*got = ++i;
		s->done++;
	}
	if (i == n)
		return 0;
	if (!s->in_tail && s->end - s->p >= XOR_MARGIN)
		i += run(s, t + i, v + i, n - i, false, &odd);
	if (i < n && !odd) {
		if (!s->in_tail)
			enter_tail(s);
		i += run(s, t + i, v + i, n - i, true, &odd);
	}
	s->done += (uint32_t)(i - *got);
	*got = i;
	if (odd)
		return err_set(NULL, e, E_CORRUPT,
			       "XOR chunk: %u samples, cut short or damaged at sample %u",
			       s->total, s->done);
	return 0;
}

int chunk_xor_decode(const uint8_t *p, size_t n, int64_t *t_ms, double *v, size_t cap,
		     struct err *e)
{
	struct xor_state s;
	size_t got;
	if (xor_begin(&s, p, n, false, e) < 0)
		return -1;
	if (s.total > cap)
		return err_set(NULL, e, E_INVALID, "XOR chunk: %u samples, room for %zu",
			       s.total, cap);
	if (xor_run(&s, t_ms, v, s.total, &got, e) < 0)
		return -1;
	return (int)got;
}
