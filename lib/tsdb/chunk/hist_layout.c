/*
 * tsdb/chunk/hist_layout.c - what all histograms of a chunk have in common.
 *
 *   zero threshold  0: 0.0; 1..254: the power of two with exponent byte-243; 255: 64 bits follow
 *   schema          varbit int
 *   spans, twice    varbit uint how many, each: varbit uint length, varbit int offset
 *   custom bounds   only for schema -53: how many, each: varbit uint 1000*b+1 when that gives b back
 *                   and 1000*b is at most 33554430, else a zero bit (the code of 0) and 64 bits
 * Source  prometheus.md §1.5
 */
#include <math.h>

#include "tsdb/chunk/hist_int.h"

#define THRESHOLD_BIAS 243
#define BOUND_MAX      33554430.0

static double threshold_get(struct bits *b)
{
	unsigned code = (unsigned)bits_get(b, 8);
	if (code == 0)
		return 0;
	if (code == 255)
		return f64_of_bits(bits_get(b, 64));
	return ldexp(0.5, (int)code - THRESHOLD_BIAS);
}

static void threshold_put(struct bitw *w, double v)
{
	int exp;
	double frac = frexp(v, &exp);
	if (v == 0) {
		bitw_put(w, 0, 8);
	} else if (frac == 0.5 && exp >= -242 && exp <= 11) {
		bitw_put(w, (uint64_t)(exp + THRESHOLD_BIAS), 8);
	} else {
		bitw_put(w, 255, 8);
		bitw_put(w, f64_bits(v), 64);
	}
}

static int bad_layout(struct err *e, const char *what)
{
	return err_set(NULL, e, E_CORRUPT, "histogram chunk: layout: %s", what);
}

/* A count of entries that take at least `bits_each` bits. */
static int count_get(struct bits *b, uint64_t max, unsigned bits_each, const char *what,
		     uint32_t *out, struct err *e)
{
	uint64_t n = bits_varbit_uint(b);
	if (b->bad)
		return bad_layout(e, "cut short");
	if (n > max || n > bits_left(b) / bits_each)
		return bad_layout(e, what);
	*out = (uint32_t)n;
	return 0;
}

static int spans_get(struct bits *b, struct arena *a, struct hist_span **out, uint32_t *n,
		     uint32_t *buckets, struct err *e)
{
	uint64_t total = 0;
	if (count_get(b, HIST_SPANS_MAX, 2, "too many spans", n, e) < 0)
		return -1;
	struct hist_span *s = arena_try(a, NULL, MAX(*n, 1u) * sizeof *s, e);
	if (!s)
		return -1;
	for (uint32_t i = 0; i < *n; i++) {
		uint64_t len = bits_varbit_uint(b);
		int64_t off = bits_varbit_int(b);
		if (len > HIST_BUCKETS_MAX || off < INT32_MIN || off > INT32_MAX)
			return bad_layout(e, "span out of range");
		s[i] = (struct hist_span){ (int32_t)off, (uint32_t)len };
		total += len;
	}
	if (b->bad)
		return bad_layout(e, "cut short");
	if (total > HIST_BUCKETS_MAX)
		return bad_layout(e, "too many buckets");
	*buckets = (uint32_t)total;
	*out = s;
	return 0;
}

static int bounds_get(struct bits *b, struct arena *a, struct hist_layout *out,
		      struct err *e)
{
	if (count_get(b, HIST_BOUNDS_MAX, 1, "too many custom bounds", &out->n_bounds,
		      e) < 0)
		return -1;
	double *v = arena_try(a, NULL, MAX(out->n_bounds, 1u) * sizeof *v, e);
	if (!v)
		return -1;
	for (uint32_t i = 0; i < out->n_bounds; i++) {
		uint64_t code = bits_varbit_uint(b);
		v[i] = code ? (double)(code - 1) / 1000 : f64_of_bits(bits_get(b, 64));
	}
	out->bounds = v;
	return b->bad ? bad_layout(e, "cut short") : 0;
}

/* The checks of hist_validate that hold for the chunk as a whole. */
static int layout_check(const struct hist_layout *l, struct err *e)
{
	struct hist h = { .schema = l->schema > 8 && l->schema <= 52 ? 8 : l->schema,
			  .pos_spans = l->pos_spans,
			  .neg_spans = l->neg_spans,
			  .n_pos_spans = l->n_pos_spans,
			  .n_neg_spans = l->n_neg_spans,
			  .n_pos = l->n_pos,
			  .n_neg = l->n_neg,
			  .bounds = l->bounds,
			  .n_bounds = l->n_bounds };
	return hist_validate_layout(&h, e);
}

int hist_layout_get(struct bits *b, struct arena *a, struct hist_layout *out,
		    struct err *e)
{
	*out = (struct hist_layout){ .zero_threshold = threshold_get(b) };
	int64_t schema = bits_varbit_int(b);
	if (schema < INT32_MIN || schema > INT32_MAX)
		return bad_layout(e, "schema out of range");
	out->schema = (int32_t)schema;
	if (spans_get(b, a, &out->pos_spans, &out->n_pos_spans, &out->n_pos, e) < 0 ||
	    spans_get(b, a, &out->neg_spans, &out->n_neg_spans, &out->n_neg, e) < 0)
		return -1;
	if (out->schema == HIST_CUSTOM && bounds_get(b, a, out, e) < 0)
		return -1;
	return layout_check(out, e);
}

int chunk_hist_schema(struct chunk_part c, int32_t *schema)
{
	struct bits b;
	if (c.n < 3 || c.enc == CHUNK_XOR || c.enc == CHUNK_XOR2)
		return -1;
	bits_init(&b, c.p + 3, c.n - 3);
	threshold_get(&b);
	int64_t s = bits_varbit_int(&b);
	if (b.bad || s < INT32_MIN || s > 52)
		return -1;
	*schema = (int32_t)MIN(s, 8);
	return 0;
}

static void spans_put(struct bitw *w, const struct hist_span *s, uint32_t n)
{
	bitw_varbit_uint(w, n);
	for (uint32_t i = 0; i < n; i++) {
		bitw_varbit_uint(w, s[i].length);
		bitw_varbit_int(w, s[i].offset);
	}
}

static void bound_put(struct bitw *w, double v)
{
	double milli = v * 1000;
	if (milli >= 0 && milli <= BOUND_MAX && round(milli) / 1000 == v) {
		bitw_varbit_uint(w, (uint64_t)round(milli) + 1);
		return;
	}
	bitw_put(w, 0, 1);
	bitw_put(w, f64_bits(v), 64);
}

void hist_layout_put(struct bitw *w, const struct hist_layout *l)
{
	threshold_put(w, l->zero_threshold);
	bitw_varbit_int(w, l->schema);
	spans_put(w, l->pos_spans, l->n_pos_spans);
	spans_put(w, l->neg_spans, l->n_neg_spans);
	if (l->schema != HIST_CUSTOM)
		return;
	bitw_varbit_uint(w, l->n_bounds);
	for (uint32_t i = 0; i < l->n_bounds; i++)
		bound_put(w, l->bounds[i]);
}
