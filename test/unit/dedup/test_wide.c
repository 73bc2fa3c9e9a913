/*
 * Long series, whose chunks are decoded many at once: as many samples as one by one, within the range asked.
 */
#include <stdlib.h>

#include "dedup/dedup.h"
#include "support/tst.h"
#include "tsdb/chunk/chunk.h"

#define CHUNKS 70

static int64_t t[CHUNKS * CHUNK_SAMPLES];
static double v[CHUNKS * CHUNK_SAMPLES];

static size_t begin[CHUNKS + 1]; /* the first sample of each chunk */

static size_t reset_at; /* the sample at which a counter falls; 0: none */

static void make(struct chunk_view *c, bool counter)
{
	double last = 0;
	struct chunk_encoder *w = chunk_encoder_new();
	struct err e = ERR_INIT;
	for (size_t i = 0; i < CHUNKS; i++) {
		size_t few = i % 4 == 3 ? i * 37 % (CHUNK_SAMPLES - 2) : 0;
		begin[i + 1] = begin[i] + CHUNK_SAMPLES - few;
		chunk_encoder_begin(w, CHUNK_XOR);
		for (size_t k = begin[i]; k < begin[i + 1]; k++) {
			t[k] = (int64_t)k * 15000 + rand() % 300;
			v[k] = (double)(rand() % 100000) / 8 + (counter ? last : 0);
			if (k && k == reset_at)
				v[k] = last / 2;
			last = v[k];
			cr_assert_eq(chunk_encoder_float(w, t[k], v[k], &e), 0);
		}
		struct chunk_part p = chunk_encoder_part(w);
		uint8_t *copy = malloc(p.n);
		memcpy(copy, p.p, p.n);
		c[i] = (struct chunk_view){ .mint_ms = t[begin[i]],
					    .maxt_ms = t[begin[i + 1] - 1] };
		c[i].part[AGGR_RAW] = (struct chunk_part){ copy, p.n, p.enc };
	}
	chunk_encoder_free(w);
}

static void drop(struct chunk_view *c)
{
	for (size_t i = 0; i < CHUNKS; i++)
		free((void *)(uintptr_t)c[i].part[AGGR_RAW].p);
}

/* What of all samples lies in [lo, hi], against what is decoded. */
static void check(const struct chunk_view *all, size_t n, int64_t lo, int64_t hi,
		  bool rise)
{
	struct chunk_view c[CHUNKS]; /* they are sorted in place */
	struct arena a;
	struct sample_cols out = { 0 };
	struct err e = ERR_INIT;
	size_t k = 0;
	memcpy(c, all, n * sizeof(*c));
	arena_init(&a, NULL);
	/* a second time into the same columns, after others */
	for (int round = 0; round < 2; round++) {
		size_t some = round ? n : (n + 1) / 2;
		cr_assert_eq(dedup_decode(NULL, &a, c, some, SAMPLE_AVG, false, false, lo,
					  hi, &out, &e),
			     0, "%s", err_text(&e));
		cr_assert(out.again);
		memcpy(c, all, n * sizeof(*c));
	}
	for (size_t i = 0; i < begin[n]; i++) {
		if (t[i] < lo || t[i] > hi)
			continue;
		cr_assert_lt(k, out.n);
		cr_assert_eq(out.t_ms[k], t[i]);
		cr_assert_eq(f64_bits(out.v[k]), f64_bits(v[i]));
		k++;
	}
	cr_assert(out.rise == rise || out.n < 100);
	for (size_t i = 1; i < out.n && out.rise; i++)
		cr_assert(out.v[i - 1] >= 0 && out.v[i - 1] <= out.v[i]);
	cr_assert_eq(k, out.n, "%zu, not %zu of %zu chunks in %lld..%lld", out.n, k, n,
		     (long long)lo, (long long)hi);
	arena_deinit(&a);
}

Test(wide, long_series_are_cut_to_the_range)
{
	struct chunk_view c[CHUNKS];
	make(c, false);
	for (int round = 0; round < 200; round++) {
		int64_t lo = rand() % (CHUNKS * CHUNK_SAMPLES) * 15000LL - 100000;
		check(c, CHUNKS - (size_t)(rand() % CHUNKS), lo,
		      lo + rand() % (CHUNKS * CHUNK_SAMPLES) * 15000LL, false);
	}
	check(c, CHUNKS, INT64_MIN, INT64_MAX, false);
	drop(c);
}

/* A counter that is reset between two chunks, or within one, is told from one that is not. */
Test(wide, what_never_falls_is_known)
{
	struct chunk_view c[CHUNKS];
	make(c, true);
	for (size_t n = 1; n <= CHUNKS; n++) {
		check(c, n, INT64_MIN, INT64_MAX, true);
		check(c, n, 1000000, (int64_t)n * 1000000, true);
	}
	drop(c);
	for (size_t at = 1; at < begin[40]; at += 59 + at % 3) {
		struct chunk_view few[40];
		reset_at = at;
		make(c, true);
		memcpy(few, c, sizeof(few));
		check(few, 40, INT64_MIN, INT64_MAX, false);
		drop(c);
	}
	reset_at = 0;
}

Test(wide, a_query_that_has_ended_decodes_no_more)
{
	struct chunk_view c[CHUNKS];
	struct arena a;
	struct sample_cols out = { 0 };
	struct ctx gone;
	struct err e = ERR_INIT;
	make(c, false);
	arena_init(&a, NULL);
	ctx_init(&gone, NULL, 0);
	cancel_now(gone.cancel, "the client left");
	cr_assert_eq(dedup_decode(&gone, &a, c, CHUNKS, SAMPLE_AVG, false, false,
				  INT64_MIN, INT64_MAX, &out, &e),
		     -1);
	cr_assert_eq(e.code, E_CANCELLED);
	ctx_deinit(&gone);
	arena_deinit(&a);
	drop(c);
}
