/*
 * A meta.json of any bytes. What is accepted, and written again, must be accepted again and give
 * the same bytes.
 */
#include <stdlib.h>

#include "base/ctx.h"
#include "base/log.h"
#include "tsdb/block/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct block_meta m, again;
	struct buf one, two;
	struct err e = ERR_INIT;
	struct ctx ctx;
	struct arena a;

	log_setup(LOG_ERROR, LOG_LOGFMT, 2);
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	buf_init(&one, 64 << 20);
	buf_init(&two, 64 << 20);
	if (block_meta_parse(&ctx, &a, str_n(p, n), &m, &e) == 0) {
		block_meta_write(&m, &one);
		if (block_meta_parse(&ctx, &a, buf_view(&one), &again, &e) < 0)
			abort();
		block_meta_write(&again, &two);
		if (!str_eq(buf_view(&one), buf_view(&two)))
			abort();
	}
	buf_deinit(&one);
	buf_deinit(&two);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return 0;
}
