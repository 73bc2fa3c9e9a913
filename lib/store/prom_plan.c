/*
 * store/prom_plan.c - which times are read from blocks and which are asked from Prometheus.
 *
 * Prometheus answers [a, b] from all that it has, so spans of time that do not overlap never show a sample twice. A
 * block that cannot be read makes its whole time a span. So do blocks that overlap one another (samples that came out
 * of order, backfilling): which of two samples of one time counts is for Prometheus to say.
 */
#include "store/prom_blocks.h"

int64_t prom_border(const struct prom_extent *v, size_t n, int64_t cap)
{
	int64_t border = INT64_MIN;
	for (size_t i = 0; i < n; i++)
		if (v[i].maxt_ms <= cap)
			border = MAX(border, v[i].maxt_ms);
	return border;
}

static void leave_overlaps(struct prom_extent *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n && v[k].mint_ms < v[i].maxt_ms; k++)
			v[i].direct = v[k].direct = false;
}

/* One more span; where there is no room two that lie nearest to one another become one. */
static size_t add_span(struct prom_span *v, size_t n, int64_t mint_ms, int64_t maxt_ms)
{
	if (mint_ms > maxt_ms)
		return n;
	if (n && (mint_ms <= v[n - 1].maxt_ms || mint_ms - 1 == v[n - 1].maxt_ms)) {
		v[n - 1].maxt_ms = MAX(v[n - 1].maxt_ms, maxt_ms);
		return n;
	}
	v[n++] = (struct prom_span){ mint_ms, maxt_ms };
	if (n <= PROM_SPANS)
		return n;
	size_t at = 0;
	uint64_t least = UINT64_MAX;
	for (size_t i = 0; i + 1 < n; i++) {
		uint64_t gap = (uint64_t)v[i + 1].mint_ms - (uint64_t)v[i].maxt_ms;
		if (gap < least) {
			least = gap;
			at = i;
		}
	}
	v[at].maxt_ms = v[at + 1].maxt_ms;
	memmove(&v[at + 1], &v[at + 2], (n - at - 2) * sizeof(*v));
	return n - 1;
}

static bool is_inside(const struct prom_span *s, size_t n, int64_t mint_ms,
		      int64_t maxt_ms)
{
	for (size_t i = 0; i < n; i++)
		if (s[i].mint_ms <= mint_ms && maxt_ms <= s[i].maxt_ms)
			return true;
	return false;
}

size_t prom_spans(struct prom_extent *v, size_t n, int64_t border, int64_t mint_ms,
		  int64_t maxt_ms, struct prom_span out[PROM_SPANS])
{
	struct prom_span s[PROM_SPANS + 1];
	size_t k = 0;
	if (border == INT64_MIN || mint_ms >= border) {
		for (size_t i = 0; i < n; i++)
			v[i].direct = false;
		out[0] = (struct prom_span){ mint_ms, maxt_ms };
		return mint_ms <= maxt_ms;
	}
	int64_t last = MIN(maxt_ms, border - 1); /* of what blocks may answer */
	leave_overlaps(v, n);
	for (size_t i = 0; i < n; i++)
		if (!v[i].direct)
			k = add_span(s, k, MAX(v[i].mint_ms, mint_ms),
				     MIN(v[i].maxt_ms - 1, last));
	k = add_span(s, k, border, maxt_ms);
	for (size_t i = 0; i < n; i++) {
		int64_t from = MAX(v[i].mint_ms, mint_ms);
		int64_t to = MIN(v[i].maxt_ms - 1, last);
		if (v[i].direct && (from > to || is_inside(s, k, from, to)))
			v[i].direct = false;
	}
	memcpy(out, s, k * sizeof(*s));
	return k;
}
