/* Hints of StoreAPI requests: google.protobuf.Any around block matchers. */
#include "store/bucket_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct err e = ERR_INIT;
	struct matcher *m;
	struct ctx ctx;
	struct arena a;
	size_t count;
	ctx_init(&ctx, NULL, 0);
	arena_init(&a, NULL);
	(void)!bucket_hints_parse(&ctx, &a, str_n(p, n), "SeriesRequestHints", &m, &count,
				  &e);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	return 0;
}
