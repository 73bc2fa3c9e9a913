/*
 * promql/exec/value_order.c - see value_order.h.
 */
#include "promql/exec/value_order.h"

#include <math.h>

#include "base/vec.h"

#define INSERTION_MAX 12

static bool less(double a, double b, bool high)
{
	return isnan(a) || (high ? a > b : a < b);
}

static void swap(struct ranked *h, uint32_t a, uint32_t b)
{
	struct ranked t = h[a];
	h[a] = h[b];
	h[b] = t;
}

void ranked_push(struct ranked *h, uint32_t n, struct ranked r, bool high)
{
	h[n] = r;
	for (uint32_t i = n; i > 0;) {
		uint32_t parent = (i - 1) / 2;
		if (!less(h[i].v, h[parent].v, high))
			return;
		swap(h, i, parent);
		i = parent;
	}
}

void ranked_fix_top(struct ranked *h, uint32_t n, bool high)
{
	for (uint32_t i = 0;;) {
		uint32_t child = 2 * i + 1;
		if (child >= n)
			return;
		if (child + 1 < n && less(h[child + 1].v, h[child].v, high))
			child++;
		if (!less(h[child].v, h[i].v, high))
			return;
		swap(h, i, child);
		i = child;
	}
}

static int by_value(const void *a, const void *b, void *arg)
{
	double x = ((const struct ranked *)a)->v, y = ((const struct ranked *)b)->v;
	bool high = *(const bool *)arg;
	if (isnan(x) || isnan(y))
		return isnan(x) - isnan(y);
	return high ? (x > y) - (x < y) : (x < y) - (x > y);
}

void ranked_sort(struct ranked *h, uint32_t n, bool high)
{
	if (n > INSERTION_MAX) {
		vec_sort(h, n, sizeof(*h), by_value, &high);
		return;
	}
	for (uint32_t i = 1; i < n; i++)
		for (uint32_t k = i; k > 0 && less(h[k - 1].v, h[k].v, high); k--)
			swap(h, k, k - 1);
}
