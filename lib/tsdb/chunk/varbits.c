/*
 * tsdb/chunk/varbits.c - the changes of all buckets of a histogram.
 *
 * A code says how long it is, so that each must wait for the one before. Most are of one, five or nine bits: a table of what
 * eleven bits begin with tells up to four of them at once, numbers and length. Longer codes, and the last bits of a chunk, go one
 * by one. What is known of the numbers is added up afterwards, four buckets at a time.
 */
#include "tsdb/chunk/bits.h"

#include <pthread.h>

#define KEY_BITS 11
#define AT_ONCE	 4
#define BLOCK	 256

struct codes {
	int8_t v[AT_ONCE];
	uint16_t ends;	/* four bits each: where the first, the second, ... code ends */
	uint8_t n, len; /* n 0: the first one is longer */
};
static struct codes table[1u << KEY_BITS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

typedef int8_t change4 __attribute__((vector_size(AT_ONCE)));
typedef uint64_t number4 __attribute__((vector_size(8 * AT_ONCE)));

static struct codes codes_of(uint32_t key)
{
	struct codes c = { .n = 0 };
	while (c.n < AT_ONCE) {
		unsigned ones = 0, at = c.len;
		while (ones < 3 && at + ones < KEY_BITS &&
		       key >> (KEY_BITS - 1 - at - ones) & 1)
			ones++;
		unsigned width = bits_varbit_widths[ones], len = ones + 1 + width;
		if (ones == 3 || at + len > KEY_BITS)
			break;
		uint32_t u = key >> (KEY_BITS - at - len) & ((1u << width) - 1);
		c.v[c.n] = (int8_t)(width ? bits_lopsided(u, width) : 0);
		c.len = (uint8_t)(at + len);
		c.ends |= (uint16_t)(c.len << (4 * c.n++));
	}
	return c;
}

static void fill_table(void)
{
	for (uint32_t key = 0; key < 1u << KEY_BITS; key++)
		table[key] = codes_of(key);
}

#define INLINE static inline __attribute__((always_inline))

/* Up to BLOCK codes; small ones go to change[], others to *delta at once. */
INLINE void read_codes(struct bits *bits, size_t n, int8_t *change, int64_t *delta)
{
	struct bits b = *bits;
	size_t i = 0;
	while (i < n) {
		if (b.left < KEY_BITS)
			bits_fill(&b);
		struct codes c = table[b.acc >> (64 - KEY_BITS)];
		if (UNLIKELY(c.n == 0 || b.left < KEY_BITS)) {
			int64_t v = bits_varbit_int_inline(&b);
			delta[i] = (int64_t)((uint64_t)delta[i] + (uint64_t)v);
			change[i++] = 0;
			continue;
		}
		memcpy(change + i, c.v, AT_ONCE);
		if (UNLIKELY(n - i < AT_ONCE) && c.n > n - i) {
			c.n = (uint8_t)(n - i);
			c.len = c.ends >> (4 * (c.n - 1)) & 15;
		}
		bits_drop(&b, c.len);
		i += c.n;
	}
	*bits = b;
}

/* delta += change, v += delta, all wrapping. */
INLINE void add_up(size_t n, const int8_t *change, int64_t *delta, uint64_t *v)
{
	size_t i = 0;
	for (; i + AT_ONCE <= n; i += AT_ONCE) {
		change4 c;
		number4 d, sum;
		memcpy(&c, change + i, sizeof(c));
		memcpy(&d, delta + i, sizeof(d));
		memcpy(&sum, v + i, sizeof(sum));
		d += __builtin_convertvector(c, number4);
		sum += d;
		memcpy(delta + i, &d, sizeof(d));
		memcpy(v + i, &sum, sizeof(sum));
	}
	for (; i < n; i++) {
		delta[i] = (int64_t)((uint64_t)delta[i] + (uint64_t)change[i]);
		v[i] += (uint64_t)delta[i];
	}
}

INLINE void steps(struct bits *b, size_t n, int64_t *delta, uint64_t *v)
{
	int8_t change[BLOCK + AT_ONCE];
	for (size_t at = 0; at < n; at += BLOCK) {
		size_t m = MIN(n - at, (size_t)BLOCK);
		read_codes(b, m, change, delta + at);
		add_up(m, change, delta + at, v + at);
	}
}

static void steps_any(struct bits *b, size_t n, int64_t *delta, uint64_t *v)
{
	steps(b, n, delta, v);
}

#if BITS_ASK_LZCNT
__attribute__((target("bmi2,lzcnt,avx2"))) static void
steps_avx2(struct bits *b, size_t n, int64_t *delta, uint64_t *v)
{
	steps(b, n, delta, v);
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt") &&
	       __builtin_cpu_supports("avx2");
}
#else
#define steps_avx2 steps_any
static bool has_avx2(void)
{
	return false;
}
#endif

void bits_varbit_prepare(void)
{
	pthread_once(&once, fill_table);
}

void bits_varbit_steps(struct bits *b, size_t n, int64_t *delta, uint64_t *v)
{
	if (has_avx2())
		steps_avx2(b, n, delta, v);
	else
		steps_any(b, n, delta, v);
}
