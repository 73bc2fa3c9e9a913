/*
 * compact/order.c - in which order Prometheus takes inputs that stand at the same series.
 *
 * Which of different samples of one time stays follows from it (merge.c, chain.c). Inputs lie in a heap (base/heap.h) by
 * the labels of their series; those of the least one are taken out, and put back in the order in which they were
 * taken, once they have moved on. So the order depends on all series before.
 */
#include <stdlib.h>

#include "compact/compact_int.h"

static bool less(const void *a, const void *b, void *arg)
{
	const struct input_order *o = arg;
	return o->cmp(o->arg, *(const uint32_t *)a, *(const uint32_t *)b) < 0;
}

void input_order_init(struct input_order *o, uint32_t n,
		      int (*cmp)(const void *, uint32_t, uint32_t), const void *arg)
{
	*o = (struct input_order){ .cmp = cmp, .arg = arg };
	o->heap = xcalloc(n + 1, sizeof(*o->heap));
	o->taken = xcalloc(n + 1, sizeof(*o->taken));
	o->ops = (struct heap_ops){ less, o, sizeof(*o->heap) };
}

void input_order_deinit(struct input_order *o)
{
	free(o->heap);
	free(o->taken);
}

void input_order_put(struct input_order *o, uint32_t input)
{
	o->heap[o->n++] = input;
	heap_push(o->heap, o->n, &o->ops);
}

const uint32_t *input_order_take(struct input_order *o, uint32_t n)
{
	BUG_ON(n > o->n);
	for (uint32_t i = 0; i < n; i++) {
		heap_pop(o->heap, o->n, &o->ops);
		o->taken[i] = o->heap[--o->n];
	}
	return o->taken;
}
