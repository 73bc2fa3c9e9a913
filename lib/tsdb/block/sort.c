/*
 * tsdb/block/sort.c - the order of series once labels are left out.
 *
 * Series of a block lie in the order of all their labels. Where a label of the series themselves is
 * left out (a replica label) or overridden by an external one, that order is lost and cannot be
 * restored while streaming. So the labels that remain are collected first, for all series, as symbol
 * ordinals, and sorted: ordinals compare like the strings. This is the one place where a request's
 * memory grows with the number of series (16 bytes and 8 a label each); it is charged and refused
 * like any other. Chunks are read afterwards, in the new order.
 */
#include "tsdb/block/block_int.h"

#include "base/vec.h"

bool block_is_dropped(const uint32_t *drop, size_t n, uint32_t name)
{
	for (size_t i = 0; i < n; i++)
		if (drop[i] == name)
			return true;
	return false;
}

static int cmp_entry(const void *a, const void *b, void *arg)
{
	const struct block_sort_entry *x = a, *y = b;
	uint32_t n = MIN(x->n, y->n);
	(void)arg;

	for (uint32_t i = 0; i < n; i++)
		if (x->label[i] != y->label[i])
			return x->label[i] < y->label[i] ? -1 : 1;
	return (x->n > y->n) - (x->n < y->n);
}

/* Labels of one batch side by side in one allocation. */
static int keep_labels(struct ctx *ctx, struct arena *a, const struct idx_series *s,
		       const uint32_t *refs, size_t n, const uint32_t *drop,
		       size_t n_drop, struct block_sort_entry *out, size_t *n_out,
		       struct err *e)
{
	size_t total = 0;

	for (size_t i = 0; i < n; i++)
		if (idx_series_in_range(&s[i]))
			total += (size_t)s[i].n_labels * 2;
	uint32_t *p = arena_try(a, ctx, (total + 1) * sizeof(*p), e);
	if (!p)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!idx_series_in_range(&s[i]))
			continue;
		struct block_sort_entry *t = &out[(*n_out)++];
		*t = (struct block_sort_entry){ .ref = refs[i], .label = p };
		for (uint32_t k = 0; k < s[i].n_labels; k++) {
			if (block_is_dropped(drop, n_drop, s[i].label[k * 2]))
				continue;
			*p++ = s[i].label[k * 2];
			*p++ = s[i].label[k * 2 + 1];
			t->n += 2;
		}
	}
	return 0;
}

int block_sort(struct block *b, struct ctx *ctx, struct arena *a, struct postings p,
	       const uint32_t *drop, size_t n_drop, int64_t mint_ms, int64_t maxt_ms,
	       struct block_sort_entry **out, size_t *n, struct err *e)
{
	struct block_sort_entry *v = arena_try(a, ctx, (p.n + 1) * sizeof(*v), e);
	uint32_t sorted[BLOCK_BATCH_SERIES];
	struct idx_series *s;
	struct arena tmp;
	size_t count = 0;
	int rc = v ? 0 : -1;

	arena_init(&tmp, ctx->budget);
	for (size_t at = 0; rc == 0 && at < p.n;) {
		size_t k = block_entries_batch(p.ref + at, p.n - at, BLOCK_BATCH_SERIES,
					       sorted);
		arena_reset(&tmp);
		s = arena_try(&tmp, ctx, k * sizeof(*s), e);
		if (!s ||
		    block_entries_read(b, ctx, &tmp, sorted, k, mint_ms, maxt_ms, true, s,
				       e) < 0 ||
		    keep_labels(ctx, a, s, sorted, k, drop, n_drop, v, &count, e) < 0)
			rc = -1;
		at += k;
	}
	arena_deinit(&tmp);
	if (rc < 0)
		return -1;
	vec_sort(v, count, sizeof(*v), cmp_entry, NULL);
	*out = v;
	*n = count;
	return 0;
}
