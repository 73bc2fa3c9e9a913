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

#include "base/ctx.h"

/*
 * For `less` of long sorts: false once the query is over (rc then is -1). Where `less` says false to everything, the
 * sort soon ends.
 */
struct go_sort_watch {
	struct ctx *ctx;
	struct err *e;
	uint32_t asked;
	int rc;
};
static inline bool go_sort_goes_on(struct go_sort_watch *w)
{
	if ((++w->asked & 4095) == 0 && w->rc == 0)
		w->rc = ctx_check(w->ctx, w->e);
	return w->rc == 0;
}

/* Put the numbers v[n] into the order of `less`. */
void go_sort(uint32_t *v, size_t n, bool (*less)(void *arg, uint32_t a, uint32_t b),
	     void *arg);

#endif
