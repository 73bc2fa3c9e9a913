/*
 * promql/exec/value_order.c - see value_order.h.
 */
#include "promql/exec/value_order.h"

#include <math.h>
#include <stdlib.h>

#include "promql/exec/go_sort.h"

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

struct falling {
	const struct ranked *r;
	bool high;
	struct go_sort_watch watch;
};

/* The reverse of `less`. */
static bool before(void *arg, uint32_t a, uint32_t b)
{
	struct falling *f = arg;
	return go_sort_goes_on(&f->watch) && less(f->r[b].v, f->r[a].v, f->high);
}

int ranked_sort(struct ctx *ctx, struct ranked *h, uint32_t n, bool high, struct err *e)
{
	struct ranked *was = xmalloc(n * sizeof(*was) + 1);
	uint32_t *at = xmalloc(n * sizeof(*at) + 1);
	struct falling f = { was, high, { .ctx = ctx, .e = e } };
	if (n)
		memcpy(was, h, n * sizeof(*was));
	for (uint32_t i = 0; i < n; i++)
		at[i] = i;
	go_sort(at, n, before, &f);
	for (uint32_t i = 0; i < n; i++)
		h[i] = was[at[i]];
	free(was);
	free(at);
	return f.watch.rc;
}
