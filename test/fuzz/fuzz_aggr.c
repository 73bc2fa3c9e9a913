/*
 * Aggregate chunks: any bytes are split or refused, and what was split and joined again is split into the same parts;
 * parts cut from the input are joined and split.
 */
#include <stdlib.h>

#include "tsdb/chunk/chunk.h"
#include "wire/rd.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void same_parts(const struct chunk_view *want, const struct buf *joined)
{
	struct chunk_view got = { 0 };
	struct err e;
	if (joined->failed || chunk_aggr_split(joined->p, joined->n, &got, &e) < 0 ||
	    !chunk_view_eq(want, &got))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct chunk_view v = { 0 };
	struct err e;
	struct buf b;
	buf_init(&b, 1 << 22);
	if (chunk_aggr_split(p, n, &v, &e) == 0) {
		chunk_aggr_join(&v, &b);
		if (b.n > n) /* lengths may have been written longer than they need be */
			abort();
		same_parts(&v, &b);
	}
	struct rd r = rd_n(p, n);
	v = (struct chunk_view){ 0 };
	for (unsigned a = AGGR_COUNT; a < AGGR_N && rd_left(&r); a++) {
		uint8_t op = rd_u8(&r);
		uint32_t len = (uint32_t)MIN(op / 6u, rd_left(&r));
		if (op % 7 == 0 || len == 0)
			continue;
		v.part[a] = (struct chunk_part){ rd_take(&r, len), len,
						 (uint8_t)(1 + op % 6) };
	}
	buf_reset(&b);
	chunk_aggr_join(&v, &b);
	same_parts(&v, &b);
	buf_deinit(&b);
	return 0;
}
