/*
 * Random series - gaps, resets, NaN, stale markers, infinities, times that go back, one sample, floats that become histograms -
 * against the plain model, bit by bit; and what 1h windows hold against the raw samples of the hour.
 */
#include "downsample/downsample.h"

#include <math.h>

#include "model.h"
#include "support/tst.h"
#include "tsdb/chunk/bits.h"
#include "tsdb/chunk/chunk.h"
#include "tsdb/chunk/series_samples.h"

static uint64_t seed;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (seed >> 33) % n;
}

static bool once_in(uint64_t n)
{
	return rnd(n) == 0;
}

/* One series: its chunks, and the runs of samples of one kind in them. */
struct series {
	struct arena a;
	struct chunk_view c[400];
	size_t n;
	struct mlist run[400];
	size_t n_runs;
	bool hist; /* kind of the last run */
	struct chunk_encoder *w;
};

static void series_begin(struct series *s, uint64_t with_seed)
{
	memset(s, 0, sizeof *s);
	seed = with_seed * 77 + 1;
	arena_init(&s->a, NULL);
	s->w = chunk_encoder_new();
}

static void series_end(struct series *s)
{
	chunk_encoder_free(s->w);
	arena_deinit(&s->a);
}

static struct mlist *run_of(struct series *s, bool hist)
{
	if (s->n_runs == 0 || s->hist != hist)
		s->n_runs++;
	s->hist = hist;
	return &s->run[s->n_runs - 1];
}

static void add_chunk(struct series *s, struct str bytes, enum chunk_enc enc,
		      int64_t mint, int64_t maxt)
{
	bytes = str_dup(&s->a, bytes);
	s->c[s->n] = (struct chunk_view){ .mint_ms = mint, .maxt_ms = maxt };
	s->c[s->n++].part[AGGR_RAW] =
		(struct chunk_part){ (const uint8_t *)bytes.p, (uint32_t)bytes.n,
				     (uint8_t)enc };
}

/* ---- floats ---- */

/* Any order of times. */
static void put_xor_chunk(struct bitw *w, const int64_t *t, const double *v, size_t n)
{
	struct bits_window win = { 0xff, 0 };
	buf_reset(&w->out);
	w->last = 0;
	w->pending = 0;
	bitw_put(w, n, 16);
	bitw_varint(w, t[0]);
	bitw_put(w, f64_bits(v[0]), 64);
	for (size_t i = 1; i < n; i++) {
		uint64_t d = (uint64_t)(t[i] - t[i - 1]);
		if (i == 1) {
			for (; d >= 0x80; d >>= 7)
				bitw_put(w, d | 0x80, 8);
			bitw_put(w, d, 8);
		} else {
			bitw_put(w, 0xf, 4);
			bitw_put(w, d - (uint64_t)(t[i - 1] - t[i - 2]), 64);
		}
		bitw_xor(w, f64_bits(v[i]), f64_bits(v[i - 1]), &win);
	}
}

struct shape {
	int64_t step;
	bool whole, counter, odd, back;
};

static double value(const struct shape *k, double last)
{
	static const double odd[] = { NAN, INFINITY, -INFINITY, -0.0, 1e300 };
	if (k->odd && once_in(30))
		return f64_of_bits(STALE_NAN_BITS);
	if (k->odd && once_in(30))
		return odd[rnd(ARRAY_LEN(odd))];
	double more = k->whole ? (double)rnd(9) : (double)rnd(1000000) / 7919;
	if (k->counter)
		return isfinite(last) && !once_in(40) ? last + more : more;
	return once_in(2) ? more : -more;
}

static int64_t float_chunk(struct series *s, const struct shape *k, int64_t at, size_t n,
			   double *last)
{
	static int64_t t[120];
	static double v[120];
	struct bitw w = { 0 };
	struct mlist *run = run_of(s, false);
	int64_t top = at;
	buf_init(&w.out, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		t[i] = top;
		if (k->back && i && once_in(10))
			t[i] -= (int64_t)rnd((uint64_t)(top - at + 1));
		v[i] = *last = value(k, *last);
		mlist_add(&s->a, run,
			  (struct msample){ .t = t[i], .v = v[i], .chunk = s->n });
		top += k->step + (once_in(50) ? (int64_t)rnd(4000000) : 0);
	}
	put_xor_chunk(&w, t, v, n);
	add_chunk(s, bitw_view(&w), CHUNK_XOR, at, top - 1);
	buf_deinit(&w.out);
	return top;
}

static struct shape any_shape(void)
{
	static const int64_t steps[] = { 1000, 15000, 60000, 300000, 3600000, 299999 };
	return (struct shape){ steps[rnd(ARRAY_LEN(steps))], once_in(2), once_in(2),
			       once_in(2), once_in(4) };
}

/* ---- histograms ---- */

struct source {
	struct hist h;
	struct hist_span span[2];
	double pos[24], neg[24];
	bool is_int;
	bool steady; /* one schema; chunks say that there was no reset before them */
};

static void observe(struct source *o)
{
	struct hist *h = &o->h;
	bool gauge = h->hint == HIST_GAUGE;
	for (int i = 0; i < 24; i++)
		if (once_in(3)) {
			o->pos[i] = gauge ? (double)rnd(50) : o->pos[i] + (double)rnd(9);
			o->neg[i] = gauge ? (double)rnd(50) : o->neg[i] + (double)rnd(3);
		}
	h->zero_count = gauge ? (double)rnd(9) : h->zero_count + (double)rnd(3);
	h->count = h->zero_count;
	for (uint32_t i = 0; i < h->n_pos; i++)
		h->count += o->pos[i];
	for (uint32_t i = 0; i < h->n_neg; i++)
		h->count += o->neg[i];
	h->sum = (double)rnd(100000);
	if (once_in(o->steady ? 1500 : 60))
		h->sum = once_in(2) ? NAN : f64_of_bits(STALE_NAN_BITS);
}

/* A start from zero, maybe with another layout. */
static void restart(struct source *o)
{
	bool gauge = o->h.hint == HIST_GAUGE;
	memset(o->pos, 0, sizeof o->pos);
	memset(o->neg, 0, sizeof o->neg);
	o->span[0] = (struct hist_span){ (int32_t)rnd(40) - 20, (uint32_t)rnd(23) + 1 };
	o->span[1] = (struct hist_span){ (int32_t)rnd(40) - 20, (uint32_t)rnd(23) + 1 };
	o->h = (struct hist){ .schema = o->steady ? 2 : (int32_t)rnd(4),
			      .hint = gauge ? HIST_GAUGE : HIST_UNKNOWN,
			      .zero_threshold = 1e-30,
			      .is_int = o->is_int,
			      .pos_spans = &o->span[0],
			      .neg_spans = &o->span[1],
			      .n_pos_spans = 1,
			      .n_neg_spans = 1,
			      .n_pos = o->span[0].length,
			      .n_neg = o->span[1].length,
			      .pos = o->pos,
			      .neg = o->neg };
}

/* What a decoder shows of the chunk goes into the run. */
static void note_hists(struct series *s, size_t chunk)
{
	struct chunk_decoder *d = chunk_decoder_new(&s->a);
	struct columns c;
	struct err e = ERR_INIT;
	cr_assert_eq(chunk_decoder_reset(d, s->c[chunk].part[AGGR_RAW], &e), 0);
	while (chunk_decoder_next(d, &c, &e) > 0)
		for (size_t i = 0; i < c.n; i++)
			mlist_add(&s->a, run_of(s, true),
				  (struct msample){ .t = c.t_ms[i],
						    .h = mhist_of(&s->a, c.h[i]),
						    .chunk = chunk });
}

/* Up to n samples; the chunk ends where the encoder wants a new one. */
static int64_t hist_chunk(struct series *s, struct source *o, int64_t step, int64_t at,
			  size_t n)
{
	enum chunk_enc enc = o->is_int ? CHUNK_HIST : CHUNK_FLOATHIST;
	struct err e = ERR_INIT;
	int64_t mint = at;
	if (o->steady)
		chunk_encoder_next(s->w, enc);
	else
		chunk_encoder_begin(s->w, enc);
	for (size_t i = 0; i < n; i++) {
		if (once_in(o->steady ? 1000 : 100))
			restart(o);
		else
			observe(o);
		int rc = chunk_encoder_hist(s->w, at, &o->h, &e);
		cr_assert(rc >= 0, "%s", err_text(&e));
		if (rc == 1)
			break;
		at += step + (once_in(50) ? (int64_t)rnd(4000000) : 0);
	}
	struct chunk_part p = chunk_encoder_part(s->w);
	add_chunk(s, str_n(p.p, p.n), enc, mint, at - 1);
	note_hists(s, s->n - 1);
	return at;
}

/* ---- comparing ---- */

static void same_part(uint64_t id, size_t chunk, int aggr, struct arena *a,
		      struct chunk_part p, const struct mlist *want)
{
	struct chunk_decoder *d = chunk_decoder_new(a);
	struct columns c;
	struct err e = ERR_INIT;
	size_t k = 0;
	cr_assert_eq(p.p != NULL, want->n > 0, "series %llu chunk %zu aggregate %d",
		     (unsigned long long)id, chunk, aggr);
	if (!p.p)
		return;
	cr_assert_eq(chunk_decoder_reset(d, p, &e), 0);
	while (chunk_decoder_next(d, &c, &e) > 0)
		for (size_t i = 0; i < c.n; i++, k++) {
			const struct msample *m = &want->v[k];
			cr_assert(k < want->n && m->t == c.t_ms[i] &&
					  (c.v ? f64_bits(c.v[i]) == f64_bits(m->v)
					       : mhist_eq(mhist_of(a, c.h[i]), m->h)),
				  "series %llu chunk %zu aggregate %d sample %zu: "
				  "%lld %a, not %lld %a",
				  (unsigned long long)id, chunk, aggr, k,
				  (long long)c.t_ms[i], c.v ? c.v[i] : 0, (long long)m->t,
				  m->v);
		}
	cr_assert_eq(k, want->n);
}

static void same_chunks(uint64_t id, struct arena *a, const struct chunk_view *got,
			size_t n, const struct mchunks *want)
{
	cr_assert_eq(n, want->n, "series %llu: %zu chunks, not %zu",
		     (unsigned long long)id, n, want->n);
	for (size_t i = 0; i < n; i++) {
		cr_assert(got[i].mint_ms == want->v[i].mint &&
				  got[i].maxt_ms == want->v[i].maxt,
			  "series %llu chunk %zu", (unsigned long long)id, i);
		for (int k = AGGR_COUNT; k < AGGR_N; k++)
			same_part(id, i, k, a, got[i].part[k], &want->v[i].aggr[k]);
	}
}

static struct chunk_view *run_down(struct series *s, struct downsampler *d,
				   const struct chunk_view *in, size_t n, int64_t r,
				   size_t *n_out)
{
	const struct chunk_view *out;
	struct err e = ERR_INIT;
	cr_assert_eq(downsample_series(d, in, n, r, &out, n_out, &e), 0, "%s",
		     err_text(&e));
	struct chunk_view *v = ARENA_ARRAY(&s->a, struct chunk_view, *n_out + 1);
	for (size_t i = 0; i < *n_out; i++) {
		v[i] = out[i];
		for (int k = AGGR_COUNT; k < AGGR_N; k++)
			if (v[i].part[k].p) {
				struct str b = str_dup(&s->a, str_n(out[i].part[k].p,
								    out[i].part[k].n));
				v[i].part[k].p = (const uint8_t *)b.p;
			}
	}
	return v;
}

static void check(struct series *s, struct downsampler *d, uint64_t id)
{
	struct mchunks five = { 0 }, hour = { 0 }, mixed = { 0 };
	size_t n_five, n_hour;
	for (size_t i = 0; i < s->n_runs; i++)
		model_raw(&s->a, &s->run[i], DOWNSAMPLE_5M, &five);
	struct chunk_view *v = run_down(s, d, s->c, s->n, DOWNSAMPLE_5M, &n_five);
	same_chunks(id, &s->a, v, n_five, &five);
	model_aggr(&s->a, five.v, five.n, DOWNSAMPLE_1H, &hour);
	v = run_down(s, d, v, n_five, DOWNSAMPLE_1H, &n_hour);
	same_chunks(id, &s->a, v, n_hour, &hour);
	/* raw chunks in a downsampled block: each by itself to 5m first */
	five = (struct mchunks){ 0 };
	for (size_t i = 0; i < s->n_runs; i++)
		for (size_t k = 0, end; k < s->run[i].n; k = end) {
			struct mlist l = { s->run[i].v + k, 0, 0 };
			for (end = k;
			     end < s->run[i].n && l.v[0].chunk == s->run[i].v[end].chunk;
			     end++)
				l.n++;
			model_raw(&s->a, &l, DOWNSAMPLE_5M, &five);
		}
	for (size_t i = 1; i < five.n; i++)
		if (five.v[i].mint <= five.v[i - 1].maxt)
			return; /* windows of neighbours meet */
	model_aggr(&s->a, five.v, five.n, DOWNSAMPLE_1H, &mixed);
	v = run_down(s, d, s->c, s->n, DOWNSAMPLE_1H, &n_hour);
	same_chunks(id, &s->a, v, n_hour, &mixed);
}

Test(property, floats)
{
	struct downsampler *d = downsampler_new();
	static struct series s;
	for (uint64_t id = 0; id < 400; id++) {
		series_begin(&s, id);
		struct shape k = any_shape();
		size_t n = once_in(4) ? 1 : rnd(id % 20 ? 30 : 300) + 1;
		int64_t at = (int64_t)rnd(10000000);
		double last = 0;
		for (size_t i = 0; i < n; i++)
			at = float_chunk(&s, &k, at, once_in(9) ? 1 : rnd(120) + 1,
					 &last);
		check(&s, d, id);
		series_end(&s);
	}
	downsampler_free(d);
}

Test(property, histograms)
{
	struct downsampler *d = downsampler_new();
	static struct series s;
	for (uint64_t id = 0; id < 120; id++) {
		series_begin(&s, id);
		struct source o = { .is_int = once_in(2), .steady = once_in(2) };
		o.h.hint = once_in(3) ? HIST_GAUGE : HIST_UNKNOWN;
		restart(&o);
		size_t n = once_in(4) ? 1 : rnd(30) + 1;
		int64_t at = (int64_t)rnd(10000000), step = any_shape().step;
		for (size_t i = 0; i < n; i++)
			at = hist_chunk(&s, &o, step, at, once_in(9) ? 1 : rnd(60) + 1);
		check(&s, d, id);
		series_end(&s);
	}
	downsampler_free(d);
}

Test(property, floats_become_histograms_and_back)
{
	struct downsampler *d = downsampler_new();
	static struct series s;
	for (uint64_t id = 0; id < 60; id++) {
		series_begin(&s, id);
		struct source o = { .is_int = once_in(2), .steady = once_in(2) };
		struct shape k = any_shape();
		restart(&o);
		size_t n = rnd(20) + 2;
		int64_t at = (int64_t)rnd(10000000);
		double last = 0;
		for (size_t i = 0; i < n; i++) {
			if (once_in(2))
				at = float_chunk(&s, &k, at, rnd(120) + 1, &last);
			else
				at = hist_chunk(&s, &o, k.step, at, rnd(60) + 1);
		}
		check(&s, d, id);
		series_end(&s);
	}
	downsampler_free(d);
}

/* ---- 1h against the raw samples of the hour ---- */

struct hour {
	double count, sum, min, max;
};

static struct hour hour_of(const struct mlist *l, int64_t hour)
{
	struct hour h = { 0, 0, INFINITY, -INFINITY };
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].t / DOWNSAMPLE_1H != hour)
			continue;
		h.count++;
		h.sum += l->v[i].v;
		h.min = fmin(h.min, l->v[i].v);
		h.max = fmax(h.max, l->v[i].v);
	}
	return h;
}

/* The windows of the hour in all chunks; an hour that a chunk's end splits has several. */
static struct hour hour_of_chunks(struct series *s, const struct chunk_view *v, size_t n,
				  int64_t hour)
{
	struct hour h = { 0, 0, INFINITY, -INFINITY };
	for (size_t i = 0; i < n; i++)
		for (int k = AGGR_COUNT; k < AGGR_COUNTER; k++) {
			struct chunk_decoder *d = chunk_decoder_new(&s->a);
			struct columns c;
			struct err e = ERR_INIT;
			cr_assert_eq(chunk_decoder_reset(d, v[i].part[k], &e), 0);
			while (chunk_decoder_next(d, &c, &e) > 0)
				for (size_t j = 0; j < c.n; j++) {
					if (c.t_ms[j] / DOWNSAMPLE_1H != hour)
						continue;
					h.count += k == AGGR_COUNT ? c.v[j] : 0;
					h.sum += k == AGGR_SUM ? c.v[j] : 0;
					if (k == AGGR_MIN)
						h.min = fmin(h.min, c.v[j]);
					if (k == AGGR_MAX)
						h.max = fmax(h.max, c.v[j]);
				}
		}
	return h;
}

static double raw_increase(const struct mlist *l)
{
	double sum = 0;
	for (size_t i = 1; i < l->n; i++)
		sum += l->v[i].v < l->v[i - 1].v ? l->v[i].v : l->v[i].v - l->v[i - 1].v;
	return sum;
}

/* As a query reads counters. */
static double increase(struct series *s, const struct chunk_view *v, size_t n)
{
	struct samples *it = series_samples_new(&s->a);
	struct columns c;
	struct err e = ERR_INIT;
	double first = 0, last = 0;
	bool begun = false;
	cr_assert_eq(series_samples_reset(it, v, n, SAMPLE_COUNTER, &e), 0);
	while (samples_next(it, &c, &e) > 0) {
		if (!begun)
			first = c.v[0];
		begun = true;
		last = c.v[c.n - 1];
	}
	return last - first;
}

Test(property, an_hour_holds_what_its_raw_samples_hold)
{
	struct downsampler *d = downsampler_new();
	static struct series s;
	for (uint64_t id = 0; id < 40; id++) {
		series_begin(&s, id);
		struct shape k = any_shape();
		k.whole = true;
		k.odd = k.back = false;
		int64_t at = (int64_t)rnd(10000000);
		double last = 0;
		size_t n_five, n_hour;
		for (size_t i = rnd(20); i < 20; i++)
			at = float_chunk(&s, &k, at, rnd(120) + 1, &last);
		struct chunk_view *v = run_down(&s, d, s.c, s.n, DOWNSAMPLE_5M, &n_five);
		double want = raw_increase(&s.run[0]);
		if (k.counter)
			cr_assert_eq(increase(&s, v, n_five), want);
		v = run_down(&s, d, v, n_five, DOWNSAMPLE_1H, &n_hour);
		if (k.counter)
			cr_assert_eq(increase(&s, v, n_hour), want);
		for (int64_t h = 0; h <= at / DOWNSAMPLE_1H; h += 1 + (int64_t)rnd(40)) {
			struct hour x = hour_of(&s.run[0], h),
				    y = hour_of_chunks(&s, v, n_hour, h);
			cr_assert(x.count == y.count && x.sum == y.sum &&
					  x.min == y.min && x.max == y.max,
				  "series %llu hour %lld", (unsigned long long)id,
				  (long long)h);
		}
		series_end(&s);
	}
	downsampler_free(d);
}
