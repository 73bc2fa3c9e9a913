/*
 * A tombstones file of any bytes, with the checksum made right, so that the entries are reached.
 */
#include <stdlib.h>

#include "base/ctx.h"
#include "base/hash.h"
#include "tsdb/block/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
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
		for (uint32_t ref = 0; ref < 1000; ref++) {
			size_t k;
			const struct tombstone_range *r = tombstones_of(t, ref, &k);
			for (size_t i = 0; i < k; i++)
				if (r[i].mint_ms > r[i].maxt_ms ||
				    (i && r[i - 1].maxt_ms >= r[i].mint_ms))
					abort();
		}
		tombstones_free(t);
	}
	ctx_deinit(&ctx);
	free(copy);
	return 0;
}
