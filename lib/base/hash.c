/*
 * base/hash.c - CRC-32C and xxhash64.
 *
 * CRC-32C: reflected polynomial 0x82f63b78. Without SSE4.2 eight tables take eight bytes a step.
 * With it, the crc32 instruction has a latency of three cycles but starts every cycle, so three
 * stretches of equal length are summed at once and then joined: with the state s of the first
 * stretch, the state after n more zero bytes is a linear function of s over GF(2), and the sum of the
 * next stretch (started from 0) is xored onto it. That function is applied by four tables of 256
 * entries, one set for each of two stretch lengths.
 *
 * With VPCLMULQDQ on 256 bits (128 bytes a step): eight lanes of 128 bits hold a remainder of what was read; moving one
 * over the bytes that the others cover multiplies it by a power of x, of each half of the lane a carry-less product.
 * What is left at the end, 32 bytes, has the same remainder as all before and goes through the crc32 instruction.
 */
#include "base/hash.h"

#include <pthread.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define POLY  0x82f63b78u
#define LONG  2048u
#define SHORT 256u

static uint32_t step[8][256];
static uint32_t zeros_long[4][256], zeros_short[4][256];
static bool have_sse42, have_wide;
/* Factors of the low and the high half of a lane, once for each of two. */
static _Alignas(32) uint64_t over_128[4], over_32[4];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_zeros(uint32_t tab[4][256], unsigned n)
{
	uint32_t bit[32];
	for (unsigned i = 0; i < 32; i++) {
		uint32_t s = 1u << i;
		for (unsigned k = 0; k < n; k++)
			s = step[0][s & 0xff] ^ (s >> 8);
		bit[i] = s;
	}
	for (unsigned b = 0; b < 4; b++) {
		for (unsigned v = 0; v < 256; v++) {
			uint32_t s = 0;
			for (unsigned i = 0; i < 8; i++)
				if (v >> i & 1)
					s ^= bit[8 * b + i];
			tab[b][v] = s;
		}
	}
}

/* Product of two polynomials modulo POLY; the highest bit is the coefficient of x^0. */
static uint32_t times(uint32_t a, uint32_t b)
{
	uint32_t sum = 0;
	for (unsigned i = 32; i-- > 0;) {
		if (a >> i & 1)
			sum ^= b;
		b = b & 1 ? (b >> 1) ^ POLY : b >> 1;
	}
	return sum;
}

/* Products of reflected numbers come out one bit too low, which the factors make up for. */
static void make_factors(uint64_t f[4], unsigned bytes)
{
	for (unsigned i = 0; i < 4; i++) {
		uint32_t s = 0x80000000u;
		for (unsigned n = 8 * bytes + 32 - 64 * (i % 2); n; n--)
			s = times(s, 0x40000000u);
		f[i] = (uint64_t)s << 1;
	}
}

static void init(void)
{
	for (unsigned v = 0; v < 256; v++) {
		uint32_t s = v;
		for (int i = 0; i < 8; i++)
			s = s & 1 ? (s >> 1) ^ POLY : s >> 1;
		step[0][v] = s;
	}
	for (unsigned v = 0; v < 256; v++)
		for (unsigned t = 1; t < 8; t++)
			step[t][v] =
				step[0][step[t - 1][v] & 0xff] ^ (step[t - 1][v] >> 8);
	make_zeros(zeros_long, LONG);
	make_zeros(zeros_short, SHORT);
#if defined(__x86_64__)
	__builtin_cpu_init();
	have_sse42 = __builtin_cpu_supports("sse4.2");
	have_wide = have_sse42 && __builtin_cpu_supports("avx2") &&
		    __builtin_cpu_supports("vpclmulqdq");
	make_factors(over_128, 128);
	make_factors(over_32, 32);
#endif
}

static uint64_t le64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

static uint32_t crc_table(uint32_t s, const uint8_t *p, size_t n)
{
	for (; n >= 8; p += 8, n -= 8) {
		uint64_t v = le64(p) ^ s;
		s = step[7][v & 0xff] ^ step[6][v >> 8 & 0xff] ^ step[5][v >> 16 & 0xff] ^
		    step[4][v >> 24 & 0xff] ^ step[3][v >> 32 & 0xff] ^
		    step[2][v >> 40 & 0xff] ^ step[1][v >> 48 & 0xff] ^ step[0][v >> 56];
	}
	for (; n; p++, n--)
		s = step[0][(s ^ *p) & 0xff] ^ (s >> 8);
	return s;
}

#if defined(__x86_64__)
static uint32_t after_zeros(uint32_t tab[4][256], uint32_t s)
{
	return tab[0][s & 0xff] ^ tab[1][s >> 8 & 0xff] ^ tab[2][s >> 16 & 0xff] ^
	       tab[3][s >> 24];
}

__attribute__((target("sse4.2"))) static uint32_t
crc_three(uint32_t s, const uint8_t *p, unsigned len, uint32_t zeros[4][256])
{
	uint64_t a = s, b = 0, c = 0;
	for (unsigned i = 0; i < len; i += 8) {
		a = __builtin_ia32_crc32di(a, le64(p + i));
		b = __builtin_ia32_crc32di(b, le64(p + len + i));
		c = __builtin_ia32_crc32di(c, le64(p + 2 * len + i));
	}
	s = after_zeros(zeros, (uint32_t)a) ^ (uint32_t)b;
	return after_zeros(zeros, s) ^ (uint32_t)c;
}

__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t s, const uint8_t *p,
							    size_t n)
{
	for (; n >= 3 * LONG; p += 3 * LONG, n -= 3 * LONG)
		s = crc_three(s, p, LONG, zeros_long);
	for (; n >= 3 * SHORT; p += 3 * SHORT, n -= 3 * SHORT)
		s = crc_three(s, p, SHORT, zeros_short);
	uint64_t w = s;
	for (; n >= 8; p += 8, n -= 8)
		w = __builtin_ia32_crc32di(w, le64(p));
	s = (uint32_t)w;
	for (; n; p++, n--)
		s = __builtin_ia32_crc32qi(s, *p);
	return s;
}

#define WIDE	   __attribute__((target("avx2,vpclmulqdq,sse4.2")))
#define WIDE_LEAST 256u /* bytes */

WIDE static inline __m256i load(const void *p)
{
	return _mm256_loadu_si256(p);
}

WIDE static inline __m256i fold(__m256i lanes, __m256i factors, __m256i onto)
{
	__m256i lo = _mm256_clmulepi64_epi128(lanes, factors, 0x00),
		hi = _mm256_clmulepi64_epi128(lanes, factors, 0x11);
	return _mm256_xor_si256(_mm256_xor_si256(lo, hi), onto);
}

/* n is at least WIDE_LEAST. */
WIDE static uint32_t crc_wide(uint32_t s, const uint8_t *p, size_t n)
{
	const __m256i by_128 = load(over_128), by_32 = load(over_32);
	__m256i first = _mm256_setr_epi32((int)s, 0, 0, 0, 0, 0, 0, 0);
	__m256i a = _mm256_xor_si256(load(p), first), b = load(p + 32), c = load(p + 64),
		d = load(p + 96);
	uint8_t rest[32];

	for (p += 128, n -= 128; n >= 128; p += 128, n -= 128) {
		a = fold(a, by_128, load(p));
		b = fold(b, by_128, load(p + 32));
		c = fold(c, by_128, load(p + 64));
		d = fold(d, by_128, load(p + 96));
	}
	a = fold(fold(fold(a, by_32, b), by_32, c), by_32, d);
	for (; n >= 32; p += 32, n -= 32)
		a = fold(a, by_32, load(p));
	_mm256_storeu_si256((__m256i *)(void *)rest, a);
	_mm256_zeroupper(); /* the compiler leaves it out; SSE instructions after this would wait */
	return crc_sse42(crc_sse42(0, rest, sizeof(rest)), p, n);
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, init);
#if defined(__x86_64__)
	if (LIKELY(have_wide && n >= WIDE_LEAST))
		return ~crc_wide(~crc, p, n);
	if (LIKELY(have_sse42))
		return ~crc_sse42(~crc, p, n);
#endif
	return ~crc_table(~crc, p, n);
}

uint32_t hash_crc32c_narrow(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, init);
#if defined(__x86_64__)
	if (have_sse42)
		return ~crc_sse42(~crc, p, n);
#endif
	return ~crc_table(~crc, p, n);
}

uint32_t hash_crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, init);
	return ~crc_table(~crc, p, n);
}

uint32_t crc32c_join(uint32_t crc_a, uint32_t crc_b, uint64_t b_bytes)
{
	/* n more bytes multiply by x^(8n); the inversions of both ends cancel out. */
	uint32_t power = 0x00800000u; /* x^8 */
	for (uint64_t n = b_bytes; n; n >>= 1) {
		if (n & 1)
			crc_a = times(power, crc_a);
		power = times(power, power);
	}
	return crc_a ^ crc_b;
}

uint64_t hash_xx64(const void *p, size_t n, uint64_t seed)
{
	return XXH64(p, n, seed);
}
