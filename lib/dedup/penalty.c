/*
 * dedup/penalty.c - replicas merged by Thanos' penalty rule.
 *
 * Two runs A and B; t is the time emitted last. Each step moves A to its first sample not before
 * t + 1 + penalty(A), B likewise, and emits the earlier one, A at a tie. The chosen side's penalty
 * becomes 0, the other's twice the distance between the last two times (5000 ms when there is only
 * one), so that a replica must miss about two scrapes before the merge goes over to the other. When
 * one side has ended the other goes on. More lanes are folded from the left: ((0 1) 2) 3.
 *
 * Counters: when the side changes, both sides whose present value lies below the value emitted before
 * are raised by the difference, so that no reset is seen where there was none. A side that is a merge itself
 * passes this on to both of its sides, each with its own difference; therefore the fold runs as a chain of
 * merges, sample by sample, and is not done pairwise over whole runs. The very first choice of A counts as a
 * change, since the rule starts out on B. Thanos takes the resets out of each lane beforehand; here they stay
 * visible, as they are in one Prometheus. Therefore a lane that falls back is a counter born anew: what it was
 * raised by is over, and nothing is raised over a reset that the merge has not shown yet, which the next sample
 * of the side not chosen often lies behind. Times are foreign: sums saturate.
 * Source  thanos.md §4.1
 */
#include "dedup/dedup_int.h"

#define INITIAL_PENALTY_MS 5000

struct leaf {
	const struct sample_cols *c;
	size_t i;
	double raise; /* counters: added to each value */
	int64_t born_t; /* counters: first sample after the last reset passed; INT64_MIN: none */
	bool counter;
};
struct merge {
	struct merge *left; /* NULL: first */
	struct leaf *first, *right;
	int64_t t; /* emitted last; INT64_MIN: none */
	int64_t pen_a, pen_b;
	bool a_on, b_on, use_a, last_a; /* last_a: where the value emitted last is */
	bool counter;
};

static int64_t add_sat(int64_t a, int64_t b)
{
	int64_t r;
	return __builtin_add_overflow(a, b, &r) ? (b < 0 ? INT64_MIN : INT64_MAX) : r;
}

static int64_t twice_since(int64_t t, int64_t last)
{
	int64_t d;
	if (__builtin_sub_overflow(t, last, &d))
		return INT64_MAX;
	return add_sat(d, d);
}

/* ---- leaves ---- */

static inline bool leaf_on(const struct leaf *l)
{
	return l->i < l->c->n;
}

static inline bool leaf_seek(struct leaf *l, int64_t t)
{
	while (l->i < l->c->n && l->c->t_ms[l->i] < t) {
		l->i++;
		if (l->counter && leaf_on(l) && l->c->v[l->i] < l->c->v[l->i - 1]) {
			l->raise = 0;
			l->born_t = l->c->t_ms[l->i];
		}
	}
	return leaf_on(l);
}

/* The value as shown. Adding even 0 would quiet a stale marker into a plain NaN, and -0 into 0. */
static inline double leaf_shown(const struct leaf *l)
{
	double v = l->c->v[l->i];
	return l->raise == 0 || v != v ? v : v + l->raise;
}

static inline bool leaf_value(const struct leaf *l, double *v)
{
	if (!leaf_on(l) || (l->c->h && l->c->h[l->i]))
		return false;
	*v = leaf_shown(l);
	return true;
}

/*
 * last: the value emitted at last_t (INT64_MIN: the first, beside l), by another lane. A lane that is not shown now
 * is only raised if it is known to be the same life of the counter: by its samples before, or because it began at
 * the same time.
 */
static void leaf_raise(struct leaf *l, double last, int64_t last_t, int64_t now_t,
		       bool shown)
{
	double v;
	if (!leaf_value(l, &v) || !(last > v) || l->born_t > last_t)
		return;
	bool known = last_t == INT64_MIN
			     ? l->c->t_ms[l->i] <= add_sat(now_t, INITIAL_PENALTY_MS)
			     : l->i > 0;
	if (shown || known)
		l->raise += last - v;
}

/* ---- merges ---- */

static bool merge_next(struct merge *m);

static bool merge_seek(struct merge *m, int64_t t)
{
	while (m->a_on || m->b_on) {
		if (m->t >= t && m->t != INT64_MIN)
			return true;
		if (!merge_next(m))
			return false;
	}
	return false;
}

static bool a_seek(struct merge *m, int64_t t)
{
	return m->left ? merge_seek(m->left, t) : leaf_seek(m->first, t);
}

static const struct leaf *source(const struct merge *m)
{
	while (m->last_a && m->left)
		m = m->left;
	return m->last_a ? m->first : m->right;
}

static int64_t a_time(const struct merge *m)
{
	return m->left ? m->left->t : m->first->c->t_ms[m->first->i];
}

static void merge_raise(struct merge *m, double last, int64_t last_t, int64_t now_t,
			const struct leaf *shown)
{
	if (m->b_on)
		leaf_raise(m->right, last, last_t, now_t, m->right == shown);
	if (!m->a_on)
		return;
	if (m->left)
		merge_raise(m->left, last, last_t, now_t, shown);
	else
		leaf_raise(m->first, last, last_t, now_t, m->first == shown);
}

/* Choose a side after both were moved; false: both have ended. */
static bool choose(struct merge *m)
{
	if (!m->a_on) {
		m->use_a = false;
		if (!m->b_on)
			return false;
		m->t = m->right->c->t_ms[m->right->i];
		m->pen_b = 0;
		m->last_a = false;
		return true;
	}
	int64_t ta = a_time(m);
	if (!m->b_on) {
		m->use_a = m->last_a = true;
		m->t = ta;
		m->pen_a = 0;
		return true;
	}
	int64_t tb = m->right->c->t_ms[m->right->i], t = MIN(ta, tb);
	int64_t penalty = m->t == INT64_MIN ? INITIAL_PENALTY_MS : twice_since(t, m->t);
	m->use_a = m->last_a = ta <= tb;
	m->pen_a = m->use_a ? 0 : penalty;
	m->pen_b = m->use_a ? penalty : 0;
	m->t = t;
	return true;
}

static bool merge_next(struct merge *m)
{
	bool was_a = m->use_a, known = false;
	double last = 0;
	if (m->counter && (was_a ? m->a_on : m->b_on))
		known = leaf_value(source(m), &last);
	int64_t last_t = m->t, after = add_sat(m->t, 1);
	if (m->a_on)
		m->a_on = a_seek(m, add_sat(after, m->pen_a));
	if (m->b_on)
		m->b_on = leaf_seek(m->right, add_sat(after, m->pen_b));
	/* At the end of time nothing lies behind the last sample. */
	if (m->t == INT64_MAX)
		m->a_on = m->b_on = false;
	bool on = choose(m);
	if (on && m->use_a != was_a && known)
		merge_raise(m, last, last_t, m->t, source(m));
	return on;
}

void penalty_fold(const struct sample_cols *lanes, size_t n, bool counter,
		  struct arena *tmp, struct sample_cols *out)
{
	struct leaf *leaf = ARENA_ARRAY(tmp, struct leaf, n);
	struct merge *m = ARENA_ARRAY(tmp, struct merge, n);
	size_t k = 0;
	for (size_t i = 0; i < n; i++)
		leaf[i] = (struct leaf){ &lanes[i], 0, 0, INT64_MIN, counter };
	for (size_t i = 1; i < n; i++) {
		struct merge *left = i > 1 ? &m[i - 2] : NULL;
		m[i - 1] = (struct merge){ .left = left,
					   .first = &leaf[0],
					   .right = &leaf[i],
					   .t = INT64_MIN,
					   .b_on = leaf_on(&leaf[i]),
					   .last_a = true,
					   .counter = counter };
		m[i - 1].a_on = left ? merge_next(left) : leaf_on(&leaf[0]);
	}
	struct merge *top = &m[n - 2];
	while (merge_next(top)) {
		const struct leaf *l = source(top);
		out->t_ms[k] = top->t;
		if (out->h)
			out->h[k] = l->c->h ? l->c->h[l->i] : NULL;
		if (out->st_ms)
			out->st_ms[k] = l->c->st_ms ? l->c->st_ms[l->i] : 0;
		out->v[k++] = leaf_shown(l);
	}
	out->n = k;
}
