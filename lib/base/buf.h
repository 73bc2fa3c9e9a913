/*
 * base/buf.h - growing bytes, created with their maximum.
 *
 * Failure is sticky: when an append would pass `max`, nothing is added, `failed` is set, and every
 * later append does nothing; check once with buf_check before use.
 * Thread  one at a time.  Memory  malloc; buf_deinit frees.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/err.h"

struct buf {
	uint8_t *p;
	size_t n, cap, max;
	bool failed;
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);
void buf_reset(struct buf *b); /* empty, keep memory, clear failed */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_byte(struct buf *b, uint8_t c);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Room for n more bytes at the end, NULL if refused; then set by buf_commit (<= n). */
uint8_t *buf_room(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
void buf_cut_front(struct buf *b, size_t n); /* drop the first n bytes */
/* -1 E_LIMIT "<what>: larger than <max> bytes" if it failed. */
MUST_CHECK int buf_check(const struct buf *b, struct ctx *ctx, const char *what,
			 struct err *e);
static inline struct str buf_view(const struct buf *b)
{
	return (struct str){ (const char *)b->p, b->n };
}

#endif
