/*
 * A tombstones file of any bytes, with the checksum made right, so that the entries are reached. What was read is
 * written and read again.
 */
#include <stdlib.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "tsdb/block/block.h"
#include "tsdb/write/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define REFS 1000u

static void round_trip(struct ctx *ctx, const struct tombstones *t)
{
	struct buf one, two;
	struct err e = ERR_INIT;
	struct tombstones *again = NULL;
	size_t k, total = 0;
	buf_init(&one, 1 << 22);
	buf_init(&two, 1 << 22);
	for (uint32_t ref = 0; ref < REFS; ref++, total += k)
		tombstones_of(t, ref, &k);
	struct tombstone_entry *v = calloc(total + 1, sizeof *v);
	for (int pass = 0; pass < 2; pass++) {
		const struct tombstones *from = pass ? again : t;
		size_t n = 0;
		for (uint32_t ref = 0; ref < REFS; ref++) {
			const struct tombstone_range *r = tombstones_of(from, ref, &k);
			if (n + k > total)
				abort();
			for (size_t i = 0; i < k; i++)
				v[n++] = (struct tombstone_entry){ ref, r[i] };
		}
		tombstones_write(v, n, pass ? &two : &one);
		if (!pass && tombstones_parse(ctx, buf_view(&one), &again, &e) < 0)
			abort();
	}
	if (!str_eq(buf_view(&one), buf_view(&two)))
		abort();
	tombstones_free(again);
	free(v);
	buf_deinit(&one);
	buf_deinit(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct tombstones *t = NULL;
	struct err e = ERR_INIT;
	uint8_t *copy = malloc(n + 1);
	struct ctx ctx;

	if (n)
		memcpy(copy, p, n);
	if (n >= 9) {
		uint32_t crc = __builtin_bswap32(crc32c(0, copy + 5, n - 9));
		memcpy(copy + n - 4, &crc, 4);
	}
	ctx_init(&ctx, NULL, 0);
	if (tombstones_parse(&ctx, str_n(copy, n), &t, &e) == 0) {
		for (uint32_t ref = 0; ref < REFS; ref++) {
			size_t k;
			const struct tombstone_range *r = tombstones_of(t, ref, &k);
			for (size_t i = 0; i < k; i++)
				if (r[i].mint_ms > r[i].maxt_ms ||
				    (i && r[i - 1].maxt_ms >= r[i].mint_ms))
					abort();
		}
		round_trip(&ctx, t);
		tombstones_free(t);
	}
	ctx_deinit(&ctx);
	free(copy);
	return 0;
}
