/*
 * promql/exec/select_stats.c - histograms without buckets, for selectors of which only count and sum are wanted:
 * histogram_count, _sum, _avg with nothing around that looks at buckets.
 *
 * Resets cannot be seen any more without buckets, so each histogram is told beforehand whether there was one since the sample
 * before. Prometheus does this while it reads, and so knows nothing of the first sample that it reads after a leap; where
 * windows leave gaps it leaps.
 */
#include "promql/exec/select_int.h"

#include "model/hist_math.h"

/* Marks the samples at which reading begins: `leap` bits. */
static void mark_leaps(const struct range_call *c, const struct sample_cols *s,
		       uint64_t *leap)
{
	size_t at = 0;
	for (uint32_t i = 0; i < c->grid.n && at < s->n; i++) {
		int64_t ref = range_ref(c, i), from = ref - c->range_ms;
		if (i == 0 || from > s->t_ms[at]) {
			while (at < s->n && s->t_ms[at] < from)
				at++;
			if (at < s->n)
				bit_set(leap, (uint32_t)at);
		}
		while (at < s->n && s->t_ms[at] < ref)
			at++;
	}
}

int select_stats(struct exec *x, const struct range_call *c, struct arena *a,
		 struct sample_cols *s, struct err *e)
{
	size_t bytes = BITS_WORDS(s->n) * 8;
	uint64_t *leap = arena_try(a, x->ctx, bytes, e);
	struct hist *to = leap ? arena_try(a, x->ctx, s->n * sizeof(*to), e) : NULL;
	if (!to)
		return -1;
	memset(leap, 0, bytes);
	mark_leaps(c, s, leap);
	const struct hist *last = NULL;
	for (size_t k = 0; k < s->n; k++) {
		const struct hist *h = s->h[k];
		if (bit_get(leap, (uint32_t)k))
			last = NULL;
		if (!h)
			continue;
		to[k] = (struct hist){ .schema = h->schema,
				       .hint = h->hint,
				       .count = h->count,
				       .sum = h->sum };
		s->h[k] = &to[k];
		if (hist_is_stale(h))
			continue;
		if (h->hint == HIST_UNKNOWN && last)
			to[k].hint =
				hist_detect_reset(h, last) ? HIST_RESET : HIST_NOT_RESET;
		last = h;
	}
	return 0;
}
