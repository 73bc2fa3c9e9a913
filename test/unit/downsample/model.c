#include "model.h"

#include <float.h>
#include <math.h>

#include "support/tst.h"

void mlist_add(struct arena *a, struct mlist *l, struct msample s)
{
	if (l->n == l->cap) {
		struct msample *v = ARENA_ARRAY(a, struct msample, l->cap * 2 + 16);
		if (l->n)
			memcpy(v, l->v, l->n * sizeof *v);
		l->v = v;
		l->cap = l->cap * 2 + 16;
	}
	l->v[l->n++] = s;
}

static struct mchunk *add_chunk(struct arena *a, struct mchunks *c)
{
	if (c->n == c->cap) {
		struct mchunk *v = ARENA_ARRAY(a, struct mchunk, c->cap * 2 + 16);
		if (c->n)
			memcpy(v, c->v, c->n * sizeof *v);
		c->v = v;
		c->cap = c->cap * 2 + 16;
	}
	return &c->v[c->n++];
}

/* ---- histograms ---- */

static void put_side(double *to, const struct hist_span *s, uint32_t n, const double *v)
{
	int index = M_BUCKETS / 2;
	for (uint32_t i = 0; i < n; i++) {
		index += s[i].offset;
		for (uint32_t k = 0; k < s[i].length; k++) {
			cr_assert(index >= 0 && index < M_BUCKETS);
			to[index++] += *v++;
		}
	}
}

struct mhist *mhist_of(struct arena *a, const struct hist *h)
{
	struct mhist *m = ARENA_NEW(a, struct mhist);
	m->schema = h->schema;
	m->gauge = h->hint == HIST_GAUGE;
	m->not_reset = h->hint == HIST_NOT_RESET;
	m->zero = h->zero_count;
	m->count = h->count;
	m->sum = h->sum;
	put_side(m->pos, h->pos_spans, h->n_pos_spans, h->pos);
	put_side(m->neg, h->neg_spans, h->n_neg_spans, h->neg);
	return m;
}

bool mhist_eq(const struct mhist *x, const struct mhist *y)
{
	return x->schema == y->schema && x->zero == y->zero && x->count == y->count &&
	       x->sum == y->sum && memcmp(x->pos, y->pos, sizeof x->pos) == 0 &&
	       memcmp(x->neg, y->neg, sizeof x->neg) == 0;
}

/* Bucket i of schema s is within bucket ceil(i / 2^(s - to)) of schema `to`. */
static struct mhist *to_schema(struct arena *a, const struct mhist *h, int schema)
{
	struct mhist *m = ARENA_NEW(a, struct mhist);
	*m = *h;
	if (h->schema == schema)
		return m;
	m->schema = schema;
	m->gauge = m->not_reset = false;
	memset(m->pos, 0, sizeof m->pos);
	memset(m->neg, 0, sizeof m->neg);
	for (int i = 0; i < M_BUCKETS; i++) {
		double width = pow(2, h->schema - schema);
		int to = (int)ceil((i - M_BUCKETS / 2) / width) + M_BUCKETS / 2;
		m->pos[to] += h->pos[i];
		m->neg[to] += h->neg[i];
	}
	return m;
}

static void add(struct mhist *x, const struct mhist *h, double f)
{
	x->zero += f * h->zero;
	x->count += f * h->count;
	x->sum += f * h->sum;
	for (int i = 0; i < M_BUCKETS; i++) {
		x->pos[i] += f * h->pos[i];
		x->neg[i] += f * h->neg[i];
	}
}

static bool fell(struct arena *a, const struct mhist *h, const struct mhist *prev,
		 bool same_chunk)
{
	if (h->not_reset && same_chunk)
		return false;
	if (h->count < prev->count || h->schema > prev->schema || h->zero < prev->zero)
		return true;
	const struct mhist *p = to_schema(a, prev, h->schema);
	for (int i = 0; i < M_BUCKETS; i++)
		if (h->pos[i] < p->pos[i] || h->neg[i] < p->neg[i])
			return true;
	return false;
}

/* ---- batches ---- */

static size_t how_many(int64_t mint, int64_t maxt, int64_t in, int64_t out, size_t n)
{
	double most = (double)((maxt - mint) / out), full = 1;
	if (maxt > mint)
		full = (double)n / ((double)(maxt - mint) / (double)in);
	int64_t expected = (int64_t)(most * fmin(full, 1)) + 1, x = 1;
	while (expected / x > 140)
		x++;
	return (size_t)x;
}

static int64_t window(int64_t t, int64_t r, int64_t last)
{
	int64_t end = t - t % r + r - 1;
	return end < last ? end : last;
}

/* The counter of a window is what it had added up to by the window's end. */
static void float_windows(struct arena *a, const struct mlist *in, int64_t r,
			  struct mchunk *c)
{
	int64_t last = in->n ? in->v[in->n - 1].t : 0;
	double total = 0;
	for (size_t i = 0; i < in->n;) {
		int64_t end = window(in->v[i].t, r, last);
		double sum = 0, min = DBL_MAX, max = -DBL_MAX, n = 0;
		for (; i < in->n && in->v[i].t <= end; i++, n++) {
			double v = in->v[i].v, before = i ? in->v[i - 1].v : 0;
			sum += v;
			if (v < min)
				min = v;
			if (v > max)
				max = v;
			if (i == 0)
				total = v;
			else if (v < before)
				total += v;
			else
				total += v - before;
		}
		double v[AGGR_N] = { 0, n, sum, min, max, total };
		for (int k = AGGR_COUNT; k < AGGR_N; k++)
			mlist_add(a, &c->aggr[k],
				  (struct msample){ .t = end, .v = v[k] });
	}
}

static void hist_windows(struct arena *a, const struct mlist *in, int64_t r,
			 struct mchunk *c)
{
	int64_t last = in->n ? in->v[in->n - 1].t : 0;
	int schema = INT32_MAX;
	struct mhist *total = NULL, *prev = NULL;
	for (size_t i = 0; i < in->n; i++)
		schema = MIN(schema, in->v[i].h->schema);
	for (size_t i = 0; i < in->n;) {
		int64_t end = window(in->v[i].t, r, last);
		struct mhist *sum = NULL;
		double n = 0;
		for (; i < in->n && in->v[i].t <= end; i++, n++) {
			const struct mhist *h = in->v[i].h;
			struct mhist *x = to_schema(a, h, schema);
			if (sum)
				add(sum, x, 1);
			else
				sum = to_schema(a, x, schema);
			if (!total) {
				total = to_schema(a, x, schema);
			} else {
				bool same = in->v[i].chunk == in->v[i - 1].chunk;
				if (x->gauge || !fell(a, h, prev, same))
					add(total, prev, -1);
				add(total, x, 1);
			}
			prev = x;
		}
		mlist_add(a, &c->aggr[AGGR_COUNT], (struct msample){ .t = end, .v = n });
		mlist_add(a, &c->aggr[AGGR_SUM], (struct msample){ .t = end, .h = sum });
		mlist_add(a, &c->aggr[AGGR_COUNTER],
			  (struct msample){ .t = end, .h = to_schema(a, total, schema) });
	}
}

static void set_times(struct mchunk *c)
{
	const struct mlist *l = &c->aggr[AGGR_COUNT];
	c->mint = l->v[0].t;
	c->maxt = l->v[l->n - 1].t;
}

static bool is_nan(const struct msample *s)
{
	return isnan(s->h ? s->h->sum : s->v);
}

static bool is_stale(const struct msample *s)
{
	return is_stale_nan(s->h ? s->h->sum : s->v);
}

static void double_ends(struct arena *a, struct mlist *counter, struct msample first,
			double last)
{
	struct mlist l = { 0 };
	mlist_add(a, &l, first);
	for (size_t i = 0; i < counter->n; i++)
		mlist_add(a, &l, counter->v[i]);
	mlist_add(a, &l,
		  (struct msample){ .t = counter->v[counter->n - 1].t, .v = last });
	*counter = l;
}

void model_raw(struct arena *a, const struct mlist *in, int64_t r, struct mchunks *out)
{
	struct mlist all = { 0 };
	int64_t last = 0;
	for (size_t i = 0; i < in->n; i++) {
		if (i && in->v[i].chunk != in->v[i - 1].chunk)
			last = 0;
		if (is_stale(&in->v[i]) || in->v[i].t < last)
			continue;
		last = in->v[i].t;
		mlist_add(a, &all, in->v[i]);
	}
	if (all.n == 0)
		return;
	size_t size =
		all.n / how_many(all.v[0].t, all.v[all.n - 1].t, 60000, r, all.n) + 1;
	for (size_t i = 0; i < all.n;) {
		struct mlist batch = { 0 };
		size_t j = i;
		int64_t end = 0;
		for (; j < all.n && (j - i < size || all.v[j].t <= end); j++) {
			if (j - i < size)
				end = window(all.v[j].t, r, INT64_MAX);
			if (!is_nan(&all.v[j]))
				mlist_add(a, &batch, all.v[j]);
		}
		i = j;
		if (batch.n == 0)
			continue;
		struct mchunk *c = add_chunk(a, out);
		c->hist = batch.v[0].h;
		if (c->hist) {
			c->gauge = batch.v[0].h->gauge;
			hist_windows(a, &batch, r, c);
		} else {
			float_windows(a, &batch, r, c);
			double_ends(a, &c->aggr[AGGR_COUNTER], batch.v[0],
				    batch.v[batch.n - 1].v);
		}
		set_times(c);
	}
}

/* ---- chunks of aggregates ---- */

static struct mlist joined(struct arena *a, const struct mchunk *in, size_t n,
			   enum aggr aggr)
{
	struct mlist l = { 0 };
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < in[i].aggr[aggr].n; k++) {
			struct msample s = in[i].aggr[aggr].v[k];
			s.chunk = i;
			if (s.h) {
				struct mhist *h = to_schema(a, s.h, s.h->schema);
				h->gauge = aggr == AGGR_SUM || in[i].gauge;
				h->not_reset = !h->gauge && k > 0;
				s.h = h;
			}
			mlist_add(a, &l, s);
		}
	return l;
}

/* The counters as one that rises; *last: the last true value. */
static struct mlist risen(struct arena *a, const struct mlist *in, double *last)
{
	struct mlist l = { 0 };
	double total = 0;
	for (size_t i = 0; i < in->n; i++) {
		double v = in->v[i].v;
		if (isnan(v)) /* infinity less infinity */
			continue;
		if (l.n && in->v[i].t == l.v[l.n - 1].t) {
			*last = v;
			continue;
		}
		total = l.n == 0 ? v : v < *last ? total + v : total + (v - *last);
		*last = v;
		mlist_add(a, &l, (struct msample){ .t = in->v[i].t, .v = total });
	}
	return l;
}

static void aggr_batch(struct arena *a, const struct mchunk *in, size_t n, int64_t r,
		       struct mchunk *c)
{
	struct mchunk tmp = { 0 };
	c->hist = in->hist;
	c->gauge = in->gauge;
	for (int k = AGGR_COUNT; k < AGGR_N; k++) {
		struct mlist l = joined(a, in, n, (enum aggr)k);
		double last = 0;
		tmp = (struct mchunk){ 0 };
		if (l.n && l.v[0].h) {
			hist_windows(a, &l, r, &tmp);
			c->aggr[k] = tmp.aggr[k];
			continue;
		}
		if (k == AGGR_COUNTER)
			l = risen(a, &l, &last);
		float_windows(a, &l, r, &tmp);
		c->aggr[k] = tmp.aggr[k == AGGR_COUNT ? AGGR_SUM : k];
		if (k == AGGR_COUNTER && l.n)
			double_ends(a, &c->aggr[k], l.v[0], last);
	}
	set_times(c);
}

void model_aggr(struct arena *a, const struct mchunk *in, size_t n, int64_t r,
		struct mchunks *out)
{
	for (size_t i = 0, end; i < n; i = end) {
		size_t samples = 0;
		for (end = i; end < n && in[end].hist == in[i].hist; end++)
			samples += in[end].aggr[AGGR_COUNT].n;
		size_t many = how_many(in[i].mint, in[end - 1].maxt, 300000, r, samples);
		size_t size = (end - i) / many;
		size = size ? size : 1;
		for (size_t k = i; k < end; k += size)
			aggr_batch(a, in + k, size < end - k ? size : end - k, r,
				   add_chunk(a, out));
	}
}
