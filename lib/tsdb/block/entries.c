/*
 * tsdb/block/entries.c - series entries and their reads in pieces of bounded size.
 *
 * A range source joins ranges whose gap is at most RANGE_GAP_BYTES into one read, which is right for
 * latency but means that a thousand entries far apart may fetch hundreds of MiB. So the cost of a
 * read is worked out before it is done, gaps included, and the batch is halved until it is bearable.
 */
#include "tsdb/block/block_int.h"

#include "base/vec.h"

#define ENTRY_GUESS 512

static int cmp_u32(const void *a, const void *b, void *arg)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	(void)arg;

	return (x > y) - (x < y);
}

static uint64_t entries_cost(const uint32_t *refs, size_t n)
{
	uint64_t cost = n ? ENTRY_GUESS : 0;

	for (size_t i = 1; i < n; i++) {
		uint64_t step = ((uint64_t)refs[i] - refs[i - 1]) * 16;
		cost += step <= RANGE_GAP_BYTES ? step : ENTRY_GUESS;
	}
	return cost;
}

size_t block_entries_batch(const uint32_t *refs, size_t n, size_t max, uint32_t *sorted)
{
	n = MIN(n, max);
	for (;;) {
		bool ascending = true;
		for (size_t i = 0; i < n; i++) {
			sorted[i] = refs[i];
			ascending &= i == 0 || refs[i - 1] < refs[i];
		}
		if (!ascending)
			vec_sort(sorted, n, sizeof(*sorted), cmp_u32, NULL);
		if (n <= 1 || entries_cost(sorted, n) <= BLOCK_BATCH_BYTES)
			return n;
		n /= 2;
	}
}

struct report {
	struct block *b;
	struct ctx *ctx;
};

static void on_bad_entry(void *arg, uint32_t ref, const struct err *why)
{
	struct report *r = arg;
	(void)ref;

	block_damaged(r->b, r->ctx, DAMAGE_SERIES, "index: %s", err_text(why));
}

int block_entries_read(struct block *b, struct ctx *ctx, struct arena *a,
		       const uint32_t *refs, size_t n, int64_t mint_ms, int64_t maxt_ms,
		       bool skip_chunks, struct idx_series *out, struct err *e)
{
	struct report report = { .b = b, .ctx = ctx };
	struct idx_series_req req = { .mint_ms = mint_ms,
				      .maxt_ms = maxt_ms,
				      .skip_chunks = skip_chunks,
				      .on_bad = on_bad_entry,
				      .arg = &report };

	if (ctx_check(ctx, e) < 0)
		return -1;
	if (idx_series_read(b->index, ctx, a, refs, n, &req, out, e) < 0)
		return err_wrap(ctx, e, "block %s: index", b->id);
	return 0;
}
