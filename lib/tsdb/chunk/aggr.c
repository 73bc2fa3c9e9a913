/*
 * tsdb/chunk/aggr.c - Thanos' aggregate chunks (0xff) of downsampled blocks.
 *
 *   five times: uvarint length n; n > 0: one encoding byte, then n bytes of data
 * in the order count, sum, min, max, counter; length 0: absent. Source  thanos.md §3.3
 */
#include "tsdb/chunk/chunk.h"

#include "wire/rd.h"
#include "wire/wr.h"

int chunk_aggr_split(const uint8_t *p, size_t n, struct chunk_view *out, struct err *e)
{
	static const char *const names[] = { "count", "sum", "min", "max", "counter" };
	struct chunk_part part[AGGR_N] = { 0 };
	struct rd r = rd_n(p, n);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t len = rd_uvarint(&r);
		if (len == 0 && !r.bad)
			continue;
		uint8_t enc = rd_u8(&r);
		const uint8_t *data = rd_take(&r, len);
		if (r.bad)
			return err_set(NULL, e, E_CORRUPT,
				       "aggregate chunk: %s cut short", names[i]);
		if (enc < CHUNK_XOR || enc > CHUNK_FLOATHIST_ST)
			return err_set(NULL, e, E_CORRUPT,
				       "aggregate chunk: %s has encoding %u", names[i],
				       enc);
		part[AGGR_COUNT + i] = (struct chunk_part){ data, (uint32_t)len, enc };
	}
	if (r.p != r.end)
		return err_set(NULL, e, E_CORRUPT, "aggregate chunk: %zu bytes too many",
			       rd_left(&r));
	memcpy(out->part, part, sizeof part);
	return 0;
}

void chunk_aggr_join(const struct chunk_view *c, struct buf *out)
{
	for (unsigned a = AGGR_COUNT; a < AGGR_N; a++) {
		const struct chunk_part *p = &c->part[a];
		uint32_t n = p->p ? p->n : 0;
		wr_uvarint(out, n);
		if (n == 0)
			continue;
		buf_byte(out, p->enc);
		buf_add(out, p->p, n);
	}
}
