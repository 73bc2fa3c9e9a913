/*
 * Raw blocks that a real Thanos downsampled: the same chunks, byte by byte.
 */
#include "downsample/downsample.h"

#include <stdio.h>
#include <stdlib.h>

#include "blocks.h"
#include "support/tst.h"
#include "tsdb/chunk/chunk.h"

/* Are the histograms of both chunks the same, though their bytes are not? */
static bool same_hists(struct chunk_part a, struct chunk_part b)
{
	struct arena arena;
	struct columns x, y;
	struct err e = ERR_INIT;
	bool same = a.enc == CHUNK_FLOATHIST && b.enc == a.enc;
	arena_init(&arena, NULL);
	struct chunk_decoder *da = chunk_decoder_new(&arena),
			     *db = chunk_decoder_new(&arena);
	same = same && chunk_decoder_reset(da, a, &e) == 0 &&
	       chunk_decoder_reset(db, b, &e) == 0;
	while (same && chunk_decoder_next(da, &x, &e) > 0) {
		same = chunk_decoder_next(db, &y, &e) > 0 && x.n == y.n;
		for (size_t i = 0; same && i < x.n; i++)
			same = x.t_ms[i] == y.t_ms[i] && x.h[i]->hint == y.h[i]->hint &&
			       hist_eq(x.h[i], y.h[i]);
	}
	same = same && chunk_decoder_next(db, &y, &e) == 0;
	arena_deinit(&arena);
	return same;
}

/* Returns how many parts have other bytes, though the same samples. */
static size_t same_chunk(const char *what, struct str labels, size_t i,
			 const struct chunk_view *got, const struct chunk_view *want)
{
	size_t other = 0;
	cr_assert(got->mint_ms == want->mint_ms && got->maxt_ms == want->maxt_ms,
		  "%s: %.*s: chunk %zu: [%lld, %lld], not [%lld, %lld]", what,
		  STR_FMT(labels), i, (long long)got->mint_ms, (long long)got->maxt_ms,
		  (long long)want->mint_ms, (long long)want->maxt_ms);
	for (int k = 0; k < AGGR_N; k++) {
		const struct chunk_part *g = &got->part[k], *w = &want->part[k];
		cr_assert_eq(g->p != NULL, w->p != NULL, "%s: %.*s: chunk %zu: part %d",
			     what, STR_FMT(labels), i, k);
		if (!g->p ||
		    (g->n == w->n && g->enc == w->enc && memcmp(g->p, w->p, g->n) == 0))
			continue;
		cr_assert(same_hists(*g, *w), "%s: %.*s: chunk %zu: part %d", what,
			  STR_FMT(labels), i, k);
		other++;
	}
	return other;
}

static void check(const char *dir, const char *from, const char *to, int64_t resolution,
		  size_t other_bytes)
{
	struct arena a;
	size_t n, n_want, other = 0;
	arena_init(&a, NULL);
	struct block_series *in = block_chunks(&a, dir, from, &n);
	struct block_series *want = block_chunks(&a, dir, to, &n_want);
	struct downsampler *d = downsampler_new();
	cr_assert_eq(n, n_want);
	for (size_t i = 0; i < n; i++) {
		const struct chunk_view *out;
		size_t n_out;
		struct err e = ERR_INIT;
		cr_assert_eq(downsample_series(d, in[i].chunks, in[i].n, resolution, &out,
					       &n_out, &e),
			     0, "%s", err_text(&e));
		cr_assert(str_eq(in[i].labels, want[i].labels));
		cr_assert_eq(n_out, want[i].n, "%s: %.*s: %zu chunks, not %zu", to,
			     STR_FMT(in[i].labels), n_out, want[i].n);
		for (size_t k = 0; k < n_out; k++)
			other += same_chunk(to, in[i].labels, k, &out[k],
					    &want[i].chunks[k]);
		struct downsample_tally t = downsampler_tally(d);
		cr_assert_eq(t.dropped, 0);
	}
	cr_assert_eq(other, other_bytes, "%s: %zu parts have other bytes", to, other);
	downsampler_free(d);
	arena_deinit(&a);
}

#define C "test/golden/compacted/"

/* In some histogram chunks Thanos has spans without a gap between them, where a bucket was added that closed it. */
Test(golden, twelve_days_of_floats_and_histograms_to_5m)
{
	check(C "long", "01M81ZG1AFEYDCZYWWR1WJRBN1", "01M81ZG1BPPMPG42S5N10TVXMM",
	      DOWNSAMPLE_5M, 3);
}

Test(golden, and_from_5m_to_1h)
{
	check(C "long", "01M81ZG1BPPMPG42S5N10TVXMM", "01M81ZG1EBNEZAK9G1G515QTZB",
	      DOWNSAMPLE_1H, 0);
}

Test(golden, custom_bounds_to_5m)
{
	check(C "custom", "01M822436AE30GWB8424WN1FN3", "01M8224373R5B5DXSMP1X780EE",
	      DOWNSAMPLE_5M, 0);
}

Test(golden, two_days_to_5m)
{
	check(C "long-2d", "01M81ZFZ2TJQY0JY6YX6EZHYWY", "01M81ZFZ851DWVJX7XHQTD8HZM",
	      DOWNSAMPLE_5M, 1);
}
