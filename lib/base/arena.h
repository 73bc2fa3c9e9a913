/*
 * base/arena.h - memory freed as a whole: bump allocation in chunks of 64 KiB, charged by chunk.
 *
 * Thread  one owner at a time; travels with its batch or request
 * Memory  chunks are charged to `budget` (may be NULL); poisoned and padded under ASan
 * arena_alloc is for small, fixed sizes: it charges by force and never returns NULL. Whatever
 * grows with outside data uses arena_try, which refuses with E_LIMIT.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/budget.h"

struct arena_chunk;
struct arena_cleanup;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	char *p, *end;		    /* free part of the newest */
	struct budget *budget;
	struct arena_cleanup *cleanups;
	size_t total; /* bytes of all chunks, as charged */
	size_t first; /* of the first chunk, before it is made; 0: as large as the others */
};

void arena_init(struct arena *a, struct budget *budget);
void arena_deinit(struct arena *a);	      /* runs cleanups, frees all */
void arena_reset(struct arena *a);	      /* empty; keeps one chunk */
void *arena_alloc(struct arena *a, size_t n); /* 16-aligned, not zeroed */
void *arena_zalloc(struct arena *a, size_t n);
MUST_CHECK void *arena_try(struct arena *a, struct ctx *ctx, size_t n, struct err *e);
void arena_on_free(struct arena *a, void (*fn)(void *), void *arg); /* newest first */

#define ARENA_NEW(a, type)	((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), sizeof(type) * (size_t)(n)))

#endif
