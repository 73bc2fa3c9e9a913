/*
 * tsdb/chunk/hist_decode.c - native histograms, integer (2) and float (3), with start timestamps (5 and 6).
 *
 *   2, 3: u16 BE count | flags: top two bits are the reset header | layout | sample 0 | samples...
 *   5, 6: u16 BE: 2 bits reset header, 14 bits count | start timestamp header (st.h) | the same, and behind
 *         each sample the code of its start timestamp
 *   layout  zero threshold, schema, positive spans, negative spans, custom bounds (schema -53)
 *   integer, sample 0: t, count, zero count, sum (64 bits), buckets as deltas between neighbours;
 *            later: change of change of t, count, zero count and each bucket, sum XORed
 *   float,   sample 0: t, then 64 bits each; later: change of change of t, the rest XORed, each
 *            bucket with a window of its own
 * A stale sample (its sum is the stale marker) has no buckets. Later samples of a chunk of counters
 * did not reset (a reset begins a chunk); about the first one nothing is known: the chunk before may
 * be missing. Arithmetic on foreign numbers is unsigned, so that it wraps instead of being undefined.
 * Source  prometheus.md §1.5
 */
#include "tsdb/chunk/hist_int.h"

#include <math.h>

int hist_begin(struct hist_state *s, struct arena *a, struct chunk_part c, struct err *e)
{
	*s = (struct hist_state){ .is_float = hist_is_float(c.enc), .enc = c.enc };
	if (c.n < 3)
		return err_set(NULL, e, E_CORRUPT, "%s chunk: %u bytes",
			       chunk_enc_name(c.enc), c.n);
	s->total = chunk_count(c);
	s->header = hist_header(c);
	if (hist_has_st(c.enc))
		st_begin(&s->st, c.p[2]);
	bits_init(&s->b, c.p + 3, c.n - 3);
	if (s->total == 0)
		return 0;
	if (hist_layout_get(&s->b, a, &s->l, e) < 0)
		return -1;
	size_t n = (size_t)s->l.n_pos + s->l.n_neg;
	if (n >
	    bits_left(
		    &s->b)) /* a bucket takes a bit at least, unless sample 0 is stale */
		return err_set(NULL, e, E_CORRUPT, "%s chunk: %zu buckets in %u bytes",
			       chunk_enc_name(c.enc), n, c.n);
	s->value = arena_try(a, NULL, MAX(n, 1u) * sizeof *s->value, e);
	if (!s->value)
		return -1;
	if (s->is_float) {
		s->window = arena_try(a, NULL, MAX(n, 1u) * sizeof *s->window, e);
		if (!s->window)
			return -1;
		memset(s->window, 0, n * sizeof *s->window);
	} else {
		bits_varbit_prepare();
		s->delta = arena_try(a, NULL, MAX(n, 1u) * sizeof *s->delta, e);
		if (!s->delta)
			return -1;
		memset(s->delta, 0, n * sizeof *s->delta);
	}
	return 0;
}

static void first_int(struct hist_state *s, size_t n)
{
	s->t = bits_varbit_int(&s->b);
	s->count = bits_varbit_uint(&s->b);
	s->zero = bits_varbit_uint(&s->b);
	s->sum = bits_get(&s->b, 64);
	for (size_t i = 0; i < n; i++)
		s->value[i] = (uint64_t)bits_varbit_int(&s->b);
}

static void first_float(struct hist_state *s, size_t n)
{
	s->t = bits_varbit_int(&s->b);
	s->count = bits_get(&s->b, 64);
	s->zero = bits_get(&s->b, 64);
	s->sum = bits_get(&s->b, 64);
	for (size_t i = 0; i < n; i++)
		s->value[i] = bits_get(&s->b, 64);
}

/* *delta += change, *v += *delta, both wrapping. */
static void step(int64_t *delta, uint64_t *v, int64_t change)
{
	*delta = (int64_t)((uint64_t)*delta + (uint64_t)change);
	*v += (uint64_t)*delta;
}

#define INLINE static inline __attribute__((always_inline))

/* The buckets of a sample: nearly all of the work. The stream is a copy that lives in registers. */
INLINE void float_buckets(struct hist_state *s, size_t n)
{
	struct bits b = s->b;
	for (size_t i = 0; i < n; i++)
		bits_get_xor_inline(&b, &s->value[i], &s->window[i]);
	s->b = b;
}

static void float_buckets_any(struct hist_state *s, size_t n)
{
	float_buckets(s, n);
}

#if BITS_ASK_LZCNT
/* Shifts by a register and leading zeros in one operation each. */
#define TARGET __attribute__((target("bmi2,lzcnt")))
TARGET static void float_buckets_bmi2(struct hist_state *s, size_t n)
{
	float_buckets(s, n);
}

static bool has_bmi2(void)
{
	return __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt");
}
#else
#define float_buckets_bmi2 float_buckets_any
static bool has_bmi2(void)
{
	return false;
}
#endif

static void later_int(struct hist_state *s, size_t n)
{
	step(&s->count_delta, &s->count, bits_varbit_int(&s->b));
	step(&s->zero_delta, &s->zero, bits_varbit_int(&s->b));
	bits_get_xor(&s->b, &s->sum, &s->sum_w);
	if (s->sum == STALE_NAN_BITS)
		return;
	bits_varbit_steps(&s->b, n, s->delta, s->value);
}

static void later_float(struct hist_state *s, size_t n)
{
	bits_get_xor(&s->b, &s->count, &s->count_w);
	bits_get_xor(&s->b, &s->zero, &s->zero_w);
	bits_get_xor(&s->b, &s->sum, &s->sum_w);
	if (s->sum == STALE_NAN_BITS)
		return;
	if (has_bmi2())
		float_buckets_bmi2(s, n);
	else
		float_buckets_any(s, n);
}

/* Integer buckets become absolute: each is the one before it plus its delta. */
static void absolute(const uint64_t *deltas, uint32_t n, double *v)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < n; i++) {
		sum += deltas[i];
		v[i] = (double)(int64_t)sum;
	}
}

static void show(const struct hist_state *s, struct hist *h, double *v)
{
	const struct hist_layout *l = &s->l;
	*h = (struct hist){ .is_int = !s->is_float, .sum = f64_of_bits(s->sum) };
	if (s->sum == STALE_NAN_BITS)
		return; /* nothing else of it counts */
	h->schema = l->schema;
	h->zero_threshold = l->zero_threshold;
	if (s->header == RESET_GAUGE)
		h->hint = HIST_GAUGE;
	else
		h->hint = s->done > 1 ? HIST_NOT_RESET : HIST_UNKNOWN;
	h->pos_spans = l->pos_spans;
	h->neg_spans = l->neg_spans;
	h->n_pos_spans = l->n_pos_spans;
	h->n_neg_spans = l->n_neg_spans;
	h->bounds = l->bounds;
	h->n_bounds = l->n_bounds;
	h->n_pos = l->n_pos;
	h->n_neg = l->n_neg;
	h->pos = v;
	h->neg = v + l->n_pos;
	if (s->is_float) {
		h->count = f64_of_bits(s->count);
		h->zero_count = f64_of_bits(s->zero);
		memcpy(v, s->value, ((size_t)l->n_pos + l->n_neg) * sizeof *v);
		return;
	}
	h->count = (double)s->count;
	h->zero_count = (double)s->zero;
	absolute(s->value, l->n_pos, v);
	absolute(s->value + l->n_pos, l->n_neg, v + l->n_pos);
}

int hist_next(struct hist_state *s, struct hist *h, double *v, struct err *e)
{
	const char *name = chunk_enc_name(s->enc);
	size_t n = (size_t)s->l.n_pos + s->l.n_neg;
	int64_t last = s->t;
	if (s->done == s->total)
		return 0;
	if (s->done == 0) {
		if (s->is_float)
			first_float(s, n);
		else
			first_int(s, n);
	} else {
		uint64_t t = (uint64_t)s->t;
		step(&s->t_delta, &t, bits_varbit_int(&s->b));
		s->t = (int64_t)t;
		if (s->is_float)
			later_float(s, n);
		else
			later_int(s, n);
	}
	if (st_any(&s->st))
		st_get(&s->st, &s->b, s->done, s->t, last);
	if (s->b.bad)
		return err_set(NULL, e, E_CORRUPT,
			       "%s chunk: %u samples, data end at sample %u", name,
			       s->total, s->done);
	if (s->done > 0 && s->t < last && !s->any_order)
		return err_set(NULL, e, E_CORRUPT,
			       "%s chunk: time of sample %u goes back", name, s->done);
	s->done++;
	show(s, h, v);
	return 1;
}

/* ---- schemas finer than 8 ---- */

struct coarse {
	struct hist_span *spans;
	double *v;
	uint32_t n_spans, n;
};

static struct coarse coarsen_side(struct arena *a, const struct hist_span *s, uint32_t n,
				  const double *v, uint32_t n_v, unsigned shift)
{
	struct coarse c = { arena_alloc(a, (n_v + 1) * sizeof *c.spans),
			    arena_alloc(a, (n_v + 1) * sizeof *c.v), 0, 0 };
	int64_t index = 0, last = 0;
	uint32_t k = 0;
	for (uint32_t i = 0; i < n; i++) {
		index += s[i].offset;
		for (uint32_t j = 0; j < s[i].length && k < n_v; j++, index++, k++) {
			int64_t to = ((index - 1) >> shift) + 1;
			if (c.n > 0 && to == last) {
				c.v[c.n - 1] += v[k];
				continue;
			}
			if (c.n > 0 && to == last + 1)
				c.spans[c.n_spans - 1].length++;
			else
				c.spans[c.n_spans++] = (struct hist_span){
					(int32_t)(c.n ? to - last - 1 : to), 1
				};
			c.v[c.n++] = v[k];
			last = to;
		}
	}
	return c;
}

void hist_coarsen(struct arena *a, struct hist *h)
{
	if (h->schema <= 8 || h->schema > 52)
		return;
	unsigned shift = (unsigned)h->schema - 8;
	struct coarse c =
		coarsen_side(a, h->pos_spans, h->n_pos_spans, h->pos, h->n_pos, shift);
	h->pos_spans = c.spans;
	h->n_pos_spans = c.n_spans;
	h->pos = c.v;
	h->n_pos = c.n;
	c = coarsen_side(a, h->neg_spans, h->n_neg_spans, h->neg, h->n_neg, shift);
	h->neg_spans = c.spans;
	h->n_neg_spans = c.n_spans;
	h->neg = c.v;
	h->n_neg = c.n;
	h->schema = 8;
}
