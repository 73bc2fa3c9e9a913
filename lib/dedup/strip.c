/*
 * dedup/strip.c - labels taken away from every series. Order cannot be kept while streaming (series
 * that become equal may lie anywhere), so the input is read whole, within the budget.
 */
#include <stdlib.h>

#include "dedup/dedup_int.h"

struct strip {
	struct series_set base;
	struct series_set *in; /* NULL: read */
	struct arena mem;
	struct gather g;
	size_t i;
	struct str *names;
	size_t n_names;
};

static int read_all(struct strip *s, struct ctx *ctx, struct err *e)
{
	const struct series_in *x;
	struct label *l = NULL;
	size_t cap = 0;
	int rc;
	while ((rc = series_set_next(s->in, ctx, &x, e)) > 0) {
		if (x->labels.n > cap || !l) {
			cap = x->labels.n + 16;
			l = xreallocarray(l, cap, sizeof *l);
		}
		struct labels ls = labels_drop(l, x->labels, s->names, s->n_names);
		rc = gather_add(&s->g, ctx, x, ls, e);
		if (rc < 0)
			break;
	}
	free(l);
	if (rc < 0)
		return -1;
	series_set_close(s->in);
	s->in = NULL;
	return gather_finish(&s->g, ctx, e);
}

static int strip_next(struct series_set *base, struct ctx *ctx,
		      const struct series_in **out, struct err *e)
{
	struct strip *s = CONTAINER_OF(base, struct strip, base);
	if (s->in && read_all(s, ctx, e) < 0)
		return -1;
	if (s->i == s->g.n)
		return 0;
	*out = &s->g.v[s->i++];
	return 1;
}

static void strip_close(struct series_set *base)
{
	struct strip *s = CONTAINER_OF(base, struct strip, base);
	series_set_close(s->in);
	gather_deinit(&s->g);
	arena_deinit(&s->mem);
	free(s);
}

static const struct series_set_ops ops = { strip_next, strip_close };

int strip_open(struct ctx *ctx, struct series_set *in, const struct str *names, size_t n,
	       struct series_set **out, struct err *e)
{
	struct strip *s = xcalloc(1, sizeof *s);
	(void)e;
	s->base.ops = &ops;
	s->in = in;
	arena_init(&s->mem, ctx ? ctx->budget : NULL);
	s->g.a = &s->mem;
	s->names = ARENA_ARRAY(&s->mem, struct str, n + 1);
	s->n_names = n;
	for (size_t i = 0; i < n; i++)
		s->names[i] = str_dup(&s->mem, names[i]);
	*out = &s->base;
	return 0;
}
