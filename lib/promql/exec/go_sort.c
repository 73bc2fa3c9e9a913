/*
 * promql/exec/go_sort.c - see go_sort.h.
 *
 * Ranges are [lo, hi). A range is partitioned around the median of three (of 50 elements on: of three medians); where that
 * went badly, three elements change places with ones drawn by xorshift, and after log2(n) such times a heap sort ends it.
 */
#include "promql/exec/go_sort.h"

#define INSERTION_MAX 12
#define NINTHER_MIN   50
#define SHIFT_MIN     50
#define REPAIRS_MAX   5
#define SWAPS_ALL     12 /* of choosing a pivot: the range is falling */

struct sorter {
	uint32_t *v;
	bool (*less)(void *arg, uint32_t a, uint32_t b);
	void *arg;
};

static bool less(const struct sorter *s, size_t i, size_t k)
{
	return s->less(s->arg, s->v[i], s->v[k]);
}

static void swap(struct sorter *s, size_t i, size_t k)
{
	uint32_t t = s->v[i];
	s->v[i] = s->v[k];
	s->v[k] = t;
}

static unsigned bit_length(size_t n)
{
	return n ? 64 - (unsigned)__builtin_clzll(n) : 0;
}

/* v[i] goes left as long as it is less, down to `lo`. */
static void sink(struct sorter *s, size_t lo, size_t i)
{
	for (; i > lo && less(s, i, i - 1); i--)
		swap(s, i, i - 1);
}

static void insertion_sort(struct sorter *s, size_t lo, size_t hi)
{
	for (size_t i = lo + 1; i < hi; i++)
		sink(s, lo, i);
}

static void sift_down(struct sorter *s, size_t lo, size_t root, size_t n)
{
	for (size_t child; (child = 2 * root + 1) < n; root = child) {
		if (child + 1 < n && less(s, lo + child, lo + child + 1))
			child++;
		if (!less(s, lo + root, lo + child))
			return;
		swap(s, lo + root, lo + child);
	}
}

static void heap_sort(struct sorter *s, size_t lo, size_t hi)
{
	size_t n = hi - lo;
	for (size_t i = (n - 1) / 2 + 1; i-- > 0;)
		sift_down(s, lo, i, n);
	for (size_t i = n; i-- > 0;) {
		swap(s, lo, lo + i);
		sift_down(s, lo, 0, i);
	}
}

/* ---- pivots ---- */

static void order(const struct sorter *s, size_t *a, size_t *b, int *swaps)
{
	if (!less(s, *b, *a))
		return;
	size_t t = *a;
	*a = *b;
	*b = t;
	++*swaps;
}

static size_t median(const struct sorter *s, size_t a, size_t b, size_t c, int *swaps)
{
	order(s, &a, &b, swaps);
	order(s, &b, &c, swaps);
	order(s, &a, &b, swaps);
	return b;
}

static size_t choose_pivot(const struct sorter *s, size_t lo, size_t hi, int *swaps)
{
	size_t quarter = (hi - lo) / 4, at[3];
	*swaps = 0;
	for (size_t k = 0; k < 3; k++) {
		size_t i = lo + quarter * (k + 1);
		at[k] = hi - lo >= NINTHER_MIN ? median(s, i - 1, i, i + 1, swaps) : i;
	}
	return median(s, at[0], at[1], at[2], swaps);
}

static void break_patterns(struct sorter *s, size_t lo, size_t hi)
{
	size_t n = hi - lo, mask = ((size_t)1 << bit_length(n)) - 1;
	size_t first = lo + n / 4 * 2 - 1;
	uint64_t r = n;
	for (size_t k = 0; k < 3; k++) {
		r ^= r << 13;
		r ^= r >> 7;
		r ^= r << 17;
		size_t other = (size_t)r & mask;
		swap(s, first + k, lo + (other >= n ? other - n : other));
	}
}

/* ---- partitions ---- */

/* The pivot's place; what is less lies before it. *was: that was so already. */
static size_t partition(struct sorter *s, size_t lo, size_t hi, size_t pivot, bool *was)
{
	size_t i = lo + 1, j = hi - 1;
	swap(s, lo, pivot);
	for (*was = true;; *was = false) {
		while (i <= j && less(s, i, lo))
			i++;
		while (i <= j && !less(s, j, lo))
			j--;
		if (i > j)
			break;
		swap(s, i++, j--);
	}
	swap(s, j, lo);
	return j;
}

/* Nothing in the range is less than the pivot: what equals it goes to the front. Where the rest begins. */
static size_t partition_equal(struct sorter *s, size_t lo, size_t hi, size_t pivot)
{
	size_t i = lo + 1, j = hi - 1;
	swap(s, lo, pivot);
	for (;;) {
		while (i <= j && !less(s, lo, i))
			i++;
		while (i <= j && less(s, lo, j))
			j--;
		if (i > j)
			return i;
		swap(s, i++, j--);
	}
}

static void reverse(struct sorter *s, size_t lo, size_t hi)
{
	while (lo + 1 < hi)
		swap(s, lo++, --hi);
}

/* A range that looks sorted: repair a few pairs; true: it is sorted. */
static bool repair(struct sorter *s, size_t lo, size_t hi)
{
	size_t i = lo + 1;
	for (int k = 0; k < REPAIRS_MAX; k++) {
		while (i < hi && !less(s, i, i - 1))
			i++;
		if (i == hi)
			return true;
		if (hi - lo < SHIFT_MIN)
			return false;
		swap(s, i, i - 1);
		if (i - lo >= 2)
			sink(s, 0, i - 1);
		if (hi - i >= 2)
			for (size_t m = i + 1; m < hi && less(s, m, m - 1); m++)
				swap(s, m, m - 1);
	}
	return false;
}

static void quick_sort(struct sorter *s, size_t lo, size_t hi, unsigned limit)
{
	bool balanced = true, partitioned = true;
	while (hi - lo > INSERTION_MAX) {
		size_t n = hi - lo;
		int swaps;
		if (limit == 0) {
			heap_sort(s, lo, hi);
			return;
		}
		if (!balanced) {
			break_patterns(s, lo, hi);
			limit--;
		}
		size_t pivot = choose_pivot(s, lo, hi, &swaps);
		if (swaps == SWAPS_ALL) {
			reverse(s, lo, hi);
			pivot = hi - 1 - (pivot - lo);
			balanced = partitioned = true;
			swaps = 0;
		}
		if (balanced && partitioned && swaps == 0 && repair(s, lo, hi))
			return;
		if (lo > 0 && !less(s, lo - 1, pivot)) {
			lo = partition_equal(s, lo, hi, pivot);
			continue;
		}
		size_t mid = partition(s, lo, hi, pivot, &partitioned);
		size_t left = mid - lo, right = hi - mid;
		balanced = MIN(left, right) >= n / 8;
		if (left < right) {
			quick_sort(s, lo, mid, limit);
			lo = mid + 1;
		} else {
			quick_sort(s, mid + 1, hi, limit);
			hi = mid;
		}
	}
	insertion_sort(s, lo, hi);
}

void go_sort(uint32_t *v, size_t n, bool (*fn)(void *arg, uint32_t a, uint32_t b),
	     void *arg)
{
	struct sorter s = { v, fn, arg };
	if (n > 1)
		quick_sort(&s, 0, n, bit_length(n));
}
