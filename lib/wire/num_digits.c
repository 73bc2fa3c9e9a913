/*
 * wire/num_digits.c - the shortest decimal of a double, by Schubfach.
 *
 * Between the numbers halfway to its neighbours lies what reads back as v. Their width decides a power of ten 10^k such that
 * at least one multiple of it lies in there, and at most one of 10^(k+1). The ends and v itself are scaled by 10^-k with a power
 * of ten of 126 bits and more; of the product the integer part (four times the value, so that halves stay exact) and whether
 * anything was cut off are all that has to be known. Every step is integer arithmetic; there is no case to fall back from. Most numbers go a
 * shorter way first.
 *
 * Source  Raffaello Giulietti, "The Schubfach way to render doubles", 2020-2022
 */
#include "wire/num_digits.h"

#include <stdbool.h>
#include <string.h>

#include "wire/num_pow10.h"

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

static const char pairs[201] = "00010203040506070809101112131415161718192021222324"
			       "25262728293031323334353637383940414243444546474849"
			       "50515253545556575859606162636465666768697071727374"
			       "75767778798081828384858687888990919293949596979899";

static unsigned length(uint64_t v)
{
	static const uint64_t ten[20] = {
		0, /* so that 0 has a digit */
		10,
		100,
		1000,
		10000,
		100000,
		1000000,
		10000000,
		100000000,
		1000000000,
		10000000000,
		100000000000,
		1000000000000,
		10000000000000,
		100000000000000,
		1000000000000000,
		10000000000000000,
		100000000000000000,
		1000000000000000000,
		10000000000000000000u,
	};
	/* 1233 / 2^12 is a little below log10(2) */
	unsigned n = (64 - (unsigned)__builtin_clzll(v | 1)) * 1233 >> 12;
	return n + (v >= ten[n]);
}

/*
 * Exactly eight digits of each half, side by side, as bytes from 0 to 9: split in two numbers of four digits, these in numbers of two,
 * these in digits. A quotient is a product shifted.
 */
#if defined(__x86_64__)
typedef __m128i digit_row;

static inline digit_row digits16(uint32_t first, uint32_t second)
{
	__m128i x = _mm_set_epi64x(second, first);
	__m128i high = _mm_srli_epi64(_mm_mul_epu32(x, _mm_set1_epi64x(0xd1b71759)), 45);
	__m128i rest = _mm_sub_epi32(x, _mm_mul_epu32(high, _mm_set1_epi64x(10000)));
	x = _mm_or_si128(high, _mm_slli_epi64(rest, 32));
	high = _mm_srli_epi16(_mm_mulhi_epu16(x, _mm_set1_epi16(5243)), 3); /* / 100 */
	rest = _mm_sub_epi16(x, _mm_mullo_epi16(high, _mm_set1_epi16(100)));
	x = _mm_or_si128(high, _mm_slli_epi32(rest, 16));
	high = _mm_mulhi_epu16(x, _mm_set1_epi16(6554)); /* / 10 */
	rest = _mm_sub_epi16(x, _mm_mullo_epi16(high, _mm_set1_epi16(10)));
	return _mm_or_si128(high, _mm_slli_epi16(rest, 8));
}

/* How many there are without zeros at the end. */
static inline int digits_used(digit_row d)
{
	unsigned set =
		(unsigned)_mm_movemask_epi8(_mm_cmpgt_epi8(d, _mm_setzero_si128()));
	return 31 - __builtin_clz(set << 1 | 1);
}

static inline void digits_put(char *out, digit_row d)
{
	_mm_storeu_si128((__m128i *)(void *)out, _mm_or_si128(d, _mm_set1_epi8('0')));
}
#else
typedef struct {
	uint64_t half[2];
} digit_row;

static inline uint64_t digits8(uint32_t v)
{
	uint64_t x = (uint64_t)(v / 10000) | (uint64_t)(v % 10000) << 32;
	uint64_t high = x * 10486 >> 20 & 0x0000007f0000007fu; /* / 100 */
	x = high | (x - 100 * high) << 16;
	high = x * 103 >> 10 & 0x000f000f000f000fu; /* / 10 */
	return high | (x - 10 * high) << 8;
}

static inline digit_row digits16(uint32_t first, uint32_t second)
{
	return (digit_row){ { digits8(first), digits8(second) } };
}

static inline int digits_used(digit_row d)
{
	uint64_t last = d.half[1] ? d.half[1] : d.half[0];
	int n = d.half[1] ? 16 : 8;
	return last ? n - __builtin_clzll(last) / 8 : 0;
}

static inline void digits_put(char *out, digit_row d)
{
	for (int i = 0; i < 2; i++)
		d.half[i] += 0x3030303030303030u;
	memcpy(out, d.half, 16);
}
#endif

static void put8(char *out, uint32_t v)
{
	char all[16];
	digits_put(all, digits16(v, 0));
	memcpy(out, all, 8);
}

/* 9 to 17 digits, as most doubles have: how many does not lead to a branch, which would be guessed wrong often. */
static unsigned put_many(char *out, uint64_t v)
{
	char all[17 + 17] = { 0 };
	uint64_t high = v / 100000000;
	unsigned n = length(v);
	digit_row low = digits16((uint32_t)(high % 100000000), (uint32_t)(v % 100000000));
	all[0] = (char)('0' + high / 100000000);
	digits_put(all + 1, low);
	memcpy(out, all + (17 - n), 17); /* the first n of them count */
	return n;
}

unsigned num_u64(char out[NUM_U64_MAX], uint64_t v)
{
	if (v - 100000000 < 100000000000000000u - 100000000)
		return put_many(out, v);
	unsigned n = length(v), at = n;
	for (; v >= 100000000; v /= 100000000)
		put8(out + (at -= 8), (uint32_t)(v % 100000000));
	uint32_t left = (uint32_t)v;
	for (; left >= 100; left /= 100)
		memcpy(out + (at -= 2), pairs + left % 100 * 2, 2);
	if (at == 2)
		memcpy(out, pairs + left * 2, 2);
	else
		out[0] = (char)('0' + left);
	return n;
}

/* Shifts of negative numbers go to the left of them: floors. */
static int floor_log10_pow2(int e)
{
	return (e * 1262611) >> 22;
}
static int floor_log10_three_quarters_pow2(int e)
{
	return (e * 1262611 - 524031) >> 22;
}
static int floor_log2_pow10(int e)
{
	return (e * 1741647) >> 19;
}

/* The integer part of g * c / 2^128; its lowest bit is set, too, if anything but 1 behind it was cut off. */
static uint64_t scaled(const uint64_t g[2], uint64_t c)
{
	__extension__ typedef unsigned __int128 u128;
	u128 low = (u128)g[1] * c, high = (u128)g[0] * c + (uint64_t)(low >> 64);
	return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/*
 * v = *digits * 10^*exp10, with 16 or 17 digits, of which the last are 0 where fewer are the shortest.
 *
 * As below with one product instead of three: v scaled by 10^-k, and half the distance of its neighbours, which is that of the ends
 * unless the neighbour below is nearer. Both are cut off; where as little could decide, the answer is left to the whole way (false).
 */
static bool most_shortest(uint64_t bits, uint64_t *digits, int *exp10)
{
	__extension__ typedef unsigned __int128 u128;
	uint64_t frac = bits & ((1ull << 52) - 1);
	int q = (int)(bits >> 52) - 1075;
	int k = floor_log10_pow2(q);
	unsigned h = (unsigned)(q + floor_log2_pow10(-k) + 1);
	const uint64_t *g = pow10_bits[-k - POW10_MIN];
	uint64_t c = (frac | 1ull << 52) << h;
	u128 low = (u128)g[1] * c, high = (u128)g[0] * c + (uint64_t)(low >> 64);
	uint64_t s = (uint64_t)(high >> 64), part = (uint64_t)high;
	uint64_t unit = s % 10, ten = 10ull << 60; /* in 2^-60 */
	uint64_t half = g[0] >> (5 - h), above = unit << 60 | part >> 4,
		 below = ten - above;
	if (frac == 0 || above - half + 4 < 8 || below - half + 4 < 8 ||
	    part - (1ull << 63) + 4 < 8)
		return false;
	uint64_t near = s + (part >> 63);
	near = above < half ? s - unit : near;
	*digits = below < half ? s - unit + 10 : near;
	*exp10 = k;
	return true;
}

/* 10^8 and more have their point behind the digits that are put in one word, less than 10^-6 an exponent. */
#define PLAIN_MIN 1e-6
#define PLAIN_MAX 1e8

unsigned num_most(char out[NUM_MOST_MAX], double v)
{
	uint64_t bits, digits;
	int exp10;
	if (!(v >= PLAIN_MIN && v < PLAIN_MAX))
		return 0;
	memcpy(&bits, &v, 8);
	if (!most_shortest(bits, &digits, &exp10))
		return 0;
	unsigned short_one = digits < 10000000000000000u; /* no branch: as often as not */
	digits += digits * 9 & -(uint64_t)short_one;
	int exp = exp10 + 16 - (int)short_one; /* of the first of 17 digits */
	uint64_t head = digits / 100000000;
	uint32_t first = (uint32_t)(head / 100000000);
	digit_row all = digits16((uint32_t)(head - (uint64_t)first * 100000000),
				 (uint32_t)(digits - head * 100000000));
	int n = 1 + digits_used(all);
	if (exp < 0) {
		memcpy(out, "0.000000", 8);
		out += 1 - exp;
		out[0] = (char)('0' + first);
		digits_put(out + 1, all);
		return (unsigned)(1 - exp + n);
	}
	digits_put(out + 2, all); /* right from the point on */
	uint64_t a;
	memcpy(&a, out + 2, 8);
	unsigned at = 8 * (unsigned)exp;
	uint64_t whole = (1ull << at) - 1,
		 pointed = (a & whole) | (uint64_t)'.' << at | (a & ~whole) << 8;
	out[0] = (char)('0' + first);
	memcpy(out + 1, &pointed, 8);
	return (unsigned)(n > exp + 1 ? n + 1 : exp + 1);
}

static void strip(uint64_t s, int k, uint64_t *digits, int *exp10)
{
	while (s % 10000 == 0) {
		s /= 10000;
		k += 4;
	}
	for (; s % 10 == 0; s /= 10)
		k++;
	*digits = s;
	*exp10 = k;
}

void num_shortest(double v, uint64_t *digits, int *exp10)
{
	uint64_t bits;
	memcpy(&bits, &v, 8);
	uint64_t frac = bits & ((1ull << 52) - 1), c = frac;
	int e = (int)(bits >> 52 & 0x7ff), q = -1074;
	if (e) {
		c |= 1ull << 52;
		q = e - 1075;
	}
	int closer = frac == 0 && e > 1; /* the neighbour below is half as far */
	int k = closer ? floor_log10_three_quarters_pow2(q) : floor_log10_pow2(q);
	unsigned h = (unsigned)(q + floor_log2_pow10(-k) + 1);
	const uint64_t *g = pow10_bits[-k - POW10_MIN];
	uint64_t odd = c & 1; /* then the ends themselves read back as a neighbour */
	uint64_t lower = scaled(g, (4 * c - 2 + (uint64_t)closer) << h) + odd;
	uint64_t mid = scaled(g, 4 * c << h);
	uint64_t upper = scaled(g, (4 * c + 2) << h) - odd;
	uint64_t s = mid / 4;
	if (s >= 10) {
		uint64_t t = s / 10;
		int below = lower <= 40 * t, above = 40 * t + 40 <= upper;
		if (below != above) {
			strip(t + (uint64_t)above, k + 1, digits, exp10);
			return;
		}
	}
	int below = lower <= 4 * s, above = 4 * s + 4 <= upper;
	if (below != above)
		s += (uint64_t)above;
	else
		s += mid > 4 * s + 2 || (mid == 4 * s + 2 && (s & 1));
	strip(s, k, digits, exp10);
}
