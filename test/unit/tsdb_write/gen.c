#include "unit/tsdb_write/gen.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/vec.h"
#include "support/tst.h"

static uint64_t next(struct gen_rng *g)
{
	uint64_t x = g->s += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

uint32_t gen_below(struct gen_rng *g, uint32_t n)
{
	return (uint32_t)(next(g) % n);
}

/* ---- labels ---- */

static struct str text(struct world *w, struct gen_rng *g)
{
	static const char *const words[] = { "a",    "b",	 "le",	  "job",
					     "pod",  "__name__", "größe", "名前",
					     "\x01", "\xff\xfe", "a.b",	  "z z" };
	switch (gen_below(g, 8)) {
	case 0: return str_fmt(&w->a, "v%u", gen_below(g, 1000));
	case 1: return str_fmt(&w->a, "%s-%u", words[gen_below(g, 12)], gen_below(g, 20));
	case 2: {
		/* from one byte to what takes three bytes of length */
		size_t n = 1 + gen_below(g, gen_below(g, 40) ? 40 : 70000);
		char *p = arena_alloc(&w->a, n);
		for (size_t i = 0; i < n; i++)
			p[i] = (char)next(g);
		return str_n(p, n);
	}
	default: return str_of(words[gen_below(g, 12)]);
	}
}

static int cmp_str(const void *a, const void *b, void *arg)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}
static int cmp_label(const void *a, const void *b, void *arg)
{
	return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}
static int cmp_series(const void *a, const void *b, void *arg)
{
	return labels_cmp(((const struct series_in *)a)->labels,
			  ((const struct series_in *)b)->labels);
}

static struct labels label_set(struct world *w, struct gen_rng *g)
{
	uint32_t most = gen_below(g, 30) ? 1 + gen_below(g, 8) : 300, n = 0;
	struct label *l = ARENA_ARRAY(&w->a, struct label, most);
	for (uint32_t i = 0; i < most; i++)
		l[i] = (struct label){ text(w, g), text(w, g) };
	vec_sort(l, most, sizeof(*l), cmp_label, NULL);
	for (uint32_t i = 0; i < most; i++)
		if (n == 0 || !str_eq(l[n - 1].name, l[i].name))
			l[n++] = l[i];
	return (struct labels){ .l = l, .n = n };
}

/* ---- chunks ---- */

struct maker {
	struct world *w;
	struct gen_rng *g;
	struct chunk_encoder *enc;
	int64_t t;
};

static int64_t next_time(struct maker *m)
{
	static const int64_t jump[] = {
		1, 15000, 15000, 15000, 60000, 1 << 21, 1ll << 40
	};
	int64_t d = jump[gen_below(m->g, ARRAY_LEN(jump))];
	return m->t += d + gen_below(m->g, 3);
}

static double any_float(struct gen_rng *g)
{
	static const uint64_t odd[] = { STALE_NAN_BITS, NORMAL_NAN_BITS,      0, 1,
					1ull << 63,	0x7ff0000000000000ull };
	switch (gen_below(g, 4)) {
	case 0: return f64_of_bits(odd[gen_below(g, ARRAY_LEN(odd))]);
	case 1: return f64_of_bits(next(g));
	default: return gen_below(g, 1000);
	}
}

static struct hist_span *spans(struct maker *m, uint32_t *n, uint32_t *buckets)
{
	*n = gen_below(m->g, 4);
	struct hist_span *s = ARENA_ARRAY(&m->w->a, struct hist_span, *n + 1);
	*buckets = 0;
	for (uint32_t i = 0; i < *n; i++) {
		s[i].offset = (int32_t)gen_below(m->g, 9) + (i ? 1 : -4);
		s[i].length = 1 + gen_below(m->g, 3);
		*buckets += s[i].length;
	}
	return s;
}

static double *counts(struct maker *m, uint32_t n, double *sum)
{
	double *v = ARENA_ARRAY(&m->w->a, double, n + 1);
	for (uint32_t i = 0; i < n; i++)
		*sum += v[i] = gen_below(m->g, 1000);
	return v;
}

static struct hist any_hist(struct maker *m, bool is_int)
{
	struct hist h = { .schema = (int32_t)gen_below(m->g, 13) - 4,
			  .is_int = is_int,
			  .hint = gen_below(m->g, 3) ? HIST_UNKNOWN : HIST_GAUGE,
			  .zero_threshold = gen_below(m->g, 2) ? 0 : 0.001,
			  .zero_count = gen_below(m->g, 5),
			  .sum = any_float(m->g) };
	if (is_stale_nan(h.sum)) /* has no buckets */
		h.sum = 1;
	h.count = h.zero_count;
	h.pos_spans = spans(m, &h.n_pos_spans, &h.n_pos);
	h.neg_spans = spans(m, &h.n_neg_spans, &h.n_neg);
	h.pos = counts(m, h.n_pos, &h.count);
	h.neg = counts(m, h.n_neg, &h.count);
	return h;
}

/* One chunk: samples until the encoder wants another one, or enough are there. */
static struct chunk_part make_part(struct maker *m, unsigned enc, size_t samples)
{
	struct err e = ERR_INIT;
	bool is_float = enc == CHUNK_XOR || enc == CHUNK_XOR2;
	struct hist h = any_hist(m, enc == CHUNK_HIST || enc == CHUNK_HIST_ST);
	size_t n = 1 + gen_below(m->g, (uint32_t)samples);
	chunk_encoder_begin(m->enc, enc);
	for (size_t i = 0; i < n; i++) {
		int64_t t = next_time(m);
		if (enc >= CHUNK_XOR2 && gen_below(m->g, 2))
			chunk_encoder_start(m->enc, t - gen_below(m->g, 100000));
		int rc = is_float ? chunk_encoder_float(m->enc, t, any_float(m->g), &e)
				  : chunk_encoder_hist(m->enc, t, &h, &e);
		cr_assert_geq(rc, 0, "%s", err_text(&e));
		if (rc == 1)
			break;
		if (gen_below(m->g, 30) == 0)
			h = any_hist(m, h.is_int);
	}
	struct chunk_part p = chunk_encoder_part(m->enc);
	p.p = (const uint8_t *)str_dup(&m->w->a, str_n(p.p, p.n)).p;
	return p;
}

static struct chunk_view make_chunk(struct maker *m, const struct gen_opts *o)
{
	struct chunk_view v = { 0 };
	int64_t from = next_time(m);
	m->t = from - 1;
	v.mint_ms = from;
	if (!o->aggr) {
		unsigned enc = 1 + gen_below(m->g, o->newer ? 6 : 3);
		v.part[AGGR_RAW] = make_part(m, enc, o->samples);
	} else {
		uint32_t set = 1 + gen_below(m->g, 31);
		for (unsigned a = AGGR_COUNT; a < AGGR_N; a++)
			if (set >> (a - 1) & 1)
				v.part[a] =
					make_part(m, 1 + gen_below(m->g, 3), o->samples);
	}
	v.maxt_ms = m->t;
	return v;
}

static void count(struct gen_block *b, const struct chunk_view *v)
{
	const struct chunk_part *raw = &v->part[AGGR_RAW];
	uint32_t n = chunk_count(raw->p ? *raw : v->part[AGGR_COUNT]);
	b->chunks++;
	b->samples += n;
	if (raw->p && (raw->enc == CHUNK_XOR || raw->enc == CHUNK_XOR2))
		b->floats += n;
	else if (raw->p)
		b->hists += n;
}

/* ---- blocks ---- */

static void make_symbols(struct world *w, struct gen_block *b)
{
	size_t n = 0, k = 0;
	for (size_t i = 0; i < b->n; i++)
		n += 2 * b->series[i].labels.n;
	b->symbol = ARENA_ARRAY(&w->a, struct str, n + 1);
	n = 0;
	for (size_t i = 0; i < b->n; i++)
		for (uint32_t j = 0; j < b->series[i].labels.n; j++) {
			b->symbol[n++] = b->series[i].labels.l[j].name;
			b->symbol[n++] = b->series[i].labels.l[j].value;
		}
	vec_sort(b->symbol, n, sizeof(*b->symbol), cmp_str, NULL);
	for (size_t i = 0; i < n; i++)
		if (k == 0 || !str_eq(b->symbol[k - 1], b->symbol[i]))
			b->symbol[k++] = b->symbol[i];
	b->n_symbols = k;
}

void gen_block(struct world *w, const struct gen_opts *o, struct gen_block *out)
{
	struct gen_rng g = { o->seed };
	struct gen_block b = { 0 };
	b.series = ARENA_ARRAY(&w->a, struct series_in, o->series);
	for (size_t i = 0; i < o->series; i++)
		b.series[i].labels = label_set(w, &g);
	vec_sort(b.series, o->series, sizeof(*b.series), cmp_series, NULL);
	for (size_t i = 0; i < o->series; i++)
		if (b.n == 0 || cmp_series(&b.series[b.n - 1], &b.series[i], NULL) != 0)
			b.series[b.n++] = b.series[i];
	make_symbols(w, &b);
	struct maker m = { w, &g, chunk_encoder_new(), 0 };
	for (size_t i = 0; i < b.n; i++) {
		struct series_in *s = &b.series[i];
		s->n = 1 + gen_below(&g, (uint32_t)o->chunks);
		s->chunks = ARENA_ARRAY(&w->a, struct chunk_view, s->n);
		m.t = (int64_t)gen_below(&g, 2000000000) - 1000000000;
		for (size_t j = 0; j < s->n; j++) {
			s->chunks[j] = make_chunk(&m, o);
			count(&b, &s->chunks[j]);
		}
	}
	chunk_encoder_free(m.enc);
	*out = b;
}

static int find_str(const void *key, const void *elem)
{
	return str_cmp(*(const struct str *)key, *(const struct str *)elem);
}

const uint32_t *gen_ordinals(struct world *w, const struct gen_block *b,
			     const struct labels *l)
{
	uint32_t *v = ARENA_ARRAY(&w->a, uint32_t, 2 * l->n + 1);
	for (uint32_t i = 0; i < 2 * l->n; i++)
		v[i] = (uint32_t)vec_lower_bound(i % 2 ? &l->l[i / 2].value
						       : &l->l[i / 2].name,
						 b->symbol, b->n_symbols,
						 sizeof(*b->symbol), find_str);
	return v;
}

static int write_all(struct world *w, const struct gen_block *b, struct block_writer *bw)
{
	for (size_t i = 0; i < b->n_symbols; i++)
		if (block_writer_symbol(bw, &w->ctx, b->symbol[i], &w->e) < 0)
			return -1;
	for (size_t i = 0; i < b->n; i++) {
		const struct series_in *s = &b->series[i];
		if (block_writer_series(bw, &w->ctx, gen_ordinals(w, b, &s->labels),
					s->labels.n, s->chunks, s->n, &w->e) < 0)
			return -1;
	}
	return 0;
}

int gen_write(struct world *w, const struct gen_block *b,
	      const struct block_writer_opts *o, const struct write_limits *l,
	      struct block_writer_stats *stats)
{
	struct block_writer *bw;
	struct block_meta m = { .mint_ms = INT64_MIN / 2, .maxt_ms = INT64_MAX / 2 };
	struct ulid source = o->ulid;
	m.compaction.level = 1;
	m.compaction.sources = &source;
	m.compaction.n_sources = 1;
	if (block_writer_open(&w->ctx, o, &bw, &w->e) < 0)
		return -1;
	if (l)
		block_writer_limit(bw, *l);
	if (write_all(w, b, bw) == 0)
		return block_writer_finish(bw, &w->ctx, &m, false, stats, &w->e);
	block_writer_abort(bw);
	return -1;
}

static void check_series(const struct series_in *want, const struct series_in *got)
{
	cr_assert(labels_eq(want->labels, got->labels));
	cr_assert_eq(want->n, got->n);
	for (size_t j = 0; j < want->n; j++)
		cr_assert(chunk_view_eq(&want->chunks[j], &got->chunks[j]), "chunk %zu",
			  j);
}

void gen_check(struct world *w, const struct gen_block *b, const char *id)
{
	struct block *block;
	struct series_set *set;
	const struct series_in *got;
	struct block_series_req req = { .mint_ms = INT64_MIN,
					.maxt_ms = INT64_MAX,
					.aggrs = (1u << AGGR_N) - 1,
					.newer_encodings = true };
	cr_assert_eq(block_open_dir(&w->ctx, world_path(w, "%s/%s", w->dir, id), &block,
				    &w->e),
		     0, "%s", err_text(&w->e));
	cr_assert_eq(block->meta.stats.series, b->n);
	cr_assert_eq(block->meta.stats.chunks, b->chunks);
	cr_assert_eq(block->meta.stats.samples, b->samples);
	cr_assert_eq(block->meta.stats.float_samples, b->floats);
	cr_assert_eq(block->meta.stats.histogram_samples, b->hists);
	cr_assert_eq(idx_symbol_count(block->index), b->n_symbols);
	cr_assert_eq(block_series(block, &w->ctx, &req, &set, &w->e), 0, "%s",
		     err_text(&w->e));
	for (size_t i = 0; i < b->n; i++) {
		cr_assert_eq(series_set_next(set, &w->ctx, &got, &w->e), 1, "%s",
			     err_text(&w->e));
		check_series(&b->series[i], got);
	}
	cr_assert_eq(series_set_next(set, &w->ctx, &got, &w->e), 0);
	series_set_close(set);
	block_unref(block);
}
