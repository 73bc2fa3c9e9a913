/*
 * base/ref.c - counts of owners, and slabs. The last unref must see all that other owners did before
 * theirs, hence release on every decrement and acquire on the last.
 */
#include "base/ref.h"

#include <stdlib.h>

struct ref *ref_get(struct ref *r)
{
	if (r) {
		uint32_t n = atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed);
		BUG_ON(n == 0 || n == UINT32_MAX);
	}
	return r;
}

void ref_put(struct ref *r)
{
	if (!r)
		return;
	uint32_t n = atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel);
	BUG_ON(n == 0);
	if (n == 1)
		r->free(r);
}

static void slab_free(struct ref *r)
{
	struct slab *s = CONTAINER_OF(r, struct slab, ref);
	struct budget *b = s->budget;
	size_t n = sizeof(*s) + s->cap;
	free(s);
	budget_give(b, n);
}

static struct slab *slab_make(struct slab *s, struct budget *b, size_t cap)
{
	ref_init(&s->ref, slab_free);
	s->budget = b;
	s->cap = cap;
	s->used = 0;
	return s;
}

struct slab *slab_new(struct budget *b, size_t cap)
{
	cap = cap ? cap : SLAB_BYTES;
	BUG_ON(cap > SIZE_MAX / 2);
	struct slab *s = xmalloc(sizeof(*s) + cap);
	budget_force(b, sizeof(*s) + cap);
	return slab_make(s, b, cap);
}

struct slab *slab_try(struct budget *b, struct ctx *ctx, size_t cap, struct err *e)
{
	cap = cap ? cap : SLAB_BYTES;
	if (cap > SIZE_MAX / 2) {
		err_set(ctx, e, E_LIMIT, "slab of %zu bytes", cap);
		return NULL;
	}
	if (budget_take(b, ctx, sizeof(struct slab) + cap, e) < 0)
		return NULL;
	struct slab *s = malloc(sizeof(*s) + cap);
	if (!s) {
		budget_give(b, sizeof(*s) + cap);
		err_set(ctx, e, E_LIMIT, "out of memory allocating %zu bytes", cap);
		return NULL;
	}
	return slab_make(s, b, cap);
}
