/*
 * test/promqltest/storage.c - the test storage: samples in memory, shown to the engine as the chunks that Prometheus' head
 * would have made of them, with start timestamps (XOR2, float histograms with starts).
 */
#include "promqltest.h"

#include <math.h>
#include <stdlib.h>

#include "base/vec.h"
#include "tsdb/chunk/chunk.h"

struct sample {
	int64_t t_ms, st_ms;
	double v;
	const struct hist *h;
};
struct series {
	struct labels labels;
	struct sample *s;
	size_t n, cap;
	struct chunk_view *chunk;
	size_t n_chunks, cap_chunks;
	bool encoded;
};
struct storage {
	struct store store;
	struct arena arena; /* labels, histograms, chunks */
	struct series *series;
	size_t n, cap;
};

static void free_series(struct series *s)
{
	free(s->s);
	free(s->chunk);
}

void storage_clear(struct storage *s)
{
	for (size_t i = 0; i < s->n; i++)
		free_series(&s->series[i]);
	s->n = 0;
	arena_reset(&s->arena);
}

void storage_free(struct storage *s)
{
	storage_clear(s);
	free(s->series);
	arena_deinit(&s->arena);
	free(s);
}

static struct series *series_of(struct storage *s, struct labels ls)
{
	size_t i = 0;
	while (i < s->n && labels_cmp(s->series[i].labels, ls) < 0)
		i++;
	if (i < s->n && labels_eq(s->series[i].labels, ls))
		return &s->series[i];
	if (s->n == s->cap)
		s->series = vec_grow(s->series, &s->cap, s->n + 1, sizeof(*s->series));
	memmove(s->series + i + 1, s->series + i, (s->n - i) * sizeof(*s->series));
	s->n++;
	s->series[i] = (struct series){ .labels = labels_dup(&s->arena, ls) };
	return &s->series[i];
}

/* The stale marker of a series of histograms is a histogram. */
static const struct hist *stale_hist(struct storage *s, const struct series *r, double v)
{
	if (!is_stale_nan(v) || r->n == 0 || !r->s[r->n - 1].h)
		return NULL;
	struct hist *h = ARENA_NEW(&s->arena, struct hist);
	h->sum = v;
	return h;
}

int storage_add_sample(struct storage *s, struct labels ls, int64_t t_ms,
		       const struct slot *v, int64_t st_ms, struct err *e)
{
	struct series *r = series_of(s, ls);
	if (r->n && r->s[r->n - 1].t_ms >= t_ms)
		return err_set(NULL, e, E_INVALID, "out of order sample at %lld",
			       (long long)t_ms);
	const struct hist *h = v->h ? hist_dup(&s->arena, v->h) : stale_hist(s, r, v->v);
	if (r->n == r->cap)
		r->s = vec_grow(r->s, &r->cap, r->n + 1, sizeof(*r->s));
	r->s[r->n++] = (struct sample){ t_ms, st_ms, v->v, h };
	r->encoded = false;
	return 0;
}

int storage_add(struct storage *s, const struct series_text *t, int64_t step_ms,
		const struct slot *starts, struct err *e)
{
	(void)series_of(s, t->labels);
	for (size_t i = 0; i < t->n; i++) {
		int64_t at = (int64_t)i * step_ms;
		bool started = starts && !starts[i].omitted;
		if (!t->slot[i].omitted &&
		    storage_add_sample(s, t->labels, at, &t->slot[i],
				       started ? at + (int64_t)starts[i].v : 0, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- chunks ---- */

static int end_chunk(struct storage *s, struct series *r, struct chunk_encoder *w,
		     size_t from, size_t to)
{
	struct chunk_part p = chunk_encoder_part(w);
	uint8_t *bytes = arena_alloc(&s->arena, p.n + 1);
	memcpy(bytes, p.p, p.n);
	p.p = bytes;
	if (r->n_chunks == r->cap_chunks)
		r->chunk = vec_grow(r->chunk, &r->cap_chunks, r->n_chunks + 1,
				    sizeof(*r->chunk));
	struct chunk_view *c = &r->chunk[r->n_chunks++];
	*c = (struct chunk_view){ .mint_ms = r->s[from].t_ms,
				  .maxt_ms = r->s[to - 1].t_ms };
	c->part[AGGR_RAW] = p;
	return 0;
}

/* 1: it does not fit the chunk that is open. */
static int append(struct chunk_encoder *w, const struct sample *s, struct err *e)
{
	chunk_encoder_start(w, s->st_ms);
	if (s->h)
		return chunk_encoder_hist(w, s->t_ms, s->h, e);
	return chunk_encoder_float(w, s->t_ms, s->v, e);
}

static int encode(struct storage *s, struct series *r, struct chunk_encoder *w,
		  struct err *e)
{
	size_t from = 0;
	r->n_chunks = 0;
	for (size_t i = 0; i < r->n; i++) {
		enum chunk_enc enc = r->s[i].h ? CHUNK_FLOATHIST_ST : CHUNK_XOR2;
		bool other = i > 0 && !r->s[i].h != !r->s[i - 1].h;
		bool full = i > 0 && !other && i - from == CHUNK_SAMPLES;
		if (i > 0 && (other || full))
			end_chunk(s, r, w, from, i);
		if (i == 0 || other)
			chunk_encoder_begin(w, enc);
		else if (full)
			chunk_encoder_next(w, enc);
		if (other || full)
			from = i;
		int rc = append(w, &r->s[i], e);
		if (rc == 1) {
			end_chunk(s, r, w, from, i);
			from = i;
			chunk_encoder_begin(w, enc);
			rc = append(w, &r->s[i], e);
		}
		if (rc < 0)
			return -1;
	}
	if (r->n)
		end_chunk(s, r, w, from, r->n);
	r->encoded = true;
	return 0;
}

static int encode_all(struct storage *s, struct err *e)
{
	struct chunk_encoder *w = chunk_encoder_new();
	int rc = 0;
	for (size_t i = 0; i < s->n && rc == 0; i++)
		if (!s->series[i].encoded)
			rc = encode(s, &s->series[i], w, e);
	chunk_encoder_free(w);
	return rc;
}

/* ---- the store ---- */

struct result_set {
	struct series_set base;
	struct series_set *of;
	struct series_in *v;
};

static int set_next(struct series_set *base, struct ctx *ctx,
		    const struct series_in **out, struct err *e)
{
	return series_set_next(((struct result_set *)base)->of, ctx, out, e);
}

static void set_close(struct series_set *base)
{
	struct result_set *s = (struct result_set *)base;
	series_set_close(s->of);
	free(s->v);
	free(s);
}

static const struct series_set_ops set_ops = { set_next, set_close };

static int series(struct store *base, struct ctx *ctx, const struct store_series_req *req,
		  struct series_set **out, struct err *e)
{
	struct storage *s = CONTAINER_OF(base, struct storage, store);
	struct result_set *set = xcalloc(1, sizeof(*set));
	size_t n = 0;
	(void)ctx;
	set->base.ops = &set_ops;
	set->v = xcalloc(s->n + 1, sizeof(*set->v));
	if (encode_all(s, e) < 0) {
		free(set->v);
		free(set);
		return -1;
	}
	for (size_t i = 0; i < s->n; i++) {
		struct series *r = &s->series[i];
		size_t from = 0, to = r->n_chunks;
		if (!matcher_labels(req->matchers, req->n_matchers, r->labels))
			continue;
		while (from < to && r->chunk[from].maxt_ms < req->mint_ms)
			from++;
		while (to > from && r->chunk[to - 1].mint_ms > req->maxt_ms)
			to--;
		if (to > from)
			set->v[n++] = (struct series_in){ r->labels, r->chunk + from,
							  to - from };
	}
	set->of = series_set_of(set->v, n);
	*out = &set->base;
	return 0;
}

static const struct store_ops ops = { NULL, series, NULL, NULL };

struct storage *storage_new(void)
{
	struct storage *s = xcalloc(1, sizeof(*s));
	s->store.ops = &ops;
	arena_init(&s->arena, NULL);
	return s;
}

struct store *storage_store(struct storage *s)
{
	return &s->store;
}

/* ---- classic histograms as histograms with custom buckets ---- */

struct classic_bucket {
	double le, count;
};
struct classic { /* one base series at one time */
	struct labels labels;
	int64_t t_ms;
	struct classic_bucket *b;
	size_t n, cap;
	double sum, count;
	bool has_count;
};
struct classics {
	struct classic *c;
	size_t n, cap;
};

static struct classic *classic_of(struct classics *all, struct labels ls, int64_t t_ms)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->c[i].t_ms == t_ms && labels_eq(all->c[i].labels, ls))
			return &all->c[i];
	if (all->n == all->cap)
		all->c = vec_grow(all->c, &all->cap, all->n + 1, sizeof(*all->c));
	all->c[all->n] = (struct classic){ .labels = ls, .t_ms = t_ms };
	return &all->c[all->n++];
}

static void add_bucket(struct classic *c, double le, double count)
{
	size_t i = 0;
	while (i < c->n && c->b[i].le < le)
		i++;
	if (i < c->n && c->b[i].le == le)
		return; /* the first one counts */
	if (c->n == c->cap)
		c->b = vec_grow(c->b, &c->cap, c->n + 1, sizeof(*c->b));
	memmove(c->b + i + 1, c->b + i, (c->n - i) * sizeof(*c->b));
	c->b[i] = (struct classic_bucket){ le, count };
	c->n++;
}

enum suffix { SUFFIX_NONE, SUFFIX_BUCKET, SUFFIX_SUM, SUFFIX_COUNT };

static enum suffix suffix_of(struct str *name)
{
	static const char *const text[] = { "", "_bucket", "_sum", "_count" };
	for (int i = SUFFIX_BUCKET; i <= SUFFIX_COUNT; i++)
		if (str_has_suffix(*name, str_of(text[i]))) {
			*name = str_n(name->p, name->n - strlen(text[i]));
			return (enum suffix)i;
		}
	return SUFFIX_NONE;
}

/* Without le, under the base name. */
static struct labels base_labels(struct arena *a, struct labels ls, struct str name)
{
	struct label *l = ARENA_ARRAY(a, struct label, ls.n);
	const struct str le = STR("le");
	struct labels out = labels_drop(l, ls, &le, 1);
	for (uint32_t i = 0; i < out.n; i++)
		if (str_eq(l[i].name, LABEL_NAME))
			l[i].value = name;
	return out;
}

static void gather(struct classics *all, struct arena *a, const struct series_text *t,
		   int64_t step_ms)
{
	struct str name = labels_get(t->labels, LABEL_NAME);
	enum suffix kind = suffix_of(&name);
	double le = 0;
	if (kind == SUFFIX_NONE ||
	    (kind == SUFFIX_BUCKET &&
	     (!str_to_f64(labels_get(t->labels, STR("le")), &le) || isnan(le))))
		return;
	struct labels base = base_labels(a, t->labels, name);
	for (size_t i = 0; i < t->n; i++) {
		const struct slot *v = &t->slot[i];
		if (v->omitted || v->h)
			continue;
		struct classic *c = classic_of(all, base, (int64_t)i * step_ms);
		if (kind == SUFFIX_BUCKET)
			add_bucket(c, le, v->v);
		else if (kind == SUFFIX_SUM)
			c->sum = v->v;
		else
			c->count = v->v;
		c->has_count |= kind == SUFFIX_COUNT;
	}
}

static int convert(struct arena *a, struct classic *c, struct hist *h, struct err *e)
{
	if (!c->has_count && c->n)
		c->count = c->b[c->n - 1].count;
	if (c->n == 0 || !isinf(c->b[c->n - 1].le))
		add_bucket(c, INFINITY, c->count);
	double *pos = ARENA_ARRAY(a, double, c->n),
	       *bounds = ARENA_ARRAY(a, double, c->n);
	struct hist_span *span = ARENA_NEW(a, struct hist_span);
	double last = 0;
	for (size_t i = 0; i < c->n; i++) {
		pos[i] = c->b[i].count - last;
		last = c->b[i].count;
		bounds[i] = c->b[i].le;
		if (pos[i] < 0)
			return err_set(NULL, e, E_INVALID,
				       "bucket counts are not cumulative");
	}
	if (c->count != last)
		return err_set(NULL, e, E_INVALID, "count %g, but buckets end with %g",
			       c->count, last);
	*span = (struct hist_span){ 0, (uint32_t)c->n };
	*h = (struct hist){ .schema = HIST_CUSTOM,
			    .count = c->count,
			    .sum = c->sum,
			    .pos_spans = span,
			    .n_pos_spans = 1,
			    .pos = pos,
			    .n_pos = (uint32_t)c->n,
			    .bounds = bounds,
			    .n_bounds = (uint32_t)c->n - 1 };
	return 0;
}

static int by_time(const void *a, const void *b, void *arg)
{
	const struct classic *x = a, *y = b;
	(void)arg;
	return (x->t_ms > y->t_ms) - (x->t_ms < y->t_ms);
}

int nhcb_add(struct storage *s, const struct series_text *t, size_t n, int64_t step_ms,
	     struct err *e)
{
	struct classics all = { 0 };
	int rc = 0;
	for (size_t i = 0; i < n; i++)
		gather(&all, &s->arena, &t[i], step_ms);
	vec_sort(all.c, all.n, sizeof(*all.c), by_time, NULL);
	for (size_t i = 0; i < all.n; i++) {
		struct hist h;
		if (rc == 0)
			rc = convert(&s->arena, &all.c[i], &h, e);
		if (rc == 0)
			rc = storage_add_sample(s, all.c[i].labels, all.c[i].t_ms,
						&(struct slot){ .h = &h }, 0, e);
		free(all.c[i].b);
	}
	free(all.c);
	return rc;
}
