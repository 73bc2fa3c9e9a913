/*
 * compact/lane.c - chunks decoded into columns.
 *
 * Histograms live in one of two arenas; when it has grown, those that still matter move to the other one.
 */
#include <stdlib.h>

#include "base/vec.h"
#include "compact/compact_int.h"

#define KEEP_BYTES (4u << 20)

void decoding_init(struct decoding *d, struct budget *b)
{
	*d = (struct decoding){ 0 };
	arena_init(&d->scratch, b);
	arena_init(&d->keep[0], b);
	arena_init(&d->keep[1], b);
	d->d = chunk_decoder_new(&d->scratch);
}

void decoding_deinit(struct decoding *d)
{
	arena_deinit(&d->scratch);
	arena_deinit(&d->keep[0]);
	arena_deinit(&d->keep[1]);
	free(d->gs);
}

void decoding_begin(struct decoding *d, bool generic, bool repeats)
{
	d->generic = generic;
	d->repeats = repeats;
	d->n_gs = 0;
	if (generic) {
		arena_reset(&d->keep[0]);
		arena_reset(&d->keep[1]);
	}
}

void lane_room(struct lane *l, size_t n)
{
	if (n <= l->cap && l->t)
		return;
	size_t cap = l->cap;
	l->t = vec_grow(l->t, &cap, n + 1, sizeof(*l->t));
	l->v = xreallocarray(l->v, cap, sizeof(*l->v));
	l->cap = cap;
}

void lane_deinit(struct lane *l)
{
	free(l->t);
	free(l->v);
	*l = (struct lane){ 0 };
}

static void add_column(struct decoding *d, const struct columns *c, size_t i, uint32_t k,
		       struct lane *out)
{
	if (d->n_gs == d->cap_gs)
		d->gs = vec_grow(d->gs, &d->cap_gs, d->n_gs + 1, sizeof(*d->gs));
	d->gs[d->n_gs] = (struct gsample){ .v = c->v ? c->v[i] : 0,
					   .h = c->v ? NULL : c->h[i],
					   .st = c->st_ms ? c->st_ms[i] : 0,
					   .chunk = d->serial,
					   .i = k };
	out->t[out->n] = c->t_ms[i];
	out->v[out->n++] = (double)d->n_gs++;
}

static int decode_generic(struct decoding *d, struct chunk_part p, struct lane *out,
			  struct err *e)
{
	struct columns c;
	uint32_t k = 0;
	int rc;

	d->serial++;
	chunk_decoder_keep(d->d, &d->keep[d->cur]);
	if (chunk_decoder_reset(d->d, p, e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(d->d, &c, e)) > 0) {
		lane_room(out, out->n + c.n);
		for (size_t i = 0; i < c.n; i++)
			add_column(d, &c, i, k++, out);
	}
	return rc;
}

/* Of samples with equal times the first stays. */
static void drop_doubles(struct lane *l)
{
	size_t k = 1;
	while (k < l->n && l->t[k] > l->t[k - 1])
		k++;
	for (size_t i = k; i < l->n; i++)
		if (l->t[i] > l->t[k - 1]) {
			l->t[k] = l->t[i];
			l->v[k++] = l->v[i];
		}
	l->n = MIN(l->n, k);
}

int lane_decode(struct decoding *d, struct ctx *ctx, struct chunk_part p, int64_t mint_ms,
		int64_t maxt_ms, struct lane *out, struct err *e)
{
	out->at = out->n = 0;
	if (d->generic) {
		if (decode_generic(d, p, out, e) < 0)
			return -1;
	} else {
		uint32_t cap = chunk_count(p);
		lane_room(out, cap);
		int n = (d->repeats ? chunk_xor_decode_any
				    : chunk_xor_decode)(p.p, p.n, out->t, out->v,
							out->cap, e);
		if (n < 0)
			return -1;
		out->n = (size_t)n;
		for (size_t i = 1; d->repeats && i < out->n; i++)
			if (out->t[i] < out->t[i - 1])
				return err_set(ctx, e, E_CORRUPT, "times go back");
	}
	return lane_settle(ctx, mint_ms, maxt_ms, out, e);
}

int lane_settle(struct ctx *ctx, int64_t mint_ms, int64_t maxt_ms, struct lane *out,
		struct err *e)
{
	drop_doubles(out);
	if (out->n && (out->t[0] < mint_ms || out->t[out->n - 1] > maxt_ms))
		return err_set(ctx, e, E_CORRUPT,
			       "samples outside of the times in the index");
	return 0;
}

bool decoding_wants_room(const struct decoding *d)
{
	return d->generic && d->keep[d->cur].total > KEEP_BYTES;
}

void decoding_collect(struct decoding *d, struct lane *const *lanes, size_t n)
{
	struct arena *to = &d->keep[d->cur ^ 1];
	size_t live = 0, k = 0;

	for (size_t i = 0; i < n; i++)
		live += lanes[i]->n - lanes[i]->at;
	struct gsample *gs = xreallocarray(NULL, live + 1, sizeof(*gs));
	arena_reset(to);
	for (size_t i = 0; i < n; i++)
		for (size_t s = lanes[i]->at; s < lanes[i]->n; s++) {
			gs[k] = d->gs[(size_t)lanes[i]->v[s]];
			if (gs[k].h)
				gs[k].h = hist_dup(to, gs[k].h);
			lanes[i]->v[s] = (double)k++;
		}
	free(d->gs);
	d->gs = gs;
	d->cap_gs = live + 1;
	d->n_gs = live;
	arena_reset(&d->keep[d->cur]);
	d->cur ^= 1;
}

/* ---- equality ---- */

struct side { /* buckets that hold something, in rising order */
	const struct hist_span *s;
	const double *v;
	uint32_t n, i, in, k;
	int64_t index;
	bool on;
};

static void side_settle(struct side *w)
{
	for (;;) {
		while (w->i < w->n && w->in == w->s[w->i].length) {
			w->i++;
			w->in = 0;
			if (w->i < w->n)
				w->index += w->s[w->i].offset;
		}
		w->on = w->i < w->n;
		if (!w->on || w->v[w->k] != 0)
			return;
		w->k++;
		w->in++;
		w->index++;
	}
}

static bool side_same(const struct hist_span *s, uint32_t n, const double *v,
		      const struct hist_span *s2, uint32_t n2, const double *v2)
{
	struct side a = { .s = s, .v = v, .n = n, .index = n ? s[0].offset : 0 };
	struct side b = { .s = s2, .v = v2, .n = n2, .index = n2 ? s2[0].offset : 0 };
	for (;;) {
		side_settle(&a);
		side_settle(&b);
		if (!a.on || !b.on)
			return a.on == b.on;
		if (a.index != b.index || f64_bits(a.v[a.k]) != f64_bits(b.v[b.k]))
			return false;
		a.k++, a.in++, a.index++;
		b.k++, b.in++, b.index++;
	}
}

bool hist_same(const struct hist *a, const struct hist *b)
{
	if (f64_bits(a->sum) != f64_bits(b->sum) || a->is_int != b->is_int)
		return false;
	if (hist_is_stale(a)) /* nothing else of it is kept */
		return true;
	if (a->schema != b->schema || a->n_bounds != b->n_bounds ||
	    f64_bits(a->zero_threshold) != f64_bits(b->zero_threshold) ||
	    f64_bits(a->zero_count) != f64_bits(b->zero_count) ||
	    f64_bits(a->count) != f64_bits(b->count))
		return false;
	if (a->n_bounds &&
	    memcmp(a->bounds, b->bounds, a->n_bounds * sizeof(double)) != 0)
		return false;
	return side_same(a->pos_spans, a->n_pos_spans, a->pos, b->pos_spans,
			 b->n_pos_spans, b->pos) &&
	       side_same(a->neg_spans, a->n_neg_spans, a->neg, b->neg_spans,
			 b->n_neg_spans, b->neg);
}

bool gsample_eq(const struct gsample *a, const struct gsample *b)
{
	if (!a->h != !b->h || a->st != b->st)
		return false;
	return a->h ? hist_same(a->h, b->h) : f64_bits(a->v) == f64_bits(b->v);
}
