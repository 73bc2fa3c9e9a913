/*
 * downsample/hist_sums.c - native histograms of one batch: count, sum and counter of each window, and the chunks of them.
 *
 * All histograms are brought to one schema. The sum of a window is a gauge; the counter adds up increases from the batch's first
 * histogram on. Both are float histograms; there is no min and max. Histograms of one chunk share their layout, so increases mostly
 * are two columns subtracted.
 *
 * If the first histogram of a batch is a gauge, so are the batch's counters. COMPAT: from 5m to 1h Thanos lets histograms decide
 * one by one, which differs if some are brought to another schema.
 *
 * COMPAT: where a window's histogram cannot go into the chunk (another zero threshold, other custom bounds, a counter that fell),
 * Thanos forgets the windows before it; here the AggrChunk ends and another one begins.
 */
#include "downsample/hist_int.h"

#include <stdlib.h>

#include "base/vec.h"

/* ---- sums ---- */

static bool same_spans(const struct hist_span *a, uint32_t na, const struct hist_span *b,
		       uint32_t nb)
{
	return na == nb && (na == 0 || memcmp(a, b, na * sizeof *a) == 0);
}

static bool same_layout(const struct hist *a, const struct hist *b)
{
	if (a->schema != b->schema || a->n_pos != b->n_pos || a->n_neg != b->n_neg ||
	    a->n_bounds != b->n_bounds || a->zero_threshold != b->zero_threshold)
		return false;
	for (uint32_t i = 0; i < a->n_bounds; i++)
		if (a->bounds[i] != b->bounds[i])
			return false;
	return same_spans(a->pos_spans, a->n_pos_spans, b->pos_spans, b->n_pos_spans) &&
	       same_spans(a->neg_spans, a->n_neg_spans, b->neg_spans, b->n_neg_spans);
}

static bool side_clear(const struct hist_span *s, uint32_t n, const struct hist *h)
{
	return n == 0 || hist_bound(s->offset, h->schema) > h->zero_threshold;
}

/* Buckets within the zero bucket are not added: see hist_math.c. */
static bool clear_of_zero(const struct hist *h)
{
	return h->schema == HIST_CUSTOM || h->zero_threshold == 0 ||
	       (side_clear(h->pos_spans, h->n_pos_spans, h) &&
		side_clear(h->neg_spans, h->n_neg_spans, h));
}

static struct hist *reduced(struct arena *a, const struct hist *h, int32_t schema)
{
	struct hist_work w;
	struct hist_acc x;
	hist_work_init(&w, a);
	hist_acc_init(&x, &w);
	hist_acc_set(&x, h);
	hist_acc_reduce(&x, schema);
	return hist_acc_take(&x, false);
}

static uint8_t hint_of_sum(uint8_t a, uint8_t b)
{
	if (a == HIST_GAUGE || b == HIST_GAUGE)
		return HIST_GAUGE;
	return a == b ? a : HIST_UNKNOWN;
}

/* h - prev, both of one layout. */
static void subtract(struct hist_run *r, const struct hist *h, struct hist *out)
{
	struct downsampler *d = r->d;
	const struct hist *p = r->prev;
	size_t n = (size_t)h->n_pos + h->n_neg;
	if (n > d->delta_cap || !d->delta)
		d->delta = vec_grow(d->delta, &d->delta_cap, n + 1, sizeof *d->delta);
	*out = *h;
	out->hint = hint_of_sum(h->hint, p->hint);
	out->count = h->count - p->count;
	out->sum = h->sum - p->sum;
	out->zero_count = h->zero_count - p->zero_count;
	double *v = d->delta;
	for (uint32_t i = 0; i < h->n_pos; i++)
		v[i] = h->pos[i] - p->pos[i];
	out->pos = v;
	v += h->n_pos;
	for (uint32_t i = 0; i < h->n_neg; i++)
		v[i] = h->neg[i] - p->neg[i];
	out->neg = v;
}

/* h: as it is; x: brought to the schema. */
static void add_counter(struct hist_run *r, const struct hist *h, const struct hist *x,
			struct arena *a)
{
	if (r->total == 0) {
		hist_acc_set(&r->counter, x);
	} else if (x->hint != HIST_GAUGE && hist_detect_reset(h, r->prev)) {
		hist_acc_add(&r->counter, x);
	} else if (r->same && r->plain) {
		struct hist delta;
		subtract(r, x, &delta);
		hist_acc_add(&r->counter, &delta);
	} else {
		struct hist_work w;
		struct hist_acc y;
		hist_work_init(&w, a);
		hist_acc_init(&y, &w);
		hist_acc_set(&y, x);
		hist_acc_sub(&y, r->prev);
		hist_acc_add(&r->counter, hist_acc_take(&y, false));
	}
}

/* Are the buckets of the sum those of h, one by one? */
static bool has_buckets_of(const struct hist_side *s, const struct hist_span *span,
			   uint32_t n_spans, uint32_t n)
{
	int32_t index = 0;
	uint32_t k = 0;
	if (s->n != n)
		return false;
	for (uint32_t i = 0; i < n_spans; i++) {
		index += span[i].offset;
		for (uint32_t j = 0; j < span[i].length; j++)
			if (s->index[k++] != index++)
				return false;
	}
	return true;
}

static bool has_layout_of(const struct hist_acc *x, const struct hist *h)
{
	if (x->schema != h->schema || x->n_bounds != h->n_bounds ||
	    (h->schema != HIST_CUSTOM && x->zero_threshold != h->zero_threshold))
		return false;
	for (uint32_t i = 0; i < h->n_bounds; i++)
		if (x->bounds[i] != h->bounds[i])
			return false;
	return has_buckets_of(&x->pos, h->pos_spans, h->n_pos_spans, h->n_pos) &&
	       has_buckets_of(&x->neg, h->neg_spans, h->n_neg_spans, h->n_neg);
}

static void add_increases(double *restrict counter, double *restrict prev,
			  const double *restrict v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		counter[i] += v[i] - prev[i];
		prev[i] = v[i];
	}
}

static void add_values(double *restrict sum, const double *restrict v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		sum[i] += v[i];
}

static void set_values(double *to, const double *v, uint32_t n)
{
	if (n)
		memcpy(to, v, n * sizeof *v);
}

static void add_totals(struct hist_acc *x, double count, double zero, double sum)
{
	x->count += count;
	x->sum += sum;
	if (x->schema != HIST_CUSTOM)
		x->zero_count += zero;
}

/* What mostly comes: sums, the one before and h have the same buckets, and there was no reset. */
static void add_same(struct hist_run *r, const struct hist *h)
{
	struct hist *p = &r->own;
	struct hist_acc *s = &r->sum;
	if (r->b.want_counter) {
		add_totals(&r->counter, h->count - p->count,
			   h->zero_count - p->zero_count, h->sum - p->sum);
		add_increases(r->counter.pos.v, r->vals, h->pos, h->n_pos);
		add_increases(r->counter.neg.v, r->vals + h->n_pos, h->neg, h->n_neg);
		p->count = h->count;
		p->sum = h->sum;
		p->zero_count = h->zero_count;
	}
	if (r->b.want_sum && r->count == 0) {
		s->hint = h->hint;
		s->count = h->count;
		s->sum = h->sum;
		s->zero_count = s->schema == HIST_CUSTOM ? 0 : h->zero_count;
		set_values(s->pos.v, h->pos, h->n_pos);
		set_values(s->neg.v, h->neg, h->n_neg);
	} else if (r->b.want_sum) {
		add_totals(s, h->count, h->zero_count, h->sum);
		add_values(s->pos.v, h->pos, h->n_pos);
		add_values(s->neg.v, h->neg, h->n_neg);
	}
	r->count++;
	r->total++;
}

static void keep_prev(struct hist_run *r, const struct hist *x, bool fresh)
{
	size_t n = (size_t)x->n_pos + x->n_neg;
	if (fresh) {
		r->own = *hist_dup(&r->d->hists, x);
		r->vals = arena_alloc(&r->d->hists, (n + 1) * sizeof *r->vals);
	}
	r->own.hint = x->hint;
	r->own.count = x->count;
	r->own.sum = x->sum;
	r->own.zero_count = x->zero_count;
	if (x->n_pos)
		memcpy(r->vals, x->pos, x->n_pos * sizeof *r->vals);
	if (x->n_neg)
		memcpy(r->vals + x->n_pos, x->neg, x->n_neg * sizeof *r->vals);
	r->own.pos = r->vals;
	r->own.neg = r->vals + x->n_pos;
	r->prev = &r->own;
}

/* ---- windows ---- */

static void hist_windows_add(struct hist_windows *w, int64_t t, double count,
			     const struct hist *h)
{
	if (w->n == w->t_cap)
		w->t = vec_grow(w->t, &w->t_cap, w->n + 1, sizeof *w->t);
	if (w->n == w->count_cap)
		w->count = vec_grow(w->count, &w->count_cap, w->n + 1, sizeof *w->count);
	if (w->n == w->h_cap)
		w->h = vec_grow(w->h, &w->h_cap, w->n + 1, sizeof *w->h);
	w->t[w->n] = t;
	w->count[w->n] = count;
	w->h[w->n++] = h;
}

void hist_run_close(struct hist_run *r)
{
	if (r->count == 0)
		return;
	if (r->b.want_counter) {
		struct hist *h = hist_acc_take(&r->counter, false);
		if (r->b.gauge)
			h->hint = HIST_GAUGE;
		hist_windows_add(&r->d->counter, r->end_ms, (double)r->count, h);
	}
	if (r->b.want_sum) {
		struct hist *h = hist_acc_take(&r->sum, false);
		h->hint = HIST_GAUGE;
		hist_windows_add(&r->d->sum, r->end_ms, (double)r->count, h);
	}
	r->count = 0;
}

void hist_run_begin(struct hist_run *r, struct downsampler *d, struct hist_batch b)
{
	*r = (struct hist_run){ .d = d, .b = b };
	if (d->hists.chunks)
		arena_reset(&d->hists);
	d->counter.n = d->sum.n = 0;
	hist_work_init(&r->work, &d->hists);
	hist_acc_init(&r->counter, &r->work);
	hist_acc_init(&r->sum, &r->work);
}

void hist_run_add(struct hist_run *r, int64_t t, const struct hist *h, bool fresh)
{
	struct hist unknown;
	if (fresh && h->hint == HIST_NOT_RESET) {
		unknown = *h;
		unknown.hint = HIST_UNKNOWN;
		h = &unknown;
	}
	const struct hist *x = h;
	if (r->count == 0 || t > r->end_ms) {
		hist_run_close(r);
		r->end_ms = window_end(t, r->b.resolution_ms, r->b.last_ms);
	}
	bool own = h->schema == r->b.schema;
	if (!fresh && r->aligned && h->hint == r->own.hint) {
		add_same(r, h);
		return;
	}
	struct arena *a = &r->d->scratch[r->turn ^= 1];
	if (a->chunks)
		arena_reset(a);
	if (!own)
		x = reduced(a, h, r->b.schema);
	if (fresh || !own) {
		r->same = r->prev && same_layout(r->prev, x);
		r->plain = clear_of_zero(x);
	}
	if (r->b.want_counter)
		add_counter(r, h, x, a);
	if (r->b.want_sum && r->count == 0)
		hist_acc_set(&r->sum, x);
	else if (r->b.want_sum)
		hist_acc_add(&r->sum, x);
	if (own) {
		keep_prev(r, x, fresh || !r->vals);
		r->same = true;
	} else {
		r->prev = x;
	}
	/* from the second of a chunk on: hints stay as they are, and so do layouts */
	r->aligned = own && !fresh && r->plain &&
		     (h->hint == HIST_NOT_RESET || h->hint == HIST_GAUGE) &&
		     (!r->b.want_sum || has_layout_of(&r->sum, x)) &&
		     (!r->b.want_counter || has_layout_of(&r->counter, x));
	r->count++;
	r->total++;
}

/* ---- chunks ---- */

/* The windows of w before `until`, as many as fit, into d->bytes; *until: the time of the one that did not fit. */
static int put_hists(struct downsampler *d, const struct hist_windows *w, int64_t *until,
		     size_t *n, struct chunk_part *part, struct err *e)
{
	static const uint8_t no_reset[3] = { 0, 0, 1 << 6 }; /* as Thanos says of any */
	size_t i = 0;
	int rc = 0;
	chunk_encoder_like(d->encoder, CHUNK_FLOATHIST,
			   (struct chunk_part){ no_reset, 3, CHUNK_FLOATHIST });
	while (i < w->n && w->t[i] < *until && i < WINDOWS_MAX) {
		rc = chunk_encoder_hist(d->encoder, w->t[i], w->h[i], e);
		if (rc != 0)
			break;
		i++;
	}
	if (rc < 0)
		return -1;
	if (i < w->n && w->t[i] < *until)
		*until = w->t[i];
	*n = i;
	if (i == 0)
		return 0;
	struct chunk_part p = chunk_encoder_part(d->encoder);
	buf_add(&d->bytes, p.p, p.n);
	*part = (struct chunk_part){ NULL, p.n, CHUNK_FLOATHIST };
	return 0;
}

/* One AggrChunk of what is before `until`, n[] of counter, sum and count; *until is lowered where that was too much. */
static int put_piece(struct downsampler *d, const struct hist_pieces *p, int64_t *until,
		     size_t *n, struct chunk_part *part, struct err *e)
{
	buf_reset(&d->bytes);
	for (n[2] = 0; n[2] < p->n_count && p->count_t[n[2]] < *until; n[2]++)
		;
	if (n[2] && put_xor(d, p->count_t, p->count, n[2], &part[AGGR_COUNT], e) < 0)
		return -1;
	if (put_hists(d, &p->sum, until, &n[1], &part[AGGR_SUM], e) < 0 ||
	    put_hists(d, &p->counter, until, &n[0], &part[AGGR_COUNTER], e) < 0)
		return -1;
	return buf_check(&d->bytes, NULL, "aggregate chunk", e);
}

static void widen_range(const int64_t *t, size_t n, int64_t *mint, int64_t *maxt)
{
	if (n == 0)
		return;
	*mint = MIN(*mint, t[0]);
	*maxt = MAX(*maxt, t[n - 1]);
}

static void advance(struct hist_windows *w, size_t n)
{
	w->t += n;
	w->h += n;
	w->n -= n;
}

int hist_emit(struct downsampler *d, struct hist_pieces *p, struct views *to,
	      struct err *e)
{
	while (p->counter.n || p->sum.n || p->n_count) {
		struct chunk_part part[AGGR_N];
		int64_t until = INT64_MAX, asked, mint = INT64_MAX, maxt = INT64_MIN;
		size_t n[3];
		do {
			memset(part, 0, sizeof part);
			asked = until;
			if (put_piece(d, p, &until, n, part, e) < 0)
				return -1;
		} while (until != asked);
		widen_range(p->counter.t, n[0], &mint, &maxt);
		widen_range(p->sum.t, n[1], &mint, &maxt);
		widen_range(p->count_t, n[2], &mint, &maxt);
		emit(d, to, mint, maxt, part);
		advance(&p->counter, n[0]);
		advance(&p->sum, n[1]);
		p->count_t += n[2];
		p->count += n[2];
		p->n_count -= n[2];
	}
	return 0;
}
