/*
 * dedup/dedup_samples.c - `samples` over the chunks of one series, overlapping or not.
 *
 * The series is decoded and merged whole at the first call (dedup/decode.c) and shown in columns of up
 * to 256; a column never mixes floats and histograms. Its memory is the series within the range, taken
 * from an arena of its own that the next reset empties.
 */
#include <stdlib.h>

#include "dedup/dedup_int.h"

struct dedup_samples {
	struct samples base;
	struct arena mem;
	struct sample_cols c;
	size_t i;
	int64_t from_ms;
};

static struct dedup_samples *of(struct samples *s)
{
	return CONTAINER_OF(s, struct dedup_samples, base);
}

static bool is_hist(const struct sample_cols *c, size_t i)
{
	return c->h && c->h[i];
}

static int next(struct samples *base, struct columns *out, struct err *e)
{
	struct dedup_samples *s = of(base);
	const struct sample_cols *c = &s->c;
	(void)e;
	while (s->i < c->n && c->t_ms[s->i] < s->from_ms)
		s->i++;
	if (s->i == c->n)
		return 0;
	size_t from = s->i, n = 1;
	bool hist = is_hist(c, from);
	while (n < COLUMNS_MAX && from + n < c->n && is_hist(c, from + n) == hist)
		n++;
	*out = (struct columns){ .n = n,
				 .t_ms = c->t_ms + from,
				 .v = hist ? NULL : c->v + from,
				 .h = hist ? c->h + from : NULL };
	s->i += n;
	return 1;
}

static void seek(struct samples *base, int64_t t_ms)
{
	struct dedup_samples *s = of(base);
	s->from_ms = MAX(s->from_ms, t_ms);
}

static const struct samples_ops ops = { next, seek };

static void deinit(void *p)
{
	struct dedup_samples *s = p;
	arena_deinit(&s->mem);
	free(s);
}

struct samples *dedup_samples_new(struct arena *a)
{
	struct dedup_samples *s = xcalloc(1, sizeof *s);
	s->base.ops = &ops;
	arena_init(&s->mem, a->budget);
	arena_on_free(a, deinit, s);
	return &s->base;
}

int dedup_samples_reset(struct samples *base, struct chunk_view *chunks, size_t n,
			enum sample_aggr want, bool dedup, bool counter, int64_t mint_ms,
			int64_t maxt_ms, struct err *e)
{
	struct dedup_samples *s = of(base);
	if (s->mem.chunks)
		arena_reset(&s->mem);
	s->c = (struct sample_cols){ 0 };
	s->i = 0;
	s->from_ms = INT64_MIN;
	return dedup_decode(NULL, &s->mem, chunks, n, want, dedup, counter, mint_ms,
			    maxt_ms, &s->c, e);
}
