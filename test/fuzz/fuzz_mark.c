/* Any bytes as each kind of mark: read, or refused as corrupt. */
#include <stdlib.h>

#include "blocks/blocks.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	for (unsigned k = MARK_DELETION; k <= MARK_NO_DOWNSAMPLE; k++) {
		struct arena a;
		struct block_mark m;
		struct err e = ERR_INIT;
		arena_init(&a, NULL);
		if (mark_parse(NULL, &a, k, str_n(p, n), &m, &e) < 0 &&
		    e.code != E_CORRUPT)
			abort();
		arena_deinit(&a);
	}
	return 0;
}
