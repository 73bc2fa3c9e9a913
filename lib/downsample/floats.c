/*
 * downsample/floats.c - floats: samples into windows, windows into five XOR chunks.
 *
 * A window is stamped with its last millisecond, or with the batch's last sample if that comes before. Of raw samples, stale
 * markers and those that go back in time are left out before batches are cut, other NaN afterwards (they still count
 * in the cut). The counter adds up increases from the batch's first value on; a fall is a start from zero. Its chunk
 * holds the first raw sample, the windows, and at the last window's time once more the last raw value.
 *
 * Sums are added in the order of time, so that bits agree. min and max start from the largest finite numbers, as Thanos'
 * do: a window of nothing but +Inf has DBL_MAX for its minimum.
 */
#include "downsample/downsample_int.h"

#include <float.h>
#include <stdlib.h>

#include "base/vec.h"

/* ---- decoding ---- */

static void reserve(struct samples_buf *s, size_t need)
{
	if (need > s->t_cap)
		s->t = vec_grow(s->t, &s->t_cap, need, sizeof *s->t);
	if (need > s->v_cap)
		s->v = vec_grow(s->v, &s->v_cap, need, sizeof *s->v);
}

/* The samples [from, end) to `to`, without stale markers and what goes back in time. Returns where they end. */
static size_t filter(struct samples_buf *s, size_t from, size_t end, size_t to)
{
	int64_t last = 0;
	for (size_t i = from; i < end; i++) {
		if (is_stale_nan(s->v[i]) || s->t[i] < last)
			continue;
		last = s->t[i];
		s->t[to] = last;
		s->v[to++] = s->v[i];
	}
	return to;
}

/* NaN of any kind; four at a time, since nearly all chunks have none and every sample is looked at. */
static bool any_nan(const double *v, size_t n)
{
	bool a = false, b = false, c = false, d = false;
	size_t i = 0;
	for (; i + 4 <= n; i += 4) {
		a |= v[i] != v[i];
		b |= v[i + 1] != v[i + 1];
		c |= v[i + 2] != v[i + 2];
		d |= v[i + 3] != v[i + 3];
	}
	for (; i < n; i++)
		a |= v[i] != v[i];
	return a | b | c | d;
}

static int by_columns(struct downsampler *d, struct chunk_part p, struct err *e)
{
	struct samples_buf *s = &d->s;
	struct columns c;
	int rc;
	if (chunk_decoder_reset(d->decoder, p, e) < 0)
		return -1;
	while ((rc = chunk_decoder_next(d->decoder, &c, e)) > 0) {
		if (!c.v)
			return err_set(NULL, e, E_CORRUPT, "histograms among floats");
		reserve(s, s->n + c.n);
		memcpy(s->t + s->n, c.t_ms, c.n * sizeof *s->t);
		memcpy(s->v + s->n, c.v, c.n * sizeof *s->v);
		s->n += c.n;
	}
	return rc;
}

/* Append a chunk's samples as they are; *sorted: times ascend strictly. */
static int decode(struct downsampler *d, struct chunk_part p, bool repeats, bool *sorted,
		  struct err *e)
{
	struct samples_buf *s = &d->s;
	size_t count = chunk_count(p);
	struct err quiet = ERR_INIT;
	int n = -1;
	if (p.enc != CHUNK_XOR)
		return by_columns(d, p, e);
	if (count > (size_t)p.n * 4 + 2)
		return err_set(NULL, e, E_CORRUPT, "XOR chunk: %zu samples in %u bytes",
			       count, p.n);
	reserve(s, s->n + count);
	if (!repeats)
		n = chunk_xor_decode(p.p, p.n, s->t + s->n, s->v + s->n, count, &quiet);
	*sorted = n >= 0;
	if (n < 0)
		n = chunk_xor_decode_any(p.p, p.n, s->t + s->n, s->v + s->n, count, e);
	if (n < 0)
		return -1;
	s->n += (size_t)n;
	return 0;
}

/* Sixteen chunks from c on at once, where that is possible: true, and all were appended. */
static bool decode_wide(struct downsampler *d, const struct chunk_view *c)
{
	struct samples_buf *s = &d->s;
	struct chunk_part p[CHUNK_WIDE];
	int64_t *t[CHUNK_WIDE];
	double *v[CHUNK_WIDE];
	size_t at = 0;
	bool rise;
	for (int i = 0; i < CHUNK_WIDE; i++) {
		p[i] = c[i].part[AGGR_RAW];
		size_t count = chunk_count(p[i]);
		if (p[i].enc != CHUNK_XOR || count > (size_t)p[i].n * 4 + 2)
			return false;
		at += count;
	}
	reserve(s, s->n + at);
	at = s->n;
	for (int i = 0; i < CHUNK_WIDE; i++) {
		t[i] = s->t + at;
		v[i] = s->v + at;
		at += chunk_count(p[i]);
	}
	size_t need = chunk_wide_scratch(p);
	if (need > d->wide_cap)
		d->wide = vec_grow(d->wide, &d->wide_cap, need, 1);
	if (chunk_xor_decode_wide(p, d->wide, t, v, &rise) != 0)
		return false;
	s->n = at;
	return true;
}

/* Decode all parts one behind the other; d->span says where each lies, its schema being 1 where times ascend. */
static int decode_all(struct downsampler *d, struct parts in, struct err *e)
{
	struct samples_buf *s = &d->s;
	bool wide = in.aggr == AGGR_RAW && chunk_wide_usable();
	s->n = 0;
	if (in.n > d->span_cap)
		d->span = vec_grow(d->span, &d->span_cap, in.n, sizeof *d->span);
	for (size_t i = 0; i < in.n;) {
		size_t at = s->n;
		bool sorted = false;
		if (wide && in.n - i >= CHUNK_WIDE && decode_wide(d, in.c + i)) {
			for (int k = 0; k < CHUNK_WIDE; k++, i++) {
				size_t n = chunk_count(in.c[i].part[AGGR_RAW]);
				d->span[i] = (struct chunk_span){ at, at + n, 1 };
				at += n;
			}
			continue;
		}
		struct chunk_part p = in.c[i].part[in.aggr];
		if (p.p && decode(d, p, in.aggr == AGGR_COUNTER, &sorted, e) < 0)
			return err_wrap(NULL, e, "chunk %zu", in.first + i);
		d->span[i++] = (struct chunk_span){ at, s->n, sorted };
	}
	return 0;
}

/* All samples of the parts into d->s, without stale markers and what goes back within a chunk. */
static int gather(struct downsampler *d, struct parts in, struct err *e)
{
	struct samples_buf *s = &d->s;
	size_t k = 0;
	if (decode_all(d, in, e) < 0)
		return -1;
	s->nan = false;
	for (size_t i = 0; i < in.n; i++) {
		size_t first = d->span[i].first, n = d->span[i].end - first, from = k;
		bool nan = any_nan(s->v + first, n);
		s->nan |= nan;
		if (d->span[i].schema && (n == 0 || s->t[first] >= 0) && !nan) {
			if (k != first) {
				memmove(s->t + k, s->t + first, n * sizeof *s->t);
				memmove(s->v + k, s->v + first, n * sizeof *s->v);
			}
			k += n;
		} else {
			k = filter(s, first, first + n, k);
			d->tally.dropped += n - (k - from);
		}
		if (from > 0 && k > from && s->t[from] <= s->t[from - 1])
			return err_set(NULL, e, E_CORRUPT,
				       "chunk %zu begins before the one before ends",
				       in.first + i);
	}
	s->n = k;
	return 0;
}

/* ---- windows ---- */

void windows_reserve(struct windows *w, size_t n)
{
	n += 2;
	if (n <= w->cap)
		return;
	size_t cap = MAX(n, w->cap + w->cap / 2);
	w->t = xreallocarray(w->t, cap, sizeof *w->t);
	for (int i = AGGR_COUNT; i < AGGR_N; i++)
		w->v[i] = xreallocarray(w->v[i], cap, sizeof *w->v[i]);
	w->cap = cap;
}

/* A column of samples; t ascends, v are numbers (but for sums of aggregates, which may be NaN). */
struct column {
	const int64_t *t;
	const double *v;
	size_t n;
};

struct counter_state {
	bool begun;
	double total, last;
};

/* All five aggregates of the window [i, end); the counter goes on from *c. */
static void five(struct windows *w, struct column s, size_t i, size_t end,
		 struct counter_state *c)
{
	double v = s.v[i], last = c->last, total = v;
	double sum = 0 + v, min = v < DBL_MAX ? v : DBL_MAX,
	       max = v > -DBL_MAX ? v : -DBL_MAX;
	size_t k = w->n, n = end - i;
	if (c->begun)
		total = c->total + (v < last ? v : v - last);
	last = v;
	while (++i < end) {
		v = s.v[i];
		double more = v - last;
		sum += v;
		min = v < min ? v : min;
		max = v > max ? v : max;
		total += v < last ? v : more;
		last = v;
	}
	*c = (struct counter_state){ true, total, last };
	w->v[AGGR_COUNT][k] = (double)n;
	w->v[AGGR_SUM][k] = sum;
	w->v[AGGR_MIN][k] = min;
	w->v[AGGR_MAX][k] = max;
	w->v[AGGR_COUNTER][k] = total;
}

/* What the windows of one aggregate keep. */
static double one(struct column s, size_t i, size_t end, enum aggr aggr)
{
	double x = aggr == AGGR_MIN ? DBL_MAX : aggr == AGGR_MAX ? -DBL_MAX : 0;
	for (; i < end; i++) {
		double v = s.v[i];
		if (aggr == AGGR_MIN)
			x = v < x ? v : x;
		else if (aggr == AGGR_MAX)
			x = v > x ? v : x;
		else
			x += v;
	}
	return x;
}

/* The end of the window that sample i begins, *end_ms its time. */
static size_t window_of(struct column s, size_t i, int64_t resolution_ms, int64_t *end_ms)
{
	int64_t end = window_end(s.t[i], resolution_ms, s.t[s.n - 1]);
	*end_ms = end;
	while (i < s.n && s.t[i] <= end)
		i++;
	return i;
}

/*
 * Windows 1..n of the samples into w, which may get full: returns how many samples they hold. aggr RAW: all five
 * aggregates; COUNTER: the counter only; else that one.
 */
static size_t make_windows(struct windows *w, struct column s, int64_t resolution_ms,
			   enum aggr aggr)
{
	struct counter_state c = { false, 0, 0 };
	size_t i = 0;
	w->n = 1;
	windows_reserve(w, MIN(s.n, WINDOWS_MAX));
	while (i < s.n && w->n <= WINDOWS_MAX) {
		size_t end = window_of(s, i, resolution_ms, &w->t[w->n]);
		if (aggr == AGGR_RAW || aggr == AGGR_COUNTER)
			five(w, s, i, end, &c);
		else
			w->v[aggr][w->n] = one(s, i, end, aggr);
		w->n++;
		i = end;
	}
	w->n--;
	return i;
}

int put_xor(struct downsampler *d, const int64_t *t, const double *v, size_t n,
	    struct chunk_part *part, struct err *e)
{
	size_t from = d->bytes.n;
	if (chunk_xor_encode(&d->bytes, t, v, n, e) < 0)
		return -1;
	*part = (struct chunk_part){ NULL, (uint32_t)(d->bytes.n - from), CHUNK_XOR };
	return 0;
}

/* The counter's chunk: windows 1..n between the first value and the last one. */
static int put_counter(struct downsampler *d, int64_t first_t, double first, double last,
		       struct chunk_part *part, struct err *e)
{
	struct windows *w = &d->w;
	w->t[0] = first_t;
	w->v[AGGR_COUNTER][0] = first;
	w->t[w->n + 1] = w->t[w->n];
	w->v[AGGR_COUNTER][w->n + 1] = last;
	return put_xor(d, w->t, w->v[AGGR_COUNTER], w->n + 2, part, e);
}

/* ---- raw chunks ---- */

static int raw_batch(struct downsampler *d, struct column s, int64_t resolution_ms,
		     struct views *to, struct err *e)
{
	struct windows *w = &d->w;
	while (s.n > 0) {
		struct chunk_part part[AGGR_N] = { 0 };
		size_t used = make_windows(w, s, resolution_ms, AGGR_RAW);
		buf_reset(&d->bytes);
		for (int i = AGGR_COUNT; i < AGGR_COUNTER; i++)
			if (put_xor(d, w->t + 1, w->v[i] + 1, w->n, &part[i], e) < 0)
				return -1;
		if (put_counter(d, s.t[0], s.v[0], s.v[used - 1], &part[AGGR_COUNTER],
				e) < 0)
			return -1;
		emit(d, to, w->t[1], w->t[w->n], part);
		d->tally.samples += (double)used;
		s = (struct column){ s.t + used, s.v + used, s.n - used };
	}
	return 0;
}

/* Move the numbers among s[i..end) to its front: how many. */
static size_t numbers_only(struct samples_buf *s, size_t i, size_t end)
{
	size_t k = i;
	if (!s->nan)
		return end - i;
	for (size_t j = i; j < end; j++) {
		if (s->v[j] != s->v[j])
			continue;
		s->t[k] = s->t[j];
		s->v[k++] = s->v[j];
	}
	return k - i;
}

int raw_floats(struct downsampler *d, struct parts in, int64_t resolution_ms,
	       struct views *to, struct err *e)
{
	struct samples_buf *s = &d->s;
	if (gather(d, in, e) < 0)
		return -1;
	if (s->n == 0)
		return 0;
	size_t chunks = target_chunks(s->t[0], s->t[s->n - 1], DOWNSAMPLE_RAW_INTERVAL,
				      resolution_ms, s->n);
	size_t size = s->n / chunks + 1;
	for (size_t i = 0, end; i < s->n; i = end) {
		end = batch_end(s->t, s->n, i, size, resolution_ms);
		size_t n = numbers_only(s, i, end);
		d->tally.dropped += end - i - n;
		struct column c = { s->t + i, s->v + i, n };
		if (raw_batch(d, c, resolution_ms, to, e) < 0)
			return -1;
	}
	return 0;
}

/* ---- AggrChunks ---- */

int fold(struct downsampler *d, struct parts in, int64_t resolution_ms, struct err *e)
{
	struct samples_buf *s = &d->s;
	if (gather(d, in, e) < 0)
		return -1;
	struct column c = { s->t, s->v, s->n };
	for (size_t i = 0; in.aggr == AGGR_COUNT && i < s->n; i++)
		d->tally.samples += s->v[i];
	if (make_windows(&d->w, c, resolution_ms, in.aggr) < s->n)
		return err_set(NULL, e, E_LIMIT,
			       "chunks %zu to %zu: more than %u windows", in.first,
			       in.first + in.n - 1, WINDOWS_MAX);
	return 0;
}

/* What counter chunks add up to, in place; *last: the last raw value. Returns how many samples. */
static size_t rising(struct samples_buf *s, double *last)
{
	size_t k = 0;
	double total = 0, v_last = 0;
	for (size_t i = 0; i < s->n; i++) {
		double v = s->v[i];
		int64_t t = s->t[i];
		if (v != v || (k > 0 && t < s->t[k - 1]))
			continue;
		if (k > 0 && t == s->t[k - 1]) {
			v_last = v; /* how the chunk before really ended */
			continue;
		}
		if (k == 0)
			total = v;
		else
			total += v >= v_last ? v - v_last : v;
		v_last = v;
		s->t[k] = t;
		s->v[k++] = total;
	}
	*last = v_last;
	return k;
}

static int aggr_counter(struct downsampler *d, struct parts in, int64_t resolution_ms,
			struct chunk_part *part, struct err *e)
{
	struct samples_buf *s = &d->s;
	double last;
	in.aggr = AGGR_COUNTER;
	if (gather(d, in, e) < 0)
		return -1;
	struct column c = { s->t, s->v, rising(s, &last) };
	d->w.n = 0;
	if (c.n == 0)
		return 0;
	if (make_windows(&d->w, c, resolution_ms, AGGR_COUNTER) < c.n)
		return err_set(NULL, e, E_LIMIT,
			       "chunks %zu to %zu: more than %u windows", in.first,
			       in.first + in.n - 1, WINDOWS_MAX);
	return put_counter(d, c.t[0], c.v[0], last, part, e);
}

/*
 * COMPAT: where an aggregate is missing in all chunks of a batch, Thanos' chunk begins at time 0; here its range is that of the
 * aggregates there are.
 */
int aggr_floats(struct downsampler *d, struct parts in, int64_t resolution_ms,
		struct views *to, struct err *e)
{
	struct windows *w = &d->w;
	struct chunk_part part[AGGR_N] = { 0 };
	int64_t mint = INT64_MAX, maxt = INT64_MIN;
	buf_reset(&d->bytes);
	for (int i = AGGR_COUNT; i < AGGR_N; i++) {
		in.aggr = (enum aggr)i;
		if (i == AGGR_COUNTER) {
			if (aggr_counter(d, in, resolution_ms, &part[i], e) < 0)
				return -1;
		} else if (fold(d, in, resolution_ms, e) < 0 ||
			   (w->n &&
			    put_xor(d, w->t + 1, w->v[i] + 1, w->n, &part[i], e) < 0)) {
			return -1;
		}
		if (w->n == 0)
			continue;
		mint = MIN(mint, w->t[1]);
		maxt = MAX(maxt, w->t[w->n]);
	}
	if (mint <= maxt)
		emit(d, to, mint, maxt, part);
	return 0;
}
