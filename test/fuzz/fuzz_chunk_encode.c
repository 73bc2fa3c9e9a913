/*
 * Every encoder against its decoder: the input is a program of samples (times, values, histograms that grow, fall,
 * change their layout, go stale), the first byte chooses the encoding. What was appended must be decoded again: times,
 * start timestamps, bits of values, and of histograms all that is said of a bucket that is not empty.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tsdb/chunk/chunk.h"
#include "wire/rd.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define SAMPLES_MAX 200
#define BUCKETS	    6 /* of a span, at most */
#define SPANS	    3

struct sample {
	int64_t t, st;
	double v;
	struct hist *h;
};
struct run {
	struct rd r;
	struct arena a;
	enum chunk_enc enc;
	bool is_float, is_int, has_start;
	struct chunk_encoder *w;
	struct sample *s; /* of the chunk that is under way */
	size_t n;
	struct hist h; /* the last histogram */
	int64_t t;
};

static void must(bool good)
{
	if (!good)
		abort();
}

/* ---- what was meant, and what is shown ---- */

static bool next_used(struct hist_iter *it, struct hist_bucket *b)
{
	while (hist_iter_next(it, b))
		if (f64_bits(b->count) != 0)
			return true;
	return false;
}

static void same_hist(const struct hist *want, const struct hist *got)
{
	struct hist_iter x, y;
	struct hist_bucket bx, by;
	must(f64_bits(want->sum) == f64_bits(got->sum));
	if (hist_is_stale(want))
		return;
	must(want->schema == got->schema && want->n_bounds == got->n_bounds);
	must(f64_bits(want->zero_threshold) == f64_bits(got->zero_threshold));
	must(f64_bits(want->zero_count) == f64_bits(got->zero_count));
	must(f64_bits(want->count) == f64_bits(got->count));
	for (uint32_t i = 0; i < want->n_bounds; i++)
		must(f64_bits(want->bounds[i]) == f64_bits(got->bounds[i]));
	hist_iter_init(&x, want);
	hist_iter_init(&y, got);
	for (;;) {
		bool more = next_used(&x, &bx);
		must(more == next_used(&y, &by));
		if (!more)
			break;
		must(bx.index == by.index && f64_bits(bx.count) == f64_bits(by.count));
	}
}

/* The encoder of whole columns writes the same bytes. */
static void check_columns(struct run *r, struct chunk_part want)
{
	int64_t t[SAMPLES_MAX];
	double v[SAMPLES_MAX];
	struct buf b;
	struct err e;
	for (size_t i = 0; i < r->n; i++) {
		t[i] = r->s[i].t;
		v[i] = r->s[i].v;
	}
	buf_init(&b, 1 << 20);
	must(chunk_xor_encode(&b, t, v, r->n, &e) == 0);
	must(str_eq(buf_view(&b), str_n(want.p, want.n)));
	buf_deinit(&b);
}

static void check(struct run *r)
{
	struct chunk_part part = chunk_encoder_part(r->w);
	struct chunk_decoder *d = chunk_decoder_new(&r->a);
	struct columns c;
	struct err e;
	size_t at = 0;
	int rc;
	if (r->n == 0)
		return;
	must(chunk_count(part) == r->n && part.enc == r->enc);
	must(chunk_decoder_reset(d, part, &e) == 0);
	while ((rc = chunk_decoder_next(d, &c, &e)) > 0)
		for (size_t i = 0; i < c.n; i++, at++) {
			const struct sample *s = &r->s[at];
			must(at < r->n && c.t_ms[i] == s->t);
			must((c.st_ms ? c.st_ms[i] : 0) == s->st);
			if (r->is_float)
				must(f64_bits(c.v[i]) == f64_bits(s->v));
			else
				same_hist(s->h, c.h[i]);
		}
	must(rc == 0 && at == r->n);
	if (r->enc == CHUNK_XOR)
		check_columns(r, part);
	r->n = 0;
}

/* ---- the program ---- */

static double any_double(struct run *r)
{
	static const uint64_t odd[] = { STALE_NAN_BITS, NORMAL_NAN_BITS, 0, 1ull << 63,
					0x7ff0000000000000ull };
	uint8_t op = rd_u8(&r->r);
	if (op < 128)
		return op;
	if (op < 200)
		return f64_of_bits(odd[op % 5]);
	return f64_of_bits(rd_be64(&r->r));
}

static double any_count(struct run *r)
{
	uint8_t op = rd_u8(&r->r);
	if (op < 250)
		return op;
	return r->is_int ? (double)(rd_be64(&r->r) >> 11) : any_double(r);
}

static const struct hist_span *any_spans(struct run *r, uint32_t *n, uint32_t *buckets)
{
	struct hist_span *s = ARENA_ARRAY(&r->a, struct hist_span, SPANS);
	bool custom = r->h.schema == HIST_CUSTOM;
	*n = rd_u8(&r->r) % (custom ? 2 : SPANS + 1);
	*buckets = 0;
	for (uint32_t i = 0; i < *n; i++) {
		s[i].offset = rd_u8(&r->r) % 5;
		if (i == 0 && !custom)
			s[i].offset -= 2;
		s[i].length = rd_u8(&r->r) % (BUCKETS + 1);
		if (custom) { /* buckets: one more than bounds */
			uint32_t most = r->h.n_bounds + 1;
			s[i].offset = (int32_t)MIN((uint32_t)s[i].offset, most);
			s[i].length = MIN(s[i].length, most - (uint32_t)s[i].offset);
		}
		*buckets += s[i].length;
	}
	return s;
}

static const double *any_counts(struct run *r, uint32_t n)
{
	double *v = ARENA_ARRAY(&r->a, double, n + 1);
	for (uint32_t i = 0; i < n; i++)
		v[i] = any_count(r);
	return v;
}

static void new_layout(struct run *r)
{
	struct hist *h = &r->h;
	uint8_t op = rd_u8(&r->r);
	*h = (struct hist){ .is_int = r->is_int };
	h->schema = op % 16 == 15 ? HIST_CUSTOM : op % 13 - 4;
	if (h->schema == HIST_CUSTOM) {
		double *b = ARENA_ARRAY(&r->a, double, BUCKETS);
		h->n_bounds = rd_u8(&r->r) % BUCKETS;
		for (uint32_t i = 0; i < h->n_bounds; i++)
			b[i] = (i ? b[i - 1] : 0) + 1 + rd_u8(&r->r) / 8.0;
		h->bounds = b;
	} else {
		h->zero_threshold = op & 16 ? 0 : op & 32 ? 0.125 : 0.001;
		h->zero_count = any_count(r);
	}
	h->hint = op & 64 ? HIST_GAUGE : HIST_UNKNOWN;
	h->count = any_count(r);
	h->sum = any_double(r);
	h->pos_spans = any_spans(r, &h->n_pos_spans, &h->n_pos);
	h->pos = any_counts(r, h->n_pos);
	if (h->schema == HIST_CUSTOM)
		return;
	h->neg_spans = any_spans(r, &h->n_neg_spans, &h->n_neg);
	h->neg = any_counts(r, h->n_neg);
}

/* The same buckets, higher. */
static void grow(struct run *r)
{
	double *v = ARENA_ARRAY(&r->a, double, r->h.n_pos + 1);
	for (uint32_t i = 0; i < r->h.n_pos; i++)
		v[i] = r->h.pos[i] + rd_u8(&r->r) % 4;
	r->h.pos = v;
	r->h.count += rd_u8(&r->r);
	r->h.sum = any_double(r);
	if (r->is_int && (r->h.count > 0x1p53 || r->h.sum != r->h.sum))
		new_layout(r);
	for (uint32_t i = 0; r->is_int && i < r->h.n_pos; i++)
		if (r->h.pos[i] > 0x1p53)
			new_layout(r);
}

static bool next_time(struct run *r, struct sample *s)
{
	uint8_t op = rd_u8(&r->r);
	uint64_t d = op < 100	? 15000
		     : op < 200 ? op
		     : op < 250 ? rd_be16(&r->r) * 1000u
				: rd_be64(&r->r) >> 4;
	if (d == 0 || r->t > INT64_MAX - (int64_t)d)
		return false;
	s->t = r->t += (int64_t)d;
	s->st = r->has_start && op % 3 ? s->t - op * 1000 : 0;
	return true;
}

static void append(struct run *r, struct sample *s)
{
	struct err e;
	chunk_encoder_start(r->w, s->st);
	if (r->is_float) {
		s->v = any_double(r);
		must(chunk_encoder_float(r->w, s->t, s->v, &e) == 0);
	} else {
		if (r->n == 0 || rd_u8(&r->r) % 4 == 0)
			new_layout(r);
		else
			grow(r);
		s->h = hist_dup(&r->a, &r->h);
		int rc = chunk_encoder_hist(r->w, s->t, s->h, &e);
		if (rc < 0) {
			fprintf(stderr, "chunk_encode: %s\n", err_text(&e));
			abort();
		}
		if (rc == 1) { /* the sample begins the next chunk */
			check(r);
			chunk_encoder_begin(r->w, r->enc);
			chunk_encoder_start(r->w, s->st);
			must(chunk_encoder_hist(r->w, s->t, s->h, &e) == 0);
		}
	}
	r->s[r->n++] = *s;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct run r = { .r = rd_n(p, n), .t = -30000 };
	r.enc = 1 + rd_u8(&r.r) % 6;
	r.is_float = r.enc == CHUNK_XOR || r.enc == CHUNK_XOR2;
	r.is_int = r.enc == CHUNK_HIST || r.enc == CHUNK_HIST_ST;
	r.has_start = r.enc >= CHUNK_XOR2;
	arena_init(&r.a, NULL);
	r.s = ARENA_ARRAY(&r.a, struct sample, SAMPLES_MAX);
	r.w = chunk_encoder_new();
	chunk_encoder_begin(r.w, r.enc);
	for (size_t i = 0; i < SAMPLES_MAX && rd_left(&r.r); i++) {
		struct sample s = { 0 };
		if (!next_time(&r, &s))
			break;
		append(&r, &s);
	}
	check(&r);
	chunk_encoder_free(r.w);
	arena_deinit(&r.a);
	return 0;
}
