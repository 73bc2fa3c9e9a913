#include "promql/exec/order_stat.h"

#include <string.h>

#include "model/chunk.h"

struct keyed {
	uint64_t key;
	uint32_t sample;
};

/* Unsigned order of keys is the order of values; NaN comes first. */
static uint64_t key_of(double v)
{
	uint64_t u = f64_bits(v);
	if (v != v)
		return 0;
	return u >> 63 ? ~u : u | 1ull << 63;
}

static void sort_few(struct keyed *k, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct keyed x = k[i];
		size_t j = i;
		for (; j > 0 && k[j - 1].key > x.key; j--)
			k[j] = k[j - 1];
		k[j] = x;
	}
}

/* Byte by byte from the lowest; bytes that are the same in all keys cost nothing. Returns where the result lies. */
static struct keyed *sort_many(struct keyed *k, struct keyed *tmp, size_t n)
{
	static const unsigned passes = 8;
	uint32_t count[8][256] = { { 0 } };
	for (size_t i = 0; i < n; i++)
		for (unsigned p = 0; p < passes; p++)
			count[p][k[i].key >> (8 * p) & 255]++;
	for (unsigned p = 0; p < passes; p++) {
		if (count[p][k[0].key >> (8 * p) & 255] == n)
			continue;
		uint32_t at = 0;
		for (unsigned d = 0; d < 256; d++) {
			uint32_t c = count[p][d];
			count[p][d] = at;
			at += c;
		}
		for (size_t i = 0; i < n; i++)
			tmp[count[p][k[i].key >> (8 * p) & 255]++] = k[i];
		struct keyed *t = k;
		k = tmp;
		tmp = t;
	}
	return k;
}

int order_init(struct order_stat *o, const double *v, size_t n, struct range_env *env)
{
	size_t words = n / 64 + 1, blocks = n / 512 + 1, groups = n / 4096 + 1;
	struct keyed *k = range_scratch(env, 2 * n * sizeof(*k));
	*o = (struct order_stat){ 0 };
	if (!k || !(o->rank = range_scratch(env, n * sizeof(*o->rank))) ||
	    !(o->by_rank = range_scratch(env, n * sizeof(*o->by_rank))) ||
	    !(o->words = range_scratch(env, words * sizeof(*o->words))) ||
	    !(o->blocks = range_scratch(env, blocks * sizeof(*o->blocks))) ||
	    !(o->groups = range_scratch(env, groups * sizeof(*o->groups))))
		return -1;
	memset(o->words, 0, words * sizeof(*o->words));
	memset(o->blocks, 0, blocks * sizeof(*o->blocks));
	memset(o->groups, 0, groups * sizeof(*o->groups));
	for (size_t i = 0; i < n; i++)
		k[i] = (struct keyed){ key_of(v[i]), (uint32_t)i };
	if (n < 48)
		sort_few(k, n);
	else
		k = sort_many(k, k + n, n);
	for (size_t r = 0; r < n; r++) {
		o->rank[k[r].sample] = (uint32_t)r;
		o->by_rank[r] = v[k[r].sample];
	}
	return 0;
}

/* The i-th bit set of w. */
static unsigned nth_bit(uint64_t w, unsigned i)
{
	unsigned at = 0;
	for (unsigned half = 32; half; half /= 2) {
		unsigned low = (unsigned)__builtin_popcountll(w & ((1ull << half) - 1));
		if (i >= low) {
			i -= low;
			at += half;
			w >>= half;
		} else {
			w &= (1ull << half) - 1;
		}
	}
	return at;
}

double order_at(const struct order_stat *o, size_t i)
{
	size_t g = 0;
	while (i >= o->groups[g])
		i -= o->groups[g++];
	size_t b = g * 8;
	while (i >= o->blocks[b])
		i -= o->blocks[b++];
	size_t w = b * 8;
	for (;; w++) {
		unsigned c = (unsigned)__builtin_popcountll(o->words[w]);
		if (i < c)
			break;
		i -= c;
	}
	return o->by_rank[w * 64 + nth_bit(o->words[w], (unsigned)i)];
}
