/*
 * store/bucket_meter.c - counting the bytes that one Series call downloads.
 *
 * A block is shared by all calls, and so are its sources; only the thread knows for which call it reads.
 * Sets are pulled on one thread at a time and read in the same call, so the call's meter is laid down
 * in a thread-local pointer around each pull. What counts are the coalesced reads, gaps included,
 * as they go over the wire; a read that would pass the limit is refused before it is made.
 */
#include <stdlib.h>

#include "store/bucket_int.h"

static _Thread_local struct bucket_meter *current;

struct bucket_meter *bucket_meter_enter(struct bucket_meter *m)
{
	struct bucket_meter *before = current;
	current = m;
	return before;
}

void bucket_meter_leave(struct bucket_meter *before)
{
	current = before;
}

struct metered {
	struct range_source base;
	struct range_source *in;
};

static uint64_t bytes_of(const struct range *r, size_t n)
{
	struct range *parts = xcalloc(n, sizeof(*parts));
	size_t *of = xcalloc(n, sizeof(*of));
	size_t k = range_coalesce(r, n, RANGE_GAP_BYTES, 0, parts, of);
	uint64_t bytes = 0;
	for (size_t i = 0; i < k; i++)
		bytes += parts[i].len;
	free(of);
	free(parts);
	return bytes;
}

static int metered_read(struct range_source *s, struct ctx *ctx, const struct range *r,
			size_t n, struct view *out, struct err *e)
{
	struct metered *m = CONTAINER_OF(s, struct metered, base);
	struct bucket_meter *meter = current;
	if (meter && meter->limit) {
		meter->used += bytes_of(r, n);
		if (meter->used > meter->limit)
			return err_set(
				ctx, e, E_LIMIT,
				"exceeded bytes limit: limit %llu violated (got %llu)",
				(unsigned long long)meter->limit,
				(unsigned long long)meter->used);
	}
	return range_source_read(m->in, ctx, r, n, out, e);
}

static void metered_close(struct range_source *s)
{
	struct metered *m = CONTAINER_OF(s, struct metered, base);
	range_source_unref(m->in);
	free(m);
}

struct range_source *bucket_meter_source(struct range_source *in)
{
	static const struct range_source_ops ops = { metered_read, metered_close };
	struct metered *m = xcalloc(1, sizeof(*m));
	m->in = in;
	range_source_init(&m->base, &ops, in->name, in->size);
	return &m->base;
}
