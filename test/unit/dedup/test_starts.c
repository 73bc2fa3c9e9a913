/*
 * Start timestamps on their way through dedup_decode: chunks with and without them, of floats and histograms,
 * alone, cut at the edges of the range, and in two lanes that overlap.
 */
#include "sets.h"

#include <stdlib.h>

#include "support/tst.h"

#define CHUNKS 6
#define EACH   40

struct sample {
	int64_t t, st;
	double v;
	bool hist;
};
struct lane {
	struct sample s[CHUNKS * EACH];
	size_t n;
};

static struct chunk_view encode(struct arena *a, const struct sample *s, size_t n,
				enum chunk_enc enc)
{
	struct chunk_encoder *w = chunk_encoder_new();
	struct err e = ERR_INIT;
	struct hist_span span = { 1, 1 };
	chunk_encoder_begin(w, enc);
	for (size_t i = 0; i < n; i++) {
		double count = s[i].v;
		struct hist h = { .is_int = true,
				  .count = count,
				  .sum = count,
				  .pos_spans = &span,
				  .pos = &count,
				  .n_pos_spans = 1,
				  .n_pos = 1 };
		chunk_encoder_start(w, s[i].st);
		int rc = s[i].hist ? chunk_encoder_hist(w, s[i].t, &h, &e)
				   : chunk_encoder_float(w, s[i].t, s[i].v, &e);
		cr_assert_eq(rc, 0, "%s", err_text(&e));
	}
	struct chunk_part p = chunk_encoder_part(w);
	uint8_t *bytes = arena_alloc(a, p.n);
	memcpy(bytes, p.p, p.n);
	p.p = bytes;
	chunk_encoder_free(w);
	return (struct chunk_view){ .mint_ms = s[0].t,
				    .maxt_ms = s[n - 1].t,
				    .part = { p } };
}

static size_t random_lane(struct arena *a, struct lane *l, struct chunk_view *c,
			  int64_t shift)
{
	static const enum chunk_enc kinds[] = { CHUNK_XOR, CHUNK_XOR2, CHUNK_HIST,
						CHUNK_HIST_ST };
	int64_t t = shift;
	l->n = 0;
	for (size_t i = 0; i < CHUNKS; i++) {
		enum chunk_enc enc = kinds[sets_random() % ARRAY_LEN(kinds)];
		size_t n = 1 + sets_random() % EACH;
		struct sample *s = l->s + l->n;
		bool with = sets_random() % 3 != 0;
		for (size_t k = 0; k < n; k++) {
			t += 1000;
			s[k] = (struct sample){ .t = t,
						.v = (double)t,
						.hist = enc == CHUNK_HIST ||
							enc == CHUNK_HIST_ST };
			if (with && (enc == CHUNK_XOR2 || enc == CHUNK_HIST_ST))
				s[k].st = t - 1 - (int64_t)(sets_random() % 5000);
		}
		c[i] = encode(a, s, n, enc);
		l->n += n;
	}
	return CHUNKS;
}

/* Every sample shown is one of the lanes', with its own start; without dedup none is missing. */
static void check(uint64_t seed, size_t lanes, bool dedup)
{
	static struct lane l[2];
	struct arena a;
	struct err e = ERR_INIT;
	struct chunk_view c[2 * CHUNKS];
	struct sample_cols out = { 0 };
	size_t n = 0, in_range = 0;
	arena_init(&a, NULL);
	sets_seed(seed);
	for (size_t k = 0; k < lanes; k++)
		n += random_lane(&a, &l[k], c + n, (int64_t)k * 500);
	int64_t mint = (int64_t)(sets_random() % 60000),
		maxt = mint + (int64_t)(sets_random() % 200000);
	cr_assert_eq(dedup_decode(NULL, &a, c, n, SAMPLE_AVG, dedup, false, mint, maxt,
				  &out, &e),
		     0, "%s", err_text(&e));
	bool any = false;
	for (size_t i = 0; i < out.n; i++) {
		const struct sample *s = NULL;
		for (size_t k = 0; k < lanes && !s; k++)
			for (size_t j = 0; j < l[k].n && !s; j++)
				if (l[k].s[j].t == out.t_ms[i])
					s = &l[k].s[j];
		cr_assert_not_null(s);
		cr_assert_eq(out.st_ms ? out.st_ms[i] : 0, s->st, "seed %llu, sample %zu",
			     (unsigned long long)seed, i);
		cr_assert_eq(out.h && out.h[i], s->hist);
		any |= s->st != 0;
	}
	for (size_t k = 0; k < lanes; k++)
		for (size_t j = 0; j < l[k].n; j++)
			in_range += l[k].s[j].t >= mint && l[k].s[j].t <= maxt;
	if (!dedup || lanes == 1)
		cr_assert_eq(out.n, in_range);
	cr_assert(!any || out.st_ms);
	arena_deinit(&a);
}

Test(starts, belong_to_their_samples)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		check(seed, 1, seed & 1);
		check(seed, 2, false);
		check(seed, 2, true);
	}
}

Test(starts, cost_no_column_where_there_are_none)
{
	struct arena a;
	struct err e = ERR_INIT;
	struct sample s[3] = { { 1000, 0, 1, false },
			       { 2000, 0, 2, false },
			       { 3000, 0, 3, false } };
	struct sample_cols out = { 0 };
	arena_init(&a, NULL);
	struct chunk_view c = encode(&a, s, 3, CHUNK_XOR2);
	cr_assert_eq(dedup_decode(NULL, &a, &c, 1, SAMPLE_AVG, true, false, 0, 5000, &out,
				  &e),
		     0);
	cr_assert_eq(out.n, 3);
	cr_assert_null(out.st_ms);
	arena_deinit(&a);
}
