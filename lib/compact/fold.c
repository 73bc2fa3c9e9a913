/*
 * compact/fold.c - the samples of one more chunk folded into those of the chunks before.
 *
 * Chunks come by their first time. What lies before the next chunk's first time is final and leaves the tail, so the
 * tail holds about one chunk, however long the series.
 *
 * Penalty (Thanos): each chunk of a run of overlapping chunks is merged with the result so far by the rule of
 * dedup/penalty.c, without raising counters: ((0 1) 2) 3. What was folded so far is side A. As long as its samples
 * lie before the chunk they are all chosen, and only move the chunk's beginning: a sample at t, d behind the one before
 * it, makes the chunk skip what lies before t + 1 + 2d. reach_ms is the largest of these bounds over all that has
 * left the tail.
 *
 * Chain (Prometheus): all samples, one of each time.
 */
#include "compact/compact_int.h"

#define INITIAL_PENALTY_MS 5000

static int64_t add_sat(int64_t a, int64_t b)
{
	int64_t r;
	return __builtin_add_overflow(a, b, &r) ? (b < 0 ? INT64_MIN : INT64_MAX) : r;
}

/* First time that the other side may show after one was chosen at t. */
static int64_t bound_after(int64_t t, bool any, int64_t last)
{
	int64_t d, pen = INITIAL_PENALTY_MS;
	if (any)
		pen = __builtin_sub_overflow(t, last, &d) ? INT64_MAX : add_sat(d, d);
	return add_sat(add_sat(t, 1), pen);
}

size_t fold_ready(const struct fold *f, int64_t t_ms, bool at)
{
	size_t lo = f->tail.at, hi = f->tail.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (f->tail.t[mid] < t_ms || (at && f->tail.t[mid] == t_ms))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo - f->tail.at;
}

void fold_gone(struct fold *f, size_t n, bool penalty)
{
	const int64_t *t = f->tail.t + f->tail.at;

	if (n == 0)
		return;
	for (size_t i = penalty ? 0 : n - 1; i < n; i++) {
		int64_t b = bound_after(t[i], f->any, f->last_ms);
		f->reach_ms = f->any ? MAX(f->reach_ms, b) : b;
		f->last_ms = t[i];
		f->any = true;
	}
	f->tail.at += n;
}

static void swap_lanes(struct fold *f, size_t n)
{
	struct lane x = f->tail;
	f->tail = f->spare;
	f->spare = x;
	f->tail.at = 0;
	f->tail.n = n;
}

static size_t copy_rest(struct lane *to, size_t k, const struct lane *from, size_t i)
{
	size_t n = from->n - i;
	if (n) {
		memcpy(to->t + k, from->t + i, n * sizeof(*to->t));
		memcpy(to->v + k, from->v + i, n * sizeof(*to->v));
	}
	return k + n;
}

void fold_penalty(struct fold *f, const struct lane *b)
{
	const struct lane *a = &f->tail;
	struct lane *out = &f->spare;
	size_t i = a->at, j = b->at, k = 0;
	bool any = f->any;
	int64_t last = f->last_ms, from_a = INT64_MIN,
		from_b = any ? f->reach_ms : INT64_MIN;

	lane_room(out, a->n - a->at + b->n - b->at);
	for (;;) {
		while (i < a->n && a->t[i] < from_a)
			i++;
		while (j < b->n && b->t[j] < from_b)
			j++;
		/* One that has ended leaves the other alone: no more penalties. */
		if (i == a->n || j == b->n)
			break;
		int64_t ta = a->t[i], tb = b->t[j];
		if (ta <= tb) {
			out->t[k] = ta;
			out->v[k++] = a->v[i++];
			from_b = bound_after(ta, any, last);
			from_a = INT64_MIN;
			last = ta;
		} else {
			out->t[k] = tb;
			out->v[k++] = b->v[j++];
			from_a = bound_after(tb, any, last);
			from_b = INT64_MIN;
			last = tb;
		}
		any = true;
	}
	k = copy_rest(out, k, a, i);
	k = copy_rest(out, k, b, j);
	swap_lanes(f, k);
}

bool fold_chain(const struct decoding *d, struct fold *f, const struct lane *b)
{
	const struct lane *a = &f->tail;
	struct lane *out = &f->spare;
	size_t i = a->at, j = b->at, k = 0;

	lane_room(out, a->n - a->at + b->n - b->at);
	while (i < a->n && j < b->n) {
		int64_t ta = a->t[i], tb = b->t[j];
		if (ta == tb) {
			bool eq = d->generic ? gsample_eq(&d->gs[(size_t)a->v[i]],
							  &d->gs[(size_t)b->v[j]])
					     : f64_bits(a->v[i]) == f64_bits(b->v[j]);
			if (!eq)
				return false;
			j++;
			continue;
		}
		bool first = ta < tb;
		out->t[k] = first ? ta : tb;
		out->v[k++] = first ? a->v[i] : b->v[j];
		i += first;
		j += !first;
	}
	k = copy_rest(out, k, a, i);
	k = copy_rest(out, k, b, j);
	swap_lanes(f, k);
	return true;
}
