/*
 * promql/exec/lanes.c - long columns: eight lanes at a time where the processor has AVX-512, else two.
 */
#include "promql/exec/lanes.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f")))

static inline bool wide(void)
{
	return __builtin_cpu_supports("avx512f");
}

/* The first whole eight from i on that has one; n - i < 8: none has. */
TARGET static size_t fall_wide(const double *v, size_t i, size_t n)
{
	for (; i + 8 <= n; i += 8)
		if (_mm512_cmp_pd_mask(_mm512_loadu_pd(v + i), _mm512_loadu_pd(v + i - 1),
				       _CMP_LT_OQ))
			break;
	return i;
}

TARGET static size_t nan_wide(const double *v, size_t i, size_t n)
{
	for (; i + 8 <= n; i += 8) {
		__m512d x = _mm512_loadu_pd(v + i);
		if (_mm512_cmp_pd_mask(x, x, _CMP_UNORD_Q))
			break;
	}
	return i;
}

TARGET static void kahan_wide(const double *v, double *sum, double *comp, size_t n)
{
	const __m512d inf = _mm512_set1_pd(__builtin_inf());
	for (size_t i = 0; i < n; i += 8) {
		__m512d x = _mm512_loadu_pd(v + i), s = _mm512_loadu_pd(sum + i);
		__m512d t = _mm512_add_pd(s, x);
		__mmask8 s_big = _mm512_cmp_pd_mask(_mm512_abs_pd(s), _mm512_abs_pd(x),
						    _CMP_GE_OQ);
		__m512d big = _mm512_mask_blend_pd(s_big, x, s),
			small = _mm512_mask_blend_pd(s_big, s, x);
		__m512d c = _mm512_add_pd(_mm512_loadu_pd(comp + i),
					  _mm512_add_pd(_mm512_sub_pd(big, t), small));
		__mmask8 keep = _mm512_cmp_pd_mask(_mm512_abs_pd(t), inf, _CMP_NEQ_UQ);
		_mm512_storeu_pd(comp + i, _mm512_maskz_mov_pd(keep, c));
		_mm512_storeu_pd(sum + i, t);
	}
}

TARGET static uint64_t beyond_wide(const double *v, const double *than, bool over)
{
	uint64_t out = 0;
	for (int i = 0; i < 64; i += 8) {
		__m512d x = _mm512_loadu_pd(v + i), y = _mm512_loadu_pd(than + i);
		uint64_t m = _mm512_cmp_pd_mask(y, y, _CMP_UNORD_Q);
		m |= over ? _mm512_cmp_pd_mask(x, y, _CMP_GT_OQ)
			  : _mm512_cmp_pd_mask(x, y, _CMP_LT_OQ);
		out |= m << i;
	}
	return out;
}
#else
static inline bool wide(void)
{
	return false;
}
static uint64_t beyond_wide(const double *v, const double *than, bool over)
{
	(void)v, (void)than, (void)over;
	return 0;
}
static size_t fall_wide(const double *v, size_t i, size_t n)
{
	(void)v, (void)n;
	return i;
}
static size_t nan_wide(const double *v, size_t i, size_t n)
{
	(void)v, (void)n;
	return i;
}
static void kahan_wide(const double *v, double *sum, double *comp, size_t n)
{
	(void)v, (void)sum, (void)comp, (void)n;
}
#endif

size_t lanes_find_fall(const double *v, size_t i, size_t n)
{
	if (wide())
		i = fall_wide(v, i, n);
	for (; i + 8 <= n; i += 8) {
		lanes_mask any = { 0, 0 };
		for (size_t k = 0; k < 8; k += LANES)
			any |= lanes_load(v + i + k) < lanes_load(v + i + k - 1);
		if (any[0] | any[1])
			break;
	}
	while (i < n && !(v[i] < v[i - 1]))
		i++;
	return i;
}

size_t lanes_find_nan(const double *v, size_t i, size_t n)
{
	if (wide())
		i = nan_wide(v, i, n);
	for (; i + 8 <= n; i += 8) {
		lanes_mask any = { 0, 0 };
		for (size_t k = 0; k < 8; k += LANES)
			any |= lanes_load(v + i + k) != lanes_load(v + i + k);
		if (any[0] | any[1])
			break;
	}
	while (i < n && v[i] == v[i])
		i++;
	return i;
}

void lanes_kahan_add(const double *v, double *sum, double *comp, size_t n)
{
	if (wide()) {
		kahan_wide(v, sum, comp, n);
		return;
	}
	const lanes_mask sign = (lanes_mask){ 0 } + INT64_MIN;
	const lanes inf = (lanes){ 0 } + __builtin_inf();
	for (size_t i = 0; i < n; i += LANES) {
		lanes x = lanes_load(v + i), s = lanes_load(sum + i), t = s + x;
		lanes abs_s = (lanes)((lanes_mask)s & ~sign),
		      abs_x = (lanes)((lanes_mask)x & ~sign),
		      abs_t = (lanes)((lanes_mask)t & ~sign);
		lanes_mask s_big = abs_s >= abs_x;
		lanes big = lanes_select(s_big, s, x), small = lanes_select(s_big, x, s);
		lanes c = lanes_load(comp + i) + ((big - t) + small);
		lanes_store(comp + i, (lanes)((lanes_mask)c & ~(abs_t == inf)));
		lanes_store(sum + i, t);
	}
}

uint64_t lanes_beyond(const double *v, const double *than, bool over)
{
	uint64_t out = 0;
	if (wide())
		return beyond_wide(v, than, over);
	for (int i = 0; i < 64; i++)
		out |= (uint64_t)(than[i] != than[i] ||
				  (over ? v[i] > than[i] : v[i] < than[i]))
		       << i;
	return out;
}

void lanes_extremes(const double *v, double *best, size_t n, bool max)
{
	for (size_t i = 0; i < n; i += LANES) {
		lanes x = lanes_load(v + i), b = lanes_load(best + i);
		lanes_mask take = (max ? x > b : x < b) | (b != b);
		lanes_store(best + i, lanes_select(take, x, b));
	}
}
