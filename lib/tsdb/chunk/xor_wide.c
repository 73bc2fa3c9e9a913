/*
 * tsdb/chunk/xor_wide.c - sixteen XOR chunks at once, a lane of two vectors each (AVX-512).
 *
 * One sample costs a chain of dependent steps: where it begins, how long its time code is, where its value begins. A
 * chunk alone waits for that chain, and for branches guessed wrong. Here no step branches on a lane's bits: lengths come
 * from tables by the number of leading ones, and two vectors of eight lanes take turns, so that one computes while the
 * other waits for memory.
 *
 * What is rare (time codes of 64 bits, a window past 64 bits, times that do not rise, the last samples of a lane) is left to
 * xor_decode.c: the step is undone, the lanes go on one by one from the last state all agreed on. So both decode the same,
 * damage included.
 *
 * By the way it is found out whether values ever fall or are no numbers, which readers would look for at all of them.
 */
#include "tsdb/chunk/xor.h"

#include "tsdb/chunk/bits.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET	__attribute__((target("avx512f,avx512cd,avx512bw,avx512dq,avx512vl,bmi2")))
#define INLINE	static inline __attribute__((always_inline)) TARGET
#define LANES	CHUNK_WIDE
#define HALF	8 /* lanes of a vector */
#define VECTORS (LANES / HALF)
#define STEPS	8    /* samples between two looks at what is rare */
#define PAD	128u /* more than a block of samples can read past the end */
#define ALL	((__mmask8)0xff)

#define SANE_DELTA 40 /* bits of a distance that is not rare */
#define SANE_TIME  (INT64_MAX / 2)

/* Eight lanes in registers. */
struct half {
	__m512i pos; /* in bits from base */
	__m512i t, delta, v;
	__m512i trail, shift; /* of the window: zeros behind it; 64 less its width */
};

/*
 * By the number of leading ones of a time code (4: one of 64 bits, which is left to others): its bits in all, the greatest
 * number of the n bits of its payload that is positive, less 1, and n ones. The numbers are lopsided, from
 * -(2^(n-1)-1) to 2^(n-1). The last row makes a distance that is rare.
 */
struct tables {
	__m512i length, most, payload;
	/* by the two control bits of a value: they and the window's bits, and 64 if others follow */
	__m512i behind;
	__m512i swap;
};

INLINE struct tables tables_make(void)
{
	const long long m14 = (1 << 13) - 1, m17 = (1 << 16) - 1, m20 = (1 << 19) - 1;
	return (struct tables){
		_mm512_setr_epi64(1, 16, 20, 24, 24, 0, 0, 0),
		_mm512_setr_epi64(0, m14, m17, m20, 1ll << 62, 0, 0, 0),
		_mm512_setr_epi64(0, 2 * m14 + 1, 2 * m17 + 1, 2 * m20 + 1, 0, 0, 0, 0),
		_mm512_setr_epi64(1, 1, 64 + 2, 64 + 13, 0, 0, 0, 0),
		_mm512_broadcast_i32x4(_mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13,
						     12, 11, 10, 9, 8)),
	};
}

/*
 * Eight bytes for each lane. What the register held before must not be waited for: the compiler takes any, and a
 * gather merges.
 */
INLINE __m512i gather(const uint8_t *base, __m512i at)
{
	__m512i from = _mm512_setzero_si512();
	__mmask8 all = ALL;
	__asm__("" : "+v"(from), "+Yk"(all));
	return _mm512_mask_i64gather_epi64(from, all, at, base, 1);
}

/* At least 57 bits from pos of each lane, at the top. */
INLINE __m512i peek(const uint8_t *base, __m512i pos, const struct tables *k)
{
	__m512i raw = gather(base, _mm512_srli_epi64(pos, 3));
	return _mm512_sllv_epi64(_mm512_shuffle_epi8(raw, k->swap),
				 _mm512_and_si512(pos, _mm512_set1_epi64(7)));
}

/* 64 bits from pos of each lane. */
INLINE __m512i peek_all(const uint8_t *base, __m512i pos, const struct tables *k)
{
	__m512i ninth = gather(base, _mm512_add_epi64(_mm512_srli_epi64(pos, 3),
						      _mm512_set1_epi64(1)));
	__m512i behind = _mm512_sub_epi64(_mm512_set1_epi64(8),
					  _mm512_and_si512(pos, _mm512_set1_epi64(7)));
	return _mm512_or_si512(peek(base, pos, k),
			       _mm512_srlv_epi64(_mm512_srli_epi64(ninth, 56), behind));
}

/* The next sample of each lane. */
INLINE void step(struct half *h, const uint8_t *base, const struct tables *k,
		 __m512i *odd, __m512i *fell)
{
	const __m512i low6 = _mm512_set1_epi64(63);
	__m512i w = peek(base, h->pos, k);
	/* ones in front, four at most: ~w | 1 << 59 */
	__m512i ones = _mm512_lzcnt_epi64(
		_mm512_ternarylogic_epi64(w, _mm512_set1_epi64(1ll << 59), w, 0xcf));
	__m512i length = _mm512_permutexvar_epi64(ones, k->length);
	w = _mm512_rolv_epi64(w, length); /* the value's code on top, the time's below */
	__m512i most = _mm512_permutexvar_epi64(ones, k->most);
	__m512i code = _mm512_and_si512(_mm512_add_epi64(w, most),
					_mm512_permutexvar_epi64(ones, k->payload));
	h->delta = _mm512_add_epi64(h->delta, _mm512_sub_epi64(code, most));
	h->t = _mm512_add_epi64(h->t, h->delta);

	__mmask8 changed = _mm512_movepi64_mask(w);
	__mmask8 window =
		_mm512_cmpge_epu64_mask(w, _mm512_set1_epi64((long long)(3ull << 62)));
	__m512i behind = _mm512_permutexvar_epi64(_mm512_srli_epi64(w, 62), k->behind);
	__m512i lead = _mm512_and_si512(_mm512_srli_epi64(w, 57), _mm512_set1_epi64(31));
	/* a width of 0 means 64 */
	__m512i less = _mm512_sub_epi64(_mm512_setzero_si512(), _mm512_srli_epi64(w, 51));
	h->shift = _mm512_mask_and_epi64(h->shift, window, less, low6);
	h->trail = _mm512_mask_sub_epi64(h->trail, window, h->shift, lead);
	__m512i used = _mm512_add_epi64(length, behind), bits;
	__m512i all = _mm512_mask_sub_epi64(used, changed, used, h->shift);
	__mmask8 far = _mm512_cmpgt_epi64_mask(all, _mm512_set1_epi64(57));
	if (far == 0) /* as long as counters change by little */
		bits = _mm512_rolv_epi64(w, behind);
	else
		bits = peek_all(base,
				_mm512_sub_epi64(_mm512_add_epi64(h->pos, used),
						 _mm512_set1_epi64(64)),
				k);
	h->pos = _mm512_add_epi64(h->pos, all);
	bits = _mm512_sllv_epi64(_mm512_srlv_epi64(bits, h->shift), h->trail);
	__m512i v = _mm512_mask_xor_epi64(h->v, changed, h->v, bits);
	*fell = _mm512_ternarylogic_epi64(*fell, v, _mm512_sub_epi64(v, h->v), 0xfe);
	h->v = v;
	/* a distance of 0 and less becomes a number of many bits, as does a negative trail */
	__m512i rise = _mm512_sub_epi64(h->delta, _mm512_set1_epi64(1));
	*odd = _mm512_ternarylogic_epi64(*odd, rise, h->trail, 0xfe);
}

/* Row i of the result is column i of the eight rows at `from`. */
INLINE void transpose(const __m512i *from, __m512i r[HALF])
{
	__m512i a[HALF], b[HALF];
#pragma GCC unroll 8
	for (int i = 0; i < HALF; i += 2) {
		a[i] = _mm512_unpacklo_epi64(from[i], from[i + 1]);
		a[i + 1] = _mm512_unpackhi_epi64(from[i], from[i + 1]);
	}
#pragma GCC unroll 8
	for (int i = 0; i < HALF; i += 4) {
#pragma GCC unroll 8
		for (int k = 0; k < 2; k++) {
			b[i + k] = _mm512_shuffle_i64x2(a[i + k], a[i + k + 2], 0x88);
			b[i + k + 2] = _mm512_shuffle_i64x2(a[i + k], a[i + k + 2], 0xdd);
		}
	}
#pragma GCC unroll 8
	for (int k = 0; k < 4; k++) {
		r[k] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0x88);
		r[k + 4] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0xdd);
	}
}

INLINE void write_out(const __m512i *rows, uint64_t *const to[HALF], size_t at,
		      __mmask8 keep)
{
	__m512i r[HALF];
	transpose(rows, r);
#pragma GCC unroll 8
	for (int i = 0; i < HALF; i++) {
		if (keep == ALL)
			_mm512_storeu_si512(to[i] + at, r[i]);
		else
			_mm512_mask_storeu_epi64(to[i] + at, keep, r[i]);
	}
}

struct lanes {
	uint64_t pos[LANES], t[LANES], delta[LANES], v[LANES], trail[LANES], shift[LANES];
	uint64_t end[LANES]; /* of a lane's data, in bits from base */
	uint32_t count[LANES];
	uint64_t fell;	     /* its sign: see fell() */
	const uint8_t *base; /* the lowest of all data */
	int64_t **to_t;
	double **to_v;
	uint32_t done, total; /* samples of each lane; the least number of all */
};

/* They may lie in two allocations. */
static inline uint64_t bits_between(const uint8_t *base, const uint8_t *p)
{
	return (uint64_t)((uintptr_t)p - (uintptr_t)base) * 8;
}

INLINE struct half load(const struct lanes *l, int i)
{
	return (struct half){
		_mm512_loadu_si512(l->pos + i),	  _mm512_loadu_si512(l->t + i),
		_mm512_loadu_si512(l->delta + i), _mm512_loadu_si512(l->v + i),
		_mm512_loadu_si512(l->trail + i), _mm512_loadu_si512(l->shift + i)
	};
}

INLINE void save(struct lanes *l, int i, const struct half *h)
{
	_mm512_storeu_si512(l->pos + i, h->pos);
	_mm512_storeu_si512(l->t + i, h->t);
	_mm512_storeu_si512(l->delta + i, h->delta);
	_mm512_storeu_si512(l->v + i, h->v);
	_mm512_storeu_si512(l->trail + i, h->trail);
	_mm512_storeu_si512(l->shift + i, h->shift);
}

/*
 * The sign tells whether the value y is negative, or less than x. Their bits are compared as integers, which is the same for
 * numbers that are not.
 */
static inline uint64_t fell(uint64_t x, uint64_t y)
{
	return y | (y - x);
}

static uint64_t fell_among(const double *v, size_t n, uint64_t last)
{
	uint64_t any = 0, x;
	for (size_t i = 0; i < n; i++, last = x) {
		memcpy(&x, v + i, 8);
		any |= fell(last, x);
	}
	return any;
}

/* Up to n more samples of lane i by itself. */
static int alone(struct lanes *l, int i, size_t n)
{
	struct xor_state s = { .p = l->base + (l->pos[i] >> 3),
			       .end = l->base + (l->end[i] >> 3),
			       .bit = l->pos[i] & 7,
			       .total = l->count[i],
			       .done = l->done,
			       .t = (int64_t)l->t[i],
			       .delta = l->delta[i],
			       .v = l->v[i],
			       .trail = (unsigned)l->trail[i],
			       .sig = 64 - (unsigned)l->shift[i] };
	struct err e = ERR_INIT;
	double *v = l->to_v[i] + l->done;
	size_t got;
	n = MIN(n, s.total - s.done);
	if (xor_run(&s, l->to_t[i] + l->done, v, n, &got, &e) < 0)
		return -1;
	l->fell |= fell_among(v, n, l->v[i]);
	l->pos[i] = l->end[i] - ((uint64_t)(s.end - s.p) * 8 - s.bit);
	l->t[i] = (uint64_t)s.t;
	l->delta[i] = s.delta;
	l->v[i] = s.v;
	l->trail[i] = s.trail;
	l->shift[i] = 64 - s.sig;
	return 0;
}

/* Up to n more samples of each lane, one lane after the other. */
static int one_by_one(struct lanes *l, size_t n)
{
	for (int i = 0; i < LANES; i++)
		if (l->done < l->count[i] && alone(l, i, n) < 0)
			return -1;
	return 0;
}

/* All lanes. */
struct all {
	struct half h[VECTORS];
	__m512i odd;  /* bits of distances and of trails: a high one tells what is rare */
	__m512i fell; /* its sign: see fell() */
};

/* n more samples of all lanes, a block at most; false: there is a rare one among them, and nothing was done. */
INLINE bool block(struct lanes *l, struct all *x, const struct tables *k, int n)
{
	const __mmask8 keep = (__mmask8)((1u << n) - 1);
	struct all y = *x;
	__m512i t[VECTORS][STEPS], v[VECTORS][STEPS];
	y.odd = _mm512_setzero_si512();
	for (int i = 0; i < n; i++) {
#pragma GCC unroll 8
		for (int j = 0; j < VECTORS; j++) {
			step(&y.h[j], l->base, k, &y.odd, &y.fell);
			t[j][i] = y.h[j].t;
			v[j][i] = y.h[j].v;
		}
	}
	y.odd = _mm512_srli_epi64(y.odd, SANE_DELTA);
	__mmask8 rare = _mm512_test_epi64_mask(y.odd, y.odd);
#pragma GCC unroll 8
	for (int j = 0; j < VECTORS; j++)
		rare |= _mm512_cmpgt_epu64_mask(y.h[j].pos,
						_mm512_loadu_si512(l->end + j * HALF)) |
			_mm512_cmpgt_epi64_mask(y.h[j].t, _mm512_set1_epi64(SANE_TIME));
	if (rare)
		return false;
#pragma GCC unroll 8
	for (int j = 0; j < VECTORS; j++) {
		for (int i = n; i < STEPS; i++)
			t[j][i] = v[j][i] = y.h[j].t;
		write_out(t[j], (uint64_t **)l->to_t + j * HALF, l->done, keep);
		write_out(v[j], (uint64_t **)l->to_v + j * HALF, l->done, keep);
	}
	l->done += (uint32_t)n;
	*x = y;
	return true;
}

/*
 * Samples of all lanes, until a block has a rare one or a lane has no more; the states are those behind the last block. False:
 * there is a rare one.
 */
TARGET static bool blocks(struct lanes *l)
{
	const struct tables k = tables_make();
	struct all x;
	bool whole = true;
#pragma GCC unroll 8
	for (int j = 0; j < VECTORS; j++) {
		x.h[j] = load(l, j * HALF);
		whole &= !_mm512_cmpgt_epi64_mask(x.h[j].t, _mm512_set1_epi64(SANE_TIME));
	}
	x.fell = _mm512_setzero_si512();
	while (whole && l->total - l->done >= STEPS)
		whole = block(l, &x, &k, STEPS);
	if (whole && l->done < l->total)
		whole = block(l, &x, &k, (int)(l->total - l->done));
#pragma GCC unroll 8
	for (int j = 0; j < VECTORS; j++)
		save(l, j * HALF, &x.h[j]);
	l->fell |= (uint64_t)(_mm512_movepi64_mask(x.fell) != 0) << 63;
	return whole;
}

/*
 * Lanes whose data can be looked at where they lie: as many bytes as a block may read too far belong to the chunks that lie
 * right behind them. What is seen there does not matter, since a block that passes an end is undone.
 */
static uint64_t in_place(const struct chunk_part *c)
{
	const uint8_t *known = c[LANES - 1].p; /* to here from the end of c[i] on */
	uint64_t lanes = 0;
	for (int i = LANES; i-- > 0;) {
		const uint8_t *end = c[i].p + c[i].n;
		if (i == LANES - 1 || end != c[i + 1].p)
			known = end;
		lanes |= (uint64_t)((size_t)(known - end) >= PAD) << i;
	}
	return lanes;
}

/* A varint of eight bytes at most, which are there; its length, 0: it is longer. */
INLINE unsigned short_varint(const uint8_t *p, uint64_t *v)
{
	uint64_t x;
	memcpy(&x, p, 8);
	uint64_t stop = ~x & 0x8080808080808080;
	*v = _pext_u64(x & (stop ^ (stop - 1)), 0x7f7f7f7f7f7f7f7f);
	return stop ? ((unsigned)__builtin_ctzll(stop) >> 3) + 1 : 0;
}

/*
 * The first two samples of lane i, which are coded in another way, from p on. PAD bytes can be read behind its end. False: they
 * are not as nearly all are.
 */
TARGET static bool head(struct lanes *l, int i, const uint8_t *p)
{
	uint64_t t, v, delta, bits = 0;
	unsigned n, used = 1, trail = 0, sig = 64;
	if ((n = short_varint(p += 2, &t)) == 0)
		return false;
	v = bits_load_be64(p += n);
	if ((n = short_varint(p += 8, &delta)) == 0 || delta - 1 >= 1ull << SANE_DELTA)
		return false;
	t = t >> 1 ^ -(t & 1); /* of 56 bits */
	uint64_t w = bits_load_be64(p += n);
	if (w >> 63) {
		unsigned lead = (unsigned)(w << 2 >> 59);
		sig = (unsigned)(w << 7 >> 58);
		if (!(w >> 62 & 1) || sig == 0 || lead + sig > 64)
			return false;
		used = 13 + sig;
		trail = 64 - lead - sig;
		bits = (w << 13 | bits_load_be64(p + 8) >> 51) >> (64 - sig) << trail;
	}
	l->pos[i] = bits_between(l->base, p) + used;
	if (l->pos[i] > l->end[i])
		return false;
	l->t[i] = t + delta;
	l->delta[i] = delta;
	l->v[i] = v ^ bits;
	l->trail[i] = trail;
	l->shift[i] = 64 - sig;
	l->to_t[i][0] = (int64_t)t;
	l->to_t[i][1] = (int64_t)(t + delta);
	memcpy(l->to_v[i], &v, 8);
	memcpy(l->to_v[i] + 1, &l->v[i], 8);
	l->fell |= v | fell(v, l->v[i]);
	return true;
}

/* The first two samples of each lane. */
static int heads(struct lanes *l, const uint8_t *const from[LANES])
{
	struct err e = ERR_INIT;
	for (int i = 0; i < LANES; i++) {
		struct xor_state s;
		size_t n = (l->end[i] - bits_between(l->base, from[i])) / 8;
		if (xor_begin(&s, from[i], n, false, &e) < 0)
			return -1;
		l->count[i] = s.total;
		l->total = MIN(l->total, s.total);
		if (n < 2 || s.total < 2)
			return -1;
		if (head(l, i, from[i]))
			continue;
		l->pos[i] = bits_between(l->base, s.p);
		l->t[i] = l->delta[i] = l->v[i] = l->trail[i] = l->shift[i] = 0;
		if (alone(l, i, 2) < 0)
			return -1;
	}
	l->done = 2;
	return 0;
}

static int begin(struct lanes *l, const struct chunk_part *c, uint8_t *scratch)
{
	const uint64_t there = in_place(c);
	const uint8_t *from[LANES];
	uint8_t *to = scratch;
	l->total = UINT32_MAX;
	l->base = scratch;
	for (int i = 0; i < LANES; i++) {
		from[i] = c[i].p;
		if (!(there >> i & 1)) {
			memcpy(to, c[i].p, c[i].n);
			memset(to + c[i].n, 0, PAD);
			from[i] = to;
			to += c[i].n + PAD;
		}
		if ((uintptr_t)from[i] < (uintptr_t)l->base)
			l->base = from[i];
	}
	for (int i = 0; i < LANES; i++)
		l->end[i] = bits_between(l->base, from[i] + c[i].n);
	return heads(l, from);
}

bool chunk_wide_usable(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

size_t chunk_wide_scratch(const struct chunk_part *c)
{
	const uint64_t there = in_place(c);
	size_t n = 16;
	for (int i = 0; i < LANES; i++)
		n += there >> i & 1 ? 0 : c[i].n + PAD;
	return n;
}

/* Behind the last samples. */
static bool rises(const struct lanes *l)
{
	uint64_t most = 0, inf;
	const double infinity = __builtin_inf();
	memcpy(&inf, &infinity, 8);
	for (int i = 0; i < LANES; i++)
		most = MAX(most, l->v[i]);
	return l->fell >> 63 == 0 && most <= inf;
}

int chunk_xor_decode_wide(const struct chunk_part *c, uint8_t *scratch, int64_t **t,
			  double **v, bool *rise)
{
	struct lanes l;
	l.fell = 0;
	l.done = 0;
	l.to_t = t;
	l.to_v = v;
	int rc = begin(&l, c, scratch);
	while (rc == 0 && l.done < l.total && !blocks(&l)) {
		size_t n = MIN((size_t)STEPS, l.total - l.done);
		rc = one_by_one(&l, n);
		l.done += (uint32_t)n;
	}
	if (rc < 0 || one_by_one(&l, SIZE_MAX) < 0)
		return 1;
	*rise = rises(&l);
	return 0;
}

#else

bool chunk_wide_usable(void)
{
	return false;
}

size_t chunk_wide_scratch(const struct chunk_part *c)
{
	(void)c;
	return 0;
}

int chunk_xor_decode_wide(const struct chunk_part *c, uint8_t *scratch, int64_t **t,
			  double **v, bool *rise)
{
	(void)c, (void)scratch, (void)t, (void)v, (void)rise;
	return 1;
}

#endif
