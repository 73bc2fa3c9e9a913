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
 * ones; the first of the two steps makes it so).
 */
#include "promql/exec/rate_wide.h"

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

bool rate_wide_open(struct rate_wide *r, const struct range_call *c,
		    const struct series_cols *s, bool counter, double seconds)
{
	if (c->fixed || c->grid.n < RATE_WIDE || s->n < 2 * RATE_WIDE || s->h ||
	    digits_all_ones(seconds) || !rate_wide_usable())
		return false;
	*r = (struct rate_wide){ .c = c,
				 .s = s,
				 .counter = counter,
				 .seconds = seconds,
				 .per_second = 1 / seconds,
				 .gaps = 1,
				 .reset = s->rise ? s->n : 0,
				 .per_gap = 1 };
	return true;
}

/* a / b, y = 1 / b rounded; a is 0 or far from the least and largest numbers. */
INLINE __m512d divide(__m512d a, double b, double y)
{
	__m512d d = _mm512_set1_pd(b), inv = _mm512_set1_pd(y), q, rest;
	q = _mm512_mul_pd(a, inv);
	rest = _mm512_fnmadd_pd(q, d, a);
	q = _mm512_fmadd_pd(rest, inv, q);
	rest = _mm512_fnmadd_pd(q, d, a);
	return _mm512_fmadd_pd(rest, inv, q);
}

INLINE __m512d seconds_of(__m512i ms)
{
	return divide(_mm512_cvtepi64_pd(ms), 1000, 1. / 1000);
}

static void count(const struct range_call *c, struct window *w, uint32_t i, size_t n)
{
	if (c->tally)
		tally_add_even(c->tally, i, RATE_WIDE, n, w->lo_pace, w->hi);
	w->seen += RATE_WIDE * n;
	if (w->seen >= WINDOW_POLL) {
		w->seen = 0;
		w->over = ctx_is_over(c->ctx);
	}
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
	__m512d avg = divide(sampled, r->gaps, r->per_gap);
	__m512d threshold = _mm512_mul_pd(avg, _mm512_set1_pd(1.1)),
		half = _mm512_mul_pd(avg, _mm512_set1_pd(0.5));
	__mmask8 far = _mm512_cmp_pd_mask(start, threshold, _CMP_GE_OQ);
	start = _mm512_mask_mov_pd(start, far, half);
	if (r->counter) { /* it cannot have been below zero: see may_cross in fn_rate.c */
		const __m512d zero = _mm512_setzero_pd();
		__mmask8 cross = _mm512_cmp_pd_mask(diff, zero, _CMP_GT_OQ) &
				 _mm512_cmp_pd_mask(v0, zero, _CMP_GE_OQ);
		if (r->gaps > 1)
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
	return _mm512_mul_pd(diff, divide(factor, r->seconds, r->per_second));
}

TARGET bool rate_wide_steps(struct rate_wide *r, struct window *w, uint32_t i,
			    struct row *out)
{
	const struct series_cols *s = r->s;
	const size_t pace = w->lo_pace, n = w->hi - w->lo;
	const size_t lo = w->lo + pace, hi = w->hi + pace;
	if (pace == 0 || pace != w->hi_pace || n < 2 || w->over ||
	    hi + (RATE_WIDE - 1) * pace >= s->n)
		return false;
	const __m512i at = _mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7),
					      _mm512_set1_epi64((long long)pace));
	const __m512i steps =
		_mm512_mullo_epi64(_mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7),
				   _mm512_set1_epi64(r->c->grid.step_ms));
	const __m512i to = _mm512_add_epi64(_mm512_set1_epi64(range_ref(r->c, i)), steps);
	const __m512i from = _mm512_sub_epi64(to, _mm512_set1_epi64(r->c->range_ms));
	struct ends t = { _mm512_i64gather_epi64(at, s->t_ms + lo - 1, 8),
			  _mm512_i64gather_epi64(at, s->t_ms + lo, 8),
			  _mm512_i64gather_epi64(at, s->t_ms + hi - 1, 8),
			  _mm512_i64gather_epi64(at, s->t_ms + hi, 8) };
	__mmask8 right = _mm512_cmple_epi64_mask(t.before, from) &
			 _mm512_cmpgt_epi64_mask(t.first, from) &
			 _mm512_cmple_epi64_mask(t.last, to) &
			 _mm512_cmpgt_epi64_mask(t.behind, to) &
			 _mm512_cmpgt_epi64_mask(t.last, t.first);
	if (right != ALL)
		return false;
	if (r->counter && r->reset <= lo)
		r->reset = lanes_find_fall(s->v, lo + 1, s->n);
	if (r->counter && r->reset < hi + (RATE_WIDE - 1) * pace)
		return false;
	if (r->gaps != (double)(n - 1)) {
		r->gaps = (double)(n - 1);
		r->per_gap = 1 / r->gaps;
	}
	__m512d first = _mm512_i64gather_pd(at, s->v + lo, 8),
		last = _mm512_i64gather_pd(at, s->v + hi - 1, 8);
	_mm512_storeu_pd(out->v + i,
			 extrapolate(r, &t, from, to, first, _mm512_sub_pd(last, first)));
	set_bits(out->bits, i);
	w->lo += RATE_WIDE * pace;
	w->hi += RATE_WIDE * pace;
	count(r->c, w, i, n);
	return true;
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

bool rate_wide_steps(struct rate_wide *r, struct window *w, uint32_t i, struct row *out)
{
	(void)r, (void)w, (void)i, (void)out;
	return false;
}

#endif
