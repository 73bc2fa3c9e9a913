/*
 * An index-header of any bytes, over an index that has the size it implies and holds zeros.
 */
#include <stdlib.h>

#include "base/ctx.h"
#include "tsdb/index/index.h"

#define MEMORY (256u << 20)
#define ZEROS  4096

/* table position and length of the copied part: the size that the header's index must have */
static uint64_t implied_size(const uint8_t *p, size_t n)
{
	uint64_t pos = 0, table = 0;

	if (n < 14 + 72)
		return 0;
	for (int i = 0; i < 8; i++) {
		pos = pos << 8 | p[6 + i];
		table = table << 8 | p[n - 12 + i];
	}
	return table <= n - 20 ? pos + (n - 20 - table) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	uint64_t size = implied_size(p, n);
	uint8_t *zeros = calloc(1, size < (1u << 20) ? size + 1 : ZEROS);
	struct range_source *h = range_source_mem("header", p, n);
	struct range_source *s =
		range_source_mem("index", zeros, size < (1u << 20) ? size : ZEROS);
	struct idx_reader *r = NULL;
	struct err e = ERR_INIT;
	struct budget budget;
	struct postings all;
	struct str *name;
	size_t count;
	struct ctx ctx;
	struct arena a;

	budget_init(&budget, NULL, "fuzz", NULL, MEMORY);
	ctx_init(&ctx, &budget, 0);
	arena_init(&a, &budget);
	if (idx_open_header(&ctx, h, s, &r, &e) == 0) {
		for (uint32_t i = 0; i < idx_symbol_count(r) && i < 1000; i++) {
			bool bad = false;
			idx_symbol(r, i, &bad);
			if (bad)
				abort();
		}
		if (idx_label_names(r, &ctx, &a, &name, &count, &e) < 0)
			abort();
		if (idx_postings(r, &ctx, &a, NULL, 0, &all, &e) == 0 && all.n)
			abort(); /* there is nothing in zeros */
	}
	idx_close(r);
	arena_deinit(&a);
	ctx_deinit(&ctx);
	range_source_unref(h);
	range_source_unref(s);
	budget_deinit(&budget);
	free(zeros);
	return 0;
}
