/*
 * model/hist_math.c - sums of native histograms.
 *
 * Two histograms are brought together before they are added: the wider zero bucket wins (widened until it cuts no bucket that
 * holds anything), the coarser schema wins, of custom bounds those stay that both have. Most histograms of a query need none of
 * that and have buckets that the sum has already: then runs of buckets are found by their ends and counts are added in place.
 */
#include "model/hist_math.h"

#include <math.h>
#include <string.h>

#include "model/hist_walk.h"

/* ---- sides ---- */

void side_reserve(struct hist_side *s, struct arena *a, uint32_t n)
{
	if (n <= s->cap)
		return;
	uint32_t cap = s->cap ? s->cap * 2 : n; /* most never grow */
	cap = MAX(cap, n);
	char *p = arena_alloc(a, (size_t)cap * (sizeof(double) * 2 + sizeof(int32_t)));
	struct hist_side to = { .v = (double *)p, .n = s->n, .cap = cap };
	to.c = to.v + cap;
	to.index = (int32_t *)(to.c + cap);
	if (s->n) {
		memcpy(to.v, s->v, s->n * sizeof(*s->v));
		memcpy(to.c, s->c, s->n * sizeof(*s->c));
		memcpy(to.index, s->index, s->n * sizeof(*s->index));
	}
	*s = to;
}

static void side_load(struct hist_side *s, struct arena *a, struct walk w)
{
	side_reserve(s, a, w.n);
	s->n = 0;
	while (walk_next(&w))
		s->index[s->n++] = w.index;
	if (s->n == 0)
		return;
	memcpy(s->v, w.v, s->n * sizeof(*s->v));
	memset(s->c, 0, s->n * sizeof(*s->c));
}

/* Buckets of a schema lower by d; what is lost in merging them goes to c if `compensated`. */
static void side_reduce(struct hist_side *s, int d, bool compensated)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		int32_t to = coarser(s->index[i], d);
		if (n == 0 || s->index[n - 1] != to) {
			s->index[n] = to;
			s->v[n] = s->v[i];
			s->c[n++] = s->c[i];
		} else if (compensated) {
			double c = s->c[i];
			kahan(s->v[i], &s->v[n - 1], &s->c[n - 1]);
			kahan(c, &s->v[n - 1], &s->c[n - 1]);
		} else {
			s->v[n - 1] += s->v[i];
		}
	}
	s->n = n;
}

void side_drop_empty(struct hist_side *s)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		if (s->v[i] == 0 && s->c[i] == 0)
			continue;
		s->index[n] = s->index[i];
		s->v[n] = s->v[i];
		s->c[n++] = s->c[i];
	}
	s->n = n;
}

enum how { PLAIN, NEGATED, COMPENSATED };

static void bucket_add(enum how how, double v, double c, double *sum, double *sum_c)
{
	if (how == COMPENSATED) {
		kahan(v, sum, sum_c);
		if (c != 0)
			kahan(c, sum, sum_c);
	} else {
		*sum += how == NEGATED ? -v : v;
	}
}

/* Where the run of `len` buckets from `index` lies in s, from `from` on; UINT32_MAX: not there as a whole. */
static uint32_t find_run(const struct hist_side *s, uint32_t from, int32_t index,
			 uint32_t len)
{
	while (from < s->n && s->index[from] < index)
		from++;
	if (from + len > s->n || s->index[from] != index ||
	    s->index[from + len - 1] != index + (int32_t)len - 1)
		return UINT32_MAX;
	return from;
}

/* Add in place if s has all buckets of the spans already; false: nothing was done. */
static bool side_add_runs(struct hist_side *s, const struct hist_span *spans, uint32_t n,
			  const double *v, enum how how)
{
	for (int pass = 0; pass < 2; pass++) {
		int32_t index = 0;
		uint32_t at = 0, k = 0;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t len = spans[i].length;
			index += spans[i].offset;
			if (len == 0)
				continue;
			at = find_run(s, at, index, len);
			if (at == UINT32_MAX)
				return false;
			for (uint32_t j = 0; pass && j < len; j++)
				bucket_add(how, v[k + j], 0, &s->v[at + j],
					   &s->c[at + j]);
			at += len;
			k += len;
			index += (int32_t)len;
		}
	}
	return true;
}

/* Merge o into s; both ascend, and s is filled from its end. */
static void side_merge(struct hist_side *s, struct arena *a, const struct hist_side *o,
		       uint32_t skip, enum how how)
{
	uint32_t more = 0;
	for (uint32_t i = 0, j = skip; j < o->n; j++) {
		while (i < s->n && s->index[i] < o->index[j])
			i++;
		more += i == s->n || s->index[i] != o->index[j];
	}
	side_reserve(s, a, s->n + more);
	uint32_t i = s->n, j = o->n, k = s->n + more;
	s->n = k;
	while (j > skip) {
		k--;
		if (i && s->index[i - 1] >= o->index[j - 1]) {
			i--;
			s->index[k] = s->index[i];
			s->v[k] = s->v[i];
			s->c[k] = s->c[i];
			if (s->index[k] > o->index[j - 1])
				continue;
			j--;
			bucket_add(how, o->v[j], o->c[j], &s->v[k], &s->c[k]);
		} else {
			j--;
			s->index[k] = o->index[j];
			s->v[k] = how == NEGATED ? -o->v[j] : o->v[j];
			s->c[k] = how == COMPENSATED ? o->c[j] : 0;
		}
	}
}

/* ---- accumulators ---- */

void hist_work_init(struct hist_work *w, struct arena *a)
{
	*w = (struct hist_work){ .arena = a };
}

void hist_acc_init(struct hist_acc *x, struct hist_work *w)
{
	*x = (struct hist_acc){ .work = w };
}

static void set_bounds(struct hist_acc *x, const double *bounds, uint32_t n)
{
	if (same_bounds(x->bounds, x->n_bounds, bounds, n))
		return;
	double *own = arena_alloc(x->work->arena, n * sizeof(*own) + 1);
	if (n)
		memcpy(own, bounds, n * sizeof(*own));
	x->bounds = own;
	x->n_bounds = n;
}

void hist_acc_set(struct hist_acc *x, const struct hist *h)
{
	x->schema = h->schema;
	x->hint = h->hint;
	x->compensated = false;
	x->count = h->count;
	x->sum = h->sum;
	x->zero_c = x->count_c = x->sum_c = 0;
	bool custom = h->schema == HIST_CUSTOM;
	x->zero_threshold = custom ? 0 : h->zero_threshold;
	x->zero_count = custom ? 0 : h->zero_count;
	side_load(&x->pos, x->work->arena, walk_hist(h, true));
	side_load(&x->neg, x->work->arena, walk_hist(h, false));
	if (custom)
		set_bounds(x, h->bounds, h->n_bounds);
	else
		x->n_bounds = 0;
}

static void side_copy(struct hist_side *to, const struct hist_side *s, struct arena *a)
{
	*to = (struct hist_side){ 0 };
	if (s->n == 0)
		return;
	side_reserve(to, a, s->n);
	memcpy(to->index, s->index, s->n * sizeof(*s->index));
	memcpy(to->v, s->v, s->n * sizeof(*s->v));
	memcpy(to->c, s->c, s->n * sizeof(*s->c));
	to->n = s->n;
}

void hist_acc_copy(struct hist_acc *to, const struct hist_acc *x)
{
	*to = *x;
	side_copy(&to->pos, &x->pos, x->work->arena);
	side_copy(&to->neg, &x->neg, x->work->arena);
}

void hist_acc_reduce(struct hist_acc *x, int32_t schema)
{
	if (schema >= x->schema)
		return;
	side_reduce(&x->pos, x->schema - schema, x->compensated);
	side_reduce(&x->neg, x->schema - schema, x->compensated);
	x->schema = schema;
	x->hint = HIST_UNKNOWN;
}

/* ---- zero buckets ---- */

/* Buckets of one side that begin below the threshold go into the count; does a populated one end above it? */
static bool gather_zero(int32_t schema, struct walk w, double *count, double *c,
			double *threshold)
{
	while (walk_next(&w)) {
		if (hist_bound(w.index - 1, schema) >= *threshold)
			return false;
		kahan(walk_count(&w), count, c);
		if (w.c)
			kahan(w.c[w.i - 1], count, c);
		double end = hist_bound(w.index, schema);
		if (end > *threshold) {
			if (walk_count(&w) == 0)
				return false;
			*threshold = end;
			return true;
		}
	}
	return false;
}

double zero_count_for(int32_t schema, double zero_count, struct walk pos, struct walk neg,
		      double *threshold, double *c)
{
	double count;
	do { /* a negative bucket that was cut moves the limit for the positive ones, too */
		count = zero_count;
		(void)gather_zero(schema, pos, &count, c, threshold);
	} while (gather_zero(schema, neg, &count, c, threshold));
	return count;
}

static void clear_inside_zero(struct hist_side *s, int32_t schema, double threshold)
{
	for (uint32_t i = 0; i < s->n && hist_bound(s->index[i] - 1, schema) < threshold;
	     i++)
		s->v[i] = s->c[i] = 0;
	side_drop_empty(s);
}

/* Widen x's zero bucket to h's or tell what h's would count if it was widened to x's. */
static void reconcile_zero(struct hist_acc *x, const struct hist *h, enum how how,
			   double *zero, double *zero_c)
{
	double threshold = h->zero_threshold;
	*zero = h->zero_count;
	*zero_c = 0;
	while (threshold < x->zero_threshold || threshold > x->zero_threshold) {
		if (x->zero_threshold > threshold) {
			threshold = x->zero_threshold;
			*zero_c = 0;
			*zero = zero_count_for(h->schema, h->zero_count,
					       walk_hist(h, true), walk_hist(h, false),
					       &threshold, zero_c);
		}
		if (threshold > x->zero_threshold) {
			struct walk pos = walk_side(&x->pos), neg = walk_side(&x->neg);
			double c = how == COMPENSATED ? x->zero_c : 0;
			if (how != COMPENSATED)
				pos.c = neg.c = NULL;
			x->zero_threshold = threshold;
			x->zero_count = zero_count_for(x->schema, x->zero_count, pos, neg,
						       &x->zero_threshold, &c);
			if (how == COMPENSATED)
				x->zero_c = c;
			clear_inside_zero(&x->pos, x->schema, x->zero_threshold);
			clear_inside_zero(&x->neg, x->schema, x->zero_threshold);
		}
	}
}

/* ---- custom bounds ---- */

static uint32_t intersect(const double *a, uint32_t na, const double *b, uint32_t nb,
			  double *out)
{
	uint32_t n = 0;
	for (uint32_t i = 0, j = 0; i < na && j < nb;) {
		if (a[i] == b[j]) {
			out[n++] = a[i];
			i++;
			j++;
		} else if (a[i] < b[j]) {
			i++;
		} else {
			j++;
		}
	}
	return n;
}

/* Buckets by the bounds that are left; what is behind the last goes to the one without a limit. */
static void map_buckets(struct walk w, const double *bounds, uint32_t n_bounds,
			const double *to, uint32_t n_to, bool negated,
			struct hist_side *out)
{
	uint32_t k = 0;
	while (walk_next(&w)) {
		uint32_t at = n_to;
		if ((uint32_t)w.index < n_bounds) {
			while (k < n_to && !(to[k] >= bounds[w.index]))
				k++;
			at = k;
		}
		double v = walk_count(&w);
		kahan(negated ? -v : v, &out->v[at], &out->c[at]);
		if (w.c)
			kahan(w.c[w.i - 1], &out->v[at], &out->c[at]);
	}
}

static void add_other_bounds(struct hist_acc *x, const struct hist *h, enum how how)
{
	struct arena *a = x->work->arena;
	struct hist_side *t = &x->work->pos;
	double *bounds =
		arena_alloc(a, MIN(x->n_bounds, h->n_bounds) * sizeof(*bounds) + 1);
	uint32_t n = intersect(x->bounds, x->n_bounds, h->bounds, h->n_bounds, bounds);
	side_reserve(t, a, n + 1);
	for (uint32_t i = 0; i <= n; i++) {
		t->index[i] = (int32_t)i;
		t->v[i] = t->c[i] = 0;
	}
	t->n = n + 1;
	struct walk mine = walk_side(&x->pos);
	if (how != COMPENSATED)
		mine.c = NULL;
	map_buckets(mine, x->bounds, x->n_bounds, bounds, n, false, t);
	map_buckets(walk_hist(h, true), h->bounds, h->n_bounds, bounds, n, how == NEGATED,
		    t);
	side_drop_empty(t);
	side_reserve(&x->pos, a, t->n + 1);
	memcpy(x->pos.index, t->index, t->n * sizeof(*t->index));
	memcpy(x->pos.v, t->v, t->n * sizeof(*t->v));
	if (how == COMPENSATED)
		memcpy(x->pos.c, t->c, t->n * sizeof(*t->c));
	else
		memset(x->pos.c, 0, t->n * sizeof(*t->c));
	x->pos.n = t->n;
	x->bounds = bounds;
	x->n_bounds = n;
}

/* ---- additions ---- */

/* Leading buckets of o that lie within x's zero bucket: they are in its count already. */
static uint32_t inside_zero(const struct hist_acc *x, const struct hist_side *o)
{
	uint32_t n = 0;
	while (x->schema != HIST_CUSTOM && x->zero_threshold > 0 && n < o->n &&
	       hist_bound(o->index[n], x->schema) <= x->zero_threshold)
		n++;
	return n;
}

static void add_side(struct hist_acc *x, const struct hist *h, bool positive,
		     enum how how)
{
	struct hist_side *s = positive ? &x->pos : &x->neg;
	const struct hist_span *spans = positive ? h->pos_spans : h->neg_spans;
	uint32_t n_spans = positive ? h->n_pos_spans : h->n_neg_spans,
		 n = positive ? h->n_pos : h->n_neg;
	struct hist_side *o = positive ? &x->work->pos : &x->work->neg;
	if (n == 0)
		return;
	bool clear_of_zero = x->schema == HIST_CUSTOM || x->zero_threshold == 0 ||
			     hist_bound(spans[0].offset, x->schema) > x->zero_threshold;
	if (x->schema == h->schema && clear_of_zero &&
	    side_add_runs(s, spans, n_spans, positive ? h->pos : h->neg, how))
		return;
	side_load(o, x->work->arena, walk_hist(h, positive));
	if (h->schema > x->schema)
		side_reduce(o, h->schema - x->schema, how == COMPENSATED);
	side_merge(s, x->work->arena, o, inside_zero(x, o), how);
}

static unsigned acc_add(struct hist_acc *x, const struct hist *h, enum how how)
{
	bool custom = x->schema == HIST_CUSTOM;
	if (custom != (h->schema == HIST_CUSTOM))
		return HIST_INCOMPATIBLE;
	unsigned met = hint_join(&x->hint, h->hint) ? HIST_COLLISION : 0;
	if (how == COMPENSATED)
		x->compensated = true;
	if (!custom) {
		double zero, zero_c;
		reconcile_zero(x, h, how, &zero, &zero_c);
		bucket_add(how, zero, 0, &x->zero_count, &x->zero_c);
		if (how == COMPENSATED)
			kahan(zero_c, &x->zero_count, &x->zero_c);
	}
	bucket_add(how, h->count, 0, &x->count, &x->count_c);
	bucket_add(how, h->sum, 0, &x->sum, &x->sum_c);
	if (custom && !same_bounds(x->bounds, x->n_bounds, h->bounds, h->n_bounds)) {
		add_other_bounds(x, h, how);
		return met | HIST_RECONCILED;
	}
	if (!custom && h->schema < x->schema) {
		side_reduce(&x->pos, x->schema - h->schema, how == COMPENSATED);
		side_reduce(&x->neg, x->schema - h->schema, how == COMPENSATED);
		x->schema = h->schema;
	}
	add_side(x, h, true, how);
	add_side(x, h, false, how);
	return met;
}

unsigned hist_acc_add(struct hist_acc *x, const struct hist *h)
{
	return acc_add(x, h, PLAIN);
}

unsigned hist_acc_sub(struct hist_acc *x, const struct hist *h)
{
	return acc_add(x, h, NEGATED);
}

unsigned hist_acc_add_compensated(struct hist_acc *x, const struct hist *h)
{
	return acc_add(x, h, COMPENSATED);
}

static void side_fold(struct hist_acc *x, struct hist_side *s)
{
	for (uint32_t i = inside_zero(x, s); i < s->n; i++)
		s->v[i] += s->c[i];
	memset(s->c, 0, s->n * sizeof(*s->c));
}

void hist_acc_fold(struct hist_acc *x)
{
	if (!x->compensated)
		return;
	x->zero_count += x->zero_c;
	x->count += x->count_c;
	x->sum += x->sum_c;
	if (x->pos.n)
		side_fold(x, &x->pos);
	if (x->neg.n)
		side_fold(x, &x->neg);
	x->zero_c = x->count_c = x->sum_c = 0;
	x->compensated = false;
}

/* ---- scaling ---- */

static void side_scale(struct hist_side *s, double f, bool divide)
{
	for (uint32_t i = 0; i < s->n; i++) {
		s->v[i] = divide ? s->v[i] / f : s->v[i] * f;
		s->c[i] = divide ? s->c[i] / f : s->c[i] * f;
	}
}

void hist_acc_mul(struct hist_acc *x, double f)
{
	x->zero_count *= f;
	x->count *= f;
	x->sum *= f;
	x->zero_c *= f;
	x->count_c *= f;
	x->sum_c *= f;
	side_scale(&x->pos, f, false);
	side_scale(&x->neg, f, false);
	if (f < 0)
		x->hint = HIST_GAUGE;
}

void hist_acc_div(struct hist_acc *x, double f)
{
	x->zero_count /= f;
	x->count /= f;
	x->sum /= f;
	x->zero_c /= f;
	x->count_c /= f;
	x->sum_c /= f;
	if (f == 0) {
		x->pos.n = x->neg.n = 0;
		return;
	}
	side_scale(&x->pos, f, true);
	side_scale(&x->neg, f, true);
	if (f < 0)
		x->hint = HIST_GAUGE;
}

static bool any_inf(const double *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (isinf(v[i]))
			return true;
	return false;
}

bool hist_acc_overflows(const struct hist_acc *x)
{
	return isinf(x->zero_count) || isinf(x->count) || isinf(x->sum) ||
	       any_inf(x->pos.v, x->pos.n) || any_inf(x->neg.v, x->neg.n) ||
	       any_inf(x->bounds, x->n_bounds);
}

bool hist_is_small(const struct hist *h)
{
	return small(h->zero_count) && small(h->count) && small(h->sum) &&
	       all_small(h->pos, h->n_pos) && all_small(h->neg, h->n_neg);
}

bool hist_acc_is_small(const struct hist_acc *x)
{
	return small(x->zero_count) && small(x->count) && small(x->sum) &&
	       all_small(x->pos.v, x->pos.n) && all_small(x->neg.v, x->neg.n) &&
	       !any_inf(x->bounds, x->n_bounds);
}

/* ---- the result ---- */

/* How many buckets are shown, in how many runs. */
static uint32_t count_shown(const struct hist_side *s, bool compact, uint32_t *runs)
{
	uint32_t n = 0;
	int32_t end = 0; /* behind the last bucket that was kept */
	*runs = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		if (compact && s->v[i] == 0)
			continue;
		*runs += n == 0 || s->index[i] != end;
		end = s->index[i] + 1;
		n++;
	}
	return n;
}

static void show_side(const struct hist_side *s, bool compact, double *v,
		      struct hist_span *spans)
{
	struct hist_span *at = spans - 1;
	uint32_t k = 0;
	int32_t end = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		if (compact && s->v[i] == 0)
			continue;
		if (k == 0 || s->index[i] != end)
			*++at = (struct hist_span){ s->index[i] - end, 0 };
		at->length++;
		end = s->index[i] + 1;
		v[k++] = s->v[i];
	}
}

static void take_side(const struct hist_side *s, struct arena *a, bool compact,
		      const struct hist_span **spans, uint32_t *n_spans,
		      const double **counts, uint32_t *n)
{
	*n = count_shown(s, compact, n_spans);
	if (*n == 0)
		return;
	double *v = arena_alloc(a, *n * sizeof(*v) + *n_spans * sizeof(**spans));
	show_side(s, compact, v, (struct hist_span *)(v + *n));
	*counts = v;
	*spans = (const struct hist_span *)(v + *n);
}

struct hist *hist_acc_take(const struct hist_acc *x, bool compact)
{
	struct arena *a = x->work->arena;
	struct hist *h = arena_alloc(a, sizeof(*h));
	*h = (struct hist){ .schema = x->schema,
			    .hint = x->hint,
			    .zero_threshold = x->zero_threshold,
			    .zero_count = x->zero_count,
			    .count = x->count,
			    .sum = x->sum };
	if (x->schema == HIST_CUSTOM) {
		h->bounds = x->bounds;
		h->n_bounds = x->n_bounds;
	}
	take_side(&x->pos, a, compact, &h->pos_spans, &h->n_pos_spans, &h->pos,
		  &h->n_pos);
	take_side(&x->neg, a, compact, &h->neg_spans, &h->n_neg_spans, &h->neg,
		  &h->n_neg);
	return h;
}
