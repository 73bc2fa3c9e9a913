/*
 * What random series seldom are: histograms that do not fit one chunk, missing aggregates, nothing at all, damage.
 */
#include "downsample/downsample.h"

#include <math.h>

#include "support/tst.h"
#include "tsdb/chunk/chunk.h"

struct fix {
	struct arena a;
	struct downsampler *d;
	struct chunk_encoder *w;
	struct chunk_view in[20];
	size_t n;
	const struct chunk_view *out;
	size_t n_out;
	struct err e;
};

static void begin(struct fix *f)
{
	memset(f, 0, sizeof *f);
	arena_init(&f->a, NULL);
	f->d = downsampler_new();
	f->w = chunk_encoder_new();
}

static void end(struct fix *f)
{
	chunk_encoder_free(f->w);
	downsampler_free(f->d);
	arena_deinit(&f->a);
}

static int run(struct fix *f, int64_t resolution)
{
	f->e = ERR_INIT;
	return downsample_series(f->d, f->in, f->n, resolution, &f->out, &f->n_out,
				 &f->e);
}

/* What was made is the next input. */
static void again(struct fix *f)
{
	for (size_t i = 0; i < f->n_out; i++) {
		f->in[i] = f->out[i];
		for (int k = AGGR_COUNT; k < AGGR_N; k++) {
			struct chunk_part *p = &f->in[i].part[k];
			if (p->p)
				p->p = (const uint8_t *)str_dup(&f->a, str_n(p->p, p->n))
					       .p;
		}
	}
	f->n = f->n_out;
}

static void take(struct fix *f, int64_t mint, int64_t maxt)
{
	struct chunk_part p = chunk_encoder_part(f->w);
	struct chunk_view *c = &f->in[f->n++];
	*c = (struct chunk_view){ .mint_ms = mint, .maxt_ms = maxt };
	p.p = (const uint8_t *)str_dup(&f->a, str_n(p.p, p.n)).p;
	c->part[AGGR_RAW] = p;
}

/* Samples v, v+1, ... every step. */
static void floats(struct fix *f, int64_t mint, int64_t step, int n, double v)
{
	chunk_encoder_begin(f->w, CHUNK_XOR);
	for (int i = 0; i < n; i++)
		cr_assert_eq(chunk_encoder_float(f->w, mint + i * step, v + i, &f->e), 0);
	take(f, mint, mint + (n - 1) * step);
}

struct kind {
	int32_t schema;
	double zero_threshold, bound;
	bool gauge;
};

static void hists(struct fix *f, int64_t mint, int64_t step, int n, double v,
		  struct kind k)
{
	struct hist_span span = { 0, 2 };
	double bounds[2] = { k.bound, 100 };
	chunk_encoder_begin(f->w, CHUNK_FLOATHIST);
	for (int i = 0; i < n; i++) {
		double c[2] = { v + i, 1 };
		struct hist h = { .schema = k.schema,
				  .hint = k.gauge ? HIST_GAUGE : HIST_UNKNOWN,
				  .zero_threshold = k.zero_threshold,
				  .count = v + i + 1,
				  .sum = v,
				  .pos_spans = &span,
				  .pos = c,
				  .n_pos_spans = 1,
				  .n_pos = 2 };
		if (k.schema == HIST_CUSTOM) {
			h.bounds = bounds;
			h.n_bounds = 2;
		}
		cr_assert_eq(chunk_encoder_hist(f->w, mint + i * step, &h, &f->e), 0);
	}
	take(f, mint, mint + (n - 1) * step);
}

/* Everything that was counted, over all chunks; each chunk's counts, sums and counters have the same times. */
static double counted(struct fix *f)
{
	double n = 0;
	for (size_t i = 0; i < f->n_out; i++) {
		struct columns c, s;
		struct chunk_decoder *d = chunk_decoder_new(&f->a);
		cr_assert(i == 0 || f->out[i].mint_ms > f->out[i - 1].maxt_ms);
		cr_assert_eq(chunk_decoder_reset(d, f->out[i].part[AGGR_COUNT], &f->e),
			     0);
		cr_assert_eq(chunk_decoder_next(d, &c, &f->e), 1);
		cr_assert_eq(c.t_ms[0], f->out[i].mint_ms);
		cr_assert_eq(c.t_ms[c.n - 1], f->out[i].maxt_ms);
		for (size_t k = 0; k < c.n; k++)
			n += c.v[k];
		for (int k = AGGR_SUM; k < AGGR_N; k++) {
			struct chunk_part p = f->out[i].part[k];
			if (!p.p || p.enc == CHUNK_XOR)
				continue;
			struct chunk_decoder *o = chunk_decoder_new(&f->a);
			cr_assert_eq(chunk_decoder_reset(o, p, &f->e), 0);
			cr_assert_eq(chunk_decoder_next(o, &s, &f->e), 1);
			cr_assert(s.n == c.n &&
				  memcmp(s.t_ms, c.t_ms, c.n * sizeof *c.t_ms) == 0);
		}
	}
	return n;
}

#define MIN_MS 60000

static void both_levels(struct fix *f, double samples)
{
	cr_assert_eq(run(f, DOWNSAMPLE_5M), 0, "%s", err_text(&f->e));
	cr_assert_gt(f->n_out, 1);
	cr_assert_eq(counted(f), samples);
	cr_assert_eq(downsampler_tally(f->d).samples, samples);
	again(f);
	cr_assert_eq(run(f, DOWNSAMPLE_1H), 0, "%s", err_text(&f->e));
	cr_assert_gt(f->n_out, 1);
	cr_assert_eq(counted(f), samples);
	cr_assert_eq(downsampler_tally(f->d).samples, samples);
}

Test(edges, another_zero_threshold_begins_a_chunk_and_nothing_is_forgotten)
{
	struct fix f;
	begin(&f);
	hists(&f, 0, MIN_MS, 60, 10, (struct kind){ .zero_threshold = 1e-3 });
	hists(&f, 60 * MIN_MS, MIN_MS, 60, 20, (struct kind){ .zero_threshold = 1e-2 });
	both_levels(&f, 120);
	end(&f);
}

Test(edges, other_custom_bounds_begin_a_chunk)
{
	struct fix f;
	begin(&f);
	hists(&f, 0, MIN_MS, 60, 10, (struct kind){ .schema = HIST_CUSTOM, .bound = 1 });
	hists(&f, 60 * MIN_MS, MIN_MS, 60, 20,
	      (struct kind){ .schema = HIST_CUSTOM, .bound = 2 });
	both_levels(&f, 120);
	end(&f);
}

Test(edges, custom_bounds_and_exponential_buckets_are_runs_of_their_own)
{
	struct fix f;
	begin(&f);
	hists(&f, 0, MIN_MS, 60, 10, (struct kind){ .schema = HIST_CUSTOM, .bound = 1 });
	hists(&f, 60 * MIN_MS, MIN_MS, 60, 20, (struct kind){ .schema = 2 });
	hists(&f, 120 * MIN_MS, MIN_MS, 60, 20, (struct kind){ .schema = 1 });
	hists(&f, 180 * MIN_MS, MIN_MS, 60, 10,
	      (struct kind){ .schema = HIST_CUSTOM, .bound = 1 });
	both_levels(&f, 240);
	end(&f);
}

Test(edges, gauges_behind_counters_lose_nothing)
{
	struct fix f;
	begin(&f);
	hists(&f, 0, MIN_MS, 60, 10, (struct kind){ 0 });
	hists(&f, 60 * MIN_MS, MIN_MS, 60, 5, (struct kind){ .gauge = true });
	both_levels(&f, 120);
	end(&f);
}

Test(edges, no_samples_make_no_chunks)
{
	struct fix f;
	begin(&f);
	cr_assert_eq(run(&f, DOWNSAMPLE_5M), 0);
	cr_assert_eq(f.n_out, 0);
	cr_assert_eq(run(&f, DOWNSAMPLE_1H), 0);
	cr_assert_eq(f.n_out, 0);
	chunk_encoder_begin(f.w, CHUNK_XOR);
	take(&f, 0, 0);
	floats(&f, 1000, 15000, 10, NAN);
	floats(&f, 200000, 15000, 10, f64_of_bits(STALE_NAN_BITS));
	cr_assert_eq(run(&f, DOWNSAMPLE_5M), 0);
	cr_assert_eq(f.n_out, 0);
	cr_assert_geq(downsampler_tally(f.d).dropped, 20);
	cr_assert_eq(run(&f, DOWNSAMPLE_1H), 0, "%s", err_text(&f.e));
	cr_assert_eq(f.n_out, 0);
	end(&f);
}

Test(edges, a_missing_aggregate_stays_missing_and_does_not_move_the_chunk)
{
	struct fix f;
	begin(&f);
	floats(&f, 7200000, 15000, 100, 1);
	cr_assert_eq(run(&f, DOWNSAMPLE_5M), 0);
	again(&f);
	f.in[0].part[AGGR_MIN] = f.in[0].part[AGGR_COUNTER] = (struct chunk_part){ 0 };
	cr_assert_eq(run(&f, DOWNSAMPLE_1H), 0, "%s", err_text(&f.e));
	cr_assert_eq(f.n_out, 1);
	cr_assert_eq(f.out[0].mint_ms, 8685000);
	cr_assert_null(f.out[0].part[AGGR_MIN].p);
	cr_assert_null(f.out[0].part[AGGR_COUNTER].p);
	cr_assert_not_null(f.out[0].part[AGGR_MAX].p);
	end(&f);
}

static void refused(struct fix *f, int64_t resolution, enum err_code code,
		    const char *text)
{
	cr_assert_eq(run(f, resolution), -1);
	cr_assert_eq(f->e.code, code);
	cr_assert(str_find(str_of(err_text(&f->e)), str_of(text)) >= 0, "%s",
		  err_text(&f->e));
}

Test(edges, what_cannot_be_downsampled_is_named)
{
	struct fix f;
	begin(&f);
	floats(&f, 0, 15000, 100, 1);
	floats(&f, 1485000, 15000, 100, 1);
	refused(&f, DOWNSAMPLE_5M, E_CORRUPT, "chunk 1 overlaps the one before");
	refused(&f, 60000, E_INVALID, "resolution 60000 ms");
	f.in[1].mint_ms++;
	refused(&f, DOWNSAMPLE_5M, E_CORRUPT, "chunk 1 begins before");
	f.n = 1;
	floats(&f, 1500000, 15000, 100, 1);
	f.in[1].part[AGGR_RAW].n /= 2;
	refused(&f, DOWNSAMPLE_5M, E_CORRUPT, "chunk 1: XOR chunk: ");
	refused(&f, DOWNSAMPLE_1H, E_CORRUPT, "chunk 1: XOR chunk: ");
	f.n = 1;
	cr_assert_eq(run(&f, DOWNSAMPLE_5M), 0);
	again(&f);
	refused(&f, DOWNSAMPLE_5M, E_CORRUPT, "chunk 0 is an aggregate chunk");
	f.in[0].part[AGGR_MAX].n /= 2;
	refused(&f, DOWNSAMPLE_1H, E_CORRUPT, "chunk 0: XOR chunk: ");
	f.n = 0;
	hists(&f, 0, 15000, 10, 1, (struct kind){ 0 });
	hists(&f, 1000000, 15000, 10, 1, (struct kind){ 0 });
	f.in[1].part[AGGR_RAW].n /= 2;
	refused(&f, DOWNSAMPLE_5M, E_CORRUPT, "chunk 1: float histogram chunk: ");
	end(&f);
}

/* Chunks of all kinds with some bytes changed: an error or some result, never more than that. */
Test(edges, garbage_is_refused_or_survived)
{
	struct fix f;
	uint64_t seed = 5;
	size_t fine = 0;
	begin(&f);
	floats(&f, 0, 15000, 300, 1);
	hists(&f, 4500000, 15000, 300, 5, (struct kind){ .zero_threshold = 1e-3 });
	hists(&f, 9000000, 15000, 100, 5,
	      (struct kind){ .schema = HIST_CUSTOM, .bound = 1 });
	floats(&f, 10500000, 15000, 20, -5);
	struct chunk_view raw[4], aggr[8];
	memcpy(raw, f.in, sizeof raw);
	cr_assert_eq(run(&f, DOWNSAMPLE_5M), 0);
	cr_assert_leq(f.n_out, ARRAY_LEN(aggr));
	again(&f);
	size_t n_aggr = f.n;
	memcpy(aggr, f.in, n_aggr * sizeof *aggr);
	for (int round = 0; round < 20000; round++) {
		struct arena a;
		bool second = round % 2;
		arena_init(&a, NULL);
		f.n = second ? n_aggr : 4;
		memcpy(f.in, second ? aggr : raw, f.n * sizeof *f.in);
		for (int k = 0; k < 1 + round % 3; k++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			struct chunk_part *p =
				&f.in[(seed >> 33) % f.n].part[(seed >> 40) % AGGR_N];
			if (!p->p)
				continue;
			uint8_t *b =
				(uint8_t *)(uintptr_t)str_dup(&a, str_n(p->p, p->n)).p;
			size_t front = round % 5 ? p->n : MIN(p->n, 24u);
			b[(seed >> 20) % front] ^= (uint8_t)(1u << (seed >> 50) % 8);
			p->p = b;
			if (round % 7 == 0)
				p->n = (uint32_t)((seed >> 12) % p->n) + 1;
		}
		fine += run(&f, second || round % 4 == 0 ? DOWNSAMPLE_1H
							 : DOWNSAMPLE_5M) == 0;
		arena_deinit(&a);
	}
	cr_assert(fine > 100 && fine < 19000, "%zu", fine);
	end(&f);
}
