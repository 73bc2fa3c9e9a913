/*
 * base/buf.c - growing bytes. Memory doubles up to the maximum; a refused append sticks, so that a
 * writer of many fields checks once, at its end.
 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAP 64

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_deinit(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ .max = b->max };
}

void buf_reset(struct buf *b)
{
	b->n = 0;
	b->failed = false;
}

uint8_t *buf_room(struct buf *b, size_t n)
{
	if (b->failed || n > b->max - b->n) {
		b->failed = true;
		return NULL;
	}
	if (UNLIKELY(n > b->cap - b->n || !b->p)) {
		size_t cap = b->cap > b->max / 2 ? b->max : MAX(b->cap * 2, FIRST_CAP);
		cap = MAX(MIN(cap, b->max), b->n + n);
		b->p = xreallocarray(b->p, cap, 1);
		b->cap = cap;
	}
	return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
	BUG_ON(n > b->cap - b->n);
	b->n += n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	uint8_t *to = buf_room(b, n);
	if (!to)
		return;
	memcpy(to, p, n);
	b->n += n;
}

void buf_str(struct buf *b, struct str s)
{
	buf_add(b, s.p, s.n);
}

void buf_byte(struct buf *b, uint8_t c)
{
	if (LIKELY(b->n < b->cap && !b->failed)) {
		b->p[b->n++] = c;
		return;
	}
	buf_add(b, &c, 1);
}

void buf_fmt(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	if (b->failed)
		return;
	va_start(ap, fmt);
	va_copy(again, ap);
	size_t left = b->cap - b->n;
	int n = vsnprintf(left ? (char *)b->p + b->n : NULL, left, fmt, ap);
	va_end(ap);
	BUG_ON(n < 0);
	size_t len = (size_t)n;
	if (len < left) {
		b->n += len;
	} else if (len > b->max - b->n) {
		b->failed = true;
	} else if (len > 0 && len < b->max - b->n) {
		/* vsnprintf writes a NUL, for which there is room below the maximum. */
		uint8_t *to = buf_room(b, len + 1);
		if (to && vsnprintf((char *)to, len + 1, fmt, again) == n)
			b->n += len;
	} else if (len > 0) {
		char *tmp = xmalloc(len + 1);
		if (vsnprintf(tmp, len + 1, fmt, again) == n)
			buf_add(b, tmp, len);
		free(tmp);
	}
	va_end(again);
}

void buf_cut_front(struct buf *b, size_t n)
{
	BUG_ON(n > b->n);
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

int buf_check(const struct buf *b, struct ctx *ctx, const char *what, struct err *e)
{
	if (!b->failed)
		return 0;
	return err_set(ctx, e, E_LIMIT, "%s: larger than %zu bytes", what, b->max);
}
