/*
 * tsdb/chunk/xor2_decode.c - floats with one control code for time and value (encoding 4 of Prometheus 3.14).
 *
 *   u16 BE count | start timestamp header (st.h) | samples, each followed by its start timestamp's code
 *   sample 0     varint t | 64 bits
 *   sample 1     uvarint t1-t0 | value
 *   later        0      dod 0, value the same
 *                10     dod 0, then 0: bits in the last window   1: new window
 *                110    13 bits of dod, then value
 *                1110   20 bits of dod, then value
 *                11110  64 bits of dod, then value
 *                11111  dod 0, stale marker
 *   value        0: the same   10: bits in the last window   110: new window   111: stale marker
 *   new window   5 bits leading, 6 bits width (0: 64), bits
 * dod is plain two's complement here, not lopsided as in XOR. Values are XORed with the last one that was no stale
 * marker, so that a series that comes back costs nothing.
 * Source  prometheus.md §1.5
 */
#include "tsdb/chunk/xor2.h"

int xor2_begin(struct xor2_state *s, const uint8_t *p, size_t n, struct err *e)
{
	if (n < 3)
		return err_set(NULL, e, E_CORRUPT, "XOR2 chunk: %zu bytes", n);
	*s = (struct xor2_state){ .total = (uint32_t)p[0] << 8 | p[1], .sig = 64 };
	st_begin(&s->st, p[2]);
	bits_init(&s->b, p + 3, n - 3);
	return 0;
}

static void in_window(struct xor2_state *s, struct bits *b)
{
	s->base ^= bits_get(b, s->sig) << s->trail;
}

static void new_window(struct xor2_state *s, struct bits *b)
{
	unsigned both = (unsigned)bits_get56(b, 11), lead = both >> 6, sig = both & 63;
	sig = sig ? sig : 64;
	if (lead + sig > 64) {
		bits_fail(b);
		return;
	}
	s->sig = sig;
	s->trail = 64 - lead - sig;
	in_window(s, b);
}

/* Up to `max` ones, and the zero behind fewer. */
static inline unsigned ones(struct bits *b, unsigned max)
{
	if (b->left < max)
		bits_fill(b);
	unsigned n = (unsigned)__builtin_clzll(~b->acc | 1ull << (63 - max));
	unsigned used = n < max ? n + 1 : max;
	if (UNLIKELY(b->left < used))
		bits_fail(b);
	else
		bits_drop(b, used);
	return n;
}

static uint64_t value(struct xor2_state *s, struct bits *b)
{
	switch (ones(b, 3)) {
	case 0: break;
	case 1: in_window(s, b); break;
	case 2: new_window(s, b); break;
	default: return STALE_NAN_BITS;
	}
	return s->base;
}

static uint64_t signed_bits(struct bits *b, unsigned n)
{
	return (uint64_t)((int64_t)(bits_get(b, n) << (64 - n)) >> (64 - n));
}

static uint64_t later(struct xor2_state *s, struct bits *b)
{
	static const uint8_t width[5] = { 0, 0, 13, 20, 64 };
	unsigned code = ones(b, 5);
	switch (code) {
	case 0: return s->base;
	case 1:
		if (bits_get56(b, 1))
			new_window(s, b);
		else
			in_window(s, b);
		return s->base;
	case 5: return STALE_NAN_BITS;
	default: s->delta += signed_bits(b, width[code]); return value(s, b);
	}
}

/* The next sample's value; its time into s->t. */
static uint64_t sample(struct xor2_state *s, struct bits *b)
{
	uint64_t v;
	if (s->done == 0) {
		s->t = bits_varint(b);
		v = bits_get(b, 64);
		if (v != STALE_NAN_BITS)
			s->base = v;
		return v;
	}
	if (s->done == 1) {
		s->delta = bits_uvarint(b);
		v = value(s, b);
	} else {
		v = later(s, b);
	}
	s->t = (int64_t)((uint64_t)s->t + s->delta);
	return v;
}

int xor2_run(struct xor2_state *s, int64_t *t, double *v, int64_t *st, size_t max,
	     size_t *got, struct err *e)
{
	struct bits b = s->b; /* in registers */
	bool any = st_any(&s->st);
	size_t n = MIN(max, s->total - s->done), i = 0;
	int rc = 0;
	for (; i < n; i++) {
		int64_t before = s->t;
		uint64_t bits = sample(s, &b);
		if (any)
			st_get(&s->st, &b, s->done, s->t, before);
		if (UNLIKELY(b.bad)) {
			rc = err_set(
				NULL, e, E_CORRUPT,
				"XOR2 chunk: %u samples, cut short or damaged at sample %u",
				s->total, s->done);
			break;
		}
		if (UNLIKELY(s->done > 0 && s->t <= before)) {
			rc = err_set(NULL, e, E_CORRUPT,
				     "XOR2 chunk: time of sample %u does not rise",
				     s->done);
			break;
		}
		t[i] = s->t;
		v[i] = f64_of_bits(bits);
		if (any)
			st[i] = s->st.st;
		s->done++;
	}
	s->b = b;
	*got = i;
	return rc;
}

int chunk_xor2_decode(const uint8_t *p, size_t n, int64_t *t_ms, double *v, int64_t *st,
		      size_t cap, struct err *e)
{
	struct xor2_state s = { 0 };
	size_t got;
	if (xor2_begin(&s, p, n, e) < 0)
		return -1;
	if (s.total > cap)
		return err_set(NULL, e, E_INVALID, "XOR2 chunk: %u samples, room for %zu",
			       s.total, cap);
	if (xor2_run(&s, t_ms, v, st, s.total, &got, e) < 0)
		return -1;
	return (int)got;
}
