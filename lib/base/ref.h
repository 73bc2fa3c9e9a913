/*
 * base/ref.h - shared ownership: an atomic count and a destructor; and slabs, ref-counted bytes.
 *
 * Thread  SHARED; what is behind a ref is immutable after publication unless it locks itself.
 */
#ifndef BASE_REF_H
#define BASE_REF_H

#include <stdatomic.h>

#include "base/budget.h"

struct ref {
	_Atomic uint32_t n;
	void (*free)(struct ref *r); /* at the last unref */
};
static inline void ref_init(struct ref *r, void (*fn)(struct ref *))
{
	atomic_init(&r->n, 1);
	r->free = fn;
}
struct ref *ref_get(struct ref *r); /* NULL allowed in both */
void ref_put(struct ref *r);

/* A view pins what it points to until view_put. */
struct view {
	const uint8_t *p;
	size_t n;
	struct ref *pin; /* NULL: static or owned elsewhere */
};
static inline void view_put(struct view *v)
{
	ref_put(v->pin);
	*v = (struct view){ 0 };
}

/* Ref-counted bytes of one allocation, charged to a budget until the last unref. */
#define SLAB_BYTES (128u << 10)
struct slab {
	struct ref ref;
	struct budget *budget;
	size_t cap, used;
	uint8_t data[];
};
/* By force (fixed sizes); cap 0: SLAB_BYTES. */
struct slab *slab_new(struct budget *b, size_t cap);
/* Refused with E_LIMIT when the budget says so. */
MUST_CHECK struct slab *slab_try(struct budget *b, struct ctx *ctx, size_t cap,
				 struct err *e);
/* To be called from time to time: the memory of whole slabs that is kept for the next goes back, unless one was made since the last call. */
void slab_trim(void);

#endif
