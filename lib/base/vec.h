/*
 * base/vec.h - growing arrays, sorting, searching: functions with an element size.
 */
#ifndef BASE_VEC_H
#define BASE_VEC_H

#include "base/base.h"

/*
 * Make room for `need` elements in a malloc'ed array, growing by half; aborts on exhaustion.
 *   if (n == cap) v = vec_grow(v, &cap, n + 1, sizeof *v);
 */
void *vec_grow(void *p, size_t *cap, size_t need, size_t elem);
/* First index i in [0, n) with cmp(key, elem i) <= 0, or n. The array is ascending. */
size_t vec_lower_bound(const void *key, const void *p, size_t n, size_t elem,
		       int (*cmp)(const void *key, const void *elem));
/* Stable merge sort; `arg` is handed to cmp. */
void vec_sort(void *p, size_t n, size_t elem,
	      int (*cmp)(const void *, const void *, void *), void *arg);

#endif
