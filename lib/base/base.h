/*
 * base/base.h - what every file needs: checks, sizes, attributes.
 *
 * BUG_ON stays in release builds: a broken invariant aborts with its place, because going on could
 * answer wrongly or damage data.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define MUST_CHECK		__attribute__((warn_unused_result))
#define NORETURN		__attribute__((noreturn))
#define UNUSED			__attribute__((unused))
#define LIKELY(x)		__builtin_expect(!!(x), 1)
#define UNLIKELY(x)		__builtin_expect(!!(x), 0)

#define ARRAY_LEN(a)			(sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#undef MIN /* sys/param.h has them, too */
#undef MAX
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

NORETURN void base_bug(const char *file, int line, const char *cond);
#define BUG_ON(cond)                                                                     \
	do {                                                                             \
		if (UNLIKELY(cond))                                                      \
			base_bug(__FILE__, __LINE__, #cond);                             \
	} while (0)

/*
 * Allocation of small, fixed sizes: aborts when memory is exhausted (as Redis and h2o do), never
 * returns NULL. Sizes that outsiders choose are checked against a limit and a budget first.
 * xreallocarray aborts on overflow of n * size, too.
 */
void *xmalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xreallocarray(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *s) __attribute__((malloc, returns_nonnull));

#endif
