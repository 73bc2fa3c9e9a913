/* Any bytes as each kind of mark: read, or refused as corrupt; what was read, and written again, is read as the same. */
#include <stdlib.h>

#include "blocks/blocks.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void round_trip(struct arena *a, enum mark_kind k, const struct block_mark *m)
{
	struct block_mark again;
	struct err e = ERR_INIT;
	struct buf one, two;
	buf_init(&one, 16 << 20);
	buf_init(&two, 16 << 20);
	mark_write(k, m, &one);
	if (mark_parse(NULL, a, k, buf_view(&one), &again, &e) < 0)
		abort();
	mark_write(k, &again, &two);
	if (!str_eq(buf_view(&one), buf_view(&two)) || ulid_cmp(&m->id, &again.id) != 0 ||
	    m->time_s != again.time_s)
		abort();
	buf_deinit(&one);
	buf_deinit(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	for (unsigned k = MARK_DELETION; k <= MARK_NO_DOWNSAMPLE; k++) {
		struct arena a;
		struct block_mark m;
		struct err e = ERR_INIT;
		arena_init(&a, NULL);
		if (mark_parse(NULL, &a, k, str_n(p, n), &m, &e) == 0)
			round_trip(&a, k, &m);
		else if (e.code != E_CORRUPT)
			abort();
		arena_deinit(&a);
	}
	return 0;
}
