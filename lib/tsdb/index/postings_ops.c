/*
 * tsdb/index/postings_ops.c - set algebra over ascending u32 arrays.
 *
 * Two lists of like length are walked in step; where one is much shorter, each of its elements is
 * sought in the other by galloping (steps of 1, 2, 4, ... from the last place, then binary search),
 * which costs log of the distance. Few lists are united by merging pairs, pass by pass; many (a
 * regular expression over thousands of values) by a radix sort of all of them, whose cost does not
 * grow with their number. All of it works in memory the caller provides, since sizes are known.
 */
#include "tsdb/index/index_int.h"

#define GALLOP_RATIO 8	/* lengths further apart than this are galloped */
#define MERGE_LISTS  16 /* more lists than this are sorted rather than merged */

/* First place at or after i whose element is >= v. */
static size_t gallop(struct postings x, size_t i, uint32_t v)
{
	size_t step = 1, lo = i, hi;

	if (i >= x.n || x.ref[i] >= v)
		return i;
	/* x.ref[lo] < v */
	while (step < x.n - lo && x.ref[lo + step] < v) {
		lo += step;
		step *= 2;
	}
	hi = step < x.n - lo ? lo + step : x.n;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (x.ref[mid] < v)
			lo = mid;
		else
			hi = mid;
	}
	return hi;
}

static bool far_apart(size_t small, size_t large)
{
	return small < large / GALLOP_RATIO;
}

size_t idx_ops_intersect2(uint32_t *out, struct postings x, struct postings y)
{
	size_t n = 0, i = 0, k = 0;

	if (x.n > y.n) {
		struct postings t = x;
		x = y;
		y = t;
	}
	if (far_apart(x.n, y.n)) {
		for (; i < x.n && k < y.n; i++) {
			k = gallop(y, k, x.ref[i]);
			if (k < y.n && y.ref[k] == x.ref[i])
				out[n++] = x.ref[i];
		}
		return n;
	}
	while (i < x.n && k < y.n) {
		uint32_t a = x.ref[i], b = y.ref[k];
		if (a == b)
			out[n++] = a;
		i += a <= b;
		k += b <= a;
	}
	return n;
}

size_t idx_ops_minus(uint32_t *out, struct postings x, struct postings y)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < x.n; i++) {
		if (far_apart(x.n, y.n))
			k = gallop(y, k, x.ref[i]);
		else
			while (k < y.n && y.ref[k] < x.ref[i])
				k++;
		if (k >= y.n || y.ref[k] != x.ref[i])
			out[n++] = x.ref[i];
	}
	return n;
}

void idx_ops_mark(uint64_t *marks, struct postings x, struct postings y)
{
	size_t i = 0, k = 0;

	while (i < x.n && k < y.n) {
		if (x.ref[i] == y.ref[k]) {
			marks[i / 64] |= 1ull << (i % 64);
			i++;
			k++;
		} else if (x.ref[i] < y.ref[k]) {
			i = gallop(x, i, y.ref[k]);
		} else {
			k = gallop(y, k, x.ref[i]);
		}
	}
}

/* ---- union ---- */

static size_t merge2(uint32_t *out, const uint32_t *x, size_t xn, const uint32_t *y,
		     size_t yn)
{
	size_t n = 0, i = 0, k = 0;

	while (i < xn && k < yn) {
		uint32_t a = x[i], b = y[k];
		out[n++] = a < b ? a : b;
		i += a <= b;
		k += b <= a;
	}
	while (i < xn)
		out[n++] = x[i++];
	while (k < yn)
		out[n++] = y[k++];
	return n;
}

/* The lists stand one after another in buf; len[] are their lengths. Doubles vanish on the way. */
static uint32_t *merge_passes(uint32_t *buf, uint32_t *tmp, size_t *len, size_t k,
			      size_t *n)
{
	while (k > 1) {
		size_t in = 0, out = 0, m = 0;
		for (size_t i = 0; i < k; i += 2) {
			size_t a = len[i], b = i + 1 < k ? len[i + 1] : 0;
			size_t got = merge2(tmp + out, buf + in, a, buf + in + a, b);
			in += a + b;
			out += got;
			len[m++] = got;
		}
		uint32_t *t = buf;
		buf = tmp;
		tmp = t;
		k = m;
	}
	*n = k ? len[0] : 0;
	return buf;
}

static uint32_t *radix_sort(uint32_t *v, uint32_t *tmp, size_t n)
{
	for (unsigned shift = 0; shift < 32; shift += 11) {
		size_t count[2048] = { 0 }, sum = 0;
		for (size_t i = 0; i < n; i++)
			count[(v[i] >> shift) & 2047]++;
		for (size_t i = 0; i < 2048; i++) {
			size_t c = count[i];
			count[i] = sum;
			sum += c;
		}
		for (size_t i = 0; i < n; i++)
			tmp[count[(v[i] >> shift) & 2047]++] = v[i];
		uint32_t *t = v;
		v = tmp;
		tmp = t;
	}
	return v;
}

uint32_t *idx_ops_sort_unique(uint32_t *v, uint32_t *tmp, size_t *n)
{
	size_t m = 0;

	v = radix_sort(v, tmp, *n);
	for (size_t i = 0; i < *n; i++)
		if (m == 0 || v[m - 1] != v[i])
			v[m++] = v[i];
	*n = m;
	return v;
}

uint32_t *idx_ops_union(uint32_t *buf, uint32_t *tmp, const struct postings *p, size_t k,
			size_t *n)
{
	size_t len[MERGE_LISTS], sum = 0;

	for (size_t i = 0; i < k; i++) {
		if (p[i].n)
			memcpy(buf + sum, p[i].ref, p[i].n * sizeof(*buf));
		if (k <= MERGE_LISTS)
			len[i] = p[i].n;
		sum += p[i].n;
	}
	if (k <= MERGE_LISTS)
		return merge_passes(buf, tmp, len, k, n);
	*n = sum;
	return idx_ops_sort_unique(buf, tmp, n);
}

/* ---- the public forms, with results in an arena ---- */

static uint32_t *room(struct arena *a, size_t n)
{
	return arena_alloc(a, (n ? n : 1) * sizeof(uint32_t));
}

struct postings postings_intersect(struct arena *a, const struct postings *p, size_t n)
{
	size_t least = 0;

	if (n == 0)
		return (struct postings){ 0 };
	for (size_t i = 1; i < n; i++)
		if (p[i].n < p[least].n)
			least = i;
	uint32_t *out = room(a, p[least].n);
	struct postings acc = p[least];
	if (n == 1 && acc.n)
		memcpy(out, acc.ref, acc.n * sizeof(*out));
	/* In place from the second step on: the result never overtakes what is read. */
	for (size_t i = 0; i < n; i++) {
		if (i == least)
			continue;
		acc.n = idx_ops_intersect2(out, acc, p[i]);
		acc.ref = out;
	}
	acc.ref = out;
	return acc;
}

struct postings postings_union(struct arena *a, const struct postings *p, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += p[i].n;
	struct postings out;
	out.ref = idx_ops_union(room(a, sum), room(a, sum), p, n, &out.n);
	return out;
}

struct postings postings_minus(struct arena *a, struct postings x, struct postings y)
{
	uint32_t *out = room(a, x.n);

	return (struct postings){ .ref = out, .n = idx_ops_minus(out, x, y) };
}
