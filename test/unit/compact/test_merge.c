#include "support/tst.h"

#include <stdlib.h>

#include "base/heap.h"
#include "base/vec.h"
#include "unit/compact/made.h"

/*
 * Random blocks merged and compared with a plain model: samples of all inputs in one array. The penalty rule is written
 * out there as Thanos has it, chunk by chunk over whole arrays.
 */
#define INPUTS 4
#define SERIES 4
#define CHUNKS 8

struct rnd {
	uint64_t s;
};
static uint32_t draw(struct rnd *r, uint32_t n)
{
	uint64_t z = r->s += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	return (uint32_t)((z ^ z >> 27) >> 33) % n;
}

struct sample {
	int64_t t;
	uint64_t v; /* bits */
};
struct list {
	struct sample *v;
	size_t n, cap;
};
static void add(struct list *l, int64_t t, double v)
{
	if (l->n == l->cap)
		l->v = vec_grow(l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = (struct sample){ t, f64_bits(v) };
}

enum how {
	APART,	  /* inputs one behind the other */
	DISTINCT, /* they overlap, no two samples at one time */
	EQUAL,	  /* times may be equal, values then are */
	CONFLICT, /* they may differ */
	HOWS
};
struct input_model {
	struct made_series series[SERIES];
	size_t n;
	int64_t mint, maxt;
};
struct model {
	enum how how;
	struct input_model in[INPUTS];
	size_t n;
};

static double value_at(struct rnd *r, enum how how, size_t series, int64_t t)
{
	struct rnd fixed = { (uint64_t)t * 31 + series };
	struct rnd *x = how == CONFLICT ? r : &fixed;
	switch (draw(x, 8)) {
	case 0: return f64_of_bits(STALE_NAN_BITS);
	case 1: return f64_of_bits(NORMAL_NAN_BITS + draw(x, 3));
	case 2: return -0.0;
	case 3: return (double)draw(x, 1000000) / 7;
	default: return (double)draw(x, 4);
	}
}

/* Times on a grid, with gaps; chunks of any length, some of one sample. */
static void random_series(struct rnd *r, struct model *m, size_t input, size_t k,
			  struct made_series *s)
{
	int64_t step = 15000, t = m->in[input].mint + draw(r, 5) * step;
	size_t n = 1 + draw(r, CHUNKS - 1);

	if (m->how == DISTINCT)
		t += 1 + (int64_t)input;
	s->chunk = xcalloc(CHUNKS, sizeof(*s->chunk));
	s->n = 0;
	for (size_t i = 0; i < n; i++) {
		struct made_chunk *c = &s->chunk[s->n];
		size_t len = draw(r, 4) ? 1 + draw(r, 130) : 1;
		while (c->n < len && t < m->in[input].maxt) {
			c->t[c->n] = t;
			c->v[c->n++] = value_at(r, m->how, k, t);
			t += step * (draw(r, 10) ? 1 : 1 + draw(r, 12));
		}
		s->n += c->n > 0;
		t += step * (draw(r, 4) ? 0 : draw(r, 300));
	}
}

static void random_model(struct rnd *r, struct model *m)
{
	static const char *const names[SERIES] = { "t", "u", "v", "w" };

	*m = (struct model){ .how = draw(r, HOWS), .n = 1 + draw(r, INPUTS) };
	for (size_t i = 0; i < m->n; i++) {
		struct input_model *in = &m->in[i];
		in->mint = m->how == APART ? (int64_t)i * 7200000 : 0;
		in->maxt = in->mint + 7200000;
		for (size_t k = 0; k < SERIES; k++) {
			if (draw(r, 5) == 0)
				continue;
			struct made_series *s = &in->series[in->n];
			s->value = str_of(names[k]);
			random_series(r, m, i, k, s);
			if (s->n)
				in->n++;
			else
				free(s->chunk);
		}
	}
}

/* ---- what must come of it ---- */

struct piece {
	const struct made_chunk *c;
	size_t input;
};

static int cmp_pieces(const void *a, const void *b, void *arg)
{
	const struct piece *x = a, *y = b;
	int64_t xe = x->c->t[x->c->n - 1], ye = y->c->t[y->c->n - 1];
	(void)arg;
	if (x->c->t[0] != y->c->t[0])
		return x->c->t[0] < y->c->t[0] ? -1 : 1;
	return (xe > ye) - (xe < ye);
}

static size_t pieces_of(const struct model *m, struct str value, struct piece *out)
{
	size_t n = 0;
	for (size_t i = 0; i < m->n; i++)
		for (size_t k = 0; k < m->in[i].n; k++)
			if (str_eq(m->in[i].series[k].value, value))
				for (size_t c = 0; c < m->in[i].series[k].n; c++)
					out[n++] = (struct piece){
						&m->in[i].series[k].chunk[c], i
					};
	vec_sort(out, n, sizeof(*out), cmp_pieces, NULL);
	return n;
}

static int cmp_samples(const void *a, const void *b, void *arg)
{
	int64_t x = ((const struct sample *)a)->t, y = ((const struct sample *)b)->t;
	(void)arg;
	return (x > y) - (x < y);
}

static bool same_chunk(const struct made_chunk *a, const struct made_chunk *b)
{
	return a->n == b->n && memcmp(a->t, b->t, a->n * 8) == 0 &&
	       memcmp(a->v, b->v, a->n * 8) == 0;
}

/* Thanos' iterator over two runs. */
static struct list two_merged(const struct list *a, const struct made_chunk *b)
{
	struct list out = { 0 };
	size_t i = 0, k = 0;
	int64_t last = INT64_MIN, pen_a = 0, pen_b = 0;

	for (;;) {
		if (last != INT64_MIN) {
			while (i < a->n && a->v[i].t < last + 1 + pen_a)
				i++;
			while (k < b->n && b->t[k] < last + 1 + pen_b)
				k++;
		}
		if (i == a->n && k == b->n)
			return out;
		bool use_a = k == b->n || (i < a->n && a->v[i].t <= b->t[k]);
		int64_t t = use_a ? a->v[i].t : b->t[k];
		int64_t pen = last == INT64_MIN ? 5000 : 2 * (t - last);
		if (i < a->n && k < b->n) {
			pen_a = use_a ? 0 : pen;
			pen_b = use_a ? pen : 0;
		} else if (use_a) {
			pen_a = 0;
		} else {
			pen_b = 0;
		}
		add(&out, t, use_a ? f64_of_bits(a->v[i].v) : b->v[k]);
		last = t;
	}
}

/* ---- in which order Thanos takes chunks of equal times ---- */

/* Inputs by the series they stand at. */
struct standing {
	const struct model *m;
	size_t at[INPUTS];
	uint32_t heap[INPUTS];
	size_t n;
};

static bool stands_before(const void *a, const void *b, void *arg)
{
	const struct standing *s = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return str_cmp(s->m->in[x].series[s->at[x]].value,
		       s->m->in[y].series[s->at[y]].value) < 0;
}

static void stand(struct standing *s, uint32_t i)
{
	if (s->at[i] == s->m->in[i].n)
		return;
	s->heap[s->n++] = i;
	heap_push(s->heap, s->n, &(struct heap_ops){ stands_before, s, 4 });
}

/* Those that stand at this series, in the heap's order. */
static size_t take_series(struct standing *s, struct str value, uint32_t *out)
{
	size_t n = 0;
	while (s->n &&
	       str_eq(s->m->in[s->heap[0]].series[s->at[s->heap[0]]].value, value)) {
		heap_pop(s->heap, s->n, &(struct heap_ops){ stands_before, s, 4 });
		out[n++] = s->heap[--s->n];
	}
	return n;
}

/* What is left of the chunks of an input, or of those that a run became (of these the times only). */
struct left {
	const struct made_chunk *c;
	struct made_chunk *made;
	size_t at, n;
};
struct lefts {
	struct left v[INPUTS + 1];
	uint32_t heap[INPUTS + 1];
	size_t n;
};

static bool begins_before(const void *a, const void *b, void *arg)
{
	const struct left *v = arg, *x = &v[*(const uint32_t *)a],
			  *y = &v[*(const uint32_t *)b];
	const struct made_chunk *p = &x->c[x->at], *q = &y->c[y->at];
	return p->t[0] != q->t[0] ? p->t[0] < q->t[0] : p->t[p->n - 1] < q->t[q->n - 1];
}

static void put_left(struct lefts *l, uint32_t i)
{
	if (l->v[i].at == l->v[i].n)
		return;
	l->heap[l->n++] = i;
	heap_push(l->heap, l->n, &(struct heap_ops){ begins_before, l->v, 4 });
}

static const struct made_chunk *take_left(struct lefts *l, bool *made)
{
	heap_pop(l->heap, l->n, &(struct heap_ops){ begins_before, l->v, 4 });
	uint32_t i = l->heap[--l->n];
	const struct made_chunk *c = &l->v[i].c[l->v[i].at++];
	*made = l->v[i].made != NULL;
	put_left(l, i);
	return c;
}

/* The chunks of 120 that a run is written as, but for the first, which is out already. */
static void put_made(struct lefts *l, struct left *to, const struct list *run)
{
	size_t n = (run->n + 119) / 120;
	free(to->made);
	struct made_chunk *c = to->made = xcalloc(n + 1, sizeof(*c));
	for (size_t i = 0; i < n; i++)
		c[i] = (struct made_chunk){
			.n = 2,
			.t = { run->v[i * 120].t,
			       run->v[MIN((i + 1) * 120, run->n) - 1].t }
		};
	*to = (struct left){ .c = c, .made = c, .at = 1, .n = n };
	put_left(l, (uint32_t)(to - l->v));
}

static struct list by_penalty(struct standing *s, const uint32_t *in, size_t n_in)
{
	struct list all = { 0 };
	struct lefts l = { 0 };

	for (size_t i = 0; i < n_in; i++) {
		const struct made_series *x = &s->m->in[in[i]].series[s->at[in[i]]];
		l.v[i] = (struct left){ .c = x->chunk, .n = x->n };
		put_left(&l, (uint32_t)i);
	}
	while (l.n) {
		struct list run = { 0 };
		const struct made_chunk *before = NULL;
		int64_t end = 0;
		size_t n = 0;
		bool made = false;
		while (l.n &&
		       (!before || l.v[l.heap[0]].c[l.v[l.heap[0]].at].t[0] <= end)) {
			const struct made_chunk *c = take_left(&l, &made);
			if (made)
				break;
			end = before ? MAX(end, c->t[c->n - 1]) : c->t[c->n - 1];
			if (before && same_chunk(before, c))
				continue;
			struct list more = two_merged(&run, c);
			free(run.v);
			run = more;
			before = c;
			n++;
		}
		for (size_t k = 0; k < run.n; k++)
			add(&all, run.v[k].t, f64_of_bits(run.v[k].v));
		if (n > 1)
			put_made(&l, &l.v[n_in], &run);
		free(run.v);
	}
	free(l.v[n_in].made);
	return all;
}

static struct list all_samples(const struct piece *p, size_t n)
{
	struct list all = { 0 };
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < p[i].c->n; k++)
			add(&all, p[i].c->t[k], p[i].c->v[k]);
	vec_sort(all.v, all.n, sizeof(*all.v), cmp_samples, NULL);
	return all;
}

/* Samples of equal times next to each other: one of them must have been kept. */
static void check_union(const struct list *all, const struct list *got)
{
	size_t k = 0;
	for (size_t i = 0; i < all->n; k++) {
		bool found = false;
		int64_t t = all->v[i].t;
		cr_assert(k < got->n && got->v[k].t == t, "sample %zu", k);
		for (; i < all->n && all->v[i].t == t; i++)
			found |= all->v[i].v == got->v[k].v;
		cr_assert(found, "value at %lld", (long long)t);
	}
	cr_assert_eq(k, got->n);
}

static void check_same(const struct list *want, const struct list *got)
{
	cr_assert_eq(want->n, got->n, "%zu samples, not %zu", got->n, want->n);
	for (size_t i = 0; i < want->n; i++)
		cr_assert(want->v[i].t == got->v[i].t && want->v[i].v == got->v[i].v,
			  "sample %zu: at %lld, not %lld", i, (long long)got->v[i].t,
			  (long long)want->v[i].t);
}

/* ---- what came of it ---- */

static void read_chunks(struct world *w, const struct series_in *s, struct list *out)
{
	for (size_t i = 0; i < s->n; i++) {
		int64_t t[200];
		double v[200];
		struct chunk_part p = s->chunks[i].part[AGGR_RAW];
		int n = chunk_xor_decode(p.p, p.n, t, v, 200, &w->f.e);
		cr_assert(n > 0 && n <= 130);
		for (int k = 0; k < n; k++)
			add(out, t[k], v[k]);
	}
}

static void check_block(struct world *w, const struct model *m)
{
	static const struct str names[] = {
		{ "t", 1 }, { "u", 1 }, { "v", 1 }, { "w", 1 }
	};
	struct block *b = open_block(&w->f, w->out);
	struct series_set *set;
	const struct series_in *s;
	struct standing order = { .m = m };

	for (uint32_t i = 0; i < m->n; i++)
		stand(&order, i);
	cr_assert_eq(block_series(b, &w->f.ctx, &req_all, &set, &w->f.e), 0);
	for (size_t k = 0; k < SERIES; k++) {
		uint32_t in[INPUTS];
		size_t n_in = take_series(&order, names[k], in);
		struct piece p[INPUTS * CHUNKS];
		struct list got = { 0 }, want;
		size_t n = pieces_of(m, names[k], p);
		if (n == 0)
			continue;
		cr_assert_eq(series_set_next(set, &w->f.ctx, &s, &w->f.e), 1);
		cr_assert(str_eq(s->labels.l[0].value, names[k]));
		read_chunks(w, s, &got);
		if (w->o.overlap == COMPACT_PENALTY && m->how != APART) {
			want = by_penalty(&order, in, n_in);
			check_same(&want, &got);
		} else {
			want = all_samples(p, n);
			check_union(&want, &got);
		}
		free(want.v);
		free(got.v);
		for (size_t i = 0; i < n_in; i++) {
			order.at[in[i]]++;
			stand(&order, in[i]);
		}
	}
	cr_assert_eq(series_set_next(set, &w->f.ctx, &s, &w->f.e), 0);
	series_set_close(set);
	block_unref(b);
}

static void try_model(struct rnd *r, uint64_t seed)
{
	struct model m;
	struct world w;
	size_t made = 0;

	random_model(r, &m);
	world_begin(&w);
	for (size_t i = 0; i < m.n; i++)
		if (m.in[i].n) {
			made_block(&w, m.in[i].mint, m.in[i].maxt, m.in[i].series,
				   m.in[i].n);
			made++;
		}
	w.o.read_ahead = draw(r, 2) ? 0 : 1 + draw(r, 300);
	for (int mode = COMPACT_REFUSE; mode <= COMPACT_PENALTY && made; mode++) {
		if (mode == COMPACT_REFUSE && m.how != APART)
			continue;
		w.o.overlap = mode;
		cr_assert_eq(world_compact(&w), 0, "seed %llu: %s",
			     (unsigned long long)seed, err_text(&w.f.e));
		check_block(&w, &m);
	}
	for (size_t i = 0; i < m.n; i++)
		for (size_t k = 0; k < m.in[i].n; k++)
			free(m.in[i].series[k].chunk);
	world_end(&w);
}

Test(compact_merge, random_blocks_as_the_model_says)
{
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct rnd r = { seed };
		try_model(&r, seed);
	}
}

static void keeps(const struct made_chunk *a, const struct made_chunk *b,
		  const double *want, size_t n)
{
	struct made_chunk x = *a, y = *b;
	struct made_series sx = { STR("x"), &x, 1 }, sy = { STR("x"), &y, 1 };
	struct list got = { 0 };
	const struct series_in *s;
	struct series_set *set;
	struct world w;

	world_begin(&w);
	made_block(&w, 0, 100, &sx, 1);
	made_block(&w, 0, 100, &sy, 1);
	w.o.overlap = COMPACT_ONE_TO_ONE;
	world_must_compact(&w);
	struct block *blk = open_block(&w.f, w.out);
	cr_assert_eq(block_series(blk, &w.f.ctx, &req_all, &set, &w.f.e), 0);
	cr_assert_eq(series_set_next(set, &w.f.ctx, &s, &w.f.e), 1);
	read_chunks(&w, s, &got);
	cr_assert_eq(got.n, n);
	for (size_t i = 0; i < n; i++)
		cr_assert(f64_of_bits(got.v[i].v) == want[i], "sample %zu: %g", i,
			  f64_of_bits(got.v[i].v));
	free(got.v);
	series_set_close(set);
	block_unref(blk);
	world_end(&w);
}

/* As a real Thanos keeps them (1:1). */
Test(compact_merge, of_different_samples_of_one_time_the_one_prometheus_keeps)
{
	struct made_chunk a = { .n = 4, .t = { 0, 10, 20, 30 }, .v = { 1, 2, 3, 4 } };
	struct made_chunk b = { .n = 4, .t = { 0, 10, 20, 40 }, .v = { 5, 6, 7, 8 } };
	struct made_chunk later = { .n = 3, .t = { 10, 20, 40 }, .v = { 6, 7, 8 } };

	keeps(&a, &b, (const double[]){ 1, 2, 3, 4, 8 }, 5);
	keeps(&b, &a, (const double[]){ 1, 2, 3, 4, 8 }, 5);
	keeps(&a, &later, (const double[]){ 1, 6, 7, 4, 8 }, 5);
	keeps(&later, &a, (const double[]){ 1, 6, 7, 4, 8 }, 5);
}
