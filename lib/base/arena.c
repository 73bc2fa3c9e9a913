/*
 * base/arena.c - bump allocation.
 *
 *   chunk: | next, size | object | object | ... free ... |
 *                                          ^p           ^end
 *
 * Chunks hang in a list, and the one being filled is the first. An object that would take more than
 * a quarter of a chunk gets a chunk of its own, which is linked behind the first one, so that the
 * free part of the first is not lost. Each chunk is charged to the budget whole, once.
 *
 * Under ASan the free part is poisoned, and a gap of 16 poisoned bytes follows every object, so that
 * running over its end is found although malloc sees one block only.
 */
#include "base/arena.h"

#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define GAP	       16
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define GAP	       0
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

#define CHUNK_BYTES ((size_t)64 << 10)
#define ALIGN	    ((size_t)16)
#define OWN_BYTES   (CHUNK_BYTES / 4)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* with this header */
} __attribute__((aligned(16)));

struct arena_cleanup {
	struct arena_cleanup *next;
	void (*fn)(void *);
	void *arg;
};

static char *chunk_data(struct arena_chunk *c)
{
	return (char *)(c + 1);
}

void arena_init(struct arena *a, struct budget *budget)
{
	*a = (struct arena){ .budget = budget };
}

static void chunk_free(struct arena *a, struct arena_chunk *c)
{
	size_t size = c->size;
	UNPOISON(c, size);
	free(c);
	a->total -= size;
	budget_give(a->budget, size);
}

static void run_cleanups(struct arena *a)
{
	while (a->cleanups) {
		struct arena_cleanup *c = a->cleanups;
		a->cleanups = c->next;
		c->fn(c->arg);
	}
}

void arena_deinit(struct arena *a)
{
	run_cleanups(a);
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;
		a->chunks = c->next;
		chunk_free(a, c);
	}
	a->p = a->end = NULL;
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *keep = NULL;
	run_cleanups(a);
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;
		a->chunks = c->next;
		if (!keep && c->size == CHUNK_BYTES)
			keep = c;
		else
			chunk_free(a, c);
	}
	a->p = a->end = NULL;
	if (!keep)
		return;
	keep->next = NULL;
	a->chunks = keep;
	a->p = chunk_data(keep);
	a->end = (char *)keep + keep->size;
	POISON(a->p, (size_t)(a->end - a->p));
}

/* Bytes that an object of n takes, 0 if that overflows. */
static size_t padded(size_t n)
{
	if (n > SIZE_MAX / 2)
		return 0;
	n = n ? n : 1;
	return (n + ALIGN - 1) / ALIGN * ALIGN + GAP;
}

static size_t chunk_size_for(const struct arena *a, size_t need)
{
	if (!a->chunks && sizeof(struct arena_chunk) + need <= a->first)
		return a->first;
	return need > OWN_BYTES ? sizeof(struct arena_chunk) + need : CHUNK_BYTES;
}

/* Link a chunk of `size` bytes, already charged, and take `need` of it. */
static char *chunk_add(struct arena *a, struct arena_chunk *c, size_t size, size_t need)
{
	char *data = chunk_data(c);
	c->size = size;
	a->total += size;
	if (need > OWN_BYTES && a->chunks) {
		c->next = a->chunks->next;
		a->chunks->next = c;
	} else {
		c->next = a->chunks;
		a->chunks = c;
		a->p = data + need;
		a->end = (char *)c + size;
	}
	POISON(data, size - sizeof(*c));
	return data;
}

static char *bump(struct arena *a, size_t need)
{
	if (need > (size_t)(a->end - a->p))
		return NULL;
	char *p = a->p;
	a->p += need;
	return p;
}

void *arena_alloc(struct arena *a, size_t n)
{
	size_t need = padded(n);
	BUG_ON(need == 0);
	char *p = bump(a, need);
	if (!p) {
		size_t size = chunk_size_for(a, need);
		struct arena_chunk *c = xmalloc(size);
		budget_force(a->budget, size);
		p = chunk_add(a, c, size, need);
	}
	UNPOISON(p, n);
	return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
	return memset(arena_alloc(a, n), 0, n);
}

void *arena_try(struct arena *a, struct ctx *ctx, size_t n, struct err *e)
{
	size_t need = padded(n);
	if (need == 0) {
		err_set(ctx, e, E_LIMIT, "allocation of %zu bytes", n);
		return NULL;
	}
	char *p = bump(a, need);
	if (!p) {
		size_t size = chunk_size_for(a, need);
		if (budget_take(a->budget, ctx, size, e) < 0)
			return NULL;
		struct arena_chunk *c = malloc(size);
		if (!c) {
			budget_give(a->budget, size);
			err_set(ctx, e, E_LIMIT, "out of memory allocating %zu bytes", n);
			return NULL;
		}
		p = chunk_add(a, c, size, need);
	}
	UNPOISON(p, n);
	return p;
}

void arena_on_free(struct arena *a, void (*fn)(void *), void *arg)
{
	struct arena_cleanup *c = arena_alloc(a, sizeof(*c));
	*c = (struct arena_cleanup){ a->cleanups, fn, arg };
	a->cleanups = c;
}
