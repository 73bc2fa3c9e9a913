/*
 * base/base.c - the two ways to die: a broken invariant, and no memory for a small allocation.
 *
 * Both print one line with write(2), since the heap or stdio may be what is broken, and abort, so
 * that a core file shows the place.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>

void base_bug(const char *file, int line, const char *cond)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "BUG: %s:%d: %s (process %ld, thread %ld)\n",
			 file, line, cond, (long)getpid(), (long)syscall(SYS_gettid));
	size_t len = n < 0 ? 0 : MIN((size_t)n, sizeof(text) - 1);
	if (len == sizeof(text) - 1)
		text[len - 1] = '\n';
	ssize_t done = write(STDERR_FILENO, text, len);
	(void)done;
	abort();
}

static NORETURN void out_of_memory(size_t n)
{
	char text[80];
	int len = snprintf(text, sizeof(text),
			   "FATAL: out of memory allocating %zu bytes\n", n);
	ssize_t done = write(STDERR_FILENO, text, (size_t)len);
	(void)done;
	abort();
}

void *xmalloc(size_t n)
{
	void *p = malloc(n ? n : 1);
	if (UNLIKELY(!p))
		out_of_memory(n);
	return p;
}

void *xcalloc(size_t n, size_t size)
{
	if (n == 0 || size == 0)
		n = size = 1;
	void *p = calloc(n, size);
	if (UNLIKELY(!p))
		out_of_memory(n > SIZE_MAX / size ? SIZE_MAX : n * size);
	return p;
}

void *xreallocarray(void *p, size_t n, size_t size)
{
	if (n == 0 || size == 0)
		n = size = 1; /* realloc to 0 would free */
	void *q = reallocarray(p, n, size);
	if (UNLIKELY(!q))
		out_of_memory(n > SIZE_MAX / size ? SIZE_MAX : n * size);
	return q;
}

char *xstrdup(const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(xmalloc(n), s, n);
}
