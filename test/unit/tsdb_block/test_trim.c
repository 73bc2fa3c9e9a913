/*
 * Blocks shown cut to the asked time: exactly its samples, in chunks that say so, whatever tombstones there are.
 */
#include "support/tst.h"

#include <stdlib.h>

#include "base/vec.h"
#include "tsdb/block/block_int.h"
#include "unit/tsdb_block/golden.h"

static void want_outside(int64_t mint, int64_t maxt, const struct tombstone_range *in,
			 size_t n, const struct tombstone_range *want, size_t n_want)
{
	struct fix f;
	fix_begin(&f);
	cr_assert_eq(block_cut_outside(&f.ctx, &f.a, mint, maxt, &in, &n, &f.e), 0);
	cr_assert_eq(n, n_want);
	for (size_t i = 0; i < n; i++)
		cr_assert(in[i].mint_ms == want[i].mint_ms &&
				  in[i].maxt_ms == want[i].maxt_ms,
			  "range %zu: [%lld, %lld]", i, (long long)in[i].mint_ms,
			  (long long)in[i].maxt_ms);
	fix_end(&f);
}
#define RANGES(...)                                                                      \
	(const struct tombstone_range[]){ __VA_ARGS__ },                                 \
		sizeof((const struct tombstone_range[]){ __VA_ARGS__ }) /                \
			sizeof(struct tombstone_range)

Test(trim, what_is_outside_joins_tombstones)
{
	want_outside(10, 20, NULL, 0, RANGES({ INT64_MIN, 9 }, { 21, INT64_MAX }));
	want_outside(10, 20, RANGES({ 12, 13 }, { 15, 16 }),
		     RANGES({ INT64_MIN, 9 }, { 12, 13 }, { 15, 16 }, { 21, INT64_MAX }));
	/* over the edges, at them, beyond them */
	want_outside(10, 20, RANGES({ 5, 12 }, { 15, 25 }),
		     RANGES({ INT64_MIN, 12 }, { 15, INT64_MAX }));
	want_outside(10, 20, RANGES({ 10, 12 }, { 15, 20 }),
		     RANGES({ INT64_MIN, 12 }, { 15, INT64_MAX }));
	want_outside(10, 20, RANGES({ 1, 2 }, { 4, 9 }, { 21, 22 }, { 30, 40 }),
		     RANGES({ INT64_MIN, 9 }, { 21, INT64_MAX }));
	want_outside(10, 20, RANGES({ 1, 40 }), RANGES({ INT64_MIN, INT64_MAX }));
	want_outside(INT64_MIN, 20, RANGES({ INT64_MIN, 2 }, { 9, 9 }),
		     RANGES({ INT64_MIN, 2 }, { 9, 9 }, { 21, INT64_MAX }));
	want_outside(10, INT64_MAX, RANGES({ 12, INT64_MAX }),
		     RANGES({ INT64_MIN, 9 }, { 12, INT64_MAX }));
}

struct seen {
	int64_t *t; /* times, series by series; INT64_MIN between two series */
	size_t n, cap;
};

static void put(struct seen *s, int64_t t)
{
	if (s->n == s->cap)
		s->t = vec_grow(s->t, &s->cap, s->n + 1, sizeof(*s->t));
	s->t[s->n++] = t;
}

/* All times that are in [mint, maxt]; with `trim` there must be no others. */
static void read_times(struct fix *f, struct block *b, int64_t mint, int64_t maxt,
		       bool trim, struct seen *out)
{
	struct block_series_req req = req_all;
	struct series_set *set;
	const struct series_in *s;
	struct chunk_decoder *d = chunk_decoder_new(&f->a);
	struct columns c;
	int rc;
	if (trim) {
		req.mint_ms = mint;
		req.maxt_ms = maxt;
		req.trim = true;
	}
	cr_assert_eq(block_series(b, &f->ctx, &req, &set, &f->e), 0);
	while ((rc = series_set_next(set, &f->ctx, &s, &f->e)) > 0) {
		size_t before = out->n;
		for (size_t i = 0; i < s->n; i++) {
			int64_t first = INT64_MAX, last = INT64_MIN;
			cr_assert_eq(chunk_decoder_reset(d, s->chunks[i].part[AGGR_RAW],
							 &f->e),
				     0);
			while ((rc = chunk_decoder_next(d, &c, &f->e)) > 0)
				for (size_t k = 0; k < c.n; k++) {
					first = MIN(first, c.t_ms[k]);
					last = MAX(last, c.t_ms[k]);
					if (c.t_ms[k] >= mint && c.t_ms[k] <= maxt)
						put(out, c.t_ms[k]);
					else
						cr_assert_not(trim);
				}
			cr_assert_eq(rc, 0);
			cr_assert(s->chunks[i].mint_ms == first &&
				  s->chunks[i].maxt_ms == last);
		}
		if (out->n > before)
			put(out, INT64_MIN);
		else
			cr_assert_not(trim, "a series without samples");
	}
	cr_assert_eq(rc, 0, "%s", err_text(&f->e));
	series_set_close(set);
}

static void all_ranges(const char *dir)
{
	struct fix f;
	uint32_t seed = 7;
	fix_begin(&f);
	struct block *b = open_block(&f, dir);
	int64_t from = b->meta.mint_ms, length = b->meta.maxt_ms - from;
	for (int i = 0; i < 24; i++) {
		struct seen want = { 0 }, got = { 0 };
		seed = seed * 1664525u + 1013904223u;
		int64_t mint = from + seed % (uint64_t)length;
		seed = seed * 1664525u + 1013904223u;
		int64_t maxt = mint + seed % (uint64_t)(length >> (i % 8));
		read_times(&f, b, mint, maxt, false, &want);
		read_times(&f, b, mint, maxt, true, &got);
		cr_assert_eq(got.n, want.n, "[%lld, %lld]", (long long)mint,
			     (long long)maxt);
		for (size_t k = 0; k < got.n; k++)
			cr_assert_eq(got.t[k], want.t[k]);
		free(want.t);
		free(got.t);
	}
	block_unref(b);
	fix_end(&f);
}

Test(trim, floats)
{
	all_ranges(GOLDEN "/bucket/01M81YVBWEZNH3H08SPVGX7K64");
}

Test(trim, histograms)
{
	all_ranges(GOLDEN "/bucket/01M81YVCHCC17VDZ0DT7QR6H2J");
	all_ranges(GOLDEN "/bucket/01M81YVCKR1CVYHC4X0MFE5FQK");
}

Test(trim, beside_tombstones)
{
	all_ranges(GOLDEN "/tombstones/01M81YVCV04NJ9WQ26TQ155FM6");
}

Test(trim, newer_encodings)
{
	all_ranges(GOLDEN "/newer/01M81YVCQVK25VMXY127QDKHFZ");
}
