/*
 * promql/exec/value_order.h - ordering of samples by value: the heap of topk and bottomk, and the sort of sort().
 *
 * Which of two equal values stays, and where NaN goes, follows from the order of comparisons, since `less` says of a NaN
 * on its left that it is less than anything, itself included. So both go the way of Go's container/heap and sort.
 *
 * Thread  CPU
 */
#ifndef PROMQL_EXEC_VALUE_ORDER_H
#define PROMQL_EXEC_VALUE_ORDER_H

#include "promql/exec/exec_int.h"

struct ranked {
	double v;
	uint32_t row; /* whose value it is: the caller's number */
};
/* The top of the heap is the lowest value (high false: topk) or the highest (bottomk). */
void ranked_push(struct ranked *h, uint32_t n, struct ranked r,
		 bool high); /* h holds n, room for one more */
void ranked_fix_top(struct ranked *h, uint32_t n, bool high); /* h[0] was replaced */
/* Falling (high false) or rising order, NaN last. Ends with ctx (NULL: never); then the order is none. */
MUST_CHECK int ranked_sort(struct ctx *ctx, struct ranked *h, uint32_t n, bool high,
			   struct err *e);

#endif
