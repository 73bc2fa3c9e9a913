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
 */
#include "tsdb/chunk/xor.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512cd,avx512bw,avx512dq,avx512vl,bmi2")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define HALF   8 /* lanes of a vector */
#define STEPS                                                                            \
	8 /* samples between two looks at what is rare; a block of the transposition */

/* Eight lanes in registers. */
struct half {
	__m512i pos; /* in bits from base */
	__m512i t, delta, v, trail, sig;
};

/* By the number of leading ones of a time code: its bits in all, and how many of 64 are not its payload. */
struct tables {
	__m512i length, drop;
	__m512i value_length; /* by the two control bits of a value */
	__m512i swap;
};

INLINE struct tables tables_make(void)
{
	return (struct tables){
		_mm512_setr_epi64(1, 16, 20, 24, 0, 0, 0, 0),
		_mm512_setr_epi64(64, 50, 47, 44, 0, 0, 0, 0),
		_mm512_setr_epi64(1, 1, 2, 13, 0, 0, 0, 0),
		_mm512_broadcast_i32x4(_mm_setr_epi8(7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13,
						     12, 11, 10, 9, 8)),
	};
}

/* At least 57 bits from pos of each lane, at the top. */
INLINE __m512i peek(const uint8_t *base, __m512i pos, const struct tables *k)
{
	__m512i raw = _mm512_i64gather_epi64(_mm512_srli_epi64(pos, 3), base, 1);
	return _mm512_sllv_epi64(_mm512_shuffle_epi8(raw, k->swap),
				 _mm512_and_si512(pos, _mm512_set1_epi64(7)));
}

/* The ninth byte's share of 64 bits from pos. */
INLINE __m512i last_bits(const uint8_t *base, __m512i pos)
{
	__m512i at = _mm512_add_epi64(_mm512_srli_epi64(pos, 3), _mm512_set1_epi64(1));
	__m512i raw = _mm512_i64gather_epi64(at, base, 1);
	__m512i shift = _mm512_sub_epi64(_mm512_set1_epi64(8),
					 _mm512_and_si512(pos, _mm512_set1_epi64(7)));
	return _mm512_srlv_epi64(_mm512_srli_epi64(raw, 56), shift);
}

/* One sample of each lane; the lanes for which it is a rare one. */
INLINE __mmask8 step(struct half *h, const uint8_t *base, const struct tables *k)
{
	const __m512i four = _mm512_set1_epi64(4), all = _mm512_set1_epi64(64),
		      one = _mm512_set1_epi64(1);
	__m512i w = peek(base, h->pos, k);
	__m512i ones = _mm512_lzcnt_epi64(_mm512_xor_si512(w, _mm512_set1_epi64(-1)));
	__mmask8 rare = _mm512_cmpge_epu64_mask(ones, four);
	__m512i length = _mm512_permutexvar_epi64(ones, k->length);
	__m512i drop = _mm512_permutexvar_epi64(ones, k->drop);
	/* n bits hold -(2^(n-1)-1)..2^(n-1); without a code nothing is added */
	__m512i code = _mm512_sllv_epi64(w, _mm512_add_epi64(ones, one));
	code = _mm512_sub_epi64(code, _mm512_sllv_epi64(one, drop));
	code = _mm512_srav_epi64(code, drop);
	code = _mm512_maskz_add_epi64(_mm512_movepi64_mask(w), code, one);
	h->delta = _mm512_add_epi64(h->delta, code);

	w = _mm512_sllv_epi64(w, length);
	__m512i control = _mm512_srli_epi64(w, 62);
	__mmask8 changed = _mm512_movepi64_mask(w);
	__mmask8 window = _mm512_cmpeq_epi64_mask(control, _mm512_set1_epi64(3));
	__m512i lead = _mm512_srli_epi64(_mm512_slli_epi64(w, 2), 59);
	__m512i sig = _mm512_srli_epi64(_mm512_slli_epi64(w, 7), 58);
	sig = _mm512_mask_mov_epi64(sig, _mm512_testn_epi64_mask(sig, sig), all);
	h->sig = _mm512_mask_mov_epi64(h->sig, window, sig);
	h->trail =
		_mm512_mask_sub_epi64(h->trail, window, _mm512_sub_epi64(all, lead), sig);
	rare |= _mm512_movepi64_mask(h->trail);
	__m512i behind = _mm512_permutexvar_epi64(control, k->value_length);
	__m512i used = _mm512_add_epi64(length, behind), bits;
	__m512i at = _mm512_add_epi64(h->pos, used);
	__mmask8 far =
		_mm512_mask_cmpgt_epi64_mask(changed, _mm512_add_epi64(used, h->sig),
					     _mm512_set1_epi64(57));
	if (far == 0) { /* as long as counters change by little */
		bits = _mm512_sllv_epi64(w, behind);
	} else {
		bits = peek(base, at, k);
		__mmask8 wide = _mm512_mask_cmpgt_epi64_mask(changed, h->sig,
							     _mm512_set1_epi64(57));
		if (__builtin_expect(wide != 0, 0))
			bits = _mm512_or_si512(bits, last_bits(base, at));
	}
	bits = _mm512_srlv_epi64(bits, _mm512_sub_epi64(all, h->sig));
	h->v = _mm512_mask_xor_epi64(h->v, changed, h->v,
				     _mm512_sllv_epi64(bits, h->trail));
	h->pos = _mm512_mask_add_epi64(at, changed, at, h->sig);
	__m512i t = _mm512_add_epi64(h->t, h->delta);
	rare |= _mm512_cmple_epi64_mask(t, h->t);
	h->t = t;
	return rare;
}

/* Row i of the result is column i of r. */
INLINE void transpose(__m512i r[HALF])
{
	__m512i a[HALF], b[HALF];
	for (int i = 0; i < HALF; i += 2) {
		a[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
		a[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
	}
	for (int i = 0; i < HALF; i += 4)
		for (int k = 0; k < 2; k++) {
			b[i + k] = _mm512_shuffle_i64x2(a[i + k], a[i + k + 2], 0x88);
			b[i + k + 2] = _mm512_shuffle_i64x2(a[i + k], a[i + k + 2], 0xdd);
		}
	for (int k = 0; k < 4; k++) {
		r[k] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0x88);
		r[k + 4] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0xdd);
	}
}

INLINE void write_out(__m512i rows[STEPS], uint64_t *const to[HALF], size_t at)
{
	transpose(rows);
	for (int i = 0; i < HALF; i++)
		_mm512_storeu_si512(to[i] + at, rows[i]);
}

#define LANES CHUNK_WIDE
#define PAD   128u /* more than a block of samples can read past the end */

struct lanes {
	struct xor_state state[LANES];
	uint64_t end[LANES]; /* of a lane's data, in bits from base */
	const uint8_t *base; /* the lowest of all data */
	int64_t **t;
	double **v;
	uint32_t done, total; /* samples of each lane; the least number of all */
};

/* They may lie in two allocations. */
static inline uint64_t bits_between(const uint8_t *base, const uint8_t *p)
{
	return (uint64_t)((uintptr_t)p - (uintptr_t)base) * 8;
}

TARGET static struct half load(const struct lanes *l, int first)
{
	uint64_t a[6][HALF];
	for (int i = 0; i < HALF; i++) {
		const struct xor_state *s = &l->state[first + i];
		a[0][i] = bits_between(l->base, s->p) + s->bit;
		a[1][i] = (uint64_t)s->t;
		a[2][i] = s->delta;
		a[3][i] = s->v;
		a[4][i] = s->trail;
		a[5][i] = s->sig;
	}
	return (struct half){ _mm512_loadu_si512(a[0]), _mm512_loadu_si512(a[1]),
			      _mm512_loadu_si512(a[2]), _mm512_loadu_si512(a[3]),
			      _mm512_loadu_si512(a[4]), _mm512_loadu_si512(a[5]) };
}

TARGET static void save(struct lanes *l, int first, const struct half *h)
{
	uint64_t a[6][HALF];
	_mm512_storeu_si512(a[0], h->pos);
	_mm512_storeu_si512(a[1], h->t);
	_mm512_storeu_si512(a[2], h->delta);
	_mm512_storeu_si512(a[3], h->v);
	_mm512_storeu_si512(a[4], h->trail);
	_mm512_storeu_si512(a[5], h->sig);
	for (int i = 0; i < HALF; i++) {
		struct xor_state *s = &l->state[first + i];
		s->p = l->base + (a[0][i] >> 3);
		s->bit = a[0][i] & 7;
		s->t = (int64_t)a[1][i];
		s->delta = a[2][i];
		s->v = a[3][i];
		s->trail = (unsigned)a[4][i];
		s->sig = (unsigned)a[5][i];
		s->done = l->done;
	}
}

/* Up to n more samples of each lane, one lane after the other. */
static int one_by_one(struct lanes *l, size_t n, struct err *e)
{
	for (int i = 0; i < LANES; i++) {
		struct xor_state *s = &l->state[i];
		size_t got, want = MIN(n, s->total - s->done);
		if (xor_run(s, l->t[i] + s->done, l->v[i] + s->done, want, &got, e) < 0)
			return -1;
		if (got < want)
			return 1;
	}
	return 0;
}

/* Samples of both halves as they are decoded, a row a sample. */
struct rows {
	__m512i t[2][STEPS], v[2][STEPS];
};

INLINE __mmask8 step_both(struct half *a, struct half *b, const uint8_t *base,
			  const struct tables *k, struct rows *r, int i)
{
	__mmask8 rare = step(a, base, k);
	rare |= step(b, base, k);
	r->t[0][i] = a->t;
	r->v[0][i] = a->v;
	r->t[1][i] = b->t;
	r->v[1][i] = b->v;
	return rare;
}

/* The last samples that all lanes have, fewer than a block; false: there is a rare one among them. */
TARGET static bool last_block(struct lanes *l, struct half *a, struct half *b,
			      const struct tables *k)
{
	const int n = (int)(l->total - l->done);
	const __mmask8 keep = (__mmask8)((1u << n) - 1);
	struct half a1 = *a, b1 = *b;
	struct rows r;
	__mmask8 rare = 0;
	for (int i = 0; i < n; i++)
		rare |= step_both(&a1, &b1, l->base, k, &r, i);
	rare |= _mm512_cmpgt_epu64_mask(a1.pos, _mm512_loadu_si512(l->end)) |
		_mm512_cmpgt_epu64_mask(b1.pos, _mm512_loadu_si512(l->end + HALF));
	if (rare)
		return false;
	for (int i = n; i < STEPS; i++)
		r.t[0][i] = r.v[0][i] = r.t[1][i] = r.v[1][i] = a1.t;
	for (int h = 0; h < 2; h++) {
		transpose(r.t[h]);
		transpose(r.v[h]);
		for (int i = 0; i < HALF; i++) {
			_mm512_mask_storeu_epi64(l->t[h * HALF + i] + l->done, keep,
						 r.t[h][i]);
			_mm512_mask_storeu_epi64(l->v[h * HALF + i] + l->done, keep,
						 r.v[h][i]);
		}
	}
	*a = a1;
	*b = b1;
	l->done = l->total;
	return true;
}

/*
 * Samples of all lanes, until a block has a rare one or a lane has no more; the states are those behind the last block. False:
 * there is a rare one.
 */
TARGET static bool blocks(struct lanes *l)
{
	for (int i = 0; i < LANES; i++)
		if (l->state[i].in_tail) /* its last bytes lie elsewhere */
			return l->done == l->total;
	const struct tables k = tables_make();
	struct half a = load(l, 0), b = load(l, HALF);
	const __m512i end_a = _mm512_loadu_si512(l->end),
		      end_b = _mm512_loadu_si512(l->end + HALF);
	bool whole = true;
	while (whole && l->total - l->done >= STEPS) {
		const struct half a0 = a, b0 = b;
		struct rows r;
		__mmask8 rare = 0;
		for (int i = 0; i < STEPS; i++)
			rare |= step_both(&a, &b, l->base, &k, &r, i);
		rare |= _mm512_cmpgt_epu64_mask(a.pos, end_a) |
			_mm512_cmpgt_epu64_mask(b.pos, end_b);
		if (rare) {
			a = a0;
			b = b0;
			whole = false;
			continue;
		}
		write_out(r.t[0], (uint64_t **)l->t, l->done);
		write_out(r.v[0], (uint64_t **)l->v, l->done);
		write_out(r.t[1], (uint64_t **)l->t + HALF, l->done);
		write_out(r.v[1], (uint64_t **)l->v + HALF, l->done);
		l->done += STEPS;
	}
	if (whole && l->done < l->total)
		whole = last_block(l, &a, &b, &k);
	save(l, 0, &a);
	save(l, HALF, &b);
	return whole;
}

/*
 * Lanes whose data can be looked at where they lie: as many bytes as a block may read too far belong to the chunks that lie
 * right behind them. What is seen there does not matter, since a block that passes an end is undone.
 */
static uint32_t in_place(const struct chunk_part *c)
{
	const uint8_t *known = c[LANES - 1].p; /* to here from the end of c[i] on */
	uint32_t lanes = 0;
	for (int i = LANES; i-- > 0;) {
		const uint8_t *end = c[i].p + c[i].n;
		if (i == LANES - 1 || end != c[i + 1].p)
			known = end;
		lanes |= (uint32_t)((size_t)(known - end) >= PAD) << i;
	}
	return lanes;
}

static int begin(struct lanes *l, const struct chunk_part *c, uint8_t *scratch,
		 struct err *e)
{
	const uint32_t there = in_place(c);
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
		if (xor_begin(&l->state[i], from[i], c[i].n, false, e) < 0)
			return -1;
		l->total = MIN(l->total, l->state[i].total);
		if ((uintptr_t)from[i] < (uintptr_t)l->base)
			l->base = from[i];
	}
	for (int i = 0; i < LANES; i++)
		l->end[i] = bits_between(l->base, from[i] + c[i].n);
	return one_by_one(l, 2, e); /* they are coded in another way */
}

bool chunk_wide_usable(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

size_t chunk_wide_scratch(const struct chunk_part *c)
{
	const uint32_t there = in_place(c);
	size_t n = 16;
	for (int i = 0; i < LANES; i++)
		n += there >> i & 1 ? 0 : c[i].n + PAD;
	return n;
}

int chunk_xor_decode_wide(const struct chunk_part *c, uint8_t *scratch, int64_t **t,
			  double **v)
{
	struct lanes l = { .t = t, .v = v };
	struct err e = ERR_INIT;
	int rc = begin(&l, c, scratch, &e);
	if (rc == 0)
		l.done = 2;
	while (rc == 0 && !blocks(&l)) {
		size_t n = MIN((size_t)STEPS, l.total - l.done);
		rc = one_by_one(&l, n, &e);
		l.done += (uint32_t)n;
	}
	return rc == 0 && one_by_one(&l, SIZE_MAX, &e) == 0 ? 0 : 1;
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
			  double **v)
{
	(void)c, (void)scratch, (void)t, (void)v;
	return 1;
}

#endif
