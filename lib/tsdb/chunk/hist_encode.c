/*
 * tsdb/chunk/hist_encode.c - histograms into chunks; the format stands in hist_decode.c.
 *
 * A chunk has one layout. Whether the next histogram fits is decided against the last one:
 *   other schema or zero threshold, or the first one after a stale marker   new chunk, hint unknown
 *   other custom bounds, a count that fell, a bucket that is gone           new chunk, reset
 *   buckets the chunk does not know     the chunk is recoded to the wider layout, in place
 *   buckets it knows, which are empty   the histogram is widened
 * Gauges may fall; both sides are widened. The hint of a new chunk is its reset header. A stale
 * marker always fits and has no buckets.
 * Bytes equal those of Prometheus' appenders: layouts are merged bucket by bucket into the shortest
 * spans, but taken as they are when only one side is wider.
 */
#include <math.h>
#include <stdlib.h>

#include "base/vec.h"

#include "tsdb/chunk/encoder.h"

#define INT_MAX_F 9223372036854774784.0 /* the largest double below 2^63 */

void encoder_sides_free(struct chunk_encoder *w)
{
	for (int i = 0; i < 2; i++) {
		free(w->side[i].spans);
		free(w->side[i].last);
		free(w->side[i].delta);
		free(w->side[i].change);
		free(w->side[i].window);
		free(w->vals[i]);
	}
	free(w->bounds);
}

/* ---- layouts against each other ---- */

/* The buckets of a span list one by one. */
struct walk {
	const struct hist_span *s;
	uint32_t n, i, in;
	int64_t index;
	uint32_t k; /* number of the bucket */
	bool on;    /* at a bucket */
};

static void walk_settle(struct walk *w)
{
	while (w->i < w->n && w->in == w->s[w->i].length) {
		w->i++;
		w->in = 0;
		if (w->i < w->n)
			w->index += w->s[w->i].offset;
	}
	w->on = w->i < w->n;
}

static struct walk walk_begin(const struct hist_span *s, uint32_t n)
{
	struct walk w = { .s = s, .n = n, .index = n ? s[0].offset : 0 };
	walk_settle(&w);
	return w;
}

static void walk_next(struct walk *w)
{
	w->k++;
	w->in++;
	w->index++;
	walk_settle(w);
}

/* How the buckets of a histogram relate to those of the chunk. */
struct relation {
	bool forward;  /* it has buckets the chunk lacks */
	bool backward; /* it lacks buckets of the chunk */
	bool fell;     /* a bucket is lower than before, or gone though not empty */
};

/* Most histograms have the layout of the one before. */
static bool same_spans(const struct enc_side *c, const struct hist_span *s, uint32_t n)
{
	return n == c->n_spans && (n == 0 || memcmp(s, c->spans, n * sizeof *s) == 0);
}

static struct relation relate(const struct enc_side *c, const struct hist_span *s,
			      uint32_t n, const double *v)
{
	if (same_spans(c, s, n)) {
		struct relation same = { 0 };
		for (uint32_t i = 0; i < c->n; i++)
			same.fell |= v[i] < c->last[i];
		return same;
	}
	struct walk a = walk_begin(c->spans, c->n_spans), b = walk_begin(s, n);
	struct relation r = { 0 };
	while (a.on || b.on) {
		if (!b.on || (a.on && a.index < b.index)) {
			r.backward = true;
			r.fell |= c->last[a.k] != 0;
			walk_next(&a);
		} else if (!a.on || b.index < a.index) {
			r.forward = true;
			walk_next(&b);
		} else {
			r.fell |= v[b.k] < c->last[a.k];
			walk_next(&a);
			walk_next(&b);
		}
	}
	return r;
}

static void side_spans(struct enc_side *c, const struct hist_span *s, uint32_t n)
{
	if (n > c->spans_cap || !c->spans)
		c->spans = vec_grow(c->spans, &c->spans_cap, n + 1, sizeof *c->spans);
	if (n)
		memmove(c->spans, s, n * sizeof *s);
	c->n_spans = n;
	c->n = 0;
	for (uint32_t i = 0; i < n; i++)
		c->n += s[i].length;
}

/* c's spans become the union with s, in the fewest spans. */
static void side_unite(struct enc_side *c, const struct hist_span *s, uint32_t n)
{
	struct walk a = walk_begin(c->spans, c->n_spans), b = walk_begin(s, n);
	struct hist_span *out = NULL;
	size_t cap = 0, k = 0;
	int64_t behind = 0; /* index after the last bucket */
	while (a.on || b.on) {
		bool from_a = a.on && (!b.on || a.index <= b.index);
		int64_t index = from_a ? a.index : b.index;
		if (b.on && b.index == index)
			walk_next(&b);
		if (from_a)
			walk_next(&a);
		if (k > 0 && index == behind) {
			out[k - 1].length++;
		} else {
			if (k == cap)
				out = vec_grow(out, &cap, k + 1, sizeof *out);
			out[k++] = (struct hist_span){ (int32_t)(index - behind), 1 };
		}
		behind = index + 1;
	}
	side_spans(c, out, (uint32_t)k);
	free(out);
}

/* The histogram's buckets in the order of c's layout, which has all of them. */
static double *widen(const struct enc_side *c, const struct hist_span *s, uint32_t n,
		     const double *v, double **out, size_t *cap)
{
	if (c->n > *cap || !*out)
		*out = vec_grow(*out, cap, c->n + 1, sizeof **out);
	if (same_spans(c, s, n)) {
		if (c->n)
			memcpy(*out, v, c->n * sizeof **out);
		return *out;
	}
	struct walk a = walk_begin(c->spans, c->n_spans), b = walk_begin(s, n);
	for (; a.on; walk_next(&a)) {
		bool hit = b.on && a.index == b.index;
		(*out)[a.k] = hit ? v[b.k] : 0;
		if (hit)
			walk_next(&b);
	}
	return *out;
}

/* Room for n values of the sample before, all zero. */
static void side_clear(struct enc_side *c)
{
	size_t n = c->n + 1;
	if (n > c->cap)
		c->last = vec_grow(c->last, &c->cap, n, sizeof *c->last);
	if (n > c->delta_cap)
		c->delta = vec_grow(c->delta, &c->delta_cap, n, sizeof *c->delta);
	if (n > c->change_cap)
		c->change = vec_grow(c->change, &c->change_cap, n, sizeof *c->change);
	if (n > c->window_cap)
		c->window = vec_grow(c->window, &c->window_cap, n, sizeof *c->window);
	for (size_t i = 0; i < n; i++) {
		c->last[i] = 0;
		c->delta[i] = c->change[i] = 0;
		c->window[i] = (struct bits_window){ 0xff, 0 };
	}
}

/* ---- writing samples ---- */

static bool whole(double v)
{
	return v >= 0 && v <= INT_MAX_F && v == floor(v);
}

static int check_whole(const struct hist *h, struct err *e)
{
	bool ok = whole(h->count) && whole(h->zero_count);
	for (uint32_t i = 0; ok && i < h->n_pos; i++)
		ok = whole(h->pos[i]);
	for (uint32_t i = 0; ok && i < h->n_neg; i++)
		ok = whole(h->neg[i]);
	return ok ? 0
		  : err_set(NULL, e, E_INVALID, "chunk: counts are not whole numbers");
}

static void put_int_side(struct chunk_encoder *w, struct enc_side *c, const double *v)
{
	int64_t before = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		int64_t now = (int64_t)v[i], delta = now - before;
		before = now;
		if (w->count == 0) {
			bitw_varbit_int(&w->w, delta);
		} else {
			uint64_t change = (uint64_t)delta - (uint64_t)c->delta[i];
			bitw_varbit_int(&w->w,
					(int64_t)(change - (uint64_t)c->change[i]));
			c->change[i] = (int64_t)change;
		}
		c->delta[i] = delta;
	}
}

#define XOR_BYTES                                                                        \
	10 /* two control bits, a window of 11, 64 bits: what one value takes at most */

/* Values behind the first sample's: the stream in registers, the code of a value in one store or two. */
static void put_xors(struct bitw *w, struct enc_side *c, const double *v)
{
	uint64_t acc = (uint64_t)w->last << 56;
	unsigned fill = w->pending;
	uint8_t *p = w->out.p + w->out.n;
#define PUT(x, bits)                                                                     \
	do {                                                                             \
		acc |= (uint64_t)(x) << (64 - (bits)) >> fill;                           \
		fill += (bits);                                                          \
		uint64_t be = __builtin_bswap64(acc);                                    \
		memcpy(p, &be, 8);                                                       \
		p += fill >> 3;                                                          \
		acc <<= fill & 56;                                                       \
		fill &= 7;                                                               \
	} while (0)
	for (uint32_t i = 0; i < c->n; i++) {
		uint64_t x = f64_bits(v[i]) ^ f64_bits(c->last[i]);
		struct bits_window *win = &c->window[i];
		if (x == 0) {
			PUT(0, 1);
			continue;
		}
		unsigned lead = MIN((unsigned)__builtin_clzll(x), 31u),
			 trail = (unsigned)__builtin_ctzll(x);
		uint64_t code = 2;
		unsigned n = 2;
		if (win->leading == 0xff || lead < win->leading ||
		    trail < win->trailing) {
			*win = (struct bits_window){ (uint8_t)lead, (uint8_t)trail };
			code = 3u << 11 | lead << 6 | ((64 - lead - trail) & 63);
			n = 13;
		}
		unsigned sig = 64u - win->leading - win->trailing;
		x >>= win->trailing;
		if (n + sig <= 56) {
			PUT(code << sig | x, n + sig);
			continue;
		}
		PUT(code, n);
		if (sig > 32) {
			PUT(x >> 32, sig - 32);
			x &= 0xffffffffu;
			sig = 32;
		}
		PUT(x, sig);
	}
#undef PUT
	w->last = (uint8_t)(acc >> 56);
	w->pending = fill;
	w->out.n = (size_t)(p - w->out.p);
}

static void put_float_side(struct chunk_encoder *w, struct enc_side *c, const double *v)
{
	if (w->count > 0 && buf_room(&w->w.out, (size_t)c->n * XOR_BYTES + 8)) {
		put_xors(&w->w, c, v);
		return;
	}
	for (uint32_t i = 0; i < c->n; i++) {
		uint64_t bits = f64_bits(v[i]);
		if (w->count == 0)
			bitw_put(&w->w, bits, 64);
		else
			bitw_xor(&w->w, bits, f64_bits(c->last[i]), &c->window[i]);
	}
}

static void put_counts_int(struct chunk_encoder *w, const struct hist *h)
{
	uint64_t n = (uint64_t)h->count, z = (uint64_t)h->zero_count;
	if (w->count == 0) {
		bitw_varbit_uint(&w->w, n);
		bitw_varbit_uint(&w->w, z);
		w->obs_delta = w->zero_delta = 0;
	} else {
		int64_t dn = (int64_t)(n - w->n_obs), dz = (int64_t)(z - w->n_zero);
		bool stale = hist_is_stale(h);
		bitw_varbit_int(&w->w,
				stale ? 0
				      : (int64_t)((uint64_t)dn - (uint64_t)w->obs_delta));
		bitw_varbit_int(&w->w, stale ? 0
					     : (int64_t)((uint64_t)dz -
							 (uint64_t)w->zero_delta));
		w->obs_delta = dn;
		w->zero_delta = dz;
	}
	w->n_obs = n;
	w->n_zero = z;
}

static void put_counts_float(struct chunk_encoder *w, const struct hist *h)
{
	uint64_t n = f64_bits(h->count), z = f64_bits(h->zero_count);
	if (w->count == 0) {
		bitw_put(&w->w, n, 64);
		bitw_put(&w->w, z, 64);
	} else {
		bitw_xor(&w->w, n, w->n_obs, &w->obs_w);
		bitw_xor(&w->w, z, w->n_zero, &w->zero_w);
	}
	w->n_obs = n;
	w->n_zero = z;
}

/* vals: both sides in the order of the layout. */
static int put_sample(struct chunk_encoder *w, int64_t t, const struct hist *h,
		      double *const *vals, struct err *e)
{
	bool is_float = hist_is_float(w->enc);
	int64_t before = w->t;
	uint64_t sum = f64_bits(h->sum);
	int64_t delta = (int64_t)((uint64_t)t - (uint64_t)w->t);
	if (w->count == 0) {
		bitw_varbit_int(&w->w, t);
		delta = 0;
	} else {
		bitw_varbit_int(&w->w, (int64_t)((uint64_t)delta - (uint64_t)w->t_delta));
	}
	if (is_float)
		put_counts_float(w, h);
	else
		put_counts_int(w, h);
	if (w->count == 0)
		bitw_put(&w->w, sum, 64);
	else
		bitw_xor(&w->w, sum, w->v, &w->v_w);
	for (int i = 0; i < 2 && !hist_is_stale(h); i++) {
		if (is_float)
			put_float_side(w, &w->side[i], vals[i]);
		else
			put_int_side(w, &w->side[i], vals[i]);
		memcpy(w->side[i].last, vals[i], w->side[i].n * sizeof(double));
	}
	if (hist_has_st(w->enc))
		st_put(&w->st, &w->w, &w->w.out.p[2], w->count, t, before, w->start);
	w->t = t;
	w->t_delta = delta;
	w->v = sum;
	w->last_count = h->count;
	w->last_zero = h->zero_count;
	w->last_sum = h->sum;
	return encoder_done(w, e);
}

static void put_layout(struct chunk_encoder *w)
{
	struct hist_layout l = { w->schema,	   w->zero_threshold,  w->side[0].spans,
				 w->side[1].spans, w->side[0].n_spans, w->side[1].n_spans,
				 w->side[0].n,	   w->side[1].n,       w->bounds,
				 w->n_bounds };
	if (!hist_has_st(w->enc)) /* else encoder_done puts it beside the count */
		w->w.out.p[2] = (uint8_t)(w->header << 6);
	hist_layout_put(&w->w, &l);
	side_clear(&w->side[0]);
	side_clear(&w->side[1]);
}

static void take_layout(struct chunk_encoder *w, const struct hist *h)
{
	w->schema = h->schema;
	w->zero_threshold = h->zero_threshold;
	if (h->n_bounds > w->bounds_cap || !w->bounds)
		w->bounds = vec_grow(w->bounds, &w->bounds_cap, h->n_bounds + 1,
				     sizeof *w->bounds);
	if (h->n_bounds)
		memcpy(w->bounds, h->bounds, h->n_bounds * sizeof *w->bounds);
	w->n_bounds = h->n_bounds;
	side_spans(&w->side[0], h->pos_spans, h->n_pos_spans);
	side_spans(&w->side[1], h->neg_spans, h->n_neg_spans);
}

static double *const *widen_both(struct chunk_encoder *w, const struct hist *h)
{
	widen(&w->side[0], h->pos_spans, h->n_pos_spans, h->pos, &w->vals[0],
	      &w->vals_cap[0]);
	widen(&w->side[1], h->neg_spans, h->n_neg_spans, h->neg, &w->vals[1],
	      &w->vals_cap[1]);
	return w->vals;
}

/* ---- what comes next ---- */

enum verdict { FITS, NEW_CHUNK };
struct judged {
	enum verdict verdict;
	enum reset_header header; /* for the next chunk */
	struct relation side[2];
};

static bool same_bounds(const struct chunk_encoder *w, const struct hist *h)
{
	if (w->n_bounds != h->n_bounds)
		return false;
	for (uint32_t i = 0; i < h->n_bounds; i++)
		if (w->bounds[i] != h->bounds[i])
			return false;
	return true;
}

static struct judged judge(const struct chunk_encoder *w, const struct hist *h)
{
	struct judged j = { NEW_CHUNK, RESET_UNKNOWN, { { 0 }, { 0 } } };
	bool gauge = h->hint == HIST_GAUGE, was_stale = is_stale_nan(w->last_sum);
	if (gauge)
		j.header = RESET_GAUGE;
	if (gauge != (w->header == RESET_GAUGE))
		return j;
	if (h->hint == HIST_RESET) {
		j.header = RESET_YES;
		return j;
	}
	if (hist_is_stale(h)) {
		j.verdict = FITS;
		j.header = gauge ? RESET_GAUGE : RESET_NO;
		return j;
	}
	if (was_stale)
		return j;
	if (!gauge && h->count < w->last_count) {
		j.header = RESET_YES;
		return j;
	}
	if (h->schema != w->schema || h->zero_threshold != w->zero_threshold)
		return j;
	bool bounds = h->schema != HIST_CUSTOM || same_bounds(w, h);
	j.side[0] = relate(&w->side[0], h->pos_spans, h->n_pos_spans, h->pos);
	j.side[1] = relate(&w->side[1], h->neg_spans, h->n_neg_spans, h->neg);
	if (!gauge && (!bounds || h->zero_count < w->last_zero || j.side[0].fell ||
		       j.side[1].fell)) {
		j.header = RESET_YES;
		return j;
	}
	if (!bounds)
		return j;
	j.verdict = FITS;
	j.header = gauge ? RESET_GAUGE : RESET_NO;
	return j;
}

/* Write all samples again under the wider layout that side[] has now. */
static int recode(struct chunk_encoder *w, struct err *e)
{
	struct arena a;
	struct hist_state s;
	struct hist h;
	int rc = -1;
	arena_init(&a, NULL);
	struct str old = str_dup(&a, bitw_view(&w->w));
	struct chunk_part c = { (const uint8_t *)old.p, (uint32_t)old.n,
				(uint8_t)w->enc };
	if (hist_begin(&s, &a, c, e) < 0)
		goto out;
	double *v = ARENA_ARRAY(&a, double, s.l.n_pos + s.l.n_neg + 1);
	enum reset_header header = w->header;
	int64_t start = w->start;
	chunk_encoder_begin(w, w->enc);
	w->header = header;
	put_layout(w);
	while ((rc = hist_next(&s, &h, v, e)) > 0) {
		w->start = s.st.st;
		if (put_sample(w, s.t, &h, widen_both(w, &h), e) < 0) {
			rc = -1;
			break;
		}
	}
	w->start = start;
out:
	arena_deinit(&a);
	return rc;
}

static int add_first(struct chunk_encoder *w, int64_t t, const struct hist *h,
		     struct err *e)
{
	enum reset_header header = RESET_UNKNOWN;
	if (h->hint == HIST_GAUGE)
		header = RESET_GAUGE;
	else if (h->hint == HIST_RESET)
		header = RESET_YES;
	else if (w->header_given)
		header = w->header;
	else if (w->has_header && t == w->refused_t)
		header = w->header;
	else if (w->carry)
		header = judge(w, h).header;
	w->header = header;
	w->has_header = w->header_given = w->carry = false;
	take_layout(w, h);
	put_layout(w);
	return put_sample(w, t, h, widen_both(w, h), e);
}

static int add_later(struct chunk_encoder *w, int64_t t, const struct hist *h,
		     struct err *e)
{
	struct judged j = judge(w, h);
	if (j.verdict == NEW_CHUNK) {
		w->header = j.header;
		w->has_header = true;
		w->refused_t = t;
		return 1;
	}
	if (hist_is_stale(h))
		return put_sample(w, t, h, w->vals, e);
	if (j.side[0].forward || j.side[1].forward) {
		const struct hist_span *s[2] = { h->pos_spans, h->neg_spans };
		uint32_t n[2] = { h->n_pos_spans, h->n_neg_spans };
		for (int i = 0; i < 2; i++) {
			if (j.side[i].backward)
				side_unite(&w->side[i], s[i], n[i]);
			else
				side_spans(&w->side[i], s[i], n[i]);
		}
		if (recode(w, e) < 0)
			return -1;
	}
	return put_sample(w, t, h, widen_both(w, h), e);
}

int chunk_encoder_hist(struct chunk_encoder *w, int64_t t_ms, const struct hist *h,
		       struct err *e)
{
	struct hist stale = { .sum = h->sum, .is_int = h->is_int, .hint = h->hint };
	if (w->enc < CHUNK_HIST || w->enc == CHUNK_XOR2 || w->enc > CHUNK_FLOATHIST_ST)
		return err_set(NULL, e, E_INVALID, "chunk: histogram in a %s chunk",
			       chunk_enc_name(w->enc));
	if (encoder_may_add(w, t_ms, e) < 0)
		return -1;
	if (hist_is_stale(h))
		h = &stale;
	if (hist_validate_layout(h, e) < 0 ||
	    (!hist_is_float(w->enc) && check_whole(h, e) < 0))
		return -1;
	return w->count == 0 ? add_first(w, t_ms, h, e) : add_later(w, t_ms, h, e);
}
