#include "support/tst.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/vec.h"
#include "unit/compact/made.h"

/* Tombstones, histograms, newer encodings, aggregates: golden blocks, alone and beside themselves moved in time. */

static void rows_like(struct world *w, const char *dir, const char *expected, bool live)
{
	struct rows got, want;

	world_rows(w, &got);
	rows_expected(&w->f, expected, live, &want);
	rows_compare(dir, &got, &want, true);
	free(got.v);
	free(want.v);
}

Test(compact_kinds, samples_under_tombstones_are_gone)
{
	struct world w;

	for (int mode = COMPACT_REFUSE; mode <= COMPACT_PENALTY; mode++) {
		world_begin(&w);
		world_add(&w, GOLDEN "/tombstones/01M81YVCV04NJ9WQ26TQ155FM6");
		w.o.overlap = mode;
		world_must_compact(&w);
		cr_assert(w.src[0].tombstones != NULL);
		rows_like(&w, "tombstones",
			  GOLDEN "/expected/01M81YVCV04NJ9WQ26TQ155FM6.live.series.tsv",
			  true);
		world_end(&w);
	}
}

Test(compact_kinds, newer_encodings_are_kept_or_become_plain)
{
	static const char *const id[] = { "01M81YVCPRJ7E8180809G85TB9",
					  "01M81YVCQVK25VMXY127QDKHFZ",
					  "01M81YVCS17G3R1H0SAW7AK37A" };
	for (size_t i = 0; i < 3; i++)
		for (int newer = 0; newer < 2; newer++) {
			struct rows got, want;
			struct world w;
			world_begin(&w);
			world_add(&w, str_fmt(&w.f.a, GOLDEN "/newer/%s", id[i]).p);
			w.o.newer_encodings = newer;
			world_must_compact(&w);
			world_rows(&w, &got);
			const char *path =
				str_fmt(&w.f.a, GOLDEN "/expected/%s.series.tsv", id[i])
					.p;
			struct fs_stat st;
			cr_assert_eq(fs_stat(&w.f.ctx, path, &st, &w.f.e), 0);
			rows_expected(&w.f,
				      st.kind == FS_FILE
					      ? path
					      : str_fmt(&w.f.a, "%s.gz", path).p,
				      false, &want);
			rows_compare(id[i], &got, &want, !newer);
			uint64_t plain = 0, starts = 0;
			for (size_t k = 0; k < got.n; k++)
				for (int c = 1; c < 256; c++)
					*(c <= CHUNK_FLOATHIST ? &plain : &starts) +=
						got.v[k].chunks[c];
			cr_assert(newer ? starts > 0 : starts == 0 && plain > 0);
			free(got.v);
			free(want.v);
			world_end(&w);
		}
}

/* ---- two blocks of the same series at other times ---- */

/* One sample, as a number that shows its bits. */
struct seen {
	int64_t t;
	uint32_t digest;
};
struct seen_list {
	struct seen *v;
	size_t n, cap;
};

static uint32_t digest_of(const struct columns *c, size_t i)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	if (c->v) {
		uint64_t bits = f64_bits(c->v[i]);
		buf_add(&b, &bits, 8);
	} else {
		struct hist h = *c->h[i];
		h.hint = HIST_UNKNOWN;
		hist_write_expr(&h, &b); /* text: the same whatever the layout */
	}
	uint32_t d = (uint32_t)hash_xx64(b.p, b.n, c->v != NULL);
	buf_deinit(&b);
	return d;
}

/* Samples of one part of all chunks of a series; counters' doubled samples once. */
static struct seen_list read_part(struct world *w, const struct series_in *s, int part)
{
	struct chunk_decoder *d = chunk_decoder_new(&w->f.a);
	struct seen_list l = { 0 };
	struct columns c;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->chunks[i].part[part].p)
			continue;
		cr_assert_eq(chunk_decoder_reset(d, s->chunks[i].part[part], &w->f.e), 0);
		int rc;
		while ((rc = chunk_decoder_next(d, &c, &w->f.e)) > 0)
			for (size_t k = 0; k < c.n; k++) {
				if (l.n && l.v[l.n - 1].t == c.t_ms[k])
					continue;
				if (l.n == l.cap)
					l.v = vec_grow(l.v, &l.cap, l.n + 1,
						       sizeof(*l.v));
				l.v[l.n++] = (struct seen){ c.t_ms[k], digest_of(&c, k) };
			}
		cr_assert_eq(rc, 0);
	}
	return l;
}

struct pair {
	struct block *b[3]; /* the two inputs, the output */
	struct series_set *set[3];
	const struct series_in *s[3];
};

static void pair_open(struct world *w, const char *first, struct pair *p)
{
	static struct block_series_req req;
	char id[27];

	req = req_all;
	req.newer_encodings = true;
	req.aggrs = ~0u;
	ulid_format(&w->src[1].meta->ulid, id);
	p->b[0] = open_block(&w->f, first);
	p->b[1] = open_block(&w->f, str_fmt(&w->f.a, "%s/in/%s", w->dir, id).p);
	p->b[2] = open_block(&w->f, w->out);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(block_series(p->b[i], &w->f.ctx, &req, &p->set[i], &w->f.e),
			     0);
}

static bool pair_next(struct world *w, struct pair *p)
{
	int rc[3];
	for (int i = 0; i < 3; i++)
		rc[i] = series_set_next(p->set[i], &w->f.ctx, &p->s[i], &w->f.e);
	cr_assert(rc[0] == rc[1] && rc[0] == rc[2] && rc[0] >= 0);
	return rc[0] > 0;
}

static void pair_close(struct pair *p)
{
	for (int i = 0; i < 3; i++) {
		series_set_close(p->set[i]);
		block_unref(p->b[i]);
	}
}

static void check_both(const struct seen_list *a, const struct seen_list *b,
		       const struct seen_list *got)
{
	size_t i = 0, k = 0, n = 0;
	for (; i < a->n || k < b->n; n++) {
		const struct seen *x = k == b->n || (i < a->n && a->v[i].t <= b->v[k].t)
					       ? &a->v[i]
					       : &b->v[k];
		cr_assert(n < got->n && got->v[n].t == x->t, "sample %zu at %lld", n,
			  (long long)x->t);
		if (i < a->n && k < b->n && a->v[i].t == b->v[k].t)
			cr_assert(got->v[n].digest == a->v[i].digest ||
				  got->v[n].digest == b->v[k].digest);
		else
			cr_assert_eq(got->v[n].digest, x->digest, "sample %zu", n);
		int64_t t = x->t;
		i += i < a->n && a->v[i].t == t;
		k += k < b->n && b->v[k].t == t;
	}
	cr_assert_eq(n, got->n);
}

/* Every sample of the output is one of an input's, in order; with penalty at least those of one replica's number. */
static void check_subset(const struct seen_list *a, const struct seen_list *b,
			 const struct seen_list *got)
{
	size_t i = 0, k = 0;
	for (size_t n = 0; n < got->n; n++) {
		const struct seen *x = &got->v[n];
		while (i < a->n && a->v[i].t < x->t)
			i++;
		while (k < b->n && b->v[k].t < x->t)
			k++;
		cr_assert((i < a->n && a->v[i].t == x->t &&
			   a->v[i].digest == x->digest) ||
				  (k < b->n && b->v[k].t == x->t &&
				   b->v[k].digest == x->digest),
			  "sample %zu at %lld is of no input", n, (long long)x->t);
		cr_assert(n == 0 || got->v[n - 1].t < x->t);
	}
	cr_assert(got->n <= a->n + b->n && 4 * got->n >= 3 * MIN(a->n, b->n),
		  "%zu of %zu and %zu", got->n, a->n, b->n);
}

static bool has_sample(const struct seen_list *l, const struct seen *x)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].t == x->t && l->v[i].digest == x->digest)
			return true;
	return false;
}

/* A counter's chunk begins with a sample that lies before the chunk, maybe inside of one of the other input. */
static void check_members(const struct seen_list *a, const struct seen_list *b,
			  const struct seen_list *got)
{
	for (size_t n = 0; n < got->n; n++)
		cr_assert(has_sample(a, &got->v[n]) || has_sample(b, &got->v[n]));
	cr_assert(4 * got->n >= 3 * MIN(a->n, b->n));
}

static void beside_itself(const char *dir, int64_t d, enum compact_overlap mode,
			  bool newer)
{
	struct world w;
	struct pair p;

	world_begin(&w);
	world_add(&w, dir);
	made_shifted(&w, dir, d);
	w.o.overlap = mode;
	w.o.newer_encodings = newer;
	world_must_compact(&w);
	cr_assert_gt(w.r.merged_chunks, 0);
	pair_open(&w, dir, &p);
	while (pair_next(&w, &p))
		for (int part = 0; part < AGGR_N; part++) {
			struct seen_list l[3];
			for (int i = 0; i < 3; i++)
				l[i] = read_part(&w, p.s[i], part);
			(part == AGGR_COUNTER	   ? check_members
			 : mode == COMPACT_PENALTY ? check_subset
						   : check_both)(&l[0], &l[1], &l[2]);
			for (int i = 0; i < 3; i++)
				free(l[i].v);
		}
	pair_close(&p);
	world_end(&w);
}

Test(compact_kinds, histograms_one_to_one)
{
	beside_itself(GOLDEN "/bucket/01M81YVCHCC17VDZ0DT7QR6H2J", 4000,
		      COMPACT_ONE_TO_ONE, false);
	beside_itself(GOLDEN "/bucket/01M81YVCKR1CVYHC4X0MFE5FQK", 4000,
		      COMPACT_ONE_TO_ONE, false);
}

/* By whole steps: many samples of one time differ. */
Test(compact_kinds, histograms_that_differ_at_one_time)
{
	beside_itself(GOLDEN "/bucket/01M81YVCHCC17VDZ0DT7QR6H2J", 15000,
		      COMPACT_ONE_TO_ONE, false);
	beside_itself(GOLDEN "/bucket/01M81YVCKR1CVYHC4X0MFE5FQK", 60000,
		      COMPACT_ONE_TO_ONE, false);
}

Test(compact_kinds, strange_floats_one_to_one)
{
	beside_itself(GOLDEN "/bucket/01M81YVCFSCF0E425839T44G73", 1, COMPACT_ONE_TO_ONE,
		      false);
	beside_itself(GOLDEN "/bucket/01M81YVCFSCF0E425839T44G73", 15000,
		      COMPACT_ONE_TO_ONE, false);
}

Test(compact_kinds, newer_encodings_one_to_one)
{
	beside_itself(GOLDEN "/newer/01M81YVCQVK25VMXY127QDKHFZ", 4000,
		      COMPACT_ONE_TO_ONE, true);
	beside_itself(GOLDEN "/newer/01M81YVCS17G3R1H0SAW7AK37A", 4000,
		      COMPACT_ONE_TO_ONE, false);
}

#define LONG_5M COMPACTED "/long/bucket/01M81ZG1BPPMPG42S5N10TVXMM"
#define LONG_1H COMPACTED "/long/bucket/01M81ZG1EBNEZAK9G1G515QTZB"

Test(compact_kinds, aggregates_one_to_one)
{
	beside_itself(LONG_5M, 1000, COMPACT_ONE_TO_ONE, false);
	beside_itself(LONG_1H, 1800000, COMPACT_ONE_TO_ONE, false);
	beside_itself(LONG_1H, 3600000, COMPACT_ONE_TO_ONE, false);
	beside_itself(COMPACTED "/custom/bucket/01M8224373R5B5DXSMP1X780EE", 1000,
		      COMPACT_ONE_TO_ONE, false);
}

Test(compact_kinds, aggregates_by_penalty)
{
	beside_itself(LONG_5M, 1000, COMPACT_PENALTY, false);
	beside_itself(LONG_1H, 1800000, COMPACT_PENALTY, false);
	beside_itself(COMPACTED "/custom/bucket/01M8224373R5B5DXSMP1X780EE", 1000,
		      COMPACT_PENALTY, false);
}

/* Aggregates of one window lie in one chunk, and a counter's chunk ends with its last sample twice. */
Test(compact_kinds, aggregates_are_cut_where_counts_are)
{
	struct world w;
	struct block_source src;
	struct block_scan *s;
	struct scan_series c;
	size_t chunks = 0;

	world_begin(&w);
	world_add(&w, LONG_5M);
	made_shifted(&w, LONG_5M, 1000);
	w.o.overlap = COMPACT_PENALTY;
	world_must_compact(&w);
	cr_assert_eq(block_source_open_dir(&w.f.ctx, &w.f.a, w.out, &src, &w.f.e), 0);
	cr_assert_eq(block_scan_open(&w.f.ctx, &src, 0, &s, &w.f.e), 0);
	while (block_scan_series(s, &w.f.ctx, &c, &w.f.e) > 0)
		for (size_t i = 0; i < c.n_chunks; i++, chunks++) {
			const struct chunk_part *p = c.chunk[i].part;
			int64_t t[500];
			double v[500];
			int n = chunk_xor_decode(p[AGGR_COUNT].p, p[AGGR_COUNT].n, t, v,
						 500, &w.f.e);
			cr_assert(n > 0 && n <= 120);
			cr_assert(t[0] == c.chunk[i].mint_ms &&
				  t[n - 1] == c.chunk[i].maxt_ms);
			cr_assert_eq(chunk_count(p[AGGR_SUM]), (uint32_t)n);
			if (p[AGGR_COUNTER].enc != CHUNK_XOR)
				continue;
			cr_assert_eq(chunk_count(p[AGGR_MIN]), (uint32_t)n);
			n = chunk_xor_decode_any(p[AGGR_COUNTER].p, p[AGGR_COUNTER].n, t,
						 v, 500, &w.f.e);
			cr_assert(n > 1 && t[n - 1] == t[n - 2] && v[n - 1] == v[n - 2]);
		}
	cr_assert_gt(chunks, 15);
	block_scan_close(s);
	block_source_close(&src);
	world_end(&w);
}

Test(compact_kinds, raw_chunks_of_a_downsampled_block_are_copied)
{
	struct made_chunk x = { .n = 2, .t = { 0, 10 }, .v = { 1, 2 } };
	struct made_series a = { STR("x"), &x, 1 };
	struct world w;

	world_begin(&w);
	made_block(&w, 0, 100, &a, 1);
	struct block_meta m = *w.src[0].meta;
	m.thanos.resolution_ms = 300000;
	w.src[0].meta =
		&m; /* a block that says it was downsampled, but was not, is copied */
	world_must_compact(&w);
	cr_assert_eq(w.r.meta.thanos.resolution_ms, 300000);
	world_end(&w);
}

/* ---- memory ---- */

static size_t peak_of(size_t chunks)
{
	struct budget budget;
	struct made_series a = { STR("x"), xcalloc(chunks, sizeof(struct made_chunk)),
				 chunks };
	struct world w;

	world_begin(&w);
	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < chunks; i++) {
			a.chunk[i].n = 120;
			for (size_t s = 0; s < 120; s++) {
				a.chunk[i].t[s] = (int64_t)(i * 120 + s) * 1000 + k * 400;
				a.chunk[i].v[s] = (double)(s * 7 % 13);
			}
		}
		made_block(&w, 0, 100000000, &a, 1);
	}
	budget_init(&budget, NULL, "test", NULL, 0);
	w.f.ctx.budget = &budget;
	w.o.overlap = COMPACT_ONE_TO_ONE;
	w.o.read_ahead = 64 << 10;
	world_must_compact(&w);
	cr_assert_eq(w.r.stats.samples, chunks * 240);
	size_t peak = atomic_load(&budget.peak);
	w.f.ctx.budget = NULL;
	budget_deinit(&budget);
	free(a.chunk);
	world_end(&w);
	return peak;
}

/* What grows is the series that is at work, encoded: less than two bytes a sample here. */
Test(compact_kinds, decoded_samples_do_not_pile_up)
{
	size_t few = peak_of(50), many = peak_of(500);
	cr_assert_lt(many, few + 500 * 240 * 4 * 2, "%zu, then %zu", few, many);
}

/* A segment whose chunks lie 100 KB apart: they are read alone, not each with a window that stays. */
Test(compact_kinds, scattered_chunks_pin_no_windows)
{
	enum { N = 100, APART = 100000 };
	struct raw_chunk *c = xcalloc(N, sizeof(*c));
	struct raw_series s = { { 1, 3 }, 1, c, N };
	struct raw_block b;
	struct world w;

	for (int i = 0; i < N; i++) {
		c[i].c.n = 2;
		c[i].c.t[0] = c[i].mint_ms = i * 10;
		c[i].c.t[1] = c[i].maxt_ms = i * 10 + 5;
	}
	world_begin(&w);
	raw_make_apart(&w, &b, 0, 2000, &s, 1, APART);
	const char *path = str_fmt(&w.f.a, "%s/in", w.dir).p;
	cr_assert_eq(fs_write_atomic(&w.f.ctx, path, buf_view(&b.segment), &w.f.e), 0);
	range_source_unref(
		b.segment_src); /* a file: what is read of memory is no view of its own */
	cr_assert_eq(range_source_file(&w.f.ctx, path, &b.segment_src, &w.f.e), 0);
	struct budget budget;
	budget_init(&budget, NULL, "test", NULL, 0);
	w.f.ctx.budget = &budget;
	struct block_scan *scan;
	struct scan_series got;
	cr_assert_eq(block_scan_open(&w.f.ctx, &w.src[0], 1 << 20, &scan, &w.f.e), 0);
	cr_assert_eq(block_scan_series(scan, &w.f.ctx, &got, &w.f.e), 1, "%s",
		     err_text(&w.f.e));
	cr_assert_eq(got.n_chunks, N);
	cr_assert_lt(atomic_load(&budget.peak), (size_t)(4 << 20));
	block_scan_close(scan);
	w.f.ctx.budget = NULL;
	budget_deinit(&budget);
	world_end(&w);
	raw_free(&b);
	free(c);
}

Test(compact_kinds, bounds_are_said_before)
{
	struct world w;

	world_begin(&w);
	world_add(&w, GOLDEN "/bucket/01M81YVBWEZNH3H08SPVGX7K64");
	world_add(&w, GOLDEN "/bucket/01M81YVC3EVHVHW5856NGMRBBV");
	w.o.overlap = COMPACT_ONE_TO_ONE;
	w.o.memory = 4 << 20;
	_Atomic uint64_t progress = 0;
	w.o.progress_bytes = &progress;
	struct budget budget;
	budget_init(&budget, NULL, "test", NULL, 0);
	w.f.ctx.budget = &budget;
	world_must_compact(&w);
	cr_assert_lt(atomic_load(&budget.peak), compact_memory_bound(w.src, 2, &w.o));
	cr_assert_lt(w.r.stats.index_bytes + w.r.stats.chunk_bytes,
		     compact_disk_bound(w.src, 2, &w.o));
	cr_assert_gt(atomic_load(&progress), 100000);
	w.f.ctx.budget = NULL;
	budget_deinit(&budget);
	world_end(&w);
}
