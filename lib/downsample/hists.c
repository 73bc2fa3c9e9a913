/*
 * downsample/hists.c - native histograms: count, sum and counter of each window; there is no min and max.
 *
 * All histograms of a batch are brought to its smallest schema. The sum of a window is a gauge; the counter adds up increases
 * from the batch's first histogram on. Both are float histograms.
 *
 * Decoded histograms are large and are not held: a first pass notes times and sums (NaN is left out) and schemas, from which the
 * batches follow; a second one decodes again, chunk by chunk, and adds what it sees to the sums. Histograms of one chunk share their
 * layout, so increases mostly are two columns subtracted.
 *
 * If the first histogram of a batch is a gauge, so are the batch's counters. COMPAT: from 5m to 1h Thanos lets histograms decide
 * one by one, which differs if some are brought to another schema.
 *
 * COMPAT: where a window's histogram cannot go into the chunk (another zero threshold, other custom bounds, a counter that fell),
 * Thanos forgets the windows before it; here the AggrChunk ends and another one begins.
 */
#include "downsample/downsample_int.h"

#include <stdlib.h>

#include "base/vec.h"

/* ---- first pass ---- */

static bool keeps(const struct hist *h, int64_t t, int64_t last)
{
	return !hist_is_stale(h) && t >= last;
}

static int note_chunk(struct downsampler *d, struct chunk_part p, struct chunk_span *span,
		      struct err *e)
{
	struct samples_buf *s = &d->s;
	struct columns c;
	int64_t last = 0;
	int rc;
	if (chunk_decoder_reset(d->decoder, p, e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(d->decoder, &c, e)) > 0) {
		if (c.v)
			return err_set(NULL, e, E_CORRUPT, "floats among histograms");
		if (s->n + c.n > s->t_cap)
			s->t = vec_grow(s->t, &s->t_cap, s->n + c.n, sizeof *s->t);
		if (s->n + c.n > s->v_cap)
			s->v = vec_grow(s->v, &s->v_cap, s->n + c.n, sizeof *s->v);
		for (size_t i = 0; i < c.n; i++) {
			if (!keeps(c.h[i], c.t_ms[i], last)) {
				d->tally.dropped++;
				continue;
			}
			last = c.t_ms[i];
			span->schema = c.h[i]->schema;
			s->t[s->n] = last;
			s->v[s->n++] = c.h[i]->sum;
		}
	}
	span->end = s->n;
	return rc;
}

/* Times and sums of all parts into d->s, d->span[i] of each. */
static int note(struct downsampler *d, struct parts in, struct err *e)
{
	struct samples_buf *s = &d->s;
	s->n = 0;
	if (in.n > d->span_cap)
		d->span = vec_grow(d->span, &d->span_cap, in.n, sizeof *d->span);
	for (size_t i = 0; i < in.n; i++) {
		struct chunk_part p = in.c[i].part[in.aggr];
		size_t from = s->n;
		d->span[i] = (struct chunk_span){ from, from, INT32_MAX };
		if (p.p && note_chunk(d, p, &d->span[i], e) < 0)
			return err_wrap(NULL, e, "chunk %zu", in.first + i);
		if (from > 0 && s->n > from && s->t[from] <= s->t[from - 1])
			return err_set(NULL, e, E_CORRUPT,
				       "chunk %zu begins before the one before ends",
				       in.first + i);
	}
	return 0;
}

/* ---- sums ---- */

/* One batch of the second pass. */
struct batch {
	size_t first, end; /* of d->s */
	int64_t resolution_ms, last_ms;
	int32_t schema;
	bool want_sum, want_counter;
	bool gauge; /* all windows become gauges */
};

struct run {
	struct downsampler *d;
	struct batch b;
	struct hist_work work;
	struct hist_acc counter, sum;
	size_t total, count;	 /* histograms of the batch; of the window */
	int64_t end_ms;		 /* of the window */
	unsigned turn;		 /* which scratch arena is this sample's */
	const struct hist *prev; /* brought to the schema */
	struct hist own;	 /* prev of a chunk's own layout, values in `vals` */
	double *vals;
	bool same,
		plain; /* prev has h's layout; no bucket reaches into the zero bucket */
};

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
static void subtract(struct run *r, const struct hist *h, struct hist *out)
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
static void add_counter(struct run *r, const struct hist *h, const struct hist *x,
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

static void keep_prev(struct run *r, const struct hist *x, bool fresh)
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

static void close_window(struct run *r)
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

static void run_begin(struct run *r, struct downsampler *d, struct batch b)
{
	*r = (struct run){ .d = d, .b = b };
	if (d->hists.chunks)
		arena_reset(&d->hists);
	d->counter.n = d->sum.n = 0;
	hist_work_init(&r->work, &d->hists);
	hist_acc_init(&r->counter, &r->work);
	hist_acc_init(&r->sum, &r->work);
}

/*
 * fresh: the first one of its chunk in this batch. COMPAT: where those before it were left out, the chunk's word that there was
 * no reset since then is not about the chunk before; Thanos believes it all the same.
 */
static void run_add(struct run *r, int64_t t, const struct hist *h, bool fresh)
{
	struct arena *a = &r->d->scratch[r->turn ^= 1];
	struct hist unknown;
	if (fresh && h->hint == HIST_NOT_RESET) {
		unknown = *h;
		unknown.hint = HIST_UNKNOWN;
		h = &unknown;
	}
	const struct hist *x = h;
	if (a->chunks)
		arena_reset(a);
	if (r->count == 0 || t > r->end_ms) {
		close_window(r);
		r->end_ms = window_end(t, r->b.resolution_ms, r->b.last_ms);
	}
	bool own = h->schema == r->b.schema;
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
	r->count++;
	r->total++;
}

/* ---- second pass ---- */

/* Add the samples of the batch that lie in a chunk; hint of the first one decides whether the batch is one of gauges. */
static int run_chunk(struct run *r, struct chunk_part p, struct chunk_span span,
		     bool numbers, struct err *e)
{
	struct columns c;
	int64_t last = 0;
	size_t at = span.first;
	bool fresh = true;
	int rc;
	if (chunk_decoder_reset(r->d->decoder, p, e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(r->d->decoder, &c, e)) > 0) {
		for (size_t i = 0; i < c.n; i++) {
			const struct hist *h = c.h[i];
			if (!keeps(h, c.t_ms[i], last))
				continue;
			last = c.t_ms[i];
			size_t k = at++;
			if (k >= r->b.end)
				return 0;
			if (k < r->b.first || (numbers && h->sum != h->sum))
				continue;
			if (r->total == 0)
				r->b.gauge = h->hint == HIST_GAUGE;
			run_add(r, last, h, fresh);
			fresh = false;
		}
	}
	return rc;
}

/* numbers: histograms with a NaN sum are left out. */
static int run_batch(struct downsampler *d, struct parts in, struct batch b, bool numbers,
		     struct err *e)
{
	struct run r;
	run_begin(&r, d, b);
	for (size_t i = 0; i < in.n; i++) {
		struct chunk_span s = d->span[i];
		if (s.end <= b.first || s.first >= b.end || s.first == s.end)
			continue;
		if (run_chunk(&r, in.c[i].part[in.aggr], s, numbers, e) < 0)
			return err_wrap(NULL, e, "chunk %zu", in.first + i);
	}
	close_window(&r);
	return 0;
}

/* ---- chunks ---- */

/* Three columns of windows that make AggrChunks: as much of each as is before the first that does not fit. */
struct pieces {
	struct hist_windows counter, sum;
	const int64_t *count_t;
	const double *count;
	size_t n_count;
};

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
static int put_piece(struct downsampler *d, const struct pieces *p, int64_t *until,
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

/* p is used up. */
static int emit_pieces(struct downsampler *d, struct pieces *p, struct views *to,
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

/* ---- raw chunks ---- */

/* The smallest schema among the numbers of [first, end). */
static int32_t smallest_schema(const struct downsampler *d, size_t n, size_t first,
			       size_t end)
{
	int32_t schema = INT32_MAX;
	for (size_t c = 0; c < n; c++) {
		const struct chunk_span *s = &d->span[c];
		size_t i = MAX(s->first, first), to = MIN(s->end, end);
		while (i < to && d->s.v[i] != d->s.v[i])
			i++;
		if (i < to)
			schema = MIN(schema, s->schema);
	}
	return schema;
}

/* Chunks [0, in.n) have noted the samples [first, end) of d->s. */
static int raw_samples(struct downsampler *d, struct parts in, size_t first, size_t end,
		       int64_t resolution_ms, struct views *to, struct err *e)
{
	const struct samples_buf *s = &d->s;
	if (first == end)
		return 0;
	size_t chunks = target_chunks(s->t[first], s->t[end - 1], DOWNSAMPLE_RAW_INTERVAL,
				      resolution_ms, end - first);
	size_t size = (end - first) / chunks + 1;
	for (size_t i = first, j; i < end; i = j) {
		j = batch_end(s->t, end, i, size, resolution_ms);
		size_t last = j;
		while (last > i && s->v[last - 1] != s->v[last - 1])
			last--;
		for (size_t k = i; k < j; k++)
			d->tally.dropped += s->v[k] != s->v[k];
		if (last == i)
			continue;
		struct batch b = { i,
				   last,
				   resolution_ms,
				   s->t[last - 1],
				   smallest_schema(d, in.n, i, last),
				   true,
				   true,
				   false };
		if (run_batch(d, in, b, true, e) < 0)
			return -1;
		const struct hist_windows *w = &d->sum;
		struct pieces p = { d->counter, *w, w->t, w->count, w->n };
		for (size_t k = 0; k < w->n; k++)
			d->tally.samples += (uint64_t)w->count[k];
		if (emit_pieces(d, &p, to, e) < 0)
			return -1;
	}
	return 0;
}

/* Chunks of exponential histograms, then ones of custom bounds, and so on: where the run that begins at c ends. */
static size_t kind_end(const struct downsampler *d, size_t n, size_t c)
{
	int32_t schema = INT32_MAX;
	for (; c < n; c++) {
		int32_t own = d->span[c].schema;
		if (own == INT32_MAX) /* nothing is kept of it */
			continue;
		if (schema != INT32_MAX &&
		    (own == HIST_CUSTOM) != (schema == HIST_CUSTOM))
			break;
		schema = own;
	}
	return c;
}

int raw_hists(struct downsampler *d, struct parts in, int64_t resolution_ms,
	      struct views *to, struct err *e)
{
	if (note(d, in, e) < 0)
		return -1;
	for (size_t i = 0, end; i < in.n; i = end) {
		end = kind_end(d, in.n, i);
		if (raw_samples(d, in, d->span[i].first, d->span[end - 1].end,
				resolution_ms, to, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- AggrChunks ---- */

/* One aggregate of all parts into d->counter or d->sum. */
static int aggr_part(struct downsampler *d, struct parts in, enum aggr aggr,
		     int64_t resolution_ms, struct err *e)
{
	bool sum = aggr == AGGR_SUM;
	in.aggr = aggr;
	if (note(d, in, e) < 0)
		return -1;
	const struct samples_buf *s = &d->s;
	int32_t schema = INT32_MAX;
	for (size_t i = 0; i < in.n; i++)
		schema = MIN(schema, d->span[i].schema);
	for (size_t i = 0; i < in.n; i++)
		if (d->span[i].schema != INT32_MAX &&
		    (schema == HIST_CUSTOM) != (d->span[i].schema == HIST_CUSTOM))
			return 1;
	struct batch b = { 0,	   s->n, resolution_ms, s->n ? s->t[s->n - 1] : 0,
			   schema, sum,	 !sum,		false };
	return run_batch(d, in, b, false, e);
}

/* What a pass of run_batch left, moved to where the next one does not end it. */
static struct hist_windows dup_windows(struct arena *a, const struct hist_windows *w)
{
	struct hist_windows x = { .n = w->n };
	x.t = arena_alloc(a, (w->n + 1) * sizeof *x.t);
	x.h = arena_alloc(a, (w->n + 1) * sizeof *x.h);
	for (size_t i = 0; i < w->n; i++) {
		x.t[i] = w->t[i];
		x.h[i] = hist_dup(a, w->h[i]);
	}
	return x;
}

/* Exponential histograms and ones with custom bounds in one batch: each chunk makes one then. */
static int one_by_one(struct downsampler *d, struct parts in, int64_t resolution_ms,
		      struct views *to, struct err *e)
{
	for (size_t i = 0; i < in.n; i++) {
		struct parts p = { in.c + i, 1, in.first + i, in.aggr };
		if (aggr_hists(d, p, resolution_ms, to, e) < 0)
			return -1;
	}
	return 0;
}

int aggr_hists(struct downsampler *d, struct parts in, int64_t resolution_ms,
	       struct views *to, struct err *e)
{
	struct windows *w = &d->w;
	struct arena a;
	arena_init(&a, NULL);
	int rc = aggr_part(d, in, AGGR_COUNTER, resolution_ms, e);
	struct hist_windows counter = { 0 };
	if (rc == 0) {
		counter = dup_windows(&a, &d->counter);
		rc = aggr_part(d, in, AGGR_SUM, resolution_ms, e);
	}
	in.aggr = AGGR_COUNT;
	if (rc == 0)
		rc = fold(d, in, resolution_ms, e);
	if (rc == 1)
		rc = one_by_one(d, in, resolution_ms, to, e);
	else if (rc == 0) {
		struct pieces p = { counter, d->sum, w->t + 1, w->v[AGGR_COUNT] + 1,
				    w->n };
		for (size_t k = 1; k <= w->n; k++)
			d->tally.samples += (uint64_t)w->v[AGGR_COUNT][k];
		rc = emit_pieces(d, &p, to, e);
	}
	arena_deinit(&a);
	return rc;
}
