/*
 * dedup/lanes.c - the order of chunks, and chunks that overlap split into lanes that do not.
 *
 * A lane is what one replica may have written: chunks in order, each put into the first lane whose
 * last chunk ends before it. With replicas that scrape all the time, lane 0 follows one of them until
 * it has a gap, where the lanes may change over; the penalty merge copes with that, as Thanos' does.
 */
#include "base/vec.h"

#include "dedup/dedup_int.h"

static const struct chunk_part *first_part(const struct chunk_view *c)
{
	for (int i = 0; i < AGGR_N; i++)
		if (c->part[i].p)
			return &c->part[i];
	return &c->part[0];
}

int dedup_chunk_cmp(const struct chunk_view *a, const struct chunk_view *b)
{
	if (a->mint_ms != b->mint_ms)
		return a->mint_ms < b->mint_ms ? -1 : 1;
	if (a->maxt_ms != b->maxt_ms)
		return a->maxt_ms < b->maxt_ms ? -1 : 1;
	const struct chunk_part *x = first_part(a), *y = first_part(b);
	if (x->enc != y->enc)
		return x->enc < y->enc ? -1 : 1;
	return str_cmp(str_n(y->p, y->n), str_n(x->p, x->n));
}

static int cmp(const void *a, const void *b, void *arg)
{
	(void)arg;
	return dedup_chunk_cmp(a, b);
}

void dedup_chunk_sort(struct chunk_view *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		if (dedup_chunk_cmp(&v[i - 1], &v[i]) > 0) {
			vec_sort(v, n, sizeof *v, cmp, NULL);
			return;
		}
	}
}

size_t dedup_chunk_unique(struct chunk_view *v, size_t n)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (k == 0 || !chunk_view_eq(&v[k - 1], &v[i]))
			v[k++] = v[i];
	return k;
}

size_t dedup_lanes(struct arena *a, struct chunk_view *chunks, size_t n,
		   uint32_t *lane_of)
{
	int64_t *ends = arena_alloc(a, (n + 1) * sizeof *ends);
	size_t lanes = 0;
	dedup_chunk_sort(chunks, n);
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;
		while (k < lanes && ends[k] >= chunks[i].mint_ms)
			k++;
		lanes += k == lanes;
		ends[k] = chunks[i].maxt_ms;
		lane_of[i] = (uint32_t)k;
	}
	return lanes;
}
