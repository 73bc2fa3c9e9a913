/*
 * base/vec.c - arrays of elements of a given size.
 *
 * The sort is a top-down merge: runs of up to 8 by insertion, then only the left half is copied aside
 * (n/2 elements of scratch) and merged back from the front, which can never overtake the right half.
 * It is stable because the left element wins among equals (glibc's qsort_r promises nothing, and the
 * order of equal series must not depend on it). Halves already in order are left alone, so sorted
 * input costs n-1 comparisons.
 */
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

#define RUN 8

void *vec_grow(void *p, size_t *cap, size_t need, size_t elem)
{
	if (need <= *cap && p)
		return p;
	size_t more = *cap + *cap / 2;
	more = MAX(MAX(more, need), 8);
	p = xreallocarray(p, more, elem);
	*cap = more;
	return p;
}

size_t vec_lower_bound(const void *key, const void *p, size_t n, size_t elem,
		       int (*cmp)(const void *key, const void *elem))
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (cmp(key, (const char *)p + mid * elem) > 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct sort {
	size_t elem;
	int (*cmp)(const void *, const void *, void *);
	void *arg;
	char *scratch;
};

/* The usual sizes become moves instead of calls. */
static inline void copy(char *to, const char *from, size_t elem)
{
	if (elem == 8)
		memcpy(to, from, 8);
	else if (elem == 16)
		memcpy(to, from, 16);
	else
		memcpy(to, from, elem);
}

static void insertion(const struct sort *s, char *p, size_t n)
{
	size_t es = s->elem;
	for (size_t i = 1; i < n; i++) {
		size_t j = i;
		while (j > 0 && s->cmp(p + (j - 1) * es, p + i * es, s->arg) > 0)
			j--;
		if (j == i)
			continue;
		copy(s->scratch, p + i * es, es);
		memmove(p + (j + 1) * es, p + j * es, (i - j) * es);
		copy(p + j * es, s->scratch, es);
	}
}

static void merge_sort(const struct sort *s, char *p, size_t n)
{
	size_t es = s->elem;
	if (n <= RUN) {
		insertion(s, p, n);
		return;
	}
	size_t half = n / 2;
	merge_sort(s, p, half);
	merge_sort(s, p + half * es, n - half);
	if (s->cmp(p + (half - 1) * es, p + half * es, s->arg) <= 0)
		return;
	memcpy(s->scratch, p, half * es);
	const char *l = s->scratch, *l_end = l + half * es;
	const char *r = p + half * es, *r_end = p + n * es;
	while (l < l_end) {
		if (r < r_end && s->cmp(l, r, s->arg) > 0) {
			copy(p, r, es);
			r += es;
		} else {
			copy(p, l, es);
			l += es;
		}
		p += es;
	}
}

void vec_sort(void *p, size_t n, size_t elem,
	      int (*cmp)(const void *, const void *, void *), void *arg)
{
	if (n < 2)
		return;
	struct sort s = { elem, cmp, arg, xreallocarray(NULL, n / 2 + 1, elem) };
	merge_sort(&s, p, n);
	free(s.scratch);
}
