#include "golden.h"

#include <stdio.h>

#include "support/tst.h"
#include "tsdb/chunk/series_samples.h"

/* The recorded row of an aggregate of the series that begins at rows[i]. */
static const struct golden_row *row_of(const struct golden_row *rows, size_t n, size_t i,
				       const char *aggregate)
{
	for (size_t k = i; k < n && str_eq(rows[k].labels, rows[i].labels); k++)
		if (str_eqz(rows[k].aggregate, aggregate))
			return &rows[k];
	return NULL;
}

static struct chunk_view *views(struct arena *a, const struct chunk_part *c, size_t n)
{
	struct chunk_view *v = ARENA_ARRAY(a, struct chunk_view, n + 1);
	struct err e = ERR_INIT;
	for (size_t i = 0; i < n; i++) {
		v[i].mint_ms = INT64_MIN; /* bounds are not known without the index */
		v[i].maxt_ms = INT64_MAX;
		if (c[i].enc == CHUNK_AGGR)
			cr_assert_eq(chunk_aggr_split(c[i].p, c[i].n, &v[i], &e), 0);
		else
			v[i].part[AGGR_RAW] = c[i];
	}
	return v;
}

static struct golden_sum sum_of(struct samples *s, const struct chunk_view *v, size_t n,
				enum sample_aggr want)
{
	struct golden_sum sum = { 0 };
	struct columns c;
	struct err e = ERR_INIT;
	int rc;
	cr_assert_eq(series_samples_reset(s, v, n, want, &e), 0);
	while ((rc = samples_next(s, &c, &e)) > 0)
		golden_add(&sum, &c);
	cr_assert_eq(rc, 0, "%s", err_text(&e));
	return sum;
}

static void check(const struct golden_row *row, struct samples *s,
		  const struct chunk_view *v, size_t n, enum sample_aggr want)
{
	if (!row)
		return;
	struct golden_sum sum = sum_of(s, v, n, want);
	cr_expect(sum.crc == row->crc && sum.floats == row->floats &&
			  sum.hists == row->hists,
		  "%.*s %.*s: %llu+%llu, not %llu+%llu", STR_FMT(row->aggregate),
		  STR_FMT(row->labels), (unsigned long long)sum.floats,
		  (unsigned long long)sum.hists, (unsigned long long)row->floats,
		  (unsigned long long)row->hists);
}

Test(series_samples, aggregates_and_counters_read_as_recorded)
{
	size_t checked = 0;
	for (size_t b = 0; b < golden_n_blocks; b++) {
		struct arena a;
		arena_init(&a, NULL);
		char path[200];
		snprintf(path, sizeof path, "%s/chunks/000001", golden_blocks[b].dir);
		struct golden_chunks g = golden_chunks(&a, golden_read(&a, path));
		size_t n, at = 0;
		struct golden_row *rows =
			golden_rows(&a, golden_read(&a, golden_blocks[b].tsv), &n);
		struct samples *s = series_samples_new(&a);
		for (size_t i = 0; i < n; i++) {
			if (i > 0 && str_eq(rows[i].labels, rows[i - 1].labels))
				continue;
			size_t k = rows[i].chunks;
			struct chunk_view *v = views(&a, g.v + at, k);
			check(row_of(rows, n, i, "raw"), s, v, k, SAMPLE_AVG);
			check(row_of(rows, n, i, "count"), s, v, k, SAMPLE_COUNT);
			check(row_of(rows, n, i, "sum"), s, v, k, SAMPLE_SUM);
			check(row_of(rows, n, i, "min"), s, v, k, SAMPLE_MIN);
			check(row_of(rows, n, i, "max"), s, v, k, SAMPLE_MAX);
			check(row_of(rows, n, i, "counter-read"), s, v, k,
			      SAMPLE_COUNTER);
			checked += row_of(rows, n, i, "counter-read") != NULL;
			at += k;
		}
		cr_expect_eq(at, g.n);
		arena_deinit(&a);
	}
	cr_assert_eq(checked, 31);
}

Test(series_samples, seek_starts_at_the_first_sample_not_before)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct columns c;
	arena_init(&a, NULL);
	struct chunk_encoder *w = chunk_encoder_new();
	chunk_encoder_begin(w, CHUNK_XOR);
	for (int i = 0; i < 600; i++)
		cr_assert_eq(chunk_encoder_float(w, i * 10, i, &e), 0);
	struct chunk_view v = { .mint_ms = 0, .maxt_ms = 5990 };
	v.part[AGGR_RAW] = chunk_encoder_part(w);
	struct samples *s = series_samples_new(&a);
	cr_assert_eq(series_samples_reset(s, &v, 1, SAMPLE_AVG, &e), 0);
	samples_seek(s, 2995);
	cr_assert_eq(samples_next(s, &c, &e), 1);
	cr_assert_eq(c.t_ms[0], 3000);
	samples_seek(s, 100); /* never back */
	int64_t last = c.t_ms[c.n - 1];
	cr_assert_eq(samples_next(s, &c, &e), 1);
	cr_assert_eq(c.t_ms[0], last + 10);
	samples_seek(s, 6000);
	cr_assert_eq(samples_next(s, &c, &e), 0);
	chunk_encoder_free(w);
	arena_deinit(&a);
}

/* A downsampled chunk of a golden counter, its last time and the raw value there. */
static void golden_counter(struct arena *a, struct chunk_view *v, int64_t *t, double *raw)
{
	struct chunk_decoder *d = chunk_decoder_new(a);
	struct err e = ERR_INIT;
	struct columns c;
	char path[200];
	for (size_t b = 0; b < golden_n_blocks; b++) {
		snprintf(path, sizeof path, "%s/chunks/000001", golden_blocks[b].dir);
		struct golden_chunks g = golden_chunks(a, golden_read(a, path));
		for (size_t i = 0; i < g.n; i++) {
			if (g.v[i].enc != CHUNK_AGGR)
				continue;
			*v = *views(a, &g.v[i], 1);
			if (v->part[AGGR_COUNTER].enc != CHUNK_XOR)
				continue;
			cr_assert_eq(chunk_decoder_reset(d, v->part[AGGR_COUNTER], &e),
				     0);
			while (chunk_decoder_next(d, &c, &e) > 0) {
				*t = c.t_ms[c.n - 1];
				*raw = c.v[c.n - 1];
			}
			return;
		}
	}
	cr_assert(false, "no golden counter");
}

Test(series_samples, raw_chunks_behind_downsampled_ones_go_on_counting)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct columns c;
	struct chunk_view v[2] = { 0 };
	int64_t t = 0;
	double raw = 0, got[4] = { 0 };
	arena_init(&a, NULL);
	golden_counter(&a, &v[0], &t, &raw);
	struct chunk_encoder *w = chunk_encoder_new();
	chunk_encoder_begin(w, CHUNK_XOR);
	cr_assert_eq(chunk_encoder_float(w, t + 1000, raw + 1, &e), 0);
	cr_assert_eq(chunk_encoder_float(w, t + 2000, raw + 3, &e), 0);
	cr_assert_eq(chunk_encoder_float(w, t + 3000, 2, &e), 0); /* a reset */
	v[1] = (struct chunk_view){ .mint_ms = t + 1000, .maxt_ms = t + 3000 };
	v[1].part[AGGR_RAW] = chunk_encoder_part(w);
	struct samples *s = series_samples_new(&a);
	cr_assert_eq(series_samples_reset(s, v, 2, SAMPLE_COUNTER, &e), 0);
	while (samples_next(s, &c, &e) > 0)
		for (size_t i = 0; i < c.n; i++) {
			memmove(got, got + 1, 3 * sizeof(*got));
			got[3] = c.v[i];
		}
	cr_expect_geq(got[0], raw);
	cr_expect_float_eq(got[1], got[0] + 1, 1e-9);
	cr_expect_float_eq(got[2], got[0] + 3, 1e-9);
	cr_expect_float_eq(got[3], got[0] + 5, 1e-9);
	chunk_encoder_free(w);
	arena_deinit(&a);
}
