/*
 * base/budget.h - byte ledgers: process > query > operator.
 *
 * Thread  SHARED: counters are atomic
 * A child draws on its parent in steps of `step` bytes (1 MiB for queries), so that the parent's
 * cache line is touched rarely. A charge that would pass a limit is refused with E_LIMIT and a
 * message that names the limit and its flag; budget_force charges all the same (small fixed sizes).
 * A ledger with a spare keeps that much of its limit for children that hold little, so that a few large ones
 * cannot make every small one fail.
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdatomic.h>

#include "base/err.h"

struct budget {
	struct budget *parent; /* NULL: the root */
	const char *name;      /* "query", "process": stands in the error */
	const char *flag;      /* the flag that sets the limit, or NULL */
	size_t limit;	       /* bytes; 0: none of its own */
	size_t step;	       /* bytes drawn on the parent at a time */
	_Atomic size_t used;   /* charged here */
	_Atomic size_t drawn;  /* taken from the parent, >= used rounded to step */
	_Atomic size_t peak;   /* largest `used` seen */
	size_t spare;  /* of limit: kept for children that hold little; 0: nothing is */
	size_t little; /* a child that would draw more than this leaves the spare alone */
	size_t floor;  /* reserved: drawn does not fall below it */
	_Atomic bool refused; /* a charge was refused, here or above */
	_Atomic bool starved; /* above */
	_Atomic size_t
		starved_by; /* bytes that others had drawn above when that happened */
};

void budget_init(struct budget *b, struct budget *parent, const char *name,
		 const char *flag, size_t limit);
/* Gives back all that was drawn; BUG when bytes are still charged. */
void budget_deinit(struct budget *b);
MUST_CHECK int budget_take(struct budget *b, struct ctx *ctx, size_t n, struct err *e);
/*
 * Draw n bytes on the parent and keep them until deinit, whatever is used: charges up to n cannot be refused from above
 * any more. Once, before the first charge.
 */
MUST_CHECK int budget_reserve(struct budget *b, struct ctx *ctx, size_t n, struct err *e);
void budget_force(struct budget *b, size_t n);
void budget_give(struct budget *b, size_t n); /* b may be NULL in all three */
/*
 * Was any charge refused so far? Tells an E_LIMIT of our own from one that somebody else sent. False for NULL.
 */
bool budget_refused(const struct budget *b);
size_t budget_used(const struct budget *b);
size_t
budget_left(const struct budget *b); /* SIZE_MAX: unlimited; smallest along the chain */

#endif
