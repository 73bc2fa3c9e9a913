/*
 * downsample/hists.c - the passes over chunks of native histograms.
 *
 * Decoded histograms are large and are not held. If all chunks have one schema, the cut into batches follows from how many samples
 * there are, which the chunks say, less the stale markers among them: those are mostly looked for where the series was interrupted.
 * Then one pass does it all, and finds out whether that number was right. Else a first pass notes times and sums (NaN is left out)
 * and schemas, from which batches and their smallest schemas follow; a second one decodes again, chunk by chunk, and adds what it sees.
 */
#include "downsample/hist_int.h"

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

/* ---- second pass ---- */

/* Add the samples of the batch that lie in a chunk; hint of the first one decides whether the batch is one of gauges. */
static int run_chunk(struct hist_run *r, struct chunk_part p, struct chunk_span span,
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
			hist_run_add(r, last, h, fresh);
			fresh = false;
		}
	}
	return rc;
}

/* numbers: histograms with a NaN sum are left out. */
static int run_batch(struct downsampler *d, struct parts in, struct hist_batch b,
		     bool numbers, struct err *e)
{
	struct hist_run r;
	hist_run_begin(&r, d, b);
	for (size_t i = 0; i < in.n; i++) {
		struct chunk_span s = d->span[i];
		if (s.end <= b.first || s.first >= b.end || s.first == s.end)
			continue;
		if (run_chunk(&r, in.c[i].part[in.aggr], s, numbers, e) < 0)
			return err_wrap(NULL, e, "chunk %zu", in.first + i);
	}
	hist_run_close(&r);
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
		struct hist_batch b = { i,
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
		struct hist_pieces p = { d->counter, *w, w->t, w->count, w->n };
		for (size_t k = 0; k < w->n; k++)
			d->tally.samples += w->count[k];
		if (hist_emit(d, &p, to, e) < 0)
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

/* ---- one pass ---- */

/* What was foreseen of a run of chunks, and where its one pass stands. */
struct flow {
	struct hist_run r;
	struct parts in;
	int64_t resolution_ms;
	size_t samples, size; /* foreseen: of the run, of a batch */
	int64_t first_ms, last_ms;
	int32_t schema;
	bool sum, counter;
	bool raw; /* leave out NaN, make chunks of batches; else one batch, whose windows stay */
	/* seen */
	size_t kept, in_batch;
	bool open;	   /* r has something */
	int64_t seen_ms;   /* the last one kept */
	int64_t window_ms; /* end of the window at the batch's size */
	int64_t added_ms;  /* the last one in r */
};

/* Do all chunks have one schema, which is then known? */
static bool one_schema(struct parts in, int32_t *schema)
{
	bool any = false;
	for (size_t i = 0; i < in.n; i++) {
		struct chunk_part p = in.c[i].part[in.aggr];
		int32_t own;
		if (!p.p || chunk_count(p) == 0)
			continue;
		if (chunk_hist_schema(p, &own) < 0 || (any && own != *schema))
			return false;
		*schema = own;
		any = true;
	}
	return any;
}

/* A chunk that begins with an unknown reset follows an interruption. */
static bool may_end_stale(struct parts in, size_t i)
{
	if (i + 1 == in.n)
		return true;
	struct chunk_part next = in.c[i + 1].part[in.aggr];
	return next.enc > CHUNK_FLOATHIST || next.n < 3 || next.p[2] >> 6 == 0;
}

/* Samples, first and last time of raw chunks, as far as may be known from few of them. False: not worth it. */
static bool foresee(struct downsampler *d, struct flow *f)
{
	struct err ignored = ERR_INIT;
	struct downsample_tally tally = d->tally;
	size_t looked_at = 0;
	bool ok = one_schema(f->in, &f->schema);
	f->samples = 0;
	for (size_t i = 0; ok && i < f->in.n; i++) {
		struct chunk_part p = f->in.c[i].part[f->in.aggr];
		struct chunk_span s = { 0, 0, 0 };
		f->samples += chunk_count(p);
		if (i > 0 && !may_end_stale(f->in, i))
			continue;
		d->s.n = 0;
		ok = ++looked_at <= f->in.n / 4 + 2 &&
		     note_chunk(d, p, &s, &ignored) == 0 && d->s.n > 0;
		if (!ok)
			break;
		f->samples -= chunk_count(p) - d->s.n;
		if (i == 0)
			f->first_ms = d->s.t[0];
		f->last_ms = d->s.t[d->s.n - 1];
	}
	d->tally = tally;
	return ok;
}

static int flow_end_batch(struct flow *f, struct views *to, struct err *e)
{
	struct downsampler *d = f->r.d;
	f->in_batch = 0;
	if (!f->open)
		return 0;
	f->open = false;
	f->r.end_ms = MIN(f->r.end_ms, f->added_ms);
	hist_run_close(&f->r);
	if (!f->raw)
		return 0;
	const struct hist_windows *w = &d->sum;
	struct hist_pieces p = { d->counter, *w, w->t, w->count, w->n };
	for (size_t k = 0; k < w->n; k++)
		d->tally.samples += w->count[k];
	return hist_emit(d, &p, to, e);
}

static int flow_add(struct flow *f, int64_t t, const struct hist *h, bool *fresh,
		    struct views *to, struct err *e)
{
	if (f->in_batch >= f->size && t > f->window_ms) {
		if (flow_end_batch(f, to, e) < 0)
			return -1;
		*fresh = true;
	}
	if (f->in_batch++ < f->size)
		f->window_ms = window_end(t, f->resolution_ms, INT64_MAX);
	if (f->raw && h->sum != h->sum) {
		f->r.d->tally.dropped++;
		return 0;
	}
	if (!f->open) {
		struct hist_batch b = { .resolution_ms = f->resolution_ms,
					.last_ms = INT64_MAX,
					.schema = f->schema,
					.want_sum = f->sum,
					.want_counter = f->counter,
					.gauge = h->hint == HIST_GAUGE };
		hist_run_begin(&f->r, f->r.d, b);
		f->open = true;
	}
	hist_run_add(&f->r, t, h, *fresh);
	*fresh = false;
	f->added_ms = t;
	return 0;
}

static int flow_chunk(struct flow *f, struct chunk_part p, struct views *to,
		      struct err *e)
{
	struct downsampler *d = f->r.d;
	struct columns c;
	int64_t last = 0;
	bool fresh = true, first = true;
	int rc;
	if (chunk_decoder_reset(d->decoder, p, e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(d->decoder, &c, e)) > 0)
		for (size_t i = 0; i < c.n; i++) {
			int64_t t = c.t_ms[i];
			if (!keeps(c.h[i], t, last)) {
				d->tally.dropped++;
				continue;
			}
			if (first && f->kept && t <= f->seen_ms)
				return 1;
			if (f->kept++ == 0 && f->raw && t != f->first_ms)
				return 1;
			first = false;
			f->seen_ms = last = t;
			if (flow_add(f, t, c.h[i], &fresh, to, e) < 0)
				return -1;
		}
	return rc;
}

/* 1: it was not as foreseen; nothing was done. */
static int flow_run(struct flow *f, struct views *to, struct err *e)
{
	struct downsampler *d = f->r.d;
	struct downsample_tally tally = d->tally;
	size_t n = to->n;
	int rc = 0;
	for (size_t i = 0; i < f->in.n && rc == 0; i++) {
		struct chunk_part p = f->in.c[i].part[f->in.aggr];
		if (p.p)
			rc = flow_chunk(f, p, to, e);
		if (rc < 0)
			return err_wrap(NULL, e, "chunk %zu", f->in.first + i);
	}
	if (rc == 0)
		rc = flow_end_batch(f, to, e);
	if (rc == 0 && (f->kept != f->samples || (f->raw && f->seen_ms != f->last_ms)))
		rc = 1;
	if (rc == 1) {
		to->n = n;
		d->tally = tally;
	}
	return rc;
}

static int raw_in_one_pass(struct downsampler *d, struct parts in, int64_t resolution_ms,
			   struct views *to, struct err *e)
{
	struct flow f = { .r = { .d = d },
			  .in = in,
			  .resolution_ms = resolution_ms,
			  .sum = true,
			  .counter = true,
			  .raw = true };
	if (!foresee(d, &f))
		return 1;
	f.size = f.samples / target_chunks(f.first_ms, f.last_ms, DOWNSAMPLE_RAW_INTERVAL,
					   resolution_ms, f.samples) +
		 1;
	return flow_run(&f, to, e);
}

int raw_hists(struct downsampler *d, struct parts in, int64_t resolution_ms,
	      struct views *to, struct err *e)
{
	int rc = raw_in_one_pass(d, in, resolution_ms, to, e);
	if (rc <= 0)
		return rc;
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

/* One aggregate of all parts into d->counter or d->sum, if they have one schema; 1: they have not, or no samples. */
static int aggr_in_one_pass(struct downsampler *d, struct parts in, int64_t resolution_ms,
			    struct err *e)
{
	struct flow f = { .r = { .d = d },
			  .in = in,
			  .resolution_ms = resolution_ms,
			  .size = SIZE_MAX,
			  .sum = in.aggr == AGGR_SUM,
			  .counter = in.aggr == AGGR_COUNTER };
	if (!one_schema(in, &f.schema))
		return 1;
	for (size_t i = 0; i < in.n; i++)
		f.samples += chunk_count(in.c[i].part[in.aggr]);
	return flow_run(&f, &d->fixed, e);
}

/* One aggregate of all parts into d->counter or d->sum; 1: they are of two kinds. */
static int aggr_part(struct downsampler *d, struct parts in, enum aggr aggr,
		     int64_t resolution_ms, struct err *e)
{
	bool sum = aggr == AGGR_SUM;
	in.aggr = aggr;
	int rc = aggr_in_one_pass(d, in, resolution_ms, e);
	if (rc <= 0)
		return rc;
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
	struct hist_batch b = { 0,	s->n, resolution_ms, s->n ? s->t[s->n - 1] : 0,
				schema, sum,  !sum,	     false };
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
		struct hist_pieces p = { counter, d->sum, w->t + 1, w->v[AGGR_COUNT] + 1,
					 w->n };
		rc = hist_emit(d, &p, to, e);
	}
	arena_deinit(&a);
	return rc;
}
