/*
 * dedup/gather.c - a set read whole: copied, sorted, equal series joined. For input whose order cannot
 * be kept or trusted.
 */
#include <stdlib.h>

#include "base/vec.h"

#include "dedup/dedup_int.h"

static int copy_part(struct gather *g, struct ctx *ctx, struct chunk_part *p,
		     struct err *e)
{
	if (!p->p)
		return 0;
	uint8_t *q = arena_try(g->a, ctx, MAX(p->n, 1u), e);
	if (!q)
		return -1;
	memcpy(q, p->p, p->n);
	p->p = q;
	return 0;
}

int gather_add(struct gather *g, struct ctx *ctx, const struct series_in *s,
	       struct labels labels, struct err *e)
{
	struct series_in x = { .n = s->n };
	if (labels_try_dup(g->a, ctx, labels, &x.labels, e) < 0)
		return -1;
	x.chunks = arena_try(g->a, ctx, MAX(s->n, 1u) * sizeof *x.chunks, e);
	if (!x.chunks)
		return -1;
	for (size_t i = 0; i < s->n; i++) {
		x.chunks[i] = s->chunks[i];
		for (int k = 0; k < AGGR_N; k++)
			if (copy_part(g, ctx, &x.chunks[i].part[k], e) < 0)
				return -1;
	}
	if (g->n == g->cap)
		g->v = vec_grow(g->v, &g->cap, g->n + 1, sizeof *g->v);
	g->v[g->n++] = x;
	return 0;
}

static int cmp_series(const void *a, const void *b, void *arg)
{
	const struct series_in *x = a, *y = b;
	(void)arg;
	return labels_cmp(x->labels, y->labels);
}

/* v[0] takes the chunks of all n. */
static int join(struct gather *g, struct ctx *ctx, struct series_in *v, size_t n,
		struct err *e)
{
	size_t total = 0, k = 0;
	for (size_t i = 0; i < n; i++)
		total += v[i].n;
	if (n > 1) {
		struct chunk_view *all =
			arena_try(g->a, ctx, MAX(total, 1u) * sizeof *all, e);
		if (!all)
			return -1;
		for (size_t i = 0; i < n; i++) {
			if (v[i].n)
				memcpy(all + k, v[i].chunks, v[i].n * sizeof *all);
			k += v[i].n;
		}
		v[0].chunks = all;
	}
	dedup_chunk_sort(v[0].chunks, total);
	v[0].n = dedup_chunk_unique(v[0].chunks, total);
	return 0;
}

int gather_finish(struct gather *g, struct ctx *ctx, struct err *e)
{
	size_t k = 0;
	vec_sort(g->v, g->n, sizeof *g->v, cmp_series, NULL);
	for (size_t i = 0, j; i < g->n; i = j) {
		for (j = i + 1; j < g->n; j++)
			if (labels_cmp(g->v[i].labels, g->v[j].labels) != 0)
				break;
		if (join(g, ctx, g->v + i, j - i, e) < 0)
			return -1;
		g->v[k++] = g->v[i];
	}
	g->n = k;
	return 0;
}

void gather_deinit(struct gather *g)
{
	free(g->v);
	g->v = NULL;
	g->n = g->cap = 0;
}
