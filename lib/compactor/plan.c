/*
 * compactor/plan.c - the planner.
 *
 * In this order: runs of blocks that share time; then, without the newest block (so that the last window stays open for
 * late blocks), for each range from the smallest on, the windows of that length, aligned to 0, that are full or behind
 * which newer blocks stand; then single blocks of which much is under tombstones. Excluded blocks split a window, so that
 * no result ever spans one.
 */
#include "compactor/plan.h"

#include <stdlib.h>

#include "base/vec.h"

#define HOUR_MS ((int64_t)3600000)
const int64_t plan_ranges_ms[PLAN_MAX_RANGES] = { HOUR_MS, 2 * HOUR_MS, 8 * HOUR_MS,
						  48 * HOUR_MS, 336 * HOUR_MS };

static int by_mint(const void *a, const void *b, void *arg UNUSED)
{
	const struct block_meta *x = (*(struct plan_block *const *)a)->meta;
	const struct block_meta *y = (*(struct plan_block *const *)b)->meta;
	if (x->mint_ms != y->mint_ms)
		return x->mint_ms < y->mint_ms ? -1 : 1;
	return ulid_cmp(&x->ulid, &y->ulid);
}

void plan_sort(struct plan_block **v, size_t n)
{
	if (n > 1)
		vec_sort(v, n, sizeof(*v), by_mint, NULL);
}

/* ---- the list of plans ---- */

struct plans {
	struct arena *a;
	struct plan *v;
	size_t n, cap;
};

static void add(struct plans *l, enum plan_kind kind, int64_t range_ms,
		struct plan_block **v, size_t n)
{
	if (l->n == l->cap) {
		struct plan *more = ARENA_ARRAY(l->a, struct plan, 2 * l->cap + 4);
		if (l->n)
			memcpy(more, l->v, l->n * sizeof(*more));
		l->v = more;
		l->cap = 2 * l->cap + 4;
	}
	struct plan *p = &l->v[l->n++];
	*p = (struct plan){ .kind = kind, .range_ms = range_ms, .n = n };
	p->block = ARENA_ARRAY(l->a, struct plan_block *, n);
	memcpy(p->block, v, n * sizeof(struct plan_block *));
	int64_t maxt = n ? v[0]->meta->maxt_ms : 0;
	for (size_t i = 1; i < n; i++) {
		p->overlapping |= v[i]->meta->mint_ms < maxt;
		maxt = MAX(maxt, v[i]->meta->maxt_ms);
	}
}

/* ---- overlaps ---- */

/* From i on: the end of the blocks that hang together by sharing time. */
static size_t overlap_end(struct plan_block **v, size_t n, size_t i)
{
	int64_t maxt = v[i]->meta->maxt_ms;
	for (i++; i < n && v[i]->meta->mint_ms < maxt; i++)
		maxt = MAX(maxt, v[i]->meta->maxt_ms);
	return i;
}

static void add_overlaps(struct plans *l, struct plan_block **v, size_t n)
{
	for (size_t i = 0, end; i < n; i = end) {
		end = overlap_end(v, n, i);
		if (end - i > 1)
			add(l, PLAN_OVERLAP, 0, v + i, end - i);
	}
}

size_t plan_exclude_overlapping(struct plan_block **v, size_t n, bool *hit)
{
	struct plan_block **in = xreallocarray(NULL, n + 1, sizeof(struct plan_block *));
	size_t *at = xreallocarray(NULL, n + 1, sizeof(*at)), k = 0, count = 0;
	for (size_t i = 0; i < n; i++) {
		hit[i] = false;
		if (!v[i]->excluded) {
			at[k] = i;
			in[k++] = v[i];
		}
	}
	for (size_t i = 0, end; i < k; i = end) {
		end = overlap_end(in, k, i);
		for (size_t j = i; end - i > 1 && j < end; j++) {
			in[j]->excluded = true;
			hit[at[j]] = true;
			count++;
		}
	}
	free(in);
	free(at);
	return count;
}

/* ---- ranges ---- */

static int64_t window_of(int64_t t, int64_t range)
{
	return t >= 0 ? range * (t / range) : range * ((t - range + 1) / range);
}

/* What excluded blocks leave of a window. */
static void add_between(struct plans *l, struct plan_block **v, size_t n, int64_t range)
{
	size_t from = 0;
	for (size_t i = 0; i <= n; i++) {
		if (i < n && !v[i]->excluded)
			continue;
		if (i - from > 1)
			add(l, PLAN_RANGE, range, v + from, i - from);
		from = i + 1;
	}
}

static void add_window(struct plans *l, struct plan_block **v, size_t n, int64_t range,
		       int64_t newest_mint)
{
	if (n < 2)
		return;
	for (size_t i = 0; i < n; i++)
		if (v[i]->meta->compaction.failed)
			return;
	int64_t mint = v[0]->meta->mint_ms, maxt = v[n - 1]->meta->maxt_ms;
	if (maxt - mint != range && maxt > newest_mint)
		return;
	add_between(l, v, n, range);
}

static void add_range(struct plans *l, struct plan_block **v, size_t n, int64_t range)
{
	for (size_t i = 0; i < n;) {
		int64_t end = window_of(v[i]->meta->mint_ms, range) + range;
		size_t from = i;
		if (v[i]->meta->maxt_ms > end) { /* fits no window of this length */
			i++;
			continue;
		}
		while (i < n && v[i]->meta->maxt_ms <= end)
			i++;
		add_window(l, v + from, i - from, range, v[n - 1]->meta->mint_ms);
	}
}

/* ---- tombstones ---- */

static void add_tombstones(struct plans *l, struct plan_block **v, size_t n,
			   size_t n_ranges)
{
	for (size_t i = n; i-- > 0;) {
		const struct block_meta *m = v[i]->meta;
		if (v[i]->excluded)
			continue;
		if (m->maxt_ms - m->mint_ms < plan_ranges_ms[n_ranges / 2])
			return;
		if ((double)m->stats.tombstones / (double)(m->stats.series + 1) > 0.05)
			add(l, PLAN_TOMBSTONES, 0, v + i, 1);
	}
}

size_t plan_candidates(struct arena *a, struct plan_block **v, size_t n, size_t n_ranges,
		       struct plan **out)
{
	struct plans l = { .a = a };
	struct plan_block **in = ARENA_ARRAY(a, struct plan_block *, n + 1);
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		if (!v[i]->excluded)
			in[k++] = v[i];
	if (n)
		add_overlaps(&l, in, k);
	if (l.n == 0 && n > 1) {
		n--;
		for (size_t i = 1; l.n == 0 && i < n_ranges; i++)
			add_range(&l, v, n, plan_ranges_ms[i]);
		if (l.n == 0)
			add_tombstones(&l, v, n, n_ranges);
	}
	*out = l.v;
	return l.n;
}

size_t plan_too_big(const struct plan *p, uint64_t max)
{
	uint64_t sum = 0, limit = (uint64_t)((double)max * 0.85);
	size_t biggest = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (p->block[i]->index_bytes > p->block[biggest]->index_bytes)
			biggest = i;
		sum += p->block[i]->index_bytes;
		if (sum >= limit)
			return biggest;
	}
	return SIZE_MAX;
}

void plan_result(struct arena *a, const struct plan *p, struct block_meta *meta,
		 struct plan_block *out)
{
	size_t n = 0;
	*meta = *p->block[0]->meta;
	*out = (struct plan_block){ .meta = meta };
	for (size_t i = 0; i < p->n; i++) {
		const struct block_meta *m = p->block[i]->meta;
		meta->mint_ms = MIN(meta->mint_ms, m->mint_ms);
		meta->maxt_ms = MAX(meta->maxt_ms, m->maxt_ms);
		meta->compaction.level = MAX(meta->compaction.level, m->compaction.level);
		n += m->compaction.n_sources;
		out->bytes += p->block[i]->bytes;
		out->index_bytes += p->block[i]->index_bytes;
	}
	meta->compaction.level++;
	meta->stats.tombstones = 0;
	meta->compaction.sources = ARENA_ARRAY(a, struct ulid, n + 1);
	meta->compaction.n_sources = 0;
	for (size_t i = 0; i < p->n; i++) {
		const struct block_meta *m = p->block[i]->meta;
		for (size_t j = 0; j < m->compaction.n_sources; j++)
			meta->compaction.sources[meta->compaction.n_sources++] =
				m->compaction.sources[j];
	}
}
