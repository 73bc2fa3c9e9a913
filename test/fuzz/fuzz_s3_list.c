/*
 * A page of an S3 listing of any bytes: names that are handed on are names, in order.
 */
#include <stdlib.h>

#include "objstore/s3_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct arena a;
	struct err e = ERR_INIT;
	arena_init(&a, NULL);
	struct s3_page page = { .a = &a };
	if (s3_page_parse(str_n(p, n), &page, &e) == 0) {
		for (size_t i = 0; i < page.n; i++)
			if (bucket_name_fault(page.v[i].name, page.v[i].folder) ||
			    (i && str_cmp(page.v[i - 1].name, page.v[i].name) > 0))
				abort();
	} else if (e.code == E_OK) {
		abort();
	}
	free(page.v);
	arena_deinit(&a);
	return 0;
}
