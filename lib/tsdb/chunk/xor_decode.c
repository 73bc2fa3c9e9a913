/*
 * tsdb/chunk/xor_decode.c - Gorilla-coded floats.
 *
 *   u16 BE count | varint t0 | 64 bits v0 | uvarint t1-t0 | xor v1 | { dod, xor }...
 *   dod  0: zero   10+14  110+17  1110+20  1111+64 bits, lopsided: n bits hold -(2^(n-1)-1)..2^(n-1)
 *   xor  0: same   10: bits in the last window   11: 5 bits leading, 6 bits width (0: 64), bits
 *
 * Decoding is the hot path of queries. The stream's state stays in registers over a run of samples.
 * Bits are looked at by an unaligned load at the bit position, 57 at least: one for the time code and the
 * value's control bits, another for the value. Control bits are branches on purpose: the codes of one series
 * repeat, so the next sample can begin before this one's bits have come, which a table of widths would
 * prevent. Eight unchanged samples in a row (two zero bits each) are written at once.
 * No read is checked against the end: while at least XOR_MARGIN bytes follow, none can pass it; the last
 * bytes are copied into a zero-padded tail, where the position is compared after each sample. Oddities
 * (times that do not rise, windows past 64 bits) end the run at their sample, so that everything before
 * them is shown.
 */
#include "tsdb/chunk/xor.h"

#include "wire/rd.h"

#include "tsdb/chunk/bits.h"

int xor_begin(struct xor_state *s, const uint8_t *p, size_t n, bool equal_ok,
	      struct err *e)
{
	struct rd r = rd_n(p, n);
	s->total = rd_be16(&r);
	if (r.bad)
		return err_set(NULL, e, E_CORRUPT, "XOR chunk: %zu bytes", n);
	s->p = r.p;
	s->end = r.end;
	s->bit = 0;
	s->done = 0;
	s->t = 0;
	s->delta = s->v = 0;
	s->trail = 0;
	s->sig = 64;
	s->in_tail = false;
	s->equal_ok = equal_ok;
	s->any_order = false;
	return 0;
}

#define UNCHANGED_RUN 8

/* The stream in registers: everything below is inlined into the loops of run(). */
struct regs {
	const uint8_t *base;
	uint64_t pos; /* bits from base */
	uint64_t delta, v;
	unsigned trail, sig;
};
#define INLINE static inline __attribute__((always_inline))

/* At least 57 bits from pos, at the top. */
INLINE uint64_t peek(const struct regs *r, uint64_t pos)
{
	return bits_load_be64(r->base + (pos >> 3)) << (pos & 7);
}

INLINE uint64_t wide(struct regs *r, unsigned n) /* 57..64 bits at pos */
{
	uint64_t hi = peek(r, r->pos) >> 32, lo = peek(r, r->pos + 32);
	r->pos += n;
	return hi << (n - 32) | lo >> (96 - n);
}

/* A code of n bits behind `ones` ones and a zero. */
INLINE uint64_t narrow_time(struct regs *r, uint64_t w, unsigned ones, unsigned n)
{
	uint64_t x = (w << (ones + 1)) - (1ull << (64 - n));
	r->delta += (uint64_t)(((int64_t)x >> (64 - n)) + 1); /* as bits_lopsided */
	r->pos += ones + 1 + n;
	return w << (ones + 1 + n);
}

/* w: the bits at pos, the first one set. Returns those behind the code, 33 at least. */
INLINE uint64_t time_code(struct regs *r, uint64_t w)
{
	if (LIKELY(w >> 62 == 2))
		return narrow_time(r, w, 1, 14);
	if (w >> 61 == 6)
		return narrow_time(r, w, 2, 17);
	if (w >> 60 == 14)
		return narrow_time(r, w, 3, 20);
	r->pos += 4;
	r->delta += wide(r, 64);
	return peek(r, r->pos);
}

/* w: the bits at pos, the first one set. False: the window is wider than 64 bits. */
INLINE bool value_code(struct regs *r, uint64_t w)
{
	r->pos += 2;
	if (w >> 62 & 1) {
		unsigned lead = (unsigned)(w << 2 >> 59), sig = (unsigned)(w << 7 >> 58);
		r->pos += 11;
		r->sig = sig ? sig : 64;
		if (UNLIKELY(lead + r->sig > 64))
			return false;
		r->trail = 64 - lead - r->sig;
	}
	if (UNLIKELY(r->sig > 57)) {
		r->v ^= wide(r, r->sig) << r->trail;
		return true;
	}
	r->v ^= peek(r, r->pos) >> (64 - r->sig) << r->trail;
	r->pos += r->sig;
	return true;
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
	uint64_t used = (uint64_t)(b.p - r.p) * 8 - b.left;
	s->p = r.p + used / 8;
	s->bit = used % 8;
	s->trail = w.trailing;
	s->sig = 64u - w.leading - w.trailing;
	int64_t t = (int64_t)((uint64_t)s->t + s->delta);
	if ((t < s->t && !s->any_order) || (t == s->t && !s->equal_ok))
		return err_set(NULL, e, E_CORRUPT,
			       "XOR chunk: time of sample 1 does not rise");
	s->t = t;
	return 1;
}

/* Samples wanted and where they go. */
struct out {
	int64_t *t;
	double *v;
	size_t n;
};

/* The times of UNCHANGED_RUN more samples rise and do not overflow. */
INLINE bool plain_times(int64_t t, uint64_t delta)
{
	return delta - 1 < 1ull << 40 && t < INT64_MAX / 2;
}

INLINE size_t run(struct xor_state *s, struct out o, bool tail, bool *odd)
{
	struct regs r = { s->p, s->bit, s->delta, s->v, s->trail, s->sig };
	uint64_t end =
		(uint64_t)(s->end - s->p) * 8; /* interior: last place to begin at */
	if (!tail)
		end -= XOR_MARGIN * 8;
	int64_t t = s->t;
	size_t i = 0;
	while (i < o.n && (tail || r.pos <= end)) {
		uint64_t w = peek(&r, r.pos);
		bool sane = true;
		if (LIKELY(w >> 63 == 0)) {
			if (w >> 48 == 0 && o.n - i >= UNCHANGED_RUN &&
			    (!tail || r.pos + 16 <= end) && plain_times(t, r.delta)) {
				for (size_t k = 0; k < UNCHANGED_RUN; k++, i++) {
					t += (int64_t)r.delta;
					o.t[i] = t;
					memcpy(&o.v[i], &r.v, 8);
				}
				r.pos += 2 * UNCHANGED_RUN;
				continue;
			}
			w <<= 1;
			r.pos++;
		} else {
			w = time_code(&r, w);
		}
		if (w >> 63 == 0)
			r.pos++;
		else
			sane = value_code(&r, w);
		int64_t next = (int64_t)((uint64_t)t + r.delta);
		bool past = tail && r.pos > end;
		if (UNLIKELY(!sane | (next <= t) | past)) {
			if (!sane || past || (next < t && !s->any_order) ||
			    (next == t && !s->equal_ok)) {
				*odd = true;
				break;
			}
		}
		t = next;
		o.t[i] = t;
		memcpy(&o.v[i], &r.v, 8);
		i++;
	}
	s->p = r.base + (r.pos >> 3);
	s->bit = r.pos & 7;
	s->delta = r.delta;
	s->v = r.v;
	s->trail = r.trail;
	s->sig = r.sig;
	s->t = t;
	return i;
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

/* The rest of a chunk from sample 2 on: interior, then tail. */
INLINE size_t run_both(struct xor_state *s, struct out o, bool *odd)
{
	size_t i = 0;
	if (!s->in_tail && s->end - s->p >= XOR_MARGIN)
		i = run(s, o, false, odd);
	if (i < o.n && !*odd) {
		if (!s->in_tail)
			enter_tail(s);
		i += run(s, (struct out){ o.t + i, o.v + i, o.n - i }, true, odd);
	}
	return i;
}

static size_t run_any(struct xor_state *s, struct out o, bool *odd)
{
	return run_both(s, o, odd);
}

/* Shifts by a register cost one operation instead of three. */
__attribute__((target("bmi2"))) static size_t run_bmi2(struct xor_state *s, struct out o,
						       bool *odd)
{
	return run_both(s, o, odd);
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
	struct out o = { t + i, v + i, n - i };
	i += __builtin_cpu_supports("bmi2") ? run_bmi2(s, o, &odd) : run_any(s, o, &odd);
	s->done += (uint32_t)(i - *got);
	*got = i;
	if (odd)
		return err_set(NULL, e, E_CORRUPT,
			       "XOR chunk: %u samples, cut short or damaged at sample %u",
			       s->total, s->done);
	return 0;
}

static int decode_whole(struct xor_state *s, int64_t *t_ms, double *v, size_t cap,
			struct err *e)
{
	size_t got;
	if (s->total > cap)
		return err_set(NULL, e, E_INVALID, "XOR chunk: %u samples, room for %zu",
			       s->total, cap);
	return xor_run(s, t_ms, v, s->total, &got, e) < 0 ? -1 : (int)got;
}

int chunk_xor_decode(const uint8_t *p, size_t n, int64_t *t_ms, double *v, size_t cap,
		     struct err *e)
{
	struct xor_state s;
	if (xor_begin(&s, p, n, false, e) < 0)
		return -1;
	return decode_whole(&s, t_ms, v, cap, e);
}

int chunk_xor_decode_any(const uint8_t *p, size_t n, int64_t *t_ms, double *v, size_t cap,
			 struct err *e)
{
	struct xor_state s;
	if (xor_begin(&s, p, n, true, e) < 0)
		return -1;
	s.any_order = true;
	return decode_whole(&s, t_ms, v, cap, e);
}
