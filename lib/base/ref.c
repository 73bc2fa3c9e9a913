/*
 * base/ref.c - counts of owners, and slabs. The last unref must see all that other owners did before
 * theirs, hence release on every decrement and acquire on the last.
 *
 * Streams of messages fill one whole slab after the other, and another thread lets each go a moment later. The pages
 * of what malloc gets back so go to the system and come again, for each slab: a tenth of all that a query costs. So
 * the memory of a few is kept aside for the next, until slab_trim sees that none was taken for a while.
 */
#include "base/ref.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define REF_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REF_ASAN 1
#endif
#endif

#ifdef REF_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

#define SPARES	    4
#define WHOLE_BYTES (sizeof(struct slab) + SLAB_BYTES)

static struct {
	_Atomic(struct slab *) slab[SPARES];
	_Atomic bool taken; /* since the last trim */
} spare;

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

/* All of a whole slab's size have one block size, those that leave room for the head in SLAB_BYTES, too. */
static bool is_whole(size_t cap)
{
	return cap <= SLAB_BYTES && cap >= SLAB_BYTES - sizeof(struct slab);
}

static size_t block_bytes(size_t cap)
{
	return is_whole(cap) ? WHOLE_BYTES : sizeof(struct slab) + cap;
}

static struct slab *block_get(size_t cap)
{
	if (!is_whole(cap))
		return malloc(block_bytes(cap));
	atomic_store_explicit(&spare.taken, true, memory_order_relaxed);
	for (size_t i = 0; i < SPARES; i++) {
		struct slab *s = NULL;
		if (atomic_load_explicit(&spare.slab[i], memory_order_relaxed))
			s = atomic_exchange(&spare.slab[i], NULL);
		if (s) {
			UNPOISON(s, WHOLE_BYTES);
			return s;
		}
	}
	return malloc(WHOLE_BYTES);
}

static void block_put(struct slab *s)
{
	if (is_whole(s->cap)) {
		POISON(s, WHOLE_BYTES);
		for (size_t i = 0; i < SPARES; i++) {
			struct slab *none = NULL;
			if (atomic_compare_exchange_strong(&spare.slab[i], &none, s))
				return;
		}
		UNPOISON(s, WHOLE_BYTES);
	}
	free(s);
}

void slab_trim(void)
{
	if (atomic_exchange(&spare.taken, false))
		return;
	for (size_t i = 0; i < SPARES; i++) {
		struct slab *s = atomic_exchange(&spare.slab[i], NULL);
		if (s)
			UNPOISON(s, WHOLE_BYTES);
		free(s);
	}
}

static void slab_free(struct ref *r)
{
	struct slab *s = CONTAINER_OF(r, struct slab, ref);
	struct budget *b = s->budget;
	size_t n = sizeof(*s) + s->cap;
	block_put(s);
	budget_give(b, n);
}

static struct slab *slab_make(struct slab *s, struct budget *b, size_t cap)
{
	ref_init(&s->ref, slab_free);
	s->budget = b;
	s->cap = cap;
	s->used = 0;
	POISON(s->data + cap, block_bytes(cap) - sizeof(*s) - cap);
	return s;
}

struct slab *slab_new(struct budget *b, size_t cap)
{
	cap = cap ? cap : SLAB_BYTES;
	BUG_ON(cap > SIZE_MAX / 2);
	struct slab *s = block_get(cap);
	if (!s)
		s = xmalloc(block_bytes(cap));
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
	struct slab *s = block_get(cap);
	if (!s) {
		budget_give(b, sizeof(*s) + cap);
		err_set(ctx, e, E_LIMIT, "out of memory allocating %zu bytes", cap);
		return NULL;
	}
	return slab_make(s, b, cap);
}
