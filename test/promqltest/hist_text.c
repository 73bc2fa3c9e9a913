/*
 * test/promqltest/hist_text.c - histograms as text, {{schema:1 sum:3 buckets:[1 2]}}, and their comparison.
 */
#include "promqltest.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "model/hist_math.h"

static const char *const hints[] = { [HIST_UNKNOWN] = "unknown",
				     [HIST_RESET] = "reset",
				     [HIST_NOT_RESET] = "not_reset",
				     [HIST_GAUGE] = "gauge" };

static struct str skip(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_from(s, 1);
	return s;
}

/* Up to a blank or `stop`. */
static struct str take_until(struct str *s, char stop)
{
	size_t n = 0;
	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t' && s->p[n] != stop)
		n++;
	struct str word = str_n(s->p, n);
	*s = skip(str_from(*s, n));
	return word;
}

/* [1 2 3] */
static bool take_list(struct arena *a, struct str *s, double **v, uint32_t *n)
{
	if (!s->n || s->p[0] != '[')
		return false;
	*v = ARENA_ARRAY(a, double, s->n);
	*s = skip(str_from(*s, 1));
	while (s->n && s->p[0] != ']')
		if (!number_parse(take_until(s, ']'), &(*v)[(*n)++]))
			return false;
	if (!s->n)
		return false;
	*s = skip(str_from(*s, 1));
	return true;
}

struct hist_parts {
	double schema, offset, n_offset;
	double *pos, *neg, *bounds;
	uint32_t n_pos, n_neg, n_bounds;
};

static bool set_hint(struct hist *h, struct str word)
{
	for (uint8_t i = 0; i < ARRAY_LEN(hints); i++)
		if (str_eqz(word, hints[i])) {
			h->hint = i;
			return true;
		}
	return false;
}

static bool set_key(struct arena *a, struct str key, struct str *s, struct hist *h,
		    struct hist_parts *p, bool *hint_set)
{
	struct {
		const char *key;
		double *to;
	} numbers[] = { { "schema", &p->schema },    { "sum", &h->sum },
			{ "count", &h->count },	     { "z_bucket", &h->zero_count },
			{ "offset", &p->offset },    { "z_bucket_w", &h->zero_threshold },
			{ "n_offset", &p->n_offset } };
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		if (str_eqz(key, numbers[i].key))
			return number_parse(take_until(s, ' '), numbers[i].to);
	if (str_eqz(key, "buckets"))
		return take_list(a, s, &p->pos, &p->n_pos);
	if (str_eqz(key, "n_buckets"))
		return take_list(a, s, &p->neg, &p->n_neg);
	if (str_eqz(key, "custom_values"))
		return take_list(a, s, &p->bounds, &p->n_bounds);
	if (!str_eqz(key, "counter_reset_hint"))
		return false;
	*hint_set = true;
	return set_hint(h, take_until(s, ' '));
}

static void set_side(struct arena *a, double offset, uint32_t n,
		     const struct hist_span **spans, uint32_t *n_spans)
{
	if (n == 0)
		return;
	struct hist_span *one = ARENA_NEW(a, struct hist_span);
	*one = (struct hist_span){ (int32_t)offset, n };
	*spans = one;
	*n_spans = 1;
}

int hist_text_parse(struct arena *a, struct str s, struct hist **out, bool *hint_set,
		    struct err *e)
{
	struct hist *h = ARENA_NEW(a, struct hist);
	struct hist_parts p = { 0 };
	struct str rest = skip(s);
	*hint_set = false;
	while (rest.n) {
		ptrdiff_t colon = str_find_char(rest, ':');
		struct str key = str_n(rest.p, colon < 0 ? 0 : (size_t)colon);
		if (colon >= 0)
			rest = skip(str_from(rest, (size_t)colon + 1));
		if (colon < 0 || !set_key(a, key, &rest, h, &p, hint_set))
			return err_set(NULL, e, E_PARSE, "not a histogram: %.*s",
				       STR_FMT(s));
	}
	h->schema = (int32_t)p.schema;
	h->pos = p.pos;
	h->neg = p.neg;
	h->bounds = p.bounds;
	h->n_pos = p.n_pos;
	h->n_neg = p.n_neg;
	h->n_bounds = p.n_bounds;
	set_side(a, p.offset, p.n_pos, &h->pos_spans, &h->n_pos_spans);
	set_side(a, p.n_offset, p.n_neg, &h->neg_spans, &h->n_neg_spans);
	*out = h;
	return 0;
}

/* ---- buckets as (index, count) ---- */

struct bucket {
	int32_t index;
	double count;
};
struct side {
	struct bucket *b;
	size_t n;
};

/* All buckets that are not empty. */
static struct side side_of(const struct hist_span *spans, uint32_t n_spans,
			   const double *counts, uint32_t n)
{
	struct side s = { xcalloc((size_t)n + 1, sizeof(*s.b)), 0 };
	int32_t index = 0;
	uint32_t k = 0;
	for (uint32_t i = 0; i < n_spans; i++) {
		index += spans[i].offset;
		for (uint32_t j = 0; j < spans[i].length; j++, index++, k++) {
			if (counts[k] != 0)
				s.b[s.n++] = (struct bucket){ index, counts[k] };
		}
	}
	return s;
}

static struct side pos_of(const struct hist *h)
{
	return side_of(h->pos_spans, h->n_pos_spans, h->pos, h->n_pos);
}
static struct side neg_of(const struct hist *h)
{
	return side_of(h->neg_spans, h->n_neg_spans, h->neg, h->n_neg);
}

int hist_text_step(struct arena *a, const struct hist *x, const struct hist *y,
		   double sign, struct hist **out, struct err *e)
{
	struct hist_work work;
	struct hist_acc acc;
	if (x->schema > y->schema)
		return err_set(
			NULL, e, E_PARSE,
			"error combining histograms: cannot merge from schema %d to %d",
			y->schema, x->schema);
	hist_work_init(&work, a);
	hist_acc_init(&acc, &work);
	hist_acc_set(&acc, x);
	unsigned met = sign < 0 ? hist_acc_sub(&acc, y) : hist_acc_add(&acc, y);
	if (met & HIST_INCOMPATIBLE)
		return err_set(NULL, e, E_PARSE,
			       "custom and exponential buckets do not add up");
	*out = hist_acc_take(&acc, false);
	return 0;
}

/* ---- comparison ---- */

bool almost_eq(double a, double b)
{
	const double epsilon = 1e-6, normal = 0x1p-1022;
	if (is_stale_nan(a) || is_stale_nan(b))
		return is_stale_nan(a) && is_stale_nan(b);
	if ((isnan(a) && isnan(b)) || a == b)
		return true;
	double sum = fabs(a) + fabs(b), diff = fabs(a - b);
	if (a == 0 || b == 0 || sum < normal)
		return diff < epsilon * normal;
	return diff / fmin(sum, DBL_MAX) < epsilon;
}

static bool sides_eq(struct side a, struct side b)
{
	bool same = a.n == b.n;
	for (size_t i = 0; i < a.n && same; i++)
		same = a.b[i].index == b.b[i].index &&
		       almost_eq(a.b[i].count, b.b[i].count);
	free(a.b);
	free(b.b);
	return same;
}

bool hist_almost_eq(const struct hist *want, const struct hist *got, bool hint)
{
	if (want->schema != got->schema || !almost_eq(want->count, got->count) ||
	    !almost_eq(want->sum, got->sum) ||
	    want->zero_threshold != got->zero_threshold ||
	    !almost_eq(want->zero_count, got->zero_count))
		return false;
	if (want->schema == HIST_CUSTOM) {
		if (want->n_bounds != got->n_bounds)
			return false;
		for (uint32_t i = 0; i < want->n_bounds; i++)
			if (want->bounds[i] != got->bounds[i])
				return false;
	}
	return sides_eq(pos_of(want), pos_of(got)) &&
	       sides_eq(neg_of(want), neg_of(got)) && (!hint || want->hint == got->hint);
}
