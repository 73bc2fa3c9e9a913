#include "sets.h"

#include <stdlib.h>

#include "support/tst.h"

/* A series of floats as one raw chunk. */
static struct chunk_view chunk_of(struct arena *a, const int64_t *t, const double *v,
				  size_t n)
{
	struct chunk_encoder *w = chunk_encoder_new();
	struct err e = ERR_INIT;
	struct chunk_view c = { .mint_ms = t[0], .maxt_ms = t[n - 1] };
	chunk_encoder_begin(w, CHUNK_XOR);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(chunk_encoder_float(w, t[i], v[i], &e), 0);
	struct chunk_part p = chunk_encoder_part(w);
	c.part[AGGR_RAW] = p;
	c.part[AGGR_RAW].p = (const uint8_t *)str_dup(a, str_n(p.p, p.n)).p;
	chunk_encoder_free(w);
	return c;
}

#define ROW_MAX 16
struct row {
	const char *what;
	int64_t a[ROW_MAX], b[ROW_MAX]; /* times in s, 0 ends */
	double va, vb;			/* values: va + time, vb + time */
	bool counter;
	int64_t want[2 * ROW_MAX];
	double adjust[2 * ROW_MAX]; /* wanted value minus time */
};
/* clang-format off */
static const struct row rows[] = {
	{ "A wins while it scrapes", { 10, 20, 30, 40 }, { 14, 24, 34, 44 }, 0, 100, false,
	  { 10, 20, 30, 40 }, { 0, 0, 0, 0 } },
	{ "ties go to the first lane: equal bounds, greater bytes", { 10, 20, 30 }, { 10, 20, 30 },
	  0, 100, false, { 10, 20, 30 }, { 100, 100, 100 } },
	{ "a gap of two scrapes is filled by B", { 10, 20, 30, 80, 90 },
	  { 12, 22, 32, 42, 52, 62, 72, 82, 92 }, 0, 100, false,
	  { 10, 20, 30, 52, 62, 72, 82, 92 }, { 0, 0, 0, 100, 100, 100, 100, 100 } },
	{ "one missed scrape is not filled", { 10, 20, 40, 50 }, { 12, 22, 32, 42, 52 }, 0, 100,
	  false, { 10, 20, 40, 50 }, { 0, 0, 0, 0 } },
	{ "when A ends B goes on", { 10, 20 }, { 12, 22, 32, 42, 52 }, 0, 100, false,
	  { 10, 20, 42, 52 }, { 0, 0, 100, 100 } },
	{ "the first penalty is five seconds", { 10, 40 }, { 12, 15, 16, 17 }, 0, 100, false,
	  { 10, 16, 17, 40 }, { 0, 100, 100, 0 } },
	{ "a counter that is behind is raised at the switch", { 10, 20, 30 },
	  { 12, 22, 32, 42, 52, 62 }, 1000, 0, true,
	  { 10, 20, 30, 52, 62 }, { 1000, 1000, 1000, 998, 998 } },
	{ "a counter that is ahead stays", { 10, 20, 30 }, { 12, 22, 32, 42, 52, 62 }, 0, 1000,
	  true, { 10, 20, 30, 52, 62 }, { 0, 0, 0, 1000, 1000 } },
};
/* clang-format on */

static size_t load(const int64_t *secs, double base, int64_t *t, double *v)
{
	size_t n = 0;
	for (; n < ROW_MAX && secs[n]; n++) {
		t[n] = secs[n] * 1000;
		v[n] = base + (double)secs[n];
	}
	return n;
}

Test(penalty, hand_made_cases_come_out_as_thanos_merges_them)
{
	for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
		const struct row *x = &rows[r];
		struct arena a;
		struct err e = ERR_INIT;
		int64_t t[ROW_MAX];
		double v[ROW_MAX];
		struct chunk_view c[2];
		struct sample_cols out = { 0 };
		arena_init(&a, NULL);
		size_t n = load(x->a, x->va, t, v);
		c[0] = chunk_of(&a, t, v, n);
		n = load(x->b, x->vb, t, v);
		c[1] = chunk_of(&a, t, v, n);
		cr_assert_eq(dedup_decode(NULL, &a, c, 2, SAMPLE_AVG, true, x->counter, 0,
					  INT64_MAX, &out, &e),
			     0, "%s", err_text(&e));
		for (n = 0; n < 2 * ROW_MAX && x->want[n]; n++) {
			cr_expect(n < out.n && out.t_ms[n] == x->want[n] * 1000,
				  "%s: time %zu is %lld", x->what, n,
				  n < out.n ? (long long)out.t_ms[n] : -1);
			cr_expect(n < out.n &&
					  out.v[n] == x->adjust[n] + (double)x->want[n],
				  "%s: value %zu is %g", x->what, n,
				  n < out.n ? out.v[n] : 0);
		}
		cr_expect_eq(out.n, n, "%s: %zu samples", x->what, out.n);
		arena_deinit(&a);
	}
}

/* What rate() and increase() add up: rises, and after a fall the value itself. */
static double risen(const struct sample_cols *c)
{
	double sum = 0;
	for (size_t i = 1; i < c->n; i++)
		sum += c->v[i] < c->v[i - 1] ? c->v[i] : c->v[i] - c->v[i - 1];
	return sum;
}

/*
 * Two replicas of one counter that is reset in the middle, each with gaps of its own: the merge rises as the counter
 * does (less what was lost around the reset), wherever the gaps lie, and shows the reset.
 */
Test(penalty, a_reset_near_a_switch_raises_no_replica_for_good)
{
	static int64_t t[2][400];
	static double v[2][400];
	size_t resets = 0;
	for (uint64_t seed = 0; seed < 400; seed++) {
		struct arena a;
		struct err e = ERR_INIT;
		struct chunk_view c[40];
		struct sample_cols out = { 0 };
		size_t chunks = 0;
		arena_init(&a, NULL);
		sets_seed(seed + 5000);
		int64_t reset = 1000000 + (int64_t)(sets_random() % 1000000);
		for (int k = 0; k < 2; k++) {
			int64_t from = (int64_t)(sets_random() % 2000000);
			int64_t to = from + (int64_t)(sets_random() % 600000);
			size_t n = 0;
			for (int64_t at = 7000 * k + 1000; at < 3000000; at += 15000) {
				if (at >= from && at < to)
					continue;
				t[k][n] = at;
				v[k][n++] = at < reset ? 100000 + (double)at / 1000
						       : (double)(at - reset) / 1000;
			}
			for (size_t i = 0, m; i < n; i += m) {
				m = 1 + sets_random() % 90;
				m = MIN(m, n - i);
				c[chunks++] = chunk_of(&a, t[k] + i, v[k] + i, m);
			}
		}
		cr_assert_eq(dedup_decode(NULL, &a, c, chunks, SAMPLE_AVG, true, true, 0,
					  INT64_MAX, &out, &e),
			     0);
		double want = 3000, got = risen(&out);
		cr_expect(got <= want && got > want - 1300, "seed %llu: %g",
			  (unsigned long long)seed, got);
		for (size_t i = 1; i < out.n; i++)
			resets += out.v[i] < out.v[i - 1];
		arena_deinit(&a);
	}
	cr_expect(resets > 350, "%zu resets of 400 are visible", resets);
}

/* Bits survive the fold: a stale marker stays one, in a counter that was raised, too, and -0 keeps its sign. */
Test(penalty, stale_markers_and_zeros_keep_their_bits)
{
	const int64_t t[2][4] = { { 10000, 20000, 30000, 40000 },
				  { 12000, 22000, 82000, 92000 } };
	for (int counter = 0; counter < 2; counter++) {
		const double v[2][4] = { { 100, 101, -0.0, f64_of_bits(STALE_NAN_BITS) },
					 { 1, 2, 3, f64_of_bits(STALE_NAN_BITS) } };
		struct arena a;
		struct err e = ERR_INIT;
		struct chunk_view c[2];
		struct sample_cols out = { 0 };
		arena_init(&a, NULL);
		for (int k = 0; k < 2; k++)
			c[k] = chunk_of(&a, t[k], v[k], 4);
		cr_assert_eq(dedup_decode(NULL, &a, c, 2, SAMPLE_AVG, true, counter, 0,
					  INT64_MAX, &out, &e),
			     0, "%s", err_text(&e));
		cr_assert_eq(out.n, 6);
		cr_assert_eq(f64_bits(out.v[2]), f64_bits(-0.0));
		cr_assert(is_stale_nan(out.v[3]), "the first replica's end");
		cr_assert_eq(out.t_ms[5], 92000);
		cr_assert(is_stale_nan(out.v[5]), "the second replica's end");
		arena_deinit(&a);
	}
}

/* ---- the rule once more, slowly: samples of lists, no state shared with the module ---- */

struct list {
	int64_t t[2000];
	double v[2000];
	size_t n;
};

static void slow_penalty(const struct list *a, const struct list *b, struct list *out)
{
	int64_t last = INT64_MIN / 2, pa = 0, pb = 0;
	bool first = true;
	size_t i = 0, k = 0; /* never back, even when a penalty ends */
	out->n = 0;
	for (;;) {
		while (i < a->n && a->t[i] < last + 1 + pa)
			i++;
		while (k < b->n && b->t[k] < last + 1 + pb)
			k++;
		if (i == a->n && k == b->n)
			return;
		bool use_a = k == b->n || (i < a->n && a->t[i] <= b->t[k]);
		int64_t t = use_a ? a->t[i] : b->t[k];
		int64_t penalty = first ? 5000 : 2 * (t - last);
		if (i == a->n || k == b->n)
			penalty = use_a ? pb : pa;
		pa = use_a ? 0 : penalty;
		pb = use_a ? penalty : 0;
		out->t[out->n] = t;
		out->v[out->n++] = use_a ? a->v[i] : b->v[k];
		last = t;
		first = false;
	}
}

static void slow_union(const struct list *a, const struct list *b, struct list *out)
{
	size_t i = 0, k = 0;
	out->n = 0;
	while (i < a->n || k < b->n) {
		bool use_a = k == b->n || (i < a->n && a->t[i] <= b->t[k]);
		if (use_a && k < b->n && a->t[i] == b->t[k])
			k++;
		out->t[out->n] = use_a ? a->t[i] : b->t[k];
		out->v[out->n++] = use_a ? a->v[i++] : b->v[k++];
	}
}

/* Random scrapes with gaps, cut into chunks; the list gets the samples in [mint, maxt]. */
static size_t random_lane(struct arena *a, struct chunk_view *c, struct list *l,
			  double base, int64_t mint, int64_t maxt)
{
	int64_t t = 1000 + (int64_t)(sets_random() % 15000), ts[120];
	double vs[120];
	size_t chunks = 1 + sets_random() % 5;
	l->n = 0;
	for (size_t i = 0; i < chunks; i++) {
		size_t n = 1 + sets_random() % 100;
		for (size_t k = 0; k < n; k++) {
			t += 15000 + (int64_t)(sets_random() % 100);
			if (sets_random() % 20 == 0)
				t += 15000 * (int64_t)(sets_random() % 8);
			ts[k] = t;
			vs[k] = base + (double)t;
			if (t >= mint && t <= maxt) {
				l->t[l->n] = t;
				l->v[l->n++] = vs[k];
			}
		}
		c[i] = chunk_of(a, ts, vs, n);
	}
	return chunks;
}

static void check_random(uint64_t seed, bool dedup)
{
	static struct list lane[2], want;
	struct arena a;
	struct err e = ERR_INIT;
	struct chunk_view c[20];
	struct sample_cols out = { 0 };
	arena_init(&a, NULL);
	sets_seed(seed);
	int64_t mint = (int64_t)(sets_random() % 3000000);
	int64_t maxt = mint + (int64_t)(sets_random() % 9000000);
	size_t n = random_lane(&a, c, &lane[0], 0.5, mint, maxt);
	n += random_lane(&a, c + n, &lane[1], 0.25, mint, maxt);
	if (n > 2) { /* any order */
		struct chunk_view x = c[0];
		c[0] = c[n - 1];
		c[n - 1] = x;
	}
	cr_assert_eq(dedup_decode(NULL, &a, c, n, SAMPLE_AVG, dedup, false, mint, maxt,
				  &out, &e),
		     0, "%s", err_text(&e));
	if (dedup) {
		/* Lanes may change over at gaps: what holds anyway is order, range, membership. */
		for (size_t i = 0; i < out.n; i++) {
			cr_expect(out.t_ms[i] >= mint && out.t_ms[i] <= maxt);
			cr_expect(i == 0 || out.t_ms[i] > out.t_ms[i - 1]);
			double base = out.v[i] - (double)out.t_ms[i];
			cr_expect(base == 0.5 || base == 0.25);
		}
		cr_expect_eq(out.n > 0, lane[0].n + lane[1].n > 0);
	} else {
		slow_union(&lane[0], &lane[1], &want);
		cr_expect_eq(out.n, want.n, "seed %llu", (unsigned long long)seed);
		for (size_t i = 0; i < MIN(out.n, want.n); i++)
			cr_expect_eq(out.t_ms[i], want.t[i]);
	}
	arena_deinit(&a);
}

Test(decode, without_dedup_equals_the_union_by_time)
{
	for (uint64_t seed = 0; seed < 150; seed++)
		check_random(seed, false);
}

Test(decode, with_dedup_shows_samples_of_one_replica_or_the_other)
{
	for (uint64_t seed = 0; seed < 150; seed++)
		check_random(seed, true);
}

/* One chunk a replica: the lanes are known, so the slow rule must give the same. */
Test(penalty, equals_the_rule_applied_slowly)
{
	static struct list lane[2], want;
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct arena a;
		struct err e = ERR_INIT;
		struct chunk_view c[2];
		struct sample_cols out = { 0 };
		arena_init(&a, NULL);
		sets_seed(seed + 1000);
		int64_t offset = 0;
		for (int k = 0; k < 2; k++) {
			int64_t t = 100000 + offset;
			lane[k].n = 20 + sets_random() % 300;
			for (size_t i = 0; i < lane[k].n; i++) {
				t += 15000;
				if (sets_random() % 12 == 0)
					t += 15000 * (int64_t)(sets_random() % 6);
				lane[k].t[i] = t;
				lane[k].v[i] = k * 1000 + (double)i;
			}
			offset = (int64_t)(sets_random() % 14000);
			c[k] = chunk_of(&a, lane[k].t, lane[k].v, lane[k].n);
		}
		cr_assert_eq(dedup_decode(NULL, &a, c, 2, SAMPLE_AVG, true, false, 0,
					  INT64_MAX, &out, &e),
			     0);
		bool swapped = c[0].part[0].n != 0 && c[0].mint_ms == lane[1].t[0] &&
			       c[0].maxt_ms == lane[1].t[lane[1].n - 1];
		slow_penalty(&lane[swapped], &lane[!swapped], &want);
		cr_expect_eq(out.n, want.n);
		for (size_t i = 0; i < MIN(out.n, want.n); i++)
			cr_expect(out.t_ms[i] == want.t[i] && out.v[i] == want.v[i],
				  "seed %llu at %zu", (unsigned long long)seed, i);
		arena_deinit(&a);
	}
}
