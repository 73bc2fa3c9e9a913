/*
 * tsdb/write/spill.c - what does not stay in memory: an unlinked file that is appended to, then read in pieces.
 */
#include <stdlib.h>

#include "tsdb/write/write_int.h"

int spill_open(struct spill *s, struct ctx *ctx, const char *dir, size_t room,
	       struct err *e)
{
	*s = (struct spill){ 0 };
	if (fs_temp_open(ctx, dir, &s->temp, e) < 0)
		return -1;
	s->room = room;
	s->p = xmalloc(room);
	return 0;
}

int spill_flush(struct spill *s, struct ctx *ctx, struct err *e)
{
	if (s->n && fs_temp_write(s->temp, ctx, s->done, s->p, s->n, e) < 0)
		return -1;
	s->done += s->n;
	s->n = 0;
	return 0;
}

int spill_append(struct spill *s, struct ctx *ctx, const void *p, size_t n, struct err *e)
{
	const uint8_t *from = p;
	while (UNLIKELY(n > s->room - s->n)) {
		size_t part = s->room - s->n;
		memcpy(s->p + s->n, from, part);
		s->n += part;
		from += part;
		n -= part;
		if (spill_flush(s, ctx, e) < 0)
			return -1;
	}
	memcpy(s->p + s->n, from, n);
	s->n += n;
	return 0;
}

uint64_t spill_pos(const struct spill *s)
{
	return s->done + s->n;
}

void spill_close(struct spill *s)
{
	fs_temp_close(s->temp);
	free(s->p);
	*s = (struct spill){ 0 };
}

int spill_peek(struct spill_reader *r, struct ctx *ctx, size_t want, const uint8_t **p,
	       size_t *n, struct err *e)
{
	if (UNLIKELY(r->n - r->from < want) && r->at < r->end) {
		size_t left = r->n - r->from;
		memmove(r->p, r->p + r->from, left);
		r->from = 0;
		r->n = left;
		size_t k = (size_t)MIN(r->room - left, r->end - r->at);
		if (fs_temp_read(r->s->temp, ctx, r->at, r->p + left, k, e) < 0)
			return -1;
		r->at += k;
		r->n += k;
	}
	*p = r->p + r->from;
	*n = r->n - r->from;
	return 0;
}
