/*
 * model/series_set.c - a set over an array, and equality of chunk views.
 */
#include "model/series_set.h"

#include <stdlib.h>

struct array_set {
	struct series_set set;
	const struct series_in *v;
	size_t n, i;
};

static int array_next(struct series_set *s, struct ctx *ctx, const struct series_in **out,
		      struct err *e)
{
	struct array_set *a = CONTAINER_OF(s, struct array_set, set);
	(void)ctx;
	(void)e;
	if (a->i == a->n)
		return 0;
	*out = &a->v[a->i++];
	return 1;
}

static void array_close(struct series_set *s)
{
	free(CONTAINER_OF(s, struct array_set, set));
}

static const struct series_set_ops array_ops = { array_next, array_close };

struct series_set *series_set_of(const struct series_in *v, size_t n)
{
	struct array_set *a = xcalloc(1, sizeof *a);
	a->set.ops = &array_ops;
	a->v = v;
	a->n = n;
	return &a->set;
}

static bool part_eq(const struct chunk_part *a, const struct chunk_part *b)
{
	if (!a->p || !b->p)
		return !a->p && !b->p;
	return a->enc == b->enc && a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

bool chunk_view_eq(const struct chunk_view *a, const struct chunk_view *b)
{
	if (a->mint_ms != b->mint_ms || a->maxt_ms != b->maxt_ms ||
	    (a->hash && b->hash && a->hash != b->hash))
		return false;
	for (int i = 0; i < AGGR_N; i++)
		if (!part_eq(&a->part[i], &b->part[i]))
			return false;
	return true;
}
