/*
 * promql/exec/go_sort.h - a sort that leaves equal elements, and those of an order that contradicts itself, where Go's sort
 * package leaves them.
 *
 * Prometheus sorts results by value and by natural order of labels; many values are equal, and its natural order says that
 * an empty value is neither before nor behind another. What a user sees then follows from the algorithm: insertion sort up
 * to 12 elements, else pattern-defeating quicksort (O. Peters) with Go's choice of pivots.
 *
 * Thread  CPU
 */
#ifndef PROMQL_EXEC_GO_SORT_H
#define PROMQL_EXEC_GO_SORT_H

#include "base/base.h"

/* Put the numbers v[n] into the order of `less`. */
void go_sort(uint32_t *v, size_t n, bool (*less)(void *arg, uint32_t a, uint32_t b),
	     void *arg);

#endif
