/*
 * base/heap.c - binary heap. Which of several equal elements stands where follows from the exact
 * order of comparisons and swaps, so this is kept the same as in Go's container/heap: building sifts
 * down from the last parent to the first; sifting down prefers the left child among equals and stops
 * at an equal one; removing swaps the ends and then sifts down.
 */
#include "base/heap.h"

#include <string.h>

static char *at(void *p, size_t i, const struct heap_ops *o)
{
	return (char *)p + i * o->elem;
}

static bool less(void *p, size_t i, size_t j, const struct heap_ops *o)
{
	return o->less(at(p, i, o), at(p, j, o), o->arg);
}

static void swap(void *p, size_t i, size_t j, const struct heap_ops *o)
{
	char tmp[64], *a = at(p, i, o), *b = at(p, j, o);
	if (i == j)
		return;
	for (size_t left = o->elem; left;) {
		size_t n = MIN(left, sizeof(tmp));
		memcpy(tmp, a, n);
		memcpy(a, b, n);
		memcpy(b, tmp, n);
		a += n;
		b += n;
		left -= n;
	}
}

static void up(void *p, size_t j, const struct heap_ops *o)
{
	while (j > 0) {
		size_t parent = (j - 1) / 2;
		if (!less(p, j, parent, o))
			return;
		swap(p, parent, j, o);
		j = parent;
	}
}

static bool down(void *p, size_t start, size_t n, const struct heap_ops *o)
{
	size_t i = start;
	while (i < n / 2) {
		size_t j = 2 * i + 1;
		if (j + 1 < n && less(p, j + 1, j, o))
			j++;
		if (!less(p, j, i, o))
			break;
		swap(p, i, j, o);
		i = j;
	}
	return i > start;
}

void heap_make(void *p, size_t n, const struct heap_ops *o)
{
	for (size_t i = n / 2; i-- > 0;)
		down(p, i, n, o);
}

void heap_push(void *p, size_t n, const struct heap_ops *o)
{
	up(p, n - 1, o);
}

void heap_pop(void *p, size_t n, const struct heap_ops *o)
{
	if (n < 2)
		return;
	swap(p, 0, n - 1, o);
	down(p, 0, n - 1, o);
}

void heap_fix(void *p, size_t n, size_t i, const struct heap_ops *o)
{
	if (!down(p, i, n, o))
		up(p, i, o);
}
