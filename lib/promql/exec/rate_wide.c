/*
 * promql/exec/rate_wide.c - eight steps of a rate at once.
 *
 * Scrapes are regular: from step to step both ends of the window pass as many samples as before. So the ends of eight
 * windows are guessed, and comparing the times on both sides of each end proves them. A guess that is wrong, a reset of the
 * counter, and windows of which some are short are left to fn_rate.c.
 *
 * The unit that divides is what bounds rates. Three of the divisors (1000, the range, the number of gaps) stay the same for many
 * steps: there the quotient is found by multiplication with the reciprocal and corrected by the remainder, which fused
 * multiplication gives exactly. The result is the rounded quotient, bit for bit (Markstein's theorem: a quotient that is off by
 * less than its last digit is made right by one such step, if the reciprocal is rounded right and the divisor's digits are not all
 * ones). The product with the reciprocal is that near if the reciprocal itself is off by 2^-54 at most, which is half of what
 * rounding may do; else one more step brings it there.
 */
#include "promql/exec/rate_wide.h"

#include <math.h>

#include "promql/exec/lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512dq,avx512vl,fma")))
#define INLINE static inline __attribute__((always_inline)) TARGET
#define ALL    ((__mmask8)0xff)

bool rate_wide_usable(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
}

static bool digits_all_ones(double d)
{
	const uint64_t digits = ((uint64_t)1 << 52) - 1;
	uint64_t u;
	memcpy(&u, &d, sizeof(u));
	return (u & digits) == digits;
}

static struct divisor divisor_of(double b)
{
	double inv = 1 / b;
	return (struct divisor){ b, inv, fabs(fma(inv, b, -1)) > 0x1p-54 };
}

bool rate_wide_open(struct rate_wide *r, const struct range_call *c,
		    const struct series_cols *s, bool counter, double seconds)
{
	if (c->fixed || c->grid.n < RATE_WIDE || s->n < 2 * RATE_WIDE || s->h ||
	    digits_all_ones(seconds) || !rate_wide_usable())
		return false;
	*r = (struct rate_wide){ .c = c,
				 .s = s,
				 .counter = counter,
				 .seconds = divisor_of(seconds),
				 .gaps = divisor_of(1),
				 .reset = s->rise ? s->n : 0 };
	return true;
}

/* a / b; a is 0 or far from the least and largest numbers. */
INLINE __m512d divide(__m512d a, const struct divisor *b)
{
	__m512d d = _mm512_set1_pd(b->value), inv = _mm512_set1_pd(b->inverse), q, rest;
	q = _mm512_mul_pd(a, inv);
	if (b->twice) {
		rest = _mm512_fnmadd_pd(q, d, a);
		q = _mm512_fmadd_pd(rest, inv, q);
	}
	rest = _mm512_fnmadd_pd(q, d, a);
	return _mm512_fmadd_pd(rest, inv, q);
}

INLINE __m512d seconds_of(__m512i ms)
{
	/* 1/1000 is off by 2^-55.4 */
	const struct divisor thousand = { 1000, 1. / 1000, false };
	return divide(_mm512_cvtepi64_pd(ms), &thousand);
}

static void set_bits(uint64_t *bits, uint32_t i)
{
	uint32_t word = i / 64, shift = i % 64;
	bits[word] |= (uint64_t)0xff << shift;
	if (shift > 56)
		bits[word + 1] |= (uint64_t)0xff >> (64 - shift);
}

/* What lies at lo[-1], lo[0], hi[-1] and hi[0] of each window. */
struct ends {
	__m512i before, first, last, behind;
};

/* Extrapolated to the ends of the window, as fn_rate.c does it. */
INLINE __m512d extrapolate(const struct rate_wide *r, const struct ends *t, __m512i from,
			   __m512i to, __m512d v0, __m512d diff)
{
	__m512d start = seconds_of(_mm512_sub_epi64(t->first, from)),
		end = seconds_of(_mm512_sub_epi64(to, t->last)),
		sampled = seconds_of(_mm512_sub_epi64(t->last, t->first));
	__m512d avg = divide(sampled, &r->gaps);
	__m512d threshold = _mm512_mul_pd(avg, _mm512_set1_pd(1.1)),
		half = _mm512_mul_pd(avg, _mm512_set1_pd(0.5));
	__mmask8 far = _mm512_cmp_pd_mask(start, threshold, _CMP_GE_OQ);
	start = _mm512_mask_mov_pd(start, far, half);
	if (r->counter) { /* it cannot have been below zero: see may_cross in fn_rate.c */
		const __m512d zero = _mm512_setzero_pd();
		__mmask8 cross = _mm512_cmp_pd_mask(diff, zero, _CMP_GT_OQ) &
				 _mm512_cmp_pd_mask(v0, zero, _CMP_GE_OQ);
		if (r->gaps.value > 1)
			cross &= ~_mm512_cmp_pd_mask(v0, diff, _CMP_GE_OQ);
		if (cross) {
			__m512d to_zero =
				_mm512_mul_pd(sampled,
					      _mm512_maskz_div_pd(cross, v0, diff));
			cross &= _mm512_cmp_pd_mask(to_zero, start, _CMP_LT_OQ);
			start = _mm512_mask_mov_pd(start, cross, to_zero);
		}
	}
	far = _mm512_cmp_pd_mask(end, threshold, _CMP_GE_OQ);
	end = _mm512_mask_mov_pd(end, far, half);
	__m512d factor =
		_mm512_div_pd(_mm512_add_pd(_mm512_add_pd(sampled, start), end), sampled);
	return _mm512_mul_pd(diff, divide(factor, &r->seconds));
}

/* Both of a pair at every pace-th place, p[0] and p[1] first. */
INLINE void load_pairs(const int64_t *p, size_t pace, __m512i *one, __m512i *other)
{
	__m512i even = _mm512_setzero_si512(), odd = even;
#define PAIR(k) _mm_loadu_si128((const __m128i *)(p + (k)*pace))
	even = _mm512_inserti64x2(_mm512_castsi128_si512(PAIR(0)), PAIR(2), 1);
	odd = _mm512_inserti64x2(_mm512_castsi128_si512(PAIR(1)), PAIR(3), 1);
	even = _mm512_inserti64x2(_mm512_inserti64x2(even, PAIR(4), 2), PAIR(6), 3);
	odd = _mm512_inserti64x2(_mm512_inserti64x2(odd, PAIR(5), 2), PAIR(7), 3);
#undef PAIR
	*one = _mm512_unpacklo_epi64(even, odd);
	*other = _mm512_unpackhi_epi64(even, odd);
}

/* What the register held before must not be waited for: the compiler takes any, and a gather merges. */
INLINE __m512d gather(const double *p, __m512i at)
{
	__m512d from = _mm512_setzero_pd();
	__mmask8 all = ALL;
	__asm__("" : "+v"(from), "+Yk"(all));
	return _mm512_mask_i64gather_pd(from, all, at, p, 8);
}

/* Eight windows, the first of which is [lo, hi) and ends at `to`, the first lane. False: it is not as guessed. */
INLINE bool eight(const struct rate_wide *r, size_t lo, size_t hi, size_t pace,
		  __m512i at, __m512i to, double *out)
{
	const struct series_cols *s = r->s;
	const __m512i from = _mm512_sub_epi64(to, _mm512_set1_epi64(r->c->range_ms));
	struct ends t;
	load_pairs(s->t_ms + lo - 1, pace, &t.before, &t.first);
	load_pairs(s->t_ms + hi - 1, pace, &t.last, &t.behind);
	__mmask8 right = _mm512_cmple_epi64_mask(t.before, from) &
			 _mm512_cmpgt_epi64_mask(t.first, from) &
			 _mm512_cmple_epi64_mask(t.last, to) &
			 _mm512_cmpgt_epi64_mask(t.behind, to) &
			 _mm512_cmpgt_epi64_mask(t.last, t.first);
	__m512d first = gather(s->v + lo, at), last = gather(s->v + hi - 1, at);
	if (right != ALL)
		return false;
	_mm512_storeu_pd(out,
			 extrapolate(r, &t, from, to, first, _mm512_sub_pd(last, first)));
	return true;
}

/* The window passed over as many steps. */
static void count(const struct range_call *c, struct window *w, uint32_t i,
		  uint32_t steps, size_t n)
{
	if (steps && c->tally)
		tally_add_even(c->tally, i, steps, n, w->lo_pace, w->hi);
	w->seen += steps * n;
	if (w->seen >= WINDOW_POLL) {
		w->seen = 0;
		w->over = ctx_is_over(c->ctx);
	}
}

TARGET uint32_t rate_wide_steps(struct rate_wide *r, struct window *w, uint32_t i,
				struct row *out)
{
	const struct series_cols *s = r->s;
	const struct range_call *c = r->c;
	const size_t pace = w->lo_pace, n = w->hi - w->lo, ahead = RATE_WIDE * pace;
	const __m512i order = _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7);
	if (pace == 0 || pace != w->hi_pace || n < 2 || w->over)
		return 0;
	if (r->gaps.value != (double)(n - 1))
		r->gaps = divisor_of((double)(n - 1));
	const __m512i at = _mm512_mullo_epi64(order, _mm512_set1_epi64((long long)pace)),
		      on = _mm512_set1_epi64(RATE_WIDE * c->grid.step_ms);
	__m512i to =
		_mm512_add_epi64(_mm512_set1_epi64(range_ref(c, i)),
				 _mm512_mullo_epi64(order,
						    _mm512_set1_epi64(c->grid.step_ms)));
	const uint32_t most = MIN(c->grid.n - i, (uint32_t)(WINDOW_POLL / n) + RATE_WIDE);
	uint32_t k = 0;
	for (; k + RATE_WIDE <= most; k += RATE_WIDE) {
		size_t lo = w->lo + pace, hi = w->hi + pace;
		if (hi + ahead - pace >= s->n)
			break;
		if (r->counter && r->reset <= lo)
			r->reset = lanes_find_fall(s->v, lo + 1, s->n);
		if (r->counter && r->reset < hi + ahead - pace)
			break;
		if (!eight(r, lo, hi, pace, at, to, out->v + i + k))
			break;
		set_bits(out->bits, i + k);
		to = _mm512_add_epi64(to, on);
		w->lo += ahead;
		w->hi += ahead;
	}
	count(c, w, i, k, n);
	return k;
}

#else

bool rate_wide_usable(void)
{
	return false;
}

bool rate_wide_open(struct rate_wide *r, const struct range_call *c,
		    const struct series_cols *s, bool counter, double seconds)
{
	(void)r, (void)c, (void)s, (void)counter, (void)seconds;
	return false;
}

uint32_t rate_wide_steps(struct rate_wide *r, struct window *w, uint32_t i,
			 struct row *out)
{
	(void)r, (void)w, (void)i, (void)out;
	return 0;
}

#endif
