/*
 * base/heap.h - binary heap with the sift order of Go's container/heap, on which the choice among
 * equal elements depends (PromQL topk and bottomk keep the same ones as Prometheus).
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include "base/base.h"

struct heap_ops {
	bool (*less)(const void *a, const void *b, void *arg);
	void *arg;
	size_t elem;
};
void heap_make(void *p, size_t n, const struct heap_ops *o);
/* The new element stands at index n-1. */
void heap_push(void *p, size_t n, const struct heap_ops *o);
/* Moves the least to index n-1; the caller shrinks. */
void heap_pop(void *p, size_t n, const struct heap_ops *o);
/* Restore order after the element at i changed. */
void heap_fix(void *p, size_t n, size_t i, const struct heap_ops *o);

#endif
